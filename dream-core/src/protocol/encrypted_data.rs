//! What a mini-program hands over encrypted under the user's `session_key`: AES-128-CBC with PKCS#7 padding.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::signature::{same, sha1_hex};
use super::{cbc, foreign, lenient};
use crate::kernel::Timestamp;
use crate::ports::Phone;

/// Longest `encryptedData` that is looked at, in characters.
pub const MAX_LEN: usize = 16 * 1024;

/// How old or how far ahead a watermark may be. WeChat sets no limit; this one is ours.
pub const FRESH_FOR: Duration = Duration::from_mins(10);

/// It does not decrypt. There is no second kind of error: CBC has no integrity check, and telling which step failed
/// would let a caller decrypt by trial. The usual innocent cause is a `session_key` that a newer login replaced.
///
/// ```
/// use dream_core::kernel::Timestamp;
/// use dream_core::protocol::encrypted_data::{CannotDecrypt, EncryptedData};
///
/// let garbage = EncryptedData { data: "AAAA", iv: "AAAA" };
/// let refused =
///     garbage.open(&"HyVFkGl5F5OQWJZZaNzBBg==".into(), "wx0123456789abcdef", Timestamp::from_secs(0));
/// assert_eq!(refused, Err(CannotDecrypt), "which step failed is nobody's business");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the encrypted data cannot be decrypted")]
pub struct CannotDecrypt;

/// The two texts as the client sent them.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::protocol::encrypted_data::EncryptedData;
///
/// # let now = world.now();
/// # let appid = world.wechat().app().appid;
/// # let session_key = secrecy::SecretString::from("HyVFkGl5F5OQWJZZaNzBBg==");
/// # let phone = serde_json::json!({ "phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86",
/// #     "watermark": { "timestamp": now.as_secs(), "appid": appid } });
/// # let (data, iv) = world.wechat().encrypt_with("HyVFkGl5F5OQWJZZaNzBBg==", &phone);
/// // `data` and `iv` as the button gave them, and the session key of this very login.
/// let sent = EncryptedData { data: &data, iv: &iv };
/// assert_eq!(sent.phone(&session_key, &appid, now)?.number, "13800138000");
/// // It holds for ten minutes, and for this mini-program.
/// assert!(sent.phone(&session_key, &appid, now.plus_days(1)).is_err());
/// assert!(sent.phone(&session_key, "wxffffffffffffffff", now).is_err());
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct EncryptedData<'a> {
    /// `encryptedData`, base64.
    pub data: &'a str,
    /// `iv`, base64 of 16 bytes.
    pub iv: &'a str,
}

/// What the old user info calls give. Since 2022 the name and picture are placeholders.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::protocol::encrypted_data::EncryptedData;
///
/// # let now = world.now();
/// # let appid = world.wechat().app().appid;
/// # let session_key = secrecy::SecretString::from("HyVFkGl5F5OQWJZZaNzBBg==");
/// # let info = serde_json::json!({ "openId": "o-alice", "nickName": "微信用户", "avatarUrl": "",
/// #     "watermark": { "timestamp": now.as_secs(), "appid": appid } });
/// # let (data, iv) = world.wechat().encrypt_with("HyVFkGl5F5OQWJZZaNzBBg==", &info);
/// let sent = EncryptedData { data: &data, iv: &iv };
/// let info = sent.user_info(&session_key, &appid, "o-alice", now)?;
/// assert_eq!(info.nick_name, "微信用户", "a placeholder, since 2022");
/// assert!(sent.user_info(&session_key, &appid, "o-bob", now).is_err(), "it is about somebody else");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserInfo {
    /// The user within this mini-program.
    pub openid: String,
    /// The user within the open platform account, where there is one.
    pub unionid: Option<String>,
    /// The name, mostly a placeholder.
    pub nick_name: String,
    /// The picture's URL, mostly a placeholder.
    pub avatar_url: String,
}

impl EncryptedData<'_> {
    /// The JSON text, once its lengths, padding, encoding, app and age are found right, in this order.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// use dream_core::ports::Clock as _;
    /// use dream_core::protocol::encrypted_data::{EncryptedData, FRESH_FOR};
    ///
    /// # let appid = wechat.app().appid;
    /// # let key = "HyVFkGl5F5OQWJZZaNzBBg==";
    /// # let (data, iv) = wechat.encrypt_with(key, &serde_json::json!({ "groupId": "g-1" }));
    /// # let session_key = key.into();
    /// // Whatever else WeChat encrypts, such as the group that a card was opened in.
    /// let sent = EncryptedData { data: &data, iv: &iv };
    /// let text = sent.open(&session_key, &appid, clock.now())?;
    /// assert_eq!(serde_json::from_str::<serde_json::Value>(&text)?["groupId"], "g-1");
    /// assert!(sent.open(&session_key, &appid, clock.now().plus(FRESH_FOR * 2)).is_err(), "it was kept");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CannotDecrypt`], whatever is wrong.
    pub fn open(
        &self,
        session_key: &SecretString,
        appid: &str,
        now: Timestamp,
    ) -> Result<String, CannotDecrypt> {
        if self.data.len() > MAX_LEN {
            return Err(CannotDecrypt);
        }
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| CannotDecrypt);
        let key = decode(session_key.expose_secret())?;
        if key.len() != 16 {
            return Err(CannotDecrypt);
        }
        let plain = cbc::decrypt(&key, &decode(self.iv)?, &decode(self.data)?, 16).ok_or(CannotDecrypt)?;
        let text = String::from_utf8(plain).map_err(|_| CannotDecrypt)?;
        let watermark = parse::<Marked>(&text)?.watermark;
        let made = Timestamp::from_secs(watermark.timestamp);
        let age = now.since(made).max(made.since(now));
        if same(watermark.appid.as_bytes(), appid.as_bytes()) && age <= FRESH_FOR {
            Ok(text)
        } else {
            Err(CannotDecrypt)
        }
    }

    /// The phone number that the button of older base libraries gives.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// use dream_core::ports::Clock as _;
    /// use dream_core::protocol::encrypted_data::EncryptedData;
    ///
    /// # let appid = wechat.app().appid;
    /// # let key = "HyVFkGl5F5OQWJZZaNzBBg==";
    /// # let phone = serde_json::json!({
    /// #     "phoneNumber": "+85251234567", "purePhoneNumber": "51234567", "countryCode": 852,
    /// # });
    /// # let (data, iv) = wechat.encrypt_with(key, &phone);
    /// # let session_key = key.into();
    /// let phone = EncryptedData { data: &data, iv: &iv }.phone(&session_key, &appid, clock.now())?;
    /// // The country may come as a number.
    /// assert_eq!((phone.country_code.as_str(), phone.pure_number.as_str()), ("852", "51234567"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CannotDecrypt`], whatever is wrong.
    pub fn phone(
        &self,
        session_key: &SecretString,
        appid: &str,
        now: Timestamp,
    ) -> Result<Phone, CannotDecrypt> {
        Ok(parse::<PhoneWire>(&self.open(session_key, appid, now)?)?.into())
    }

    /// The user info, if it is about this user.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// use dream_core::ports::Clock as _;
    /// use dream_core::protocol::encrypted_data::{CannotDecrypt, EncryptedData};
    ///
    /// # let appid = wechat.app().appid;
    /// # let key = "HyVFkGl5F5OQWJZZaNzBBg==";
    /// # let info = serde_json::json!({ "openId": "o-alice", "unionId": "u-1" });
    /// # let (data, iv) = wechat.encrypt_with(key, &info);
    /// # let (session_key, now) = (key.into(), clock.now());
    /// let sent = EncryptedData { data: &data, iv: &iv };
    /// let info = sent.user_info(&session_key, &appid, "o-alice", now)?;
    /// assert_eq!(info.unionid.as_deref(), Some("u-1"));
    /// // Who is signed in as somebody else cannot pass it off as their own.
    /// assert_eq!(sent.user_info(&session_key, &appid, "o-bob", now), Err(CannotDecrypt));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CannotDecrypt`], whatever is wrong.
    pub fn user_info(
        &self,
        session_key: &SecretString,
        appid: &str,
        openid: &str,
        now: Timestamp,
    ) -> Result<UserInfo, CannotDecrypt> {
        let wire: UserInfoWire = parse(&self.open(session_key, appid, now)?)?;
        if !same(wire.open_id.as_bytes(), openid.as_bytes()) {
            return Err(CannotDecrypt);
        }
        Ok(UserInfo {
            openid: wire.open_id,
            unionid: wire.union_id.filter(|id| !id.is_empty()),
            nick_name: wire.nick_name,
            avatar_url: wire.avatar_url,
        })
    }
}

/// Whether `signature` is the one of the old user info calls: SHA-1 over the text and the `session_key` as text.
///
/// ```
/// use dream_core::protocol::encrypted_data::raw_data_is_genuine;
///
/// assert!(!raw_data_is_genuine(
///     r#"{"nickName":"Band"}"#,
///     &"HyVFkGl5F5OQWJZZaNzBBg==".into(),
///     "75e81ceda165f4ff"
/// ));
/// ```
pub fn raw_data_is_genuine(raw_data: &str, session_key: &SecretString, signature: &str) -> bool {
    let expected = sha1_hex(&[raw_data.as_bytes(), session_key.expose_secret().as_bytes()]);
    same(expected.as_bytes(), signature.as_bytes())
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, CannotDecrypt> {
    foreign::json(text.as_bytes()).map_err(|_| CannotDecrypt)
}

#[derive(Deserialize)]
struct Marked {
    watermark: Watermark,
}

#[derive(Deserialize)]
struct Watermark {
    timestamp: i64,
    appid: String,
}

/// A phone number as WeChat writes it, here and in `getuserphonenumber`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PhoneWire {
    phone_number: String,
    pure_phone_number: String,
    #[serde(deserialize_with = "lenient::text")]
    country_code: String,
}

impl From<PhoneWire> for Phone {
    fn from(wire: PhoneWire) -> Self {
        Phone {
            number: wire.phone_number,
            pure_number: wire.pure_phone_number,
            country_code: wire.country_code,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserInfoWire {
    open_id: String,
    union_id: Option<String>,
    #[serde(default)]
    nick_name: String,
    #[serde(default)]
    avatar_url: String,
}
