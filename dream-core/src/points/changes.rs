use std::collections::{BTreeMap, BTreeSet};

use super::{EntryKind, store};
use crate::access::Admin;
use crate::admin::{self, AuditEntry};
use crate::error::{Code, Error, Facts, Result};
use crate::kernel::{GenerationId, OrderId, Points, RefundId, Timestamp, UserId};
use crate::settings::Settings;
use crate::stats::{self, Delta};
use crate::store::{Joint, Tx};
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
    store::insert_entries(tx, &[Posting { booking: *booking, after, at: now }]).await?;
    Ok(Some(after))
}

/// A change of a balance by hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByHand<'a> {
    pub(crate) user: UserId,
    /// A fresh id, so that it is booked once.
    pub(crate) cause: &'a str,
    pub(crate) reason: Option<&'a str>,
}

/// A booking on an account that is locked, with the balance behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Posting<'a> {
    pub(super) booking: Booking<'a>,
    pub(super) after: Points,
    pub(super) at: Timestamp,
}

impl<'a> ByHand<'a> {
    /// What a difference is booked as. None is booked for no difference.
    fn posting(self, before: Points, difference: Points, at: Timestamp) -> Result<Option<Posting<'a>>> {
        if difference == Points::ZERO {
            return Ok(None);
        }
        let after = before.checked_add(difference).ok_or(Code::Internal)?;
        if after < Points::ZERO {
            return Err(Error::new(Code::InvalidState).with_facts(Facts::Shortfall { points: -after.get() }));
        }
        let booking = Booking {
            user: self.user,
            kind: if difference.is_positive() { EntryKind::Earn } else { EntryKind::Spend },
            amount: Points::new(difference.get().abs()),
            cause: Cause::Admin(self.cause),
            description: self.reason.unwrap_or("管理员调整"),
        };
        Ok(Some(Posting { booking, after, at }))
    }
}

/// Books on accounts that are locked.
async fn post(tx: &mut Tx, settings: &Settings, postings: &[Posting<'_>]) -> Result<()> {
    let mut hours: BTreeMap<Timestamp, Delta> = BTreeMap::new();
    for Posting { booking, at, .. } in postings {
        let (earned, spent) = match booking.kind {
            EntryKind::Earn => (booking.amount.get(), 0),
            EntryKind::Spend => (0, booking.amount.get()),
            EntryKind::Refund => (0, 0),
        };
        let hour = hours.entry(settings.zone.start_of_hour(*at)).or_default();
        *hour = hour.plus(Delta { earned, spent, ..Delta::default() });
    }
    store::add_to_accounts(tx, postings).await?;
    store::insert_entries(tx, postings).await?;
    for (hour, delta) in hours {
        stats::add(tx, settings, hour, delta).await?;
    }
    Ok(())
}

/// Changes the balance by an entry over the difference; what it was, unless there is no account. The caller writes the
/// audit log.
pub(crate) async fn adjust_by_hand(
    tx: &mut Tx,
    settings: &Settings,
    by_hand: ByHand<'_>,
    adjustment: Adjustment,
    now: Timestamp,
) -> Result<Option<Points>> {
    let Some(before) = store::lock_balance(tx, by_hand.user).await? else { return Ok(None) };
    let difference = adjustment.difference(before)?;
    if let Some(posting) = by_hand.posting(before, difference, now)? {
        post(tx, settings, &[posting]).await?;
    }
    Ok(Some(before))
}

/// How an admin changes a balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adjustment {
    /// By this many points, which a negative number takes. Whatever the user earns or spends meanwhile stays.
    By(Points),
    /// To this many points.
    To(Points),
}

impl Adjustment {
    fn difference(self, balance: Points) -> Result<Points> {
        match self {
            Adjustment::By(points) => Ok(points),
            Adjustment::To(target) => target.checked_sub(balance).ok_or(Code::Internal.into()),
        }
    }
}

/// What an admin changes about a balance.
pub(crate) struct AdjustByAdmin {
    pub(super) admin: Admin,
    pub(super) user: UserId,
    pub(super) adjustment: Adjustment,
    pub(super) cause: String,
    pub(super) reason: Option<String>,
    pub(super) now: Timestamp,
}

impl AdjustByAdmin {
    fn posting(&self, balance: Points) -> Result<Option<Posting<'_>>> {
        let difference = self.adjustment.difference(balance)?;
        let by_hand = ByHand { user: self.user, cause: &self.cause, reason: self.reason.as_deref() };
        by_hand.posting(balance, difference, self.now)
    }
}

impl Joint for AdjustByAdmin {
    const NAME: &'static str = "points.adjust_by_admin";
    type Out = Option<User>;

    async fn apply_all(parts: &[Self], tx: &mut Tx) -> Result<Vec<Result<Option<User>>>> {
        let Some(first) = parts.first() else { return Ok(Vec::new()) };
        let settings = &first.admin.core.settings;
        let ids: BTreeSet<UserId> = parts.iter().map(|part| part.user).collect();
        let ids: Vec<UserId> = ids.into_iter().collect();
        store::lock_accounts(tx, &ids).await?;
        // Behind the locks, so that the balances are what they will stay.
        let mut users = users::find_all(tx, &ids, first.now).await?;
        let (mut postings, mut entries, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            let Some(user) = users.get_mut(&part.user) else {
                outcomes.push(Ok(None));
                continue;
            };
            let before = user.balance;
            let posting = match part.posting(before) {
                Ok(posting) => posting,
                Err(refusal) => {
                    outcomes.push(Err(refusal));
                    continue;
                }
            };
            if let Some(posting) = posting {
                user.balance = posting.after;
                postings.push(posting);
                let entry = AuditEntry::new("points.adjust", format!("user:{}", part.user))
                    .before(serde_json::json!({ "pointsBalance": before.get() }))
                    .after(serde_json::json!({ "pointsBalance": posting.after.get() }))
                    .reason(part.reason.as_deref());
                entries.push((&part.admin, entry, part.now));
            }
            outcomes.push(Ok(Some(user.clone())));
        }
        if !postings.is_empty() {
            post(tx, settings, &postings).await?;
            admin::record_all(tx, &entries).await?;
        }
        Ok(outcomes)
    }
}
