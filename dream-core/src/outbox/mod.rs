//! What must follow a commit: written in that commit, done later by a worker, idempotently, under a lease.

mod events;
mod run;
mod store;

use std::time::Duration;

use crate::events::EventKind;
use crate::trace::TraceContext;

pub(crate) use events::{claim_event, complete, next_event, postpone};
pub use run::Backlog;
pub(crate) use run::traced;
pub(crate) use store::{cancel, enqueue, enqueue_ahead, hasten, park, plan, subjects, withdraw};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TaskKind {
    /// Submit a job to the image API. Subject: job id.
    JobSubmit,
    /// See how a submitted job is doing. Subject: job id.
    JobPoll,
    /// Copy a job's pictures into our storage. Subject: job id.
    JobRehost,
    /// Remove an object. Subject: its key.
    BlobDelete,
    /// See at the payment channel how an order is doing; close it after its time. Subject: order id.
    OrderCheck,
    /// Ask the payment channel for a refund, then follow it. Subject: refund id.
    RefundFollow,
    /// Check a picture that is to go public. Subject: picture id.
    GalleryCheck,
    /// Throw away what has outlived its use. Subject: a fixed word.
    Housekeeping,
    /// Tell the program around what happened. No worker takes it: it waits for a listener.
    Event(EventKind),
}

impl TaskKind {
    const ALL: [TaskKind; 11] = [
        TaskKind::JobSubmit,
        TaskKind::JobPoll,
        TaskKind::JobRehost,
        TaskKind::BlobDelete,
        TaskKind::OrderCheck,
        TaskKind::RefundFollow,
        TaskKind::GalleryCheck,
        TaskKind::Housekeeping,
        TaskKind::Event(EventKind::OrderPaid),
        TaskKind::Event(EventKind::JobFinished),
        TaskKind::Event(EventKind::VipEnding),
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            TaskKind::JobSubmit => "job.submit",
            TaskKind::JobPoll => "job.poll",
            TaskKind::JobRehost => "job.rehost",
            TaskKind::BlobDelete => "blob.delete",
            TaskKind::OrderCheck => "order.check",
            TaskKind::RefundFollow => "refund.follow",
            TaskKind::GalleryCheck => "gallery.check",
            TaskKind::Housekeeping => "housekeeping",
            TaskKind::Event(kind) => kind.as_str(),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A task that this worker holds the lease of.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) id: i64,
    pub(crate) kind: TaskKind,
    pub(crate) subject: String,
    /// How many tries failed or found nothing new. Waiting for a turn is not counted.
    pub(crate) attempts: i64,
    /// What asked for it.
    pub(crate) trace: Option<TraceContext>,
}

impl Task {
    /// Where this try of it stands in the trace of what asked for it.
    pub(crate) fn place(&self) -> Option<TraceContext> {
        let number = self.id.unsigned_abs().wrapping_shl(16).wrapping_add(self.attempts.unsigned_abs());
        self.trace.map(|trace| trace.part(number))
    }
}

/// What becomes of a task that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is done.
    Done,
    /// The try failed or found nothing new: it counts, and the task is tried again after this time.
    After(Duration),
    /// The task had to wait, which is no failure: it is tried again after this time, and the try does not count.
    Wait(Duration),
    /// A change of the task itself has put it off, see [`park`].
    Parked,
}

/// A growing time: `first`, then half as much again each time, up to `most`.
pub(crate) fn growing(first: Duration, attempts: i64, most: Duration) -> Duration {
    let steps = i32::try_from(attempts.clamp(0, 60)).unwrap_or(60);
    first.mul_f64(1.5_f64.powi(steps)).min(most)
}
