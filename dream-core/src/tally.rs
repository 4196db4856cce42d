//! Counting across nodes, for limits. Losing a count loses no truth, so nothing waits for it long.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::dream::Dream;

/// After a failure the cache is not asked for this long, so that a cache that hangs slows down one request and not all.
const PAUSE: Duration = Duration::from_secs(1);

/// Until when the shared counters are left alone, in microseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    paused_until: AtomicI64,
}

impl Dream {
    /// Adds one to a counter that all nodes share and that vanishes this long after its first count, and tells the
    /// count. `None` where no other node shares the cache, or while it is away: then a node counts for itself.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use std::time::Duration;
    ///
    /// // On SQLite, a single node: there is nobody to count with, so the caller counts for itself.
    /// let logins = world.dream().tally("logins:203.0.113.7", Duration::from_mins(1)).await;
    /// assert_eq!(logins, None);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn tally(&self, counter: &str, window: Duration) -> Option<u64> {
        let core = &self.core;
        if !core.cache.is_shared() || core.now().as_micros() < core.tally.paused_until.load(Ordering::Relaxed)
        {
            return None;
        }
        match core.cache.count(&format!("tally:{counter}"), window).await {
            Ok(count) => Some(count),
            Err(failure) => {
                tracing::debug!(error = %failure, "a shared counter is out of reach");
                core.tally.paused_until.store(core.now().plus(PAUSE).as_micros(), Ordering::Relaxed);
                None
            }
        }
    }
}
