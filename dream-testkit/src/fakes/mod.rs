//! Servers that stand in for the outside: each speaks the real protocol over HTTP and remembers what it was asked.
//!
//! Beside the protocol every fake has knobs under `/_control/`: [`control`] lists those that all have in common.

pub mod control;
pub mod image_api;
pub mod r2;
pub mod server;
pub mod wechat;
pub mod wechat_pay;

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a fake waits for what it calls itself.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Locks even if a test panicked while it held the lock: the test that panicked already says what is wrong.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What fakes send webhooks and fetch pictures with.
pub(crate) fn outgoing_client() -> io::Result<reqwest::Client> {
    reqwest::Client::builder()
        .connect_timeout(CALL_LIMIT)
        .timeout(CALL_LIMIT)
        .no_proxy()
        .build()
        .map_err(io::Error::other)
}
