//! The gallery: pictures that users made public.

mod changes;
mod check;
mod desk;
mod rules;
mod store;

use std::sync::Arc;

use crate::access::{Session, VerifiedPush, Visitor};
use crate::dream::Core;
use crate::error::{Code, Result};
use crate::kernel::{ImageId, JobId, ListScope, Page, PageRequest, SortKey, Timestamp, UserId};
use crate::store::Reader;

pub(crate) use changes::{Like, follow_results, forget};
pub(crate) use check::check;
pub use desk::ModeratedImage;
pub use rules::Tag;
pub(crate) use rules::distinct;
pub(crate) use store::{Original, all_of, insert_seed, names, public_images, take_over, waiting};

/// What nodes tell each other when what everybody sees has changed.
pub(crate) const TOPIC: &str = "gallery";

/// What kind of picture.
///
/// ```
/// use dream_core::gallery::{CATEGORIES, category};
///
/// // For the tabs of a client; to filter by the first one is to ask for everything.
/// assert_eq!((CATEGORIES[0].id, CATEGORIES[0].name), ("all", "全部"));
/// assert_eq!(category("cartoon").map(|category| category.icon), Some("🎭"));
/// ```
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
///
/// ```
/// use dream_core::gallery::category;
///
/// assert_eq!(category("portrait").unwrap().name, "人像");
/// assert_eq!(category("all"), None, "nothing is published to all of them");
/// ```
pub fn category(id: &str) -> Option<&'static Category> {
    CATEGORIES.iter().skip(1).find(|category| category.id == id)
}

/// Who published a picture.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// # use dream_core::gallery::GalleryFilter;
/// # use dream_core::kernel::PageRequest;
/// # let shown = world.dream().visitor(None).await?.gallery(&GalleryFilter::default(), &PageRequest::default()).await?;
/// let line = |image: &dream_core::gallery::GalleryImage| match &image.author {
///     Some(author) => author.nick_name.clone().unwrap_or_else(|| format!("user {}", author.id)),
///     // The program came with it, or its author has left.
///     None => "Dream".to_owned(),
/// };
/// assert_eq!(line(&shown.items[0]), "Dream");
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::gallery::GalleryFilter;
/// use dream_core::kernel::PageRequest;
///
/// let visitor = world.dream().visitor(None).await?;
/// let page = visitor.gallery(&GalleryFilter::default(), &PageRequest::default()).await?;
/// let image = &page.items[0];
/// assert!(image.thumbnail_url.starts_with("http"), "for the list; `image_url` for the whole of it");
/// assert_eq!((image.likes, image.is_liked), (0, None));
/// # Ok(())
/// # });
/// ```
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
    /// How far it is on its way to the public; known to its author only.
    pub status: Option<ImageStatus>,
    /// Why an admin rejected it; `None` where the content check did. Known to the author of a rejected picture only.
    pub reject_reason: Option<String>,
}

/// How far a picture is on its way to the public.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::gallery::ImageStatus;
/// use dream_core::kernel::PageRequest;
///
/// // What waits for a person.
/// let waiting = world.admin().await.gallery_images(ImageStatus::Pending, &PageRequest::default()).await?;
/// assert!(waiting.items.is_empty());
/// assert_eq!(ImageStatus::parse("PUBLIC"), Some(ImageStatus::Public));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageStatus {
    /// It waits to be checked, or for a person.
    Pending,
    /// Everybody sees it.
    Public,
    /// It may not be shown.
    Rejected,
    /// It was taken out.
    Removed,
}

impl ImageStatus {
    /// Every state by its name.
    pub const NAMES: &'static [&'static str] = &["PENDING", "PUBLIC", "REJECTED", "REMOVED"];

    /// The state's name.
    ///
    /// ```
    /// use dream_core::gallery::ImageStatus;
    ///
    /// // As an admin's list shows it.
    /// assert_eq!(ImageStatus::Rejected.as_str(), "REJECTED");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            ImageStatus::Pending => "PENDING",
            ImageStatus::Public => "PUBLIC",
            ImageStatus::Rejected => "REJECTED",
            ImageStatus::Removed => "REMOVED",
        }
    }

    /// The state of this name.
    ///
    /// ```
    /// use dream_core::gallery::ImageStatus;
    ///
    /// assert_eq!(ImageStatus::parse("PENDING"), Some(ImageStatus::Pending));
    /// assert_eq!(ImageStatus::parse("pending"), None, "as it stands in answers, and not otherwise");
    /// ```
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "PENDING" => Some(ImageStatus::Pending),
            "PUBLIC" => Some(ImageStatus::Public),
            "REJECTED" => Some(ImageStatus::Rejected),
            "REMOVED" => Some(ImageStatus::Removed),
            _ => None,
        }
    }
}

/// A result that its owner wants to make public.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::gallery::{Publication, Tag, category};
///
/// # let job = world.alice().await.generates("a cat").await.job_id;
/// let publication = Publication {
///     job,
///     index: 0,
///     category: category("cartoon").ok_or("no such category")?,
///     // Tags that come to nothing are left out.
///     tags: ["#cat", "  night   sky ", "#"].iter().filter_map(|tag| Tag::clean(tag).unwrap()).collect(),
/// };
/// assert_eq!(publication.tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["cat", "night sky"]);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The job.
    pub job: JobId,
    /// Which of its results, from 0.
    pub index: i64,
    /// What kind of picture it is.
    pub category: &'static Category,
    /// Words to find it by; at most [`Tag::MOST`]. Equal ones count once.
    pub tags: Vec<Tag>,
}

/// In which order.
///
/// ```
/// use dream_core::gallery::GallerySort;
///
/// assert_eq!(GallerySort::parse("popular"), Some(GallerySort::Popular));
/// assert_eq!(GallerySort::default(), GallerySort::Latest);
/// ```
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
    ///
    /// ```
    /// use dream_core::gallery::GallerySort;
    ///
    /// // For the address of the next page, in the same order.
    /// assert_eq!(format!("?sort={}", GallerySort::Popular.as_str()), "?sort=popular");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            GallerySort::Latest => "latest",
            GallerySort::Popular => "popular",
        }
    }

    /// The order of this name.
    ///
    /// ```
    /// use dream_core::gallery::GallerySort;
    ///
    /// let sort = |asked: Option<&str>| asked.map_or(Some(GallerySort::default()), GallerySort::parse);
    /// assert_eq!(sort(None), Some(GallerySort::Latest));
    /// assert_eq!(sort(Some("random")), None, "to be refused, rather than taken for another");
    /// ```
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "latest" => Some(GallerySort::Latest),
            "popular" => Some(GallerySort::Popular),
            _ => None,
        }
    }
}

/// Which pictures are wanted.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::gallery::{GalleryFilter, GallerySort};
/// use dream_core::kernel::PageRequest;
///
/// let filter = GalleryFilter {
///     tag: Some("日出".to_owned()),
///     sort: GallerySort::Popular,
///     ..GalleryFilter::default()
/// };
/// let shown = world.dream().visitor(None).await?.gallery(&filter, &PageRequest::default()).await?;
/// assert_eq!((shown.items.len(), shown.total), (1, Some(1)));
/// assert!(shown.items[0].tags.contains(&"日出".to_owned()));
/// # Ok(())
/// # });
/// ```
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
    /// What one wrote oneself must be seen at once; others may see it a moment later.
    fn view(&self) -> Reader<'_> {
        match self {
            Visitor::Guest(_) => self.core().store.public(),
            Visitor::Session(_) => self.core().store.db(),
        }
    }

    /// Public pictures.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::gallery::GalleryFilter;
    /// use dream_core::kernel::{Limit, PageRequest};
    ///
    /// let visitor = world.dream().visitor(None).await?;
    /// let landscapes = GalleryFilter { category: Some("landscape"), ..GalleryFilter::default() };
    /// let page = visitor.gallery(&landscapes, &PageRequest::first(Limit::new(10).unwrap())).await?;
    /// assert_eq!((page.items.len(), page.total, page.next), (1, Some(1), None));
    /// # Ok(())
    /// # });
    /// ```
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
        let mut db = self.view();
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

    /// A public picture, or one's own that waits or was rejected.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::Code;
    /// use dream_core::kernel::ImageId;
    ///
    /// let visitor = world.dream().visitor(None).await?;
    /// let missing = visitor.gallery_image(ImageId::new(4711).unwrap()).await.unwrap_err();
    /// assert_eq!(missing.code(), Code::ImageNotFound, "there is none, or it is not public");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `IMAGE_NOT_FOUND`.
    pub async fn gallery_image(&self, id: ImageId) -> Result<GalleryImage> {
        store::find(&mut self.view(), id, self.user_id()).await?.ok_or(Code::ImageNotFound.into())
    }
}

impl Session {
    /// Likes a public picture; how many do. Liking it again changes nothing.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::Visitor;
    /// # use dream_core::gallery::GalleryFilter;
    /// # use dream_core::kernel::PageRequest;
    ///
    /// # let stranger = world.dream().visitor(None).await?;
    /// # let image = stranger.gallery(&GalleryFilter::default(), &PageRequest::default()).await?.items.remove(0).id;
    /// # let me = world.alice().await.session().await;
    /// assert_eq!(me.like(image).await?, 1);
    /// assert_eq!(me.like(image).await?, 1, "once, however often one taps");
    /// assert_eq!(Visitor::Session(me).gallery_image(image).await?.is_liked, Some(true));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `IMAGE_NOT_FOUND`.
    pub async fn like(&self, image: ImageId) -> Result<i64> {
        self.set_like(image, true).await
    }

    /// Likes a picture no longer; how many do.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::gallery::GalleryFilter;
    /// # use dream_core::kernel::PageRequest;
    /// # let stranger = world.dream().visitor(None).await?;
    /// # let image = stranger.gallery(&GalleryFilter::default(), &PageRequest::default()).await?.items.remove(0).id;
    /// # let (me, bob) = (world.alice().await.session().await, world.user("bob").await.session().await);
    /// me.like(image).await?;
    /// assert_eq!(bob.like(image).await?, 2);
    /// assert_eq!(me.unlike(image).await?, 1, "bob still does");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `IMAGE_NOT_FOUND`.
    pub async fn unlike(&self, image: ImageId) -> Result<i64> {
        self.set_like(image, false).await
    }

    // No news of it: a hot picture would throw everybody's copies away all the time.
    async fn set_like(&self, image: ImageId, likes: bool) -> Result<i64> {
        let core = &self.core;
        let part = Like { core: Arc::clone(core), user: self.user, image, likes, now: core.now() };
        core.store.run_together(&core.likes, part).await
    }

    /// The pictures that one published and that were not removed, newest first, each with its state.
    ///
    /// # Errors
    /// `INVALID_CURSOR`.
    pub async fn published(&self, page: &PageRequest) -> Result<Page<GalleryImage>> {
        let core = &self.core;
        let scope = ListScope::of("published").with("user", self.user);
        let start = core.cursors.start(&scope, page)?;
        let rows = store::published_by(&mut core.store.db(), self.user, start, page).await?;
        Ok(core.cursors.page(&scope, page.limit, rows, |image| SortKey {
            by: image.created_at.as_micros(),
            id: image.id.get(),
        }))
    }

    /// Offers a result of one's own to the public. Its text is checked at once, its picture later; others see it once
    /// both have passed. A rejected result may be offered again; after an admin's rejection it waits for a person.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::gallery::{GalleryFilter, Publication, category};
    /// use dream_core::kernel::PageRequest;
    /// use dream_core::{Code, Visitor};
    ///
    /// # let alice = world.alice().await;
    /// # let me = alice.session().await;
    /// # let job = alice.generates("a cat").await.job_id;
    /// # world.settle().await;
    /// let category = category("cartoon").ok_or("no such category")?;
    /// let publication = Publication { job, index: 0, category, tags: vec![] };
    /// let image = me.publish(&publication).await?.id;
    /// assert_eq!(me.publish(&publication).await.unwrap_err().code(), Code::AlreadyPublished);
    ///
    /// // Others see it once its text and picture have passed the check.
    /// let stranger = Visitor::Guest(world.nobody());
    /// assert_eq!(stranger.gallery_image(image).await.unwrap_err().code(), Code::ImageNotFound);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `JOB_NOT_FOUND`, also for somebody else's; `INVALID_STATE` unless it succeeded; `VALIDATION_FAILED` for an
    /// index that it has no result of; `ALREADY_PUBLISHED`, also for a result that an admin took out;
    /// `CONTENT_REJECTED` for a prompt or tags that may not be shown, and then nothing is published.
    pub async fn publish(&self, publication: &Publication) -> Result<GalleryImage> {
        let core = &self.core;
        let text = check::publication(self, publication).await?;
        let (settings, now) = (&core.settings, core.now());
        let change = changes::Publish { user: self.user, publication, text, settings, now };
        let image = core.store.run(&change).await?;
        core.wake_worker();
        Ok(image)
    }

    /// Takes a picture of one's own out of the gallery.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Code;
    /// use dream_core::gallery::{Publication, category};
    ///
    /// # let (alice, bob) = (world.alice().await, world.user("bob").await);
    /// # let job = alice.generates("a cat").await.job_id;
    /// # world.settle().await;
    /// let category = category("cartoon").ok_or("no such category")?;
    /// let publication = Publication { job, index: 0, category, tags: vec![] };
    /// let image = alice.session().await.publish(&publication).await?.id;
    /// let refused = bob.session().await.remove_image(image).await.unwrap_err();
    /// assert_eq!(refused.code(), Code::ImageNotFound, "it is not his");
    /// alice.session().await.remove_image(image).await?;
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `IMAGE_NOT_FOUND`, also for somebody else's.
    pub async fn remove_image(&self, image: ImageId) -> Result<()> {
        let core = &self.core;
        let change = changes::Remove {
            scope: self.scope(),
            image,
            by: None,
            blobs: core.blobs.as_ref(),
            now: core.now(),
        };
        remove(core, &change).await
    }
}

async fn remove(core: &Core, change: &changes::Remove<'_>) -> Result<()> {
    let was_public = core.store.run(change).await?;
    core.wake_worker();
    if was_public {
        core.announce(TOPIC).await;
    }
    Ok(())
}
