//! Photos of characters: sent along, or lying elsewhere.

use std::fmt;

use super::changes::{AddPhoto, DeletePhoto, NewPhoto};
use super::{CharacterRef, MAX_PHOTOS, Photo, PhotoRef, PhotoUrl, store};
use crate::access::Session;
use crate::blobs::Unnamed;
use crate::error::{Code, Error, Fault, Result};
use crate::media::{self, Owner, Picture, PictureKind, PictureWithThumbnail};
use crate::ports::{BlobKey, EntropyExt as _};
use crate::uploads;

/// A photo that is sent along: base64, with or without a `data:` prefix. What it is is found by its content.
///
/// ```
/// use dream_core::Code;
/// use dream_core::characters::PhotoUpload;
///
/// // Without a small copy one is made.
/// let upload = PhotoUpload::new(Some("data:image/png;base64,iVBORw0KGgo=".to_owned()), None)?;
/// assert!(!format!("{upload:?}").contains("iVBOR"), "a log line says how long it is, and no more");
/// assert_eq!(PhotoUpload::new(None, None).unwrap_err().code(), Code::ValidationFailed);
/// # Ok::<(), dream_core::Error>(())
/// ```
#[derive(Clone)]
pub struct PhotoUpload {
    /// The photo. Without one, the small copy stands for it.
    original: Option<String>,
    /// A small copy. Without one, it is made.
    thumbnail: Option<String>,
}

impl PhotoUpload {
    /// The longest text of one picture, in bytes: 10 MiB in base64, with line breaks.
    pub const MAX_TEXT: usize = 15 * 1024 * 1024;

    /// The photo, its small copy, or both.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` if there is neither.
    pub fn new(original: Option<String>, thumbnail: Option<String>) -> Result<Self> {
        if original.is_none() && thumbnail.is_none() {
            return Err(Error::invalid_field("originalData", Fault::Required));
        }
        Ok(Self { original, thumbnail })
    }

    async fn prepare(&self, owner: Owner) -> Result<PictureWithThumbnail> {
        let read = |text: &Option<String>| text.as_deref().map(media::from_base64).transpose();
        match (read(&self.original)?, read(&self.thumbnail)?) {
            (Some(original), Some(thumbnail)) => Ok(PictureWithThumbnail {
                picture: media::clean(owner, original).await?,
                thumbnail: media::thumbnail(owner, thumbnail).await?,
            }),
            (Some(only), None) | (None, Some(only)) => media::clean_with_thumbnail(owner, only).await,
            (None, None) => Err(Error::invalid_field("originalData", Fault::Required)),
        }
    }
}

impl fmt::Debug for PhotoUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |text: &Option<String>| text.as_ref().map(String::len);
        write!(f, "PhotoUpload({:?}, {:?})", length(&self.original), length(&self.thumbnail))
    }
}

/// A photo that lies elsewhere, as the client describes it. We never fetch it, and never remove it.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.settings(|settings| settings.photo_hosts = vec!["photos.example".into()]), async |world| {
/// use dream_core::Code;
/// use dream_core::characters::{NewCharacter, PhotoLink};
/// use dream_core::jobs::CharacterRef;
/// use dream_core::media::PictureKind;
///
/// # let me = world.alice().await.session().await;
/// # let new = NewCharacter { name: "face".parse().unwrap(), description: None };
/// # let character = CharacterRef::Id(me.create_character(&new).await?.id);
/// let link = |host: &str| PhotoLink {
///     thumbnail_url: format!("https://{host}/small.jpg").parse().unwrap(),
///     original_url: format!("https://{host}/face.jpg").parse().unwrap(),
///     kind: PictureKind::Jpeg,
///     thumbnail_size: 0,
///     original_size: 0,
/// };
/// me.link_photo(&character, &link("photos.example")).await?;
/// let refused = me.link_photo(&character, &link("elsewhere.example")).await.unwrap_err();
/// assert_eq!(refused.code(), Code::ValidationFailed, "only hosts of `Settings::photo_hosts`");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhotoLink {
    /// A small copy.
    pub thumbnail_url: PhotoUrl,
    /// The photo.
    pub original_url: PhotoUrl,
    /// What the photo is.
    pub kind: PictureKind,
    /// Bytes of the small copy; 0 where it is not known.
    pub thumbnail_size: i64,
    /// Bytes of the photo; 0 where it is not known.
    pub original_size: i64,
}

impl Session {
    /// Adds a photo that is sent along, to one of one's characters. It is written anew, and kept with a small copy.
    ///
    /// # Errors
    /// `CHARACTER_NOT_FOUND`, also for somebody else's; `PHOTO_LIMIT_REACHED` with 10 photos; `STORAGE_LIMIT_REACHED`; `IMAGE_INVALID` for what
    /// is no base64 or no picture, `PAYLOAD_TOO_LARGE`; `UPSTREAM_ERROR` and its kin if it could not be stored.
    pub async fn upload_photo(&self, character: &CharacterRef, upload: &PhotoUpload) -> Result<Photo> {
        let core = &self.core;
        // Looking first spares work. What decides is the count in the transaction.
        let found = self.character(character).await?;
        if i64::try_from(found.photos.len()).unwrap_or(MAX_PHOTOS) >= MAX_PHOTOS {
            return Err(Code::PhotoLimitReached.into());
        }
        uploads::check_room(core, self.user).await?;
        let PictureWithThumbnail { picture, thumbnail } = upload.prepare(Owner::User(self.user)).await?;
        let now = core.now();
        let uuid = core.entropy.uuid_at(now);
        let key = |which: &str, picture: &Picture| -> Result<BlobKey> {
            let name = format!("characters/{uuid}_{which}.{}", picture.kind.extension());
            name.parse().map_err(|_| Error::internal("a fresh name is none"))
        };
        let (original_key, thumbnail_key) = (key("original", &picture)?, key("thumb", &thumbnail)?);
        let size = |picture: &Picture| i64::try_from(picture.bytes.len()).unwrap_or(i64::MAX);
        let photo = NewPhoto {
            uuid,
            thumbnail_url: &core.blobs.public_url(&thumbnail_key),
            original_url: &core.blobs.public_url(&original_key),
            thumbnail_key: Some(&thumbnail_key.clone()),
            original_key: Some(&original_key.clone()),
            kind: picture.kind,
            thumbnail_size: size(&thumbnail),
            original_size: size(&picture),
        };
        let objects =
            Unnamed::write(core, [(original_key.clone(), picture), (thumbnail_key.clone(), thumbnail)])
                .await?;
        let (scope, settings) = (self.scope(), &core.settings);
        let change = AddPhoto { scope, character, photo, objects: Some(&objects), settings, now };
        let added = core.store.run(&change).await;
        if added.is_err() {
            objects.abandon(core).await;
        }
        added
    }

    /// Adds a photo that lies elsewhere to one of one's characters. Only `https` and hosts of the settings are taken,
    /// and our own storage.
    ///
    /// # Errors
    /// `CHARACTER_NOT_FOUND`, also for somebody else's; `PHOTO_LIMIT_REACHED` with 10 photos; `VALIDATION_FAILED` for
    /// an address that is not allowed.
    pub async fn link_photo(&self, character: &CharacterRef, link: &PhotoLink) -> Result<Photo> {
        let core = &self.core;
        link.thumbnail_url.check("thumbnailUrl", core)?;
        link.original_url.check("originalUrl", core)?;
        let now = core.now();
        let photo = NewPhoto {
            uuid: core.entropy.uuid_at(now),
            thumbnail_url: link.thumbnail_url.as_str(),
            original_url: link.original_url.as_str(),
            thumbnail_key: None,
            original_key: None,
            kind: link.kind,
            thumbnail_size: link.thumbnail_size,
            original_size: link.original_size,
        };
        let (scope, settings) = (self.scope(), &core.settings);
        core.store.run(&AddPhoto { scope, character, photo, objects: None, settings, now }).await
    }

    /// One photo of one of one's characters.
    ///
    /// # Errors
    /// `CHARACTER_NOT_FOUND`, also for somebody else's; `PHOTO_NOT_FOUND`.
    pub async fn photo(&self, character: &CharacterRef, photo: &PhotoRef) -> Result<Photo> {
        let mut db = self.core.store.db();
        let id = store::id(&mut db, self.scope(), character).await?.ok_or(Code::CharacterNotFound)?;
        store::photo(&mut db, id, photo).await?.ok_or(Code::PhotoNotFound.into())
    }

    /// Removes a photo from one of one's characters; its objects go too, if need be later.
    ///
    /// # Errors
    /// `CHARACTER_NOT_FOUND`, also for somebody else's; `PHOTO_NOT_FOUND`.
    pub async fn delete_photo(&self, character: &CharacterRef, photo: &PhotoRef) -> Result<()> {
        let core = &self.core;
        let (scope, settings, now) = (self.scope(), &core.settings, core.now());
        core.store.run(&DeletePhoto { scope, character, photo, settings, now }).await?;
        core.wake_worker();
        Ok(())
    }
}
