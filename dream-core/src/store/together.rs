//! Calls of one kind that come while another is being worked on wait for it, and are then worked on together: one
//! statement, one lock and one commit for all of them, where each would have had its own. Nobody waits longer for that: a
//! call that comes alone is worked on at once.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::tx::{Change, Tx};
use super::{Store, StoreError};
use crate::error::{Code, Error, Result};

/// Most calls that are worked on at once, so that the first does not wait for ever.
const MOST: usize = 128;

/// The calls of one kind.
pub(crate) struct Together<I, O> {
    queue: Arc<Mutex<Queue<I, O>>>,
}

struct Queue<I, O> {
    /// Somebody takes from it.
    driven: bool,
    waiting: Vec<(I, oneshot::Sender<Result<O>>)>,
}

impl<I, O> Default for Together<I, O> {
    fn default() -> Self {
        Self { queue: Arc::new(Mutex::new(Queue { driven: false, waiting: Vec::new() })) }
    }
}

impl<I: Send + 'static, O: Send + 'static> Together<I, O> {
    /// Has the call worked on, with those that wait meanwhile. `work` gives the outcomes in the order of the calls; all
    /// callers must bring the same. A call that nobody waits for any more is worked on all the same.
    pub(crate) async fn ask<W, F>(&self, call: I, work: W) -> Result<O>
    where
        W: Fn(Vec<I>) -> F + Send + 'static,
        F: Future<Output = Vec<Result<O>>> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let begins = {
            let mut queue = lock(&self.queue);
            queue.waiting.push((call, tell));
            !std::mem::replace(&mut queue.driven, true)
        };
        if begins {
            tokio::spawn(Driver { queue: Arc::clone(&self.queue), finished: false }.drive(work));
        }
        told.await.unwrap_or_else(|_| Err(lost().into()))
    }
}

/// Takes calls from the queue until it is empty. If it ends before, nobody waits for it in vain.
struct Driver<I, O> {
    queue: Arc<Mutex<Queue<I, O>>>,
    finished: bool,
}

impl<I, O> Driver<I, O> {
    async fn drive<F>(mut self, work: impl Fn(Vec<I>) -> F)
    where
        F: Future<Output = Vec<Result<O>>>,
    {
        while let Some(batch) = self.next() {
            let (calls, callers): (Vec<I>, Vec<_>) = batch.into_iter().unzip();
            for (caller, outcome) in callers.into_iter().zip(work(calls).await) {
                // Whoever left does not want to know.
                let _ = caller.send(outcome);
            }
        }
    }

    fn next(&mut self) -> Option<Vec<(I, oneshot::Sender<Result<O>>)>> {
        let mut queue = lock(&self.queue);
        if queue.waiting.is_empty() {
            queue.driven = false;
            self.finished = true;
            return None;
        }
        let most = queue.waiting.len().min(MOST);
        Some(queue.waiting.drain(..most).collect())
    }
}

impl<I, O> Drop for Driver<I, O> {
    fn drop(&mut self) {
        if !self.finished {
            let mut queue = lock(&self.queue);
            queue.driven = false;
            queue.waiting.clear();
        }
    }
}

/// One caller's part in a change that is made for many at once.
pub(crate) trait Joint: Send + Sync + Sized + 'static {
    /// Names the change in metrics and logs.
    const NAME: &'static str;
    /// What it tells its caller.
    type Out: Send + 'static;

    /// Does the work of all parts, and gives the outcomes in their order. A part that is refused leaves nothing behind;
    /// an error of the whole rolls everything back.
    fn apply_all(parts: &[Self], tx: &mut Tx) -> impl Future<Output = Result<Vec<Result<Self::Out>>>> + Send;
}

struct All<'a, J>(&'a [J]);

impl<J: Joint> Change for All<'_, J> {
    const NAME: &'static str = J::NAME;
    type Out = Vec<Result<J::Out>>;

    async fn apply(&self, tx: &mut Tx) -> Result<Vec<Result<J::Out>>> {
        J::apply_all(self.0, tx).await
    }
}

impl Store {
    /// Makes this part of a change, in one transaction with the parts that others bring meanwhile.
    pub(crate) async fn run_together<J: Joint>(
        &self,
        queue: &Together<J, J::Out>,
        part: J,
    ) -> Result<J::Out> {
        if self.is_gated() {
            return only(self.run_all(vec![part]).await);
        }
        let store = self.clone();
        queue
            .ask(part, move |parts| {
                let store = store.clone();
                async move { store.run_all(parts).await }
            })
            .await
    }

    async fn run_all<J: Joint>(&self, parts: Vec<J>) -> Vec<Result<J::Out>> {
        match self.run(&All(&parts)).await {
            Ok(outcomes) => outcomes,
            Err(error) if parts.len() == 1 => vec![Err(error)],
            // The database is away: it would be for each of them.
            Err(error) if error.code() == Code::Unavailable => {
                parts.iter().map(|_| Err(error.likeness())).collect()
            }
            // One of them may be the cause, and the others shall not suffer for it.
            Err(_) => {
                let mut outcomes = Vec::with_capacity(parts.len());
                for part in &parts {
                    outcomes.push(match self.run(&All(std::slice::from_ref(part))).await {
                        Ok(outcome) => only(outcome),
                        Err(error) => Err(error),
                    });
                }
                outcomes
            }
        }
    }

    /// Reads this, in one statement with what others want to read meanwhile. `read` gives what it found, by its key.
    pub(crate) async fn read_together<K, V, R, F>(
        &self,
        queue: &Together<K, Option<V>>,
        key: K,
        read: R,
    ) -> Result<Option<V>>
    where
        K: Copy + Eq + Hash + Send + 'static,
        V: Clone + Send + 'static,
        R: Fn(Self, Vec<K>) -> F + Send + 'static,
        F: Future<Output = Result<HashMap<K, V>>> + Send + 'static,
    {
        if self.is_gated() {
            return Ok(read(self.clone(), vec![key]).await?.remove(&key));
        }
        let store = self.clone();
        queue
            .ask(key, move |keys| {
                let found = read(store.clone(), keys.clone());
                async move {
                    match found.await {
                        Ok(found) => keys.iter().map(|key| Ok(found.get(key).cloned())).collect(),
                        Err(error) => keys.iter().map(|_| Err(error.likeness())).collect(),
                    }
                }
            })
            .await
    }
}

/// The only outcome.
fn only<O>(outcomes: Vec<Result<O>>) -> Result<O> {
    outcomes.into_iter().next().unwrap_or_else(|| Err(Error::internal("a change came to nothing")))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lost() -> StoreError {
    StoreError::Unavailable(sqlx::Error::WorkerCrashed)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn whoever_comes_meanwhile_is_worked_on_together_and_gets_its_own_answer() {
        let together: Together<usize, usize> = Together::default();
        let rounds = Arc::new(AtomicUsize::new(0));
        let outcomes = join_all((0..500).map(|n| {
            let rounds = Arc::clone(&rounds);
            together.ask(n, move |calls| {
                rounds.fetch_add(1, Ordering::SeqCst);
                assert!(calls.len() <= MOST);
                async move {
                    tokio::task::yield_now().await;
                    let answer = |n| if n % 7 == 0 { Err(Code::Forbidden.into()) } else { Ok(n * 2) };
                    calls.into_iter().map(answer).collect()
                }
            })
        }))
        .await;
        for (n, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(double) => assert!(n % 7 != 0 && double == n * 2),
                Err(error) => assert!(n % 7 == 0 && error.code() == Code::Forbidden),
            }
        }
        assert!(rounds.load(Ordering::SeqCst) < 20, "{rounds:?}");
    }

    #[tokio::test]
    async fn a_driver_that_dies_leaves_nobody_waiting_and_the_next_call_is_worked_on() {
        let together: Together<bool, ()> = Together::default();
        let gate = Arc::new(Semaphore::new(0));
        let ask = |dies: bool| {
            let gate = Arc::clone(&gate);
            together.ask(dies, move |calls| {
                let gate = Arc::clone(&gate);
                async move {
                    let _ = gate.acquire().await;
                    assert!(!calls.contains(&true), "as wanted");
                    calls.into_iter().map(|_| Ok(())).collect()
                }
            })
        };
        let all = async { tokio::join!(ask(true), ask(false), async { gate.add_permits(10) }) };
        let (dead, beside, ()) = tokio::time::timeout(Duration::from_secs(5), all).await.unwrap();
        assert_eq!(dead.unwrap_err().code(), Code::Unavailable);
        assert_eq!(beside.unwrap_err().code(), Code::Unavailable);
        ask(false).await.unwrap();
    }

    #[tokio::test]
    async fn a_caller_who_leaves_takes_nobody_along() {
        let together: Together<u8, u8> = Together::default();
        let gate = Arc::new(Semaphore::new(0));
        let ask = |n| {
            let gate = Arc::clone(&gate);
            together.ask(n, move |calls| {
                let gate = Arc::clone(&gate);
                async move {
                    let _ = gate.acquire().await;
                    calls.into_iter().map(Ok).collect()
                }
            })
        };
        let mut leaves = Box::pin(ask(1));
        let stays = ask(2);
        assert!(futures_util::poll!(leaves.as_mut()).is_pending());
        drop(leaves);
        let (two, ()) = tokio::join!(stays, async { gate.add_permits(10) });
        assert_eq!(two.unwrap(), 2);
    }
}
