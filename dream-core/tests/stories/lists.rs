//! Lists: pages by cursor and by number.

use dream_core::Code;
use dream_core::kernel::{Cursor, Limit, PageRequest};
use dream_core::orders::OrderFilter;
use dream_core::points::EntryKind;
use dream_core::ports::JobState;
use dream_testkit::on_every_backend;
use dream_testkit::world::{Actor, TestDream, draft};

use crate::shop::{recharges, shop_without_limits};
use crate::support::{code, grant};

fn limit(items: i64) -> Limit {
    Limit::new(items).expect("1 to 100")
}

/// The prompts of all pages, by cursor; between two pages `meanwhile` happens.
async fn walk(alice: &Actor, items: i64, meanwhile: impl AsyncFn()) -> Vec<String> {
    let mut seen = Vec::new();
    let mut request = PageRequest::first(limit(items));
    loop {
        let page = alice.session().await.jobs(None, &request).await.expect("a page");
        assert!(page.items.len() <= usize::try_from(items).expect("1 to 100"));
        seen.extend(page.items.into_iter().map(|job| job.prompt));
        match page.next {
            Some(next) => request = PageRequest::after(limit(items), next),
            None => return seen,
        }
        meanwhile().await;
    }
}

on_every_backend!(a_walk_by_cursor_sees_each_job_once_though_all_have_one_time, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1000).start().await;
    let alice = world.alice().await;
    for number in 0..25 {
        alice.generate(&draft(&format!("job {number}"), 1)).await.unwrap();
    }
    let newest_first: Vec<String> = (0..25).rev().map(|number| format!("job {number}")).collect();
    for items in [1, 7, 24, 25, 100] {
        assert_eq!(walk(&alice, items, async || {}).await, newest_first, "{items} a page");
    }
    // What comes in meanwhile is newer than the place where the walk is.
    let meanwhile = async || drop(alice.generate(&draft("new", 1)).await.unwrap());
    assert_eq!(walk(&alice, 10, meanwhile).await, newest_first);
    world.finish().await;
});

on_every_backend!(a_walk_by_cursor_sees_each_order_once_though_all_have_one_time, |backend| async move {
    let world = shop_without_limits(&backend).await;
    let alice = world.alice().await;
    let mut newest_first = Vec::new();
    for number in 1..=30 {
        newest_first.insert(0, recharges(&alice, number).await.order.order_id);
    }
    let (me, admin) = (alice.session().await, world.admin().await);
    for items in [1, 7, 20, 30] {
        for by_admin in [false, true] {
            let mut seen = Vec::new();
            let mut request = Some(PageRequest::first(limit(items)));
            while let Some(wanted) = request {
                let page = if by_admin {
                    admin.orders(&OrderFilter::default(), &wanted).await.unwrap()
                } else {
                    me.orders(None, None, &wanted).await.unwrap()
                };
                seen.extend(page.items.into_iter().map(|order| order.order_id));
                request = page.next.map(|next| PageRequest::after(limit(items), next));
            }
            assert_eq!(seen, newest_first, "{items} a page");
        }
    }
    world.finish().await;
});

on_every_backend!(a_walk_by_page_numbers_shows_the_same_and_tells_the_total, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1000).start().await;
    let alice = world.alice().await;
    for number in 0..12 {
        alice.generate(&draft(&format!("job {number}"), 1)).await.unwrap();
    }
    let me = alice.session().await;
    let mut seen = Vec::new();
    for (number, expected) in [(1, 5), (2, 5), (3, 2), (4, 0)] {
        let page = me.jobs(None, &PageRequest::numbered(limit(5), number).unwrap()).await.unwrap();
        assert_eq!((page.items.len(), page.total), (expected, Some(12)));
        assert_eq!(page.next.is_some(), number < 3);
        seen.extend(page.items.into_iter().map(|job| job.prompt));
    }
    assert_eq!(seen, walk(&alice, 100, async || {}).await);
    assert_eq!(code(PageRequest::numbered(limit(100), 101)), Code::ValidationFailed);
    assert_eq!(code(PageRequest::numbered(limit(100), 0)), Code::ValidationFailed);
    world.finish().await;
});

on_every_backend!(a_filter_shows_only_what_it_says, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1000).start().await;
    let alice = world.alice().await;
    for prompt in ["good 1", "[fail] 1", "good 2", "[fail] 2", "good 3"] {
        alice.generate(&draft(prompt, 1)).await.unwrap();
    }
    world.settle().await;
    let me = alice.session().await;
    let first = me.jobs(Some(JobState::Failed), &PageRequest::first(limit(1))).await.unwrap();
    assert_eq!(first.items[0].prompt, "[fail] 2");
    let rest = PageRequest::after(limit(5), first.next.unwrap());
    let rest = me.jobs(Some(JobState::Failed), &rest).await.unwrap();
    assert_eq!(rest.items.iter().map(|job| job.prompt.as_str()).collect::<Vec<_>>(), ["[fail] 1"]);
    assert!(rest.next.is_none());
    assert_eq!(me.jobs(Some(JobState::Running), &PageRequest::default()).await.unwrap().items, []);
    world.finish().await;
});

on_every_backend!(the_ledger_pages_as_jobs_do, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    for points in 1..=9 {
        grant(&world, &alice, points).await;
    }
    grant(&world, &alice, -3).await;
    let me = alice.session().await;
    let first = me.transactions(Some(EntryKind::Earn), &PageRequest::first(limit(4))).await.unwrap();
    assert_eq!(first.items.iter().map(|entry| entry.amount.get()).collect::<Vec<_>>(), [9, 8, 7, 6]);
    assert_eq!(first.total, Some(9));
    let next = PageRequest::after(limit(100), first.next.unwrap());
    let rest = me.transactions(Some(EntryKind::Earn), &next).await.unwrap();
    assert_eq!(rest.items.iter().map(|entry| entry.amount.get()).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
    let all = me.transactions(None, &PageRequest::default()).await.unwrap();
    assert_eq!(
        (all.items[0].kind, all.items[0].balance_after.get(), all.total),
        (EntryKind::Spend, 42, Some(10))
    );
    world.finish().await;
});

on_every_backend!(a_cursor_leads_only_where_it_was_given_out, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1000).start().await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    for user in [&alice, &bob] {
        for _ in 0..3 {
            user.generate(&draft("a cat", 1)).await.unwrap();
            grant(&world, user, 1).await;
        }
    }
    let me = alice.session().await;
    let cursor = me.jobs(None, &PageRequest::first(limit(1))).await.unwrap().next.unwrap();
    let at = |cursor: &Cursor| PageRequest::after(limit(1), cursor.clone());
    me.jobs(None, &at(&cursor)).await.expect("where it belongs");
    me.jobs(None, &PageRequest::after(limit(3), cursor.clone())).await.expect("pages may differ in length");
    assert_eq!(code(bob.session().await.jobs(None, &at(&cursor)).await), Code::InvalidCursor, "another's");
    assert_eq!(
        code(me.jobs(Some(JobState::Queued), &at(&cursor)).await),
        Code::InvalidCursor,
        "another filter"
    );
    assert_eq!(code(me.transactions(None, &at(&cursor)).await), Code::InvalidCursor, "another list");
    let text = cursor.as_str();
    let mut forged: Vec<String> = ["", "AAAA", "%00", "null", &text[1..]].map(str::to_owned).into();
    forged.push(format!("{text}A"));
    forged.push(format!("{}{}", if text.starts_with('A') { "B" } else { "A" }, &text[1..]));
    let middle = text.len() / 2;
    let flipped = if &text[middle..=middle] == "A" { "B" } else { "A" };
    forged.push(format!("{}{flipped}{}", &text[..middle], &text[middle + 1..]));
    for forged in forged {
        let request = at(&Cursor::from_client(forged.clone()));
        assert_eq!(code(me.jobs(None, &request).await), Code::InvalidCursor, "{forged}");
    }
    let elsewhere = TestDream::on(&backend)
        .seed(99)
        .settings(|s| s.secret = "another secret of more than 32 bytes".into());
    let elsewhere = elsewhere.start().await;
    let same = elsewhere.alice().await;
    assert_eq!(code(same.session().await.jobs(None, &at(&cursor)).await), Code::InvalidCursor);
    drop(elsewhere);
    world.finish().await;
});
