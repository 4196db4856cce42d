//! Giving money back: what was bought is taken back in the commit that promises it.

use std::sync::Arc;
use std::time::Duration;

use super::rules;
use super::settle::refused;
use super::store;
use super::{Goods, ORIGINAL, Order, OrderState, channel};
use crate::access::Admin;
use crate::admin::{self, AuditEntry};
use crate::dream::{Core, Dream};
use crate::error::{Code, Error, Facts, Fault, Result};
use crate::kernel::{Fen, OrderId, Points, RefundId, Timestamp};
use crate::outbox::{self, Next, Task, TaskKind, growing};
use crate::points::{self, Booking, Cause, EntryKind};
use crate::ports::{
    EntropyExt as _, Failure, PayChannel, PayTrouble, RefundFacts, RefundRequest, RefundState, SignedNotify,
};
use crate::settings::Settings;
use crate::stats::{self, Delta};
use crate::store::{Change, Tx};
use crate::vip;

/// Where a refund stands.
///
/// ```
/// use dream_core::orders::RefundStatus;
///
/// assert_eq!(RefundStatus::parse("PROCESSING"), Some(RefundStatus::Processing));
/// assert_eq!(RefundStatus::Failed.as_str(), "FAILED", "and what was taken back was given again");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefundStatus {
    /// Promised; the channel has not said how it ended.
    Processing,
    /// The money is with the payer.
    Succeeded,
    /// It did not come about, and what was taken back was given again.
    Failed,
}

impl RefundStatus {
    /// Every state by its name.
    pub const NAMES: &'static [&'static str] = &["PROCESSING", "SUCCEEDED", "FAILED"];

    /// The state's name in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            RefundStatus::Processing => "PROCESSING",
            RefundStatus::Succeeded => "SUCCEEDED",
            RefundStatus::Failed => "FAILED",
        }
    }

    /// The state of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "PROCESSING" => RefundStatus::Processing,
            "SUCCEEDED" => RefundStatus::Succeeded,
            "FAILED" => RefundStatus::Failed,
            _ => return None,
        })
    }
}

/// Money that goes back.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::kernel::Fen;
/// use dream_core::orders::{RechargePoints, RefundStatus, WECHAT};
///
/// # let alice = world.alice().await;
/// # let placed = alice.session().await.recharge(RechargePoints::new(100).unwrap(), WECHAT, None).await?;
/// # world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
/// # world.settle().await;
/// # let order = &placed.order.order_id;
/// let admin = world.admin().await;
/// let refund = admin.refund_order(order, Some(Fen::new(250)), "a quarter was not used").await?;
/// assert_eq!((refund.amount.get(), refund.total.get()), (250, 1000), "fen");
/// assert_eq!((refund.points_taken.get(), alice.points().await), (25, 75), "at once, in proportion");
/// assert_eq!(refund.status, RefundStatus::Processing, "the money follows");
///
/// world.settle().await;
/// assert_eq!(admin.refunds_of(order).await?[0].status, RefundStatus::Succeeded);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Our number of it.
    pub refund_id: RefundId,
    /// The order.
    pub order_id: OrderId,
    /// The channel's number of the payment.
    pub transaction_id: String,
    /// How much goes back.
    pub amount: Fen,
    /// The order's whole amount.
    pub total: Fen,
    /// Why.
    pub reason: String,
    /// Whether it gives back a payment too many, for which nothing had been given.
    pub surplus: bool,
    /// Where it stands.
    pub status: RefundStatus,
    /// Points that were taken back.
    pub points_taken: Points,
    /// Days that were taken back.
    pub days_taken: i64,
    /// The channel's number of it.
    pub channel_refund: Option<String>,
    /// Why it failed; while it is processing, why it needs a person.
    pub failure: Option<String>,
    /// The admin key that asked for it, or `system`.
    pub requested_by: String,
    /// When it was promised.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Refund {
    /// One that was just promised, and takes nothing back.
    pub(super) fn promised(
        id: &RefundId,
        order: &Order,
        transaction_id: &str,
        amount: Fen,
        reason: &str,
        requested_by: &str,
        now: Timestamp,
    ) -> Self {
        Self {
            refund_id: id.clone(),
            order_id: order.order_id.clone(),
            transaction_id: transaction_id.to_owned(),
            amount,
            total: order.amount,
            reason: reason.to_owned(),
            surplus: false,
            status: RefundStatus::Processing,
            points_taken: Points::ZERO,
            days_taken: 0,
            channel_refund: None,
            failure: None,
            requested_by: requested_by.to_owned(),
            created_at: now,
            updated_at: now,
        }
    }

    /// Writes it, and has the channel asked for it.
    pub(super) async fn begin(&self, tx: &mut Tx) -> Result<()> {
        store::insert_refund(tx, self).await?;
        let now = self.created_at;
        outbox::enqueue(tx, TaskKind::RefundFollow, self.refund_id.as_str(), now, now).await
    }

    /// Writes down that an admin asked for it.
    async fn write_down(&self, tx: &mut Tx, admin: &Admin, action: &'static str) -> Result<()> {
        let entry = AuditEntry::new(action, format!("order:{}", self.order_id))
            .after(serde_json::json!({ "refundId": self.refund_id.as_str(), "amount": self.amount.get() }))
            .reason(Some(&self.reason));
        admin::record(tx, admin, entry, self.created_at).await
    }
}

/// A refund notify whose signature is the channel's.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::{RechargePoints, RefundStatus, WECHAT};
/// use dream_core::ports::SignedNotify;
///
/// # let alice = world.alice().await;
/// # let placed = alice.session().await.recharge(RechargePoints::new(60).unwrap(), WECHAT, None).await?;
/// # world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
/// # world.settle().await;
/// // Whatever the signature does not hold for never gets as far as this type.
/// let forged = SignedNotify::new([("Wechatpay-Signature", "AAAA")], r#"{"event_type":"REFUND.SUCCESS"}"#);
/// assert!(world.dream().refund_notify(WECHAT, &forged).await.is_err());
///
/// // The true notify is served at the route that the refund named.
/// let admin = world.admin().await;
/// admin.refund_order(&placed.order.order_id, None, "changed mind").await?;
/// world.settle().await;
/// assert_eq!(admin.refunds_of(&placed.order.order_id).await?[0].status, RefundStatus::Succeeded);
/// # Ok(())
/// # });
/// ```
pub struct VerifiedRefund {
    core: Arc<Core>,
    facts: RefundFacts,
    mchid: String,
}

impl std::fmt::Debug for VerifiedRefund {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifiedRefund({})", self.facts.out_refund_no)
    }
}

const FIRST_LOOK: Duration = Duration::from_mins(1);
const LOOK_MOST: Duration = Duration::from_hours(1);
/// Longest reason, in characters; the channel shows the payer 80 bytes of it.
const MAX_REASON: usize = 200;

impl Admin {
    /// Gives back the whole of an order or a part of it. Points or days that it bought are taken back in the same
    /// commit, in proportion.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::orders::{RechargePoints, WECHAT};
    /// use dream_core::{Code, Facts};
    ///
    /// # let alice = world.alice().await;
    /// # let placed = alice.session().await.recharge(RechargePoints::new(60).unwrap(), WECHAT, None).await?;
    /// # world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
    /// # world.settle().await;
    /// # let admin = world.admin().await;
    /// # admin.grant_points(alice.id(), dream_core::kernel::Points::new(-45), "spent").await?;
    /// # let order = &placed.order.order_id;
    /// // 60 points were bought, and 45 of them are spent.
    /// let refused = admin.refund_order(order, None, "changed mind").await.unwrap_err();
    /// assert_eq!((refused.code(), refused.facts()), (Code::InvalidState, &Facts::Shortfall { points: 45 }));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `ORDER_NOT_FOUND`; `INVALID_STATE` if it is not paid, was paid at the original service, or, with
    /// [`Facts::Shortfall`], if the points were spent; `VALIDATION_FAILED` for the amount or reason.
    pub async fn refund_order(&self, order: &OrderId, amount: Option<Fen>, reason: &str) -> Result<Refund> {
        let core = &self.core;
        let reason = checked_reason(reason)?;
        if amount.is_some_and(|amount| !amount.is_positive()) {
            return Err(Error::invalid_field("amount", Fault::Range { min: 1, max: i64::MAX }));
        }
        let refund_id = new_refund_id(core, core.now())?;
        let change =
            RequestRefund { admin: self, order, amount, reason, refund_id: &refund_id, now: core.now() };
        let refund = core.store.run(&change).await?;
        core.wake_worker();
        Ok(refund)
    }

    /// Gives back a payment too many whose refund the channel gave up; one of them, if there are several.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::Code;
    /// # use dream_core::orders::WECHAT;
    ///
    /// # let me = world.alice().await.session().await;
    /// # let order = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?.order.order_id;
    /// // A second payment goes back by itself; this is for one whose refund the channel gave up.
    /// let nothing = world.admin().await.refund_surplus(&order, "by hand").await.unwrap_err();
    /// assert_eq!(nothing.code(), Code::InvalidState, "there is none");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `ORDER_NOT_FOUND`; `INVALID_STATE` if there is none; `VALIDATION_FAILED` for the reason.
    pub async fn refund_surplus(&self, order: &OrderId, reason: &str) -> Result<Refund> {
        let core = &self.core;
        let reason = checked_reason(reason)?;
        let now = core.now();
        let refund_id = new_refund_id(core, now)?;
        let change = RefundSurplus { admin: self, order, reason, refund_id: &refund_id, now };
        let refund = core.store.run(&change).await?;
        core.wake_worker();
        Ok(refund)
    }

    /// Refunds of an order, oldest first.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::kernel::Fen;
    /// # use dream_core::orders::{RechargePoints, WECHAT};
    /// # let alice = world.alice().await;
    /// # let placed = alice.session().await.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
    /// # world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
    /// # world.settle().await;
    /// # let order = &placed.order.order_id;
    /// let admin = world.admin().await;
    /// for fen in [100, 150] {
    ///     admin.refund_order(order, Some(Fen::new(fen)), "in parts").await?;
    ///     # world.pass(std::time::Duration::from_mins(2)).await;
    /// }
    /// let amounts: Vec<i64> =
    ///     admin.refunds_of(order).await?.iter().map(|refund| refund.amount.get()).collect();
    /// assert_eq!(amounts, [100, 150], "fen, oldest first");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked.
    pub async fn refunds_of(&self, order: &OrderId) -> Result<Vec<Refund>> {
        store::refunds_of(&mut self.core.store.db(), order).await
    }
}

impl Dream {
    /// Checks that a refund notify comes from the channel and is fresh.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for whatever is not the channel's; the log says which check it failed.
    pub async fn refund_notify(&self, channel_name: &str, notify: &SignedNotify) -> Result<VerifiedRefund> {
        let pay = channel(&self.core, channel_name)?;
        let facts = pay.refund_notify(notify).await.map_err(|refusal| refused("refund", refusal))?;
        Ok(VerifiedRefund { core: self.core.clone(), facts, mchid: pay.identity().mchid.clone() })
    }
}

impl VerifiedRefund {
    /// Lets the news take effect, once however often it is told. Returns after the commit.
    ///
    /// # Errors
    /// `ORDER_NOT_FOUND` for a refund that is not ours; `FORBIDDEN` if its amounts or merchant are not;
    /// `UNAVAILABLE` if it could not be kept: then the channel must tell again.
    pub async fn settle(self) -> Result<()> {
        if self.facts.mchid.as_ref().is_some_and(|mchid| *mchid != self.mchid) {
            return Err(mismatch(&self.facts, "merchant"));
        }
        let id: RefundId = self.facts.out_refund_no.parse().map_err(|_| Error::new(Code::OrderNotFound))?;
        let refund = store::refund(&mut self.core.store.db(), &id).await?.ok_or(Code::OrderNotFound)?;
        apply(&self.core, &refund, &self.facts).await.map(|_| ())
    }
}

fn mismatch(facts: &RefundFacts, what: &'static str) -> Error {
    tracing::error!(refund.id = facts.out_refund_no, what, "a refund's news do not match it: look at it");
    Error::new(Code::Forbidden).with_source(format!("{what} of the refund"))
}

struct RequestRefund<'a> {
    admin: &'a Admin,
    order: &'a OrderId,
    amount: Option<Fen>,
    reason: &'a str,
    refund_id: &'a RefundId,
    now: Timestamp,
}

impl Change for RequestRefund<'_> {
    const NAME: &'static str = "orders.request_refund";
    type Out = Refund;

    async fn apply(&self, tx: &mut Tx) -> Result<Refund> {
        let now = self.now;
        let user = store::owner(tx, self.order).await?.ok_or(Code::OrderNotFound)?;
        points::lock_balance(tx, user).await?.ok_or(Code::Internal)?;
        let order = store::lock(tx, self.order).await?.ok_or(Code::OrderNotFound)?.order;
        let OrderState::Paid(payment) = &order.state else { return Err(Code::InvalidState.into()) };
        if order.channel == ORIGINAL {
            return Err(Code::InvalidState.into());
        }
        let left = order.amount.checked_sub(order.refunded).ok_or(Code::Internal)?;
        let amount = self.amount.unwrap_or(left);
        if !left.is_positive() {
            return Err(Code::InvalidState.into());
        }
        let Some(refunded) = store::reserve_refund(tx, self.order, amount).await? else {
            return Err(Error::invalid_field("amount", Fault::Range { min: 1, max: left.get() }));
        };
        let before = store::taken_back(tx, self.order).await?;
        // What a refund that failed had taken is no longer counted, so the shares are always those of the whole.
        let due = |whole: i64, taken: i64| (rules::part(whole, refunded, order.amount) - taken).max(0);
        let (points_taken, days_taken) = match &order.goods {
            Goods::Points(points) => (Points::new(due(points.get(), before.points.get())), 0),
            Goods::Vip { days, .. } => (Points::ZERO, due(*days, before.days)),
        };
        if points_taken.is_positive() {
            self.take_points(tx, user, points_taken).await?;
        }
        let days_taken = match days_taken {
            1.. => vip::take_back(tx, &self.admin.core.settings, user, self.order, days_taken, now).await?,
            _ => 0,
        };
        let (transaction, by) = (&payment.transaction_id, &self.admin.key_name.to_string());
        let promised = Refund::promised(self.refund_id, &order, transaction, amount, self.reason, by, now);
        let refund = Refund { points_taken, days_taken, ..promised };
        refund.begin(tx).await?;
        refund.write_down(tx, self.admin, "order.refund").await?;
        Ok(refund)
    }
}

impl RequestRefund<'_> {
    async fn take_points(&self, tx: &mut Tx, user: crate::kernel::UserId, points: Points) -> Result<()> {
        let booking = Booking {
            user,
            kind: EntryKind::Spend,
            amount: points,
            cause: Cause::OrderRefund(self.order, self.refund_id),
            description: "充值退款扣回",
        };
        if points::book(tx, &booking, self.now).await?.is_some() {
            let delta = Delta { spent: points.get(), ..Delta::default() };
            return stats::add(tx, &self.admin.core.settings, self.now, delta).await;
        }
        let balance = points::lock_balance(tx, user).await?.unwrap_or(Points::ZERO);
        let shortfall = points.get() - balance.get();
        Err(Error::new(Code::InvalidState).with_facts(Facts::Shortfall { points: shortfall }))
    }
}

struct RefundSurplus<'a> {
    admin: &'a Admin,
    order: &'a OrderId,
    reason: &'a str,
    refund_id: &'a RefundId,
    now: Timestamp,
}

impl Change for RefundSurplus<'_> {
    const NAME: &'static str = "orders.refund_surplus";
    type Out = Refund;

    async fn apply(&self, tx: &mut Tx) -> Result<Refund> {
        let user = store::owner(tx, self.order).await?.ok_or(Code::OrderNotFound)?;
        points::lock_balance(tx, user).await?.ok_or(Code::Internal)?;
        let order = store::lock(tx, self.order).await?.ok_or(Code::OrderNotFound)?.order;
        let (transaction, amount) = store::kept_surplus(tx, self.order).await?.ok_or(Code::InvalidState)?;
        let by = &self.admin.key_name.to_string();
        let promised =
            Refund::promised(self.refund_id, &order, &transaction, amount, self.reason, by, self.now);
        let refund = Refund { surplus: true, ..promised };
        refund.begin(tx).await?;
        refund.write_down(tx, self.admin, "order.refund_surplus").await?;
        Ok(refund)
    }
}

fn checked_reason(reason: &str) -> Result<&str> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON {
        return Err(Error::invalid_field("reason", Fault::Length { min: 1, max: MAX_REASON }));
    }
    Ok(reason)
}

/// The task: ask the channel for the refund, then follow it until it ends.
pub(crate) async fn follow(core: &Arc<Core>, task: &Task) -> Result<Next> {
    let id: RefundId = task.subject.parse().map_err(|_| Error::internal("a task names no refund"))?;
    let Some(refund) = store::refund(&mut core.store.db(), &id).await? else { return Ok(Next::Done) };
    if refund.status != RefundStatus::Processing {
        return Ok(Next::Done);
    }
    let order = super::follow::whole(core, &refund.order_id).await?.order;
    let pay = channel(core, &order.channel)?;
    let again = Next::After(growing(FIRST_LOOK, task.attempts, LOOK_MOST));
    let known = match refund.channel_refund {
        Some(_) => pay.query_refund(&id).await?,
        None => None,
    };
    let facts = match known {
        Some(facts) => Ok(facts),
        // Not asked for yet, or not known there: asking again with the same number refunds once.
        None => pay.refund(&request(&refund)).await,
    };
    match facts {
        Ok(facts) => {
            let ended = apply(core, &refund, &facts).await?;
            Ok(if ended { Next::Done } else { again })
        }
        Err(failure) => after_failure(core, pay, &refund, failure, again).await,
    }
}

fn request(refund: &Refund) -> RefundRequest {
    RefundRequest {
        refund: refund.refund_id.clone(),
        transaction_id: refund.transaction_id.clone(),
        amount: refund.amount,
        total: refund.total,
        reason: Some(refund.reason.clone()),
    }
}

async fn after_failure(
    core: &Arc<Core>,
    pay: &dyn PayChannel,
    refund: &Refund,
    failure: Failure,
    again: Next,
) -> Result<Next> {
    match PayTrouble::of(&failure) {
        PayTrouble::Refused | PayTrouble::NotFound | PayTrouble::NumberUsed => {
            // An earlier try may have been taken on without our hearing of it.
            if let Some(facts) = pay.query_refund(&refund.refund_id).await? {
                return Ok(if apply(core, refund, &facts).await? { Next::Done } else { again });
            }
            tracing::error!(refund.id = %refund.refund_id, error = %failure, "a refund was refused");
            end(core, refund, RefundStatus::Failed, Some(&failure.message)).await?;
            Ok(Next::Done)
        }
        PayTrouble::BalanceShort | PayTrouble::Misconfigured => {
            tracing::error!(refund.id = %refund.refund_id, error = %failure, "a refund waits for an operator");
            core.store.run(&NoteTrouble { refund, trouble: &failure.message, now: core.now() }).await?;
            Ok(again)
        }
        _ => Ok(failure.retry_after.map_or(again, Next::After)),
    }
}

/// Lets what the channel says of a refund take effect; whether it has ended.
async fn apply(core: &Arc<Core>, refund: &Refund, facts: &RefundFacts) -> Result<bool> {
    let same = facts.out_refund_no == refund.refund_id.as_str()
        && facts.amount == refund.amount
        && facts.total == refund.total
        && facts.transaction_id == refund.transaction_id;
    if !same {
        return Err(mismatch(facts, "amounts or numbers"));
    }
    let mut db = core.store.db();
    store::note_channel_refund(&mut db, &refund.refund_id, &facts.channel_refund_id, core.now()).await?;
    match facts.state {
        RefundState::Processing => Ok(false),
        RefundState::Succeeded(_) => {
            end(core, refund, RefundStatus::Succeeded, None).await?;
            Ok(true)
        }
        RefundState::Closed => {
            end(core, refund, RefundStatus::Failed, Some("closed by the channel")).await?;
            Ok(true)
        }
        RefundState::Abnormal => {
            // Not final: somebody has to choose another account in the channel's console.
            tracing::error!(refund.id = %refund.refund_id, "a refund is stuck at the channel and needs a person");
            core.store.run(&NoteTrouble { refund, trouble: ABNORMAL, now: core.now() }).await?;
            Ok(false)
        }
    }
}

async fn end(core: &Core, refund: &Refund, status: RefundStatus, failure: Option<&str>) -> Result<()> {
    let change = EndRefund { refund, status, failure, settings: &core.settings, now: core.now() };
    if core.store.run(&change).await? {
        if status == RefundStatus::Failed {
            metrics::counter!("dream_refunds_failed_total").increment(1);
        }
        core.announce(&format!("order:{}", refund.order_id)).await;
    }
    Ok(())
}

/// What is noted of a refund whose account at the bank takes no money.
const ABNORMAL: &str = "abnormal at the channel: choose another account in its console";

struct NoteTrouble<'a> {
    refund: &'a Refund,
    trouble: &'a str,
    now: Timestamp,
}

impl Change for NoteTrouble<'_> {
    const NAME: &'static str = "orders.note_refund_trouble";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        store::note_refund_trouble(tx, &self.refund.refund_id, self.trouble, self.now).await
    }
}

struct EndRefund<'a> {
    refund: &'a Refund,
    status: RefundStatus,
    failure: Option<&'a str>,
    settings: &'a Settings,
    now: Timestamp,
}

impl Change for EndRefund<'_> {
    const NAME: &'static str = "orders.end_refund";
    type Out = bool;

    async fn apply(&self, tx: &mut Tx) -> Result<bool> {
        let (refund, now) = (self.refund, self.now);
        let user = store::owner(tx, &refund.order_id).await?.ok_or(Code::OrderNotFound)?;
        points::lock_balance(tx, user).await?.ok_or(Code::Internal)?;
        let order = store::lock(tx, &refund.order_id).await?.ok_or(Code::OrderNotFound)?.order;
        if !store::end_refund(tx, &refund.refund_id, self.status, self.failure, now).await? {
            return Ok(false);
        }
        outbox::cancel(tx, TaskKind::RefundFollow, refund.refund_id.as_str()).await?;
        if refund.surplus {
            // It never was revenue.
            return Ok(true);
        }
        if self.status == RefundStatus::Succeeded {
            let delta = Delta { refunded: refund.amount.get(), ..Delta::default() };
            stats::add(tx, self.settings, now, delta).await?;
            if store::given_back(tx, &refund.order_id).await? == order.amount {
                store::mark_refunded(tx, &refund.order_id, now).await?;
            }
            return Ok(true);
        }
        store::release_refund(tx, &refund.order_id, refund.amount).await?;
        if refund.points_taken.is_positive() {
            let booking = Booking {
                user,
                kind: EntryKind::Refund,
                amount: refund.points_taken,
                cause: Cause::OrderRefundFailed(&refund.order_id, &refund.refund_id),
                description: "退款未成，积分退还",
            };
            points::book(tx, &booking, now).await?.ok_or(Code::Internal)?;
        }
        if refund.days_taken > 0 {
            vip::give_back(tx, self.settings, user, &refund.order_id, refund.days_taken, now).await?;
        }
        Ok(true)
    }
}

/// `R` and 31 hex digits: within what the channel takes as `out_refund_no`.
pub(super) fn new_refund_id(core: &Core, now: Timestamp) -> Result<RefundId> {
    let text = core.entropy.uuid_at(now).simple().to_string();
    format!("R{text}").parse().map_err(|_| Error::internal("a fresh refund id is none"))
}
