//! How a call to the outside can fail.

use std::time::Duration;

use crate::error::{Code, Error, Facts};

/// Why a call to something outside did not do what it was asked.
///
/// The kind decides what may be done next: only some failures prove that nothing happened.
///
/// ```
/// use dream_core::ports::{Failure, FailureKind};
///
/// let failed = |kind| Failure::new("image_api", kind, "…");
/// // Said no: give the money back. No answer: nobody knows, so ask the very same thing again.
/// assert!(!failed(FailureKind::Refused).outcome_unknown());
/// assert!(failed(FailureKind::TimedOut).outcome_unknown());
/// assert!(!failed(FailureKind::Unreachable).outcome_unknown(), "nothing was sent");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The other side said no to this request. Nothing happened, and the same request will be refused again.
    Refused,
    /// The other side refused our credentials or configuration. Nothing happened; an operator has to act.
    Misconfigured,
    /// The other side wants us to slow down. Nothing happened.
    Throttled,
    /// The connection could not be made, so nothing was sent.
    Unreachable,
    /// The connection broke, the time ran out, or the answer made no sense: it may have happened or not.
    Unknown,
    /// As [`FailureKind::Unknown`], and it was the time that ran out.
    TimedOut,
}

/// A failed call to the outside. Texts are for the log and never reach a client.
///
/// ```
/// use dream_core::ports::{Failure, FailureKind};
/// use dream_core::{Code, Error, Facts};
/// use std::time::Duration;
///
/// let failure = Failure::new("wechat", FailureKind::Throttled, "45011: api minute-quota reach limit")
///     .with_retry_after(Some(Duration::from_secs(30)));
/// assert!(failure.is_transient());
/// // What a client learns of it.
/// let error = Error::from(failure);
/// assert_eq!(
///     (error.code(), error.facts()),
///     (Code::RateLimited, &Facts::Throttled { retry_after_secs: 30 })
/// );
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("{service}: {kind:?}: {message}")]
pub struct Failure {
    /// Whom we called, such as `wechat` or `image_api`.
    pub service: &'static str,
    /// What is known about the outcome.
    pub kind: FailureKind,
    /// The other side's own machine-readable code, where it gave one.
    pub code: Option<String>,
    /// What happened, for the log. Never holds a secret.
    pub message: String,
    /// How long the other side asked us to wait.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure without code and waiting time.
    pub fn new(service: &'static str, kind: FailureKind, message: impl Into<String>) -> Self {
        Self { service, kind, code: None, message: message.into(), retry_after: None }
    }

    /// Adds the other side's own code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds how long the other side asked us to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Whether the call may have taken effect although it failed.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self.kind, FailureKind::Unknown | FailureKind::TimedOut)
    }

    /// Whether repeating the same call later can help.
    pub fn is_transient(&self) -> bool {
        !matches!(self.kind, FailureKind::Refused | FailureKind::Misconfigured)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let (code, facts) = match failure.kind {
            FailureKind::TimedOut => (Code::UpstreamTimeout, Facts::None),
            FailureKind::Throttled => {
                let wait = failure.retry_after.unwrap_or(Duration::from_mins(1));
                (Code::RateLimited, Facts::Throttled { retry_after_secs: wait.as_secs().max(1) })
            }
            FailureKind::Refused
            | FailureKind::Misconfigured
            | FailureKind::Unreachable
            | FailureKind::Unknown => (Code::UpstreamError, Facts::None),
        };
        Error::new(code).with_facts(facts).with_source(failure)
    }
}
