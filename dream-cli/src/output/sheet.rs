//! Rows that are written as they come, to standard output or into a file: CSV (RFC 4180) or JSON lines. And whole
//! documents, into the same kind of file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Output, has_reader};
use crate::exit::{Exit, Trouble};

type Sink = Box<dyn Write + Send>;

/// A table that is written row by row, and never held as a whole: CSV, or for programs one JSON object a line.
pub(crate) struct Sheet {
    rows: Rows,
    /// A file is made for spreadsheets; standard output is for programs and stays exact.
    file: Option<Unfinished>,
    /// Whoever reads has had enough.
    closed: bool,
}

/// A file that gets its name only once it is whole, and is gone if it never is.
struct Unfinished {
    part: PathBuf,
    path: PathBuf,
    done: bool,
}

enum Rows {
    Csv(Box<csv::Writer<Sink>>),
    Json(BufWriter<Sink>),
}

/// Excel reads a CSV file as UTF-8 only behind it.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// People's data: nobody else on the machine may read it.
const MODE: u32 = 0o600;

impl Sheet {
    /// Begins with the names of the columns. A file gets its name only once it is whole.
    pub(crate) fn begin(output: Output, file: Option<&Path>, columns: &[&str]) -> Result<Self, Trouble> {
        let (sink, file): (Sink, _) = match file {
            None => (Box::new(io::stdout()), None),
            Some(path) => {
                let (mut sink, file) = Unfinished::begin(path)?;
                if !output.json {
                    sink.write_all(BOM)?;
                }
                (Box::new(sink), Some(file))
            }
        };
        let rows = if output.json {
            Rows::Json(BufWriter::new(sink))
        } else {
            Rows::Csv(Box::new(csv::Writer::from_writer(sink)))
        };
        let mut sheet = Self { rows, file, closed: false };
        if let Rows::Csv(rows) = &mut sheet.rows {
            let written = rows.write_record(columns).map_err(of_csv);
            sheet.note(written)?;
        }
        Ok(sheet)
    }

    /// Writes a row; whether anybody still reads.
    pub(crate) fn row<T: Serialize>(
        &mut self,
        cells: Vec<Cell>,
        json: impl FnOnce() -> T,
    ) -> Result<bool, Trouble> {
        let written = match &mut self.rows {
            Rows::Csv(rows) => {
                let for_spreadsheet = self.file.is_some();
                let texts = cells.into_iter().map(|cell| cell.text(for_spreadsheet));
                rows.write_record(texts).map_err(of_csv)
            }
            Rows::Json(lines) => serde_json::to_vec(&json())
                .map_err(io::Error::from)
                .and_then(|line| lines.write_all(&line))
                .and_then(|()| lines.write_all(b"\n")),
        };
        self.note(written)?;
        Ok(!self.closed)
    }

    /// Sees to it that all of it is where it belongs.
    pub(crate) fn finish(mut self) -> Result<(), Trouble> {
        let flushed = match &mut self.rows {
            Rows::Csv(rows) => rows.flush(),
            Rows::Json(lines) => lines.flush(),
        };
        self.note(flushed)?;
        self.file.map_or(Ok(()), Unfinished::finish)
    }

    fn note(&mut self, outcome: io::Result<()>) -> Result<(), Trouble> {
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
            other => other?,
        }
        Ok(())
    }
}

/// Its own conversion would hide which kind of error it was.
fn of_csv(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

impl Unfinished {
    fn begin(path: &Path) -> Result<(File, Self), Trouble> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let sink = create(&part)
            .map_err(|error| Trouble::new(Exit::Failed, "IO", format!("{}: {error}", part.display())))?;
        Ok((sink, Self { part, path: path.to_owned(), done: false }))
    }

    fn finish(mut self) -> Result<(), Trouble> {
        fs::rename(&self.part, &self.path)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.done {
            drop(fs::remove_file(&self.part));
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)
}

impl Output {
    /// A result that is JSON for people too, as a whole: to standard output, or into a file like that of a sheet.
    pub(crate) fn document<T: Serialize>(self, value: &T, file: Option<&Path>) -> Result<(), Trouble> {
        let Some(path) = file else { return self.show_as_json(value) };
        let (sink, file) = Unfinished::begin(path)?;
        let mut sink = BufWriter::new(sink);
        serde_json::to_writer_pretty(&mut sink, value).map_err(io::Error::from)?;
        sink.write_all(b"\n")?;
        sink.flush()?;
        file.finish()
    }

    /// Whether progress would be mixed with the rows of a sheet that goes to the same terminal.
    pub(crate) fn beside_sheet(self, file: Option<&Path>) -> Self {
        Self { json: self.json || (file.is_none() && has_reader()) }
    }
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// What somebody wrote.
    Text(String),
    /// A number, an id, a word of ours or a time: nothing that a spreadsheet could run.
    Plain(String),
    /// Nothing.
    Empty,
}

impl Cell {
    pub(crate) fn text_or_empty(text: Option<String>) -> Self {
        text.map_or(Cell::Empty, Cell::Text)
    }

    #[expect(clippy::needless_pass_by_value, reason = "ids and numbers are handed over as they are")]
    pub(crate) fn plain(value: impl ToString) -> Self {
        Cell::Plain(value.to_string())
    }

    pub(crate) fn plain_or_empty(value: Option<impl ToString>) -> Self {
        value.map_or(Cell::Empty, Cell::plain)
    }

    fn text(self, for_spreadsheet: bool) -> String {
        match self {
            Cell::Text(text) if for_spreadsheet && is_number(&text) => format!("\t{text}"),
            Cell::Text(text) => inert(text),
            Cell::Plain(text) => text,
            Cell::Empty => String::new(),
        }
    }
}

/// Spreadsheets run a cell that begins like a formula, also behind a space or a tab. A quote before it makes it text
/// (OWASP, "CSV Injection").
fn inert(text: String) -> String {
    let first = text.trim_start().chars().next();
    let formula = matches!(first, Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '|'));
    if formula || text.starts_with(['\t', '\r', '\n']) { format!("'{text}") } else { text }
}

/// Whether a spreadsheet would take the text for a number, and round it or drop its leading zeros.
fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && text.bytes().all(|byte| byte.is_ascii_digit() || b".,eE+- ".contains(&byte))
        && text.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{Cell, Output, Sheet};

    #[test]
    fn what_people_wrote_is_no_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "＝1", "|calc"] {
            let cell = Cell::Text(text.to_owned()).text(false);
            assert!(cell.starts_with('\''), "{text:?} became {cell:?}");
        }
        assert_eq!(Cell::Text("小明 = a".to_owned()).text(false), "小明 = a");
        assert_eq!(Cell::plain(-7).text(false), "-7");
    }

    #[test]
    fn a_spreadsheet_keeps_every_digit_of_an_id() {
        let cell = |text: &str, file| Cell::Text(text.to_owned()).text(file);
        for id in ["4200001234202601281234567890", "13800138000", "007", "12E45", "1.5"] {
            assert_eq!(cell(id, true), format!("\t{id}"), "a spreadsheet takes it as text behind a tab");
            assert_eq!(cell(id, false), id, "programs read it as it is");
        }
        for text in ["VIP20260128100000abcd", "小明", "", "E", "-"] {
            assert!(!cell(text, true).starts_with('\t'), "{text:?}");
        }
        assert_eq!(Cell::plain(120).text(true), "120", "what is counted stays a number");
    }

    #[test]
    fn a_file_gets_its_name_only_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.csv");
        let names = || -> Vec<String> {
            let entries = folder.path().read_dir().unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let mut sheet = Sheet::begin(Output { json: false }, Some(&path), &["id", "name"]).unwrap();
        assert!(sheet.row(vec![Cell::plain(1), Cell::Text("a, \"b\"".to_owned())], || 1).unwrap());
        assert_eq!(names(), ["users.csv.part"]);
        drop(sheet);
        assert!(names().is_empty(), "what was not finished is gone");

        let mut sheet = Sheet::begin(Output { json: false }, Some(&path), &["id", "name"]).unwrap();
        sheet.row(vec![Cell::plain(1), Cell::Text("a, \"b\"".to_owned())], || 1).unwrap();
        sheet.finish().unwrap();
        assert_eq!(names(), ["users.csv"]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "\u{feff}id,name\n1,\"a, \"\"b\"\"\"\n");
    }
}
