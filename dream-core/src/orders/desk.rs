//! What admins do with everybody's orders.

use super::{Order, OrderKind, OrderState, OrderStatus, channel, find, follow, list};
use crate::access::Admin;
use crate::admin::{self, AuditEntry};
use crate::error::{Code, Result};
use crate::kernel::{OrderId, Page, PageRequest, Timestamp, UserId};
use crate::ports::{ChannelOrder, OrderRef};
use crate::store::{Change, Tx};

/// Which orders are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// Those in this state.
    pub status: Option<OrderStatus>,
    /// Those of this kind.
    pub kind: Option<OrderKind>,
    /// Those of this user.
    pub user: Option<UserId>,
}

impl Admin {
    /// Everybody's orders, newest first.
    ///
    /// # Errors
    /// `INVALID_CURSOR`.
    pub async fn orders(&self, filter: &OrderFilter, page: &PageRequest) -> Result<Page<Order>> {
        list(&self.core, "admin_orders", filter, page).await
    }

    /// An order, as it stands here.
    ///
    /// # Errors
    /// `ORDER_NOT_FOUND`.
    pub async fn order(&self, id: &OrderId) -> Result<Order> {
        find(&self.core, self.scope(), id).await
    }

    /// Looks an order up at the channel, and acts on what it says.
    ///
    /// # Errors
    /// `ORDER_NOT_FOUND`, `UPSTREAM_ERROR`, `UPSTREAM_TIMEOUT`.
    pub async fn query_order(&self, id: &OrderId) -> Result<Order> {
        let order = self.order(id).await?;
        follow::look(&self.core, &order).await?;
        self.order(id).await
    }

    /// Asks the channel how an order stands there, and leaves it at that.
    ///
    /// # Errors
    /// `ORDER_NOT_FOUND`, `UPSTREAM_ERROR`, `UPSTREAM_TIMEOUT`.
    pub async fn ask_channel(&self, id: &OrderId) -> Result<ChannelOrder> {
        let order = self.order(id).await?;
        Ok(channel(&self.core, &order.channel)?.query(OrderRef::Order(id)).await?)
    }

    /// Closes an order that waits, at the channel and here.
    ///
    /// # Errors
    /// `ORDER_NOT_FOUND`; `INVALID_STATE` if it does not wait, or was paid meanwhile.
    pub async fn close_order(&self, id: &OrderId, reason: Option<&str>) -> Result<Order> {
        let order = self.order(id).await?;
        if order.state != OrderState::Pending {
            return Err(Code::InvalidState.into());
        }
        follow::close(&self.core, &order).await?;
        let order = self.order(id).await?;
        if order.state != OrderState::Cancelled {
            return Err(Code::InvalidState.into());
        }
        self.core.store.run(&Closed { admin: self, order: id, reason, now: self.core.now() }).await?;
        Ok(order)
    }
}

/// The audit entry of a close, which the channel has decided already.
struct Closed<'a> {
    admin: &'a Admin,
    order: &'a OrderId,
    reason: Option<&'a str>,
    now: Timestamp,
}

impl Change for Closed<'_> {
    const NAME: &'static str = "orders.closed_by_admin";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        let entry = AuditEntry::new("order.close", format!("order:{}", self.order)).reason(self.reason);
        admin::record(tx, self.admin, entry, self.now).await
    }
}
