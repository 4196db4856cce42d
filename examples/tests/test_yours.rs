//! A test of one's own service: the testkit starts Dream among fakes in one line, time stands still unless the test
//! moves it, trouble comes on demand, and the books are checked at the end.

use std::time::Duration;

use dream_core::Session;
use dream_core::jobs::GenerateRequest;
use dream_core::kernel::JobId;
use dream_core::ports::JobState;
use dream_testkit::fakes::image_api::operation;
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;

/// The service under test: a postcard shop, which draws a motif for whoever holds a session.
async fn order_postcard(me: &Session, motif: &str) -> dream_core::Result<JobId> {
    let prompt = format!("a postcard of {motif}").parse();
    let prompt = prompt.map_err(|fault| dream_core::Error::invalid_field("motif", fault))?;
    Ok(me.generate(&GenerateRequest::new(prompt), None, None).await?.job_id)
}

// One test, on SQLite and on PostgreSQL with Redis.
on_every_backend!(a_postcard_is_drawn, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let id = order_postcard(&alice.session().await, "a lighthouse").await.unwrap();
    // Lets time pass and does whatever falls due, until nothing is left to do.
    world.settle().await;
    let job = alice.job(&id).await;
    assert_eq!((job.state, job.prompt.as_str()), (JobState::Succeeded, "a postcard of a lighthouse"));
    world.finish().await;
});

on_every_backend!(an_image_api_that_loses_its_answer_draws_one_postcard_all_the_same, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    world.image_api().faults().next(operation::SUBMIT, Fault::DropAfter);
    let id = order_postcard(&alice.session().await, "a lighthouse").await.unwrap();
    world.settle().await;
    assert_eq!(alice.job(&id).await.state, JobState::Succeeded);
    assert_eq!(world.image_api().jobs().len(), 1);
    world.finish().await;
});

on_every_backend!(tomorrow_there_is_a_new_quota, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1).start().await;
    let alice = world.alice().await;
    order_postcard(&alice.session().await, "a lighthouse").await.unwrap();
    let refused = order_postcard(&alice.session().await, "another one").await.unwrap_err();
    assert_eq!(refused.code(), dream_core::Code::QuotaExceeded);
    world.pass(Duration::from_hours(24)).await;
    order_postcard(&alice.session().await, "another one").await.unwrap();
    world.finish().await;
});
