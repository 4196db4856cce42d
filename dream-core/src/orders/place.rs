//! Making an order, and asking the channel for permission to have it paid.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;

use super::rules::{self, RechargePoints};
use super::store::{self, NewOrder, Whole};
use super::{Goods, OrderState, Placed, channel};
use crate::access::Scope;
use crate::dream::Core;
use crate::error::{Code, Error, Facts, Result};
use crate::idempotency::{self, Once};
use crate::kernel::{Fen, IdempotencyKey, OrderId, PlanId, Timestamp, UserId};
use crate::outbox::{self, TaskKind};
use crate::points;
use crate::ports::{EntropyExt as _, PayTrouble, PrepayRequest};
use crate::settings::Settings;
use crate::stats::{self, Delta, UserDelta};
use crate::store::{Change, Tx};
use crate::vip;

/// When a fresh order is first looked up at the channel.
const FIRST_LOOK: Duration = Duration::from_secs(15);
/// A prepay id is used again for this long; the channel takes it for two hours.
const PREPAY_GOOD_FOR: Duration = Duration::from_mins(90);

/// What somebody wants to order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wish<'a> {
    Plan(&'a PlanId),
    Points(RechargePoints),
}

impl Wish<'_> {
    fn scope(self) -> &'static str {
        match self {
            Wish::Plan(_) => "purchase",
            Wish::Points(_) => "recharge",
        }
    }

    fn fingerprint(self, channel: &str) -> String {
        let text = match self {
            Wish::Plan(plan) => format!("{channel}\0plan\0{plan}"),
            Wish::Points(points) => format!("{channel}\0points\0{}", points.get()),
        };
        hex::encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
    }
}

struct PlaceOrder<'a> {
    user: UserId,
    wish: Wish<'a>,
    order_id: &'a OrderId,
    channel: &'a str,
    once: Option<Once<'a>>,
    settings: &'a Settings,
    now: Timestamp,
}

impl Change for PlaceOrder<'_> {
    const NAME: &'static str = "orders.place";
    /// The id of the order, an earlier one's for a repeat.
    type Out = OrderId;

    async fn apply(&self, tx: &mut Tx) -> Result<OrderId> {
        let (user, now) = (self.user, self.now);
        points::lock_balance(tx, user).await?.ok_or(Code::TokenRevoked)?;
        if let Some(once) = self.once
            && let Some(first) = idempotency::first(tx, once, self.order_id.as_str(), now).await?
        {
            return first.parse().map_err(|_| Error::internal("an idempotency key names no order"));
        }
        let used = store::open_of(tx, user).await?;
        if let Some(limit) = self.settings.user_limits.open_orders
            && used >= limit
        {
            return Err(Error::new(Code::OrderLimitReached).with_facts(Facts::Limit { limit, used }));
        }
        let payer = store::payer_of(tx, user).await?.ok_or(Code::TokenRevoked)?;
        let (goods, amount, description) = self.offer(tx).await?;
        let new = NewOrder {
            id: self.order_id,
            user,
            goods: &goods,
            amount,
            channel: self.channel,
            payer: &payer,
            description: &description,
            expire_at: now.plus(self.settings.order_lifetime),
        };
        store::insert(tx, &new, now).await?;
        let subject = self.order_id.as_str();
        outbox::enqueue(tx, TaskKind::OrderCheck, subject, now.plus(FIRST_LOOK), now).await?;
        stats::add_to_user(tx, user, &UserDelta { orders: 1, ..UserDelta::default() }).await?;
        let delta = Delta { orders: 1, ..Delta::default() };
        stats::add_by(tx, self.settings, user, now, delta).await?;
        Ok(self.order_id.clone())
    }
}

impl PlaceOrder<'_> {
    /// What is sold, for how much, and what the payer reads.
    async fn offer(&self, tx: &mut Tx) -> Result<(Goods, Fen, String)> {
        match self.wish {
            Wish::Plan(id) => {
                let plan = vip::find_plan(tx, id).await?.ok_or(Code::PlanNotFound)?;
                let current = vip::membership_of(tx, self.user, self.now).await?.ok_or(Code::TokenRevoked)?;
                if current.level() > plan.level {
                    return Err(Code::VipHigherActive.into());
                }
                let description = plan.name.clone();
                let goods = Goods::Vip {
                    plan: plan.plan_id,
                    name: plan.name,
                    level: plan.level,
                    days: plan.duration_days,
                };
                Ok((goods, plan.current_price, description))
            }
            Wish::Points(points) => {
                let settings = self.settings;
                let price = rules::recharge_price(points, &settings.recharge_packages, settings.point_price);
                let price = price.filter(|price| price.is_positive()).ok_or(Code::Internal)?;
                Ok((Goods::Points(points.get()), price, format!("积分充值 {}", points.get())))
            }
        }
    }
}

pub(super) async fn place(
    core: &Arc<Core>,
    user: UserId,
    wish: Wish<'_>,
    channel_name: &str,
    key: Option<&IdempotencyKey>,
) -> Result<Placed> {
    let channel_name = channel(core, channel_name)?.name();
    let now = core.now();
    let order_id = new_order_id(core, now)?;
    let fingerprint = wish.fingerprint(channel_name);
    let once = key.map(|key| Once { user, scope: wish.scope(), key, fingerprint: &fingerprint });
    let change = PlaceOrder {
        user,
        wish,
        order_id: &order_id,
        channel: channel_name,
        once,
        settings: &core.settings,
        now,
    };
    let id = core.store.run(&change).await?;
    core.wake_worker();
    let whole =
        store::whole(&mut core.store.db(), Scope::Own(user), &id).await?.ok_or(Code::OrderNotFound)?;
    params(core, whole).await
}

pub(super) async fn pay_again(core: &Arc<Core>, scope: Scope, id: &OrderId) -> Result<Placed> {
    let whole = store::whole(&mut core.store.db(), scope, id).await?.ok_or(Code::OrderNotFound)?;
    if whole.order.state != OrderState::Pending || whole.order.expire_at <= core.now() {
        return Err(Code::OrderNotPayable.into());
    }
    params(core, whole).await
}

/// Signs what the payment dialog needs, over a prepay id that is still good or a fresh one.
async fn params(core: &Arc<Core>, whole: Whole) -> Result<Placed> {
    let now = core.now();
    let pay = channel(core, &whole.order.channel)?;
    let good = whole.prepaid.as_ref().filter(|(_, at)| now.since(*at) < PREPAY_GOOD_FOR);
    let prepay_id = match good {
        Some((prepay_id, _)) => prepay_id.clone(),
        None => fresh_prepay(core, &whole).await?,
    };
    Ok(Placed { pay: pay.client_params(&prepay_id)?, order: whole.order })
}

async fn fresh_prepay(core: &Arc<Core>, whole: &Whole) -> Result<String> {
    let order = &whole.order;
    // Every repeat has the same fields: the channel takes the number again only then.
    let request = PrepayRequest {
        order: order.order_id.clone(),
        amount: order.amount,
        description: whole.description.clone(),
        payer_openid: whole.payer.clone().ok_or(Code::OrderNotPayable)?,
        expires_at: order.expire_at,
        attach: None,
        notify_url: None,
    };
    match channel(core, &order.channel)?.prepay(&request).await {
        Ok(prepaid) => {
            let mut db = core.store.db();
            store::keep_prepay(&mut db, &order.order_id, &prepaid.prepay_id, core.now()).await?;
            Ok(prepaid.prepay_id)
        }
        Err(failure) => {
            if matches!(PayTrouble::of(&failure), PayTrouble::OrderPaid | PayTrouble::OrderClosed) {
                // The channel knows more than we do: the next look finds out.
                outbox::hasten(
                    &mut core.store.db(),
                    TaskKind::OrderCheck,
                    order.order_id.as_str(),
                    core.now(),
                )
                .await?;
                core.wake_worker();
                return Err(Error::new(Code::OrderNotPayable).with_source(failure));
            }
            tracing::warn!(order.id = %order.order_id, error = %failure, "a prepay failed");
            Err(Error::from(failure).while_("asking for a payment"))
        }
    }
}

/// 32 lower-case hex digits that sort by time: within what the channel takes as `out_trade_no`.
fn new_order_id(core: &Core, now: Timestamp) -> Result<OrderId> {
    let text = core.entropy.uuid_at(now).simple().to_string();
    text.parse().map_err(|_| Error::internal("a fresh order id is none"))
}
