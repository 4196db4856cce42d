//! The document that is committed is the one that is served.

use dream_http::openapi_json;

/// Where the document is kept.
const COMMITTED: &str = include_str!("../../../docs/openapi.json");

#[tokio::test]
async fn the_committed_document_is_the_one_that_is_served() {
    let served = openapi_json().unwrap();
    let fresh = concat!(env!("CARGO_TARGET_TMPDIR"), "/openapi.json");
    tokio::fs::write(fresh, &served).await.unwrap();
    // No `assert_eq`: nobody wants to see both of them.
    assert!(served == COMMITTED, "docs/openapi.json is out of date: copy {fresh} over it");
}
