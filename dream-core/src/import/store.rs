//! The table `taken_over`.

use std::collections::HashMap;

use crate::error::Result;
use crate::store::{Arg, Db, Sql, Tx};

/// What became of these rows of a table of the original service, as far as they were taken over.
pub(super) async fn here(db: &mut impl Db, origin: &str, ids: &[&str]) -> Result<HashMap<String, i64>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let text = "SELECT original_id, here FROM taken_over WHERE origin = $1 AND original_id IN ({list})";
    let sql = Sql::with_list(text, vec![origin.into()], ids.iter().map(|id| Arg::from(*id)));
    let rows = db.all(sql).await?;
    rows.iter().map(|row| Ok((row.get("original_id")?, row.get("here")?))).collect()
}

/// Notes what became of a row.
pub(super) async fn note(tx: &mut Tx, origin: &str, id: &str, here: i64) -> Result<()> {
    let sql = Sql::new(
        "INSERT INTO taken_over (origin, original_id, here) VALUES ($1, $2, $3) \
         ON CONFLICT (origin, original_id) DO UPDATE SET here = excluded.here",
    );
    tx.execute(sql.bind(origin).bind(id).bind(here)).await.map(drop)
}

/// Sees to it that fresh ids of the table come behind this one, so that nobody takes one that is still to be kept.
/// SQLite finds by itself what is free.
pub(super) async fn make_room(tx: &mut Tx, table: &str, greatest: i64) -> Result<()> {
    let sql = Sql::differing(
        "SELECT $1, $2",
        "SELECT CASE WHEN $2 > nextval(pg_get_serial_sequence($1, 'id')) \
         THEN setval(pg_get_serial_sequence($1, 'id'), $2) END",
    );
    tx.all(sql.bind(table).bind(greatest)).await.map(drop)
}
