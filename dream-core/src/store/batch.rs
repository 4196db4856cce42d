//! Group commit for SQLite: changes that wait for the one writer at the same time share a transaction, and with it the
//! sync to the disk that a commit costs. Each runs in a savepoint of its own, so that one that fails leaves the others
//! alone, and each returns only after the commit.

use std::io;
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard, watch};

use super::sql::{Db as _, Sql};
use super::tx::{Change, Tx};
use super::{Store, StoreError};
use crate::error::Result;

/// Most changes in one transaction, so that the first does not wait for ever.
const MOST: usize = 128;

/// The transaction that is being filled, if there is one. The lock is fair: who waits longest comes first.
type Slot = Arc<Mutex<Option<Batch>>>;

#[derive(Debug, Clone, Default)]
pub(super) struct Batches {
    slot: Slot,
}

struct Batch {
    tx: Tx,
    members: usize,
    /// A member is at work, or was dropped at work.
    unfinished: bool,
    /// Tells the members how the commit went: `None` until then.
    committed: watch::Sender<Option<bool>>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("members", &self.members).finish_non_exhaustive()
    }
}

impl Batches {
    /// Runs the change together with those that wait for the writer now.
    pub(super) async fn run<C: Change>(&self, store: &Store, change: &C) -> Result<C::Out> {
        // Another process may hold the lock of the database, and every change here waits for the same writer: so the
        // wait as a whole has a limit, not each step of it.
        let mut slot =
            tokio::time::timeout(store.max_wait, self.open_batch(store)).await.map_err(|_| {
                store.failures.doubt();
                lost("the writer is not free")
            })??;
        let Some(batch) = slot.as_mut() else { return Err(lost("the batch is gone").into()) };
        let mut committed = batch.committed.subscribe();
        match batch.add(change).await {
            Ok(out) => {
                if batch.members >= MOST
                    && let Some(full) = slot.take()
                {
                    full.commit().await;
                }
                drop(slot);
                match committed.wait_for(Option::is_some).await.map(|outcome| *outcome) {
                    Ok(Some(true)) => Ok(out),
                    _ => Err(lost("the shared commit failed").into()),
                }
            }
            Err(error) => {
                // Alone in it, or no longer usable: what is left of it must not be committed.
                if batch.members == 0 || batch.unfinished {
                    *slot = None;
                }
                Err(error)
            }
        }
    }

    /// Waits for a turn at the batch that is being filled, and begins one if there is none.
    async fn open_batch(&self, store: &Store) -> Result<MutexGuard<'_, Option<Batch>>> {
        let mut slot = self.slot.lock().await;
        if let Some(batch) = slot.as_mut()
            && !batch.clean_up().await
        {
            *slot = None;
        }
        if slot.is_none() {
            *slot = Some(Batch::begin(store).await?);
            self.commit_behind_those_who_wait();
        }
        Ok(slot)
    }

    /// Commits once everybody who waits for the slot now has had it. In a task of its own, so that a member that is
    /// dropped takes nobody else's commit with it.
    fn commit_behind_those_who_wait(&self) {
        let slot = Arc::clone(&self.slot);
        tokio::spawn(async move {
            let mut slot = slot.lock().await;
            if let Some(mut batch) = slot.take() {
                // A member that was dropped at work has left something behind.
                if batch.clean_up().await {
                    batch.commit().await;
                }
            }
        });
    }
}

impl Batch {
    async fn begin(store: &Store) -> Result<Self> {
        let (committed, _) = watch::channel(None);
        Ok(Self { tx: store.begin().await?, members: 0, unfinished: false, committed })
    }

    /// Runs the change in a savepoint. The first member needs none: if it fails, all of it goes.
    async fn add<C: Change>(&mut self, change: &C) -> Result<C::Out> {
        if self.members > 0 {
            self.tx.execute(Sql::new("SAVEPOINT member")).await?;
        }
        self.unfinished = true;
        match change.apply(&mut self.tx).await {
            Ok(out) => {
                if self.members > 0 {
                    self.tx.execute(Sql::new("RELEASE member")).await?;
                }
                self.unfinished = false;
                self.members += 1;
                Ok(out)
            }
            Err(error) => {
                self.clean_up().await;
                Err(error)
            }
        }
    }

    /// Takes back what an unfinished member did; whether the rest can go on.
    async fn clean_up(&mut self) -> bool {
        if !self.unfinished {
            return true;
        }
        if self.members == 0 {
            return false;
        }
        let undone = self.tx.execute(Sql::new("ROLLBACK TO member")).await;
        let released = self.tx.execute(Sql::new("RELEASE member")).await;
        self.unfinished = undone.is_err() || released.is_err();
        !self.unfinished
    }

    async fn commit(self) {
        metrics::histogram!("dream_store_batch_changes")
            .record(f64::from(u32::try_from(self.members).unwrap_or(u32::MAX)));
        let done = self.tx.commit().await;
        if let Err(error) = &done {
            tracing::warn!(error = %error.chain(), "a shared commit failed");
        }
        self.committed.send_replace(Some(done.is_ok()));
    }
}

fn lost(what: &'static str) -> StoreError {
    StoreError::Unavailable(sqlx::Error::Io(io::Error::other(what)))
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::error::Code;
    use crate::store::DatabaseOptions;

    struct Add {
        number: i64,
        fails: bool,
    }

    impl Change for Add {
        const NAME: &'static str = "test.add";
        type Out = i64;

        async fn apply(&self, tx: &mut Tx) -> Result<i64> {
            let sql = Sql::new("INSERT INTO planted_seeds (name, planted_at) VALUES ($1, $2)");
            tx.execute(sql.bind(format!("n{}", self.number)).bind(self.number)).await?;
            // Others come in between, and somebody may be dropped here.
            tokio::task::yield_now().await;
            if self.fails { Err(Code::Forbidden.into()) } else { Ok(self.number) }
        }
    }

    async fn store(folder: &tempfile::TempDir) -> Store {
        let url = format!("sqlite://{}/test.db", folder.path().display());
        let store = Store::open(&DatabaseOptions::new(url)).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    async fn kept(store: &Store) -> Vec<i64> {
        let sql = Sql::new("SELECT planted_at FROM planted_seeds ORDER BY planted_at");
        store.db().all(sql).await.unwrap().iter().map(|row| row.get("planted_at").unwrap()).collect()
    }

    #[tokio::test]
    async fn of_many_changes_at_once_exactly_the_good_ones_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let changes: Vec<Add> = (0..300).map(|number| Add { number, fails: number % 7 == 0 }).collect();
        let outcomes = join_all(changes.iter().map(|change| store.run(change))).await;
        let good: Vec<i64> = outcomes.into_iter().filter_map(Result::ok).collect();
        assert_eq!(good, (0..300).filter(|n| n % 7 != 0).collect::<Vec<_>>());
        assert_eq!(kept(&store).await, good);
    }

    #[tokio::test]
    async fn a_change_dropped_at_work_leaves_nothing_and_takes_nobody_along() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        for round in 0..20_i64 {
            let changes: Vec<Add> = (0..8).map(|n| Add { number: round * 8 + n, fails: false }).collect();
            let mut futures: Vec<_> = changes.iter().map(|change| Box::pin(store.run(change))).collect();
            // Each is driven a little; then one is dropped, whatever it was at.
            for _ in 0..=round {
                for future in &mut futures {
                    let _ = futures_util::poll!(future.as_mut());
                }
                tokio::task::yield_now().await;
            }
            let victim = usize::try_from(round).unwrap() % 8;
            drop(futures.remove(victim));
            for outcome in join_all(futures).await {
                outcome.unwrap();
            }
        }
        let kept = kept(&store).await;
        let survivors = (0..160).filter(|n| n % 8 != (n / 8) % 8);
        assert!(survivors.clone().all(|n| kept.contains(&n)), "{kept:?}");
    }
}
