//! Log lines and metrics.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::sync::Arc;
use std::time::Duration;

use dream_http::RenderMetrics;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, Logging};
use crate::exit::{Exit, Trouble};
use crate::json_lines::JsonLines;
use crate::log_limits::{BoundedLines, Repeats};
use crate::meters;

/// How often samples of histograms are put into their buckets, so that they do not pile up between two scrapes.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// How long log lines are gathered before they are written.
const GATHER_FOR: Duration = Duration::from_millis(5);
const GATHERED_BYTES: usize = 64 * 1024;
/// Lines that wait to be written at most; more are dropped. Room for all of them is taken at the start.
const QUEUED_LINES: usize = 16 * 1024;

/// Upper bounds of times, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 25.0];

/// The log. What is in its queue is written when this is dropped, and before that how many lines were left out.
pub(crate) struct Log {
    repeats: Repeats,
    _queue: WorkerGuard,
}

impl Log {
    /// Writes how many lines were left out, for as long as it is polled.
    pub(crate) fn report(&self) -> impl Future<Output = ()> + Send + use<> {
        self.repeats.clone().report_always()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.repeats.report();
    }
}

/// Logs to standard error, past a queue, so that a slow terminal holds nobody up, and within the limits of
/// [`crate::log_limits`].
pub(crate) fn start_logging(logging: &Logging, usual: &str) -> Result<Log, Trouble> {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUED_LINES)
        .finish(Gathered(BufWriter::with_capacity(GATHERED_BYTES, io::stderr())));
    let filter = logging.filter.as_deref().unwrap_or(usual);
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Trouble::new(Exit::Config, "CONFIGURATION", format!("the log filter: {error}")))?;
    let repeats = Repeats::default();
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    let started = match logging.format {
        LogFormat::Pretty => lines
            .with_writer(move || BoundedLines(writer.clone()))
            .with_ansi(in_colour())
            .with_target(false)
            .finish()
            .with(repeats.clone())
            .try_init(),
        LogFormat::Json => {
            lines.with_writer(writer).event_format(JsonLines).finish().with(repeats.clone()).try_init()
        }
    };
    started.map_err(|error| Trouble::new(Exit::Failed, "LOGGING", error.to_string()))?;
    Ok(Log { repeats, _queue: guard })
}

/// Standard error, written to in large pieces. The thread that writes calls `flush` when nothing is left in the queue, and
/// then leaves the queue alone for a moment: under load each piece carries many lines, and whoever logs has nobody to
/// wake.
struct Gathered(BufWriter<io::Stderr>);

impl Write for Gathered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        std::thread::sleep(GATHER_FOR);
        Ok(())
    }
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
