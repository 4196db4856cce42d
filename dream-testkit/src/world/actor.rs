use std::sync::{Arc, Mutex};

use dream_core::jobs::{Accepted, GenerateRequest, Job, Mode};
use dream_core::kernel::{JobId, UserId};
use dream_core::ports::LoginCode;
use dream_core::{BearerToken, Dream, LoggedIn, Login, RefreshToken, Result, Session, Tokens};

use crate::fakes::lock;
use crate::fakes::wechat::FakeWeChat;

/// Someone who is signed in and holds tokens. Each call proves itself by them anew, as a request would.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// let (alice, bob) = (world.alice().await, world.user("bob").await);
/// let job = alice.generates("a cat").await.job_id;
/// assert_eq!(alice.used_today().await, 1);
/// assert!(bob.session().await.job(&job).await.is_err(), "it is not his");
/// // The same name is the same user, with tokens of its own.
/// assert_eq!(world.user("bob").await.id(), bob.id());
/// # Ok(())
/// # });
/// ```
pub struct Actor {
    dream: Dream,
    wechat: Arc<FakeWeChat>,
    openid: String,
    id: UserId,
    tokens: Mutex<Tokens>,
}

impl std::fmt::Debug for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Actor({}, user {})", self.openid, self.id)
    }
}

impl Actor {
    pub(super) async fn log_in(dream: Dream, wechat: Arc<FakeWeChat>, name: &str) -> Self {
        let openid = Self::openid_of(name);
        let LoggedIn { tokens, user } = enter(&dream, &wechat, &openid).await;
        Self { dream, wechat, openid, id: user.id, tokens: Mutex::new(tokens) }
    }

    /// WeChat's id of the user by this name.
    ///
    /// ```
    /// use dream_testkit::world::Actor;
    ///
    /// assert_eq!(Actor::openid_of("alice"), "o-alice");
    /// ```
    pub fn openid_of(name: &str) -> String {
        format!("o-{name}")
    }

    /// Signs in anew: the old tokens stay good, these are used from now on.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let alice = world.alice().await;
    /// let before = alice.tokens();
    /// alice.log_in_again().await;
    /// assert_ne!(alice.tokens().refresh, before.refresh);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn log_in_again(&self) -> LoggedIn {
        let again = enter(&self.dream, &self.wechat, &self.openid).await;
        *lock(&self.tokens) = again.tokens.clone();
        again
    }

    /// The user's id.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let alice = world.alice().await;
    /// assert_eq!(alice.session().await.me().await?.id, alice.id());
    /// # Ok(())
    /// # });
    /// ```
    pub fn id(&self) -> UserId {
        self.id
    }

    /// WeChat's id of the user.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let alice = world.alice().await;
    /// assert!(world.wechat().user(alice.openid()).is_some());
    /// # Ok(())
    /// # });
    /// ```
    pub fn openid(&self) -> &str {
        &self.openid
    }

    /// The tokens in use.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let alice = world.alice().await;
    /// assert_eq!(alice.tokens().access.split('.').count(), 3, "a JSON Web Token");
    /// # Ok(())
    /// # });
    /// ```
    pub fn tokens(&self) -> Tokens {
        lock(&self.tokens).clone()
    }

    /// Uses these tokens from now on.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let (alice, bob) = (world.alice().await, world.user("bob").await);
    /// // Somebody has got hold of the tokens.
    /// bob.take(alice.tokens());
    /// assert_eq!(bob.session().await.me().await?.id, alice.id());
    /// # Ok(())
    /// # });
    /// ```
    pub fn take(&self, tokens: Tokens) {
        *lock(&self.tokens) = tokens;
    }

    /// The access token in use.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let alice = world.alice().await;
    /// assert!(world.dream().session(&alice.bearer()).await.is_ok());
    /// # Ok(())
    /// # });
    /// ```
    pub fn bearer(&self) -> BearerToken {
        BearerToken::new(self.tokens().access)
    }

    /// The refresh token in use.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let alice = world.alice().await;
    /// let fresh = world.nobody().refresh(alice.refresh_token()).await?;
    /// assert_ne!(fresh.refresh, alice.tokens().refresh);
    /// # Ok(())
    /// # });
    /// ```
    pub fn refresh_token(&self) -> RefreshToken {
        RefreshToken::new(self.tokens().refresh)
    }

    /// A session by the access token.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let me = world.alice().await.session().await;
    /// assert_eq!(me.balance().await?.balance.get(), 0);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Panics
    /// If the token is refused; [`Actor::try_session`] tells why instead.
    pub async fn session(&self) -> Session {
        self.try_session().await.expect("the token is good")
    }

    /// A session by the access token, if it is still good.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use std::time::Duration;
    ///
    /// let alice = world.alice().await;
    /// assert!(alice.try_session().await.is_ok());
    /// world.clock().advance(Duration::from_hours(24 * 365));
    /// assert!(alice.try_session().await.is_err(), "the token has expired");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// As `Dream::session`.
    pub async fn try_session(&self) -> Result<Session> {
        self.dream.session(&self.bearer()).await
    }

    /// Asks for one picture of this in final mode.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let accepted = world.alice().await.generates("a cat").await;
    /// assert_eq!(accepted.charge.points.get(), 0, "it is within the quota");
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Panics
    /// If it is refused.
    pub async fn generates(&self, prompt: &str) -> Accepted {
        self.generate(&polished(prompt, 1)).await.expect("the generation is accepted")
    }

    /// Asks for a generation.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.daily_quota(0), async |world| {
    /// use dream_testkit::world::polished;
    ///
    /// let refused = world.alice().await.generate(&polished("a cat", 1)).await.unwrap_err();
    /// assert_eq!(refused.code(), dream_core::Code::QuotaExceeded, "neither quota nor points");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// As `Session::generate`.
    pub async fn generate(&self, request: &GenerateRequest) -> Result<Accepted> {
        self.session().await.generate(request, None, None).await
    }

    /// One of the user's own jobs.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let alice = world.alice().await;
    /// let id = alice.generates("a cat").await.job_id;
    /// world.settle().await;
    /// assert_eq!(alice.job(&id).await.result_urls.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Panics
    /// If there is no such job.
    pub async fn job(&self, id: &JobId) -> Job {
        self.session().await.job(id).await.expect("one's own job")
    }

    /// The points that can be spent.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.daily_quota(0), async |world| {
    /// # use dream_core::kernel::Points;
    /// let alice = world.alice().await;
    /// world.admin().await.grant_points(alice.id(), Points::new(15), "a gift").await?;
    /// alice.generates("a cat").await;
    /// assert_eq!(alice.points().await, 5);
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Panics
    /// If the account is gone.
    pub async fn points(&self) -> i64 {
        self.session().await.balance().await.expect("an account").balance.get()
    }

    /// Samples of the quota used today.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let alice = world.alice().await;
    /// alice.generates("[fail] a cat").await;
    /// assert_eq!(alice.used_today().await, 1);
    /// world.settle().await;
    /// assert_eq!(alice.used_today().await, 0, "it failed, and was given back");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Panics
    /// If the account is gone.
    pub async fn used_today(&self) -> i64 {
        self.session().await.quota().await.expect("an account").quota.used.daily
    }
}

async fn enter(dream: &Dream, wechat: &FakeWeChat, openid: &str) -> LoggedIn {
    let code = LoginCode::new(wechat.login_code(openid)).expect("a code");
    let login = Login { code, phone: None, nick_name: None, avatar_url: None };
    dream.guest().login(login).await.expect("the login succeeds")
}

/// A request for so many drafts: two points each where the quota does not cover them.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.daily_quota(0), async |world| {
/// use dream_core::kernel::Points;
/// use dream_testkit::world::draft;
///
/// # let alice = world.alice().await;
/// # world.admin().await.grant_points(alice.id(), Points::new(20), "a gift").await?;
/// let charge = alice.generate(&draft("a cat", 3)).await?.charge;
/// assert_eq!(charge.points, Points::new(6));
/// # Ok(())
/// # });
/// ```
///
/// # Panics
/// If the prompt or the number is none.
pub fn draft(prompt: &str, samples: i64) -> GenerateRequest {
    GenerateRequest { mode: Some(Mode::Draft), ..polished(prompt, samples) }
}

/// A request for so many pictures in final mode: ten points each where the quota does not cover them.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_testkit::world::polished;
///
/// let alice = world.alice().await;
/// let job = alice.generate(&polished("three cats", 3)).await?.job_id;
/// world.settle().await;
/// assert_eq!(alice.job(&job).await.result_urls.len(), 3);
/// # Ok(())
/// # });
/// ```
///
/// # Panics
/// If the prompt or the number is none.
pub fn polished(prompt: &str, samples: i64) -> GenerateRequest {
    let mut request = GenerateRequest::new(prompt.parse().expect("a prompt"));
    request.sample_count = Some(dream_core::jobs::SampleCount::new(samples).expect("1 to 10 samples"));
    request
}
