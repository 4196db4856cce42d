//! Templates, as admins change them.

use dream_testkit::on_every_backend;
use serde_json::{Value, json};

use crate::site::{Site, members};

const PROMPTS: &str = "/v1/templates/prompts";
const PARAMS: &str = "/v1/templates/params";

fn lake(id: &str) -> Value {
    json!({
        "templateId": id, "title": "Lake", "description": "a quiet one", "prompt": "a lake at dawn",
        "category": "landscape", "thumbnailUrl": "https://pictures.example/lake.png",
        "previewImages": ["https://pictures.example/1.png"], "isHot": true,
    })
}

fn wide(id: &str) -> Value {
    json!({
        "templateId": id, "title": "Wide", "mode": "final", "resolution": "2K", "aspectRatio": "21:9",
        "sampleCount": 4,
    })
}

/// The ids of a list, in its order.
fn ids(list: &Value) -> Vec<&str> {
    let templates = list["templates"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    templates.iter().map(|template| template["templateId"].as_str().unwrap_or_default()).collect()
}

on_every_backend!(an_admin_makes_changes_and_removes_a_prompt_template, |backend| async move {
    let site = Site::open(&backend).await;
    let (admin, nobody) = (site.admin(), site.nobody());
    // The list is kept for a while, and yet shows what an admin did at once.
    assert!(ids(&nobody.get(PROMPTS).await.ok(200)).is_empty());
    let made = admin.post(PROMPTS, &lake("lake")).await.ok(201)["template"].clone();
    assert_eq!(
        members(&made),
        [
            "category",
            "description",
            "id",
            "isHot",
            "previewImages",
            "prompt",
            "templateId",
            "thumbnailUrl",
            "title",
            "usageCount"
        ]
    );
    for (field, sent) in lake("lake").as_object().unwrap() {
        assert_eq!(&made[field], sent, "{field}");
    }
    assert_eq!(made["usageCount"], 0);
    assert_eq!(nobody.get(PROMPTS).await.ok(200)["templates"][0], made);

    let path = "/v1/templates/prompts/lake";
    let update = json!({ "title": "湖", "description": null, "thumbnailUrl": "", "isHot": false });
    let changed = admin.put(path, &update).await.ok(200)["template"].clone();
    assert_eq!((changed["title"].as_str(), changed["prompt"].as_str()), (Some("湖"), Some("a lake at dawn")));
    assert!(changed["description"].is_null() && changed["thumbnailUrl"].is_null());
    assert_eq!((&changed["isHot"], &changed["id"]), (&json!(false), &made["id"]));
    assert_eq!(nobody.get(PROMPTS).await.ok(200)["templates"][0], changed);
    assert_eq!(admin.put(path, &json!({})).await.ok(200)["template"], changed);

    assert_eq!(members(&admin.delete(path).await.ok(200)), ["message"]);
    assert!(ids(&nobody.get(PROMPTS).await.ok(200)).is_empty());
    for answer in [
        nobody.get(path).await,
        admin.put(path, &json!({})).await,
        admin.delete(path).await,
        admin.put("/v1/templates/prompts/no%00pe", &json!({})).await,
        nobody.post(&format!("{path}/usage"), &json!({})).await,
    ] {
        answer.refused(404, "TEMPLATE_NOT_FOUND");
    }
    site.close().await;
});

on_every_backend!(an_admin_makes_changes_and_removes_a_parameter_template, |backend| async move {
    let site = Site::open(&backend).await;
    let (admin, nobody) = (site.admin(), site.nobody());
    assert!(ids(&nobody.get(PARAMS).await.ok(200)).is_empty());
    let made = admin.post(PARAMS, &wide("wide")).await.ok(201)["template"].clone();
    assert_eq!(
        members(&made),
        [
            "aspectRatio",
            "description",
            "id",
            "mode",
            "previewImages",
            "resolution",
            "sampleCount",
            "templateId",
            "thumbnailUrl",
            "title"
        ]
    );
    for (field, sent) in wide("wide").as_object().unwrap() {
        assert_eq!(&made[field], sent, "{field}");
    }
    assert_eq!(nobody.get(PARAMS).await.ok(200)["templates"][0], made);
    let bare = admin.post(PARAMS, &json!({ "templateId": "bare", "title": "Bare" })).await.ok(201);
    assert!(bare["template"]["mode"].is_null() && bare["template"]["sampleCount"].is_null());

    let path = "/v1/templates/params/wide";
    let update = json!({ "mode": null, "resolution": "4K", "sampleCount": null, "aspectRatio": "" });
    let changed = admin.put(path, &update).await.ok(200)["template"].clone();
    assert_eq!((&changed["resolution"], &changed["title"]), (&json!("4K"), &json!("Wide")));
    assert!(
        changed["mode"].is_null() && changed["sampleCount"].is_null() && changed["aspectRatio"].is_null()
    );
    assert_eq!(nobody.get(path).await.ok(200)["template"], changed);
    // An empty text is no number, and says nothing of one.
    assert_eq!(admin.put(path, &json!({ "sampleCount": "" })).await.faults(), ["sampleCount TYPE"]);
    assert_eq!(members(&admin.delete(path).await.ok(200)), ["message"]);
    for answer in
        [nobody.get(path).await, admin.put(path, &json!({ "title": "x" })).await, admin.delete(path).await]
    {
        answer.refused(404, "TEMPLATE_NOT_FOUND");
    }
    site.close().await;
});

on_every_backend!(a_batch_names_the_ids_that_are_in_its_way, |backend| async move {
    let site = Site::open(&backend).await;
    let (admin, nobody) = (site.admin(), site.nobody());
    for (path, one) in [(PROMPTS, lake as fn(&str) -> Value), (PARAMS, wide)] {
        let batch = format!("{path}/batch");
        let made = admin.post(&batch, &json!({ "templates": [one("a"), one("b")] })).await.ok(201);
        assert_eq!((members(&made), ids(&made)), (vec!["count", "templates"], vec!["a", "b"]));
        assert_eq!(made["count"], 2);
        let again = admin
            .post(&batch, &json!({ "templates": [one("c"), one("b"), one("d"), one("c"), one("a")] }))
            .await;
        again.refused(409, "TEMPLATE_EXISTS");
        assert_eq!(again.json["data"], json!({ "templateIds": ["b", "c", "a"] }));
        assert_eq!(again.json["message"], "A template with this id exists already: b, c, a");
        let one_again = admin.post(path, &one("a")).await;
        one_again.refused(409, "TEMPLATE_EXISTS");
        assert_eq!(one_again.json["data"], json!({ "templateIds": ["a"] }));
        assert_eq!(ids(&nobody.get(path).await.ok(200)), ["a", "b"]);

        let gone = admin.delete_with(path, &json!({ "templateIds": ["a", "none", "b"] })).await.ok(200);
        assert_eq!((members(&gone), &gone["count"]), (vec!["count", "message"], &json!(2)));
        assert!(ids(&nobody.get(path).await.ok(200)).is_empty());
    }
    site.close().await;
});

on_every_backend!(a_batch_without_items_or_with_too_many_is_refused, |backend| async move {
    let site = Site::open(&backend).await;
    let admin = site.admin();
    let many: Vec<Value> = (0..101).map(|n| lake(&format!("p{n}"))).collect();
    let ids: Vec<String> = (0..101).map(|n| format!("p{n}")).collect();
    for path in [PROMPTS, PARAMS] {
        let batch = format!("{path}/batch");
        assert_eq!(admin.post(&batch, &json!({ "templates": [] })).await.faults(), ["templates LENGTH"]);
        assert_eq!(admin.post(&batch, &json!({ "templates": many })).await.faults(), ["templates LENGTH"]);
        assert_eq!(admin.post(&batch, &json!({})).await.faults(), ["templates REQUIRED"]);
        assert_eq!(admin.post(&batch, &json!({ "templates": "x" })).await.faults(), ["templates TYPE"]);
        for (sent, fault) in [
            (json!({ "templateIds": [] }), "templateIds LENGTH"),
            (json!({ "templateIds": ids }), "templateIds LENGTH"),
            (json!({ "templateIds": ["ok", "no spaces"] }), "templateIds[1] FORMAT"),
            (json!({ "templateIds": [1] }), "templateIds[0] TYPE"),
            (json!({}), "templateIds REQUIRED"),
        ] {
            let answer = admin.delete_with(path, &sent).await;
            answer.refused(400, "VALIDATION_FAILED");
            assert_eq!(answer.faults(), [fault]);
        }
    }
    site.close().await;
});

on_every_backend!(every_faulty_field_of_a_template_is_named_and_nothing_is_guessed, |backend| async move {
    let site = Site::open(&backend).await;
    let admin = site.admin();
    let bare = admin.post(PROMPTS, &json!({})).await;
    bare.refused(400, "VALIDATION_FAILED");
    assert_eq!(
        bare.faults(),
        ["templateId REQUIRED", "title REQUIRED", "prompt REQUIRED", "category REQUIRED"]
    );
    let mut wrong = lake("no spaces");
    // A text is no yes or no: "false" is not taken for one, let alone for true.
    wrong["isHot"] = "false".into();
    wrong["title"] = "t".repeat(101).into();
    wrong["description"] = "a\u{0}b".into();
    wrong["prompt"] = "p".repeat(4001).into();
    wrong["category"] = 7.into();
    wrong["thumbnailUrl"] = "javascript:alert(1)".into();
    wrong["previewImages"] = json!(["https://ok.example/1.png", "ftp://no.example"]);
    wrong["usageCount"] = 1_000_000.into();
    let mut faults = admin.post(PROMPTS, &wrong).await.faults();
    faults.sort();
    faults.dedup();
    assert_eq!(
        faults,
        [
            "category TYPE",
            "description FORMAT",
            "isHot TYPE",
            "previewImages[1] FORMAT",
            "prompt LENGTH",
            "templateId FORMAT",
            "thumbnailUrl FORMAT",
            "title LENGTH",
            "usageCount UNKNOWN"
        ]
    );
    let urls: Vec<String> = (0..11).map(|n| format!("https://ok.example/{n}.png")).collect();
    let mut wrong = lake("batch");
    wrong["previewImages"] = json!(urls);
    wrong["title"] = "   ".into();
    wrong["description"] = "d".repeat(501).into();
    wrong["category"] = "c".repeat(65).into();
    wrong["isHot"] = 1.into();
    let mut faults = admin.post(PROMPTS, &wrong).await.faults();
    faults.sort();
    assert_eq!(
        faults,
        [
            "category LENGTH",
            "description LENGTH",
            "isHot TYPE",
            "previewImages LENGTH",
            "templateId FORMAT",
            "title LENGTH"
        ]
    );
    let wrong = json!({
        "templateId": "w".repeat(65), "title": "W", "mode": "best", "resolution": "8K", "aspectRatio": "1:2",
        "sampleCount": 11,
    });
    let mut faults = admin.post(PARAMS, &wrong).await.faults();
    faults.sort();
    assert_eq!(
        faults,
        ["aspectRatio ONE_OF", "mode ONE_OF", "resolution ONE_OF", "sampleCount RANGE", "templateId LENGTH"]
    );
    for samples in [json!(0), json!(-1), json!(99_999_999_999_i64), json!(1e30)] {
        let mut wrong = wide("w");
        wrong["sampleCount"] = samples;
        assert_eq!(admin.post(PARAMS, &wrong).await.faults(), ["sampleCount RANGE"]);
    }
    let mut inside = wide("x");
    inside["sampleCount"] = "4".into();
    let batch = admin.post(&format!("{PARAMS}/batch"), &json!({ "templates": [wide("w"), inside] })).await;
    assert_eq!(batch.faults(), ["templates[1].sampleCount TYPE"]);

    admin.post(PROMPTS, &lake("lake")).await.ok(201);
    let update = json!({ "isHot": "false", "title": "", "templateId": "other", "prompt": "a\u{0}b" });
    let mut faults = admin.put("/v1/templates/prompts/lake", &update).await.faults();
    faults.sort();
    faults.dedup();
    assert_eq!(faults, ["isHot TYPE", "prompt FORMAT", "templateId UNKNOWN", "title LENGTH"]);
    let list = site.nobody().get(PROMPTS).await.ok(200);
    assert_eq!((ids(&list), &list["templates"][0]["title"]), (vec!["lake"], &json!("Lake")));
    site.close().await;
});

on_every_backend!(a_body_that_is_no_json_or_too_large_is_refused, |backend| async move {
    use reqwest::Method;
    let site = Site::open(&backend).await;
    let admin = site.admin();
    for path in [PROMPTS, PARAMS] {
        let send = |method: Method, kind: &'static str, body: String| {
            let request = admin.prepare(method, path).header("content-type", kind).body(body);
            async { crate::site::Answer::of(request.send().await.unwrap()).await }
        };
        send(Method::POST, "application/json", "{".into()).await.refused(400, "INVALID_JSON");
        send(Method::DELETE, "application/json", "[".into()).await.refused(400, "INVALID_JSON");
        send(Method::POST, "text/plain", "{}".into()).await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
        let large = format!("{{\"title\":\"{}\"}}", "x".repeat(70_000));
        send(Method::POST, "application/json", large).await.refused(413, "PAYLOAD_TOO_LARGE");
    }
    site.close().await;
});

on_every_backend!(two_hundred_uses_over_http_at_once_all_count, |backend| async move {
    let site = Site::open(&backend).await;
    site.admin().post(PROMPTS, &lake("lake")).await.ok(201);
    let nobody = site.nobody();
    let calls = (0..200).map(|_| async {
        nobody.post("/v1/templates/prompts/lake/usage", &json!({})).await.ok(200);
    });
    futures_util::future::join_all(calls).await;
    let template = nobody.get("/v1/templates/prompts/lake").await.ok(200);
    assert_eq!(template["template"]["usageCount"], 200);
    site.close().await;
});
