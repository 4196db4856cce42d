//! A server in a process of its own, and what it is told.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dream_core::adapters::SystemClock;
use dream_testkit::sandbox::{Credentials, Sandbox, SandboxOptions};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// The longest that a start or a stop may take.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_dream");
/// Opens the administration of every server here.
pub(crate) const ADMIN_KEY: &str = "5f0c3a9e7b1d4862ac90e4f7";

/// What a server is told, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables(pub Vec<(String, String)>);

impl Variables {
    #[expect(clippy::needless_pass_by_value, reason = "numbers and texts are written the same way")]
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    /// In production, with these fakes for the outside, and announced to them at this URL.
    pub(crate) fn production(keys: &Credentials, base_url: &str) -> Self {
        Self::default()
            .with("APP_ENV", "production")
            .with("LOG_FORMAT", "json")
            .with("HOST", "127.0.0.1")
            .with("BASE_URL", base_url)
            .with("THROTTLE_LIMIT", 0)
            .with("THROTTLE_LIMIT_LOGIN", 0)
            .with("THROTTLE_LIMIT_PAY", 0)
            .with("THROTTLE_LIMIT_GENERATE", 0)
            .with("JWT_SECRET", "2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe")
            .with("ADMIN_API_KEY", format!("tests:{ADMIN_KEY}"))
            .told(keys, base_url, |name| !name.starts_with("R2_"))
    }

    fn told(self, keys: &Credentials, base_url: &str, which: impl Fn(&str) -> bool) -> Self {
        let told = keys.environment(base_url).into_iter().filter(|(name, _)| which(name));
        told.fold(self, |variables, (name, value)| variables.with(name, value))
    }

    pub(crate) fn with_r2(self, keys: &Credentials) -> Self {
        self.told(keys, "", |name| name.starts_with("R2_"))
    }
}

/// All fakes, announcing to a backend at this URL, with pictures that are made at once.
pub(crate) async fn outside(backend: &str) -> Sandbox {
    let options = SandboxOptions {
        backend: Some(backend.to_owned()),
        speed: 200.0,
        ..SandboxOptions::new(Arc::new(SystemClock))
    };
    Sandbox::start(options).await.unwrap()
}

/// A port of this machine that nobody listens at just now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The program with nothing in its environment but what is said.
pub(crate) fn command(folder: &Path, variables: &Variables) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .current_dir(folder)
        .env_clear()
        .envs(variables.0.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Node {
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
}

impl Node {
    /// Starts a server at this port and waits until it says that it is ready.
    pub(crate) async fn start(folder: &Path, port: u16, variables: &Variables) -> Self {
        let variables = variables.clone().with("PORT", port);
        let mut command = command(folder, &variables);
        command.arg("serve");
        Self::spawn(folder, port, command).await
    }

    /// Starts what becomes a server at this port.
    pub(crate) async fn spawn(folder: &Path, port: u16, mut command: Command) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let log = folder.join(format!("node-{port}-{}.log", STARTED.fetch_add(1, Ordering::Relaxed)));
        let file = File::create(&log).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap();
        let mut node = Self { child, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), log };
        let ready = timeout(PATIENCE, node.until_it_says("\"message\":\"ready\"")).await;
        assert!(ready == Ok(true), "a server does not get ready:\n{}", node.log());
        node
    }

    /// Waits for a log line with this in it; whether it came before the process ended.
    pub(crate) async fn until_it_says(&mut self, text: &str) -> bool {
        loop {
            if self.log().contains(text) {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                return self.log().contains(text);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Asks it to stop, as a service manager does.
    pub(crate) fn terminate(&self) {
        let id = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).unwrap())).unwrap();
        kill_process(id, Signal::TERM).unwrap();
    }

    /// Ends it at once, whatever it is at.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("a server does not stop:\n{}", self.log())).unwrap()
    }

    /// Asks it to stop and sees that it did so in good order.
    pub(crate) async fn stop(mut self) {
        self.terminate();
        let status = self.ended().await;
        assert!(status.success(), "{status}:\n{}", self.log());
    }
}
