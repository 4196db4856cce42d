//! What users keep.

use dream_core::favorites::{FavoriteKind, Kept, ResourceId};
use dream_core::kernel::{Limit, PageRequest};
use dream_core::templates::PromptFilter;
use dream_core::{Code, Facts, UserLimits};
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

/// A world with its seeds, and a public picture of it.
async fn seeded(backend: &dream_testkit::backends::Backend) -> (TestDream, ResourceId) {
    seeded_with(TestDream::on(backend)).await
}

async fn seeded_with(world: dream_testkit::world::WorldOptions) -> (TestDream, ResourceId) {
    let world = world.start().await;
    world.dream().plant_seeds().await.expect("seeds");
    let picture = world.database().number("SELECT min(id) FROM gallery_images").await;
    (world, id(&picture.to_string()))
}

/// Everything of the seeds that can be kept.
async fn everything(world: &TestDream) -> Vec<(FavoriteKind, ResourceId)> {
    let prompts = world.nobody().prompt_templates(&PromptFilter::default()).await.expect("templates");
    let prompts = prompts.iter().map(|one| (FavoriteKind::Prompt, id(one.template_id.as_str())));
    let first_picture = world.database().number("SELECT min(id) FROM gallery_images").await;
    let pictures = [first_picture, first_picture + 1].map(|one| (FavoriteKind::Image, id(&one.to_string())));
    prompts.chain(pictures).collect()
}

async fn counted(user: &Actor) -> i64 {
    user.session().await.stats().await.expect("figures").1.total_favorites
}

on_every_backend!(fifty_equal_favorites_at_once_make_one, |backend| async move {
    let (world, seven) = seeded(&backend).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    let image = FavoriteKind::Image;
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
    let (world, seven) = seeded(&backend).await;
    let (alice, bob) = (world.alice().await.session().await, world.user("bob").await.session().await);
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
    let (world, picture) = seeded(&backend).await;
    let me = world.alice().await.session().await;
    let gone = id(&(picture.as_str().parse::<i64>().unwrap() + 1).to_string());
    for (kind, resource) in [
        (FavoriteKind::Image, &picture),
        (FavoriteKind::Prompt, &id("portrait_film")),
        (FavoriteKind::Image, &gone),
    ] {
        me.add_favorite(kind, resource).await.unwrap();
    }
    let gone_id = gone.as_str().parse().unwrap();
    world.admin().await.remove_image(gone_id, None).await.unwrap();
    let page = me.favorites(None, &first(10)).await.unwrap();
    assert_eq!((page.total, page.items.len()), (Some(3), 3));
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
        format!("{gone} -> nothing"),
        "portrait_film -> prompt portrait_film".to_owned(),
        format!("{picture} -> image {picture}"),
    ];
    assert_eq!(shown, expected);
    let images = me.favorites(Some(FavoriteKind::Image), &first(1)).await.unwrap();
    assert_eq!((images.total, images.items.len(), images.next.is_some()), (Some(2), 1, true));
    let prompts = me.favorites(Some(FavoriteKind::Prompt), &first(10)).await.unwrap();
    assert_eq!((prompts.total, prompts.items.len()), (Some(1), 1));
    world.finish().await;
});

on_every_backend!(what_does_not_exist_or_is_not_public_is_not_kept, |backend| async move {
    let (world, picture) = seeded(&backend).await;
    let me = world.alice().await.session().await;
    for resource in ["999999", "0", "-1", "portrait_film", "99999999999999999999"] {
        assert_eq!(
            code(me.add_favorite(FavoriteKind::Image, &id(resource)).await),
            Code::ImageNotFound,
            "{resource}"
        );
    }
    for resource in ["none", "1", "字"] {
        assert_eq!(code(me.add_favorite(FavoriteKind::Prompt, &id(resource)).await), Code::TemplateNotFound);
    }
    world.admin().await.remove_image(picture.as_str().parse().unwrap(), None).await.unwrap();
    assert_eq!(code(me.add_favorite(FavoriteKind::Image, &picture).await), Code::ImageNotFound);
    assert_eq!(world.database().number("SELECT count(*) FROM favorites").await, 0);
    world.finish().await;
});

on_every_backend!(parallel_requests_cannot_exceed_the_limit_of_favorites, |backend| async move {
    let limits = UserLimits { favorites: Some(4), ..UserLimits::default() };
    let world = TestDream::on(&backend).settings(move |settings| settings.user_limits = limits);
    let (world, _) = seeded_with(world).await;
    let me = world.alice().await.session().await;
    let things = everything(&world).await;
    let added = join_all(things.iter().map(|(kind, resource)| me.add_favorite(*kind, resource))).await;
    let (kept, refused): (Vec<_>, Vec<_>) = added.into_iter().partition(Result::is_ok);
    assert_eq!((kept.len(), refused.len()), (4, things.len() - 4));
    for refused in refused {
        let error = refused.unwrap_err();
        assert_eq!(error.code(), Code::FavoriteLimitReached);
        assert_eq!(error.facts(), &Facts::Limit { limit: 4, used: 4 });
    }
    // What is there already is given again, and what goes makes room.
    let favorite = kept[0].as_ref().unwrap().favorite.clone();
    assert!(!me.add_favorite(favorite.kind, &favorite.resource).await.unwrap().is_new);
    me.remove_favorite(favorite.id).await.unwrap();
    assert!(me.add_favorite(favorite.kind, &favorite.resource).await.unwrap().is_new);
    // Another user has a limit of their own.
    let bob = world.user("bob").await.session().await;
    assert!(bob.add_favorite(favorite.kind, &favorite.resource).await.is_ok());
    world.finish().await;
});

on_every_backend!(favorites_of_one_instant_page_without_gap_or_repeat, |backend| async move {
    let (world, _) = seeded(&backend).await;
    let me = world.alice().await.session().await;
    let things = everything(&world).await;
    assert_eq!(things.len(), 12);
    for (kind, resource) in &things {
        me.add_favorite(*kind, resource).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut request = first(5);
    loop {
        let page = me.favorites(None, &request).await.unwrap();
        seen.extend(page.items.iter().map(|(favorite, _)| favorite.resource.clone()));
        match page.next {
            Some(next) => request = PageRequest::after(request.limit, next),
            None => break,
        }
    }
    let newest_first: Vec<_> = things.iter().rev().map(|(_, resource)| resource.clone()).collect();
    assert_eq!(seen, newest_first);
    let third = PageRequest::numbered(Limit::new(5).unwrap(), 3).unwrap();
    let third = me.favorites(None, &third).await.unwrap();
    assert_eq!(third.items[0].0.resource, newest_first[10]);
    world.finish().await;
});

on_every_backend!(the_favorites_of_a_deleted_user_go_and_count_no_longer, |backend| async move {
    let (world, picture) = seeded(&backend).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    me.add_favorite(FavoriteKind::Image, &picture).await.unwrap();
    me.add_favorite(FavoriteKind::Prompt, &id("portrait_film")).await.unwrap();
    alice.session().await.delete_account().await.unwrap();
    assert_eq!(code(me.add_favorite(FavoriteKind::Image, &id("2")).await), Code::TokenRevoked);
    assert_eq!(world.database().number("SELECT count(*) FROM favorites").await, 0);
    assert_eq!(world.database().number(GLOBAL).await, 0);
    world.finish().await;
});
