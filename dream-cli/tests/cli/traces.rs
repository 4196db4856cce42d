//! What belongs to one request can be found again: in the log, and at whom we asked for it.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use dream_core::adapters::SystemClock;
use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
use dream_testkit::sandbox::Sandbox;
use image::{ImageFormat, RgbImage};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Known;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use reqwest::Client;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::process::{Node, PATIENCE, Variables, free_port, outside};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const REQUEST: &str = "the-request-of-the-test";

/// Lets somebody log in, upload a picture, buy points and ask for a picture whose first submission fails, all in one
/// trace.
async fn generate(sandbox: &Sandbox, node: &mut Node) -> String {
    let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let post = |path: &str| {
        client
            .post(format!("{}{path}", node.url()))
            .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
            .header("x-request-id", REQUEST)
    };
    let login = post("/v1/auth/wechat-login").json(&json!({ "code": "sandbox-tracy" })).send().await.unwrap();
    let token = login.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    let mut png = Cursor::new(Vec::new());
    RgbImage::new(16, 16).write_to(&mut png, ImageFormat::Png).unwrap();
    let file = Part::bytes(png.into_inner()).file_name("a.png").mime_str("image/png").unwrap();
    let upload = post("/v1/upload/image").bearer_auth(&token).multipart(Form::new().part("file", file));
    assert_eq!(upload.send().await.unwrap().status(), 201);
    let recharge = post("/v1/points/recharge").bearer_auth(&token).json(&json!({ "amount": 50 }));
    assert_eq!(recharge.send().await.unwrap().status(), 201);
    let asked = post("/v1/jobs").bearer_auth(&token).json(&json!({ "prompt": "[overload] a heron" }));
    let asked = asked.send().await.unwrap();
    assert_eq!(asked.status(), 202);
    let job = asked.json::<Value>().await.unwrap()["jobId"].as_str().unwrap().to_owned();
    let submitted = async {
        while sandbox.image_api.jobs().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, submitted).await.expect("the job is submitted");
    assert!(node.until_it_says("a submission is repeated").await);
    job
}

fn production(sandbox: &Sandbox, node: &str) -> Variables {
    let keys = sandbox.credentials();
    Variables::production(&keys, node).with_r2(&keys).with("RUST_LOG", "info,dream_http=debug,sqlx=debug")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_a_request_and_of_what_it_left_to_be_done_names_its_trace() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}");
    let sandbox = outside(&base).await;
    let mut node = Node::start(folder.path(), port, &production(&sandbox, &base)).await;
    let job = generate(&sandbox, &mut node).await;
    let lines: Vec<Value> =
        node.log().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let of_request: Vec<&Value> = lines.iter().filter(|line| line["request.id"] == REQUEST).collect();
    assert!(of_request.iter().any(|line| line["message"] == "request"), "{lines:#?}");
    for line in of_request {
        assert_eq!(line["trace_id"], TRACE, "{line}");
    }
    let repeated = lines.iter().find(|line| line["message"] == "a submission is repeated").unwrap();
    assert_eq!((repeated["trace_id"].as_str(), repeated["job.id"].as_str()), (Some(TRACE), Some(&*job)));
    let submission = sandbox.image_api.requests().into_iter().find(|asked| asked.request.method == "POST");
    let sent = submission.unwrap().request.header("traceparent").unwrap().to_owned();
    // Nobody listens to spans, so that none of ours comes in between.
    assert_eq!(sent, format!("00-{TRACE}-{CALLER}-01"));
    node.stop().await;
}

/// A collector that takes everything.
pub(crate) async fn collector() -> FakeServer {
    let setup = Setup::new(Arc::new(SystemClock));
    FakeServer::start(setup, |_| async {
        FakeResponse::new(reqwest::StatusCode::OK, "application/x-protobuf", "")
    })
    .await
    .unwrap()
}

/// The spans of our trace that the collector was sent.
fn spans_at(collector: &FakeServer) -> Vec<Span> {
    let trace = hex(TRACE);
    let mut spans = Vec::new();
    for recorded in collector.log().all() {
        let request = recorded.request;
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/traces"));
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
        assert_eq!(request.header("x-tenant"), Some("dream of tests"));
        let sent = ExportTraceServiceRequest::decode(request.body).unwrap();
        for resource in sent.resource_spans {
            let known = resource.resource.unwrap_or_default().attributes;
            assert_eq!(fact(&known, "service.name"), Known::StringValue("dream-of-tests".to_owned()));
            spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    spans.retain(|span| span.trace_id == trace);
    spans
}

fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn fact(facts: &[KeyValue], name: &str) -> Known {
    let fact = facts.iter().find(|fact| fact.key == name).unwrap_or_else(|| panic!("{name} in {facts:?}"));
    fact.value.clone().and_then(|value| value.value).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_is_told_of_a_request_and_of_all_that_came_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}");
    let (sandbox, collector) = (outside(&base).await, collector().await);
    let variables = production(&sandbox, &base)
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", collector.base_url())
        .with("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=dream%20of%20tests")
        .with("OTEL_SERVICE_NAME", "dream-of-tests");
    let mut node = Node::start(folder.path(), port, &variables).await;
    generate(&sandbox, &mut node).await;
    // What is left in the queue is sent before the end.
    node.stop().await;

    let spans = spans_at(&collector);
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let [request] = named("POST /v1/jobs")[..] else { panic!("{spans:#?}") };
    assert_eq!((request.kind(), &request.parent_span_id), (SpanKind::Server, &hex(CALLER)));
    let facts = &request.attributes;
    assert_eq!(fact(facts, "http.route"), Known::StringValue("/v1/jobs".to_owned()));
    assert_eq!(fact(facts, "http.response.status_code"), Known::IntValue(202));
    assert_eq!(fact(facts, "request.id"), Known::StringValue(REQUEST.to_owned()));
    assert!(request.end_time_unix_nano > request.start_time_unix_nano);

    let tries = named("job.submit");
    assert!(
        tries.len() >= 2 && tries.iter().all(|span| span.parent_span_id == request.span_id),
        "{spans:#?}"
    );
    let calls = named("image_api.submit");
    let failed =
        |call: &&&Span| call.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
    assert_eq!(calls.iter().filter(failed).count(), 1, "the first is refused, the second is not: {calls:#?}");
    // So are the other calls that were made for the caller.
    for (route, call) in [
        ("POST /v1/auth/wechat-login", "wechat /sns/jscode2session"),
        ("POST /v1/upload/image", "r2.put"),
        ("POST /v1/points/recharge", "wechat_pay.prepay"),
    ] {
        let [request] = named(route)[..] else { panic!("{route} in {spans:#?}") };
        let calls = named(call);
        assert!(!calls.is_empty(), "{call} in {spans:#?}");
        for call in calls {
            assert_eq!((call.kind(), &call.parent_span_id), (SpanKind::Client, &request.span_id));
            assert!(!failed(&&call), "{call:?}");
        }
    }
    for call in &calls {
        assert!(tries.iter().any(|span| span.span_id == call.parent_span_id), "{spans:#?}");
    }
    // The image API was told the very call that it is a part of.
    for asked in sandbox.image_api.requests().iter().filter(|asked| asked.request.method == "POST") {
        let parts: Vec<_> = asked.request.header("traceparent").unwrap().split('-').collect();
        assert_eq!((parts[1], parts[3]), (TRACE, "01"));
        assert!(calls.iter().any(|call| call.span_id == hex(parts[2])), "{parts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_not_there_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}");
    let sandbox = outside(&base).await;
    let variables = production(&sandbox, &base)
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        // Batches of one, so that it is tried again and again.
        .with("OTEL_BSP_SCHEDULE_DELAY", 20);
    let mut node = Node::start(folder.path(), port, &variables).await;
    generate(&sandbox, &mut node).await;
    assert!(node.until_it_says("the collector takes no spans").await);
    let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    for _ in 0..20 {
        assert_eq!(client.get(format!("{base}/v1/vip/plans")).send().await.unwrap().status(), 200);
    }
    let told = node.log().matches("the collector takes no spans").count();
    assert_eq!(told, 1, "it is told once");
    node.stop().await;
}
