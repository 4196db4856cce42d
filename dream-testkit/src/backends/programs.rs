//! Which servers are installed, and which are asked for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What `DREAM_TEST_BACKENDS` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Whatever is there.
    WhatIsInstalled,
    /// Everything; what is missing is a failure.
    All,
    /// Nothing that needs a server.
    SqliteOnly,
}

pub(super) fn wanted() -> Wanted {
    match variable("DREAM_TEST_BACKENDS").to_str() {
        Some("sqlite") => Wanted::SqliteOnly,
        Some("" | "auto") => Wanted::WhatIsInstalled,
        // A word we do not know must not quietly test less.
        _ => Wanted::All,
    }
}

fn variable(name: &str) -> OsString {
    std::env::var_os(name).unwrap_or_default()
}

/// What is missing for PostgreSQL + Redis, in words.
pub(super) fn missing() -> Option<String> {
    let missing: Vec<&str> = [
        postgres_folder().is_none().then_some("PostgreSQL's `initdb` and `postgres` (Debian: postgresql)"),
        redis_server().is_none().then_some("`redis-server` (Debian: redis-server)"),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(", ")))
}

/// The folder that holds PostgreSQL's programs. Debian keeps them off the path, one folder for each version: the
/// newest wins.
pub(super) fn postgres_folder() -> Option<PathBuf> {
    let has_both = |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    let packaged = versions.into_iter().rev().map(|(_, folder)| folder);
    let elsewhere = ["/usr/local/pgsql/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    packaged.chain(search_path()).chain(elsewhere).find(has_both)
}

/// The `redis-server` program.
pub(super) fn redis_server() -> Option<PathBuf> {
    let usual = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    search_path().into_iter().chain(usual).map(|folder| folder.join("redis-server")).find(|p| p.is_file())
}

fn search_path() -> Vec<PathBuf> {
    std::env::split_paths(&variable("PATH")).collect()
}

/// The user and group that PostgreSQL has to run as: `None` for our own, unless that is root, which it refuses.
pub(super) fn postgres_owner(ours: u32) -> Option<(u32, u32)> {
    if ours != 0 {
        return None;
    }
    let users = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    let ids_of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    ids_of("postgres").or_else(|| ids_of("nobody"))
}
