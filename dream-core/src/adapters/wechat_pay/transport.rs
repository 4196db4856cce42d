//! Signed requests over the platform's hosts, with time limits and the repeats that are safe.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url, redirect};

use super::SERVICE;
use super::config::CallLimits;
use super::signing::{MerchantKey, ToSign};
use super::trouble::classify;
use crate::adapters::outbound;
use crate::ports::{Clock, Entropy, EntropyExt, Failure, FailureKind};
use crate::trace;

/// Largest answer that is read, bills apart.
const MAX_ANSWER: u64 = 1024 * 1024;
const NONCE_LEN: usize = 32;
const AGENT: &str = concat!("dream-pay/", env!("CARGO_PKG_VERSION"));

/// A request. Its target and body are sent, and signed, exactly as they stand here, at every attempt.
#[derive(Debug)]
pub(super) struct Request {
    /// What its spans are called.
    pub(super) name: &'static str,
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: String,
    /// Empty for a request without a body.
    pub(super) body: Bytes,
    /// Largest answer that is read.
    pub(super) max_answer: u64,
}

impl Request {
    pub(super) fn get(name: &'static str, target: String) -> Self {
        Self { name, method: Method::GET, target, body: Bytes::new(), max_answer: MAX_ANSWER }
    }

    pub(super) fn post(
        name: &'static str,
        target: String,
        body: &impl serde::Serialize,
    ) -> Result<Self, Failure> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Failure::new(SERVICE, FailureKind::Refused, format!("request: {error}")))?;
        Ok(Self { name, method: Method::POST, target, body: body.into(), max_answer: MAX_ANSWER })
    }
}

/// A successful answer, whose signature nobody has looked at yet.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }
}

pub(super) struct Transport {
    client: Client,
    bases: Vec<Url>,
    /// The host that answered last; a host in trouble is not tried first every time.
    preferred: AtomicUsize,
    key: MerchantKey,
    /// Sent along so that answers are signed with the public key.
    public_key_id: Option<String>,
    limits: CallLimits,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("bases", &self.bases)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Transport {
    pub(super) fn new(
        bases: Vec<Url>,
        key: MerchantKey,
        public_key_id: Option<String>,
        limits: CallLimits,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, String> {
        let client = Client::builder()
            .connect_timeout(limits.connect)
            .timeout(limits.attempt)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| format!("no HTTP client: {error}"))?;
        let preferred = AtomicUsize::new(0);
        Ok(Self { client, bases, preferred, key, public_key_id, limits, clock, entropy })
    }

    pub(super) fn key(&self) -> &MerchantKey {
        &self.key
    }

    pub(super) fn limits(&self) -> CallLimits {
        self.limits
    }

    pub(super) fn nonce(&self) -> String {
        self.entropy.alphanumeric(NONCE_LEN)
    }

    /// Sends the request to the host that answered last, and to the others if no connection can be made. Only a 2xx is
    /// an answer; everything else is the failure it stands for.
    pub(super) async fn send(&self, request: &Request) -> Result<Answer, Failure> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut unreachable = None;
        for step in 0..self.bases.len() {
            let index = (first + step) % self.bases.len();
            match self.attempt(&self.bases[index], request).await {
                Err(failure) if failure.kind == FailureKind::Unreachable => unreachable = Some(failure),
                outcome => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return outcome;
                }
            }
        }
        Err(unreachable.unwrap_or_else(|| Failure::new(SERVICE, FailureKind::Unreachable, "no host")))
    }

    async fn attempt(&self, base: &Url, request: &Request) -> Result<Answer, Failure> {
        let signed = self.signed(base, request)?;
        let exchange = |_| async {
            let response = signed.send().await.map_err(|error| outbound::broken(SERVICE, error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = outbound::read(SERVICE, response, request.max_answer).await?.into();
            Ok((status, Answer { headers, body }))
        };
        let (status, answer) =
            trace::call(&*self.clock, request.name, exchange, |(status, _)| Some(status.as_u16())).await?;
        let id = answer.header("Request-ID").unwrap_or_default();
        // The query may hold the token of a download.
        let path = request.target.split('?').next();
        tracing::debug!(status = status.as_u16(), path, wechat.request_id = id, "WeChat Pay answered");
        if status.is_success() { Ok(answer) } else { Err(refusal(status, &answer)) }
    }

    /// The request for this host, under a signature of its own.
    fn signed(&self, base: &Url, request: &Request) -> Result<RequestBuilder, Failure> {
        let url = base.join(&request.target).ok();
        // A signed request goes nowhere else, whatever its path looks like to a parser of URLs.
        let url = url
            .filter(|url| url.origin() == base.origin())
            .ok_or_else(|| Failure::new(SERVICE, FailureKind::Refused, "the path makes no URL"))?;
        // What is signed is what goes out, after the URL was parsed.
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let to_sign = ToSign {
            method: request.method.as_str(),
            target: &target,
            timestamp: self.clock.now().as_secs(),
            nonce: &self.nonce(),
            body: &request.body,
        };
        let authorization = self
            .key
            .authorization(to_sign)
            .map_err(|error| Failure::new(SERVICE, FailureKind::Misconfigured, error.to_string()))?;
        let mut builder = self
            .client
            .request(request.method.clone(), url)
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, AGENT);
        if let Some(id) = &self.public_key_id {
            builder = builder.header("Wechatpay-Serial", id);
        }
        if !request.body.is_empty() {
            builder = builder.header(CONTENT_TYPE, "application/json").body(request.body.clone());
        }
        Ok(builder)
    }
}

/// The failure that an error answer stands for, with the platform's own number of the request.
fn refusal(status: StatusCode, answer: &Answer) -> Failure {
    let wait = answer.header(RETRY_AFTER.as_str()).and_then(|secs| secs.parse().ok());
    let mut failure = classify(status.as_u16(), &answer.body, wait.map(Duration::from_secs));
    if let Some(id) = answer.header("Request-ID") {
        failure.message = format!("{} (Request-ID {id})", failure.message);
    }
    failure
}
