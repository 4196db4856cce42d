//! What tests rig: payments nobody asked for, ends of refunds, keys, and notifies by hand.

use dream_core::ports::SignedNotify;
use serde_json::Value;

use super::book::{FakeOrder, FakePayment, OrderState, RefundStatus};
use super::keys::PlatformKey;
use super::options::RefundPlan;
use super::{FakeWeChatPay, shapes};
use crate::fakes::lock;

impl FakeWeChatPay {
    /// Changes a payment after the fact: its coupon, or what the bill tells of it.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// let payment = wechat_pay.add_paid_order("D20260101-0001", "o-alice", 1999);
    /// // A bill that does not know of it.
    /// wechat_pay.change_payment(&payment.transaction_id, |payment| payment.in_bill = false);
    /// assert!(!wechat_pay.order("D20260101-0001").unwrap().payments[0].in_bill);
    /// # Ok(())
    /// # }
    /// ```
    pub fn change_payment(&self, transaction_id: &str, change: impl FnOnce(&mut FakePayment)) {
        let mut state = lock(&self.inner.state);
        let payments = state.book.orders.values_mut().flat_map(|order| &mut order.payments);
        if let Some(payment) = payments.into_iter().find(|payment| payment.transaction_id == transaction_id) {
            change(payment);
        }
    }

    /// An order that was paid although nobody here asked for it.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// use dream_testkit::fakes::wechat_pay::OrderState;
    ///
    /// // Money that came in without an order of ours, for whoever compares the books with the bill.
    /// wechat_pay.add_paid_order("D20260101-0001", "o-alice", 1999);
    /// assert_eq!(wechat_pay.order("D20260101-0001").unwrap().state, OrderState::Success);
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_paid_order(&self, out_trade_no: &str, openid: &str, amount_fen: i64) -> FakePayment {
        let fake = &self.inner;
        let now = fake.now();
        let mut state = lock(&fake.state);
        let payment = FakePayment {
            transaction_id: fake.number("4200002599", now),
            out_trade_no: out_trade_no.to_owned(),
            openid: openid.to_owned(),
            amount_fen,
            coupon_fen: 0,
            paid_at: now,
            in_bill: true,
            bill_amount_fen: amount_fen,
        };
        let order = FakeOrder {
            out_trade_no: out_trade_no.to_owned(),
            appid: fake.options.appids.first().cloned().unwrap_or_default(),
            state: OrderState::Success,
            amount_fen,
            openid: openid.to_owned(),
            description: "unknown".to_owned(),
            attach: None,
            notify_url: String::new(),
            created_at: now,
            payable_until: now,
            prepay_ids: Vec::new(),
            payments: vec![payment.clone()],
            request: Value::Null,
            prepaid_at: Vec::new(),
        };
        state.book.orders.insert(out_trade_no.to_owned(), order);
        payment
    }

    /// What becomes of refunds from now on; `None`: they wait for [`FakeWeChatPay::conclude_refund`].
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
    /// use dream_testkit::fakes::wechat_pay::{RefundPlan, RefundStatus};
    /// use std::time::Duration;
    ///
    /// let (delay, outcome) = (Duration::from_hours(1), RefundStatus::Abnormal);
    /// wechat_pay.plan_refunds(Some(RefundPlan { delay, outcome }));
    /// give_back.send().await?.error_for_status()?;
    /// assert_eq!(wechat_pay.refunds()[0].status, RefundStatus::Processing);
    /// clock.advance(delay);
    /// assert_eq!(wechat_pay.refunds()[0].status, outcome);
    /// # Ok(())
    /// # }
    /// ```
    pub fn plan_refunds(&self, plan: Option<RefundPlan>) {
        lock(&self.inner.state).plan = plan;
    }

    /// What becomes of the refund of this number, which is still to come.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_testkit::fakes::wechat_pay::{RefundPlan, RefundStatus};
    ///
    /// # use dream_core::orders::{RechargePoints, WECHAT};
    /// # let me = world.alice().await.session().await;
    /// # let order = me.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?.order.order_id;
    /// # world.wechat_pay().phone().pay(order.as_str())?;
    /// # world.settle().await;
    /// # let admin = world.admin().await;
    /// let refund = admin.refund_order(&order, None, "changed mind").await?;
    /// // This one is closed; whatever else is given back goes well.
    /// let plan = RefundPlan { outcome: RefundStatus::Closed, ..RefundPlan::default() };
    /// world.wechat_pay().plan_refund(refund.refund_id.as_str(), Some(plan));
    /// world.settle().await;
    /// assert_eq!(world.wechat_pay().refunds()[0].status, RefundStatus::Closed);
    /// # Ok(())
    /// # });
    /// ```
    pub fn plan_refund(&self, out_refund_no: &str, plan: Option<RefundPlan>) {
        lock(&self.inner.state).plans.insert(out_refund_no.to_owned(), plan);
    }

    /// The refund ends like this now, as when somebody acts in the console; whether there is such a refund.
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
    /// use dream_testkit::fakes::wechat_pay::RefundStatus;
    ///
    /// wechat_pay.plan_refunds(None);
    /// give_back.send().await?.error_for_status()?;
    /// let refund = wechat_pay.refunds().remove(0).out_refund_no;
    /// assert!(wechat_pay.conclude_refund(&refund, RefundStatus::Success));
    /// assert_eq!(wechat_pay.refunds()[0].status, RefundStatus::Success);
    /// # Ok(())
    /// # }
    /// ```
    pub fn conclude_refund(&self, out_refund_no: &str, outcome: RefundStatus) -> bool {
        let now = self.inner.now();
        let mut state = lock(&self.inner.state);
        let Some(refund) = state.book.refunds.get_mut(out_refund_no) else { return false };
        refund.conclude(outcome, now);
        self.inner.announce_refund(&mut state, out_refund_no);
        true
    }

    /// What the merchant can give back, in fen; no limit if `None`.
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
    /// // The merchant has taken the money out of the account.
    /// wechat_pay.set_balance(Some(0));
    /// assert!(give_back.send().await?.status().is_client_error());
    /// assert!(wechat_pay.refunds().is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_balance(&self, fen: Option<i64>) {
        lock(&self.inner.state).balance = fen;
    }

    /// Lists these certificates, and signs with this one for those who do not ask for the public key. None listed: the
    /// merchant has only the public key.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// # use dream_core::adapters::OsEntropy;
    /// # use dream_core::adapters::wechat_pay::WeChatPay;
    /// use dream_testkit::fakes::wechat_pay::{PlatformKey, Trust};
    ///
    /// # let (pay, refund) = ("http://127.0.0.1/pay", "http://127.0.0.1/refund");
    /// # let config = wechat_pay.config_with(Trust::Certificates, pay, refund);
    /// # let channel = WeChatPay::new(config, clock, std::sync::Arc::new(OsEntropy))?;
    /// // In the weeks of a change there are two, and the new one signs.
    /// let both = [PlatformKey::CertificateA, PlatformKey::CertificateB];
    /// wechat_pay.set_certificates(&both, PlatformKey::CertificateB);
    /// channel.download_certificates().await?;
    /// assert_eq!(channel.trusted_keys().certificates.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_certificates(&self, listed: &[PlatformKey], signs: PlatformKey) {
        let mut state = lock(&self.inner.state);
        state.listed = listed.to_vec();
        state.answer_key = signs;
    }

    /// Signs notifies with this key from now on. It is the public key at first.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// use dream_testkit::fakes::wechat_pay::PlatformKey;
    ///
    /// wechat_pay.sign_notifies_with(PlatformKey::Stranger);
    /// let notify = wechat_pay.seal("TRANSACTION.SUCCESS", &serde_json::json!({}), None);
    /// assert_eq!(notify.header("Wechatpay-Serial"), Some(PlatformKey::Stranger.serial()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn sign_notifies_with(&self, key: PlatformKey) {
        lock(&self.inner.state).notify_key = key;
    }

    /// The announcement of the order's last payment, signed now, with the trouble of this name if any.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// use dream_core::adapters::OsEntropy;
    /// use dream_core::adapters::wechat_pay::WeChatPay;
    /// use dream_core::kernel::Fen;
    /// use dream_core::ports::PayChannel as _;
    ///
    /// # let config = wechat_pay.config("http://127.0.0.1/pay", "http://127.0.0.1/refund");
    /// # let channel = WeChatPay::new(config, clock.clone(), std::sync::Arc::new(OsEntropy))?;
    /// wechat_pay.add_paid_order("D20260101-0001", "o-alice", 1999);
    /// let right = wechat_pay.sealed_payment("D20260101-0001", None).unwrap();
    /// assert_eq!(channel.payment_notify(&right).await.unwrap().amount, Fen::new(1999));
    /// let stale = wechat_pay.sealed_payment("D20260101-0001", Some("stale")).unwrap();
    /// assert!(channel.payment_notify(&stale).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn sealed_payment(&self, out_trade_no: &str, trouble: Option<&str>) -> Option<SignedNotify> {
        let content = {
            let state = lock(&self.inner.state);
            let order = state.book.orders.get(out_trade_no)?;
            shapes::paid(&self.inner.options.mchid, order, order.payments.last()?, OrderState::Success)
        };
        Some(self.seal("TRANSACTION.SUCCESS", &content, trouble))
    }

    /// The announcement of the refund as it stands, signed now, with the trouble of this name if any.
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
    /// use dream_core::adapters::OsEntropy;
    /// use dream_core::adapters::wechat_pay::WeChatPay;
    /// use dream_core::ports::PayChannel as _;
    ///
    /// # let config = wechat_pay.config("http://127.0.0.1/pay", "http://127.0.0.1/refund");
    /// # let channel = WeChatPay::new(config, clock.clone(), std::sync::Arc::new(OsEntropy))?;
    /// # give_back.send().await?.error_for_status()?;
    /// # clock.advance(std::time::Duration::from_secs(5));
    /// let refund = wechat_pay.refunds().remove(0).out_refund_no;
    /// let notify = wechat_pay.sealed_refund(&refund, None).unwrap();
    /// assert!(channel.refund_notify(&notify).await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn sealed_refund(&self, out_refund_no: &str, trouble: Option<&str>) -> Option<SignedNotify> {
        let (event, content) = {
            let mut state = lock(&self.inner.state);
            self.inner.settle(&mut state);
            let refund = state.book.refunds.get(out_refund_no)?;
            let content = shapes::refund_notice(&self.inner.options.mchid, refund);
            (format!("REFUND.{}", refund.status.word()), content)
        };
        Some(self.seal(&event, &content, trouble))
    }

    /// Any content as a signed notify.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let wechat_pay = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    /// // Rightly signed, and nothing that anybody could read as a payment.
    /// let notify = wechat_pay.seal("TRANSACTION.SUCCESS", &serde_json::json!({ "hello": 1 }), None);
    /// assert!(notify.header("Wechatpay-Signature").is_some());
    /// assert!(!String::from_utf8_lossy(notify.body()).contains("hello"), "it is encrypted");
    /// # Ok(())
    /// # }
    /// ```
    pub fn seal(&self, event: &str, content: &Value, trouble: Option<&str>) -> SignedNotify {
        let id = format!("EV-{}", self.inner.nonce(20));
        self.inner.seal(&id, event, content, trouble)
    }
}
