//! Load over plain HTTP/1.1, from this process: as fast as the answers come, or at a fixed rate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hdrhistogram::Histogram;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use crate::Fault;

/// Requests ready to be sent; connection `n` sends those of its own list in turn.
pub(crate) type Requests = Arc<Vec<Vec<Vec<u8>>>>;

/// What came of a load.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Good answers in a second.
    pub(crate) per_second: f64,
    /// Answers that were no success.
    pub(crate) refused: u64,
    /// Times of the answers, in microseconds.
    pub(crate) times: Histogram<u64>,
}

/// A request without a body.
pub(crate) fn request(method: &str, path: &str, token: Option<&str>) -> Vec<u8> {
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = if method == "GET" { "" } else { "Content-Length: 0\r\n" };
    format!("{method} {path} HTTP/1.1\r\nHost: bench\r\n{token}{length}\r\n").into_bytes()
}

/// The same request on every connection.
pub(crate) fn alike(connections: usize, request: &[u8]) -> Requests {
    Arc::new(vec![vec![request.to_vec()]; connections])
}

/// One connection.
pub(crate) struct Client<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl Client<TcpStream> {
    async fn connect(address: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// A connection that is there already.
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(64 * 1024) }
    }

    /// Sends one and reads its whole answer; the status.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<u16, Fault> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
            let mut headers = [httparse::EMPTY_HEADER; 48];
            let mut head = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(start) = head.parse(&self.buffer)? {
                let length = head
                    .headers
                    .iter()
                    .find(|header| header.name.eq_ignore_ascii_case("content-length"))
                    .and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok())
                    .ok_or("an answer without a length")?;
                let status = head.code.unwrap_or(0);
                while self.buffer.len() < start + length {
                    if self.stream.read_buf(&mut self.buffer).await? == 0 {
                        return Err("the server closed the connection".into());
                    }
                }
                return Ok(status);
            }
        }
    }
}

fn histogram() -> Result<Histogram<u64>, Fault> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1)
}

async fn gather(
    span: Duration,
    clients: impl Iterator<Item = tokio::task::JoinHandle<Result<(u64, Histogram<u64>), Fault>>>,
) -> Result<Outcome, Fault> {
    let mut all = Outcome { per_second: 0.0, refused: 0, times: histogram()? };
    for client in join_all(clients).await {
        let (refused, times) = client??;
        all.refused += refused;
        all.times.add(times)?;
    }
    all.per_second = (all.times.len() - all.refused) as f64 / span.as_secs_f64();
    Ok(all)
}

/// Every connection asks again as soon as it has its answer.
pub(crate) async fn closed(
    address: SocketAddr,
    requests: &Requests,
    span: Duration,
) -> Result<Outcome, Fault> {
    let begin = Instant::now();
    let clients = (0..requests.len()).map(|at| {
        let requests = Arc::clone(requests);
        tokio::spawn(async move {
            let mut client = Client::connect(address).await?;
            let (mut refused, mut times) = (0, histogram()?);
            for request in requests[at].iter().cycle() {
                let asked = Instant::now();
                if asked - begin >= span {
                    break;
                }
                let status = client.ask(request).await?;
                refused += u64::from(!(200..300).contains(&status));
                times.record(micros(asked.elapsed()))?;
            }
            Ok((refused, times))
        })
    });
    gather(span, clients).await
}

/// So many requests a second, whether or not earlier ones were answered: the time of an answer counts from the instant
/// at which its request was due, so that a server that stalls cannot hide it.
pub(crate) async fn open(
    address: SocketAddr,
    requests: &Requests,
    per_second: f64,
    span: Duration,
) -> Result<Outcome, Fault> {
    let begin = Instant::now() + Duration::from_millis(50);
    let every = Duration::from_secs_f64(requests.len() as f64 / per_second);
    let clients = (0..requests.len()).map(|at| {
        let requests = Arc::clone(requests);
        tokio::spawn(async move {
            let mut client = Client::connect(address).await?;
            let (mut refused, mut times) = (0, histogram()?);
            let mut due = begin + every.mul_f64(at as f64 / requests.len() as f64);
            for request in requests[at].iter().cycle() {
                if due - begin >= span {
                    break;
                }
                sleep_until(due).await;
                let status = client.ask(request).await?;
                refused += u64::from(!(200..300).contains(&status));
                times.record(micros(due.elapsed()))?;
                due += every;
            }
            Ok((refused, times))
        })
    });
    gather(span, clients).await
}
