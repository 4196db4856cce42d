//! One user of many: reads, writes, pays, generates, and remembers what was acknowledged.

use std::sync::Arc;
use std::time::Duration;

use dream_testkit::sandbox::Sandbox;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Wire;

/// Points that a player has from the beginning.
pub(crate) const ENDOWMENT: i64 = 1_000_000;
/// What one generation costs here.
pub(crate) const PRICE: i64 = 2;
/// Points in one recharge.
pub(crate) const RECHARGE: i64 = 10;
const BETWEEN: Duration = Duration::from_millis(10);
/// Before what failed is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// What was acknowledged to a player.
pub(crate) struct Memory {
    pub token: String,
    pub user: i64,
    /// The newest name that was acknowledged.
    pub name: String,
    /// Names that were sent later, and whose fate is not known.
    pub doubtful_names: Vec<String>,
    pub jobs: Vec<String>,
    /// Orders that were paid.
    pub orders: Vec<String>,
    /// Answers that were wrong, in words.
    pub wrong: Vec<String>,
}

pub(crate) struct Player {
    index: usize,
    wire: Arc<Wire>,
    sandbox: Arc<Sandbox>,
    memory: Memory,
}

impl Player {
    pub(crate) async fn enter(index: usize, wire: Arc<Wire>, sandbox: Arc<Sandbox>) -> Self {
        let code = json!({ "code": format!("sandbox-player{index}") });
        let login = wire.admin_free(Method::POST, "/v1/auth/wechat-login", Some(code)).await;
        let user = login["user"]["id"].as_i64().unwrap();
        wire.endow(user, ENDOWMENT).await;
        let memory = Memory {
            token: login["token"].as_str().unwrap().to_owned(),
            user,
            name: login["user"]["nickName"].as_str().unwrap_or_default().to_owned(),
            doubtful_names: Vec::new(),
            jobs: Vec::new(),
            orders: Vec::new(),
            wrong: Vec::new(),
        };
        Self { index, wire, sandbox, memory }
    }

    /// Plays until the load ends.
    pub(crate) async fn play(mut self) -> Memory {
        let mut turn = 0_usize;
        while !self.wire.is_over() {
            match turn % 8 {
                0 => self.rename(turn).await,
                1 | 5 => self.look_at_myself().await,
                2 => self.generate(turn).await,
                3 => self.read_in_public().await,
                4 => self.recharge(turn).await,
                6 => self.look_at_a_job().await,
                _ => self.look_at_an_order().await,
            }
            turn += 1;
            sleep(BETWEEN).await;
        }
        self.memory
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<Value>,
    ) -> Option<(u16, Value)> {
        self.wire.ask(method, path, &self.memory.token, key, body).await
    }

    /// Until it is answered. Only for what may be repeated.
    async fn insist(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<Value>,
    ) -> (u16, Value) {
        loop {
            if let Some(answer) = self.ask(method.clone(), path, key, body.clone()).await {
                return answer;
            }
            sleep(PAUSE).await;
        }
    }

    fn wrong(&mut self, what: &str) {
        self.memory.wrong.push(format!("player {}: {what}", self.index));
    }

    async fn rename(&mut self, turn: usize) {
        let name = format!("player {} {turn}", self.index);
        let answer = self.ask(Method::PUT, "/v1/users/me", None, Some(json!({ "nickName": name }))).await;
        match answer {
            Some((200, _)) => {
                self.memory.name = name;
                self.memory.doubtful_names.clear();
            }
            Some((status, body)) => self.wrong(&format!("renamed: {status} {body}")),
            None => self.memory.doubtful_names.push(name),
        }
    }

    async fn look_at_myself(&mut self) {
        let Some((status, body)) = self.ask(Method::GET, "/v1/users/me", None, None).await else { return };
        let name = body["user"]["nickName"].as_str().unwrap_or_default();
        let known = name == self.memory.name || self.memory.doubtful_names.iter().any(|it| it == name);
        if status != 200 || !known {
            self.wrong(&format!(
                "I am {:?} or {:?}, and not {status} {body}",
                self.memory.name, self.memory.doubtful_names
            ));
        }
    }

    async fn generate(&mut self, turn: usize) {
        let key = format!("generate-{}-{turn}", self.index);
        let body = json!({ "prompt": "a lighthouse at dusk", "mode": "draft" });
        let (status, first) = self.insist(Method::POST, "/v1/jobs", Some(&key), Some(body.clone())).await;
        let Some(job) = first["jobId"].as_str().filter(|_| status == 202).map(str::to_owned) else {
            return self.wrong(&format!("generated: {status} {first}"));
        };
        let (status, second) = self.insist(Method::POST, "/v1/jobs", Some(&key), Some(body)).await;
        if status != 202 || second["jobId"] != job.as_str() {
            self.wrong(&format!("one key, two jobs: {job} and {status} {second}"));
        }
        self.memory.jobs.push(job);
    }

    async fn recharge(&mut self, turn: usize) {
        let key = format!("recharge-{}-{turn}", self.index);
        let body = json!({ "amount": RECHARGE, "paymentMethod": "wechat" });
        let (status, answer) = self.insist(Method::POST, "/v1/points/recharge", Some(&key), Some(body)).await;
        let Some(order) = answer["orderId"].as_str().filter(|_| status == 201).map(str::to_owned) else {
            return self.wrong(&format!("recharged: {status} {answer}"));
        };
        let payer = self.sandbox.wechat.sandbox_openid(&format!("player{}", self.index));
        match self.sandbox.wechat_pay.pay_as(&payer, &order) {
            Ok(_) => self.memory.orders.push(order),
            Err(error) => self.wrong(&format!("order {order} cannot be paid: {error:?}")),
        }
    }

    async fn look_at_a_job(&mut self) {
        let Some(job) = self.memory.jobs.last().cloned() else { return };
        let Some((status, body)) = self.ask(Method::GET, &format!("/v1/jobs/{job}"), None, None).await else {
            return;
        };
        if status != 200 || body["jobId"] != job.as_str() {
            self.wrong(&format!("job {job} is {status} {body}"));
        }
    }

    async fn look_at_an_order(&mut self) {
        let Some(order) = self.memory.orders.last().cloned() else { return };
        let path = format!("/v1/orders/{order}");
        let Some((status, body)) = self.ask(Method::GET, &path, None, None).await else { return };
        if status != 200 || body["orderId"] != order.as_str() || body["points"] != RECHARGE {
            self.wrong(&format!("order {order} is {status} {body}"));
        }
    }

    async fn read_in_public(&mut self) {
        let Some((status, body)) = self.ask(Method::GET, "/v1/vip/plans", None, None).await else { return };
        if status != 200 || body["plans"].as_array().map(Vec::len) != Some(3) {
            self.wrong(&format!("the plans are {status} {body}"));
        }
    }
}
