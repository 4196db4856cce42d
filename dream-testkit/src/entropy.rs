//! Randomness that is the same in every run.

use std::sync::Mutex;

use dream_core::ports::Entropy;

use crate::fakes::lock;

/// Randomness out of a seed: for tests and fakes only, since anybody can foretell it.
///
/// ```
/// use dream_core::ports::EntropyExt as _;
/// use dream_testkit::entropy::SeededEntropy;
///
/// // The same ids and tokens in every run; another seed gives others.
/// assert_eq!(SeededEntropy::new(7).uuid(), SeededEntropy::new(7).uuid());
/// assert_ne!(SeededEntropy::new(7).token(), SeededEntropy::new(8).token());
/// ```
#[derive(Debug)]
pub struct SeededEntropy {
    dice: Mutex<fastrand::Rng>,
}

impl SeededEntropy {
    /// The same seed gives the same bytes.
    ///
    /// ```
    /// use dream_core::ports::Entropy as _;
    /// use dream_testkit::entropy::SeededEntropy;
    ///
    /// let mut drawn = [[0; 8]; 2];
    /// let entropy = SeededEntropy::new(7);
    /// drawn.iter_mut().for_each(|buffer| entropy.fill(buffer));
    /// assert_ne!(drawn[0], drawn[1], "it goes on, and does not repeat itself");
    /// ```
    pub fn new(seed: u64) -> Self {
        Self { dice: Mutex::new(fastrand::Rng::with_seed(seed)) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        lock(&self.dice).fill(buffer);
    }
}
