//! The program under test: the `dream` binary beside this one, as released.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dream_testkit::sandbox::Sandbox;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Fault;

type Variables = Vec<(&'static str, String)>;

const READY_WITHIN: Duration = Duration::from_secs(30);

/// A `dream serve` with everything switched on, a limit that nobody reaches, and its log on disk.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) started_in: Duration,
    database: String,
    outside: Variables,
    client: reqwest::Client,
}

fn binary() -> Result<PathBuf, Fault> {
    let dream = std::env::current_exe()?.with_file_name("dream");
    if dream.is_file() { Ok(dream) } else { Err("build the program first: scripts/bench does".into()) }
}

impl Server {
    /// On an SQLite file of its own.
    pub(crate) async fn on_sqlite() -> Result<Self, Fault> {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}", folder.path().join("dream.db").display());
        Self::start(folder, url, Variables::new()).await
    }

    /// On this database.
    pub(crate) async fn on(url: &str) -> Result<Self, Fault> {
        Self::start(tempfile::tempdir()?, url.to_owned(), Variables::new()).await
    }

    /// On an SQLite file of its own, with nothing played in the process: told to ask these instead. Pictures lie on disk.
    pub(crate) async fn alone(outside: &Sandbox) -> Result<Self, Fault> {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}", folder.path().join("dream.db").display());
        let mut variables = outside.credentials().environment("http://127.0.0.1:9");
        variables.retain(|(name, _)| !name.starts_with("R2_"));
        Self::start(folder, url, variables).await
    }

    async fn start(folder: TempDir, database: String, outside: Variables) -> Result<Self, Fault> {
        let (child, address, started_in, client) = launch(&folder, &database, &outside).await?;
        Ok(Self { child, folder, address, started_in, database, outside, client })
    }

    /// Stops it and starts another on what it left.
    pub(crate) async fn again(mut self) -> Result<Self, Fault> {
        self.end();
        let (child, address, started_in, client) =
            launch(&self.folder, &self.database, &self.outside).await?;
        (self.child, self.address, self.started_in, self.client) = (child, address, started_in, client);
        Ok(self)
    }

    fn end(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }

    /// Where its database is.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// Resident memory, in bytes.
    pub(crate) fn memory(&self) -> Result<u64, Fault> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kib * 1024)
    }

    /// The token of a user of this name.
    pub(crate) async fn login(&self, name: &str) -> Result<String, Fault> {
        let url = format!("http://{}/v1/auth/wechat-login", self.address);
        let body = json!({ "code": format!("sandbox-{name}") }).to_string();
        let answer =
            self.client.post(url).header("content-type", "application/json").body(body).send().await?;
        let answer: Value = answer.error_for_status()?.json().await?;
        Ok(answer["token"].as_str().ok_or("no token")?.to_owned())
    }

    /// What it answers, whole: headers and body.
    pub(crate) async fn answer(
        &self,
        path: &str,
        token: Option<&str>,
    ) -> Result<(Vec<(String, Vec<u8>)>, Bytes), Fault> {
        let mut request = self.client.get(format!("http://{}{path}", self.address));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await?.error_for_status()?;
        let headers =
            answer.headers().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
        Ok((headers.collect(), answer.bytes().await?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

async fn launch(
    folder: &TempDir,
    database: &str,
    outside: &Variables,
) -> Result<(Child, SocketAddr, Duration, reqwest::Client), Fault> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let log = File::options().create(true).append(true).open(folder.path().join("log"))?;
    let begin = Instant::now();
    let mut child = Command::new(binary()?)
        .arg("serve")
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOST", "127.0.0.1")
        .env("PORT", address.port().to_string())
        .env("DATABASE_URL", database)
        .env("UPLOAD_DIR", folder.path().join("uploads"))
        .env("JWT_SECRET", "a secret for measuring, which has more than 32 bytes")
        .env("LOG_FORMAT", "json")
        .env("THROTTLE_LIMIT", "4000000000")
        .env("THROTTLE_LIMIT_LOGIN", "0")
        .env("THROTTLE_LIMIT_PUBLIC", "0")
        .env("CONNECTIONS_PER_ADDRESS", "0")
        .envs(outside.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://{address}/health/ready");
    loop {
        let ready = client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
        if ready {
            return Ok((child, address, begin.elapsed(), client));
        }
        if begin.elapsed() > READY_WITHIN || child.try_wait()?.is_some() {
            let said = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            let _ = child.kill();
            return Err(format!("the server did not become ready: {said}").into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
