use dream_core::adapters::wechat_pay::trouble::{NO_BILL, classify};
use dream_core::ports::{Failure, FailureKind, PayTrouble, pay_code};
use serde_json::Value;

use crate::vectors::{cases, pay_errors, text};

fn class(failure: &Failure) -> &'static str {
    if failure.code.as_deref() == Some(NO_BILL) {
        return "bill_none";
    }
    match PayTrouble::of(failure) {
        PayTrouble::RetrySame => "retry_same",
        PayTrouble::SlowDown => "backoff",
        PayTrouble::OrderPaid => "query_order",
        PayTrouble::NumberUsed => "new_number",
        PayTrouble::OrderClosed => "closed",
        PayTrouble::NotFound => "not_found",
        PayTrouble::Misconfigured => "config",
        PayTrouble::Refused => "refund_refused",
        PayTrouble::BalanceShort => "refund_later",
        PayTrouble::BillLater => "bill_later",
    }
}

#[test]
fn every_error_answer_is_of_the_class_that_the_vectors_say() {
    for case in cases(&pay_errors(), "cases") {
        let status = u16::try_from(case["response"]["status"].as_u64().unwrap()).unwrap();
        if (200..300).contains(&status) {
            assert_eq!(text(&case, "/expect/class"), "ok");
            continue;
        }
        let failure = classify(status, text(&case, "/response/body").as_bytes(), None);
        let allowed: Vec<_> = match &case["expect"]["class_any_of"] {
            Value::Array(any) => any.iter().filter_map(Value::as_str).collect(),
            _ => vec![text(&case, "/expect/class")],
        };
        assert!(allowed.contains(&class(&failure)), "{}: {failure}", text(&case, "/id"));
    }
}

#[test]
fn both_spellings_mean_the_same_and_the_status_does_not_matter() {
    for code in ["ORDERPAID", "ORDER_PAID", "order_paid"] {
        let failure = classify(403, format!(r#"{{"code":"{code}"}}"#).as_bytes(), None);
        assert_eq!(PayTrouble::of(&failure), PayTrouble::OrderPaid);
    }
}

#[test]
fn a_code_nobody_knows_is_judged_by_its_status() {
    let kind = |status| classify(status, br#"{"code":"BRAND_NEW"}"#, None).kind;
    assert_eq!(kind(400), FailureKind::Misconfigured);
    assert_eq!(kind(403), FailureKind::Misconfigured);
    assert_eq!(kind(429), FailureKind::Throttled);
    assert_eq!(kind(500), FailureKind::Unknown);
    assert_eq!(kind(302), FailureKind::Unknown);
}

#[test]
fn a_bill_in_the_making_says_when_to_come_back() {
    let failure = classify(400, br#"{"code":"STATEMENT_CREATING","message":""}"#, None);
    assert_eq!(failure.code.as_deref(), Some(pay_code::BILL_NOT_READY));
    assert_eq!(failure.retry_after, Some(std::time::Duration::from_mins(30)));
    assert!(failure.is_transient());
}
