//! Templates.

use dream_core::jobs::{AspectRatio, Mode, Resolution};
use dream_core::templates::{self, PromptFilter};
use serde::Serialize;
use utoipa::ToSchema;

use crate::input::{Flag, Parsed, Text};

/// A prompt to start from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromptTemplate {
    id: i64,
    template_id: String,
    title: String,
    description: Option<String>,
    prompt: String,
    category: String,
    thumbnail_url: Option<String>,
    preview_images: Vec<String>,
    usage_count: i64,
    is_hot: bool,
}

impl From<templates::PromptTemplate> for PromptTemplate {
    fn from(template: templates::PromptTemplate) -> Self {
        Self {
            id: template.id,
            template_id: template.template_id.to_string(),
            title: template.title,
            description: template.description,
            prompt: template.prompt,
            category: template.category,
            thumbnail_url: template.thumbnail_url,
            preview_images: template.preview_images,
            usage_count: template.usage_count,
            is_hot: template.is_hot,
        }
    }
}

/// A set of parameters.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParamTemplate {
    id: i64,
    template_id: String,
    title: String,
    description: Option<String>,
    thumbnail_url: Option<String>,
    preview_images: Vec<String>,
    #[schema(value_type = Option<String>, example = "final")]
    mode: Option<&'static str>,
    #[schema(value_type = Option<String>, example = "2K")]
    resolution: Option<&'static str>,
    #[schema(value_type = Option<String>, example = "16:9")]
    aspect_ratio: Option<&'static str>,
    sample_count: Option<i64>,
}

impl From<templates::ParamTemplate> for ParamTemplate {
    fn from(template: templates::ParamTemplate) -> Self {
        Self {
            id: template.id,
            template_id: template.template_id.to_string(),
            title: template.title,
            description: template.description,
            thumbnail_url: template.thumbnail_url,
            preview_images: template.preview_images,
            mode: template.mode.map(Mode::as_str),
            resolution: template.resolution.map(Resolution::as_str),
            aspect_ratio: template.aspect_ratio.map(AspectRatio::as_str),
            sample_count: template.sample_count,
        }
    }
}

/// Prompt templates.
#[derive(Debug, Serialize, ToSchema)]
pub struct PromptTemplates {
    templates: Vec<PromptTemplate>,
}

impl From<Vec<templates::PromptTemplate>> for PromptTemplates {
    fn from(templates: Vec<templates::PromptTemplate>) -> Self {
        Self { templates: templates.into_iter().map(PromptTemplate::from).collect() }
    }
}

/// One prompt template.
#[derive(Debug, Serialize, ToSchema)]
pub struct PromptTemplateAnswer {
    template: PromptTemplate,
}

impl From<templates::PromptTemplate> for PromptTemplateAnswer {
    fn from(template: templates::PromptTemplate) -> Self {
        Self { template: template.into() }
    }
}

/// Parameter templates.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParamTemplates {
    templates: Vec<ParamTemplate>,
}

impl From<Vec<templates::ParamTemplate>> for ParamTemplates {
    fn from(templates: Vec<templates::ParamTemplate>) -> Self {
        Self { templates: templates.into_iter().map(ParamTemplate::from).collect() }
    }
}

/// One parameter template.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParamTemplateAnswer {
    template: ParamTemplate,
}

impl From<templates::ParamTemplate> for ParamTemplateAnswer {
    fn from(template: templates::ParamTemplate) -> Self {
        Self { template: template.into() }
    }
}

crate::input! {
    /// Which prompt templates are wanted.
    pub struct PromptTemplateFilter {
        /// Those of this category.
        pub category: Option<Text<1, 64>>,
        /// Only those that are to be pointed out.
        pub trending: Option<Parsed<Flag>>,
    }
}

impl From<PromptTemplateFilter> for PromptFilter {
    fn from(filter: PromptTemplateFilter) -> Self {
        Self {
            category: filter.category.map(|Text(category)| category).filter(|category| category != "all"),
            trending: filter.trending.is_some_and(|Parsed(Flag(trending))| trending),
        }
    }
}
