//! What users keep.

use dream_core::Code;
use dream_core::favorites::{FavoriteKind, Kept, ResourceId};
use dream_core::kernel::{Limit, PageRequest};
use dream_testkit::on_every_backend;
use dream_testkit::world::{Actor, TestDream};
use futures_util::future::join_all;

use crate::support::code;

const GLOBAL: &str = "SELECT coalesce((SELECT sum(favorites) FROM usage_hours), 0) + \
                      coalesce((SELECT sum(favorites) FROM usage_totals), 0)";

fn id(text: &str) -> ResourceId {
    text.parse().expect("an id")
}

fn first(items: i64) -> PageRequest {
    PageRequest::first(Limit::new(items).expect("a limit"))
}

async fn counted(user: &Actor) -> i64 {
    user.session().await.stats().await.expect("figures").1.total_favorites
}

on_every_backend!(fifty_equal_favorites_at_once_make_one, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    let (image, seven) = (FavoriteKind::Image, id("7"));
    let added = join_all((0..50).map(|_| me.add_favorite(image, &seven))).await;
    let added: Vec<_> = added.into_iter().map(Result::unwrap).collect();
    assert_eq!(added.iter().filter(|one| one.is_new).count(), 1);
    assert!(added.iter().all(|one| one.favorite == added[0].favorite));
    assert_eq!((counted(&alice).await, world.database().number(GLOBAL).await), (1, 1));

    let favorite = added[0].favorite.id;
    let removed = join_all((0..20).map(|_| me.remove_favorite(favorite))).await;
    assert_eq!(removed.iter().filter(|one| one.is_ok()).count(), 1);
    assert_eq!((counted(&alice).await, world.database().number(GLOBAL).await), (0, 0));
    world.finish().await;
});

on_every_backend!(a_favorite_is_its_owners_alone, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (alice, bob) = (world.alice().await.session().await, world.user("bob").await.session().await);
    let seven = id("7");
    let hers = alice.add_favorite(FavoriteKind::Image, &seven).await.unwrap().favorite;
    let his = bob.add_favorite(FavoriteKind::Image, &seven).await.unwrap();
    assert!(his.is_new && his.favorite.id != hers.id);
    assert_eq!(code(bob.remove_favorite(hers.id).await), Code::FavoriteNotFound);
    assert_eq!(alice.favorite_of(FavoriteKind::Image, &seven).await.unwrap(), Some(hers.clone()));
    // The same id of another kind is another thing.
    assert_eq!(alice.favorite_of(FavoriteKind::Prompt, &seven).await.unwrap(), None);
    alice.remove_favorite(hers.id).await.unwrap();
    assert_eq!(code(alice.remove_favorite(hers.id).await), Code::FavoriteNotFound);
    assert_eq!(bob.favorites(None, &first(10)).await.unwrap().items.len(), 1);
    world.finish().await;
});

on_every_backend!(favorites_come_with_what_they_stand_for, |backend| async move {
    let world = TestDream::start(&backend).await;
    world.dream().plant_seeds().await.unwrap();
    let me = world.alice().await.session().await;
    let picture = world.database().number("SELECT min(id) FROM gallery_images").await.to_string();
    for (kind, resource) in [
        (FavoriteKind::Image, &*picture),
        (FavoriteKind::Prompt, "portrait_film"),
        (FavoriteKind::Image, "999999"),
        (FavoriteKind::Prompt, "none"),
    ] {
        me.add_favorite(kind, &id(resource)).await.unwrap();
    }
    let page = me.favorites(None, &first(10)).await.unwrap();
    assert_eq!((page.total, page.items.len()), (Some(4), 4));
    let shown: Vec<String> = page
        .items
        .iter()
        .map(|(favorite, kept)| {
            let kept = match kept {
                Kept::Image(image) => format!("image {}", image.id),
                Kept::Prompt(prompt) => format!("prompt {}", prompt.template_id),
                Kept::Gone => "nothing".to_owned(),
            };
            format!("{} -> {kept}", favorite.resource)
        })
        .collect();
    let expected = [
        "none -> nothing".to_owned(),
        "999999 -> nothing".to_owned(),
        "portrait_film -> prompt portrait_film".to_owned(),
        format!("{picture} -> image {picture}"),
    ];
    assert_eq!(shown, expected);
    let images = me.favorites(Some(FavoriteKind::Image), &first(1)).await.unwrap();
    assert_eq!((images.total, images.items.len(), images.next.is_some()), (Some(2), 1, true));
    let prompts = me.favorites(Some(FavoriteKind::Prompt), &first(10)).await.unwrap();
    assert_eq!((prompts.total, prompts.items.len()), (Some(2), 2));
    world.finish().await;
});

on_every_backend!(favorites_of_one_instant_page_without_gap_or_repeat, |backend| async move {
    let world = TestDream::start(&backend).await;
    let me = world.alice().await.session().await;
    for number in 1..=30 {
        me.add_favorite(FavoriteKind::Image, &id(&number.to_string())).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut request = first(7);
    loop {
        let page = me.favorites(None, &request).await.unwrap();
        seen.extend(page.items.iter().map(|(favorite, _)| favorite.resource.to_string()));
        match page.next {
            Some(next) => request = PageRequest::after(request.limit, next),
            None => break,
        }
    }
    assert_eq!(seen, (1..=30).rev().map(|number| number.to_string()).collect::<Vec<_>>());
    let third = PageRequest::numbered(Limit::new(7).unwrap(), 3).unwrap();
    let third = me.favorites(None, &third).await.unwrap();
    assert_eq!(third.items[0].0.resource.as_str(), "16");
    world.finish().await;
});

on_every_backend!(the_favorites_of_a_deleted_user_go_and_count_no_longer, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    me.add_favorite(FavoriteKind::Image, &id("1")).await.unwrap();
    me.add_favorite(FavoriteKind::Prompt, &id("a")).await.unwrap();
    alice.session().await.delete_account().await.unwrap();
    assert_eq!(code(me.add_favorite(FavoriteKind::Image, &id("2")).await), Code::TokenRevoked);
    assert_eq!(world.database().number("SELECT count(*) FROM favorites").await, 0);
    assert_eq!(world.database().number(GLOBAL).await, 0);
    world.finish().await;
});
