//! The access log: one line for each request, whatever became of it, and no secrets.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::house::{House, settings, until};
use dream_http::Settings;

thread_local! {
    /// Each test runs on a thread of its own, with its server.
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Keeps the access log's events as text, for the thread that they happen on.
struct Listener;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "dream_http::access"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        LINES.with_borrow_mut(|lines| lines.push(line.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What was logged on this thread.
struct Log;

impl Log {
    fn listen() -> Self {
        // Another test may have been first; there is one listener for all of them.
        let _ = tracing::subscriber::set_global_default(Listener);
        Self
    }

    #[expect(clippy::unused_self, reason = "it says that somebody listens")]
    fn lines(&self) -> Vec<String> {
        LINES.with_borrow(Clone::clone)
    }

    async fn last(&self, count: usize) -> String {
        until(|| self.lines().len() >= count).await;
        self.lines().pop().unwrap()
    }
}

#[tokio::test]
async fn each_request_leaves_one_line_with_its_route_and_outcome() {
    let log = Log::listen();
    let house = House::open().await;
    let head = "GET /v1/test/me HTTP/1.1\r\nHost: t\r\nX-Request-Id: r1\r\nAuthorization: Bearer 7\r\n\r\n";
    house.ask(head, b"").await;
    let line = log.last(1).await;
    for part in [
        "http.method=\"GET\"",
        "http.route=\"/v1/test/me\"",
        "http.status=200",
        "duration_ms=",
        "http.bytes=12",
        "request.id=\"r1\"",
        "user.id=7",
        "client.address=127.0.0.1",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    house.get("/v1/test/jobs/abc?x=1").await;
    assert!(log.last(2).await.contains("http.route=\"/v1/test/jobs/{jobId}\""));
    house.get("/v1/nothing").await;
    assert!(log.last(3).await.contains("http.status=404"));
    house.post("/v1/test/panic", "").await;
    assert!(log.last(4).await.contains("http.status=500"));
    assert_eq!(log.lines().len(), 4);
}

/// The trace that a line names.
fn trace_of(line: &str) -> &str {
    line.split("trace_id=").nth(1).expect("a trace").split(' ').next().unwrap()
}

#[tokio::test]
async fn each_line_names_the_callers_trace_or_a_new_one() {
    let log = Log::listen();
    let house = House::open().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let good = format!("00-{trace}-00f067aa0ba902b7-01");
    let ask = async |headers: &str| {
        let before = log.lines().len();
        house.ask(&format!("GET /v1/nothing HTTP/1.1\r\nHost: t\r\n{headers}\r\n"), b"").await;
        trace_of(&log.last(before + 1).await).to_owned()
    };
    assert_eq!(ask(&format!("traceparent: {good}\r\n")).await, trace);
    let mut made = vec![
        ask("").await,
        ask("traceparent: nonsense\r\n").await,
        ask(&format!("traceparent: {}\r\n", good.to_uppercase())).await,
        // Whom to believe?
        ask(&format!("traceparent: {good}\r\ntraceparent: {good}\r\n")).await,
    ];
    for trace in &made {
        assert!(trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit()), "{trace}");
    }
    made.push(trace.to_owned());
    made.sort_unstable();
    made.dedup();
    assert_eq!(made.len(), 5, "each is another: {made:?}");
}

#[tokio::test]
async fn no_credential_or_input_is_ever_logged() {
    let log = Log::listen();
    let house = House::with(Settings { throttle: crate::house::a_minute(100), ..settings() }).await;
    let head = "POST /v1/test/orders?token=swordfish HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer swordfish\r\n\
                X-Admin-Key: swordfish\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n";
    house.ask(head, b"{\"swordfish\"}").await;
    house.ask("GET /swordfish HTTP/1.1\r\nHost: t\r\n\r\n", b"").await;
    log.last(2).await;
    assert!(!log.lines().concat().contains("swordfish"), "{:?}", log.lines());
}

#[tokio::test]
async fn clients_that_leave_early_are_logged_too() {
    let log = Log::listen();
    let house = House::open().await;
    let mut reader = house.connect().await;
    reader.send("GET /v1/test/slow HTTP/1.1\r\nHost: t\r\n\r\n", b"").await;
    house.until_begun(1).await;
    drop(reader);
    let line = log.last(1).await;
    assert!(line.contains("http.status=499") && line.contains("http.client_left=true"), "{line}");

    let mut writer = house.connect().await;
    writer.send("POST /v1/test/slow HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n", b"").await;
    house.until_begun(2).await;
    let beside = house.connect().await;
    drop(writer);
    drop(beside);
    // The write is answered to nobody, and says so.
    house.get("/health").await;
    house.levers.go_on.notify_waiters();
    let line = log.last(3).await;
    assert!(line.contains("http.status=200") && line.contains("http.client_left=true"), "{line}");
}
