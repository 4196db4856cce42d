//! The gallery: pictures that users made public.

mod store;

use crate::access::Visitor;
use crate::error::{Code, Result};
use crate::kernel::{ImageId, ListScope, Page, PageRequest, SortKey, Timestamp, UserId};

pub(crate) use store::{forget, insert_seed, names, public_images, shows};

/// What kind of picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Category {
    /// Its id.
    pub id: &'static str,
    /// Its name, for people.
    pub name: &'static str,
    /// A sign for it.
    pub icon: &'static str,
}

/// Every category. The first stands for all of them and cannot be published to.
pub const CATEGORIES: &[Category] = &[
    Category { id: "all", name: "全部", icon: "🎨" },
    Category { id: "portrait", name: "人像", icon: "👤" },
    Category { id: "landscape", name: "风景", icon: "🏞️" },
    Category { id: "cartoon", name: "卡通", icon: "🎭" },
    Category { id: "abstract", name: "抽象", icon: "🌀" },
];

/// The category of this id, but not the one that stands for all.
pub fn category(id: &str) -> Option<&'static Category> {
    CATEGORIES.iter().skip(1).find(|category| category.id == id)
}

/// Who published a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The user.
    pub id: UserId,
    /// What the user is called.
    pub nick_name: Option<String>,
    /// The user's picture.
    pub avatar_url: Option<String>,
}

/// A picture as everybody may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GalleryImage {
    /// Its id.
    pub id: ImageId,
    /// The picture.
    pub image_url: String,
    /// A small copy.
    pub thumbnail_url: String,
    /// What it was made from.
    pub prompt: String,
    /// What kind of picture.
    pub category: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// How many like it.
    pub likes: i64,
    /// Whether the asking user does; `None` for a guest.
    pub is_liked: Option<bool>,
    /// Who published it; `None` if the program came with it or the user is gone.
    pub author: Option<Author>,
    /// When it was published.
    pub created_at: Timestamp,
}

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GallerySort {
    /// Newest first.
    #[default]
    Latest,
    /// Most liked first.
    Popular,
}

impl GallerySort {
    /// Every order by its name.
    pub const NAMES: &'static [&'static str] = &["latest", "popular"];

    /// The order's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            GallerySort::Latest => "latest",
            GallerySort::Popular => "popular",
        }
    }

    /// The order of this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "latest" => Some(GallerySort::Latest),
            "popular" => Some(GallerySort::Popular),
            _ => None,
        }
    }
}

/// Which pictures are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GalleryFilter {
    /// Those of this category.
    pub category: Option<&'static str>,
    /// Those with this tag.
    pub tag: Option<String>,
    /// In which order.
    pub sort: GallerySort,
}

impl Visitor {
    /// Public pictures.
    ///
    /// # Errors
    /// `INVALID_CURSOR`.
    pub async fn gallery(&self, filter: &GalleryFilter, page: &PageRequest) -> Result<Page<GalleryImage>> {
        let core = self.core();
        let scope = ListScope::of("gallery")
            .with("category", filter.category.unwrap_or_default())
            .with("tag", filter.tag.as_deref().unwrap_or_default())
            .with("sort", filter.sort.as_str());
        let start = core.cursors.start(&scope, page)?;
        let mut db = core.store.public();
        let rows = store::list(&mut db, filter, start, page, self.user_id()).await?;
        let mut page = core.cursors.page(&scope, page.limit, rows, |image| SortKey {
            by: match filter.sort {
                GallerySort::Latest => image.created_at.as_micros(),
                GallerySort::Popular => image.likes,
            },
            id: image.id.get(),
        });
        page.total = Some(store::count(&mut db, filter).await?);
        Ok(page)
    }

    /// A public picture.
    ///
    /// # Errors
    /// `IMAGE_NOT_FOUND`.
    pub async fn gallery_image(&self, id: ImageId) -> Result<GalleryImage> {
        let found = store::find(&mut self.core().store.public(), id, self.user_id()).await?;
        found.ok_or(Code::ImageNotFound.into())
    }
}

pub(crate) async fn check(
    _core: &std::sync::Arc<crate::dream::Core>,
    _task: &crate::outbox::Task,
) -> Result<crate::outbox::Next> {
    Ok(crate::outbox::Next::Done)
}
