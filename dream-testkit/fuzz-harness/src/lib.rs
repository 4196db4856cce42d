//! The checks of the fuzz targets.
//!
//! Each module reads the bytes of one kind of stranger and panics where an invariant is broken: [`notify`] reads signed
//! and encrypted messages, [`picture`] reads image files, [`request`] reads a connection to `/v1`. libFuzzer calls
//! [`notify::check`] and its siblings from `dream-testkit/fuzz/fuzz_targets` with inputs that it evolves; the test
//! `corpus` calls them with every seed and a fixed number of mutated seeds, without a sanitizer build.
//!
//! A harness keeps state between inputs (a login, a database), so an input must be valid in any order.
#![expect(clippy::expect_used, clippy::panic, reason = "a broken invariant ends the run")]

pub mod notify;
pub mod picture;
pub mod request;
