//! Admin keys that an operator makes: shown once, kept as a hash, and looked up at each call, so that one that ended
//! opens nothing from that moment on, on any node.

use std::time::Duration;

use aws_lc_rs::digest;
use secrecy::SecretString;

use super::{AuditEntry, record, store};
use crate::access::Admin;
use crate::dream::Core;
use crate::error::{Code, Error, Fault, Result};
use crate::kernel::{KeyName, Timestamp};
use crate::ports::EntropyExt as _;
use crate::store::{Change, Tx};

/// Stands before every key of ours, so that one that got into the wrong place is recognised there.
const PREFIX: &str = "dreamadm_";
/// Characters after the prefix: 32 random bytes in base64.
const TOKEN_LEN: usize = 43;
/// Longest time that a key may go on after another took its place.
const MOST_GRACE: Duration = Duration::from_hours(24 * 30);

/// A key that was made just now. It is not shown again.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::AdminKey;
/// use secrecy::ExposeSecret as _;
///
/// let fresh = world.admin().await.create_key(&"night-shift".parse().unwrap()).await?;
/// // Hand it over now: only its hash is kept.
/// let key = fresh.key.expose_secret();
/// assert!(key.starts_with("dreamadm_"), "so that a scanner for leaked secrets knows it");
/// assert_eq!(world.dream().admin(&AdminKey::new(key), None).await?.key_name().as_str(), "night-shift");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct FreshKey {
    /// How the audit log names whoever holds it.
    pub name: KeyName,
    /// The key itself.
    pub key: SecretString,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What is known of a key that was made.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use std::time::Duration;
///
/// let admin = world.admin().await;
/// let name = "night-shift".parse().unwrap();
/// admin.create_key(&name).await?;
/// world.clock().advance(Duration::from_secs(1));
/// admin.rotate_key(&name, Duration::from_hours(24)).await?;
/// // The former key goes on for a day, so that there is time to put the new one in its place.
/// let keys = admin.keys().await?;
/// assert!(keys.iter().all(|key| key.is_open(world.now())));
/// assert_eq!(keys.iter().filter(|key| key.is_open(world.now().plus_days(1))).count(), 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// How the audit log names whoever holds it.
    pub name: KeyName,
    /// The first digits of its SHA-256, by which its holder can tell which it is.
    pub fingerprint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ceased to open anything, or will.
    pub ends_at: Option<Timestamp>,
}

impl KeyRecord {
    /// Whether it opens the administration at this instant.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.ends_at.is_none_or(|end| end > now)
    }
}

/// The name of a key that an operator made and that has not ended, by its digest.
///
/// What does not have the form of such a key is none, and the database is not asked.
pub(crate) async fn key_named(core: &Core, key: &str, given: &digest::Digest) -> Result<Option<KeyName>> {
    if key.strip_prefix(PREFIX).is_none_or(|token| token.len() != TOKEN_LEN) {
        return Ok(None);
    }
    store::key_named(&mut core.store.db(), &hex::encode(given.as_ref()), core.now()).await
}

impl Admin {
    /// Makes a key of this name. It opens the administration at once, on every node.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Code;
    ///
    /// let admin = world.admin().await;
    /// let name = "night-shift".parse().unwrap();
    /// admin.create_key(&name).await?;
    /// // A second one of this name would make the audit log ambiguous: rotate the first, or end it.
    /// assert_eq!(admin.create_key(&name).await.unwrap_err().code(), Code::InvalidState);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `INVALID_STATE` if there is a key of this name that has not ended.
    pub async fn create_key(&self, name: &KeyName) -> Result<FreshKey> {
        self.issue(name, Succession::First).await
    }

    /// Makes another key of this name. Those before it open nothing once `grace` is over.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::AdminKey;
    /// use secrecy::ExposeSecret as _;
    /// use std::time::Duration;
    ///
    /// let admin = world.admin().await;
    /// let name = "night-shift".parse().unwrap();
    /// let old = admin.create_key(&name).await?.key;
    /// # world.clock().advance(Duration::from_secs(1));
    /// let new = admin.rotate_key(&name, Duration::from_hours(1)).await?.key;
    /// let opens = async |key: &str| world.dream().admin(&AdminKey::new(key), None).await.is_ok();
    /// assert!(opens(old.expose_secret()).await && opens(new.expose_secret()).await);
    /// world.clock().advance(Duration::from_hours(2));
    /// assert!(!opens(old.expose_secret()).await, "its hour is over");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `INVALID_STATE` if there is no key of this name that has not ended; `VALIDATION_FAILED` for a grace of more
    /// than 30 days.
    pub async fn rotate_key(&self, name: &KeyName, grace: Duration) -> Result<FreshKey> {
        if grace > MOST_GRACE {
            let max = i64::try_from(MOST_GRACE.as_secs()).unwrap_or(i64::MAX);
            return Err(Error::invalid_field("grace", Fault::Range { min: 0, max }));
        }
        self.issue(name, Succession::After(grace)).await
    }

    async fn issue(&self, name: &KeyName, succession: Succession) -> Result<FreshKey> {
        let core = &self.core;
        let key = format!("{PREFIX}{}", core.entropy.token());
        let hash = hex::encode(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
        let now = core.now();
        core.store.run(&Issue { admin: self, name, hash: &hash, succession, now }).await?;
        Ok(FreshKey { name: name.clone(), key: SecretString::from(key), created_at: now })
    }

    /// Ends every key of this name at once, on every node.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::{AdminKey, Code};
    /// use secrecy::ExposeSecret as _;
    ///
    /// let admin = world.admin().await;
    /// let name = "night-shift".parse().unwrap();
    /// let fresh = admin.create_key(&name).await?;
    /// admin.revoke_key(&name, Some("it was in a screenshot")).await?;
    /// let refused = world.dream().admin(&AdminKey::new(fresh.key.expose_secret()), None).await.unwrap_err();
    /// assert_eq!(refused.code(), Code::AdminKeyInvalid);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `INVALID_STATE` if there is none that has not ended.
    pub async fn revoke_key(&self, name: &KeyName, reason: Option<&str>) -> Result<()> {
        self.core.store.run(&Revoke { admin: self, name, reason, now: self.core.now() }).await
    }

    /// Every key that was ever made, newest first. Those of the configuration are not among them.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>> {
        store::keys(&mut self.core.store.db()).await
    }
}

#[derive(Debug, Clone, Copy)]
enum Succession {
    First,
    After(Duration),
}

struct Issue<'a> {
    admin: &'a Admin,
    name: &'a KeyName,
    hash: &'a str,
    succession: Succession,
    now: Timestamp,
}

impl Change for Issue<'_> {
    const NAME: &'static str = "admin.issue_key";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        let now = self.now;
        let entry = match self.succession {
            Succession::First => {
                if store::has_open_key(tx, self.name, now).await? {
                    return Err(Code::InvalidState.into());
                }
                AuditEntry::new("admin_key.create", target(self.name))
            }
            Succession::After(grace) => {
                let end = now.plus(grace);
                if !store::has_open_key(tx, self.name, now).await? {
                    return Err(Code::InvalidState.into());
                }
                store::end_keys(tx, self.name, end, now).await?;
                AuditEntry::new("admin_key.rotate", target(self.name))
                    .after(serde_json::json!({ "formerEndsAt": end.to_string() }))
            }
        };
        if !store::insert_key(tx, self.name, self.hash, now).await? {
            return Err(Code::InvalidState.into());
        }
        record(tx, self.admin, entry, now).await
    }
}

struct Revoke<'a> {
    admin: &'a Admin,
    name: &'a KeyName,
    reason: Option<&'a str>,
    now: Timestamp,
}

impl Change for Revoke<'_> {
    const NAME: &'static str = "admin.revoke_key";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        if store::end_keys(tx, self.name, self.now, self.now).await? == 0 {
            return Err(Code::InvalidState.into());
        }
        let entry = AuditEntry::new("admin_key.revoke", target(self.name)).reason(self.reason);
        record(tx, self.admin, entry, self.now).await
    }
}

fn target(name: &KeyName) -> String {
    format!("admin_key:{name}")
}
