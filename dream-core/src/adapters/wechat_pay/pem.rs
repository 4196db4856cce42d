//! Keys out of PEM text, as people paste it.

use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};

/// Smallest RSA modulus in bytes: 2048 bits.
const MIN_MODULUS: usize = 256;

/// An environment variable often holds the line ends as backslash and `n`.
pub(super) fn unescape(pem: &str) -> String {
    pem.trim().trim_matches('"').replace("\\r", "").replace("\\n", "\n")
}

/// The private key in PKCS#8 or PKCS#1. Errors never quote the text.
pub(super) fn private_key(pem: &str) -> Result<RsaKeyPair, String> {
    let text = unescape(pem);
    if text.contains("BEGIN CERTIFICATE") {
        return Err("this is a certificate; the private key is in apiclient_key.pem".to_owned());
    }
    let der = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| "not a private key in PEM (BEGIN PRIVATE KEY or BEGIN RSA PRIVATE KEY)".to_owned())?;
    let pair = match &der {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        _ => return Err("not an RSA key".to_owned()),
    }
    .map_err(|rejected| {
        format!("not a usable RSA private key ({rejected}); it must have at least 2048 bits")
    })?;
    if pair.public_modulus_len() < MIN_MODULUS {
        return Err("the RSA key must have at least 2048 bits".to_owned());
    }
    Ok(pair)
}

/// The public key in SPKI form.
pub(super) fn public_key(pem: &str) -> Result<ParsedPublicKey, String> {
    let text = unescape(pem);
    if text.contains("PRIVATE KEY") {
        return Err("this is a private key; the platform's public key is wanted".to_owned());
    }
    let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes())
        .map_err(|_| "not a public key in PEM (BEGIN PUBLIC KEY)".to_owned())?;
    spki(&der)
}

/// The public key in SPKI form, without its PEM clothes.
pub(super) fn spki(der: &[u8]) -> Result<ParsedPublicKey, String> {
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der)
        .map_err(|_| "not an RSA public key of at least 2048 bits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_no_pem_is_refused_without_being_quoted() {
        for text in ["", "hello-secret", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"] {
            let told = private_key(text).expect_err("no key");
            assert!(!told.contains("secret") && !told.contains("AAAA"), "{told}");
        }
        assert!(public_key("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----").is_err());
    }

    #[test]
    fn line_ends_written_as_backslash_n_become_line_ends() {
        assert_eq!(unescape("\"a\\nb\\r\\n\""), "a\nb\n");
    }
}
