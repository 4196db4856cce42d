//! Limits on what the log takes, so that no outsider can fill a disk through it.
//!
//! - [`Repeats`] limits lines that repeat: of one kind, [`BURST`] are written in each [`WINDOW`], and a line with a count
//!   stands for the rest. A kind is the place in the code that logs; in the access log it is a route with a status that
//!   refuses. Answered requests of the access log, and lines below `INFO`, are not limited.
//! - [`LINE`] and [`TEXT`] bound the length of a line, whatever an upstream or a client sent. The formats keep to them.
//!
//! Nothing is logged while the table is locked. Counts are written by [`Repeats::report`], outside of any event, since
//! an event that is logged while another one is handled would be dropped.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The longest line, in bytes.
pub(crate) const LINE: usize = 1024;

/// What the texts of all fields of a line may take of it; the rest is for names, numbers and the identity of the request.
pub(crate) const TEXT: usize = 600;

/// How a line ends that was cut.
const CUT: &str = "…\n";

/// Lines of one kind in each window.
const BURST: u64 = 50;

/// How long lines of one kind are counted, and how often counts are written.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// Kinds that are counted at once; more share one count.
const KINDS: usize = 1024;

const ACCESS: &str = "dream_http::access";
/// What the limiter itself says is not limited.
const OWN: &str = "dream::log";

/// What counts as the same line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Place(Identifier),
    Refused(String, u64),
    TooMany,
}

#[derive(Debug)]
struct Count {
    since: Instant,
    written: u64,
    left_out: u64,
    /// What the line says.
    about: String,
}

/// Counts lines by their kind, and leaves out those that repeat too often. Clones share their counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Repeats(Arc<Mutex<HashMap<Kind, Count>>>);

impl Repeats {
    /// Whether one more line of this kind is written now.
    fn admit(&self, kind: Kind, now: Instant, about: impl FnOnce() -> String) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = if counts.len() < KINDS || counts.contains_key(&kind) { kind } else { Kind::TooMany };
        let count = counts.entry(kind).or_insert_with(|| Count {
            since: now,
            written: 0,
            left_out: 0,
            about: about(),
        });
        if now.duration_since(count.since) >= WINDOW {
            (count.since, count.written) = (now, 0);
        }
        if count.written < BURST {
            count.written += 1;
            return true;
        }
        count.left_out += 1;
        false
    }

    /// Logs how many lines of each kind were left out since the last report.
    pub(crate) fn report(&self) {
        let now = Instant::now();
        let mut left_out = Vec::new();
        {
            let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            counts.retain(|_, count| {
                if count.left_out > 0 {
                    left_out.push((count.about.clone(), std::mem::take(&mut count.left_out)));
                }
                now.duration_since(count.since) < WINDOW
            });
        }
        for (about, count) in left_out {
            tracing::warn!(target: "dream::log", { log.about = about, log.left_out = count }, "lines that repeat were left out");
        }
    }

    /// Reports for as long as it is polled.
    pub(crate) async fn report_always(self) {
        let mut clock = tokio::time::interval(WINDOW);
        loop {
            clock.tick().await;
            self.report();
        }
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || metadata.target() == OWN {
            return true;
        }
        if metadata.target() != ACCESS {
            return self.admit(Kind::Place(metadata.callsite()), Instant::now(), || message(event));
        }
        let mut seen = Access::default();
        event.record(&mut seen);
        if seen.status < 400 {
            return true;
        }
        let about = format!("{} {}", seen.status, seen.route);
        self.admit(Kind::Refused(seen.route, seen.status), Instant::now(), || about)
    }
}

/// Route and status of a line of the access log.
#[derive(Debug, Default)]
struct Access {
    route: String,
    status: u64,
}

impl Visit for Access {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "http.route" {
            value.clone_into(&mut self.route);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "http.status" {
            self.status = value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// The message of an event, which is a constant of the program in nearly all of them.
fn message(event: &Event<'_>) -> String {
    struct Message(String);
    impl Visit for Message {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == "message" {
                let _ = write!(Bounded { text: &mut self.0, left: 100 }, "{value:?}");
            }
        }
    }
    let mut found = Message(String::new());
    event.record(&mut found);
    found.0
}

/// Takes texts until so many bytes are written, and drops the rest behind an ellipsis.
pub(crate) struct Bounded<'a> {
    pub(crate) text: &'a mut String,
    pub(crate) left: usize,
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if piece.len() <= self.left {
            self.text.push_str(piece);
            self.left -= piece.len();
        } else if self.left > 0 {
            self.text.push_str(&piece[..piece.floor_char_boundary(self.left)]);
            self.text.push('…');
            self.left = 0;
        }
        Ok(())
    }
}

/// A writer of whole lines that cuts those that are too long.
pub(crate) struct BoundedLines<W>(pub(crate) W);

impl<W: io::Write> io::Write for BoundedLines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if line.len() <= LINE {
            return self.0.write(line);
        }
        let kept = String::from_utf8_lossy(&line[..LINE - CUT.len()]);
        let kept = kept.trim_end_matches(char::REPLACEMENT_CHARACTER);
        self.0.write_all(format!("{kept}{CUT}").as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Writes down all fields of an event.
    struct All<'a>(&'a mut String);

    impl Visit for All<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            let _ = write!(self.0, "{}={value:?} ", field.name());
        }
    }

    /// Keeps the events that are logged.
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Seen {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut text = String::new();
            event.record(&mut All(&mut text));
            self.0.lock().unwrap().push(text);
        }
    }

    impl Seen {
        fn count(&self, part: &str) -> usize {
            self.0.lock().unwrap().iter().filter(|line| line.contains(part)).count()
        }
    }

    fn listen() -> (Repeats, Seen, tracing::subscriber::DefaultGuard) {
        let (repeats, seen) = (Repeats::default(), Seen::default());
        let subscriber = tracing_subscriber::registry().with(seen.clone()).with(repeats.clone());
        (repeats, seen, tracing::subscriber::set_default(subscriber))
    }

    #[test]
    fn lines_that_repeat_are_counted_instead_of_written() {
        let (repeats, seen, _guard) = listen();
        let warn = |number: u32| tracing::warn!(number, "a notification was refused");
        (0..1000).for_each(warn);
        tracing::warn!("something else");
        assert_eq!((seen.count("a notification"), seen.count("something else")), (50, 1));
        repeats.report();
        assert_eq!(seen.count("log.about=\"a notification was refused\" log.left_out=950"), 1);
        repeats.report();
        assert_eq!(seen.count("left_out"), 1, "each is reported once");
    }

    #[test]
    fn each_window_has_its_lines() {
        let repeats = Repeats::default();
        let kind = || Kind::Refused("/v1/a".to_owned(), 401);
        let begin = Instant::now();
        let written =
            |at: Duration| (0..60).filter(|_| repeats.admit(kind(), begin + at, String::new)).count();
        assert_eq!([written(Duration::ZERO), written(WINDOW / 2), written(WINDOW)], [50, 0, 50]);
    }

    #[test]
    fn of_the_access_log_only_refusals_are_limited_each_route_for_itself() {
        let (_repeats, seen, _guard) = listen();
        let access = |route: &str, status: u16| {
            tracing::info!(target: "dream_http::access", { http.route = route, http.status = status }, "request");
        };
        for _ in 0..200 {
            access("/v1/a", 200);
            access("/v1/a", 401);
            access("/v1/a", 503);
            access("/v1/b", 401);
        }
        let count =
            |route: &str, status: u16| seen.count(&format!("http.route=\"{route}\" http.status={status}"));
        assert_eq!([count("/v1/a", 200), count("/v1/a", 401), count("/v1/a", 503)], [200, 50, 50]);
        assert_eq!(count("/v1/b", 401), 50);
    }

    #[test]
    fn kinds_without_end_share_one_count() {
        let (repeats, seen, _guard) = listen();
        for number in 0..5000 {
            let route = format!("/{number}");
            tracing::info!(target: "dream_http::access", { http.route = route, http.status = 404_u16 }, "request");
        }
        assert_eq!(seen.count("request"), KINDS + 50);
        assert!(repeats.0.lock().unwrap().len() <= KINDS + 1);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_between_letters() {
        for letter in ["x", "猫", "🐈"] {
            let mut written = Vec::new();
            let line = letter.repeat(2000) + "\n";
            BoundedLines(&mut written).write_all(line.as_bytes()).unwrap();
            let text = String::from_utf8(written).unwrap();
            assert!(
                text.len() <= LINE
                    && text.ends_with("…\n")
                    && line.starts_with(text.strip_suffix("…\n").unwrap())
            );
        }
    }
}
