//! Figures that are kept as things happen, so that reading them never scans a table.

mod store;

use crate::access::Session;
use crate::error::Result;
use crate::jobs::quota::{Quota, usage};
use crate::users::User;

pub(crate) use store::{Delta, UserDelta, add, add_images, add_to_user, counters, living_users, open, seen};

/// What a user's page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserStats {
    /// Orders made.
    pub total_orders: i64,
    /// Favorites kept.
    pub total_favorites: i64,
    /// Generations accepted.
    pub total_generations: i64,
    /// What may be generated today.
    pub quota: Quota,
}

impl Session {
    /// The user and its figures.
    ///
    /// # Errors
    /// `TOKEN_REVOKED` if the account was deleted just now.
    pub async fn stats(&self) -> Result<(User, UserStats)> {
        let core = &self.core;
        let user = self.me().await?;
        let mut db = core.store.db();
        let counters = counters(&mut db, self.user).await?;
        let used = usage(&mut db, self.user, &core.settings.zone, core.now()).await?;
        let stats = UserStats {
            total_orders: counters.orders,
            total_favorites: counters.favorites,
            total_generations: counters.generations,
            quota: Quota::new(core.settings.quota.of(user.membership.level()), used),
        };
        Ok((user, stats))
    }
}
