//! Reading paths, queries and bodies: all faults at once, and never a 500.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use crate::house::{House, post_head};

const ORDERS: &str = "/v1/test/orders";

#[tokio::test]
async fn every_faulty_field_of_a_body_is_named_at_once() {
    let house = House::open().await;
    let body = r#"{"count": 11, "nickName": "toolong", "tags": ["ok", "long!", 5], "nested": {"no": 1},
                   "jobId": "a/b", "free": [], "surplus": true}"#;
    let answer = house.post(ORDERS, body).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "VALIDATION_FAILED"));
    let expected = [
        "count RANGE",
        "free TYPE",
        "jobId FORMAT",
        "nested.no UNKNOWN",
        "nested.yes REQUIRED",
        "nickName LENGTH",
        "surplus UNKNOWN",
        "tags LENGTH",
    ];
    assert_eq!(answer.faults(), expected);
}

#[tokio::test]
async fn faults_inside_lists_are_named_by_their_place() {
    let house = House::open().await;
    let answer = house.post(ORDERS, r#"{"count": 1, "tags": ["long!", 5]}"#).await;
    assert_eq!(answer.faults(), ["tags[0] LENGTH", "tags[1] TYPE"]);
}

#[tokio::test]
async fn numbers_are_whole_and_fit() {
    let house = House::open().await;
    for (count, fault) in [
        ("0", "RANGE"),
        ("-1", "RANGE"),
        ("4294967296", "RANGE"),
        ("9223372036854775808", "RANGE"),
        ("123456789012345678901234567890", "RANGE"),
        ("-9999999999999999999999", "RANGE"),
        ("1.5", "TYPE"),
        ("1.0", "TYPE"),
        ("\"1\"", "TYPE"),
        ("true", "TYPE"),
        ("[1]", "TYPE"),
        ("{}", "TYPE"),
        ("null", "REQUIRED"),
    ] {
        let answer = house.post(ORDERS, &format!("{{\"count\": {count}}}")).await;
        assert_eq!(answer.faults(), [format!("count {fault}")], "{count}");
    }
}

#[tokio::test]
async fn texts_with_nul_and_keys_that_stand_twice_are_refused() {
    let house = House::open().await;
    let nul = house.post(ORDERS, r#"{"count": 1, "nickName": "a\u0000b"}"#).await;
    assert_eq!(nul.faults(), ["nickName FORMAT"]);
    let twice = house.post(ORDERS, r#"{"count": 1, "count": 2}"#).await;
    assert_eq!(twice.faults(), ["count DUPLICATE"]);
    let both = house.post(ORDERS, r#"{"count": 99, "free": {"a": {"b": 1, "b": "\u0000"}}}"#).await;
    assert_eq!(both.faults(), ["count RANGE", "free.a.b DUPLICATE", "free.a.b FORMAT"]);
}

#[tokio::test]
async fn what_is_not_json_is_said_to_be_so() {
    let house = House::open().await;
    let deep = "[".repeat(100) + &"]".repeat(100);
    let deep_inside = format!("{{\"count\": 1, \"free\": {{\"a\": {deep}}}}}");
    for body in [
        "{",
        "count=1",
        "{\"count\": 1,}",
        "{\"count\": 1} x",
        "\u{feff}{}",
        "{\"count\": 1e999}",
        "{\"a\": \"\\ud800\"}",
        &deep,
        &deep_inside,
    ] {
        let answer = house.post(ORDERS, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_JSON"), "{body}");
    }
    let not_utf8 = house.ask(&post_head(ORDERS, 12), b"{\"a\": \"\xff\xfe\"}").await;
    assert_eq!(not_utf8.code(), "INVALID_JSON");
    let not_an_object = house.post(ORDERS, "[1]").await;
    assert_eq!(not_an_object.faults(), ["body TYPE"]);
}

#[tokio::test]
async fn an_empty_body_names_what_is_missing() {
    let house = House::open().await;
    let bare =
        house.ask(&format!("POST {ORDERS} HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"), b"").await;
    assert_eq!(bare.faults(), ["count REQUIRED"]);
}

#[tokio::test]
async fn only_json_is_read_as_json() {
    let house = House::open().await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=gbk", "json"] {
        let head = format!(
            "POST {ORDERS} HTTP/1.1\r\nHost: t\r\nContent-Type: {kind}\r\nContent-Length: 11\r\n\r\n"
        );
        let answer = house.ask(&head, b"{\"count\":1}").await;
        assert_eq!((answer.status, answer.code().as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"), "{kind}");
    }
    let silent = format!("POST {ORDERS} HTTP/1.1\r\nHost: t\r\nContent-Length: 11\r\n\r\n");
    assert_eq!(house.ask(&silent, b"{\"count\":1}").await.status, 415);
    let fine = format!(
        "POST {ORDERS} HTTP/1.1\r\nHost: t\r\nContent-Type: Application/JSON;charset=\"UTF-8\"\r\n\
         Content-Length: 11\r\n\r\n"
    );
    assert_eq!(house.ask(&fine, b"{\"count\":1}").await.status, 201);
}

#[tokio::test]
async fn a_good_body_is_understood() {
    let house = House::open().await;
    let body = r#"{"count": 3, "nickName": "你好吗朋友", "tags": ["a", "b"], "jobId": "j-1", "nested": {"yes": true},
                   "free": {"x": [1, {"y": null}]}, "type": "x"}"#;
    let answer = house.post(ORDERS, body).await;
    assert_eq!((answer.status, answer.text().as_str()), (201, "3 你好吗朋友 2 j-1 true 1x"));
    let nulls = house.post(ORDERS, r#"{"count": 1, "nickName": null, "tags": null, "nested": null}"#).await;
    assert_eq!(nulls.status, 201);
}

#[tokio::test]
async fn every_faulty_parameter_of_a_query_is_named_at_once() {
    let house = House::open().await;
    let answer = house.get("/v1/test/list?limit=0&wait=26&trending=yes&what=1&limit=2").await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.faults(),
        ["limit DUPLICATE", "limit RANGE", "trending TYPE", "wait RANGE", "what UNKNOWN"]
    );
}

#[tokio::test]
async fn queries_are_read_strictly_but_kindly() {
    let house = House::open().await;
    for (query, faults) in [
        ("limit=101", vec!["limit RANGE"]),
        ("limit=-1", vec!["limit RANGE"]),
        ("limit=abc", vec!["limit TYPE"]),
        ("limit=99999999999999999999", vec!["limit TYPE"]),
        ("wait=99999999999999999999", vec!["wait RANGE"]),
        ("wait=%00", vec!["wait FORMAT"]),
        ("wait=%ff", vec!["wait FORMAT"]),
        ("%00=1", vec!["\0 FORMAT"]),
        ("page=1", vec!["page UNKNOWN"]),
    ] {
        let answer = house.get(&format!("/v1/test/list?{query}")).await;
        assert_eq!(
            (answer.status, answer.faults()),
            (400, faults.into_iter().map(str::to_owned).collect()),
            "{query}"
        );
    }
    assert_eq!(house.get("/v1/test/list?limit=&wait=&&").await.text(), "20 0 false");
    assert_eq!(house.get("/v1/test/list?limit=7&trending=true&wait=25").await.text(), "7 25 true");
    let surplus = house.get("/v1/test/me?x=1").await;
    assert_eq!(surplus.status, 401, "the gate comes first");
}

#[tokio::test]
async fn an_impossible_id_is_as_absent_as_an_unknown_one() {
    let house = House::open().await;
    for id in ["..%2f..%2fhealth", "%00", "%ff", "a%20b", &"a".repeat(65)] {
        let answer = house.get(&format!("/v1/test/jobs/{id}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "JOB_NOT_FOUND"), "{id}");
    }
    assert_eq!(house.get("/v1/test/jobs/%6Aob_1").await.text(), "job_1");
    assert_eq!(house.get("/v1/test/jobs/../../health").await.code(), "ROUTE_NOT_FOUND");
}

/// What the server answers to each of these bodies.
fn some_bodies() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "[{}\\[\\]\",:0-9a-z\\\\. -]{0,60}".prop_map(String::into_bytes),
        r#"\{"(count|tags|nested|free)": ?(-?[0-9]{1,30}|"[a-z]{0,9}"|\[[0-9,]{0,5}\]|null|true)\}"#
            .prop_map(String::into_bytes),
    ]
}

/// This many values of the strategy, the same in every run.
fn values<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[tokio::test]
async fn no_body_makes_it_fail() {
    let house = House::open().await;
    for body in values(&some_bodies(), 500) {
        let answer = house.ask(&post_head(ORDERS, body.len()), &body).await;
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert!(matches!(answer.status, 201 | 400), "{shown}: {answer:?}");
    }
}

#[tokio::test]
async fn no_query_makes_it_fail() {
    let house = House::open().await;
    for query in values(&"([a-z]{0,8}=?[0-9a-z%+&=]{0,8}&?){0,6}", 500) {
        let answer = house.get(&format!("/v1/test/list?{query}")).await;
        assert!(matches!(answer.status, 200 | 400), "{query}: {answer:?}");
    }
}
