//! The quotas of one user: bytes of stored images and pending orders; `favorites` tests the quota of favorites.
//!
//! Each quota is enforced in the transaction that adds to it, so parallel requests cannot exceed it, and bytes are
//! counted down when objects are removed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use dream_core::characters::{NewCharacter, PhotoRef, PhotoUpload};
use dream_core::jobs::CharacterRef;
use dream_core::media::{self, Owner};
use dream_core::orders::WECHAT;
use dream_core::{Code, Facts, Result, UserLimits};
use dream_testkit::backends::{Backend, BackendKind};
use dream_testkit::on_every_backend;
use dream_testkit::world::{Actor, TestDream};
use futures_util::future::join_all;

use crate::shop::{pays, points, told};
use crate::support::code;

const STORED: &str = "SELECT stored_bytes FROM user_counters WHERE user_id = \
                      (SELECT id FROM users WHERE openid = 'o-alice')";

/// Stored as it is, give or take a few bytes.
fn noise(side: u32) -> Bytes {
    let mut random = fastrand::Rng::with_seed(u64::from(side));
    let picture = image::RgbImage::from_fn(side, side, |_, _| image::Rgb([random.u8(..), random.u8(..), 0]));
    let mut png = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png).expect("a picture");
    png.into_inner().into()
}

async fn world_with(backend: &Backend, limits: UserLimits) -> TestDream {
    TestDream::on(backend).taking_payments().settings(|settings| settings.user_limits = limits).start().await
}

fn bytes(limit: i64) -> UserLimits {
    UserLimits { storage_bytes: Some(limit), ..UserLimits::default() }
}

async fn photographed(user: &Actor, character: &CharacterRef) -> Result<PhotoRef> {
    let photo = PhotoUpload::new(Some(STANDARD.encode(noise(32))), None).expect("a photo");
    Ok(PhotoRef::Uuid(user.session().await.upload_photo(character, &photo).await?.uuid))
}

on_every_backend!(parallel_uploads_cannot_exceed_the_storage_of_a_user, |backend| async move {
    let one = media::clean(Owner::Service, noise(32)).await.unwrap().bytes.len();
    let one = i64::try_from(one).unwrap();
    let limit = one * 3 + one / 2;
    let world = world_with(&backend, bytes(limit)).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    let uploads = join_all((0..12).map(|_| me.upload_picture(noise(32), "a.png"))).await;
    let (kept, refused): (Vec<_>, Vec<_>) = uploads.into_iter().partition(Result::is_ok);
    assert_eq!((kept.len(), refused.len()), (3, 9));
    for refused in refused {
        let error = refused.unwrap_err();
        assert_eq!(error.code(), Code::StorageLimitReached);
        assert!(
            matches!(error.facts(), Facts::Limit { limit: said, used } if *said == limit && *used <= limit)
        );
    }
    assert_eq!(world.database().number(STORED).await, one * 3);
    world.settle().await;
    assert_eq!(world.blobs().list("", None).await.unwrap().items.len(), 3, "what was refused is removed");
    // Another user has storage of their own.
    assert!(world.user("bob").await.session().await.upload_picture(noise(32), "b.png").await.is_ok());
    me.delete_account().await.unwrap();
    assert_eq!(world.database().number("SELECT min(stored_bytes) FROM user_counters").await, 0);
    world.finish().await;
});

on_every_backend!(removed_photos_are_counted_no_longer, |backend| async move {
    let world = world_with(&backend, bytes(14_000)).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    let new = NewCharacter { name: "face".parse().unwrap(), description: None };
    let character = CharacterRef::Id(me.create_character(&new).await.unwrap().id);
    let first = photographed(&alice, &character).await.unwrap();
    let one = world.database().number(STORED).await;
    assert!(one > 2_000, "the photo and its small copy: {one} bytes");
    let mut photos = 1;
    let refused = loop {
        match photographed(&alice, &character).await {
            Ok(_) => photos += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(
        (refused.code(), world.database().number(STORED).await),
        (Code::StorageLimitReached, one * photos)
    );
    assert_eq!(code(me.upload_picture(noise(64), "a.png").await), Code::StorageLimitReached);
    me.delete_photo(&character, &first).await.unwrap();
    assert_eq!(world.database().number(STORED).await, one * (photos - 1));
    photographed(&alice, &character).await.unwrap();
    me.delete_character(&character).await.unwrap();
    assert_eq!(world.database().number(STORED).await, 0);
    world.finish().await;
});

on_every_backend!(the_migration_counts_what_is_stored_already, |backend| async move {
    let world = world_with(&backend, UserLimits::default()).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    me.upload_picture(noise(32), "a.png").await.unwrap();
    let new = NewCharacter { name: "face".parse().unwrap(), description: None };
    let character = CharacterRef::Id(me.create_character(&new).await.unwrap().id);
    photographed(&alice, &character).await.unwrap();
    world.user("bob").await;
    let counted = world.database().number(STORED).await;
    world.database().execute("UPDATE user_counters SET stored_bytes = 7").await;
    let migration = match backend.kind() {
        BackendKind::Sqlite => include_str!("../../migrations/sqlite/0006_user_limits.sql"),
        BackendKind::Postgres => include_str!("../../migrations/postgres/0006_user_limits.sql"),
    };
    let statements: Vec<&str> =
        migration.split(';').filter(|text| text.contains("UPDATE user_counters")).collect();
    assert_eq!(statements.len(), 1);
    world.database().execute(statements[0]).await;
    assert_eq!(world.database().number(STORED).await, counted);
    assert_eq!(world.database().number("SELECT min(stored_bytes) FROM user_counters").await, 0);
    world.finish().await;
});

on_every_backend!(parallel_purchases_cannot_exceed_the_open_orders_of_a_user, |backend| async move {
    let limits = UserLimits { open_orders: Some(3), ..UserLimits::default() };
    let world = world_with(&backend, limits).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    let orders = join_all((0..10).map(|_| me.recharge(points(5), WECHAT, None))).await;
    let (placed, refused): (Vec<_>, Vec<_>) = orders.into_iter().partition(Result::is_ok);
    assert_eq!((placed.len(), refused.len()), (3, 7));
    for refused in refused {
        let error = refused.unwrap_err();
        assert_eq!(error.code(), Code::OrderLimitReached);
        assert_eq!(error.facts(), &Facts::Limit { limit: 3, used: 3 });
    }
    // One that is paid is open no longer, and neither are those that expire.
    let first = placed.into_iter().next().unwrap().unwrap();
    pays(&world, &first);
    told(&world).await;
    assert!(me.recharge(points(5), WECHAT, None).await.is_ok());
    assert_eq!(code(me.recharge(points(5), WECHAT, None).await), Code::OrderLimitReached);
    world.clock().advance(Duration::from_mins(40));
    world.settle().await;
    assert!(me.recharge(points(5), WECHAT, None).await.is_ok());
    world.finish().await;
});
