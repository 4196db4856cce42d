//! Files: whole or in part (RFC 9110, 14), with a strong tag, and kept by clients for as long as they like.

use bytes::Bytes;
use dream_core::Result;
use dream_core::ports::ByteRange;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
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
/// whole.
///
/// ```
/// use dream_core::Result;
/// use dream_http::file::{File, Wanted};
/// use dream_http::gate::Anyone;
/// use http::HeaderValue;
///
/// async fn logo(_: Anyone, wanted: Wanted) -> Result<File> {
///     const LOGO: &[u8] = b"<svg/>";
///     let etag = HeaderValue::from_static("\"logo-1\"");
///     let portion = wanted.portion(LOGO.len() as u64, &etag);
///     // `Part` would send less of it; a logo is small.
///     Ok(File {
///         content_type: HeaderValue::from_static("image/svg+xml"),
///         etag,
///         size: 6,
///         portion,
///         bytes: LOGO.into(),
///     })
/// }
/// # let _ = dream_http::table::get("/logo.svg", logo);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    span: Option<Span>,
    if_range: Option<HeaderValue>,
    /// Only what the client has already.
    known: HeaderMap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    From(u64, u64),
    Last(u64),
}

/// What is to be sent of a file.
///
/// ```
/// use dream_core::ports::ByteRange;
/// use dream_http::file::Portion;
///
/// let length = |portion: Portion, size: u64| match portion {
///     Portion::Whole => size,
///     Portion::Part(ByteRange { first, last }) => last - first + 1,
///     Portion::Outside | Portion::Known => 0,
/// };
/// assert_eq!(
///     length(Portion::Part(ByteRange { first: 0, last: 99 }), 1000),
///     100,
///     "both ends are part of it"
/// );
/// ```
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
    fn of(headers: &HeaderMap) -> Self {
        let range = headers.get(RANGE).and_then(|value| value.to_str().ok());
        let mut known = HeaderMap::new();
        known.extend(headers.get_all(IF_NONE_MATCH).iter().map(|tag| (IF_NONE_MATCH, tag.clone())));
        Self { span: range.and_then(span), if_range: headers.get(IF_RANGE).cloned(), known }
    }

    /// What of a file of this size and tag is to be sent.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Result;
    /// use dream_http::file::{Portion, Wanted};
    /// use dream_http::gate::Anyone;
    /// use dream_http::table::get;
    /// use http::HeaderValue;
    ///
    /// /// How many bytes of a film a player asks for.
    /// async fn length(_: Anyone, wanted: Wanted) -> Result<u64> {
    ///     match wanted.portion(1000, &HeaderValue::from_static("\"film-1\"")) {
    ///         Portion::Part(part) => Ok(part.last - part.first + 1),
    ///         Portion::Whole | Portion::Outside | Portion::Known => Ok(1000),
    ///     }
    /// }
    /// # let rows = vec![get("/v1/length", length)];
    /// # let settings = dream_http::Settings { listen: ([127, 0, 0, 1], 0).into(), ..Default::default() };
    /// # let app = dream_http::App::builder(world.dream().clone(), settings).rows(rows).build()?;
    /// # let server = dream_http::Server::bind(app)?;
    /// # let base = format!("http://{}", server.local_addr()?);
    /// # let serving = tokio::spawn(server.serve(std::future::pending()));
    /// # let url = format!("{base}/v1/length");
    /// let answer = reqwest::Client::new().get(url).header("range", "bytes=900-4999").send().await?;
    /// assert_eq!(answer.json::<u64>().await?, 100, "it ends before the range does");
    /// # serving.abort();
    /// # Ok(())
    /// # });
    /// ```
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
        Ok(Self::of(call.headers()))
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

/// A file or a part of it, as an answer.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_http::file::{File, Portion};
/// use dream_http::reply::IntoReply as _;
/// use http::HeaderValue;
///
/// let file = File {
///     content_type: HeaderValue::from_static("image/png"),
///     etag: HeaderValue::from_static("\"a.png\""),
///     size: 5,
///     portion: Portion::Whole,
///     bytes: "bytes".into(),
/// };
/// let reply = file.into_reply()?;
/// assert_eq!(reply.headers["accept-ranges"], "bytes");
/// assert!(reply.headers["cache-control"].to_str()?.contains("immutable"), "a name is never used again");
/// # Ok(())
/// # }
/// ```
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
    /// The bytes that are sent.
    pub bytes: Bytes,
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
        Ok(Reply { status, headers, body: Payload::from(self.bytes) })
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
        Wanted::of(&headers).portion(size, &HeaderValue::from_static("\"a\""))
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
        let wanted = Wanted::of(&headers);
        assert_eq!(wanted.portion(100, &HeaderValue::from_static("\"a\"")), Portion::Whole);
        assert_eq!(wanted.portion(100, &HeaderValue::from_static("\"b\"")), part(0, 9));
    }
}
