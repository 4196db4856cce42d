//! The limit on PostgreSQL: `pgbench` with the same statements.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use dream_testkit::backends::TestPostgres;
use sqlx::postgres::PgConnectOptions;

use crate::Fault;

/// Runs the script on so many connections; transactions in a second.
pub(crate) async fn run(
    server: &TestPostgres,
    url: &str,
    script: &str,
    connections: usize,
    span: Duration,
) -> Result<f64, Fault> {
    let options: PgConnectOptions = url.parse()?;
    let database = options.get_database().ok_or("no database")?.to_owned();
    let sockets = server.sockets().to_owned();
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(script.as_bytes())?;
    let path = file.path().to_owned();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(program())
            .args(["-n", "-M", "prepared", "-j", "1", "-c", &connections.to_string()])
            .args(["-T", &span.as_secs().max(1).to_string(), "-f"])
            .arg(path)
            .arg("-h")
            .arg(sockets)
            .args(["-U", "postgres", &database])
            .output()
    })
    .await??;
    let text = String::from_utf8_lossy(&output.stdout);
    let tps =
        text.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok());
    tps.ok_or_else(|| format!("pgbench: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Debian keeps it beside the server, one folder for each version.
fn program() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin/pgbench")).collect();
    found.retain(|path| path.is_file());
    found.sort();
    found.pop().unwrap_or_else(|| "pgbench".into())
}
