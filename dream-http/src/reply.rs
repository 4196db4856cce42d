//! What a handler gives back: a status, a body, and its entry in the document.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dream_core::ports::MAX_PIECE;
use dream_core::{Error, Result};
use futures_util::{Stream, TryStreamExt as _};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use serde::Serialize;
use utoipa::ToSchema;

use crate::openapi::{Described, Schemas};
use crate::pace;
use crate::response_memory::{Reservation, reserved};

pub(crate) const JSON_UTF8: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The largest chunk of a body on an HTTP/2 stream, in bytes: what may wait in the send buffer of a stream whose client
/// does not read. It is the usual size of a frame.
const HTTP2_CHUNK: usize = 16 * 1024;

/// The body of a response: bytes in memory, or a stream.
#[derive(Debug)]
pub struct Payload {
    source: Source,
    /// Bytes that were not handed out, if that is known.
    left: Option<u64>,
    /// Whether it goes out in chunks that suit an HTTP/2 stream.
    http2: bool,
    reservation: Option<Arc<Reservation>>,
}

#[derive(Debug)]
enum Source {
    Empty,
    Bytes(Bytes),
    Stream(Box<Streamed>),
    /// The response to a `HEAD` has the length of the body and nothing of it.
    Unsent,
}

#[derive(Debug)]
struct Streamed {
    body: UnsyncBoxBody<Bytes, BoxError>,
    /// What came out of it last and was not handed out.
    rest: Bytes,
    /// What it holds in memory at most.
    holds: u64,
}

/// No body at all.
impl Default for Payload {
    fn default() -> Self {
        Self::new(Source::Empty, Some(0))
    }
}

impl Payload {
    fn new(source: Source, left: Option<u64>) -> Self {
        Self { source, left, http2: false, reservation: None }
    }

    /// A body that is made while it is sent, in chunks of at most 256 KiB.
    pub fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let left = body.size_hint().exact();
        Self::streamed(UnsyncBoxBody::new(body.map_err(Into::into)), left)
    }

    /// A body of `length` bytes that comes piece by piece; a stream that ends early breaks the response off.
    pub fn pieces<S, E>(pieces: S, length: u64) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let body = StreamBody::new(pieces.map_ok(Frame::data).map_err(Into::into));
        Self::streamed(UnsyncBoxBody::new(body), Some(length))
    }

    fn streamed(body: UnsyncBoxBody<Bytes, BoxError>, left: Option<u64>) -> Self {
        let holds = left.map_or(MAX_PIECE as u64, |length| length.min(MAX_PIECE as u64));
        Self::new(Source::Stream(Box::new(Streamed { body, rest: Bytes::new(), holds })), left)
    }

    /// For the response to a `HEAD`: the length of a body that is not read.
    pub fn unsent(length: u64) -> Self {
        Self::new(Source::Unsent, Some(length))
    }

    /// The bytes, if all of them are in memory.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.source {
            Source::Bytes(bytes) => Some(bytes),
            Source::Empty | Source::Stream(_) | Source::Unsent => None,
        }
    }

    /// The length, if it is known.
    pub fn len(&self) -> Option<u64> {
        self.left
    }

    /// Whether it is known to be empty.
    pub fn is_empty(&self) -> bool {
        self.left == Some(0)
    }

    /// What the body holds in memory at most until it is sent, in bytes.
    pub(crate) fn holds(&self) -> u64 {
        match &self.source {
            Source::Empty | Source::Unsent => 0,
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Stream(streamed) => streamed.holds,
        }
    }

    /// The same body, whose bytes keep a reservation until the last of them is gone.
    #[must_use]
    pub(crate) fn holding(mut self, reservation: Reservation) -> Self {
        let reservation = Arc::new(reservation);
        if let Source::Bytes(bytes) = &mut self.source {
            *bytes = reserved(std::mem::take(bytes), &reservation);
        }
        self.reservation = Some(reservation);
        self
    }

    /// The same body, in chunks that suit an HTTP/2 stream.
    #[must_use]
    pub(crate) fn on_http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// The next chunk of what is at hand; `None` if nothing is.
    ///
    /// On HTTP/2 the last byte of a body that holds a reservation is a chunk of its own. hyper asks for it only once the
    /// client has room for all before it; else hyper would be done with the stream while the last frames wait for a
    /// client that never reads them, and nobody could end it.
    fn next_chunk(&mut self) -> Option<Bytes> {
        let rest = match &mut self.source {
            Source::Bytes(bytes) => bytes,
            Source::Stream(streamed) => &mut streamed.rest,
            Source::Empty | Source::Unsent => return None,
        };
        let mut length = if self.http2 { rest.len().min(HTTP2_CHUNK) } else { rest.len() };
        if self.http2 && self.reservation.is_some() && length > 1 && self.left == Some(length as u64) {
            length -= 1;
        }
        if length == 0 {
            return None;
        }
        let chunk = rest.split_to(length);
        self.left = self.left.map(|left| left.saturating_sub(length as u64));
        pace::client_is_awaited();
        Some(chunk)
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        let left = Some(bytes.len() as u64);
        Self::new(if bytes.is_empty() { Source::Empty } else { Source::Bytes(bytes) }, left)
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if let Some(chunk) = this.next_chunk() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            match &mut this.source {
                Source::Stream(streamed) => {
                    let polled = Pin::new(&mut streamed.body).poll_frame(cx);
                    if polled.is_pending() {
                        pace::source_is_awaited();
                    }
                    match ready!(polled).map(|frame| frame.map(Frame::into_data)) {
                        Some(Ok(Ok(bytes))) => {
                            streamed.rest = match &this.reservation {
                                Some(reservation) => reserved(bytes, reservation),
                                None => bytes,
                            };
                        }
                        Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                        Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                        None => this.source = Source::Empty,
                    }
                }
                Source::Unsent => return Poll::Ready(Some(Err("the body of a HEAD is not read".into()))),
                Source::Empty | Source::Bytes(_) => {
                    (this.source, this.reservation) = (Source::Empty, None);
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Bytes(bytes) => bytes.is_empty(),
            Source::Unsent => false,
            Source::Stream(streamed) => {
                self.left == Some(0) || (streamed.rest.is_empty() && streamed.body.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.source, self.left) {
            (_, Some(left)) => SizeHint::with_exact(left),
            (Source::Stream(streamed), None) if streamed.rest.is_empty() => streamed.body.size_hint(),
            (_, None) => SizeHint::default(),
        }
    }
}

/// A finished answer, before the stack puts its own headers on it.
///
/// ```
/// use dream_http::reply::Reply;
/// use http::header::CONTENT_DISPOSITION;
/// use http::{HeaderValue, StatusCode};
///
/// // A file to save, which is no JSON.
/// let reply = Reply::bytes(StatusCode::OK, HeaderValue::from_static("text/csv"), "id,points\n7,50\n")
///     .with(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=points.csv"));
/// assert_eq!((reply.status.as_u16(), reply.body.len()), (200, Some(15)));
/// ```
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers of its own.
    pub headers: HeaderMap,
    /// The body.
    pub body: Payload,
}

impl Reply {
    /// Bytes of some type.
    ///
    /// ```
    /// use dream_http::reply::Reply;
    /// use http::{HeaderValue, StatusCode};
    ///
    /// let reply = Reply::bytes(StatusCode::OK, HeaderValue::from_static("image/svg+xml"), "<svg/>");
    /// assert_eq!(reply.headers["content-type"], "image/svg+xml");
    /// assert_eq!(reply.body.len(), Some(6));
    /// ```
    pub fn bytes(status: StatusCode, content_type: HeaderValue, bytes: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type);
        Self { status, headers, body: Payload::from(bytes.into()) }
    }

    /// No body at all.
    ///
    /// ```
    /// use dream_http::reply::Reply;
    /// use http::StatusCode;
    ///
    /// let reply = Reply::empty(StatusCode::NO_CONTENT);
    /// assert!(reply.headers.is_empty() && reply.body.is_empty());
    /// ```
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Payload::default() }
    }

    /// A value as JSON.
    ///
    /// ```
    /// use dream_http::reply::Reply;
    /// use http::StatusCode;
    ///
    /// // Where the status depends on more than the type of the value can say.
    /// let reply = Reply::json(StatusCode::MULTI_STATUS, &["made", "taken"])?;
    /// assert_eq!(reply.headers["content-type"], "application/json; charset=utf-8");
    /// assert_eq!(reply.body.as_bytes().map(|json| &json[..]), Some(&br#"["made","taken"]"#[..]));
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`dream_core::Code::Internal`] for a value that JSON cannot hold.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Self> {
        let mut bytes = Vec::with_capacity(512);
        serde_json::to_writer(&mut bytes, value)
            .map_err(|error| Error::internal(error).while_("writing an answer"))?;
        Ok(Self::bytes(status, JSON_UTF8, bytes))
    }

    /// The same answer with one more header.
    ///
    /// ```
    /// use dream_http::reply::Reply;
    /// use http::header::LOCATION;
    /// use http::{HeaderValue, StatusCode};
    ///
    /// let reply = Reply::empty(StatusCode::FOUND).with(LOCATION, HeaderValue::from_static("/api/docs"));
    /// assert_eq!(reply.headers["location"], "/api/docs");
    /// ```
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// What a handler may give back.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_http::reply::{Created, IntoReply};
///
/// // A value is a 200; what is to have another status says so in its type.
/// assert_eq!("done".to_owned().into_reply()?.status.as_u16(), 200);
/// assert_eq!(Created("made".to_owned()).into_reply()?.status.as_u16(), 201);
/// # Ok(())
/// # }
/// ```
pub trait IntoReply: Send + 'static {
    /// The answer.
    ///
    /// ```
    /// use dream_http::reply::IntoReply as _;
    /// use dream_http::wire::gallery::Liked;
    ///
    /// let reply = Liked { liked: true, total_likes: 12 }.into_reply()?;
    /// assert_eq!(
    ///     reply.body.as_bytes().map(|json| &json[..]),
    ///     Some(&br#"{"liked":true,"totalLikes":12}"#[..])
    /// );
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`dream_core::Code::Internal`] for a value that cannot be written.
    fn into_reply(self) -> Result<Reply>;

    /// The answers it can be, for the document.
    ///
    /// ```
    /// use dream_http::openapi::Schemas;
    /// use dream_http::reply::{Ensured, IntoReply as _};
    ///
    /// // Made just now, or there already: a client has to know of both.
    /// assert_eq!(Ensured::<i64>::describe(&mut Schemas::default()).len(), 2);
    /// ```
    fn describe(schemas: &mut Schemas) -> Vec<Described>;
}

/// A plain value is a 200.
impl<T: Serialize + ToSchema + Send + 'static> IntoReply for T {
    fn into_reply(self) -> Result<Reply> {
        Reply::json(StatusCode::OK, &self)
    }

    fn describe(schemas: &mut Schemas) -> Vec<Described> {
        vec![Described::json::<T>(StatusCode::OK, "The answer", schemas)]
    }
}

/// A 201: something was created.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_http::reply::{Created, IntoReply};
///
/// let reply = Created(7_i64).into_reply()?;
/// assert_eq!((reply.status.as_u16(), reply.body.as_bytes().unwrap().as_ref()), (201, &b"7"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Created<T>(pub T);

impl<T: Serialize + ToSchema + Send + 'static> IntoReply for Created<T> {
    fn into_reply(self) -> Result<Reply> {
        Reply::json(StatusCode::CREATED, &self.0)
    }

    fn describe(schemas: &mut Schemas) -> Vec<Described> {
        vec![Described::json::<T>(StatusCode::CREATED, "Created", schemas)]
    }
}

/// A 202: it was accepted and goes on by itself.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_http::reply::{Accepted, IntoReply};
///
/// assert_eq!(Accepted("job-1".to_owned()).into_reply()?.status.as_u16(), 202);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Accepted<T>(pub T);

impl<T: Serialize + ToSchema + Send + 'static> IntoReply for Accepted<T> {
    fn into_reply(self) -> Result<Reply> {
        Reply::json(StatusCode::ACCEPTED, &self.0)
    }

    fn describe(schemas: &mut Schemas) -> Vec<Described> {
        vec![Described::json::<T>(StatusCode::ACCEPTED, "Accepted", schemas)]
    }
}

/// A 201 if it was created just now, a 200 if it was there already.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_http::reply::{Ensured, IntoReply};
///
/// // Keeping a favorite: the first call makes it, and a second one finds it.
/// let answer = |is_new: bool| if is_new { Ensured::Created(7_i64) } else { Ensured::Existing(7_i64) };
/// assert_eq!(answer(true).into_reply()?.status.as_u16(), 201);
/// assert_eq!(answer(false).into_reply()?.status.as_u16(), 200);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum Ensured<T> {
    /// It was made by this call.
    Created(T),
    /// It was there before.
    Existing(T),
}

impl<T: Serialize + ToSchema + Send + 'static> IntoReply for Ensured<T> {
    fn into_reply(self) -> Result<Reply> {
        match self {
            Ensured::Created(value) => Reply::json(StatusCode::CREATED, &value),
            Ensured::Existing(value) => Reply::json(StatusCode::OK, &value),
        }
    }

    fn describe(schemas: &mut Schemas) -> Vec<Described> {
        vec![
            Described::json::<T>(StatusCode::CREATED, "Created", schemas),
            Described::json::<T>(StatusCode::OK, "It was there already", schemas),
        ]
    }
}

/// An answer that is not JSON, or not always the same: the handler chose status and headers itself.
impl IntoReply for Reply {
    fn into_reply(self) -> Result<Reply> {
        Ok(self)
    }

    fn describe(_: &mut Schemas) -> Vec<Described> {
        vec![Described::other(StatusCode::OK, "The answer", "*/*")]
    }
}

impl From<Infallible> for Payload {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
