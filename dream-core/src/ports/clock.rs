use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::kernel::Timestamp;

/// Where the time comes from.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::kernel::Timestamp;
/// use dream_core::ports::Clock;
/// use std::time::Duration;
///
/// /// The machine's time, an hour ahead: to see what a day will look like that has not come yet.
/// #[derive(Debug)]
/// struct Ahead;
///
/// #[async_trait::async_trait]
/// impl Clock for Ahead {
///     fn now(&self) -> Timestamp {
///         dream_core::adapters::SystemClock.now().plus(Duration::from_hours(1))
///     }
///     async fn sleep(&self, span: Duration) {
///         tokio::time::sleep(span).await;
///     }
/// }
/// # let clock: std::sync::Arc<dyn Clock> = std::sync::Arc::new(Ahead);
/// # assert!(clock.now() > dream_core::adapters::SystemClock.now());
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Clock: Debug + Send + Sync + 'static {
    /// The present instant. It may step back when the machine's clock is set.
    fn now(&self) -> Timestamp;

    /// Returns once this much time has passed on this clock.
    async fn sleep(&self, span: Duration);
}
