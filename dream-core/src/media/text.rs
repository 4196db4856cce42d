//! Pictures that come as text.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use super::{MAX_BYTES, invalid, too_large};
use crate::error::Result;

/// Some clients leave the padding out.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads a data URL (RFC 2397) in base64, or bare base64, in lines or in one.
///
/// # Errors
/// `IMAGE_INVALID` if it is neither; `PAYLOAD_TOO_LARGE` beyond 10 MiB of content.
pub(crate) fn from_base64(text: &str) -> Result<Bytes> {
    let base64 = match text.strip_prefix("data:") {
        Some(rest) => rest.split_once(";base64,").ok_or_else(|| invalid("a data URL without base64"))?.1,
        None => text,
    };
    if base64.len() > MAX_BYTES.div_ceil(3) * 4 + MAX_BYTES / 16 {
        return Err(too_large());
    }
    let bytes = decode(base64)?;
    match bytes.len() {
        0 => Err(invalid("nothing")),
        length if length > MAX_BYTES => Err(too_large()),
        _ => Ok(bytes),
    }
}

/// Reads a data URL in base64 of any length: its caller has bounded the text.
///
/// # Errors
/// `IMAGE_INVALID` if it is none.
pub(crate) fn from_data_url(text: &str) -> Result<Bytes> {
    let (kind, base64) = text.split_once(',').ok_or_else(|| invalid("no data URL"))?;
    if kind.ends_with(";base64") { decode(base64) } else { Err(invalid("a data URL without base64")) }
}

fn decode(base64: &str) -> Result<Bytes> {
    let decoded = if base64.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let dense: Vec<u8> = base64.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        LENIENT.decode(dense)
    } else {
        LENIENT.decode(base64)
    };
    decoded.map(Bytes::from).map_err(invalid)
}
