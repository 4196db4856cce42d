//! Processes that die in the middle of their work, and others that go on.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use dream_core::Worker;
use dream_core::ports::{Entropy, JobState};
use dream_testkit::backends::{Backend, BackendKind, migrate};
use dream_testkit::entropy::SeededEntropy;
use dream_testkit::fakes::image_api::operation;
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::world::{TestDream, draft};
use futures_util::future::join_all;

use crate::support::{SOON, grant};

/// Lets the work go on for so many steps, then drops it where it is. Whether it came to its end.
async fn broken_off_after<F: Future>(steps: u32, work: F) -> bool {
    let mut work = pin!(work);
    let mut left = steps;
    poll_fn(move |context| match work.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending if left == 0 => Poll::Ready(false),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

fn below(dice: &SeededEntropy, limit: u32) -> u32 {
    let mut bytes = [0; 4];
    dice.fill(&mut bytes);
    u32::from_be_bytes(bytes) % limit
}

/// Two processes work on the same jobs; each is broken off again and again, at points that the seed picks.
async fn everything_ends_though_workers_die(backend: &Backend, seed: u64) {
    let world = TestDream::on(backend)
        .seed(seed)
        .daily_quota(3)
        .settings(|settings| settings.rehost_results = true)
        .lost_objects_allowed()
        .start()
        .await;
    let alice = world.alice().await;
    grant(&world, &alice, 10).await;
    let faults = world.image_api().faults();
    faults.probability(operation::SUBMIT, 0.3, seed, Fault::DropAfter);
    faults.probability(operation::JOB, 0.2, seed + 1, Fault::html(502));
    let mut jobs = Vec::new();
    for prompt in ["a", "b [fail]", "c [refuse]", "d [overload]", "e [retry]", "f"] {
        jobs.push(alice.generate(&draft(prompt, 1)).await.expect("accepted").job_id);
    }
    let dice = SeededEntropy::new(seed);
    let (_dream, other) = world.another_node().await;
    let workers: [&Worker; 2] = [world.worker(), &other];
    for round in 0..60 {
        let worker = workers[round % 2];
        let ended = broken_off_after(below(&dice, 40), worker.run_due()).await;
        // The dead one's leases run out; its tasks are somebody else's now.
        world.clock().advance(if ended { Duration::from_secs(5) } else { Duration::from_secs(15) });
    }
    faults.clear();
    world.settle().await;
    for (job, expected) in
        jobs.iter().zip(["SUCCEEDED", "FAILED", "FAILED", "SUCCEEDED", "SUCCEEDED", "SUCCEEDED"])
    {
        assert_eq!(alice.job(job).await.state.as_str(), expected, "seed {seed}");
    }
    assert_eq!(alice.used_today().await + (10 - alice.points().await) / 2, 4, "seed {seed}");
    world.finish().await;
}

on_every_backend!(every_job_ends_once_wherever_its_workers_die, |backend| async move {
    for seed in 1..=4 {
        // A world of its own for each seed, since each has its own image API.
        let backend = Backend::start(backend.kind(), migrate).await.expect("another database");
        everything_ends_though_workers_die(&backend, seed).await;
    }
});

on_every_backend!(a_request_that_is_broken_off_is_accepted_whole_or_not_at_all, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1000).start().await;
    let alice = world.alice().await;
    let me = alice.session().await;
    for steps in 0..40 {
        let request = draft("a cat", 1);
        broken_off_after(steps, me.generate(&request, None, None)).await;
    }
    world.settle().await;
    let jobs = world.database().number("SELECT count(*) FROM generations WHERE status = 'SUCCEEDED'").await;
    assert_eq!(alice.used_today().await, jobs);
    assert!(jobs > 0, "some came through");
    world.finish().await;
});

/// Whether nobody keeps others from writing, now or very soon.
async fn writers_are_free(world: &TestDream, kind: BackendKind) -> bool {
    let database = world.database();
    if kind == BackendKind::Sqlite {
        database.execute("UPDATE outbox SET due_at = due_at").await;
        return true;
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND state LIKE 'idle in transaction%'";
    let freed = async {
        while database.number(open).await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, freed).await.is_ok()
}

on_every_backend!(a_request_that_is_broken_off_leaves_no_transaction_open, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1000).start().await;
    let alice = world.alice().await;
    let me = alice.session().await;
    for steps in 0..30 {
        broken_off_after(steps, me.generate(&draft("a cat", 1), None, None)).await;
        assert!(writers_are_free(&world, backend.kind()).await, "broken off after {steps} steps");
    }
    world.finish().await;
});

on_every_backend!(a_worker_that_is_stopped_finishes_what_it_began, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    world.image_api().faults().always(operation::SUBMIT, Fault::delay_after(Duration::from_secs(5)));
    let job = alice.generates("a cat").await.job_id;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = world.worker().clone();
    let running = tokio::spawn(async move { worker.run(async { drop(stopped.await) }).await });
    let came = || world.image_api().jobs().len() == 1;
    assert!(dream_testkit::wait::eventually(SOON, came).await, "it is being submitted");
    drop(stop);
    tokio::task::yield_now().await;
    assert!(!running.is_finished(), "it waits for the answer");
    // The delay may begin a moment after the job is there.
    let ended = || {
        world.clock().advance(Duration::from_secs(1));
        running.is_finished()
    };
    assert!(dream_testkit::wait::eventually(SOON, ended).await, "then it ends");
    running.await.expect("no panic");
    assert!(!crate::support::upstream_id(&world, &job).await.is_empty());
    world.image_api().faults().clear();
    assert_eq!(alice.job(&job).await.state, JobState::Queued);
    world.finish().await;
});

on_every_backend!(a_worker_that_takes_more_work_never_blocks_what_it_has_begun, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1000).start().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = world.worker().clone();
    let running = tokio::spawn(async move { worker.run(async { drop(stopped.await) }).await });
    let alice = world.alice().await;
    let wish = draft("a cat", 1);
    for round in 0..20 {
        let asked = (0..6).map(|_| alice.generate(&wish));
        let accepted = tokio::time::timeout(SOON, join_all(asked)).await;
        accepted.unwrap_or_else(|_| panic!("nobody can write in round {round}"));
    }
    let submitted = || world.image_api().jobs().len() == 120;
    assert!(dream_testkit::wait::eventually(SOON, submitted).await, "all are submitted");
    drop(stop);
    tokio::time::timeout(SOON, running).await.expect("it ends").expect("no panic");
    world.finish().await;
});

on_every_backend!(a_task_is_done_by_one_node_at_a_time, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1000).start().await;
    let alice = world.alice().await;
    for _ in 0..40 {
        alice.generate(&draft("a cat", 1)).await.unwrap();
    }
    let (_one, first) = world.another_node().await;
    let (_two, second) = world.another_node().await;
    let (a, b, c) = tokio::join!(world.worker().run_due(), first.run_due(), second.run_due());
    assert!(a.unwrap() + b.unwrap() + c.unwrap() <= 40);
    world.work().await;
    let submissions = world.image_api().submissions();
    assert_eq!(submissions.len(), 40, "none was submitted twice");
    world.finish().await;
});

/// A worker that dies while it submits a job.
async fn dies_while_submitting(world: &TestDream, worker: Worker) {
    world.image_api().faults().next(operation::SUBMIT, Fault::delay_after(Duration::from_mins(10)));
    let dying = tokio::spawn(async move { worker.run_due().await });
    let came = || world.image_api().jobs().len() == 1;
    assert!(dream_testkit::wait::eventually(SOON, came).await, "it is being submitted");
    dying.abort();
    assert!(dying.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(world.worker().run_due().await.expect("the outbox"), 0, "the dead one holds the lease");
}

on_every_backend!(what_a_process_was_at_when_it_died_goes_on_within_15_seconds, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let job = alice.generates("a cat").await.job_id;
    let (_dream, dead) = world.another_node().await;
    dies_while_submitting(&world, dead).await;
    world.clock().advance(Duration::from_secs(15));
    assert_eq!(world.worker().run_due().await.unwrap(), 1);
    assert_eq!(world.image_api().submissions().len(), 2, "under the same key");
    world.settle().await;
    assert_eq!(alice.job(&job).await.state, JobState::Succeeded);
    world.finish().await;
});

on_every_backend!(a_process_that_starts_takes_over_from_one_that_has_ended_at_once, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let job = alice.generates("a cat").await.job_id;
    let (_dream, dead) = world.another_node().await;
    dies_while_submitting(&world, dead).await;
    let (_dream, next) = world.another_node().await;
    assert_eq!(next.release_leases_of(|_| false).await.unwrap(), 0, "nobody is taken for dead");
    assert_eq!(next.run_due().await.unwrap(), 0);
    assert_eq!(next.release_leases_of(|_| true).await.unwrap(), 1);
    assert_eq!(next.run_due().await.unwrap(), 1, "and no time has passed");
    world.settle().await;
    assert_eq!(alice.job(&job).await.state, JobState::Succeeded);
    world.finish().await;
});

on_every_backend!(a_task_that_takes_long_is_taken_by_nobody_else, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    world.image_api().faults().next(operation::SUBMIT, Fault::delay_after(Duration::from_mins(10)));
    alice.generates("a cat").await;
    let worker = world.worker().clone();
    let working = tokio::spawn(async move { worker.run_due().await });
    let (_dream, other) = world.another_node().await;
    let came = || world.image_api().jobs().len() == 1;
    assert!(dream_testkit::wait::eventually(SOON, came).await, "it is being submitted");
    let leased_until = "SELECT max(leased_until) FROM outbox WHERE lease IS NOT NULL";
    for _ in 0..25 {
        let before = world.database().number(leased_until).await;
        let next = world.now().plus(Duration::from_secs(3));
        let waits = || world.clock().next_wake() == Some(next);
        assert!(dream_testkit::wait::eventually(SOON, waits).await, "the next renewal is due");
        world.clock().advance(Duration::from_secs(3));
        let renewed = async {
            while world.database().number(leased_until).await == before {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(SOON, renewed).await.is_ok(), "the lease is renewed");
        assert_eq!(other.run_due().await.unwrap(), 0, "nobody else takes it");
    }
    working.abort();
    drop(working.await);
    world.clock().advance(Duration::from_mins(10));
    world.settle().await;
    world.finish().await;
});
