//! What the image API tells by itself.

use std::time::Duration;

use dream_core::Code;
use dream_core::ports::JobState;
use dream_testkit::fakes::image_api::{SignedEvent, WebhookPlan, signature};
use dream_testkit::on_every_backend;
use dream_testkit::wait::eventually;
use dream_testkit::world::TestDream;

use crate::support::{SOON, code, grant, submitted};

/// Waits until so many notices were sent and answered.
async fn delivered(world: &TestDream, count: usize) {
    assert!(eventually(SOON, || world.image_api().deliveries().len() == count).await, "{count} notices");
}

/// How often the image API was asked about jobs.
fn looks(world: &TestDream) -> usize {
    world.image_api().requests().iter().filter(|recorded| recorded.request.method == "GET").count()
}

async fn apply(world: &TestDream, event: &SignedEvent) {
    let notice = world.dream().image_webhook(Some(event.signature.as_bytes()), event.body.as_bytes());
    notice.expect("a genuine notice").apply().await.expect("it takes effect");
}

on_every_backend!(a_notice_ends_a_job_without_a_single_look, |backend| async move {
    let world = TestDream::on(&backend).by_hand().webhooks().start().await;
    let alice = world.alice().await;
    let (job, upstream) = submitted(&world, &alice, "a cat").await;
    world.image_api().succeed(&upstream);
    delivered(&world, 1).await;
    let job = alice.job(&job).await;
    assert_eq!((job.state, job.result_urls.len(), looks(&world)), (JobState::Succeeded, 1, 0));
    world.finish().await;
});

on_every_backend!(
    notices_that_come_twice_late_or_contradict_themselves_change_nothing_more,
    |backend| async move {
        let world = TestDream::on(&backend).by_hand().webhooks().daily_quota(0).start().await;
        let alice = world.alice().await;
        grant(&world, &alice, 100).await;
        let mut sent = 0;
        for plan in [WebhookPlan::Twice, WebhookPlan::OutOfOrder, WebhookPlan::Contradicted] {
            for fails in [true, false] {
                let (job, upstream) = submitted(&world, &alice, "a cat").await;
                let points = alice.points().await;
                world.image_api().plan_next_webhook(plan);
                let end = if fails { JobState::Failed } else { JobState::Succeeded };
                if fails {
                    world.image_api().fail(&upstream, "TIMEOUT")
                } else {
                    world.image_api().succeed(&upstream)
                };
                sent += 2;
                delivered(&world, sent).await;
                assert_eq!(alice.job(&job).await.state, end, "{plan:?}");
                assert_eq!(alice.points().await, points + if fails { 10 } else { 0 }, "{plan:?}");
            }
        }
        assert!(world.image_api().deliveries().iter().all(|delivery| delivery.status == Some(200)));
        world.finish().await;
    }
);

on_every_backend!(a_late_notice_finds_the_job_ended_by_looking, |backend| async move {
    let world = TestDream::on(&backend).by_hand().webhooks().start().await;
    let alice = world.alice().await;
    let (job, upstream) = submitted(&world, &alice, "a cat").await;
    world.image_api().plan_next_webhook(WebhookPlan::Late { ms: 600_000 });
    world.image_api().succeed(&upstream);
    world.settle().await;
    let ended = alice.job(&job).await;
    assert_eq!(ended.state, JobState::Succeeded);
    world.pass(Duration::from_mins(10)).await;
    delivered(&world, 1).await;
    assert_eq!(alice.job(&job).await, ended);
    world.finish().await;
});

on_every_backend!(a_notice_that_is_not_signed_by_the_image_api_is_refused, |backend| async move {
    let world = TestDream::on(&backend).by_hand().webhooks().start().await;
    let alice = world.alice().await;
    let (job, upstream) = submitted(&world, &alice, "a cat").await;
    world.image_api().plan_next_webhook(WebhookPlan::Forged);
    world.image_api().succeed(&upstream);
    delivered(&world, 1).await;
    assert_eq!(world.image_api().deliveries()[0].status, Some(401));
    let genuine = world.image_api().signed_event(&upstream).unwrap();
    let body = genuine.body.as_bytes();
    let open = |signature: Option<&str>, body: &[u8]| {
        world.dream().image_webhook(signature.map(str::as_bytes), body)
    };
    let changed = genuine.body.replace("SUCCEEDED", "FAILED");
    for (signature, body) in [
        (None, body),
        (Some(""), body),
        (Some(&genuine.signature[7..]), body),
        (Some(&genuine.signature[..70]), body),
        (Some(&*signature("another secret", body)), body),
        (Some(&*genuine.signature), changed.as_bytes()),
    ] {
        assert_eq!(code(open(signature, body)), Code::Unauthenticated, "{signature:?}");
    }
    let nonsense = signature(world.image_api().webhook_secret(), b"{}");
    assert_eq!(code(open(Some(&nonsense), b"{}")), Code::InvalidJson);
    assert_eq!(alice.job(&job).await.state, JobState::Queued);
    world.finish().await;
});

on_every_backend!(without_a_secret_every_notice_is_refused, |backend| async move {
    let world =
        TestDream::on(&backend).by_hand().settings(|settings| settings.webhook_secret = None).start().await;
    let alice = world.alice().await;
    let (_, upstream) = submitted(&world, &alice, "a cat").await;
    world.image_api().succeed(&upstream);
    let event = world.image_api().signed_event(&upstream).unwrap();
    let outcome = world.dream().image_webhook(Some(event.signature.as_bytes()), event.body.as_bytes());
    assert_eq!(code(outcome), Code::Unauthenticated);
    world.finish().await;
});

on_every_backend!(a_notice_about_a_job_that_is_not_known_has_no_effect, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let alice = world.alice().await;
    let (job, upstream) = submitted(&world, &alice, "a cat").await;
    world.image_api().succeed(&upstream);
    let event = world.image_api().signed_event(&upstream).unwrap();
    // As it is when the notice overtakes the answer to the submission.
    let body = event.body.replace(&upstream, "cmunknownunknownunknown00");
    let unknown =
        SignedEvent { signature: signature(world.image_api().webhook_secret(), body.as_bytes()), body };
    apply(&world, &unknown).await;
    assert_eq!(alice.job(&job).await.state, JobState::Queued);
    world.finish().await;
});

on_every_backend!(notices_at_once_end_a_job_once, |backend| async move {
    let world = TestDream::on(&backend).by_hand().daily_quota(0).start().await;
    let alice = world.alice().await;
    grant(&world, &alice, 10).await;
    let (job, upstream) = submitted(&world, &alice, "a cat").await;
    world.image_api().fail(&upstream, "TIMEOUT");
    let same = world.image_api().signed_event(&upstream).unwrap();
    let others: Vec<SignedEvent> =
        (0..10).map(|_| world.image_api().signed_event(&upstream).unwrap()).collect();
    let calls = others.iter().chain(std::iter::repeat_n(&same, 10)).map(|event| apply(&world, event));
    futures_util::future::join_all(calls).await;
    assert_eq!(alice.job(&job).await.state, JobState::Failed);
    assert_eq!(alice.points().await, 10);
    world.finish().await;
});
