//! The `dream` command: serve, migrate, seed, sandbox and every admin task.

mod args;
mod banner;
mod commands;
mod config;
mod exit;
mod inert;
mod json_lines;
mod log_limits;
mod meters;
mod output;
mod process;
mod sandbox;
mod spans;
mod supervisor;
mod telemetry;
#[cfg(feature = "sandbox")]
mod till;
mod wire;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Cli;
use crate::exit::{Exit, Trouble};
use crate::output::Output;

/// Answers are made of many short-lived pieces of memory; the system's own allocator is slow at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output { json: cli.json };
    let outcome = run(cli, output).unwrap_or_else(|trouble| {
        output.trouble(&trouble);
        trouble.exit
    });
    ExitCode::from(outcome.code())
}

fn run(cli: Cli, output: Output) -> Result<Exit, Trouble> {
    // Every TLS connection, in or out, goes by this one provider.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return Err(Trouble::new(Exit::Failed, "TLS", "a TLS provider was installed before"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(commands::run(cli.command, output))
}
