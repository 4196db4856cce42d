//! Following submitted jobs: by their completion notices, and by asking with growing pauses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::store::{self, Generation};
use super::submit::tenant;
use super::{changes, job_topic};
use crate::dream::Core;
use crate::error::{Error, Result};
use crate::kernel::{JobId, Timestamp};
use crate::media;
use crate::outbox::{Next, Task, growing};
use crate::ports::{BlobKey, EntropyExt as _, JobError, JobState, Tenant, UpstreamJob};
use crate::protocol::webhook::JobEvent;
use crate::store::{Change, Tx};

const ASK_FIRST: Duration = Duration::from_secs(2);
const ASK_MOST: Duration = Duration::from_secs(30);
/// From this many due jobs on, one call for the newest jobs replaces many calls for one.
const MANY: usize = 4;
/// Lookups at once.
const AT_ONCE: usize = 8;
/// How old a job must be before the image API's not knowing it counts as its end.
const LOST_AFTER: Duration = Duration::from_mins(2);
const MAX_PICTURE: u64 = 64 * 1024 * 1024;

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
    let outcome = look(&core, &task, &known).await;
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
    let again = Next::After(growing(ASK_FIRST, task.attempts, ASK_MOST));
    let listed = known.get(upstream_id).filter(|_| generation.upstream_key.is_none());
    let news = match listed {
        Some(job) => Some(job.clone()),
        None => match core.image_api.job(&tenant(core, &generation)?, upstream_id).await {
            Ok(job) => job,
            Err(failure) => {
                tracing::info!(job.id = %id, error = %failure, "a job could not be looked up");
                return Ok(failure.retry_after.map_or(again, Next::After));
            }
        },
    };
    let ended = match &news {
        Some(news) => tell(core, &id, news).await?,
        None => give_up_if_lost(core, &generation).await?,
    };
    Ok(if ended { Next::Done } else { again })
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

async fn give_up_if_lost(core: &Core, generation: &Generation) -> Result<bool> {
    if core.now().since(generation.job.created_at) < LOST_AFTER {
        return Ok(false);
    }
    let job = &generation.job.job_id;
    tracing::error!(job.id = %job, "the image API no longer knows a job");
    let error = JobError { code: "JOB_LOST".into(), message: String::new() };
    let change = changes::EndJob {
        job,
        state: JobState::Failed,
        error: Some(error),
        settings: &core.settings,
        now: core.now(),
    };
    core.store.run(&change).await?;
    core.announce(&job_topic(job)).await;
    Ok(true)
}

pub(super) async fn apply_webhook(core: &Core, event: &JobEvent) -> Result<()> {
    let change = changes::ApplyEvent { event, settings: &core.settings, now: core.now() };
    if let Some(job) = core.store.run(&change).await? {
        core.announce(&job_topic(&job)).await;
        core.wake_worker();
    }
    Ok(())
}

struct ReplaceResults<'a> {
    job: &'a JobId,
    urls: &'a [String],
    thumbnail: Option<&'a str>,
    now: Timestamp,
}

impl Change for ReplaceResults<'_> {
    const NAME: &'static str = "jobs.replace_results";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        store::replace_results(tx, self.job, self.urls, self.thumbnail, self.now).await
    }
}

/// The task: copy a job's pictures into our storage, with a thumbnail of the first.
pub(crate) async fn rehost(core: &Arc<Core>, task: &Task) -> Result<Next> {
    let id: JobId = task.subject.parse().map_err(|_| Error::internal("a task names no job"))?;
    let Some(generation) = store::whole(&mut core.store.db(), &id).await? else { return Ok(Next::Done) };
    let mut urls = Vec::new();
    let mut thumbnail = None;
    for (index, url) in generation.job.result_urls.iter().enumerate() {
        if core.blobs.key_of(url).is_some() {
            urls.push(url.clone());
            continue;
        }
        let (bytes, _) = core.image_api.download(url, MAX_PICTURE).await?;
        let picture = media::recognise(bytes)?;
        let name = core.entropy.uuid_at(core.now()).simple().to_string();
        let key = key(&format!("results/{name}.{}", picture.kind.extension()))?;
        if index == 0 {
            let small = media::thumbnail(picture.bytes.clone()).await?;
            let small_key = key_of_thumbnail(&name, small.kind.extension())?;
            core.blobs.put(&small_key, small.kind.mime(), small.bytes).await?;
            thumbnail = Some(core.blobs.public_url(&small_key));
        }
        core.blobs.put(&key, picture.kind.mime(), picture.bytes).await?;
        urls.push(core.blobs.public_url(&key));
    }
    let change = ReplaceResults { job: &id, urls: &urls, thumbnail: thumbnail.as_deref(), now: core.now() };
    core.store.run(&change).await?;
    core.announce(&job_topic(&id)).await;
    Ok(Next::Done)
}

fn key_of_thumbnail(name: &str, extension: &str) -> Result<BlobKey> {
    key(&format!("results/{name}_thumb.{extension}"))
}

fn key(name: &str) -> Result<BlobKey> {
    name.parse().map_err(|_| Error::internal("a fresh name is none"))
}
