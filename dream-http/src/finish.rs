//! The last touch on every answer: what the client has already, compression, and the headers that all of them carry.

use std::sync::Arc;

use bytes::Bytes;
use dream_core::Result;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};

use crate::app::Phase;
use crate::encoding;
use crate::public_cache::{Ready, is_fresh};
use crate::reply::{Payload, Reply};
use crate::response_memory;
use crate::throttle::network;
use crate::visit::{REQUEST_ID, Visit};

/// For answers that anybody may keep but has to ask about again.
pub(crate) const REVALIDATE: HeaderValue = HeaderValue::from_static("public, no-cache");
/// For the answer of a public row to a caller who is signed in: it is that caller's alone.
pub(crate) const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-store");
/// Half a year, as long as the original service asked for.
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=15552000; includeSubDomains");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const DENY: HeaderValue = HeaderValue::from_static("DENY");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
/// An answer of an API is no page: it may load nothing and be framed by nobody.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("Accept-Encoding");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// What a row came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// An answer made for this request.
    Reply(Reply),
    /// One that was made before, compressed and all.
    Ready(Arc<Ready>),
}

/// The answer in the form that this client wants: not at all if it has it, compressed if it takes that.
pub(crate) fn negotiate(
    visit: &Visit,
    outcome: Outcome,
    asked: &HeaderMap,
    cache: Option<HeaderValue>,
) -> Response<Payload> {
    let (reply, before) = match outcome {
        Outcome::Reply(reply) => (reply, Before::No),
        Outcome::Ready(ready) => (ready.reply(), ready.gzip.clone().map_or(Before::InVain, Before::Packed)),
    };
    let mut response = Response::new(reply.body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    if let Some(cache) = cache {
        response.headers_mut().entry(CACHE_CONTROL).or_insert(cache);
    }
    let etag = response.headers().get(ETAG);
    if response.status() == StatusCode::OK && etag.is_some_and(|etag| is_fresh(asked, etag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Payload::default();
        response.headers_mut().remove(CONTENT_TYPE);
        return response;
    }
    compress(visit, &mut response, before);
    response
}

/// What compressing the body came to when it was made.
enum Before {
    No,
    InVain,
    Packed(Bytes),
}

/// Compresses the body, or takes what was compressed before.
fn compress(visit: &Visit, response: &mut Response<Payload>, before: Before) {
    let headers = response.headers();
    if headers.contains_key(CONTENT_ENCODING) || !encoding::is_compressible(headers) {
        return;
    }
    let Some(plain) = response.body().as_bytes().filter(|bytes| bytes.len() >= encoding::MIN_BYTES) else {
        return;
    };
    let packed = match before {
        _ if !visit.gzip => None,
        Before::Packed(packed) => Some(packed),
        Before::InVain => None,
        Before::No => encoding::gzip(plain),
    };
    response.headers_mut().append(VARY, ACCEPT_ENCODING);
    if let Some(packed) = packed {
        response.headers_mut().insert(CONTENT_ENCODING, encoding::GZIP);
        *response.body_mut() = Payload::from(packed);
    }
}

/// Reserves what the body holds until it is sent. The response to a write is never refused: its effect has happened.
///
/// # Errors
/// `UNAVAILABLE` if the memory for responses is used up.
pub(crate) fn reserve_memory(visit: &Visit, response: Response<Payload>) -> Result<Response<Payload>> {
    let bytes = response.body().holds();
    let reads = matches!(visit.method, Method::GET | Method::HEAD);
    if bytes <= response_memory::FREE || visit.method == Method::HEAD {
        return Ok(response);
    }
    match visit.app.response_memory().reserve(network(visit.client), bytes) {
        Ok(reservation) => Ok(response.map(|body| body.holding(reservation))),
        Err(error) if reads => Err(error),
        Err(_) => Ok(response),
    }
}

/// The headers that every answer carries, refusals too.
pub(crate) fn dress(visit: &Visit, mut response: Response<Payload>) -> Response<Payload> {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(visit.id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.entry(X_FRAME_OPTIONS).or_insert(DENY);
    headers.entry(REFERRER_POLICY).or_insert(NO_REFERRER);
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(NOTHING);
    headers.entry(CACHE_CONTROL).or_insert(NO_STORE);
    if visit.app.settings().https {
        headers.insert(STRICT_TRANSPORT_SECURITY, HTTPS_ONLY);
    }
    if let Some(allowance) = visit.notes.allowance.get() {
        allowance.write(headers);
    }
    visit.app.settings().origins.write(visit.origin.as_ref(), headers);
    if visit.version == Version::HTTP_2 {
        *response.body_mut() = std::mem::take(response.body_mut()).on_http2();
    }
    if visit.method == Method::HEAD {
        if let Some(length) = response.body().len() {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        *response.body_mut() = Payload::default();
    }
    response
}

/// Ends the connection with this answer if the server drains, or if it must end: the client is not done sending.
pub(crate) fn connection(visit: &Visit, must_end: bool, response: &mut Response<Payload>) {
    let draining = visit.app.phase() == Phase::Draining && visit.version < Version::HTTP_2;
    if draining || must_end {
        response.headers_mut().insert(CONNECTION, CLOSE);
    }
}
