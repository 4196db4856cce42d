//! The binary as people meet it.
#![expect(clippy::expect_used, clippy::panic, reason = "a helper of a test may stop the test")]

mod books;
mod config;
mod documents;
mod export;
mod keys;
mod orders;
mod serving;
mod shell;
mod tour;
mod users;
