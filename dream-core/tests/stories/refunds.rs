//! Money that goes back, and what is taken back with it; and the day's bill.

use std::time::Duration;

use dream_core::kernel::{Day, Timestamp, Zone};
use dream_core::orders::{Difference, OrderStatus, RefundStatus, WECHAT};
use dream_core::vip::{Level, VipTerm};
use dream_core::{AuditRule, Code, Facts};
use dream_testkit::fakes::wechat_pay::{NotifyAttempt, RefundPlan, RefundStatus as There, operation};
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::world::{TestDream, polished};
use futures_util::future::join_all;

use crate::shop::{
    Alarms, bought_plan, bought_points, buys, kept, ledger, open, pays, recharges, refund, refunds, shop,
    status, told,
};
use crate::support::{code, grant};

/// So much later that the channel takes another refund of the same payment.
const GAP: Duration = Duration::from_mins(2);

async fn ends(world: &TestDream, id: &dream_core::kernel::OrderId) -> Vec<RefundStatus> {
    refunds(world, id).await.iter().map(|refund| refund.status).collect()
}

on_every_backend!(a_refunded_recharge_takes_its_points_back, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let id = bought_points(&world, &alice, 100).await;
    let promised = refund(&world, &id, None).await.unwrap();
    assert_eq!((promised.status, promised.amount.get()), (RefundStatus::Processing, 1000));
    assert_eq!(promised.points_taken.get(), 100);
    assert_eq!((alice.points().await, status(&world, &id).await), (0, OrderStatus::Paid), "at once");
    world.settle().await;
    let order = kept(&world, &id).await;
    assert_eq!((order.state.status(), order.refunded.get()), (OrderStatus::Refunded, 1000));
    assert_eq!(ends(&world, &id).await, [RefundStatus::Succeeded]);
    assert_eq!(ledger(&world, alice.id()).await, [(100, 100), (-100, 0)]);
    assert_eq!(code(refund(&world, &id, None).await), Code::InvalidState);
    assert_eq!(world.wechat_pay().refunds().len(), 1);
    world.finish().await;
});

on_every_backend!(refunds_in_parts_take_back_their_share_and_together_the_whole, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let id = bought_points(&world, &alice, 7).await;
    let mut left = Vec::new();
    for fen in [33, 33, 1] {
        refund(&world, &id, Some(fen)).await.unwrap();
        left.push(alice.points().await);
        world.pass(GAP).await;
    }
    assert_eq!(left, [4, 1, 1], "rounded in the payer's favour");
    let error = refund(&world, &id, Some(4)).await.expect_err("three are left");
    assert_eq!(error.code(), Code::ValidationFailed);
    for bad in [0, -1, i64::MIN] {
        assert_eq!(code(refund(&world, &id, Some(bad)).await), Code::ValidationFailed, "{bad}");
    }
    assert_eq!(status(&world, &id).await, OrderStatus::Paid);
    refund(&world, &id, None).await.unwrap();
    world.settle().await;
    assert_eq!((alice.points().await, status(&world, &id).await), (0, OrderStatus::Refunded));
    assert_eq!(world.wechat_pay().refunds().iter().map(|refund| refund.amount_fen).sum::<i64>(), 70);
    world.finish().await;
});

on_every_backend!(a_refunded_plan_takes_its_days_back, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let start = world.now();
    let year = bought_plan(&world, &alice, "vip_year").await;
    let month = bought_plan(&world, &alice, "vip_month").await;
    let until = async || alice.session().await.vip().await.unwrap().membership.expires_at();
    let half = refund(&world, &month, Some(1000)).await.unwrap();
    assert_eq!((half.days_taken, until().await), (15, Some(start.plus_days(380))));
    world.pass(GAP).await;
    refund(&world, &month, None).await.unwrap();
    assert_eq!(until().await, Some(start.plus_days(365)));
    refund(&world, &year, None).await.unwrap();
    assert_eq!(alice.session().await.vip().await.unwrap().membership.level(), Level::Normal);
    world.settle().await;
    for id in [&year, &month] {
        assert_eq!(status(&world, id).await, OrderStatus::Refunded);
    }
    world.finish().await;
});

on_every_backend!(a_refund_removes_exactly_its_own_span, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let membership = async || alice.session().await.vip().await.unwrap().membership;
    let start = world.now();
    let month = bought_plan(&world, &alice, "vip_month").await;
    let lifetime = bought_plan(&world, &alice, "svip_lifetime").await;
    world.clock().advance(Duration::from_hours(24 * 5));
    alice.log_in_again().await;
    assert_eq!(membership().await.level(), Level::Svip);
    refund(&world, &lifetime, None).await.unwrap();
    let left = membership().await;
    assert_eq!((left.level(), left.expires_at()), (Level::Vip, Some(start.plus_days(35))), "no year of SVIP");
    world.settle().await;
    refund(&world, &month, None).await.unwrap();
    assert_eq!(membership().await.level(), Level::Normal);
    world.finish().await;
});

on_every_backend!(
    vip_that_is_paid_during_an_svip_trial_stays_vip_and_is_refunded_alone,
    |backend| async move {
        let world = shop(&backend).await;
        let alice = world.alice().await;
        let membership = async || alice.session().await.vip().await.unwrap().membership;
        let start = world.now();
        let placed = buys(&alice, "vip_year").await;
        let trial = VipTerm::Days(3);
        world.admin().await.set_vip(alice.id(), Level::Svip, trial, Some("a trial")).await.unwrap();
        pays(&world, &placed);
        told(&world).await;
        let now = membership().await;
        assert_eq!((now.level(), now.expires_at()), (Level::Svip, Some(start.plus_days(3))));
        assert_eq!(now.vip_until(), Some(start.plus_days(368)));
        let refunded = refund(&world, &placed.order.order_id, None).await.unwrap();
        assert_eq!(refunded.days_taken, 365);
        let left = membership().await;
        assert_eq!(
            (left.level(), left.expires_at(), left.vip_until()),
            (Level::Svip, now.expires_at(), None)
        );
        // The refund fails: all of the order's days wait again.
        world.wechat_pay().plan_refunds(Some(RefundPlan { delay: Duration::ZERO, outcome: There::Closed }));
        world.settle().await;
        assert_eq!(membership().await.vip_until(), Some(start.plus_days(368)));
        world.finish().await;
    }
);

on_every_backend!(points_that_were_spent_cannot_be_taken_back, |backend| async move {
    let world = open(TestDream::on(&backend).daily_quota(0)).await;
    let alice = world.alice().await;
    let id = bought_points(&world, &alice, 100).await;
    alice.generate(&polished("six pictures", 6)).await.unwrap();
    let error = refund(&world, &id, None).await.expect_err("they are spent");
    assert_eq!((error.code(), error.facts()), (Code::InvalidState, &Facts::Shortfall { points: 60 }));
    assert_eq!((alice.points().await, refunds(&world, &id).await), (40, vec![]), "nothing happened");
    assert_eq!(kept(&world, &id).await.refunded.get(), 0);
    grant(&world, &alice, 59).await;
    let error = refund(&world, &id, None).await.expect_err("one is missing");
    assert_eq!(error.facts(), &Facts::Shortfall { points: 1 });
    refund(&world, &id, Some(400)).await.expect("a part is still there");
    world.settle().await;
    assert_eq!((alice.points().await, world.wechat_pay().refunds().len()), (59, 1));
    world.finish().await;
});

on_every_backend!(what_a_refund_took_comes_back_if_it_fails, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let id = bought_points(&world, &alice, 3).await;
    let month = bought_plan(&world, &alice, "vip_month").await;
    let until = alice.session().await.vip().await.unwrap().membership.expires_at();
    // Of 30 fen 15 take one of three points, and the other 15 two.
    let one = refund(&world, &id, Some(15)).await.unwrap();
    refund(&world, &month, None).await.unwrap();
    assert_eq!((one.points_taken.get(), alice.points().await), (1, 2));
    world.wechat_pay().plan_refunds(Some(RefundPlan { delay: Duration::ZERO, outcome: There::Closed }));
    world.settle().await;
    assert_eq!(ends(&world, &id).await, [RefundStatus::Failed]);
    assert_eq!((alice.points().await, kept(&world, &id).await.refunded.get()), (3, 0));
    assert_eq!(alice.session().await.vip().await.unwrap().membership.level(), Level::Vip);
    // A little later than it was, since the time that the refund took does not count.
    let again = alice.session().await.vip().await.unwrap().membership.expires_at();
    assert!(again >= until && again <= until.map(|until| until.plus(GAP)), "{again:?}");
    assert_eq!(status(&world, &id).await, OrderStatus::Paid);
    // It can be tried again, and takes what the first try had taken.
    world.wechat_pay().plan_refunds(Some(RefundPlan::default()));
    refund(&world, &id, None).await.unwrap();
    world.settle().await;
    assert_eq!((alice.points().await, status(&world, &id).await), (0, OrderStatus::Refunded));
    world.finish().await;
});

on_every_backend!(failed_parts_never_let_a_refund_take_more_than_was_given, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    grant(&world, &alice, 10).await;
    let id = bought_points(&world, &alice, 3).await;
    let first = refund(&world, &id, Some(15)).await.unwrap();
    let second = refund(&world, &id, Some(15)).await.unwrap();
    assert_eq!((first.points_taken.get(), second.points_taken.get()), (1, 2));
    let closed = RefundPlan { delay: Duration::ZERO, outcome: There::Closed };
    world.wechat_pay().plan_refund(first.refund_id.as_str(), Some(closed));
    world.settle().await;
    assert_eq!(ends(&world, &id).await, [RefundStatus::Failed, RefundStatus::Succeeded]);
    assert_eq!(alice.points().await, 11);
    world.clock().advance(GAP);
    refund(&world, &id, None).await.unwrap();
    world.settle().await;
    assert_eq!((alice.points().await, status(&world, &id).await), (10, OrderStatus::Refunded));
    world.finish().await;
});

on_every_backend!(days_that_were_used_up_are_not_given_again_by_a_refund_that_fails, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let month = bought_plan(&world, &alice, "vip_month").await;
    let until = alice.session().await.vip().await.unwrap().membership.expires_at().unwrap();
    world.pass(Duration::from_hours(24 * 28 + 12)).await;
    alice.log_in_again().await;
    let promised = refund(&world, &month, None).await.unwrap();
    assert_eq!(promised.days_taken, 2, "no more was left, the begun day counted whole");
    assert_eq!(alice.session().await.vip().await.unwrap().membership.level(), Level::Normal);
    world.wechat_pay().plan_refunds(Some(RefundPlan { delay: Duration::ZERO, outcome: There::Closed }));
    world.settle().await;
    let membership = alice.session().await.vip().await.unwrap().membership;
    assert_eq!(membership.level(), Level::Vip);
    assert!(membership.expires_at().unwrap() < until.plus_days(1), "{membership:?}");
    world.pass(Duration::from_hours(24 * 30)).await;
    refund(&world, &month, None).await.expect("the money can go back though the days are gone");
    world.finish().await;
});

on_every_backend!(the_result_of_a_refund_comes_by_notify_or_is_asked_for, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    world.wechat_pay().plan_refunds(None);
    let told_of = bought_points(&world, &alice, 10).await;
    let asked_for = bought_points(&world, &alice, 20).await;
    let mut numbers = Vec::new();
    for id in [&told_of, &asked_for] {
        numbers.push(refund(&world, id, None).await.unwrap().refund_id);
    }
    world.work().await;
    assert_eq!(ends(&world, &told_of).await, [RefundStatus::Processing]);
    for number in &numbers {
        assert!(world.wechat_pay().conclude_refund(number.as_str(), There::Success));
    }
    // The second notify never comes.
    let notices = world.wechat_pay().notices();
    let of_first =
        notices.iter().find(|notice| notice.content["out_refund_no"] == numbers[0].as_str()).unwrap();
    let attempts = world.wechat_pay().deliver_copies(of_first.number, 5).await;
    assert!(attempts.iter().all(NotifyAttempt::taken), "{attempts:?}");
    assert_eq!(status(&world, &told_of).await, OrderStatus::Refunded);
    assert_eq!(status(&world, &asked_for).await, OrderStatus::Paid);
    world.settle().await;
    assert_eq!(status(&world, &asked_for).await, OrderStatus::Refunded);
    world.finish().await;
});

on_every_backend!(lies_about_a_refund_are_refused, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    world.wechat_pay().plan_refunds(None);
    let id = bought_points(&world, &alice, 10).await;
    let number = refund(&world, &id, None).await.unwrap().refund_id;
    world.work().await;
    assert!(world.wechat_pay().conclude_refund(number.as_str(), There::Success));
    let tell = async |trouble| {
        let notify = world.wechat_pay().sealed_refund(number.as_str(), trouble).unwrap();
        world.dream().refund_notify(WECHAT, &notify).await?.settle().await
    };
    for lie in ["wrong_amount", "wrong_mchid"] {
        let alarms = Alarms::listen();
        assert_eq!(code(tell(Some(lie)).await), Code::Forbidden, "{lie}");
        assert_eq!(alarms.heard(), 1, "{lie}");
    }
    for forgery in ["forged", "tampered", "stale", "probe", "unsigned", "undecryptable"] {
        assert_eq!(code(tell(Some(forgery)).await), Code::Unauthenticated, "{forgery}");
    }
    assert_eq!(ends(&world, &id).await, [RefundStatus::Processing]);
    tell(None).await.unwrap();
    assert_eq!(status(&world, &id).await, OrderStatus::Refunded);
    world.finish().await;
});

on_every_backend!(a_refund_whose_answer_is_lost_is_made_once, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let id = bought_points(&world, &alice, 10).await;
    world.wechat_pay().faults().next_n(operation::REFUND, 3, Fault::DropAfter);
    refund(&world, &id, None).await.unwrap();
    world.settle().await;
    assert_eq!((world.wechat_pay().refunds().len(), status(&world, &id).await), (1, OrderStatus::Refunded));
    world.finish().await;
});

on_every_backend!(a_refund_that_was_taken_on_is_not_given_up_over_a_later_refusal, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let id = bought_points(&world, &alice, 10).await;
    // The answer is lost; and when we ask again, the platform turns us away for a reason of its own.
    world.wechat_pay().faults().next_n(operation::REFUND, 3, Fault::DropAfter);
    let refusal = r#"{"code":"RULE_LIMIT","message":"rules"}"#;
    refund(&world, &id, None).await.unwrap();
    world.work().await;
    world.wechat_pay().faults().clear();
    world.wechat_pay().faults().always(operation::REFUND, Fault::status(403, refusal));
    world.settle().await;
    assert_eq!((alice.points().await, status(&world, &id).await), (0, OrderStatus::Refunded));
    world.finish().await;
});

on_every_backend!(a_refund_waits_for_money_and_for_people, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let id = bought_points(&world, &alice, 10).await;
    world.wechat_pay().set_balance(Some(99));
    let number = refund(&world, &id, None).await.unwrap().refund_id;
    world.pass(Duration::from_hours(3)).await;
    assert_eq!(ends(&world, &id).await, [RefundStatus::Processing]);
    world.wechat_pay().set_balance(None);
    world.wechat_pay().plan_refunds(Some(RefundPlan { delay: Duration::ZERO, outcome: There::Abnormal }));
    world.pass(Duration::from_hours(3)).await;
    assert_eq!(ends(&world, &id).await, [RefundStatus::Processing], "somebody has to act in the console");
    assert!(world.wechat_pay().conclude_refund(number.as_str(), There::Success));
    world.settle().await;
    assert_eq!((alice.points().await, status(&world, &id).await), (0, OrderStatus::Refunded));
    world.finish().await;
});

on_every_backend!(refunds_at_once_never_exceed_the_payment, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    grant(&world, &alice, 1000).await;
    let id = bought_points(&world, &alice, 100).await;
    let admin = world.admin().await;
    let fen = Some(dream_core::kernel::Fen::new(300));
    let outcomes = join_all((0..12).map(|_| admin.refund_order(&id, fen, "again"))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    world.settle().await;
    assert_eq!(kept(&world, &id).await.refunded.get(), 900);
    assert_eq!(world.wechat_pay().refunds().iter().map(|refund| refund.amount_fen).sum::<i64>(), 900);
    assert_eq!(alice.points().await, 1010);
    world.finish().await;
});

on_every_backend!(only_what_was_paid_can_be_refunded, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let waiting = recharges(&alice, 5).await.order.order_id;
    assert_eq!(code(refund(&world, &waiting, None).await), Code::InvalidState);
    alice.session().await.cancel_order(&waiting).await.unwrap();
    assert_eq!(code(refund(&world, &waiting, None).await), Code::InvalidState);
    let nowhere = "nosuchorder".parse().unwrap();
    assert_eq!(code(refund(&world, &nowhere, None).await), Code::OrderNotFound);
    for reason in ["", "   ", &"x".repeat(201)] {
        let refused = world.admin().await.refund_order(&waiting, None, reason).await;
        assert_eq!(code(refused), Code::ValidationFailed);
    }
    world.finish().await;
});

fn day(at: Timestamp) -> Day {
    Zone::default().day(at)
}

on_every_backend!(a_days_bill_is_compared_with_our_books_and_made_good, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let today = day(world.now());
    let fine = bought_points(&world, &alice, 10).await;
    let back = bought_points(&world, &alice, 20).await;
    refund(&world, &back, None).await.unwrap();
    world.work().await;
    let unbilled = bought_points(&world, &alice, 30).await;
    let other = bought_points(&world, &alice, 40).await;
    // Cancelled here; but the platform has a payment of it, and says so only in its bill.
    let missed = recharges(&alice, 50).await;
    pays(&world, &missed);
    world.wechat_pay().faults().always(operation::PAYMENT_NOTIFY, Fault::special("lose_all"));
    world.wechat_pay().deliver_due().await;
    let stranger = world.wechat_pay().add_paid_order("SOMEBODYELSES", "o-stranger", 777);
    let transaction = async |id| kept(&world, id).await.state.payment().unwrap().transaction_id.clone();
    let (unbilled_payment, other_payment) = (transaction(&unbilled).await, transaction(&other).await);
    world.wechat_pay().change_payment(&unbilled_payment, |payment| payment.in_bill = false);
    world.wechat_pay().change_payment(&other_payment, |payment| payment.bill_amount_fen = 1);
    world.clock().advance(Duration::from_hours(26));

    let report = world.admin().await.reconcile(today).await.unwrap();
    assert_eq!((report.payments, report.refunds), (5, 1), "{report:?}");
    let mut seen = Vec::new();
    for difference in &report.differences {
        seen.push(match difference {
            Difference::PaidThereOnly { transaction, settled, .. } => {
                (if *settled { "made good" } else { "stranger" }, transaction.clone())
            }
            Difference::PaidHereOnly { transaction, .. } => ("here only", transaction.clone()),
            Difference::AmountDiffers { transaction, here, there, .. } => {
                assert_eq!((here.get(), there.get()), (400, 1));
                ("amount", transaction.clone())
            }
            other => panic!("{other:?}"),
        });
    }
    seen.sort();
    let missed_payment = transaction(&missed.order.order_id).await;
    let mut expected = vec![
        ("made good", missed_payment),
        ("stranger", stranger.transaction_id),
        ("here only", unbilled_payment),
        ("amount", other_payment),
    ];
    expected.sort();
    assert_eq!(seen, expected);
    assert_eq!(status(&world, &missed.order.order_id).await, OrderStatus::Paid);
    assert_eq!(status(&world, &fine).await, OrderStatus::Paid);
    assert_eq!(alice.points().await, 10 + 30 + 40 + 50);
    // What was made good is no difference any more.
    assert_eq!(world.admin().await.reconcile(today).await.unwrap().differences.len(), 3);
    world.finish().await;
});

on_every_backend!(a_bill_that_is_not_ready_or_was_changed_on_its_way_is_no_bill, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let today = day(world.now());
    let placed = recharges(&alice, 10).await;
    pays(&world, &placed);
    told(&world).await;
    assert_eq!(
        code(world.admin().await.reconcile(today).await),
        Code::ValidationFailed,
        "the day is not over"
    );
    world.clock().advance(Duration::from_hours(22));
    assert!(world.admin().await.reconcile(today).await.is_err(), "the platform is still writing it");
    world.clock().advance(Duration::from_hours(4));
    world.wechat_pay().faults().next_n(operation::DOWNLOAD, 20, Fault::Corrupt);
    let refused = code(world.admin().await.reconcile(today).await);
    assert!(matches!(refused, Code::UpstreamError | Code::UpstreamTimeout), "{refused}");
    world.wechat_pay().faults().clear();
    assert_eq!(world.admin().await.reconcile(today).await.unwrap().differences, []);
    world.finish().await;
});

on_every_backend!(
    a_payment_too_many_that_the_channel_keeps_is_found_and_given_back_by_hand,
    |backend| async move {
        let world = shop(&backend).await;
        let alice = world.alice().await;
        let id = bought_points(&world, &alice, 50).await;
        world.wechat_pay().plan_refunds(Some(RefundPlan { delay: Duration::ZERO, outcome: There::Closed }));
        let second = world.wechat_pay().pay_again(id.as_str()).unwrap();
        told(&world).await;
        let admin = world.admin().await;
        assert_eq!(
            code(admin.refund_surplus(&id, "again").await),
            Code::InvalidState,
            "its refund is under way"
        );
        world.settle().await;
        assert_eq!(ends(&world, &id).await, [RefundStatus::Failed]);
        let report = world.dream().audit().await.unwrap();
        let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
        assert_eq!((finding.rule, &finding.subject), (AuditRule::SurplusGoesBack, &format!("order:{id}")));
        assert!(
            finding.detail.contains(&second.transaction_id)
                && finding.detail.contains("closed by the channel")
        );

        world.wechat_pay().plan_refunds(Some(RefundPlan::default()));
        assert_eq!(code(admin.refund_surplus(&id, " ").await), Code::ValidationFailed);
        assert_eq!(code(admin.refund_surplus(&"nothing".parse().unwrap(), "x").await), Code::OrderNotFound);
        world.pass(GAP).await;
        let promised = admin.refund_surplus(&id, "another account").await.unwrap();
        assert_eq!((promised.amount.get(), promised.surplus, promised.points_taken.get()), (500, true, 0));
        world.settle().await;
        assert_eq!(ends(&world, &id).await, [RefundStatus::Failed, RefundStatus::Succeeded]);
        assert_eq!(code(admin.refund_surplus(&id, "once more").await), Code::InvalidState);
        assert_eq!((alice.points().await, kept(&world, &id).await.refunded.get()), (50, 0));
        world.finish().await;
    }
);
