//! What happens is told to whoever listens, at least once.

use std::collections::BTreeSet;
use std::time::Duration;

use dream_core::events::{Delivery, Event, Events, LEASE, VipEnding};
use dream_core::kernel::JobId;
use dream_core::orders::{OrderStatus, RechargePoints, WECHAT};
use dream_core::ports::JobState;
use dream_core::vip::{Level, VipTerm};
use dream_core::{Code, Dream};
use dream_testkit::backends::Backend;
use dream_testkit::on_every_backend;
use dream_testkit::world::{Actor, TestDream, WorldOptions};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::support::{SOON, code};

const DAY: Duration = Duration::from_hours(24);

fn listening(backend: &Backend) -> WorldOptions {
    TestDream::on(backend).settings(|settings| settings.keep_events = true)
}

fn listen(world: &TestDream) -> Events {
    world.dream().events().expect("events are kept")
}

/// The next event, which must be there already or come at once.
async fn told(events: &mut Events) -> Delivery {
    timeout(SOON, events.next()).await.expect("an event")
}

async fn is_quiet(world: &TestDream) -> bool {
    let due = format!(
        "SELECT count(*) FROM outbox WHERE kind LIKE 'event.%' AND due_at <= {} AND \
         (leased_until IS NULL OR leased_until <= {})",
        world.now().as_micros(),
        world.now().as_micros()
    );
    world.database().number(&due).await == 0
}

fn job(delivery: &Delivery) -> (JobId, JobState) {
    let Event::JobFinished(job) = delivery.event() else { unreachable!("{delivery:?}") };
    (job.job_id.clone(), job.state)
}

fn ending(delivery: &Delivery) -> VipEnding {
    let Event::VipEnding(ending) = delivery.event() else { unreachable!("{delivery:?}") };
    *ending
}

async fn buys_points(world: &TestDream, who: &Actor, points: i64) -> dream_core::kernel::OrderId {
    let points = RechargePoints::new(points).expect("a number of points");
    let placed = who.session().await.recharge(points, WECHAT, None).await.expect("an order");
    let id = placed.order.order_id;
    world.wechat_pay().pay(id.as_str(), &placed.pay).expect("a payment");
    world.wechat_pay().deliver_due().await;
    id
}

on_every_backend!(a_paid_order_and_a_finished_job_are_told_once_each, |backend| async move {
    let world = listening(&backend).taking_payments().start().await;
    let mut events = listen(&world);
    let alice = world.alice().await;

    let order = buys_points(&world, &alice, 50).await;
    let delivery = told(&mut events).await;
    match delivery.event() {
        Event::OrderPaid(paid) => {
            assert_eq!((&paid.order_id, paid.state.status()), (&order, OrderStatus::Paid));
            assert_eq!(paid.user, alice.id());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(alice.points().await, 50, "what was bought is there when it is told");
    delivery.done().await.unwrap();
    // The same notify once more is no second payment.
    let notice = world.wechat_pay().notices()[0].number;
    world.wechat_pay().deliver_copies(notice, 3).await;

    let good = alice.generates("a lighthouse").await.job_id;
    world.settle().await;
    let delivery = told(&mut events).await;
    assert_eq!(job(&delivery), (good, JobState::Succeeded));
    delivery.done().await.unwrap();

    let withdrawn = alice.generates("a mistake").await.job_id;
    alice.session().await.cancel_job(&withdrawn).await.unwrap();
    let delivery = told(&mut events).await;
    assert_eq!(job(&delivery), (withdrawn, JobState::Canceled));
    delivery.done().await.unwrap();

    world.pass(DAY).await;
    assert!(is_quiet(&world).await, "nothing is told twice once it is done");
    world.finish().await;
});

on_every_backend!(what_nobody_is_done_with_is_told_again, |backend| async move {
    let world = listening(&backend).start().await;
    let alice = world.alice().await;
    let id = alice.generates("a lighthouse").await.job_id;
    world.settle().await;

    let mut events = listen(&world);
    drop(told(&mut events).await);
    assert!(is_quiet(&world).await, "it is leased");
    world.clock().advance(LEASE);
    let again = told(&mut events).await;
    assert_eq!(job(&again).0, id);
    again.again_after(Duration::from_secs(30)).await.unwrap();
    assert!(is_quiet(&world).await, "it was put off");
    world.clock().advance(Duration::from_secs(30));
    told(&mut events).await.done().await.unwrap();
    world.clock().advance(LEASE);
    assert!(is_quiet(&world).await);
    world.finish().await;
});

on_every_backend!(a_listener_that_comes_too_late_for_its_lease_takes_nothing_away, |backend| async move {
    let world = listening(&backend).start().await;
    let alice = world.alice().await;
    alice.generates("a lighthouse").await;
    world.settle().await;
    let mut events = listen(&world);
    let slow = told(&mut events).await;
    world.clock().advance(LEASE);
    let other = told(&mut events).await;
    slow.done().await.unwrap();
    drop(other);
    world.clock().advance(LEASE);
    told(&mut events).await.done().await.unwrap();
    world.finish().await;
});

on_every_backend!(what_happened_while_nobody_listened_is_told_on_any_node, |backend| async move {
    let world = listening(&backend).start().await;
    let alice = world.alice().await;
    let id = alice.generates("a lighthouse").await.job_id;
    world.settle().await;
    world.pass(30 * DAY).await;
    let (other_node, _worker) = world.another_node().await;
    let mut events = other_node.events().unwrap();
    let delivery = told(&mut events).await;
    assert_eq!(job(&delivery).0, id);
    delivery.done().await.unwrap();
    world.finish().await;
});

on_every_backend!(whoever_waits_is_told_at_once, |backend| async move {
    let world = listening(&backend).start().await;
    let mut events = listen(&world);
    let alice = world.alice().await;
    let waiting = tokio::spawn(async move {
        let delivery = events.next().await;
        let id = job(&delivery).0;
        delivery.done().await.unwrap();
        id
    });
    let id = alice.generates("a mistake").await.job_id;
    alice.session().await.cancel_job(&id).await.unwrap();
    // The clock of this world stands, so nothing but the news can have told it.
    assert_eq!(timeout(SOON, waiting).await.expect("it is told").unwrap(), id);
    world.finish().await;
});

on_every_backend!(listeners_share_the_events, |backend| async move {
    let world = listening(&backend).daily_quota(50).start().await;
    let alice = world.alice().await;
    let mut ids = BTreeSet::new();
    for n in 0..12 {
        let id = alice.generates(&format!("picture {n}")).await.job_id;
        alice.session().await.cancel_job(&id).await.unwrap();
        ids.insert(id.to_string());
    }
    let (other_node, _worker) = world.another_node().await;
    let hear = |dream: &Dream| {
        let mut events = dream.events().unwrap();
        async move {
            let mut heard = Vec::new();
            for _ in 0..6 {
                let delivery = told(&mut events).await;
                heard.push(job(&delivery).0.to_string());
                delivery.done().await.unwrap();
            }
            heard
        }
    };
    let (here, there) = tokio::join!(hear(world.dream()), hear(&other_node));
    assert_eq!(here.len() + there.len(), ids.len());
    assert_eq!(here.into_iter().chain(there).collect::<BTreeSet<_>>(), ids, "each was told to one of them");
    world.finish().await;
});

on_every_backend!(a_level_that_is_about_to_end_is_told_in_time, |backend| async move {
    let world = listening(&backend).start().await;
    let mut events = listen(&world);
    let alice = world.alice().await;
    let admin = world.admin().await;
    let start = world.now();
    admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(30), None).await.unwrap();
    world.pass(Duration::from_secs(27 * 86_400 - 1)).await;
    assert!(is_quiet(&world).await, "three days before, and not earlier");
    world.pass(Duration::from_secs(1)).await;
    let delivery = told(&mut events).await;
    assert_eq!(ending(&delivery), VipEnding { user: alice.id(), level: Level::Vip, at: start.plus_days(30) });
    delivery.done().await.unwrap();
    // It is lengthened: the new end is told of when it is near.
    admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(30), None).await.unwrap();
    assert!(is_quiet(&world).await);
    world.pass(30 * DAY).await;
    assert_eq!(ending(&told(&mut events).await).at, start.plus_days(60));
    world.finish().await;
});

on_every_backend!(a_level_that_was_lengthened_or_taken_away_is_not_said_to_end, |backend| async move {
    let world = listening(&backend).start().await;
    let alice = world.alice().await;
    let bob = world.user("bob").await;
    let admin = world.admin().await;
    let start = world.now();
    for who in [&alice, &bob] {
        admin.set_vip(who.id(), Level::Vip, VipTerm::Days(10), None).await.unwrap();
    }
    admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(10), None).await.unwrap();
    admin.cancel_vip(bob.id(), None).await.unwrap();
    world.pass(8 * DAY).await;
    let mut events = listen(&world);
    let mut waiting = Box::pin(events.next());
    assert!(futures_util::poll!(&mut waiting).is_pending());
    // The rows are looked at and put right in the background of the wait.
    let world_is_right = async {
        while !is_quiet(&world).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        delivery = &mut waiting => panic!("{delivery:?}"),
        () = world_is_right => {}
    }
    world.clock().advance(9 * DAY);
    // Where that step fell between the look at the rows and the wait, the wait begins behind it.
    let time_goes_on = async {
        loop {
            tokio::task::yield_now().await;
            world.clock().advance(Duration::from_millis(1));
        }
    };
    let told = async {
        tokio::select! {
            delivery = waiting => delivery,
            () = time_goes_on => unreachable!("it never ends"),
        }
    };
    let delivery = timeout(SOON, told).await.expect("the end of the longer one");
    assert_eq!(ending(&delivery), VipEnding { user: alice.id(), level: Level::Vip, at: start.plus_days(20) });
    world.finish().await;
});

on_every_backend!(the_end_of_each_level_is_told_in_its_time, |backend| async move {
    let world = listening(&backend).start().await;
    let mut events = listen(&world);
    let alice = world.alice().await;
    let admin = world.admin().await;
    let start = world.now();
    admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(30), None).await.unwrap();
    admin.set_vip(alice.id(), Level::Svip, VipTerm::Days(10), None).await.unwrap();
    for (level, day) in [(Level::Svip, 10), (Level::Vip, 40)] {
        let at = start.plus_days(day);
        world.pass(at.minus(3 * DAY).since(world.now())).await;
        let delivery = told(&mut events).await;
        assert_eq!(ending(&delivery), VipEnding { user: alice.id(), level, at });
        delivery.done().await.unwrap();
    }
    world.finish().await;
});

on_every_backend!(a_payment_that_is_refused_is_no_event, |backend| async move {
    let world = listening(&backend).taking_payments().start().await;
    let alice = world.alice().await;
    let points = RechargePoints::new(50).unwrap();
    let placed = alice.session().await.recharge(points, WECHAT, None).await.unwrap();
    let id = placed.order.order_id;
    // Somebody else pays, which the platform never lets happen.
    world.wechat_pay().pay_as("o-mallory", id.as_str()).unwrap();
    world.wechat_pay().deliver_due().await;
    let kept = world.database().number("SELECT count(*) FROM outbox WHERE kind LIKE 'event.%'").await;
    assert_eq!((kept, alice.points().await), (0, 0));
});

on_every_backend!(nothing_is_kept_unless_somebody_will_listen, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let admin = world.admin().await;
    admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(1), None).await.unwrap();
    alice.generates("a lighthouse").await;
    world.settle().await;
    let kept = world.database().number("SELECT count(*) FROM outbox WHERE kind LIKE 'event.%'").await;
    assert_eq!(kept, 0);
    assert_eq!(code(world.dream().events()), Code::Internal);
    world.finish().await;
});

on_every_backend!(events_can_be_read_as_a_stream, |backend| async move {
    let world = listening(&backend).daily_quota(50).start().await;
    let alice = world.alice().await;
    for n in 0..3 {
        let id = alice.generates(&format!("picture {n}")).await.job_id;
        alice.session().await.cancel_job(&id).await.unwrap();
    }
    let events = listen(&world).into_stream().take(3).map(|delivery| job(&delivery).1);
    let states: Vec<JobState> = timeout(SOON, events.collect()).await.expect("three events");
    assert_eq!(states, [JobState::Canceled; 3]);
    world.finish().await;
});
