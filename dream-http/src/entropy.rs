//! Where the ids of requests and traces come from.

use dream_core::ports::Entropy;
use rand::Rng as _;

/// A generator in each thread (`ChaCha`), seeded by the operating system. It is fast, which the system's own source is not
/// everywhere, and good enough for ids; secrets come from the business, which has its own.
///
/// ```
/// use dream_core::ports::Entropy as _;
/// use dream_http::ThreadEntropy;
///
/// let (mut one, mut another) = ([0; 16], [0; 16]);
/// ThreadEntropy.fill(&mut one);
/// ThreadEntropy.fill(&mut another);
/// assert_ne!(one, another);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadEntropy;

impl Entropy for ThreadEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        rand::rng().fill_bytes(buffer);
    }
}
