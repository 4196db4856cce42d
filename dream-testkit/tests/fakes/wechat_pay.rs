use std::sync::Arc;
use std::time::Duration;

use dream_core::kernel::Timestamp;
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, PlatformKey, WeChatPayOptions};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::world::client;

async fn fake_at(now: Timestamp) -> FakeWeChatPay {
    let clock = Arc::new(TestClock::at(now));
    FakeWeChatPay::start(WeChatPayOptions::new(clock)).await.expect("a port")
}

/// Sends a request of the vectors as it stands.
async fn send(fake: &FakeWeChatPay, request: &Value) -> Response {
    let method: Method = request["method"].as_str().expect("a method").parse().expect("a method");
    let url = format!("{}{}", fake.base_url(), request["url"].as_str().expect("a URL"));
    let body = request["body"].as_str().unwrap_or_default().to_owned();
    let headers = request["headers"].as_object().expect("headers");
    let builder = client().request(method, url).body(body);
    let builder = headers
        .iter()
        .fold(builder, |builder, (name, value)| builder.header(name, value.as_str().unwrap_or_default()));
    builder.send().await.expect("an answer")
}

#[tokio::test]
async fn a_request_is_admitted_or_not_as_the_vectors_say() {
    let file: Value = serde_json::from_str(include_str!("../../vectors/request-signing.json")).expect("JSON");
    let cases = file["server_cases"].as_array().expect("cases");
    assert!(!cases.is_empty());
    for case in cases {
        let now = Timestamp::from_secs(case["server_now"].as_i64().expect("a time"));
        let fake = fake_at(now).await;
        let answer = send(&fake, &case["request"]).await;
        let status = u64::from(answer.status().as_u16());
        if case["expect"]["accept"] == true {
            assert_ne!(status, 401, "{}", case["id"]);
            continue;
        }
        assert_eq!(Some(status), case["expect"]["http_status"].as_u64(), "{}", case["id"]);
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body["code"], case["expect"]["code"], "{}", case["id"]);
        assert!(body["detail"]["sign_information"]["sign_message_length"].is_u64(), "{}", case["id"]);
    }
}

#[tokio::test]
async fn every_good_answer_is_signed_and_no_bad_one() {
    let file: Value = serde_json::from_str(include_str!("../../vectors/request-signing.json")).expect("JSON");
    let cases = file["server_cases"].as_array().expect("cases");
    let find = |id: &str| &cases.iter().find(|case| case["id"] == id).expect("the case")["request"];
    let fake = fake_at(Timestamp::from_secs(1_767_232_800)).await;
    let closed = send(&fake, find("ok-post")).await;
    assert_eq!(closed.status(), 204);
    assert_eq!(closed.headers()["wechatpay-serial"], PlatformKey::CertificateA.serial());
    for name in ["wechatpay-timestamp", "wechatpay-nonce", "wechatpay-signature"] {
        assert!(closed.headers().contains_key(name), "{name}");
    }
    let unknown = send(&fake, find("ok-get-query")).await;
    assert_eq!(unknown.status(), 404);
    assert!(!unknown.headers().contains_key("wechatpay-signature"));
    assert!(unknown.headers().contains_key("request-id"));
}

async fn knob(fake: &FakeWeChatPay, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let mut builder = client().request(method, format!("{}/_control/{path}", fake.base_url()));
    if let Some(body) = body {
        builder = builder.json(&body);
    }
    let answer = builder.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_tester_can_look_at_orders_and_pay_only_what_exists() {
    let fake = fake_at(Timestamp::from_secs(1_767_232_800)).await;
    fake.add_paid_order("ORDER1", "someone", 1999);
    let (status, orders) = knob(&fake, Method::GET, "orders", None).await;
    assert_eq!((status, &orders[0]["outTradeNo"]), (200, &json!("ORDER1")));
    assert_eq!(orders[0]["state"], "SUCCESS");
    let (status, _) = knob(&fake, Method::POST, "pay", Some(json!({"outTradeNo": "NOSUCHORDER"}))).await;
    assert_eq!(status, 409);
    let page = client().get(format!("{}/_control/", fake.base_url())).send().await.expect("a page");
    assert!(page.text().await.expect("text").contains("ORDER1"));
}

#[tokio::test]
async fn every_knob_turns() {
    let fake = fake_at(Timestamp::from_secs(1_767_232_800)).await;
    let turns = [
        ("certificates", json!({"listed": ["certificate_a", "certificate_b"], "signs": "certificate_b"})),
        ("notify-key", json!({"key": "certificate_a"})),
        ("refund-plan", json!({"delayMs": 10, "outcome": "ABNORMAL"})),
        ("refund-plan", json!({"outRefundNo": "R-1", "outcome": null})),
        ("balance", json!({"fen": 5})),
        ("faults", json!({"operation": "prepay", "when": "always", "fault": {"kind": "drop"}})),
    ];
    for (path, body) in turns {
        let (status, told) = knob(&fake, Method::POST, path, Some(body)).await;
        assert_eq!(status, 204, "{path}: {told}");
    }
    assert_eq!(knob(&fake, Method::POST, "deliver", None).await, (200, json!([])));
    for path in ["refunds", "notices", "attempts"] {
        assert_eq!(knob(&fake, Method::GET, path, None).await, (200, json!([])), "{path}");
    }
    assert_eq!(knob(&fake, Method::POST, "nonsense", Some(json!({}))).await.0, 404);
    tokio::time::timeout(Duration::from_secs(5), fake.shutdown()).await.expect("it stops");
}
