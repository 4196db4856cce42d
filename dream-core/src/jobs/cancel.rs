//! Taking a job back.

use std::sync::Arc;

use super::store::{self, Generation};
use super::submit::{submit_now, tenant};
use super::{Job, changes, find, follow, job_topic, rules};
use crate::access::Scope;
use crate::dream::Core;
use crate::error::{Code, Result};
use crate::kernel::JobId;
use crate::ports::{FailureKind, JobState, UpstreamJob};

pub(super) async fn cancel(core: &Arc<Core>, scope: Scope, id: &JobId) -> Result<Job> {
    let job = find(core, scope, id).await?;
    if !rules::is_cancelable(job.state) {
        return Err(Code::InvalidState.into());
    }
    let withdraw = changes::WithdrawJob { job: id, settings: &core.settings, now: core.now() };
    if !core.store.run(&withdraw).await? {
        cancel_upstream(core, id).await?;
    }
    core.announce(&job_topic(id)).await;
    core.wake_worker();
    let job = find(core, scope, id).await?;
    if job.state == JobState::Canceled { Ok(job) } else { Err(Code::InvalidState.into()) }
}

/// The image API may have the job: it decides. Our record follows what it says.
async fn cancel_upstream(core: &Arc<Core>, id: &JobId) -> Result<()> {
    let Some(generation) = store::whole(&mut core.store.db(), id).await? else {
        return Err(Code::JobNotFound.into());
    };
    if !rules::is_cancelable(generation.job.state) {
        return Err(Code::InvalidState.into());
    }
    let Some(upstream_id) = upstream_id(core, &generation).await? else {
        return Ok(()); // It was refused meanwhile, which has ended it.
    };
    let tenant = tenant(core, &generation)?;
    let news = match core.image_api.cancel(&tenant, &upstream_id).await {
        Ok(()) => canceled(upstream_id),
        Err(failure) if failure.kind == FailureKind::Refused => {
            // It has started, or ended: what it is now is the answer.
            match core.image_api.job(&tenant, &upstream_id).await? {
                Some(job) => job,
                None => return Err(Code::InvalidState.into()),
            }
        }
        Err(failure) => return Err(failure.into()),
    };
    follow::apply(core, id, &news).await.map(|_| ())
}

/// The image API's id of the job. If a submission's outcome is unknown, the same request is made again to learn it.
async fn upstream_id(core: &Arc<Core>, generation: &Generation) -> Result<Option<String>> {
    if let Some(id) = &generation.upstream_id {
        return Ok(Some(id.clone()));
    }
    let upstream = submit_now(core, generation).await??;
    Ok(Some(upstream.id).filter(|id| !id.is_empty()))
}

fn canceled(id: String) -> UpstreamJob {
    UpstreamJob { id, state: JobState::Canceled, result_urls: Vec::new(), error: None }
}
