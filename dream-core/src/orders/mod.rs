//! Orders: a price is fixed, a payment is asked for, and what was bought is given exactly once.

mod desk;
mod detail;
mod follow;
mod place;
mod reconcile;
mod refund;
mod rules;
mod settle;
mod store;

use crate::access::Session;
use crate::dream::Core;
use crate::error::{Code, Error, Result};
use crate::kernel::{
    Fen, IdempotencyKey, ListScope, OrderId, Page, PageRequest, PlanId, Points, SortKey, Timestamp, UserId,
};
use crate::ports::{ClientParams, PayChannel};
use crate::vip::Level;

pub use desk::OrderFilter;
pub use detail::{OrderDetail, OrderEvent, OrderEventKind, ReportedPayment};
pub(crate) use follow::check;
pub use reconcile::{Difference, Reconciliation};
pub(crate) use refund::follow as follow_refund;
pub use refund::{Refund, RefundStatus, VerifiedRefund};
pub use rules::{RechargePackage, RechargePoints};
pub use settle::{Settled, VerifiedPayment};
pub(crate) use store::{Original, all_of, count_delayed_refunds, count_pending, exists, forget, take_over};

/// The channel that orders are paid through unless said otherwise.
pub const WECHAT: &str = "wechat";

/// What orders of the original service came through. Nothing is paid or given back through it.
pub(crate) const ORIGINAL: &str = "original";

/// What was ordered.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::{Goods, OrderKind, WECHAT};
///
/// # let me = world.alice().await.session().await;
/// let order = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?.order;
/// assert_eq!(order.goods.kind(), OrderKind::Vip);
/// let Goods::Vip { days, name, .. } = &order.goods else { panic!("it is a plan") };
/// println!("{name}: {days} days");
/// # assert_eq!(*days, 30);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goods {
    /// Days of a level.
    Vip {
        /// The plan it was bought by.
        plan: PlanId,
        /// The plan's name at that time.
        name: String,
        /// The level.
        level: Level,
        /// For how many days.
        days: i64,
    },
    /// Points.
    Points(Points),
}

impl Goods {
    /// The kind's name in answers.
    ///
    /// ```
    /// use dream_core::kernel::Points;
    /// use dream_core::orders::{Goods, OrderKind};
    ///
    /// assert_eq!(Goods::Points(Points::new(50)).kind(), OrderKind::Points);
    /// ```
    pub const fn kind(&self) -> OrderKind {
        match self {
            Goods::Vip { .. } => OrderKind::Vip,
            Goods::Points(_) => OrderKind::Points,
        }
    }
}

/// What kind of thing was ordered.
///
/// ```
/// use dream_core::orders::OrderKind;
///
/// assert_eq!(OrderKind::parse("POINTS"), Some(OrderKind::Points));
/// assert_eq!(OrderKind::parse("points"), None, "as it stands in answers, and not otherwise");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderKind {
    /// Days of a level.
    Vip,
    /// Points.
    Points,
}

impl OrderKind {
    /// Every kind by its name.
    pub const NAMES: &'static [&'static str] = &["VIP", "POINTS"];

    /// The kind's name in answers.
    ///
    /// ```
    /// use dream_core::orders::OrderKind;
    ///
    /// assert_eq!([OrderKind::Vip, OrderKind::Points].map(OrderKind::as_str), ["VIP", "POINTS"]);
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            OrderKind::Vip => "VIP",
            OrderKind::Points => "POINTS",
        }
    }

    /// The kind of this name.
    ///
    /// ```
    /// use dream_core::orders::OrderKind;
    ///
    /// assert_eq!(OrderKind::parse("VIP"), Some(OrderKind::Vip));
    /// assert_eq!(OrderKind::parse("COUPON"), None);
    /// ```
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "VIP" => Some(OrderKind::Vip),
            "POINTS" => Some(OrderKind::Points),
            _ => None,
        }
    }
}

/// A state's name, for filters.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::kernel::PageRequest;
/// use dream_core::orders::OrderStatus;
/// # use dream_core::orders::WECHAT;
///
/// # let me = world.alice().await.session().await;
/// # me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
/// // From a query of a client.
/// let wanted = OrderStatus::parse("PENDING");
/// let orders = me.orders(wanted, None, &PageRequest::default()).await?;
/// assert!(orders.items.iter().all(|order| order.state.status() == OrderStatus::Pending));
/// # assert_eq!(orders.items.len(), 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// Waits for a payment.
    Pending,
    /// Paid, and given.
    Paid,
    /// Closed unpaid. A payment that the channel confirms later still counts.
    Cancelled,
    /// Paid, and the whole amount given back.
    Refunded,
}

impl OrderStatus {
    /// Every state by its name.
    pub const NAMES: &'static [&'static str] = &["PENDING", "PAID", "CANCELLED", "REFUNDED"];

    /// The state's name in answers.
    ///
    /// ```
    /// use dream_core::orders::OrderStatus;
    ///
    /// // As answers name it.
    /// assert_eq!(OrderStatus::Pending.as_str(), "PENDING");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            OrderStatus::Pending => "PENDING",
            OrderStatus::Paid => "PAID",
            OrderStatus::Cancelled => "CANCELLED",
            OrderStatus::Refunded => "REFUNDED",
        }
    }

    /// The state of this name.
    ///
    /// ```
    /// use dream_core::orders::OrderStatus;
    ///
    /// let every: Option<Vec<_>> = OrderStatus::NAMES.iter().map(|name| OrderStatus::parse(name)).collect();
    /// assert_eq!(every.unwrap().len(), 4, "each is read as it is written");
    /// assert_eq!(OrderStatus::parse("LOST"), None);
    /// ```
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "PENDING" => OrderStatus::Pending,
            "PAID" => OrderStatus::Paid,
            "CANCELLED" => OrderStatus::Cancelled,
            "REFUNDED" => OrderStatus::Refunded,
            _ => return None,
        })
    }
}

/// Where an order stands, with the facts that come with it.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::{OrderState, RechargePoints, WECHAT};
///
/// # let me = world.alice().await.session().await;
/// let placed = me.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
/// # world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
/// let shown = match me.order(&placed.order.order_id).await?.state {
///     OrderState::Pending => "waits for its payment".to_owned(),
///     OrderState::Cancelled => "was not paid in time".to_owned(),
///     OrderState::Paid(payment) => format!("paid at {}", payment.paid_at),
///     OrderState::Refunded { at, .. } => format!("given back at {at}"),
/// };
/// assert!(shown.starts_with("paid at 2026-"), "{shown}");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderState {
    /// Waits for a payment.
    Pending,
    /// Closed unpaid.
    Cancelled,
    /// Paid, and given.
    Paid(Payment),
    /// Paid, and the whole amount given back.
    Refunded {
        /// The payment.
        payment: Payment,
        /// When the money was given back.
        at: Timestamp,
    },
}

/// The payment of an order.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// # use dream_core::orders::WECHAT;
/// # let me = world.alice().await.session().await;
/// # let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
/// # world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
/// let order = me.order(&placed.order.order_id).await?;
/// let payment = order.state.payment().ok_or("not paid yet")?;
/// assert_eq!(payment.vip_expire_at, Some(world.now().plus_days(30)));
/// println!("{} of the channel, for its support", payment.transaction_id);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The channel's number of it.
    pub transaction_id: String,
    /// When it was paid.
    pub paid_at: Timestamp,
    /// Until when the level was in force behind it, for VIP.
    pub vip_expire_at: Option<Timestamp>,
}

impl OrderState {
    /// The state without its facts.
    ///
    /// ```
    /// use dream_core::orders::{OrderState, OrderStatus};
    ///
    /// // For a list, which filters by it and shows no more.
    /// assert_eq!(OrderState::Cancelled.status(), OrderStatus::Cancelled);
    /// ```
    pub const fn status(&self) -> OrderStatus {
        match self {
            OrderState::Pending => OrderStatus::Pending,
            OrderState::Cancelled => OrderStatus::Cancelled,
            OrderState::Paid(_) => OrderStatus::Paid,
            OrderState::Refunded { .. } => OrderStatus::Refunded,
        }
    }

    /// The payment, if there was one.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    /// use dream_core::orders::{OrderState, Payment};
    ///
    /// let at = Timestamp::from_secs(1_769_600_000);
    /// let payment = Payment { transaction_id: "4200002599".to_owned(), paid_at: at, vip_expire_at: None };
    /// // What was given back had been paid before.
    /// let refunded = OrderState::Refunded { payment: payment.clone(), at: at.plus_days(1) };
    /// assert_eq!(refunded.payment(), Some(&payment));
    /// assert_eq!(OrderState::Pending.payment(), None);
    /// ```
    pub const fn payment(&self) -> Option<&Payment> {
        match self {
            OrderState::Paid(payment) | OrderState::Refunded { payment, .. } => Some(payment),
            OrderState::Pending | OrderState::Cancelled => None,
        }
    }
}

/// An order.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::kernel::Fen;
/// use dream_core::orders::{RechargePoints, WECHAT};
/// use std::time::Duration;
///
/// # let me = world.alice().await.session().await;
/// let order = me.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?.order;
/// assert_eq!(order.amount, Fen::new(500), "5 yuan: a point costs 10 fen");
/// assert_eq!(order.expire_at.since(order.created_at), Duration::from_mins(30));
/// assert_eq!(order.refunded, Fen::ZERO);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Row id.
    pub id: i64,
    /// The id that clients and the channel use.
    pub order_id: OrderId,
    /// Whose it is.
    pub user: UserId,
    /// What was ordered.
    pub goods: Goods,
    /// What it costs: the price at the time of ordering.
    pub amount: Fen,
    /// The channel that it is paid through.
    pub channel: String,
    /// Where it stands.
    pub state: OrderState,
    /// How much was given back, or is about to be.
    pub refunded: Fen,
    /// The state of its newest refund, if there was one. After a failed one nothing may be left of `refunded`.
    pub refund_status: Option<RefundStatus>,
    /// Until when it can be paid.
    pub expire_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An order and what the client's payment dialog needs.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// # use dream_core::orders::WECHAT;
/// # let me = world.alice().await.session().await;
/// let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
/// // Goes to `wx.requestPayment` as it is.
/// assert!(placed.pay.package.starts_with("prepay_id="));
/// assert_eq!(placed.pay.sign_type, "RSA");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The order.
    pub order: Order,
    /// For the payment dialog.
    pub pay: ClientParams,
}

impl Session {
    /// Orders a plan. The price is fixed now.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::Code;
    /// use dream_core::orders::WECHAT;
    ///
    /// # let alice = world.alice().await;
    /// # let me = alice.session().await;
    /// let key = "tap-on-buy-4711".parse().unwrap();
    /// let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, Some(&key)).await?;
    /// assert_eq!(placed.order.amount.get(), 1999, "fen");
    /// // A second tap is the same order.
    /// let again = me.purchase(&"vip_month".parse().unwrap(), WECHAT, Some(&key)).await?;
    /// assert_eq!(again.order.order_id, placed.order.order_id);
    ///
    /// let none = me.purchase(&"vip_day".parse().unwrap(), WECHAT, None).await.unwrap_err();
    /// assert_eq!(none.code(), Code::PlanNotFound);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `PLAN_NOT_FOUND`, `VIP_HIGHER_ACTIVE`, `IDEMPOTENCY_CONFLICT`; `UPSTREAM_ERROR` or `UPSTREAM_TIMEOUT` if the
    /// channel could not be asked: then the order stands, and [`Session::pay_order`] asks again.
    pub async fn purchase(
        &self,
        plan: &PlanId,
        channel: &str,
        key: Option<&IdempotencyKey>,
    ) -> Result<Placed> {
        place::place(&self.core, self.user, place::Wish::Plan(plan), channel, key).await
    }

    /// Orders points. They arrive only with a verified payment.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::orders::{RechargePoints, WECHAT};
    ///
    /// # let alice = world.alice().await;
    /// # let me = alice.session().await;
    /// let placed = me.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
    /// assert_eq!(alice.points().await, 0, "nothing is given for an order alone");
    ///
    /// world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
    /// world.settle().await;
    /// assert_eq!(alice.points().await, 50);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// As [`Session::purchase`].
    pub async fn recharge(
        &self,
        points: RechargePoints,
        channel: &str,
        key: Option<&IdempotencyKey>,
    ) -> Result<Placed> {
        place::place(&self.core, self.user, place::Wish::Points(points), channel, key).await
    }

    /// What the payment dialog needs to pay an order that waits.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::Code;
    /// use std::time::Duration;
    /// # use dream_core::orders::WECHAT;
    ///
    /// # let me = world.alice().await.session().await;
    /// # let order = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?.order.order_id;
    /// // The app was closed before the payment; signed anew, the same order can be paid.
    /// let placed = me.pay_order(&order).await?;
    /// assert_eq!(placed.order.order_id, order);
    ///
    /// world.pass(Duration::from_mins(31)).await;
    /// let late = me.pay_order(&order).await.unwrap_err();
    /// assert_eq!(late.code(), Code::OrderNotPayable);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `ORDER_NOT_FOUND`, also for somebody else's; `ORDER_NOT_PAYABLE` once it is paid, closed or out of time.
    pub async fn pay_order(&self, order: &OrderId) -> Result<Placed> {
        place::pay_again(&self.core, self.scope(), order).await
    }

    /// One's orders, newest first.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::kernel::PageRequest;
    /// use dream_core::orders::{OrderKind, WECHAT};
    ///
    /// # let me = world.alice().await.session().await;
    /// me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// let all = me.orders(None, None, &PageRequest::default()).await?;
    /// assert_eq!((all.items.len(), all.total), (1, Some(1)));
    /// let of_points = me.orders(None, Some(OrderKind::Points), &PageRequest::default()).await?;
    /// assert_eq!((of_points.items.len(), of_points.total), (0, None), "only the whole list keeps count");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `INVALID_CURSOR`.
    pub async fn orders(
        &self,
        status: Option<OrderStatus>,
        kind: Option<OrderKind>,
        page: &PageRequest,
    ) -> Result<Page<Order>> {
        let filter = OrderFilter { status, kind, user: Some(self.user) };
        let mut page = list(&self.core, "orders", &filter, page).await?;
        if status.is_none() && kind.is_none() {
            page.total = Some(crate::stats::counters(&mut self.core.store.db(), self.user).await?.orders);
        }
        Ok(page)
    }

    /// One of one's orders. If it waits for a payment, the channel is asked first, so that who has paid sees it.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::orders::{OrderStatus, RechargePoints, WECHAT};
    ///
    /// # let alice = world.alice().await;
    /// # let me = alice.session().await;
    /// let placed = me.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
    /// world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
    /// // The notify is late, but who has paid looks, and so the channel is asked.
    /// let order = me.order(&placed.order.order_id).await?;
    /// assert_eq!((order.state.status(), alice.points().await), (OrderStatus::Paid, 50));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `ORDER_NOT_FOUND`, also for somebody else's.
    pub async fn order(&self, id: &OrderId) -> Result<Order> {
        let core = &self.core;
        let order = find(core, self.scope(), id).await?;
        if order.state == OrderState::Pending && follow::look_if_due(core, &order).await {
            return find(core, self.scope(), id).await;
        }
        Ok(order)
    }

    /// Closes an order that waits, at the channel and here.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::Code;
    /// use dream_core::orders::{OrderStatus, WECHAT};
    ///
    /// # let me = world.alice().await.session().await;
    /// # let order = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?.order.order_id;
    /// assert_eq!(me.cancel_order(&order).await?.state.status(), OrderStatus::Cancelled);
    /// assert_eq!(me.pay_order(&order).await.unwrap_err().code(), Code::OrderNotPayable);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `ORDER_NOT_FOUND`, also for somebody else's; `ORDER_NOT_PAYABLE` if it is closed, or was paid: payment wins;
    /// `UPSTREAM_ERROR` or `UPSTREAM_TIMEOUT` if the channel could not be asked: then it waits on.
    pub async fn cancel_order(&self, id: &OrderId) -> Result<Order> {
        follow::cancel(&self.core, self.scope(), id).await
    }
}

async fn find(core: &Core, scope: crate::access::Scope, id: &OrderId) -> Result<Order> {
    store::find(&mut core.store.db(), scope, id).await?.ok_or(Code::OrderNotFound.into())
}

/// Anybody's order, for whoever tells of it.
pub(crate) async fn read(core: &Core, id: &OrderId) -> Result<Option<Order>> {
    store::find(&mut core.store.db(), crate::access::Scope::All, id).await
}

async fn list(core: &Core, name: &str, filter: &OrderFilter, request: &PageRequest) -> Result<Page<Order>> {
    let scope = ListScope::of(name)
        .with("user", filter.user.map_or(0, UserId::get))
        .with("status", filter.status.map_or("", OrderStatus::as_str))
        .with("kind", filter.kind.map_or("", OrderKind::as_str));
    let start = core.cursors.start(&scope, request)?;
    let rows = store::list(&mut core.store.db(), filter, start, request).await?;
    Ok(core.cursors.page(&scope, request.limit, rows, |order| SortKey {
        by: order.created_at.as_micros(),
        id: order.id,
    }))
}

/// The channel of this name.
fn channel<'a>(core: &'a Core, name: &str) -> Result<&'a dyn PayChannel> {
    core.pay.get(name).map(AsRef::as_ref).ok_or_else(|| {
        Error::new(Code::Unavailable).with_source(format!("no payment channel {name} is configured"))
    })
}
