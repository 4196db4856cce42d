//! What was measured, as a table for people and for the documentation.

use std::fmt;
use std::path::Path;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{ContentArrangement, Table};

use crate::Fault;

const BEGIN: &str = "<!-- bench:start -->";
const END: &str = "<!-- bench:end -->";

/// One promise and how it stands.
#[derive(Debug)]
pub(crate) struct Promise {
    /// What was promised.
    pub(crate) what: &'static str,
    /// The bound, in words.
    pub(crate) bound: &'static str,
    /// What was found.
    pub(crate) found: String,
    /// Whether it holds.
    pub(crate) holds: bool,
}

/// The middle one.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Promise {
    /// Ours against the limit, round by round: the median of the ratios, at least this much.
    pub(crate) fn at_least(
        what: &'static str,
        bound: &'static str,
        least: f64,
        rounds: &[(f64, f64)],
    ) -> Self {
        let mut ratios: Vec<f64> = rounds.iter().map(|(ours, limit)| ours / limit).collect();
        let mut ours: Vec<f64> = rounds.iter().map(|(ours, _)| *ours).collect();
        let mut limit: Vec<f64> = rounds.iter().map(|(_, limit)| *limit).collect();
        let ratio = median(&mut ratios);
        let found = format!("{ratio:.2} × ({:.0}/s against {:.0}/s)", median(&mut ours), median(&mut limit));
        Self { what, bound, found, holds: ratio >= least }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<(u8, String, &'static str, String, &'static str)>,
    failed: bool,
}

impl Report {
    pub(crate) fn add(&mut self, number: u8, promise: Promise) {
        let verdict = if promise.holds { "yes" } else { "NO" };
        self.rows.push((number, promise.what.to_owned(), promise.bound, promise.found, verdict));
    }

    pub(crate) fn failed(&mut self, number: u8, why: &str) {
        self.failed = true;
        self.rows.push((number, "could not be measured".to_owned(), "", why.to_owned(), "NO"));
    }

    /// Whether everything could be measured. A promise that does not hold is a finding and not a failure.
    pub(crate) fn is_whole(&self) -> bool {
        !self.failed
    }

    /// Writes the table between the marks of a document.
    pub(crate) async fn keep(&self, file: &Path) -> Result<(), Fault> {
        let text = tokio::fs::read_to_string(file).await?;
        let (head, rest) = text.split_once(BEGIN).ok_or("the document has no mark for the table")?;
        let (_, tail) = rest.split_once(END).ok_or("the document's mark has no end")?;
        Ok(tokio::fs::write(file, format!("{head}{BEGIN}\n{self}\n{END}{tail}")).await?)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["", "promise", "bound", "measured", "holds"]);
        for (number, what, bound, found, verdict) in &self.rows {
            table.add_row([&number.to_string(), what.as_str(), bound, found.as_str(), verdict]);
        }
        table.fmt(f)
    }
}
