//! Where the tasks of a schedule stand, and who goes next: the one place that draws dice.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use dream_core::kernel::Timestamp;
use dream_core::ports::{Clock, Entropy};
use tokio::sync::Notify;

use crate::fakes::lock;

/// How bad the weather of a schedule is: every seed draws its own, so that some schedules know only one kind of trouble.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Weather {
    /// Calls to the outside that fail, before or after they took effect.
    pub(super) outside: f64,
    /// Steps of the database that fail.
    pub(super) database: f64,
    /// Notices that are lost, forged, told twice, or whose answer is lost.
    pub(super) notices: f64,
    /// Turns in which a process dies.
    pub(super) crashes: f64,
}

/// A task that waits until it may go on.
#[derive(Debug)]
struct Parked {
    what: &'static str,
    /// Whether it wants to write, for which only one can be let in at a time.
    writes: bool,
    may_go: bool,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Inner {
    dice: fastrand::Rng,
    now: Timestamp,
    weather: Weather,
    next: u64,
    parked: BTreeMap<u64, Parked>,
    /// A step of the database is under way. They go one at a time, and begin only once everything else has come to
    /// rest, so that the speed of the database's threads decides nothing.
    busy: bool,
    queue: VecDeque<(u64, Option<Waker>)>,
    /// Whose turn at the database it is.
    turn_of: Option<u64>,
    /// Whether somebody has the right to write.
    writing: bool,
    /// Its transaction has not begun yet.
    beginning: bool,
    /// Which process dies after so many more steps of the database.
    doom: Option<(usize, u32)>,
    /// The process that has just died.
    dead: Option<usize>,
    /// Counts everything that happens, to see when nothing does.
    activity: u64,
    /// Commits and writes so far.
    commits: u64,
    sleepers: Vec<(Timestamp, Waker)>,
    log: Log,
}

/// What happened, as a hash, and as text if somebody wants to read it.
#[derive(Debug)]
struct Log {
    hash: DefaultHasher,
    lines: Option<Vec<String>>,
}

/// The stage of one schedule after the other.
#[derive(Debug)]
pub(super) struct Stage {
    inner: Mutex<Inner>,
    idle: Notify,
}

/// Rounds in which nothing happens, after which nothing will.
const STILL: u32 = 3;
/// Ten in the morning in Shanghai.
pub(super) const START: i64 = 1_767_232_800;

impl Stage {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { inner: Mutex::new(Inner::new(0, false)), idle: Notify::new() })
    }

    /// Sets the stage for a seed.
    pub(super) fn reset(&self, seed: u64, with_text: bool) {
        *lock(&self.inner) = Inner::new(seed, with_text);
    }

    pub(super) fn now(&self) -> Timestamp {
        lock(&self.inner).now
    }

    pub(super) fn advance_to(&self, at: Timestamp) {
        let mut inner = lock(&self.inner);
        inner.now = inner.now.max(at);
        let now = inner.now;
        let (awake, asleep) = std::mem::take(&mut inner.sleepers).into_iter().partition(|(at, _)| *at <= now);
        inner.sleepers = asleep;
        let awake: Vec<(Timestamp, Waker)> = awake;
        drop(inner);
        for (_, waker) in awake {
            waker.wake();
        }
    }

    pub(super) fn weather(&self) -> Weather {
        lock(&self.inner).weather
    }

    pub(super) fn set_weather(&self, weather: Weather) {
        lock(&self.inner).weather = weather;
    }

    pub(super) fn chance(&self, p: f64) -> bool {
        p > 0.0 && lock(&self.inner).dice.f64() < p
    }

    /// A number below the limit, which must not be 0.
    pub(super) fn below(&self, limit: usize) -> usize {
        lock(&self.inner).dice.usize(0..limit)
    }

    pub(super) fn between(&self, least: i64, most: i64) -> i64 {
        lock(&self.inner).dice.i64(least..=most)
    }

    /// One of them by its weight; `None` if all weigh nothing.
    pub(super) fn weighted<T: Copy>(&self, choices: &[(u32, T)]) -> Option<T> {
        let total: u32 = choices.iter().map(|(weight, _)| weight).sum();
        if total == 0 {
            return None;
        }
        let mut left = lock(&self.inner).dice.u32(0..total);
        for (weight, choice) in choices {
            if left < *weight {
                return Some(*choice);
            }
            left -= weight;
        }
        None
    }

    pub(super) fn log(&self, line: fmt::Arguments<'_>) {
        let mut inner = lock(&self.inner);
        let text = format!("{} {line}", inner.now.as_micros() / 1000 - START * 1000);
        text.hash(&mut inner.log.hash);
        if let Some(lines) = &mut inner.log.lines {
            lines.push(text);
        }
    }

    /// The hash of all that happened, and the text if it was kept.
    pub(super) fn story(&self) -> (u64, Vec<String>) {
        let mut inner = lock(&self.inner);
        (inner.log.hash.finish(), inner.log.lines.take().unwrap_or_default())
    }

    /// Waits until the play lets the task go on.
    pub(super) fn pause(self: &Arc<Self>, what: &'static str) -> Pause {
        self.park(what, false)
    }

    /// Waits until the play lets the task go on as the only one who may write.
    pub(super) fn pause_to_write(self: &Arc<Self>, what: &'static str) -> Pause {
        self.park(what, true)
    }

    fn park(self: &Arc<Self>, what: &'static str, writes: bool) -> Pause {
        let mut inner = lock(&self.inner);
        let place = inner.next;
        inner.next += 1;
        inner.activity += 1;
        inner.parked.insert(place, Parked { what, writes, may_go: false, waker: None });
        Pause { stage: self.clone(), place }
    }

    /// How many could go on now.
    pub(super) fn ready(&self) -> usize {
        let inner = lock(&self.inner);
        inner.parked.values().filter(|parked| inner.may_go(parked)).count()
    }

    /// Lets one of those who wait go on, drawn by lot; whether there was one.
    pub(super) fn let_one_go(&self) -> bool {
        let mut inner = lock(&self.inner);
        let ready: Vec<u64> =
            inner.parked.iter().filter(|(_, parked)| inner.may_go(parked)).map(|(place, _)| *place).collect();
        if ready.is_empty() {
            return false;
        }
        let place = ready[inner.dice.usize(0..ready.len())];
        let Some(parked) = inner.parked.get_mut(&place) else { return false };
        parked.may_go = true;
        let (what, writes, waker) = (parked.what, parked.writes, parked.waker.take());
        inner.writing |= writes;
        drop(inner);
        self.log(format_args!("go {place} {what}"));
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// The right to write is given back. If its transaction was still beginning, that is over too.
    pub(super) fn stop_writing(&self) {
        let mut inner = lock(&self.inner);
        inner.writing = false;
        inner.activity += 1;
        if std::mem::take(&mut inner.beginning) {
            drop(inner);
            self.leave();
        }
    }

    /// Takes the right to write back from one who got it and went away before it could be handed over.
    fn dropped(&self, place: u64) {
        let mut inner = lock(&self.inner);
        if let Some(parked) = inner.parked.remove(&place) {
            inner.activity += 1;
            if parked.may_go && parked.writes {
                inner.writing = false;
            }
        }
    }

    /// Waits for a turn at the database.
    pub(super) async fn turn(self: &Arc<Self>) -> Turn {
        let place = {
            let mut inner = lock(&self.inner);
            let place = inner.next;
            inner.next += 1;
            inner.activity += 1;
            inner.queue.push_back((place, None));
            place
        };
        Queued { stage: self.clone(), place, had: false }.await
    }

    fn leave(&self) {
        let mut inner = lock(&self.inner);
        inner.busy = false;
        inner.activity += 1;
        drop(inner);
        self.idle.notify_one();
    }

    /// Lets the first of those who wait for the database begin; whether there was one.
    fn let_next_in(&self) -> bool {
        let mut inner = lock(&self.inner);
        let Some((place, waker)) = inner.queue.pop_front() else { return false };
        inner.busy = true;
        inner.turn_of = Some(place);
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// The turn goes on until the transaction has begun.
    pub(super) fn keep_turn_until_begun(&self, mut turn: Turn) {
        turn.kept = true;
        lock(&self.inner).beginning = true;
    }

    pub(super) fn begun(&self) {
        if std::mem::take(&mut lock(&self.inner).beginning) {
            self.leave();
        }
    }

    pub(super) fn note_commit(&self) {
        lock(&self.inner).commits += 1;
    }

    pub(super) fn commits(&self) -> u64 {
        lock(&self.inner).commits
    }

    /// The process dies after so many more steps of the database, in the middle of whatever it does then.
    pub(super) fn doom(&self, node: usize, steps: u32) {
        lock(&self.inner).doom = Some((node, steps));
    }

    /// Whether the process dies at this very step.
    pub(super) fn dies_here(&self, node: usize) -> bool {
        let mut inner = lock(&self.inner);
        match &mut inner.doom {
            Some((doomed, 0)) if *doomed == node => {
                inner.doom = None;
                inner.dead = Some(node);
                true
            }
            Some((doomed, steps)) if *doomed == node => {
                *steps -= 1;
                false
            }
            // Nothing is done in the last moment of the one that has just died.
            _ => inner.dead == Some(node),
        }
    }

    /// The process that has died since the last look.
    pub(super) fn take_dead(&self) -> Option<usize> {
        lock(&self.inner).dead.take()
    }

    pub(super) fn forget_doom(&self) {
        lock(&self.inner).doom = None;
    }

    /// Returns once every task waits for the play, or has ended.
    pub(super) async fn quiet(&self) {
        let mut seen = 0;
        let mut still = 0;
        loop {
            let (busy, activity) = {
                let inner = lock(&self.inner);
                (inner.busy, inner.activity)
            };
            if busy {
                self.idle.notified().await;
                still = 0;
                continue;
            }
            still = if activity == seen { still + 1 } else { 0 };
            seen = activity;
            if still < STILL {
                tokio::task::yield_now().await;
            } else if self.let_next_in() {
                still = 0;
            } else {
                return;
            }
        }
    }
}

impl Inner {
    fn new(seed: u64, with_text: bool) -> Self {
        Self {
            dice: fastrand::Rng::with_seed(seed),
            now: Timestamp::from_secs(START),
            weather: Weather::default(),
            next: 0,
            parked: BTreeMap::new(),
            busy: false,
            queue: VecDeque::new(),
            turn_of: None,
            writing: false,
            beginning: false,
            doom: None,
            dead: None,
            activity: 0,
            commits: 0,
            sleepers: Vec::new(),
            log: Log { hash: DefaultHasher::new(), lines: with_text.then(Vec::new) },
        }
    }

    fn may_go(&self, parked: &Parked) -> bool {
        let must_wait = parked.writes && self.writing;
        !(parked.may_go || must_wait)
    }
}

/// A task that waits for the play.
#[must_use]
pub(super) struct Pause {
    stage: Arc<Stage>,
    place: u64,
}

impl Future for Pause {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = lock(&self.stage.inner);
        let Some(parked) = inner.parked.get_mut(&self.place) else { return Poll::Ready(()) };
        if parked.may_go {
            inner.parked.remove(&self.place);
            inner.activity += 1;
            return Poll::Ready(());
        }
        parked.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.stage.dropped(self.place);
    }
}

/// A task that waits for its turn at the database.
struct Queued {
    stage: Arc<Stage>,
    place: u64,
    had: bool,
}

impl Future for Queued {
    type Output = Turn;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Turn> {
        let mut inner = lock(&self.stage.inner);
        if inner.turn_of == Some(self.place) {
            inner.turn_of = None;
            drop(inner);
            self.had = true;
            return Poll::Ready(Turn { stage: self.stage.clone(), kept: false });
        }
        if let Some((_, waker)) = inner.queue.iter_mut().find(|(place, _)| *place == self.place) {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if !self.had {
            let mut inner = lock(&self.stage.inner);
            inner.queue.retain(|(place, _)| *place != self.place);
            if inner.turn_of == Some(self.place) {
                inner.turn_of = None;
                drop(inner);
                self.stage.leave();
            }
        }
    }
}

/// A turn at the database, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    stage: Arc<Stage>,
    /// Given back by somebody else.
    kept: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.kept {
            self.stage.leave();
        }
    }
}

/// The clock of the schedule.
#[derive(Debug)]
pub(super) struct StageClock(pub(super) Arc<Stage>);

#[async_trait]
impl Clock for StageClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn sleep(&self, span: Duration) {
        let until = self.now().plus(span);
        std::future::poll_fn(|context| {
            let mut inner = lock(&self.0.inner);
            if inner.now >= until {
                return Poll::Ready(());
            }
            inner.sleepers.push((until, context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// Randomness of a process, out of the seed of the schedule.
#[derive(Debug)]
pub(super) struct StageEntropy(Mutex<fastrand::Rng>);

impl StageEntropy {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(fastrand::Rng::with_seed(0))))
    }

    pub(super) fn reset(&self, seed: u64) {
        *lock(&self.0) = fastrand::Rng::with_seed(seed);
    }
}

impl Entropy for StageEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        lock(&self.0).fill(buffer);
    }
}
