//! What users, admins and the worker live through, told through the public API on every backend.
#![expect(clippy::expect_used, reason = "a helper of a test may stop the test")]

mod jobs;
