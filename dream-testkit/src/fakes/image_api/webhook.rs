//! The notice that a job has ended.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use dream_core::ports::EntropyExt;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};

use super::jobs::{Job, JobError, Status, Step};
use super::{Inner, outgoing_urls};
use crate::fakes::lock;

/// How long the sender waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the end of a job is told.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.by_hand().webhooks(), async |world| {
/// use dream_testkit::fakes::image_api::WebhookPlan;
/// use dream_testkit::wait::eventually;
/// use std::time::Duration;
///
/// world.image_api().plan_next_webhook(WebhookPlan::Forged);
/// world.alice().await.generates("a cat").await;
/// world.work().await;
/// let there = world.image_api().jobs().remove(0).id;
/// world.image_api().succeed(&there);
/// eventually(Duration::from_secs(10), || !world.image_api().deliveries().is_empty()).await;
/// assert_eq!(world.image_api().deliveries()[0].status, Some(401), "nobody believed it");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "plan", rename_all = "snake_case")]
pub enum WebhookPlan {
    /// At once.
    #[default]
    Once,
    /// At once, and the same event again.
    Twice,
    /// This much later.
    Late {
        /// Milliseconds.
        ms: u64,
    },
    /// Not at all.
    Never,
    /// At once; then comes an older event that says the job is running.
    OutOfOrder,
    /// At once; then comes an event that says the opposite.
    Contradicted,
    /// Signed with another secret.
    Forged,
}

/// An event as it goes over the wire.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.by_hand(), async |world| {
/// use dream_testkit::fakes::image_api::Event;
///
/// world.alice().await.generates("a cat").await;
/// world.work().await;
/// let there = world.image_api().jobs().remove(0).id;
/// world.image_api().succeed(&there);
/// let sent = world.image_api().signed_event(&there).ok_or("no such job")?;
/// let event: Event = serde_json::from_str(&sent.body)?;
/// assert_eq!((event.job_id, event.result_urls.len()), (there, 1));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Such as `evt_…`.
    pub event_id: String,
    /// The job.
    pub job_id: String,
    /// Whose job it is.
    pub tenant_id: String,
    /// Where it stands.
    pub status: Status,
    /// The pictures.
    pub result_urls: Vec<String>,
    /// Why it failed.
    pub error: Option<JobError>,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
}

/// An event that is ready to go, for a test that wants to tamper with it.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.by_hand(), async |world| {
/// world.alice().await.generates("a cat").await;
/// world.work().await;
/// let there = world.image_api().jobs().remove(0).id;
/// world.image_api().succeed(&there);
/// let event = world.image_api().signed_event(&there).ok_or("no such job")?;
/// // Changed on its way, its signature is wrong.
/// let changed = event.body.replace("SUCCEEDED", "FAILED");
/// assert!(world.dream().image_webhook(Some(event.signature.as_bytes()), changed.as_bytes()).is_err());
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignedEvent {
    /// `X-Signature`.
    pub signature: String,
    /// The JSON, exactly as signed.
    pub body: String,
}

/// An event that was sent.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.webhooks(), async |world| {
/// world.alice().await.generates("a cat").await;
/// world.settle().await;
/// // Each end of a job is told once, and taken.
/// for delivery in world.image_api().deliveries() {
///     assert_eq!(delivery.status, Some(200), "{:?}", delivery.event);
/// }
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The event.
    pub event: Event,
    /// When, in milliseconds since the epoch.
    pub at: i64,
    /// The answer's status; `None` if there was no answer.
    pub status: Option<u16>,
}

/// `X-Signature` of this body.
///
/// ```
/// use dream_core::protocol::webhook::WebhookVerifier;
/// use dream_testkit::fakes::image_api::signature;
///
/// let verifier = WebhookVerifier::new(&"the webhook secret".into()).unwrap();
/// assert_eq!(signature("the webhook secret", b"{}"), verifier.sign(b"{}"));
/// ```
pub fn signature(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body)))
}

pub(super) fn signed(event: &Event, secret: &str) -> SignedEvent {
    let body = serde_json::to_string(event).unwrap_or_default();
    SignedEvent { signature: signature(secret, body.as_bytes()), body }
}

/// What the notice says when the job stands so.
pub(super) fn event(fake: &Inner, job: &Job, step: &Step) -> Event {
    Event {
        event_id: format!("evt_{}", fake.options.entropy.alphanumeric(20)),
        job_id: job.id.clone(),
        tenant_id: job.tenant.clone(),
        status: step.status,
        result_urls: outgoing_urls(fake, job, step.status),
        error: step.error.clone(),
        timestamp: step.at.as_micros().div_euclid(1000),
    }
}

/// Waits for the planned end of the job and tells it.
pub(super) fn watch(fake: &Arc<Inner>, job: &Job) {
    let Some(end) = job.ends_at() else { return };
    let (desk, id) = (fake.clone(), job.id.clone());
    let work = async move {
        // Measured here and not before: the clock may have moved until this task runs.
        desk.options.clock.sleep(end.since(desk.now())).await;
        tell(&desk, &id).await;
    };
    let stop = fake.stop.clone();
    fake.notices.spawn(async move { stop.run_until_cancelled(work).await });
}

/// Tells the end of the job soon, if it has ended and was not told.
pub(super) fn notice(fake: &Arc<Inner>, id: &str) {
    let (desk, id, stop) = (fake.clone(), id.to_owned(), fake.stop.clone());
    fake.notices.spawn(async move { stop.run_until_cancelled(tell(&desk, &id)).await });
}

async fn tell(fake: &Inner, id: &str) {
    let Some((job, step, plan)) = take_due(fake, id) else { return };
    if job.tenant != fake.service_tenant() || plan == WebhookPlan::Never {
        return;
    }
    if let WebhookPlan::Late { ms } = plan {
        fake.options.clock.sleep(Duration::from_millis(ms)).await;
    }
    for event in events(event(fake, &job, &step), plan, fake) {
        send(fake, event, plan == WebhookPlan::Forged).await;
    }
}

/// The job, its end and how to tell it; only the first who asks gets it.
fn take_due(fake: &Inner, id: &str) -> Option<(Job, Step, WebhookPlan)> {
    let now = fake.now();
    let mut state = lock(&fake.state);
    let job = state.jobs.iter_mut().find(|job| job.id == id)?;
    let step = job.at(now);
    if job.announced || !step.status.is_final() {
        return None;
    }
    job.announced = true;
    let job = job.clone();
    let plan = state.planned.pop_front().unwrap_or(state.plan);
    Some((job, step, plan))
}

fn events(event: Event, plan: WebhookPlan, fake: &Inner) -> Vec<Event> {
    let other = |status, back| Event {
        event_id: format!("evt_{}", fake.options.entropy.alphanumeric(20)),
        status,
        result_urls: Vec::new(),
        error: (status == Status::Failed).then(|| JobError::new("TIMEOUT")),
        timestamp: event.timestamp - back,
        ..event.clone()
    };
    let second = match plan {
        WebhookPlan::Twice => Some(event.clone()),
        WebhookPlan::OutOfOrder => Some(other(Status::Running, 5000)),
        WebhookPlan::Contradicted if event.status == Status::Failed => Some(other(Status::Succeeded, 0)),
        WebhookPlan::Contradicted => Some(other(Status::Failed, 0)),
        _ => None,
    };
    std::iter::once(event).chain(second).collect()
}

/// Sends the event, if there is somebody to send it to.
pub(super) async fn send(fake: &Inner, event: Event, forged: bool) {
    let Some(url) = lock(&fake.state).webhook_url.clone() else { return };
    let secret = if forged { "not the secret" } else { &fake.options.webhook_secret };
    let SignedEvent { signature, body } = signed(&event, secret);
    let at = fake.now().as_micros().div_euclid(1000);
    let request = fake.http.post(url).header(CONTENT_TYPE, "application/json");
    let answer = request.header("x-signature", signature).body(body).timeout(PATIENCE).send().await;
    let status = answer.ok().map(|answer| answer.status().as_u16());
    lock(&fake.state).deliveries.push(Delivery { event, at, status });
}
