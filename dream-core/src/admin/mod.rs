//! Administration: keys, the audit log, and what admins read of everybody.

mod keys;
mod store;

use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;

use crate::access::Admin;
use crate::dream::Core;
use crate::error::Result;
use crate::kernel::{ListScope, Page, PageRequest, SortKey, Timestamp, UserId};
use crate::store::Tx;
use crate::users::User;
use crate::vip::Level;

pub(crate) use keys::key_named;
pub use keys::{FreshKey, KeyRecord};

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
    store::insert_entries(tx, &[(admin, entry, now)]).await
}

/// As [`record`], for changes of many.
pub(crate) async fn record_all(tx: &mut Tx, entries: &[(&Admin, AuditEntry<'_>, Timestamp)]) -> Result<()> {
    store::insert_entries(tx, entries).await
}

/// Takes the person out of the entries about a user who is deleted: what it was called is nobody's business any more.
pub(crate) async fn forget(tx: &mut Tx, user: UserId) -> Result<()> {
    store::forget_person(tx, user).await
}

/// What an admin did.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::AuditFilter;
/// use dream_core::kernel::{PageRequest, Points};
///
/// # let alice = world.alice().await;
/// let admin = world.admin().await;
/// admin.grant_points(alice.id(), Points::new(50), "a gift").await?;
/// let record = admin.audit_log(&AuditFilter::default(), &PageRequest::default()).await?.items.remove(0);
/// assert_eq!((record.actor.as_str(), record.target), ("ops", format!("user:{}", alice.id())));
/// assert_eq!(record.reason.as_deref(), Some("a gift"));
/// # Ok(())
/// # });
/// ```
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

/// Which entries of the audit log are wanted. What is left out does not matter.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::AuditFilter;
/// use dream_core::kernel::PageRequest;
/// use dream_core::vip::{Level, VipTerm};
///
/// # let alice = world.alice().await;
/// # let admin = world.admin().await;
/// # admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(30), None).await?;
/// # admin.grant_points(alice.id(), dream_core::kernel::Points::new(50), "a gift").await?;
/// // Who has given VIP to this user, and when?
/// let filter = AuditFilter {
///     action: Some("vip.set".to_owned()),
///     target: Some(format!("user:{}", alice.id())),
///     ..AuditFilter::default()
/// };
/// assert_eq!(admin.audit_log(&filter, &PageRequest::default()).await?.items.len(), 1);
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::UserFilter;
/// use dream_core::kernel::PageRequest;
///
/// # let (alice, _bob) = (world.alice().await, world.user("bob").await);
/// let admin = world.admin().await;
/// let search = UserFilter { search: Some(alice.openid().to_owned()), ..UserFilter::default() };
/// let found = admin.users(&search, &PageRequest::default()).await?;
/// assert_eq!((found.items[0].id, found.total), (alice.id(), Some(1)));
/// assert_eq!(admin.users(&UserFilter::default(), &PageRequest::default()).await?.total, Some(2));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Those whose name contains, or whose id, openid or phone is, this text. Upper and lower case are alike, and
    /// `%` and `_` stand for themselves.
    pub search: Option<String>,
    /// Those at this level now.
    pub level: Option<Level>,
}

/// How long the number of users that a search finds is believed: counting them means looking at every name.
const TOTAL_BELIEVED: Duration = Duration::from_secs(30);

impl Admin {
    /// Users, newest first. `total` is exact, except that a search is counted up to row 10 000 only, which is as far
    /// as page numbers go, and at most every half minute.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::UserFilter;
    /// use dream_core::kernel::{Limit, PageRequest};
    /// use dream_core::vip::{Level, VipTerm};
    ///
    /// # let (alice, bob) = (world.alice().await, world.user("bob").await);
    /// let admin = world.admin().await;
    /// admin.set_vip(bob.id(), Level::Vip, VipTerm::Days(30), None).await?;
    /// let filter = UserFilter { level: Some(Level::Vip), ..UserFilter::default() };
    /// let page = admin.users(&filter, &PageRequest::first(Limit::new(50).unwrap())).await?;
    /// assert_eq!(page.items.iter().map(|user| user.id).collect::<Vec<_>>(), [bob.id()]);
    /// # let _ = alice;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `INVALID_CURSOR`.
    pub async fn users(&self, filter: &UserFilter, page: &PageRequest) -> Result<Page<User>> {
        let core = &self.core;
        let wanted = store::WantedUsers::new(filter, core.now());
        let scope = ListScope::of("users")
            .with("search", wanted.search().unwrap_or_default())
            .with("level", filter.level.map_or("", Level::as_str));
        let start = core.cursors.start(&scope, page)?;
        let mut db = core.store.db();
        let rows = store::users(&mut db, &wanted, start, page).await?;
        let mut page = core.cursors.page(&scope, page.limit, rows, |user| SortKey {
            by: user.created_at.as_micros(),
            id: user.id.get(),
        });
        page.total = Some(match wanted.search() {
            None => store::count_users(&mut db, &wanted).await?,
            Some(_) => count_found(core, &wanted).await?,
        });
        Ok(page)
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

/// How many users a search finds, counted now or a moment ago.
async fn count_found(core: &Core, wanted: &store::WantedUsers<'_>) -> Result<i64> {
    let level = wanted.level().map_or("", Level::as_str);
    let what = digest::digest(&digest::SHA256, wanted.search().unwrap_or_default().as_bytes());
    let key = format!("users-found:{level}:{}", hex::encode(what.as_ref()));
    let known = core.cache.get(&key).await.ok().flatten();
    if let Some(count) = known.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok()) {
        return Ok(count);
    }
    let count = store::count_users(&mut core.store.db(), wanted).await?;
    // Without a cache it is counted each time.
    drop(core.cache.set(&key, Bytes::from(count.to_string()), TOTAL_BELIEVED).await);
    Ok(count)
}
