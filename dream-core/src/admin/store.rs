//! The tables `admin_keys` and `audit_log`, and the admins' view of users.

use super::{AuditEntry, AuditFilter, AuditRecord, UserFilter};
use crate::access::Admin;
use crate::error::Result;
use crate::kernel::{KeyName, PageRequest, RequestId, SortKey, Timestamp};
use crate::store::{Db, Row, Sql, StoreError, Tx};
use crate::users::{User, read_user, user_view};
use crate::vip::Level;

pub(super) async fn key_named(db: &mut impl Db, key_hash: &str) -> Result<Option<KeyName>> {
    let sql = Sql::new("SELECT name FROM admin_keys WHERE key_hash = $1 AND revoked_at IS NULL");
    db.optional(sql.bind(key_hash)).await?.map(|row| row.get("name")).transpose()
}

pub(super) async fn insert_entry(
    tx: &mut Tx,
    admin: &Admin,
    entry: &AuditEntry<'_>,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        Sql::new(
            "INSERT INTO audit_log (at, actor, action, target, before, after, reason, request_id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(now)
        .bind(admin.key_name.as_str())
        .bind(entry.action)
        .bind(entry.target.as_str())
        .bind(entry.before.as_ref().map(ToString::to_string))
        .bind(entry.after.as_ref().map(ToString::to_string))
        .bind(entry.reason)
        .bind(admin.request.as_ref().map(RequestId::as_str)),
    )
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

pub(super) async fn audit_log(
    db: &mut impl Db,
    filter: &AuditFilter,
    start: SortKey,
    page: &PageRequest,
) -> Result<Vec<AuditRecord>> {
    let sql = Sql::new(
        "SELECT id, at, actor, action, target, before, after, reason, request_id FROM audit_log \
         WHERE (at, id) < ($1, $2) AND (CAST($3 AS TEXT) IS NULL OR actor = $3) \
         AND (CAST($4 AS TEXT) IS NULL OR action = $4) AND (CAST($5 AS TEXT) IS NULL OR target = $5) \
         ORDER BY at DESC, id DESC LIMIT $6",
    )
    .bind(start.by)
    .bind(start.id)
    .bind(filter.actor.as_deref())
    .bind(filter.action.as_deref())
    .bind(filter.target.as_deref())
    .bind(page.limit.get() + 1);
    db.all(sql).await?.iter().map(read_record).collect()
}

/// The text as a pattern in which only the outer `%` are wildcards.
fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

pub(super) async fn users(
    db: &mut impl Db,
    filter: &UserFilter,
    start: SortKey,
    page: &PageRequest,
    now: Timestamp,
) -> Result<Vec<User>> {
    let search = filter.search.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let sql = Sql::new(user_view!(
        "WHERE u.deleted_at IS NULL AND (u.created_at, u.id) < ($1, $2) \
         AND (CAST($3 AS TEXT) IS NULL OR lower(u.nick_name) LIKE $3 ESCAPE '\\' OR u.openid = $4 OR u.phone = $4 \
              OR CAST(u.id AS TEXT) = $4) \
         AND (CAST($5 AS TEXT) IS NULL OR (CASE WHEN m.expires_at > $6 THEN m.level ELSE 'NORMAL' END) = $5) \
         ORDER BY u.created_at DESC, u.id DESC LIMIT $7 OFFSET $8"
    ))
    .bind(start.by)
    .bind(start.id)
    .bind(search.map(containing))
    .bind(search)
    .bind(filter.level.map(Level::as_str))
    .bind(now)
    .bind(page.limit.get() + 1)
    .bind(page.offset());
    db.all(sql).await?.iter().map(|row| read_user(row, now)).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn wildcards_of_the_text_stand_for_themselves() {
        assert_eq!(super::containing("50%_A\\"), "%50\\%\\_a\\\\%");
    }
}
