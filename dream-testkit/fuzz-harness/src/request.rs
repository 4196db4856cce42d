//! Bytes on a connection to `/v1`. Whatever they are, every answer is whole, and none says that the fault is ours.
//!
//! What no fuzzer can guess it names by a marker, which the harness replaces: `@TOKEN@`, `@CURSOR@` and their kin, see
//! `Stage::filled_in`.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use dream_core::adapters::wechat_pay::WeChatPay;
use dream_core::kernel::{OrderId, Points};
use dream_core::media;
use dream_core::protocol::webhook::WebhookVerifier;
use dream_http::{App, Settings};
use dream_testkit::backends::{Backend, BackendKind, migrate};
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::image_api::ImageApiOptions;
use dream_testkit::world::{ADMIN_KEY, Actor, TestDream};
use httparse::Status;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Enough for a generation or two for every input of a long run.
const MANY_POINTS: i64 = 1_000_000;
/// Who waits for a job waits long. That is not what is looked for here, so the client hangs up.
const PATIENCE: Duration = Duration::from_secs(2);

static STAGE: LazyLock<Stage> = LazyLock::new(Stage::build);

/// Starts the world and the server, once.
pub fn init() {
    LazyLock::force(&STAGE);
}

/// Checks one input; whether it belongs into a corpus.
///
/// # Panics
/// If an answer is broken, or says that the fault is the server's.
pub fn check(data: &[u8]) -> bool {
    STAGE.play(data)
}

/// A world, a server in front of it, and what the markers stand for.
struct Stage {
    runtime: Runtime,
    world: TestDream,
    app: Arc<App>,
    webhooks: WebhookVerifier,
    person: Mutex<Arc<Person>>,
    markers: Vec<(&'static str, String)>,
}

/// Whose token is sent, with an order of theirs. An input may end the login, or the whole user.
struct Person {
    actor: Actor,
    number: u32,
    order: OrderId,
}

impl Person {
    async fn new(world: &TestDream, number: u32) -> Self {
        let actor = world.user(&format!("person-{number}")).await;
        let admin = world.admin().await;
        admin.grant_points(actor.id(), Points::new(MANY_POINTS), "a gift").await.expect("a grant");
        let plan = "vip_month".parse().expect("a plan");
        let placed = actor.session().await.purchase(&plan, WeChatPay::NAME, None).await.expect("an order");
        Self { actor, number, order: placed.order.order_id }
    }
}

impl Stage {
    fn build() -> Self {
        media::work_in_place();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (world, app, job, person) = runtime.block_on(async {
            let backend = Backend::start(BackendKind::Sqlite, migrate).await.expect("a database");
            let world = TestDream::on(&backend).taking_payments().start().await;
            world.dream().plant_seeds().await.expect("seeds");
            let settings = Settings { throttle: None, ..Settings::default() };
            let app = App::builder(world.dream().clone(), settings).build().expect("an app");
            // Time passes until it is done, and then stands still, or what is signed would be too old.
            let job = world.user("person-0").await.generates("a lighthouse").await.job_id;
            world.settle().await;
            let person = Person::new(&world, 0).await;
            (world, app, job, Mutex::new(Arc::new(person)))
        });
        runtime.spawn(Arc::clone(&app).keep(std::future::pending()));
        let secret = ImageApiOptions::new(Arc::new(TestClock::default())).webhook_secret;
        let webhooks = WebhookVerifier::new(&SecretString::from(secret)).expect("a secret");
        let markers = vec![("ADMIN", ADMIN_KEY.to_owned()), ("JOB", job.to_string())];
        let mut stage = Self { runtime, world, app, webhooks, person, markers };
        stage.find_markers();
        stage
    }

    /// Asks for the rest of what inputs refer to.
    fn find_markers(&mut self) {
        let page = self.asked("GET", "/v1/gallery/images?limit=1", "");
        let cursor = text(&page, "/nextCursor");
        let (id, url) =
            (page.pointer("/items/0/id").expect("an image").to_string(), text(&page, "/items/0/imageUrl"));
        let file = url.rsplit("/uploads/").next().unwrap_or_default().to_owned();
        self.markers.extend([("CURSOR", cursor), ("IMAGE", id), ("FILE", file)]);
        let paid = self.person().order.to_string();
        let pay = self.world.wechat_pay();
        pay.pay_as(self.person().actor.openid(), &paid).expect("a payment");
        let notice = pay.sealed_payment(&paid, None).expect("a payment");
        let headers: Vec<String> =
            notice.headers().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let body = String::from_utf8(notice.body().to_vec()).expect("JSON");
        self.markers.extend([("NOTICE_HEADERS", headers.concat()), ("NOTICE", body)]);
        let event = json!({ "MsgType": "event", "Event": "wxa_media_check", "trace_id": "t", "result": { "suggest": "pass" } });
        let push = self.world.wechat().signed_push(&event);
        let query: Vec<String> = push.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.markers.extend([("PUSH_QUERY", query.join("&")), ("PUSH", push.body)]);
    }

    fn person(&self) -> Arc<Person> {
        Arc::clone(&self.person.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The JSON of an answer that has to succeed.
    fn asked(&self, method: &str, path: &str, body: &str) -> Value {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: dream\r\nAuthorization: Bearer @TOKEN@\r\n\
             Content-Type: application/json\r\nContent-Length: @LENGTH@\r\n\r\n{body}"
        );
        let heard = self.exchange(&self.filled_in(request.as_bytes())).expect("an answer in time");
        let answer = answers(&heard.bytes, &heard.methods).pop().expect("an answer");
        assert!(answer.status < 300, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    fn play(&self, data: &[u8]) -> bool {
        let Some(heard) = self.exchange(&self.filled_in(data)) else { return false };
        for answer in answers(&heard.bytes, &heard.methods) {
            let body = String::from_utf8_lossy(&answer.body);
            assert!(
                answer.status != 500 && !body.contains(r#""statusCode":500"#),
                "{}: {body}",
                answer.status
            );
            if answer.is_json {
                assert!(serde_json::from_str::<Value>(&body).is_ok(), "not JSON: {body}");
            }
        }
        if contains(data, b"@TOKEN@") || contains(data, b"@REFRESH@") {
            self.renew();
        }
        true
    }

    /// Has the user sign in again whose login an input ended, or somebody else where it ended the user.
    fn renew(&self) {
        let person = self.person();
        let next = self.runtime.block_on(async {
            if person.actor.try_session().await.is_ok()
                || person.actor.log_in_again().await.user.id == person.actor.id()
            {
                return None;
            }
            Some(Person::new(&self.world, person.number + 1).await)
        });
        if let Some(next) = next {
            *self.person.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        }
    }

    /// The input with every marker replaced. `@LENGTH@` in the head is the size of what follows the head, and
    /// `@SIGNATURE@` the image API's signature of it.
    fn filled_in(&self, data: &[u8]) -> Vec<u8> {
        if !data.contains(&b'@') {
            return data.to_vec();
        }
        let mut data = data.to_vec();
        let person = self.person();
        let tokens = person.actor.tokens();
        data = replaced(&data, "TOKEN", &tokens.access);
        data = replaced(&data, "REFRESH", &tokens.refresh);
        data = replaced(&data, "ORDER", person.order.as_str());
        if contains(&data, b"@CODE@") {
            data = replaced(&data, "CODE", &self.world.wechat().login_code(person.actor.openid()));
        }
        for (name, value) in &self.markers {
            data = replaced(&data, name, value);
        }
        let end = data.windows(4).position(|window| window == b"\r\n\r\n").map_or(data.len(), |at| at + 4);
        let (head, body) = data.split_at(end);
        let head = replaced(head, "LENGTH", &body.len().to_string());
        let head = replaced(&head, "SIGNATURE", &self.webhooks.sign(body));
        [&head, body].concat()
    }

    /// Sends these bytes, and hears what comes until the server hangs up. `None` if it takes its time.
    fn exchange(&self, sent: &[u8]) -> Option<Heard> {
        let methods = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&methods);
        let app = Arc::clone(&self.app);
        let service = service_fn(move |request: Request<Incoming>| {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.method().clone());
            let app = Arc::clone(&app);
            async move { Ok::<_, Infallible>(app.answer(PEER, request).await) }
        });
        self.runtime.block_on(async {
            let (client, server) = tokio::io::duplex(64 * 1024);
            let (mut reader, mut writer) = tokio::io::split(client);
            // The client closes its side when it has said everything, and still wants to hear the answer.
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .half_close(true)
                .serve_connection(TokioIo::new(server), service);
            let say = async {
                // The server may have hung up already.
                drop(writer.write_all(sent).await);
                drop(writer.shutdown().await);
            };
            let mut bytes = Vec::new();
            let hear = async { reader.read_to_end(&mut bytes).await.map(drop) };
            let all = async { tokio::join!(connection, say, hear) };
            let in_time = tokio::time::timeout(PATIENCE, all).await.is_ok();
            let methods = methods.lock().unwrap_or_else(PoisonError::into_inner).clone();
            in_time.then_some(Heard { bytes, methods })
        })
    }
}

/// What a server said on one connection, and which requests it understood.
struct Heard {
    bytes: Vec<u8>,
    methods: Vec<Method>,
}

struct Answer {
    status: u16,
    is_json: bool,
    body: Vec<u8>,
}

/// The answers, one after the other to the end.
fn answers(mut rest: &[u8], methods: &[Method]) -> Vec<Answer> {
    let mut methods = methods.iter();
    let mut answers = Vec::new();
    while !rest.is_empty() {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let Status::Complete(length) = head.parse(rest).expect("a well-formed answer") else {
            panic!("an answer breaks off: {}", String::from_utf8_lossy(rest))
        };
        let status = head.code.expect("a status");
        let value = |name: &str| {
            let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.map(|header| std::str::from_utf8(header.value).expect("a readable header"))
        };
        rest = &rest[length..];
        if status < 200 {
            continue;
        }
        // What could not be understood is answered without asking us.
        let method = methods.next().unwrap_or(&Method::GET);
        let body = if method == Method::HEAD || matches!(status, 204 | 304) {
            Vec::new()
        } else if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            chunks(&mut rest)
        } else if let Some(length) = value("content-length") {
            taken(&mut rest, length.parse().expect("a length")).to_vec()
        } else {
            std::mem::take(&mut rest).to_vec()
        };
        let is_json = value("content-type").is_some_and(|kind| kind.starts_with("application/json"))
            && value("content-encoding").is_none()
            && method != Method::HEAD
            && status != 206
            && status != 304;
        answers.push(Answer { status, is_json, body });
    }
    answers
}

fn chunks(rest: &mut &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let Ok(Status::Complete((start, size))) = httparse::parse_chunk_size(rest) else {
            panic!("no chunk: {}", String::from_utf8_lossy(rest))
        };
        taken(rest, start);
        body.extend_from_slice(taken(rest, usize::try_from(size).expect("a size")));
        assert_eq!(taken(rest, 2), b"\r\n");
        if size == 0 {
            return body;
        }
    }
}

fn taken<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (first, behind) = rest.split_at_checked(length).expect("an answer that does not break off");
    *rest = behind;
    first
}

fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no {pointer} in {value}")).to_owned()
}

fn contains(data: &[u8], what: &[u8]) -> bool {
    data.windows(what.len()).any(|window| window == what)
}

fn replaced(data: &[u8], marker: &str, value: &str) -> Vec<u8> {
    let marker = format!("@{marker}@");
    let mut out = Vec::with_capacity(data.len() + value.len());
    let mut rest = data;
    while let Some(at) = rest.windows(marker.len()).position(|window| window == marker.as_bytes()) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(value.as_bytes());
        rest = &rest[at + marker.len()..];
    }
    out.extend_from_slice(rest);
    out
}
