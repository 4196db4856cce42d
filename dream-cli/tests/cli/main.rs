//! The binary as people meet it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test, an unwrap is a check: whatever it stumbles over is the finding"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "what a test writes is small, and nobody else waits for its runtime"
)]

mod books;
mod characters;
mod config;
mod crash;
mod doctor;
mod documents;
mod export;
mod full_disk;
mod gallery;
mod import;
mod keys;
mod load;
mod log_growth;
mod nodes;
mod orders;
mod process;
mod restarts;
mod secrets;
mod serving;
mod shell;
mod stats;
mod storage;
mod templates;
mod tour;
mod traces;
mod users;
mod weak_secrets;
