//! A file in a multipart form.

use std::convert::Infallible;

use bytes::Bytes;
use dream_core::{Code, Error, Facts, Fault, Format, Result};
use futures_util::stream;
use http::header::CONTENT_TYPE;

use super::{Faults, Input};
use crate::call::Call;
use crate::openapi::Sketch;

/// A form of more parts than this is not read to its end: it may have only one.
const MAX_PARTS: usize = 16;
/// What boundaries and part headers may add to the file.
const FORM_OVERHEAD: u64 = 16 * 1024;

/// The form field `file` of a `multipart/form-data` body, of at most `LIMIT` bytes. Other fields are refused.
///
/// ```
/// use dream_core::{Result, Session};
/// use dream_http::input::Upload;
///
/// /// Up to a mebibyte in the form field `file`.
/// async fn keep(me: Session, file: Upload<1_048_576>) -> Result<String> {
///     let name = file.original_name.as_deref().unwrap_or("picture");
///     Ok(me.upload_picture(file.bytes, name).await?.url)
/// }
/// # let _ = dream_http::table::post("/v1/keep", keep);
/// ```
#[derive(Debug, Clone)]
pub struct Upload<const LIMIT: u64> {
    /// The name that the client gave it. Only to be shown again, never to be used as a path.
    pub original_name: Option<String>,
    /// The type that the client claims. The content decides.
    pub content_type: Option<String>,
    /// The file.
    pub bytes: Bytes,
}

impl<const LIMIT: u64> Input for Upload<LIMIT> {
    async fn read(call: &mut Call) -> Result<Self> {
        let claimed = call.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let boundary = multer::parse_boundary(claimed).map_err(|_| Error::new(Code::UnsupportedMediaType))?;
        let bytes = call.body_bytes(LIMIT + FORM_OVERHEAD).await?;
        let body = stream::iter([Ok::<_, Infallible>(bytes)]);
        let mut form = multer::Multipart::new(body, boundary);
        let mut file = None;
        let mut faults = Faults::default();
        let mut parts = 0;
        while let Some(field) = form.next_field().await.map_err(broken)? {
            parts += 1;
            if parts > MAX_PARTS {
                return Err(Error::invalid_field("body", Fault::Format(Format::Multipart)));
            }
            let name = field.name().unwrap_or("").to_owned();
            match (name.as_str(), file.is_some()) {
                ("file", false) => file = Some(one_file(field).await?),
                ("file", true) => faults.push(Fault::Duplicate.at("file")),
                (other, _) => faults.push(Fault::Unknown.at(other)),
            }
        }
        if file.is_none() {
            faults.push(Fault::Required.at("file"));
        }
        faults.check(())?;
        file.ok_or_else(|| Error::invalid_field("file", Fault::Required))
    }

    fn describe(sketch: &mut Sketch<'_>) {
        sketch.file_body(LIMIT);
    }
}

async fn one_file<const LIMIT: u64>(field: multer::Field<'_>) -> Result<Upload<LIMIT>> {
    let original_name = field.file_name().map(str::to_owned);
    let content_type = field.content_type().map(ToString::to_string);
    let bytes = field.bytes().await.map_err(broken)?;
    if bytes.len() as u64 > LIMIT {
        let facts = Facts::TooLarge { limit_bytes: LIMIT };
        return Err(Error::new(Code::PayloadTooLarge).with_facts(facts));
    }
    Ok(Upload { original_name, content_type, bytes })
}

fn broken(error: multer::Error) -> Error {
    Error::invalid_field("body", Fault::Format(Format::Multipart)).with_source(error)
}
