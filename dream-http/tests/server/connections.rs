//! Connections: kept, pipelined, multiplexed, and cut when nothing comes.

use std::time::Duration;

use dream_http::{Limits, Settings};
use tokio::time::{Instant, timeout};

use crate::house::{House, PATIENCE, settings};

#[tokio::test]
async fn a_silent_client_is_cut_off() {
    let house = House::open().await;
    let begun = Instant::now();
    assert!(house.connect().await.is_closed().await);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_client_that_begins_http2_and_falls_silent_is_cut_off() {
    let house = House::open().await;
    let mut wire = house.connect().await;
    wire.send("PRI * HT", b"").await;
    assert!(wire.is_closed().await);
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off() {
    let house = House::open().await;
    let mut wire = house.connect().await;
    let begun = Instant::now();
    wire.send("GET /health HTTP/1.1\r\n", b"").await;
    let trickle = async {
        loop {
            wire.try_send(b"X-A: b\r\n").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), trickle).await;
    assert!(wire.is_closed().await);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let limits = Limits { write_time: Duration::from_millis(300), ..settings().limits };
    let house = House::with(Settings { limits, ..settings() }).await;
    let mut wire = house.connect().await;
    let requests = "GET /v1/test/big HTTP/1.1\r\nHost: t\r\n\r\n".repeat(1000);
    // Answers pile up in the buffers of both sides until the server can write no more.
    let cut = async { while wire.try_send(requests.as_bytes()).await {} };
    timeout(PATIENCE, cut).await.expect("the server gives up");
}

#[tokio::test]
async fn one_connection_serves_many_requests_also_pipelined() {
    let house = House::open().await;
    let mut wire = house.connect().await;
    let one = "GET /v1/test/jobs/a HTTP/1.1\r\nHost: t\r\n\r\n";
    let two = "GET /v1/test/jobs/b HTTP/1.1\r\nHost: t\r\n\r\n";
    for _ in 0..3 {
        wire.send(&format!("{one}{two}"), b"").await;
        assert_eq!(wire.answer(false).await.text(), "a");
        assert_eq!(wire.answer(false).await.text(), "b");
    }
}

#[tokio::test]
async fn a_head_with_too_much_in_it_is_refused() {
    let house = House::open().await;
    let many = "X-A: 1\r\n".repeat(100);
    let answer = house.ask(&format!("GET /health HTTP/1.1\r\nHost: t\r\n{many}\r\n"), b"").await;
    assert_eq!(answer.status, 431);
    let long = "a".repeat(64 * 1024);
    let mut wire = house.connect().await;
    wire.try_send(format!("GET /health HTTP/1.1\r\nHost: t\r\nX-Long: {long}\r\n\r\n").as_bytes()).await;
    assert_eq!(wire.answer(false).await.status, 431);
}

#[tokio::test]
async fn http2_without_tls_is_spoken() {
    let house = House::open().await;
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    let url = format!("http://{}", house.address);
    let calls = (0..20).map(|at| client.get(format!("{url}/v1/test/jobs/j{at}")).send());
    for (at, answer) in futures_util::future::join_all(calls).await.into_iter().enumerate() {
        let answer = answer.unwrap();
        assert_eq!(answer.version(), http::Version::HTTP_2);
        assert_eq!(answer.text().await.unwrap(), format!("{{\"text\":\"j{at}\"}}"));
    }
    let refused = client
        .post(format!("{url}/v1/test/orders"))
        .header("content-type", "application/json")
        .body(vec![b' '; 100_000])
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 413);
    let goes_on = client.get(format!("{url}/health")).send().await.unwrap();
    assert_eq!(goes_on.status(), 200);
}
