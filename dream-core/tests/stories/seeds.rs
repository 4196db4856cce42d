//! What a new installation starts with.

use dream_core::gallery::GalleryFilter;
use dream_core::kernel::PageRequest;
use dream_core::templates::PromptFilter;
use dream_core::vip::Level;
use dream_core::{SeedReport, Visitor};
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;

on_every_backend!(
    three_plans_ten_prompts_eight_parameter_sets_and_two_pictures_are_planted,
    |backend| async move {
        let world = TestDream::start(&backend).await;
        let planted = world.dream().plant_seeds().await.unwrap();
        assert_eq!(planted, SeedReport { planted: 23, left_alone: 0 });
        let guest = world.nobody();
        let plans = guest.plans().await.unwrap();
        let offered: Vec<_> = plans
            .iter()
            .map(|plan| {
                (
                    plan.plan_id.as_str(),
                    plan.level,
                    plan.duration_days,
                    plan.current_price.get(),
                    plan.popular,
                )
            })
            .collect();
        assert_eq!(
            offered,
            [
                ("vip_month", Level::Vip, 30, 1999, false),
                ("vip_year", Level::Vip, 365, 19_990, true),
                ("svip_lifetime", Level::Svip, 36_500, 199_900, false),
            ]
        );
        assert_eq!(guest.prompt_templates(&PromptFilter::default()).await.unwrap().len(), 10);
        assert_eq!(guest.param_templates().await.unwrap().len(), 8);
        let gallery = Visitor::Guest(world.nobody());
        let gallery = gallery.gallery(&GalleryFilter::default(), &PageRequest::default()).await.unwrap();
        assert_eq!((gallery.items.len(), gallery.total), (2, Some(2)));
        for image in &gallery.items {
            for url in [&image.image_url, &image.thumbnail_url] {
                let key = world.blobs().key_of(url).expect("it is ours");
                assert!(world.blobs().head(&key).await.unwrap().is_some(), "{url}");
            }
        }
        world.finish().await;
    }
);

on_every_backend!(planting_twice_changes_nothing, |backend| async move {
    let world = TestDream::start(&backend).await;
    world.dream().plant_seeds().await.unwrap();
    let all = async || {
        let guest = world.nobody();
        let plans = guest.plans().await.unwrap();
        let prompts = guest.prompt_templates(&PromptFilter::default()).await.unwrap();
        (plans, prompts, guest.param_templates().await.unwrap())
    };
    let before = all().await;
    let (other, _worker) = world.another_node().await;
    let (here, there) = tokio::join!(world.dream().plant_seeds(), other.plant_seeds());
    let nothing_new = SeedReport { planted: 0, left_alone: 23 };
    assert_eq!((here.unwrap(), there.unwrap()), (nothing_new, nothing_new));
    assert_eq!(all().await, before);
    world.finish().await;
});

on_every_backend!(planting_by_two_nodes_at_once_plants_once, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (other, _worker) = world.another_node().await;
    let (here, there) = tokio::join!(world.dream().plant_seeds(), other.plant_seeds());
    assert_eq!(here.unwrap().planted + there.unwrap().planted, 23);
    assert_eq!(world.nobody().plans().await.unwrap().len(), 3);
    world.finish().await;
});

on_every_backend!(what_an_admin_edited_or_removed_stays_so, |backend| async move {
    let world = TestDream::start(&backend).await;
    world.dream().plant_seeds().await.unwrap();
    let database = world.database();
    database.execute("DELETE FROM prompt_templates WHERE template_id = 'portrait_film'").await;
    database.execute("UPDATE prompt_templates SET title = 'mine' WHERE template_id = 'landscape_ink'").await;
    database.execute("UPDATE plans SET current_price = 1 WHERE plan_id = 'vip_month'").await;
    assert_eq!(world.dream().plant_seeds().await.unwrap().planted, 0);
    let guest = world.nobody();
    let prompts = guest.prompt_templates(&PromptFilter::default()).await.unwrap();
    assert_eq!(prompts.len(), 9);
    let edited = guest.prompt_template(&"landscape_ink".parse().unwrap()).await.unwrap();
    assert_eq!(edited.content.title.as_str(), "mine");
    assert_eq!(guest.plans().await.unwrap()[0].current_price.get(), 1);
    world.finish().await;
});
