//! Following submitted jobs: by their completion notices, and by asking with growing pauses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::store;
use super::submit::tenant;
use super::{LONGEST, changes, job_topic};
use crate::dream::Core;
use crate::error::{Error, Result};
use crate::kernel::JobId;
use crate::outbox::{self, Next, Task, growing};
use crate::ports::{FailureKind, JobError, JobState, Tenant, UpstreamJob};
use crate::protocol::webhook::JobEvent;

const ASK_FIRST: Duration = Duration::from_secs(2);
const ASK_MOST: Duration = Duration::from_secs(30);
/// From this many due jobs on, one call for the newest jobs replaces many calls for one.
const MANY: usize = 4;
/// Lookups at once.
const AT_ONCE: usize = 8;
/// How old a job must be before the image API's not knowing it counts as its end.
const LOST_AFTER: Duration = Duration::from_mins(2);
/// How old a job may be that is said to have succeeded, and yet shows no pictures.
const PICTURES_WITHIN: Duration = Duration::from_hours(1);

/// Looks after the due jobs, and says for each when to look again.
pub(crate) async fn poll(core: &Arc<Core>, tasks: Vec<Task>) -> Vec<(Task, Result<Next>)> {
    let known = Arc::new(if tasks.len() >= MANY { recent(core).await } else { HashMap::new() });
    stream::iter(tasks)
        .map(|task| look_and_tell(core.clone(), task, known.clone()))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

/// It borrows nothing: in a stream of futures that borrow, the compiler finds no proof that they may be spawned.
async fn look_and_tell(
    core: Arc<Core>,
    task: Task,
    known: Arc<HashMap<String, UpstreamJob>>,
) -> (Task, Result<Next>) {
    let outcome = outbox::traced(&core, &task, look(&core, &task, &known)).await;
    (task, outcome)
}

async fn recent(core: &Core) -> HashMap<String, UpstreamJob> {
    match core.image_api.recent(&Tenant::Service).await {
        Ok(jobs) => jobs.into_iter().map(|job| (job.id.clone(), job)).collect(),
        Err(failure) => {
            tracing::debug!(error = %failure, "the image API's list could not be read");
            HashMap::new()
        }
    }
}

async fn look(core: &Arc<Core>, task: &Task, known: &HashMap<String, UpstreamJob>) -> Result<Next> {
    let id: JobId = task.subject.parse().map_err(|_| Error::internal("a task names no job"))?;
    let Some(generation) = store::whole(&mut core.store.db(), &id).await? else { return Ok(Next::Done) };
    let Some(upstream_id) = generation.upstream_id.as_deref() else { return Ok(Next::Done) };
    if generation.job.state.is_final() {
        return Ok(Next::Done);
    }
    let age = core.now().since(generation.job.created_at);
    let again = Next::After(growing(ASK_FIRST, task.attempts, ASK_MOST));
    let listed = known.get(upstream_id).filter(|_| generation.upstream_key.is_none());
    let news = match listed {
        Some(job) => Some(job.clone()),
        None => match core.image_api.job(&tenant(core, &generation)?, upstream_id).await {
            Ok(job) => job,
            Err(failure) if age < LONGEST => {
                tracing::info!(job.id = %id, error = %failure, "a job could not be looked up");
                return Ok(match failure.retry_after {
                    Some(wait) if failure.kind == FailureKind::Throttled => Next::Wait(wait),
                    wait => wait.map_or(again, Next::After),
                });
            }
            Err(_) => return give_up(core, &id, "TIMEOUT").await.map(|()| Next::Done),
        },
    };
    if let Some(news) = &news
        && tell(core, &id, news).await?
    {
        return Ok(Next::Done);
    }
    let hopeless = match &news {
        None if age >= LOST_AFTER => Some("JOB_LOST"),
        Some(news) if news.state == JobState::Succeeded && age >= PICTURES_WITHIN => Some("NO_PICTURES"),
        _ if age >= LONGEST => Some("TIMEOUT"),
        _ => None,
    };
    match hopeless {
        Some(code) => give_up(core, &id, code).await.map(|()| Next::Done),
        None => Ok(again),
    }
}

/// Lets the news take effect; whether the job has ended.
async fn tell(core: &Core, id: &JobId, news: &UpstreamJob) -> Result<bool> {
    let change = changes::Tell { job: id, upstream: news, settings: &core.settings, now: core.now() };
    if core.store.run(&change).await? {
        core.announce(&job_topic(id)).await;
        core.wake_worker();
    }
    Ok(news.state.is_final() && !(news.state == JobState::Succeeded && news.result_urls.is_empty()))
}

/// Ends a job of which nothing more is to be expected; what it took comes back.
pub(super) async fn give_up(core: &Core, job: &JobId, code: &str) -> Result<()> {
    tracing::error!(job.id = %job, code, "a job is given up");
    let change = changes::EndJob {
        job,
        state: JobState::Failed,
        error: Some(JobError { code: code.to_owned(), message: String::new() }),
        settings: &core.settings,
        now: core.now(),
    };
    core.store.run(&change).await?;
    core.announce(&job_topic(job)).await;
    core.wake_worker();
    Ok(())
}

pub(super) async fn apply_webhook(core: &Core, event: &JobEvent) -> Result<()> {
    let change = changes::ApplyEvent { event, settings: &core.settings, now: core.now() };
    if let Some(job) = core.store.run(&change).await? {
        core.announce(&job_topic(&job)).await;
        core.wake_worker();
    }
    Ok(())
}
