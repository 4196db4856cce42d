//! Membership as a list of spans: pure arithmetic, without clock or store.
//!
//! At any instant at most one span of a user runs: the highest level that has time left, and within a level the oldest.
//! The others wait, and their time is not used up. The scheduled parts `[starts_at, ends_at)` of one user's spans
//! therefore never overlap, and everything of a level that has time left is contiguous.
//!
//! Invariant of each span, also a constraint of the schema: `granted = used + taken + (ends_at - starts_at)`. No
//! operation creates or destroys time except [`Spans::add`] and the three that move it between "left" and `taken`.

use std::cmp::Reverse;

use super::{Level, Membership};
use crate::kernel::{OrderId, Timestamp};

/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000;

/// Where a span comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanSource {
    /// A paid order.
    Order(OrderId),
    /// A grant, by the name of the admin key that made it; `import` or `migration` for time that was taken over.
    Grant(String),
}

/// Time at one level, from one order or one grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Row id; 0 before it is stored.
    pub(super) id: i64,
    /// The level.
    pub level: Level,
    /// Where it comes from.
    pub source: SpanSource,
    /// Its time at the beginning, in microseconds.
    pub granted: i64,
    /// What ran before `starts_at`, in microseconds.
    pub used: i64,
    /// What refunds and administrators removed, in microseconds.
    pub taken: i64,
    /// When the rest of it begins, or began.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
}

impl Span {
    /// Time that is left at `now`, in microseconds.
    fn left(&self, now: Timestamp) -> i64 {
        micros(self.starts_at.max(now), self.ends_at).max(0)
    }

    /// Removes up to `wanted` microseconds from its end; how many there were.
    fn cut(&mut self, wanted: i64, now: Timestamp) -> i64 {
        let removed = self.left(now).min(wanted).max(0);
        self.ends_at = after(self.ends_at, -removed);
        self.taken += removed;
        removed
    }
}

fn micros(from: Timestamp, to: Timestamp) -> i64 {
    to.as_micros().saturating_sub(from.as_micros())
}

fn after(at: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(micros))
}

/// A level that a user already has for longer forbids the change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HigherLevelActive;

/// All spans of one user, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spans(pub(super) Vec<Span>);

impl Spans {
    /// Adds a span behind those of its level; when it is scheduled to end.
    pub(super) fn add(
        &mut self,
        level: Level,
        source: SpanSource,
        granted: i64,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if granted <= 0 || level == Level::Normal {
            return None;
        }
        let starts_at = self.end_of(level, now);
        let ends_at = after(starts_at, granted);
        self.0.push(Span { id: 0, level, source, granted, used: 0, taken: 0, starts_at, ends_at });
        self.schedule(now);
        self.0.last().map(|span| span.ends_at)
    }

    /// When the time of `level` and of the levels above it ends; `now` if none is left.
    fn end_of(&self, level: Level, now: Timestamp) -> Timestamp {
        let open = self.0.iter().filter(|span| span.level >= level && span.left(now) > 0);
        open.map(|span| span.ends_at).max().unwrap_or(now)
    }

    /// Time of exactly this level that is left, in microseconds.
    pub(super) fn left_at(&self, level: Level, now: Timestamp) -> i64 {
        self.0.iter().filter(|span| span.level == level).map(|span| span.left(now)).sum()
    }

    /// Makes the time of `level` end at `until`: by a further span, or by cutting the last ones.
    ///
    /// # Errors
    /// If a higher level lasts until then or longer, so that nothing would be left of this one.
    pub(super) fn end_at(
        &mut self,
        level: Level,
        until: Timestamp,
        source: SpanSource,
        now: Timestamp,
    ) -> Result<(), HigherLevelActive> {
        let higher = self.0.iter().filter(|span| span.level > level && span.left(now) > 0);
        if higher.map(|span| span.ends_at).max().is_some_and(|end| end >= until) {
            return Err(HigherLevelActive);
        }
        let mut missing = micros(self.end_of(level, now), until);
        if missing >= 0 {
            self.add(level, source, missing, now);
            return Ok(());
        }
        let mut of_level: Vec<&mut Span> = self.0.iter_mut().filter(|span| span.level == level).collect();
        of_level.sort_by_key(|span| Reverse(span.ends_at));
        for span in of_level {
            missing += span.cut(-missing, now);
        }
        self.schedule(now);
        Ok(())
    }

    /// Removes up to `wanted` microseconds from the end of an order's own span; how many there were.
    pub(super) fn take(&mut self, order: &OrderId, wanted: i64, now: Timestamp) -> i64 {
        let taken = self.of_order(order).map_or(0, |span| span.cut(wanted, now));
        self.schedule(now);
        taken
    }

    /// Gives an order's span back what was taken from it, at most `wanted` microseconds, behind what its level has left.
    pub(super) fn give_back(&mut self, order: &OrderId, wanted: i64, now: Timestamp) {
        let Some(level) = self.of_order(order).map(|span| span.level) else { return };
        let behind = self.end_of(level, now);
        let Some(span) = self.of_order(order) else { return };
        let given = wanted.min(span.taken).max(0);
        if span.left(now) == 0 {
            span.used += micros(span.starts_at, span.ends_at);
            (span.starts_at, span.ends_at) = (behind, behind);
        }
        span.taken -= given;
        span.ends_at = after(span.ends_at, given);
        self.schedule(now);
    }

    /// Removes everything that is left.
    pub(super) fn clear(&mut self, now: Timestamp) {
        for span in &mut self.0 {
            span.cut(i64::MAX, now);
        }
    }

    fn of_order(&mut self, order: &OrderId) -> Option<&mut Span> {
        self.0.iter_mut().find(|span| matches!(&span.source, SpanSource::Order(own) if own == order))
    }

    /// Puts what is left one behind the other from `now` on: higher levels first, within a level as it was before.
    /// The span that runs and goes on running stays as it is.
    fn schedule(&mut self, now: Timestamp) {
        let mut open: Vec<&mut Span> = self.0.iter_mut().filter(|span| span.left(now) > 0).collect();
        open.sort_by_key(|span| (Reverse(span.level), span.starts_at));
        let mut next = now;
        for span in open {
            let left = span.left(now);
            if next > now || span.starts_at > now {
                span.used += micros(span.starts_at, now).max(0);
                span.starts_at = next;
                span.ends_at = after(next, left);
            }
            next = span.ends_at;
        }
    }

    /// Those that have time left, in the order in which they run.
    pub(super) fn open(&self, now: Timestamp) -> Vec<Span> {
        let mut open: Vec<Span> = self.0.iter().filter(|span| span.left(now) > 0).cloned().collect();
        open.sort_by_key(|span| span.starts_at);
        open
    }

    /// What they add up to: the level in force, its end, and the VIP time that waits behind SVIP.
    pub(super) fn membership(&self, now: Timestamp) -> Membership {
        let end = |level| {
            let open = self.0.iter().filter(|span| span.level == level && span.left(now) > 0);
            open.map(|span| span.ends_at).max()
        };
        match (end(Level::Svip), end(Level::Vip)) {
            (None, until) => Membership::at(Level::Vip, until, now),
            (until, behind) => Membership::at(Level::Svip, until, now).followed_by_vip(behind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(n: usize) -> OrderId {
        format!("order{n:027}").parse().unwrap()
    }

    fn day(n: i64) -> Timestamp {
        Timestamp::from_secs(1_769_600_000).plus_days(n)
    }

    fn grant() -> SpanSource {
        SpanSource::Grant("ops".to_owned())
    }

    fn bought(spans: &mut Spans, n: usize, level: Level, days: i64, now: Timestamp) -> Timestamp {
        spans.add(level, SpanSource::Order(order(n)), days * DAY, now).unwrap()
    }

    #[test]
    fn vip_days_wait_while_svip_runs_and_are_all_there_afterwards() {
        let mut spans = Spans::default();
        bought(&mut spans, 1, Level::Vip, 365, day(0));
        spans.add(Level::Svip, grant(), DAY, day(10));
        let now = spans.membership(day(10));
        assert_eq!((now.level(), now.expires_at()), (Level::Svip, Some(day(11))));
        let later = spans.membership(day(11));
        assert_eq!((later.level(), later.expires_at()), (Level::Vip, Some(day(366))));
        assert_eq!(spans.0[0].used, 10 * DAY);
    }

    #[test]
    fn a_refund_removes_its_own_span_and_nothing_else() {
        let mut spans = Spans::default();
        bought(&mut spans, 1, Level::Vip, 30, day(0));
        bought(&mut spans, 2, Level::Svip, 365, day(5));
        assert_eq!(spans.take(&order(2), i64::MAX, day(6)), 364 * DAY);
        let now = spans.membership(day(6));
        assert_eq!((now.level(), now.expires_at()), (Level::Vip, Some(day(31))));
        assert_eq!(spans.take(&order(1), i64::MAX, day(6)), 25 * DAY);
        assert_eq!(spans.membership(day(6)), Membership::NORMAL);
    }

    #[test]
    fn a_month_after_a_year_comes_on_top() {
        let mut spans = Spans::default();
        bought(&mut spans, 1, Level::Vip, 365, day(0));
        assert_eq!(bought(&mut spans, 2, Level::Vip, 30, day(1)), day(395));
        assert_eq!(spans.membership(day(1)).remaining_days(day(1)), 394);
    }

    #[test]
    fn an_end_that_is_set_is_reached_by_a_grant_or_by_cutting_the_last_spans() {
        let mut spans = Spans::default();
        bought(&mut spans, 1, Level::Vip, 30, day(0));
        spans.end_at(Level::Vip, day(40), grant(), day(0)).unwrap();
        assert_eq!(spans.membership(day(0)).expires_at(), Some(day(40)));
        spans.end_at(Level::Vip, day(20), grant(), day(0)).unwrap();
        assert_eq!((spans.membership(day(0)).expires_at(), spans.0[1].taken), (Some(day(20)), 10 * DAY));
        spans.end_at(Level::Svip, day(7), grant(), day(0)).unwrap();
        assert_eq!(spans.membership(day(7)).expires_at(), Some(day(27)), "VIP time waited");
        assert_eq!(spans.end_at(Level::Vip, day(7), grant(), day(0)), Err(HigherLevelActive));
        spans.end_at(Level::Vip, day(8), grant(), day(0)).unwrap();
        assert_eq!(spans.membership(day(7)).expires_at(), Some(day(8)));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Pass(i64),
        Buy(Level, i64),
        Grant(Level, i64),
        EndAt(Level, i64),
        Refund(usize, i64),
        Restore(usize, i64),
        Clear,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let level = || prop_oneof![Just(Level::Vip), Just(Level::Svip)];
        let micros = || 1..400 * DAY;
        proptest::collection::vec(
            prop_oneof![
                4 => micros().prop_map(Step::Pass),
                4 => (level(), micros()).prop_map(|(level, time)| Step::Buy(level, time)),
                2 => (level(), micros()).prop_map(|(level, time)| Step::Grant(level, time)),
                2 => (level(), micros()).prop_map(|(level, time)| Step::EndAt(level, time)),
                3 => (0..8_usize, micros()).prop_map(|(order, time)| Step::Refund(order, time)),
                2 => (0..8_usize, micros()).prop_map(|(order, time)| Step::Restore(order, time)),
                1 => Just(Step::Clear),
            ],
            1..30,
        )
    }

    fn check(spans: &Spans, now: Timestamp) {
        for span in &spans.0 {
            let scheduled = micros(span.starts_at, span.ends_at);
            assert!(scheduled >= 0 && span.used >= 0 && span.taken >= 0, "{span:?}");
            assert_eq!(span.granted, span.used + span.taken + scheduled, "{span:?}");
        }
        let open = spans.open(now);
        let mut next = now;
        for span in &open {
            assert_eq!(span.starts_at.max(now), next, "no gap and no overlap: {open:?}");
            next = span.ends_at;
        }
        assert!(open.is_sorted_by_key(|span| Reverse(span.level)), "{open:?}");
        let membership = spans.membership(now);
        assert_eq!(membership.level(), open.first().map_or(Level::Normal, |span| span.level));
        // The summary of now agrees with the spans at any later instant, without a further change.
        for later in open.iter().flat_map(|span| [span.starts_at.max(now), span.ends_at]) {
            assert_eq!(membership.as_of(later), spans.membership(later), "{open:?} at {later:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_no_time_is_lost_and_the_highest_level_runs_first(steps in steps()) {
            let (mut spans, mut now, mut orders) = (Spans::default(), day(0), 0);
            for step in steps {
                let left = |spans: &Spans, now| spans.0.iter().map(|span| span.left(now)).sum::<i64>();
                let before = left(&spans, now);
                match step {
                    Step::Pass(time) => {
                        now = after(now, time);
                        prop_assert_eq!(left(&spans, now), (before - time).max(0), "time passes once");
                    }
                    Step::Buy(level, time) => {
                        spans.add(level, SpanSource::Order(order(orders)), time, now);
                        orders += 1;
                        prop_assert_eq!(left(&spans, now), before + time);
                    }
                    Step::Grant(level, time) => {
                        spans.add(level, grant(), time, now);
                        prop_assert_eq!(left(&spans, now), before + time);
                    }
                    Step::EndAt(level, time) => {
                        let higher: i64 = [Level::Vip, Level::Svip].into_iter()
                            .filter(|one| *one > level).map(|one| spans.left_at(one, now)).sum();
                        let others = before - spans.left_at(level, now);
                        match spans.end_at(level, after(now, time), grant(), now) {
                            Ok(()) => {
                                prop_assert_eq!(left(&spans, now) - others, time - higher);
                                prop_assert!(time > higher);
                            }
                            Err(HigherLevelActive) => prop_assert!(time <= higher),
                        }
                    }
                    Step::Refund(n, time) => {
                        let others: Vec<i64> = rest(&spans, n, now);
                        let taken = spans.take(&order(n), time, now);
                        prop_assert!(taken <= time);
                        prop_assert_eq!(left(&spans, now), before - taken);
                        prop_assert_eq!(rest(&spans, n, now), others, "only its own span");
                        spans.give_back(&order(n), taken, now);
                        prop_assert_eq!(left(&spans, now), before, "what was taken can be given back");
                        spans.take(&order(n), taken, now);
                    }
                    Step::Restore(n, time) => {
                        let others: Vec<i64> = rest(&spans, n, now);
                        spans.give_back(&order(n), time, now);
                        prop_assert_eq!(rest(&spans, n, now), others);
                    }
                    Step::Clear => {
                        spans.clear(now);
                        prop_assert_eq!(spans.membership(now), Membership::NORMAL);
                    }
                }
                check(&spans, now);
            }
        }
    }

    /// What every span but that of order `n` has left.
    fn rest(spans: &Spans, n: usize, now: Timestamp) -> Vec<i64> {
        let own = SpanSource::Order(order(n));
        spans.0.iter().filter(|span| span.source != own).map(|span| span.left(now)).collect()
    }
}
