//! What a database says of itself.

use super::{Db as _, SchemaStatus, Sql, Store};
use crate::error::Result;
use crate::kernel::Timestamp;

/// What a database says of itself when it is asked.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::{DatabaseOptions, Dream};
///
/// # let folder = tempfile::tempdir()?;
/// # let database = DatabaseOptions::new(format!("sqlite://{}/dream.db", folder.path().display()));
/// let facts = Dream::examine(&database).await?;
/// assert!(!facts.is_replica, "units of work would fail on one");
/// assert_eq!(facts.most_connections, None, "SQLite takes any number");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// `SQLite` or `PostgreSQL`.
    pub product: &'static str,
    /// The version of the server, or of the library.
    pub version: String,
    /// How its schema compares with what this program knows.
    pub schema: SchemaStatus,
    /// The time on its clock; `None` where that is this machine's.
    pub now: Option<Timestamp>,
    /// Whether it only follows another one.
    pub is_replica: bool,
    /// How many connections it takes from all its clients; `None` for any number.
    pub most_connections: Option<i64>,
}

impl Store {
    pub(crate) async fn facts(&self) -> Result<DatabaseFacts> {
        let sql = Sql::differing(
            "SELECT 'SQLite' AS product, sqlite_version() AS version, CAST(NULL AS BIGINT) AS now, \
             CAST(0 AS BIGINT) AS follows, CAST(NULL AS BIGINT) AS connections",
            "SELECT 'PostgreSQL' AS product, current_setting('server_version') AS version, \
             CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) AS now, \
             CAST(CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END AS BIGINT) AS follows, \
             CAST(current_setting('max_connections') AS BIGINT) AS connections",
        );
        let row = self.db().one(sql).await?;
        Ok(DatabaseFacts {
            product: row
                .word("product", |word| ["SQLite", "PostgreSQL"].into_iter().find(|known| *known == word))?,
            version: row.get("version")?,
            schema: self.schema().await?,
            now: row.get("now")?,
            is_replica: row.get::<i64>("follows")? != 0,
            most_connections: row.get("connections")?,
        })
    }
}
