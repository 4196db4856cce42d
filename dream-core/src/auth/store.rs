//! Logins (token families) and refresh tokens.
//!
//! A family is one login. A rotation spends one token and adds its successor, which is derived from the spent token under
//! a key of the server; so the pair can be returned again without storing a token. Tokens are stored as SHA-256 only.

use aws_lc_rs::{digest, hmac};
use secrecy::{ExposeSecret as _, SecretString};

use super::FamilyId;
use crate::error::Result;
use crate::kernel::{Timestamp, UserId, derive_key};
use crate::ports::{Entropy, EntropyExt as _};
use crate::store::{Db, Sql, Tx, for_update};

/// A login that is on record.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use std::time::Duration;
///
/// # let alice = world.alice().await;
/// # alice.session().await.logout().await?;
/// # alice.log_in_again().await;
/// let logins = world.admin().await.export_user(alice.id()).await?.logins;
/// let ended = logins.iter().find(|login| login.ended_at.is_some()).ok_or("nobody logged out")?;
/// assert_eq!(ended.reason.as_deref(), Some("LOGOUT"));
/// assert_eq!(ended.expires_at.since(ended.at), Duration::from_hours(30 * 24), "as the refresh token lives");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRecord {
    /// When.
    pub at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was ended before its time.
    pub ended_at: Option<Timestamp>,
    /// Why it was ended: `LOGOUT`, `REUSE`, `DELETED` or `ADMIN`.
    pub reason: Option<String>,
}

/// A refresh token. It gives the next pair; used again within a minute by the same client it gives the same pair again.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::{Code, RefreshToken};
///
/// # let tokens = world.alice().await.tokens();
/// let guest = world.dream().guest();
/// assert_ne!(guest.refresh(RefreshToken::new(&*tokens.refresh)).await?.refresh, tokens.refresh);
///
/// let unknown = guest.refresh(RefreshToken::new("made up")).await.unwrap_err();
/// assert_eq!(unknown.code(), Code::Unauthenticated);
/// # Ok(())
/// # });
/// ```
pub struct RefreshToken {
    token: SecretString,
    client: Option<String>,
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken")
    }
}

impl RefreshToken {
    /// A token as the client sent it.
    pub fn new(token: impl Into<String>) -> Self {
        Self { token: SecretString::from(token.into()), client: None }
    }

    /// The same, sent by a client that can be told from others by this text, such as a user agent.
    #[must_use]
    pub fn sent_by(self, client: &str) -> Self {
        Self { client: Some(sha256(client)), ..self }
    }

    /// The token that follows this one. It is derived, so a repeated use gives the same one.
    pub(super) fn successor(&self, secret: &SecretString) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, derive_key(secret, "dream/refresh/v1").as_ref());
        Self::new(hex::encode(hmac::sign(&key, self.expose().as_bytes()).as_ref()))
    }

    /// Digest of the client that sent it; empty if unknown.
    pub(super) fn client(&self) -> &str {
        self.client.as_deref().unwrap_or_default()
    }

    pub(super) fn fresh(entropy: &dyn Entropy) -> Self {
        Self::new(entropy.token())
    }

    pub(super) fn expose(&self) -> &str {
        self.token.expose_secret()
    }

    fn hash(&self) -> String {
        sha256(self.expose())
    }
}

fn sha256(text: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

/// A refresh token as it is stored, with the state of its login.
pub(super) struct StoredToken {
    pub(super) family: FamilyId,
    pub(super) user: UserId,
    pub(super) expires_at: Timestamp,
    /// When it was spent, and by which client.
    pub(super) spent: Option<(Timestamp, String)>,
    pub(super) revoked: bool,
    /// When the login began.
    pub(super) began_at: Timestamp,
}

pub(super) async fn is_alive(db: &mut impl Db, user: UserId, family: &FamilyId) -> Result<bool> {
    let row = db
        .optional(
            Sql::new(
                "SELECT u.id FROM users u JOIN token_families f ON f.user_id = u.id \
                 WHERE u.id = $1 AND f.id = $2 AND u.deleted_at IS NULL AND f.revoked_at IS NULL",
            )
            .bind(user.get())
            .bind(family.0.as_str()),
        )
        .await?;
    Ok(row.is_some())
}

pub(super) async fn insert_family(
    tx: &mut Tx,
    family: &FamilyId,
    user: UserId,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<()> {
    tx.execute(
        Sql::new("INSERT INTO token_families (id, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(family.0.as_str())
            .bind(user.get())
            .bind(now)
            .bind(expires_at),
    )
    .await?;
    Ok(())
}

pub(super) async fn insert_token(
    tx: &mut Tx,
    token: &RefreshToken,
    family: &FamilyId,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<()> {
    tx.execute(
        Sql::new(
            "INSERT INTO refresh_tokens (token_hash, family_id, issued_at, expires_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(token.hash())
        .bind(family.0.as_str())
        .bind(now)
        .bind(expires_at),
    )
    .await?;
    tx.execute(
        Sql::new("UPDATE token_families SET expires_at = $2 WHERE id = $1")
            .bind(family.0.as_str())
            .bind(expires_at),
    )
    .await?;
    Ok(())
}

/// The stored token, locked until the transaction ends, so that of two uses at once one is the second.
pub(super) async fn lock_token(tx: &mut Tx, token: &RefreshToken) -> Result<Option<StoredToken>> {
    let row = tx
        .optional(
            for_update!(
                "SELECT t.family_id, t.expires_at, t.spent_at, t.spent_by, f.user_id, f.revoked_at, f.created_at \
                 FROM refresh_tokens t \
                 JOIN token_families f ON f.id = t.family_id WHERE t.token_hash = $1"
            )
            .bind(token.hash()),
        )
        .await?;
    row.map(|row| {
        let spent_by: Option<String> = row.get("spent_by")?;
        let spent_at: Option<Timestamp> = row.get("spent_at")?;
        Ok(StoredToken {
            family: FamilyId(row.get("family_id")?),
            user: row.get("user_id")?,
            expires_at: row.get("expires_at")?,
            spent: spent_at.map(|at| (at, spent_by.unwrap_or_default())),
            revoked: row.get::<Option<Timestamp>>("revoked_at")?.is_some(),
            began_at: row.get("created_at")?,
        })
    })
    .transpose()
}

pub(super) async fn spend_token(tx: &mut Tx, token: &RefreshToken, now: Timestamp) -> Result<()> {
    tx.execute(
        Sql::new("UPDATE refresh_tokens SET spent_at = $2, spent_by = $3 WHERE token_hash = $1")
            .bind(token.hash())
            .bind(now)
            .bind(token.client()),
    )
    .await?;
    Ok(())
}

/// Whether this token was given out.
pub(super) async fn is_stored(tx: &mut Tx, token: &RefreshToken) -> Result<bool> {
    let sql = Sql::new("SELECT family_id FROM refresh_tokens WHERE token_hash = $1").bind(token.hash());
    Ok(tx.optional(sql).await?.is_some())
}

/// When a login began that is alive, locked until the transaction ends.
pub(super) async fn lock_family(tx: &mut Tx, user: UserId, family: &FamilyId) -> Result<Option<Timestamp>> {
    if !is_alive(tx, user, family).await? {
        return Ok(None);
    }
    let sql = for_update!("SELECT created_at FROM token_families WHERE id = $1 AND revoked_at IS NULL");
    tx.optional(sql.bind(family.0.as_str())).await?.map(|row| row.get("created_at")).transpose()
}

/// Forgets the oldest unspent tokens of a login but so many. A forgotten token is unknown; using it revokes nothing.
pub(super) async fn keep_newest(tx: &mut Tx, family: &FamilyId, most: i64) -> Result<()> {
    let sql = Sql::new(
        "DELETE FROM refresh_tokens WHERE family_id = $1 AND spent_at IS NULL AND token_hash NOT IN ( \
         SELECT token_hash FROM refresh_tokens WHERE family_id = $1 AND spent_at IS NULL \
         ORDER BY issued_at DESC, token_hash LIMIT $2)",
    );
    tx.execute(sql.bind(family.0.as_str()).bind(most)).await?;
    Ok(())
}

pub(super) async fn revoke_family(
    tx: &mut Tx,
    family: &FamilyId,
    reason: &str,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        Sql::new(
            "UPDATE token_families SET revoked_at = $2, reason = $3 WHERE id = $1 AND revoked_at IS NULL",
        )
        .bind(family.0.as_str())
        .bind(now)
        .bind(reason),
    )
    .await?;
    Ok(())
}

pub(super) async fn revoke_families_of(
    tx: &mut Tx,
    user: UserId,
    reason: &str,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        Sql::new(
            "UPDATE token_families SET revoked_at = $2, reason = $3 WHERE user_id = $1 AND revoked_at IS NULL",
        )
        .bind(user.get())
        .bind(now)
        .bind(reason),
    )
    .await?;
    Ok(())
}

/// A user's logins that are still on record, oldest first.
pub(crate) async fn logins_of(db: &mut impl Db, user: UserId) -> Result<Vec<LoginRecord>> {
    let sql = Sql::new(
        "SELECT created_at, expires_at, revoked_at, reason FROM token_families WHERE user_id = $1 \
         ORDER BY created_at, id",
    );
    let rows = db.all(sql.bind(user.get())).await?;
    let read = |row: &crate::store::Row| {
        Ok(LoginRecord {
            at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            ended_at: row.get("revoked_at")?,
            reason: row.get("reason")?,
        })
    };
    rows.iter().map(read).collect()
}
