//! Messages that WeChat sends to the backend.

use std::time::Duration;

use dream_core::kernel::Timestamp;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Inner, crypto, nonce};
use crate::fakes::lock;

/// How long WeChat waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often WeChat tries in all.
const ATTEMPTS: usize = 3;

/// How much of a message is encrypted.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_testkit::fakes::wechat::PushMode;
///
/// // As the console offers it. Messages in plain text are for developing only.
/// world.wechat().set_push_mode(PushMode::Plain);
/// assert_eq!(world.wechat().push_target().mode, PushMode::Plain);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushMode {
    /// Nothing.
    Plain,
    /// It is sent both ways at once.
    Compatible,
    /// All of it.
    #[default]
    Safe,
}

/// What the console says about the message push.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// let console = world.wechat().push_target();
/// assert_eq!(console.aes_key.len(), 43);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushTarget {
    /// The URL; `None`: nothing is pushed.
    pub url: Option<String>,
    /// Signs.
    pub token: String,
    /// Encrypts: 43 characters.
    pub aes_key: String,
    /// How much is encrypted.
    pub mode: PushMode,
}

impl Default for PushTarget {
    /// No URL, safe mode, and a key whose last character has spare bits set.
    fn default() -> Self {
        Self {
            url: None,
            token: "pushTokenOfTheFake".to_owned(),
            aes_key: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".to_owned(),
            mode: PushMode::Safe,
        }
    }
}

/// A message as it goes over the wire.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// let push = world.wechat().signed_push(&serde_json::json!({ "MsgType": "text" }));
/// assert!(push.query.iter().any(|(name, _)| name == "msg_signature"));
/// assert!(!push.body.contains("MsgType"), "it is encrypted");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPush {
    /// What stands behind the `?`.
    pub query: Vec<(String, String)>,
    /// The JSON.
    pub body: String,
}

/// One attempt to push.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # let alice = world.alice().await;
/// // Without an address nothing is pushed.
/// world.wechat().set_push_url(None);
/// let pushed = world.wechat().push(&serde_json::json!({ "MsgType": "text" })).await;
/// assert!(pushed.iter().all(|attempt| !attempt.is_received()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// When, in seconds since the epoch.
    pub at: i64,
    /// The answer's status; `None` if there was no answer.
    pub status: Option<u16>,
    /// The answer's body, or why there is none.
    pub answer: String,
}

impl Pushed {
    /// Whether WeChat takes this for received.
    pub fn is_received(&self) -> bool {
        self.status == Some(200) && matches!(self.answer.as_str(), "" | "success")
    }
}

/// Signs and, in safe mode, encrypts.
pub(super) fn sign(fake: &Inner, target: &PushTarget, event: &Value) -> SignedPush {
    let timestamp = fake.now().as_secs().to_string();
    let nonce = nonce(fake.dice());
    let mut query = signed_query(&target.token, &timestamp, &nonce);
    if let Some(openid) = event.get("FromUserName").and_then(Value::as_str) {
        query.push(("openid".to_owned(), openid.to_owned()));
    }
    if target.mode == PushMode::Plain {
        return SignedPush { query, body: event.to_string() };
    }
    let appid = fake.main_app().map_or("", |app| app.appid.as_str());
    let appid = event.get("appid").and_then(Value::as_str).unwrap_or(appid);
    let mut random = [0; 16];
    fake.dice().fill(&mut random);
    let sealed = crypto::push_key(&target.aes_key)
        .and_then(|key| crypto::seal_push(&key, random, &event.to_string(), appid))
        .unwrap_or_default();
    let signature = crypto::push_signature(&mut [&target.token, &timestamp, &nonce, &sealed]);
    query.push(("encrypt_type".to_owned(), "aes".to_owned()));
    query.push(("msg_signature".to_owned(), signature));
    let mut body = match target.mode {
        PushMode::Compatible => event.clone(),
        PushMode::Plain | PushMode::Safe => json!({"ToUserName": event.get("ToUserName")}),
    };
    body["Encrypt"] = json!(sealed);
    SignedPush { query, body: body.to_string() }
}

fn signed_query(token: &str, timestamp: &str, nonce: &str) -> Vec<(String, String)> {
    let signature = crypto::push_signature(&mut [token, timestamp, nonce]);
    [("signature", signature.as_str()), ("timestamp", timestamp), ("nonce", nonce)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// Pushes until it is received, at most three times. Nothing happens without a URL.
pub(super) async fn deliver(fake: &Inner, event: &Value) -> Vec<Pushed> {
    let target = lock(&fake.push).clone();
    let Some(url) = &target.url else { return Vec::new() };
    let mut tries = Vec::new();
    while tries.len() < ATTEMPTS {
        let pushed = attempt(fake, url, &sign(fake, &target, event)).await;
        let done = pushed.is_received();
        tries.push(pushed);
        if done {
            break;
        }
    }
    tries
}

async fn attempt(fake: &Inner, url: &str, message: &SignedPush) -> Pushed {
    let at = fake.now();
    let request = fake.http.post(url).query(&message.query).header(CONTENT_TYPE, "application/json");
    pushed(at, request.body(message.body.clone()).timeout(PATIENCE).send().await).await
}

async fn pushed(at: Timestamp, answer: reqwest::Result<reqwest::Response>) -> Pushed {
    let at = at.as_secs();
    match answer {
        Ok(answer) => {
            let status = Some(answer.status().as_u16());
            Pushed { at, status, answer: answer.text().await.unwrap_or_else(|error| error.to_string()) }
        }
        Err(error) => Pushed { at, status: None, answer: error.to_string() },
    }
}

/// Whether the URL echoes what a signed check asks it to.
pub(super) async fn check_url(fake: &Inner) -> bool {
    let target = lock(&fake.push).clone();
    let Some(url) = &target.url else { return false };
    let timestamp = fake.now().as_secs().to_string();
    let mut query = signed_query(&target.token, &timestamp, &nonce(fake.dice()));
    let echo = fake.random().to_string();
    query.push(("echostr".to_owned(), echo.clone()));
    let answer = fake.http.get(url).query(&query).timeout(PATIENCE).send().await;
    pushed(fake.now(), answer).await.answer == echo
}
