use std::collections::BTreeSet;

use serde_json::Value;

use super::content::{Content, NewTemplate};
use super::plan::{KindPlan, TemplatePlan};
use super::store::{self, Params, Prompts, Table};
use crate::access::Admin;
use crate::admin::{self, AuditEntry};
use crate::error::{Code, Error, Facts, Result};
use crate::kernel::{TemplateId, Timestamp};
use crate::store::{Change, Tx};

/// Counts one use of a prompt template.
pub(super) struct CountUse<'a> {
    pub(super) id: &'a TemplateId,
}

impl Change for CountUse<'_> {
    const NAME: &'static str = "templates.count_use";
    /// Whether there is such a template.
    type Out = bool;

    async fn apply(&self, tx: &mut Tx) -> Result<bool> {
        store::count_use(tx, self.id).await
    }
}

/// Makes templates, all or none.
pub(super) struct Create<'a, T: Table> {
    pub(super) admin: &'a Admin,
    pub(super) new: &'a [NewTemplate<T::Content>],
    pub(super) now: Timestamp,
}

impl<T: Table> Change for Create<'_, T> {
    const NAME: &'static str = "templates.create";
    type Out = Vec<T::Template>;

    async fn apply(&self, tx: &mut Tx) -> Result<Vec<T::Template>> {
        let (made, taken) = insert_all::<T>(tx, self.admin, self.new, self.now).await?;
        if taken.is_empty() {
            Ok(made)
        } else {
            Err(Error::new(Code::TemplateExists).with_facts(Facts::Templates(taken)))
        }
    }
}

/// Makes those whose ids are free, and tells the others.
async fn insert_all<T: Table>(
    tx: &mut Tx,
    admin: &Admin,
    new: &[NewTemplate<T::Content>],
    now: Timestamp,
) -> Result<(Vec<T::Template>, Vec<TemplateId>)> {
    let (mut made, mut taken) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for template in new {
        let id = &template.template_id;
        let inserted = if seen.insert(id) { T::insert(tx, template, now).await? } else { None };
        match inserted {
            Some(inserted) => {
                record::<T>(tx, admin, T::CREATED, id, None, Some(&template.content), now).await?;
                made.push(inserted);
            }
            None => taken.push(id.clone()),
        }
    }
    Ok((made, taken))
}

/// Changes what a template says.
pub(super) struct Update<'a, T: Table> {
    pub(super) admin: &'a Admin,
    pub(super) id: &'a TemplateId,
    pub(super) patch: &'a T::Patch,
    pub(super) now: Timestamp,
}

impl<T: Table> Change for Update<'_, T> {
    const NAME: &'static str = "templates.update";
    type Out = Option<T::Template>;

    async fn apply(&self, tx: &mut Tx) -> Result<Option<T::Template>> {
        let Some(before) = T::lock(tx, self.id).await? else { return Ok(None) };
        let after = T::patched(self.patch, T::content(&before).clone());
        rewrite::<T>(tx, self.admin, self.id, T::content(&before), &after, self.now).await?;
        T::find(tx, self.id).await
    }
}

async fn rewrite<T: Table>(
    tx: &mut Tx,
    admin: &Admin,
    id: &TemplateId,
    before: &T::Content,
    after: &T::Content,
    now: Timestamp,
) -> Result<()> {
    if before == after {
        return Ok(());
    }
    T::update(tx, id, after, now).await?;
    record::<T>(tx, admin, T::UPDATED, id, Some(before), Some(after), now).await
}

/// Removes templates; those that are not there are passed over.
pub(super) struct Delete<'a, T: Table> {
    pub(super) admin: &'a Admin,
    pub(super) ids: &'a [TemplateId],
    pub(super) now: Timestamp,
    pub(super) table: std::marker::PhantomData<T>,
}

impl<T: Table> Change for Delete<'_, T> {
    const NAME: &'static str = "templates.delete";
    /// How many there were.
    type Out = usize;

    async fn apply(&self, tx: &mut Tx) -> Result<usize> {
        let mut gone = 0;
        for id in self.ids {
            let Some(before) = T::lock(tx, id).await? else { continue };
            remove::<T>(tx, self.admin, id, T::content(&before), self.now).await?;
            gone += 1;
        }
        Ok(gone)
    }
}

async fn remove<T: Table>(
    tx: &mut Tx,
    admin: &Admin,
    id: &TemplateId,
    before: &T::Content,
    now: Timestamp,
) -> Result<()> {
    T::delete(tx, id).await?;
    record::<T>(tx, admin, T::DELETED, id, Some(before), None, now).await
}

/// Does what a plan says, if the templates are still as they were when it was made.
pub(super) struct ApplyPlan<'a> {
    pub(super) admin: &'a Admin,
    pub(super) plan: &'a TemplatePlan,
    pub(super) now: Timestamp,
}

impl Change for ApplyPlan<'_> {
    const NAME: &'static str = "templates.apply_plan";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        self.apply_to::<Prompts>(tx, &self.plan.prompts).await?;
        self.apply_to::<Params>(tx, &self.plan.params).await
    }
}

impl ApplyPlan<'_> {
    async fn apply_to<T: Table>(&self, tx: &mut Tx, plan: &KindPlan<T::Content>) -> Result<()> {
        let (admin, now) = (self.admin, self.now);
        for gone in &plan.removals {
            expect::<T>(tx, &gone.template_id, &gone.content).await?;
            remove::<T>(tx, admin, &gone.template_id, &gone.content, now).await?;
        }
        for edit in &plan.changes {
            expect::<T>(tx, &edit.template_id, &edit.before).await?;
            rewrite::<T>(tx, admin, &edit.template_id, &edit.before, &edit.after, now).await?;
        }
        let (_, taken) = insert_all::<T>(tx, admin, &plan.additions, now).await?;
        if taken.is_empty() { Ok(()) } else { Err(outdated()) }
    }
}

async fn expect<T: Table>(tx: &mut Tx, id: &TemplateId, planned: &T::Content) -> Result<()> {
    match T::lock(tx, id).await? {
        Some(template) if T::content(&template) == planned => Ok(()),
        _ => Err(outdated()),
    }
}

fn outdated() -> Error {
    Error::new(Code::InvalidState).while_("applying a plan that is out of date")
}

async fn record<T: Table>(
    tx: &mut Tx,
    admin: &Admin,
    action: &'static str,
    id: &TemplateId,
    before: Option<&T::Content>,
    after: Option<&T::Content>,
    now: Timestamp,
) -> Result<()> {
    let mut entry = AuditEntry::new(action, format!("{}:{id}", T::NOUN));
    if let Some(before) = before {
        entry = entry.before(object(before));
    }
    if let Some(after) = after {
        entry = entry.after(object(after));
    }
    admin::record(tx, admin, entry, now).await
}

fn object(content: &impl Content) -> Value {
    content.fields().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
