//! Subscribe messages.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Inner;
use super::routes::{Outcome, Refusal, app_of, body};
use crate::fakes::lock;
use crate::fakes::server::FakeRequest;

/// A message that reached its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SentMessage {
    /// The user.
    pub openid: String,
    /// The template.
    pub template_id: String,
    /// The page that opens.
    pub page: Option<String>,
    /// The values.
    pub data: BTreeMap<String, String>,
}

/// Consents and what was sent.
#[derive(Debug, Default)]
pub(super) struct Messages {
    consents: HashMap<(String, String), u64>,
    sent: Vec<SentMessage>,
}

impl Messages {
    pub(super) fn subscribe(&mut self, openid: &str, template_id: &str, messages: u64) {
        *self.consents.entry((openid.to_owned(), template_id.to_owned())).or_default() += messages;
    }

    pub(super) fn sent(&self) -> Vec<SentMessage> {
        self.sent.clone()
    }

    /// Takes one consent.
    fn use_consent(&mut self, openid: &str, template_id: &str) -> Result<(), i64> {
        let left = self.consents.get_mut(&(openid.to_owned(), template_id.to_owned())).ok_or(43101)?;
        *left = left.checked_sub(1).ok_or(43101)?;
        Ok(())
    }
}

#[derive(Deserialize)]
struct SendRequest {
    touser: String,
    template_id: String,
    page: Option<String>,
    data: BTreeMap<String, Field>,
    miniprogram_state: Option<String>,
    lang: Option<String>,
}

#[derive(Deserialize)]
struct Field {
    value: String,
}

pub(super) fn send(fake: &Inner, request: &FakeRequest) -> Outcome {
    let appid = app_of(fake, request)?;
    let asked: SendRequest = body(request)?;
    let one_of =
        |value: &Option<String>, names: &[&str]| value.as_deref().is_none_or(|value| names.contains(&value));
    if !one_of(&asked.miniprogram_state, &["developer", "trial", "formal"])
        || !one_of(&asked.lang, &["zh_CN", "en_US", "zh_HK", "zh_TW"])
    {
        return Err(47001.into());
    }
    let mut state = lock(&fake.state);
    state.accounts.find(&appid, &asked.touser).ok_or(40003)?;
    let templates = &fake.options.templates;
    if asked.template_id.is_empty() || !(templates.is_empty() || templates.contains(&asked.template_id)) {
        return Err(40037.into());
    }
    if asked.page.as_deref().is_some_and(|page| page.contains("://")) {
        return Err(41030.into());
    }
    if let Some((name, _)) = asked.data.iter().find(|(name, field)| !is_fit(name, &field.value)) {
        return Err(Refusal::new(47003, format!("data.{name}.value invalid")));
    }
    if !fake.options.everyone_subscribes {
        state.messages.use_consent(&asked.touser, &asked.template_id)?;
    }
    let data = asked.data.into_iter().map(|(name, field)| (name, field.value)).collect();
    let SendRequest { touser, template_id, page, .. } = asked;
    state.messages.sent.push(SentMessage { openid: touser, template_id, page, data });
    Ok(json!({"errcode": 0, "errmsg": "ok", "msgid": fake.random() >> 1}))
}

/// Whether the value keeps the rule of its kind, which the letters of its name tell.
fn is_fit(name: &str, value: &str) -> bool {
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let length = value.chars().count();
    let all = |rule: fn(char) -> bool| value.chars().all(rule);
    let fits = match kind {
        "thing" => length <= 20,
        "character_string" => length <= 32 && all(|c| c.is_ascii_graphic()),
        "letter" => length <= 32 && all(|c| c.is_ascii_alphabetic()),
        "symbol" => length <= 5 && all(|c| !c.is_alphanumeric()),
        "number" => length <= 32 && value.parse::<f64>().is_ok(),
        "amount" => length <= 13 && value.contains(|c: char| c.is_ascii_digit()),
        "time" | "date" => value.contains(|c: char| c.is_ascii_digit()),
        "phone_number" => length <= 17 && all(|c| c.is_ascii_digit() || matches!(c, '+' | '-')),
        "car_number" => length <= 8,
        "name" => length <= if value.is_ascii() { 20 } else { 10 },
        "phrase" => length <= 5 && all(|c| !c.is_ascii()),
        "enum" => true,
        _ => false,
    };
    length > 0 && fits
}
