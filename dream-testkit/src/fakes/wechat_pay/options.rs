use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dream_core::ports::{Clock, Entropy};
use serde::{Deserialize, Serialize};

use super::book::RefundStatus;
use super::keys::test_value;
use crate::entropy::SeededEntropy;

/// How the fake is set up. The keys are always the published test keys.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_testkit::clock::TestClock;
/// use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
/// use std::sync::Arc;
///
/// let options = WeChatPayOptions::new(Arc::new(TestClock::default()));
/// let pay = FakeWeChatPay::start(options).await?;
/// assert!(pay.orders().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct WeChatPayOptions {
    /// The address to listen on; a free port of 127.0.0.1 if `None`.
    pub bind: Option<SocketAddr>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Nonces and tokens are made of this.
    pub entropy: Arc<dyn Entropy>,
    /// The merchant's number.
    pub mchid: String,
    /// The mini-programs that are bound to the merchant; the first is the one of [`config`](super::FakeWeChatPay::config).
    pub appids: Vec<String>,
    /// The serial number of the merchant's certificate.
    pub merchant_serial: String,
    /// The API v3 key.
    pub api_v3_key: String,
    /// Whether notifies are told by themselves as their time comes.
    pub deliver_by_itself: bool,
    /// Whether a nonce is refused that was used before. WeChat does not say that it does so.
    pub refuse_used_nonces: bool,
    /// How long after one refund of a payment the next one is taken.
    pub refund_gap: Duration,
}

impl WeChatPayOptions {
    /// The merchant of the test keys; notifies wait to be told.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let merchant = |name: &str| test_value(&format!("/merchant/{name}")).to_owned();
        Self {
            bind: None,
            clock,
            entropy: Arc::new(SeededEntropy::new(2)),
            mchid: merchant("mchid"),
            appids: vec![merchant("appid")],
            merchant_serial: merchant("certificate_serial_no"),
            api_v3_key: merchant("apiv3_key"),
            deliver_by_itself: false,
            refuse_used_nonces: false,
            refund_gap: Duration::from_mins(1),
        }
    }
}

/// What becomes of refunds.
///
/// ```
/// use dream_testkit::fakes::wechat_pay::{RefundPlan, RefundStatus};
/// use std::time::Duration;
///
/// // The payer's account cannot take it, as is found after an hour.
/// let plan = RefundPlan { delay: Duration::from_hours(1), outcome: RefundStatus::Abnormal };
/// assert_ne!(plan, RefundPlan::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefundPlan {
    /// How long they take.
    pub delay: Duration,
    /// How they end.
    pub outcome: RefundStatus,
}

impl Default for RefundPlan {
    fn default() -> Self {
        Self { delay: Duration::from_secs(5), outcome: RefundStatus::Success }
    }
}

/// What a merchant has to be configured with to use the fake.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// let us = world.wechat_pay().credentials();
/// assert!(us.platform_key_id.starts_with("PUB_KEY_ID_"));
/// assert_eq!(us.api_v3_key.len(), 32, "bytes");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PayCredentials {
    /// `WECHAT_PAY_BASE_URL`
    pub base_url: String,
    /// `WECHAT_PAY_MCH_ID`
    pub mchid: String,
    /// `WECHAT_PAY_SERIAL_NO`
    pub merchant_serial: String,
    /// `WECHAT_PAY_PRIVATE_KEY`
    pub merchant_key_pem: String,
    /// `WECHAT_PAY_API_V3_KEY`
    pub api_v3_key: String,
    /// `WECHAT_PAY_PUBLIC_KEY_ID`
    pub platform_key_id: String,
    /// `WECHAT_PAY_PUBLIC_KEY`
    pub platform_key_pem: String,
}

/// How the merchant knows that an answer comes from the platform.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_testkit::fakes::wechat_pay::Trust;
///
/// // An older merchant, who downloads the platform's certificates.
/// let config = world.wechat_pay().config_with(
///     Trust::Certificates,
///     "http://127.0.0.1/pay",
///     "http://127.0.0.1/refund",
/// );
/// assert_eq!(config.platform_key_id, None);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// By the platform's public key.
    PublicKey,
    /// By certificates that are downloaded.
    Certificates,
}
