//! One request from the outside: what it wants to be told in, and its line in the access log.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dream_core::kernel::RequestId;
use dream_core::ports::EntropyExt as _;
use dream_core::trace::{self, Fact, Span, SpanKind, TRACEPARENT, TraceContext, Work};
use http::header::ORIGIN;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
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
    row: Option<usize>,
    pub(crate) route: &'static str,
    pub(crate) id: RequestId,
    pub(crate) trace: TraceContext,
    /// The caller's place in the trace.
    parent: Option<TraceContext>,
    pub(crate) lang: Lang,
    pub(crate) client: IpAddr,
    pub(crate) origin: Option<HeaderValue>,
    pub(crate) gzip: bool,
    pub(crate) notes: Arc<Notes>,
    started: Instant,
}

impl Visit {
    pub(crate) fn begin<B>(app: &Arc<App>, peer: IpAddr, request: &Request<B>, row: Option<usize>) -> Self {
        let headers = request.headers();
        let parent = traceparent(headers);
        let route = row.map_or(NO_ROUTE, |row| app.table().rows()[row].path());
        Self {
            app: Arc::clone(app),
            method: request.method().clone(),
            version: request.version(),
            path: request.uri().path().to_owned(),
            row,
            route,
            id: request_id(app, headers.get(REQUEST_ID)),
            trace: match parent {
                Some(parent) => parent.entered(app.entropy()),
                None => TraceContext::fresh(app.entropy()),
            },
            parent,
            lang: Lang::preferred(headers),
            client: client_address::of(peer, headers, &app.settings().trusted_proxies),
            origin: headers.get(ORIGIN).cloned(),
            gzip: encoding::accepts_gzip(headers),
            notes: Arc::default(),
            started: Instant::now(),
        }
    }

    /// Does a part of the answering: what is logged and called meanwhile belongs to this request.
    pub(crate) async fn within<F: Future>(&self, work: F) -> F::Output {
        Work::new(self.trace).for_request(self.id.clone()).run(work).await
    }

    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked { lang: self.lang, request_id: self.id.as_str(), path: &self.path, now: self.app.now() }
    }

    fn span(&self, status: u16, took: Duration) -> Span {
        let method = method_label(&self.method);
        Span {
            context: self.trace,
            parent: self.parent.map(TraceContext::span_id),
            parent_is_remote: true,
            kind: SpanKind::Server,
            name: format!("{method} {}", self.route).into(),
            begun: self.app.now().minus(took),
            took,
            failed: status >= 500,
            facts: vec![
                ("http.request.method", Fact::Text(method.into())),
                ("http.route", Fact::Text(self.route.into())),
                ("http.response.status_code", Fact::Number(status.into())),
                ("request.id", Fact::Text(self.id.as_str().to_owned().into())),
            ],
        }
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

/// The caller's place in a trace, if it tells of one, and of one only.
fn traceparent(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (first, second) = (values.next()?, values.next());
    first.to_str().ok().filter(|_| second.is_none()).and_then(TraceContext::parse)
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
        visit.app.meters().active().increment(1.0);
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
        let meters = visit.app.meters();
        meters.active().decrement(1.0);
        meters.took(visit.row, visit.route, method_label(&visit.method), status, took);
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
            trace_id = %visit.trace.trace_id(),
            user.id = user,
            admin.key = admin,
            client.address = %visit.client
            },
            "request"
        );
        trace::tell(visit.trace, || visit.span(status, took));
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
