//! `dream audit` and `dream audit-log`.

use clap::Args;
use dream_core::{AuditFilter, AuditReport, AuditRule};
use dream_http::wire::admin::AuditEntry;
use serde::Serialize;

use super::{Desk, collect};
use crate::args::Amount;
use crate::exit::{Exit, Trouble};
use crate::output::{Column, Output, or_dash, table};

#[derive(Debug, Args)]
pub(crate) struct AuditLog {
    /// Entries of this admin key
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Entries of this action, such as vip.set
    #[arg(long)]
    action: Option<String>,
    /// Entries about this target, such as user:7
    #[arg(long)]
    target: Option<String>,
    #[command(flatten)]
    amount: Amount,
}

#[derive(Serialize)]
struct Report {
    at: String,
    clean: bool,
    rules: usize,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Finding {
    rule: &'static str,
    subject: String,
    detail: String,
}

pub(super) async fn audit(output: Output) -> Result<Exit, Trouble> {
    let desk = Desk::to_look().open().await?;
    let progress = output.progress("rules", None);
    let report = desk.dream.audit().await;
    drop(progress);
    desk.close().await;
    let AuditReport { at, findings } = report?;
    let findings: Vec<Finding> = findings
        .into_iter()
        .map(|finding| Finding {
            rule: finding.rule.as_str(),
            subject: finding.subject,
            detail: finding.detail,
        })
        .collect();
    let clean = findings.is_empty();
    let report = Report { at: at.to_string(), clean, rules: AuditRule::ALL.len(), findings };
    output.show(&report, || told(&report))?;
    Ok(if clean { Exit::Done } else { Exit::Found })
}

fn told(report: &Report) -> String {
    if report.clean {
        return format!("The books are right at {}: all {} rules hold.", report.at, report.rules);
    }
    let columns = [Column::Text("ROW"), Column::Text("RULE"), Column::Text("WHAT IS WRONG")];
    let rows = report
        .findings
        .iter()
        .map(|finding| vec![finding.subject.clone(), finding.rule.to_owned(), finding.detail.clone()]);
    let most = AuditReport::MOST_PER_RULE;
    format!(
        "The books are wrong at {}; of each rule at most {most} rows are named.\n\n{}",
        report.at,
        table(&columns, rows)
    )
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entries {
    entries: Vec<AuditEntry>,
    has_more: bool,
}

pub(super) async fn log(args: AuditLog, output: Output) -> Result<Exit, Trouble> {
    let AuditLog { actor, action, target, amount } = args;
    let filter = AuditFilter { actor, action, target };
    let desk = Desk::to_look().open().await?;
    let admin = desk.admin();
    let collected = collect(amount.wanted(), async |page| admin.audit_log(&filter, &page).await).await;
    desk.close().await;
    let (records, has_more) = collected?;
    let columns = [
        Column::Text("AT"),
        Column::Text("ACTOR"),
        Column::Text("ACTION"),
        Column::Text("TARGET"),
        Column::Text("BEFORE"),
        Column::Text("AFTER"),
        Column::Text("REASON"),
    ];
    let rows = records.iter().map(|record| {
        vec![
            record.at.to_string(),
            record.actor.clone(),
            record.action.clone(),
            record.target.clone(),
            or_dash(record.before.as_ref()),
            or_dash(record.after.as_ref()),
            or_dash(record.reason.as_deref()),
        ]
    });
    let human = table(&columns, rows);
    let entries = Entries { entries: records.into_iter().map(AuditEntry::from).collect(), has_more };
    output.show(&entries, || human)?;
    output.note_more(has_more);
    Ok(Exit::Done)
}
