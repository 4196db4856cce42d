//! The points ledger: entries are only ever added, and the balance is their sum.

mod changes;
mod store;

use crate::access::{Admin, Session};
use crate::error::{Code, Error, Fault, Result};
use crate::kernel::{
    GenerationId, ListScope, OrderId, Page, PageRequest, Points, SortKey, Timestamp, UserId,
};
use crate::store::Store;
use crate::users::User;

pub use changes::Adjustment;
pub(crate) use changes::{AdjustByAdmin, Booking, ByHand, Cause, adjust_by_hand, book, open};
pub(crate) use store::{all_of, lifted, lock_balance, summary};

/// What an entry does to the balance.
///
/// ```
/// use dream_core::points::EntryKind;
///
/// // What an entry does to the balance. Amounts are always positive.
/// let signed = |kind, amount: i64| if kind == EntryKind::Spend { -amount } else { amount };
/// let entries = [(EntryKind::Earn, 50), (EntryKind::Spend, 20), (EntryKind::Refund, 20)];
/// assert_eq!(entries.map(|(kind, amount)| signed(kind, amount)).iter().sum::<i64>(), 50);
/// assert_eq!(EntryKind::parse("SPEND"), Some(EntryKind::Spend));
/// ```
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
    ///
    /// ```
    /// use dream_core::points::EntryKind;
    ///
    /// let kinds = [EntryKind::Earn, EntryKind::Spend, EntryKind::Refund];
    /// assert_eq!(kinds.map(EntryKind::as_str), ["EARN", "SPEND", "REFUND"]);
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            EntryKind::Earn => "EARN",
            EntryKind::Spend => "SPEND",
            EntryKind::Refund => "REFUND",
        }
    }

    /// The kind of this name.
    ///
    /// ```
    /// use dream_core::points::EntryKind;
    ///
    /// // Out of a client's filter.
    /// assert_eq!(EntryKind::parse("REFUND"), Some(EntryKind::Refund));
    /// assert_eq!(EntryKind::parse("ALL"), None);
    /// ```
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
///
/// ```
/// # dream_testkit::world::example_on(|world| world.daily_quota(0), async |world| {
/// use dream_core::kernel::{PageRequest, Points};
/// use dream_core::points::EntryKind;
///
/// # let alice = world.alice().await;
/// # world.admin().await.grant_points(alice.id(), Points::new(50), "a gift").await?;
/// alice.generates("a cat").await;
/// let page = alice.session().await.transactions(None, &PageRequest::default()).await?;
/// let newest = &page.items[0];
/// assert_eq!((newest.kind, newest.amount.get(), newest.balance_after.get()), (EntryKind::Spend, 10, 40));
/// assert!(newest.generation.is_some() && newest.order.is_none(), "what it was for");
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// # dream_testkit::world::example_on(|world| world.daily_quota(0), async |world| {
/// use dream_core::kernel::Points;
///
/// # let alice = world.alice().await;
/// # world.admin().await.grant_points(alice.id(), Points::new(50), "a gift").await?;
/// alice.generates("[fail] a cat").await;
/// world.settle().await;
/// let sums = alice.session().await.balance().await?;
/// // The job failed and its ten points came back, which is neither earned nor unspent.
/// assert_eq!(
///     (sums.balance, sums.total_earned, sums.total_spent),
///     (Points::new(50), Points::new(50), Points::new(10))
/// );
/// # Ok(())
/// # });
/// ```
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
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::kernel::Points;
    ///
    /// let me = world.alice().await.session().await;
    /// assert_eq!(me.balance().await?.balance, Points::ZERO, "a new user has a quota, but no points");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `TOKEN_REVOKED` if the account was deleted just now.
    pub async fn balance(&self) -> Result<Balance> {
        let core = &self.core;
        let read =
            |store: Store, users: Vec<UserId>| async move { store::balances(&mut store.db(), &users).await };
        let found = core.store.read_together(&core.balances, self.user, read).await?;
        found.ok_or(Code::TokenRevoked.into())
    }

    /// One's ledger, newest first, all of it or the entries of one kind.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::kernel::{PageRequest, Points};
    /// use dream_core::points::EntryKind;
    ///
    /// # let alice = world.alice().await;
    /// # let admin = world.admin().await;
    /// # admin.grant_points(alice.id(), Points::new(50), "a gift").await?;
    /// # admin.grant_points(alice.id(), Points::new(-20), "a mistake").await?;
    /// let me = alice.session().await;
    /// let spent = me.transactions(Some(EntryKind::Spend), &PageRequest::default()).await?;
    /// assert_eq!((spent.items.len(), spent.items[0].amount.get()), (1, 20));
    /// # Ok(())
    /// # });
    /// ```
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
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Code;
    /// use dream_core::kernel::{Points, UserId};
    ///
    /// # let alice = world.alice().await;
    /// let admin = world.admin().await;
    /// admin.grant_points(alice.id(), Points::new(50), "a gift").await?;
    /// assert_eq!(admin.balance_of(alice.id()).await?.balance, Points::new(50));
    /// let nobody = admin.balance_of(UserId::new(4711).unwrap()).await.unwrap_err();
    /// assert_eq!(nobody.code(), Code::UserNotFound);
    /// # Ok(())
    /// # });
    /// ```
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
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::kernel::{PageRequest, Points};
    ///
    /// # let (alice, bob) = (world.alice().await, world.user("bob").await);
    /// let admin = world.admin().await;
    /// admin.grant_points(alice.id(), Points::new(50), "a gift").await?;
    /// admin.grant_points(bob.id(), Points::new(70), "a gift").await?;
    /// let booked = admin.ledger(&PageRequest::default()).await?.items;
    /// assert_eq!(booked.iter().map(|entry| entry.user).collect::<Vec<_>>(), [bob.id(), alice.id()]);
    /// # Ok(())
    /// # });
    /// ```
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
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Code;
    /// use dream_core::kernel::Points;
    ///
    /// # let alice = world.alice().await;
    /// let admin = world.admin().await;
    /// assert_eq!(admin.grant_points(alice.id(), Points::new(50), "a gift").await?.balance.get(), 50);
    /// assert_eq!(admin.grant_points(alice.id(), Points::new(-20), "too many").await?.balance.get(), 30);
    ///
    /// let refused = admin.grant_points(alice.id(), Points::new(-31), "again").await.unwrap_err();
    /// assert_eq!(refused.code(), Code::InvalidState, "no balance falls below zero");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `USER_NOT_FOUND`; `VALIDATION_FAILED` for zero; `INVALID_STATE` if more would be taken than is there.
    pub async fn grant_points(&self, user: UserId, points: Points, reason: &str) -> Result<User> {
        check_delta(points, "points")?;
        self.adjust(user, changes::Adjustment::By(points), Some(reason)).await
    }

    /// Makes the balance this many points, by an entry in the ledger over the difference.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::kernel::{PageRequest, Points};
    /// use dream_core::points::EntryKind;
    ///
    /// # let alice = world.alice().await;
    /// let admin = world.admin().await;
    /// admin.grant_points(alice.id(), Points::new(50), "a gift").await?;
    /// admin.set_balance(alice.id(), Points::new(20), Some("as agreed on the phone")).await?;
    /// // The ledger is never rewritten: the difference is an entry.
    /// let newest = admin.transactions_of(alice.id(), &PageRequest::default()).await?.items.remove(0);
    /// assert_eq!((newest.kind, newest.amount.get()), (EntryKind::Spend, 30));
    /// # Ok(())
    /// # });
    /// ```
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
        let part = AdjustByAdmin {
            admin: self.same(),
            user,
            adjustment,
            cause: core.entropy.uuid().to_string(),
            reason: reason.map(str::to_owned),
            now: core.now(),
        };
        core.store.run_together(&core.adjustments, part).await?.ok_or(Code::UserNotFound.into())
    }
}

/// Whether an admin may change a balance so.
pub(crate) fn check_adjustment(adjustment: Adjustment) -> Result<()> {
    match adjustment {
        Adjustment::By(points) => check_delta(points, "pointsDelta"),
        Adjustment::To(balance) => check_balance(balance),
    }
}

fn check_delta(points: Points, field: &'static str) -> Result<()> {
    if points != Points::ZERO && (-MAX_GRANT..=MAX_GRANT).contains(&points.get()) {
        Ok(())
    } else {
        Err(Error::invalid_field(field, Fault::Range { min: -MAX_GRANT, max: MAX_GRANT }))
    }
}

/// Whether an admin may leave somebody this many points.
fn check_balance(balance: Points) -> Result<()> {
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
