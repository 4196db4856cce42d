use std::time::Duration;

use super::quota::{self, Periods, Quota};
use super::report::Report;
use super::request::{GenerateRequest, Mode, SampleCount};
use super::store::{self, Ending, Extras, NewGeneration};
use super::{Accepted, Charge, rules};
use crate::access::Scope;
use crate::blobs::{self, Unnamed};
use crate::characters::{self, Face};
use crate::error::{Code, Error, Result};
use crate::events::{self, EventKind};
use crate::idempotency::{self, Once};
use crate::kernel::{JobId, Timestamp, UserId};
use crate::outbox::{self, TaskKind};
use crate::points::{self, Booking, Cause, EntryKind};
use crate::ports::{Blobs, JobError, JobState};
use crate::protocol::webhook::JobEvent;
use crate::settings::Settings;
use crate::stats::{self, Delta, UserDelta};
use crate::store::{Change, Tx};
use crate::templates::{self, Defaults};
use crate::vip::{self, Level, Membership};

/// Takes quota and points, makes the record and queues the submission.
pub(super) struct ChargeJob<'a> {
    pub(super) user: UserId,
    pub(super) request: &'a GenerateRequest,
    pub(super) job_id: &'a JobId,
    pub(super) once: Option<Once<'a>>,
    pub(super) input: Option<&'a Unnamed>,
    pub(super) sealed_credential: Option<&'a str>,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl Change for ChargeJob<'_> {
    const NAME: &'static str = "jobs.charge";
    type Out = Accepted;

    async fn apply(&self, tx: &mut Tx) -> Result<Accepted> {
        let (user, now) = (self.user, self.now);
        let balance = points::lock_balance(tx, user).await?.ok_or(Code::TokenRevoked)?;
        if let Some(once) = self.once
            && let Some(first) = idempotency::first(tx, once, self.job_id.as_str(), now).await?
        {
            return replay(tx, user, &first).await;
        }
        let membership = vip::membership_of(tx, user, now).await?.ok_or(Code::TokenRevoked)?;
        let defaults = match &self.request.template {
            Some(template) => {
                templates::use_in_generation(tx, template).await?.ok_or(Code::TemplateNotFound)?
            }
            None => Defaults::default(),
        };
        let mode = self.request.mode.or(defaults.mode).unwrap_or(Mode::Final);
        let resolution = self.request.resolution.or(defaults.resolution);
        let samples = self.request.sample_count.or(defaults.sample_count).unwrap_or(SampleCount::ONE).get();
        rules::check_level(resolution, membership.level())?;
        let periods = Periods::at(&self.settings.zone, now);
        let used = quota::used_in(tx, user, &periods).await?;
        let quota = Quota::new(self.settings.quota.of(membership.level()), used);
        let price = rules::sample_price(self.settings.sample_prices, mode, resolution);
        let charge = rules::price(samples, price, quota, balance)?;
        let extras = self.extras(tx).await?;
        let new = NewGeneration {
            job_id: self.job_id,
            user,
            prompt: self.request.prompt.as_str(),
            mode,
            resolution,
            aspect_ratio: self.request.aspect_ratio.or(defaults.aspect_ratio),
            sample_count: samples,
            extras: &extras,
            category: defaults.category.as_deref(),
            upstream_key: self.sealed_credential,
            periods: &periods,
            charge,
        };
        let generation = store::insert(tx, &new, now).await?;
        if charge.quota > 0 {
            quota::take(tx, user, &periods, charge.quota).await?;
        }
        if charge.points.is_positive() {
            let booking = Booking {
                user,
                kind: EntryKind::Spend,
                amount: charge.points,
                cause: Cause::Generation(generation),
                description: "图像生成",
            };
            points::book(tx, &booking, now).await?.ok_or(Code::Internal)?;
        }
        let head_start = rules::head_start(membership.level());
        outbox::enqueue_ahead(tx, TaskKind::JobSubmit, self.job_id.as_str(), now, head_start, now).await?;
        stats::add_to_user(tx, user, &UserDelta { generations: 1, ..UserDelta::default() }).await?;
        let delta = Delta { generations: 1, spent: charge.points.get(), ..Delta::default() };
        stats::add_by(tx, self.settings, user, now, delta).await?;
        Ok(Accepted { job_id: self.job_id.clone(), generation, charge, replayed: false })
    }
}

impl ChargeJob<'_> {
    async fn extras(&self, tx: &mut Tx) -> Result<Extras> {
        let request = self.request;
        let mut extras = Extras {
            negative_prompt: request.negative_prompt.as_ref().map(|text| text.as_str().to_owned()),
            model: request.model.as_ref().map(|text| text.as_str().to_owned()),
            params: request.params.map().clone(),
            ..Extras::default()
        };
        if let Some(character) = &request.character {
            extras.keep_face = true;
            match characters::face(tx, Scope::Own(self.user), character).await? {
                Face::Blob(key) => extras.input_blob = Some(key.to_string()),
                Face::Url(url) => extras.input_url = Some(url),
            }
        } else if let Some(input) = self.input {
            input.name(tx).await?;
            extras.input_blob = input.keys().first().map(ToString::to_string);
            extras.owns_input = true;
        } else {
            extras.input_url = request.input_image_url.as_ref().map(|url| url.as_str().to_owned());
        }
        Ok(extras)
    }
}

async fn replay(tx: &mut Tx, user: UserId, first: &str) -> Result<Accepted> {
    let job_id: JobId = first.parse().map_err(|_| Error::internal("an idempotency key names no job"))?;
    let job = store::find(tx, Scope::Own(user), &job_id).await?.ok_or(Code::JobNotFound)?;
    Ok(Accepted { job_id, generation: job.generation, charge: job.charge, replayed: true })
}

/// Whether a job may be submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// It may.
    Yes,
    /// Its user has as many at the image API as its level allows.
    Full,
    /// It was taken back, or was submitted before.
    No,
}

/// When the job that is next for a place looks by itself. The end of a job makes it due at once; this finds what ends
/// without one, such as a higher level or a limit that was raised.
const NEXT_LOOKS_AFTER: Duration = Duration::from_mins(1);
/// When a job behind it does. It is due as soon as the one before it has its place.
const LATER_LOOKS_AFTER: Duration = Duration::from_mins(10);

/// Says that the first try to submit begins, if the user may have one more at the image API. A job that has to wait is
/// put off in the same transaction, under the lock of the account, which the end of a job takes too: either this sees
/// the place, or the end finds the task that waits for it.
pub(super) struct BeginSubmission<'a> {
    pub(super) job: &'a JobId,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl Change for BeginSubmission<'_> {
    const NAME: &'static str = "jobs.begin_submission";
    type Out = Begun;

    async fn apply(&self, tx: &mut Tx) -> Result<Begun> {
        let Some(found) = store::unanswered(tx, self.job).await? else {
            return Ok(Begun::No);
        };
        let user = found.user;
        points::lock_balance(tx, user).await?;
        if found.begun {
            // It has its place, also where the limit has fallen since.
            return self.begin(tx).await;
        }
        let level = vip::membership_of(tx, user, self.now).await?.map_or(Level::Normal, Membership::level);
        let Some(limit) = self.settings.at_once.of(level) else {
            return self.begin(tx).await;
        };
        let ahead = store::ahead_of(tx, user, self.job, limit).await?;
        if ahead.submitted + ahead.waiting >= limit {
            let pause = if ahead.waiting == 0 { NEXT_LOOKS_AFTER } else { LATER_LOOKS_AFTER };
            outbox::park(tx, TaskKind::JobSubmit, self.job.as_str(), self.now.plus(pause)).await?;
            return Ok(Begun::Full);
        }
        let begun = self.begin(tx).await?;
        // It may have a place too, or is the one that looks every minute from now on.
        wake_next(tx, user, self.now).await?;
        Ok(begun)
    }
}

impl BeginSubmission<'_> {
    async fn begin(&self, tx: &mut Tx) -> Result<Begun> {
        let begun = store::begin_submission(tx, self.job, self.now).await?;
        Ok(if begun { Begun::Yes } else { Begun::No })
    }
}

/// Makes the submission of the user's oldest waiting job due, if there is one. The caller holds the lock of the account.
async fn wake_next(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    if let Some(next) = store::next_unsubmitted(tx, user).await? {
        outbox::hasten(tx, TaskKind::JobSubmit, next.as_str(), now).await?;
    }
    Ok(())
}

/// Keeps what the image API answered to a submission, and starts to follow the job.
pub(super) struct RecordSubmission<'a> {
    pub(super) job: &'a JobId,
    /// The image API's id of it.
    pub(super) upstream_id: &'a str,
    pub(super) report: &'a Report,
    pub(super) first_look: Timestamp,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl Change for RecordSubmission<'_> {
    const NAME: &'static str = "jobs.record_submission";
    /// Whether the report changed anything.
    type Out = bool;

    async fn apply(&self, tx: &mut Tx) -> Result<bool> {
        if store::keep_upstream_id(tx, self.job, self.upstream_id, self.now).await? {
            outbox::enqueue(tx, TaskKind::JobPoll, self.job.as_str(), self.first_look, self.now).await?;
        }
        Tell { job: self.job, report: self.report, settings: self.settings, now: self.now }.apply(tx).await
    }
}

/// Lets news of a job take effect: it moves on, or it ends. Late news change nothing.
pub(super) struct Tell<'a> {
    pub(super) job: &'a JobId,
    pub(super) report: &'a Report,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl Change for Tell<'_> {
    const NAME: &'static str = "jobs.tell";
    /// Whether anything changed.
    type Out = bool;

    async fn apply(&self, tx: &mut Tx) -> Result<bool> {
        let Report { state, pictures, thumbnail, error, .. } = self.report;
        let state = *state;
        if state.is_final() {
            let ending = Ending {
                state,
                result_urls: pictures,
                thumbnail_url: thumbnail.as_deref(),
                error: error.as_ref(),
            };
            let ended = end(tx, self.job, &ending, self.settings, self.now).await?;
            if ended {
                self.report.name(tx).await?;
            }
            return Ok(ended);
        }
        let Some(job) = store::find(tx, Scope::All, self.job).await? else { return Ok(false) };
        if rules::may_follow(job.state, state) {
            store::move_to(tx, self.job, job.state, state, self.now).await
        } else {
            Ok(false)
        }
    }
}

/// Ends a job for a reason of ours.
pub(super) struct EndJob<'a> {
    pub(super) job: &'a JobId,
    pub(super) state: JobState,
    pub(super) error: Option<JobError>,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl Change for EndJob<'_> {
    const NAME: &'static str = "jobs.end";
    /// Whether it had not ended before.
    type Out = bool;

    async fn apply(&self, tx: &mut Tx) -> Result<bool> {
        let ending = Ending::without(self.state, self.error.as_ref());
        end(tx, self.job, &ending, self.settings, self.now).await
    }
}

/// Takes a job back that was never submitted; whether that was still possible.
pub(super) struct WithdrawJob<'a> {
    pub(super) job: &'a JobId,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl Change for WithdrawJob<'_> {
    const NAME: &'static str = "jobs.withdraw";
    type Out = bool;

    async fn apply(&self, tx: &mut Tx) -> Result<bool> {
        let Some(found) = store::whole(tx, self.job).await? else { return Ok(false) };
        points::lock_balance(tx, found.job.user).await?;
        // Looked at again under the lock of the row: the worker says by an update that it begins.
        let untouched = store::lock_unsubmitted(tx, self.job).await?;
        if !untouched {
            return Ok(false);
        }
        let ending = Ending::without(JobState::Canceled, None);
        end(tx, self.job, &ending, self.settings, self.now).await
    }
}

/// Ends the job once, and with it the charge: captured as far as samples were delivered, and given back for the rest.
async fn end(
    tx: &mut Tx,
    job: &JobId,
    ending: &Ending<'_>,
    settings: &Settings,
    now: Timestamp,
) -> Result<bool> {
    let Some(found) = store::whole(tx, job).await? else { return Ok(false) };
    let user = found.job.user;
    points::lock_balance(tx, user).await?;
    let succeeded = ending.state == JobState::Succeeded;
    let delivered = if succeeded { ending.result_urls.len() } else { 0 };
    let delivered = i64::try_from(delivered).unwrap_or(i64::MAX);
    let refund = rules::refund(found.job.charge, found.job.sample_count, delivered);
    let partly = if succeeded { refund } else { Charge::NOTHING };
    if !store::end(tx, job, ending, partly, now).await? {
        return Ok(false);
    }
    give_back(tx, &found, refund, now).await?;
    outbox::cancel(tx, TaskKind::JobSubmit, job.as_str()).await?;
    outbox::cancel(tx, TaskKind::JobPoll, job.as_str()).await?;
    // Its place may be what the user's next one waits for.
    wake_next(tx, user, now).await?;
    if let (true, Some(input)) = (found.extras.owns_input, &found.extras.input_blob)
        && let Ok(key) = input.parse()
    {
        blobs::remove_later(tx, &key, now).await?;
    }
    if succeeded && settings.rehost_results {
        outbox::enqueue(tx, TaskKind::JobRehost, job.as_str(), now, now).await?;
    }
    events::keep(tx, settings, EventKind::JobFinished, job.as_str(), now, now).await?;
    count(tx, &found, ending, settings, now).await?;
    Ok(true)
}

async fn give_back(tx: &mut Tx, found: &store::Generation, refund: Charge, now: Timestamp) -> Result<()> {
    let job = &found.job;
    if refund.quota > 0 {
        quota::give_back(tx, job.user, &found.periods, refund.quota).await?;
    }
    if refund.points.is_positive() {
        let booking = Booking {
            user: job.user,
            kind: EntryKind::Refund,
            amount: refund.points,
            cause: Cause::GenerationReturn(job.generation),
            description: "图像生成退还",
        };
        points::book(tx, &booking, now).await?.ok_or(Code::Internal)?;
    }
    Ok(())
}

async fn count(
    tx: &mut Tx,
    found: &store::Generation,
    ending: &Ending<'_>,
    settings: &Settings,
    now: Timestamp,
) -> Result<()> {
    let images = i64::try_from(ending.result_urls.len()).unwrap_or(0);
    let (succeeded, failed) = match ending.state {
        JobState::Succeeded => (1, 0),
        JobState::Failed => (0, 1),
        _ => (0, 0),
    };
    let user = found.job.user;
    stats::add_to_user(tx, user, &UserDelta { succeeded, failed, images, ..UserDelta::default() }).await?;
    if images > 0 {
        stats::add_images(tx, user, &settings.zone, now, found.category.as_deref(), images).await?;
    }
    let delta = Delta { succeeded, failed, images, ..Delta::default() };
    stats::add(tx, settings, now, delta).await
}

/// Lets a completion notice take effect, once.
pub(super) struct ApplyEvent<'a> {
    pub(super) event: &'a JobEvent,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl Change for ApplyEvent<'_> {
    const NAME: &'static str = "jobs.apply_event";
    /// The job that changed, if one did.
    type Out = Option<JobId>;

    async fn apply(&self, tx: &mut Tx) -> Result<Option<JobId>> {
        let upstream = &self.event.job;
        if !store::note_event(tx, &self.event.event_id, &upstream.id, self.now).await? {
            return Ok(None);
        }
        let Some(job) = store::job_of_upstream(tx, &upstream.id).await? else { return Ok(None) };
        let Some(report) = Report::read(upstream) else {
            // Pictures come along that have to be stored. Nobody waits for that here: the job is looked at, at once.
            outbox::hasten(tx, TaskKind::JobPoll, job.as_str(), self.now).await?;
            return Ok(Some(job));
        };
        let told = Tell { job: &job, report: &report, settings: self.settings, now: self.now };
        Ok(told.apply(tx).await?.then_some(job))
    }
}

/// Ends a deleted user's open jobs, erases what it wrote, and has its pictures removed.
pub(crate) async fn forget(
    tx: &mut Tx,
    user: UserId,
    objects: &dyn Blobs,
    settings: &Settings,
    now: Timestamp,
) -> Result<()> {
    for job in store::open_jobs(tx, user).await? {
        let ending = Ending::without(JobState::Canceled, None);
        end(tx, &job, &ending, settings, now).await?;
    }
    for (job, urls) in store::pictures(tx, user).await? {
        outbox::cancel(tx, TaskKind::JobRehost, job.as_str()).await?;
        for url in urls {
            if let Some(key) = objects.key_of(&url) {
                blobs::remove_later(tx, &key, now).await?;
            }
        }
    }
    store::erase(tx, user).await
}
