//! Databases and Redis for tests: SQLite always, PostgreSQL with Redis where they are installed.
//!
//! ```no_run
//! use dream_testkit::on_every_backend;
//!
//! // Makes the tests `a_row_is_kept::sqlite` and `a_row_is_kept::postgres`.
//! on_every_backend!(a_row_is_kept, |backend| async move {
//!     let url = backend.database_url();
//!     // ...
//! });
//! ```
//!
//! A test has its database and its Redis for itself. PostgreSQL runs once for a whole `cargo test` or `cargo nextest
//! run`, as a private server on a Unix socket in the system's temporary folder; a watchdog ends it with the run.
//!
//! `DREAM_TEST_BACKENDS` says what is wanted: `sqlite` leaves the rest out, `all` makes it a failure when something
//! is missing. Unset, whatever is installed is used, and what is left out is said.

mod own_postgres;
mod postgres;
mod programs;
mod redis;
mod run;

use std::fmt;
use std::future::Future;
use std::io::Write as _;
use std::sync::{Arc, Once};
use std::time::Duration;

use dream_core::{DatabaseOptions, Dream, Durability};
use tempfile::TempDir;

pub use own_postgres::OwnPostgres;
pub use postgres::TestPostgres;
pub use redis::TestRedis;
pub use run::ScratchFolder;

/// How long one test may take before it counts as hung.
const LONGEST_TEST: Duration = Duration::from_mins(10);

/// Why a backend could not be had.
///
/// ```
/// use dream_testkit::backends::BackendKind;
///
/// // What is missing, in words: `DREAM_TEST_BACKENDS=all` makes it a failure.
/// if let Err(missing) = BackendKind::Postgres.available() {
///     println!("{missing}");
/// }
/// ```
#[derive(Debug)]
pub struct BackendError {
    doing: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl BackendError {
    fn new(
        doing: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
    ) -> Self {
        Self { doing: doing.into(), source: source.into() }
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.source)
    }
}

impl std::error::Error for BackendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}

/// What a test runs on.
///
/// ```
/// use dream_testkit::backends::BackendKind;
///
/// assert_eq!(BackendKind::ALL.map(BackendKind::name), ["sqlite", "postgres"]);
/// assert!(BackendKind::Sqlite.available().unwrap(), "it needs no server");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackendKind {
    /// SQLite in a file, and no Redis.
    Sqlite,
    /// PostgreSQL and Redis.
    Postgres,
}

impl BackendKind {
    /// All of them.
    pub const ALL: [BackendKind; 2] = [BackendKind::Sqlite, BackendKind::Postgres];

    /// `sqlite` or `postgres`.
    ///
    /// ```
    /// use dream_testkit::backends::BackendKind;
    ///
    /// // For the name of a measurement.
    /// assert_eq!(format!("spend/{}", BackendKind::Postgres.name()), "spend/postgres");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// Whether tests of this kind are to run.
    ///
    /// ```
    /// use dream_testkit::backends::{BackendKind, backends};
    ///
    /// let wanted = BackendKind::ALL.into_iter().filter(|kind| kind.available().unwrap_or(false));
    /// assert_eq!(wanted.collect::<Vec<_>>(), backends().unwrap());
    /// ```
    ///
    /// # Errors
    /// If it is demanded and something for it is missing; the text says what.
    pub fn available(self) -> Result<bool, BackendError> {
        let missing = match self {
            Self::Sqlite => return Ok(true),
            Self::Postgres => programs::missing(),
        };
        match (programs::wanted(), missing) {
            (programs::Wanted::SqliteOnly, _) => Ok(left_out("by DREAM_TEST_BACKENDS")),
            (_, None) => Ok(true),
            (programs::Wanted::WhatIsInstalled, Some(missing)) => Ok(left_out(&missing)),
            (programs::Wanted::All, Some(missing)) => {
                Err(BackendError::new("DREAM_TEST_BACKENDS=all, but a backend is missing", missing))
            }
        }
    }
}

/// Says once in a process what is not tested, past the capture of a passing test's output. Gives `false`.
fn left_out(why: &str) -> bool {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let text = format!("LEFT OUT: every test on PostgreSQL + Redis ({why})\n");
        // Nobody to tell if standard error is closed.
        drop(std::io::stderr().write_all(text.as_bytes()));
    });
    false
}

/// The kinds that tests are to run on.
///
/// ```
/// use dream_testkit::backends::{BackendKind, backends};
///
/// assert_eq!(backends().unwrap()[0], BackendKind::Sqlite);
/// ```
///
/// # Errors
/// If a demanded one is missing.
pub fn backends() -> Result<Vec<BackendKind>, BackendError> {
    let mut kinds = Vec::new();
    for kind in BackendKind::ALL {
        if kind.available()? {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

/// One test's database, and its Redis if it has one. Clones share them.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::Dream;
/// use dream_testkit::backends::{Backend, BackendKind, migrate};
///
/// let backend = Backend::start(BackendKind::Sqlite, migrate).await?;
/// assert!(Dream::schema(&backend.database_options()).await?.is_current());
/// assert_eq!(backend.redis_url(), None, "SQLite stands for a single node");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Backend(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: BackendKind,
    database_url: String,
    redis: Option<TestRedis>,
    postgres: Option<TestPostgres>,
    folder: TempDir,
}

fn scratch() -> Result<TempDir, BackendError> {
    tempfile::Builder::new()
        .prefix("dream-test-files-")
        .tempdir()
        .map_err(|e| BackendError::new("making a temporary folder", e))
}

impl Backend {
    /// Makes an empty database that `migrate` has been run on, and a Redis where the kind has one.
    ///
    /// On PostgreSQL the migration is run once and then copied, so all tests of a run must migrate alike.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dream_testkit::backends::{Backend, BackendKind, migrate};
    ///
    /// let one = Backend::start(BackendKind::Sqlite, migrate).await?;
    /// let other = Backend::start(BackendKind::Sqlite, migrate).await?;
    /// assert_ne!(one.database_url(), other.database_url(), "each test has its own");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If a server cannot be started, or `migrate` fails.
    pub async fn start<E>(
        kind: BackendKind,
        migrate: impl AsyncFnOnce(String) -> Result<(), E>,
    ) -> Result<Self, BackendError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let folder = scratch()?;
        let inner = match kind {
            BackendKind::Sqlite => {
                let database_url = format!("sqlite://{}", folder.path().join("dream.db").display());
                migrate(database_url.clone()).await.map_err(|e| BackendError::new("migrating SQLite", e))?;
                Inner { kind, database_url, redis: None, postgres: None, folder }
            }
            BackendKind::Postgres => {
                let postgres = TestPostgres::start().await?;
                let database_url = postgres.migrated_database(migrate).await?;
                let redis = Some(TestRedis::start().await?);
                Inner { kind, database_url, redis, postgres: Some(postgres), folder }
            }
        };
        Ok(Self(Arc::new(inner)))
    }

    /// A migrated database on this server of PostgreSQL, beside a Redis of its own.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dream_testkit::backends::{Backend, BackendKind, TestPostgres, migrate};
    ///
    /// # if !BackendKind::Postgres.available()? {
    /// #     return Ok(());
    /// # }
    /// let server = TestPostgres::start().await?;
    /// let url = server.migrated_database(migrate).await?;
    /// let backend = Backend::over_postgres(server, url.clone()).await?;
    /// assert_eq!((backend.kind(), backend.database_url()), (BackendKind::Postgres, url.as_str()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If Redis cannot be started.
    pub async fn over_postgres(postgres: TestPostgres, database_url: String) -> Result<Self, BackendError> {
        let folder = scratch()?;
        let redis = Some(TestRedis::start().await?);
        let kind = BackendKind::Postgres;
        Ok(Self(Arc::new(Inner { kind, database_url, redis, postgres: Some(postgres), folder })))
    }

    /// Which kind this is.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::backends::{Backend, BackendKind, migrate};
    /// # let backend = Backend::start(BackendKind::Sqlite, migrate).await?;
    /// assert_eq!(backend.kind(), BackendKind::Sqlite);
    /// # Ok(())
    /// # }
    /// ```
    pub fn kind(&self) -> BackendKind {
        self.0.kind
    }

    /// Where the database is: `sqlite://…` or `postgres://…`.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::backends::{Backend, BackendKind, migrate};
    /// # let backend = Backend::start(BackendKind::Sqlite, migrate).await?;
    /// assert!(backend.database_url().starts_with("sqlite:///"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn database_url(&self) -> &str {
        &self.0.database_url
    }

    /// How to open the database: quickly, and with few connections.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::backends::{Backend, BackendKind, migrate};
    /// # let backend = Backend::start(BackendKind::Sqlite, migrate).await?;
    /// use dream_core::Dream;
    ///
    /// assert!(Dream::schema(&backend.database_options()).await?.is_current());
    /// # Ok(())
    /// # }
    /// ```
    pub fn database_options(&self) -> DatabaseOptions {
        options(&self.0.database_url)
    }

    /// Where Redis is, as `redis+unix://…`; `None` on SQLite.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dream_testkit::backends::{Backend, backends, migrate};
    ///
    /// for kind in backends()? {
    ///     let backend = Backend::start(kind, migrate).await?;
    ///     // Without Redis a program keeps its cache to itself.
    ///     assert_eq!(backend.redis_url().is_some(), backend.redis().is_some());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn redis_url(&self) -> Option<&str> {
        self.0.redis.as_ref().map(TestRedis::url)
    }

    /// The Redis, to stop and start it; `None` on SQLite.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dream_testkit::backends::{Backend, BackendKind, migrate};
    ///
    /// # if !BackendKind::Postgres.available()? {
    /// #     return Ok(());
    /// # }
    /// let backend = Backend::start(BackendKind::Postgres, migrate).await?;
    /// let redis = backend.redis().ok_or("it has one")?;
    /// // What a program does without its cache.
    /// redis.stop();
    /// assert!(redis.command(&["PING"]).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn redis(&self) -> Option<&TestRedis> {
        self.0.redis.as_ref()
    }

    /// A folder for files of this test. It goes away with the backend.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::backends::{Backend, BackendKind, migrate};
    /// # let backend = Backend::start(BackendKind::Sqlite, migrate).await?;
    /// let folder = backend.folder().to_owned();
    /// std::fs::write(folder.join("a.txt"), "a")?;
    /// drop(backend);
    /// assert!(!folder.exists());
    /// # Ok(())
    /// # }
    /// ```
    pub fn folder(&self) -> &std::path::Path {
        self.0.folder.path()
    }

    async fn drop_database(&self) -> Result<(), BackendError> {
        match &self.0.postgres {
            Some(postgres) => postgres.drop_database(&self.0.database_url).await,
            None => Ok(()),
        }
    }
}

/// Runs the test on a fresh backend of this kind, or not at all where the kind is left out.
///
/// ```
/// use dream_testkit::backends::{self, BackendKind};
///
/// // What `on_every_backend!` does for each kind, for those who need no macro.
/// backends::run(BackendKind::Sqlite, backends::migrate, |backend| async move {
///     assert!(backend.database_url().starts_with("sqlite:///"));
/// });
/// ```
///
/// # Panics
/// If the backend is demanded and cannot be had, or if the test panics or does not end within ten minutes.
pub fn run<F, E>(
    kind: BackendKind,
    migrate: impl AsyncFnOnce(String) -> Result<(), E>,
    test: impl FnOnce(Backend) -> F,
) where
    F: Future<Output = ()>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    run_if_available(kind, async {
        let backend = Backend::start(kind, migrate).await?;
        test(backend.clone()).await;
        backend.drop_database().await
    });
}

/// Runs the test with a Redis of its own, or not at all where Redis is left out.
///
/// ```no_run
/// use dream_testkit::backends;
///
/// backends::run_on_redis(|redis| async move {
///     assert_eq!(redis.command(&["PING"]).await.unwrap(), "+PONG");
/// });
/// ```
///
/// # Panics
/// As [`run`].
pub fn run_on_redis<F: Future<Output = ()>>(test: impl FnOnce(TestRedis) -> F) {
    run_if_available(BackendKind::Postgres, async {
        test(TestRedis::start().await?).await;
        Ok(())
    });
}

#[expect(clippy::panic, reason = "it is the body of a test")]
fn run_if_available(kind: BackendKind, whole: impl Future<Output = Result<(), BackendError>>) {
    match kind.available() {
        Ok(true) => {}
        Ok(false) => return,
        Err(missing) => panic!("{missing}"),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(async { tokio::time::timeout(LONGEST_TEST, whole).await }),
        Err(error) => panic!("a runtime: {error}"),
    };
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("{error}"),
        Err(late) => panic!("the test did not end within {LONGEST_TEST:?}: {late}"),
    }
}

/// Brings the database that the URL names to the present schema. Every test of [`crate::on_every_backend`] starts from it, so
/// that all of them share one template.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_testkit::backends::migrate;
///
/// # let folder = tempfile::tempdir()?;
/// let url = format!("sqlite://{}/dream.db", folder.path().display());
/// migrate(url.clone()).await?;
/// // An old schema to begin from is made likewise, by a function of one's own for `Backend::start`.
/// migrate(url).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If a migration fails.
pub async fn migrate(database_url: String) -> Result<(), dream_core::Error> {
    Dream::migrate(&options(&database_url)).await.map(drop)
}

fn options(database_url: &str) -> DatabaseOptions {
    // What a test writes need not outlive a loss of power.
    DatabaseOptions {
        durability: Durability::Process,
        max_connections: 8,
        ..DatabaseOptions::new(database_url)
    }
}

/// Makes one test out of an async body for every backend: `on_every_backend!(name, |backend| async move { … })`
/// gives the tests `name::sqlite` and `name::postgres`. The database is migrated. The body gets a
/// [`Backend`].
///
/// ```no_run
/// use dream_testkit::on_every_backend;
/// use dream_testkit::world::TestDream;
///
/// on_every_backend!(a_new_user_has_no_points, |backend| async move {
///     let world = TestDream::start(&backend).await;
///     assert_eq!(world.alice().await.points().await, 0);
///     world.finish().await;
/// });
/// ```
#[macro_export]
macro_rules! on_every_backend {
    ($(#[$note:meta])* $name:ident, $test:expr $(,)?) => {
        $(#[$note])*
        // So that lints know it for a test.
        #[cfg(test)]
        fn $name(kind: $crate::backends::BackendKind) {
            $crate::backends::run(kind, $crate::backends::migrate, $test);
        }

        #[cfg(test)]
        mod $name {
            #[test]
            fn sqlite() {
                super::$name($crate::backends::BackendKind::Sqlite);
            }

            #[test]
            fn postgres() {
                super::$name($crate::backends::BackendKind::Postgres);
            }
        }
    };
}

/// Makes a test out of an async body that gets a [`TestRedis`] of its own: `on_redis!(name, |redis| async move { … })`
/// gives the test `name::redis`.
///
/// ```no_run
/// use dream_testkit::on_redis;
///
/// on_redis!(a_value_is_gone_with_its_server, |redis| async move {
///     redis.command(&["SET", "a", "1"]).await.unwrap();
///     redis.stop();
///     redis.resume().await.unwrap();
///     assert_eq!(redis.command(&["GET", "a"]).await.unwrap(), "$-1");
/// });
/// ```
#[macro_export]
macro_rules! on_redis {
    ($(#[$note:meta])* $name:ident, $test:expr $(,)?) => {
        $(#[$note])*
        #[cfg(test)]
        fn $name() {
            $crate::backends::run_on_redis($test);
        }

        #[cfg(test)]
        mod $name {
            #[test]
            fn redis() {
                super::$name();
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    on_every_backend!(a_test_has_a_database_of_its_own, |backend| async move {
        match backend.kind() {
            BackendKind::Sqlite => assert!(backend.database_url().starts_with("sqlite:///")),
            BackendKind::Postgres => {
                let other = Backend::start(BackendKind::Postgres, migrate).await.unwrap();
                assert_ne!(other.database_url(), backend.database_url());
                for url in [other.database_url(), backend.database_url()] {
                    use sqlx::Connection as _;
                    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                    sqlx::raw_sql("CREATE TABLE a (b BIGINT)").execute(&mut connection).await.unwrap();
                }
                other.drop_database().await.unwrap();
            }
        }
    });

    on_every_backend!(redis_comes_back_empty, |backend| async move {
        let Some(redis) = backend.redis() else { return };
        assert_eq!(redis.command(&["SET", "a", "1"]).await.unwrap(), "+OK");
        redis.stop();
        assert!(redis.command(&["GET", "a"]).await.is_err());
        redis.resume().await.unwrap();
        assert_eq!(redis.command(&["GET", "a"]).await.unwrap(), "$-1");
    });
}
