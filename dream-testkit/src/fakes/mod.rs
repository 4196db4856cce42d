//! Servers that stand in for the outside: each speaks the real protocol over HTTP and remembers what it was asked.

pub mod server;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks even if a test panicked while it held the lock: the test that panicked already says what is wrong.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
