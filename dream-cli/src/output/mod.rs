//! The only place that prints and asks. Data goes to standard output, everything else to standard error.

mod progress;
mod sheet;
mod text;

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::args::Write;
use crate::exit::{Exit, Trouble};

pub(crate) use progress::Progress;
pub(crate) use sheet::{Cell, Sheet};
pub(crate) use text::{Column, or_dash, pairs, table};

/// How a command tells its result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// For programs rather than people.
    pub(crate) json: bool,
}

/// What came of a change, or would have come of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Changed<'a, T> {
    dry_run: bool,
    #[serde(flatten)]
    result: &'a T,
}

impl Output {
    /// A result: `value` for programs, what `human` gives for people.
    pub(crate) fn show<T: Serialize>(self, value: &T, human: impl FnOnce() -> String) -> Result<(), Trouble> {
        if self.json { self.show_as_json(value) } else { self.data(human().trim_end()) }
    }

    fn show_as_json<T: Serialize>(self, value: &T) -> Result<(), Trouble> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
        self.data(&text)
    }

    /// The result of a change, or of its rehearsal: the same, with `dryRun` for programs and a note for people.
    /// `value` has to be an object.
    pub(crate) fn changed<T: Serialize>(
        self,
        write: &Write,
        value: &T,
        human: impl FnOnce() -> String,
    ) -> Result<(), Trouble> {
        self.show(&Changed { dry_run: write.dry_run, result: value }, human)?;
        if write.dry_run {
            self.note("a dry run: this is what would have come of it, and nothing was changed");
        }
        Ok(())
    }

    /// Asks whether a change is meant. A dry run and `--yes` need no answer; where nobody can be asked, the change is
    /// refused.
    #[expect(clippy::unused_self, reason = "only who holds an output asks")]
    pub(crate) fn confirm(self, write: &Write, question: &str) -> Result<(), Trouble> {
        if write.dry_run || write.yes {
            return Ok(());
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(Trouble::new(Exit::Usage, "NOT_CONFIRMED", "nobody is there to confirm the change")
                .hint("--yes makes it without asking, --dry-run shows what would come of it"));
        }
        let asked = dialoguer::Confirm::new().with_prompt(question).default(false).interact();
        match asked {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(Trouble::new(Exit::Refused, "NOT_CONFIRMED", "not confirmed: nothing was changed"))
            }
            Err(error) => Err(Trouble::new(Exit::Failed, "IO", error.to_string())),
        }
    }

    /// Text that is the result itself.
    pub(crate) fn data(self, text: &str) -> Result<(), Trouble> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Bytes that are the result itself.
    #[expect(clippy::unused_self, reason = "only who holds an output prints")]
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<(), Trouble> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            // Whoever read us, such as `head`, has enough.
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

    /// Says how to see the rest of a list.
    pub(crate) fn note_more(self, has_more: bool) {
        if has_more {
            self.note("there are more: see --limit and --all");
        }
    }

    /// Shows how long work comes along, where somebody looks: `what` is counted, up to `total` if that is known.
    pub(crate) fn progress(self, what: &'static str, total: Option<u64>) -> Progress {
        Progress::begin(what, total, !self.json && io::stderr().is_terminal())
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
