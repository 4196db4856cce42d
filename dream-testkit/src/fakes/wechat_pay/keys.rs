//! The keys of the fake: made for tests, published with them, and good for nothing else.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

static FILE: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../vectors/keys.json")).unwrap_or(Value::Null));

/// A value of the file of test keys; empty if it is not there, which the fake's own tests would notice.
pub(super) fn test_value(pointer: &str) -> &'static str {
    FILE.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A key that the platform, or somebody who pretends to be it, signs with.
///
/// ```
/// use dream_testkit::fakes::wechat_pay::PlatformKey;
///
/// assert!(PlatformKey::CertificateA.certificate_pem().starts_with("-----BEGIN CERTIFICATE-----"));
/// assert!(PlatformKey::PublicKey.serial().starts_with("PUB_KEY_ID_"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlatformKey {
    /// The current certificate, valid from 2024 to 2028.
    CertificateA,
    /// The next certificate, valid from 2026 to 2030.
    CertificateB,
    /// A certificate that has ended.
    CertificateExpired,
    /// The platform's public key.
    PublicKey,
    /// An attacker's: nothing signed with it may be believed.
    Stranger,
}

impl PlatformKey {
    /// Every key.
    pub const ALL: [PlatformKey; 5] = [
        PlatformKey::CertificateA,
        PlatformKey::CertificateB,
        PlatformKey::CertificateExpired,
        PlatformKey::PublicKey,
        PlatformKey::Stranger,
    ];

    fn place(self) -> &'static str {
        match self {
            PlatformKey::CertificateA => "/platform_certificates/0",
            PlatformKey::CertificateB => "/platform_certificates/1",
            PlatformKey::CertificateExpired => "/platform_certificates/2",
            PlatformKey::PublicKey => "/platform_public_key",
            PlatformKey::Stranger => "/untrusted_key",
        }
    }

    fn value(self, name: &str) -> &'static str {
        test_value(&format!("{}/{name}", self.place()))
    }

    /// The serial number of the certificate, or the id of the public key.
    ///
    /// ```
    /// use dream_testkit::fakes::wechat_pay::PlatformKey;
    ///
    /// assert_ne!(PlatformKey::CertificateA.serial(), PlatformKey::CertificateB.serial());
    /// ```
    pub fn serial(self) -> &'static str {
        self.value(if self == PlatformKey::PublicKey { "id" } else { "serial_no" })
    }

    /// The certificate in PEM; empty for the keys that have none.
    ///
    /// ```
    /// use dream_core::adapters::wechat_pay::certificate::PlatformCertificate;
    /// use dream_testkit::fakes::wechat_pay::PlatformKey;
    ///
    /// let pem = PlatformKey::CertificateB.certificate_pem();
    /// assert!(PlatformCertificate::from_pem(pem.as_bytes()).is_ok());
    /// assert_eq!(PlatformKey::PublicKey.certificate_pem(), "");
    /// ```
    pub fn certificate_pem(self) -> &'static str {
        self.value("certificate_pem")
    }

    /// The public key in PEM; empty for certificates.
    ///
    /// ```
    /// use dream_testkit::fakes::wechat_pay::PlatformKey;
    ///
    /// assert!(PlatformKey::PublicKey.public_key_pem().starts_with("-----BEGIN PUBLIC KEY-----"));
    /// ```
    pub fn public_key_pem(self) -> &'static str {
        self.value("public_key_pem")
    }

    /// From when to when the certificate is valid.
    pub(super) fn validity(self) -> (&'static str, &'static str) {
        (self.value("effective_time"), self.value("expire_time"))
    }
}

/// The private keys of the platform and the public key of the merchant, ready for use.
#[derive(Debug)]
pub(super) struct KeyRing {
    platform: Vec<(PlatformKey, KeyPair)>,
    merchant: ParsedPublicKey,
}

impl KeyRing {
    pub(super) fn open() -> std::io::Result<Self> {
        let broken = |what: &str| std::io::Error::other(format!("the test keys are broken: {what}"));
        let pair = |key: PlatformKey| {
            let der = PrivatePkcs8KeyDer::from_pem_slice(key.value("private_key_pem").as_bytes())
                .map_err(|_| broken(key.place()))?;
            let pair = KeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| broken(key.place()))?;
            Ok((key, pair))
        };
        let platform = PlatformKey::ALL.into_iter().map(pair).collect::<std::io::Result<_>>()?;
        let pem = test_value("/merchant/public_key_pem");
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| broken("merchant"))?;
        let merchant =
            ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &*der).map_err(|_| broken("merchant"))?;
        Ok(Self { platform, merchant })
    }

    /// The signature in base64.
    pub(super) fn sign(&self, key: PlatformKey, message: &[u8]) -> String {
        let Some((_, pair)) = self.platform.iter().find(|(known, _)| *known == key) else {
            return String::new();
        };
        let mut signature = vec![0; pair.public_modulus_len()];
        match pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature) {
            Ok(()) => STANDARD.encode(signature),
            Err(_) => String::new(),
        }
    }

    /// Whether the merchant signed the message.
    pub(super) fn merchant_signed(&self, message: &[u8], signature: &str) -> bool {
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        self.merchant.verify_sig(message, &signature).is_ok()
    }
}
