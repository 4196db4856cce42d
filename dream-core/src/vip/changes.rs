//! Units of work on memberships.
//!
//! Every change locks the user's row of `memberships`, reads all of the user's spans, changes them in memory by
//! [`Spans`], and writes the changed spans, the summary in `memberships` and the events about the end of each level in
//! one transaction. Lock order: account, order, membership. Every unit may be run again after a conflict.

use super::spans::{DAY, Span, SpanSource, Spans};
use super::{Level, Membership, VipChange, VipTerm, rules, store};
use crate::access::Admin;
use crate::admin::{self, AuditEntry};
use crate::error::{Code, Result};
use crate::events;
use crate::kernel::{OrderId, Timestamp, UserId};
use crate::settings::Settings;
use crate::store::{Change, Tx};
use crate::users;

/// Gives a new user its membership.
pub(crate) async fn open(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    store::insert(tx, user, now).await
}

/// Changes the spans of a user and everything that follows from them.
async fn amend<T>(
    tx: &mut Tx,
    settings: &Settings,
    user: UserId,
    now: Timestamp,
    change: impl FnOnce(&mut Spans) -> Result<T>,
) -> Result<T> {
    if !store::lock(tx, user).await? {
        return Err(Code::UserNotFound.into());
    }
    let before = store::spans(tx, user).await?;
    let mut after = before.clone();
    let out = change(&mut after)?;
    for (n, span) in after.0.iter().enumerate() {
        if before.0.get(n) != Some(span) {
            store::save_span(tx, user, span, now).await?;
        }
    }
    let membership = after.membership(now);
    store::write(tx, user, membership, now).await?;
    events::keep_ends(tx, settings, user, membership, now).await?;
    Ok(out)
}

/// Removes the time that a deleted user has left.
pub(crate) async fn close(tx: &mut Tx, settings: &Settings, user: UserId, now: Timestamp) -> Result<()> {
    amend(tx, settings, user, now, |spans| {
        spans.clear(now);
        Ok(())
    })
    .await
}

/// Adds the span of a paid order and returns when it is scheduled to end. What was paid is given even if a higher level
/// came in between: then the span waits.
pub(crate) async fn extend(
    tx: &mut Tx,
    settings: &Settings,
    user: UserId,
    order: &OrderId,
    (level, days): (Level, i64),
    now: Timestamp,
) -> Result<Timestamp> {
    let source = SpanSource::Order(order.clone());
    amend(tx, settings, user, now, |spans| {
        Ok(spans.add(level, source, days.saturating_mul(DAY), now).ok_or(Code::Internal)?)
    })
    .await
}

/// Gives a level that somebody had at the original service, as far as the present time of that level does not cover it.
pub(crate) async fn raise(
    tx: &mut Tx,
    settings: &Settings,
    user: UserId,
    (level, until): (Level, Timestamp),
    now: Timestamp,
) -> Result<()> {
    amend(tx, settings, user, now, |spans| {
        let missing = until.as_micros().saturating_sub(now.as_micros()) - spans.left_at(level, now);
        spans.add(level, SpanSource::Grant("import".to_owned()), missing, now);
        Ok(())
    })
    .await
}

/// Removes up to so many days from the span of a refunded order; how many there were, the begun one counted whole.
pub(crate) async fn take_back(
    tx: &mut Tx,
    settings: &Settings,
    user: UserId,
    order: &OrderId,
    days: i64,
    now: Timestamp,
) -> Result<i64> {
    let taken = amend(tx, settings, user, now, |spans| Ok(spans.take(order, days.saturating_mul(DAY), now)));
    Ok(rules::days_in(taken.await?))
}

/// Gives the span of an order the days back that a refund took which then failed.
pub(crate) async fn give_back(
    tx: &mut Tx,
    settings: &Settings,
    user: UserId,
    order: &OrderId,
    days: i64,
    now: Timestamp,
) -> Result<()> {
    amend(tx, settings, user, now, |spans| {
        spans.give_back(order, days.saturating_mul(DAY), now);
        Ok(())
    })
    .await
}

/// Sets or ends a level by hand.
pub(super) struct SetByAdmin<'a> {
    pub(super) admin: &'a Admin,
    pub(super) user: UserId,
    pub(super) to: Option<(Level, VipTerm)>,
    pub(super) reason: Option<&'a str>,
    pub(super) now: Timestamp,
}

impl Change for SetByAdmin<'_> {
    const NAME: &'static str = "vip.set_by_admin";
    type Out = Option<VipChange>;

    async fn apply(&self, tx: &mut Tx) -> Result<Option<VipChange>> {
        let (now, settings) = (self.now, &self.admin.core.settings);
        let Some(user) = users::find(tx, self.user, now).await? else { return Ok(None) };
        let granted_by = SpanSource::Grant(self.admin.key_name.to_string());
        let (before, after) = amend(tx, settings, self.user, now, |spans| {
            let before = spans.open(now);
            match self.to {
                None => spans.clear(now),
                Some((level, VipTerm::Days(days))) => {
                    spans.add(level, granted_by, days.saturating_mul(DAY), now);
                }
                Some((level, VipTerm::Until(until))) => {
                    spans.end_at(level, until, granted_by, now).map_err(|_| Code::VipHigherActive)?;
                }
            }
            Ok((before, spans.open(now)))
        })
        .await?;
        let changed = users::find(tx, self.user, now).await?.ok_or(Code::Internal)?;
        let action = if self.to.is_some() { "vip.set" } else { "vip.cancel" };
        let entry = AuditEntry::new(action, format!("user:{}", self.user))
            .before(describe(user.membership, &before))
            .after(describe(changed.membership, &after))
            .reason(self.reason);
        admin::record(tx, self.admin, entry, now).await?;
        Ok(Some(VipChange { user: changed, before, after }))
    }
}

fn describe(membership: Membership, spans: &[Span]) -> serde_json::Value {
    let spans: Vec<_> = spans
        .iter()
        .map(|span| {
            serde_json::json!({
                "vipLevel": span.level.as_str(),
                "startsAt": span.starts_at.to_string(),
                "endsAt": span.ends_at.to_string(),
            })
        })
        .collect();
    serde_json::json!({
        "vipLevel": membership.level().as_str(),
        "vipExpireAt": membership.expires_at().map(|at| at.to_string()),
        "spans": spans,
    })
}
