//! The platform's keys as they change: certificates are downloaded, refreshed before they end, and looked for when an
//! unknown one turns up.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, MutexGuard};

use super::SERVICE;
use super::certificate::{PlatformCertificate, read_list};
use super::cipher::ApiV3Key;
use super::transport::{Request, Transport};
use super::trust::{PlatformPublicKey, SignatureHeaders, TrustedKeys};
use crate::kernel::Timestamp;
use crate::ports::{Failure, FailureKind, NotifyRefusal, RefusedAt, pay_code};

/// Certificates are downloaded anew at this age, so that at least two downloads fall into the last 12 hours of one.
const REFRESH_AFTER: Duration = Duration::from_hours(6);
/// No two downloads within this time, whatever serial numbers strangers send.
const REFRESH_GAP: Duration = Duration::from_mins(1);
/// A notify waits for a download, and must be answered within 5 s.
const REFRESH_LIMIT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct PlatformKeys {
    trusted: ArcSwap<TrustedKeys>,
    loaded_at: ArcSwap<Option<Timestamp>>,
    last: Mutex<LastDownload>,
}

#[derive(Debug, Default)]
struct LastDownload {
    tried_at: Option<Timestamp>,
    /// Why the last one failed.
    trouble: Option<Failure>,
}

impl PlatformKeys {
    pub(super) fn new(public_key: Option<PlatformPublicKey>) -> Self {
        Self {
            trusted: ArcSwap::from_pointee(TrustedKeys { public_key, certificates: Vec::new() }),
            loaded_at: ArcSwap::from_pointee(None),
            last: Mutex::default(),
        }
    }

    pub(super) fn trusted(&self) -> Arc<TrustedKeys> {
        self.trusted.load_full()
    }

    /// Whether the platform signed these bytes just now. Downloads certificates where that can help.
    pub(super) async fn verify(
        &self,
        source: &Downloads<'_>,
        headers: SignatureHeaders<'_>,
        body: &[u8],
    ) -> Result<(), NotifyRefusal> {
        // A probe must not make us call anybody.
        if !headers.is_probe() && self.is_stale(source.now) {
            self.refresh(source).await;
        }
        let refusal = match self.trusted().verify(headers, body, source.now) {
            Err(refusal) if refusal.at == RefusedAt::Serial && !refusal.probe => refusal,
            verdict => return verdict,
        };
        let trouble = self.download_unless_recent(source).await;
        match self.trusted().verify(headers, body, source.now) {
            Err(again) if again.at == RefusedAt::Serial => Err(match trouble {
                Some(why) => NotifyRefusal { message: format!("{} ({why})", again.message), ..again },
                None => refusal,
            }),
            verdict => verdict,
        }
    }

    /// Whether the certificates have come of age. Beside a public key they are looked for only when one turns up that is
    /// unknown: that key has no end, and there may be no certificates at all.
    fn is_stale(&self, now: Timestamp) -> bool {
        let of_age = |loaded_at| now.since(loaded_at) >= REFRESH_AFTER;
        self.trusted.load().public_key.is_none() && self.loaded_at.load().is_none_or(of_age)
    }

    /// Downloads certificates that have come of age. While one caller does, the others go on with the old ones; if there
    /// are none yet, all wait.
    async fn refresh(&self, source: &Downloads<'_>) {
        if self.loaded_at.load().is_none() {
            self.download_unless_recent(source).await;
        } else if let Ok(last) = self.last.try_lock() {
            self.download_under(last, source).await;
        }
    }

    /// Downloads the certificates, unless that was tried within the last minute; why the last download failed, if so.
    async fn download_unless_recent(&self, source: &Downloads<'_>) -> Option<String> {
        let last = self.last.lock().await;
        self.download_under(last, source).await
    }

    async fn download_under(
        &self,
        mut last: MutexGuard<'_, LastDownload>,
        source: &Downloads<'_>,
    ) -> Option<String> {
        let recent = |tried_at: Timestamp| tried_at <= source.now && source.now.since(tried_at) < REFRESH_GAP;
        if !last.tried_at.is_some_and(recent) {
            last.tried_at = Some(source.now);
            last.trouble = self.download(source).await.err();
        }
        last.trouble.as_ref().map(|failure| format!("certificates: {}", failure.message))
    }

    /// Downloads the certificates and puts them in force. A failure leaves the old ones.
    pub(super) async fn download(&self, source: &Downloads<'_>) -> Result<(), Failure> {
        let outcome = match tokio::time::timeout(REFRESH_LIMIT, self.fetch(source)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::new(SERVICE, FailureKind::TimedOut, "the download took too long")),
        };
        let label = if outcome.is_ok() { "ok" } else { "failed" };
        metrics::counter!("dream_wechat_pay_certificate_downloads_total", "outcome" => label).increment(1);
        match outcome {
            Ok(certificates) => {
                self.put_in_force(certificates, source.now);
                Ok(())
            }
            Err(failure) => {
                tracing::warn!(error = %failure, "the platform's certificates could not be downloaded");
                Err(failure)
            }
        }
    }

    fn put_in_force(&self, certificates: Vec<PlatformCertificate>, now: Timestamp) {
        let public_key = self.trusted.load().public_key.clone();
        if let Some(end) = certificates.iter().map(PlatformCertificate::expires_at).max() {
            #[expect(clippy::cast_precision_loss, reason = "a gauge of seconds needs no more precision")]
            metrics::gauge!("dream_wechat_pay_certificate_expires_timestamp_seconds")
                .set(end.as_secs() as f64);
        }
        tracing::info!(certificates = certificates.len(), "the platform's certificates are in force");
        self.trusted.store(Arc::new(TrustedKeys { public_key, certificates }));
        self.loaded_at.store(Arc::new(Some(now)));
    }

    async fn fetch(&self, source: &Downloads<'_>) -> Result<Vec<PlatformCertificate>, Failure> {
        let request = Request::get("wechat_pay.certificates", "/v3/certificates".to_owned());
        let answer = source.transport.send(&request).await.map_err(|failure| {
            if failure.code.as_deref() == Some(pay_code::NOT_FOUND) { no_certificates() } else { failure }
        })?;
        let headers = SignatureHeaders::read(|name| answer.header(name));
        accept_list(&self.trusted(), source.cipher, headers, &answer.body, source.now)
    }
}

/// What a download needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Downloads<'a> {
    pub(super) transport: &'a Transport,
    pub(super) cipher: &'a ApiV3Key,
    pub(super) now: Timestamp,
}

fn no_certificates() -> Failure {
    let message = "this merchant has no platform certificates: it needs the platform's public key and its id";
    Failure::new(SERVICE, FailureKind::Misconfigured, message)
}

/// The certificates that an answer of `/v3/certificates` brings into force, if it was signed by one of them or by a key
/// trusted already: at the very first download no other key is known.
///
/// ```
/// use dream_core::adapters::wechat_pay::accept_list;
/// use dream_core::adapters::wechat_pay::cipher::ApiV3Key;
/// use dream_core::adapters::wechat_pay::trust::{SignatureHeaders, TrustedKeys};
/// use dream_core::kernel::Timestamp;
/// use dream_core::ports::FailureKind;
///
/// let key = ApiV3Key::new(&"0123456789abcdef0123456789abcdef".into()).unwrap();
/// let now = Timestamp::from_secs(1_769_600_000);
/// // A list that nobody has signed brings nothing into force.
/// let refused =
///     accept_list(&TrustedKeys::default(), &key, SignatureHeaders::default(), br#"{"data":[]}"#, now);
/// assert_eq!(refused.unwrap_err().kind, FailureKind::Unknown);
/// ```
///
/// # Errors
/// [`FailureKind::Misconfigured`] if nothing decrypts or there is none, [`FailureKind::Unknown`] if it cannot be trusted.
pub fn accept_list(
    trusted: &TrustedKeys,
    cipher: &ApiV3Key,
    headers: SignatureHeaders<'_>,
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<PlatformCertificate>, Failure> {
    let certificates = read_list(body, cipher, now)
        .map_err(|problem| Failure::new(SERVICE, FailureKind::Misconfigured, problem))?;
    let mut known = trusted.clone();
    known.certificates.extend(certificates.iter().cloned());
    known.verify(headers, body, now).map_err(|refusal| {
        let message = format!("the list of certificates: {}", refusal.message);
        Failure::new(SERVICE, FailureKind::Unknown, message).with_code(pay_code::UNVERIFIED)
    })?;
    if certificates.is_empty() { Err(no_certificates()) } else { Ok(certificates) }
}
