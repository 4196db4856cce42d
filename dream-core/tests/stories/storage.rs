//! Objects and rows: none of either without the other, whatever fails, and the sweep that proves it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use dream_core::characters::{NewCharacter, PhotoLink, PhotoRef, PhotoUpload};
use dream_core::jobs::{CharacterRef, GenerateRequest};
use dream_core::kernel::{PageRequest, Timestamp};
use dream_core::media::PictureKind;
use dream_core::ports::BlobKey;
use dream_core::uploads::Part;
use dream_core::{AuditFilter, Code, Facts, ProfileUpdate, SweepOptions, SweepProgress, SweepReport};
use dream_testkit::fakes::r2::operation;
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::world::{Actor, TestDream, WorldOptions, polished};

use crate::support::code;

fn png(side: u32) -> Bytes {
    let mut png = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_pixel(side, side, image::Rgb([20, 130, 90]));
    picture.write_to(&mut png, image::ImageFormat::Png).expect("a picture");
    png.into_inner().into()
}

fn text(side: u32) -> String {
    STANDARD.encode(png(side))
}

fn photo(side: u32) -> PhotoUpload {
    PhotoUpload::new(Some(text(side)), None).expect("a photo")
}

fn key(name: &str) -> BlobKey {
    name.parse().expect("a name")
}

async fn character_of(user: &Actor) -> CharacterRef {
    let new = NewCharacter { name: "face".parse().expect("a name"), description: None };
    CharacterRef::Id(user.session().await.create_character(&new).await.expect("a character").id)
}

async fn keys(world: &TestDream) -> Vec<BlobKey> {
    let page = world.blobs().list("", None).await.expect("a list");
    page.items.into_iter().map(|info| info.key).collect()
}

/// Does everything that writes or removes objects, and takes each refusal as it comes.
async fn a_busy_day(world: &TestDream) -> (usize, usize) {
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    let (face, other) = (character_of(&alice).await, character_of(&alice).await);
    let his = character_of(&bob).await;
    let mut outcomes = Vec::new();
    let me = alice.session().await;
    for side in 8..14 {
        outcomes.push(me.upload_picture(png(side), "me.png").await.map(drop));
        outcomes.push(me.upload_photo(&face, &photo(side)).await.map(drop));
        outcomes.push(me.upload_photo(&other, &photo(side)).await.map(drop));
        outcomes.push(bob.session().await.upload_photo(&his, &photo(side)).await.map(drop));
        outcomes.push(bob.session().await.upload_picture(png(side), "his.png").await.map(drop));
        let with_picture = GenerateRequest {
            input_image: Some(text(side).parse().expect("a picture")),
            ..polished("like this", 2)
        };
        outcomes.push(alice.generate(&with_picture).await.map(drop));
        outcomes.push(bob.generate(&polished("a cat", 1)).await.map(drop));
        world.work().await;
    }
    let photos = me.character(&face).await.expect("one's own").photos;
    for photo in photos.iter().take(2) {
        me.delete_photo(&face, &PhotoRef::Id(photo.id)).await.expect("removing a row needs no storage");
    }
    let kept = GenerateRequest { character: Some(face), ..polished("her face", 1) };
    outcomes.push(alice.generate(&kept).await.map(drop));
    me.delete_character(&other).await.expect("removing rows needs no storage");
    bob.session().await.delete_account().await.expect("neither does this");
    let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    (done, outcomes.len() - done)
}

async fn comes_out_even(options: WorldOptions) {
    let options =
        options.flaky_storage().settings(|settings| settings.rehost_results = true).daily_quota(100);
    let world = options.start().await;
    let (done, failed) = a_busy_day(&world).await;
    assert!(done >= 10 && failed >= 10, "{done} done, {failed} failed");
    world.settle().await;
    assert!(world.waiting().await.is_empty());
    assert!(keys(&world).await.len() >= 6);
    // The books: no object without a row, no row without its object.
    world.finish().await;
}

on_every_backend!(
    on_a_disk_that_fails_half_of_the_time_rows_and_objects_come_out_even,
    |backend| async move {
        comes_out_even(TestDream::on(&backend)).await;
    }
);

on_every_backend!(
    in_an_r2_that_fails_half_of_the_time_rows_and_objects_come_out_even,
    |backend| async move {
        comes_out_even(TestDream::on(&backend).on_r2()).await;
    }
);

on_every_backend!(an_upload_whose_answer_is_lost_leaves_nothing, |backend| async move {
    let world = TestDream::on(&backend).on_r2().start().await;
    let me = world.alice().await.session().await;
    world.r2().faults().always(operation::PUT, Fault::DropAfter);
    me.upload_picture(png(8), "a.png").await.expect_err("no answer");
    assert_eq!(keys(&world).await.len(), 1, "it was written all the same");
    world.r2().faults().clear();
    world.settle().await;
    assert_eq!(keys(&world).await, []);
    world.finish().await;
});

on_every_backend!(an_upload_dropped_half_way_leaves_nothing, |backend| async move {
    let world = TestDream::start(&backend).await;
    let me = world.alice().await.session().await;
    for steps in 0..12_usize {
        let mut upload = Box::pin(me.upload_picture(png(8), "a.png"));
        for _ in 0..steps {
            if futures_util::poll!(upload.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    world.settle().await;
    let rows = world.database().number("SELECT count(*) FROM uploads").await;
    assert_eq!(i64::try_from(keys(&world).await.len()).unwrap(), rows);
    world.finish().await;
});

on_every_backend!(an_upload_is_written_anew_and_read_whole_and_in_part, |backend| async move {
    let world = TestDream::start(&backend).await;
    let me = world.alice().await.session().await;
    let upload = me.upload_picture(png(30), "C:\\fakepath\\猫.png").await.unwrap();
    assert_eq!((upload.original_name.as_str(), upload.kind), ("猫.png", PictureKind::Png));
    assert_eq!(upload.url, world.blobs().public_url(&upload.key));
    let guest = world.nobody();
    let whole = guest.stored_picture(&upload.key, |_| Part::Whole).await.unwrap();
    let (size, whole) = (whole.info.size, whole.content.unwrap().collect().await.unwrap());
    assert_eq!(i64::try_from(whole.bytes.len()).unwrap(), upload.size);
    let range = dream_core::ports::ByteRange { first: 1, last: 3 };
    let part = guest.stored_picture(&upload.key, |_| Part::Range(range)).await.unwrap();
    let part = part.content.unwrap().collect().await.unwrap();
    assert_eq!((&part.bytes[..], part.info.size), (&b"PNG"[..], size));
    let nothing = guest.stored_picture(&upload.key, |info| {
        assert_eq!(info.size, size);
        Part::Nothing
    });
    assert!(nothing.await.unwrap().content.is_none());
    assert_eq!(code(guest.stored_picture(&key("none.png"), |_| Part::Whole).await), Code::ImageNotFound);
    let page = key("page.html");
    world.blobs().put(&page, "text/html", Bytes::from_static(b"<script>")).await.unwrap();
    assert_eq!(code(guest.stored_picture(&page, |_| Part::Whole).await), Code::ImageNotFound);
    world.blobs().delete(&page).await.unwrap();
    assert_eq!(code(me.upload_picture(Bytes::from_static(b"<html>"), "evil.png").await), Code::ImageInvalid);
    world.finish().await;
});

on_every_backend!(with_the_account_go_its_uploads, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let held = alice.session().await;
    let upload = held.upload_picture(png(8), "me.png").await.unwrap();
    held.update_profile(ProfileUpdate { nick_name: None, avatar_url: Some(upload.url.parse().unwrap()) })
        .await
        .unwrap();
    alice.session().await.delete_account().await.unwrap();
    assert_eq!(code(held.upload_picture(png(8), "ghost.png").await), Code::TokenRevoked);
    world.settle().await;
    assert_eq!(keys(&world).await, []);
    assert_eq!(world.database().number("SELECT count(*) FROM uploads").await, 0);
    world.finish().await;
});

async fn sweep(world: &TestDream, dry_run: bool) -> SweepReport {
    let options = SweepOptions { dry_run, ..SweepOptions::default() };
    world.admin().await.sweep_storage(&options, |_| {}).await.expect("a sweep")
}

/// Moves the world's clock to this long after the youngest object was written: a disk has a clock of its own.
async fn age_objects(world: &TestDream, by: Duration) {
    let page = world.blobs().list("", None).await.expect("a list");
    let youngest = page.items.iter().map(|info| info.modified).max().unwrap_or(Timestamp::from_micros(0));
    world.clock().set(youngest.plus(by).max(world.now()));
}

async fn a_swept_world(options: WorldOptions) {
    let world = options.settings(|settings| settings.rehost_results = true).start().await;
    world.dream().plant_seeds().await.expect("seeds");
    let alice = world.alice().await;
    let me = alice.session().await;
    let face = character_of(&alice).await;
    let shot = me.upload_photo(&face, &photo(20)).await.expect("a photo");
    let avatar = me.upload_picture(png(9), "me.png").await.expect("an upload");
    let avatar_url = Some(avatar.url.parse().expect("a URL"));
    me.update_profile(ProfileUpdate { nick_name: None, avatar_url }).await.expect("a profile");
    alice.generates("a cat").await;
    world.settle().await;
    let named = keys(&world).await;
    assert!(named.len() >= 8, "{named:?}");

    // What an older service left, a photo that only somebody's link names, and one that is on its way out.
    let (left, linked, leaving) = (key("left/over.png"), key("linked.png"), key("leaving.png"));
    for orphan in [&left, &linked, &leaving] {
        world.blobs().put(orphan, "image/png", png(5)).await.expect("stored");
    }
    let url: String = world.blobs().public_url(&linked);
    let link = PhotoLink {
        thumbnail_url: url.parse().expect("a URL"),
        original_url: url.parse().expect("a URL"),
        kind: PictureKind::Png,
        thumbnail_size: 0,
        original_size: 0,
    };
    me.link_photo(&face, &link).await.expect("it is ours");
    let later = world.now().plus(Duration::from_hours(24 * 365 * 10)).as_micros();
    let plan = format!(
        "INSERT INTO outbox (kind, subject, payload, priority, due_at, attempts, created_at) \
         VALUES ('blob.delete', '{leaving}', '{{}}', 0, {later}, 0, 0)"
    );
    world.database().execute(&plan).await;

    // Too young, whatever it is.
    age_objects(&world, Duration::from_hours(1)).await;
    let report = sweep(&world, false).await;
    assert_eq!((report.young, report.leaving, report.removed.len(), report.missing.len()), (1, 1, 0, 0));
    assert_eq!(report.objects, named.len() + 3);

    age_objects(&world, Duration::from_hours(25)).await;
    let rehearsal = sweep(&world, true).await;
    let only_left = |report: &SweepReport| {
        report.removed.iter().map(|removed| removed.key.clone()).collect::<Vec<_>>() == [left.clone()]
    };
    assert!(only_left(&rehearsal), "{rehearsal:?}");
    assert_eq!(keys(&world).await.len(), named.len() + 3);

    // Two objects are lost behind everybody's back.
    let original = world.blobs().key_of(&shot.original_url).expect("it is ours");
    for lost in [&avatar.key, &original] {
        world.blobs().delete(lost).await.expect("deleted");
    }
    let mut seen = Vec::new();
    let options = SweepOptions::default();
    let report = world.admin().await.sweep_storage(&options, |step| seen.push(step)).await.expect("a sweep");
    assert!(only_left(&report), "{report:?}");
    let mut missing: Vec<_> =
        report.missing.iter().map(|missing| (missing.key.clone(), missing.named_by.clone())).collect();
    missing.sort();
    let upload_row = world.database().number("SELECT id FROM uploads").await;
    let mut expected = vec![
        (avatar.key.clone(), format!("upload:{upload_row}")),
        (avatar.key.clone(), format!("user:{}", alice.id())),
        (original.clone(), format!("photo:{}", shot.id)),
    ];
    expected.sort();
    assert_eq!(missing, expected);
    assert!(seen.contains(&SweepProgress::Removing { done: 1, of: 1 }), "{seen:?}");
    assert!(matches!(seen[0], SweepProgress::Listing { objects } if objects == report.objects));
    let there = keys(&world).await;
    assert!(!there.contains(&left) && there.contains(&linked) && there.contains(&leaving));

    let log =
        world.admin().await.audit_log(&AuditFilter::default(), &PageRequest::default()).await.expect("a log");
    assert_eq!((log.items.len(), log.items[0].action.as_str()), (2, "storage.sweep"));
    let figures = log.items[0].after.as_ref().expect("figures");
    assert_eq!((figures["removed"].as_i64(), figures["missing"].as_i64()), (Some(1), Some(3)));

    // All as it was, so that the books are right.
    for (lost, side) in [(&avatar.key, 9), (&original, 20)] {
        world.blobs().put(lost, "image/png", png(side)).await.expect("stored");
    }
    world.database().execute("UPDATE outbox SET due_at = 0 WHERE kind = 'blob.delete'").await;
    world.finish().await;
}

on_every_backend!(
    the_sweep_removes_what_nothing_names_from_the_disk_and_tells_what_is_missing,
    |backend| async move {
        a_swept_world(TestDream::on(&backend)).await;
    }
);

on_every_backend!(
    the_sweep_removes_what_nothing_names_from_r2_and_tells_what_is_missing,
    |backend| async move {
        a_swept_world(TestDream::on(&backend).on_r2()).await;
    }
);

on_every_backend!(a_sweep_takes_nothing_from_those_who_write_meanwhile, |backend| async move {
    let world = TestDream::on(&backend).on_r2().start().await;
    let me = world.alice().await.session().await;
    let uploads = futures_util::future::join_all((8..20).map(|side| me.upload_picture(png(side), "a.png")));
    let (admin, options) =
        (world.admin().await, SweepOptions { dry_run: false, grace: SweepOptions::LEAST_GRACE });
    let sweeps = async {
        for _ in 0..5 {
            let report = admin.sweep_storage(&options, |_| {}).await.unwrap();
            assert_eq!((report.removed.len(), report.missing.len()), (0, 0), "{report:?}");
        }
    };
    let (uploaded, ()) = tokio::join!(uploads, sweeps);
    for upload in uploaded {
        assert!(world.blobs().head(&upload.unwrap().key).await.unwrap().is_some());
    }
    world.finish().await;
});

on_every_backend!(a_sweep_says_what_it_could_not_remove, |backend| async move {
    let world = TestDream::on(&backend).on_r2().start().await;
    let orphan = key("left/over.png");
    world.blobs().put(&orphan, "image/png", png(5)).await.unwrap();
    world.clock().advance(Duration::from_hours(48));
    let short = SweepOptions { dry_run: false, grace: Duration::from_mins(59) };
    let error = world.admin().await.sweep_storage(&short, |_| {}).await.expect_err("too short");
    assert!(matches!(error.facts(), Facts::Fields(faults) if faults[0].field == "grace"));
    world.r2().faults().always(operation::DELETE, Fault::status(403, ""));
    let report = sweep(&world, false).await;
    assert_eq!((report.removed.len(), report.failed.len(), &report.failed[0].0), (0, 1, &orphan));
    world.r2().faults().clear();
    assert_eq!(sweep(&world, false).await.removed.len(), 1);
    world.r2().faults().always(operation::LIST, Fault::status(403, ""));
    let error = world.admin().await.sweep_storage(&SweepOptions::default(), |_| {}).await;
    assert!(error.is_err());
    world.r2().faults().clear();
    world.finish().await;
});
