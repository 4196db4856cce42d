//! What answers look like: the envelope, the headers, compression, conditional requests, the document.

use std::collections::BTreeSet;
use std::io::Read as _;

use dream_http::{Origins, Settings};
use http::HeaderValue;

use crate::house::{House, settings};

#[tokio::test]
async fn an_unknown_path_answers_with_the_envelope_in_the_readers_language() {
    let house = House::open().await;
    let zh =
        house.ask("GET /v1/nothing?x=1 HTTP/1.1\r\nHost: t\r\nX-Request-Id: abc.1-2_3\r\n\r\n", b"").await;
    let json = zh.json();
    assert_eq!((zh.status, zh.code().as_str()), (404, "ROUTE_NOT_FOUND"));
    assert_eq!(json["statusCode"], 404);
    assert_eq!(json["error"], "Not Found");
    assert_eq!(json["message"], "请求的地址不存在");
    assert_eq!(json["requestId"], "abc.1-2_3");
    assert_eq!(json["path"], "/v1/nothing");
    assert!(json["timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(zh.header("x-request-id"), "abc.1-2_3");
    assert_eq!(zh.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(zh.header("content-language"), "zh-CN");
    assert!(json.get("errors").is_none() && json.get("data").is_none());

    let en = house.get("/v1/nothing").await;
    assert_eq!(en.json()["message"], "There is no such route");
}

#[tokio::test]
async fn an_insane_request_id_is_replaced() {
    let house = House::open().await;
    let long = "a".repeat(65);
    for bad in ["", "a b", "a/b", "Ünï", long.as_str()] {
        let head = format!("GET /health HTTP/1.1\r\nHost: t\r\nX-Request-Id: {bad}\r\n\r\n");
        let answer = house.ask(&head, b"").await;
        let id = answer.header("x-request-id");
        assert_ne!(id, bad);
        assert!((1..=64).contains(&id.len()), "{id}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_names_the_right_ones() {
    let house = House::open().await;
    let answer = house.ask("PUT /v1/test/orders HTTP/1.1\r\nHost: t\r\n\r\n", b"").await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "METHOD_NOT_ALLOWED"));
    assert_eq!(answer.header("allow"), "OPTIONS, POST");
    let options = house.ask("OPTIONS /v1/test/slow HTTP/1.1\r\nHost: t\r\n\r\n", b"").await;
    assert_eq!((options.status, options.header("allow")), (204, "GET, HEAD, OPTIONS, POST"));
}

#[tokio::test]
async fn head_answers_like_get_without_the_body() {
    let house = House::open().await;
    let get = house.get("/v1/test/big").await;
    let mut wire = house.connect().await;
    wire.send("HEAD /v1/test/big HTTP/1.1\r\nHost: t\r\n\r\n", b"").await;
    let head = wire.answer(true).await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), get.body.len().to_string());
    // The connection goes on right behind the head.
    wire.send("GET /health HTTP/1.1\r\nHost: t\r\n\r\n", b"").await;
    assert_eq!(wire.answer(false).await.json()["status"], "ok");
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let house = House::open().await;
    for target in ["/", "/v1/nothing", "/v1/test/panic", "/v1/test/me", "/api/docs-json"] {
        let answer = house.get(target).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{target}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{target}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{target}");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{target}");
    }
}

#[tokio::test]
async fn a_panic_or_defect_is_a_500_that_tells_nothing() {
    let house = House::open().await;
    for answer in [
        house.get("/v1/test/panic").await,
        house.post("/v1/test/panic", "").await,
        house.get("/v1/test/fail").await,
    ] {
        assert_eq!((answer.status, answer.code().as_str()), (500, "INTERNAL"));
        assert!(!String::from_utf8_lossy(&answer.body).contains("swordfish"));
    }
    assert_eq!(house.get("/health").await.status, 200);
}

#[tokio::test]
async fn large_json_is_compressed_for_those_who_take_it() {
    let house = House::open().await;
    let head = "GET /v1/test/big HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\n\r\n";
    let packed = house.ask(head, b"").await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.header("vary").contains("Accept-Encoding"));
    let mut plain = String::new();
    flate2::read::GzDecoder::new(&*packed.body).read_to_string(&mut plain).unwrap();
    let unpacked = house.get("/v1/test/big").await;
    assert_eq!(plain.as_bytes(), unpacked.body);
    assert_eq!(unpacked.header("content-encoding"), "");
    let small = house.ask("GET /health HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\n\r\n", b"").await;
    assert_eq!(small.header("content-encoding"), "");
}

#[tokio::test]
async fn a_public_answer_is_made_once_and_not_sent_again_to_who_has_it() {
    let house = House::open().await;
    let first = house.get("/v1/test/public").await;
    let second = house.get("/v1/test/public").await;
    assert_eq!(first.body, second.body);
    let etag = first.header("etag").to_owned();
    assert!(etag.starts_with("W/\""));
    assert_eq!(first.header("cache-control"), "public, no-cache");

    let head = format!("GET /v1/test/public HTTP/1.1\r\nHost: t\r\nIf-None-Match: {etag}\r\n\r\n");
    let known = house.ask(&head, b"").await;
    assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, etag.as_str()));

    house.app.invalidate("tests");
    let changed = house.ask(&head, b"").await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), etag);
}

#[tokio::test]
async fn private_answers_are_kept_nowhere() {
    let house = House::open().await;
    assert_eq!(house.get("/v1/test/list").await.header("cache-control"), "no-store");
}

#[tokio::test]
async fn any_origin_is_never_combined_with_credentials() {
    let house = House::open().await;
    let head = "GET /v1/test/list HTTP/1.1\r\nHost: t\r\nOrigin: https://a.example\r\n\r\n";
    let answer = house.ask(head, b"").await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    assert!(answer.header("access-control-expose-headers").contains("X-Request-Id"));
}

#[tokio::test]
async fn only_listed_origins_are_let_in() {
    let listed = Origins::Listed(vec![HeaderValue::from_static("https://a.example")]);
    let house = House::with(Settings { origins: listed, ..settings() }).await;
    let ask = |origin: &str| {
        format!(
            "OPTIONS /v1/test/orders HTTP/1.1\r\nHost: t\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\n\r\n"
        )
    };
    let good = house.ask(&ask("https://a.example"), b"").await;
    assert_eq!(good.status, 204);
    assert_eq!(good.header("access-control-allow-origin"), "https://a.example");
    assert_eq!(good.header("access-control-allow-credentials"), "true");
    assert!(good.header("access-control-allow-methods").contains("POST"));
    assert!(good.header("access-control-allow-headers").contains("Idempotency-Key"));
    assert!(good.header("vary").to_lowercase().contains("origin"));
    let bad = house.ask(&ask("https://b.example"), b"").await;
    assert_eq!(bad.header("access-control-allow-origin"), "");
    assert!(bad.header("vary").to_lowercase().contains("origin"));
}

#[tokio::test]
async fn the_document_lists_every_listed_row() {
    let house = House::open().await;
    let document = house.get("/api/docs-json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for row in house.app.table().rows() {
        let operation = &document["paths"][row.path()][row.method().as_str().to_lowercase()];
        if operation.is_null() {
            let page = row.path().starts_with("/api/docs/") || row.path().starts_with("/admin");
            assert!(page || row.path() == "/metrics", "{row:?}");
        } else {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{row:?}");
        }
    }
    let list = &document["paths"]["/v1/test/list"]["get"];
    let names: Vec<&str> =
        list["parameters"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["limit", "cursor", "wait", "trending"]);
    let wait = &list["parameters"][2];
    assert_eq!(wait["schema"]["maximum"], 25);
    assert_eq!(wait["required"], false);
    let job = &document["paths"]["/v1/test/jobs/{jobId}"]["get"]["parameters"][0];
    assert_eq!((job["name"].as_str(), job["in"].as_str()), (Some("jobId"), Some("path")));
    let me = &document["paths"]["/v1/test/me"]["get"];
    assert_eq!(me["security"][0]["userToken"], serde_json::json!([]));
    assert!(me["responses"]["401"]["description"].as_str().unwrap().contains("TOKEN_EXPIRED"));
    let order = &document["paths"]["/v1/test/orders"]["post"];
    let shape = order["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
    assert_eq!(shape, "#/components/schemas/TestOrder");
    assert!(order["responses"]["201"].is_object());
    assert!(order["responses"]["409"]["description"].as_str().unwrap().contains("ORDER_NOT_PAYABLE"));
    let count = &document["components"]["schemas"]["TestOrder"]["properties"]["count"];
    assert_eq!((count["minimum"].as_i64(), count["maximum"].as_i64()), (Some(1), Some(10)));
}

#[tokio::test]
async fn every_reference_of_the_document_leads_somewhere() {
    let house = House::open().await;
    let answer = house.get("/api/docs-json").await;
    let text = String::from_utf8(answer.body.clone()).unwrap();
    let document = answer.json();
    for reference in text.split("\"#/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(&format!("/{reference}")).is_some(), "{reference} is missing");
    }
}

#[tokio::test]
async fn the_documentation_page_comes_out_of_the_program() {
    let house = House::open().await;
    let moved = house.get("/api/docs").await;
    assert_eq!((moved.status, moved.header("location")), (301, "/api/docs/"));
    let page = house.get("/api/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    let html = String::from_utf8(page.body).unwrap();
    assert!(!html.contains("https://") && !html.contains("//cdn"), "{html}");
    for file in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        let answer = house.get(&format!("/api/docs/{file}")).await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.header("content-security-policy").contains("script-src 'self'"));
    }
    let start = house.get("/api/docs/swagger-initializer.js").await;
    assert!(String::from_utf8(start.body).unwrap().contains("/api/docs-json"));
    assert_eq!(house.get("/api/docs/nothing.js").await.status, 404);
}

#[tokio::test]
async fn the_console_comes_out_of_the_program_and_runs_nothing_inline() {
    let house = House::open().await;
    let moved = house.get("/admin").await;
    assert_eq!((moved.status, moved.header("location")), (301, "/admin/"));
    for (file, kind) in [
        ("", "text/html"),
        ("app.js", "text/javascript"),
        ("words.js", "text/javascript"),
        ("style.css", "text/css"),
    ] {
        let answer = house.get(&format!("/admin/{file}")).await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.header("content-type").starts_with(kind), "{file}");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(!text.contains(" style=") && !text.contains("innerHTML"), "{file}");
        // The namespace of drawings is a name and no address.
        let addresses = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!addresses.contains("https://") && !addresses.contains("http://"), "{file}");
    }
    assert_eq!(house.get("/admin/nothing.js").await.status, 404);
}

#[tokio::test]
async fn the_service_says_who_and_how_it_is() {
    let house = House::open().await;
    let banner = house.get("/").await.json();
    assert_eq!(banner["docs"], "/api/docs");
    for target in ["/health", "/v1/health"] {
        let health = house.get(target).await.json();
        assert_eq!(
            (health["status"].as_str(), health["service"].as_str()),
            (Some("ok"), Some("dream-wechat-backend"))
        );
        assert!(health["uptime"].is_number());
    }
    assert_eq!(house.get("/health/live").await.json()["status"], "ok");
}

#[tokio::test]
async fn clients_that_come_over_https_are_told_to_use_nothing_else() {
    let house = House::with(Settings { https: true, ..settings() }).await;
    for target in ["/health", "/v1/nothing", "/v1/test/fail", "/v1/test/public"] {
        let answer = house.get(target).await;
        let policy = answer.header("strict-transport-security");
        assert_eq!(policy, "max-age=15552000; includeSubDomains", "{target}");
    }
    assert_eq!(House::open().await.get("/health").await.header("strict-transport-security"), "");
}
