//! Many at once: whatever the order in which they come through, the outcome is that of some order.

use std::collections::BTreeMap;
use std::future::Future;

use dream_core::kernel::Points;
use dream_core::orders::{OrderStatus, Settled, WECHAT};
use dream_core::{AdminKey, Code, Dream};
use dream_testkit::on_every_backend;
use dream_testkit::world::{ADMIN_KEY, Actor, TestDream, draft};
use futures_util::future::join_all;

use crate::shop::{
    fulfilments, kept, ledger, open, pays, points, recharges, settle, shop, shop_without_limits, status,
};
use crate::support::{grant, login};

/// Does them all at the same time, on all threads.
async fn at_once<T: Send + 'static>(
    work: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = work.into_iter().map(tokio::spawn).collect();
    join_all(tasks).await.into_iter().map(|done| done.expect("no panic")).collect()
}

/// How often each of these came.
fn counted<T: Ord>(all: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    counts
}

on_every_backend!(fifty_copies_of_a_notify_at_once_fulfil_once, |backend| async move {
    let world = shop(&backend).await;
    let (other, _worker) = world.another_node().await;
    let alice = world.alice().await;
    for round in 1..=5 {
        let placed = recharges(&alice, 10).await;
        let id = &placed.order.order_id;
        let payment = pays(&world, &placed);
        let told: Vec<(Dream, _)> = (0..50)
            .map(|copy| {
                let node = if copy % 2 == 0 { world.dream() } else { &other };
                (node.clone(), world.wechat_pay().sealed_payment(id.as_str(), None).unwrap())
            })
            .collect();
        let answers = at_once(told.into_iter().map(|(node, notify)| async move {
            match settle(&node, &notify).await {
                Ok(Settled::Fulfilled) => "fulfilled",
                Ok(Settled::Before) => "before",
                // The platform tells again.
                Err(error) if error.code() == Code::Unavailable => "again",
                Ok(Settled::SentBack) | Err(_) => "wrong",
            }
        }))
        .await;
        let answers = counted(answers);
        assert_eq!((answers.get("fulfilled"), answers.get("wrong")), (Some(&1), None), "{answers:?}");
        let order = kept(&world, id).await;
        assert_eq!(order.state.payment().unwrap().paid_at, payment.paid_at);
        assert_eq!((alice.points().await, fulfilments(&world).await), (10 * round, round));
    }
    world.finish().await;
});

on_every_backend!(of_a_thousand_who_spend_ten_points_at_once_ten_succeed, |backend| async move {
    let world = TestDream::on(&backend)
        .daily_quota(0)
        .settings(|settings| settings.sample_prices.draft = dream_core::kernel::Points::new(1))
        .start()
        .await;
    for round in 0..3 {
        let spender = world.user(&format!("spender-{round}")).await;
        grant(&world, &spender, 10).await;
        let me = std::sync::Arc::new(spender.session().await);
        let spends = (0..1000).map(|_| {
            let me = me.clone();
            async move {
                me.generate(&draft("a cat", 1), None, None).await.map(|_| ()).map_err(|error| error.code())
            }
        });
        let outcomes = counted(at_once(spends).await);
        assert_eq!(outcomes.get(&Ok(())), Some(&10), "{outcomes:?}");
        let refused = outcomes.keys().filter_map(|outcome| outcome.err());
        assert!(
            refused.clone().all(|code| matches!(code, Code::QuotaExceeded | Code::Unavailable)),
            "{outcomes:?}"
        );
        assert_eq!(spender.points().await, 0);
        let balances: Vec<i64> =
            ledger(&world, spender.id()).await.into_iter().map(|(_, after)| after).collect();
        assert_eq!(balances, (0..=10).rev().collect::<Vec<_>>());
    }
    world.finish().await;
});

on_every_backend!(
    of_a_hundred_generations_at_once_quota_and_points_allow_just_their_number,
    |backend| async move {
        let world = TestDream::on(&backend).daily_quota(4).start().await;
        let (other, _worker) = world.another_node().await;
        for round in 0..3 {
            let user = world.user(&format!("painter-{round}")).await;
            grant(&world, &user, 12).await;
            let mut calls = Vec::new();
            for call in 0..100 {
                let node = if call % 2 == 0 { world.dream() } else { &other };
                let me = node.session(&user.bearer()).await.unwrap();
                calls.push(async move {
                    let made = me.generate(&draft("a cat", 1), None, None).await;
                    made.map(|accepted| (accepted.charge.quota, accepted.charge.points.get()))
                        .map_err(|error| error.code())
                });
            }
            let outcomes = counted(at_once(calls).await);
            assert_eq!(
                (outcomes.get(&Ok((1, 0))), outcomes.get(&Ok((0, 2)))),
                (Some(&4), Some(&6)),
                "{outcomes:?}"
            );
            assert_eq!((user.used_today().await, user.points().await), (4, 0));
        }
        world.settle().await;
        assert_eq!(world.image_api().jobs().len(), 30, "one there for each here");
        world.finish().await;
    }
);

on_every_backend!(two_hundred_first_logins_at_once_make_one_user, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (other, _worker) = world.another_node().await;
    let openid = Actor::openid_of("somebody");
    let logins =
        (0..200).map(|call| {
            let node = if call % 2 == 0 { world.dream() } else { &other };
            let (guest, code) = (node.guest(), world.wechat().login_code(&openid));
            async move {
                guest.login(login(&code)).await.map(|entered| entered.user.id).map_err(|error| error.code())
            }
        });
    let outcomes = counted(at_once(logins.collect::<Vec<_>>()).await);
    let users: Vec<_> = outcomes.keys().filter_map(|outcome| outcome.ok()).collect();
    assert_eq!(users.len(), 1, "{outcomes:?}");
    assert!(
        outcomes.keys().filter_map(|outcome| outcome.err()).all(|code| code == Code::Unavailable),
        "{outcomes:?}"
    );
    assert_eq!(world.database().number("SELECT count(*) FROM users").await, 1);
    assert_eq!(world.database().number("SELECT count(*) FROM accounts").await, 1);
    world.finish().await;
});

on_every_backend!(fifty_recharges_paid_at_once_stand_in_one_line_of_balances, |backend| async move {
    let world = shop_without_limits(&backend).await;
    let (other, _worker) = world.another_node().await;
    let alice = world.alice().await;
    let mut notifies = Vec::new();
    for call in 0..50 {
        let placed = recharges(&alice, 10).await;
        pays(&world, &placed);
        let node = if call % 2 == 0 { world.dream() } else { &other };
        notifies.push((
            node.clone(),
            world.wechat_pay().sealed_payment(placed.order.order_id.as_str(), None).unwrap(),
        ));
    }
    at_once(notifies.into_iter().map(|(node, notify)| async move { drop(settle(&node, &notify).await) }))
        .await;
    world.settle().await;
    assert_eq!(alice.points().await, 500);
    let expected: Vec<_> = (1..=50).map(|number| (10, 10 * number)).collect();
    assert_eq!(ledger(&world, alice.id()).await, expected);
    world.finish().await;
});

on_every_backend!(paying_cancelling_and_looking_at_once_agree_on_one_end, |backend| async move {
    let world = shop(&backend).await;
    let (other, _worker) = world.another_node().await;
    let alice = world.alice().await;
    let mut paid = 0;
    for round in 0..12 {
        let placed = recharges(&alice, 10).await;
        let id = placed.order.order_id.clone();
        let session = async |node: &Dream| node.session(&alice.bearer()).await.unwrap();
        let (one, two, three) = (session(world.dream()).await, session(&other).await, session(&other).await);
        let canceller = tokio::spawn({
            let id = id.clone();
            async move { one.cancel_order(&id).await.is_ok() }
        });
        let second_canceller = tokio::spawn({
            let id = id.clone();
            async move { two.cancel_order(&id).await.is_ok() }
        });
        let looker = tokio::spawn({
            let id = id.clone();
            async move { three.order(&id).await.is_ok() }
        });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        let payment = world.wechat_pay().pay(id.as_str(), &placed.pay);
        world.wechat_pay().deliver_due().await;
        let (_, _, looked) =
            (canceller.await.unwrap(), second_canceller.await.unwrap(), looker.await.unwrap());
        assert!(looked);
        world.settle().await;
        let expected = if payment.is_ok() { OrderStatus::Paid } else { OrderStatus::Cancelled };
        assert_eq!(status(&world, &id).await, expected, "payment wins, and nothing else makes one paid");
        paid += i64::from(payment.is_ok());
    }
    assert_eq!((alice.points().await, fulfilments(&world).await), (10 * paid, paid));
    world.finish().await;
});

on_every_backend!(a_refund_and_spending_at_once_never_go_below_nothing, |backend| async move {
    let world = open(TestDream::on(&backend).daily_quota(0)).await;
    for round in 0..5 {
        let user = world.user(&format!("user-{round}")).await;
        let id = crate::shop::bought_points(&world, &user, 20).await;
        let me = std::sync::Arc::new(user.session().await);
        let spends = (0..20).map(|_| {
            let me = me.clone();
            async move { me.generate(&draft("a cat", 1), None, None).await.is_ok() }
        });
        let spends = tokio::spawn(at_once(spends.collect::<Vec<_>>()));
        let refunded = crate::shop::refund(&world, &id, None).await.is_ok();
        let spent = spends.await.unwrap().into_iter().filter(|accepted| *accepted).count();
        assert!(if refunded { spent == 0 } else { spent > 0 }, "{spent} spends, refunded: {refunded}");
        world.settle().await;
        assert!(user.points().await >= 0);
    }
    world.finish().await;
});

on_every_backend!(of_equal_purchases_on_two_nodes_at_once_one_is_made, |backend| async move {
    let world = shop(&backend).await;
    let (other, _worker) = world.another_node().await;
    let alice = world.alice().await;
    for round in 0..5 {
        let mut calls = Vec::new();
        for call in 0..20 {
            let node = if call % 2 == 0 { world.dream() } else { &other };
            let me = node.session(&alice.bearer()).await.unwrap();
            let key = format!("key-{round}").parse().unwrap();
            calls.push(async move {
                let placed = me.recharge(points(5), WECHAT, Some(&key)).await;
                placed.map(|placed| placed.order.order_id.to_string()).map_err(|error| error.code())
            });
        }
        let outcomes = counted(at_once(calls).await);
        assert_eq!(outcomes.keys().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    }
    assert_eq!(world.database().number("SELECT count(*) FROM orders").await, 5);
    world.finish().await;
});

on_every_backend!(adjustments_at_once_are_booked_as_if_one_came_after_the_other, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (other, _worker) = world.another_node().await;
    let (alice, bob) = (world.alice().await.id(), world.user("bob").await.id());
    let nobody = dream_core::kernel::UserId::new(1_000_000).unwrap();
    grant(&world, &world.alice().await, 10).await;
    // Of each ten: six take one of Alice's points, two give her one, one is for nobody, and one is Bob's.
    let mut wanted = Vec::new();
    for number in 0..200 {
        let node = if number % 3 == 0 { other.clone() } else { world.dream().clone() };
        let (user, points) = match number % 10 {
            0..6 => (alice, -1),
            6 | 7 => (alice, 1),
            8 => (nobody, 1),
            _ => (bob, 2),
        };
        wanted.push((node, user, points));
    }
    let outcomes = at_once(wanted.into_iter().map(|(node, user, points)| async move {
        let admin = node.admin(&AdminKey::new(ADMIN_KEY), None).await.unwrap();
        let after = admin.grant_points(user, Points::new(points), "at once").await;
        (user, points, after.map(|user| user.balance.get()).map_err(|error| error.code()))
    }))
    .await;
    let of =
        |user, points| outcomes.iter().filter(move |one| (one.0, one.1) == (user, points)).map(|one| one.2);
    assert!(of(nobody, 1).all(|outcome| outcome == Err(Code::UserNotFound)));
    assert!(of(bob, 2).chain(of(alice, 1)).all(|outcome| outcome.is_ok()));
    let taken = of(alice, -1).flatten().count();
    assert!(
        of(alice, -1)
            .all(|outcome| outcome.is_ok_and(|left| left >= 0) || outcome == Err(Code::InvalidState))
    );
    // What came in was 10 and 40; 120 were wanted, and whatever is left was not there when somebody was refused.
    let left = 50 - i64::try_from(taken).unwrap();
    assert!((0..=40).contains(&left), "{left}");
    let book = ledger(&world, alice).await;
    let mut before = 0;
    for &(amount, after) in &book {
        assert_eq!((before + amount, after >= 0), (after, true), "{book:?}");
        before = after;
    }
    assert_eq!(before, left);
    assert_eq!(ledger(&world, bob).await.last(), Some(&(2, 40)));
    let written = world.database().number("SELECT count(*) FROM audit_log WHERE reason = 'at once'").await;
    assert_eq!(written, 20 + 40 + i64::try_from(taken).unwrap());
    world.finish().await;
});
