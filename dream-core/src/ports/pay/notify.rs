use std::fmt::{self, Debug};

use bytes::Bytes;

/// A notify as it arrived: its raw body, and headers whose names are compared without case.
///
/// ```
/// use dream_core::ports::SignedNotify;
///
/// let notify = SignedNotify::new(
///     [("Wechatpay-Nonce", "5K8264IL"), ("Content-Type", "application/json")],
///     r#"{"id":"EV-1"}"#,
/// );
/// assert_eq!(notify.header("wechatpay-nonce"), Some("5K8264IL"));
/// assert_eq!(&notify.body()[..], br#"{"id":"EV-1"}"#, "the exact bytes: they are what is signed");
///
/// let twice = SignedNotify::new([("Wechatpay-Nonce", "a"), ("wechatpay-nonce", "b")], "");
/// assert_eq!(twice.header("Wechatpay-Nonce"), None, "two readers must not see two values");
/// ```
#[derive(Clone)]
pub struct SignedNotify {
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl SignedNotify {
    /// The largest body that is worth reading, in bytes.
    pub const MAX_BODY: usize = 1024 * 1024;

    /// A notify with these headers and the exact bytes of its body.
    ///
    /// ```
    /// use dream_core::ports::SignedNotify;
    ///
    /// let notify = SignedNotify::new([("X-Signature", "ab12")], r#"{"paid":true}"#);
    /// assert_eq!(notify.header("x-signature"), Some("ab12"));
    /// ```
    pub fn new<N: Into<String>, V: Into<String>>(
        headers: impl IntoIterator<Item = (N, V)>,
        body: impl Into<Bytes>,
    ) -> Self {
        let headers = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { headers, body: body.into() }
    }

    /// The value of the header, unless it is absent or stands twice, which would let two readers see two values.
    ///
    /// ```
    /// use dream_core::ports::SignedNotify;
    ///
    /// // One that stands twice is none: nobody can say which of them was signed.
    /// let notify = SignedNotify::new([("Nonce", "1"), ("nonce", "2")], "{}");
    /// assert_eq!(notify.header("Nonce"), None);
    /// ```
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// All headers, as they were given.
    ///
    /// ```
    /// use dream_core::ports::SignedNotify;
    ///
    /// let notify = SignedNotify::new([("a", "1"), ("b", "2")], "{}");
    /// assert_eq!(notify.headers().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    /// ```
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The exact bytes that were sent.
    ///
    /// ```
    /// use dream_core::ports::SignedNotify;
    ///
    /// // Byte by byte as it came, since these bytes were signed.
    /// let notify = SignedNotify::new([("a", "1")], "{ \"paid\" : true }");
    /// assert_eq!(notify.body(), "{ \"paid\" : true }");
    /// ```
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl Debug for SignedNotify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedNotify").field("body_len", &self.body.len()).finish_non_exhaustive()
    }
}

/// The check that a notify did not pass. For log and metrics only: the sender learns no more than that it failed.
///
/// ```
/// use dream_core::ports::RefusedAt;
///
/// // The value of a metric's label: `decrypt` tells of a wrong API v3 key, `signature` of attackers.
/// assert_eq!(RefusedAt::Decrypt.as_str(), "decrypt");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusedAt {
    /// A header is missing, or stands twice.
    Headers,
    /// Its time is too far from ours, or is no time.
    Clock,
    /// It names a key that we do not trust.
    Serial,
    /// The signature is wrong.
    Signature,
    /// What was signed is not a notify of the kind expected here.
    Body,
    /// The content cannot be decrypted with our key.
    Decrypt,
}

impl RefusedAt {
    /// The check by its name in logs and metrics.
    ///
    /// ```
    /// use dream_core::ports::RefusedAt;
    ///
    /// assert_eq!(RefusedAt::Signature.as_str(), "signature");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            RefusedAt::Headers => "headers",
            RefusedAt::Clock => "clock",
            RefusedAt::Serial => "serial",
            RefusedAt::Signature => "signature",
            RefusedAt::Body => "body",
            RefusedAt::Decrypt => "decrypt",
        }
    }
}

/// Why a notify was refused.
///
/// ```
/// use dream_core::ports::{NotifyRefusal, RefusedAt};
///
/// let refusal = NotifyRefusal::new(RefusedAt::Clock, "600 s away from our clock");
/// assert_eq!(refusal.to_string(), "notify refused at clock: 600 s away from our clock");
/// assert!(!refusal.probe, "else it would be no reason for an alarm");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("notify refused at {}: {message}", at.as_str())]
pub struct NotifyRefusal {
    /// The check that it did not pass.
    pub at: RefusedAt,
    /// Whether it was one of the channel's own probes, sent to see whether signatures are verified here.
    pub probe: bool,
    /// What was wrong, for the log. Never holds a secret.
    pub message: String,
}

impl NotifyRefusal {
    /// A refusal of something that is not a probe.
    ///
    /// ```
    /// use dream_core::ports::{NotifyRefusal, RefusedAt};
    ///
    /// // Of a channel of one's own.
    /// let refusal = NotifyRefusal::new(RefusedAt::Body, "no amount");
    /// assert_eq!((refusal.at, refusal.probe), (RefusedAt::Body, false));
    /// ```
    pub fn new(at: RefusedAt, message: impl Into<String>) -> Self {
        Self { at, probe: false, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_stands_twice_counts_as_absent() {
        let notify = SignedNotify::new([("A", "1"), ("a", "2"), ("B", "3")], Bytes::new());
        assert_eq!(notify.header("a"), None);
        assert_eq!(notify.header("b"), Some("3"));
    }
}
