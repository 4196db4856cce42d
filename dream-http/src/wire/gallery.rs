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
use crate::problem::Lang;

/// A picture as everybody may see it.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::Visitor;
/// use dream_core::gallery::GalleryFilter;
/// use dream_core::kernel::PageRequest;
/// use dream_http::wire::gallery::Image;
///
/// let visitor = Visitor::Guest(world.nobody());
/// let mut page = visitor.gallery(&GalleryFilter::default(), &PageRequest::default()).await?.items;
/// let json = serde_json::to_value(Image::from(page.remove(0)))?;
/// assert!(json["isLiked"].is_null(), "nobody has signed in");
/// assert_eq!(json["categoryId"], json["category"]["id"]);
/// # Ok(())
/// # });
/// ```
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
    /// `PENDING`, `PUBLIC` or `REJECTED`, for its author; null for others.
    #[schema(value_type = Option<String>, example = "PENDING")]
    status: Option<&'static str>,
    /// Why it was rejected, for its author and for people; null otherwise.
    reject_reason: Option<String>,
}

impl Image {
    /// A picture as its author sees it: a rejected one with the reason in the reader's language.
    pub fn own(image: GalleryImage, lang: Lang) -> Self {
        let by_check = image.status == Some(ImageStatus::Rejected) && image.reject_reason.is_none();
        let mut own = Self::from(image);
        if by_check {
            let reason = match lang {
                Lang::Zh => "图片未通过内容安全审核，您可以更换图片，或再次提交审核",
                Lang::En => {
                    "The picture did not pass the content check; choose another one, or publish it again"
                }
            };
            own.reject_reason = Some(reason.to_owned());
        }
        own
    }
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
///
/// ```
/// use dream_core::gallery;
/// use dream_http::wire::gallery::Author;
///
/// let id = "7".parse().unwrap();
/// let author = gallery::Author { id, nick_name: Some("小红".to_owned()), avatar_url: None };
/// let json = serde_json::to_value(Author::from(author)).unwrap();
/// assert_eq!(json, serde_json::json!({ "id": 7, "nickName": "小红", "avatarUrl": null }));
/// ```
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
            status: image.status.map(ImageStatus::as_str),
            reject_reason: image.reject_reason,
        }
    }
}

/// One picture.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageAnswer {
    image: Image,
}

impl ImageAnswer {
    /// The picture; where it is the reader's own, with its state.
    pub fn new(image: GalleryImage, lang: Lang) -> Self {
        Self { image: Image::own(image, lang) }
    }
}

/// A category, or the first one, which stands for all.
///
/// ```
/// use dream_http::wire::gallery::Categories;
///
/// // Each has an icon for the row of buttons above the pictures.
/// let json = serde_json::to_value(Categories::all()).unwrap();
/// assert!(json["categories"].as_array().unwrap().iter().all(|category| category["icon"].is_string()));
/// ```
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
///
/// ```
/// use dream_http::wire::gallery::Categories;
///
/// let json = serde_json::to_value(Categories::all()).unwrap();
/// assert_eq!(
///     (&json["categories"][0]["id"], &json["categories"][1]["id"]),
///     (&"all".into(), &"portrait".into())
/// );
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct Categories {
    categories: Vec<Category>,
}

impl Categories {
    /// Every category there is.
    ///
    /// ```
    /// use dream_core::gallery::CATEGORIES;
    /// use dream_http::wire::gallery::Categories;
    ///
    /// let json = serde_json::to_value(Categories::all()).unwrap();
    /// assert_eq!(json["categories"].as_array().map(Vec::len), Some(CATEGORIES.len()));
    /// ```
    pub fn all() -> Self {
        let category = |one: &gallery::Category| Category { id: one.id, name: one.name, icon: one.icon };
        Self { categories: CATEGORIES.iter().map(category).collect() }
    }
}

/// The id of a category; `all` stands for every one.
///
/// ```
/// use dream_http::wire::gallery::CategoryId;
///
/// assert_eq!("portrait".parse::<CategoryId>().unwrap(), CategoryId(Some("portrait")));
/// assert_eq!("all".parse::<CategoryId>().unwrap(), CategoryId(None));
/// assert!("cats".parse::<CategoryId>().is_err());
/// ```
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
    ///
    /// ```
    /// use dream_core::gallery::{GalleryFilter, GallerySort};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::gallery::ImageFilter;
    ///
    /// // `?category=all&sort=popular`
    /// let filter: ImageFilter = read_value(serde_json::json!({ "category": "all", "sort": "popular" }))?;
    /// let wanted = GalleryFilter { category: None, tag: None, sort: GallerySort::Popular };
    /// assert_eq!(GalleryFilter::from(filter), wanted);
    /// # Ok::<(), dream_core::Error>(())
    /// ```
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
///
/// ```
/// use dream_http::wire::gallery::Liked;
///
/// let json = serde_json::to_value(Liked { liked: true, total_likes: 12 }).unwrap();
/// assert_eq!(json, serde_json::json!({ "liked": true, "totalLikes": 12 }));
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Liked {
    /// Whether one does.
    pub liked: bool,
    /// How many do.
    pub total_likes: i64,
}

/// A category that a picture can be published to.
///
/// ```
/// use dream_http::wire::gallery::OwnCategory;
///
/// assert!("cartoon".parse::<OwnCategory>().is_ok());
/// assert!("all".parse::<OwnCategory>().is_err(), "one may look at all, and publish to one");
/// ```
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
///
/// ```
/// use dream_http::wire::gallery::RoughTag;
///
/// let tag = |text: &str| text.parse::<RoughTag>().unwrap();
/// assert_eq!(tag("#猫  咪"), tag("猫 咪"));
/// assert_eq!(tag("##"), tag(""), "nothing is left of it");
/// ```
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
    ///
    /// ```
    /// use dream_core::gallery;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::gallery::Publication;
    ///
    /// let body =
    ///     serde_json::json!({ "jobId": "01931f3e7b0c7a43", "categoryId": "cartoon", "tags": ["#猫", ""] });
    /// let publication = gallery::Publication::from(read_value::<Publication>(body)?);
    /// assert_eq!((publication.index, publication.tags.len()), (0, 1), "the first result, and one tag");
    /// # Ok::<(), dream_core::Error>(())
    /// ```
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
    /// Why an admin rejected it last. While it is there, only a person lets the picture go public.
    reject_reason: Option<String>,
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
            reject_reason: moderated.reject_reason,
            text_verdict: moderated.text_verdict.map(verdict),
            picture_verdict: moderated.picture_verdict.map(verdict),
            updated_at: moderated.updated_at.into(),
        }
    }
}

crate::input! {
    /// Which pictures an admin wants to see.
    ///
    /// ```
    /// use dream_core::gallery::ImageStatus;
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::gallery::ModerationFilter;
    ///
    /// assert!(read_value::<ModerationFilter>(serde_json::json!({ "status": "REJECTED" })).is_ok());
    /// let refused = read_value::<ModerationFilter>(serde_json::json!({ "status": "LOST" })).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::OneOf(ImageStatus::NAMES).at("status")]));
    /// ```
    pub struct ModerationFilter {
        /// Those in this state; `PENDING` unless given.
        pub status: Option<OneOf<ImageStatus>>,
    }
}

impl ModerationFilter {
    /// The state that is meant.
    ///
    /// ```
    /// use dream_core::gallery::ImageStatus;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::gallery::ModerationFilter;
    ///
    /// let filter: ModerationFilter = read_value(serde_json::json!({}))?;
    /// assert_eq!(filter.status(), ImageStatus::Pending, "what waits for somebody to look");
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub fn status(&self) -> ImageStatus {
        self.status.map_or(ImageStatus::Pending, |OneOf(status)| status)
    }
}

crate::input! {
    /// Why a picture may go public.
    ///
    /// ```
    /// use dream_http::input::read_value;
    /// use dream_http::wire::gallery::Approval;
    ///
    /// assert!(read_value::<Approval>(serde_json::json!({}))?.reason.is_none(), "nobody has to say why");
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct Approval {
        /// For the audit log.
        pub reason: Option<Text<1, 200>>,
    }
}

crate::input! {
    /// Why a picture may not be public.
    ///
    /// ```
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::gallery::Refusal;
    ///
    /// assert_eq!(
    ///     read_value::<Refusal>(serde_json::json!({ "reason": "an advert" }))?.reason.0,
    ///     "an advert"
    /// );
    /// let refused = read_value::<Refusal>(serde_json::json!({})).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::Required.at("reason")]));
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct Refusal {
        /// For the audit log; the author of a rejected picture sees it too.
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
