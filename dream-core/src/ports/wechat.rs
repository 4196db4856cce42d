use std::fmt::Debug;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use super::Failure;

/// The code that `wx.login` gives: five minutes, one use. Taken by value, since it can be used only once.
///
/// ```
/// use dream_core::ports::LoginCode;
///
/// let code = LoginCode::new("081Kq4Ga1MSox41".to_owned()).unwrap();
/// assert!(!format!("{code:?}").contains("081Kq"), "whoever reads the log cannot use it");
/// assert_eq!(code.expose(), "081Kq4Ga1MSox41");
/// assert!(LoginCode::new(String::new()).is_err());
/// ```
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
///
/// ```
/// use dream_core::ports::PhoneCode;
///
/// assert!(PhoneCode::new("e31968a7f94cc5ee".to_owned()).is_ok());
/// assert!(PhoneCode::new("13800138000\n".to_owned()).is_err());
/// ```
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
        Err(crate::Fault::Format(crate::Format::LoginCode))
    }
}

/// What WeChat tells about someone who logged in.
///
/// ```
/// use dream_core::ports::WeChatLogin;
///
/// let login = WeChatLogin {
///     openid: "o-alice".to_owned(),
///     unionid: None,
///     session_key: "HyVFkGl5F5OQWJZZaNzBBg==".into(),
/// };
/// assert!(!format!("{login:?}").contains("HyVF"), "the session key stays where it is");
/// ```
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
///
/// ```
/// use dream_core::ports::Phone;
///
/// let abroad =
///     Phone { number: "+85261234567".into(), pure_number: "61234567".into(), country_code: "852".into() };
/// assert_eq!(abroad.number, format!("+{}{}", abroad.country_code, abroad.pure_number));
/// ```
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::ports::{Failure, FailureKind, LoginCode, Phone, PhoneCode, WeChat, WeChatLogin};
///
/// /// For a program on one's desk: a code is the name of whoever logs in.
/// #[derive(Debug)]
/// struct AnyName;
///
/// #[async_trait::async_trait]
/// impl WeChat for AnyName {
///     fn appid(&self) -> &str { "wx0123456789abcdef" }
///     async fn login(&self, code: LoginCode) -> Result<WeChatLogin, Failure> {
///         Ok(WeChatLogin {
///             openid: format!("o-{}", code.expose()),
///             unionid: None,
///             session_key: "none".into(),
///         })
///     }
///     async fn phone(&self, _: PhoneCode, _: &str) -> Result<Phone, Failure> {
///         Err(Failure::new("any-name", FailureKind::Refused, "no phones here").with_code("CODE_INVALID"))
///     }
/// }
/// let login = AnyName.login(LoginCode::new("alice".to_owned()).unwrap()).await?;
/// assert_eq!(login.openid, "o-alice");
/// # Ok(())
/// # }
/// ```
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
