//! Figures.

use std::time::Duration;

use dream_core::{Admin, Guest, Result, Session};

use crate::input::Query;
use crate::table::{Row, get};
use crate::wire::stats::{AdminStats, Global, Overview, Usage, UsageParameters};

/// How old the figures of everybody may be. Nobody tells of each change.
const KEPT: Duration = Duration::from_secs(15);
const TOPIC: &str = "stats";

pub(crate) fn rows() -> Vec<Row> {
    vec![
        get("/v1/stats/overview", overview).doc("One's figures at length"),
        get("/v1/stats/global", global).doc("What there is in all").public(KEPT, TOPIC),
        get("/v1/stats/usage", usage).doc("What happened, by day or by hour"),
        get("/v1/admin/stats", stats).doc("How the business stands"),
    ]
}

async fn overview(me: Session, (): ()) -> Result<Overview> {
    Ok(me.overview().await?.into())
}

async fn global(guest: Guest, (): ()) -> Result<Global> {
    Ok(guest.totals().await?.into())
}

async fn usage(admin: Admin, Query(parameters): Query<UsageParameters>) -> Result<Usage> {
    Ok(admin.usage(&parameters.into()).await?.into())
}

async fn stats(admin: Admin, (): ()) -> Result<AdminStats> {
    Ok(admin.stats().await?.into())
}
