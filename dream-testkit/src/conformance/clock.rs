//! What every [`Clock`] keeps.

use std::time::Duration;

use dream_core::ports::Clock;

use super::{SHORT, SOON};

/// Runs every case. `let_pass` moves the clock on, where it does not move by itself.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_testkit::clock::TestClock;
/// use dream_testkit::conformance;
///
/// let clock = TestClock::default();
/// conformance::clock::all(&clock, |span| clock.advance(span)).await;
/// # Ok(())
/// # }
/// ```
///
/// # Panics
/// If a promise is broken.
pub async fn all(clock: &dyn Clock, let_pass: impl Fn(Duration)) {
    a_sleeper_wakes_after_its_time(clock, &let_pass).await;
    no_time_is_over_at_once(clock).await;
}

/// Whoever sleeps wakes, and not before the time has passed on this clock.
async fn a_sleeper_wakes_after_its_time(clock: &dyn Clock, let_pass: impl Fn(Duration)) {
    let start = clock.now();
    let nap = async {
        clock.sleep(SHORT).await;
        clock.now()
    };
    let pass = async {
        // The sleeper is asleep by now: it is polled first.
        let_pass(SHORT);
    };
    let ended = tokio::time::timeout(SOON, async { tokio::join!(nap, pass).0 }).await;
    assert!(ended.is_ok_and(|end| end.since(start) >= SHORT));
}

/// Sleeping for no time ends, also while the clock stands still.
async fn no_time_is_over_at_once(clock: &dyn Clock) {
    let ended = tokio::time::timeout(SOON, clock.sleep(Duration::ZERO)).await;
    assert!(ended.is_ok());
}
