//! The tables `generations` and `webhook_events`.

use serde::{Deserialize, Serialize};

use super::quota::Periods;
use super::{AspectRatio, Charge, Job, Mode, Resolution};
use crate::access::Scope;
use crate::blobs::Names;
use crate::error::Result;
use crate::kernel::{GenerationId, JobId, PageRequest, SortKey, Timestamp, UserId};
use crate::ports::{BlobKey, JobError, JobState};
use crate::store::{Db, Row, Sql, StoreError, Tx, insert_under_id, json_text, under_id};

/// What is sent upstream beside the fields that have columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Extras {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) negative_prompt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) input_url: Option<String>,
    /// An object of ours that is sent inline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) input_blob: Option<String>,
    /// Whether that object was made for this job alone and goes with it.
    #[serde(default)]
    pub(super) owns_input: bool,
    #[serde(default)]
    pub(super) keep_face: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) params: serde_json::Map<String, serde_json::Value>,
}

/// A record to be made.
pub(super) struct NewGeneration<'a> {
    pub(super) job_id: &'a JobId,
    pub(super) user: UserId,
    pub(super) prompt: &'a str,
    pub(super) mode: Mode,
    pub(super) resolution: Option<Resolution>,
    pub(super) aspect_ratio: Option<AspectRatio>,
    pub(super) sample_count: i64,
    pub(super) extras: &'a Extras,
    pub(super) category: Option<&'a str>,
    pub(super) upstream_key: Option<&'a str>,
    pub(super) periods: &'a Periods,
    pub(super) charge: Charge,
}

/// A record with what only the work on it needs.
pub(super) struct Generation {
    pub(super) job: Job,
    pub(super) upstream_id: Option<String>,
    pub(super) extras: Extras,
    pub(super) upstream_key: Option<String>,
    pub(super) category: Option<String>,
    pub(super) periods: Periods,
    /// When the first try to submit it began.
    pub(super) submitted_at: Option<Timestamp>,
}

pub(super) async fn insert(tx: &mut Tx, new: &NewGeneration<'_>, now: Timestamp) -> Result<GenerationId> {
    let row = tx
        .one(
            Sql::new(
                "INSERT INTO generations (job_id, user_id, status, prompt, mode, resolution, aspect_ratio, \
                 sample_count, request, category, upstream_key, quota_day, quota_month, quota_charged, \
                 points_charged, charge, result_urls, created_at, updated_at) \
                 VALUES ($1, $2, 'QUEUED', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'HELD', '[]', $15, $15) \
                 RETURNING id",
            )
            .bind(new.job_id.as_str())
            .bind(new.user.get())
            .bind(new.prompt)
            .bind(new.mode.as_str())
            .bind(new.resolution.map(Resolution::as_str))
            .bind(new.aspect_ratio.map(AspectRatio::as_str))
            .bind(new.sample_count)
            .bind(json_text(new.extras))
            .bind(new.category)
            .bind(new.upstream_key)
            .bind(new.periods.day.as_str())
            .bind(new.periods.month.as_str())
            .bind(new.charge.quota)
            .bind(new.charge.points.get())
            .bind(now),
        )
        .await?;
    row.get("id")
}

macro_rules! jobs {
    ($rest:literal) => {
        concat!(
            "SELECT id, job_id, user_id, status, prompt, mode, resolution, aspect_ratio, sample_count, \
             quota_charged, points_charged, charge, quota_refunded, points_refunded, result_urls, thumbnail_url, error_code, error_message, created_at, \
             updated_at, completed_at, upstream_id, request, upstream_key, category, quota_day, quota_month, \
             submitted_at \
             FROM generations ",
            $rest
        )
    };
}

fn optional_word<T>(row: &Row, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
    let Some(text) = row.get::<Option<String>>(name)? else { return Ok(None) };
    let word = parse(&text).ok_or_else(|| StoreError::Inconsistent(format!("generations.{name}: {text}")))?;
    Ok(Some(word))
}

fn read(row: &Row) -> Result<Job> {
    let error = row.get::<Option<String>>("error_code")?;
    let message = row.get::<Option<String>>("error_message")?;
    let charge = Charge { quota: row.get("quota_charged")?, points: row.get("points_charged")? };
    let refunded = if row.get::<String>("charge")? == "RETURNED" {
        charge
    } else {
        Charge { quota: row.get("quota_refunded")?, points: row.get("points_refunded")? }
    };
    Ok(Job {
        job_id: row.get("job_id")?,
        generation: row.get("id")?,
        user: row.get("user_id")?,
        state: row.word("status", JobState::parse)?,
        prompt: row.get("prompt")?,
        mode: row.word("mode", Mode::parse)?,
        resolution: optional_word(row, "resolution", Resolution::parse)?,
        aspect_ratio: optional_word(row, "aspect_ratio", AspectRatio::parse)?,
        sample_count: row.get("sample_count")?,
        charge,
        refunded,
        result_urls: row.json("result_urls")?,
        thumbnail_url: row.get("thumbnail_url")?,
        error: error.map(|code| JobError { code, message: message.unwrap_or_default() }),
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        completed_at: row.get("completed_at")?,
    })
}

fn read_whole(row: &Row) -> Result<Generation> {
    Ok(Generation {
        job: read(row)?,
        upstream_id: row.get("upstream_id")?,
        extras: row.json("request")?,
        upstream_key: row.get("upstream_key")?,
        category: row.get("category")?,
        periods: Periods { day: row.get("quota_day")?, month: row.get("quota_month")? },
        submitted_at: row.get("submitted_at")?,
    })
}

pub(super) async fn find(db: &mut impl Db, scope: Scope, job: &JobId) -> Result<Option<Job>> {
    let sql = match scope {
        Scope::Own(user) => {
            Sql::new(jobs!("WHERE job_id = $1 AND user_id = $2")).bind(job.as_str()).bind(user.get())
        }
        Scope::All => Sql::new(jobs!("WHERE job_id = $1")).bind(job.as_str()),
    };
    db.optional(sql).await?.as_ref().map(read).transpose()
}

/// A job of the user's, whose results nobody moves until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, scope: Scope, job: &JobId) -> Result<Option<Job>> {
    let held = crate::store::for_update!("SELECT id FROM generations WHERE job_id = $1").bind(job.as_str());
    tx.optional(held).await?;
    find(tx, scope, job).await
}

/// Whether a job's pictures are what lies under this URL.
pub(crate) async fn shows(tx: &mut Tx, job: &JobId, url: &str) -> Result<bool> {
    let found = find(tx, Scope::All, job).await?;
    Ok(found.is_some_and(|job| {
        job.result_urls.iter().any(|result| result == url) || job.thumbnail_url.as_deref() == Some(url)
    }))
}

/// The record for the work on it.
pub(super) async fn whole(db: &mut impl Db, job: &JobId) -> Result<Option<Generation>> {
    let sql = Sql::new(jobs!("WHERE job_id = $1")).bind(job.as_str());
    db.optional(sql).await?.as_ref().map(read_whole).transpose()
}

/// How many generations have not ended. It reads as much of an index as there are.
pub(crate) async fn count_open(db: &mut impl Db) -> Result<i64> {
    let sql = Sql::new("SELECT count(*) AS open FROM generations WHERE completed_at IS NULL");
    db.one(sql).await?.get("open")
}

/// The job that the image API knows by this id.
pub(super) async fn job_of_upstream(db: &mut impl Db, upstream_id: &str) -> Result<Option<JobId>> {
    let sql = Sql::new("SELECT job_id FROM generations WHERE upstream_id = $1").bind(upstream_id);
    db.optional(sql).await?.map(|row| row.get("job_id")).transpose()
}

pub(super) async fn list(
    db: &mut impl Db,
    user: UserId,
    state: Option<JobState>,
    start: SortKey,
    page: &PageRequest,
) -> Result<Vec<Job>> {
    let sql = match state {
        None => Sql::new(jobs!(
            "WHERE user_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4 OFFSET $5"
        )),
        Some(_) => Sql::new(jobs!(
            "WHERE user_id = $1 AND (created_at, id) < ($2, $3) AND status = $6 \
             ORDER BY created_at DESC, id DESC LIMIT $4 OFFSET $5"
        )),
    };
    let mut sql =
        sql.bind(user.get()).bind(start.by).bind(start.id).bind(page.limit.get() + 1).bind(page.offset());
    if let Some(state) = state {
        sql = sql.bind(state.as_str());
    }
    db.all(sql).await?.iter().map(read).collect()
}

/// A job of which the image API's id is not known.
pub(super) struct Unanswered {
    pub(super) user: UserId,
    /// Whether a try to submit it has begun, so that it has its place at the image API.
    pub(super) begun: bool,
}

/// The job, if it is still to be submitted.
pub(super) async fn unanswered(db: &mut impl Db, job: &JobId) -> Result<Option<Unanswered>> {
    let sql = Sql::new(
        "SELECT user_id, submitted_at FROM generations \
         WHERE job_id = $1 AND completed_at IS NULL AND upstream_id IS NULL",
    );
    let Some(row) = db.optional(sql.bind(job.as_str())).await? else { return Ok(None) };
    let begun = row.get::<Option<Timestamp>>("submitted_at")?.is_some();
    Ok(Some(Unanswered { user: row.get("user_id")?, begun }))
}

/// What comes before a job that waits for a place at the image API.
pub(super) struct Ahead {
    /// Open jobs of the user that have a place.
    pub(super) submitted: i64,
    /// Older jobs of the user that wait too, counted up to the limit.
    pub(super) waiting: i64,
}

pub(super) async fn ahead_of(db: &mut impl Db, user: UserId, job: &JobId, limit: i64) -> Result<Ahead> {
    let sql = Sql::new(
        "SELECT (SELECT count(*) FROM generations WHERE user_id = $1 AND completed_at IS NULL \
         AND submitted_at IS NOT NULL) AS submitted, \
         (SELECT count(*) FROM (SELECT id FROM generations WHERE user_id = $1 AND completed_at IS NULL \
         AND submitted_at IS NULL AND (created_at, id) < (SELECT created_at, id FROM generations WHERE job_id = $2) \
         LIMIT $3) older) AS waiting",
    );
    let row = db.one(sql.bind(user.get()).bind(job.as_str()).bind(limit)).await?;
    Ok(Ahead { submitted: row.get("submitted")?, waiting: row.get("waiting")? })
}

/// The user's oldest job that no try to submit has touched.
pub(super) async fn next_unsubmitted(db: &mut impl Db, user: UserId) -> Result<Option<JobId>> {
    let sql = Sql::new(
        "SELECT job_id FROM generations WHERE user_id = $1 AND completed_at IS NULL AND submitted_at IS NULL \
         ORDER BY created_at, id LIMIT 1",
    );
    db.optional(sql.bind(user.get())).await?.map(|row| row.get("job_id")).transpose()
}

/// Says that the first try to submit begins, unless the job was taken back before.
pub(super) async fn begin_submission(db: &mut impl Db, job: &JobId, now: Timestamp) -> Result<bool> {
    let sql = Sql::new(
        "UPDATE generations SET submitted_at = coalesce(submitted_at, $2) \
         WHERE job_id = $1 AND completed_at IS NULL AND upstream_id IS NULL",
    );
    Ok(db.execute(sql.bind(job.as_str()).bind(now)).await? == 1)
}

/// Keeps the image API's id, unless there is one or the job has ended.
pub(super) async fn keep_upstream_id(
    tx: &mut Tx,
    job: &JobId,
    upstream_id: &str,
    now: Timestamp,
) -> Result<bool> {
    let sql = Sql::new(
        "UPDATE generations SET upstream_id = $2, updated_at = $3 \
         WHERE job_id = $1 AND upstream_id IS NULL AND completed_at IS NULL",
    );
    Ok(tx.execute(sql.bind(job.as_str()).bind(upstream_id).bind(now)).await? == 1)
}

/// Moves an open job to another open state.
pub(super) async fn move_to(
    tx: &mut Tx,
    job: &JobId,
    from: JobState,
    to: JobState,
    now: Timestamp,
) -> Result<bool> {
    let sql =
        Sql::new("UPDATE generations SET status = $3, updated_at = $4 WHERE job_id = $1 AND status = $2");
    let sql = sql.bind(job.as_str()).bind(from.as_str()).bind(to.as_str()).bind(now);
    Ok(tx.execute(sql).await? == 1)
}

/// How a job ended.
pub(super) struct Ending<'a> {
    pub(super) state: JobState,
    pub(super) result_urls: &'a [String],
    pub(super) thumbnail_url: Option<&'a str>,
    pub(super) error: Option<&'a JobError>,
}

impl<'a> Ending<'a> {
    /// An end without pictures.
    pub(super) fn without(state: JobState, error: Option<&'a JobError>) -> Self {
        Self { state, result_urls: &[], thumbnail_url: None, error }
    }
}

/// Ends a job, once: whoever comes second changes nothing. Of a charge that is captured this much comes back.
pub(super) async fn end(
    tx: &mut Tx,
    job: &JobId,
    ending: &Ending<'_>,
    partly: Charge,
    now: Timestamp,
) -> Result<bool> {
    let charge = if ending.state == JobState::Succeeded { "CAPTURED" } else { "RETURNED" };
    let sql = Sql::new(
        "UPDATE generations SET status = $2, charge = $3, result_urls = $4, error_code = $5, error_message = $6, \
         upstream_key = NULL, completed_at = $7, updated_at = $7, thumbnail_url = $8, quota_refunded = $9, \
         points_refunded = $10 WHERE job_id = $1 AND completed_at IS NULL",
    )
    .bind(job.as_str())
    .bind(ending.state.as_str())
    .bind(charge)
    .bind(json_text(&ending.result_urls))
    .bind(ending.error.map(|error| error.code.as_str()))
    .bind(ending.error.map(|error| error.message.as_str()))
    .bind(now)
    .bind(ending.thumbnail_url)
    .bind(partly.quota)
    .bind(partly.points.get());
    Ok(tx.execute(sql).await? == 1)
}

/// Puts copies in the place of a finished job's pictures; whether those were still the ones that were copied.
pub(super) async fn replace_results(
    tx: &mut Tx,
    job: &JobId,
    copied: &[String],
    urls: &[String],
    thumbnail: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    let sql = Sql::new(
        "UPDATE generations SET result_urls = $2, thumbnail_url = $3, updated_at = $4 \
         WHERE job_id = $1 AND status = 'SUCCEEDED' AND result_urls = $5",
    );
    let sql = sql.bind(job.as_str()).bind(json_text(&urls)).bind(thumbnail).bind(now);
    Ok(tx.execute(sql.bind(json_text(&copied))).await? == 1)
}

/// The jobs of a user that have pictures, and where those lie.
pub(super) async fn pictures(db: &mut impl Db, user: UserId) -> Result<Vec<(JobId, Vec<String>)>> {
    let sql = Sql::new(
        "SELECT job_id, result_urls, thumbnail_url FROM generations WHERE user_id = $1 AND result_urls <> '[]'",
    );
    let rows = db.all(sql.bind(user.get())).await?;
    rows.iter()
        .map(|row| {
            let mut urls: Vec<String> = row.json("result_urls")?;
            urls.extend(row.get::<Option<String>>("thumbnail_url")?);
            Ok((row.get("job_id")?, urls))
        })
        .collect()
}

/// Notes an event of the image API; whether it is new.
pub(super) async fn note_event(
    tx: &mut Tx,
    event_id: &str,
    upstream_id: &str,
    now: Timestamp,
) -> Result<bool> {
    let sql = Sql::new(
        "INSERT INTO webhook_events (event_id, upstream_id, received_at) VALUES ($1, $2, $3) \
         ON CONFLICT (event_id) DO NOTHING",
    );
    Ok(tx.execute(sql.bind(event_id).bind(upstream_id).bind(now)).await? == 1)
}

/// The jobs of a user that have not ended.
pub(super) async fn open_jobs(db: &mut impl Db, user: UserId) -> Result<Vec<JobId>> {
    let sql = Sql::new("SELECT job_id FROM generations WHERE user_id = $1 AND completed_at IS NULL");
    db.all(sql.bind(user.get())).await?.iter().map(|row| row.get("job_id")).collect()
}

/// Whether a job that has not ended is to be sent with this object.
pub(crate) async fn needs(db: &mut impl Db, key: &BlobKey) -> Result<bool> {
    // The name stands in the JSON as it is; that `_` matches any letter only makes it wait a little too often.
    let sql = Sql::new(
        "SELECT id FROM generations WHERE completed_at IS NULL AND request LIKE '%\"input_blob\":\"' || $1 || '\"%' \
         LIMIT 1",
    );
    Ok(db.optional(sql.bind(key.as_str())).await?.is_some())
}

/// Notes what some of the records behind this one name; the last of them, unless there are no more.
pub(crate) async fn names(db: &mut impl Db, after: i64, names: &mut Names<'_>) -> Result<Option<i64>> {
    let sql = Sql::new(
        "SELECT id, result_urls, thumbnail_url, request, completed_at FROM generations \
         WHERE id > $1 AND (result_urls <> '[]' OR completed_at IS NULL) ORDER BY id LIMIT 1000",
    );
    let mut last = None;
    for row in db.all(sql.bind(after)).await? {
        let id: i64 = row.get("id")?;
        let by = || format!("generation:{id}");
        for url in row.json::<Vec<String>>("result_urls")? {
            names.url(by(), Some(&url));
        }
        names.url(by(), row.get::<Option<String>>("thumbnail_url")?.as_deref());
        if row.get::<Option<Timestamp>>("completed_at")?.is_none() {
            names.key(by(), row.json::<Extras>("request")?.input_blob.as_deref());
        }
        last = Some(id);
    }
    Ok(last)
}

/// Erases what a user wrote from its records.
pub(super) async fn erase(tx: &mut Tx, user: UserId) -> Result<()> {
    let sql = Sql::new(
        "UPDATE generations SET prompt = '', request = '{}', result_urls = '[]', thumbnail_url = NULL, \
         error_message = NULL WHERE user_id = $1 AND completed_at IS NOT NULL",
    );
    tx.execute(sql.bind(user.get())).await?;
    Ok(())
}

/// Locks a job that no try to submit has touched; whether it is one.
pub(super) async fn lock_unsubmitted(tx: &mut Tx, job: &JobId) -> Result<bool> {
    let sql = crate::store::for_update!(
        "SELECT id FROM generations WHERE job_id = $1 AND status = 'QUEUED' AND submitted_at IS NULL \
         AND upstream_id IS NULL"
    );
    Ok(tx.optional(sql.bind(job.as_str())).await?.is_some())
}

/// All records of a user, oldest first, each with what else was asked for as it is stored.
pub(crate) async fn all_of(db: &mut impl Db, user: UserId) -> Result<Vec<(Job, serde_json::Value)>> {
    let sql = Sql::new(jobs!("WHERE user_id = $1 ORDER BY created_at, id"));
    let rows = db.all(sql.bind(user.get())).await?;
    rows.iter().map(|row| Ok((read(row)?, row.json("request")?))).collect()
}

/// A generation of the original service, which has ended. It took nothing.
pub(crate) struct Original<'a> {
    pub(crate) id: Option<i64>,
    pub(crate) job_id: &'a JobId,
    pub(crate) user: UserId,
    pub(crate) state: JobState,
    pub(crate) prompt: &'a str,
    pub(crate) mode: Mode,
    pub(crate) resolution: Option<Resolution>,
    pub(crate) aspect_ratio: Option<AspectRatio>,
    pub(crate) sample_count: i64,
    pub(crate) params: &'a serde_json::Map<String, serde_json::Value>,
    pub(crate) periods: &'a Periods,
    pub(crate) result_urls: &'a [String],
    pub(crate) thumbnail_url: Option<&'a str>,
    pub(crate) error: Option<&'a JobError>,
    pub(crate) created_at: Timestamp,
    pub(crate) completed_at: Timestamp,
}

/// Adds a generation of the original service; `None` if its job's id is taken.
pub(crate) async fn take_over(tx: &mut Tx, new: &Original<'_>) -> Result<Option<i64>> {
    let extras = Extras { params: new.params.clone(), ..Extras::default() };
    let charge = if new.state == JobState::Succeeded { "CAPTURED" } else { "RETURNED" };
    let insertion = |id: Option<i64>| {
        insert_under_id!(
            "generations",
            "job_id, user_id, status, prompt, mode, resolution, aspect_ratio, sample_count, request, quota_day, \
             quota_month, quota_charged, points_charged, charge, result_urls, thumbnail_url, error_code, \
             error_message, created_at, updated_at, completed_at",
            "$2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, 0, $13, $14, $15, $16, $17, $18, $19, $19"
        )
        .bind(id)
        .bind(new.job_id.as_str())
        .bind(new.user.get())
        .bind(new.state.as_str())
        .bind(new.prompt)
        .bind(new.mode.as_str())
        .bind(new.resolution.map(Resolution::as_str))
        .bind(new.aspect_ratio.map(AspectRatio::as_str))
        .bind(new.sample_count)
        .bind(json_text(&extras))
        .bind(new.periods.day.as_str())
        .bind(new.periods.month.as_str())
        .bind(charge)
        .bind(json_text(&new.result_urls))
        .bind(new.thumbnail_url)
        .bind(new.error.map(|error| error.code.as_str()))
        .bind(new.error.map(|error| error.message.as_str()))
        .bind(new.created_at)
        .bind(new.completed_at)
    };
    under_id(tx, new.id, insertion).await
}
