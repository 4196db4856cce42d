//! The command line, as clap reads it. What belongs to one command stands with the command, in `commands/`; here is
//! what they share.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use dream_core::Fault;
use dream_core::kernel::{KeyName, Timestamp, UserId};
use dream_core::vip::Level;

use crate::commands;
use crate::exit::Exit;

/// The backend of an image generation mini-program, and every task of whoever runs it.
///
/// `dream serve` is all it takes to begin: it makes its database, fills it, and plays WeChat, WeChat Pay and the image API where no credentials are configured.
///
/// Configuration comes from the environment and, in development, from `.env`: see `dream config check`.
#[derive(Debug, Parser)]
#[command(name = "dream", version, propagate_version = true, max_term_width = 100)]
#[command(after_long_help = exit_codes())]
pub(crate) struct Cli {
    /// Answer in JSON, for programs. Errors too, on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

fn exit_codes() -> String {
    let lines = Exit::ALL.iter().map(|(exit, meaning)| format!("\n{:>4}  {meaning}", exit.code()));
    std::iter::once("Exit codes:".to_owned()).chain(lines).collect()
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API until SIGTERM or Ctrl-C, then finish what is in flight
    Serve(commands::serve::Serve),
    /// Bring the database's schema up to date
    Migrate(commands::schema::Migrate),
    /// Plant the plans, templates and pictures of a new installation; what is there stays as it is
    Seed,
    /// Play WeChat, WeChat Pay, the image API and R2 for testers, without a backend
    #[cfg(feature = "sandbox")]
    Sandbox(commands::sandbox::Sandbox),
    /// Look at everything that `serve` will need: configuration, database, Redis, storage, the services outside
    Doctor,
    /// Ask the server of this configuration, on this machine, whether it is ready
    Ready(commands::ready::Ready),
    /// Look at the configuration
    #[command(subcommand)]
    Config(commands::config::Verb),
    /// Look at users, change them, delete them
    #[command(subcommand)]
    User(commands::user::Verb),
    /// Look at and change users' points
    #[command(subcommand)]
    Points(commands::points::Verb),
    /// Change users' VIP levels
    #[command(subcommand)]
    Vip(commands::vip::Verb),
    /// Look at orders, ask WeChat Pay about them, close them, give money back
    #[command(subcommand)]
    Order(commands::order::Verb),
    /// Look at the gallery, let pictures go public, keep them back, take them out
    #[command(subcommand)]
    Gallery(commands::gallery::Verb),
    /// Look at templates, change them, take them out of here and into here
    #[command(subcommand)]
    Template(commands::template::Verb),
    /// Show figures: of today, of everybody, of a user, of a span of time
    #[command(subcommand)]
    Stats(commands::stats::Verb),
    /// Check the books on the live database; exit code 6 names the rows that are wrong
    Audit,
    /// List what admins did, newest first
    AuditLog(commands::audit::AuditLog),
    /// Make, list, rotate and end the keys of the administration
    #[command(subcommand)]
    AdminKey(commands::admin_key::Verb),
    /// Write whole tables as CSV, or as JSON lines with --json; or all about one user
    #[command(subcommand)]
    Export(commands::export::Verb),
    /// Take over the PostgreSQL database of the original NestJS service
    ///
    /// Users, plans, orders, points, gallery, templates, favorites, characters and generations. Whatever cannot be here as it was is said, row by row. Doing it again changes nothing, and goes on where a run was broken off. A dry run on SQLite keeps everybody else from writing while it lasts.
    ///
    /// Exit code 6 if a row was left out or a balance is in doubt. `docs/migrating.md` says what becomes of what.
    Import(commands::import::Import),
    /// Look at users' characters, delete them
    #[command(subcommand)]
    Character(commands::character::Verb),
    /// Look after the storage of pictures
    #[command(subcommand)]
    Storage(commands::storage::Verb),
    /// Print the OpenAPI document of what `serve` serves
    Openapi,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man(commands::manual::Man),
}

/// How a change is made. Every command that changes stored state takes these.
#[derive(Debug, Clone, Args)]
pub(crate) struct Write {
    /// Show what would come of it, checked against the database, and change nothing
    #[arg(long, help_heading = "Change")]
    pub(crate) dry_run: bool,
    /// Do not ask whether it is meant
    #[arg(long, short = 'y', help_heading = "Change")]
    pub(crate) yes: bool,
    /// Under which name the audit log shows it
    #[arg(long = "as", help_heading = "Change", value_name = "NAME", default_value = "cli", value_parser = key_name)]
    pub(crate) actor: KeyName,
}

/// How much of a list is wanted.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Amount {
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "all")]
    limit: u32,
    /// All of them
    #[arg(long)]
    all: bool,
}

impl Amount {
    /// How many at most, unless all are wanted.
    pub(crate) fn wanted(self) -> Option<u32> {
        (!self.all).then_some(self.limit)
    }
}

pub(crate) fn refusal(fault: &Fault) -> String {
    match fault {
        Fault::Format(format) => format!("must be {}", format.en()),
        Fault::Length { min, max } => format!("must have {min} to {max} characters"),
        Fault::Range { min, max } => format!("must be {min} to {max}"),
        other => other.as_str().to_owned(),
    }
}

/// Reads anything of the core's that reads itself from text.
pub(crate) fn parsed<T: std::str::FromStr<Err = Fault>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|fault| refusal(&fault))
}

pub(crate) fn user_id(text: &str) -> Result<UserId, String> {
    parsed(text)
}

pub(crate) fn key_name(text: &str) -> Result<KeyName, String> {
    parsed(text)
}

pub(crate) fn timestamp(text: &str) -> Result<Timestamp, String> {
    parsed(text)
}

pub(crate) fn level(text: &str) -> Result<Level, String> {
    word(text, Level::NAMES, Level::parse)
}

/// Reads one of a few words, in upper or lower case.
pub(crate) fn word<T>(
    text: &str,
    names: &[&str],
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, String> {
    parse(&text.to_ascii_uppercase()).ok_or_else(|| format!("must be one of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn the_command_line_makes_sense() {
        Cli::command().debug_assert();
    }
}
