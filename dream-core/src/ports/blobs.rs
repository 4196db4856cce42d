//! The object storage port: objects are written whole, and read whole, by range or piece by piece.
//!
//! [`Blobs::open`] is the one way to read: it yields pieces of at most [`MAX_PIECE`] bytes, so that a reader needs that much
//! memory whatever the size of the object. [`Blobs::get`] collects the pieces and is for objects that are known to be
//! small. [`Blobs::head`] reads no content. Every call may be repeated.

use std::fmt::{self, Debug};
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Failure, FailureKind};
use crate::error::{Fault, Format};
use crate::kernel::Timestamp;

/// The name of an object: path segments of `A-Za-z0-9._-` joined by `/`, at most 512 bytes, never `.` or `..`.
///
/// Names are made by us and are never used again for other content, since caches keep them for ever.
///
/// ```
/// use dream_core::ports::BlobKey;
///
/// assert!("characters/01931f3e_thumb.jpg".parse::<BlobKey>().is_ok());
/// for bad in ["../etc/passwd", "/a.png", "a//b.png", "a b.png", ""] {
///     assert!(bad.parse::<BlobKey>().is_err(), "{bad:?}");
/// }
/// ```
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
            Err(Fault::Format(Format::BlobPath))
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

impl ByteRange {
    /// The part of this range that an object of `size` bytes has; `None` if it has no byte of it.
    #[must_use]
    pub fn within(self, size: u64) -> Option<Self> {
        let last = self.last.min(size.checked_sub(1)?);
        (self.first <= last).then_some(Self { first: self.first, last })
    }

    /// The number of bytes from `first` to `last`; 0 if the range ends before it starts.
    #[must_use]
    pub fn length(self) -> u64 {
        self.last.checked_sub(self.first).map_or(0, |distance| distance.saturating_add(1))
    }
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

/// An object, or the range of it that was asked for, in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What is known about the whole object.
    pub info: BlobInfo,
    /// The bytes asked for.
    pub bytes: Bytes,
}

/// The largest piece that a [`BlobReader`] yields, in bytes.
pub const MAX_PIECE: usize = 256 * 1024;

/// An object, or the range of it that was asked for, that is read piece by piece.
///
/// The pieces are in order, have at most [`MAX_PIECE`] bytes and add up to `length`; a stream that cannot deliver all of
/// them ends with a failure. The next piece is read when the stream is polled for it. Dropping the reader ends the read.
pub struct BlobReader {
    /// What is known about the whole object.
    pub info: BlobInfo,
    /// Bytes that the pieces have in all.
    pub length: u64,
    /// The bytes asked for.
    pub pieces: BoxStream<'static, Result<Bytes, Failure>>,
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader")
            .field("info", &self.info)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl BlobReader {
    /// Reads all pieces into memory.
    ///
    /// # Errors
    /// What the storage failed with; `Unknown` if it delivered fewer or more bytes than it announced.
    pub async fn collect(mut self) -> Result<Blob, Failure> {
        let mut bytes = match self.pieces.try_next().await? {
            Some(piece) if piece.len() as u64 == self.length => {
                return Ok(Blob { info: self.info, bytes: piece });
            }
            Some(piece) => BytesMut::from(piece),
            None => BytesMut::new(),
        };
        while let Some(piece) = self.pieces.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        if bytes.len() as u64 != self.length {
            let message = format!("{} of {} bytes were delivered", bytes.len(), self.length);
            return Err(Failure::new("blobs", FailureKind::Unknown, message));
        }
        Ok(Blob { info: self.info, bytes: bytes.freeze() })
    }
}

/// For storages that hold their objects in memory.
impl From<Blob> for BlobReader {
    fn from(blob: Blob) -> Self {
        let length = blob.bytes.len() as u64;
        let pieces = stream::unfold(blob.bytes, |mut rest| async move {
            let piece = rest.split_to(rest.len().min(MAX_PIECE));
            (!piece.is_empty()).then_some((Ok(piece), rest))
        });
        Self { info: blob.info, length, pieces: pieces.fuse().boxed() }
    }
}

/// Part of a listing in order of names.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::DiskBlobs;
/// use dream_core::ports::Blobs as _;
///
/// # let folder = tempfile::tempdir()?;
/// # let blobs = DiskBlobs::open(folder.path(), "https://dream.example/uploads").await?;
/// # for name in ["inputs/a.png", "inputs/b.png", "c.png"] { blobs.put(&name.parse().unwrap(), "image/png", "x".into()).await?; }
/// let (mut names, mut after) = (Vec::new(), None);
/// loop {
///     let page = blobs.list("inputs/", after.as_ref()).await?;
///     names.extend(page.items.into_iter().map(|info| info.key.to_string()));
///     after = page.next;
///     if after.is_none() { break }
/// }
/// assert_eq!(names, ["inputs/a.png", "inputs/b.png"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobPage {
    /// The objects.
    pub items: Vec<BlobInfo>,
    /// The name behind which the next part starts; `None` at the end.
    pub next: Option<BlobKey>,
}

/// An upload that a client may make by itself.
///
/// ```
/// use dream_core::adapters::{R2Blobs, R2Config, SystemClock};
/// use dream_core::ports::Blobs as _;
/// use std::time::Duration;
///
/// # let config = R2Config { endpoint: R2Config::endpoint_of_account("0123"), bucket: "dream".into(), access_key_id: "id".into(),
/// #     secret_access_key: "secret".into(), public_url: "https://cdn.example".into() };
/// let blobs = R2Blobs::new(&config, std::sync::Arc::new(SystemClock))?;
/// let key = "uploads/a.png".parse().unwrap();
/// let put = blobs.presign_put(&key, "image/png", Duration::from_mins(15)).ok_or("R2 can do that")?;
/// // The client sends its file there by itself, with this very type.
/// assert!(put.url.starts_with("https://0123.r2.cloudflarestorage.com/dream/uploads/a.png?"));
/// assert_eq!(put.content_type, "image/png");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// A storage of one's own is held against its promises by `dream_testkit::conformance::blobs`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use dream_core::ports::{
///     BlobInfo, BlobKey, BlobPage, BlobReader, Blobs, ByteRange, Failure, FailureKind, PresignedPut,
/// };
/// use std::time::Duration;
///
/// /// Keeps nothing: for an installation that only ever shows what the image API keeps.
/// #[derive(Debug)]
/// struct Nowhere;
///
/// #[async_trait::async_trait]
/// impl Blobs for Nowhere {
///     async fn put(&self, _: &BlobKey, _: &str, _: Bytes) -> Result<(), Failure> {
///         Err(Failure::new("nowhere", FailureKind::Refused, "nothing is kept here"))
///     }
///     async fn open(&self, _: &BlobKey, _: Option<ByteRange>) -> Result<Option<BlobReader>, Failure> { Ok(None) }
///     async fn head(&self, _: &BlobKey) -> Result<Option<BlobInfo>, Failure> { Ok(None) }
///     async fn delete(&self, _: &BlobKey) -> Result<(), Failure> { Ok(()) }
///     async fn list(&self, _: &str, _: Option<&BlobKey>) -> Result<BlobPage, Failure> {
///         Ok(BlobPage { items: vec![], next: None })
///     }
///     fn public_url(&self, key: &BlobKey) -> String { format!("https://nowhere.example/{key}") }
///     fn key_of(&self, url: &str) -> Option<BlobKey> {
///         url.strip_prefix("https://nowhere.example/")?.parse().ok()
///     }
///     fn presign_put(&self, _: &BlobKey, _: &str, _: Duration) -> Option<PresignedPut> { None }
/// }
/// # let key: BlobKey = "a.png".parse().unwrap();
/// # assert_eq!(Nowhere.key_of(&Nowhere.public_url(&key)), Some(key));
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Blobs: Debug + Send + Sync + 'static {
    /// Writes the object whole or not at all. Safe to repeat.
    async fn put(&self, key: &BlobKey, content_type: &str, bytes: Bytes) -> Result<(), Failure>;

    /// Opens the object or a range of it for reading; `None` if there is none. A range without a byte of the object
    /// fails as `Refused`. An open reader may fail once its object is deleted or replaced; it never mixes two versions.
    async fn open(&self, key: &BlobKey, range: Option<ByteRange>) -> Result<Option<BlobReader>, Failure>;

    /// Reads the object or a range of it into memory; otherwise as [`Blobs::open`].
    async fn get(&self, key: &BlobKey, range: Option<ByteRange>) -> Result<Option<Blob>, Failure> {
        match self.open(key, range).await? {
            Some(reader) => reader.collect().await.map(Some),
            None => Ok(None),
        }
    }

    /// What is known about the object, without reading its content; `None` if there is none.
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
