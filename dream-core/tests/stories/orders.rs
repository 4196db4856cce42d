//! Orders, from the purchase to their end, whatever the platform says and does not say.

use std::time::Duration;

use dream_core::kernel::PageRequest;
use dream_core::orders::{OrderKind, OrderStatus, Settled, WECHAT};
use dream_core::vip::Level;
use dream_core::{Code, Dream};
use dream_testkit::fakes::wechat_pay::{CannotPay, NotifyAttempt, operation};
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;
use futures_util::future::join_all;

use crate::shop::{
    Alarms, bought_plan, buys, fulfilments, kept, ledger, payment_of, pays, plan, points, recharges, refunds,
    settle, shop, status, told,
};
use crate::support::{code, grant};

const DAY: Duration = Duration::from_hours(24);

on_every_backend!(a_plan_is_given_once_with_its_payment, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let placed = buys(&alice, "vip_month").await;
    let order = &placed.order;
    assert_eq!((order.amount.get(), order.goods.kind()), (1999, OrderKind::Vip));
    assert_eq!(alice.session().await.vip().await.unwrap().membership.level(), Level::Normal);
    let payment = pays(&world, &placed);
    world.clock().advance(Duration::from_secs(3));
    told(&world).await;

    let paid = kept(&world, &order.order_id).await;
    let facts = paid.state.payment().expect("it is paid");
    assert_eq!((&facts.transaction_id, facts.paid_at), (&payment.transaction_id, payment.paid_at));
    assert_eq!(facts.vip_expire_at, Some(world.now().plus_days(30)), "the days count from the gift");
    let membership = alice.session().await.vip().await.unwrap().membership;
    assert_eq!((membership.level(), membership.expires_at()), (Level::Vip, facts.vip_expire_at));

    // Told again later, and found again by looking: nothing more happens.
    world.clock().advance(DAY);
    let notice = world.wechat_pay().notices()[0].number;
    let attempts = world.wechat_pay().deliver_copies(notice, 3).await;
    assert!(attempts.iter().all(NotifyAttempt::taken), "{attempts:?}");
    world.admin().await.query_order(&order.order_id).await.unwrap();
    assert_eq!(kept(&world, &order.order_id).await, paid);
    assert_eq!(alice.session().await.vip().await.unwrap().membership, membership);
    assert_eq!(fulfilments(&world).await, 1);
    world.finish().await;
});

on_every_backend!(a_recharge_gives_nothing_before_its_payment, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    for number in [0, -1, -50, 100_001, i64::MIN, i64::MAX] {
        assert!(dream_core::orders::RechargePoints::new(number).is_err(), "{number}");
    }
    let placed = recharges(&alice, 50).await;
    assert_eq!(placed.order.amount.get(), 500);
    assert_eq!((alice.points().await, ledger(&world, alice.id()).await), (0, vec![]));
    pays(&world, &placed);
    assert_eq!(alice.points().await, 0, "nobody has told us yet");
    told(&world).await;
    assert_eq!((alice.points().await, ledger(&world, alice.id()).await), (50, vec![(50, 50)]));
    world.finish().await;
});

on_every_backend!(every_request_for_a_payment_is_signed_anew_for_its_own_order, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let first = buys(&alice, "vip_month").await;
    let second = recharges(&alice, 7).await;
    assert_ne!(first.pay.package, second.pay.package);
    assert_ne!(first.pay.nonce_str, second.pay.nonce_str);
    assert_ne!(first.pay.pay_sign, second.pay.pay_sign);
    let number = second.order.order_id.as_str();
    assert_eq!(world.wechat_pay().pay(number, &first.pay), Err(CannotPay::NoOrder));
    let mut forged = second.pay.clone();
    forged.package.clone_from(&first.pay.package);
    assert_eq!(world.wechat_pay().pay(number, &forged), Err(CannotPay::Signature));
    world.clock().advance(Duration::from_mins(1));
    let again = alice.session().await.pay_order(&second.order.order_id).await.unwrap();
    assert_eq!(again.pay.package, second.pay.package, "the permission is still good");
    assert_ne!(
        (&again.pay.nonce_str, &again.pay.time_stamp),
        (&second.pay.nonce_str, &second.pay.time_stamp)
    );
    pays(&world, &again);
    world.settle().await;
    assert_eq!(status(&world, &second.order.order_id).await, OrderStatus::Paid);
    world.finish().await;
});

on_every_backend!(nothing_but_the_platforms_own_word_pays_an_order, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let placed = buys(&alice, "svip_lifetime").await;
    let number = placed.order.order_id.as_str();
    let naked = dream_core::ports::SignedNotify::new([("content-type", "application/json")], "{}");
    assert_eq!(code(settle(world.dream(), &naked).await), Code::Unauthenticated);
    let claim = format!(r#"{{"out_trade_no":"{number}","trade_state":"SUCCESS"}}"#);
    let claim = dream_core::ports::SignedNotify::new([("content-type", "application/json")], claim);
    assert_eq!(code(settle(world.dream(), &claim).await), Code::Unauthenticated);
    let content = payment_of(&world, &placed.order, alice.openid(), "4200000000202601010000000001");
    for trouble in [
        "probe",
        "wrong_signature",
        "forged",
        "unknown_serial",
        "unsigned",
        "stale",
        "tampered",
        "undecryptable",
        "not_json",
    ] {
        let notify = world.wechat_pay().seal("TRANSACTION.SUCCESS", &content, Some(trouble));
        assert_eq!(code(settle(world.dream(), &notify).await), Code::Unauthenticated, "{trouble}");
    }
    assert_eq!(status(&world, &placed.order.order_id).await, OrderStatus::Pending);
    assert_eq!(alice.session().await.vip().await.unwrap().membership.level(), Level::Normal);
    let notify = world.wechat_pay().seal("TRANSACTION.SUCCESS", &content, None);
    assert_eq!(settle(world.dream(), &notify).await.unwrap(), Settled::Fulfilled);
    world.finish().await;
});

on_every_backend!(a_payment_that_is_not_the_orders_is_refused_and_raises_an_alarm, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let placed = recharges(&alice, 50).await;
    let other = recharges(&alice, 60).await;
    let content = payment_of(&world, &placed.order, alice.openid(), "4200000000202601010000000001");
    for lie in ["wrong_amount", "wrong_currency", "wrong_mchid", "wrong_appid", "wrong_payer"] {
        let notify = world.wechat_pay().seal("TRANSACTION.SUCCESS", &content, Some(lie));
        let alarms = Alarms::listen();
        assert_eq!(code(settle(world.dream(), &notify).await), Code::Forbidden, "{lie}");
        assert_eq!(alarms.heard(), 1, "{lie}");
    }
    let stranger = world.wechat_pay().seal("TRANSACTION.SUCCESS", &content, Some("wrong_order"));
    assert_eq!(code(settle(world.dream(), &stranger).await), Code::OrderNotFound);
    assert_eq!(
        (alice.points().await, status(&world, &placed.order.order_id).await),
        (0, OrderStatus::Pending)
    );

    let notify = world.wechat_pay().seal("TRANSACTION.SUCCESS", &content, None);
    assert_eq!(settle(world.dream(), &notify).await.unwrap(), Settled::Fulfilled);
    // One payment pays one order.
    let again = payment_of(&world, &other.order, alice.openid(), "4200000000202601010000000001");
    let again = world.wechat_pay().seal("TRANSACTION.SUCCESS", &again, None);
    let alarms = Alarms::listen();
    assert_eq!(code(settle(world.dream(), &again).await), Code::Forbidden);
    assert_eq!((alarms.heard(), alice.points().await), (1, 50));
    world.finish().await;
});

on_every_backend!(a_lifetime_plan_gives_svip_and_a_month_after_a_year_comes_on_top, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let start = world.now();
    bought_plan(&world, &alice, "vip_year").await;
    world.clock().advance(DAY);
    bought_plan(&world, &alice, "vip_month").await;
    let info = alice.session().await.vip().await.unwrap();
    assert_eq!(info.membership.expires_at(), Some(start.plus_days(395)));
    assert_eq!((info.membership.level(), info.remaining_days), (Level::Vip, 394));
    assert_eq!(alice.session().await.vip().await.unwrap(), info, "as often as one asks");

    let bob = world.user("bob").await;
    bought_plan(&world, &bob, "svip_lifetime").await;
    assert_eq!(bob.session().await.vip().await.unwrap().membership.level(), Level::Svip);
    let lower = bob.session().await.purchase(&plan("vip_month"), WECHAT, None).await;
    assert_eq!(code(lower), Code::VipHigherActive);
    assert_eq!(
        code(bob.session().await.purchase(&plan("vip_decade"), WECHAT, None).await),
        Code::PlanNotFound
    );
    world.finish().await;
});

on_every_backend!(what_was_paid_is_given_though_a_higher_level_came_between, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let month = buys(&alice, "vip_month").await;
    bought_plan(&world, &alice, "svip_lifetime").await;
    let before = alice.session().await.vip().await.unwrap().membership;
    pays(&world, &month);
    told(&world).await;
    let after = alice.session().await.vip().await.unwrap().membership;
    assert_eq!((after.level(), after.expires_at()), (Level::Svip, before.expires_at()));
    // It waits: all of its days follow.
    assert_eq!(after.vip_until(), before.expires_at().map(|until| until.plus_days(30)));
    let paid = kept(&world, &month.order.order_id).await;
    assert_eq!(paid.state.payment().unwrap().vip_expire_at, after.vip_until());
    world.finish().await;
});

on_every_backend!(a_paid_order_is_shown_paid_at_once_by_every_node, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let (other, _worker) = world.another_node().await;
    let placed = recharges(&alice, 5).await;
    let id = &placed.order.order_id;
    let on_other = async || other.session(&alice.bearer()).await.unwrap().order(id).await.unwrap();
    assert_eq!(alice.session().await.order(id).await.unwrap().state.status(), OrderStatus::Pending);
    assert_eq!(on_other().await.state.status(), OrderStatus::Pending);
    pays(&world, &placed);
    told(&world).await;
    assert_eq!(alice.session().await.order(id).await.unwrap().state.status(), OrderStatus::Paid);
    assert_eq!(on_other().await.state.status(), OrderStatus::Paid);
    assert_eq!(other.session(&alice.bearer()).await.unwrap().balance().await.unwrap().balance.get(), 5);
    // The same word on the other node finds the order paid.
    let notify = world.wechat_pay().sealed_payment(id.as_str(), None).unwrap();
    assert_eq!(settle(&other, &notify).await.unwrap(), Settled::Before);
    assert_eq!((alice.points().await, fulfilments(&world).await), (5, 1));
    world.finish().await;
});

on_every_backend!(a_payment_undoes_nothing_that_was_changed_meanwhile, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let (other, _worker) = world.another_node().await;
    let placed = buys(&alice, "vip_month").await;
    // Every node has seen the user as it was.
    for node in [world.dream(), &other] {
        node.session(&alice.bearer()).await.unwrap().me().await.unwrap();
    }
    let rename = dream_core::ProfileUpdate {
        nick_name: Some("a new name".parse().unwrap()),
        ..dream_core::ProfileUpdate::default()
    };
    other.session(&alice.bearer()).await.unwrap().update_profile(rename).await.unwrap();
    grant(&world, &alice, 77).await;
    pays(&world, &placed);
    told(&world).await;
    for node in [world.dream(), &other] {
        let me = node.session(&alice.bearer()).await.unwrap().me().await.unwrap();
        assert_eq!((me.nick_name.as_deref(), me.balance.get()), (Some("a new name"), 77));
        assert_eq!(me.membership.level(), Level::Vip);
    }
    world.finish().await;
});

on_every_backend!(somebody_elses_order_is_not_there, |backend| async move {
    let world = shop(&backend).await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    let id = buys(&alice, "vip_month").await.order.order_id;
    let me = bob.session().await;
    assert_eq!(code(me.order(&id).await), Code::OrderNotFound);
    assert_eq!(code(me.pay_order(&id).await), Code::OrderNotFound);
    assert_eq!(code(me.cancel_order(&id).await), Code::OrderNotFound);
    assert_eq!(me.orders(None, None, &PageRequest::default()).await.unwrap().items, []);
    assert_eq!(status(&world, &id).await, OrderStatus::Pending);
    world.finish().await;
});

on_every_backend!(an_order_can_be_paid_again_and_again_until_its_time_is_over, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    world.wechat_pay().faults().next(operation::PREPAY, Fault::html(502));
    world.wechat_pay().faults().next_n(operation::PREPAY, 20, Fault::html(502));
    let refused = alice.session().await.recharge(points(5), WECHAT, None).await;
    assert_eq!(code(refused), Code::UpstreamError);
    world.wechat_pay().faults().clear();
    let orders = alice.session().await.orders(None, None, &PageRequest::default()).await.unwrap();
    let [order] = orders.items.as_slice() else { panic!("the order stands: {orders:?}") };
    let id = &order.order_id;
    let first = alice.session().await.pay_order(id).await.unwrap();
    world.clock().advance(Duration::from_mins(29));
    let second = alice.session().await.pay_order(id).await.unwrap();
    assert_eq!(first.order, second.order);
    world.clock().advance(Duration::from_mins(1));
    assert_eq!(code(alice.session().await.pay_order(id).await), Code::OrderNotPayable);
    assert!(world.wechat_pay().pay(id.as_str(), &second.pay).is_ok(), "paid in the last moment");
    assert_eq!(alice.session().await.order(id).await.unwrap().state.status(), OrderStatus::Paid);
    world.settle().await;
    assert_eq!(code(alice.session().await.pay_order(id).await), Code::OrderNotPayable);
    assert_eq!(code(alice.session().await.cancel_order(id).await), Code::OrderNotPayable);
    world.finish().await;
});

on_every_backend!(a_cancelled_order_can_no_longer_be_paid, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let placed = recharges(&alice, 5).await;
    let id = &placed.order.order_id;
    let order = alice.session().await.cancel_order(id).await.unwrap();
    assert_eq!(order.state.status(), OrderStatus::Cancelled);
    assert_eq!(world.wechat_pay().pay(id.as_str(), &placed.pay), Err(CannotPay::NotPayable));
    assert_eq!(code(alice.session().await.pay_order(id).await), Code::OrderNotPayable);
    assert_eq!(code(alice.session().await.cancel_order(id).await), Code::OrderNotPayable);
    assert!(world.waiting().await.is_empty(), "nobody looks after it any more");
    world.finish().await;
});

on_every_backend!(a_payment_that_crosses_a_cancellation_wins, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    for moment in ["pay_before", "pay_after"] {
        let placed = recharges(&alice, 5).await;
        world.wechat_pay().faults().next(operation::CLOSE, Fault::special(moment));
        let cancelled = alice.session().await.cancel_order(&placed.order.order_id).await;
        let now = status(&world, &placed.order.order_id).await;
        match moment {
            "pay_before" => assert_eq!((code(cancelled), now), (Code::OrderNotPayable, OrderStatus::Paid)),
            // Who comes after the closing cannot pay.
            _ => assert_eq!(now, OrderStatus::Cancelled),
        }
    }
    assert_eq!(alice.points().await, 5);
    // An unreachable platform leaves it waiting, since nobody knows whether it was paid.
    let placed = recharges(&alice, 5).await;
    world.wechat_pay().faults().always(operation::CLOSE, Fault::Drop);
    let unsure = code(alice.session().await.cancel_order(&placed.order.order_id).await);
    assert!(matches!(unsure, Code::UpstreamError | Code::UpstreamTimeout), "{unsure}");
    assert_eq!(status(&world, &placed.order.order_id).await, OrderStatus::Pending);
    world.wechat_pay().faults().clear();
    world.finish().await;
});

on_every_backend!(a_payment_confirmed_after_the_cancellation_is_fulfilled, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let placed = buys(&alice, "vip_month").await;
    let id = &placed.order.order_id;
    alice.session().await.cancel_order(id).await.unwrap();
    let content = payment_of(&world, &placed.order, alice.openid(), "4200000000202601010000000001");
    let notify = world.wechat_pay().seal("TRANSACTION.SUCCESS", &content, None);
    assert_eq!(settle(world.dream(), &notify).await.unwrap(), Settled::Fulfilled);
    assert_eq!(status(&world, id).await, OrderStatus::Paid);
    assert_eq!(alice.session().await.vip().await.unwrap().membership.level(), Level::Vip);
    assert_eq!(settle(world.dream(), &notify).await.unwrap(), Settled::Before);
    world.finish().await;
});

on_every_backend!(
    an_order_that_nobody_pays_is_looked_up_less_and_less_often_and_then_closed,
    |backend| async move {
        let world = shop(&backend).await;
        let alice = world.alice().await;
        let id = recharges(&alice, 5).await.order.order_id;
        let mut looks = Vec::new();
        let mut passed = 0;
        for at in [14, 15, 44, 45, 104, 105, 284, 285, 884, 885, 1484, 1485, 1799] {
            world.pass(Duration::from_secs(at - passed)).await;
            passed = at;
            looks.push(world.wechat_pay().calls(operation::QUERY));
        }
        assert_eq!(looks, [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]);
        assert_eq!(
            (status(&world, &id).await, world.wechat_pay().calls(operation::CLOSE)),
            (OrderStatus::Pending, 0)
        );
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(
            (status(&world, &id).await, world.wechat_pay().calls(operation::CLOSE)),
            (OrderStatus::Cancelled, 1)
        );
        assert!(world.waiting().await.is_empty());
        world.finish().await;
    }
);

on_every_backend!(a_payment_that_nobody_told_is_found_by_looking, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    // By the schedule.
    let first = recharges(&alice, 5).await;
    pays(&world, &first);
    world.pass(Duration::from_secs(15)).await;
    assert_eq!((status(&world, &first.order.order_id).await, alice.points().await), (OrderStatus::Paid, 5));
    // At once, by whoever looks at the order.
    let second = recharges(&alice, 7).await;
    pays(&world, &second);
    let seen = alice.session().await.order(&second.order.order_id).await.unwrap();
    assert_eq!((seen.state.status(), alice.points().await), (OrderStatus::Paid, 12));
    // And just before the order would have been closed.
    let third = recharges(&alice, 9).await;
    world.pass(Duration::from_secs(1790)).await;
    pays(&world, &third);
    world.pass(Duration::from_secs(10)).await;
    assert_eq!((status(&world, &third.order.order_id).await, alice.points().await), (OrderStatus::Paid, 21));
    assert_eq!(world.wechat_pay().notify_log(), [], "nobody told us anything");
    world.finish().await;
});

on_every_backend!(who_looks_again_and_again_does_not_make_us_ask_each_time, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let id = recharges(&alice, 5).await.order.order_id;
    let me = alice.session().await;
    join_all((0..20).map(|_| me.order(&id))).await;
    assert_eq!(world.wechat_pay().calls(operation::QUERY), 1);
    // A platform that is down is no reason to show nothing.
    world.wechat_pay().faults().always(operation::QUERY, Fault::html(502));
    world.clock().advance(Duration::from_secs(3));
    assert_eq!(me.order(&id).await.unwrap().state.status(), OrderStatus::Pending);
    world.wechat_pay().faults().clear();
    world.finish().await;
});

on_every_backend!(payments_of_a_day_of_downtime_are_made_good, |backend| async move {
    let world = shop(&backend).await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    let month = buys(&alice, "vip_month").await;
    let paid = recharges(&alice, 5).await;
    let unpaid = recharges(&bob, 6).await;
    world.clock().advance(Duration::from_mins(1));
    pays(&world, &month);
    let payment = pays(&world, &paid);
    world.clock().advance(DAY + Duration::from_hours(1));
    // Nobody is told, and the first thing that happens after the start is the worker's round.
    world.work().await;
    let order = kept(&world, &paid.order.order_id).await;
    assert_eq!(order.state.payment().unwrap().paid_at, payment.paid_at, "it was paid in time");
    assert_eq!(status(&world, &month.order.order_id).await, OrderStatus::Paid);
    assert_eq!(status(&world, &unpaid.order.order_id).await, OrderStatus::Cancelled);
    assert_eq!((alice.points().await, bob.points().await), (5, 0));
    world.finish().await;
});

on_every_backend!(a_platform_in_trouble_is_asked_until_it_answers, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let paid = recharges(&alice, 5).await;
    let unpaid = recharges(&alice, 6).await;
    pays(&world, &paid);
    world.wechat_pay().faults().always(operation::QUERY, Fault::html(502));
    world.wechat_pay().faults().always(operation::CLOSE, Fault::html(502));
    // Longer than an order may be paid. Each query retries on the system's clock, so two hours would be slow.
    world.pass(Duration::from_mins(40)).await;
    for placed in [&paid, &unpaid] {
        assert_eq!(status(&world, &placed.order.order_id).await, OrderStatus::Pending, "nothing is guessed");
    }
    world.wechat_pay().faults().clear();
    world.settle().await;
    assert_eq!(status(&world, &paid.order.order_id).await, OrderStatus::Paid);
    assert_eq!(status(&world, &unpaid.order.order_id).await, OrderStatus::Cancelled);
    world.finish().await;
});

on_every_backend!(a_notify_is_answered_only_once_it_took_effect, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let placed = recharges(&alice, 5).await;
    pays(&world, &placed);
    // The table is away: as with any trouble of ours, the platform has to tell again.
    world.database().execute("ALTER TABLE fulfilments RENAME TO mislaid").await;
    let attempts = world.wechat_pay().deliver_due().await;
    assert!(attempts.iter().all(|attempt| !attempt.taken()), "{attempts:?}");
    assert_eq!(
        (status(&world, &placed.order.order_id).await, alice.points().await),
        (OrderStatus::Pending, 0)
    );
    world.database().execute("ALTER TABLE mislaid RENAME TO fulfilments").await;
    world.clock().advance(Duration::from_secs(15));
    told(&world).await;
    assert_eq!((status(&world, &placed.order.order_id).await, alice.points().await), (OrderStatus::Paid, 5));
    world.finish().await;
});

on_every_backend!(a_second_payment_goes_back_by_itself, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let placed = recharges(&alice, 50).await;
    let id = &placed.order.order_id;
    let first = pays(&world, &placed);
    told(&world).await;
    let second = world.wechat_pay().pay_again(id.as_str()).unwrap();
    told(&world).await;
    let promised = refunds(&world, id).await;
    let [refund] = promised.as_slice() else { panic!("one refund: {promised:?}") };
    assert_eq!(
        (&refund.transaction_id, refund.amount.get(), refund.surplus),
        (&second.transaction_id, 500, true)
    );
    // Told again, it goes back once.
    let notify = world.wechat_pay().sealed_payment(id.as_str(), None).unwrap();
    assert_eq!(settle(world.dream(), &notify).await.unwrap(), Settled::Before);
    world.settle().await;
    let given = world.wechat_pay().refunds();
    let given: Vec<_> =
        given.iter().map(|refund| (refund.transaction_id.as_str(), refund.amount_fen)).collect();
    assert_eq!(given, [(second.transaction_id.as_str(), 500)]);
    let order = kept(&world, id).await;
    assert_eq!((order.state.status(), order.refunded.get()), (OrderStatus::Paid, 0));
    assert_eq!(order.state.payment().unwrap().transaction_id, first.transaction_id);
    assert_eq!((alice.points().await, fulfilments(&world).await), (50, 1));
    world.finish().await;
});

on_every_backend!(what_somebody_paid_who_is_gone_goes_back, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let placed = recharges(&alice, 50).await;
    let id = &placed.order.order_id;
    pays(&world, &placed);
    alice.session().await.delete_account().await.unwrap();
    world.settle().await;
    assert_eq!(fulfilments(&world).await, 0);
    assert_eq!(
        world.wechat_pay().refunds().iter().map(|refund| refund.amount_fen).collect::<Vec<_>>(),
        [500]
    );
    assert!(refunds(&world, id).await.iter().all(|refund| refund.surplus));
    world.finish().await;
});

on_every_backend!(a_repeated_purchase_gets_the_first_order, |backend| async move {
    let world = shop(&backend).await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    let key = "the-key".parse().unwrap();
    let me = alice.session().await;
    let buy = async |dream: &Dream, number: i64| {
        dream.session(&alice.bearer()).await?.recharge(points(number), WECHAT, Some(&key)).await
    };
    // The first answer is lost to the platform's trouble, but the order stands.
    world.wechat_pay().faults().next_n(operation::PREPAY, 20, Fault::html(502));
    assert_eq!(code(buy(world.dream(), 5).await), Code::UpstreamError);
    world.wechat_pay().faults().clear();
    let (other, _worker) = world.another_node().await;
    let mut ids = Vec::new();
    for node in [world.dream(), &other, world.dream()] {
        ids.push(buy(node, 5).await.unwrap().order.order_id);
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(code(buy(world.dream(), 6).await), Code::IdempotencyConflict);
    // A key is one's own, and one of its kind of request.
    let theirs = bob.session().await.recharge(points(6), WECHAT, Some(&key)).await.unwrap();
    let month = me.purchase(&plan("vip_month"), WECHAT, Some(&key)).await.unwrap();
    assert!(theirs.order.order_id != ids[0] && month.order.order_id != ids[0]);
    let together = "together".parse().unwrap();
    let at_once = join_all((0..20).map(|_| me.recharge(points(8), WECHAT, Some(&together)))).await;
    let made: std::collections::BTreeSet<_> =
        at_once.into_iter().map(|placed| placed.unwrap().order.order_id.to_string()).collect();
    assert_eq!(made.len(), 1);
    assert_eq!(world.database().number("SELECT count(*) FROM orders").await, 4);
    // What was refused has not used its key up.
    bought_plan(&world, &alice, "svip_lifetime").await;
    let lower = "lower".parse().unwrap();
    assert_eq!(code(me.purchase(&plan("vip_month"), WECHAT, Some(&lower)).await), Code::VipHigherActive);
    assert!(me.purchase(&plan("svip_lifetime"), WECHAT, Some(&lower)).await.is_ok());
    world.finish().await;
});

on_every_backend!(a_price_is_the_one_at_the_time_of_the_order, |backend| async move {
    let world = shop(&backend).await;
    let alice = world.alice().await;
    let before = buys(&alice, "vip_month").await;
    world
        .database()
        .execute("UPDATE plans SET current_price = 5000, duration_days = 1 WHERE plan_id = 'vip_month'")
        .await;
    let again = alice.session().await.pay_order(&before.order.order_id).await.unwrap();
    assert_eq!(pays(&world, &again).amount_fen, 1999);
    told(&world).await;
    assert_eq!(alice.session().await.vip().await.unwrap().remaining_days, 30);
    let after = buys(&alice, "vip_month").await;
    assert_eq!(after.order.amount.get(), 5000);
    world.finish().await;
});

on_every_backend!(an_admin_sees_looks_up_and_closes_orders, |backend| async move {
    let world = shop(&backend).await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    let admin = world.admin().await;
    let lost = recharges(&alice, 5).await;
    let idle = buys(&bob, "vip_month").await;
    pays(&world, &lost);
    assert_eq!(admin.query_order(&lost.order.order_id).await.unwrap().state.status(), OrderStatus::Paid);
    let filter = |status, user| dream_core::orders::OrderFilter { status, kind: None, user };
    let waiting =
        admin.orders(&filter(Some(OrderStatus::Pending), None), &PageRequest::default()).await.unwrap();
    assert_eq!(waiting.items.iter().map(|order| &order.order_id).collect::<Vec<_>>(), [&idle.order.order_id]);
    let hers = admin.orders(&filter(None, Some(alice.id())), &PageRequest::default()).await.unwrap();
    assert_eq!(hers.items.len(), 1);
    assert_eq!(code(admin.close_order(&lost.order.order_id, None).await), Code::InvalidState);
    let closed = admin.close_order(&idle.order.order_id, Some("a test")).await.unwrap();
    assert_eq!(closed.state.status(), OrderStatus::Cancelled);
    let log = admin.audit_log(&dream_core::AuditFilter::default(), &PageRequest::default()).await.unwrap();
    assert_eq!(log.items[0].action, "order.close");
    world.finish().await;
});

on_every_backend!(without_a_channel_nothing_can_be_bought, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    assert_eq!(code(alice.session().await.recharge(points(5), WECHAT, None).await), Code::Unavailable);
    assert_eq!(world.database().number("SELECT count(*) FROM orders").await, 0);
    world.finish().await;
});
