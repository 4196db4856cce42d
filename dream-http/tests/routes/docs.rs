//! Who may read the documentation.

use dream_http::{Docs, Settings};
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;
use reqwest::Method;

use crate::site::{Site, settings};

const PAGES: [&str; 4] = ["/api/docs-json", "/api/docs", "/api/docs/", "/api/docs/swagger-ui.css"];

on_every_backend!(documentation_for_admins_is_shown_to_nobody_else, |backend| async move {
    let site = Site::at(Settings { docs: Docs::Admin, ..settings() }, TestDream::on(&backend)).await;
    let alice = site.user("alice").await;
    for path in PAGES {
        let shown = site.admin().prepare(Method::GET, path).send().await.unwrap();
        assert!(matches!(shown.status().as_u16(), 200 | 301), "{path}: {}", shown.status());
        assert_eq!(shown.headers()["cache-control"], "no-store", "{path}");
        // Now that somebody had it, it would be kept if it were kept at all.
        site.nobody().get(path).await.refused(401, "ADMIN_KEY_INVALID");
        site.admin_with("nonsense").get(path).await.refused(401, "ADMIN_KEY_INVALID");
        alice.get(path).await.refused(401, "ADMIN_KEY_INVALID");
    }
    let document = site.admin().get("/api/docs-json").await.ok(200);
    let security = &document["paths"]["/api/docs-json"]["get"]["security"];
    assert_eq!(security[0], serde_json::json!({ "adminKey": [] }), "{security}");
    site.close().await;
});

on_every_backend!(documentation_that_is_off_is_not_there_for_admins_either, |backend| async move {
    let site = Site::at(Settings { docs: Docs::Off, ..settings() }, TestDream::on(&backend)).await;
    for path in PAGES {
        site.nobody().get(path).await.refused(404, "ROUTE_NOT_FOUND");
        site.admin().get(path).await.refused(404, "ROUTE_NOT_FOUND");
    }
    site.admin().get("/v1/admin/users").await.ok(200);
    site.close().await;
});
