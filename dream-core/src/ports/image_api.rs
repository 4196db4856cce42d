use std::fmt::Debug;

use async_trait::async_trait;
use secrecy::SecretString;

use super::Failure;

/// On whose account the image API is called.
///
/// ```
/// use dream_core::ports::Tenant;
///
/// let forwarded = Tenant::Forwarded("Bearer sk-of-the-tenant".into());
/// assert!(!format!("{forwarded:?}").contains("sk-"), "it is never logged");
/// ```
#[derive(Debug, Clone)]
pub enum Tenant {
    /// On the operator's own.
    Service,
    /// On the caller's, with the `Authorization` value that the caller brought along.
    Forwarded(SecretString),
}

/// What is to be generated, in the image API's own words.
///
/// ```
/// use dream_core::ports::ImageRequest;
///
/// let request = ImageRequest {
///     prompt: "a cat".to_owned(),
///     negative_prompt: None,
///     mode: "final",
///     resolution: Some("2K"),
///     aspect_ratio: Some("16:9"),
///     sample_count: 2,
///     input_image_url: None,
///     input_image: None,
///     model: None,
///     params: serde_json::Map::new(),
/// };
/// assert_eq!(request.sample_count, 2, "checked before: what gets here is within the limits");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRequest {
    /// The prompt as the API is to see it.
    pub prompt: String,
    /// What must not be in the picture.
    pub negative_prompt: Option<String>,
    /// `draft` or `final`.
    pub mode: &'static str,
    /// `1K`, `2K` or `4K`.
    pub resolution: Option<&'static str>,
    /// Such as `16:9`.
    pub aspect_ratio: Option<&'static str>,
    /// Pictures wanted.
    pub sample_count: i64,
    /// A reference picture that the API can fetch.
    pub input_image_url: Option<String>,
    /// A reference picture as a data URL.
    pub input_image: Option<String>,
    /// A model's name.
    pub model: Option<String>,
    /// Passed on for the model; can never replace one of the fields above.
    pub params: serde_json::Map<String, serde_json::Value>,
}

/// Where a job stands.
///
/// ```
/// use dream_core::ports::JobState;
///
/// assert_eq!(JobState::parse("SUCCEEDED"), Some(JobState::Succeeded));
/// assert!(!JobState::Retrying.is_final(), "the provider goes on by itself");
/// assert!(JobState::Canceled.is_final());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// Is worked on.
    Running,
    /// The provider tries again by itself.
    Retrying,
    /// Ended with pictures.
    Succeeded,
    /// Ended without.
    Failed,
    /// Ended before it started.
    Canceled,
}

impl JobState {
    /// Every state by its name.
    pub const NAMES: &'static [&'static str] =
        &["QUEUED", "RUNNING", "RETRYING", "SUCCEEDED", "FAILED", "CANCELED"];

    /// The state's name in the API and in our answers.
    ///
    /// ```
    /// use dream_core::ports::JobState;
    ///
    /// assert_eq!(JobState::Retrying.as_str(), "RETRYING");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            JobState::Queued => "QUEUED",
            JobState::Running => "RUNNING",
            JobState::Retrying => "RETRYING",
            JobState::Succeeded => "SUCCEEDED",
            JobState::Failed => "FAILED",
            JobState::Canceled => "CANCELED",
        }
    }

    /// The state of this name.
    ///
    /// ```
    /// use dream_core::ports::JobState;
    ///
    /// assert_eq!(JobState::parse("CANCELED"), Some(JobState::Canceled));
    /// assert_eq!(JobState::parse("CANCELLED"), None, "of orders alone");
    /// ```
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "QUEUED" => JobState::Queued,
            "RUNNING" => JobState::Running,
            "RETRYING" => JobState::Retrying,
            "SUCCEEDED" => JobState::Succeeded,
            "FAILED" => JobState::Failed,
            "CANCELED" => JobState::Canceled,
            _ => return None,
        })
    }

    /// Whether the state never changes again.
    ///
    /// ```
    /// use dream_core::ports::JobState;
    ///
    /// // Whether a client has to ask again.
    /// assert!(JobState::Failed.is_final() && !JobState::Retrying.is_final());
    /// ```
    pub const fn is_final(self) -> bool {
        matches!(self, JobState::Succeeded | JobState::Failed | JobState::Canceled)
    }
}

/// Why a job failed.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # let alice = world.alice().await;
/// let job = alice.generates("[fail] a cat").await.job_id;
/// world.settle().await;
/// let error = alice.job(&job).await.error.ok_or("it failed")?;
/// println!("{}: {}", error.code, error.message);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError {
    /// Such as `TIMEOUT` or `CONTENT_POLICY_VIOLATION`.
    pub code: String,
    /// For people.
    pub message: String,
}

/// What an error code of an image API is about. The codes of the private provider, of `OpenAI`, Volcengine Ark and
/// `DashScope`, and of relays between them and us, are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A content check refused the prompt, the input or the result. The same request is refused again.
    Content,
    /// Our key, balance, permission or choice of model is refused: the operator has to act.
    Account,
    /// The time ran out at the other side.
    Time,
    /// The request cannot be met as it is.
    Request,
    /// None of these, or nothing that is known.
    Other,
}

impl Reason {
    /// What the code is about. Case and separators do not matter, and neither does what a vendor appends.
    pub fn of(code: &str) -> Self {
        const CONTENT: &[&str] = &[
            "contentpolicy",
            "contentrejected",
            "contentfilter",
            "policyviolation",
            "moderation",
            "sensitivecontent",
            "riskdetection",
            "datainspection",
            "prohibitedcontent",
            "safety",
            "imagegenerationusererror",
        ];
        const ACCOUNT: &[&str] = &[
            "apikey",
            "unauthorized",
            "authentication",
            "permissiondenied",
            "accessdenied",
            "insufficient",
            "paymentrequired",
            "billing",
            "overdue",
            "arrear",
            "modelnotfound",
            "modelnotopen",
            "invalidendpoint",
        ];
        const TIME: &[&str] = &["timeout", "timedout", "deadlineexceeded"];
        const REQUEST: &[&str] = &["invalidrequest", "invalidparameter", "invalidargument", "badrequest"];
        let plain: String =
            code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        let is = |words: &[&str]| words.iter().any(|word| plain.contains(word));
        if is(CONTENT) {
            Reason::Content
        } else if is(ACCOUNT) {
            Reason::Account
        } else if is(TIME) {
            Reason::Time
        } else if is(REQUEST) {
            Reason::Request
        } else {
            Reason::Other
        }
    }
}

/// A job as the image API tells it.
///
/// ```
/// use dream_core::ports::{JobState, UpstreamJob};
///
/// let job = UpstreamJob {
///     id: "cm5x1".to_owned(),
///     state: JobState::Succeeded,
///     result_urls: vec!["https://images.example/1.png".to_owned()],
///     error: None,
/// };
/// assert!(job.state.is_final() && !job.result_urls.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamJob {
    /// The API's own id.
    pub id: String,
    /// Where it stands.
    pub state: JobState,
    /// The results, once it succeeded, as they were told: URLs, data URLs, or what is no picture at all.
    pub result_urls: Vec<String>,
    /// Why it failed.
    pub error: Option<JobError>,
}

/// The API that makes the pictures.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::ports::{Failure, FailureKind, ImageApi, ImageRequest, JobState, Tenant, UpstreamJob};
///
/// /// Paints at once, always the same. The key is the job's id, so that a repeat finds the same job.
/// #[derive(Debug)]
/// struct OnePicture;
///
/// #[async_trait::async_trait]
/// impl ImageApi for OnePicture {
///     async fn submit(&self, _: &Tenant, key: &str, _: &ImageRequest) -> Result<UpstreamJob, Failure> {
///         let result_urls = vec!["https://cdn.example/one.png".to_owned()];
///         Ok(UpstreamJob { id: key.to_owned(), state: JobState::Succeeded, result_urls, error: None })
///     }
///     async fn job(&self, _: &Tenant, _: &str) -> Result<Option<UpstreamJob>, Failure> { Ok(None) }
///     async fn recent(&self, _: &Tenant) -> Result<Vec<UpstreamJob>, Failure> { Ok(vec![]) }
///     async fn cancel(&self, _: &Tenant, _: &str) -> Result<(), Failure> {
///         Err(Failure::new("one-picture", FailureKind::Refused, "it has ended").with_code("INVALID_STATE"))
///     }
///     async fn download(&self, url: &str, _: u64) -> Result<(bytes::Bytes, String), Failure> {
///         Err(Failure::new("one-picture", FailureKind::Refused, format!("nothing is at {url}")))
///     }
/// }
/// # let _: std::sync::Arc<dyn ImageApi> = std::sync::Arc::new(OnePicture);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait ImageApi: Debug + Send + Sync + 'static {
    /// Submits a job. Safe to repeat with the same idempotency key: a second call finds the first one's job.
    /// `Refused` and `Misconfigured` say that no job exists; `outcome_unknown` failures are cleared up by repeating.
    async fn submit(
        &self,
        tenant: &Tenant,
        idempotency_key: &str,
        request: &ImageRequest,
    ) -> Result<UpstreamJob, Failure>;

    /// One job; `None` if the API does not know it.
    async fn job(&self, tenant: &Tenant, id: &str) -> Result<Option<UpstreamJob>, Failure>;

    /// The newest jobs of the tenant, at most 100: one call in place of many.
    async fn recent(&self, tenant: &Tenant) -> Result<Vec<UpstreamJob>, Failure>;

    /// Cancels a job that has not started. `Refused` with the code `INVALID_STATE` if it has, `JOB_NOT_FOUND` if unknown.
    async fn cancel(&self, tenant: &Tenant, id: &str) -> Result<(), Failure>;

    /// Reads a finished picture, of at most this many bytes: the bytes and their content type as claimed.
    async fn download(&self, url: &str, max_bytes: u64) -> Result<(bytes::Bytes, String), Failure>;
}
