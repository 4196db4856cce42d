//! Rows that a listener takes, and no worker.

use std::time::Duration;

use super::{Task, store};
use crate::dream::Core;
use crate::error::Result;
use crate::kernel::Timestamp;
use crate::store::{Change, Tx};

struct ClaimEvent<'a> {
    lease: &'a str,
    now: Timestamp,
    until: Timestamp,
}

impl Change for ClaimEvent<'_> {
    const NAME: &'static str = "outbox.claim_event";
    type Out = Option<Task>;

    async fn apply(&self, tx: &mut Tx) -> Result<Option<Task>> {
        store::claim_event(tx, self.lease, self.now, self.until).await
    }
}

/// Takes the first event that is due and that nobody holds, for this long.
pub(crate) async fn claim_event(core: &Core, span: Duration) -> Result<Option<(Task, String)>> {
    let now = core.now();
    // Looking first spares the writer a transaction for nothing.
    if next_event(core).await?.is_none_or(|at| at > now) {
        return Ok(None);
    }
    let lease = core.new_lease();
    let change = ClaimEvent { lease: &lease, now, until: now.plus(span) };
    Ok(core.store.run(&change).await?.map(|task| (task, lease)))
}

/// When the next event is due, or the lease of one runs out.
pub(crate) async fn next_event(core: &Core) -> Result<Option<Timestamp>> {
    store::next_event(&mut core.store.db()).await
}

/// The event was dealt with.
pub(crate) async fn complete(core: &Core, task: &Task, lease: &str) -> Result<()> {
    store::complete(&mut core.store.db(), task, lease).await
}

/// The event is to be told later.
pub(crate) async fn postpone(
    core: &Core,
    task: &Task,
    lease: &str,
    at: Timestamp,
    error: Option<&str>,
) -> Result<()> {
    store::postpone(&mut core.store.db(), task, lease, at, true, error).await
}
