//! What really talks to the outside. Each adapter implements one port; those that need a heavy dependency stand
//! behind a cargo feature of their own, which makes them available and changes nothing by itself.

mod system;

pub use system::{OsEntropy, SystemClock};
