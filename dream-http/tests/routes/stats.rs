//! Figures.

use dream_testkit::on_every_backend;
use serde_json::{Value, json};

use crate::site::{Site, members};

on_every_backend!(a_user_sees_its_own_figures, |backend| async move {
    let site = Site::open(&backend).await;
    site.world.dream().plant_seeds().await.unwrap();
    let alice = site.user("alice").await;
    let me = alice.get("/v1/users/me").await.ok(200)["user"]["id"].clone();
    let fresh = alice.get("/v1/stats/overview").await.ok(200);
    assert_eq!(
        fresh,
        json!({
            "userId": me, "totalOrders": 0, "totalFavorites": 0, "totalTransactions": 0, "totalEarned": 0,
            "totalSpent": 0, "balance": 0, "totalImagesGenerated": 0, "successRate": 0.0,
            "weeklyGenerated": 0, "monthlyGenerated": 0, "topCategories": [],
        })
    );
    for (prompt, template) in
        [("a cat", "portrait_film"), ("[fail]", "portrait_film"), ("a dog", "abstract_fluid")]
    {
        let body = json!({ "prompt": prompt, "mode": "draft", "templateId": template });
        alice.post("/v1/jobs", &body).await.ok(202);
    }
    site.world.settle().await;
    let overview = alice.get("/v1/stats/overview").await.ok(200);
    assert_eq!((&overview["totalImagesGenerated"], &overview["successRate"]), (&json!(2), &json!(66.6)));
    assert_eq!((&overview["weeklyGenerated"], &overview["monthlyGenerated"]), (&json!(2), &json!(2)));
    assert_eq!(
        overview["topCategories"],
        json!([{ "name": "abstract", "count": 1 }, { "name": "portrait", "count": 1 }])
    );
    site.close().await;
});

on_every_backend!(everybody_sees_what_there_is_in_all, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    alice.post("/v1/jobs", &json!({ "prompt": "a cat", "sampleCount": 2 })).await.ok(202);
    site.world.settle().await;
    let global = site.nobody().get("/v1/stats/global").await.ok(200);
    assert_eq!(
        global,
        json!({
            "totalUsers": 1, "totalOrders": 0, "totalImages": 2, "totalFavorites": 0, "totalEarned": 0,
            "totalSpent": 0,
        })
    );
    // Kept for a while: a flood of guests asks the database once.
    site.user("bob").await;
    assert_eq!(site.nobody().get("/v1/stats/global").await.ok(200), global);
    site.close().await;
});

on_every_backend!(an_admin_sees_usage_by_day_and_by_hour, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    alice.post("/v1/jobs", &json!({ "prompt": "a cat" })).await.ok(202);
    site.world.settle().await;
    let admin = site.admin();
    let usage = admin.get("/v1/stats/usage?from=2026-01-01&to=2026-01-02").await.ok(200);
    let none = json!({
        "at": "2026-01-01T16:00:00.000Z", "day": "2026-01-02", "hour": null, "newUsers": 0, "activeUsers": 0, "generations": 0, "succeeded": 0,
        "failed": 0, "paidOrders": 0, "revenue": 0,
    });
    let some = json!({
        "at": "2025-12-31T16:00:00.000Z", "day": "2026-01-01", "hour": null, "newUsers": 1, "activeUsers": 1, "generations": 1, "succeeded": 1,
        "failed": 0, "paidOrders": 0, "revenue": 0,
    });
    assert_eq!(usage, json!({ "buckets": [some, none] }));
    let count = |answer: Value| answer["buckets"].as_array().map(Vec::len);
    assert_eq!(count(admin.get("/v1/stats/usage").await.ok(200)), Some(30));
    assert_eq!(count(admin.get("/v1/stats/usage?bucket=hour").await.ok(200)), Some(24));
    let hours = "/v1/stats/usage?bucket=hour&from=2026-01-01T02:00:00%2B08:00&to=2025-12-31T20:00:00Z";
    assert_eq!(count(admin.get(hours).await.ok(200)), Some(2));
    site.close().await;
});

on_every_backend!(usage_that_makes_no_sense_is_refused_field_by_field, |backend| async move {
    let site = Site::open(&backend).await;
    let admin = site.admin();
    for (query, faults) in [
        ("from=yesterday&to=2026-13-01&bucket=week", vec!["from FORMAT", "to FORMAT", "bucket ONE_OF"]),
        ("from=2026-01-02&to=2026-01-01", vec!["from CONFLICT"]),
        ("from=2024-01-01&to=2026-01-01", vec!["from FORMAT"]),
        ("from=2025-11-01&to=2026-01-01&bucket=hour", vec!["from FORMAT"]),
        ("from=-9999-01-01&to=9999-12-31", vec!["from FORMAT"]),
        ("day=2026-01-01", vec!["day UNKNOWN"]),
        ("bucket=day&bucket=day", vec!["bucket DUPLICATE"]),
    ] {
        let answer = admin.get(&format!("/v1/stats/usage?{query}")).await;
        answer.refused(400, "VALIDATION_FAILED");
        assert_eq!(answer.faults(), faults, "{query}");
    }
    site.close().await;
});

on_every_backend!(an_admin_sees_how_the_business_stands, |backend| async move {
    let (site, _shop) = Site::with_shop(&backend).await;
    let alice = site.user("alice").await;
    let stats = site.admin().get("/v1/admin/stats").await.ok(200);
    assert_eq!(
        members(&stats),
        [
            "freeUsers",
            "pendingOrders",
            "runningJobs",
            "todayNewUsers",
            "todayRevenue",
            "totalOrders",
            "totalUsers",
            "vipUsers"
        ]
    );
    alice.post("/v1/vip/purchase", &json!({ "planId": "vip_month" })).await.ok(201);
    alice.post("/v1/jobs", &json!({ "prompt": "a cat" })).await.ok(202);
    let stats = site.admin().get("/v1/admin/stats").await.ok(200);
    assert_eq!(
        stats,
        json!({
            "totalUsers": 1, "vipUsers": 0, "freeUsers": 1, "totalOrders": 1, "todayNewUsers": 1,
            "todayRevenue": 0, "pendingOrders": 1, "runningJobs": 1,
        })
    );
    site.close().await;
});
