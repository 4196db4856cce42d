//! Texts and times as the protocol wants them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::kernel::Timestamp;

/// Everything but the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A number as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// The text without characters that the platform refuses (beyond the basic plane, control characters), cut at the end of
/// a character. The limit is counted in bytes, since the documentation leaves open what it counts. The same text always
/// gives the same result, so that a replay is identical.
pub(super) fn cleaned(text: &str, max_bytes: usize) -> String {
    let mut kept = String::new();
    for character in text.chars() {
        let character = if character.is_control() { ' ' } else { character };
        if character.len_utf8() > 3 {
            continue;
        }
        if kept.len() + character.len_utf8() > max_bytes {
            break;
        }
        kept.push(character);
    }
    kept.trim().to_owned()
}

/// `yyyy-MM-ddTHH:mm:ss+08:00`.
pub(super) fn beijing_time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_second(at.as_secs()).unwrap_or(jiff::Timestamp::MAX);
    let offset = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
    offset.to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S+08:00").to_string()
}

/// Why JSON could not be read: the place but not the words, since serde quotes what it found.
pub(super) fn misread(error: &serde_json::Error) -> String {
    let (kind, line, column) = (error.classify(), error.line(), error.column());
    format!("not the JSON that was expected: {kind:?} error at line {line} column {column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emoji_and_line_feeds_go_and_cuts_fall_between_characters() {
        assert_eq!(cleaned("月卡🎉\n一个月 ", 127), "月卡 一个月");
        assert_eq!(cleaned("造梦会员", 7), "造梦");
        assert_eq!(cleaned("🎉", 127), "");
    }

    #[test]
    fn a_number_is_one_segment_of_the_path() {
        assert_eq!(segment("R|2026*01@01-1"), "R%7C2026%2A01%4001-1");
    }

    #[test]
    fn times_are_told_as_in_beijing() {
        assert_eq!(beijing_time(Timestamp::from_secs(1_767_232_800)), "2026-01-01T10:00:00+08:00");
    }
}
