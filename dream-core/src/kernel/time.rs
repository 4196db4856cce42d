//! Instants and calendar days.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil;
use jiff::tz::TimeZone;

use crate::error::{Fault, Format};

/// An instant: microseconds since 1970-01-01T00:00:00Z.
///
/// Stored as a plain integer, since both databases order and keep those exactly.
///
/// ```
/// use dream_core::kernel::Timestamp;
/// use std::time::Duration;
///
/// let at: Timestamp = "2026-01-28T18:00:00+08:00".parse().unwrap();
/// assert_eq!(at.to_string(), "2026-01-28T10:00:00.000Z");
/// assert_eq!(at.as_micros(), at.as_secs() * 1_000_000);
///
/// let later = at.plus(Duration::from_mins(30));
/// assert_eq!(later.since(at), Duration::from_secs(1800));
/// assert_eq!(at.since(later), Duration::ZERO, "a clock that steps back makes no span negative");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant this many microseconds after the epoch.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    ///
    /// // As the databases keep it.
    /// assert_eq!(Timestamp::from_micros(1_500_000).to_string(), "1970-01-01T00:00:01.500Z");
    /// ```
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The instant this many seconds after the epoch.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    ///
    /// assert_eq!(Timestamp::from_secs(1_769_600_000).to_string(), "2026-01-28T11:33:20.000Z");
    /// ```
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    ///
    /// let at = Timestamp::from_micros(1_769_600_000_000_001);
    /// assert_eq!(Timestamp::from_micros(at.as_micros()), at, "nothing is lost");
    /// ```
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    ///
    /// assert_eq!(Timestamp::from_micros(1_999_999).as_secs(), 1);
    /// assert_eq!(Timestamp::from_micros(-1).as_secs(), -1, "down, also before the epoch");
    /// ```
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The instant this much later; stays at the end of time rather than wrapping.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    /// use std::time::Duration;
    ///
    /// let placed = Timestamp::from_secs(1_769_600_000);
    /// assert_eq!(placed.plus(Duration::from_mins(30)).as_secs(), 1_769_601_800);
    /// ```
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The instant this much earlier; stays at the beginning of time rather than wrapping.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    /// use std::time::Duration;
    ///
    /// // What was made before this has been there for a day.
    /// let now = Timestamp::from_secs(1_769_600_000);
    /// assert_eq!(now.minus(Duration::from_hours(24)).plus_days(1), now);
    /// ```
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The instant this many days of 24 hours later.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    ///
    /// let bought: Timestamp = "2026-01-28T10:00:00+08:00".parse().unwrap();
    /// assert_eq!(bought.plus_days(30).to_string(), "2026-02-27T02:00:00.000Z");
    /// ```
    #[must_use]
    pub const fn plus_days(self, days: i64) -> Self {
        Self(self.0.saturating_add(days.saturating_mul(86_400_000_000)))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    /// use std::time::Duration;
    ///
    /// let (begun, ended) = (Timestamp::from_secs(100), Timestamp::from_secs(160));
    /// assert_eq!(ended.since(begun), Duration::from_mins(1));
    /// assert_eq!(begun.since(ended), Duration::ZERO);
    /// ```
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-01-28T10:00:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.3}",
            jiff::Timestamp::from_millisecond(self.0.div_euclid(1000)).unwrap_or(self.to_jiff())
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_jiff().fmt(f)
    }
}

/// Reads RFC 3339 with any offset.
impl FromStr for Timestamp {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        let at: jiff::Timestamp = text.parse().map_err(|_| Fault::Format(Format::Time))?;
        Ok(Self(at.as_microsecond()))
    }
}

/// A calendar day in some zone, such as `2026-01-28`.
///
/// ```
/// use dream_core::kernel::Day;
///
/// let day: Day = "2026-03-01".parse().unwrap();
/// assert_eq!(day.previous().to_string(), "2026-02-28");
/// assert_eq!(
///     (day.next().to_string(), day.minus(29).to_string()),
///     ("2026-03-02".into(), "2026-01-31".into())
/// );
/// assert!("2026-02-30".parse::<Day>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(civil::Date);

impl Day {
    /// The month that the day lies in.
    ///
    /// ```
    /// use dream_core::kernel::Day;
    ///
    /// let day: Day = "2026-01-28".parse().unwrap();
    /// assert_eq!(day.month().to_string(), "2026-01");
    /// ```
    pub fn month(self) -> Month {
        Month { year: self.0.year(), month: self.0.month() }
    }

    /// The following day.
    ///
    /// ```
    /// use dream_core::kernel::Day;
    ///
    /// let last: Day = "2026-12-31".parse().unwrap();
    /// assert_eq!(last.next().to_string(), "2027-01-01");
    /// ```
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.tomorrow().unwrap_or(self.0))
    }

    /// The day this many days earlier; stays at the beginning of time rather than wrapping.
    ///
    /// ```
    /// use dream_core::kernel::Day;
    ///
    /// // The first of the last seven days, today being one of them.
    /// let today: Day = "2026-03-03".parse().unwrap();
    /// assert_eq!(today.minus(6).to_string(), "2026-02-25");
    /// ```
    #[must_use]
    pub fn minus(self, days: i32) -> Self {
        Self(self.0.saturating_sub(jiff::Span::new().days(days)))
    }

    /// The preceding day.
    ///
    /// ```
    /// use dream_core::kernel::Day;
    ///
    /// let day: Day = "2026-01-01".parse().unwrap();
    /// assert_eq!(day.previous().to_string(), "2025-12-31");
    /// ```
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.yesterday().unwrap_or(self.0))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Day {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        text.parse().map(Self).map_err(|_| Fault::Format(Format::Day))
    }
}

/// A calendar month in some zone, such as `2026-01`.
///
/// ```
/// use dream_core::kernel::Day;
///
/// let day: Day = "2026-01-28".parse().unwrap();
/// assert_eq!(day.month().to_string(), "2026-01");
/// assert!(day.month() < day.minus(-7).month(), "four days later it is February");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Month {
    year: i16,
    month: i8,
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// The time zone whose midnight starts a day of the business.
///
/// ```
/// use dream_core::kernel::{Timestamp, Zone};
///
/// // One instant, and two days of business.
/// let at: Timestamp = "2026-01-28T17:30:00Z".parse().unwrap();
/// let (shanghai, berlin) = (Zone::default(), Zone::named("Europe/Berlin").unwrap());
/// assert_eq!(
///     (shanghai.day(at).to_string(), berlin.day(at).to_string()),
///     ("2026-01-29".into(), "2026-01-28".into())
/// );
/// assert_eq!(shanghai.start_of(shanghai.day(at)).to_string(), "2026-01-28T16:00:00.000Z");
/// assert!(Zone::named("Mars/Olympus").is_err());
/// ```
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of this IANA name. The database of zones is built in.
    ///
    /// ```
    /// use dream_core::Fault;
    /// use dream_core::kernel::Zone;
    ///
    /// assert!(Zone::named("Asia/Tokyo").is_ok());
    /// assert!(matches!(Zone::named("Asia/Shangai"), Err(Fault::Format(_))));
    /// ```
    ///
    /// # Errors
    /// [`Fault::Format`] if there is no such zone.
    pub fn named(name: &str) -> Result<Self, Fault> {
        TimeZone::get(name).map(Self).map_err(|_| Fault::Format(Format::TimeZone))
    }

    /// The day that the instant lies in.
    ///
    /// ```
    /// use dream_core::kernel::Zone;
    ///
    /// let late = "2026-01-28T16:30:00Z".parse().unwrap();
    /// assert_eq!(Zone::default().day(late).to_string(), "2026-01-29", "in Shanghai it is past midnight");
    /// ```
    pub fn day(&self, at: Timestamp) -> Day {
        Day(self.0.to_datetime(at.to_jiff()).date())
    }

    /// The hour that clocks in the zone show at the instant, from 0 to 23.
    pub(crate) fn hour(&self, at: Timestamp) -> u8 {
        self.0.to_datetime(at.to_jiff()).hour().unsigned_abs()
    }

    /// The instant at which clocks in the zone show this, unless it lies outside of time.
    pub(crate) fn at(&self, shown: civil::DateTime) -> Option<Timestamp> {
        let at = self.0.to_timestamp(shown).ok()?;
        Some(Timestamp(at.as_microsecond()))
    }

    /// The first instant of the day.
    ///
    /// ```
    /// use dream_core::kernel::Zone;
    ///
    /// let day = "2026-01-29".parse().unwrap();
    /// assert_eq!(Zone::default().start_of(day).to_string(), "2026-01-28T16:00:00.000Z");
    /// ```
    pub fn start_of(&self, day: Day) -> Timestamp {
        let start = day.0.to_zoned_datetime(self.0.clone()).map(|zoned| zoned.timestamp().as_microsecond());
        Timestamp(start.unwrap_or(i64::MIN))
    }

    /// The start of the hour that the instant lies in.
    ///
    /// ```
    /// use dream_core::kernel::Zone;
    ///
    /// // Half an hour off: hours begin at half past.
    /// let kolkata = Zone::named("Asia/Kolkata").unwrap();
    /// let at = "2026-01-28T10:59:00Z".parse().unwrap();
    /// assert_eq!(kolkata.start_of_hour(at).to_string(), "2026-01-28T10:30:00.000Z");
    /// ```
    pub fn start_of_hour(&self, at: Timestamp) -> Timestamp {
        let offset = i64::from(self.0.to_offset(at.to_jiff()).seconds()) * 1_000_000;
        let local = at.0 + offset;
        Timestamp(local - local.rem_euclid(3_600_000_000) - offset)
    }
}

/// Asia/Shanghai, where WeChat's days begin.
impl Default for Zone {
    fn default() -> Self {
        Self::named("Asia/Shanghai").unwrap_or(Self(TimeZone::fixed(jiff::tz::offset(8))))
    }
}
