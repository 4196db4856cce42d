//! What is in force and what is wrong, to be shown.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong. Never quotes a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ConfigFault {
    /// The variable, or the file.
    pub(crate) variable: String,
    /// What is wrong with it.
    pub(crate) problem: String,
}

impl ConfigFault {
    pub(crate) fn new(variable: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { variable: variable.into(), problem: problem.into() }
    }
}

/// Everything that is wrong, at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigFaults(pub(crate) Vec<ConfigFault>);

impl std::error::Error for ConfigFaults {}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "fault" } else { "faults" };
        write!(f, "{count} {noun} in the configuration")?;
        for fault in &self.0 {
            write!(f, "\n  {} {}", fault.variable, fault.problem)?;
        }
        Ok(())
    }
}

/// A variable and what holds for it, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct InForce {
    /// The variable.
    pub(crate) variable: &'static str,
    /// Its value, masked if it is a secret.
    pub(crate) value: Option<String>,
    /// Where it comes from.
    pub(crate) from: &'static str,
}

/// What is in force, what is wrong, and what is worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// Development or production.
    pub(crate) mode: &'static str,
    /// Every variable.
    pub(crate) variables: Vec<InForce>,
    /// Everything that is wrong.
    pub(crate) faults: Vec<ConfigFault>,
    /// What is allowed, but might surprise.
    pub(crate) notes: Vec<String>,
}
