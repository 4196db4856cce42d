//! The image API's webhook: `X-Signature: sha256=<hex>` with HMAC-SHA256 over the raw body.

use std::fmt;

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::foreign;
use super::job_wire::{ErrorWire, results};
use crate::error::Fault;
use crate::kernel::Timestamp;
use crate::ports::{JobState, UpstreamJob};

/// Name of the header that carries the signature.
pub const SIGNATURE_HEADER: &str = "X-Signature";

/// Longest event id and job id that is taken, in bytes.
pub const MAX_ID_LEN: usize = 128;

const PREFIX: &str = "sha256=";

/// Why a delivery was refused.
///
/// ```
/// use dream_core::protocol::webhook::{WebhookFault, WebhookVerifier};
///
/// let verifier = WebhookVerifier::new(&"the webhook secret".into()).unwrap();
/// assert_eq!(verifier.open(None, b"{}"), Err(WebhookFault::Signature));
/// // Genuine, but no event: that is for the log, since the image API will send it again and again.
/// let signature = verifier.sign(b"{}");
/// assert_eq!(verifier.open(Some(signature.as_bytes()), b"{}"), Err(WebhookFault::Body));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookFault {
    /// The signature is missing, malformed or wrong.
    #[error("the webhook is not signed by the image API")]
    Signature,
    /// It is genuine, but the body is not an event.
    #[error("the webhook's body is not an event")]
    Body,
}

/// A job ended, says the image API. Deliveries repeat and come late, so act once for each `event_id`, and never let
/// one move a job that has ended.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::protocol::webhook::WebhookVerifier;
/// use std::collections::HashSet;
///
/// # let verifier = WebhookVerifier::new(&"the webhook secret".into()).unwrap();
/// # let body = br#"{"eventId":"ev-1","jobId":"cm5x1","status":"FAILED","error":{"code":"TIMEOUT","message":"-"},"timestamp":1769600000000}"#;
/// # let signature = verifier.sign(body);
/// // The same event may be delivered several times.
/// let mut seen = HashSet::new();
/// for _ in 0..2 {
///     let event = verifier.open(Some(signature.as_bytes()), body)?;
///     if seen.insert(event.event_id) {
///         println!("{} ended as {} at {}", event.job.id, event.job.state.as_str(), event.at);
///     }
/// }
/// assert_eq!(seen.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEvent {
    /// The same for every delivery of this event.
    pub event_id: String,
    /// The job as it was when the event was made.
    pub job: UpstreamJob,
    /// When the event was made.
    pub at: Timestamp,
}

/// Checks and reads deliveries.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::ports::JobState;
/// use dream_core::protocol::webhook::{SIGNATURE_HEADER, WebhookFault, WebhookVerifier};
///
/// let verifier = WebhookVerifier::new(&"the webhook secret".into()).unwrap();
/// let body = br#"{
///     "eventId": "ev-1", "jobId": "cm5x1", "status": "SUCCEEDED",
///     "resultUrls": ["https://images.example/1.png"], "timestamp": 1769600000000
/// }"#;
/// // What the image API sends as `X-Signature`.
/// let signature = verifier.sign(body);
/// # assert_eq!(SIGNATURE_HEADER, "X-Signature");
/// let event = verifier.open(Some(signature.as_bytes()), body)?;
/// assert_eq!((event.job.id.as_str(), event.job.state), ("cm5x1", JobState::Succeeded));
///
/// let changed = String::from_utf8_lossy(body).replace("cm5x1", "cm5x2");
/// assert_eq!(verifier.open(Some(signature.as_bytes()), changed.as_bytes()), Err(WebhookFault::Signature));
/// # Ok(())
/// # }
/// ```
pub struct WebhookVerifier {
    key: hmac::Key,
}

impl fmt::Debug for WebhookVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookVerifier")
    }
}

impl WebhookVerifier {
    /// A verifier for this secret.
    ///
    /// ```
    /// use dream_core::Fault;
    /// use dream_core::protocol::webhook::WebhookVerifier;
    ///
    /// assert!(matches!(WebhookVerifier::new(&"".into()), Err(Fault::Required)), "everybody could sign");
    /// ```
    ///
    /// # Errors
    /// [`Fault::Required`] if the secret is empty, since then everybody could sign.
    pub fn new(secret: &SecretString) -> Result<Self, Fault> {
        let secret = secret.expose_secret().as_bytes();
        if secret.is_empty() {
            return Err(Fault::Required);
        }
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret) })
    }

    /// The event, if the header's value signs exactly these bytes.
    ///
    /// ```
    /// use dream_core::protocol::webhook::{WebhookFault, WebhookVerifier};
    ///
    /// let verifier = WebhookVerifier::new(&"the webhook secret".into()).unwrap();
    /// let body = br#"{"eventId":"ev-1","jobId":"cm5x1","status":"RUNNING","timestamp":1769600000000}"#;
    /// let signature = verifier.sign(body);
    /// assert_eq!(verifier.open(Some(signature.as_bytes()), body).unwrap().event_id, "ev-1");
    /// assert_eq!(verifier.open(None, body), Err(WebhookFault::Signature));
    /// ```
    ///
    /// # Errors
    /// [`WebhookFault`].
    pub fn open(&self, signature: Option<&[u8]>, body: &[u8]) -> Result<JobEvent, WebhookFault> {
        let digits = signature
            .and_then(|value| value.strip_prefix(PREFIX.as_bytes()))
            .filter(|digits| digits.len() == 64)
            .ok_or(WebhookFault::Signature)?;
        let mut tag = [0; 32];
        hex::decode_to_slice(digits, &mut tag).map_err(|_| WebhookFault::Signature)?;
        hmac::verify(&self.key, body, &tag).map_err(|_| WebhookFault::Signature)?;
        let wire: EventWire = foreign::json(body).map_err(|_| WebhookFault::Body)?;
        wire.into_event().ok_or(WebhookFault::Body)
    }

    /// The header's value for this body, as the image API makes it.
    ///
    /// ```
    /// use dream_core::protocol::webhook::WebhookVerifier;
    ///
    /// // For a test of one's own route.
    /// let verifier = WebhookVerifier::new(&"the webhook secret".into()).unwrap();
    /// let (prefix, digits) = ("sha256=", 64);
    /// let signature = verifier.sign(b"{}");
    /// assert!(signature.starts_with(prefix) && signature.len() == prefix.len() + digits);
    /// ```
    pub fn sign(&self, body: &[u8]) -> String {
        format!("{PREFIX}{}", hex::encode(hmac::sign(&self.key, body)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventWire {
    event_id: String,
    job_id: String,
    status: String,
    #[serde(default, deserialize_with = "results")]
    result_urls: Vec<String>,
    error: Option<ErrorWire>,
    timestamp: i64,
}

impl EventWire {
    fn into_event(self) -> Option<JobEvent> {
        let fits = |id: &str| !id.is_empty() && id.len() <= MAX_ID_LEN;
        if !fits(&self.event_id) || !fits(&self.job_id) {
            return None;
        }
        let job = UpstreamJob {
            id: self.job_id,
            state: JobState::parse(&self.status)?,
            result_urls: self.result_urls,
            error: self.error.map(Into::into),
        };
        let at = Timestamp::from_micros(self.timestamp.saturating_mul(1000));
        Some(JobEvent { event_id: self.event_id, job, at })
    }
}
