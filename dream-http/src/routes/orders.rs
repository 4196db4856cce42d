//! Orders, their payment, and what the payment channel tells.

use dream_core::kernel::OrderId;
use dream_core::orders::{OrderKind, RechargePoints, VerifiedPayment, VerifiedRefund};
use dream_core::{Admin, Code, Error, Result, Session};

use crate::input::{Body, IdempotencyKey, OneOf, Paged, Path, Query, Text, Whole};
use crate::reply::{Accepted, Created};
use crate::table::{Row, get, post};
use crate::throttle::LimitClass;
use crate::wire::admin_orders::{AdminOrder, AdminOrderDetail};
use crate::wire::orders::{
    Ack, AdminOrderQuery, Order, OrderQuery, PlacedOrder, PlacedRecharge, Purchase, Recharge, RefundAnswer,
    RefundRequest, channel, not_taken,
};
use crate::wire::page::Page;

const CHANNEL_FAILS: &[Code] = &[Code::UpstreamError, Code::UpstreamTimeout];

pub(crate) fn rows() -> Vec<Row> {
    let purchase = post("/v1/vip/purchase", purchase)
        .doc("Orders a plan")
        .limited_as(LimitClass::Pay)
        .fails(&[Code::PlanNotFound, Code::VipHigherActive, Code::OrderLimitReached])
        .fails(CHANNEL_FAILS);
    let list = get("/v1/orders", list).doc("One's orders, newest first").fails(&[Code::InvalidCursor]);
    let show = get("/v1/orders/{orderId}", show).doc("One of one's orders").fails(&[Code::OrderNotFound]);
    let payment = post("/v1/orders/payment-callback", payment)
        .doc("WeChat Pay tells that an order was paid")
        .fails(&[Code::OrderNotFound, Code::Forbidden, Code::Unavailable])
        .unmetered()
        .wording(not_taken);
    vec![
        purchase.also_at("/v1/vip/orders"),
        purchase,
        post("/v1/points/recharge", recharge)
            .doc("Orders points; they arrive with the payment")
            .limited_as(LimitClass::Pay)
            .fails(&[Code::OrderLimitReached])
            .fails(CHANNEL_FAILS),
        list.also_at("/v1/vip/orders"),
        list,
        show.also_at("/v1/vip/orders/{orderId}"),
        show,
        post("/v1/orders/{orderId}/pay", pay)
            .doc("Fresh parameters for the payment of an order that waits")
            .limited_as(LimitClass::Pay)
            .fails(&[Code::OrderNotFound, Code::OrderNotPayable])
            .fails(CHANNEL_FAILS),
        post("/v1/orders/{orderId}/cancel", cancel)
            .doc("Closes an order that waits")
            .limited_as(LimitClass::Pay)
            .fails(&[Code::OrderNotFound, Code::OrderNotPayable])
            .fails(CHANNEL_FAILS),
        payment.also_at("/v1/vip/payment-callback"),
        payment,
        post("/v1/orders/refund-callback", refunded)
            .doc("WeChat Pay tells how a refund ended")
            .fails(&[Code::OrderNotFound, Code::Forbidden, Code::Unavailable])
            .unmetered()
            .wording(not_taken),
        get("/v1/admin/orders", admin_list)
            .doc("Everybody's orders, newest first")
            .fails(&[Code::InvalidCursor]),
        get("/v1/admin/orders/{orderId}", admin_show)
            .doc("An order with its user, what the channel reported, its refunds and what happened when")
            .fails(&[Code::OrderNotFound]),
        post("/v1/admin/orders/{orderId}/query", query)
            .doc("Asks the channel about an order now; a payment that was missed takes effect")
            .fails(&[Code::OrderNotFound])
            .fails(CHANNEL_FAILS),
        post("/v1/admin/orders/{orderId}/refund", refund)
            .doc("Gives back an order or a part of it, and takes back what it bought")
            .fails(&[Code::OrderNotFound, Code::InvalidState]),
    ]
}

async fn purchase(
    me: Session,
    (IdempotencyKey(key), Body(body)): (IdempotencyKey, Body<Purchase>),
) -> Result<Created<PlacedOrder>> {
    let channel = channel(body.payment_method);
    Ok(Created(me.purchase(&body.plan_id.0, channel, key.as_ref()).await?.into()))
}

async fn recharge(
    me: Session,
    (IdempotencyKey(key), Body(body)): (IdempotencyKey, Body<Recharge>),
) -> Result<Created<PlacedRecharge>> {
    let Whole(points) = body.amount;
    let points = RechargePoints::new(points).map_err(|fault| Error::invalid_field("amount", fault))?;
    let placed = me.recharge(points, channel(body.payment_method), key.as_ref()).await?;
    Ok(Created(PlacedRecharge::new(placed, points)))
}

async fn list(me: Session, (Paged(page), Query(query)): (Paged, Query<OrderQuery>)) -> Result<Page<Order>> {
    let (status, kind) = (query.status.map(|OneOf(it)| it), query.kind.map(|OneOf::<OrderKind>(it)| it));
    Ok(Page::of(me.orders(status, kind, &page).await?, Order::from))
}

async fn show(me: Session, Path(id): Path<OrderId>) -> Result<Order> {
    Ok(me.order(&id).await?.into())
}

async fn pay(me: Session, Path(id): Path<OrderId>) -> Result<PlacedOrder> {
    Ok(me.pay_order(&id).await?.into())
}

async fn cancel(me: Session, Path(id): Path<OrderId>) -> Result<Order> {
    Ok(me.cancel_order(&id).await?.into())
}

async fn payment(notice: VerifiedPayment, (): ()) -> Result<Ack> {
    notice.settle().await?;
    Ok(Ack::SUCCESS)
}

async fn refunded(notice: VerifiedRefund, (): ()) -> Result<Ack> {
    notice.settle().await?;
    Ok(Ack::SUCCESS)
}

async fn admin_list(
    admin: Admin,
    (Paged(page), Query(query)): (Paged, Query<AdminOrderQuery>),
) -> Result<Page<AdminOrder>> {
    Ok(Page::of(admin.orders(&query.into(), &page).await?, AdminOrder::from))
}

async fn admin_show(admin: Admin, Path(id): Path<OrderId>) -> Result<AdminOrderDetail> {
    Ok(admin.order_detail(&id).await?.into())
}

async fn query(admin: Admin, Path(id): Path<OrderId>) -> Result<AdminOrderDetail> {
    admin.query_order(&id).await?;
    Ok(admin.order_detail(&id).await?.into())
}

async fn refund(
    admin: Admin,
    (Path(id), Body(body)): (Path<OrderId>, Body<RefundRequest>),
) -> Result<Accepted<RefundAnswer>> {
    let Text(reason) = &body.reason;
    Ok(Accepted(admin.refund_order(&id, body.amount(), reason).await?.into()))
}
