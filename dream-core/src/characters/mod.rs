//! Characters: faces that are kept from picture to picture.

mod store;

use crate::access::Scope;
use crate::error::{Code, Result};
use crate::jobs::CharacterRef;
use crate::ports::BlobKey;
use crate::store::Tx;

pub(crate) use store::forget;

/// The picture of a character's face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Face {
    /// An object of ours.
    Blob(BlobKey),
    /// A picture elsewhere.
    Url(String),
}

/// The first photo of a character.
///
/// # Errors
/// `CHARACTER_NOT_FOUND`, also for somebody else's; `CHARACTER_HAS_NO_PHOTOS`.
pub(crate) async fn face(tx: &mut Tx, scope: Scope, character: &CharacterRef) -> Result<Face> {
    let id = store::id(tx, scope, character).await?.ok_or(Code::CharacterNotFound)?;
    store::first_photo(tx, id).await?.ok_or(Code::CharacterHasNoPhotos.into())
}
