//! `dream storage …`.

use std::time::Duration;

use clap::Subcommand;
use dream_core::{Lifetime, SweepOptions, SweepProgress, SweepReport};
use serde::Serialize;

use super::Desk;
use crate::args::{Write, parsed};
use crate::exit::{Exit, Trouble};
use crate::output::{Column, Output, Progress, pairs, table};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Remove the objects in storage that nothing names, and tell which ones are missing
    ///
    /// Safe while the server runs: what is being written is known, and what is young stays in any case. Exit code 6
    /// if something is missing or could not be removed.
    Sweep {
        /// What was written less than this long ago stays; at least an hour
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parsed::<Lifetime>)]
        grace: Lifetime,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Swept {
    objects: usize,
    bytes: u64,
    young: usize,
    leaving: usize,
    removed: Vec<Object>,
    removed_bytes: u64,
    failed: Vec<Failed>,
    missing: Vec<Missing>,
}

#[derive(Serialize)]
struct Object {
    key: String,
    size: u64,
    modified: String,
}

#[derive(Serialize)]
struct Failed {
    key: String,
    why: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Missing {
    key: String,
    named_by: String,
}

impl From<SweepReport> for Swept {
    fn from(report: SweepReport) -> Self {
        let object = |removed: dream_core::Removed| Object {
            key: removed.key.to_string(),
            size: removed.size,
            modified: removed.modified.to_string(),
        };
        let missing = |missing: dream_core::Missing| Missing {
            key: missing.key.to_string(),
            named_by: missing.named_by,
        };
        Self {
            objects: report.objects,
            bytes: report.bytes,
            young: report.young,
            leaving: report.leaving,
            removed_bytes: report.removed.iter().map(|removed| removed.size).sum(),
            removed: report.removed.into_iter().map(object).collect(),
            failed: report
                .failed
                .into_iter()
                .map(|(key, why)| Failed { key: key.to_string(), why })
                .collect(),
            missing: report.missing.into_iter().map(missing).collect(),
        }
    }
}

pub(super) async fn run(verb: Verb, output: Output) -> Result<Exit, Trouble> {
    let Verb::Sweep { grace, write } = verb;
    let desk = Desk::of(&write).with_pictures().open().await?;
    let outcome = sweep(&desk, grace.span(), &write, output).await;
    desk.close().await;
    outcome
}

async fn sweep(desk: &Desk, grace: Duration, write: &Write, output: Output) -> Result<Exit, Trouble> {
    output.confirm(write, "Remove every object in storage that nothing names?")?;
    let options = SweepOptions { dry_run: write.dry_run, grace };
    let mut steps = Steps { output, shown: None };
    let report = desk.admin().sweep_storage(&options, |step| steps.show(step)).await?;
    drop(steps);
    let swept = Swept::from(report);
    let human = told(&swept, write.dry_run);
    output.changed(write, &swept, || human)?;
    let fine = swept.missing.is_empty() && swept.failed.is_empty();
    Ok(if fine { Exit::Done } else { Exit::Found })
}

/// One line of progress for each step, one after the other.
struct Steps {
    output: Output,
    shown: Option<(&'static str, Progress, usize)>,
}

impl Steps {
    fn show(&mut self, step: SweepProgress) {
        let (what, done, of) = match step {
            SweepProgress::Listing { objects } => ("objects listed", objects, None),
            SweepProgress::Reading { names } => ("names read", names, None),
            SweepProgress::Removing { done, of } => ("objects removed", done, u64::try_from(of).ok()),
        };
        if self.shown.as_ref().is_none_or(|(shown, ..)| *shown != what) {
            // The line before goes first.
            self.shown = None;
            self.shown = Some((what, self.output.progress(what, of), 0));
        }
        if let Some((_, progress, before)) = &mut self.shown {
            progress.add(done.saturating_sub(*before));
            *before = done;
        }
    }
}

fn told(swept: &Swept, dry_run: bool) -> String {
    let removed = if dry_run { "to be removed" } else { "removed" };
    let mut parts = vec![pairs(&[
        ("objects", format!("{} ({} bytes)", swept.objects, swept.bytes)),
        ("too young", swept.young.to_string()),
        ("leaving", swept.leaving.to_string()),
        (removed, format!("{} ({} bytes)", swept.removed.len(), swept.removed_bytes)),
        ("not removed", swept.failed.len().to_string()),
        ("missing", swept.missing.len().to_string()),
    ])];
    if !swept.removed.is_empty() {
        let columns = [Column::Text("NAMED BY NOTHING"), Column::Number("BYTES"), Column::Text("WRITTEN")];
        let row =
            |object: &Object| vec![object.key.clone(), object.size.to_string(), object.modified.clone()];
        parts.push(table(&columns, swept.removed.iter().map(row)));
    }
    if !swept.failed.is_empty() {
        let row = |failed: &Failed| vec![failed.key.clone(), failed.why.clone()];
        parts.push(table(&[Column::Text("NOT REMOVED"), Column::Text("WHY")], swept.failed.iter().map(row)));
    }
    if !swept.missing.is_empty() {
        let row = |missing: &Missing| vec![missing.key.clone(), missing.named_by.clone()];
        parts
            .push(table(&[Column::Text("MISSING"), Column::Text("NAMED BY")], swept.missing.iter().map(row)));
    }
    parts.join("\n\n")
}
