//! Opening a database by its URL.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::batch::Batches;
use super::{Gate, Pools, Store, StoreError};
use crate::error::{Error, Result};

/// What a commit on SQLite survives. PostgreSQL has its own setting.
///
/// ```
/// use dream_core::{DatabaseOptions, Durability};
///
/// // An import that can be run again: one sync at the end of it all is enough.
/// let import =
///     DatabaseOptions { durability: Durability::Process, ..DatabaseOptions::new("sqlite://dream.db") };
/// assert_eq!(DatabaseOptions::new("sqlite://dream.db").durability, Durability::Full);
/// # assert_eq!(import.durability, Durability::Process);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Also a loss of power: every commit is synced to the disk.
    #[default]
    Full,
    /// The death of the process, but a loss of power may take the last commits. For tests and imports.
    Process,
}

/// Which database, and how it is used.
///
/// ```
/// use dream_core::DatabaseOptions;
///
/// let database = DatabaseOptions {
///     read_url: Some("postgres://reader:secret@replica/dream".into()),
///     max_connections: 32,
///     ..DatabaseOptions::new("postgres://dream:secret@primary/dream")
/// };
/// // A URL has a password in it, so it is never shown.
/// assert!(!format!("{database:?}").contains("secret"));
/// ```
#[derive(Debug, Clone)]
pub struct DatabaseOptions {
    /// `sqlite://path` or `postgres://…`.
    pub url: SecretString,
    /// A PostgreSQL replica for public reads, which may be a moment behind.
    pub read_url: Option<SecretString>,
    /// Connections at most.
    pub max_connections: u32,
    /// What a commit survives on SQLite.
    pub durability: Durability,
}

impl DatabaseOptions {
    /// The database at this URL with up to 16 connections.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: SecretString::from(url.into()),
            read_url: None,
            max_connections: 16,
            durability: Durability::Full,
        }
    }
}

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

impl Store {
    /// Opens the database; a missing SQLite file is made, its folder too.
    pub(crate) async fn open(options: &DatabaseOptions) -> Result<Self> {
        let url = options.url.expose_secret();
        if url.starts_with("sqlite:") {
            open_sqlite(url, options).await
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let pool = open_postgres(url, options).await?;
            let replica = match &options.read_url {
                Some(url) => open_postgres(url.expose_secret(), options).await?,
                None => pool.clone(),
            };
            Ok(Store {
                pools: Pools::Postgres { pool, replica },
                gate: Gate::default(),
                batches: Batches::default(),
                rehearsal: false,
            })
        } else {
            Err(Error::internal("the database URL must start with sqlite: or postgres:"))
        }
    }
}

async fn open_sqlite(url: &str, options: &DatabaseOptions) -> Result<Store> {
    let base = SqliteConnectOptions::from_str(url)
        .map_err(StoreError::from)?
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match options.durability {
            Durability::Full => SqliteSynchronous::Full,
            Durability::Process => SqliteSynchronous::Off,
        })
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .pragma("temp_store", "memory")
        .pragma("mmap_size", "268435456");
    if let Some(folder) = base.get_filename().parent().filter(|folder| *folder != Path::new("")) {
        tokio::fs::create_dir_all(folder)
            .await
            .map_err(|error| Error::internal(error).while_("making the database's folder"))?;
    }
    let pool = |connections: u32| {
        SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
    };
    // The writer makes the file and its write-ahead log before a reader looks for them.
    let write = pool(1).connect_with(base.clone().create_if_missing(true)).await.map_err(StoreError::from)?;
    let readers = options.max_connections.clamp(1, 4);
    let read = pool(readers)
        .connect_with(base.read_only(true).create_if_missing(false))
        .await
        .map_err(StoreError::from)?;
    let pools = Pools::Sqlite { read, write };
    Ok(Store { pools, gate: Gate::default(), batches: Batches::default(), rehearsal: false })
}

async fn open_postgres(url: &str, options: &DatabaseOptions) -> Result<sqlx::PgPool> {
    let connect = PgConnectOptions::from_str(url)
        .map_err(StoreError::from)?
        .application_name("dream")
        .options([("statement_timeout", "15s"), ("lock_timeout", "10s")]);
    Ok(PgPoolOptions::new()
        .min_connections(1)
        .max_connections(options.max_connections.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(Duration::from_mins(10))
        .max_lifetime(Duration::from_mins(30))
        .test_before_acquire(false)
        .connect_with(connect)
        .await
        .map_err(StoreError::from)?)
}
