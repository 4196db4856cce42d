//! What the stories about money share: buying, paying, and what the platform says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dream_core::kernel::{Fen, OrderId, PageRequest, PlanId, UserId};
use dream_core::orders::{Order, OrderStatus, Placed, RechargePoints, Refund, Settled, WECHAT};
use dream_core::ports::SignedNotify;
use dream_core::{Dream, Result, UserLimits};
use dream_testkit::backends::Backend;
use dream_testkit::fakes::wechat_pay::{FakePayment, NotifyAttempt};
use dream_testkit::world::{Actor, TestDream, WorldOptions};
use serde_json::{Value, json};

/// A world that takes payments for the plans of a new installation.
pub(crate) async fn shop(backend: &Backend) -> TestDream {
    open(TestDream::on(backend)).await
}

/// As [`shop`], for users with any number of pending orders.
pub(crate) async fn shop_without_limits(backend: &Backend) -> TestDream {
    open(TestDream::on(backend).settings(|settings| settings.user_limits = UserLimits::UNLIMITED)).await
}

/// As [`shop`], with something different.
pub(crate) async fn open(options: WorldOptions) -> TestDream {
    let world = options.taking_payments().start().await;
    world.dream().plant_seeds().await.expect("plans are planted");
    world
}

pub(crate) fn plan(id: &str) -> PlanId {
    id.parse().expect("a plan's id")
}

pub(crate) fn points(number: i64) -> RechargePoints {
    RechargePoints::new(number).expect("a number that can be bought")
}

pub(crate) async fn buys(user: &Actor, id: &str) -> Placed {
    user.session().await.purchase(&plan(id), WECHAT, None).await.expect("it can be bought")
}

pub(crate) async fn recharges(user: &Actor, number: i64) -> Placed {
    user.session().await.recharge(points(number), WECHAT, None).await.expect("it can be bought")
}

/// The phone pays with what it was handed; nobody is told yet.
pub(crate) fn pays(world: &TestDream, placed: &Placed) -> FakePayment {
    world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).expect("it can be paid")
}

/// Points that were bought, paid and given.
pub(crate) async fn bought_points(world: &TestDream, user: &Actor, number: i64) -> OrderId {
    let placed = recharges(user, number).await;
    pays(world, &placed);
    told(world).await;
    placed.order.order_id
}

/// A plan that was bought, paid and given.
pub(crate) async fn bought_plan(world: &TestDream, user: &Actor, id: &str) -> OrderId {
    let placed = buys(user, id).await;
    pays(world, &placed);
    told(world).await;
    placed.order.order_id
}

/// The platform tells what is due, and all of it is taken.
pub(crate) async fn told(world: &TestDream) {
    let attempts = world.wechat_pay().deliver_due().await;
    assert!(!attempts.is_empty() && attempts.iter().all(NotifyAttempt::taken), "{attempts:?}");
}

/// The order as it is kept, without asking the platform.
pub(crate) async fn kept(world: &TestDream, id: &OrderId) -> Order {
    world.admin().await.order(id).await.expect("there is such an order")
}

pub(crate) async fn status(world: &TestDream, id: &OrderId) -> OrderStatus {
    kept(world, id).await.state.status()
}

pub(crate) async fn refunds(world: &TestDream, id: &OrderId) -> Vec<Refund> {
    world.admin().await.refunds_of(id).await.expect("refunds can be read")
}

pub(crate) async fn refund(world: &TestDream, id: &OrderId, fen: Option<i64>) -> Result<Refund> {
    world.admin().await.refund_order(id, fen.map(Fen::new), "changed mind").await
}

/// Hands a notify of a payment to the business, past any server.
pub(crate) async fn settle(dream: &Dream, notify: &SignedNotify) -> Result<Settled> {
    dream.payment_notify(WECHAT, notify).await?.settle().await
}

/// What the platform would say of a payment of this order.
pub(crate) fn payment_of(world: &TestDream, order: &Order, openid: &str, transaction: &str) -> Value {
    let us = world.wechat_pay().credentials();
    let amount = order.amount.get();
    json!({
        "mchid": us.mchid,
        "appid": world.wechat().app().appid,
        "out_trade_no": order.order_id.as_str(),
        "transaction_id": transaction,
        "trade_type": "JSAPI",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "OTHERS",
        "attach": "",
        "success_time": world.now().to_string(),
        "payer": { "openid": openid },
        "amount": { "total": amount, "payer_total": amount, "currency": "CNY", "payer_currency": "CNY" },
    })
}

pub(crate) async fn fulfilments(world: &TestDream) -> i64 {
    world.database().number("SELECT count(*) FROM fulfilments").await
}

/// The ledger of a user, oldest first: signed amount and the balance behind it.
pub(crate) async fn ledger(world: &TestDream, user: UserId) -> Vec<(i64, i64)> {
    let admin = world.admin().await;
    let page = PageRequest {
        limit: dream_core::kernel::Limit::new(100).expect("a limit"),
        ..PageRequest::default()
    };
    let entries = admin.transactions_of(user, &page).await.expect("a ledger").items;
    let signed = |kind: dream_core::points::EntryKind, amount: i64| {
        if kind == dream_core::points::EntryKind::Spend { -amount } else { amount }
    };
    let read = |entry: &dream_core::points::LedgerEntry| {
        (signed(entry.kind, entry.amount.get()), entry.balance_after.get())
    };
    entries.iter().rev().map(read).collect()
}

/// Counts what is logged as an error on this thread while it lives.
pub(crate) struct Alarms {
    count: Arc<AtomicU64>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Alarms {
    pub(crate) fn listen() -> Self {
        let count: Arc<AtomicU64> = Arc::default();
        let guard = tracing::subscriber::set_default(Errors(count.clone()));
        Self { count, _guard: guard }
    }

    pub(crate) fn heard(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

struct Errors(Arc<AtomicU64>);

impl tracing::Subscriber for Errors {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() == tracing::Level::ERROR
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
