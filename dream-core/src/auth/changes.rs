use super::store::{self, RefreshToken};
use super::{FamilyId, Grant};
use crate::error::{Code, Result};
use crate::kernel::{Timestamp, UserId};
use crate::settings::Settings;
use crate::stats;
use crate::store::{Change, Tx};
use crate::users::{self, Arrival, User};

/// Finds the user of an openid or makes one, takes over what is newly known, and starts a login.
pub(super) struct Enter<'a> {
    pub(super) openid: &'a str,
    pub(super) unionid: Option<&'a str>,
    pub(super) phone: Option<&'a str>,
    pub(super) nick_name: Option<&'a str>,
    pub(super) avatar_url: Option<&'a str>,
    pub(super) grant: &'a Grant,
    pub(super) now: Timestamp,
    pub(super) settings: &'a Settings,
}

impl Change for Enter<'_> {
    const NAME: &'static str = "auth.enter";
    type Out = User;

    async fn apply(&self, tx: &mut Tx) -> Result<User> {
        let arrival = Arrival {
            openid: self.openid,
            unionid: self.unionid,
            phone: self.phone,
            nick_name: self.nick_name,
            avatar_url: self.avatar_url,
        };
        let (user, is_new) = users::arrive(tx, &arrival, self.now).await?;
        let grant = self.grant;
        store::insert_family(tx, &grant.family, user, self.now, grant.refresh_expires_at).await?;
        store::insert_token(tx, &grant.refresh, &grant.family, self.now, grant.refresh_expires_at).await?;
        let delta = stats::Delta { new_users: is_new.into(), ..stats::Delta::default() };
        stats::add_by(tx, self.settings, user, self.now, delta).await?;
        users::find(tx, user, self.now).await?.ok_or(Code::TokenRevoked.into())
    }
}

/// Spends a refresh token for the next one. A second use revokes the whole login: two hold the token.
pub(super) struct Rotate<'a> {
    pub(super) spent: &'a RefreshToken,
    pub(super) grant: &'a Grant,
    pub(super) now: Timestamp,
    pub(super) settings: &'a Settings,
}

pub(super) enum Rotated {
    Renewed {
        user: UserId,
        family: FamilyId,
    },
    /// It had been spent before, so the whole login was revoked. Not an error: the revocation must be committed.
    Reused {
        user: UserId,
    },
    Refused(Code),
}

impl Change for Rotate<'_> {
    const NAME: &'static str = "auth.rotate";
    type Out = Rotated;

    async fn apply(&self, tx: &mut Tx) -> Result<Rotated> {
        let Some(token) = store::lock_token(tx, self.spent).await? else {
            return Ok(Rotated::Refused(Code::Unauthenticated));
        };
        if token.spent {
            store::revoke_family(tx, &token.family, "REUSE", self.now).await?;
            return Ok(Rotated::Reused { user: token.user });
        }
        if token.revoked {
            return Ok(Rotated::Refused(Code::TokenRevoked));
        }
        if token.expires_at <= self.now {
            return Ok(Rotated::Refused(Code::TokenExpired));
        }
        store::spend_token(tx, self.spent, self.now).await?;
        let grant = self.grant;
        store::insert_token(tx, &grant.refresh, &token.family, self.now, grant.refresh_expires_at).await?;
        stats::add_by(tx, self.settings, token.user, self.now, stats::Delta::default()).await?;
        Ok(Rotated::Renewed { user: token.user, family: token.family })
    }
}

/// Adds a refresh token to a login that proved itself by its access token.
pub(super) struct Renew<'a> {
    pub(super) user: UserId,
    pub(super) grant: &'a Grant,
    pub(super) now: Timestamp,
    pub(super) settings: &'a Settings,
}

impl Change for Renew<'_> {
    const NAME: &'static str = "auth.renew";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        let grant = self.grant;
        if !store::is_alive(tx, self.user, &grant.family).await? {
            return Err(Code::TokenRevoked.into());
        }
        store::insert_token(tx, &grant.refresh, &grant.family, self.now, grant.refresh_expires_at).await?;
        stats::add_by(tx, self.settings, self.user, self.now, stats::Delta::default()).await
    }
}

/// Ends one login.
pub(super) struct EndFamily<'a> {
    pub(super) family: &'a FamilyId,
    pub(super) reason: &'static str,
    pub(super) now: Timestamp,
}

impl Change for EndFamily<'_> {
    const NAME: &'static str = "auth.end";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        store::revoke_family(tx, self.family, self.reason, self.now).await
    }
}

/// Ends every login of a user, as part of a larger change.
pub(crate) async fn revoke_all_of(tx: &mut Tx, user: UserId, reason: &str, now: Timestamp) -> Result<()> {
    store::revoke_families_of(tx, user, reason, now).await
}
