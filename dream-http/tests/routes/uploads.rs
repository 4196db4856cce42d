//! Uploads, and reading pictures out of our storage.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dream_core::ports::BlobKey;
use dream_testkit::fakes::r2::operation;
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, Response};
use serde_json::json;

use crate::characters::noise;
use crate::site::{Answer, Client, Site, members};

fn picture(side: u32) -> Vec<u8> {
    STANDARD.decode(noise(side)).unwrap()
}

fn file(bytes: impl Into<Vec<u8>>, name: &str, mime: &str) -> Form {
    let bytes: Vec<u8> = bytes.into();
    let part = Part::bytes(bytes).file_name(name.to_owned()).mime_str(mime).unwrap();
    Form::new().part("file", part)
}

async fn send(client: &Client<'_>, form: Form) -> Answer {
    Answer::of(client.prepare(Method::POST, "/v1/upload/image").multipart(form).send().await.unwrap()).await
}

async fn read(site: &Site, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = site.request(Method::GET, path);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

on_every_backend!(a_picture_is_uploaded_and_served_under_a_name_of_ours, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let answer = send(&alice, file(picture(20), "../../me.php", "text/plain")).await.ok(201);
    assert_eq!(members(&answer), ["filename", "mimetype", "originalname", "size", "url"]);
    assert_eq!(
        (answer["originalname"].as_str(), answer["mimetype"].as_str()),
        (Some("me.php"), Some("image/png"))
    );
    let name = answer["filename"].as_str().unwrap();
    assert!(name.strip_suffix(".png").is_some_and(|stem| !stem.contains("me")), "{name}");
    assert!(answer["url"].as_str().unwrap().ends_with(&format!("/uploads/{name}")));

    let path = format!("/uploads/{name}");
    let whole = read(&site, &path, &[]).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(
        (header(&whole, "content-type"), header(&whole, "x-content-type-options")),
        ("image/png", "nosniff")
    );
    assert_eq!(
        (header(&whole, "accept-ranges"), header(&whole, "cache-control")),
        ("bytes", "public, max-age=31536000, immutable")
    );
    let etag = header(&whole, "etag").to_owned();
    assert!(etag.starts_with('"') && etag.len() > 10, "a strong tag: {etag}");
    let bytes = whole.bytes().await.unwrap();
    assert_eq!(answer["size"].as_u64(), Some(bytes.len() as u64));

    let again = read(&site, &path, &[("if-none-match", &etag)]).await;
    assert_eq!((again.status(), header(&again, "etag")), (reqwest::StatusCode::NOT_MODIFIED, &*etag));
    assert!(again.bytes().await.unwrap().is_empty());
    let part = read(&site, &path, &[("range", "bytes=2-5")]).await;
    assert_eq!(
        (part.status().as_u16(), header(&part, "content-range")),
        (206, &*format!("bytes 2-5/{}", bytes.len()))
    );
    assert_eq!(part.bytes().await.unwrap(), bytes[2..6]);
    let tail = read(&site, &path, &[("range", "bytes=-3"), ("if-range", &etag)]).await;
    assert_eq!((tail.status().as_u16(), tail.bytes().await.unwrap()), (206, bytes.slice(bytes.len() - 3..)));
    let other = read(&site, &path, &[("range", "bytes=-3"), ("if-range", "\"other\"")]).await;
    assert_eq!((other.status().as_u16(), other.bytes().await.unwrap()), (200, bytes.clone()));
    let beyond = read(&site, &path, &[("range", "bytes=999999-")]).await;
    assert_eq!(
        (beyond.status().as_u16(), header(&beyond, "content-range")),
        (416, &*format!("bytes */{}", bytes.len()))
    );
    // Who has it already is not sent a part of it either.
    let both = read(&site, &path, &[("range", "bytes=0-1"), ("if-none-match", &etag)]).await;
    assert_eq!(both.status(), 304);
    let head = site.request(Method::HEAD, &path).send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, &*bytes.len().to_string()));
    site.close().await;
});

on_every_backend!(a_head_reads_metadata_only_and_a_get_reads_in_pieces, |backend| async move {
    const SIZE: usize = 600_000;
    let site = Site::on(TestDream::on(&backend).on_r2()).await;
    let (r2, key) = (site.world.r2(), "large.png".parse().unwrap());
    site.world.blobs().put(&key, "image/png", vec![7; SIZE].into()).await.unwrap();
    let reads = || {
        let all = r2.requests().into_iter().map(|recorded| recorded.request.method.to_string());
        all.filter(|method| ["GET", "HEAD"].contains(&method.as_str())).collect::<Vec<_>>()
    };
    let before = reads().len();
    let head =
        site.request(Method::HEAD, "/uploads/large.png").header("range", "bytes=0-9").send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), header(&head, "content-length")),
        (200, "600000"),
        "a range is for a GET"
    );
    assert_eq!((header(&head, "content-type"), header(&head, "accept-ranges")), ("image/png", "bytes"));
    let etag = header(&head, "etag").to_owned();
    let known = read(&site, "/uploads/large.png", &[("if-none-match", &etag)]).await;
    assert_eq!(known.status(), 304);
    assert_eq!(reads()[before..], ["HEAD", "HEAD"]);
    let whole = read(&site, "/uploads/large.png", &[]).await;
    assert_eq!(header(&whole, "content-length"), "600000");
    assert_eq!(whole.bytes().await.unwrap(), vec![7; SIZE]);
    assert_eq!(reads()[before + 2..], ["HEAD", "GET", "GET", "GET"]);
    site.world.blobs().delete(&key).await.unwrap();
    site.close().await;
});

on_every_backend!(stored_pictures_have_a_rate_limit_of_their_own, |backend| async move {
    let limit = |count| std::num::NonZeroU32::new(count);
    let settings = dream_http::Settings {
        throttle: limit(3)
            .map(|limit| dream_http::ThrottleRule { limit, period: std::time::Duration::from_mins(1) }),
        class_limits: dream_http::ClassLimits { files: limit(5), ..dream_http::ClassLimits::default() },
        ..crate::site::settings()
    };
    let site = Site::at(settings, TestDream::on(&backend)).await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(read(&site, "/uploads/none.png", &[]).await.status().as_u16());
    }
    assert_eq!(statuses, [404, 404, 404, 404, 404, 429]);
    let other = read(&site, "/v1/nothing", &[]).await;
    assert_eq!(
        (other.status().as_u16(), header(&other, "x-ratelimit-remaining")),
        (404, "2"),
        "counted apart"
    );
    site.close().await;
});

on_every_backend!(every_format_is_taken_by_content_and_nothing_else_is, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let painted = image::load_from_memory(&picture(16)).unwrap();
    for (format, kept) in [
        (image::ImageFormat::Jpeg, "image/jpeg"),
        (image::ImageFormat::Png, "image/png"),
        (image::ImageFormat::Gif, "image/gif"),
        (image::ImageFormat::WebP, "image/webp"),
    ] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        painted.write_to(&mut bytes, format).unwrap();
        let answer = send(&alice, file(bytes.into_inner(), "x", "application/octet-stream")).await.ok(201);
        assert_eq!(answer["mimetype"], kept);
    }
    let html = "<html><script>alert(document.domain)</script></html>";
    let polyglot = [picture(8), html.into()].concat();
    let half = &picture(16)[..60];
    for bytes in [html.as_bytes(), &polyglot[..], &b""[..], &b"%PDF-1.7"[..], &b"GIF89a"[..], half] {
        send(&alice, file(bytes, "evil.html", "image/png")).await.refused(422, "IMAGE_INVALID");
    }
    assert_eq!(site.world.blobs().list("", None).await.unwrap().items.len(), 4);
    site.close().await;
});

on_every_backend!(a_picture_is_refused_with_a_text_that_helps, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heicmore".to_vec();
    let answer = send(&alice, file(heic, "IMG_0001.HEIC", "image/heic")).await;
    answer.refused(422, "IMAGE_INVALID");
    assert_eq!(answer.json["data"]["reason"], "HEIC");
    assert!(answer.json["message"].as_str().unwrap().contains("HEIC"), "{}", answer.json);
    let half = picture(16)[..60].to_vec();
    let answer = send(&alice, file(half, "a.png", "image/png")).await;
    answer.refused(422, "IMAGE_INVALID");
    assert_eq!(answer.json["data"]["reason"], "DAMAGED");
    site.close().await;
});

on_every_backend!(a_form_that_is_none_is_refused_and_so_is_too_large_a_file, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    assert_eq!(send(&alice, Form::new()).await.faults(), ["body FORMAT"]);
    let form = file(picture(8), "a", "image/png").text("folder", "/etc");
    assert_eq!(send(&alice, form).await.faults(), ["folder UNKNOWN"]);
    let twice = file(picture(8), "a", "image/png").part("file", Part::bytes(picture(8)).file_name("b"));
    assert_eq!(send(&alice, twice).await.faults(), ["file DUPLICATE"]);
    alice.post("/v1/upload/image", &json!({ "file": "x" })).await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    let large = vec![0; 10 * 1024 * 1024 + 1];
    send(&alice, file(large, "a", "image/png")).await.refused(413, "PAYLOAD_TOO_LARGE");
    send(&site.nobody(), file(picture(8), "a", "image/png")).await.refused(401, "UNAUTHENTICATED");
    site.close().await;
});

on_every_backend!(what_is_not_there_or_no_picture_is_not_served, |backend| async move {
    let site = Site::open(&backend).await;
    let blobs = site.world.blobs();
    let key = |name: &str| -> BlobKey { name.parse().unwrap() };
    // Left over from an older service, or not meant for everybody.
    let page = &b"<script>alert(1)</script>"[..];
    let left_over = [
        ("evil.html", "text/html", page),
        ("x.svg", "image/svg+xml", page),
        ("inputs/a.png", "image/png", &b"x"[..]),
    ];
    for (name, mime, bytes) in left_over {
        blobs.put(&key(name), mime, bytes.into()).await.unwrap();
        site.nobody().get(&format!("/uploads/{name}")).await.refused(404, "IMAGE_NOT_FOUND");
        blobs.delete(&key(name)).await.unwrap();
    }
    for path in [
        "/uploads/nothing.png",
        "/uploads/characters/nothing.png",
        "/uploads/..%2f..%2fetc%2fpasswd",
        "/uploads/a%00.png",
        "/uploads/%ff",
    ] {
        site.nobody().get(path).await.refused(404, "IMAGE_NOT_FOUND");
    }
    site.nobody().get("/uploads/a/b/c.png").await.refused(404, "ROUTE_NOT_FOUND");
    site.close().await;
});

on_every_backend!(photos_and_results_on_the_disk_are_served_too, |backend| async move {
    let options = TestDream::on(&backend).settings(|settings| settings.rehost_results = true);
    let site = Site::on(options).await;
    let alice = site.user("alice").await;
    let character = alice.post("/v1/characters", &json!({ "name": "face" })).await.ok(201);
    let path = format!("/v1/characters/{}/photos/upload", character["character"]["id"]);
    let photo = alice.post(&path, &json!({ "originalData": noise(600) })).await.ok(201);
    let job = alice.post("/v1/jobs", &json!({ "prompt": "a cat" })).await.ok(202);
    site.world.settle().await;
    let job = alice.get(&format!("/v1/jobs/{}", job["jobId"].as_str().unwrap())).await.ok(200);
    for url in [
        &photo["photo"]["thumbnailUrl"],
        &photo["photo"]["originalUrl"],
        &job["resultUrls"][0],
        &job["thumbnailUrl"],
    ] {
        let url = url.as_str().unwrap();
        let path = url.strip_prefix("https://dream.test").expect("it is ours");
        let response = read(&site, path, &[]).await;
        assert_eq!(response.status(), 200, "{path}");
        assert!(header(&response, "content-type").starts_with("image/"), "{path}");
    }
    site.close().await;
});

on_every_backend!(a_storage_that_is_down_is_said_to_be_and_leaves_nothing_behind, |backend| async move {
    let site = Site::on(TestDream::on(&backend).on_r2()).await;
    let alice = site.user("alice").await;
    let kept = send(&alice, file(picture(8), "a", "image/png")).await.ok(201);
    assert!(kept["url"].as_str().unwrap().starts_with(&site.world.r2().public_url()));
    site.world.r2().faults().always(operation::PUT, Fault::status(503, ""));
    let answer = send(&alice, file(picture(8), "a", "image/png")).await;
    assert!(matches!(answer.status, 502..=504), "{}", answer.json);
    site.world.r2().faults().clear();
    site.world.settle().await;
    assert_eq!(site.world.blobs().list("", None).await.unwrap().items.len(), 1);
    let path = format!("/uploads/{}", kept["filename"].as_str().unwrap());
    assert_eq!(read(&site, &path, &[]).await.status(), 200);
    site.close().await;
});
