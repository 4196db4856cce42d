//! Waiting for what another task is about to do.

use std::time::Duration;

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until the condition holds; whether it did within this much real time.
pub async fn eventually(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let look = async {
        while !condition() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(limit, look).await.is_ok()
}
