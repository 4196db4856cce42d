//! The storage of pictures, looked after by hand.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use dream_core::AuditFilter;
use dream_core::kernel::PageRequest;
use dream_core::ports::BlobKey;
use dream_testkit::backends::Backend;
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;

use crate::shell::{Shell, columns};

const DAY: Duration = Duration::from_hours(24);

fn file_of(backend: &Backend, key: &str) -> PathBuf {
    backend.folder().join("uploads").join(key)
}

/// Writes an object that no row names, as if so long ago.
async fn leftover(world: &TestDream, backend: &Backend, key: &str, age: Duration) {
    let name: BlobKey = key.parse().expect("a name");
    world.blobs().put(&name, "image/png", "left over".into()).await.expect("written");
    let file = File::options().write(true).open(file_of(backend, key)).expect("it lies on the disk");
    file.set_modified(SystemTime::now() - age).expect("a time");
}

async fn keys(world: &TestDream) -> Vec<String> {
    let page = world.blobs().list("", None).await.expect("a list");
    page.items.into_iter().map(|info| info.key.to_string()).collect()
}

on_every_backend!(a_sweep_removes_what_nothing_names_and_is_old_rehearsed_and_logged, |backend| async move {
    let world = TestDream::on(&backend).system_clock().start().await;
    let shell = Shell::beside(&world, &backend, false);
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(8, 8).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let me = world.alice().await.session().await;
    let kept = me.upload_picture(png.into_inner().into(), "me.png").await.unwrap().key.to_string();
    leftover(&world, &backend, "results/old_0.png", 3 * DAY).await;
    leftover(&world, &backend, "results/young_0.png", Duration::from_mins(30)).await;
    let mut all = vec![kept.clone(), "results/old_0.png".to_owned(), "results/young_0.png".to_owned()];
    all.sort_unstable();

    shell.run(&["storage", "sweep"]).await.failed(2, "NOT_CONFIRMED");
    shell.run(&["storage", "sweep", "--grace", "10m", "-y"]).await.failed(2, "grace");
    let rehearsed = shell.json(&["storage", "sweep", "--dry-run"]).await;
    assert_eq!((rehearsed["dryRun"].as_bool(), rehearsed["objects"].as_i64()), (Some(true), Some(3)));
    assert_eq!(rehearsed["removed"][0]["key"], "results/old_0.png");
    assert_eq!(
        (rehearsed["removed"].as_array().map(Vec::len), rehearsed["young"].as_i64()),
        (Some(1), Some(1))
    );
    let mut there = keys(&world).await;
    there.sort_unstable();
    assert_eq!(there, all, "a rehearsal removes nothing");

    let told = shell.out(&["storage", "sweep", "--yes", "--as", "ops-1"]).await;
    assert_eq!(columns(&told, "removed"), ["removed", "1 (9 bytes)"]);
    assert_eq!(columns(&told, "results/old_0.png")[1], "9");
    assert!(!keys(&world).await.contains(&"results/old_0.png".to_owned()));
    // What is young to a day's grace is old to an hour's.
    leftover(&world, &backend, "results/young_0.png", Duration::from_mins(90)).await;
    let swept = shell.json(&["storage", "sweep", "--grace", "1h", "-y"]).await;
    assert_eq!(
        (swept["removed"][0]["key"].as_str(), swept["removedBytes"].as_i64()),
        (Some("results/young_0.png"), Some(9))
    );
    assert_eq!(keys(&world).await, [kept]);

    let filter = AuditFilter { action: Some("storage.sweep".to_owned()), ..AuditFilter::default() };
    let log = world.admin().await.audit_log(&filter, &PageRequest::default()).await.unwrap().items;
    let actors: Vec<&str> = log.iter().map(|entry| entry.actor.as_str()).collect();
    assert_eq!(actors, ["cli", "ops-1"], "a rehearsal is no deed");
    world.finish().await;
});

on_every_backend!(
    what_rows_name_and_storage_has_lost_is_told_with_an_exit_code_of_its_own,
    |backend| async move {
        let world = TestDream::on(&backend).system_clock().start().await;
        let shell = Shell::beside(&world, &backend, false);
        assert_eq!(
            shell.json(&["storage", "sweep", "-y"]).await["missing"].as_array().map(Vec::len),
            Some(0)
        );
        let mut png = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(8, 8).write_to(&mut png, image::ImageFormat::Png).unwrap();
        let me = world.alice().await.session().await;
        let lost = me.upload_picture(png.into_inner().into(), "me.png").await.unwrap().key.to_string();
        let aside = backend.folder().join("aside");
        fs::rename(file_of(&backend, &lost), &aside).unwrap();
        let told = shell.run(&["storage", "sweep", "-y"]).await;
        assert_eq!(told.code, 6, "{told:?}");
        assert!(columns(&told.out, &lost)[1].starts_with("upload:"), "{told:?}");
        fs::rename(&aside, file_of(&backend, &lost)).unwrap();
        shell.run(&["storage", "sweep", "-y"]).await.done();
        world.finish().await;
    }
);
