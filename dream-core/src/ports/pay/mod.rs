mod bill;
mod notify;

use std::fmt::Debug;

use async_trait::async_trait;

pub use bill::{BillEntry, BillRow, BillSums, TradeBill, UnreadableRow};
pub use notify::{NotifyRefusal, RefusedAt, SignedNotify};

use super::{Failure, FailureKind};
use crate::kernel::{Day, Fen, OrderId, RefundId, Timestamp};

/// Who we are to the channel. Every fact it tells must be about this merchant and app; the core compares them
/// in the transaction that acts on the fact.
///
/// ```
/// use dream_core::ports::PayIdentity;
///
/// let us = PayIdentity { mchid: "1900000109".to_owned(), appid: "wx0123456789abcdef".to_owned() };
/// // A payment to another merchant, or in another app, is none of ours however well it is signed.
/// assert_ne!(us, PayIdentity { mchid: "1900000110".to_owned(), ..us.clone() });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayIdentity {
    /// The merchant's number.
    pub mchid: String,
    /// The app that the payer's id belongs to.
    pub appid: String,
}

/// An order to be paid. The same order with the same fields gives a fresh [`Prepaid`] as often as it is asked
/// for; with any other field it is refused. So keep every field of the first request and replay exactly these.
///
/// ```
/// use dream_core::kernel::{Fen, Timestamp};
/// use dream_core::ports::PrepayRequest;
/// use std::time::Duration;
///
/// let now: Timestamp = "2026-01-28T10:00:00Z".parse().unwrap();
/// let request = PrepayRequest {
///     order: "D20260128-0001".parse().unwrap(),
///     amount: Fen::new(1999),
///     description: "月度会员".to_owned(),
///     payer_openid: "o-alice".to_owned(),
///     expires_at: now.plus(Duration::from_mins(30)),
///     attach: None,
///     notify_url: None,
/// };
/// // Kept as it is, and asked for again with these very fields.
/// assert_eq!(request.clone(), request);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepayRequest {
    /// The number of the order, unique for ever.
    pub order: OrderId,
    /// What is to be paid, at least 1 fen.
    pub amount: Fen,
    /// What the payer sees. Cut and cleaned to what the channel can take, always in the same way.
    pub description: String,
    /// The payer, as the app named in [`PayIdentity`] knows them.
    pub payer_openid: String,
    /// Until when it can be paid.
    pub expires_at: Timestamp,
    /// Comes back with the payment, unseen by the payer. At most 128 characters.
    pub attach: Option<String>,
    /// Where the payment is to be announced; `None` for the configured address.
    pub notify_url: Option<String>,
}

/// Permission for the payer to pay.
///
/// ```
/// use dream_core::kernel::Timestamp;
/// use dream_core::ports::Prepaid;
///
/// let now = Timestamp::from_secs(1_769_600_000);
/// let prepaid = Prepaid {
///     prepay_id: "wx26112221580621e9b071c00d9e093b0000".to_owned(),
///     expires_at: now.plus_days(1),
/// };
/// assert!(prepaid.expires_at > now, "it can be shown again; behind that another one is asked for");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepaid {
    /// The channel's id of this attempt.
    pub prepay_id: String,
    /// When the attempt can no longer be started.
    pub expires_at: Timestamp,
}

/// What the payer's device hands to the channel's own payment dialog, signed by us.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::{RechargePoints, WECHAT};
///
/// # let me = world.alice().await.session().await;
/// let pay = me.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?.pay;
/// // The argument of `wx.requestPayment`, in the names that it has there.
/// let argument = serde_json::json!({
///     "timeStamp": pay.time_stamp, "nonceStr": pay.nonce_str, "package": pay.package,
///     "signType": pay.sign_type, "paySign": pay.pay_sign,
/// });
/// assert_eq!(argument["signType"], "RSA");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientParams {
    /// Seconds since the epoch, as text.
    pub time_stamp: String,
    /// Fresh letters and digits.
    pub nonce_str: String,
    /// `prepay_id=…`.
    pub package: String,
    /// How it is signed, such as `RSA`.
    pub sign_type: String,
    /// The signature in base64.
    pub pay_sign: String,
}

/// By which number an order is looked up.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::adapters::wechat_pay::WeChatPay;
/// use dream_core::ports::{ChannelOrder, OrderRef, PayChannel as _};
///
/// # let config = world.wechat_pay().config("http://127.0.0.1/pay", "http://127.0.0.1/refund");
/// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::at(world.now()));
/// # let channel = WeChatPay::new(config, clock, std::sync::Arc::new(dream_core::adapters::OsEntropy))?;
/// let order = "D20260128-0001".parse().unwrap();
/// assert_eq!(channel.query(OrderRef::Order(&order)).await?, ChannelOrder::Unknown);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderRef<'a> {
    /// By ours.
    Order(&'a OrderId),
    /// By the channel's, which exists once the order is paid.
    Transaction(&'a str),
}

/// A payment that the channel vouches for. Nothing here has been compared with an order of ours yet.
///
/// ```
/// use dream_core::kernel::{Fen, Timestamp};
/// use dream_core::ports::PaymentFacts;
///
/// let facts = PaymentFacts {
///     transaction_id: "4200000000202601280000000001".to_owned(),
///     out_trade_no: "D20260128-0001".to_owned(),
///     amount: Fen::new(1999),
///     currency: "CNY".to_owned(),
///     payer_openid: "o-alice".to_owned(),
///     appid: "wx0123456789abcdef".to_owned(),
///     mchid: "1900000109".to_owned(),
///     paid_at: Timestamp::from_secs(1_769_600_000),
/// };
/// // True, but not yet about an order of ours: `VerifiedPayment::settle` compares all of it.
/// assert_eq!((facts.amount.get(), facts.currency.as_str()), (1999, "CNY"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentFacts {
    /// The channel's number of the payment.
    pub transaction_id: String,
    /// The number of the order, as we once gave it.
    pub out_trade_no: String,
    /// The order's whole amount; a coupon may have paid part of it.
    pub amount: Fen,
    /// Such as `CNY`.
    pub currency: String,
    /// Who paid.
    pub payer_openid: String,
    /// The app it was paid in.
    pub appid: String,
    /// The merchant it was paid to.
    pub mchid: String,
    /// When it was paid.
    pub paid_at: Timestamp,
}

/// Where an order stands with the channel.
///
/// ```
/// use dream_core::ports::ChannelOrder;
///
/// // What is to be done about an order that waits here.
/// let next = |there: &ChannelOrder| match there {
///     ChannelOrder::Paid(_) | ChannelOrder::Refunding(_) => "give what was paid for",
///     ChannelOrder::Closed | ChannelOrder::Unknown => "close it",
///     // It may be paid at any moment.
///     ChannelOrder::Unpaid => "close it there first",
/// };
/// assert_eq!(next(&ChannelOrder::Unpaid), "close it there first");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelOrder {
    /// Known and not paid. Not final: it can be paid until it is closed.
    Unpaid,
    /// Paid.
    Paid(PaymentFacts),
    /// Paid, and a refund of some amount was started since.
    Refunding(PaymentFacts),
    /// Closed unpaid. Final.
    Closed,
    /// The channel never heard of it.
    Unknown,
}

/// What became of closing an order.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::adapters::wechat_pay::WeChatPay;
/// use dream_core::orders::WECHAT;
/// use dream_core::ports::{CloseOutcome, PayChannel as _};
///
/// # let me = world.alice().await.session().await;
/// # let order = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?.order.order_id;
/// # let config = world.wechat_pay().config("http://127.0.0.1/pay", "http://127.0.0.1/refund");
/// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::at(world.now()));
/// # let channel = WeChatPay::new(config, clock, std::sync::Arc::new(dream_core::adapters::OsEntropy))?;
/// assert_eq!(channel.close(&order).await?, CloseOutcome::Closed);
/// assert_eq!(channel.close(&order).await?, CloseOutcome::Closed, "safe to repeat");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseOutcome {
    /// It can no longer be paid. A payment may have completed meanwhile: look it up once more.
    Closed,
    /// It was paid before: look it up and fulfil it.
    AlreadyPaid,
}

/// Money to be given back. Repeat it only with the same number and fields: a second number refunds twice.
///
/// ```
/// use dream_core::kernel::Fen;
/// use dream_core::ports::RefundRequest;
///
/// let request = RefundRequest {
///     refund: "R20260128-0001".parse().unwrap(),
///     transaction_id: "4200000000202601280000000001".to_owned(),
///     amount: Fen::new(500),
///     total: Fen::new(1999),
///     reason: Some("五张没有用".to_owned()),
/// };
/// // A part of the payment. The same number can be sent again; another one would give back another 5 yuan.
/// assert!(request.amount < request.total);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundRequest {
    /// The number of the refund, unique for ever.
    pub refund: RefundId,
    /// The channel's number of the payment.
    pub transaction_id: String,
    /// How much is given back.
    pub amount: Fen,
    /// The order's whole amount.
    pub total: Fen,
    /// What the payer sees. Cut and cleaned to what the channel can take.
    pub reason: Option<String>,
}

/// Where a refund stands.
///
/// ```
/// use dream_core::ports::RefundState;
///
/// // Only these two end it. An abnormal one goes on once somebody has acted in the channel's console.
/// let is_over = |state| matches!(state, RefundState::Succeeded(_) | RefundState::Closed);
/// assert!(!is_over(RefundState::Processing) && !is_over(RefundState::Abnormal));
/// assert!(is_over(RefundState::Succeeded(None)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundState {
    /// Taken on; the result comes by notify or query.
    Processing,
    /// The money is with the payer, since when the channel may tell.
    Succeeded(Option<Timestamp>),
    /// The payer's account cannot take it; somebody must act in the channel's console. Not final.
    Abnormal,
    /// Given up; the money stays with us. Final.
    Closed,
}

/// A refund that the channel vouches for. Nothing here has been compared with a refund of ours yet.
///
/// ```
/// use dream_core::kernel::Fen;
/// use dream_core::ports::{RefundFacts, RefundState};
///
/// let facts = RefundFacts {
///     out_refund_no: "R20260128-0001".to_owned(),
///     channel_refund_id: "50000000382019052709732678859".to_owned(),
///     transaction_id: "4200000000202601280000000001".to_owned(),
///     out_trade_no: "D20260128-0001".to_owned(),
///     amount: Fen::new(500),
///     total: Fen::new(1999),
///     mchid: None,
///     state: RefundState::Processing,
/// };
/// assert_eq!((facts.amount.get(), facts.total.get()), (500, 1999), "fen");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundFacts {
    /// Our number, as we once gave it.
    pub out_refund_no: String,
    /// The channel's number of the refund.
    pub channel_refund_id: String,
    /// The channel's number of the payment.
    pub transaction_id: String,
    /// Our number of the order.
    pub out_trade_no: String,
    /// How much is given back.
    pub amount: Fen,
    /// The order's whole amount.
    pub total: Fen,
    /// The merchant, where the channel tells.
    pub mchid: Option<String>,
    /// Where it stands.
    pub state: RefundState,
}

/// Codes of [`Failure::code`] that mean the same thing in every channel.
///
/// ```
/// use dream_core::ports::{Failure, FailureKind, PayTrouble, pay_code};
///
/// // What a channel of one's own calls `insufficient_funds`, told in the common word.
/// let failure = Failure::new("my-channel", FailureKind::Refused, "insufficient_funds")
///     .with_code(pay_code::NOT_ENOUGH);
/// assert_eq!(PayTrouble::of(&failure), PayTrouble::BalanceShort);
/// ```
pub mod pay_code {
    /// The order is paid already.
    pub const ORDER_PAID: &str = "ORDER_PAID";
    /// The order is closed.
    pub const ORDER_CLOSED: &str = "ORDER_CLOSED";
    /// The number was used with other fields.
    pub const NUMBER_USED: &str = "OUT_TRADE_NO_USED";
    /// The order, or payment, or refund does not exist.
    pub const NOT_FOUND: &str = "NOT_FOUND";
    /// The balance does not cover the refund.
    pub const NOT_ENOUGH: &str = "NOT_ENOUGH";
    /// The bill is still being made.
    pub const BILL_NOT_READY: &str = "BILL_NOT_READY";
    /// The answer did not verify, so nothing in it can be believed.
    pub const UNVERIFIED: &str = "UNVERIFIED";
}

/// What to make of a failed call to a channel.
///
/// ```
/// use dream_core::ports::{Failure, FailureKind, PayTrouble};
///
/// // No answer: the order may be made or not, so the very same request is sent again.
/// let lost = Failure::new("wechat_pay", FailureKind::TimedOut, "no answer within 10 s");
/// assert_eq!(PayTrouble::of(&lost), PayTrouble::RetrySame);
/// // A code says more than the kind.
/// let paid = Failure::new("wechat_pay", FailureKind::Refused, "该订单已支付").with_code("ORDER_PAID");
/// assert_eq!(PayTrouble::of(&paid), PayTrouble::OrderPaid);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PayTrouble {
    /// Repeat with exactly the same fields and number; it may have happened already.
    RetrySame,
    /// Too often: slow down, then repeat.
    SlowDown,
    /// Look the order up and act on its real state.
    OrderPaid,
    /// The number cannot be used any more.
    NumberUsed,
    /// The order is closed.
    OrderClosed,
    /// There is no such order or refund.
    NotFound,
    /// Our credentials, binding or request are wrong: an operator has to act.
    Misconfigured,
    /// Not taken, for the reason that the code tells; the same request is refused until that is changed.
    Refused,
    /// Not taken since our balance does not cover it: repeat later with the same number.
    BalanceShort,
    /// The bill is not ready: ask again in half an hour.
    BillLater,
}

impl PayTrouble {
    /// What to make of this failure: by its code, else by its kind.
    pub fn of(failure: &Failure) -> Self {
        match failure.code.as_deref() {
            Some(pay_code::ORDER_PAID) => PayTrouble::OrderPaid,
            Some(pay_code::ORDER_CLOSED) => PayTrouble::OrderClosed,
            Some(pay_code::NUMBER_USED) => PayTrouble::NumberUsed,
            Some(pay_code::NOT_FOUND) => PayTrouble::NotFound,
            Some(pay_code::NOT_ENOUGH) => PayTrouble::BalanceShort,
            Some(pay_code::BILL_NOT_READY) => PayTrouble::BillLater,
            _ => match failure.kind {
                FailureKind::Refused => PayTrouble::Refused,
                FailureKind::Misconfigured => PayTrouble::Misconfigured,
                FailureKind::Throttled => PayTrouble::SlowDown,
                FailureKind::Unreachable | FailureKind::Unknown | FailureKind::TimedOut => {
                    PayTrouble::RetrySame
                }
            },
        }
    }
}

/// A way to take money. Which one is a property of the order, so that another can stand beside it.
///
/// Every fact that it tells was verified to come from the channel. A call that fails with an unknown outcome may
/// have taken effect: repeat it with the same fields, or look up what became of it. [`PayTrouble::of`] sorts failures.
///
/// A channel of one's own, as far as a purchase needs it. It is added to the others by
/// [`Builder::pay`](crate::Builder::pay), and an order names it by its name.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::kernel::{Day, OrderId, RefundId};
/// use dream_core::ports::*;
///
/// /// Takes tokens at a counter: whatever is asked for is paid, and nothing is ever given back.
/// #[derive(Debug)]
/// struct Counter(PayIdentity);
///
/// #[async_trait::async_trait]
/// impl PayChannel for Counter {
///     fn name(&self) -> &'static str { "counter" }
///     fn identity(&self) -> &PayIdentity { &self.0 }
///     async fn prepay(&self, request: &PrepayRequest) -> Result<Prepaid, Failure> {
///         Ok(Prepaid { prepay_id: request.order.to_string(), expires_at: request.expires_at })
///     }
///     fn client_params(&self, prepay_id: &str) -> Result<ClientParams, Failure> {
///         let [time_stamp, nonce_str, sign_type, pay_sign] = ["0", "none", "NONE", ""].map(str::to_owned);
///         Ok(ClientParams {
///             time_stamp,
///             nonce_str,
///             package: format!("token={prepay_id}"),
///             sign_type,
///             pay_sign,
///         })
///     }
///     async fn query(&self, _: OrderRef<'_>) -> Result<ChannelOrder, Failure> { Ok(ChannelOrder::Unpaid) }
///     async fn close(&self, _: &OrderId) -> Result<CloseOutcome, Failure> { Ok(CloseOutcome::Closed) }
///     // …
/// #     async fn refund(&self, _: &RefundRequest) -> Result<RefundFacts, Failure> { Err(Failure::new("counter", FailureKind::Refused, "")) }
/// #     async fn query_refund(&self, _: &RefundId) -> Result<Option<RefundFacts>, Failure> { Ok(None) }
/// #     async fn payment_notify(&self, _: &SignedNotify) -> Result<PaymentFacts, NotifyRefusal> { Err(NotifyRefusal::new(RefusedAt::Body, "")) }
/// #     async fn refund_notify(&self, _: &SignedNotify) -> Result<RefundFacts, NotifyRefusal> { Err(NotifyRefusal::new(RefusedAt::Body, "")) }
/// #     async fn trade_bill(&self, _: Day) -> Result<TradeBill, Failure> { Ok(TradeBill::default()) }
/// }
/// let counter = Counter(PayIdentity { mchid: "counter".to_owned(), appid: "none".to_owned() });
/// assert_eq!(counter.client_params("D20260128-0001")?.package, "token=D20260128-0001");
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait PayChannel: Debug + Send + Sync + 'static {
    /// The channel's name, as orders carry it, such as `wechat`.
    fn name(&self) -> &'static str;

    /// Who we are to the channel.
    fn identity(&self) -> &PayIdentity;

    /// Asks for permission to have the order paid. Safe to repeat with the same fields. Fails with the codes
    /// [`pay_code::ORDER_PAID`], [`pay_code::ORDER_CLOSED`] and [`pay_code::NUMBER_USED`], among others.
    async fn prepay(&self, request: &PrepayRequest) -> Result<Prepaid, Failure>;

    /// Signs what the payer's device needs to pay. Talks to nobody.
    fn client_params(&self, prepay_id: &str) -> Result<ClientParams, Failure>;

    /// Where the order stands. An order that the channel does not know is [`ChannelOrder::Unknown`].
    async fn query(&self, order: OrderRef<'_>) -> Result<ChannelOrder, Failure>;

    /// Ends an order that is not to be paid any more. Safe to repeat.
    async fn close(&self, order: &OrderId) -> Result<CloseOutcome, Failure>;

    /// Hands in a refund. Safe to repeat with the same fields. Fails with [`pay_code::NOT_ENOUGH`], among others.
    async fn refund(&self, request: &RefundRequest) -> Result<RefundFacts, Failure>;

    /// Where the refund stands; `None` if the channel does not know it.
    async fn query_refund(&self, refund: &RefundId) -> Result<Option<RefundFacts>, Failure>;

    /// Verifies the announcement of a payment and tells what it says.
    async fn payment_notify(&self, notify: &SignedNotify) -> Result<PaymentFacts, NotifyRefusal>;

    /// Verifies the announcement of a refund's result and tells what it says.
    async fn refund_notify(&self, notify: &SignedNotify) -> Result<RefundFacts, NotifyRefusal>;

    /// What happened on a day of the channel's calendar. A day on which nothing happened gives an empty bill.
    /// Fails with [`pay_code::BILL_NOT_READY`] while the bill is being made.
    async fn trade_bill(&self, day: Day) -> Result<TradeBill, Failure>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_decides_before_the_kind() {
        let failure = Failure::new("pay", FailureKind::Refused, "");
        assert_eq!(PayTrouble::of(&failure), PayTrouble::Refused);
        assert_eq!(PayTrouble::of(&failure.with_code(pay_code::NOT_ENOUGH)), PayTrouble::BalanceShort);
    }
}
