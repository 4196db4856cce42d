//! What a character may be called, and where its photos may lie.

use std::str::FromStr;

use crate::blobs;
use crate::dream::Core;
use crate::error::{Error, Fault, Format, Result};
use crate::kernel::text::{check_line, check_lines};
use crate::ports::{Scene, TextCheck, Verdict};

/// What a character is called: 1 to 100 characters that others can see: no control, hidden or reordering ones.
///
/// ```
/// use dream_core::characters::CharacterName;
///
/// assert_eq!(" 小红 ".parse::<CharacterName>().unwrap().as_str(), "小红");
/// assert!("字".repeat(101).parse::<CharacterName>().is_err(), "at most 100 characters");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharacterName(String);

impl CharacterName {
    /// Longest name, in characters.
    pub const MAX_LEN: usize = 100;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Asks the content check. A name that a person should look at first does not go public.
    pub(super) async fn may_go_public(&self, core: &Core, openid: &str) -> Result<bool> {
        let check = TextCheck { openid, scene: Scene::Profile, content: &self.0 };
        Ok(core.content.text(check).await? == Verdict::Pass)
    }
}

impl FromStr for CharacterName {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        check_line(text)?;
        if (1..=Self::MAX_LEN).contains(&text.chars().count()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Fault::Length { min: 1, max: Self::MAX_LEN })
        }
    }
}

/// What there is to say about a character: 1 to 500 characters, lines and all.
///
/// ```
/// use dream_core::characters::CharacterDescription;
///
/// assert!("red hair,\nfreckles".parse::<CharacterDescription>().is_ok(), "lines are welcome");
/// assert!("".parse::<CharacterDescription>().is_err(), "leave it out instead");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharacterDescription(String);

impl CharacterDescription {
    /// Longest description, in characters.
    pub const MAX_LEN: usize = 500;

    /// The description as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CharacterDescription {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        check_lines(text)?;
        if (1..=Self::MAX_LEN).contains(&text.chars().count()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Fault::Length { min: 1, max: Self::MAX_LEN })
        }
    }
}

/// The address of a photo, at most 2048 bytes.
///
/// ```
/// use dream_core::characters::PhotoUrl;
///
/// // Which hosts are allowed is decided when the photo is linked.
/// assert_eq!(
///     "https://photos.example/face.jpg".parse::<PhotoUrl>().unwrap().as_str(),
///     "https://photos.example/face.jpg"
/// );
/// assert!("https://photos.example/my face.jpg".parse::<PhotoUrl>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhotoUrl(String);

impl PhotoUrl {
    /// Longest address, in bytes.
    pub const MAX_LEN: usize = 2048;

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Refuses a photo that lies neither in our own storage nor at a host of the settings.
    pub(super) fn check(&self, field: &'static str, core: &Core) -> Result<()> {
        if blobs::lies_with_us_or_at(core, &self.0, &core.settings.photo_hosts) {
            Ok(())
        } else {
            Err(Error::invalid_field(field, Fault::Format(Format::PhotoHostUrl)))
        }
    }
}

impl FromStr for PhotoUrl {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            Err(Fault::Length { min: 1, max: Self::MAX_LEN })
        } else if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Fault::Format(Format::Url))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_counted_in_characters_and_trimmed() {
        assert_eq!(" 小红 ".parse::<CharacterName>().unwrap().as_str(), "小红");
        assert!("字".repeat(100).parse::<CharacterName>().is_ok());
        assert!("字".repeat(101).parse::<CharacterName>().is_err());
        assert!("  ".parse::<CharacterName>().is_err());
        assert!("a\nb".parse::<CharacterName>().is_err());
    }

    #[test]
    fn a_description_may_have_lines_but_no_nul() {
        assert!("one\ntwo".parse::<CharacterDescription>().is_ok());
        assert!("one\0".parse::<CharacterDescription>().is_err());
        assert!("x".repeat(501).parse::<CharacterDescription>().is_err());
    }
}
