//! Adding and removing favorites. Each runs under the lock of the user's account, so the count of the user's favorites
//! that the limit is held against is the count that the transaction changes, and parallel requests cannot exceed it.

use super::{Added, FavoriteKind, ResourceId, not_found, store};
use crate::error::{Code, Error, Facts, Result};
use crate::kernel::{FavoriteId, Timestamp, UserId};
use crate::settings::Settings;
use crate::stats::{self, Delta, UserDelta};
use crate::store::{Change, Tx};
use crate::{gallery, points, templates, users};

/// Keeps something, once.
pub(super) struct Add<'a> {
    pub(super) user: UserId,
    pub(super) kind: FavoriteKind,
    pub(super) resource: &'a ResourceId,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl Change for Add<'_> {
    const NAME: &'static str = "favorites.add";
    type Out = Added;

    async fn apply(&self, tx: &mut Tx) -> Result<Added> {
        let (user, kind, resource) = (self.user, self.kind, self.resource);
        // Under the account's lock the account cannot go, and the same favorite is not added twice at once.
        points::lock_balance(tx, user).await?.ok_or(Code::TokenRevoked)?;
        users::openid_of(tx, user).await?.ok_or(Code::TokenRevoked)?;
        if let Some(favorite) = store::of_resource(tx, user, kind, resource).await? {
            return Ok(Added { favorite, is_new: false });
        }
        let used = stats::counters(tx, user).await?.favorites;
        if let Some(limit) = self.settings.user_limits.favorites
            && used >= limit
        {
            return Err(Error::new(Code::FavoriteLimitReached).with_facts(Facts::Limit { limit, used }));
        }
        self.check_exists(tx).await?;
        let favorite = store::insert(tx, user, kind, resource, self.now).await?;
        count(tx, user, kind, 1, self.settings, self.now).await?;
        Ok(Added { favorite, is_new: true })
    }
}

impl Add<'_> {
    /// Only what can be shown can be kept: a public picture, or a template.
    async fn check_exists(&self, tx: &mut Tx) -> Result<()> {
        let id = self.resource.as_str();
        let (found, absent) = match self.kind {
            FavoriteKind::Image => {
                let ids: Vec<_> = id.parse().into_iter().collect();
                (!gallery::public_images(tx, &ids, self.user).await?.is_empty(), Code::ImageNotFound)
            }
            FavoriteKind::Prompt => {
                let ids: Vec<_> = id.parse().into_iter().collect();
                (!templates::prompt_templates_of(tx, &ids).await?.is_empty(), Code::TemplateNotFound)
            }
        };
        if found { Ok(()) } else { Err(absent.into()) }
    }
}

/// Keeps something no longer.
pub(super) struct Remove<'a> {
    pub(super) user: UserId,
    pub(super) id: FavoriteId,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl Change for Remove<'_> {
    const NAME: &'static str = "favorites.remove";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        points::lock_balance(tx, self.user).await?;
        let kind = store::delete(tx, self.user, self.id).await?.ok_or_else(not_found)?;
        count(tx, self.user, kind, -1, self.settings, self.now).await
    }
}

async fn count(
    tx: &mut Tx,
    user: UserId,
    kind: FavoriteKind,
    favorites: i64,
    settings: &Settings,
    now: Timestamp,
) -> Result<()> {
    let image_favorites = if kind == FavoriteKind::Image { favorites } else { 0 };
    let delta = UserDelta { favorites, image_favorites, ..UserDelta::default() };
    stats::add_to_user(tx, user, &delta).await?;
    let delta = Delta { favorites, ..Delta::default() };
    stats::add_by(tx, settings, user, now, delta).await
}

/// Removes a deleted user's favorites.
pub(crate) async fn forget(tx: &mut Tx, user: UserId, settings: &Settings, now: Timestamp) -> Result<()> {
    store::delete_all(tx, user).await?;
    let had = stats::counters(tx, user).await?;
    let delta = UserDelta {
        favorites: -had.favorites,
        image_favorites: -had.image_favorites,
        ..UserDelta::default()
    };
    stats::add_to_user(tx, user, &delta).await?;
    let delta = Delta { favorites: -had.favorites, ..Delta::default() };
    stats::add(tx, settings, now, delta).await
}
