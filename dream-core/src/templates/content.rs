//! What templates say, in types that hold only what is allowed.

use serde_json::{Value, json};

use crate::error::Fault;
use crate::jobs::{AspectRatio, Mode, PictureUrl, Prompt, Resolution, SampleCount, Text};
use crate::kernel::{Patch, TemplateId};

/// A template's name, for people: 1 to 100 characters.
pub type Title = Text<100>;
/// What a template is for: 1 to 500 characters.
pub type Description = Text<500>;
/// What kind of picture a prompt makes: 1 to 64 characters.
pub type Category = Text<64>;

/// Addresses of examples, at most ten.
///
/// ```
/// use dream_core::Fault;
/// use dream_core::jobs::PictureUrl;
/// use dream_core::templates::PreviewImages;
///
/// let url: PictureUrl = "https://cdn.example/film.jpg".parse().unwrap();
/// assert_eq!(PreviewImages::new(vec![url.clone()]).unwrap().as_strs(), ["https://cdn.example/film.jpg"]);
/// assert_eq!(PreviewImages::new(vec![url; 11]), Err(Fault::Length { min: 0, max: 10 }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PreviewImages(Vec<PictureUrl>);

impl PreviewImages {
    /// Most examples of one template.
    pub const MAX: usize = 10;

    /// These examples.
    ///
    /// # Errors
    /// [`Fault::Length`] for too many.
    pub fn new(urls: Vec<PictureUrl>) -> Result<Self, Fault> {
        if urls.len() <= Self::MAX { Ok(Self(urls)) } else { Err(Fault::Length { min: 0, max: Self::MAX }) }
    }

    /// The addresses as texts.
    pub fn as_strs(&self) -> Vec<&str> {
        self.0.iter().map(PictureUrl::as_str).collect()
    }
}

/// What a prompt template says.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::Code;
/// use dream_core::templates::{NewPromptTemplate, PreviewImages, PromptContent};
///
/// let content = PromptContent {
///     title: "胶片人像".parse().unwrap(),
///     description: None,
///     prompt: "film portrait, warm afternoon light, soft grain".parse().unwrap(),
///     category: "portrait".parse().unwrap(),
///     thumbnail_url: None,
///     preview_images: PreviewImages::default(),
///     is_hot: true,
/// };
/// let new = NewPromptTemplate { template_id: "film".parse().unwrap(), content };
/// let admin = world.admin().await;
/// admin.create_prompt_template(new.clone()).await?;
/// assert_eq!(admin.create_prompt_template(new).await.unwrap_err().code(), Code::TemplateExists);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptContent {
    /// Its name, for people.
    pub title: Title,
    /// What it is for.
    pub description: Option<Description>,
    /// The prompt.
    pub prompt: Prompt,
    /// What kind of picture.
    pub category: Category,
    /// A small example.
    pub thumbnail_url: Option<PictureUrl>,
    /// Examples.
    pub preview_images: PreviewImages,
    /// Whether it is to be pointed out.
    pub is_hot: bool,
}

/// What a parameter template says.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::jobs::{AspectRatio, Mode, SampleCount};
/// use dream_core::templates::{NewParamTemplate, ParamContent, PreviewImages};
///
/// // Four drafts to choose from. How large is left to whoever uses it.
/// let content = ParamContent {
///     title: "四宫格草图".parse().unwrap(),
///     description: None,
///     thumbnail_url: None,
///     preview_images: PreviewImages::default(),
///     mode: Some(Mode::Draft),
///     resolution: None,
///     aspect_ratio: Some(AspectRatio::R1x1),
///     sample_count: Some(SampleCount::new(4).unwrap()),
/// };
/// let new = NewParamTemplate { template_id: "draft_grid".parse().unwrap(), content };
/// world.admin().await.create_param_template(new).await?;
/// assert_eq!(world.nobody().param_templates().await?.len(), 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamContent {
    /// Its name, for people.
    pub title: Title,
    /// What it is for.
    pub description: Option<Description>,
    /// A small example.
    pub thumbnail_url: Option<PictureUrl>,
    /// Examples.
    pub preview_images: PreviewImages,
    /// How much care is taken.
    pub mode: Option<Mode>,
    /// How large.
    pub resolution: Option<Resolution>,
    /// Which shape.
    pub aspect_ratio: Option<AspectRatio>,
    /// How many pictures.
    pub sample_count: Option<SampleCount>,
}

/// A template that is to be made.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::templates::NewTemplate;
/// use dream_core::{Code, Facts};
///
/// # let admin = world.admin().await;
/// # let template = world.nobody().prompt_template(&"portrait_film".parse().unwrap()).await?;
/// let copy = |id: &str| NewTemplate { template_id: id.parse().unwrap(), content: template.content.clone() };
/// // All or none: one id is taken, so nothing is made, and which one it is is told.
/// let refused = admin.create_prompt_templates(&[copy("film_2"), copy("portrait_film")]).await.unwrap_err();
/// assert_eq!(refused.code(), Code::TemplateExists);
/// assert!(matches!(refused.facts(), Facts::Templates(ids) if ids[0].as_str() == "portrait_film"));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTemplate<C> {
    /// The id that clients use.
    pub template_id: TemplateId,
    /// What it says.
    pub content: C,
}

/// A prompt template that is to be made.
pub type NewPromptTemplate = NewTemplate<PromptContent>;
/// A parameter template that is to be made.
pub type NewParamTemplate = NewTemplate<ParamContent>;

/// What of a prompt template is to change.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::kernel::Patch;
/// use dream_core::templates::PromptPatch;
///
/// let patch = PromptPatch { is_hot: Some(false), description: Patch::Clear, ..PromptPatch::default() };
/// let changed =
///     world.admin().await.update_prompt_template(&"portrait_film".parse().unwrap(), &patch).await?;
/// assert_eq!((changed.content.is_hot, changed.content.description), (false, None));
/// assert_eq!(changed.content.title.as_str(), "胶片人像", "what the patch leaves out stays");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PromptPatch {
    /// A new name.
    pub title: Option<Title>,
    /// Another description, or none.
    pub description: Patch<Description>,
    /// Another prompt.
    pub prompt: Option<Prompt>,
    /// Another kind of picture.
    pub category: Option<Category>,
    /// Another small example, or none.
    pub thumbnail_url: Patch<PictureUrl>,
    /// Other examples, in place of all of them.
    pub preview_images: Option<PreviewImages>,
    /// Whether it is to be pointed out.
    pub is_hot: Option<bool>,
}

/// What of a parameter template is to change.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::jobs::Resolution;
/// use dream_core::kernel::Patch;
/// use dream_core::templates::ParamPatch;
///
/// // Larger, and any shape.
/// let patch = ParamPatch {
///     resolution: Patch::Set(Resolution::TwoK),
///     aspect_ratio: Patch::Clear,
///     ..ParamPatch::default()
/// };
/// let changed = world.admin().await.update_param_template(&"avatar".parse().unwrap(), &patch).await?;
/// assert_eq!((changed.content.resolution, changed.content.aspect_ratio), (Some(Resolution::TwoK), None));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParamPatch {
    /// A new name.
    pub title: Option<Title>,
    /// Another description, or none.
    pub description: Patch<Description>,
    /// Another small example, or none.
    pub thumbnail_url: Patch<PictureUrl>,
    /// Other examples, in place of all of them.
    pub preview_images: Option<PreviewImages>,
    /// How much care is taken, or left open.
    pub mode: Patch<Mode>,
    /// How large, or left open.
    pub resolution: Patch<Resolution>,
    /// Which shape, or left open.
    pub aspect_ratio: Patch<AspectRatio>,
    /// How many pictures, or left open.
    pub sample_count: Patch<SampleCount>,
}

impl PromptPatch {
    pub(super) fn apply(self, before: PromptContent) -> PromptContent {
        PromptContent {
            title: self.title.unwrap_or(before.title),
            description: self.description.apply(before.description),
            prompt: self.prompt.unwrap_or(before.prompt),
            category: self.category.unwrap_or(before.category),
            thumbnail_url: self.thumbnail_url.apply(before.thumbnail_url),
            preview_images: self.preview_images.unwrap_or(before.preview_images),
            is_hot: self.is_hot.unwrap_or(before.is_hot),
        }
    }
}

impl ParamPatch {
    pub(super) fn apply(self, before: ParamContent) -> ParamContent {
        ParamContent {
            title: self.title.unwrap_or(before.title),
            description: self.description.apply(before.description),
            thumbnail_url: self.thumbnail_url.apply(before.thumbnail_url),
            preview_images: self.preview_images.unwrap_or(before.preview_images),
            mode: self.mode.apply(before.mode),
            resolution: self.resolution.apply(before.resolution),
            aspect_ratio: self.aspect_ratio.apply(before.aspect_ratio),
            sample_count: self.sample_count.apply(before.sample_count),
        }
    }
}

/// What a template says, field by field: for the audit log, and to tell what differs.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::templates::Content as _;
///
/// let template = world.nobody().prompt_template(&"portrait_film".parse().unwrap()).await?;
/// // For an audit log or a comparison: the fields by the names that clients know them by.
/// let fields = template.content.fields();
/// assert_eq!(fields[0], ("title", "胶片人像".into()));
/// # Ok(())
/// # });
/// ```
pub trait Content: Clone + PartialEq + Send + Sync + 'static {
    /// The fields and their values, always in the same order.
    fn fields(&self) -> Vec<(&'static str, Value)>;
}

impl Content for PromptContent {
    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("title", json!(self.title.as_str())),
            ("description", json!(self.description.as_ref().map(Text::as_str))),
            ("prompt", json!(self.prompt.as_str())),
            ("category", json!(self.category.as_str())),
            ("thumbnailUrl", json!(self.thumbnail_url.as_ref().map(PictureUrl::as_str))),
            ("previewImages", json!(self.preview_images.as_strs())),
            ("isHot", json!(self.is_hot)),
        ]
    }
}

impl Content for ParamContent {
    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("title", json!(self.title.as_str())),
            ("description", json!(self.description.as_ref().map(Text::as_str))),
            ("thumbnailUrl", json!(self.thumbnail_url.as_ref().map(PictureUrl::as_str))),
            ("previewImages", json!(self.preview_images.as_strs())),
            ("mode", json!(self.mode.map(Mode::as_str))),
            ("resolution", json!(self.resolution.map(Resolution::as_str))),
            ("aspectRatio", json!(self.aspect_ratio.map(AspectRatio::as_str))),
            ("sampleCount", json!(self.sample_count.map(SampleCount::get))),
        ]
    }
}
