//! Generations.

use dream_testkit::on_every_backend;
use reqwest::Method;
use reqwest::header::{ACCEPT_LANGUAGE, HeaderValue};
use serde_json::json;

use crate::site::{Answer, Site, members};

on_every_backend!(a_generation_goes_from_request_to_picture, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let body = json!({ "prompt": "一只猫", "mode": "draft", "sampleCount": 2, "negativePrompt": "" });
    let accepted = alice.post("/v1/proxy/images/generate", &body).await.ok(202);
    assert_eq!(members(&accepted), ["charge", "generationId", "jobId", "status"]);
    assert_eq!(accepted["charge"], json!({ "quota": 2, "points": 0 }));
    let id = accepted["jobId"].as_str().unwrap();

    site.world.settle().await;
    let job = alice.get(&format!("/v1/proxy/jobs/{id}")).await.ok(200);
    assert_eq!((job["status"].as_str(), job["id"].as_str()), (Some("SUCCEEDED"), Some(id)));
    assert_eq!(job["resultUrls"].as_array().map(Vec::len), Some(2));
    assert_eq!(job["imageUrl"], job["resultUrls"][0]);
    assert_eq!(job["prompt"], "一只猫");
    assert!(job["error"].is_null() && job["errorCode"].is_null());
    let same = alice.get(&format!("/v1/jobs/{id}?wait=25")).await.ok(200);
    assert_eq!(same["id"], accepted["generationId"]);

    let quota = alice.get("/v1/jobs/quota").await.ok(200);
    let expected = json!({
        "vipLevel": "NORMAL", "dailyLimit": 5, "todayUsed": 2, "todayRemaining": 3, "totalGenerations": 1
    });
    assert_eq!(quota, expected);
    let list = alice.get("/v1/proxy/jobs?status=SUCCEEDED").await.ok(200);
    assert_eq!((list["items"][0]["id"].as_str(), list["hasMore"].as_bool()), (Some(id), Some(false)));
    assert_eq!(members(&list), ["hasMore", "items", "nextCursor"]);
    let numbered = alice.get("/v1/jobs?page=1").await.ok(200);
    assert_eq!((numbered["total"].as_i64(), numbered["jobs"][0]["jobId"].as_str()), (Some(1), Some(id)));
    site.close().await;
});

on_every_backend!(a_job_shows_what_was_delivered_and_what_came_back, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let ask = async |prompt: &str| {
        let body = json!({ "prompt": prompt, "mode": "draft", "sampleCount": 2 });
        alice.post("/v1/jobs", &body).await.ok(202)["jobId"].as_str().unwrap().to_owned()
    };
    let (part, fails) = (ask("[part]").await, ask("[fail]").await);
    let open = alice.get(&format!("/v1/jobs/{part}")).await.ok(200);
    let figures = |job: &serde_json::Value| {
        (job["expectedSamples"].clone(), job["deliveredSamples"].clone(), job["refunded"].clone())
    };
    assert_eq!(figures(&open), (json!(2), json!(0), json!({ "quota": 0, "points": 0 })));
    site.world.settle().await;
    let part = alice.get(&format!("/v1/jobs/{part}")).await.ok(200);
    assert_eq!(figures(&part), (json!(2), json!(1), json!({ "quota": 1, "points": 0 })));
    let chinese = [(ACCEPT_LANGUAGE, HeaderValue::from_static("zh-CN"))].into_iter().collect();
    let failed = alice.prepare(Method::GET, &format!("/v1/jobs/{fails}")).headers(chinese);
    let failed = Answer::of(failed.send().await.unwrap()).await.ok(200);
    assert_eq!(figures(&failed), (json!(2), json!(0), json!({ "quota": 2, "points": 0 })));
    let error = json!({ "code": "UPSTREAM_TIMEOUT", "message": "生成超时，请稍后再试" });
    assert_eq!((&failed["error"], &failed["errorCode"]), (&error, &error["code"]));
    let listed = alice.get("/v1/proxy/jobs").await.ok(200);
    let failed = listed["items"].as_array().unwrap().iter().find(|job| job["status"] == "FAILED").unwrap();
    assert_eq!(failed["errorMessage"], "The pictures were not ready in time; please try again later");
    site.close().await;
});

on_every_backend!(a_key_makes_a_repeat_the_same_request, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let ask = |prompt: &str| {
        let request = alice.prepare(Method::POST, "/v1/jobs").header("idempotency-key", "k-1");
        let request = request.json(&json!({ "prompt": prompt }));
        async { Answer::of(request.send().await.unwrap()).await }
    };
    let first = ask("a cat").await.ok(202);
    assert_eq!(ask("a cat").await.ok(202), first);
    ask("a dog").await.refused(409, "IDEMPOTENCY_CONFLICT");
    site.close().await;
});

on_every_backend!(an_exceeded_quota_tells_its_figures, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    alice.post("/v1/jobs", &json!({ "prompt": "a", "sampleCount": 5 })).await.ok(202);
    let refused = alice.post("/v1/jobs", &json!({ "prompt": "a", "mode": "final", "sampleCount": 2 })).await;
    refused.refused(403, "QUOTA_EXCEEDED");
    let data = json!({ "dailyLimit": 5, "dailyUsed": 5, "pointsRequired": 20, "pointsBalance": 0 });
    assert_eq!(refused.json["data"], data);
    alice.post("/v1/jobs", &json!({ "prompt": "a", "resolution": "4K" })).await.refused(403, "VIP_REQUIRED");
    site.close().await;
});

on_every_backend!(every_fault_of_a_generation_is_named_and_nothing_is_taken, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let body = json!({
        "prompt": "x".repeat(4001), "negativePrompt": "y".repeat(2001), "mode": "best", "resolution": "8K",
        "aspectRatio": "2:1", "sampleCount": 11, "inputImageUrl": "ftp://x", "inputImage": "data:nothing",
        "characterId": "?", "params": [], "seed": 7
    });
    let faults = alice.post("/v1/jobs", &body).await.faults();
    let expected = [
        "prompt LENGTH",
        "negativePrompt LENGTH",
        "mode ONE_OF",
        "resolution ONE_OF",
        "aspectRatio ONE_OF",
        "sampleCount RANGE",
        "inputImageUrl FORMAT",
        "inputImage FORMAT",
        "characterId FORMAT",
        "params TYPE",
        "seed UNKNOWN",
    ];
    assert_eq!(faults, expected);
    assert_eq!(alice.get("/v1/jobs/quota").await.ok(200)["todayUsed"], 0);
    assert_eq!(alice.post("/v1/jobs", &json!({})).await.faults(), ["prompt REQUIRED"]);
    let params = json!({ "prompt": "a", "params": { "big": "z".repeat(20_000) } });
    assert_eq!(alice.post("/v1/jobs", &params).await.faults(), ["params LENGTH"]);
    site.close().await;
});

on_every_backend!(a_queued_generation_can_be_taken_back, |backend| async move {
    let site = Site::on(dream_testkit::world::TestDream::on(&backend).by_hand()).await;
    let alice = site.user("alice").await;
    let job = alice.post("/v1/jobs", &json!({ "prompt": "a" })).await.ok(202);
    site.world.work().await;
    let path = format!("/v1/jobs/{}", job["jobId"].as_str().unwrap());
    let canceled = alice.delete(&path).await.ok(200);
    assert_eq!(canceled, json!({ "jobId": job["jobId"], "status": "CANCELED" }));
    alice.delete(&path).await.refused(409, "INVALID_STATE");
    assert_eq!(alice.get("/v1/jobs/quota").await.ok(200)["todayUsed"], 0);
    site.close().await;
});

on_every_backend!(an_inline_picture_of_some_size_is_taken_and_nonsense_is_not, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    // A valid picture is beside the point here: that the body is read at all is what is shown.
    let nonsense =
        json!({ "prompt": "a", "inputImage": format!("data:image/png;base64,{}", "AAAA".repeat(300_000)) });
    alice.post("/v1/jobs", &nonsense).await.refused(422, "IMAGE_INVALID");
    let huge = json!({ "prompt": "a", "inputImage": "A".repeat(15 * 1024 * 1024) });
    alice.post("/v1/jobs", &huge).await.refused(413, "PAYLOAD_TOO_LARGE");
    site.close().await;
});
