//! `dream config …`.

use clap::{Subcommand, ValueEnum};

use crate::config::{Config, ConfigFaults, Environment, Report, documents};
use crate::exit::{Exit, Trouble};
use crate::output::{Column, Output, or_dash, table};

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Verb {
    /// Print what is in force, secrets masked, and every fault at once
    Check,
    /// Print the documentation of every variable
    Docs {
        /// In which form
        #[arg(long, value_enum, default_value_t = DocsForm::Markdown)]
        form: DocsForm,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DocsForm {
    /// As `docs/configuration.md`
    Markdown,
    /// As `.env.example`
    Env,
}

pub(super) fn run(verb: Verb, output: Output) -> Result<Exit, Trouble> {
    match verb {
        Verb::Check => check(output),
        Verb::Docs { form } => {
            let text = match form {
                DocsForm::Markdown => documents::markdown(),
                DocsForm::Env => documents::env_example(),
            };
            output.bytes(text.as_bytes())?;
            Ok(Exit::Done)
        }
    }
}

fn check(output: Output) -> Result<Exit, Trouble> {
    let (_, report) = Config::read(&Environment::load());
    output.show(&report, || shown(&report))?;
    for note in &report.notes {
        output.note(note);
    }
    if report.faults.is_empty() {
        return Ok(Exit::Done);
    }
    let mut trouble = Trouble::from(ConfigFaults(report.faults));
    trouble.hint = Some("docs/configuration.md tells what each variable means".to_owned());
    Err(trouble)
}

fn shown(report: &Report) -> String {
    let rows = report
        .variables
        .iter()
        .map(|held| vec![held.variable.to_owned(), or_dash(held.value.as_deref()), held.from.to_owned()]);
    let columns = [Column::Text("VARIABLE"), Column::Text("VALUE"), Column::Text("FROM")];
    format!("Mode: {}\n\n{}", report.mode, table(&columns, rows))
}
