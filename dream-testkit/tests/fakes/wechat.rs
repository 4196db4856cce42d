use std::sync::Arc;
use std::time::Duration;

use dream_core::ports::Clock;
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::server::{FakeRequest, FakeResponse, FakeServer, Setup};
use dream_testkit::fakes::wechat::{
    App, FakeWeChat, MediaPlan, PushMode, PushPlan, Suggest, WeChatOptions, business_error, operation,
};
use dream_testkit::faults::Fault;
use dream_testkit::wait::eventually;
use http::StatusCode;
use serde_json::{Value, json};

use crate::world::{SOON, client, vectors};

const ALICE: &str = "oAliceAliceAliceAliceAliceAl";

struct World {
    clock: Arc<TestClock>,
    wechat: FakeWeChat,
}

async fn world() -> World {
    world_with(|_| ()).await
}

async fn world_with(change: impl FnOnce(&mut WeChatOptions)) -> World {
    let clock = Arc::new(TestClock::default());
    let mut options = WeChatOptions::new(clock.clone());
    change(&mut options);
    World { clock, wechat: FakeWeChat::start(options).await.expect("a port") }
}

impl World {
    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url = format!("{}{path}", self.wechat.base_url());
        let answer = client().get(url).query(query).send().await.expect("an answer");
        serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON")
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.wechat.base_url());
        client().post(url).json(body).send().await.expect("an answer").json().await.expect("JSON")
    }

    async fn login(&self, code: &str) -> Value {
        let App { appid, secret, .. } = self.wechat.app();
        let query = [
            ("appid", &*appid),
            ("secret", &*secret),
            ("js_code", code),
            ("grant_type", "authorization_code"),
        ];
        self.get("/sns/jscode2session", &query).await
    }

    async fn stable(&self, force: bool) -> (String, u64) {
        let App { appid, secret, .. } = self.wechat.app();
        let body = json!({"grant_type": "client_credential", "appid": appid, "secret": secret, "force_refresh": force});
        granted(&self.post("/cgi-bin/stable_token", &body).await)
    }

    async fn plain(&self) -> (String, u64) {
        let App { appid, secret, .. } = self.wechat.app();
        let query = [("grant_type", "client_credential"), ("appid", &*appid), ("secret", &*secret)];
        granted(&self.get("/cgi-bin/token", &query).await)
    }

    async fn with_token(&self, path: &str, body: Value) -> Value {
        let (token, _) = self.stable(false).await;
        self.post(&format!("{path}?access_token={token}"), &body).await
    }

    async fn check_text(&self, content: &str) -> Value {
        let body = json!({"content": content, "version": 2, "scene": 3, "openid": ALICE});
        self.with_token("/wxa/msg_sec_check", body).await
    }

    async fn hand_in(&self, url: &str) -> Value {
        let body = json!({"media_url": url, "media_type": 2, "version": 2, "scene": 3, "openid": ALICE});
        self.with_token("/wxa/media_check_async", body).await
    }

    async fn works(&self, token: &str) -> i64 {
        let path = format!("/wxa/business/getuserphonenumber?access_token={token}");
        match code(&self.post(&path, &json!({"code": "no such code"})).await) {
            40029 => 0,
            code => code,
        }
    }
}

fn granted(answer: &Value) -> (String, u64) {
    let token = answer["access_token"].as_str().unwrap_or_default().to_owned();
    (token, answer["expires_in"].as_u64().unwrap_or(0))
}

fn code(answer: &Value) -> i64 {
    answer["errcode"].as_i64().unwrap_or(0)
}

/// A backend that takes pushes and answers them as told; it also serves a picture.
async fn receiver(answer: &'static str) -> FakeServer {
    let clock: Arc<dyn Clock> = Arc::new(TestClock::default());
    FakeServer::start(Setup::new(clock), move |request: FakeRequest| async move {
        if request.path == "/picture.png" {
            let png = b"\x89PNG\r\n\x1a\n and so on";
            return FakeResponse::new(StatusCode::OK, "image/png", png.to_vec());
        }
        match request.param("echostr") {
            Some(echo) => FakeResponse::text(StatusCode::OK, echo),
            None => FakeResponse::text(StatusCode::OK, answer),
        }
    })
    .await
    .expect("a port")
}

fn pushes(receiver: &FakeServer) -> Vec<FakeRequest> {
    receiver.log().of("POST", "/push").into_iter().map(|recorded| recorded.request).collect()
}

#[tokio::test]
async fn a_code_works_once_and_the_answer_is_plain_text_without_errcode() {
    let world = world().await;
    let minted = world.wechat.login_code(ALICE);
    let App { appid, secret, .. } = world.wechat.app();
    let url = format!(
        "{}/sns/jscode2session?appid={appid}&secret={secret}&js_code={minted}&grant_type=authorization_code",
        world.wechat.base_url()
    );
    let answer = client().get(url).send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "text/plain");
    let body: Value = serde_json::from_str(&answer.text().await.expect("text")).expect("JSON");
    assert_eq!(body["openid"], ALICE);
    assert!(body.get("errcode").is_none());
    assert_eq!(code(&world.login(&minted).await), 40163);
    assert_eq!(code(&world.login("0aNever").await), 40029);
}

#[tokio::test]
async fn a_code_dies_after_five_minutes() {
    let world = world().await;
    let minted = world.wechat.login_code(ALICE);
    world.clock.advance(Duration::from_secs(301));
    assert_eq!(code(&world.login(&minted).await), 40029);
}

#[tokio::test]
async fn of_concurrent_uses_exactly_one_wins() {
    let world = world().await;
    let minted = world.wechat.login_code(ALICE);
    let answers = futures_util::future::join_all((0..16).map(|_| world.login(&minted))).await;
    assert_eq!(answers.iter().filter(|answer| answer["openid"] == ALICE).count(), 1);
    assert_eq!(answers.iter().filter(|answer| code(answer) == 40163).count(), 15);
    assert_eq!(world.wechat.calls(operation::LOGIN), 16);
}

#[tokio::test]
async fn a_chosen_code_is_answered_as_told() {
    let world = world().await;
    let minted = world.wechat.login_code(ALICE);
    world.wechat.answer_code_times(&minted, -1, 1);
    assert_eq!(code(&world.login(&minted).await), -1);
    assert_eq!(world.login(&minted).await["openid"], ALICE);
    let blocked = world.wechat.login_code(ALICE);
    world.wechat.answer_code(&blocked, 40226);
    assert_eq!(code(&world.login(&blocked).await), 40226);
    assert_eq!(code(&world.login(&blocked).await), 40226);
}

#[tokio::test]
async fn sandbox_codes_work_again_and_again_but_only_in_the_sandbox() {
    let sandbox = world_with(|options| options.sandbox_codes = true).await;
    let first = sandbox.login("sandbox-alice").await;
    assert_eq!(first, sandbox.login("sandbox-alice").await);
    assert_eq!(first["openid"], sandbox.wechat.sandbox_openid("alice"));
    assert_ne!(first["openid"], sandbox.login("sandbox-bob").await["openid"]);
    assert_eq!(code(&sandbox.login("sandbox-blocked").await), 40226);
    let phone = sandbox
        .with_token("/wxa/business/getuserphonenumber", json!({"code": "sandbox-phone-13800138000"}))
        .await;
    assert_eq!(phone["phone_info"]["purePhoneNumber"], "13800138000");
    assert_eq!(code(&world().await.login("sandbox-alice").await), 40029);
}

#[tokio::test]
async fn wrong_credentials_are_told_apart() {
    let world = world().await;
    let App { appid, secret, .. } = world.wechat.app();
    let ask = async |appid: &str, secret: &str| {
        let query = [("grant_type", "client_credential"), ("appid", appid), ("secret", secret)];
        code(&world.get("/cgi-bin/token", &query).await)
    };
    assert_eq!(ask(&appid, &secret).await, 0);
    assert_eq!(ask(&appid, "wrong").await, 40125);
    assert_eq!(ask("wxother", &secret).await, 40013);
    assert_eq!(ask(&appid, "").await, 41004);
    assert_eq!(ask("", &secret).await, 41002);
}

#[tokio::test]
async fn a_stable_token_stays_until_five_minutes_before_its_end() {
    let world = world().await;
    let (first, life) = world.stable(false).await;
    assert_eq!(life, 7200);
    world.clock.advance(Duration::from_secs(6899));
    assert_eq!(world.stable(false).await, (first.clone(), 301));
    world.clock.advance(Duration::from_secs(1));
    let (second, life) = world.stable(false).await;
    assert_ne!(first, second);
    assert_eq!(life, 7200);
    assert_eq!(world.works(&first).await, 0, "both work for the last five minutes");
    world.clock.advance(Duration::from_mins(5));
    assert_eq!(world.works(&first).await, 42001);
    assert_eq!(world.works(&second).await, 0);
}

#[tokio::test]
async fn a_forced_refresh_ends_the_old_token_at_once_but_not_twice_in_thirty_seconds() {
    let world = world().await;
    let (first, _) = world.stable(false).await;
    let (second, _) = world.stable(true).await;
    assert_eq!(world.works(&first).await, 40001);
    assert_eq!(world.stable(true).await.0, second);
    world.clock.advance(Duration::from_secs(30));
    assert_ne!(world.stable(true).await.0, second);
}

#[tokio::test]
async fn every_call_of_the_old_endpoint_retires_the_token_before_and_leaves_the_stable_one() {
    let world = world().await;
    let (stable, _) = world.stable(false).await;
    let (first, _) = world.plain().await;
    let (second, _) = world.plain().await;
    assert_eq!(world.works(&first).await, 0);
    world.clock.advance(Duration::from_mins(5));
    assert_eq!(world.works(&first).await, 40001);
    assert_eq!(world.works(&second).await, 0);
    assert_eq!(world.works(&stable).await, 0);
}

#[tokio::test]
async fn tokens_can_be_revoked_expired_and_malformed() {
    let world = world().await;
    let (token, _) = world.stable(false).await;
    world.wechat.revoke_tokens();
    assert_eq!(world.works(&token).await, 40001);
    let (token, _) = world.stable(false).await;
    world.wechat.expire_tokens();
    assert_eq!(world.works(&token).await, 42001);
    assert_eq!(world.works("short").await, 40014);
    assert_eq!(world.works("").await, 41001);
    assert_eq!(world.works(&"x".repeat(64)).await, 40001);
}

#[tokio::test]
async fn a_phone_code_works_once_and_only_for_its_user_and_mini_program() {
    let world = world_with(|options| {
        let app = App { appid: "wxsecond".into(), secret: "s".into(), ghid: "gh_2".into() };
        options.apps.push(app);
    })
    .await;
    let path = "/wxa/business/getuserphonenumber";
    let minted = world.wechat.phone_code(ALICE, "+85261234567");
    let other = json!({"code": minted, "openid": "oSomebodyElse"});
    assert_eq!(code(&world.with_token(path, other).await), 40029);
    let phone = &world.with_token(path, json!({"code": minted})).await["phone_info"];
    assert_eq!(phone["phoneNumber"], "+85261234567");
    assert_eq!(phone["purePhoneNumber"], "61234567");
    assert_eq!(phone["countryCode"], "852");
    assert_eq!(phone["watermark"]["appid"], world.wechat.app().appid);
    assert_eq!(code(&world.with_token(path, json!({"code": minted})).await), 40029);
    let foreign = world.wechat.phone_code_for("wxsecond", ALICE, "13800138000");
    assert_eq!(code(&world.with_token(path, json!({"code": foreign})).await), 40013);
    let login = world.wechat.login_code(ALICE);
    assert_eq!(code(&world.with_token(path, json!({"code": login})).await), 40029);
}

#[tokio::test]
async fn a_text_is_judged_by_its_markers_for_users_who_were_here_lately() {
    let world = world().await;
    assert_eq!(code(&world.check_text("hello").await), 40003);
    let minted = world.wechat.login_code(ALICE);
    assert_eq!(code(&world.check_text("hello").await), 61010);
    world.login(&minted).await;
    assert_eq!(world.check_text("山间的清晨").await["result"], json!({"suggest": "pass", "label": 100}));
    assert_eq!(world.check_text("这是违规的").await["result"]["suggest"], "risky");
    assert_eq!(world.check_text("up for review").await["result"]["label"], "20012");
    assert_eq!(world.wechat.text_checks().len(), 3);
    assert_eq!(world.wechat.text_checks()[1].suggest, Suggest::Risky);
    world.clock.advance(Duration::from_secs(7201));
    assert_eq!(code(&world.check_text("hello").await), 61010);
}

#[tokio::test]
async fn escaped_chinese_is_not_recognised() {
    let world = world().await;
    world.login(&world.wechat.login_code(ALICE)).await;
    let (token, _) = world.stable(false).await;
    let body = format!(r#"{{"content":"\u8fdd\u89c4","version":2,"scene":3,"openid":"{ALICE}"}}"#);
    let url = format!("{}/wxa/msg_sec_check?access_token={token}", world.wechat.base_url());
    let answer = client().post(url).body(body).send().await.expect("an answer");
    assert_eq!(answer.json::<Value>().await.expect("JSON")["result"]["suggest"], "pass");
}

#[tokio::test]
async fn requests_of_the_wrong_form_get_their_codes() {
    let world = world_with(|options| options.limits.text_checks_per_minute = 1).await;
    let (token, _) = world.stable(false).await;
    let url = format!("{}/wxa/msg_sec_check?access_token={token}", world.wechat.base_url());
    let ask = async |request: reqwest::RequestBuilder| -> i64 {
        code(&request.send().await.expect("an answer").json().await.expect("JSON"))
    };
    assert_eq!(ask(client().get(&url)).await, 43002);
    assert_eq!(ask(client().post(&url)).await, 44002);
    assert_eq!(ask(client().post(&url).body("no JSON")).await, 47001);
    let scene = json!({"content": "x", "version": 2, "scene": 9, "openid": ALICE});
    assert_eq!(ask(client().post(&url).json(&scene)).await, 40129);
    assert_eq!(code(&world.check_text("first").await), 40003);
    assert_eq!(code(&world.check_text("second").await), 45009);
}

#[tokio::test]
async fn the_verdict_on_a_picture_is_pushed_encrypted_and_signed() {
    let backend = receiver("success").await;
    let world = world_with(|options| options.media_delay = Duration::from_mins(1)).await;
    world.wechat.set_push_url(Some(format!("{}/push", backend.base_url())));
    assert!(world.wechat.check_push_url().await);
    world.login(&world.wechat.login_code(ALICE)).await;
    let answer = world.hand_in(&format!("{}/picture.png", backend.base_url())).await;
    assert!(eventually(SOON, || world.clock.sleepers() == 1).await);
    assert_eq!(pushes(&backend).len(), 0);
    world.clock.advance(Duration::from_mins(1));
    assert!(eventually(SOON, || world.wechat.media_checks()[0].pushes.len() == 1).await);
    let check = &world.wechat.media_checks()[0];
    assert_eq!(answer["trace_id"], check.trace_id);
    assert!(check.pushes[0].is_received() && matches!(check.fetched, Some(Ok(_))));
    let push = &pushes(&backend)[0];
    let body: Value = push.json().expect("JSON");
    assert!(body["Encrypt"].is_string() && body.get("Event").is_none());
    assert_eq!(push.param("encrypt_type").as_deref(), Some("aes"));
    assert_eq!(push.param("msg_signature").expect("a signature").len(), 40);
}

#[tokio::test]
async fn a_verdict_can_come_twice_late_or_never() {
    let backend = receiver("success").await;
    let world = world().await;
    world.wechat.set_push_url(Some(format!("{}/push", backend.base_url())));
    world.wechat.set_push_mode(PushMode::Plain);
    world.login(&world.wechat.login_code(ALICE)).await;
    let plan = |push, suggest| MediaPlan { push, suggest };
    world.wechat.plan_next_media(plan(PushPlan::Never, None));
    world.wechat.plan_next_media(plan(PushPlan::Late { ms: 60_000 }, Some(Suggest::Risky)));
    world.wechat.plan_next_media(plan(PushPlan::Twice, None));
    for _ in 0..3 {
        world.hand_in(&format!("{}/picture.png", backend.base_url())).await;
    }
    assert!(eventually(SOON, || pushes(&backend).len() == 2).await);
    let body: Value = pushes(&backend)[1].json().expect("JSON");
    assert_eq!(body["result"], json!({"suggest": "pass", "label": "100"}));
    assert!(eventually(SOON, || world.clock.sleepers() == 1).await);
    world.clock.advance(Duration::from_mins(1));
    assert!(eventually(SOON, || pushes(&backend).len() == 3).await);
    let body: Value = pushes(&backend)[2].json().expect("JSON");
    assert_eq!(body["result"]["suggest"], "risky");
}

#[tokio::test]
async fn a_picture_that_cannot_be_fetched_fails_its_check_and_a_deaf_backend_is_told_three_times() {
    let backend = receiver("what?").await;
    let world = world().await;
    world.wechat.set_push_url(Some(format!("{}/push", backend.base_url())));
    world.wechat.set_push_mode(PushMode::Plain);
    world.login(&world.wechat.login_code(ALICE)).await;
    world.hand_in(&format!("{}/text", backend.base_url())).await;
    assert!(eventually(SOON, || world.wechat.media_checks()[0].pushes.len() == 3).await);
    let body: Value = pushes(&backend)[0].json().expect("JSON");
    assert_eq!(body["errcode"], -1008);
    assert!(body.get("result").is_none());
}

#[tokio::test]
async fn a_subscribe_message_needs_consent_and_fitting_values() {
    let world = world().await;
    world.login(&world.wechat.login_code(ALICE)).await;
    let path = "/cgi-bin/message/subscribe/send";
    let message = |value: &str| {
        json!({"touser": ALICE, "template_id": "T", "data": {"thing1": {"value": value}},
            "miniprogram_state": "formal", "lang": "zh_CN"})
    };
    assert_eq!(code(&world.with_token(path, message("图片已生成")).await), 43101);
    world.wechat.subscribe(ALICE, "T", 1);
    let long = world.with_token(path, message(&"长".repeat(21))).await;
    assert_eq!(code(&long), 47003);
    assert!(long["errmsg"].as_str().unwrap_or("").contains("data.thing1.value"));
    assert!(world.with_token(path, message("图片已生成")).await["msgid"].is_u64());
    assert_eq!(code(&world.with_token(path, message("图片已生成")).await), 43101);
    assert_eq!(world.wechat.messages()[0].data["thing1"], "图片已生成");
}

#[tokio::test]
async fn the_session_of_the_newest_login_is_the_valid_one() {
    let world = world().await;
    world.login(&world.wechat.login_code(ALICE)).await;
    let (token, _) = world.stable(false).await;
    let query =
        [("access_token", &*token), ("openid", ALICE), ("signature", "0"), ("sig_method", "hmac_sha256")];
    assert_eq!(code(&world.get("/wxa/checksession", &query).await), 87009);
    let first = world.wechat.user(ALICE).expect("known").session_key;
    world.wechat.login_code(ALICE);
    assert_ne!(first, world.wechat.user(ALICE).expect("known").session_key);
    let (data, iv) = world.wechat.encrypt_for(ALICE, &json!({"phoneNumber": "13800138000"}));
    assert_eq!((data.len() % 4, iv.len()), (0, 24));
}

#[tokio::test]
async fn faults_strike_one_operation_and_leave_the_others() {
    let world = world().await;
    world.wechat.faults().next(operation::LOGIN, Fault::DropAfter);
    world.wechat.faults().next(operation::STABLE_TOKEN, business_error(45009));
    let minted = world.wechat.login_code(ALICE);
    let App { appid, secret, .. } = world.wechat.app();
    let url = format!(
        "{}/sns/jscode2session?appid={appid}&secret={secret}&js_code={minted}&grant_type=authorization_code",
        world.wechat.base_url()
    );
    client().get(url).send().await.expect_err("the answer is lost");
    assert_eq!(code(&world.login(&minted).await), 40163, "although the code was spent");
    assert_eq!(world.stable(false).await.0, "");
    assert_ne!(world.stable(false).await.0, "");
}

#[tokio::test]
async fn the_knobs_can_be_turned_over_http() {
    let world = world().await;
    let minted = world.post("/_control/login-codes", &json!({"openid": ALICE})).await;
    assert_eq!(world.login(minted["code"].as_str().expect("a code")).await["openid"], ALICE);
    let url = format!("{}/_control/faults", world.wechat.base_url());
    let rule = json!({"operation": "login", "when": "always", "fault": {"kind": "drop"}});
    assert_eq!(client().post(&url).json(&rule).send().await.expect("an answer").status(), 204);
    assert_eq!(world.get("/_control/faults", &[]).await, json!([rule]));
    assert_eq!(client().delete(&url).send().await.expect("an answer").status(), 204);
    assert_eq!(world.get("/_control/users", &[]).await[0]["openid"], ALICE);
    assert!(world.get("/_control/requests", &[]).await.as_array().expect("a list").len() > 3);
}

/// The published exchanges tell how answers look: each refusal here has the same code and starts with the same words.
#[tokio::test]
async fn refusals_read_as_published() {
    let world = world_with(|options| options.sandbox_codes = true).await;
    for case in vectors("mini-program-http")["cases"].as_array().expect("cases") {
        let Ok(published) = serde_json::from_str::<Value>(case["response"]["body"].as_str().expect("a body"))
        else {
            continue;
        };
        let errcode = code(&published);
        if errcode == 0 {
            continue;
        }
        world.wechat.answer_code_times("sandbox-any", errcode, 1);
        let ours = world.login("sandbox-any").await;
        assert_eq!(code(&ours), errcode);
        let words = |answer: &Value| {
            let text = answer["errmsg"].as_str().unwrap_or_default();
            text.split(" rid").next().unwrap_or_default().trim_end_matches(',').to_owned()
        };
        assert!(words(&published).starts_with(&words(&ours)), "{published} {ours}");
    }
}
