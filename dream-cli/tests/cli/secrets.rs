//! What must not be logged is not, at any level, whatever goes wrong.

use std::time::Duration;

use dream_testkit::backends::{BackendKind, OwnPostgres};
use dream_testkit::faults::{ANY, Fault};
use dream_testkit::sandbox::Sandbox;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::process::{ADMIN_KEY, Node, PATIENCE, Variables, free_port, outside};
use crate::traces::collector;

const PHONE: &str = "13800138000";
const PROMPT: &str = "a heron that nobody may read about";
const OWN_KEY: &str = "sk-canary-of-a-callers-own";
const PASSWORD: &str = "canary-of-the-database-password";
const REDIS_PASSWORD: &str = "canary-of-the-redis-password";
const WRONG_KEY: &str = "canary-of-a-wrong-admin-key";
const WRONG_TOKEN: &str = "canary.of.a-wrong-token";
const WRONG_CODE: &str = "canary-of-a-login-code";
const COLLECTOR_KEY: &str = "canary-of-the-collectors-key";
const QUERY: &str = "canary-of-a-query";

/// Talks to the server, and always brings an upstream key along.
struct Caller {
    http: Client,
    base: String,
}

impl Caller {
    async fn ask(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(token)
            .header("X-Upstream-Authorization", format!("Bearer {OWN_KEY}"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_logged_at_any_level_whatever_goes_wrong() {
    if !BackendKind::Postgres.available().unwrap() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}");
    let sandbox = outside(&base).await;
    let keys = sandbox.credentials();
    let postgres = OwnPostgres::start().await.unwrap();
    let collector = collector().await;
    let url = postgres.url().replace("postgres@", &format!("postgres:{PASSWORD}@"));
    let variables = Variables::production(&keys, &base)
        .with_r2(&keys)
        .with("DATABASE_URL", &url)
        .with("DATABASE_READ_URL", &url)
        // Nobody answers there, which is told again and again.
        .with("REDIS_URL", format!("redis://:{REDIS_PASSWORD}@127.0.0.1:1/0"))
        .with("THIRD_PARTY_AUTH", "forward")
        .with("RESULTS_REHOST", "true")
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", collector.base_url())
        .with("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer%20{COLLECTOR_KEY}"))
        .with("OTEL_BSP_SCHEDULE_DELAY", 100)
        .with("RUST_LOG", "trace");
    let node = Node::start(folder.path(), port, &variables).await;
    let client = Caller { http: Client::builder().no_proxy().timeout(PATIENCE).build().unwrap(), base };

    let tokens = live_well(&client, &sandbox).await;
    go_wrong(&client, &sandbox, &postgres, &tokens[1]).await;

    let mut canaries = vec![
        ("a phone number", PHONE.to_owned()),
        ("a prompt", PROMPT.to_owned()),
        ("a caller's own key", OWN_KEY.to_owned()),
        ("the database's password", PASSWORD.to_owned()),
        ("Redis' password", REDIS_PASSWORD.to_owned()),
        ("a wrong admin key", WRONG_KEY.to_owned()),
        ("a wrong token", WRONG_TOKEN.to_owned()),
        ("a login code", WRONG_CODE.to_owned()),
        ("a query", QUERY.to_owned()),
        ("the collector's key", COLLECTOR_KEY.to_owned()),
        ("WeChat's secret", keys.wechat_secret.clone()),
        ("the push's token", keys.push_token.clone()),
        ("the push's key", keys.push_aes_key.clone()),
        ("the API v3 key", keys.pay.api_v3_key.clone()),
        ("the image API's key", keys.image_api_key.clone()),
        ("the webhook's secret", keys.webhook_secret.clone()),
        ("the key of R2", keys.r2.secret_access_key.clone()),
    ];
    canaries.extend(tokens.into_iter().map(|token| ("a token of a user's", token)));
    let named = ["JWT_SECRET", "ADMIN_API_KEY"];
    canaries.extend(variables.0.iter().filter_map(|(name, value)| {
        named
            .into_iter()
            .find(|it| it == name)
            .map(|name| (name, value.rsplit(':').next().unwrap().to_owned()))
    }));
    canaries
        .extend(keys.pay.merchant_key_pem.lines().nth(3).map(|line| ("the merchant's key", line.to_owned())));
    canaries.extend(sandbox.wechat.users().into_iter().map(|user| ("a session key", user.session_key)));

    until(async || !collector.log().all().is_empty()).await;
    for sent in collector.log().all() {
        assert_eq!(sent.request.bearer(), Some(COLLECTOR_KEY));
        for (what, canary) in canaries.iter().filter(|(_, canary)| canary != COLLECTOR_KEY) {
            let told = sent.request.body.windows(canary.len()).any(|part| part == canary.as_bytes());
            assert!(!told, "{what} is told to the collector");
        }
    }
    let log = node.log();
    for part in ["dream_core", "dream_http", "hyper", "sqlx"] {
        assert!(log.contains(&format!("\"target\":\"{part}")), "{part} logs at this level");
    }
    for (what, canary) in canaries {
        assert!(canary.len() > 8, "{what} is long enough to be looked for");
        let line = log.lines().find(|line| line.contains(&canary));
        assert_eq!(line, None, "{what} is logged");
    }
    node.stop().await;
}

/// Waits until it is so.
async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.expect("the condition is met in time");
}

/// A life that goes well; the tokens that it was given.
async fn live_well(client: &Caller, sandbox: &Sandbox) -> Vec<String> {
    let code = json!({ "code": "sandbox-canary", "phoneCode": format!("sandbox-phone-{PHONE}") });
    let (status, login) = client.ask(Method::POST, "/v1/auth/wechat-login", "", Some(code)).await;
    assert_eq!(status, 200, "{login}");
    assert_eq!(login["user"]["phone"], PHONE);
    let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
    let (token, refresh) = (text(&login, "token"), text(&login, "refreshToken"));
    let (_, again) = client
        .ask(Method::POST, "/v1/auth/refresh-token", "", Some(json!({ "refreshToken": refresh })))
        .await;
    let (second_token, second_refresh) = (text(&again, "token"), text(&again, "refreshToken"));
    let (status, job) =
        client.ask(Method::POST, "/v1/jobs", &second_token, Some(json!({ "prompt": PROMPT }))).await;
    assert_eq!(status, 202, "{job}");
    let recharge = json!({ "amount": 10, "paymentMethod": "wechat" });
    let (status, order) =
        client.ask(Method::POST, "/v1/points/recharge", &second_token, Some(recharge)).await;
    assert_eq!(status, 201, "{order}");
    let payer = sandbox.wechat.sandbox_openid("canary");
    sandbox.wechat_pay.pay_as(&payer, order["orderId"].as_str().unwrap()).unwrap();
    until(async || {
        client.ask(Method::GET, "/v1/points/balance", &second_token, None).await.1["balance"] == 10
    })
    .await;
    let stats = client.http.get(format!("{}/v1/admin/users", client.base)).header("X-Admin-Key", ADMIN_KEY);
    assert_eq!(stats.send().await.unwrap().status(), 200);
    vec![token, second_token, refresh, second_refresh]
}

/// All that may go wrong.
async fn go_wrong(client: &Caller, sandbox: &Sandbox, postgres: &OwnPostgres, token: &str) {
    let wrong = client.http.get(format!("{}/v1/admin/users", client.base)).header("X-Admin-Key", WRONG_KEY);
    assert_eq!(wrong.send().await.unwrap().status(), 401);
    assert_eq!(client.ask(Method::GET, &format!("/v1/users/me?key={QUERY}"), WRONG_TOKEN, None).await.0, 401);
    let bad = json!({ "code": WRONG_CODE, "phoneCode": [PHONE], "prompt": PROMPT });
    assert_eq!(client.ask(Method::POST, "/v1/auth/wechat-login", "", Some(bad)).await.0, 400);
    let unknown = json!({ "code": WRONG_CODE });
    assert_eq!(client.ask(Method::POST, "/v1/auth/wechat-login", "", Some(unknown)).await.0, 401);
    for faults in [
        sandbox.wechat.faults(),
        sandbox.wechat_pay.faults(),
        sandbox.image_api.faults(),
        sandbox.r2.faults(),
    ] {
        faults.next_n(ANY, 3, Fault::Truncate);
    }
    let failing = json!({ "code": "sandbox-canary" });
    client.ask(Method::POST, "/v1/auth/wechat-login", "", Some(failing)).await;
    client.ask(Method::POST, "/v1/jobs", token, Some(json!({ "prompt": PROMPT }))).await;
    let recharge = json!({ "amount": 20, "paymentMethod": "wechat" });
    client.ask(Method::POST, "/v1/points/recharge", token, Some(recharge)).await;
    postgres.stop(true).await.unwrap();
    assert_eq!(client.ask(Method::GET, "/v1/users/me", token, None).await.0, 503);
    postgres.resume().await.unwrap();
    until(async || client.ask(Method::GET, "/v1/users/me", token, None).await.0 == 200).await;
}
