//! What is asked of the image API belongs to the trace of whoever asked us.

use std::collections::BTreeSet;

use dream_core::ports::JobState;
use dream_core::trace::{TraceContext, Work};
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;

const TRACES: [&str; 2] = ["4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"];

/// The traces of what the image API was asked: of submissions, or of everything else.
fn traces(world: &TestDream, submissions: bool) -> Vec<String> {
    let asked = world.image_api().requests().into_iter().map(|recorded| recorded.request);
    asked
        .filter(|request| (request.method == "POST") == submissions)
        .map(|request| {
            let header = request.header("traceparent").expect("a traceparent on every call");
            TraceContext::parse(header).expect("a well-formed one").trace_id().to_string()
        })
        .collect()
}

on_every_backend!(a_job_is_submitted_and_followed_in_the_trace_that_asked_for_it, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let mut jobs = Vec::new();
    for trace in TRACES {
        let context = TraceContext::parse(&format!("00-{trace}-00f067aa0ba902b7-01")).unwrap();
        jobs.push(Work::new(context).run(alice.generates("a heron")).await.job_id);
    }
    // One that nobody traced is in a trace of its own, once the worker has it.
    jobs.push(alice.generates("a crane").await.job_id);
    world.settle().await;
    for job in &jobs {
        assert_eq!(alice.job(job).await.state, JobState::Succeeded);
    }
    let submissions = traces(&world, true);
    assert_eq!(submissions.len(), 3);
    for trace in TRACES {
        assert_eq!(submissions.iter().filter(|known| *known == trace).count(), 1, "{submissions:?}");
    }
    let submitted: BTreeSet<_> = submissions.into_iter().collect();
    let followed: BTreeSet<_> = traces(&world, false).into_iter().collect();
    assert!(submitted.len() == 3 && !followed.is_empty(), "{submitted:?}, {followed:?}");
    assert!(followed.is_subset(&submitted), "{followed:?} beside {submitted:?}");
    world.finish().await;
});
