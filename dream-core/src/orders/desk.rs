//! What admins do with everybody's orders.

use super::{Order, OrderKind, OrderState, OrderStatus, channel, find, follow, list};
use crate::access::Admin;
use crate::admin::{self, AuditEntry};
use crate::error::{Code, Result};
use crate::kernel::{OrderId, Page, PageRequest, Timestamp, UserId};
use crate::ports::{ChannelOrder, OrderRef};
use crate::store::{Change, Tx};

/// Which orders are wanted.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::kernel::PageRequest;
/// use dream_core::orders::{OrderFilter, OrderStatus, WECHAT};
///
/// # let (alice, bob) = (world.alice().await, world.user("bob").await);
/// # for user in [&alice, &bob] { user.session().await.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?; }
/// let admin = world.admin().await;
/// let of_alice = OrderFilter { user: Some(alice.id()), status: Some(OrderStatus::Pending), kind: None };
/// assert_eq!(admin.orders(&of_alice, &PageRequest::default()).await?.items.len(), 1);
/// assert_eq!(admin.orders(&OrderFilter::default(), &PageRequest::default()).await?.items.len(), 2);
/// # Ok(())
/// # });
/// ```
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
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::kernel::PageRequest;
    /// use dream_core::orders::{OrderFilter, OrderStatus, WECHAT};
    ///
    /// # let me = world.alice().await.session().await;
    /// # me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// let waiting = OrderFilter { status: Some(OrderStatus::Pending), ..OrderFilter::default() };
    /// let page = world.admin().await.orders(&waiting, &PageRequest::default()).await?;
    /// assert_eq!(page.items.iter().map(|order| order.amount.get()).sum::<i64>(), 1999, "fen");
    /// # Ok(())
    /// # });
    /// ```
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
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::orders::{OrderStatus, WECHAT};
    ///
    /// # let alice = world.alice().await;
    /// # let placed = alice.session().await.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # let id = placed.order.order_id.clone();
    /// # world.wechat_pay().pay(id.as_str(), &placed.pay).unwrap();
    /// // "I have paid, and got nothing": the notify was lost.
    /// let admin = world.admin().await;
    /// assert_eq!(admin.order(&id).await?.state.status(), OrderStatus::Pending);
    /// assert_eq!(admin.query_order(&id).await?.state.status(), OrderStatus::Paid);
    /// # Ok(())
    /// # });
    /// ```
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
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::orders::{OrderStatus, WECHAT};
    /// use dream_core::ports::ChannelOrder;
    ///
    /// # let alice = world.alice().await;
    /// # let placed = alice.session().await.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # let id = placed.order.order_id.clone();
    /// # world.wechat_pay().pay(id.as_str(), &placed.pay).unwrap();
    /// let admin = world.admin().await;
    /// let there = admin.ask_channel(&id).await?;
    /// assert!(matches!(there, ChannelOrder::Paid(payment) if payment.amount.get() == 1999));
    /// // Asking changes nothing here.
    /// assert_eq!(admin.order(&id).await?.state.status(), OrderStatus::Pending);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `ORDER_NOT_FOUND`, `UPSTREAM_ERROR`, `UPSTREAM_TIMEOUT`.
    pub async fn ask_channel(&self, id: &OrderId) -> Result<ChannelOrder> {
        let order = self.order(id).await?;
        Ok(channel(&self.core, &order.channel)?.query(OrderRef::Order(id)).await?)
    }

    /// Closes an order that waits, at the channel and here.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::Code;
    /// use dream_core::orders::{OrderStatus, WECHAT};
    ///
    /// # let alice = world.alice().await;
    /// # let id = alice.session().await.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?.order.order_id;
    /// let admin = world.admin().await;
    /// let closed = admin.close_order(&id, Some("ordered twice")).await?;
    /// assert_eq!(closed.state.status(), OrderStatus::Cancelled);
    /// assert_eq!(admin.close_order(&id, None).await.unwrap_err().code(), Code::InvalidState);
    /// # Ok(())
    /// # });
    /// ```
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
