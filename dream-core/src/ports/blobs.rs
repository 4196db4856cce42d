use std::fmt::{self, Debug};
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::Failure;
use crate::error::Fault;
use crate::kernel::Timestamp;

/// The name of an object: path segments of `A-Za-z0-9._-` joined by `/`, at most 512 bytes, never `.` or `..`.
///
/// Names are made by us and are never used again for other content, since caches keep them for ever.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobKey(String);

impl BlobKey {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BlobKey {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        let segment = |s: &str| {
            !s.is_empty()
                && s != "."
                && s != ".."
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        if text.len() <= 512 && text.split('/').all(segment) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Fault::Format("a path of letters, digits and . _ -"))
        }
    }
}

/// Bytes `first..=last` of an object. `last` beyond the end means up to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte, inclusive.
    pub last: u64,
}

/// What is known about an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its name.
    pub key: BlobKey,
    /// Bytes in all.
    pub size: u64,
    /// MIME type, as it was put; `None` in listings of stores that do not tell.
    pub content_type: Option<String>,
    /// When it was written.
    pub modified: Timestamp,
}

/// An object, or the range of it that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What is known about the whole object.
    pub info: BlobInfo,
    /// The bytes asked for.
    pub bytes: Bytes,
}

/// Part of a listing in order of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobPage {
    /// The objects.
    pub items: Vec<BlobInfo>,
    /// The name behind which the next part starts; `None` at the end.
    pub next: Option<BlobKey>,
}

/// An upload that a client may make by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresignedPut {
    /// Where to send the `PUT`.
    pub url: String,
    /// The `Content-Type` that must be sent along, exactly.
    pub content_type: String,
    /// When the permission ends.
    pub expires_at: Timestamp,
}

/// Where pictures are kept. Reading one's own writes works at once.
#[async_trait]
pub trait Blobs: Debug + Send + Sync + 'static {
    /// Writes the object whole or not at all. Safe to repeat.
    async fn put(&self, key: &BlobKey, content_type: &str, bytes: Bytes) -> Result<(), Failure>;

    /// Reads the object or a range of it; `None` if there is none. A range that starts behind the end
    /// fails as `Refused`.
    async fn get(&self, key: &BlobKey, range: Option<ByteRange>) -> Result<Option<Blob>, Failure>;

    /// What is known about the object; `None` if there is none.
    async fn head(&self, key: &BlobKey) -> Result<Option<BlobInfo>, Failure>;

    /// Removes the object. Removing what is not there succeeds. Safe to repeat.
    async fn delete(&self, key: &BlobKey) -> Result<(), Failure>;

    /// Up to 1000 objects whose names start with the prefix, in order of names, behind `after`.
    async fn list(&self, prefix: &str, after: Option<&BlobKey>) -> Result<BlobPage, Failure>;

    /// The absolute URL under which anybody can read the object.
    fn public_url(&self, key: &BlobKey) -> String;

    /// The name of the object that is read under this URL, if it is one of this store's.
    fn key_of(&self, public_url: &str) -> Option<BlobKey>;

    /// Permission for a client to upload the object by itself; `None` if this store has no such thing.
    fn presign_put(&self, key: &BlobKey, content_type: &str, ttl: Duration) -> Option<PresignedPut>;
}
