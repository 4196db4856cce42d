//! VIP: plans, and how one stands.

use std::time::Duration;

use dream_core::{Guest, Result, Session};

use crate::table::{Row, get};
use crate::wire::vip::{Plans, VipInfo};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        get("/v1/vip/plans", plans)
            .doc("What can be bought, shortest first")
            .public(Duration::from_secs(30), "plans"),
        get("/v1/vip/info", info).doc("The level in force, the time left and the quota"),
    ]
}

async fn plans(guest: Guest, (): ()) -> Result<Plans> {
    Ok(guest.plans().await?.into())
}

async fn info(me: Session, (): ()) -> Result<VipInfo> {
    Ok(me.vip().await?.into())
}
