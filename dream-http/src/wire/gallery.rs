//! The gallery.
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
//! let page = get("/v1/gallery/images?category=landscape").await?;
//! let image = &page["items"][0];
//! assert_eq!(
//!     (&image["likes"], &image["isLiked"], &image["author"]),
//!     (&0.into(), &false.into(), &().into())
//! );
//! # serving.abort();
//! # Ok(())
//! # });
//! ```

use std::str::FromStr;

use dream_core::Fault;
use dream_core::gallery::{self, CATEGORIES, GalleryFilter, GalleryImage, GallerySort, ImageStatus, Tag};
use dream_core::kernel::JobId;
use dream_core::ports::Verdict;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Schema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::time::At;
use crate::input::{List, OneOf, Parsed, Text, Whole, Word};

/// A picture as everybody may see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    id: i64,
    image_url: String,
    thumbnail_url: String,
    prompt: String,
    category_id: String,
    category: CategoryName,
    tags: Vec<String>,
    likes: i64,
    /// Null when not signed in.
    is_liked: Option<bool>,
    /// Null where the program came with the picture, or the user is gone.
    author: Option<Author>,
    author_id: Option<i64>,
    #[schema(inline)]
    created_at: At,
}

/// A category by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct CategoryName {
    id: String,
    name: String,
}

impl CategoryName {
    fn of(id: &str) -> Self {
        let name = gallery::category(id).map_or(id, |category| category.name);
        Self { id: id.to_owned(), name: name.to_owned() }
    }
}

/// Who published a picture.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Author {
    id: i64,
    nick_name: Option<String>,
    avatar_url: Option<String>,
}

impl From<gallery::Author> for Author {
    fn from(author: gallery::Author) -> Self {
        Self { id: author.id.get(), nick_name: author.nick_name, avatar_url: author.avatar_url }
    }
}

impl From<GalleryImage> for Image {
    fn from(image: GalleryImage) -> Self {
        Self {
            id: image.id.get(),
            image_url: image.image_url,
            thumbnail_url: image.thumbnail_url,
            prompt: image.prompt,
            category: CategoryName::of(&image.category),
            category_id: image.category,
            tags: image.tags,
            likes: image.likes,
            is_liked: image.is_liked,
            author_id: image.author.as_ref().map(|author| author.id.get()),
            author: image.author.map(Author::from),
            created_at: image.created_at.into(),
        }
    }
}

/// One picture.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageAnswer {
    image: Image,
}

impl From<GalleryImage> for ImageAnswer {
    fn from(image: GalleryImage) -> Self {
        Self { image: image.into() }
    }
}

/// A category, or the first one, which stands for all.
#[derive(Debug, Serialize, ToSchema)]
pub struct Category {
    #[schema(value_type = String, example = "portrait")]
    id: &'static str,
    #[schema(value_type = String)]
    name: &'static str,
    #[schema(value_type = String)]
    icon: &'static str,
}

/// Every category.
#[derive(Debug, Serialize, ToSchema)]
pub struct Categories {
    categories: Vec<Category>,
}

impl Categories {
    /// Every category there is.
    pub fn all() -> Self {
        let category = |one: &gallery::Category| Category { id: one.id, name: one.name, icon: one.icon };
        Self { categories: CATEGORIES.iter().map(category).collect() }
    }
}

/// The id of a category; `all` stands for every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CategoryId(pub Option<&'static str>);

const CATEGORY_IDS: &[&str] = &["all", "portrait", "landscape", "cartoon", "abstract"];

impl FromStr for CategoryId {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        match gallery::category(text) {
            Some(category) => Ok(Self(Some(category.id))),
            None if text == "all" => Ok(Self(None)),
            None => Err(Fault::OneOf(CATEGORY_IDS)),
        }
    }
}

impl Word for CategoryId {
    fn schema() -> Schema {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(CATEGORY_IDS.iter().copied())).into()
    }
}

crate::input! {
    /// Which pictures are wanted, and in which order.
    pub struct ImageFilter {
        /// Those of this category.
        pub category: Option<Parsed<CategoryId>>,
        /// Those with this tag.
        pub tag: Option<Text<1, 32>>,
        /// Newest or most liked first.
        pub sort: Option<OneOf<GallerySort>>,
    }
}

impl From<ImageFilter> for GalleryFilter {
    fn from(filter: ImageFilter) -> Self {
        Self {
            category: filter.category.and_then(|Parsed(CategoryId(id))| id),
            tag: filter.tag.map(|Text(tag)| tag),
            sort: filter.sort.map(|OneOf(sort)| sort).unwrap_or_default(),
        }
    }
}

/// Whether one likes a picture, and how many do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Liked {
    /// Whether one does.
    pub liked: bool,
    /// How many do.
    pub total_likes: i64,
}

/// A category that a picture can be published to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnCategory(&'static gallery::Category);

const OWN_CATEGORY_IDS: &[&str] = &["portrait", "landscape", "cartoon", "abstract"];

impl FromStr for OwnCategory {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        gallery::category(text).map(Self).ok_or(Fault::OneOf(OWN_CATEGORY_IDS))
    }
}

impl Word for OwnCategory {
    fn schema() -> Schema {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(OWN_CATEGORY_IDS.iter().copied()))
            .into()
    }
}

/// A tag as somebody wrote it; none if nothing is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoughTag(Option<Tag>);

impl FromStr for RoughTag {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        Tag::clean(text).map(Self)
    }
}

impl Word for RoughTag {
    fn schema() -> Schema {
        ObjectBuilder::new().schema_type(Type::String).max_length(Some(Tag::MAX_LEN)).into()
    }
}

crate::input! {
    /// A result of one's own that is to go public.
    pub struct Publication {
        /// The job, which must have succeeded.
        pub job_id: Parsed<JobId>,
        /// What kind of picture it is.
        pub category_id: Parsed<OwnCategory>,
        /// Words to find it by.
        pub tags: Option<List<Parsed<RoughTag>, 0, { Tag::MOST }>>,
        /// Which of the job's results, from 0; the first unless given.
        pub index: Option<Whole<0, { i64::MAX }>>,
    }
}

impl From<Publication> for gallery::Publication {
    fn from(body: Publication) -> Self {
        let (Parsed(job), Parsed(OwnCategory(category))) = (body.job_id, body.category_id);
        let tags = body.tags.map(|List(tags)| tags).unwrap_or_default();
        Self {
            job,
            index: body.index.map_or(0, |Whole(index)| index),
            category,
            tags: tags.into_iter().filter_map(|Parsed(RoughTag(tag))| tag).collect(),
        }
    }
}

/// A picture as admins see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModeratedImage {
    image: Image,
    /// `PENDING`, `PUBLIC`, `REJECTED` or `REMOVED`.
    #[schema(value_type = String, example = "PENDING")]
    status: &'static str,
    /// Null for what the program came with.
    job_id: Option<String>,
    /// Which of the job's results, from 0.
    result_index: Option<i64>,
    /// Whether that result may not be published again.
    barred: bool,
    /// What the check of prompt and tags found: `PASS`, `REVIEW` or `RISKY`; null where none was made.
    #[schema(value_type = Option<String>, example = "PASS")]
    text_verdict: Option<&'static str>,
    /// What the check of the picture found; null where none was made, or none was decided yet.
    #[schema(value_type = Option<String>, example = "REVIEW")]
    picture_verdict: Option<&'static str>,
    #[schema(inline)]
    updated_at: At,
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Review => "REVIEW",
        Verdict::Risky => "RISKY",
    }
}

impl From<gallery::ModeratedImage> for ModeratedImage {
    fn from(moderated: gallery::ModeratedImage) -> Self {
        Self {
            image: moderated.image.into(),
            status: moderated.status.as_str(),
            job_id: moderated.job.map(|job| job.to_string()),
            result_index: moderated.result_index,
            barred: moderated.barred,
            text_verdict: moderated.text_verdict.map(verdict),
            picture_verdict: moderated.picture_verdict.map(verdict),
            updated_at: moderated.updated_at.into(),
        }
    }
}

crate::input! {
    /// Which pictures an admin wants to see.
    pub struct ModerationFilter {
        /// Those in this state; `PENDING` unless given.
        pub status: Option<OneOf<ImageStatus>>,
    }
}

impl ModerationFilter {
    /// The state that is meant.
    pub fn status(&self) -> ImageStatus {
        self.status.map_or(ImageStatus::Pending, |OneOf(status)| status)
    }
}

crate::input! {
    /// Why a picture may go public.
    pub struct Approval {
        /// For the audit log.
        pub reason: Option<Text<1, 200>>,
    }
}

crate::input! {
    /// Why a picture may not be public.
    pub struct Refusal {
        /// For the audit log.
        pub reason: Text<1, 200>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_filter_are_the_categories() {
        let ids: Vec<&str> = CATEGORIES.iter().map(|category| category.id).collect();
        assert_eq!(ids, CATEGORY_IDS);
        assert_eq!(OWN_CATEGORY_IDS, &CATEGORY_IDS[1..]);
    }
}
