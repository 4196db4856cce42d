//! Promises about memory and the start.

use std::sync::Arc;
use std::time::Duration;

use dream_core::adapters::SystemClock;
use dream_testkit::sandbox::{Sandbox, SandboxOptions};
use tokio::net::TcpStream;

use crate::report::{Promise, median};
use crate::server::Server;
use crate::{Fault, Measured, Plan};

const MIB: f64 = 1024.0 * 1024.0;

pub(crate) async fn memory() -> Measured {
    let outside = outside().await?;
    let server = Server::alone(&outside).await?;
    let idle = settled(&server).await?;
    let mut connections = Vec::new();
    let mut found = vec![idle];
    for goal in [1_000, 10_000] {
        while connections.len() < goal {
            connections.push(TcpStream::connect(server.address).await.map_err(|fault| {
                format!("{fault} after {} connections; `ulimit -n` may be too low", connections.len())
            })?);
        }
        found.push(settled(&server).await?);
    }
    let holds = found.iter().zip([25.0, 60.0, 200.0]).all(|(found, most)| *found <= most);
    let found: Vec<String> = found.iter().map(|mib| format!("{mib:.0}")).collect();
    Ok(Promise {
        what: "resident memory idle / with 1 000 / with 10 000 idle connections",
        bound: "≤ 25 / 60 / 200 MiB",
        found: format!("{} MiB", found.join(" / ")),
        holds,
    })
}

/// WeChat, WeChat Pay, the image API and R2, played in this process: the server is measured, not its fakes.
async fn outside() -> Result<Sandbox, Fault> {
    Ok(Sandbox::start(SandboxOptions::new(Arc::new(SystemClock))).await?)
}

/// The memory once it no longer grows.
async fn settled(server: &Server) -> Result<f64, Fault> {
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = server.memory()?;
        if now.abs_diff(before) < 64 * 1024 {
            return Ok(now as f64 / MIB);
        }
        before = now;
    }
}

pub(crate) async fn start(plan: Plan) -> Measured {
    let outside = outside().await?;
    let mut server = Server::alone(&outside).await?;
    let mut times = Vec::new();
    for _ in 0..plan.rounds {
        server = server.again().await?;
        times.push(server.started_in.as_secs_f64() * 1000.0);
    }
    let took = median(&mut times);
    Ok(Promise {
        what: "start to ready on an existing SQLite database",
        bound: "≤ 100 ms",
        found: format!("{took:.0} ms"),
        holds: took <= 100.0,
    })
}
