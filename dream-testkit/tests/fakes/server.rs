use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dream_core::adapters::SystemClock;
use dream_testkit::fakes::server::{FakeRequest, FakeResponse, FakeServer, Setup};
use dream_testkit::faults::{Fault, FaultRule, Faults, When};
use http::StatusCode;
use serde_json::json;

use crate::world::client;

struct Counter {
    server: FakeServer,
    faults: Arc<Faults>,
    done: Arc<AtomicUsize>,
}

/// A server whose one operation counts how often it was done.
async fn counter() -> Counter {
    let faults = Arc::new(Faults::default());
    let done = Arc::new(AtomicUsize::new(0));
    let (script, count) = (faults.clone(), done.clone());
    let handler = move |_: FakeRequest| {
        let (script, count) = (script.clone(), count.clone());
        async move {
            let work = |_| async move {
                count.fetch_add(1, Ordering::SeqCst);
                FakeResponse::json(StatusCode::OK, &json!({"answer": "forty-two"}))
            };
            script.around(&SystemClock, "count", work).await
        }
    };
    let server = FakeServer::start(Setup::new(Arc::new(SystemClock)), handler).await.expect("a port");
    Counter { server, faults, done }
}

impl Counter {
    async fn ask(&self) -> reqwest::Result<reqwest::Response> {
        client().post(format!("{}/count?by=1", self.server.base_url())).body("please").send().await
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn requests_are_recorded_with_their_answers() {
    let fake = counter().await;
    fake.ask().await.expect("an answer");
    fake.faults.next("count", Fault::Drop);
    fake.ask().await.expect_err("dropped");
    let log = fake.server.log().of("POST", "/count");
    assert_eq!(log.len(), 2);
    assert_eq!(log[0].status, Some(200));
    assert_eq!(log[0].request.param("by").as_deref(), Some("1"));
    assert_eq!(log[0].request.target(), "/count?by=1");
    assert_eq!(&log[0].request.body[..], b"please");
    assert_eq!(log[1].status, None);
    assert!(log[1].note.as_deref().unwrap_or("").contains("Drop"));
}

#[tokio::test]
async fn a_dropped_request_is_not_processed_and_a_lost_answer_is() {
    let fake = counter().await;
    fake.faults.next("count", Fault::Drop);
    fake.faults.next("count", Fault::DropAfter);
    fake.ask().await.expect_err("dropped");
    assert_eq!(fake.done(), 0);
    fake.ask().await.expect_err("lost");
    assert_eq!(fake.done(), 1);
    fake.ask().await.expect("the script is over");
    assert_eq!(fake.faults.fired().len(), 2);
}

#[tokio::test]
async fn a_truncated_answer_breaks_in_the_body_and_a_corrupt_one_in_the_json() {
    let fake = counter().await;
    fake.faults.next("count", Fault::Truncate);
    let answer = fake.ask().await.expect("headers");
    assert_eq!(answer.status(), 200);
    answer.bytes().await.expect_err("the body breaks off");
    fake.faults.next("count", Fault::Corrupt);
    let text = fake.ask().await.expect("headers").text().await.expect("a whole body");
    assert!(text.starts_with('{') && serde_json::from_str::<serde_json::Value>(&text).is_err());
}

#[tokio::test]
async fn a_status_fault_answers_in_place_of_the_work() {
    let fake = counter().await;
    fake.faults.next("count", Fault::status(429, r#"{"error":"RATE"}"#).with_retry_after(7));
    let answer = fake.ask().await.expect("an answer");
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "7");
    fake.faults.next("count", Fault::html(502));
    let answer = fake.ask().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "text/html");
    assert!(answer.text().await.expect("a body").contains("502 Bad Gateway"));
    assert_eq!(fake.done(), 0);
}

#[tokio::test]
async fn a_late_answer_outlasts_the_patience_of_the_caller_but_the_work_is_done() {
    let fake = counter().await;
    fake.faults.next("count", Fault::delay_after(Duration::from_mins(1)));
    let impatient = client().get(fake.server.base_url()).timeout(Duration::from_millis(200)).send().await;
    assert!(impatient.expect_err("too late").is_timeout());
    assert_eq!(fake.done(), 1);
}

#[tokio::test]
async fn rules_count_from_when_they_are_set() {
    let faults = Faults::default();
    faults.on_call("a", 2, Fault::Drop);
    faults.next_n("b", 2, Fault::Truncate);
    faults.always("*", Fault::Corrupt);
    assert_eq!(faults.strike("a"), Some(Fault::Corrupt));
    assert_eq!(faults.strike("a"), Some(Fault::Drop));
    assert_eq!(faults.strike("b"), Some(Fault::Truncate));
    assert_eq!(faults.strike("b"), Some(Fault::Truncate));
    assert_eq!(faults.strike("b"), Some(Fault::Corrupt));
    assert_eq!(faults.rules().len(), 1);
    faults.clear();
    assert_eq!(faults.strike("b"), None);
}

#[tokio::test]
async fn the_same_seed_strikes_the_same_calls() {
    let run = || {
        let faults = Faults::default();
        faults.probability("a", 0.5, 7, Fault::Drop);
        (0..64).map(|_| faults.strike("a").is_some()).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
    assert!(run().contains(&true) && run().contains(&false));
}

#[tokio::test]
async fn a_rule_reads_as_json() {
    let text = r#"{"operation":"submit","when":"next","count":2,"fault":{"kind":"status","status":503}}"#;
    let rule: FaultRule = serde_json::from_str(text).expect("a rule");
    let fault = Fault::Status { status: 503, body: String::new(), html: false, retry_after: None };
    assert_eq!(rule, FaultRule { operation: "submit".into(), when: When::Next { count: 2 }, fault });
}

#[tokio::test]
async fn a_server_that_is_down_refuses_connections_until_it_comes_back() {
    let fake = counter().await;
    fake.ask().await.expect("up");
    fake.server.go_down().await.expect("down");
    assert!(fake.ask().await.expect_err("down").is_connect());
    fake.server.come_back().await.expect("the port is still free");
    fake.ask().await.expect("up again");
    let addr = fake.server.addr();
    fake.server.shutdown().await;
    tokio::net::TcpListener::bind(addr).await.expect("the port is free");
}

#[tokio::test]
async fn a_fake_answers_to_addresses_and_not_to_a_domain_that_points_here() {
    let counter = counter().await;
    let ask = async |host: &str| {
        let request = client().post(format!("{}/count", counter.server.base_url())).header("host", host);
        request.send().await.unwrap().status()
    };
    for ours in ["localhost:4000", "127.0.0.1", "[::1]:4000", "192.168.1.5", "sandbox:4000"] {
        assert_eq!(ask(ours).await, StatusCode::OK, "{ours}");
    }
    for foreign in ["shop.example", "127.0.0.1.shop.example:80", "shop.example."] {
        assert_eq!(ask(foreign).await, StatusCode::MISDIRECTED_REQUEST, "{foreign}");
    }
    assert_eq!(counter.done.load(Ordering::SeqCst), 5, "what is refused is not done");
}
