//! Favorites: pictures and prompts that a user keeps.

mod changes;
mod store;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::access::Session;
use crate::error::{Code, Fault, Format, Result};
use crate::gallery::{self, GalleryImage};
use crate::kernel::{
    FavoriteId, ImageId, ListScope, Page, PageRequest, SortKey, TemplateId, Timestamp, UserId,
};
use crate::stats;
use crate::store::Db;
use crate::templates::{self, PromptTemplate};

pub(crate) use changes::forget;
pub(crate) use store::{all_of, take_over};

/// What is kept.
///
/// ```
/// use dream_core::favorites::FavoriteKind;
///
/// assert_eq!(FavoriteKind::parse("prompt"), Some(FavoriteKind::Prompt));
/// assert_eq!(FavoriteKind::parse("video"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FavoriteKind {
    /// A picture of the gallery, by its id.
    Image,
    /// A prompt template, by the id that clients use.
    Prompt,
}

impl FavoriteKind {
    /// Every kind by its name.
    pub const NAMES: &'static [&'static str] = &["image", "prompt"];

    /// The kind's name.
    ///
    /// ```
    /// use dream_core::favorites::FavoriteKind;
    ///
    /// // As answers and filters name it.
    /// assert_eq!(FavoriteKind::Prompt.as_str(), "prompt");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            FavoriteKind::Image => "image",
            FavoriteKind::Prompt => "prompt",
        }
    }

    /// The kind of this name.
    ///
    /// ```
    /// use dream_core::favorites::FavoriteKind;
    ///
    /// // Out of a query; what is not known is for the caller to refuse.
    /// let kinds = ["image", "video"].map(FavoriteKind::parse);
    /// assert_eq!(kinds, [Some(FavoriteKind::Image), None]);
    /// ```
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "image" => Some(FavoriteKind::Image),
            "prompt" => Some(FavoriteKind::Prompt),
            _ => None,
        }
    }
}

/// The id of a thing that may be kept, as the client knows it.
///
/// ```
/// use dream_core::favorites::ResourceId;
///
/// // The number of a picture, or the id of a prompt template.
/// assert_eq!("portrait_film".parse::<ResourceId>().unwrap().as_str(), "portrait_film");
/// assert!("a b".parse::<ResourceId>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourceId(String);

impl ResourceId {
    /// Longest id, in characters.
    pub const MAX_LEN: usize = 64;

    /// The id as text.
    ///
    /// ```
    /// use dream_core::favorites::ResourceId;
    /// use dream_core::kernel::ImageId;
    ///
    /// let resource: ResourceId = "4711".parse().unwrap();
    /// // Of a picture it is its number.
    /// assert!(resource.as_str().parse::<ImageId>().is_ok());
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ResourceId {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        if !(1..=Self::MAX_LEN).contains(&text.chars().count()) {
            return Err(Fault::Length { min: 1, max: Self::MAX_LEN });
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Fault::Format(Format::IdWithoutSpaces));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Something that a user keeps.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::favorites::{Favorite, FavoriteKind};
///
/// # let me = world.alice().await.session().await;
/// let (kind, resource) = (FavoriteKind::Prompt, "portrait_film".parse().unwrap());
/// me.add_favorite(kind, &resource).await?;
/// // For the heart on a card: filled, and what to send when it is tapped again.
/// let favorite: Option<Favorite> = me.favorite_of(kind, &resource).await?;
/// me.remove_favorite(favorite.ok_or("not kept")?.id).await?;
/// assert_eq!(me.favorite_of(kind, &resource).await?, None);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Favorite {
    /// Its id.
    pub id: FavoriteId,
    /// Whose it is.
    pub user: UserId,
    /// What is kept.
    pub kind: FavoriteKind,
    /// Which one.
    pub resource: ResourceId,
    /// Since when.
    pub created_at: Timestamp,
}

/// What a favorite stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// A public picture.
    Image(Box<GalleryImage>),
    /// A prompt template.
    Prompt(Box<PromptTemplate>),
    /// It was removed since, or is no longer public.
    Gone,
}

/// A favorite that was asked for.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::favorites::FavoriteKind;
///
/// # let me = world.alice().await.session().await;
/// let resource = "portrait_film".parse().unwrap();
/// let first = me.add_favorite(FavoriteKind::Prompt, &resource).await?;
/// let again = me.add_favorite(FavoriteKind::Prompt, &resource).await?;
/// assert!(first.is_new && !again.is_new);
/// assert_eq!(first.favorite.id, again.favorite.id);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The favorite.
    pub favorite: Favorite,
    /// Whether this call made it.
    pub is_new: bool,
}

impl Session {
    /// Keeps a public picture or a template. Keeping it again gives the favorite that is there.
    ///
    /// # Errors
    /// `IMAGE_NOT_FOUND` or `TEMPLATE_NOT_FOUND` for what does not exist or is not public; `FAVORITE_LIMIT_REACHED` with as
    /// many favorites as `Settings::user_limits` allows; `TOKEN_REVOKED` if the account was deleted just now.
    pub async fn add_favorite(&self, kind: FavoriteKind, resource: &ResourceId) -> Result<Added> {
        let core = &self.core;
        let change =
            changes::Add { user: self.user, kind, resource, settings: &core.settings, now: core.now() };
        core.store.run(&change).await
    }

    /// Keeps something no longer.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::Code;
    /// use dream_core::favorites::FavoriteKind;
    ///
    /// # let (me, bob) = (world.alice().await.session().await, world.user("bob").await.session().await);
    /// let kept = me.add_favorite(FavoriteKind::Prompt, &"portrait_film".parse().unwrap()).await?.favorite;
    /// assert_eq!(
    ///     bob.remove_favorite(kept.id).await.unwrap_err().code(),
    ///     Code::FavoriteNotFound,
    ///     "it is not his"
    /// );
    /// me.remove_favorite(kept.id).await?;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `FAVORITE_NOT_FOUND`, also for somebody else's.
    pub async fn remove_favorite(&self, id: FavoriteId) -> Result<()> {
        let core = &self.core;
        let change = changes::Remove { user: self.user, id, settings: &core.settings, now: core.now() };
        core.store.run(&change).await
    }

    /// One's favorites, newest first, all of them or those of one kind, each with what it stands for.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::favorites::FavoriteKind;
    /// use dream_core::kernel::PageRequest;
    ///
    /// # let me = world.alice().await.session().await;
    /// me.add_favorite(FavoriteKind::Prompt, &"portrait_film".parse().unwrap()).await?;
    /// let prompts = me.favorites(Some(FavoriteKind::Prompt), &PageRequest::default()).await?;
    /// assert_eq!((prompts.items.len(), prompts.total), (1, Some(1)));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `INVALID_CURSOR`.
    pub async fn favorites(
        &self,
        kind: Option<FavoriteKind>,
        page: &PageRequest,
    ) -> Result<Page<(Favorite, Kept)>> {
        let core = &self.core;
        let scope = ListScope::of("favorites")
            .with("user", self.user)
            .with("type", kind.map_or("", FavoriteKind::as_str));
        let start = core.cursors.start(&scope, page)?;
        let mut db = core.store.db();
        let rows = store::list(&mut db, self.user, kind, start, page).await?;
        let page = core.cursors.page(&scope, page.limit, rows, |favorite| SortKey {
            by: favorite.created_at.as_micros(),
            id: favorite.id.get(),
        });
        let counters = stats::counters(&mut db, self.user).await?;
        let things = Things::of(&mut db, &page.items, self.user).await?;
        Ok(Page {
            total: Some(match kind {
                None => counters.favorites,
                Some(FavoriteKind::Image) => counters.image_favorites,
                Some(FavoriteKind::Prompt) => counters.favorites - counters.image_favorites,
            }),
            ..page.map(|favorite| {
                let kept = things.of_favorite(&favorite);
                (favorite, kept)
            })
        })
    }

    /// The favorite by which one keeps this, if one does.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked.
    pub async fn favorite_of(&self, kind: FavoriteKind, resource: &ResourceId) -> Result<Option<Favorite>> {
        store::of_resource(&mut self.core.store.db(), self.user, kind, resource).await
    }
}

/// What the favorites of a page stand for, read at once.
struct Things {
    images: HashMap<i64, GalleryImage>,
    prompts: HashMap<TemplateId, PromptTemplate>,
}

impl Things {
    async fn of(db: &mut impl Db, favorites: &[Favorite], asking: UserId) -> Result<Self> {
        let of_kind = |kind| favorites.iter().filter(move |favorite| favorite.kind == kind);
        let images: Vec<ImageId> = of_kind(FavoriteKind::Image).filter_map(Favorite::image).collect();
        let prompts: Vec<TemplateId> = of_kind(FavoriteKind::Prompt).filter_map(Favorite::template).collect();
        let images = gallery::public_images(db, &images, asking).await?;
        let prompts = templates::prompt_templates_of(db, &prompts).await?;
        Ok(Self {
            images: images.into_iter().map(|image| (image.id.get(), image)).collect(),
            prompts: prompts.into_iter().map(|prompt| (prompt.template_id.clone(), prompt)).collect(),
        })
    }

    fn of_favorite(&self, favorite: &Favorite) -> Kept {
        let found = match favorite.kind {
            FavoriteKind::Image => {
                let image = favorite.image().and_then(|id| self.images.get(&id.get()));
                image.map(|image| Kept::Image(Box::new(image.clone())))
            }
            FavoriteKind::Prompt => {
                let prompt = favorite.template().and_then(|id| self.prompts.get(&id));
                prompt.map(|prompt| Kept::Prompt(Box::new(prompt.clone())))
            }
        };
        found.unwrap_or(Kept::Gone)
    }
}

impl Favorite {
    /// The picture, if its id can be one.
    fn image(&self) -> Option<ImageId> {
        self.resource.as_str().parse().ok()
    }

    /// The template, if its id can be one.
    fn template(&self) -> Option<TemplateId> {
        self.resource.as_str().parse().ok()
    }
}

fn not_found() -> crate::error::Error {
    Code::FavoriteNotFound.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_thing_is_short_and_has_no_spaces() {
        assert!("7".parse::<ResourceId>().is_ok());
        assert!("字".repeat(64).parse::<ResourceId>().is_ok());
        for bad in ["", " ", "a b", "a\n", &"x".repeat(65)] {
            assert!(bad.parse::<ResourceId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_kind_is_known_by_its_name() {
        for name in FavoriteKind::NAMES {
            assert_eq!(FavoriteKind::parse(name).map(FavoriteKind::as_str), Some(*name));
        }
        assert_eq!(FavoriteKind::parse("video"), None);
    }
}
