//! What every adapter of a port has to keep, as functions that run over any of them and panic where a promise is broken.
//!
//! An adapter is done when these pass. A fault found in one becomes a case for all.

pub mod blobs;
pub mod cache;
pub mod clock;

use std::time::Duration;

/// How long a case waits for what takes a moment.
const SOON: Duration = Duration::from_secs(10);

/// A life that ends while a case looks on.
const SHORT: Duration = Duration::from_millis(40);

/// A life that outlasts every case.
const LONG: Duration = Duration::from_mins(10);
