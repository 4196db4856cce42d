//! Bytes from strangers must never cause more than a refusal.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dream_core::adapters::WeChatContentCheck;
use dream_core::adapters::image_api::{ImageApiConfig, ImageApiHttp};
use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
use dream_core::kernel::Timestamp;
use dream_core::ports::{
    ContentCheck, ImageApi, LoginCode, PhoneCode, Scene, Tenant, TextCheck, Verdict, WeChat,
};
use dream_core::protocol::encrypted_data::EncryptedData;
use dream_core::protocol::message_push::{PushQuery, PushReceiver};
use dream_core::protocol::token::TokenSigner;
use dream_core::protocol::webhook::WebhookVerifier;
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::server::{FakeRequest, FakeResponse, FakeServer, Setup};
use http::StatusCode;
use proptest::collection::vec;
use proptest::prelude::*;
use secrecy::SecretString;

use crate::support::SharedCache;

const NOW: Timestamp = Timestamp::from_secs(1_767_232_800);

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_token_but_ours_is_accepted(token in r"[A-Za-z0-9_\-=. ]{0,200}|\PC{0,80}") {
        let signer = TokenSigner::new(&SecretString::from("x".repeat(32))).unwrap();
        prop_assert!(signer.verify(&token, NOW).is_err());
    }

    #[test]
    fn no_encrypted_data_breaks_the_reader(
        data in r"[A-Za-z0-9+/]{0,256}={0,2}",
        iv in r"[A-Za-z0-9+/]{22}==|\PC{0,30}",
        key in r"[A-Za-z0-9+/]{22}==|\PC{0,30}",
    ) {
        let sealed = EncryptedData { data: &data, iv: &iv };
        prop_assert!(sealed.open(&SecretString::from(key), "wx", NOW).is_err());
    }

    #[test]
    fn no_signed_webhook_body_breaks_the_reader(body in vec(any::<u8>(), 0..200), header in vec(any::<u8>(), 0..80)) {
        let verifier = WebhookVerifier::new(&SecretString::from("secret")).unwrap();
        prop_assert!(verifier.open(Some(&header), &body).is_err());
        prop_assert!(verifier.open(Some(verifier.sign(&body).as_bytes()), &body).is_err());
    }

    #[test]
    fn no_signed_push_breaks_the_reader(encrypt in r"[A-Za-z0-9+/]{0,256}={0,2}", body in vec(any::<u8>(), 0..200)) {
        let key = SecretString::from("xgCiQVL1LhC5ORg9OBqKvsv2yhmh70C2A9v2UogXYJG");
        let receiver = PushReceiver::new("wx", SecretString::from("token"), Some(&key)).unwrap();
        let (signature, msg_signature) = (receiver.sign(&["1", "2"]), receiver.sign(&["1", "2", &encrypt]));
        let query = PushQuery {
            signature: &signature,
            timestamp: "1",
            nonce: "2",
            msg_signature: Some(&msg_signature),
            ..PushQuery::default()
        };
        let envelope = format!(r#"{{"Encrypt":"{encrypt}"}}"#);
        prop_assert!(receiver.open(&query, envelope.as_bytes()).is_err());
        let _ = receiver.open(&query, &body);
    }
}

/// A body with some bytes replaced, doubled or left out.
fn garbled(dice: &mut fastrand::Rng, body: &str) -> Vec<u8> {
    let mut bytes = body.as_bytes().to_vec();
    for _ in 0..dice.usize(1..6) {
        let at = dice.usize(..bytes.len());
        match dice.u8(..4) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes.insert(at, *dice.choice(br#""{}[]:,0-e"#).unwrap()),
            2 => bytes[at] = dice.u8(..),
            _ => bytes[at] = *dice.choice(br#""{}[]:,0-e"#).unwrap(),
        }
    }
    bytes
}

#[tokio::test]
async fn no_answer_breaks_the_clients() {
    const ANSWERS: &[&str] = &[
        r#"{"openid":"o","session_key":"k","errcode":0,"phone_info":{"phoneNumber":"1","countryCode":86}}"#,
        r#"{"errcode":0,"errmsg":"ok","result":{"suggest":"risky","label":"20001"},"trace_id":"t"}"#,
        r#"{"jobId":"cm1","status":"FAILED","resultUrls":["u"],"error":{"code":"C","message":"m"}}"#,
        r#"{"items":[{"id":"cm1","status":"QUEUED","errorCode":null}],"hasMore":false}"#,
    ];
    let clock = Arc::new(TestClock::default());
    let dice = Mutex::new(fastrand::Rng::with_seed(7));
    let answer = move |request: FakeRequest| {
        let mut dice = dice.lock().unwrap();
        let body = *dice.choice(ANSWERS).unwrap();
        let body = garbled(&mut dice, body);
        let status = dice.choice([200, 200, 200, 400, 404, 429, 500]).unwrap();
        let answer = if request.path.ends_with("stable_token") {
            FakeResponse::text(StatusCode::OK, r#"{"access_token":"t","expires_in":7200}"#)
        } else {
            FakeResponse::text(StatusCode::from_u16(status).unwrap(), body)
        };
        std::future::ready(answer)
    };
    let server = FakeServer::start(Setup::new(clock.clone()), answer).await.unwrap();
    let mut config = WeChatConfig::new("wx", SecretString::from("s"));
    (config.base_url, config.pause) = (server.base_url(), Duration::from_micros(1));
    let wechat = WeChatHttp::new(config, SharedCache::new(clock.clone()), clock.clone()).unwrap();
    let check = WeChatContentCheck::new(&wechat);
    let config = ImageApiConfig::new(server.base_url(), SecretString::from("k"));
    for _ in 0..100 {
        // A client of its own each time, since a 429 makes it keep quiet.
        let api = ImageApiHttp::new(&config, clock.clone()).unwrap();
        drop(wechat.login(LoginCode::new("c".to_owned()).unwrap()).await);
        drop(wechat.phone(PhoneCode::new("c".to_owned()).unwrap(), "o").await);
        let content = TextCheck { openid: "o", scene: Scene::Forum, content: "c" };
        assert!(!matches!(check.text(content).await, Ok(Verdict::Pass)), "nothing here says pass");
        drop(api.job(&Tenant::Service, "cm1").await);
        drop(api.recent(&Tenant::Service).await);
    }
}
