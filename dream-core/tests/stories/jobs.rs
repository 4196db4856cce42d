//! Generations, from being asked for to their end.

use std::time::Duration;

use dream_core::jobs::{GenerateRequest, ModelParams, PictureUrl, UpstreamCredential};
use dream_core::kernel::{IdempotencyKey, JobId, PageRequest};
use dream_core::ports::JobState;
use dream_core::{Code, Session};
use dream_testkit::fakes::image_api::operation;
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::wait::eventually;
use dream_testkit::world::{TestDream, draft, polished};
use serde_json::json;

use crate::support::{SOON, code, error_code, grant, submitted, upstream_id};

fn key(text: &str) -> IdempotencyKey {
    text.parse().expect("a key")
}

on_every_backend!(a_job_is_followed_by_polling_to_its_pictures, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let accepted = alice.generate(&polished("two cats", 2)).await.unwrap();
    assert_eq!((accepted.charge.quota, accepted.charge.points.get()), (2, 0));
    let queued = alice.job(&accepted.job_id).await;
    assert_eq!((queued.state, queued.result_urls.len()), (JobState::Queued, 0));
    assert!(world.image_api().jobs().is_empty(), "nothing is called before the commit");
    world.pass(Duration::from_secs(10)).await;
    assert_eq!(alice.job(&accepted.job_id).await.state, JobState::Running);
    world.settle().await;
    let job = alice.job(&accepted.job_id).await;
    assert_eq!((job.state, job.generation), (JobState::Succeeded, accepted.generation));
    assert_eq!(job.result_urls, world.image_api().jobs()[0].result_urls);
    assert!(job.completed_at.is_some() && job.error.is_none());
    assert_eq!(alice.used_today().await, 2);
    world.finish().await;
});

on_every_backend!(
    what_was_asked_for_reaches_the_image_api_and_nothing_of_ours_can_be_replaced,
    |backend| async move {
        let world = TestDream::start(&backend).await;
        let alice = world.alice().await;
        let params =
            json!({"seed": 7, "mode": "final", "resolution": "4K", "sampleCount": 10, "prompt": "another"});
        let request = GenerateRequest {
            negative_prompt: Some("blurred".parse().unwrap()),
            aspect_ratio: Some("16:9".parse().unwrap()),
            resolution: Some("2K".parse().unwrap()),
            input_image_url: Some("https://pictures.example/a.png".parse::<PictureUrl>().unwrap()),
            params: ModelParams::new(params.as_object().unwrap().clone()).unwrap(),
            ..draft("a cat", 3)
        };
        alice.generate(&request).await.unwrap();
        world.work().await;
        let sent = &world.image_api().jobs()[0].request;
        assert_eq!(sent["prompt"], "a cat");
        assert_eq!(
            (&sent["mode"], &sent["resolution"], &sent["sampleCount"]),
            (&json!("draft"), &json!("2K"), &json!(3))
        );
        assert_eq!((&sent["aspectRatio"], &sent["seed"]), (&json!("16:9"), &json!(7)));
        assert_eq!(sent["inputImageUrl"], "https://pictures.example/a.png");
        world.finish().await;
    }
);

on_every_backend!(a_refused_submission_gives_back_at_once_what_it_took, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1).start().await;
    let alice = world.alice().await;
    grant(&world, &alice, 10).await;
    let job = alice.generate(&polished("[refuse] this", 2)).await.unwrap();
    assert_eq!((alice.points().await, alice.used_today().await), (0, 1));
    world.work().await;
    let refused = alice.job(&job.job_id).await;
    assert_eq!((refused.state, error_code(&refused)), (JobState::Failed, Some("INVALID_REQUEST")));
    assert_eq!((alice.points().await, alice.used_today().await), (10, 0));
    assert!(world.image_api().jobs().is_empty());
    world.finish().await;
});

on_every_backend!(a_key_that_the_image_api_refuses_is_the_operators_trouble, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let refusal = json!({"error": "INVALID_API_KEY", "message": "the key of the operator is wrong"});
    world.image_api().faults().always(operation::SUBMIT, Fault::status(401, refusal.to_string()));
    let job = alice.generates("a cat").await.job_id;
    world.work().await;
    let job = alice.job(&job).await;
    assert_eq!((job.state, error_code(&job)), (JobState::Failed, Some("UPSTREAM_UNAVAILABLE")));
    assert_eq!(job.error.unwrap().message, "", "users are told nothing of the operator's keys");
    assert_eq!(alice.used_today().await, 0);
    world.finish().await;
});

on_every_backend!(an_answer_that_is_lost_makes_no_second_job, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    for fault in [Fault::DropAfter, Fault::Truncate, Fault::Corrupt, Fault::special("no_job_id")] {
        world.image_api().faults().next_n(operation::SUBMIT, 2, fault.clone());
        let job = alice.generates("a cat").await.job_id;
        world.settle().await;
        assert_eq!(alice.job(&job).await.state, JobState::Succeeded, "{fault:?}");
        let key = format!("dream-{job}");
        assert_eq!(world.image_api().jobs_for_key(&key).len(), 1, "{fault:?}");
        let tries = world
            .image_api()
            .submissions()
            .into_iter()
            .filter(|tried| tried.idempotency_key.as_ref() == Some(&key));
        assert_eq!(tries.count(), 3, "{fault:?}");
    }
    assert_eq!(alice.used_today().await, 4);
    world.finish().await;
});

on_every_backend!(a_troubled_image_api_is_asked_again_with_the_same_key, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let told = |code: &str| json!({"error": code, "message": "later"}).to_string();
    let faults = [
        Fault::status(500, told("PROVIDER_ERROR")),
        Fault::status(500, told("UNKNOWN_ERROR")),
        Fault::status(503, told("SERVICE_OVERLOAD")),
        Fault::status(429, told("RATE_LIMIT_EXCEEDED")),
        Fault::html(502),
        Fault::Drop,
    ];
    for fault in &faults {
        world.image_api().faults().next(operation::SUBMIT, fault.clone());
    }
    let job = alice.generates("a cat").await.job_id;
    world.settle().await;
    assert_eq!(alice.job(&job).await.state, JobState::Succeeded);
    assert_eq!(world.image_api().faults().fired().len(), faults.len());
    let keys = world
        .image_api()
        .requests()
        .into_iter()
        .filter_map(|recorded| recorded.request.header("idempotency-key").map(str::to_owned));
    let keys: Vec<String> = keys.collect();
    assert_eq!(keys.len(), faults.len() + 1);
    assert!(keys.iter().all(|key| *key == format!("dream-{job}")), "{keys:?}");
    world.finish().await;
});

on_every_backend!(the_image_apis_wish_to_wait_is_granted, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let busy =
        Fault::status(429, r#"{"error":"RATE_LIMIT_EXCEEDED","message":"slow down"}"#).with_retry_after(40);
    world.image_api().faults().next(operation::SUBMIT, busy);
    alice.generates("a cat").await;
    world.work().await;
    let refused_at = world.now();
    world.pass(Duration::from_secs(39)).await;
    assert!(world.image_api().jobs().is_empty());
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(world.image_api().jobs().len(), 1);
    assert_eq!(world.now().since(refused_at), Duration::from_secs(40));
    world.finish().await;
});

on_every_backend!(a_failed_job_gives_back_what_it_took_once, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1).start().await;
    let alice = world.alice().await;
    grant(&world, &alice, 10).await;
    for (marker, reason) in [
        ("[fail]", "TIMEOUT"),
        ("[policy]", "CONTENT_POLICY_VIOLATION"),
        ("[credits]", "INSUFFICIENT_CREDITS"),
    ] {
        let job = alice.generate(&polished(marker, 2)).await.unwrap().job_id;
        world.settle().await;
        let job = alice.job(&job).await;
        assert_eq!((job.state, error_code(&job)), (JobState::Failed, Some(reason)));
        assert_eq!((alice.points().await, alice.used_today().await), (10, 0));
    }
    assert_eq!(world.database().number("SELECT count(*) FROM ledger_entries WHERE type = 'REFUND'").await, 3);
    world.finish().await;
});

on_every_backend!(a_job_that_the_provider_tries_again_is_shown_so, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let alice = world.alice().await;
    let (job, upstream) = submitted(&world, &alice, "a cat").await;
    for (status, state) in [
        (dream_testkit::fakes::image_api::Status::Running, JobState::Running),
        (dream_testkit::fakes::image_api::Status::Retrying, JobState::Retrying),
        (dream_testkit::fakes::image_api::Status::Running, JobState::Running),
        (dream_testkit::fakes::image_api::Status::Succeeded, JobState::Succeeded),
    ] {
        world.image_api().set_status(&upstream, status, None);
        world.pass(Duration::from_secs(31)).await;
        assert_eq!(alice.job(&job).await.state, state);
    }
    world.finish().await;
});

on_every_backend!(a_job_that_the_image_api_forgot_fails_and_costs_nothing, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let alice = world.alice().await;
    let (job, _) = submitted(&world, &alice, "a cat").await;
    let unknown = Fault::status(404, r#"{"error":"JOB_NOT_FOUND","message":"there is no such job"}"#);
    world.image_api().faults().always(operation::JOB, unknown);
    world.pass(Duration::from_secs(100)).await;
    assert_eq!(alice.job(&job).await.state, JobState::Queued, "it may only just have been made");
    world.settle().await;
    assert_eq!(error_code(&alice.job(&job).await), Some("JOB_LOST"));
    assert_eq!(alice.used_today().await, 0);
    world.finish().await;
});

on_every_backend!(a_success_without_pictures_is_waited_for_and_then_given_up, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let job = alice.generates("[empty]").await.job_id;
    world.pass(Duration::from_mins(50)).await;
    assert!(!alice.job(&job).await.state.is_final());
    world.settle().await;
    assert_eq!(error_code(&alice.job(&job).await), Some("NO_PICTURES"));
    assert_eq!(alice.used_today().await, 0);
    world.finish().await;
});

on_every_backend!(no_job_is_held_open_for_more_than_a_day, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let stuck = alice.generates("[stuck]").await.job_id;
    world.work().await;
    world.image_api().server().go_down().await.unwrap();
    let unsent = alice.generates("never sent").await.job_id;
    world.pass(Duration::from_hours(23)).await;
    assert_eq!(alice.job(&stuck).await.state, JobState::Queued);
    world.pass(Duration::from_mins(62)).await;
    assert_eq!(error_code(&alice.job(&stuck).await), Some("TIMEOUT"));
    assert_eq!(error_code(&alice.job(&unsent).await), Some("UPSTREAM_UNAVAILABLE"));
    world.image_api().server().come_back().await.unwrap();
    world.finish().await;
});

on_every_backend!(somebody_elses_job_is_not_there, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let (alice, eve) = (world.alice().await, world.user("eve").await);
    let (job, upstream) = submitted(&world, &alice, "a cat").await;
    let eve = eve.session().await;
    let none: JobId = "0198aaaabbbbccccddddeeeeffff0000".parse().unwrap();
    for id in [&job, &none, &upstream.parse().unwrap()] {
        assert_eq!(code(eve.job(id).await), Code::JobNotFound);
        assert_eq!(code(eve.await_job(id, Duration::from_secs(5)).await), Code::JobNotFound);
        assert_eq!(code(eve.cancel_job(id).await), Code::JobNotFound);
    }
    assert_eq!(eve.jobs(None, &PageRequest::default()).await.unwrap().items, []);
    assert_eq!(alice.job(&job).await.state, JobState::Queued);
    alice.session().await.cancel_job(&job).await.unwrap();
    world.finish().await;
});

on_every_backend!(a_repeated_request_gets_the_first_answer, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let (me, request) = (alice.session().await, polished("a cat", 2));
    let first = me.generate(&request, Some(&key("tap-1")), None).await.unwrap();
    let again = me.generate(&request, Some(&key("tap-1")), None).await.unwrap();
    assert!(!first.replayed && again.replayed);
    assert_eq!((&first.job_id, first.charge), (&again.job_id, again.charge));
    let other = me.generate(&polished("a dog", 2), Some(&key("tap-1")), None).await;
    assert_eq!(code(other), Code::IdempotencyConflict);
    // Keys are each user's own.
    let bob = world.user("bob").await;
    let of_bob = bob.session().await.generate(&request, Some(&key("tap-1")), None).await.unwrap();
    assert_ne!(of_bob.job_id, first.job_id);
    world.settle().await;
    let late = me.generate(&request, Some(&key("tap-1")), None).await.unwrap();
    assert!(late.replayed, "also once it has ended");
    assert_eq!((alice.used_today().await, world.image_api().jobs().len()), (2, 2));
    world.finish().await;
});

on_every_backend!(a_key_whose_request_was_refused_is_free_again, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(0).start().await;
    let alice = world.alice().await;
    let request = polished("a cat", 1);
    let refused = alice.session().await.generate(&request, Some(&key("tap")), None).await;
    assert_eq!(code(refused), Code::QuotaExceeded);
    grant(&world, &alice, 10).await;
    let accepted = alice.session().await.generate(&request, Some(&key("tap")), None).await.unwrap();
    assert!(!accepted.replayed);
    world.finish().await;
});

on_every_backend!(of_equal_requests_at_once_one_is_made, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let (me, request) = (alice.session().await, polished("a cat", 1));
    let tap = key("double-tap");
    let calls = (0..20).map(|_| me.generate(&request, Some(&tap), None));
    let answers = futures_util::future::join_all(calls).await;
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("accepted")).collect();
    assert!(answers.iter().all(|answer| answer.job_id == answers[0].job_id));
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert_eq!(alice.used_today().await, 1);
    world.finish().await;
});

on_every_backend!(who_waits_for_a_job_is_told_as_it_changes, |backend| async move {
    let world = TestDream::on(&backend).by_hand().webhooks().start().await;
    let alice = world.alice().await;
    let (job, upstream) = submitted(&world, &alice, "a cat").await;
    let waiting = {
        let (me, job) = (alice.session().await, job.clone());
        tokio::spawn(async move { me.await_job(&job, Duration::from_secs(25)).await })
    };
    assert!(eventually(SOON, || world.clock().sleepers() == 1).await, "it waits");
    world.image_api().succeed(&upstream);
    // The clock stands still, so it is the news that ends the waiting.
    let told = tokio::time::timeout(SOON, waiting).await.expect("in time").unwrap().unwrap();
    assert_eq!(told.state, JobState::Succeeded);
    let ended = alice.session().await.await_job(&job, Duration::from_secs(25)).await.unwrap();
    assert_eq!(ended, told, "nobody waits for what has ended");
    world.finish().await;
});

on_every_backend!(who_waits_is_also_told_of_changes_by_other_nodes_and_of_none, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let alice = world.alice().await;
    let (job, upstream) = submitted(&world, &alice, "a cat").await;
    let (other_dream, _worker) = world.another_node().await;
    let wait = |me: Session, job: JobId, secs: u64| {
        tokio::spawn(async move { me.await_job(&job, Duration::from_secs(secs)).await })
    };
    let waiting = wait(alice.session().await, job.clone(), 3);
    for secs in [2, 1] {
        assert!(eventually(SOON, || world.clock().sleepers() == 1).await, "it waits");
        world.clock().advance(Duration::from_secs(secs));
    }
    assert_eq!(waiting.await.unwrap().unwrap().state, JobState::Queued, "its time was over");
    let waiting = wait(alice.session().await, job.clone(), 25);
    assert!(eventually(SOON, || world.clock().sleepers() == 1).await, "it waits");
    world.image_api().run(&upstream);
    let event = world.image_api().signed_event(&upstream).unwrap();
    let notice = other_dream.image_webhook(Some(event.signature.as_bytes()), event.body.as_bytes()).unwrap();
    notice.apply().await.unwrap();
    world.clock().advance(Duration::from_secs(2));
    let told = tokio::time::timeout(SOON, waiting).await.expect("in time").unwrap().unwrap();
    assert_eq!(told.state, JobState::Running);
    world.image_api().succeed(&upstream);
    world.finish().await;
});

on_every_backend!(a_tenant_with_a_key_of_its_own_pays_for_itself, |backend| async move {
    let world =
        TestDream::on(&backend).settings(|settings| settings.forward_upstream_auth = true).start().await;
    let alice = world.alice().await;
    let credential = UpstreamCredential::new("Bearer key-of-the-tenant".into()).unwrap();
    let me = alice.session().await;
    let own = me.generate(&polished("mine", 1), None, Some(&credential)).await.unwrap().job_id;
    let sealed = world.database().texts("SELECT upstream_key FROM generations").await;
    assert!(sealed.len() == 1 && !sealed[0].contains("key-of-the-tenant"));
    let ours = me.generate(&polished("without", 1), None, None).await.unwrap().job_id;
    world.work().await;
    let tenant = |job: &JobId| world.image_api().jobs_for_key(&format!("dream-{job}"))[0].tenant_id.clone();
    assert_ne!(tenant(&own), tenant(&ours));
    world.settle().await;
    assert_eq!(alice.job(&own).await.state, JobState::Succeeded, "it is also followed by that key");
    assert!(
        world.database().texts("SELECT upstream_key FROM generations").await.is_empty(),
        "and then forgotten"
    );
    let told = world.image_api().authorizations();
    let service = format!("Bearer {}", world.image_api().service_key());
    assert_eq!(told, ["Bearer key-of-the-tenant".to_owned(), service].into());
    world.finish().await;
});

on_every_backend!(a_credential_of_the_caller_goes_nowhere_unless_that_is_asked_for, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let credential = UpstreamCredential::new("Bearer key-of-the-tenant".into()).unwrap();
    alice.session().await.generate(&polished("mine", 1), None, Some(&credential)).await.unwrap();
    world.settle().await;
    let service = format!("Bearer {}", world.image_api().service_key());
    assert_eq!(world.image_api().authorizations(), [service].into(), "and never a user's own token");
    world.finish().await;
});

on_every_backend!(the_upstream_id_is_kept_and_never_shown_as_ours, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let alice = world.alice().await;
    let (job, upstream) = submitted(&world, &alice, "a cat").await;
    assert_eq!(upstream_id(&world, &job).await, world.image_api().jobs()[0].id);
    assert_ne!(alice.job(&job).await.job_id.as_str(), upstream);
    world.image_api().succeed(&upstream);
    world.finish().await;
});
