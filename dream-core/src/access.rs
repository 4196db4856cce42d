//! Who may do what. This file alone makes the values that carry a right.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use secrecy::{ExposeSecret as _, SecretString};

use crate::auth;
use crate::dream::{Core, Dream};
use crate::error::{Code, Error, Result};
use crate::kernel::{KeyName, RequestId, UserId};
use crate::protocol::message_push::{PushMessage, PushQuery};
use crate::protocol::token::TokenFault;
use crate::protocol::webhook::JobEvent;

/// An access token as the client sent it, without the word `Bearer`.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::{BearerToken, Code};
///
/// # let alice = world.alice().await;
/// # let header = format!("Bearer {}", alice.tokens().access);
/// // The header `Authorization` of a request.
/// let token = header.strip_prefix("Bearer ").unwrap_or_default();
/// let me = world.dream().session(&BearerToken::new(token)).await?;
/// assert_eq!(me.user_id(), alice.id());
///
/// let refused = world.dream().session(&BearerToken::new(header)).await.unwrap_err();
/// assert_eq!(refused.code(), Code::Unauthenticated);
/// # Ok(())
/// # });
/// ```
pub struct BearerToken(SecretString);

impl BearerToken {
    /// A token to be checked.
    pub fn new(token: impl Into<String>) -> Self {
        Self(SecretString::from(token.into()))
    }
}

/// An admin key as the client sent it.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::{AdminKey, Code};
/// # let configured = dream_testkit::world::ADMIN_KEY;
///
/// let admin = world.dream().admin(&AdminKey::new(configured), None).await?;
/// assert_eq!(admin.key_name().as_str(), "ops");
///
/// let refused = world.dream().admin(&AdminKey::new("guessed"), None).await.unwrap_err();
/// assert_eq!(refused.code(), Code::AdminKeyInvalid);
/// # Ok(())
/// # });
/// ```
pub struct AdminKey(SecretString);

impl AdminKey {
    /// A key to be checked.
    pub fn new(key: impl Into<String>) -> Self {
        Self(SecretString::from(key.into()))
    }
}

/// Whose rows a statement may touch. Only this file makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of this user.
    Own(UserId),
    /// Everybody's.
    All,
}

/// Someone who has not signed in.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::templates::PromptFilter;
///
/// let guest = world.dream().guest();
/// let prices: Vec<i64> = guest.plans().await?.iter().map(|plan| plan.current_price.get()).collect();
/// assert_eq!(prices, [1999, 19_990, 199_900], "in fen, the shortest plan first");
///
/// let hot = guest.prompt_templates(&PromptFilter { trending: true, ..PromptFilter::default() }).await?;
/// assert!(hot.iter().all(|template| template.content.is_hot));
/// # Ok(())
/// # });
/// ```
pub struct Guest {
    pub(crate) core: Arc<Core>,
}

/// Someone who has signed in. Lives for one request: it says who was verified, not that it is still true tomorrow.
///
/// What an admin may do is no method of it, so this does not compile ([`Admin`] shows its twin that does):
///
/// ```compile_fail,E0599
/// async fn peek(me: dream_core::Session) -> dream_core::Result<()> {
///     let everybody = dream_core::UserFilter::default();
///     me.users(&everybody, &dream_core::kernel::PageRequest::default()).await.map(drop)
/// }
/// ```
///
/// And nothing but [`Dream::session`] makes one:
///
/// ```compile_fail,E0451
/// fn forge(mine: dream_core::Session) -> dream_core::Session {
///     dream_core::Session { ..mine }
/// }
/// ```
pub struct Session {
    pub(crate) core: Arc<Core>,
    pub(crate) user: UserId,
    pub(crate) family: auth::FamilyId,
}

/// Someone who may have signed in.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::gallery::GalleryFilter;
/// use dream_core::kernel::PageRequest;
///
/// # let alice = world.alice().await;
/// # let dream = world.dream();
/// let (filter, page) = (GalleryFilter::default(), PageRequest::default());
/// let stranger = dream.visitor(None).await?;
/// let shown = stranger.gallery(&filter, &page).await?;
/// assert_eq!(shown.items[0].is_liked, None, "nobody knows who looks");
///
/// let alice = dream.visitor(Some(&alice.bearer())).await?;
/// let shown = alice.gallery(&filter, &page).await?;
/// assert_eq!(shown.items[0].is_liked, Some(false));
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub enum Visitor {
    /// No token was sent.
    Guest(Guest),
    /// A valid token was sent.
    Session(Session),
}

/// The holder of an admin key. What it changes is written to the audit log under the key's name.
///
/// ```
/// async fn look(admin: dream_core::Admin) -> dream_core::Result<()> {
///     let everybody = dream_core::UserFilter::default();
///     admin.users(&everybody, &dream_core::kernel::PageRequest::default()).await.map(drop)
/// }
/// ```
pub struct Admin {
    pub(crate) core: Arc<Core>,
    pub(crate) key_name: KeyName,
    pub(crate) request: Option<RequestId>,
}

/// The right to do the background work. There is one for each `Dream` that was built.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use std::time::Duration;
/// use dream_core::ports::JobState;
///
/// # let alice = world.alice().await;
/// # let me = alice.session().await;
/// # let worker = world.worker();
/// let job = alice.generates("a cat").await.job_id;
/// assert_eq!(me.job(&job).await?.state, JobState::Queued);
///
/// // Submits it. To see how it goes on is a task of its own, due a little later.
/// worker.run_due().await?;
/// assert_eq!(world.image_api().jobs().len(), 1);
/// assert!(worker.next_due().await?.is_some_and(|due| due > world.now()));
///
/// world.pass(Duration::from_mins(2)).await;
/// assert_eq!(me.job(&job).await?.state, JobState::Succeeded);
/// # Ok(())
/// # });
/// ```
pub struct Worker {
    pub(crate) core: Arc<Core>,
}

/// A completion notice whose signature is the image API's.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.by_hand(), async |world| {
/// use dream_core::Code;
/// use dream_core::ports::JobState;
///
/// # let alice = world.alice().await;
/// # let job = alice.generates("a cat").await.job_id;
/// # world.work().await;
/// # let upstream = world.image_api().jobs().remove(0).id;
/// # world.image_api().succeed(&upstream);
/// # let notice = world.image_api().signed_event(&upstream).ok_or("no event")?;
/// # let (signature, body) = (notice.signature.as_bytes(), notice.body.as_bytes());
/// // The raw body as it came, and the header with its signature.
/// world.dream().image_webhook(Some(signature), body)?.apply().await?;
/// assert_eq!(alice.job(&job).await.state, JobState::Succeeded);
///
/// let refused = world.dream().image_webhook(Some(signature), b"{}").unwrap_err();
/// assert_eq!(refused.code(), Code::Unauthenticated);
/// # Ok(())
/// # });
/// ```
pub struct VerifiedWebhook {
    pub(crate) core: Arc<Core>,
    pub(crate) event: JobEvent,
}

/// A message whose signature is WeChat's.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::Code;
/// use dream_core::protocol::message_push::PushQuery;
///
/// // Anybody can send a verdict on a picture; only WeChat's takes effect.
/// let body =
///     br#"{"MsgType":"event","Event":"wxa_media_check","trace_id":"t-1","result":{"suggest":"pass"}}"#;
/// let refused = world.dream().wechat_push(&PushQuery::default(), body).unwrap_err();
/// assert_eq!(refused.code(), Code::Unauthenticated);
///
/// # let seal = world.wechat().signed_push(&serde_json::json!({ "MsgType": "text" }));
/// # let of = |name: &str| seal.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
/// # let query = PushQuery { signature: of("signature").unwrap_or_default(), timestamp: of("timestamp").unwrap_or_default(),
/// #     nonce: of("nonce").unwrap_or_default(), echostr: None, msg_signature: of("msg_signature"), encrypt_type: of("encrypt_type") };
/// # let body = seal.body.as_bytes();
/// // The query and the raw body of a request that WeChat made.
/// world.dream().wechat_push(&query, body)?.apply().await?;
/// # Ok(())
/// # });
/// ```
pub struct VerifiedPush {
    pub(crate) core: Arc<Core>,
    pub(crate) message: PushMessage,
}

impl Admin {
    /// The same right, for a part of a change that is made together with those of others.
    pub(crate) fn same(&self) -> Self {
        Self { core: Arc::clone(&self.core), key_name: self.key_name.clone(), request: self.request.clone() }
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guest")
    }
}
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session(user {})", self.user)
    }
}
impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Admin({})", self.key_name)
    }
}
impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}
impl fmt::Debug for VerifiedWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedWebhook({})", self.event.event_id)
    }
}
impl fmt::Debug for VerifiedPush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedPush")
    }
}
impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken")
    }
}
impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminKey")
    }
}

impl Dream {
    /// What anybody may do.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// // No credential is needed to see what can be bought.
    /// let plans = world.dream().guest().plans().await?;
    /// assert_eq!(plans[0].plan_id.as_str(), "vip_month");
    /// assert_eq!((plans[0].duration_days, plans[0].current_price.get()), (30, 1999));
    /// # Ok(())
    /// # });
    /// ```
    pub fn guest(&self) -> Guest {
        Guest { core: self.core.clone() }
    }

    /// Checks an access token: its signature and time, that its login was not revoked, and that its user exists.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.settings(|settings| settings.access_lifetime = "2h".parse().unwrap()), async |world| {
    /// use std::time::Duration;
    /// use dream_core::Code;
    ///
    /// # let alice = world.alice().await;
    /// # let dream = world.dream();
    /// # let token = alice.bearer();
    /// let me = dream.session(&token).await?;
    /// assert_eq!(me.user_id(), alice.id());
    ///
    /// // The token was made for two hours.
    /// world.clock().advance(Duration::from_hours(3));
    /// let refused = dream.session(&token).await.unwrap_err();
    /// assert_eq!(refused.code(), Code::TokenExpired, "it is time for `Guest::refresh`");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`; `UNAVAILABLE` if the database cannot be asked.
    pub async fn session(&self, token: &BearerToken) -> Result<Session> {
        let core = &self.core;
        let claims =
            core.tokens.verify(token.0.expose_secret(), core.now()).map_err(|fault| match fault {
                TokenFault::Expired => Error::new(Code::TokenExpired),
                TokenFault::Invalid => Error::new(Code::Unauthenticated),
            })?;
        let (Ok(user), Some(family)) = (claims.sub.parse::<UserId>(), claims.family.clone()) else {
            return Err(Code::Unauthenticated.into());
        };
        let family = auth::FamilyId(family);
        if !auth::is_alive(core, user, &family).await? {
            return Err(Code::TokenRevoked.into());
        }
        Ok(Session { core: core.clone(), user, family })
    }

    /// As [`Dream::session`], but no token at all makes a guest. A bad token is still refused.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::{BearerToken, Code};
    ///
    /// # let alice = world.alice().await;
    /// # let dream = world.dream();
    /// assert_eq!(dream.visitor(None).await?.user_id(), None);
    /// assert_eq!(dream.visitor(Some(&alice.bearer())).await?.user_id(), Some(alice.id()));
    ///
    /// // Whoever shows a token means it: a bad one makes no guest.
    /// let refused = dream.visitor(Some(&BearerToken::new("stale"))).await.unwrap_err();
    /// assert_eq!(refused.code(), Code::Unauthenticated);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// As [`Dream::session`].
    pub async fn visitor(&self, token: Option<&BearerToken>) -> Result<Visitor> {
        Ok(match token {
            None => Visitor::Guest(self.guest()),
            Some(token) => Visitor::Session(self.session(token).await?),
        })
    }

    /// Checks an admin key against the configured ones, in constant time, and against those made by an operator.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::kernel::{PageRequest, Points};
    /// use dream_core::{AdminKey, AuditFilter};
    ///
    /// # let alice = world.alice().await;
    /// # let key = dream_testkit::world::ADMIN_KEY;
    /// let admin = world.dream().admin(&AdminKey::new(key), Some("req-4711".parse().unwrap())).await?;
    /// admin.grant_points(alice.id(), Points::new(50), "a gift").await?;
    ///
    /// // Who, and by which request: the audit log has both.
    /// let log = admin.audit_log(&AuditFilter::default(), &PageRequest::default()).await?;
    /// assert_eq!(log.items[0].actor, "ops");
    /// assert_eq!(log.items[0].request_id.as_deref(), Some("req-4711"));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `ADMIN_KEY_INVALID`; `UNAVAILABLE` if the database cannot be asked.
    pub async fn admin(&self, key: &AdminKey, request: Option<RequestId>) -> Result<Admin> {
        let core = &self.core;
        let given = digest::digest(&digest::SHA256, key.0.expose_secret().as_bytes());
        let mut found = None;
        // Digests have one length, and every configured key is compared, so the time tells nothing.
        for configured in &core.settings.admin_keys {
            let expected = digest::digest(&digest::SHA256, configured.key.expose_secret().as_bytes());
            let equal =
                aws_lc_rs::constant_time::verify_slices_are_equal(given.as_ref(), expected.as_ref()).is_ok();
            if equal && !configured.key.expose_secret().is_empty() {
                found = Some(configured.name.clone());
            }
        }
        let key_name = if let Some(name) = found {
            name
        } else {
            let created = crate::admin::key_named(core, key.0.expose_secret(), &given).await?;
            created.ok_or(Code::AdminKeyInvalid)?
        };
        Ok(Admin { core: core.clone(), key_name, request })
    }

    /// The administration for whoever holds the database itself, such as the command line. The name is what the
    /// audit log shows. Never hand this to a remote caller.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// // A maintenance program that holds the database needs no key.
    /// let operator = world.dream().operator("nightly-job".parse().unwrap());
    /// assert_eq!(operator.stats().await?.running_jobs, 0);
    /// assert_eq!(operator.key_name().as_str(), "nightly-job");
    /// # Ok(())
    /// # });
    /// ```
    pub fn operator(&self, name: KeyName) -> Admin {
        Admin { core: self.core.clone(), key_name: name, request: None }
    }

    /// Checks the signature of a completion notice of the image API over its raw body.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Code;
    ///
    /// // Without a signature nothing is even read.
    /// let refused = world.dream().image_webhook(None, b"{\"type\":\"job.succeeded\"}").unwrap_err();
    /// assert_eq!(refused.code(), Code::Unauthenticated);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UNAUTHENTICATED` unless the signature is right; `VALIDATION_FAILED` if what was signed cannot be read.
    pub fn image_webhook(&self, signature: Option<&[u8]>, body: &[u8]) -> Result<VerifiedWebhook> {
        let verifier = self.core.webhooks.as_ref().ok_or_else(auth::wrong_signature)?;
        let event = verifier.open(signature, body).map_err(auth::webhook_refused)?;
        Ok(VerifiedWebhook { core: self.core.clone(), event })
    }

    /// Checks the signature of a message that WeChat pushes, and opens it.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` unless it is WeChat's, for this mini-program, and can be read.
    pub fn wechat_push(&self, query: &PushQuery<'_>, body: &[u8]) -> Result<VerifiedPush> {
        let receiver = self.core.push.as_ref().ok_or_else(auth::wrong_signature)?;
        let message =
            receiver.open(query, body).map_err(|refused| auth::wrong_signature().with_source(refused))?;
        Ok(VerifiedPush { core: self.core.clone(), message })
    }

    /// What to answer where WeChat checks the URL that it is to push to.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` unless it is WeChat that asks: nothing may be echoed then.
    pub fn wechat_push_echo<'a>(&self, query: &PushQuery<'a>) -> Result<&'a str> {
        let receiver = self.core.push.as_ref().ok_or_else(auth::wrong_signature)?;
        receiver.echo(query).map_err(|refused| auth::wrong_signature().with_source(refused))
    }
}

impl Session {
    /// Who signed in.
    pub fn user_id(&self) -> UserId {
        self.user
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope::Own(self.user)
    }
}

impl Visitor {
    /// The user, if somebody signed in.
    pub fn user_id(&self) -> Option<UserId> {
        match self {
            Visitor::Guest(_) => None,
            Visitor::Session(session) => Some(session.user),
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        match self {
            Visitor::Guest(guest) => &guest.core,
            Visitor::Session(session) => &session.core,
        }
    }
}

impl Admin {
    /// The name of the key, as the audit log shows it.
    pub fn key_name(&self) -> &KeyName {
        &self.key_name
    }

    #[expect(clippy::unused_self, reason = "only who holds an admin may have this scope")]
    pub(crate) fn scope(&self) -> Scope {
        Scope::All
    }
}

impl Worker {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}
