//! The API that makes the pictures, over HTTP.

mod answers;
mod download;
mod meter;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::answers::Answer;
use self::download::Downloads;
use self::meter::{Errand, Meter};
use self::wire::{CreatedWire, JobWire, ListWire, SubmitWire};
use super::outbound;
use crate::error::{Fault, Format};
use crate::ports::{Clock, Failure, FailureKind, ImageApi, ImageRequest, Tenant, UpstreamJob};
use crate::trace::{self, TRACEPARENT, TraceContext};

const SERVICE: &str = "image_api";

/// Longest answer that is read, in bytes. A list of 100 jobs with long prompts takes some MB; the pictures of a job may
/// stand in its answer, some 20 MB of base64 for one of 4K.
const MAX_ANSWER: u64 = 32 * 1024 * 1024;

/// Longest job id that is believed, in bytes; real ones have 25.
const MAX_ID_LEN: usize = 128;

/// Jobs asked for in one list.
const PAGE: &str = "100";

/// What stands unencoded in a path segment (RFC 3986, 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where the image API answers, and how much we ask of it.
///
/// ```
/// use dream_core::adapters::image_api::ImageApiConfig;
///
/// // As the provider's contract has it: at most 60 requests a minute, 5 of them at once.
/// let config = ImageApiConfig {
///     per_minute: 60,
///     concurrency: 5,
///     ..ImageApiConfig::new("https://images.example", "sk-…".into())
/// };
/// assert_eq!(config.timeout.as_secs(), 30);
/// assert!(!format!("{config:?}").contains("sk-"));
/// ```
#[derive(Clone)]
pub struct ImageApiConfig {
    /// Such as `http://localhost:3001`.
    pub base_url: String,
    /// The operator's own key. Without one nothing is asked on the operator's account: callers bring keys of their own.
    pub api_key: Option<SecretString>,
    /// How long one call may take.
    pub timeout: Duration,
    /// Requests a minute on the operator's key; 0 for no limit of ours.
    pub per_minute: u32,
    /// Requests at once on the operator's key; 0 for no limit of ours.
    pub concurrency: u32,
}

impl ImageApiConfig {
    /// No limits of ours, and 30 s for a call.
    ///
    /// ```
    /// use dream_core::adapters::image_api::ImageApiConfig;
    ///
    /// let config = ImageApiConfig::new("https://images.example", "sk-…".into());
    /// assert_eq!((config.per_minute, config.concurrency), (0, 0), "the provider's own limits are enough");
    /// ```
    pub fn new(base_url: impl Into<String>, api_key: SecretString) -> Self {
        Self {
            base_url: base_url.into(),
            api_key: Some(api_key),
            timeout: Duration::from_secs(30),
            per_minute: 0,
            concurrency: 0,
        }
    }
}

impl fmt::Debug for ImageApiConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageApiConfig")
            .field("base_url", &self.base_url)
            .field("timeout", &self.timeout)
            .field("per_minute", &self.per_minute)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

/// The image API over HTTP. It repeats nothing by itself: whoever holds the idempotency key decides about that.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::adapters::image_api::{ImageApiConfig, ImageApiHttp};
/// use dream_core::ports::{ImageApi as _, Tenant};
///
/// # let config = ImageApiConfig::new(world.image_api().base_url(), world.image_api().service_key().into());
/// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::at(world.now()));
/// let image_api = ImageApiHttp::new(&config, clock)?;
/// image_api.health().await?;
/// assert_eq!(image_api.job(&Tenant::Service, "no-such-job").await?, None);
/// # Ok(())
/// # });
/// ```
pub struct ImageApiHttp {
    client: Client,
    base_url: String,
    key: Option<HeaderValue>,
    timeout: Duration,
    meter: Meter,
    places: Option<Semaphore>,
    downloads: Downloads,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for ImageApiHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageApiHttp").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl ImageApiHttp {
    /// A client of the API at this place.
    ///
    /// ```
    /// use dream_core::Code;
    /// use dream_core::adapters::SystemClock;
    /// use dream_core::adapters::image_api::{ImageApiConfig, ImageApiHttp};
    /// use std::sync::Arc;
    ///
    /// // When the program starts, and not with the first generation.
    /// let no_key = ImageApiConfig::new("https://images.example", "".into());
    /// let wrong = ImageApiHttp::new(&no_key, Arc::new(SystemClock)).unwrap_err();
    /// assert_eq!(wrong.code(), Code::ValidationFailed);
    /// ```
    ///
    /// # Errors
    /// [`crate::Error`] with the field at fault if the configuration cannot be right.
    pub fn new(config: &ImageApiConfig, clock: Arc<dyn Clock>) -> crate::Result<Self> {
        let base_url = outbound::base_url(&config.base_url)
            .map_err(|fault| crate::Error::invalid_field("base_url", fault))?;
        let key = config.api_key.as_ref().map(service_header).transpose()?;
        let places = usize::try_from(config.concurrency).ok().filter(|&places| places > 0);
        Ok(Self {
            client: outbound::client(SERVICE, config.timeout, Policy::none())?,
            downloads: Downloads::new(&base_url)?,
            meter: Meter::new(config.per_minute, Arc::clone(&clock)),
            clock,
            places: places.map(Semaphore::new),
            timeout: config.timeout,
            base_url,
            key,
        })
    }

    /// Whether the API says that it is well. Needs no key.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let image_api = FakeImageApi::start(ImageApiOptions::new(clock.clone())).await?;
    /// use dream_core::adapters::image_api::{ImageApiConfig, ImageApiHttp};
    ///
    /// # let config = ImageApiConfig::new(image_api.base_url(), image_api.service_key().into());
    /// let client = ImageApiHttp::new(&config, clock)?;
    /// assert!(client.health().await.is_ok());
    /// // What a page that watches over the neighbours shows once this one is away.
    /// image_api.server().go_down().await?;
    /// assert!(client.health().await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Failure`] if it does not answer or is not well.
    pub async fn health(&self) -> Result<(), Failure> {
        let request = self.client.get(format!("{}/health", self.base_url));
        self.exchange("image_api.health", request).await?.into_success().map(|_| ())
    }

    fn request(&self, method: Method, path: &str, tenant: &Tenant) -> Result<RequestBuilder, Failure> {
        let authorization = match tenant {
            Tenant::Service => self.key.clone().ok_or_else(|| {
                Failure::new(SERVICE, FailureKind::Misconfigured, "there is no key of the operator's")
            })?,
            Tenant::Forwarded(value) => secret_header(value.expose_secret()).ok_or_else(|| {
                Failure::new(SERVICE, FailureKind::Refused, "the caller's key does not fit into a header")
                    .with_code("INVALID_API_KEY")
            })?,
        };
        let url = format!("{}{path}", self.base_url);
        Ok(self.client.request(method, url).header(AUTHORIZATION, authorization))
    }

    /// Sends the request once there is room for it within our own limits.
    async fn ask(
        &self,
        name: &'static str,
        tenant: &Tenant,
        errand: Errand,
        request: RequestBuilder,
    ) -> Result<Answer, Failure> {
        let Tenant::Service = tenant else {
            return self.exchange(name, request).await.map(Answer::of_callers_key);
        };
        self.meter.admit(errand).map_err(|wait| {
            Failure::new(SERVICE, FailureKind::Throttled, "held back by our own limit")
                .with_retry_after(Some(wait))
        })?;
        let _place = self.place().await?;
        let answer = self.exchange(name, request).await?;
        if let Some(wait) = answer.throttled_for() {
            self.meter.pause(wait);
        }
        Ok(answer)
    }

    async fn place(&self) -> Result<Option<SemaphorePermit<'_>>, Failure> {
        let Some(places) = &self.places else { return Ok(None) };
        let full = || Failure::new(SERVICE, FailureKind::Throttled, "too many requests of ours at once");
        let place = tokio::time::timeout(self.timeout, places.acquire()).await.map_err(|_| full())?;
        place.map(Some).map_err(|_| full())
    }

    /// The exchange as a part of the trace that asks for it, which the other side learns of.
    async fn exchange(&self, name: &'static str, request: RequestBuilder) -> Result<Answer, Failure> {
        let send = |place: Option<TraceContext>| {
            self.send(match place {
                Some(place) => request.header(TRACEPARENT, place.to_string()),
                None => request,
            })
        };
        trace::call(&*self.clock, name, send, |answer| Some(answer.status().as_u16())).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let response = request.send().await.map_err(|error| outbound::broken(SERVICE, error))?;
        let (status, retry_after) = (response.status(), answers::retry_after(response.headers()));
        // Without a status there is nothing to decide by; with one, an unreadable body of a refusal changes nothing.
        match outbound::read(SERVICE, response, MAX_ANSWER).await {
            Ok(body) => Ok(Answer::new(status, retry_after, body)),
            Err(failure) if status.is_success() => Err(failure),
            Err(_) => Ok(Answer::new(status, retry_after, Vec::new())),
        }
    }
}

#[async_trait]
impl ImageApi for ImageApiHttp {
    async fn submit(
        &self,
        tenant: &Tenant,
        idempotency_key: &str,
        request: &ImageRequest,
    ) -> Result<UpstreamJob, Failure> {
        let call = self
            .request(Method::POST, "/v1/images/generate", tenant)?
            .header("Idempotency-Key", idempotency_key)
            .json(&SubmitWire::new(request));
        let answer = self.ask("image_api.submit", tenant, Errand::Submit, call).await?;
        answer.read_submission::<CreatedWire>()?.into_job()
    }

    async fn job(&self, tenant: &Tenant, id: &str) -> Result<Option<UpstreamJob>, Failure> {
        let Some(path) = job_path(id) else { return Ok(None) };
        let call = self.request(Method::GET, &path, tenant)?;
        let answer = self.ask("image_api.job", tenant, Errand::Look, call).await?;
        if answer.says_unknown_job() {
            return Ok(None);
        }
        answer.read::<JobWire>()?.into_job().map(Some)
    }

    async fn recent(&self, tenant: &Tenant) -> Result<Vec<UpstreamJob>, Failure> {
        let call = self.request(Method::GET, "/v1/jobs", tenant)?.query(&[("limit", PAGE)]);
        let answer = self.ask("image_api.recent", tenant, Errand::Look, call).await?;
        Ok(answer.read::<ListWire>()?.into_jobs())
    }

    async fn cancel(&self, tenant: &Tenant, id: &str) -> Result<(), Failure> {
        let path = job_path(id).ok_or_else(|| {
            Failure::new(SERVICE, FailureKind::Refused, "no job has such an id")
                .with_code(answers::JOB_NOT_FOUND)
        })?;
        let call = self.request(Method::DELETE, &path, tenant)?;
        self.ask("image_api.cancel", tenant, Errand::Submit, call).await?.into_success().map(|_| ())
    }

    async fn download(&self, url: &str, max_bytes: u64) -> Result<(Bytes, String), Failure> {
        self.downloads.fetch(url, max_bytes).await
    }
}

fn service_header(key: &SecretString) -> crate::Result<HeaderValue> {
    let key = key.expose_secret();
    secret_header(&format!("Bearer {key}"))
        .filter(|_| !key.is_empty())
        .ok_or_else(|| crate::Error::invalid_field("api_key", Fault::Format(Format::HeaderKey)))
}

fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether this can be a job's id: nothing that could mean another path, to us or to what stands in between.
fn is_job_id(id: &str) -> bool {
    let is_harmless = |c: char| !c.is_control() && !matches!(c, '/' | '\\' | '%' | '?' | '#');
    !id.is_empty() && id.len() <= MAX_ID_LEN && !matches!(id, "." | "..") && id.chars().all(is_harmless)
}

fn job_path(id: &str) -> Option<String> {
    is_job_id(id).then(|| format!("/v1/jobs/{}", utf8_percent_encode(id, SEGMENT)))
}

#[cfg(test)]
mod tests {
    use super::job_path;

    #[test]
    fn an_id_never_reaches_another_path() {
        for id in ["", ".", "..", "../x", "..%2fx", "a/b", "a\\b", "a?b", "a#b", "a\nb", &"x".repeat(129)] {
            assert_eq!(job_path(id), None, "{id}");
        }
        assert_eq!(job_path("cm_1-2.3~").as_deref(), Some("/v1/jobs/cm_1-2.3~"));
        assert_eq!(job_path("a b;c中").as_deref(), Some("/v1/jobs/a%20b%3Bc%E4%B8%AD"));
    }
}
