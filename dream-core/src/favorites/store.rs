//! The table `favorites`.

use super::{Favorite, FavoriteKind, ResourceId};
use crate::error::Result;
use crate::kernel::{FavoriteId, PageRequest, SortKey, Timestamp, UserId};
use crate::store::{Db, Row, Sql, StoreError, Tx, insert_under_id, under_id};

fn read(row: &Row) -> Result<Favorite> {
    let resource = row.get::<String>("resource_id")?;
    Ok(Favorite {
        id: row.get("id")?,
        user: row.get("user_id")?,
        kind: row.word("type", FavoriteKind::parse)?,
        resource: resource
            .parse()
            .map_err(|_| StoreError::Inconsistent(format!("favorites.resource_id: {resource}")))?,
        created_at: row.get("created_at")?,
    })
}

pub(super) async fn of_resource(
    db: &mut impl Db,
    user: UserId,
    kind: FavoriteKind,
    resource: &ResourceId,
) -> Result<Option<Favorite>> {
    let sql = Sql::new(
        "SELECT id, user_id, type, resource_id, created_at FROM favorites \
         WHERE user_id = $1 AND type = $2 AND resource_id = $3",
    );
    let sql = sql.bind(user.get()).bind(kind.as_str()).bind(resource.as_str());
    db.optional(sql).await?.as_ref().map(read).transpose()
}

pub(super) async fn insert(
    tx: &mut Tx,
    user: UserId,
    kind: FavoriteKind,
    resource: &ResourceId,
    now: Timestamp,
) -> Result<Favorite> {
    let sql = Sql::new(
        "INSERT INTO favorites (user_id, type, resource_id, created_at) VALUES ($1, $2, $3, $4) \
         RETURNING id, user_id, type, resource_id, created_at",
    );
    read(&tx.one(sql.bind(user.get()).bind(kind.as_str()).bind(resource.as_str()).bind(now)).await?)
}

/// Adds something that somebody kept at the original service; its number, and whether it was not kept here before.
pub(crate) async fn take_over(
    tx: &mut Tx,
    id: Option<i64>,
    user: UserId,
    (kind, resource): (FavoriteKind, &ResourceId),
    created_at: Timestamp,
) -> Result<(i64, bool)> {
    let insertion = |id: Option<i64>| {
        insert_under_id!("favorites", "user_id, type, resource_id, created_at", "$2, $3, $4, $5")
            .bind(id)
            .bind(user.get())
            .bind(kind.as_str())
            .bind(resource.as_str())
            .bind(created_at)
    };
    if let Some(known) = of_resource(tx, user, kind, resource).await? {
        return Ok((known.id.get(), false));
    }
    let made = under_id(tx, id, insertion).await?;
    let missing = || StoreError::Inconsistent("favorites: one can neither be added nor found".into());
    Ok((made.ok_or_else(missing)?, true))
}

/// Takes one's favorite out; of which kind it was.
pub(super) async fn delete(tx: &mut Tx, user: UserId, id: FavoriteId) -> Result<Option<FavoriteKind>> {
    let sql = Sql::new("DELETE FROM favorites WHERE id = $1 AND user_id = $2 RETURNING type");
    let row = tx.optional(sql.bind(id.get()).bind(user.get())).await?;
    row.map(|row| row.word("type", FavoriteKind::parse)).transpose()
}

pub(super) async fn delete_all(tx: &mut Tx, user: UserId) -> Result<()> {
    tx.execute(Sql::new("DELETE FROM favorites WHERE user_id = $1").bind(user.get())).await?;
    Ok(())
}

pub(super) async fn list(
    db: &mut impl Db,
    user: UserId,
    kind: Option<FavoriteKind>,
    start: SortKey,
    page: &PageRequest,
) -> Result<Vec<Favorite>> {
    // Each form walks an index of its own.
    let sql = match kind {
        None => Sql::new(
            "SELECT id, user_id, type, resource_id, created_at FROM favorites \
             WHERE user_id = $1 AND (created_at, id) < ($2, $3) \
             ORDER BY created_at DESC, id DESC LIMIT $4 OFFSET $5",
        ),
        Some(_) => Sql::new(
            "SELECT id, user_id, type, resource_id, created_at FROM favorites \
             WHERE user_id = $1 AND type = $6 AND (created_at, id) < ($2, $3) \
             ORDER BY created_at DESC, id DESC LIMIT $4 OFFSET $5",
        ),
    };
    let mut sql =
        sql.bind(user.get()).bind(start.by).bind(start.id).bind(page.limit.get() + 1).bind(page.offset());
    if let Some(kind) = kind {
        sql = sql.bind(kind.as_str());
    }
    db.all(sql).await?.iter().map(read).collect()
}

/// All favorites of a user, oldest first.
pub(crate) async fn all_of(db: &mut impl Db, user: UserId) -> Result<Vec<Favorite>> {
    let sql = Sql::new(
        "SELECT id, user_id, type, resource_id, created_at FROM favorites WHERE user_id = $1 ORDER BY created_at, id",
    );
    db.all(sql.bind(user.get())).await?.iter().map(read).collect()
}
