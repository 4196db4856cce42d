//! Templates.
//!
//! ```
//! # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
//! # world.dream().plant_seeds().await?;
//! # let settings = dream_http::Settings { listen: ([127, 0, 0, 1], 0).into(), ..Default::default() };
//! # let server = dream_http::Server::bind(dream_http::App::builder(world.dream().clone(), settings).build()?)?;
//! # let base = format!("http://{}", server.local_addr()?);
//! # let serving = tokio::spawn(server.serve(std::future::pending()));
//! # let alice = world.alice().await;
//! # let (http, token) = (reqwest::Client::new(), alice.tokens().access);
//! # let get = async |path: &str| -> Result<serde_json::Value, reqwest::Error> {
//! #     http.get(format!("{base}{path}")).bearer_auth(&token).send().await?.json().await
//! # };
//! let hot = get("/v1/templates/prompts?category=cartoon").await?;
//! assert_eq!(hot["templates"][0]["category"], "cartoon");
//! # serving.abort();
//! # Ok(())
//! # });
//! ```

use std::str::FromStr;

use dream_core::jobs::{AspectRatio, Mode, PictureUrl, Prompt, Resolution, SampleCount};
use dream_core::kernel::TemplateId;
use dream_core::templates::{
    self, Category, Description, MAX_BATCH, ParamContent, ParamPatch, PreviewImages, PromptContent,
    PromptFilter, PromptPatch, TemplateSet, Title,
};
use dream_core::{Fault, Format};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use super::message::Message;
use crate::input::{Blank, Clearable, Flag, List, OneOf, Parsed, Text, Whole, Word};

/// Most bytes of a batch of templates.
pub const BATCH_BODY: u64 = 2 * 1024 * 1024;

/// A prompt to start from.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_http::wire::templates::PromptTemplate;
///
/// let template = world.nobody().prompt_template(&"portrait_film".parse().unwrap()).await?;
/// let json = serde_json::to_value(PromptTemplate::from(template))?;
/// assert_eq!((&json["title"], &json["category"]), (&"胶片人像".into(), &"portrait".into()));
/// assert_eq!((&json["isHot"], &json["usageCount"]), (&true.into(), &0.into()));
/// # Ok(())
/// # });
/// ```
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
        let said = StoredPrompt::new(&template.template_id, &template.content);
        Self {
            id: template.id,
            template_id: said.template_id,
            title: said.title,
            description: said.description,
            prompt: said.prompt,
            category: said.category,
            thumbnail_url: said.thumbnail_url,
            preview_images: said.preview_images,
            usage_count: template.usage_count,
            is_hot: said.is_hot,
        }
    }
}

/// A set of parameters.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_http::wire::templates::ParamTemplate;
///
/// let mut templates = world.nobody().param_templates().await?;
/// let json = serde_json::to_value(ParamTemplate::from(templates.remove(0)))?;
/// assert!(json["mode"] == "final" || json["mode"] == "draft");
/// assert!(json["sampleCount"].is_null() || json["sampleCount"].is_i64(), "null is up to the request");
/// # Ok(())
/// # });
/// ```
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
        let said = StoredParams::new(&template.template_id, &template.content);
        Self {
            id: template.id,
            template_id: said.template_id,
            title: said.title,
            description: said.description,
            thumbnail_url: said.thumbnail_url,
            preview_images: said.preview_images,
            mode: said.mode,
            resolution: said.resolution,
            aspect_ratio: said.aspect_ratio,
            sample_count: said.sample_count,
        }
    }
}

fn all<T, U: From<T>>(templates: Vec<T>) -> Vec<U> {
    templates.into_iter().map(U::from).collect()
}

/// Prompt templates.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::templates::PromptFilter;
/// use dream_http::wire::templates::PromptTemplates;
///
/// let filter = PromptFilter { category: Some("cartoon".to_owned()), trending: false };
/// let json = serde_json::to_value(PromptTemplates::from(world.nobody().prompt_templates(&filter).await?))?;
/// assert_eq!(json["templates"][0]["category"], "cartoon");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct PromptTemplates {
    templates: Vec<PromptTemplate>,
}

impl From<Vec<templates::PromptTemplate>> for PromptTemplates {
    fn from(templates: Vec<templates::PromptTemplate>) -> Self {
        Self { templates: all(templates) }
    }
}

/// One prompt template.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_http::wire::templates::PromptTemplateAnswer;
///
/// let template = world.nobody().prompt_template(&"landscape_ink".parse().unwrap()).await?;
/// let json = serde_json::to_value(PromptTemplateAnswer::from(template))?;
/// assert_eq!(json["template"]["templateId"], "landscape_ink");
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// use dream_http::wire::templates::ParamTemplates;
///
/// let none = serde_json::to_value(ParamTemplates::from(vec![])).unwrap();
/// assert_eq!(none, serde_json::json!({ "templates": [] }));
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct ParamTemplates {
    templates: Vec<ParamTemplate>,
}

impl From<Vec<templates::ParamTemplate>> for ParamTemplates {
    fn from(templates: Vec<templates::ParamTemplate>) -> Self {
        Self { templates: all(templates) }
    }
}

/// One parameter template.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_http::wire::templates::ParamTemplateAnswer;
///
/// let template = world.nobody().param_templates().await?.remove(0);
/// let id = template.template_id.to_string();
/// assert_eq!(serde_json::to_value(ParamTemplateAnswer::from(template))?["template"]["templateId"], id);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct ParamTemplateAnswer {
    template: ParamTemplate,
}

impl From<templates::ParamTemplate> for ParamTemplateAnswer {
    fn from(template: templates::ParamTemplate) -> Self {
        Self { template: template.into() }
    }
}

/// Prompt templates that were made just now.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::templates::NewTemplate;
/// use dream_http::wire::templates::MadePromptTemplates;
///
/// # let content = world.nobody().prompt_template(&"portrait_film".parse().unwrap()).await?.content;
/// let copy = NewTemplate { template_id: "film_2".parse().unwrap(), content };
/// let made = world.admin().await.create_prompt_templates(&[copy]).await?;
/// let json = serde_json::to_value(MadePromptTemplates::from(made))?;
/// assert_eq!((&json["count"], &json["templates"][0]["templateId"]), (&1.into(), &"film_2".into()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct MadePromptTemplates {
    templates: Vec<PromptTemplate>,
    count: usize,
}

impl From<Vec<templates::PromptTemplate>> for MadePromptTemplates {
    fn from(made: Vec<templates::PromptTemplate>) -> Self {
        Self { count: made.len(), templates: all(made) }
    }
}

/// Parameter templates that were made just now.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::templates::NewTemplate;
/// use dream_http::wire::templates::MadeParamTemplates;
///
/// # let content = world.nobody().param_templates().await?.remove(0).content;
/// let copy = NewTemplate { template_id: "wide_2".parse().unwrap(), content };
/// let made = world.admin().await.create_param_templates(&[copy]).await?;
/// let json = serde_json::to_value(MadeParamTemplates::from(made))?;
/// assert_eq!((&json["count"], &json["templates"][0]["templateId"]), (&1.into(), &"wide_2".into()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeParamTemplates {
    templates: Vec<ParamTemplate>,
    count: usize,
}

impl From<Vec<templates::ParamTemplate>> for MadeParamTemplates {
    fn from(made: Vec<templates::ParamTemplate>) -> Self {
        Self { count: made.len(), templates: all(made) }
    }
}

/// How many templates were removed.
///
/// ```
/// use dream_http::problem::Lang;
/// use dream_http::wire::message::Message;
/// use dream_http::wire::templates::Removed;
///
/// let removed = Removed::new(2, Message::new(Lang::En, "已删除", "Deleted"));
/// let json = serde_json::to_value(removed).unwrap();
/// assert_eq!(json, serde_json::json!({ "message": "Deleted", "count": 2 }));
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct Removed {
    /// What was done, for people.
    #[schema(value_type = String)]
    message: &'static str,
    count: usize,
}

impl Removed {
    /// This many.
    ///
    /// ```
    /// use dream_http::problem::Lang;
    /// use dream_http::wire::message::Message;
    /// use dream_http::wire::templates::Removed;
    ///
    /// // Ids that do not exist are passed over, so it may be fewer than were asked for, or none.
    /// let none = Removed::new(0, Message::new(Lang::Zh, "已删除", "Deleted"));
    /// assert_eq!(serde_json::to_value(none).unwrap()["count"], 0);
    /// ```
    pub fn new(count: usize, message: Message) -> Self {
        Self { message: message.message, count }
    }
}

crate::input! {
    /// Which prompt templates are wanted.
    ///
    /// ```
    /// use dream_core::templates::PromptFilter;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::templates::PromptTemplateFilter;
    ///
    /// // `?category=all&trending=true`
    /// let query = serde_json::json!({ "category": "all", "trending": "true" });
    /// let filter = PromptFilter::from(read_value::<PromptTemplateFilter>(query)?);
    /// assert_eq!((filter.category, filter.trending), (None, true));
    /// # Ok::<(), dream_core::Error>(())
    /// ```
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

/// Addresses of examples.
type Previews = List<Parsed<PictureUrl>, 0, { PreviewImages::MAX }>;

fn previews(list: Previews) -> PreviewImages {
    // As many as `Previews` lets in always fit.
    PreviewImages::new(list.0.into_iter().map(|Parsed(url)| url).collect()).unwrap_or_default()
}

/// The number as a count of samples, which its bounds make it.
fn samples(count: Whole<1, { SampleCount::MAX }>) -> SampleCount {
    SampleCount::new(count.0).unwrap_or(SampleCount::ONE)
}

/// The id of a template that is to be made.
///
/// ```
/// use dream_http::wire::templates::FreshId;
///
/// assert!("portrait_film".parse::<FreshId>().is_ok());
/// assert!("batch".parse::<FreshId>().is_err(), "a path has it in the place of an id");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreshId(TemplateId);

impl FreshId {
    /// The word that stands in the place of an id where a path leads to batches.
    const TAKEN: &'static str = "batch";
}

impl FromStr for FreshId {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        match text.parse() {
            Ok(id) if text != Self::TAKEN => Ok(Self(id)),
            Ok(_) => Err(Fault::Format(Format::NotBatch)),
            Err(fault) => Err(fault),
        }
    }
}

impl Word for FreshId {
    fn schema() -> Schema {
        TemplateId::schema()
    }
}

crate::input! {
    /// A prompt template that is to be made.
    ///
    /// ```
    /// use dream_core::Facts;
    /// use dream_core::templates;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::templates::NewPromptTemplate;
    ///
    /// let new = templates::NewPromptTemplate::from(read_value::<NewPromptTemplate>(serde_json::json!({
    ///     "templateId": "portrait_film",
    ///     "title": "胶片人像",
    ///     "prompt": "film portrait by a window",
    ///     "category": "portrait",
    /// }))?);
    /// assert!(!new.content.is_hot && new.content.description.is_none());
    /// let refused = read_value::<NewPromptTemplate>(serde_json::json!({ "templateId": "portrait_film" }));
    /// assert!(matches!(refused.unwrap_err().facts(), Facts::Fields(faults) if faults.len() == 3));
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct NewPromptTemplate {
        /// The id that clients use.
        pub template_id: Parsed<FreshId>,
        /// Its name, for people.
        pub title: Parsed<Title>,
        /// What it is for.
        pub description: Blank<Description>,
        /// The prompt.
        pub prompt: Parsed<Prompt>,
        /// What kind of picture.
        pub category: Parsed<Category>,
        /// A small example.
        pub thumbnail_url: Blank<PictureUrl>,
        /// Examples.
        pub preview_images: Option<Previews>,
        /// Whether it is to be pointed out.
        pub is_hot: Option<bool>,
    }
}

impl From<NewPromptTemplate> for templates::NewPromptTemplate {
    fn from(new: NewPromptTemplate) -> Self {
        let content = PromptContent {
            title: new.title.0,
            description: new.description.0,
            prompt: new.prompt.0,
            category: new.category.0,
            thumbnail_url: new.thumbnail_url.0,
            preview_images: new.preview_images.map(previews).unwrap_or_default(),
            is_hot: new.is_hot.unwrap_or(false),
        };
        Self { template_id: new.template_id.0.0, content }
    }
}

crate::input! {
    /// A parameter template that is to be made.
    ///
    /// ```
    /// use dream_core::jobs::Resolution;
    /// use dream_core::templates;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::templates::NewParamTemplate;
    ///
    /// let wide = serde_json::json!({ "templateId": "wide", "title": "宽幅", "resolution": "2K" });
    /// let new = templates::NewParamTemplate::from(read_value::<NewParamTemplate>(wide)?);
    /// assert_eq!(new.content.resolution, Some(Resolution::TwoK));
    /// assert_eq!(new.content.mode, None, "up to the request");
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct NewParamTemplate {
        /// The id that clients use.
        pub template_id: Parsed<FreshId>,
        /// Its name, for people.
        pub title: Parsed<Title>,
        /// What it is for.
        pub description: Blank<Description>,
        /// A small example.
        pub thumbnail_url: Blank<PictureUrl>,
        /// Examples.
        pub preview_images: Option<Previews>,
        /// How much care is taken; up to the request where it is left out.
        pub mode: Option<OneOf<Mode>>,
        /// How large; up to the request where it is left out.
        pub resolution: Option<OneOf<Resolution>>,
        /// Which shape; up to the request where it is left out.
        pub aspect_ratio: Option<OneOf<AspectRatio>>,
        /// How many pictures; up to the request where it is left out.
        pub sample_count: Option<Whole<1, { SampleCount::MAX }>>,
    }
}

impl From<NewParamTemplate> for templates::NewParamTemplate {
    fn from(new: NewParamTemplate) -> Self {
        let content = ParamContent {
            title: new.title.0,
            description: new.description.0,
            thumbnail_url: new.thumbnail_url.0,
            preview_images: new.preview_images.map(previews).unwrap_or_default(),
            mode: new.mode.map(|OneOf(mode)| mode),
            resolution: new.resolution.map(|OneOf(resolution)| resolution),
            aspect_ratio: new.aspect_ratio.map(|OneOf(ratio)| ratio),
            sample_count: new.sample_count.map(samples),
        };
        Self { template_id: new.template_id.0.0, content }
    }
}

crate::input! {
    /// What of a prompt template is to change. What is left out stays.
    ///
    /// ```
    /// use dream_core::kernel::Patch;
    /// use dream_core::templates::PromptPatch;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::templates::UpdatePromptTemplate;
    ///
    /// let update: UpdatePromptTemplate =
    ///     read_value(serde_json::json!({ "description": null, "isHot": false }))?;
    /// let patch = PromptPatch::from(update);
    /// assert_eq!((patch.description, patch.is_hot), (Patch::Clear, Some(false)));
    /// assert_eq!((patch.title, patch.thumbnail_url), (None, Patch::Keep), "left out: they stay");
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct UpdatePromptTemplate {
        /// A new name, for people.
        pub title: Option<Parsed<Title>>,
        /// What it is for; null removes it.
        pub description: Clearable<Parsed<Description>>,
        /// Another prompt.
        pub prompt: Option<Parsed<Prompt>>,
        /// Another kind of picture.
        pub category: Option<Parsed<Category>>,
        /// Another small example; null removes it.
        pub thumbnail_url: Clearable<Parsed<PictureUrl>>,
        /// Other examples, in place of all of them.
        pub preview_images: Option<Previews>,
        /// Whether it is to be pointed out.
        pub is_hot: Option<bool>,
    }
}

impl From<UpdatePromptTemplate> for PromptPatch {
    fn from(update: UpdatePromptTemplate) -> Self {
        Self {
            title: update.title.map(|Parsed(title)| title),
            description: update.description.0.map(|Parsed(text)| text),
            prompt: update.prompt.map(|Parsed(prompt)| prompt),
            category: update.category.map(|Parsed(category)| category),
            thumbnail_url: update.thumbnail_url.0.map(|Parsed(url)| url),
            preview_images: update.preview_images.map(previews),
            is_hot: update.is_hot,
        }
    }
}

crate::input! {
    /// What of a parameter template is to change. What is left out stays.
    ///
    /// ```
    /// use dream_core::jobs::Mode;
    /// use dream_core::kernel::Patch;
    /// use dream_core::templates::ParamPatch;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::templates::UpdateParamTemplate;
    ///
    /// let update: UpdateParamTemplate =
    ///     read_value(serde_json::json!({ "mode": "draft", "sampleCount": null }))?;
    /// let patch = ParamPatch::from(update);
    /// assert_eq!(patch.mode, Patch::Set(Mode::Draft));
    /// assert_eq!(patch.sample_count, Patch::Clear, "up to the request from now on");
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct UpdateParamTemplate {
        /// A new name, for people.
        pub title: Option<Parsed<Title>>,
        /// What it is for; null removes it.
        pub description: Clearable<Parsed<Description>>,
        /// Another small example; null removes it.
        pub thumbnail_url: Clearable<Parsed<PictureUrl>>,
        /// Other examples, in place of all of them.
        pub preview_images: Option<Previews>,
        /// How much care is taken; null leaves it to the request.
        pub mode: Clearable<OneOf<Mode>>,
        /// How large; null leaves it to the request.
        pub resolution: Clearable<OneOf<Resolution>>,
        /// Which shape; null leaves it to the request.
        pub aspect_ratio: Clearable<OneOf<AspectRatio>>,
        /// How many pictures; null leaves it to the request.
        pub sample_count: Clearable<Whole<1, { SampleCount::MAX }>>,
    }
}

impl From<UpdateParamTemplate> for ParamPatch {
    fn from(update: UpdateParamTemplate) -> Self {
        Self {
            title: update.title.map(|Parsed(title)| title),
            description: update.description.0.map(|Parsed(text)| text),
            thumbnail_url: update.thumbnail_url.0.map(|Parsed(url)| url),
            preview_images: update.preview_images.map(previews),
            mode: update.mode.0.map(|OneOf(mode)| mode),
            resolution: update.resolution.0.map(|OneOf(resolution)| resolution),
            aspect_ratio: update.aspect_ratio.0.map(|OneOf(ratio)| ratio),
            sample_count: update.sample_count.0.map(samples),
        }
    }
}

crate::input! {
    /// Prompt templates that are to be made, all or none.
    ///
    /// ```
    /// use dream_core::templates::MAX_BATCH;
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::templates::NewPromptTemplates;
    ///
    /// let refused = read_value::<NewPromptTemplates>(serde_json::json!({ "templates": [] })).unwrap_err();
    /// let fault = Fault::Length { min: 1, max: MAX_BATCH }.at("templates");
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![fault]));
    /// ```
    pub struct NewPromptTemplates {
        /// The templates.
        pub templates: List<NewPromptTemplate, 1, MAX_BATCH>,
    }
}

impl From<NewPromptTemplates> for Vec<templates::NewPromptTemplate> {
    fn from(new: NewPromptTemplates) -> Self {
        new.templates.0.into_iter().map(Into::into).collect()
    }
}

crate::input! {
    /// Parameter templates that are to be made, all or none.
    ///
    /// ```
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::templates::NewParamTemplates;
    ///
    /// // A fault is told with its place in the list, and none of the list is made.
    /// let list =
    ///     serde_json::json!({ "templates": [{ "templateId": "a", "title": "A" }, { "templateId": "b" }] });
    /// let refused = read_value::<NewParamTemplates>(list).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::Required.at("templates[1].title")]));
    /// ```
    pub struct NewParamTemplates {
        /// The templates.
        pub templates: List<NewParamTemplate, 1, MAX_BATCH>,
    }
}

impl From<NewParamTemplates> for Vec<templates::NewParamTemplate> {
    fn from(new: NewParamTemplates) -> Self {
        new.templates.0.into_iter().map(Into::into).collect()
    }
}

crate::input! {
    /// Templates that are to be removed.
    ///
    /// ```
    /// use dream_core::kernel::TemplateId;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::templates::TemplateIds;
    ///
    /// let ids: TemplateIds = read_value(serde_json::json!({ "templateIds": ["film_1", "film_2"] }))?;
    /// assert_eq!(Vec::<TemplateId>::from(ids)[1].as_str(), "film_2");
    /// assert!(read_value::<TemplateIds>(serde_json::json!({ "templateIds": [] })).is_err());
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct TemplateIds {
        /// Their ids. Those that do not exist are passed over.
        pub template_ids: List<Parsed<TemplateId>, 1, MAX_BATCH>,
    }
}

impl From<TemplateIds> for Vec<TemplateId> {
    fn from(ids: TemplateIds) -> Self {
        ids.template_ids.0.into_iter().map(|Parsed(id)| id).collect()
    }
}

/// Most templates of one kind in a file.
const FILE_TEMPLATES: usize = 10_000;

crate::input! {
    /// A file of templates, as an export writes it.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::templates::TemplateSet;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::templates::{StoredTemplates, TemplateFile};
    ///
    /// // What an export has written can be read again.
    /// let set = world.admin().await.export_templates().await?;
    /// let file = serde_json::to_value(StoredTemplates::from(&set))?;
    /// assert_eq!(TemplateSet::from(read_value::<TemplateFile>(file)?), set);
    /// # Ok(())
    /// # });
    /// ```
    pub struct TemplateFile {
        /// Prompt templates.
        pub prompts: Option<List<NewPromptTemplate, 0, FILE_TEMPLATES>>,
        /// Parameter templates.
        pub params: Option<List<NewParamTemplate, 0, FILE_TEMPLATES>>,
    }
}

impl From<TemplateFile> for TemplateSet {
    fn from(file: TemplateFile) -> Self {
        let prompts = file.prompts.map(|List(prompts)| prompts).unwrap_or_default();
        let params = file.params.map(|List(params)| params).unwrap_or_default();
        Self {
            prompts: prompts.into_iter().map(Into::into).collect(),
            params: params.into_iter().map(Into::into).collect(),
        }
    }
}

/// Templates as an export writes them: what [`TemplateFile`] reads.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_http::wire::templates::StoredTemplates;
///
/// let set = world.admin().await.export_templates().await?;
/// let json = serde_json::to_value(StoredTemplates::from(&set))?;
/// assert_eq!(json["prompts"].as_array().map(Vec::len), Some(set.prompts.len()));
/// assert!(json["prompts"][0]["usageCount"].is_null(), "what the program counts is no part of the file");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize)]
pub struct StoredTemplates {
    prompts: Vec<StoredPrompt>,
    params: Vec<StoredParams>,
}

impl From<&TemplateSet> for StoredTemplates {
    fn from(set: &TemplateSet) -> Self {
        Self {
            prompts: set.prompts.iter().map(|it| StoredPrompt::new(&it.template_id, &it.content)).collect(),
            params: set.params.iter().map(|it| StoredParams::new(&it.template_id, &it.content)).collect(),
        }
    }
}

/// A prompt template as an export writes it.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_http::wire::templates::StoredPrompt;
///
/// let template = world.nobody().prompt_template(&"portrait_film".parse().unwrap()).await?;
/// let json = serde_json::to_value(StoredPrompt::new(&template.template_id, &template.content))?;
/// assert_eq!((&json["templateId"], &json["isHot"]), (&"portrait_film".into(), &true.into()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredPrompt {
    template_id: String,
    title: String,
    description: Option<String>,
    prompt: String,
    category: String,
    thumbnail_url: Option<String>,
    preview_images: Vec<String>,
    is_hot: bool,
}

impl StoredPrompt {
    /// The template with this id that says this.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_http::wire::templates::StoredPrompt;
    ///
    /// # let content = world.nobody().prompt_template(&"portrait_film".parse().unwrap()).await?.content;
    /// // The same text under an id of another installation.
    /// let json = serde_json::to_value(StoredPrompt::new(&"film_2".parse().unwrap(), &content))?;
    /// assert_eq!((&json["templateId"], &json["title"]), (&"film_2".into(), &"胶片人像".into()));
    /// # Ok(())
    /// # });
    /// ```
    pub fn new(id: &TemplateId, content: &PromptContent) -> Self {
        Self {
            template_id: id.to_string(),
            title: content.title.as_str().to_owned(),
            description: content.description.as_ref().map(|text| text.as_str().to_owned()),
            prompt: content.prompt.as_str().to_owned(),
            category: content.category.as_str().to_owned(),
            thumbnail_url: content.thumbnail_url.as_ref().map(|url| url.as_str().to_owned()),
            preview_images: content.preview_images.as_strs().into_iter().map(str::to_owned).collect(),
            is_hot: content.is_hot,
        }
    }
}

/// A parameter template as an export writes it.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_http::wire::templates::StoredParams;
///
/// let template = world.nobody().param_templates().await?.remove(0);
/// let json = serde_json::to_value(StoredParams::new(&template.template_id, &template.content))?;
/// assert_eq!(json["title"], template.content.title.as_str());
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredParams {
    template_id: String,
    title: String,
    description: Option<String>,
    thumbnail_url: Option<String>,
    preview_images: Vec<String>,
    mode: Option<&'static str>,
    resolution: Option<&'static str>,
    aspect_ratio: Option<&'static str>,
    sample_count: Option<i64>,
}

impl StoredParams {
    /// The template with this id that says this.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::jobs::Resolution;
    /// use dream_http::wire::templates::StoredParams;
    ///
    /// # let mut content = world.nobody().param_templates().await?.remove(0).content;
    /// content.resolution = Some(Resolution::TwoK);
    /// let json = serde_json::to_value(StoredParams::new(&"sharp".parse().unwrap(), &content))?;
    /// assert_eq!((&json["templateId"], &json["resolution"]), (&"sharp".into(), &"2K".into()));
    /// # Ok(())
    /// # });
    /// ```
    pub fn new(id: &TemplateId, content: &ParamContent) -> Self {
        Self {
            template_id: id.to_string(),
            title: content.title.as_str().to_owned(),
            description: content.description.as_ref().map(|text| text.as_str().to_owned()),
            thumbnail_url: content.thumbnail_url.as_ref().map(|url| url.as_str().to_owned()),
            preview_images: content.preview_images.as_strs().into_iter().map(str::to_owned).collect(),
            mode: content.mode.map(Mode::as_str),
            resolution: content.resolution.map(Resolution::as_str),
            aspect_ratio: content.aspect_ratio.map(AspectRatio::as_str),
            sample_count: content.sample_count.map(SampleCount::get),
        }
    }
}
