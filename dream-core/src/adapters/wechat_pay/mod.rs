//! WeChat Pay API v3 for mini-programs: everything that a merchant's server does.
//!
//! [`WeChatPay`] is the [`PayChannel`] `wechat`. The parts it is made of are public too, for programs that need one of
//! them alone: [`signing`] (requests and `wx.requestPayment` parameters), [`trust`] (answers and notifies),
//! [`certificate`], [`cipher`], [`bill`] and [`trouble`] (what error answers mean).
//!
//! Protocol facts are those of the platform's documentation, pay.weixin.qq.com, API v3.

pub mod bill;
mod calls;
pub mod certificate;
pub mod cipher;
mod config;
mod keys;
mod notify;
mod pem;
pub mod signing;
mod text;
mod transaction;
mod transport;
pub mod trouble;
pub mod trust;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::kernel::{Day, OrderId, RefundId};
use crate::ports::{
    ChannelOrder, ClientParams, Clock, CloseOutcome, Entropy, Failure, FailureKind, NotifyRefusal, OrderRef,
    PayChannel, PayIdentity, PaymentFacts, Prepaid, PrepayRequest, RefundFacts, RefundRequest, SignedNotify,
    TradeBill,
};
use cipher::ApiV3Key;
pub use config::{CallLimits, ConfigFault, ConfigFaults, WeChatPayConfig};
pub use keys::accept_list;
use keys::{Downloads, PlatformKeys};
use transport::Transport;
use trust::TrustedKeys;

/// How failures name whom we called.
const SERVICE: &str = "wechat_pay";

/// WeChat Pay API v3 as a [`PayChannel`].
///
/// With a platform public key, that key is trusted, and beside it whatever certificates the platform still signs with
/// while a merchant is moved over. Without one, the platform's certificates are downloaded at the first need, every few
/// hours, and when an unknown serial number turns up, at most once a minute.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::adapters::OsEntropy;
/// use dream_core::adapters::wechat_pay::WeChatPay;
/// use dream_core::kernel::Fen;
/// use dream_core::ports::{PayChannel as _, PrepayRequest};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// # let alice = world.alice().await;
/// # let config = world.wechat_pay().config("http://127.0.0.1/pay", "http://127.0.0.1/refund");
/// # let clock = Arc::new(dream_testkit::clock::TestClock::at(world.now()));
/// let wechat_pay = WeChatPay::new(config, clock, Arc::new(OsEntropy))?;
/// let prepaid = wechat_pay.prepay(&PrepayRequest {
///     order: "D20260128-0001".parse().unwrap(),
///     amount: Fen::new(1999),
///     description: "月度会员".to_owned(),
///     payer_openid: alice.openid().to_owned(),
///     expires_at: world.now().plus(Duration::from_mins(30)),
///     attach: None,
///     notify_url: None,
/// }).await?;
/// // For `wx.requestPayment`, signed with the merchant's key.
/// let params = wechat_pay.client_params(&prepaid.prepay_id)?;
/// world.wechat_pay().pay("D20260128-0001", &params).expect("the phone takes the signature");
/// # Ok(())
/// # });
/// ```
pub struct WeChatPay {
    identity: PayIdentity,
    notify_url: String,
    refund_notify_url: Option<String>,
    transport: Transport,
    keys: PlatformKeys,
    cipher: ApiV3Key,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for WeChatPay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeChatPay").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl WeChatPay {
    /// The name of the channel.
    pub const NAME: &'static str = "wechat";

    /// The channel of this merchant. Talks to nobody yet.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// use dream_core::adapters::OsEntropy;
    /// use dream_core::adapters::wechat_pay::WeChatPay;
    /// use std::sync::Arc;
    ///
    /// # let config = wechat_pay.config("http://127.0.0.1/pay", "http://127.0.0.1/refund");
    /// let mut wrong = config.clone();
    /// wrong.mchid = "my shop".to_owned();
    /// wrong.api_v3_key = "too short".into();
    /// let faults = WeChatPay::new(wrong, clock.clone(), Arc::new(OsEntropy)).unwrap_err();
    /// assert_eq!(faults.0.iter().map(|fault| fault.field).collect::<Vec<_>>(), ["mchid", "api_v3_key"]);
    /// assert!(WeChatPay::new(config, clock, Arc::new(OsEntropy)).is_ok());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong with the configuration, at once.
    pub fn new(
        config: WeChatPayConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, ConfigFaults> {
        let checked = config.check()?;
        let public_key_id = checked.public_key.as_ref().map(|key| key.id().to_owned());
        let transport = Transport::new(
            checked.bases,
            checked.key,
            public_key_id,
            config.limits,
            Arc::clone(&clock),
            entropy,
        )
        .map_err(|problem| ConfigFaults(vec![ConfigFault { field: "limits", problem }]))?;
        Ok(Self {
            identity: PayIdentity { mchid: config.mchid, appid: config.appid },
            notify_url: config.notify_url,
            refund_notify_url: config.refund_notify_url,
            transport,
            keys: PlatformKeys::new(checked.public_key),
            cipher: checked.cipher,
            clock,
        })
    }

    /// Downloads the platform's certificates now, to see at start-up that key, serial number and API v3 key are right.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::OsEntropy;
    /// # use dream_core::adapters::wechat_pay::WeChatPay;
    /// # use dream_testkit::fakes::wechat_pay::Trust;
    /// # let (pay, refund) = ("http://127.0.0.1/pay", "http://127.0.0.1/refund");
    /// # let config = wechat_pay.config_with(Trust::Certificates, pay, refund);
    /// # let channel = WeChatPay::new(config, clock, std::sync::Arc::new(OsEntropy))?;
    /// // A key that does not fit its serial number would be noticed here, and not at the first payment.
    /// channel.download_certificates().await?;
    /// assert_eq!(channel.trusted_keys().certificates.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As the download fails. A merchant with a public key may have no certificates: [`FailureKind::Misconfigured`].
    pub async fn download_certificates(&self) -> Result<(), Failure> {
        self.keys.download(&self.downloads()).await
    }

    /// The keys that are trusted now.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::OsEntropy;
    /// # use dream_core::adapters::wechat_pay::WeChatPay;
    /// # let config = wechat_pay.config("http://127.0.0.1/pay", "http://127.0.0.1/refund");
    /// # let channel = WeChatPay::new(config, clock, std::sync::Arc::new(OsEntropy))?;
    /// // Of a merchant with the platform's public key, before anything was downloaded.
    /// let trusted = channel.trusted_keys();
    /// assert!(trusted.public_key.is_some() && trusted.certificates.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn trusted_keys(&self) -> Arc<TrustedKeys> {
        self.keys.trusted()
    }

    fn downloads(&self) -> Downloads<'_> {
        Downloads { transport: &self.transport, cipher: &self.cipher, now: self.clock.now() }
    }
}

#[async_trait]
impl PayChannel for WeChatPay {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn identity(&self) -> &PayIdentity {
        &self.identity
    }

    async fn prepay(&self, request: &PrepayRequest) -> Result<Prepaid, Failure> {
        self.call_prepay(request).await
    }

    fn client_params(&self, prepay_id: &str) -> Result<ClientParams, Failure> {
        self.transport
            .key()
            .client_params(&self.identity.appid, prepay_id, self.clock.now(), self.transport.nonce())
            .map_err(|error| Failure::new(SERVICE, FailureKind::Misconfigured, error.to_string()))
    }

    async fn query(&self, order: OrderRef<'_>) -> Result<ChannelOrder, Failure> {
        self.call_query(order).await
    }

    async fn close(&self, order: &OrderId) -> Result<CloseOutcome, Failure> {
        self.call_close(order).await
    }

    async fn refund(&self, request: &RefundRequest) -> Result<RefundFacts, Failure> {
        self.call_refund(request).await
    }

    async fn query_refund(&self, refund: &RefundId) -> Result<Option<RefundFacts>, Failure> {
        self.call_query_refund(refund).await
    }

    async fn payment_notify(&self, notify: &SignedNotify) -> Result<PaymentFacts, NotifyRefusal> {
        self.read_payment_notify(notify).await
    }

    async fn refund_notify(&self, notify: &SignedNotify) -> Result<RefundFacts, NotifyRefusal> {
        self.read_refund_notify(notify).await
    }

    async fn trade_bill(&self, day: Day) -> Result<TradeBill, Failure> {
        self.call_trade_bill(day).await
    }
}
