//! So many requests in so many seconds, per user, else per client address.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use dream_core::{Code, Error, Facts};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::call::Caller;

type Limiter = RateLimiter<Key, DashMapStateStore<Key>, DefaultClock, StateInformationMiddleware>;

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    User(i64),
    Address(IpAddr),
}

/// How many requests are allowed in how long a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleRule {
    /// Requests.
    pub limit: NonZeroU32,
    /// The time in which an unused allowance comes back whole.
    pub period: Duration,
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

/// The counters. They are this process's own: each node of several allows the same again.
#[derive(Debug)]
pub(crate) struct Throttle {
    rule: ThrottleRule,
    limiter: Limiter,
}

impl Throttle {
    pub(crate) fn new(rule: ThrottleRule) -> Option<Self> {
        let quota = Quota::with_period(rule.period / rule.limit.get())?.allow_burst(rule.limit);
        Some(Self { rule, limiter: RateLimiter::dashmap(quota).with_middleware() })
    }

    /// Counts one request.
    pub(crate) fn count(&self, caller: &Caller, client: IpAddr) -> Result<Allowance, (Error, Allowance)> {
        let limit = self.rule.limit.get();
        match self.limiter.check_key(&key(caller, client)) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let one = self.rule.period / limit;
                let reset_secs = ceil_secs(one * (limit.saturating_sub(remaining)));
                Ok(Allowance { limit, remaining, reset_secs })
            }
            Err(not_until) => {
                let wait = ceil_secs(not_until.wait_time_from(DefaultClock::default().now())).max(1);
                let facts = Facts::Throttled { retry_after_secs: wait };
                let allowance = Allowance { limit, remaining: 0, reset_secs: ceil_secs(self.rule.period) };
                Err((Error::new(Code::RateLimited).with_facts(facts), allowance))
            }
        }
    }

    /// Forgets whoever has the whole allowance again.
    pub(crate) fn forget_idle(&self) {
        self.limiter.retain_recent();
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
fn network(client: IpAddr) -> IpAddr {
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
        Throttle::new(ThrottleRule { limit, period: Duration::from_mins(1) }).unwrap()
    }

    #[test]
    fn the_fourth_request_is_refused_and_told_when_to_come_back() {
        let throttle = three_a_minute();
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        for left in [2, 1, 0] {
            assert_eq!(throttle.count(&Caller::Unknown, here).unwrap().remaining, left);
        }
        let (error, _) = throttle.count(&Caller::Unknown, here).unwrap_err();
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
            assert_eq!(throttle.count(&user, here).unwrap().remaining, 2);
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_an_allowance() {
        let throttle = three_a_minute();
        let first = throttle.count(&Caller::Unknown, "2001:db8::1".parse().unwrap()).unwrap();
        let second = throttle.count(&Caller::Unknown, "2001:db8::2".parse().unwrap()).unwrap();
        assert_eq!((first.remaining, second.remaining), (2, 1));
    }
}
