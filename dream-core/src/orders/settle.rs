//! A payment takes effect: once, in the commit that marks the order paid, however often it is told.

use std::sync::Arc;

use super::refund::{self, Refund};
use super::rules::{self, Mismatch};
use super::store::{self, Whole};
use super::{Goods, Order, OrderState, channel};
use crate::dream::{Core, Dream};
use crate::error::{Code, Error, Result};
use crate::events::{self, EventKind};
use crate::kernel::{OrderId, Points, RefundId, Timestamp};
use crate::outbox::{self, TaskKind};
use crate::points::{self, Booking, Cause, EntryKind};
use crate::ports::{NotifyRefusal, PayIdentity, PaymentFacts, SignedNotify};
use crate::settings::Settings;
use crate::stats::{self, Delta};
use crate::store::{Change, Tx};
use crate::vip;

/// A payment notify whose signature is the channel's.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::{RechargePoints, Settled, WECHAT};
/// # use dream_core::ports::SignedNotify;
///
/// # let alice = world.alice().await;
/// # let placed = alice.session().await.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
/// # let content = serde_json::json!({
/// #     "mchid": world.wechat_pay().credentials().mchid, "appid": world.wechat().app().appid, "attach": "",
/// #     "out_trade_no": placed.order.order_id.as_str(), "transaction_id": "4200000000202601010000000001",
/// #     "trade_type": "JSAPI", "trade_state": "SUCCESS", "trade_state_desc": "-", "bank_type": "OTHERS",
/// #     "success_time": world.now().to_string(), "payer": { "openid": alice.openid() },
/// #     "amount": { "total": 500, "payer_total": 500, "currency": "CNY", "payer_currency": "CNY" },
/// # });
/// # let notify = world.wechat_pay().seal("TRANSACTION.SUCCESS", &content, None);
/// // Headers and raw body of what came at the notify address.
/// let notify: &SignedNotify = &notify;
/// let payment = world.dream().payment_notify(WECHAT, notify).await?;
/// assert_eq!(payment.settle().await?, Settled::Fulfilled);
/// assert_eq!(alice.points().await, 50);
///
/// // The channel tells again until it is answered. Only the first time counts.
/// let again = world.dream().payment_notify(WECHAT, notify).await?;
/// assert_eq!(again.settle().await?, Settled::Before);
/// # Ok(())
/// # });
/// ```
pub struct VerifiedPayment {
    core: Arc<Core>,
    channel: &'static str,
    facts: PaymentFacts,
}

impl std::fmt::Debug for VerifiedPayment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifiedPayment({})", self.facts.out_trade_no)
    }
}

/// What a payment that was told about did.
///
/// ```
/// use dream_core::orders::Settled;
///
/// // The channel gets the same answer for all three: it has told us, and need not tell again.
/// let line = |settled| match settled {
///     Settled::Fulfilled => "given",
///     Settled::Before => "given before",
///     Settled::SentBack => "paid twice, and on its way back",
/// };
/// assert_eq!(line(Settled::Before), "given before");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// What was ordered was given, just now.
    Fulfilled,
    /// It was given before.
    Before,
    /// The order had been paid by another payment, or its user is gone: this one goes back.
    SentBack,
}

impl Dream {
    /// Checks that a payment notify comes from the channel and is fresh. Settling is a method of the proof, so
    /// nothing unverified gets there.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::Code;
    /// use dream_core::orders::WECHAT;
    /// use dream_core::ports::SignedNotify;
    ///
    /// let claim = SignedNotify::new([("content-type", "application/json")], r#"{"trade_state":"SUCCESS"}"#);
    /// let refused = world.dream().payment_notify(WECHAT, &claim).await.unwrap_err();
    /// assert_eq!(refused.code(), Code::Unauthenticated, "anybody could say so");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for whatever is not the channel's; the log says which check it failed.
    pub async fn payment_notify(&self, channel_name: &str, notify: &SignedNotify) -> Result<VerifiedPayment> {
        let pay = channel(&self.core, channel_name)?;
        let facts = pay.payment_notify(notify).await.map_err(|refusal| refused("payment", refusal))?;
        Ok(VerifiedPayment { core: self.core.clone(), channel: pay.name(), facts })
    }
}

pub(super) fn refused(kind: &'static str, refusal: NotifyRefusal) -> Error {
    metrics::counter!("dream_pay_notifies_refused_total", "kind" => kind, "at" => refusal.at.as_str())
        .increment(1);
    if refusal.probe {
        tracing::info!(kind, "the channel probed whether signatures are verified here");
    } else {
        tracing::warn!(kind, error = %refusal, "a notify was refused");
    }
    crate::auth::wrong_signature().with_source(refusal)
}

impl VerifiedPayment {
    /// Lets the payment take effect. Returns after the commit: only then may the channel be answered.
    ///
    /// # Errors
    /// `ORDER_NOT_FOUND`; `FORBIDDEN` if amount, currency, merchant, app or payer are not the order's;
    /// `UNAVAILABLE` if it could not be kept: then the channel must tell again.
    pub async fn settle(self) -> Result<Settled> {
        settle(&self.core, self.channel, &self.facts).await
    }
}

/// Lets a payment take effect that the channel vouches for, by notify or by query.
pub(super) async fn settle(core: &Arc<Core>, channel_name: &str, facts: &PaymentFacts) -> Result<Settled> {
    let order_id: OrderId = facts.out_trade_no.parse().map_err(|_| Error::new(Code::OrderNotFound))?;
    let refund_id = refund::new_refund_id(core, core.now())?;
    let change = Settle {
        order_id: &order_id,
        channel: channel_name,
        facts,
        identity: channel(core, channel_name)?.identity(),
        spare_refund_id: &refund_id,
        settings: &core.settings,
        now: core.now(),
    };
    match core.store.run(&change).await? {
        Outcome::Done(settled, order) => {
            if settled != Settled::Before {
                core.wake_worker();
                core.announce(&format!("order:{}", order.order_id)).await;
                tracing::info!(order.id = %order.order_id, outcome = ?settled, "a payment was settled");
            }
            Ok(settled)
        }
        Outcome::Mismatch(what) => {
            metrics::counter!("dream_pay_mismatches_total").increment(1);
            tracing::error!(order.id = %order_id, transaction.id = facts.transaction_id, ?what,
                "a payment does not match its order and was not accepted: look at it");
            Err(Error::new(Code::Forbidden).with_source(format!("{what:?} of the payment")))
        }
    }
}

struct Settle<'a> {
    order_id: &'a OrderId,
    channel: &'a str,
    facts: &'a PaymentFacts,
    identity: &'a PayIdentity,
    /// The id of the refund, should the payment have to go back.
    spare_refund_id: &'a RefundId,
    settings: &'a Settings,
    now: Timestamp,
}

enum Outcome {
    Done(Settled, Box<Order>),
    Mismatch(Mismatch),
}

impl Change for Settle<'_> {
    const NAME: &'static str = "orders.settle";
    type Out = Outcome;

    async fn apply(&self, tx: &mut Tx) -> Result<Outcome> {
        let user = store::owner(tx, self.order_id).await?.ok_or(Code::OrderNotFound)?;
        points::lock_balance(tx, user).await?.ok_or(Code::Internal)?;
        let whole = store::lock(tx, self.order_id).await?.ok_or(Code::OrderNotFound)?;
        if whole.order.channel != self.channel {
            return Ok(Outcome::Mismatch(Mismatch::Merchant));
        }
        if let Err(what) = rules::check(self.facts, self.identity, whole.order.amount, whole.payer.as_deref())
        {
            return Ok(Outcome::Mismatch(what));
        }
        let noted = store::order_of_payment(tx, self.channel, &self.facts.transaction_id).await?;
        let settled = match noted {
            Some(order) if order == *self.order_id => Settled::Before,
            Some(_) => return Ok(Outcome::Mismatch(Mismatch::Transaction)),
            None => {
                if let (OrderState::Pending | OrderState::Cancelled, Some(_)) =
                    (&whole.order.state, &whole.payer)
                {
                    self.fulfil(tx, &whole.order).await?;
                    Settled::Fulfilled
                } else {
                    self.send_back(tx, &whole).await?;
                    Settled::SentBack
                }
            }
        };
        Ok(Outcome::Done(settled, Box::new(whole.order)))
    }
}

impl Settle<'_> {
    /// Gives what was ordered, and marks the order paid, in one commit.
    async fn fulfil(&self, tx: &mut Tx, order: &Order) -> Result<()> {
        let now = self.now;
        store::insert_payment(tx, self.channel, self.order_id, self.facts, false, now).await?;
        let (vip_until, earned) = match &order.goods {
            Goods::Vip { level, days, .. } => {
                let plan = (*level, *days);
                let until = vip::extend(tx, self.settings, order.user, self.order_id, plan, now).await?;
                (Some(until), Points::ZERO)
            }
            Goods::Points(points) => {
                let booking = Booking {
                    user: order.user,
                    kind: EntryKind::Earn,
                    amount: *points,
                    cause: Cause::Order(self.order_id),
                    description: "积分充值",
                };
                points::book(tx, &booking, now).await?.ok_or(Code::Internal)?;
                (None, *points)
            }
        };
        if !store::mark_paid(tx, self.order_id, self.facts, vip_until, now).await? {
            return Err(Error::internal("a locked order changed its state"));
        }
        store::insert_fulfilment(tx, order, vip_until, now).await?;
        outbox::cancel(tx, TaskKind::OrderCheck, self.order_id.as_str()).await?;
        events::keep(tx, self.settings, EventKind::OrderPaid, self.order_id.as_str(), now, now).await?;
        let delta =
            Delta { paid_orders: 1, revenue: order.amount.get(), earned: earned.get(), ..Delta::default() };
        stats::add(tx, self.settings, now, delta).await
    }

    /// Notes a payment that nobody owes us, and queues its refund. An order whose user is gone ends with it.
    async fn send_back(&self, tx: &mut Tx, whole: &Whole) -> Result<()> {
        let now = self.now;
        if !store::insert_payment(tx, self.channel, self.order_id, self.facts, true, now).await? {
            return Ok(());
        }
        if store::mark_cancelled(tx, self.order_id, now).await? {
            outbox::cancel(tx, TaskKind::OrderCheck, self.order_id.as_str()).await?;
        }
        let (id, transaction) = (self.spare_refund_id, &self.facts.transaction_id);
        let (amount, reason) = (self.facts.amount, "重复支付退款");
        let promised = Refund::promised(id, &whole.order, transaction, amount, reason, "system", now);
        Refund { surplus: true, ..promised }.begin(tx).await
    }
}
