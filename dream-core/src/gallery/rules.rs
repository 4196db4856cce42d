use std::collections::HashSet;

use super::ImageStatus;
use crate::error::{Code, Error, Fault, Result};
use crate::jobs::{self, Job};
use crate::kernel::text::check_line;
use crate::ports::{JobState, Verdict};

/// A word to find a picture by.
///
/// ```
/// use dream_core::gallery::Tag;
///
/// assert_eq!(Tag::clean(" #black   cat ").unwrap().unwrap().as_str(), "black cat");
/// assert_eq!(Tag::clean("#").unwrap(), None, "nothing is left of it");
/// assert!(Tag::clean(&"字".repeat(33)).is_err(), "at most 32 characters");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(String);

impl Tag {
    /// Longest tag, in characters.
    pub const MAX_LEN: usize = 32;
    /// Most tags of one picture.
    pub const MOST: usize = 10;

    /// The tag that somebody means by this: without a `#` before it and without spaces around it, and each space
    /// inside it single. `None` if nothing is left.
    ///
    /// # Errors
    /// [`Fault::Length`] beyond 32 characters; [`Fault::Format`] for what cannot be shown.
    pub fn clean(text: &str) -> Result<Option<Self>, Fault> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let words = words.join(" ");
        let tag = words.trim_start_matches(['#', '＃', ' ']);
        if tag.chars().count() > Self::MAX_LEN {
            return Err(Fault::Length { min: 0, max: Self::MAX_LEN });
        }
        check_line(tag)?;
        Ok((!tag.is_empty()).then(|| Self(tag.to_owned())))
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Each tag once, in the order in which they were given.
pub(crate) fn distinct(tags: &[Tag]) -> Vec<String> {
    let mut seen = HashSet::new();
    tags.iter().filter(|tag| seen.insert(tag.as_str())).map(|tag| tag.0.clone()).collect()
}

/// The picture and the small copy of a job's result with this number. The job's small picture is of the first.
pub(super) fn chosen<'a>(
    urls: &'a [String],
    thumbnail: Option<&'a str>,
    index: i64,
) -> Option<(&'a str, &'a str)> {
    let url = urls.get(usize::try_from(index).ok()?)?;
    Some((url, thumbnail.filter(|_| index == 0).unwrap_or(url)))
}

/// The picture and the small copy of a result that may be offered to the public.
///
/// # Errors
/// `INVALID_STATE` unless the job succeeded; `VALIDATION_FAILED` for an index that it has no result of.
pub(super) fn publishable(job: &Job, index: i64) -> Result<(&str, &str)> {
    if job.state != JobState::Succeeded {
        return Err(Code::InvalidState.into());
    }
    let last = i64::try_from(job.result_urls.len()).unwrap_or(i64::MAX).saturating_sub(1).max(0);
    chosen(&job.result_urls, job.thumbnail_url.as_deref(), index)
        .filter(|(url, _)| jobs::lies_at_a_url(url))
        .ok_or_else(|| Error::invalid_field("index", Fault::Range { min: 0, max: last }))
}

/// The text that is shown beside a picture, as it is checked.
pub(super) fn shown_text(prompt: &str, tags: &[String]) -> String {
    let mut text = prompt.to_owned();
    for tag in tags {
        text.push('\n');
        text.push_str(tag);
    }
    text
}

/// What is known of a picture that is to go public.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) text: Option<Verdict>,
    pub(super) picture: Option<Verdict>,
}

/// What is to become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Not all of it was checked yet.
    Open,
    /// It waits for a person.
    ForAPerson,
    /// It goes public.
    Pass,
    /// It does not.
    Reject,
}

impl Found {
    pub(super) fn outcome(self) -> Outcome {
        match (self.text, self.picture) {
            (Some(Verdict::Risky), _) | (_, Some(Verdict::Risky)) => Outcome::Reject,
            (Some(Verdict::Pass), Some(Verdict::Pass)) => Outcome::Pass,
            (Some(_), Some(_)) => Outcome::ForAPerson,
            _ => Outcome::Open,
        }
    }
}

/// Whether an admin may bring a picture from one state to the other.
pub(super) fn may_turn(from: ImageStatus, to: ImageStatus) -> bool {
    use ImageStatus::{Pending, Public, Rejected, Removed};
    matches!(
        (from, to),
        (Pending | Rejected, Public) | (Pending | Public, Rejected) | (Pending | Public | Rejected, Removed)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> Option<String> {
        Tag::clean(text).unwrap().map(|tag| tag.0)
    }

    #[test]
    fn a_tag_is_what_somebody_means_by_it() {
        for text in ["cat", " cat ", "#cat", "## cat", "＃cat"] {
            assert_eq!(tag(text).as_deref(), Some("cat"), "{text:?}");
        }
        assert_eq!(tag("black \t  cat").as_deref(), Some("black cat"));
        assert_eq!(tag("C#").as_deref(), Some("C#"));
        for text in ["", "  ", "#", "# #"] {
            assert_eq!(tag(text), None, "{text:?}");
        }
        assert!(tag(&"字".repeat(32)).is_some());
        assert_eq!(Tag::clean(&"字".repeat(33)), Err(Fault::Length { min: 0, max: 32 }));
        assert!(Tag::clean("a\u{7}b").is_err());
    }

    #[test]
    fn equal_tags_count_once() {
        let tags = ["b", "#a", "a ", "b"].map(|text| Tag::clean(text).unwrap().unwrap());
        assert_eq!(distinct(&tags), ["b", "a"]);
    }

    #[test]
    fn the_small_picture_belongs_to_the_first_result_only() {
        let urls = ["x".to_owned(), "y".to_owned()];
        assert_eq!(chosen(&urls, Some("t"), 0), Some(("x", "t")));
        assert_eq!(chosen(&urls, None, 0), Some(("x", "x")));
        assert_eq!(chosen(&urls, Some("t"), 1), Some(("y", "y")));
        assert_eq!(chosen(&urls, Some("t"), 2), None);
        assert_eq!(chosen(&urls, Some("t"), -1), None);
    }

    #[test]
    fn nothing_passes_unless_all_of_it_passed() {
        let all = [None, Some(Verdict::Pass), Some(Verdict::Review), Some(Verdict::Risky)];
        for text in all {
            for picture in all {
                let outcome = Found { text, picture }.outcome();
                let both_pass = text == Some(Verdict::Pass) && picture == Some(Verdict::Pass);
                assert_eq!(outcome == Outcome::Pass, both_pass, "{text:?} {picture:?}");
                let risky = text == Some(Verdict::Risky) || picture == Some(Verdict::Risky);
                assert_eq!(outcome == Outcome::Reject, risky, "{text:?} {picture:?}");
            }
        }
    }

    #[test]
    fn what_was_removed_never_comes_back() {
        use ImageStatus::{Pending, Public, Rejected, Removed};
        for to in [Pending, Public, Rejected, Removed] {
            assert!(!may_turn(Removed, to));
            assert!(!may_turn(to, to));
            assert!(!may_turn(to, Pending));
        }
        assert!(may_turn(Rejected, Public) && may_turn(Public, Rejected));
    }
}
