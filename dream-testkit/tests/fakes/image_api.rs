use std::sync::Arc;
use std::time::{Duration, Instant};

use dream_core::ports::Clock;
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::image_api::{
    Event, FakeImageApi, ImageApiOptions, Status, WebhookPlan, operation, signature,
};
use dream_testkit::fakes::server::{FakeRequest, FakeResponse, FakeServer, Setup};
use dream_testkit::faults::Fault;
use dream_testkit::wait::eventually;
use http::StatusCode;
use serde_json::{Value, json};

use crate::world::{SOON, client, vectors};

struct World {
    clock: Arc<TestClock>,
    api: FakeImageApi,
}

async fn world() -> World {
    world_with(|_| ()).await
}

async fn world_with(change: impl FnOnce(&mut ImageApiOptions)) -> World {
    let clock = Arc::new(TestClock::default());
    let mut options = ImageApiOptions::new(clock.clone());
    change(&mut options);
    World { clock, api: FakeImageApi::start(options).await.expect("a port") }
}

impl World {
    fn call(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.api.base_url());
        client().request(method.parse().expect("a method"), url).bearer_auth(self.api.service_key())
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn submit(&self, key: &str, body: Value) -> (u16, Value) {
        let request = self.call("POST", "/v1/images/generate").header("Idempotency-Key", key);
        self.send(request.json(&body)).await
    }

    async fn job_of(&self, key: &str, prompt: &str) -> String {
        let (status, body) = self.submit(key, json!({"prompt": prompt, "mode": "draft"})).await;
        assert_eq!(status, 202);
        body["jobId"].as_str().expect("an id").to_owned()
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send(self.call("GET", path)).await
    }

    async fn status(&self, id: &str) -> String {
        self.get(&format!("/v1/jobs/{id}")).await.1["status"].as_str().unwrap_or("").to_owned()
    }

    async fn cancel(&self, id: &str) -> (u16, Value) {
        self.send(self.call("DELETE", &format!("/v1/jobs/{id}"))).await
    }
}

async fn receiver() -> FakeServer {
    let clock: Arc<dyn Clock> = Arc::new(TestClock::default());
    FakeServer::start(Setup::new(clock), |_: FakeRequest| async { FakeResponse::empty(StatusCode::OK) })
        .await
        .expect("a port")
}

fn events(receiver: &FakeServer) -> Vec<(FakeRequest, Event)> {
    let log = receiver.log().all().into_iter();
    log.map(|recorded| (recorded.request.clone(), recorded.request.json().expect("an event"))).collect()
}

#[tokio::test]
async fn a_job_goes_from_queued_over_running_to_its_pictures() {
    let world = world().await;
    let (status, body) =
        world.submit("k", json!({"prompt": "a lake", "mode": "draft", "sampleCount": 2})).await;
    assert_eq!((status, &body["status"]), (202, &json!("QUEUED")));
    let id = body["jobId"].as_str().expect("an id");
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(world.status(id).await, "RUNNING");
    world.clock.advance(Duration::from_secs(30));
    let (_, job) = world.get(&format!("/v1/jobs/{id}")).await;
    assert_eq!((&job["status"], &job["error"]), (&json!("SUCCEEDED"), &Value::Null));
    let urls = job["resultUrls"].as_array().expect("a list");
    assert_eq!(urls.len(), 2);
    let mut pictures = Vec::new();
    for url in urls {
        let answer = client().get(url.as_str().expect("a URL")).send().await.expect("an answer");
        assert_eq!(answer.headers()["content-type"], "image/png");
        pictures.push(answer.bytes().await.expect("a picture"));
    }
    assert_ne!(pictures[0], pictures[1]);
    let picture = image::load_from_memory(&pictures[0]).expect("a PNG");
    assert_eq!((picture.width(), picture.height()), (256, 256));
}

#[tokio::test]
async fn pictures_have_the_shape_that_was_asked_for_and_are_quickly_made() {
    let world = world_with(|options| options.by_hand = true).await;
    let body = json!({"prompt": "a lake", "resolution": "4K", "aspectRatio": "16:9"});
    let id = world.submit("k", body).await.1["jobId"].as_str().expect("an id").to_owned();
    let url = format!("{}/files/{id}-1.png", world.api.base_url());
    assert_eq!(client().get(&url).send().await.expect("an answer").status(), 404);
    world.api.succeed(&id);
    let start = Instant::now();
    let bytes = client().get(&url).send().await.expect("an answer").bytes().await.expect("a picture");
    assert!(start.elapsed() < SOON);
    let picture = image::load_from_memory(&bytes).expect("a PNG");
    assert_eq!((picture.width(), picture.height()), (1024, 576));
}

#[tokio::test]
async fn one_key_makes_one_job_however_many_ask_at_once() {
    let world = world().await;
    let answers = futures_util::future::join_all(
        (0..16).map(|n| world.submit("same", json!({"prompt": format!("try {n}")}))),
    )
    .await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 202).count(), 1);
    assert!(answers.iter().all(|(_, body)| body["jobId"] == answers[0].1["jobId"]));
    assert_eq!(world.api.jobs_for_key("same").len(), 1);
    assert_eq!(world.api.submissions().len(), 16);
}

#[tokio::test]
async fn markers_decide_how_jobs_end() {
    let world = world_with(|options| options.at_once = 0).await;
    for (prompt, code) in [
        ("[fail]", "TIMEOUT"),
        ("[policy]", "CONTENT_POLICY_VIOLATION"),
        ("[credits]", "INSUFFICIENT_CREDITS"),
    ] {
        let id = world.job_of(prompt, prompt).await;
        world.clock.advance(Duration::from_mins(1));
        let (_, job) = world.get(&format!("/v1/jobs/{id}")).await;
        assert_eq!((&job["status"], &job["error"]["code"]), (&json!("FAILED"), &json!(code)));
        assert_eq!(job["resultUrls"], json!([]));
    }
    let id = world.job_of("r", "[retry] a lake").await;
    let mut seen = Vec::new();
    for _ in 0..80 {
        let status = world.api.job(&id).expect("a job").status;
        if seen.last() != Some(&status) {
            seen.push(status);
        }
        world.clock.advance(Duration::from_secs(1));
    }
    let path = [Status::Queued, Status::Running, Status::Retrying, Status::Running, Status::Succeeded];
    assert_eq!(seen, path);
    let (status, body) = world.submit("x", json!({"prompt": "[refuse]"})).await;
    assert_eq!((status, &body["error"]), (400, &json!("INVALID_REQUEST")));
    let (status, body) = world.submit("o", json!({"prompt": "[overload]"})).await;
    assert_eq!((status, &body["error"]), (503, &json!("SERVICE_OVERLOAD")));
    assert_eq!(world.submit("o", json!({"prompt": "[overload]"})).await.0, 202);
}

#[tokio::test]
async fn submissions_are_checked() {
    let world = world().await;
    for body in [
        json!({}),
        json!({"prompt": "  "}),
        json!({"prompt": "x", "resolution": null}),
        json!({"prompt": "x", "resolution": "8K"}),
        json!({"prompt": "x", "mode": "fast"}),
        json!({"prompt": "x", "aspectRatio": "2:1"}),
        json!({"prompt": "x", "sampleCount": 11}),
        json!({"prompt": "x", "sampleCount": 0}),
        json!({"prompt": "x", "inputImageUrl": "data:image/png;base64,AAAA"}),
    ] {
        let (status, answer) = world.submit("k", body.clone()).await;
        assert_eq!((status, &answer["error"]), (400, &json!("INVALID_REQUEST")), "{body}");
    }
    assert_eq!(world.api.jobs().len(), 0);
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_tenants_do_not_see_each_other() {
    let strict = world().await;
    let request = strict.call("GET", "/v1/jobs");
    assert_eq!(strict.send(request).await.0, 200);
    let url = format!("{}/v1/jobs", strict.api.base_url());
    let stranger = client().get(&url).bearer_auth("other").send().await.expect("an answer");
    assert_eq!(stranger.status(), 401);
    assert_eq!(stranger.json::<Value>().await.expect("JSON")["error"], "INVALID_API_KEY");

    let open = world_with(|options| options.accept_any_key = true).await;
    let id = open.job_of("k", "a lake").await;
    let url = format!("{}/v1/jobs/{id}", open.api.base_url());
    let stranger = client().get(&url).bearer_auth("other").send().await.expect("an answer");
    assert_eq!(stranger.status(), 404);
    assert!(open.api.authorizations().contains("Bearer other"));
}

#[tokio::test]
async fn limits_count_requests_a_minute_and_jobs_at_once() {
    let world = world_with(|options| {
        options.at_once = 2;
        options.per_minute = 6;
        options.tell_retry_after = true;
    })
    .await;
    world.job_of("1", "a").await;
    let second = world.job_of("2", "[queued]").await;
    let (status, body) = world.submit("3", json!({"prompt": "c"})).await;
    assert_eq!((status, &body["error"]), (429, &json!("RATE_LIMIT_EXCEEDED")));
    assert_eq!(world.submit("1", json!({"prompt": "a"})).await.0, 200, "a repeat makes no job");
    assert_eq!(world.cancel(&second).await.0, 200);
    assert_eq!(world.submit("3", json!({"prompt": "c"})).await.0, 202);
    let answer = world.call("GET", "/v1/jobs").send().await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (429, &"60".parse().expect("text"))
    );
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(world.get("/v1/jobs").await.0, 200);
}

#[tokio::test]
async fn only_a_waiting_job_can_be_canceled() {
    let world = world().await;
    let id = world.job_of("1", "a lake").await;
    assert_eq!(world.cancel(&id).await, (200, json!({"jobId": id, "status": "CANCELED"})));
    assert_eq!(world.cancel(&id).await.1["error"], "INVALID_STATE");
    world.clock.advance(Duration::from_mins(5));
    assert_eq!(world.status(&id).await, "CANCELED");
    let id = world.job_of("2", "a lake").await;
    world.api.faults().next(operation::CANCEL, Fault::special("cancel_race"));
    assert_eq!(world.cancel(&id).await.0, 400);
    assert_eq!(world.status(&id).await, "RUNNING");
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(world.status(&id).await, "SUCCEEDED");
    assert_eq!(world.cancel("cmunknown").await.1["error"], "JOB_NOT_FOUND");
}

#[tokio::test]
async fn a_walk_through_the_list_sees_every_job_once_newest_first() {
    let world = world_with(|options| options.at_once = 0).await;
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(world.job_of(&n.to_string(), "a lake").await);
    }
    let mut seen = Vec::new();
    let mut path = "/v1/jobs?limit=2".to_owned();
    loop {
        let (_, page) = world.get(&path).await;
        let items = page["items"].as_array().expect("a list");
        seen.extend(items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()));
        assert_eq!(items[0]["errorCode"], Value::Null);
        if page["hasMore"] == json!(false) {
            break;
        }
        path = format!("/v1/jobs?limit=2&cursor={}", page["nextCursor"].as_str().expect("a cursor"));
    }
    made.reverse();
    assert_eq!(seen, made);
    world.api.fail(&made[0], "TIMEOUT");
    let (_, page) = world.get("/v1/jobs?status=FAILED").await;
    assert_eq!(page["items"][0]["errorCode"], "TIMEOUT");
    assert_eq!(page["items"].as_array().expect("a list").len(), 1);
    assert_eq!(world.get("/v1/jobs?status=CANCELLED").await.0, 400);
    assert_eq!(world.get("/v1/jobs?limit=101").await.0, 400);
}

#[tokio::test]
async fn a_lost_answer_leaves_a_job_that_the_same_key_finds() {
    let world = world().await;
    world.api.faults().next(operation::SUBMIT, Fault::DropAfter);
    world.api.faults().next(operation::SUBMIT, Fault::special("no_job_id"));
    let body = json!({"prompt": "a lake"});
    let request = world.call("POST", "/v1/images/generate").header("Idempotency-Key", "k").json(&body);
    request.send().await.expect_err("the answer is lost");
    assert_eq!(world.api.jobs_for_key("k").len(), 1);
    let (status, answer) = world.submit("k", body.clone()).await;
    assert!(status == 202 && answer.get("jobId").is_none());
    let (status, answer) = world.submit("k", body).await;
    assert_eq!((status, &answer["jobId"]), (200, &json!(world.api.jobs_for_key("k")[0].id)));
    assert!(world.api.submissions()[2].repeated);
}

#[tokio::test]
async fn the_end_of_a_job_is_told_signed_and_once() {
    let backend = receiver().await;
    let world = world_with(|options| options.webhook_url = Some(backend.base_url())).await;
    let id = world.job_of("k", "a lake").await;
    assert!(eventually(SOON, || world.clock.sleepers() == 1).await);
    world.clock.advance(Duration::from_mins(1));
    assert!(eventually(SOON, || world.api.deliveries().len() == 1).await);
    let (request, event) = events(&backend).remove(0);
    assert_eq!((&event.job_id, event.status, event.result_urls.len()), (&id, Status::Succeeded, 1));
    let signed = signature(world.api.webhook_secret(), &request.body);
    assert_eq!(request.header("x-signature"), Some(&*signed));
    assert_eq!(world.api.deliveries()[0].status, Some(200));
}

#[tokio::test]
async fn ends_can_be_told_twice_late_out_of_order_wrongly_or_never() {
    let backend = receiver().await;
    let world = world_with(|options| {
        options.webhook_url = Some(backend.base_url());
        options.by_hand = true;
        options.at_once = 0;
    })
    .await;
    let tell = async |key: &str, plan: WebhookPlan| {
        backend.log().clear();
        world.api.plan_next_webhook(plan);
        let id = world.job_of(key, "a lake").await;
        world.api.succeed(&id);
        id
    };
    tell("1", WebhookPlan::Twice).await;
    assert!(eventually(SOON, || events(&backend).len() == 2).await);
    assert_eq!(events(&backend)[0].1, events(&backend)[1].1);
    tell("2", WebhookPlan::OutOfOrder).await;
    assert!(eventually(SOON, || events(&backend).len() == 2).await);
    let (end, stale) = (&events(&backend)[0].1, &events(&backend)[1].1);
    assert!(stale.status == Status::Running && stale.timestamp < end.timestamp);
    tell("3", WebhookPlan::Contradicted).await;
    assert!(eventually(SOON, || events(&backend).len() == 2).await);
    assert_eq!(events(&backend)[1].1.status, Status::Failed);
    tell("4", WebhookPlan::Forged).await;
    assert!(eventually(SOON, || events(&backend).len() == 1).await);
    let request = &events(&backend)[0].0;
    assert_ne!(request.header("x-signature"), Some(&*signature(world.api.webhook_secret(), &request.body)));
    tell("5", WebhookPlan::Late { ms: 1000 }).await;
    let silent = tell("6", WebhookPlan::Never).await;
    assert!(eventually(SOON, || world.clock.sleepers() == 1).await);
    assert_eq!(events(&backend).len(), 0);
    world.clock.advance(Duration::from_secs(1));
    assert!(eventually(SOON, || events(&backend).len() == 1).await);
    assert!(events(&backend).iter().all(|(_, event)| event.job_id != silent));
    world.api.send_webhook(&silent).await;
    assert_eq!(events(&backend)[1].1.job_id, silent);
}

#[tokio::test]
async fn signatures_are_those_of_the_published_cases() {
    let file = vectors("image-webhook");
    let secret = file["secret"].as_str().expect("a secret");
    for case in file["cases"].as_array().expect("cases") {
        let ours = signature(secret, case["body"].as_str().unwrap_or("").as_bytes());
        let theirs = case["headers"]
            .as_object()
            .and_then(|headers| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-signature")));
        if case["expect"]["accept"] == json!(true) {
            assert_eq!(theirs.and_then(|(_, value)| value.as_str()), Some(&*ours), "{}", case["id"]);
        }
    }
}

#[tokio::test]
async fn the_knobs_can_be_turned_over_http() {
    let backend = receiver().await;
    let world = world_with(|options| options.by_hand = true).await;
    let id = world.job_of("k", "a lake").await;
    let post = async |path: &str, body: Value| {
        let request = world.call("POST", &format!("/_control/{path}")).json(&body);
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(post("webhook-url", json!({"url": backend.base_url()})).await, 204);
    assert_eq!(post("webhook-plan", json!({"plan": "twice", "next": true})).await, 204);
    assert_eq!(post(&format!("jobs/{id}/status"), json!({"status": "FAILED", "code": "TIMEOUT"})).await, 204);
    assert_eq!(post("jobs/none/status", json!({"status": "FAILED"})).await, 404);
    assert_eq!(post("webhook-plan", json!({"plan": "nonsense"})).await, 400);
    assert!(eventually(SOON, || world.api.deliveries().len() == 2).await);
    let (_, jobs) = world.get("/_control/jobs").await;
    assert_eq!(jobs[0]["error"]["code"], "TIMEOUT");
    assert_eq!(world.get("/_control/submissions").await.1[0]["idempotencyKey"], "k");
    assert_eq!(world.get("/_control/deliveries").await.1[1]["status"], 200);
    assert_eq!(world.get("/health").await.1["timestamp"], "2026-01-01T02:00:00.000Z");
}
