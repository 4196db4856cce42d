//! Rate limits, load shedding, who may read the metrics.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dream_core::DependencyHealth;
use dream_http::{ClassLimits, Limits, Settings};
use futures_util::FutureExt as _;
use tokio::time::timeout;

use crate::house::{House, PATIENCE, a_minute, settings};

fn from(address: &str, token: &str, target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_back() {
    let house = House::with(Settings { throttle: a_minute(3), ..settings() }).await;
    for left in ["2", "1", "0"] {
        let answer = house.get("/v1/test/list").await;
        assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, left));
        assert_eq!(answer.header("x-ratelimit-limit"), "3");
        assert!(answer.header("x-ratelimit-reset").parse::<u64>().unwrap() > 0);
    }
    let refused = house.get("/v1/test/list").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "RATE_LIMITED"));
    assert!((1..=20).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    // Health checks are not a matter of allowance.
    assert_eq!(house.get("/health").await.status, 200);
    // Unknown paths and failed logins count as well.
    for target in ["/v1/nothing", "/v1/test/me"] {
        assert_eq!(house.get(target).await.status, 429, "{target}");
    }
}

#[tokio::test]
async fn users_are_counted_by_name_and_strangers_by_address() {
    let trusted = vec!["127.0.0.1/32".parse().unwrap()];
    let house = House::with(Settings { throttle: a_minute(2), trusted_proxies: trusted, ..settings() }).await;
    for _ in 0..2 {
        assert_eq!(house.ask(&from("198.51.100.1", "7", "/v1/test/me"), b"").await.status, 200);
    }
    // The same user from elsewhere, another user from there, and a stranger from there.
    assert_eq!(house.ask(&from("198.51.100.2", "7", "/v1/test/me"), b"").await.status, 429);
    assert_eq!(house.ask(&from("198.51.100.1", "8", "/v1/test/me"), b"").await.status, 200);
    assert_eq!(house.ask(&from("198.51.100.1", "x", "/v1/test/me"), b"").await.status, 401);
}

#[tokio::test]
async fn public_reads_of_guests_have_a_limit_of_their_own() {
    let class_limits = ClassLimits { public: NonZeroU32::new(5), ..ClassLimits::default() };
    let house = House::with(Settings { throttle: a_minute(2), class_limits, ..settings() }).await;
    let targets = [
        "/v1/test/public",
        "/v1/test/public",
        "/v1/test/pages?limit=3",
        "/v1/test/pages?limit=03",
        "/v1/test/public",
    ];
    for (at, target) in targets.into_iter().enumerate() {
        let answer = house.get(target).await;
        assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (200, "5"), "{target}");
        assert_eq!(answer.header("x-ratelimit-remaining"), (4 - at).to_string());
    }
    for target in ["/v1/test/public", "/v1/test/pages?limit=3"] {
        assert_eq!(house.get(target).await.code(), "RATE_LIMITED", "{target}");
    }
    // Nothing of it counts among the other requests, and a credential that is refused counts there alone.
    let refused = house.ask(&from("198.51.100.1", "x", "/v1/gallery/images"), b"").await;
    assert_eq!((refused.status, refused.header("x-ratelimit-limit")), (401, "2"));
    assert_eq!(house.get("/v1/test/list").await.status, 200);
    assert_eq!(house.get("/v1/test/list").await.status, 429);
}

#[tokio::test]
async fn public_reads_without_a_limit_of_their_own_count_among_all_requests() {
    let class_limits = ClassLimits { public: None, ..ClassLimits::default() };
    let house = House::with(Settings { throttle: a_minute(3), class_limits, ..settings() }).await;
    for target in ["/v1/test/public", "/v1/test/public", "/v1/test/pages?limit=3"] {
        assert_eq!(house.get(target).await.status, 200, "{target}");
    }
    for target in ["/v1/test/public", "/v1/test/pages?limit=3", "/v1/test/list"] {
        assert_eq!(house.get(target).await.status, 429, "{target}");
    }
}

#[tokio::test]
async fn one_address_has_only_so_many_connections() {
    let limits = Limits {
        connections: 8,
        connections_per_address: 2,
        header_time: Duration::from_secs(10),
        ..settings().limits
    };
    let house = House::with(Settings { limits, ..settings() }).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut wire = house.connect().await;
        wire.send("GET /health HTTP/1.1\r\nHost: t\r\n\r\n", b"").await;
        assert_eq!(wire.answer(false).await.status, 200);
        held.push(wire);
    }
    for _ in 0..10 {
        assert!(house.connect().await.is_closed().await);
    }
    // The refused ones take no room, and another address has its own.
    assert_eq!(house.from([127, 0, 0, 2], "/health").await.status, 200);
    held.pop();
    let again = async {
        loop {
            let mut wire = house.connect().await;
            if wire.try_send(b"GET /health HTTP/1.1\r\nHost: t\r\n\r\n").await
                && let Some(answer) = wire.try_answer().await
            {
                return answer.status;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, again).await.unwrap(), 200);
}

#[tokio::test]
async fn the_connections_of_a_trusted_proxy_are_those_of_its_clients() {
    let limits = Limits { connections_per_address: 1, ..settings().limits };
    let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let house = House::with(Settings { limits, trusted_proxies, ..settings() }).await;
    let mut first = house.connect().await;
    let mut second = house.connect().await;
    for wire in [&mut first, &mut second] {
        wire.send("GET /health HTTP/1.1\r\nHost: t\r\n\r\n", b"").await;
        assert_eq!(wire.answer(false).await.status, 200);
    }
}

#[tokio::test]
async fn an_untrusted_peer_cannot_choose_its_address() {
    let house = House::with(Settings { throttle: a_minute(2), ..settings() }).await;
    let mut statuses = Vec::new();
    for at in 1..=3 {
        statuses.push(house.ask(&from(&format!("198.51.100.{at}"), "x", "/v1/test/list"), b"").await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn a_full_house_refuses_at_once_and_stays_alive() {
    let limits = Limits { requests: 1, ..settings().limits };
    let house = House::with(Settings { limits, ..settings() }).await;
    let mut busy = house.connect().await;
    busy.send("GET /v1/test/slow HTTP/1.1\r\nHost: t\r\n\r\n", b"").await;
    house.until_begun(1).await;
    let refused = house.get("/v1/test/list").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "UNAVAILABLE"));
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(house.get("/health/live").await.status, 200);
    house.levers.go_on.notify_one();
    assert_eq!(busy.answer(false).await.status, 200);
    assert_eq!(house.get("/v1/test/list").await.status, 200);
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() {
    let limits = Limits { answer_time: Duration::from_millis(100), ..settings().limits };
    let house = House::with(Settings { limits, ..settings() }).await;
    let answer = house.get("/v1/test/slow").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "UNAVAILABLE"));
}

#[tokio::test]
async fn metrics_are_for_those_on_the_list_only() {
    let render = || Arc::new(|| "up 1\n".to_owned());
    let house = House::built(settings(), |builder| builder.metrics(render())).await;
    let answer = house.ask("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"up 1\n"[..]));
    // A proxy on this machine asks for somebody else.
    for proxied in [
        "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Real-IP: 203.0.113.9\r\nConnection: close\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nVia: 1.1 proxy\r\nConnection: close\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n",
        "GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n",
    ] {
        assert_eq!(house.ask(proxied, b"").await.code(), "ROUTE_NOT_FOUND", "{proxied}");
    }
    let nobody = Settings { metrics_allow: Vec::new(), ..settings() };
    let closed = House::built(nobody, |builder| builder.metrics(render())).await;
    assert_eq!(closed.get("/metrics").await.code(), "ROUTE_NOT_FOUND");
    assert_eq!(House::open().await.get("/metrics").await.status, 404);
}

#[tokio::test]
async fn metrics_may_have_a_port_of_their_own() {
    let place = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = place.local_addr().unwrap();
    drop(place);
    let own_port = Settings { metrics_listen: Some(at), ..settings() };
    let mut house = House::built(own_port, |builder| builder.metrics(Arc::new(|| "up 1\n".to_owned()))).await;
    assert_eq!(house.get("/metrics").await.status, 404);
    house.address = at;
    assert_eq!(house.get("/metrics").await.body, b"up 1\n");
    assert_eq!(house.get("/v1/test/list").await.status, 404);
}

#[tokio::test]
async fn readiness_depends_on_what_is_required() {
    let states = |database: bool, cache: bool| {
        move || {
            let database = DependencyHealth { name: "database", up: database, required: true };
            let cache = DependencyHealth { name: "cache", up: cache, required: false };
            async move { vec![database, cache] }.boxed()
        }
    };
    let house = House::built(settings(), |builder| builder.probe(Arc::new(states(true, false)))).await;
    let ready = house.get("/health/ready").await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (200, Some("ready")));
    assert_eq!(ready.json()["dependencies"][1]["state"], "down");
    let house = House::built(settings(), |builder| builder.probe(Arc::new(states(false, true)))).await;
    let not_ready = house.get("/health/ready").await;
    assert_eq!((not_ready.status, not_ready.json()["status"].as_str()), (503, Some("unavailable")));
    assert_eq!(not_ready.json()["dependencies"][0]["state"], "down");
}
