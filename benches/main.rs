//! One bench for each promise about speed. Each compares with a limit that is measured in the same run, in turns, and
//! tells the ratio: figures of one machine mean little on another, ratios mean more.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures says what it measured"
)]
#![expect(clippy::cast_precision_loss, reason = "counts and times become ratios with two digits")]

mod bare;
mod footprint;
mod instructions;
mod load;
mod pgbench;
mod reads;
mod report;
mod server;
mod writes;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::report::{Promise, Report};

type Fault = Box<dyn std::error::Error + Send + Sync>;
type Measured = Result<Promise, Fault>;

/// Measures what was promised about speed.
#[derive(Debug, Parser)]
struct Args {
    /// Only these promises, by number; all of them if none is named
    promises: Vec<u8>,
    /// Rounds, each of both sides in turn; the medians count
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds that each side runs in a round
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Rows of the gallery for the promise about deep pages
    #[arg(long, default_value_t = 1_000_000)]
    rows: u32,
    /// Measures nothing, but answers each of three requests so many times, for a count of the instructions
    #[arg(long, value_name = "TIMES")]
    answer: Option<usize>,
    /// Writes the table into this file, between its marks
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
}

/// How long and how often.
#[derive(Debug, Clone, Copy)]
struct Plan {
    rounds: usize,
    span: Duration,
    rows: u32,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(times) = args.answer {
        return match instructions::answer(times) {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => {
                eprintln!("{fault}");
                ExitCode::FAILURE
            }
        };
    }
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> ExitCode {
    let plan =
        Plan { rounds: args.rounds.max(1), span: Duration::from_secs(args.seconds.max(1)), rows: args.rows };
    let mut report = Report::default();
    for number in 1..=10_u8 {
        if !args.promises.is_empty() && !args.promises.contains(&number) {
            continue;
        }
        eprintln!("measuring promise {number} …");
        match measure(number, plan).await {
            Ok(promise) => {
                eprintln!("  {}", promise.found);
                report.add(number, promise);
            }
            Err(fault) => report.failed(number, &fault.to_string()),
        }
    }
    println!("{report}");
    if let Some(file) = args.keep
        && let Err(fault) = report.keep(&file).await
    {
        eprintln!("{}: {fault}", file.display());
        return ExitCode::FAILURE;
    }
    if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure(number: u8, plan: Plan) -> Measured {
    match number {
        1 => reads::public_lists(plan).await,
        2 => reads::balance_on_sqlite(plan).await,
        3 => reads::balance_on_postgres(plan).await,
        4 => reads::deep_page(plan).await,
        5 => writes::likes_of_one_picture(plan).await,
        6 => writes::spends_of_many(plan).await,
        7 => writes::spends_of_one(plan).await,
        8 => footprint::memory().await,
        9 => footprint::start(plan).await,
        _ => reads::latency_at_half_load(plan).await,
    }
}
