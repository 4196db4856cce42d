//! A merchant: the fake platform, the adapter that talks to it, and the addresses where it is announced to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dream_core::adapters::OsEntropy;
use dream_core::adapters::wechat_pay::{WeChatPay, WeChatPayConfig};
use dream_core::kernel::{Fen, OrderId, RefundId, Timestamp};
use dream_core::ports::{
    Clock, NotifyRefusal, PayChannel, PaymentFacts, PrepayRequest, RefundFacts, RefundRequest, SignedNotify,
};
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::server::{FakeRequest, FakeResponse, FakeServer, Setup};
use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, Trust, WeChatPayOptions};
use reqwest::StatusCode;

pub(crate) const OPENID: &str = "oqTGKc7Yrff7VTXdwTsNe9ygLvoX";

/// What the merchant was told, in order.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) payments: Vec<PaymentFacts>,
    pub(crate) refunds: Vec<RefundFacts>,
    pub(crate) refusals: Vec<NotifyRefusal>,
}

pub(crate) struct Shop {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) fake: FakeWeChatPay,
    pub(crate) pay: Arc<WeChatPay>,
    pub(crate) told: Arc<Mutex<Told>>,
    pub(crate) receiver: FakeServer,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with(Trust::PublicKey, |_| {}).await
    }

    pub(crate) async fn open_with(trust: Trust, change: impl FnOnce(&mut WeChatPayConfig)) -> Self {
        let clock = Arc::new(TestClock::default());
        let fake = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await.unwrap();
        let door = FakeServer::bind(Setup::new(clock.clone())).await.unwrap();
        let at = door.base_url();
        let mut config = fake.config_with(trust, &format!("{at}/payment"), &format!("{at}/refund"));
        config.limits.attempt = Duration::from_secs(2);
        change(&mut config);
        let pay = Arc::new(WeChatPay::new(config, clock.clone(), Arc::new(OsEntropy)).unwrap());
        let told = Arc::new(Mutex::new(Told::default()));
        let (desk, book) = (pay.clone(), told.clone());
        let receiver = door.serve(move |request| hear(desk.clone(), book.clone(), request));
        Self { clock, fake, pay, told, receiver }
    }

    pub(crate) fn order(&self, number: &str) -> PrepayRequest {
        PrepayRequest {
            order: order(number),
            amount: Fen::new(1999),
            description: "造梦会员·月卡".to_owned(),
            payer_openid: OPENID.to_owned(),
            expires_at: self.clock.now().plus(Duration::from_mins(30)),
            attach: None,
            notify_url: None,
        }
    }

    /// An order that its payer has paid; the platform's number of the payment.
    pub(crate) async fn paid(&self, number: &str) -> String {
        let prepaid = self.pay.prepay(&self.order(number)).await.unwrap();
        let params = self.pay.client_params(&prepaid.prepay_id).unwrap();
        self.fake.pay(number, &params).unwrap().transaction_id
    }

    pub(crate) fn told<T>(&self, read: impl FnOnce(&Told) -> T) -> T {
        read(&self.told.lock().unwrap())
    }
}

pub(crate) fn order(number: &str) -> OrderId {
    number.parse().unwrap()
}

pub(crate) fn refund(number: &str) -> RefundId {
    number.parse().unwrap()
}

pub(crate) fn refund_of(transaction_id: &str, number: &str, amount: i64) -> RefundRequest {
    RefundRequest {
        refund: refund(number),
        transaction_id: transaction_id.to_owned(),
        amount: Fen::new(amount),
        total: Fen::new(1999),
        reason: Some("用户申请退款".to_owned()),
    }
}

pub(crate) fn tomorrow_at_noon(now: Timestamp) -> Timestamp {
    now.plus(Duration::from_hours(26))
}

async fn hear(pay: Arc<WeChatPay>, told: Arc<Mutex<Told>>, request: FakeRequest) -> FakeResponse {
    let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("")));
    let notify = SignedNotify::new(headers, request.body.clone());
    let verdict = if request.path == "/refund" {
        pay.refund_notify(&notify).await.map(|facts| told.lock().unwrap().refunds.push(facts))
    } else {
        pay.payment_notify(&notify).await.map(|facts| told.lock().unwrap().payments.push(facts))
    };
    match verdict {
        Ok(()) => FakeResponse::empty(StatusCode::NO_CONTENT),
        Err(refusal) => {
            told.lock().unwrap().refusals.push(refusal);
            FakeResponse::empty(StatusCode::UNAUTHORIZED)
        }
    }
}
