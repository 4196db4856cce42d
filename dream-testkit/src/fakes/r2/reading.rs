//! Giving out an object: conditions and ranges, the same for both addresses.

use bytes::Bytes;
use dream_core::kernel::Timestamp;
use http::{Method, StatusCode};

use super::StoredObject;
use super::answers::Problem;
use crate::fakes::server::{FakeRequest, FakeResponse};

/// The object, or the part of it that was asked for.
pub(super) fn give(object: &StoredObject, request: &FakeRequest) -> Result<FakeResponse, Problem> {
    if let Some(not_modified) = look_at_conditions(object, request)? {
        return Ok(not_modified);
    }
    let size = object.bytes.len();
    let asked = request.header("range").map_or(Part::Whole, |text| Part::asked(text, size));
    let (answer, part) = match asked {
        Part::Whole => (described(object, StatusCode::OK), object.bytes.clone()),
        Part::Bytes(first, last) => {
            let place = format!("bytes {first}-{last}/{size}");
            let answer = described(object, StatusCode::PARTIAL_CONTENT).with_header("content-range", &place);
            (answer, object.bytes.slice(first..=last))
        }
        Part::Outside => {
            let message = "The requested range is not satisfiable";
            return Err(Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", message));
        }
    };
    let mut answer = answer.with_header("content-length", &part.len().to_string());
    answer.body = if request.method == Method::HEAD { Bytes::new() } else { part };
    Ok(answer)
}

fn described(object: &StoredObject, status: StatusCode) -> FakeResponse {
    let answer = FakeResponse::empty(status)
        .with_header("etag", &object.etag)
        .with_header("last-modified", &http_date(object.modified))
        .with_header("accept-ranges", "bytes");
    object.headers.iter().fold(answer, |answer, (name, value)| answer.with_header(name, value))
}

/// `Some` if the caller has it already.
fn look_at_conditions(object: &StoredObject, request: &FakeRequest) -> Result<Option<FakeResponse>, Problem> {
    let changed_since = |name: &str| {
        let at = request.header(name).and_then(from_http_date)?;
        Some(object.modified.as_secs() > at.as_secs())
    };
    match request.header("if-match") {
        Some(tags) if !names(tags, &object.etag) => return Err(Problem::precondition()),
        None if changed_since("if-unmodified-since") == Some(true) => return Err(Problem::precondition()),
        _ => {}
    }
    let is_known = match request.header("if-none-match") {
        Some(tags) => names(tags, &object.etag),
        None => changed_since("if-modified-since") == Some(false),
    };
    Ok(is_known.then(|| described(object, StatusCode::NOT_MODIFIED)))
}

/// Whether the list of tags has this one.
pub(super) fn names(tags: &str, etag: &str) -> bool {
    tags.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == "*" || tag == etag)
}

/// What a `Range` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It is no range, as though it had not been there.
    Whole,
    /// First and last byte.
    Bytes(usize, usize),
    /// No byte of the object.
    Outside,
}

impl Part {
    fn asked(text: &str, size: usize) -> Self {
        match ends(text, size) {
            Some((first, last)) if first <= last && first >= size => Self::Outside,
            Some((first, last)) if first <= last => Self::Bytes(first, last.min(size - 1)),
            _ => Self::Whole,
        }
    }
}

/// The first and the last byte of `bytes=1-2`, `bytes=1-` or `bytes=-2`.
fn ends(text: &str, size: usize) -> Option<(usize, usize)> {
    match text.strip_prefix("bytes=")?.split_once('-')? {
        ("", suffix) => Some((size.saturating_sub(suffix.parse().ok()?), size)),
        (first, "") => Some((first.parse().ok()?, usize::MAX)),
        (first, last) => Some((first.parse().ok()?, last.parse().ok()?)),
    }
}

/// `Thu, 01 Jan 2026 02:00:00 GMT`
pub(super) fn http_date(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.as_secs())
        .map(|at| at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}

fn from_http_date(text: &str) -> Option<Timestamp> {
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Timestamp::from_micros(at.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        for (text, expected) in [
            ("bytes=0-0", Part::Bytes(0, 0)),
            ("bytes=2-", Part::Bytes(2, 9)),
            ("bytes=-3", Part::Bytes(7, 9)),
            ("bytes=-99", Part::Bytes(0, 9)),
            ("bytes=5-99", Part::Bytes(5, 9)),
            ("bytes=10-12", Part::Outside),
            ("bytes=10-", Part::Outside),
            ("bytes=-0", Part::Outside),
            ("bytes=3-2", Part::Whole),
            ("bytes=x-2", Part::Whole),
            ("lines=1-2", Part::Whole),
        ] {
            assert_eq!(Part::asked(text, 10), expected, "{text}");
        }
        assert_eq!(Part::asked("bytes=0-", 0), Part::Outside);
    }

    #[test]
    fn dates_are_written_and_read_alike() {
        let at = Timestamp::from_secs(1_767_232_800);
        assert_eq!(http_date(at), "Thu, 01 Jan 2026 02:00:00 GMT");
        assert_eq!(from_http_date(&http_date(at)), Some(at));
    }
}
