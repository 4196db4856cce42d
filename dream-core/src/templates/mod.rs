//! Templates: prompts to start from, and sets of parameters.

mod store;

use crate::access::Guest;
use crate::error::{Code, Result};
use crate::jobs::{AspectRatio, Mode, Resolution, SampleCount};
use crate::kernel::TemplateId;
use crate::store::Tx;

pub(crate) use store::{insert_param_template, insert_prompt_template, prompt_templates_of};

/// A prompt to start from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptTemplate {
    /// Row id.
    pub id: i64,
    /// The id that clients use.
    pub template_id: TemplateId,
    /// Its name, for people.
    pub title: String,
    /// What it is for.
    pub description: Option<String>,
    /// The prompt.
    pub prompt: String,
    /// What kind of picture.
    pub category: String,
    /// A small example.
    pub thumbnail_url: Option<String>,
    /// Examples.
    pub preview_images: Vec<String>,
    /// How often it was used.
    pub usage_count: i64,
    /// Whether it is to be pointed out.
    pub is_hot: bool,
}

/// A set of parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamTemplate {
    /// Row id.
    pub id: i64,
    /// The id that clients use.
    pub template_id: TemplateId,
    /// Its name, for people.
    pub title: String,
    /// What it is for.
    pub description: Option<String>,
    /// A small example.
    pub thumbnail_url: Option<String>,
    /// Examples.
    pub preview_images: Vec<String>,
    /// How much care is taken.
    pub mode: Option<Mode>,
    /// How large.
    pub resolution: Option<Resolution>,
    /// Which shape.
    pub aspect_ratio: Option<AspectRatio>,
    /// How many pictures.
    pub sample_count: Option<i64>,
}

/// Which prompt templates are wanted.
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

    /// Counts one use of a prompt template. Any number at once all count.
    ///
    /// # Errors
    /// `TEMPLATE_NOT_FOUND`.
    pub async fn count_template_use(&self, id: &TemplateId) -> Result<()> {
        if store::count_use(&mut self.core.store.db(), id).await? {
            Ok(())
        } else {
            Err(Code::TemplateNotFound.into())
        }
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

/// What a template of either kind gives to a generation. Using a prompt template counts.
pub(crate) async fn use_in_generation(tx: &mut Tx, id: &TemplateId) -> Result<Option<Defaults>> {
    if let Some(template) = store::prompt_template(tx, id).await? {
        store::count_use(tx, id).await?;
        return Ok(Some(Defaults { category: Some(template.category), ..Defaults::default() }));
    }
    let template = store::param_template(tx, id).await?;
    Ok(template.map(|template| Defaults {
        category: None,
        mode: template.mode,
        resolution: template.resolution,
        aspect_ratio: template.aspect_ratio,
        sample_count: template.sample_count.and_then(|count| SampleCount::new(count).ok()),
    }))
}
