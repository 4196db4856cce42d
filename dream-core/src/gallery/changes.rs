use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::rules::{self, Outcome};
use super::store::{self, Held, Part};
use super::{GalleryImage, ImageStatus, ModeratedImage, Publication};
use crate::access::{Admin, Scope};
use crate::admin::{self, AuditEntry};
use crate::dream::Core;
use crate::error::{Code, Result};
use crate::kernel::{ImageId, JobId, Timestamp, UserId};
use crate::outbox::{self, TaskKind};
use crate::ports::{Blobs, Verdict};
use crate::settings::Settings;
use crate::stats::{self, Delta};
use crate::store::{Change, Joint, Tx};
use crate::{blobs, jobs, points, users};

/// Says that a user likes a picture, or does not.
pub(crate) struct Like {
    pub(super) core: Arc<Core>,
    pub(super) user: UserId,
    pub(super) image: ImageId,
    pub(super) likes: bool,
    pub(super) now: Timestamp,
}

impl Joint for Like {
    const NAME: &'static str = "gallery.like";
    /// How many like it now.
    type Out = i64;

    async fn apply_all(parts: &[Self], tx: &mut Tx) -> Result<Vec<Result<i64>>> {
        let Some(first) = parts.first() else { return Ok(Vec::new()) };
        let images: BTreeSet<ImageId> = parts.iter().map(|part| part.image).collect();
        let mut counts = store::likes(tx, &images).await?;
        let heard = || parts.iter().filter(|part| counts.contains_key(&part.image));
        let visits: Vec<_> = heard().map(|part| (part.user, part.now)).collect();
        stats::add_visits(tx, &first.core.settings, &visits).await?;
        // Whoever says both at once is taken at the last word.
        let wanted: BTreeMap<_, _> =
            heard().map(|part| ((part.image, part.user), (part.likes, part.now))).collect();
        let mut changes: BTreeMap<ImageId, i64> = BTreeMap::new();
        for image in store::insert_likes(tx, &wanted).await? {
            *changes.entry(image).or_default() += 1;
        }
        for image in store::delete_these_likes(tx, &wanted).await? {
            *changes.entry(image).or_default() -= 1;
        }
        // The counts come last: everybody who likes these pictures waits for their rows, and not for anything else.
        for (image, change) in changes {
            // One that was taken out of the public just now is tried again, and then not found.
            let count = store::count_likes(tx, image, change).await?.ok_or(Code::ImageNotFound)?;
            counts.insert(image, count);
        }
        let count_of = |part: &Self| counts.get(&part.image).copied().ok_or(Code::ImageNotFound.into());
        Ok(parts.iter().map(count_of).collect())
    }
}

/// Puts a result into the gallery, where it waits to be checked.
pub(super) struct Publish<'a> {
    pub(super) user: UserId,
    pub(super) publication: &'a Publication,
    /// What the check of its text found, where it could be made.
    pub(super) text: Option<Verdict>,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl Change for Publish<'_> {
    const NAME: &'static str = "gallery.publish";
    type Out = GalleryImage;

    async fn apply(&self, tx: &mut Tx) -> Result<GalleryImage> {
        let Publication { job, index, category, tags } = self.publication;
        let (user, now) = (self.user, self.now);
        points::lock_balance(tx, user).await?.ok_or(Code::TokenRevoked)?;
        users::openid_of(tx, user).await?.ok_or(Code::TokenRevoked)?;
        // Locked, so that its results are not moved to our storage between this look and the commit.
        let job = jobs::lock(tx, Scope::Own(user), job).await?.ok_or(Code::JobNotFound)?;
        let (image_url, thumbnail_url) = rules::publishable(&job, *index)?;
        let new = store::NewImage {
            author: user,
            job: &job.job_id,
            index: *index,
            image_url,
            thumbnail_url,
            prompt: &job.prompt,
            category: category.id,
            tags: &rules::distinct(tags),
        };
        let id = store::insert(tx, &new, now).await?.ok_or(Code::AlreadyPublished)?;
        // Of a picture that was rejected before: the verdicts on the earlier publication do not count any more.
        store::forget_checks(tx, id).await?;
        if let Some(verdict) = self.text {
            store::note_check(tx, &text_trace(id), id, Part::Text, Some(verdict), now).await?;
        }
        outbox::enqueue(tx, TaskKind::GalleryCheck, &id.to_string(), now, now).await?;
        stats::add_by(tx, self.settings, user, now, Delta::default()).await?;
        store::find(tx, id, Some(user)).await?.ok_or(Code::ImageNotFound.into())
    }
}

/// The id under which the verdict on a picture's text is stored: the check answers at once, without an id of its own.
pub(super) fn text_trace(image: ImageId) -> String {
    format!("text:{image}")
}

/// Brings a held picture into another state, with everything that hangs on whether it is public.
async fn turn(tx: &mut Tx, held: &Held, to: ImageStatus, barred: bool, now: Timestamp) -> Result<()> {
    store::set_status(tx, held.id, to, barred, now).await?;
    let (was, is) = (held.status == ImageStatus::Public, to == ImageStatus::Public);
    if is && !was {
        store::insert_tags(tx, held.id, &held.tags, held.created_at).await?;
        store::add_to_counts(tx, &held.category, &held.tags, 1).await?;
    }
    if was && !is {
        store::delete_tags(tx, held.id).await?;
        store::add_to_counts(tx, &held.category, &held.tags, -1).await?;
    }
    outbox::cancel(tx, TaskKind::GalleryCheck, &held.id.to_string()).await
}

/// Takes a picture out of the gallery for good.
pub(super) struct Remove<'a> {
    pub(super) scope: Scope,
    pub(super) image: ImageId,
    pub(super) by: Option<(&'a Admin, Option<&'a str>)>,
    /// Tells which pictures are objects of ours.
    pub(super) blobs: &'a dyn Blobs,
    pub(super) now: Timestamp,
}

impl Change for Remove<'_> {
    const NAME: &'static str = "gallery.remove";
    /// Whether everybody could see it.
    type Out = bool;

    async fn apply(&self, tx: &mut Tx) -> Result<bool> {
        let held = store::hold(tx, self.scope, self.image).await?.ok_or(Code::ImageNotFound)?;
        if !rules::may_turn(held.status, ImageStatus::Removed) {
            return Err(Code::ImageNotFound.into());
        }
        // What an admin took out does not come back by being published again.
        let barred = held.barred || self.by.is_some();
        take_out(tx, &held, barred, self.blobs, self.now).await?;
        if let Some((admin, reason)) = self.by {
            let entry = entry("gallery.remove", &held, ImageStatus::Removed, reason);
            admin::record(tx, admin, entry, self.now).await?;
        }
        Ok(held.status == ImageStatus::Public)
    }
}

/// Removes a held picture with its likes and its objects, unless the author's job or another picture still shows them.
async fn take_out(tx: &mut Tx, held: &Held, barred: bool, blobs: &dyn Blobs, now: Timestamp) -> Result<()> {
    turn(tx, held, ImageStatus::Removed, barred, now).await?;
    store::delete_likes(tx, held.id).await?;
    for url in [&held.image_url, &held.thumbnail_url] {
        let Some(key) = blobs.key_of(url) else { continue };
        if let Some(job) = &held.job
            && (jobs::shows(tx, job, url).await? || store::job_shows(tx, job, url).await?)
        {
            continue;
        }
        blobs::remove_later(tx, &key, now).await?;
    }
    Ok(())
}

fn entry<'a>(action: &'static str, held: &Held, to: ImageStatus, reason: Option<&'a str>) -> AuditEntry<'a> {
    AuditEntry::new(action, format!("image:{}", held.id))
        .before(serde_json::json!({ "status": held.status.as_str() }))
        .after(serde_json::json!({ "status": to.as_str() }))
        .reason(reason)
}

/// An admin's word on a picture: it goes public, or it does not.
pub(super) struct Judge<'a> {
    pub(super) admin: &'a Admin,
    pub(super) image: ImageId,
    pub(super) to: ImageStatus,
    pub(super) reason: Option<&'a str>,
    pub(super) now: Timestamp,
}

impl Change for Judge<'_> {
    const NAME: &'static str = "gallery.judge";
    type Out = ModeratedImage;

    async fn apply(&self, tx: &mut Tx) -> Result<ModeratedImage> {
        let held = store::hold(tx, self.admin.scope(), self.image).await?.ok_or(Code::ImageNotFound)?;
        if !rules::may_turn(held.status, self.to) {
            return Err(Code::InvalidState.into());
        }
        turn(tx, &held, self.to, false, self.now).await?;
        let (action, reject_reason) = match self.to {
            ImageStatus::Public => ("gallery.approve", None),
            _ => ("gallery.reject", self.reason),
        };
        store::set_reject_reason(tx, held.id, reject_reason).await?;
        admin::record(tx, self.admin, entry(action, &held, self.to, self.reason), self.now).await?;
        store::moderated(tx, held.id).await?.ok_or(Code::ImageNotFound.into())
    }
}

/// Notes a check that was made or handed in, and acts on what is known by then.
pub(super) struct Note<'a> {
    pub(super) image: ImageId,
    pub(super) part: Part,
    pub(super) trace_id: &'a str,
    /// `None` until it is pushed.
    pub(super) verdict: Option<Verdict>,
    pub(super) now: Timestamp,
}

impl Change for Note<'_> {
    const NAME: &'static str = "gallery.note_check";
    /// What is to become of the picture, and whether the check has failed already.
    type Out = (Outcome, bool);

    async fn apply(&self, tx: &mut Tx) -> Result<(Outcome, bool)> {
        let failed =
            store::note_check(tx, self.trace_id, self.image, self.part, self.verdict, self.now).await?;
        Ok((settle(tx, self.image, self.now).await?, failed))
    }
}

/// Keeps a verdict that was pushed, and acts on it. The first one counts, however often it comes.
pub(super) struct Hear<'a> {
    pub(super) trace_id: &'a str,
    /// `None` if the check failed: then it is made again, at this time.
    pub(super) verdict: Option<Verdict>,
    pub(super) again_at: Timestamp,
    pub(super) now: Timestamp,
}

impl Change for Hear<'_> {
    const NAME: &'static str = "gallery.hear_verdict";
    /// Whether the picture went public.
    type Out = bool;

    async fn apply(&self, tx: &mut Tx) -> Result<bool> {
        let Some(image) = store::keep_verdict(tx, self.trace_id, self.verdict, self.now).await? else {
            return Ok(false);
        };
        let outcome = settle(tx, image, self.now).await?;
        if self.verdict.is_none() && outcome == Outcome::Open {
            let subject = image.to_string();
            outbox::enqueue(tx, TaskKind::GalleryCheck, &subject, self.again_at, self.now).await?;
        }
        Ok(outcome == Outcome::Pass)
    }
}

/// Acts on the verdicts there are. A picture that is decided already stays as it is.
async fn settle(tx: &mut Tx, image: ImageId, now: Timestamp) -> Result<Outcome> {
    let held = store::hold(tx, Scope::All, image).await?;
    let Some(held) = held.filter(|held| held.status == ImageStatus::Pending) else {
        return Ok(Outcome::ForAPerson);
    };
    let outcome = match store::found(tx, image).await?.outcome() {
        // What a person rejected only a person lets go public.
        Outcome::Pass if held.reject_reason.is_some() => Outcome::ForAPerson,
        outcome => outcome,
    };
    match outcome {
        Outcome::Open => {}
        Outcome::Pass => turn(tx, &held, ImageStatus::Public, false, now).await?,
        Outcome::Reject => turn(tx, &held, ImageStatus::Rejected, false, now).await?,
        Outcome::ForAPerson => outbox::cancel(tx, TaskKind::GalleryCheck, &image.to_string()).await?,
    }
    Ok(outcome)
}

/// Lets the pictures of a job follow its results to where they lie now; whether there are any.
pub(crate) async fn follow_results(
    tx: &mut Tx,
    job: &JobId,
    urls: &[String],
    thumbnail: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    let mut any = false;
    for (image, index) in store::of_job(tx, job).await? {
        if let Some((url, thumbnail)) = rules::chosen(urls, thumbnail, index) {
            store::set_urls(tx, image, url, thumbnail, now).await?;
            any = true;
        }
    }
    Ok(any)
}

/// Removes a deleted user from the gallery: every picture, its prompt and its objects, and what the user liked.
pub(crate) async fn forget(tx: &mut Tx, user: UserId, blobs: &dyn Blobs, now: Timestamp) -> Result<()> {
    for image in store::of_author(tx, user).await? {
        let held = store::hold(tx, Scope::Own(user), image).await?;
        if let Some(held) = held.filter(|held| held.status != ImageStatus::Removed) {
            take_out(tx, &held, held.barred, blobs, now).await?;
        }
    }
    store::erase_author(tx, user, now).await?;
    let mut liked = store::delete_likes_of(tx, user).await?;
    liked.sort_unstable();
    for image in liked {
        store::uncount_like(tx, image).await?;
    }
    Ok(())
}
