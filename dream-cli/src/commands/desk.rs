//! The business, opened for one command: no more of the outside than the command needs.

use dream_core::kernel::KeyName;
use dream_core::{Admin, Dream};

use super::QUIET;
use crate::args::Write;
use crate::config::{Environment, Need, Tools};
use crate::exit::Trouble;
use crate::telemetry::Log;
use crate::{telemetry, wire};

/// The stored state, opened for one command.
pub(super) struct Desk {
    pub(super) dream: Dream,
    actor: KeyName,
    _log: Log,
}

/// A desk that is being set up.
#[derive(Debug)]
pub(super) struct Opening {
    actor: Option<KeyName>,
    dry_run: bool,
    need: Need,
}

impl Desk {
    /// For a command that only looks.
    pub(super) fn to_look() -> Opening {
        Opening { actor: None, dry_run: false, need: Need::default() }
    }

    /// For a command that makes this change. Under `--dry-run` the database works it out and takes it back.
    pub(super) fn of(write: &Write) -> Opening {
        Opening { actor: Some(write.actor.clone()), dry_run: write.dry_run, need: Need::default() }
    }

    /// Whoever runs the command.
    pub(super) fn admin(&self) -> Admin {
        self.dream.operator(self.actor.clone())
    }

    pub(super) async fn close(self) {
        self.dream.close().await;
    }
}

impl Opening {
    /// Whether what changes is worked out and taken back.
    pub(super) fn rehearsing(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// With the place where pictures are kept.
    pub(super) fn with_pictures(mut self) -> Self {
        self.need.pictures = true;
        self
    }

    /// With the channel that orders are paid through. A command that cannot do without it fails where there is none.
    pub(super) fn with_payments(mut self) -> Self {
        self.need.payments = true;
        self
    }

    pub(super) async fn open(self) -> Result<Desk, Trouble> {
        let tools = Tools::require(&Environment::load(), self.need)?;
        let log = telemetry::start_logging(&tools.operator.logging, QUIET)?;
        // Who only looks leaves no entry in the audit log, so the name is never seen.
        let actor = self.actor.map_or_else(|| "cli".parse(), Ok);
        let actor = actor.map_err(|_| Trouble::internal("the operator has no name"))?;
        let dream = wire::desk(tools, self.dry_run).await?;
        Ok(Desk { dream, actor, _log: log })
    }
}
