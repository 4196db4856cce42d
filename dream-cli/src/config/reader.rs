//! Reads variables by the table and keeps every fault.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::environment::{Environment, Origin};
use super::parse::{Mode, guessable, weakness};
use super::report::{ConfigFault, InForce, Report};
use super::table::{APP_ENV, GROUPS};
use super::variable::{Spec, Variable};

/// Shortest secret that production takes, in bytes.
pub(super) const MIN_SECRET: usize = 16;

/// Reads variables, remembers what holds, and collects faults instead of stopping at the first.
pub(crate) struct Reader<'e> {
    environment: &'e Environment,
    mode: Mode,
    held: BTreeMap<&'static str, InForce>,
    faults: Vec<ConfigFault>,
    notes: Vec<String>,
}

impl<'e> Reader<'e> {
    pub(super) fn new(environment: &'e Environment) -> Self {
        let mut reader = Self {
            environment,
            mode: Mode::Production,
            held: BTreeMap::new(),
            faults: environment.faults.clone(),
            notes: Vec::new(),
        };
        // A mode that cannot be read is a fault; until it is mended the stricter one holds.
        if let Some(mode) = reader.get(&APP_ENV) {
            reader.mode = mode;
        }
        reader
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn is_production(&self) -> bool {
        self.mode == Mode::Production
    }

    /// The value, or its default; `None` if there is neither, or if it is faulty.
    pub(super) fn get<T>(&mut self, variable: &Variable<T>) -> Option<T> {
        let spec = &variable.spec;
        let Some((name, text, origin)) = self.find(spec) else {
            let value = spec.default.map(|text| (variable.parse)(text));
            let from = if spec.default.is_some() { Origin::Default } else { Origin::Unset };
            self.hold(spec, spec.default.map(str::to_owned), from);
            return value?.map_err(|problem| self.fault(spec.name, problem)).ok();
        };
        self.hold(spec, Some(spec.shown.show(&text)), origin);
        if spec.is_secret() && text.trim().is_empty() {
            self.fault(name, "is empty: give it a value or leave it out");
            return None;
        }
        (variable.parse)(&text).map_err(|problem| self.fault(name, problem)).ok()
    }

    /// Whether it is set, be it rightly or not.
    pub(super) fn is_set<T>(&self, variable: &Variable<T>) -> bool {
        self.find(&variable.spec).is_some()
    }

    /// What is set. An empty text is as good as nothing, except for a secret, which somebody forgot.
    fn find(&self, spec: &Spec) -> Option<(&'static str, String, Origin)> {
        spec.names().find_map(|name| {
            let found = self.environment.get(name)?;
            let text = if spec.is_secret() { &found.text } else { found.text.trim() };
            (spec.is_secret() || !text.is_empty()).then(|| (name, text.to_owned(), found.origin))
        })
    }

    fn hold(&mut self, spec: &Spec, value: Option<String>, from: Origin) {
        self.held.insert(spec.name, InForce { variable: spec.name, value, from: from.as_str() });
    }

    /// Says that something else than the default holds, for a variable that is not set.
    pub(super) fn stands_in<T>(&mut self, variable: &Variable<T>, value: Option<String>, from: Origin) {
        if !self.is_set(variable) {
            self.hold(&variable.spec, value, from);
        }
    }

    pub(super) fn fault(&mut self, variable: &str, problem: impl Display) {
        self.faults.push(ConfigFault::new(variable, problem.to_string()));
    }

    pub(super) fn missing<T>(&mut self, variable: &Variable<T>, why: &str) {
        if !self.is_set(variable) {
            self.fault(variable.spec.name, format!("is missing {why}"));
        }
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// A warning in production of what is usual in development.
    pub(super) fn warn_in_production(&mut self, note: impl Into<String>) {
        if self.is_production() {
            self.note(note);
        }
    }

    /// A fault in production, and a warning in development.
    pub(super) fn refuse_in_production(&mut self, variable: &str, problem: impl Display) {
        if self.is_production() {
            self.fault(variable, problem);
        } else {
            self.note(format!("{variable} {problem}; production refuses it"));
        }
    }

    /// Refuses a weak secret in production, and warns of it in development.
    pub(super) fn require_strong<T>(&mut self, variable: &Variable<T>, secret: &str, min: usize) {
        if let Some(problem) = weakness(secret, min) {
            self.refuse_in_production(variable.spec.name, problem);
        }
    }

    /// As [`Reader::require_strong`], for a secret that the operator chose, and so perhaps by hand.
    pub(super) fn require_unguessable<T>(&mut self, variable: &Variable<T>, secret: &str, min: usize) {
        if let Some(problem) = weakness(secret, min).or_else(|| guessable(secret).map(str::to_owned)) {
            self.refuse_in_production(variable.spec.name, problem);
        }
    }

    /// Whether any of these is set.
    pub(super) fn any_set(&self, specs: &[Spec]) -> bool {
        specs.iter().any(|spec| self.find(spec).is_some())
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_faultless(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn faults(&self) -> &[ConfigFault] {
        &self.faults
    }

    /// What was found, in the order of the table.
    pub(super) fn report(mut self) -> Report {
        self.note_strangers();
        let order = GROUPS.iter().flat_map(|group| group.variables);
        let variables = order.filter_map(|spec| self.held.get(spec.name).cloned()).collect();
        Report { mode: self.mode.as_str(), variables, faults: self.faults, notes: self.notes }
    }

    /// Variables that look like ours and are none: most likely misspelt.
    fn note_strangers(&mut self) {
        const PREFIXES: [&str; 11] = [
            "DATABASE_",
            "REDIS_",
            "JWT_",
            "WECHAT_",
            "THIRD_PARTY_",
            "R2_",
            "CORS_",
            "THROTTLE_",
            "GENERATION_",
            "POINTS_PRICE_",
            "POINT_PRICE_",
        ];
        let known = |name: &str| super::table::spec(name).is_some();
        let strangers: Vec<String> = self
            .environment
            .names()
            .filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !known(name))
            .map(|name| format!("{name} is set, but there is no such variable"))
            .collect();
        self.notes.extend(strangers);
    }
}
