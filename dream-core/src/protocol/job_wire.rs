use serde::Deserialize;

use crate::ports::JobError;

/// Why a job failed: an object, or a bare text.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum ErrorWire {
    /// `{"code":"TIMEOUT","message":"…"}`
    Object {
        /// The code.
        #[serde(default)]
        code: Option<String>,
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
            ErrorWire::Object { code, message } => JobError {
                code: code.filter(|code| !code.is_empty()).unwrap_or_else(unknown),
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
