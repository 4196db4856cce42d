//! What the image API reports about a job, checked before it takes effect.
//!
//! Only pictures count as delivered: http and https URLs, and data URLs that hold a picture, which is stored here.
//! Everything else is dropped, and a success of which nothing is left is a failure. Pictures are stored before the
//! transaction that ends the job and named in it; a report that comes too late leaves no object behind. Taking the same
//! report again stores new objects and changes nothing else.

use std::sync::Arc;

use super::{rehost, rules};
use crate::blobs::Unnamed;
use crate::dream::Core;
use crate::error::Result;
use crate::kernel::JobId;
use crate::media;
use crate::ports::{JobError, JobState, UpstreamJob};
use crate::store::Tx;

/// A report that can take effect.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) state: JobState,
    /// Where the pictures lie, once it succeeded: at least one.
    pub(super) pictures: Vec<String>,
    /// Of the first picture, if that is stored here.
    pub(super) thumbnail: Option<String>,
    /// Why it failed, as the user is told.
    pub(super) error: Option<JobError>,
    written: Vec<Unnamed>,
}

impl Report {
    /// The report, unless it holds pictures that have to be stored first.
    pub(super) fn read(upstream: &UpstreamJob) -> Option<Self> {
        let mut pictures = Vec::new();
        for url in &upstream.result_urls {
            match rules::sample(url) {
                Some(rules::Sample::At(url)) => pictures.push(url.to_owned()),
                Some(rules::Sample::Inline(_)) if upstream.state == JobState::Succeeded => return None,
                Some(rules::Sample::Inline(_)) | None => {}
            }
        }
        Some(Self::of(upstream, pictures))
    }

    /// The report, with the pictures in it stored.
    ///
    /// # Errors
    /// As the storage: then the image API has to be asked again.
    pub(super) async fn take(core: &Arc<Core>, job: &JobId, upstream: &UpstreamJob) -> Result<Self> {
        if let Some(report) = Self::read(upstream) {
            return Ok(report);
        }
        let (mut pictures, mut thumbnail, mut written) = (Vec::new(), None, Vec::new());
        for url in &upstream.result_urls {
            let data = match rules::sample(url) {
                Some(rules::Sample::At(url)) => {
                    pictures.push(url.to_owned());
                    continue;
                }
                Some(rules::Sample::Inline(data)) => data,
                None => continue,
            };
            let picture = match media::from_data_url(data).and_then(media::recognise) {
                Ok(picture) => picture,
                Err(error) => {
                    tracing::warn!(job.id = %job, error = %error.chain(), "a result is no picture");
                    continue;
                }
            };
            match rehost::keep(core, picture, pictures.is_empty()).await {
                Ok(kept) => {
                    pictures.push(kept.url);
                    thumbnail = thumbnail.or(kept.thumbnail);
                    written.extend(kept.written);
                }
                Err(error) => {
                    abandon(core, &written).await;
                    return Err(error);
                }
            }
        }
        Ok(Self { thumbnail, written, ..Self::of(upstream, pictures) })
    }

    fn of(upstream: &UpstreamJob, pictures: Vec<String>) -> Self {
        let report =
            |state, pictures, error| Self { state, pictures, thumbnail: None, error, written: vec![] };
        match upstream.state {
            // The pictures are still to come: it is as good as being worked on.
            JobState::Succeeded if upstream.result_urls.is_empty() => report(JobState::Running, vec![], None),
            JobState::Succeeded if pictures.is_empty() => {
                report(JobState::Failed, vec![], Some(rules::told(rules::RESULT_INVALID)))
            }
            JobState::Succeeded => report(JobState::Succeeded, pictures, None),
            JobState::Failed => {
                report(JobState::Failed, vec![], Some(rules::job_error(upstream.error.as_ref())))
            }
            state => report(state, vec![], None),
        }
    }

    /// Names what was stored, in the transaction in which the report takes effect.
    pub(super) async fn name(&self, tx: &mut Tx) -> Result<()> {
        for written in &self.written {
            written.name(tx).await?;
        }
        Ok(())
    }

    /// Removes what was stored, since the report has no effect.
    pub(super) async fn abandon(&self, core: &Core) {
        abandon(core, &self.written).await;
    }
}

async fn abandon(core: &Core, written: &[Unnamed]) {
    for written in written {
        written.abandon(core).await;
    }
}
