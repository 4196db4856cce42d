use std::fmt::Debug;

use async_trait::async_trait;

use super::Failure;

/// Where a text or picture is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// A user's name, a character's name.
    Profile,
    /// Something published to others.
    Forum,
}

/// A text to be checked.
#[derive(Debug, Clone, Copy)]
pub struct TextCheck<'a> {
    /// Who wrote it.
    pub openid: &'a str,
    /// Where it is to be shown.
    pub scene: Scene,
    /// What is to be shown. Of any length.
    pub content: &'a str,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// May be shown.
    Pass,
    /// A person should look first.
    Review,
    /// May not be shown.
    Risky,
}

/// The outcome of handing in a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageCheck {
    /// The verdict came at once.
    Decided(Verdict),
    /// The verdict will be pushed under this id.
    Pending {
        /// WeChat's `trace_id`.
        trace_id: String,
    },
}

/// Says whether content may go public. A check that cannot be made is a failure and never a pass.
#[async_trait]
pub trait ContentCheck: Debug + Send + Sync + 'static {
    /// Checks a text. Safe to repeat.
    async fn text(&self, check: TextCheck<'_>) -> Result<Verdict, Failure>;

    /// Hands in a picture that anybody can download from the URL for at least 30 minutes. Safe to repeat.
    async fn image(&self, openid: &str, scene: Scene, url: &str) -> Result<ImageCheck, Failure>;
}
