//! Throwing away what has outlived its use.

use std::sync::Arc;
use std::time::Duration;

use crate::dream::Core;
use crate::error::Result;
use crate::kernel::Timestamp;
use crate::outbox::{self, Next, TaskKind};
use crate::settings::Settings;
use crate::stats;
use crate::store::{Change, Db as _, Sql, Tx};

const EVERY: Duration = Duration::from_hours(1);
/// A client that repeats a request with its idempotency key does so within this time.
const KEEP_IDEMPOTENCY_KEYS: Duration = Duration::from_hours(168);
/// The image API repeats a notice within this time.
const KEEP_WEBHOOK_EVENTS: Duration = Duration::from_hours(720);
/// What was found of a picture that waits for a person is shown for this time.
const KEEP_CONTENT_CHECKS: Duration = Duration::from_hours(2160);
/// A login that ended is told apart from one that never was for this time.
const KEEP_ENDED_LOGINS: Duration = Duration::from_hours(168);

/// Sees to it that the task is in the outbox.
pub(crate) struct Schedule {
    pub(crate) now: Timestamp,
}

impl Change for Schedule {
    const NAME: &'static str = "housekeeping.schedule";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        outbox::enqueue(tx, TaskKind::Housekeeping, "all", self.now.plus(EVERY), self.now).await
    }
}

struct Clean<'a> {
    settings: &'a Settings,
    now: Timestamp,
}

impl Change for Clean<'_> {
    const NAME: &'static str = "housekeeping.clean";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        let statements = [
            ("DELETE FROM idempotency_keys WHERE created_at < $1", KEEP_IDEMPOTENCY_KEYS),
            ("DELETE FROM webhook_events WHERE received_at < $1", KEEP_WEBHOOK_EVENTS),
            ("DELETE FROM content_checks WHERE created_at < $1", KEEP_CONTENT_CHECKS),
            ("DELETE FROM token_families WHERE expires_at < $1", KEEP_ENDED_LOGINS),
            ("DELETE FROM deleted_usage WHERE expires_at < $1", Duration::ZERO),
        ];
        for (text, keep) in statements {
            tx.execute(Sql::new(text).bind(self.now.minus(keep))).await?;
        }
        stats::tidy(tx, self.settings, self.now).await
    }
}

pub(crate) async fn clean(core: &Arc<Core>) -> Result<Next> {
    core.store.run(&Clean { settings: &core.settings, now: core.now() }).await?;
    Ok(Next::After(EVERY))
}
