//! Objects in storage that belong to rows: written before the row, removed after it.

use std::sync::Arc;

use crate::dream::Core;
use crate::error::{Error, Result};
use crate::kernel::Timestamp;
use crate::outbox::{self, Next, Task, TaskKind};
use crate::ports::BlobKey;
use crate::store::Tx;

/// Queues an object for removal as part of the change that takes its row away.
pub(crate) async fn remove_later(tx: &mut Tx, key: &BlobKey, now: Timestamp) -> Result<()> {
    outbox::enqueue(tx, TaskKind::BlobDelete, key.as_str(), now, now).await
}

/// Removes an object. Removing it twice is the same as once.
pub(crate) async fn delete(core: &Arc<Core>, task: &Task) -> Result<Next> {
    let key: BlobKey = task.subject.parse().map_err(|_| Error::internal("a task names no object"))?;
    core.blobs.delete(&key).await?;
    Ok(Next::Done)
}
