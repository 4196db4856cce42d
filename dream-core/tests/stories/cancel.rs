//! Taking jobs back.

use std::time::Duration;

use dream_core::Code;
use dream_core::ports::JobState;
use dream_testkit::fakes::image_api::{Status, operation};
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::world::{TestDream, polished};

use crate::support::{code, grant, submitted};

on_every_backend!(a_job_that_was_never_submitted_is_taken_back_here, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1).start().await;
    let alice = world.alice().await;
    grant(&world, &alice, 10).await;
    let job = alice.generate(&polished("a cat", 2)).await.unwrap().job_id;
    let canceled = alice.session().await.cancel_job(&job).await.unwrap();
    assert_eq!(canceled.state, JobState::Canceled);
    assert_eq!((alice.points().await, alice.used_today().await), (10, 0));
    assert_eq!(code(alice.session().await.cancel_job(&job).await), Code::InvalidState, "once is enough");
    world.settle().await;
    assert!(world.image_api().requests().is_empty(), "the image API never heard of it");
    world.finish().await;
});

on_every_backend!(a_queued_job_is_taken_back_at_the_image_api, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let alice = world.alice().await;
    for status in [Status::Queued, Status::Retrying] {
        let (job, upstream) = submitted(&world, &alice, "a cat").await;
        world.image_api().set_status(&upstream, status, None);
        if status == Status::Retrying {
            world.pass(Duration::from_secs(10)).await;
            assert_eq!(alice.job(&job).await.state, JobState::Retrying);
        }
        assert_eq!(alice.session().await.cancel_job(&job).await.unwrap().state, JobState::Canceled);
        assert_eq!(world.image_api().job(&upstream).unwrap().status, Status::Canceled);
        assert_eq!(alice.used_today().await, 0);
    }
    world.finish().await;
});

on_every_backend!(a_job_that_runs_or_has_ended_cannot_be_taken_back, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let alice = world.alice().await;
    let (job, upstream) = submitted(&world, &alice, "a cat").await;
    world.image_api().run(&upstream);
    world.pass(Duration::from_secs(10)).await;
    assert_eq!(code(alice.session().await.cancel_job(&job).await), Code::InvalidState);
    world.image_api().succeed(&upstream);
    world.settle().await;
    assert_eq!(code(alice.session().await.cancel_job(&job).await), Code::InvalidState);
    assert_eq!((alice.job(&job).await.state, alice.used_today().await), (JobState::Succeeded, 1));
    world.finish().await;
});

on_every_backend!(a_job_that_starts_while_it_is_taken_back_goes_on, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let alice = world.alice().await;
    let (job, upstream) = submitted(&world, &alice, "a cat").await;
    world.image_api().faults().next(operation::CANCEL, Fault::special("cancel_race"));
    assert_eq!(code(alice.session().await.cancel_job(&job).await), Code::InvalidState);
    assert_eq!(alice.job(&job).await.state, JobState::Running, "what the image API says is known at once");
    world.image_api().succeed(&upstream);
    world.settle().await;
    assert_eq!((alice.job(&job).await.state, alice.used_today().await), (JobState::Succeeded, 1));
    world.finish().await;
});

on_every_backend!(a_cancellation_whose_answer_is_lost_is_found_out, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let alice = world.alice().await;
    let (job, _) = submitted(&world, &alice, "a cat").await;
    world.image_api().faults().next(operation::CANCEL, Fault::DropAfter);
    assert_eq!(code(alice.session().await.cancel_job(&job).await), Code::UpstreamError);
    assert!(!alice.job(&job).await.state.is_final(), "nothing is guessed");
    world.settle().await;
    assert_eq!((alice.job(&job).await.state, alice.used_today().await), (JobState::Canceled, 0));
    world.finish().await;
});

on_every_backend!(a_job_whose_submission_is_unsure_is_found_and_taken_back, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let alice = world.alice().await;
    let job = alice.generates("a cat").await.job_id;
    world.image_api().faults().next(operation::SUBMIT, Fault::DropAfter);
    world.work().await;
    assert_eq!(alice.job(&job).await.state, JobState::Queued);
    assert_eq!(alice.session().await.cancel_job(&job).await.unwrap().state, JobState::Canceled);
    let made = world.image_api().jobs();
    assert_eq!(made.iter().map(|job| job.status).collect::<Vec<_>>(), [Status::Canceled]);
    world.finish().await;
});

on_every_backend!(taking_back_and_submitting_at_once_agree_on_one_end, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1000).start().await;
    let alice = world.alice().await;
    for _ in 0..25 {
        let job = alice.generates("a cat").await.job_id;
        let me = alice.session().await;
        let (outcome, _) = tokio::join!(me.cancel_job(&job), world.work());
        let state = alice.job(&job).await.state;
        match outcome {
            Ok(_) => assert_eq!(state, JobState::Canceled),
            Err(error) => assert_eq!((error.code(), state.is_final()), (Code::InvalidState, false)),
        }
    }
    world.finish().await;
});

on_every_backend!(taking_back_many_times_at_once_gives_back_once, |backend| async move {
    let world = TestDream::on(&backend).by_hand().daily_quota(0).start().await;
    let alice = world.alice().await;
    grant(&world, &alice, 20).await;
    let unsubmitted = alice.generates("a dog").await.job_id;
    let me = alice.session().await;
    futures_util::future::join_all((0..10).map(|_| me.cancel_job(&unsubmitted))).await;
    let (job, _) = submitted(&world, &alice, "a cat").await;
    let outcomes = futures_util::future::join_all((0..10).map(|_| me.cancel_job(&job))).await;
    assert!(outcomes.iter().any(Result::is_ok));
    assert_eq!(alice.points().await, 20);
    world.finish().await;
});
