//! What the fakes send is what the core reads: two sides written apart from each other.

use std::sync::Arc;
use std::time::Duration;

use dream_core::adapters::image_api::{ImageApiConfig, ImageApiHttp};
use dream_core::ports::{Clock, FailureKind, ImageApi, ImageRequest, JobState, Tenant, Verdict};
use dream_core::protocol::encrypted_data::EncryptedData;
use dream_core::protocol::message_push::{PushMessage, PushQuery, PushReceiver};
use dream_core::protocol::webhook::WebhookVerifier;
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::image_api::{FakeImageApi, ImageApiOptions, operation};
use dream_testkit::fakes::wechat::{FakeWeChat, PushMode, WeChatOptions};
use dream_testkit::faults::Fault;
use secrecy::SecretString;
use serde_json::json;

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

#[tokio::test]
async fn a_push_can_be_read_in_every_mode() {
    let wechat = FakeWeChat::start(WeChatOptions::new(Arc::new(TestClock::default()))).await.expect("a port");
    let target = wechat.push_target();
    let key = secret(&target.aes_key);
    let receiver =
        PushReceiver::new(wechat.app().appid, secret(&target.token), Some(&key)).expect("good keys");
    let event = json!({"ToUserName": "gh", "FromUserName": "o", "MsgType": "event", "Event": "wxa_media_check",
        "appid": wechat.app().appid, "trace_id": "t", "version": 2, "errcode": 0,
        "result": {"suggest": "risky", "label": 20002}});
    for mode in [PushMode::Plain, PushMode::Compatible, PushMode::Safe] {
        wechat.set_push_mode(mode);
        let push = wechat.signed_push(&event);
        let param = |name: &str| push.query.iter().find(|(key, _)| key == name).map(|(_, value)| &**value);
        let query = PushQuery {
            signature: param("signature").unwrap_or(""),
            timestamp: param("timestamp").unwrap_or(""),
            nonce: param("nonce").unwrap_or(""),
            echostr: None,
            msg_signature: param("msg_signature"),
            encrypt_type: param("encrypt_type"),
        };
        let Ok(PushMessage::MediaCheck(check)) = receiver.open(&query, push.body.as_bytes()) else {
            panic!("{mode:?} cannot be read");
        };
        assert_eq!((check.trace_id.as_str(), check.outcome), ("t", Ok(Verdict::Risky)));
    }
}

#[tokio::test]
async fn encrypted_data_can_be_read_with_the_newest_session_key_only() {
    let clock = Arc::new(TestClock::default());
    let wechat = FakeWeChat::start(WeChatOptions::new(clock.clone())).await.expect("a port");
    wechat.login_code("oAlice");
    let old = wechat.user("oAlice").expect("known").session_key;
    wechat.login_code("oAlice");
    let new = wechat.user("oAlice").expect("known").session_key;
    let phone = json!({"phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86"});
    let (data, iv) = wechat.encrypt_for("oAlice", &phone);
    let sealed = EncryptedData { data: &data, iv: &iv };
    let read = |key: &str| sealed.phone(&secret(key), &wechat.app().appid, clock.now());
    assert_eq!(read(&new).expect("readable").pure_number, "13800138000");
    read(&old).expect_err("another key");
}

fn request(prompt: &str) -> ImageRequest {
    ImageRequest {
        prompt: prompt.to_owned(),
        negative_prompt: None,
        mode: "draft",
        resolution: None,
        aspect_ratio: Some("4:3"),
        sample_count: 2,
        input_image_url: None,
        input_image: None,
        model: None,
        params: serde_json::Map::new(),
    }
}

#[tokio::test]
async fn the_adapter_submits_reads_lists_cancels_and_downloads() {
    let clock = Arc::new(TestClock::default());
    let api = FakeImageApi::start(ImageApiOptions::new(clock.clone())).await.expect("a port");
    let config = ImageApiConfig::new(api.base_url(), secret(api.service_key()));
    let adapter = ImageApiHttp::new(&config, clock.clone()).expect("an adapter");
    let job = adapter.submit(&Tenant::Service, "k", &request("a lake")).await.expect("a job");
    assert_eq!(job.state, JobState::Queued);
    let again = adapter.submit(&Tenant::Service, "k", &request("a lake")).await.expect("the same job");
    assert_eq!(again.id, job.id);
    clock.advance(Duration::from_mins(1));
    let done = adapter.job(&Tenant::Service, &job.id).await.expect("an answer").expect("known");
    assert_eq!((done.state, done.result_urls.len()), (JobState::Succeeded, 2));
    assert_eq!(adapter.recent(&Tenant::Service).await.expect("a list"), vec![done.clone()]);
    let refused = adapter.cancel(&Tenant::Service, &job.id).await.expect_err("it ended");
    assert_eq!(refused.code.as_deref(), Some("INVALID_STATE"));
    let event = api.signed_event(&job.id).expect("known");
    let verifier = WebhookVerifier::new(&secret(api.webhook_secret())).expect("a secret");
    let read = verifier.open(Some(event.signature.as_bytes()), event.body.as_bytes()).expect("genuine");
    assert_eq!(read.job, done);
    api.faults().next(operation::SUBMIT, Fault::Corrupt);
    let failure = adapter.submit(&Tenant::Service, "k2", &request("a lake")).await;
    assert!(failure.is_err_and(|failure| failure.kind == FailureKind::Unknown));
    assert_eq!(api.jobs_for_key("k2").len(), 1);
}
