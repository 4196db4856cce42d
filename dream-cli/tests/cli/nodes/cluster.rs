//! The nodes and all that they need.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use dream_testkit::backends::{OwnPostgres, TestRedis};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::nginx::Nginx;
use crate::load::{Place, priced};
use crate::process::{ADMIN_KEY, Node, PATIENCE, Variables, command, free_port, outside};

/// How long news of a change may take to reach every node.
const NEWS_LIMIT: Duration = Duration::from_secs(1);

pub(crate) struct Cluster {
    pub postgres: OwnPostgres,
    pub redis: TestRedis,
    pub place: Place,
    nodes: Vec<Option<Node>>,
    ports: Vec<u16>,
    _nginx: Nginx,
    variables: Variables,
    folder: TempDir,
}

impl Cluster {
    pub(crate) async fn start(count: usize) -> Self {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let port = Nginx::port();
        let place = Place::new(&Nginx::url_for(port), outside(&Nginx::url_for(port)).await);
        let (postgres, redis) = (OwnPostgres::start().await.unwrap(), TestRedis::start().await.unwrap());
        let keys = place.sandbox.credentials();
        let variables = priced(Variables::production(&keys, &Nginx::url_for(port)))
            .with_r2(&keys)
            .with("DATABASE_URL", postgres.url())
            .with("DATABASE_MAX_CONNECTIONS", 8)
            .with("REDIS_URL", redis.url())
            .with("TRUSTED_PROXIES", "127.0.0.1")
            .with("DRAIN_NOTICE", 2)
            .with("LOG_LEVEL", "info");
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        // All at once: one of them migrates and plants, the others wait.
        let starts = ports.iter().map(|port| Node::start(folder.path(), *port, &variables));
        let nodes = futures_util::future::join_all(starts).await.into_iter().map(Some).collect();
        let addresses: Vec<SocketAddr> =
            ports.iter().map(|port| (Ipv4Addr::LOCALHOST, *port).into()).collect();
        let nginx = Nginx::start(folder.path(), port, &addresses).await;
        let cluster = Self { postgres, redis, place, nodes, ports, _nginx: nginx, variables, folder };
        let seeded = command(cluster.folder.path(), &cluster.variables).arg("seed").output().await.unwrap();
        assert!(seeded.status.success(), "{seeded:?}");
        cluster
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().flatten()
    }

    /// One node after the other, beginning with another one each round.
    pub(crate) async fn restart_all(&mut self, round: usize) {
        for step in 0..self.nodes.len() {
            let index = (round + step) % self.nodes.len();
            if let Some(node) = self.nodes[index].take() {
                node.stop().await;
            }
            let node = Node::start(self.folder.path(), self.ports[index], &self.variables).await;
            self.nodes[index] = Some(node);
        }
    }

    /// Waits until each node says that everything it needs is there.
    pub(crate) async fn until_all_are_well(&self) {
        for node in self.nodes() {
            let url = format!("{}/health/ready", node.url());
            let well = async {
                loop {
                    if let Ok(answer) = self.place.http.get(&url).send().await
                        && answer.status() == 200
                        && let Ok(body) = answer.json::<Value>().await
                        && body["dependencies"].as_array().unwrap().iter().all(|it| it["state"] == "up")
                    {
                        return;
                    }
                    sleep(Duration::from_millis(50)).await;
                }
            };
            assert!(timeout(PATIENCE, well).await.is_ok(), "a node does not recover:\n{}", node.log());
        }
    }

    async fn login(&self, name: &str) -> String {
        let body = json!({ "code": format!("sandbox-{name}") });
        let answer =
            self.place.http.post(format!("{}/v1/auth/wechat-login", self.place.url)).json(&body).send().await;
        let answer: Value = answer.unwrap().json().await.unwrap();
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Waits until every node answers as it should; how long the slowest took.
    async fn everywhere(&self, path: &str, token: &str, want: impl Fn(u16, &Value) -> bool) -> Duration {
        let begun = Instant::now();
        for node in self.nodes() {
            loop {
                let ask = self.place.http.get(format!("{}{path}", node.url())).bearer_auth(token);
                let answer = ask.send().await.unwrap();
                let (status, body) =
                    (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default());
                if want(status, &body) {
                    break;
                }
                assert!(begun.elapsed() < PATIENCE, "{path}: {status} {body}");
                sleep(Duration::from_millis(20)).await;
            }
        }
        begun.elapsed()
    }

    pub(crate) async fn news_reach_every_node_within_a_second(&self) {
        let token = self.login("gone").await;
        self.everywhere("/v1/auth/check", &token, |status, _| status == 200).await;
        let out = self
            .place
            .http
            .post(format!("{}/v1/auth/logout", self.place.url))
            .bearer_auth(&token)
            .send()
            .await;
        assert_eq!(out.unwrap().status(), 200);
        let took = self.everywhere("/v1/auth/check", &token, |status, _| status == 401).await;
        assert!(took < NEWS_LIMIT, "a token that was logged out lived on for {took:?}");

        let template = json!({
            "templateId": "news", "title": "before", "prompt": "a lighthouse", "category": "portrait",
        });
        let templates = format!("{}/v1/templates/prompts", self.place.url);
        let admin = |request: reqwest::RequestBuilder| request.header("X-Admin-Key", ADMIN_KEY);
        let made = admin(self.place.http.post(&templates)).json(&template).send().await.unwrap();
        assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
        let path = "/v1/templates/prompts/news";
        self.everywhere(path, "", |_, body| body["template"]["title"] == "before").await;
        let change = json!({ "title": "after" });
        let changed =
            admin(self.place.http.put(format!("{templates}/news"))).json(&change).send().await.unwrap();
        assert_eq!(changed.status(), 200, "{}", changed.text().await.unwrap());
        let took = self.everywhere(path, "", |_, body| body["template"]["title"] == "after").await;
        assert!(took < NEWS_LIMIT, "a changed template was seen everywhere after {took:?} only");
    }

    /// Every sum adds up.
    pub(crate) async fn books_are_right(&self) {
        let mut audit = command(self.folder.path(), &self.variables);
        let report = audit.args(["audit", "--json"]).output().await.unwrap();
        assert!(report.status.success(), "{report:?}");
    }

    pub(crate) async fn stop(self) {
        for node in self.nodes.into_iter().flatten() {
            node.stop().await;
        }
    }
}
