//! `dream migrate` and `dream seed`.

use clap::Args;
use dream_core::Dream;
use serde::Serialize;

use super::{Desk, QUIET};
use crate::config::{Environment, Operator};
use crate::exit::{Exit, Trouble};
use crate::output::Output;
use crate::{telemetry, wire};

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Only say how the schema compares; exit code 4 if it is not up to date
    #[arg(long)]
    status: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Schema {
    applied: i64,
    known: i64,
    current: bool,
}

pub(super) async fn migrate(args: &Migrate, output: Output) -> Result<Exit, Trouble> {
    let operator = Operator::require(&Environment::load())?;
    let _log = telemetry::start_logging(&operator.logging, QUIET)?;
    if args.status {
        wire::require_file(&operator.database)?;
    }
    let mut status = Dream::schema(&operator.database).await?;
    if !args.status {
        if status.applied > status.known {
            return Err(wire::schema_trouble(status));
        }
        status = Dream::migrate(&operator.database).await?;
    }
    let schema = Schema { applied: status.applied, known: status.known, current: status.is_current() };
    output.show(&schema, || {
        let state = if schema.current { "up to date" } else { "not up to date" };
        format!("The schema is {state}: migration {} of {}.", schema.applied, schema.known)
    })?;
    Ok(if schema.current { Exit::Done } else { Exit::Refused })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Planted {
    planted: usize,
    left_alone: usize,
}

pub(super) async fn seed(output: Output) -> Result<Exit, Trouble> {
    let desk = Desk::to_look().with_pictures().open().await?;
    let report = desk.dream.plant_seeds().await;
    desk.close().await;
    let report = report?;
    let planted = Planted { planted: report.planted, left_alone: report.left_alone };
    output.show(&planted, || {
        format!("Planted {}, left {} alone that were planted before.", planted.planted, planted.left_alone)
    })?;
    Ok(Exit::Done)
}
