//! The budget of memory that response bodies may hold until their clients have read them.
//!
//! A response reserves what its body holds at most: its length if the body is in memory, one piece if it is streamed. The
//! reservation is freed with the last byte of the body, wherever that byte waits (in the body, in the queue of an HTTP/1
//! connection or in the send buffer of an HTTP/2 stream), because each chunk carries it.
//!
//! Invariants: the reservations of all clients never exceed the budget, and those of one client address never exceed its
//! share, so that one client that does not read cannot take the memory of all others. Bodies of at most
//! [`FREE`] bytes reserve nothing: they are bounded by the number of requests.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dream_core::{Code, Error, Result};

/// Bodies up to this size reserve nothing.
pub(crate) const FREE: u64 = 8 * 1024;

/// What part of the budget one client address may hold: one in so many.
const SHARES: u64 = 4;

/// The budget.
#[derive(Debug)]
pub(crate) struct ResponseMemory {
    limit: u64,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    total: u64,
    by_client: HashMap<IpAddr, u64>,
}

impl ResponseMemory {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit as u64, held: Mutex::default() })
    }

    /// Reserves memory for a body of this size, on behalf of a client.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the budget or the client's share of it is used up.
    pub(crate) fn reserve(self: &Arc<Self>, client: IpAddr, bytes: u64) -> Result<Reservation> {
        let mut held = self.held();
        let of_client = held.by_client.get(&client).copied().unwrap_or(0);
        // The first body of a client always fits its share, or a small budget would serve nobody.
        let fits_share = of_client == 0 || of_client + bytes <= self.limit / SHARES;
        if !fits_share || held.total + bytes > self.limit {
            metrics::counter!("http_server_responses_refused_total").increment(1);
            return Err(Error::new(Code::Unavailable).with_source("the memory for responses is used up"));
        }
        held.total += bytes;
        held.by_client.insert(client, of_client + bytes);
        drop(held);
        Ok(Reservation { memory: Arc::clone(self), client, bytes })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory that is reserved until this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    memory: Arc<ResponseMemory>,
    client: IpAddr,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut held = self.memory.held();
        held.total = held.total.saturating_sub(self.bytes);
        if let Some(of_client) = held.by_client.get_mut(&self.client) {
            *of_client = of_client.saturating_sub(self.bytes);
            if *of_client == 0 {
                held.by_client.remove(&self.client);
            }
        }
    }
}

/// Bytes that keep a reservation for as long as they or a slice of them live.
pub(crate) fn reserved(bytes: Bytes, reservation: &Arc<Reservation>) -> Bytes {
    struct Owner(Bytes, #[expect(dead_code, reason = "it is held")] Arc<Reservation>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Owner(bytes, Arc::clone(reservation)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn one_client_cannot_hold_more_than_its_share() {
        let memory = ResponseMemory::new(1000);
        let held = memory.reserve(client(1), 200).unwrap();
        assert_eq!(memory.reserve(client(1), 51).unwrap_err().code(), Code::Unavailable);
        let others: Vec<_> = (2..=5).map(|at| memory.reserve(client(at), 200).unwrap()).collect();
        assert_eq!(memory.reserve(client(6), 1).unwrap_err().code(), Code::Unavailable, "all of it is held");
        drop(others);
        assert!(memory.reserve(client(1), 50).is_ok());
        drop(held);
        assert!(memory.held().by_client.is_empty() && memory.held().total == 0);
    }

    #[test]
    fn a_reservation_ends_with_the_last_slice_of_its_bytes() {
        let memory = ResponseMemory::new(1000);
        let reservation = Arc::new(memory.reserve(client(1), 10).unwrap());
        let mut bytes = reserved(Bytes::from_static(b"0123456789"), &reservation);
        drop(reservation);
        let slice = bytes.split_to(1);
        drop(bytes);
        assert_eq!(memory.held().total, 10);
        drop(slice);
        assert_eq!(memory.held().total, 0);
    }
}
