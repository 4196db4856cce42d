//! Text that somebody else wrote: made safe to store, to log and to show before it goes any further.
//!
//! PostgreSQL stores no NUL, terminals obey control characters, and half of a surrogate pair makes a whole document
//! unreadable. So each control character but tab and line breaks, each lone surrogate and each byte that is not UTF-8
//! becomes U+FFFD, which keeps ids that differ different. Every adapter and every reader of callbacks reads JSON from
//! outside by [`json`], after the signature of its bytes is verified; a test here keeps it so.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

const ESCAPED_REPLACEMENT: &str = "\\ufffd";

/// Whether a character of somebody else's must not be stored.
fn is_harmful(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r')
}

/// The text of these bytes.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    if text.contains(is_harmful) { Cow::Owned(text.replace(is_harmful, "\u{fffd}")) } else { text }
}

/// Reads JSON, all of whose strings are safe to store.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    let text = text(bytes);
    match without_harmful_escapes(&text) {
        Some(clean) => serde_json::from_str(&clean),
        None => serde_json::from_str(&text),
    }
}

/// The document with the escapes `\uXXXX` of harmful characters replaced; `None` if it has none.
fn without_harmful_escapes(text: &str) -> Option<String> {
    // The first of them decides, and nearly no document has one.
    text.find("\\u")?;
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        clean.push_str(before);
        let taken = match unit(escape) {
            Some(0xd800..0xdc00) => match escape.get(6..).and_then(unit) {
                Some(0xdc00..0xe000) => push(&mut clean, &escape[..12]),
                _ => replaced(&mut clean),
            },
            Some(0xdc00..0xe000) => replaced(&mut clean),
            Some(code) if char::from_u32(code).is_some_and(is_harmful) => replaced(&mut clean),
            Some(_) => push(&mut clean, &escape[..6]),
            // Another escape: whatever follows the backslash belongs to it.
            None => {
                let length = escape.chars().take(2).map(char::len_utf8).sum();
                push(&mut clean, &escape[..length])
            }
        };
        rest = &escape[taken..];
    }
    clean.push_str(rest);
    Some(clean)
}

fn push(clean: &mut String, part: &str) -> usize {
    clean.push_str(part);
    part.len()
}

fn replaced(clean: &mut String) -> usize {
    clean.push_str(ESCAPED_REPLACEMENT);
    ESCAPED_REPLACEMENT.len()
}

/// The number of an escape `\uXXXX` at the beginning.
fn unit(escape: &str) -> Option<u32> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        u32::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn read(document: &str) -> String {
        json(document.as_bytes()).unwrap()
    }

    #[test]
    fn control_characters_and_lone_surrogates_are_replaced_and_nothing_else_is() {
        for (document, expected) in [
            (r#""a\u0000b""#, "a\u{fffd}b"),
            (r#""\u001B[31m""#, "\u{fffd}[31m"),
            (r#""\u007f\u0085""#, "\u{fffd}\u{fffd}"),
            (r#""tab\tline\nend\u000a""#, "tab\tline\nend\n"),
            // A backslash, and then plain letters.
            (r#""\\u0000""#, r"\u0000"),
            (r#""\\\u0000""#, "\\\u{fffd}"),
            (r#""\ud83d\ude00""#, "\u{1f600}"),
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ude00 \ud83d\ud83d\ude00""#, "\u{fffd} \u{fffd}\u{1f600}"),
            (r#""中\u4e2d""#, "中中"),
        ] {
            assert_eq!(read(document), expected, "{document}");
        }
        assert_eq!(json::<String>(b"\"a\0b\"").unwrap(), "a\u{fffd}b", "a raw NUL");
        assert_eq!(json::<String>(b"\"a\xffb\"").unwrap(), "a\u{fffd}b", "not UTF-8");
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written_but_for_harmful_characters(written in any::<String>()) {
            let document = serde_json::to_string(&written).unwrap();
            let expected: String =
                written.chars().map(|c| if is_harmful(c) { '\u{fffd}' } else { c }).collect();
            prop_assert_eq!(read(&document), expected);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(text) = json::<String>(&bytes) {
                prop_assert!(!text.contains(is_harmful));
            }
        }

        #[test]
        fn any_sequence_of_escapes_is_read_without_harm(parts in prop::collection::vec(
            prop::sample::select(vec!["\\u", "0000", "d83d", "de00", "\\\\", "\\n", "a", "中", "\\u0000", "\\ud83d"]), 0..12,
        )) {
            if let Ok(text) = json::<String>(format!("\"{}\"", parts.concat()).as_bytes()) {
                prop_assert!(!text.contains(is_harmful));
            }
        }
    }

    /// Every source file below this folder.
    fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                found.push(path);
            }
        }
    }

    #[test]
    fn all_json_from_outside_is_read_here() {
        let mut files = Vec::new();
        for folder in ["src/adapters", "src/protocol"] {
            sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
        }
        // The first reads our own tokens.
        let exempt = ["token.rs", "foreign.rs"];
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let reads = code.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
                ["serde_json::from_slice", "serde_json::from_str"].iter().any(|it| line.contains(it))
            });
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(!reads || exempt.contains(&name), "{} reads JSON past `foreign::json`", file.display());
        }
    }
}
