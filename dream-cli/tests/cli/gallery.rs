//! The gallery by hand: looking, letting go public, keeping back, taking out.

use dream_core::gallery::{self, ImageStatus, Publication};
use dream_core::kernel::{ImageId, PageRequest};
use dream_core::{AuditFilter, Visitor};
use dream_testkit::backends::Backend;
use dream_testkit::fakes::wechat::{MediaPlan, PushPlan, Suggest};
use dream_testkit::on_every_backend;
use dream_testkit::wait::eventually;
use dream_testkit::world::TestDream;

use crate::shell::Shell;

const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// A world in which a picture of Alice's waits for a person.
async fn with_a_doubtful_picture(backend: &Backend) -> (TestDream, Shell, ImageId) {
    let world = TestDream::start(backend).await;
    let alice = world.alice().await;
    let job = alice.generates("odd").await.job_id;
    world.settle().await;
    world.wechat().plan_media(MediaPlan { push: PushPlan::Once, suggest: Some(Suggest::Review) });
    let category = gallery::category("abstract").expect("a category");
    let publication = Publication { job, index: 0, category, tags: Vec::new() };
    let image = alice.session().await.publish(&publication).await.expect("published").id;
    world.work().await;
    let decided = || world.wechat().media_checks().iter().any(|check| !check.pushes.is_empty());
    assert!(eventually(SOON, decided).await);
    let shell = Shell::beside(&world, backend, false);
    (world, shell, image)
}

async fn status(world: &TestDream, image: ImageId) -> ImageStatus {
    world.admin().await.gallery_image(image).await.expect("a picture").status
}

on_every_backend!(pictures_that_wait_are_listed_and_shown_with_what_was_found, |backend| async move {
    let (world, shell, image) = with_a_doubtful_picture(&backend).await;
    let id = image.to_string();
    let list = shell.run(&["gallery", "list"]).await;
    let head = ["ID", "AUTHOR", "CATEGORY", "LIKES", "TEXT", "PICTURE", "CREATED", "URL"];
    assert_eq!(list.columns("ID"), head);
    assert_eq!(list.columns(&id)[2..6], ["abstract", "0", "pass", "review"]);
    let json = shell.json(&["gallery", "list", "--status", "pending"]).await;
    assert_eq!((json["images"].as_array().map(Vec::len), json["hasMore"].as_bool()), (Some(1), Some(false)));
    assert_eq!(json["images"][0]["pictureVerdict"], "REVIEW");
    let none = shell.json(&["gallery", "list", "--status", "removed", "--all"]).await;
    assert_eq!(none["images"].as_array().map(Vec::len), Some(0));
    assert_eq!(shell.run(&["gallery", "show", &id]).await.columns("status"), ["status", "PENDING"]);
    assert_eq!(shell.json(&["gallery", "show", &id]).await["image"]["id"], image.get());
    shell.run(&["gallery", "show", "999999"]).await.failed(3, "IMAGE_NOT_FOUND");
    shell.run(&["gallery", "list", "--status", "gone"]).await.failed(2, "PENDING, PUBLIC");
    world.finish().await;
});

on_every_backend!(a_picture_is_judged_by_hand_rehearsed_and_logged, |backend| async move {
    let (world, shell, image) = with_a_doubtful_picture(&backend).await;
    let id = image.to_string();
    for args in [
        &["gallery", "approve", &id][..],
        &["gallery", "reject", &id, "--reason", "x"],
        &["gallery", "remove", &id, "--reason", "x"],
    ] {
        shell.run(args).await.failed(2, "NOT_CONFIRMED");
        let rehearsal: Vec<&str> = args.iter().copied().chain(["--dry-run"]).collect();
        assert_eq!(shell.json(&rehearsal).await["dryRun"], true, "{args:?}");
        assert_eq!(status(&world, image).await, ImageStatus::Pending, "{args:?}");
    }
    shell.run(&["gallery", "reject", &id, "--yes"]).await.failed(2, "--reason");

    let approved = shell.json(&["gallery", "approve", &id, "--yes", "--as", "ops-1"]).await;
    assert_eq!((approved["status"].as_str(), approved["dryRun"].as_bool()), (Some("PUBLIC"), Some(false)));
    assert!(Visitor::Guest(world.nobody()).gallery_image(image).await.is_ok());
    shell.run(&["gallery", "approve", &id, "-y"]).await.failed(4, "INVALID_STATE");
    shell.out(&["gallery", "reject", &id, "--reason", "on second thoughts", "-y"]).await;
    assert_eq!(status(&world, image).await, ImageStatus::Rejected);
    let removed = shell.json(&["gallery", "remove", &id, "--reason", "complaints", "-y"]).await;
    assert_eq!(removed["removed"], image.get());
    assert_eq!(status(&world, image).await, ImageStatus::Removed);
    shell.run(&["gallery", "remove", &id, "--reason", "x", "-y"]).await.failed(3, "IMAGE_NOT_FOUND");

    let filter = AuditFilter { target: Some(format!("image:{id}")), ..AuditFilter::default() };
    let log = world.admin().await.audit_log(&filter, &PageRequest::default()).await.unwrap().items;
    let told: Vec<_> = log
        .iter()
        .map(|entry| (entry.action.as_str(), entry.actor.as_str(), entry.reason.as_deref()))
        .collect();
    let expected = [
        ("gallery.remove", "cli", Some("complaints")),
        ("gallery.reject", "cli", Some("on second thoughts")),
        ("gallery.approve", "ops-1", None),
    ];
    assert_eq!(told, expected);
    world.finish().await;
});
