//! Figures: what is kept as things happen is what one would count.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dream_core::characters::{CharacterUpdate, NewCharacter, PhotoRef, PhotoUpload};
use dream_core::gallery::{self, Publication};
use dream_core::jobs::{CharacterRef, GenerateRequest};
use dream_core::kernel::{Day, ImageId, OrderId, Points, Timestamp};
use dream_core::orders::{Placed, RechargePoints, WECHAT};
use dream_core::vip::{Level, VipTerm};
use dream_core::{Bucket, Code, Edge, UsageBucket, UsageQuery};
use dream_testkit::backends::Backend;
use dream_testkit::on_every_backend;
use dream_testkit::world::{Actor, TestDream, draft, polished};
use futures_util::future::join_all;

use crate::support::{code, grant};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn day(text: &str) -> Edge {
    Edge::On(text.parse::<Day>().expect("a day"))
}

async fn days(world: &TestDream, from: &str, to: &str) -> Vec<UsageBucket> {
    let query = UsageQuery { from: Some(day(from)), to: Some(day(to)), bucket: Bucket::Day };
    world.admin().await.usage(&query).await.expect("buckets")
}

fn of(category: &str) -> GenerateRequest {
    GenerateRequest { template: Some(category.parse().expect("an id")), ..draft("a picture", 1) }
}

async fn recharge(user: &Actor, points: i64) -> Placed {
    let points = RechargePoints::new(points).expect("a number of points");
    user.session().await.recharge(points, WECHAT, None).await.expect("an order")
}

/// Pays the order, and lets the notice take effect.
async fn pay(world: &TestDream, placed: &Placed) -> OrderId {
    let id = placed.order.order_id.clone();
    world.wechat_pay().pay(id.as_str(), &placed.pay).expect("it can be paid");
    world.wechat_pay().deliver_due().await;
    id
}

on_every_backend!(a_day_of_usage_begins_at_midnight_in_shanghai, |backend| async move {
    let world = TestDream::on(&backend).taking_payments().start().await;
    let alice = world.alice().await;
    alice.generates("in the morning").await;
    world.clock().set(at("2026-01-01T15:59:59Z"));
    let bob = world.user("bob").await;
    bob.generate(&polished("[fail] just before midnight", 1)).await.unwrap();
    let placed = recharge(&alice, 100).await;
    world.work().await;
    world.clock().set(at("2026-01-01T16:00:00Z"));
    world.user("carol").await;
    alice.generates("just after midnight").await;
    pay(&world, &placed).await;
    world.settle().await;

    let buckets = days(&world, "2026-01-01", "2026-01-02").await;
    let [first, second] = buckets.as_slice() else { panic!("{buckets:?}") };
    assert_eq!((first.at, second.at), (at("2025-12-31T16:00:00Z"), at("2026-01-01T16:00:00Z")));
    assert_eq!((first.new_users, first.active_users, first.generations), (2, 2, 2));
    assert_eq!((second.new_users, second.active_users, second.generations), (1, 2, 1));
    // What ends on the next day counts there, and money on the day on which it came.
    assert_eq!((first.paid_orders, first.revenue.get()), (0, 0));
    assert_eq!((second.paid_orders, second.revenue), (1, placed.order.amount));
    assert_eq!((first.succeeded + second.succeeded, first.failed + second.failed), (2, 1));

    let hours = UsageQuery {
        from: Some(Edge::At(at("2026-01-01T15:30:00Z"))),
        to: Some(Edge::At(at("2026-01-01T17:00:00Z"))),
        bucket: Bucket::Hour,
    };
    let hours = world.admin().await.usage(&hours).await.unwrap();
    let seen: Vec<_> = hours.iter().map(|it| (it.at, it.generations, it.active_users)).collect();
    assert_eq!(seen, [(at("2026-01-01T15:00:00Z"), 1, 2), (at("2026-01-01T16:00:00Z"), 1, 2)]);
    world.finish().await;
});

on_every_backend!(a_day_of_usage_begins_at_midnight_of_the_zone_that_is_configured, |backend| async move {
    let world = TestDream::on(&backend).zone("UTC").start().await;
    let alice = world.alice().await;
    for time in
        ["2026-01-01T15:59:59Z", "2026-01-01T16:00:00Z", "2026-01-01T23:59:59Z", "2026-01-02T00:00:00Z"]
    {
        world.clock().set(at(time));
        alice.generates("a cat").await;
        world.work().await;
    }
    world.settle().await;
    let generations: Vec<_> = days(&world, "2025-12-31", "2026-01-02")
        .await
        .iter()
        .map(|it| (it.generations, it.active_users))
        .collect();
    assert_eq!(generations, [(0, 0), (3, 1), (1, 1)]);
    world.finish().await;
});

on_every_backend!(figures_stay_when_their_hours_are_put_together, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (other, _worker) = world.another_node().await;
    let admin = world.admin().await;
    let names: Vec<String> = (0..12).map(|number| format!("user-{number}")).collect();
    let users = join_all(names.iter().map(|name| world.user(name))).await;
    let cat = draft("a cat", 1);
    join_all(users.iter().map(|user| user.generate(&cat))).await;
    world.settle().await;
    let ask = async || {
        let hours =
            UsageQuery { to: Some(day("2026-01-01")), from: Some(day("2026-01-01")), bucket: Bucket::Hour };
        let hours = admin.usage(&hours).await.unwrap();
        (hours, days(&world, "2026-01-01", "2026-01-01").await, other.guest().totals().await.unwrap())
    };
    let before = ask().await;
    assert_eq!((before.1[0].new_users, before.1[0].active_users, before.1[0].succeeded), (12, 12, 12));
    assert_eq!((before.2.users, before.2.images), (12, 12));
    let live = "SELECT count(*) FROM usage_hours";
    assert!(world.database().number(live).await > 0);

    world.pass(4 * HOUR).await;
    assert_eq!(world.database().number(live).await, 0);
    let folded = world.database().number("SELECT count(*) FROM usage_history").await;
    assert!((1..=2).contains(&folded), "a row for each hour, not for each writer: {folded}");
    assert_eq!(ask().await, before);
    // Who they were is forgotten after some days; how many they were is not.
    world.pass(4 * DAY).await;
    assert_eq!(world.database().number("SELECT count(*) FROM activity").await, 0);
    assert_eq!(ask().await, before);
    world.finish().await;
});

on_every_backend!(somebody_is_active_once_a_day_however_often_and_at_once, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    world.clock().set(at("2026-01-02T01:00:00Z"));
    let cat = draft("a cat", 1);
    join_all((0..5).map(|_| alice.generate(&cat))).await;
    world.clock().set(at("2026-01-02T03:00:00Z"));
    alice.log_in_again().await;
    // To renew a token is to be there.
    world.clock().set(at("2026-01-03T03:00:00Z"));
    let tokens = world.nobody().refresh(alice.refresh_token()).await.unwrap();
    alice.take(tokens);
    world.settle().await;
    let active: Vec<i64> =
        days(&world, "2026-01-01", "2026-01-04").await.iter().map(|bucket| bucket.active_users).collect();
    assert_eq!(active, [1, 1, 1, 0]);
    let hours =
        UsageQuery { from: Some(day("2026-01-02")), to: Some(day("2026-01-02")), bucket: Bucket::Hour };
    let hours = world.admin().await.usage(&hours).await.unwrap();
    assert_eq!(hours.iter().map(|bucket| bucket.active_users).sum::<i64>(), 2);
    world.finish().await;
});

on_every_backend!(usage_is_asked_within_bounds, |backend| async move {
    let world = TestDream::start(&backend).await;
    let admin = world.admin().await;
    assert_eq!(admin.usage(&UsageQuery::default()).await.unwrap().len(), 30);
    let ask = async |from, to, bucket| admin.usage(&UsageQuery { from, to, bucket }).await;
    assert_eq!(ask(Some(day("2024-01-01")), Some(day("2024-12-31")), Bucket::Day).await.unwrap().len(), 366);
    assert_eq!(
        code(ask(Some(day("2023-12-31")), Some(day("2024-12-31")), Bucket::Day).await),
        Code::ValidationFailed
    );
    assert_eq!(
        code(ask(Some(day("2025-11-01")), Some(day("2025-12-31")), Bucket::Hour).await),
        Code::ValidationFailed
    );
    assert_eq!(
        code(ask(Some(day("2026-01-02")), Some(day("2026-01-01")), Bucket::Day).await),
        Code::ValidationFailed
    );
    world.finish().await;
});

on_every_backend!(an_overview_tells_what_its_user_did_and_nobody_else, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(2).taking_payments().start().await;
    world.dream().plant_seeds().await.unwrap();
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    bob.generates("something else").await;
    let fresh = alice.session().await.overview().await.unwrap();
    assert_eq!((fresh.images, fresh.success_permille(), fresh.transactions), (0, 0, 0));
    assert!(fresh.top_categories.is_empty());

    // Two by quota, then one for points: it fails, and the points come back.
    alice.generate(&of("landscape_mist")).await.unwrap();
    alice.generate(&of("portrait_film")).await.unwrap();
    let placed = recharge(&alice, 100).await;
    pay(&world, &placed).await;
    recharge(&alice, 100).await;
    let mut failing = draft("[fail]", 2);
    failing.template = Some("cartoon_chibi".parse().unwrap());
    alice.generate(&failing).await.unwrap();
    world.settle().await;
    world.pass(3 * DAY).await;
    alice.generate(&of("landscape_ink")).await.unwrap();
    world.settle().await;
    world.pass(4 * DAY).await;

    alice.log_in_again().await;
    let overview = alice.session().await.overview().await.unwrap();
    assert_eq!(overview.user, alice.id());
    assert_eq!((overview.orders, overview.transactions), (2, 3));
    let points = [overview.earned, overview.spent, overview.balance].map(Points::get);
    assert_eq!(points, [100, 4, 100]);
    assert_eq!((overview.images, overview.succeeded, overview.failed), (3, 3, 1));
    assert_eq!(overview.success_permille(), 750);
    // Two pictures are seven days old, one is four.
    assert_eq!((overview.images_of_week, overview.images_of_month), (1, 3));
    let top: Vec<_> = overview.top_categories.iter().map(|it| (it.name.as_str(), it.count)).collect();
    assert_eq!(top, [("landscape", 2), ("portrait", 1)]);
    assert_eq!(world.admin().await.overview_of(alice.id()).await.unwrap(), overview);

    world.pass(25 * DAY).await;
    alice.log_in_again().await;
    let later = alice.session().await.overview().await.unwrap();
    assert_eq!((later.images_of_week, later.images_of_month, later.images), (0, 1, 3));
    world.admin().await.delete_user(alice.id()).await.unwrap();
    assert_eq!(code(world.admin().await.overview_of(alice.id()).await), Code::UserNotFound);
    world.finish().await;
});

on_every_backend!(an_admin_sees_how_the_business_stands_today, |backend| async move {
    let world = TestDream::on(&backend).taking_payments().start().await;
    let admin = world.admin().await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(1), None).await.unwrap();
    admin.set_vip(bob.id(), Level::Svip, VipTerm::Days(30), None).await.unwrap();
    let placed = recharge(&alice, 100).await;
    pay(&world, &placed).await;
    recharge(&bob, 100).await;
    alice.generates("a cat").await;
    let stats = admin.stats().await.unwrap();
    assert_eq!((stats.totals.users, stats.vip_users, stats.totals.orders), (2, 2, 2));
    assert_eq!((stats.today_new_users, stats.today_revenue), (2, placed.order.amount));
    assert_eq!((stats.pending_orders, stats.running_jobs), (1, 1));
    world.settle().await;
    world.clock().set(at("2026-01-01T16:00:00Z"));
    world.user("carol").await;
    world.pass(HOUR * 23).await;
    let stats = admin.stats().await.unwrap();
    // One level has ended by itself, one order was closed, and it is another day.
    assert_eq!((stats.totals.users, stats.vip_users, stats.totals.orders), (3, 1, 2));
    assert_eq!((stats.today_new_users, stats.today_revenue.get()), (1, 0));
    assert_eq!((stats.pending_orders, stats.running_jobs), (0, 0));
    world.finish().await;
});

/// Does one thing that somebody may do.
async fn act(world: &TestDream, users: &mut Vec<Actor>, random: &mut fastrand::Rng) {
    let admin = world.admin().await;
    let user = random.usize(..users.len());
    let somebody = &users[user];
    match random.u8(..12) {
        0 => {
            let name = format!("user-{}", random.u32(..));
            users.push(world.user(&name).await);
        }
        1 => {
            // Nobody is left alone, and whoever came twice under one name is one user.
            if users.len() > 2 {
                let gone = users.swap_remove(user);
                admin.delete_user(gone.id()).await.expect("deleted");
            }
        }
        2 => grant(world, somebody, random.i64(1..100)).await,
        3 => {
            let balance = somebody.points().await;
            let target = Points::new(random.i64(0..=balance));
            admin.set_balance(somebody.id(), target, Some("a cut")).await.expect("set");
        }
        4..7 => {
            let prompt = ["a cat", "[fail]"][random.usize(..2)];
            // Neither quota nor points may suffice.
            drop(somebody.generate(&draft(prompt, random.i64(1..4))).await);
        }
        7 => {
            recharge(somebody, 100).await;
        }
        8 => {
            let placed = recharge(somebody, 100).await;
            let order = pay(world, &placed).await;
            if random.bool() {
                // Points that are spent by now cannot be taken back.
                drop(admin.refund_order(&order, None, "a change of mind").await);
            }
        }
        9 => world.pass(HOUR * random.u32(..5)).await,
        10 => {
            let job = somebody.generate(&draft("[queued]", 1)).await;
            if let Ok(accepted) = job {
                somebody.session().await.cancel_job(&accepted.job_id).await.expect("taken back");
            }
        }
        _ => {
            world.work().await;
        }
    }
}

on_every_backend!(global_figures_are_a_count_of_the_tables_after_whatever_happened, |backend| async move {
    lives_through(&backend, 1).await;
});

on_every_backend!(global_figures_are_a_count_of_the_tables_after_another_history, |backend| async move {
    lives_through(&backend, 20_260_128).await;
});

/// A world that goes through whatever the seed says, and then counts.
async fn lives_through(backend: &Backend, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let world = TestDream::on(backend).seed(seed).daily_quota(4).taking_payments().start().await;
    let began = world.now();
    let mut users = vec![world.alice().await, world.user("bob").await];
    for _ in 0..50 {
        act(&world, &mut users, &mut random).await;
    }
    world.settle().await;
    let count = async |sql: &str| world.database().number(sql).await;
    let totals = world.nobody().totals().await.expect("figures");
    assert_eq!(totals.users, count("SELECT count(*) FROM users WHERE deleted_at IS NULL").await);
    assert_eq!(totals.orders, count("SELECT count(*) FROM orders").await);
    let booked = async |kind: &str| {
        count(&format!("SELECT coalesce(sum(amount), 0) FROM ledger_entries WHERE type = '{kind}'")).await
    };
    assert_eq!((totals.earned, totals.spent), (booked("EARN").await, booked("SPEND").await));
    let samples = "SELECT coalesce(sum(sample_count), 0) FROM generations WHERE status = 'SUCCEEDED'";
    assert_eq!(totals.images, count(samples).await);

    let all = UsageQuery { from: Some(Edge::At(began)), to: None, bucket: Bucket::Day };
    let buckets = world.admin().await.usage(&all).await.expect("figures");
    let sum = |figure: fn(&UsageBucket) -> i64| buckets.iter().map(figure).sum::<i64>();
    assert_eq!(sum(|it| it.new_users), count("SELECT count(*) FROM users").await);
    assert_eq!(sum(|it| it.generations), count("SELECT count(*) FROM generations").await);
    for (figure, status) in
        [((|it| it.succeeded) as fn(&UsageBucket) -> i64, "SUCCEEDED"), (|it| it.failed, "FAILED")]
    {
        let ended = format!("SELECT count(*) FROM generations WHERE status = '{status}'");
        assert_eq!(sum(figure), count(&ended).await, "{status}");
    }
    assert_eq!(
        sum(|it| it.paid_orders),
        count("SELECT count(*) FROM orders WHERE paid_at IS NOT NULL").await
    );
    let revenue = "SELECT coalesce(sum(amount), 0) FROM orders WHERE paid_at IS NOT NULL";
    assert_eq!(sum(|it| it.revenue.get()), count(revenue).await);
    world.finish().await;
}

on_every_backend!(whoever_publishes_likes_uploads_or_changes_a_character_was_there, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (alice, admin) = (world.alice().await, world.admin().await);
    let job = alice.generates("a cat").await.job_id;
    world.settle().await;
    let me = alice.session().await;
    let begun = world.now();
    let next = || world.clock().advance(HOUR);
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(8, 8).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let png = png.into_inner();

    // Names are checked for users only who were there a short while ago.
    next();
    let new = NewCharacter { name: "red".parse().unwrap(), description: None };
    let character = CharacterRef::Id(me.create_character(&new).await.unwrap().id);
    next();
    let category = gallery::category("abstract").unwrap();
    let image = me.publish(&Publication { job, index: 0, category, tags: Vec::new() }).await.unwrap().id;
    admin.approve_image(image, None).await.unwrap();
    next();
    me.like(image).await.unwrap();
    next();
    me.unlike(image).await.unwrap();
    next();
    me.upload_picture(png.clone().into(), "me.png").await.unwrap();
    next();
    me.update_character(&character, &CharacterUpdate::default()).await.unwrap();
    next();
    let photo = PhotoUpload::new(Some(STANDARD.encode(&png)), None).unwrap();
    let photo = PhotoRef::Id(me.upload_photo(&character, &photo).await.unwrap().id);
    next();
    me.delete_photo(&character, &photo).await.unwrap();
    next();
    // Looking is no deed, and neither is what an admin does or what is refused.
    me.characters().await.unwrap();
    admin.delete_character(&character).await.unwrap();
    assert_eq!(code(me.like(ImageId::new(999).unwrap()).await), Code::ImageNotFound);

    let hours = UsageQuery {
        from: Some(Edge::At(begun.plus(HOUR))),
        to: Some(Edge::At(world.now())),
        bucket: Bucket::Hour,
    };
    let hours = admin.usage(&hours).await.unwrap();
    let active: Vec<i64> = hours.iter().map(|hour| hour.active_users).collect();
    assert_eq!(active, [1, 1, 1, 1, 1, 1, 1, 1, 0]);
    world.settle().await;
    world.finish().await;
});
