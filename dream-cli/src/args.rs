//! The command line, as clap reads it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use dream_core::Fault;
use dream_core::kernel::{KeyName, Timestamp, UserId};
use dream_core::vip::Level;

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
    Serve(Serve),
    /// Bring the database's schema up to date
    Migrate(Migrate),
    /// Plant the plans, templates and pictures of a new installation; what is there stays as it is
    Seed,
    /// Play WeChat, WeChat Pay, the image API and R2 for testers, without a backend
    #[cfg(feature = "sandbox")]
    Sandbox(Sandbox),
    /// Look at everything that `serve` will need: configuration, database, Redis, storage, the services outside
    Doctor,
    /// Ask the server of this configuration, on this machine, whether it is ready
    Ready(Ready),
    /// Look at the configuration
    #[command(subcommand)]
    Config(Config),
    /// Look at users
    #[command(subcommand)]
    User(User),
    /// Look at and change users' points
    #[command(subcommand)]
    Points(Points),
    /// Change users' VIP levels
    #[command(subcommand)]
    Vip(Vip),
    /// Print the OpenAPI document of what `serve` serves
    Openapi,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man(Man),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Refuse to start unless the schema is up to date, instead of bringing it there
    #[arg(long)]
    pub(crate) no_migrate: bool,
    /// Plant the seeds in production too; in development it is done anyway
    #[arg(long)]
    pub(crate) seed: bool,
    /// Refuse to start where credentials are missing, instead of playing the part
    #[arg(long)]
    pub(crate) no_sandbox: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Ready {
    /// Where it listens, where that is not what HOST and PORT say
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) at: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Only say how the schema compares; exit code 4 if it is not up to date
    #[arg(long)]
    pub(crate) status: bool,
}

#[cfg(feature = "sandbox")]
#[derive(Debug, Args)]
pub(crate) struct Sandbox {
    /// Where the backend is reached, for pushes, webhooks and payment notices
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    pub(crate) backend: String,
    /// Address and port of WeChat; a free port of this machine if left out
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) wechat: Option<SocketAddr>,
    /// Address and port of WeChat Pay
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) wechat_pay: Option<SocketAddr>,
    /// Address and port of the image API
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) image_api: Option<SocketAddr>,
    /// Address and port of R2's S3 API
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) r2: Option<SocketAddr>,
    /// How much faster than the real one the image API works
    #[arg(long, value_name = "TIMES", default_value_t = 10.0, value_parser = speed)]
    pub(crate) speed: f64,
    /// Refuse more than 60 requests a minute and 5 jobs at once, as the real image API does
    #[arg(long)]
    pub(crate) real_limits: bool,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Config {
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

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// List users, newest first
    List {
        /// Those whose name contains, or whose id, openid or phone is, this text
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Those at this level now
        #[arg(long, value_parser = level)]
        level: Option<Level>,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "all")]
        limit: u32,
        /// All of them
        #[arg(long)]
        all: bool,
    },
    /// Show one user
    Show {
        /// The user's id
        #[arg(value_parser = user_id)]
        user: UserId,
    },
}

/// How a change is signed in the audit log.
#[derive(Debug, Args)]
pub(crate) struct Signature {
    /// Under which name the audit log shows it
    #[arg(long = "as", value_name = "NAME", default_value = "cli", value_parser = key_name)]
    pub(crate) actor: KeyName,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Points {
    /// Show a user's balance and newest ledger entries
    Show {
        /// The user's id
        #[arg(value_parser = user_id)]
        user: UserId,
        /// How many entries at most
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Give a user points, or take them where the number is negative
    Grant {
        /// The user's id
        #[arg(value_parser = user_id)]
        user: UserId,
        /// How many
        #[arg(allow_negative_numbers = true)]
        points: i64,
        /// Why, for the ledger and the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        signature: Signature,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Vip {
    /// Give a user a level
    Set {
        /// The user's id
        #[arg(value_parser = user_id)]
        user: UserId,
        /// VIP or SVIP
        #[arg(value_parser = level)]
        level: Level,
        #[command(flatten)]
        term: Term,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        signature: Signature,
    },
    /// End a user's level at once
    Cancel {
        /// The user's id
        #[arg(value_parser = user_id)]
        user: UserId,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        signature: Signature,
    },
}

/// For how long a level is given.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Term {
    /// This many days on top of what is left
    #[arg(long)]
    pub(crate) days: Option<i64>,
    /// Until this time, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    pub(crate) until: Option<Timestamp>,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write a page for every command into this folder instead
    #[arg(long, value_name = "FOLDER", conflicts_with = "text")]
    pub(crate) dir: Option<PathBuf>,
    /// Print the help of every command as plain text instead
    #[arg(long)]
    pub(crate) text: bool,
}

fn refusal(fault: &Fault) -> String {
    match fault {
        Fault::Format(what) => format!("must be {what}"),
        Fault::Length { min, max } => format!("must have {min} to {max} characters"),
        other => other.as_str().to_owned(),
    }
}

fn user_id(text: &str) -> Result<UserId, String> {
    text.parse().map_err(|fault| refusal(&fault))
}

fn key_name(text: &str) -> Result<KeyName, String> {
    text.parse().map_err(|fault| refusal(&fault))
}

fn timestamp(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|fault| refusal(&fault))
}

fn level(text: &str) -> Result<Level, String> {
    Level::parse(&text.to_ascii_uppercase())
        .ok_or_else(|| format!("must be one of {}", Level::NAMES.join(", ")))
}

#[cfg(feature = "sandbox")]
fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(times) if (0.01..=1000.0).contains(&times) => Ok(times),
        _ => Err("must be a number from 0.01 to 1000".to_owned()),
    }
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
