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
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }

    /// The server, to take it down or read its log.
    pub fn server(&self) -> &FakeServer {
        &self.server
    }

    /// What is to go wrong; [`operation`] has the names.
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// The first mini-program.
    pub fn app(&self) -> App {
        self.inner.options.apps.first().cloned().unwrap_or_else(|| App {
            appid: String::new(),
            secret: String::new(),
            ghid: String::new(),
        })
    }

    /// A user opens the mini-program (`wx.login`): a code that works once within five minutes, and a new session key.
    pub fn login_code(&self, openid: &str) -> String {
        self.login_code_for(&self.app().appid, openid)
    }

    /// [`FakeWeChat::login_code`] of another mini-program.
    pub fn login_code_for(&self, appid: &str, openid: &str) -> String {
        let now = self.inner.now();
        lock(&self.inner.state).accounts.mint_login(appid, openid, now, self.inner.dice())
    }

    /// A user presses the phone number button. A foreign number starts with `+`.
    pub fn phone_code(&self, openid: &str, number: &str) -> String {
        self.phone_code_for(&self.app().appid, openid, number)
    }

    /// [`FakeWeChat::phone_code`] of another mini-program.
    pub fn phone_code_for(&self, appid: &str, openid: &str, number: &str) -> String {
        let now = self.inner.now();
        lock(&self.inner.state).accounts.mint_phone(appid, openid, number, now, self.inner.dice())
    }

    /// The openid that the reusable code `sandbox-<name>` logs in as.
    pub fn sandbox_openid(&self, name: &str) -> String {
        accounts::sandbox_openid(&self.app().appid, name)
    }

    /// Answers this login or phone code with this error from now on. 40226: blocked; 45011: too often; -1: busy.
    pub fn answer_code(&self, code: &str, errcode: i64) {
        lock(&self.inner.state).accounts.trouble(code, errcode, None);
    }

    /// Answers this code with this error so many times; then it works as if nothing had happened.
    pub fn answer_code_times(&self, code: &str, errcode: i64, times: u64) {
        lock(&self.inner.state).accounts.trouble(code, errcode, Some(times));
    }

    /// Binds the user to an account of the open platform.
    pub fn set_unionid(&self, openid: &str, unionid: Option<&str>) {
        let appid = self.app().appid;
        lock(&self.inner.state).accounts.user(&appid, openid).unionid = unionid.map(str::to_owned);
    }

    /// The user of this openid, if WeChat ever saw them.
    pub fn user(&self, openid: &str) -> Option<WeChatUser> {
        lock(&self.inner.state).accounts.find(&self.app().appid, openid).cloned()
    }

    /// Everybody, of all mini-programs.
    pub fn users(&self) -> Vec<WeChatUser> {
        lock(&self.inner.state).accounts.users()
    }

    /// Encrypts as `wx.getPhoneNumber` does for the user's newest session key: `(encryptedData, iv)`. A `watermark` of
    /// the mini-program and the present time is added unless the data brings its own.
    pub fn encrypt_for(&self, openid: &str, data: &Value) -> (String, String) {
        let appid = self.app().appid;
        let key = lock(&self.inner.state).accounts.user(&appid, openid).session_key.clone();
        self.encrypt_with(&key, data)
    }

    /// [`FakeWeChat::encrypt_for`] under a key of one's choice; empty texts if it is no key.
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
    pub fn revoke_tokens(&self) {
        let now = self.inner.now();
        lock(&self.inner.state).tokens.revoke_all(now);
    }

    /// Lets the time of every access token run out: the next call with one gets 42001.
    pub fn expire_tokens(&self) {
        let now = self.inner.now();
        lock(&self.inner.state).tokens.expire_all(now);
    }

    /// How often the operation was called, whatever came of it.
    pub fn calls(&self, operation: &str) -> u64 {
        lock(&self.inner.state).calls.get(operation).copied().unwrap_or(0)
    }

    /// The texts that were checked, oldest first.
    pub fn text_checks(&self) -> Vec<TextChecked> {
        lock(&self.inner.state).content.texts()
    }

    /// The pictures that were handed in, oldest first, with what was pushed about them.
    pub fn media_checks(&self) -> Vec<MediaCheck> {
        lock(&self.inner.state).content.media()
    }

    /// What becomes of pictures from now on.
    pub fn plan_media(&self, plan: MediaPlan) {
        lock(&self.inner.state).content.plan(plan);
    }

    /// What becomes of the next picture; several queue up.
    pub fn plan_next_media(&self, plan: MediaPlan) {
        lock(&self.inner.state).content.plan_next(plan);
    }

    /// Where messages are pushed from now on; `None`: nowhere.
    pub fn set_push_url(&self, url: Option<String>) {
        lock(&self.inner.push).url = url;
    }

    /// How messages are pushed from now on.
    pub fn set_push_mode(&self, mode: PushMode) {
        lock(&self.inner.push).mode = mode;
    }

    /// Where and how messages are pushed.
    pub fn push_target(&self) -> PushTarget {
        lock(&self.inner.push).clone()
    }

    /// A message as it would be pushed, for a test that wants to tamper with it.
    pub fn signed_push(&self, event: &Value) -> SignedPush {
        push::sign(&self.inner, &self.push_target(), event)
    }

    /// Pushes a message, up to three times until it is answered as it should be.
    pub async fn push(&self, event: &Value) -> Vec<Pushed> {
        push::deliver(&self.inner, event).await
    }

    /// The check that the console makes when a push URL is entered: whether it passed.
    pub async fn check_push_url(&self) -> bool {
        push::check_url(&self.inner).await
    }

    /// The user agrees to so many messages of the template.
    pub fn subscribe(&self, openid: &str, template_id: &str, messages: u64) {
        lock(&self.inner.state).messages.subscribe(openid, template_id, messages);
    }

    /// The messages that were sent, oldest first.
    pub fn messages(&self) -> Vec<SentMessage> {
        lock(&self.inner.state).messages.sent()
    }

    /// Stops and waits until the port is free. Verdicts that are still due are dropped.
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
