//! Keyed signatures as lower-case hex, and comparing them without telling how much was right.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};

/// HMAC-SHA256 in lower-case hex. The key is the text as it came: a `session_key` is *not* base64-decoded.
///
/// So WeChat signs session checks (empty message) and virtual payments.
///
/// ```
/// use dream_core::protocol::signature::hmac_sha256_hex;
///
/// // What `checkSessionKey` wants as its signature: over nothing at all.
/// let signature = hmac_sha256_hex(&"HyVFkGl5F5OQWJZZaNzBBg==".into(), b"");
/// assert_eq!(signature.len(), 64);
/// ```
pub fn hmac_sha256_hex(key: &SecretString, message: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret().as_bytes());
    hex::encode(hmac::sign(&key, message))
}

/// The `pay_sig` of virtual payments: over a path, or `requestVirtualPayment`, and the text that is sent.
///
/// ```
/// use dream_core::protocol::signature::{hmac_sha256_hex, pay_sig};
///
/// let key = "the app key of virtual payments".into();
/// let body = r#"{"openid":"o-alice","env":0}"#;
/// assert_eq!(
///     pay_sig(&key, "/xpay/query_user_balance", body),
///     hmac_sha256_hex(&key, format!("/xpay/query_user_balance&{body}").as_bytes())
/// );
/// ```
pub fn pay_sig(app_key: &SecretString, path: &str, body: &str) -> String {
    hmac_sha256_hex(app_key, format!("{path}&{body}").as_bytes())
}

/// SHA-1 over the concatenation, as lower-case hex. Only where WeChat prescribes it.
pub(crate) fn sha1_hex(parts: &[&[u8]]) -> String {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    for part in parts {
        context.update(part);
    }
    hex::encode(context.finish())
}

/// Whether both are the same, in a time that depends on their length alone.
///
/// ```
/// use dream_core::protocol::signature::same;
///
/// assert!(same(b"5f2b", b"5f2b"));
/// assert!(!same(b"5f2b", b"5f2c"), "after the same time as any other");
/// ```
pub fn same(left: &[u8], right: &[u8]) -> bool {
    verify_slices_are_equal(left, right).is_ok()
}
