//! This machine: room on the disk, files that may be open.

use std::path::{Path, PathBuf};

use dream_core::DatabaseOptions;
use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};
use secrecy::ExposeSecret as _;

use super::Verdict;
use crate::config::Storage;
use crate::exit::{Exit, Trouble};
use crate::wire;

const MIB: u64 = 1024 * 1024;
/// With less than this, somebody has to act soon.
const LITTLE: u64 = 1024 * MIB;
/// With less than this, the next upload may be the last.
const TOO_LITTLE: u64 = 100 * MIB;
/// Files that are open beside the connections: database, log, calls to the outside.
const OTHER_FILES: u64 = 256;

pub(super) fn disk(database: &DatabaseOptions, storage: Option<&Storage>) -> Verdict {
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Some(file) = wire::sqlite_path(database.url.expose_secret()) {
        folders.extend(Path::new(file).parent().map(Path::to_path_buf));
    }
    if let Some(Storage::Disk(folder)) = storage {
        folders.push(folder.clone());
    }
    if folders.is_empty() {
        return Verdict::LeftOut("nothing is kept on this machine".into());
    }
    let mut least: Option<(u64, PathBuf)> = None;
    for folder in folders {
        match free(&folder) {
            Ok(bytes) if least.as_ref().is_none_or(|(least, _)| bytes < *least) => {
                least = Some((bytes, folder));
            }
            Ok(_) => {}
            Err(error) => {
                let message = format!("{}: {error}", folder.display());
                return Trouble::new(Exit::Failed, "DISK", message).into();
            }
        }
    }
    let Some((bytes, folder)) = least else { return Verdict::LeftOut("no folder was found".into()) };
    let found = format!("{} MiB free at {}", bytes / MIB, folder.display());
    if bytes < TOO_LITTLE {
        Trouble::new(Exit::Failed, "DISK", found).hint("make room").into()
    } else if bytes < LITTLE {
        Verdict::Doubtful(found, "make room".into())
    } else {
        Verdict::Well(found)
    }
}

/// Bytes that may still be written at this folder, or where it will be made.
fn free(folder: &Path) -> std::io::Result<u64> {
    let absolute = std::path::absolute(folder)?;
    let there = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let facts = statvfs(there)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}

pub(super) fn open_files(connections: usize) -> Verdict {
    let needed = connections as u64 + OTHER_FILES;
    match getrlimit(Resource::Nofile).current {
        Some(most) if most < needed => Verdict::Doubtful(
            format!("{most} at most"),
            format!("{connections} connections need {needed}: raise it by `ulimit -n` or `LimitNOFILE=`"),
        ),
        Some(most) => Verdict::Well(format!("{most} at most")),
        None => Verdict::Well("any number".into()),
    }
}
