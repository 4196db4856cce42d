//! The two families of access tokens.

use std::collections::HashMap;
use std::time::Duration;

use dream_core::kernel::Timestamp;
use dream_core::ports::{Entropy, EntropyExt};

/// How long an old token still works beside its successor.
const OVERLAP: Duration = Duration::from_mins(5);
/// Forced refreshes a day.
const FORCED_PER_DAY: usize = 20;
/// Least time between two forced refreshes.
const FORCED_APART: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_hours(24);
/// Letters behind the prefix of a token.
const TOKEN_LETTERS: usize = 133;

/// Which endpoint a token comes from. Neither family ever ends a token of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Family {
    /// `stable_token`.
    Stable,
    /// `token`.
    Plain,
}

#[derive(Debug)]
struct Token {
    appid: String,
    expires_at: Timestamp,
    /// Set when it is ended before its time.
    dies_at: Option<Timestamp>,
}

/// A token as it is given out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) value: String,
    pub(super) expires_in: u64,
}

/// All tokens of all apps.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    known: HashMap<String, Token>,
    current: HashMap<(String, Family), String>,
    forced: HashMap<String, Vec<Timestamp>>,
}

impl Tokens {
    /// `stable_token`: the current token while it has more than five minutes left, else the next one.
    pub(super) fn stable(
        &mut self,
        appid: &str,
        force: bool,
        life: Duration,
        now: Timestamp,
        dice: &dyn Entropy,
    ) -> Granted {
        let key = (appid.to_owned(), Family::Stable);
        let left = |token: &Token| token.expires_at.since(now);
        let current = self.current.get(&key).cloned().filter(|value| {
            self.known.get(value).is_some_and(|token| token.dies_at.is_none() && left(token) > OVERLAP)
        });
        let refresh = force && self.may_force(appid, now);
        match current {
            Some(value) if !refresh => {
                let expires_in = self.known.get(&value).map_or(0, |token| left(token).as_secs());
                Granted { value, expires_in }
            }
            current => {
                if let Some(old) = current.and_then(|value| self.known.get_mut(&value)) {
                    old.dies_at = Some(now);
                }
                self.issue(key, life, now, dice)
            }
        }
    }

    /// `token`: always a new one; the one before works for five more minutes at most.
    pub(super) fn plain(
        &mut self,
        appid: &str,
        life: Duration,
        now: Timestamp,
        dice: &dyn Entropy,
    ) -> Granted {
        let key = (appid.to_owned(), Family::Plain);
        if let Some(old) = self.current.get(&key).and_then(|value| self.known.get_mut(value)) {
            old.dies_at.get_or_insert(now.plus(OVERLAP));
        }
        self.issue(key, life, now, dice)
    }

    /// The app that the token belongs to, or the error code.
    pub(super) fn check(&self, value: Option<&str>, now: Timestamp) -> Result<&str, i64> {
        let value = value.filter(|value| !value.is_empty()).ok_or(41001)?;
        let is_formed = value.len() >= 32 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_formed {
            return Err(40014);
        }
        let token = self.known.get(value).ok_or(40001)?;
        if token.expires_at <= now {
            Err(42001)
        } else if token.dies_at.is_some_and(|end| end <= now) {
            Err(40001)
        } else {
            Ok(&token.appid)
        }
    }

    /// Ends every token before its time: they answer 40001.
    pub(super) fn revoke_all(&mut self, now: Timestamp) {
        for token in self.known.values_mut() {
            token.dies_at = Some(now);
        }
    }

    /// Lets the time of every token run out: they answer 42001.
    pub(super) fn expire_all(&mut self, now: Timestamp) {
        for token in self.known.values_mut() {
            token.expires_at = token.expires_at.min(now);
        }
    }

    fn may_force(&mut self, appid: &str, now: Timestamp) -> bool {
        let forced = self.forced.entry(appid.to_owned()).or_default();
        forced.retain(|at| now.since(*at) < DAY);
        let apart = forced.last().is_none_or(|last| now.since(*last) >= FORCED_APART);
        let may = apart && forced.len() < FORCED_PER_DAY;
        if may {
            forced.push(now);
        }
        may
    }

    fn issue(
        &mut self,
        key: (String, Family),
        life: Duration,
        now: Timestamp,
        dice: &dyn Entropy,
    ) -> Granted {
        let value = format!("81_{}", dice.alphanumeric(TOKEN_LETTERS));
        let token = Token { appid: key.0.clone(), expires_at: now.plus(life), dies_at: None };
        self.known.insert(value.clone(), token);
        self.current.insert(key, value.clone());
        Granted { value, expires_in: life.as_secs() }
    }
}
