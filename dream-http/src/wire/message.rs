//! Answers that only say that something was done.

use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Lang;

/// What was done, for people.
///
/// ```
/// use dream_http::problem::Lang;
/// use dream_http::wire::message::Message;
///
/// assert_eq!(Message::new(Lang::En, "已删除", "Deleted").message, "Deleted");
/// ```
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Message {
    /// In the language of `Accept-Language`.
    #[schema(value_type = String)]
    pub message: &'static str,
}

impl Message {
    /// The sentence in the reader's language.
    ///
    /// ```
    /// use dream_http::problem::Lang;
    /// use dream_http::wire::message::Message;
    ///
    /// let deleted = |lang| Message::new(lang, "已删除", "Deleted");
    /// assert_eq!((deleted(Lang::Zh).message, deleted(Lang::En).message), ("已删除", "Deleted"));
    /// ```
    pub const fn new(lang: Lang, zh: &'static str, en: &'static str) -> Self {
        Self {
            message: match lang {
                Lang::Zh => zh,
                Lang::En => en,
            },
        }
    }
}
