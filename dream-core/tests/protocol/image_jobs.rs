//! The image API's client through the life of jobs, at a provider that keeps state.

use std::sync::Arc;
use std::time::Duration;

use dream_core::adapters::image_api::{ImageApiConfig, ImageApiHttp};
use dream_core::ports::{Failure, FailureKind, ImageApi, ImageRequest, JobState, Tenant, UpstreamJob};
use dream_core::protocol::webhook::WebhookVerifier;
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions, operation};
use dream_testkit::faults::Fault;
use futures_util::future::join_all;
use secrecy::SecretString;
use serde_json::Map;

use crate::support::{failed, kind_and_code};

struct World {
    fake: FakeImageApi,
    api: ImageApiHttp,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut ImageApiOptions)) -> Self {
        let clock = Arc::new(TestClock::default());
        let mut options = ImageApiOptions::new(clock.clone());
        options.by_hand = true;
        change(&mut options);
        let fake = FakeImageApi::start(options).await.unwrap();
        let key = SecretString::from(fake.service_key().to_owned());
        let mut config = ImageApiConfig::new(fake.base_url(), key);
        config.timeout = Duration::from_millis(500);
        Self { api: ImageApiHttp::new(&config, clock).unwrap(), fake }
    }

    async fn submit(&self, key: &str) -> Result<UpstreamJob, Failure> {
        let request = ImageRequest {
            prompt: "a cat".to_owned(),
            negative_prompt: None,
            mode: "draft",
            resolution: None,
            aspect_ratio: None,
            sample_count: 2,
            input_image_url: None,
            input_image: None,
            model: None,
            params: Map::new(),
        };
        self.api.submit(&Tenant::Service, key, &request).await
    }

    async fn look(&self, id: &str) -> UpstreamJob {
        self.api.job(&Tenant::Service, id).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_job_is_followed_to_its_pictures() {
    let world = World::new().await;
    let job = world.submit("k").await.unwrap();
    assert_eq!(world.look(&job.id).await.state, JobState::Queued);
    world.fake.run(&job.id);
    assert_eq!(world.look(&job.id).await.state, JobState::Running);
    world.fake.succeed(&job.id);
    let done = world.look(&job.id).await;
    assert_eq!((done.state, done.result_urls.len()), (JobState::Succeeded, 2));
    assert_eq!(world.api.recent(&Tenant::Service).await.unwrap(), std::slice::from_ref(&done));
    for url in &done.result_urls {
        let (bytes, content_type) = world.api.download(url, 10 << 20).await.unwrap();
        assert_eq!(content_type, "image/png");
        assert!(bytes.starts_with(b"\x89PNG"));
    }
}

#[tokio::test]
async fn a_failed_job_says_why_in_detail_list_and_webhook() {
    let world = World::new().await;
    let job = world.submit("k").await.unwrap();
    world.fake.run(&job.id);
    world.fake.fail(&job.id, "CONTENT_POLICY_VIOLATION");
    let event = world.fake.signed_event(&job.id).unwrap();
    let verifier = WebhookVerifier::new(&SecretString::from(world.fake.webhook_secret().to_owned())).unwrap();
    let event = verifier.open(Some(event.signature.as_bytes()), event.body.as_ref()).unwrap();
    let listed = world.api.recent(&Tenant::Service).await.unwrap().remove(0);
    for told in [world.look(&job.id).await, listed, event.job] {
        assert_eq!(told.state, JobState::Failed);
        assert_eq!(told.error.unwrap().code, "CONTENT_POLICY_VIOLATION");
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_cleared_up_by_the_same_key() {
    for fault in [
        Fault::Drop,
        Fault::DropAfter,
        Fault::Truncate,
        Fault::Corrupt,
        Fault::special("no_job_id"),
        Fault::status(500, r#"{"error":"PROVIDER_ERROR","message":"m"}"#),
        Fault::html(503),
        Fault::delay_after(Duration::from_hours(1)),
    ] {
        let world = World::new().await;
        world.fake.faults().next(operation::SUBMIT, fault.clone());
        let failure = world.submit("k").await.unwrap_err();
        assert!(failure.outcome_unknown(), "{fault:?}: {failure}");
        let job = world.submit("k").await.unwrap();
        let made = world.fake.jobs_for_key("k");
        assert_eq!(made.len(), 1, "{fault:?}");
        assert_eq!(made[0].id, job.id, "{fault:?}");
    }
}

#[tokio::test]
async fn parallel_submissions_under_one_key_find_one_job() {
    let world = World::with(|options| options.repeat_status = 200).await;
    let jobs = join_all((0..20).map(|_| world.submit("k"))).await;
    let mut ids: Vec<String> = jobs.into_iter().map(|job| job.unwrap().id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn only_a_job_that_waits_can_be_canceled() {
    let world = World::new().await;
    let waiting = world.submit("k1").await.unwrap();
    world.api.cancel(&Tenant::Service, &waiting.id).await.unwrap();
    assert_eq!(world.look(&waiting.id).await.state, JobState::Canceled);
    let racing = world.submit("k2").await.unwrap();
    world.fake.faults().next(operation::CANCEL, Fault::special("cancel_race"));
    let found = kind_and_code(world.api.cancel(&Tenant::Service, &racing.id).await);
    assert_eq!(found, failed(FailureKind::Refused, "INVALID_STATE"));
    assert_eq!(world.look(&racing.id).await.state, JobState::Running);
    let unknown = kind_and_code(world.api.cancel(&Tenant::Service, "cm_unknown").await);
    assert_eq!(unknown, failed(FailureKind::Refused, "JOB_NOT_FOUND"));
    assert_eq!(world.api.job(&Tenant::Service, "cm_unknown").await.unwrap(), None);
}

#[tokio::test]
async fn tenants_do_not_see_each_others_jobs() {
    let world = World::with(|options| options.accept_any_key = true).await;
    let job = world.submit("k").await.unwrap();
    let other = Tenant::Forwarded(SecretString::from("Bearer another key"));
    assert_eq!(world.api.job(&other, &job.id).await.unwrap(), None);
    assert!(world.api.recent(&other).await.unwrap().is_empty());
    assert_eq!(world.api.recent(&Tenant::Service).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_providers_limit_reads_as_throttled() {
    let world = World::with(|options| options.at_once = 1).await;
    world.submit("k1").await.unwrap();
    assert_eq!(world.submit("k2").await.unwrap_err().kind, FailureKind::Throttled);
}
