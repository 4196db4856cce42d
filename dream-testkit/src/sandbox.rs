//! All fakes at once, with credentials that fit, for `dream sandbox` and for tests of the whole.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dream_core::adapters::OsEntropy;
use dream_core::ports::{Clock, Entropy, EntropyExt};

use crate::control::Control;
use crate::fakes::image_api::{FakeImageApi, ImageApiOptions, Pace};
use crate::fakes::r2::{FakeR2, R2Credentials, R2Options};
use crate::fakes::server::Setup;
use crate::fakes::wechat::{App, FakeWeChat, PushMode, PushTarget, WeChatOptions};
use crate::fakes::wechat_pay::{FakeWeChatPay, PayCredentials, WeChatPayOptions};
use crate::sandbox_state::{Keeper, SandboxState, if_free};

/// The mini-program. It stays the same, since the openids of the sandbox's users follow from it.
const APPID: &str = "wx5a4d0b0c5a4d0b0c";
/// Path of Dream's endpoint for WeChat's message push.
const PUSH_PATH: &str = "/v1/wechat/push";
/// Path of Dream's endpoint for the image API's webhook.
const WEBHOOK_PATH: &str = "/v1/proxy/webhook";

/// How the sandbox is set up.
///
/// ```
/// use dream_core::adapters::SystemClock;
/// use dream_testkit::sandbox::SandboxOptions;
/// use std::sync::Arc;
///
/// // Pictures come at once, and the control page is where one looks for it.
/// let options = SandboxOptions {
///     speed: 1000.0,
///     control: Some(([127, 0, 0, 1], 4100).into()),
///     ..SandboxOptions::new(Arc::new(SystemClock))
/// };
/// assert!(options.wechat.is_none(), "any free port");
/// ```
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Secrets, codes and ids are made of this. Ids must not come again while a database remembers them, so a sandbox
    /// that outlives its process needs real randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where WeChat listens; a free port of 127.0.0.1 if `None`.
    pub wechat: Option<SocketAddr>,
    /// Where WeChat Pay listens; a free port of 127.0.0.1 if `None`.
    pub wechat_pay: Option<SocketAddr>,
    /// Where the image API listens; a free port of 127.0.0.1 if `None`.
    pub image_api: Option<SocketAddr>,
    /// Where R2's S3 API listens; a free port of 127.0.0.1 if `None`.
    pub r2: Option<SocketAddr>,
    /// Where the control page is; a free port of 127.0.0.1 if `None`.
    pub control: Option<SocketAddr>,
    /// Where R2's objects are read by anybody; a free port of 127.0.0.1 if `None`.
    pub r2_public: Option<SocketAddr>,
    /// The mini-program that the merchant is bound to, where it is not the sandbox's own.
    pub merchant_appid: Option<String>,
    /// How much faster than the real one the image API works.
    pub speed: f64,
    /// Whether the image API refuses more than 60 requests a minute and 5 jobs at once, as the real one does.
    pub real_limits: bool,
    /// How long the verdict on a picture takes.
    pub media_delay: Duration,
    /// Where Dream is reached, without a slash at the end: pushes and webhooks go there. See
    /// [`Sandbox::tell_backend`] if it is not known yet.
    pub backend: Option<String>,
    /// The file that keeps ports, payments and jobs between runs; see [`crate::sandbox_state`]. Nothing is kept if `None`.
    pub state: Option<PathBuf>,
}

impl SandboxOptions {
    /// Free ports, real randomness, pictures ten times as fast as the real ones, no limits.
    ///
    /// ```
    /// use dream_core::adapters::SystemClock;
    /// use dream_testkit::sandbox::SandboxOptions;
    /// use std::sync::Arc;
    ///
    /// let options = SandboxOptions::new(Arc::new(SystemClock));
    /// assert!(options.backend.is_none() && !options.real_limits);
    /// ```
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            entropy: Arc::new(OsEntropy),
            wechat: None,
            wechat_pay: None,
            image_api: None,
            r2: None,
            control: None,
            r2_public: None,
            merchant_appid: None,
            speed: 10.0,
            real_limits: false,
            media_delay: Duration::from_secs(2),
            backend: None,
            state: None,
        }
    }
}

/// What Dream has to be configured with to use the sandbox.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::SystemClock;
/// use dream_testkit::sandbox::{Sandbox, SandboxOptions};
/// use std::sync::Arc;
///
/// let sandbox = Sandbox::start(SandboxOptions::new(Arc::new(SystemClock))).await?;
/// let credentials = sandbox.credentials();
/// println!("WECHAT_API_BASE_URL={}", credentials.wechat_base_url);
/// println!("THIRD_PARTY_API_BASE_URL={}", credentials.image_api_base_url);
/// assert_eq!(credentials.wechat_base_url, sandbox.wechat.base_url());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `WECHAT_API_BASE_URL`
    pub wechat_base_url: String,
    /// `WECHAT_APPID`
    pub wechat_appid: String,
    /// `WECHAT_SECRET`
    pub wechat_secret: String,
    /// `WECHAT_PUSH_TOKEN`
    pub push_token: String,
    /// `WECHAT_PUSH_AES_KEY`
    pub push_aes_key: String,
    /// `WECHAT_PAY_…`
    pub pay: PayCredentials,
    /// `THIRD_PARTY_API_BASE_URL`
    pub image_api_base_url: String,
    /// `THIRD_PARTY_API_KEY`
    pub image_api_key: String,
    /// `THIRD_PARTY_WEBHOOK_SECRET`
    pub webhook_secret: String,
    /// `R2_…`
    pub r2: R2Credentials,
}

impl Credentials {
    /// What the backend at this URL has to be told to use the sandbox: the variables of its environment, each key in one
    /// line as an `.env` wants it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use dream_core::adapters::SystemClock;
    /// # use dream_testkit::sandbox::{Sandbox, SandboxOptions};
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let sandbox = Sandbox::start(SandboxOptions::new(Arc::new(SystemClock))).await?;
    /// let variables = sandbox.credentials().environment("http://127.0.0.1:3000");
    /// assert!(variables.iter().any(|(name, _)| *name == "WECHAT_PAY_NOTIFY_URL"));
    /// assert!(variables.iter().all(|(_, value)| !value.contains('\n')));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn environment(&self, backend: &str) -> Vec<(&'static str, String)> {
        let one_line = |pem: &str| pem.trim_end().replace('\n', "\\n");
        vec![
            ("WECHAT_API_BASE_URL", self.wechat_base_url.clone()),
            ("WECHAT_APPID", self.wechat_appid.clone()),
            ("WECHAT_SECRET", self.wechat_secret.clone()),
            ("WECHAT_PUSH_TOKEN", self.push_token.clone()),
            ("WECHAT_PUSH_AES_KEY", self.push_aes_key.clone()),
            ("WECHAT_PAY_BASE_URL", self.pay.base_url.clone()),
            ("WECHAT_PAY_MCH_ID", self.pay.mchid.clone()),
            ("WECHAT_PAY_SERIAL_NO", self.pay.merchant_serial.clone()),
            ("WECHAT_PAY_API_V3_KEY", self.pay.api_v3_key.clone()),
            ("WECHAT_PAY_PRIVATE_KEY", one_line(&self.pay.merchant_key_pem)),
            ("WECHAT_PAY_PUBLIC_KEY_ID", self.pay.platform_key_id.clone()),
            ("WECHAT_PAY_PUBLIC_KEY", one_line(&self.pay.platform_key_pem)),
            ("WECHAT_PAY_NOTIFY_URL", format!("{backend}/v1/orders/payment-callback")),
            ("THIRD_PARTY_API_BASE_URL", self.image_api_base_url.clone()),
            ("THIRD_PARTY_API_KEY", self.image_api_key.clone()),
            ("THIRD_PARTY_WEBHOOK_SECRET", self.webhook_secret.clone()),
            ("R2_ENDPOINT", self.r2.endpoint.clone()),
            ("R2_BUCKET_NAME", self.r2.bucket.clone()),
            ("R2_ACCESS_KEY_ID", self.r2.access_key_id.clone()),
            ("R2_SECRET_ACCESS_KEY", self.r2.secret_access_key.clone()),
            ("R2_PUBLIC_URL", self.r2.public_url.clone()),
        ]
    }
}

/// The outside of Dream on loopback ports. It stops when it is dropped.
///
/// Anybody logs in with a code `sandbox-<name>`, as often as they like; a phone code is `sandbox-phone-<11 digits>`.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::MemoryCache;
/// use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
/// use dream_core::adapters::SystemClock;
/// use dream_core::ports::{LoginCode, WeChat as _};
/// use dream_testkit::sandbox::{Sandbox, SandboxOptions};
/// use std::sync::Arc;
///
/// let clock = Arc::new(SystemClock);
/// let sandbox = Sandbox::start(SandboxOptions::new(clock.clone())).await?;
/// let us = sandbox.credentials();
/// let config = WeChatConfig {
///     base_url: us.wechat_base_url,
///     ..WeChatConfig::new(us.wechat_appid, us.wechat_secret.into())
/// };
/// let wechat = WeChatHttp::new(config, Arc::new(MemoryCache::new(clock.clone())), clock)?;
/// // A name that anybody may log in by, again and again.
/// let code = || LoginCode::new("sandbox-alice".to_owned()).unwrap();
/// assert_eq!(wechat.login(code()).await?.openid, wechat.login(code()).await?.openid);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Sandbox {
    /// WeChat's mini-program API.
    pub wechat: FakeWeChat,
    /// WeChat Pay: payments are announced as they are made, and `/_control/` is a page on which to make them.
    pub wechat_pay: FakeWeChatPay,
    /// The image API.
    pub image_api: FakeImageApi,
    /// R2. Its objects are gone with it.
    pub r2: FakeR2,
    /// The control page.
    pub control: Control,
    keeper: Option<Keeper>,
}

impl Sandbox {
    /// Starts everything.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dream_core::adapters::SystemClock;
    /// use dream_testkit::sandbox::{Sandbox, SandboxOptions};
    /// use std::sync::Arc;
    ///
    /// let options = SandboxOptions {
    ///     backend: Some("http://127.0.0.1:3000".to_owned()),
    ///     ..SandboxOptions::new(Arc::new(SystemClock))
    /// };
    /// let sandbox = Sandbox::start(options).await?;
    /// assert!(sandbox.wechat.push_target().url.is_some(), "it knows where to push");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If a port cannot be opened.
    pub async fn start(mut options: SandboxOptions) -> io::Result<Self> {
        let left = options.state.as_deref().and_then(SandboxState::read).unwrap_or_default();
        options.wechat = options.wechat.or_else(|| if_free(left.wechat));
        options.wechat_pay = options.wechat_pay.or_else(|| if_free(left.wechat_pay));
        options.image_api = options.image_api.or_else(|| if_free(left.image_api));
        options.control = options.control.or_else(|| if_free(left.control));
        let wechat = FakeWeChat::start(wechat_options(&options)).await?;
        let wechat_pay = FakeWeChatPay::start(wechat_pay_options(&options)).await?;
        let image_api = FakeImageApi::start(image_api_options(&options)).await?;
        let r2 = FakeR2::start(r2_options(&options)).await?;
        let setup = Setup::new(options.clock.clone()).at(options.control);
        let control = Control::start(setup, &wechat, &wechat_pay, &image_api).await?;
        let mut sandbox = Self { wechat, wechat_pay, image_api, r2, control, keeper: None };
        if let Some(backend) = &options.backend {
            sandbox.tell_backend(backend);
        }
        if let Some(file) = options.state.clone() {
            sandbox.wechat_pay.restore(left.payments);
            sandbox.image_api.restore(left.jobs);
            sandbox.keeper = Some(sandbox.keep_in(file, &options));
        }
        Ok(sandbox)
    }

    fn keep_in(&self, file: PathBuf, options: &SandboxOptions) -> Keeper {
        let fixed = SandboxState {
            wechat: Some(self.wechat.server().addr()),
            wechat_pay: Some(self.wechat_pay.server().addr()),
            image_api: Some(self.image_api.server().addr()),
            control: Some(self.control.addr()),
            backend: options.backend.clone(),
            appid: options.merchant_appid.clone().unwrap_or_else(|| APPID.to_owned()),
            pay: Some(self.wechat_pay.credentials()),
            ..SandboxState::default()
        };
        let (payments, jobs) = (self.wechat_pay.saver(), self.image_api.saver());
        let snapshot = move || SandboxState { payments: payments(), jobs: jobs(), ..fixed.clone() };
        Keeper::start(file, options.clock.clone(), Arc::new(snapshot))
    }

    /// Says where Dream is reached, without a slash at the end: pushes and webhooks go there from now on.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::sandbox::{Sandbox, SandboxOptions};
    /// # let clock = std::sync::Arc::new(dream_core::adapters::SystemClock);
    /// # let sandbox = Sandbox::start(SandboxOptions::new(clock)).await?;
    /// // Once Dream has found a free port.
    /// sandbox.tell_backend("http://127.0.0.1:3000");
    /// let url = sandbox.wechat.push_target().url;
    /// assert_eq!(url.as_deref(), Some("http://127.0.0.1:3000/v1/wechat/push"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn tell_backend(&self, base_url: &str) {
        self.wechat.set_push_url(Some(format!("{base_url}{PUSH_PATH}")));
        self.image_api.set_webhook_url(Some(format!("{base_url}{WEBHOOK_PATH}")));
    }

    /// What Dream has to be configured with.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::sandbox::{Sandbox, SandboxOptions};
    /// # let clock = std::sync::Arc::new(dream_core::adapters::SystemClock);
    /// # let sandbox = Sandbox::start(SandboxOptions::new(clock)).await?;
    /// let us = sandbox.credentials();
    /// assert_eq!(us.image_api_key, sandbox.image_api.service_key());
    /// assert_eq!(us.pay, sandbox.wechat_pay.credentials());
    /// # Ok(())
    /// # }
    /// ```
    pub fn credentials(&self) -> Credentials {
        let App { appid, secret, .. } = self.wechat.app();
        let PushTarget { token, aes_key, .. } = self.wechat.push_target();
        Credentials {
            wechat_base_url: self.wechat.base_url(),
            wechat_appid: appid,
            wechat_secret: secret,
            push_token: token,
            push_aes_key: aes_key,
            pay: self.wechat_pay.credentials(),
            image_api_base_url: self.image_api.base_url(),
            image_api_key: self.image_api.service_key().to_owned(),
            webhook_secret: self.image_api.webhook_secret().to_owned(),
            r2: self.r2.credentials(),
        }
    }

    /// Stops everything and waits until the ports are free.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::sandbox::{Sandbox, SandboxOptions};
    /// # let clock = std::sync::Arc::new(dream_core::adapters::SystemClock);
    /// # let sandbox = Sandbox::start(SandboxOptions::new(clock)).await?;
    /// let address = sandbox.wechat.server().addr();
    /// sandbox.shutdown().await;
    /// assert!(std::net::TcpListener::bind(address).is_ok(), "every port can be had again");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(self) {
        if let Some(keeper) = self.keeper {
            keeper.finish();
        }
        self.wechat.shutdown().await;
        self.wechat_pay.shutdown().await;
        self.image_api.shutdown().await;
        self.r2.shutdown().await;
        self.control.shutdown().await;
    }
}

fn wechat_options(options: &SandboxOptions) -> WeChatOptions {
    let dice = &*options.entropy;
    let app =
        App { appid: APPID.to_owned(), secret: dice.alphanumeric(32), ghid: "gh_5a4d0b0c5a4d".to_owned() };
    let push = PushTarget {
        url: None,
        token: dice.alphanumeric(24),
        aes_key: dice.alphanumeric(43),
        mode: PushMode::Safe,
    };
    WeChatOptions {
        bind: options.wechat,
        entropy: options.entropy.clone(),
        apps: vec![app],
        sandbox_codes: true,
        everyone_subscribes: true,
        push,
        media_delay: options.media_delay,
        ..WeChatOptions::new(options.clock.clone())
    }
}

fn wechat_pay_options(options: &SandboxOptions) -> WeChatPayOptions {
    WeChatPayOptions {
        bind: options.wechat_pay,
        entropy: options.entropy.clone(),
        appids: vec![options.merchant_appid.clone().unwrap_or_else(|| APPID.to_owned())],
        deliver_by_itself: true,
        ..WeChatPayOptions::new(options.clock.clone())
    }
}

fn image_api_options(options: &SandboxOptions) -> ImageApiOptions {
    let defaults = ImageApiOptions::new(options.clock.clone());
    let (per_minute, at_once) =
        if options.real_limits { (defaults.per_minute, defaults.at_once) } else { (0, 0) };
    ImageApiOptions {
        bind: options.image_api,
        entropy: options.entropy.clone(),
        service_key: options.entropy.token(),
        accept_any_key: true,
        pace: Pace::times(options.speed),
        per_minute,
        at_once,
        webhook_secret: options.entropy.token(),
        ..defaults
    }
}

fn r2_options(options: &SandboxOptions) -> R2Options {
    R2Options {
        bind: options.r2,
        bind_public: options.r2_public,
        access_key_id: options.entropy.alphanumeric(32),
        secret_access_key: options.entropy.token(),
        ..R2Options::new(options.clock.clone())
    }
}
