use std::fmt::Debug;

use async_trait::async_trait;
use secrecy::SecretString;

use super::Failure;

/// On whose account the image API is called.
#[derive(Debug, Clone)]
pub enum Tenant {
    /// On the operator's own.
    Service,
    /// On the caller's, with the `Authorization` value that the caller brought along.
    Forwarded(SecretString),
}

/// What is to be generated, in the image API's own words.
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
    pub const fn is_final(self) -> bool {
        matches!(self, JobState::Succeeded | JobState::Failed | JobState::Canceled)
    }
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError {
    /// Such as `TIMEOUT` or `CONTENT_POLICY_VIOLATION`.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A job as the image API tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamJob {
    /// The API's own id.
    pub id: String,
    /// Where it stands.
    pub state: JobState,
    /// The pictures, once it succeeded.
    pub result_urls: Vec<String>,
    /// Why it failed.
    pub error: Option<JobError>,
}

/// The API that makes the pictures.
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
