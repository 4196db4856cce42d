//! WeChat's mini-program server API: logins, access tokens, phone numbers, content checks, subscribe messages.
//!
//! Codes work once and for five minutes; of concurrent uses exactly one wins. A text is `risky` if it contains `risky`
//! or `违规`, and up for `review` if it contains `review` or `待审`; so is a picture whose URL does, unless the test says
//! otherwise. With [`WeChatOptions::sandbox_codes`], `sandbox-<name>` logs in as the same user again and again
//! (`sandbox-blocked`, `-busy`, `-throttled`, `-expired` and `-used` are refused as their names say), and
//! `sandbox-phone-<11 digits>` is a phone code for that number.

mod accounts;
mod answers;
mod content;
mod control;
mod crypto;
mod messages;
mod push;
mod routes;
mod tokens;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dream_core::kernel::Timestamp;
use dream_core::ports::{Clock, Entropy, EntropyExt};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use accounts::WeChatUser;
pub use answers::business_error;
pub use content::{MediaCheck, MediaPlan, PushPlan, Suggest, TextChecked};
pub use messages::SentMessage;
pub use push::{PushMode, PushTarget, Pushed, SignedPush};

use super::server::{FakeServer, Handler, RequestLog, Setup, handler};
use super::{lock, outgoing_client};
use crate::entropy::SeededEntropy;
use crate::faults::Faults;

/// Names of the operations, for [`Faults`] and [`FakeWeChat::calls`].
pub mod operation {
    /// `GET /sns/jscode2session`
    pub const LOGIN: &str = "login";
    /// `POST /cgi-bin/stable_token`
    pub const STABLE_TOKEN: &str = "stable_token";
    /// `GET /cgi-bin/token`
    pub const TOKEN: &str = "token";
    /// `POST /wxa/business/getuserphonenumber`
    pub const PHONE: &str = "phone";
    /// `POST /wxa/msg_sec_check`
    pub const TEXT_CHECK: &str = "text_check";
    /// `POST /wxa/media_check_async`
    pub const MEDIA_CHECK: &str = "media_check";
    /// `GET /wxa/checksession`
    pub const CHECK_SESSION: &str = "check_session";
    /// `POST /cgi-bin/message/subscribe/send`
    pub const SUBSCRIBE: &str = "subscribe";
}

/// A mini-program that the fake knows.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// let app = world.wechat().app();
/// assert!(app.appid.starts_with("wx"));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Such as `wx8f3c2d71a0b9e456`.
    pub appid: String,
    /// The `AppSecret`.
    pub secret: String,
    /// The original id, which messages are addressed to.
    pub ghid: String,
}

/// How many calls are taken before WeChat says too often. 0 is no limit.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.wechat(|options| options.limits.logins_per_minute = 1), async |world| {
/// use dream_core::ports::LoginCode;
/// use dream_core::{Code, Login};
/// use dream_testkit::fakes::wechat::Limits;
///
/// let limits = Limits { logins_per_minute: 1, ..Limits::default() };
/// # let _ = limits;
/// let login = || Login {
///     code: LoginCode::new(world.wechat().login_code("o-alice")).unwrap(),
///     phone: None, nick_name: None, avatar_url: None,
/// };
/// world.nobody().login(login()).await?;
/// assert_eq!(world.nobody().login(login()).await.unwrap_err().code(), Code::RateLimited);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Logins of one user a minute; beyond: 45011.
    pub logins_per_minute: u64,
    /// Text checks a minute; beyond: 45009.
    pub text_checks_per_minute: u64,
    /// Picture checks a minute; beyond: 45009.
    pub media_checks_per_minute: u64,
    /// Calls of `token` a day; beyond: 45009.
    pub tokens_per_day: u64,
}

/// How the fake is set up.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_testkit::clock::TestClock;
/// use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
/// use std::sync::Arc;
///
/// let options = WeChatOptions { sandbox_codes: true, ..WeChatOptions::new(Arc::new(TestClock::default())) };
/// let wechat = FakeWeChat::start(options).await?;
/// // Without a phone at hand: `sandbox-alice` is a login code of this user.
/// assert!(!wechat.sandbox_openid("alice").is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct WeChatOptions {
    /// The address to listen on; a free port of 127.0.0.1 if `None`.
    pub bind: Option<SocketAddr>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Codes, keys and tokens are made of this.
    pub entropy: Arc<dyn Entropy>,
    /// The mini-programs; the first is the one that short methods mean.
    pub apps: Vec<App>,
    /// Whether codes that start with `sandbox-` log in, as often as wanted.
    pub sandbox_codes: bool,
    /// Whether every user has agreed to every subscribe message.
    pub everyone_subscribes: bool,
    /// The templates of subscribe messages; any if empty.
    pub templates: Vec<String>,
    /// How long an access token lives.
    pub token_life: Duration,
    /// Whether `countryCode` is a number rather than text: both have been seen.
    pub numeric_country_code: bool,
    /// How often is too often.
    pub limits: Limits,
    /// Where and how messages are pushed.
    pub push: PushTarget,
    /// How long the verdict on a picture takes.
    pub media_delay: Duration,
}

impl WeChatOptions {
    /// One mini-program, no sandbox codes, no limits, tokens of two hours, verdicts at once.
    ///
    /// ```
    /// use dream_testkit::clock::TestClock;
    /// use dream_testkit::fakes::wechat::{Limits, WeChatOptions};
    /// use std::sync::Arc;
    ///
    /// let options = WeChatOptions::new(Arc::new(TestClock::default()));
    /// assert_eq!((options.apps.len(), options.limits), (1, Limits::default()));
    /// ```
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let app = App {
            appid: "wxf00dfacade0ff1ce".to_owned(),
            secret: "0123456789abcdef0123456789abcdef".to_owned(),
            ghid: "gh_0123456789ab".to_owned(),
        };
        Self {
            bind: None,
            clock,
            entropy: Arc::new(SeededEntropy::new(1)),
            apps: vec![app],
            sandbox_codes: false,
            everyone_subscribes: false,
            templates: Vec::new(),
            token_life: Duration::from_hours(2),
            numeric_country_code: false,
            limits: Limits::default(),
            push: PushTarget::default(),
            media_delay: Duration::ZERO,
        }
    }
}

/// What changes while the fake runs.
#[derive(Debug, Default)]
struct State {
    accounts: accounts::Accounts,
    tokens: tokens::Tokens,
    content: content::Content,
    messages: messages::Messages,
    calls: BTreeMap<&'static str, u64>,
    windows: BTreeMap<String, (i64, u64)>,
}

impl State {
    /// Counts a call in its window; the code if it is one too many.
    fn count(&mut self, what: String, window: i64, limit: u64, errcode: i64) -> Result<(), i64> {
        let entry = self.windows.entry(what).or_default();
        *entry = if entry.0 == window { (window, entry.1 + 1) } else { (window, 1) };
        if limit > 0 && entry.1 > limit { Err(errcode) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct Inner {
    options: WeChatOptions,
    push: Mutex<PushTarget>,
    http: reqwest::Client,
    state: Mutex<State>,
    faults: Faults,
    log: Arc<RequestLog>,
    pushes: TaskTracker,
    stop: CancellationToken,
}

impl Inner {
    fn now(&self) -> Timestamp {
        self.options.clock.now()
    }

    fn dice(&self) -> &dyn Entropy {
        &*self.options.entropy
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        self.dice().fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    /// An id in the form of WeChat's request and trace ids.
    fn trace_id(&self) -> String {
        let random = self.random();
        format!("{:08x}-{:08x}-{:08x}", self.now().as_secs(), random >> 32, random & 0xffff_ffff)
    }

    fn main_app(&self) -> Result<&App, i64> {
        self.options.apps.first().ok_or(40013)
    }
}

/// WeChat's mini-program server API on a loopback port. It stops when it is dropped.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_testkit::fakes::wechat::operation;
///
/// world.alice().await;
/// assert_eq!(world.wechat().calls(operation::LOGIN), 1);
/// assert_eq!(world.wechat().user("o-alice").ok_or("unknown")?.logins, 1);
/// // From now on WeChat knows her within the operator's account, too.
/// world.wechat().set_unionid("o-alice", Some("u-1"));
/// assert_eq!(world.alice().await.session().await.me().await?.unionid.as_deref(), Some("u-1"));
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct FakeWeChat {
    inner: Arc<Inner>,
    server: FakeServer,
}

impl FakeWeChat {
    /// Starts it.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dream_testkit::clock::TestClock;
    /// use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// use std::sync::Arc;
    ///
    /// let wechat = FakeWeChat::start(WeChatOptions::new(Arc::new(TestClock::default()))).await?;
    /// let stranger = reqwest::get(format!("{}/sns/jscode2session?appid=wx0", wechat.base_url())).await?;
    /// // As WeChat does, it answers 200 whatever is wrong.
    /// assert_eq!(stranger.status(), 200);
    /// assert_eq!(stranger.json::<serde_json::Value>().await?["errcode"], 41004, "no secret");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the port cannot be opened.
    pub async fn start(options: WeChatOptions) -> io::Result<Self> {
        let setup = Setup::new(options.clock.clone()).at(options.bind);
        let inner = Arc::new(Inner {
            push: Mutex::new(options.push.clone()),
            http: outgoing_client()?,
            state: Mutex::default(),
            faults: Faults::default(),
            log: setup.log.clone(),
            pushes: TaskTracker::new(),
            stop: CancellationToken::new(),
            options,
        });
        let desk = inner.clone();
        let server = FakeServer::start(setup, move |request| routes::answer(desk.clone(), request)).await?;
        Ok(Self { inner, server })
    }

    /// What stands under `/_control/`, for a page that lies elsewhere.
    pub(crate) fn knobs(&self) -> Handler {
        let fake = self.inner.clone();
        handler(move |request| {
            let answer = control::answer(&fake, &request);
            async move { answer }
        })
    }

    /// Where it answers, without a slash at the end.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// use dream_core::adapters::wechat::WeChatConfig;
    ///
    /// # let app = wechat.app();
    /// let config =
    ///     WeChatConfig { base_url: wechat.base_url(), ..WeChatConfig::new(app.appid, app.secret.into()) };
    /// assert!(!config.base_url.ends_with('/'));
    /// # Ok(())
    /// # }
    /// ```
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }

    /// The server, to take it down or read its log.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// use dream_core::ports::FailureKind;
    ///
    /// wechat.server().go_down().await?;
    /// let code = LoginCode::new(wechat.login_code("o-alice")).unwrap();
    /// assert_eq!(client.login(code).await.unwrap_err().kind, FailureKind::Unreachable);
    /// # Ok(())
    /// # }
    /// ```
    pub fn server(&self) -> &FakeServer {
        &self.server
    }

    /// What is to go wrong; [`operation`] has the names.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// use dream_testkit::fakes::wechat::operation;
    /// use dream_testkit::faults::Fault;
    ///
    /// // A page of a gateway, which is no answer of WeChat's.
    /// wechat.faults().always(operation::LOGIN, Fault::html(502));
    /// let code = LoginCode::new(wechat.login_code("o-alice")).unwrap();
    /// assert!(client.login(code).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// The first mini-program.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// assert_eq!(client.appid(), wechat.app().appid);
    /// # Ok(())
    /// # }
    /// ```
    pub fn app(&self) -> App {
        self.inner.options.apps.first().cloned().unwrap_or_else(|| App {
            appid: String::new(),
            secret: String::new(),
            ghid: String::new(),
        })
    }

    /// A user opens the mini-program (`wx.login`): a code that works once within five minutes, and a new session key.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// let code = wechat.login_code("o-alice");
    /// let login = || client.login(LoginCode::new(code.clone()).unwrap());
    /// assert_eq!(login().await?.openid, "o-alice");
    /// assert!(login().await.is_err(), "a code works once");
    /// # Ok(())
    /// # }
    /// ```
    pub fn login_code(&self, openid: &str) -> String {
        self.login_code_for(&self.app().appid, openid)
    }

    /// [`FakeWeChat::login_code`] of another mini-program.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// // A code of another mini-program is worth nothing here.
    /// let code = wechat.login_code_for("wxffffffffffffffff", "o-alice");
    /// assert!(client.login(LoginCode::new(code).unwrap()).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn login_code_for(&self, appid: &str, openid: &str) -> String {
        let now = self.inner.now();
        lock(&self.inner.state).accounts.mint_login(appid, openid, now, self.inner.dice())
    }

    /// A user presses the phone number button. A foreign number starts with `+`.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// use dream_core::ports::PhoneCode;
    ///
    /// let code = wechat.phone_code("o-alice", "13800138000");
    /// let phone = client.phone(PhoneCode::new(code).unwrap(), "o-alice").await?;
    /// assert_eq!((phone.pure_number.as_str(), phone.country_code.as_str()), ("13800138000", "86"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn phone_code(&self, openid: &str, number: &str) -> String {
        self.phone_code_for(&self.app().appid, openid, number)
    }

    /// [`FakeWeChat::phone_code`] of another mini-program.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// use dream_core::ports::PhoneCode;
    ///
    /// let code = wechat.phone_code_for("wxffffffffffffffff", "o-alice", "13800138000");
    /// assert!(client.phone(PhoneCode::new(code).unwrap(), "o-alice").await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn phone_code_for(&self, appid: &str, openid: &str, number: &str) -> String {
        let now = self.inner.now();
        lock(&self.inner.state).accounts.mint_phone(appid, openid, number, now, self.inner.dice())
    }

    /// The openid that the reusable code `sandbox-<name>` logs in as.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// // The same in every run, so that a database remembers her.
    /// assert_eq!(wechat.sandbox_openid("alice"), wechat.sandbox_openid("alice"));
    /// assert_ne!(wechat.sandbox_openid("alice"), wechat.sandbox_openid("bob"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn sandbox_openid(&self, name: &str) -> String {
        accounts::sandbox_openid(&self.app().appid, name)
    }

    /// Answers this login or phone code with this error from now on. 40226: blocked; 45011: too often; -1: busy.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// let code = wechat.login_code("o-mallory");
    /// wechat.answer_code(&code, 40226);
    /// let refused = client.login(LoginCode::new(code).unwrap()).await.unwrap_err();
    /// assert_eq!(refused.code.as_deref(), Some("HIGH_RISK"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn answer_code(&self, code: &str, errcode: i64) {
        lock(&self.inner.state).accounts.trouble(code, errcode, None);
    }

    /// Answers this code with this error so many times; then it works as if nothing had happened.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// let code = wechat.login_code("o-alice");
    /// // Busy, once: whoever repeats the call gets through.
    /// wechat.answer_code_times(&code, -1, 1);
    /// assert_eq!(client.login(LoginCode::new(code).unwrap()).await?.openid, "o-alice");
    /// # Ok(())
    /// # }
    /// ```
    pub fn answer_code_times(&self, code: &str, errcode: i64, times: u64) {
        lock(&self.inner.state).accounts.trouble(code, errcode, Some(times));
    }

    /// Binds the user to an account of the open platform.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// wechat.set_unionid("o-alice", Some("u-1"));
    /// let code = LoginCode::new(wechat.login_code("o-alice")).unwrap();
    /// assert_eq!(client.login(code).await?.unionid.as_deref(), Some("u-1"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_unionid(&self, openid: &str, unionid: Option<&str>) {
        let appid = self.app().appid;
        lock(&self.inner.state).accounts.user(&appid, openid).unionid = unionid.map(str::to_owned);
    }

    /// The user of this openid, if WeChat ever saw them.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// assert_eq!(wechat.user("o-alice"), None);
    /// wechat.login_code("o-alice");
    /// // She has opened the mini-program, and nobody has asked who she is.
    /// assert_eq!(wechat.user("o-alice").unwrap().logins, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn user(&self, openid: &str) -> Option<WeChatUser> {
        lock(&self.inner.state).accounts.find(&self.app().appid, openid).cloned()
    }

    /// Everybody, of all mini-programs.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// wechat.login_code("o-alice");
    /// wechat.login_code_for("wxffffffffffffffff", "o-alice");
    /// assert_eq!(wechat.users().len(), 2, "to each mini-program somebody else");
    /// # Ok(())
    /// # }
    /// ```
    pub fn users(&self) -> Vec<WeChatUser> {
        lock(&self.inner.state).accounts.users()
    }

    /// Encrypts as `wx.getPhoneNumber` does for the user's newest session key: `(encryptedData, iv)`. A `watermark` of
    /// the mini-program and the present time is added unless the data brings its own.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// use dream_core::ports::Clock as _;
    /// use dream_core::protocol::encrypted_data::EncryptedData;
    ///
    /// let code = LoginCode::new(wechat.login_code("o-alice")).unwrap();
    /// let login = client.login(code).await?;
    /// let (data, iv) = wechat.encrypt_for("o-alice", &serde_json::json!({ "openGId": "g-1" }));
    /// let sent = EncryptedData { data: &data, iv: &iv };
    /// assert!(sent.open(&login.session_key, client.appid(), clock.now())?.contains("g-1"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn encrypt_for(&self, openid: &str, data: &Value) -> (String, String) {
        let appid = self.app().appid;
        let key = lock(&self.inner.state).accounts.user(&appid, openid).session_key.clone();
        self.encrypt_with(&key, data)
    }

    /// [`FakeWeChat::encrypt_for`] under a key of one's choice; empty texts if it is no key.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// let phone = serde_json::json!({ "purePhoneNumber": "13800138000" });
    /// let (data, iv) = wechat.encrypt_with("HyVFkGl5F5OQWJZZaNzBBg==", &phone);
    /// assert!(!data.is_empty() && !iv.is_empty());
    /// assert!(wechat.encrypt_with("no key", &phone).0.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn encrypt_with(&self, session_key: &str, data: &Value) -> (String, String) {
        let mut data = data.clone();
        if let Some(members) = data.as_object_mut() {
            members.entry("watermark").or_insert_with(
                || json!({"timestamp": self.inner.now().as_secs(), "appid": self.app().appid}),
            );
        }
        let mut iv = [0; 16];
        self.inner.dice().fill(&mut iv);
        let text = crypto::seal_data(session_key, iv, &data.to_string()).unwrap_or_default();
        (text, base64::Engine::encode(&base64::engine::general_purpose::STANDARD, iv))
    }

    /// Ends every access token: the next call with one gets 40001.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// use dream_core::ports::PhoneCode;
    /// use dream_testkit::fakes::wechat::operation;
    ///
    /// client.try_credentials().await?;
    /// // As when somebody asks for a token elsewhere: a new one is asked for, and the call gets through.
    /// wechat.revoke_tokens();
    /// let code = wechat.phone_code("o-alice", "13800138000");
    /// client.phone(PhoneCode::new(code).unwrap(), "o-alice").await?;
    /// assert_eq!(wechat.calls(operation::STABLE_TOKEN), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn revoke_tokens(&self) {
        let now = self.inner.now();
        lock(&self.inner.state).tokens.revoke_all(now);
    }

    /// Lets the time of every access token run out: the next call with one gets 42001.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// use dream_core::ports::PhoneCode;
    ///
    /// client.try_credentials().await?;
    /// wechat.expire_tokens();
    /// let code = wechat.phone_code("o-alice", "13800138000");
    /// assert!(client.phone(PhoneCode::new(code).unwrap(), "o-alice").await.is_ok(), "by a new token");
    /// # Ok(())
    /// # }
    /// ```
    pub fn expire_tokens(&self) {
        let now = self.inner.now();
        lock(&self.inner.state).tokens.expire_all(now);
    }

    /// How often the operation was called, whatever came of it.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// use dream_testkit::fakes::wechat::operation;
    ///
    /// assert!(client.login(LoginCode::new("made-up".to_owned()).unwrap()).await.is_err());
    /// assert_eq!(wechat.calls(operation::LOGIN), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn calls(&self, operation: &str) -> u64 {
        lock(&self.inner.state).calls.get(operation).copied().unwrap_or(0)
    }

    /// The texts that were checked, oldest first.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::ProfileUpdate;
    ///
    /// # let me = world.alice().await.session().await;
    /// let nick_name = Some("Alice".parse().unwrap());
    /// me.update_profile(ProfileUpdate { nick_name, ..ProfileUpdate::default() }).await?;
    /// assert_eq!(world.wechat().text_checks()[0].content, "Alice");
    /// # Ok(())
    /// # });
    /// ```
    pub fn text_checks(&self) -> Vec<TextChecked> {
        lock(&self.inner.state).content.texts()
    }

    /// The pictures that were handed in, oldest first, with what was pushed about them.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// # use dream_core::gallery::{Publication, category};
    /// # let alice = world.alice().await;
    /// # let job = alice.generates("a cat").await.job_id;
    /// # world.settle().await;
    /// # let cartoon = category("cartoon").unwrap();
    /// # let publication = Publication { job, index: 0, category: cartoon, tags: vec![] };
    /// let image = alice.session().await.publish(&publication).await?;
    /// world.work().await;
    /// assert_eq!(world.wechat().media_checks()[0].url, image.image_url);
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn media_checks(&self) -> Vec<MediaCheck> {
        lock(&self.inner.state).content.media()
    }

    /// What becomes of pictures from now on.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_testkit::fakes::wechat::{MediaPlan, Suggest};
    ///
    /// # use dream_core::gallery::{Publication, category};
    /// # let alice = world.alice().await;
    /// # let job = alice.generates("a cat").await.job_id;
    /// # world.settle().await;
    /// # let cartoon = category("cartoon").unwrap();
    /// # let publication = Publication { job, index: 0, category: cartoon, tags: vec![] };
    /// world.wechat().plan_media(MediaPlan { suggest: Some(Suggest::Review), ..MediaPlan::default() });
    /// alice.session().await.publish(&publication).await?;
    /// world.work().await;
    /// assert_eq!(world.wechat().media_checks()[0].suggest, Suggest::Review);
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn plan_media(&self, plan: MediaPlan) {
        lock(&self.inner.state).content.plan(plan);
    }

    /// What becomes of the next picture; several queue up.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_testkit::fakes::wechat::{MediaPlan, PushPlan};
    ///
    /// # use dream_core::gallery::{Publication, category};
    /// # let alice = world.alice().await;
    /// # let job = alice.generates("a cat").await.job_id;
    /// # world.settle().await;
    /// # let cartoon = category("cartoon").unwrap();
    /// # let publication = Publication { job, index: 0, category: cartoon, tags: vec![] };
    /// world.wechat().plan_next_media(MediaPlan { push: PushPlan::Never, ..MediaPlan::default() });
    /// alice.session().await.publish(&publication).await?;
    /// world.settle().await;
    /// assert!(world.wechat().media_checks()[0].pushes.is_empty(), "its verdict never came");
    /// # Ok(())
    /// # });
    /// ```
    pub fn plan_next_media(&self, plan: MediaPlan) {
        lock(&self.inner.state).content.plan_next(plan);
    }

    /// Where messages are pushed from now on; `None`: nowhere.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// wechat.set_push_url(Some("http://127.0.0.1:3000/v1/wechat/push".to_owned()));
    /// assert!(wechat.push_target().url.unwrap().ends_with("/v1/wechat/push"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_push_url(&self, url: Option<String>) {
        lock(&self.inner.push).url = url;
    }

    /// How messages are pushed from now on.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// use dream_testkit::fakes::wechat::PushMode;
    ///
    /// let event = serde_json::json!({ "MsgType": "text" });
    /// wechat.set_push_mode(PushMode::Compatible);
    /// let both = wechat.signed_push(&event).body;
    /// assert!(both.contains("MsgType") && both.contains("Encrypt"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_push_mode(&self, mode: PushMode) {
        lock(&self.inner.push).mode = mode;
    }

    /// Where and how messages are pushed.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// use dream_core::protocol::message_push::PushReceiver;
    ///
    /// // What one copies out of the console.
    /// let console = wechat.push_target();
    /// let key = console.aes_key.into();
    /// assert!(PushReceiver::new(wechat.app().appid, console.token.into(), Some(&key)).is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn push_target(&self) -> PushTarget {
        lock(&self.inner.push).clone()
    }

    /// A message as it would be pushed, for a test that wants to tamper with it.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::protocol::message_push::PushQuery;
    ///
    /// let push = world.wechat().signed_push(&serde_json::json!({ "MsgType": "text" }));
    /// let found = |name| push.query.iter().find(|(known, _)| known == name);
    /// let value = |name| found(name).map(|(_, value)| value.as_str());
    /// let query = PushQuery {
    ///     signature: value("signature").unwrap(),
    ///     timestamp: value("timestamp").unwrap(),
    ///     nonce: "changed on its way",
    ///     msg_signature: value("msg_signature"),
    ///     encrypt_type: value("encrypt_type"),
    ///     echostr: None,
    /// };
    /// assert!(world.dream().wechat_push(&query, push.body.as_bytes()).is_err());
    /// # Ok(())
    /// # });
    /// ```
    pub fn signed_push(&self, event: &Value) -> SignedPush {
        push::sign(&self.inner, &self.push_target(), event)
    }

    /// Pushes a message, up to three times until it is answered as it should be.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let pushed = world.wechat().push(&serde_json::json!({ "MsgType": "text" })).await;
    /// // The server of this world answers 200 with nothing, which will do.
    /// assert!(pushed.len() == 1 && pushed[0].is_received());
    /// # Ok(())
    /// # });
    /// ```
    pub async fn push(&self, event: &Value) -> Vec<Pushed> {
        push::deliver(&self.inner, event).await
    }

    /// The check that the console makes when a push URL is entered: whether it passed.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// use http::StatusCode;
    ///
    /// let echo = |request: dream_testkit::fakes::server::FakeRequest| async move {
    ///     FakeResponse::text(StatusCode::OK, request.param("echostr").unwrap_or_default())
    /// };
    /// let server = FakeServer::start(Setup::new(clock), echo).await?;
    /// assert!(!wechat.check_push_url().await, "none was entered");
    /// wechat.set_push_url(Some(server.base_url()));
    /// assert!(wechat.check_push_url().await);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn check_push_url(&self) -> bool {
        push::check_url(&self.inner).await
    }

    /// The user agrees to so many messages of the template.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// use dream_core::adapters::wechat::{MessageState, SubscribeMessage};
    ///
    /// let message = SubscribeMessage {
    ///     openid: "o-alice".to_owned(),
    ///     template_id: "a-template".to_owned(),
    ///     page: None,
    ///     values: [("thing1".to_owned(), "图片画好了".to_owned())].into(),
    ///     state: MessageState::Formal,
    /// };
    /// wechat.login_code("o-alice");
    /// wechat.subscribe("o-alice", "a-template", 2);
    /// assert!(client.send_message(&message).await.is_ok());
    /// assert!(client.send_message(&message).await.is_ok());
    /// assert!(client.send_message(&message).await.is_err(), "she has agreed to two");
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe(&self, openid: &str, template_id: &str, messages: u64) {
        lock(&self.inner.state).messages.subscribe(openid, template_id, messages);
    }

    /// The messages that were sent, oldest first.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::MemoryCache;
    /// # use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// # use dream_core::ports::{LoginCode, WeChat as _};
    /// # let (app, cache) = (wechat.app(), std::sync::Arc::new(MemoryCache::new(clock.clone())));
    /// # let config = WeChatConfig {
    /// #     base_url: wechat.base_url(),
    /// #     pause: std::time::Duration::from_millis(1),
    /// #     ..WeChatConfig::new(app.appid, app.secret.into())
    /// # };
    /// # let client = WeChatHttp::new(config, cache, clock.clone())?;
    /// # use dream_core::adapters::wechat::{MessageState, SubscribeMessage};
    /// # let message = SubscribeMessage {
    /// #     openid: "o-alice".to_owned(),
    /// #     template_id: "a-template".to_owned(),
    /// #     page: None,
    /// #     values: [("thing1".to_owned(), "图片画好了".to_owned())].into(),
    /// #     state: MessageState::Formal,
    /// # };
    /// # wechat.login_code("o-alice");
    /// wechat.subscribe("o-alice", "a-template", 1);
    /// client.send_message(&message).await?;
    /// let sent = &wechat.messages()[0];
    /// assert_eq!((sent.openid.as_str(), sent.template_id.as_str()), ("o-alice", "a-template"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn messages(&self) -> Vec<SentMessage> {
        lock(&self.inner.state).messages.sent()
    }

    /// Stops and waits until the port is free. Verdicts that are still due are dropped.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await?;
    /// let address = wechat.server().addr();
    /// wechat.shutdown().await;
    /// assert!(std::net::TcpListener::bind(address).is_ok(), "the port can be had again");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(self) {
        self.inner.stop.cancel();
        self.inner.pushes.close();
        self.inner.pushes.wait().await;
        self.server.end().await;
    }
}

impl Drop for FakeWeChat {
    fn drop(&mut self) {
        self.inner.stop.cancel();
    }
}

/// Digits for a nonce.
fn nonce(dice: &dyn Entropy) -> String {
    dice.alphanumeric(10)
}
