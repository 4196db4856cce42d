//! What happens, as a stream of events: somebody buys points and generates, and the program hears of it.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::time::Duration;

use dream_core::events::Event;
use dream_core::jobs::GenerateRequest;
use dream_core::orders::{RechargePoints, WECHAT};
use dream_core::vip::{Level, VipTerm};
use dream_core::{Dream, Settings};
use dream_examples::{Outcome, Outside, log_in};
use tokio_util::sync::CancellationToken;

/// The program.
#[tokio::main]
pub(crate) async fn main() -> Outcome<()> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

/// What was heard.
pub(crate) async fn run() -> Outcome<Vec<String>> {
    let outside = Outside::start().await?;
    // Events are kept only where somebody will listen to them.
    let settings = Settings { keep_events: true, ..outside.settings() };
    let (dream, worker) = outside.builder(settings).await?.build().await?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let working = tokio::spawn(async move { worker.run(stopped.cancelled()).await });

    live(&outside, &dream).await?;
    let mut heard = hear(&dream, 3).await?;
    heard.sort();

    stop.cancel();
    working.await?;
    dream.close().await;
    Ok(heard)
}

/// Somebody pays, generates, and is given a level that ends soon.
async fn live(outside: &Outside, dream: &Dream) -> Outcome<()> {
    let me = log_in(dream, "alice").await?;
    let points = RechargePoints::new(50).map_err(|_| "no number of points")?;
    let placed = me.recharge(points, WECHAT, None).await?;
    outside.sandbox.wechat_pay.pay(placed.order.order_id.as_str(), &placed.pay)?;
    // Nothing tells this program of the payment, so it asks.
    me.order(&placed.order.order_id).await?;
    let prompt = "a lighthouse".parse().map_err(|_| "no prompt")?;
    me.generate(&GenerateRequest::new(prompt), None, None).await?;
    let admin = dream.operator("example".parse().map_err(|_| "no name")?);
    admin.set_vip(me.user_id(), Level::Vip, VipTerm::Days(1), None).await?;
    Ok(())
}

/// This is the part that a program of yours has. It may end at any point: what it was not done with is told again.
async fn hear(dream: &Dream, events_wanted: usize) -> Outcome<Vec<String>> {
    let mut events = dream.events()?;
    let mut heard = Vec::new();
    while heard.len() < events_wanted {
        let delivery = tokio::time::timeout(Duration::from_mins(1), events.next()).await?;
        heard.push(match delivery.event() {
            Event::OrderPaid(order) => format!("paid: {} fen", order.amount.get()),
            Event::JobFinished(job) => format!("finished: {}", job.state.as_str()),
            Event::VipEnding(ending) => format!("ending: {}", ending.level.as_str()),
            other => format!("{other:?}"),
        });
        delivery.done().await?;
    }
    Ok(heard)
}
