//! The adapters that need no protocol of ours keep what their ports promise.
#![expect(clippy::expect_used, reason = "a helper of a test may stop the test")]

mod blobs;
mod cache;
mod clock;
