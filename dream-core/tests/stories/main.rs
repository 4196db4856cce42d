//! What users, admins and the worker live through, told through the public API on every backend.
#![expect(clippy::expect_used, reason = "a helper of a test may stop the test")]

mod admin;
mod audit;
mod availability;
mod cancel;
mod characters;
mod crashes;
mod events;
mod export;
mod favorites;
mod foreign_text;
mod gallery;
mod jobs;
mod ledger;
mod lists;
mod login;
mod mishaps;
mod orders;
mod pictures;
mod publish;
mod queue;
mod quota;
mod races;
mod refunds;
mod seeds;
mod shop;
mod simulation;
mod stats;
mod storage;
mod support;
mod templates;
mod tokens;
mod traces;
mod users;
mod vip;
mod webhooks;
