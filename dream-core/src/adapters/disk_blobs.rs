use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use crate::kernel::Timestamp;
use crate::ports::{
    BlobInfo, BlobKey, BlobPage, BlobReader, Blobs, ByteRange, Failure, FailureKind, PresignedPut,
};

const SERVICE: &str = "disk";

/// Objects in one part of a listing.
const PAGE: usize = 1000;

/// Bytes that are read at once.
const PIECE: u64 = 64 * 1024;

/// Beside the objects, in names that no object can have, since a name has no `~`.
const TYPES_FOLDER: &str = "types~";
const PARTS_FOLDER: &str = "parts~";

/// What stands for a type where nobody said one.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Types that the end of a name tells already, so that nothing is written beside the object.
const TYPES_BY_ENDING: [(&str, &str); 7] = [
    (".jpg", "image/jpeg"),
    (".jpeg", "image/jpeg"),
    (".png", "image/png"),
    (".webp", "image/webp"),
    (".gif", "image/gif"),
    (".json", "application/json"),
    (".txt", "text/plain"),
];

/// Objects as files under one folder, their names as paths: `a/b.png` is the file `a/b.png`.
///
/// So one object cannot be called as the folder of another: that put fails as `Refused`. An object is written beside
/// its place and moved there once it is safe on the disk. Clients cannot upload by themselves.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::DiskBlobs;
/// use dream_core::ports::Blobs as _;
///
/// # let folder = tempfile::tempdir()?;
/// let blobs = DiskBlobs::open(folder.path(), "https://dream.example/uploads").await?;
/// let key = "a/cat.png".parse().unwrap();
/// blobs.put(&key, "image/png", "the bytes".into()).await?;
/// assert!(folder.path().join("a/cat.png").is_file());
/// assert_eq!(blobs.public_url(&key), "https://dream.example/uploads/a/cat.png");
/// assert_eq!(blobs.key_of("https://elsewhere.example/a/cat.png"), None);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct DiskBlobs {
    folder: Arc<Path>,
    public_base: String,
}

impl DiskBlobs {
    /// Objects in this folder, which is made if need be. Whoever serves them does so under `public_base_url`.
    ///
    /// # Errors
    /// If the folder cannot be made or written to.
    pub async fn open(
        folder: impl Into<PathBuf>,
        public_base_url: impl Into<String>,
    ) -> Result<Self, Failure> {
        let folder: Arc<Path> = folder.into().into();
        let parts = folder.join(PARTS_FOLDER);
        let shown = folder.display().to_string();
        on_disk(move || prove_writable(&parts)).await.map_err(|failure| {
            // A path that cannot be used is the operator's to correct, whatever is wrong with it.
            let detail = format!("{shown} cannot be written: {}", failure.message);
            Failure::new(SERVICE, FailureKind::Misconfigured, detail)
        })?;
        let mut public_base = public_base_url.into();
        public_base.truncate(public_base.trim_end_matches('/').len());
        Ok(Self { folder, public_base })
    }

    fn paths(&self, key: &BlobKey) -> Paths {
        Paths {
            object: self.folder.join(key.as_str()),
            content_type: self.folder.join(TYPES_FOLDER).join(key.as_str()),
            root: self.folder.clone(),
        }
    }
}

/// Where one object is kept.
struct Paths {
    root: Arc<Path>,
    object: PathBuf,
    content_type: PathBuf,
}

impl Paths {
    fn put(&self, key: &BlobKey, content_type: &str, bytes: &[u8]) -> io::Result<()> {
        // The type first: an object is never seen without it.
        if type_by_ending(key) == content_type {
            ignore_absent(fs::remove_file(&self.content_type))?;
        } else {
            self.write(&self.content_type, content_type.as_bytes())?;
        }
        self.write(&self.object, bytes)
    }

    /// Writes the file whole or not at all.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let part = self.root.join(PARTS_FOLDER).join(format!("{}-{number}", std::process::id()));
        let moved = write_through(&part, bytes).and_then(|()| fs::rename(&part, path));
        if moved.is_err() {
            drop(fs::remove_file(&part));
        }
        moved?;
        // The name itself is only safe once its folder is, and a new folder once the one above it is.
        folder.ancestors().take_while(|above| above.starts_with(&*self.root)).try_for_each(sync_folder)
    }

    /// The open file, unless there is none. A folder of that name is no object.
    fn open(&self) -> io::Result<Option<(File, fs::Metadata)>> {
        let Some(file) = absent_is_none(File::open(&self.object))? else { return Ok(None) };
        let metadata = file.metadata()?;
        Ok(metadata.is_file().then_some((file, metadata)))
    }

    fn content_type(&self, key: &BlobKey) -> io::Result<String> {
        let written = absent_is_none(fs::read_to_string(&self.content_type))?;
        Ok(written.unwrap_or_else(|| type_by_ending(key).to_owned()))
    }

    fn info(&self, key: &BlobKey, metadata: &fs::Metadata) -> io::Result<BlobInfo> {
        Ok(BlobInfo {
            key: key.clone(),
            size: metadata.len(),
            content_type: Some(self.content_type(key)?),
            modified: modified(metadata)?,
        })
    }

    /// The file, set to the first byte that is wanted, and how many bytes are wanted from there.
    fn seek(&self, key: &BlobKey, range: Option<ByteRange>) -> io::Result<Option<(BlobInfo, File, u64)>> {
        let Some((mut file, metadata)) = self.open()? else { return Ok(None) };
        let info = self.info(key, &metadata)?;
        let Some(range) = range else { return Ok(Some((info, file, metadata.len()))) };
        let outside = || io::Error::new(ErrorKind::InvalidInput, "the range lies outside of the object");
        let range = range.within(metadata.len()).ok_or_else(outside)?;
        file.seek(SeekFrom::Start(range.first))?;
        Ok(Some((info, file, range.length())))
    }
}

/// The next `left` bytes of the file, piece by piece. A reader that waits holds the file open and no thread.
async fn next_piece((mut file, left): (File, u64)) -> Result<Option<(Bytes, (File, u64))>, Failure> {
    if left == 0 {
        return Ok(None);
    }
    let length = left.min(PIECE);
    on_disk(move || {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        file.read_exact(&mut bytes)?;
        Ok(Some((Bytes::from(bytes), (file, left - length))))
    })
    .await
}

fn write_through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn type_by_ending(key: &BlobKey) -> &'static str {
    let name = key.as_str();
    TYPES_BY_ENDING.iter().find(|(ending, _)| name.ends_with(ending)).map_or(UNKNOWN_TYPE, |(_, mime)| mime)
}

fn modified(metadata: &fs::Metadata) -> io::Result<Timestamp> {
    let since_epoch = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)))
}

/// `None` where there is no such file, also because a file stands where its folder would be.
fn absent_is_none<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound
                    | ErrorKind::NotADirectory
                    | ErrorKind::IsADirectory
                    | ErrorKind::InvalidFilename
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn ignore_absent(outcome: io::Result<()>) -> io::Result<()> {
    absent_is_none(outcome).map(drop)
}

/// Walks the folder in the order of the objects' names, and skips what cannot belong to the listing.
struct Walk<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
    found: Vec<BlobInfo>,
}

impl Walk<'_> {
    /// Looks into the folder whose objects' names start with `above`. Stops with one object more than a page.
    fn visit(&mut self, folder: &Path, above: &str) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in absent_is_none(fs::read_dir(folder))?.into_iter().flatten() {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            if name.contains('~') {
                continue;
            }
            // A folder counts with its slash, or `a-b` and `a/b` would come in the wrong order.
            let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
            entries.push((format!("{above}{name}{slash}"), entry));
        }
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, entry) in entries {
            if self.found.len() > PAGE {
                break;
            }
            if name.ends_with('/') {
                if self.may_hold_some(&name) {
                    self.visit(&entry.path(), &name)?;
                }
            } else if name.starts_with(self.prefix) && self.after.is_none_or(|after| name.as_str() > after) {
                self.take(&name, &entry)?;
            }
        }
        Ok(())
    }

    fn may_hold_some(&self, folder: &str) -> bool {
        let in_prefix = folder.starts_with(self.prefix) || self.prefix.starts_with(folder);
        let passed = |after: &str| folder < after && !after.starts_with(folder);
        in_prefix && !self.after.is_some_and(passed)
    }

    fn take(&mut self, name: &str, entry: &fs::DirEntry) -> io::Result<()> {
        // Something that we did not put there.
        let Ok(key) = name.parse() else { return Ok(()) };
        // It may have been deleted since the folder was read.
        if let Some(metadata) = absent_is_none(entry.metadata())? {
            let modified = modified(&metadata)?;
            self.found.push(BlobInfo { key, size: metadata.len(), content_type: None, modified });
        }
        Ok(())
    }
}

#[async_trait]
impl Blobs for DiskBlobs {
    async fn put(&self, key: &BlobKey, content_type: &str, bytes: Bytes) -> Result<(), Failure> {
        let (paths, key, content_type) = (self.paths(key), key.clone(), content_type.to_owned());
        on_disk(move || paths.put(&key, &content_type, &bytes)).await
    }

    async fn open(&self, key: &BlobKey, range: Option<ByteRange>) -> Result<Option<BlobReader>, Failure> {
        let (paths, key) = (self.paths(key), key.clone());
        let found = on_disk(move || paths.seek(&key, range)).await?;
        Ok(found.map(|(info, file, length)| BlobReader {
            info,
            length,
            pieces: stream::try_unfold((file, length), next_piece).boxed(),
        }))
    }

    async fn head(&self, key: &BlobKey) -> Result<Option<BlobInfo>, Failure> {
        let (paths, key) = (self.paths(key), key.clone());
        on_disk(move || match paths.open()? {
            Some((_, metadata)) => paths.info(&key, &metadata).map(Some),
            None => Ok(None),
        })
        .await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), Failure> {
        let paths = self.paths(key);
        on_disk(move || {
            ignore_absent(fs::remove_file(&paths.object))?;
            ignore_absent(fs::remove_file(&paths.content_type))
        })
        .await
    }

    async fn list(&self, prefix: &str, after: Option<&BlobKey>) -> Result<BlobPage, Failure> {
        let (folder, prefix, after) = (self.folder.clone(), prefix.to_owned(), after.cloned());
        on_disk(move || {
            let after = after.as_ref().map(BlobKey::as_str);
            let mut walk = Walk { prefix: &prefix, after, found: Vec::new() };
            walk.visit(&folder, "")?;
            let mut items = walk.found;
            let more = items.len() > PAGE;
            items.truncate(PAGE);
            let next = items.last().filter(|_| more).map(|info| info.key.clone());
            Ok(BlobPage { items, next })
        })
        .await
    }

    fn public_url(&self, key: &BlobKey) -> String {
        format!("{}/{key}", self.public_base)
    }

    fn key_of(&self, public_url: &str) -> Option<BlobKey> {
        public_url.strip_prefix(&self.public_base)?.strip_prefix('/')?.parse().ok()
    }

    fn presign_put(&self, _: &BlobKey, _: &str, _: Duration) -> Option<PresignedPut> {
        None
    }
}

/// Does file work on a thread that may block.
/// Makes the folder, and a file in it that is removed again: a folder that was there may still refuse.
fn prove_writable(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let trial = folder.join("trial");
    File::create(&trial)?;
    fs::remove_file(&trial)
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(|error| failure(&error)),
        Err(stopped) => Err(Failure::new(SERVICE, FailureKind::Unknown, stopped.to_string())),
    }
}

fn failure(error: &io::Error) -> Failure {
    let kind = match error.kind() {
        ErrorKind::InvalidInput
        | ErrorKind::InvalidFilename
        | ErrorKind::IsADirectory
        | ErrorKind::NotADirectory
        | ErrorKind::AlreadyExists
        | ErrorKind::DirectoryNotEmpty => FailureKind::Refused,
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded => FailureKind::Misconfigured,
        _ => FailureKind::Unknown,
    };
    Failure::new(SERVICE, kind, error.to_string())
}
