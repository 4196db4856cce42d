use std::sync::Arc;

use dream_core::ports::Verdict;
use dream_core::protocol::message_push::{MediaCheck, PushMessage, PushQuery, PushReceiver, PushRefused};
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::wechat::{FakeWeChat, PushMode, WeChatOptions};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{cases, text, vectors};

const APPID: &str = "wx8f3c2d71a0b9e456";
const KEY: &str = "xgCiQVL1LhC5ORg9OBqKvsv2yhmh70C2A9v2UogXYJG";

fn receiver() -> PushReceiver {
    PushReceiver::new(APPID, SecretString::from("token"), Some(&SecretString::from(KEY))).unwrap()
}

fn query(case: &Value) -> PushQuery<'_> {
    let query = &case["query"];
    PushQuery {
        signature: text(query, "signature"),
        timestamp: text(query, "timestamp"),
        nonce: text(query, "nonce"),
        echostr: query["echostr"].as_str(),
        msg_signature: query["msg_signature"].as_str(),
        encrypt_type: query["encrypt_type"].as_str(),
    }
}

fn plain(signature: &str) -> PushQuery<'_> {
    PushQuery { signature, timestamp: "1", nonce: "2", ..PushQuery::default() }
}

fn open_plain(body: &str) -> Result<PushMessage, PushRefused> {
    receiver().open(&plain(&receiver().sign(&["1", "2"])), body.as_bytes())
}

#[test]
fn every_vector_is_accepted_or_refused_as_it_says() {
    let file = vectors!("message-push");
    let key = SecretString::from(text(&file, "encoding_aes_key"));
    for (id, case) in cases(&file, "cases") {
        let token = case["token"].as_str().unwrap_or(text(&file, "token"));
        let receiver = PushReceiver::new(APPID, SecretString::from(token), Some(&key)).unwrap();
        let expect = &case["expect"];
        let valid = expect["valid"].as_bool().unwrap();
        if text(case, "method") == "GET" {
            let echo = valid.then(|| text(expect, "body")).ok_or(PushRefused);
            assert_eq!(receiver.echo(&query(case)), echo, "{id}");
            continue;
        }
        let body = text(case, "body").as_bytes();
        let found = receiver.open(&query(case), body);
        assert_eq!(found.is_ok(), valid, "{id}");
        if let Some(plaintext) = expect["plaintext"].as_str() {
            assert_eq!(receiver.open_text(&query(case), body).as_deref(), Ok(plaintext), "{id}");
        }
        if let Some(suggest) = expect["suggest"].as_str() {
            let verdict = if suggest == "pass" { Verdict::Pass } else { Verdict::Risky };
            let check = MediaCheck {
                trace_id: text(expect, "trace_id").to_owned(),
                outcome: Ok(verdict),
                label: expect["label"].as_i64(),
            };
            assert_eq!(found, Ok(PushMessage::MediaCheck(check)), "{id}");
        }
    }
}

#[test]
fn what_is_sealed_opens_again() {
    for message in ["", "{}", r#"{"MsgType":"text","Content":"你好"}"#, &"x".repeat(1000)] {
        let sealed = receiver().seal([7; 16], "1", "2", message).unwrap();
        let query = PushQuery { msg_signature: Some(&sealed.msg_signature), ..plain(&sealed.signature) };
        let found = receiver().encrypted_only().open_text(&query, sealed.body.as_bytes());
        assert_eq!(found.as_deref(), Ok(message));
    }
}

#[test]
fn an_encrypted_message_counts_over_the_plain_one_beside_it() {
    let sealed = receiver().seal([7; 16], "1", "2", r#"{"MsgType":"inner"}"#).unwrap();
    let body = sealed.body.replacen('{', r#"{"MsgType":"outer","#, 1);
    let query = PushQuery { msg_signature: Some(&sealed.msg_signature), ..plain(&sealed.signature) };
    let inner = PushMessage::Other { kind: "inner".to_owned(), event: None };
    assert_eq!(receiver().open(&query, body.as_bytes()), Ok(inner));
}

#[test]
fn a_plain_message_is_refused_where_only_encrypted_ones_are_expected() {
    let signature = receiver().sign(&["1", "2"]);
    assert!(receiver().open(&plain(&signature), b"{}").is_ok());
    assert_eq!(receiver().encrypted_only().open(&plain(&signature), b"{}"), Err(PushRefused));
    let claims_aes = PushQuery { encrypt_type: Some("aes"), ..plain(&signature) };
    assert_eq!(receiver().open(&claims_aes, b"{}"), Err(PushRefused));
}

#[test]
fn a_check_that_failed_or_says_something_new_is_never_a_pass() {
    let outcome = |rest: &str| {
        let body = format!(r#"{{"Event":"wxa_media_check","trace_id":"t",{rest}}}"#);
        match open_plain(&body).unwrap() {
            PushMessage::MediaCheck(check) => check.outcome,
            other @ PushMessage::Other { .. } => panic!("{other:?}"),
        }
    };
    assert_eq!(outcome(r#""errcode":-1008,"result":{"suggest":"pass"}"#), Err(-1008));
    assert_eq!(outcome(r#""errcode":0"#), Err(0));
    assert_eq!(outcome(r#""result":{"suggest":"excellent"}"#), Ok(Verdict::Review));
    assert_eq!(outcome(r#""result":{"label":[]}"#), Ok(Verdict::Review));
    assert_eq!(outcome(r#""result":{"suggest":"pass","label":99999}"#), Ok(Verdict::Pass));
}

#[test]
fn a_message_for_another_mini_program_is_refused() {
    assert_eq!(open_plain(r#"{"MsgType":"event","appid":"wx0000000000000000"}"#), Err(PushRefused));
}

#[test]
fn a_key_of_another_form_is_refused() {
    let new = |key: &str| PushReceiver::new(APPID, SecretString::from("t"), Some(&SecretString::from(key)));
    assert!(new(KEY).is_ok());
    for key in ["", &KEY[1..], &format!("{KEY}="), &KEY.replace('x', "*")] {
        assert!(new(key).is_err(), "{key}");
    }
    assert!(PushReceiver::new(APPID, SecretString::from(""), None).is_err());
}

#[tokio::test]
async fn what_wechat_pushes_is_read_in_every_mode() {
    let clock = Arc::new(TestClock::default());
    let fake = FakeWeChat::start(WeChatOptions::new(clock)).await.unwrap();
    let (target, appid) = (fake.push_target(), fake.app().appid);
    let receiver = |key: Option<&str>| {
        let key = key.map(SecretString::from);
        PushReceiver::new(appid.clone(), SecretString::from(target.token.clone()), key.as_ref()).unwrap()
    };
    let event = json!({
        "MsgType": "event", "Event": "wxa_media_check", "appid": appid, "trace_id": "t",
        "result": {"suggest": "risky", "label": "20002"},
    });
    let check = MediaCheck { trace_id: "t".to_owned(), outcome: Ok(Verdict::Risky), label: Some(20002) };
    for (mode, receiver) in [
        (PushMode::Plain, receiver(None)),
        (PushMode::Compatible, receiver(Some(&target.aes_key)).encrypted_only()),
        (PushMode::Safe, receiver(Some(&target.aes_key)).encrypted_only()),
    ] {
        fake.set_push_mode(mode);
        let push = fake.signed_push(&event);
        let member =
            |name: &str| push.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let query = PushQuery {
            signature: member("signature").unwrap(),
            timestamp: member("timestamp").unwrap(),
            nonce: member("nonce").unwrap(),
            echostr: None,
            msg_signature: member("msg_signature"),
            encrypt_type: member("encrypt_type"),
        };
        let found = receiver.open(&query, push.body.as_bytes());
        assert_eq!(found, Ok(PushMessage::MediaCheck(check.clone())), "{mode:?}");
    }
}
