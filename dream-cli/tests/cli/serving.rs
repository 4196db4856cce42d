//! `dream serve` beside the commands that administer it.

use std::process::Stdio;
use std::time::Duration;

use reqwest::StatusCode;
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

    let made = shell.json(&["admin-key", "create", "ops", "-y"]).await;
    let key = made["key"].as_str().unwrap();
    let (status, users) = server.get("/v1/admin/users", Some(key)).await;
    assert_eq!(status, StatusCode::OK, "{users}");
    shell.out(&["admin-key", "revoke", "ops", "-y"]).await;
    let (status, _) = server.get("/v1/admin/users", Some(key)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    server.stop().await;
}
