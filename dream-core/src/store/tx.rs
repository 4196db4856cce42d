//! Transactions, and the units of work that run in them.

use std::future::Future;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use sqlx::{PgPool, Postgres, Sqlite, Transaction};

use super::failures::Failures;
use super::{Db as _, Gate, Pools, Sql, Store, StoreError, StorePass, StoreStep};
use crate::error::{Error, Result};

/// A transaction that may write. Dropped without a commit it leaves nothing behind.
pub(crate) struct Tx {
    pub(super) open: Open,
    pub(super) gate: Gate,
    failures: Failures,
    /// The database has ended the transaction by itself: what ran now would be committed statement by statement.
    ended: bool,
    /// Given back behind the transaction itself.
    _pass: Option<StorePass>,
}

pub(super) enum Open {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// A unit of work: the only thing that changes stored state. It borrows its input and can be run again after a
/// conflict, so it must not do anything outside of the transaction.
pub(crate) trait Change: Send + Sync {
    /// Names the change in metrics and logs.
    const NAME: &'static str;
    /// What it tells afterwards.
    type Out: Send;

    /// Does the work. An error rolls everything back.
    fn apply(&self, tx: &mut Tx) -> impl Future<Output = Result<Self::Out>> + Send;
}

impl Store {
    /// Opens a transaction that may write. On SQLite it begins immediate, so that a conflict shows at its start.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        let pass = self.gate.before(StoreStep::Begin).await?;
        let open = match &self.pools {
            Pools::Sqlite { write, .. } => write.begin_with("BEGIN IMMEDIATE").await.map(Open::Sqlite),
            Pools::Postgres { pool, .. } => begin_whole(pool, "BEGIN").await.map(Open::Postgres),
        };
        self.begun(open, pass).await
    }

    /// Opens a transaction in which all reads see the same state. It must not write.
    pub(crate) async fn snapshot(&self) -> Result<Tx> {
        let pass = self.gate.before(StoreStep::Begin).await?;
        let open = match &self.pools {
            Pools::Sqlite { read, .. } => read.begin_with("BEGIN").await.map(Open::Sqlite),
            Pools::Postgres { pool, .. } => {
                let how = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                begin_whole(pool, how).await.map(Open::Postgres)
            }
        };
        self.begun(open, pass).await
    }

    async fn begun(&self, open: sqlx::Result<Open>, pass: Option<StorePass>) -> Result<Tx> {
        let open = open.map_err(|error| self.failures.classify(error))?;
        self.gate.after(StoreStep::Begin).await?;
        let (gate, failures) = (self.gate.clone(), self.failures.clone());
        Ok(Tx { open, gate, failures, ended: false, _pass: pass })
    }

    /// Runs the change and commits it, again after conflicts with other transactions, and on a new connection after a
    /// refusal of a read-only server, which may have a writable successor by now. In a rehearsal it is rolled back
    /// instead.
    pub(crate) async fn run<C: Change>(&self, change: &C) -> Result<C::Out> {
        let attempt = || async {
            if self.rehearsal {
                // Dropped without a commit: the answer is what it would be, and nothing is left of the work.
                return change.apply(&mut self.begin().await?).await;
            }
            if matches!(self.pools, Pools::Sqlite { .. }) && !self.is_gated() {
                return self.batches.run(self, change).await;
            }
            let mut tx = self.begin().await?;
            let out = change.apply(&mut tx).await?;
            tx.commit().await?;
            Ok(out)
        };
        let gate = self.gate.clone();
        let outcome = attempt
            .retry(patience())
            .sleep(move |span| gate.clone().wait(span))
            .when(|error| is_conflict(error) || is_read_only(error))
            .notify(|_, _| {
                metrics::counter!("dream_store_conflicts_total", "change" => C::NAME).increment(1);
            })
            .await;
        outcome.map_err(|error: Error| error.while_(C::NAME))
    }
}

/// Changes that build on each other: each is committed by itself, but in a rehearsal all of them share one transaction,
/// so that the later ones see the earlier ones, and it is taken back at the end.
pub(crate) struct Series<'a> {
    store: &'a Store,
    rehearsal: Option<Tx>,
}

impl Store {
    pub(crate) async fn series(&self) -> Result<Series<'_>> {
        if !self.rehearsal {
            return Ok(Series { store: self, rehearsal: None });
        }
        let mut tx = self.begin().await?;
        tx.execute(Sql::differing("SELECT 1", "SET LOCAL dream.rehearsal = 'on'")).await?;
        Ok(Series { store: self, rehearsal: Some(tx) })
    }
}

impl Series<'_> {
    pub(crate) fn is_rehearsal(&self) -> bool {
        self.rehearsal.is_some()
    }

    /// As [`Store::run`].
    pub(crate) async fn run<C: Change>(&mut self, change: &C) -> Result<C::Out> {
        match &mut self.rehearsal {
            Some(tx) => change.apply(tx).await.map_err(|error| error.while_(C::NAME)),
            None => self.store.run(change).await,
        }
    }
}

/// Begins in a task of its own, so that it comes to its end also for a caller who is gone by then. Of a `BEGIN` that is
/// dropped on its way the driver knows nothing afterwards: it would put the connection back into the pool, and what
/// others do there would be part of a transaction that nobody ends.
async fn begin_whole(pool: &PgPool, how: &'static str) -> sqlx::Result<Transaction<'static, Postgres>> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin_with(how).await }).await;
    begun.map_err(|_| sqlx::Error::WorkerCrashed)?
}

impl Tx {
    /// Classifies a failed statement, and remembers whether it ended the transaction.
    pub(super) fn failed(&mut self, error: sqlx::Error) -> StoreError {
        let error = self.failures.classify(error);
        self.ended |= matches!(error, StoreError::Unwritable(_));
        error
    }

    pub(super) fn require_open(&self) -> Result<(), StoreError> {
        if self.ended {
            return Err(StoreError::Unwritable(sqlx::Error::WorkerCrashed));
        }
        Ok(())
    }

    pub(crate) async fn commit(self) -> Result<()> {
        let pass = self.gate.before(StoreStep::Commit).await?;
        self.require_open()?;
        let done = match self.open {
            Open::Sqlite(tx) => tx.commit().await,
            Open::Postgres(tx) => tx.commit().await,
        };
        drop(pass);
        done.map_err(|error| self.failures.classify(error))?;
        self.failures.committed();
        Ok(self.gate.after(StoreStep::Commit).await?)
    }
}

/// Doubling waits of half a second in sum: longer than it takes to discard the connections of a read-only server.
pub(super) fn patience() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(2))
        .with_max_delay(Duration::from_millis(200))
        .with_max_times(8)
}

fn is_conflict(error: &Error) -> bool {
    matches!(StoreError::of(error), Some(StoreError::Conflict(_)))
}

pub(super) fn is_read_only(error: &Error) -> bool {
    matches!(StoreError::of(error), Some(StoreError::ReadOnly(_)))
}
