//! Users and their profiles.

use std::time::Duration;

use dream_core::kernel::{PageRequest, UserId};
use dream_core::ports::{BlobKey, JobState};
use dream_core::{Code, Facts, ProfileUpdate, UserView, Visitor};
use dream_testkit::fakes::wechat::operation;
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::wait::eventually;
use dream_testkit::world::{TestDream, polished};

use crate::support::{code, grant, submitted};

fn named(name: &str) -> ProfileUpdate {
    ProfileUpdate { nick_name: Some(name.parse().expect("a name")), avatar_url: None }
}

fn pictured(url: &str) -> ProfileUpdate {
    ProfileUpdate { nick_name: None, avatar_url: Some(url.parse().expect("a URL")) }
}

on_every_backend!(a_user_changes_what_others_see, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    assert_eq!(me.update_profile(named("Alice")).await.unwrap().nick_name.as_deref(), Some("Alice"));
    let key: BlobKey = "uploads/me.png".parse().unwrap();
    let own_picture = world.blobs().public_url(&key);
    world.blobs().put(&key, "image/png", "picture".into()).await.unwrap();
    let user = me.update_profile(pictured(&own_picture)).await.unwrap();
    assert_eq!((user.nick_name.as_deref(), user.avatar_url.as_deref()), (Some("Alice"), Some(&*own_picture)));
    assert_eq!(me.me().await.unwrap(), user);
    world.finish().await;
});

on_every_backend!(a_name_that_may_not_go_public_is_refused_and_an_unchecked_one_too, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    me.update_profile(named("Alice")).await.unwrap();
    for name in ["risky", "违规", "review"] {
        assert_eq!(code(me.update_profile(named(name)).await), Code::ContentRejected, "{name}");
    }
    world.wechat().faults().always(operation::TEXT_CHECK, Fault::Drop);
    assert_eq!(code(me.update_profile(named("Alicia")).await), Code::UpstreamError);
    world.wechat().faults().clear();
    assert_eq!(me.me().await.unwrap().nick_name.as_deref(), Some("Alice"));
    world.finish().await;
});

on_every_backend!(a_picture_elsewhere_is_refused_as_an_avatar, |backend| async move {
    let world = TestDream::start(&backend).await;
    let me = world.alice().await.session().await;
    for url in
        ["https://evil.example/a.png", "http://thirdwx.qlogo.cn/a", "https://thirdwx.qlogo.cn@evil.example/a"]
    {
        let error = me.update_profile(pictured(url)).await.expect_err(url);
        assert_eq!(error.code(), Code::ValidationFailed);
        assert!(matches!(error.facts(), Facts::Fields(faults) if faults[0].field == "avatarUrl"));
    }
    assert_eq!(me.me().await.unwrap().avatar_url, None);
    world.finish().await;
});

on_every_backend!(others_see_a_name_and_a_picture_and_nothing_more, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    let seen = alice.session().await.user(bob.id()).await.unwrap();
    assert!(matches!(seen, UserView::Other(ref public) if public.id == bob.id()));
    let own = alice.session().await.user(alice.id()).await.unwrap();
    assert!(matches!(own, UserView::Own(ref user) if user.openid.as_deref() == Some(alice.openid())));
    let nobody = UserId::new(999_999).unwrap();
    assert_eq!(code(alice.session().await.user(nobody).await), Code::UserNotFound);
    let guest = Visitor::Guest(world.nobody());
    assert_eq!(guest.public_user(bob.id()).await.unwrap().id, bob.id());
    bob.session().await.delete_account().await.unwrap();
    assert_eq!(code(guest.public_user(bob.id()).await), Code::UserNotFound);
    assert_eq!(code(alice.session().await.user(bob.id()).await), Code::UserNotFound);
    world.finish().await;
});

on_every_backend!(deleting_an_account_erases_the_person_and_keeps_the_books, |backend| async move {
    let world = TestDream::on(&backend).by_hand().daily_quota(1).start().await;
    let alice = world.alice().await;
    grant(&world, &alice, 100).await;
    alice.session().await.update_profile(named("Alice")).await.unwrap();
    let (done, upstream) = submitted(&world, &alice, "a secret wish").await;
    world.image_api().succeed(&upstream);
    world.settle().await;
    let (open, _) = submitted(&world, &alice, "another wish").await;
    let held = alice.session().await;
    alice.session().await.delete_account().await.unwrap();

    let traces = "SELECT count(*) FROM users WHERE openid IS NOT NULL OR nick_name IS NOT NULL";
    assert_eq!(world.database().number(traces).await, 0);
    let prompts =
        "SELECT count(*) FROM generations WHERE prompt <> '' OR result_urls <> '[]' OR request <> '{}'";
    assert_eq!(world.database().number(prompts).await, 0);
    let states = world.database().pairs("SELECT job_id, status FROM generations ORDER BY id").await;
    let expected = [(done, JobState::Succeeded), (open, JobState::Canceled)];
    assert_eq!(states, expected.map(|(job, state)| (job.to_string(), state.as_str().to_owned())));
    assert_eq!(world.database().number("SELECT balance FROM accounts").await, 100, "the open one came back");
    // The request that was under way when the account went does not bring anything back to life.
    assert_eq!(code(held.generate(&polished("too late", 1), None, None).await), Code::TokenRevoked);
    assert_eq!(code(held.update_profile(named("Ghost")).await), Code::TokenRevoked);
    let again = world.alice().await;
    assert_eq!((again.points().await, again.used_today().await), (0, 1), "the free sample stays used");
    world.finish().await;
});

on_every_backend!(an_admin_deletes_an_account_as_its_user_could, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let admin = world.admin().await;
    admin.delete_user(alice.id()).await.unwrap();
    assert_eq!(code(alice.try_session().await), Code::TokenRevoked);
    assert_eq!(code(admin.delete_user(alice.id()).await), Code::UserNotFound);
    assert_eq!(code(admin.user(alice.id()).await), Code::UserNotFound);
    assert_eq!(
        code(admin.grant_points(alice.id(), dream_core::kernel::Points::new(1), "x").await),
        Code::UserNotFound
    );
    let log = admin.audit_log(&dream_core::AuditFilter::default(), &PageRequest::default()).await.unwrap();
    let entries: Vec<_> =
        log.items.iter().map(|entry| (entry.action.as_str(), entry.actor.as_str())).collect();
    assert_eq!(entries, [("user.delete", dream_testkit::world::ADMIN_NAME)]);
    world.finish().await;
});

on_every_backend!(a_name_that_was_deleted_is_not_left_in_the_file, |backend| async move {
    const NAME: &str = "Quetzalcoatlus";
    // Which bytes PostgreSQL leaves on its disk is its own affair.
    let Some(url) = backend.database_url().strip_prefix("sqlite:") else { return };
    let file = url.trim_start_matches("//").split('?').next().unwrap_or_default().to_owned();
    let holds = async |file: &str| {
        let mut bytes = tokio::fs::read(file).await.unwrap_or_default();
        bytes.extend(tokio::fs::read(format!("{file}-wal")).await.unwrap_or_default());
        bytes.windows(NAME.len()).any(|part| part == NAME.as_bytes())
    };
    let world = TestDream::start(&backend).await;
    let me = world.alice().await.session().await;
    me.update_profile(named(NAME)).await.unwrap();
    assert!(holds(&file).await, "it is there while the user is");
    me.delete_account().await.unwrap();
    world.finish().await;
    // The last connection to close, which may be the test's own, moves the log into the file and removes it.
    let log = std::path::PathBuf::from(format!("{file}-wal"));
    assert!(eventually(Duration::from_secs(10), || !log.exists()).await, "the log is still there");
    assert!(!holds(&file).await, "in a free page of {file}");
});
