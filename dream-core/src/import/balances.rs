//! What somebody's balance is, where the original service had two.

use super::batch::Work;
use super::rules::Cells;
use super::source;
use super::{Context, ImportNews, RemarkKind, Run, TrustedBalance, store};
use crate::error::Result;
use crate::kernel::{Points, UserId};
use crate::points::{self, Booking, Cause, EntryKind};
use crate::stats::Delta;
use crate::store::{Change, Tx};
use crate::users;

/// Where the sums of histories are noted, by the user's id there.
const HISTORIES: &str = "point_transactions:sum";
/// Where it is noted whose balance was seen to.
const BALANCES: &str = "users:balance";

/// What entries add up to, user by user as they are read.
#[derive(Debug, Default)]
pub(super) struct History {
    present: Option<(String, i64)>,
    finished: Vec<(String, i64)>,
}

impl History {
    pub(super) fn add(&mut self, user: &str, points: i64) {
        match &mut self.present {
            Some((present, sum)) if present == user => *sum = sum.saturating_add(points),
            _ => {
                self.finished.extend(self.present.take());
                self.present = Some((user.to_owned(), points));
            }
        }
    }

    /// Those whose entries were all read.
    pub(super) fn finished(&mut self) -> Vec<(String, i64)> {
        std::mem::take(&mut self.finished)
    }

    pub(super) fn all(mut self) -> Vec<(String, i64)> {
        self.finished.extend(self.present.take());
        self.finished
    }
}

struct Keep {
    sums: Vec<(String, i64)>,
}

impl Change for Keep {
    const NAME: &'static str = "import.keep_history";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        for (user, sum) in &self.sums {
            store::note(tx, HISTORIES, user, *sum).await?;
        }
        Ok(())
    }
}

/// Somebody whose figures are known.
struct Figures {
    user: UserId,
    shown: Option<i64>,
    entered: i64,
    /// Points that were to be taken, and are spent already.
    short: i64,
}

struct Settle<'a> {
    /// Ids there, and the balances that the rows show.
    rows: Vec<(String, Option<i64>)>,
    context: &'a Context<'a>,
}

impl Settle<'_> {
    /// What the balance is to be.
    fn wanted(&self, figures: &Figures) -> i64 {
        let shown = match self.context.options.balance {
            TrustedBalance::Shown => figures.shown,
            TrustedBalance::History => None,
        };
        shown.unwrap_or(figures.entered).max(0)
    }

    /// Books what the balance differs by from the entries; how much of it could not be.
    async fn book(&self, tx: &mut Tx, id: &str, figures: &Figures, work: &mut Work<'_>) -> Result<i64> {
        let lifted = points::lifted(tx, figures.user, id).await?;
        let difference = self.wanted(figures) - figures.entered.saturating_add(lifted);
        if difference == 0 {
            return Ok(0);
        }
        let booking = Booking {
            user: figures.user,
            kind: if difference > 0 { EntryKind::Earn } else { EntryKind::Spend },
            amount: Points::new(difference.abs()),
            cause: Cause::OriginalBalance(id),
            description: "原系统余额校正",
        };
        let now = self.context.now;
        if points::book(tx, &booking, now).await?.is_some() {
            let (earned, spent) = (difference.max(0), (-difference).max(0));
            work.count(now, Delta { earned, spent, ..Delta::default() });
            return Ok(0);
        }
        Ok(difference.abs())
    }
}

impl Change for Settle<'_> {
    const NAME: &'static str = "import.settle_balances";
    /// The figures of those who are here.
    type Out = Vec<Option<Figures>>;

    async fn apply(&self, tx: &mut Tx) -> Result<Self::Out> {
        let ids: Vec<&str> = self.rows.iter().map(|(id, _)| id.as_str()).collect();
        let here = store::here(tx, source::USERS.name, &ids).await?;
        let histories = store::here(tx, HISTORIES, &ids).await?;
        let settled = store::here(tx, BALANCES, &ids).await?;
        let mut numbers: Vec<i64> = here.values().copied().collect();
        numbers.sort_unstable();
        for user in numbers.iter().filter_map(|number| UserId::new(*number)) {
            points::lock_balance(tx, user).await?;
        }
        let living = users::living(tx, &numbers).await?;
        let mut work = Work::new(self.context);
        let mut all = Vec::with_capacity(self.rows.len());
        for (id, shown) in &self.rows {
            let number = here.get(id).filter(|number| living.contains(number));
            let Some(user) = number.and_then(|number| UserId::new(*number)) else {
                all.push(None);
                continue;
            };
            let entered = histories.get(id).copied().unwrap_or(0);
            let mut figures = Figures { user, shown: *shown, entered, short: 0 };
            if !settled.contains_key(id) {
                figures.short = self.book(tx, id, &figures, &mut work).await?;
                store::note(tx, BALANCES, id, self.wanted(&figures)).await?;
            }
            all.push(Some(figures));
        }
        work.finish(tx).await?;
        Ok(all)
    }
}

impl<F: FnMut(ImportNews) + Send> Run<'_, F> {
    pub(super) async fn keep(&mut self, sums: Vec<(String, i64)>) -> Result<()> {
        if sums.is_empty() { Ok(()) } else { self.series.run(&Keep { sums }).await }
    }

    /// Sees to it that everybody has the points that they had, and says who had two figures.
    pub(super) async fn balances(&mut self) -> Result<()> {
        let cursor = self.source.read(&source::USERS, "balances").await?;
        let mut before = None;
        loop {
            let lines = self.source.fetch(&cursor).await?;
            if lines.is_empty() {
                break;
            }
            let mut settle = Settle { rows: Vec::with_capacity(lines.len()), context: &self.context };
            for line in &lines {
                let id = line.get("id").map(str::to_owned);
                if let Some(id) = id.clone().filter(|_| id != before) {
                    let mut cells = Cells { line, notes: Vec::new(), zone: &self.context.zone };
                    settle.rows.push((id, cells.number("points_balance")));
                }
                before = id;
            }
            let all = self.series.run(&settle).await?;
            let rows = settle.rows;
            for ((id, shown), figures) in rows.into_iter().zip(all) {
                let Some(figures) = figures else { continue };
                let entered = figures.entered;
                self.report.entered_points = self.report.entered_points.saturating_add(entered);
                self.report.shown_points = self.report.shown_points.saturating_add(shown.unwrap_or(0));
                if figures.short > 0 {
                    let what = format!("{} points of its balance are spent already, and stay", figures.short);
                    self.remark(RemarkKind::Balance, source::USERS.name, Some(&id), what);
                }
                if shown.is_some_and(|shown| shown != entered) || entered < 0 {
                    let kept = match self.context.options.balance {
                        TrustedBalance::Shown => shown.unwrap_or(entered),
                        TrustedBalance::History => entered,
                    };
                    let shown = shown.map_or_else(|| "nothing".to_owned(), |points| points.to_string());
                    let what = format!(
                        "its row shows {shown}, its entries add up to {entered}; kept: {}",
                        kept.max(0)
                    );
                    self.remark(RemarkKind::Balance, source::USERS.name, Some(&id), what);
                }
            }
        }
        self.source.close(cursor).await
    }
}
