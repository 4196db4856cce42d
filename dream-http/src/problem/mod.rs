//! `Error` to an answer: status, sentence in the reader's language, and the envelope of the contract.

mod lang;
mod texts;

use std::borrow::Cow;

use bytes::Bytes;
use dream_core::kernel::Timestamp;
use dream_core::trace::TraceId;
use dream_core::{Code, Error, Facts};
use http::header::{CONTENT_LANGUAGE, CONTENT_TYPE, RETRY_AFTER, VARY};
use http::{HeaderValue, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

pub use lang::Lang;
pub(crate) use texts::job_failure;
pub use texts::status;

use crate::reply::{JSON_UTF8, Payload};

/// Seconds that a client is asked to wait where we know nothing better.
const RETRY_SECS: u64 = 2;

/// What every error answers with.
///
/// ```
/// use dream_core::{Error, Fault};
/// use dream_core::kernel::Timestamp;
/// use dream_http::problem::{Asked, Lang, Problem};
///
/// let error = Error::invalid_field("sampleCount", Fault::Range { min: 1, max: 10 });
/// let asked = Asked {
///     lang: Lang::En,
///     request_id: "9f1c-4711",
///     path: "/v1/images/generate",
///     now: Timestamp::from_secs(1_769_600_000),
/// };
/// let body = serde_json::to_value(Problem::new(&error, asked)).unwrap();
/// assert_eq!((&body["statusCode"], &body["code"]), (&400.into(), &"VALIDATION_FAILED".into()));
/// assert_eq!(body["errors"][0]["field"], "sampleCount");
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem<'a> {
    /// The HTTP status.
    #[schema(example = 400)]
    pub status_code: u16,
    /// The status in words.
    #[schema(example = "Bad Request")]
    pub error: Cow<'a, str>,
    /// What went wrong: stable and machine-readable.
    #[schema(value_type = ErrorCode)]
    pub code: Cow<'a, str>,
    /// What went wrong, for people, in the language of `Accept-Language`.
    pub message: String,
    /// The faulty fields, all of them; only on validation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldProblem<'a>>,
    /// Figures that belong to the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<ProblemData>,
    /// The id of the request, as in `X-Request-Id`.
    pub request_id: Cow<'a, str>,
    /// When it happened.
    pub timestamp: String,
    /// The path that was asked for.
    pub path: Cow<'a, str>,
}

/// The list of codes as the document tells it: each with its status and its sentences, for clients that show a sentence
/// where no answer brought one.
struct ErrorCode;

impl PartialSchema for ErrorCode {
    fn schema() -> RefOr<Schema> {
        let told = |code: &Code| {
            let [zh, en] = [Lang::Zh, Lang::En].map(|lang| texts::sentence(*code, lang));
            let status = status(*code).as_u16();
            let told = json!({"status": status, Lang::Zh.tag(): zh, Lang::En.tag(): en});
            (code.as_str().to_owned(), told)
        };
        let codes: serde_json::Map<_, _> = Code::ALL.iter().map(told).collect();
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("Every code; `x-codes` has the status and the sentences of each."))
            .enum_values(Some(Code::ALL.iter().map(|code| code.as_str())))
            .examples([Code::ValidationFailed.as_str()])
            .extensions(Some(Extensions::from_iter([("x-codes", serde_json::Value::Object(codes))])))
            .into()
    }
}

impl ToSchema for ErrorCode {}

/// One faulty field.
///
/// ```
/// use dream_http::problem::FieldProblem;
///
/// let problem = FieldProblem {
///     field: "tags[3]".into(),
///     code: "LENGTH".into(),
///     message: "at most 32 characters".to_owned(),
/// };
/// assert_eq!(serde_json::to_value(problem).unwrap()["code"], "LENGTH");
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldProblem<'a> {
    /// Path of the field, such as `userInfo.nickName` or `tags[3]`.
    pub field: Cow<'a, str>,
    /// The kind of fault.
    #[schema(example = "RANGE")]
    pub code: Cow<'a, str>,
    /// What is wrong with it, for people.
    pub message: String,
}

/// Figures that belong to a code.
///
/// ```
/// use dream_http::problem::ProblemData;
///
/// let data = ProblemData::Quota { daily_limit: 5, daily_used: 5, points_required: 10, points_balance: 3 };
/// // For a client that says "7 points are missing".
/// assert_eq!(serde_json::to_value(data).unwrap()["pointsRequired"], 10);
/// ```
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ProblemData {
    /// With `QUOTA_EXCEEDED`.
    #[serde(rename_all = "camelCase")]
    Quota {
        /// Samples a day at the caller's level.
        daily_limit: i64,
        /// Samples used today.
        daily_used: i64,
        /// Points that the uncovered samples would cost.
        points_required: i64,
        /// Points that are there.
        points_balance: i64,
    },
    /// How many points are missing.
    #[serde(rename_all = "camelCase")]
    Shortfall {
        /// Points.
        points_missing: i64,
    },
    /// With `TEMPLATE_EXISTS`.
    #[serde(rename_all = "camelCase")]
    Templates {
        /// The ids that are taken, or stand twice in what was sent.
        template_ids: Vec<String>,
    },
    /// With `STORAGE_LIMIT_REACHED` (bytes), `ORDER_LIMIT_REACHED` and `FAVORITE_LIMIT_REACHED`.
    #[serde(rename_all = "camelCase")]
    Limit {
        /// The most there may be.
        limit: i64,
        /// How much there is.
        used: i64,
    },
    /// With `IMAGE_INVALID`.
    #[serde(rename_all = "camelCase")]
    Picture {
        /// Why the picture was refused: `FORMAT`, `HEIC`, `ANIMATED`, `DAMAGED`, `TOO_MANY_PIXELS` or
        /// `TOO_LARGE_TO_STORE`.
        reason: &'static str,
    },
    /// With `PAYLOAD_TOO_LARGE`.
    #[serde(rename_all = "camelCase")]
    TooLarge {
        /// The most that would have been read, in bytes.
        limit_bytes: u64,
    },
}

impl ProblemData {
    fn of(facts: &Facts) -> Option<Self> {
        match facts {
            &Facts::Quota { daily_limit, daily_used, points_required, points_balance } => {
                Some(Self::Quota { daily_limit, daily_used, points_required, points_balance })
            }
            &Facts::Shortfall { points } => Some(Self::Shortfall { points_missing: points }),
            Facts::Templates(ids) => {
                Some(Self::Templates { template_ids: ids.iter().map(ToString::to_string).collect() })
            }
            &Facts::Limit { limit, used } => Some(Self::Limit { limit, used }),
            Facts::Picture(fault) => Some(Self::Picture { reason: fault.as_str() }),
            &Facts::TooLarge { limit_bytes } => Some(Self::TooLarge { limit_bytes }),
            _ => None,
        }
    }
}

/// What an answer to an error says about the request.
///
/// ```
/// use dream_core::kernel::Timestamp;
/// use dream_core::{Code, Error};
/// use dream_http::problem::{Asked, Lang, Problem};
///
/// let asked = Asked {
///     lang: Lang::Zh,
///     request_id: "9f1c-4711",
///     path: "/v1/jobs/none",
///     now: Timestamp::from_secs(1_769_600_000),
/// };
/// let (error, english) = (Error::new(Code::JobNotFound), Asked { lang: Lang::En, ..asked });
/// assert_ne!(Problem::new(&error, asked).message, Problem::new(&error, english).message);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The language of the sentences.
    pub lang: Lang,
    /// The id of the request.
    pub request_id: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// The present instant.
    pub now: Timestamp,
}

impl<'a> Problem<'a> {
    /// What this error says to whoever asked. Its source stays behind.
    ///
    /// ```
    /// use dream_core::Error;
    /// use dream_http::problem::{Asked, Lang, Problem};
    ///
    /// # let now = dream_core::kernel::Timestamp::from_secs(1_769_600_000);
    /// let asked = Asked { lang: Lang::En, request_id: "9f1c-4711", path: "/v1/orders", now };
    /// let error = Error::internal("no such table: orders");
    /// let json = serde_json::to_string(&Problem::new(&error, asked)).unwrap();
    /// assert!(json.contains("9f1c-4711"), "by which the log tells more");
    /// assert!(!json.contains("table"));
    /// ```
    pub fn new(error: &'a Error, asked: Asked<'a>) -> Self {
        let status = status(error.code());
        let errors = match error.facts() {
            Facts::Fields(faults) => faults.as_slice(),
            _ => &[],
        };
        Self {
            status_code: status.as_u16(),
            error: status.canonical_reason().unwrap_or("Error").into(),
            code: error.code().as_str().into(),
            message: texts::message(error.code(), error.facts(), asked.lang),
            errors: errors
                .iter()
                .map(|fault| FieldProblem {
                    field: fault.field.as_str().into(),
                    code: fault.fault.as_str().into(),
                    message: texts::phrase(&fault.fault, asked.lang),
                })
                .collect(),
            data: ProblemData::of(error.facts()),
            request_id: asked.request_id.into(),
            timestamp: asked.now.to_string(),
            path: asked.path.into(),
        }
    }
}

/// How a row words its errors, where the caller expects another body than [`Problem`].
///
/// ```
/// use dream_core::Result;
/// use dream_http::gate::Anyone;
/// use dream_http::problem::Problem;
/// use dream_http::table::post;
///
/// async fn notify(_: Anyone, (): ()) -> Result<()> {
///     Ok(())
/// }
/// // A caller with a form of its own for errors.
/// fn in_its_words(problem: &Problem<'_>) -> Vec<u8> {
///     format!(r#"{{"code":"FAIL","message":"{}"}}"#, problem.code).into_bytes()
/// }
/// # let _ =
/// post("/v1/partner/notify", notify).wording(in_its_words);
/// ```
pub type Wording = fn(&Problem<'_>) -> Vec<u8>;

/// The answer to an error.
pub(crate) fn answer(error: &Error, asked: Asked<'_>, wording: Option<Wording>) -> Response<Payload> {
    let problem = Problem::new(error, asked);
    let body = match wording {
        Some(words) => words(&problem),
        None => serde_json::to_vec(&problem).unwrap_or_default(),
    };
    let mut response = Response::new(Payload::from(Bytes::from(body)));
    *response.status_mut() = status(error.code());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON_UTF8);
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(asked.lang.tag()));
    headers.append(VARY, HeaderValue::from_static("Accept-Language"));
    if let Some(secs) = retry_after(error) {
        headers.insert(RETRY_AFTER, HeaderValue::from(secs));
    }
    response
}

fn retry_after(error: &Error) -> Option<u64> {
    match (error.code(), error.facts()) {
        (_, Facts::Throttled { retry_after_secs }) => Some((*retry_after_secs).max(1)),
        (Code::RateLimited | Code::Unavailable, _) => Some(RETRY_SECS),
        _ => None,
    }
}

/// Logs an error that somebody has to look at, once, with its whole chain. What the caller did wrong is in the
/// access log already.
pub(crate) fn log(error: &Error, route: &'static str, request_id: &str, trace: TraceId) {
    if status(error.code()).is_server_error() {
        tracing::error!(
            request.id = request_id,
            trace_id = %trace,
            http.route = route,
            error.code = error.code().as_str(),
            error = error.chain(),
            "request failed"
        );
    } else if std::error::Error::source(error).is_some() {
        tracing::debug!(
            request.id = request_id,
            trace_id = %trace,
            http.route = route,
            error.code = error.code().as_str(),
            error = error.chain(),
            "request refused"
        );
    }
}

#[cfg(test)]
mod tests {
    use dream_core::Fault;

    use super::*;

    fn asked(lang: Lang) -> Asked<'static> {
        Asked { lang, request_id: "r-1", path: "/v1/orders", now: Timestamp::from_secs(1_769_594_400) }
    }

    #[test]
    fn the_envelope_has_the_shape_of_the_contract() {
        let error = Error::invalid_field("limit", Fault::Range { min: 1, max: 100 });
        let json = serde_json::to_value(Problem::new(&error, asked(Lang::En))).unwrap();
        let expected = serde_json::json!({
            "statusCode": 400, "error": "Bad Request", "code": "VALIDATION_FAILED",
            "message": "limit must be between 1 and 100",
            "errors": [{ "field": "limit", "code": "RANGE", "message": "must be between 1 and 100" }],
            "requestId": "r-1", "timestamp": "2026-01-28T10:00:00.000Z", "path": "/v1/orders"
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn an_exceeded_quota_shows_its_figures_and_no_field_errors() {
        let facts = Facts::Quota { daily_limit: 5, daily_used: 4, points_required: 10, points_balance: 3 };
        let error = Error::new(Code::QuotaExceeded).with_facts(facts);
        let json = serde_json::to_value(Problem::new(&error, asked(Lang::Zh))).unwrap();
        let data = serde_json::json!({
            "dailyLimit": 5, "dailyUsed": 4, "pointsRequired": 10, "pointsBalance": 3
        });
        assert_eq!(json["data"], data);
        assert_eq!(json["message"], "今日额度和积分都不足");
        assert!(json.get("errors").is_none());
    }

    #[test]
    fn a_source_never_reaches_the_client() {
        let error = Error::internal("password=hunter2 in table users");
        let json = serde_json::to_string(&Problem::new(&error, asked(Lang::En))).unwrap();
        assert!(!json.contains("hunter2"));
        assert!(!json.contains("users"));
    }

    #[test]
    fn every_code_speaks_both_languages() {
        for &code in Code::ALL {
            let zh = texts::message(code, &Facts::None, Lang::Zh);
            let en = texts::message(code, &Facts::None, Lang::En);
            assert!(!zh.is_ascii(), "{code} in Chinese: {zh}");
            assert!(en.is_ascii(), "{code} in English: {en}");
        }
        for facts in [Facts::Signature, Facts::UserInactive] {
            let [zh, en] = [Lang::Zh, Lang::En].map(|lang| texts::message(Code::UpstreamError, &facts, lang));
            assert!(!zh.is_ascii() && en.is_ascii(), "{zh} {en}");
            assert!(!zh.contains("请先登录") && !zh.contains("稍后"), "{zh}");
        }
    }
}
