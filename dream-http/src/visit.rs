//! One request from the outside: what it wants to be told in, and its line in the access log.

use std::net::IpAddr;
use std::sync::Arc;

use dream_core::kernel::RequestId;
use dream_core::ports::EntropyExt as _;
use http::header::ORIGIN;
use http::{HeaderName, HeaderValue, Method, Request, Version};
use tokio::time::Instant;

use crate::app::App;
use crate::call::{Arrival, Caller, Notes};
use crate::problem::{Asked, Lang};
use crate::{client_address, encoding};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What the log says of a request whose client did not wait for the answer.
const CLIENT_LEFT: u16 = 499;
/// The label of whatever no row stands for.
const NO_ROUTE: &str = "-";

/// What is known of a request from its head alone.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) app: Arc<App>,
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) path: String,
    pub(crate) route: &'static str,
    pub(crate) id: RequestId,
    pub(crate) lang: Lang,
    pub(crate) client: IpAddr,
    pub(crate) origin: Option<HeaderValue>,
    pub(crate) gzip: bool,
    pub(crate) notes: Arc<Notes>,
    started: Instant,
}

impl Visit {
    pub(crate) fn begin<B>(
        app: &Arc<App>,
        peer: IpAddr,
        request: &Request<B>,
        route: Option<&'static str>,
    ) -> Self {
        let headers = request.headers();
        Self {
            app: Arc::clone(app),
            method: request.method().clone(),
            version: request.version(),
            path: request.uri().path().to_owned(),
            route: route.unwrap_or(NO_ROUTE),
            id: request_id(app, headers.get(REQUEST_ID)),
            lang: Lang::preferred(headers),
            client: client_address::of(peer, headers, &app.settings().trusted_proxies),
            origin: headers.get(ORIGIN).cloned(),
            gzip: encoding::accepts_gzip(headers),
            notes: Arc::default(),
            started: Instant::now(),
        }
    }

    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked { lang: self.lang, request_id: self.id.as_str(), path: &self.path, now: self.app.now() }
    }

    pub(crate) fn arrival(&self) -> Arrival {
        Arrival {
            app: Arc::clone(&self.app),
            lang: self.lang,
            id: self.id.clone(),
            client: self.client,
            notes: Arc::clone(&self.notes),
        }
    }
}

/// The caller's id, if it is a sane one, else a new one.
fn request_id(app: &App, sent: Option<&HeaderValue>) -> RequestId {
    let sent = sent.and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    sent.unwrap_or_else(|| {
        loop {
            // A UUID is always a sane id.
            if let Ok(id) = app.entropy().uuid_at(app.now()).simple().to_string().parse() {
                break id;
            }
        }
    })
}

/// Writes the access log line and the metrics of one request: when it is answered, or when it is dropped because
/// the client left.
#[derive(Debug)]
pub(crate) struct Record {
    visit: Arc<Visit>,
    written: bool,
}

impl Record {
    pub(crate) fn open(visit: Arc<Visit>) -> Self {
        metrics::gauge!("http_server_active_requests").increment(1.0);
        Self { visit, written: false }
    }

    /// It was answered with this status and so many bytes; `left` if nobody was there to read it.
    pub(crate) fn close(mut self, status: u16, bytes: Option<u64>, left: bool) {
        self.write(status, bytes, left);
    }

    fn write(&mut self, status: u16, bytes: Option<u64>, left: bool) {
        self.written = true;
        let visit = &*self.visit;
        let took = visit.started.elapsed();
        metrics::gauge!("http_server_active_requests").decrement(1.0);
        metrics::histogram!(
            "http_server_request_duration_seconds",
            "route" => visit.route, "method" => method_label(&visit.method), "status" => class(status)
        )
        .record(took.as_secs_f64());
        let (user, admin) = match visit.notes.caller.get() {
            Some(Caller::User(user)) => (Some(user.get()), None),
            Some(Caller::Admin(key)) => (None, Some(key.as_str())),
            Some(Caller::Unknown) | None => (None, None),
        };
        tracing::info!(
            target: "dream_http::access",
            {
            http.method = visit.method.as_str(),
            http.route = visit.route,
            http.status = status,
            duration_ms = (took.as_secs_f64() * 1e6).round() / 1e3,
            http.bytes = bytes,
            http.client_left = left.then_some(true),
            request.id = visit.id.as_str(),
            user.id = user,
            admin.key = admin,
            client.address = %visit.client
            },
            "request"
        );
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.written {
            self.write(CLIENT_LEFT, None, true);
        }
    }
}

fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn class(status: u16) -> &'static str {
    match status {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
