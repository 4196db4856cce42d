//! What the HTTP adapters share: a client with limits, reading an answer with a bound, and naming what broke.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};

use crate::error::{Fault, Format};
use crate::ports::{Failure, FailureKind};

/// How long making a connection may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that gives up in time and follows only the redirects that the policy allows.
pub(super) fn client(service: &'static str, total: Duration, redirects: Policy) -> Result<Client, Failure> {
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT.min(total))
        .timeout(total)
        .redirect(redirects)
        .user_agent(concat!("dream/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Failure::new(service, FailureKind::Misconfigured, error.to_string()))
}

/// The base URL without a slash at its end.
pub(super) fn base_url(text: &str) -> Result<String, Fault> {
    let fault = Fault::Format(Format::HttpUrlWithoutQuery);
    let url = Url::parse(text).map_err(|_| fault.clone())?;
    let plain = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
    if plain { Ok(text.trim_end_matches('/').to_owned()) } else { Err(fault) }
}

/// What a broken exchange proves about its outcome. The URL is left out of the text, since it may hold a secret.
pub(super) fn broken(service: &'static str, error: reqwest::Error) -> Failure {
    let kind = if error.is_connect() {
        FailureKind::Unreachable
    } else if error.is_builder() {
        FailureKind::Misconfigured
    } else if error.is_timeout() {
        FailureKind::TimedOut
    } else {
        FailureKind::Unknown
    };
    let error = error.without_url();
    let mut message = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        next = cause.source();
    }
    Failure::new(service, kind, message)
}

/// The whole body, unless it is longer than this many bytes.
pub(super) async fn read(
    service: &'static str,
    mut response: Response,
    max_bytes: u64,
) -> Result<Vec<u8>, Failure> {
    let too_long =
        || Failure::new(service, FailureKind::Unknown, "the answer is too long").with_code("TOO_LARGE");
    if response.content_length().is_some_and(|length| length > max_bytes) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(service, error))? {
        if (body.len() + chunk.len()) as u64 > max_bytes {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The first so many characters, for the log.
pub(super) fn excerpt(text: &str) -> String {
    const LIMIT: usize = 200;
    text.chars().take(LIMIT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
