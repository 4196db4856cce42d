use std::fmt::Debug;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use super::Failure;

/// The code that `wx.login` gives: five minutes, one use. Taken by value, since it can be used only once.
#[derive(Debug)]
pub struct LoginCode(pub(crate) SecretString);

impl LoginCode {
    /// Longest code that is passed on to WeChat.
    pub const MAX_LEN: usize = 512;

    /// A code as the client sent it.
    ///
    /// # Errors
    /// [`crate::Fault`] if it cannot be one: empty, over-long, or with characters outside of printable ASCII.
    pub fn new(code: String) -> Result<Self, crate::Fault> {
        checked(code).map(Self)
    }

    /// The code, for whoever hands it to WeChat. It never goes into a log.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The code that the phone number button gives. It is another code than the one of `wx.login`.
#[derive(Debug)]
pub struct PhoneCode(pub(crate) SecretString);

impl PhoneCode {
    /// A code as the client sent it.
    ///
    /// # Errors
    /// As [`LoginCode::new`].
    pub fn new(code: String) -> Result<Self, crate::Fault> {
        checked(code).map(Self)
    }

    /// The code, for whoever hands it to WeChat. It never goes into a log.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

fn checked(code: String) -> Result<SecretString, crate::Fault> {
    if code.is_empty() || code.len() > LoginCode::MAX_LEN {
        Err(crate::Fault::Length { min: 1, max: LoginCode::MAX_LEN })
    } else if code.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(SecretString::from(code))
    } else {
        Err(crate::Fault::Format("a code of printable ASCII characters"))
    }
}

/// What WeChat tells about someone who logged in.
#[derive(Debug, Clone)]
pub struct WeChatLogin {
    /// The user within this mini-program. Never empty.
    pub openid: String,
    /// The user within the operator's open platform account, where there is one.
    pub unionid: Option<String>,
    /// Decrypts what the client encrypted. Never leaves the server, and is not stored.
    pub session_key: SecretString,
}

/// A phone number that WeChat vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    /// With the country code for foreign numbers, such as `+85261234567`; without for mainland ones.
    pub number: String,
    /// Without the country code.
    pub pure_number: String,
    /// Such as `86`.
    pub country_code: String,
}

/// The login side of WeChat's mini-program API.
#[async_trait]
pub trait WeChat: Debug + Send + Sync + 'static {
    /// The mini-program that users log in to; what a client encrypted must carry it.
    fn appid(&self) -> &str;

    /// Exchanges a login code (`jscode2session`). The code is spent whatever the outcome; a failure with the
    /// code `CODE_INVALID` says that WeChat does not know it or it was used, `HIGH_RISK` that the user is refused.
    async fn login(&self, code: LoginCode) -> Result<WeChatLogin, Failure>;

    /// Exchanges a phone code (`getuserphonenumber`). The code is spent whatever the outcome; `CODE_INVALID` as above.
    async fn phone(&self, code: PhoneCode, openid: &str) -> Result<Phone, Failure>;
}
