//! `dream migrate` and `dream seed`.

use dream_core::Dream;
use serde::Serialize;

use super::QUIET;
use crate::args::Migrate;
use crate::config::{Environment, Operator, Seeding};
use crate::exit::{Exit, Trouble};
use crate::output::Output;
use crate::{telemetry, wire};

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
    let seeding = Seeding::require(&Environment::load())?;
    let _log = telemetry::start_logging(&seeding.operator.logging, QUIET)?;
    let dream = wire::seeding(seeding).await?;
    let report = dream.plant_seeds().await;
    dream.close().await;
    let report = report?;
    let planted = Planted { planted: report.planted, left_alone: report.left_alone };
    output.show(&planted, || {
        format!("Planted {}, left {} alone that were planted before.", planted.planted, planted.left_alone)
    })?;
    Ok(Exit::Done)
}
