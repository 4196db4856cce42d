//! A storage that fails half of the time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dream_core::ports::{
    Blob, BlobInfo, BlobKey, BlobPage, BlobReader, Blobs, ByteRange, Failure, FailureKind, PresignedPut,
};
use futures_util::{StreamExt as _, stream};

use crate::fakes::lock;

/// Stands before a storage and lets one call in two fail: before it does anything, or after it has done everything. A
/// reader that is opened in such a turn breaks off before its first piece.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::DiskBlobs;
/// use dream_core::ports::Blobs as _;
/// use dream_testkit::flaky_blobs::FlakyBlobs;
/// use std::sync::Arc;
///
/// # let folder = tempfile::tempdir()?;
/// # let disk = DiskBlobs::open(folder.path(), "https://dream.example/uploads").await?;
/// let flaky = FlakyBlobs::new(Arc::new(disk), 1);
/// let key = "a.png".parse().unwrap();
/// let mut failures = 0;
/// // A put is safe to repeat, so whoever goes on gets through.
/// while flaky.put(&key, "image/png", "x".into()).await.is_err() {
///     failures += 1;
/// }
/// assert!(failures < 20);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FlakyBlobs {
    inner: Arc<dyn Blobs>,
    dice: Mutex<fastrand::Rng>,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Succeeds,
    FailsBefore,
    FailsAfter,
}

impl FlakyBlobs {
    /// Stands before this storage. The same seed makes the same calls fail.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dream_core::adapters::DiskBlobs;
    /// use dream_core::ports::{BlobKey, Blobs as _};
    /// use dream_testkit::flaky_blobs::FlakyBlobs;
    /// use std::sync::Arc;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let disk = Arc::new(DiskBlobs::open(folder.path(), "https://dream.example/uploads").await?);
    /// # let key: BlobKey = "a.png".parse().unwrap();
    /// let (once, again) = (FlakyBlobs::new(disk.clone(), 7), FlakyBlobs::new(disk, 7));
    /// for _ in 0..20 {
    ///     // What was found by a seed is found again.
    ///     assert_eq!(once.head(&key).await.is_ok(), again.head(&key).await.is_ok());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(inner: Arc<dyn Blobs>, seed: u64) -> Self {
        Self { inner, dice: Mutex::new(fastrand::Rng::with_seed(seed)) }
    }

    fn turn(&self) -> Turn {
        match lock(&self.dice).u8(0..4) {
            0 => Turn::FailsBefore,
            1 => Turn::FailsAfter,
            _ => Turn::Succeeds,
        }
    }
}

fn broken<T>() -> Result<T, Failure> {
    Err(Failure::new("flaky", FailureKind::Unknown, "it fails half of the time"))
}

macro_rules! in_turn {
    ($this:expr, $call:expr) => {{
        let turn = $this.turn();
        if turn == Turn::FailsBefore {
            return broken();
        }
        let done = $call.await;
        if turn == Turn::FailsAfter { broken() } else { done }
    }};
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Blobs for FlakyBlobs {
    async fn put(&self, key: &BlobKey, content_type: &str, bytes: Bytes) -> Result<(), Failure> {
        in_turn!(self, self.inner.put(key, content_type, bytes))
    }

    async fn open(&self, key: &BlobKey, range: Option<ByteRange>) -> Result<Option<BlobReader>, Failure> {
        let turn = self.turn();
        if turn == Turn::FailsBefore {
            return broken();
        }
        let mut opened = self.inner.open(key, range).await?;
        if turn == Turn::FailsAfter
            && let Some(reader) = &mut opened
        {
            reader.pieces = stream::once(async { broken() }).boxed();
        }
        Ok(opened)
    }

    async fn get(&self, key: &BlobKey, range: Option<ByteRange>) -> Result<Option<Blob>, Failure> {
        in_turn!(self, self.inner.get(key, range))
    }

    async fn head(&self, key: &BlobKey) -> Result<Option<BlobInfo>, Failure> {
        in_turn!(self, self.inner.head(key))
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), Failure> {
        in_turn!(self, self.inner.delete(key))
    }

    async fn list(&self, prefix: &str, after: Option<&BlobKey>) -> Result<BlobPage, Failure> {
        in_turn!(self, self.inner.list(prefix, after))
    }

    fn public_url(&self, key: &BlobKey) -> String {
        self.inner.public_url(key)
    }

    fn key_of(&self, public_url: &str) -> Option<BlobKey> {
        self.inner.key_of(public_url)
    }

    fn presign_put(&self, key: &BlobKey, content_type: &str, ttl: Duration) -> Option<PresignedPut> {
        self.inner.presign_put(key, content_type, ttl)
    }
}
