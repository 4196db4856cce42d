//! Log lines and metrics.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use dream_core::trace::{self, Work};
use dream_http::RenderMetrics;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{self, Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{LogFormat, Logging};
use crate::exit::{Exit, Trouble};
use crate::meters;

/// How often samples of histograms are put into their buckets, so that they do not pile up between two scrapes.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Upper bounds of times, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 25.0];

/// Logs to standard error, past a queue, so that a slow terminal holds nobody up. What is in the queue is written when
/// the guard is dropped.
pub(crate) fn start_logging(logging: &Logging, usual: &str) -> Result<WorkerGuard, Trouble> {
    let (writer, guard) = tracing_appender::non_blocking(io::stderr());
    let filter = logging.filter.as_deref().unwrap_or(usual);
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Trouble::new(Exit::Config, "CONFIGURATION", format!("the log filter: {error}")))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let started = match logging.format {
        LogFormat::Pretty => lines.with_ansi(in_colour()).with_target(false).try_init(),
        LogFormat::Json => {
            let line = format::format().json().flatten_event(true).with_span_list(false);
            lines.json().event_format(WithWork(line)).try_init()
        }
    };
    started.map_err(|error| Trouble::new(Exit::Failed, "LOGGING", error.to_string()))?;
    Ok(guard)
}

/// Log lines that tell which request and which trace they belong to. The task itself knows, so that no span has to be
/// made for it.
struct WithWork(Format<Json>);

impl<S, N> FormatEvent<S, N> for WithWork
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(members) = trace::current(|work| members(work, event)) else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let Some(open) = line.trim_end().strip_suffix('}') else { return writer.write_str(&line) };
        writeln!(writer, "{open}{members}}}")
    }
}

/// What the line of an event does not tell by itself. Both are letters, digits and marks that JSON leaves alone.
fn members(work: &Work, event: &Event<'_>) -> String {
    let says = |name: &str| event.metadata().fields().field(name).is_some();
    let mut members = String::new();
    if let Some(id) = work.request_id().filter(|_| !says("request.id")) {
        members = format!(",\"request.id\":\"{id}\"");
    }
    if !says("trace_id") {
        members = format!("{members},\"trace_id\":\"{}\"", work.context().trace_id());
    }
    members
}

#[expect(clippy::disallowed_methods, reason = "NO_COLOR is the terminal's setting and not one of ours")]
fn in_colour() -> bool {
    io::stderr().is_terminal() && std::env::var("NO_COLOR").map_or(true, |value| value.is_empty())
}

/// Collects metrics from now on, and gives the way to write them out.
pub(crate) fn start_metrics() -> Result<RenderMetrics, Trouble> {
    let failed = |error: metrics_exporter_prometheus::BuildError| {
        Trouble::new(Exit::Failed, "METRICS", error.to_string())
    };
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .map_err(failed)?
        .install_recorder()
        .map_err(failed)?;
    meters::describe();
    tokio::spawn(keep_up(handle.clone()));
    Ok(Arc::new(move || handle.render()))
}

async fn keep_up(handle: PrometheusHandle) {
    let mut clock = tokio::time::interval(UPKEEP_EVERY);
    loop {
        clock.tick().await;
        handle.run_upkeep();
    }
}
