use std::sync::Arc;

use dream_core::adapters::SystemClock;
use dream_testkit::sandbox::{Sandbox, SandboxOptions};
use serde_json::Value;

use crate::world::client;

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
