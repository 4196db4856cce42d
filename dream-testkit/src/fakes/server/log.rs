//! What a fake was asked.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::message::{FakeRequest, FakeResponse};
use crate::fakes::lock;

/// Requests that a log keeps unless told otherwise.
const LOG_CAPACITY: usize = 4096;

/// One request and what became of it.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// world.alice().await;
/// let logins: Vec<_> = world.wechat().server().log().of("GET", "/sns/jscode2session");
/// assert_eq!((logins.len(), logins[0].status), (1, Some(200)));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The request.
    pub request: FakeRequest,
    /// The status that was answered; `None` while it is still being answered or if the answer was dropped.
    pub status: Option<u16>,
    /// The fake's remark.
    pub note: Option<String>,
}

#[derive(Debug, Default)]
struct Entries {
    kept: VecDeque<Recorded>,
    /// Number of the oldest entry that is kept.
    first: u64,
}

/// The last requests that a fake got.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.alice().await;
/// let log = world.wechat().server().log();
/// assert!(!log.all().is_empty());
/// log.clear();
/// assert!(log.all().is_empty());
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct RequestLog {
    capacity: usize,
    entries: Mutex<Entries>,
}

impl Default for RequestLog {
    fn default() -> Self {
        Self::new(LOG_CAPACITY)
    }
}

impl RequestLog {
    /// A log that keeps this many requests and forgets the oldest first.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), entries: Mutex::default() }
    }

    /// The requests that are kept, oldest first.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # use http::StatusCode;
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let well = |_| async { FakeResponse::empty(StatusCode::OK) };
    /// # let server = FakeServer::start(Setup::new(clock), well).await?;
    /// for path in ["/a", "/b"] {
    ///     reqwest::get(format!("{}{path}", server.base_url())).await?;
    /// }
    /// let paths: Vec<_> = server.log().all().into_iter().map(|asked| asked.request.path).collect();
    /// assert_eq!(paths, ["/a", "/b"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn all(&self) -> Vec<Recorded> {
        lock(&self.entries).kept.iter().cloned().collect()
    }

    /// The requests that are kept and for this method and path.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # use http::StatusCode;
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let well = |_| async { FakeResponse::empty(StatusCode::OK) };
    /// # let server = FakeServer::start(Setup::new(clock), well).await?;
    /// reqwest::get(format!("{}/a", server.base_url())).await?;
    /// assert_eq!((server.log().of("GET", "/a").len(), server.log().of("POST", "/a").len()), (1, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn of(&self, method: &str, path: &str) -> Vec<Recorded> {
        let entries = lock(&self.entries);
        let is_asked = |r: &&Recorded| r.request.method == method && r.request.path == path;
        entries.kept.iter().filter(is_asked).cloned().collect()
    }

    /// Forgets everything.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # use http::StatusCode;
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let well = |_| async { FakeResponse::empty(StatusCode::OK) };
    /// # let server = FakeServer::start(Setup::new(clock), well).await?;
    /// reqwest::get(server.base_url()).await?;
    /// // What came before is not what is looked at.
    /// server.log().clear();
    /// assert!(server.log().all().is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn clear(&self) {
        let mut entries = lock(&self.entries);
        entries.first += entries.kept.len() as u64;
        entries.kept.clear();
    }

    pub(super) fn begin(&self, request: FakeRequest) -> u64 {
        let mut entries = lock(&self.entries);
        if entries.kept.len() == self.capacity {
            entries.kept.pop_front();
            entries.first += 1;
        }
        entries.kept.push_back(Recorded { request, status: None, note: None });
        entries.first + entries.kept.len() as u64 - 1
    }

    pub(super) fn end(&self, number: u64, answer: &FakeResponse) {
        let mut entries = lock(&self.entries);
        let place = number.checked_sub(entries.first).and_then(|place| usize::try_from(place).ok());
        if let Some(entry) = place.and_then(|place| entries.kept.get_mut(place)) {
            entry.status = answer.is_answered().then(|| answer.status.as_u16());
            entry.note.clone_from(&answer.note);
        }
    }
}
