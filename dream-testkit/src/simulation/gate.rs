//! Stands before the database of a process: one step at a time, errors before and after a commit, and death in between.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dream_core::{StoreGate, StorePass, StoreStep, StoreTrouble};

use super::stage::Stage;

/// The gate of one process.
pub(super) struct Gate {
    stage: Arc<Stage>,
    node: usize,
    /// Whether everything passes, since nothing else happens.
    open: AtomicBool,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({})", self.node)
    }
}

/// The right to write, given back when it is dropped.
struct Writing(Arc<Stage>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.stop_writing();
    }
}

impl Gate {
    pub(super) fn new(stage: Arc<Stage>, node: usize) -> Arc<Self> {
        Arc::new(Self { stage, node, open: AtomicBool::new(true) })
    }

    pub(super) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    async fn live_on(&self) {
        if self.stage.dies_here(self.node) {
            std::future::pending::<()>().await;
        }
    }

    fn trouble(&self, step: &'static str, trouble: StoreTrouble) -> Result<(), StoreTrouble> {
        if self.stage.chance(self.stage.weather().database) {
            self.stage.log(format_args!("node {} database {step} {trouble:?}", self.node));
            return Err(trouble);
        }
        Ok(())
    }
}

#[async_trait]
impl StoreGate for Gate {
    async fn before(&self, step: StoreStep) -> Result<StorePass, StoreTrouble> {
        if self.is_open() {
            return Ok(Box::new(()));
        }
        self.live_on().await;
        match step {
            StoreStep::Read => {
                self.trouble("read", StoreTrouble::Lost)?;
                Ok(Box::new(self.stage.turn().await))
            }
            StoreStep::Write => {
                self.stage.pause_to_write("write").await;
                let writing = Writing(self.stage.clone());
                self.trouble("write", StoreTrouble::Lost)?;
                let turn = self.stage.turn().await;
                // The turn ends before the right.
                Ok(Box::new((turn, writing)))
            }
            StoreStep::Begin => {
                self.stage.pause_to_write("begin").await;
                let writing = Writing(self.stage.clone());
                self.trouble("begin", StoreTrouble::Conflict)?;
                let turn = self.stage.turn().await;
                self.stage.keep_turn_until_begun(turn);
                Ok(Box::new(writing))
            }
            StoreStep::Statement => {
                // Of the many statements of a change few are hit.
                if self.stage.chance(0.1) {
                    self.trouble("statement", StoreTrouble::Conflict)?;
                }
                Ok(Box::new(self.stage.turn().await))
            }
            StoreStep::Commit => {
                self.trouble("before commit", StoreTrouble::Lost)?;
                Ok(Box::new(self.stage.turn().await))
            }
        }
    }

    async fn after(&self, step: StoreStep) -> Result<(), StoreTrouble> {
        if self.is_open() {
            return Ok(());
        }
        match step {
            StoreStep::Begin => {
                self.stage.begun();
                Ok(())
            }
            StoreStep::Write | StoreStep::Commit => {
                self.stage.note_commit();
                self.live_on().await;
                self.trouble("after commit", StoreTrouble::Lost)
            }
            StoreStep::Read | StoreStep::Statement => Ok(()),
        }
    }

    async fn wait(&self, _: Duration) {
        if !self.is_open() {
            self.stage.pause("again").await;
        }
    }
}
