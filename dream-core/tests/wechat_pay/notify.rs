use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dream_core::adapters::wechat_pay::WeChatPayConfig;
use dream_core::kernel::{Fen, Timestamp};
use dream_core::ports::{
    NotifyRefusal, PayChannel, PaymentFacts, RefundFacts, RefundState, RefusedAt, SignedNotify,
};
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::server::{FakeRequest, FakeResponse, FakeServer, Setup};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use reqwest::StatusCode;
use serde_json::Value;

use crate::vectors::{
    cases, certificates_response, channel, config, headers, instant, keys, notify_callbacks, text,
};

/// A platform that serves certificates A and B, as the vectors have them, and nothing else.
pub(crate) async fn platform(clock: &Arc<TestClock>) -> FakeServer {
    let file = certificates_response();
    let case = cases(&file, "cases").into_iter().find(|case| case["id"] == "cert-two").unwrap();
    let sent = headers(&case["response"]);
    let body = text(&case, "/response/body").to_owned();
    let answer = move |request: FakeRequest| {
        let mut answer = FakeResponse::new(StatusCode::OK, "application/json; charset=utf-8", body.clone());
        for (name, value) in &sent {
            answer = answer.with_header(name, value);
        }
        let known = request.path == "/v3/certificates";
        async move { if known { answer } else { FakeResponse::empty(StatusCode::NOT_FOUND) } }
    };
    FakeServer::start(Setup::new(clock.clone()), answer).await.unwrap()
}

/// The merchant of the vectors: certificates and the public key are trusted at once.
pub(crate) fn merchant(platform: &FakeServer) -> WeChatPayConfig {
    let keys = keys();
    WeChatPayConfig {
        platform_key_id: Some(text(&keys, "/platform_public_key/id").to_owned()),
        platform_key_pem: Some(text(&keys, "/platform_public_key/public_key_pem").to_owned()),
        ..config(&platform.base_url())
    }
}

pub(crate) fn signed(case: &Value) -> SignedNotify {
    SignedNotify::new(headers(&case["request"]), text(case, "/request/body").as_bytes().to_vec())
}

enum Facts {
    Payment(PaymentFacts),
    Refund(RefundFacts),
}

async fn read(case: &Value) -> Result<Facts, NotifyRefusal> {
    let clock = Arc::new(TestClock::at(instant(&case["server_now"])));
    let platform = platform(&clock).await;
    let pay = channel(merchant(&platform), &clock);
    if case.get("refund_before").is_some() {
        pay.refund_notify(&signed(case)).await.map(Facts::Refund)
    } else {
        pay.payment_notify(&signed(case)).await.map(Facts::Payment)
    }
}

fn check_facts(facts: &Facts, plaintext: &str, id: &str) {
    let plain: Value = serde_json::from_str(plaintext).unwrap();
    match facts {
        Facts::Payment(facts) => {
            assert_eq!(facts.transaction_id, text(&plain, "/transaction_id"), "{id}");
            assert_eq!(facts.out_trade_no, text(&plain, "/out_trade_no"), "{id}");
            assert_eq!(facts.mchid, text(&plain, "/mchid"), "{id}");
            assert_eq!(facts.appid, text(&plain, "/appid"), "{id}");
            assert_eq!(facts.payer_openid, text(&plain, "/payer/openid"), "{id}");
            assert_eq!(facts.currency, text(&plain, "/amount/currency"), "{id}");
            assert_eq!(Some(facts.amount.get()), plain["amount"]["total"].as_i64(), "{id}");
            assert_eq!(facts.paid_at, text(&plain, "/success_time").parse().unwrap(), "{id}");
        }
        Facts::Refund(facts) => {
            assert_eq!(facts.out_refund_no, text(&plain, "/out_refund_no"), "{id}");
            assert_eq!(facts.channel_refund_id, text(&plain, "/refund_id"), "{id}");
            assert_eq!(facts.mchid.as_deref(), plain["mchid"].as_str(), "{id}");
            assert_eq!(Some(facts.amount.get()), plain["amount"]["refund"].as_i64(), "{id}");
            assert_eq!(Some(facts.total.get()), plain["amount"]["total"].as_i64(), "{id}");
        }
    }
}

/// The checks that are the channel's own. The others compare with an order.
fn refused_at(word: &str) -> Option<RefusedAt> {
    [
        RefusedAt::Headers,
        RefusedAt::Clock,
        RefusedAt::Serial,
        RefusedAt::Signature,
        RefusedAt::Body,
        RefusedAt::Decrypt,
    ]
    .into_iter()
    .find(|at| at.as_str() == word)
}

#[tokio::test]
async fn every_notify_is_verified_or_refused_as_the_vectors_say() {
    for case in cases(&notify_callbacks(), "cases") {
        let id = text(&case, "/id");
        let verdict = read(&case).await;
        if let Some(expected) = case["expect"]["fails_at"].as_str().and_then(refused_at) {
            let refusal = verdict.map(|_| ()).unwrap_err();
            assert_eq!(refusal.at, expected, "{id}: {refusal}");
            assert_eq!(refusal.probe, id == "signtest-probe", "{id}");
        } else {
            let facts = verdict.unwrap_or_else(|refusal| panic!("{id}: {refusal}"));
            check_facts(&facts, text(&case, "/expect/plaintext"), id);
        }
    }
}

#[tokio::test]
async fn facts_have_the_figures_of_the_notify() {
    let file = notify_callbacks();
    let find = |id: &str| cases(&file, "cases").into_iter().find(|case| case["id"] == id).unwrap();
    let Ok(Facts::Payment(facts)) = read(&find("valid-coupon")).await else { panic!("a payment") };
    // The payer paid less, but the order is paid in full.
    assert_eq!(facts.amount, Fen::new(1999));
    let Ok(Facts::Refund(facts)) = read(&find("refund-success")).await else { panic!("a refund") };
    assert!(matches!(facts.state, RefundState::Succeeded(_)), "{facts:?}");
    assert_eq!(facts.amount, Fen::new(1999));
}

#[tokio::test]
async fn a_payment_is_no_refund_and_a_refund_is_no_payment() {
    let file = notify_callbacks();
    let find = |id: &str| cases(&file, "cases").into_iter().find(|case| case["id"] == id).unwrap();
    let clock = Arc::new(TestClock::default());
    let platform = platform(&clock).await;
    let pay = channel(merchant(&platform), &clock);
    let payment = pay.refund_notify(&signed(&find("valid-cert"))).await.unwrap_err();
    let refund = pay.payment_notify(&signed(&find("refund-success"))).await.unwrap_err();
    assert_eq!((payment.at, refund.at), (RefusedAt::Body, RefusedAt::Body));
}

#[tokio::test]
async fn strangers_cannot_make_us_download_more_than_once_a_minute() {
    let file = notify_callbacks();
    let find = |id: &str| cases(&file, "cases").into_iter().find(|case| case["id"] == id).unwrap();
    let clock = Arc::new(TestClock::default());
    let platform = platform(&clock).await;
    let pay = channel(merchant(&platform), &clock);
    let downloads = || platform.log().of("GET", "/v3/certificates").len();
    pay.payment_notify(&signed(&find("signtest-probe"))).await.unwrap_err();
    assert_eq!(downloads(), 0, "a probe makes us call nobody");
    for _ in 0..5 {
        pay.payment_notify(&signed(&find("unknown-serial"))).await.unwrap_err();
    }
    assert_eq!(downloads(), 1);
    clock.advance(std::time::Duration::from_mins(1));
    pay.payment_notify(&signed(&find("unknown-serial"))).await.unwrap_err();
    assert_eq!(downloads(), 2);
}

/// Counts one counter, by its name.
struct OneCounter(&'static str, Arc<AtomicU64>);

impl Recorder for OneCounter {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if key.name() == self.0 { Counter::from_arc(self.1.clone()) } else { Counter::noop() }
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn probes_are_refused_and_counted() {
    let file = notify_callbacks();
    let case = cases(&file, "cases").into_iter().find(|case| case["id"] == "signtest-probe").unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let recorder = OneCounter("dream_wechat_pay_notify_probes_total", count.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        for _ in 0..3 {
            assert!(runtime.block_on(read(&case)).is_err());
        }
    });
    assert_eq!(count.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_notify_that_cannot_be_decrypted_hints_at_the_key_of_v2() {
    let file = notify_callbacks();
    let case = cases(&file, "cases").into_iter().find(|case| case["id"] == "wrong-api-key").unwrap();
    let refusal = read(&case).await.map(|_| ()).unwrap_err();
    assert!(refusal.message.contains("v2"), "{refusal}");
    assert_ne!(instant(&case["server_now"]), Timestamp::default());
}
