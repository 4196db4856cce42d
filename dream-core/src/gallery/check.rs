//! The content check of what is to go public: the text at once, the picture by a verdict that is pushed later.

use std::sync::Arc;
use std::time::Duration;

use super::changes::{Hear, Note, text_trace};
use super::rules::{self, Outcome};
use super::store::{self, Asked, Case, Part};
use super::{Publication, TOPIC, VerifiedPush};
use crate::access::Session;
use crate::dream::Core;
use crate::error::{Code, Error, Result};
use crate::kernel::ImageId;
use crate::outbox::{Next, Task};
use crate::ports::{Failure, FailureKind, ImageCheck, Scene, TextCheck, Verdict};
use crate::protocol::message_push::{MediaCheck, PushMessage};

/// WeChat pushes a verdict within half an hour; after this time it is taken for lost.
const LOST_AFTER: Duration = Duration::from_mins(40);
/// How often a picture is handed in before it is left to a person.
const MOST_ASKED: usize = 3;
/// How long to wait before a picture is handed in again whose check failed.
const AFTER_A_FAILURE: Duration = Duration::from_mins(1);
/// How long to wait after a check was refused, as it is for an author who has not been there for two hours.
const AFTER_A_REFUSAL: Duration = Duration::from_mins(10);
/// How often a refused check is tried again before the picture is left to a person.
const MOST_TRIES: i64 = 12;
/// How long to wait where WeChat says that it is too much.
const AFTER_TOO_MUCH: Duration = Duration::from_mins(5);

/// The task: see to it that a picture that waits gets decided. Until it is, nobody sees it.
pub(crate) async fn check(core: &Arc<Core>, task: &Task) -> Result<Next> {
    let image: ImageId = task.subject.parse().map_err(|_| Error::internal("a task names no picture"))?;
    let Some(case) = store::case(&mut core.store.db(), image).await? else { return Ok(Next::Done) };
    if !case.text_is_checked {
        let content = rules::shown_text(&case.prompt, &case.tags);
        let text = TextCheck { openid: &case.openid, scene: Scene::Forum, content: &content };
        let verdict = match core.content.text(text).await {
            Ok(verdict) => verdict,
            Err(failure) => return not_checked(task, failure),
        };
        let (outcome, _) = note(core, image, Part::Text, &text_trace(image), Some(verdict)).await?;
        if outcome != Outcome::Open {
            return Ok(Next::Done);
        }
    }
    match next_step(core, &case) {
        Step::Wait(time) => Ok(Next::After(time)),
        Step::GiveUp => {
            tracing::warn!(image.id = %image, "no verdict came: a person has to decide");
            Ok(Next::Done)
        }
        Step::HandIn(url) => match core.content.image(&case.openid, Scene::Forum, url).await {
            Ok(handed_in) => hand_in(core, image, &case, handed_in).await,
            Err(failure) => not_checked(task, failure),
        },
    }
}

/// Checks the text of what is about to be published, before anything is stored; what the check found, or `None` if it
/// cannot be made now. The task makes it later then, and nobody sees the picture until it has.
///
/// # Errors
/// `CONTENT_REJECTED` for a risky text; and what would refuse the publication anyway, so that no check is spent on it.
pub(super) async fn publication(me: &Session, publication: &Publication) -> Result<Option<Verdict>> {
    let core = &me.core;
    let job = me.job(&publication.job).await?;
    rules::publishable(&job, publication.index)?;
    let mut db = core.store.db();
    if store::is_taken(&mut db, &publication.job, publication.index).await? {
        return Err(Code::AlreadyPublished.into());
    }
    let openid = me.me().await?.openid.ok_or(Code::TokenRevoked)?;
    let content = rules::shown_text(&job.prompt, &rules::distinct(&publication.tags));
    match core.content.text(TextCheck { openid: &openid, scene: Scene::Forum, content: &content }).await {
        Ok(Verdict::Risky) => Err(Code::ContentRejected.into()),
        Ok(verdict) => Ok(Some(verdict)),
        Err(failure) => {
            tracing::info!(job.id = %publication.job, error = %failure, "a text cannot be checked now and is checked later");
            Ok(None)
        }
    }
}

enum Step<'a> {
    HandIn(&'a str),
    Wait(Duration),
    GiveUp,
}

fn next_step<'a>(core: &Core, case: &'a Case) -> Step<'a> {
    if let Some(Asked { failed: false, at }) = case.asked.last() {
        let left = at.plus(LOST_AFTER).since(core.now());
        if !left.is_zero() {
            return Step::Wait(left);
        }
    }
    if case.asked.len() >= MOST_ASKED {
        return Step::GiveUp;
    }
    // What cannot be read as it is, for its size or its format, may be readable as the small copy.
    let unreadable = case.asked.last().is_some_and(|asked| asked.failed);
    Step::HandIn(if unreadable { &case.thumbnail_url } else { &case.image_url })
}

async fn hand_in(core: &Arc<Core>, image: ImageId, case: &Case, handed_in: ImageCheck) -> Result<Next> {
    let (trace_id, verdict) = match handed_in {
        ImageCheck::Decided(verdict) => (format!("picture:{image}:{}", case.asked.len()), Some(verdict)),
        ImageCheck::Pending { trace_id } => (trace_id, None),
    };
    match note(core, image, Part::Picture, &trace_id, verdict).await? {
        (Outcome::Open, true) => Ok(Next::After(AFTER_A_FAILURE)),
        (Outcome::Open, false) => Ok(Next::After(LOST_AFTER)),
        _ => Ok(Next::Done),
    }
}

async fn note(
    core: &Arc<Core>,
    image: ImageId,
    part: Part,
    trace_id: &str,
    verdict: Option<Verdict>,
) -> Result<(Outcome, bool)> {
    let noted = core.store.run(&Note { image, part, trace_id, verdict, now: core.now() }).await?;
    if noted.0 == Outcome::Pass {
        core.announce(TOPIC).await;
    }
    Ok(noted)
}

/// A check that could not be made is never a pass: it is made later, or by a person.
fn not_checked(task: &Task, failure: Failure) -> Result<Next> {
    match failure.kind {
        FailureKind::Refused if task.attempts >= MOST_TRIES => {
            tracing::warn!(image.id = task.subject, error = %failure, "it cannot be checked: a person has to decide");
            Ok(Next::Done)
        }
        FailureKind::Refused => {
            tracing::info!(image.id = task.subject, error = %failure, "a check was refused and is tried again");
            Ok(Next::After(AFTER_A_REFUSAL))
        }
        FailureKind::Throttled => {
            Ok(Next::After(failure.retry_after.unwrap_or_default().max(AFTER_TOO_MUCH)))
        }
        _ => Err(failure.into()),
    }
}

impl VerifiedPush {
    /// Lets the message take effect, once however often it is pushed. Most messages have none.
    ///
    /// # Errors
    /// `UNAVAILABLE` if it could not be kept: then it must be pushed again.
    pub async fn apply(self) -> Result<()> {
        let core = &self.core;
        let PushMessage::MediaCheck(MediaCheck { trace_id, outcome, .. }) = &self.message else {
            return Ok(());
        };
        if let Err(code) = outcome {
            tracing::warn!(
                wechat.trace_id = trace_id,
                wechat.code = code,
                "WeChat could not check a picture"
            );
        }
        let now = core.now();
        let verdict = outcome.ok();
        let heard = Hear { trace_id, verdict, again_at: now.plus(AFTER_A_FAILURE), now };
        if core.store.run(&heard).await? {
            core.announce(TOPIC).await;
        }
        core.wake_worker();
        Ok(())
    }
}
