//! Which hours and days a question about usage is about.

use std::str::FromStr;

use super::store::Delta;
use super::{Bucket, Edge, UsageBucket, UsageQuery};
use crate::error::{Error, Fault, Format, Result};
use crate::kernel::{Day, Fen, Timestamp, Zone};

impl Bucket {
    /// Every word, as clients write it.
    pub const NAMES: &'static [&'static str] = &["day", "hour"];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Bucket::Day => "day",
            Bucket::Hour => "hour",
        }
    }

    /// What the word means.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "day" => Some(Bucket::Day),
            "hour" => Some(Bucket::Hour),
            _ => None,
        }
    }

    /// Most buckets of one answer: a leap year of days, a month of hours.
    pub const fn most(self) -> usize {
        match self {
            Bucket::Day => 366,
            Bucket::Hour => 31 * 24,
        }
    }

    /// How many buckets an answer has unless it is said from when.
    const fn usual(self) -> usize {
        match self {
            Bucket::Day => 30,
            Bucket::Hour => 24,
        }
    }

    const fn too_many(self) -> Fault {
        match self {
            Bucket::Day => Fault::Format(Format::Within366Days),
            Bucket::Hour => Fault::Format(Format::Within744Hours),
        }
    }

    fn start(self, zone: &Zone, at: Timestamp) -> Timestamp {
        match self {
            Bucket::Day => zone.start_of(zone.day(at)),
            Bucket::Hour => zone.start_of_hour(at),
        }
    }

    fn next(self, zone: &Zone, start: Timestamp) -> Timestamp {
        match self {
            Bucket::Day => zone.start_of(zone.day(start).next()),
            Bucket::Hour => zone.start_of_hour(start.plus(HOUR)),
        }
    }

    fn previous(self, zone: &Zone, start: Timestamp) -> Timestamp {
        match self {
            Bucket::Day => zone.start_of(zone.day(start).previous()),
            Bucket::Hour => zone.start_of_hour(start.minus(HOUR)),
        }
    }
}

const HOUR: std::time::Duration = std::time::Duration::from_hours(1);

/// Reads a day, or an instant.
impl FromStr for Edge {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        if let Ok(day) = text.parse::<Day>() {
            // An instant reads as a day too, by its first part.
            if text.len() == day.to_string().len() {
                return Ok(Edge::On(day));
            }
        }
        text.parse().map(Edge::At).map_err(|_| Fault::Format(Format::DayOrTime))
    }
}

/// Where each bucket begins, and where the last one ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) starts: Vec<Timestamp>,
    pub(super) end: Timestamp,
}

/// The buckets that the question is about.
///
/// # Errors
/// `VALIDATION_FAILED` for an end that is not after the beginning, or too many buckets.
pub(super) fn span(query: &UsageQuery, zone: &Zone, now: Timestamp) -> Result<Span> {
    let bucket = query.bucket;
    let last = match query.to {
        None => bucket.start(zone, now),
        Some(Edge::On(day)) => bucket.start(zone, zone.start_of(day.next()).minus(INSTANT)),
        Some(Edge::At(to)) => bucket.start(zone, to.minus(INSTANT)),
    };
    let first = match query.from {
        None => (1..bucket.usual()).fold(last, |start, _| bucket.previous(zone, start)),
        Some(Edge::On(day)) => bucket.start(zone, zone.start_of(day)),
        Some(Edge::At(from)) => bucket.start(zone, from),
    };
    if first > last {
        return Err(Error::invalid_field("from", Fault::Conflict("to")));
    }
    let mut starts = vec![first];
    let mut next = bucket.next(zone, first);
    while next <= last {
        if starts.len() == bucket.most() {
            return Err(Error::invalid_field("from", bucket.too_many()));
        }
        starts.push(next);
        next = bucket.next(zone, next);
    }
    Ok(Span { starts, end: next })
}

/// The shortest time that can be told apart.
const INSTANT: std::time::Duration = std::time::Duration::from_micros(1);

/// The figures of the hours, put into their buckets. Buckets without any are there too.
pub(super) fn sorted(
    span: &Span,
    hours: &[(Timestamp, Delta)],
    bucket: Bucket,
    zone: &Zone,
) -> Vec<UsageBucket> {
    let mut sums = vec![Delta::default(); span.starts.len()];
    for (at, delta) in hours {
        // The last that begins no later; hours before the first are not asked for.
        let index = span.starts.partition_point(|start| start <= at);
        if let Some(sum) = index.checked_sub(1).and_then(|index| sums.get_mut(index)) {
            *sum = sum.plus(*delta);
        }
    }
    let of = |(at, sum): (&Timestamp, Delta)| UsageBucket {
        at: *at,
        day: zone.day(*at),
        hour: (bucket == Bucket::Hour).then(|| zone.hour(*at)),
        new_users: sum.new_users,
        active_users: match bucket {
            Bucket::Day => sum.active_day,
            Bucket::Hour => sum.active_hour,
        },
        generations: sum.generations,
        succeeded: sum.succeeded,
        failed: sum.failed,
        paid_orders: sum.paid_orders,
        revenue: Fen::new(sum.revenue),
    };
    span.starts.iter().zip(sums).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn ask(from: &str, to: &str, bucket: Bucket, zone: &Zone) -> Result<Span> {
        let edge = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        let query = UsageQuery { from: edge(from), to: edge(to), bucket };
        span(&query, zone, at("2026-01-28T17:30:00Z"))
    }

    #[test]
    fn a_day_begins_at_midnight_of_the_zone() {
        let span = ask("2026-01-27", "2026-01-28", Bucket::Day, &Zone::default()).unwrap();
        assert_eq!(span.starts, [at("2026-01-26T16:00:00Z"), at("2026-01-27T16:00:00Z")]);
        assert_eq!(span.end, at("2026-01-28T16:00:00Z"));
        // 17:30 in UTC is the next day already.
        let span = ask("", "", Bucket::Day, &Zone::default()).unwrap();
        assert_eq!((span.starts.len(), span.starts[29]), (30, at("2026-01-28T16:00:00Z")));
        let utc = Zone::named("UTC").unwrap();
        let span = ask("", "", Bucket::Day, &utc).unwrap();
        assert_eq!(span.starts[29], at("2026-01-28T00:00:00Z"));
    }

    #[test]
    fn an_instant_ends_before_itself() {
        let zone = Zone::default();
        let span = ask("2026-01-28T10:20:00Z", "2026-01-28T12:00:00Z", Bucket::Hour, &zone).unwrap();
        assert_eq!(span.starts, [at("2026-01-28T10:00:00Z"), at("2026-01-28T11:00:00Z")]);
        let span = ask("2026-01-28T10:00:00Z", "2026-01-28T12:00:00.001Z", Bucket::Hour, &zone).unwrap();
        assert_eq!(span.starts.len(), 3);
        assert_eq!(ask("", "", Bucket::Hour, &zone).unwrap().starts.len(), 24);
    }

    #[test]
    fn days_of_23_and_25_hours_are_one_bucket_each() {
        let zone = Zone::named("Europe/Berlin").unwrap();
        let span = ask("2026-03-28", "2026-03-30", Bucket::Day, &zone).unwrap();
        let starts = [at("2026-03-27T23:00:00Z"), at("2026-03-28T23:00:00Z"), at("2026-03-29T22:00:00Z")];
        assert_eq!(span.starts, starts);
        assert_eq!(ask("2026-10-25", "2026-10-25", Bucket::Hour, &zone).unwrap().starts.len(), 25);
    }

    #[test]
    fn hours_of_a_zone_with_half_an_hour_begin_there() {
        let zone = Zone::named("Asia/Kolkata").unwrap();
        let span = ask("2026-01-28T10:40:00Z", "2026-01-28T11:40:00Z", Bucket::Hour, &zone).unwrap();
        assert_eq!(span.starts, [at("2026-01-28T10:30:00Z"), at("2026-01-28T11:30:00Z")]);
    }

    #[test]
    fn too_long_and_backwards_are_refused() {
        let zone = Zone::default();
        assert!(ask("2025-01-28", "2026-01-28", Bucket::Day, &zone).is_ok());
        assert!(ask("2025-01-27", "2026-01-28", Bucket::Day, &zone).is_err());
        assert!(ask("2025-12-29", "2026-01-28", Bucket::Hour, &zone).is_ok());
        assert!(ask("2025-12-28", "2026-01-28", Bucket::Hour, &zone).is_err());
        assert!(ask("2026-01-29", "2026-01-28", Bucket::Day, &zone).is_err());
        assert!(ask("0001-01-01", "9999-12-31", Bucket::Hour, &zone).is_err());
        assert!("2026-01".parse::<Edge>().is_err());
        assert!("2026-01-28T10:00:00".parse::<Edge>().is_err());
    }

    #[test]
    fn hours_fall_into_the_day_that_they_lie_in() {
        let span = ask("2026-01-27", "2026-01-28", Bucket::Day, &Zone::default()).unwrap();
        let one = Delta { generations: 1, active_day: 1, active_hour: 5, ..Delta::default() };
        let hours = [at("2026-01-27T15:00:00Z"), at("2026-01-27T16:00:00Z"), at("2026-01-27T16:00:00Z")];
        let buckets = sorted(&span, &hours.map(|at| (at, one)), Bucket::Day, &Zone::default());
        let counts: Vec<_> = buckets.iter().map(|it| (it.generations, it.active_users)).collect();
        assert_eq!(counts, [(1, 1), (2, 2)]);
    }

    #[test]
    fn a_bucket_names_the_day_and_hour_of_the_zone_and_not_of_utc() {
        let zone = Zone::default();
        let span = ask("2026-11-30", "2026-11-30", Bucket::Day, &zone).unwrap();
        let day = sorted(&span, &[], Bucket::Day, &zone)[0];
        assert_eq!(
            (day.at, day.day, day.hour),
            (at("2026-11-29T16:00:00Z"), "2026-11-30".parse().unwrap(), None)
        );
        let span = ask("2026-11-29T16:00:00Z", "2026-11-29T18:00:00Z", Bucket::Hour, &zone).unwrap();
        let hours: Vec<_> =
            sorted(&span, &[], Bucket::Hour, &zone).iter().map(|it| (it.day, it.hour)).collect();
        assert_eq!(hours, [(day.day, Some(0)), (day.day, Some(1))]);
    }
}
