//! Where the ids of requests and traces come from.

use dream_core::ports::Entropy;
use rand::Rng as _;

/// A generator in each thread (`ChaCha`), seeded by the operating system. It is fast, which the system's own source is not
/// everywhere, and good enough for ids; secrets come from the business, which has its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadEntropy;

impl Entropy for ThreadEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        rand::rng().fill_bytes(buffer);
    }
}
