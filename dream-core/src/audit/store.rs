//! The statements that find rows which contradict each other. They read the tables of every area and write none.

use super::AuditRule;
use crate::error::{Error, Result};
use crate::kernel::Timestamp;
use crate::store::{Db, Sql, Tx};

/// Signed amount of a ledger entry.
macro_rules! signed {
    () => {
        "CASE WHEN type = 'SPEND' THEN -amount ELSE amount END"
    };
}

/// Rows that break the rule, at most so many: what they are, and what is wrong with them.
pub(super) async fn broken(tx: &mut Tx, rule: AuditRule, most: i64) -> Result<Vec<(String, String)>> {
    let rows =
        tx.all(statement(rule).bind(most)).await.map_err(|error: Error| error.while_(rule.as_str()))?;
    rows.iter().map(|row| Ok((row.get("subject")?, row.get("detail")?))).collect()
}

/// Statements that read whole tables take as long as they take. SQLite knows no such limit.
pub(super) async fn take_ones_time(tx: &mut Tx) -> Result<()> {
    tx.execute(Sql::differing("SELECT 1", "SET LOCAL statement_timeout = 0")).await.map(drop)
}

/// `$1` is how many rows are wanted at most.
fn statement(rule: AuditRule) -> Sql<'static> {
    Sql::new(match rule {
        AuditRule::AccountEqualsLedger => ACCOUNT_EQUALS_LEDGER,
        AuditRule::EntriesFollowEachOther => ENTRIES_FOLLOW_EACH_OTHER,
        AuditRule::ChargeBookedOnce => CHARGE_BOOKED_ONCE,
        AuditRule::ReturnBookedOnce => RETURN_BOOKED_ONCE,
        AuditRule::OpenJobHasTask => OPEN_JOB_HAS_TASK,
        AuditRule::TaskHasOpenJob => TASK_HAS_OPEN_JOB,
        AuditRule::QuotaEqualsCharges => QUOTA_EQUALS_CHARGES,
        AuditRule::PaidOrderFulfilled => PAID_ORDER_FULFILLED,
        AuditRule::UnpaidOrderNotFulfilled => UNPAID_ORDER_NOT_FULFILLED,
        AuditRule::FulfilmentBookedOnce => FULFILMENT_BOOKED_ONCE,
        AuditRule::OrderEqualsPayment => ORDER_EQUALS_PAYMENT,
        AuditRule::RefundsWithinPayment => REFUNDS_WITHIN_PAYMENT,
        AuditRule::OrderEqualsRefunds => ORDER_EQUALS_REFUNDS,
        AuditRule::SurplusGoesBack => SURPLUS_GOES_BACK,
        AuditRule::OpenOrderHasTask => OPEN_ORDER_HAS_TASK,
        AuditRule::OpenRefundHasTask => OPEN_REFUND_HAS_TASK,
        AuditRule::MembershipEqualsSpans => MEMBERSHIP_EQUALS_SPANS,
        AuditRule::SpansInOrder => SPANS_IN_ORDER,
        AuditRule::PaidPlanHasSpan => PAID_PLAN_HAS_SPAN,
        AuditRule::CountEqualsPhotos => COUNT_EQUALS_PHOTOS,
        AuditRule::FiguresEqualRecords => FIGURES_EQUAL_RECORDS,
        AuditRule::TotalsEqualRecords => TOTALS_EQUAL_RECORDS,
        AuditRule::FavoritesEqualRecords => FAVORITES_EQUAL_RECORDS,
        AuditRule::StoredBytesEqualRecords => STORED_BYTES_EQUAL_RECORDS,
        AuditRule::LikesEqualRecords => LIKES_EQUAL_RECORDS,
        AuditRule::GalleryCountsEqualRecords => GALLERY_COUNTS_EQUAL_RECORDS,
        AuditRule::TagsOfPublicImages => TAGS_OF_PUBLIC_IMAGES,
    })
}

/// Accounts beside the sums of their entries, some of which are looked at.
macro_rules! accounts_and_ledger {
    ($which:literal) => {
        concat!(
            "accounts a LEFT JOIN (SELECT user_id, CAST(sum(",
            signed!(),
            ") AS BIGINT) AS total, \
             CAST(sum(CASE WHEN type = 'EARN' THEN amount ELSE 0 END) AS BIGINT) AS earned, \
             CAST(sum(CASE WHEN type = 'SPEND' THEN amount ELSE 0 END) AS BIGINT) AS spent, \
             CAST(sum(CASE WHEN type = 'REFUND' THEN amount ELSE 0 END) AS BIGINT) AS returned, \
             sum(CASE WHEN type = 'EARN' THEN 1 ELSE 0 END) AS earns, \
             sum(CASE WHEN type = 'SPEND' THEN 1 ELSE 0 END) AS spends, \
             sum(CASE WHEN type = 'REFUND' THEN 1 ELSE 0 END) AS refunds \
             FROM ledger_entries ",
            $which,
            " GROUP BY user_id) e ON e.user_id = a.user_id"
        )
    };
}

/// Where the two sides differ.
macro_rules! account_differs {
    () => {
        "(a.balance < 0 OR a.balance <> coalesce(e.total, 0) OR a.earned <> coalesce(e.earned, 0) \
         OR a.spent <> coalesce(e.spent, 0) OR a.returned <> coalesce(e.returned, 0) \
         OR a.earn_count <> coalesce(e.earns, 0) OR a.spend_count <> coalesce(e.spends, 0) \
         OR a.refund_count <> coalesce(e.refunds, 0))"
    };
}

const COUNT_EQUALS_PHOTOS: &str = "SELECT 'character:' || CAST(c.id AS TEXT) AS subject, \
     CAST(c.photo_count AS TEXT) || ' counted, ' || CAST(coalesce(p.n, 0) AS TEXT) || ' there' AS detail \
     FROM characters c LEFT JOIN (SELECT character_id, count(*) AS n FROM character_photos GROUP BY character_id) p \
     ON p.character_id = c.id WHERE c.photo_count <> coalesce(p.n, 0) ORDER BY c.id LIMIT $1";

const ACCOUNT_EQUALS_LEDGER: &str = concat!(
    "SELECT 'user:' || CAST(a.user_id AS TEXT) AS subject, \
     'balance ' || CAST(a.balance AS TEXT) || ', entries ' || CAST(coalesce(e.total, 0) AS TEXT) AS detail FROM ",
    accounts_and_ledger!(""),
    " WHERE ",
    account_differs!(),
    " ORDER BY a.user_id LIMIT $1"
);

/// Which of these accounts are not what their entries add up to.
pub(super) async fn unbalanced(db: &mut impl Db, users: &[i64]) -> Result<Vec<i64>> {
    const TEXT: &str = concat!(
        "SELECT a.user_id FROM ",
        accounts_and_ledger!("WHERE user_id IN ({list})"),
        " WHERE a.user_id IN ({list}) AND ",
        account_differs!()
    );
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let rows = db.all(Sql::with_list(TEXT, Vec::new(), users.iter().copied())).await?;
    rows.iter().map(|row| row.get("user_id")).collect()
}

/// The newest entry of the ledger; 0 if there is none.
pub(super) async fn newest_entry(db: &mut impl Db) -> Result<i64> {
    let sql = Sql::new("SELECT CAST(coalesce(max(id), 0) AS BIGINT) AS newest FROM ledger_entries");
    db.one(sql).await?.get("newest")
}

/// The next entries behind this one, and whose they are.
pub(super) async fn entries_after(db: &mut impl Db, entry: i64, most: i64) -> Result<Vec<(i64, i64)>> {
    let sql = Sql::new("SELECT id, user_id FROM ledger_entries WHERE id > $1 ORDER BY id LIMIT $2");
    let rows = db.all(sql.bind(entry).bind(most)).await?;
    rows.iter().map(|row| Ok((row.get("id")?, row.get("user_id")?))).collect()
}

/// The next accounts behind this one.
pub(super) async fn accounts_after(db: &mut impl Db, user: i64, most: i64) -> Result<Vec<i64>> {
    let sql = Sql::new("SELECT user_id FROM accounts WHERE user_id > $1 ORDER BY user_id LIMIT $2");
    let rows = db.all(sql.bind(user).bind(most)).await?;
    rows.iter().map(|row| row.get("user_id")).collect()
}

/// The next orders behind this one.
pub(super) async fn orders_after(db: &mut impl Db, order: i64, most: i64) -> Result<Vec<i64>> {
    let sql = Sql::new("SELECT id FROM orders WHERE id > $1 ORDER BY id LIMIT $2");
    let rows = db.all(sql.bind(order).bind(most)).await?;
    rows.iter().map(|row| row.get("id")).collect()
}

/// The orders that were paid since, at most so many, the last first.
pub(super) async fn paid_since(db: &mut impl Db, since: Timestamp, most: i64) -> Result<Vec<i64>> {
    let sql = Sql::new("SELECT id FROM orders WHERE paid_at >= $1 ORDER BY paid_at DESC LIMIT $2");
    let rows = db.all(sql.bind(since).bind(most)).await?;
    rows.iter().map(|row| row.get("id")).collect()
}

/// Which of these orders were paid and not fulfilled.
pub(super) async fn unfulfilled(db: &mut impl Db, orders: &[i64]) -> Result<Vec<i64>> {
    const TEXT: &str = "SELECT o.id FROM orders o LEFT JOIN fulfilments f ON f.order_id = o.order_id \
         WHERE o.id IN ({list}) AND o.paid_at IS NOT NULL AND f.order_id IS NULL";
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let rows = db.all(Sql::with_list(TEXT, Vec::new(), orders.iter().copied())).await?;
    rows.iter().map(|row| row.get("id")).collect()
}

/// Tasks that should have been done before this instant and that nobody is at: all, and those of generations.
pub(super) async fn overdue(db: &mut impl Db, before: Timestamp) -> Result<(i64, i64)> {
    let sql = Sql::new(
        "SELECT count(*) AS tasks, \
         CAST(coalesce(sum(CASE WHEN kind IN ('job.submit', 'job.poll') THEN 1 ELSE 0 END), 0) AS BIGINT) AS jobs \
         FROM outbox WHERE due_at < $1 AND (leased_until IS NULL OR leased_until < $1)",
    );
    let row = db.one(sql.bind(before)).await?;
    Ok((row.get("tasks")?, row.get("jobs")?))
}

// An account's entries are booked under its lock, so their ids are in the order of booking.
const ENTRIES_FOLLOW_EACH_OTHER: &str = concat!(
    "SELECT 'entry:' || CAST(id AS TEXT) AS subject, \
     'balance after it ' || CAST(balance_after AS TEXT) || ', entries up to it ' || CAST(total AS TEXT) AS detail \
     FROM (SELECT id, balance_after, CAST(sum(",
    signed!(),
    ") OVER (PARTITION BY user_id ORDER BY id) AS BIGINT) AS total FROM ledger_entries) running \
     WHERE balance_after <> total OR balance_after < 0 ORDER BY id LIMIT $1"
);

const CHARGE_BOOKED_ONCE: &str = "SELECT 'job:' || g.job_id AS subject, \
     'charged ' || CAST(g.points_charged AS TEXT) || ', booked ' || CAST(coalesce(e.amount, 0) AS TEXT) AS detail \
     FROM generations g LEFT JOIN ledger_entries e ON e.cause = 'generation' AND e.cause_id = CAST(g.id AS TEXT) \
     WHERE coalesce(e.amount, 0) <> g.points_charged \
     OR (e.id IS NOT NULL AND (e.user_id <> g.user_id OR e.type <> 'SPEND')) ORDER BY g.id LIMIT $1";

const RETURN_BOOKED_ONCE: &str = "SELECT 'job:' || g.job_id AS subject, \
     g.charge || ', charged ' || CAST(g.points_charged AS TEXT) || ', given back ' \
     || CAST(coalesce(e.amount, 0) AS TEXT) AS detail FROM generations g \
     LEFT JOIN ledger_entries e ON e.cause = 'generation_return' AND e.cause_id = CAST(g.id AS TEXT) \
     WHERE coalesce(e.amount, 0) <> CASE WHEN g.charge = 'RETURNED' THEN g.points_charged ELSE g.points_refunded END \
     OR (e.id IS NOT NULL AND (e.user_id <> g.user_id OR e.type <> 'REFUND')) ORDER BY g.id LIMIT $1";

const OPEN_JOB_HAS_TASK: &str = "SELECT 'job:' || g.job_id AS subject, g.status || ', nobody looks after it' AS detail \
     FROM generations g WHERE g.completed_at IS NULL AND NOT EXISTS (SELECT 1 FROM outbox o \
     WHERE o.subject = g.job_id AND o.kind IN ('job.submit', 'job.poll')) ORDER BY g.id LIMIT $1";

const TASK_HAS_OPEN_JOB: &str = "SELECT 'task:' || CAST(o.id AS TEXT) AS subject, \
     o.kind || ' of ' || o.subject || ', which has ended or is none' AS detail FROM outbox o \
     WHERE o.kind IN ('job.submit', 'job.poll') AND NOT EXISTS (SELECT 1 FROM generations g \
     WHERE g.job_id = o.subject AND g.completed_at IS NULL) ORDER BY o.id LIMIT $1";

const QUOTA_EQUALS_CHARGES: &str = "SELECT 'user:' || CAST(user_id AS TEXT) AS subject, \
     period || ': counted ' || CAST(CAST(sum(used) AS BIGINT) AS TEXT) || ', charged ' \
     || CAST(CAST(sum(charged) AS BIGINT) AS TEXT) AS detail FROM ( \
     SELECT user_id, period, used - carried AS used, 0 AS charged FROM quota_usage \
     UNION ALL SELECT user_id, quota_day, 0, quota_charged - quota_refunded FROM generations \
     WHERE charge <> 'RETURNED' \
     UNION ALL SELECT user_id, quota_month, 0, quota_charged - quota_refunded FROM generations \
     WHERE charge <> 'RETURNED' \
     ) both_sides GROUP BY user_id, period HAVING sum(used) <> sum(charged) ORDER BY user_id, period LIMIT $1";

const PAID_ORDER_FULFILLED: &str = "SELECT 'order:' || o.order_id AS subject, o.status || ', not fulfilled' AS detail \
     FROM orders o LEFT JOIN fulfilments f ON f.order_id = o.order_id \
     WHERE o.status IN ('PAID', 'REFUNDED') AND f.order_id IS NULL ORDER BY o.id LIMIT $1";

const UNPAID_ORDER_NOT_FULFILLED: &str = "SELECT 'order:' || o.order_id AS subject, o.status || ', but fulfilled' AS detail \
     FROM orders o JOIN fulfilments f ON f.order_id = o.order_id \
     WHERE o.status NOT IN ('PAID', 'REFUNDED') ORDER BY o.id LIMIT $1";

const FULFILMENT_BOOKED_ONCE: &str = "SELECT 'order:' || o.order_id AS subject, \
     'gives ' || CAST(coalesce(f.points, 0) AS TEXT) || ' points, booked ' || CAST(coalesce(e.amount, 0) AS TEXT) \
     AS detail FROM orders o LEFT JOIN fulfilments f ON f.order_id = o.order_id \
     LEFT JOIN ledger_entries e ON e.cause = 'order' AND e.cause_id = o.order_id \
     WHERE coalesce(f.points, 0) <> coalesce(e.amount, 0) \
     OR (e.id IS NOT NULL AND (e.user_id <> o.user_id OR e.type <> 'EARN')) ORDER BY o.id LIMIT $1";

const ORDER_EQUALS_PAYMENT: &str = "SELECT 'order:' || o.order_id AS subject, \
     o.status || ' over ' || CAST(o.amount AS TEXT) || ', payment over ' || CAST(coalesce(p.amount, 0) AS TEXT) \
     AS detail FROM orders o LEFT JOIN payments p ON p.order_id = o.order_id AND NOT p.surplus \
     WHERE (o.paid_at IS NOT NULL AND (p.id IS NULL OR p.amount <> o.amount OR p.transaction_id <> o.transaction_id)) \
     OR (o.paid_at IS NULL AND p.id IS NOT NULL) ORDER BY o.id LIMIT $1";

const REFUNDS_WITHIN_PAYMENT: &str = "SELECT 'order:' || r.order_id AS subject, \
     'refunded ' || CAST(r.total AS TEXT) || ' of payment ' || r.transaction_id || ' over ' \
     || CAST(coalesce(p.amount, 0) AS TEXT) AS detail FROM ( \
     SELECT order_id, transaction_id, CAST(sum(amount) AS BIGINT) AS total FROM refunds WHERE status <> 'FAILED' \
     GROUP BY order_id, transaction_id) r \
     LEFT JOIN payments p ON p.order_id = r.order_id AND p.transaction_id = r.transaction_id \
     WHERE r.total > coalesce(p.amount, 0) ORDER BY r.order_id LIMIT $1";

const ORDER_EQUALS_REFUNDS: &str = "SELECT 'order:' || o.order_id AS subject, \
     o.status || ' over ' || CAST(o.amount AS TEXT) || ', refunded ' || CAST(o.refunded_amount AS TEXT) \
     || ', refunds ' || CAST(coalesce(r.total, 0) AS TEXT) AS detail FROM orders o LEFT JOIN ( \
     SELECT order_id, CAST(sum(amount) AS BIGINT) AS total FROM refunds WHERE status <> 'FAILED' AND NOT surplus \
     GROUP BY order_id) r ON r.order_id = o.order_id WHERE o.refunded_amount <> coalesce(r.total, 0) \
     OR (o.status = 'REFUNDED' AND o.refunded_amount <> o.amount) ORDER BY o.id LIMIT $1";

const SURPLUS_GOES_BACK: &str = "SELECT 'order:' || p.order_id AS subject, \
     CAST(p.amount AS TEXT) || ' fen of payment ' || p.transaction_id || ' are kept: ' || coalesce( \
     (SELECT max(r.failure) FROM refunds r WHERE r.order_id = p.order_id AND r.transaction_id = p.transaction_id), \
     'no refund') AS detail FROM payments p WHERE p.surplus AND NOT EXISTS (SELECT 1 FROM refunds r \
     WHERE r.order_id = p.order_id AND r.transaction_id = p.transaction_id AND r.status <> 'FAILED') \
     ORDER BY p.id LIMIT $1";

const OPEN_ORDER_HAS_TASK: &str = "SELECT 'order:' || r.order_id AS subject, 'nobody looks after it' AS detail \
     FROM orders r WHERE r.status = 'PENDING' AND NOT EXISTS (SELECT 1 FROM outbox o \
     WHERE o.subject = r.order_id AND o.kind = 'order.check') ORDER BY r.id LIMIT $1";

const OPEN_REFUND_HAS_TASK: &str = "SELECT 'refund:' || r.refund_id AS subject, 'nobody follows it' AS detail \
     FROM refunds r WHERE r.status = 'PROCESSING' AND NOT EXISTS (SELECT 1 FROM outbox o \
     WHERE o.subject = r.refund_id AND o.kind = 'refund.follow') ORDER BY r.id LIMIT $1";

// A membership is written with every change of its spans, so what had not ended then is what it adds up.
const MEMBERSHIP_EQUALS_SPANS: &str = "SELECT 'user:' || CAST(m.user_id AS TEXT) AS subject, \
     m.level || ' until ' || coalesce(CAST(m.expires_at AS TEXT), '-') || ', then VIP until ' \
     || coalesce(CAST(m.vip_until AS TEXT), '-') || '; spans: SVIP until ' || coalesce(CAST(s.svip AS TEXT), '-') \
     || ', VIP until ' || coalesce(CAST(s.vip AS TEXT), '-') AS detail FROM memberships m LEFT JOIN ( \
     SELECT o.user_id, max(CASE WHEN o.level = 'SVIP' THEN o.ends_at END) AS svip, \
     max(CASE WHEN o.level = 'VIP' THEN o.ends_at END) AS vip FROM membership_spans o \
     JOIN memberships n ON n.user_id = o.user_id WHERE o.ends_at > o.starts_at AND o.ends_at > n.updated_at \
     GROUP BY o.user_id) s ON s.user_id = m.user_id \
     WHERE m.level <> CASE WHEN s.svip IS NOT NULL THEN 'SVIP' WHEN s.vip IS NOT NULL THEN 'VIP' ELSE 'NORMAL' END \
     OR coalesce(m.expires_at, 0) <> coalesce(s.svip, s.vip, 0) \
     OR coalesce(m.vip_until, 0) <> CASE WHEN s.svip IS NOT NULL THEN coalesce(s.vip, 0) ELSE 0 END \
     ORDER BY m.user_id LIMIT $1";

const SPANS_IN_ORDER: &str = "SELECT 'user:' || CAST(a.user_id AS TEXT) AS subject, \
     'span ' || CAST(a.id AS TEXT) || ' at ' || a.level || ' and span ' || CAST(b.id AS TEXT) || ' at ' || b.level AS detail \
     FROM membership_spans a JOIN membership_spans b ON b.user_id = a.user_id AND b.id <> a.id \
     JOIN memberships m ON m.user_id = a.user_id \
     WHERE a.ends_at > a.starts_at AND b.ends_at > b.starts_at AND ( \
     (a.id < b.id AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at) \
     OR (a.level = 'SVIP' AND b.level = 'VIP' AND b.starts_at < a.starts_at AND b.ends_at > m.updated_at)) \
     ORDER BY a.user_id, a.id, b.id LIMIT $1";

// A refund counts a begun day whole, so each may have taken up to a day less than it says.
const PAID_PLAN_HAS_SPAN: &str = "SELECT 'order:' || coalesce(p.order_id, s.order_id) AS subject, \
     coalesce(CAST(p.vip_days AS TEXT), 'no') || ' days paid, ' || CAST(coalesce(p.days_taken, 0) AS TEXT) \
     || ' refunded; span of ' || coalesce(CAST(s.granted AS TEXT), '-') || ' microseconds, taken ' \
     || coalesce(CAST(s.taken AS TEXT), '-') AS detail FROM ( \
     SELECT o.order_id, o.user_id, f.vip_days, coalesce(r.days, 0) AS days_taken, coalesce(r.refunds, 0) AS refunds \
     FROM orders o JOIN fulfilments f ON f.order_id = o.order_id LEFT JOIN ( \
     SELECT order_id, CAST(sum(days_taken) AS BIGINT) AS days, count(*) AS refunds FROM refunds \
     WHERE status <> 'FAILED' AND days_taken > 0 GROUP BY order_id) r ON r.order_id = o.order_id \
     WHERE f.vip_days IS NOT NULL AND o.channel <> 'original') p \
     FULL JOIN (SELECT order_id, user_id, granted, taken FROM membership_spans WHERE order_id IS NOT NULL) s \
     ON s.order_id = p.order_id WHERE p.order_id IS NULL OR s.order_id IS NULL OR s.user_id <> p.user_id \
     OR s.granted <> p.vip_days * 86400000000 OR s.taken < (p.days_taken - p.refunds) * 86400000000 \
     ORDER BY 1 LIMIT $1";

const FIGURES_EQUAL_RECORDS: &str = "SELECT 'user:' || CAST(c.user_id AS TEXT) AS subject, 'orders ' \
     || CAST(c.orders AS TEXT) || ', on record ' || CAST(coalesce(o.orders, 0) AS TEXT) \
     || '; generations, succeeded and failed ' || CAST(c.generations AS TEXT) || '/' || CAST(c.succeeded AS TEXT) \
     || '/' || CAST(c.failed AS TEXT) || ', on record ' || CAST(coalesce(g.generations, 0) AS TEXT) || '/' \
     || CAST(coalesce(g.succeeded, 0) AS TEXT) || '/' || CAST(coalesce(g.failed, 0) AS TEXT) AS detail \
     FROM user_counters c LEFT JOIN ( \
     SELECT user_id, count(*) AS generations, sum(CASE WHEN status = 'SUCCEEDED' THEN 1 ELSE 0 END) AS succeeded, \
     sum(CASE WHEN status = 'FAILED' THEN 1 ELSE 0 END) AS failed FROM generations GROUP BY user_id) g \
     ON g.user_id = c.user_id LEFT JOIN (SELECT user_id, count(*) AS orders FROM orders GROUP BY user_id) o \
     ON o.user_id = c.user_id WHERE c.generations <> coalesce(g.generations, 0) \
     OR c.succeeded <> coalesce(g.succeeded, 0) OR c.failed <> coalesce(g.failed, 0) \
     OR c.orders <> coalesce(o.orders, 0) ORDER BY c.user_id LIMIT $1";

// An account that was deleted keeps its orders, pictures and points in the figures of everybody.
const TOTALS_EQUAL_RECORDS: &str = "WITH kept AS ( \
     SELECT CAST(coalesce(sum(new_users - deleted_users), 0) AS BIGINT) AS users, \
     CAST(coalesce(sum(orders), 0) AS BIGINT) AS orders, CAST(coalesce(sum(images), 0) AS BIGINT) AS images, \
     CAST(coalesce(sum(favorites), 0) AS BIGINT) AS favorites, CAST(coalesce(sum(earned), 0) AS BIGINT) AS earned, \
     CAST(coalesce(sum(spent), 0) AS BIGINT) AS spent FROM ( \
     SELECT new_users, deleted_users, orders, images, favorites, earned, spent FROM usage_totals UNION ALL \
     SELECT new_users, deleted_users, orders, images, favorites, earned, spent FROM usage_hours) parts) \
     SELECT 'total:' || name AS subject, 'counted ' || CAST(counted AS TEXT) || ', on record ' \
     || CAST(recorded AS TEXT) AS detail FROM ( \
     SELECT 'users' AS name, k.users AS counted, \
     (SELECT count(*) FROM users WHERE deleted_at IS NULL) AS recorded FROM kept k \
     UNION ALL SELECT 'orders', k.orders, (SELECT count(*) FROM orders) FROM kept k \
     UNION ALL SELECT 'images', k.images, \
     (SELECT CAST(coalesce(sum(images), 0) AS BIGINT) FROM user_counters) FROM kept k \
     UNION ALL SELECT 'favorites', k.favorites, (SELECT count(*) FROM favorites) FROM kept k \
     UNION ALL SELECT 'earned', k.earned, \
     (SELECT CAST(coalesce(sum(earned), 0) AS BIGINT) FROM accounts) FROM kept k \
     UNION ALL SELECT 'spent', k.spent, (SELECT CAST(coalesce(sum(spent), 0) AS BIGINT) FROM accounts) FROM kept k \
     ) figures WHERE counted <> recorded ORDER BY name LIMIT $1";

const FAVORITES_EQUAL_RECORDS: &str = "SELECT 'user:' || CAST(c.user_id AS TEXT) AS subject, 'favorites and pictures \
     among them ' || CAST(c.favorites AS TEXT) || '/' || CAST(c.image_favorites AS TEXT) || ', on record ' \
     || CAST(coalesce(f.favorites, 0) AS TEXT) || '/' || CAST(coalesce(f.images, 0) AS TEXT) AS detail \
     FROM user_counters c LEFT JOIN (SELECT user_id, count(*) AS favorites, \
     CAST(sum(CASE WHEN type = 'image' THEN 1 ELSE 0 END) AS BIGINT) AS images FROM favorites GROUP BY user_id) f \
     ON f.user_id = c.user_id WHERE c.favorites <> coalesce(f.favorites, 0) \
     OR c.image_favorites <> coalesce(f.images, 0) ORDER BY c.user_id LIMIT $1";

const STORED_BYTES_EQUAL_RECORDS: &str = "SELECT 'user:' || CAST(c.user_id AS TEXT) AS subject, \
     'bytes stored ' || CAST(c.stored_bytes AS TEXT) || ', on record ' \
     || CAST(coalesce(u.bytes, 0) + coalesce(p.bytes, 0) AS TEXT) AS detail FROM user_counters c \
     LEFT JOIN (SELECT user_id, CAST(sum(size) AS BIGINT) AS bytes FROM uploads GROUP BY user_id) u \
     ON u.user_id = c.user_id \
     LEFT JOIN (SELECT h.user_id, CAST(sum(CASE WHEN f.thumbnail_key IS NULL THEN 0 ELSE f.thumbnail_size END \
     + CASE WHEN f.original_key IS NULL THEN 0 ELSE f.original_size END) AS BIGINT) AS bytes \
     FROM character_photos f JOIN characters h ON h.id = f.character_id GROUP BY h.user_id) p \
     ON p.user_id = c.user_id \
     WHERE c.stored_bytes <> coalesce(u.bytes, 0) + coalesce(p.bytes, 0) ORDER BY c.user_id LIMIT $1";

const LIKES_EQUAL_RECORDS: &str = "SELECT 'image:' || CAST(g.id AS TEXT) AS subject, \
     'likes ' || CAST(g.likes AS TEXT) || ', on record ' || CAST(coalesce(l.likes, 0) AS TEXT) AS detail \
     FROM gallery_images g LEFT JOIN (SELECT image_id, count(*) AS likes FROM gallery_likes GROUP BY image_id) l \
     ON l.image_id = g.id WHERE g.likes <> coalesce(l.likes, 0) ORDER BY g.id LIMIT $1";

const GALLERY_COUNTS_EQUAL_RECORDS: &str = "SELECT 'category:' || category || ' tag:' || tag AS subject, \
     'counted ' || CAST(CAST(sum(counted) AS BIGINT) AS TEXT) || ', public ' \
     || CAST(CAST(sum(public) AS BIGINT) AS TEXT) AS detail FROM ( \
     SELECT category, tag, images AS counted, 0 AS public FROM gallery_counts \
     UNION ALL SELECT '', '', 0, 1 FROM gallery_images WHERE status = 'PUBLIC' \
     UNION ALL SELECT category, '', 0, 1 FROM gallery_images WHERE status = 'PUBLIC' \
     UNION ALL SELECT '', t.tag, 0, 1 FROM gallery_tags t \
     UNION ALL SELECT g.category, t.tag, 0, 1 FROM gallery_tags t JOIN gallery_images g ON g.id = t.image_id \
     ) both_sides GROUP BY category, tag HAVING sum(counted) <> sum(public) ORDER BY category, tag LIMIT $1";

const TAGS_OF_PUBLIC_IMAGES: &str = "SELECT 'image:' || CAST(g.id AS TEXT) AS subject, \
     g.status || ', found by ' || t.tag AS detail FROM gallery_tags t JOIN gallery_images g ON g.id = t.image_id \
     WHERE g.status <> 'PUBLIC' OR g.created_at <> t.created_at ORDER BY g.id, t.tag LIMIT $1";
