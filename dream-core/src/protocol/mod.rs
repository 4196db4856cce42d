//! What is sealed, signed or encrypted on the wire, as pure functions: no network, no clock of its own, no state.
//!
//! Everything here takes bytes from strangers. It never panics on them, compares secrets in constant time, and
//! says no more than "refused" about why something was refused.

pub mod encrypted_data;
mod job_wire;
pub mod message_push;
pub mod signature;
pub mod token;
pub mod webhook;

mod cbc;
pub(crate) mod foreign;
mod lenient;

#[cfg(feature = "image-api")]
pub(crate) use job_wire::{ErrorWire, results};
