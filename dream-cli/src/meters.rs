//! What the metrics mean.

/// How a metric is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It only grows; labels tell of what.
    Counter,
    /// It only grows, and is there from the start, so that its first step is seen as one.
    CounterFromZero,
    /// It goes up and down.
    Gauge,
    /// It is spread over buckets or quantiles.
    Histogram,
}

/// Every metric that the server has.
const METERS: &[(&str, Kind, &str)] = &[
    (
        "dream_admin_keys_refused_total",
        Kind::CounterFromZero,
        "Requests with an admin key that opens nothing",
    ),
    (
        "dream_image_api_account_refusals_total",
        Kind::CounterFromZero,
        "Calls in which the image API refused our key, balance or model",
    ),
    (
        "dream_gallery_images_pending",
        Kind::Gauge,
        "Published pictures that wait to be checked or for a person, up to 10000",
    ),
    ("dream_gallery_oldest_pending_seconds", Kind::Gauge, "How long the oldest of them has waited"),
    ("dream_jobs_overdue", Kind::Gauge, "Generations that should have ended"),
    ("dream_ledger_unbalanced_accounts", Kind::Gauge, "Accounts whose ledger does not add up"),
    ("dream_orders_paid_unfulfilled", Kind::Gauge, "Orders that are paid and gave nothing"),
    ("dream_outbox_oldest_due_seconds", Kind::Gauge, "How long the oldest task has been due"),
    ("dream_outbox_tasks_due", Kind::Gauge, "Tasks that are due"),
    ("dream_outbox_tasks_overdue", Kind::Gauge, "Tasks that should have been done long ago"),
    ("dream_outbox_tasks_total", Kind::Counter, "Tries of tasks, by their outcome"),
    ("dream_outbox_tasks_waiting", Kind::Gauge, "Tasks that wait, for now or for later"),
    ("dream_pay_mismatches_total", Kind::CounterFromZero, "Payments that were not their order's"),
    ("dream_pay_notifies_refused_total", Kind::Counter, "Notifies of payments that were refused"),
    ("dream_refunds_delayed", Kind::Gauge, "Refunds that are under way and need a person"),
    ("dream_refunds_failed_total", Kind::CounterFromZero, "Refunds that failed"),
    ("dream_store_batch_changes", Kind::Histogram, "Changes in one commit, on SQLite"),
    ("dream_store_conflicts_total", Kind::Counter, "Changes that were made again after a conflict"),
    (
        "dream_store_write_refusals_total",
        Kind::CounterFromZero,
        "Writes that the database refused: disk full or failing, or server read-only",
    ),
    (
        "dream_wechat_pay_certificate_downloads_total",
        Kind::Counter,
        "Downloads of the platform's certificates",
    ),
    (
        "dream_wechat_pay_certificate_expires_timestamp_seconds",
        Kind::Gauge,
        "When the platform's newest certificate ends",
    ),
    ("dream_wechat_pay_notifies_total", Kind::Counter, "Notifies of WeChat Pay, by what became of them"),
    ("dream_wechat_pay_notify_probes_total", Kind::Counter, "Notifies by which WeChat Pay probes the check"),
    ("dream_wechat_pay_unverified_answers_total", Kind::Counter, "Answers of WeChat Pay that do not verify"),
    ("http_server_active_requests", Kind::Gauge, "Requests in flight"),
    (
        "http_server_bodies_displaced_total",
        Kind::Counter,
        "Request bodies that stalled and were given up for newer ones",
    ),
    ("http_server_connections", Kind::Gauge, "Connections that are open"),
    (
        "http_server_connections_refused_total",
        Kind::Counter,
        "Connections of an address that has as many as it may",
    ),
    (
        "http_server_request_duration_seconds",
        Kind::Histogram,
        "Time from the head of a request to its answer",
    ),
    ("http_server_responses_refused_total", Kind::Counter, "Responses for which no memory was left"),
    (
        "http_server_slow_streams_total",
        Kind::Counter,
        "HTTP/2 streams that ended because the client did not read",
    ),
    ("http_server_throttled_total", Kind::Counter, "Requests that were refused by a rate limit"),
];

/// Says what each metric means, to whoever reads them.
pub(crate) fn describe() {
    for &(name, kind, meaning) in METERS {
        match kind {
            Kind::Counter => metrics::describe_counter!(name, meaning),
            Kind::CounterFromZero => {
                metrics::describe_counter!(name, meaning);
                metrics::counter!(name).increment(0);
            }
            Kind::Gauge => metrics::describe_gauge!(name, meaning),
            Kind::Histogram => metrics::describe_histogram!(name, meaning),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    fn is_metric(word: &str) -> bool {
        word.starts_with("dream_") || word.starts_with("http_server_")
    }

    fn words(text: &str) -> impl Iterator<Item = &str> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
    }

    /// Whether a metric has this name, as Prometheus shows its parts.
    fn exists(name: &str) -> bool {
        METERS.iter().any(|&(known, kind, _)| {
            let part = name.strip_prefix(known);
            match (part, kind) {
                // Times have buckets; other histograms are shown as quantiles under their own name.
                (Some("_bucket"), Kind::Histogram) => known.ends_with("_seconds"),
                (Some(""), Kind::Histogram) => !known.ends_with("_seconds"),
                (Some("_sum" | "_count"), Kind::Histogram) | (Some(""), _) => true,
                _ => false,
            }
        })
    }

    #[test]
    fn dashboard_alerts_and_guide_name_only_metrics_that_there_are() {
        for (file, least) in [("grafana-dashboard.json", 15), ("alerts.yml", 10), ("operations.md", 12)] {
            let text = fs::read_to_string(root().join("docs").join(file)).unwrap();
            let named: BTreeSet<&str> = words(&text).filter(|word| is_metric(word)).collect();
            assert!(named.len() >= least, "{file}: {named:?}");
            for name in named {
                assert!(exists(name), "{file} names {name}, which is no metric");
            }
        }
    }

    #[test]
    fn the_dashboard_can_be_read_and_each_of_its_panels_asks_something() {
        let text = fs::read_to_string(root().join("docs/grafana-dashboard.json")).unwrap();
        let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{panel}");
            for target in targets {
                assert!(words(target["expr"].as_str().unwrap()).any(is_metric), "{target}");
            }
        }
        let text = fs::read_to_string(root().join("docs/alerts.yml")).unwrap();
        let rules: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let rules =
            rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
        for rule in rules {
            assert!(words(rule["expr"].as_str().unwrap()).any(is_metric), "{rule}");
            assert!(rule["annotations"]["summary"].is_string(), "{rule}");
        }
    }

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_metric_that_is_counted_has_its_meaning_and_no_other_has() {
        let mut files = Vec::new();
        for part in ["dream-core/src", "dream-http/src"] {
            sources(&root().join(part), &mut files);
        }
        let mut counted = BTreeSet::new();
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for call in text.split("metrics::").skip(1) {
                let kinds = ["counter!(", "gauge!(", "histogram!("];
                let Some(rest) = kinds.iter().find_map(|kind| call.strip_prefix(kind)) else { continue };
                let name = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                counted.insert(
                    name.unwrap_or_else(|| panic!("{}: a metric without a name", file.display())).to_owned(),
                );
            }
        }
        let meant: BTreeSet<String> = METERS.iter().map(|(name, ..)| (*name).to_owned()).collect();
        assert_eq!(counted, meant);
    }
}
