//! Clients that hang up, and a server that stops.

use std::sync::atomic::Ordering;
use std::time::Duration;

use dream_http::{Limits, Settings};

use crate::house::{House, settings, until};

const SLOW_WRITE: &str = "POST /v1/test/slow HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
const SLOW_READ: &str = "GET /v1/test/slow HTTP/1.1\r\nHost: t\r\n\r\n";

#[tokio::test]
async fn a_write_whose_client_hangs_up_runs_to_its_end() {
    let house = House::open().await;
    let mut wire = house.connect().await;
    wire.send(SLOW_WRITE, b"").await;
    house.until_begun(1).await;
    drop(wire);
    // Long enough for the server to notice: it would have dropped a read by now.
    let mut reader = house.connect().await;
    reader.send(SLOW_READ, b"").await;
    house.until_begun(2).await;
    drop(reader);
    house.levers.go_on.notify_waiters();
    until(|| house.levers.done.load(Ordering::SeqCst) >= 1).await;
}

#[tokio::test]
async fn a_stopping_server_finishes_what_it_has_begun() {
    let mut house = House::open().await;
    let (mut reader, mut writer) = (house.connect().await, house.connect().await);
    reader.send(SLOW_READ, b"").await;
    writer.send(SLOW_WRITE, b"").await;
    house.until_begun(2).await;
    let mut idle = house.connect().await;
    idle.send("GET /health HTTP/1.1\r\nHost: t\r\n\r\n", b"").await;
    assert_eq!(idle.answer(false).await.status, 200);

    house.stop();
    assert!(idle.is_closed().await, "idle connections are closed");
    house.levers.go_on.notify_waiters();
    let (read, written) = (reader.answer(false).await, writer.answer(false).await);
    assert_eq!((read.status, written.status), (200, 200));
    assert_eq!(read.header("connection"), "close");
    house.stopped().await;
}

#[tokio::test]
async fn a_stopping_server_waits_for_a_write_whose_client_left() {
    let mut house = House::open().await;
    let mut wire = house.connect().await;
    wire.send(SLOW_WRITE, b"").await;
    house.until_begun(1).await;
    drop(wire);
    house.stop();
    let levers = std::sync::Arc::clone(&house.levers);
    let app = std::sync::Arc::clone(&house.app);
    until(|| app.phase() == dream_http::Phase::Draining).await;
    levers.go_on.notify_waiters();
    house.stopped().await;
    assert_eq!(levers.done.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn readiness_turns_before_anything_is_refused() {
    let limits = Limits { drain_notice: Duration::from_secs(2), ..settings().limits };
    let mut house = House::with(Settings { limits, ..settings() }).await;
    until(|| house.app.phase() == dream_http::Phase::Serving).await;
    assert_eq!(house.get("/health/ready").await.status, 200);
    house.stop();
    until(|| house.app.phase() == dream_http::Phase::Draining).await;
    let ready = house.get("/health/ready").await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (503, Some("draining")));
    let served = house.get("/v1/test/list").await;
    assert_eq!((served.status, served.header("connection")), (200, "close"));
    house.stopped().await;
}

#[tokio::test]
async fn a_stop_does_not_take_for_ever() {
    let limits = Limits { drain_time: Duration::from_millis(200), ..settings().limits };
    let mut house = House::with(Settings { limits, ..settings() }).await;
    let mut wire = house.connect().await;
    wire.send(SLOW_READ, b"").await;
    house.until_begun(1).await;
    house.stop();
    house.stopped().await;
}
