//! Clients that ask for large responses and do not read them, or read them slowly.
//!
//! What such a client may cost is bounded three ways: a response is streamed and holds one piece, all responses share a
//! budget of memory, and a client that takes nothing for `write_time` loses its connection or its HTTP/2 stream.

use std::time::Duration;

use bytes::Bytes;
use dream_http::{Limits, Settings};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::abuse::memory;
use crate::house::{House, PATIENCE, settings};

const MIB: u64 = 1024 * 1024;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")
}

#[tokio::test]
async fn unread_pictures_and_heads_take_no_memory() {
    if !dream_testkit::alone("slow_readers::unread_pictures_and_heads_take_no_memory") {
        return;
    }
    let house = House::open().await;
    house.store_picture("large.png", 100 * MIB);
    house.get("/health").await;
    let before = memory();
    let mut unread = Vec::new();
    for _ in 0..20 {
        let mut wire = house.connect().await;
        wire.send(&get("/uploads/large.png"), b"").await;
        unread.push(wire);
    }
    for _ in 0..120 {
        let head = house.ask("HEAD /uploads/large.png HTTP/1.1\r\nHost: t\r\n\r\n", b"").await;
        assert_eq!((head.status, head.header("content-length")), (200, "104857600"));
    }
    let grown = memory().saturating_sub(before);
    assert!(grown < 24 * MIB, "{grown} bytes");
    // Those who read now get all of it.
    let answer = unread.pop().unwrap().answer(false).await;
    assert_eq!((answer.status, answer.body.len() as u64), (200, 100 * MIB));
}

#[tokio::test]
async fn responses_share_a_budget_of_memory() {
    let limits = Limits { response_memory: 300 * 1024, ..settings().limits };
    let house = House::with(Settings { limits, ..settings() }).await;
    house.store_picture("large.png", 32 * MIB);
    let mut unread = house.connect().await;
    unread.send(&get("/uploads/large.png"), b"").await;
    unread.until_readable().await;
    let refused = house.get("/uploads/large.png").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "UNAVAILABLE"));
    assert!(!refused.header("retry-after").is_empty());
    // What takes no memory goes on.
    assert_eq!(house.get("/v1/test/list").await.status, 200);
    assert_eq!(house.ask("HEAD /uploads/large.png HTTP/1.1\r\nHost: t\r\n\r\n", b"").await.status, 200);
    assert_eq!(unread.answer(false).await.body.len() as u64, 32 * MIB);
    assert_eq!(house.get("/uploads/large.png").await.status, 200);
}

type Client = http2::SendRequest<Empty<Bytes>>;

/// An HTTP/2 connection whose streams have a window of 20 000 bytes.
async fn connect(house: &House) -> Client {
    let stream = TcpStream::connect(house.address).await.unwrap();
    let (client, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(20_000)
        .initial_connection_window_size(8 * 1024 * 1024)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

async fn ask(client: &mut Client, house: &House, path: &str) -> http::Response<hyper::body::Incoming> {
    let request = Request::get(format!("http://{}{path}", house.address)).body(Empty::new()).unwrap();
    timeout(PATIENCE, client.send_request(request)).await.expect("an answer").unwrap()
}

#[tokio::test]
async fn an_http2_stream_that_is_not_read_is_reset_while_others_go_on() {
    let limits = Limits { write_time: Duration::from_millis(150), ..settings().limits };
    let house = House::with(Settings { limits, ..settings() }).await;
    // The last but one leaves only its last byte without a window.
    for size in [200_000, 20_001, 20_000] {
        house.store_picture("a.png", size);
        let mut client = connect(&house).await;
        let unread = ask(&mut client, &house, "/uploads/a.png").await;
        assert_eq!(unread.status(), StatusCode::OK);
        // The others go on for longer than one may wait.
        let begun = Instant::now();
        while begun.elapsed() < 4 * limits.write_time {
            let other = ask(&mut client, &house, "/uploads/a.png").await;
            assert_eq!(other.into_body().collect().await.unwrap().to_bytes().len() as u64, size);
        }
        let read = unread.into_body().collect().await;
        assert_eq!(read.is_ok(), size == 20_000, "only what fits into the window comes: {size}");
    }
}

#[tokio::test]
async fn an_http2_client_that_reads_slowly_but_steadily_gets_all_of_it() {
    let limits = Limits { write_time: Duration::from_millis(500), ..settings().limits };
    let house = House::with(Settings { limits, ..settings() }).await;
    house.store_picture("a.png", 200_000);
    let mut client = connect(&house).await;
    let mut body = ask(&mut client, &house, "/uploads/a.png").await.into_body();
    let (mut read, begun) = (0, Instant::now());
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().into_data().unwrap().len();
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    assert!(begun.elapsed() > limits.write_time, "it took longer than one chunk may");
    assert_eq!(read, 200_000);
}
