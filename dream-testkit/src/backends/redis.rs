use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::run::{Process, ScratchFolder};
use super::{BackendError, programs};

/// How long a server may take to start.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A Redis server of one test's own, on a Unix socket, in memory only. It ends with this value.
///
/// ```no_run
/// use dream_testkit::backends::TestRedis;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = TestRedis::start().await?;
/// assert_eq!(redis.command(&["SET", "a", "1"]).await?, "+OK");
/// redis.stop();
/// assert!(redis.command(&["GET", "a"]).await.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestRedis {
    folder: PathBuf,
    url: String,
    server: Mutex<Option<Child>>,
}

impl TestRedis {
    /// Starts a server.
    ///
    /// # Errors
    /// If Redis is not installed or does not start.
    pub async fn start() -> Result<Self, BackendError> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let failed = |e| BackendError::new("preparing Redis", e);
        let run = ScratchFolder::of_this_run().map_err(failed)?;
        let name = format!("redis-{}-{}", Process::ours(), MADE.fetch_add(1, Ordering::Relaxed));
        let folder = run.path().join(name);
        std::fs::create_dir(&folder).map_err(failed)?;
        let url = format!("redis+unix://{}", folder.join("redis.sock").display());
        let redis = Self { folder, url, server: Mutex::new(None) };
        redis.resume().await?;
        Ok(redis)
    }

    /// Where it is: `redis+unix:///path/redis.sock`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends the server at once; what it held is lost. [`TestRedis::resume`] starts an empty one in its place.
    pub fn stop(&self) {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut server) = server {
            // It may have ended by itself, which is as good.
            drop(server.kill());
            drop(server.wait());
        }
    }

    /// Starts the server again after [`TestRedis::stop`].
    ///
    /// # Errors
    /// If it does not start.
    pub async fn resume(&self) -> Result<(), BackendError> {
        self.stop();
        let Some(program) = programs::redis_server() else {
            return Err(BackendError::new("looking for Redis", "it is not installed"));
        };
        let server = Command::new(program)
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no"])
            .arg("--unixsocket")
            .arg(self.folder.join("redis.sock"))
            .arg("--pidfile")
            .arg(self.folder.join("redis.pid"))
            .arg("--dir")
            .arg(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| BackendError::new("starting Redis", e))?;
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        let answered = async {
            while self.ping().await.is_err() {
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        };
        tokio::time::timeout(START_LIMIT, answered)
            .await
            .map_err(|e| BackendError::new("waiting for Redis", e))
    }

    /// Runs a command given in words without spaces, such as `["CLIENT", "KILL", "TYPE", "pubsub"]`, and gives the
    /// raw answer.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn command(&self, words: &[&str]) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(self.folder.join("redis.sock")).await?;
        stream.write_all(format!("{}\r\nQUIT\r\n", words.join(" ")).as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer.strip_suffix("+OK\r\n").unwrap_or(&answer).trim_end().to_owned())
    }

    async fn ping(&self) -> std::io::Result<()> {
        let answer = self.command(&["PING"]).await?;
        if answer == "+PONG" { Ok(()) } else { Err(std::io::Error::other(answer)) }
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.stop();
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
