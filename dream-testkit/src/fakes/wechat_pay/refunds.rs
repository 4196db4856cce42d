//! Taking refunds on, and telling what became of them.

use std::time::Duration;

use dream_core::kernel::Timestamp;
use http::StatusCode;
use serde_json::Value;

use super::book::{FakeRefund, OrderState, RefundStatus};
use super::prepay::RefundForm;
use super::refusal::Refusal;
use super::{Inner, State, shapes};

/// How long after its payment an order can be refunded.
const REFUNDABLE: Duration = Duration::from_hours(24 * 365);
/// How many refunds an order can have.
const MAX_REFUNDS: usize = 50;

pub(super) fn refund(
    fake: &Inner,
    state: &mut State,
    request: &[u8],
    now: Timestamp,
) -> Result<Value, Refusal> {
    let form = RefundForm::read(request)?;
    if let Some(known) = state.book.refunds.get(&form.out_refund_no) {
        return repeated(known, &form);
    }
    let (out_trade_no, transaction_id) = payment_of(state, &form)?;
    check(fake, state, &form, &transaction_id, now)?;
    if let Some(balance) = &mut state.balance {
        *balance -= form.amount_fen;
    }
    let plan = state.refund_plan(&form.out_refund_no);
    let refund = FakeRefund {
        refund_id: fake.number("50300002599", now),
        out_refund_no: form.out_refund_no,
        transaction_id,
        out_trade_no: out_trade_no.clone(),
        amount_fen: form.amount_fen,
        total_fen: form.total_fen,
        reason: form.reason,
        notify_url: form.notify_url,
        status: RefundStatus::Processing,
        created_at: now,
        due: plan.map(|plan| (now.plus(plan.delay), plan.outcome)),
        succeeded_at: None,
    };
    if let Some(order) = state.book.orders.get_mut(&out_trade_no) {
        order.state = OrderState::Refund;
    }
    let answer = shapes::refund(&refund);
    state.book.refunds.insert(refund.out_refund_no.clone(), refund);
    fake.wake.notify_one();
    Ok(answer)
}

/// Gives back what is left of an order's first payment, as somebody does by hand in the merchant's console. The merchant's
/// program is not told.
pub(super) fn by_hand(
    fake: &Inner,
    state: &mut State,
    out_trade_no: &str,
    now: Timestamp,
) -> Result<Value, Refusal> {
    let order = state.book.orders.get(out_trade_no).ok_or_else(Refusal::order_missing)?;
    let payment = order.payments.first().ok_or_else(|| Refusal::missing("订单未支付"))?;
    let left = payment.amount_fen - state.book.refunded(&payment.transaction_id);
    let request = serde_json::json!({
        "transaction_id": payment.transaction_id,
        "out_refund_no": format!("HAND{}", fake.nonce(20)),
        "reason": "商户平台退款",
        "amount": { "refund": left, "total": payment.amount_fen, "currency": "CNY" },
    });
    refund(fake, state, request.to_string().as_bytes(), now)
}

/// The same number refunds once, whatever comes with it.
fn repeated(known: &FakeRefund, form: &RefundForm) -> Result<Value, Refusal> {
    let same = known.amount_fen == form.amount_fen
        && known.total_fen == form.total_fen
        && form.transaction_id.as_ref().is_none_or(|id| *id == known.transaction_id)
        && form.out_trade_no.as_ref().is_none_or(|number| *number == known.out_trade_no);
    if same {
        Ok(shapes::refund(known))
    } else {
        Err(Refusal::invalid("订单金额或退款金额与之前请求不一致"))
    }
}

fn payment_of(state: &State, form: &RefundForm) -> Result<(String, String), Refusal> {
    let missing = || Refusal::missing("订单不存在");
    if let Some(id) = &form.transaction_id {
        let (order, payment) = state.book.transaction(id).ok_or_else(missing)?;
        return Ok((order.out_trade_no.clone(), payment.transaction_id.clone()));
    }
    let number = form.out_trade_no.as_ref().ok_or_else(|| Refusal::param("/out_trade_no", "缺少参数"))?;
    let order = state.book.orders.get(number).ok_or_else(missing)?;
    let payment = order.payments.first().ok_or_else(missing)?;
    Ok((order.out_trade_no.clone(), payment.transaction_id.clone()))
}

fn check(
    fake: &Inner,
    state: &State,
    form: &RefundForm,
    transaction_id: &str,
    now: Timestamp,
) -> Result<(), Refusal> {
    let (_, payment) =
        state.book.transaction(transaction_id).ok_or_else(|| Refusal::missing("订单不存在"))?;
    if form.total_fen != payment.amount_fen {
        return Err(Refusal::invalid("订单金额与支付金额不一致"));
    }
    if state.book.refunded(transaction_id) + form.amount_fen > payment.amount_fen {
        return Err(Refusal::invalid("累计退款金额大于支付金额"));
    }
    if now.since(payment.paid_at) > REFUNDABLE || state.book.refunds_of(transaction_id).count() >= MAX_REFUNDS
    {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "RULE_LIMIT", "超过退款期限或退款次数"));
    }
    let last = state.book.refunds_of(transaction_id).map(|refund| refund.created_at).max();
    if last.is_some_and(|last| now.since(last) < fake.options.refund_gap) {
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "FREQUENCY_LIMITED", "退款频率过高"));
    }
    if state.balance.is_some_and(|balance| balance < form.amount_fen) {
        let text = "基本账户余额不足，请充值后重新发起";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "NOT_ENOUGH", text));
    }
    Ok(())
}

pub(super) fn query(state: &State, out_refund_no: &str) -> Result<Value, Refusal> {
    state.book.refunds.get(out_refund_no).map(shapes::refund).ok_or_else(|| Refusal::missing("退款单不存在"))
}
