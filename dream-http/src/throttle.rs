//! So many requests in so many seconds, per user, else per client address; fewer of those that cost much.
//!
//! Every node counts for itself first, which is free. Where nodes share a cache they count there as well, so that a
//! caller who spreads over many nodes gains nothing. Answers out of memory are counted by each node alone.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use dream_core::kernel::Timestamp;
use dream_core::{Code, Dream, Error, Facts};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::call::Caller;

/// Keys that are remembered at most; more than an operator makes.
const MOST_KNOWN_KEYS: usize = 1000;

type Limiter = RateLimiter<Key, DashMapStateStore<Key>, DefaultClock, StateInformationMiddleware>;

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    User(i64),
    Address(IpAddr),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::User(user) => write!(f, "user:{user}"),
            Key::Address(address) => write!(f, "address:{address}"),
        }
    }
}

/// How many requests are allowed in how long a time.
///
/// ```
/// use dream_http::{Settings, ThrottleRule};
/// use std::num::NonZeroU32;
/// use std::time::Duration;
///
/// // Ten requests a second on average, and sixty at once after a minute of silence: 600 a minute.
/// let rule = ThrottleRule { limit: NonZeroU32::new(600).unwrap(), period: Duration::from_mins(1) };
/// let settings = Settings { throttle: Some(rule), ..Settings::default() };
/// # assert_eq!(settings.throttle, Some(rule));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleRule {
    /// Requests.
    pub limit: NonZeroU32,
    /// The time in which an unused allowance comes back whole.
    pub period: Duration,
}

/// Requests that cost more than others, and have a limit of their own beside the common one.
///
/// ```
/// use dream_core::Result;
/// use dream_http::LimitClass;
/// use dream_http::gate::Anyone;
/// use dream_http::table::post;
///
/// async fn log_in_by_mail(_: Anyone, (): ()) -> Result<()> {
///     Ok(())
/// }
/// // A login of one's own counts against the limit of logins as well.
/// let row = post("/v1/auth/mail", log_in_by_mail).limited_as(LimitClass::Login);
/// # assert!(row.is_write());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitClass {
    /// Logins, which ask WeChat.
    Login,
    /// Orders and payments, which ask WeChat Pay.
    Pay,
    /// Generations, which ask the image API.
    Generate,
    /// Stored pictures. They are counted by each node alone and not among all requests: a page shows many of them.
    Files,
    /// Reads of what everybody may read, as far as the caller is not signed in. They cost little, and all guests behind the
    /// address of a carrier or of a company share them, so each node counts them alone and not among all requests.
    Public,
}

/// Requests of each class that are allowed in the period of the common limit; `None` for no limit beside that one.
///
/// ```
/// use dream_http::{ClassLimits, Settings};
/// use std::num::NonZeroU32;
///
/// // Ten generations in the time of the common limit, which is a minute unless said otherwise.
/// let class_limits = ClassLimits { generate: NonZeroU32::new(10), ..ClassLimits::default() };
/// let settings = Settings { class_limits, ..Settings::default() };
/// assert_eq!(settings.class_limits.login, NonZeroU32::new(30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassLimits {
    /// Logins.
    pub login: Option<NonZeroU32>,
    /// Orders and payments.
    pub pay: Option<NonZeroU32>,
    /// Generations.
    pub generate: Option<NonZeroU32>,
    /// Stored pictures, which are counted apart. Without a limit of their own they count among all requests.
    pub files: Option<NonZeroU32>,
    /// Public reads by callers who are not signed in, by address, which are counted apart. Without a limit of their own they
    /// count among all requests.
    pub public: Option<NonZeroU32>,
    /// Admin keys that open nothing, by client address.
    pub admin_key: Option<NonZeroU32>,
}

impl Default for ClassLimits {
    fn default() -> Self {
        Self {
            login: NonZeroU32::new(30),
            pay: NonZeroU32::new(30),
            generate: NonZeroU32::new(60),
            files: NonZeroU32::new(1200),
            public: NonZeroU32::new(3000),
            admin_key: NonZeroU32::new(30),
        }
    }
}

/// What is left to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    limit: u32,
    remaining: u32,
    reset_secs: u64,
}

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

impl Allowance {
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(self.reset_secs));
    }
}

/// The counters of one rule.
#[derive(Debug)]
struct Counter {
    name: &'static str,
    rule: ThrottleRule,
    limiter: Limiter,
}

impl Counter {
    fn new(name: &'static str, rule: ThrottleRule) -> Option<Self> {
        let quota = Quota::with_period(rule.period / rule.limit.get())?.allow_burst(rule.limit);
        Some(Self { name, rule, limiter: RateLimiter::dashmap(quota).with_middleware() })
    }

    /// Counts one request on this node.
    fn here(&self, key: Key) -> Result<Allowance, Refusal> {
        let limit = self.rule.limit.get();
        match self.limiter.check_key(&key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let one = self.rule.period / limit;
                let reset_secs = ceil_secs(one * (limit.saturating_sub(remaining)));
                Ok(Allowance { limit, remaining, reset_secs })
            }
            Err(not_until) => {
                let wait = ceil_secs(not_until.wait_time_from(DefaultClock::default().now())).max(1);
                Err(self.refusal(wait, ceil_secs(self.rule.period)))
            }
        }
    }

    /// Counts one request on all nodes, in windows that begin at the same instants everywhere.
    async fn everywhere(
        &self,
        dream: &Dream,
        key: Key,
        now: Timestamp,
    ) -> Option<Result<Allowance, Refusal>> {
        let period = i64::try_from(self.rule.period.as_micros()).ok().filter(|&period| period > 0)?;
        let (window, passed) = (now.as_micros().div_euclid(period), now.as_micros().rem_euclid(period));
        let counted = dream.tally(&format!("{}:{key}:{window}", self.name), self.rule.period).await?;
        let limit = self.rule.limit.get();
        let reset_secs = ceil_secs(Duration::from_micros((period - passed).unsigned_abs()));
        Some(match u64::from(limit).checked_sub(counted) {
            Some(left) => {
                Ok(Allowance { limit, remaining: u32::try_from(left).unwrap_or(limit), reset_secs })
            }
            None => Err(self.refusal(reset_secs.max(1), reset_secs)),
        })
    }

    async fn count(&self, dream: &Dream, key: Key) -> Result<Allowance, Refusal> {
        let here = self.here(key)?;
        self.everywhere(dream, key, dream.now()).await.unwrap_or(Ok(here))
    }

    fn refusal(&self, wait: u64, reset_secs: u64) -> Refusal {
        metrics::counter!("http_server_throttled_total", "limit" => self.name).increment(1);
        let facts = Facts::Throttled { retry_after_secs: wait };
        let allowance = Allowance { limit: self.rule.limit.get(), remaining: 0, reset_secs };
        Refusal { error: Error::new(Code::RateLimited).with_facts(facts), allowance }
    }
}

/// A request that is one too many, and what the caller is told of its allowance.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: Error,
    pub(crate) allowance: Allowance,
}

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Throttle {
    all: Counter,
    login: Option<Counter>,
    pay: Option<Counter>,
    generate: Option<Counter>,
    files: Option<Counter>,
    public: Option<Counter>,
    admin_key: Option<Counter>,
    /// Digests of keys that opened the administration here. They are not counted as guesses, so that a stranger behind the
    /// same proxy cannot lock admins out. Whether such a key still opens is asked anew at each request.
    known_keys: Mutex<HashSet<u64>>,
    key_hasher: RandomState,
}

impl Throttle {
    pub(crate) fn new(rule: ThrottleRule, classes: ClassLimits) -> Option<Self> {
        let class = |name, limit: Option<NonZeroU32>| {
            limit.and_then(|limit| Counter::new(name, ThrottleRule { limit, ..rule }))
        };
        Some(Self {
            all: Counter::new("all", rule)?,
            login: class("login", classes.login),
            pay: class("pay", classes.pay),
            generate: class("generate", classes.generate),
            files: class("files", classes.files),
            public: class("public", classes.public),
            admin_key: class("admin_key", classes.admin_key),
            known_keys: Mutex::default(),
            key_hasher: RandomState::new(),
        })
    }

    fn of(&self, class: LimitClass) -> Option<&Counter> {
        match class {
            LimitClass::Login => self.login.as_ref(),
            LimitClass::Pay => self.pay.as_ref(),
            LimitClass::Generate => self.generate.as_ref(),
            LimitClass::Files => self.files.as_ref(),
            LimitClass::Public => self.public.as_ref(),
        }
    }

    /// Counts one request on this node alone.
    pub(crate) fn count_here(&self, caller: &Caller, client: IpAddr) -> Result<Allowance, Refusal> {
        self.all.here(key(caller, client))
    }

    /// Counts one public read of a guest on this node alone.
    pub(crate) fn count_public(&self, client: IpAddr) -> Result<Allowance, Refusal> {
        self.public.as_ref().unwrap_or(&self.all).here(Key::Address(network(client)))
    }

    /// Counts one request, here and where all nodes count; tells what is left of the scarcer allowance.
    pub(crate) async fn count(
        &self,
        dream: &Dream,
        class: Option<LimitClass>,
        caller: &Caller,
        client: IpAddr,
    ) -> Result<Allowance, Refusal> {
        let key = key(caller, client);
        if let Some(class @ (LimitClass::Files | LimitClass::Public)) = class
            && let Some(apart) = self.of(class)
        {
            return apart.here(key);
        }
        let all = self.all.count(dream, key).await?;
        let Some(class) = class.and_then(|class| self.of(class)) else { return Ok(all) };
        let own = class.count(dream, key).await?;
        Ok(if own.remaining < all.remaining { own } else { all })
    }

    /// Counts an admin key as a guess unless it has opened the administration before.
    pub(crate) fn count_admin_key(&self, client: IpAddr, key: &str) -> Result<(), Refusal> {
        let Some(counter) = &self.admin_key else { return Ok(()) };
        let digest = self.key_hasher.hash_one(key);
        if self.known_keys.lock().is_ok_and(|known| known.contains(&digest)) {
            return Ok(());
        }
        counter.here(Key::Address(network(client))).map(drop)
    }

    /// Remembers a key that opened the administration.
    pub(crate) fn know_admin_key(&self, key: &str) {
        let digest = self.key_hasher.hash_one(key);
        if let Ok(mut known) = self.known_keys.lock()
            && known.len() < MOST_KNOWN_KEYS
        {
            known.insert(digest);
        }
    }

    /// Forgets whoever has the whole allowance again.
    pub(crate) fn forget_idle(&self) {
        let classes = [&self.login, &self.pay, &self.generate, &self.files, &self.public, &self.admin_key]
            .into_iter()
            .flatten();
        for counter in classes.chain([&self.all]) {
            counter.limiter.retain_recent();
        }
    }
}

fn ceil_secs(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

fn key(caller: &Caller, client: IpAddr) -> Key {
    match caller {
        Caller::User(user) => Key::User(user.get()),
        Caller::Unknown | Caller::Admin(_) => Key::Address(network(client)),
    }
}

/// One IPv6 customer has at least a /64; counting single addresses of it would limit nobody.
pub(crate) fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use dream_core::kernel::UserId;

    use super::*;

    fn three_a_minute() -> Throttle {
        let limit = NonZeroU32::new(3).unwrap();
        Throttle::new(ThrottleRule { limit, period: Duration::from_mins(1) }, ClassLimits::default()).unwrap()
    }

    #[test]
    fn the_fourth_request_is_refused_and_told_when_to_come_back() {
        let throttle = three_a_minute();
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        for left in [2, 1, 0] {
            assert_eq!(throttle.count_here(&Caller::Unknown, here).unwrap().remaining, left);
        }
        let Refusal { error, .. } = throttle.count_here(&Caller::Unknown, here).unwrap_err();
        assert_eq!(error.code(), Code::RateLimited);
        let Facts::Throttled { retry_after_secs } = error.facts() else { panic!("no waiting time") };
        assert!((1..=20).contains(retry_after_secs));
    }

    #[test]
    fn users_behind_one_address_do_not_share_an_allowance() {
        let throttle = three_a_minute();
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        for user in 1..=5 {
            let user = Caller::User(UserId::new(user).unwrap());
            assert_eq!(throttle.count_here(&user, here).unwrap().remaining, 2);
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_an_allowance() {
        let throttle = three_a_minute();
        let first = throttle.count_here(&Caller::Unknown, "2001:db8::1".parse().unwrap()).unwrap();
        let second = throttle.count_here(&Caller::Unknown, "2001:db8::2".parse().unwrap()).unwrap();
        assert_eq!((first.remaining, second.remaining), (2, 1));
    }
}
