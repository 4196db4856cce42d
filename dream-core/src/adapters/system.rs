use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand;

use crate::kernel::Timestamp;
use crate::ports::{Clock, Entropy};

/// The machine's clock.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::SystemClock;
/// use dream_core::ports::Clock as _;
/// use std::time::Duration;
///
/// let before = SystemClock.now();
/// SystemClock.sleep(Duration::from_millis(5)).await;
/// assert!(SystemClock.now() > before);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// The operating system's random source.
///
/// ```
/// use dream_core::adapters::OsEntropy;
/// use dream_core::ports::EntropyExt as _;
///
/// assert_ne!(OsEntropy.uuid(), OsEntropy.uuid());
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    #[expect(
        clippy::expect_used,
        reason = "without randomness no token is safe: stopping is the only answer"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        rand::fill(buffer).expect("the operating system gives random bytes");
    }
}
