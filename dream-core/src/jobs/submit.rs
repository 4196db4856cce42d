//! Submitting a job to the image API, as often as it takes, under one idempotency key.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::changes::{self, BeginSubmission, Begun};
use super::report::Report;
use super::store::{self, Generation};
use super::{follow, job_topic, rules};
use crate::dream::Core;
use crate::error::{Code, Error, Result};
use crate::kernel::JobId;
use crate::kernel::SealedBox;
use crate::outbox::{Next, Task, growing};
use crate::ports::{BlobKey, Failure, FailureKind, ImageRequest, JobState, Tenant, UpstreamJob};

const FIRST_LOOK_AFTER: Duration = Duration::from_secs(2);
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_mins(1);

/// The task: submit the job unless it was taken back.
pub(crate) async fn submit(core: &Arc<Core>, task: &Task) -> Result<Next> {
    let job: JobId = task.subject.parse().map_err(|_| Error::internal("a task names no job"))?;
    let begin = BeginSubmission { job: &job, settings: &core.settings, now: core.now() };
    match core.store.run(&begin).await? {
        Begun::Yes => {}
        Begun::Full => return Ok(Next::Parked),
        Begun::No => return Ok(Next::Done),
    }
    let Some(generation) = store::whole(&mut core.store.db(), &job).await? else { return Ok(Next::Done) };
    let left = follow::time_left(core, &generation);
    if left.is_zero() {
        follow::give_up(core, &job, rules::UPSTREAM_UNAVAILABLE).await?;
        return Ok(Next::Done);
    }
    match submit_now(core, &generation).await? {
        Ok(_) => Ok(Next::Done),
        Err(failure) => {
            let wait =
                failure.retry_after.unwrap_or(growing(RETRY_FIRST, task.attempts, RETRY_MOST)).min(left);
            tracing::info!(job.id = %job, error = %failure, "a submission is repeated");
            // Nothing happened but that we have to wait for our turn.
            Ok(if failure.kind == FailureKind::Throttled { Next::Wait(wait) } else { Next::After(wait) })
        }
    }
}

/// One try. Of the two layers of outcome the outer is ours (the database), the inner the image API's, and that one
/// holds only failures that leave the job open: a definite refusal ends it, and gives back what it took.
pub(super) async fn submit_now(
    core: &Arc<Core>,
    generation: &Generation,
) -> Result<Result<UpstreamJob, Failure>> {
    let job = &generation.job.job_id;
    let tenant = tenant(core, generation)?;
    let request = match upstream_request(core, generation).await {
        Ok(request) => request,
        Err(failure) => return Ok(Err(failure)),
    };
    // Derived from our record, so that every try of this job, by whichever node, is the same request.
    let key = format!("dream-{job}");
    match core.image_api.submit(&tenant, &key, &request).await {
        Ok(upstream) => {
            record(core, job, &upstream).await?;
            Ok(Ok(upstream))
        }
        Err(failure) if matches!(failure.kind, FailureKind::Refused | FailureKind::Misconfigured) => {
            refuse(core, job, &failure).await?;
            Ok(Ok(UpstreamJob {
                id: String::new(),
                state: JobState::Failed,
                result_urls: vec![],
                error: None,
            }))
        }
        Err(failure) => Ok(Err(failure)),
    }
}

async fn record(core: &Arc<Core>, job: &JobId, upstream: &UpstreamJob) -> Result<()> {
    let report = Report::take(core, job, upstream).await?;
    let now = core.now();
    let change = changes::RecordSubmission {
        job,
        upstream_id: &upstream.id,
        report: &report,
        first_look: now.plus(FIRST_LOOK_AFTER),
        settings: &core.settings,
        now,
    };
    if !core.store.run(&change).await? {
        report.abandon(core).await;
    }
    core.announce(&job_topic(job)).await;
    Ok(())
}

async fn refuse(core: &Core, job: &JobId, failure: &Failure) -> Result<()> {
    let error = if failure.kind == FailureKind::Misconfigured {
        // The operator's trouble is nothing that a user should read.
        account_refused(core, failure);
        rules::told(rules::UPSTREAM_UNAVAILABLE)
    } else {
        rules::refusal(failure)
    };
    let change = changes::EndJob {
        job,
        state: JobState::Failed,
        error: Some(error),
        settings: &core.settings,
        now: core.now(),
    };
    core.store.run(&change).await?;
    core.announce(&job_topic(job)).await;
    core.wake_worker();
    Ok(())
}

/// How often the operator is told in the log that the image API refuses our account.
const ALARM_EVERY: Duration = Duration::from_mins(1);

/// The image API refuses our key, our balance or our configuration: one error for the operator, whatever the number of
/// jobs that meet it, and a metric that counts them.
pub(super) fn account_refused(core: &Core, failure: &Failure) {
    metrics::counter!("dream_image_api_account_refusals_total").increment(1);
    let (now, last) = (core.now(), &core.account_alarm);
    let told = last.load(Ordering::Relaxed);
    let is_due = now.as_micros() >= told.saturating_add(i64::try_from(ALARM_EVERY.as_micros()).unwrap_or(0));
    if is_due && last.compare_exchange(told, now.as_micros(), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        tracing::error!(
            error = %failure,
            "the image API refuses our key, our balance or our model: generations fail until that is mended"
        );
    }
}

/// On whose account the job runs.
pub(super) fn tenant(core: &Core, generation: &Generation) -> Result<Tenant> {
    let Some(sealed) = &generation.upstream_key else { return Ok(Tenant::Service) };
    let bytes = hex::decode(sealed).map_err(Error::internal)?;
    let opened = core.sealer.open(super::UPSTREAM_KEY, &SealedBox::from_bytes(bytes));
    // The secret was changed since: nobody can speak for this tenant any more.
    opened.map(Tenant::Forwarded).ok_or(Code::Internal.into())
}

async fn upstream_request(core: &Core, generation: &Generation) -> Result<ImageRequest, Failure> {
    let (job, extras) = (&generation.job, &generation.extras);
    let input_image = match &extras.input_blob {
        Some(key) => Some(inline(core, key).await?),
        None => None,
    };
    Ok(ImageRequest {
        prompt: rules::upstream_prompt(&job.prompt, extras.keep_face),
        negative_prompt: extras.negative_prompt.clone(),
        mode: job.mode.as_str(),
        resolution: job.resolution.map(super::Resolution::as_str),
        aspect_ratio: job.aspect_ratio.map(super::AspectRatio::as_str),
        sample_count: job.sample_count,
        input_image_url: extras.input_url.clone(),
        input_image,
        model: extras.model.clone(),
        params: extras.params.clone(),
    })
}

/// An object of ours as a data URL: the image API may not be able to reach our storage.
async fn inline(core: &Core, key: &str) -> Result<String, Failure> {
    let lost = || {
        Failure::new("blobs", FailureKind::Unknown, "the reference picture is not there")
            .with_code("INPUT_LOST")
    };
    let key: BlobKey = key.parse().map_err(|_| lost())?;
    let blob = core.blobs.get(&key, None).await?.ok_or_else(lost)?;
    let kind = blob.info.content_type.as_deref().unwrap_or("image/png");
    Ok(format!("data:{kind};base64,{}", STANDARD.encode(&blob.bytes)))
}
