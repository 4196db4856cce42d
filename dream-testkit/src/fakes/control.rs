//! The knobs that every fake has, over HTTP: its requests and its faults.

use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::server::{FakeRequest, FakeResponse, Recorded, RequestLog};
use crate::faults::{FaultRule, Faults};

/// Longest part of a body that is shown, in characters.
const SHOWN: usize = 4096;

/// Answers what is the same at every fake:
///
/// - `GET /_control/requests`: what it was asked, with `?last=` the last so many and none of the knobs; `DELETE` forgets it
/// - `GET /_control/faults`: what is going to go wrong; `POST` adds a [`FaultRule`]; `DELETE` drops all
pub(crate) fn answer(request: &FakeRequest, log: &RequestLog, faults: &Faults) -> Option<FakeResponse> {
    Some(match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/_control/requests") => {
            let all = log.all();
            let wanted = request.param("last").and_then(|last| last.parse().ok()).unwrap_or(all.len());
            let asked = |recorded: &&Recorded| {
                request.param("last").is_none() || !recorded.request.path.starts_with("/_control")
            };
            let mut last: Vec<Shown> = all.iter().rev().filter(asked).take(wanted).map(Shown::from).collect();
            last.reverse();
            show(&last)
        }
        ("DELETE", "/_control/requests") => {
            log.clear();
            done()
        }
        ("GET", "/_control/faults") => show(&faults.rules()),
        ("POST", "/_control/faults") => with(request, |rule: FaultRule| {
            faults.add(rule);
            done()
        }),
        ("DELETE", "/_control/faults") => {
            faults.clear();
            done()
        }
        _ => return None,
    })
}

/// 200 with this JSON.
pub(crate) fn show(value: &impl Serialize) -> FakeResponse {
    FakeResponse::json(StatusCode::OK, value)
}

/// 204: it is done and there is nothing to tell.
pub(crate) fn done() -> FakeResponse {
    FakeResponse::empty(StatusCode::NO_CONTENT)
}

/// 404: there is no such knob, or nothing of that name.
pub(crate) fn unknown(what: &str) -> FakeResponse {
    FakeResponse::json(StatusCode::NOT_FOUND, &json!({"error": what}))
}

/// Reads the body, or says why it cannot be read.
pub(crate) fn with<T: DeserializeOwned>(
    request: &FakeRequest,
    then: impl FnOnce(T) -> FakeResponse,
) -> FakeResponse {
    match request.json() {
        Ok(body) => then(body),
        Err(error) => FakeResponse::json(StatusCode::BAD_REQUEST, &json!({"error": error.to_string()})),
    }
}

/// A request as it is shown.
#[derive(Serialize)]
struct Shown {
    at: String,
    method: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    body: String,
    status: Option<u16>,
    note: Option<String>,
}

impl From<&Recorded> for Shown {
    fn from(recorded: &Recorded) -> Self {
        let request = &recorded.request;
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Self {
            at: request.at.to_string(),
            method: request.method.to_string(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.iter().map(header).collect(),
            body: String::from_utf8_lossy(&request.body).chars().take(SHOWN).collect(),
            status: recorded.status,
            note: recorded.note.clone(),
        }
    }
}
