//! Ids in the path.

use std::fmt;

use dream_core::{Code, Error, Result};
use utoipa::openapi::Schema;

use super::{Input, Word};
use crate::call::Call;
use crate::openapi::Sketch;

/// The ids of the path, in their order: `Path<OrderId>`, `Path<(CharacterId, PhotoId)>`.
///
/// What cannot be such an id is not found, with the very answer of one that does not exist.
///
/// ```
/// use dream_core::kernel::{CharacterId, PhotoId};
/// use dream_core::{Result, Session};
/// use dream_http::input::Path;
/// use dream_http::table::get;
///
/// async fn show(_: Session, Path((character, photo)): Path<(CharacterId, PhotoId)>) -> Result<String> {
///     Ok(format!("photo {photo} of {character}"))
/// }
/// // `/v1/faces/x/7` is answered as a character that does not exist.
/// # let _ =
/// get("/v1/faces/{characterId}/{photoId}", show);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<T>(pub T);

/// One or several ids.
///
/// ```
/// use dream_core::kernel::{CharacterId, PhotoId};
/// use dream_http::input::PathWords;
///
/// assert_eq!(<CharacterId as PathWords>::COUNT, 1);
/// assert_eq!(<(CharacterId, PhotoId) as PathWords>::COUNT, 2);
/// ```
pub trait PathWords: Sized + Send + 'static {
    /// How many.
    const COUNT: usize;

    /// Reads them from the decoded parts of the path; `None` stands for a part that is not UTF-8.
    ///
    /// # Errors
    /// The code of the first that cannot be one.
    fn read(parts: &[Option<String>]) -> Result<Self, Code>;

    /// What they look like.
    fn schemas() -> Vec<Schema>;
}

fn word<T: Word>(part: Option<&Option<String>>) -> Result<T, Code> {
    part.and_then(Option::as_ref).and_then(|text| text.parse().ok()).ok_or(T::ABSENT)
}

impl<T: Word> PathWords for T {
    const COUNT: usize = 1;

    fn read(parts: &[Option<String>]) -> Result<Self, Code> {
        word(parts.first())
    }

    fn schemas() -> Vec<Schema> {
        vec![T::schema()]
    }
}

impl<A: Word, B: Word> PathWords for (A, B) {
    const COUNT: usize = 2;

    fn read(parts: &[Option<String>]) -> Result<Self, Code> {
        Ok((word(parts.first())?, word(parts.get(1))?))
    }

    fn schemas() -> Vec<Schema> {
        vec![A::schema(), B::schema()]
    }
}

impl<T: PathWords + fmt::Debug> Input for Path<T> {
    async fn read(call: &mut Call) -> Result<Self> {
        T::read(call.path_parts()).map(Self).map_err(Error::new)
    }

    fn describe(sketch: &mut Sketch<'_>) {
        sketch.path_words(T::schemas());
    }
}
