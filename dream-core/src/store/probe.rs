//! Whether the database can be used now: that it answers reads, and that it stores what is written.
//!
//! A read proves nothing about writes: a full disk, a replica, or a lock that another process holds refuses only those.
//! So the probe commits rows of its own, in the table `store_probes`. Where a commit succeeded a moment ago it writes
//! nothing. Probes of one store run one at a time, and what one finds is the answer of all that waited for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::{Change, Db as _, Sql, Store, StoreError, Tx};
use crate::error::Result;

/// A commit of this age still shows that writes succeed.
const RECENT: Duration = Duration::from_secs(5);
/// The answer of a probe is reused for this time.
const REUSED: Duration = Duration::from_millis(500);
/// The longest that a probe may take. A load balancer waits no longer for an answer.
const LIMIT: Duration = Duration::from_secs(2);
/// Bytes that a probe stores: more than a unit of work usually adds, so that a database with room for a little less
/// counts as full.
const ROOM: usize = 64 * 1024;

/// The last answer, and when it was found.
#[derive(Debug, Clone, Default)]
pub(super) struct Probe {
    last: Arc<Mutex<Option<(Instant, bool)>>>,
}

struct WriteProbe;

impl Change for WriteProbe {
    const NAME: &'static str = "store.probe";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        let insert = Sql::new("INSERT INTO store_probes (filler) VALUES ($1) RETURNING id");
        let id: i64 = tx.one(insert.bind("0".repeat(ROOM))).await?.get("id")?;
        tx.execute(Sql::new("DELETE FROM store_probes WHERE id < $1").bind(id)).await?;
        Ok(())
    }
}

impl Store {
    /// Whether the database answers reads and stores what is written, found out within two seconds.
    ///
    /// # Errors
    /// `UNAVAILABLE` if it does not.
    pub(crate) async fn ping(&self) -> Result<()> {
        let mut last = self.probe.last.lock().await;
        let usable = match *last {
            Some((at, usable)) if at.elapsed() < REUSED => usable,
            _ => {
                let usable =
                    tokio::time::timeout(LIMIT, self.probed()).await.is_ok_and(|found| found.is_ok());
                *last = Some((Instant::now(), usable));
                usable
            }
        };
        if usable { Ok(()) } else { Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut).into()) }
    }

    async fn probed(&self) -> Result<()> {
        self.db().optional(Sql::new("SELECT CAST(1 AS BIGINT) AS one")).await?;
        if self.rehearsal || self.failures.wrote_within(RECENT) {
            return Ok(());
        }
        self.run(&WriteProbe).await?;
        self.failures.probed();
        Ok(())
    }
}
