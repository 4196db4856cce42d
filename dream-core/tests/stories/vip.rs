//! VIP: levels, their time, and who sets them.

use std::time::Duration;

use dream_core::jobs::{GenerateRequest, Resolution};
use dream_core::kernel::{KeyName, PageRequest, UserId};
use dream_core::vip::{Level, Span, VipTerm};
use dream_core::{AdminKey, AuditFilter, Code, UserFilter};
use dream_testkit::backends::BackendKind;
use dream_testkit::on_every_backend;
use dream_testkit::world::{ADMIN_KEY, ADMIN_NAME, Actor, TestDream, draft};

use crate::shop::{bought_plan, refund, shop};
use crate::support::code;

const DAY: Duration = Duration::from_hours(24);

fn four_k() -> GenerateRequest {
    GenerateRequest { resolution: Some(Resolution::FourK), ..draft("large", 1) }
}

on_every_backend!(a_level_ends_by_itself_everywhere, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let admin = world.admin().await;
    admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(3), None).await.unwrap();
    let info = alice.session().await.vip().await.unwrap();
    assert_eq!((info.membership.level(), info.remaining_days, info.quota.limit.daily), (Level::Vip, 3, 100));
    alice.generate(&four_k()).await.expect("VIP may");
    world.pass(Duration::from_secs(3 * 86_400 - 1)).await;
    assert_eq!(alice.session().await.vip().await.unwrap().remaining_days, 1);
    world.pass(Duration::from_secs(1)).await;
    let info = alice.session().await.vip().await.unwrap();
    assert_eq!((info.membership.level(), info.remaining_days, info.quota.limit.daily), (Level::Normal, 0, 5));
    assert_eq!(info.membership.expires_at(), None);
    assert_eq!(alice.session().await.me().await.unwrap().membership.level(), Level::Normal);
    assert_eq!(admin.user(alice.id()).await.unwrap().membership.level(), Level::Normal);
    assert_eq!(alice.session().await.quota().await.unwrap().level, Level::Normal);
    assert_eq!(code(alice.generate(&four_k()).await), Code::VipRequired);
    world.finish().await;
});

on_every_backend!(what_is_said_of_the_quota_is_what_is_enforced, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(2).start().await;
    let alice = world.alice().await;
    let admin = world.admin().await;
    let info = async || alice.session().await.vip().await.unwrap();
    for used in 0..2 {
        let quota = info().await.quota;
        assert_eq!((quota.limit.daily, quota.used.daily, quota.used.monthly), (2, used, used));
        assert_eq!(quota.remaining(), 2 - used);
        alice.generate(&draft("a cat", 1)).await.expect("some is left");
    }
    assert_eq!(info().await.quota.remaining(), 0);
    assert_eq!(code(alice.generate(&draft("a cat", 1)).await), Code::QuotaExceeded);
    admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(1), None).await.unwrap();
    let before = info().await;
    assert_eq!((before.quota.limit.daily, before.quota.used.daily), (100, 2));
    assert_eq!(info().await, before, "as often as one asks");
    alice.generate(&draft("a cat", 1)).await.expect("VIP may more");
    world.pass(DAY).await;
    let after = info().await;
    assert_eq!((after.quota.limit.daily, after.quota.used.daily, after.quota.used.monthly), (2, 0, 3));
    world.finish().await;
});

on_every_backend!(days_that_an_admin_gives_come_on_top_and_can_be_taken_away, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let admin = world.admin().await;
    let start = world.now();
    admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(30), Some("a prize")).await.unwrap();
    world.clock().advance(DAY);
    let user = admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(10), None).await.unwrap().user;
    assert_eq!(user.membership.expires_at(), Some(start.plus_days(40)));
    let until = world.now().plus_days(1);
    let user = admin.set_vip(alice.id(), Level::Vip, VipTerm::Until(until), None).await.unwrap().user;
    assert_eq!((user.membership.level(), user.membership.expires_at()), (Level::Vip, Some(until)));
    let user = admin.cancel_vip(alice.id(), Some("a mistake")).await.unwrap().user;
    assert_eq!(user.membership.level(), Level::Normal);
    assert_eq!(alice.session().await.me().await.unwrap().membership.level(), Level::Normal);

    let filter = AuditFilter { target: Some(format!("user:{}", alice.id())), ..AuditFilter::default() };
    let log = admin.audit_log(&filter, &PageRequest::default()).await.unwrap().items;
    let said: Vec<_> = log.iter().map(|entry| (entry.action.as_str(), entry.reason.as_deref())).collect();
    let (set, cancel) = ("vip.set", "vip.cancel");
    assert_eq!(said, [(cancel, Some("a mistake")), (set, None), (set, None), (set, Some("a prize"))]);
    assert!(log.iter().all(|entry| entry.actor == ADMIN_NAME));
    let first = log.last().unwrap();
    assert_eq!(first.before.as_ref().unwrap()["vipLevel"], "NORMAL");
    assert_eq!(first.after.as_ref().unwrap()["vipLevel"], "VIP");
    world.finish().await;
});

on_every_backend!(a_granted_svip_day_leaves_the_vip_days_waiting, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let admin = world.admin().await;
    let start = world.now();
    bought_plan(&world, &alice, "vip_year").await;
    let changed = admin.set_vip(alice.id(), Level::Svip, VipTerm::Days(1), Some("a trial")).await.unwrap();
    let spans = |spans: &[Span]| -> Vec<_> {
        spans.iter().map(|span| (span.level, span.starts_at, span.ends_at)).collect()
    };
    assert_eq!(spans(&changed.before), [(Level::Vip, start, start.plus_days(365))]);
    let (day, year) = (start.plus_days(1), start.plus_days(366));
    assert_eq!(spans(&changed.after), [(Level::Svip, start, day), (Level::Vip, day, year)]);
    let info = alice.session().await.vip().await.unwrap();
    assert_eq!(
        (info.membership.level(), info.remaining_days, info.quota.limit.daily),
        (Level::Svip, 1, 1000)
    );
    assert_eq!(world.admin().await.stats().await.unwrap().vip_users, 1);
    world.pass(DAY).await;
    let info = alice.session().await.vip().await.unwrap();
    assert_eq!((info.membership.level(), info.membership.expires_at()), (Level::Vip, Some(year)));
    assert_eq!((info.remaining_days, info.quota.limit.daily), (365, 100));
    assert_eq!(admin.user(alice.id()).await.unwrap().membership, info.membership);
    let filter = UserFilter { level: Some(Level::Vip), ..UserFilter::default() };
    let listed = admin.users(&filter, &PageRequest::default()).await.unwrap();
    assert_eq!((listed.items.len(), listed.total), (1, Some(1)));
    world.finish().await;
});

on_every_backend!(a_lower_level_that_an_admin_gives_waits_and_never_downgrades, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let admin = world.admin().await;
    let start = world.now();
    admin.set_vip(alice.id(), Level::Svip, VipTerm::Days(30), None).await.unwrap();
    let user = admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(7), None).await.unwrap().user;
    let membership = user.membership;
    assert_eq!((membership.level(), membership.expires_at()), (Level::Svip, Some(start.plus_days(30))));
    assert_eq!(membership.vip_until(), Some(start.plus_days(37)));
    let until = |day| VipTerm::Until(start.plus_days(day));
    let refused = admin.set_vip(alice.id(), Level::Vip, until(30), None).await;
    assert_eq!(code(refused), Code::VipHigherActive, "nothing would be left of VIP");
    let user = admin.set_vip(alice.id(), Level::Vip, until(33), None).await.unwrap().user;
    assert_eq!(user.membership.vip_until(), Some(start.plus_days(33)));
    // SVIP is shortened: VIP follows earlier, and nothing of it is lost.
    let user = admin.set_vip(alice.id(), Level::Svip, until(10), None).await.unwrap().user;
    let membership = user.membership;
    assert_eq!(membership.expires_at(), Some(start.plus_days(10)));
    assert_eq!(membership.vip_until(), Some(start.plus_days(13)));
    world.finish().await;
});

on_every_backend!(todays_pairs_become_spans_of_the_orders_they_came_from, |backend| async move {
    let world = shop(&backend).await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    let carol = world.user("carol").await;
    let start = world.now();
    bought_plan(&world, &alice, "vip_year").await;
    world.clock().advance(10 * DAY);
    for user in [&alice, &bob, &carol] {
        user.log_in_again().await;
    }
    let month = bought_plan(&world, &alice, "vip_month").await;
    world.admin().await.set_vip(bob.id(), Level::Svip, VipTerm::Days(9), None).await.unwrap();
    bought_plan(&world, &carol, "vip_month").await;
    // As it was: the pair alone, that of carol over when it was written.
    let database = world.database();
    for undone in [
        "DROP TABLE membership_spans",
        "DROP INDEX memberships_waiting",
        "ALTER TABLE memberships DROP COLUMN vip_until",
    ] {
        database.execute(undone).await;
    }
    let over = format!("UPDATE memberships SET expires_at = updated_at WHERE user_id = {}", carol.id());
    assert_eq!(database.execute(&over).await, 1);
    database
        .execute(match backend.kind() {
            BackendKind::Sqlite => include_str!("../../migrations/sqlite/0002_membership_spans.sql"),
            BackendKind::Postgres => include_str!("../../migrations/postgres/0002_membership_spans.sql"),
        })
        .await;
    let of = async |user: &Actor| world.admin().await.user(user.id()).await.unwrap().membership;
    assert_eq!(
        (of(&alice).await.level(), of(&alice).await.expires_at()),
        (Level::Vip, Some(start.plus_days(395)))
    );
    assert_eq!(
        (of(&bob).await.level(), of(&bob).await.expires_at()),
        (Level::Svip, Some(start.plus_days(19)))
    );
    assert_eq!(of(&carol).await.level(), Level::Normal);
    // A refund removes the days of its own order.
    let refunded = refund(&world, &month, None).await.unwrap();
    assert_eq!((refunded.days_taken, of(&alice).await.expires_at()), (30, Some(start.plus_days(365))));
    world.finish().await;
});

on_every_backend!(an_admin_cannot_set_what_makes_no_sense, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let admin = world.admin().await;
    let set = async |level, term| code(admin.set_vip(alice.id(), level, term, None).await);
    for days in [0, -1, 36_501, i64::MAX] {
        assert_eq!(set(Level::Vip, VipTerm::Days(days)).await, Code::ValidationFailed, "{days}");
    }
    assert_eq!(set(Level::Vip, VipTerm::Until(world.now())).await, Code::ValidationFailed);
    assert_eq!(set(Level::Normal, VipTerm::Days(1)).await, Code::ValidationFailed);
    let nobody = UserId::new(i64::MAX).unwrap();
    assert_eq!(code(admin.set_vip(nobody, Level::Vip, VipTerm::Days(1), None).await), Code::UserNotFound);
    assert_eq!(code(admin.cancel_vip(nobody, None).await), Code::UserNotFound);
    assert_eq!(world.database().number("SELECT count(*) FROM audit_log").await, 0);
    world.finish().await;
});

on_every_backend!(only_a_whole_admin_key_opens_the_administration, |backend| async move {
    let world = TestDream::on(&backend)
        .settings(|settings| {
            let mut second = settings.admin_keys[0].clone();
            second.name = "second".parse().unwrap();
            second.key = "the second key".into();
            settings.admin_keys.push(second);
        })
        .start()
        .await;
    let second: KeyName = "second".parse().unwrap();
    let opened = world.dream().admin(&AdminKey::new("the second key"), None).await.unwrap();
    assert_eq!(opened.key_name(), &second);
    for key in ["", "the second ke", "the second key ", &ADMIN_KEY[1..], "ops"] {
        assert_eq!(
            code(world.dream().admin(&AdminKey::new(key), None).await),
            Code::AdminKeyInvalid,
            "{key}"
        );
    }
    let closed =
        TestDream::on(&backend).seed(99).settings(|settings| settings.admin_keys.clear()).start().await;
    for key in ["", ADMIN_KEY] {
        assert_eq!(code(closed.dream().admin(&AdminKey::new(key), None).await), Code::AdminKeyInvalid);
    }
    world.finish().await;
});

on_every_backend!(the_benefits_are_those_of_the_plan_that_is_running, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let plans = world.nobody().plans().await.unwrap();
    let of = |id: &str| plans.iter().find(|plan| plan.plan_id.to_string() == id).unwrap().benefits.clone();
    let shown = async || alice.session().await.vip().await.unwrap().benefits;
    assert!(shown().await.is_empty());
    bought_plan(&world, &alice, "vip_month").await;
    assert_ne!(of("vip_month"), of("vip_year"));
    assert_eq!(shown().await, of("vip_month"));
    // A year on top of the month begins when the month is over.
    bought_plan(&world, &alice, "vip_year").await;
    assert_eq!(shown().await, of("vip_month"));
    world.clock().advance(31 * DAY);
    alice.log_in_again().await;
    assert_eq!(shown().await, of("vip_year"));
    // A level that nobody bought is shown as the shortest plan of it.
    let bob = world.user("bob").await;
    world.admin().await.set_vip(bob.id(), Level::Vip, VipTerm::Days(400), None).await.unwrap();
    assert_eq!(bob.session().await.vip().await.unwrap().benefits, of("vip_month"));
    world.finish().await;
});
