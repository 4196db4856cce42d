//! The gallery as everybody sees it: likes, lists, tags.

use std::collections::{BTreeMap, BTreeSet};

use dream_core::gallery::{GalleryFilter, GalleryImage, GallerySort};
use dream_core::kernel::{ImageId, Limit, Page, PageRequest};
use dream_core::{Code, Visitor};
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;
use futures_util::future::join_all;

use crate::support::code;

fn image(id: i64) -> ImageId {
    ImageId::new(id).expect("an id")
}

fn guest(world: &TestDream) -> Visitor {
    Visitor::Guest(world.nobody())
}

/// So many public pictures of no author, seven of each instant, with the tags of their number.
async fn hang_up(world: &TestDream, numbers: std::ops::RangeInclusive<i64>) {
    let (first, last) = (numbers.start(), numbers.end());
    let database = world.database();
    let numbers = format!(
        "WITH RECURSIVE n (i) AS (SELECT CAST({first} AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {last})"
    );
    let category = "CASE WHEN i % 2 = 0 THEN 'portrait' ELSE 'abstract' END";
    let tag = "CASE WHEN i % 10 = 0 THEN 'ten' ELSE 'other' END";
    let pictures = format!(
        "{numbers} INSERT INTO gallery_images (id, image_url, thumbnail_url, prompt, category, tags, likes, status, \
         created_at, updated_at) SELECT i, 'https://x.example/' || CAST(i AS TEXT), 'https://x.example/t', 'p', \
         {category}, '[\"' || {tag} || '\"]', 0, 'PUBLIC', 1000000 + i / 7, 1 FROM n"
    );
    database.execute(&pictures).await;
    let tags = format!(
        "{numbers} INSERT INTO gallery_tags (tag, image_id, created_at) SELECT {tag}, i, 1000000 + i / 7 FROM n"
    );
    database.execute(&tags).await;
    database.execute("DELETE FROM gallery_counts").await;
    for (category, tag) in [("''", "''"), ("category", "''"), ("''", "tag"), ("category", "tag")] {
        let from = if tag == "tag" {
            "gallery_tags t JOIN gallery_images g ON g.id = t.image_id"
        } else {
            "gallery_images g"
        };
        let count = format!(
            "INSERT INTO gallery_counts (category, tag, images) SELECT {category}, {tag}, count(*) FROM {from} \
             WHERE status = 'PUBLIC' GROUP BY 1, 2"
        );
        database.execute(&count).await;
    }
}

/// All that a walk from page to page sees, with something done behind each page.
async fn walk(
    visitor: &Visitor,
    filter: &GalleryFilter,
    limit: i64,
    mut between: impl AsyncFnMut(&Page<GalleryImage>),
) -> Vec<GalleryImage> {
    let mut seen = Vec::new();
    let mut request = PageRequest::first(Limit::new(limit).expect("a limit"));
    loop {
        let page = visitor.gallery(filter, &request).await.expect("a page");
        between(&page).await;
        seen.extend(page.items);
        match page.next {
            Some(next) => request = PageRequest::after(request.limit, next),
            None => return seen,
        }
    }
}

on_every_backend!(two_hundred_likes_by_as_many_users_count_two_hundred, |backend| async move {
    let world = TestDream::start(&backend).await;
    hang_up(&world, 1..=1).await;
    let names: Vec<String> = (0..200).map(|number| format!("fan-{number}")).collect();
    let fans = join_all(names.iter().map(|name| world.user(name))).await;
    let sessions = join_all(fans.iter().map(dream_testkit::world::Actor::session)).await;
    let likes = join_all(sessions.iter().map(|fan| fan.like(image(1)))).await;
    let highest = likes.into_iter().map(Result::unwrap).max();
    assert_eq!(highest, Some(200));
    let shown = guest(&world).gallery_image(image(1)).await.unwrap();
    assert_eq!((shown.likes, shown.is_liked), (200, None));
    // Half of them change their minds, each of them twice at once.
    let minds = sessions[..100].iter().flat_map(|fan| [fan.unlike(image(1)), fan.unlike(image(1))]);
    for unliked in join_all(minds).await {
        unliked.unwrap();
    }
    assert_eq!(guest(&world).gallery_image(image(1)).await.unwrap().likes, 100);
    world.finish().await;
});

on_every_backend!(one_user_likes_a_picture_once_however_often, |backend| async move {
    let world = TestDream::start(&backend).await;
    hang_up(&world, 1..=2).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    for likes in join_all((0..200).map(|_| me.like(image(1)))).await {
        assert_eq!(likes.unwrap(), 1);
    }
    let visitor = Visitor::Session(alice.session().await);
    let liked = |id| visitor.gallery_image(image(id));
    assert_eq!(liked(1).await.unwrap().is_liked, Some(true));
    assert_eq!(liked(2).await.unwrap().is_liked, Some(false));
    // Nobody takes back what somebody else likes.
    let bob = world.user("bob").await.session().await;
    assert_eq!(bob.unlike(image(1)).await.unwrap(), 1);
    assert_eq!(me.unlike(image(1)).await.unwrap(), 0);
    assert_eq!(me.unlike(image(1)).await.unwrap(), 0);
    assert_eq!(code(me.like(image(3)).await), Code::ImageNotFound);
    assert_eq!(code(me.unlike(image(3)).await), Code::ImageNotFound);
    world.finish().await;
});

on_every_backend!(likes_of_many_pictures_at_once_end_as_each_user_said_last, |backend| async move {
    let world = TestDream::start(&backend).await;
    hang_up(&world, 1..=4).await;
    let names: Vec<String> = (0..30).map(|number| format!("fan-{number}")).collect();
    let fans = join_all(names.iter().map(|name| world.user(name))).await;
    let sessions = join_all(fans.iter().map(dream_testkit::world::Actor::session)).await;
    // Each says three things of each picture, one after the other; the fifth picture is not there.
    join_all(sessions.iter().enumerate().flat_map(|(fan, me)| {
        (1..=5_i64).map(move |picture| async move {
            for word in 0..3 {
                let likes = (fan + word) % 2 == 0;
                let said =
                    if likes { me.like(image(picture)).await } else { me.unlike(image(picture)).await };
                match said {
                    Ok(count) => assert!(picture < 5 && (0..=30).contains(&count)),
                    Err(error) => assert_eq!((picture, error.code()), (5, Code::ImageNotFound)),
                }
            }
        })
    }))
    .await;
    for picture in 1..=4 {
        assert_eq!(guest(&world).gallery_image(image(picture)).await.unwrap().likes, 15);
        let rows = format!("SELECT count(*) FROM gallery_likes WHERE image_id = {picture}");
        assert_eq!(world.database().number(&rows).await, 15);
    }
    world.finish().await;
});

on_every_backend!(the_likes_of_a_deleted_user_count_no_longer, |backend| async move {
    let world = TestDream::start(&backend).await;
    hang_up(&world, 1..=3).await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    for user in [&alice, &bob] {
        user.session().await.like(image(1)).await.unwrap();
    }
    alice.session().await.like(image(2)).await.unwrap();
    alice.session().await.delete_account().await.unwrap();
    assert_eq!(guest(&world).gallery_image(image(1)).await.unwrap().likes, 1);
    assert_eq!(guest(&world).gallery_image(image(2)).await.unwrap().likes, 0);
    world.finish().await;
});

on_every_backend!(
    a_walk_over_ten_thousand_pictures_sees_each_that_stays_once_while_others_come_and_go,
    |backend| async move {
        let world = TestDream::start(&backend).await;
        hang_up(&world, 1..=10_000).await;
        let admin = world.admin().await;
        let (mut gone, mut newest) = (BTreeSet::new(), 10_000);
        let filter = GalleryFilter::default();
        let seen = walk(&guest(&world), &filter, 100, async |page| {
            // One goes that was seen, the last of the page among them, and one that comes next.
            let last = page.items.last().expect("an item").id.get();
            for id in [last, last - 3].into_iter().filter(|id| *id > 0) {
                if admin.remove_image(image(id), Some("in the way")).await.is_ok() {
                    gone.insert(id);
                }
            }
            // And two come, before the walk and within it.
            newest += 1;
            let came = format!(
                "INSERT INTO gallery_images (id, image_url, thumbnail_url, prompt, category, tags, likes, status, \
                 created_at, updated_at) VALUES ({newest}, 'x', 'x', 'p', 'portrait', '[]', 0, 'PUBLIC', 9000000, 1), \
                 ({newest} + 10000, 'x', 'x', 'p', 'portrait', '[]', 0, 'PUBLIC', 1000000 + {last} / 7 - 1, 1)"
            );
            world.database().execute(&came).await;
            world.database().execute(
                "UPDATE gallery_counts SET images = images + 2 WHERE category IN ('', 'portrait') AND tag = ''",
            ).await;
        })
        .await;
        let ids: Vec<i64> = seen.iter().map(|image| image.id.get()).collect();
        let once: BTreeSet<i64> = ids.iter().copied().collect();
        assert_eq!(once.len(), ids.len(), "none is seen twice");
        let lost: Vec<i64> = (1..=10_000).filter(|id| !once.contains(id) && !gone.contains(id)).collect();
        assert_eq!(lost, [] as [i64; 0], "each that stayed is seen");
        assert!(gone.len() > 150);
        let order = seen.iter().map(|image| (image.created_at, image.id));
        assert!(order.is_sorted_by(|newer, older| newer > older), "newest first");
        world.finish().await;
    }
);

on_every_backend!(pictures_of_one_instant_and_of_equal_likes_page_exactly, |backend| async move {
    let world = TestDream::start(&backend).await;
    hang_up(&world, 1..=40).await;
    world.database().execute("UPDATE gallery_images SET created_at = 5").await;
    world.database().execute("UPDATE gallery_tags SET created_at = 5").await;
    let all: Vec<i64> = (1..=40).rev().collect();
    for (sort, limit) in [(GallerySort::Latest, 7), (GallerySort::Popular, 7), (GallerySort::Latest, 20)] {
        let filter = GalleryFilter { sort, ..GalleryFilter::default() };
        let seen = walk(&guest(&world), &filter, limit, async |_| {}).await;
        assert_eq!(seen.iter().map(|image| image.id.get()).collect::<Vec<_>>(), all, "{sort:?} by {limit}");
        let third = PageRequest::numbered(Limit::new(7).unwrap(), 3).unwrap();
        let third = guest(&world).gallery(&filter, &third).await.unwrap();
        assert_eq!(third.items.iter().map(|image| image.id.get()).collect::<Vec<_>>(), all[14..21]);
        assert_eq!(third.total, Some(40));
    }
    world.finish().await;
});

on_every_backend!(the_most_liked_come_first, |backend| async move {
    let world = TestDream::start(&backend).await;
    hang_up(&world, 1..=5).await;
    let (alice, bob) = (world.alice().await.session().await, world.user("bob").await.session().await);
    for (fan, id) in [(&alice, 2), (&bob, 2), (&alice, 4)] {
        fan.like(image(id)).await.unwrap();
    }
    let filter = GalleryFilter { sort: GallerySort::Popular, ..GalleryFilter::default() };
    let seen = walk(&guest(&world), &filter, 2, async |_| {}).await;
    let seen: Vec<(i64, i64)> = seen.iter().map(|image| (image.id.get(), image.likes)).collect();
    assert_eq!(seen, [(2, 2), (4, 1), (5, 0), (3, 0), (1, 0)]);
    world.finish().await;
});

on_every_backend!(pictures_are_found_by_category_and_tag_and_counted_alike, |backend| async move {
    let world = TestDream::start(&backend).await;
    hang_up(&world, 1..=100).await;
    let mut found = BTreeMap::new();
    for category in [None, Some("portrait"), Some("abstract"), Some("cartoon")] {
        for tag in [None, Some("ten"), Some("other"), Some("t"), Some("%")] {
            for sort in [GallerySort::Latest, GallerySort::Popular] {
                let filter = GalleryFilter { category, tag: tag.map(str::to_owned), sort };
                let mut total = None;
                let seen =
                    walk(&guest(&world), &filter, 9, async |page| total = Some(page.total.unwrap())).await;
                let right = |image: &GalleryImage| {
                    category.is_none_or(|id| image.category == id)
                        && tag.is_none_or(|tag| image.tags.iter().any(|one| one == tag))
                };
                assert!(seen.iter().all(right), "{filter:?}");
                assert_eq!(total, i64::try_from(seen.len()).ok(), "{filter:?}");
                found.insert((category, tag), seen.len());
            }
        }
    }
    let count = |category, tag| found[&(category, tag)];
    assert_eq!(count(None, None), 100);
    assert_eq!((count(Some("portrait"), None), count(Some("abstract"), None)), (50, 50));
    assert_eq!((count(None, Some("ten")), count(None, Some("other"))), (10, 90));
    assert_eq!((count(Some("portrait"), Some("ten")), count(Some("abstract"), Some("ten"))), (10, 0));
    assert_eq!((count(Some("cartoon"), None), count(None, Some("t")), count(None, Some("%"))), (0, 0, 0));
    world.finish().await;
});

on_every_backend!(a_cursor_of_one_list_opens_no_other, |backend| async move {
    let world = TestDream::start(&backend).await;
    hang_up(&world, 1..=10).await;
    let guest = guest(&world);
    let first = PageRequest::first(Limit::new(2).unwrap());
    let cursor = guest.gallery(&GalleryFilter::default(), &first).await.unwrap().next.unwrap();
    let then = PageRequest::after(first.limit, cursor);
    for filter in [
        GalleryFilter { category: Some("portrait"), ..GalleryFilter::default() },
        GalleryFilter { tag: Some("ten".to_owned()), ..GalleryFilter::default() },
        GalleryFilter { sort: GallerySort::Popular, ..GalleryFilter::default() },
    ] {
        assert_eq!(code(guest.gallery(&filter, &then).await), Code::InvalidCursor, "{filter:?}");
    }
    world.finish().await;
});
