//! The service itself: who it is, whether it is well, and its metrics.

use bytes::Bytes;
use dream_core::{Code, Error, Result};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};

use crate::app::{App, Phase};
use crate::call::Call;
use crate::gate::{Anyone, Gate, Guard};
use crate::openapi::{Described, Schemas};
use crate::reply::{IntoReply, Payload, Reply};
use crate::table::{Row, get};
use crate::wire::application::{Banner, DependencyState, Health, Live, Readiness};

const SERVICE: &str = "dream-wechat-backend";
const DOCS: &str = "/api/docs";
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

pub(crate) fn rows() -> Vec<Row> {
    let health = get("/health", health).doc("That the service is there").vital().any_query();
    vec![
        get("/", banner).doc("What this is, and where its documentation is").vital().any_query(),
        health.also_at("/v1/health"),
        health,
        get("/health/live", live).doc("That the process answers").vital().any_query(),
        get("/health/ready", ready)
            .doc(
                "Whether requests should be sent here: 503 while starting, draining, or without the database",
            )
            .vital()
            .any_query(),
        get("/metrics", metrics).doc("Metrics as Prometheus reads them").vital().any_query().unlisted(),
    ]
}

async fn banner(Anyone(app): Anyone, (): ()) -> Result<Banner> {
    Ok(Banner { message: "Dream backend is running", version: app.version(), docs: DOCS })
}

async fn health(Anyone(app): Anyone, (): ()) -> Result<Health> {
    Ok(Health {
        status: "ok",
        timestamp: app.now().to_string(),
        service: SERVICE,
        version: app.version(),
        uptime: app.uptime().as_secs(),
    })
}

async fn live(_: Anyone, (): ()) -> Result<Live> {
    Ok(Live { status: "ok" })
}

async fn ready(Anyone(app): Anyone, (): ()) -> Result<Ready> {
    let dependencies = app.dependencies().await;
    let missing = dependencies.iter().any(|dependency| dependency.required && !dependency.up);
    let status = match app.phase() {
        Phase::Starting => "starting",
        Phase::Draining => "draining",
        Phase::Serving if missing => "unavailable",
        Phase::Serving => "ready",
    };
    let dependencies = dependencies.iter().map(DependencyState::from).collect();
    Ok(Ready(Readiness { status, dependencies }))
}

/// A readiness answer: 200 or 503, with the same body.
struct Ready(Readiness);

impl IntoReply for Ready {
    fn into_reply(self) -> Result<Reply> {
        let ready = self.0.status == "ready";
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        Reply::json(status, &self.0)
    }

    fn describe(schemas: &mut Schemas) -> Vec<Described> {
        vec![
            Described::json::<Readiness>(StatusCode::OK, "Ready", schemas),
            Described::json::<Readiness>(StatusCode::SERVICE_UNAVAILABLE, "Not now", schemas),
        ]
    }
}

/// An address that may read the metrics. To all others the route does not exist.
struct Monitor(Bytes);

impl Gate for Monitor {
    const GUARD: Guard = Guard::Open;

    async fn enter(call: &mut Call) -> Result<Self> {
        let app = call.app();
        // A proxy on an allowed machine passes on the requests of strangers.
        let direct =
            if call.client().is_loopback() { call.is_from_this_machine() } else { !call.is_forwarded() };
        let allowed =
            direct && app.settings().metrics_allow.iter().any(|network| network.contains(&call.client()));
        let own_port = app.settings().metrics_listen.is_some();
        match app.metrics_text() {
            Some(text) if allowed && !own_port => Ok(Self(text.into())),
            _ => Err(Error::new(Code::RouteNotFound)),
        }
    }
}

async fn metrics(Monitor(text): Monitor, (): ()) -> Result<Reply> {
    Ok(Reply::bytes(StatusCode::OK, PROMETHEUS, text))
}

/// The answer on the port for metrics alone.
pub(crate) fn metrics_port<B>(app: &App, request: &Request<B>) -> Response<Payload> {
    let text = if request.uri().path() == "/metrics" { app.metrics_text() } else { None };
    let mut response = Response::new(Payload::default());
    match text {
        Some(text) => {
            response.headers_mut().insert(CONTENT_TYPE, PROMETHEUS);
            *response.body_mut() = Payload::from(Bytes::from(text));
        }
        None => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    response
}
