//! Characters by hand: looking at them, and deleting one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dream_core::AuditFilter;
use dream_core::characters::{Character, NewCharacter, PhotoUpload};
use dream_core::jobs::CharacterRef;
use dream_core::kernel::PageRequest;
use dream_testkit::on_every_backend;
use dream_testkit::world::{Actor, TestDream};

use crate::shell::{Shell, columns};

async fn character_of(user: &Actor, name: &str) -> Character {
    let new = NewCharacter { name: name.parse().expect("a name"), description: None };
    user.session().await.create_character(&new).await.expect("a character")
}

async fn photographed(user: &Actor, character: &Character) {
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(8, 8).write_to(&mut png, image::ImageFormat::Png).expect("a picture");
    let photo = PhotoUpload::new(Some(STANDARD.encode(png.into_inner())), None).expect("a photo");
    user.session().await.upload_photo(&CharacterRef::Id(character.id), &photo).await.expect("a photo");
}

async fn objects(world: &TestDream) -> usize {
    world.blobs().list("", None).await.expect("a list").items.len()
}

on_every_backend!(
    characters_are_listed_of_everybody_and_of_one_user_and_shown_with_photos,
    |backend| async move {
        let world = TestDream::start(&backend).await;
        let shell = Shell::beside(&world, &backend, false);
        let (alice, bob) = (world.alice().await, world.user("bob").await);
        let (red, blue) = (character_of(&alice, "小红").await, character_of(&bob, "blue").await);
        photographed(&alice, &red).await;

        let list = shell.out(&["character", "list"]).await;
        assert_eq!(columns(&list, "ID"), ["ID", "USER", "NAME", "PHOTOS", "CREATED", "UUID"]);
        let row = columns(&list, &red.id.to_string());
        assert_eq!(row[1..4], [alice.id().to_string(), "小红".to_owned(), "1".to_owned()]);
        assert_eq!(row[5], red.uuid.to_string());
        let all = shell.json(&["character", "list", "--all"]).await;
        let ids: Vec<_> =
            all["characters"].as_array().unwrap().iter().map(|one| one["id"].as_i64()).collect();
        assert_eq!(
            (ids, all["hasMore"].as_bool()),
            (vec![Some(blue.id.get()), Some(red.id.get())], Some(false))
        );
        let some = shell.run(&["character", "list", "--limit", "1"]).await;
        assert!(some.err.contains("there are more"), "{some:?}");
        let hers = shell.json(&["character", "list", "--user", &alice.id().to_string()]).await;
        assert_eq!(
            (hers["characters"].as_array().map(Vec::len), hers["characters"][0]["name"].as_str()),
            (Some(1), Some("小红"))
        );

        for id in [red.id.to_string(), red.uuid.to_string()] {
            let shown = shell.json(&["character", "show", &id]).await;
            assert_eq!(
                (shown["uuid"].as_str(), shown["photos"].as_array().map(Vec::len)),
                (Some(&*red.uuid.to_string()), Some(1))
            );
            let human = shell.out(&["character", "show", &id]).await;
            assert_eq!(columns(&human, "name"), ["name", "小红"]);
            assert_eq!(columns(&human, "PHOTO"), ["PHOTO", "TYPE", "BYTES", "ADDRESS"]);
        }
        shell.run(&["character", "show", "999999"]).await.failed(3, "CHARACTER_NOT_FOUND");
        shell.run(&["character", "show", "somebody"]).await.failed(2, "somebody");
        world.finish().await;
    }
);

on_every_backend!(
    a_character_is_deleted_by_hand_rehearsed_logged_and_its_objects_go_too,
    |backend| async move {
        let world = TestDream::on(&backend).system_clock().start().await;
        let shell = Shell::beside(&world, &backend, false);
        let alice = world.alice().await;
        let red = character_of(&alice, "red").await;
        photographed(&alice, &red).await;
        let id = red.id.to_string();
        let mine = async || alice.session().await.characters().await.expect("one's own").len();

        shell.run(&["character", "delete", &id]).await.failed(2, "NOT_CONFIRMED");
        let rehearsed = shell.json(&["character", "delete", &id, "--dry-run"]).await;
        assert_eq!((rehearsed["dryRun"].as_bool(), rehearsed["photos"].as_i64()), (Some(true), Some(1)));
        assert_eq!((mine().await, objects(&world).await), (1, 2));

        let deleted = shell.json(&["character", "delete", &id, "--yes", "--as", "ops-1"]).await;
        assert_eq!(
            (deleted["deleted"].as_i64(), deleted["dryRun"].as_bool()),
            (Some(red.id.get()), Some(false))
        );
        assert_eq!(mine().await, 0);
        shell.run(&["character", "delete", &id, "-y"]).await.failed(3, "CHARACTER_NOT_FOUND");
        world.work().await;
        assert_eq!(objects(&world).await, 0);

        let filter = AuditFilter { target: Some(format!("character:{id}")), ..AuditFilter::default() };
        let log = world.admin().await.audit_log(&filter, &PageRequest::default()).await.unwrap().items;
        let told: Vec<_> = log.iter().map(|entry| (entry.action.as_str(), entry.actor.as_str())).collect();
        assert_eq!(told, [("character.delete", "ops-1")]);
        world.finish().await;
    }
);
