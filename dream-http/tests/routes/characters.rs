//! Characters and their photos.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;
use serde_json::{Value, json};

use crate::site::{Client, Site, members};

const CHARACTER: [&str; 8] =
    ["createdAt", "description", "id", "name", "photos", "updatedAt", "userId", "uuid"];
const PHOTO: [&str; 9] = [
    "characterId",
    "createdAt",
    "id",
    "mimeType",
    "originalSize",
    "originalUrl",
    "thumbnailSize",
    "thumbnailUrl",
    "uuid",
];

/// A PNG that does not compress, in base64; its side says how large it gets.
pub(crate) fn noise(side: u32) -> String {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let picture = image::RgbImage::from_fn(side, side, |_, _| image::Rgb([next(), next(), next()]));
    let mut png = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
    STANDARD.encode(png.into_inner())
}

async fn made(client: &Client<'_>, name: &str) -> Value {
    client.post("/v1/characters", &json!({ "name": name })).await.ok(201)["character"].clone()
}

on_every_backend!(a_character_lives_from_its_making_to_its_end, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let empty = alice.get("/v1/characters").await.ok(200);
    assert_eq!(empty, json!({ "characters": [], "limits": { "maxPhotosPerCharacter": 10 } }));
    let body = json!({ "name": "小红", "description": "短发" });
    let answer = alice.post("/v1/characters", &body).await.ok(201);
    assert_eq!((members(&answer), answer["success"] == true), (vec!["character", "success"], true));
    let character = &answer["character"];
    assert_eq!(members(character), CHARACTER);
    assert_eq!(
        (character["name"].as_str(), character["photos"].as_array().map(Vec::len)),
        (Some("小红"), Some(0))
    );

    for id in [character["id"].to_string(), character["uuid"].as_str().unwrap().to_owned()] {
        let path = format!("/v1/characters/{id}");
        assert_eq!(alice.get(&path).await.ok(200), json!({ "character": character }));
        let changed = alice.put(&path, &json!({ "name": "小蓝", "description": null })).await.ok(200);
        assert_eq!(
            (members(&changed), changed["character"]["description"].as_str()),
            (vec!["character", "success"], Some("短发"))
        );
        let cleared = alice.put(&path, &json!({ "name": "小红", "description": "" })).await.ok(200);
        assert!(cleared["character"]["description"].is_null());
        alice.put(&path, &json!({ "description": "短发" })).await.ok(200);
    }
    let path = format!("/v1/characters/{}", character["uuid"].as_str().unwrap());
    let gone = alice.delete(&path).await.ok(200);
    assert_eq!(gone, json!({ "success": true, "message": "The character is deleted" }));
    alice.get(&path).await.refused(404, "CHARACTER_NOT_FOUND");
    alice.delete(&path).await.refused(404, "CHARACTER_NOT_FOUND");
    assert_eq!(alice.get("/v1/characters").await.ok(200), empty);
    site.close().await;
});

on_every_backend!(every_fault_of_a_character_is_named, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    assert_eq!(alice.post("/v1/characters", &json!({})).await.faults(), ["name REQUIRED"]);
    let body = json!({ "name": "x".repeat(101), "description": "x".repeat(501), "age": 7 });
    let answer = alice.post("/v1/characters", &body).await;
    assert_eq!(answer.faults(), ["name LENGTH", "description LENGTH", "age UNKNOWN"]);
    alice.post("/v1/characters", &json!({ "name": "risky" })).await.refused(403, "CONTENT_REJECTED");
    let character = made(&alice, "x").await;
    let path = format!("/v1/characters/{}", character["id"]);
    assert_eq!(alice.put(&path, &json!({ "name": 7 })).await.faults(), ["name TYPE"]);
    alice.put(&path, &json!({ "name": "违规" })).await.refused(403, "CONTENT_REJECTED");
    for impossible in
        ["0", "-1", "abc", "99999999999999999999", "01234567-89ab-7cde-8f01-234567890abc", "..%2f1"]
    {
        let path = format!("/v1/characters/{impossible}");
        alice.get(&path).await.refused(404, "CHARACTER_NOT_FOUND");
        alice.put(&path, &json!({})).await.refused(404, "CHARACTER_NOT_FOUND");
        alice.delete(&path).await.refused(404, "CHARACTER_NOT_FOUND");
        alice.get(&format!("{path}/photos/1")).await.refused(404, "CHARACTER_NOT_FOUND");
    }
    for number in 2..=100 {
        made(&alice, &format!("number {number}")).await;
    }
    alice.post("/v1/characters", &json!({ "name": "too many" })).await.refused(409, "INVALID_STATE");
    site.close().await;
});

on_every_backend!(photos_are_sent_in_base64_and_read_and_removed, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let character = made(&alice, "face").await;
    let path = format!("/v1/characters/{}/photos", character["uuid"].as_str().unwrap());
    let text = noise(24);
    let sent = json!({ "originalData": format!("data:image/png;base64,{text}"), "mimeType": "image/png" });
    let answer = alice.post(&format!("{path}/upload"), &sent).await.ok(201);
    assert_eq!(members(&answer), ["photo", "success"]);
    let photo = &answer["photo"];
    assert_eq!(members(photo), PHOTO);
    assert_eq!((photo["mimeType"].as_str(), &photo["characterId"]), (Some("image/png"), &character["id"]));
    for id in [photo["id"].to_string(), photo["uuid"].as_str().unwrap().to_owned()] {
        assert_eq!(alice.get(&format!("{path}/{id}")).await.ok(200), json!({ "photo": photo }));
    }
    let listed = alice.get("/v1/characters").await.ok(200);
    assert_eq!(listed["characters"][0]["photos"], json!([photo]));
    alice.post(&format!("{path}/upload"), &json!({ "thumbnailData": text })).await.ok(201);

    let one = format!("{path}/{}", photo["id"]);
    let gone = alice.delete(&one).await.ok(200);
    assert_eq!(gone, json!({ "success": true, "message": "The photo is deleted" }));
    alice.get(&one).await.refused(404, "PHOTO_NOT_FOUND");
    alice.delete(&one).await.refused(404, "PHOTO_NOT_FOUND");
    alice.get(&format!("{path}/abc")).await.refused(404, "PHOTO_NOT_FOUND");
    site.close().await;
});

on_every_backend!(
    a_photo_of_megabytes_is_taken_in_base64_up_to_the_limit_and_not_beyond,
    |backend| async move {
        let site = Site::open(&backend).await;
        let alice = site.user("alice").await;
        let path = format!("/v1/characters/{}/photos/upload", made(&alice, "face").await["id"]);
        let large = noise(760);
        assert!(large.len() > 2_000_000, "{}", large.len());
        alice.post(&path, &json!({ "originalData": large })).await.ok(201);
        // A picture of more than 10 MiB, and a body of more than any two pictures take.
        let beyond = "A".repeat(14 * 1024 * 1024);
        alice.post(&path, &json!({ "originalData": beyond })).await.refused(413, "PAYLOAD_TOO_LARGE");
        let beyond = "A".repeat(31 * 1024 * 1024);
        alice.post(&path, &json!({ "originalData": beyond })).await.refused(413, "PAYLOAD_TOO_LARGE");
        site.close().await;
    }
);

on_every_backend!(what_is_no_photo_is_refused, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let path = format!("/v1/characters/{}/photos/upload", made(&alice, "face").await["id"]);
    assert_eq!(alice.post(&path, &json!({})).await.faults(), ["originalData REQUIRED"]);
    assert_eq!(
        alice.post(&path, &json!({ "originalData": 7, "size": 1 })).await.faults(),
        ["originalData TYPE", "size UNKNOWN"]
    );
    let html = STANDARD.encode("<html><script>alert(1)</script></html>");
    for text in
        ["not base64 at all", "", "data:image/png,abc", "data:text/html;base64,PGh0bWw+", html.as_str()]
    {
        let body = json!({ "originalData": text, "mimeType": "image/png" });
        alice.post(&path, &body).await.refused(422, "IMAGE_INVALID");
        alice.post(&path, &json!({ "thumbnailData": text })).await.refused(422, "IMAGE_INVALID");
    }
    site.close().await;
});

on_every_backend!(a_photo_elsewhere_needs_https_and_an_allowed_host, |backend| async move {
    let options =
        TestDream::on(&backend).settings(|settings| settings.photo_hosts = vec!["photos.example".into()]);
    let site = Site::on(options).await;
    let alice = site.user("alice").await;
    let path = format!("/v1/characters/{}/photos", made(&alice, "face").await["id"]);
    let allowed = "https://photos.example/a.jpg";
    let body = json!({
        "thumbnailUrl": allowed, "originalUrl": allowed, "mimeType": "image/webp", "thumbnailSize": 10, "originalSize": 100
    });
    let photo = alice.post(&path, &body).await.ok(201)["photo"].clone();
    assert_eq!(members(&photo), PHOTO);
    assert_eq!((photo["mimeType"].as_str(), photo["originalSize"].as_i64()), (Some("image/webp"), Some(100)));
    assert_eq!(
        alice.post(&path, &json!({})).await.faults(),
        ["thumbnailUrl REQUIRED", "originalUrl REQUIRED"]
    );
    for url in [
        "http://photos.example/a.jpg",
        "https://169.254.169.254/x",
        "https://evil.example/x",
        "javascript:alert(1)",
    ] {
        let body = json!({ "thumbnailUrl": allowed, "originalUrl": url });
        assert_eq!(alice.post(&path, &body).await.faults(), ["originalUrl FORMAT"], "{url}");
    }
    let body =
        json!({ "thumbnailUrl": "", "originalUrl": allowed, "mimeType": "text/html", "originalSize": -1 });
    let faults = ["thumbnailUrl LENGTH", "mimeType ONE_OF", "originalSize RANGE"];
    assert_eq!(alice.post(&path, &body).await.faults(), faults);
    let body = json!({ "thumbnailUrl": allowed, "originalUrl": allowed });
    for _ in 1..10 {
        alice.post(&path, &body).await.ok(201);
    }
    alice.post(&path, &body).await.refused(409, "PHOTO_LIMIT_REACHED");
    let sent = json!({ "originalData": noise(8) });
    alice.post(&format!("{path}/upload"), &sent).await.refused(409, "PHOTO_LIMIT_REACHED");
    site.close().await;
});

on_every_backend!(somebody_elses_character_answers_as_one_that_does_not_exist, |backend| async move {
    let site = Site::open(&backend).await;
    let (alice, bob) = (site.user("alice").await, site.user("bob").await);
    let hers = made(&alice, "hers").await;
    let path = format!("/v1/characters/{}", hers["id"]);
    let sent = json!({ "originalData": noise(8) });
    let photo = alice.post(&format!("{path}/photos/upload"), &sent).await.ok(201)["photo"]["id"].clone();
    let foreign = bob.get(&path).await;
    let unknown = bob.get("/v1/characters/999999").await;
    assert_eq!((foreign.status, &foreign.json["message"]), (404, &unknown.json["message"]));
    bob.put(&path, &json!({ "name": "mine" })).await.refused(404, "CHARACTER_NOT_FOUND");
    bob.delete(&path).await.refused(404, "CHARACTER_NOT_FOUND");
    bob.post(&format!("{path}/photos/upload"), &sent).await.refused(404, "CHARACTER_NOT_FOUND");
    let one = format!("{path}/photos/{photo}");
    bob.get(&one).await.refused(404, "CHARACTER_NOT_FOUND");
    bob.delete(&one).await.refused(404, "CHARACTER_NOT_FOUND");
    let job = json!({ "prompt": "her", "characterId": hers["id"] });
    bob.post("/v1/jobs", &job).await.refused(404, "CHARACTER_NOT_FOUND");
    alice.get(&one).await.ok(200);
    site.close().await;
});

on_every_backend!(a_job_with_a_character_needs_a_photo_of_it, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let character = made(&alice, "face").await;
    let job = json!({ "prompt": "on the moon", "characterId": character["uuid"] });
    alice.post("/v1/jobs", &job).await.refused(400, "CHARACTER_HAS_NO_PHOTOS");
    let path = format!("/v1/characters/{}/photos/upload", character["id"]);
    alice.post(&path, &json!({ "originalData": noise(8) })).await.ok(201);
    alice.post("/v1/jobs", &job).await.ok(202);
    alice.post("/v1/jobs", &json!({ "prompt": "x", "characterId": character["id"] })).await.ok(202);
    site.close().await;
});
