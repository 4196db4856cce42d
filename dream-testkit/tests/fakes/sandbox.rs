use std::sync::Arc;
use std::time::Duration;

use dream_core::adapters::wechat_pay::WeChatPay;
use dream_core::adapters::{OsEntropy, SystemClock};
use dream_core::kernel::Fen;
use dream_core::ports::{Clock as _, PayChannel as _, PrepayRequest};
use dream_testkit::sandbox::{Sandbox, SandboxOptions};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::world::client;

/// The sandbox, and what its control page can be asked.
struct Page(Sandbox);

impl Page {
    async fn open() -> Self {
        Self(Sandbox::start(SandboxOptions::new(Arc::new(SystemClock))).await.expect("ports"))
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Response {
        let url = format!("{}{path}", self.0.control.base_url());
        client()
            .request(method, url)
            .header("X-Dream-Sandbox", "1")
            .json(body)
            .send()
            .await
            .expect("an answer")
    }

    async fn see(&self, path: &str) -> Value {
        let url = format!("{}/api/{path}", self.0.control.base_url());
        let text = client().get(url).send().await.expect("an answer").text().await.expect("a body");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Turns a knob; the status.
    async fn turn(&self, path: &str, body: &Value) -> u16 {
        self.ask(Method::POST, &format!("/api/{path}"), body).await.status().as_u16()
    }

    /// A backend of the sandbox's asks for permission to have this order paid.
    async fn order(&self, number: &str) {
        let config = self.0.wechat_pay.config("http://127.0.0.1:1/paid", "http://127.0.0.1:1/refunded");
        let pay = WeChatPay::new(config, Arc::new(SystemClock), Arc::new(OsEntropy));
        let request = PrepayRequest {
            order: number.parse().expect("a number"),
            amount: Fen::new(1999),
            description: "VIP".to_owned(),
            payer_openid: "o-alice".to_owned(),
            expires_at: SystemClock.now().plus(Duration::from_mins(30)),
            attach: None,
            notify_url: None,
        };
        pay.expect("a configuration").prepay(&request).await.expect("an answer");
    }
}

#[tokio::test]
async fn the_sandbox_tells_what_it_takes_to_use_it() {
    let sandbox = Sandbox::start(SandboxOptions::new(Arc::new(SystemClock))).await.expect("ports");
    sandbox.tell_backend("http://127.0.0.1:1");
    let keys = sandbox.credentials();
    let url = format!(
        "{}/sns/jscode2session?appid={}&secret={}&js_code=sandbox-alice&grant_type=authorization_code",
        keys.wechat_base_url, keys.wechat_appid, keys.wechat_secret
    );
    let text = client().get(url).send().await.expect("an answer").text().await.expect("a body");
    let session: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(session["openid"], sandbox.wechat.sandbox_openid("alice"));
    let url = format!("{}/v1/jobs", keys.image_api_base_url);
    let answer = client().get(url).bearer_auth(&keys.image_api_key).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(keys.push_aes_key.len(), 43);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn two_sandboxes_have_the_same_users_and_different_secrets() {
    let start = async || Sandbox::start(SandboxOptions::new(Arc::new(SystemClock))).await.expect("ports");
    let (one, two) = (start().await, start().await);
    assert_eq!(one.wechat.sandbox_openid("alice"), two.wechat.sandbox_openid("alice"));
    assert_ne!(one.credentials().wechat_secret, two.credentials().wechat_secret);
    assert_ne!(one.credentials().image_api_key, two.credentials().image_api_key);
}

#[tokio::test]
async fn the_control_page_runs_nothing_that_is_not_its_own() {
    let page = Page::open().await;
    for (path, kind) in [
        ("/", "text/html"),
        ("/app.js", "text/javascript"),
        ("/words.js", "text/javascript"),
        ("/style.css", "text/css"),
    ] {
        let answer = page.ask(Method::GET, path, &json!({})).await;
        assert_eq!(answer.status(), 200, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        assert!(header("content-type").starts_with(kind), "{path}");
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
    for path in ["/nothing", "/api/pay", "/api/r2/requests", "/api/pay/nothing", "/../Cargo.toml"] {
        assert_eq!(page.ask(Method::GET, path, &json!({})).await.status(), 404, "{path}");
    }
    // Another site's page can send a form, but not this header.
    let url = format!("{}/api/pay/faults", page.0.control.base_url());
    let rule = json!({ "operation": "*", "when": "always", "fault": { "kind": "drop" } });
    assert_eq!(client().post(&url).json(&rule).send().await.expect("an answer").status(), 403);
    assert_eq!(page.see("pay/faults").await, json!([]));
    page.0.shutdown().await;
}

#[tokio::test]
async fn the_control_page_shows_who_logged_in_and_pays_fails_and_refunds_orders() {
    let page = Page::open().await;
    let keys = page.0.credentials();
    assert_eq!(page.see("wechat/users").await, json!([]));
    let login = format!(
        "{}/sns/jscode2session?appid={}&secret={}&js_code=sandbox-alice&grant_type=authorization_code",
        keys.wechat_base_url, keys.wechat_appid, keys.wechat_secret
    );
    client().get(login).send().await.expect("an answer");
    let users = page.see("wechat/users").await;
    assert_eq!(users[0]["openid"], page.0.wechat.sandbox_openid("alice"));
    assert_eq!(users[0]["logins"], 1);
    let asked = page.see("wechat/requests?last=1").await;
    assert_eq!(
        (asked.as_array().map(Vec::len), asked[0]["path"].as_str()),
        (Some(1), Some("/sns/jscode2session"))
    );

    page.order("ORDER-PAID").await;
    page.order("ORDER-FAILED").await;
    let states = async || {
        let orders = page.see("pay/orders").await;
        let state = |order: &Value| (order["outTradeNo"].clone(), order["state"].clone());
        orders.as_array().expect("a list").iter().map(state).collect::<Vec<_>>()
    };
    let state = |failed: &str, paid: &str| {
        vec![(json!("ORDER-FAILED"), json!(failed)), (json!("ORDER-PAID"), json!(paid))]
    };
    assert_eq!(states().await, state("NOTPAY", "NOTPAY"));
    let (paid, failed) = (json!({ "outTradeNo": "ORDER-PAID" }), json!({ "outTradeNo": "ORDER-FAILED" }));
    assert_eq!(page.turn("pay/refund", &paid).await, 404, "there is nothing to give back");
    assert_eq!(page.turn("pay/pay", &paid).await, 200);
    assert_eq!(page.turn("pay/close", &failed).await, 204);
    assert_eq!(states().await, state("CLOSED", "SUCCESS"));
    assert_eq!(page.turn("pay/close", &paid).await, 400, "what is paid does not fail");
    assert_eq!(page.turn("pay/pay", &failed).await, 409);
    assert_eq!(page.turn("pay/refund", &paid).await, 204);
    assert_eq!(states().await, state("CLOSED", "REFUND"));
    let refunds = page.see("pay/refunds").await;
    assert_eq!(
        (refunds[0]["amountFen"].as_i64(), refunds[0]["outTradeNo"].as_str()),
        (Some(1999), Some("ORDER-PAID"))
    );
    let ended = json!({ "outRefundNo": refunds[0]["outRefundNo"], "outcome": "CLOSED" });
    assert_eq!(page.turn("pay/refunds/conclude", &ended).await, 204);
    assert_eq!(page.see("pay/refunds").await[0]["status"], "CLOSED");
    page.0.shutdown().await;
}

#[tokio::test]
async fn the_control_page_explains_each_signature_line_by_line() {
    let page = Page::open().await;
    page.order("ORDER-1").await;
    let keys = page.0.credentials().pay;
    let signed = &page.see("pay/signatures").await[0];
    assert_eq!((signed["method"].as_str(), signed["status"].as_u64()), (Some("POST"), Some(200)));
    let told = &signed["signature"];
    assert_eq!((&told["verified"], &told["why"]), (&json!(true), &Value::Null));
    assert_eq!(
        (told["mchid"].as_str(), told["serial"].as_str()),
        (Some(&*keys.mchid), Some(&*keys.merchant_serial))
    );
    let lines: Vec<&str> =
        told["message"].as_array().expect("lines").iter().filter_map(Value::as_str).collect();
    let [method, target, timestamp, nonce, body] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((*method, *target), ("POST", "/v3/pay/transactions/jsapi"));
    assert_eq!((told["timestamp"].as_str(), told["nonce"].as_str()), (Some(*timestamp), Some(*nonce)));
    assert!(body.contains("ORDER-1") && serde_json::from_str::<Value>(body).is_ok());

    let url = format!("{}/v3/certificates", keys.base_url);
    client().get(&url).header("accept", "application/json").send().await.expect("an answer");
    let forged = "WECHATPAY2-SHA256-RSA2048 mchid=\"1\",nonce_str=\"a\",timestamp=\"1\",serial_no=\"2\",signature=\"x\"";
    client().get(&url).header("authorization", forged).send().await.expect("an answer");
    let all = page.see("pay/signatures").await;
    let told = |at: usize| (all[at]["signature"]["verified"].clone(), all[at]["signature"]["why"].clone());
    assert_eq!(told(1), (json!(false), json!("no Authorization of the scheme WECHATPAY2-SHA256-RSA2048")));
    assert_eq!(told(2), (json!(false), json!("mchid or serial_no is not known")));
    assert_eq!(all.as_array().map(Vec::len), Some(3), "what the page asks is not listed");
    page.0.shutdown().await;
}

#[tokio::test]
async fn trouble_made_on_the_control_page_strikes_until_it_is_made_well() {
    let page = Page::open().await;
    let rule = json!({ "operation": "*", "when": "always", "fault": { "kind": "status", "status": 500, "body": "{}" } });
    assert_eq!(page.turn("images/faults", &rule).await, 204);
    let keys = page.0.credentials();
    let url = format!("{}/v1/jobs", keys.image_api_base_url);
    let ask = async || {
        client().get(&url).bearer_auth(&keys.image_api_key).send().await.expect("an answer").status()
    };
    assert_eq!(ask().await, 500);
    assert_eq!(page.see("images/faults").await.as_array().map(Vec::len), Some(1));
    assert_eq!(page.ask(Method::DELETE, "/api/images/faults", &json!({})).await.status(), 204);
    assert_eq!(ask().await, 200);

    page.order("ORDER-1").await;
    let lose = json!({ "operation": "payment_notify", "when": "next", "count": 1, "fault": { "kind": "special", "name": "lose_all" } });
    assert_eq!(page.turn("pay/faults", &lose).await, 204);
    assert_eq!(page.turn("pay/pay", &json!({ "outTradeNo": "ORDER-1" })).await, 200);
    page.turn("pay/deliver", &json!({})).await;
    let lost = async || page.see("pay/faults").await == json!([]);
    assert!(eventually_true(lost).await, "the next notify was struck");
    assert!(
        page.see("pay/attempts")
            .await
            .as_array()
            .is_some_and(|all| all.iter().all(|it| it["status"].is_null()))
    );
    page.0.shutdown().await;
}

async fn eventually_true(mut condition: impl AsyncFnMut() -> bool) -> bool {
    for _ in 0..500 {
        if condition().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}
