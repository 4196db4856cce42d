use uuid::Uuid;

use super::store;
use super::{Character, CharacterRef, CharacterUpdate, MAX_CHARACTERS, NewCharacter, Photo, PhotoRef};
use crate::access::{Admin, Scope};
use crate::admin::{self, AuditEntry};
use crate::blobs::Unnamed;
use crate::error::{Code, Result};
use crate::kernel::{CharacterId, Timestamp, UserId};
use crate::media::PictureKind;
use crate::ports::BlobKey;
use crate::settings::Settings;
use crate::stats::{self, Delta};
use crate::store::{Change, Tx};
use crate::{uploads, users};

/// Makes a character, if there is room for one more.
pub(super) struct Create<'a> {
    pub(super) user: UserId,
    pub(super) new: &'a NewCharacter,
    pub(super) uuid: Uuid,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl Change for Create<'_> {
    const NAME: &'static str = "characters.create";
    type Out = Character;

    async fn apply(&self, tx: &mut Tx) -> Result<Character> {
        // Under this lock one user's characters are made one after the other, and none after the account is deleted.
        if !users::lock(tx, self.user).await? {
            return Err(Code::TokenRevoked.into());
        }
        if store::count_of(tx, self.user).await? >= MAX_CHARACTERS {
            return Err(Code::InvalidState.into());
        }
        store::insert(tx, self.user, self.uuid, self.new, self.now).await?;
        seen(tx, Scope::Own(self.user), self.settings, self.now).await?;
        let made = CharacterRef::Uuid(self.uuid);
        store::find(tx, Scope::Own(self.user), &made).await?.ok_or(Code::Internal.into())
    }
}

/// Changes what a character is called, and what is said about it.
pub(super) struct Update<'a> {
    pub(super) scope: Scope,
    pub(super) character: &'a CharacterRef,
    pub(super) new: &'a CharacterUpdate,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl Change for Update<'_> {
    const NAME: &'static str = "characters.update";
    type Out = Character;

    async fn apply(&self, tx: &mut Tx) -> Result<Character> {
        let id = lock(tx, self.scope, self.character).await?;
        if *self.new != CharacterUpdate::default() {
            store::update(tx, id, self.new, self.now).await?;
        }
        seen(tx, self.scope, self.settings, self.now).await?;
        store::find(tx, self.scope, self.character).await?.ok_or(Code::CharacterNotFound.into())
    }
}

/// Deletes a character and its photos.
pub(super) struct Delete<'a> {
    pub(super) scope: Scope,
    pub(super) character: &'a CharacterRef,
    pub(super) by: Option<&'a Admin>,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl Change for Delete<'_> {
    const NAME: &'static str = "characters.delete";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        let id = lock(tx, self.scope, self.character).await?;
        if let Some(admin) = self.by {
            let was = store::find(tx, self.scope, self.character).await?.ok_or(Code::CharacterNotFound)?;
            let before = serde_json::json!({
                "userId": was.user.get(), "name": was.name, "photos": was.photos.len(),
            });
            let entry = AuditEntry::new("character.delete", format!("character:{id}")).before(before);
            admin::record(tx, admin, entry, self.now).await?;
        }
        store::delete(tx, id, self.now).await?;
        seen(tx, self.scope, self.settings, self.now).await
    }
}

/// A photo to be added.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewPhoto<'a> {
    pub(super) uuid: Uuid,
    pub(super) thumbnail_url: &'a str,
    pub(super) original_url: &'a str,
    /// The objects that go with it, if they are its own.
    pub(super) thumbnail_key: Option<&'a BlobKey>,
    pub(super) original_key: Option<&'a BlobKey>,
    pub(super) kind: PictureKind,
    pub(super) thumbnail_size: i64,
    pub(super) original_size: i64,
}

impl NewPhoto<'_> {
    /// Bytes of the objects that are its own.
    fn own_bytes(&self) -> i64 {
        let own = |key: Option<&BlobKey>, size: i64| if key.is_some() { size } else { 0 };
        own(self.thumbnail_key, self.thumbnail_size) + own(self.original_key, self.original_size)
    }
}

/// Adds a photo, if there is room for one more.
pub(super) struct AddPhoto<'a> {
    pub(super) scope: Scope,
    pub(super) character: &'a CharacterRef,
    pub(super) photo: NewPhoto<'a>,
    pub(super) objects: Option<&'a Unnamed>,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl Change for AddPhoto<'_> {
    const NAME: &'static str = "characters.add_photo";
    type Out = Photo;

    async fn apply(&self, tx: &mut Tx) -> Result<Photo> {
        let id = lock(tx, self.scope, self.character).await?;
        if !store::take_room(tx, id, self.now).await? {
            return Err(Code::PhotoLimitReached.into());
        }
        if let Some(owner) = store::owner(tx, id).await? {
            uploads::count_bytes(tx, owner, self.photo.own_bytes(), self.settings).await?;
        }
        store::insert_photo(tx, id, &self.photo, self.now).await?;
        if let Some(objects) = self.objects {
            objects.name(tx).await?;
        }
        seen(tx, self.scope, self.settings, self.now).await?;
        store::photo(tx, id, &PhotoRef::Uuid(self.photo.uuid)).await?.ok_or(Code::Internal.into())
    }
}

/// Removes a photo.
pub(super) struct DeletePhoto<'a> {
    pub(super) scope: Scope,
    pub(super) character: &'a CharacterRef,
    pub(super) photo: &'a PhotoRef,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl Change for DeletePhoto<'_> {
    const NAME: &'static str = "characters.delete_photo";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        let id = lock(tx, self.scope, self.character).await?;
        let photo = store::photo(tx, id, self.photo).await?.ok_or(Code::PhotoNotFound)?;
        store::delete_photo(tx, &photo, self.now).await?;
        seen(tx, self.scope, self.settings, self.now).await
    }
}

async fn lock(tx: &mut Tx, scope: Scope, character: &CharacterRef) -> Result<CharacterId> {
    store::lock(tx, scope, character).await?.ok_or(Code::CharacterNotFound.into())
}

/// Counts the user as active who does it, but no admin.
async fn seen(tx: &mut Tx, scope: Scope, settings: &Settings, now: Timestamp) -> Result<()> {
    match scope {
        Scope::Own(user) => stats::add_by(tx, settings, user, now, Delta::default()).await,
        Scope::All => Ok(()),
    }
}
