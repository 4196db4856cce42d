//! Many half-sent, oversized or endlessly varied requests at once, and how everybody else fares meanwhile.
//!
//! What these tests measure is written to standard error; `cargo test -p dream-http --test server floods -- --nocapture`
//! shows it. `docs/security.md` has the figures.

use std::io::Write as _;
use std::time::Duration;

use dream_http::{Limits, Settings};
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout};

use crate::house::{Answer, House, PAGE, PATIENCE, Wire, post_head, settings};

const WEBHOOK: &str = "/v1/proxy/webhook";
const ORDERS: &str = "/v1/test/orders";
const LARGE: &str = "/v1/test/large";

/// Writes a measurement where whoever asks for it sees it.
fn measured(what: &str) {
    let _ = writeln!(std::io::stderr(), "measured: {what}");
}

/// A value of `/proc/self/status`, in bytes.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn resident() -> u64 {
    status("VmRSS")
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

/// Resets the value of [`peak`].
#[expect(clippy::disallowed_methods, reason = "a file of the kernel is written at once")]
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn peak() -> u64 {
    status("VmHWM")
}

/// A server as it runs in production, but for shorter times.
fn patient() -> Settings {
    let limits = Limits {
        header_time: Duration::from_secs(10),
        body_time: Duration::from_secs(5),
        ..settings().limits
    };
    Settings { limits, ..settings() }
}

/// Requests of which only a part of the body comes.
async fn half_sent(house: &House, target: &str, count: usize) -> Vec<Wire> {
    let mut wires = Vec::new();
    for _ in 0..count {
        let mut wire = house.connect().await;
        wire.send(&post_head(target, 100), b"{").await;
        wires.push(wire);
    }
    wires
}

async fn timed(answer: impl Future<Output = Answer>) -> (Answer, Duration) {
    let asked = Instant::now();
    let answer = timeout(PATIENCE, answer).await.expect("an answer in time");
    (answer, asked.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_bodies_hold_no_place_of_a_request() {
    for target in [WEBHOOK, ORDERS, "/v1/wechat/push", "/v1/orders/payment-callback"] {
        let house = House::with(patient()).await;
        let held = half_sent(&house, target, 1_100).await;
        let (read, took_read) = timed(house.get("/v1/test/list")).await;
        let (write, took_write) = timed(house.post(ORDERS, "{\"count\":1}")).await;
        let (hook, took_hook) = timed(house.post(WEBHOOK, "{}")).await;
        measured(&format!(
            "{} half-sent to {target}: read {} in {took_read:?}, write {} in {took_write:?}, callback {} in {took_hook:?}",
            held.len(),
            read.status,
            write.status,
            hook.status,
        ));
        assert_eq!((read.status, write.status, hook.status), (200, 201, 401), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_streams_of_nine_http2_connections_hold_no_place_of_a_request() {
    const STREAMS: usize = 120;
    let house = House::with(patient()).await;
    let most = house.app.settings().limits.awaited_bodies_per_address;
    let url = format!("http://{}{WEBHOOK}", house.address);
    let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..9 {
        let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
        for _ in 0..STREAMS {
            let first = stream::iter([Ok::<_, std::io::Error>("{")]);
            let body = reqwest::Body::wrap_stream(first.chain(stream::pending()));
            let (post, ended) = (client.post(&url).body(body), ended.clone());
            tasks.spawn(async move {
                let status = post.send().await.map(|answer| answer.status().as_u16());
                let _ = ended.send(status.unwrap_or(0));
            });
        }
    }
    // All but those that may be awaited at once are given up, so all have arrived.
    for _ in 0..9 * STREAMS - most {
        assert_eq!(timeout(PATIENCE, ends.recv()).await.unwrap(), Some(503));
    }
    let (read, _) = timed(house.get("/v1/test/list")).await;
    let (write, _) = timed(house.post(ORDERS, "{\"count\":1}")).await;
    let (hook, _) = timed(house.post(WEBHOOK, "{}")).await;
    assert_eq!((read.status, write.status, hook.status), (200, 201, 401));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_taken_by_what_has_arrived_and_not_by_what_is_announced() {
    let house = House::with(patient()).await;
    let mut held = Vec::new();
    for at in 0..40 {
        let mut wire = house.connect().await;
        let head = post_head(LARGE, 19 << 20);
        let head = match at % 2 {
            0 => head,
            _ => head.replace(&format!("Content-Length: {}", 19 << 20), "Transfer-Encoding: chunked"),
        };
        wire.send(&head, if at % 2 == 0 { b"{" } else { b"1\r\n{\r\n" }).await;
        held.push(wire);
    }
    let body = format!("{{\"items\":[],\"text\":\"{}\"}}", "a".repeat(8 << 20));
    let (answer, took) = timed(house.post(LARGE, &body)).await;
    measured(&format!(
        "{} announced bodies of 20 MiB: a body of 8 MiB {} in {took:?}",
        held.len(),
        answer.status
    ));
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_millions_of_values_costs_little_memory_and_holds_nobody_up() {
    if !dream_testkit::alone("floods::a_body_of_millions_of_values_costs_little_memory_and_holds_nobody_up") {
        return;
    }
    let house = House::with(patient()).await;
    let body = format!("[{}[]]", "[],".repeat((19 << 20) / 3));
    let before = resident();
    forget_peak();
    let mut worst = Duration::ZERO;
    let (answer, took) = {
        // As many as there are threads to serve requests.
        let bombs =
            async { tokio::join!(timed(house.post(LARGE, &body)), timed(house.post(LARGE, &body))).0 };
        let mut bomb = std::pin::pin!(bombs);
        loop {
            tokio::select! {
                answered = &mut bomb => break answered,
                (answer, took) = timed(house.get("/health/live")) => {
                    assert_eq!(answer.status, 200);
                    worst = worst.max(took);
                }
            }
        }
    };
    let grown = peak().saturating_sub(before);
    measured(&format!(
        "two bodies of {} MiB of empty lists: {} in {took:?}, {} MiB more at the peak, another request took {worst:?} at worst",
        mib(body.len() as u64),
        answer.status,
        mib(grown)
    ));
    assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_JSON"));
    assert!(grown < 100 << 20, "{} MiB", mib(grown));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spellings_of_one_page_share_one_cached_answer() {
    if !dream_testkit::alone("floods::spellings_of_one_page_share_one_cached_answer") {
        return;
    }
    let house = House::open().await;
    let before = resident();
    let mut wire = house.connect().await;
    let mut first = None;
    let begun = Instant::now();
    for at in 0..700 {
        let zeros = "0".repeat(at % 100);
        let query = match at / 100 {
            0 => format!("limit={zeros}7"),
            1 => format!("limit={zeros}7&wait={zeros}3&trending="),
            2 => format!("wait={zeros}3&limit=%37"),
            3 => format!("limit=7&{}trending=false", "cursor=&".repeat(at % 60)),
            4 => format!("%6c%69mit={zeros}7&cursor="),
            5 => format!("&&&limit={zeros}7{}", "&".repeat(at % 100)),
            _ => format!("limit={zeros}7&wait=%30{zeros}0"),
        };
        wire.send(&format!("GET /v1/test/pages?{query} HTTP/1.1\r\nHost: t\r\n\r\n"), b"").await;
        let answer = wire.answer(false).await;
        assert_eq!(answer.status, 200, "{query}");
        first.get_or_insert(answer.body);
    }
    let (made, took) = (house.levers.begun.load(std::sync::atomic::Ordering::SeqCst), begun.elapsed());
    let grown = resident().saturating_sub(before);
    measured(&format!(
        "700 spellings of one page of {} KiB: made {made} times, {took:?}, {} MiB more",
        PAGE >> 10,
        mib(grown)
    ));
    // With a `wait` of 3, with one of 0, with `trending` said, and without any of it.
    assert_eq!(made, 4);
    assert!(grown < 40 << 20, "{} MiB", mib(grown));
}
