//! A door before the database, for those who want to know what happens when it is slow or fails.

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;

/// What is about to be done to the database, or was done.
///
/// ```
/// use dream_core::StoreStep;
///
/// // What a simulation counts: how many times something came to last.
/// let steps = [StoreStep::Begin, StoreStep::Statement, StoreStep::Commit, StoreStep::Read];
/// let lasting = steps.iter().filter(|step| matches!(step, StoreStep::Commit | StoreStep::Write)).count();
/// assert_eq!(lasting, 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreStep {
    /// A statement by itself that only reads.
    Read,
    /// A statement by itself that may change something.
    Write,
    /// The beginning of a transaction.
    Begin,
    /// A statement within a transaction.
    Statement,
    /// The end of a transaction that is to last.
    Commit,
}

/// How a step fails.
///
/// ```
/// use dream_core::StoreTrouble;
///
/// // A conflict is tried again by the unit of work; a lost connection is the caller's `UNAVAILABLE`.
/// let is_retried_inside = |trouble| trouble == StoreTrouble::Conflict;
/// assert!(!is_retried_inside(StoreTrouble::Lost));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreTrouble {
    /// Another transaction is in the way; units of work are tried again.
    Conflict,
    /// The connection is lost.
    Lost,
}

impl From<StoreTrouble> for StoreError {
    fn from(trouble: StoreTrouble) -> Self {
        let error = sqlx::Error::Io(io::Error::other("broken off by the store's gate"));
        match trouble {
            StoreTrouble::Conflict => StoreError::Conflict(error),
            StoreTrouble::Lost => StoreError::Unavailable(error),
        }
    }
}

/// Permission for a step. Dropped when the step is over; that of a [`StoreStep::Begin`], when the transaction is.
pub type StorePass = Box<dyn Any + Send + Sync>;

/// Stands between the business and its database, and can hold up, fail or break off each step. For simulations and
/// trials only: a database without one costs nothing more.
///
/// ```
/// use dream_core::{StoreGate, StorePass, StoreStep, StoreTrouble};
///
/// /// Commits take effect, but whoever made them is told that the connection was lost.
/// #[derive(Debug)]
/// struct LosesAnswers;
///
/// #[async_trait::async_trait]
/// impl StoreGate for LosesAnswers {
///     async fn before(&self, _: StoreStep) -> Result<StorePass, StoreTrouble> {
///         Ok(Box::new(()))
///     }
///     async fn after(&self, step: StoreStep) -> Result<(), StoreTrouble> {
///         if step == StoreStep::Commit { Err(StoreTrouble::Lost) } else { Ok(()) }
///     }
/// }
/// # let _: std::sync::Arc<dyn StoreGate> = std::sync::Arc::new(LosesAnswers);
/// ```
#[async_trait]
pub trait StoreGate: Debug + Send + Sync + 'static {
    /// Called before a step. An error is what the caller gets in its place.
    async fn before(&self, step: StoreStep) -> Result<StorePass, StoreTrouble>;

    /// Called once a [`StoreStep::Begin`], [`StoreStep::Write`] or [`StoreStep::Commit`] has taken effect. An error is
    /// what the caller gets nevertheless, as if the answer had been lost on its way.
    async fn after(&self, step: StoreStep) -> Result<(), StoreTrouble>;

    /// Waits before a unit of work is run again after a conflict.
    async fn wait(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// The gate of a database, if it has one.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(pub(super) Option<Arc<dyn StoreGate>>);

impl Gate {
    pub(super) async fn before(&self, step: StoreStep) -> Result<Option<StorePass>, StoreError> {
        match &self.0 {
            Some(gate) => Ok(Some(gate.before(step).await?)),
            None => Ok(None),
        }
    }

    pub(super) async fn after(&self, step: StoreStep) -> Result<(), StoreError> {
        match &self.0 {
            Some(gate) => Ok(gate.after(step).await?),
            None => Ok(()),
        }
    }

    pub(super) async fn wait(self, span: Duration) {
        match self.0 {
            Some(gate) => gate.wait(span).await,
            None => tokio::time::sleep(span).await,
        }
    }
}
