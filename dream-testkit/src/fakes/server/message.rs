//! What goes in and what comes out.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use dream_core::kernel::Timestamp;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A request as a fake gets it.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// world.alice().await.generates("a cat").await;
/// world.work().await;
/// let request = &world.image_api().requests()[0].request;
/// assert_eq!(request.route(), ("POST", vec!["v1", "images", "generate"]));
/// assert_eq!(request.json::<serde_json::Value>()?["prompt"], "a cat");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct FakeRequest {
    /// When it came, on the fake's clock.
    pub at: Timestamp,
    /// Who sent it.
    pub peer: SocketAddr,
    /// Such as `POST`.
    pub method: Method,
    /// The path exactly as sent, still percent-encoded.
    pub path: String,
    /// What stood behind the `?`, exactly as sent.
    pub query: Option<String>,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl FakeRequest {
    /// Path and query exactly as sent: what signatures cover.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// The first query parameter of this name, decoded.
    pub fn param(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_deref()?.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The first header of this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The value behind `Authorization: Bearer`.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// The body read as JSON.
    ///
    /// # Errors
    /// If it is not JSON of this shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// Method, and the path split at its slashes, for a `match`.
    pub fn route(&self) -> (&str, Vec<&str>) {
        (self.method.as_str(), self.path.trim_matches('/').split('/').collect())
    }
}

/// How an answer goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Ending {
    /// As it should.
    #[default]
    Whole,
    /// The connection is closed without a byte.
    Dropped,
    /// Headers promise the whole body, then the connection is closed after this many bytes of it.
    CutAt(usize),
}

/// What a fake answers.
///
/// ```
/// use dream_testkit::fakes::server::FakeResponse;
/// use http::StatusCode;
/// use std::time::Duration;
///
/// // Too often; come back in half a minute. On the fake's clock it takes a second to say so.
/// let body = serde_json::json!({ "code": "SLOW_DOWN" });
/// let answer = FakeResponse::json(StatusCode::TOO_MANY_REQUESTS, &body)
///     .with_header("retry-after", "30")
///     .after(Duration::from_secs(1));
/// assert_eq!(answer.headers["retry-after"], "30");
/// ```
#[derive(Debug, Clone, Default)]
pub struct FakeResponse {
    /// The status; 200 by default.
    pub status: StatusCode,
    /// All headers but `Content-Length`, which is added.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How long the finished answer is kept back, on the fake's clock.
    pub delay: Duration,
    /// A remark for the log.
    pub note: Option<String>,
    ending: Ending,
}

impl FakeResponse {
    /// An answer of this status and content type.
    pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { status, headers, body: body.into(), ..Self::default() }
    }

    /// An empty answer without content type.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, ..Self::default() }
    }

    /// JSON.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => Self::new(status, "application/json; charset=utf-8", bytes),
            Err(error) => Self::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    /// Plain text.
    pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::new(status, "text/plain", body)
    }

    /// The page that a gateway shows in place of an answer.
    pub fn gateway_page(status: StatusCode) -> Self {
        let page = format!("<html><head><title>{status}</title></head></html>");
        Self::new(status, "text/html", page)
    }

    /// No answer at all: the connection is closed.
    pub fn dropped() -> Self {
        Self { ending: Ending::Dropped, ..Self::default() }
    }

    /// The same, with this header. One that cannot be sent is left out.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The same, kept back for this long.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The same, with a remark for the log.
    #[must_use]
    pub fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// The connection is closed in place of this answer.
    #[must_use]
    pub fn lost(mut self) -> Self {
        self.ending = Ending::Dropped;
        self
    }

    /// The connection breaks after half of the body.
    #[must_use]
    pub fn truncated(mut self) -> Self {
        self.ending = Ending::CutAt(self.body.len() / 2);
        self
    }

    /// Half of the body as if it were the whole: sound HTTP around broken content.
    #[must_use]
    pub fn corrupted(mut self) -> Self {
        self.body.truncate(self.body.len() / 2);
        self
    }

    /// Whether the caller gets an answer at all.
    pub(super) fn is_answered(&self) -> bool {
        self.ending != Ending::Dropped
    }

    pub(super) fn into_http(self) -> Result<Response<AnswerBody>, Lost> {
        let body = match self.ending {
            Ending::Dropped => return Err(Lost),
            Ending::Whole => Full::new(self.body.clone()).map_err(|never| match never {}).boxed_unsync(),
            Ending::CutAt(end) => cut(self.body.slice(..end.min(self.body.len()))),
        };
        let mut answer = Response::new(body);
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.headers;
        let bodiless = self.status.is_informational()
            || matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if !bodiless && !answer.headers().contains_key(CONTENT_LENGTH) {
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        Ok(answer)
    }
}

pub(super) type AnswerBody = UnsyncBoxBody<Bytes, io::Error>;

/// Sends a part and then breaks. The pause between the two lets the part reach the wire.
fn cut(part: Bytes) -> AnswerBody {
    let steps = stream::unfold(Some(part), |part| async move {
        if let Some(part) = part {
            return Some((Ok(Frame::data(part)), None));
        }
        tokio::task::yield_now().await;
        Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), None))
    });
    StreamBody::new(steps).boxed_unsync()
}

/// Makes hyper close the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer is lost on purpose")]
pub(super) struct Lost;
