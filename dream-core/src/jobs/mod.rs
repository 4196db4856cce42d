//! Generations: charged, recorded and queued in one commit, then followed until they end.

mod cancel;
mod changes;
mod follow;
pub mod quota;
mod rehost;
mod report;
mod request;
mod rules;
mod store;
mod submit;

use std::time::Duration;

use secrecy::ExposeSecret as _;

use crate::access::{Scope, Session, VerifiedWebhook};
use crate::blobs::Unnamed;
use crate::dream::Core;
use crate::error::{Code, Error, Result};
use crate::idempotency::Once;
use crate::kernel::{
    GenerationId, IdempotencyKey, JobId, ListScope, Page, PageRequest, SortKey, Timestamp, UserId,
};
use crate::media::{self, Owner};
use crate::ports::{BlobKey, EntropyExt as _, Invalidation, JobError, JobState};
use crate::protocol::token::TokenFault;

pub(crate) use changes::forget;
pub(crate) use follow::poll;
pub use quota::{Quota, Used};
pub(crate) use rehost::rehost;
pub use request::{
    AspectRatio, CharacterRef, GenerateRequest, InlinePicture, Mode, ModelName, ModelParams, NegativePrompt,
    PictureUrl, Prompt, Resolution, SampleCount, Text, UpstreamCredential,
};
pub use rules::Charge;
pub(crate) use store::{Original, all_of, count_open, lock, names, needs, shows, take_over};
pub(crate) use submit::submit;

/// A generation as its owner sees it.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::ports::JobState;
///
/// # let alice = world.alice().await;
/// # let me = alice.session().await;
/// # let id = alice.generates("a lighthouse").await.job_id;
/// # world.settle().await;
/// let job = me.job(&id).await?;
/// assert_eq!((job.state, job.prompt.as_str()), (JobState::Succeeded, "a lighthouse"));
/// assert_eq!(job.result_urls.len(), 1);
/// assert_eq!(job.charge.quota, 1, "one sample of the quota; points would come behind it");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The id that clients use.
    pub job_id: JobId,
    /// Our own record of it.
    pub generation: GenerationId,
    /// Whose it is.
    pub user: UserId,
    /// Where it stands.
    pub state: JobState,
    /// What was asked for, in the user's words.
    pub prompt: String,
    /// How much care is taken.
    pub mode: Mode,
    /// How large, where it was said.
    pub resolution: Option<Resolution>,
    /// Which shape, where it was said.
    pub aspect_ratio: Option<AspectRatio>,
    /// How many pictures.
    pub sample_count: i64,
    /// What it took.
    pub charge: Charge,
    /// What of that came back: all if it ended without pictures, and a share for each that is missing.
    pub refunded: Charge,
    /// The pictures, once it succeeded.
    pub result_urls: Vec<String>,
    /// A small picture, where there is one.
    pub thumbnail_url: Option<String>,
    /// Why it failed.
    pub error: Option<JobError>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

impl Job {
    /// How many pictures came.
    pub fn delivered(&self) -> i64 {
        i64::try_from(self.result_urls.len()).unwrap_or(i64::MAX)
    }
}

/// A generation that was accepted.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.daily_quota(1), async |world| {
/// use dream_core::kernel::Points;
/// # use dream_testkit::world::polished;
///
/// # let alice = world.alice().await;
/// # world.admin().await.grant_points(alice.id(), Points::new(30), "a gift").await?;
/// let accepted = alice.generate(&polished("two cats", 2)).await?;
/// // One sample was free; the other cost ten points.
/// assert_eq!((accepted.charge.quota, accepted.charge.points), (1, Points::new(10)));
/// assert_eq!(alice.points().await, 20);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The id to ask for it by.
    pub job_id: JobId,
    /// Our own record of it.
    pub generation: GenerationId,
    /// What it took.
    pub charge: Charge,
    /// Whether an earlier call with the same idempotency key made it.
    pub replayed: bool,
}

/// What `/v1/jobs/quota` shows.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::vip::Level;
///
/// # let alice = world.alice().await;
/// # let me = alice.session().await;
/// alice.generates("a cat").await;
/// let view = me.quota().await?;
/// assert_eq!((view.level, view.total_generations), (Level::Normal, 1));
/// assert_eq!((view.quota.used.daily, view.quota.remaining()), (1, 4));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaView {
    /// The level in force.
    pub level: crate::vip::Level,
    /// What it allows, and what is used.
    pub quota: Quota,
    /// Generations ever accepted.
    pub total_generations: i64,
}

/// Longest time that a reader may wait for a change.
pub const MAX_WAIT: Duration = Duration::from_secs(25);

impl Session {
    /// Asks for a generation. Quota or points are taken, the record is made and the submission is queued in one
    /// commit; the image API is called after it.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::jobs::{GenerateRequest, Mode, SampleCount};
    ///
    /// # let me = world.alice().await.session().await;
    /// let mut request = GenerateRequest::new("a small house on a green hill".parse().unwrap());
    /// request.mode = Some(Mode::Draft);
    /// request.sample_count = Some(SampleCount::new(2).unwrap());
    ///
    /// let key = "order-of-the-client-4711".parse().unwrap();
    /// let accepted = me.generate(&request, Some(&key), None).await?;
    /// assert_eq!((accepted.charge.quota, accepted.charge.points.get()), (2, 0));
    ///
    /// // The answer was lost on its way? The same key makes no second job and takes nothing more.
    /// let again = me.generate(&request, Some(&key), None).await?;
    /// assert!(again.replayed && again.job_id == accepted.job_id);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `QUOTA_EXCEEDED` with the figures, `VIP_REQUIRED` for 4K, `IDEMPOTENCY_CONFLICT`, `CHARACTER_NOT_FOUND`,
    /// `CHARACTER_HAS_NO_PHOTOS`, `TEMPLATE_NOT_FOUND`, `IMAGE_INVALID`; `UPSTREAM_KEY_REQUIRED` where callers bring a
    /// key of their own for the image API. With each of them nothing was taken.
    pub async fn generate(
        &self,
        request: &GenerateRequest,
        key: Option<&IdempotencyKey>,
        credential: Option<&UpstreamCredential>,
    ) -> Result<Accepted> {
        let core = &self.core;
        let now = core.now();
        let sealed = match forwarded(core, credential, now)? {
            Some(credential) => {
                let sealed = core.sealer.seal(core.entropy.as_ref(), UPSTREAM_KEY, &credential.0);
                Some(hex::encode(sealed.ok_or(Code::Internal)?.as_bytes()))
            }
            None => None,
        };
        let fingerprint = request.fingerprint();
        let job_id = new_job_id(core, now)?;
        let input = match (&request.input_image, &request.character) {
            (Some(picture), None) => Some(keep_input(core, self.user, picture, now).await?),
            _ => None,
        };
        let change = changes::ChargeJob {
            user: self.user,
            request,
            job_id: &job_id,
            once: key.map(|key| Once { user: self.user, scope: "generate", key, fingerprint: &fingerprint }),
            input: input.as_ref(),
            sealed_credential: sealed.as_deref(),
            settings: &core.settings,
            now,
        };
        let charged = core.store.run(&change).await;
        if let (Some(input), false) = (&input, charged.as_ref().is_ok_and(|accepted| !accepted.replayed)) {
            input.abandon(core).await;
        }
        let accepted = charged?;
        if !accepted.replayed {
            core.wake_worker();
        }
        Ok(accepted)
    }

    /// One's generations, newest first, all of them or those in one state.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::kernel::{Limit, PageRequest};
    /// use dream_core::ports::JobState;
    ///
    /// # let alice = world.alice().await;
    /// # let me = alice.session().await;
    /// # for prompt in ["one", "two", "three"] { alice.generates(prompt).await; }
    /// let mut page = me.jobs(None, &PageRequest::first(Limit::new(2).unwrap())).await?;
    /// assert_eq!((page.items.len(), page.total), (2, Some(3)));
    /// let rest = me.jobs(None, &PageRequest::after(Limit::default(), page.next.take().unwrap())).await?;
    /// assert_eq!(rest.items[0].prompt, "one", "the oldest comes last");
    ///
    /// assert!(me.jobs(Some(JobState::Failed), &PageRequest::default()).await?.items.is_empty());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `INVALID_CURSOR`.
    pub async fn jobs(&self, state: Option<JobState>, page: &PageRequest) -> Result<Page<Job>> {
        let core = &self.core;
        let scope =
            ListScope::of("jobs").with("user", self.user).with("status", state.map_or("", JobState::as_str));
        let start = core.cursors.start(&scope, page)?;
        let mut db = core.store.db();
        let rows = store::list(&mut db, self.user, state, start, page).await?;
        let mut page = core.cursors.page(&scope, page.limit, rows, |job| SortKey {
            by: job.created_at.as_micros(),
            id: job.generation.get(),
        });
        if state.is_none() {
            page.total = Some(crate::stats::counters(&mut db, self.user).await?.generations);
        }
        Ok(page)
    }

    /// One of one's generations.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Code;
    ///
    /// # let (alice, bob) = (world.alice().await, world.user("bob").await);
    /// # let (me, somebody_else) = (alice.session().await, bob.session().await);
    /// let job = alice.generates("a cat").await.job_id;
    /// assert_eq!(me.job(&job).await?.prompt, "a cat");
    /// assert_eq!(somebody_else.job(&job).await.unwrap_err().code(), Code::JobNotFound);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `JOB_NOT_FOUND`, also for somebody else's.
    pub async fn job(&self, job: &JobId) -> Result<Job> {
        find(&self.core, self.scope(), job).await
    }

    /// One of one's generations, as soon as its state changes, or as it is after this time (at most 25 s).
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.by_hand(), async |world| {
    /// use dream_core::jobs::MAX_WAIT;
    /// use dream_core::ports::JobState;
    ///
    /// # let alice = world.alice().await;
    /// # let me = alice.session().await;
    /// # let job = alice.generates("a cat").await.job_id;
    /// # world.work().await;
    /// # let upstream = world.image_api().jobs().remove(0).id;
    /// # world.image_api().succeed(&upstream);
    /// # let notice = world.image_api().signed_event(&upstream).ok_or("no event")?;
    /// # let notice = world.dream().image_webhook(Some(notice.signature.as_bytes()), notice.body.as_bytes())?;
    /// // The request waits, and its answer comes with the news that the job has ended.
    /// let (job, applied) = tokio::join!(me.await_job(&job, MAX_WAIT), notice.apply());
    /// applied?;
    /// assert_eq!(job?.state, JobState::Succeeded);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `JOB_NOT_FOUND`, also for somebody else's.
    pub async fn await_job(&self, job: &JobId, wait: Duration) -> Result<Job> {
        let core = &self.core;
        // Listening starts before the first look, so that no change falls between the two.
        let mut news = core.cache.invalidations();
        let first = self.job(job).await?;
        let deadline = core.now().plus(wait.min(MAX_WAIT));
        let topic = job_topic(job);
        let mut latest = first;
        let state = latest.state;
        while latest.state == state && !latest.state.is_final() {
            let left = deadline.since(core.now());
            if left.is_zero() {
                break;
            }
            // Another node may know more than the news that reached us.
            let mut pause = core.clock.sleep(left.min(Duration::from_secs(2)));
            loop {
                tokio::select! {
                    heard = news.recv() => match heard {
                        Ok(Invalidation::Topic(heard)) if heard != topic => {}
                        Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => break,
                        Err(tokio::sync::broadcast::error::RecvError::Closed) => {
                            pause.await;
                            break;
                        }
                    },
                    () = &mut pause => break,
                }
            }
            latest = self.job(job).await?;
        }
        Ok(latest)
    }

    /// Takes a generation back that has not started; what it took comes back.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Code;
    /// use dream_core::ports::JobState;
    ///
    /// # let alice = world.alice().await;
    /// # let me = alice.session().await;
    /// let job = alice.generates("a cat").await.job_id;
    /// assert_eq!(alice.used_today().await, 1);
    ///
    /// assert_eq!(me.cancel_job(&job).await?.state, JobState::Canceled);
    /// assert_eq!(alice.used_today().await, 0, "what it took is back");
    /// assert_eq!(me.cancel_job(&job).await.unwrap_err().code(), Code::InvalidState);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `JOB_NOT_FOUND`; `INVALID_STATE` if it runs or has ended; `UPSTREAM_ERROR` or `UPSTREAM_TIMEOUT` if the
    /// image API cannot be asked just now.
    pub async fn cancel_job(&self, job: &JobId) -> Result<Job> {
        cancel::cancel(&self.core, self.scope(), job).await
    }

    /// What one may generate today.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// # let alice = world.alice().await;
    /// # let me = alice.session().await;
    /// alice.generates("a cat").await;
    /// let view = me.quota().await?;
    /// assert_eq!((view.quota.limit.daily, view.quota.used.daily), (5, 1));
    /// assert_eq!(view.quota.remaining(), 4, "samples; further ones cost points");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `TOKEN_REVOKED` if the account was deleted just now.
    pub async fn quota(&self) -> Result<QuotaView> {
        let (user, stats) = self.stats().await?;
        Ok(QuotaView {
            level: user.membership.level(),
            quota: stats.quota,
            total_generations: stats.total_generations,
        })
    }
}

impl VerifiedWebhook {
    /// Lets the event take effect, once however often it is delivered. An event for a job that is not known
    /// (yet) has none: polling finds its outcome.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.by_hand(), async |world| {
    /// use dream_core::ports::JobState;
    ///
    /// # let alice = world.alice().await;
    /// # let job = alice.generates("a cat").await.job_id;
    /// # world.work().await;
    /// # let upstream = world.image_api().jobs().remove(0).id;
    /// # world.image_api().fail(&upstream, "CONTENT_POLICY_VIOLATION");
    /// # let notice = world.image_api().signed_event(&upstream).ok_or("no event")?;
    /// # let (signature, body) = (notice.signature.as_bytes(), notice.body.as_bytes());
    /// // Delivered twice, it takes effect once: the job has failed, and its sample is given back.
    /// for _ in 0..2 {
    ///     world.dream().image_webhook(Some(signature), body)?.apply().await?;
    /// }
    /// assert_eq!(alice.job(&job).await.state, JobState::Failed);
    /// assert_eq!(alice.used_today().await, 0);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UNAVAILABLE` if it could not be kept: then it must be delivered again.
    pub async fn apply(self) -> Result<()> {
        follow::apply_webhook(&self.core, &self.event).await
    }
}

const UPSTREAM_KEY: &str = "generation.upstream_key";

async fn find(core: &Core, scope: Scope, job: &JobId) -> Result<Job> {
    store::find(&mut core.store.db(), scope, job).await?.ok_or(Code::JobNotFound.into())
}

/// Anybody's job, for whoever tells of it.
pub(crate) async fn read(core: &Core, job: &JobId) -> Result<Option<Job>> {
    store::find(&mut core.store.db(), Scope::All, job).await
}

/// The credential that goes along with a generation, if callers bring theirs. Then there is no other: neither does the
/// operator's key stand in for one that is missing, nor does a token of ours, which opens an account here, leave.
fn forwarded<'a>(
    core: &Core,
    credential: Option<&'a UpstreamCredential>,
    now: Timestamp,
) -> Result<Option<&'a UpstreamCredential>> {
    if !core.settings.forward_upstream_auth {
        return Ok(None);
    }
    let is_ours = |word: &str| matches!(core.tokens.verify(word, now), Ok(_) | Err(TokenFault::Expired));
    match credential {
        Some(credential) if !credential.0.expose_secret().split_whitespace().any(is_ours) => {
            Ok(Some(credential))
        }
        _ => Err(Code::UpstreamKeyRequired.into()),
    }
}

/// Whether a result lies at an address that a client can open. Of a record of long ago anything may be said.
pub(crate) fn lies_at_a_url(result: &str) -> bool {
    matches!(rules::sample(result), Some(rules::Sample::At(_)))
}

fn job_topic(job: &JobId) -> String {
    format!("job:{job}")
}

fn new_job_id(core: &Core, now: Timestamp) -> Result<JobId> {
    let text = core.entropy.uuid_at(now).simple().to_string();
    text.parse().map_err(|_| Error::internal("a fresh id is none"))
}

/// Before the names of pictures that came with a request.
const INPUTS: &str = "inputs/";

/// Whether it is a picture that came with a request, for the image API alone.
pub(crate) fn is_input(key: &BlobKey) -> bool {
    key.as_str().starts_with(INPUTS)
}

/// Reads the picture for what it is and keeps it until the job has ended.
async fn keep_input(core: &Core, user: UserId, picture: &InlinePicture, now: Timestamp) -> Result<Unnamed> {
    let picture = media::clean(Owner::User(user), picture.bytes().clone()).await?;
    let name = format!("{INPUTS}{}.{}", core.entropy.uuid_at(now).simple(), picture.kind.extension());
    let key: BlobKey = name.parse().map_err(|_| Error::internal("a fresh name is none"))?;
    Unnamed::write(core, [(key, picture)]).await
}
