//! Opening a database by its URL.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use futures_util::{FutureExt as _, TryFutureExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::batch::Batches;
use super::failures::Failures;
use super::open_error;
use super::probe::Probe;
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
    /// The longest that a statement waits for a connection and for locks that others hold, another process with the
    /// same SQLite file included. After it the caller gets `UNAVAILABLE`.
    pub max_wait: Duration,
}

impl DatabaseOptions {
    /// The database at this URL with up to 16 connections, each awaited for 8 seconds at most.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: SecretString::from(url.into()),
            read_url: None,
            max_connections: 16,
            durability: Durability::Full,
            max_wait: Duration::from_secs(8),
        }
    }
}

impl Store {
    /// Opens the database; a missing SQLite file is made, its folder too.
    pub(crate) async fn open(options: &DatabaseOptions) -> Result<Self> {
        let url = options.url.expose_secret();
        if url.starts_with("sqlite:") {
            open_sqlite(url, options).await
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let failures = Failures::default();
            let pool = open_postgres(url, options, &failures).await?;
            let replica = match &options.read_url {
                Some(url) => open_postgres(url.expose_secret(), options, &failures).await?,
                None => pool.clone(),
            };
            Ok(Store::of(Pools::Postgres { pool, replica }, failures, options))
        } else {
            Err(Error::internal("the database URL must start with sqlite: or postgres:"))
        }
    }

    fn of(pools: Pools, failures: Failures, options: &DatabaseOptions) -> Self {
        Self {
            pools,
            gate: Gate::default(),
            batches: Batches::default(),
            failures,
            max_wait: options.max_wait,
            probe: Probe::default(),
            rehearsal: false,
        }
    }
}

/// What a pool asks before it hands out an idle connection. A connection that is still in a transaction here is one
/// whose `ROLLBACK` failed, since the pool waits for its end before it takes a connection back.
macro_rules! only_usable {
    ($pool:expr, $failures:expr) => {{
        let failures = $failures.clone();
        $pool.before_acquire(move |connection, meta| {
            let usable = !connection.is_in_transaction() && failures.is_usable(meta.age);
            async move { Ok(usable) }.boxed()
        })
    }};
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
        .busy_timeout(options.max_wait / 2)
        .pragma("temp_store", "memory")
        // What is deleted is overwritten: otherwise erased personal data stays readable in free pages of the file.
        .pragma("secure_delete", "ON")
        .pragma("mmap_size", "268435456");
    if let Some(folder) = base.get_filename().parent().filter(|folder| *folder != Path::new("")) {
        tokio::fs::create_dir_all(folder).await.map_err(|error| open_error::path(folder, &error))?;
    }
    let failures = Failures::default();
    create_private(url, base.get_filename()).await?;
    let pool = |connections: u32| {
        let pool = SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(connections)
            .acquire_timeout(options.max_wait / 2)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false);
        only_usable!(pool, failures)
    };
    // The writer makes the file and its write-ahead log before a reader looks for them.
    let file = base.get_filename().to_owned();
    let refused = |error| open_error::sqlite(&file, error);
    let write = pool(1).connect_with(base.clone().create_if_missing(true)).await.map_err(refused)?;
    let readers = options.max_connections.clamp(1, 4);
    let read =
        pool(readers).connect_with(base.read_only(true).create_if_missing(false)).await.map_err(refused)?;
    Ok(Store::of(Pools::Sqlite { read, write }, failures, options))
}

/// Makes the file of a new database readable by its owner alone. SQLite gives the files beside it the same mode.
async fn create_private(url: &str, file: &Path) -> Result<()> {
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Ok(());
    }
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    match options.open(file).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(open_error::path(file, &error)),
    }
}

async fn open_postgres(url: &str, options: &DatabaseOptions, failures: &Failures) -> Result<sqlx::PgPool> {
    let lock_timeout = (options.max_wait / 2).as_millis().max(1);
    let limits = format!("SET statement_timeout = '15s'; SET lock_timeout = '{lock_timeout}ms'");
    let connect = PgConnectOptions::from_str(url)
        .map_err(StoreError::from)?
        .application_name("dream")
        // PgBouncer refuses this parameter and `options` at the start of a connection.
        .extra_float_digits(None);
    let pool = PgPoolOptions::new()
        .min_connections(1)
        .max_connections(options.max_connections.max(1))
        .acquire_timeout(options.max_wait / 2)
        .idle_timeout(Duration::from_mins(10))
        .max_lifetime(Duration::from_mins(30))
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(limits.clone()))).map_ok(drop).boxed()
        });
    match only_usable!(pool, failures).connect_with(connect.clone()).await {
        Ok(pool) => Ok(pool),
        // The pool tries again while the server does not answer, and then has no reason to give. One connection has.
        Err(sqlx::Error::PoolTimedOut) => {
            let reason = connect.connect().await.err().unwrap_or(sqlx::Error::PoolTimedOut);
            Err(open_error::postgres(&connect, reason))
        }
        Err(error) => Err(open_error::postgres(&connect, error)),
    }
}
