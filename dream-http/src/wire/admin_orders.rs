//! Orders as admins see them: with their refunds, what the channel reported, and what happened when.
//!
//! Amounts are in fen. Users see [`super::orders::Order`], which says nothing of refunds that are under way or failed.

use dream_core::orders::{self, OrderDetail, OrderEvent, ReportedPayment};
use serde::Serialize;
use utoipa::ToSchema;

use super::orders::Order;
use super::time::At;
use super::users::User;

/// An order in the list of admins.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminOrder {
    #[serde(flatten)]
    order: Order,
    /// How much is refunded or about to be, in fen.
    refunded_amount: i64,
    /// `PROCESSING`, `SUCCEEDED` or `FAILED`: the state of its newest refund, `null` without one.
    #[schema(value_type = Option<String>, example = "FAILED")]
    refund_status: Option<&'static str>,
}

impl From<orders::Order> for AdminOrder {
    fn from(order: orders::Order) -> Self {
        Self {
            refunded_amount: order.refunded.get(),
            refund_status: order.refund_status.map(orders::RefundStatus::as_str),
            order: order.into(),
        }
    }
}

/// An order with everything that belongs to it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminOrderDetail {
    order: AdminOrder,
    /// `null` once the account is deleted.
    user: Option<User>,
    /// What the channel reported, by notification or query, oldest first.
    notifications: Vec<OrderNotification>,
    /// Oldest first.
    refunds: Vec<AdminRefund>,
    /// What happened, oldest first.
    timeline: Vec<TimelineEntry>,
}

impl From<OrderDetail> for AdminOrderDetail {
    fn from(detail: OrderDetail) -> Self {
        Self {
            order: detail.order.into(),
            user: detail.user.map(User::from),
            notifications: detail.payments.into_iter().map(Into::into).collect(),
            refunds: detail.refunds.into_iter().map(Into::into).collect(),
            timeline: detail.timeline.into_iter().map(Into::into).collect(),
        }
    }
}

/// A payment that the channel reported.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderNotification {
    transaction_id: String,
    /// In fen.
    amount: i64,
    /// Whether the order was paid already, so that this payment is refunded by itself.
    surplus: bool,
    #[schema(inline)]
    paid_at: At,
    #[schema(inline)]
    recorded_at: At,
}

impl From<ReportedPayment> for OrderNotification {
    fn from(payment: ReportedPayment) -> Self {
        Self {
            transaction_id: payment.transaction_id,
            amount: payment.amount.get(),
            surplus: payment.surplus,
            paid_at: payment.paid_at.into(),
            recorded_at: payment.recorded_at.into(),
        }
    }
}

/// A refund in full.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminRefund {
    refund_id: String,
    order_id: String,
    /// The channel's number of the payment.
    transaction_id: String,
    /// In fen.
    amount: i64,
    /// The amount of the order, in fen.
    total: i64,
    reason: String,
    /// Whether it refunds a payment of an order that was paid already.
    surplus: bool,
    /// `PROCESSING`, `SUCCEEDED` or `FAILED`.
    #[schema(value_type = String, example = "FAILED")]
    status: &'static str,
    points_taken: i64,
    days_taken: i64,
    /// The channel's number of it, once it was accepted there.
    channel_refund_id: Option<String>,
    /// Why it failed; while it is `PROCESSING`, why it needs a person.
    failure: Option<String>,
    /// The admin key that asked for it, or `system`.
    requested_by: String,
    #[schema(inline)]
    created_at: At,
    #[schema(inline)]
    updated_at: At,
}

impl From<orders::Refund> for AdminRefund {
    fn from(refund: orders::Refund) -> Self {
        Self {
            refund_id: refund.refund_id.to_string(),
            order_id: refund.order_id.to_string(),
            transaction_id: refund.transaction_id,
            amount: refund.amount.get(),
            total: refund.total.get(),
            reason: refund.reason,
            surplus: refund.surplus,
            status: refund.status.as_str(),
            points_taken: refund.points_taken.get(),
            days_taken: refund.days_taken,
            channel_refund_id: refund.channel_refund,
            failure: refund.failure,
            requested_by: refund.requested_by,
            created_at: refund.created_at.into(),
            updated_at: refund.updated_at.into(),
        }
    }
}

/// Something that happened to an order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    #[schema(inline)]
    at: At,
    /// `CREATED`, `CANCELLED`, `PAID`, `SURPLUS_PAID`, `FULFILLED`, `REFUND_REQUESTED`, `REFUND_DELAYED`,
    /// `REFUND_SUCCEEDED`, `REFUND_FAILED` or `REFUNDED`.
    #[schema(value_type = String, example = "PAID")]
    event: &'static str,
    /// The channel's number of the payment, or our number of the refund.
    reference: Option<String>,
    /// The amount of the payment or refund, in fen.
    amount: Option<i64>,
    /// Why the refund was requested, why it failed, or why it needs a person.
    reason: Option<String>,
}

impl From<OrderEvent> for TimelineEntry {
    fn from(event: OrderEvent) -> Self {
        Self {
            at: event.at.into(),
            event: event.kind.as_str(),
            reference: event.reference,
            amount: event.amount.map(dream_core::kernel::Fen::get),
            reason: event.reason,
        }
    }
}
