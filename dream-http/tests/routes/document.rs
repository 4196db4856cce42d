//! The document that is committed is the one that is served.

use dream_http::openapi_json;
use serde_json::Value;

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

fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (format!("{method} {path}"), operation))
    })
}

#[test]
fn every_request_body_says_that_unknown_fields_are_refused() {
    let document: Value = serde_json::from_str(&openapi_json().unwrap()).unwrap();
    let mut closed = 0;
    for (name, operation) in operations(&document) {
        for content in
            operation["requestBody"]["content"].as_object().into_iter().flat_map(|all| all.values())
        {
            let mut schema = &content["schema"];
            if let Some(reference) = schema["$ref"].as_str() {
                schema = document.pointer(&reference[1..]).unwrap();
            }
            if schema["properties"].is_object() {
                assert_eq!(schema["additionalProperties"], false, "{name}");
                closed += 1;
            }
        }
    }
    assert!(closed > 10, "{closed}");
}

#[test]
fn every_operation_lists_its_errors() {
    let document: Value = serde_json::from_str(&openapi_json().unwrap()).unwrap();
    for (name, operation) in operations(&document) {
        let internal = operation["responses"]["500"]["description"].as_str();
        assert_eq!(internal, Some("INTERNAL"), "{name}");
    }
    let health = &document["paths"]["/v1/health"]["get"]["responses"]["500"]["content"]["application/json"];
    assert_eq!(health["schema"]["$ref"], "#/components/schemas/Problem");
}
