//! First answers by idempotency key, kept in the commit of the effect.

use crate::error::{Code, Result};
use crate::kernel::{IdempotencyKey, Timestamp, UserId};
use crate::store::{Db as _, Sql, Tx};

/// A request that may be a repeat.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Once<'a> {
    pub(crate) user: UserId,
    /// Which kind of call; keys of different kinds do not meet.
    pub(crate) scope: &'static str,
    pub(crate) key: &'a IdempotencyKey,
    pub(crate) fingerprint: &'a str,
}

/// The id of what the first call made, if this is a repeat; else the key is taken for `subject`.
/// Of two calls at once the second waits here for the first.
///
/// # Errors
/// `IDEMPOTENCY_CONFLICT` if the key was used with another request.
pub(crate) async fn first(
    tx: &mut Tx,
    once: Once<'_>,
    subject: &str,
    now: Timestamp,
) -> Result<Option<String>> {
    let taken = tx
        .execute(
            Sql::new(
                "INSERT INTO idempotency_keys (user_id, scope, key, request_hash, subject, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, scope, key) DO NOTHING",
            )
            .bind(once.user.get())
            .bind(once.scope)
            .bind(once.key.as_str())
            .bind(once.fingerprint)
            .bind(subject)
            .bind(now),
        )
        .await?;
    if taken == 1 {
        return Ok(None);
    }
    let row = tx
        .one(
            Sql::new(
                "SELECT request_hash, subject FROM idempotency_keys WHERE user_id = $1 AND scope = $2 AND key = $3",
            )
            .bind(once.user.get())
            .bind(once.scope)
            .bind(once.key.as_str()),
        )
        .await?;
    if row.get::<String>("request_hash")? == once.fingerprint {
        Ok(Some(row.get("subject")?))
    } else {
        Err(Code::IdempotencyConflict.into())
    }
}
