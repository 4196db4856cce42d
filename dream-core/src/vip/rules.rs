//! Levels, and how time is added to them and taken away.

use super::Plan;
use crate::error::Result;
use crate::kernel::{PlanId, Timestamp};
use crate::store::Row;

/// Longest time that can be set at once, in days: about a hundred years.
pub(super) const MAX_DAYS: i64 = 36_500;

/// What somebody is entitled to. Ordered: a higher level includes the lower ones.
///
/// ```
/// use dream_core::vip::Level;
///
/// assert!(Level::Svip > Level::Vip, "a higher level includes the lower ones");
/// assert_eq!(Level::parse("VIP"), Some(Level::Vip));
/// assert_eq!(Level::Normal.as_str(), "NORMAL");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Without VIP.
    Normal,
    /// VIP.
    Vip,
    /// Super VIP.
    Svip,
}

impl Level {
    /// Every level by its name.
    pub const NAMES: &'static [&'static str] = &["NORMAL", "VIP", "SVIP"];

    /// The level's name in answers.
    ///
    /// ```
    /// use dream_core::vip::Level;
    ///
    /// assert_eq!(Level::Svip.as_str(), "SVIP");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Normal => "NORMAL",
            Level::Vip => "VIP",
            Level::Svip => "SVIP",
        }
    }

    /// The level of this name.
    ///
    /// ```
    /// use dream_core::vip::Level;
    ///
    /// assert_eq!(Level::parse("VIP"), Some(Level::Vip));
    /// assert_eq!(Level::parse("GOLD"), None);
    /// ```
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "NORMAL" => Level::Normal,
            "VIP" => Level::Vip,
            "SVIP" => Level::Svip,
            _ => return None,
        })
    }
}

/// A level and until when it is in force. Always as of one instant: an expired one *is* `Normal`.
///
/// ```
/// use dream_core::kernel::Timestamp;
/// use dream_core::vip::{Level, Membership};
///
/// let now = Timestamp::from_secs(1_769_600_000);
/// let month = Membership::NORMAL.extended(Level::Vip, 30, now).unwrap();
/// assert_eq!((month.level(), month.remaining_days(now)), (Level::Vip, 30));
/// // A second month comes on top of the first. A lower level is not sold while a higher one is in force.
/// assert_eq!(month.extended(Level::Vip, 30, now).unwrap().remaining_days(now), 60);
/// assert_eq!(Membership::at(Level::Svip, Some(now.plus_days(1)), now).extended(Level::Vip, 30, now), None);
/// // One that is over is none.
/// assert_eq!(Membership::at(Level::Vip, Some(now), now), Membership::NORMAL);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    level: Level,
    expires_at: Option<Timestamp>,
}

impl Membership {
    /// Without VIP.
    pub const NORMAL: Membership = Membership { level: Level::Normal, expires_at: None };

    /// What is in force at `now` of a level that was given until `expires_at`.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    /// use dream_core::vip::{Level, Membership};
    ///
    /// let now = Timestamp::from_secs(1_769_600_000);
    /// assert_eq!(Membership::at(Level::Vip, Some(now.plus_days(1)), now).level(), Level::Vip);
    /// assert_eq!(Membership::at(Level::Vip, Some(now.plus_days(1)), now.plus_days(2)), Membership::NORMAL);
    /// ```
    pub fn at(level: Level, expires_at: Option<Timestamp>, now: Timestamp) -> Self {
        match expires_at {
            Some(until) if until > now && level > Level::Normal => Self { level, expires_at },
            _ => Self::NORMAL,
        }
    }

    pub(crate) fn read(row: &Row, now: Timestamp) -> Result<Self> {
        Ok(Self::at(row.word("level", Level::parse)?, row.get("expires_at")?, now))
    }

    /// The level in force.
    ///
    /// ```
    /// use dream_core::vip::{Level, Membership};
    ///
    /// assert_eq!(Membership::NORMAL.level(), Level::Normal);
    /// ```
    pub const fn level(self) -> Level {
        self.level
    }

    /// Until when; `None` without VIP.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    /// use dream_core::vip::{Level, Membership};
    ///
    /// let now = Timestamp::from_secs(1_769_600_000);
    /// let month = Membership::NORMAL.extended(Level::Vip, 30, now).unwrap();
    /// assert_eq!(month.expires_at(), Some(now.plus_days(30)));
    /// ```
    pub const fn expires_at(self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Days left, the begun one counted whole.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    /// use dream_core::vip::{Level, Membership};
    /// use std::time::Duration;
    ///
    /// let now = Timestamp::from_secs(1_769_600_000);
    /// let week = Membership::NORMAL.extended(Level::Vip, 7, now).unwrap();
    /// assert_eq!(week.remaining_days(now.plus(Duration::from_mins(1))), 7, "the first one has begun");
    /// assert_eq!(week.remaining_days(now.plus_days(6)), 1);
    /// ```
    pub fn remaining_days(self, now: Timestamp) -> i64 {
        const DAY: i64 = 86_400_000_000;
        self.expires_at
            .map_or(0, |until| (until.as_micros() - now.as_micros() + DAY - 1).div_euclid(DAY).max(0))
    }

    /// What paying for `days` of `level` makes of it: the days come on top of what is left.
    /// `None` if a higher level is in force.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    /// use dream_core::vip::{Level, Membership};
    ///
    /// let now = Timestamp::from_secs(1_769_600_000);
    /// let vip = Membership::NORMAL.extended(Level::Vip, 30, now).unwrap();
    /// // Days that are left count on at the higher level.
    /// let svip = vip.extended(Level::Svip, 30, now).unwrap();
    /// assert_eq!((svip.level(), svip.remaining_days(now)), (Level::Svip, 60));
    /// assert_eq!(svip.extended(Level::Vip, 30, now), None);
    /// ```
    pub fn extended(self, level: Level, days: i64, now: Timestamp) -> Option<Self> {
        if self.level > level {
            return None;
        }
        let from = self.expires_at.map_or(now, |until| until.max(now));
        Some(Self { level, expires_at: Some(from.plus_days(days)) })
    }

    /// What is left when `days` are taken back; never less than nothing.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    /// use dream_core::vip::{Level, Membership};
    ///
    /// let now = Timestamp::from_secs(1_769_600_000);
    /// let month = Membership::NORMAL.extended(Level::Vip, 30, now).unwrap();
    /// // What was paid for is given back, and the days with it.
    /// assert_eq!(month.shortened(10, now).remaining_days(now), 20);
    /// assert_eq!(month.shortened(30, now), Membership::NORMAL);
    /// ```
    #[must_use]
    pub fn shortened(self, days: i64, now: Timestamp) -> Self {
        let until = self.expires_at.map(|until| until.plus_days(-days));
        Self::at(self.level, until, now)
    }
}

/// Which of the plans, shortest first, is shown to somebody at this level: the one that was bought, or the shortest.
pub(super) fn shown_plan<'a>(plans: &'a [Plan], level: Level, bought: Option<&PlanId>) -> Option<&'a Plan> {
    let mut of_level = plans.iter().filter(|plan| plan.level == level);
    of_level.clone().find(|plan| Some(&plan.plan_id) == bought).or_else(|| of_level.next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_level_is_normal_once_its_time_has_passed() {
        assert_eq!(Membership::at(Level::Svip, Some(at(100)), at(100)), Membership::NORMAL);
        assert_eq!(Membership::at(Level::Svip, Some(at(101)), at(100)).level(), Level::Svip);
    }

    #[test]
    fn a_month_bought_after_a_year_comes_on_top() {
        let year = Membership::NORMAL.extended(Level::Vip, 365, at(0)).unwrap();
        let more = year.extended(Level::Vip, 30, at(86_400)).unwrap();
        assert_eq!(more.expires_at(), Some(at(0).plus_days(395)));
        assert_eq!(more.remaining_days(at(86_400)), 394);
    }

    #[test]
    fn a_lower_plan_is_refused_while_a_higher_level_is_in_force() {
        let lifetime = Membership::NORMAL.extended(Level::Svip, 36_500, at(0)).unwrap();
        assert_eq!(lifetime.level(), Level::Svip);
        assert_eq!(lifetime.extended(Level::Vip, 30, at(1)), None);
    }

    proptest! {
        #[test]
        fn time_added_and_taken_back_leaves_what_was_there(left in 1..4000_i64, days in 1..4000_i64, now in 0..2_000_000_000_i64) {
            let before = Membership::at(Level::Vip, Some(at(now).plus_days(left)), at(now));
            let after = before.extended(Level::Vip, days, at(now)).unwrap();
            prop_assert_eq!(after.shortened(days, at(now)), before);
        }
    }
}
