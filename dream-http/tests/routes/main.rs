//! Every route as clients use it: over HTTP, on both databases, with the world around it played by fakes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test, an unwrap is a check: whatever it stumbles over is the finding"
)]

mod admin;
mod auth;
mod characters;
mod credentials;
mod docs;
mod document;
mod favorites;
mod gallery;
mod guide;
mod jobs;
mod limits;
mod mishaps;
mod orders;
mod public;
mod site;
mod stats;
mod templates;
mod uploads;
mod users;
