//! Administration.

use dream_testkit::on_every_backend;
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
