//! The platform's JSON, and its times.

use dream_core::kernel::Timestamp;
use jiff::tz::{TimeZone, offset};
use serde_json::{Value, json};

use super::book::{FakeOrder, FakePayment, FakeRefund, OrderState};

/// The civil time in Beijing.
pub(super) fn beijing(at: Timestamp) -> jiff::civil::DateTime {
    let at = jiff::Timestamp::from_second(at.as_secs()).unwrap_or(jiff::Timestamp::MAX);
    TimeZone::fixed(offset(8)).to_datetime(at)
}

/// RFC 3339 with `+08:00`.
pub(super) fn time(at: Timestamp) -> String {
    beijing(at).strftime("%Y-%m-%dT%H:%M:%S+08:00").to_string()
}

/// An order nobody paid.
pub(super) fn unpaid(mchid: &str, order: &FakeOrder) -> Value {
    let (state, text) = order.state.words();
    json!({
        "mchid": mchid,
        "appid": order.appid,
        "out_trade_no": order.out_trade_no,
        "trade_state": state,
        "trade_state_desc": text,
        "promotion_detail": [],
        "amount": {"total": order.amount_fen, "currency": "CNY"},
        "scene_info": {"device_id": ""},
    })
}

/// A payment, in this state of its order.
pub(super) fn paid(mchid: &str, order: &FakeOrder, payment: &FakePayment, state: OrderState) -> Value {
    let (state, text) = state.words();
    json!({
        "mchid": mchid,
        "appid": order.appid,
        "out_trade_no": order.out_trade_no,
        "transaction_id": payment.transaction_id,
        "trade_type": "JSAPI",
        "trade_state": state,
        "trade_state_desc": text,
        "bank_type": "OTHERS",
        "attach": order.attach.clone().unwrap_or_default(),
        "success_time": time(payment.paid_at),
        "payer": {"openid": payment.openid},
        "amount": {
            "total": payment.amount_fen,
            "payer_total": payment.amount_fen - payment.coupon_fen,
            "currency": "CNY",
            "payer_currency": "CNY",
        },
    })
}

fn refund_amount(refund: &FakeRefund) -> Value {
    json!({
        "total": refund.total_fen,
        "refund": refund.amount_fen,
        "payer_total": refund.total_fen,
        "payer_refund": refund.amount_fen,
        "settlement_refund": refund.amount_fen,
        "settlement_total": refund.total_fen,
        "discount_refund": 0,
        "currency": "CNY",
    })
}

/// A refund, as calls answer it.
pub(super) fn refund(refund: &FakeRefund) -> Value {
    let mut shape = json!({
        "refund_id": refund.refund_id,
        "out_refund_no": refund.out_refund_no,
        "transaction_id": refund.transaction_id,
        "out_trade_no": refund.out_trade_no,
        "channel": "ORIGINAL",
        "user_received_account": "支付用户零钱",
        "create_time": time(refund.created_at),
        "status": refund.status.word(),
        "funds_account": "AVAILABLE",
        "amount": refund_amount(refund),
    });
    if let Some(at) = refund.succeeded_at {
        shape["success_time"] = time(at).into();
    }
    shape
}

/// A refund, as notifies tell it.
pub(super) fn refund_notice(mchid: &str, refund: &FakeRefund) -> Value {
    let mut shape = json!({
        "mchid": mchid,
        "out_trade_no": refund.out_trade_no,
        "transaction_id": refund.transaction_id,
        "out_refund_no": refund.out_refund_no,
        "refund_id": refund.refund_id,
        "refund_status": refund.status.word(),
        "user_received_account": "支付用户零钱",
        "amount": {
            "total": refund.total_fen,
            "refund": refund.amount_fen,
            "payer_total": refund.total_fen,
            "payer_refund": refund.amount_fen,
        },
    });
    if let Some(at) = refund.succeeded_at {
        shape["success_time"] = time(at).into();
    }
    shape
}
