//! One order with everything that belongs to it, for an admin: its user, what the channel reported, its refunds and their
//! troubles, and what happened when.
//!
//! Only reads, in one snapshot, so that the parts agree. The user is read beside it, and is absent once the account is
//! deleted.

use super::store;
use super::{Order, OrderState, Refund, RefundStatus};
use crate::access::Admin;
use crate::error::{Code, Result};
use crate::kernel::{Fen, OrderId, Timestamp};
use crate::users::User;

/// An order with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderDetail {
    /// The order.
    pub order: Order,
    /// Whose it is; `None` once the account is deleted.
    pub user: Option<User>,
    /// Payments that the channel reported, by notification or query, oldest first.
    pub payments: Vec<ReportedPayment>,
    /// Its refunds, oldest first.
    pub refunds: Vec<Refund>,
    /// What happened, oldest first.
    pub timeline: Vec<OrderEvent>,
}

/// A payment that the channel reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedPayment {
    /// The channel's number of it.
    pub transaction_id: String,
    /// How much was paid, in fen.
    pub amount: Fen,
    /// Whether the order was paid already, so that this one is refunded by itself.
    pub surplus: bool,
    /// When it was paid, by the channel's clock.
    pub paid_at: Timestamp,
    /// When it was recorded here.
    pub recorded_at: Timestamp,
}

/// Something that happened to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderEvent {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: OrderEventKind,
    /// The channel's number of the payment, or our number of the refund.
    pub reference: Option<String>,
    /// The amount of the payment or refund, in fen.
    pub amount: Option<Fen>,
    /// Why a refund failed or does not get on.
    pub reason: Option<String>,
}

/// What happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderEventKind {
    /// It was placed.
    Created,
    /// It was closed unpaid.
    Cancelled,
    /// It was paid.
    Paid,
    /// It was paid once more.
    SurplusPaid,
    /// What was bought was given.
    Fulfilled,
    /// A refund was requested.
    RefundRequested,
    /// A refund does not get on, and needs a person.
    RefundDelayed,
    /// A refund arrived.
    RefundSucceeded,
    /// A refund failed, and what it had taken back was given again.
    RefundFailed,
    /// The whole amount is refunded.
    Refunded,
}

impl OrderEventKind {
    /// Every kind by its name.
    pub const NAMES: &'static [&'static str] = &[
        "CREATED",
        "CANCELLED",
        "PAID",
        "SURPLUS_PAID",
        "FULFILLED",
        "REFUND_REQUESTED",
        "REFUND_DELAYED",
        "REFUND_SUCCEEDED",
        "REFUND_FAILED",
        "REFUNDED",
    ];

    /// The kind's name in answers.
    pub const fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// The instants of an order that it does not carry itself.
pub(super) struct Milestones {
    pub(super) cancelled_at: Option<Timestamp>,
    pub(super) fulfilled_at: Option<Timestamp>,
}

impl Admin {
    /// An order with everything that belongs to it.
    ///
    /// # Errors
    /// `ORDER_NOT_FOUND`.
    pub async fn order_detail(&self, id: &OrderId) -> Result<OrderDetail> {
        let mut tx = self.core.store.snapshot().await?;
        let order = store::find(&mut tx, self.scope(), id).await?.ok_or(Code::OrderNotFound)?;
        let payments = store::payments_of(&mut tx, id).await?;
        let refunds = store::refunds_of(&mut tx, id).await?;
        let milestones = store::milestones(&mut tx, id).await?;
        drop(tx);
        let user = match self.user(order.user).await {
            Ok(user) => Some(user),
            Err(error) if error.code() == Code::UserNotFound => None,
            Err(error) => return Err(error),
        };
        let timeline = timeline(&order, &milestones, &payments, &refunds);
        Ok(OrderDetail { order, user, payments, refunds, timeline })
    }
}

fn timeline(
    order: &Order,
    milestones: &Milestones,
    payments: &[ReportedPayment],
    refunds: &[Refund],
) -> Vec<OrderEvent> {
    let plain = |at, kind| OrderEvent { at, kind, reference: None, amount: None, reason: None };
    let mut events = vec![plain(order.created_at, OrderEventKind::Created)];
    events.extend(milestones.cancelled_at.map(|at| plain(at, OrderEventKind::Cancelled)));
    events.extend(milestones.fulfilled_at.map(|at| plain(at, OrderEventKind::Fulfilled)));
    if let OrderState::Refunded { at, .. } = order.state {
        events.push(plain(at, OrderEventKind::Refunded));
    }
    events.extend(payments.iter().map(|payment| OrderEvent {
        at: payment.paid_at,
        kind: if payment.surplus { OrderEventKind::SurplusPaid } else { OrderEventKind::Paid },
        reference: Some(payment.transaction_id.clone()),
        amount: Some(payment.amount),
        reason: None,
    }));
    for refund in refunds {
        let of_refund = |at, kind, reason| OrderEvent {
            at,
            kind,
            reference: Some(refund.refund_id.to_string()),
            amount: Some(refund.amount),
            reason,
        };
        let requested = Some(refund.reason.clone());
        events.push(of_refund(refund.created_at, OrderEventKind::RefundRequested, requested));
        let outcome = match (refund.status, &refund.failure) {
            (RefundStatus::Processing, None) => None,
            (RefundStatus::Processing, Some(_)) => Some(OrderEventKind::RefundDelayed),
            (RefundStatus::Succeeded, _) => Some(OrderEventKind::RefundSucceeded),
            (RefundStatus::Failed, _) => Some(OrderEventKind::RefundFailed),
        };
        events.extend(outcome.map(|kind| of_refund(refund.updated_at, kind, refund.failure.clone())));
    }
    // What happened at one instant is told in the order of the kinds.
    events.sort_by_key(|event| (event.at, event.kind));
    events
}

#[cfg(test)]
mod tests {
    use super::OrderEventKind;

    #[test]
    fn every_kind_has_its_name() {
        assert_eq!(OrderEventKind::Created.as_str(), "CREATED");
        assert_eq!(OrderEventKind::Refunded.as_str(), "REFUNDED");
        assert_eq!(OrderEventKind::NAMES.len(), OrderEventKind::Refunded as usize + 1);
    }
}
