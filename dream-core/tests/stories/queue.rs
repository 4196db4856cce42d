//! Whose generation goes first, and how many of one user are at the image API at once.

use std::time::Duration;

use dream_core::AtOnce;
use dream_core::ports::JobState;
use dream_core::vip::{Level, VipTerm};
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
