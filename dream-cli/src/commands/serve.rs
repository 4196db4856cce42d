//! `dream serve`: everything at once, until a signal ends it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use dream_core::{AtStart, Dream, SeedReport, Watch, Worker};
use dream_http::{App, Server};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, timeout};

use crate::banner::{Banner, NOTE};
use crate::config::{Config, ConfigFault, ConfigFaults, Environment, LogFormat, Mode};
use crate::exit::{Exit, Trouble};
use crate::output::{self, Output};
use crate::sandbox::Played;
use crate::spans::Spans;
use crate::{process, supervisor, telemetry, wire};

/// What the server logs unless told otherwise.
const USUAL_LOG: &str = "info";
/// Time for the worker to finish what it began, beyond which a lease lets another one take over.
const WORKER_STOP_LIMIT: Duration = Duration::from_secs(40);

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Refuse to start unless the schema is up to date, instead of bringing it there
    #[arg(long)]
    no_migrate: bool,
    /// Plant the seeds in production too; in development it is done anyway
    #[arg(long)]
    seed: bool,
    /// Refuse to start where credentials are missing, instead of playing the part
    #[arg(long)]
    no_sandbox: bool,
}

/// How often the watch over the books looks.
const WATCH_EVERY: Duration = Duration::from_secs(10);

pub(super) async fn run(args: &Serve, output: Output) -> Result<Exit, Trouble> {
    let (config, report) = Config::require(&Environment::load())?;
    refuse_sandbox(args, &config)?;
    let log = telemetry::start_logging(&config.operator.logging, USUAL_LOG)?;
    let spans = config.collector.as_ref().map(Spans::start).transpose()?;
    let stop = stop_signal()?;

    // First of all: a port that is taken is found before anything is made.
    let door = supervisor::door(&config.http).map_err(|error| no_door(&error))?;
    let address = door.local_addr()?;
    let base_url = config.base_url.clone().unwrap_or_else(|| format!("http://localhost:{}", address.port()));
    let played = Played::start(&config, near_url(address)).await?;
    let mut banner = Banner::new(&config, address, base_url.clone(), played.as_ref());
    banner.notes.extend(report.notes);

    let render = telemetry::start_metrics()?;
    let at_start = if args.no_migrate { AtStart::RequireCurrent } else { AtStart::Migrate };
    let (http, mode, format) = (config.http.clone(), config.mode, config.operator.logging.format);
    let (dream, worker) = wire::server(config, &base_url, at_start, played.as_ref()).await?;
    continue_at_once(&worker).await?;
    banner.created_keys = has_created_key(&dream).await?;
    banner.seeds = seed(&dream, args.seed || mode == Mode::Development).await?;
    let sandbox_rows = played.as_ref().map(Played::rows).unwrap_or_default();
    let app = App::builder(dream.clone(), http).metrics(render).rows(sandbox_rows).build()?;

    tell(&banner, format, output)?;
    let watching = tokio::spawn(watch(dream.watch()));
    let reporting = tokio::spawn(log.report());
    supervisor::ready(banner.address);
    let stop = async {
        stop.await;
        supervisor::stopping();
    };
    let outcome = serve(Server::behind(app, door), worker, stop).await;
    watching.abort();
    reporting.abort();
    if let Some(played) = played {
        played.stop().await;
    }
    dream.close().await;
    if let Some(spans) = spans {
        spans.stop().await;
    }
    tracing::info!("stopped");
    outcome
}

/// Credentials that are missing, where nothing may be played.
fn refuse_sandbox(args: &Serve, config: &Config) -> Result<(), Trouble> {
    if !args.no_sandbox {
        return Ok(());
    }
    let missing = [
        (config.wechat.is_none(), "WECHAT_APPID"),
        (config.image_api.is_none(), "THIRD_PARTY_API_BASE_URL"),
        (config.pay.is_none() && config.mode == Mode::Development, "WECHAT_PAY_MCH_ID"),
    ];
    let faults: Vec<ConfigFault> = missing
        .into_iter()
        .filter(|(missing, _)| *missing)
        .map(|(_, name)| ConfigFault::new(name, "is missing, and --no-sandbox forbids to play the part"))
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(ConfigFaults(faults).into()) }
}

fn no_door(error: &io::Error) -> Trouble {
    let taken = error.kind() == io::ErrorKind::AddrInUse;
    let trouble = Trouble::new(Exit::Failed, "LISTEN", format!("cannot listen on {error}"));
    if taken { trouble.hint("another program has this port; PORT=0 takes any free one") } else { trouble }
}

/// How this machine reaches the server.
fn near_url(address: SocketAddr) -> String {
    format!("http://{}", near(address))
}

/// The address that this machine reaches a server at which listens here.
pub(super) fn near(address: SocketAddr) -> SocketAddr {
    let host: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(host, address.port())
}

/// Whether a key made by `dream admin-key create` opens the administration.
async fn has_created_key(dream: &Dream) -> Result<bool, Trouble> {
    let name = "serve".parse().map_err(|_| Trouble::internal("the operator has no name"))?;
    let keys = dream.operator(name).keys().await;
    let keys = keys.map_err(|error| Trouble::from(error).while_("looking for admin keys"))?;
    Ok(keys.iter().any(|key| key.is_open(dream.now())))
}

async fn seed(dream: &Dream, wanted: bool) -> Result<Option<SeedReport>, Trouble> {
    if !wanted {
        return Ok(None);
    }
    let report = dream.plant_seeds().await;
    report.map(Some).map_err(|error| Trouble::from(error).while_("planting the seeds"))
}

/// People get the banner; logs that programs read get its lines in development, and the notes and one line in production.
fn tell(banner: &Banner, format: LogFormat, output: Output) -> Result<(), Trouble> {
    if format == LogFormat::Pretty || output::has_reader() {
        return output.data(&banner.to_string());
    }
    for (name, text) in banner.rows().into_iter().filter(|(name, _)| *name != NOTE) {
        if banner.mode == Mode::Development {
            tracing::info!(banner = name, "{text}");
        }
    }
    for note in &banner.notes {
        tracing::warn!("{note}");
    }
    tracing::info!(address = %banner.address, version = env!("CARGO_PKG_VERSION"), "ready");
    Ok(())
}

/// Takes over what processes of this machine left behind that were killed.
async fn continue_at_once(worker: &Worker) -> Result<(), Trouble> {
    let tasks = worker.release_leases_of(process::has_ended).await?;
    if tasks > 0 {
        tracing::info!(tasks, "tasks of a process that was killed go on");
    }
    Ok(())
}

/// Serves until a signal comes or the worker dies; then drains the server, and the worker after it, since requests in
/// flight still give it work.
async fn serve(server: Server, worker: Worker, signal: impl Future<Output = ()>) -> Result<Exit, Trouble> {
    let (stop, stopped) = oneshot::channel::<()>();
    let mut working = tokio::spawn(async move {
        // It ends when the sender is dropped, by whomever.
        worker.run(async { drop(stopped.await) }).await;
    });
    let mut died = false;
    let until = async {
        tokio::select! {
            () = signal => {}
            _ = &mut working => died = true,
        }
    };
    server.serve(until).await;
    drop(stop);
    if died {
        return Err(Trouble::new(Exit::Failed, "WORKER", "the worker ended by itself; see the log"));
    }
    finish(working).await;
    Ok(Exit::Done)
}

/// Keeps the gauges that must read 0.
async fn watch(mut watch: Watch) {
    let mut clock = tokio::time::interval(WATCH_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        if let Err(error) = watch.look().await {
            tracing::warn!(error = %error.chain(), "the books could not be looked at");
        }
    }
}

async fn finish(mut working: JoinHandle<()>) {
    if timeout(WORKER_STOP_LIMIT, &mut working).await.is_err() {
        tracing::warn!("the worker did not finish in time; what it began is done again later");
        working.abort();
    }
}

/// Done at the first SIGTERM or SIGINT. Both are caught from now on, so that one that comes early counts.
pub(super) fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
