//! Pictures that users upload by themselves, and reading pictures out of our storage.
//!
//! An upload's row, the name of its object and the bytes counted for its user are one transaction. The limit of bytes
//! is read before a picture is decoded, which spares the work, and decides in that transaction.

mod store;

use bytes::Bytes;

use crate::access::{Guest, Session};
use crate::blobs::Unnamed;
use crate::dream::Core;
use crate::error::{Code, Error, Facts, Result};
use crate::jobs;
use crate::kernel::{Timestamp, UserId};
use crate::media::{self, Owner, PictureKind};
use crate::ports::{BlobInfo, BlobKey, BlobReader, ByteRange, EntropyExt as _};
use crate::settings::Settings;
use crate::stats::{self, Delta};
use crate::store::{Change, Tx};
use crate::users;

pub(crate) use store::{all_of, forget, names};

/// A picture that a user uploaded.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::media::PictureKind;
///
/// # let me = world.alice().await.session().await;
/// # let mut png = std::io::Cursor::new(Vec::new());
/// # image::RgbImage::new(16, 16).write_to(&mut png, image::ImageFormat::Png)?;
/// # let bytes = bytes::Bytes::from(png.into_inner());
/// let upload = me.upload_picture(bytes, "C:\\fakepath\\me.png").await?;
/// assert_eq!((upload.kind, upload.original_name.as_str()), (PictureKind::Png, "me.png"));
/// assert!(upload.url.ends_with(upload.key.as_str()), "anybody can read it there");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its name in our storage.
    pub key: BlobKey,
    /// Where anybody can read it.
    pub url: String,
    /// What the user called it. To be shown, never to be used as a path.
    pub original_name: String,
    /// What it is.
    pub kind: PictureKind,
    /// Bytes as it is kept.
    pub size: i64,
    /// When it was uploaded.
    pub created_at: Timestamp,
}

/// The longest name that is kept of what a user called a file, in characters.
const MAX_NAME: usize = 255;

/// The last part of what a client says that a file is called.
fn shown_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    last.chars().filter(|letter| !letter.is_control()).take(MAX_NAME).collect()
}

struct Keep<'a> {
    user: UserId,
    object: &'a Unnamed,
    upload: &'a Upload,
    settings: &'a Settings,
}

impl Change for Keep<'_> {
    const NAME: &'static str = "uploads.keep";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        // Somebody who is being deleted right now leaves nothing behind.
        if !users::lock(tx, self.user).await? {
            return Err(Code::TokenRevoked.into());
        }
        count_bytes(tx, self.user, self.upload.size, self.settings).await?;
        store::insert(tx, self.user, self.upload).await?;
        self.object.name(tx).await?;
        stats::add_by(tx, self.settings, self.user, self.upload.created_at, Delta::default()).await
    }
}

/// Counts bytes of objects that the user stores.
///
/// # Errors
/// `STORAGE_LIMIT_REACHED` if the user would exceed what one may store.
pub(crate) async fn count_bytes(tx: &mut Tx, user: UserId, bytes: i64, settings: &Settings) -> Result<()> {
    let limit = settings.user_limits.storage_bytes;
    if stats::take_storage(tx, user, bytes, limit).await? {
        return Ok(());
    }
    let used = stats::counters(tx, user).await?.stored_bytes;
    Err(limit_reached(limit.unwrap_or(i64::MAX), used))
}

/// Refuses somebody whose storage is full already, before any work is done on a picture.
pub(crate) async fn check_room(core: &Core, user: UserId) -> Result<()> {
    let Some(limit) = core.settings.user_limits.storage_bytes else { return Ok(()) };
    let used = stats::counters(&mut core.store.db(), user).await?.stored_bytes;
    if used >= limit { Err(limit_reached(limit, used)) } else { Ok(()) }
}

fn limit_reached(limit: i64, used: i64) -> Error {
    Error::new(Code::StorageLimitReached).with_facts(Facts::Limit { limit, used })
}

impl Session {
    /// Keeps a picture, written anew, under a name of ours. `original_name` is what the user calls it.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::{Code, ProfileUpdate};
    ///
    /// # let me = world.alice().await.session().await;
    /// # let mut png = std::io::Cursor::new(Vec::new());
    /// # image::RgbImage::new(16, 16).write_to(&mut png, image::ImageFormat::Png)?;
    /// # let bytes = bytes::Bytes::from(png.into_inner());
    /// let upload = me.upload_picture(bytes, "me.png").await?;
    /// // A picture of one's own may be an avatar.
    /// let avatar_url = Some(upload.url.parse().unwrap());
    /// me.update_profile(ProfileUpdate { avatar_url, ..ProfileUpdate::default() }).await?;
    ///
    /// let refused = me.upload_picture("no picture".into(), "me.png").await.unwrap_err();
    /// assert_eq!(refused.code(), Code::ImageInvalid);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE`, `IMAGE_INVALID`; `STORAGE_LIMIT_REACHED`; `UPSTREAM_ERROR` and its kin if it could not be stored; `UNAVAILABLE`
    /// while too many pictures wait to be looked at.
    pub async fn upload_picture(&self, bytes: Bytes, original_name: &str) -> Result<Upload> {
        let core = &self.core;
        check_room(core, self.user).await?;
        let picture = media::clean(Owner::User(self.user), bytes).await?;
        let now = core.now();
        let name = format!("{}.{}", core.entropy.uuid_at(now).simple(), picture.kind.extension());
        let key: BlobKey = name.parse().map_err(|_| Error::internal("a fresh name is none"))?;
        let upload = Upload {
            url: core.blobs.public_url(&key),
            original_name: shown_name(original_name),
            kind: picture.kind,
            size: i64::try_from(picture.bytes.len()).unwrap_or(i64::MAX),
            created_at: now,
            key: key.clone(),
        };
        let object = Unnamed::write(core, [(key, picture)]).await?;
        let change = Keep { user: self.user, object: &object, upload: &upload, settings: &core.settings };
        if let Err(error) = core.store.run(&change).await {
            object.abandon(core).await;
            return Err(error);
        }
        Ok(upload)
    }
}

/// Which bytes of a picture are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    Whole,
    /// These.
    Range(ByteRange),
    /// None.
    Nothing,
}

/// A picture of our storage, or the part of it that was asked for.
#[derive(Debug)]
pub struct StoredPicture {
    /// What it is.
    pub kind: PictureKind,
    /// What is known about the whole of it.
    pub info: BlobInfo,
    /// The bytes asked for, to be read piece by piece; nothing is read for [`Part::Nothing`].
    pub content: Option<BlobReader>,
}

impl Guest {
    /// A picture of our storage. `which` says what of it is wanted, knowing its size.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::ports::ByteRange;
    /// use dream_core::uploads::Part;
    ///
    /// # let me = world.alice().await.session().await;
    /// # let mut png = std::io::Cursor::new(Vec::new());
    /// # image::RgbImage::new(16, 16).write_to(&mut png, image::ImageFormat::Png)?;
    /// # let key = me.upload_picture(png.into_inner().into(), "me.png").await?.key;
    /// let first = ByteRange { first: 0, last: 7 };
    /// let start = world.nobody().stored_picture(&key, |_| Part::Range(first)).await?;
    /// let start = start.content.ok_or("it was asked for")?.collect().await?;
    /// assert_eq!(&start.bytes[..], b"\x89PNG\r\n\x1a\n");
    /// // For a `HEAD`, or where the client has it already, nothing but metadata is read.
    /// assert!(world.nobody().stored_picture(&key, |_| Part::Nothing).await?.content.is_none());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `IMAGE_NOT_FOUND`, also for an object that is no picture, or one that came with a request for a generation; `UPSTREAM_ERROR` and its kin if it could not be read.
    pub async fn stored_picture(
        &self,
        key: &BlobKey,
        which: impl FnOnce(&BlobInfo) -> Part + Send,
    ) -> Result<StoredPicture> {
        let blobs = &self.core.blobs;
        let absent = || Error::new(Code::ImageNotFound);
        if jobs::is_input(key) {
            return Err(absent());
        }
        let info = blobs.head(key).await?.ok_or_else(absent)?;
        let kind = info.content_type.as_deref().and_then(PictureKind::parse).ok_or_else(absent)?;
        let range = match which(&info) {
            Part::Nothing => return Ok(StoredPicture { kind, info, content: None }),
            Part::Whole => None,
            Part::Range(range) => Some(range),
        };
        let content = blobs.open(key, range).await?.ok_or_else(absent)?;
        Ok(StoredPicture { kind, info: content.info.clone(), content: Some(content) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_name_the_last_part_is_shown() {
        assert_eq!(shown_name("../../etc/passwd"), "passwd");
        assert_eq!(shown_name("C:\\fakepath\\猫.png"), "猫.png");
        assert_eq!(shown_name("a\r\nb\0.png"), "ab.png");
        assert_eq!(shown_name(&"x".repeat(1000)).len(), MAX_NAME);
        assert_eq!(shown_name("folder/"), "");
    }
}
