//! Generations, under the two names that clients know them by.

use std::time::Duration;

use dream_core::kernel::JobId;
use dream_core::{Code, Result, Session, VerifiedWebhook, jobs};

use crate::input::{
    Body, IdempotencyKey, Numbered, OneOf, Paged, Parsed, Path, Query, UpstreamAuthorization, Whole,
};
use crate::problem::Lang;
use crate::reply::Accepted;
use crate::table::{Row, delete, get, post};
use crate::throttle::LimitClass;
use crate::wire::jobs::{
    AcceptedJob, CanceledJob, GENERATE_BODY, Generate, Job, JobFilter, JobList, Quota, Received, Wait,
};
use crate::wire::page::Page;

pub(crate) fn rows() -> Vec<Row> {
    let generate = post("/v1/jobs", generate)
        .doc("Asks for a generation; it is charged and queued, or nothing is taken")
        .limited_as(LimitClass::Generate)
        .fails(&[
            Code::QuotaExceeded,
            Code::VipRequired,
            Code::CharacterNotFound,
            Code::CharacterHasNoPhotos,
            Code::TemplateNotFound,
            Code::ImageInvalid,
            Code::UpstreamKeyRequired,
        ]);
    let cancel = delete("/v1/jobs/{jobId}", cancel)
        .doc("Takes a generation back that has not started; its charge comes back")
        .fails(&[Code::JobNotFound, Code::InvalidState, Code::UpstreamError, Code::UpstreamTimeout]);
    let show = "One generation; `wait` holds the answer until its state changes";
    vec![
        generate.also_at("/v1/proxy/images/generate"),
        generate,
        get("/v1/proxy/jobs", list).doc("One's generations, newest first").fails(&[Code::InvalidCursor]),
        get("/v1/jobs", numbered_list).doc("One's generations, newest first").fails(&[Code::InvalidCursor]),
        get("/v1/jobs/quota", quota).doc("What one may generate today"),
        get("/v1/proxy/jobs/{jobId}", by_job_id).doc(show).fails(&[Code::JobNotFound]).waits(),
        get("/v1/jobs/{jobId}", by_generation_id).doc(show).fails(&[Code::JobNotFound]).waits(),
        cancel.also_at("/v1/proxy/jobs/{jobId}"),
        cancel,
        post("/v1/proxy/webhook", webhook).doc("The image API tells that a job ended").unmetered(),
    ]
}

async fn generate(
    me: Session,
    (IdempotencyKey(key), UpstreamAuthorization(credential), Body(body)): (
        IdempotencyKey,
        UpstreamAuthorization,
        Body<Generate, GENERATE_BODY>,
    ),
) -> Result<Accepted<AcceptedJob>> {
    let accepted = me.generate(&body.try_into()?, key.as_ref(), credential.as_ref()).await?;
    Ok(Accepted(accepted.into()))
}

async fn list(
    me: Session,
    (Paged(page), Query(filter), lang): (Paged, Query<JobFilter>, Lang),
) -> Result<Page<Job>> {
    let state = filter.status.map(|OneOf(state)| state);
    Ok(Page::of(me.jobs(state, &page).await?, |job| Job::by_job_id(job, lang)))
}

async fn numbered_list(
    me: Session,
    (Numbered(page), Query(filter), lang): (Numbered, Query<JobFilter>, Lang),
) -> Result<JobList> {
    let state = filter.status.map(|OneOf(state)| state);
    Ok(JobList::of(me.jobs(state, &page).await?, &page, lang))
}

async fn by_job_id(
    me: Session,
    (Path(id), Query(wait), lang): (Path<JobId>, Query<Wait>, Lang),
) -> Result<Job> {
    find(&me, &id, wait).await.map(|job| Job::by_job_id(job, lang))
}

async fn by_generation_id(
    me: Session,
    (Path(id), Query(wait), lang): (Path<JobId>, Query<Wait>, Lang),
) -> Result<Job> {
    find(&me, &id, wait).await.map(|job| Job::by_generation_id(job, lang))
}

async fn find(me: &Session, id: &JobId, wait: Wait) -> Result<jobs::Job> {
    match wait.wait.map(|Parsed(Whole(secs))| u64::try_from(secs).unwrap_or(0)) {
        Some(secs) if secs > 0 => me.await_job(id, Duration::from_secs(secs)).await,
        _ => me.job(id).await,
    }
}

async fn cancel(me: Session, Path(id): Path<JobId>) -> Result<CanceledJob> {
    Ok(me.cancel_job(&id).await?.into())
}

async fn quota(me: Session, (): ()) -> Result<Quota> {
    Ok(me.quota().await?.into())
}

async fn webhook(notice: VerifiedWebhook, (): ()) -> Result<Received> {
    notice.apply().await?;
    Ok(Received { received: true })
}
