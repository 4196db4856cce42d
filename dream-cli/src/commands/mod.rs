//! One file for each noun: its arguments, and what it does with them. A command parses, calls one handle, and hands
//! the result to `output`.

pub(crate) mod admin_key;
pub(crate) mod audit;
pub(crate) mod character;
pub(crate) mod config;
mod desk;
mod doctor;
pub(crate) mod export;
pub(crate) mod gallery;
pub(crate) mod import;
pub(crate) mod manual;
pub(crate) mod order;
pub(crate) mod points;
pub(crate) mod ready;
#[cfg(feature = "sandbox")]
pub(crate) mod sandbox;
pub(crate) mod schema;
pub(crate) mod serve;
pub(crate) mod stats;
pub(crate) mod storage;
pub(crate) mod template;
pub(crate) mod user;
pub(crate) mod vip;

use dream_core::kernel::{Limit, Page, PageRequest};

use crate::args::Command;
use crate::exit::{Exit, Trouble};
use crate::output::Output;

use desk::Desk;

/// What one-shot commands log unless told otherwise.
const QUIET: &str = "warn";

/// Runs the command.
pub(crate) async fn run(command: Command, output: Output) -> Result<Exit, Trouble> {
    match command {
        Command::Serve(args) => Box::pin(serve::run(&args, output)).await,
        Command::Migrate(args) => schema::migrate(&args, output).await,
        Command::Seed => schema::seed(output).await,
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => sandbox::run(args, output).await,
        Command::Doctor => Box::pin(doctor::run(output)).await,
        Command::Ready(args) => ready::run(&args, output).await,
        Command::Config(verb) => config::run(verb, output),
        Command::User(verb) => user::run(verb, output).await,
        Command::Points(verb) => points::run(verb, output).await,
        Command::Vip(verb) => vip::run(verb, output).await,
        Command::Order(verb) => order::run(verb, output).await,
        Command::Gallery(verb) => gallery::run(verb, output).await,
        Command::Template(verb) => template::run(verb, output).await,
        Command::Stats(verb) => stats::run(verb, output).await,
        Command::Audit => audit::audit(output).await,
        Command::AuditLog(args) => audit::log(args, output).await,
        Command::AdminKey(verb) => admin_key::run(verb, output).await,
        Command::Export(verb) => export::run(verb, output).await,
        Command::Import(args) => Box::pin(import::run(args, output)).await,
        Command::Character(verb) => character::run(verb, output).await,
        Command::Storage(verb) => storage::run(verb, output).await,
        Command::Openapi => manual::openapi(output),
        Command::Completions { shell } => manual::completions(shell, output),
        Command::Man(args) => manual::man(&args, output),
    }
}

/// Walks a list page by page until it ends or there are `wanted` items; whether more would follow.
async fn collect<T>(
    wanted: Option<u32>,
    mut read: impl AsyncFnMut(PageRequest) -> dream_core::Result<Page<T>>,
) -> dream_core::Result<(Vec<T>, bool)> {
    let wanted = wanted.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let mut items = Vec::new();
    let mut cursor = None;
    loop {
        let missing = wanted.saturating_sub(items.len());
        let size = i64::try_from(missing).unwrap_or(Limit::MAX).min(Limit::MAX);
        let limit = Limit::new(size).unwrap_or_default();
        let request = match cursor.take() {
            Some(cursor) => PageRequest::after(limit, cursor),
            None => PageRequest::first(limit),
        };
        let page = read(request).await?;
        items.extend(page.items);
        cursor = page.next;
        if cursor.is_none() || items.len() >= wanted {
            return Ok((items, cursor.is_some()));
        }
    }
}
