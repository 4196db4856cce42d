//! What a sandbox keeps in a file between two runs: its ports, the orders, payments and refunds of WeChat Pay, the jobs of
//! the image API.
//!
//! The file is written whole, under another name first, so that a reader never sees half of it. It is written within
//! `SAVE_EVERY` of a change and at the end; a process that is killed loses at most that. A file that cannot be read counts
//! as none, and one that cannot be written costs a warning: a sandbox never fails because of it. It holds the keys of the
//! fakes, which are published with them, and no secret.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dream_core::ports::Clock;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::fakes::wechat_pay::PayCredentials;

/// How often it is looked whether something changed.
const SAVE_EVERY: Duration = Duration::from_millis(500);

/// What a sandbox left behind, or leaves while it runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SandboxState {
    /// Where WeChat listens.
    pub wechat: Option<SocketAddr>,
    /// Where WeChat Pay listens.
    pub wechat_pay: Option<SocketAddr>,
    /// Where the image API listens.
    pub image_api: Option<SocketAddr>,
    /// Where the control page is.
    pub control: Option<SocketAddr>,
    /// Where the backend is reached.
    pub backend: Option<String>,
    /// The mini-program that the merchant is bound to.
    pub appid: String,
    /// How the merchant reaches WeChat Pay.
    pub pay: Option<PayCredentials>,
    pub(crate) payments: Value,
    pub(crate) jobs: Value,
}

impl SandboxState {
    /// What is in this file; `None` if there is none, or none that can be read.
    #[expect(clippy::disallowed_methods, reason = "a small file, read once before anything is served")]
    pub fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(file).ok()?).ok()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "it runs on a blocking thread, or when nothing is served any more"
    )]
    fn write(&self, file: &Path) -> io::Result<()> {
        if let Some(folder) = file.parent().filter(|folder| *folder != Path::new("")) {
            std::fs::create_dir_all(folder)?;
        }
        let half = file.with_extension("json~");
        std::fs::write(&half, serde_json::to_vec(self)?)?;
        std::fs::rename(half, file)
    }
}

/// The address, if nobody listens there.
pub(crate) fn if_free(address: Option<SocketAddr>) -> Option<SocketAddr> {
    address.filter(|address| TcpListener::bind(address).is_ok())
}

/// How the present state is found.
type Snapshot = Arc<dyn Fn() -> SandboxState + Send + Sync>;

/// Writes the file while the sandbox runs.
pub(crate) struct Keeper {
    file: PathBuf,
    snapshot: Snapshot,
    saving: JoinHandle<()>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Keeper {
    pub(crate) fn start(file: PathBuf, clock: Arc<dyn Clock>, snapshot: Snapshot) -> Self {
        let (into, now) = (file.clone(), Arc::clone(&snapshot));
        let saving = tokio::spawn(async move {
            let mut saved = None;
            loop {
                let state = now();
                if saved.as_ref() != Some(&state) {
                    let (place, next) = (into.clone(), state.clone());
                    let written = tokio::task::spawn_blocking(move || next.write(&place)).await;
                    if let Ok(Err(error)) = written {
                        tracing::warn!(error = %error, "the sandbox cannot keep its state");
                    }
                    saved = Some(state);
                }
                clock.sleep(SAVE_EVERY).await;
            }
        });
        Self { file, snapshot, saving }
    }

    /// Writes the last state.
    pub(crate) fn finish(self) {
        self.saving.abort();
        if let Err(error) = (self.snapshot)().write(&self.file) {
            tracing::warn!(error = %error, "the sandbox cannot keep its state");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.saving.abort();
    }
}
