//! The API's endpoints.

use std::sync::Arc;
use std::time::Duration;

use dream_core::ports::EntropyExt;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::jobs::{self, Asked, Job, JobError, Status, Step};
use super::{Inner, State, Submission, control, operation, outgoing_urls, pictures, tenant_of, webhook};
use crate::fakes::lock;
use crate::fakes::server::{FakeRequest, FakeResponse};

/// Letters behind the `cm` of an id.
const ID_LETTERS: usize = 23;
/// Jobs on a page unless asked otherwise.
const PAGE: usize = 50;
const MINUTE: Duration = Duration::from_mins(1);

/// An error of the API: status, code, text.
struct Refusal(StatusCode, &'static str, String);

impl Refusal {
    fn invalid(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, "INVALID_REQUEST", message.into())
    }

    fn no_job() -> Self {
        Self(StatusCode::NOT_FOUND, "JOB_NOT_FOUND", "there is no such job".to_owned())
    }

    fn too_many(message: &str) -> Self {
        Self(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED", message.to_owned())
    }
}

type Outcome = Result<FakeResponse, Refusal>;

pub(super) async fn answer(fake: Arc<Inner>, request: FakeRequest) -> FakeResponse {
    if request.path.starts_with("/_control/") {
        return control::answer(&fake, &request).await;
    }
    let (method, path) = request.route();
    let name = match (method, path.as_slice()) {
        ("GET", ["health"]) => operation::HEALTH,
        ("POST", ["v1", "images", "generate"]) => operation::SUBMIT,
        ("GET", ["v1", "jobs"]) => operation::LIST,
        ("GET", ["v1", "jobs", _]) => operation::JOB,
        ("DELETE", ["v1", "jobs", _]) => operation::CANCEL,
        ("GET", ["files", _]) => operation::FILE,
        _ => {
            return FakeResponse::json(
                StatusCode::NOT_FOUND,
                &json!({"error": "NOT_FOUND", "message": "no such route"}),
            );
        }
    };
    let last = path.last().copied().unwrap_or_default();
    let work = |special: Option<String>| perform(&fake, name, &request, last, special);
    fake.faults.around(&*fake.options.clock, name, work).await
}

async fn perform(
    fake: &Arc<Inner>,
    name: &str,
    request: &FakeRequest,
    last: &str,
    special: Option<String>,
) -> FakeResponse {
    let outcome = match name {
        operation::HEALTH => Ok(health(fake)),
        operation::FILE => Ok(file(fake, last).await),
        _ => tenant(fake, request).and_then(|tenant| match name {
            operation::SUBMIT => submit(fake, tenant, request, special.as_deref()),
            operation::LIST => list(fake, &tenant, request),
            operation::JOB => show(fake, &tenant, last),
            _ => cancel(fake, &tenant, last, special.as_deref()),
        }),
    };
    outcome.unwrap_or_else(|Refusal(status, code, message)| {
        let answer = FakeResponse::json(status, &json!({"error": code, "message": message})).noted(code);
        if status == StatusCode::TOO_MANY_REQUESTS && fake.options.tell_retry_after {
            answer.with_header("retry-after", "60")
        } else {
            answer
        }
    })
}

fn health(fake: &Inner) -> FakeResponse {
    FakeResponse::json(StatusCode::OK, &json!({"status": "ok", "timestamp": fake.now().to_string()}))
}

/// The tenant of the key, unless it asks too often.
fn tenant(fake: &Inner, request: &FakeRequest) -> Result<String, Refusal> {
    let options = &fake.options;
    let refused =
        || Refusal(StatusCode::UNAUTHORIZED, "INVALID_API_KEY", "the API key is not valid".to_owned());
    let key = request.bearer().filter(|key| !key.is_empty()).ok_or_else(refused)?;
    if key != options.service_key && !options.accept_any_key {
        return Err(refused());
    }
    let tenant = tenant_of(key);
    let now = fake.now();
    let mut state = lock(&fake.state);
    let calls = state.calls.entry(tenant.clone()).or_default();
    while calls.front().is_some_and(|at| now.since(*at) >= MINUTE) {
        calls.pop_front();
    }
    if options.per_minute > 0 && calls.len() as u64 >= options.per_minute {
        return Err(Refusal::too_many("too many requests a minute"));
    }
    calls.push_back(now);
    drop(state);
    Ok(tenant)
}

fn submit(fake: &Arc<Inner>, tenant: String, request: &FakeRequest, special: Option<&str>) -> Outcome {
    let body: Value = request.json().map_err(|error| Refusal::invalid(error.to_string()))?;
    let key = request.header("idempotency-key").map(str::to_owned);
    let mut state = lock(&fake.state);
    let place = state.submissions.len();
    state.submissions.push(Submission {
        tenant_id: tenant.clone(),
        idempotency_key: key.clone(),
        body: body.clone(),
        job_id: None,
        repeated: false,
    });
    let asked = Asked::read(&body).map_err(Refusal::invalid)?;
    overload_once(&mut state, &tenant, key.as_deref(), &asked)?;
    let (job, repeated) = find_or_make(fake, &mut state, tenant, key, asked, body)?;
    if let Some(submission) = state.submissions.get_mut(place) {
        submission.job_id = Some(job.id.clone());
        submission.repeated = repeated;
    }
    drop(state);
    let status = job.at(fake.now()).status;
    if special == Some("no_job_id") {
        return Ok(FakeResponse::json(StatusCode::ACCEPTED, &json!({"status": status})));
    }
    let http_status = if repeated { fake.options.repeat_status } else { 202 };
    let http_status = StatusCode::from_u16(http_status).unwrap_or(StatusCode::ACCEPTED);
    Ok(FakeResponse::json(http_status, &json!({"jobId": job.id, "status": status})))
}

fn overload_once(state: &mut State, tenant: &str, key: Option<&str>, asked: &Asked) -> Result<(), Refusal> {
    let what = format!("{tenant}/{}", key.unwrap_or(&asked.prompt));
    if asked.has("[overload]") && state.overloaded.insert(what) {
        let message = "the service is overloaded, try again".to_owned();
        return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_OVERLOAD", message));
    }
    Ok(())
}

/// The job of this tenant and key, or a new one; and whether it was there before.
fn find_or_make(
    fake: &Arc<Inner>,
    state: &mut State,
    tenant: String,
    key: Option<String>,
    asked: Asked,
    body: Value,
) -> Result<(Job, bool), Refusal> {
    let is_same = |job: &&Job| key.is_some() && job.key == key && job.tenant == tenant;
    if let Some(job) = state.jobs.iter().find(is_same) {
        return Ok((job.clone(), true));
    }
    let (now, options) = (fake.now(), &fake.options);
    let is_open = |job: &&Job| job.tenant == tenant && !job.at(now).status.is_final();
    if options.at_once > 0 && state.jobs.iter().filter(is_open).count() >= options.at_once {
        return Err(Refusal::too_many("too many jobs at once"));
    }
    let steps = if options.by_hand {
        vec![Step::new(now, Status::Queued)]
    } else {
        jobs::plan(&asked, now, &options.pace, &*options.entropy)
    };
    let id = format!("cm{}", options.entropy.alphanumeric(ID_LETTERS));
    let job = Job::new(id, tenant, key, asked, body, steps);
    state.jobs.push(job.clone());
    webhook::watch(fake, &job);
    Ok((job, false))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    id: String,
    status: Status,
    prompt: String,
    mode: String,
    result_urls: Vec<String>,
    error_code: Option<String>,
    error_message: Option<String>,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Vec<Item>,
    has_more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

fn list(fake: &Inner, tenant: &str, request: &FakeRequest) -> Outcome {
    let limit = match request.param("limit") {
        None => PAGE,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=100).contains(limit))
            .ok_or_else(|| Refusal::invalid("limit must be 1 to 100"))?,
    };
    let status: Option<Status> = match request.param("status") {
        None => None,
        Some(name) => Some(
            serde_json::from_value(json!(name)).map_err(|_| Refusal::invalid("status is not one of six"))?,
        ),
    };
    let now = fake.now();
    let state = lock(&fake.state);
    let mut newest_first = state.jobs.iter().rev().filter(|job| job.tenant == tenant);
    if let Some(cursor) = request.param("cursor") {
        newest_first
            .find(|job| job.id == cursor)
            .ok_or_else(|| Refusal::invalid("cursor is not one of ours"))?;
    }
    let mut rest = newest_first.filter(|job| status.is_none_or(|status| job.at(now).status == status));
    let items: Vec<Item> = rest.by_ref().take(limit).map(|job| item(fake, job)).collect();
    let has_more = rest.next().is_some();
    let next_cursor = items.last().filter(|_| has_more).map(|item| item.id.clone());
    Ok(FakeResponse::json(StatusCode::OK, &Page { items, has_more, next_cursor }))
}

fn item(fake: &Inner, job: &Job) -> Item {
    let Step { at, status, error } = job.at(fake.now());
    Item {
        id: job.id.clone(),
        status,
        prompt: job.asked.prompt.clone(),
        mode: job.asked.mode.clone().unwrap_or_else(|| "final".to_owned()),
        result_urls: outgoing_urls(fake, job, status),
        error_code: error.as_ref().map(|error| error.code.clone()),
        error_message: error.map(|error| error.message),
        created_at: job.created_at().to_string(),
        updated_at: at.to_string(),
    }
}

fn show(fake: &Inner, tenant: &str, id: &str) -> Outcome {
    let state = lock(&fake.state);
    let job = state.job(id).filter(|job| job.tenant == tenant).ok_or_else(Refusal::no_job)?;
    let step = job.at(fake.now());
    let detail = json!({
        "jobId": job.id,
        "status": step.status,
        "resultUrls": outgoing_urls(fake, job, step.status),
        "error": step.error,
        "createdAt": job.created_at().to_string(),
        "updatedAt": step.at.to_string(),
    });
    Ok(FakeResponse::json(StatusCode::OK, &detail))
}

fn cancel(fake: &Arc<Inner>, tenant: &str, id: &str, special: Option<&str>) -> Outcome {
    let now = fake.now();
    let mut state = lock(&fake.state);
    let is_meant = |job: &&mut Job| job.id == id && job.tenant == tenant;
    let job = state.jobs.iter_mut().find(is_meant).ok_or_else(Refusal::no_job)?;
    if special == Some("cancel_race") {
        job.start(now);
    }
    let status = job.at(now).status;
    if !status.is_cancelable() {
        let message = format!("a job that is {} cannot be canceled", json!(status));
        return Err(Refusal(StatusCode::BAD_REQUEST, "INVALID_STATE", message));
    }
    job.force(Step::new(now, Status::Canceled));
    drop(state);
    webhook::notice(fake, id);
    Ok(FakeResponse::json(StatusCode::OK, &json!({"jobId": id, "status": Status::Canceled})))
}

/// Moves the job by hand and tells its end, if it is one.
pub(super) fn set_status(fake: &Arc<Inner>, id: &str, status: Status, error: Option<JobError>) -> bool {
    let now = fake.now();
    let mut state = lock(&fake.state);
    let Some(job) = state.jobs.iter_mut().find(|job| job.id == id) else { return false };
    job.force(Step { at: now, status, error });
    drop(state);
    if status.is_final() {
        webhook::notice(fake, id);
    }
    true
}

/// A result, drawn when it is asked for.
async fn file(fake: &Inner, name: &str) -> FakeResponse {
    let missing = || FakeResponse::gateway_page(StatusCode::NOT_FOUND);
    let found = {
        let state = lock(&fake.state);
        let parts = name.strip_suffix(".png").and_then(|stem| stem.rsplit_once('-'));
        parts.and_then(|(id, index)| {
            let (job, index) = (state.job(id)?, index.parse::<u32>().ok()?);
            let is_there = job.at(fake.now()).status == Status::Succeeded
                && (1..=job.asked.samples()).contains(&index)
                && !job.asked.has("[gone]");
            is_there.then(|| (job.asked.clone(), index))
        })
    };
    let Some((asked, index)) = found else { return missing() };
    if asked.has("[notpng]") {
        return FakeResponse::gateway_page(StatusCode::OK);
    }
    let drawing = tokio::task::spawn_blocking(move || pictures::render(&asked.prompt, index, asked.size()));
    match drawing.await {
        Ok(Ok(png)) => FakeResponse::new(StatusCode::OK, "image/png", png),
        _ => FakeResponse::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
