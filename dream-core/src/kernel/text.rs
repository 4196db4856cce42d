//! What people may write where others read it: names, tags and descriptions.
//!
//! A text that shows nothing, hides characters or reorders its surroundings lets one user pass for another, so such a
//! text is refused, not repaired. The rules follow Unicode's properties `Bidi_Control` and `Default_Ignorable_Code_Point`
//! (UAX #44). Joiners, variation selectors and tag characters stay allowed, because emoji and some scripts need them.

use icu_properties::CodePointSetData;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint};

use crate::error::{Fault, Format};

/// Refuses a one-line text with control, hidden or reordering characters, and one that shows nothing.
pub(crate) fn check_line(text: &str) -> Result<(), Fault> {
    if text.chars().any(char::is_control) {
        return Err(Fault::Format(Format::WithoutControls));
    }
    if text.chars().any(is_hidden) || !(text.is_empty() || text.chars().any(is_visible)) {
        return Err(Fault::Format(Format::VisibleText));
    }
    Ok(())
}

/// As [`check_line`], for a text of several lines.
pub(crate) fn check_lines(text: &str) -> Result<(), Fault> {
    text.split(['\n', '\r', '\t']).try_for_each(|line| match check_line(line) {
        // A line of its own may be empty or of blanks.
        Err(Fault::Format(Format::VisibleText)) if line.chars().all(char::is_whitespace) => Ok(()),
        checked => checked,
    })
}

/// Whether the character is invisible and no part of a visible one, or changes the order of what surrounds it.
fn is_hidden(letter: char) -> bool {
    let joins =
        matches!(letter, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0020}'..='\u{e007f}');
    let breaks_lines = matches!(letter, '\u{2028}' | '\u{2029}');
    breaks_lines
        || CodePointSetData::new::<BidiControl>().contains(letter)
        || (!joins && CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(letter))
}

fn is_visible(letter: char) -> bool {
    // The blank of the Braille alphabet is no white space, and shows nothing.
    letter != '\u{2800}'
        && !letter.is_whitespace()
        && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_shows_nothing_or_reorders_its_surroundings_is_refused() {
        for text in [
            "\u{200b}",
            "\u{3164}",
            "\u{115f}\u{1160}",
            "\u{2800}",
            "\u{feff}",
            "\u{ad}",
            "\u{200d}",
            "\u{fe0f}",
            "admin\u{200b}",
            "\u{202e}nimda",
            "a\u{2066}b\u{2069}",
            "\u{200f}",
            "\u{61c}",
            "a\u{2028}b",
            "\u{34f}",
            "a\u{180e}",
            "\u{e0020}",
        ] {
            assert_eq!(check_line(text), Err(Fault::Format(Format::VisibleText)), "{text:?}");
        }
        assert_eq!(check_line("a\u{7}"), Err(Fault::Format(Format::WithoutControls)));
    }

    #[test]
    fn names_of_every_script_and_emoji_pass() {
        for text in [
            "小明",
            "Zoë",
            "محمد",
            "می\u{200c}خواهم",
            "שלום",
            "नमस्ते",
            "👨\u{200d}👩\u{200d}👧",
            "❤\u{fe0f}",
            "🏴\u{e0067}\u{e0062}\u{e007f}",
            "a b",
            "·",
            "。",
            "",
        ] {
            assert_eq!(check_line(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn a_text_of_several_lines_may_have_empty_ones() {
        assert_eq!(check_lines("one\n\n  \ntwo\r\n\tthree"), Ok(()));
        assert_eq!(check_lines("one\n\u{202e}two"), Err(Fault::Format(Format::VisibleText)));
        assert_eq!(check_lines("one\u{0}"), Err(Fault::Format(Format::WithoutControls)));
    }
}
