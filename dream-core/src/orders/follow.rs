//! Making good a lost notify: looking an order up at the channel, and closing it after its time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::settle::settle;
use super::store::{self, Whole};
use super::{Order, OrderState, channel, find};
use crate::access::Scope;
use crate::dream::Core;
use crate::error::{Code, Error, Result};
use crate::kernel::{OrderId, Timestamp};
use crate::outbox::{self, Next, Task, TaskKind};
use crate::ports::{ChannelOrder, CloseOutcome, OrderRef};
use crate::store::{Change, Tx};

/// Pauses between looks; the last one repeats until the order's time is over.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(30), Duration::from_mins(1), Duration::from_mins(3), Duration::from_mins(10)];
/// A reader makes us ask the channel at most this often for one order.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_secs(2);

/// The task: look the order up, and close it once its time is over.
pub(crate) async fn check(core: &Arc<Core>, task: &Task) -> Result<Next> {
    let id: OrderId = task.subject.parse().map_err(|_| Error::internal("a task names no order"))?;
    let Some(whole) = store::whole(&mut core.store.db(), Scope::All, &id).await? else {
        return Ok(Next::Done);
    };
    if whole.order.state != OrderState::Pending {
        return Ok(Next::Done);
    }
    let now = core.now();
    // An order whose user is gone is closed at once.
    let over = whole.order.expire_at <= now || whole.payer.is_none();
    if look(core, &whole.order).await? {
        return Ok(Next::Done);
    }
    if over {
        close(core, &whole.order).await?;
        return Ok(Next::Done);
    }
    let step = usize::try_from(task.attempts).unwrap_or(usize::MAX).min(PAUSES.len() - 1);
    Ok(Next::After(PAUSES[step].min(whole.order.expire_at.since(now)).max(Duration::from_secs(1))))
}

/// Asks the channel on a reader's behalf, unless it was asked just now; whether that changed anything. A channel
/// that cannot be asked is no reason to keep the reader from what we know.
pub(super) async fn look_if_due(core: &Arc<Core>, order: &Order) -> bool {
    let key = format!("order-look:{}", order.order_id);
    let first = core.cache.set_if_absent(&key, Bytes::from_static(b"1"), LOOK_AT_MOST_EVERY).await;
    if !first.unwrap_or(true) {
        return false;
    }
    match look(core, order).await {
        Ok(changed) => changed,
        Err(error) => {
            tracing::info!(order.id = %order.order_id, error = %error.chain(), "an order could not be looked up");
            false
        }
    }
}

/// Asks the channel and acts on what it says; whether the order no longer waits.
pub(super) async fn look(core: &Arc<Core>, order: &Order) -> Result<bool> {
    let pay = channel(core, &order.channel)?;
    match pay.query(OrderRef::Order(&order.order_id)).await? {
        ChannelOrder::Paid(facts) | ChannelOrder::Refunding(facts) => {
            settle(core, pay.name(), &facts).await?;
            Ok(true)
        }
        ChannelOrder::Closed => {
            mark_cancelled(core, &order.order_id).await?;
            Ok(true)
        }
        ChannelOrder::Unpaid | ChannelOrder::Unknown => Ok(false),
    }
}

/// Closes the order at the channel, then here. A payment that completes meanwhile wins.
pub(super) async fn close(core: &Arc<Core>, order: &Order) -> Result<()> {
    let pay = channel(core, &order.channel)?;
    let outcome = pay.close(&order.order_id).await?;
    if look(core, order).await? {
        return Ok(());
    }
    match outcome {
        CloseOutcome::Closed => mark_cancelled(core, &order.order_id).await,
        CloseOutcome::AlreadyPaid => {
            Err(Error::internal("the channel says that an order is paid, but does not show the payment"))
        }
    }
}

pub(super) async fn cancel(core: &Arc<Core>, scope: Scope, id: &OrderId) -> Result<Order> {
    let order = find(core, scope, id).await?;
    if order.state != OrderState::Pending {
        return Err(Code::OrderNotPayable.into());
    }
    close(core, &order).await?;
    let order = find(core, scope, id).await?;
    match order.state {
        OrderState::Cancelled => Ok(order),
        _ => Err(Code::OrderNotPayable.into()),
    }
}

struct MarkCancelled<'a> {
    order: &'a OrderId,
    now: Timestamp,
}

impl Change for MarkCancelled<'_> {
    const NAME: &'static str = "orders.cancel";
    type Out = bool;

    async fn apply(&self, tx: &mut Tx) -> Result<bool> {
        let cancelled = store::mark_cancelled(tx, self.order, self.now).await?;
        if cancelled {
            outbox::cancel(tx, TaskKind::OrderCheck, self.order.as_str()).await?;
        }
        Ok(cancelled)
    }
}

async fn mark_cancelled(core: &Core, order: &OrderId) -> Result<()> {
    if core.store.run(&MarkCancelled { order, now: core.now() }).await? {
        core.announce(&format!("order:{order}")).await;
    }
    Ok(())
}

/// The order with what the work on it needs.
pub(super) async fn whole(core: &Core, id: &OrderId) -> Result<Whole> {
    store::whole(&mut core.store.db(), Scope::All, id).await?.ok_or(Code::OrderNotFound.into())
}
