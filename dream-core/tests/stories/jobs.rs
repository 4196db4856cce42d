//! Generations, from being asked for to their end.

use std::time::Duration;

use base64::Engine as _;
use dream_core::jobs::{GenerateRequest, ModelParams, PictureUrl, UpstreamCredential};
use dream_core::kernel::{IdempotencyKey, JobId, PageRequest};
use dream_core::ports::JobState;
use dream_core::{Code, Session};
use dream_testkit::fakes::image_api::{Status, operation};
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

on_every_backend!(every_refusal_is_told_by_our_codes_and_costs_nothing, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let nested = |code: &str| json!({"error": {"code": code, "message": "of theirs"}});
    for (status, refusal, expected) in [
        (402, json!({"error": "INSUFFICIENT_CREDITS", "message": "top up at …"}), "UPSTREAM_UNAVAILABLE"),
        (402, json!({}), "UPSTREAM_UNAVAILABLE"),
        (403, json!({"error": "FORBIDDEN", "message": "no"}), "UPSTREAM_UNAVAILABLE"),
        (403, json!({"error": "CONTENT_POLICY_VIOLATION", "message": "no"}), "CONTENT_REJECTED"),
        (400, nested("moderation_blocked"), "CONTENT_REJECTED"),
        (400, nested("InputTextSensitiveContentDetected.PolicyViolation"), "CONTENT_REJECTED"),
        (400, nested("billing_hard_limit_reached"), "UPSTREAM_UNAVAILABLE"),
        (404, nested("model_not_found"), "UPSTREAM_UNAVAILABLE"),
        (429, nested("insufficient_quota"), "UPSTREAM_UNAVAILABLE"),
        (200, nested("content_policy_violation"), "CONTENT_REJECTED"),
        (200, nested("insufficient_quota"), "UPSTREAM_UNAVAILABLE"),
        (413, json!({}), "INVALID_REQUEST"),
    ] {
        world.image_api().faults().next(operation::SUBMIT, Fault::status(status, refusal.to_string()));
        let job = alice.generates("a cat").await.job_id;
        world.work().await;
        let job = alice.job(&job).await;
        assert_eq!((job.state, error_code(&job)), (JobState::Failed, Some(expected)), "{status} {refusal}");
        assert_eq!(job.error.unwrap().message, "", "{status} {refusal}");
        assert_eq!(alice.used_today().await, 0, "{status} {refusal}");
    }
    let refusal = json!({"error": "INVALID_REQUEST", "message": "the ratio is unknown"});
    world.image_api().faults().next(operation::SUBMIT, Fault::status(400, refusal.to_string()));
    let job = alice.generates("a cat").await.job_id;
    world.work().await;
    let error = alice.job(&job).await.error.unwrap();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("INVALID_REQUEST", "the ratio is unknown"));
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
        ("[fail]", "UPSTREAM_TIMEOUT"),
        ("[policy]", "CONTENT_REJECTED"),
        ("[credits]", "UPSTREAM_UNAVAILABLE"),
    ] {
        let job = alice.generate(&polished(marker, 2)).await.unwrap().job_id;
        world.settle().await;
        let job = alice.job(&job).await;
        assert_eq!((job.state, error_code(&job)), (JobState::Failed, Some(reason)));
        assert_eq!(job.error.as_ref().unwrap().message, "", "the other side's affairs are not the user's");
        assert_eq!((job.refunded, job.delivered()), (job.charge, 0));
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
    assert_eq!(error_code(&alice.job(&job).await), Some("UPSTREAM_UNAVAILABLE"));
    assert_eq!(alice.used_today().await, 0);
    world.finish().await;
});

on_every_backend!(a_success_without_pictures_is_waited_for_and_then_given_up, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let job = alice.generates("[empty]").await.job_id;
    world.pass(Duration::from_mins(50)).await;
    assert_eq!(alice.job(&job).await.state, JobState::Running, "as good as being worked on");
    world.settle().await;
    assert_eq!(error_code(&alice.job(&job).await), Some("RESULT_INVALID"));
    assert_eq!(alice.used_today().await, 0);
    world.finish().await;
});

on_every_backend!(a_job_that_never_ends_fails_in_time_and_makes_room, |backend| async move {
    let world = TestDream::on(&backend)
        .settings(|settings| {
            settings.job_deadline = Duration::from_mins(20);
            settings.at_once.normal = 2;
        })
        .start()
        .await;
    let alice = world.alice().await;
    let (stuck, queued) = (alice.generates("[stuck]").await.job_id, alice.generates("[queued]").await.job_id);
    let next = alice.generates("waits for a place").await.job_id;
    world.pass(Duration::from_mins(20) - Duration::from_secs(1)).await;
    assert_eq!(alice.job(&stuck).await.state, JobState::Running);
    assert_eq!(alice.job(&next).await.state, JobState::Queued);
    world.pass(Duration::from_secs(2)).await;
    for job in [&stuck, &queued] {
        let job = alice.job(job).await;
        assert_eq!((job.state, error_code(&job)), (JobState::Failed, Some("UPSTREAM_TIMEOUT")));
        assert_eq!(job.refunded, job.charge);
    }
    let there = |prompt: &str| {
        let jobs = world.image_api().jobs();
        jobs.into_iter().find(|job| job.request["prompt"] == prompt).expect("it was submitted")
    };
    assert_eq!(there("[queued]").status, Status::Canceled, "the image API is told, where that helps");
    assert_eq!(there("waits for a place").status, Status::Queued);
    world.settle().await;
    assert_eq!(alice.job(&next).await.state, JobState::Succeeded, "its time began with its own submission");
    assert_eq!(alice.used_today().await, 1);
    // What the image API says later changes nothing.
    let upstream = upstream_id(&world, &stuck).await;
    world.image_api().succeed(&upstream);
    let event = world.image_api().signed_event(&upstream).unwrap();
    let notice = world.dream().image_webhook(Some(event.signature.as_bytes()), event.body.as_bytes());
    notice.unwrap().apply().await.unwrap();
    assert_eq!(alice.job(&stuck).await.state, JobState::Failed);
    world.finish().await;
});

on_every_backend!(no_job_is_held_open_for_more_than_an_hour, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let stuck = alice.generates("[stuck]").await.job_id;
    world.work().await;
    world.image_api().server().go_down().await.unwrap();
    let unsent = alice.generates("never sent").await.job_id;
    world.pass(Duration::from_mins(59)).await;
    assert_eq!(alice.job(&stuck).await.state, JobState::Queued);
    world.pass(Duration::from_mins(2)).await;
    assert_eq!(error_code(&alice.job(&stuck).await), Some("UPSTREAM_TIMEOUT"));
    assert_eq!(error_code(&alice.job(&unsent).await), Some("UPSTREAM_UNAVAILABLE"));
    assert_eq!(alice.used_today().await, 0);
    world.image_api().server().come_back().await.unwrap();
    world.finish().await;
});

on_every_backend!(a_job_whose_caller_cannot_be_spoken_for_any_more_ends_too, |backend| async move {
    let world =
        TestDream::on(&backend).settings(|settings| settings.forward_upstream_auth = true).start().await;
    let alice = world.alice().await;
    let credential = UpstreamCredential::new("Bearer key-of-the-tenant".into()).unwrap();
    let me = alice.session().await;
    let job = me.generate(&polished("[stuck]", 1), None, Some(&credential)).await.unwrap().job_id;
    world.work().await;
    // As after a change of the secret that seals it.
    world.database().execute("UPDATE generations SET upstream_key = '00'").await;
    world.pass(Duration::from_mins(62)).await;
    assert_eq!(error_code(&alice.job(&job).await), Some("UPSTREAM_TIMEOUT"));
    assert_eq!(alice.used_today().await, 0);
    world.finish().await;
});

on_every_backend!(pictures_that_do_not_come_are_given_back, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(3).start().await;
    let alice = world.alice().await;
    grant(&world, &alice, 70).await;
    // Three of the quota, seven for ten points each; nine do not come.
    let job = alice.generate(&polished("[part]", 10)).await.unwrap().job_id;
    assert_eq!((alice.points().await, alice.used_today().await), (0, 3));
    world.settle().await;
    let job = alice.job(&job).await;
    assert_eq!((job.state, job.sample_count, job.delivered()), (JobState::Succeeded, 10, 1));
    assert_eq!((job.refunded.points.get(), job.refunded.quota), (70, 2));
    assert_eq!((alice.points().await, alice.used_today().await), (70, 1));
    // Only points, where those suffice.
    let job = alice.generate(&polished("[part]", 5)).await.unwrap().job_id;
    world.settle().await;
    let job = alice.job(&job).await;
    assert_eq!((job.charge.quota, job.charge.points.get()), (2, 30));
    assert_eq!((job.refunded.quota, job.refunded.points.get()), (1, 30));
    world.finish().await;
});

on_every_backend!(only_pictures_count_as_delivered, |backend| async move {
    let world = TestDream::on(&backend).by_hand().daily_quota(100).start().await;
    let alice = world.alice().await;
    for none in [
        &[""][..],
        &["javascript:alert(1)"],
        &["/files/a.png"],
        &["data:image/png;base64,AAAA", "data:text/html;base64,PGh0bWw+"],
        &["data:image/svg+xml;base64,PHN2Zy8+"],
        &["https://", "ftp://a.example/1.png", "iVBORw0KGgo="],
    ] {
        let (job, upstream) = submitted(&world, &alice, "a cat").await;
        world.image_api().deliver(&upstream, none);
        world.settle().await;
        let job = alice.job(&job).await;
        assert_eq!((job.state, error_code(&job)), (JobState::Failed, Some("RESULT_INVALID")), "{none:?}");
        assert_eq!((job.result_urls.len(), job.refunded), (0, job.charge), "{none:?}");
    }
    assert_eq!(alice.used_today().await, 0);

    let job = alice.generate(&polished("three cats", 3)).await.unwrap().job_id;
    world.work().await;
    let upstream = upstream_id(&world, &job).await;
    world.image_api().deliver(&upstream, &["javascript:alert(1)", "https://a.example/1.png", ""]);
    world.settle().await;
    let job = alice.job(&job).await;
    assert_eq!(
        (job.state, &job.result_urls[..]),
        (JobState::Succeeded, &["https://a.example/1.png".to_owned()][..])
    );
    assert_eq!((job.refunded.quota, alice.used_today().await), (2, 1));
    world.finish().await;
});

/// A picture as a data URL.
fn inline_picture() -> String {
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(3, 2).write_to(&mut file, image::ImageFormat::Png).expect("a picture");
    format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(file.into_inner()))
}

on_every_backend!(a_picture_in_the_answer_itself_is_stored, |backend| async move {
    let world = TestDream::on(&backend).by_hand().webhooks().start().await;
    let alice = world.alice().await;
    let job = alice.generate(&polished("two cats", 2)).await.unwrap().job_id;
    world.work().await;
    let upstream = upstream_id(&world, &job).await;
    let inline = inline_picture();
    world.image_api().deliver(&upstream, &[&inline, "https://a.example/2.png"]);
    // A notice of it only makes us look: nobody waits there for storage.
    let event = world.image_api().signed_event(&upstream).unwrap();
    let notice = world.dream().image_webhook(Some(event.signature.as_bytes()), event.body.as_bytes());
    notice.unwrap().apply().await.unwrap();
    world.work().await;
    let job = alice.job(&job).await;
    assert_eq!((job.state, job.delivered(), job.refunded.quota), (JobState::Succeeded, 2, 0));
    let stored = world.blobs().key_of(&job.result_urls[0]).expect("it lies with us");
    let info = world.blobs().head(&stored).await.unwrap().expect("it is there");
    assert_eq!(info.content_type.as_deref(), Some("image/png"));
    let thumbnail =
        job.thumbnail_url.as_deref().and_then(|url| world.blobs().key_of(url)).expect("a thumbnail");
    assert!(world.blobs().head(&thumbnail).await.unwrap().is_some());
    assert_eq!(job.result_urls[1], "https://a.example/2.png");
    // It stays there, and nothing of it is removed later.
    world.settle().await;
    world.pass(Duration::from_hours(1)).await;
    assert!(world.blobs().head(&stored).await.unwrap().is_some());
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
    world.settle().await;
    assert_eq!(alice.job(&own).await.state, JobState::Succeeded, "it is also followed by that key");
    assert!(
        world.database().texts("SELECT upstream_key FROM generations").await.is_empty(),
        "and then forgotten"
    );
    let told = world.image_api().authorizations();
    assert_eq!(told, ["Bearer key-of-the-tenant".to_owned()].into());
    world.finish().await;
});

on_every_backend!(where_callers_bring_keys_nobody_elses_stands_in_for_one, |backend| async move {
    let world =
        TestDream::on(&backend).settings(|settings| settings.forward_upstream_auth = true).start().await;
    let alice = world.alice().await;
    let me = alice.session().await;
    let access = alice.tokens().access;
    let own = |text: String| UpstreamCredential::new(text).unwrap();
    for refused in [
        None,
        Some(own(format!("Bearer {access}"))),
        Some(own(format!("bearer  {access}"))),
        Some(own(access.clone())),
    ] {
        let answer = me.generate(&polished("a cat", 1), None, refused.as_ref()).await;
        assert_eq!(code(answer), Code::UpstreamKeyRequired, "{refused:?}");
    }
    // A token of ours stays ours when its time is over.
    world.clock().advance(Duration::from_hours(24 * 8));
    let me = world.user("bob").await.session().await;
    let answer = me.generate(&polished("a cat", 1), None, Some(&own(format!("Bearer {access}")))).await;
    assert_eq!(code(answer), Code::UpstreamKeyRequired);
    assert_eq!(world.database().number("SELECT count(*) FROM generations").await, 0);
    world.settle().await;
    assert!(world.image_api().requests().is_empty(), "nothing was sent");
    assert_eq!(world.database().number("SELECT count(*) FROM quota_usage").await, 0);
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
