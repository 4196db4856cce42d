//! What WeChat's numbers mean to us. Their texts change and are only for the log.

use std::time::Duration;

use super::api::SERVICE;
use crate::adapters::outbound::excerpt;
use crate::ports::{Failure, FailureKind, USER_INACTIVE};

/// The one-time code is unknown, spent, expired, or of another mini-program.
pub(crate) const CODE_INVALID: &str = "CODE_INVALID";
/// `WeChat` refuses this user.
pub(crate) const HIGH_RISK: &str = "HIGH_RISK";
/// `WeChat` is busy.
pub(crate) const BUSY: &str = "BUSY";
/// The openid is not one of this mini-program.
pub(crate) const OPENID_INVALID: &str = "OPENID_INVALID";
/// The user has not subscribed, or the subscription is used up.
pub(crate) const NOT_SUBSCRIBED: &str = "NOT_SUBSCRIBED";
/// The template, its page or a value of it is wrong.
pub(crate) const TEMPLATE_INVALID: &str = "TEMPLATE_INVALID";
/// The `session_key` is no longer valid.
pub(crate) const SESSION_INVALID: &str = "SESSION_INVALID";
/// The access token does not work.
pub(crate) const TOKEN_INVALID: &str = "TOKEN_INVALID";
/// Version 1's way of calling a text risky.
pub(crate) const RISKY: &str = "RISKY";

/// After a minute's quota was used up, and after a day's.
const MINUTE: Duration = Duration::from_mins(1);
const LATER: Duration = Duration::from_mins(30);

/// The failure behind an `errcode` other than 0.
pub(super) fn failure(errcode: i64, errmsg: &str) -> Failure {
    use FailureKind::{Misconfigured, Refused, Throttled, Unknown};
    let number = errcode.to_string();
    let (kind, code, wait) = match errcode {
        -1 => (Unknown, BUSY, None),
        40029 | 40163 => (Refused, CODE_INVALID, None),
        40226 => (Refused, HIGH_RISK, None),
        40003 | 43104 => (Refused, OPENID_INVALID, None),
        61010 => (Refused, USER_INACTIVE, None),
        43101 => (Refused, NOT_SUBSCRIBED, None),
        40037 | 41030 | 47003 => (Refused, TEMPLATE_INVALID, None),
        87007 | 87009 => (Refused, SESSION_INVALID, None),
        87014 => (Refused, RISKY, None),
        45011 => (Throttled, number.as_str(), Some(MINUTE)),
        45009 => (Throttled, number.as_str(), Some(LATER)),
        // After a refresh this means that the AppSecret or the token service is at fault.
        40001 | 40014 | 42001 => (Misconfigured, TOKEN_INVALID, None),
        40002 | 40013 | 40125 | 40164 | 40243 | 41001 | 41002 | 41004 | 48001 | 50002 | 50004 | 50007
        | 89503 | 89506 | 89507 => (Misconfigured, number.as_str(), None),
        _ => (Refused, number.as_str(), None),
    };
    Failure::new(SERVICE, kind, format!("errcode {errcode}: {}", excerpt(errmsg)))
        .with_code(code)
        .with_retry_after(wait)
}

/// Whether trying again at once can help. A time-out has used up the time there was.
pub(super) fn is_worth_a_repeat(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::Unknown | FailureKind::Unreachable)
}
