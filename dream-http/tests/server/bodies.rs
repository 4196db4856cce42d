//! Bodies that are too large, too slow, or break off.

use std::time::Duration;

use dream_http::{Limits, Settings};
use tokio::time::{Instant, sleep, timeout};

use crate::house::{House, PATIENCE, post_head, settings};

const MINE: &str = "/v1/test/large/mine";
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

#[tokio::test]
async fn a_body_has_time_as_long_as_it_makes_progress() {
    let house = House::open().await;
    let mut wire = house.connect().await;
    let part = " ".repeat(64 * 1024);
    let begun = Instant::now();
    wire.send(&post_head("/v1/test/large", 12 + 8 * part.len()), b"").await;
    for _ in 0..8 {
        wire.send(&part, b"").await;
        // Less than the time that a body has without progress, and in all more than that.
        sleep(Duration::from_millis(100)).await;
    }
    wire.send("{\"items\":[]}", b"").await;
    assert_eq!(wire.answer(false).await.status, 200);
    assert!(begun.elapsed() > settings().limits.body_time);
}

#[tokio::test]
async fn a_chunked_body_that_stalls_is_given_up_as_early_as_any_other() {
    let house = House::open().await;
    let mut wire = house.connect().await;
    let head = post_head("/v1/test/large", 0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let begun = Instant::now();
    wire.send(&head, b"1\r\n{\r\n").await;
    assert_eq!(wire.answer(false).await.code(), "INVALID_JSON");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

fn of_user(target: &str, user: u8, length: usize) -> String {
    let token = format!("\r\nAuthorization: Bearer {user}\r\n\r\n");
    post_head(target, length).replace("\r\n\r\n", &token)
}

fn body(length: usize) -> Vec<u8> {
    ("{\"items\":[]}".to_owned() + &" ".repeat(length - 12)).into_bytes()
}

#[tokio::test]
async fn bodies_of_one_user_or_address_take_no_more_than_their_share_of_the_memory() {
    const MIB: usize = 1 << 20;
    const HELD: &str = "/v1/test/large/held";
    let limits = Limits {
        body_time: PATIENCE,
        body_memory: 4 * MIB,
        body_memory_per_address: 3 * MIB,
        body_memory_per_user: 2 * MIB,
        ..settings().limits
    };
    let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let house = House::with(Settings { limits, trusted_proxies, ..settings() }).await;
    let ask = async |user, length| house.ask(&of_user(MINE, user, length), &body(length)).await;
    let mut held = house.connect().await;
    held.send(&of_user(HELD, 7, MIB + MIB / 2), &body(MIB + MIB / 2)).await;
    house.until_begun(1).await;
    let refused = ask(7, MIB).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "RATE_LIMITED"));
    assert!(!refused.header("retry-after").is_empty());
    // Another user at the same address has room, up to the share of the address.
    assert_eq!(ask(8, MIB).await.status, 200);
    let mut beside = house.connect().await;
    beside.send(&of_user(HELD, 8, MIB), &body(MIB)).await;
    house.until_begun(2).await;
    assert_eq!(ask(9, MIB).await.status, 429);
    // And so has everybody elsewhere, up to all there is.
    let elsewhere = async |length| {
        let head = of_user(MINE, 9, length).replace("Host: t", "X-Forwarded-For: 198.51.100.7\r\nHost: t");
        house.ask(&head, &body(length)).await
    };
    assert_eq!(elsewhere(MIB).await.status, 200);
    let full = elsewhere(2 * MIB).await;
    assert_eq!((full.status, full.code().as_str()), (503, "UNAVAILABLE"));
    // The memory is free again with the answers.
    for wire in [&mut held, &mut beside] {
        house.levers.go_on.notify_one();
        assert_eq!(wire.answer(false).await.status, 200);
    }
    assert_eq!(ask(7, MIB).await.status, 200);
}

#[tokio::test]
async fn half_sent_bodies_of_one_address_displace_each_other_and_nobody_else() {
    let limits = Limits { body_time: PATIENCE, awaited_bodies_per_address: 2, ..settings().limits };
    let house = House::with(Settings { limits, ..settings() }).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut wire = house.connect().await;
        wire.send(&post_head(ORDERS, 11), b"{\"count\"").await;
        held.push(wire);
    }
    // The first of them has waited longest.
    let displaced = held.remove(0).answer(false).await;
    assert_eq!((displaced.status, displaced.code().as_str()), (503, "UNAVAILABLE"));
    for mut wire in held {
        wire.send(":1}", b"").await;
        assert_eq!(wire.answer(false).await.status, 201);
    }
}

#[tokio::test]
async fn callbacks_have_slots_of_their_own() {
    let limits = Limits { requests: 1, ..settings().limits };
    let house = House::with(Settings { limits, ..settings() }).await;
    let mut busy = house.connect().await;
    busy.send("GET /v1/test/slow HTTP/1.1\r\nHost: t\r\n\r\n", b"").await;
    house.until_begun(1).await;
    assert_eq!(house.post(ORDERS, "{\"count\":1}").await.status, 503);
    for callback in ["/v1/proxy/webhook", "/v1/wechat/push"] {
        // Read, and refused for its signature.
        assert_eq!(house.post(callback, "{}").await.status, 401, "{callback}");
    }
    house.levers.go_on.notify_one();
    assert_eq!(busy.answer(false).await.status, 200);
}

#[tokio::test]
async fn a_body_has_about_as_many_values_as_its_schema() {
    let house = House::open().await;
    // Far too long a list is still told what is wrong with it.
    let long = format!("{{\"items\":[{}\"\"]}}", "\"\",".repeat(10_000));
    assert_eq!(house.post("/v1/test/large", &long).await.faults(), ["items LENGTH"]);
    for bomb in ["[],", "0,", "{},", "\"\","] {
        let bomb = format!("{{\"items\":[{}0]}}", bomb.repeat(30_000));
        let answer = house.post("/v1/test/large", &bomb).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_JSON"));
    }
}

#[tokio::test]
async fn a_form_of_endless_parts_is_refused() {
    let house = House::open().await;
    let part = "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n";
    let body = part.repeat(20) + "--b--\r\n";
    let head =
        post_head("/v1/test/form", body.len()).replace("application/json", "multipart/form-data; boundary=b");
    assert_eq!(house.ask(&head, body.as_bytes()).await.faults(), ["body FORMAT"]);
}
