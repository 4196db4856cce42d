//! One-time messages to users who asked for them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Empty, WeChatHttp};
use crate::ports::Failure;

/// Which version of the mini-program the message opens.
///
/// ```
/// use dream_core::adapters::wechat::MessageState;
///
/// // A test system opens the version for trial users.
/// let state = |released: bool| if released { MessageState::Formal } else { MessageState::Trial };
/// assert_eq!(state(true), MessageState::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MessageState {
    /// The developers' own.
    Developer,
    /// The one for trial users.
    Trial,
    /// The released one.
    #[default]
    Formal,
}

/// A message to one user. Each consent of the user is good for one.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::adapters::wechat::{MessageState, SubscribeMessage};
/// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
///
/// # world.alice().await;
/// # let app = world.wechat().app();
/// # let config = WeChatConfig { base_url: world.wechat().base_url(), ..WeChatConfig::new(app.appid, app.secret.into()) };
/// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::at(world.now()));
/// # let cache = std::sync::Arc::new(dream_core::adapters::MemoryCache::new(clock.clone()));
/// # let wechat = WeChatHttp::new(config, cache, clock)?;
/// let message = SubscribeMessage {
///     openid: "o-alice".to_owned(),
///     template_id: "a-template-of-the-console".to_owned(),
///     page: Some("pages/job?id=01931f3e7b0c7a43".to_owned()),
///     values: [("thing1".to_owned(), "图片画好了".to_owned())].into(),
///     state: MessageState::Formal,
/// };
/// // Most users have not asked for it, which is no trouble.
/// let refused = wechat.send_message(&message).await.unwrap_err();
/// assert_eq!(refused.code.as_deref(), Some("NOT_SUBSCRIBED"));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeMessage {
    /// Whom it is for.
    pub openid: String,
    /// The template, as the console names it.
    pub template_id: String,
    /// The page that it opens, which may carry a query.
    pub page: Option<String>,
    /// The values by their keys, such as `thing1`. Over-long ones are cut; empty ones become a dash.
    pub values: BTreeMap<String, String>,
    /// What it opens.
    pub state: MessageState,
}

impl WeChatHttp {
    /// Sends the message. A repeat may deliver it twice.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// use dream_core::adapters::wechat::{MessageState, SubscribeMessage};
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    ///
    /// # wechat.login_code("o-alice");
    /// # let app = wechat.app();
    /// # let cache = std::sync::Arc::new(dream_core::adapters::MemoryCache::new(clock.clone()));
    /// # let config =
    /// #     WeChatConfig { base_url: wechat.base_url(), ..WeChatConfig::new(app.appid, app.secret.into()) };
    /// # let client = WeChatHttp::new(config, cache, clock)?;
    /// # let message = SubscribeMessage {
    /// #     openid: "o-alice".to_owned(),
    /// #     template_id: "a-template-of-the-console".to_owned(),
    /// #     page: None,
    /// #     values: [("thing1".to_owned(), "图片画好了".to_owned())].into(),
    /// #     state: MessageState::Formal,
    /// # };
    /// // She has tapped "allow" once, which is good for one message.
    /// wechat.subscribe("o-alice", &message.template_id, 1);
    /// client.send_message(&message).await?;
    /// assert_eq!(wechat.messages()[0].data["thing1"], "图片画好了");
    /// assert!(client.send_message(&message).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Failure`]; the code `NOT_SUBSCRIBED` is the normal case of a user who gave no consent, `TEMPLATE_INVALID` a
    /// wrong template or value.
    pub async fn send_message(&self, message: &SubscribeMessage) -> Result<(), Failure> {
        let wire = MessageWire {
            touser: &message.openid,
            template_id: &message.template_id,
            page: message.page.as_deref(),
            data: message
                .values
                .iter()
                .map(|(key, value)| (key.as_str(), ValueWire { value: fitted(key, value) }))
                .collect(),
            miniprogram_state: match message.state {
                MessageState::Developer => "developer",
                MessageState::Trial => "trial",
                MessageState::Formal => "formal",
            },
            lang: "zh_CN",
        };
        self.api.post::<Empty>("/cgi-bin/message/subscribe/send", &wire).await.map(|Empty {}| ())
    }
}

/// `WeChat` refuses over-long and empty values in place of cutting them.
fn fitted(key: &str, value: &str) -> String {
    let kind = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let limit = match kind {
        "thing" => 20,
        "character_string" | "letter" | "number" => 32,
        "symbol" | "phrase" => 5,
        "phone_number" => 17,
        "car_number" => 8,
        "name" if value.is_ascii() => 20,
        "name" => 10,
        _ => usize::MAX,
    };
    let value = value.trim();
    if value.is_empty() { "-".to_owned() } else { value.chars().take(limit).collect() }
}

#[derive(Serialize)]
struct MessageWire<'a> {
    touser: &'a str,
    template_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<&'a str>,
    data: BTreeMap<&'a str, ValueWire>,
    miniprogram_state: &'a str,
    lang: &'a str,
}

#[derive(Serialize)]
struct ValueWire {
    value: String,
}

#[cfg(test)]
mod tests {
    use super::fitted;

    #[test]
    fn values_are_cut_by_characters_as_their_key_demands() {
        assert_eq!(fitted("thing1", &"图".repeat(30)), "图".repeat(20));
        assert_eq!(fitted("phrase12", "已经完成生成"), "已经完成生");
        assert_eq!(fitted("time2", "2026-01-01 10:00"), "2026-01-01 10:00");
        assert_eq!(fitted("name1", "  "), "-");
    }
}
