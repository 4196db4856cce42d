//! The two databases behind one type, and the units of work that change them.

mod batch;
mod facts;
mod failures;
mod gate;
mod migrate;
mod open;
mod open_error;
mod probe;
mod row;
mod sql;
mod together;
mod tx;

use batch::Batches;
pub use facts::DatabaseFacts;
use failures::Failures;
use gate::Gate;
pub use gate::{StoreGate, StorePass, StoreStep, StoreTrouble};
pub use migrate::SchemaStatus;
pub use open::{DatabaseOptions, Durability};
pub use open_error::{OpenError, OpenFailure};
use probe::Probe;
pub(crate) use row::Row;
pub(crate) use sql::{Arg, Db, Sql, for_update, insert_under_id, skip_locked, under_id};
pub(crate) use together::{Joint, Together};
pub(crate) use tx::{Change, Series, Tx};

use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgPool, SqlitePool};

/// The database in use.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pools: Pools,
    gate: Gate,
    batches: Batches,
    failures: Failures,
    /// The longest that a write waits for the database before it begins.
    max_wait: Duration,
    probe: Probe,
    /// Changes are worked out and taken back.
    rehearsal: bool,
}

/// Pools of the database in use. A closed set of two: what differs between them is matched, not abstracted.
#[derive(Debug, Clone)]
enum Pools {
    /// One writer, since SQLite has one anyway, and readers beside it.
    Sqlite { read: SqlitePool, write: SqlitePool },
    /// A pool for everything, and one for public reads that may lag: a replica, or the same pool.
    Postgres { pool: PgPool, replica: PgPool },
}

impl Store {
    /// The same database behind this gate.
    pub(crate) fn behind(self, gate: Option<Arc<dyn StoreGate>>) -> Self {
        Self { gate: Gate(gate), ..self }
    }

    /// Whether somebody stands before it who wants to see each transaction for itself.
    fn is_gated(&self) -> bool {
        self.gate.0.is_some()
    }

    /// The same database, in which from now on no change is kept.
    pub(crate) fn rehearsing(self, rehearsal: bool) -> Self {
        Self { rehearsal, ..self }
    }

    /// Runs statements outside of a transaction.
    pub(crate) fn db(&self) -> Reader<'_> {
        Reader { store: self, replica: false }
    }

    /// Runs public reads, which may be a moment behind.
    pub(crate) fn public(&self) -> Reader<'_> {
        Reader { store: self, replica: true }
    }

    pub(crate) async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
            Pools::Postgres { pool, replica } => {
                pool.close().await;
                replica.close().await;
            }
        }
    }

    /// Connections in the pools: all, and idle.
    pub(crate) fn connections(&self) -> (u32, u32) {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        match &self.pools {
            Pools::Sqlite { read, write } => {
                (read.size() + write.size(), count(read.num_idle() + write.num_idle()))
            }
            Pools::Postgres { pool, .. } => (pool.size(), count(pool.num_idle())),
        }
    }
}

/// Runs statements on the store, each by itself.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    store: &'a Store,
    replica: bool,
}

/// What is known of a failed statement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Another transaction was in the way: nothing happened, and the same may succeed now.
    #[error("conflict with another transaction")]
    Conflict(#[source] sqlx::Error),
    /// The database cannot be reached or is too busy.
    #[error("database unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// The server is read-only, as a replica is: nothing happened, and another connection may lead to one that is not.
    #[error("database is read-only")]
    ReadOnly(#[source] sqlx::Error),
    /// The database cannot store anything now: its disk is full, fails or is read-only, or memory is short. The
    /// transaction is over.
    #[error("database cannot be written")]
    Unwritable(#[source] sqlx::Error),
    /// A constraint of the schema was about to be broken.
    #[error("constraint")]
    Constraint(#[source] sqlx::Error),
    /// A row does not read as it should.
    #[error("inconsistent: {0}")]
    Inconsistent(String),
    /// A defect: the statement is wrong.
    #[error("statement failed")]
    Defect(#[source] sqlx::Error),
}

impl StoreError {
    /// The failed statement behind an error, if there is one.
    fn of(error: &crate::Error) -> Option<&Self> {
        std::error::Error::source(error)?.downcast_ref()
    }
}

impl From<StoreError> for crate::Error {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Conflict(_)
            | StoreError::Unavailable(_)
            | StoreError::ReadOnly(_)
            | StoreError::Unwritable(_) => crate::Code::Unavailable,
            StoreError::Constraint(_) | StoreError::Inconsistent(_) | StoreError::Defect(_) => {
                crate::Code::Internal
            }
        };
        crate::Error::new(code).with_source(error)
    }
}

/// A value as the JSON text that is stored. Values of ours always have one.
pub(crate) fn json_text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
