//! The tables `memberships`, `membership_spans` and `plans`.

use super::spans::{Span, SpanSource, Spans};
use super::{Level, Membership, Plan};
use crate::error::Result;
use crate::kernel::{OrderId, PlanId, Timestamp, UserId};
use crate::store::{Db, Row, Sql, Tx, for_update, insert_under_id, json_text, under_id};

/// The membership in force, unless there is no such user or it was deleted.
pub(crate) async fn find(db: &mut impl Db, user: UserId, now: Timestamp) -> Result<Option<Membership>> {
    let sql = Sql::new(
        "SELECT m.level, m.expires_at, m.vip_until FROM memberships m JOIN users u ON u.id = m.user_id \
         WHERE m.user_id = $1 AND u.deleted_at IS NULL",
    )
    .bind(user.get());
    db.optional(sql).await?.map(|row| Membership::read(&row, now)).transpose()
}

/// Locks the membership of a user until the transaction ends; whether there is one.
pub(super) async fn lock(tx: &mut Tx, user: UserId) -> Result<bool> {
    let sql = for_update!("SELECT user_id FROM memberships WHERE user_id = $1").bind(user.get());
    Ok(tx.optional(sql).await?.is_some())
}

pub(super) async fn insert(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    let sql = Sql::new("INSERT INTO memberships (user_id, level, updated_at) VALUES ($1, 'NORMAL', $2)");
    tx.execute(sql.bind(user.get()).bind(now)).await?;
    Ok(())
}

pub(super) async fn write(tx: &mut Tx, user: UserId, to: Membership, now: Timestamp) -> Result<()> {
    let sql = Sql::new(
        "UPDATE memberships SET level = $2, expires_at = $3, vip_until = $4, updated_at = $5 WHERE user_id = $1",
    )
    .bind(user.get())
    .bind(to.level().as_str())
    .bind(to.expires_at())
    .bind(to.vip_until())
    .bind(now);
    tx.execute(sql).await?;
    Ok(())
}

/// How many users have this level at `now`. It reads as much of two indexes as there are such users and such who wait.
pub(crate) async fn count_at(db: &mut impl Db, level: Level, now: Timestamp) -> Result<i64> {
    let sql = match level {
        Level::Vip => Sql::new(
            "SELECT (SELECT count(*) FROM memberships WHERE level = $1 AND expires_at > $2) \
             + (SELECT count(*) FROM memberships WHERE vip_until > $2 AND expires_at <= $2) AS users",
        ),
        _ => Sql::new("SELECT count(*) AS users FROM memberships WHERE level = $1 AND expires_at > $2"),
    };
    db.one(sql.bind(level.as_str()).bind(now)).await?.get("users")
}

/// How many users have a level above the normal one.
pub(crate) async fn count_active(db: &mut impl Db, now: Timestamp) -> Result<i64> {
    Ok(count_at(db, Level::Vip, now).await? + count_at(db, Level::Svip, now).await?)
}

/// As [`spans_of`], to be changed.
pub(super) async fn spans(db: &mut impl Db, user: UserId) -> Result<Spans> {
    let sql = Sql::new(
        "SELECT id, level, order_id, granted_by, granted, used, taken, starts_at, ends_at FROM membership_spans \
         WHERE user_id = $1 ORDER BY id",
    );
    let rows = db.all(sql.bind(user.get())).await?;
    Ok(Spans(rows.iter().map(read_span).collect::<Result<_>>()?))
}

/// All spans of a user, in the order in which they were made.
pub(crate) async fn spans_of(db: &mut impl Db, user: UserId) -> Result<Vec<Span>> {
    Ok(spans(db, user).await?.0)
}

fn read_span(row: &Row) -> Result<Span> {
    let order: Option<OrderId> = row.get("order_id")?;
    Ok(Span {
        id: row.get("id")?,
        level: row.word("level", Level::parse)?,
        source: match order {
            Some(order) => SpanSource::Order(order),
            None => SpanSource::Grant(row.get("granted_by")?),
        },
        granted: row.get("granted")?,
        used: row.get("used")?,
        taken: row.get("taken")?,
        starts_at: row.get("starts_at")?,
        ends_at: row.get("ends_at")?,
    })
}

/// Stores a span that is new or changed.
pub(super) async fn save_span(tx: &mut Tx, user: UserId, span: &Span, now: Timestamp) -> Result<()> {
    if span.id != 0 {
        let sql = Sql::new(
            "UPDATE membership_spans SET used = $2, taken = $3, starts_at = $4, ends_at = $5 WHERE id = $1",
        );
        let sql = sql.bind(span.id).bind(span.used).bind(span.taken).bind(span.starts_at).bind(span.ends_at);
        tx.execute(sql).await?;
        return Ok(());
    }
    let (order, granted_by) = match &span.source {
        SpanSource::Order(order) => (Some(order.as_str()), None),
        SpanSource::Grant(by) => (None, Some(by.as_str())),
    };
    let sql = Sql::new(
        "INSERT INTO membership_spans (user_id, level, order_id, granted_by, granted, used, taken, starts_at, ends_at, \
         created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(user.get())
    .bind(span.level.as_str())
    .bind(order)
    .bind(granted_by)
    .bind(span.granted)
    .bind(span.used)
    .bind(span.taken)
    .bind(span.starts_at)
    .bind(span.ends_at)
    .bind(now);
    tx.execute(sql).await?;
    Ok(())
}

/// The plan whose span runs at `now`, if it was bought.
pub(super) async fn running_plan(db: &mut impl Db, user: UserId, now: Timestamp) -> Result<Option<PlanId>> {
    let sql = Sql::new(
        "SELECT o.plan_id FROM membership_spans s JOIN orders o ON o.order_id = s.order_id \
         WHERE s.user_id = $1 AND s.starts_at <= $2 AND s.ends_at > $2",
    );
    let row = db.optional(sql.bind(user.get()).bind(now)).await?;
    row.map(|row| row.get("plan_id")).transpose()
}

macro_rules! plan_columns {
    ($rest:literal) => {
        concat!(
            "SELECT id, plan_id, name, level, duration_days, original_price, current_price, benefits, popular \
             FROM plans ",
            $rest
        )
    };
}

fn read_plan(row: &Row) -> Result<Plan> {
    Ok(Plan {
        id: row.get("id")?,
        plan_id: row.get("plan_id")?,
        name: row.get("name")?,
        level: row.word("level", Level::parse)?,
        duration_days: row.get("duration_days")?,
        original_price: row.get("original_price")?,
        current_price: row.get("current_price")?,
        benefits: row.json("benefits")?,
        popular: row.get("popular")?,
    })
}

pub(super) async fn active_plans(db: &mut impl Db) -> Result<Vec<Plan>> {
    let sql = Sql::new(plan_columns!("WHERE active ORDER BY duration_days, id"));
    db.all(sql).await?.iter().map(read_plan).collect()
}

/// A plan that can be bought.
pub(crate) async fn find_plan(db: &mut impl Db, plan: &PlanId) -> Result<Option<Plan>> {
    let sql = Sql::new(plan_columns!("WHERE plan_id = $1 AND active")).bind(plan.as_str());
    db.optional(sql).await?.as_ref().map(read_plan).transpose()
}

/// Adds a plan unless its id is taken.
pub(crate) async fn insert_plan(tx: &mut Tx, plan: &crate::seeds::SeedPlan, now: Timestamp) -> Result<()> {
    tx.execute(
        Sql::new(
            "INSERT INTO plans (plan_id, name, level, duration_days, original_price, current_price, benefits, \
             popular, active, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, TRUE, $9, $9) \
             ON CONFLICT (plan_id) DO NOTHING",
        )
        .bind(plan.plan_id)
        .bind(plan.name)
        .bind(plan.level.as_str())
        .bind(plan.duration_days)
        .bind(plan.original_price)
        .bind(plan.current_price)
        .bind(crate::store::json_text(&plan.benefits))
        .bind(plan.popular)
        .bind(now),
    )
    .await?;
    Ok(())
}

/// A plan of the original service.
pub(crate) struct OriginalPlan<'a> {
    pub(crate) id: Option<i64>,
    pub(crate) plan_id: &'a PlanId,
    pub(crate) name: &'a str,
    pub(crate) level: Level,
    pub(crate) duration_days: i64,
    pub(crate) original_price: i64,
    pub(crate) current_price: i64,
    pub(crate) benefits: &'a [String],
    pub(crate) popular: bool,
    pub(crate) active: bool,
}

/// Adds a plan of the original service, in place of one with the same id; its number, and whether it took one's place.
pub(crate) async fn take_over_plan(
    tx: &mut Tx,
    plan: &OriginalPlan<'_>,
    now: Timestamp,
) -> Result<Option<(i64, bool)>> {
    let replaced = Sql::new(
        "UPDATE plans SET name = $2, level = $3, duration_days = $4, original_price = $5, current_price = $6, \
         benefits = $7, popular = $8, active = $9, updated_at = $10 WHERE plan_id = $1 RETURNING id",
    )
    .bind(plan.plan_id.as_str())
    .bind(plan.name)
    .bind(plan.level.as_str())
    .bind(plan.duration_days)
    .bind(plan.original_price)
    .bind(plan.current_price)
    .bind(json_text(&plan.benefits))
    .bind(plan.popular)
    .bind(plan.active)
    .bind(now);
    if let Some(row) = tx.optional(replaced).await? {
        return Ok(Some((row.get("id")?, true)));
    }
    let insertion = |id: Option<i64>| {
        insert_under_id!(
            "plans",
            "plan_id, name, level, duration_days, original_price, current_price, benefits, popular, active, \
             created_at, updated_at",
            "$2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11"
        )
        .bind(id)
        .bind(plan.plan_id.as_str())
        .bind(plan.name)
        .bind(plan.level.as_str())
        .bind(plan.duration_days)
        .bind(plan.original_price)
        .bind(plan.current_price)
        .bind(json_text(&plan.benefits))
        .bind(plan.popular)
        .bind(plan.active)
        .bind(now)
    };
    Ok(under_id(tx, plan.id, insertion).await?.map(|id| (id, false)))
}

/// What a plan gives.
pub(crate) struct PlanTerms {
    pub(crate) name: String,
    pub(crate) level: Level,
    pub(crate) days: i64,
}

/// What a plan gives, whether it can be bought or not.
pub(crate) async fn terms(db: &mut impl Db, plan: &PlanId) -> Result<Option<PlanTerms>> {
    let sql = Sql::new("SELECT name, level, duration_days FROM plans WHERE plan_id = $1").bind(plan.as_str());
    let Some(row) = db.optional(sql).await? else { return Ok(None) };
    Ok(Some(PlanTerms {
        name: row.get("name")?,
        level: row.word("level", Level::parse)?,
        days: row.get("duration_days")?,
    }))
}
