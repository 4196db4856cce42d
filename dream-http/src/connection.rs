//! One connection: its protocol, and the end of those that do nothing.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::io::Impatient;
use crate::pace::PacedStreams;
use crate::reply::Payload;
use crate::settings::Limits;
use crate::stack;

/// Buffers smaller than this are refused by hyper.
const MIN_BUFFER: usize = 8192;

/// HTTP/1.1 and HTTP/2 without TLS (h2c), told apart by the first bytes.
pub(crate) fn protocol(limits: &Limits) -> auto::Builder<PacedStreams> {
    let mut builder = auto::Builder::new(PacedStreams::new(limits.write_time));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes.max(MIN_BUFFER))
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.header_time)
        .keep_alive_timeout(limits.header_time);
    builder
}

/// How busy a connection is.
#[derive(Debug)]
struct Activity {
    begun: Instant,
    in_flight: AtomicUsize,
    /// Milliseconds after `begun` at which the last request ended.
    idle_since: AtomicUsize,
    /// A request has come.
    woken: Notify,
}

impl Activity {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicUsize::new(0),
            woken: Notify::new(),
        }
    }

    fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }

    /// When a connection that stays as it is has been idle for this long; `None` while it is busy.
    fn idle_until(&self, limit: Duration) -> Option<Instant> {
        if self.is_busy() {
            return None;
        }
        let since = Duration::from_millis(self.idle_since.load(Ordering::Acquire) as u64);
        Some(self.begun + since + limit)
    }
}

/// A request in flight on a connection.
struct Busy(Arc<Activity>);

impl Busy {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.in_flight.fetch_add(1, Ordering::AcqRel);
        activity.woken.notify_one();
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let now = usize::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(usize::MAX);
        self.0.idle_since.store(now, Ordering::Release);
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A body that is being sent: until its end, or until it is given up, the connection is busy.
struct Sending {
    body: Payload,
    _busy: Busy,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = <Payload as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Serves one connection until it ends, is idle for too long, or the server stops.
pub(crate) async fn serve(
    app: Arc<App>,
    stream: TcpStream,
    peer: SocketAddr,
    protocol: auto::Builder<PacedStreams>,
    stop: CancellationToken,
) {
    let limits = app.settings().limits;
    let activity = Arc::new(Activity::new());
    let watched = Arc::clone(&activity);
    let service = service_fn(move |request| {
        let busy = Busy::new(&watched);
        let answer = stack::serve(&app, peer.ip(), request);
        async move { answer.await.map(|response| response.map(|body| Sending { body, _busy: busy })) }
    });
    let io = TokioIo::new(Impatient::new(stream, limits.write_time));
    let mut connection = std::pin::pin!(protocol.serve_connection(io, service));
    let mut stopping = false;
    let mut last_call = None;
    loop {
        // hyper times the head of an HTTP/1 request, but neither the bytes by which the protocol is told, nor an
        // HTTP/2 connection on which nothing happens.
        let check =
            activity.idle_until(limits.header_time).unwrap_or_else(|| Instant::now() + limits.header_time);
        let check = last_call.filter(|_| !stopping).map_or(check, |last| check.min(last));
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(client.address = %peer.ip(), error = %error, "connection ended");
                }
                return;
            }
            () = stop.cancelled(), if !stopping && last_call.is_none() => {
                // A request may be on its way already, and nobody may send it twice: an idle connection ends only
                // when none has come, and a busy one with its answer.
                last_call = Some(Instant::now() + limits.last_call);
                if activity.is_busy() {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
            () = activity.woken.notified(), if last_call.is_some() && !stopping => {
                // It may be the mark of a request that was answered long ago.
                if activity.is_busy() {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
            () = sleep_until(check) => {
                if !stopping && last_call.is_some_and(|last| last <= Instant::now()) {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
                let idle = activity.idle_until(limits.header_time).is_some_and(|until| until <= Instant::now());
                if idle && stopping {
                    return;
                }
                if idle {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}
