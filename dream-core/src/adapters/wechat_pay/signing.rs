//! What we sign: requests, and the parameters that the payer's device needs.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use super::pem;
use crate::kernel::Timestamp;
use crate::ports::ClientParams;

/// The name of the only signature scheme of API v3.
pub const SCHEME: &str = "WECHATPAY2-SHA256-RSA2048";

/// The merchant's private key, and the serial number of the certificate that goes with it.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::adapters::wechat_pay::signing::{MerchantKey, SCHEME, ToSign};
///
/// # let us = world.wechat_pay().credentials();
/// # let key_pem = us.merchant_key_pem.as_str().into();
/// let key = MerchantKey::new(&us.mchid, &us.merchant_serial, &key_pem)?;
/// let request = ToSign {
///     method: "GET",
///     target: "/v3/certificates",
///     timestamp: 1_769_600_000,
///     nonce: "593BEC0C930BF1AF",
///     body: b"",
/// };
/// let authorization = key.authorization(request)?;
/// assert!(authorization.starts_with(&format!("{SCHEME} mchid=\"{}\",", us.mchid)));
///
/// let params =
///     key.client_params("wx0123456789abcdef", "wx2611221558", world.now(), "5K8264ILTKCH16CQ".to_owned())?;
/// assert_eq!((params.package.as_str(), params.sign_type.as_str()), ("prepay_id=wx2611221558", "RSA"));
/// # Ok(())
/// # });
/// ```
pub struct MerchantKey {
    mchid: String,
    serial: String,
    pair: RsaKeyPair,
}

impl fmt::Debug for MerchantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MerchantKey")
            .field("mchid", &self.mchid)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

/// Signing failed, which does not happen with a key that was accepted.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::adapters::wechat_pay::signing::{CannotSign, MerchantKey};
///
/// # let us = world.wechat_pay().credentials();
/// # let key = MerchantKey::new(&us.mchid, &us.merchant_serial, &us.merchant_key_pem.as_str().into())?;
/// let signature: Result<String, CannotSign> = key.sign(b"any bytes");
/// // 2048 bits in base64.
/// assert_eq!(signature?.len(), 344);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the merchant's key does not sign")]
pub struct CannotSign;

/// What is signed of a request. The target is path and query, exactly as sent.
///
/// ```
/// use dream_core::adapters::wechat_pay::signing::ToSign;
///
/// let request = ToSign {
///     method: "GET",
///     target: "/v3/pay/transactions/out-trade-no/D20260128-0001?mchid=1900000109",
///     timestamp: 1_769_600_000,
///     nonce: "593BEC0C930BF1AF",
///     body: b"",
/// };
/// let target = request.target;
/// let lines = format!("GET\n{target}\n1769600000\n593BEC0C930BF1AF\n\n");
/// assert_eq!(request.message(), lines.as_bytes(), "an empty body is an empty line");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ToSign<'a> {
    /// Such as `GET`.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Seconds since the epoch.
    pub timestamp: i64,
    /// At most 32 letters and digits, fresh.
    pub nonce: &'a str,
    /// The exact bytes of the body.
    pub body: &'a [u8],
}

impl ToSign<'_> {
    /// The message: five lines, each ended by a line feed.
    ///
    /// ```
    /// use dream_core::adapters::wechat_pay::signing::ToSign;
    ///
    /// let request = ToSign {
    ///     method: "POST",
    ///     target: "/v3/pay/transactions/jsapi",
    ///     timestamp: 1_769_600_000,
    ///     nonce: "593BEC0C930BF1AF",
    ///     body: br#"{"amount":{"total":1999}}"#,
    /// };
    /// // To compare with what the platform's own tool shows when it refuses a signature.
    /// assert_eq!(request.message().split(|&byte| byte == b'\n').nth(4), Some(request.body));
    /// ```
    pub fn message(&self) -> Vec<u8> {
        let head = format!("{}\n{}\n{}\n{}\n", self.method, self.target, self.timestamp, self.nonce);
        [head.as_bytes(), self.body, b"\n"].concat()
    }
}

impl MerchantKey {
    /// The key out of its PEM, PKCS#8 or PKCS#1.
    ///
    /// ```
    /// use dream_core::adapters::wechat_pay::signing::MerchantKey;
    ///
    /// # let certificate = dream_testkit::fakes::wechat_pay::PlatformKey::CertificateA.certificate_pem();
    /// // The wrong one of the two files that the console hands out.
    /// let wrong = MerchantKey::new("1900000109", "7132D72A03E9", &certificate.into()).unwrap_err();
    /// assert_eq!(wrong, "this is a certificate; the private key is in apiclient_key.pem");
    /// ```
    ///
    /// # Errors
    /// A text that says what is wrong with the key and never quotes it.
    pub fn new(mchid: &str, serial: &str, key_pem: &SecretString) -> Result<Self, String> {
        let pair = pem::private_key(key_pem.expose_secret())?;
        Ok(Self { mchid: mchid.to_owned(), serial: serial.to_ascii_uppercase(), pair })
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256, in base64.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::wechat_pay::signing::MerchantKey;
    /// # let us = wechat_pay.credentials();
    /// # let key = MerchantKey::new(&us.mchid, &us.merchant_serial, &us.merchant_key_pem.as_str().into())?;
    /// // The same bytes have the same signature: nothing is drawn.
    /// assert_eq!(key.sign(b"any bytes")?, key.sign(b"any bytes")?);
    /// assert_ne!(key.sign(b"any bytes")?, key.sign(b"other bytes")?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn sign(&self, message: &[u8]) -> Result<String, CannotSign> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| CannotSign)?;
        Ok(STANDARD.encode(signature))
    }

    /// The value of the `Authorization` header.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// use dream_core::adapters::wechat_pay::signing::{MerchantKey, ToSign};
    /// # use dream_core::ports::Clock as _;
    ///
    /// # let us = wechat_pay.credentials();
    /// # let key = MerchantKey::new(&us.mchid, &us.merchant_serial, &us.merchant_key_pem.as_str().into())?;
    /// let target = "/v3/certificates";
    /// let timestamp = clock.now().as_secs();
    /// let request = ToSign { method: "GET", target, timestamp, nonce: "593BEC0C930BF1AF", body: b"" };
    /// // A call that this crate does not make by itself.
    /// let call = reqwest::Client::new()
    ///     .get(format!("{}{target}", us.base_url))
    ///     .header("accept", "application/json")
    ///     .header("user-agent", "my-shop/1.0")
    ///     .header("authorization", key.authorization(request)?);
    /// assert_eq!(call.send().await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn authorization(&self, request: ToSign<'_>) -> Result<String, CannotSign> {
        let signature = self.sign(&request.message())?;
        Ok(format!(
            "{SCHEME} mchid=\"{}\",nonce_str=\"{}\",timestamp=\"{}\",serial_no=\"{}\",signature=\"{signature}\"",
            self.mchid, request.nonce, request.timestamp, self.serial
        ))
    }

    /// The five parameters of `wx.requestPayment`.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::wechat_pay::signing::MerchantKey;
    /// # use dream_core::ports::Clock as _;
    /// # let us = wechat_pay.credentials();
    /// # let key = MerchantKey::new(&us.mchid, &us.merchant_serial, &us.merchant_key_pem.as_str().into())?;
    /// # let nonce = "5K8264ILTKCH16CQ".to_owned();
    /// let params = key.client_params("wx0123456789abcdef", "wx2611221558", clock.now(), nonce)?;
    /// assert_eq!(params.time_stamp, clock.now().as_secs().to_string(), "a text, as the client wants it");
    /// assert_eq!(params.package, "prepay_id=wx2611221558");
    /// # Ok(())
    /// # }
    /// ```
    pub fn client_params(
        &self,
        appid: &str,
        prepay_id: &str,
        at: Timestamp,
        nonce: String,
    ) -> Result<ClientParams, CannotSign> {
        let time_stamp = at.as_secs().to_string();
        let package = format!("prepay_id={prepay_id}");
        let message = format!("{appid}\n{time_stamp}\n{nonce}\n{package}\n");
        let pay_sign = self.sign(message.as_bytes())?;
        Ok(ClientParams { time_stamp, nonce_str: nonce, package, sign_type: "RSA".to_owned(), pay_sign })
    }
}
