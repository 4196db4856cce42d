//! What the program tells about itself: `openapi`, `completions`, `man`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::{Exit, Trouble};
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write a page for every command into this folder instead
    #[arg(long, value_name = "FOLDER", conflicts_with = "markdown")]
    dir: Option<PathBuf>,
    /// Print the help of every command in Markdown instead, as `docs/cli.md`
    #[arg(long)]
    markdown: bool,
}

/// Width of the text that is committed, whatever the terminal is.
const WIDTH: usize = 100;

pub(super) fn openapi(output: Output) -> Result<Exit, Trouble> {
    output.bytes(dream_http::openapi_json()?.as_bytes())?;
    Ok(Exit::Done)
}

pub(super) fn completions(shell: Shell, output: Output) -> Result<Exit, Trouble> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dream", &mut script);
    output.bytes(&script)?;
    Ok(Exit::Done)
}

pub(super) fn man(args: &Man, output: Output) -> Result<Exit, Trouble> {
    if args.markdown {
        output.bytes(reference().as_bytes())?;
    } else if let Some(folder) = &args.dir {
        pages(folder)?;
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        output.bytes(&page)?;
    }
    Ok(Exit::Done)
}

fn pages(folder: &Path) -> Result<(), Trouble> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|error| Trouble::from(error).while_(&format!("writing to {}", folder.display())))
}

/// The help of every command, one after the other.
fn reference() -> String {
    let mut root = Cli::command().term_width(WIDTH);
    root.build();
    let mut text = String::from(
        "# The command line\n\n\
         One binary, `dream`, serves and administers. Commands work on the database directly, by the same rules and with\n\
         the same audit log as the server, which may run meanwhile. Every command takes `--json`. What changes something\n\
         asks first, unless told `--yes`, and shows with `--dry-run` what would come of it. Secrets come from the\n\
         environment, never from arguments.\n\n\
         This page is what `dream man --markdown` prints.\n",
    );
    write_help(&mut root, "dream", &mut text);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned() + "\n"
}

fn write_help(command: &mut clap::Command, path: &str, text: &mut String) {
    let help = command.render_long_help().to_string();
    let _ = write!(text, "\n## {path}\n\n```text\n{}\n```\n", help.trim_end());
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names.iter().filter(|name| *name != "help") {
        if let Some(sub) = command.find_subcommand_mut(name) {
            write_help(sub, &format!("{path} {name}"), text);
        }
    }
}
