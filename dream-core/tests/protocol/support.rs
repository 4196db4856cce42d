//! What the adapters' tests share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dream_core::kernel::Timestamp;
use dream_core::ports::{Cache, Clock, Failure, FailureKind, Invalidation};
use dream_testkit::clock::TestClock;
use tokio::sync::broadcast;

/// A cache that several clients share, and that can break.
#[derive(Debug)]
pub(crate) struct SharedCache {
    clock: Arc<TestClock>,
    values: Mutex<HashMap<String, (Bytes, Timestamp)>>,
    broken: AtomicBool,
    news: broadcast::Sender<Invalidation>,
}

impl SharedCache {
    pub(crate) fn new(clock: Arc<TestClock>) -> Arc<Self> {
        let news = broadcast::Sender::new(1);
        Arc::new(Self { clock, values: Mutex::default(), broken: AtomicBool::new(false), news })
    }

    pub(crate) fn break_down(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    fn well(&self) -> Result<(), Failure> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(Failure::new("cache", FailureKind::Unreachable, "broken on purpose"));
        }
        let now = self.clock.now();
        self.values.lock().unwrap().retain(|_, (_, until)| now < *until);
        Ok(())
    }
}

#[async_trait]
impl Cache for SharedCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        self.well()?;
        Ok(self.values.lock().unwrap().get(key).map(|(value, _)| value.clone()))
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), Failure> {
        self.well()?;
        let until = self.clock.now().plus(ttl);
        self.values.lock().unwrap().insert(key.to_owned(), (value, until));
        Ok(())
    }

    async fn set_if_absent(&self, _: &str, _: Bytes, _: Duration) -> Result<bool, Failure> {
        unimplemented!("no adapter asks for it")
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        self.well()?;
        self.values.lock().unwrap().remove(key);
        Ok(())
    }

    async fn delete_if(&self, key: &str, value: &[u8]) -> Result<bool, Failure> {
        self.well()?;
        let mut values = self.values.lock().unwrap();
        let is_it = values.get(key).is_some_and(|(held, _)| held == value);
        Ok(is_it && values.remove(key).is_some())
    }

    async fn count(&self, _: &str, _: Duration) -> Result<u64, Failure> {
        unimplemented!("no adapter asks for it")
    }

    async fn invalidate(&self, _: &str) -> Result<(), Failure> {
        unimplemented!("no adapter asks for it")
    }

    fn invalidations(&self) -> broadcast::Receiver<Invalidation> {
        self.news.subscribe()
    }

    async fn ping(&self) -> Result<(), Failure> {
        self.well()
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
