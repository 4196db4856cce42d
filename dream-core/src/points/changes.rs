use super::{EntryKind, store};
use crate::access::Admin;
use crate::admin::{self, AuditEntry};
use crate::error::{Code, Error, Facts, Result};
use crate::kernel::{GenerationId, OrderId, Points, RefundId, Timestamp, UserId};
use crate::settings::Settings;
use crate::stats::{self, Delta};
use crate::store::{Change, Tx};
use crate::users::{self, User};

/// What an entry is booked for. A constraint allows each once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cause<'a> {
    /// A recharge that was paid.
    Order(&'a OrderId),
    /// A recharge that was refunded.
    OrderRefund(&'a OrderId, &'a RefundId),
    /// A refund of a recharge that did not come about.
    OrderRefundFailed(&'a OrderId, &'a RefundId),
    /// The charge of a generation.
    Generation(GenerationId),
    /// That charge given back.
    GenerationReturn(GenerationId),
    /// An admin's doing, by a fresh id.
    Admin(&'a str),
    /// An entry of the original service, by the user's id there and its own.
    Original(&'a str),
    /// What was missing there when that entry was booked.
    OriginalLift(&'a str),
    /// What a balance there differed by from its entries, by the user's id.
    OriginalBalance(&'a str),
}

impl<'a> Cause<'a> {
    pub(super) fn key(self) -> (&'static str, String) {
        match self {
            Cause::Order(order) => ("order", order.to_string()),
            Cause::OrderRefund(_, refund) => ("order_refund", refund.to_string()),
            Cause::OrderRefundFailed(_, refund) => ("order_refund_failed", refund.to_string()),
            Cause::Generation(generation) => ("generation", generation.to_string()),
            Cause::GenerationReturn(generation) => ("generation_return", generation.to_string()),
            Cause::Admin(id) => ("admin", id.to_owned()),
            Cause::Original(id) => ("original", id.to_owned()),
            Cause::OriginalLift(id) => ("original_lift", id.to_owned()),
            Cause::OriginalBalance(user) => ("original_balance", user.to_owned()),
        }
    }

    pub(super) fn order(self) -> Option<&'a OrderId> {
        match self {
            Cause::Order(order) | Cause::OrderRefund(order, _) | Cause::OrderRefundFailed(order, _) => {
                Some(order)
            }
            _ => None,
        }
    }

    pub(super) fn generation(self) -> Option<GenerationId> {
        match self {
            Cause::Generation(id) | Cause::GenerationReturn(id) => Some(id),
            _ => None,
        }
    }
}

/// An entry to be booked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Booking<'a> {
    pub(crate) user: UserId,
    pub(crate) kind: EntryKind,
    pub(crate) amount: Points,
    pub(crate) cause: Cause<'a>,
    pub(crate) description: &'a str,
}

/// Gives a new user its account.
pub(crate) async fn open(tx: &mut Tx, user: UserId) -> Result<()> {
    store::insert_account(tx, user).await
}

/// Books an entry and tells the balance behind it; `None` if there are too few points, and then nothing happened.
pub(crate) async fn book(tx: &mut Tx, booking: &Booking<'_>, now: Timestamp) -> Result<Option<Points>> {
    let Some(after) = store::add_to_account(tx, booking).await? else { return Ok(None) };
    store::insert_entry(tx, booking, after, now).await?;
    Ok(Some(after))
}

/// A change of a balance by hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByHand<'a> {
    pub(crate) user: UserId,
    /// A fresh id, so that it is booked once.
    pub(crate) cause: &'a str,
    pub(crate) reason: Option<&'a str>,
    pub(crate) settings: &'a Settings,
}

/// Makes the balance this many points, by an entry over the difference; what it was, unless there is no account. The
/// caller writes the audit log.
pub(crate) async fn set_by_hand(
    tx: &mut Tx,
    by_hand: ByHand<'_>,
    target: Points,
    now: Timestamp,
) -> Result<Option<Points>> {
    let Some(before) = store::lock_balance(tx, by_hand.user).await? else { return Ok(None) };
    let difference = target.checked_sub(before).ok_or(Code::Internal)?;
    book_by_hand(tx, by_hand, before, difference, now).await?;
    Ok(Some(before))
}

/// Books a difference; the balance behind it.
async fn book_by_hand(
    tx: &mut Tx,
    by_hand: ByHand<'_>,
    before: Points,
    difference: Points,
    now: Timestamp,
) -> Result<Points> {
    if difference == Points::ZERO {
        return Ok(before);
    }
    let booking = Booking {
        user: by_hand.user,
        kind: if difference.is_positive() { EntryKind::Earn } else { EntryKind::Spend },
        amount: Points::new(difference.get().abs()),
        cause: Cause::Admin(by_hand.cause),
        description: by_hand.reason.unwrap_or("管理员调整"),
    };
    let Some(after) = book(tx, &booking, now).await? else {
        let shortfall = -(before.get() + difference.get());
        return Err(Error::new(Code::InvalidState).with_facts(Facts::Shortfall { points: shortfall }));
    };
    let (earned, spent) = (difference.get().max(0), (-difference.get()).max(0));
    stats::add(tx, by_hand.settings, now, Delta { earned, spent, ..Delta::default() }).await?;
    Ok(after)
}

/// How an admin changes a balance.
#[derive(Debug, Clone, Copy)]
pub(super) enum Adjustment {
    By(Points),
    To(Points),
}

pub(super) struct AdjustByAdmin<'a> {
    pub(super) admin: &'a Admin,
    pub(super) adjustment: Adjustment,
    pub(super) by_hand: ByHand<'a>,
    pub(super) now: Timestamp,
}

impl Change for AdjustByAdmin<'_> {
    const NAME: &'static str = "points.adjust_by_admin";
    type Out = Option<User>;

    async fn apply(&self, tx: &mut Tx) -> Result<Option<User>> {
        let user = self.by_hand.user;
        let Some(balance) = store::lock_balance(tx, user).await? else { return Ok(None) };
        let Some(before) = users::find(tx, user, self.now).await? else { return Ok(None) };
        let difference = match self.adjustment {
            Adjustment::By(points) => points,
            Adjustment::To(target) => target.checked_sub(balance).ok_or(Code::Internal)?,
        };
        if difference == Points::ZERO {
            return Ok(Some(before));
        }
        let after = book_by_hand(tx, self.by_hand, balance, difference, self.now).await?;
        let entry = AuditEntry::new("points.adjust", format!("user:{user}"))
            .before(serde_json::json!({ "pointsBalance": balance.get() }))
            .after(serde_json::json!({ "pointsBalance": after.get() }))
            .reason(self.by_hand.reason);
        admin::record(tx, self.admin, entry, self.now).await?;
        users::find(tx, user, self.now).await
    }
}
