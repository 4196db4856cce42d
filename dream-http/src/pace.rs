//! The minimum rate at which an HTTP/2 client must take a response.
//!
//! A client that does not read an HTTP/1 response blocks the socket, and the connection is closed (`io.rs`). On HTTP/2 the
//! socket may stay writable for the other streams, while one stream waits for its flow-control window. hyper runs each
//! stream as a task of its own on the executor that the connection was given: [`PacedStreams`] is that executor, and ends
//! a stream whose client takes no further chunk (at most 16 KiB) within the limit. Dropping the task resets the stream
//! and frees what its body holds; other streams of the connection go on.
//!
//! Only the time in which the client is waited for counts: a body that waits for its source is not late.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tokio::time::{Instant, sleep_until};

/// Nobody is waited for.
const IDLE: u64 = u64::MAX;

tokio::task_local! {
    /// Of the HTTP/2 stream that the task sends.
    static PACE: Arc<Pace>;
}

/// Since when a stream waits for its client.
#[derive(Debug)]
struct Pace {
    begun: Instant,
    /// Milliseconds after `begun`, or [`IDLE`].
    waiting_since: AtomicU64,
}

impl Pace {
    fn new() -> Arc<Self> {
        Arc::new(Self { begun: Instant::now(), waiting_since: AtomicU64::new(IDLE) })
    }

    fn waits(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(IDLE - 1);
        self.waiting_since.store(now, Ordering::Relaxed);
    }

    /// When the client is late, if it is waited for.
    fn deadline(&self, limit: Duration) -> Option<Instant> {
        let since = self.waiting_since.load(Ordering::Relaxed);
        (since != IDLE).then(|| self.begun + Duration::from_millis(since) + limit)
    }
}

/// The body handed out a chunk: from now on the client is waited for.
pub(crate) fn client_is_awaited() {
    // Without a value the connection is HTTP/1.
    let _ = PACE.try_with(|pace| pace.waits());
}

/// The body waits for its source.
pub(crate) fn source_is_awaited() {
    let _ = PACE.try_with(|pace| pace.waiting_since.store(IDLE, Ordering::Relaxed));
}

/// Runs the streams of HTTP/2 connections.
#[derive(Debug, Clone)]
pub(crate) struct PacedStreams {
    limit: Duration,
}

impl PacedStreams {
    /// `limit` is the longest time that a client may take for a chunk.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for PacedStreams {
    fn execute(&self, stream: F) {
        TokioExecutor::new().execute(paced(stream, self.limit));
    }
}

async fn paced(stream: impl Future<Output = ()>, limit: Duration) {
    let pace = Pace::new();
    let mut stream = std::pin::pin!(PACE.scope(Arc::clone(&pace), stream));
    loop {
        let check = pace.deadline(limit).unwrap_or_else(|| Instant::now() + limit);
        tokio::select! {
            biased;
            () = &mut stream => return,
            () = sleep_until(check) => {
                if pace.deadline(limit).is_some_and(|deadline| deadline <= Instant::now()) {
                    metrics::counter!("http_server_slow_streams_total").increment(1);
                    return;
                }
            }
        }
    }
}
