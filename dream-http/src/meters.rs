//! The metrics of every request. Looking a metric up by its labels costs more than counting, so what was looked up is kept.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Gauge, Histogram};

/// Of a row: how long its requests took, by the class of their status.
type Durations = [OnceLock<Histogram>; CLASSES.len()];

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The metrics of every request.
#[derive(Debug)]
pub(crate) struct Meters {
    active: OnceLock<Gauge>,
    /// For `GET`, and for what is not read-only, as each row has but one method; `HEAD` is looked up.
    rows: Vec<Durations>,
}

impl Meters {
    pub(crate) fn new(rows: usize) -> Self {
        Self {
            active: OnceLock::new(),
            rows: std::iter::repeat_with(Durations::default).take(rows).collect(),
        }
    }

    /// Requests that are being answered.
    pub(crate) fn active(&self) -> &Gauge {
        self.active.get_or_init(|| metrics::gauge!("http_server_active_requests"))
    }

    /// A request of this row, if it has one, was answered.
    pub(crate) fn took(
        &self,
        row: Option<usize>,
        route: &'static str,
        method: &'static str,
        status: u16,
        took: Duration,
    ) {
        let class = class(status);
        let look_up = || {
            metrics::histogram!(
                "http_server_request_duration_seconds",
                "route" => route, "method" => method, "status" => CLASSES[class]
            )
        };
        match row.filter(|_| method != "HEAD").and_then(|row| self.rows.get(row)) {
            Some(durations) => durations[class].get_or_init(look_up).record(took.as_secs_f64()),
            None => look_up().record(took.as_secs_f64()),
        }
    }
}

fn class(status: u16) -> usize {
    usize::from(status / 100).clamp(1, CLASSES.len()) - 1
}
