use std::fmt;
use std::future::Future;
use std::sync::Arc;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use super::WeChatConfig;
use super::errors::{self, TOKEN_INVALID, is_worth_a_repeat};
use super::tokens::AccessTokens;
use crate::adapters::outbound;
use crate::ports::{Cache, Clock, Failure, FailureKind};
use crate::protocol::foreign;
use crate::trace;

pub(super) const SERVICE: &str = "wechat";

/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 256 * 1024;

/// Repeats after the first try.
const REPEATS: usize = 2;

type Query<'a> = [(&'a str, &'a str)];

/// Calls to WeChat, with the token that most of them need.
pub(in crate::adapters) struct Api {
    wire: Arc<Wire>,
    tokens: AccessTokens,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wire.config.fmt(f)
    }
}

impl Api {
    pub(super) fn new(
        mut config: WeChatConfig,
        cache: Arc<dyn Cache>,
        clock: Arc<dyn Clock>,
    ) -> crate::Result<Self> {
        config.base_url = outbound::base_url(&config.base_url)
            .map_err(|fault| crate::Error::invalid_field("base_url", fault))?;
        let client = outbound::client(SERVICE, config.timeout, Policy::none())?;
        let wire = Arc::new(Wire { client, config, clock: clock.clone() });
        Ok(Self { tokens: AccessTokens::new(wire.clone(), cache, clock), wire })
    }

    pub(super) fn appid(&self) -> &str {
        &self.wire.config.appid
    }

    pub(super) fn secret(&self) -> &SecretString {
        &self.wire.config.secret
    }

    /// Sees that there is a token.
    pub(super) async fn has_token(&self) -> Result<(), Failure> {
        self.in_time(self.tokens.current()).await.map(drop)
    }

    /// A call without a token.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: &Query<'_>) -> Result<T, Failure> {
        self.in_time(self.wire.exchange(&Call { path, query, body: None }, None)).await
    }

    /// A call with a token in its query.
    pub(super) async fn get_with_token<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query<'_>,
    ) -> Result<T, Failure> {
        self.in_time(self.with_token(&Call { path, query, body: None })).await
    }

    /// A call with a token in its query and a JSON body, whose text goes out as it is: the content checks do not
    /// recognise escaped characters.
    pub(in crate::adapters) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Failure> {
        let body = encode(body)?;
        self.in_time(self.with_token(&Call { path, query: &[], body: Some(&body) })).await
    }

    /// Makes the call; if the token turns out to be dead, once more with a fresh one.
    async fn with_token<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Failure> {
        let token = self.tokens.current().await?;
        match self.wire.exchange(call, Some(&token)).await {
            Err(failure) if failure.code.as_deref() == Some(TOKEN_INVALID) => {
                self.tokens.drop_dead(&token).await;
                self.wire.exchange(call, Some(&self.tokens.current().await?)).await
            }
            answer => answer,
        }
    }

    /// Nobody waits longer than the limit, whatever is repeated.
    async fn in_time<T>(&self, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::time::timeout(self.wire.config.timeout, call).await.unwrap_or_else(|_| {
            Err(Failure::new(SERVICE, FailureKind::TimedOut, "no answer within the time limit"))
        })
    }
}

/// A request, but for its token.
pub(super) struct Call<'a> {
    pub(super) path: &'a str,
    pub(super) query: &'a Query<'a>,
    /// JSON to post; without it the call is a GET.
    pub(super) body: Option<&'a Bytes>,
}

/// The exchange itself: one request, repeated while that can help.
pub(super) struct Wire {
    client: Client,
    pub(super) config: WeChatConfig,
    clock: Arc<dyn Clock>,
}

impl Wire {
    pub(super) async fn exchange<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        token: Option<&SecretString>,
    ) -> Result<T, Failure> {
        let policy = ExponentialBuilder::default()
            .with_min_delay(self.config.pause)
            .with_max_times(REPEATS)
            .with_jitter();
        (|| self.attempt(call, token)).retry(policy).when(is_worth_a_repeat).await
    }

    async fn attempt<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        token: Option<&SecretString>,
    ) -> Result<T, Failure> {
        let request = self.request(call, token);
        let exchange = |_| async {
            let response = request.send().await.map_err(|error| outbound::broken(SERVICE, error))?;
            let status = response.status();
            Ok((status, outbound::read(SERVICE, response, MAX_ANSWER).await?))
        };
        let name = format!("wechat {}", call.path);
        let (status, body) =
            trace::call(&*self.clock, name, exchange, |(status, _)| Some(status.as_u16())).await?;
        read_answer(status, &body)
    }

    fn request(&self, call: &Call<'_>, token: Option<&SecretString>) -> RequestBuilder {
        let url = format!("{}{}", self.config.base_url, call.path);
        let request = match call.body {
            Some(body) => self.client.post(url).header(CONTENT_TYPE, "application/json").body(body.clone()),
            None => self.client.get(url),
        };
        let request = if call.query.is_empty() { request } else { request.query(call.query) };
        match token {
            Some(token) => request.query(&[("access_token", token.expose_secret())]),
            None => request,
        }
    }
}

pub(super) fn encode(body: &impl Serialize) -> Result<Bytes, Failure> {
    let bytes = serde_json::to_vec(body).map_err(|error| {
        Failure::new(SERVICE, FailureKind::Refused, format!("the request cannot be written: {error}"))
    })?;
    Ok(bytes.into())
}

/// An answer that is neither an error nor what was promised.
pub(in crate::adapters) fn no_sense(what: impl Into<String>) -> Failure {
    Failure::new(SERVICE, FailureKind::Unknown, what)
}

/// Decides by content: the status and the content type of WeChat's answers are not reliable.
fn read_answer<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, Failure> {
    let Ok(verdict) = foreign::json::<Verdict>(body) else {
        return Err(match status {
            StatusCode::TOO_MANY_REQUESTS => Failure::new(SERVICE, FailureKind::Throttled, "HTTP 429"),
            _ => no_sense(format!("HTTP {} without JSON", status.as_u16())),
        });
    };
    match verdict.errcode {
        0 if status.is_success() => foreign::json(body)
            .map_err(|error| no_sense(format!("an answer without what was promised: {error}"))),
        0 => Err(no_sense(format!("HTTP {}", status.as_u16()))),
        code => Err(errors::failure(code, &verdict.errmsg)),
    }
}

/// Takes a secret out of an answer.
pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

#[derive(Deserialize)]
struct Verdict {
    #[serde(default)]
    errcode: i64,
    #[serde(default)]
    errmsg: String,
}
