//! Files: whole or in part (RFC 9110, section 14), with a strong entity tag, and cacheable for ever.
//!
//! [`Wanted`] reads what the client asks for, [`Wanted::portion`] decides what of a file of a given size and tag is sent, and
//! [`File`] writes the response. A `HEAD` gets the headers of the whole file, and its body is never opened. The body of a
//! file is a stream, so that a client that does not read holds one piece of it and not the file.

use dream_core::Result;
use dream_core::ports::ByteRange;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use utoipa::openapi::Required;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::call::Call;
use crate::input::Input;
use crate::openapi::{Described, Schemas, Sketch};
use crate::public_cache::is_fresh;
use crate::reply::{IntoReply, Payload, Reply};

/// A name is never used again for other content.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const BYTES: HeaderValue = HeaderValue::from_static("bytes");

/// What of a file is wanted: `If-None-Match`, `Range` and `If-Range`. Several ranges at once, or nonsense, mean the
/// whole; so does any range of a `HEAD` (RFC 9110, section 14.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    span: Option<Span>,
    if_range: Option<HeaderValue>,
    /// Only what the client has already.
    known: HeaderMap,
    head: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    From(u64, u64),
    Last(u64),
}

/// What is to be sent of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// All of it.
    Whole,
    /// These bytes.
    Part(ByteRange),
    /// The range lies behind the end.
    Outside,
    /// Nothing: the client has it.
    Known,
}

impl Wanted {
    fn of(method: &Method, headers: &HeaderMap) -> Self {
        let head = method == Method::HEAD;
        let range = headers.get(RANGE).filter(|_| !head).and_then(|value| value.to_str().ok());
        let mut known = HeaderMap::new();
        known.extend(headers.get_all(IF_NONE_MATCH).iter().map(|tag| (IF_NONE_MATCH, tag.clone())));
        Self { span: range.and_then(span), if_range: headers.get(IF_RANGE).cloned(), known, head }
    }

    /// Whether only the headers are wanted, and the content need not be read.
    pub fn is_head(&self) -> bool {
        self.head
    }

    /// What of a file of this size and tag is to be sent.
    pub fn portion(&self, size: u64, etag: &HeaderValue) -> Portion {
        if is_fresh(&self.known, etag) {
            return Portion::Known;
        }
        if self.if_range.as_ref().is_some_and(|known| known != etag) {
            return Portion::Whole;
        }
        match self.span {
            None => Portion::Whole,
            Some(Span::From(first, _)) if first >= size => Portion::Outside,
            Some(Span::From(first, last)) => Portion::Part(ByteRange { first, last: last.min(size - 1) }),
            Some(Span::Last(0)) => Portion::Outside,
            Some(Span::Last(_)) if size == 0 => Portion::Outside,
            Some(Span::Last(count)) => {
                Portion::Part(ByteRange { first: size.saturating_sub(count), last: size - 1 })
            }
        }
    }
}

/// Reads `bytes=0-99`, `bytes=100-` or `bytes=-100`.
fn span(text: &str) -> Option<Span> {
    let (first, last) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (first.trim(), last.trim()) {
        ("", count) => number(count).map(Span::Last),
        (first, "") => number(first).map(|first| Span::From(first, u64::MAX)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Span::From(first, last))
        }
    }
}

impl Input for Wanted {
    async fn read(call: &mut Call) -> Result<Self> {
        Ok(Self::of(call.method(), call.headers()))
    }

    fn describe(sketch: &mut Sketch<'_>) {
        sketch.parameter(
            ParameterBuilder::new()
                .name("Range")
                .parameter_in(ParameterIn::Header)
                .required(Required::False)
                .description(Some("A part of the file, such as `bytes=0-99`"))
                .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
                .build(),
        );
    }
}

/// A file or a part of it, as a response.
#[derive(Debug)]
pub struct File {
    /// What it is.
    pub content_type: HeaderValue,
    /// Its strong tag.
    pub etag: HeaderValue,
    /// Bytes of the whole.
    pub size: u64,
    /// What of it is sent.
    pub portion: Portion,
    /// What is sent.
    pub body: Payload,
}

impl IntoReply for File {
    fn into_reply(self) -> Result<Reply> {
        let (status, range) = match self.portion {
            Portion::Whole => (StatusCode::OK, None),
            Portion::Part(part) => (
                StatusCode::PARTIAL_CONTENT,
                Some(format!("bytes {}-{}/{}", part.first, part.last, self.size)),
            ),
            Portion::Outside => (StatusCode::RANGE_NOT_SATISFIABLE, Some(format!("bytes */{}", self.size))),
            Portion::Known => (StatusCode::NOT_MODIFIED, None),
        };
        let mut headers = HeaderMap::new();
        if !matches!(self.portion, Portion::Outside | Portion::Known) {
            headers.insert(CONTENT_TYPE, self.content_type);
        }
        headers.insert(ETAG, self.etag);
        headers.insert(CACHE_CONTROL, FOR_EVER);
        headers.insert(ACCEPT_RANGES, BYTES);
        if let Some(range) = range.and_then(|range| HeaderValue::try_from(range).ok()) {
            headers.insert(CONTENT_RANGE, range);
        }
        Ok(Reply { status, headers, body: self.body })
    }

    fn describe(_: &mut Schemas) -> Vec<Described> {
        vec![
            Described::other(StatusCode::OK, "The file", "image/*"),
            Described::other(StatusCode::PARTIAL_CONTENT, "The part that was asked for", "image/*"),
            Described::empty(StatusCode::NOT_MODIFIED, "The client has it"),
            Described::empty(StatusCode::RANGE_NOT_SATISFIABLE, "The part lies behind the end"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn portion(range: &'static str, size: u64) -> Portion {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_static(range));
        Wanted::of(&Method::GET, &headers).portion(size, &HeaderValue::from_static("\"a\""))
    }

    fn part(first: u64, last: u64) -> Portion {
        Portion::Part(ByteRange { first, last })
    }

    #[test]
    fn one_range_is_honoured_within_the_file() {
        assert_eq!(portion("bytes=0-9", 100), part(0, 9));
        assert_eq!(portion("bytes=90-", 100), part(90, 99));
        assert_eq!(portion("bytes=90-1000", 100), part(90, 99));
        assert_eq!(portion("bytes=-10", 100), part(90, 99));
        assert_eq!(portion("bytes=-1000", 100), part(0, 99));
        assert_eq!(portion("bytes=100-", 100), Portion::Outside);
        assert_eq!(portion("bytes=-0", 100), Portion::Outside);
        assert_eq!(portion("bytes=-1", 0), Portion::Outside);
    }

    #[test]
    fn a_range_means_nothing_to_a_head() {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_static("bytes=0-9"));
        let wanted = Wanted::of(&Method::HEAD, &headers);
        assert!(wanted.is_head());
        assert_eq!(wanted.portion(100, &HeaderValue::from_static("\"a\"")), Portion::Whole);
    }

    #[test]
    fn nonsense_and_several_ranges_mean_the_whole() {
        for range in
            ["bytes=9-0", "bytes=a-b", "bytes=0-1,5-6", "lines=0-1", "bytes=", "bytes=99999999999999999999-"]
        {
            assert_eq!(portion(range, 100), Portion::Whole, "{range}");
        }
    }

    #[test]
    fn a_range_of_another_version_means_the_whole() {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_static("bytes=0-9"));
        headers.insert(IF_RANGE, HeaderValue::from_static("\"b\""));
        let wanted = Wanted::of(&Method::GET, &headers);
        assert_eq!(wanted.portion(100, &HeaderValue::from_static("\"a\"")), Portion::Whole);
        assert_eq!(wanted.portion(100, &HeaderValue::from_static("\"b\"")), part(0, 9));
    }
}
