//! Copying results into our own storage, where they outlive what the image API promises.

use std::sync::Arc;

use super::store::{self, Generation};
use super::{Job, job_topic};
use crate::blobs::Unnamed;
use crate::dream::Core;
use crate::error::{Error, Result};
use crate::gallery;
use crate::kernel::{JobId, Timestamp};
use crate::media::{self, Owner, Picture};
use crate::outbox::{Next, Task};
use crate::ports::{BlobKey, EntropyExt as _};
use crate::store::{Change, Tx};

/// Largest result that is copied, in bytes.
const MAX_PICTURE: u64 = 64 * 1024 * 1024;
/// After so many tries the results stay where they are: with growing pauses that is about half an hour.
const MOST_TRIES: i64 = 40;

struct ReplaceResults<'a> {
    /// As it was when its pictures were copied.
    job: &'a Job,
    copies: &'a Copies,
    now: Timestamp,
}

impl Change for ReplaceResults<'_> {
    const NAME: &'static str = "jobs.replace_results";
    type Out = Replaced;

    async fn apply(&self, tx: &mut Tx) -> Result<Replaced> {
        let Copies { urls, thumbnail, written } = self.copies;
        let job = &self.job.job_id;
        let copied = &self.job.result_urls;
        if !store::replace_results(tx, job, copied, urls, thumbnail.as_deref(), self.now).await? {
            return Ok(Replaced::Gone);
        }
        for copy in written {
            copy.name(tx).await?;
        }
        let published = gallery::follow_results(tx, job, urls, thumbnail.as_deref(), self.now).await?;
        Ok(if published { Replaced::Published } else { Replaced::Private })
    }
}

/// Whose results were replaced.
enum Replaced {
    /// Nobody's: the job no longer has those that were copied.
    Gone,
    /// The user's alone.
    Private,
    /// Some that are in the gallery too.
    Published,
}

/// The task: copy a job's pictures into our storage, with a thumbnail of the first. What cannot be had stays
/// where it is. Each try writes objects of its own: a removal that an earlier one has left behind, however late it takes
/// effect, never meets what a job names by now.
pub(crate) async fn rehost(core: &Arc<Core>, task: &Task) -> Result<Next> {
    let id: JobId = task.subject.parse().map_err(|_| Error::internal("a task names no job"))?;
    let Some(Generation { job, .. }) = store::whole(&mut core.store.db(), &id).await? else {
        return Ok(Next::Done);
    };
    let mut copies = Copies { thumbnail: job.thumbnail_url.clone(), ..Copies::default() };
    for (index, url) in job.result_urls.iter().enumerate() {
        let copied = match core.blobs.key_of(url) {
            Some(_) => Ok(None),
            None => copy(core, &job, index, url, &mut copies).await,
        };
        match copied {
            Ok(copy) => copies.urls.push(copy.unwrap_or_else(|| url.clone())),
            Err(error) if task.attempts < MOST_TRIES => return Err(error),
            Err(error) => {
                tracing::error!(job.id = %id, error = %error.chain(), "a result stays where it is");
                copies.urls.push(url.clone());
            }
        }
    }
    if copies.written.is_empty() {
        return Ok(Next::Done);
    }
    let replaced = core.store.run(&ReplaceResults { job: &job, copies: &copies, now: core.now() }).await?;
    match replaced {
        Replaced::Gone => {
            // Somebody else has copied them, or the user was deleted meanwhile, and the pictures with it.
            for copy in &copies.written {
                copy.abandon(core).await;
            }
            return Ok(Next::Done);
        }
        Replaced::Private => {}
        Replaced::Published => core.announce(gallery::TOPIC).await,
    }
    core.announce(&job_topic(&id)).await;
    Ok(Next::Done)
}

#[derive(Default)]
struct Copies {
    urls: Vec<String>,
    thumbnail: Option<String>,
    written: Vec<Unnamed>,
}

/// The URL of the copy; `None` if there is nothing to copy and never will be.
async fn copy(
    core: &Core,
    job: &Job,
    index: usize,
    url: &str,
    copies: &mut Copies,
) -> Result<Option<String>> {
    let id = &job.job_id;
    let gone = |error: &Error| {
        tracing::warn!(job.id = %id, error = %error.chain(), "a result cannot be copied");
    };
    let bytes = match core.image_api.download(url, MAX_PICTURE).await {
        Ok((bytes, _)) => bytes,
        Err(failure) if failure.is_transient() => return Err(failure.into()),
        Err(failure) => {
            gone(&failure.into());
            return Ok(None);
        }
    };
    let picture = match media::recognise(bytes.clone()) {
        Ok(picture) => picture,
        // Written anew, a picture is rid of what must not be stored. It loses its metadata, but is not lost.
        Err(_) => match media::clean(Owner::Service, bytes).await {
            Ok(picture) => picture,
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => {
                gone(&error);
                return Ok(None);
            }
        },
    };
    let kept = keep(core, picture, index == 0).await?;
    copies.thumbnail = kept.thumbnail.or(copies.thumbnail.take());
    copies.written.extend(kept.written);
    Ok(Some(kept.url))
}

/// A result in our storage, which no row names yet.
pub(super) struct Kept {
    pub(super) url: String,
    pub(super) thumbnail: Option<String>,
    pub(super) written: Vec<Unnamed>,
}

/// Stores a result under a fresh name, with a thumbnail if that is wanted and possible.
pub(super) async fn keep(core: &Core, picture: Picture, with_thumbnail: bool) -> Result<Kept> {
    let mut objects = Vec::new();
    let mut thumbnail = None;
    if with_thumbnail {
        match media::thumbnail(Owner::Service, picture.bytes.clone()).await {
            Ok(small) => {
                let key = fresh_name(core, &small)?;
                thumbnail = Some(core.blobs.public_url(&key));
                objects.push((key, small));
            }
            Err(error) if error.is_retryable() => return Err(error),
            // A picture too large for a thumbnail is still worth keeping.
            Err(_) => {}
        }
    }
    let key = fresh_name(core, &picture)?;
    let url = core.blobs.public_url(&key);
    objects.push((key, picture));
    Ok(Kept { url, thumbnail, written: vec![Unnamed::write(core, objects).await?] })
}

fn fresh_name(core: &Core, picture: &Picture) -> Result<BlobKey> {
    let name = core.entropy.uuid_at(core.now()).simple();
    let key = format!("results/{name}.{}", picture.kind.extension());
    key.parse().map_err(|_| Error::internal("a fresh name is none"))
}
