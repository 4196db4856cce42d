//! The image API's client: what it sends, and what it concludes from each way to answer.

use std::sync::Arc;
use std::time::Duration;

use dream_core::adapters::image_api::{ImageApiConfig, ImageApiHttp};
use dream_core::ports::{FailureKind, ImageApi, ImageRequest, JobError, JobState, Tenant, UpstreamJob};
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::server::{FakeRequest, FakeResponse, FakeServer, Setup};
use futures_util::future::join_all;
use http::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::{failed, kind_and_code};

const KEY: &str = "the operator's key";

fn request() -> ImageRequest {
    ImageRequest {
        prompt: "山间的清晨".to_owned(),
        negative_prompt: Some("fog".to_owned()),
        mode: "draft",
        resolution: Some("2K"),
        aspect_ratio: Some("16:9"),
        sample_count: 2,
        input_image_url: None,
        input_image: None,
        model: None,
        params: json!({"seed": 7, "mode": "final"}).as_object().unwrap().clone(),
    }
}

struct World {
    clock: Arc<TestClock>,
    server: FakeServer,
    api: ImageApiHttp,
}

impl World {
    async fn new(answer: impl Fn(&FakeRequest) -> FakeResponse + Send + Sync + 'static) -> Self {
        Self::with(|_| {}, answer).await
    }

    async fn with(
        change: impl FnOnce(&mut ImageApiConfig),
        answer: impl Fn(&FakeRequest) -> FakeResponse + Send + Sync + 'static,
    ) -> Self {
        let clock = Arc::new(TestClock::default());
        let answer = move |request: FakeRequest| std::future::ready(answer(&request));
        let server = FakeServer::start(Setup::new(clock.clone()), answer).await.unwrap();
        let mut config = ImageApiConfig::new(server.base_url(), SecretString::from(KEY));
        change(&mut config);
        let api = ImageApiHttp::new(&config, clock.clone()).unwrap();
        Self { clock, server, api }
    }

    /// A server that answers everything alike.
    async fn always(status: u16, body: &'static str) -> Self {
        Self::new(move |_| FakeResponse::text(StatusCode::from_u16(status).unwrap(), body)).await
    }

    async fn submit(&self) -> Result<UpstreamJob, dream_core::ports::Failure> {
        self.api.submit(&Tenant::Service, "key-1", &request()).await
    }

    fn sent(&self) -> Vec<FakeRequest> {
        self.server.log().all().into_iter().map(|recorded| recorded.request).collect()
    }
}

const ACCEPTED: &str = r#"{"jobId":"cm1","status":"QUEUED"}"#;

#[tokio::test]
async fn a_submission_says_what_is_wanted_and_nothing_else() {
    let world = World::always(202, ACCEPTED).await;
    let job = world.submit().await.unwrap();
    let expected =
        UpstreamJob { id: "cm1".to_owned(), state: JobState::Queued, result_urls: Vec::new(), error: None };
    assert_eq!(job, expected);
    let sent = &world.sent()[0];
    assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", "/v1/images/generate"));
    assert_eq!(sent.bearer(), Some(KEY));
    assert_eq!(sent.header("idempotency-key"), Some("key-1"));
    assert_eq!(sent.header("content-type"), Some("application/json"));
    let expected = json!({
        "prompt": "山间的清晨", "negativePrompt": "fog", "mode": "draft", "resolution": "2K",
        "aspectRatio": "16:9", "sampleCount": 2, "seed": 7,
    });
    assert_eq!(sent.json::<Value>().unwrap(), expected);
}

#[tokio::test]
async fn a_forwarded_key_goes_out_as_it_came_and_ours_does_not() {
    let world = World::always(200, ACCEPTED).await;
    let tenant = Tenant::Forwarded(SecretString::from("Bearer theirs"));
    world.api.submit(&tenant, "k", &request()).await.unwrap();
    assert_eq!(world.sent()[0].header("authorization"), Some("Bearer theirs"));
    let broken = Tenant::Forwarded(SecretString::from("Bearer a\r\nX-Other: b"));
    let found = kind_and_code(world.api.submit(&broken, "k", &request()).await);
    assert_eq!(found, failed(FailureKind::Refused, "INVALID_API_KEY"));
    assert_eq!(world.sent().len(), 1);
}

#[tokio::test]
async fn every_answer_to_a_submission_leads_to_the_right_conclusion() {
    use FailureKind::{Misconfigured, Refused, Throttled, TimedOut, Unknown};
    for (status, body, expected) in [
        (400, r#"{"error":"INVALID_REQUEST","message":"m"}"#, failed(Refused, "INVALID_REQUEST")),
        (400, r#"{"error":{"code":"BAD","message":"m"}}"#, failed(Refused, "BAD")),
        (400, "", failed(Refused, "INVALID_REQUEST")),
        (
            400,
            r#"{"statusCode":400,"message":["a","b"],"error":"Bad Request"}"#,
            failed(Refused, "UNKNOWN_ERROR"),
        ),
        (413, "<html></html>", failed(Refused, "UNKNOWN_ERROR")),
        (422, r#"{"error":"CONTENT_POLICY_VIOLATION"}"#, failed(Refused, "CONTENT_POLICY_VIOLATION")),
        (401, r#"{"error":"INVALID_API_KEY","message":"m"}"#, failed(Misconfigured, "INVALID_API_KEY")),
        (402, "", failed(Misconfigured, "PAYMENT_REQUIRED")),
        (403, r#"{"error":"FORBIDDEN"}"#, failed(Misconfigured, "FORBIDDEN")),
        (403, r#"{"error":"CONTENT_POLICY_VIOLATION"}"#, failed(Refused, "CONTENT_POLICY_VIOLATION")),
        (
            400,
            r#"{"error":{"type":"image_generation_user_error","code":"moderation_blocked"}}"#,
            failed(Refused, "moderation_blocked"),
        ),
        (
            400,
            r#"{"error":{"type":"image_generation_user_error","code":null}}"#,
            failed(Refused, "image_generation_user_error"),
        ),
        (
            400,
            r#"{"error":{"code":"billing_hard_limit_reached"}}"#,
            failed(Misconfigured, "billing_hard_limit_reached"),
        ),
        (404, r#"{"error":{"code":"model_not_found"}}"#, failed(Misconfigured, "model_not_found")),
        (404, "Not Found", failed(Misconfigured, "UNKNOWN_ERROR")),
        (409, "", failed(Unknown, "UNKNOWN_ERROR")),
        (409, r#"{"error":"INVALID_STATE"}"#, failed(Refused, "INVALID_STATE")),
        (429, r#"{"error":{"code":"insufficient_quota"}}"#, failed(Misconfigured, "insufficient_quota")),
        (200, r#"{"error":{"code":"insufficient_quota"}}"#, failed(Misconfigured, "insufficient_quota")),
        (
            200,
            r#"{"error":{"code":"content_policy_violation"}}"#,
            failed(Refused, "content_policy_violation"),
        ),
        (200, r#"{"error":"PROVIDER_ERROR"}"#, failed(Unknown, "PROVIDER_ERROR")),
        (408, "", failed(TimedOut, "UNKNOWN_ERROR")),
        (429, r#"{"error":"RATE_LIMIT_EXCEEDED","message":"m"}"#, failed(Throttled, "RATE_LIMIT_EXCEEDED")),
        (500, r#"{"error":"PROVIDER_ERROR","message":"m"}"#, failed(Unknown, "PROVIDER_ERROR")),
        (502, "<html></html>", failed(Unknown, "UNKNOWN_ERROR")),
        (503, "", failed(Unknown, "SERVICE_OVERLOAD")),
        (302, "", failed(Unknown, "UNKNOWN_ERROR")),
        (200, "", failed(Unknown, "")),
        (202, "{}", failed(Unknown, "")),
        (202, r#"{"jobId":null}"#, failed(Unknown, "")),
        (202, r#"{"jobId":"../other"}"#, failed(Unknown, "")),
        (202, r#"{"jobId":"cm1","#, failed(Unknown, "")),
    ] {
        let world = World::always(status, body).await;
        assert_eq!(kind_and_code(world.submit().await), expected, "{status} {body}");
        assert_eq!(world.sent().len(), 1, "nothing is repeated: {status}");
    }
    let world = World::always(401, "").await;
    let theirs = Tenant::Forwarded(SecretString::from("Bearer theirs"));
    let found = kind_and_code(world.api.submit(&theirs, "k", &request()).await);
    assert_eq!(found, failed(Refused, "INVALID_API_KEY"), "a caller's bad key is no fault of ours");
}

#[tokio::test]
async fn a_broken_exchange_says_what_is_known_about_its_outcome() {
    type Break = fn(FakeResponse) -> FakeResponse;
    let ways: [(Break, FailureKind); 4] = [
        (FakeResponse::lost, FailureKind::Unknown),
        (FakeResponse::truncated, FailureKind::Unknown),
        (FakeResponse::corrupted, FailureKind::Unknown),
        (|answer| answer.after(Duration::from_hours(1)), FailureKind::TimedOut),
    ];
    for (number, (way, kind)) in ways.into_iter().enumerate() {
        let short = |config: &mut ImageApiConfig| config.timeout = Duration::from_millis(300);
        let world =
            World::with(short, move |_| way(FakeResponse::text(StatusCode::ACCEPTED, ACCEPTED))).await;
        assert_eq!(world.submit().await.unwrap_err().kind, kind, "{number}");
    }
    let world = World::always(202, ACCEPTED).await;
    world.server.go_down().await.unwrap();
    assert_eq!(world.submit().await.unwrap_err().kind, FailureKind::Unreachable);
}

#[tokio::test]
async fn a_wish_for_silence_is_honoured_without_asking_again() {
    let world =
        World::new(|_| FakeResponse::empty(StatusCode::TOO_MANY_REQUESTS).with_header("retry-after", "7"))
            .await;
    let failure = world.submit().await.unwrap_err();
    assert_eq!((failure.kind, failure.retry_after), (FailureKind::Throttled, Some(Duration::from_secs(7))));
    world.clock.advance(Duration::from_secs(2));
    let failure = world.submit().await.unwrap_err();
    assert_eq!((failure.kind, failure.retry_after), (FailureKind::Throttled, Some(Duration::from_secs(5))));
    assert_eq!(world.sent().len(), 1);
    let theirs = Tenant::Forwarded(SecretString::from("Bearer theirs"));
    assert!(world.api.recent(&theirs).await.is_err());
    assert_eq!(world.sent().len(), 2, "another tenant has limits of its own");
    world.clock.advance(Duration::from_secs(5));
    assert!(world.submit().await.is_err());
    assert_eq!(world.sent().len(), 3);
}

#[tokio::test]
async fn a_date_to_come_back_at_is_understood() {
    let world = World::new(|_| {
        FakeResponse::empty(StatusCode::SERVICE_UNAVAILABLE)
            .with_header("date", "Thu, 01 Jan 2026 02:00:00 GMT")
            .with_header("retry-after", "Thu, 01 Jan 2026 02:00:30 GMT")
    })
    .await;
    assert_eq!(world.submit().await.unwrap_err().retry_after, Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn looking_never_uses_up_the_room_for_submissions() {
    let world = World::with(
        |config| config.per_minute = 4,
        |request| match request.method.as_str() {
            "POST" => FakeResponse::text(StatusCode::ACCEPTED, ACCEPTED),
            _ => FakeResponse::text(StatusCode::OK, r#"{"items":[],"hasMore":false}"#),
        },
    )
    .await;
    for _ in 0..3 {
        world.api.recent(&Tenant::Service).await.unwrap();
    }
    assert_eq!(world.api.recent(&Tenant::Service).await.unwrap_err().kind, FailureKind::Throttled);
    world.submit().await.unwrap();
    let failure = world.submit().await.unwrap_err();
    assert_eq!((failure.kind, failure.retry_after), (FailureKind::Throttled, Some(Duration::from_mins(1))));
    assert_eq!(world.sent().len(), 4);
    world.clock.advance(Duration::from_mins(1));
    world.submit().await.unwrap();
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_allowed() {
    let world = World::with(
        |config| (config.concurrency, config.timeout) = (2, Duration::from_millis(200)),
        |_| FakeResponse::text(StatusCode::ACCEPTED, ACCEPTED).after(Duration::from_hours(1)),
    )
    .await;
    let kinds =
        join_all((0..5).map(|_| world.submit())).await.into_iter().map(|found| found.unwrap_err().kind);
    // Whoever got a place waited in vain for an answer; the others waited for a place as long.
    let known = [FailureKind::TimedOut, FailureKind::Throttled];
    assert!(kinds.into_iter().all(|kind| known.contains(&kind)));
    assert!(world.sent().len() <= 4);
}

fn job(state: JobState, result_urls: &[&str], error: Option<(&str, &str)>) -> UpstreamJob {
    UpstreamJob {
        id: "cm1".to_owned(),
        state,
        result_urls: result_urls.iter().map(|&url| url.to_owned()).collect(),
        error: error.map(|(code, message)| JobError { code: code.to_owned(), message: message.to_owned() }),
    }
}

#[tokio::test]
async fn a_job_is_read_in_every_form_it_comes_in() {
    let url = "https://assets.example.test/1.png";
    for (body, expected) in [
        (
            r#"{"jobId":"cm1","status":"SUCCEEDED","resultUrls":["https://assets.example.test/1.png"],"error":null,"createdAt":"x"}"#,
            job(JobState::Succeeded, &[url], None),
        ),
        (r#"{"jobId":"cm1","status":"RUNNING"}"#, job(JobState::Running, &[], None)),
        (
            r#"{"jobId":"cm1","status":"FAILED","resultUrls":null,"error":{"code":"TIMEOUT","message":"late"}}"#,
            job(JobState::Failed, &[], Some(("TIMEOUT", "late"))),
        ),
        (
            r#"{"jobId":"cm1","status":"FAILED","resultUrls":[],"error":"TIMEOUT"}"#,
            job(JobState::Failed, &[], Some(("TIMEOUT", "TIMEOUT"))),
        ),
        (
            r#"{"id":"cm1","status":"FAILED","errorCode":"TIMEOUT","errorMessage":"late"}"#,
            job(JobState::Failed, &[], Some(("TIMEOUT", "late"))),
        ),
    ] {
        let world = World::always(200, body).await;
        assert_eq!(world.api.job(&Tenant::Service, "cm1").await.unwrap(), Some(expected), "{body}");
        assert_eq!(world.sent()[0].path, "/v1/jobs/cm1");
    }
    for body in [r#"{"jobId":"cm1","status":"cancelled"}"#, "[]", ""] {
        let world = World::always(200, body).await;
        let found = world.api.job(&Tenant::Service, "cm1").await;
        assert_eq!(found.unwrap_err().kind, FailureKind::Unknown, "{body}");
    }
}

#[tokio::test]
async fn only_the_provider_itself_can_say_that_a_job_is_unknown() {
    let world = World::always(404, r#"{"error":"JOB_NOT_FOUND","message":"m"}"#).await;
    assert_eq!(world.api.job(&Tenant::Service, "cm1").await.unwrap(), None);
    let found = kind_and_code(world.api.cancel(&Tenant::Service, "cm1").await);
    assert_eq!(found, failed(FailureKind::Refused, "JOB_NOT_FOUND"));
    for body in
        ["<html></html>", r#"{"message":"Cannot GET /v1/jobs/cm1","error":"Not Found","statusCode":404}"#]
    {
        let world = World::always(404, body).await;
        assert!(world.api.job(&Tenant::Service, "cm1").await.is_err(), "{body}");
    }
}

#[tokio::test]
async fn an_id_that_means_another_path_is_asked_nowhere() {
    let world = World::always(200, "{}").await;
    for id in ["", "..", "../images/generate", "..%2fx", "a/b", "a?b", "a#b"] {
        assert_eq!(world.api.job(&Tenant::Service, id).await.unwrap(), None, "{id}");
        let found = kind_and_code(world.api.cancel(&Tenant::Service, id).await);
        assert_eq!(found, failed(FailureKind::Refused, "JOB_NOT_FOUND"), "{id}");
    }
    assert!(world.sent().is_empty());
}

#[tokio::test]
async fn a_list_skips_what_it_does_not_understand() {
    let body = r#"{"items":[{"id":"cm1","status":"QUEUED","resultUrls":[],"errorCode":null,"errorMessage":null},
        {"id":"cm2","status":"PAUSED"},{"id":7}],"hasMore":true}"#;
    let world = World::always(200, body).await;
    let jobs = world.api.recent(&Tenant::Service).await.unwrap();
    assert_eq!(jobs, [job(JobState::Queued, &[], None)]);
    assert_eq!(world.sent()[0].target(), "/v1/jobs?limit=100");
}

#[tokio::test]
async fn a_cancellation_is_done_or_refused() {
    let world = World::always(200, r#"{"jobId":"cm1","status":"CANCELED"}"#).await;
    world.api.cancel(&Tenant::Service, "cm1").await.unwrap();
    assert_eq!(world.sent()[0].method, "DELETE");
    let world = World::always(400, r#"{"error":"INVALID_STATE","message":"m"}"#).await;
    let found = kind_and_code(world.api.cancel(&Tenant::Service, "cm1").await);
    assert_eq!(found, failed(FailureKind::Refused, "INVALID_STATE"));
}

#[tokio::test]
async fn a_picture_is_fetched_without_our_key_and_within_its_limit() {
    let world = World::new(|request| match request.path.as_str() {
        "/a.png" => FakeResponse::new(StatusCode::OK, "image/png", vec![7; 100]),
        "/gone.png" => FakeResponse::empty(StatusCode::NOT_FOUND),
        "/moved.png" => FakeResponse::empty(StatusCode::FOUND).with_header("location", "/a.png"),
        "/astray.png" => {
            FakeResponse::empty(StatusCode::FOUND).with_header("location", "http://127.0.0.1:1/x")
        }
        "/loop.png" => FakeResponse::empty(StatusCode::FOUND).with_header("location", "/loop.png"),
        _ => FakeResponse::new(StatusCode::OK, "image/png", vec![7; 100]).truncated(),
    })
    .await;
    let base = world.server.base_url();
    let fetch = async |path: &str, max| world.api.download(&format!("{base}{path}"), max).await;
    let whole = (vec![7; 100].into(), "image/png".to_owned());
    assert_eq!(fetch("/a.png", 100).await.unwrap(), whole);
    assert_eq!(fetch("/moved.png", 100).await.unwrap(), whole);
    assert_eq!(fetch("/a.png", 99).await.unwrap_err().code.as_deref(), Some("TOO_LARGE"));
    assert_eq!(kind_and_code(fetch("/gone.png", 100).await), failed(FailureKind::Refused, "PICTURE_GONE"));
    assert!(fetch("/astray.png", 100).await.is_err() && fetch("/loop.png", 100).await.is_err());
    assert!(fetch("/cut.png", 100).await.is_err());
    assert!(world.sent().iter().all(|sent| sent.header("authorization").is_none()));
    let elsewhere = world.api.download("http://169.254.169.254/latest/meta-data", 100).await;
    assert_eq!(kind_and_code(elsewhere), failed(FailureKind::Refused, "URL_NOT_ALLOWED"));
}

#[tokio::test]
async fn the_key_is_not_shown_and_an_empty_one_is_refused() {
    let world = World::always(200, "{}").await;
    assert!(!format!("{:?}", world.api).contains(KEY));
    world.api.health().await.unwrap();
    assert_eq!(world.sent()[0].header("authorization"), None);
    for (base_url, key) in [("http://x", ""), ("nonsense", "k"), ("http://x", "a\nb")] {
        let config = ImageApiConfig::new(base_url, SecretString::from(key));
        assert!(ImageApiHttp::new(&config, world.clock.clone()).is_err());
    }
}
