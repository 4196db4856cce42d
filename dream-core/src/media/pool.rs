//! Work on pixels: off the async threads, a bounded number of pictures at once, in turns between users.
//!
//! Every picture at work holds a [`Place`]. Who finds none free waits in the line of its owner, and freed places go
//! round the lines, so a user who sends sixty pictures delays another user's by one. The lines together are bounded:
//! when they are full, the newest of the longest line gives way to somebody with a shorter one and is refused
//! with `UNAVAILABLE`, as is whoever has the longest line already.
//!
//! The mutex is held for a few steps only, and never across an await or while a place is handed over.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::error::{Code, Error, Result};
use crate::kernel::UserId;

/// One picture takes a core, and up to half a gigabyte while it is decoded.
const MOST_AT_WORK: usize = 4;
/// Each that waits holds its file in memory, and its caller does not wait for ever.
const MOST_WAITING: usize = 64;

/// Whose picture it is. Pictures wait in turns between owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// This user's.
    User(UserId),
    /// The service's own, such as copies of results and seeds.
    Service,
}

struct Line {
    owner: Owner,
    waiting: VecDeque<oneshot::Sender<Place>>,
}

struct Queue {
    free: usize,
    /// None is empty. The first is next.
    lines: VecDeque<Line>,
}

static QUEUE: LazyLock<Mutex<Queue>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    Mutex::new(Queue { free: cores.min(MOST_AT_WORK), lines: VecDeque::new() })
});

static IN_PLACE: AtomicBool = AtomicBool::new(false);

/// From now on this process works on pictures in the task that asks for it, and not on threads of their own. A
/// simulation on one thread wants that, where no other thread may decide who is first; a server never does.
pub fn work_in_place() {
    IN_PLACE.store(true, Ordering::Relaxed);
}

fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to work on one picture. Dropping it hands the place to the next in turn.
struct Place;

impl Drop for Place {
    fn drop(&mut self) {
        let next = queue().next();
        if let Some(next) = next {
            // If the one who waited has left, the place comes back and is dropped, and so goes on to the next.
            drop(next.send(Place));
        }
    }
}

enum Entry {
    Place,
    Wait(oneshot::Receiver<Place>),
    Full,
}

impl Queue {
    /// Who gets the place that is free now; if nobody waits, it stays free.
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        while let Some(mut line) = self.lines.pop_front() {
            let next = line.waiting.pop_front();
            if !line.waiting.is_empty() {
                self.lines.push_back(line);
            }
            if next.as_ref().is_some_and(|next| !next.is_closed()) {
                return next;
            }
        }
        self.free += 1;
        None
    }

    fn enter(&mut self, owner: Owner) -> Entry {
        if self.free > 0 {
            self.free -= 1;
            return Entry::Place;
        }
        // Callers that have left do not count.
        for line in &mut self.lines {
            line.waiting.retain(|turn| !turn.is_closed());
        }
        self.lines.retain(|line| !line.waiting.is_empty());
        let waiting: usize = self.lines.iter().map(|line| line.waiting.len()).sum();
        if waiting >= MOST_WAITING && !self.make_room(owner) {
            return Entry::Full;
        }
        let (sender, receiver) = oneshot::channel();
        match self.lines.iter_mut().find(|line| line.owner == owner) {
            Some(line) => line.waiting.push_back(sender),
            None => self.lines.push_back(Line { owner, waiting: [sender].into() }),
        }
        Entry::Wait(receiver)
    }

    /// Refuses the newest of the longest line, unless the owner's own would then be the longest.
    fn make_room(&mut self, owner: Owner) -> bool {
        let own = self.lines.iter().find(|line| line.owner == owner).map_or(0, |line| line.waiting.len());
        let longest = self.lines.iter_mut().max_by_key(|line| line.waiting.len());
        match longest {
            Some(line) if line.waiting.len() > own + 1 => line.waiting.pop_back().is_some(),
            _ => false,
        }
    }
}

/// Does it on a thread that may block, when it is the owner's turn.
///
/// # Errors
/// `UNAVAILABLE` if too many wait; otherwise what the work gives.
pub(super) async fn run<T: Send + 'static>(
    owner: Owner,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if IN_PLACE.load(Ordering::Relaxed) {
        return work();
    }
    let entry = queue().enter(owner);
    let place = match entry {
        Entry::Place => Place,
        Entry::Wait(turn) => turn.await.map_err(|_| Error::new(Code::Unavailable))?,
        Entry::Full => return Err(Code::Unavailable.into()),
    };
    let done = tokio::task::spawn_blocking(move || {
        // It goes on when its caller has left, and so keeps its place until it is done.
        let _place = place;
        work()
    });
    done.await.map_err(Error::internal)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: i64) -> Owner {
        Owner::User(UserId::new(id).expect("an id"))
    }

    fn busy() -> Queue {
        Queue { free: 0, lines: VecDeque::new() }
    }

    fn waits(queue: &mut Queue, owner: Owner) -> oneshot::Receiver<Place> {
        match queue.enter(owner) {
            Entry::Wait(turn) => turn,
            Entry::Place | Entry::Full => panic!("{owner:?} does not wait"),
        }
    }

    #[test]
    fn a_user_with_sixty_pictures_delays_another_user_by_one() {
        let mut queue = busy();
        let mut many: Vec<_> = (0..60).map(|_| waits(&mut queue, user(1))).collect();
        let mut one = waits(&mut queue, user(2));
        for _ in 0..2 {
            // Sent without the drop of the static queue's place.
            std::mem::forget(queue.next().expect("somebody waits").send(Place));
        }
        assert!(many[0].try_recv().map(std::mem::forget).is_ok(), "the first of the first line");
        assert!(one.try_recv().map(std::mem::forget).is_ok(), "and then the other user");
        assert!(many[1].try_recv().is_err());
    }

    #[test]
    fn the_newest_of_the_longest_line_gives_way_when_the_lines_are_full() {
        let mut queue = busy();
        let mut many: Vec<_> = (0..MOST_WAITING).map(|_| waits(&mut queue, user(1))).collect();
        assert!(matches!(queue.enter(user(1)), Entry::Full));
        let mut other = waits(&mut queue, user(2));
        let closed = many.iter_mut().map(|turn| turn.try_recv().err());
        let closed: Vec<_> =
            closed.map(|error| error == Some(oneshot::error::TryRecvError::Closed)).collect();
        assert_eq!(closed.iter().filter(|closed| **closed).count(), 1);
        assert!(closed[MOST_WAITING - 1] && other.try_recv().is_err());
    }

    #[test]
    fn whoever_left_is_passed_over() {
        let mut queue = busy();
        drop(waits(&mut queue, user(1)));
        let mut stays = waits(&mut queue, user(2));
        std::mem::forget(queue.next().expect("somebody waits").send(Place));
        assert!(stays.try_recv().map(std::mem::forget).is_ok());
        assert!(queue.next().is_none() && queue.free == 1);
    }
}
