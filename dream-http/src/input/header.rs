//! Headers that are input.

use dream_core::{Error, Fault, Result};
use http::HeaderName;
use utoipa::openapi::Required;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::Input;
use crate::call::Call;
use crate::openapi::Sketch;
use crate::problem::{Lang, PRINTABLE_KEY};

/// The header that makes a repeated request the same request.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MAX_KEY: usize = 255;

/// `Idempotency-Key`, if one was sent: 1–255 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl Input for IdempotencyKey {
    async fn read(call: &mut Call) -> Result<Self> {
        let mut values = call.headers().get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or("").trim();
        let printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if values.next().is_some() {
            Err(Error::invalid_field("Idempotency-Key", Fault::Duplicate))
        } else if (1..=MAX_KEY).contains(&text.len()) && printable {
            Ok(Self(Some(text.to_owned())))
        } else {
            Err(Error::invalid_field("Idempotency-Key", Fault::Format(PRINTABLE_KEY)))
        }
    }

    fn describe(sketch: &mut Sketch<'_>) {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(MAX_KEY))
            .build();
        sketch.parameter(
            ParameterBuilder::new()
                .name("Idempotency-Key")
                .parameter_in(ParameterIn::Header)
                .required(Required::False)
                .description(Some("The same key and body again give the first answer again"))
                .schema(Some(text))
                .build(),
        );
    }
}

/// The language that the reader prefers, for the few answers that contain a sentence.
impl Input for Lang {
    async fn read(call: &mut Call) -> Result<Self> {
        Ok(call.lang())
    }

    fn describe(_: &mut Sketch<'_>) {}
}
