//! What an answer says, decided by its status and its error code.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::SERVICE;
use crate::adapters::outbound::excerpt;
use crate::ports::{Failure, FailureKind, JobError, Reason};
use crate::protocol::{ErrorWire, foreign};

pub(super) const JOB_NOT_FOUND: &str = "JOB_NOT_FOUND";
const INVALID_STATE: &str = "INVALID_STATE";

/// Longest wait that is believed.
const MAX_WAIT: Duration = Duration::from_hours(1);

/// How long to keep quiet after a 429 that does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);

pub(super) struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Vec<u8>,
    /// Whether the key was brought along by the caller.
    callers_key: bool,
}

impl Answer {
    pub(super) fn new(status: StatusCode, retry_after: Option<Duration>, body: Vec<u8>) -> Self {
        Self { status, retry_after, body, callers_key: false }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn of_callers_key(mut self) -> Self {
        self.callers_key = true;
        self
    }

    /// How long the provider wants silence, if it does.
    pub(super) fn throttled_for(&self) -> Option<Duration> {
        // An account without means is refused with 429 too, and waiting does not help.
        let is_throttled =
            self.status == StatusCode::TOO_MANY_REQUESTS && Reason::of(&self.error().code) != Reason::Account;
        is_throttled.then(|| self.retry_after.unwrap_or(DEFAULT_WAIT))
    }

    /// Whether it is the provider itself that does not know the job, and not some router on the way to it.
    pub(super) fn says_unknown_job(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && self.error().code == JOB_NOT_FOUND
    }

    pub(super) fn into_success(self) -> Result<Vec<u8>, Failure> {
        if self.status.is_success() { Ok(self.body) } else { Err(self.failure()) }
    }

    /// As [`Answer::read`], of an answer that names no job and may be a refusal in spite of its status: what stands
    /// between us and the provider answers so.
    pub(super) fn read_submission<T: DeserializeOwned>(self) -> Result<T, Failure> {
        let body: ErrorBody = foreign::json(&self.body).unwrap_or_default();
        let refusal = body.error.filter(|_| body.job_id.is_none());
        if self.status.is_success()
            && let Some(error) = refusal
        {
            let error = JobError::from(error);
            let kind = match Reason::of(&error.code) {
                Reason::Content | Reason::Request => FailureKind::Refused,
                Reason::Account => self.of_account(),
                Reason::Time | Reason::Other => FailureKind::Unknown,
            };
            return Err(Failure::new(SERVICE, kind, excerpt(&error.message)).with_code(error.code));
        }
        self.read()
    }

    /// What it says of an account that it refuses: the operator's, or the caller's own.
    fn of_account(&self) -> FailureKind {
        if self.callers_key { FailureKind::Refused } else { FailureKind::Misconfigured }
    }

    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, Failure> {
        foreign::json(&self.into_success()?).map_err(|error| no_sense(error.to_string()))
    }

    fn failure(&self) -> Failure {
        let error = self.error();
        let kind = match (self.status, Reason::of(&error.code)) {
            // A content check refuses with 400, 403 or 422, as the vendor likes.
            (status, Reason::Content) if status.is_client_error() => FailureKind::Refused,
            (StatusCode::NOT_FOUND, _) if error.code == JOB_NOT_FOUND => FailureKind::Refused,
            (StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED | StatusCode::FORBIDDEN, _) => {
                self.of_account()
            }
            // Balance and model are also refused with 400, 404 and 429.
            (status, Reason::Account) if status.is_client_error() => self.of_account(),
            // A route that is not there says that the base URL is wrong.
            (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => FailureKind::Misconfigured,
            (StatusCode::TOO_MANY_REQUESTS, _) => FailureKind::Throttled,
            (StatusCode::CONFLICT, _) if error.code != INVALID_STATE => FailureKind::Unknown,
            (status, _) => by_status(status),
        };
        let wait = self.throttled_for().or(self.retry_after);
        Failure::new(SERVICE, kind, excerpt(&error.message))
            .with_status(self.status.as_u16())
            .with_code(error.code)
            .with_retry_after(wait)
    }

    fn error(&self) -> JobError {
        let wire: ErrorBody = foreign::json(&self.body).unwrap_or_default();
        let by_status = match self.status.as_u16() {
            400 => "INVALID_REQUEST",
            401 | 403 => "INVALID_API_KEY",
            402 => "PAYMENT_REQUIRED",
            429 => "RATE_LIMIT_EXCEEDED",
            503 => "SERVICE_OVERLOAD",
            _ => "UNKNOWN_ERROR",
        };
        let mut error = match wire.error {
            Some(error) => JobError::from(error),
            None => JobError { code: by_status.to_owned(), message: String::new() },
        };
        if let Some(message) = wire.message {
            error.message = message;
        }
        error
    }
}

fn by_status(status: StatusCode) -> FailureKind {
    match status {
        StatusCode::REQUEST_TIMEOUT => FailureKind::TimedOut,
        status if status.is_client_error() => FailureKind::Refused,
        _ => FailureKind::Unknown,
    }
}

/// An answer that is not what was promised: whatever was asked may have happened.
pub(super) fn no_sense(what: impl Into<String>) -> Failure {
    Failure::new(SERVICE, FailureKind::Unknown, what)
}

/// The header in seconds, or as a date measured against the answer's own `Date`.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let value = text(RETRY_AFTER)?;
    let wait = if let Ok(secs) = value.parse() {
        Duration::from_secs(secs)
    } else {
        let read = |text| jiff::fmt::rfc2822::parse(text).ok().map(|at| at.timestamp());
        let wait = read(value)?.duration_since(read(text(reqwest::header::DATE)?)?);
        Duration::try_from(wait).unwrap_or_default()
    };
    Some(wait.min(MAX_WAIT))
}

#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(rename = "jobId")]
    job_id: Option<serde_json::Value>,
    error: Option<ErrorWire>,
    #[serde(default, deserialize_with = "one_text")]
    message: Option<String>,
}

/// Some frameworks write a list of texts.
fn one_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    })
}
