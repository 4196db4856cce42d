//! `dream doctor`: tries everything that `serve` will need, and says what is wrong with it.

mod machine;
mod outside;
mod stored;

use std::future::Future;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::config::{Config, ConfigFaults, Environment, Operator};
use crate::exit::{Exit, Trouble};
use crate::output::{Column, Output, or_dash, table};
use crate::telemetry;

/// How long one check may take.
const LIMIT: Duration = Duration::from_secs(20);
/// The checks say what is wrong by themselves.
const SILENT: &str = "off";

/// What a check came to.
enum Verdict {
    /// All is well; what was found.
    Well(String),
    /// It works, but somebody should look at it; what was found, and what to do.
    Doubtful(String, String),
    /// It does not work.
    Bad(Trouble),
    /// It was not looked at, and why.
    LeftOut(String),
}

impl From<Trouble> for Verdict {
    fn from(trouble: Trouble) -> Self {
        Verdict::Bad(trouble)
    }
}

/// One line of the report.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    check: &'static str,
    state: &'static str,
    found: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// How long it took, where it was looked at.
    millis: Option<u128>,
    #[serde(skip)]
    exit: Exit,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    healthy: bool,
    checks: Vec<Finding>,
}

pub(super) async fn run(output: Output) -> Result<Exit, Trouble> {
    let environment = Environment::load();
    let (config, found) = Config::read(&environment);
    let checks = match (config, Operator::require(&environment)) {
        (Some(config), _) => {
            let _log = telemetry::start_logging(&config.operator.logging, SILENT)?;
            let notes = found.notes;
            let well = timed("configuration", async { configured(found.mode, &notes) }).await;
            Box::pin(everything(well, &config)).await
        }
        (None, operator) => {
            let faults = ConfigFaults(found.faults);
            let bad = timed("configuration", async { Verdict::Bad(faults.into()) }).await;
            without_the_rest(bad, operator.ok().as_ref()).await
        }
    };
    let failed = checks.iter().find(|finding| finding.exit != Exit::Done).map(|finding| finding.exit);
    let report = Report { healthy: failed.is_none(), checks };
    output.show(&report, || shown(&report))?;
    Ok(failed.unwrap_or(Exit::Done))
}

fn configured(mode: &str, notes: &[String]) -> Verdict {
    if notes.is_empty() {
        Verdict::Well(format!("no fault; mode {mode}"))
    } else {
        Verdict::Doubtful(format!("no fault; mode {mode}"), notes.join("; "))
    }
}

async fn everything(configuration: Finding, config: &Config) -> Vec<Finding> {
    let operator = &config.operator;
    let (database, replica, redis, storage, wechat, pay, image_api) = tokio::join!(
        timed("database", stored::database(&operator.database)),
        timed("replica", stored::replica(&operator.database)),
        timed("redis", stored::redis(operator.redis.as_ref())),
        timed("storage", stored::storage(&config.storage)),
        timed("wechat", outside::wechat(config.wechat.as_ref())),
        timed("wechat pay", outside::pay(config)),
        timed("image api", outside::image_api(config)),
    );
    let disk = timed("disk", async { machine::disk(&operator.database, Some(&config.storage)) }).await;
    let files = timed("open files", async { machine::open_files(config.http.limits.connections) }).await;
    vec![configuration, database, replica, redis, storage, wechat, pay, image_api, disk, files]
}

/// What can be tried although the configuration as a whole is wrong.
async fn without_the_rest(configuration: Finding, operator: Option<&Operator>) -> Vec<Finding> {
    let Some(operator) = operator else { return vec![configuration] };
    let (database, redis) = tokio::join!(
        timed("database", stored::database(&operator.database)),
        timed("redis", stored::redis(operator.redis.as_ref())),
    );
    let disk = timed("disk", async { machine::disk(&operator.database, None) }).await;
    let rest = timed("the rest", async { Verdict::LeftOut("until the configuration is right".into()) }).await;
    vec![configuration, database, redis, disk, rest]
}

async fn timed(check: &'static str, work: impl Future<Output = Verdict>) -> Finding {
    let begun = Instant::now();
    let verdict = tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| {
        let late = format!("no answer within {} s", LIMIT.as_secs());
        Verdict::Bad(Trouble::new(Exit::Unavailable, "TIMED_OUT", late))
    });
    let millis = Some(begun.elapsed().as_millis());
    let finding =
        |state, found, hint, exit| Finding { check, state, found, details: Vec::new(), hint, millis, exit };
    match verdict {
        Verdict::Well(found) => finding("ok", found, None, Exit::Done),
        Verdict::Doubtful(found, hint) => finding("warning", found, Some(hint), Exit::Done),
        Verdict::LeftOut(why) => Finding { millis: None, ..finding("not checked", why, None, Exit::Done) },
        Verdict::Bad(trouble) => {
            let Trouble { exit, message, details, hint, .. } = trouble;
            Finding { details, ..finding("failed", message, hint, exit) }
        }
    }
}

fn shown(report: &Report) -> String {
    let columns =
        [Column::Text("CHECK"), Column::Text("STATE"), Column::Number("MS"), Column::Text("WHAT WAS FOUND")];
    let rows = report.checks.iter().map(|finding| {
        let mut lines = vec![finding.found.clone()];
        lines.extend(finding.details.iter().cloned());
        lines.extend(finding.hint.iter().map(|hint| format!("→ {hint}")));
        vec![finding.check.to_owned(), finding.state.to_owned(), or_dash(finding.millis), lines.join("\n")]
    });
    let verdict = if report.healthy { "Nothing stands in the way." } else { "Something is wrong." };
    format!("{}\n\n{verdict}", table(&columns, rows))
}
