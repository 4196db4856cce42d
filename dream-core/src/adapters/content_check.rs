//! Checks of what is to go public.

use async_trait::async_trait;

use crate::ports::{ContentCheck, Failure, ImageCheck, Scene, TextCheck, Verdict};

#[cfg(feature = "wechat")]
pub use self::wechat::WeChatContentCheck;

/// Lets everything pass: for development, and for operators who check by other means.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::AllowAll;
/// use dream_core::ports::{ContentCheck as _, Scene, TextCheck, Verdict};
///
/// let check = TextCheck { openid: "o-alice", scene: Scene::Profile, content: "whatever" };
/// assert_eq!(AllowAll.text(check).await?, Verdict::Pass);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

#[async_trait]
impl ContentCheck for AllowAll {
    async fn text(&self, _: TextCheck<'_>) -> Result<Verdict, Failure> {
        Ok(Verdict::Pass)
    }

    async fn image(&self, _: &str, _: Scene, _: &str) -> Result<ImageCheck, Failure> {
        Ok(ImageCheck::Decided(Verdict::Pass))
    }
}

#[cfg(feature = "wechat")]
mod wechat {
    use std::sync::Arc;

    use async_trait::async_trait;
    use serde::{Deserialize, Serialize};

    use crate::adapters::wechat::{Api, RISKY, WeChatHttp, no_sense};
    use crate::ports::{ContentCheck, Failure, ImageCheck, Scene, TextCheck, Verdict};
    use crate::protocol::message_push::{ResultWire, verdict};

    /// Longest text that one call checks, in characters.
    const PIECE: usize = 2500;

    /// How much of a piece the next one begins with, so that a phrase at the cut is seen whole by one of them.
    const OVERLAP: usize = 100;

    const VERSION: u8 = 2;
    const IMAGE: u8 = 2;

    /// WeChat's own checks (`msg_sec_check`, `media_check_async`). The writer must have opened the mini-program within
    /// the last two hours; otherwise the check fails with the code `USER_INACTIVE`.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::adapters::WeChatContentCheck;
    /// use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
    /// use dream_core::ports::{ContentCheck as _, Scene, TextCheck, Verdict};
    ///
    /// # world.alice().await;
    /// # let app = world.wechat().app();
    /// # let config = WeChatConfig { base_url: world.wechat().base_url(), ..WeChatConfig::new(app.appid, app.secret.into()) };
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::at(world.now()));
    /// # let cache = std::sync::Arc::new(dream_core::adapters::MemoryCache::new(clock.clone()));
    /// let wechat = WeChatHttp::new(config, cache, clock)?;
    /// let checks = WeChatContentCheck::new(&wechat);
    /// let check =
    ///     TextCheck { openid: "o-alice", scene: Scene::Forum, content: "a small house on a green hill" };
    /// assert_eq!(checks.text(check).await?, Verdict::Pass);
    /// # Ok(())
    /// # });
    /// ```
    #[derive(Debug, Clone)]
    pub struct WeChatContentCheck {
        api: Arc<Api>,
    }

    impl WeChatContentCheck {
        /// Checks through this client, whose access token it shares.
        pub fn new(wechat: &WeChatHttp) -> Self {
            Self { api: wechat.api() }
        }

        async fn piece(&self, check: TextCheck<'_>, content: &str) -> Result<Verdict, Failure> {
            let request =
                TextRequest { content, version: VERSION, scene: number(check.scene), openid: check.openid };
            match self.api.post::<TextAnswer>("/wxa/msg_sec_check", &request).await {
                Ok(answer) => Ok(verdict(&answer.result.suggest)),
                Err(failure) if failure.code.as_deref() == Some(RISKY) => Ok(Verdict::Risky),
                Err(failure) => Err(failure),
            }
        }
    }

    #[async_trait]
    impl ContentCheck for WeChatContentCheck {
        async fn text(&self, check: TextCheck<'_>) -> Result<Verdict, Failure> {
            let mut worst = Verdict::Pass;
            for piece in pieces(check.content) {
                match self.piece(check, piece).await? {
                    Verdict::Pass => {}
                    Verdict::Review => worst = Verdict::Review,
                    Verdict::Risky => return Ok(Verdict::Risky),
                }
            }
            Ok(worst)
        }

        async fn image(&self, openid: &str, scene: Scene, url: &str) -> Result<ImageCheck, Failure> {
            let request = ImageRequest {
                media_url: url,
                media_type: IMAGE,
                version: VERSION,
                scene: number(scene),
                openid,
            };
            let answer: ImageAnswer = self.api.post("/wxa/media_check_async", &request).await?;
            if answer.trace_id.is_empty() {
                return Err(no_sense("the picture was taken without a trace_id"));
            }
            Ok(ImageCheck::Pending { trace_id: answer.trace_id })
        }
    }

    fn number(scene: Scene) -> u8 {
        match scene {
            Scene::Profile => 1,
            Scene::Forum => 3,
        }
    }

    /// The text in pieces of at most [`PIECE`] characters that overlap; none if there is nothing to show.
    fn pieces(text: &str) -> Vec<&str> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.trim().is_empty() {
            let end = byte_of(rest, PIECE);
            pieces.push(&rest[..end]);
            if end == rest.len() {
                break;
            }
            rest = &rest[byte_of(rest, PIECE - OVERLAP)..];
        }
        pieces
    }

    /// Where the character of this number begins, or the end.
    fn byte_of(text: &str, number: usize) -> usize {
        text.char_indices().nth(number).map_or(text.len(), |(at, _)| at)
    }

    #[derive(Serialize)]
    struct TextRequest<'a> {
        content: &'a str,
        version: u8,
        scene: u8,
        openid: &'a str,
    }

    #[derive(Deserialize)]
    struct TextAnswer {
        result: ResultWire,
    }

    #[derive(Serialize)]
    struct ImageRequest<'a> {
        media_url: &'a str,
        media_type: u8,
        version: u8,
        scene: u8,
        openid: &'a str,
    }

    #[derive(Deserialize)]
    struct ImageAnswer {
        trace_id: String,
    }

    #[cfg(test)]
    mod tests {
        use super::{OVERLAP, PIECE, pieces};

        #[test]
        fn a_long_text_is_cut_into_pieces_that_overlap() {
            let text: String = ('一'..).take(PIECE * 2).collect();
            let pieces = pieces(&text);
            assert_eq!(pieces.len(), 3);
            assert!(pieces.iter().all(|piece| piece.chars().count() <= PIECE));
            for pair in pieces.windows(2) {
                let shared: String = pair[1].chars().take(OVERLAP).collect();
                assert!(pair[0].ends_with(&shared));
            }
            assert!(text.ends_with(pieces[2]));
        }

        #[test]
        fn a_text_of_one_piece_is_not_cut_and_an_empty_one_has_none() {
            let text = "字".repeat(PIECE);
            assert_eq!(pieces(&text), [text.as_str()]);
            assert!(pieces(" \n").is_empty());
        }
    }
}
