//! Ports of one's own: a painter in place of the image API, a shelf in memory in place of R2, and a purse of coins in
//! place of WeChat Pay. The business does not notice.
//!
//! What a port must keep stands at its methods, and the testkit's conformance suites check it: the test of this
//! example runs the one for shelves.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

mod painter;
mod purse;
mod shelf;

use std::sync::Arc;

use dream_core::adapters::SystemClock;
use dream_core::jobs::{GenerateRequest, MAX_WAIT, Mode};
use dream_core::kernel::Fen;
use dream_core::orders::RechargePoints;
use dream_core::ports::Blobs as _;
use dream_core::{QuotaLimit, Settings};
use dream_examples::{Outcome, Outside, log_in};
use tokio_util::sync::CancellationToken;

pub(crate) use painter::Painter;
pub(crate) use purse::Purse;
pub(crate) use shelf::Shelf;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Told {
    /// Where the picture is.
    pub(crate) url: String,
    /// How large it is.
    pub(crate) bytes: usize,
    /// Points that are left.
    pub(crate) points: i64,
    /// Coins that were taken.
    pub(crate) coins: Fen,
}

/// The program.
#[tokio::main]
pub(crate) async fn main() -> Outcome<()> {
    let Told { url, bytes, points, coins } = run().await?;
    println!("{url} ({bytes} bytes); {points} points are left of those bought for {coins}");
    Ok(())
}

/// Somebody buys points with coins, and spends them on a picture by the painter, which is kept on the shelf.
pub(crate) async fn run() -> Outcome<Told> {
    let outside = Outside::start().await?;
    let clock = Arc::new(SystemClock);
    let (painter, shelf) = (Arc::new(Painter::default()), Arc::new(Shelf::new(clock.clone())));
    let purse = Arc::new(Purse::new(clock));
    let mut settings = Settings { rehost_results: true, ..outside.settings() };
    // Nothing is free here.
    settings.quota.normal = QuotaLimit { daily: 0, monthly: 0 };
    let builder = outside.builder(settings).await?;
    let builder = builder.image_api(painter).blobs(shelf.clone()).pay(purse.clone());
    let (dream, worker) = builder.build().await?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let working = tokio::spawn(async move { worker.run(stopped.cancelled()).await });

    let me = log_in(&dream, "alice").await?;
    let points = RechargePoints::new(10).map_err(|_| "no number of points")?;
    let order = me.recharge(points, Purse::NAME, None).await?.order.order_id;
    purse.pay(&order)?;
    // Looking at the order asks the purse, and what it says takes effect.
    me.order(&order).await?;

    let prompt = "a lighthouse at dusk".parse().map_err(|_| "no prompt")?;
    let request = GenerateRequest { mode: Some(Mode::Draft), ..GenerateRequest::new(prompt) };
    let id = me.generate(&request, None, None).await?.job_id;
    let mut job = me.job(&id).await?;
    // A finished job still changes once, when its pictures were copied to the shelf.
    while !job.result_urls.iter().any(|url| shelf.key_of(url).is_some()) {
        job = me.await_job(&id, MAX_WAIT).await?;
    }
    let url = job.result_urls.remove(0);
    let kept = match shelf.key_of(&url) {
        Some(key) => shelf.get(&key, None).await?,
        None => None,
    };
    let points = me.balance().await?.balance.get();

    stop.cancel();
    working.await?;
    dream.close().await;
    Ok(Told { url, bytes: kept.map_or(0, |blob| blob.bytes.len()), points, coins: purse.taken() })
}
