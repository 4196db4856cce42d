//! Notifies: what is to be told, on the real schedule, with trouble on demand.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dream_core::kernel::Timestamp;
use dream_core::ports::SignedNotify;
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::book::{FakePayment, OrderState, shown};
use super::signing::{Shape, encrypted, signed};
use super::{Inner, State, operation, shapes};
use crate::fakes::lock;
use crate::faults::Fault;

/// An answer that takes longer counts as none.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Notices that the fake tells by itself at the same time.
const AT_ONCE: usize = 32;
/// Copies that the trouble `parallel` sends at once.
const COPIES: usize = 5;

/// How long after a failed attempt the next one comes; after the last one there is none.
pub const RETRY_AFTER_SECS: [u64; 15] =
    [15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10_800, 10_800, 10_800, 21_600, 21_600];

/// What becomes of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeState {
    /// It is still being told.
    Pending,
    /// It was answered with 200 or 204.
    Taken,
    /// It is told no more.
    GivenUp,
}

/// One attempt to tell something.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::{RechargePoints, WECHAT};
///
/// let me = world.alice().await.session().await;
/// let placed = me.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
/// world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
/// let attempts = world.wechat_pay().deliver_due().await;
/// assert!(attempts.iter().all(|attempt| attempt.taken()), "{attempts:?}");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifyAttempt {
    /// The notice.
    pub notice: u64,
    /// When, on the fake's clock.
    #[serde(serialize_with = "shown")]
    pub at: Timestamp,
    /// What was wrong with it on purpose.
    pub trouble: Option<String>,
    /// The status of the answer; `None` if there was none in time.
    pub status: Option<u16>,
    /// The body of the answer.
    pub answer: String,
    /// How long the answer took, in real milliseconds.
    pub took_ms: u64,
}

impl NotifyAttempt {
    /// Whether the answer says that it was taken.
    pub fn taken(&self) -> bool {
        matches!(self.status, Some(200 | 204))
    }
}

/// Something to be told.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::{RechargePoints, WECHAT};
///
/// let me = world.alice().await.session().await;
/// let placed = me.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
/// world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
/// let notice = world.wechat_pay().notices().remove(0);
/// // As often as one likes: what it told took effect once.
/// let attempts = world.wechat_pay().deliver_copies(notice.number, 3).await;
/// assert!(attempts.len() == 3 && attempts.iter().all(|attempt| attempt.taken()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FakeNotice {
    /// Counted from 1.
    pub number: u64,
    /// The id on the wire, the same at every attempt.
    pub id: String,
    /// Such as `TRANSACTION.SUCCESS`.
    pub event: String,
    /// Where it goes.
    pub url: String,
    /// What it says, before it is encrypted.
    pub content: Value,
    /// When it came up.
    #[serde(serialize_with = "shown")]
    pub created_at: Timestamp,
    /// What becomes of it.
    pub state: NoticeState,
    /// Attempts that failed.
    pub failed: usize,
    /// When it is told next.
    #[serde(skip)]
    pub next_at: Option<Timestamp>,
}

impl FakeNotice {
    fn operation(&self) -> &'static str {
        if self.event.starts_with("REFUND") { operation::REFUND_NOTIFY } else { operation::PAYMENT_NOTIFY }
    }

    /// After an attempt that was not taken: when the next one comes.
    fn put_off(&mut self, now: Timestamp) {
        let gap = RETRY_AFTER_SECS.get(self.failed).map(|secs| Duration::from_secs(*secs));
        self.failed += 1;
        self.next_at = gap.map(|gap| now.plus(gap));
        self.state = if gap.is_some() { NoticeState::Pending } else { NoticeState::GivenUp };
    }
}

#[derive(Debug, Default)]
pub(super) struct Notices {
    pub(super) all: Vec<FakeNotice>,
    pub(super) attempts: Vec<NotifyAttempt>,
}

impl Notices {
    fn push(&mut self, event: &str, url: &str, content: Value, now: Timestamp) {
        let number = self.all.len() as u64 + 1;
        self.all.push(FakeNotice {
            number,
            id: format!("EV-{}{number:09}", shapes::beijing(now).strftime("%Y%m%d%H")),
            event: event.to_owned(),
            url: url.to_owned(),
            content,
            created_at: now,
            state: NoticeState::Pending,
            failed: 0,
            next_at: Some(now),
        });
    }

    pub(super) fn get(&self, number: u64) -> Option<&FakeNotice> {
        self.all.iter().find(|notice| notice.number == number)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut FakeNotice> {
        self.all.iter_mut().find(|notice| notice.number == number)
    }

    /// When something is to be told next.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.all.iter().filter_map(|notice| notice.next_at).min()
    }

    /// Takes what is due off the schedule, in the order of its times.
    fn take_due(&mut self, now: Timestamp) -> VecDeque<u64> {
        let mut due: Vec<_> =
            self.all.iter_mut().filter(|notice| notice.next_at.is_some_and(|at| at <= now)).collect();
        due.sort_by_key(|notice| (notice.next_at, notice.number));
        due.into_iter()
            .map(|notice| {
                notice.next_at = None;
                notice.number
            })
            .collect()
    }
}

impl Inner {
    pub(super) fn announce_payment(&self, state: &mut State, payment: &FakePayment) {
        let Some(order) = state.book.orders.get(&payment.out_trade_no) else { return };
        if order.notify_url.is_empty() {
            return;
        }
        let content = shapes::paid(&self.options.mchid, order, payment, OrderState::Success);
        let url = order.notify_url.clone();
        state.notices.push("TRANSACTION.SUCCESS", &url, content, self.now());
        self.wake.notify_one();
    }

    pub(super) fn announce_refund(&self, state: &mut State, out_refund_no: &str) {
        let Some(refund) = state.book.refunds.get(out_refund_no) else { return };
        let Some(url) = refund.notify_url.clone() else { return };
        let content = shapes::refund_notice(&self.options.mchid, refund);
        let event = format!("REFUND.{}", refund.status.word());
        state.notices.push(&event, &url, content, self.now());
        self.wake.notify_one();
    }

    /// A signed notify as it goes over the wire now.
    pub(super) fn seal(&self, id: &str, event: &str, content: &Value, trouble: Option<&str>) -> SignedNotify {
        let now = self.now();
        let content = troubled(content, trouble);
        let kind = if event.starts_with("REFUND") { "refund" } else { "transaction" };
        let key =
            if trouble == Some("undecryptable") { "0".repeat(32) } else { self.options.api_v3_key.clone() };
        let mut resource = encrypted(&key, &content.to_string(), kind, &self.nonce(12));
        resource["original_type"] = kind.into();
        let body = json!({
            "id": id,
            "create_time": shapes::time(now),
            "resource_type": "encrypt-resource",
            "event_type": event,
            "summary": if kind == "refund" { "退款通知" } else { "支付成功" },
            "resource": resource,
        });
        let body: Bytes = if trouble == Some("not_json") { "<xml/>".into() } else { body.to_string().into() };
        let signer = lock(&self.state).notify_key;
        let (headers, body) = signed(&self.ring, signer, Shape::named(trouble), &body, now, &self.nonce(32));
        let usual =
            [("Content-Type", "application/json"), ("User-Agent", "Mozilla/4.0"), ("Pragma", "no-cache")];
        let usual = usual.into_iter().map(|(name, value)| (name, value.to_owned()));
        SignedNotify::new(usual.chain(headers), body)
    }
}

/// The content with the lie that the trouble asks for.
fn troubled(content: &Value, trouble: Option<&str>) -> Value {
    let mut content = content.clone();
    let lie: Option<(&str, Value)> = match trouble {
        Some("wrong_amount") if content.pointer("/amount/refund").is_some() => {
            Some(("/amount/refund", 1.into()))
        }
        Some("wrong_amount") => Some(("/amount/total", 1.into())),
        Some("wrong_currency") => Some(("/amount/currency", "USD".into())),
        Some("wrong_mchid") => Some(("/mchid", "1900000001".into())),
        Some("wrong_appid") => Some(("/appid", "wx0000000000000000".into())),
        Some("wrong_payer") => Some(("/payer/openid", "o-somebody-else".into())),
        Some("wrong_order") => Some(("/out_trade_no", "NOSUCHORDER".into())),
        _ => None,
    };
    if let Some((place, value)) = lie
        && let Some(member) = content.pointer_mut(place)
    {
        *member = value;
    }
    content
}

/// What is due now, off the schedule.
fn take_due(fake: &Inner) -> VecDeque<u64> {
    let mut state = lock(&fake.state);
    fake.settle(&mut state);
    state.notices.take_due(fake.now())
}

/// Tells everything as its time comes, many things at once, since one receiver may be slow.
pub(super) async fn deliver_for_ever(fake: Arc<Inner>, tasks: TaskTracker) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        for number in take_due(&fake) {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let fake = fake.clone();
            tasks.spawn(async move {
                let operation = lock(&fake.state).notices.get(number).map(FakeNotice::operation);
                let fault = operation.and_then(|operation| fake.faults.strike(operation));
                let work = deliver(&fake, number, fault.filter(|fault| *fault != Fault::special("last")));
                drop(fake.stop.run_until_cancelled(work).await);
                drop(place);
            });
        }
        let pause = fake.next_due().map(|due| due.since(fake.now()));
        let due = async {
            match pause {
                Some(pause) => fake.options.clock.sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = fake.wake.notified() => {}
        }
    }
}

/// Tells everything that is due once, in order; what the receiver made of it.
pub(super) async fn deliver_due(fake: &Arc<Inner>) -> Vec<NotifyAttempt> {
    let mut queue = take_due(fake);
    let mut told = Vec::new();
    let mut postponed = 0;
    while let Some(number) = queue.pop_front() {
        let Some(operation) = lock(&fake.state).notices.get(number).map(FakeNotice::operation) else {
            continue;
        };
        let fault = fake.faults.strike(operation);
        let last = fault == Some(Fault::special("last"));
        if last && postponed < queue.len() {
            postponed += 1;
            queue.push_back(number);
            continue;
        }
        told.extend(deliver(fake, number, fault.filter(|_| !last)).await);
    }
    told
}

/// Tells one notice now, due or not, under this fault.
pub(super) async fn deliver(fake: &Arc<Inner>, number: u64, fault: Option<Fault>) -> Vec<NotifyAttempt> {
    match fault {
        None => attempt(fake, number, None, 1).await,
        Some(Fault::Delay { ms }) => {
            let later = fake.now().plus(Duration::from_millis(ms));
            if let Some(notice) = lock(&fake.state).notices.get_mut(number) {
                notice.next_at = Some(later);
            }
            fake.wake.notify_one();
            Vec::new()
        }
        Some(Fault::Special { name }) => match name.as_str() {
            "lose_all" => {
                if let Some(notice) = lock(&fake.state).notices.get_mut(number) {
                    notice.state = NoticeState::GivenUp;
                    notice.next_at = None;
                }
                Vec::new()
            }
            "double" => {
                let mut told = attempt(fake, number, None, 1).await;
                told.extend(attempt(fake, number, Some("double"), 1).await);
                told
            }
            "parallel" => attempt(fake, number, Some("parallel"), COPIES).await,
            name => attempt(fake, number, Some(name), 1).await,
        },
        Some(Fault::DropAfter | Fault::DelayAfter { .. }) => {
            let told = attempt(fake, number, Some("answer_lost"), 1).await;
            if let Some(notice) = lock(&fake.state).notices.get_mut(number)
                && notice.state == NoticeState::Taken
            {
                notice.put_off(fake.now());
            }
            told
        }
        Some(Fault::Corrupt) => attempt(fake, number, Some("tampered"), 1).await,
        Some(Fault::Drop | Fault::Truncate | Fault::Status { .. }) => vec![lost(fake, number)],
    }
}

/// An attempt that never arrives.
fn lost(fake: &Inner, number: u64) -> NotifyAttempt {
    let attempt = NotifyAttempt {
        notice: number,
        at: fake.now(),
        trouble: Some("lost".to_owned()),
        status: None,
        answer: String::new(),
        took_ms: 0,
    };
    conclude(fake, number, std::slice::from_ref(&attempt));
    attempt
}

/// Sends so many copies at once.
pub(super) async fn attempt(
    fake: &Arc<Inner>,
    number: u64,
    trouble: Option<&str>,
    copies: usize,
) -> Vec<NotifyAttempt> {
    let Some(notice) = lock(&fake.state).notices.get(number).cloned() else { return Vec::new() };
    let sends = (0..copies).map(|_| send(fake, &notice, trouble));
    let attempts = join_all(sends).await;
    conclude(fake, number, &attempts);
    attempts
}

async fn send(fake: &Inner, notice: &FakeNotice, trouble: Option<&str>) -> NotifyAttempt {
    let sealed = fake.seal(&notice.id, &notice.event, &notice.content, trouble);
    let at = fake.now();
    let started = Instant::now();
    let request = fake.http.post(&notice.url).timeout(ANSWER_LIMIT).body(sealed.body().clone());
    let request = sealed.headers().fold(request, |request, (name, value)| request.header(name, value));
    let (status, answer) = match request.send().await {
        Ok(response) => {
            let status = response.status().as_u16();
            // The answer counts once it is there as a whole.
            match response.text().await {
                Ok(text) => (Some(status), text),
                Err(error) => (None, error.to_string()),
            }
        }
        Err(error) => (None, error.to_string()),
    };
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    NotifyAttempt { notice: notice.number, at, trouble: trouble.map(str::to_owned), status, answer, took_ms }
}

/// Records the attempts; the schedule ends if one of them was taken.
fn conclude(fake: &Inner, number: u64, attempts: &[NotifyAttempt]) {
    let mut state = lock(&fake.state);
    state.notices.attempts.extend_from_slice(attempts);
    let now = fake.now();
    let Some(notice) = state.notices.get_mut(number) else { return };
    if notice.state != NoticeState::Pending {
        return;
    }
    if attempts.iter().any(NotifyAttempt::taken) {
        notice.state = NoticeState::Taken;
        notice.next_at = None;
    } else {
        notice.put_off(now);
    }
    drop(state);
    fake.wake.notify_one();
}
