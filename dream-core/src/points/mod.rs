//! The points ledger: entries are only ever added, and the balance is their sum.

mod changes;
mod store;

use crate::access::{Admin, Session};
use crate::error::{Code, Error, Fault, Result};
use crate::kernel::{
    GenerationId, ListScope, OrderId, Page, PageRequest, Points, SortKey, Timestamp, UserId,
};
use crate::users::User;

pub(crate) use changes::{Booking, ByHand, Cause, book, open, set_by_hand};
pub(crate) use store::{all_of, lifted, lock_balance, summary};

/// What an entry does to the balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// Adds: a recharge, a grant, an admin's raise.
    Earn,
    /// Takes: a generation, an admin's cut, a recharge that was refunded.
    Spend,
    /// Adds: a charge that is given back.
    Refund,
}

impl EntryKind {
    /// Every kind by its name.
    pub const NAMES: &'static [&'static str] = &["EARN", "SPEND", "REFUND"];

    /// The kind's name in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            EntryKind::Earn => "EARN",
            EntryKind::Spend => "SPEND",
            EntryKind::Refund => "REFUND",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "EARN" => EntryKind::Earn,
            "SPEND" => EntryKind::Spend,
            "REFUND" => EntryKind::Refund,
            _ => return None,
        })
    }
}

/// One entry of somebody's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Row id.
    pub id: i64,
    /// Whose ledger.
    pub user: UserId,
    /// What it does to the balance.
    pub kind: EntryKind,
    /// How many points, always positive.
    pub amount: Points,
    /// Why, for people.
    pub description: String,
    /// The balance behind it.
    pub balance_after: Points,
    /// The order it belongs to.
    pub order: Option<OrderId>,
    /// The generation it belongs to.
    pub generation: Option<GenerationId>,
    /// When it was booked.
    pub created_at: Timestamp,
}

/// Somebody's points in sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Points that can be spent: earned − spent + given back.
    pub balance: Points,
    /// All points ever earned.
    pub total_earned: Points,
    /// All points ever spent, whether given back or not.
    pub total_spent: Points,
}

impl Session {
    /// One's points in sum.
    ///
    /// # Errors
    /// `TOKEN_REVOKED` if the account was deleted just now.
    pub async fn balance(&self) -> Result<Balance> {
        store::balance(&mut self.core.store.db(), self.user).await?.ok_or(Code::TokenRevoked.into())
    }

    /// One's ledger, newest first, all of it or the entries of one kind.
    ///
    /// # Errors
    /// `INVALID_CURSOR`.
    pub async fn transactions(
        &self,
        kind: Option<EntryKind>,
        page: &PageRequest,
    ) -> Result<Page<LedgerEntry>> {
        list(&self.core, self.user, kind, page).await
    }
}

impl Admin {
    /// A user's points in sum.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    pub async fn balance_of(&self, user: UserId) -> Result<Balance> {
        store::balance(&mut self.core.store.db(), user).await?.ok_or(Code::UserNotFound.into())
    }

    /// A user's ledger, newest first.
    ///
    /// # Errors
    /// `INVALID_CURSOR`.
    pub async fn transactions_of(&self, user: UserId, page: &PageRequest) -> Result<Page<LedgerEntry>> {
        list(&self.core, user, None, page).await
    }

    /// Everybody's ledger against the order of booking. By cursor only: a page's number is not looked at.
    ///
    /// # Errors
    /// `INVALID_CURSOR`.
    pub async fn ledger(&self, page: &PageRequest) -> Result<Page<LedgerEntry>> {
        let core = &self.core;
        let scope = ListScope::of("ledger");
        let start = core.cursors.start(&scope, page)?;
        let rows = store::booked(&mut core.store.db(), start.id, page).await?;
        Ok(core.cursors.page(&scope, page.limit, rows, |entry| SortKey { by: entry.id, id: entry.id }))
    }

    /// Adds points, or takes them where the number is negative, by an entry in the ledger.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`; `VALIDATION_FAILED` for zero; `INVALID_STATE` if more would be taken than is there.
    pub async fn grant_points(&self, user: UserId, points: Points, reason: &str) -> Result<User> {
        if points == Points::ZERO || !(-MAX_GRANT..=MAX_GRANT).contains(&points.get()) {
            return Err(Error::invalid_field("points", Fault::Range { min: -MAX_GRANT, max: MAX_GRANT }));
        }
        self.adjust(user, changes::Adjustment::By(points), Some(reason)).await
    }

    /// Makes the balance this many points, by an entry in the ledger over the difference.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`; `VALIDATION_FAILED` for a negative balance.
    pub async fn set_balance(&self, user: UserId, balance: Points, reason: Option<&str>) -> Result<User> {
        check_balance(balance)?;
        self.adjust(user, changes::Adjustment::To(balance), reason).await
    }

    async fn adjust(
        &self,
        user: UserId,
        adjustment: changes::Adjustment,
        reason: Option<&str>,
    ) -> Result<User> {
        use crate::ports::EntropyExt as _;
        let core = &self.core;
        let cause = core.entropy.uuid().to_string();
        let by_hand = ByHand { user, cause: &cause, reason, settings: &core.settings };
        let change = changes::AdjustByAdmin { admin: self, adjustment, by_hand, now: core.now() };
        let user = core.store.run(&change).await?.ok_or(Code::UserNotFound)?;
        Ok(user)
    }
}

/// Whether an admin may leave somebody this many points.
pub(crate) fn check_balance(balance: Points) -> Result<()> {
    if (0..=MAX_GRANT).contains(&balance.get()) {
        Ok(())
    } else {
        Err(Error::invalid_field("pointsBalance", Fault::Range { min: 0, max: MAX_GRANT }))
    }
}

/// Most points that an admin can give or leave at once.
const MAX_GRANT: i64 = 1_000_000_000;

async fn list(
    core: &crate::dream::Core,
    user: UserId,
    kind: Option<EntryKind>,
    page: &PageRequest,
) -> Result<Page<LedgerEntry>> {
    let scope = ListScope::of("points").with("user", user).with("type", kind.map_or("", EntryKind::as_str));
    let start = core.cursors.start(&scope, page)?;
    let mut db = core.store.db();
    let rows = store::entries(&mut db, user, kind, start, page).await?;
    let mut page = core
        .cursors
        .page(&scope, page.limit, rows, |entry| SortKey { by: entry.created_at.as_micros(), id: entry.id });
    page.total = store::count(&mut db, user, kind).await?;
    Ok(page)
}
