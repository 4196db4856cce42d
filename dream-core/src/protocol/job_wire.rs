//! The parts of JSON that the image API's answers and its notices share. They are read leniently: whatever odd value
//! stands in one place must not hide what the rest says.

use serde::{Deserialize, Deserializer};

use crate::ports::JobError;

/// Results as they are told. What is no text is no picture, and is kept as an empty one, so that it is missed.
pub(crate) fn results<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    use serde_json::Value;
    let text = |value| if let Value::String(text) = value { text } else { String::new() };
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => Vec::new(),
        Value::Array(values) => values.into_iter().map(text).collect(),
        other => vec![text(other)],
    })
}

/// Why a job failed: an object, or a bare text.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum ErrorWire {
    /// `{"code":"TIMEOUT","message":"…"}`
    Object {
        /// The code.
        #[serde(default)]
        code: Option<String>,
        /// What relays say where they have no code.
        #[serde(default, rename = "type")]
        kind: Option<String>,
        /// The text.
        #[serde(default)]
        message: Option<String>,
    },
    /// A text alone, which is then the code if it looks like one.
    Text(String),
}

impl From<ErrorWire> for JobError {
    fn from(wire: ErrorWire) -> Self {
        let unknown = || "UNKNOWN_ERROR".to_owned();
        match wire {
            ErrorWire::Object { code, kind, message } => JobError {
                code: code.or(kind).filter(|code| !code.is_empty()).unwrap_or_else(unknown),
                message: message.unwrap_or_default(),
            },
            ErrorWire::Text(text) => {
                let is_code = !text.is_empty()
                    && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
                JobError { code: if is_code { text.clone() } else { unknown() }, message: text }
            }
        }
    }
}
