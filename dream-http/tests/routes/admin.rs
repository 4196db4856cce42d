//! Administration.

use dream_testkit::on_every_backend;
use dream_testkit::world::ADMIN_NAME;
use serde_json::json;

use crate::site::{Site, members};

on_every_backend!(an_admin_sees_users_and_what_it_does_is_recorded, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let id = alice.get("/v1/users/me").await.ok(200)["user"]["id"].clone();
    let admin = site.admin();
    let list = admin.get("/v1/admin/users?limit=10").await.ok(200);
    assert_eq!((list["users"][0]["openid"].as_str(), list["page"].as_i64()), (Some("o-alice"), Some(1)));
    assert_eq!(admin.get(&format!("/v1/admin/users/{id}")).await.ok(200)["user"]["id"], id);

    let vip = format!("/v1/admin/users/{id}/vip");
    let set = admin.put(&vip, &json!({ "vipLevel": "VIP", "days": 30, "reason": "a gift" })).await.ok(200);
    assert_eq!(set["user"]["vipLevel"], "VIP");
    assert_eq!(alice.get("/v1/vip/info").await.ok(200)["remainingDays"], 30);
    let both = json!({ "vipLevel": "VIP", "days": 1, "vipExpireAt": "2030-01-01T00:00:00Z" });
    assert_eq!(admin.put(&vip, &both).await.faults(), ["vipExpireAt CONFLICT"]);
    let bad = json!({ "vipLevel": "GOLD", "days": 0 });
    assert_eq!(admin.put(&vip, &bad).await.faults(), ["vipLevel ONE_OF", "days RANGE"]);
    assert_eq!(admin.delete(&vip).await.ok(200)["user"]["vipLevel"], "NORMAL");

    let log = admin.get("/v1/admin/audit-log?limit=1").await.ok(200);
    let entry = &log["items"][0];
    assert_eq!(
        members(entry),
        ["action", "actor", "after", "at", "before", "id", "reason", "requestId", "target"]
    );
    assert_eq!(
        (entry["actor"].as_str(), entry["target"].as_str()),
        (Some("ops"), Some(format!("user:{id}").as_str()))
    );
    assert!(entry["requestId"].is_string());
    let next = log["nextCursor"].as_str().unwrap();
    let older = admin.get(&format!("/v1/admin/audit-log?limit=1&cursor={next}")).await.ok(200);
    assert_eq!(older["items"][0]["reason"], "a gift");
    // A cursor opens only the list and filters that it was made for.
    admin.get(&format!("/v1/admin/users?cursor={next}")).await.refused(400, "INVALID_CURSOR");
    admin.get(&format!("/v1/admin/audit-log?actor=ops&cursor={next}")).await.refused(400, "INVALID_CURSOR");

    admin.delete(&format!("/v1/admin/users/{id}")).await.ok(200);
    alice.get("/v1/users/me").await.refused(401, "TOKEN_REVOKED");
    site.close().await;
});

on_every_backend!(users_are_listed_by_page_and_by_cursor_with_their_number, |backend| async move {
    let site = Site::open(&backend).await;
    for name in ["ann", "bea", "cat"] {
        site.user(name).await;
    }
    let admin = site.admin();
    let list = admin.get("/v1/admin/users?limit=2&page=1").await.ok(200);
    assert_eq!(members(&list), ["hasMore", "limit", "nextCursor", "page", "total", "users"]);
    assert_eq!(
        (list["total"].as_i64(), list["page"].as_i64(), list["limit"].as_i64()),
        (Some(3), Some(1), Some(2))
    );
    assert_eq!(
        members(&list["users"][0]),
        [
            "avatarUrl",
            "createdAt",
            "id",
            "nickName",
            "openid",
            "phone",
            "pointsBalance",
            "unionid",
            "updatedAt",
            "vipExpireAt",
            "vipLevel"
        ]
    );
    let next = list["nextCursor"].as_str().unwrap();
    let rest = admin.get(&format!("/v1/admin/users?limit=2&cursor={next}")).await.ok(200);
    assert_eq!((rest["users"][0]["openid"].as_str(), rest["total"].as_i64()), (Some("o-ann"), Some(3)));
    assert!(rest["page"].is_null() && rest["nextCursor"].is_null());
    let found = admin.get("/v1/admin/users?search=o-bea&vipLevel=NORMAL").await.ok(200);
    assert_eq!((found["users"][0]["openid"].as_str(), found["total"].as_i64()), (Some("o-bea"), Some(1)));
    for (query, faults) in [
        ("limit=0", vec!["limit RANGE"]),
        ("page=0", vec!["page RANGE"]),
        ("vipLevel=GOLD&limit=x", vec!["limit TYPE", "vipLevel ONE_OF"]),
        ("sort=name", vec!["sort UNKNOWN"]),
    ] {
        let mut told = admin.get(&format!("/v1/admin/users?{query}")).await.faults();
        told.sort();
        assert_eq!(told, faults, "{query}");
    }
    let beyond = admin.get("/v1/admin/users?page=501&limit=20").await;
    assert_eq!(beyond.faults(), ["page FORMAT"]);
    admin.get("/v1/admin/users?cursor=forged").await.refused(400, "INVALID_CURSOR");
    site.close().await;
});

on_every_backend!(an_admin_changes_a_user_who_sees_it_at_once, |backend| async move {
    let site = Site::open(&backend).await;
    let (alice, admin) = (site.user("alice").await, site.admin());
    let id = alice.get("/v1/users/me").await.ok(200)["user"]["id"].clone();
    let path = format!("/v1/admin/users/{id}");
    let body = json!({ "nickName": "Alice", "pointsBalance": 25, "reason": "a prize" });
    let changed = admin.put(&path, &body).await.ok(200);
    assert_eq!(members(&changed), ["user"]);
    assert_eq!(alice.get("/v1/users/me").await.ok(200), changed);
    assert_eq!(changed["user"]["pointsBalance"], 25);
    let ledger = alice.get("/v1/points/transactions").await.ok(200);
    assert_eq!(
        (ledger["items"][0]["type"].as_str(), ledger["items"][0]["amount"].as_i64()),
        (Some("EARN"), Some(25))
    );
    let log = admin.get(&format!("/v1/admin/audit-log?target=user:{id}&action=user.update")).await.ok(200);
    let entry = &log["items"][0];
    assert_eq!((entry["actor"].as_str(), entry["reason"].as_str()), (Some(ADMIN_NAME), Some("a prize")));
    assert_eq!(entry["after"], json!({ "nickName": "Alice", "pointsBalance": 25 }));
    assert_eq!(admin.put(&path, &json!({})).await.ok(200), changed);

    let bad = json!({ "nickName": "", "avatarUrl": "a b", "pointsBalance": -1, "openid": "x" });
    let mut faults = admin.put(&path, &bad).await.faults();
    faults.sort();
    assert_eq!(faults, ["avatarUrl FORMAT", "nickName LENGTH", "openid UNKNOWN", "pointsBalance RANGE"]);
    let elsewhere = json!({ "avatarUrl": "https://evil.example/a.png", "pointsBalance": 1 });
    assert_eq!(admin.put(&path, &elsewhere).await.faults(), ["avatarUrl FORMAT"]);
    admin.put(&path, &json!({ "nickName": "违规" })).await.refused(403, "CONTENT_REJECTED");
    assert_eq!(alice.get("/v1/users/me").await.ok(200), changed);
    admin.put("/v1/admin/users/999999", &json!({})).await.refused(404, "USER_NOT_FOUND");
    admin.get("/v1/admin/users/999999").await.refused(404, "USER_NOT_FOUND");
    admin.delete("/v1/admin/users/999999").await.refused(404, "USER_NOT_FOUND");
    admin.delete("/v1/admin/users/999999/vip").await.refused(404, "USER_NOT_FOUND");
    let vip = json!({ "vipLevel": "VIP", "days": 1 });
    admin.put("/v1/admin/users/999999/vip", &vip).await.refused(404, "USER_NOT_FOUND");
    let past = json!({ "vipLevel": "VIP", "vipExpireAt": "2000-01-01T00:00:00Z" });
    assert_eq!(admin.put(&format!("{path}/vip"), &past).await.faults(), ["vipExpireAt FORMAT"]);
    let normal = json!({ "vipLevel": "NORMAL", "days": 1 });
    assert_eq!(admin.put(&format!("{path}/vip"), &normal).await.faults(), ["vipLevel ONE_OF"]);
    site.close().await;
});

on_every_backend!(points_change_by_a_difference_and_whatever_happens_meanwhile_stays, |backend| async move {
    let site = Site::open(&backend).await;
    let (alice, admin) = (site.user("alice").await, site.admin());
    let path = format!("/v1/admin/users/{}", alice.get("/v1/users/me").await.ok(200)["user"]["id"]);
    let by = |points: i64| json!({ "pointsDelta": points, "reason": "a prize" });
    assert_eq!(admin.put(&path, &by(100)).await.ok(200)["user"]["pointsBalance"], 100);
    // Two at once add up; two balances would overwrite each other.
    let (raise, cut) = (by(30), by(-10));
    let (one, other) = futures_util::join!(admin.put(&path, &raise), admin.put(&path, &cut));
    one.ok(200);
    other.ok(200);
    let balance = alice.get("/v1/points/balance").await.ok(200);
    assert_eq!(balance, json!({ "balance": 120, "totalEarned": 130, "totalSpent": 10 }));
    let newest = &alice.get("/v1/points/transactions?limit=1").await.ok(200)["items"][0];
    assert_eq!(newest["description"], "a prize");

    let short = admin.put(&path, &by(-121)).await;
    assert_eq!((short.status, &short.json["code"]), (409, &json!("INVALID_STATE")));
    assert_eq!(short.json["data"], json!({ "pointsMissing": 1 }));
    let both = json!({ "pointsDelta": 1, "pointsBalance": 1, "reason": "x" });
    assert_eq!(admin.put(&path, &both).await.faults(), ["pointsDelta CONFLICT"]);
    assert_eq!(admin.put(&path, &json!({ "pointsDelta": 1 })).await.faults(), ["reason REQUIRED"]);
    for points in [0, 1_000_000_001, -1_000_000_001] {
        assert_eq!(admin.put(&path, &by(points)).await.faults(), ["pointsDelta RANGE"]);
    }
    assert_eq!(admin.put(&path, &json!({ "pointsBalance": 7 })).await.ok(200)["user"]["pointsBalance"], 7);
    site.close().await;
});

on_every_backend!(a_key_that_an_operator_made_opens_until_it_is_revoked, |backend| async move {
    let site = Site::open(&backend).await;
    let operator = site.world.dream().operator("root".parse().unwrap());
    let name = "night-shift".parse().unwrap();
    let fresh = operator.create_key(&name).await.unwrap();
    let holder = site.admin_with(secrecy::ExposeSecret::expose_secret(&fresh.key));
    holder.get("/v1/admin/users").await.ok(200);
    operator.revoke_key(&name, None).await.unwrap();
    holder.get("/v1/admin/users").await.refused(401, "ADMIN_KEY_INVALID");
    site.close().await;
});
