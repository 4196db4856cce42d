//! The environment, and the `.env` file that fills what it leaves out in development.

use std::collections::BTreeMap;
use std::path::Path;

use super::parse::Mode;
use super::report::ConfigFault;
use super::{parse, table};

/// The file that is read in development, in the working folder.
pub(crate) const ENV_FILE: &str = ".env";

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The environment of the process.
    Environment,
    /// The file `.env`.
    EnvFile,
    /// The documented default.
    Default,
    /// It was made up for this run.
    MadeUp,
    /// The sandbox plays the part that it is for.
    Sandbox,
    /// Nowhere: it is not set and there is no default.
    Unset,
}

impl Origin {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Origin::Environment => "environment",
            Origin::EnvFile => ".env",
            Origin::Default => "default",
            Origin::MadeUp => "made up",
            Origin::Sandbox => "sandbox",
            Origin::Unset => "not set",
        }
    }
}

/// A value as it was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// All variables that are set.
#[derive(Default)]
pub(crate) struct Environment {
    found: BTreeMap<String, Found>,
    /// What is wrong with the file.
    pub(crate) faults: Vec<ConfigFault>,
}

impl Environment {
    /// That of the process, and in development what `.env` in the working folder adds.
    pub(crate) fn load() -> Self {
        let mut environment = Self::default();
        for (name, value) in std::env::vars_os() {
            // What is no text names no variable of ours; a variable of ours that is no text is told as a fault.
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(text) => environment.set(name, text, Origin::Environment),
                Err(_) if table::spec(&name).is_some() => {
                    environment.faults.push(ConfigFault::new(name, "is not UTF-8"));
                }
                Err(_) => {}
            }
        }
        if environment.says_production() {
            return environment;
        }
        environment.read_file(Path::new(ENV_FILE));
        environment
    }

    fn set(&mut self, name: String, text: String, origin: Origin) {
        self.found.entry(name).or_insert(Found { text, origin });
    }

    fn says_production(&self) -> bool {
        let said = table::APP_ENV.spec.names().find_map(|name| self.get(name));
        said.is_some_and(|found| parse::mode(&found.text) == Ok(Mode::Production))
    }

    fn read_file(&mut self, path: &Path) {
        let lines = match dotenvy::from_path_iter(path) {
            Ok(lines) => lines,
            Err(error) if error.not_found() => return,
            Err(_) => {
                self.faults.push(ConfigFault::new(ENV_FILE, "cannot be read"));
                return;
            }
        };
        for (index, line) in lines.enumerate() {
            // The error is not shown: it quotes the line, which may hold a secret.
            if let Ok((name, text)) = line {
                self.set(name, text, Origin::EnvFile);
            } else {
                let problem = format!("has a line that is not NAME=value (entry {})", index + 1);
                self.faults.push(ConfigFault::new(ENV_FILE, problem));
            }
        }
    }

    /// What is set under this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Found> {
        self.found.get(name)
    }

    /// The names of all variables that are set.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.found.keys().map(String::as_str)
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.found.keys()).finish()
    }
}
