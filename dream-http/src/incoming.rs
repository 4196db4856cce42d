//! The body of a request: read within bounds of size, time and memory, or got rid of politely.
//!
//! Most bodies come together with their heads, and nothing has to be awaited or reserved for them. Where the rest of a
//! body has to be awaited, the request gives up its slot meanwhile, so that a client that sends slowly holds nothing that
//! others need, and the body counts against the limits of [`crate::body_limits`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dream_core::{Code, Error, Facts, Result};
use futures_util::FutureExt as _;
use http::header::EXPECT;
use http::{HeaderMap, Version};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout};

use crate::body_limits::{Bodies, Reservation};

/// What is read and thrown away after an early refusal, so that the client gets to read the answer.
const LINGER_BYTES: u64 = 32 * 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(5);
/// An unread rest up to this size is waited for, and the connection goes on.
const SMALL_REST: u64 = 64 * 1024;
/// The slowest upload that is waited for, in bytes a second.
const SLOWEST: u64 = 64 * 1024;
/// Up to this size a body that is there at once is not counted: it is in memory only while its request has a slot.
const SMALL_BODY: usize = 64 * 1024;

/// The body of a request.
#[derive(Debug)]
pub(crate) struct RequestBody {
    incoming: Option<Incoming>,
    begun: bool,
    expects_continue: bool,
    memory: Option<Reservation>,
}

/// Who sends a body, and where it is counted.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) address: IpAddr,
    pub(crate) user: Option<i64>,
    /// For how long a body may bring nothing new.
    pub(crate) patience: Duration,
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

    /// The whole body. What was refused stays behind for [`RequestBody::linger`]. The slot is given up as soon as the
    /// rest of the body has to be awaited.
    pub(crate) async fn collect(
        &mut self,
        limit: u64,
        sender: &Sender,
        slot: &mut Option<OwnedSemaphorePermit>,
    ) -> Result<Bytes> {
        let Some(incoming) = &mut self.incoming else { return Ok(Bytes::new()) };
        let declared = incoming.size_hint().exact();
        if declared.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        self.begun = true;
        let read = read(incoming, &mut self.memory, limit, sender, slot).await;
        if read.is_err() {
            self.memory = None;
        }
        match read {
            Err(Unread::Refused(error)) => Err(error),
            Err(Unread::GivenUp(error)) => {
                self.incoming = None;
                Err(error)
            }
            Ok(bytes) => {
                self.incoming = None;
                Ok(bytes)
            }
        }
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

/// Why a body was not read to its end.
#[derive(Debug)]
enum Unread {
    /// It is not wanted, and the client may still be sending it.
    Refused(Error),
    /// It does not come, or not fast enough.
    GivenUp(Error),
}

async fn read(
    incoming: &mut Incoming,
    memory: &mut Option<Reservation>,
    limit: u64,
    sender: &Sender,
    slot: &mut Option<OwnedSemaphorePermit>,
) -> Result<Bytes, Unread> {
    let mut arrived = Arrived::default();
    let mut deadline = Instant::now() + sender.patience;
    let mut awaited = None;
    while !incoming.is_end_stream() {
        let frame = if let Some(there) = incoming.frame().now_or_never() {
            there
        } else {
            *slot = None;
            let body = awaited.get_or_insert_with(|| sender.bodies.register(sender.address, deadline));
            tokio::select! {
                frame = incoming.frame() => frame,
                () = body.given_up() => return Err(Unread::GivenUp(displaced())),
                () = sleep_until(deadline) => return Err(broken("the body took too long to arrive")),
            }
        };
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if (arrived.len() + data.len()) as u64 > limit {
            return Err(Unread::Refused(too_large(limit)));
        }
        let is_small = arrived.len() == 0 && data.len() <= SMALL_BODY && incoming.is_end_stream();
        if !is_small {
            let memory = memory.get_or_insert_with(|| sender.bodies.reservation(sender.address, sender.user));
            memory.grow(data.len()).map_err(Unread::Refused)?;
        }
        deadline = extended(deadline, data.len(), sender.patience);
        if let Some(body) = &awaited {
            body.extend(deadline);
        }
        arrived.push(data);
    }
    Ok(arrived.into_bytes())
}

/// The deadline once so many bytes more have arrived. Each second has to bring as much as the slowest sender sends; what
/// was sent faster is credited, up to the time that a sender has at first.
fn extended(deadline: Instant, bytes: usize, patience: Duration) -> Instant {
    let bought = Duration::from_secs(bytes as u64) / u32::try_from(SLOWEST).unwrap_or(u32::MAX);
    (deadline + bought).min(Instant::now() + patience)
}

/// What has arrived of a body.
#[derive(Debug, Default)]
struct Arrived {
    /// The only frame so far: most bodies are one frame, and need no copy.
    first: Bytes,
    joined: BytesMut,
}

impl Arrived {
    fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    fn push(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        // `first` is moved over with the second frame. Room grows with what arrives, whatever was announced.
        let first = std::mem::take(&mut self.first);
        self.joined.extend_from_slice(&first);
        self.joined.extend_from_slice(&data);
    }

    fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

fn displaced() -> Error {
    Error::new(Code::Unavailable).with_source("too many request bodies are awaited").while_("reading a body")
}

fn too_large(limit: u64) -> Error {
    Error::new(Code::PayloadTooLarge).with_facts(Facts::TooLarge { limit_bytes: limit })
}

fn broken(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Unread {
    Unread::GivenUp(Error::new(Code::InvalidJson).with_source(source).while_("reading a body"))
}
