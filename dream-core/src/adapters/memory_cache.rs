use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use moka::ops::compute::{CompResult, Op};
use moka::policy::EvictionPolicy;
use moka::sync::Cache as Entries;
use tokio::sync::broadcast;

use crate::kernel::Timestamp;
use crate::ports::{Cache, Clock, Failure, FailureKind, Invalidation};

/// Bytes of keys and values kept unless told otherwise.
const DEFAULT_CAPACITY: u64 = 64 << 20;

/// News a slow receiver may fall behind before it is told that everything changed.
const NEWS_KEPT: usize = 1024;

/// What an entry costs beside its key and value, in bytes: about what the table needs for it.
const OVERHEAD: u32 = 200;

#[derive(Debug, Clone)]
struct Entry {
    value: Bytes,
    expires_at: Timestamp,
}

/// The cache of a single node: in this process, bounded, gone at its end.
///
/// Past its bound it forgets what was used the longest ago.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::{MemoryCache, SystemClock};
/// use dream_core::ports::Cache as _;
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// // About a mebibyte. A node that is alone needs no Redis; nodes that are many do.
/// let cache = MemoryCache::with_capacity(Arc::new(SystemClock), 1024 * 1024);
/// assert!(!cache.is_shared());
/// cache.set("greeting", "hello".into(), Duration::from_secs(60)).await?;
/// assert_eq!(cache.get("greeting").await?.as_deref(), Some(&b"hello"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MemoryCache {
    // Expiry goes by our clock and not by the library's, which nobody can hold. What has expired goes when it is
    // asked for, or when the space is needed. Least recently used and not the library's usual policy, since that
    // one may turn away a new entry, and a rate limit must not lose its counter at once.
    entries: Entries<String, Entry>,
    clock: Arc<dyn Clock>,
    news: broadcast::Sender<Invalidation>,
}

impl MemoryCache {
    /// A cache of 64 MiB.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_capacity(clock, DEFAULT_CAPACITY)
    }

    /// A cache of about this many bytes.
    pub fn with_capacity(clock: Arc<dyn Clock>, bytes: u64) -> Self {
        let weight = |key: &String, entry: &Entry| {
            u32::try_from(key.len() + entry.value.len()).unwrap_or(u32::MAX).saturating_add(OVERHEAD)
        };
        let entries = Entries::builder()
            .max_capacity(bytes)
            .weigher(weight)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { entries, clock, news: broadcast::Sender::new(NEWS_KEPT) }
    }

    fn entry(&self, value: Bytes, ttl: Duration) -> Entry {
        Entry { value, expires_at: self.clock.now().plus(ttl.max(Duration::from_millis(1))) }
    }

    /// Looks at the live entry of the key and changes it, with nobody in between.
    fn change(
        &self,
        key: &str,
        decide: impl FnOnce(Option<Entry>) -> Op<Entry>,
    ) -> CompResult<String, Entry> {
        let now = self.clock.now();
        self.entries.entry_by_ref(key).and_compute_with(|found| {
            decide(found.map(moka::Entry::into_value).filter(|e| e.expires_at > now))
        })
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        let Some(entry) = self.entries.get(key) else { return Ok(None) };
        if entry.expires_at > self.clock.now() {
            return Ok(Some(entry.value));
        }
        // Only if it is still dead: somebody may have written a new value since.
        self.change(key, |live| if live.is_some() { Op::Nop } else { Op::Remove });
        Ok(None)
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), Failure> {
        self.entries.insert(key.to_owned(), self.entry(value, ttl));
        Ok(())
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool, Failure> {
        let new = self.entry(value, ttl);
        let done = self.change(key, |live| if live.is_some() { Op::Nop } else { Op::Put(new) });
        Ok(matches!(done, CompResult::Inserted(_) | CompResult::ReplacedWith(_)))
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        self.entries.invalidate(key);
        Ok(())
    }

    async fn delete_if(&self, key: &str, value: &[u8]) -> Result<bool, Failure> {
        let done = self.change(key, |live| match live {
            Some(entry) if entry.value == value => Op::Remove,
            _ => Op::Nop,
        });
        Ok(matches!(done, CompResult::Removed(_)))
    }

    async fn count(&self, key: &str, window: Duration) -> Result<u64, Failure> {
        let first = self.entry(Bytes::from_static(b"1"), window);
        let mut count = Some(1);
        self.change(key, |live| {
            let Some(counter) = live else { return Op::Put(first) };
            count = std::str::from_utf8(&counter.value).ok().and_then(|text| text.parse::<u64>().ok());
            let Some(number) = &mut count else { return Op::Nop };
            *number += 1;
            Op::Put(Entry { value: Bytes::from(number.to_string()), ..counter })
        });
        count.ok_or_else(|| Failure::new("memory_cache", FailureKind::Refused, "the value is no counter"))
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn invalidate(&self, topic: &str) -> Result<(), Failure> {
        // Nobody listening is no fault.
        drop(self.news.send(Invalidation::Topic(topic.to_owned())));
        Ok(())
    }

    fn invalidations(&self) -> broadcast::Receiver<Invalidation> {
        self.news.subscribe()
    }

    async fn ping(&self) -> Result<(), Failure> {
        Ok(())
    }
}
