//! Levels, and which of them is in force.

use super::Plan;
use super::spans::DAY;
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

/// The level in force, and what follows it. With several spans the highest level is in force, and VIP time waits behind SVIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    level: Level,
    expires_at: Option<Timestamp>,
    vip_until: Option<Timestamp>,
}

impl Membership {
    /// Without VIP.
    pub const NORMAL: Membership = Membership { level: Level::Normal, expires_at: None, vip_until: None };

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
            Some(until) if until > now && level > Level::Normal => {
                Self { level, expires_at, vip_until: None }
            }
            _ => Self::NORMAL,
        }
    }

    /// The same with VIP time behind SVIP, until `vip_until`.
    #[must_use]
    pub(super) fn followed_by_vip(self, vip_until: Option<Timestamp>) -> Self {
        Self { vip_until: vip_until.filter(|until| Some(*until) > self.expires_at), ..self }
    }

    /// What is in force at a later instant if nothing changes until then.
    #[must_use]
    pub fn as_of(self, now: Timestamp) -> Self {
        match self.expires_at {
            Some(until) if until > now => self,
            _ => Self::at(Level::Vip, self.vip_until, now),
        }
    }

    pub(crate) fn read(row: &Row, now: Timestamp) -> Result<Self> {
        let stored = Self {
            level: row.word("level", Level::parse)?,
            expires_at: row.get("expires_at")?,
            vip_until: row.get("vip_until")?,
        };
        Ok(stored.as_of(now))
    }

    /// The level in force.
    pub const fn level(self) -> Level {
        self.level
    }

    /// Until when this level is in force; `None` without VIP.
    pub const fn expires_at(self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Until when VIP is in force after SVIP has ended; `None` if nothing follows.
    pub const fn vip_until(self) -> Option<Timestamp> {
        self.vip_until
    }

    /// When this level ends, if it is in force or waits.
    pub(crate) fn end_of(self, level: Level) -> Option<Timestamp> {
        if self.level == level { self.expires_at } else { self.vip_until.filter(|_| level == Level::Vip) }
    }

    /// Days of the level in force that are left, the begun one counted whole.
    pub fn remaining_days(self, now: Timestamp) -> i64 {
        self.expires_at.map_or(0, |until| days_in(until.as_micros().saturating_sub(now.as_micros())))
    }
}

/// Whole days of so many microseconds, a begun one counted whole.
pub(super) fn days_in(micros: i64) -> i64 {
    (micros.max(0) + DAY - 1).div_euclid(DAY)
}

/// Which of the plans, shortest first, is shown to somebody at this level: the one that was bought, or the shortest.
pub(super) fn shown_plan<'a>(plans: &'a [Plan], level: Level, bought: Option<&PlanId>) -> Option<&'a Plan> {
    let mut of_level = plans.iter().filter(|plan| plan.level == level);
    of_level.clone().find(|plan| Some(&plan.plan_id) == bought).or_else(|| of_level.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_level_is_normal_once_its_time_has_passed() {
        assert_eq!(Membership::at(Level::Svip, Some(at(100)), at(100)), Membership::NORMAL);
        assert_eq!(Membership::at(Level::Svip, Some(at(101)), at(100)).level(), Level::Svip);
    }

    #[test]
    fn vip_that_waits_is_in_force_once_svip_has_ended() {
        let both = Membership::at(Level::Svip, Some(at(100)), at(0)).followed_by_vip(Some(at(200)));
        let later = both.as_of(at(100));
        assert_eq!((later.level(), later.expires_at(), later.vip_until()), (Level::Vip, Some(at(200)), None));
        assert_eq!(both.as_of(at(200)), Membership::NORMAL);
    }

    #[test]
    fn a_begun_day_counts_whole() {
        let week = Membership::at(Level::Vip, Some(at(0).plus_days(7)), at(0));
        let left = [0, 60, 6 * 86_400, 7 * 86_400].map(|secs| week.remaining_days(at(secs)));
        assert_eq!(left, [7, 7, 1, 0]);
    }
}
