//! Forward-only migrations, the same numbers and names for both databases.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use super::{Db as _, Pools, Sql, Store, StoreError};
use crate::error::{Error, Result};

macro_rules! migrations {
    ($($version:literal $name:literal),* $(,)?) => {
        /// Number, name, and text for SQLite and PostgreSQL. A released file is never edited.
        const ALL: &[(i64, &str, &str, &str)] = &[$((
            $version,
            $name,
            include_str!(concat!("../../migrations/sqlite/", $name, ".sql")),
            include_str!(concat!("../../migrations/postgres/", $name, ".sql")),
        ),)*];
    };
}
migrations!(
    1 "0001_init",
    2 "0002_membership_spans",
    3 "0003_deleted_usage",
    4 "0004_refresh_clients",
    5 "0005_operations",
    6 "0006_user_limits",
    7 "0007_waiting_jobs",
    8 "0008_partial_refunds",
    9 "0009_gallery_rejections",
);

/// How the schema of a database compares with what this program knows.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::{DatabaseOptions, Dream};
///
/// # let folder = tempfile::tempdir()?;
/// # let database = DatabaseOptions::new(format!("sqlite://{}/dream.db", folder.path().display()));
/// let status = Dream::schema(&database).await?;
/// if !status.is_current() {
///     println!("the database is at {}, this program wants {}", status.applied, status.known);
/// }
/// # assert!(!status.is_current());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaStatus {
    /// The newest migration that the database has; 0 for an empty one.
    pub applied: i64,
    /// The newest migration that this program knows.
    pub known: i64,
}

impl SchemaStatus {
    /// Whether the program can work with this schema as it is.
    pub const fn is_current(self) -> bool {
        self.applied == self.known
    }
}

fn migrator(postgres: bool) -> Migrator {
    let migrations = ALL.iter().map(|&(version, name, sqlite, pg)| {
        let text = if postgres { pg } else { sqlite };
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

impl Store {
    /// Brings the schema up to date. On PostgreSQL a lock lets only one node do it at a time.
    ///
    /// # Errors
    /// A schema that is newer than this program is refused and left alone.
    pub(crate) async fn migrate(&self) -> Result<SchemaStatus> {
        let status = self.schema().await?;
        if status.applied > status.known {
            return Err(too_new(status));
        }
        let done = match &self.pools {
            Pools::Sqlite { write, .. } => migrator(false).run(write).await,
            Pools::Postgres { pool, .. } => migrator(true).run(pool).await,
        };
        done.map_err(|error| match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => too_new(status),
            error => Error::internal(error).while_("migrating the database"),
        })?;
        self.schema().await
    }

    /// Which migrations the database has.
    pub(crate) async fn schema(&self) -> Result<SchemaStatus> {
        let table = Sql::differing(
            "SELECT CAST(count(*) AS BIGINT) AS n FROM sqlite_master WHERE name = '_sqlx_migrations'",
            "SELECT CAST(count(*) AS BIGINT) AS n FROM pg_tables WHERE tablename = '_sqlx_migrations' \
             AND schemaname = current_schema()",
        );
        let known = ALL.iter().map(|m| m.0).max().unwrap_or(0);
        if self.db().one(table).await?.get::<i64>("n")? == 0 {
            return Ok(SchemaStatus { applied: 0, known });
        }
        let newest =
            Sql::new("SELECT CAST(coalesce(max(version), 0) AS BIGINT) AS newest FROM _sqlx_migrations");
        Ok(SchemaStatus { applied: self.db().one(newest).await?.get("newest")?, known })
    }

    /// Refuses a schema that this program cannot work with.
    pub(crate) async fn require_current(&self) -> Result<()> {
        let status = self.schema().await?;
        if status.applied > status.known {
            return Err(too_new(status));
        }
        if status.is_current() {
            return Ok(());
        }
        Err(Error::internal(StoreError::Inconsistent(format!(
            "the database is at migration {}, this program needs {}: run `dream migrate`",
            status.applied, status.known
        ))))
    }
}

fn too_new(status: SchemaStatus) -> Error {
    Error::internal(StoreError::Inconsistent(format!(
        "the database is at migration {}, but this program knows only {}: run a newer version of it",
        status.applied, status.known
    )))
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn every_migration_file_is_listed_for_both_databases() {
        for folder in ["sqlite", "postgres"] {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/").to_owned() + folder;
            let mut files: Vec<String> = std::fs::read_dir(path)
                .expect("the folder is there")
                .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
                .collect();
            files.sort();
            let listed: Vec<String> = ALL.iter().map(|m| format!("{}.sql", m.1)).collect();
            assert_eq!(files, listed, "{folder}");
        }
    }

    #[test]
    fn both_databases_have_the_same_tables_and_columns() {
        let columns = |text: &str| -> Vec<String> {
            let mut table = String::new();
            let mut found = Vec::new();
            for line in text.lines().map(str::trim) {
                if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
                    rest.trim_end_matches(" (").clone_into(&mut table);
                } else if line.starts_with(')') {
                    table.clear();
                } else if let Some(word) = line.split_whitespace().next()
                    && !table.is_empty()
                    && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                {
                    found.push(format!("{table}.{word}"));
                }
            }
            found
        };
        let mut found = 0;
        for (_, name, sqlite, postgres) in ALL {
            found += columns(sqlite).len();
            assert_eq!(columns(sqlite), columns(postgres), "{name}");
        }
        assert!(found > 20);
    }
}
