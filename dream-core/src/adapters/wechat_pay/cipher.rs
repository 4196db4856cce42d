//! AES-256-GCM under the API v3 key, as it protects notifies and certificates.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// The API v3 key.
///
/// ```
/// use dream_core::adapters::wechat_pay::cipher::ApiV3Key;
///
/// assert!(ApiV3Key::new(&"0123456789abcdef0123456789abcdef".into()).is_ok());
/// let problem = ApiV3Key::new(&"too short".into()).err().unwrap();
/// assert_eq!(problem, "must have exactly 32 bytes, and has 9", "the key itself is not quoted");
/// ```
pub struct ApiV3Key(LessSafeKey);

impl fmt::Debug for ApiV3Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiV3Key")
    }
}

/// Something encrypted, as it stands in notifies and in the list of certificates.
///
/// ```
/// use dream_core::adapters::wechat_pay::cipher::{ApiV3Key, CannotDecrypt, Encrypted};
///
/// // The `resource` of a notify.
/// let resource: Encrypted = serde_json::from_str(
///     r#"{"algorithm":"AEAD_AES_256_GCM","ciphertext":"AAAAAAAAAAAAAAAAAAAAAA==","nonce":"0123456789ab"}"#,
/// ).unwrap();
/// let key = ApiV3Key::new(&"0123456789abcdef0123456789abcdef".into()).unwrap();
/// assert_eq!(key.open(&resource), Err(CannotDecrypt::Key), "it was encrypted for somebody else");
/// ```
#[derive(Debug, Deserialize)]
pub struct Encrypted {
    algorithm: String,
    ciphertext: String,
    #[serde(default)]
    associated_data: Option<String>,
    nonce: String,
}

/// Why something could not be decrypted.
///
/// ```
/// use dream_core::adapters::wechat_pay::cipher::CannotDecrypt;
///
/// // The usual cause is told to the operator who reads the log.
/// assert!(CannotDecrypt::Key.to_string().contains("The API key of v2 looks just the same"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotDecrypt {
    /// Another algorithm than AES-256-GCM.
    #[error("encrypted with an algorithm that is not AEAD_AES_256_GCM")]
    Algorithm,
    /// The nonce is not 12 bytes, or the ciphertext is not base64.
    #[error("the encrypted part is malformed")]
    Malformed,
    /// Another key, or changed on the way.
    #[error(
        "it does not decrypt with the configured APIv3 key: either it was tampered with, or the key is wrong. \
         The API key of v2 looks just the same but is another setting of the merchant console"
    )]
    Key,
}

impl ApiV3Key {
    /// The key out of its text.
    ///
    /// ```
    /// use dream_core::adapters::wechat_pay::cipher::ApiV3Key;
    ///
    /// // Its 32 characters are the key itself, and no base64 or hex of it.
    /// assert!(ApiV3Key::new(&"0123456789abcdef0123456789abcdef".into()).is_ok());
    /// assert!(ApiV3Key::new(&"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".into()).is_err());
    /// ```
    ///
    /// # Errors
    /// A text that says what is wrong with the key and never quotes it.
    pub fn new(text: &SecretString) -> Result<Self, String> {
        let bytes = text.expose_secret().as_bytes();
        UnboundKey::new(&AES_256_GCM, bytes)
            .map(|key| Self(LessSafeKey::new(key)))
            .map_err(|_| format!("must have exactly 32 bytes, and has {}", bytes.len()))
    }

    /// What was encrypted.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// use dream_core::adapters::wechat_pay::cipher::{ApiV3Key, Encrypted};
    ///
    /// # let content = serde_json::json!({ "trade_state": "SUCCESS" });
    /// # let notify = wechat_pay.seal("TRANSACTION.SUCCESS", &content, None);
    /// # let mut body: serde_json::Value = serde_json::from_slice(notify.body())?;
    /// let key = ApiV3Key::new(&wechat_pay.credentials().api_v3_key.into())?;
    /// // The body of a notify, whose signature was found right before.
    /// let resource: Encrypted = serde_json::from_value(body["resource"].take())?;
    /// assert_eq!(key.open(&resource)?, br#"{"trade_state":"SUCCESS"}"#);
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(&self, sealed: &Encrypted) -> Result<Vec<u8>, CannotDecrypt> {
        if sealed.algorithm != "AEAD_AES_256_GCM" {
            return Err(CannotDecrypt::Algorithm);
        }
        let nonce = Nonce::try_assume_unique_for_key(sealed.nonce.as_bytes())
            .map_err(|_| CannotDecrypt::Malformed)?;
        let mut bytes = STANDARD.decode(&sealed.ciphertext).map_err(|_| CannotDecrypt::Malformed)?;
        let aad = Aad::from(sealed.associated_data.as_deref().unwrap_or_default().as_bytes());
        let plain = self.0.open_in_place(nonce, aad, &mut bytes).map_err(|_| CannotDecrypt::Key)?.len();
        bytes.truncate(plain);
        Ok(bytes)
    }
}
