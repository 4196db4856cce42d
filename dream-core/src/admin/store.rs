//! The tables `admin_keys` and `audit_log`, and the admins' view of users.

use super::keys::KeyRecord;
use super::{AuditEntry, AuditFilter, AuditRecord, UserFilter};
use crate::access::Admin;
use crate::error::Result;
use crate::kernel::{KeyName, PageRequest, RequestId, SortKey, Timestamp, UserId};
use crate::stats;
use crate::store::{Arg, Db, Row, Sql, StoreError, Tx};
use crate::users::{User, name_key, read_user, user_view};
use crate::vip::{self, Level};

pub(super) async fn key_named(db: &mut impl Db, key_hash: &str, now: Timestamp) -> Result<Option<KeyName>> {
    let sql =
        Sql::new("SELECT name FROM admin_keys WHERE key_hash = $1 AND (ends_at IS NULL OR ends_at > $2)");
    db.optional(sql.bind(key_hash).bind(now)).await?.map(|row| row.get("name")).transpose()
}

pub(super) async fn has_open_key(tx: &mut Tx, name: &KeyName, now: Timestamp) -> Result<bool> {
    let sql =
        Sql::new("SELECT id FROM admin_keys WHERE name = $1 AND (ends_at IS NULL OR ends_at > $2) LIMIT 1");
    Ok(tx.optional(sql.bind(name.as_str()).bind(now)).await?.is_some())
}

/// Makes the key unless another one of its name came first: the constraint decides between many at once.
pub(super) async fn insert_key(tx: &mut Tx, name: &KeyName, key_hash: &str, now: Timestamp) -> Result<bool> {
    let sql = Sql::new(
        "INSERT INTO admin_keys (name, key_hash, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    );
    Ok(tx.execute(sql.bind(name.as_str()).bind(key_hash).bind(now)).await? == 1)
}

/// Lets the keys of this name end at this time, unless they end before; how many that touches.
pub(super) async fn end_keys(tx: &mut Tx, name: &KeyName, end: Timestamp, now: Timestamp) -> Result<u64> {
    let sql = Sql::new(
        "UPDATE admin_keys SET ends_at = CASE WHEN ends_at < $2 THEN ends_at ELSE $2 END \
         WHERE name = $1 AND (ends_at IS NULL OR ends_at > $3)",
    );
    tx.execute(sql.bind(name.as_str()).bind(end).bind(now)).await
}

pub(super) async fn keys(db: &mut impl Db) -> Result<Vec<KeyRecord>> {
    let sql = Sql::new(
        "SELECT name, substr(key_hash, 1, 12) AS fingerprint, created_at, ends_at FROM admin_keys \
         ORDER BY id DESC",
    );
    let read = |row: &Row| {
        Ok(KeyRecord {
            name: row.get("name")?,
            fingerprint: row.get("fingerprint")?,
            created_at: row.get("created_at")?,
            ends_at: row.get("ends_at")?,
        })
    };
    db.all(sql).await?.iter().map(read).collect()
}

/// Empties the entries that tell what a user was called or looked like. That they happened stays.
pub(super) async fn forget_person(tx: &mut Tx, user: UserId) -> Result<()> {
    let sql = Sql::new(
        "UPDATE audit_log SET before = NULL, after = NULL WHERE target = $1 AND action = 'user.update'",
    );
    tx.execute(sql.bind(format!("user:{user}"))).await?;
    Ok(())
}

pub(super) async fn insert_entries(
    tx: &mut Tx,
    entries: &[(&Admin, AuditEntry<'_>, Timestamp)],
) -> Result<()> {
    let rows = entries.iter().map(|(admin, entry, now)| {
        [
            Arg::from(*now),
            admin.key_name.as_str().into(),
            entry.action.into(),
            entry.target.as_str().into(),
            entry.before.as_ref().map(ToString::to_string).into(),
            entry.after.as_ref().map(ToString::to_string).into(),
            entry.reason.into(),
            admin.request.as_ref().map(RequestId::as_str).into(),
        ]
    });
    tx.execute(Sql::with_rows(
        "INSERT INTO audit_log (at, actor, action, target, before, after, reason, request_id) VALUES {rows}",
        rows,
    ))
    .await?;
    Ok(())
}

fn read_record(row: &Row) -> Result<AuditRecord> {
    let json = |name: &'static str| -> Result<Option<serde_json::Value>> {
        let Some(text) = row.get::<Option<String>>(name)? else { return Ok(None) };
        let value = serde_json::from_str(&text)
            .map_err(|error| StoreError::Inconsistent(format!("audit_log.{name}: {error}")))?;
        Ok(Some(value))
    };
    Ok(AuditRecord {
        id: row.get("id")?,
        at: row.get("at")?,
        actor: row.get("actor")?,
        action: row.get("action")?,
        target: row.get("target")?,
        before: json("before")?,
        after: json("after")?,
        reason: row.get("reason")?,
        request_id: row.get("request_id")?,
    })
}

macro_rules! entries {
    ($where:literal) => {
        concat!(
            "SELECT id, at, actor, action, target, before, after, reason, request_id FROM audit_log \
             WHERE (at, id) < ($1, $2) AND ",
            $where,
            " ORDER BY at DESC, id DESC LIMIT $3"
        )
    };
}

/// One filter leads, so that its index finds the page; the others then look at few rows.
pub(super) async fn audit_log(
    db: &mut impl Db,
    filter: &AuditFilter,
    start: SortKey,
    page: &PageRequest,
) -> Result<Vec<AuditRecord>> {
    let (actor, action, target) =
        (filter.actor.as_deref(), filter.action.as_deref(), filter.target.as_deref());
    let lead = |text, value| {
        let sql = Sql::new(text).bind(start.by).bind(start.id).bind(page.limit.get() + 1);
        if let Some(value) = value { sql.bind(value) } else { sql }
    };
    let sql = match (target, actor, action) {
        (Some(_), actor, action) => lead(
            entries!(
                "target = $4 AND (CAST($5 AS TEXT) IS NULL OR actor = $5) \
                 AND (CAST($6 AS TEXT) IS NULL OR action = $6)"
            ),
            target,
        )
        .bind(actor)
        .bind(action),
        (None, Some(_), action) => {
            lead(entries!("actor = $4 AND (CAST($5 AS TEXT) IS NULL OR action = $5)"), actor).bind(action)
        }
        (None, None, Some(_)) => lead(entries!("action = $4"), action),
        (None, None, None) => lead(entries!("1 = 1"), None),
    };
    db.all(sql).await?.iter().map(read_record).collect()
}

/// The text as a pattern in which only the outer `%` are wildcards.
fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in name_key(text).chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// Which users are wanted, as the statements ask for them.
pub(super) struct WantedUsers<'a> {
    search: Option<&'a str>,
    level: Option<Level>,
    now: Timestamp,
}

impl<'a> WantedUsers<'a> {
    pub(super) fn new(filter: &'a UserFilter, now: Timestamp) -> Self {
        let search = filter.search.as_deref().map(str::trim).filter(|text| !text.is_empty());
        Self { search, level: filter.level, now }
    }

    pub(super) fn search(&self) -> Option<&'a str> {
        self.search
    }

    pub(super) fn level(&self) -> Option<Level> {
        self.level
    }
}

macro_rules! is_wanted {
    () => {
        "u.deleted_at IS NULL \
         AND (CAST($1 AS TEXT) IS NULL OR u.name_key LIKE $1 ESCAPE '\\' OR u.openid = $2 OR u.phone = $2 \
              OR u.id = $3) \
         AND (CAST($4 AS TEXT) IS NULL OR (CASE WHEN m.expires_at > $5 THEN m.level WHEN m.vip_until > $5 THEN 'VIP' ELSE 'NORMAL' END) = $4) "
    };
}

fn wanted_bound<'a>(sql: Sql<'a>, wanted: &WantedUsers<'a>) -> Sql<'a> {
    sql.bind(wanted.search.map(containing))
        .bind(wanted.search)
        .bind(wanted.search.and_then(|text| text.parse::<i64>().ok()))
        .bind(wanted.level.map(Level::as_str))
        .bind(wanted.now)
}

pub(super) async fn users(
    db: &mut impl Db,
    wanted: &WantedUsers<'_>,
    start: SortKey,
    page: &PageRequest,
) -> Result<Vec<User>> {
    const TEXT: &str = concat!(
        user_view!("WHERE "),
        is_wanted!(),
        "AND (u.created_at, u.id) < ($6, $7) ORDER BY u.created_at DESC, u.id DESC LIMIT $8 OFFSET $9"
    );
    let sql = wanted_bound(Sql::new(TEXT), wanted)
        .bind(start.by)
        .bind(start.id)
        .bind(page.limit.get() + 1)
        .bind(page.offset());
    db.all(sql).await?.iter().map(|row| read_user(row, wanted.now)).collect()
}

/// How many users are wanted: from kept figures, from the index of those with a level, or, for a search, by counting
/// up to the last row that a page number leads to.
pub(super) async fn count_users(db: &mut impl Db, wanted: &WantedUsers<'_>) -> Result<i64> {
    match (wanted.search, wanted.level) {
        (None, None) => stats::living_users(db).await,
        (None, Some(Level::Normal)) => {
            let all = stats::living_users(db).await?;
            let vip = vip::count_at(db, Level::Vip, wanted.now).await?;
            Ok(all - vip - vip::count_at(db, Level::Svip, wanted.now).await?)
        }
        (None, Some(level)) => vip::count_at(db, level, wanted.now).await,
        (Some(_), _) => {
            const TEXT: &str = concat!(
                "SELECT count(*) AS found FROM (SELECT u.id FROM users u JOIN memberships m ON m.user_id = u.id \
                 WHERE ",
                is_wanted!(),
                "LIMIT $6) found"
            );
            let sql = wanted_bound(Sql::new(TEXT), wanted).bind(PageRequest::MAX_NUMBERED_ROW);
            db.one(sql).await?.get("found")
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn wildcards_of_the_text_stand_for_themselves() {
        assert_eq!(super::containing("50%_A\\"), "%50\\%\\_a\\\\%");
    }
}
