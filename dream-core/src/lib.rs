//! The business of an AI image generation service as a typed async library.

pub mod adapters;
mod error;
pub mod kernel;
pub mod ports;
pub mod protocol;
pub mod store;

pub use error::{Code, Error, Facts, Fault, FieldFault, Result};
