//! The table `uploads`.

use super::Upload;
use crate::blobs::{self, Names};
use crate::error::Result;
use crate::kernel::{Timestamp, UserId};
use crate::media::PictureKind;
use crate::ports::Blobs;
use crate::stats;
use crate::store::{Db, Sql, StoreError, Tx};

pub(super) async fn insert(tx: &mut Tx, user: UserId, upload: &Upload) -> Result<()> {
    let sql = Sql::new(
        "INSERT INTO uploads (user_id, blob_key, original_name, mime_type, size, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(user.get())
    .bind(upload.key.as_str())
    .bind(upload.original_name.as_str())
    .bind(upload.kind.mime())
    .bind(upload.size)
    .bind(upload.created_at);
    tx.execute(sql).await.map(drop)
}

/// Everything that a user uploaded, oldest first.
pub(crate) async fn all_of(db: &mut impl Db, user: UserId, blobs: &dyn Blobs) -> Result<Vec<Upload>> {
    let sql = Sql::new(
        "SELECT blob_key, original_name, mime_type, size, created_at FROM uploads WHERE user_id = $1 \
         ORDER BY created_at, id",
    );
    let rows = db.all(sql.bind(user.get())).await?;
    rows.iter()
        .map(|row| {
            let key: String = row.get("blob_key")?;
            let broken = || StoreError::Inconsistent(format!("uploads.blob_key: {key}"));
            let key = key.parse().map_err(|_| broken())?;
            Ok(Upload {
                url: blobs.public_url(&key),
                key,
                original_name: row.get("original_name")?,
                kind: row.word("mime_type", PictureKind::parse)?,
                size: row.get("size")?,
                created_at: row.get("created_at")?,
            })
        })
        .collect()
}

/// Removes a deleted user's uploads, and queues their objects for removal.
pub(crate) async fn forget(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    let sql = Sql::new("DELETE FROM uploads WHERE user_id = $1 RETURNING blob_key, size");
    let mut bytes = 0;
    for row in tx.all(sql.bind(user.get())).await? {
        bytes += row.get::<i64>("size")?;
        if let Ok(key) = row.get::<String>("blob_key")?.parse() {
            blobs::remove_later(tx, &key, now).await?;
        }
    }
    stats::release_storage(tx, user, bytes).await
}

/// Notes what some of the uploads behind this one name; the last of them, unless there are no more.
pub(crate) async fn names(db: &mut impl Db, after: i64, names: &mut Names<'_>) -> Result<Option<i64>> {
    let sql = Sql::new("SELECT id, blob_key FROM uploads WHERE id > $1 ORDER BY id LIMIT 1000");
    let mut last = None;
    for row in db.all(sql.bind(after)).await? {
        let id: i64 = row.get("id")?;
        names.key(format!("upload:{id}"), Some(&row.get::<String>("blob_key")?));
        last = Some(id);
    }
    Ok(last)
}
