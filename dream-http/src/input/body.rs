//! JSON bodies.

use std::fmt;

use deserr::{Deserr, IntoValue as _, ValuePointerRef};
use dream_core::{Code, Error, Result};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use super::{Faults, Input, Shape, strict};
use crate::call::Call;
use crate::openapi::Sketch;

/// The most bytes that are read where a route does not say otherwise.
pub const DEFAULT_BODY: u64 = 64 * 1024;
/// Bodies up to this size are parsed at once; others on a thread of their own, so that nobody waits behind them.
const AT_ONCE: usize = 64 * 1024;
/// How many values more than its schema has a body may have.
const FAULTY_VALUES: usize = 1000;

/// A JSON body of at most `LIMIT` bytes. An empty one is read as `{}`, so that what is missing gets named.
///
/// ```
/// use dream_core::{Guest, Result};
/// use dream_http::input::{Body, Text};
/// use dream_http::table::post;
///
/// dream_http::input! {
///     /// What somebody has to say.
///     pub struct Feedback {
///         /// The words.
///         pub text: Text<1, 2000>,
///     }
/// }
/// async fn say(_: Guest, Body(feedback): Body<Feedback, 16384>) -> Result<usize> {
///     Ok(feedback.text.0.chars().count())
/// }
/// # let _ = post("/v1/feedback", say);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body<T, const LIMIT: u64 = DEFAULT_BODY>(pub T);

impl<T: Deserr<Faults> + Shape + fmt::Debug + Send + 'static, const LIMIT: u64> Input for Body<T, LIMIT> {
    async fn read(call: &mut Call) -> Result<Self> {
        let json = is_json(call.headers());
        if json == Some(false) {
            return Err(Error::new(Code::UnsupportedMediaType));
        }
        let bytes = call.body_bytes(LIMIT).await?;
        if bytes.is_empty() {
            return from_json(Value::Object(Map::new()), Faults::default()).map(Self);
        }
        if json.is_none() {
            return Err(Error::new(Code::UnsupportedMediaType));
        }
        if bytes.len() <= AT_ONCE {
            return read_json(&bytes).map(Self);
        }
        call.app().off_thread(move || read_json(&bytes)).await?.map(Self)
    }

    fn describe(sketch: &mut Sketch<'_>) {
        sketch.json_body::<T>(LIMIT);
    }
}

/// Reads a value that came by another way than a request, by the same rules.
///
/// ```
/// use dream_core::{Code, Facts};
/// use dream_http::input::{Whole, read_value};
///
/// dream_http::input! {
///     /// A gift.
///     pub struct Gift {
///         /// How many points.
///         pub points: Whole<1, 1000>,
///     }
/// }
/// assert_eq!(read_value::<Gift>(serde_json::json!({ "points": 50 }))?.points.0, 50);
///
/// let refused = read_value::<Gift>(serde_json::json!({ "points": 0, "reason": "x" })).unwrap_err();
/// let Facts::Fields(faults) = refused.facts() else { panic!("no fields") };
/// assert_eq!(faults.len(), 2, "too few, and a field that nobody knows");
/// # assert_eq!(refused.code(), Code::ValidationFailed);
/// # Ok::<(), dream_core::Error>(())
/// ```
///
/// # Errors
/// [`Code::ValidationFailed`] that names every faulty field.
pub fn read_value<T: Deserr<Faults>>(value: Value) -> Result<T> {
    from_json(value, Faults::default())
}

/// Parses a body, within what its schema can hold: twice the values that a valid body has at most, so that one with too
/// long a list or with unknown fields is still told every fault.
fn read_json<T: Deserr<Faults> + Shape>(bytes: &[u8]) -> Result<T> {
    const { assert!(T::VALUES < usize::MAX / 4, "a schema without bounds") };
    let (value, faults) = strict::parse(bytes, 2 * T::VALUES + FAULTY_VALUES)?;
    from_json(value, faults)
}

fn from_json<T: Deserr<Faults>>(value: Value, mut faults: Faults) -> Result<T> {
    match T::deserialize_from_value(value.into_value(), ValuePointerRef::Origin) {
        Ok(value) => faults.check(value),
        Err(more) => {
            faults.extend(more);
            Err(faults.into())
        }
    }
}

/// Whether the body claims to be JSON; `None` if it claims nothing.
fn is_json(headers: &HeaderMap) -> Option<bool> {
    let value = headers.get(CONTENT_TYPE)?;
    let Ok(text) = value.to_str() else { return Some(false) };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let essence = essence.trim().to_ascii_lowercase();
    let json =
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    let charset = parameters.split(';').filter_map(|one| one.split_once('=')).find_map(|(name, value)| {
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    Some(json && charset.is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8")))
}
