//! The tables `characters` and `character_photos`.

use super::Face;
use crate::access::Scope;
use crate::blobs;
use crate::error::Result;
use crate::jobs::CharacterRef;
use crate::kernel::{CharacterId, Timestamp, UserId};
use crate::store::{Db, Sql, Tx};

pub(super) async fn id(
    db: &mut impl Db,
    scope: Scope,
    character: &CharacterRef,
) -> Result<Option<CharacterId>> {
    let sql = match (scope, character) {
        (Scope::Own(user), CharacterRef::Id(id)) => {
            Sql::new("SELECT id FROM characters WHERE id = $1 AND user_id = $2")
                .bind(id.get())
                .bind(user.get())
        }
        (Scope::Own(user), CharacterRef::Uuid(uuid)) => {
            Sql::new("SELECT id FROM characters WHERE uuid = $1 AND user_id = $2")
                .bind(uuid.to_string())
                .bind(user.get())
        }
        (Scope::All, CharacterRef::Id(id)) => {
            Sql::new("SELECT id FROM characters WHERE id = $1").bind(id.get())
        }
        (Scope::All, CharacterRef::Uuid(uuid)) => {
            Sql::new("SELECT id FROM characters WHERE uuid = $1").bind(uuid.to_string())
        }
    };
    db.optional(sql).await?.map(|row| row.get("id")).transpose()
}

pub(super) async fn first_photo(db: &mut impl Db, character: CharacterId) -> Result<Option<Face>> {
    let sql = Sql::new(
        "SELECT original_url, original_key, thumbnail_key FROM character_photos WHERE character_id = $1 \
         ORDER BY created_at, id LIMIT 1",
    );
    let Some(row) = db.optional(sql.bind(character.get())).await? else { return Ok(None) };
    let key = match row.get::<Option<String>>("original_key")? {
        Some(key) => Some(key),
        None => row.get("thumbnail_key")?,
    };
    Ok(Some(match key.and_then(|key| key.parse().ok()) {
        Some(key) => Face::Blob(key),
        None => Face::Url(row.get("original_url")?),
    }))
}

/// Removes a deleted user's characters, and queues their objects for removal.
pub(crate) async fn forget(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    let photos = Sql::new(
        "DELETE FROM character_photos WHERE character_id IN (SELECT id FROM characters WHERE user_id = $1) \
         RETURNING thumbnail_key, original_key",
    );
    for row in tx.all(photos.bind(user.get())).await? {
        for column in ["thumbnail_key", "original_key"] {
            if let Some(key) = row.get::<Option<String>>(column)?.and_then(|key| key.parse().ok()) {
                blobs::remove_later(tx, &key, now).await?;
            }
        }
    }
    tx.execute(Sql::new("DELETE FROM characters WHERE user_id = $1").bind(user.get())).await?;
    Ok(())
}
