//! Bounds on the request bodies in memory: how many are awaited at once, and how many bytes of them have arrived.
//!
//! - A body that has to be awaited is registered with its deadline, the instant at which it is given up unless more of it
//!   arrives. A new body is always registered. Where that is one too many, the body with the earliest deadline is given
//!   up: one of the same address if that address has its number, else one of all. A sender that stalls is always closer
//!   to its deadline than one that makes progress, so half-sent bodies displace each other and keep nobody out.
//! - Bytes are reserved as they arrive, never by what a head announces: from the total, and from the shares of the address
//!   and of the user that sends them. A reservation that does not fit is refused, and takes nothing.
//! - Registrations and reservations end when they are dropped, so every count returns to zero.
//!
//! One mutex guards all of it. It is never held across an await, and no other lock is taken under it.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dream_core::{Code, Error, Facts, Result};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::throttle::Key;

/// After how many seconds a sender whose share is taken may try again. A body is in memory for moments.
const RETRY_AFTER_SECS: u64 = 2;

/// How much of everything there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyBounds {
    /// Bodies that are awaited at once.
    pub(crate) count: usize,
    /// Of these, bodies of one address.
    pub(crate) count_per_address: usize,
    /// Bytes that have arrived.
    pub(crate) memory: usize,
    /// Of these, bytes from one address.
    pub(crate) memory_per_address: usize,
    /// Of these, bytes from one user.
    pub(crate) memory_per_user: usize,
}

/// The bodies that one kind of routes receives.
#[derive(Debug)]
pub(crate) struct Bodies {
    bounds: BodyBounds,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    awaited: HashMap<u64, Registered>,
    by_deadline: BTreeSet<(Instant, u64)>,
    by_address: HashMap<IpAddr, BTreeSet<(Instant, u64)>>,
    bytes: usize,
    shares: HashMap<Key, usize>,
}

#[derive(Debug)]
struct Registered {
    address: IpAddr,
    deadline: Instant,
    given_up: Arc<Notify>,
}

impl State {
    fn remove(&mut self, id: u64) -> Option<Registered> {
        let body = self.awaited.remove(&id)?;
        self.by_deadline.remove(&(body.deadline, id));
        if let Some(of_address) = self.by_address.get_mut(&body.address) {
            of_address.remove(&(body.deadline, id));
            if of_address.is_empty() {
                self.by_address.remove(&body.address);
            }
        }
        Some(body)
    }

    fn insert(&mut self, id: u64, body: Registered) {
        self.by_deadline.insert((body.deadline, id));
        self.by_address.entry(body.address).or_default().insert((body.deadline, id));
        self.awaited.insert(id, body);
    }

    /// The body to give up, if there are too many.
    fn one_too_many(&self, address: IpAddr, bounds: &BodyBounds) -> Option<u64> {
        let of_address = self.by_address.get(&address);
        let earliest = |bodies: &BTreeSet<(Instant, u64)>| bodies.first().map(|&(_, id)| id);
        match of_address {
            Some(bodies) if bodies.len() > bounds.count_per_address => earliest(bodies),
            _ if self.by_deadline.len() > bounds.count => earliest(&self.by_deadline),
            _ => None,
        }
    }
}

impl Bodies {
    pub(crate) fn new(bounds: BodyBounds) -> Arc<Self> {
        Arc::new(Self { bounds, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock, and every change is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a body that has to be awaited until `deadline`. Another one may have to be given up for it.
    pub(crate) fn register(self: &Arc<Self>, address: IpAddr, deadline: Instant) -> Awaited {
        let given_up = Arc::new(Notify::new());
        let mut state = self.state();
        let id = state.next_id;
        state.next_id += 1;
        state.insert(id, Registered { address, deadline, given_up: Arc::clone(&given_up) });
        let displaced = state.one_too_many(address, &self.bounds).and_then(|id| state.remove(id));
        drop(state);
        if let Some(displaced) = displaced {
            metrics::counter!("http_server_bodies_displaced_total").increment(1);
            displaced.given_up.notify_one();
        }
        Awaited { bodies: Arc::clone(self), id, given_up }
    }

    /// A reservation without any bytes yet, for a body that this address and perhaps this user sends.
    pub(crate) fn reservation(self: &Arc<Self>, address: IpAddr, user: Option<i64>) -> Reservation {
        let owners = [Some(Key::Address(address)), user.map(Key::User)];
        Reservation { bodies: Arc::clone(self), owners, bytes: 0 }
    }

    fn share(&self, owner: Key) -> usize {
        match owner {
            Key::Address(_) => self.bounds.memory_per_address,
            Key::User(_) => self.bounds.memory_per_user,
        }
    }
}

/// A body that is awaited.
#[derive(Debug)]
pub(crate) struct Awaited {
    bodies: Arc<Bodies>,
    id: u64,
    given_up: Arc<Notify>,
}

impl Awaited {
    /// More of it arrived, so that it has until this deadline for the rest.
    pub(crate) fn extend(&self, deadline: Instant) {
        let mut state = self.bodies.state();
        if let Some(body) = state.remove(self.id) {
            state.insert(self.id, Registered { deadline, ..body });
        }
    }

    /// Returns when the body is given up in favor of another one.
    pub(crate) async fn given_up(&self) {
        self.given_up.notified().await;
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.bodies.state().remove(self.id);
    }
}

/// Memory for the part of a body that has arrived.
#[derive(Debug)]
pub(crate) struct Reservation {
    bodies: Arc<Bodies>,
    owners: [Option<Key>; 2],
    bytes: usize,
}

impl Reservation {
    /// Reserves memory for so many bytes more.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if all memory for bodies is taken, [`Code::RateLimited`] if the share of the address or of
    /// the user is.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let mut state = self.bodies.state();
        if bytes > self.bodies.bounds.memory.saturating_sub(state.bytes) {
            return Err(Error::new(Code::Unavailable).with_source("the memory for request bodies is taken"));
        }
        for owner in self.owners.into_iter().flatten() {
            let taken = state.shares.get(&owner).copied().unwrap_or(0);
            if bytes > self.bodies.share(owner).saturating_sub(taken) {
                let facts = Facts::Throttled { retry_after_secs: RETRY_AFTER_SECS };
                return Err(Error::new(Code::RateLimited).with_facts(facts));
            }
        }
        state.bytes += bytes;
        for owner in self.owners.into_iter().flatten() {
            *state.shares.entry(owner).or_default() += bytes;
        }
        drop(state);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut state = self.bodies.state();
        state.bytes -= self.bytes;
        for owner in self.owners.into_iter().flatten() {
            if let Some(taken) = state.shares.get_mut(&owner) {
                *taken -= self.bytes;
                if *taken == 0 {
                    state.shares.remove(&owner);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: BodyBounds = BodyBounds {
        count: 4,
        count_per_address: 2,
        memory: 100,
        memory_per_address: 60,
        memory_per_user: 40,
    };

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn is_given_up(body: &Awaited) -> bool {
        body.given_up().now_or_never().is_some()
    }

    #[test]
    fn the_body_that_stalls_is_given_up_and_the_one_that_makes_progress_goes_on() {
        let bodies = Bodies::new(BOUNDS);
        let now = Instant::now();
        let at = |secs| now + Duration::from_secs(secs);
        let moving = bodies.register(address(1), at(1));
        let stalled = bodies.register(address(1), at(2));
        moving.extend(at(5));
        let new = bodies.register(address(1), at(3));
        assert!(is_given_up(&stalled));
        assert!(!is_given_up(&moving) && !is_given_up(&new));
        // Other addresses are displaced only where there are too many in all.
        let others = [2, 3].map(|last| bodies.register(address(last), at(4)));
        assert!(others.iter().chain([&moving, &new]).all(|body| !is_given_up(body)));
        let last = bodies.register(address(4), at(6));
        assert!(is_given_up(&new) && !is_given_up(&last));
    }

    #[test]
    fn a_share_is_refused_to_its_owner_and_left_to_the_others() {
        let bodies = Bodies::new(BOUNDS);
        let mut first = bodies.reservation(address(1), Some(7));
        first.grow(40).unwrap();
        assert_eq!(first.grow(1).unwrap_err().code(), Code::RateLimited, "the share of the user");
        let mut second = bodies.reservation(address(1), Some(8));
        assert_eq!(second.grow(21).unwrap_err().code(), Code::RateLimited, "the share of the address");
        second.grow(20).unwrap();
        let mut third = bodies.reservation(address(2), None);
        assert_eq!(third.grow(41).unwrap_err().code(), Code::Unavailable, "all there is");
        third.grow(40).unwrap();
        drop(first);
        bodies.reservation(address(3), Some(7)).grow(40).unwrap();
    }

    #[test]
    fn an_empty_frame_reserves_nothing() {
        let bodies = Bodies::new(BOUNDS);
        let mut empty = bodies.reservation(address(1), Some(7));
        empty.grow(0).unwrap();
        drop(empty);
        assert!(bodies.state().shares.is_empty());
    }

    proptest! {
        #[test]
        fn every_count_returns_to_zero(steps in proptest::collection::vec((0u8..4, 0u8..4, 0usize..50), 0..60)) {
            let bodies = Bodies::new(BOUNDS);
            let now = Instant::now();
            let (mut awaited, mut reserved) = (Vec::new(), Vec::new());
            for (what, who, size) in steps {
                match what {
                    0 => awaited.push(bodies.register(address(who), now + Duration::from_secs(size as u64))),
                    1 => {
                        let mut one = bodies.reservation(address(who), (size % 2 == 0).then_some(who.into()));
                        let _ = one.grow(size);
                        let _ = one.grow(size);
                        reserved.push(one);
                    }
                    2 if !awaited.is_empty() => drop(awaited.swap_remove(size % awaited.len())),
                    3 if !reserved.is_empty() => drop(reserved.swap_remove(size % reserved.len())),
                    _ => {}
                }
                let state = bodies.state();
                prop_assert!(state.awaited.len() <= BOUNDS.count && state.bytes <= BOUNDS.memory);
                prop_assert!(state.by_address.values().all(|bodies| bodies.len() <= BOUNDS.count_per_address));
            }
            drop((awaited, reserved));
            let state = bodies.state();
            prop_assert!(state.awaited.is_empty() && state.by_deadline.is_empty() && state.by_address.is_empty());
            prop_assert!(state.bytes == 0 && state.shares.is_empty());
        }
    }
}
