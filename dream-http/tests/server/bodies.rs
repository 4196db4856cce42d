//! Bodies that are too large, too slow, or break off.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::house::{House, PATIENCE, post_head};

const ORDERS: &str = "/v1/test/orders";
const LIMIT: usize = 64 * 1024;

#[tokio::test]
async fn a_body_that_claims_too_much_is_refused_before_it_is_sent() {
    let house = House::open().await;
    let answer = house.ask(&post_head(ORDERS, LIMIT + 1), b"").await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
    assert_eq!(answer.json()["data"]["limitBytes"], LIMIT);
    assert_eq!(answer.header("connection"), "close");
}

#[tokio::test]
async fn a_client_that_sends_too_much_still_reads_the_answer() {
    let house = House::open().await;
    let mut wire = house.connect().await;
    let body = vec![b' '; 4 * 1024 * 1024];
    wire.send(&post_head(ORDERS, body.len()), &body).await;
    assert_eq!(wire.answer(false).await.status, 413);
}

#[tokio::test]
async fn an_endless_chunked_body_is_cut_at_the_limit() {
    let house = House::open().await;
    let mut wire = house.connect().await;
    let head = format!(
        "POST {ORDERS} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    wire.send(&head, b"").await;
    let chunk = format!("{:x}\r\n{}\r\n", 8192, " ".repeat(8192));
    for _ in 0..40 {
        wire.try_send(chunk.as_bytes()).await;
    }
    let answer = wire.answer(false).await;
    assert_eq!((answer.status, answer.header("connection")), (413, "close"));
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read() {
    let house = House::open().await;
    let body = "{\"count\":1}".to_owned() + &" ".repeat(LIMIT - 11);
    assert_eq!(house.post(ORDERS, &body).await.status, 201);
}

#[tokio::test]
async fn who_waits_for_continue_is_told_no_without_sending() {
    let house = House::open().await;
    let head = post_head(ORDERS, LIMIT * 100).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    let answer = house.ask(&head, b"").await;
    assert_eq!(answer.status, 413);
    let mut wire = house.connect().await;
    let head = post_head(ORDERS, 11).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    wire.send(&head, b"").await;
    assert_eq!(wire.answer(true).await.status, 100);
    wire.send("", b"{\"count\":1}").await;
    assert_eq!(wire.answer(false).await.status, 201);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let house = House::open().await;
    let mut wire = house.connect().await;
    wire.send(&post_head(ORDERS, 100), b"{\"count\"").await;
    let begun = Instant::now();
    let answer = timeout(PATIENCE, wire.answer(false)).await.unwrap();
    assert_eq!(answer.status, 400);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_refused_caller_does_not_have_a_body_read() {
    let house = House::open().await;
    let mut wire = house.connect().await;
    // Small unread bodies do not cost the connection.
    wire.send("PUT /v1/test/orders HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n", b"12345").await;
    assert_eq!(wire.answer(false).await.status, 405);
    wire.send("GET /health HTTP/1.1\r\nHost: t\r\n\r\n", b"").await;
    assert_eq!(wire.answer(false).await.status, 200);
}
