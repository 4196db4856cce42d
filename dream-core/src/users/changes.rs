use super::store::{self, Arrival, Original};
use super::{ProfileUpdate, User, UserEdit};
use crate::access::Admin;
use crate::error::{Code, Error, Result};
use crate::jobs::quota;
use crate::kernel::{Timestamp, UserId};
use crate::ports::Blobs;
use crate::settings::Settings;
use crate::store::{Change, StoreError, Tx};
use crate::{admin, auth, characters, favorites, gallery, jobs, orders, points, stats, uploads, vip};

/// The user of an openid, made if it is the first time; whether it was.
pub(crate) async fn arrive(
    tx: &mut Tx,
    settings: &Settings,
    arrival: &Arrival<'_>,
    now: Timestamp,
) -> Result<(UserId, bool)> {
    if let Some(known) = store::learn(tx, arrival, now).await? {
        return Ok((known, false));
    }
    let Some(made) = store::insert(tx, arrival, now).await? else {
        // Another first login committed between our two statements; its row is there now.
        let known = store::learn(tx, arrival, now).await?;
        return known.map(|user| (user, false)).ok_or_else(lost_user);
    };
    vip::open(tx, made, now).await?;
    points::open(tx, made).await?;
    stats::open(tx, made).await?;
    quota::restore(tx, settings, made, arrival.openid, now).await?;
    Ok((made, true))
}

/// The user of somebody whom the original service knew, made unless the openid is known; whether it was made.
pub(crate) async fn take_over(
    tx: &mut Tx,
    user: &Original<'_>,
    had: Option<(vip::Level, Timestamp)>,
    settings: &Settings,
    now: Timestamp,
) -> Result<(UserId, bool)> {
    if let Some(known) = store::of_openid(tx, user.openid).await? {
        points::lock_balance(tx, known).await?;
        store::fill_in(tx, known, user).await?;
        if let Some(had) = had {
            vip::raise(tx, settings, known, had, now).await?;
        }
        return Ok((known, false));
    }
    let made = store::take_over(tx, user).await?.ok_or_else(lost_user)?;
    vip::open(tx, made, now).await?;
    if let Some(had) = had {
        vip::raise(tx, settings, made, had, now).await?;
    }
    points::open(tx, made).await?;
    stats::open(tx, made).await?;
    Ok((made, true))
}

fn lost_user() -> Error {
    StoreError::Inconsistent("users: an openid is taken, but has no row".into()).into()
}

/// Changes name or picture.
pub(super) struct UpdateProfile<'a> {
    pub(super) user: UserId,
    pub(super) update: &'a ProfileUpdate,
    pub(super) now: Timestamp,
}

impl Change for UpdateProfile<'_> {
    const NAME: &'static str = "users.update_profile";
    type Out = User;

    async fn apply(&self, tx: &mut Tx) -> Result<User> {
        let nick_name = self.update.nick_name.as_ref().map(super::NickName::as_str);
        let avatar_url = self.update.avatar_url.as_ref().map(super::AvatarUrl::as_str);
        store::update_profile(tx, self.user, nick_name, avatar_url, self.now).await?;
        store::find(tx, self.user, self.now).await?.ok_or(Code::TokenRevoked.into())
    }
}

/// Changes what an admin may change of a user.
pub(super) struct EditByAdmin<'a> {
    pub(super) admin: &'a Admin,
    pub(super) user: UserId,
    pub(super) edit: &'a UserEdit,
    pub(super) reason: Option<&'a str>,
    /// A fresh id, for the entry of the ledger.
    pub(super) cause: &'a str,
    pub(super) now: Timestamp,
}

impl Change for EditByAdmin<'_> {
    const NAME: &'static str = "users.edit_by_admin";
    type Out = Option<User>;

    async fn apply(&self, tx: &mut Tx) -> Result<Option<User>> {
        let (user, now) = (self.user, self.now);
        if points::lock_balance(tx, user).await?.is_none() {
            return Ok(None);
        }
        let Some(before) = store::find(tx, user, now).await? else { return Ok(None) };
        let nick_name = self.edit.nick_name.as_ref().map(super::NickName::as_str);
        let avatar_url = self.edit.avatar_url.as_ref().map(super::AvatarUrl::as_str);
        if nick_name.is_some() || avatar_url.is_some() {
            store::update_profile(tx, user, nick_name, avatar_url, now).await?;
        }
        if let Some(adjustment) = self.edit.balance {
            let by_hand = points::ByHand { user, cause: self.cause, reason: self.reason };
            points::adjust_by_hand(tx, &self.admin.core.settings, by_hand, adjustment, now).await?;
        }
        let after = store::find(tx, user, now).await?.ok_or_else(lost_user)?;
        let (was, is) = differences(&before, &after);
        if !is.is_empty() {
            let entry = admin::AuditEntry::new("user.update", format!("user:{user}"))
                .before(was.into())
                .after(is.into())
                .reason(self.reason);
            admin::record(tx, self.admin, entry, now).await?;
        }
        Ok(Some(after))
    }
}

type Fields = serde_json::Map<String, serde_json::Value>;

/// The fields that an edit changed: as they were, and as they are.
fn differences(before: &User, after: &User) -> (Fields, Fields) {
    let fields = |user: &User| {
        [
            ("nickName", user.nick_name.clone().into()),
            ("avatarUrl", user.avatar_url.clone().into()),
            ("pointsBalance", user.balance.get().into()),
        ]
    };
    let (mut was, mut is) = (Fields::new(), Fields::new());
    for ((name, old), (_, new)) in fields(before).into_iter().zip(fields(after)) {
        let new: serde_json::Value = new;
        if old != new {
            was.insert(name.to_owned(), old);
            is.insert(name.to_owned(), new);
        }
    }
    (was, is)
}

/// Erases a person. Private things go, what others rely on stays without the person.
pub(super) struct Delete<'a> {
    pub(super) user: UserId,
    pub(super) by: Option<&'a Admin>,
    pub(super) now: Timestamp,
    /// Tells which pictures are objects of ours.
    pub(super) blobs: &'a dyn Blobs,
    pub(super) settings: &'a Settings,
}

impl Change for Delete<'_> {
    const NAME: &'static str = "users.delete";
    type Out = Option<()>;

    async fn apply(&self, tx: &mut Tx) -> Result<Option<()>> {
        let (user, now) = (self.user, self.now);
        // Under the account's lock no generation begins: it either is there to be ended, or finds nobody.
        points::lock_balance(tx, user).await?;
        if !store::lock(tx, user).await? {
            return Ok(None);
        }
        auth::revoke_all_of(tx, user, "DELETED", now).await?;
        // Locks characters before the user's counters, as adding a photo does.
        characters::forget(tx, user, now).await?;
        // Before the jobs, whose pictures are removed unless the gallery shows them.
        gallery::forget(tx, user, self.blobs, now).await?;
        // Before the jobs: those that are open return their samples, which the image API may generate all the same.
        if let Some(openid) = store::openid_of(tx, user).await? {
            quota::remember(tx, self.settings, user, &openid, now).await?;
        }
        jobs::forget(tx, user, self.blobs, self.settings, now).await?;
        favorites::forget(tx, user, self.settings, now).await?;
        uploads::forget(tx, user, now).await?;
        orders::forget(tx, user, now).await?;
        vip::close(tx, self.settings, user, now).await?;
        admin::forget(tx, user).await?;
        store::erase(tx, user, now).await?;
        let delta = stats::Delta { deleted_users: 1, ..stats::Delta::default() };
        stats::add(tx, self.settings, now, delta).await?;
        if let Some(admin) = self.by {
            let entry = admin::AuditEntry::new("user.delete", format!("user:{user}"));
            admin::record(tx, admin, entry, now).await?;
        }
        Ok(Some(()))
    }
}
