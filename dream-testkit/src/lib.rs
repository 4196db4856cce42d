//! Everything outside of Dream, played by real servers on a loopback port, with faults on demand.
//!
//! The [`fakes`] speak the wire protocols of WeChat and of the image API and keep state as the real ones do, so that
//! the adapters that talk to them run for real. [`faults`] says what goes wrong and when.

pub mod backends;
pub mod clock;
pub mod conformance;
pub mod entropy;
pub mod fakes;
pub mod faults;
pub mod sandbox;
pub mod simulation;
pub mod wait;
pub mod world;
