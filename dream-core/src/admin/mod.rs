//! Administration: keys, the audit log, and what admins read of everybody.

mod store;

use crate::access::Admin;
use crate::dream::Core;
use crate::error::Result;
use crate::kernel::{KeyName, ListScope, Page, PageRequest, SortKey, Timestamp};
use crate::store::Tx;
use crate::users::User;

/// What an admin did, before it is written to the log.
#[derive(Debug)]
pub(crate) struct AuditEntry<'a> {
    action: &'static str,
    target: String,
    before: Option<serde_json::Value>,
    after: Option<serde_json::Value>,
    reason: Option<&'a str>,
}

impl<'a> AuditEntry<'a> {
    pub(crate) fn new(action: &'static str, target: String) -> Self {
        Self { action, target, before: None, after: None, reason: None }
    }

    pub(crate) fn before(mut self, value: serde_json::Value) -> Self {
        self.before = Some(value);
        self
    }

    pub(crate) fn after(mut self, value: serde_json::Value) -> Self {
        self.after = Some(value);
        self
    }

    pub(crate) fn reason(mut self, reason: Option<&'a str>) -> Self {
        self.reason = reason;
        self
    }
}

/// Writes the entry as part of the change that it tells of.
pub(crate) async fn record(tx: &mut Tx, admin: &Admin, entry: AuditEntry<'_>, now: Timestamp) -> Result<()> {
    store::insert_entry(tx, admin, &entry, now).await
}

/// The name of an unrevoked key that an operator made, by its hash.
pub(crate) async fn key_named(core: &Core, key_hash: &str) -> Result<Option<KeyName>> {
    store::key_named(&mut core.store.db(), key_hash).await
}

/// What an admin did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Row id.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// The name of the key it was done with.
    pub actor: String,
    /// What, such as `vip.set`.
    pub action: String,
    /// To whom or what, such as `user:7`.
    pub target: String,
    /// How it was, as JSON.
    pub before: Option<serde_json::Value>,
    /// How it is, as JSON.
    pub after: Option<serde_json::Value>,
    /// Why, where it was said.
    pub reason: Option<String>,
    /// The request it came with.
    pub request_id: Option<String>,
}

/// Which entries of the audit log are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Those of this key.
    pub actor: Option<String>,
    /// Those of this action.
    pub action: Option<String>,
    /// Those about this target.
    pub target: Option<String>,
}

/// Which users are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Those whose name contains, or whose id, openid or phone is, this text. Upper and lower case are alike, and
    /// `%` and `_` stand for themselves.
    pub search: Option<String>,
    /// Those at this level now.
    pub level: Option<crate::vip::Level>,
}

impl Admin {
    /// Users, newest first.
    ///
    /// # Errors
    /// `INVALID_CURSOR`.
    pub async fn users(&self, filter: &UserFilter, page: &PageRequest) -> Result<Page<User>> {
        let core = &self.core;
        let scope = ListScope::of("users")
            .with("search", filter.search.as_deref().unwrap_or_default())
            .with("level", filter.level.map_or("", crate::vip::Level::as_str));
        let start = core.cursors.start(&scope, page)?;
        let rows = store::users(&mut core.store.db(), filter, start, page, core.now()).await?;
        Ok(core.cursors.page(&scope, page.limit, rows, |user| SortKey {
            by: user.created_at.as_micros(),
            id: user.id.get(),
        }))
    }

    /// The audit log, newest first.
    ///
    /// # Errors
    /// `INVALID_CURSOR`.
    pub async fn audit_log(&self, filter: &AuditFilter, page: &PageRequest) -> Result<Page<AuditRecord>> {
        let core = &self.core;
        let scope = ListScope::of("audit_log")
            .with("actor", filter.actor.as_deref().unwrap_or_default())
            .with("action", filter.action.as_deref().unwrap_or_default())
            .with("target", filter.target.as_deref().unwrap_or_default());
        let start = core.cursors.start(&scope, page)?;
        let rows = store::audit_log(&mut core.store.db(), filter, start, page).await?;
        Ok(core
            .cursors
            .page(&scope, page.limit, rows, |record| SortKey { by: record.at.as_micros(), id: record.id }))
    }
}
