//! What the adapters' tests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dream_core::adapters::MemoryCache;
use dream_core::ports::{Cache, Failure, FailureKind, Invalidation};
use dream_testkit::clock::TestClock;
use tokio::sync::broadcast;

/// A cache that several clients share, and that can break.
#[derive(Debug)]
pub(crate) struct SharedCache {
    inner: MemoryCache,
    broken: AtomicBool,
}

impl SharedCache {
    pub(crate) fn new(clock: Arc<TestClock>) -> Arc<Self> {
        Arc::new(Self { inner: MemoryCache::new(clock), broken: AtomicBool::new(false) })
    }

    pub(crate) fn break_down(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    fn well(&self) -> Result<&MemoryCache, Failure> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(Failure::new("cache", FailureKind::Unreachable, "broken on purpose"));
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl Cache for SharedCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        self.well()?.get(key).await
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), Failure> {
        self.well()?.set(key, value, ttl).await
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool, Failure> {
        self.well()?.set_if_absent(key, value, ttl).await
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        self.well()?.delete(key).await
    }

    async fn delete_if(&self, key: &str, value: &[u8]) -> Result<bool, Failure> {
        self.well()?.delete_if(key, value).await
    }

    async fn count(&self, key: &str, window: Duration) -> Result<u64, Failure> {
        self.well()?.count(key, window).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn invalidate(&self, topic: &str) -> Result<(), Failure> {
        self.well()?.invalidate(topic).await
    }

    fn invalidations(&self) -> broadcast::Receiver<Invalidation> {
        self.inner.invalidations()
    }

    async fn ping(&self) -> Result<(), Failure> {
        self.well()?.ping().await
    }
}

/// Kind and code of a failure.
pub(crate) fn kind_and_code<T: std::fmt::Debug>(answer: Result<T, Failure>) -> (FailureKind, String) {
    let failure = answer.unwrap_err();
    (failure.kind, failure.code.unwrap_or_default())
}

/// What [`kind_and_code`] should be.
pub(crate) fn failed(kind: FailureKind, code: &str) -> (FailureKind, String) {
    (kind, code.to_owned())
}
