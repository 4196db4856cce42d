//! Events: what happened, told to the program around, at least once.
//!
//! An event is a row of the outbox, written in the commit that it tells of; so none is lost and none is told of
//! what never happened. The rows wait until somebody listens. Whoever does takes them one by one under a lease, and
//! says of each that it is [done](Delivery::done); what nobody says that of is told again when the lease has run out.
//!
//! ```no_run
//! use dream_core::events::Event;
//! # async fn listen(dream: dream_core::Dream) -> dream_core::Result<()> {
//! let mut events = dream.events()?;
//! loop {
//!     let delivery = events.next().await;
//!     match delivery.event() {
//!         Event::OrderPaid(order) => println!("{} was paid: {}", order.order_id, order.amount),
//!         Event::JobFinished(job) => println!("{} ended as {}", job.job_id, job.state.as_str()),
//!         Event::VipEnding(ending) => println!("the level of user {} ends at {}", ending.user, ending.at),
//!         // More may come.
//!         _ => {}
//!     }
//!     delivery.done().await?;
//! }
//! # }
//! ```
//!
//! Events are kept only where [`Settings::keep_events`](crate::Settings) says so, on every node: rows that nobody
//! will ever take would only pile up.
//!
//! # What is promised
//!
//! - *At least once.* A listener that dies, or whose `done` is lost, gets the event again; so handle it idempotently,
//!   by the id of the order or job.
//! - *To one listener.* Listeners, in one process or on many nodes, share the events. Whoever wants one in several
//!   places hands it on.
//! - *As things stand.* An event carries what is stored when it is told, which may have moved on since: an order may
//!   be refunded by then.
//! - *Roughly in order.* Events come in the order of their instants where one listener takes them all and none is
//!   told again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream;
use tokio::sync::broadcast;

use crate::dream::{Core, Dream};
use crate::error::{Error, Result};
use crate::jobs::{self, Job};
use crate::kernel::{Timestamp, UserId};
use crate::orders::{self, Order};
use crate::outbox::{self, Task, TaskKind};
use crate::ports::Invalidation;
use crate::settings::Settings;
use crate::store::Tx;
use crate::vip::{self, Level, Membership};

/// How long a listener has for one event before another is told it.
pub const LEASE: Duration = Duration::from_mins(2);
/// Other nodes make events without telling us, so look at least this often.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(1);
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(20);
/// News that an event may have come with.
const TOPICS: [&str; 2] = ["order:", "job:"];

/// What happened.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.settings(|settings| settings.keep_events = true), async |world| {
/// use dream_core::events::Event;
///
/// # let alice = world.alice().await;
/// # let mut events = world.dream().events()?;
/// let job = alice.generates("a cat").await.job_id;
/// world.settle().await;
/// let delivery = events.next().await;
/// match delivery.event() {
///     Event::JobFinished(ended) => assert_eq!(ended.job_id, job),
///     other => panic!("nothing else happened: {other:?}"),
/// }
/// delivery.done().await?;
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An order was paid, and what it bought was given.
    OrderPaid(Order),
    /// A generation ended: it succeeded, failed or was taken back.
    JobFinished(Job),
    /// A VIP level is about to end, or has just ended.
    VipEnding(VipEnding),
}

/// A level that is about to end: [`Settings::vip_notice`](crate::Settings) before its end, or as soon as it was
/// given where it is shorter than that. A level that is lengthened meanwhile is told of anew.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.settings(|settings| settings.keep_events = true), async |world| {
/// use dream_core::events::Event;
/// use dream_core::vip::{Level, VipTerm};
///
/// # let alice = world.alice().await;
/// # world.admin().await.set_vip(alice.id(), Level::Vip, VipTerm::Days(30), None).await?;
/// // Three days before the end of a month, unless `Settings::vip_notice` says otherwise.
/// world.pass(std::time::Duration::from_hours(27 * 24)).await;
/// let delivery = world.dream().events()?.next().await;
/// let Event::VipEnding(ending) = delivery.event() else { panic!("{delivery:?}") };
/// assert_eq!((ending.user, ending.level), (alice.id(), Level::Vip));
/// assert_eq!(ending.at, world.now().plus_days(3));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VipEnding {
    /// Whose it is.
    pub user: UserId,
    /// The level.
    pub level: Level,
    /// When it ends.
    pub at: Timestamp,
}

/// The kinds of events, as the outbox knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum EventKind {
    /// Subject: order id.
    OrderPaid,
    /// Subject: job id.
    JobFinished,
    /// Subject: user id.
    VipEnding,
}

impl EventKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            EventKind::OrderPaid => "event.order_paid",
            EventKind::JobFinished => "event.job_finished",
            EventKind::VipEnding => "event.vip_ending",
        }
    }
}

/// Keeps an event as part of the change that it tells of, to be told from `due_at` on.
pub(crate) async fn keep(
    tx: &mut Tx,
    settings: &Settings,
    kind: EventKind,
    subject: &str,
    due_at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    if settings.keep_events {
        outbox::enqueue(tx, TaskKind::Event(kind), subject, due_at, now).await?;
    }
    Ok(())
}

/// Plans an event for the end of each level that a user has time of. One event is kept for each user and level: where
/// the end moved, reading the event finds out.
pub(crate) async fn keep_ends(
    tx: &mut Tx,
    settings: &Settings,
    user: UserId,
    membership: Membership,
    now: Timestamp,
) -> Result<()> {
    for level in [Level::Svip, Level::Vip] {
        if let Some(at) = membership.end_of(level) {
            let due_at = at.minus(settings.vip_notice).max(now);
            let subject = format!("{user}:{}", level.as_str());
            keep(tx, settings, EventKind::VipEnding, &subject, due_at, now).await?;
        }
    }
    Ok(())
}

/// Somebody who listens to what happens. See [the module](self) for what is promised.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.settings(|settings| settings.keep_events = true), async |world| {
/// use futures_util::StreamExt as _;
///
/// # let alice = world.alice().await;
/// # for prompt in ["one", "two"] { alice.generates(prompt).await; }
/// # world.settle().await;
/// // As a stream, here of two events that happened before anybody listened.
/// let told: Vec<_> = world.dream().events()?.into_stream().take(2).collect().await;
/// for delivery in told {
///     delivery.done().await?;
/// }
/// # Ok(())
/// # });
/// ```
pub struct Events {
    core: Arc<Core>,
    news: broadcast::Receiver<Invalidation>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

impl Dream {
    /// Listens to what happens, and to what happened while nobody listened.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// // An installation that keeps no events says so, rather than waiting for ever.
    /// assert!(world.dream().events().is_err());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `INTERNAL` unless [`Settings::keep_events`](crate::Settings) is on, since nothing would ever come.
    pub fn events(&self) -> Result<Events> {
        if !self.core.settings.keep_events {
            return Err(Error::internal("events are not kept: settings.keep_events is off"));
        }
        Ok(Events { core: self.core.clone(), news: self.core.cache.invalidations() })
    }
}

/// Why a row is no event.
enum Instead {
    /// What it was about is gone, or did not come true.
    Void,
    /// It is too early.
    NotBefore(Timestamp),
}

type Reading = std::result::Result<Event, Instead>;

impl Events {
    /// The next event, as soon as there is one. While the database cannot be reached it waits for that too.
    ///
    /// Safe to drop at any point: what was taken and not handed out is told again after [`LEASE`].
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.settings(|settings| settings.keep_events = true), async |world| {
    /// use dream_core::events::Event;
    ///
    /// # let alice = world.alice().await;
    /// # alice.generates("a cat").await;
    /// # world.settle().await;
    /// let mut events = world.dream().events()?;
    /// let delivery = events.next().await;
    /// if let Event::JobFinished(job) = delivery.event() {
    ///     // By the id, so that being told twice does no harm.
    ///     println!("{} ended as {}", job.job_id, job.state.as_str());
    /// }
    /// delivery.done().await?;
    /// # Ok(())
    /// # });
    /// ```
    pub async fn next(&mut self) -> Delivery {
        loop {
            match self.take().await {
                Ok(Some(delivery)) => return delivery,
                Ok(None) => self.wait().await,
                Err(error) => {
                    tracing::warn!(error = %error.chain(), "events cannot be read");
                    self.core.clock.sleep(LOOK_AT_LEAST_EVERY).await;
                }
            }
        }
    }

    /// The events as a stream, which never ends.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.settings(|settings| settings.keep_events = true), async |world| {
    /// use futures_util::StreamExt as _;
    ///
    /// # let alice = world.alice().await;
    /// # alice.generates("a cat").await;
    /// # world.settle().await;
    /// // It never ends by itself: take what is wanted, or drop it.
    /// let mut stream = Box::pin(world.dream().events()?.into_stream());
    /// let delivery = stream.next().await.ok_or("it never ends")?;
    /// delivery.done().await?;
    /// # Ok(())
    /// # });
    /// ```
    pub fn into_stream(self) -> impl Stream<Item = Delivery> + Send {
        stream::unfold(self, |mut events| async move {
            let delivery = events.next().await;
            Some((delivery, events))
        })
    }

    async fn take(&self) -> Result<Option<Delivery>> {
        let core = &self.core;
        while let Some((task, lease)) = outbox::claim_event(core, LEASE).await? {
            let read = read(core, &task).await;
            match read {
                Ok(Ok(event)) => {
                    return Ok(Some(Delivery { core: core.clone(), task, lease, event }));
                }
                Ok(Err(Instead::Void)) => outbox::complete(core, &task, &lease).await?,
                Ok(Err(Instead::NotBefore(at))) => outbox::postpone(core, &task, &lease, at, None).await?,
                Err(error) => {
                    let at = core.now().plus(LOOK_AT_LEAST_EVERY);
                    outbox::postpone(core, &task, &lease, at, Some(&error.chain())).await?;
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    async fn wait(&mut self) {
        let core = &self.core;
        let next = outbox::next_event(core).await.ok().flatten();
        let idle = next
            .map_or(LOOK_AT_LEAST_EVERY, |at| at.since(core.now()))
            .clamp(LOOK_AT_MOST_EVERY, LOOK_AT_LEAST_EVERY);
        let news = &mut self.news;
        tokio::select! {
            () = heard(news) => {}
            () = core.clock.sleep(idle) => {}
        }
    }
}

/// Until an event may have been made.
async fn heard(news: &mut broadcast::Receiver<Invalidation>) {
    while let Some(heard) = Invalidation::next(news).await {
        match heard {
            Invalidation::Topic(topic) if !TOPICS.iter().any(|known| topic.starts_with(known)) => {}
            Invalidation::Topic(_) | Invalidation::Everything => return,
        }
    }
    std::future::pending::<()>().await;
}

async fn read(core: &Core, task: &Task) -> Result<Reading> {
    let TaskKind::Event(kind) = task.kind else {
        return Err(Error::internal("a task was taken for an event"));
    };
    let garbled = || garbled(&task.subject);
    let event = match kind {
        EventKind::OrderPaid => {
            let order = task.subject.parse().map_err(|_| garbled())?;
            orders::read(core, &order).await?.map(Event::OrderPaid)
        }
        EventKind::JobFinished => {
            let job = task.subject.parse().map_err(|_| garbled())?;
            jobs::read(core, &job).await?.map(Event::JobFinished)
        }
        EventKind::VipEnding => return read_end(core, &task.subject).await,
    };
    Ok(event.ok_or(Instead::Void))
}

/// The level may have been lengthened or taken away since the row was written.
fn garbled(subject: &str) -> Error {
    Error::internal(format!("an event about {subject:?}"))
}

async fn read_end(core: &Core, subject: &str) -> Result<Reading> {
    // Without a level it was written by an earlier version, which knew one level of a user.
    let (user, level) =
        subject.split_once(':').map_or((subject, None), |(user, name)| (user, Level::parse(name)));
    let user: UserId = user.parse().map_err(|_| garbled(subject))?;
    // As of the beginning of time nothing has ended yet, so one that did meanwhile is told of too.
    let stored = vip::membership_of(&mut core.store.db(), user, Timestamp::from_secs(0)).await?;
    let end = stored.and_then(|it| {
        let level = level.unwrap_or(it.level());
        Some((level, it.end_of(level)?))
    });
    let Some((level, at)) = end else { return Ok(Err(Instead::Void)) };
    let due_at = at.minus(core.settings.vip_notice);
    Ok(if due_at > core.now() {
        Err(Instead::NotBefore(due_at))
    } else {
        Ok(Event::VipEnding(VipEnding { user, level, at }))
    })
}

/// An event that was told to one listener. Dropped without a word it is told again after [`LEASE`].
///
/// ```
/// # dream_testkit::world::example_on(|world| world.settings(|settings| settings.keep_events = true), async |world| {
/// use dream_core::events::LEASE;
/// use std::time::Duration;
///
/// # let alice = world.alice().await;
/// # alice.generates("a cat").await;
/// # world.settle().await;
/// let mut events = world.dream().events()?;
/// let delivery = events.next().await;
/// let first = delivery.event().clone();
/// // The other side is down just now. Dropped without a word it would come again after `LEASE`.
/// delivery.again_after(Duration::from_secs(30)).await?;
/// world.clock().advance(Duration::from_secs(30));
/// let again = events.next().await;
/// assert_eq!(again.event(), &first);
/// again.done().await?;
/// # Ok(())
/// # });
/// ```
pub struct Delivery {
    core: Arc<Core>,
    task: Task,
    lease: String,
    event: Event,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delivery").field(&self.event).finish()
    }
}

impl Delivery {
    /// What happened.
    ///
    /// ```
    /// # use dream_testkit::world;
    /// # world::example_on(|world| world.settings(|it| it.keep_events = true), async |world| {
    /// use dream_core::events::Event;
    ///
    /// # let alice = world.alice().await;
    /// # alice.generates("a cat").await;
    /// # world.settle().await;
    /// let delivery = world.dream().events()?.next().await;
    /// // Looked at before it is dealt with, as often as wanted.
    /// let is_of_a_job = matches!(delivery.event(), Event::JobFinished(job) if job.user == alice.id());
    /// assert!(is_of_a_job);
    /// delivery.done().await?;
    /// # Ok(())
    /// # });
    /// ```
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// It was dealt with, and is told no more.
    ///
    /// ```
    /// # use dream_testkit::world;
    /// # world::example_on(|world| world.settings(|it| it.keep_events = true), async |world| {
    /// use dream_core::events::LEASE;
    ///
    /// # let alice = world.alice().await;
    /// # for prompt in ["one", "two"] { alice.generates(prompt).await; }
    /// # world.settle().await;
    /// let mut events = world.dream().events()?;
    /// let (dealt_with, forgotten) = (events.next().await, events.next().await);
    /// let lost = forgotten.event().clone();
    /// dealt_with.done().await?;
    /// drop(forgotten);
    /// world.clock().advance(LEASE);
    /// let again = world.dream().events()?.next().await;
    /// assert_eq!(again.event(), &lost, "the other one is told no more");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be reached: then it is told again.
    pub async fn done(self) -> Result<()> {
        outbox::complete(&self.core, &self.task, &self.lease).await
    }

    /// It could not be dealt with, and is to be told again after this time.
    ///
    /// ```
    /// # use dream_testkit::world;
    /// # world::example_on(|world| world.settings(|it| it.keep_events = true), async |world| {
    /// use std::time::Duration;
    ///
    /// # world.alice().await.generates("a cat").await;
    /// # world.settle().await;
    /// let mut events = world.dream().events()?;
    /// let delivery = events.next().await;
    /// let told = delivery.event().clone();
    /// // The mail server is busy; a minute later it is not.
    /// delivery.again_after(Duration::from_mins(1)).await?;
    /// world.clock().advance(Duration::from_mins(1));
    /// assert_eq!(events.next().await.event(), &told);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be reached: then it is told again after [`LEASE`].
    pub async fn again_after(self, pause: Duration) -> Result<()> {
        outbox::postpone(&self.core, &self.task, &self.lease, self.core.now().plus(pause), None).await
    }
}
