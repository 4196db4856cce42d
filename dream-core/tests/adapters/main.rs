//! The adapters that need no protocol of ours keep what their ports promise, and pictures are treated as they should.
#![expect(clippy::expect_used, reason = "a helper of a test may stop the test")]

mod blobs;
mod cache;
mod clock;
mod media;

/// Counts the memory in use, for the tests that bound it.
#[global_allocator]
static PEAK: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
