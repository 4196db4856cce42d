//! Following submitted jobs: by their completion notices, and by asking with growing pauses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::report::Report;
use super::store::{self, Generation};
use super::submit::{account_refused, tenant};
use super::{changes, job_topic, rules};
use crate::dream::Core;
use crate::error::{Error, Result};
use crate::kernel::JobId;
use crate::outbox::{self, Next, Task, growing};
use crate::ports::{Failure, FailureKind, JobState, Reason, Tenant, UpstreamJob};
use crate::protocol::webhook::JobEvent;

const ASK_FIRST: Duration = Duration::from_secs(2);
const ASK_MOST: Duration = Duration::from_secs(30);
/// From this many due jobs on, one call for the newest jobs replaces many calls for one.
const MANY: usize = 4;
/// Lookups at once.
const AT_ONCE: usize = 8;
/// How long ago a job must have been submitted before the image API's not knowing it counts as its end.
const LOST_AFTER: Duration = Duration::from_mins(2);

/// Looks after the due jobs, and says for each when to look again.
pub(crate) async fn poll(core: &Arc<Core>, tasks: Vec<Task>) -> Vec<(Task, Result<Next>)> {
    // Of callers with keys of their own the operator's list shows nothing.
    let lists = tasks.len() >= MANY && !core.settings.forward_upstream_auth;
    let known = Arc::new(if lists { recent(core).await } else { HashMap::new() });
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
    let seen = see(core, &generation, upstream_id, known).await;
    let left = time_left(core, &generation);
    let again = growing(ASK_FIRST, task.attempts, ASK_MOST).min(left);
    match seen {
        Ok(Seen::Ended) => Ok(Next::Done),
        Ok(Seen::Unknown) if since_submission(core, &generation) >= LOST_AFTER => {
            give_up(core, &id, rules::UPSTREAM_UNAVAILABLE).await.map(|()| Next::Done)
        }
        // It ended there, and no picture has come.
        Ok(Seen::WithoutPictures) if left.is_zero() => {
            give_up(core, &id, rules::RESULT_INVALID).await.map(|()| Next::Done)
        }
        _ if left.is_zero() => {
            call_off(core, &generation, upstream_id).await;
            give_up(core, &id, rules::UPSTREAM_TIMEOUT).await.map(|()| Next::Done)
        }
        Ok(Seen::Busy(wait)) => Ok(Next::Wait(wait.min(left))),
        Ok(Seen::Unreachable(Some(wait))) => Ok(Next::After(wait.min(left))),
        Ok(Seen::Open | Seen::WithoutPictures | Seen::Unknown | Seen::Unreachable(None)) => {
            Ok(Next::After(again))
        }
        Err(error) => Err(error),
    }
}

/// What a look at the image API showed.
enum Seen {
    /// The job has ended, and so has ours.
    Ended,
    /// It goes on.
    Open,
    /// It is said to have succeeded, and has no pictures yet.
    WithoutPictures,
    /// The image API does not know it.
    Unknown,
    /// We were told to wait.
    Busy(Duration),
    /// Nothing was seen, and this is how long the image API asks us to wait.
    Unreachable(Option<Duration>),
}

/// Looks, and lets what is seen take effect.
async fn see(
    core: &Arc<Core>,
    generation: &Generation,
    upstream_id: &str,
    known: &HashMap<String, UpstreamJob>,
) -> Result<Seen> {
    let id = &generation.job.job_id;
    let listed = known.get(upstream_id).filter(|_| generation.upstream_key.is_none());
    let news = match listed {
        Some(job) => Some(job.clone()),
        None => match core.image_api.job(&tenant(core, generation)?, upstream_id).await {
            Ok(job) => job,
            Err(failure) => {
                tracing::info!(job.id = %id, error = %failure, "a job could not be looked up");
                if failure.kind == FailureKind::Misconfigured {
                    account_refused(core, &failure);
                }
                return Ok(match failure.retry_after {
                    Some(wait) if failure.kind == FailureKind::Throttled => Seen::Busy(wait),
                    wait => Seen::Unreachable(wait),
                });
            }
        },
    };
    let Some(news) = news else { return Ok(Seen::Unknown) };
    let report = apply(core, id, &news).await?;
    Ok(match report.state {
        state if state.is_final() => Seen::Ended,
        _ if news.state == JobState::Succeeded => Seen::WithoutPictures,
        _ => Seen::Open,
    })
}

/// Lets what the image API reports of a job take effect; the report as it was taken.
pub(super) async fn apply(core: &Arc<Core>, id: &JobId, news: &UpstreamJob) -> Result<Report> {
    if let Some(error) = news.error.as_ref().filter(|error| Reason::of(&error.code) == Reason::Account) {
        let failure = Failure::new("image_api", FailureKind::Misconfigured, error.message.clone());
        account_refused(core, &failure.with_code(error.code.clone()));
    }
    let report = Report::take(core, id, news).await?;
    let change = changes::Tell { job: id, report: &report, settings: &core.settings, now: core.now() };
    if core.store.run(&change).await? {
        core.announce(&job_topic(id)).await;
        core.wake_worker();
    } else {
        report.abandon(core).await;
    }
    Ok(report)
}

fn since_submission(core: &Core, generation: &Generation) -> Duration {
    core.now().since(generation.submitted_at.unwrap_or(generation.job.created_at))
}

/// How much longer a job that was submitted may stay open.
pub(super) fn time_left(core: &Core, generation: &Generation) -> Duration {
    core.settings.job_deadline.saturating_sub(since_submission(core, generation))
}

/// Asks the image API not to go on with a job that nobody waits for any more. It may refuse: that changes nothing.
async fn call_off(core: &Core, generation: &Generation, upstream_id: &str) {
    let Ok(tenant) = tenant(core, generation) else { return };
    if let Err(failure) = core.image_api.cancel(&tenant, upstream_id).await {
        tracing::debug!(error = %failure, "a job that is given up could not be canceled");
    }
}

/// Ends a job of which nothing more is to be expected; what it took comes back.
pub(super) async fn give_up(core: &Core, job: &JobId, code: &str) -> Result<()> {
    tracing::error!(job.id = %job, code, "a job is given up");
    let change = changes::EndJob {
        job,
        state: JobState::Failed,
        error: Some(rules::told(code)),
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
