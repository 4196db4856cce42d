//! What users, admins and the worker live through, told through the public API on every backend.
#![expect(clippy::expect_used, reason = "a helper of a test may stop the test")]

mod audit;
mod cancel;
mod crashes;
mod favorites;
mod jobs;
mod lists;
mod login;
mod pictures;
mod queue;
mod quota;
mod seeds;
mod support;
mod tokens;
mod users;
mod vip;
mod webhooks;
