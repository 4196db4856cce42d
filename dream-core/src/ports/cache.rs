use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::broadcast;

use super::Failure;

/// What other nodes said is no longer true.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::{MemoryCache, SystemClock};
/// use dream_core::ports::{Cache as _, Invalidation};
///
/// let cache = MemoryCache::new(std::sync::Arc::new(SystemClock));
/// let mut news = cache.invalidations();
/// cache.invalidate("plans").await?;
/// match Invalidation::next(&mut news).await {
///     Some(Invalidation::Topic(topic)) => assert_eq!(topic, "plans"),
///     // News were lost: forget every copy.
///     Some(Invalidation::Everything) | None => unreachable!(),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalidation {
    /// This topic changed, such as `plans` or `user:7`.
    Topic(String),
    /// Some messages may have been lost: anything may have changed.
    Everything,
}

impl Invalidation {
    /// Waits for the next news. A receiver that lagged is told [`Invalidation::Everything`]; `None` once the cache is
    /// gone.
    pub async fn next(news: &mut broadcast::Receiver<Self>) -> Option<Self> {
        match news.recv().await {
            Ok(news) => Some(news),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Self::Everything),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Short-lived values shared by all nodes, counters for limits, and news of changes.
///
/// Nothing here is the truth: losing all of it loses no data. A caller treats every failure as "not there".
///
/// A cache of one's own is held against its promises by `dream_testkit::conformance::cache`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use dream_core::adapters::{MemoryCache, SystemClock};
/// use dream_core::ports::Cache;
/// use std::time::Duration;
///
/// let cache = MemoryCache::new(std::sync::Arc::new(SystemClock));
/// // Of many nodes one fetches the new token; the others wait for it.
/// let minute = Duration::from_mins(1);
/// assert!(cache.set_if_absent("token-lock", Bytes::from("node-1"), minute).await?);
/// assert!(!cache.set_if_absent("token-lock", Bytes::from("node-2"), minute).await?);
/// assert!(!cache.delete_if("token-lock", b"node-2").await?, "it is not theirs");
/// // Three logins of one address within a minute.
/// for expected in 1..=3 {
///     assert_eq!(cache.count("logins:203.0.113.7", minute).await?, expected);
/// }
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Cache: Debug + Send + Sync + 'static {
    /// The value, unless it is absent or past its time.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, Failure>;

    /// Keeps the value for this long, at least a millisecond. Replaces an older one.
    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), Failure>;

    /// Keeps the value for this long unless there is one already; whether it was kept. Atomic: of many nodes one wins.
    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool, Failure>;

    /// Drops the value.
    async fn delete(&self, key: &str) -> Result<(), Failure>;

    /// Drops the value if it is still this one; whether it was. Atomic.
    async fn delete_if(&self, key: &str, value: &[u8]) -> Result<bool, Failure>;

    /// Adds one and tells the count. A counter starts at 0 and vanishes this long after its *first* count. Atomic.
    /// Never repeated by the adapter itself, since a repeat would count twice. Its value is its decimal text. Fails as
    /// `Refused` where another kind of value stands.
    async fn count(&self, key: &str, window: Duration) -> Result<u64, Failure>;

    /// Whether other nodes see the same values.
    fn is_shared(&self) -> bool;

    /// Tells all nodes, this one too, that the topic changed.
    async fn invalidate(&self, topic: &str) -> Result<(), Failure>;

    /// News of changes from now on, to be read by [`Invalidation::next`]. A receiver that lags, or a connection that was
    /// lost for a while, is told [`Invalidation::Everything`].
    fn invalidations(&self) -> broadcast::Receiver<Invalidation>;

    /// Whether the cache answers and takes writes just now, for the readiness page.
    async fn ping(&self) -> Result<(), Failure>;
}
