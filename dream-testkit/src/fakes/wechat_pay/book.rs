//! Orders, payments and refunds as the platform keeps them.

use std::collections::BTreeMap;
use std::time::Duration;

use dream_core::kernel::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

/// How long a `prepay_id` can be used.
pub(super) const PREPAY_LIFE: Duration = Duration::from_hours(2);

/// A time as [`shown`] writes it.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| de::Error::custom("no time"))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
pub(super) fn shown<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// Where an order stands, apart from refunds.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::WECHAT;
/// use dream_testkit::fakes::wechat_pay::OrderState;
///
/// let me = world.alice().await.session().await;
/// let order = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?.order.order_id;
/// me.cancel_order(&order).await?;
/// assert_eq!(world.wechat_pay().order(order.as_str()).ok_or("unknown there")?.state, OrderState::Closed);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderState {
    /// Not paid; not final.
    Notpay,
    /// Paid.
    Success,
    /// Paid, and a refund was started.
    Refund,
    /// Closed.
    Closed,
}

impl OrderState {
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            OrderState::Notpay => ("NOTPAY", "订单未支付"),
            OrderState::Success => ("SUCCESS", "支付成功"),
            OrderState::Refund => ("REFUND", "订单发生过退款，退款详情请查询退款单"),
            OrderState::Closed => ("CLOSED", "订单已关闭"),
        }
    }
}

/// A payment of an order.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::{RechargePoints, WECHAT};
///
/// let me = world.alice().await.session().await;
/// let placed = me.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
/// let payment = world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
/// assert_eq!(payment.paid_at, world.now());
/// # world.settle().await;
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FakePayment {
    /// The platform's number.
    pub transaction_id: String,
    /// Our number of the order.
    pub out_trade_no: String,
    /// Who paid.
    pub openid: String,
    /// The order's amount, in fen.
    pub amount_fen: i64,
    /// What a coupon paid of it.
    pub coupon_fen: i64,
    /// When.
    #[serde(serialize_with = "shown", deserialize_with = "read")]
    pub paid_at: Timestamp,
    /// Whether the bill lists it.
    pub in_bill: bool,
    /// The amount that the bill tells, which differs only on demand.
    pub bill_amount_fen: i64,
}

/// An order as the fake keeps it.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::WECHAT;
///
/// let me = world.alice().await.session().await;
/// me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
/// let there = world.wechat_pay().orders();
/// assert_eq!(there.len(), 1, "{there:?}");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FakeOrder {
    /// Our number.
    pub out_trade_no: String,
    /// The app that it was made for.
    pub appid: String,
    /// Where it stands.
    pub state: OrderState,
    /// The amount in fen.
    pub amount_fen: i64,
    /// Who is to pay.
    pub openid: String,
    /// What the payer sees.
    pub description: String,
    /// What was attached.
    pub attach: Option<String>,
    /// Where the payment is announced.
    pub notify_url: String,
    /// When it was made.
    #[serde(serialize_with = "shown", deserialize_with = "read")]
    pub created_at: Timestamp,
    /// Until when it can be paid.
    #[serde(serialize_with = "shown", deserialize_with = "read")]
    pub payable_until: Timestamp,
    /// Its permissions to pay, oldest first.
    pub prepay_ids: Vec<String>,
    /// Its payments; more than one only on demand.
    pub payments: Vec<FakePayment>,
    /// The body of the first request: a later one must be the same.
    #[serde(skip)]
    pub(super) request: Value,
    #[serde(skip)]
    pub(super) prepaid_at: Vec<Timestamp>,
}

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RefundStatus {
    /// Taken on.
    Processing,
    /// The money is with the payer.
    Success,
    /// The payer's card is gone.
    Abnormal,
    /// Given up.
    Closed,
}

impl RefundStatus {
    pub(super) fn word(self) -> &'static str {
        match self {
            RefundStatus::Processing => "PROCESSING",
            RefundStatus::Success => "SUCCESS",
            RefundStatus::Abnormal => "ABNORMAL",
            RefundStatus::Closed => "CLOSED",
        }
    }
}

/// A refund as the fake keeps it.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::{RechargePoints, WECHAT};
///
/// let me = world.alice().await.session().await;
/// let placed = me.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
/// world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
/// world.settle().await;
/// world.admin().await.refund_order(&placed.order.order_id, None, "changed mind").await?;
/// world.settle().await;
/// assert_eq!(world.wechat_pay().refunds()[0].amount_fen, 500);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FakeRefund {
    /// Our number.
    pub out_refund_no: String,
    /// The platform's number.
    pub refund_id: String,
    /// The platform's number of the payment.
    pub transaction_id: String,
    /// Our number of the order.
    pub out_trade_no: String,
    /// How much, in fen.
    pub amount_fen: i64,
    /// The order's amount, in fen.
    pub total_fen: i64,
    /// Why.
    pub reason: Option<String>,
    /// Where the result is announced.
    pub notify_url: Option<String>,
    /// Where it stands.
    pub status: RefundStatus,
    /// When it was asked for.
    #[serde(serialize_with = "shown", deserialize_with = "read")]
    pub created_at: Timestamp,
    /// When the result is known, and what it will be.
    #[serde(skip)]
    pub(super) due: Option<(Timestamp, RefundStatus)>,
    /// When it succeeded.
    #[serde(skip)]
    pub(super) succeeded_at: Option<Timestamp>,
}

/// All that the platform knows.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) orders: BTreeMap<String, FakeOrder>,
    pub(super) refunds: BTreeMap<String, FakeRefund>,
}

/// An order with what the control page does not show.
#[derive(Serialize, Deserialize)]
struct SavedOrder {
    order: FakeOrder,
    request: Value,
    /// In microseconds.
    prepaid_at: Vec<i64>,
}

#[derive(Serialize, Deserialize)]
struct SavedRefund {
    refund: FakeRefund,
    due: Option<(i64, RefundStatus)>,
    succeeded_at: Option<i64>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct SavedBook {
    orders: Vec<SavedOrder>,
    refunds: Vec<SavedRefund>,
}

impl Book {
    /// Everything, for another process.
    pub(super) fn save(&self) -> Value {
        let orders = self.orders.values().map(|order| SavedOrder {
            request: order.request.clone(),
            prepaid_at: order.prepaid_at.iter().map(|at| at.as_micros()).collect(),
            order: order.clone(),
        });
        let refunds = self.refunds.values().map(|refund| SavedRefund {
            due: refund.due.map(|(at, outcome)| (at.as_micros(), outcome)),
            succeeded_at: refund.succeeded_at.map(Timestamp::as_micros),
            refund: refund.clone(),
        });
        let saved = SavedBook { orders: orders.collect(), refunds: refunds.collect() };
        serde_json::to_value(saved).unwrap_or_default()
    }

    /// What another process saved; an empty book if it cannot be read.
    pub(super) fn restore(saved: Value) -> Self {
        let saved: SavedBook = serde_json::from_value(saved).unwrap_or_default();
        let orders = saved.orders.into_iter().map(|saved| {
            let prepaid_at = saved.prepaid_at.into_iter().map(Timestamp::from_micros).collect();
            let order = FakeOrder { request: saved.request, prepaid_at, ..saved.order };
            (order.out_trade_no.clone(), order)
        });
        let refunds = saved.refunds.into_iter().map(|saved| {
            let due = saved.due.map(|(at, outcome)| (Timestamp::from_micros(at), outcome));
            let succeeded_at = saved.succeeded_at.map(Timestamp::from_micros);
            let refund = FakeRefund { due, succeeded_at, ..saved.refund };
            (refund.out_refund_no.clone(), refund)
        });
        Self { orders: orders.collect(), refunds: refunds.collect() }
    }

    /// The order and the payment of this transaction.
    pub(super) fn transaction(&self, id: &str) -> Option<(&FakeOrder, &FakePayment)> {
        self.orders.values().find_map(|order| {
            order.payments.iter().find(|payment| payment.transaction_id == id).map(|payment| (order, payment))
        })
    }

    /// The order that this permission belongs to, and when it was given.
    pub(super) fn prepaid(&self, prepay_id: &str) -> Option<(&FakeOrder, Timestamp)> {
        self.orders.values().find_map(|order| {
            let place = order.prepay_ids.iter().position(|known| known == prepay_id)?;
            Some((order, *order.prepaid_at.get(place)?))
        })
    }

    /// What has been given back of a payment, or is about to be, in fen.
    pub(super) fn refunded(&self, transaction_id: &str) -> i64 {
        self.refunds_of(transaction_id)
            .filter(|refund| refund.status != RefundStatus::Closed)
            .map(|refund| refund.amount_fen)
            .sum()
    }

    pub(super) fn refunds_of(&self, transaction_id: &str) -> impl Iterator<Item = &FakeRefund> {
        self.refunds.values().filter(move |refund| refund.transaction_id == transaction_id)
    }

    /// Refunds whose time has come get their result; their numbers.
    pub(super) fn settle_refunds(&mut self, now: Timestamp) -> Vec<String> {
        let mut settled = Vec::new();
        for refund in self.refunds.values_mut() {
            if let Some((at, outcome)) = refund.due.filter(|(at, _)| *at <= now) {
                refund.conclude(outcome, at);
                settled.push(refund.out_refund_no.clone());
            }
        }
        settled
    }

    /// When the next refund gets its result.
    pub(super) fn next_refund(&self) -> Option<Timestamp> {
        self.refunds.values().filter_map(|refund| refund.due.map(|(at, _)| at)).min()
    }
}

impl FakeRefund {
    pub(super) fn conclude(&mut self, outcome: RefundStatus, at: Timestamp) {
        self.due = None;
        self.status = outcome;
        self.succeeded_at = (outcome == RefundStatus::Success).then_some(at);
    }
}
