//! The image API: jobs that take their time, and pictures.
//!
//! A job's state is read off a plan by the clock. Markers in the prompt say what becomes of it:
//!
//! | marker | |
//! |---|---|
//! | `[refuse]` | the submission gets 400 `INVALID_REQUEST` |
//! | `[overload]` | the first try gets 503 `SERVICE_OVERLOAD` |
//! | `[fail]`, `[policy]`, `[credits]` | ends FAILED: `TIMEOUT`, `CONTENT_POLICY_VIOLATION`, `INSUFFICIENT_CREDITS` |
//! | `[retry]` | goes through RETRYING |
//! | `[slow]` | takes ten times as long |
//! | `[queued]`, `[stuck]` | stays QUEUED, or RUNNING, for ever |
//! | `[empty]` | ends SUCCEEDED without a picture |
//! | `[part]` | ends SUCCEEDED with one picture, however many were asked for |
//! | `[gone]`, `[notpng]` | the result is a 404, or a web page |
//!
//! The special faults are `cancel_race` of `cancel` (the job starts at that instant) and `no_job_id` of `submit` (the job
//! is made, but the answer does not name it).

mod control;
mod jobs;
mod pictures;
mod routes;
mod webhook;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest;
use dream_core::kernel::Timestamp;
use dream_core::ports::{Clock, Entropy};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use jobs::{Asked, Job, Step};
pub use jobs::{JobError, Pace, Status};
pub use webhook::{Delivery, Event, SignedEvent, WebhookPlan, signature};

use super::server::{FakeServer, Handler, Recorded, RequestLog, Setup, handler};
use super::{lock, outgoing_client};
use crate::entropy::SeededEntropy;
use crate::faults::Faults;

/// Names of the operations, for [`Faults`].
pub mod operation {
    /// `GET /health`
    pub const HEALTH: &str = "health";
    /// `POST /v1/images/generate`
    pub const SUBMIT: &str = "submit";
    /// `GET /v1/jobs`
    pub const LIST: &str = "list";
    /// `GET /v1/jobs/{id}`
    pub const JOB: &str = "job";
    /// `DELETE /v1/jobs/{id}`
    pub const CANCEL: &str = "cancel";
    /// `GET /files/{name}.png`
    pub const FILE: &str = "file";
}

/// How the fake is set up.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.image_api(|options| options.per_minute = 1), async |world| {
/// use dream_testkit::fakes::image_api::ImageApiOptions;
///
/// // As `WorldOptions::image_api` takes it: a provider that takes one request a minute.
/// let stingy = |options: &mut ImageApiOptions| options.per_minute = 1;
/// # let _ = stingy;
/// let alice = world.alice().await;
/// let job = alice.generates("a cat").await.job_id;
/// world.settle().await;
/// assert!(alice.job(&job).await.state.is_final(), "it took longer, and that was all");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct ImageApiOptions {
    /// The address to listen on; a free port of 127.0.0.1 if `None`.
    pub bind: Option<SocketAddr>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and working times are made of this.
    pub entropy: Arc<dyn Entropy>,
    /// The API key of the tenant that has the webhook.
    pub service_key: String,
    /// Whether every other key is a tenant of its own.
    pub accept_any_key: bool,
    /// How long jobs take.
    pub pace: Pace,
    /// Whether jobs stay QUEUED until the test moves them.
    pub by_hand: bool,
    /// Requests of a tenant a minute; beyond: 429. 0 is no limit.
    pub per_minute: u64,
    /// Unfinished jobs of a tenant at once; beyond: 429. 0 is no limit.
    pub at_once: usize,
    /// Whether a 429 says when to come back.
    pub tell_retry_after: bool,
    /// The status of a submission that repeats an idempotency key.
    pub repeat_status: u16,
    /// Signs the webhook.
    pub webhook_secret: String,
    /// Where the webhook goes.
    pub webhook_url: Option<String>,
}

impl ImageApiOptions {
    /// One key, real working times, 60 requests a minute, 5 jobs at once, no webhook.
    ///
    /// ```
    /// use dream_testkit::clock::TestClock;
    /// use dream_testkit::fakes::image_api::ImageApiOptions;
    /// use std::sync::Arc;
    ///
    /// let options = ImageApiOptions::new(Arc::new(TestClock::default()));
    /// // As the real API has it.
    /// assert_eq!((options.per_minute, options.at_once), (60, 5));
    /// ```
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            bind: None,
            clock,
            entropy: Arc::new(SeededEntropy::new(2)),
            service_key: "service-key-of-the-fake".to_owned(),
            accept_any_key: false,
            pace: Pace::default(),
            by_hand: false,
            per_minute: 60,
            at_once: 5,
            tell_retry_after: false,
            repeat_status: 200,
            webhook_secret: "webhook-secret-of-the-fake-0123456789abc".to_owned(),
            webhook_url: None,
        }
    }
}

/// A job as a test sees it.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # let alice = world.alice().await;
/// alice.generates("a cat").await;
/// world.work().await;
/// let job = &world.image_api().jobs()[0];
/// assert_eq!(job.request["prompt"], "a cat");
/// assert!(job.idempotency_key.as_ref().is_some_and(|key| key.starts_with("dream-")));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// The API's id.
    pub id: String,
    /// Whose it is.
    pub tenant_id: String,
    /// The key it was submitted under.
    pub idempotency_key: Option<String>,
    /// Where it stands now.
    pub status: Status,
    /// The pictures.
    pub result_urls: Vec<String>,
    /// Why it failed.
    pub error: Option<JobError>,
    /// The submission's body.
    pub request: Value,
}

/// A submission that was understood, whatever came of it.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_testkit::fakes::image_api::operation;
/// use dream_testkit::faults::Fault;
///
/// world.image_api().faults().next(operation::SUBMIT, Fault::DropAfter);
/// world.alice().await.generates("a cat").await;
/// world.settle().await;
/// let submissions = world.image_api().submissions();
/// assert_eq!(submissions.iter().map(|it| it.repeated).collect::<Vec<_>>(), [false, true]);
/// assert_eq!(submissions[0].job_id, submissions[1].job_id);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Submission {
    /// Who submitted it.
    pub tenant_id: String,
    /// The key it came with.
    pub idempotency_key: Option<String>,
    /// The body.
    pub body: Value,
    /// The job that it made or found; `None` if it was refused.
    pub job_id: Option<String>,
    /// Whether the job was there before.
    pub repeated: bool,
}

/// What changes while the fake runs.
#[derive(Debug, Default)]
struct State {
    jobs: Vec<Job>,
    submissions: Vec<Submission>,
    deliveries: Vec<Delivery>,
    webhook_url: Option<String>,
    plan: WebhookPlan,
    planned: VecDeque<WebhookPlan>,
    overloaded: HashSet<String>,
    calls: HashMap<String, VecDeque<Timestamp>>,
}

impl State {
    fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id == id)
    }
}

#[derive(Debug)]
struct Inner {
    options: ImageApiOptions,
    base_url: String,
    http: reqwest::Client,
    state: Mutex<State>,
    faults: Faults,
    log: Arc<RequestLog>,
    notices: TaskTracker,
    stop: CancellationToken,
}

impl Inner {
    fn now(&self) -> Timestamp {
        self.options.clock.now()
    }

    fn service_tenant(&self) -> String {
        tenant_of(&self.options.service_key)
    }

    fn view(&self, job: &Job) -> JobView {
        let step = job.at(self.now());
        JobView {
            id: job.id.clone(),
            tenant_id: job.tenant.clone(),
            idempotency_key: job.key.clone(),
            status: step.status,
            result_urls: outgoing_urls(self, job, step.status),
            error: step.error,
            request: job.body.clone(),
        }
    }
}

/// The id of the tenant that has this key.
/// Jobs that are saved at most, the newest.
const MOST_SAVED_JOBS: usize = 2000;

/// A job, for another process.
#[derive(Serialize, Deserialize)]
struct SavedJob {
    id: String,
    /// `None` for the service's own, whose key is another one in each process.
    tenant: Option<String>,
    key: Option<String>,
    body: Value,
    /// When it ended, in microseconds, and how; `None` while it has not.
    end: Option<(i64, Status, Option<JobError>)>,
}

fn tenant_of(key: &str) -> String {
    let hash = digest::digest(&digest::SHA256, key.as_bytes());
    format!("cm{}", &hex::encode(hash)[..23])
}

/// The URLs that the job tells: none until it succeeded.
fn outgoing_urls(fake: &Inner, job: &Job, status: Status) -> Vec<String> {
    let is_ready = status == Status::Succeeded && !job.asked.has("[empty]");
    if let Some(results) = job.results.as_ref().filter(|_| is_ready) {
        return results.clone();
    }
    let wanted = if job.asked.has("[part]") { 1 } else { job.asked.samples() };
    let samples = if is_ready { wanted } else { 0 };
    (1..=samples).map(|index| format!("{}/files/{}-{index}.png", fake.base_url, job.id)).collect()
}

/// The image API on a loopback port. It stops when it is dropped.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.by_hand(), async |world| {
/// use dream_core::ports::JobState;
///
/// let alice = world.alice().await;
/// let job = alice.generates("a cat").await.job_id;
/// world.work().await;
/// // Jobs wait until the test says what becomes of them.
/// let there = world.image_api().jobs().remove(0).id;
/// world.image_api().fail(&there, "TIMEOUT");
/// world.settle().await;
/// assert_eq!(alice.job(&job).await.state, JobState::Failed);
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct FakeImageApi {
    inner: Arc<Inner>,
    server: FakeServer,
}

impl FakeImageApi {
    /// Starts it.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dream_testkit::clock::TestClock;
    /// use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// use std::sync::Arc;
    ///
    /// let image_api = FakeImageApi::start(ImageApiOptions::new(Arc::new(TestClock::default()))).await?;
    /// assert_eq!(reqwest::get(format!("{}/health", image_api.base_url())).await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the port cannot be opened.
    pub async fn start(options: ImageApiOptions) -> io::Result<Self> {
        let setup = Setup::new(options.clock.clone()).at(options.bind);
        let log = setup.log.clone();
        let door = FakeServer::bind(setup).await?;
        let inner = Arc::new(Inner {
            base_url: door.base_url(),
            http: outgoing_client()?,
            state: Mutex::new(State { webhook_url: options.webhook_url.clone(), ..State::default() }),
            faults: Faults::default(),
            log,
            notices: TaskTracker::new(),
            stop: CancellationToken::new(),
            options,
        });
        let desk = inner.clone();
        let server = door.serve(move |request| routes::answer(desk.clone(), request));
        Ok(Self { inner, server })
    }

    /// Reads jobs, for another process to go on with.
    pub(crate) fn saver(&self) -> impl Fn() -> Value + Send + Sync + use<> {
        let fake = self.inner.clone();
        move || {
            let (now, service) = (fake.now(), fake.service_tenant());
            let state = lock(&fake.state);
            let begin = state.jobs.len().saturating_sub(MOST_SAVED_JOBS);
            let jobs = state.jobs[begin..].iter().map(|job| {
                let step = job.at(now);
                SavedJob {
                    id: job.id.clone(),
                    tenant: Some(job.tenant.clone()).filter(|tenant| *tenant != service),
                    key: job.key.clone(),
                    body: job.body.clone(),
                    end: step.status.is_final().then_some((step.at.as_micros(), step.status, step.error)),
                }
            });
            serde_json::to_value(jobs.collect::<Vec<_>>()).unwrap_or_default()
        }
    }

    /// Goes on with what another process saved. What had not ended begins anew.
    pub(crate) fn restore(&self, saved: Value) {
        let saved: Vec<SavedJob> = serde_json::from_value(saved).unwrap_or_default();
        let (fake, options) = (&self.inner, &self.inner.options);
        for job in saved {
            let Ok(asked) = Asked::read(&job.body) else { continue };
            let steps = match job.end {
                Some((at, status, error)) => vec![Step { at: Timestamp::from_micros(at), status, error }],
                None => jobs::plan(&asked, fake.now(), &options.pace, &*options.entropy),
            };
            let tenant = job.tenant.unwrap_or_else(|| fake.service_tenant());
            let is_open = !steps.iter().all(|step| step.status.is_final());
            let job = Job::new(job.id, tenant, job.key, asked, job.body, steps);
            lock(&fake.state).jobs.push(job.clone());
            if is_open {
                webhook::watch(fake, &job);
            }
        }
    }

    /// What stands under `/_control/`, for a page that lies elsewhere.
    pub(crate) fn knobs(&self) -> Handler {
        let fake = self.inner.clone();
        handler(move |request| {
            let fake = fake.clone();
            async move { control::answer(&fake, &request).await }
        })
    }

    /// Where it answers, without a slash at the end.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let image_api = FakeImageApi::start(ImageApiOptions::new(clock.clone())).await?;
    /// // Without a key there is nothing to be seen.
    /// let jobs = reqwest::get(format!("{}/v1/jobs", image_api.base_url())).await?;
    /// assert_eq!(jobs.status(), 401);
    /// # Ok(())
    /// # }
    /// ```
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }

    /// The server, to take it down.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let image_api = FakeImageApi::start(ImageApiOptions::new(clock.clone())).await?;
    /// image_api.server().go_down().await?;
    /// assert!(reqwest::get(image_api.base_url()).await.is_err());
    /// image_api.server().come_back().await?;
    /// assert!(reqwest::get(image_api.base_url()).await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn server(&self) -> &FakeServer {
        &self.server
    }

    /// What is to go wrong; [`operation`] has the names.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let image_api = FakeImageApi::start(ImageApiOptions::new(clock.clone())).await?;
    /// use dream_testkit::fakes::image_api::operation;
    /// use dream_testkit::faults::Fault;
    ///
    /// image_api.faults().next(operation::HEALTH, Fault::status(503, "{}"));
    /// assert_eq!(reqwest::get(format!("{}/health", image_api.base_url())).await?.status(), 503);
    /// # Ok(())
    /// # }
    /// ```
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// The API key of the tenant that has the webhook.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let image_api = FakeImageApi::start(ImageApiOptions::new(clock.clone())).await?;
    /// let jobs = reqwest::Client::new().get(format!("{}/v1/jobs", image_api.base_url()));
    /// assert_eq!(jobs.bearer_auth(image_api.service_key()).send().await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn service_key(&self) -> &str {
        &self.inner.options.service_key
    }

    /// The secret of the webhook.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let options = ImageApiOptions { by_hand: true, ..ImageApiOptions::new(clock.clone()) };
    /// # let image_api = FakeImageApi::start(options).await?;
    /// # let submission = reqwest::Client::new()
    /// #     .post(format!("{}/v1/images/generate", image_api.base_url()))
    /// #     .bearer_auth(image_api.service_key())
    /// #     .header("Idempotency-Key", "key-1")
    /// #     .json(&serde_json::json!({ "prompt": "a cat" }));
    /// # submission.send().await?.error_for_status()?;
    /// # let job = image_api.jobs().remove(0).id;
    /// use dream_core::protocol::webhook::WebhookVerifier;
    ///
    /// let verifier = WebhookVerifier::new(&image_api.webhook_secret().into()).unwrap();
    /// let notice = image_api.signed_event(&job).unwrap();
    /// assert!(verifier.open(Some(notice.signature.as_bytes()), notice.body.as_bytes()).is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn webhook_secret(&self) -> &str {
        &self.inner.options.webhook_secret
    }

    /// Where the webhook goes from now on; `None`: nowhere.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let options = ImageApiOptions { by_hand: true, ..ImageApiOptions::new(clock.clone()) };
    /// # let image_api = FakeImageApi::start(options).await?;
    /// # let submission = reqwest::Client::new()
    /// #     .post(format!("{}/v1/images/generate", image_api.base_url()))
    /// #     .bearer_auth(image_api.service_key())
    /// #     .header("Idempotency-Key", "key-1")
    /// #     .json(&serde_json::json!({ "prompt": "a cat" }));
    /// # submission.send().await?.error_for_status()?;
    /// # let job = image_api.jobs().remove(0).id;
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # let taken = |_| async { FakeResponse::empty(http::StatusCode::OK) };
    /// # let receiver = FakeServer::start(Setup::new(clock), taken).await?;
    /// image_api.set_webhook_url(Some(format!("{}/webhook", receiver.base_url())));
    /// image_api.send_webhook(&job).await;
    /// assert_eq!(receiver.log().of("POST", "/webhook").len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_webhook_url(&self, url: Option<String>) {
        lock(&self.inner.state).webhook_url = url;
    }

    /// How the ends of jobs are told from now on.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.webhooks(), async |world| {
    /// use dream_testkit::fakes::image_api::WebhookPlan;
    ///
    /// // A network that loses every notice: whoever asks now and then gets there, too.
    /// world.image_api().plan_webhooks(WebhookPlan::Never);
    /// let alice = world.alice().await;
    /// let job = alice.generates("a cat").await.job_id;
    /// world.settle().await;
    /// assert!(alice.job(&job).await.state.is_final());
    /// assert!(world.image_api().deliveries().is_empty());
    /// # Ok(())
    /// # });
    /// ```
    pub fn plan_webhooks(&self, plan: WebhookPlan) {
        lock(&self.inner.state).plan = plan;
    }

    /// How the next end of a job is told; several queue up.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.by_hand().webhooks(), async |world| {
    /// use dream_testkit::fakes::image_api::WebhookPlan;
    /// use dream_testkit::wait::eventually;
    /// use std::time::Duration;
    ///
    /// # world.alice().await.generates("a cat").await;
    /// # world.work().await;
    /// # let job = world.image_api().jobs().remove(0).id;
    /// world.image_api().plan_next_webhook(WebhookPlan::Twice);
    /// world.image_api().succeed(&job);
    /// let told = || world.image_api().deliveries().len() == 2;
    /// assert!(eventually(Duration::from_secs(10), told).await);
    /// # Ok(())
    /// # });
    /// ```
    pub fn plan_next_webhook(&self, plan: WebhookPlan) {
        lock(&self.inner.state).planned.push_back(plan);
    }

    /// All jobs of all tenants, oldest first.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let options = ImageApiOptions { by_hand: true, ..ImageApiOptions::new(clock.clone()) };
    /// # let image_api = FakeImageApi::start(options).await?;
    /// # let submission = reqwest::Client::new()
    /// #     .post(format!("{}/v1/images/generate", image_api.base_url()))
    /// #     .bearer_auth(image_api.service_key())
    /// #     .header("Idempotency-Key", "key-1")
    /// #     .json(&serde_json::json!({ "prompt": "a cat" }));
    /// # submission.send().await?.error_for_status()?;
    /// # let job = image_api.jobs().remove(0).id;
    /// let jobs = image_api.jobs();
    /// assert_eq!((jobs.len(), &jobs[0].id), (1, &job));
    /// # Ok(())
    /// # }
    /// ```
    pub fn jobs(&self) -> Vec<JobView> {
        lock(&self.inner.state).jobs.iter().map(|job| self.inner.view(job)).collect()
    }

    /// The job of this id.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let options = ImageApiOptions { by_hand: true, ..ImageApiOptions::new(clock.clone()) };
    /// # let image_api = FakeImageApi::start(options).await?;
    /// # let submission = reqwest::Client::new()
    /// #     .post(format!("{}/v1/images/generate", image_api.base_url()))
    /// #     .bearer_auth(image_api.service_key())
    /// #     .header("Idempotency-Key", "key-1")
    /// #     .json(&serde_json::json!({ "prompt": "a cat" }));
    /// # submission.send().await?.error_for_status()?;
    /// # let job = image_api.jobs().remove(0).id;
    /// use dream_testkit::fakes::image_api::Status;
    ///
    /// assert_eq!(image_api.job(&job).unwrap().status, Status::Queued);
    /// assert_eq!(image_api.job("no-such-job"), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn job(&self, id: &str) -> Option<JobView> {
        lock(&self.inner.state).job(id).map(|job| self.inner.view(job))
    }

    /// The jobs that were made under this idempotency key: at most one per tenant.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let options = ImageApiOptions { by_hand: true, ..ImageApiOptions::new(clock.clone()) };
    /// # let image_api = FakeImageApi::start(options).await?;
    /// # let submission = reqwest::Client::new()
    /// #     .post(format!("{}/v1/images/generate", image_api.base_url()))
    /// #     .bearer_auth(image_api.service_key())
    /// #     .header("Idempotency-Key", "key-1")
    /// #     .json(&serde_json::json!({ "prompt": "a cat" }));
    /// # submission.send().await?.error_for_status()?;
    /// # let job = image_api.jobs().remove(0).id;
    /// // However often it was submitted, it was made once.
    /// assert_eq!(image_api.jobs_for_key("key-1").len(), 1);
    /// assert_eq!(image_api.jobs_for_key("key-2").len(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn jobs_for_key(&self, idempotency_key: &str) -> Vec<JobView> {
        self.jobs()
            .into_iter()
            .filter(|job| job.idempotency_key.as_deref() == Some(idempotency_key))
            .collect()
    }

    /// The submissions that were understood, repeated ones too, oldest first.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let options = ImageApiOptions { by_hand: true, ..ImageApiOptions::new(clock.clone()) };
    /// # let image_api = FakeImageApi::start(options).await?;
    /// # let submission = reqwest::Client::new()
    /// #     .post(format!("{}/v1/images/generate", image_api.base_url()))
    /// #     .bearer_auth(image_api.service_key())
    /// #     .header("Idempotency-Key", "key-1")
    /// #     .json(&serde_json::json!({ "prompt": "a cat" }));
    /// # submission.send().await?.error_for_status()?;
    /// # let job = image_api.jobs().remove(0).id;
    /// let submission = &image_api.submissions()[0];
    /// assert_eq!((submission.body["prompt"].as_str(), &submission.job_id), (Some("a cat"), &Some(job)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn submissions(&self) -> Vec<Submission> {
        lock(&self.inner.state).submissions.clone()
    }

    /// Every request, oldest first.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let image_api = FakeImageApi::start(ImageApiOptions::new(clock.clone())).await?;
    /// reqwest::get(format!("{}/health", image_api.base_url())).await?;
    /// assert_eq!(image_api.requests()[0].request.path, "/health");
    /// # Ok(())
    /// # }
    /// ```
    pub fn requests(&self) -> Vec<Recorded> {
        self.inner.log.all()
    }

    /// Every `Authorization` that ever came, once each: what the backend let out.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// world.alice().await.generates("a cat").await;
    /// world.settle().await;
    /// // Nobody's token has left the house.
    /// let sent = world.image_api().authorizations();
    /// let ours = format!("Bearer {}", world.image_api().service_key());
    /// assert_eq!(sent.into_iter().collect::<Vec<_>>(), [ours]);
    /// # Ok(())
    /// # });
    /// ```
    pub fn authorizations(&self) -> HashSet<String> {
        self.requests()
            .iter()
            .filter_map(|recorded| recorded.request.header("authorization").map(str::to_owned))
            .collect()
    }

    /// The events that were sent, oldest first.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let options = ImageApiOptions { by_hand: true, ..ImageApiOptions::new(clock.clone()) };
    /// # let image_api = FakeImageApi::start(options).await?;
    /// # let submission = reqwest::Client::new()
    /// #     .post(format!("{}/v1/images/generate", image_api.base_url()))
    /// #     .bearer_auth(image_api.service_key())
    /// #     .header("Idempotency-Key", "key-1")
    /// #     .json(&serde_json::json!({ "prompt": "a cat" }));
    /// # submission.send().await?.error_for_status()?;
    /// # let job = image_api.jobs().remove(0).id;
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # let busy = |_| async { FakeResponse::empty(http::StatusCode::SERVICE_UNAVAILABLE) };
    /// # let receiver = FakeServer::start(Setup::new(clock), busy).await?;
    /// # image_api.set_webhook_url(Some(receiver.base_url()));
    /// image_api.send_webhook(&job).await;
    /// // What became of it at a backend that was just being restarted.
    /// assert_eq!(image_api.deliveries()[0].status, Some(503));
    /// # Ok(())
    /// # }
    /// ```
    pub fn deliveries(&self) -> Vec<Delivery> {
        lock(&self.inner.state).deliveries.clone()
    }

    /// Moves the job to this state at this instant and drops its plan; whether there is such a job. Not even a final
    /// state is safe from it.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let options = ImageApiOptions { by_hand: true, ..ImageApiOptions::new(clock.clone()) };
    /// # let image_api = FakeImageApi::start(options).await?;
    /// # let submission = reqwest::Client::new()
    /// #     .post(format!("{}/v1/images/generate", image_api.base_url()))
    /// #     .bearer_auth(image_api.service_key())
    /// #     .header("Idempotency-Key", "key-1")
    /// #     .json(&serde_json::json!({ "prompt": "a cat" }));
    /// # submission.send().await?.error_for_status()?;
    /// # let job = image_api.jobs().remove(0).id;
    /// use dream_testkit::fakes::image_api::Status;
    ///
    /// assert!(image_api.set_status(&job, Status::Retrying, None));
    /// assert_eq!(image_api.job(&job).unwrap().status, Status::Retrying);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_status(&self, id: &str, status: Status, error: Option<JobError>) -> bool {
        routes::set_status(&self.inner, id, status, error)
    }

    /// The job starts.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let options = ImageApiOptions { by_hand: true, ..ImageApiOptions::new(clock.clone()) };
    /// # let image_api = FakeImageApi::start(options).await?;
    /// # let submission = reqwest::Client::new()
    /// #     .post(format!("{}/v1/images/generate", image_api.base_url()))
    /// #     .bearer_auth(image_api.service_key())
    /// #     .header("Idempotency-Key", "key-1")
    /// #     .json(&serde_json::json!({ "prompt": "a cat" }));
    /// # submission.send().await?.error_for_status()?;
    /// # let job = image_api.jobs().remove(0).id;
    /// use dream_testkit::fakes::image_api::Status;
    ///
    /// image_api.run(&job);
    /// assert_eq!(image_api.job(&job).unwrap().status, Status::Running);
    /// # Ok(())
    /// # }
    /// ```
    pub fn run(&self, id: &str) -> bool {
        self.set_status(id, Status::Running, None)
    }

    /// The job ends with pictures.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let options = ImageApiOptions { by_hand: true, ..ImageApiOptions::new(clock.clone()) };
    /// # let image_api = FakeImageApi::start(options).await?;
    /// # let submission = reqwest::Client::new()
    /// #     .post(format!("{}/v1/images/generate", image_api.base_url()))
    /// #     .bearer_auth(image_api.service_key())
    /// #     .header("Idempotency-Key", "key-1")
    /// #     .json(&serde_json::json!({ "prompt": "a cat" }));
    /// # submission.send().await?.error_for_status()?;
    /// # let job = image_api.jobs().remove(0).id;
    /// image_api.succeed(&job);
    /// let urls = image_api.job(&job).unwrap().result_urls;
    /// assert_eq!(reqwest::get(&urls[0]).await?.headers()["content-type"], "image/png");
    /// # Ok(())
    /// # }
    /// ```
    pub fn succeed(&self, id: &str) -> bool {
        self.set_status(id, Status::Succeeded, None)
    }

    /// The job ends with these results, whatever they are.
    pub fn deliver(&self, id: &str, results: &[&str]) -> bool {
        let results: Vec<String> = results.iter().map(|&result| result.to_owned()).collect();
        if let Some(job) = lock(&self.inner.state).jobs.iter_mut().find(|job| job.id == id) {
            job.results = Some(results);
        }
        self.succeed(id)
    }

    /// The job ends without.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let options = ImageApiOptions { by_hand: true, ..ImageApiOptions::new(clock.clone()) };
    /// # let image_api = FakeImageApi::start(options).await?;
    /// # let submission = reqwest::Client::new()
    /// #     .post(format!("{}/v1/images/generate", image_api.base_url()))
    /// #     .bearer_auth(image_api.service_key())
    /// #     .header("Idempotency-Key", "key-1")
    /// #     .json(&serde_json::json!({ "prompt": "a cat" }));
    /// # submission.send().await?.error_for_status()?;
    /// # let job = image_api.jobs().remove(0).id;
    /// image_api.fail(&job, "CONTENT_POLICY_VIOLATION");
    /// assert_eq!(image_api.job(&job).unwrap().error.unwrap().code, "CONTENT_POLICY_VIOLATION");
    /// # Ok(())
    /// # }
    /// ```
    pub fn fail(&self, id: &str, code: &str) -> bool {
        self.set_status(id, Status::Failed, Some(JobError::new(code)))
    }

    /// The notice about where the job stands now, for a test that wants to tamper with it. A new event each time.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let options = ImageApiOptions { by_hand: true, ..ImageApiOptions::new(clock.clone()) };
    /// # let image_api = FakeImageApi::start(options).await?;
    /// # let submission = reqwest::Client::new()
    /// #     .post(format!("{}/v1/images/generate", image_api.base_url()))
    /// #     .bearer_auth(image_api.service_key())
    /// #     .header("Idempotency-Key", "key-1")
    /// #     .json(&serde_json::json!({ "prompt": "a cat" }));
    /// # submission.send().await?.error_for_status()?;
    /// # let job = image_api.jobs().remove(0).id;
    /// let (once, again) = (image_api.signed_event(&job).unwrap(), image_api.signed_event(&job).unwrap());
    /// assert_ne!(once.body, again.body, "each has an id of its own");
    /// assert_eq!(image_api.signed_event("no-such-job"), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn signed_event(&self, id: &str) -> Option<SignedEvent> {
        let event = self.event(id)?;
        Some(webhook::signed(&event, self.webhook_secret()))
    }

    /// Sends a notice about where the job stands now, whatever was sent before.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.by_hand().webhooks(), async |world| {
    /// # let alice = world.alice().await;
    /// # let id = alice.generates("a cat").await.job_id;
    /// # world.work().await;
    /// # let job = world.image_api().jobs().remove(0).id;
    /// use dream_core::ports::JobState;
    ///
    /// world.image_api().run(&job);
    /// world.image_api().send_webhook(&job).await;
    /// // Nobody had to ask.
    /// assert_eq!(alice.job(&id).await.state, JobState::Running);
    /// # world.image_api().succeed(&job);
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    pub async fn send_webhook(&self, id: &str) {
        if let Some(event) = self.event(id) {
            webhook::send(&self.inner, event, false).await;
        }
    }

    /// Stops and waits until the port is free. Notices that are still due are dropped.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let image_api = FakeImageApi::start(ImageApiOptions::new(clock.clone())).await?;
    /// let address = image_api.server().addr();
    /// image_api.shutdown().await;
    /// assert!(std::net::TcpListener::bind(address).is_ok(), "the port can be had again");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(self) {
        self.inner.stop.cancel();
        self.inner.notices.close();
        self.inner.notices.wait().await;
        self.server.end().await;
    }

    fn event(&self, id: &str) -> Option<Event> {
        let job = lock(&self.inner.state).job(id)?.clone();
        let step: Step = job.at(self.inner.now());
        Some(webhook::event(&self.inner, &job, &step))
    }
}

impl Drop for FakeImageApi {
    fn drop(&mut self) {
        self.inner.stop.cancel();
    }
}
