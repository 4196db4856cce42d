//! What an import would do, worked out before it is done.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::content::{Content, NewTemplate, ParamContent, PromptContent};
use crate::error::{Error, Fault, FieldFault, Result};
use crate::kernel::TemplateId;

/// Templates of both kinds, as an export gives them and an import takes them. How often they were used is no part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TemplateSet {
    /// Prompt templates, in the order in which they were made.
    pub prompts: Vec<NewTemplate<PromptContent>>,
    /// Parameter templates, in the order in which they were made.
    pub params: Vec<NewTemplate<ParamContent>>,
}

/// What becomes of templates that an import does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unnamed {
    /// They stay.
    #[default]
    Keep,
    /// They go.
    Remove,
}

/// What an import would do to the templates as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplatePlan {
    /// To the prompt templates.
    pub prompts: KindPlan<PromptContent>,
    /// To the parameter templates.
    pub params: KindPlan<ParamContent>,
}

/// What an import would do to the templates of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindPlan<C> {
    /// Those that are made.
    pub additions: Vec<NewTemplate<C>>,
    /// Those that come to say something else.
    pub changes: Vec<Edit<C>>,
    /// Those that go, as they are now.
    pub removals: Vec<NewTemplate<C>>,
    /// How many are as they should be.
    pub unchanged: usize,
}

/// A template that comes to say something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit<C> {
    /// Which.
    pub template_id: TemplateId,
    /// What it says now.
    pub before: C,
    /// What it comes to say.
    pub after: C,
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Its name.
    pub field: &'static str,
    /// Its value before.
    pub before: Value,
    /// Its value afterwards.
    pub after: Value,
}

impl<C: Content> Edit<C> {
    /// The fields that differ.
    pub fn fields(&self) -> Vec<FieldChange> {
        let both = self.before.fields().into_iter().zip(self.after.fields());
        both.filter(|((_, before), (_, after))| before != after)
            .map(|((field, before), (_, after))| FieldChange { field, before, after })
            .collect()
    }
}

impl<C> KindPlan<C> {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.additions.is_empty() && self.changes.is_empty() && self.removals.is_empty()
    }
}

impl TemplatePlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.prompts.is_empty() && self.params.is_empty()
    }

    pub(super) fn between(stored: TemplateSet, wanted: TemplateSet, unnamed: Unnamed) -> Result<Self> {
        let mut faults = twice("prompts", &wanted.prompts);
        faults.extend(twice("params", &wanted.params));
        if !faults.is_empty() {
            return Err(Error::invalid(faults));
        }
        Ok(Self {
            prompts: KindPlan::between(stored.prompts, wanted.prompts, unnamed),
            params: KindPlan::between(stored.params, wanted.params, unnamed),
        })
    }
}

impl<C: Content> KindPlan<C> {
    fn between(stored: Vec<NewTemplate<C>>, wanted: Vec<NewTemplate<C>>, unnamed: Unnamed) -> Self {
        let mut plan = Self { additions: vec![], changes: vec![], removals: vec![], unchanged: 0 };
        let named: BTreeSet<TemplateId> = wanted.iter().map(|it| it.template_id.clone()).collect();
        let (kept, unwanted): (Vec<_>, Vec<_>) =
            stored.into_iter().partition(|it| named.contains(&it.template_id));
        let mut kept: BTreeMap<TemplateId, C> =
            kept.into_iter().map(|it| (it.template_id, it.content)).collect();
        for NewTemplate { template_id, content } in wanted {
            match kept.remove(&template_id) {
                None => plan.additions.push(NewTemplate { template_id, content }),
                Some(before) if before == content => plan.unchanged += 1,
                Some(before) => plan.changes.push(Edit { template_id, before, after: content }),
            }
        }
        match unnamed {
            Unnamed::Keep => plan.unchanged += unwanted.len(),
            Unnamed::Remove => plan.removals = unwanted,
        }
        plan
    }
}

/// The ids that stand twice, each at its second place.
fn twice<C>(list: &str, templates: &[NewTemplate<C>]) -> Vec<FieldFault> {
    let mut seen = BTreeSet::new();
    let again = templates.iter().enumerate().filter(|(_, it)| !seen.insert(&it.template_id));
    again.map(|(index, _)| Fault::Duplicate.at(format!("{list}[{index}].templateId"))).collect()
}
