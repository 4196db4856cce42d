//! The body of a request: read within bounds of size, time and memory, or got rid of politely.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dream_core::{Code, Error, Facts, Result};
use http::header::EXPECT;
use http::{HeaderMap, Version};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::app::App;

/// What is read and thrown away after an early refusal, so that the client gets to read the answer.
const LINGER_BYTES: u64 = 32 * 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(5);
/// An unread rest up to this size is waited for, and the connection goes on.
const SMALL_REST: u64 = 64 * 1024;
/// The slowest upload that is waited for, in bytes a second.
const SLOWEST: u64 = 64 * 1024;

/// The body of a request.
#[derive(Debug)]
pub(crate) struct RequestBody {
    incoming: Option<Incoming>,
    begun: bool,
    expects_continue: bool,
    memory: Option<OwnedSemaphorePermit>,
}

/// How long a body of this size may take, given the time for a small one.
pub(crate) fn time_for(limit: u64, base: Duration) -> Duration {
    base + Duration::from_secs(limit / SLOWEST)
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, headers: &HeaderMap) -> Self {
        let expects_continue = headers.contains_key(EXPECT);
        Self { incoming: Some(incoming), begun: false, expects_continue, memory: None }
    }

    /// The whole body. What was refused stays behind for [`RequestBody::linger`].
    pub(crate) async fn collect(&mut self, limit: u64, app: &App) -> Result<Bytes> {
        let Some(mut incoming) = self.incoming.take() else { return Ok(Bytes::new()) };
        let declared = incoming.size_hint().exact();
        if declared.is_some_and(|length| length > limit) {
            self.incoming = Some(incoming);
            return Err(too_large(limit));
        }
        if declared == Some(0) {
            return Ok(Bytes::new());
        }
        match app.room_for_body(declared.unwrap_or(limit)) {
            Ok(permit) => self.memory = permit,
            Err(full) => {
                self.incoming = Some(incoming);
                return Err(full);
            }
        }
        self.begun = true;
        let base = app.settings().limits.body_time;
        let read =
            timeout(time_for(declared.unwrap_or(limit), base), read(&mut incoming, limit, declared)).await;
        let Ok(read) = read else {
            return Err(broken("the body took too long to arrive"));
        };
        if read.as_ref().is_err_and(|error| error.code() == Code::PayloadTooLarge) {
            self.incoming = Some(incoming);
        }
        read
    }

    /// Whether the client is still sending, so that an answer now must be the last one on the connection.
    pub(crate) fn ends_connection(&self, version: Version) -> bool {
        let unread = self.incoming.as_ref().is_some_and(|body| {
            !body.is_end_stream() && body.size_hint().upper().is_none_or(|rest| rest > SMALL_REST)
        });
        unread && version < Version::HTTP_2
    }

    /// Reads on for a while and throws it away. A connection that is closed with unread data is reset, and then the
    /// client never sees the answer. One that waits for `100 Continue` has sent nothing, and is just told no.
    pub(crate) async fn linger(self) {
        let Some(mut incoming) = self.incoming else { return };
        if incoming.is_end_stream() || (self.expects_continue && !self.begun) {
            return;
        }
        let drain = async {
            let mut thrown = 0;
            while let Some(Ok(frame)) = incoming.frame().await {
                thrown += frame.data_ref().map_or(0, Bytes::len) as u64;
                if thrown > LINGER_BYTES {
                    break;
                }
            }
        };
        // Whoever needs longer is cut off.
        let _ = timeout(LINGER_TIME, drain).await;
    }

    /// Whether there is nothing to linger for.
    pub(crate) fn is_done(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }
}

async fn read(incoming: &mut Incoming, limit: u64, declared: Option<u64>) -> Result<Bytes> {
    let mut whole = BytesMut::new();
    let mut single: Option<Bytes> = None;
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(broken)?;
        let Ok(data) = frame.into_data() else { continue };
        let length = single.as_ref().map_or(whole.len(), Bytes::len) + data.len();
        if length as u64 > limit {
            return Err(too_large(limit));
        }
        // Most bodies are one frame, and need no copy.
        match (single.take(), whole.is_empty()) {
            (None, true) => single = Some(data),
            (None, false) => whole.extend_from_slice(&data),
            (Some(first), _) => {
                whole.reserve(usize::try_from(declared.unwrap_or(0)).unwrap_or(0).max(length));
                whole.extend_from_slice(&first);
                whole.extend_from_slice(&data);
            }
        }
    }
    Ok(single.unwrap_or_else(|| whole.freeze()))
}

fn too_large(limit: u64) -> Error {
    Error::new(Code::PayloadTooLarge).with_facts(Facts::TooLarge { limit_bytes: limit })
}

fn broken(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Code::InvalidJson).with_source(source).while_("reading a body")
}
