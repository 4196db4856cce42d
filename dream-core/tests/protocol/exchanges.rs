//! Recorded exchanges with the mini-program API: what we send, and what we make of the answer.

use std::sync::Arc;

use dream_core::adapters::WeChatContentCheck;
use dream_core::adapters::wechat::{MessageState, SubscribeMessage, WeChatConfig, WeChatHttp};
use dream_core::ports::{
    ContentCheck, Failure, FailureKind, ImageCheck, LoginCode, PhoneCode, Scene, TextCheck, Verdict, WeChat,
};
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::server::{FakeRequest, FakeResponse, FakeServer, Recorded, Setup};
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::support::SharedCache;
use crate::{cases, text, vectors};

const APPID: &str = "wx8f3c2d71a0b9e456";
const SECRET: &str = "6fa752b537546715b49eb688c430143c";
const OPENID: &str = "oqTGKc7Yrff7VTXdwTsNe9ygLvoX";
const SESSION_KEY: &str = "X7kPuegWzuH67XaFGRbGXg==";
const TOKEN_PATH: &str = "/cgi-bin/stable_token";
const GOOD_TOKEN: &str = r#"{"access_token":"81_TESTONLYtesttoken0000000000000000000000000000000000000000000000000000000000","expires_in":7200}"#;
const GOOD_PHONE: &str = r#"{"errcode":0,"phone_info":{"phoneNumber":"1","purePhoneNumber":"1","countryCode":86,
    "watermark":{"timestamp":1767232800,"appid":"wx8f3c2d71a0b9e456"}}}"#;

/// A client whose every call but one is answered well, and the server that answers.
async fn scene(case: &Value) -> (WeChatHttp, FakeServer) {
    let clock = Arc::new(TestClock::default());
    let response = case["response"].clone();
    let is_about_tokens = text(case, "api").contains("token");
    let answer = move |request: FakeRequest| {
        let asks_token = request.path == TOKEN_PATH;
        let body = match (asks_token, is_about_tokens) {
            (true, false) => GOOD_TOKEN,
            (false, true) => GOOD_PHONE,
            _ => text(&response, "body"),
        };
        let status =
            if asks_token { 200 } else { u16::try_from(response["status"].as_u64().unwrap()).unwrap() };
        let answer = FakeResponse::text(StatusCode::from_u16(status).unwrap(), body.to_owned());
        std::future::ready(answer)
    };
    let server = FakeServer::start(Setup::new(clock.clone()), answer).await.unwrap();
    let mut config = WeChatConfig::new(APPID, SecretString::from(SECRET));
    config.base_url = server.base_url();
    config.pause = std::time::Duration::from_millis(1);
    (WeChatHttp::new(config, SharedCache::new(clock.clone()), clock).unwrap(), server)
}

/// Makes the call that the case is about. What it yields, as text to compare.
async fn call(wechat: &WeChatHttp, case: &Value) -> Result<String, Failure> {
    let check = WeChatContentCheck::new(wechat);
    let url = text(&case["request"], "url");
    let body: Value = serde_json::from_str(case["request"]["body"].as_str().unwrap_or("{}")).unwrap();
    match text(case, "api") {
        "jscode2session" => {
            let code = url.split("js_code=").nth(1).unwrap().split('&').next().unwrap();
            let login = wechat.login(LoginCode::new(code.to_owned()).unwrap()).await?;
            assert_eq!(login.session_key.expose_secret(), SESSION_KEY);
            assert_eq!(login.unionid.as_deref(), case["expect"]["unionid"].as_str());
            Ok(login.openid)
        }
        "msg_sec_check" | "any" => {
            let check_it =
                TextCheck { openid: OPENID, scene: Scene::Profile, content: text(&body, "content") };
            let verdict = check.text(check_it).await?;
            Ok(match verdict {
                Verdict::Pass => "pass",
                Verdict::Review => "review",
                Verdict::Risky => "risky",
            }
            .to_owned())
        }
        "media_check_async" => match check.image(OPENID, Scene::Forum, text(&body, "media_url")).await? {
            ImageCheck::Pending { trace_id } => Ok(trace_id),
            decided @ ImageCheck::Decided(_) => panic!("{decided:?}"),
        },
        "subscribe_send" => {
            let values = body["data"].as_object().into_iter().flatten();
            let message = SubscribeMessage {
                openid: OPENID.to_owned(),
                template_id: "TEMPLATEID".to_owned(),
                page: body["page"].as_str().map(str::to_owned),
                values: values.map(|(key, value)| (key.clone(), text(value, "value").to_owned())).collect(),
                state: MessageState::Formal,
            };
            wechat.send_message(&message).await.map(|()| "ok".to_owned())
        }
        "checksession" => {
            let key = SecretString::from(SESSION_KEY);
            let valid = wechat.session_is_valid(OPENID, &key).await?;
            Ok(if valid { "session_ok" } else { "session_invalid" }.to_owned())
        }
        // Tokens are asked for on behalf of another call.
        _ => {
            let code = body["code"].as_str().unwrap_or("c");
            wechat.phone(PhoneCode::new(code.to_owned()).unwrap(), OPENID).await.map(|phone| phone.number)
        }
    }
}

/// What a class means to our callers: a value, or a kind and a code, and how many tries it takes.
fn expected(expect: &Value) -> (Result<String, (FailureKind, &'static str)>, usize) {
    use FailureKind::{Misconfigured, Refused, Throttled, Unknown};
    let value = |name: &str| expect[name].as_str().map(str::to_owned);
    let refused = |code| (Err((Refused, code)), 1);
    match text(expect, "class") {
        "ok" => {
            let value = value("openid").or(value("phone"));
            (
                Ok(value
                    .unwrap_or_else(|| if expect["access_token"].is_null() { "ok" } else { "1" }.to_owned())),
                1,
            )
        }
        "accepted" => (Ok(value("trace_id").unwrap()), 1),
        class @ ("pass" | "review" | "risky" | "session_ok" | "session_invalid") => (Ok(class.to_owned()), 1),
        "retry" => (Err((Unknown, "")), 3),
        "code_invalid" => refused("CODE_INVALID"),
        "blocked" => refused("HIGH_RISK"),
        "openid_invalid" => refused("OPENID_INVALID"),
        "inactive_user" => refused("USER_INACTIVE"),
        "not_subscribed" => refused("NOT_SUBSCRIBED"),
        "bad_template" => refused("TEMPLATE_INVALID"),
        "rate_limited" => (Err((Throttled, "")), 1),
        "config" => (Err((Misconfigured, "")), 1),
        // The token is dead again and again: after one refresh it must be our own fault.
        "token_refresh" => (Err((Misconfigured, "TOKEN_INVALID")), 2),
        class => panic!("{class}"),
    }
}

#[tokio::test]
async fn every_answer_is_understood_as_it_says() {
    let file = vectors!("mini-program-http");
    for (id, case) in cases(&file, "cases") {
        let (wechat, server) = scene(case).await;
        let (value, tries) = expected(&case["expect"]);
        let found = call(&wechat, case).await;
        match value {
            Ok(value) => assert_eq!(found.unwrap(), value, "{id}"),
            Err((kind, code)) => {
                let failure = found.unwrap_err();
                assert_eq!(failure.kind, kind, "{id}: {failure}");
                assert!(code.is_empty() || failure.code.as_deref() == Some(code), "{id}: {failure:?}");
                assert!(!format!("{failure:?}").contains(SECRET), "{id}");
            }
        }
        let about_tokens = text(case, "api").contains("token");
        let asked = server.log().all();
        let asked = asked.iter().filter(|asked| (asked.request.path == TOKEN_PATH) == about_tokens);
        let asked: Vec<&Recorded> = asked.collect();
        assert_eq!(asked.len(), tries, "{id}");
        check_request(id, case, &asked[0].request);
    }
}

/// Whether we sent what the exchange shows, as far as it is whole.
fn check_request(id: &str, case: &Value, sent: &FakeRequest) {
    let api = text(case, "api");
    if api == "token" {
        // The old endpoint, which we do not use.
        return;
    }
    let request = &case["request"];
    assert_eq!(sent.method, text(request, "method"), "{id}");
    let url = text(request, "url").strip_prefix("https://api.weixin.qq.com").unwrap();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    assert_eq!(sent.path, path, "{id}");
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let found = sent.param(key).unwrap_or_default();
        if key == "signature" {
            assert_eq!(found, "45e4d65248f3a8c4147e9679f6aaded9a7e242c1e99127979ecf8c2065756763", "{id}");
        } else {
            assert_eq!(found, value, "{id}: {key}");
        }
    }
    let Some(expected) = request["body"].as_str().filter(|body| *body != "{}") else { return };
    let expected: Value = serde_json::from_str(expected).unwrap();
    let found: Value = sent.json().unwrap();
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(found[name], *value, "{id}: {name}");
    }
    if let Some(content) = expected["content"].as_str() {
        assert!(std::str::from_utf8(&sent.body).unwrap().contains(content), "{id}: sent as escapes");
    }
}
