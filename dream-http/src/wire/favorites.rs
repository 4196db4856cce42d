//! Favorites.
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
//! # let post = async |path: &str, body: serde_json::Value| -> Result<serde_json::Value, reqwest::Error> {
//! #     http.post(format!("{base}{path}")).bearer_auth(&token).json(&body).send().await?.json().await
//! # };
//! use serde_json::json;
//!
//! post("/v1/favorites", json!({ "type": "prompt", "resourceId": "portrait_film" })).await?;
//! let kept = get("/v1/favorites").await?;
//! assert_eq!(kept["items"][0]["template"]["templateId"], "portrait_film");
//! # serving.abort();
//! # Ok(())
//! # });
//! ```

use dream_core::favorites::{self, FavoriteKind, Kept, ResourceId};
use serde::Serialize;
use utoipa::ToSchema;

use super::gallery::Image;
use super::templates::PromptTemplate;
use super::time::At;
use crate::input::{OneOf, Parsed};

/// Something that a user keeps.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::favorites::FavoriteKind;
/// use dream_http::wire::favorites::Favorite;
///
/// # let me = world.alice().await.session().await;
/// let added = me.add_favorite(FavoriteKind::Prompt, &"portrait_film".parse().unwrap()).await?;
/// let json = serde_json::to_value(Favorite::from(added.favorite))?;
/// assert_eq!((&json["type"], &json["resourceId"]), (&"prompt".into(), &"portrait_film".into()));
/// assert_eq!(json["id"], json["favoriteId"]);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Favorite {
    id: i64,
    /// The same as `id`, for clients that know it by this name.
    favorite_id: i64,
    user_id: i64,
    /// `image` or `prompt`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "image")]
    kind: &'static str,
    resource_id: String,
    #[schema(inline)]
    created_at: At,
}

impl From<favorites::Favorite> for Favorite {
    fn from(favorite: favorites::Favorite) -> Self {
        Self {
            id: favorite.id.get(),
            favorite_id: favorite.id.get(),
            user_id: favorite.user.get(),
            kind: favorite.kind.as_str(),
            resource_id: favorite.resource.to_string(),
            created_at: favorite.created_at.into(),
        }
    }
}

/// A favorite with what it stands for.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::favorites::FavoriteKind;
/// use dream_core::kernel::PageRequest;
/// use dream_http::wire::favorites::EmbeddedFavorite;
///
/// # let me = world.alice().await.session().await;
/// # me.add_favorite(FavoriteKind::Prompt, &"portrait_film".parse().unwrap()).await?;
/// let mut page = me.favorites(None, &PageRequest::default()).await?.items;
/// let json = serde_json::to_value(EmbeddedFavorite::from(page.remove(0)))?;
/// assert_eq!(json["template"]["templateId"], "portrait_film");
/// assert!(json["image"].is_null());
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmbeddedFavorite {
    id: i64,
    /// The same as `id`, for clients that know it by this name.
    favorite_id: i64,
    user_id: i64,
    /// `image` or `prompt`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "image")]
    kind: &'static str,
    resource_id: String,
    #[schema(inline)]
    created_at: At,
    /// Null for a prompt, and where the picture is gone.
    image: Option<Image>,
    /// Null for a picture, and where the prompt is gone.
    template: Option<PromptTemplate>,
}

impl From<(favorites::Favorite, Kept)> for EmbeddedFavorite {
    fn from((favorite, kept): (favorites::Favorite, Kept)) -> Self {
        let (image, template) = match kept {
            Kept::Image(image) => (Some(Image::from(*image)), None),
            Kept::Prompt(template) => (None, Some(PromptTemplate::from(*template))),
            Kept::Gone => (None, None),
        };
        let Favorite { id, favorite_id, user_id, kind, resource_id, created_at } = favorite.into();
        Self { id, favorite_id, user_id, kind, resource_id, created_at, image, template }
    }
}

/// Whether something is kept.
///
/// ```
/// use dream_http::wire::favorites::FavoriteCheck;
///
/// let json = serde_json::to_value(FavoriteCheck::from(None)).unwrap();
/// assert_eq!(json, serde_json::json!({ "isFavorited": false, "favoriteId": null }));
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FavoriteCheck {
    is_favorited: bool,
    /// By which favorite.
    favorite_id: Option<i64>,
}

impl From<Option<favorites::Favorite>> for FavoriteCheck {
    fn from(favorite: Option<favorites::Favorite>) -> Self {
        Self { is_favorited: favorite.is_some(), favorite_id: favorite.map(|favorite| favorite.id.get()) }
    }
}

crate::input! {
    /// Something to keep.
    ///
    /// ```
    /// use dream_core::favorites::FavoriteKind;
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::favorites::NewFavorite;
    ///
    /// let new: NewFavorite = read_value(serde_json::json!({ "type": "image", "resourceId": "4711" }))?;
    /// assert_eq!((new.kind.0, new.resource_id.0.as_str()), (FavoriteKind::Image, "4711"));
    /// let refused = read_value::<NewFavorite>(serde_json::json!({ "type": "image" })).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::Required.at("resourceId")]));
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct NewFavorite {
        /// What it is.
        pub kind as "type": OneOf<FavoriteKind>,
        /// The id of a picture in the gallery, or the `templateId` of a prompt.
        pub resource_id: Parsed<ResourceId>,
    }
}

crate::input! {
    /// Which favorites are wanted.
    ///
    /// ```
    /// use dream_core::favorites::FavoriteKind;
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::favorites::FavoriteFilter;
    ///
    /// assert!(read_value::<FavoriteFilter>(serde_json::json!({})).is_ok(), "those of both kinds");
    /// let refused = read_value::<FavoriteFilter>(serde_json::json!({ "type": "job" })).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::OneOf(FavoriteKind::NAMES).at("type")]));
    /// ```
    pub struct FavoriteFilter {
        /// Those of this kind.
        pub kind as "type": Option<OneOf<FavoriteKind>>,
    }
}

crate::input! {
    /// Something that may be kept.
    ///
    /// ```
    /// use dream_http::input::read_value;
    /// use dream_http::wire::favorites::FavoriteCheckQuery;
    ///
    /// // `?type=prompt&resourceId=portrait_film`
    /// let asked = serde_json::json!({ "type": "prompt", "resourceId": "portrait_film" });
    /// assert_eq!(read_value::<FavoriteCheckQuery>(asked)?.resource_id.0.as_str(), "portrait_film");
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct FavoriteCheckQuery {
        /// What it is.
        pub kind as "type": OneOf<FavoriteKind>,
        /// The id of a picture in the gallery, or the `templateId` of a prompt.
        pub resource_id: Parsed<ResourceId>,
    }
}
