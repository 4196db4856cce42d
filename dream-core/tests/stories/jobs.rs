//! Generations, from being asked for to their end.

use dream_core::ports::JobState;
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;

on_every_backend!(a_job_is_followed_by_polling_to_its_pictures, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let accepted = alice.generates("a cat").await;
    assert_eq!((accepted.charge.quota, accepted.charge.points.get()), (1, 0));
    assert_eq!(alice.job(&accepted.job_id).await.state, JobState::Queued);
    world.settle().await;
    let job = alice.job(&accepted.job_id).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(job.result_urls.len(), 1);
    assert_eq!(alice.used_today().await, 1);
    world.finish().await;
});
