//! A watch over the books that costs little: the gauges that must read 0.
//!
//! An audit reads everything. The watch looks at what is new and at the next slice of what is old, so that in time it
//! has seen all of it, and looks again at what it found wrong until that is right.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::store;
use crate::dream::{Core, Dream};
use crate::error::Result;
use crate::gallery;
use crate::kernel::Timestamp;
use crate::orders;
use crate::outbox::Backlog;

/// New entries and payments that one look takes on.
const NEW: i64 = 500;
/// Old accounts and orders that one look takes on.
const OLD: i64 = 200;
/// Payments this young are looked at each time.
const YOUNG: Duration = Duration::from_mins(10);
/// A task is overdue when nobody has been at it for this long: longer than the workers' leases and their pauses.
const OVERDUE: Duration = Duration::from_mins(5);

/// How the books are. All but the backlog should be 0 at any time.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # let alice = world.alice().await;
/// # alice.generates("a cat").await;
/// let vitals = world.dream().watch().look().await?;
/// assert_eq!((vitals.unbalanced_accounts, vitals.unfulfilled_orders, vitals.overdue_jobs), (0, 0, 0));
/// assert_eq!(vitals.backlog.due, 1, "that some work waits is no trouble");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vitals {
    /// Accounts whose balance or sums are not those of their ledger entries.
    pub unbalanced_accounts: usize,
    /// Orders that were paid, and for which nothing was given.
    pub unfulfilled_orders: usize,
    /// Generations that nobody has looked after in time.
    pub overdue_jobs: i64,
    /// Tasks of any kind that nobody has been at in time.
    pub overdue_tasks: i64,
    /// Refunds that are under way and need a person.
    pub delayed_refunds: i64,
    /// How much the outbox holds.
    pub backlog: Backlog,
    /// Published pictures that wait to be checked or for a person, counted up to 10 000.
    pub pending_images: i64,
    /// Since when the oldest of them waits.
    pub oldest_pending_image: Option<Timestamp>,
}

/// Looks at the books a little at a time. Whoever holds it calls [`Watch::look`] every few seconds.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use std::time::Duration;
///
/// let mut watch = world.dream().watch();
/// // A program looks every few seconds as long as it runs; the gauges are set by it.
/// for _ in 0..3 {
///     assert_eq!(watch.look().await?.overdue_tasks, 0);
///     world.pass(Duration::from_secs(5)).await;
/// }
/// # Ok(())
/// # });
/// ```
pub struct Watch {
    core: Arc<Core>,
    /// The last entry of the ledger that was seen.
    entry: Option<i64>,
    /// The last account of the slice that was looked at.
    account: i64,
    /// The last order of the slice that was looked at.
    order: i64,
    wrong_accounts: BTreeSet<i64>,
    wrong_orders: BTreeSet<i64>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("wrong_accounts", &self.wrong_accounts)
            .field("wrong_orders", &self.wrong_orders)
            .finish_non_exhaustive()
    }
}

impl Dream {
    /// Begins a watch over the books.
    pub fn watch(&self) -> Watch {
        Watch {
            core: self.core.clone(),
            entry: None,
            account: 0,
            order: 0,
            wrong_accounts: BTreeSet::new(),
            wrong_orders: BTreeSet::new(),
        }
    }
}

impl Watch {
    /// Looks once, at a bounded number of rows, and sets the gauges.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked; the gauges stay as they were.
    pub async fn look(&mut self) -> Result<Vitals> {
        self.look_at_accounts().await?;
        self.look_at_orders().await?;
        let dream = Dream { core: self.core.clone() };
        let before = self.core.now().minus(OVERDUE);
        let (overdue_tasks, overdue_jobs) = store::overdue(&mut self.core.store.db(), before).await?;
        let (pending_images, oldest_pending_image) = gallery::waiting(&mut self.core.store.db()).await?;
        let vitals = Vitals {
            unbalanced_accounts: self.wrong_accounts.len(),
            unfulfilled_orders: self.wrong_orders.len(),
            overdue_jobs,
            overdue_tasks,
            delayed_refunds: orders::count_delayed_refunds(&mut self.core.store.db()).await?,
            backlog: dream.backlog().await?,
            pending_images,
            oldest_pending_image,
        };
        vitals.tell(self.core.now());
        Ok(vitals)
    }

    async fn look_at_accounts(&mut self) -> Result<()> {
        let mut db = self.core.store.db();
        let mut chosen = self.wrong_accounts.clone();
        match self.entry {
            // What is older is seen slice by slice.
            None => self.entry = Some(store::newest_entry(&mut db).await?),
            Some(entry) => {
                let new = store::entries_after(&mut db, entry, NEW).await?;
                self.entry = Some(new.last().map_or(entry, |(id, _)| *id));
                chosen.extend(new.into_iter().map(|(_, user)| user));
            }
        }
        let slice = store::accounts_after(&mut db, self.account, OLD).await?;
        self.account = next_start(&slice);
        chosen.extend(slice);
        let chosen: Vec<i64> = chosen.into_iter().collect();
        self.wrong_accounts = store::unbalanced(&mut db, &chosen).await?.into_iter().collect();
        Ok(())
    }

    async fn look_at_orders(&mut self) -> Result<()> {
        let mut db = self.core.store.db();
        let mut chosen = self.wrong_orders.clone();
        chosen.extend(store::paid_since(&mut db, self.core.now().minus(YOUNG), NEW).await?);
        let slice = store::orders_after(&mut db, self.order, OLD).await?;
        self.order = next_start(&slice);
        chosen.extend(slice);
        let chosen: Vec<i64> = chosen.into_iter().collect();
        self.wrong_orders = store::unfulfilled(&mut db, &chosen).await?.into_iter().collect();
        Ok(())
    }
}

/// Behind which row the next slice begins: at the first one again, once the last was seen.
fn next_start(slice: &[i64]) -> i64 {
    let full = i64::try_from(slice.len()).is_ok_and(|rows| rows == OLD);
    if full { slice.last().copied().unwrap_or(0) } else { 0 }
}

impl Vitals {
    fn tell(&self, now: Timestamp) {
        let waited = self.backlog.oldest_due.map_or(Duration::ZERO, |due| now.since(due));
        metrics::gauge!("dream_ledger_unbalanced_accounts").set(count(self.unbalanced_accounts));
        metrics::gauge!("dream_orders_paid_unfulfilled").set(count(self.unfulfilled_orders));
        metrics::gauge!("dream_jobs_overdue").set(count(self.overdue_jobs));
        metrics::gauge!("dream_refunds_delayed").set(count(self.delayed_refunds));
        metrics::gauge!("dream_outbox_tasks_overdue").set(count(self.overdue_tasks));
        metrics::gauge!("dream_outbox_tasks_waiting").set(count(self.backlog.waiting));
        metrics::gauge!("dream_outbox_tasks_due").set(count(self.backlog.due));
        metrics::gauge!("dream_outbox_oldest_due_seconds").set(waited.as_secs_f64());
        let waits = self.oldest_pending_image.map_or(Duration::ZERO, |since| now.since(since));
        metrics::gauge!("dream_gallery_images_pending").set(count(self.pending_images));
        metrics::gauge!("dream_gallery_oldest_pending_seconds").set(waits.as_secs_f64());
    }
}

/// A gauge is a float; more rows than it counts exactly there are none.
fn count(rows: impl TryInto<u32>) -> f64 {
    rows.try_into().map_or(f64::INFINITY, f64::from)
}
