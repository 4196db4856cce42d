//! Some rows of a table, taken over in one commit.

use std::collections::BTreeMap;
use std::future::Future;

use super::rules::{Cells, Notes};
use super::source::Spec;
use super::{Context, RemarkKind, balances, store, user_here};
use crate::error::Result;
use crate::kernel::{Timestamp, UserId};
use crate::stats::{self, Delta, UserDelta};
use crate::store::{Change, Tx};
use crate::{points, users};

/// Greatest number that clients can read exactly, and far from where numbers end.
pub(super) const GREATEST_ID: i64 = 1 << 53;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Became {
    New,
    HereBefore,
    Joined,
    LeftOut,
}

/// To what a row belongs.
pub(super) struct Owner<'a> {
    /// Its table at the original service.
    pub(super) table: &'static str,
    pub(super) id: &'a str,
    /// Whether the row is nothing without it.
    pub(super) needed: bool,
}

/// How the rows of one table are taken over.
pub(super) trait Taking: Send + Sync + 'static {
    const SPEC: &'static Spec;
    /// A row as it is understood.
    type Item: Send + Sync;

    /// What the row says; `None` if it cannot be taken over, and then it is noted why.
    fn read(cells: &mut Cells<'_>, context: &Context<'_>) -> Option<Self::Item>;

    /// To what the row belongs.
    fn owner(item: &Self::Item) -> Option<Owner<'_>>;

    /// What the row is noted by: its id.
    fn key(_item: &Self::Item, id: &str) -> String {
        id.to_owned()
    }

    /// Adds the row to what is known of somebody's history.
    fn remember(_item: &Self::Item, _history: &mut balances::History) {}

    /// Writes a row that was not taken over before. Its number here, if it is or was here now.
    fn put(
        tx: &mut Tx,
        row: &RowToPut<'_, Self::Item>,
        work: &mut Work<'_>,
    ) -> impl Future<Output = Result<Option<(i64, Became)>>> + Send;
}

/// A row that is to be written.
pub(super) struct RowToPut<'a, I> {
    pub(super) id: &'a str,
    pub(super) item: &'a I,
    /// What it belongs to, here.
    pub(super) owner: Option<i64>,
}

impl<I> RowToPut<'_, I> {
    /// The number that it keeps if it is free here.
    pub(super) fn number(&self) -> Option<i64> {
        let digits = self.id.len() <= 18 && self.id.bytes().all(|byte| byte.is_ascii_digit());
        self.id.parse().ok().filter(|number| digits && (1..=GREATEST_ID).contains(number))
    }

    pub(super) fn user(&self) -> Option<UserId> {
        user_here(self.owner)
    }
}

/// What the work on a batch gathers.
pub(super) struct Work<'a> {
    pub(super) context: &'a Context<'a>,
    notes: Notes,
    hours: BTreeMap<Timestamp, Delta>,
    people: BTreeMap<UserId, UserDelta>,
}

impl<'a> Work<'a> {
    pub(super) fn new(context: &'a Context<'a>) -> Self {
        Self { context, notes: Vec::new(), hours: BTreeMap::new(), people: BTreeMap::new() }
    }

    pub(super) fn changed(&mut self, what: impl Into<String>) {
        self.notes.push((RemarkKind::Changed, what.into()));
    }

    /// It cannot be taken over. For `return Ok(work.left_out(…))`.
    pub(super) fn left_out<T>(&mut self, why: impl Into<String>) -> Option<T> {
        self.notes.push((RemarkKind::LeftOut, why.into()));
        None
    }

    /// Says that it has another number than it had.
    pub(super) fn numbered(&mut self, before: Option<i64>, here: i64) {
        if before != Some(here) {
            self.changed(format!("its id was taken, and is {here} here"));
        }
    }

    /// Adds to the figures of the hour in which it happened.
    pub(super) fn count(&mut self, at: Timestamp, delta: Delta) {
        let hour = self.hours.entry(self.context.settings.zone.start_of_hour(at)).or_default();
        *hour = hour.plus(delta);
    }

    /// Adds to the figures of a user.
    pub(super) fn count_for(&mut self, user: UserId, delta: UserDelta) {
        let figures = self.people.entry(user).or_default();
        *figures = figures.plus(delta);
    }

    /// Writes the figures.
    pub(super) async fn finish(self, tx: &mut Tx) -> Result<()> {
        for (user, delta) in &self.people {
            stats::add_to_user(tx, *user, delta).await?;
        }
        for (hour, delta) in self.hours {
            stats::add(tx, self.context.settings, hour, delta).await?;
        }
        Ok(())
    }
}

/// Some rows of a table.
pub(super) struct Batch<'a, T: Taking> {
    pub(super) rows: Vec<(String, T::Item)>,
    pub(super) context: &'a Context<'a>,
}

impl<T: Taking> Change for Batch<'_, T> {
    const NAME: &'static str = "import.batch";
    type Out = Vec<(Became, Notes)>;

    async fn apply(&self, tx: &mut Tx) -> Result<Self::Out> {
        let ids: Vec<&str> = self.rows.iter().map(|(id, _)| id.as_str()).collect();
        let here = store::here(tx, T::SPEC.name, &ids).await?;
        let mut owners = BTreeMap::<&'static str, Vec<&str>>::new();
        for owner in self.rows.iter().filter_map(|(_, item)| T::owner(item)) {
            owners.entry(owner.table).or_default().push(owner.id);
        }
        let mut owners_here = BTreeMap::new();
        for (table, mut ids) in owners {
            ids.sort_unstable();
            ids.dedup();
            let mut found = store::here(tx, table, &ids).await?;
            if table == "users" {
                let mut numbers: Vec<i64> = found.values().copied().collect();
                numbers.sort_unstable();
                // In one order for all who take more than one account's lock.
                for user in numbers.iter().filter_map(|number| UserId::new(*number)) {
                    points::lock_balance(tx, user).await?;
                }
                let living = users::living(tx, &numbers).await?;
                found.retain(|_, number| living.contains(number));
            }
            owners_here.insert(table, found);
        }
        let mut work = Work::new(self.context);
        let mut outcome = Vec::with_capacity(self.rows.len());
        for (id, item) in &self.rows {
            let owner = T::owner(item);
            let owner_here =
                owner.as_ref().and_then(|owner| owners_here.get(owner.table)?.get(owner.id).copied());
            let became = if here.contains_key(id) {
                Became::HereBefore
            } else if let Some(owner) = owner.filter(|owner| owner.needed && owner_here.is_none()) {
                let why = format!("it belongs to {} {}, which is not here", owner.table, owner.id);
                work.notes.push((RemarkKind::LeftOut, why));
                Became::LeftOut
            } else {
                let row = RowToPut { id, item, owner: owner_here };
                match T::put(tx, &row, &mut work).await? {
                    Some((number, became)) => {
                        store::note(tx, T::SPEC.name, id, number).await?;
                        became
                    }
                    None => Became::LeftOut,
                }
            };
            outcome.push((became, std::mem::take(&mut work.notes)));
        }
        work.finish(tx).await?;
        Ok(outcome)
    }
}
