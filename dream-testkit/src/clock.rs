//! A clock that stands still until a test moves it.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use dream_core::kernel::Timestamp;
use dream_core::ports::Clock;
use tokio::sync::watch;

use crate::fakes::lock;

/// A clock that moves only when told to. Sleepers wake in the order of their times.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::kernel::Timestamp;
/// use dream_core::ports::Clock as _;
/// use dream_testkit::clock::TestClock;
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let clock = Arc::new(TestClock::at(Timestamp::from_secs(1_769_600_000)));
/// let sleeper = {
///     let clock = clock.clone();
///     tokio::spawn(async move { clock.sleep(Duration::from_hours(6)).await })
/// };
/// # dream_testkit::wait::eventually(Duration::from_secs(5), || clock.sleepers() == 1).await;
/// assert_eq!(clock.next_wake(), Some(clock.now().plus(Duration::from_hours(6))));
/// clock.advance(Duration::from_hours(6));
/// sleeper.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestClock {
    now: watch::Sender<Timestamp>,
    sleepers: Mutex<Vec<Timestamp>>,
}

impl Default for TestClock {
    /// Stands at 2026-01-01T02:00:00Z, ten in the morning in Shanghai.
    fn default() -> Self {
        Self::at(Timestamp::from_secs(1_767_232_800))
    }
}

impl TestClock {
    /// Stands at this instant.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    /// use dream_core::ports::Clock as _;
    /// use dream_testkit::clock::TestClock;
    ///
    /// // Just before the end of a business day in Shanghai.
    /// let clock = TestClock::at(Timestamp::from_secs(1_769_615_999));
    /// assert_eq!(clock.now().to_string(), "2026-01-28T15:59:59.000Z");
    /// ```
    pub fn at(now: Timestamp) -> Self {
        Self { now: watch::Sender::new(now), sleepers: Mutex::default() }
    }

    /// Moves on by this much and wakes whoever slept until then.
    ///
    /// ```
    /// use dream_core::ports::Clock as _;
    /// use dream_testkit::clock::TestClock;
    /// use std::time::Duration;
    ///
    /// let clock = TestClock::default();
    /// let begun = clock.now();
    /// clock.advance(Duration::from_hours(6));
    /// assert_eq!(clock.now().since(begun), Duration::from_hours(6), "and nobody has waited");
    /// ```
    pub fn advance(&self, span: Duration) {
        self.now.send_modify(|now| *now = now.plus(span));
    }

    /// Steps to this instant, which may lie in the past as when a machine's clock is set.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    /// use dream_core::ports::Clock as _;
    /// use dream_testkit::clock::TestClock;
    ///
    /// let clock = TestClock::default();
    /// // The machine's clock was wrong, and somebody sets it right.
    /// clock.set(Timestamp::from_secs(0));
    /// assert_eq!(clock.now(), Timestamp::from_secs(0));
    /// ```
    pub fn set(&self, now: Timestamp) {
        self.now.send_replace(now);
    }

    /// How many are asleep.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use dream_core::ports::Clock as _;
    /// use dream_testkit::clock::TestClock;
    /// use dream_testkit::wait::eventually;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let clock = Arc::new(TestClock::default());
    /// let sleeper = clock.clone();
    /// tokio::spawn(async move { sleeper.sleep(Duration::from_mins(1)).await });
    /// // Before the clock is moved, since who falls asleep later would sleep on.
    /// assert!(eventually(Duration::from_secs(5), || clock.sleepers() == 1).await);
    /// clock.advance(Duration::from_mins(1));
    /// assert!(eventually(Duration::from_secs(5), || clock.sleepers() == 0).await);
    /// # }
    /// ```
    pub fn sleepers(&self) -> usize {
        lock(&self.sleepers).len()
    }

    /// When the first sleeper is to wake.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use dream_core::ports::Clock as _;
    /// use dream_testkit::clock::TestClock;
    /// use futures_util::future::{FutureExt as _, join};
    /// use std::time::Duration;
    ///
    /// let clock = TestClock::default();
    /// let sleep = |minutes| clock.sleep(Duration::from_mins(minutes));
    /// # let mut both = Box::pin(join(sleep(5), sleep(2)));
    /// # assert!(both.as_mut().now_or_never().is_none());
    /// // Two are asleep, for five minutes and for two: so far the clock can go without missing anything.
    /// assert_eq!(clock.next_wake(), Some(clock.now().plus(Duration::from_mins(2))));
    /// # }
    /// ```
    pub fn next_wake(&self) -> Option<Timestamp> {
        lock(&self.sleepers).iter().min().copied()
    }
}

/// Takes a sleeper off the list, also one that gives up sleeping.
struct Bed<'a> {
    clock: &'a TestClock,
    until: Timestamp,
}

impl Drop for Bed<'_> {
    fn drop(&mut self) {
        let mut sleepers = lock(&self.clock.sleepers);
        if let Some(place) = sleepers.iter().position(|until| *until == self.until) {
            sleepers.swap_remove(place);
        }
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    async fn sleep(&self, span: Duration) {
        let mut watch = self.now.subscribe();
        let until = self.now().plus(span);
        lock(&self.sleepers).push(until);
        let _bed = Bed { clock: self, until };
        // The sender lives as long as the clock, so this cannot fail while someone waits.
        drop(watch.wait_for(|now| *now >= until).await);
    }
}
