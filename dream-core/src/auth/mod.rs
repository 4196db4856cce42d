//! Signing in and out: WeChat's login code for an access token and a refresh token that rotates.

mod access_tokens;
mod alive;
mod changes;
mod store;

use std::time::Duration;

use crate::access::{Guest, Session};
use crate::dream::Core;
use crate::error::{Code, Error, Facts, Fault, Format, Result};
use crate::kernel::{Timestamp, UserId};
use crate::ports::{EntropyExt as _, Failure, FailureKind, LoginCode, Phone, PhoneCode, WeChatLogin};
use crate::protocol::encrypted_data::EncryptedData;
use crate::protocol::token::AccessClaims;
use crate::protocol::webhook::WebhookFault;
use crate::users::{AvatarUrl, NickName, User};

pub(crate) use access_tokens::AccessTokens;
pub(crate) use alive::Alive;
pub(crate) use changes::revoke_all_of;
pub(crate) use store::logins_of;
pub use store::{LoginRecord, RefreshToken};

/// The login that tokens come from: logging out ends all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FamilyId(pub(crate) String);

/// How someone proves a phone number at login.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::ports::{LoginCode, PhoneCode};
/// use dream_core::{Login, PhoneProof};
///
/// # let code = LoginCode::new(world.wechat().login_code("o-alice")).unwrap();
/// # let phone_code = world.wechat().phone_code("o-alice", "13800138000");
/// // The code of the button, which is not the one of `wx.login`.
/// let phone = Some(PhoneProof::Code(PhoneCode::new(phone_code).unwrap()));
/// let login = Login { code, phone, nick_name: None, avatar_url: None };
/// let user = world.dream().guest().login(login).await?.user;
/// assert_eq!(user.phone.as_deref(), Some("13800138000"));
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub enum PhoneProof {
    /// By the code of the phone number button.
    Code(PhoneCode),
    /// By what older clients get: encrypted under the session key of this login.
    Encrypted {
        /// Base64 of the ciphertext.
        data: String,
        /// Base64 of the initialisation vector.
        iv: String,
    },
}

/// What someone logs in with. Taken by value, since the codes work only once.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::ports::LoginCode;
/// use dream_core::{Code, Login};
///
/// # let code_of_wx_login = world.wechat().login_code("o-alice");
/// let login = |code: &str| Login {
///     code: LoginCode::new(code.to_owned()).unwrap(),
///     phone: None,
///     nick_name: Some("Alice".parse().unwrap()),
///     avatar_url: None,
/// };
/// let user = world.dream().guest().login(login(&code_of_wx_login)).await?.user;
/// assert_eq!(user.nick_name.as_deref(), Some("Alice"));
///
/// let again = world.dream().guest().login(login(&code_of_wx_login)).await.unwrap_err();
/// assert_eq!(again.code(), Code::WechatCodeInvalid, "a code works once");
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct Login {
    /// The code of `wx.login`.
    pub code: LoginCode,
    /// A phone number, if the user gave it.
    pub phone: Option<PhoneProof>,
    /// A name to take over, if it may go public.
    pub nick_name: Option<NickName>,
    /// A picture to take over, if it lies where avatars may lie.
    pub avatar_url: Option<AvatarUrl>,
}

/// What a client gets to prove who it is.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::{BearerToken, Code, RefreshToken};
///
/// # let tokens = world.alice().await.tokens();
/// assert_eq!(tokens.expires_in, "7d");
/// let guest = world.dream().guest();
/// let next = guest.refresh(RefreshToken::new(&*tokens.refresh)).await?;
/// world.dream().session(&BearerToken::new(next.access)).await?;
///
/// // A spent refresh token gives the same pair again for a minute. Later it ends the login: two hold it.
/// # world.clock().advance(std::time::Duration::from_secs(61));
/// let reused = guest.refresh(RefreshToken::new(tokens.refresh)).await.unwrap_err();
/// assert_eq!(reused.code(), Code::TokenRevoked);
/// # Ok(())
/// # });
/// ```
#[derive(Clone)]
pub struct Tokens {
    /// Proves who signed in, until it expires.
    pub access: String,
    /// How long it lives, as configured: `7d`.
    pub expires_in: String,
    /// Gives the next pair, once.
    pub refresh: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens(for {})", self.expires_in)
    }
}

/// The outcome of a login.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::ports::LoginCode;
/// use dream_core::{BearerToken, LoggedIn, Login};
///
/// # let code = LoginCode::new(world.wechat().login_code("o-alice")).unwrap();
/// # let login = Login { code, phone: None, nick_name: None, avatar_url: None };
/// let LoggedIn { tokens, user } = world.dream().guest().login(login).await?;
/// let me = world.dream().session(&BearerToken::new(tokens.access)).await?;
/// assert_eq!(me.user_id(), user.id);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// The tokens.
    pub tokens: Tokens,
    /// Who it is.
    pub user: User,
}

impl Guest {
    /// Logs in with WeChat. The first login of an openid makes the user; any number at once makes one.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::ports::LoginCode;
    /// use dream_core::{Code, Login};
    ///
    /// # let code_of_wx_login = world.wechat().login_code("o-alice");
    /// let code = LoginCode::new(code_of_wx_login).unwrap();
    /// let login = Login { code, phone: None, nick_name: None, avatar_url: None };
    /// let tokens = world.dream().guest().login(login).await?.tokens;
    /// assert_eq!(tokens.expires_in, "7d");
    ///
    /// let code = LoginCode::new("never-given-out".to_owned()).unwrap();
    /// let login = Login { code, phone: None, nick_name: None, avatar_url: None };
    /// let refused = world.dream().guest().login(login).await.unwrap_err();
    /// assert_eq!(refused.code(), Code::WechatCodeInvalid);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `WECHAT_CODE_INVALID`, `FORBIDDEN` for a user that WeChat calls high-risk, `RATE_LIMITED`,
    /// `VALIDATION_FAILED` for a phone number that does not decrypt, `UPSTREAM_ERROR`, `UPSTREAM_TIMEOUT`.
    pub async fn login(&self, login: Login) -> Result<LoggedIn> {
        let core = &self.core;
        let wechat = core.wechat.login(login.code).await.map_err(login_refused)?;
        let phone = match login.phone {
            None => None,
            Some(proof) => Some(prove_phone(core, proof, &wechat).await?),
        };
        let avatar_url = login.avatar_url.filter(|url| url.may_be_shown(core));
        // A name that may not go public is no reason to keep somebody out: it is not taken over.
        let nick_name = match login.nick_name {
            Some(name) if name.may_go_public(core, &wechat.openid).await.unwrap_or(false) => Some(name),
            _ => None,
        };
        let grant = Grant::new(core);
        let enter = changes::Enter {
            openid: &wechat.openid,
            unionid: wechat.unionid.as_deref(),
            phone: phone.as_ref().map(|phone| phone.number.as_str()),
            nick_name: nick_name.as_ref().map(NickName::as_str),
            avatar_url: avatar_url.as_ref().map(AvatarUrl::as_str),
            grant: &grant,
            now: grant.now,
            settings: &core.settings,
        };
        let user = core.store.run(&enter).await?;
        Ok(LoggedIn { tokens: grant.tokens(core, user.id, grant.now)?, user })
    }

    /// Gives the next pair of tokens for a refresh token, which is spent by it. The same client gets the same pair
    /// again within a minute, so parallel refreshes and lost answers keep the login. A login ends after 90 days.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::{Code, RefreshToken};
    /// use std::time::Duration;
    ///
    /// # let tokens = world.alice().await.tokens();
    /// let guest = world.dream().guest();
    /// let next = guest.refresh(RefreshToken::new(tokens.refresh)).await?;
    ///
    /// // It lives for 30 days, unless the settings say otherwise.
    /// world.clock().advance(Duration::from_hours(31 * 24));
    /// let late = guest.refresh(RefreshToken::new(next.refresh)).await.unwrap_err();
    /// assert_eq!(late.code(), Code::TokenExpired, "time to log in again");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for a token that was never given out, `TOKEN_EXPIRED`, and `TOKEN_REVOKED` for one
    /// that was spent more than a minute ago or by another client: then somebody else has it too, and its whole family is
    /// revoked.
    pub async fn refresh(&self, token: RefreshToken) -> Result<Tokens> {
        let core = &self.core;
        let grant = Grant { refresh: token.successor(&core.settings.secret), ..Grant::new(core) };
        let rotate =
            changes::Rotate { spent: &token, grant: &grant, now: grant.now, settings: &core.settings };
        match core.store.run(&rotate).await? {
            changes::Rotated::Renewed { user, family, at, began_at } => {
                Grant { now: at, ..grant }.in_family(family).tokens(core, user, began_at)
            }
            changes::Rotated::Reused { user } => {
                announce_end(core, user).await;
                Err(Code::TokenRevoked.into())
            }
            changes::Rotated::Refused(code) => Err(code.into()),
        }
    }
}

impl Session {
    /// Gives another pair of tokens of the same login.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::BearerToken;
    ///
    /// # let alice = world.alice().await;
    /// let me = alice.session().await;
    /// // For old clients, who know no refresh token: the present token is good for another one.
    /// let tokens = me.refresh().await?;
    /// assert_eq!(world.dream().session(&BearerToken::new(tokens.access)).await?.user_id(), alice.id());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `TOKEN_REVOKED` if the login ended meanwhile.
    pub async fn refresh(&self) -> Result<Tokens> {
        let grant = Grant::new(&self.core).in_family(self.family.clone());
        let renew =
            changes::Renew { user: self.user, grant: &grant, now: grant.now, settings: &self.core.settings };
        let began_at = self.core.store.run(&renew).await?;
        grant.tokens(&self.core, self.user, began_at)
    }

    /// Ends this login: all of its tokens are dead.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Code;
    ///
    /// # let alice = world.alice().await;
    /// alice.session().await.logout().await?;
    /// assert_eq!(
    ///     alice.try_session().await.unwrap_err().code(),
    ///     Code::TokenRevoked,
    ///     "at once, on every node"
    /// );
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked.
    pub async fn logout(&self) -> Result<()> {
        let end = changes::EndFamily { family: &self.family, reason: "LOGOUT", now: self.core.now() };
        self.core.store.run(&end).await?;
        announce_end(&self.core, self.user).await;
        Ok(())
    }
}

/// Tells every node that logins of the user ended.
pub(crate) async fn announce_end(core: &Core, user: UserId) {
    core.alive.forget(user);
    core.announce(&alive::topic(user)).await;
}

/// Fresh random parts of a pair of tokens.
/// How long a login lasts at most, however often it is refreshed.
const LOGIN_LIFETIME: Duration = Duration::from_hours(90 * 24);

fn login_end(began_at: Timestamp) -> Timestamp {
    began_at.plus(LOGIN_LIFETIME)
}

pub(crate) struct Grant {
    family: FamilyId,
    refresh: RefreshToken,
    now: Timestamp,
    refresh_expires_at: Timestamp,
}

impl Grant {
    fn new(core: &Core) -> Self {
        let now = core.now();
        Self {
            family: FamilyId(core.entropy.uuid().to_string()),
            refresh: RefreshToken::fresh(core.entropy.as_ref()),
            now,
            refresh_expires_at: now.plus(core.settings.refresh_lifetime.span()),
        }
    }

    fn in_family(mut self, family: FamilyId) -> Self {
        self.family = family;
        self
    }

    /// The pair, for a login that began at `began_at`. No token outlives its login.
    fn tokens(&self, core: &Core, user: UserId, began_at: Timestamp) -> Result<Tokens> {
        let lifetime = &core.settings.access_lifetime;
        let wanted = self.now.plus(lifetime.span());
        let exp = wanted.min(login_end(began_at));
        let expires_in =
            if exp < wanted { format!("{}s", exp.since(self.now).as_secs()) } else { lifetime.to_string() };
        let claims =
            AccessClaims { sub: user.to_string(), iat: self.now, exp, family: Some(self.family.0.clone()) };
        let access = core.tokens.sign(&claims).map_err(Error::internal)?;
        Ok(Tokens { access, expires_in, refresh: self.refresh.expose().to_owned() })
    }
}

/// Whether the login was not ended and its user exists.
pub(crate) async fn is_alive(core: &Core, user: UserId, family: &FamilyId) -> Result<bool> {
    if core.alive.knows(user, family) {
        return Ok(true);
    }
    let epoch = core.alive.epoch();
    let alive = store::is_alive(&mut core.store.db(), user, family).await?;
    if alive {
        core.alive.remember(user, family, epoch);
    }
    Ok(alive)
}

async fn prove_phone(core: &Core, proof: PhoneProof, wechat: &WeChatLogin) -> Result<Phone> {
    match proof {
        PhoneProof::Code(code) => core.wechat.phone(code, &wechat.openid).await.map_err(phone_refused),
        PhoneProof::Encrypted { data, iv } => {
            EncryptedData { data: &data, iv: &iv }
                .phone(&wechat.session_key, core.wechat.appid(), core.now())
                // One answer for every cause: the cipher has no integrity check, so details would be an oracle.
                .map_err(|_| Error::invalid_field("encryptedData", Fault::Format(Format::LoginData)))
        }
    }
}

fn login_refused(failure: Failure) -> Error {
    let code = match failure.code.as_deref() {
        Some("CODE_INVALID") => Code::WechatCodeInvalid,
        Some("HIGH_RISK") => Code::Forbidden,
        _ => return failure.into(),
    };
    Error::new(code).with_source(failure)
}

fn phone_refused(failure: Failure) -> Error {
    if failure.kind == FailureKind::Refused && failure.code.as_deref() == Some("CODE_INVALID") {
        return Error::new(Code::WechatCodeInvalid).with_source(failure);
    }
    failure.into()
}

/// What is wrong with a callback or a push that its sender did not sign.
pub(crate) fn wrong_signature() -> Error {
    Error::new(Code::Unauthenticated).with_facts(Facts::Signature)
}

pub(crate) fn webhook_refused(fault: WebhookFault) -> Error {
    match fault {
        WebhookFault::Signature => wrong_signature(),
        WebhookFault::Body => Error::new(Code::InvalidJson),
    }
}
