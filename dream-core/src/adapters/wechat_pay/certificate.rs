//! Certificates of the platform, and the list in which they come.

use std::fmt;

use aws_lc_rs::signature::ParsedPublicKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use webpki::EndEntityCert;

use super::cipher::{ApiV3Key, Encrypted};
use super::{pem, text};
use crate::kernel::Timestamp;
use crate::protocol::foreign;

/// A certificate of the platform: a public key with a serial number and a time in which it may be trusted.
///
/// ```
/// use dream_core::adapters::wechat_pay::certificate::PlatformCertificate;
/// # use dream_testkit::fakes::wechat_pay::PlatformKey;
///
/// # let key = PlatformKey::CertificateA;
/// # let pem = key.certificate_pem();
/// let certificate = PlatformCertificate::from_pem(pem.as_bytes()).unwrap();
/// // By this number answers and notifies name it.
/// assert_eq!(certificate.serial(), key.serial());
/// assert!(!certificate.is_valid_at(certificate.expires_at().plus_days(1)));
/// ```
#[derive(Clone)]
pub struct PlatformCertificate {
    serial: String,
    not_before: Timestamp,
    not_after: Timestamp,
    key: ParsedPublicKey,
}

impl fmt::Debug for PlatformCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlatformCertificate")
            .field("serial", &self.serial)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl PlatformCertificate {
    /// The certificate out of its PEM.
    ///
    /// ```
    /// use dream_core::adapters::wechat_pay::certificate::PlatformCertificate;
    /// # use dream_testkit::fakes::wechat_pay::PlatformKey;
    ///
    /// # let pem = PlatformKey::CertificateA.certificate_pem();
    /// assert!(PlatformCertificate::from_pem(pem.as_bytes()).is_ok());
    /// let wrong = PlatformCertificate::from_pem(b"-----BEGIN PUBLIC KEY-----").unwrap_err();
    /// assert_eq!(wrong, "not a certificate in PEM");
    /// ```
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub fn from_pem(text: &[u8]) -> Result<Self, String> {
        let der = CertificateDer::from_pem_slice(text).map_err(|_| "not a certificate in PEM".to_owned())?;
        let certificate =
            EndEntityCert::try_from(&der).map_err(|error| format!("not a certificate: {error}"))?;
        let serial = hex::encode_upper(trim_sign(certificate.serial()));
        let key = pem::spki(&certificate.subject_public_key_info())?;
        let (not_before, not_after) = validity(&der).ok_or("the certificate tells no time of validity")?;
        Ok(Self { serial, not_before, not_after, key })
    }

    /// The serial number in upper-case hex.
    ///
    /// ```
    /// # use dream_core::adapters::wechat_pay::certificate::PlatformCertificate;
    /// # use dream_testkit::fakes::wechat_pay::PlatformKey;
    /// # let pem = PlatformKey::CertificateA.certificate_pem();
    /// # let certificate = PlatformCertificate::from_pem(pem.as_bytes()).unwrap();
    /// // To find the certificate that the header `Wechatpay-Serial` names.
    /// let header = certificate.serial().to_ascii_lowercase();
    /// assert!(certificate.serial().eq_ignore_ascii_case(&header));
    /// ```
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// When it ends.
    ///
    /// ```
    /// # use dream_core::adapters::wechat_pay::certificate::PlatformCertificate;
    /// # use dream_core::kernel::Timestamp;
    /// # use dream_testkit::fakes::wechat_pay::PlatformKey;
    /// # let pem = PlatformKey::CertificateA.certificate_pem();
    /// # let certificate = PlatformCertificate::from_pem(pem.as_bytes()).unwrap();
    /// # let now = Timestamp::from_secs(1_769_600_000);
    /// // For an alarm a month before the platform has to have another one.
    /// let ends_soon = certificate.expires_at() < now.plus_days(30);
    /// assert!(!ends_soon);
    /// ```
    pub fn expires_at(&self) -> Timestamp {
        self.not_after
    }

    /// Whether it may be trusted at this instant.
    ///
    /// ```
    /// # use dream_core::adapters::wechat_pay::certificate::PlatformCertificate;
    /// # use dream_core::kernel::Timestamp;
    /// # use dream_testkit::fakes::wechat_pay::PlatformKey;
    /// # let pem = PlatformKey::CertificateA.certificate_pem();
    /// # let certificate = PlatformCertificate::from_pem(pem.as_bytes()).unwrap();
    /// assert!(certificate.is_valid_at(Timestamp::from_secs(1_769_600_000)));
    /// assert!(!certificate.is_valid_at(Timestamp::from_secs(0)), "not yet");
    /// assert!(!certificate.is_valid_at(certificate.expires_at().plus_days(1)), "no longer");
    /// ```
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    pub(super) fn key(&self) -> &ParsedPublicKey {
        &self.key
    }
}

/// DER puts a zero byte before a number whose first bit is set.
fn trim_sign(serial: &[u8]) -> &[u8] {
    match serial {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    }
}

#[derive(Deserialize)]
struct List {
    data: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    serial_no: String,
    encrypt_certificate: Encrypted,
}

/// The certificates that come into force with an answer of `/v3/certificates`. One that cannot be read spoils the whole
/// answer; one that is not valid now is left out. The answer's own signature is not looked at here.
///
/// ```
/// use dream_core::adapters::wechat_pay::certificate::read_list;
/// use dream_core::adapters::wechat_pay::cipher::ApiV3Key;
/// use dream_core::kernel::Timestamp;
///
/// let key = ApiV3Key::new(&"0123456789abcdef0123456789abcdef".into()).unwrap();
/// let none = read_list(br#"{"data":[]}"#, &key, Timestamp::from_secs(1_769_600_000)).unwrap();
/// assert!(none.is_empty(), "as a merchant with a public key has it");
/// assert!(read_list(b"<html>", &key, Timestamp::from_secs(1_769_600_000)).is_err());
/// ```
///
/// # Errors
/// A text that says what is wrong with the answer.
pub fn read_list(body: &[u8], key: &ApiV3Key, now: Timestamp) -> Result<Vec<PlatformCertificate>, String> {
    let list: List = foreign::json(body)
        .map_err(|error| format!("not a list of certificates: {}", text::misread(&error)))?;
    let mut usable = Vec::new();
    for listed in list.data {
        let pem = key.open(&listed.encrypt_certificate).map_err(|error| format!("a certificate: {error}"))?;
        let certificate = PlatformCertificate::from_pem(&pem)?;
        if !certificate.serial.eq_ignore_ascii_case(&listed.serial_no) {
            return Err("a certificate has another serial number than the list says".to_owned());
        }
        if certificate.is_valid_at(now) {
            usable.push(certificate);
        }
    }
    Ok(usable)
}

/// The start and the end of validity, which webpki reads but does not tell.
fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    const VERSION: u8 = 0xa0;
    let (outer, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(outer, SEQUENCE)?;
    if let Some((_, behind)) = element(rest, VERSION) {
        rest = behind;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, rest) = element(rest, tag)?;
    }
    let (times, _) = element(rest, SEQUENCE)?;
    let (not_before, behind) = time(times)?;
    let (not_after, _) = time(behind)?;
    Some((not_before, not_after))
}

/// The content of the DER element at the front, if it has this tag, and what stands behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let digits = usize::from(first & 0x7f);
        if !(1..=4).contains(&digits) || rest.len() < digits {
            return None;
        }
        let (digits, rest) = rest.split_at(digits);
        (digits.iter().fold(0, |sum, &digit| (sum << 8) | usize::from(digit)), rest)
    };
    rest.split_at_checked(length)
}

/// `UTCTime` (two digits of the year, from 1950) or `GeneralizedTime`, always in UTC.
fn time(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let (text, rest) = if let Some((text, rest)) = element(der, UTC_TIME) {
        let century = if text.first()? < &b'5' { "20" } else { "19" };
        ([century.as_bytes(), text].concat(), rest)
    } else {
        let (text, rest) = element(der, GENERALIZED_TIME)?;
        (text.to_vec(), rest)
    };
    let text = std::str::from_utf8(&text).ok()?.strip_suffix('Z')?;
    let at = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
    let at = at.to_zoned_datetime(jiff::tz::TimeZone::UTC).ok()?;
    Some((Timestamp::from_micros(at.timestamp().as_microsecond()), rest))
}
