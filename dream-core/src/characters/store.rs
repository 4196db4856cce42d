//! The tables `characters` and `character_photos`.

use std::collections::HashMap;

use uuid::Uuid;

use super::changes::NewPhoto;
use super::{Character, CharacterUpdate, Face, MAX_PHOTOS, NewCharacter, Photo, PhotoRef};
use crate::access::Scope;
use crate::blobs::{self, Names};
use crate::error::Result;
use crate::jobs::CharacterRef;
use crate::kernel::{CharacterId, PageRequest, SortKey, Timestamp, UserId};
use crate::ports::BlobKey;
use crate::stats;
use crate::store::{Arg, Db, Row, Sql, Tx, for_update, insert_under_id, under_id};

macro_rules! characters {
    ($rest:literal) => {
        concat!("SELECT id, uuid, user_id, name, description, created_at, updated_at FROM characters ", $rest)
    };
}

macro_rules! photos {
    ($rest:literal) => {
        concat!(
            "SELECT id, uuid, character_id, thumbnail_url, original_url, mime_type, thumbnail_size, original_size, \
             created_at FROM character_photos ",
            $rest
        )
    };
}

fn read(row: &Row) -> Result<Character> {
    Ok(Character {
        id: row.get("id")?,
        uuid: row.word("uuid", |text| Uuid::try_parse(text).ok())?,
        user: row.get("user_id")?,
        name: row.get("name")?,
        description: row.get("description")?,
        photos: Vec::new(),
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

fn read_photo(row: &Row) -> Result<Photo> {
    Ok(Photo {
        id: row.get("id")?,
        uuid: row.word("uuid", |text| Uuid::try_parse(text).ok())?,
        character: row.get("character_id")?,
        thumbnail_url: row.get("thumbnail_url")?,
        original_url: row.get("original_url")?,
        mime_type: row.get("mime_type")?,
        thumbnail_size: row.get("thumbnail_size")?,
        original_size: row.get("original_size")?,
        created_at: row.get("created_at")?,
    })
}

/// The characters, with their photos.
async fn with_photos(db: &mut impl Db, rows: &[Row]) -> Result<Vec<Character>> {
    let mut characters = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
    if characters.is_empty() {
        return Ok(characters);
    }
    let ids = characters.iter().map(|character| Arg::from(character.id.get()));
    let text = photos!("WHERE character_id IN ({list}) ORDER BY character_id, created_at, id");
    let mut photos: HashMap<CharacterId, Vec<Photo>> = HashMap::new();
    for row in db.all(Sql::with_list(text, Vec::new(), ids)).await? {
        let photo = read_photo(&row)?;
        photos.entry(photo.character).or_default().push(photo);
    }
    for character in &mut characters {
        character.photos = photos.remove(&character.id).unwrap_or_default();
    }
    Ok(characters)
}

pub(super) async fn find(
    db: &mut impl Db,
    scope: Scope,
    character: &CharacterRef,
) -> Result<Option<Character>> {
    let sql = match (scope, character) {
        (Scope::Own(user), CharacterRef::Id(id)) => {
            Sql::new(characters!("WHERE id = $1 AND user_id = $2")).bind(id.get()).bind(user.get())
        }
        (Scope::Own(user), CharacterRef::Uuid(uuid)) => {
            Sql::new(characters!("WHERE uuid = $1 AND user_id = $2")).bind(uuid.to_string()).bind(user.get())
        }
        (Scope::All, CharacterRef::Id(id)) => Sql::new(characters!("WHERE id = $1")).bind(id.get()),
        (Scope::All, CharacterRef::Uuid(uuid)) => {
            Sql::new(characters!("WHERE uuid = $1")).bind(uuid.to_string())
        }
    };
    let rows = db.all(sql).await?;
    Ok(with_photos(db, &rows).await?.into_iter().next())
}

/// The character's number, if there is one in this scope.
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

/// Locks a character, so that its photos change one after the other.
pub(super) async fn lock(tx: &mut Tx, scope: Scope, character: &CharacterRef) -> Result<Option<CharacterId>> {
    let Some(id) = id(tx, scope, character).await? else { return Ok(None) };
    // It may have been deleted while we waited for the lock.
    let sql = for_update!("SELECT id FROM characters WHERE id = $1").bind(id.get());
    tx.optional(sql).await?.map(|row| row.get("id")).transpose()
}

/// All characters of a user, newest first.
pub(crate) async fn all_of(db: &mut impl Db, user: UserId) -> Result<Vec<Character>> {
    let sql = Sql::new(characters!("WHERE user_id = $1 ORDER BY created_at DESC, id DESC"));
    let rows = db.all(sql.bind(user.get())).await?;
    with_photos(db, &rows).await
}

pub(super) async fn list(
    db: &mut impl Db,
    user: Option<UserId>,
    start: SortKey,
    page: &PageRequest,
) -> Result<Vec<Character>> {
    let text = match user {
        None => characters!("WHERE id < $1 ORDER BY id DESC LIMIT $2 OFFSET $3"),
        Some(_) => characters!("WHERE id < $1 AND user_id = $4 ORDER BY id DESC LIMIT $2 OFFSET $3"),
    };
    let mut sql = Sql::new(text).bind(start.id).bind(page.limit.get() + 1).bind(page.offset());
    if let Some(user) = user {
        sql = sql.bind(user.get());
    }
    let rows = db.all(sql).await?;
    with_photos(db, &rows).await
}

pub(super) async fn count_of(tx: &mut Tx, user: UserId) -> Result<i64> {
    let sql = Sql::new("SELECT CAST(count(*) AS BIGINT) AS n FROM characters WHERE user_id = $1");
    tx.one(sql.bind(user.get())).await?.get("n")
}

pub(super) async fn insert(
    tx: &mut Tx,
    user: UserId,
    uuid: Uuid,
    new: &NewCharacter,
    now: Timestamp,
) -> Result<()> {
    let sql = Sql::new(
        "INSERT INTO characters (uuid, user_id, name, description, photo_count, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, 0, $5, $5)",
    )
    .bind(uuid.to_string())
    .bind(user.get())
    .bind(new.name.as_str())
    .bind(new.description.as_ref().map(super::CharacterDescription::as_str))
    .bind(now);
    tx.execute(sql).await.map(drop)
}

pub(super) async fn update(
    tx: &mut Tx,
    id: CharacterId,
    update: &CharacterUpdate,
    now: Timestamp,
) -> Result<()> {
    let description = update.description.as_ref();
    let sql = Sql::new(
        "UPDATE characters SET name = coalesce($2, name), \
         description = CASE WHEN $3 = 1 THEN $4 ELSE description END, updated_at = $5 WHERE id = $1",
    )
    .bind(id.get())
    .bind(update.name.as_ref().map(super::CharacterName::as_str))
    .bind(i64::from(description.is_some()))
    .bind(description.and_then(|text| text.as_ref()).map(super::CharacterDescription::as_str))
    .bind(now);
    tx.execute(sql).await.map(drop)
}

/// Deletes a character and its photos, and queues the objects that were theirs for removal.
pub(super) async fn delete(tx: &mut Tx, id: CharacterId, now: Timestamp) -> Result<()> {
    let sql = Sql::new(
        "DELETE FROM character_photos WHERE character_id = $1 \
         RETURNING thumbnail_key, original_key, thumbnail_size, original_size",
    );
    let rows = tx.all(sql.bind(id.get())).await?;
    remove_objects(tx, id, &rows, now).await?;
    tx.execute(Sql::new("DELETE FROM characters WHERE id = $1").bind(id.get())).await.map(drop)
}

/// Queues the objects of removed photos for removal, and counts their bytes no longer. Pictures that are elsewhere were
/// never counted.
async fn remove_objects(tx: &mut Tx, id: CharacterId, rows: &[Row], now: Timestamp) -> Result<()> {
    let mut bytes = 0;
    for row in rows {
        for (key, size) in [("thumbnail_key", "thumbnail_size"), ("original_key", "original_size")] {
            if let Some(key) = row.get::<Option<String>>(key)? {
                bytes += row.get::<i64>(size)?;
                if let Ok(key) = key.parse() {
                    blobs::remove_later(tx, &key, now).await?;
                }
            }
        }
    }
    match owner(tx, id).await? {
        Some(user) => stats::release_storage(tx, user, bytes).await,
        None => Ok(()),
    }
}

/// Whose character it is.
pub(super) async fn owner(tx: &mut Tx, id: CharacterId) -> Result<Option<UserId>> {
    let sql = Sql::new("SELECT user_id FROM characters WHERE id = $1").bind(id.get());
    tx.optional(sql).await?.map(|row| row.get("user_id")).transpose()
}

/// Counts one photo more, if there may be one.
pub(super) async fn take_room(tx: &mut Tx, id: CharacterId, now: Timestamp) -> Result<bool> {
    let sql = Sql::new(
        "UPDATE characters SET photo_count = photo_count + 1, updated_at = $2 WHERE id = $1 AND photo_count < $3",
    );
    Ok(tx.execute(sql.bind(id.get()).bind(now).bind(MAX_PHOTOS)).await? == 1)
}

pub(super) async fn insert_photo(
    tx: &mut Tx,
    character: CharacterId,
    photo: &NewPhoto<'_>,
    now: Timestamp,
) -> Result<()> {
    let sql = Sql::new(
        "INSERT INTO character_photos (uuid, character_id, thumbnail_url, original_url, thumbnail_key, original_key, \
         mime_type, thumbnail_size, original_size, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(photo.uuid.to_string())
    .bind(character.get())
    .bind(photo.thumbnail_url)
    .bind(photo.original_url)
    .bind(photo.thumbnail_key.map(BlobKey::as_str))
    .bind(photo.original_key.map(BlobKey::as_str))
    .bind(photo.kind.mime())
    .bind(photo.thumbnail_size)
    .bind(photo.original_size)
    .bind(now);
    tx.execute(sql).await.map(drop)
}

pub(super) async fn photo(
    db: &mut impl Db,
    character: CharacterId,
    photo: &PhotoRef,
) -> Result<Option<Photo>> {
    let sql = match photo {
        PhotoRef::Id(id) => {
            Sql::new(photos!("WHERE character_id = $1 AND id = $2")).bind(character.get()).bind(id.get())
        }
        PhotoRef::Uuid(uuid) => Sql::new(photos!("WHERE character_id = $1 AND uuid = $2"))
            .bind(character.get())
            .bind(uuid.to_string()),
    };
    db.optional(sql).await?.as_ref().map(read_photo).transpose()
}

/// Removes a photo, and queues the objects that were its own for removal.
pub(super) async fn delete_photo(tx: &mut Tx, photo: &Photo, now: Timestamp) -> Result<()> {
    let sql = Sql::new(
        "DELETE FROM character_photos WHERE id = $1 \
         RETURNING thumbnail_key, original_key, thumbnail_size, original_size",
    );
    let rows = tx.all(sql.bind(photo.id.get())).await?;
    remove_objects(tx, photo.character, &rows, now).await?;
    let sql = Sql::new("UPDATE characters SET photo_count = photo_count - 1, updated_at = $2 WHERE id = $1");
    tx.execute(sql.bind(photo.character.get()).bind(now)).await.map(drop)
}

pub(super) async fn first_photo(db: &mut impl Db, character: CharacterId) -> Result<Option<Face>> {
    let sql = Sql::new(
        "SELECT original_url, original_key FROM character_photos WHERE character_id = $1 \
         ORDER BY created_at, id LIMIT 1",
    );
    let Some(row) = db.optional(sql.bind(character.get())).await? else { return Ok(None) };
    let key = row.get::<Option<String>>("original_key")?;
    Ok(Some(match key.and_then(|key| key.parse().ok()) {
        Some(key) => Face::Blob(key),
        None => Face::Url(row.get("original_url")?),
    }))
}

/// Removes a deleted user's characters, and queues their objects for removal.
pub(crate) async fn forget(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    // Under their locks no photo is being added to one of them.
    let sql = for_update!("SELECT id FROM characters WHERE user_id = $1 ORDER BY id").bind(user.get());
    let rows = tx.all(sql).await?;
    for row in &rows {
        delete(tx, row.get("id")?, now).await?;
    }
    Ok(())
}

/// Notes what some of the photos behind this one name; the last of them, unless there are no more.
pub(crate) async fn names(db: &mut impl Db, after: i64, names: &mut Names<'_>) -> Result<Option<i64>> {
    let sql = Sql::new(
        "SELECT id, thumbnail_key, original_key, thumbnail_url, original_url FROM character_photos \
         WHERE id > $1 ORDER BY id LIMIT 1000",
    );
    let mut last = None;
    for row in db.all(sql.bind(after)).await? {
        let id: i64 = row.get("id")?;
        for (key, url) in [("thumbnail_key", "thumbnail_url"), ("original_key", "original_url")] {
            names.key(format!("photo:{id}"), row.get::<Option<String>>(key)?.as_deref());
            names.foreign_url(format!("photo:{id}"), &row.get::<String>(url)?);
        }
        last = Some(id);
    }
    Ok(last)
}

/// A character of the original service.
pub(crate) struct Original<'a> {
    pub(crate) id: Option<i64>,
    pub(crate) uuid: Uuid,
    pub(crate) user: UserId,
    pub(crate) name: &'a str,
    pub(crate) description: Option<&'a str>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A photo of the original service. Its pictures stay where they are, and are nobody's to remove.
pub(crate) struct OriginalPhoto<'a> {
    pub(crate) id: Option<i64>,
    pub(crate) uuid: Uuid,
    pub(crate) character: i64,
    pub(crate) thumbnail_url: &'a str,
    pub(crate) original_url: &'a str,
    pub(crate) mime: &'a str,
    pub(crate) thumbnail_size: i64,
    pub(crate) original_size: i64,
    pub(crate) created_at: Timestamp,
}

/// Adds a character of the original service; `None` if its other id is taken.
pub(crate) async fn take_over(tx: &mut Tx, new: &Original<'_>) -> Result<Option<i64>> {
    let insertion = |id: Option<i64>| {
        insert_under_id!(
            "characters",
            "uuid, user_id, name, description, photo_count, created_at, updated_at",
            "$2, $3, $4, $5, 0, $6, $7"
        )
        .bind(id)
        .bind(new.uuid.to_string())
        .bind(new.user.get())
        .bind(new.name)
        .bind(new.description)
        .bind(new.created_at)
        .bind(new.updated_at)
    };
    under_id(tx, new.id, insertion).await
}

/// How many photos a character has; `None` if it is gone.
pub(crate) async fn count_photos(tx: &mut Tx, character: i64) -> Result<Option<i64>> {
    let sql = for_update!("SELECT photo_count FROM characters WHERE id = $1").bind(character);
    tx.optional(sql).await?.map(|row| row.get("photo_count")).transpose()
}

/// Adds a photo of the original service to a character that has room; `None` if its other id is taken.
pub(crate) async fn take_over_photo(tx: &mut Tx, new: &OriginalPhoto<'_>) -> Result<Option<i64>> {
    let insertion = |id: Option<i64>| {
        insert_under_id!(
            "character_photos",
            "uuid, character_id, thumbnail_url, original_url, mime_type, thumbnail_size, original_size, created_at",
            "$2, $3, $4, $5, $6, $7, $8, $9"
        )
        .bind(id)
        .bind(new.uuid.to_string())
        .bind(new.character)
        .bind(new.thumbnail_url)
        .bind(new.original_url)
        .bind(new.mime)
        .bind(new.thumbnail_size)
        .bind(new.original_size)
        .bind(new.created_at)
    };
    let made = under_id(tx, new.id, insertion).await?;
    if made.is_some() {
        let sql = Sql::new("UPDATE characters SET photo_count = photo_count + 1 WHERE id = $1");
        tx.execute(sql.bind(new.character)).await?;
    }
    Ok(made)
}
