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
pub struct BearerToken(SecretString);

impl BearerToken {
    /// A token to be checked.
    pub fn new(token: impl Into<String>) -> Self {
        Self(SecretString::from(token.into()))
    }
}

/// An admin key as the client sent it.
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
pub struct Worker {
    pub(crate) core: Arc<Core>,
}

/// A completion notice whose signature is the image API's.
pub struct VerifiedWebhook {
    pub(crate) core: Arc<Core>,
    pub(crate) event: JobEvent,
}

/// A message whose signature is WeChat's.
pub struct VerifiedPush {
    pub(crate) core: Arc<Core>,
    pub(crate) message: PushMessage,
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
    pub fn guest(&self) -> Guest {
        Guest { core: self.core.clone() }
    }

    /// Checks an access token: its signature and time, that its login was not revoked, and that its user exists.
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
        let (Ok(user), Some(family)) = (claims.sub.parse::<UserId>(), claims.family) else {
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
        let key_name = match found {
            Some(name) => name,
            None => crate::admin::key_named(core, &given).await?.ok_or(Code::AdminKeyInvalid)?,
        };
        Ok(Admin { core: core.clone(), key_name, request })
    }

    /// The administration for whoever holds the database itself, such as the command line. The name is what the
    /// audit log shows. Never hand this to a remote caller.
    pub fn operator(&self, name: KeyName) -> Admin {
        Admin { core: self.core.clone(), key_name: name, request: None }
    }

    /// Checks the signature of a completion notice of the image API over its raw body.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` unless the signature is right; `VALIDATION_FAILED` if what was signed cannot be read.
    pub fn image_webhook(&self, signature: Option<&[u8]>, body: &[u8]) -> Result<VerifiedWebhook> {
        let verifier = self.core.webhooks.as_ref().ok_or(Code::Unauthenticated)?;
        let event = verifier.open(signature, body).map_err(auth::webhook_refused)?;
        Ok(VerifiedWebhook { core: self.core.clone(), event })
    }

    /// Checks the signature of a message that WeChat pushes, and opens it.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` unless it is WeChat's, for this mini-program, and can be read.
    pub fn wechat_push(&self, query: &PushQuery<'_>, body: &[u8]) -> Result<VerifiedPush> {
        let receiver = self.core.push.as_ref().ok_or(Code::Unauthenticated)?;
        let message = receiver
            .open(query, body)
            .map_err(|refused| Error::new(Code::Unauthenticated).with_source(refused))?;
        Ok(VerifiedPush { core: self.core.clone(), message })
    }

    /// What to answer where WeChat checks the URL that it is to push to.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` unless it is WeChat that asks: nothing may be echoed then.
    pub fn wechat_push_echo<'a>(&self, query: &PushQuery<'a>) -> Result<&'a str> {
        let receiver = self.core.push.as_ref().ok_or(Code::Unauthenticated)?;
        receiver.echo(query).map_err(|refused| Error::new(Code::Unauthenticated).with_source(refused))
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
