//! Making orders, paying them as a phone would, looking them up, closing them.

use std::time::Duration;

use dream_core::kernel::Timestamp;
use dream_core::ports::ClientParams;
use serde_json::{Value, json};

use super::book::{FakeOrder, FakePayment, OrderState, PREPAY_LIFE};
use super::refusal::Refusal;
use super::{Inner, State, shapes};
use crate::fakes::lock;

/// The longest time in which an order can be paid.
const MAX_LIFE: Duration = Duration::from_hours(24 * 15);
/// The time in which an order can be paid that asks for none.
const USUAL_LIFE: Duration = Duration::from_hours(24 * 7);
const MIN_LIFE: Duration = Duration::from_mins(1);

/// Why a phone cannot pay.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::{RechargePoints, WECHAT};
/// use dream_testkit::fakes::wechat_pay::CannotPay;
///
/// let me = world.alice().await.session().await;
/// let mut placed = me.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
/// placed.pay.nonce_str.push('x');
/// let refused = world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay);
/// assert_eq!(refused.unwrap_err(), CannotPay::Signature, "a phone looks at what it is handed");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotPay {
    /// No order has this number or this permission.
    #[error("there is no such order")]
    NoOrder,
    /// The parameters were not signed by the merchant, or not these.
    #[error("paySign is wrong")]
    Signature,
    /// The permission to pay is older than two hours.
    #[error("the prepay_id has expired")]
    PrepayExpired,
    /// The time in which the order could be paid is over.
    #[error("the order has expired")]
    OrderExpired,
    /// The order is paid or closed.
    #[error("the order cannot be paid any more")]
    NotPayable,
}

/// Reads a request's body and complains about what the platform would.
struct Form<'a>(&'a Value);

impl<'a> Form<'a> {
    fn text(&self, pointer: &str, max: usize) -> Result<Option<&'a str>, Refusal> {
        let Some(value) = self.0.pointer(pointer) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| Refusal::param(pointer, "必须是字符串"))?;
        let length = text.chars().count();
        if length == 0 || length > max {
            return Err(Refusal::param(pointer, &format!("长度必须在1到{max}之间")));
        }
        Ok(Some(text))
    }

    fn required(&self, pointer: &str, max: usize) -> Result<&'a str, Refusal> {
        self.text(pointer, max)?.ok_or_else(|| Refusal::param(pointer, "缺少参数"))
    }

    /// A text without characters beyond the basic plane.
    fn plain(&self, pointer: &str, max: usize) -> Result<Option<&'a str>, Refusal> {
        match self.text(pointer, max)? {
            Some(text) if text.chars().any(|character| character.len_utf8() > 3) => {
                Err(Refusal::param(pointer, "包含非法字符"))
            }
            text => Ok(text),
        }
    }

    fn fen(&self, pointer: &str) -> Result<i64, Refusal> {
        let amount = self.0.pointer(pointer).and_then(Value::as_i64);
        let amount = amount.ok_or_else(|| Refusal::param(pointer, "必须是整数"))?;
        if amount < 1 { Err(Refusal::param(pointer, "取值必须大于等于1")) } else { Ok(amount) }
    }

    fn currency(&self) -> Result<(), Refusal> {
        match self.text("/amount/currency", 16)? {
            None | Some("CNY") => Ok(()),
            Some(_) => Err(Refusal::param("/amount/currency", "必须是CNY")),
        }
    }

    fn notify_url(&self, required: bool) -> Result<Option<&'a str>, Refusal> {
        const FIELD: &str = "/notify_url";
        let Some(url) = self.text(FIELD, 255)? else {
            return if required { Err(Refusal::param(FIELD, "缺少参数")) } else { Ok(None) };
        };
        // Beside a fake, plain HTTP is all that there is.
        if !(url.starts_with("https://") || url.starts_with("http://")) || url.contains('?') {
            return Err(Refusal::param(FIELD, "必须是https且不能携带参数"));
        }
        Ok(Some(url))
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}

/// The body as JSON without nulls.
pub(super) fn body(bytes: &[u8]) -> Result<Value, Refusal> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| Refusal::param("body", "不是合法的JSON"))?;
    if has_null(&value) || !value.is_object() {
        Err(Refusal::param("body", "不能为null"))
    } else {
        Ok(value)
    }
}

fn is_number(text: &str, extra: &[u8]) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-|*".contains(&byte) || extra.contains(&byte))
}

/// Until when the order can be paid: what was asked for, within bounds.
fn payable_until(form: &Form<'_>, now: Timestamp) -> Result<Timestamp, Refusal> {
    const FIELD: &str = "/time_expire";
    let Some(text) = form.text(FIELD, 64)? else { return Ok(now.plus(USUAL_LIFE)) };
    let asked: Timestamp = text.parse().map_err(|_| Refusal::param(FIELD, "格式错误"))?;
    Ok(asked.clamp(now.plus(MIN_LIFE), now.plus(MAX_LIFE)))
}

pub(super) fn prepay(
    fake: &Inner,
    state: &mut State,
    request: &[u8],
    now: Timestamp,
) -> Result<Value, Refusal> {
    let body = body(request)?;
    let form = Form(&body);
    let number = form.required("/out_trade_no", 32)?;
    if number.len() < 6 || !is_number(number, b"") {
        return Err(Refusal::param("/out_trade_no", "长度或字符不合法"));
    }
    let made = new_order(fake, &form, number, now)?;
    let order = state
        .book
        .orders
        .entry(number.to_owned())
        .or_insert_with(|| FakeOrder { request: body.clone(), ..made });
    match order.state {
        OrderState::Closed => return Err(Refusal::order_closed()),
        OrderState::Success | OrderState::Refund => return Err(Refusal::order_paid()),
        OrderState::Notpay if order.request != body => return Err(Refusal::invalid("201 商户订单号重复")),
        OrderState::Notpay => {}
    }
    let prepay_id = format!("wx{}{}0000", shapes::beijing(now).strftime("%d%H%M%S"), fake.nonce(24));
    order.prepay_ids.push(prepay_id.clone());
    order.prepaid_at.push(now);
    Ok(json!({"prepay_id": prepay_id}))
}

fn new_order(fake: &Inner, form: &Form<'_>, number: &str, now: Timestamp) -> Result<FakeOrder, Refusal> {
    let appid = form.required("/appid", 32)?;
    if form.required("/mchid", 32)? != fake.options.mchid {
        return Err(Refusal::new(http::StatusCode::BAD_REQUEST, "MCH_NOT_EXISTS", "商户号不存在"));
    }
    if !fake.options.appids.iter().any(|known| known == appid) {
        let text = "appid和mch_id不匹配";
        return Err(Refusal::new(http::StatusCode::BAD_REQUEST, "APPID_MCHID_NOT_MATCH", text));
    }
    form.currency()?;
    let description = form.plain("/description", 127)?;
    let description = description.ok_or_else(|| Refusal::param("/description", "缺少参数"))?;
    Ok(FakeOrder {
        out_trade_no: number.to_owned(),
        appid: appid.to_owned(),
        state: OrderState::Notpay,
        amount_fen: form.fen("/amount/total")?,
        openid: form.required("/payer/openid", 128)?.to_owned(),
        description: description.to_owned(),
        attach: form.plain("/attach", 128)?.map(str::to_owned),
        notify_url: form.notify_url(true)?.unwrap_or_default().to_owned(),
        created_at: now,
        payable_until: payable_until(form, now)?,
        prepay_ids: Vec::new(),
        payments: Vec::new(),
        request: Value::Null,
        prepaid_at: Vec::new(),
    })
}

/// What a refund asks for.
pub(super) struct RefundForm {
    pub(super) out_refund_no: String,
    pub(super) transaction_id: Option<String>,
    pub(super) out_trade_no: Option<String>,
    pub(super) amount_fen: i64,
    pub(super) total_fen: i64,
    pub(super) reason: Option<String>,
    pub(super) notify_url: Option<String>,
}

impl RefundForm {
    pub(super) fn read(request: &[u8]) -> Result<Self, Refusal> {
        let body = body(request)?;
        let form = Form(&body);
        let number = form.required("/out_refund_no", 64)?;
        if !is_number(number, b"@") {
            return Err(Refusal::param("/out_refund_no", "字符不合法"));
        }
        form.currency()?;
        if body.pointer("/amount/currency").is_none() {
            return Err(Refusal::param("/amount/currency", "缺少参数"));
        }
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Ok(Self {
            out_refund_no: number.to_owned(),
            transaction_id: owned(form.text("/transaction_id", 32)?),
            out_trade_no: owned(form.text("/out_trade_no", 32)?),
            amount_fen: form.fen("/amount/refund")?,
            total_fen: form.fen("/amount/total")?,
            reason: owned(form.plain("/reason", 80)?),
            notify_url: owned(form.notify_url(false)?),
        })
    }
}

pub(super) fn query(fake: &Inner, state: &State, out_trade_no: &str) -> Result<Value, Refusal> {
    let order = state.book.orders.get(out_trade_no).ok_or_else(Refusal::order_missing)?;
    let mchid = &fake.options.mchid;
    Ok(match order.payments.first() {
        Some(payment) => shapes::paid(mchid, order, payment, order.state),
        None => shapes::unpaid(mchid, order),
    })
}

pub(super) fn query_transaction(fake: &Inner, state: &State, id: &str) -> Result<Value, Refusal> {
    let (order, payment) = state.book.transaction(id).ok_or_else(Refusal::order_missing)?;
    let refunded = state.book.refunds_of(id).next().is_some();
    let shown = if refunded { OrderState::Refund } else { OrderState::Success };
    Ok(shapes::paid(&fake.options.mchid, order, payment, shown))
}

/// Closing is final, can be repeated, and does not mind numbers that nobody knows.
pub(super) fn close(state: &mut State, out_trade_no: &str) -> Result<(), Refusal> {
    let Some(order) = state.book.orders.get_mut(out_trade_no) else { return Ok(()) };
    match order.state {
        OrderState::Success | OrderState::Refund => Err(Refusal::order_paid()),
        OrderState::Notpay | OrderState::Closed => {
            order.state = OrderState::Closed;
            Ok(())
        }
    }
}

/// What the phone's payment dialog checks before it lets anybody pay.
pub(super) fn check_params(
    fake: &Inner,
    state: &State,
    params: &ClientParams,
    now: Timestamp,
) -> Result<String, CannotPay> {
    let prepay_id = params.package.strip_prefix("prepay_id=").ok_or(CannotPay::Signature)?;
    let (order, prepaid_at) = state.book.prepaid(prepay_id).ok_or(CannotPay::NoOrder)?;
    let ClientParams { time_stamp, nonce_str, package, sign_type, pay_sign } = params;
    let message = format!("{}\n{time_stamp}\n{nonce_str}\n{package}\n", order.appid);
    if sign_type != "RSA" || !fake.ring.merchant_signed(message.as_bytes(), pay_sign) {
        return Err(CannotPay::Signature);
    }
    if now > prepaid_at.plus(PREPAY_LIFE) {
        return Err(CannotPay::PrepayExpired);
    }
    Ok(order.out_trade_no.clone())
}

/// A payment of the order by this user. One that is paid can be paid again only if `again` says so.
pub(super) fn pay(
    fake: &Inner,
    out_trade_no: &str,
    openid: Option<&str>,
    again: bool,
) -> Result<FakePayment, CannotPay> {
    let now = fake.now();
    let mut state = lock(&fake.state);
    let transaction_id = fake.number("4200002599", now);
    let order = state.book.orders.get_mut(out_trade_no).ok_or(CannotPay::NoOrder)?;
    match order.state {
        OrderState::Notpay if now > order.payable_until => return Err(CannotPay::OrderExpired),
        OrderState::Notpay => order.state = OrderState::Success,
        OrderState::Success | OrderState::Refund if again => {}
        OrderState::Success | OrderState::Refund | OrderState::Closed => return Err(CannotPay::NotPayable),
    }
    let payment = FakePayment {
        transaction_id,
        out_trade_no: order.out_trade_no.clone(),
        openid: openid.unwrap_or(&order.openid).to_owned(),
        amount_fen: order.amount_fen,
        coupon_fen: 0,
        paid_at: now,
        in_bill: true,
        bill_amount_fen: order.amount_fen,
    };
    order.payments.push(payment.clone());
    fake.announce_payment(&mut state, &payment);
    Ok(payment)
}
