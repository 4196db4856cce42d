//! The gallery, and what WeChat says of its pictures.

use std::time::Duration;

use dream_testkit::fakes::wechat::{MediaPlan, PushMode, PushPlan, Suggest};
use dream_testkit::on_every_backend;
use dream_testkit::wait::eventually;
use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Answer, Client, Site, members};

const SOON: Duration = Duration::from_secs(20);
const PUSH: &str = "/v1/wechat/push";

/// A site that WeChat pushes its verdicts to.
async fn pushed_to(backend: &dream_testkit::backends::Backend) -> Site {
    let site = Site::open(backend).await;
    site.world.wechat().set_push_url(Some(site.url(PUSH)));
    site
}

async fn done(site: &Site, user: &Client<'_>, prompt: &str) -> String {
    let body = json!({ "prompt": prompt, "sampleCount": 2 });
    let job = user.post("/v1/jobs", &body).await.ok(202)["jobId"].as_str().unwrap().to_owned();
    site.world.settle().await;
    job
}

/// Does what is due, and waits until so many verdicts have arrived.
async fn checked(site: &Site, pushes: usize) {
    site.world.work().await;
    let wechat = site.world.wechat();
    let all = || wechat.media_checks().iter().map(|check| check.pushes.len()).sum::<usize>();
    assert!(eventually(SOON, || all() >= pushes).await);
    assert!(
        wechat
            .media_checks()
            .iter()
            .flat_map(|check| &check.pushes)
            .all(dream_testkit::fakes::wechat::Pushed::is_received)
    );
}

on_every_backend!(a_result_is_published_liked_and_taken_out, |backend| async move {
    let site = pushed_to(&backend).await;
    let (alice, bob) = (site.user("alice").await, site.user("bob").await);
    let job = done(&site, &alice, "a red fox").await;
    let body = json!({ "jobId": job, "categoryId": "cartoon", "tags": ["#fox", " fox ", "red"], "index": 1 });
    let image = alice.post("/v1/gallery/publish", &body).await.ok(201);
    let expected = [
        "author",
        "authorId",
        "category",
        "categoryId",
        "createdAt",
        "id",
        "imageUrl",
        "isLiked",
        "likes",
        "prompt",
        "rejectReason",
        "status",
        "tags",
        "thumbnailUrl",
    ];
    assert_eq!(members(&image), expected);
    assert_eq!((&image["status"], &image["rejectReason"]), (&json!("PENDING"), &Value::Null));
    let results = alice.get(&format!("/v1/jobs/{job}")).await.ok(200)["resultUrls"].clone();
    assert_eq!((&image["imageUrl"], &image["tags"]), (&results[1], &json!(["fox", "red"])));
    assert_eq!((&image["category"]["id"], &image["authorId"]), (&json!("cartoon"), &image["author"]["id"]));
    alice.post("/v1/gallery/publish", &body).await.refused(409, "ALREADY_PUBLISHED");

    let path = format!("/v1/gallery/images/{}", image["id"]);
    let like = format!("{path}/like");
    bob.get(&path).await.refused(404, "IMAGE_NOT_FOUND");
    bob.post(&like, &json!({})).await.refused(404, "IMAGE_NOT_FOUND");
    assert_eq!(alice.get(&path).await.ok(200)["image"], image);
    checked(&site, 1).await;
    for _ in 0..2 {
        let liked = json!({ "liked": true, "totalLikes": 1 });
        assert_eq!(bob.post(&like, &json!({})).await.ok(200), liked);
    }
    let tagged = bob.get("/v1/gallery/images?tag=fox&category=cartoon&sort=popular").await.ok(200);
    assert_eq!((tagged["total"].as_i64(), tagged["items"][0]["likes"].as_i64()), (Some(1), Some(1)));
    assert_eq!((&tagged["items"][0]["isLiked"], &tagged["items"][0]["id"]), (&json!(true), &image["id"]));
    assert_eq!(site.nobody().get(&path).await.ok(200)["image"]["isLiked"], Value::Null);
    assert_eq!(bob.get("/v1/gallery/images?tag=cat").await.ok(200)["total"], 0);
    for _ in 0..2 {
        assert_eq!(bob.delete(&like).await.ok(200), json!({ "liked": false, "totalLikes": 0 }));
    }

    bob.delete(&path).await.refused(404, "IMAGE_NOT_FOUND");
    assert_eq!(members(&alice.delete(&path).await.ok(200)), ["message"]);
    alice.delete(&path).await.refused(404, "IMAGE_NOT_FOUND");
    bob.post(&like, &json!({})).await.refused(404, "IMAGE_NOT_FOUND");
    bob.delete(&like).await.refused(404, "IMAGE_NOT_FOUND");
    // What is new shows at once in the lists that are kept for everybody.
    assert_eq!(site.nobody().get("/v1/gallery/images").await.ok(200)["total"], 0);
    let again = alice.post("/v1/gallery/publish", &body).await.ok(201);
    checked(&site, 2).await;
    assert_eq!(site.nobody().get("/v1/gallery/images").await.ok(200)["items"][0]["id"], again["id"]);
    site.admin().delete(&format!("/v1/gallery/images/{}", again["id"])).await.ok(200);
    site.admin().delete(&path).await.refused(404, "IMAGE_NOT_FOUND");
    site.close().await;
});

on_every_backend!(every_fault_of_a_publication_is_named, |backend| async move {
    let site = pushed_to(&backend).await;
    let (alice, bob) = (site.user("alice").await, site.user("bob").await);
    let publish = "/v1/gallery/publish";
    let missing = ["jobId REQUIRED", "categoryId REQUIRED"];
    assert_eq!(alice.post(publish, &json!({})).await.faults(), missing);
    let bad = json!({
        "jobId": "../x", "categoryId": "all", "tags": ["ok", "x".repeat(33), 7], "index": -1, "imageUrl": "http://x"
    });
    let faults = [
        "jobId FORMAT",
        "categoryId ONE_OF",
        "tags[1] LENGTH",
        "tags[2] TYPE",
        "index RANGE",
        "imageUrl UNKNOWN",
    ];
    assert_eq!(alice.post(publish, &bad).await.faults(), faults);
    let job = done(&site, &alice, "a cat").await;
    let body = |job: &str, index: i64| json!({ "jobId": job, "categoryId": "portrait", "index": index });
    let many = json!({ "jobId": job, "categoryId": "portrait", "tags": vec!["t"; 11] });
    assert_eq!(alice.post(publish, &many).await.faults(), ["tags LENGTH"]);
    assert_eq!(alice.post(publish, &body(&job, 2)).await.faults(), ["index RANGE"]);
    bob.post(publish, &body(&job, 0)).await.refused(404, "JOB_NOT_FOUND");
    bob.post(publish, &body("nothing", 0)).await.refused(404, "JOB_NOT_FOUND");
    let failed = done(&site, &alice, "[fail]").await;
    alice.post(publish, &body(&failed, 0)).await.refused(409, "INVALID_STATE");
    site.close().await;
});

on_every_backend!(a_page_of_pictures_has_bounds, |backend| async move {
    let site = Site::open(&backend).await;
    site.world.dream().plant_seeds().await.unwrap();
    let nobody = site.nobody();
    for (query, fault) in [
        ("page=0", "page RANGE"),
        ("page=-1", "page RANGE"),
        ("page=x", "page TYPE"),
        ("limit=0", "limit RANGE"),
        ("limit=-1", "limit RANGE"),
        ("limit=101", "limit RANGE"),
        ("limit=99999999999999999999", "limit TYPE"),
        ("page=101&limit=100", "page FORMAT"),
        ("page=1&cursor=x", "page CONFLICT"),
        ("tag=%00", "tag FORMAT"),
        ("status=PENDING", "status UNKNOWN"),
    ] {
        assert_eq!(nobody.get(&format!("/v1/gallery/images?{query}")).await.faults(), [fault], "{query}");
    }
    nobody.get("/v1/gallery/images?cursor=nonsense").await.refused(400, "INVALID_CURSOR");
    let first = nobody.get("/v1/gallery/images?limit=1").await.ok(200);
    assert_eq!((first["hasMore"].as_bool(), first["page"].as_i64()), (Some(true), Some(1)));
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = nobody.get(&format!("/v1/gallery/images?limit=1&cursor={cursor}")).await.ok(200);
    assert_eq!((second["hasMore"].as_bool(), &second["page"]), (Some(false), &Value::Null));
    assert_ne!(second["items"][0]["id"], first["items"][0]["id"]);
    let by_number = nobody.get("/v1/gallery/images?limit=1&page=2").await.ok(200);
    assert_eq!((&by_number["items"], by_number["total"].as_i64()), (&second["items"], Some(2)));
    nobody
        .get(&format!("/v1/gallery/images?sort=popular&cursor={cursor}"))
        .await
        .refused(400, "INVALID_CURSOR");
    site.close().await;
});

on_every_backend!(admins_moderate_the_gallery_and_it_is_recorded, |backend| async move {
    let site = pushed_to(&backend).await;
    let (alice, admin) = (site.user("alice").await, site.admin());
    let job = done(&site, &alice, "odd").await;
    let review = MediaPlan { push: PushPlan::Once, suggest: Some(Suggest::Review) };
    site.world.wechat().plan_next_media(review);
    let body = json!({ "jobId": job, "categoryId": "abstract" });
    let image = alice.post("/v1/gallery/publish", &body).await.ok(201);
    checked(&site, 1).await;
    let waiting = admin.get("/v1/admin/gallery").await.ok(200);
    assert_eq!(waiting["items"].as_array().map(Vec::len), Some(1));
    let shown = &waiting["items"][0];
    let expected = [
        "barred",
        "image",
        "jobId",
        "pictureVerdict",
        "rejectReason",
        "resultIndex",
        "status",
        "textVerdict",
        "updatedAt",
    ];
    assert_eq!(members(shown), expected);
    assert_eq!((&shown["status"], &shown["image"]["id"]), (&json!("PENDING"), &image["id"]));
    assert_eq!((&shown["textVerdict"], &shown["pictureVerdict"]), (&json!("PASS"), &json!("REVIEW")));

    let path = format!("/v1/admin/gallery/{}", image["id"]);
    assert_eq!(admin.get(&path).await.ok(200), *shown);
    let approve = format!("{path}/approve");
    let (reject, remove) = (format!("{path}/reject"), format!("{path}/remove"));
    assert_eq!(admin.post(&approve, &json!({})).await.ok(200)["status"], "PUBLIC");
    admin.post(&approve, &json!({ "reason": "again" })).await.refused(409, "INVALID_STATE");
    assert_eq!(site.nobody().get("/v1/gallery/images").await.ok(200)["total"], 1);
    assert_eq!(admin.post(&reject, &json!({})).await.faults(), ["reason REQUIRED"]);
    assert_eq!(admin.post(&remove, &json!({ "reason": "" })).await.faults(), ["reason LENGTH"]);
    let why = json!({ "reason": "complaints" });
    let refused = admin.post(&reject, &why).await.ok(200);
    assert_eq!((&refused["barred"], &refused["rejectReason"]), (&json!(false), &json!("complaints")));
    let mine = alice.get("/v1/gallery/mine?limit=5").await.ok(200);
    let told = (&mine["items"][0]["status"], &mine["items"][0]["rejectReason"]);
    assert_eq!(told, (&json!("REJECTED"), &json!("complaints")));
    site.nobody().get("/v1/gallery/mine").await.refused(401, "UNAUTHENTICATED");
    admin.post(&reject, &why).await.refused(409, "INVALID_STATE");
    assert_eq!(site.nobody().get("/v1/gallery/images").await.ok(200)["total"], 0);
    let rejected = admin.get("/v1/admin/gallery?status=REJECTED&limit=1").await.ok(200);
    assert_eq!(
        (rejected["items"][0]["image"]["id"].as_i64(), rejected["hasMore"].as_bool()),
        (image["id"].as_i64(), Some(false))
    );
    admin.post(&remove, &why).await.ok(200);
    admin.post(&remove, &why).await.refused(404, "IMAGE_NOT_FOUND");
    assert_eq!(admin.get(&path).await.ok(200)["status"], "REMOVED");

    for verb in ["approve", "reject", "remove"] {
        let nowhere = format!("/v1/admin/gallery/999/{verb}");
        admin.post(&nowhere, &why).await.refused(404, "IMAGE_NOT_FOUND");
    }
    admin.get("/v1/admin/gallery/999").await.refused(404, "IMAGE_NOT_FOUND");
    assert_eq!(admin.get("/v1/admin/gallery?status=GONE").await.faults(), ["status ONE_OF"]);
    admin.get("/v1/admin/gallery?cursor=x").await.refused(400, "INVALID_CURSOR");
    let log = admin.get(&format!("/v1/admin/audit-log?target=image:{}", image["id"])).await.ok(200);
    let actions: Vec<&str> =
        log["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["gallery.remove", "gallery.reject", "gallery.approve"]);
    assert_eq!(log["items"][0]["reason"], "complaints");
    site.close().await;
});

on_every_backend!(
    an_author_reads_why_a_picture_was_rejected_and_may_publish_it_again,
    |backend| async move {
        let site = pushed_to(&backend).await;
        let alice = site.user("alice").await;
        let risky = MediaPlan { push: PushPlan::Once, suggest: Some(Suggest::Risky) };
        site.world.wechat().plan_next_media(risky);
        let job = done(&site, &alice, "looks harmless").await;
        let body = json!({ "jobId": job, "categoryId": "cartoon" });
        let image = alice.post("/v1/gallery/publish", &body).await.ok(201);
        checked(&site, 1).await;
        let path = format!("/v1/gallery/images/{}", image["id"]);
        let seen = alice.get(&path).await.ok(200);
        assert_eq!(seen["image"]["status"], "REJECTED");
        assert!(
            seen["image"]["rejectReason"].as_str().unwrap().contains("did not pass the content check"),
            "{seen}"
        );
        let mine = alice.get("/v1/gallery/mine").await.ok(200);
        assert_eq!(mine["items"][0], seen["image"]);
        assert_eq!(alice.post("/v1/gallery/publish", &body).await.ok(201)["status"], "PENDING");
        checked(&site, 2).await;
        assert_eq!(alice.get(&path).await.ok(200)["image"]["status"], "PUBLIC");
        let odd = json!({ "jobId": job, "categoryId": "cartoon", "index": 1, "tags": ["违规"] });
        alice.post("/v1/gallery/publish", &odd).await.refused(403, "CONTENT_REJECTED");
        site.close().await;
    }
);

on_every_backend!(wechat_checks_the_url_and_only_what_it_signed_is_taken, |backend| async move {
    let site = pushed_to(&backend).await;
    let wechat = site.world.wechat();
    assert!(wechat.check_push_url().await);
    let forged = "/v1/wechat/push?signature=x&timestamp=1&nonce=2&echostr=hello";
    let answer = site.request(Method::GET, forged).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let answer = answer.text().await.unwrap();
    assert!(!answer.contains("hello"));
    // No person reads it, so nobody is asked to log in.
    assert!(answer.contains("The signature does not verify") && !answer.contains("log in"), "{answer}");

    let (alice, nobody) = (site.user("alice").await, site.nobody());
    wechat.plan_media(MediaPlan { push: PushPlan::Never, suggest: None });
    let job = done(&site, &alice, "a cat").await;
    let body = json!({ "jobId": job, "categoryId": "portrait" });
    let image = alice.post("/v1/gallery/publish", &body).await.ok(201);
    site.world.work().await;
    let path = format!("/v1/gallery/images/{}", image["id"]);
    let event = json!({
        "ToUserName": "gh_0", "FromUserName": "o-alice", "CreateTime": 1, "MsgType": "event",
        "Event": "wxa_media_check", "appid": wechat.app().appid, "trace_id": wechat.media_checks()[0].trace_id,
        "errcode": 0, "result": { "suggest": "pass", "label": "100" },
    });
    // Nobody makes a picture public by telling us so.
    nobody.post(PUSH, &event).await.refused(401, "UNAUTHENTICATED");
    wechat.set_push_mode(PushMode::Safe);
    let signed = wechat.signed_push(&event);
    let tampered = site.request(Method::POST, PUSH).query(&signed.query).json(&event);
    Answer::of(tampered.send().await.unwrap()).await.refused(401, "UNAUTHENTICATED");
    nobody.get(&path).await.refused(404, "IMAGE_NOT_FOUND");

    let unknown =
        json!({ "MsgType": "event", "Event": "subscribe_msg_popup_event", "appid": wechat.app().appid });
    let request = site.request(Method::POST, PUSH);
    let taken = wechat.push(&unknown).await;
    assert!(taken.len() == 1 && taken[0].answer == "success", "{taken:?}");
    let taken = request.query(&signed.query).body(signed.body.clone()).send().await.unwrap();
    assert_eq!((taken.status().as_u16(), taken.text().await.unwrap().as_str()), (200, "success"));
    nobody.get(&path).await.ok(200);
    site.close().await;
});
