//! The worker: claims what is due, does it, and waits for more.
//!
//! What is claimed together is done under one lease. A lease is short, so that the tasks of a process that died go on
//! within seconds, and is renewed while the work goes on, so that a task may take as long as it takes. Who loses a
//! lease all the same may finish: its completion does not count, and the task is done again, which it can bear.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};

use super::{Next, Task, TaskKind, growing, store};
use crate::access::Worker;
use crate::dream::{Core, Dream};
use crate::error::Result;
use crate::kernel::Timestamp;
use crate::ports::EntropyExt as _;
use crate::store::{Change, Tx};
use crate::trace::{self, Fact, Span, SpanKind, TraceContext, Work};
use crate::{blobs, gallery, housekeeping, jobs, orders};

/// How long the tasks of a process that died wait for another one.
const LEASE: Duration = Duration::from_secs(12);
/// How often a lease is renewed while the work under it goes on: three renewals may fail, or come late, before it ends.
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// Stands in a lease between the process that holds it and what makes it unique.
const BEHIND_PROCESS: char = '#';
/// Tasks taken at once, and done side by side.
const BATCH: usize = 32;
const SIDE_BY_SIDE: usize = 32;
const MOST_IN_FLIGHT: usize = 128;
/// Other nodes put tasks in without telling us, so look at least this often.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(1);
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_mins(1);

/// How much the outbox holds.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # let alice = world.alice().await;
/// let before = world.dream().backlog().await?;
/// alice.generates("a cat").await;
/// let behind = world.dream().backlog().await?;
/// assert_eq!((behind.waiting - before.waiting, behind.due), (1, 1), "the submission of the job");
/// assert_eq!(behind.oldest_due, Some(world.now()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Tasks that wait, for now or for later.
    pub waiting: i64,
    /// Tasks that should have been done by now.
    pub due: i64,
    /// Since when the oldest of them is due.
    pub oldest_due: Option<Timestamp>,
}

struct Claim<'a> {
    lease: &'a str,
    most: i64,
    now: Timestamp,
}

/// Tasks that were claimed together, under one lease.
struct Claimed {
    lease: String,
    tasks: Vec<Task>,
}

impl Claimed {
    fn len(&self) -> usize {
        self.tasks.len()
    }
}

/// Claims what is due, at most this much; `None` if nothing is.
async fn claim(core: &Core, most: usize) -> Result<Option<Claimed>> {
    let now = core.now();
    // Looking first spares the writer a transaction for nothing.
    match store::next_due(&mut core.store.db()).await? {
        Some(at) if at <= now && most > 0 => {}
        _ => return Ok(None),
    }
    let lease = core.new_lease();
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut tasks = core.store.run(&Claim { lease: &lease, most, now }).await?;
    for task in &mut tasks {
        task.trace.get_or_insert_with(|| TraceContext::fresh(&*core.entropy));
    }
    Ok((!tasks.is_empty()).then_some(Claimed { lease, tasks }))
}

/// Does them side by side; how many there were.
async fn do_all(core: Arc<Core>, claimed: Claimed) -> usize {
    let count = claimed.len();
    let lease: Arc<str> = claimed.lease.into();
    let (polls, others): (Vec<_>, Vec<_>) =
        claimed.tasks.into_iter().partition(|task| task.kind == TaskKind::JobPoll);
    let others =
        stream::iter(others).for_each_concurrent(SIDE_BY_SIDE, |task| one(core.clone(), lease.clone(), task));
    let polls = async {
        for (task, outcome) in jobs::poll(&core, polls).await {
            settle(&core, &lease, &task, outcome).await;
        }
    };
    // Boxed, since each level of futures around it would hold its size again.
    while_renewing(&core, &lease, Box::pin(async { tokio::join!(others, polls) })).await;
    count
}

/// Does the work, and renews its lease every few seconds until it is done.
async fn while_renewing<T>(core: &Core, lease: &str, work: impl Future<Output = T>) -> T {
    let done = Notify::new();
    let work = async {
        let outcome = work.await;
        done.notify_one();
        outcome
    };
    // Beside the work and never instead of it: both may wait for a turn at the writer.
    let renewals = async {
        loop {
            tokio::select! {
                biased;
                () = done.notified() => break,
                () = core.clock.sleep(RENEW_EVERY) => {}
            }
            let until = core.now().plus(LEASE);
            if let Err(error) = store::renew(&mut core.store.db(), lease, until).await {
                tracing::warn!(error = %error.chain(), "a lease could not be renewed");
            }
        }
    };
    tokio::join!(work, renewals).0
}

impl Core {
    /// A lease of this process.
    pub(super) fn new_lease(&self) -> String {
        format!("{}{BEHIND_PROCESS}{}", self.process, self.entropy.token())
    }
}

/// The process that took a lease.
fn process_of(lease: &str) -> &str {
    lease.rsplit_once(BEHIND_PROCESS).map_or("", |(process, _)| process)
}

struct Release<'a> {
    leases: &'a BTreeSet<String>,
}

impl Change for Release<'_> {
    const NAME: &'static str = "outbox.release";
    type Out = u64;

    async fn apply(&self, tx: &mut Tx) -> Result<u64> {
        let mut tasks = 0;
        for lease in self.leases {
            tasks += store::release(tx, lease).await?;
        }
        Ok(tasks)
    }
}

/// How many tasks ended. A panic goes on: whoever runs the worker has to know.
fn finished(done: Result<usize, JoinError>) -> usize {
    match done {
        Ok(count) => count,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // Nobody cancels them.
        Err(_) => 0,
    }
}

/// It borrows nothing: in a stream of futures that borrow, the compiler finds no proof that they may be spawned.
async fn one(core: Arc<Core>, lease: Arc<str>, task: Task) {
    let outcome = traced(&core, &task, perform(&core, &task)).await;
    settle(&core, &lease, &task, outcome).await;
}

impl Change for Claim<'_> {
    const NAME: &'static str = "outbox.claim";
    type Out = Vec<Task>;

    async fn apply(&self, tx: &mut Tx) -> Result<Vec<Task>> {
        store::claim(tx, self.lease, self.most, self.now, self.now.plus(LEASE)).await
    }
}

impl Worker {
    /// Does what is due now, once; how many tasks were tried. Safe to drop at any point: a lease runs out and
    /// another worker takes over.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// # let alice = world.alice().await;
    /// alice.generates("a cat").await;
    /// assert_eq!(world.worker().run_due().await?, 1, "one task: to submit the job");
    /// assert_eq!(world.worker().run_due().await?, 0, "what comes next is not due yet");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked. Failed tasks are no error: they are tried again.
    pub async fn run_due(&self) -> Result<usize> {
        let claimed = claim(&self.core, BATCH).await?;
        let count = claimed.as_ref().map_or(0, Claimed::len);
        if let Some(claimed) = claimed {
            do_all(self.core.clone(), claimed).await;
        }
        Ok(count)
    }

    /// Works until `stop` is done, then finishes what it began. A task that takes long keeps no other waiting.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// # let (_dream, worker) = world.another_node().await;
    /// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    /// let working = tokio::spawn(async move { worker.run(async { drop(stopped.await) }).await });
    /// // ... and when the program is to end:
    /// drop(stop);
    /// working.await?;
    /// # Ok(())
    /// # });
    /// ```
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        // Each in a task of its own: whatever waits for a turn at the writer must be able to take it, also while we
        // wait for one behind it.
        let mut in_flight = JoinSet::new();
        let mut busy = 0;
        loop {
            let room = MOST_IN_FLIGHT.saturating_sub(busy).min(BATCH);
            let idle = match claim(&self.core, room).await {
                Ok(Some(claimed)) => {
                    busy += claimed.len();
                    in_flight.spawn(do_all(self.core.clone(), claimed));
                    Duration::ZERO
                }
                Ok(None) => self.until_next_due().await,
                Err(error) => {
                    tracing::warn!(error = %error.chain(), "the outbox cannot be worked on");
                    LOOK_AT_LEAST_EVERY
                }
            };
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(done) = in_flight.join_next() => busy -= finished(done),
                () = self.core.wake.notified() => {}
                () = self.core.clock.sleep(idle) => {}
            }
        }
        while let Some(done) = in_flight.join_next().await {
            finished(done);
        }
    }

    /// Takes the leases of processes that have ended, so that their tasks go on at once; how many tasks that are. For
    /// the start of a process, which knows what became of earlier ones of its machine. The function is asked about each
    /// process that holds a lease, by the name that [`crate::Builder::process`] gave it.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked. Then the leases run out by themselves within seconds.
    pub async fn release_leases_of(&self, has_ended: impl Fn(&str) -> bool) -> Result<u64> {
        let leases = store::leases(&mut self.core.store.db()).await?;
        let ended = |lease: &String| {
            let process = process_of(lease);
            !process.is_empty() && process != self.core.process && has_ended(process)
        };
        let leases: BTreeSet<String> = leases.into_iter().filter(ended).collect();
        if leases.is_empty() {
            return Ok(0);
        }
        self.core.store.run(&Release { leases: &leases }).await
    }

    async fn until_next_due(&self) -> Duration {
        let next = store::next_due(&mut self.core.store.db()).await.ok().flatten();
        next.map_or(LOOK_AT_LEAST_EVERY, |at| at.since(self.core.now()))
            .clamp(Duration::from_millis(20), LOOK_AT_LEAST_EVERY)
    }

    /// When the next task is due; `None` if the outbox is empty.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// # let alice = world.alice().await;
    /// alice.generates("a cat").await;
    /// assert_eq!(world.worker().next_due().await?, Some(world.now()), "the submission, at once");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked.
    pub async fn next_due(&self) -> Result<Option<Timestamp>> {
        store::next_due(&mut self.core.store.db()).await
    }
}

impl Dream {
    /// How much the outbox holds.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let backlog = world.dream().backlog().await?;
    /// let late = backlog.oldest_due.map(|since| world.now().since(since));
    /// assert_eq!((backlog.due, late), (0, None), "nothing waits that should be done by now");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked.
    pub async fn backlog(&self) -> Result<Backlog> {
        let (waiting, due, oldest_due) = store::backlog(&mut self.core.store.db(), self.core.now()).await?;
        Ok(Backlog { waiting, due, oldest_due })
    }
}

/// One try of a task, as a part of what asked for it.
pub(crate) async fn traced(
    core: &Core,
    task: &Task,
    work: impl Future<Output = Result<Next>>,
) -> Result<Next> {
    let Some(context) = task.place() else { return work.await };
    let begun = core.now();
    let outcome = Work::new(context).run(work).await;
    trace::tell(context, || Span {
        context,
        parent: task.trace.map(TraceContext::span_id),
        parent_is_remote: false,
        kind: SpanKind::Task,
        name: task.kind.as_str().into(),
        begun,
        took: core.now().since(begun),
        failed: outcome.is_err(),
        facts: vec![
            ("task.subject", Fact::Text(task.subject.clone().into())),
            ("task.attempts", Fact::Number(task.attempts)),
        ],
    });
    outcome
}

async fn perform(core: &Arc<Core>, task: &Task) -> Result<Next> {
    match task.kind {
        TaskKind::JobSubmit => jobs::submit(core, task).await,
        TaskKind::JobPoll => Ok(Next::Done),
        TaskKind::JobRehost => jobs::rehost(core, task).await,
        TaskKind::BlobDelete => blobs::delete(core, task).await,
        TaskKind::OrderCheck => orders::check(core, task).await,
        TaskKind::RefundFollow => orders::follow_refund(core, task).await,
        TaskKind::GalleryCheck => gallery::check(core, task).await,
        TaskKind::Housekeeping => housekeeping::clean(core).await,
        TaskKind::Event(_) => Ok(Next::After(RETRY_MOST)),
    }
}

async fn settle(core: &Core, lease: &str, task: &Task, outcome: Result<Next>) {
    let work = keep(core, lease, task, outcome);
    match task.place() {
        Some(context) => Work::new(context).run(work).await,
        None => work.await,
    }
}

async fn keep(core: &Core, lease: &str, task: &Task, outcome: Result<Next>) {
    let mut db = core.store.db();
    let kept = match &outcome {
        Ok(Next::Done) => store::complete(&mut db, task, lease).await,
        Ok(Next::After(wait)) => {
            store::postpone(&mut db, task, lease, core.now().plus(*wait), true, None).await
        }
        Ok(Next::Wait(wait)) => {
            store::postpone(&mut db, task, lease, core.now().plus(*wait), false, None).await
        }
        Ok(Next::Parked) => Ok(()),
        Err(error) => {
            let wait = growing(RETRY_FIRST, task.attempts, RETRY_MOST);
            let text = error.chain();
            tracing::warn!(
                task.kind = task.kind.as_str(),
                task.subject,
                error = text,
                "a task failed and is tried again"
            );
            store::postpone(&mut db, task, lease, core.now().plus(wait), true, Some(&text)).await
        }
    };
    let label = match outcome {
        Ok(Next::Done) => "done",
        Ok(Next::After(_)) => "again",
        Ok(Next::Wait(_) | Next::Parked) => "waits",
        Err(_) => "failed",
    };
    metrics::counter!("dream_outbox_tasks_total", "kind" => task.kind.as_str(), "outcome" => label)
        .increment(1);
    // If this is lost, the lease runs out and the task is done again, which it can bear.
    if let Err(error) = kept {
        tracing::warn!(error = %error.chain(), "the outcome of a task could not be kept");
    }
}

#[cfg(test)]
mod tests {
    use super::Worker;

    #[test]
    fn a_worker_can_be_spawned() {
        fn spawnable<T: Send>(_: impl FnOnce(Worker) -> T) {}
        spawnable(|worker| async move { worker.run(std::future::pending()).await });
    }
}
