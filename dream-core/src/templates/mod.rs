//! Templates: prompts to start from, and sets of parameters.

mod changes;
mod content;
mod plan;
mod store;

use std::marker::PhantomData;

use crate::access::{Admin, Guest};
use crate::error::{Code, Error, Fault, Result};
use crate::jobs::{AspectRatio, Mode, Resolution, SampleCount};
use crate::kernel::TemplateId;
use crate::store::Tx;
use changes::{ApplyPlan, CountUse, Create, Delete, Update};
use store::{Params, Prompts, Table};

pub use content::{
    Category, Content, Description, NewParamTemplate, NewPromptTemplate, NewTemplate, ParamContent,
    ParamPatch, PreviewImages, PromptContent, PromptPatch, Title,
};
pub use plan::{Edit, FieldChange, KindPlan, TemplatePlan, TemplateSet, Unnamed};
pub(crate) use store::{
    insert_param_template, insert_prompt_template, param_names, prompt_exists, prompt_id, prompt_names,
    prompt_templates_of, take_over_params, take_over_prompt,
};

/// Most templates in one call.
pub const MAX_BATCH: usize = 100;
/// What changes of templates are announced as.
pub(crate) const TOPIC: &str = "templates";

/// A prompt to start from.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::jobs::GenerateRequest;
///
/// let guest = world.nobody();
/// let template = guest.prompt_template(&"portrait_film".parse().unwrap()).await?;
/// // A user starts from its words and changes them; naming it counts the use.
/// let mut request = GenerateRequest::new(template.content.prompt.clone());
/// request.template = Some(template.template_id.clone());
/// world.alice().await.generate(&request).await?;
/// assert_eq!(guest.prompt_template(&template.template_id).await?.usage_count, template.usage_count + 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptTemplate {
    /// Row id.
    pub id: i64,
    /// The id that clients use.
    pub template_id: TemplateId,
    /// What it says.
    pub content: PromptContent,
    /// How often it was used.
    pub usage_count: i64,
}

/// A set of parameters.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::jobs::{AspectRatio, GenerateRequest};
///
/// let template = world.nobody().param_template(&"phone_wallpaper".parse().unwrap()).await?;
/// assert_eq!(template.content.aspect_ratio, Some(AspectRatio::R9x16));
/// // What a request leaves open comes from the template that it names.
/// let mut request = GenerateRequest::new("a quiet lake".parse().unwrap());
/// request.template = Some(template.template_id);
/// let alice = world.alice().await;
/// let job = alice.generate(&request).await?.job_id;
/// assert_eq!(alice.job(&job).await.aspect_ratio, Some(AspectRatio::R9x16));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamTemplate {
    /// Row id.
    pub id: i64,
    /// The id that clients use.
    pub template_id: TemplateId,
    /// What it says.
    pub content: ParamContent,
}

/// Which prompt templates are wanted.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::templates::PromptFilter;
///
/// let guest = world.nobody();
/// let cartoons = PromptFilter { category: Some("cartoon".to_owned()), trending: false };
/// assert_eq!(guest.prompt_templates(&cartoons).await?.len(), 2);
/// let hot = PromptFilter { trending: true, ..cartoons };
/// assert_eq!(guest.prompt_templates(&hot).await?[0].template_id.as_str(), "cartoon_ghibli");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PromptFilter {
    /// Those of this category.
    pub category: Option<String>,
    /// Those that are to be pointed out.
    pub trending: bool,
}

/// What a template gives to a generation that leaves it open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Defaults {
    pub(crate) category: Option<String>,
    pub(crate) mode: Option<Mode>,
    pub(crate) resolution: Option<Resolution>,
    pub(crate) aspect_ratio: Option<AspectRatio>,
    pub(crate) sample_count: Option<SampleCount>,
}

impl Guest {
    /// Prompt templates, most used first.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::templates::PromptFilter;
    ///
    /// let templates = world.nobody().prompt_templates(&PromptFilter::default()).await?;
    /// assert_eq!(templates.len(), 10);
    /// assert!(templates.is_sorted_by_key(|template| -template.usage_count), "most used first");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked.
    pub async fn prompt_templates(&self, filter: &PromptFilter) -> Result<Vec<PromptTemplate>> {
        store::prompt_templates(&mut self.core.store.public(), filter).await
    }

    /// A prompt template.
    ///
    /// # Errors
    /// `TEMPLATE_NOT_FOUND`.
    pub async fn prompt_template(&self, id: &TemplateId) -> Result<PromptTemplate> {
        let found = store::prompt_template(&mut self.core.store.public(), id).await?;
        found.ok_or(Code::TemplateNotFound.into())
    }

    /// Counts one use of a prompt template. Any number at once all count. It is no change of the template, so that
    /// lists which somebody keeps show it when they are next made.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// let guest = world.nobody();
    /// let id = "portrait_film".parse().unwrap();
    /// let before = guest.prompt_template(&id).await?.usage_count;
    /// // A user has copied its words, without generating yet.
    /// guest.count_template_use(&id).await?;
    /// assert_eq!(guest.prompt_template(&id).await?.usage_count, before + 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `TEMPLATE_NOT_FOUND`.
    pub async fn count_template_use(&self, id: &TemplateId) -> Result<()> {
        if self.core.store.run(&CountUse { id }).await? { Ok(()) } else { Err(Code::TemplateNotFound.into()) }
    }

    /// Parameter templates, in the order in which they were made.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked.
    pub async fn param_templates(&self) -> Result<Vec<ParamTemplate>> {
        store::param_templates(&mut self.core.store.public()).await
    }

    /// A parameter template.
    ///
    /// # Errors
    /// `TEMPLATE_NOT_FOUND`.
    pub async fn param_template(&self, id: &TemplateId) -> Result<ParamTemplate> {
        let found = store::param_template(&mut self.core.store.public(), id).await?;
        found.ok_or(Code::TemplateNotFound.into())
    }
}

impl Admin {
    /// Makes prompt templates, at most [`MAX_BATCH`]: all of them or none.
    ///
    /// # Errors
    /// `TEMPLATE_EXISTS` with every id that is taken or stands twice; `VALIDATION_FAILED` for none or too many.
    pub async fn create_prompt_templates(&self, new: &[NewPromptTemplate]) -> Result<Vec<PromptTemplate>> {
        self.create::<Prompts>(new).await
    }

    /// Makes parameter templates, at most [`MAX_BATCH`]: all of them or none.
    ///
    /// # Errors
    /// As [`Admin::create_prompt_templates`].
    pub async fn create_param_templates(&self, new: &[NewParamTemplate]) -> Result<Vec<ParamTemplate>> {
        self.create::<Params>(new).await
    }

    /// Makes one prompt template.
    ///
    /// # Errors
    /// `TEMPLATE_EXISTS`.
    pub async fn create_prompt_template(&self, new: NewPromptTemplate) -> Result<PromptTemplate> {
        self.create::<Prompts>(&[new]).await?.pop().ok_or(Code::Internal.into())
    }

    /// Makes one parameter template.
    ///
    /// # Errors
    /// `TEMPLATE_EXISTS`.
    pub async fn create_param_template(&self, new: NewParamTemplate) -> Result<ParamTemplate> {
        self.create::<Params>(&[new]).await?.pop().ok_or(Code::Internal.into())
    }

    /// Changes what a prompt template says. How often it was used stays.
    ///
    /// # Errors
    /// `TEMPLATE_NOT_FOUND`.
    pub async fn update_prompt_template(
        &self,
        id: &TemplateId,
        patch: &PromptPatch,
    ) -> Result<PromptTemplate> {
        self.update::<Prompts>(id, patch).await
    }

    /// Changes what a parameter template says.
    ///
    /// # Errors
    /// `TEMPLATE_NOT_FOUND`.
    pub async fn update_param_template(&self, id: &TemplateId, patch: &ParamPatch) -> Result<ParamTemplate> {
        self.update::<Params>(id, patch).await
    }

    /// Removes a prompt template.
    ///
    /// # Errors
    /// `TEMPLATE_NOT_FOUND`.
    pub async fn delete_prompt_template(&self, id: &TemplateId) -> Result<()> {
        self.delete_one::<Prompts>(id).await
    }

    /// Removes a parameter template.
    ///
    /// # Errors
    /// `TEMPLATE_NOT_FOUND`.
    pub async fn delete_param_template(&self, id: &TemplateId) -> Result<()> {
        self.delete_one::<Params>(id).await
    }

    /// Removes those prompt templates that there are, in one commit, and tells how many there were.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// let admin = world.admin().await;
    /// let ids = ["portrait_film", "never_there"].map(|id| id.parse().unwrap());
    /// assert_eq!(admin.delete_prompt_templates(&ids).await?, 1, "one of them there was");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for none or more than [`MAX_BATCH`] ids.
    pub async fn delete_prompt_templates(&self, ids: &[TemplateId]) -> Result<usize> {
        self.delete::<Prompts>(ids).await
    }

    /// Removes those parameter templates that there are, in one commit, and tells how many there were.
    ///
    /// # Errors
    /// As [`Admin::delete_prompt_templates`].
    pub async fn delete_param_templates(&self, ids: &[TemplateId]) -> Result<usize> {
        self.delete::<Params>(ids).await
    }

    /// All templates of both kinds, in the order in which they were made.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked.
    pub async fn export_templates(&self) -> Result<TemplateSet> {
        let mut state = self.core.store.snapshot().await?;
        let prompts = store::all_prompts(&mut state).await?.into_iter();
        let params = store::param_templates(&mut state).await?.into_iter();
        Ok(TemplateSet {
            prompts: prompts
                .map(|it| NewTemplate { template_id: it.template_id, content: it.content })
                .collect(),
            params: params
                .map(|it| NewTemplate { template_id: it.template_id, content: it.content })
                .collect(),
        })
    }

    /// What would have to be done for the templates to say what this set says. Nothing is done yet.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` that names every id which stands twice.
    pub async fn plan_templates(&self, wanted: TemplateSet, unnamed: Unnamed) -> Result<TemplatePlan> {
        TemplatePlan::between(self.export_templates().await?, wanted, unnamed)
    }

    /// Does what a plan says, all of it or nothing.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::Code;
    /// use dream_core::templates::{PromptPatch, Unnamed};
    ///
    /// let admin = world.admin().await;
    /// let mut set = admin.export_templates().await?;
    /// set.prompts.retain(|template| template.template_id.as_str() != "portrait_film");
    /// let plan = admin.plan_templates(set, Unnamed::Remove).await?;
    ///
    /// // Meanwhile somebody changes the one that is to go.
    /// let patch = PromptPatch { is_hot: Some(false), ..PromptPatch::default() };
    /// admin.update_prompt_template(&"portrait_film".parse().unwrap(), &patch).await?;
    /// let refused = admin.apply_template_plan(&plan).await.unwrap_err();
    /// assert_eq!(refused.code(), Code::InvalidState, "look at it again");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `INVALID_STATE` if a template that the plan names was changed since the plan was made.
    pub async fn apply_template_plan(&self, plan: &TemplatePlan) -> Result<()> {
        if plan.is_empty() {
            return Ok(());
        }
        let core = &self.core;
        core.store.run(&ApplyPlan { admin: self, plan, now: core.now() }).await?;
        core.announce(TOPIC).await;
        Ok(())
    }

    async fn create<T: Table>(&self, new: &[NewTemplate<T::Content>]) -> Result<Vec<T::Template>> {
        within_batch("templates", new.len())?;
        let core = &self.core;
        let made = core.store.run(&Create::<T> { admin: self, new, now: core.now() }).await?;
        core.announce(TOPIC).await;
        Ok(made)
    }

    async fn update<T: Table>(&self, id: &TemplateId, patch: &T::Patch) -> Result<T::Template> {
        let core = &self.core;
        let changed = core.store.run(&Update::<T> { admin: self, id, patch, now: core.now() }).await?;
        let changed = changed.ok_or(Code::TemplateNotFound)?;
        core.announce(TOPIC).await;
        Ok(changed)
    }

    async fn delete_one<T: Table>(&self, id: &TemplateId) -> Result<()> {
        match self.delete::<T>(std::slice::from_ref(id)).await? {
            0 => Err(Code::TemplateNotFound.into()),
            _ => Ok(()),
        }
    }

    async fn delete<T: Table>(&self, ids: &[TemplateId]) -> Result<usize> {
        within_batch("templateIds", ids.len())?;
        let core = &self.core;
        let change = Delete::<T> { admin: self, ids, now: core.now(), table: PhantomData };
        let gone = core.store.run(&change).await?;
        if gone > 0 {
            core.announce(TOPIC).await;
        }
        Ok(gone)
    }
}

fn within_batch(field: &str, len: usize) -> Result<()> {
    if (1..=MAX_BATCH).contains(&len) {
        Ok(())
    } else {
        Err(Error::invalid_field(field, Fault::Length { min: 1, max: MAX_BATCH }))
    }
}

/// What a template of either kind gives to a generation. Using a prompt template counts.
pub(crate) async fn use_in_generation(tx: &mut Tx, id: &TemplateId) -> Result<Option<Defaults>> {
    if let Some(template) = store::prompt_template(tx, id).await? {
        store::count_use(tx, id).await?;
        let category = Some(template.content.category.as_str().to_owned());
        return Ok(Some(Defaults { category, ..Defaults::default() }));
    }
    let template = store::param_template(tx, id).await?;
    Ok(template.map(|template| Defaults {
        category: None,
        mode: template.content.mode,
        resolution: template.content.resolution,
        aspect_ratio: template.content.aspect_ratio,
        sample_count: template.content.sample_count,
    }))
}
