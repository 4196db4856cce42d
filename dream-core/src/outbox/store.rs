//! The table `outbox`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Task, TaskKind};
use crate::error::Result;
use crate::kernel::Timestamp;
use crate::store::{Db, Row, Sql, Tx, skip_locked};
use crate::trace::{self, TraceContext};

/// Puts a task in as part of a change. If the same is in already, it becomes due at the earlier time. If somebody is
/// just doing it, the lease is taken away, so that its completion does not count: it is done once more, after this
/// change.
pub(crate) async fn enqueue(
    tx: &mut Tx,
    kind: TaskKind,
    subject: &str,
    due_at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    enqueue_ahead(tx, kind, subject, due_at, Duration::ZERO, now).await
}

/// As [`enqueue`], ahead of whatever became due at most this much earlier. What has waited for longer still comes
/// first, so nothing waits for ever.
pub(crate) async fn enqueue_ahead(
    tx: &mut Tx,
    kind: TaskKind,
    subject: &str,
    due_at: Timestamp,
    head_start: Duration,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        Sql::new(
            "INSERT INTO outbox (kind, subject, payload, priority, due_at, attempts, created_at) \
             VALUES ($1, $2, $6, $5, $3, 0, $4) ON CONFLICT (kind, subject) DO UPDATE SET \
             due_at = CASE WHEN excluded.due_at < outbox.due_at THEN excluded.due_at ELSE outbox.due_at END, \
             lease = NULL, leased_until = NULL",
        )
        .bind(kind.as_str())
        .bind(subject)
        .bind(due_at)
        .bind(now)
        .bind(i64::try_from(head_start.as_micros()).unwrap_or(i64::MAX))
        .bind(payload()),
    )
    .await?;
    Ok(())
}

/// Puts a task in that is to be withdrawn if all goes well, or puts it off if it is in already. Not while somebody is
/// just doing it: then this is false.
pub(crate) async fn plan(
    tx: &mut Tx,
    kind: TaskKind,
    subject: &str,
    due_at: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    let sql = Sql::new(
        "INSERT INTO outbox (kind, subject, payload, priority, due_at, attempts, created_at) \
         VALUES ($1, $2, $5, 0, $3, 0, $4) ON CONFLICT (kind, subject) DO UPDATE SET due_at = excluded.due_at \
         WHERE outbox.lease IS NULL",
    );
    let sql = sql.bind(kind.as_str()).bind(subject).bind(due_at).bind(now).bind(payload());
    Ok(tx.execute(sql).await? == 1)
}

/// Takes a planned task out, unless somebody is doing it or has done it; whether it was there.
pub(crate) async fn withdraw(tx: &mut Tx, kind: TaskKind, subject: &str) -> Result<bool> {
    let sql = Sql::new("DELETE FROM outbox WHERE kind = $1 AND subject = $2 AND lease IS NULL");
    Ok(tx.execute(sql.bind(kind.as_str()).bind(subject)).await? == 1)
}

/// Makes a task due at once, if it is there.
pub(crate) async fn hasten(db: &mut impl Db, kind: TaskKind, subject: &str, now: Timestamp) -> Result<()> {
    let sql = Sql::new("UPDATE outbox SET due_at = $3 WHERE kind = $1 AND subject = $2 AND due_at > $3");
    db.execute(sql.bind(kind.as_str()).bind(subject).bind(now)).await?;
    Ok(())
}

/// Puts a task off as part of the change that found that it has to wait, and releases its lease. The try does not
/// count. What the task waits for makes it due with [`hasten`]: both stand in transactions that hold the same lock, so
/// that nothing falls between the look and the pause.
pub(crate) async fn park(tx: &mut Tx, kind: TaskKind, subject: &str, due_at: Timestamp) -> Result<()> {
    let sql = Sql::new(
        "UPDATE outbox SET due_at = $3, lease = NULL, leased_until = NULL WHERE kind = $1 AND subject = $2",
    );
    tx.execute(sql.bind(kind.as_str()).bind(subject).bind(due_at)).await?;
    Ok(())
}

/// Extends the lease of what is still being done under it.
pub(super) async fn renew(db: &mut impl Db, lease: &str, until: Timestamp) -> Result<()> {
    let sql = Sql::new("UPDATE outbox SET leased_until = $2 WHERE lease = $1");
    db.execute(sql.bind(lease).bind(until)).await?;
    Ok(())
}

/// All leases that somebody holds.
pub(super) async fn leases(db: &mut impl Db) -> Result<Vec<String>> {
    let rows = db.all(Sql::new("SELECT DISTINCT lease FROM outbox WHERE lease IS NOT NULL")).await?;
    rows.iter().map(|row| row.get("lease")).collect()
}

/// Takes a lease from its holder; how many tasks were under it.
pub(super) async fn release(tx: &mut Tx, lease: &str) -> Result<u64> {
    let sql = Sql::new("UPDATE outbox SET lease = NULL, leased_until = NULL WHERE lease = $1");
    tx.execute(sql.bind(lease)).await
}

/// Takes a task out as part of a change that made it needless.
pub(crate) async fn cancel(tx: &mut Tx, kind: TaskKind, subject: &str) -> Result<()> {
    let sql = Sql::new("DELETE FROM outbox WHERE kind = $1 AND subject = $2");
    tx.execute(sql.bind(kind.as_str()).bind(subject)).await?;
    Ok(())
}

/// The kinds that wait for a listener and that no worker takes.
macro_rules! event_kinds {
    () => {
        "('event.order_paid', 'event.job_finished', 'event.vip_ending')"
    };
}

/// Takes the lease of tasks that are due and that nobody holds.
pub(super) async fn claim(
    tx: &mut Tx,
    lease: &str,
    limit: i64,
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<Task>> {
    let sql = skip_locked!(
        concat!(
            "UPDATE outbox SET lease = $1, leased_until = $2 WHERE id IN (SELECT id FROM outbox \
             WHERE due_at <= $3 AND (leased_until IS NULL OR leased_until <= $3) AND kind NOT IN ",
            event_kinds!(),
            " ORDER BY due_at - priority, id LIMIT $4"
        ),
        ") RETURNING id, kind, subject, attempts, payload"
    )
    .bind(lease)
    .bind(until)
    .bind(now)
    .bind(limit);
    let rows = tx.all(sql).await?;
    let mut tasks = rows.iter().map(read_task).collect::<Result<Vec<_>>>()?;
    tasks.sort_by_key(|task| task.id);
    Ok(tasks)
}

fn read_task(row: &Row) -> Result<Task> {
    Ok(Task {
        id: row.get("id")?,
        kind: row.word("kind", TaskKind::parse)?,
        subject: row.get("subject")?,
        attempts: row.get("attempts")?,
        trace: read_trace(&row.get::<String>("payload")?),
    })
}

/// What goes along with a task: the trace that asks for it.
#[derive(Default, Serialize, Deserialize)]
struct Payload {
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

fn payload() -> String {
    let traceparent = trace::current(|work| work.context().to_string());
    // A text is always JSON; without it the task is done all the same.
    serde_json::to_string(&Payload { traceparent }).unwrap_or_else(|_| "{}".to_owned())
}

fn read_trace(payload: &str) -> Option<TraceContext> {
    let payload: Payload = serde_json::from_str(payload).ok()?;
    TraceContext::parse(&payload.traceparent?)
}

/// Takes the lease of the first event that is due and that nobody holds.
pub(super) async fn claim_event(
    tx: &mut Tx,
    lease: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Task>> {
    let sql = skip_locked!(
        concat!(
            "UPDATE outbox SET lease = $1, leased_until = $2 WHERE id IN (SELECT id FROM outbox \
             WHERE due_at <= $3 AND (leased_until IS NULL OR leased_until <= $3) AND kind IN ",
            event_kinds!(),
            " ORDER BY due_at, id LIMIT 1"
        ),
        ") RETURNING id, kind, subject, attempts, payload"
    )
    .bind(lease)
    .bind(until)
    .bind(now);
    tx.optional(sql).await?.as_ref().map(read_task).transpose()
}

/// Takes a task out that is done, unless the lease was lost meanwhile.
pub(super) async fn complete(db: &mut impl Db, task: &Task, lease: &str) -> Result<()> {
    db.execute(Sql::new("DELETE FROM outbox WHERE id = $1 AND lease = $2").bind(task.id).bind(lease)).await?;
    Ok(())
}

/// Gives the lease back and says when to try again, and whether this try counts.
pub(super) async fn postpone(
    db: &mut impl Db,
    task: &Task,
    lease: &str,
    due_at: Timestamp,
    counts: bool,
    error: Option<&str>,
) -> Result<()> {
    db.execute(
        Sql::new(
            "UPDATE outbox SET lease = NULL, leased_until = NULL, attempts = attempts + $5, due_at = $3, \
             last_error = $4 WHERE id = $1 AND lease = $2",
        )
        .bind(task.id)
        .bind(lease)
        .bind(due_at)
        .bind(error)
        .bind(i64::from(counts)),
    )
    .await?;
    Ok(())
}

/// When the next task of the worker, or of a listener, is due that nobody holds; a lease that runs out counts as such.
/// It reads the front of one index and the leased rows, however many tasks wait.
macro_rules! next {
    ($which:literal) => {
        concat!(
            "SELECT CAST(min(at) AS BIGINT) AS at FROM (SELECT at FROM (SELECT due_at AS at FROM outbox \
             WHERE lease IS NULL AND kind ",
            $which,
            event_kinds!(),
            " ORDER BY due_at LIMIT 1) ready UNION ALL \
             SELECT min(leased_until) AS at FROM outbox WHERE lease IS NOT NULL AND kind ",
            $which,
            event_kinds!(),
            ") both_sides"
        )
    };
}

/// When the next task is due that nobody holds; a lease that runs out counts as such.
pub(super) async fn next_due(db: &mut impl Db) -> Result<Option<Timestamp>> {
    db.one(Sql::new(next!("NOT IN "))).await?.get("at")
}

/// As [`next_due`], of events.
pub(super) async fn next_event(db: &mut impl Db) -> Result<Option<Timestamp>> {
    db.one(Sql::new(next!("IN "))).await?.get("at")
}

/// How many tasks wait, and since when the oldest overdue one is due.
pub(super) async fn backlog(db: &mut impl Db, now: Timestamp) -> Result<(i64, i64, Option<Timestamp>)> {
    let sql = Sql::new(
        "SELECT CAST(count(*) AS BIGINT) AS waiting, \
         CAST(coalesce(sum(CASE WHEN due_at <= $1 THEN 1 ELSE 0 END), 0) AS BIGINT) AS due, \
         CAST(min(CASE WHEN due_at <= $1 THEN due_at END) AS BIGINT) AS oldest FROM outbox",
    );
    let row = db.one(sql.bind(now)).await?;
    Ok((row.get("waiting")?, row.get("due")?, row.get("oldest")?))
}

/// What waits to be done of this kind.
pub(crate) async fn subjects(db: &mut impl Db, kind: TaskKind) -> Result<Vec<String>> {
    let sql = Sql::new("SELECT subject FROM outbox WHERE kind = $1").bind(kind.as_str());
    db.all(sql).await?.iter().map(|row| row.get("subject")).collect()
}
