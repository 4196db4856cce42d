use std::fmt;
use std::str::FromStr;

use crate::error::{Fault, Format};

/// A client's own name for one request, so that a repeat is known as one: 1 to 255 printable ASCII characters.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::kernel::IdempotencyKey;
/// use dream_core::{Code, Fault};
/// # use dream_testkit::world::draft;
///
/// # let me = world.alice().await.session().await;
/// let key: IdempotencyKey = "8d0f6f2e-tap-on-generate".parse().unwrap();
/// let first = me.generate(&draft("a cat", 1), Some(&key), None).await?;
/// assert_eq!(me.generate(&draft("a cat", 1), Some(&key), None).await?.job_id, first.job_id);
/// // The same key for something else is a mistake of the client's.
/// let refused = me.generate(&draft("a dog", 1), Some(&key), None).await.unwrap_err();
/// assert_eq!(refused.code(), Code::IdempotencyConflict);
///
/// assert_eq!("".parse::<IdempotencyKey>(), Err(Fault::Length { min: 1, max: 255 }));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Longest key, in bytes.
    pub const MAX_LEN: usize = 255;

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for IdempotencyKey {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            Err(Fault::Length { min: 1, max: Self::MAX_LEN })
        } else if text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Fault::Format(Format::PrintableWithoutBlanks))
        }
    }
}
