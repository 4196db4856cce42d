//! Generations.
//!
//! ```
//! # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
//! # world.dream().plant_seeds().await?;
//! # let settings = dream_http::Settings { listen: ([127, 0, 0, 1], 0).into(), ..Default::default() };
//! # let server = dream_http::Server::bind(dream_http::App::builder(world.dream().clone(), settings).build()?)?;
//! # let base = format!("http://{}", server.local_addr()?);
//! # let serving = tokio::spawn(server.serve(std::future::pending()));
//! # let alice = world.alice().await;
//! # let (http, token) = (reqwest::Client::new(), alice.tokens().access);
//! # let get = async |path: &str| -> Result<serde_json::Value, reqwest::Error> {
//! #     http.get(format!("{base}{path}")).bearer_auth(&token).send().await?.json().await
//! # };
//! # let post = async |path: &str, body: serde_json::Value| -> Result<serde_json::Value, reqwest::Error> {
//! #     http.post(format!("{base}{path}")).bearer_auth(&token).json(&body).send().await?.json().await
//! # };
//! use serde_json::json;
//!
//! let accepted = post("/v1/jobs", json!({ "prompt": "a lighthouse", "mode": "draft" })).await?;
//! assert_eq!(accepted["status"], "QUEUED");
//! let job = get(&format!("/v1/jobs/{}", accepted["jobId"].as_str().unwrap())).await?;
//! assert_eq!((&job["prompt"], &job["resultUrls"]), (&"a lighthouse".into(), &json!([])));
//! # serving.abort();
//! # Ok(())
//! # });
//! ```

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use dream_core::jobs::{
    self, AspectRatio, CharacterRef, Charge, GenerateRequest, InlinePicture, Mode, ModelName, ModelParams,
    NegativePrompt, PictureUrl, Prompt, QuotaView, Resolution, SampleCount,
};
use dream_core::kernel::{self, PageRequest, TemplateId};
use dream_core::ports::{JobError, JobState};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::page;
use super::time::At;
use crate::input::{AnyObject, Blank, Faults, OneOf, Parsed, Shape, TextOrNumber, Whole};
use crate::openapi::Schemas;
use crate::problem::{Lang, job_failure};

/// The largest body of a request for a generation: an inline picture of 10 MiB in base64, and some text.
pub const GENERATE_BODY: u64 = 14 * 1024 * 1024;

crate::input! {
    /// What somebody wants generated.
    ///
    /// ```
    /// use dream_core::jobs::{GenerateRequest, Mode, Resolution};
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::jobs::Generate;
    ///
    /// let body = serde_json::json!({ "prompt": "a lighthouse", "mode": "draft", "characterId": 7 });
    /// let request = GenerateRequest::try_from(read_value::<Generate>(body)?)?;
    /// assert_eq!(
    ///     (request.mode, request.resolution),
    ///     (Some(Mode::Draft), None),
    ///     "the rest is up to the defaults"
    /// );
    /// let refused =
    ///     read_value::<Generate>(serde_json::json!({ "prompt": "a cat", "resolution": "3K" })).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::OneOf(Resolution::NAMES).at("resolution")]));
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct Generate {
        /// What is to be seen.
        pub prompt: Parsed<Prompt>,
        /// What is not to be seen.
        pub negative_prompt: Blank<NegativePrompt>,
        /// How much care is taken; `final` unless given.
        pub mode: Option<OneOf<Mode>>,
        /// How large. 4K needs an active VIP level.
        pub resolution: Option<OneOf<Resolution>>,
        /// Which shape.
        pub aspect_ratio: Option<OneOf<AspectRatio>>,
        /// How many pictures; one unless given.
        pub sample_count: Option<Whole<1, { SampleCount::MAX }>>,
        /// A reference picture that the image API fetches.
        pub input_image_url: Option<Parsed<PictureUrl>>,
        /// A reference picture as a data URL. It wins over the address.
        pub input_image: Option<Parsed<InlinePicture>>,
        /// A character of one's own whose face is to be kept, by number or UUID. It wins over both.
        pub character_id: Option<TextOrNumber<CharacterRef>>,
        /// A template that it is made from.
        pub template_id: Option<Parsed<TemplateId>>,
        /// A model.
        pub model: Option<Parsed<ModelName>>,
        /// Options for the model. They never replace a field of this request.
        pub params: Option<Params>,
    }
}

/// Options for the model.
///
/// ```
/// use dream_core::{Facts, Fault};
/// use dream_http::input::read_value;
/// use dream_http::wire::jobs::Params;
///
/// assert!(read_value::<Params>(serde_json::json!({ "seed": 42 })).is_ok());
/// let refused = read_value::<Params>(serde_json::json!(["seed", 42])).unwrap_err();
/// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::Type("object").at("body")]));
/// ```
#[derive(Debug)]
pub struct Params(ModelParams);

impl Deserr<Faults> for Params {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        place: ValuePointerRef<'_>,
    ) -> Result<Self, Faults> {
        let AnyObject(map) = AnyObject::deserialize_from_value(value, place)?;
        ModelParams::new(map).map(Self).map_err(|fault| Faults::one(place, fault))
    }
}

impl Shape for Params {
    const VALUES: usize = AnyObject::VALUES;

    fn shape(schemas: &mut Schemas) -> RefOr<Schema> {
        AnyObject::shape(schemas)
    }
}

impl TryFrom<Generate> for GenerateRequest {
    type Error = dream_core::Error;

    fn try_from(body: Generate) -> dream_core::Result<Self> {
        let samples = body.sample_count.map(|Whole(count)| SampleCount::new(count)).transpose();
        Ok(Self {
            prompt: body.prompt.0,
            negative_prompt: body.negative_prompt.0,
            mode: body.mode.map(|OneOf(mode)| mode),
            resolution: body.resolution.map(|OneOf(resolution)| resolution),
            aspect_ratio: body.aspect_ratio.map(|OneOf(ratio)| ratio),
            sample_count: samples.map_err(|fault| Self::Error::invalid_field("sampleCount", fault))?,
            input_image_url: body.input_image_url.map(|Parsed(url)| url),
            input_image: body.input_image.map(|Parsed(picture)| picture),
            character: body.character_id.map(|TextOrNumber(character)| character),
            template: body.template_id.map(|Parsed(template)| template),
            model: body.model.map(|Parsed(model)| model),
            params: body.params.map(|Params(params)| params).unwrap_or_default(),
        })
    }
}

/// A generation that was accepted.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::wire::jobs::AcceptedJob;
///
/// let accepted = world.alice().await.generates("a cat").await;
/// let json = serde_json::to_value(AcceptedJob::from(accepted))?;
/// assert_eq!(json["status"], "QUEUED");
/// assert_eq!(json["charge"], serde_json::json!({ "quota": 1, "points": 0 }));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedJob {
    job_id: String,
    /// Always `QUEUED`.
    #[schema(value_type = String, example = "QUEUED")]
    status: &'static str,
    generation_id: i64,
    charge: ChargeFigures,
}

/// What a generation took.
///
/// ```
/// use dream_core::jobs::Charge;
/// use dream_core::kernel::Points;
/// use dream_http::wire::jobs::ChargeFigures;
///
/// // Three samples: the last one of the quota, and two for points.
/// let charge = Charge { quota: 1, points: Points::new(20) };
/// let json = serde_json::to_value(ChargeFigures::from(charge)).unwrap();
/// assert_eq!(json, serde_json::json!({ "quota": 1, "points": 20 }));
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct ChargeFigures {
    /// Samples of the quota.
    quota: i64,
    /// Points.
    points: i64,
}

impl From<Charge> for ChargeFigures {
    fn from(charge: Charge) -> Self {
        Self { quota: charge.quota, points: charge.points.get() }
    }
}

impl From<jobs::Accepted> for AcceptedJob {
    fn from(job: jobs::Accepted) -> Self {
        Self {
            job_id: job.job_id.to_string(),
            status: JobState::Queued.as_str(),
            generation_id: job.generation.get(),
            charge: job.charge.into(),
        }
    }
}

/// A generation as its owner sees it.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::problem::Lang;
/// use dream_http::wire::jobs::Job;
///
/// # let alice = world.alice().await;
/// let job = alice.generates("a cat").await.job_id;
/// world.settle().await;
/// let json = serde_json::to_value(Job::by_job_id(alice.job(&job).await, Lang::Zh))?;
/// assert_eq!((&json["status"], &json["mode"]), (&"SUCCEEDED".into(), &"final".into()));
/// assert_eq!(json["imageUrl"], json["resultUrls"][0], "for clients that know of one picture only");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    id: ItemId,
    job_id: String,
    generation_id: i64,
    /// `QUEUED`, `RUNNING`, `RETRYING`, `SUCCEEDED`, `FAILED` or `CANCELED`.
    #[schema(value_type = String, example = "SUCCEEDED")]
    status: &'static str,
    prompt: String,
    #[schema(value_type = String, example = "final")]
    mode: &'static str,
    #[schema(value_type = Option<String>, example = "2K")]
    resolution: Option<&'static str>,
    #[schema(value_type = Option<String>, example = "16:9")]
    aspect_ratio: Option<&'static str>,
    sample_count: i64,
    /// How many pictures were asked for.
    expected_samples: i64,
    /// How many came.
    delivered_samples: i64,
    /// What came back of the charge: all of it, or the share of the pictures that did not come.
    refunded: ChargeFigures,
    result_urls: Vec<String>,
    thumbnail_url: Option<String>,
    error: Option<JobFailure>,
    #[schema(inline)]
    created_at: At,
    #[schema(inline)]
    updated_at: At,
    #[schema(inline)]
    completed_at: Option<At>,
    /// The first of `resultUrls`, for old clients.
    image_url: Option<String>,
    /// The code of `error`, for old clients.
    error_code: Option<String>,
    /// The message of `error`, for old clients.
    error_message: Option<String>,
}

/// The id of a job, or the number of our own record of it, for old clients.
///
/// ```
/// use dream_http::wire::jobs::ItemId;
///
/// assert_eq!(serde_json::to_value(ItemId::Job("01931f3e7b0c7a43".to_owned())).unwrap(), "01931f3e7b0c7a43");
/// assert_eq!(serde_json::to_value(ItemId::Generation(4711)).unwrap(), 4711);
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ItemId {
    /// The same as `jobId`.
    Job(String),
    /// The same as `generationId`.
    Generation(i64),
}

/// Why a job failed.
///
/// ```
/// use dream_core::ports::JobError;
/// use dream_http::wire::jobs::JobFailure;
///
/// use dream_http::problem::Lang;
///
/// let error = JobError { code: "INVALID_REQUEST".to_owned(), message: "the ratio is unknown".to_owned() };
/// let json = serde_json::to_value(JobFailure::of(error, Lang::Zh)).unwrap();
/// assert_eq!(json, serde_json::json!({ "code": "INVALID_REQUEST", "message": "the ratio is unknown" }));
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct JobFailure {
    /// `CONTENT_REJECTED`, `UPSTREAM_UNAVAILABLE`, `UPSTREAM_TIMEOUT`, `INVALID_REQUEST` or `RESULT_INVALID`.
    code: String,
    message: String,
}

impl JobFailure {
    /// The failure, with a sentence in this language where the job has none of its own.
    pub fn of(error: JobError, lang: Lang) -> Self {
        let sentence = || job_failure(&error.code, lang).to_owned();
        let message = if error.message.is_empty() { sentence() } else { error.message };
        Self { code: error.code, message }
    }
}

impl Job {
    /// As `/v1/proxy/jobs` shows it: known by its job id.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::problem::Lang;
    /// use dream_http::wire::jobs::Job;
    ///
    /// # let alice = world.alice().await;
    /// let accepted = alice.generates("a cat").await;
    /// let json = serde_json::to_value(Job::by_job_id(alice.job(&accepted.job_id).await, Lang::Zh))?;
    /// assert_eq!(json["id"], accepted.job_id.as_str());
    /// # Ok(())
    /// # });
    /// ```
    pub fn by_job_id(job: jobs::Job, lang: Lang) -> Self {
        let id = ItemId::Job(job.job_id.to_string());
        Self::known_as(id, job, lang)
    }

    /// As `/v1/jobs` shows it: known by the number of our record.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::problem::Lang;
    /// use dream_http::wire::jobs::Job;
    ///
    /// # let alice = world.alice().await;
    /// let accepted = alice.generates("a cat").await;
    /// let json = serde_json::to_value(Job::by_generation_id(alice.job(&accepted.job_id).await, Lang::Zh))?;
    /// assert_eq!(json["id"], accepted.generation.get());
    /// # Ok(())
    /// # });
    /// ```
    pub fn by_generation_id(job: jobs::Job, lang: Lang) -> Self {
        let id = ItemId::Generation(job.generation.get());
        Self::known_as(id, job, lang)
    }

    fn known_as(id: ItemId, job: jobs::Job, lang: Lang) -> Self {
        let delivered = job.delivered();
        let error = job.error.map(|error| JobFailure::of(error, lang));
        Self {
            id,
            job_id: job.job_id.to_string(),
            generation_id: job.generation.get(),
            status: job.state.as_str(),
            prompt: job.prompt,
            mode: job.mode.as_str(),
            resolution: job.resolution.map(Resolution::as_str),
            aspect_ratio: job.aspect_ratio.map(AspectRatio::as_str),
            sample_count: job.sample_count,
            expected_samples: job.sample_count,
            delivered_samples: delivered,
            refunded: job.refunded.into(),
            image_url: job.result_urls.first().cloned(),
            result_urls: job.result_urls,
            thumbnail_url: job.thumbnail_url,
            error_code: error.as_ref().map(|error| error.code.clone()),
            error_message: error.as_ref().map(|error| error.message.clone()),
            error,
            created_at: job.created_at.into(),
            updated_at: job.updated_at.into(),
            completed_at: job.completed_at.map(At),
        }
    }
}

/// One's generations as the original's second listing has them.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::kernel::PageRequest;
/// use dream_http::wire::jobs::JobList;
///
/// # let alice = world.alice().await;
/// # alice.generates("a cat").await;
/// let asked = PageRequest::default();
/// let list = alice.session().await.jobs(None, &asked).await?;
/// let json = serde_json::to_value(JobList::of(list, &asked, dream_http::problem::Lang::Zh))?;
/// assert_eq!((&json["jobs"][0]["prompt"], &json["total"]), (&"a cat".into(), &1.into()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobList {
    jobs: Vec<Job>,
    total: i64,
    /// Absent when walked by cursor.
    page: Option<i64>,
    limit: i64,
    has_more: bool,
    next_cursor: Option<String>,
}

impl JobList {
    /// The page that was asked for.
    ///
    /// ```
    /// use dream_core::kernel::{Limit, Page, PageRequest};
    /// use dream_http::wire::jobs::JobList;
    ///
    /// let asked = PageRequest::numbered(Limit::new(10).unwrap(), 3)?;
    /// let beyond = Page { items: vec![], next: None, total: Some(21) };
    /// let json = serde_json::to_value(JobList::of(beyond, &asked, dream_http::problem::Lang::Zh)).unwrap();
    /// assert_eq!((&json["page"], &json["limit"], &json["hasMore"]), (&3.into(), &10.into(), &false.into()));
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub fn of(list: kernel::Page<jobs::Job>, asked: &PageRequest, lang: Lang) -> Self {
        let next_cursor = list.next.as_ref().map(ToString::to_string);
        Self {
            jobs: list.items.into_iter().map(|job| Job::by_generation_id(job, lang)).collect(),
            total: list.total.unwrap_or(0),
            page: page::number(asked),
            limit: asked.limit.get(),
            has_more: next_cursor.is_some(),
            next_cursor,
        }
    }
}

crate::input! {
    /// Which generations are wanted.
    ///
    /// ```
    /// use dream_core::ports::JobState;
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::jobs::JobFilter;
    ///
    /// // `?status=FAILED`
    /// assert!(read_value::<JobFilter>(serde_json::json!({ "status": "FAILED" })).is_ok());
    /// let refused = read_value::<JobFilter>(serde_json::json!({ "status": "failed" })).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::OneOf(JobState::NAMES).at("status")]));
    /// ```
    pub struct JobFilter {
        /// Those in this state.
        pub status: Option<OneOf<JobState>>,
    }
}

crate::input! {
    /// Whether to wait for a change.
    ///
    /// ```
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::jobs::Wait;
    ///
    /// // `?wait=25`: the answer comes with the change, or when the time is up.
    /// assert!(read_value::<Wait>(serde_json::json!({ "wait": "25" })).is_ok());
    /// let refused = read_value::<Wait>(serde_json::json!({ "wait": "60" })).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::Range { min: 0, max: 25 }.at("wait")]));
    /// ```
    pub struct Wait {
        /// Seconds that the answer may be held until the state changes.
        pub wait: Option<Parsed<Whole<0, 25>>>,
    }
}

/// A generation that was taken back.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::wire::jobs::CanceledJob;
///
/// # let alice = world.alice().await;
/// # let me = alice.session().await;
/// let job = alice.generates("a cat").await.job_id;
/// let json = serde_json::to_value(CanceledJob::from(me.cancel_job(&job).await?))?;
/// assert_eq!(json, serde_json::json!({ "jobId": job.as_str(), "status": "CANCELED" }));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanceledJob {
    job_id: String,
    /// Always `CANCELED`.
    #[schema(value_type = String, example = "CANCELED")]
    status: &'static str,
}

impl From<jobs::Job> for CanceledJob {
    fn from(job: jobs::Job) -> Self {
        Self { job_id: job.job_id.to_string(), status: job.state.as_str() }
    }
}

/// What one may generate today.
///
/// ```
/// use dream_core::QuotaLimit;
/// use dream_core::jobs::{self, QuotaView, Used};
/// use dream_core::vip::Level;
/// use dream_http::wire::jobs::Quota;
///
/// let limit = QuotaLimit { daily: 5, monthly: 100 };
/// let quota = jobs::Quota::new(limit, Used { daily: 2, monthly: 99 });
/// let view = QuotaView { level: Level::Normal, quota, total_generations: 240 };
/// let json = serde_json::to_value(Quota::from(view)).unwrap();
/// assert_eq!(
///     (&json["todayUsed"], &json["todayRemaining"]),
///     (&2.into(), &1.into()),
///     "the month is over soon"
/// );
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// `NORMAL`, `VIP` or `SVIP`: the level in force.
    #[schema(value_type = String, example = "NORMAL")]
    vip_level: &'static str,
    daily_limit: i64,
    today_used: i64,
    today_remaining: i64,
    total_generations: i64,
}

impl From<QuotaView> for Quota {
    fn from(view: QuotaView) -> Self {
        Self {
            vip_level: view.level.as_str(),
            daily_limit: view.quota.limit.daily,
            today_used: view.quota.used.daily,
            today_remaining: view.quota.remaining(),
            total_generations: view.total_generations,
        }
    }
}

/// That a notice was taken.
///
/// ```
/// use dream_http::wire::jobs::Received;
///
/// let json = serde_json::to_string(&Received { received: true }).unwrap();
/// assert_eq!(json, r#"{"received":true}"#);
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct Received {
    /// Always true.
    pub received: bool,
}
