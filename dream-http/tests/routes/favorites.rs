//! Favorites.

use dream_testkit::on_every_backend;
use serde_json::json;

use crate::site::{Site, members};

on_every_backend!(a_favorite_is_kept_once_shown_and_removed, |backend| async move {
    let site = Site::open(&backend).await;
    site.world.dream().plant_seeds().await.unwrap();
    let alice = site.user("alice").await;
    let image = site.nobody().get("/v1/gallery/images").await.ok(200)["items"][0].clone();
    let body = json!({ "type": "image", "resourceId": image["id"].to_string() });
    let favorite = alice.post("/v1/favorites", &body).await.ok(201);
    assert_eq!(members(&favorite), ["createdAt", "favoriteId", "id", "resourceId", "type", "userId"]);
    assert_eq!(alice.post("/v1/favorites", &body).await.ok(200), favorite);
    let prompt = json!({ "type": "prompt", "resourceId": "portrait_film" });
    alice.post("/v1/favorites", &prompt).await.ok(201);

    let list = alice.get("/v1/favorites?page=1").await.ok(200);
    assert_eq!(members(&list), ["hasMore", "items", "limit", "nextCursor", "page", "total"]);
    assert_eq!((list["total"].as_i64(), list["items"].as_array().map(Vec::len)), (Some(2), Some(2)));
    assert_eq!(list["items"][0]["template"]["templateId"], "portrait_film");
    assert!(list["items"][0]["image"].is_null() && list["items"][1]["template"].is_null());
    assert_eq!(list["items"][1]["image"]["imageUrl"], image["imageUrl"]);
    let images = alice.get("/v1/favorites?type=image").await.ok(200);
    assert_eq!(
        (images["total"].as_i64(), images["items"][0]["id"].as_i64()),
        (Some(1), favorite["id"].as_i64())
    );
    assert_eq!(alice.get("/v1/users/me/stats").await.ok(200)["stats"]["totalFavorites"], 2);

    let check = format!("/v1/favorites/check?type=image&resourceId={}", image["id"]);
    let kept = json!({ "isFavorited": true, "favoriteId": favorite["id"] });
    assert_eq!(alice.get(&check).await.ok(200), kept);
    let path = format!("/v1/favorites/{}", favorite["id"]);
    site.user("bob").await.delete(&path).await.refused(404, "FAVORITE_NOT_FOUND");
    assert_eq!(members(&alice.delete(&path).await.ok(200)), ["message"]);
    alice.delete(&path).await.refused(404, "FAVORITE_NOT_FOUND");
    alice.delete("/v1/favorites/x").await.refused(404, "FAVORITE_NOT_FOUND");
    assert_eq!(alice.get(&check).await.ok(200), json!({ "isFavorited": false, "favoriteId": null }));
    let absent = json!({ "type": "image", "resourceId": "999999" });
    alice.post("/v1/favorites", &absent).await.refused(404, "IMAGE_NOT_FOUND");
    let absent = json!({ "type": "prompt", "resourceId": "none" });
    alice.post("/v1/favorites", &absent).await.refused(404, "TEMPLATE_NOT_FOUND");
    site.close().await;
});

on_every_backend!(every_fault_of_a_favorite_is_named, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let missing = ["type REQUIRED", "resourceId REQUIRED"];
    assert_eq!(alice.post("/v1/favorites", &json!({})).await.faults(), missing);
    assert_eq!(alice.get("/v1/favorites/check").await.faults(), missing);
    assert_eq!(alice.get("/v1/favorites/check?type=image").await.faults(), ["resourceId REQUIRED"]);
    let bad = json!({ "type": "video", "resourceId": "x".repeat(65), "note": "" });
    let faults = ["type ONE_OF", "resourceId LENGTH", "note UNKNOWN"];
    assert_eq!(alice.post("/v1/favorites", &bad).await.faults(), faults);
    let number = json!({ "type": "image", "resourceId": 7 });
    assert_eq!(alice.post("/v1/favorites", &number).await.faults(), ["resourceId TYPE"]);
    for (query, fault) in [
        ("page=0", "page RANGE"),
        ("page=-1", "page RANGE"),
        ("limit=0", "limit RANGE"),
        ("limit=101", "limit RANGE"),
        ("limit=x", "limit TYPE"),
        ("page=1000&limit=100", "page FORMAT"),
        ("type=video", "type ONE_OF"),
    ] {
        assert_eq!(alice.get(&format!("/v1/favorites?{query}")).await.faults(), [fault], "{query}");
    }
    alice.get("/v1/favorites?cursor=AAAA").await.refused(400, "INVALID_CURSOR");
    site.close().await;
});
