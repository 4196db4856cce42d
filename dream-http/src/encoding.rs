//! gzip, where it pays.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

/// Bodies below this size are sent as they are.
pub(crate) const MIN_BYTES: usize = 1024;
pub(crate) const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// Whether the client takes gzip.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = None;
    for value in headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()) {
        for choice in value.split(',') {
            let (name, rest) = choice.split_once(';').unwrap_or((choice, ""));
            let weight = rest.trim().strip_prefix("q=").map_or(1.0, |q| q.trim().parse().unwrap_or(0.0_f32));
            match name.trim() {
                "gzip" | "x-gzip" => return weight > 0.0,
                "*" => any = Some(weight > 0.0),
                _ => {}
            }
        }
    }
    any.unwrap_or(false)
}

/// Whether bodies of this type get smaller. Pictures do not.
pub(crate) fn is_compressible(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = kind.split(';').next().unwrap_or("").trim();
    essence.starts_with("text/")
        || matches!(essence, "application/json" | "application/javascript" | "image/svg+xml")
}

/// The bytes compressed at the cheapest level, unless that does not make them smaller.
pub(crate) fn gzip(bytes: &Bytes) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::fast());
    encoder.write_all(bytes).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() < bytes.len()).then(|| packed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(text: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(text));
        accepts_gzip(&headers)
    }

    #[test]
    fn gzip_is_used_only_if_it_is_welcome() {
        assert!(accepts("gzip, deflate, br"));
        assert!(accepts("br;q=1.0, gzip;q=0.8, *;q=0.1"));
        assert!(accepts("*"));
        assert!(!accepts("gzip;q=0, *"));
        assert!(!accepts("br"));
        assert!(!accepts("identity"));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
