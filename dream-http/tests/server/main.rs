//! The server as a client meets it: over sockets, with clients that are slow, silent, rude or gone.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test, an unwrap is a check: whatever it stumbles over is the finding"
)]

mod abuse;
mod answers;
mod bodies;
mod connections;
mod floods;
mod handover;
mod house;
mod input;
mod limits;
mod log;
mod nowhere;
mod slow_readers;
mod stopping;
