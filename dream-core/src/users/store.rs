//! The `users` table, and the view of a user over the tables that hang on it.

use std::collections::{HashMap, HashSet};

use super::User;
use super::rules::name_key;
use crate::blobs::Names;
use crate::error::Result;
use crate::kernel::{Timestamp, UserId};
use crate::store::{Db, Row, Sql, Tx, for_update, insert_under_id, under_id};
use crate::vip::Membership;

macro_rules! user_view {
    ($rest:literal) => {
        concat!(
            "SELECT u.id, u.openid, u.unionid, u.phone, u.nick_name, u.avatar_url, u.created_at, u.updated_at, \
             m.level, m.expires_at, m.vip_until, a.balance FROM users u JOIN memberships m ON m.user_id = u.id \
             JOIN accounts a ON a.user_id = u.id ",
            $rest
        )
    };
}
pub(crate) use user_view;

pub(crate) fn read(row: &Row, now: Timestamp) -> Result<User> {
    Ok(User {
        id: row.get("id")?,
        openid: row.get("openid")?,
        unionid: row.get("unionid")?,
        phone: row.get("phone")?,
        nick_name: row.get("nick_name")?,
        avatar_url: row.get("avatar_url")?,
        membership: Membership::read(row, now)?,
        balance: row.get("balance")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// The user, unless it does not exist or was deleted.
pub(crate) async fn find(db: &mut impl Db, id: UserId, now: Timestamp) -> Result<Option<User>> {
    let sql = Sql::new(user_view!("WHERE u.id = $1 AND u.deleted_at IS NULL")).bind(id.get());
    db.optional(sql).await?.map(|row| read(&row, now)).transpose()
}

/// Those of these users who exist and were not deleted.
pub(crate) async fn find_all(
    db: &mut impl Db,
    ids: &[UserId],
    now: Timestamp,
) -> Result<HashMap<UserId, User>> {
    let sql = Sql::new(user_view!("WHERE u.id IN ({list}) AND u.deleted_at IS NULL"));
    let rows = db.all(sql.of(ids.iter().map(|id| id.get()))).await?;
    rows.iter().map(|row| read(row, now).map(|user| (user.id, user))).collect()
}

/// The openid of a user that was not deleted.
pub(crate) async fn openid_of(db: &mut impl Db, id: UserId) -> Result<Option<String>> {
    let sql = Sql::new("SELECT openid FROM users WHERE id = $1").bind(id.get());
    Ok(db.optional(sql).await?.map(|row| row.get("openid")).transpose()?.flatten())
}

/// What is known about somebody who logs in.
pub(crate) struct Arrival<'a> {
    pub(crate) openid: &'a str,
    pub(crate) unionid: Option<&'a str>,
    pub(crate) phone: Option<&'a str>,
    pub(crate) nick_name: Option<&'a str>,
    pub(crate) avatar_url: Option<&'a str>,
}

/// Makes the user unless the openid is known: the constraint decides between many first logins at once.
pub(super) async fn insert(tx: &mut Tx, arrival: &Arrival<'_>, now: Timestamp) -> Result<Option<UserId>> {
    let row = tx
        .optional(
            Sql::new(
                "INSERT INTO users (openid, unionid, phone, nick_name, avatar_url, created_at, updated_at, name_key) \
                 VALUES ($1, $2, $3, $4, $5, $6, $6, $7) ON CONFLICT (openid) DO NOTHING RETURNING id",
            )
            .bind(arrival.openid)
            .bind(arrival.unionid)
            .bind(arrival.phone)
            .bind(arrival.nick_name)
            .bind(arrival.avatar_url)
            .bind(now)
            .bind(arrival.nick_name.map(name_key)),
        )
        .await?;
    row.map(|row| row.get("id")).transpose()
}

/// Takes over what is newly known about a user that exists.
pub(super) async fn learn(tx: &mut Tx, arrival: &Arrival<'_>, now: Timestamp) -> Result<Option<UserId>> {
    let row = tx
        .optional(
            Sql::new(
                "UPDATE users SET unionid = coalesce($2, unionid), phone = coalesce($3, phone), \
                 nick_name = coalesce($4, nick_name), name_key = coalesce($7, name_key), \
                 avatar_url = coalesce($5, avatar_url), updated_at = CASE WHEN coalesce($2, unionid) IS DISTINCT FROM unionid \
                 OR coalesce($3, phone) IS DISTINCT FROM phone OR coalesce($4, nick_name) IS DISTINCT FROM nick_name \
                 OR coalesce($5, avatar_url) IS DISTINCT FROM avatar_url THEN $6 ELSE updated_at END \
                 WHERE openid = $1 RETURNING id",
            )
            .bind(arrival.openid)
            .bind(arrival.unionid)
            .bind(arrival.phone)
            .bind(arrival.nick_name)
            .bind(arrival.avatar_url)
            .bind(now)
            .bind(arrival.nick_name.map(name_key)),
        )
        .await?;
    row.map(|row| row.get("id")).transpose()
}

/// Somebody whom the original service knew.
pub(crate) struct Original<'a> {
    pub(crate) id: Option<i64>,
    pub(crate) openid: &'a str,
    pub(crate) unionid: Option<&'a str>,
    pub(crate) phone: Option<&'a str>,
    pub(crate) nick_name: Option<&'a str>,
    pub(crate) avatar_url: Option<&'a str>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// The user of this openid.
pub(crate) async fn of_openid(db: &mut impl Db, openid: &str) -> Result<Option<UserId>> {
    let sql = Sql::new("SELECT id FROM users WHERE openid = $1").bind(openid);
    db.optional(sql).await?.map(|row| row.get("id")).transpose()
}

/// Makes a user whom the original service knew; `None` if the openid is taken.
pub(super) async fn take_over(tx: &mut Tx, user: &Original<'_>) -> Result<Option<UserId>> {
    let insertion = |id: Option<i64>| {
        insert_under_id!(
            "users",
            "openid, unionid, phone, nick_name, name_key, avatar_url, created_at, updated_at",
            "$2, $3, $4, $5, $6, $7, $8, $9"
        )
        .bind(id)
        .bind(user.openid)
        .bind(user.unionid)
        .bind(user.phone)
        .bind(user.nick_name)
        .bind(user.nick_name.map(name_key))
        .bind(user.avatar_url)
        .bind(user.created_at)
        .bind(user.updated_at)
    };
    Ok(under_id(tx, user.id, insertion).await?.and_then(UserId::new))
}

/// Fills in what the original service knew of somebody and we do not.
pub(super) async fn fill_in(tx: &mut Tx, id: UserId, user: &Original<'_>) -> Result<()> {
    let sql = Sql::new(
        "UPDATE users SET unionid = coalesce(unionid, $2), phone = coalesce(phone, $3), \
         nick_name = coalesce(nick_name, $4), name_key = coalesce(name_key, $5), \
         avatar_url = coalesce(avatar_url, $6) WHERE id = $1 AND deleted_at IS NULL",
    )
    .bind(id.get())
    .bind(user.unionid)
    .bind(user.phone)
    .bind(user.nick_name)
    .bind(user.nick_name.map(name_key))
    .bind(user.avatar_url);
    tx.execute(sql).await.map(drop)
}

/// Those of these users that were not deleted.
pub(crate) async fn living(db: &mut impl Db, users: &[i64]) -> Result<HashSet<i64>> {
    if users.is_empty() {
        return Ok(HashSet::new());
    }
    let text = "SELECT id FROM users WHERE deleted_at IS NULL AND id IN ({list})";
    let rows = db.all(Sql::with_list(text, Vec::new(), users.iter().copied())).await?;
    rows.iter().map(|row| row.get("id")).collect()
}

/// Writes what is given of a name and a picture.
pub(super) async fn update_profile(
    tx: &mut Tx,
    user: UserId,
    nick_name: Option<&str>,
    avatar_url: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    let touched = tx
        .execute(
            Sql::new(
                "UPDATE users SET nick_name = coalesce($2, nick_name), name_key = coalesce($5, name_key), \
                 avatar_url = coalesce($3, avatar_url), updated_at = $4 WHERE id = $1 AND deleted_at IS NULL",
            )
            .bind(user.get())
            .bind(nick_name)
            .bind(avatar_url)
            .bind(now)
            .bind(nick_name.map(name_key)),
        )
        .await?;
    Ok(touched == 1)
}

/// Locks the user's row; whether there is such a user.
pub(crate) async fn lock(tx: &mut Tx, user: UserId) -> Result<bool> {
    let sql = for_update!("SELECT id FROM users WHERE id = $1 AND deleted_at IS NULL").bind(user.get());
    Ok(tx.optional(sql).await?.is_some())
}

/// Erases the person from the row. The row stays, since ledger and orders hang on it.
pub(super) async fn erase(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    tx.execute(
        Sql::new(
            "UPDATE users SET openid = NULL, unionid = NULL, phone = NULL, nick_name = NULL, name_key = NULL, \
             avatar_url = NULL, deleted_at = $2, updated_at = $2 WHERE id = $1",
        )
        .bind(user.get())
        .bind(now),
    )
    .await?;
    Ok(())
}

/// Notes what some of the users behind this one name; the last of them, unless there are no more.
pub(crate) async fn names(db: &mut impl Db, after: i64, names: &mut Names<'_>) -> Result<Option<i64>> {
    let sql = Sql::new(
        "SELECT id, avatar_url FROM users WHERE id > $1 AND avatar_url IS NOT NULL ORDER BY id LIMIT 1000",
    );
    let mut last = None;
    for row in db.all(sql.bind(after)).await? {
        let id: i64 = row.get("id")?;
        names.url(format!("user:{id}"), Some(&row.get::<String>("avatar_url")?));
        last = Some(id);
    }
    Ok(last)
}
