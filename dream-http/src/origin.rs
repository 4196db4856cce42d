//! Cross-origin requests (CORS).

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method};

/// Whose pages may read our answers.
///
/// ```
/// use dream_http::{Origins, Settings};
/// use http::HeaderValue;
///
/// // Only the admin pages may read answers in a browser. Mini-programs are no pages and need nothing.
/// let origins = Origins::Listed(vec![HeaderValue::from_static("https://admin.example.com")]);
/// let settings = Settings { origins, ..Settings::default() };
/// # assert_ne!(settings.origins, Origins::Any);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origins {
    /// Everybody's, without credentials of the browser.
    #[default]
    Any,
    /// These, such as `https://admin.example.com`.
    Listed(Vec<HeaderValue>),
}

const EXPOSED: HeaderValue = HeaderValue::from_static(
    "X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, ETag",
);
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Accept-Language, If-None-Match, Idempotency-Key, X-Admin-Key, X-Request-Id, \
     X-Upstream-Authorization",
);
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const ANY: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// Whether this is a browser asking beforehand.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

impl Origins {
    /// What every answer says to the page that asked.
    pub(crate) fn write(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        match self {
            Origins::Any => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
            }
            Origins::Listed(list) => {
                headers.append(VARY, HeaderValue::from_name(ORIGIN));
                let Some(origin) = origin.filter(|origin| list.contains(origin)) else { return };
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
            }
        }
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }

    /// What the answer to a preflight says besides.
    pub(crate) fn write_preflight(allowed: HeaderValue, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allowed);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
}
