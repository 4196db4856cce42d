//! Units of work on logins.
//!
//! A refresh token is spent and its successor stored in one transaction, under a lock of the token's row; so of two uses at
//! once the second sees the first, and gets the same pair. A reuse that revokes the login is a result and not an error,
//! since the revocation has to be committed. Every unit may be run again after a conflict.

use std::time::Duration;

use super::store::{self, RefreshToken};
use super::{FamilyId, Grant, login_end};
use crate::error::{Code, Result};
use crate::kernel::{Timestamp, UserId};
use crate::settings::Settings;
use crate::stats;
use crate::store::{Change, Tx};
use crate::users::{self, Arrival, User};

/// How long a spent token still gives the same pair to the same client: parallel refreshes, and answers that were lost.
const REPEAT_WITHIN: Duration = Duration::from_mins(1);
/// Unspent refresh tokens of one login. A client that refreshes by its access token holds the newest.
const UNSPENT_MOST: i64 = 3;

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
        let (user, is_new) = users::arrive(tx, self.settings, &arrival, self.now).await?;
        let grant = self.grant;
        let expires_at = grant.refresh_expires_at.min(login_end(self.now));
        store::insert_family(tx, &grant.family, user, self.now, expires_at).await?;
        store::insert_token(tx, &grant.refresh, &grant.family, self.now, expires_at).await?;
        let delta = stats::Delta { new_users: is_new.into(), ..stats::Delta::default() };
        stats::add_by(tx, self.settings, user, self.now, delta).await?;
        users::find(tx, user, self.now).await?.ok_or(Code::TokenRevoked.into())
    }
}

/// Spends a refresh token for its successor. A later use revokes the whole login: two hold the token.
pub(super) struct Rotate<'a> {
    pub(super) spent: &'a RefreshToken,
    /// The successor, and when it is given out.
    pub(super) grant: &'a Grant,
    pub(super) now: Timestamp,
    pub(super) settings: &'a Settings,
}

pub(super) enum Rotated {
    Renewed {
        user: UserId,
        family: FamilyId,
        /// When the pair was given out first.
        at: Timestamp,
        /// When the login began.
        began_at: Timestamp,
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
        let grant = self.grant;
        let (user, family, began_at) = (token.user, token.family, token.began_at);
        if let Some((at, by)) = &token.spent {
            let is_repeat = !token.revoked
                && self.now.since(*at) <= REPEAT_WITHIN
                && by == self.spent.client()
                && store::is_stored(tx, &grant.refresh).await?;
            if is_repeat {
                return Ok(Rotated::Renewed { user, family, at: *at, began_at });
            }
            store::revoke_family(tx, &family, "REUSE", self.now).await?;
            return Ok(Rotated::Reused { user });
        }
        if token.revoked {
            return Ok(Rotated::Refused(Code::TokenRevoked));
        }
        if token.expires_at <= self.now || login_end(began_at) <= self.now {
            return Ok(Rotated::Refused(Code::TokenExpired));
        }
        store::spend_token(tx, self.spent, self.now).await?;
        let expires_at = grant.refresh_expires_at.min(login_end(began_at));
        store::insert_token(tx, &grant.refresh, &family, self.now, expires_at).await?;
        stats::add_by(tx, self.settings, user, self.now, stats::Delta::default()).await?;
        Ok(Rotated::Renewed { user, family, at: self.now, began_at })
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
    /// When the login began.
    type Out = Timestamp;

    async fn apply(&self, tx: &mut Tx) -> Result<Timestamp> {
        let grant = self.grant;
        let began_at = store::lock_family(tx, self.user, &grant.family).await?.ok_or(Code::TokenRevoked)?;
        if login_end(began_at) <= self.now {
            return Err(Code::TokenExpired.into());
        }
        let expires_at = grant.refresh_expires_at.min(login_end(began_at));
        store::insert_token(tx, &grant.refresh, &grant.family, self.now, expires_at).await?;
        store::keep_newest(tx, &grant.family, UNSPENT_MOST).await?;
        stats::add_by(tx, self.settings, self.user, self.now, stats::Delta::default()).await?;
        Ok(began_at)
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
