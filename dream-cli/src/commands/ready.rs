//! `dream ready`: what a container's health check runs, where there is no other program to ask with.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::serve::near;
use crate::config::{Environment, listening};
use crate::exit::{Exit, Trouble};
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Ready {
    /// Where it listens, where that is not what HOST and PORT say
    #[arg(long, value_name = "ADDRESS")]
    at: Option<SocketAddr>,
}

/// The question and its answer together.
const PATIENCE: Duration = Duration::from_secs(3);
/// The status line is all that is read.
const ENOUGH: usize = 12;

#[derive(Serialize)]
struct Answer {
    ready: bool,
    status: u16,
}

pub(super) async fn run(args: &Ready, output: Output) -> Result<Exit, Trouble> {
    let address = match args.at {
        Some(address) => address,
        None => near(listening(&Environment::load())?),
    };
    let status = match timeout(PATIENCE, ask(address)).await {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => return Err(silent(address, &error.to_string())),
        Err(_) => return Err(silent(address, "it does not answer in time")),
    };
    let answer = Answer { ready: status == 200, status };
    output
        .show(&answer, || if answer.ready { "ready".to_owned() } else { format!("not ready ({status})") })?;
    Ok(if answer.ready { Exit::Done } else { Exit::Unavailable })
}

fn silent(address: SocketAddr, why: &str) -> Trouble {
    Trouble::new(Exit::Unavailable, "UNREACHABLE", format!("asking the server at {address}: {why}"))
}

async fn ask(address: SocketAddr) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; ENOUGH];
    stream.read_exact(&mut head).await?;
    let status = std::str::from_utf8(&head).ok().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    status
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| std::io::Error::other("what answers there is no server of ours"))
}
