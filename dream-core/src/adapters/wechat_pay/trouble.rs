//! What an error answer of the platform means.

use std::time::Duration;

use serde::Deserialize;

use super::SERVICE;
use crate::ports::{Failure, FailureKind, pay_code};
use crate::protocol::foreign;

/// The code of a day without a bill: nothing happened on it.
pub const NO_BILL: &str = "NO_STATEMENT_EXIST";

/// How long a bill that is still being made is let alone.
const BILL_WAIT: Duration = Duration::from_mins(30);

#[derive(Deserialize, Default)]
struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    /// Only looked at for the log, so that a new shape of it hides no code.
    #[serde(default)]
    detail: serde_json::Value,
}

/// The failure that an error answer stands for: by its code, whichever way it is spelt, else by the status. The body
/// need not be JSON.
///
/// ```
/// use dream_core::adapters::wechat_pay::trouble::classify;
/// use dream_core::ports::{FailureKind, PayTrouble};
///
/// let paid = classify(400, r#"{"code":"ORDERPAID","message":"该订单已支付"}"#.as_bytes(), None);
/// assert_eq!(PayTrouble::of(&paid), PayTrouble::OrderPaid);
/// // A gateway's page: nobody knows whether the request got through.
/// assert_eq!(classify(502, b"<html>", None).kind, FailureKind::Unknown);
/// ```
pub fn classify(status: u16, body: &[u8], retry_after: Option<Duration>) -> Failure {
    let problem: Problem = foreign::json(body).unwrap_or_default();
    let (kind, code) = by_code(&problem).unwrap_or((by_status(status), None));
    let wait = match code {
        Some(pay_code::BILL_NOT_READY) => Some(retry_after.unwrap_or(BILL_WAIT)),
        _ => retry_after,
    };
    let failure = Failure::new(SERVICE, kind, told(status, &problem)).with_retry_after(wait);
    match code.or(Some(problem.code.as_str())).filter(|code| !code.is_empty()) {
        Some(code) => failure.with_code(code),
        None => failure,
    }
}

fn by_code(problem: &Problem) -> Option<(FailureKind, Option<&'static str>)> {
    let bare = problem.code.replace('_', "").to_ascii_uppercase();
    Some(match bare.as_str() {
        "ORDERPAID" => (FailureKind::Refused, Some(pay_code::ORDER_PAID)),
        "ORDERCLOSED" => (FailureKind::Refused, Some(pay_code::ORDER_CLOSED)),
        "OUTTRADENOUSED" => (FailureKind::Refused, Some(pay_code::NUMBER_USED)),
        // Observed for a number that comes back with other fields.
        "INVALIDREQUEST" if problem.message.starts_with("201") || problem.message.contains("订单号重复") => {
            (FailureKind::Refused, Some(pay_code::NUMBER_USED))
        }
        "ORDERNOTEXIST" | "ORDERNOTEXISTS" | "RESOURCENOTEXISTS" | "REFUNDNOTEXISTS" => {
            (FailureKind::Refused, Some(pay_code::NOT_FOUND))
        }
        "NOTENOUGH" => (FailureKind::Refused, Some(pay_code::NOT_ENOUGH)),
        "NOSTATEMENTEXIST" => (FailureKind::Refused, Some(NO_BILL)),
        "STATEMENTCREATING" => (FailureKind::Throttled, Some(pay_code::BILL_NOT_READY)),
        "RULELIMIT" | "TRADEERROR" | "ACCOUNTERROR" | "USERACCOUNTABNORMAL" => (FailureKind::Refused, None),
        "SIGNERROR"
        | "PARAMERROR"
        | "INVALIDREQUEST"
        | "APPIDMCHIDNOTMATCH"
        | "MCHNOTEXISTS"
        | "NOAUTH"
        | "REQUESTBLOCKED"
        | "OPENIDMISMATCH"
        | "INVALIDTRANSACTIONID" => (FailureKind::Misconfigured, None),
        "FREQUENCYLIMITED" | "FREQUENCYLIMITEDEXCEED" | "RATELIMITEXCEEDED" => (FailureKind::Throttled, None),
        "SYSTEMERROR" | "BANKERROR" | "SERVICEUNAVAILABLE" => (FailureKind::Unknown, None),
        _ => return None,
    })
}

fn by_status(status: u16) -> FailureKind {
    match status {
        429 => FailureKind::Throttled,
        400..=499 => FailureKind::Misconfigured,
        _ => FailureKind::Unknown,
    }
}

/// The platform's own words for the log. They name fields and rules and hold no secret of ours; values are left out.
fn told(status: u16, problem: &Problem) -> String {
    let mut text = format!("HTTP {status}");
    let detail = |name: &str| problem.detail.get(name).and_then(serde_json::Value::as_str);
    let parts =
        [Some(problem.code.as_str()), Some(problem.message.as_str()), detail("field"), detail("issue")];
    for part in parts {
        if let Some(part) = part.filter(|part| !part.is_empty()) {
            text.push_str(": ");
            text.extend(part.chars().filter(|character| !character.is_control()).take(200));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detail_of_an_unexpected_type_does_not_hide_the_code() {
        let failure = classify(
            401,
            br#"{"code":"SIGN_ERROR","message":"x","detail":{"field":"signature","detail":{"issue":"y"}}}"#,
            None,
        );
        assert_eq!(failure.code.as_deref(), Some("SIGN_ERROR"));
        let failure = classify(400, br#"{"code":"ORDERPAID","message":"x","detail":"text"}"#, None);
        assert_eq!(failure.code.as_deref(), Some(pay_code::ORDER_PAID));
    }
}
