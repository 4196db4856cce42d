//! `dream import`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use dream_core::kernel::Zone;
use dream_core::{
    Code, ImportCount, ImportNews, ImportOptions, ImportReport, OriginalDatabase, Remark, RemarkKind,
    TrustedBalance,
};
use serde::Serialize;

use super::Desk;
use crate::args::{Write, refusal};
use crate::exit::{Exit, Trouble};
use crate::output::{Cell, Column, Output, Progress, Sheet, or_dash, pairs, table};

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Where it is: `postgres://user@host/database`
    ///
    /// It is only read. A password is better left to `PGPASSWORD` than shown in the list of processes.
    #[arg(long, value_name = "URL")]
    from: String,
    /// The schema that has its tables
    #[arg(long, value_name = "NAME", default_value = "public")]
    schema: String,
    /// What its clock showed: the original wrote times without a zone
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    zone: Zone,
    /// Which figure counts where a user's row and the user's entries disagree
    #[arg(long, value_name = "FIGURE", value_enum, default_value_t = Balance::Row)]
    balance: Balance,
    /// Write every remark into this file: CSV, or JSON lines with --json
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    write: Write,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Balance {
    /// What the user's row shows
    Row,
    /// What the user's entries add up to
    Entries,
}

fn zone(text: &str) -> Result<Zone, String> {
    Zone::named(text).map_err(|fault| refusal(&fault))
}

/// Remarks of each kind that are shown without a file.
const SHOWN: usize = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Imported {
    tables: Vec<Table>,
    points: PointSums,
    remarks: BTreeMap<&'static str, u64>,
    shown: Vec<Said>,
    not_shown: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    #[serde(rename = "table")]
    name: &'static str,
    found: u64,
    new: u64,
    here_before: u64,
    joined: u64,
    left_out: u64,
}

#[derive(Serialize)]
struct PointSums {
    rows: i64,
    entries: i64,
}

#[derive(Serialize)]
struct Said {
    kind: &'static str,
    table: String,
    row: Option<String>,
    what: String,
}

impl From<Remark> for Said {
    fn from(remark: Remark) -> Self {
        Self { kind: remark.kind.as_str(), table: remark.table, row: remark.row, what: remark.what }
    }
}

/// What is told on the way: remarks into the file if there is one, else the first of each kind.
struct Listener {
    output: Output,
    sheet: Option<Sheet>,
    kept: BTreeMap<RemarkKind, Vec<Remark>>,
    progress: Option<(&'static str, Progress)>,
    trouble: Option<Trouble>,
}

impl Listener {
    fn begin(output: Output, file: Option<&Path>) -> Result<Self, Trouble> {
        let columns = &["kind", "table", "row", "what"];
        let sheet = file.map(|file| Sheet::begin(output, Some(file), columns)).transpose()?;
        Ok(Self { output, sheet, kept: BTreeMap::new(), progress: None, trouble: None })
    }

    fn hear(&mut self, news: ImportNews) {
        match news {
            ImportNews::Rows { table, more } => {
                if self.progress.as_ref().is_none_or(|(shown, _)| *shown != table) {
                    // The line before goes first.
                    self.progress = None;
                    self.progress = Some((table, self.output.progress(table, None)));
                }
                if let Some((_, progress)) = &self.progress {
                    progress.add(more);
                }
            }
            ImportNews::Remark(remark) => self.note(remark),
        }
    }

    fn note(&mut self, remark: Remark) {
        let Some(sheet) = &mut self.sheet else {
            let kept = self.kept.entry(remark.kind).or_default();
            if kept.len() < SHOWN {
                kept.push(remark);
            }
            return;
        };
        let cells = vec![
            Cell::text_or_empty(Some(remark.kind.as_str().to_owned())),
            Cell::text_or_empty(Some(remark.table.clone())),
            Cell::text_or_empty(remark.row.clone()),
            Cell::text_or_empty(Some(remark.what.clone())),
        ];
        if let Err(trouble) = sheet.row(cells, || Said::from(remark)) {
            self.trouble.get_or_insert(trouble);
        }
    }

    /// What is to be shown.
    fn finish(mut self) -> Result<Vec<Said>, Trouble> {
        self.progress = None;
        if let Some(trouble) = self.trouble {
            return Err(trouble);
        }
        if let Some(sheet) = self.sheet {
            sheet.finish()?;
        }
        Ok(self.kept.into_values().flatten().map(Said::from).collect())
    }
}

pub(super) async fn run(args: Import, output: Output) -> Result<Exit, Trouble> {
    let desk = Desk::of(&args.write).open().await?;
    let outcome = import(&desk, args, output).await;
    desk.close().await;
    outcome
}

async fn import(desk: &Desk, args: Import, output: Output) -> Result<Exit, Trouble> {
    let mut source = OriginalDatabase::open(&args.from, &args.schema).await.map_err(|error| {
        let reached = error.code() != Code::Unavailable;
        let trouble = Trouble::from(error);
        if reached {
            trouble
        } else {
            trouble.hint("is the database of --from running, and does it let us in?")
        }
    })?;
    output.confirm(&args.write, "Take over the database of the original service?")?;
    let balance = match args.balance {
        Balance::Row => TrustedBalance::Shown,
        Balance::Entries => TrustedBalance::History,
    };
    let options = ImportOptions { balance, zone: Some(args.zone) };
    let mut listener = Listener::begin(output, args.report.as_deref())?;
    let report = desk.admin().import_original(&mut source, &options, |news| listener.hear(news)).await?;
    let shown = listener.finish()?;
    let whole = report.is_whole();
    let imported = told(report, shown, args.report.is_some());
    output.changed(&args.write, &imported, || human(&imported))?;
    match &args.report {
        Some(file) => output.note(&format!("every remark is in {}", file.display())),
        None if imported.not_shown > 0 => {
            output.note(&format!("{} more remarks: --report FILE writes all of them", imported.not_shown));
        }
        None => {}
    }
    Ok(if whole { Exit::Done } else { Exit::Found })
}

fn told(report: ImportReport, shown: Vec<Said>, in_file: bool) -> Imported {
    let all: u64 = report.remarks.values().sum();
    let not_shown = if in_file { 0 } else { all.saturating_sub(shown.len() as u64) };
    let row = |(name, count): (&'static str, ImportCount)| Table {
        name,
        found: count.found,
        new: count.new,
        here_before: count.here_before,
        joined: count.joined,
        left_out: count.left_out,
    };
    Imported {
        tables: report.tables.into_iter().map(row).collect(),
        points: PointSums { rows: report.shown_points, entries: report.entered_points },
        remarks: report.remarks.into_iter().map(|(kind, count)| (kind.as_str(), count)).collect(),
        shown,
        not_shown,
    }
}

fn human(imported: &Imported) -> String {
    let columns = [
        Column::Text("TABLE"),
        Column::Number("FOUND"),
        Column::Number("NEW"),
        Column::Number("HERE BEFORE"),
        Column::Number("JOINED"),
        Column::Number("LEFT OUT"),
    ];
    let row = |table: &Table| {
        vec![
            table.name.to_owned(),
            table.found.to_string(),
            table.new.to_string(),
            table.here_before.to_string(),
            table.joined.to_string(),
            table.left_out.to_string(),
        ]
    };
    let mut parts = vec![table(&columns, imported.tables.iter().map(row))];
    let mut figures = vec![
        ("points by users' rows", imported.points.rows.to_string()),
        ("points by entries", imported.points.entries.to_string()),
    ];
    figures.extend(imported.remarks.iter().map(|(kind, count)| {
        let name = match *kind {
            "LEFT_OUT" => "rows left out",
            "BALANCE" => "balances in doubt",
            "CHANGED" => "changes",
            _ => "tables and columns",
        };
        (name, count.to_string())
    }));
    parts.push(pairs(&figures));
    if !imported.shown.is_empty() {
        let columns =
            [Column::Text("REMARK"), Column::Text("TABLE"), Column::Text("ROW"), Column::Text("WHAT")];
        let row = |said: &Said| {
            vec![said.kind.to_owned(), said.table.clone(), or_dash(said.row.as_ref()), said.what.clone()]
        };
        parts.push(table(&columns, imported.shown.iter().map(row)));
    }
    parts.join("\n\n")
}
