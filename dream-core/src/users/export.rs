//! Everything that is kept about one user, in one value.

use crate::access::{Admin, Session};
use crate::auth::{self, LoginRecord};
use crate::characters::{self, Character};
use crate::dream::Core;
use crate::error::{Code, Result};
use crate::favorites::{self, Favorite};
use crate::gallery::{self, GalleryImage};
use crate::jobs::{self, Job};
use crate::kernel::{Timestamp, UserId};
use crate::orders::{self, Order};
use crate::points::{self, LedgerEntry};
use crate::uploads::{self, Upload};
use crate::vip::{self, Span};

use super::{User, find};

/// Everything that is kept about one user, as it was at one instant. Lists are in the order in which things happened.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # let alice = world.alice().await;
/// # alice.generates("a cat").await;
/// let export = alice.session().await.export().await?;
/// assert_eq!((export.user.id, export.logins.len(), export.jobs.len()), (alice.id(), 1, 1));
/// let (job, rest) = &export.jobs[0];
/// println!("{}: {rest}", job.prompt);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserExport {
    /// When it was taken.
    pub at: Timestamp,
    /// The user.
    pub user: User,
    /// Logins that are remembered.
    pub logins: Vec<LoginRecord>,
    /// The spans of the membership.
    pub spans: Vec<Span>,
    /// The points ledger.
    pub ledger: Vec<LedgerEntry>,
    /// Orders.
    pub orders: Vec<Order>,
    /// Generations, each with what else was asked for: what is not to be seen, the model, its options.
    pub jobs: Vec<(Job, serde_json::Value)>,
    /// Favorites.
    pub favorites: Vec<Favorite>,
    /// Pictures that the user published.
    pub images: Vec<GalleryImage>,
    /// Characters with their photos, newest first.
    pub characters: Vec<Character>,
    /// Pictures that the user uploaded.
    pub uploads: Vec<Upload>,
}

impl Session {
    /// Everything that is kept about oneself.
    ///
    /// # Errors
    /// `TOKEN_REVOKED` if the account was deleted just now.
    pub async fn export(&self) -> Result<UserExport> {
        export(&self.core, self.user).await?.ok_or(Code::TokenRevoked.into())
    }
}

impl Admin {
    /// Everything that is kept about a user, for who asks for the data about oneself.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    pub async fn export_user(&self, user: UserId) -> Result<UserExport> {
        export(&self.core, user).await?.ok_or(Code::UserNotFound.into())
    }
}

async fn export(core: &Core, id: UserId) -> Result<Option<UserExport>> {
    let at = core.now();
    // One state for all of it, so that sums and lists agree.
    let mut state = core.store.snapshot().await?;
    let db = &mut state;
    let Some(user) = find(db, id, at).await? else { return Ok(None) };
    Ok(Some(UserExport {
        at,
        user,
        logins: auth::logins_of(db, id).await?,
        spans: vip::spans_of(db, id).await?,
        ledger: points::all_of(db, id).await?,
        orders: orders::all_of(db, id).await?,
        jobs: jobs::all_of(db, id).await?,
        favorites: favorites::all_of(db, id).await?,
        images: gallery::all_of(db, id).await?,
        characters: characters::all_of(db, id).await?,
        uploads: uploads::all_of(db, id, core.blobs.as_ref()).await?,
    }))
}
