//! WeChat's mini-program server API over HTTPS.

mod api;
mod errors;
mod subscribe;
mod tokens;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

pub(super) use self::api::{Api, no_sense};
pub(super) use self::errors::RISKY;
pub use self::subscribe::{MessageState, SubscribeMessage};
use crate::error::Fault;
use crate::ports::{Cache, Clock, Failure, FailureKind, LoginCode, Phone, PhoneCode, WeChat, WeChatLogin};
use crate::protocol::encrypted_data::PhoneWire;
use crate::protocol::signature::{hmac_sha256_hex, same};

/// Where WeChat answers.
pub const WECHAT_URL: &str = "https://api.weixin.qq.com";

/// Who we are to WeChat.
///
/// ```
/// use dream_core::adapters::wechat::WeChatConfig;
///
/// let config = WeChatConfig::new("wx0123456789abcdef", "the AppSecret".into());
/// assert_eq!((config.base_url.as_str(), config.timeout.as_secs()), ("https://api.weixin.qq.com", 10));
/// assert!(!format!("{config:?}").contains("AppSecret\""), "it can be logged");
/// ```
#[derive(Clone)]
pub struct WeChatConfig {
    /// The mini-program.
    pub appid: String,
    /// Its `AppSecret`.
    pub secret: SecretString,
    /// [`WECHAT_URL`], or that of a stand-in.
    pub base_url: String,
    /// How long a call may take, with all its repeats.
    pub timeout: Duration,
    /// The pause before a call is repeated; the next one is twice as long. Up to as much again is added by chance.
    pub pause: Duration,
}

impl WeChatConfig {
    /// The real WeChat with the usual time limit of 10 s and pauses of 100 ms.
    ///
    /// ```
    /// use dream_core::adapters::wechat::{WECHAT_URL, WeChatConfig};
    /// use std::time::Duration;
    ///
    /// let config = WeChatConfig {
    ///     timeout: Duration::from_secs(5),
    ///     ..WeChatConfig::new("wx0123456789abcdef", "the AppSecret".into())
    /// };
    /// assert_eq!(config.base_url, WECHAT_URL);
    /// ```
    pub fn new(appid: impl Into<String>, secret: SecretString) -> Self {
        Self {
            appid: appid.into(),
            secret,
            base_url: WECHAT_URL.to_owned(),
            timeout: Duration::from_secs(10),
            pause: Duration::from_millis(100),
        }
    }
}

impl fmt::Debug for WeChatConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeChatConfig")
            .field("appid", &self.appid)
            .field("base_url", &self.base_url)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// WeChat over HTTPS. Cheap to clone; clones share their access token.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
/// use dream_core::ports::{LoginCode, WeChat as _};
///
/// # let app = world.wechat().app();
/// # let code = world.wechat().login_code("o-alice");
/// # let config = WeChatConfig { base_url: world.wechat().base_url(), ..WeChatConfig::new(app.appid, app.secret.into()) };
/// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::at(world.now()));
/// # let cache = std::sync::Arc::new(dream_core::adapters::MemoryCache::new(clock.clone()));
/// let wechat = WeChatHttp::new(config, cache, clock)?;
/// // At start-up: app id, secret and the list of allowed addresses are right.
/// wechat.try_credentials().await?;
/// let login = wechat.login(LoginCode::new(code).unwrap()).await?;
/// assert_eq!(login.openid, "o-alice");
/// assert!(wechat.session_is_valid(&login.openid, &login.session_key).await?);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct WeChatHttp {
    api: Arc<Api>,
}

impl WeChatHttp {
    /// A client whose access token is shared with other nodes through the cache.
    ///
    /// ```
    /// use dream_core::Code;
    /// use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// use dream_core::adapters::{MemoryCache, SystemClock};
    /// use std::sync::Arc;
    ///
    /// let clock = Arc::new(SystemClock);
    /// let cache = Arc::new(MemoryCache::new(clock.clone()));
    /// let nameless = WeChatConfig::new("", "the AppSecret".into());
    /// let wrong = WeChatHttp::new(nameless, cache, clock).unwrap_err();
    /// assert_eq!(wrong.code(), Code::ValidationFailed, "known before anybody is called");
    /// ```
    ///
    /// # Errors
    /// [`crate::Error`] with the field at fault if the configuration cannot be right.
    pub fn new(config: WeChatConfig, cache: Arc<dyn Cache>, clock: Arc<dyn Clock>) -> crate::Result<Self> {
        if config.appid.is_empty() {
            return Err(crate::Error::invalid_field("appid", Fault::Required));
        }
        Ok(Self { api: Arc::new(Api::new(config, cache, clock)?) })
    }

    pub(super) fn api(&self) -> Arc<Api> {
        self.api.clone()
    }

    /// Sees that WeChat gives us an access token, to know at once that app id, `AppSecret` and the list of allowed
    /// addresses are right. A token that is at hand is as good as a new one.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// use dream_core::ports::FailureKind;
    ///
    /// # let appid = wechat.app().appid;
    /// # let cache = std::sync::Arc::new(dream_core::adapters::MemoryCache::new(clock.clone()));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     ..WeChatConfig::new(appid, "of another mini-program".into())
    /// # };
    /// // At start-up, with a secret that was copied wrongly.
    /// let client = WeChatHttp::new(config, cache, clock)?;
    /// assert_eq!(client.try_credentials().await.unwrap_err().kind, FailureKind::Misconfigured);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Failure`]. Safe to repeat.
    pub async fn try_credentials(&self) -> Result<(), Failure> {
        self.api.has_token().await
    }

    /// Whether WeChat still takes this `session_key` for the user's.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// use dream_core::ports::{LoginCode, WeChat as _};
    ///
    /// # let app = wechat.app();
    /// # let cache = std::sync::Arc::new(dream_core::adapters::MemoryCache::new(clock.clone()));
    /// # let config =
    /// #     WeChatConfig { base_url: wechat.base_url(), ..WeChatConfig::new(app.appid, app.secret.into()) };
    /// # let client = WeChatHttp::new(config, cache, clock)?;
    /// # let code = wechat.login_code("o-alice");
    /// let login = client.login(LoginCode::new(code).unwrap()).await?;
    /// assert!(client.session_is_valid(&login.openid, &login.session_key).await?);
    /// assert!(!client.session_is_valid(&login.openid, &"bm90IHRoaXMgb25lIQ==".into()).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Failure`]. Safe to repeat.
    pub async fn session_is_valid(&self, openid: &str, session_key: &SecretString) -> Result<bool, Failure> {
        let signature = hmac_sha256_hex(session_key, b"");
        let query = [("openid", openid), ("signature", &signature), ("sig_method", "hmac_sha256")];
        let answer = self.api.get_with_token::<Empty>("/wxa/checksession", &query).await;
        match answer {
            Ok(Empty {}) => Ok(true),
            Err(failure) if failure.code.as_deref() == Some(errors::SESSION_INVALID) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

#[async_trait]
impl WeChat for WeChatHttp {
    fn appid(&self) -> &str {
        self.api.appid()
    }

    async fn login(&self, code: LoginCode) -> Result<WeChatLogin, Failure> {
        let query = [
            ("appid", self.api.appid()),
            ("secret", self.api.secret().expose_secret()),
            ("js_code", code.0.expose_secret()),
            ("grant_type", "authorization_code"),
        ];
        let session: SessionWire = self.api.get("/sns/jscode2session", &query).await?;
        if session.openid.is_empty() || session.openid.len() > MAX_OPENID_LEN {
            return Err(no_sense("the login has no usable openid"));
        }
        Ok(WeChatLogin {
            openid: session.openid,
            unionid: session.unionid.filter(|id| !id.is_empty()),
            session_key: session.session_key,
        })
    }

    async fn phone(&self, code: PhoneCode, openid: &str) -> Result<Phone, Failure> {
        let body = PhoneRequest { code: code.0.expose_secret(), openid };
        let answer = self.api.post::<PhoneAnswer>("/wxa/business/getuserphonenumber", &body).await;
        let info = answer.map_err(phone_failure)?.phone_info;
        if same(info.watermark.appid.as_bytes(), self.api.appid().as_bytes()) {
            Ok(info.phone.into())
        } else {
            Err(Failure::new(api::SERVICE, FailureKind::Refused, "the phone number is for another app")
                .with_code(errors::CODE_INVALID))
        }
    }
}

/// Longest openid that is believed, in bytes; real ones have 28.
const MAX_OPENID_LEN: usize = 128;

/// Here 40013 speaks about the code, which belongs to another mini-program, and not about us.
fn phone_failure(mut failure: Failure) -> Failure {
    if failure.code.as_deref() == Some("40013") {
        failure.kind = FailureKind::Refused;
        failure.code = Some(errors::CODE_INVALID.to_owned());
    }
    failure
}

#[derive(Deserialize)]
struct Empty {}

#[derive(Deserialize)]
struct SessionWire {
    openid: String,
    #[serde(deserialize_with = "api::secret")]
    session_key: SecretString,
    unionid: Option<String>,
}

#[derive(Serialize)]
struct PhoneRequest<'a> {
    code: &'a str,
    openid: &'a str,
}

#[derive(Deserialize)]
struct PhoneAnswer {
    phone_info: PhoneInfo,
}

#[derive(Deserialize)]
struct PhoneInfo {
    #[serde(flatten)]
    phone: PhoneWire,
    watermark: Watermark,
}

#[derive(Deserialize)]
struct Watermark {
    appid: String,
}
