//! The binary as people meet it.
#![expect(clippy::expect_used, clippy::panic, reason = "a helper of a test may stop the test")]

mod tour;
