use super::{Level, Membership, VipTerm, store};
use crate::access::Admin;
use crate::admin::{self, AuditEntry};
use crate::error::{Code, Result};
use crate::events;
use crate::kernel::{Timestamp, UserId};
use crate::settings::Settings;
use crate::store::{Change, Tx};
use crate::users::{self, User};

/// Gives a new user its membership.
pub(crate) async fn open(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    store::insert(tx, user, now).await
}

/// Ends the membership of a deleted user.
pub(crate) async fn close(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    store::write(tx, user, Membership::NORMAL, now).await
}

/// Adds paid days and tells until when the level now is in force. `VIP_HIGHER_ACTIVE` is never an answer here:
/// what was paid is given, so a lower plan lengthens the higher level that came between.
pub(crate) async fn extend(
    tx: &mut Tx,
    settings: &Settings,
    user: UserId,
    level: Level,
    days: i64,
    now: Timestamp,
) -> Result<Membership> {
    let current = store::lock(tx, user, now).await?.ok_or(Code::UserNotFound)?;
    let to = current.extended(level.max(current.level()), days, now).ok_or(Code::Internal)?;
    store::write(tx, user, to, now).await?;
    events::keep_end(tx, settings, user, to, now).await?;
    Ok(to)
}

/// Gives a level that somebody had at the original service, unless the present one is as good.
pub(crate) async fn raise(
    tx: &mut Tx,
    settings: &Settings,
    user: UserId,
    to: Membership,
    now: Timestamp,
) -> Result<()> {
    let current = store::lock(tx, user, now).await?.ok_or(Code::UserNotFound)?;
    if to.level() == Level::Normal || (current.level(), current.expires_at()) >= (to.level(), to.expires_at())
    {
        return Ok(());
    }
    store::write(tx, user, to, now).await?;
    // Of one that has ended there is nothing to tell.
    if to.expires_at() > Some(now) {
        events::keep_end(tx, settings, user, to, now).await?;
    }
    Ok(())
}

/// Takes back days of a refunded order; how many there were to take, the begun one counted whole.
pub(crate) async fn take_back(
    tx: &mut Tx,
    settings: &Settings,
    user: UserId,
    days: i64,
    now: Timestamp,
) -> Result<i64> {
    let current = store::lock(tx, user, now).await?.ok_or(Code::UserNotFound)?;
    let to = current.shortened(days, now);
    store::write(tx, user, to, now).await?;
    events::keep_end(tx, settings, user, to, now).await?;
    Ok(days.min(current.remaining_days(now)))
}

/// Sets or ends a level by hand.
pub(super) struct SetByAdmin<'a> {
    pub(super) admin: &'a Admin,
    pub(super) user: UserId,
    pub(super) to: Option<(Level, VipTerm)>,
    pub(super) reason: Option<&'a str>,
    pub(super) now: Timestamp,
}

impl Change for SetByAdmin<'_> {
    const NAME: &'static str = "vip.set_by_admin";
    type Out = Option<User>;

    async fn apply(&self, tx: &mut Tx) -> Result<Option<User>> {
        let now = self.now;
        let Some(before) = users::find(tx, self.user, now).await? else { return Ok(None) };
        let current = store::lock(tx, self.user, now).await?.unwrap_or(Membership::NORMAL);
        let to = match self.to {
            None => Membership::NORMAL,
            Some((level, VipTerm::Until(until))) => Membership::at(level, Some(until), now),
            Some((level, VipTerm::Days(days))) => {
                let left = current.expires_at().map_or(now, |until| until.max(now));
                Membership::at(level, Some(left.plus_days(days)), now)
            }
        };
        store::write(tx, self.user, to, now).await?;
        events::keep_end(tx, &self.admin.core.settings, self.user, to, now).await?;
        let action = if self.to.is_some() { "vip.set" } else { "vip.cancel" };
        let entry = AuditEntry::new(action, format!("user:{}", self.user))
            .before(describe(before.membership))
            .after(describe(to))
            .reason(self.reason);
        admin::record(tx, self.admin, entry, now).await?;
        users::find(tx, self.user, now).await
    }
}

fn describe(membership: Membership) -> serde_json::Value {
    serde_json::json!({
        "vipLevel": membership.level().as_str(),
        "vipExpireAt": membership.expires_at().map(|at| at.to_string()),
    })
}
