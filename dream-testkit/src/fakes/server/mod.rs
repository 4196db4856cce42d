//! A small HTTP/1.1 server for fakes: it records every request and can break off, delay or cut its answers.

mod log;
mod message;

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use dream_core::ports::Clock;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use log::{Recorded, RequestLog};
use message::{AnswerBody, Lost};
pub use message::{FakeRequest, FakeResponse};

/// Longest request body that a fake reads, in bytes.
const MAX_BODY: usize = 64 << 20;

/// Where and with what a [`FakeServer`] runs.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_testkit::clock::TestClock;
/// use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
/// use http::StatusCode;
/// use std::sync::Arc;
///
/// let setup = Setup::new(Arc::new(TestClock::default()));
/// let log = setup.log.clone();
/// let server = FakeServer::start(setup, |_| async { FakeResponse::empty(StatusCode::NO_CONTENT) }).await?;
/// reqwest::get(format!("{}/ping", server.base_url())).await?;
/// assert_eq!(log.of("GET", "/ping").len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Setup {
    /// The address to listen on; a free port of 127.0.0.1 if `None`.
    pub bind: Option<SocketAddr>,
    /// Stamps the requests and times the delays.
    pub clock: Arc<dyn Clock>,
    /// Where the requests are recorded.
    pub log: Arc<RequestLog>,
}

impl Setup {
    /// A free port of 127.0.0.1 and a log of its own.
    ///
    /// ```
    /// use dream_testkit::clock::TestClock;
    /// use dream_testkit::fakes::server::Setup;
    /// use std::sync::Arc;
    ///
    /// let setup = Setup::new(Arc::new(TestClock::default()));
    /// assert!(setup.bind.is_none() && setup.log.all().is_empty());
    /// ```
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { bind: None, clock, log: Arc::default() }
    }

    /// Listens on this address.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # use http::StatusCode;
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// let anywhere = Setup::new(clock);
    /// let address = ([127, 0, 0, 2], 0).into();
    /// let well = |_| async { FakeResponse::empty(StatusCode::OK) };
    /// let server = FakeServer::start(anywhere.at(Some(address)), well).await?;
    /// assert_eq!(server.addr().ip(), address.ip());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn at(mut self, bind: Option<SocketAddr>) -> Self {
        self.bind = bind;
        self
    }
}

/// What answers requests.
pub(crate) type Handler =
    Arc<dyn Fn(FakeRequest) -> Pin<Box<dyn Future<Output = FakeResponse> + Send>> + Send + Sync>;

/// A function as a [`Handler`].
pub(crate) fn handler<H, F>(handler: H) -> Handler
where
    H: Fn(FakeRequest) -> F + Send + Sync + 'static,
    F: Future<Output = FakeResponse> + Send + 'static,
{
    Arc::new(move |request| Box::pin(handler(request)))
}

/// What every connection needs.
#[derive(Clone)]
struct Desk {
    setup: Setup,
    handler: Handler,
    work: TaskTracker,
}

/// A port that is open while its handler is still being made, so that the handler can know its own URL.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_testkit::clock::TestClock;
/// use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
/// use http::StatusCode;
/// use std::sync::Arc;
///
/// // A handler that tells its own address: the port is known before the handler is made.
/// let door = FakeServer::bind(Setup::new(Arc::new(TestClock::default()))).await?;
/// let own = door.base_url();
/// let told = own.clone();
/// let server = door.serve(move |_| {
///     let told = told.clone();
///     async move { FakeResponse::text(StatusCode::OK, told) }
/// });
/// assert_eq!(reqwest::get(server.base_url()).await?.text().await?, own);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Door {
    setup: Setup,
    listener: TcpListener,
    addr: SocketAddr,
}

impl Door {
    /// Where the server is going to answer, without a slash at the end.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # use http::StatusCode;
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// let door = FakeServer::bind(Setup::new(clock)).await?;
    /// let promised = door.base_url();
    /// let server = door.serve(|_| async { FakeResponse::empty(StatusCode::OK) });
    /// assert_eq!(server.base_url(), promised);
    /// # Ok(())
    /// # }
    /// ```
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Starts to answer.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # use http::StatusCode;
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// let door = FakeServer::bind(Setup::new(clock)).await?;
    /// let server = door.serve(|request| async move { FakeResponse::text(StatusCode::OK, request.path) });
    /// assert_eq!(reqwest::get(server.base_url()).await?.text().await?, "/");
    /// # Ok(())
    /// # }
    /// ```
    pub fn serve<H, F>(self, handler: H) -> FakeServer
    where
        H: Fn(FakeRequest) -> F + Send + Sync + 'static,
        F: Future<Output = FakeResponse> + Send + 'static,
    {
        let handler = self::handler(handler);
        let stop = CancellationToken::new();
        let work = TaskTracker::new();
        let (orders, inbox) = mpsc::channel(4);
        let log = self.setup.log.clone();
        let desk = Desk { setup: self.setup, handler, work: work.clone() };
        work.spawn(accept(desk, self.listener, self.addr, inbox, stop.clone()));
        FakeServer { addr: self.addr, log, orders, stop, work }
    }
}

/// Whether the port is to be open; answered once it is so.
struct Order {
    open: bool,
    done: oneshot::Sender<io::Result<()>>,
}

/// An HTTP/1.1 server on a loopback port. It stops when it is dropped.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_testkit::clock::TestClock;
/// use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
/// use http::StatusCode;
/// use std::sync::Arc;
///
/// let setup = Setup::new(Arc::new(TestClock::default()));
/// let server =
///     FakeServer::start(setup, |request| async move { FakeResponse::text(StatusCode::OK, request.path) })
///         .await?;
/// assert_eq!(reqwest::get(format!("{}/hello", server.base_url())).await?.text().await?, "/hello");
///
/// // What a program does while its neighbour is away.
/// server.go_down().await?;
/// assert!(reqwest::get(server.base_url()).await.is_err());
/// server.come_back().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FakeServer {
    addr: SocketAddr,
    log: Arc<RequestLog>,
    orders: mpsc::Sender<Order>,
    stop: CancellationToken,
    work: TaskTracker,
}

impl FakeServer {
    /// Opens the port without answering yet.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # use http::StatusCode;
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// let door = FakeServer::bind(Setup::new(clock)).await?;
    /// // Somebody else has it from now on: the port is taken, though nobody answers yet.
    /// let address = door.base_url().trim_start_matches("http://").to_owned();
    /// assert!(std::net::TcpListener::bind(address).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn bind(setup: Setup) -> io::Result<Door> {
        let listener = TcpListener::bind(setup.bind.unwrap_or((Ipv4Addr::LOCALHOST, 0).into())).await?;
        let addr = listener.local_addr()?;
        Ok(Door { setup, listener, addr })
    }

    /// Opens the port and answers.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # use http::StatusCode;
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// let server = FakeServer::start(Setup::new(clock), |request| async move {
    ///     match request.header("authorization") {
    ///         Some(_) => FakeResponse::empty(StatusCode::NO_CONTENT),
    ///         None => FakeResponse::empty(StatusCode::UNAUTHORIZED),
    ///     }
    /// })
    /// .await?;
    /// assert_eq!(reqwest::get(server.base_url()).await?.status(), 401);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start<H, F>(setup: Setup, handler: H) -> io::Result<Self>
    where
        H: Fn(FakeRequest) -> F + Send + Sync + 'static,
        F: Future<Output = FakeResponse> + Send + 'static,
    {
        Ok(Self::bind(setup).await?.serve(handler))
    }

    /// The address it listens on.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # use http::StatusCode;
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let well = |_| async { FakeResponse::empty(StatusCode::OK) };
    /// # let server = FakeServer::start(Setup::new(clock), well).await?;
    /// assert!(server.addr().ip().is_loopback(), "nobody outside of this machine reaches it");
    /// # Ok(())
    /// # }
    /// ```
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it answers, without a slash at the end.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # use http::StatusCode;
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let well = |_| async { FakeResponse::empty(StatusCode::OK) };
    /// # let server = FakeServer::start(Setup::new(clock), well).await?;
    /// assert_eq!(server.base_url(), format!("http://{}", server.addr()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The requests it got.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # use http::StatusCode;
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let well = |_| async { FakeResponse::empty(StatusCode::OK) };
    /// # let server = FakeServer::start(Setup::new(clock), well).await?;
    /// reqwest::get(format!("{}/ping?n=1", server.base_url())).await?;
    /// let asked = &server.log().all()[0].request;
    /// assert_eq!((asked.path.as_str(), asked.query.as_deref()), ("/ping", Some("n=1")));
    /// # Ok(())
    /// # }
    /// ```
    pub fn log(&self) -> &Arc<RequestLog> {
        &self.log
    }

    /// Closes the port and breaks every connection: connecting is refused until [`FakeServer::come_back`].
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # use http::StatusCode;
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let well = |_| async { FakeResponse::empty(StatusCode::OK) };
    /// # let server = FakeServer::start(Setup::new(clock), well).await?;
    /// server.go_down().await?;
    /// assert!(reqwest::get(server.base_url()).await.unwrap_err().is_connect());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the server has stopped.
    pub async fn go_down(&self) -> io::Result<()> {
        self.order(false).await
    }

    /// Opens the same port again.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # use http::StatusCode;
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let well = |_| async { FakeResponse::empty(StatusCode::OK) };
    /// # let server = FakeServer::start(Setup::new(clock), well).await?;
    /// let before = server.base_url();
    /// server.go_down().await?;
    /// server.come_back().await?;
    /// // Where it was, as after a restart.
    /// assert_eq!(reqwest::get(before).await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the port was taken meanwhile or the server has stopped.
    pub async fn come_back(&self) -> io::Result<()> {
        self.order(true).await
    }

    /// Stops and waits until the port is free.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::server::{FakeResponse, FakeServer, Setup};
    /// # use http::StatusCode;
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let well = |_| async { FakeResponse::empty(StatusCode::OK) };
    /// # let server = FakeServer::start(Setup::new(clock), well).await?;
    /// let address = server.addr();
    /// server.shutdown().await;
    /// assert!(std::net::TcpListener::bind(address).is_ok(), "it can be had again");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(self) {
        self.end().await;
    }

    /// [`FakeServer::shutdown`] for an owner that cannot give the server away.
    pub(crate) async fn end(&self) {
        self.stop.cancel();
        self.work.close();
        self.work.wait().await;
    }

    async fn order(&self, open: bool) -> io::Result<()> {
        let stopped = || io::Error::new(io::ErrorKind::NotConnected, "the fake has stopped");
        let (done, answer) = oneshot::channel();
        self.orders.send(Order { open, done }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.stop.cancel();
        self.work.close();
    }
}

async fn accept(
    desk: Desk,
    listener: TcpListener,
    addr: SocketAddr,
    mut inbox: mpsc::Receiver<Order>,
    stop: CancellationToken,
) {
    let mut listener = Some(listener);
    let mut epoch = stop.child_token();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(order) = inbox.recv() => {
                let result = if order.open {
                    reopen(&mut listener, addr).await
                } else {
                    listener = None;
                    epoch.cancel();
                    epoch = stop.child_token();
                    Ok(())
                };
                // Whoever gave the order may have stopped waiting.
                drop(order.done.send(result));
            }
            accepted = next_connection(listener.as_ref()) => {
                if let Ok((stream, peer)) = accepted {
                    desk.work.spawn(converse(desk.clone(), stream, peer, epoch.clone()));
                }
            }
        }
    }
}

async fn next_connection(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn reopen(listener: &mut Option<TcpListener>, addr: SocketAddr) -> io::Result<()> {
    if listener.is_none() {
        *listener = Some(TcpListener::bind(addr).await?);
    }
    Ok(())
}

async fn converse(desk: Desk, stream: TcpStream, peer: SocketAddr, stop: CancellationToken) {
    drop(stream.set_nodelay(true));
    let inner = stop.clone();
    let service = service_fn(move |request| answer(desk.clone(), peer, request, inner.clone()));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = stop.cancelled() => {}
        // Connections that break are what this server is for.
        _ = connection => {}
    }
}

const FOREIGN_HOST: &str = "this fake answers to localhost, to addresses and to names without a dot";

/// Whether the `Host` is an address or a name that no public domain has. A page in a browser that points its own domain at
/// this machine (DNS rebinding) sends that domain, and must not read or steer a fake.
fn is_asked_for_by_address(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let Some(authority) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.parse::<IpAddr>().is_ok() || !name.contains('.') || name.ends_with(".localhost")
}

async fn answer(
    desk: Desk,
    peer: SocketAddr,
    request: Request<Incoming>,
    stop: CancellationToken,
) -> Result<Response<AnswerBody>, Lost> {
    let at = desk.setup.clock.now();
    let (head, body) = request.into_parts();
    if !is_asked_for_by_address(&head.headers) {
        return FakeResponse::text(StatusCode::MISDIRECTED_REQUEST, FOREIGN_HOST.to_owned()).into_http();
    }
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return FakeResponse::empty(StatusCode::PAYLOAD_TOO_LARGE).into_http();
    };
    let request = FakeRequest {
        at,
        peer,
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers,
        body: body.to_bytes(),
    };
    let number = desk.setup.log.begin(request.clone());
    // In a task of its own: a caller who hangs up does not undo what the server does.
    let work = (desk.handler)(request);
    let task = desk.work.spawn(async move { stop.run_until_cancelled(work).await });
    let answer = match task.await {
        Ok(Some(answer)) => answer,
        Ok(None) => FakeResponse::dropped(),
        Err(panic) => FakeResponse::text(StatusCode::INTERNAL_SERVER_ERROR, panic.to_string()),
    };
    desk.setup.log.end(number, &answer);
    if !answer.delay.is_zero() {
        desk.setup.clock.sleep(answer.delay).await;
    }
    answer.into_http()
}
