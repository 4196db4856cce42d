//! Signing in and out.

use dream_testkit::on_every_backend;
use serde_json::json;

use crate::site::{Site, members};

on_every_backend!(a_login_gives_tokens_that_rotate_and_can_be_ended, |backend| async move {
    let site = Site::open(&backend).await;
    let code = site.world.wechat().login_code("o-alice");
    let nobody = site.nobody();
    let body = json!({ "code": code, "userInfo": { "nickName": "小明", "avatarUrl": "" } });
    let login = nobody.post("/v1/auth/wechat-login", &body).await.ok(200);
    assert_eq!(members(&login), ["expiresIn", "refreshToken", "token", "user"]);
    assert_eq!(login["expiresIn"], "7d");
    let user = &login["user"];
    assert_eq!(
        members(user),
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
    assert_eq!((user["nickName"].as_str(), user["vipLevel"].as_str()), (Some("小明"), Some("NORMAL")));
    nobody.post("/v1/auth/wechat-login", &json!({ "code": code })).await.refused(401, "WECHAT_CODE_INVALID");

    let alice = site.bearer(login["token"].as_str().unwrap());
    assert_eq!(alice.get("/v1/auth/check").await.ok(200)["valid"], true);
    let info = alice.get("/v1/auth/userinfo").await.ok(200);
    assert_eq!(info["stats"]["dailyLimit"], 5);

    let refresh = json!({ "refreshToken": login["refreshToken"] });
    let next = nobody.post("/v1/auth/refresh-token", &refresh).await.ok(200);
    assert_eq!(members(&next), ["expiresIn", "refreshToken", "token"]);
    // The answer may have been lost: the same client gets the same pair, and the login goes on.
    assert_eq!(nobody.post("/v1/auth/refresh-token", &refresh).await.ok(200), next);
    alice.get("/v1/auth/check").await.ok(200);
    // Later a spent one revokes the whole family.
    site.world.clock().advance(std::time::Duration::from_secs(61));
    nobody.post("/v1/auth/refresh-token", &refresh).await.refused(401, "TOKEN_REVOKED");
    alice.get("/v1/auth/check").await.refused(401, "TOKEN_REVOKED");

    let alice = site.user("alice").await;
    let by_token = alice.post("/v1/auth/refresh-token", &json!({})).await.ok(200);
    assert!(by_token["token"].is_string());
    assert!(alice.post("/v1/auth/logout", &json!({})).await.ok(200)["message"].is_string());
    alice.get("/v1/auth/check").await.refused(401, "TOKEN_REVOKED");
    site.close().await;
});

on_every_backend!(a_bad_token_at_refresh_is_never_a_500, |backend| async move {
    let site = Site::open(&backend).await;
    site.nobody().post("/v1/auth/refresh-token", &json!({})).await.refused(401, "UNAUTHENTICATED");
    site.bearer("x.y.z").post("/v1/auth/refresh-token", &json!({})).await.refused(401, "UNAUTHENTICATED");
    let unknown = json!({ "refreshToken": "never-given-out" });
    site.nobody().post("/v1/auth/refresh-token", &unknown).await.refused(401, "UNAUTHENTICATED");
    site.close().await;
});

on_every_backend!(every_fault_of_a_login_is_named, |backend| async move {
    let site = Site::open(&backend).await;
    let body =
        json!({ "code": "", "iv": 5, "userInfo": { "nickName": "x".repeat(33), "age": 3 }, "more": 1 });
    let answer = site.nobody().post("/v1/auth/wechat-login", &body).await;
    assert_eq!(
        answer.faults(),
        ["code LENGTH", "iv TYPE", "userInfo.nickName LENGTH", "userInfo.age UNKNOWN", "more UNKNOWN"]
    );
    let half = json!({ "code": "c", "encryptedData": "AAAA" });
    assert_eq!(site.nobody().post("/v1/auth/wechat-login", &half).await.faults(), ["iv REQUIRED"]);
    site.close().await;
});
