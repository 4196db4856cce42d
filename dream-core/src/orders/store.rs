//! The tables `orders`, `fulfilments`, `payments` and `refunds`.

use super::desk::OrderFilter;
use super::detail::{Milestones, ReportedPayment};
use super::{Goods, ORIGINAL, Order, OrderKind, OrderState, OrderStatus, Payment, Refund, RefundStatus};
use crate::access::Scope;
use crate::error::Result;
use crate::kernel::{Fen, OrderId, PageRequest, PlanId, Points, RefundId, SortKey, Timestamp, UserId};
use crate::ports::PaymentFacts;
use crate::store::{Db, Row, Sql, StoreError, Tx, for_update, insert_under_id, under_id};
use crate::vip::Level;

macro_rules! orders {
    ($rest:literal) => {
        concat!(
            "SELECT id, order_id, user_id, channel, status, amount, plan_id, plan_name, plan_level, duration_days, \
             points, payer, description, prepay_id, prepaid_at, transaction_id, paid_at, vip_expire_at, expire_at, \
             refunded_at, refunded_amount, created_at, (SELECT r.status FROM refunds r \
             WHERE r.order_id = orders.order_id ORDER BY r.id DESC LIMIT 1) AS refund_status FROM orders ",
            $rest
        )
    };
}

/// An order with what only the work on it needs.
pub(super) struct Whole {
    pub(super) order: Order,
    /// The buyer's openid; `None` once the account is deleted.
    pub(super) payer: Option<String>,
    pub(super) description: String,
    pub(super) prepaid: Option<(String, Timestamp)>,
}

fn missing(column: &str) -> StoreError {
    StoreError::Inconsistent(format!("orders.{column} is missing"))
}

fn read_goods(row: &Row) -> Result<Goods> {
    if let Some(points) = row.get::<Option<Points>>("points")? {
        return Ok(Goods::Points(points));
    }
    let level: Option<String> = row.get("plan_level")?;
    Ok(Goods::Vip {
        plan: row.get("plan_id")?,
        name: row.get("plan_name")?,
        level: level.as_deref().and_then(Level::parse).ok_or_else(|| missing("plan_level"))?,
        days: row.get("duration_days")?,
    })
}

fn read_state(row: &Row) -> Result<OrderState> {
    let payment = || -> Result<Payment> {
        Ok(Payment {
            transaction_id: row.get("transaction_id")?,
            paid_at: row.get("paid_at")?,
            vip_expire_at: row.get("vip_expire_at")?,
        })
    };
    Ok(match row.word("status", OrderStatus::parse)? {
        OrderStatus::Pending => OrderState::Pending,
        OrderStatus::Cancelled => OrderState::Cancelled,
        OrderStatus::Paid => OrderState::Paid(payment()?),
        OrderStatus::Refunded => OrderState::Refunded { payment: payment()?, at: row.get("refunded_at")? },
    })
}

fn read(row: &Row) -> Result<Order> {
    let refund_status: Option<String> = row.get("refund_status")?;
    Ok(Order {
        id: row.get("id")?,
        order_id: row.get("order_id")?,
        user: row.get("user_id")?,
        goods: read_goods(row)?,
        amount: row.get("amount")?,
        channel: row.get("channel")?,
        state: read_state(row)?,
        refunded: row.get("refunded_amount")?,
        refund_status: refund_status.as_deref().and_then(RefundStatus::parse),
        expire_at: row.get("expire_at")?,
        created_at: row.get("created_at")?,
    })
}

fn read_whole(row: &Row) -> Result<Whole> {
    let prepay_id: Option<String> = row.get("prepay_id")?;
    let prepaid_at: Option<Timestamp> = row.get("prepaid_at")?;
    Ok(Whole {
        order: read(row)?,
        payer: row.get("payer")?,
        description: row.get("description")?,
        prepaid: prepay_id.zip(prepaid_at),
    })
}

pub(super) async fn find(db: &mut impl Db, scope: Scope, id: &OrderId) -> Result<Option<Order>> {
    Ok(whole(db, scope, id).await?.map(|whole| whole.order))
}

pub(super) async fn whole(db: &mut impl Db, scope: Scope, id: &OrderId) -> Result<Option<Whole>> {
    let sql = match scope {
        Scope::Own(user) => {
            Sql::new(orders!("WHERE order_id = $1 AND user_id = $2")).bind(id.as_str()).bind(user.get())
        }
        Scope::All => Sql::new(orders!("WHERE order_id = $1")).bind(id.as_str()),
    };
    db.optional(sql).await?.as_ref().map(read_whole).transpose()
}

/// The order, locked until the transaction ends. The account's lock is taken before it.
pub(super) async fn lock(tx: &mut Tx, id: &OrderId) -> Result<Option<Whole>> {
    let sql = for_update!(
        "SELECT id, order_id, user_id, channel, status, amount, plan_id, plan_name, plan_level, duration_days, \
         points, payer, description, prepay_id, prepaid_at, transaction_id, paid_at, vip_expire_at, expire_at, \
         refunded_at, refunded_amount, created_at, (SELECT r.status FROM refunds r \
         WHERE r.order_id = orders.order_id ORDER BY r.id DESC LIMIT 1) AS refund_status \
         FROM orders WHERE order_id = $1"
    );
    tx.optional(sql.bind(id.as_str())).await?.as_ref().map(read_whole).transpose()
}

/// Whose order it is; for taking the account's lock first.
pub(super) async fn owner(db: &mut impl Db, id: &OrderId) -> Result<Option<UserId>> {
    let sql = Sql::new("SELECT user_id FROM orders WHERE order_id = $1");
    db.optional(sql.bind(id.as_str())).await?.map(|row| row.get("user_id")).transpose()
}

/// Each filter that is given adds a condition; one that is not given has its own statement without it, so that a
/// forgotten value can never show everything.
pub(super) async fn list(
    db: &mut impl Db,
    filter: &OrderFilter,
    start: SortKey,
    page: &PageRequest,
) -> Result<Vec<Order>> {
    let sql = match filter.user {
        Some(_) => Sql::new(orders!(
            "WHERE (created_at, id) < ($1, $2) AND (CAST($5 AS TEXT) IS NULL OR status = $5) \
             AND (CAST($6 AS TEXT) IS NULL OR kind = $6) AND user_id = $7 \
             ORDER BY created_at DESC, id DESC LIMIT $3 OFFSET $4"
        )),
        None => Sql::new(orders!(
            "WHERE (created_at, id) < ($1, $2) AND (CAST($5 AS TEXT) IS NULL OR status = $5) \
             AND (CAST($6 AS TEXT) IS NULL OR kind = $6) ORDER BY created_at DESC, id DESC LIMIT $3 OFFSET $4"
        )),
    };
    let mut sql = sql
        .bind(start.by)
        .bind(start.id)
        .bind(page.limit.get() + 1)
        .bind(page.offset())
        .bind(filter.status.map(OrderStatus::as_str))
        .bind(filter.kind.map(OrderKind::as_str));
    if let Some(user) = filter.user {
        sql = sql.bind(user.get());
    }
    db.all(sql).await?.iter().map(read).collect()
}

/// An order to be made.
pub(super) struct NewOrder<'a> {
    pub(super) id: &'a OrderId,
    pub(super) user: UserId,
    pub(super) goods: &'a Goods,
    pub(super) amount: Fen,
    pub(super) channel: &'a str,
    pub(super) payer: &'a str,
    pub(super) description: &'a str,
    pub(super) expire_at: Timestamp,
}

/// How many orders of the user wait for their payment.
pub(super) async fn open_of(tx: &mut Tx, user: UserId) -> Result<i64> {
    let sql = Sql::new("SELECT count(*) AS open FROM orders WHERE user_id = $1 AND status = 'PENDING'");
    tx.one(sql.bind(user.get())).await?.get("open")
}

/// How many orders wait for their payment. It reads as much of an index as there are.
pub(crate) async fn count_pending(db: &mut impl Db) -> Result<i64> {
    let sql = Sql::new("SELECT count(*) AS pending FROM orders WHERE status = 'PENDING'");
    db.one(sql).await?.get("pending")
}

pub(super) async fn insert(tx: &mut Tx, new: &NewOrder<'_>, now: Timestamp) -> Result<()> {
    let (plan, name, level, days, points) = match new.goods {
        Goods::Vip { plan, name, level, days } => {
            (Some(plan.as_str()), Some(name.as_str()), Some(level.as_str()), Some(*days), None)
        }
        Goods::Points(points) => (None, None, None, None, Some(points.get())),
    };
    let sql = Sql::new(
        "INSERT INTO orders (order_id, user_id, kind, channel, status, amount, plan_id, plan_name, plan_level, \
         duration_days, points, payer, description, expire_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, 'PENDING', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)",
    )
    .bind(new.id.as_str())
    .bind(new.user.get())
    .bind(new.goods.kind().as_str())
    .bind(new.channel)
    .bind(new.amount.get())
    .bind(plan)
    .bind(name)
    .bind(level)
    .bind(days)
    .bind(points)
    .bind(new.payer)
    .bind(new.description)
    .bind(new.expire_at)
    .bind(now);
    tx.execute(sql).await?;
    Ok(())
}

pub(super) async fn keep_prepay(
    db: &mut impl Db,
    id: &OrderId,
    prepay_id: &str,
    now: Timestamp,
) -> Result<()> {
    let sql = Sql::new("UPDATE orders SET prepay_id = $2, prepaid_at = $3 WHERE order_id = $1");
    db.execute(sql.bind(id.as_str()).bind(prepay_id).bind(now)).await?;
    Ok(())
}

/// Marks an order paid that waits or was closed; whether it was one of these.
pub(super) async fn mark_paid(
    tx: &mut Tx,
    id: &OrderId,
    facts: &PaymentFacts,
    vip_until: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool> {
    let sql = Sql::new(
        "UPDATE orders SET status = 'PAID', transaction_id = $2, paid_at = $3, vip_expire_at = $4, updated_at = $5 \
         WHERE order_id = $1 AND status IN ('PENDING', 'CANCELLED')",
    )
    .bind(id.as_str())
    .bind(facts.transaction_id.as_str())
    .bind(facts.paid_at)
    .bind(vip_until)
    .bind(now);
    Ok(tx.execute(sql).await? == 1)
}

/// Closes an order that waits; whether it was one.
pub(super) async fn mark_cancelled(tx: &mut Tx, id: &OrderId, now: Timestamp) -> Result<bool> {
    let sql = Sql::new(
        "UPDATE orders SET status = 'CANCELLED', cancelled_at = $2, updated_at = $2 \
         WHERE order_id = $1 AND status = 'PENDING'",
    );
    Ok(tx.execute(sql.bind(id.as_str()).bind(now)).await? == 1)
}

pub(super) async fn mark_refunded(tx: &mut Tx, id: &OrderId, now: Timestamp) -> Result<()> {
    let sql = Sql::new(
        "UPDATE orders SET status = 'REFUNDED', refunded_at = $2, updated_at = $2 \
         WHERE order_id = $1 AND status = 'PAID'",
    );
    tx.execute(sql.bind(id.as_str()).bind(now)).await?;
    Ok(())
}

/// What was given for an order. Its key allows that once.
pub(super) async fn insert_fulfilment(
    tx: &mut Tx,
    order: &Order,
    vip_until: Option<Timestamp>,
    now: Timestamp,
) -> Result<()> {
    let (points, level, days) = match &order.goods {
        Goods::Points(points) => (Some(points.get()), None, None),
        Goods::Vip { level, days, .. } => (None, Some(level.as_str()), Some(*days)),
    };
    let sql = Sql::new(
        "INSERT INTO fulfilments (order_id, points, vip_level, vip_days, vip_until, fulfilled_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(order.order_id.as_str())
    .bind(points)
    .bind(level)
    .bind(days)
    .bind(vip_until)
    .bind(now);
    tx.execute(sql).await?;
    Ok(())
}

/// Notes a payment; whether it is new.
pub(super) async fn insert_payment(
    tx: &mut Tx,
    channel: &str,
    order: &OrderId,
    facts: &PaymentFacts,
    surplus: bool,
    now: Timestamp,
) -> Result<bool> {
    let sql = Sql::new(
        "INSERT INTO payments (channel, transaction_id, order_id, amount, surplus, paid_at, recorded_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (channel, transaction_id) DO NOTHING",
    )
    .bind(channel)
    .bind(facts.transaction_id.as_str())
    .bind(order.as_str())
    .bind(facts.amount.get())
    .bind(surplus)
    .bind(facts.paid_at)
    .bind(now);
    Ok(tx.execute(sql).await? == 1)
}

/// The order that a payment was noted for.
pub(super) async fn order_of_payment(
    db: &mut impl Db,
    channel: &str,
    transaction_id: &str,
) -> Result<Option<OrderId>> {
    let sql = Sql::new("SELECT order_id FROM payments WHERE channel = $1 AND transaction_id = $2");
    db.optional(sql.bind(channel).bind(transaction_id)).await?.map(|row| row.get("order_id")).transpose()
}

/// A payment as it was noted.
pub(super) struct NotedPayment {
    pub(super) transaction_id: String,
    pub(super) order: OrderId,
    pub(super) amount: Fen,
}

/// Payments of a channel between two instants.
pub(super) async fn payments_between(
    db: &mut impl Db,
    channel: &str,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<NotedPayment>> {
    let sql = Sql::new(
        "SELECT transaction_id, order_id, amount FROM payments WHERE channel = $1 AND paid_at >= $2 AND paid_at < $3 \
         ORDER BY paid_at, id",
    );
    let rows = db.all(sql.bind(channel).bind(from).bind(to)).await?;
    let read = |row: &Row| {
        Ok(NotedPayment {
            transaction_id: row.get("transaction_id")?,
            order: row.get("order_id")?,
            amount: row.get("amount")?,
        })
    };
    rows.iter().map(read).collect()
}

/// A payment too many of an order that has not gone back and is not about to: the channel's number of it, and how much.
pub(super) async fn kept_surplus(db: &mut impl Db, order: &OrderId) -> Result<Option<(String, Fen)>> {
    let sql = Sql::new(
        "SELECT p.transaction_id, p.amount FROM payments p WHERE p.order_id = $1 AND p.surplus AND NOT EXISTS ( \
         SELECT 1 FROM refunds r WHERE r.order_id = p.order_id AND r.transaction_id = p.transaction_id \
         AND r.status <> 'FAILED') ORDER BY p.id LIMIT 1",
    );
    let row = db.optional(sql.bind(order.as_str())).await?;
    row.map(|row| Ok((row.get("transaction_id")?, row.get("amount")?))).transpose()
}

/// The payments of an order, oldest first.
pub(super) async fn payments_of(db: &mut impl Db, order: &OrderId) -> Result<Vec<ReportedPayment>> {
    let sql = Sql::new(
        "SELECT transaction_id, amount, surplus, paid_at, recorded_at FROM payments WHERE order_id = $1 ORDER BY id",
    );
    let read = |row: &Row| {
        Ok(ReportedPayment {
            transaction_id: row.get("transaction_id")?,
            amount: row.get("amount")?,
            surplus: row.get("surplus")?,
            paid_at: row.get("paid_at")?,
            recorded_at: row.get("recorded_at")?,
        })
    };
    db.all(sql.bind(order.as_str())).await?.iter().map(read).collect()
}

/// When an order was closed and when what it bought was given.
pub(super) async fn milestones(db: &mut impl Db, order: &OrderId) -> Result<Milestones> {
    let sql = Sql::new(
        "SELECT o.cancelled_at, f.fulfilled_at FROM orders o LEFT JOIN fulfilments f ON f.order_id = o.order_id \
         WHERE o.order_id = $1",
    );
    let row = db.one(sql.bind(order.as_str())).await?;
    Ok(Milestones { cancelled_at: row.get("cancelled_at")?, fulfilled_at: row.get("fulfilled_at")? })
}

/// The payment of this number, if it was noted.
pub(super) async fn payment(
    db: &mut impl Db,
    channel: &str,
    transaction_id: &str,
) -> Result<Option<NotedPayment>> {
    let sql = Sql::new(
        "SELECT transaction_id, order_id, amount FROM payments WHERE channel = $1 AND transaction_id = $2",
    );
    let row = db.optional(sql.bind(channel).bind(transaction_id)).await?;
    row.map(|row| {
        Ok(NotedPayment {
            transaction_id: row.get("transaction_id")?,
            order: row.get("order_id")?,
            amount: row.get("amount")?,
        })
    })
    .transpose()
}

// Refunds -------------------------------------------------------------------------------------------------------

macro_rules! refunds {
    ($rest:literal) => {
        concat!(
            "SELECT refund_id, order_id, transaction_id, amount, total, reason, surplus, status, points_taken, \
             days_taken, channel_refund, failure, requested_by, created_at, updated_at FROM refunds ",
            $rest
        )
    };
}

fn read_refund(row: &Row) -> Result<Refund> {
    Ok(Refund {
        refund_id: row.get("refund_id")?,
        order_id: row.get("order_id")?,
        transaction_id: row.get("transaction_id")?,
        amount: row.get("amount")?,
        total: row.get("total")?,
        reason: row.get("reason")?,
        surplus: row.get("surplus")?,
        status: row.word("status", RefundStatus::parse)?,
        points_taken: row.get("points_taken")?,
        days_taken: row.get("days_taken")?,
        channel_refund: row.get("channel_refund")?,
        failure: row.get("failure")?,
        requested_by: row.get("requested_by")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

pub(super) async fn insert_refund(tx: &mut Tx, refund: &Refund) -> Result<()> {
    let sql = Sql::new(
        "INSERT INTO refunds (refund_id, order_id, transaction_id, amount, total, reason, surplus, status, \
         points_taken, days_taken, requested_by, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(refund.refund_id.as_str())
    .bind(refund.order_id.as_str())
    .bind(refund.transaction_id.as_str())
    .bind(refund.amount.get())
    .bind(refund.total.get())
    .bind(refund.reason.as_str())
    .bind(refund.surplus)
    .bind(refund.status.as_str())
    .bind(refund.points_taken.get())
    .bind(refund.days_taken)
    .bind(refund.requested_by.as_str())
    .bind(refund.created_at)
    .bind(refund.updated_at);
    tx.execute(sql).await?;
    Ok(())
}

/// Reserves an amount of an order for a refund; what is then given back or about to be. `None` if it is too much.
pub(super) async fn reserve_refund(tx: &mut Tx, order: &OrderId, amount: Fen) -> Result<Option<Fen>> {
    let sql = Sql::new(
        "UPDATE orders SET refunded_amount = refunded_amount + $2 WHERE order_id = $1 AND status = 'PAID' \
         AND refunded_amount + $2 <= amount RETURNING refunded_amount",
    );
    let row = tx.optional(sql.bind(order.as_str()).bind(amount.get())).await?;
    row.map(|row| row.get("refunded_amount")).transpose()
}

pub(super) async fn release_refund(tx: &mut Tx, order: &OrderId, amount: Fen) -> Result<()> {
    let sql = Sql::new("UPDATE orders SET refunded_amount = refunded_amount - $2 WHERE order_id = $1");
    tx.execute(sql.bind(order.as_str()).bind(amount.get())).await?;
    Ok(())
}

/// What the refunds of an order took back, but for those that failed.
pub(super) struct TakenBack {
    pub(super) points: Points,
    pub(super) days: i64,
}

pub(super) async fn taken_back(db: &mut impl Db, order: &OrderId) -> Result<TakenBack> {
    let sql = Sql::new(
        "SELECT CAST(coalesce(sum(points_taken), 0) AS BIGINT) AS points, \
         CAST(coalesce(sum(days_taken), 0) AS BIGINT) AS days FROM refunds WHERE order_id = $1 AND status <> 'FAILED'",
    );
    let row = db.one(sql.bind(order.as_str())).await?;
    Ok(TakenBack { points: row.get("points")?, days: row.get("days")? })
}

pub(super) async fn refund(db: &mut impl Db, id: &RefundId) -> Result<Option<Refund>> {
    let sql = Sql::new(refunds!("WHERE refund_id = $1")).bind(id.as_str());
    db.optional(sql).await?.as_ref().map(read_refund).transpose()
}

pub(super) async fn refunds_of(db: &mut impl Db, order: &OrderId) -> Result<Vec<Refund>> {
    let sql = Sql::new(refunds!("WHERE order_id = $1 ORDER BY id")).bind(order.as_str());
    db.all(sql).await?.iter().map(read_refund).collect()
}

pub(super) async fn refunds_between(db: &mut impl Db, from: Timestamp, to: Timestamp) -> Result<Vec<Refund>> {
    let sql = Sql::new(refunds!("WHERE created_at >= $1 AND created_at < $2 ORDER BY id"));
    db.all(sql.bind(from).bind(to)).await?.iter().map(read_refund).collect()
}

pub(super) async fn note_channel_refund(
    db: &mut impl Db,
    id: &RefundId,
    channel_refund: &str,
    now: Timestamp,
) -> Result<()> {
    let sql = Sql::new(
        "UPDATE refunds SET channel_refund = $2, updated_at = $3 WHERE refund_id = $1 AND channel_refund IS NULL",
    );
    db.execute(sql.bind(id.as_str()).bind(channel_refund).bind(now)).await?;
    Ok(())
}

/// Notes why a refund that is under way needs a person.
pub(super) async fn note_refund_trouble(
    tx: &mut Tx,
    id: &RefundId,
    trouble: &str,
    now: Timestamp,
) -> Result<()> {
    let sql = Sql::new(
        "UPDATE refunds SET failure = $2, updated_at = $3 WHERE refund_id = $1 AND status = 'PROCESSING' \
         AND (failure IS NULL OR failure <> $2)",
    );
    tx.execute(sql.bind(id.as_str()).bind(trouble).bind(now)).await.map(drop)
}

/// Refunds that are under way and need a person.
pub(crate) async fn count_delayed_refunds(db: &mut impl Db) -> Result<i64> {
    let sql = Sql::new(
        "SELECT count(*) AS delayed FROM refunds WHERE status = 'PROCESSING' AND failure IS NOT NULL",
    );
    db.one(sql).await?.get("delayed")
}

/// Ends a refund, once; whether it had not ended before.
pub(super) async fn end_refund(
    tx: &mut Tx,
    id: &RefundId,
    status: RefundStatus,
    failure: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    let sql = Sql::new(
        "UPDATE refunds SET status = $2, failure = $3, updated_at = $4 \
         WHERE refund_id = $1 AND status = 'PROCESSING'",
    );
    let sql = sql.bind(id.as_str()).bind(status.as_str()).bind(failure).bind(now);
    Ok(tx.execute(sql).await? == 1)
}

/// How much of an order was given back for good; refunds of surplus payments are not part of it.
pub(super) async fn given_back(db: &mut impl Db, order: &OrderId) -> Result<Fen> {
    let sql = Sql::new(
        "SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) AS sum FROM refunds \
         WHERE order_id = $1 AND status = 'SUCCEEDED' AND NOT surplus",
    );
    db.one(sql.bind(order.as_str())).await?.get("sum")
}

/// Takes a deleted user's openid off its orders. Those that wait are then closed by the next look at them.
pub(crate) async fn forget(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    let hasten = Sql::new(
        "UPDATE outbox SET due_at = $2 WHERE kind = 'order.check' AND due_at > $2 AND subject IN \
         (SELECT order_id FROM orders WHERE user_id = $1 AND status = 'PENDING')",
    );
    tx.execute(hasten.bind(user.get()).bind(now)).await?;
    let sql = Sql::new("UPDATE orders SET payer = NULL, updated_at = $2 WHERE user_id = $1");
    tx.execute(sql.bind(user.get()).bind(now)).await?;
    Ok(())
}

/// The openid that orders of this user are paid by.
pub(super) async fn payer_of(db: &mut impl Db, user: UserId) -> Result<Option<String>> {
    crate::users::openid_of(db, user).await
}

/// All orders of a user, oldest first.
pub(crate) async fn all_of(db: &mut impl Db, user: UserId) -> Result<Vec<Order>> {
    let sql = Sql::new(orders!("WHERE user_id = $1 ORDER BY created_at, id"));
    db.all(sql.bind(user.get())).await?.iter().map(read).collect()
}

// Taking over ---------------------------------------------------------------------------------------------------

/// An order of a plan at the original service. It is kept under a channel of its own, which no payment comes through.
pub(crate) struct Original<'a> {
    pub(crate) id: Option<i64>,
    pub(crate) order_id: &'a OrderId,
    pub(crate) user: UserId,
    pub(crate) status: OrderStatus,
    pub(crate) amount: Fen,
    pub(crate) plan: &'a PlanId,
    pub(crate) plan_name: &'a str,
    pub(crate) level: Level,
    pub(crate) days: i64,
    pub(crate) transaction_id: &'a str,
    pub(crate) refund_id: &'a RefundId,
    pub(crate) paid_at: Timestamp,
    pub(crate) vip_expire_at: Option<Timestamp>,
    pub(crate) refunded_at: Timestamp,
    pub(crate) expire_at: Timestamp,
    pub(crate) created_at: Timestamp,
}

/// Whether there is an order of this id.
pub(crate) async fn exists(db: &mut impl Db, id: &OrderId) -> Result<bool> {
    Ok(owner(db, id).await?.is_some())
}

/// Adds an order of the original service with what belongs to it in its state; its number.
pub(crate) async fn take_over(tx: &mut Tx, order: &Original<'_>, now: Timestamp) -> Result<Option<i64>> {
    let paid = matches!(order.status, OrderStatus::Paid | OrderStatus::Refunded);
    let refunded = order.status == OrderStatus::Refunded;
    let cancelled = order.status == OrderStatus::Cancelled;
    let insertion = |id: Option<i64>| {
        insert_under_id!(
            "orders",
            "order_id, user_id, kind, channel, status, amount, plan_id, plan_name, plan_level, duration_days, \
             description, transaction_id, paid_at, vip_expire_at, expire_at, cancelled_at, refunded_at, \
             refunded_amount, created_at, updated_at",
            "$2, $3, 'VIP', $4, $5, $6, $7, $8, $9, $10, $8, $11, $12, $13, $14, $15, $16, $17, $18, $19"
        )
        .bind(id)
        .bind(order.order_id.as_str())
        .bind(order.user.get())
        .bind(ORIGINAL)
        .bind(order.status.as_str())
        .bind(order.amount.get())
        .bind(order.plan.as_str())
        .bind(order.plan_name)
        .bind(order.level.as_str())
        .bind(order.days)
        .bind(paid.then_some(order.transaction_id))
        .bind(paid.then_some(order.paid_at))
        .bind(order.vip_expire_at.filter(|_| paid))
        .bind(order.expire_at)
        .bind(cancelled.then_some(order.expire_at))
        .bind(refunded.then_some(order.refunded_at))
        .bind(if refunded { order.amount.get() } else { 0 })
        .bind(order.created_at)
        .bind(now)
    };
    let Some(id) = under_id(tx, order.id, insertion).await? else { return Ok(None) };
    if paid {
        take_over_payment(tx, order, now).await?;
    }
    if refunded {
        let refund = Refund {
            refund_id: order.refund_id.clone(),
            order_id: order.order_id.clone(),
            transaction_id: order.transaction_id.to_owned(),
            amount: order.amount,
            total: order.amount,
            reason: "原系统退款".to_owned(),
            surplus: false,
            status: RefundStatus::Succeeded,
            points_taken: Points::ZERO,
            days_taken: 0,
            channel_refund: None,
            failure: None,
            requested_by: "import".to_owned(),
            created_at: order.refunded_at,
            updated_at: now,
        };
        insert_refund(tx, &refund).await?;
    }
    Ok(Some(id))
}

async fn take_over_payment(tx: &mut Tx, order: &Original<'_>, now: Timestamp) -> Result<()> {
    let payment = Sql::new(
        "INSERT INTO payments (channel, transaction_id, order_id, amount, surplus, paid_at, recorded_at) \
         VALUES ($1, $2, $3, $4, FALSE, $5, $6)",
    )
    .bind(ORIGINAL)
    .bind(order.transaction_id)
    .bind(order.order_id.as_str())
    .bind(order.amount.get())
    .bind(order.paid_at)
    .bind(now);
    tx.execute(payment).await?;
    let fulfilment = Sql::new(
        "INSERT INTO fulfilments (order_id, vip_level, vip_days, vip_until, fulfilled_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(order.order_id.as_str())
    .bind(order.level.as_str())
    .bind(order.days)
    .bind(order.vip_expire_at)
    .bind(order.paid_at);
    tx.execute(fulfilment).await.map(drop)
}
