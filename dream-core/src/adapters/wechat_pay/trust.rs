//! Verification of what the platform signed: answers and notifies.

use std::fmt;

use aws_lc_rs::signature::ParsedPublicKey;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::certificate::PlatformCertificate;
use super::pem;
use crate::kernel::Timestamp;
use crate::ports::{NotifyRefusal, RefusedAt};

/// What the id of a platform public key starts with.
pub const PUBLIC_KEY_PREFIX: &str = "PUB_KEY_ID_";
/// What the signature of a deliberate probe starts with.
pub const PROBE_PREFIX: &str = "WECHATPAY/SIGNTEST/";
/// A difference of this many seconds between the clocks is too much.
pub const CLOCK_WINDOW_SECS: u64 = 300;

/// The platform's public key, which has no end, under its id.
///
/// ```
/// use dream_core::adapters::wechat_pay::trust::PlatformPublicKey;
/// # use dream_testkit::fakes::wechat_pay::PlatformKey;
///
/// # let pem = PlatformKey::PublicKey.public_key_pem();
/// let key = PlatformPublicKey::new("PUB_KEY_ID_0119000001092026010100000000000000", pem).unwrap();
/// assert_eq!(key.id(), "PUB_KEY_ID_0119000001092026010100000000000000");
/// ```
#[derive(Clone)]
pub struct PlatformPublicKey {
    id: String,
    key: ParsedPublicKey,
}

impl fmt::Debug for PlatformPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PlatformPublicKey").field(&self.id).finish()
    }
}

impl PlatformPublicKey {
    /// The key out of its PEM.
    ///
    /// ```
    /// use dream_core::adapters::wechat_pay::trust::PlatformPublicKey;
    ///
    /// let wrong = PlatformPublicKey::new("PUB_KEY_ID_0119", "-----BEGIN PRIVATE KEY-----").unwrap_err();
    /// assert_eq!(wrong, "this is a private key; the platform's public key is wanted");
    /// ```
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub fn new(id: &str, pem: &str) -> Result<Self, String> {
        Ok(Self { id: id.to_owned(), key: pem::public_key(pem)? })
    }

    /// The id, by which answers and notifies name it.
    ///
    /// ```
    /// use dream_core::adapters::wechat_pay::trust::{PUBLIC_KEY_PREFIX, PlatformPublicKey};
    /// # use dream_testkit::fakes::wechat_pay::PlatformKey;
    ///
    /// # let (id, pem) = (PlatformKey::PublicKey.serial(), PlatformKey::PublicKey.public_key_pem());
    /// let key = PlatformPublicKey::new(id, pem).unwrap();
    /// // By its beginning the header `Wechatpay-Serial` tells it from a certificate's number.
    /// assert!(key.id().starts_with(PUBLIC_KEY_PREFIX));
    /// ```
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// The keys that are trusted at some time.
///
/// ```
/// use dream_core::adapters::wechat_pay::trust::{SignatureHeaders, TrustedKeys};
/// use dream_core::kernel::Timestamp;
/// use dream_core::ports::RefusedAt;
///
/// let now = Timestamp::from_secs(1_769_600_000);
/// let headers = SignatureHeaders {
///     timestamp: Some("1769600000"),
///     nonce: Some("593BEC0C930BF1AF"),
///     serial: Some("7132D72A03E9"),
///     signature: Some("AAAA"),
/// };
/// // Whoever trusts no key believes nobody.
/// assert_eq!(TrustedKeys::default().verify(headers, b"{}", now).unwrap_err().at, RefusedAt::Serial);
/// // The clock is looked at first: five minutes are too much.
/// assert_eq!(
///     TrustedKeys::default().verify(headers, b"{}", now.plus_days(1)).unwrap_err().at,
///     RefusedAt::Clock
/// );
/// ```
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys {
    /// The public key, where the merchant has one.
    pub public_key: Option<PlatformPublicKey>,
    /// The certificates.
    pub certificates: Vec<PlatformCertificate>,
}

/// The four headers that carry a signature. `None` where one is absent.
///
/// ```
/// use dream_core::adapters::wechat_pay::trust::SignatureHeaders;
/// use dream_core::ports::SignedNotify;
///
/// let notify = SignedNotify::new([("wechatpay-signature", "WECHATPAY/SIGNTEST/abcd")], "{}");
/// let headers = SignatureHeaders::read(|name| notify.header(name));
/// // The platform sends wrong signatures on purpose, to see that they are refused.
/// assert!(headers.is_probe() && headers.timestamp.is_none());
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SignatureHeaders<'a> {
    /// `Wechatpay-Timestamp`.
    pub timestamp: Option<&'a str>,
    /// `Wechatpay-Nonce`.
    pub nonce: Option<&'a str>,
    /// `Wechatpay-Serial`.
    pub serial: Option<&'a str>,
    /// `Wechatpay-Signature`.
    pub signature: Option<&'a str>,
}

impl<'a> SignatureHeaders<'a> {
    /// The headers, looked up by name.
    ///
    /// ```
    /// use dream_core::adapters::wechat_pay::trust::SignatureHeaders;
    ///
    /// # let mut map = std::collections::BTreeMap::new();
    /// # map.insert("wechatpay-serial".to_owned(), "7132D72A03E9".to_owned());
    /// // Whatever keeps the headers, such as a map with names in small letters.
    /// let headers = SignatureHeaders::read(|name| map.get(&name.to_ascii_lowercase()).map(String::as_str));
    /// assert_eq!((headers.serial, headers.nonce), (Some("7132D72A03E9"), None));
    /// ```
    pub fn read(header: impl Fn(&str) -> Option<&'a str>) -> Self {
        Self {
            timestamp: header("Wechatpay-Timestamp"),
            nonce: header("Wechatpay-Nonce"),
            serial: header("Wechatpay-Serial"),
            signature: header("Wechatpay-Signature"),
        }
    }

    /// Whether this is one of the platform's deliberate probes.
    ///
    /// ```
    /// use dream_core::adapters::wechat_pay::trust::{PROBE_PREFIX, SignatureHeaders};
    ///
    /// let signature = format!("{PROBE_PREFIX}6OeWtm");
    /// let probe = SignatureHeaders { signature: Some(&signature), ..SignatureHeaders::default() };
    /// // Refused as any wrong signature is, but no reason to wake anybody.
    /// assert!(probe.is_probe() && !SignatureHeaders::default().is_probe());
    /// ```
    pub fn is_probe(&self) -> bool {
        self.signature.is_some_and(|signature| signature.starts_with(PROBE_PREFIX))
    }

    /// All four, with a time that is near enough.
    fn timely(&self, now: Timestamp) -> Result<Claim<'a>, NotifyRefusal> {
        let present = |header: Option<&'a str>| header.filter(|value| !value.is_empty());
        let (Some(timestamp), Some(nonce), Some(serial), Some(signature)) =
            (present(self.timestamp), present(self.nonce), present(self.serial), present(self.signature))
        else {
            return Err(self.refuse(RefusedAt::Headers, "a Wechatpay-* header is missing"));
        };
        let told = Some(timestamp)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse::<i64>().ok());
        match told {
            Some(told) if told.abs_diff(now.as_secs()) < CLOCK_WINDOW_SECS => {
                Ok(Claim { timestamp, nonce, serial, signature })
            }
            Some(_) => {
                Err(self.refuse(RefusedAt::Clock, "signed 5 minutes or more before or after our own time"))
            }
            None => Err(self.refuse(RefusedAt::Clock, "the timestamp is not a plain integer")),
        }
    }

    fn refuse(&self, at: RefusedAt, message: &str) -> NotifyRefusal {
        NotifyRefusal { probe: self.is_probe(), ..NotifyRefusal::new(at, message) }
    }
}

struct Claim<'a> {
    timestamp: &'a str,
    nonce: &'a str,
    serial: &'a str,
    signature: &'a str,
}

impl TrustedKeys {
    /// The key of this serial number or id, if it is trusted now.
    fn key(&self, serial: &str, now: Timestamp) -> Option<&ParsedPublicKey> {
        if serial.starts_with(PUBLIC_KEY_PREFIX) {
            return self.public_key.as_ref().filter(|public| public.id == serial).map(|public| &public.key);
        }
        let named = |known: &&PlatformCertificate| known.serial().eq_ignore_ascii_case(serial);
        self.certificates
            .iter()
            .find(named)
            .filter(|known| known.is_valid_at(now))
            .map(PlatformCertificate::key)
    }

    /// Whether the platform signed these bytes, just now.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// use dream_core::adapters::wechat_pay::trust::{PlatformPublicKey, SignatureHeaders, TrustedKeys};
    /// use dream_core::ports::{Clock as _, RefusedAt};
    ///
    /// # let us = wechat_pay.credentials();
    /// # let public_key = PlatformPublicKey::new(&us.platform_key_id, &us.platform_key_pem)?;
    /// # let notify = wechat_pay.seal("TRANSACTION.SUCCESS", &serde_json::json!({}), None);
    /// let trusted = TrustedKeys { public_key: Some(public_key), ..TrustedKeys::default() };
    /// let headers = SignatureHeaders::read(|name| notify.header(name));
    /// trusted.verify(headers, notify.body(), clock.now()).unwrap();
    /// // One more space in the body is another body.
    /// let changed = [notify.body(), &b" "[..]].concat();
    /// let refused = trusted.verify(headers, &changed, clock.now()).unwrap_err();
    /// assert_eq!(refused.at, RefusedAt::Signature);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The first check that failed: headers, clock, serial, signature.
    pub fn verify(
        &self,
        headers: SignatureHeaders<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), NotifyRefusal> {
        let claim = headers.timely(now)?;
        if headers.is_probe() {
            return Err(headers.refuse(RefusedAt::Signature, "a probe of the platform"));
        }
        let key = self
            .key(claim.serial, now)
            .ok_or_else(|| headers.refuse(RefusedAt::Serial, "signed by a key that is not trusted"))?;
        let wrong = || headers.refuse(RefusedAt::Signature, "the signature is wrong");
        let signature = STANDARD.decode(claim.signature).map_err(|_| wrong())?;
        let head = format!("{}\n{}\n", claim.timestamp, claim.nonce);
        let message = [head.as_bytes(), body, b"\n"].concat();
        key.verify_sig(&message, &signature).map_err(|_| wrong())
    }
}
