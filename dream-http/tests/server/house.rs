//! A server with a few rows that misbehave on request, and a client that speaks HTTP byte by byte.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dream_core::adapters::DiskBlobs;
use dream_core::kernel::{JobId, UserId};
use dream_core::{Code, DatabaseOptions, Dream, Durability, Error, Result};
use dream_http::gate::{Anyone, Gate, Guard, bearer};
use dream_http::input::{
    AnyObject, Body, Flag, List, Paged, Parsed, Path as Ids, Query, Text, Upload, Whole,
};
use dream_http::reply::Created;
use dream_http::table::{Row, get, post};
use dream_http::{App, Call, Caller, Door, Limits, Server, Settings, ThrottleRule};
use serde::Serialize;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::nowhere::Nowhere;

/// The longest that anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What the misbehaving rows wait for and count.
#[derive(Debug, Default)]
pub(crate) struct Levers {
    pub go_on: Notify,
    pub begun: AtomicUsize,
    pub done: AtomicUsize,
}

dream_http::input! {
    pub(crate) struct TestOrder {
        /// How many.
        count: Whole<1, 10>,
        nick_name: Option<Text<1, 5>>,
        tags: Option<List<Text<1, 3>, 0, 2>>,
        job_id: Option<Parsed<JobId>>,
        nested: Option<TestInner>,
        free: Option<AnyObject>,
        kind as "type": Option<Text<1, 9>>,
    }
}

dream_http::input! {
    pub(crate) struct TestInner {
        yes: bool,
    }
}

dream_http::input! {
    pub(crate) struct TestLarge {
        items: List<Text<0, 100>, 0, 1000>,
        free: Option<AnyObject>,
        text: Option<Text<0, { 20 << 20 }>>,
    }
}

/// The largest body that `/v1/test/large` takes.
pub(crate) const LARGE: u64 = 20 << 20;

dream_http::input! {
    pub(crate) struct TestFilter {
        /// Seconds to wait.
        wait: Option<Parsed<Whole<0, 25>>>,
        trending: Option<Parsed<Flag>>,
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestEcho {
    pub text: String,
}

fn echo(text: impl Into<String>) -> TestEcho {
    TestEcho { text: text.into() }
}

/// Lets in whoever's token is a number.
pub(crate) struct Member(UserId);

impl Gate for Member {
    const GUARD: Guard = Guard::User;

    async fn enter(call: &mut Call) -> Result<Self> {
        let token = bearer(call.headers())?.ok_or(Code::Unauthenticated)?;
        token.parse().map(Self).map_err(|_| Error::new(Code::Unauthenticated))
    }

    fn caller(&self) -> Caller {
        Caller::User(self.0)
    }
}

async fn list(_: Anyone, (Paged(page), Query(filter)): (Paged, Query<TestFilter>)) -> Result<TestEcho> {
    let wait = filter.wait.map_or(0, |Parsed(wait)| wait.0);
    let trending = filter.trending.is_some_and(|Parsed(flag)| flag.0);
    Ok(echo(format!("{} {wait} {trending}", page.limit.get())))
}

async fn order(_: Anyone, Body(order): Body<TestOrder>) -> Result<Created<TestEcho>> {
    let nick_name = order.nick_name.map(|Text(name)| name).unwrap_or_default();
    let tags = order.tags.map_or(0, |List(tags)| tags.len());
    let yes = order.nested.is_some_and(|inner| inner.yes);
    let job = order.job_id.map(|Parsed(job)| job.to_string()).unwrap_or_default();
    let kind = order.kind.map(|Text(kind)| kind).unwrap_or_default();
    let free = order.free.map_or(0, |object| object.0.len());
    Ok(Created(echo(format!("{} {nick_name} {tags} {job} {yes} {free}{kind}", order.count.0))))
}

async fn large(_: Anyone, Body(body): Body<TestLarge, LARGE>) -> Result<TestEcho> {
    let text = body.text.map_or(0, |Text(text)| text.len());
    let free = body.free.map_or(0, |AnyObject(free)| free.len());
    Ok(echo(format!("{} {free} {text}", body.items.0.len())))
}

async fn form(_: Anyone, file: Upload<1024>) -> Result<TestEcho> {
    Ok(echo(file.bytes.len().to_string()))
}

async fn large_of_a_member(me: Member, Body(body): Body<TestLarge, LARGE>) -> Result<TestEcho> {
    Ok(echo(format!("{} {}", me.0, body.items.0.len())))
}

async fn me(me: Member, (): ()) -> Result<TestEcho> {
    Ok(echo(me.0.to_string()))
}

async fn job(_: Anyone, Ids(id): Ids<JobId>) -> Result<TestEcho> {
    Ok(echo(id.to_string()))
}

async fn break_down(_: Anyone, (): ()) -> Result<TestEcho> {
    panic!("the secret is swordfish")
}

async fn fail(_: Anyone, (): ()) -> Result<TestEcho> {
    Err(Error::internal("the secret is swordfish"))
}

async fn big(_: Anyone, (): ()) -> Result<TestEcho> {
    Ok(echo("dream ".repeat(1000)))
}

/// Bytes of an answer of `/v1/test/pages`.
pub(crate) const PAGE: usize = 256 * 1024;

/// Text that does not compress, other for each seed.
fn noise(length: usize, seed: u64) -> String {
    let mut state = seed | 1 << 40;
    let letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + u8::try_from(state >> 58).unwrap_or(0))
    };
    std::iter::repeat_with(letter)
        .take(length)
        .map(|letter| if letter == '\\' { '~' } else { letter })
        .collect()
}

fn rows(levers: &Arc<Levers>) -> Vec<Row> {
    let waiting = |levers: &Arc<Levers>| {
        let levers = Arc::clone(levers);
        move |_: Anyone, (): ()| {
            let levers = Arc::clone(&levers);
            async move {
                levers.begun.fetch_add(1, Ordering::SeqCst);
                levers.go_on.notified().await;
                levers.done.fetch_add(1, Ordering::SeqCst);
                Ok(echo("done"))
            }
        }
    };
    let levers_of_held = Arc::clone(levers);
    let held = move |_: Member, Body(_): Body<TestLarge, LARGE>| {
        let levers = Arc::clone(&levers_of_held);
        async move {
            levers.begun.fetch_add(1, Ordering::SeqCst);
            levers.go_on.notified().await;
            Ok(echo("done"))
        }
    };
    let counted = Arc::clone(levers);
    let public = move |_: Anyone, (): ()| {
        let call = counted.begun.fetch_add(1, Ordering::SeqCst);
        async move { Ok(echo("dream ".repeat(1000) + &call.to_string())) }
    };
    let counted = Arc::clone(levers);
    let pages = move |_: Anyone, (Paged(page), Query(filter)): (Paged, Query<TestFilter>)| {
        counted.begun.fetch_add(1, Ordering::SeqCst);
        async move {
            let wait = filter.wait.map_or(0, |Parsed(wait)| wait.0);
            Ok(echo(noise(PAGE, wait.unsigned_abs() * 1000 + page.limit.get().unsigned_abs())))
        }
    };
    vec![
        get("/v1/test/list", list),
        post("/v1/test/large", large),
        post("/v1/test/form", form),
        post("/v1/test/large/mine", large_of_a_member),
        post("/v1/test/large/held", held),
        get("/v1/test/pages", pages).public(Duration::from_mins(1), "tests"),
        post("/v1/test/orders", order).fails(&[Code::OrderNotPayable]),
        get("/v1/test/me", me),
        get("/v1/test/jobs/{jobId}", job),
        get("/v1/test/panic", break_down),
        post("/v1/test/panic", break_down),
        get("/v1/test/fail", fail),
        get("/v1/test/big", big),
        get("/v1/test/public", public).public(Duration::from_mins(1), "tests"),
        get("/v1/test/slow", waiting(levers)),
        post("/v1/test/slow", waiting(levers)),
    ]
}

/// Settings for impatient tests.
pub(crate) fn settings() -> Settings {
    let limits = Limits {
        header_time: Duration::from_millis(400),
        body_time: Duration::from_millis(400),
        answer_time: Duration::from_secs(5),
        drain_time: Duration::from_secs(5),
        ..Limits::default()
    };
    Settings { listen: SocketAddr::from(([127, 0, 0, 1], 0)), throttle: None, limits, ..Settings::default() }
}

/// A rule of so many requests a minute.
pub(crate) fn a_minute(limit: u32) -> Option<ThrottleRule> {
    NonZeroU32::new(limit).map(|limit| ThrottleRule { limit, period: Duration::from_mins(1) })
}

/// A business on a database of its own.
async fn dream(folder: &Path) -> Dream {
    let database = DatabaseOptions {
        durability: Durability::Process,
        ..DatabaseOptions::new(format!("sqlite://{}/dream.db", folder.display()))
    };
    let settings = dream_core::Settings::new("a secret of at least thirty-two bytes".into());
    let blobs = DiskBlobs::open(folder.join("blobs"), "http://localhost/uploads").await.unwrap();
    Dream::builder(settings, database)
        .blobs(Arc::new(blobs))
        .wechat(Arc::new(Nowhere))
        .image_api(Arc::new(Nowhere))
        .build()
        .await
        .unwrap()
        .0
}

/// A running server.
pub(crate) struct House {
    pub address: SocketAddr,
    pub levers: Arc<Levers>,
    pub app: Arc<App>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
    folder: TempDir,
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with(settings()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        Self::built(settings, |builder| builder).await
    }

    pub(crate) async fn built(
        settings: Settings,
        change: impl FnOnce(dream_http::AppBuilder) -> dream_http::AppBuilder,
    ) -> Self {
        let door = Door::open(&settings).unwrap();
        Self::raised(settings, door, change).await
    }

    /// With sockets that listen already.
    pub(crate) async fn behind(door: Door) -> Self {
        Self::raised(settings(), door, |builder| builder).await
    }

    async fn raised(
        settings: Settings,
        door: Door,
        change: impl FnOnce(dream_http::AppBuilder) -> dream_http::AppBuilder,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dream = dream(folder.path()).await;
        let levers = Arc::new(Levers::default());
        let app = change(App::builder(dream, settings).rows(rows(&levers))).build().unwrap();
        let server = Server::behind(Arc::clone(&app), door);
        let address = server.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.serve(async move {
            let _ = stopped.await;
        }));
        Self { address, levers, app, stop: Some(stop), running, folder }
    }

    pub(crate) async fn connect(&self) -> Wire {
        Wire { stream: TcpStream::connect(self.address).await.unwrap(), read: Vec::new() }
    }

    /// Stores a picture of so many bytes, all of them zero, under `/uploads/`.
    pub(crate) fn store_picture(&self, name: &str, size: u64) {
        let file = std::fs::File::create(self.folder.path().join("blobs").join(name)).unwrap();
        file.set_len(size).unwrap();
    }

    /// One request from another address of this machine.
    pub(crate) async fn from(&self, address: [u8; 4], target: &str) -> Answer {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        let mut wire = Wire { stream: socket.connect(self.address).await.unwrap(), read: Vec::new() };
        wire.send(&format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n"), b"").await;
        wire.answer(false).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, head: &str, body: &[u8]) -> Answer {
        let mut wire = self.connect().await;
        wire.send(head, body).await;
        wire.answer(head.starts_with("HEAD")).await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: t\r\nAccept-Language: en\r\n\r\n"), b"").await
    }

    pub(crate) async fn post(&self, target: &str, body: &str) -> Answer {
        self.ask(&post_head(target, body.len()), body.as_bytes()).await
    }

    /// Tells the server to stop, and does not wait.
    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub(crate) async fn stopped(self) {
        timeout(PATIENCE, self.running).await.expect("the server stops").unwrap();
    }

    /// Waits until so many of the slow rows have begun.
    pub(crate) async fn until_begun(&self, count: usize) {
        until(|| self.levers.begun.load(Ordering::SeqCst) >= count).await;
    }
}

pub(crate) fn post_head(target: &str, length: usize) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: t\r\nAccept-Language: en\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

/// Waits for a condition, but not for ever.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    let met = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, met).await.expect("the condition is met in time");
}

/// A connection, byte by byte.
pub(crate) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    pub(crate) async fn send(&mut self, head: &str, body: &[u8]) {
        self.stream.write_all(head.as_bytes()).await.unwrap();
        self.stream.write_all(body).await.unwrap();
    }

    /// Sends what the server may not want any more; whether it was taken.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Whether the server closes the connection without a word.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await;
        ended.is_ok() && self.read.is_empty() && rest.is_empty()
    }

    /// Waits for the first bytes of an answer, and leaves them unread.
    pub(crate) async fn until_readable(&self) {
        timeout(PATIENCE, self.stream.readable()).await.expect("the server answers").unwrap();
    }

    async fn more(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await.expect("the server answers");
        read.is_ok_and(|count| count > 0)
    }

    /// The next answer, unless the server closes the connection instead.
    pub(crate) async fn try_answer(&mut self) -> Option<Answer> {
        while find(&self.read, b"\r\n\r\n").is_none() {
            if !self.more().await {
                return None;
            }
        }
        Some(self.answer(false).await)
    }

    /// The next answer.
    pub(crate) async fn answer(&mut self, without_body: bool) -> Answer {
        let end = loop {
            if let Some(at) = find(&self.read, b"\r\n\r\n") {
                break at;
            }
            assert!(self.more().await, "closed without an answer: {:?}", String::from_utf8_lossy(&self.read));
        };
        let head = String::from_utf8(self.read[..end].to_vec()).unwrap();
        self.read.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            headers
                .entry(name.to_ascii_lowercase())
                .and_modify(|known| *known = format!("{known}, {value}"))
                .or_insert_with(|| value.to_owned());
        }
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let bodyless = without_body || status == 304 || status == 204;
        let length = if bodyless { 0 } else { length };
        while self.read.len() < length {
            assert!(self.more().await, "closed in the middle of an answer");
        }
        let body = self.read.drain(..length).collect();
        Answer { status, headers, body }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn text(&self) -> String {
        self.json()["text"].as_str().unwrap_or_default().to_owned()
    }

    /// The faulty fields: `limit RANGE`.
    pub(crate) fn faults(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().cloned().unwrap_or_default();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let mut faults: Vec<String> = errors
            .iter()
            .map(|fault| format!("{} {}", text(&fault["field"]), text(&fault["code"])))
            .collect();
        faults.sort();
        faults
    }
}
