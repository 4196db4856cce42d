use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::postgres::{blocking, init, pg_command, serve};
use super::run::{Process, ScratchFolder};
use super::{BackendError, programs};

type Result<T> = std::result::Result<T, BackendError>;

/// How long a server may take to start, which after a crash includes its recovery.
const START_LIMIT: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What was acknowledged has to survive the death of the server, though not that of the machine.
const SETTINGS: [&str; 5] = [
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "max_connections=100",
    "synchronous_commit=on",
];

/// A PostgreSQL server of one test's own, with one empty database, to be stopped and started. It ends with this value.
///
/// ```no_run
/// use dream_testkit::backends::OwnPostgres;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// // For a test of what a program does while its database is away, without disturbing the other tests.
/// let server = OwnPostgres::start().await?;
/// println!("{}", server.url());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OwnPostgres {
    /// Of its socket; its data stand beside it.
    folder: PathBuf,
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    server: Mutex<Option<Child>>,
}

impl OwnPostgres {
    /// Makes the server and starts it.
    ///
    /// # Errors
    /// If PostgreSQL is not installed or does not start.
    pub async fn start() -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let Some(programs) = programs::postgres_folder() else {
            return Err(BackendError::new("looking for PostgreSQL", "it is not installed"));
        };
        let run = blocking(ScratchFolder::of_this_run).await?;
        let name = format!("own-{}-{}", Process::ours(), MADE.fetch_add(1, Ordering::Relaxed));
        let (folder, owner) = (run.path().join(name), programs::postgres_owner(run.owner()));
        let server = Self { folder, programs, owner, server: Mutex::new(None) };
        let (tools, data, sockets) = (server.programs.clone(), server.data(), server.folder.clone());
        blocking(move || init(&tools, &data, &sockets, owner)).await?;
        server.resume().await?;
        Ok(server)
    }

    /// The URL of its database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@localhost/postgres?host={}&sslmode=disable", self.folder.display())
    }

    /// The watchdog of the run ends servers whose data are in folders of such names.
    fn data(&self) -> PathBuf {
        self.folder.with_file_name(self.name() + "-data")
    }

    fn log(&self) -> PathBuf {
        self.folder.with_file_name(self.name() + ".log")
    }

    fn name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Ends the server: as an administrator does, who lets transactions roll back, or as if it had crashed. What it
    /// acknowledged is kept. [`OwnPostgres::resume`] starts it again.
    ///
    /// # Errors
    /// If it does not end.
    pub async fn stop(&self, crash: bool) -> Result<()> {
        let mut command = pg_command(&self.programs, "pg_ctl", &self.data(), self.owner);
        command.args(["stop", "--wait", "--mode", if crash { "immediate" } else { "fast" }]);
        let output = blocking(move || command.output()).await?;
        let child = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = child {
            blocking(move || child.wait()).await?;
        }
        if output.status.success() {
            Ok(())
        } else {
            Err(BackendError::new(
                "stopping PostgreSQL",
                String::from_utf8_lossy(&output.stderr).into_owned(),
            ))
        }
    }

    /// Starts the server after [`OwnPostgres::stop`], and waits until it answers.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn resume(&self) -> Result<()> {
        let (programs, data, sockets, owner) =
            (self.programs.clone(), self.data(), self.folder.clone(), self.owner);
        let log = self.log();
        let child = blocking(move || {
            let log = File::options().create(true).append(true).open(log)?;
            serve(&programs, &data, &sockets, owner, &SETTINGS, log)
        })
        .await?;
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        let answered = async {
            loop {
                match PgConnection::connect(&self.url()).await {
                    Ok(connection) => return connection.close().await,
                    Err(_) => tokio::time::sleep(LOOK_EVERY).await,
                }
            }
        };
        match tokio::time::timeout(START_LIMIT, answered).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(BackendError::new("talking to PostgreSQL", error)),
            Err(_) => Err(BackendError::new("waiting for PostgreSQL", said(&self.log()))),
        }
    }
}

fn said(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        let mut command = pg_command(&self.programs, "pg_ctl", &self.data(), self.owner);
        // Nothing of it is needed any more, however it ends.
        drop(command.args(["stop", "--wait", "--mode", "immediate"]).output());
        let child = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = child {
            drop(child.wait());
        }
        for folder in [&self.folder, &self.data()] {
            drop(std::fs::remove_dir_all(folder));
        }
    }
}
