//! What an import would do, worked out before it is done.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::content::{Content, NewTemplate, ParamContent, PromptContent};
use crate::error::{Error, Fault, FieldFault, Result};
use crate::kernel::TemplateId;

/// Templates of both kinds, as an export gives them and an import takes them. How often they were used is no part.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// // To carry the templates of one installation to another: export there, plan and apply here.
/// let set = world.admin().await.export_templates().await?;
/// assert_eq!((set.prompts.len(), set.params.len()), (10, 8));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TemplateSet {
    /// Prompt templates, in the order in which they were made.
    pub prompts: Vec<NewTemplate<PromptContent>>,
    /// Parameter templates, in the order in which they were made.
    pub params: Vec<NewTemplate<ParamContent>>,
}

/// What becomes of templates that an import does not name.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::templates::{TemplateSet, Unnamed};
///
/// # let admin = world.admin().await;
/// let nothing = TemplateSet::default();
/// assert!(admin.plan_templates(nothing.clone(), Unnamed::Keep).await?.is_empty());
/// let plan = admin.plan_templates(nothing, Unnamed::Remove).await?;
/// assert_eq!((plan.prompts.removals.len(), plan.params.removals.len()), (10, 8), "all of them would go");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unnamed {
    /// They stay.
    #[default]
    Keep,
    /// They go.
    Remove,
}

/// What an import would do to the templates as they are now.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::templates::Unnamed;
///
/// let admin = world.admin().await;
/// let mut set = admin.export_templates().await?;
/// set.prompts[0].content.is_hot = !set.prompts[0].content.is_hot;
/// let plan = admin.plan_templates(set, Unnamed::Keep).await?;
/// assert_eq!((plan.prompts.changes.len(), plan.prompts.unchanged, plan.params.is_empty()), (1, 9, true));
///
/// // An operator has looked at it. If a template changed meanwhile, this fails with `INVALID_STATE`.
/// admin.apply_template_plan(&plan).await?;
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplatePlan {
    /// To the prompt templates.
    pub prompts: KindPlan<PromptContent>,
    /// To the parameter templates.
    pub params: KindPlan<ParamContent>,
}

/// What an import would do to the templates of one kind.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::templates::Unnamed;
///
/// # let admin = world.admin().await;
/// # let mut set = admin.export_templates().await?;
/// # set.prompts.remove(0);
/// let plan = admin.plan_templates(set, Unnamed::Remove).await?.prompts;
/// println!("+{} ~{} -{}", plan.additions.len(), plan.changes.len(), plan.removals.len());
/// assert_eq!((plan.removals.len(), plan.unchanged), (1, 9));
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::templates::Unnamed;
///
/// # let admin = world.admin().await;
/// # let mut set = admin.export_templates().await?;
/// # set.prompts[0].content.title = "Film".parse().unwrap();
/// let plan = admin.plan_templates(set, Unnamed::Keep).await?;
/// let edit = &plan.prompts.changes[0];
/// let field = &edit.fields()[0];
/// println!("{}: {} {} -> {}", edit.template_id, field.field, field.before, field.after);
/// assert_eq!((field.field, &field.after), ("title", &"Film".into()));
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// use dream_core::templates::FieldChange;
///
/// let change = FieldChange { field: "isHot", before: false.into(), after: true.into() };
/// // The name and the values are those of the `/v1` interface.
/// assert_eq!(format!("{}: {} -> {}", change.field, change.before, change.after), "isHot: false -> true");
/// ```
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
