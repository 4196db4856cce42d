use std::fmt::Debug;

use async_trait::async_trait;

use super::Failure;

/// Where a text or picture is to be shown.
///
/// ```
/// use dream_core::ports::{Scene, TextCheck};
///
/// // What people are called is judged more strictly than what they publish.
/// let check = TextCheck { openid: "o-alice", scene: Scene::Profile, content: "Alice" };
/// assert_ne!(check.scene, Scene::Forum);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// A user's name, a character's name.
    Profile,
    /// Something published to others.
    Forum,
}

/// A text to be checked.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::AllowAll;
/// use dream_core::ports::{ContentCheck as _, Scene, TextCheck, Verdict};
///
/// let check =
///     TextCheck { openid: "o-alice", scene: Scene::Forum, content: "a small house on a green hill" };
/// assert_eq!(AllowAll.text(check).await?, Verdict::Pass);
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// use dream_core::ports::Verdict;
///
/// // Only a pass goes public by itself; in doubt a person decides.
/// let goes_public = |verdict| verdict == Verdict::Pass;
/// assert!(!goes_public(Verdict::Review) && !goes_public(Verdict::Risky));
/// ```
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::AllowAll;
/// use dream_core::ports::{ContentCheck as _, ImageCheck, Scene, Verdict};
///
/// match AllowAll.image("o-alice", Scene::Forum, "https://cdn.example/cat.png").await? {
///     ImageCheck::Decided(verdict) => assert_eq!(verdict, Verdict::Pass),
///     // As WeChat does it: the picture waits until the verdict is pushed.
///     ImageCheck::Pending { trace_id } => println!("waiting for {trace_id}"),
/// }
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::ports::{ContentCheck, Failure, ImageCheck, Scene, TextCheck, Verdict};
///
/// /// Lets a person look at every picture, and at texts with a word of a list.
/// #[derive(Debug)]
/// struct ByHand(Vec<&'static str>);
///
/// #[async_trait::async_trait]
/// impl ContentCheck for ByHand {
///     async fn text(&self, check: TextCheck<'_>) -> Result<Verdict, Failure> {
///         let found = self.0.iter().any(|word| check.content.contains(word));
///         Ok(if found { Verdict::Review } else { Verdict::Pass })
///     }
///     async fn image(&self, _: &str, _: Scene, _: &str) -> Result<ImageCheck, Failure> {
///         Ok(ImageCheck::Decided(Verdict::Review))
///     }
/// }
/// let check = TextCheck { openid: "o-alice", scene: Scene::Forum, content: "free money" };
/// assert_eq!(ByHand(vec!["money"]).text(check).await?, Verdict::Review);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait ContentCheck: Debug + Send + Sync + 'static {
    /// Checks a text. Safe to repeat.
    async fn text(&self, check: TextCheck<'_>) -> Result<Verdict, Failure>;

    /// Hands in a picture that anybody can download from the URL for at least 30 minutes. Safe to repeat.
    async fn image(&self, openid: &str, scene: Scene, url: &str) -> Result<ImageCheck, Failure>;
}
