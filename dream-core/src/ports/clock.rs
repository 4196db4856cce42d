use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::kernel::Timestamp;

/// Where the time comes from.
#[async_trait]
pub trait Clock: Debug + Send + Sync + 'static {
    /// The present instant. It may step back when the machine's clock is set.
    fn now(&self) -> Timestamp;

    /// Returns once this much time has passed on this clock.
    async fn sleep(&self, span: Duration);
}
