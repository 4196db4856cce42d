//! Which logins were found alive a moment ago, so that not every request asks the database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache as LocalCache;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::FamilyId;
use crate::kernel::UserId;
use crate::ports::{Cache, Invalidation};

/// A login that ended is refused everywhere within this time, even if the news of it are lost.
const REMEMBER: Duration = Duration::from_secs(1);
const MOST_USERS: u64 = 100_000;
const MOST_LOGINS_EACH: usize = 8;

/// Logins found alive, by user.
pub(crate) struct Alive {
    logins: LocalCache<UserId, Arc<Vec<FamilyId>>>,
    news: Mutex<Receiver<Invalidation>>,
    /// Counts the news that arrived, so that what was read before them is not remembered after them.
    epoch: AtomicU64,
}

/// What the topic of a user's ended logins is called.
pub(super) fn topic(user: UserId) -> String {
    format!("logins:{user}")
}

impl Alive {
    pub(crate) fn new(cache: &dyn Cache) -> Self {
        Self {
            logins: LocalCache::builder().max_capacity(MOST_USERS).time_to_live(REMEMBER).build(),
            news: Mutex::new(cache.invalidations()),
            epoch: AtomicU64::new(0),
        }
    }

    /// Whether the login was found alive a moment ago, and has not been said to have ended since.
    pub(super) fn knows(&self, user: UserId, family: &FamilyId) -> bool {
        self.hear_news();
        self.logins.get(&user).is_some_and(|alive| alive.contains(family))
    }

    /// What [`Alive::remember`] wants, taken before the database is asked.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Remembers a login that the database called alive, unless news arrived since `epoch`.
    pub(super) fn remember(&self, user: UserId, family: &FamilyId, epoch: u64) {
        self.hear_news();
        if self.epoch() != epoch {
            return;
        }
        let mut alive = self.logins.get(&user).map_or_else(Vec::new, |known| known.to_vec());
        if alive.len() >= MOST_LOGINS_EACH {
            alive.remove(0);
        }
        alive.push(family.clone());
        self.logins.insert(user, Arc::new(alive));
        // News that came between the look at the epoch and the insertion.
        if self.epoch() != epoch {
            self.logins.invalidate(&user);
        }
    }

    /// Forgets the logins of a user, some of which this node has just ended: its own news may take their time.
    pub(super) fn forget(&self, user: UserId) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.logins.invalidate(&user);
    }

    fn hear_news(&self) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match news.try_recv() {
                Ok(Invalidation::Topic(topic)) => {
                    if let Some(user) = topic.strip_prefix("logins:").and_then(|id| id.parse::<UserId>().ok())
                    {
                        self.epoch.fetch_add(1, Ordering::AcqRel);
                        self.logins.invalidate(&user);
                    }
                }
                Ok(Invalidation::Everything) | Err(TryRecvError::Lagged(_)) => {
                    self.epoch.fetch_add(1, Ordering::AcqRel);
                    self.logins.invalidate_all();
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }
}
