//! Characters: faces that are kept from picture to picture.

mod changes;
mod photos;
mod rules;
mod store;

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::access::{Admin, Scope, Session};
use crate::dream::Core;
use crate::error::{Code, Fault, Format, Result};
use crate::jobs::CharacterRef;
use crate::kernel::{CharacterId, ListScope, Page, PageRequest, PhotoId, SortKey, Timestamp, UserId};
use crate::ports::{BlobKey, EntropyExt as _};
use crate::store::Tx;
use crate::users;

pub use photos::{PhotoLink, PhotoUpload};
pub use rules::{CharacterDescription, CharacterName, PhotoUrl};
pub(crate) use store::{
    Original, OriginalPhoto, all_of, count_photos, forget, names, take_over, take_over_photo,
};

/// Most photos of one character.
pub const MAX_PHOTOS: i64 = 10;
/// Most characters of one user, all of which one list shows.
pub const MAX_CHARACTERS: i64 = 100;

/// A character, with its photos.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::characters::NewCharacter;
/// use dream_core::jobs::{CharacterRef, GenerateRequest};
/// use dream_core::{Code, Result};
///
/// # let alice = world.alice().await;
/// # let me = alice.session().await;
/// let new = NewCharacter { name: "小红".parse().unwrap(), description: None };
/// let character = me.create_character(&new).await?;
///
/// let mut request = GenerateRequest::new("小红 on a bicycle".parse().unwrap());
/// request.character = Some(CharacterRef::Id(character.id));
/// let refused = alice.generate(&request).await.unwrap_err();
/// assert_eq!(refused.code(), Code::CharacterHasNoPhotos, "there is no face yet to keep");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Character {
    /// Its number.
    pub id: CharacterId,
    /// Its other id.
    pub uuid: Uuid,
    /// Whose it is.
    pub user: UserId,
    /// What it is called.
    pub name: String,
    /// What there is to say about it.
    pub description: Option<String>,
    /// Its photos, oldest first. The first one is the face that is kept.
    pub photos: Vec<Photo>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it or its photos last changed.
    pub updated_at: Timestamp,
}

/// A photo of a character.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::characters::{NewCharacter, PhotoRef, PhotoUpload};
/// use dream_core::jobs::CharacterRef;
/// # use base64::Engine as _;
///
/// # let me = world.alice().await.session().await;
/// # let mut png = std::io::Cursor::new(Vec::new());
/// # image::RgbImage::new(16, 16).write_to(&mut png, image::ImageFormat::Png)?;
/// # let base64 = base64::engine::general_purpose::STANDARD.encode(png.into_inner());
/// # let new = NewCharacter { name: "face".parse().unwrap(), description: None };
/// let character = CharacterRef::Id(me.create_character(&new).await?.id);
/// let photo = me.upload_photo(&character, &PhotoUpload::new(Some(base64), None)?).await?;
/// assert_eq!(photo.mime_type, "image/png");
/// assert!(photo.thumbnail_size > 0, "a small copy, in bytes, was made of it");
///
/// me.delete_photo(&character, &PhotoRef::Id(photo.id)).await?;
/// assert_eq!(me.character(&character).await?.photos, []);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// Its number.
    pub id: PhotoId,
    /// Its other id.
    pub uuid: Uuid,
    /// Of whom it is.
    pub character: CharacterId,
    /// A small copy.
    pub thumbnail_url: String,
    /// The photo.
    pub original_url: String,
    /// What the photo is, as a MIME type.
    pub mime_type: String,
    /// Bytes of the small copy; 0 where it is not known.
    pub thumbnail_size: i64,
    /// Bytes of the photo; 0 where it is not known.
    pub original_size: i64,
    /// When it was added.
    pub created_at: Timestamp,
}

/// A photo, by number or by UUID.
///
/// ```
/// use dream_core::characters::PhotoRef;
///
/// assert!(matches!("7".parse().unwrap(), PhotoRef::Id(id) if id.get() == 7));
/// assert!(matches!("01931f3e-7b0c-7a43-9e0e-1b1d5a0c8f5e".parse().unwrap(), PhotoRef::Uuid(_)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PhotoRef {
    /// By number.
    Id(PhotoId),
    /// By UUID.
    Uuid(Uuid),
}

impl FromStr for PhotoRef {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        Uuid::try_parse(text).map(Self::Uuid).map_err(|_| Fault::Format(Format::PhotoId))
    }
}

impl fmt::Display for PhotoRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PhotoRef::Id(id) => id.fmt(f),
            PhotoRef::Uuid(uuid) => uuid.fmt(f),
        }
    }
}

/// A character to be made.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::characters::NewCharacter;
///
/// let me = world.alice().await.session().await;
/// let new = NewCharacter {
///     name: "小红".parse().unwrap(),
///     description: Some("red hair, freckles".parse().unwrap()),
/// };
/// let character = me.create_character(&new).await?;
/// assert_eq!((character.name.as_str(), character.photos.len()), ("小红", 0));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCharacter {
    /// What it is called.
    pub name: CharacterName,
    /// What there is to say about it.
    pub description: Option<CharacterDescription>,
}

/// What is to change about a character. `None` leaves a field as it is.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::characters::{CharacterUpdate, NewCharacter};
/// use dream_core::jobs::CharacterRef;
///
/// # let me = world.alice().await.session().await;
/// # let new = NewCharacter { name: "小红".parse().unwrap(), description: Some("red hair".parse().unwrap()) };
/// # let character = CharacterRef::Id(me.create_character(&new).await?.id);
/// // The description goes, the name stays.
/// let update = CharacterUpdate { description: Some(None), ..CharacterUpdate::default() };
/// let changed = me.update_character(&character, &update).await?;
/// assert_eq!((changed.name.as_str(), changed.description), ("小红", None));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CharacterUpdate {
    /// A new name.
    pub name: Option<CharacterName>,
    /// A new description, or none any more.
    pub description: Option<Option<CharacterDescription>>,
}

impl Session {
    /// One's characters, newest first.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked.
    pub async fn characters(&self) -> Result<Vec<Character>> {
        store::all_of(&mut self.core.store.db(), self.user).await
    }

    /// Makes a character.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Code;
    /// use dream_core::characters::NewCharacter;
    ///
    /// # let me = world.alice().await.session().await;
    /// let named = |name: &str| NewCharacter { name: name.parse().unwrap(), description: None };
    /// me.create_character(&named("小红")).await?;
    /// let refused = me.create_character(&named("a risky name")).await.unwrap_err();
    /// assert_eq!(refused.code(), Code::ContentRejected, "the content check did not pass");
    /// assert_eq!(me.characters().await?.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `CONTENT_REJECTED` for a name that may not go public, `UPSTREAM_ERROR` and its kin if it could not be checked;
    /// `INVALID_STATE` with 100 characters; `TOKEN_REVOKED` if the account was deleted just now.
    pub async fn create_character(&self, new: &NewCharacter) -> Result<Character> {
        let core = &self.core;
        self.check_name(&new.name).await?;
        let now = core.now();
        let uuid = core.entropy.uuid_at(now);
        let change = changes::Create { user: self.user, new, uuid, settings: &core.settings, now };
        core.store.run(&change).await
    }

    /// One of one's characters.
    ///
    /// # Errors
    /// `CHARACTER_NOT_FOUND`, also for somebody else's.
    pub async fn character(&self, character: &CharacterRef) -> Result<Character> {
        find(&self.core, self.scope(), character).await
    }

    /// Changes a character's name or description.
    ///
    /// # Errors
    /// `CHARACTER_NOT_FOUND`, also for somebody else's; for the name as [`Session::create_character`].
    pub async fn update_character(
        &self,
        character: &CharacterRef,
        update: &CharacterUpdate,
    ) -> Result<Character> {
        let core = &self.core;
        if let Some(name) = &update.name {
            // Nobody's name is shown to the outside for a character that does not exist.
            self.character(character).await?;
            self.check_name(name).await?;
        }
        let (settings, now) = (&core.settings, core.now());
        let change = changes::Update { scope: self.scope(), character, new: update, settings, now };
        core.store.run(&change).await
    }

    /// Deletes a character and its photos; their objects are removed too, if need be later.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Code;
    /// use dream_core::characters::NewCharacter;
    /// use dream_core::jobs::CharacterRef;
    ///
    /// # let (me, bob) = (world.alice().await.session().await, world.user("bob").await.session().await);
    /// let new = NewCharacter { name: "小红".parse().unwrap(), description: None };
    /// let character = CharacterRef::Uuid(me.create_character(&new).await?.uuid);
    /// let refused = bob.delete_character(&character).await.unwrap_err();
    /// assert_eq!(refused.code(), Code::CharacterNotFound, "it is not his");
    /// me.delete_character(&character).await?;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `CHARACTER_NOT_FOUND`, also for somebody else's.
    pub async fn delete_character(&self, character: &CharacterRef) -> Result<()> {
        delete(&self.core, self.scope(), character, None).await
    }

    async fn check_name(&self, name: &CharacterName) -> Result<()> {
        let core = &self.core;
        let openid = users::openid_of(&mut core.store.db(), self.user).await?.ok_or(Code::TokenRevoked)?;
        if name.may_go_public(core, &openid).await? { Ok(()) } else { Err(Code::ContentRejected.into()) }
    }
}

impl Admin {
    /// Characters, newest first: everybody's, or those of one user.
    ///
    /// # Errors
    /// `INVALID_CURSOR`.
    pub async fn characters(&self, user: Option<UserId>, page: &PageRequest) -> Result<Page<Character>> {
        let core = &self.core;
        let scope = ListScope::of("characters").with("user", user.map_or(0, UserId::get));
        let start = core.cursors.start(&scope, page)?;
        let rows = store::list(&mut core.store.db(), user, start, page).await?;
        Ok(core.cursors.page(&scope, page.limit, rows, |character| SortKey {
            by: character.id.get(),
            id: character.id.get(),
        }))
    }

    /// A character.
    ///
    /// # Errors
    /// `CHARACTER_NOT_FOUND`.
    pub async fn character(&self, character: &CharacterRef) -> Result<Character> {
        find(&self.core, self.scope(), character).await
    }

    /// Deletes a character and its photos, as its user could.
    ///
    /// # Errors
    /// `CHARACTER_NOT_FOUND`.
    pub async fn delete_character(&self, character: &CharacterRef) -> Result<()> {
        delete(&self.core, self.scope(), character, Some(self)).await
    }
}

async fn find(core: &Core, scope: Scope, character: &CharacterRef) -> Result<Character> {
    store::find(&mut core.store.db(), scope, character).await?.ok_or(Code::CharacterNotFound.into())
}

async fn delete(core: &Core, scope: Scope, character: &CharacterRef, by: Option<&Admin>) -> Result<()> {
    let change = changes::Delete { scope, character, by, settings: &core.settings, now: core.now() };
    core.store.run(&change).await?;
    core.wake_worker();
    Ok(())
}

/// The picture of a character's face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Face {
    /// An object of ours.
    Blob(BlobKey),
    /// A picture elsewhere.
    Url(String),
}

/// The first photo of a character. Until the end of the transaction it stays that.
///
/// # Errors
/// `CHARACTER_NOT_FOUND`, also for somebody else's; `CHARACTER_HAS_NO_PHOTOS`.
pub(crate) async fn face(tx: &mut Tx, scope: Scope, character: &CharacterRef) -> Result<Face> {
    let id = store::lock(tx, scope, character).await?.ok_or(Code::CharacterNotFound)?;
    store::first_photo(tx, id).await?.ok_or(Code::CharacterHasNoPhotos.into())
}
