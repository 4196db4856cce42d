//! How a call to the outside can fail.

use std::fmt;
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

/// The code of a content check that WeChat refuses because the user did not open the mini-program within two hours.
pub(crate) const USER_INACTIVE: &str = "USER_INACTIVE";

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
#[derive(Debug, Clone)]
pub struct Failure {
    /// Whom we called, such as `wechat` or `image_api`.
    pub service: &'static str,
    /// What is known about the outcome.
    pub kind: FailureKind,
    /// The other side's own machine-readable code, where it gave one.
    pub code: Option<String>,
    /// The HTTP status of the answer, where there was one and it matters.
    pub status: Option<u16>,
    /// What happened: the other side's own words, where it said any, and ours otherwise. Never holds a secret.
    pub message: String,
    /// How long the other side asked us to wait.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure without code and waiting time.
    ///
    /// ```
    /// use dream_core::ports::{Failure, FailureKind};
    ///
    /// let failure = Failure::new("image_api", FailureKind::Unreachable, "connection refused");
    /// assert_eq!(failure.to_string(), "image_api: Unreachable: connection refused");
    /// ```
    pub fn new(service: &'static str, kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            service,
            kind,
            code: None,
            status: None,
            message: bounded(message.into(), LONGEST_MESSAGE),
            retry_after: None,
        }
    }

    /// Adds the HTTP status of the answer.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds the other side's own code.
    ///
    /// ```
    /// use dream_core::ports::{Failure, FailureKind};
    ///
    /// let refused = Failure::new("image_api", FailureKind::Refused, "400").with_code("INVALID_REQUEST");
    /// assert_eq!(refused.code.as_deref(), Some("INVALID_REQUEST"));
    /// ```
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(bounded(code.into(), LONGEST_CODE));
        self
    }

    /// Adds how long the other side asked us to wait.
    ///
    /// ```
    /// use dream_core::ports::{Failure, FailureKind};
    /// use std::time::Duration;
    ///
    /// let wait = Some(Duration::from_secs(30));
    /// let busy = Failure::new("image_api", FailureKind::Throttled, "429").with_retry_after(wait);
    /// assert_eq!(busy.retry_after, wait);
    /// ```
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Whether the call may have taken effect although it failed.
    ///
    /// ```
    /// use dream_core::ports::{Failure, FailureKind};
    ///
    /// // The charge is given back where nothing has happened, and waits where that is not known.
    /// let failed = |kind| Failure::new("image_api", kind, "…");
    /// assert!(failed(FailureKind::TimedOut).outcome_unknown());
    /// assert!(!failed(FailureKind::Refused).outcome_unknown());
    /// ```
    pub fn outcome_unknown(&self) -> bool {
        matches!(self.kind, FailureKind::Unknown | FailureKind::TimedOut)
    }

    /// Whether repeating the same call later can help.
    ///
    /// ```
    /// use dream_core::ports::{Failure, FailureKind};
    ///
    /// let failed = |kind| Failure::new("wechat", kind, "…");
    /// assert!(failed(FailureKind::Unreachable).is_transient());
    /// assert!(!failed(FailureKind::Misconfigured).is_transient(), "somebody has to set it right");
    /// ```
    pub fn is_transient(&self) -> bool {
        !matches!(self.kind, FailureKind::Refused | FailureKind::Misconfigured)
    }
}

/// Bytes of a message at most. It may quote the other side, which may have sent anything of any length.
const LONGEST_MESSAGE: usize = 300;
const LONGEST_CODE: usize = 100;

/// The text, or its beginning and an ellipsis.
fn bounded(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.service, self.kind)?;
        if let Some(status) = self.status {
            write!(f, " (HTTP {status})")?;
        }
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let (code, facts) = match failure.kind {
            FailureKind::TimedOut => (Code::UpstreamTimeout, Facts::None),
            FailureKind::Refused if failure.code.as_deref() == Some(USER_INACTIVE) => {
                (Code::UpstreamError, Facts::UserInactive)
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_other_side_sent_is_cut_where_the_failure_is_made() {
        for letter in ["x", "猫"] {
            let failure = Failure::new("test", FailureKind::Unknown, letter.repeat(1_000_000));
            let failure = failure.with_code(letter.repeat(1_000_000));
            let (message, code) = (failure.message, failure.code.unwrap());
            assert!(message.len() <= LONGEST_MESSAGE + 3 && message.ends_with('…'), "{}", message.len());
            assert!(code.len() <= LONGEST_CODE + 3, "{}", code.len());
        }
        assert_eq!(Failure::new("test", FailureKind::Unknown, "short").message, "short");
    }
}
