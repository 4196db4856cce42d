//! The only place that prints. Data goes to standard output, everything else to standard error.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::exit::{Exit, Trouble};

/// How a command tells its result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// For programs rather than people.
    pub(crate) json: bool,
}

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Text(&'static str),
    Number(&'static str),
}

impl Output {
    /// A result: `value` for programs, what `human` gives for people.
    pub(crate) fn show<T: Serialize>(self, value: &T, human: impl FnOnce() -> String) -> Result<(), Trouble> {
        if self.json {
            let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
            self.data(&text)
        } else {
            self.data(human().trim_end())
        }
    }

    /// Text that is the result itself.
    #[expect(clippy::unused_self, reason = "only who holds an output prints")]
    pub(crate) fn data(self, text: &str) -> Result<(), Trouble> {
        let mut out = io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            // Whoever read us, such as `head`, has enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    /// Bytes that are the result itself.
    #[expect(clippy::unused_self, reason = "only who holds an output prints")]
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<(), Trouble> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    /// Something worth knowing beside the result.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            complain(&format!("note: {text}\n"));
        }
    }

    /// Why there is no result.
    pub(crate) fn trouble(self, trouble: &Trouble) {
        let text = if self.json { for_programs(trouble) } else { for_people(trouble) };
        complain(&text);
    }
}

/// Whether a person reads standard output.
pub(crate) fn has_reader() -> bool {
    io::stdout().is_terminal()
}

fn complain(text: &str) {
    // Nobody to tell if standard error is closed.
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

fn for_people(trouble: &Trouble) -> String {
    let mut text = format!("error: {}", trouble.message);
    if !matches!(trouble.exit, Exit::Config | Exit::Usage) || trouble.details.is_empty() {
        let _ = write!(text, " ({})", trouble.code);
    }
    for detail in &trouble.details {
        text.push_str("\n  ");
        text.push_str(detail);
    }
    if let Some(hint) = &trouble.hint {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    text.push('\n');
    text
}

#[derive(Serialize)]
struct TroubleJson<'a> {
    error: &'a str,
    message: &'a str,
    details: &'a [String],
    hint: Option<&'a str>,
    exit: u8,
}

fn for_programs(trouble: &Trouble) -> String {
    let shape = TroubleJson {
        error: trouble.code,
        message: &trouble.message,
        details: &trouble.details,
        hint: trouble.hint.as_deref(),
        exit: trouble.exit.code(),
    };
    serde_json::to_string(&shape).map(|text| text + "\n").unwrap_or_default()
}

/// A table without lines, since lines are hard to copy and to `grep`.
pub(crate) fn table(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|column| match column {
        Column::Text(name) | Column::Number(name) => *name,
    }));
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in columns.iter().enumerate() {
        if let Some(set) = table.column_mut(index) {
            set.set_padding((0, 2));
            if matches!(column, Column::Number(_)) {
                set.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    lines_without_tails(&table.to_string())
}

/// Names and values, one pair a line.
pub(crate) fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = pairs.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect();
    lines_without_tails(&lines.join("\n"))
}

fn lines_without_tails(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// What stands for a value that is not there.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}
