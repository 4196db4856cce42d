//! What admins do: users, keys, and the log of it all.

use std::time::Duration;

use dream_core::kernel::{KeyName, Limit, PageRequest, Points, UserId};
use dream_core::orders::{RechargePoints, WECHAT};
use dream_core::points::{Adjustment, EntryKind};
use dream_core::vip::{Level, VipTerm};
use dream_core::{
    Admin, AdminKey, AuditFilter, AuditRecord, Code, Dream, Facts, FreshKey, User, UserEdit, UserFilter,
};
use dream_testkit::on_every_backend;
use dream_testkit::world::{ADMIN_NAME, Actor, TestDream, polished};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::support::{code, grant};

fn named(name: &str) -> UserEdit {
    UserEdit { nick_name: Some(name.parse().expect("a name")), ..UserEdit::default() }
}

fn balance(points: i64) -> UserEdit {
    UserEdit { balance: Some(Adjustment::To(Points::new(points))), ..UserEdit::default() }
}

fn search(text: &str) -> UserFilter {
    UserFilter { search: Some(text.to_owned()), level: None }
}

fn at_level(level: Level) -> UserFilter {
    UserFilter { search: None, level: Some(level) }
}

fn first(items: i64) -> PageRequest {
    PageRequest::first(Limit::new(items).expect("1 to 100"))
}

async fn ids(admin: &Admin, filter: &UserFilter) -> Vec<UserId> {
    let page = admin.users(filter, &first(100)).await.expect("a page");
    assert_eq!(page.total, Some(i64::try_from(page.items.len()).expect("a number")), "{filter:?}");
    page.items.into_iter().map(|user| user.id).collect()
}

async fn log(admin: &Admin, filter: &AuditFilter) -> Vec<AuditRecord> {
    admin.audit_log(filter, &first(100)).await.expect("a page").items
}

fn about(user: &Actor) -> AuditFilter {
    AuditFilter { target: Some(format!("user:{}", user.id())), ..AuditFilter::default() }
}

async fn people(world: &TestDream, count: usize) -> Vec<Actor> {
    let mut people = Vec::new();
    for number in 0..count {
        people.push(world.user(&format!("p{number}")).await);
    }
    people
}

on_every_backend!(a_page_of_users_tells_how_many_there_are, |backend| async move {
    let world = TestDream::start(&backend).await;
    let admin = world.admin().await;
    assert_eq!(admin.users(&UserFilter::default(), &first(5)).await.unwrap().total, Some(0));
    let people = people(&world, 12).await;
    let newest_first: Vec<UserId> = people.iter().rev().map(Actor::id).collect();
    let mut by_number: Vec<User> = Vec::new();
    for number in 1..=3 {
        let request = PageRequest::numbered(Limit::new(5).unwrap(), number).unwrap();
        let page = admin.users(&UserFilter::default(), &request).await.unwrap();
        assert_eq!(page.total, Some(12));
        by_number.extend(page.items);
    }
    assert_eq!(by_number.iter().map(|user| user.id).collect::<Vec<_>>(), newest_first);
    let (mut by_cursor, mut request) = (Vec::new(), first(5));
    loop {
        let page = admin.users(&UserFilter::default(), &request).await.unwrap();
        assert_eq!(page.total, Some(12));
        by_cursor.extend(page.items);
        let Some(next) = page.next else { break };
        request = PageRequest::after(Limit::new(5).unwrap(), next);
    }
    assert_eq!(by_cursor, by_number);
    people[3].session().await.delete_account().await.unwrap();
    assert_eq!(admin.users(&UserFilter::default(), &first(5)).await.unwrap().total, Some(11));
    world.finish().await;
});

on_every_backend!(
    a_search_takes_upper_and_lower_case_alike_and_wildcards_at_their_word,
    |backend| async move {
        let world = TestDream::start(&backend).await;
        let admin = world.admin().await;
        let people = people(&world, 4).await;
        for (user, name) in people.iter().zip(["ÄRGER_1", "50% Off", "ärgerx1", "小明\\n"]) {
            admin.update_user(user.id(), &named(name), None).await.unwrap();
        }
        let id = |number: usize| people[number].id();
        let found = async |text: &str| ids(&admin, &search(text)).await;
        assert_eq!(found("ärger").await, [id(2), id(0)]);
        assert_eq!(found("ÄRGER").await, [id(2), id(0)]);
        assert_eq!(found("off").await, [id(1)]);
        assert_eq!(found("%").await, [id(1)]);
        assert_eq!(found("_").await, [id(0)]);
        assert_eq!(found("r_1").await, [id(0)], "an underscore is no wildcard");
        assert_eq!(found("小明\\").await, [id(3)]);
        assert_eq!(found("  off ").await, [id(1)]);
        assert_eq!(found("nobody").await, []);
        // An openid, and an id, are found as a whole only.
        assert_eq!(found(people[1].openid()).await, [id(1)]);
        assert_eq!(found(&people[1].openid()[..3]).await, []);
        assert!(found(&id(2).to_string()).await.contains(&id(2)));
        // A name that was given up finds nobody any more. How many a text finds is believed for a while, so each text
        // from here on is another one.
        admin.update_user(id(0), &named("Calm"), None).await.unwrap();
        assert_eq!(found("ärge").await, [id(2)]);
        people[2].session().await.delete_account().await.unwrap();
        assert_eq!(found("rger").await, []);
        world.finish().await;
    }
);

on_every_backend!(a_list_by_level_goes_by_the_level_in_force, |backend| async move {
    let world = TestDream::start(&backend).await;
    let admin = world.admin().await;
    let people = people(&world, 4).await;
    let id = |number: usize| people[number].id();
    admin.set_vip(id(0), Level::Vip, VipTerm::Days(3), None).await.unwrap();
    admin.set_vip(id(1), Level::Svip, VipTerm::Days(9), None).await.unwrap();
    assert_eq!(ids(&admin, &at_level(Level::Vip)).await, [id(0)]);
    assert_eq!(ids(&admin, &at_level(Level::Svip)).await, [id(1)]);
    assert_eq!(ids(&admin, &at_level(Level::Normal)).await, [id(3), id(2)]);
    world.pass(Duration::from_hours(24 * 3)).await;
    assert_eq!(ids(&admin, &at_level(Level::Vip)).await, []);
    assert_eq!(ids(&admin, &at_level(Level::Normal)).await, [id(3), id(2), id(0)]);
    people[1].session().await.delete_account().await.unwrap();
    assert_eq!(ids(&admin, &at_level(Level::Svip)).await, []);
    assert_eq!(ids(&admin, &at_level(Level::Normal)).await.len(), 3);
    world.finish().await;
});

on_every_backend!(an_admins_change_of_a_user_is_one_commit_seen_at_once_and_logged, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (alice, admin) = (world.alice().await, world.admin().await);
    let me = alice.session().await;
    let before = me.me().await.unwrap();
    let avatar = world.blobs().public_url(&"uploads/a.png".parse().unwrap());
    world.blobs().put(&"uploads/a.png".parse().unwrap(), "image/png", "x".into()).await.unwrap();
    let edit = UserEdit {
        nick_name: Some("Alice".parse().unwrap()),
        avatar_url: Some(avatar.parse().unwrap()),
        balance: Some(Adjustment::To(Points::new(70))),
    };
    let changed = admin.update_user(alice.id(), &edit, Some("as she asked")).await.unwrap();
    assert_eq!(me.me().await.unwrap(), changed);
    assert_eq!(
        (changed.nick_name.as_deref(), changed.avatar_url.as_deref(), changed.balance.get()),
        (Some("Alice"), Some(avatar.as_str()), 70)
    );
    let entry = log(&admin, &about(&alice)).await.remove(0);
    assert_eq!((entry.actor.as_str(), entry.action.as_str()), (ADMIN_NAME, "user.update"));
    assert_eq!(entry.reason.as_deref(), Some("as she asked"));
    assert_eq!(
        entry.before,
        Some(json!({ "nickName": before.nick_name, "avatarUrl": before.avatar_url, "pointsBalance": 0 }))
    );
    assert_eq!(entry.after, Some(json!({ "nickName": "Alice", "avatarUrl": avatar, "pointsBalance": 70 })));

    // A lower balance takes points, one that is the same does nothing, and what stayed is not logged.
    admin.update_user(alice.id(), &balance(30), None).await.unwrap();
    admin.update_user(alice.id(), &balance(30), None).await.unwrap();
    let entries = log(&admin, &about(&alice)).await;
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert_eq!(entries[0].after, Some(json!({ "pointsBalance": 30 })));
    let ledger = me.transactions(None, &PageRequest::default()).await.unwrap().items;
    let booked: Vec<_> = ledger.iter().map(|entry| (entry.kind, entry.amount.get())).collect();
    assert_eq!(booked, [(EntryKind::Spend, 40), (EntryKind::Earn, 70)]);
    assert_eq!(ledger[1].description, "as she asked");
    let sums = me.balance().await.unwrap();
    assert_eq!((sums.balance.get(), sums.total_earned.get(), sums.total_spent.get()), (30, 70, 40));
    world.finish().await;
});

on_every_backend!(a_change_that_is_wrong_in_one_thing_changes_nothing, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (alice, admin) = (world.alice().await, world.admin().await);
    let before = admin.user(alice.id()).await.unwrap();
    let elsewhere = UserEdit {
        avatar_url: Some("https://evil.example/a.png".parse().unwrap()),
        balance: Some(Adjustment::To(Points::new(5))),
        ..named("Alice")
    };
    let error = admin.update_user(alice.id(), &elsewhere, None).await.unwrap_err();
    assert!(matches!(error.facts(), Facts::Fields(faults) if faults[0].field == "avatarUrl"));
    let negative = UserEdit { balance: Some(Adjustment::To(Points::new(-1))), ..named("Alice") };
    assert_eq!(code(admin.update_user(alice.id(), &negative, None).await), Code::ValidationFailed);
    let rude = UserEdit { balance: Some(Adjustment::To(Points::new(5))), ..named("违规") };
    assert_eq!(code(admin.update_user(alice.id(), &rude, None).await), Code::ContentRejected);
    assert_eq!(admin.user(alice.id()).await.unwrap(), before);
    assert_eq!(log(&admin, &AuditFilter::default()).await, []);
    let nobody = UserId::new(999_999).unwrap();
    assert_eq!(code(admin.update_user(nobody, &balance(5), None).await), Code::UserNotFound);
    alice.session().await.delete_account().await.unwrap();
    assert_eq!(code(admin.update_user(alice.id(), &balance(5), None).await), Code::UserNotFound);
    world.finish().await;
});

on_every_backend!(changes_at_once_of_one_balance_stand_in_line, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(0).start().await;
    let (alice, admin) = (world.alice().await, world.admin().await);
    grant(&world, &alice, 1000).await;
    let edits: Vec<UserEdit> = (1..=20).map(|number| balance(number * 100)).collect();
    let request = polished("a cat", 1);
    let (admin, alice, request) = (&admin, &alice, &request);
    let changes =
        edits.iter().map(|edit| async move { drop(admin.update_user(alice.id(), edit, None).await) });
    let spends = (0..20).map(|_| async move { drop(alice.generate(request).await) });
    tokio::join!(futures_util::future::join_all(changes), futures_util::future::join_all(spends));
    // That every entry follows from the one before is what the books are checked for.
    world.finish().await;
});

on_every_backend!(a_user_with_orders_can_be_deleted_and_the_log_forgets_its_name, |backend| async move {
    let world = TestDream::on(&backend).taking_payments().start().await;
    let (alice, admin) = (world.alice().await, world.admin().await);
    let me = alice.session().await;
    let placed = me.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await.unwrap();
    world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
    world.wechat_pay().deliver_due().await;
    me.recharge(RechargePoints::new(10).unwrap(), WECHAT, None).await.unwrap();
    admin.update_user(alice.id(), &named("Alice Liddell"), None).await.unwrap();
    admin.delete_user(alice.id()).await.unwrap();
    assert_eq!(code(alice.try_session().await), Code::TokenRevoked);
    let order = admin.order(&placed.order.order_id).await.unwrap();
    assert_eq!((order.user, order.amount.get()), (alice.id(), 500), "the order stays");
    let entries = log(&admin, &about(&alice)).await;
    let kept: Vec<_> = entries.iter().map(|entry| (entry.action.as_str(), entry.after.as_ref())).collect();
    assert_eq!(kept, [("user.delete", None), ("user.update", None)]);
    let names = "SELECT count(*) FROM audit_log WHERE before LIKE '%Liddell%' OR after LIKE '%Liddell%'";
    assert_eq!(world.database().number(names).await, 0);
    world.finish().await;
});

fn key(name: &str) -> KeyName {
    name.parse().expect("a name")
}

async fn enter(dream: &Dream, fresh: &FreshKey) -> Result<String, Code> {
    let admin = dream.admin(&AdminKey::new(fresh.key.expose_secret()), None).await;
    admin.map(|admin| admin.key_name().to_string()).map_err(|error| error.code())
}

on_every_backend!(a_key_opens_and_closes_on_every_node_at_once, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (other, _worker) = world.another_node().await;
    let operator = world.dream().operator(key("root"));
    let fresh = operator.create_key(&key("night-shift")).await.unwrap();
    for node in [world.dream(), &other] {
        assert_eq!(enter(node, &fresh).await.as_deref(), Ok("night-shift"));
    }
    assert_eq!(code(operator.create_key(&key("night-shift")).await), Code::InvalidState);
    let stored = world.database().texts("SELECT key_hash FROM admin_keys").await;
    assert_eq!(stored.len(), 1);
    assert!(!stored[0].contains(fresh.key.expose_secret()) && stored[0].len() == 64, "{stored:?}");
    operator.revoke_key(&key("night-shift"), Some("lost")).await.unwrap();
    for node in [world.dream(), &other] {
        assert_eq!(enter(node, &fresh).await, Err(Code::AdminKeyInvalid));
    }
    assert_eq!(code(operator.revoke_key(&key("night-shift"), None).await), Code::InvalidState);
    let again = operator.create_key(&key("night-shift")).await.unwrap();
    assert_ne!(again.key.expose_secret(), fresh.key.expose_secret());
    assert_eq!(enter(&other, &again).await.as_deref(), Ok("night-shift"));
    assert_eq!(enter(&other, &fresh).await, Err(Code::AdminKeyInvalid));

    let entries = log(&operator, &AuditFilter::default()).await;
    let told: Vec<_> = entries.iter().map(|entry| (entry.action.as_str(), entry.reason.as_deref())).collect();
    assert_eq!(
        told,
        [("admin_key.create", None), ("admin_key.revoke", Some("lost")), ("admin_key.create", None)]
    );
    assert!(entries.iter().all(|entry| entry.actor == "root" && entry.target == "admin_key:night-shift"));
    let written = format!("{entries:?}");
    assert!(!written.contains(again.key.expose_secret()) && !written.contains(&stored[0]));
    world.finish().await;
});

on_every_backend!(a_key_that_is_rotated_goes_on_for_its_grace_and_no_longer, |backend| async move {
    let world = TestDream::start(&backend).await;
    let operator = world.dream().operator(key("root"));
    assert_eq!(code(operator.rotate_key(&key("ci"), Duration::ZERO).await), Code::InvalidState);
    let first = operator.create_key(&key("ci")).await.unwrap();
    let second = operator.rotate_key(&key("ci"), Duration::from_hours(1)).await.unwrap();
    for fresh in [&first, &second] {
        assert_eq!(enter(world.dream(), fresh).await.as_deref(), Ok("ci"));
    }
    world.clock().advance(Duration::from_hours(1));
    assert_eq!(enter(world.dream(), &first).await, Err(Code::AdminKeyInvalid));
    assert_eq!(enter(world.dream(), &second).await.as_deref(), Ok("ci"));
    let third = operator.rotate_key(&key("ci"), Duration::ZERO).await.unwrap();
    assert_eq!(enter(world.dream(), &second).await, Err(Code::AdminKeyInvalid));
    assert_eq!(enter(world.dream(), &third).await.as_deref(), Ok("ci"));
    let month = Duration::from_hours(24 * 31);
    assert_eq!(code(operator.rotate_key(&key("ci"), month).await), Code::ValidationFailed);

    let keys = operator.keys().await.unwrap();
    let now = world.now();
    let open: Vec<_> = keys.iter().map(|key| (key.name.as_str(), key.is_open(now))).collect();
    assert_eq!(open, [("ci", true), ("ci", false), ("ci", false)]);
    assert_eq!(keys[2].ends_at, Some(keys[2].created_at.plus(Duration::from_hours(1))));
    world.finish().await;
});

on_every_backend!(of_many_rotations_at_once_one_key_is_left, |backend| async move {
    let world = TestDream::start(&backend).await;
    let operator = world.dream().operator(key("root"));
    operator.create_key(&key("ci")).await.unwrap();
    let name = key("ci");
    let rotations = (0..8).map(|_| operator.rotate_key(&name, Duration::ZERO));
    let fresh = futures_util::future::join_all(rotations).await;
    let mut open = 0;
    for fresh in fresh.iter().filter_map(|outcome| outcome.as_ref().ok()) {
        open += usize::from(enter(world.dream(), fresh).await.is_ok());
    }
    assert_eq!(open, 1, "{fresh:?}");
    world.finish().await;
});

on_every_backend!(the_log_is_found_by_actor_action_and_target, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    let (day, night) = (world.dream().operator(key("day")), world.dream().operator(key("night")));
    day.grant_points(alice.id(), Points::new(5), "one").await.unwrap();
    night.grant_points(alice.id(), Points::new(5), "two").await.unwrap();
    night.grant_points(bob.id(), Points::new(5), "three").await.unwrap();
    night.set_vip(bob.id(), Level::Vip, VipTerm::Days(1), Some("four")).await.unwrap();
    let found = async |actor: Option<&str>, action: Option<&str>, target: Option<&Actor>| -> Vec<String> {
        let filter = AuditFilter {
            actor: actor.map(str::to_owned),
            action: action.map(str::to_owned),
            target: target.map(|user| format!("user:{}", user.id())),
        };
        log(&day, &filter).await.into_iter().filter_map(|entry| entry.reason).collect()
    };
    assert_eq!(found(None, None, None).await, ["four", "three", "two", "one"]);
    assert_eq!(found(Some("night"), None, None).await, ["four", "three", "two"]);
    assert_eq!(found(Some("night"), Some("points.adjust"), None).await, ["three", "two"]);
    assert_eq!(found(None, Some("points.adjust"), None).await, ["three", "two", "one"]);
    assert_eq!(found(None, Some("points.adjust"), Some(&bob)).await, ["three"]);
    assert_eq!(found(Some("day"), Some("points.adjust"), Some(&alice)).await, ["one"]);
    assert_eq!(found(Some("day"), None, Some(&bob)).await, [] as [&str; 0]);
    // A walk by cursor goes through one filter only.
    let filter = AuditFilter { actor: Some("night".to_owned()), ..AuditFilter::default() };
    let page = day.audit_log(&filter, &first(2)).await.unwrap();
    let next = PageRequest::after(Limit::new(2).unwrap(), page.next.unwrap());
    let rest = day.audit_log(&filter, &next).await.unwrap();
    assert_eq!((rest.items.len(), rest.next.is_none()), (1, true));
    assert_eq!(code(day.audit_log(&AuditFilter::default(), &next).await), Code::InvalidCursor);
    world.finish().await;
});

on_every_backend!(everybodys_ledger_is_walked_against_the_order_of_booking, |backend| async move {
    let world = TestDream::start(&backend).await;
    let admin = world.admin().await;
    let people = people(&world, 3).await;
    for round in 0..5 {
        for user in &people {
            admin.grant_points(user.id(), Points::new(round + 1), "a gift").await.unwrap();
        }
    }
    let (mut seen, mut request) = (Vec::new(), first(4));
    loop {
        let page = admin.ledger(&request).await.unwrap();
        seen.extend(page.items.into_iter().map(|entry| (entry.user, entry.amount.get())));
        let Some(next) = page.next else { break };
        request = PageRequest::after(Limit::new(4).unwrap(), next);
    }
    let expected: Vec<_> =
        (1..=5).rev().flat_map(|n| people.iter().rev().map(move |user| (user.id(), n))).collect();
    assert_eq!(seen, expected);
    world.finish().await;
});
