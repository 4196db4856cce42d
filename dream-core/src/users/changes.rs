use super::store::{self, Arrival};
use super::{ProfileUpdate, User};
use crate::access::Admin;
use crate::error::{Code, Error, Result};
use crate::kernel::{Timestamp, UserId};
use crate::ports::Blobs;
use crate::settings::Settings;
use crate::store::{Change, StoreError, Tx};
use crate::{admin, auth, characters, favorites, gallery, jobs, orders, points, stats, uploads, vip};

/// The user of an openid, made if it is the first time; whether it was.
pub(crate) async fn arrive(tx: &mut Tx, arrival: &Arrival<'_>, now: Timestamp) -> Result<(UserId, bool)> {
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
        jobs::forget(tx, user, self.blobs, self.settings, now).await?;
        favorites::forget(tx, user, self.settings, now).await?;
        gallery::forget(tx, user, now).await?;
        characters::forget(tx, user, now).await?;
        uploads::forget(tx, user, now).await?;
        orders::forget(tx, user, now).await?;
        vip::close(tx, user, now).await?;
        store::erase(tx, user, now).await?;
        let delta = stats::Delta { deleted_users: 1, ..stats::Delta::default() };
        stats::add(tx, &self.settings.zone, now, self.settings.shard, &delta).await?;
        if let Some(admin) = self.by {
            let entry = admin::AuditEntry::new("user.delete", format!("user:{user}"));
            admin::record(tx, admin, entry, now).await?;
        }
        Ok(Some(()))
    }
}
