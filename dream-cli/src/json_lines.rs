//! Log lines as JSON: one object for each event, with its fields as members.
//!
//! Written for the access log, which has a line for every request: a line is composed in one piece, without a map, a
//! span or a value in between.

use std::fmt::{self, Write as _};

use dream_core::trace::{self, Work};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::log_limits::TEXT;

/// Long enough for a line of the access log.
const USUAL_LENGTH: usize = 512;

/// Writes an event as a line of JSON: `timestamp`, `level`, the fields of the event, `target`, and, unless a field tells
/// them, the `request.id` and `trace_id` of the work that the task does.
pub(crate) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::with_capacity(USUAL_LENGTH);
        line.push_str("{\"timestamp\":\"");
        SystemTime.format_time(&mut Writer::new(&mut line))?;
        line.push_str("\",\"level\":\"");
        line.push_str(event.metadata().level().as_str());
        line.push('"');
        event.record(&mut Members { line: &mut line, left: TEXT });
        Members { line: &mut line, left: TEXT }.text("target", event.metadata().target());
        trace::current(|work| tell_work(&mut line, work, event));
        line.push_str("}\n");
        writer.write_str(&line)
    }
}

fn tell_work(line: &mut String, work: &Work, event: &Event<'_>) {
    let says = |name: &str| event.metadata().fields().field(name).is_some();
    let mut members = Members { line, left: TEXT };
    if let Some(id) = work.request_id().filter(|_| !says("request.id")) {
        members.text("request.id", id.as_str());
    }
    if !says("trace_id") {
        members.shown("trace_id", format_args!("{}", work.context().trace_id()));
    }
}

/// Members of an object, each behind a comma. Their texts take a bounded part of the line, and the last one that fits in
/// part ends with an ellipsis.
struct Members<'a> {
    line: &'a mut String,
    left: usize,
}

impl Members<'_> {
    fn name(&mut self, name: &str) {
        self.line.push_str(",\"");
        // Names stand in our code, and need no escapes; one that is a word of Rust is written `r#type` there.
        self.line.push_str(name.strip_prefix("r#").unwrap_or(name));
        self.line.push_str("\":");
    }

    fn text(&mut self, name: &str, text: &str) {
        self.shown(name, format_args!("{text}"));
    }

    /// What needs no quotes. Writing to a string does not fail.
    fn number(&mut self, name: &str, number: impl fmt::Display) {
        self.name(name);
        let _ = write!(self.line, "{number}");
    }

    fn shown(&mut self, name: &str, shown: fmt::Arguments<'_>) {
        self.name(name);
        self.line.push('"');
        let mut escaped = Escaped { line: self.line, left: self.left };
        let _ = escaped.write_fmt(shown);
        self.left = escaped.left;
        self.line.push('"');
    }
}

impl Visit for Members<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.shown(field.name(), format_args!("{value:?}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.number(field.name(), value);
        } else {
            self.name(field.name());
            self.line.push_str("null");
        }
    }
}

/// A string whose pieces come one by one, cut behind so many bytes.
struct Escaped<'a> {
    line: &'a mut String,
    left: usize,
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if self.left == 0 {
            return Ok(());
        }
        let mut taken = 0;
        let cut = piece.char_indices().find(|(_, letter)| {
            taken += escaped_length(*letter);
            taken > self.left
        });
        let kept = cut.map_or(piece, |(at, _)| &piece[..at]);
        push_escaped(self.line, kept);
        self.left = self.left.saturating_sub(taken);
        if cut.is_some() {
            self.line.push('…');
            self.left = 0;
        }
        Ok(())
    }
}

/// Bytes of a letter in a string of JSON.
fn escaped_length(letter: char) -> usize {
    match letter {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        '\0'..='\u{1f}' => 6,
        _ => letter.len_utf8(),
    }
}

fn push_escaped(line: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        line.push_str(text);
    } else if let Ok(quoted) = serde_json::to_string(text) {
        line.push_str(&quoted[1..quoted.len() - 1]);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex, PoisonError};

    use dream_core::adapters::OsEntropy;
    use dream_core::trace::TraceContext;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged meanwhile, line by line.
    fn lines(log: impl FnOnce()) -> Vec<Value> {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .event_format(JsonLines)
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = std::mem::take(&mut *kept.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn every_kind_of_value_is_a_member_of_its_own_kind() {
        let [line] = &lines(|| {
            tracing::warn!(
                name = "贝",
                some.count = 3_u64,
                below = -2_i64,
                took = 0.25,
                never = f64::NAN,
                left = true,
                absent = None::<u64>,
                shown = %"plain",
                seen = ?Some("it"),
                r#type = "word",
                "it happened"
            );
        })[..] else {
            panic!("one line")
        };
        let at = line["timestamp"].as_str().unwrap();
        assert!(at.len() == 27 && at.ends_with('Z'), "{at}");
        let mut line = line.clone();
        line.as_object_mut().unwrap().remove("timestamp");
        let expected = json!({
            "level": "WARN", "target": "dream::json_lines::tests", "message": "it happened", "name": "贝",
            "some.count": 3, "below": -2, "took": 0.25, "never": null, "left": true, "shown": "plain",
            "seen": "Some(\"it\")", "type": "word"
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn nothing_that_is_said_breaks_out_of_its_line() {
        for text in ["\"", "\\", "a\nb\r\u{1}", "\"},{\"", "\\\"", "\u{7f}\u{2028}", ""] {
            let lines = lines(|| tracing::info!(text, shown = %text, "{text}"));
            assert_eq!(lines.len(), 1, "{text:?}");
            for member in ["text", "shown", "message"] {
                assert_eq!(lines[0][member], text);
            }
        }
    }

    #[test]
    fn no_line_is_longer_than_a_kilobyte_whatever_it_says() {
        for text in ["x".repeat(30_000_000), "\0".repeat(10_000), "猫\"".repeat(10_000)] {
            let kept = Kept::default();
            let writer = kept.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_writer(move || writer.clone())
                .event_format(JsonLines)
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                tracing::error!(error = text, other = %text, count = 7, "an upstream answered nonsense");
            });
            let line = String::from_utf8(std::mem::take(&mut *kept.0.lock().unwrap())).unwrap();
            assert!(line.len() <= crate::log_limits::LINE, "{}", line.len());
            let line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(
                (&line["message"], &line["count"]),
                (&json!("an upstream answered nonsense"), &json!(7))
            );
            let shown = line["error"].as_str().unwrap();
            assert!(text.starts_with(shown.strip_suffix('…').unwrap()) && line["other"] == "", "{line}");
        }
    }

    #[tokio::test]
    async fn a_line_tells_of_the_request_that_it_belongs_to_once() {
        let trace = TraceContext::fresh(&OsEntropy);
        let work = Work::new(trace).for_request("req-1".parse().unwrap());
        let found = work
            .run(async {
                lines(|| {
                    tracing::info!("one");
                    tracing::info!(request.id = "own", trace_id = "own", "two");
                })
            })
            .await;
        assert_eq!(found[0]["request.id"], "req-1");
        assert_eq!(found[0]["trace_id"], trace.trace_id().to_string());
        assert_eq!((&found[1]["request.id"], &found[1]["trace_id"]), (&json!("own"), &json!("own")));
    }
}
