//! The books of the stage, looked at past the business.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use dream_core::kernel::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Row as _};

/// What must hold after every commit, in one statement; each row that it gives is a fault.
const QUICK: &str = "\
    SELECT 'account ' || a.user_id || ' has ' || a.balance FROM accounts a WHERE a.balance < 0 OR a.balance <> \
        (SELECT coalesce(sum(CASE WHEN type = 'SPEND' THEN -amount ELSE amount END), 0) FROM ledger_entries e \
        WHERE e.user_id = a.user_id) \
    UNION ALL SELECT 'order ' || o.order_id || ' is ' || o.status FROM orders o \
        WHERE (o.status IN ('PAID', 'REFUNDED')) <> EXISTS (SELECT 1 FROM fulfilments f WHERE f.order_id = o.order_id) \
    UNION ALL SELECT 'payment ' || p.transaction_id || ' is refunded beyond itself' FROM payments p WHERE p.amount < \
        (SELECT coalesce(sum(amount), 0) FROM refunds r WHERE r.transaction_id = p.transaction_id \
        AND r.status <> 'FAILED') \
    UNION ALL SELECT 'order ' || o.order_id || ' takes back more than it gave' FROM orders o \
        WHERE coalesce(o.points, o.duration_days) < (SELECT coalesce(sum(points_taken + days_taken), 0) FROM refunds r \
        WHERE r.order_id = o.order_id AND r.status <> 'FAILED') \
    UNION ALL SELECT 'job ' || g.job_id || ' is ' || g.status || ', charge ' || g.charge FROM generations g \
        WHERE g.charge <> CASE WHEN g.completed_at IS NULL THEN 'HELD' WHEN g.status = 'SUCCEEDED' THEN 'CAPTURED' \
        ELSE 'RETURNED' END \
    UNION ALL SELECT 'job ' || g.job_id || ' gave back another amount' FROM generations g \
        WHERE (SELECT coalesce(sum(amount), 0) FROM ledger_entries e WHERE e.cause = 'generation_return' \
        AND e.cause_id = CAST(g.id AS TEXT)) <> CASE WHEN g.charge = 'RETURNED' THEN g.points_charged \
        ELSE g.points_refunded END \
    UNION ALL SELECT 'job ' || g.job_id || ' costs more or less than it delivered' FROM generations g \
        WHERE g.status = 'SUCCEEDED' AND g.prompt <> '' AND (SELECT count(*) FROM json_each(g.result_urls)) <> \
        g.quota_charged - g.quota_refunded + g.points_charged - g.points_refunded";

/// A connection that nobody else has.
#[derive(Debug)]
pub(super) struct Books {
    pool: SqlitePool,
    emptying: String,
}

impl Books {
    pub(super) async fn open(url: &str) -> Self {
        let options = SqliteConnectOptions::from_str(url)
            .expect("a URL")
            .foreign_keys(false)
            .synchronous(SqliteSynchronous::Off);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .connect_with(options)
            .await;
        let mut books = Self { pool: pool.expect("a database"), emptying: String::new() };
        books.plant_plans().await;
        let tables = books
            .texts(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('plans', '_sqlx_migrations') \
                 AND name NOT LIKE 'sqlite_%'",
            )
            .await;
        let deletions: Vec<String> = tables.iter().map(|table| format!("DELETE FROM {table};")).collect();
        books.emptying = format!("BEGIN IMMEDIATE; {} DELETE FROM sqlite_sequence;", deletions.concat());
        books
    }

    async fn plant_plans(&self) {
        for (id, level, days, price) in [("month", "VIP", 30, 1999), ("life", "SVIP", 36_500, 199_900)] {
            let sql = format!(
                "INSERT INTO plans (plan_id, name, level, duration_days, original_price, current_price, benefits, \
                 popular, active, created_at, updated_at) \
                 VALUES ('{id}', '{id}', '{level}', {days}, {price}, {price}, '[]', 0, 1, 0, 0)"
            );
            self.run(sql).await;
        }
    }

    async fn run(&self, sql: String) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.expect("a statement that works");
    }

    /// As after the installation, at this instant.
    pub(super) async fn empty(&self, now: Timestamp) {
        let housekeeping = format!(
            " INSERT INTO outbox (kind, subject, payload, priority, due_at, attempts, created_at) \
             VALUES ('housekeeping', 'all', '{{}}', 0, {}, 0, {}); COMMIT",
            now.as_micros() + 3_600_000_000,
            now.as_micros()
        );
        self.run(format!("{}{housekeeping}", self.emptying)).await;
    }

    pub(super) async fn texts(&self, sql: &'static str) -> Vec<String> {
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.expect("a query that works");
        rows.iter().filter_map(|row| row.get::<Option<String>, _>(0)).collect()
    }

    pub(super) async fn set(&self, sql: &'static str) -> BTreeSet<String> {
        self.texts(sql).await.into_iter().collect()
    }

    pub(super) async fn pairs(&self, sql: &'static str) -> BTreeMap<String, String> {
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.expect("a query that works");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// What is wrong just now.
    pub(super) async fn fault(&self) -> Option<String> {
        let faults = self.texts(QUICK).await;
        (!faults.is_empty()).then(|| faults.join("; "))
    }
}
