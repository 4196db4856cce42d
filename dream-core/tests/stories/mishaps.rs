//! Mishaps that a service of this kind is prone to.

use std::time::{Duration, Instant};

use dream_core::kernel::Points;
use dream_core::ports::JobState;
use dream_core::vip::{Level, VipTerm};
use dream_core::{AdminKey, BearerToken, Code};
use dream_testkit::fakes::wechat::operation;
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::world::{ADMIN_KEY, TestDream};

use crate::support::{SOON, code, login};

on_every_backend!(the_image_api_hears_of_a_generation_only_once_it_is_recorded, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let id = alice.generates("a lighthouse").await.job_id;
    assert_eq!(alice.job(&id).await.state, JobState::Queued);
    assert_eq!(alice.used_today().await, 1);
    assert!(world.image_api().requests().is_empty(), "it is recorded and charged, and nobody was asked yet");
    // What is refused here costs nothing there.
    let refused = alice.generate(&dream_testkit::world::draft("too many", 10)).await;
    assert_eq!(code(refused), Code::QuotaExceeded);
    world.settle().await;
    assert_eq!(world.image_api().submissions().len(), 1);
    world.finish().await;
});

on_every_backend!(an_answer_of_wechat_that_names_nobody_logs_nobody_in, |backend| async move {
    let world = TestDream::start(&backend).await;
    world.alice().await;
    for answer in [
        r#"{"session_key":"c2Vzc2lvbiBrZXkgMTIzNA=="}"#,
        r#"{"session_key":"c2Vzc2lvbiBrZXkgMTIzNA==","openid":""}"#,
        r#"{"session_key":"c2Vzc2lvbiBrZXkgMTIzNA==","openid":null}"#,
        "{}",
    ] {
        world.wechat().faults().always(operation::LOGIN, Fault::status(200, answer));
        let code_of_mallory = world.wechat().login_code("o-mallory");
        assert_eq!(
            code(world.nobody().login(login(&code_of_mallory)).await),
            Code::UpstreamError,
            "{answer}"
        );
        world.wechat().faults().clear();
    }
    assert_eq!(world.database().number("SELECT count(*) FROM users").await, 1);
    world.finish().await;
});

on_every_backend!(what_an_admin_changes_is_seen_by_the_next_request_on_every_node, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let (other, _worker) = world.another_node().await;
    let seen = async |token: BearerToken| other.session(&token).await?.me().await;
    assert_eq!(seen(alice.bearer()).await.unwrap().membership.level(), Level::Normal);

    let admin = world.admin().await;
    admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(3), None).await.unwrap();
    admin.grant_points(alice.id(), Points::new(7), "a gift").await.unwrap();
    let user = seen(alice.bearer()).await.unwrap();
    assert_eq!((user.membership.level(), user.balance.get()), (Level::Vip, 7));

    admin.delete_user(alice.id()).await.unwrap();
    assert_eq!(code(seen(alice.bearer()).await), Code::TokenRevoked);
    assert_eq!(code(world.nobody().refresh(alice.refresh_token()).await), Code::TokenRevoked);
    drop(other);
    world.finish().await;
});

on_every_backend!(with_redis_gone_everything_is_answered_as_before, |backend| async move {
    let Some(redis) = backend.redis() else { return };
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    redis.stop();
    let begun = Instant::now();
    let bob = world.user("bob").await;
    let id = bob.generates("a lighthouse").await.job_id;
    assert_eq!(bob.used_today().await, 1);
    assert_eq!(alice.session().await.me().await.unwrap().id, alice.id());
    world.dream().admin(&AdminKey::new(ADMIN_KEY), None).await.unwrap();
    world.settle().await;
    assert_eq!(bob.job(&id).await.state, JobState::Succeeded);
    let took = begun.elapsed();
    assert!(took < SOON, "without Redis it took {took:?}");
    assert!(took < Duration::from_secs(20));
    redis.resume().await.unwrap();
    world.finish().await;
});
