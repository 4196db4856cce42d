//! The wire protocols against published and computed vectors, and against noise.
#![cfg(test)]

mod encrypted_data;
mod exchanges;
mod image_api;
mod image_jobs;
mod message_push;
mod noise;
mod signature;
mod support;
mod token;
mod webhook;
mod wechat;

use serde_json::Value;

/// A file of vectors, parsed.
macro_rules! vectors {
    ($name:literal) => {
        serde_json::from_str::<serde_json::Value>(include_str!(concat!(
            "../../../dream-testkit/vectors/",
            $name,
            ".json"
        )))
        .unwrap()
    };
}
pub(crate) use vectors;

/// The member as text.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is missing in {value}"))
}

/// The cases of a file's list.
fn cases<'a>(file: &'a Value, list: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let cases = file[list].as_array().unwrap();
    assert!(!cases.is_empty());
    cases.iter().map(|case| (text(case, "id"), case))
}

/// The case's own time, else the file's.
fn now(file: &Value, case: &Value) -> dream_core::kernel::Timestamp {
    let secs = case["now"].as_i64().or(file["now"].as_i64()).unwrap();
    dream_core::kernel::Timestamp::from_secs(secs)
}
