//! What people send who want to break in or to break something, and how healthy clients fare meanwhile.

use std::io::Write as _;
use std::time::Duration;

use dream_http::{Limits, Settings};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::house::{House, PATIENCE, settings};

/// Everything that comes back until the server closes, or falls silent because it waits for more.
async fn all_that_comes_back(house: &House, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // The server itself cuts off who sends nothing more.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is cut off");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Two readers of one byte stream must not disagree about where a request ends: each of these has been read in two
/// ways by some proxy and some server. The second request, hidden in it, must never be answered.
#[tokio::test]
async fn a_hidden_second_request_is_never_answered() {
    const HIDDEN: &str = "GET /v1/test/jobs/hidden HTTP/1.1\r\nHost: t\r\n\r\n";
    let house = House::open().await;
    let length = HIDDEN.len();
    let post = |headers: &str, body: &str| {
        format!(
            "POST /v1/test/orders HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n{headers}\r\n{body}"
        )
    };
    let corpus = [
        (
            "both lengths",
            post(
                &format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
                &format!("0\r\n\r\n{HIDDEN}"),
            ),
        ),
        (
            "both lengths, the other way round",
            post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", &format!("0\r\n\r\n{HIDDEN}")),
        ),
        ("two lengths", post(&format!("Content-Length: 0\r\nContent-Length: {length}\r\n"), HIDDEN)),
        ("two lengths in one line", post(&format!("Content-Length: 0, {length}\r\n"), HIDDEN)),
        ("a length with a sign", post("Content-Length: +0\r\n", HIDDEN)),
        ("a negative length", post("Content-Length: -1\r\n", HIDDEN)),
        ("a length that overflows", post("Content-Length: 18446744073709551616\r\n", HIDDEN)),
        ("a length with letters", post("Content-Length: 0x0\r\n", HIDDEN)),
        ("a space before the colon", post(&format!("Content-Length : {length}\r\n"), HIDDEN)),
        (
            "a coding that only looks like chunked",
            post("Transfer-Encoding: xchunked\r\n", &format!("0\r\n\r\n{HIDDEN}")),
        ),
        (
            "chunked that is not last",
            post("Transfer-Encoding: chunked, identity\r\n", &format!("0\r\n\r\n{HIDDEN}")),
        ),
        ("a tab before chunked", post("Transfer-Encoding:\tchunked, x\r\n", &format!("0\r\n\r\n{HIDDEN}"))),
        ("a folded header", post(&format!("X-Fold: a\r\n Content-Length: {length}\r\n"), HIDDEN)),
        ("a bare line feed in a value", post(&format!("X-Feed: a\nContent-Length: {length}\r\n"), HIDDEN)),
        (
            "a bare carriage return in a value",
            post(&format!("X-Return: a\rContent-Length: {length}\r\n"), HIDDEN),
        ),
        ("a NUL in a value", post("X-Nul: a\0b\r\n", HIDDEN)),
        (
            "a chunk size that overflows",
            post("Transfer-Encoding: chunked\r\n", &format!("10000000000000000\r\n{HIDDEN}")),
        ),
        ("a chunk size with a sign", post("Transfer-Encoding: chunked\r\n", &format!("-1\r\n{HIDDEN}"))),
        (
            "a chunk without its end",
            post("Transfer-Encoding: chunked\r\n", &format!("1\r\nA0\r\n\r\n{HIDDEN}")),
        ),
        (
            "a body in the old protocol",
            format!("POST /v1/test/orders HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        ),
        (
            "a request line with a bare line feed",
            format!("GET /v1/test/jobs/a HTTP/1.1\nHost: t\nX: {HIDDEN}"),
        ),
        (
            "an absolute target of another host",
            format!(
                "GET http://other/v1/test/jobs/a HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{HIDDEN}"
            ),
        ),
    ];
    for (what, request) in corpus {
        let back = all_that_comes_back(&house, request.as_bytes()).await;
        assert!(!back.contains("hidden"), "{what}: {back}");
        let answers = back.matches("HTTP/1.").count();
        assert!(answers <= 1, "{what}: {answers} answers: {back}");
    }
    assert_eq!(house.get("/v1/test/jobs/open").await.status, 200);
}

#[tokio::test]
async fn nesting_without_end_is_refused_without_a_stack() {
    let house = House::open().await;
    for (open, close) in [("[", "]"), ("{\"count\":", "}")] {
        let depth = 60_000 / (open.len() + close.len());
        let whole = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let answer = house.post("/v1/test/orders", &whole).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_JSON"));
        let answer = house.post("/v1/test/orders", &open.repeat(depth)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_JSON"));
    }
}

#[tokio::test]
async fn a_compressed_body_is_never_blown_up() {
    if !dream_testkit::alone("abuse::a_compressed_body_is_never_blown_up") {
        return;
    }
    let house = House::open().await;
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 32 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    let head = format!(
        "POST /v1/test/orders HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\
         Content-Length: {}\r\n\r\n",
        bomb.len()
    );
    let before = memory();
    let answer = house.ask(&head, &bomb).await;
    assert!([400, 415].contains(&answer.status), "{answer:?}");
    assert!(memory() < before + (16 << 20), "nothing was unpacked");
}

/// Resident memory of this process, in bytes.
pub(crate) fn memory() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// How many files this process may have open.
fn files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_half_open_connections_slow_nobody_down() {
    if !dream_testkit::alone("abuse::thousands_of_half_open_connections_slow_nobody_down") {
        return;
    }
    let limits = Limits {
        header_time: Duration::from_mins(1),
        connections_per_address: usize::MAX,
        ..settings().limits
    };
    let house = House::with(Settings { limits, ..settings() }).await;
    // Both ends of each are in this process.
    let count = (files().saturating_sub(500) / 2).min(5_000);
    let before = memory();
    let mut half_open = Vec::new();
    for at in 0..count {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        let head: &[u8] = match at % 3 {
            0 => b"",
            1 => b"GET /v1/test/list HTTP/1.1\r\nHost: t\r\nX-Slow: ",
            _ => b"POST /v1/test/orders HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{",
        };
        stream.write_all(head).await.unwrap();
        half_open.push(stream);
    }
    let mut times = Vec::new();
    for _ in 0..200 {
        let asked = Instant::now();
        assert_eq!(house.get("/v1/test/list").await.status, 200);
        times.push(asked.elapsed());
    }
    times.sort();
    let (median, worst, grown) = (times[100], times[199], memory().saturating_sub(before));
    // Whoever shares the machine may hold up one of them, but not most.
    assert!(median < Duration::from_millis(250), "median {median:?}, worst {worst:?}");
    assert!(worst < Duration::from_secs(10), "median {median:?}, worst {worst:?}");
    assert!(grown < 64 * 1024 * count as u64, "{grown} bytes for {count}");
    drop(half_open);
}
