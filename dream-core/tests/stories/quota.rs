//! What generating costs: quota first, then points.

use std::time::Duration;

use dream_core::jobs::{GenerateRequest, Resolution};
use dream_core::kernel::{PageRequest, Points, Timestamp};
use dream_core::points::EntryKind;
use dream_core::vip::{Level, VipTerm};
use dream_core::{Code, Facts, QuotaLimit};
use dream_testkit::on_every_backend;
use dream_testkit::world::{Actor, TestDream, draft, polished};

use crate::support::{code, grant, submitted};

on_every_backend!(quota_pays_first_then_points_then_nothing_does, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(3).start().await;
    let alice = world.alice().await;
    grant(&world, &alice, 25).await;
    let charge = alice.generate(&polished("two", 2)).await.unwrap().charge;
    assert_eq!((charge.quota, charge.points.get()), (2, 0));
    let charge = alice.generate(&polished("three", 3)).await.unwrap().charge;
    assert_eq!((charge.quota, charge.points.get()), (1, 20), "one is covered, two cost ten each");
    let charge = alice.generate(&draft("two quick ones", 2)).await.unwrap().charge;
    assert_eq!((charge.quota, charge.points.get()), (0, 4));
    let error = alice.generate(&polished("one more", 1)).await.expect_err("one point is left");
    assert_eq!(error.code(), Code::QuotaExceeded);
    let figures = Facts::Quota { daily_limit: 3, daily_used: 3, points_required: 10, points_balance: 1 };
    assert_eq!(*error.facts(), figures);
    assert_eq!((alice.points().await, alice.used_today().await), (1, 3), "nothing was taken");
    assert_eq!(world.database().number("SELECT count(*) FROM generations").await, 3);
    world.finish().await;
});

on_every_backend!(each_entry_of_the_ledger_tells_its_cause_and_the_balance_behind_it, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(0).start().await;
    let alice = world.alice().await;
    grant(&world, &alice, 30).await;
    let job = alice.generate(&polished("[fail]", 2)).await.unwrap();
    world.settle().await;
    let balance = alice.session().await.balance().await.unwrap();
    let figures = (balance.balance.get(), balance.total_earned.get(), balance.total_spent.get());
    assert_eq!(figures, (30, 30, 20), "the sums are net of nothing");
    let page = alice.session().await.transactions(None, &PageRequest::default()).await.unwrap();
    let entries: Vec<_> = page
        .items
        .iter()
        .map(|entry| (entry.kind, entry.amount.get(), entry.balance_after.get(), entry.generation))
        .collect();
    let of_job = Some(job.generation);
    assert_eq!(
        entries,
        [
            (EntryKind::Refund, 20, 30, of_job),
            (EntryKind::Spend, 20, 10, of_job),
            (EntryKind::Earn, 30, 30, None)
        ]
    );
    assert_eq!(page.total, Some(3));
    world.finish().await;
});

on_every_backend!(an_admin_changes_a_balance_only_through_the_ledger, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let admin = world.admin().await;
    grant(&world, &alice, 30).await;
    admin.set_balance(alice.id(), Points::new(12), Some("a correction")).await.unwrap();
    assert_eq!(alice.points().await, 12);
    let short = admin.grant_points(alice.id(), Points::new(-13), "too much").await.expect_err("12 are there");
    assert_eq!((short.code(), short.facts().clone()), (Code::InvalidState, Facts::Shortfall { points: 1 }));
    admin.set_balance(alice.id(), Points::new(12), None).await.expect("nothing to do");
    for nonsense in [0, i64::MAX, i64::MIN] {
        let outcome = admin.grant_points(alice.id(), Points::new(nonsense), "x").await;
        assert_eq!(code(outcome), Code::ValidationFailed, "{nonsense}");
    }
    assert_eq!(code(admin.set_balance(alice.id(), Points::new(-1), None).await), Code::ValidationFailed);
    let entries = "SELECT type || ' ' || CAST(amount AS TEXT) FROM ledger_entries ORDER BY id";
    assert_eq!(world.database().texts(entries).await, ["EARN 30", "SPEND 18"]);
    assert_eq!(world.database().number("SELECT count(*) FROM audit_log").await, 2);
    world.finish().await;
});

on_every_backend!(the_largest_pictures_are_for_vip_and_cost_twice, |backend| async move {
    let world = TestDream::on(&backend)
        .settings(|settings| settings.quota.vip = QuotaLimit { daily: 1, monthly: 100 })
        .start()
        .await;
    let alice = world.alice().await;
    let four_k = GenerateRequest { resolution: Some(Resolution::FourK), ..polished("large", 2) };
    grant(&world, &alice, 100).await;
    assert_eq!(code(alice.generate(&four_k).await), Code::VipRequired);
    assert_eq!((alice.points().await, alice.used_today().await), (100, 0));
    let admin = world.admin().await;
    admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(1), None).await.unwrap();
    let charge = alice.generate(&four_k).await.unwrap().charge;
    assert_eq!((charge.quota, charge.points.get()), (1, 20));
    world.finish().await;
});

on_every_backend!(the_months_limit_holds_however_the_days_begin_anew, |backend| async move {
    let world = TestDream::on(&backend)
        .settings(|settings| settings.quota.normal = QuotaLimit { daily: 3, monthly: 5 })
        .start()
        .await;
    let alice = world.alice().await;
    alice.generate(&draft("day one", 3)).await.unwrap();
    world.pass(Duration::from_hours(24)).await;
    let error = alice.generate(&draft("day two", 3)).await.expect_err("two are left this month");
    assert_eq!(error.code(), Code::QuotaExceeded);
    let quota = alice.session().await.quota().await.unwrap().quota;
    assert_eq!((quota.remaining(), quota.used.daily, quota.used.monthly), (2, 0, 3));
    alice.generate(&draft("day two", 2)).await.unwrap();
    assert_eq!(code(alice.generate(&draft("no more", 1)).await), Code::QuotaExceeded);
    // 2026-01-02 in Shanghai; the first of February is thirty days on.
    world.pass(Duration::from_hours(30 * 24)).await;
    alice.log_in_again().await;
    assert_eq!(alice.session().await.quota().await.unwrap().quota.remaining(), 3);
    world.finish().await;
});

/// 2026-01-01T15:59:59Z: the last second of the first of January in Shanghai.
const LAST_SECOND: Timestamp = Timestamp::from_secs(1_767_283_199);

on_every_backend!(a_day_begins_at_midnight_in_shanghai, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1).start().await;
    world.clock().set(LAST_SECOND);
    let alice = world.alice().await;
    alice.generate(&draft("old day", 1)).await.unwrap();
    assert_eq!(code(alice.generate(&draft("old day", 1)).await), Code::QuotaExceeded);
    world.clock().advance(Duration::from_secs(1));
    assert_eq!(alice.used_today().await, 0);
    alice.generate(&draft("new day", 1)).await.unwrap();
    assert_eq!(code(alice.generate(&draft("new day", 1)).await), Code::QuotaExceeded);
    world.finish().await;
});

on_every_backend!(another_zone_has_other_days, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1).zone("UTC").start().await;
    world.clock().set(LAST_SECOND);
    let alice = world.alice().await;
    alice.generate(&draft("one day", 1)).await.unwrap();
    world.clock().advance(Duration::from_secs(1));
    assert_eq!(code(alice.generate(&draft("the same day", 1)).await), Code::QuotaExceeded);
    world.finish().await;
});

on_every_backend!(a_charge_comes_back_to_the_day_it_was_taken_from, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1).by_hand().start().await;
    world.clock().set(LAST_SECOND);
    let alice = world.alice().await;
    let (_, upstream) = submitted(&world, &alice, "asked yesterday").await;
    world.clock().advance(Duration::from_secs(1));
    let (today, _) = submitted(&world, &alice, "asked today").await;
    world.image_api().fail(&upstream, "TIMEOUT");
    world.pass(Duration::from_mins(1)).await;
    assert_eq!(alice.used_today().await, 1, "today's own is still taken");
    assert_eq!(code(alice.generate(&draft("no more today", 1)).await), Code::QuotaExceeded);
    let days = "SELECT period || ' ' || CAST(used AS TEXT) FROM quota_usage ORDER BY period";
    assert_eq!(world.database().texts(days).await, ["D2026-01-01 0", "D2026-01-02 1", "M2026-01 1"]);
    alice.session().await.cancel_job(&today).await.unwrap();
    world.finish().await;
});

on_every_backend!(deleting_the_account_does_not_begin_a_new_quota, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(5).start().await;
    let used = async |user: &Actor| user.session().await.vip().await.unwrap().quota.used;
    for (samples, is_open) in [(3, false), (2, true)] {
        let alice = world.alice().await;
        alice.generate(&draft("a cat", samples)).await.expect("some is left");
        if !is_open {
            world.settle().await;
        }
        alice.session().await.delete_account().await.unwrap();
        world.settle().await;
    }
    let alice = world.alice().await;
    assert_eq!((used(&alice).await.daily, used(&alice).await.monthly), (5, 5));
    assert_eq!(code(alice.generate(&draft("a cat", 1)).await), Code::QuotaExceeded);
    // What is remembered is a digest, and only until it is restored. Somebody else begins at zero.
    let database = world.database();
    assert_eq!(database.number("SELECT count(*) FROM deleted_usage").await, 0);
    assert_eq!(used(&world.user("bob").await).await.daily, 0);
    alice.session().await.delete_account().await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM deleted_usage WHERE person LIKE '%alice%'").await, 0);
    assert_eq!(database.number("SELECT count(*) FROM deleted_usage WHERE length(person) = 64").await, 2);
    // The next day begins at zero; the month goes on.
    world.pass(Duration::from_hours(24)).await;
    let alice = world.alice().await;
    assert_eq!((used(&alice).await.daily, used(&alice).await.monthly), (0, 5));
    world.finish().await;
});

on_every_backend!(used_quota_of_a_deleted_user_is_remembered_for_180_days, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(5).start().await;
    let remembered = async || world.database().number("SELECT count(*) FROM deleted_usage").await;
    let alice = world.alice().await;
    alice.generate(&draft("a cat", 1)).await.unwrap();
    world.settle().await;
    alice.session().await.delete_account().await.unwrap();
    world.pass(Duration::from_hours(180 * 24 - 2)).await;
    assert_eq!(remembered().await, 2);
    world.pass(Duration::from_hours(4)).await;
    assert_eq!(remembered().await, 0, "housekeeping removes it");
    world.finish().await;
});

on_every_backend!(where_nothing_is_to_be_remembered_of_deleted_users_nothing_is, |backend| async move {
    let world = TestDream::on(&backend)
        .settings(|settings| settings.deleted_user_memory = Duration::ZERO)
        .start()
        .await;
    let alice = world.alice().await;
    alice.generate(&draft("a cat", 1)).await.unwrap();
    world.settle().await;
    alice.session().await.delete_account().await.unwrap();
    assert_eq!(world.database().number("SELECT count(*) FROM deleted_usage").await, 0);
    assert_eq!(world.alice().await.session().await.vip().await.unwrap().quota.used.daily, 0);
    world.finish().await;
});
