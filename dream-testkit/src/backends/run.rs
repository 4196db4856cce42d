//! One run of the tests: who started it, the folder that its servers share, and the watchdog that clears up after it.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Ends the servers and removes the folder once the run is over. `$1` is the run's process, `$2` the folder.
const WATCHDOG: &str = r#"
alive() { kill -0 "$1" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
while alive "$1"; do sleep 0.5; done
for file in "$2"/redis-*/redis.pid; do
    [ -f "$file" ] && kill "$(cat "$file")" 2>/dev/null
done
for file in "$2"/*-data/postmaster.pid; do
    [ -f "$file" ] || continue
    server=$(head -n 1 "$file")
    kill -INT "$server" 2>/dev/null
    tries=0
    while alive "$server" && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
    kill -QUIT "$server" 2>/dev/null
done
rm -rf "$2" "$2.lock"
"#;

/// The folder that the servers of one run of the tests share. It goes away soon after the run.
///
/// ```
/// use dream_testkit::backends::ScratchFolder;
///
/// // One for all tests of a run; a watchdog removes it soon after.
/// let folder = ScratchFolder::of_this_run().unwrap();
/// assert!(folder.path().is_dir());
/// ```
#[derive(Debug, Clone)]
pub struct ScratchFolder {
    path: PathBuf,
    owner: u32,
}

impl ScratchFolder {
    /// The folder of the run that this process belongs to.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn of_this_run() -> io::Result<Self> {
        let run = Process::of_this_run();
        let path = shared_folder().join(format!("dream-test-{run}"));
        let _turn = lock(&path.with_extension("lock"))?;
        if !path.is_dir() {
            fs::create_dir(&path)?;
            start_watchdog(run.id, &path)?;
        }
        let owner = fs::metadata(&path)?.uid();
        Ok(Self { path, owner })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The user that this process runs as.
    pub(super) fn owner(&self) -> u32 {
        self.owner
    }

    /// Waits for a turn at what the run's processes do one after the other. It ends when the file is dropped.
    pub(super) fn turn(&self) -> io::Result<File> {
        lock(&self.path.join("turn.lock"))
    }
}

/// `/tmp` itself and not what `TMPDIR` says: PostgreSQL's user cannot reach into a private folder, and the path of a
/// socket has to be short.
fn shared_folder() -> PathBuf {
    let usual = PathBuf::from("/tmp");
    if usual.is_dir() { usual } else { std::env::temp_dir() }
}

fn lock(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    file.lock()?;
    Ok(file)
}

fn start_watchdog(run: u32, folder: &Path) -> io::Result<()> {
    Command::new("sh")
        .args(["-c", WATCHDOG, "dream-test-watchdog", &run.to_string()])
        .arg(folder)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C ends the run; the watchdog must outlive it.
        .process_group(0)
        .spawn()
        .map(drop)
}

/// A process, told from a later one of the same number by its start.
#[derive(Debug)]
pub(super) struct Process {
    id: u32,
    started: u64,
}

/// A word that no other process of this machine has.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.id, self.started)
    }
}

impl Process {
    /// This very process.
    pub(super) fn ours() -> Self {
        let id = std::process::id();
        Self { id, started: Stat::read(id).map_or(0, |stat| stat.started) }
    }

    /// The nearest `cargo` or `cargo-nextest` above this process, since it lives as long as the run. A test binary that
    /// was started by hand is a run of its own.
    fn of_this_run() -> Self {
        let mut at = std::process::id();
        while let Some(stat) = Stat::read(at) {
            if matches!(stat.name.as_str(), "cargo" | "cargo-nextest") {
                return Self { id: at, started: stat.started };
            }
            at = stat.parent;
        }
        Self::ours()
    }
}

/// The few facts of `/proc/<pid>/stat` that matter here. Where there is no such file each process is a run of its own.
struct Stat {
    name: String,
    parent: u32,
    started: u64,
}

impl Stat {
    fn read(id: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name stands in parentheses and may itself hold spaces and parentheses.
        let (head, tail) = text.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = tail.split_whitespace().collect();
        Some(Self { name, parent: fields.get(1)?.parse().ok()?, started: fields.get(19)?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_processes_of_a_run_share_one_folder() {
        let first = ScratchFolder::of_this_run().unwrap();
        let second = ScratchFolder::of_this_run().unwrap();
        assert_eq!(first.path(), second.path());
        assert!(first.path().is_dir());
    }
}
