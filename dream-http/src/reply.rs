//! What a handler gives back: a status, a body, and its entry in the document.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use dream_core::{Error, Result};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use serde::Serialize;
use utoipa::ToSchema;

use crate::openapi::{Described, Schemas};

pub(crate) const JSON_UTF8: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer: bytes in hand, or a stream.
///
/// ```
/// use bytes::Bytes;
/// use dream_http::reply::Payload;
///
/// let body = Payload::from(Bytes::from_static(b"hello"));
/// assert_eq!((body.len(), body.as_bytes().map(|bytes| &bytes[..])), (Some(5), Some(&b"hello"[..])));
/// assert!(Payload::default().is_empty());
/// ```
#[derive(Debug, Default)]
pub struct Payload(Inner);

#[derive(Debug, Default)]
enum Inner {
    #[default]
    Empty,
    Bytes(Bytes),
    Stream(BoxBody<Bytes, BoxError>),
}

impl Payload {
    /// A body that is made while it is sent.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use dream_http::reply::Payload;
    /// use futures_util::stream;
    /// use http_body::Frame;
    /// use http_body_util::StreamBody;
    ///
    /// let lines =
    ///     ["id,points\n", "7,50\n"].map(|line| Ok::<_, std::io::Error>(Frame::data(Bytes::from(line))));
    /// let body = Payload::stream(StreamBody::new(stream::iter(lines)));
    /// assert_eq!((body.len(), body.as_bytes()), (None, None), "who knows how much will come");
    /// ```
    pub fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Inner::Stream(BoxBody::new(body.map_err(Into::into))))
    }

    /// The bytes, if all of them are in hand.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use dream_http::reply::Payload;
    ///
    /// let body = Payload::from(Bytes::from_static(b"hello"));
    /// assert_eq!(body.as_bytes().map(|bytes| &bytes[..]), Some(&b"hello"[..]));
    /// assert_eq!(Payload::default().as_bytes(), None, "nothing is in hand");
    /// ```
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Inner::Bytes(bytes) => Some(bytes),
            Inner::Empty | Inner::Stream(_) => None,
        }
    }

    /// The length, if it is known.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use dream_http::reply::Payload;
    ///
    /// assert_eq!(Payload::from(Bytes::from_static(b"hello")).len(), Some(5));
    /// assert_eq!(Payload::default().len(), Some(0));
    /// ```
    pub fn len(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    /// Whether it is known to be empty.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use dream_http::reply::Payload;
    ///
    /// assert!(Payload::from(Bytes::new()).is_empty());
    /// assert!(!Payload::from(Bytes::from_static(b"hello")).is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Inner::Empty } else { Inner::Bytes(bytes) })
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Inner::Empty => Poll::Ready(None),
            Inner::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Inner::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Inner::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Bytes(_) => false,
            Inner::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Stream(body) => body.size_hint(),
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
