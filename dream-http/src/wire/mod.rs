//! The JSON of the contract: serde types, and how they come from core types.

pub mod application;
pub mod page;
