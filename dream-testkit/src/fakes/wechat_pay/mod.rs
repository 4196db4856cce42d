//! WeChat Pay API v3 for one merchant: orders, refunds, certificates, bills and notifies.
//!
//! Every request must carry a right `Authorization`; every 2xx answer is signed, by the public key if the caller asks for
//! it. Phones pay by [`FakeWeChatPay::pay`], which checks what they were handed. Notifies wait for
//! [`FakeWeChatPay::deliver_due`], unless the fake tells them by itself ([`WeChatPayOptions::deliver_by_itself`]).
//!
//! [`Faults`] work on every [`operation`]. Beside the usual ones there are these, as [`Fault::special`]:
//!
//! | of an answer or a notify | |
//! |---|---|
//! | `probe` | signed with a deliberate probe |
//! | `wrong_signature`, `forged`, `unknown_serial`, `unsigned`, `stale`, `tampered` | signed wrongly |
//! | `error_after` | an answer alone: does as usual, then answers 500 `SYSTEM_ERROR` |
//! | `pay_before`, `pay_after` | the payer pays just before or after a query or close |
//!
//! | of a notify | |
//! |---|---|
//! | `double`, `parallel` | told twice in a row; five times at once |
//! | `last` | told behind the others that are due |
//! | `lose_all` | never told at all; [`Fault::Drop`] loses one attempt, [`Fault::DropAfter`] its answer |
//! | `wrong_amount`, `wrong_currency`, `wrong_mchid`, `wrong_appid`, `wrong_payer`, `wrong_order` | signed lies |
//! | `undecryptable`, `not_json` | signed nonsense |
//!
//! [`Fault::special`]: crate::faults::Fault::special
//! [`Fault::Drop`]: crate::faults::Fault::Drop
//! [`Fault::DropAfter`]: crate::faults::Fault::DropAfter

mod bill;
mod book;
mod control;
mod keys;
mod notices;
mod options;
mod prepay;
mod refunds;
mod refusal;
mod rig;
mod routes;
mod shapes;
mod signing;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex};

use dream_core::adapters::wechat_pay::{CallLimits, WeChatPayConfig};
use dream_core::kernel::Timestamp;
use dream_core::ports::ClientParams;
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use book::{FakeOrder, FakePayment, FakeRefund, OrderState, RefundStatus};
pub use keys::PlatformKey;
pub use notices::{FakeNotice, NoticeState, NotifyAttempt, RETRY_AFTER_SECS};
pub use options::{PayCredentials, RefundPlan, Trust, WeChatPayOptions};
pub use prepay::CannotPay;

use super::server::{FakeServer, Handler, RequestLog, Setup, handler};
use super::{lock, outgoing_client};
use crate::faults::Faults;
use book::Book;
use keys::{KeyRing, test_value};
use notices::Notices;

/// Names of the operations, for [`Faults`] and [`FakeWeChatPay::calls`].
pub mod operation {
    /// `POST /v3/pay/transactions/jsapi`
    pub const PREPAY: &str = "prepay";
    /// `GET /v3/pay/transactions/out-trade-no/{number}`
    pub const QUERY: &str = "query";
    /// `GET /v3/pay/transactions/id/{id}`
    pub const QUERY_TRANSACTION: &str = "query_transaction";
    /// `POST /v3/pay/transactions/out-trade-no/{number}/close`
    pub const CLOSE: &str = "close";
    /// `POST /v3/refund/domestic/refunds`
    pub const REFUND: &str = "refund";
    /// `GET /v3/refund/domestic/refunds/{number}`
    pub const REFUND_QUERY: &str = "refund_query";
    /// `GET /v3/certificates`
    pub const CERTIFICATES: &str = "certificates";
    /// `GET /v3/bill/tradebill`
    pub const TRADE_BILL: &str = "trade_bill";
    /// `GET /v3/billdownload/file`
    pub const DOWNLOAD: &str = "download";
    /// The announcement of a payment.
    pub const PAYMENT_NOTIFY: &str = "payment_notify";
    /// The announcement of a refund's result.
    pub const REFUND_NOTIFY: &str = "refund_notify";
}

#[derive(Debug)]
struct State {
    book: Book,
    notices: Notices,
    downloads: bill::Downloads,
    /// The certificates that are listed.
    listed: Vec<PlatformKey>,
    /// Signs answers to those who do not ask for the public key.
    answer_key: PlatformKey,
    notify_key: PlatformKey,
    /// What the merchant can give back; no limit if `None`.
    balance: Option<i64>,
    /// `None`: refunds wait for [`FakeWeChatPay::conclude_refund`].
    plan: Option<RefundPlan>,
    plans: BTreeMap<String, Option<RefundPlan>>,
    nonces: HashSet<String>,
    calls: BTreeMap<&'static str, u64>,
}

impl State {
    fn refund_plan(&mut self, out_refund_no: &str) -> Option<RefundPlan> {
        self.plans.remove(out_refund_no).unwrap_or(self.plan)
    }
}

#[derive(Debug)]
struct Inner {
    options: WeChatPayOptions,
    base_url: String,
    http: reqwest::Client,
    ring: KeyRing,
    state: Mutex<State>,
    faults: Faults,
    log: Arc<RequestLog>,
    wake: Notify,
    stop: CancellationToken,
}

impl Inner {
    fn now(&self) -> Timestamp {
        self.options.clock.now()
    }

    /// So many random letters and digits.
    fn nonce(&self, length: usize) -> String {
        const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut bytes = vec![0; length];
        self.options.entropy.fill(&mut bytes);
        bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 62)])).collect()
    }

    /// A number of the platform's: what it counts, the day, and ten digits. They are drawn and not counted, since a
    /// database may outlive the fake and must never meet a number twice.
    fn number(&self, prefix: &str, at: Timestamp) -> String {
        let mut bytes = [0; 8];
        self.options.entropy.fill(&mut bytes);
        let digits = u64::from_be_bytes(bytes) % 10_000_000_000;
        format!("{prefix}{}{digits:010}", shapes::beijing(at).strftime("%Y%m%d"))
    }

    /// Refunds whose time has come get their result, which is announced.
    fn settle(&self, state: &mut State) {
        for number in state.book.settle_refunds(self.now()) {
            self.announce_refund(state, &number);
        }
    }

    /// When something is to be done next.
    fn next_due(&self) -> Option<Timestamp> {
        let state = lock(&self.state);
        [state.notices.next(), state.book.next_refund()].into_iter().flatten().min()
    }
}

/// WeChat Pay on a loopback port. It stops when it is dropped.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::{RechargePoints, WECHAT};
/// use dream_testkit::fakes::wechat_pay::operation;
/// use dream_testkit::faults::Fault;
///
/// let alice = world.alice().await;
/// let placed = alice.session().await.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
/// world.wechat_pay().faults().next(operation::PAYMENT_NOTIFY, Fault::special("double"));
/// // The phone pays with what it was handed, and then the platform tells us, twice.
/// world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
/// world.wechat_pay().deliver_due().await;
/// assert_eq!(alice.points().await, 50, "given once");
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct FakeWeChatPay {
    inner: Arc<Inner>,
    server: FakeServer,
    tasks: TaskTracker,
}

impl FakeWeChatPay {
    /// Starts it.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dream_testkit::clock::TestClock;
    /// use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// use std::sync::Arc;
    ///
    /// let platform = FakeWeChatPay::start(WeChatPayOptions::new(Arc::new(TestClock::default()))).await?;
    /// let stranger = reqwest::get(format!("{}/v3/certificates", platform.base_url())).await?;
    /// assert!(stranger.status().is_client_error(), "who signs nothing gets nothing");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the port cannot be opened.
    pub async fn start(options: WeChatPayOptions) -> io::Result<Self> {
        let setup = Setup::new(options.clock.clone()).at(options.bind);
        let log = setup.log.clone();
        let door = FakeServer::bind(setup).await?;
        let inner = Arc::new(Inner {
            base_url: door.base_url(),
            http: outgoing_client()?,
            ring: KeyRing::open()?,
            state: Mutex::new(State {
                book: Book::default(),
                notices: Notices::default(),
                downloads: bill::Downloads::default(),
                listed: vec![PlatformKey::CertificateA],
                answer_key: PlatformKey::CertificateA,
                notify_key: PlatformKey::PublicKey,
                balance: None,
                plan: Some(RefundPlan::default()),
                plans: BTreeMap::new(),
                nonces: HashSet::new(),
                calls: BTreeMap::new(),
            }),
            faults: Faults::default(),
            log,
            wake: Notify::new(),
            stop: CancellationToken::new(),
            options,
        });
        let desk = inner.clone();
        let server = door.serve(move |request| routes::answer(desk.clone(), request));
        let tasks = TaskTracker::new();
        if inner.options.deliver_by_itself {
            let (fake, deliveries) = (inner.clone(), tasks.clone());
            tasks.spawn(async move {
                let stop = fake.stop.clone();
                stop.run_until_cancelled(notices::deliver_for_ever(fake, deliveries)).await;
            });
        }
        Ok(Self { inner, server, tasks })
    }

    /// Where it answers, without a slash at the end.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// assert_eq!(wechat_pay.credentials().base_url, wechat_pay.base_url());
    /// # Ok(())
    /// # }
    /// ```
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }

    /// The server, to take it down or read its log.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::orders::WECHAT;
    /// # let me = world.alice().await.session().await;
    /// # let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # let (wechat_pay, order) = (world.wechat_pay(), placed.order.order_id.as_str());
    /// // Every request is there, with what was signed.
    /// let asked = &wechat_pay.server().log().of("POST", "/v3/pay/transactions/jsapi")[0].request;
    /// assert!(asked.header("authorization").unwrap().starts_with("WECHATPAY2-SHA256-RSA2048 "));
    /// # assert!(!order.is_empty());
    /// # Ok(())
    /// # });
    /// ```
    pub fn server(&self) -> &FakeServer {
        &self.server
    }

    /// What is to go wrong.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::orders::WECHAT;
    /// # let me = world.alice().await.session().await;
    /// # let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # let (wechat_pay, order) = (world.wechat_pay(), placed.order.order_id.as_str());
    /// use dream_testkit::fakes::wechat_pay::operation;
    /// use dream_testkit::faults::Fault;
    ///
    /// // The answer is lost behind a payment that was closed: whoever asks again is told.
    /// wechat_pay.faults().next(operation::CLOSE, Fault::DropAfter);
    /// assert!(me.cancel_order(&order.parse().unwrap()).await.is_ok());
    /// assert_eq!(wechat_pay.calls(operation::CLOSE), 2);
    /// # Ok(())
    /// # });
    /// ```
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// How often the operation was called.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::orders::WECHAT;
    /// # let me = world.alice().await.session().await;
    /// # let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # let (wechat_pay, order) = (world.wechat_pay(), placed.order.order_id.as_str());
    /// use dream_testkit::fakes::wechat_pay::operation;
    ///
    /// assert_eq!(wechat_pay.calls(operation::PREPAY), 1);
    /// wechat_pay.pay(order, &placed.pay)?;
    /// // Who has paid looks, and so the platform is asked.
    /// me.order(&order.parse().unwrap()).await?;
    /// assert_eq!(wechat_pay.calls(operation::QUERY), 1);
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn calls(&self, operation: &str) -> u64 {
        lock(&self.inner.state).calls.get(operation).copied().unwrap_or(0)
    }

    /// What a merchant has to be configured with.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// let us = wechat_pay.credentials();
    /// assert!(us.merchant_key_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    /// assert!(us.platform_key_pem.starts_with("-----BEGIN PUBLIC KEY-----"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn credentials(&self) -> PayCredentials {
        let options = &self.inner.options;
        PayCredentials {
            base_url: self.base_url(),
            mchid: options.mchid.clone(),
            merchant_serial: options.merchant_serial.clone(),
            merchant_key_pem: test_value("/merchant/private_key_pem").to_owned(),
            api_v3_key: options.api_v3_key.clone(),
            platform_key_id: PlatformKey::PublicKey.serial().to_owned(),
            platform_key_pem: PlatformKey::PublicKey.public_key_pem().to_owned(),
        }
    }

    /// The configuration of a merchant that trusts by the public key, announced to at these addresses.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// use dream_core::adapters::OsEntropy;
    /// use dream_core::adapters::wechat_pay::WeChatPay;
    ///
    /// let config = wechat_pay.config("http://127.0.0.1/pay", "http://127.0.0.1/refund");
    /// assert!(WeChatPay::new(config, clock, std::sync::Arc::new(OsEntropy)).is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn config(&self, notify_url: &str, refund_notify_url: &str) -> WeChatPayConfig {
        self.config_with(Trust::PublicKey, notify_url, refund_notify_url)
    }

    /// [`FakeWeChatPay::config`] with a choice of trust.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// use dream_testkit::fakes::wechat_pay::Trust;
    ///
    /// let (pay, refund) = ("http://127.0.0.1/pay", "http://127.0.0.1/refund");
    /// let key_of = |trust| wechat_pay.config_with(trust, pay, refund).platform_key_id;
    /// assert_eq!(key_of(Trust::PublicKey), Some(wechat_pay.credentials().platform_key_id));
    /// assert_eq!(key_of(Trust::Certificates), None, "they are downloaded");
    /// # Ok(())
    /// # }
    /// ```
    pub fn config_with(&self, trust: Trust, notify_url: &str, refund_notify_url: &str) -> WeChatPayConfig {
        let credentials = self.credentials();
        let public = |value: String| (trust == Trust::PublicKey).then_some(value);
        WeChatPayConfig {
            appid: self.inner.options.appids.first().cloned().unwrap_or_default(),
            mchid: credentials.mchid,
            merchant_serial: credentials.merchant_serial,
            merchant_key_pem: SecretString::from(credentials.merchant_key_pem),
            api_v3_key: SecretString::from(credentials.api_v3_key),
            platform_key_id: public(credentials.platform_key_id),
            platform_key_pem: public(credentials.platform_key_pem),
            notify_url: notify_url.to_owned(),
            refund_notify_url: Some(refund_notify_url.to_owned()),
            base_urls: vec![credentials.base_url],
            limits: CallLimits::default(),
        }
    }

    /// A phone pays with what it was handed, which is checked as the real dialog does; the order must be the one meant.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::orders::WECHAT;
    /// # let me = world.alice().await.session().await;
    /// # let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # let (wechat_pay, order) = (world.wechat_pay(), placed.order.order_id.as_str());
    /// use dream_testkit::fakes::wechat_pay::CannotPay;
    ///
    /// // Not the one meant.
    /// assert_eq!(wechat_pay.pay("D20260101-0002", &placed.pay), Err(CannotPay::NoOrder));
    /// assert_eq!(wechat_pay.pay(order, &placed.pay)?.amount_fen, 1999);
    /// assert_eq!(wechat_pay.pay(order, &placed.pay), Err(CannotPay::NotPayable), "it is paid");
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// If the parameters are wrong or the order cannot be paid.
    pub fn pay(&self, out_trade_no: &str, params: &ClientParams) -> Result<FakePayment, CannotPay> {
        let number = {
            let state = lock(&self.inner.state);
            prepay::check_params(&self.inner, &state, params, self.inner.now())?
        };
        if number != out_trade_no {
            return Err(CannotPay::NoOrder);
        }
        prepay::pay(&self.inner, out_trade_no, None, false)
    }

    /// A user pays the order without showing any parameters. Another user than the order's is a lie that only a fake tells.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::orders::WECHAT;
    /// # let me = world.alice().await.session().await;
    /// # let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # let (wechat_pay, order) = (world.wechat_pay(), placed.order.order_id.as_str());
    /// let payment = wechat_pay.pay_as("o-alice", order)?;
    /// assert_eq!(payment.openid, "o-alice");
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// If the order cannot be paid.
    pub fn pay_as(&self, openid: &str, out_trade_no: &str) -> Result<FakePayment, CannotPay> {
        prepay::pay(&self.inner, out_trade_no, Some(openid), false)
    }

    /// Reads orders, payments and refunds, for another process to go on with.
    pub(crate) fn saver(&self) -> impl Fn() -> Value + Send + Sync + use<> {
        let fake = self.inner.clone();
        move || lock(&fake.state).book.save()
    }

    /// Goes on with what another process saved.
    pub(crate) fn restore(&self, saved: Value) {
        lock(&self.inner.state).book = Book::restore(saved);
        self.inner.wake.notify_waiters();
    }

    /// What stands under `/_control/`, for a page that lies elsewhere.
    pub(crate) fn knobs(&self) -> Handler {
        let fake = self.inner.clone();
        handler(move |request| {
            let fake = fake.clone();
            async move { control::answer(&fake, &request).await }
        })
    }

    /// A phone that pays by itself, for whoever does not hold the fake.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::orders::WECHAT;
    /// # let me = world.alice().await.session().await;
    /// # let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # let (wechat_pay, order) = (world.wechat_pay(), placed.order.order_id.as_str());
    /// // For a task that pays while the test goes on.
    /// let (phone, number) = (wechat_pay.phone(), order.to_owned());
    /// let paid = tokio::spawn(async move { phone.pay(&number) }).await?;
    /// assert_eq!(paid?.amount_fen, 1999);
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn phone(&self) -> Phone {
        Phone(self.inner.clone())
    }

    /// The order is paid once more, under another number of the platform's.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// let once = wechat_pay.add_paid_order("D20260101-0001", "o-alice", 1999);
    /// // What must not happen, and has happened: one order, two payments.
    /// let again = wechat_pay.pay_again("D20260101-0001")?;
    /// assert_ne!(once.transaction_id, again.transaction_id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If there is no such order, or it is closed.
    pub fn pay_again(&self, out_trade_no: &str) -> Result<FakePayment, CannotPay> {
        prepay::pay(&self.inner, out_trade_no, None, true)
    }

    /// All orders, by number.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::orders::WECHAT;
    /// # let me = world.alice().await.session().await;
    /// # let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # let (wechat_pay, order) = (world.wechat_pay(), placed.order.order_id.as_str());
    /// let orders = wechat_pay.orders();
    /// assert_eq!((orders.len(), orders[0].out_trade_no.as_str()), (1, order));
    /// # Ok(())
    /// # });
    /// ```
    pub fn orders(&self) -> Vec<FakeOrder> {
        lock(&self.inner.state).book.orders.values().cloned().collect()
    }

    /// The order of this number.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// wechat_pay.add_paid_order("D20260101-0001", "o-alice", 1999);
    /// assert_eq!(wechat_pay.order("D20260101-0001").unwrap().openid, "o-alice");
    /// assert_eq!(wechat_pay.order("D20260101-0002"), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn order(&self, out_trade_no: &str) -> Option<FakeOrder> {
        lock(&self.inner.state).book.orders.get(out_trade_no).cloned()
    }

    /// All refunds, by number.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// # wechat_pay.add_paid_order("D20260101-0001", "o-alice", 1999);
    /// # let by_hand = format!("{}/_control/refund", wechat_pay.base_url());
    /// # let order = serde_json::json!({ "outTradeNo": "D20260101-0001" });
    /// # let give_back = reqwest::Client::new().post(by_hand).json(&order);
    /// assert!(wechat_pay.refunds().is_empty());
    /// // Somebody gives the money back in the merchant's console.
    /// give_back.send().await?.error_for_status()?;
    /// assert_eq!(wechat_pay.refunds()[0].amount_fen, 1999);
    /// # Ok(())
    /// # }
    /// ```
    pub fn refunds(&self) -> Vec<FakeRefund> {
        let mut state = lock(&self.inner.state);
        self.inner.settle(&mut state);
        state.book.refunds.values().cloned().collect()
    }

    /// Tells everything that is due, each once and one after another; what the receiver made of it.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::orders::WECHAT;
    /// # let me = world.alice().await.session().await;
    /// # let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # let (wechat_pay, order) = (world.wechat_pay(), placed.order.order_id.as_str());
    /// wechat_pay.pay(order, &placed.pay)?;
    /// let attempts = wechat_pay.deliver_due().await;
    /// assert!(attempts.len() == 1 && attempts[0].taken());
    /// assert!(wechat_pay.deliver_due().await.is_empty(), "what was taken is told no more");
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    pub async fn deliver_due(&self) -> Vec<NotifyAttempt> {
        notices::deliver_due(&self.inner).await
    }

    /// Tells this notice now, due or not, so many times at once.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::orders::WECHAT;
    /// # let me = world.alice().await.session().await;
    /// # let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # let (wechat_pay, order) = (world.wechat_pay(), placed.order.order_id.as_str());
    /// wechat_pay.pay(order, &placed.pay)?;
    /// let notice = wechat_pay.notices()[0].number;
    /// wechat_pay.deliver_copies(notice, 5).await;
    /// assert_eq!(world.callbacks().log().of("POST", "/v1/orders/payment-callback").len(), 5);
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    pub async fn deliver_copies(&self, notice: u64, copies: usize) -> Vec<NotifyAttempt> {
        notices::attempt(&self.inner, notice, None, copies).await
    }

    /// When the next notice or refund is due.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::orders::WECHAT;
    /// # let me = world.alice().await.session().await;
    /// # let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # let (wechat_pay, order) = (world.wechat_pay(), placed.order.order_id.as_str());
    /// assert_eq!(wechat_pay.next_due(), None, "there is nothing to tell");
    /// wechat_pay.pay(order, &placed.pay)?;
    /// assert_eq!(wechat_pay.next_due(), Some(world.now()));
    /// // Nobody is there: it is told once more, after a while.
    /// world.callbacks().go_down().await?;
    /// wechat_pay.deliver_due().await;
    /// assert!(wechat_pay.next_due() > Some(world.now()));
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn next_due(&self) -> Option<Timestamp> {
        self.inner.next_due()
    }

    /// What there is to tell, oldest first.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::orders::WECHAT;
    /// # let me = world.alice().await.session().await;
    /// # let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # let (wechat_pay, order) = (world.wechat_pay(), placed.order.order_id.as_str());
    /// wechat_pay.pay(order, &placed.pay)?;
    /// let notice = &wechat_pay.notices()[0];
    /// assert_eq!((notice.event.as_str(), notice.failed), ("TRANSACTION.SUCCESS", 0));
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn notices(&self) -> Vec<FakeNotice> {
        lock(&self.inner.state).notices.all.clone()
    }

    /// What was told, oldest first, and how it was answered.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::orders::WECHAT;
    /// # let me = world.alice().await.session().await;
    /// # let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # let (wechat_pay, order) = (world.wechat_pay(), placed.order.order_id.as_str());
    /// wechat_pay.pay(order, &placed.pay)?;
    /// world.callbacks().go_down().await?;
    /// wechat_pay.deliver_due().await;
    /// assert_eq!(wechat_pay.notify_log()[0].status, None, "there was no answer");
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn notify_log(&self) -> Vec<NotifyAttempt> {
        lock(&self.inner.state).notices.attempts.clone()
    }

    /// Stops and waits until the port is free. Notices that are still due are dropped.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// let address = wechat_pay.server().addr();
    /// wechat_pay.shutdown().await;
    /// assert!(std::net::TcpListener::bind(address).is_ok(), "the port can be had again");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(self) {
        self.inner.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.server.end().await;
    }
}

/// Pays whatever order it is shown, as the user for whom the order was made.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::{RechargePoints, WECHAT};
///
/// let me = world.alice().await.session().await;
/// let placed = me.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
/// let paid = world.wechat_pay().phone().pay(placed.order.order_id.as_str());
/// assert!(paid.is_ok());
/// # world.settle().await;
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Phone(Arc<Inner>);

impl Phone {
    /// Pays the order.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::orders::WECHAT;
    /// # let me = world.alice().await.session().await;
    /// # let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # let (wechat_pay, order) = (world.wechat_pay(), placed.order.order_id.as_str());
    /// let phone = wechat_pay.phone();
    /// assert_eq!(phone.pay(order)?.openid, "o-alice");
    /// assert!(phone.pay(order).is_err(), "it is paid");
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// If the order cannot be paid.
    pub fn pay(&self, out_trade_no: &str) -> Result<FakePayment, CannotPay> {
        prepay::pay(&self.0, out_trade_no, None, false)
    }
}

impl Drop for FakeWeChatPay {
    fn drop(&mut self) {
        self.inner.stop.cancel();
    }
}
