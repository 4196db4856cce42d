//! Users: who they are, what they may be called, and how they leave.

mod changes;
mod export;
mod rules;
mod store;

use crate::access::{Admin, Session, Visitor};
use crate::error::{Code, Error, Result};
use crate::gallery;
use crate::kernel::{Points, Timestamp, UserId};
use crate::points::Adjustment;
use crate::ports::EntropyExt as _;
use crate::vip::{Level, Membership};

pub(crate) use changes::{arrive, take_over};
pub use export::UserExport;
pub(crate) use rules::name_key;
pub use rules::{AvatarUrl, NickName};
pub(crate) use store::{
    Arrival, Original, find, find_all, living, lock, names, openid_of, read as read_user, user_view,
};

/// A user with everything that only the user and admins may see.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::vip::Level;
///
/// # let alice = world.alice().await;
/// let me = alice.session().await.me().await?;
/// assert_eq!(
///     (me.openid.as_deref(), me.membership.level(), me.balance.get()),
///     (Some(alice.openid()), Level::Normal, 0)
/// );
/// assert_eq!(me.phone, None, "it is known once the user gives it at a login");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// WeChat's id within the mini-program; absent once the account is deleted.
    pub openid: Option<String>,
    /// WeChat's id within the operator's account, where learnt.
    pub unionid: Option<String>,
    /// The phone number, where learnt.
    pub phone: Option<String>,
    /// What the user is called.
    pub nick_name: Option<String>,
    /// The user's picture.
    pub avatar_url: Option<String>,
    /// The level in force at the time of reading, and until when.
    pub membership: Membership,
    /// Points that can be spent.
    pub balance: Points,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What others may see of a user.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # let alice = world.alice().await;
/// let seen = world.dream().visitor(None).await?.public_user(alice.id()).await?;
/// // No openid, no phone, no points.
/// assert_eq!((seen.id, seen.nick_name, seen.avatar_url), (alice.id(), None, None));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUser {
    /// Its id.
    pub id: UserId,
    /// What the user is called.
    pub nick_name: Option<String>,
    /// The user's picture.
    pub avatar_url: Option<String>,
    /// The level in force.
    pub level: Level,
}

/// A user as the asking user may see it.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::UserView;
///
/// # let (alice, bob) = (world.alice().await, world.user("bob").await);
/// let me = alice.session().await;
/// assert!(matches!(me.user(alice.id()).await?, UserView::Own(user) if user.openid.is_some()));
/// assert!(matches!(me.user(bob.id()).await?, UserView::Other(_)));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserView {
    /// Oneself.
    Own(Box<User>),
    /// Somebody else.
    Other(PublicUser),
}

/// What an admin changes about a user. `None` leaves a field as it is.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::UserEdit;
/// use dream_core::kernel::Points;
/// use dream_core::points::Adjustment;
///
/// # let alice = world.alice().await;
/// let edit = UserEdit {
///     nick_name: Some("Alice".parse().unwrap()),
///     balance: Some(Adjustment::To(Points::new(20))),
///     ..UserEdit::default()
/// };
/// let user = world.admin().await.update_user(alice.id(), &edit, Some("as asked by mail")).await?;
/// assert_eq!((user.nick_name.as_deref(), user.balance.get()), (Some("Alice"), 20), "both or none");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Default)]
pub struct UserEdit {
    /// A new name.
    pub nick_name: Option<NickName>,
    /// A new picture.
    pub avatar_url: Option<AvatarUrl>,
    /// How the balance changes. The difference becomes an entry of the ledger.
    pub balance: Option<Adjustment>,
}

/// What a user may change about itself. `None` leaves a field as it is.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::{Code, ProfileUpdate};
///
/// # let me = world.alice().await.session().await;
/// let update = ProfileUpdate { nick_name: Some("Alice".parse().unwrap()), ..ProfileUpdate::default() };
/// assert_eq!(me.update_profile(update).await?.nick_name.as_deref(), Some("Alice"));
///
/// let elsewhere = ProfileUpdate {
///     avatar_url: Some("https://elsewhere.example/a.png".parse().unwrap()),
///     ..ProfileUpdate::default()
/// };
/// assert_eq!(me.update_profile(elsewhere).await.unwrap_err().code(), Code::ValidationFailed);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Default)]
pub struct ProfileUpdate {
    /// A new name.
    pub nick_name: Option<NickName>,
    /// A new picture.
    pub avatar_url: Option<AvatarUrl>,
}

impl From<User> for PublicUser {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            nick_name: user.nick_name,
            avatar_url: user.avatar_url,
            level: user.membership.level(),
        }
    }
}

impl Session {
    /// The signed-in user.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// # let alice = world.alice().await;
    /// let me = alice.session().await.me().await?;
    /// assert_eq!((me.id, me.nick_name), (alice.id(), None));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `TOKEN_REVOKED` if the account was deleted just now.
    pub async fn me(&self) -> Result<User> {
        let core = &self.core;
        find(&mut core.store.db(), self.user, core.now()).await?.ok_or(Code::TokenRevoked.into())
    }

    /// A user by id: oneself in full, others as everybody may see them.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    pub async fn user(&self, id: UserId) -> Result<UserView> {
        let core = &self.core;
        let user = find(&mut core.store.db(), id, core.now()).await?.ok_or(Code::UserNotFound)?;
        Ok(if id == self.user { UserView::Own(Box::new(user)) } else { UserView::Other(user.into()) })
    }

    /// Changes one's name or picture.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::{Code, ProfileUpdate};
    ///
    /// # let me = world.alice().await.session().await;
    /// let named =
    ///     |name: &str| ProfileUpdate { nick_name: Some(name.parse().unwrap()), ..ProfileUpdate::default() };
    /// assert_eq!(me.update_profile(named("Alice")).await?.nick_name.as_deref(), Some("Alice"));
    /// let refused = me.update_profile(named("a risky name")).await.unwrap_err();
    /// assert_eq!(refused.code(), Code::ContentRejected);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `CONTENT_REJECTED` for a name that may not go public, `VALIDATION_FAILED` for a picture that lies
    /// elsewhere, `UPSTREAM_ERROR` if the name could not be checked.
    pub async fn update_profile(&self, update: ProfileUpdate) -> Result<User> {
        let core = &self.core;
        if let Some(url) = &update.avatar_url
            && !url.may_be_shown(core)
        {
            return Err(rules::foreign_avatar());
        }
        if let Some(name) = &update.nick_name {
            let openid = self.me().await?.openid.ok_or(Code::TokenRevoked)?;
            if !name.may_go_public(core, &openid).await? {
                return Err(Code::ContentRejected.into());
            }
        }
        let change = changes::UpdateProfile { user: self.user, update: &update, now: core.now() };
        let user = core.store.run(&change).await?;
        Ok(user)
    }

    /// Deletes the account: personal data and everything private is erased, ledger and orders stay without the
    /// person, and every token is dead at once.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Code;
    ///
    /// # let alice = world.alice().await;
    /// alice.session().await.delete_account().await?;
    /// assert_eq!(alice.try_session().await.unwrap_err().code(), Code::TokenRevoked);
    /// // The person is gone. Ledger and orders stay, of a user without a name.
    /// assert_eq!(world.admin().await.transactions_of(alice.id(), &Default::default()).await?.items, []);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `TOKEN_REVOKED` if it was deleted just now.
    pub async fn delete_account(self) -> Result<()> {
        delete(&self.core, self.user, None).await?.ok_or(Code::TokenRevoked.into())
    }
}

impl Visitor {
    /// A user as everybody may see it.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    pub async fn public_user(&self, id: UserId) -> Result<PublicUser> {
        let core = self.core();
        let user = find(&mut core.store.public(), id, core.now()).await?;
        user.map(PublicUser::from).ok_or_else(|| Error::new(Code::UserNotFound))
    }
}

impl Admin {
    /// A user in full.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    pub async fn user(&self, id: UserId) -> Result<User> {
        find(&mut self.core.store.db(), id, self.core.now()).await?.ok_or(Code::UserNotFound.into())
    }

    /// Changes a user's name, picture and balance, all of them or none. The user sees it at once.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`; `VALIDATION_FAILED` for a picture that lies elsewhere or a balance below zero;
    /// `INVALID_STATE` if more points would be taken than are there; `CONTENT_REJECTED` for a name that may not go public, `UPSTREAM_ERROR` if it could not be checked.
    pub async fn update_user(&self, id: UserId, edit: &UserEdit, reason: Option<&str>) -> Result<User> {
        let core = &self.core;
        if let Some(adjustment) = edit.balance {
            crate::points::check_adjustment(adjustment)?;
        }
        if edit.avatar_url.as_ref().is_some_and(|url| !url.may_be_shown(core)) {
            return Err(rules::foreign_avatar());
        }
        if let Some(name) = &edit.nick_name {
            let openid = self.user(id).await?.openid.ok_or(Code::UserNotFound)?;
            if !name.may_go_public(core, &openid).await? {
                return Err(Code::ContentRejected.into());
            }
        }
        let cause = core.entropy.uuid().to_string();
        let change =
            changes::EditByAdmin { admin: self, user: id, edit, reason, cause: &cause, now: core.now() };
        let user = core.store.run(&change).await?.ok_or(Code::UserNotFound)?;
        if edit.nick_name.is_some() || edit.avatar_url.is_some() {
            // Pictures are shown with their author.
            core.announce(gallery::TOPIC).await;
        }
        Ok(user)
    }

    /// Deletes an account, as its user could.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Code;
    ///
    /// # let alice = world.alice().await;
    /// let admin = world.admin().await;
    /// admin.delete_user(alice.id()).await?;
    /// assert_eq!(admin.delete_user(alice.id()).await.unwrap_err().code(), Code::UserNotFound);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    pub async fn delete_user(&self, id: UserId) -> Result<()> {
        delete(&self.core, id, Some(self)).await?.ok_or(Code::UserNotFound.into())
    }
}

async fn delete(core: &crate::dream::Core, user: UserId, by: Option<&Admin>) -> Result<Option<()>> {
    let change =
        changes::Delete { user, by, now: core.now(), blobs: core.blobs.as_ref(), settings: &core.settings };
    let deleted = core.store.run(&change).await?;
    if deleted.is_some() {
        core.wake_worker();
        crate::auth::announce_end(core, user).await;
        // Pictures are shown with their author and their likes.
        core.announce(gallery::TOPIC).await;
    }
    Ok(deleted)
}
