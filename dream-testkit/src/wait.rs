//! Waiting for what another task is about to do.

use std::time::Duration;

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until the condition holds; whether it did within this much real time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_testkit::wait::eventually;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::time::Duration;
///
/// let done = Arc::new(AtomicBool::new(false));
/// let told = done.clone();
/// tokio::spawn(async move { told.store(true, Ordering::Relaxed) });
/// assert!(eventually(Duration::from_secs(5), || done.load(Ordering::Relaxed)).await);
/// assert!(!eventually(Duration::from_millis(5), || false).await, "it gives up, and says so");
/// # Ok(())
/// # }
/// ```
pub async fn eventually(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let look = async {
        while !condition() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(limit, look).await.is_ok()
}
