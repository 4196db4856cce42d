//! The audit finds what is wrong, and names it.

use std::time::Duration;

use dream_core::AuditRule;
use dream_core::vip::{Level, VipTerm};
use dream_testkit::on_every_backend;
use dream_testkit::world::{TestDream, draft, polished};

use crate::support::grant;

/// A world with some history: jobs of every end, and points that came and went.
async fn lived_in(backend: &dream_testkit::backends::Backend) -> TestDream {
    let world = TestDream::on(backend).daily_quota(1).start().await;
    let alice = world.alice().await;
    grant(&world, &alice, 50).await;
    world.user("bob").await;
    alice.generate(&polished("good", 2)).await.expect("accepted");
    alice.generate(&polished("[fail]", 1)).await.expect("accepted");
    world.settle().await;
    alice.generate(&draft("[queued]", 1)).await.expect("accepted");
    world.work().await;
    world
}

on_every_backend!(books_that_are_right_give_no_finding, |backend| async move {
    let world = lived_in(&backend).await;
    let report = world.dream().audit().await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(report.at, world.now());
    assert_eq!(AuditRule::ALL.iter().map(|rule| report.count(*rule)).sum::<usize>(), 0);
    world.check_books().await;
});

on_every_backend!(each_kind_of_damage_is_found_and_named, |backend| async move {
    let damages: &[(&str, AuditRule)] = &[
        (
            "UPDATE accounts SET balance = balance + 1, earned = earned + 1 WHERE earned > 0",
            AuditRule::AccountEqualsLedger,
        ),
        (
            "UPDATE accounts SET spend_count = spend_count + 1 WHERE earned = 0",
            AuditRule::AccountEqualsLedger,
        ),
        (
            "UPDATE ledger_entries SET balance_after = balance_after + 1 WHERE id = 1",
            AuditRule::EntriesFollowEachOther,
        ),
        (
            "UPDATE ledger_entries SET cause_id = cause_id || 'x' WHERE type = 'SPEND'",
            AuditRule::ChargeBookedOnce,
        ),
        ("UPDATE ledger_entries SET cause = 'other' WHERE type = 'REFUND'", AuditRule::ReturnBookedOnce),
        ("DELETE FROM outbox WHERE kind = 'job.poll'", AuditRule::OpenJobHasTask),
        ("UPDATE outbox SET kind = 'job.poll'", AuditRule::TaskHasOpenJob),
        ("UPDATE quota_usage SET used = used + 1", AuditRule::QuotaEqualsCharges),
        ("UPDATE user_counters SET failed = failed + 1", AuditRule::FiguresEqualRecords),
        ("UPDATE usage_hours SET new_users = new_users + 1", AuditRule::TotalsEqualRecords),
        ("UPDATE usage_hours SET images = images + 1", AuditRule::TotalsEqualRecords),
        ("UPDATE usage_hours SET spent = spent - 1", AuditRule::TotalsEqualRecords),
        ("UPDATE user_counters SET favorites = favorites + 1", AuditRule::FavoritesEqualRecords),
        ("UPDATE user_counters SET stored_bytes = stored_bytes + 1", AuditRule::StoredBytesEqualRecords),
        (
            "INSERT INTO gallery_images (id, image_url, thumbnail_url, prompt, category, tags, likes, status, created_at, \
             updated_at) VALUES (1, 'x', 'x', 'p', 'portrait', '[]', 1, 'PENDING', 1, 1)",
            AuditRule::LikesEqualRecords,
        ),
        (
            "INSERT INTO gallery_counts (category, tag, images) VALUES ('portrait', '', 1)",
            AuditRule::GalleryCountsEqualRecords,
        ),
        (
            "INSERT INTO gallery_tags (tag, image_id, created_at) VALUES ('t', 1, 1)",
            AuditRule::TagsOfPublicImages,
        ),
        (
            "INSERT INTO characters (uuid, user_id, name, photo_count, created_at, updated_at) \
             SELECT 'u', id, 'x', 3, 1, 1 FROM users WHERE openid = 'o-alice'",
            AuditRule::CountEqualsPhotos,
        ),
        (
            "INSERT INTO orders (order_id, user_id, kind, channel, status, amount, points, description, transaction_id, \
             paid_at, expire_at, created_at, updated_at) \
             SELECT 'order-1', id, 'POINTS', 'wechat', 'PAID', 100, 10, 'x', 't', 1, 1, 1, 1 FROM users WHERE openid = 'o-alice'",
            AuditRule::PaidOrderFulfilled,
        ),
        (
            "INSERT INTO fulfilments (order_id, points, fulfilled_at) VALUES ('order-1', 10, 1)",
            AuditRule::FulfilmentBookedOnce,
        ),
        (
            "UPDATE orders SET status = 'CANCELLED', paid_at = NULL, transaction_id = NULL",
            AuditRule::UnpaidOrderNotFulfilled,
        ),
        (
            "INSERT INTO payments (channel, transaction_id, order_id, amount, surplus, paid_at, recorded_at) \
             VALUES ('wechat', 't', 'order-1', 99, false, 1, 1)",
            AuditRule::OrderEqualsPayment,
        ),
        (
            "INSERT INTO payments (channel, transaction_id, order_id, amount, surplus, paid_at, recorded_at) \
             VALUES ('wechat', 'too-many', 'order-1', 99, true, 1, 1)",
            AuditRule::SurplusGoesBack,
        ),
        ("UPDATE orders SET refunded_amount = 5", AuditRule::OrderEqualsRefunds),
        (
            "INSERT INTO refunds (refund_id, order_id, transaction_id, amount, total, reason, surplus, status, requested_by, \
             created_at, updated_at) VALUES ('refund-1', 'order-1', 't', 100, 100, 'x', false, 'SUCCEEDED', 'ops', 1, 1)",
            AuditRule::RefundsWithinPayment,
        ),
        ("UPDATE refunds SET status = 'PROCESSING'", AuditRule::OpenRefundHasTask),
        ("UPDATE orders SET status = 'PENDING'", AuditRule::OpenOrderHasTask),
        (
            "UPDATE memberships SET expires_at = expires_at + 1 WHERE level = 'VIP'",
            AuditRule::MembershipEqualsSpans,
        ),
        (
            "INSERT INTO membership_spans (user_id, level, granted_by, granted, used, taken, starts_at, ends_at, created_at) \
             SELECT user_id, 'SVIP', 'x', 10, 0, 0, ends_at - 5, ends_at + 5, 1 FROM membership_spans",
            AuditRule::SpansInOrder,
        ),
        (
            "UPDATE membership_spans SET order_id = 'order-1', granted_by = NULL WHERE level = 'SVIP'",
            AuditRule::PaidPlanHasSpan,
        ),
    ];
    let world = lived_in(&backend).await;
    let bob = world.user("bob").await;
    world.admin().await.set_vip(bob.id(), Level::Vip, VipTerm::Days(3), None).await.unwrap();
    for (damage, rule) in damages {
        let before = world.dream().audit().await.unwrap().count(*rule);
        assert!(world.database().execute(damage).await > 0, "{damage}");
        let report = world.dream().audit().await.unwrap();
        assert!(report.count(*rule) > before, "{rule:?} does not see: {damage}\n{:?}", report.findings);
    }
    let complaints = world.complaints().await;
    assert!(complaints.iter().any(|complaint| complaint.about == "order:order-1"), "{complaints:?}");
    // The damage was done on purpose: this world is not asked for its books when it is dropped.
    let outcome = tokio::spawn(async move { world.check_books().await }).await;
    assert!(outcome.is_err_and(|end| end.is_panic()), "wrong books end a test");
});

on_every_backend!(what_does_not_fit_the_world_around_is_complained_of, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let alice = world.alice().await;
    alice.generates("a cat").await;
    world.work().await;
    let about = async || {
        let complaints = world.complaints().await;
        complaints.into_iter().map(|complaint| complaint.what).collect::<Vec<_>>()
    };
    assert_eq!(about().await, [] as [&str; 0]);
    let orphan = "results/orphan.png".parse().unwrap();
    world.blobs().put(&orphan, "image/png", "x".into()).await.unwrap();
    assert_eq!(about().await, ["no row names it"]);
    world.blobs().delete(&orphan).await.unwrap();
    world.database().execute("UPDATE generations SET upstream_id = 'another'").await;
    assert_eq!(about().await, ["it has the id of another job"]);
    world.database().execute("UPDATE outbox SET kind = 'job.rehost' WHERE kind = 'job.poll'").await;
    assert_eq!(about().await.len(), 3);
    let dropped = tokio::spawn(async move { drop(world) }).await;
    assert!(dropped.is_err_and(|end| end.is_panic()), "dropping a world with wrong books ends a test");
});

on_every_backend!(a_watch_sees_what_is_wrong_and_forgets_it_once_it_is_right, |backend| async move {
    let world = lived_in(&backend).await;
    let mut watch = world.dream().watch();
    for _ in 0..2 {
        let vitals = watch.look().await.unwrap();
        assert_eq!((vitals.unbalanced_accounts, vitals.unfulfilled_orders), (0, 0));
        assert_eq!((vitals.overdue_jobs, vitals.overdue_tasks), (0, 0));
        assert!(vitals.backlog.waiting > 0, "{vitals:?}");
    }
    let account = "UPDATE accounts SET balance = balance + 1, earned = earned + 1 WHERE earned > 0";
    assert_eq!(world.database().execute(account).await, 1);
    let order = "INSERT INTO orders (order_id, user_id, kind, channel, status, amount, points, description, \
         transaction_id, paid_at, expire_at, created_at, updated_at) SELECT 'order-1', id, 'POINTS', 'wechat', 'PAID', \
         100, 10, 'x', 't', 1, 1, 1, 1 FROM users WHERE openid = 'o-alice'";
    assert_eq!(world.database().execute(order).await, 1);
    for _ in 0..2 {
        let vitals = watch.look().await.unwrap();
        assert_eq!((vitals.unbalanced_accounts, vitals.unfulfilled_orders), (1, 1));
    }
    let mended = "UPDATE accounts SET balance = balance - 1, earned = earned - 1 WHERE earned > 0";
    world.database().execute(mended).await;
    world.database().execute("DELETE FROM orders").await;
    let vitals = watch.look().await.unwrap();
    assert_eq!((vitals.unbalanced_accounts, vitals.unfulfilled_orders), (0, 0));
    world.check_books().await;
});

on_every_backend!(a_watch_sees_work_that_nobody_does, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let alice = world.alice().await;
    alice.generates("a cat").await;
    let mut watch = world.dream().watch();
    // What has only just fallen due is nobody's fault.
    let vitals = watch.look().await.unwrap();
    assert_eq!((vitals.overdue_jobs, vitals.backlog.due), (0, 1));
    world.clock().advance(Duration::from_hours(2));
    let vitals = watch.look().await.unwrap();
    assert_eq!((vitals.overdue_jobs, vitals.overdue_tasks), (1, 2), "the job, and housekeeping");
    assert!(vitals.backlog.oldest_due.is_some_and(|due| due < world.now()));
    world.work().await;
    let vitals = watch.look().await.unwrap();
    assert_eq!((vitals.overdue_jobs, vitals.overdue_tasks), (0, 0));
    world.check_books().await;
});

on_every_backend!(a_watch_gets_round_to_every_account, |backend| async move {
    let world = TestDream::start(&backend).await;
    let many = "INSERT INTO users (openid, created_at, updated_at) SELECT 'o-' || n, 1, 1 FROM \
         (WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 450) \
         SELECT CAST(n AS TEXT) AS n FROM numbers) numbered";
    assert_eq!(world.database().execute(many).await, 450);
    let accounts = "INSERT INTO accounts (user_id, balance, earned, spent, returned, earn_count, spend_count, \
         refund_count) SELECT id, 0, 0, 0, 0, 0, 0, 0 FROM users";
    world.database().execute(accounts).await;
    let mut watch = world.dream().watch();
    watch.look().await.unwrap();
    // Wrong without any new entry: only the slices come by it.
    let last = "UPDATE accounts SET spend_count = 1 WHERE user_id = (SELECT max(user_id) FROM accounts)";
    world.database().execute(last).await;
    let mut looks = 0;
    while watch.look().await.unwrap().unbalanced_accounts == 0 {
        looks += 1;
        assert!(looks < 5, "it does not come round");
    }
    world.database().execute("UPDATE accounts SET spend_count = 0").await;
    assert_eq!(watch.look().await.unwrap().unbalanced_accounts, 0);
    // These users have no memberships, so the world's books are none of a world that was lived in.
    world.database().execute("DELETE FROM accounts").await;
    world.database().execute("DELETE FROM users").await;
    world.finish().await;
});
