//! What somebody gets who asks for everything that is kept about oneself.

use dream_core::characters::{NewCharacter, PhotoUpload};
use dream_core::favorites::FavoriteKind;
use dream_core::jobs::{CharacterRef, GenerateRequest};
use dream_core::kernel::UserId;
use dream_core::points::EntryKind;
use dream_core::{Code, ProfileUpdate};
use dream_testkit::on_every_backend;
use dream_testkit::world::{TestDream, polished};

use crate::support::{code, grant};

fn png() -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([1, 2, 3]));
    picture.write_to(&mut png, image::ImageFormat::Png).expect("a picture");
    png.into_inner()
}

on_every_backend!(everything_about_a_user_is_in_its_export_and_nothing_of_others, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(1).start().await;
    world.dream().plant_seeds().await.unwrap();
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    grant(&world, &alice, 100).await;
    let me = alice.session().await;
    me.update_profile(ProfileUpdate { nick_name: Some("Alice".parse().unwrap()), avatar_url: None })
        .await
        .unwrap();
    let request =
        GenerateRequest { negative_prompt: Some("no hats".parse().unwrap()), ..polished("a cat", 2) };
    let job = alice.generate(&request).await.unwrap().job_id;
    me.add_favorite(FavoriteKind::Image, &"1".parse().unwrap()).await.unwrap();
    let new = NewCharacter { name: "face".parse().unwrap(), description: None };
    let character = CharacterRef::Id(me.create_character(&new).await.unwrap().id);
    let text = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(png())
    };
    let photo = PhotoUpload::new(Some(text), None).unwrap();
    me.upload_photo(&character, &photo).await.unwrap();
    let upload = me.upload_picture(png().into(), "me.png").await.unwrap();
    world.settle().await;
    alice.log_in_again().await;
    // Of the same kinds, somebody else's.
    grant(&world, &bob, 7).await;
    bob.generates("a dog").await;
    bob.session().await.upload_picture(png().into(), "his.png").await.unwrap();

    let export = world.admin().await.export_user(alice.id()).await.unwrap();
    assert_eq!(export, me.export().await.unwrap());
    assert_eq!((export.at, export.user.nick_name.as_deref()), (world.now(), Some("Alice")));
    assert_eq!(export.user.openid.as_deref(), Some(alice.openid()));
    assert_eq!(export.logins.len(), 2);
    let kinds: Vec<_> = export.ledger.iter().map(|entry| (entry.kind, entry.amount.get())).collect();
    assert_eq!(kinds, [(EntryKind::Earn, 100), (EntryKind::Spend, 10)]);
    let (exported, asked) = &export.jobs[0];
    assert_eq!((export.jobs.len(), exported), (1, &alice.job(&job).await));
    assert_eq!(asked["negative_prompt"], "no hats");
    assert_eq!((export.favorites.len(), export.favorites[0].resource.as_str()), (1, "1"));
    assert_eq!(export.characters, me.characters().await.unwrap());
    assert_eq!((export.characters[0].photos.len(), export.uploads.len()), (1, 1));
    assert_eq!(export.uploads[0], upload);
    assert_eq!((export.orders.len(), export.images.len()), (0, 0));

    let nobody = UserId::new(999_999).unwrap();
    assert_eq!(code(world.admin().await.export_user(nobody).await), Code::UserNotFound);
    alice.session().await.delete_account().await.unwrap();
    assert_eq!(code(me.export().await), Code::TokenRevoked);
    assert_eq!(code(world.admin().await.export_user(alice.id()).await), Code::UserNotFound);
    world.finish().await;
});
