//! Spans on their way to a collector, by OTLP over HTTP (protobuf).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use dream_core::kernel::Timestamp;
use dream_core::trace::{self, Fact, Span, SpanSink};
use http::{Request, Response};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _};
use reqwest::Client;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::Handle;

use crate::config::Collector;
use crate::exit::{Exit, Trouble};

/// How long the collector may take for one batch.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Time for what is left when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Longest answer of a collector that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// The way to the collector. It has a queue and a thread of its own; a collector that is slow or gone costs spans, and
/// nothing else.
#[derive(Debug)]
pub(crate) struct Spans {
    processor: Arc<BatchSpanProcessor>,
}

impl Spans {
    /// Sends the spans of this process there from now on.
    pub(crate) fn start(collector: &Collector) -> Result<Self, Trouble> {
        let failed = |error: &dyn std::fmt::Display| {
            Trouble::new(Exit::Failed, "TRACES", format!("spans cannot be sent: {error}"))
        };
        let client = Client::builder()
            .connect_timeout(CALL_LIMIT)
            .timeout(CALL_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| failed(&error))?;
        let courier = Courier { client, runtime: Handle::current(), failing: AtomicBool::new(false) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", collector.endpoint))
            .with_headers(headers(collector))
            .with_timeout(CALL_LIMIT)
            .with_http_client(courier)
            .build()
            .map_err(|error| failed(&error))?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let resource = Resource::builder_empty()
            .with_detector(Box::new(EnvResourceDetector::new()))
            .with_service_name(collector.service.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        processor.set_resource(&resource);
        let processor = Arc::new(processor);
        let scope = InstrumentationScope::builder("dream").with_version(env!("CARGO_PKG_VERSION")).build();
        trace::send_spans_to(Box::new(ToCollector { processor: Arc::clone(&processor), scope }));
        Ok(Self { processor })
    }

    /// Sends what is left, within the time for it.
    pub(crate) async fn stop(self) {
        let stopped =
            tokio::task::spawn_blocking(move || self.processor.shutdown_with_timeout(STOP_LIMIT)).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("the last spans were not sent");
        }
    }
}

fn headers(collector: &Collector) -> HashMap<String, String> {
    let exposed = |(name, value): &(String, SecretString)| (name.clone(), value.expose_secret().to_owned());
    collector.headers.iter().map(exposed).collect()
}

#[derive(Debug)]
struct ToCollector {
    processor: Arc<BatchSpanProcessor>,
    scope: InstrumentationScope,
}

impl SpanSink for ToCollector {
    fn take(&self, span: Span) {
        let begun = UNIX_EPOCH + Duration::from_micros(micros(span.begun));
        let context = span.context;
        let span_context = SpanContext::new(
            TraceId::from_bytes(context.trace_id().to_bytes()),
            SpanId::from_bytes(context.span_id().to_bytes()),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        self.processor.on_end(SpanData {
            span_context,
            parent_span_id: span
                .parent
                .map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.to_bytes())),
            parent_span_is_remote: span.parent_is_remote,
            span_kind: match span.kind {
                trace::SpanKind::Server => SpanKind::Server,
                trace::SpanKind::Client => SpanKind::Client,
                trace::SpanKind::Task => SpanKind::Consumer,
            },
            name: span.name,
            start_time: begun,
            end_time: begun + span.took,
            attributes: span.facts.into_iter().map(|(name, fact)| KeyValue::new(name, value(fact))).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if span.failed { Status::error("") } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        });
    }
}

fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(0)
}

fn value(fact: Fact) -> Value {
    match fact {
        Fact::Text(text) => Value::String(text.into()),
        Fact::Number(number) => Value::I64(number),
    }
}

/// Carries batches by the HTTP client that everything else goes by.
#[derive(Debug)]
struct Courier {
    client: Client,
    runtime: Handle,
    failing: AtomicBool,
}

#[async_trait]
impl HttpClient for Courier {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // Who calls is a thread without a runtime.
        let sent = self.runtime.spawn(carry(self.client.clone(), request)).await;
        let outcome = sent.map_err(HttpError::from).and_then(|sent| sent);
        match &outcome {
            Ok(answer) if answer.status().is_success() => self.note(None),
            Ok(answer) => self.note(Some(format!("HTTP {}", answer.status().as_u16()))),
            Err(error) => self.note(Some(error.to_string())),
        }
        outcome
    }
}

impl Courier {
    /// Tells once that the collector takes nothing, and once that it does again.
    fn note(&self, trouble: Option<String>) {
        let failed_before = self.failing.swap(trouble.is_some(), Ordering::Relaxed);
        match trouble {
            Some(error) if !failed_before => tracing::warn!(error, "the collector takes no spans"),
            None if failed_before => tracing::info!("the collector takes spans again"),
            _ => {}
        }
    }
}

async fn carry(client: Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (head, body) = request.into_parts();
    let sent =
        client.request(head.method, head.uri.to_string()).headers(head.headers).body(body).send().await;
    // The URL is the operator's own business.
    let mut answer = sent.map_err(reqwest::Error::without_url)?;
    let mut whole = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if whole.len() + chunk.len() > MAX_ANSWER {
            return Err("the collector's answer is too long".into());
        }
        whole.extend_from_slice(&chunk);
    }
    let mut response = Response::new(Bytes::from(whole));
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}
