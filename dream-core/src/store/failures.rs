//! What a failed statement means: the class of the error, and what becomes of the connection.
//!
//! A database that ends a transaction by itself (full disk, I/O error, out of memory) leaves `SQLx` with a connection whose
//! recorded transaction depth is wrong, and a server that became read-only keeps the connections that were opened
//! meanwhile. Both are repaired by the same rule: after such a failure every connection that was opened before it is
//! closed instead of being used again. The pools ask [`Failures::is_usable`] before they hand out an idle connection.
//!
//! Lock order: the one mutex here is held for no call. Nothing here is stored or retried; `Store::run` retries.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteError;

use super::StoreError;

/// Connections are discarded at most this often, so that a database that stays read-only is not flooded with new ones.
const DISCARD_EVERY: Duration = Duration::from_millis(200);

/// The failures of one store. Clones share their state.
#[derive(Debug, Clone, Default)]
pub(super) struct Failures {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Connections opened before this instant are closed instead of being used again.
    discarded: Mutex<Option<Instant>>,
    /// A write was refused, and none has been probed successfully since.
    unwritable: AtomicBool,
    /// The last commit that succeeded, unless a statement has failed since.
    written: Mutex<Option<Instant>>,
}

impl Failures {
    /// Classifies an error of the driver, and discards the connections that it makes unusable.
    pub(super) fn classify(&self, error: sqlx::Error) -> StoreError {
        let error = StoreError::from(error);
        if matches!(error, StoreError::ReadOnly(_) | StoreError::Unwritable(_) | StoreError::Unavailable(_)) {
            self.doubt();
        }
        match &error {
            StoreError::ReadOnly(_) | StoreError::Unwritable(_) => {
                self.discard();
                metrics::counter!("dream_store_write_refusals_total").increment(1);
                if !self.shared.unwritable.swap(true, Ordering::AcqRel) {
                    tracing::error!(error = %with_source(&error), "the database accepts no writes");
                }
            }
            StoreError::Unavailable(cause) if is_cut(cause) => self.discard(),
            _ => {}
        }
        error
    }

    fn discard(&self) {
        let now = Instant::now();
        let mut discarded = self.shared.discarded.lock().unwrap_or_else(PoisonError::into_inner);
        if discarded.is_none_or(|last| now.duration_since(last) >= DISCARD_EVERY) {
            *discarded = Some(now);
        }
    }

    /// Whether an idle connection of this age may be used again.
    pub(super) fn is_usable(&self, age: Duration) -> bool {
        let discarded = *self.shared.discarded.lock().unwrap_or_else(PoisonError::into_inner);
        discarded.is_none_or(|instant| age < instant.elapsed())
    }

    /// A commit succeeded.
    pub(super) fn committed(&self) {
        *self.shared.written.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// A write waited in vain: that the last commit succeeded proves nothing any more.
    pub(super) fn doubt(&self) {
        *self.shared.written.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether writes are known to succeed: the last commit is no older than this, and no write was refused since the
    /// last successful probe.
    pub(super) fn wrote_within(&self, age: Duration) -> bool {
        let written = *self.shared.written.lock().unwrap_or_else(PoisonError::into_inner);
        !self.shared.unwritable.load(Ordering::Acquire)
            && written.is_some_and(|instant| instant.elapsed() < age)
    }

    /// A probe was written and committed.
    pub(super) fn probed(&self) {
        if self.shared.unwritable.swap(false, Ordering::AcqRel) {
            tracing::info!("the database accepts writes again");
        }
    }
}

/// Whether the connection is gone, as those that were opened beside it may be: the server restarts, or was left.
fn is_cut(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(db) => {
            db.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08"))
        }
        _ => false,
    }
}

fn with_source(error: &StoreError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(db) => {
                if db.is_unique_violation() || db.is_check_violation() || db.is_foreign_key_violation() {
                    return Self::Constraint(error);
                }
                let code = db.code().unwrap_or_default();
                if db.try_downcast_ref::<SqliteError>().is_some() {
                    return sqlite(&code)(error);
                }
                postgres(&code)(error)
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            // A transaction that SQLite ended by itself, or a connection that is still in one.
            | sqlx::Error::InvalidSavePointStatement
            | sqlx::Error::BeginFailed => Self::Unavailable(error),
            _ => Self::Defect(error),
        }
    }
}

/// By the result code of SQLite, <https://sqlite.org/rescode.html>: the low byte is the primary code.
fn sqlite(code: &str) -> fn(sqlx::Error) -> StoreError {
    let code = code.parse::<u32>().unwrap_or_default();
    match (code, code & 0xff) {
        // BUSY: the busy timeout has passed already, so waiting once more would only multiply it.
        (5, _) => StoreError::Unavailable,
        // BUSY_RECOVERY, BUSY_SNAPSHOT and LOCKED are returned at once.
        (_, 5 | 6) => StoreError::Conflict,
        // NOMEM, READONLY, IOERR, FULL, CANTOPEN, PROTOCOL.
        (_, 7 | 8 | 10 | 13 | 14 | 15) => StoreError::Unwritable,
        _ => StoreError::Defect,
    }
}

/// By SQLSTATE, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn postgres(code: &str) -> fn(sqlx::Error) -> StoreError {
    match code {
        // Serialization failure, deadlock: returned at once.
        "40001" | "40P01" => StoreError::Conflict,
        // Read-only transaction: a replica, or a primary that became one.
        "25006" => StoreError::ReadOnly,
        // Disk full, out of memory, I/O error.
        "53100" | "53200" | "58030" => StoreError::Unwritable,
        // Shutting down, starting up, database dropped, too many connections; statement timeout and lock timeout,
        // which have passed already.
        "57P01" | "57P02" | "57P03" | "57P04" | "53300" | "57014" | "55P03" => StoreError::Unavailable,
        code if code.starts_with("08") => StoreError::Unavailable,
        _ => StoreError::Defect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_from_before_a_refused_write_is_not_used_again() {
        let failures = Failures::default();
        assert!(failures.is_usable(Duration::from_hours(1)), "nothing failed");
        failures.discard();
        assert!(!failures.is_usable(Duration::from_secs(1)), "opened before the failure");
        assert!(failures.is_usable(Duration::ZERO), "opened after it");
    }

    #[test]
    fn each_class_of_error_is_named_by_its_codes() {
        let of = |class: fn(sqlx::Error) -> StoreError| match class(sqlx::Error::PoolClosed) {
            StoreError::Conflict(_) => "conflict",
            StoreError::Unavailable(_) => "unavailable",
            StoreError::ReadOnly(_) => "read-only",
            StoreError::Unwritable(_) => "unwritable",
            _ => "defect",
        };
        // Primary and extended codes: IOERR_WRITE, IOERR_FSYNC, READONLY_DBMOVED, CANTOPEN_ISDIR.
        for code in ["7", "8", "10", "13", "14", "778", "1034", "1032", "526"] {
            assert_eq!(of(sqlite(code)), "unwritable", "{code}");
        }
        for (code, class) in
            [("5", "unavailable"), ("261", "conflict"), ("517", "conflict"), ("6", "conflict")]
        {
            assert_eq!(of(sqlite(code)), class, "{code}");
        }
        for (code, class) in [
            ("25006", "read-only"),
            ("53100", "unwritable"),
            ("55P03", "unavailable"),
            ("57P01", "unavailable"),
            ("08006", "unavailable"),
            ("40001", "conflict"),
            ("42601", "defect"),
        ] {
            assert_eq!(of(postgres(code)), class, "{code}");
        }
        assert_eq!(of(sqlite("1")), "defect");
    }
}
