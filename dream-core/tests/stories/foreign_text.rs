//! Text from upstream services with characters that PostgreSQL cannot store, such as NUL.
//!
//! The adapters replace each such character by U+FFFD at their edge, so the same job, event or login succeeds on both
//! databases, and no job stays open because its error text cannot be stored.

use dream_core::ports::JobState;
use dream_testkit::fakes::image_api::{operation, signature};
use dream_testkit::fakes::wechat;
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;

use crate::support::{login, submitted};

on_every_backend!(a_refusal_with_a_nul_byte_ends_the_job_and_returns_its_charge, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let refusal = r#"{"error":{"code":"INVALID\u0000REQUEST","message":"bad \u0000 \ud83d prompt"}}"#;
    world.image_api().faults().always(operation::SUBMIT, Fault::status(400, refusal));
    let job = alice.generates("a cat").await.job_id;
    world.settle().await;
    assert_eq!((alice.job(&job).await.state, alice.used_today().await), (JobState::Failed, 0));
    world.finish().await;
});

on_every_backend!(a_webhook_with_nul_bytes_takes_effect_once, |backend| async move {
    let world = TestDream::on(&backend).by_hand().webhooks().start().await;
    let alice = world.alice().await;
    let (job, upstream) = submitted(&world, &alice, "a cat").await;
    let body = format!(
        r#"{{"eventId":"ev\u0000-1","jobId":"{upstream}","status":"FAILED","timestamp":{},
            "error":{{"code":"TIMEOUT","message":"no\u0000time"}}}}"#,
        world.now().as_micros() / 1000
    );
    let signed = signature(world.image_api().webhook_secret(), body.as_bytes());
    for _ in 0..2 {
        let event = world.dream().image_webhook(Some(signed.as_bytes()), body.as_bytes()).unwrap();
        event.apply().await.unwrap();
    }
    assert_eq!((alice.job(&job).await.state, alice.used_today().await), (JobState::Failed, 0));
    world.finish().await;
});

on_every_backend!(an_openid_with_a_nul_byte_is_stored_without_it, |backend| async move {
    let world = TestDream::start(&backend).await;
    let answer =
        r#"{"session_key":"c2Vzc2lvbiBrZXkgMTIzNA==","openid":"o-\u0000mallory","unionid":"u\u0000"}"#;
    world.wechat().faults().always(wechat::operation::LOGIN, Fault::status(200, answer));
    for _ in 0..2 {
        let given = world.wechat().login_code("o-mallory");
        world.nobody().login(login(&given)).await.unwrap();
    }
    assert_eq!(world.database().texts("SELECT openid FROM users").await, ["o-\u{fffd}mallory"]);
    world.finish().await;
});
