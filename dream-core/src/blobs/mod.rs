//! Objects in storage that belong to rows: written before the row, removed after it.
//!
//! An object and a row cannot be written in one step, and either step may fail or lose its answer. So a removal is
//! planned before the object is written, and called off in the commit of the row that names it. Whatever goes wrong
//! in between, the plan is carried out, and no object is left that nothing names.

mod sweep;

use std::sync::Arc;
use std::time::Duration;

use crate::dream::Core;
use crate::error::{Code, Error, Result};
use crate::jobs;
use crate::kernel::Timestamp;
use crate::media::Picture;
use crate::outbox::{self, Next, Task, TaskKind};
use crate::ports::BlobKey;
use crate::store::{Change, Tx};

pub(crate) use sweep::Names;
pub use sweep::{Missing, Removed, SweepOptions, SweepProgress, SweepReport};

/// How long an object may be there before a row names it. Writing one takes seconds.
const UNNAMED_FOR: Duration = Duration::from_mins(10);
/// A job that still needs the object takes minutes.
const LOOK_AGAIN_AFTER: Duration = Duration::from_mins(1);

struct PlanRemoval<'a> {
    keys: &'a [BlobKey],
    now: Timestamp,
}

impl Change for PlanRemoval<'_> {
    const NAME: &'static str = "blobs.plan_removal";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        for key in self.keys {
            let due = self.now.plus(UNNAMED_FOR);
            // One of this name is just being removed: it is not known when that takes effect.
            if !outbox::plan(tx, TaskKind::BlobDelete, key.as_str(), due, self.now).await? {
                return Err(Error::new(Code::Unavailable).while_("writing an object that is being removed"));
            }
        }
        Ok(())
    }
}

/// Objects that were written and that no row names yet. What is not named in time is removed.
#[derive(Debug)]
pub(crate) struct Unnamed {
    keys: Vec<BlobKey>,
}

impl Unnamed {
    /// Writes pictures under these names.
    ///
    /// # Errors
    /// As the storage. What was written of them is removed.
    pub(crate) async fn write(
        core: &Core,
        pictures: impl IntoIterator<Item = (BlobKey, Picture)>,
    ) -> Result<Self> {
        let (keys, pictures): (Vec<_>, Vec<_>) = pictures.into_iter().unzip();
        core.store.run(&PlanRemoval { keys: &keys, now: core.now() }).await?;
        let this = Self { keys };
        for (key, picture) in this.keys.iter().zip(pictures) {
            if let Err(failure) = core.blobs.put(key, picture.kind.mime(), picture.bytes).await {
                this.abandon(core).await;
                return Err(Error::from(failure).while_("writing an object"));
            }
        }
        Ok(this)
    }

    /// Their names.
    pub(crate) fn keys(&self) -> &[BlobKey] {
        &self.keys
    }

    /// Calls the removal off, as part of the change that writes the row which names them.
    ///
    /// # Errors
    /// `UNAVAILABLE` if it took so long that the removal has begun.
    pub(crate) async fn name(&self, tx: &mut Tx) -> Result<()> {
        for key in &self.keys {
            if !outbox::withdraw(tx, TaskKind::BlobDelete, key.as_str()).await? {
                return Err(Error::new(Code::Unavailable).while_("naming an object that is being removed"));
            }
        }
        Ok(())
    }

    /// Has them removed at once, since no row will name them. Should this not be kept, they are removed later.
    pub(crate) async fn abandon(&self, core: &Core) {
        for key in &self.keys {
            let mut db = core.store.db();
            if let Err(error) = outbox::hasten(&mut db, TaskKind::BlobDelete, key.as_str(), core.now()).await
            {
                tracing::warn!(error = %error.chain(), "an object is removed later than it could be");
            }
        }
        core.wake_worker();
    }
}

/// Queues an object for removal as part of the change that takes its row away.
pub(crate) async fn remove_later(tx: &mut Tx, key: &BlobKey, now: Timestamp) -> Result<()> {
    outbox::enqueue(tx, TaskKind::BlobDelete, key.as_str(), now, now).await
}

/// The task: remove an object, unless a job still needs it. Removing it twice is the same as once.
pub(crate) async fn delete(core: &Arc<Core>, task: &Task) -> Result<Next> {
    let key: BlobKey = task.subject.parse().map_err(|_| Error::internal("a task names no object"))?;
    if jobs::needs(&mut core.store.db(), &key).await? {
        return Ok(Next::After(LOOK_AGAIN_AFTER));
    }
    core.blobs.delete(&key).await?;
    Ok(Next::Done)
}

/// Whether the picture lies in our own storage, or at one of these hosts. Anything else could be changed after it was
/// looked at, and would tell its owner who looks. We never fetch it either way.
pub(crate) fn lies_with_us_or_at(core: &Core, url: &str, hosts: &[String]) -> bool {
    // Compared up to the first mark that can end a host: with a port, a name before an `@` or a backslash in it, it
    // is no host of the list.
    let host = || url.strip_prefix("https://")?.split(['/', '?', '#']).next();
    core.blobs.key_of(url).is_some()
        || host().is_some_and(|host| hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)))
}
