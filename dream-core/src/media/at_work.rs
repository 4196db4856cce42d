//! Work on pixels, off the async threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;

use crate::error::{Code, Error, Result};

/// One picture takes a core, and up to half a gigabyte while it is decoded.
const MOST_AT_WORK: usize = 4;
/// Each that waits holds its file in memory, and its caller does not wait for ever.
const MOST_WAITING: usize = 64;

struct Places {
    at_work: Arc<Semaphore>,
    in_line: Semaphore,
}

static PLACES: LazyLock<Places> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let at_work = cores.min(MOST_AT_WORK);
    Places { at_work: Arc::new(Semaphore::new(at_work)), in_line: Semaphore::new(at_work + MOST_WAITING) }
});

static IN_PLACE: AtomicBool = AtomicBool::new(false);

/// From now on this process works on pictures in the task that asks for it, and not on threads of their own. A
/// simulation on one thread wants that, where no other thread may decide who is first; a server never does.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::media;
///
/// // At the start of a simulation, before anything decodes a picture.
/// media::work_in_place();
/// # Ok(())
/// # }
/// ```
pub fn work_in_place() {
    IN_PLACE.store(true, Ordering::Relaxed);
}

/// Does it on a thread that may block, when it is its turn.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    if IN_PLACE.load(Ordering::Relaxed) {
        return work();
    }
    let _in_line = PLACES.in_line.try_acquire().map_err(|_| Error::new(Code::Unavailable))?;
    let place = PLACES.at_work.clone().acquire_owned().await.map_err(Error::internal)?;
    let done = tokio::task::spawn_blocking(move || {
        // It goes on when its caller has left, and so keeps its place until it is done.
        let _place = place;
        work()
    });
    done.await.map_err(Error::internal)?
}
