//! Headers that are input.

use dream_core::jobs::UpstreamCredential;
use dream_core::{Code, Error, Fault, Format, Result, kernel};
use http::HeaderName;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::Input;
use crate::call::Call;
use crate::openapi::Sketch;
use crate::problem::Lang;

/// The header that makes a repeated request the same request.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const UPSTREAM_AUTHORIZATION: HeaderName = HeaderName::from_static("x-upstream-authorization");

/// `Idempotency-Key`, if one was sent: 1–255 printable ASCII characters.
///
/// ```
/// use dream_core::jobs::GenerateRequest;
/// use dream_core::{Code, Result, Session};
/// use dream_http::input::IdempotencyKey;
///
/// async fn surprise(me: Session, IdempotencyKey(key): IdempotencyKey) -> Result<String> {
///     let request = GenerateRequest::new("a surprise".parse().map_err(|_| Code::Internal)?);
///     // A client that asks twice under one key gets one job.
///     Ok(me.generate(&request, key.as_ref(), None).await?.job_id.to_string())
/// }
/// # let _ = dream_http::table::post("/v1/surprise", surprise);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<kernel::IdempotencyKey>);

impl Input for IdempotencyKey {
    async fn read(call: &mut Call) -> Result<Self> {
        let Some(text) = single(call, &IDEMPOTENCY_KEY)? else { return Ok(Self(None)) };
        text.parse().map(|key| Self(Some(key))).map_err(|fault| fault_of(&IDEMPOTENCY_KEY, fault))
    }

    fn describe(sketch: &mut Sketch<'_>) {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(kernel::IdempotencyKey::MAX_LEN));
        let meaning = "The same key and body again give the first answer again";
        sketch.parameter(header("Idempotency-Key", meaning, text));
        sketch.code(Code::IdempotencyConflict);
    }
}

/// `X-Upstream-Authorization`, if one was sent: the caller's own credential for the image API.
///
/// ```
/// use dream_core::jobs::GenerateRequest;
/// use dream_core::{Code, Result, Session};
/// use dream_http::input::UpstreamAuthorization;
///
/// async fn surprise(me: Session, UpstreamAuthorization(own): UpstreamAuthorization) -> Result<String> {
///     let request = GenerateRequest::new("a surprise".parse().map_err(|_| Code::Internal)?);
///     Ok(me.generate(&request, None, own.as_ref()).await?.job_id.to_string())
/// }
/// # let _ = dream_http::table::post("/v1/surprise", surprise);
/// ```
#[derive(Debug)]
pub struct UpstreamAuthorization(pub Option<UpstreamCredential>);

impl Input for UpstreamAuthorization {
    async fn read(call: &mut Call) -> Result<Self> {
        let Some(text) = single(call, &UPSTREAM_AUTHORIZATION)? else { return Ok(Self(None)) };
        UpstreamCredential::new(text.to_owned())
            .map(|credential| Self(Some(credential)))
            .map_err(|fault| fault_of(&UPSTREAM_AUTHORIZATION, fault))
    }

    fn describe(sketch: &mut Sketch<'_>) {
        let meaning = "The caller's own credential for the image API, where the operator passes such on";
        let text = ObjectBuilder::new().schema_type(Type::String);
        sketch.parameter(header("X-Upstream-Authorization", meaning, text));
    }
}

/// The header's value, if it stands there once.
fn single<'c>(call: &'c Call, name: &HeaderName) -> Result<Option<&'c str>> {
    let mut values = call.headers().get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(fault_of(name, Fault::Format(Format::PrintableKey))),
        },
        (Some(_), Some(_)) => Err(fault_of(name, Fault::Duplicate)),
    }
}

fn fault_of(name: &HeaderName, fault: Fault) -> Error {
    Error::invalid_field(name.as_str(), fault)
}

fn header(name: &str, meaning: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(meaning))
        .schema(Some(schema))
        .build()
}

/// The language that the reader prefers, for the few answers that contain a sentence.
impl Input for Lang {
    async fn read(call: &mut Call) -> Result<Self> {
        Ok(call.lang())
    }

    fn describe(_: &mut Sketch<'_>) {}
}
