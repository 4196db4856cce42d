//! Pictures in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dream_core::ports::{
    Blob, BlobInfo, BlobKey, BlobPage, BlobReader, Blobs, ByteRange, Clock, Failure, FailureKind,
    PresignedPut,
};

const SERVICE: &str = "shelf";
const PUBLIC: &str = "https://shelf.example/";
/// What the port allows.
const PAGE: usize = 1000;

/// Objects by their names.
#[derive(Debug)]
pub(crate) struct Shelf {
    objects: Mutex<BTreeMap<BlobKey, Blob>>,
    clock: Arc<dyn Clock>,
}

impl Shelf {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { objects: Mutex::default(), clock }
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<BlobKey, Blob>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Blobs for Shelf {
    async fn put(&self, key: &BlobKey, content_type: &str, bytes: Bytes) -> Result<(), Failure> {
        let info = BlobInfo {
            key: key.clone(),
            size: bytes.len() as u64,
            content_type: Some(content_type.to_owned()),
            modified: self.clock.now(),
        };
        self.objects().insert(key.clone(), Blob { info, bytes });
        Ok(())
    }

    async fn open(&self, key: &BlobKey, range: Option<ByteRange>) -> Result<Option<BlobReader>, Failure> {
        let Some(mut blob) = self.objects().get(key).cloned() else { return Ok(None) };
        if let Some(range) = range {
            let outside = || Failure::new(SERVICE, FailureKind::Refused, "a range outside of the object");
            let ByteRange { first, last } = range.within(blob.info.size).ok_or_else(outside)?;
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
            blob.bytes = blob.bytes.slice(at(first)..=at(last));
        }
        Ok(Some(blob.into()))
    }

    async fn head(&self, key: &BlobKey) -> Result<Option<BlobInfo>, Failure> {
        Ok(self.objects().get(key).map(|blob| blob.info.clone()))
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), Failure> {
        self.objects().remove(key);
        Ok(())
    }

    async fn list(&self, prefix: &str, after: Option<&BlobKey>) -> Result<BlobPage, Failure> {
        let objects = self.objects();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut matching = objects
            .range::<BlobKey, _>((start, Bound::Unbounded))
            .filter(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(_, blob)| blob.info.clone());
        let items: Vec<BlobInfo> = matching.by_ref().take(PAGE).collect();
        let more = matching.next().is_some();
        let next = items.last().filter(|_| more).map(|info| info.key.clone());
        Ok(BlobPage { items, next })
    }

    fn public_url(&self, key: &BlobKey) -> String {
        format!("{PUBLIC}{key}")
    }

    fn key_of(&self, public_url: &str) -> Option<BlobKey> {
        public_url.strip_prefix(PUBLIC)?.parse().ok()
    }

    fn presign_put(&self, _: &BlobKey, _: &str, _: Duration) -> Option<PresignedPut> {
        None
    }
}
