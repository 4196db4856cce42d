//! Our own limit on requests, so that the provider's is not reached, with room kept for submissions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::kernel::Timestamp;
use crate::ports::Clock;

const MINUTE: Duration = Duration::from_mins(1);

/// Of this many requests one is kept for submissions.
const RESERVED_ONE_IN: usize = 4;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// Somebody waits for it.
    Submit,
    /// It can come later.
    Look,
}

/// Counts the requests of the last minute exactly: a bucket that refills would let twice as many through in its worst
/// minute.
pub(super) struct Meter {
    limit: usize,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sent: VecDeque<Timestamp>,
    quiet_until: Timestamp,
}

impl Meter {
    pub(super) fn new(per_minute: u32, clock: Arc<dyn Clock>) -> Self {
        let limit = usize::try_from(per_minute).unwrap_or(usize::MAX);
        Self { limit, clock, state: Mutex::default() }
    }

    /// Counts one request, or says how long to wait before asking again.
    pub(super) fn admit(&self, errand: Errand) -> Result<(), Duration> {
        let now = self.clock.now();
        let mut state = self.state();
        let quiet = state.quiet_until.since(now);
        if !quiet.is_zero() {
            return Err(quiet);
        }
        if self.limit == 0 {
            return Ok(());
        }
        // One from the future comes of a clock that was set back, and would never leave.
        state.sent.retain(|&at| at <= now && now.since(at) < MINUTE);
        let share = match errand {
            Errand::Submit => self.limit,
            Errand::Look => (self.limit - self.limit / RESERVED_ONE_IN).max(1),
        };
        if state.sent.len() < share {
            state.sent.push_back(now);
            return Ok(());
        }
        let next = state.sent.get(state.sent.len() - share).copied().unwrap_or(now);
        Err(next.plus(MINUTE).since(now))
    }

    /// Lets nothing through for this long, as the provider asked.
    pub(super) fn pause(&self, span: Duration) {
        let until = self.clock.now().plus(span);
        let mut state = self.state();
        state.quiet_until = state.quiet_until.max(until);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use async_trait::async_trait;

    use super::*;

    #[derive(Debug, Default)]
    struct Secs(AtomicI64);

    #[async_trait]
    impl Clock for Secs {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(1000 + self.0.load(Ordering::Relaxed))
        }

        async fn sleep(&self, _: Duration) {}
    }

    fn meter(limit: u32) -> (Meter, Arc<Secs>) {
        let clock = Arc::new(Secs::default());
        (Meter::new(limit, clock.clone()), clock)
    }

    #[test]
    fn no_minute_has_more_than_the_limit_and_looking_leaves_room_to_submit() {
        let (meter, clock) = meter(4);
        for second in 0..3 {
            clock.0.store(second, Ordering::Relaxed);
            assert_eq!(meter.admit(Errand::Look), Ok(()));
        }
        assert_eq!(meter.admit(Errand::Look), Err(Duration::from_secs(58)));
        assert_eq!(meter.admit(Errand::Submit), Ok(()));
        assert_eq!(meter.admit(Errand::Submit), Err(Duration::from_secs(58)));
        clock.0.store(60, Ordering::Relaxed);
        assert_eq!(meter.admit(Errand::Submit), Ok(()));
        assert_eq!(meter.admit(Errand::Submit), Err(Duration::from_secs(1)));
    }

    #[test]
    fn without_a_limit_only_the_providers_own_wish_holds_back() {
        let (meter, clock) = meter(0);
        assert!((0..1000).all(|_| meter.admit(Errand::Look).is_ok()));
        meter.pause(Duration::from_secs(7));
        assert_eq!(meter.admit(Errand::Submit), Err(Duration::from_secs(7)));
        clock.0.store(7, Ordering::Relaxed);
        assert_eq!(meter.admit(Errand::Submit), Ok(()));
    }
}
