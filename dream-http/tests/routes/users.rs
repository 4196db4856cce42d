//! Users, VIP and points.

use dream_testkit::on_every_backend;
use serde_json::json;

use crate::site::{Site, members};

on_every_backend!(a_user_is_shown_in_full_to_itself_only, |backend| async move {
    let site = Site::open(&backend).await;
    let (alice, bob) = (site.user("alice").await, site.user("bob").await);
    let me = alice.get("/v1/users/me").await.ok(200);
    let id = &me["user"]["id"];
    assert_eq!(me["user"]["openid"], "o-alice");
    assert_eq!(alice.get(&format!("/v1/users/{id}")).await.ok(200), me);
    let seen = bob.get(&format!("/v1/users/{id}")).await.ok(200);
    assert_eq!(members(&seen["user"]), ["avatarUrl", "id", "nickName", "vipLevel"]);
    for impossible in ["0", "-1", "abc", "99999999999999999999", "4294967296"] {
        bob.get(&format!("/v1/users/{impossible}")).await.refused(404, "USER_NOT_FOUND");
    }
    site.close().await;
});

on_every_backend!(a_user_can_change_its_name_and_leave, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let updated = alice.put("/v1/users/me", &json!({ "nickName": " Alice " })).await.ok(200);
    assert_eq!(updated["user"]["nickName"], "Alice");
    for hidden in ["\u{200b}", "\u{3164}", "\u{202e}nimda", "admin\u{2060}"] {
        let refused = alice.put("/v1/users/me", &json!({ "nickName": hidden })).await;
        let message = refused.json["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(refused.faults(), ["nickName FORMAT"], "{hidden:?}");
        assert!(message.contains("visible text without hidden characters"), "{message}");
    }
    let elsewhere = json!({ "avatarUrl": "https://evil.example/a.png" });
    assert_eq!(alice.put("/v1/users/me", &elsewhere).await.faults(), ["avatarUrl FORMAT"]);
    let stats = alice.get("/v1/users/me/stats").await.ok(200);
    assert_eq!(
        members(&stats["stats"]),
        [
            "dailyLimit",
            "todayGenerations",
            "todayRemaining",
            "totalFavorites",
            "totalGenerations",
            "totalOrders"
        ]
    );
    assert!(alice.delete("/v1/users/me").await.ok(200)["message"].is_string());
    alice.get("/v1/users/me").await.refused(401, "TOKEN_REVOKED");
    site.close().await;
});

on_every_backend!(who_was_not_there_for_two_hours_reads_what_to_do_and_not_to_wait, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    site.world.pass(std::time::Duration::from_hours(3)).await;
    let answer = alice.put("/v1/users/me", &json!({ "nickName": "Alice" })).await;
    assert_eq!((answer.status, answer.json["code"].as_str()), (502, Some("UPSTREAM_ERROR")));
    let message = answer.json["message"].as_str().unwrap();
    assert!(message.contains("open it again") && !message.contains("later"), "{message}");
    site.close().await;
});

on_every_backend!(points_and_vip_are_told_truly, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let balance = alice.get("/v1/points/balance").await.ok(200);
    assert_eq!(balance, json!({ "balance": 0, "totalEarned": 0, "totalSpent": 0 }));
    let list = alice.get("/v1/points/transactions?type=EARN&limit=5").await.ok(200);
    assert_eq!(
        list,
        json!({ "items": [], "hasMore": false, "nextCursor": null, "total": 0, "page": 1, "limit": 5 })
    );
    let bad = alice.get("/v1/points/transactions?type=EARNED&page=0&limit=1000").await;
    assert_eq!(bad.faults(), ["limit RANGE", "page RANGE", "type ONE_OF"]);
    alice.get("/v1/points/transactions?cursor=forged").await.refused(400, "INVALID_CURSOR");
    alice.get("/v1/points/transactions?limit=100&page=101").await.refused(400, "VALIDATION_FAILED");

    let info = alice.get("/v1/vip/info").await.ok(200);
    assert_eq!(info["quota"]["dailyGenerations"], json!({ "used": 0, "limit": 5 }));
    assert_eq!((info["remainingDays"].as_i64(), info["vipExpireAt"].is_null()), (Some(0), true));
    site.close().await;
});
