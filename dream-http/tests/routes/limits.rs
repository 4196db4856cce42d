//! Rate limits of what costs much, and over several nodes.

use std::num::NonZeroU32;
use std::time::Duration;

use dream_http::{ClassLimits, Settings, ThrottleRule};
use dream_testkit::on_every_backend;
use dream_testkit::world::{ADMIN_KEY, TestDream};
use reqwest::Method;
use serde_json::json;

use crate::site::{Answer, Site, settings};

fn limited(all: u32, generate: u32) -> Settings {
    let rule = |limit| ThrottleRule { limit, period: Duration::from_hours(1) };
    let none =
        ClassLimits { login: None, pay: None, generate: None, files: None, public: None, admin_key: None };
    let class_limits = ClassLimits { generate: NonZeroU32::new(generate), ..none };
    Settings { throttle: NonZeroU32::new(all).map(rule), class_limits, ..settings() }
}

on_every_backend!(generations_have_a_limit_of_their_own, |backend| async move {
    let site = Site::at(limited(100, 2), TestDream::on(&backend)).await;
    let alice = site.user("alice").await;
    let cat = json!({ "prompt": "a cat" });
    for path in ["/v1/jobs", "/v1/proxy/images/generate"] {
        alice.post(path, &cat).await.ok(202);
    }
    let refused = alice.prepare(Method::POST, "/v1/jobs").json(&cat).send().await.unwrap();
    assert_eq!(refused.headers()["x-ratelimit-limit"], "2");
    assert!(refused.headers().contains_key("retry-after"));
    Answer::of(refused).await.refused(429, "RATE_LIMITED");
    alice.get("/v1/jobs").await.ok(200);
    site.user("bob").await.post("/v1/jobs", &cat).await.ok(202);
    site.close().await;
});

on_every_backend!(guessed_admin_keys_have_a_limit_that_locks_no_admin_out, |backend| async move {
    let mut settings = limited(100, 0);
    settings.class_limits.admin_key = NonZeroU32::new(3);
    let site = Site::at(settings, TestDream::on(&backend)).await;
    let ask = async |key: &str| {
        let request = site.request(Method::GET, "/v1/admin/users").header("x-admin-key", key);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.headers().contains_key("retry-after"))
    };
    assert_eq!(ask(ADMIN_KEY).await, (200, false));
    let form = format!("dreamadm_{}", "x".repeat(43));
    for guess in ["guessed", form.as_str()] {
        assert_eq!(ask(guess).await, (401, false));
    }
    for guess in ["another", form.as_str()] {
        assert_eq!(ask(guess).await, (429, true), "before the key is looked at");
    }
    for _ in 0..5 {
        assert_eq!(ask(ADMIN_KEY).await, (200, false), "this one opened before");
    }
    site.close().await;
});

on_every_backend!(a_caller_gains_nothing_by_going_from_node_to_node, |backend| async move {
    let shared = backend.redis_url().is_some();
    let site = Site::at(limited(4, 0), TestDream::on(&backend)).await;
    let other = site.another_node().await;
    // The login counts for the address.
    let token = site.world.user("alice").await.tokens().access;
    let mut statuses = Vec::new();
    for turn in 0..8 {
        let node = if turn % 2 == 0 { site.address } else { other.address };
        let request = Site::request_at(node, Method::GET, "/v1/users/me").bearer_auth(&token);
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    // Without a shared cache each node counts for itself.
    let allowed = if shared { 4 } else { 8 };
    assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), allowed, "{statuses:?}");
    assert!(statuses[allowed..].iter().all(|&status| status == 429), "{statuses:?}");
    other.stop().await;
    site.close().await;
});
