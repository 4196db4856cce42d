//! What everybody may read.

use dream_http::gate::Guard;
use dream_testkit::on_every_backend;
use dream_testkit::world::ADMIN_KEY;
use reqwest::Method;
use serde_json::json;

use crate::credentials::a_path_of;
use crate::site::{Site, members};

on_every_backend!(plans_templates_and_gallery_are_there_for_everybody, |backend| async move {
    let site = Site::open(&backend).await;
    site.world.dream().plant_seeds().await.unwrap();
    let nobody = site.nobody();
    let plans = nobody.get("/v1/vip/plans").await.ok(200);
    let ids: Vec<&str> =
        plans["plans"].as_array().unwrap().iter().map(|plan| plan["planId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["vip_month", "vip_year", "svip_lifetime"]);
    assert_eq!(plans["plans"][0]["currentPrice"], 1999);

    let prompts = nobody.get("/v1/templates/prompts").await.ok(200);
    let first = prompts["templates"][0].clone();
    assert_eq!(prompts["templates"].as_array().map(Vec::len), Some(10));
    let path = format!("/v1/templates/prompts/{}", first["templateId"].as_str().unwrap());
    assert_eq!(nobody.get(&path).await.ok(200)["template"], first);
    nobody.post(&format!("{path}/usage"), &json!({})).await.ok(200);
    let used = nobody.get(&path).await.ok(200)["template"]["usageCount"].as_i64();
    assert_eq!(used, first["usageCount"].as_i64().map(|count| count + 1));
    nobody.get("/v1/templates/prompts/none").await.refused(404, "TEMPLATE_NOT_FOUND");
    let trending = nobody.get("/v1/templates/prompts?trending=true").await.ok(200);
    assert!(trending["templates"].as_array().unwrap().iter().all(|template| template["isHot"] == true));
    assert_eq!(nobody.get("/v1/templates/prompts?trending=1").await.faults(), ["trending TYPE"]);
    assert_eq!(
        nobody.get("/v1/templates/params").await.ok(200)["templates"].as_array().map(Vec::len),
        Some(8)
    );

    let gallery = nobody.get("/v1/gallery/images?category=all&sort=popular").await.ok(200);
    assert_eq!((gallery["total"].as_i64(), gallery["items"].as_array().map(Vec::len)), (Some(2), Some(2)));
    let image = &gallery["items"][0];
    assert!(image["isLiked"].is_null());
    let one = nobody.get(&format!("/v1/gallery/images/{}", image["id"])).await.ok(200);
    assert_eq!(one["image"], *image);
    let bad = nobody.get("/v1/gallery/images?category=cars&sort=best&limit=-1").await;
    assert_eq!(bad.faults(), ["limit RANGE", "category ONE_OF", "sort ONE_OF"]);
    nobody.get("/v1/gallery/images/99").await.refused(404, "IMAGE_NOT_FOUND");
    let categories = nobody.get("/v1/gallery/categories").await.ok(200);
    assert_eq!(categories["categories"].as_array().map(Vec::len), Some(5));
    // Signed in, the same list says what one likes.
    let alice = site.user("alice").await;
    assert_eq!(alice.get("/v1/gallery/images").await.ok(200)["items"][0]["isLiked"], false);
    site.close().await;
});

on_every_backend!(public_lists_are_not_sent_again_to_who_has_them, |backend| async move {
    let site = Site::open(&backend).await;
    for path in ["/v1/vip/plans", "/v1/templates/prompts", "/v1/templates/params", "/v1/gallery/images"] {
        let first = site.request(Method::GET, path).send().await.unwrap();
        let etag = first.headers()["etag"].to_str().unwrap().to_owned();
        let again = site.request(Method::GET, path).header("if-none-match", etag).send().await.unwrap();
        assert_eq!(again.status(), 304, "{path}");
    }
    site.close().await;
});

on_every_backend!(all_spellings_of_a_public_list_are_given_the_stored_one, |backend| async move {
    let site = Site::open(&backend).await;
    site.world.dream().plant_seeds().await.unwrap();
    let nobody = site.nobody();
    let lists = async |path: &str, queries: &[&str]| {
        let mut lists = vec![nobody.get(path).await.ok(200)];
        for query in queries {
            lists.push(nobody.get(&format!("{path}?{query}")).await.ok(200));
        }
        lists
    };
    let first = nobody.get("/v1/templates/prompts").await.ok(200);
    let id = first["templates"][0]["templateId"].as_str().unwrap().to_owned();
    // A use shows only once the stored list is stale.
    nobody.post(&format!("/v1/templates/prompts/{id}/usage"), &json!({})).await.ok(200);
    let spellings =
        ["category=all", "trending=false", "trending=false&category=%61ll", "category=&&trending="];
    for list in lists("/v1/templates/prompts", &spellings).await {
        assert_eq!(list, first);
    }
    let alice = site.user("alice").await;
    let gallery = nobody.get("/v1/gallery/images").await.ok(200);
    alice.post(&format!("/v1/gallery/images/{}/like", gallery["items"][0]["id"]), &json!({})).await.ok(200);
    let spellings =
        ["page=1", "limit=020&page=%2B1", "sort=latest&category=all", "tag=&category=all&limit=20"];
    for list in lists("/v1/gallery/images", &spellings).await {
        assert_eq!(list, gallery);
    }
    // Another page is another list.
    let one = nobody.get("/v1/gallery/images?limit=1").await.ok(200);
    assert_eq!(one["items"].as_array().map(Vec::len), Some(1));
    site.close().await;
});

on_every_backend!(health_tells_of_the_database, |backend| async move {
    let site = Site::open(&backend).await;
    let ready = site.nobody().get("/health/ready").await.ok(200);
    assert_eq!(members(&ready), ["dependencies", "status"]);
    assert_eq!(ready["dependencies"][0], json!({ "name": "database", "state": "up", "required": true }));
    site.close().await;
});

on_every_backend!(no_answer_that_depends_on_the_caller_is_public, |backend| async move {
    let site = Site::open(&backend).await;
    site.world.dream().plant_seeds().await.unwrap();
    let token = format!("Bearer {}", site.world.alice().await.tokens().access);
    let header = |response: &reqwest::Response, name: &str| {
        let values = response.headers().get_all(name).iter();
        values.map(|value| value.to_str().unwrap().to_ascii_lowercase()).collect::<Vec<_>>().join(", ")
    };
    for row in site.app.table().rows().iter().filter(|row| !row.is_write() && row.guard() != Guard::Open) {
        for (name, value) in [("authorization", token.as_str()), ("x-admin-key", ADMIN_KEY)] {
            let request = site.request(Method::GET, &a_path_of(row.path())).header(name, value);
            let response = request.send().await.unwrap();
            // A public row for everybody does not look at the key of an admin.
            let depends = name == "authorization" || row.guard() == Guard::Admin;
            let cache = header(&response, "cache-control");
            assert!(
                !depends || (cache.contains("no-store") && !cache.contains("public")),
                "{row:?}: {cache}"
            );
        }
    }
    let list = "/v1/gallery/images";
    let mine = site.request(Method::GET, list).header("authorization", &token).send().await.unwrap();
    assert_eq!((mine.status().as_u16(), header(&mine, "cache-control").as_str()), (200, "private, no-store"));
    for _ in 0..2 {
        let everybodys = site.request(Method::GET, list).send().await.unwrap();
        assert_eq!(header(&everybodys, "cache-control"), "public, no-cache");
        assert!(header(&everybodys, "vary").contains("authorization"));
    }
    assert!(header(&mine, "vary").contains("authorization"));
    site.close().await;
});
