//! What admins do with everybody's pictures.

use super::changes::{Judge, Remove};
use super::{GalleryImage, ImageStatus, TOPIC, store};
use crate::access::Admin;
use crate::error::{Code, Result};
use crate::kernel::{ImageId, JobId, ListScope, Page, PageRequest, SortKey, Timestamp};
use crate::ports::Verdict;

/// A picture as admins see it.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::gallery::ImageStatus;
/// # use dream_core::gallery::{Publication, category};
///
/// # let alice = world.alice().await;
/// # let job = alice.generates("a cat").await.job_id;
/// # world.settle().await;
/// # let publication = Publication { job, index: 0, category: category("cartoon").unwrap(), tags: vec![] };
/// # let id = alice.session().await.publish(&publication).await?.id;
/// let admin = world.admin().await;
/// let waiting = admin.gallery_image(id).await?;
/// assert_eq!(waiting.status, ImageStatus::Pending, "the check of the picture is not back yet");
/// assert_eq!(admin.approve_image(id, Some("a cat is fine")).await?.status, ImageStatus::Public);
/// assert_eq!(admin.reject_image(id, "on second thoughts").await?.status, ImageStatus::Rejected);
/// # world.settle().await;
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeratedImage {
    /// The picture, in whatever state.
    pub image: GalleryImage,
    /// Its state.
    pub status: ImageStatus,
    /// The job that it is a result of; `None` for what the program came with.
    pub job: Option<JobId>,
    /// Which of the job's results it is, from 0.
    pub result_index: Option<i64>,
    /// Whether that result may not be published again.
    pub barred: bool,
    /// Why an admin rejected it last. While it is there, only a person lets the picture go public.
    pub reject_reason: Option<String>,
    /// What the check of its text found, where it was made.
    pub text_verdict: Option<Verdict>,
    /// What the check of the picture found, where it was made.
    pub picture_verdict: Option<Verdict>,
    /// When its state changed last.
    pub updated_at: Timestamp,
}

impl Admin {
    /// Pictures in one state, newest first.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::gallery::ImageStatus;
    /// use dream_core::kernel::PageRequest;
    ///
    /// # let admin = world.admin().await;
    /// // The queue of whoever moderates: what the check left open comes here.
    /// for waiting in admin.gallery_images(ImageStatus::Pending, &PageRequest::default()).await?.items {
    ///     println!("{}: {} ({:?})", waiting.image.id, waiting.image.prompt, waiting.picture_verdict);
    /// }
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `INVALID_CURSOR`.
    pub async fn gallery_images(
        &self,
        status: ImageStatus,
        page: &PageRequest,
    ) -> Result<Page<ModeratedImage>> {
        let core = &self.core;
        let scope = ListScope::of("admin_gallery").with("status", status.as_str());
        let start = core.cursors.start(&scope, page)?;
        let rows = store::list_moderated(&mut core.store.db(), status, start, page).await?;
        Ok(core.cursors.page(&scope, page.limit, rows, |row| SortKey {
            by: row.image.created_at.as_micros(),
            id: row.image.id.get(),
        }))
    }

    /// A picture in whatever state.
    ///
    /// # Errors
    /// `IMAGE_NOT_FOUND`.
    pub async fn gallery_image(&self, id: ImageId) -> Result<ModeratedImage> {
        store::moderated(&mut self.core.store.db(), id).await?.ok_or(Code::ImageNotFound.into())
    }

    /// Lets a picture go public that waits or was rejected, whatever the checks found.
    ///
    /// # Errors
    /// `IMAGE_NOT_FOUND`; `INVALID_STATE` if it is public already, or was removed.
    pub async fn approve_image(&self, id: ImageId, reason: Option<&str>) -> Result<ModeratedImage> {
        self.judge(id, ImageStatus::Public, reason).await
    }

    /// Keeps a picture from the public that waits, or takes it back. Its author still has it, sees the reason, and may
    /// publish it again, which then waits for a person.
    ///
    /// # Errors
    /// `IMAGE_NOT_FOUND`; `INVALID_STATE` if it was rejected or removed before.
    pub async fn reject_image(&self, id: ImageId, reason: &str) -> Result<ModeratedImage> {
        self.judge(id, ImageStatus::Rejected, Some(reason)).await
    }

    async fn judge(&self, id: ImageId, to: ImageStatus, reason: Option<&str>) -> Result<ModeratedImage> {
        let core = &self.core;
        let judged = core.store.run(&Judge { admin: self, image: id, to, reason, now: core.now() }).await?;
        core.announce(TOPIC).await;
        Ok(judged)
    }

    /// Takes a picture out of the gallery for good; its result is not published again.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::Code;
    /// # use dream_core::gallery::GalleryFilter;
    /// # use dream_core::kernel::PageRequest;
    ///
    /// # let visitor = world.dream().visitor(None).await?;
    /// # let image = visitor.gallery(&GalleryFilter::default(), &PageRequest::default()).await?.items.remove(0).id;
    /// let admin = world.admin().await;
    /// admin.remove_image(image, Some("reported twice")).await?;
    /// assert_eq!(
    ///     admin.approve_image(image, None).await.unwrap_err().code(),
    ///     Code::InvalidState,
    ///     "it is for good"
    /// );
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `IMAGE_NOT_FOUND`, also if it was removed before.
    pub async fn remove_image(&self, id: ImageId, reason: Option<&str>) -> Result<()> {
        let core = &self.core;
        let change = Remove {
            scope: self.scope(),
            image: id,
            by: Some((self, reason)),
            blobs: core.blobs.as_ref(),
            now: core.now(),
        };
        super::remove(core, &change).await
    }
}
