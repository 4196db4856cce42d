//! The JSON of the contract: serde types, and how they come from core types.
#![expect(clippy::struct_field_names, reason = "the contract names the fields")]

pub mod admin;
pub mod admin_orders;
pub mod application;
pub mod auth;
pub mod characters;
pub mod export;
pub mod favorites;
pub mod gallery;
pub mod jobs;
pub mod message;
pub mod orders;
pub mod page;
pub mod points;
pub mod stats;
pub mod templates;
pub mod time;
pub mod uploads;
pub mod users;
pub mod vip;
