use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::run::{Process, ScratchFolder};
use super::{BackendError, programs};

type Result<T> = std::result::Result<T, BackendError>;

/// How long a server may take to start.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The migrated database that all others are copied from.
const TEMPLATE: &str = "dream_template";

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commits {
    /// Nothing here has to survive a crash, so nothing waits for the disk.
    Forgetful,
    /// As a server in production does, for measuring.
    Durable,
}

impl Commits {
    /// Names the server's files in the folder of the run.
    const fn name(self) -> &'static str {
        match self {
            Commits::Forgetful => "postgres",
            Commits::Durable => "durable",
        }
    }

    const fn settings(self) -> &'static [&'static str] {
        match self {
            Commits::Forgetful => &[
                "listen_addresses=",
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
                "autovacuum=off",
                "wal_level=minimal",
                "max_wal_senders=0",
                "max_connections=300",
            ],
            Commits::Durable => &["listen_addresses=", "max_connections=300"],
        }
    }
}

/// The private PostgreSQL server of this run of the tests. Clones are the same server.
///
/// ```no_run
/// use dream_testkit::backends::TestPostgres;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let server = TestPostgres::start().await?;
/// let url = server.empty_database().await?;
/// // ... a test of one's own statements ...
/// server.drop_database(&url).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TestPostgres {
    commits: Commits,
    sockets: PathBuf,
    folder: ScratchFolder,
}

impl TestPostgres {
    /// The run's server; the first to ask starts it. It needs no password and listens on a Unix socket only.
    ///
    /// # Errors
    /// If PostgreSQL is not installed or does not start.
    pub async fn start() -> Result<Self> {
        Self::launched(Commits::Forgetful).await
    }

    /// A server of its own whose commits survive a crash, and so take the time that they take in production.
    ///
    /// # Errors
    /// If PostgreSQL is not installed or does not start.
    pub async fn start_durable() -> Result<Self> {
        Self::launched(Commits::Durable).await
    }

    async fn launched(commits: Commits) -> Result<Self> {
        let folder = blocking(ScratchFolder::of_this_run).await?;
        let server = Self { commits, sockets: folder.path().join(commits.name()), folder };
        let running = server.folder.path().join(format!("{}-runs", commits.name()));
        let _turn = server.turn().await?;
        if !running.exists() {
            server.launch().await?;
            File::create(running).map_err(|e| BackendError::new("noting that PostgreSQL runs", e))?;
        }
        Ok(server)
    }

    /// Makes a new empty database and gives its URL.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn empty_database(&self) -> Result<String> {
        self.create(&new_name(), "TEMPLATE template0").await
    }

    /// Makes a new database to which `migrate` has been applied and gives its URL. The migration is run once
    /// in a run of the tests and then copied.
    ///
    /// # Errors
    /// If `migrate` fails or the server refuses.
    pub async fn migrated_database<E>(
        &self,
        migrate: impl AsyncFnOnce(String) -> std::result::Result<(), E>,
    ) -> Result<String>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let turn = self.turn().await?;
        if !self.has_template().await? {
            let raw = format!("{TEMPLATE}_raw");
            self.execute(format!("DROP DATABASE IF EXISTS {raw} WITH (FORCE)")).await?;
            let url = self.create(&raw, "TEMPLATE template0").await?;
            migrate(url).await.map_err(|e| BackendError::new("migrating PostgreSQL", e))?;
            self.disconnect_all(&raw).await?;
            self.execute(format!("ALTER DATABASE {raw} RENAME TO {TEMPLATE}")).await?;
        }
        drop(turn);
        // Copying through the log spares the two checkpoints that copying the files would cost.
        self.create(&new_name(), &format!("TEMPLATE {TEMPLATE} STRATEGY WAL_LOG")).await
    }

    /// Drops a database that this server made, whoever is connected to it.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn drop_database(&self, url: &str) -> Result<()> {
        let options: PgConnectOptions = url.parse().map_err(|e| BackendError::new("reading the URL", e))?;
        let Some(name) = options.get_database() else { return Ok(()) };
        self.execute(format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await
    }

    /// The folder of its socket.
    pub fn sockets(&self) -> &Path {
        &self.sockets
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}&sslmode=disable", self.sockets.display())
    }

    async fn turn(&self) -> Result<File> {
        let folder = self.folder.clone();
        blocking(move || folder.turn()).await
    }

    async fn connect(&self) -> std::result::Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.url("postgres")).await
    }

    async fn create(&self, name: &str, how: &str) -> Result<String> {
        self.execute(format!("CREATE DATABASE {name} {how}")).await?;
        Ok(self.url(name))
    }

    async fn execute(&self, sql: String) -> Result<()> {
        let failed = |e: sqlx::Error| BackendError::new(sql.clone(), e);
        let mut connection = self.connect().await.map_err(failed)?;
        // The names in it are made here.
        sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut connection).await.map_err(failed)?;
        connection.close().await.map_err(failed)
    }

    async fn has_template(&self) -> Result<bool> {
        let failed = |e: sqlx::Error| BackendError::new("looking for the template", e);
        let mut connection = self.connect().await.map_err(failed)?;
        let found: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)")
            .bind(TEMPLATE)
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        connection.close().await.map_err(failed)?;
        Ok(found)
    }

    /// A template can only be renamed and copied while nobody is connected to it, and a migration may leave a pool
    /// behind whose connections close a little later.
    async fn disconnect_all(&self, database: &str) -> Result<()> {
        self.execute(format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'"
        ))
        .await
    }

    async fn launch(&self) -> Result<()> {
        let Some(programs) = programs::postgres_folder() else {
            return Err(BackendError::new("looking for PostgreSQL", "it is not installed"));
        };
        let (run, sockets) = (self.folder.path().to_owned(), self.sockets.clone());
        let owner = programs::postgres_owner(self.folder.owner());
        let commits = self.commits;
        let server = blocking(move || spawn_server(commits, &programs, &run, &sockets, owner)).await?;
        self.until_it_answers(server).await
    }

    async fn until_it_answers(&self, mut server: Child) -> Result<()> {
        let log = self.folder.path().join(format!("{}.log", self.commits.name()));
        let answered = async {
            loop {
                match self.connect().await {
                    Ok(connection) => return connection.close().await,
                    Err(error) if matches!(server.try_wait(), Ok(Some(_))) => return Err(error),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let said = || fs::read_to_string(&log).unwrap_or_default();
        match tokio::time::timeout(START_LIMIT, answered).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(BackendError::new("starting PostgreSQL", said())),
            Err(_) => Err(BackendError::new("waiting for PostgreSQL", said())),
        }
    }
}

fn spawn_server(
    commits: Commits,
    programs: &Path,
    run: &Path,
    sockets: &Path,
    owner: Option<(u32, u32)>,
) -> std::io::Result<Child> {
    let data = run.join(format!("{}-data", commits.name()));
    init(programs, &data, sockets, owner)?;
    let log = File::create(run.join(format!("{}.log", commits.name())))?;
    serve(programs, &data, sockets, owner, commits.settings(), log)
}

/// Makes the folders of a server.
pub(super) fn init(
    programs: &Path,
    data: &Path,
    sockets: &Path,
    owner: Option<(u32, u32)>,
) -> std::io::Result<()> {
    for folder in [data, sockets] {
        fs::create_dir_all(folder)?;
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(folder, Some(user), Some(group))?;
        }
    }
    let made = pg_command(programs, "initdb", data, owner)
        .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])
        .output()?;
    if made.status.success() {
        Ok(())
    } else {
        Err(std::io::Error::other(String::from_utf8_lossy(&made.stderr).into_owned()))
    }
}

/// One of PostgreSQL's programs, for this data and as this user.
pub(super) fn pg_command(programs: &Path, name: &str, data: &Path, owner: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(programs.join(name));
    command.arg("-D").arg(data).current_dir("/").stdin(Stdio::null());
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command
}

/// Starts a server.
pub(super) fn serve(
    programs: &Path,
    data: &Path,
    sockets: &Path,
    owner: Option<(u32, u32)>,
    settings: &[&str],
    log: File,
) -> std::io::Result<Child> {
    pg_command(programs, "postgres", data, owner)
        .arg("-k")
        .arg(sockets)
        .args(settings.iter().flat_map(|setting| ["-c", *setting]))
        .stdout(log.try_clone()?)
        .stderr(log)
        // It serves the whole run, and must not be ended together with the test that happened to start it.
        .process_group(0)
        .spawn()
}

fn new_name() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let process = Process::ours().to_string().replace('-', "_");
    format!("t_{process}_{}", MADE.fetch_add(1, Ordering::Relaxed))
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(|e| BackendError::new("preparing a server", e)),
        Err(error) => Err(BackendError::new("preparing a server", error)),
    }
}
