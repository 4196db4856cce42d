//! Characters, their photos, and the faces that jobs keep.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dream_core::characters::{
    Character, CharacterUpdate, MAX_CHARACTERS, MAX_PHOTOS, NewCharacter, Photo, PhotoLink, PhotoRef,
    PhotoUpload,
};
use dream_core::jobs::{CharacterRef, GenerateRequest};
use dream_core::kernel::{Limit, PageRequest};
use dream_core::media::PictureKind;
use dream_core::ports::JobState;
use dream_core::{AuditFilter, Code, Facts, Result};
use dream_testkit::backends::Backend;
use dream_testkit::fakes::r2::operation as r2;
use dream_testkit::fakes::wechat::operation;
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::world::{Actor, TestDream, polished};

use crate::support::code;

fn named(name: &str) -> NewCharacter {
    NewCharacter { name: name.parse().expect("a name"), description: None }
}

fn by_number(character: &Character) -> CharacterRef {
    CharacterRef::Id(character.id)
}

fn png(side: u32) -> String {
    let mut png = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_pixel(side, side, image::Rgb([200, 30, 90]));
    picture.write_to(&mut png, image::ImageFormat::Png).expect("a picture");
    STANDARD.encode(png.into_inner())
}

fn photo(text: &str) -> PhotoUpload {
    PhotoUpload::new(Some(text.to_owned()), None).expect("a photo")
}

async fn character_of(user: &Actor, name: &str) -> Character {
    user.session().await.create_character(&named(name)).await.expect("a character")
}

async fn photographed(user: &Actor, character: &Character) -> Result<Photo> {
    user.session().await.upload_photo(&by_number(character), &photo(&png(16))).await
}

async fn objects(world: &TestDream) -> usize {
    world.blobs().list("", None).await.expect("a list").items.len()
}

fn link(original: &str) -> PhotoLink {
    PhotoLink {
        thumbnail_url: original.parse().expect("a URL"),
        original_url: original.parse().expect("a URL"),
        kind: PictureKind::Jpeg,
        thumbnail_size: 0,
        original_size: 0,
    }
}

on_every_backend!(a_character_is_made_read_changed_and_deleted_by_number_and_by_uuid, |backend| async move {
    let world = TestDream::start(&backend).await;
    let me = world.alice().await.session().await;
    let new = NewCharacter { description: Some("短发".parse().unwrap()), ..named("小红") };
    let made = me.create_character(&new).await.unwrap();
    assert_eq!((made.name.as_str(), made.description.as_deref()), ("小红", Some("短发")));
    assert_eq!((made.user, made.photos.len()), (me.user_id(), 0));
    let by_uuid: CharacterRef = made.uuid.to_string().parse().unwrap();
    let number: CharacterRef = made.id.to_string().parse().unwrap();
    assert_eq!(me.character(&by_uuid).await.unwrap(), made);
    assert_eq!(me.character(&number).await.unwrap(), made);

    world.clock().advance(Duration::from_secs(1));
    let update = CharacterUpdate { name: Some("小蓝".parse().unwrap()), description: None };
    let changed = me.update_character(&number, &update).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.description.as_deref()), ("小蓝", Some("短发")));
    assert!(changed.updated_at > made.updated_at && changed.created_at == made.created_at);
    let update = CharacterUpdate { name: None, description: Some(None) };
    assert_eq!(me.update_character(&by_uuid, &update).await.unwrap().description, None);
    let same = me.update_character(&by_uuid, &CharacterUpdate::default()).await.unwrap();
    assert_eq!(same, me.character(&number).await.unwrap());

    let younger = me.create_character(&named("younger")).await.unwrap();
    let names: Vec<String> = me.characters().await.unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["younger", "小蓝"]);
    me.delete_character(&by_uuid).await.unwrap();
    assert_eq!(code(me.character(&number).await), Code::CharacterNotFound);
    assert_eq!(code(me.delete_character(&number).await), Code::CharacterNotFound);
    assert_eq!(me.characters().await.unwrap(), [younger]);
    world.finish().await;
});

on_every_backend!(somebody_elses_character_is_not_there, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    let hers = character_of(&alice, "hers").await;
    let shot = photographed(&alice, &hers).await.unwrap();
    let me = bob.session().await;
    let photo_id = PhotoRef::Id(shot.id);
    for character in [by_number(&hers), CharacterRef::Uuid(hers.uuid)] {
        assert_eq!(code(me.character(&character).await), Code::CharacterNotFound);
        assert_eq!(
            code(me.update_character(&character, &CharacterUpdate::default()).await),
            Code::CharacterNotFound
        );
        assert_eq!(code(me.delete_character(&character).await), Code::CharacterNotFound);
        assert_eq!(code(me.upload_photo(&character, &photo(&png(8))).await), Code::CharacterNotFound);
        assert_eq!(code(me.photo(&character, &photo_id).await), Code::CharacterNotFound);
        assert_eq!(code(me.delete_photo(&character, &photo_id).await), Code::CharacterNotFound);
        let request = GenerateRequest { character: Some(character), ..polished("her face", 1) };
        assert_eq!(code(bob.generate(&request).await), Code::CharacterNotFound);
    }
    // A photo belongs to its own character only.
    let other = character_of(&alice, "other").await;
    assert_eq!(code(alice.session().await.photo(&by_number(&other), &photo_id).await), Code::PhotoNotFound);
    assert_eq!(alice.session().await.photo(&by_number(&hers), &photo_id).await.unwrap(), shot);
    assert_eq!(bob.session().await.characters().await.unwrap(), []);
    world.finish().await;
});

on_every_backend!(a_name_that_may_not_be_shown_is_refused_and_an_unchecked_one_too, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    let character = character_of(&alice, "fine").await;
    for name in ["risky", "违规", "review"] {
        assert_eq!(code(me.create_character(&named(name)).await), Code::ContentRejected, "{name}");
        let update = CharacterUpdate { name: Some(name.parse().unwrap()), description: None };
        assert_eq!(
            code(me.update_character(&by_number(&character), &update).await),
            Code::ContentRejected,
            "{name}"
        );
    }
    world.wechat().faults().always(operation::TEXT_CHECK, Fault::Drop);
    assert_eq!(code(me.create_character(&named("unchecked")).await), Code::UpstreamError);
    world.wechat().faults().clear();
    assert_eq!(me.characters().await.unwrap().len(), 1);
    world.finish().await;
});

on_every_backend!(a_user_has_a_hundred_characters_at_most, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    for number in 1..MAX_CHARACTERS {
        me.create_character(&named(&format!("number {number}"))).await.unwrap();
    }
    let (one, other) = (named("one"), named("other"));
    let both = tokio::join!(me.create_character(&one), me.create_character(&other));
    let refused = [both.0, both.1].into_iter().filter_map(Result::err).map(|error| error.code());
    assert_eq!(refused.collect::<Vec<_>>(), [Code::InvalidState]);
    assert_eq!(me.characters().await.unwrap().len(), 100);
    world.finish().await;
});

on_every_backend!(a_photo_is_written_anew_with_a_small_copy, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    let character = character_of(&alice, "face").await;
    let added = me.upload_photo(&by_number(&character), &photo(&png(700))).await.unwrap();
    assert_eq!((added.mime_type.as_str(), added.character), ("image/png", character.id));
    for (url, size, side) in
        [(&added.original_url, added.original_size, 700), (&added.thumbnail_url, added.thumbnail_size, 512)]
    {
        let key = world.blobs().key_of(url).expect("it is ours");
        assert!(key.as_str().starts_with("characters/"), "{key}");
        let blob = world.blobs().get(&key, None).await.unwrap().expect("it is there");
        assert_eq!(i64::try_from(blob.bytes.len()).unwrap(), size);
        assert_eq!(image::load_from_memory(&blob.bytes).unwrap().width(), side);
    }
    // With a prefix, in lines, and the small copy alone.
    let text = png(8);
    let (first, rest) = text.split_at(40);
    for text in [
        format!("data:image/jpeg;base64,{text}"),
        format!("{first}\r\n{rest}\n"),
        text.trim_end_matches('=').to_owned(),
    ] {
        me.upload_photo(&by_number(&character), &photo(&text)).await.unwrap();
    }
    let small = PhotoUpload::new(None, Some(png(20))).unwrap();
    let small = me.upload_photo(&by_number(&character), &small).await.unwrap();
    assert_ne!(small.original_url, small.thumbnail_url);
    let both = PhotoUpload::new(Some(png(30)), Some(png(600))).unwrap();
    let both = me.upload_photo(&by_number(&character), &both).await.unwrap();
    let key = world.blobs().key_of(&both.thumbnail_url).unwrap();
    let blob = world.blobs().get(&key, None).await.unwrap().unwrap();
    assert_eq!(image::load_from_memory(&blob.bytes).unwrap().width(), 512);

    let read = me.character(&by_number(&character)).await.unwrap();
    assert_eq!((read.photos.len(), &read.photos[0]), (6, &added));
    assert_eq!(me.photo(&by_number(&character), &PhotoRef::Uuid(added.uuid)).await.unwrap(), added);
    assert_eq!(objects(&world).await, 12);
    world.finish().await;
});

on_every_backend!(what_is_no_photo_is_refused_and_leaves_nothing, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    let character = character_of(&alice, "face").await;
    let html = STANDARD.encode("<html>no picture</html>");
    for text in ["", "not base64 at all!", "data:image/png,plain", "data:text/html;base64,%%%", html.as_str()]
    {
        let outcome = me.upload_photo(&by_number(&character), &photo(text)).await;
        assert_eq!(code(outcome), Code::ImageInvalid, "{text}");
    }
    let long = "A".repeat(PhotoUpload::MAX_TEXT);
    assert_eq!(code(me.upload_photo(&by_number(&character), &photo(&long)).await), Code::PayloadTooLarge);
    let neither = PhotoUpload::new(None, None).unwrap_err();
    assert_eq!(neither.code(), Code::ValidationFailed);
    assert_eq!(objects(&world).await, 0);
    assert_eq!(me.character(&by_number(&character)).await.unwrap().photos, []);
    world.finish().await;
});

on_every_backend!(of_forty_photos_at_once_ten_are_stored, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let character = character_of(&alice, "face").await;
    let adds = (0..40).map(|_| async {
        // The pictures wait for each other; who is told to come back does.
        loop {
            match photographed(&alice, &character).await {
                Err(error) if error.code() == Code::Unavailable => tokio::task::yield_now().await,
                outcome => break outcome,
            }
        }
    });
    let outcomes = futures_util::future::join_all(adds).await;
    let stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let full = |outcome: &Result<Photo>| {
        outcome.as_ref().is_err_and(|error| error.code() == Code::PhotoLimitReached)
    };
    assert_eq!((stored, outcomes.iter().filter(|outcome| full(outcome)).count()), (10, 30));
    let read = alice.session().await.character(&by_number(&character)).await.unwrap();
    assert_eq!(i64::try_from(read.photos.len()).unwrap(), MAX_PHOTOS);
    world.settle().await;
    assert_eq!(objects(&world).await, 20);
    // One goes, one comes.
    let me = alice.session().await;
    me.delete_photo(&by_number(&character), &PhotoRef::Id(read.photos[3].id)).await.unwrap();
    photographed(&alice, &character).await.unwrap();
    assert_eq!(code(photographed(&alice, &character).await), Code::PhotoLimitReached);
    world.finish().await;
});

async fn on_r2(backend: &Backend) -> TestDream {
    TestDream::on(backend).on_r2().start().await
}

on_every_backend!(the_objects_of_a_photo_go_even_if_storage_is_down_just_then, |backend| async move {
    let world = on_r2(&backend).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    let character = character_of(&alice, "face").await;
    let (one, _two) =
        (photographed(&alice, &character).await.unwrap(), photographed(&alice, &character).await.unwrap());
    world.r2().faults().always(dream_testkit::faults::ANY, Fault::status(503, ""));
    me.delete_photo(&by_number(&character), &PhotoRef::Id(one.id)).await.unwrap();
    world.work().await;
    assert_eq!(code(me.photo(&by_number(&character), &PhotoRef::Id(one.id)).await), Code::PhotoNotFound);
    assert_eq!(world.waiting().await.len(), 2);
    world.r2().faults().clear();
    world.settle().await;
    assert_eq!(objects(&world).await, 2);
    world.r2().faults().next_n(r2::DELETE, 3, Fault::Drop);
    me.delete_character(&by_number(&character)).await.unwrap();
    world.settle().await;
    assert_eq!(objects(&world).await, 0);
    world.finish().await;
});

on_every_backend!(a_photo_by_address_lies_at_an_allowed_host_and_nowhere_else, |backend| async move {
    let world = TestDream::on(&backend)
        .settings(|settings| settings.photo_hosts = vec!["photos.example".into()])
        .start()
        .await;
    let alice = world.alice().await;
    let me = alice.session().await;
    let character = by_number(&character_of(&alice, "face").await);
    let added = me.link_photo(&character, &link("https://PHOTOS.example/a.jpg?x=1")).await.unwrap();
    assert_eq!((added.mime_type.as_str(), added.original_size), ("image/jpeg", 0));
    for url in [
        "http://photos.example/a.jpg",
        "https://evil.example/a.jpg",
        "https://photos.example@evil.example/a.jpg",
        "https://photos.example:8443/a.jpg",
        "https://evil.example\\@photos.example/a.jpg",
        "https://photos.example.evil.example/a.jpg",
        "https://127.0.0.1/a.jpg",
        "https://[::1]/a.jpg",
        "https://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "https:photos.example",
        "//photos.example/a.jpg",
    ] {
        let error = me.link_photo(&character, &link(url)).await.expect_err(url);
        assert_eq!(error.code(), Code::ValidationFailed, "{url}");
        assert!(matches!(error.facts(), Facts::Fields(faults) if faults[0].field == "thumbnailUrl"), "{url}");
    }
    me.delete_photo(&character, &PhotoRef::Id(added.id)).await.unwrap();
    assert_eq!(me.character(&character).await.unwrap().photos, []);
    world.finish().await;
});

on_every_backend!(registering_anothers_photo_and_removing_it_leaves_the_others_alone, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    let hers = character_of(&alice, "hers").await;
    let shot = photographed(&alice, &hers).await.unwrap();
    let his = character_of(&bob, "his").await;
    let me = bob.session().await;
    let linked = me.link_photo(&by_number(&his), &link(&shot.original_url)).await.unwrap();
    me.delete_photo(&by_number(&his), &PhotoRef::Id(linked.id)).await.unwrap();
    me.link_photo(&by_number(&his), &link(&shot.thumbnail_url)).await.unwrap();
    me.delete_character(&by_number(&his)).await.unwrap();
    bob.session().await.delete_account().await.unwrap();
    world.settle().await;
    for url in [&shot.original_url, &shot.thumbnail_url] {
        let key = world.blobs().key_of(url).unwrap();
        assert!(world.blobs().head(&key).await.unwrap().is_some(), "{key}");
    }
    world.finish().await;
});

on_every_backend!(a_job_keeps_the_face_of_the_first_photo, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let alice = world.alice().await;
    let character = character_of(&alice, "face").await;
    let request =
        GenerateRequest { character: Some(by_number(&character)), ..polished("as an astronaut", 1) };
    assert_eq!(code(alice.generate(&request).await), Code::CharacterHasNoPhotos);
    assert_eq!((alice.used_today().await, world.image_api().jobs().len()), (0, 0));

    let first = photographed(&alice, &character).await.unwrap();
    world.clock().advance(Duration::from_secs(1));
    photographed(&alice, &character).await.unwrap();
    let by_uuid = CharacterRef::Uuid(character.uuid);
    let with_picture = GenerateRequest {
        character: Some(by_uuid),
        input_image: Some(png(64).parse().unwrap()),
        input_image_url: Some("https://example.com/other.png".parse().unwrap()),
        ..polished("as an astronaut", 1)
    };
    let job = alice.generate(&with_picture).await.unwrap().job_id;
    world.work().await;
    let upstream = &world.image_api().jobs()[0];
    let key = world.blobs().key_of(&first.original_url).unwrap();
    let bytes = world.blobs().get(&key, None).await.unwrap().unwrap().bytes;
    let expected = format!("data:image/png;base64,{}", STANDARD.encode(bytes));
    assert!(upstream.request["inputImage"] == expected.as_str(), "another picture was sent");
    assert!(upstream.request["inputImageUrl"].is_null());
    let prompt = upstream.request["prompt"].as_str().unwrap();
    assert!(prompt.starts_with("Keep the face") && prompt.ends_with("as an astronaut"), "{prompt}");
    assert_eq!(alice.job(&job).await.prompt, "as an astronaut");
    world.image_api().succeed(&upstream.id);
    world.settle().await;
    assert_eq!(objects(&world).await, 4, "the face stays when the job is done");
    world.finish().await;
});

on_every_backend!(a_linked_face_is_sent_as_an_address, |backend| async move {
    let world = TestDream::on(&backend)
        .settings(|settings| settings.photo_hosts = vec!["photos.example".into()])
        .start()
        .await;
    let alice = world.alice().await;
    let character = by_number(&character_of(&alice, "face").await);
    let url = "https://photos.example/face.jpg";
    alice.session().await.link_photo(&character, &link(url)).await.unwrap();
    alice.generate(&GenerateRequest { character: Some(character), ..polished("a hat", 1) }).await.unwrap();
    world.settle().await;
    let upstream = &world.image_api().jobs()[0];
    assert_eq!(upstream.request["inputImageUrl"], url);
    assert!(upstream.request["inputImage"].is_null());
    world.finish().await;
});

on_every_backend!(a_face_stays_until_the_job_that_needs_it_has_ended, |backend| async move {
    let world = TestDream::on(&backend).by_hand().start().await;
    let alice = world.alice().await;
    let character = character_of(&alice, "face").await;
    photographed(&alice, &character).await.unwrap();
    let request = GenerateRequest { character: Some(by_number(&character)), ..polished("a hat", 1) };
    let job = alice.generate(&request).await.unwrap().job_id;
    // The photo goes before the job is submitted, and the worker gets to both at once.
    alice.session().await.delete_character(&by_number(&character)).await.unwrap();
    world.work().await;
    let upstream = world.image_api().jobs()[0].clone();
    assert!(upstream.request["inputImage"].is_string());
    world.image_api().succeed(&upstream.id);
    world.settle().await;
    assert_eq!(alice.job(&job).await.state, JobState::Succeeded);
    assert_eq!(objects(&world).await, 0);
    world.finish().await;
});

on_every_backend!(with_the_account_go_characters_photos_and_objects, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let character = character_of(&alice, "face").await;
    photographed(&alice, &character).await.unwrap();
    let held = alice.session().await;
    alice.session().await.delete_account().await.unwrap();
    assert_eq!(code(held.create_character(&named("ghost")).await), Code::TokenRevoked);
    assert_eq!(
        code(held.upload_photo(&by_number(&character), &photo(&png(8))).await),
        Code::CharacterNotFound
    );
    world.settle().await;
    assert_eq!(objects(&world).await, 0);
    let rows = "SELECT (SELECT count(*) FROM characters) + (SELECT count(*) FROM character_photos)";
    assert_eq!(world.database().number(rows).await, 0);
    world.finish().await;
});

on_every_backend!(an_account_deleted_while_photos_arrive_leaves_none_of_them, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let character = character_of(&alice, "face").await;
    let held = alice.session().await;
    let (upload, of) = (photo(&png(8)), by_number(&character));
    let adds = futures_util::future::join_all((0..6).map(|_| held.upload_photo(&of, &upload)));
    let (added, deleted) = tokio::join!(adds, alice.session().await.delete_account());
    deleted.unwrap();
    let fine = |outcome: &Result<Photo>| match outcome {
        Ok(_) => true,
        Err(error) => matches!(error.code(), Code::CharacterNotFound | Code::Unavailable),
    };
    assert!(added.iter().all(fine), "{added:?}");
    world.settle().await;
    assert_eq!(objects(&world).await, 0);
    world.finish().await;
});

on_every_backend!(an_admin_lists_and_deletes_characters_and_it_is_written_down, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    let hers = character_of(&alice, "hers").await;
    photographed(&alice, &hers).await.unwrap();
    let his = character_of(&bob, "his").await;
    let admin = world.admin().await;
    let page = PageRequest::first(Limit::new(1).unwrap());
    let first = admin.characters(None, &page).await.unwrap();
    assert_eq!((first.items[0].id, first.items.len()), (his.id, 1));
    let next = PageRequest::after(page.limit, first.next.unwrap());
    let second = admin.characters(None, &next).await.unwrap();
    assert_eq!((second.items[0].photos.len(), second.next.is_none()), (1, true));
    let of_alice = admin.characters(Some(alice.id()), &PageRequest::default()).await.unwrap().items;
    assert_eq!(of_alice, [admin.character(&by_number(&hers)).await.unwrap()]);
    admin.delete_character(&by_number(&hers)).await.unwrap();
    assert_eq!(code(admin.delete_character(&by_number(&hers)).await), Code::CharacterNotFound);
    let log = admin.audit_log(&AuditFilter::default(), &PageRequest::default()).await.unwrap().items;
    assert_eq!((log.len(), log[0].action.as_str()), (1, "character.delete"));
    assert_eq!(log[0].before.as_ref().unwrap()["name"], "hers");
    world.finish().await;
});
