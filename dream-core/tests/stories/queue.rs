//! Whose generation goes first, and how many of one user are at the image API at once.

use std::time::Duration;

use dream_core::AtOnce;
use dream_core::kernel::JobId;
use dream_core::ports::JobState;
use dream_core::vip::{Level, VipTerm};
use dream_testkit::fakes::image_api::operation;
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;

use crate::support::upstream_id;

fn prompts(world: &TestDream) -> Vec<String> {
    world
        .image_api()
        .jobs()
        .into_iter()
        .map(|job| job.request["prompt"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Lets time pass until the image API has this one.
async fn arrives(world: &TestDream, prompt: &str) {
    let mut came = false;
    for _ in 0..24 {
        came = prompts(world).iter().any(|known| known == prompt);
        if came {
            break;
        }
        world.pass(Duration::from_secs(5)).await;
    }
    assert!(came, "{prompt} never came: {}", world.waiting().await.join(", "));
}

fn everything_succeeds(world: &TestDream) {
    for job in world.image_api().jobs() {
        world.image_api().succeed(&job.id);
    }
}

on_every_backend!(a_user_has_only_so_many_generations_at_the_image_api_at_once, |backend| async move {
    let at_once = AtOnce { normal: 2, vip: 3, svip: 0 };
    let world = TestDream::on(&backend).settings(|s| s.at_once = at_once).by_hand().start().await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    let mut jobs = Vec::new();
    for prompt in ["1", "2", "3", "4"] {
        jobs.push(alice.generates(prompt).await.job_id);
    }
    bob.generates("bob's").await;
    world.work().await;
    assert_eq!(prompts(&world).len(), 3, "two of alice's and bob's");
    world.pass(Duration::from_mins(1)).await;
    assert_eq!(prompts(&world).len(), 3, "waiting makes no place");
    assert_eq!(alice.job(&jobs[2]).await.state, JobState::Queued);

    // The end of one makes a place for the next.
    world.image_api().succeed(&upstream_id(&world, &jobs[0]).await);
    arrives(&world, "3").await;
    assert_eq!(alice.job(&jobs[0]).await.state, JobState::Succeeded);
    assert!(!prompts(&world).contains(&"4".to_owned()));

    // So does a higher level, at the next look.
    world.admin().await.set_vip(alice.id(), Level::Vip, VipTerm::Days(1), None).await.unwrap();
    arrives(&world, "4").await;
    everything_succeeds(&world);
    world.finish().await;
});

on_every_backend!(a_generation_that_waits_for_a_place_can_be_taken_back, |backend| async move {
    let at_once = AtOnce { normal: 1, vip: 1, svip: 1 };
    let world = TestDream::on(&backend).settings(|s| s.at_once = at_once).by_hand().start().await;
    let alice = world.alice().await;
    let first = alice.generates("first").await.job_id;
    let second = alice.generates("second").await.job_id;
    let third = alice.generates("third").await.job_id;
    world.work().await;
    let me = alice.session().await;
    assert_eq!(me.cancel_job(&second).await.unwrap().state, JobState::Canceled);
    world.image_api().succeed(&upstream_id(&world, &first).await);
    arrives(&world, "third").await;
    assert_eq!(prompts(&world).len(), 2);
    assert_ne!(upstream_id(&world, &third).await, "");
    everything_succeeds(&world);
    world.settle().await;
    assert_eq!(alice.used_today().await, 2);
    world.finish().await;
});

on_every_backend!(vip_goes_first_but_nobody_waits_for_ever, |backend| async move {
    // One call at a time, so that the order in the queue is the order at the image API.
    let world = TestDream::on(&backend).daily_quota(100).by_hand().calls_at_once(1).start().await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    world.admin().await.set_vip(bob.id(), Level::Vip, VipTerm::Days(1), None).await.unwrap();
    alice.generates("very old").await;
    world.clock().advance(Duration::from_secs(40));
    for round in 0..40 {
        alice.generates(&format!("normal {round}")).await;
    }
    world.clock().advance(Duration::from_secs(1));
    bob.generates("vip").await;
    // One round of a worker takes fewer than there are.
    world.worker().run_due().await.unwrap();
    let done = prompts(&world);
    assert!(done.contains(&"vip".to_owned()), "{done:?}");
    assert!(done.contains(&"very old".to_owned()), "{done:?}");
    assert!(done.len() < 42, "the rest waits");
    world.work().await;
    everything_succeeds(&world);
    world.finish().await;
});

/// Tries of the task that submits this job that count as failures.
async fn failed_tries(world: &TestDream, job: &JobId) -> i64 {
    let sql = format!("SELECT attempts FROM outbox WHERE kind = 'job.submit' AND subject = '{job}'");
    world.database().number(&sql).await
}

fn one_at_a_time(settings: &mut dream_core::Settings) {
    settings.at_once = AtOnce { normal: 1, vip: 3, svip: 0 };
}

on_every_backend!(waiting_for_a_place_is_no_failure_and_delays_no_retry, |backend| async move {
    let world = TestDream::on(&backend).settings(one_at_a_time).by_hand().start().await;
    let alice = world.alice().await;
    let first = alice.generates("first").await.job_id;
    let second = alice.generates("second").await.job_id;
    world.pass(Duration::from_mins(30)).await;
    assert_eq!(failed_tries(&world, &second).await, 0);

    world.image_api().faults().next(operation::SUBMIT, Fault::Drop);
    world.image_api().succeed(&upstream_id(&world, &first).await);
    world.pass(Duration::from_secs(31)).await;
    let tried = || world.image_api().faults().fired().len();
    while tried() == 0 {
        world.pass(Duration::from_secs(1)).await;
    }
    world.pass(Duration::from_secs(5)).await;
    assert!(prompts(&world).contains(&"second".to_owned()), "a cut connection is retried within 5 seconds");
    everything_succeeds(&world);
    world.finish().await;
});

on_every_backend!(being_told_to_slow_down_is_no_failure_and_delays_no_retry, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let alice = world.alice().await;
    let busy = Fault::status(429, r#"{"error":"RATE_LIMIT_EXCEEDED","message":"slow down"}"#);
    world.image_api().faults().next_n(operation::SUBMIT, 12, busy.with_retry_after(7));
    world.image_api().faults().next(operation::SUBMIT, Fault::Drop);
    let job = alice.generates("a cat").await.job_id;
    world.pass(Duration::from_secs(12 * 7 - 1)).await;
    assert_eq!(failed_tries(&world, &job).await, 0);
    world.pass(Duration::from_secs(1 + 5)).await;
    assert_eq!(prompts(&world), ["a cat"]);
    everything_succeeds(&world);
    world.finish().await;
});

on_every_backend!(the_end_of_jobs_makes_room_for_the_next_ones_at_once, |backend| async move {
    let at_once = AtOnce { normal: 3, vip: 3, svip: 3 };
    let world =
        TestDream::on(&backend).settings(|s| s.at_once = at_once).daily_quota(10).by_hand().start().await;
    let alice = world.alice().await;
    for prompt in ["1", "2", "3", "4", "5", "6", "7"] {
        alice.generates(prompt).await;
    }
    world.work().await;
    assert_eq!(prompts(&world).len(), 3);
    let ends = async |job: &dream_testkit::fakes::image_api::JobView| {
        world.image_api().succeed(&job.id);
        let event = world.image_api().signed_event(&job.id).expect("an event");
        let notice =
            world.dream().image_webhook(Some(event.signature.as_bytes()), event.body.as_bytes()).unwrap();
        notice.apply().await.unwrap();
    };
    // The first three end before the worker comes to anything else, and no time passes.
    let before = world.now();
    for job in world.image_api().jobs() {
        ends(&job).await;
    }
    world.work().await;
    assert_eq!((prompts(&world).len(), world.now()), (6, before));
    ends(&world.image_api().jobs()[5]).await;
    world.work().await;
    assert_eq!((prompts(&world).len(), world.now()), (7, before));
    everything_succeeds(&world);
    world.finish().await;
});

on_every_backend!(a_job_that_has_its_place_keeps_it_when_the_limit_falls, |backend| async move {
    let world = TestDream::on(&backend).settings(one_at_a_time).by_hand().start().await;
    let alice = world.alice().await;
    let admin = world.admin().await;
    let soon = world.now().plus(Duration::from_millis(500));
    admin.set_vip(alice.id(), Level::Vip, VipTerm::Until(soon), None).await.unwrap();
    world.image_api().faults().next_n(operation::SUBMIT, 3, Fault::DropAfter);
    for prompt in ["1", "2", "3"] {
        alice.generates(prompt).await;
    }
    world.work().await;
    // The image API has all three, and nobody knows their ids yet.
    world.pass(Duration::from_secs(5)).await;
    let unknown = "SELECT count(*) FROM generations WHERE upstream_id IS NULL";
    assert_eq!(world.database().number(unknown).await, 0, "their outcome is cleared up all the same");
    everything_succeeds(&world);
    world.finish().await;
});

on_every_backend!(jobs_that_wait_are_looked_at_seldom, |backend| async move {
    let world = TestDream::on(&backend).settings(one_at_a_time).daily_quota(100).by_hand().start().await;
    let alice = world.alice().await;
    for number in 0..41 {
        alice.generates(&format!("{number}")).await;
    }
    world.work().await;
    let until = world.now().plus(Duration::from_hours(1));
    let mut tries = 0;
    while let Some(next) = world.worker().next_due().await.unwrap().filter(|next| *next <= until) {
        world.clock().advance(next.since(world.now()));
        tries += world.work().await;
    }
    // One that is next looks every minute and 39 behind it every ten; the one at the image API is followed, every 30
    // seconds. 4 000 would come to some 7 tries a second.
    assert!(tries <= 60 + 39 * 6 + 130, "{tries} tries in an hour");
    everything_succeeds(&world);
    for _ in 0..41 {
        world.pass(Duration::from_secs(31)).await;
        everything_succeeds(&world);
    }
    world.finish().await;
});
