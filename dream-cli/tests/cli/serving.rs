//! `dream serve` beside the commands that administer it.

use std::process::Stdio;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use crate::shell::Shell;

const PATIENCE: Duration = Duration::from_mins(1);

/// `dream serve` on a free port.
struct Server {
    child: Child,
    url: String,
    client: reqwest::Client,
}

impl Server {
    async fn start(shell: &Shell) -> Self {
        let mut command = shell.prepare(&["serve"]);
        command.envs([("PORT", "0"), ("HOST", "127.0.0.1"), ("LOG_LEVEL", "warn")]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let url = timeout(PATIENCE, async {
            loop {
                let line = lines.next_line().await.expect("its output").expect("the banner");
                if let Some(url) = line.trim().strip_prefix("address") {
                    return url.trim().to_owned();
                }
            }
        });
        let url = url.await.expect("a banner in time");
        // Reads on, so that the server never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        Self { child, url, client }
    }

    async fn get(&self, path: &str, key: Option<&str>) -> (StatusCode, String) {
        let mut request = self.client.get(format!("{}{path}", self.url));
        if let Some(key) = key {
            request = request.header("x-admin-key", key);
        }
        let answer = request.send().await.expect("an answer");
        (answer.status(), answer.text().await.expect("a body"))
    }

    async fn stop(mut self) {
        let pid = self.child.id().expect("it runs").to_string();
        let asked = tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await;
        assert!(asked.expect("kill").success());
        let ended = timeout(PATIENCE, self.child.wait()).await.expect("an end in time");
        assert!(ended.expect("an end").success());
    }
}

/// The gauge of this name, once it is there.
async fn gauge(server: &Server, name: &str) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let (_, text) = server.get("/metrics", None).await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        if let Some(value) = line {
            return value.to_owned();
        }
        assert!(Instant::now() < until, "{name} is not among the metrics:\n{text}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_gauges_that_must_read_0_do_and_a_key_opens_a_server_that_runs() {
    let shell = Shell::with(&[]);
    let server = Server::start(&shell).await;
    for name in [
        "dream_ledger_unbalanced_accounts",
        "dream_orders_paid_unfulfilled",
        "dream_jobs_overdue",
        "dream_outbox_tasks_overdue",
        "dream_outbox_oldest_due_seconds",
    ] {
        assert_eq!(gauge(&server, name).await, "0", "{name}");
    }
    assert_ne!(gauge(&server, "dream_outbox_tasks_waiting").await, "0", "housekeeping waits");

    // Whoever comes through a proxy is not on this machine, and a page in a browser has another host.
    for (name, value) in [("x-forwarded-for", "203.0.113.9"), ("host", "shop.example")] {
        let url = format!("{}/sandbox/pay/ORD1", server.url);
        let answer = server.client.post(url).header(name, value).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}");
    }
    let answer =
        server.client.post(format!("{}/sandbox/pay/ORD1", server.url)).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::NOT_FOUND, "from here, it is about the order");

    let made = shell.json(&["admin-key", "create", "ops", "-y"]).await;
    let key = made["key"].as_str().unwrap();
    let (status, users) = server.get("/v1/admin/users", Some(key)).await;
    assert_eq!(status, StatusCode::OK, "{users}");
    shell.out(&["admin-key", "revoke", "ops", "-y"]).await;
    let (status, _) = server.get("/v1/admin/users", Some(key)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    server.stop().await;
}

impl Server {
    async fn post(&self, path: &str, token: &str, body: Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(token).json(&body);
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.expect("JSON")
    }

    async fn see(&self, path: &str, token: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(token);
        request.send().await.expect("an answer").json().await.expect("JSON")
    }
}

#[tokio::test]
async fn payments_and_pictures_of_the_sandbox_survive_a_restart_and_commands_reach_it() {
    let shell = Shell::with(&[("JWT_SECRET", "3f9c1b7e5a2d4860917e3c5b2f8a6d04c17b")]);
    let server = Server::start(&shell).await;
    let login = json!({ "code": "sandbox-alice" });
    let token = server.post("/v1/auth/wechat-login", "", login).await["token"].as_str().unwrap().to_owned();
    let recharge = json!({ "amount": 50 });
    let [order, unpaid] = [
        server.post("/v1/points/recharge", &token, recharge.clone()).await,
        server.post("/v1/points/recharge", &token, recharge).await,
    ]
    .map(|placed| placed["orderId"].as_str().unwrap().to_owned());
    let cat = json!({ "prompt": "a cat", "mode": "draft" });
    let job = server.post("/v1/jobs", &token, cat).await["jobId"].as_str().unwrap().to_owned();
    let picture = loop {
        let seen = server.see(&format!("/v1/jobs/{job}?wait=25"), &token).await;
        if let Some(url) = seen["resultUrls"].as_array().and_then(|urls| urls.first()) {
            break url.as_str().unwrap().to_owned();
        }
    };
    let drawn = server.client.get(&picture).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(shell.run(&["order", "query", &order]).await.code, 0);
    server.stop().await;
    // Nobody plays WeChat Pay now.
    assert_eq!(shell.run(&["order", "query", &order]).await.code, 5);

    let server = Server::start(&shell).await;
    let again = server.client.get(&picture).send().await.unwrap();
    assert_eq!((again.status(), again.bytes().await.unwrap()), (StatusCode::OK, drawn));
    server.post(&format!("/sandbox/pay/{order}"), "", json!({})).await;
    let ran = shell.run(&["order", "query", &order]).await;
    assert!(ran.code == 0 && ran.out.contains("PAID"), "{ran:?}");
    assert_eq!(server.see("/v1/points/balance", &token).await["balance"], 50);
    shell.out(&["order", "close", &unpaid, "-y"]).await;
    let ran = shell.run(&["order", "reconcile"]).await;
    assert!([0, 6].contains(&ran.code), "it was asked for its bill: {ran:?}");
    server.stop().await;
}

#[tokio::test]
async fn the_banner_says_what_is_open_and_unchecked_in_json_too() {
    let shell = Shell::with(&[]);
    shell.out(&["migrate"]).await;
    shell.out(&["admin-key", "create", "ops", "-y"]).await;
    for format in ["pretty", "json"] {
        let mut command = shell.prepare(&["serve"]);
        command.envs([("PORT", "0"), ("HOST", "0.0.0.0"), ("LOG_FORMAT", format)]);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the server starts");
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        let said = timeout(PATIENCE, async {
            let (mut out, mut err, mut said) = (out.lines(), err.lines(), String::new());
            let wanted = ["admin-key list", "checks let every text", "HOST=127.0.0.1", "sandbox-alice"];
            while !wanted.iter().all(|part| said.contains(part)) {
                let line = tokio::select! {
                    Ok(Some(line)) = out.next_line() => line,
                    Ok(Some(line)) = err.next_line() => line,
                    else => break,
                };
                said.push_str(&line);
                said.push('\n');
            }
            said
        });
        let said = said.await.unwrap_or_else(|_| panic!("{format}: the banner is not whole"));
        assert!(said.contains("sandbox-alice"), "{format}: {said}");
        child.kill().await.unwrap();
    }
}
