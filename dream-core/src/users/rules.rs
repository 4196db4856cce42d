//! What a user may be called, and where its picture may lie.

use std::str::FromStr;

use crate::blobs;
use crate::dream::Core;
use crate::error::{Error, Fault, Format, Result};
use crate::kernel::text::check_line;
use crate::ports::{Scene, TextCheck, Verdict};

/// What a user is called: 1 to 32 characters that others can see: no control, hidden or reordering ones.
///
/// ```
/// use dream_core::NickName;
///
/// assert_eq!(" 小明 ".parse::<NickName>().unwrap().as_str(), "小明");
/// assert!("字".repeat(33).parse::<NickName>().is_err(), "at most 32 characters");
/// assert!("a\nb".parse::<NickName>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NickName(String);

impl NickName {
    /// Longest name, in characters.
    pub const MAX_LEN: usize = 32;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Asks the content check. A name that a person should look at first does not go public.
    pub(crate) async fn may_go_public(&self, core: &Core, openid: &str) -> Result<bool> {
        let check = TextCheck { openid, scene: Scene::Profile, content: &self.0 };
        Ok(core.content.text(check).await? == Verdict::Pass)
    }
}

impl FromStr for NickName {
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

/// The address of a user's picture, at most 512 bytes.
///
/// ```
/// use dream_core::AvatarUrl;
///
/// // That it lies with us or with WeChat is found when it is set.
/// assert!("https://thirdwx.qlogo.cn/mmopen/a/132".parse::<AvatarUrl>().is_ok());
/// assert!("".parse::<AvatarUrl>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvatarUrl(String);

impl AvatarUrl {
    /// Longest address, in bytes.
    pub const MAX_LEN: usize = 512;

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the picture lies in our own storage or where WeChat keeps avatars.
    pub(crate) fn may_be_shown(&self, core: &Core) -> bool {
        blobs::lies_with_us_or_at(core, &self.0, &core.settings.avatar_hosts)
    }
}

impl FromStr for AvatarUrl {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            Err(Fault::Length { min: 1, max: Self::MAX_LEN })
        } else if text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Fault::Format(Format::Url))
        }
    }
}

/// A name or a text that is searched for, so that upper and lower case are alike.
pub(crate) fn name_key(name: &str) -> String {
    name.to_lowercase()
}

pub(super) fn foreign_avatar() -> Error {
    Error::invalid_field("avatarUrl", Fault::Format(Format::UploadedPictureUrl))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_counted_in_characters_and_trimmed() {
        assert_eq!("  小明 ".parse::<NickName>().unwrap().as_str(), "小明");
        assert!("字".repeat(32).parse::<NickName>().is_ok());
        assert_eq!("字".repeat(33).parse::<NickName>(), Err(Fault::Length { min: 1, max: 32 }));
        assert!("   ".parse::<NickName>().is_err());
        assert!("a\u{0}b".parse::<NickName>().is_err());
        assert!("\u{3164}".parse::<NickName>().is_err());
        assert!("\u{202e}nimda".parse::<NickName>().is_err());
    }
}
