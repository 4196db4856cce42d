//! Listening, accepting, and stopping without losing anything.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, Phase};
use crate::client_address;
use crate::connection;
use crate::connection_counts::{ConnectionCounts, Counted};
use crate::last_call;
use crate::routes;
use crate::settings::Settings;

/// How many connections the system may hold for us before we accept them.
const BACKLOG: i32 = 1024;
/// How long we wait after the system could not give us a connection, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const TIDY_EVERY: Duration = Duration::from_mins(1);
/// How long stored responses that are stale stay in memory.
const REMOVE_STALE_EVERY: Duration = Duration::from_secs(5);

/// Sockets that listen already, for whoever needs to know the port before there is an application.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::{App, Door, Server, Settings};
///
/// // The port is known before there is an application: its address can go into the settings of the core.
/// let settings = Settings { listen: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
/// let door = Door::open(&settings)?;
/// let notify_url = format!("http://{}/v1/orders/payment-callback", door.local_addr()?);
/// let app = App::builder(world.dream().clone(), settings).build()?;
/// let server = Server::behind(app, door);
/// assert!(notify_url.contains(&server.local_addr()?.to_string()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct Door {
    main: TcpListener,
    metrics: Option<TcpListener>,
    /// Whether somebody else holds the socket too, and goes on holding it when we are gone.
    shared: bool,
}

impl Door {
    /// Listens where the settings say. Connections wait until a server accepts them.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{Door, Settings};
    ///
    /// # let settings = Settings { listen: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
    /// let door = Door::open(&settings)?;
    /// // It is there, though nobody accepts what comes.
    /// assert!(tokio::net::TcpStream::connect(door.local_addr()?).await.is_ok());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// If an address cannot be had; the text names it.
    pub fn open(settings: &Settings) -> io::Result<Self> {
        let reuse_port = settings.reuse_port;
        let main = named(settings.listen, reuse_port)?;
        let metrics = settings.metrics_listen.map(|address| named(address, reuse_port)).transpose()?;
        Ok(Self { main, metrics, shared: false })
    }

    /// Takes over sockets that somebody else made and keeps, such as systemd. Connections that nobody has accepted
    /// when this process stops are there for the next one. Where no socket for the metrics is given, one is made if the
    /// settings want it.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{Door, Settings};
    ///
    /// # let settings = Settings { listen: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr()?;
    /// let door = Door::take_over(&settings, listener, None)?;
    /// assert_eq!(door.local_addr()?, address);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// If a socket cannot be used, or an address cannot be had.
    pub fn take_over(
        settings: &Settings,
        main: std::net::TcpListener,
        metrics: Option<std::net::TcpListener>,
    ) -> io::Result<Self> {
        let adopted = |listener: std::net::TcpListener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        let metrics = match (metrics, settings.metrics_listen) {
            (Some(given), _) => Some(adopted(given)?),
            (None, Some(address)) => Some(named(address, settings.reuse_port)?),
            (None, None) => None,
        };
        Ok(Self { main: adopted(main)?, metrics, shared: true })
    }

    /// Where it listens; the port is the real one also where 0 was asked for.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{Door, Settings};
    ///
    /// # let settings = Settings { listen: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
    /// assert_ne!(Door::open(&settings)?.local_addr()?.port(), 0, "the real one");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.main.local_addr()
    }
}

/// A server that listens, and does not accept yet.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::{App, Server, Settings};
///
/// let settings = Settings { listen: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
/// let server = Server::bind(App::builder(world.dream().clone(), settings).build()?)?;
/// let url = format!("http://{}/v1/vip/plans", server.local_addr()?);
///
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let serving = tokio::spawn(server.serve(async { drop(stopped.await) }));
/// assert_eq!(reqwest::get(&url).await?.status(), 200);
/// // It finishes what it has, and then it returns.
/// drop(stop);
/// serving.await?;
/// assert!(reqwest::get(&url).await.is_err());
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    metrics: Option<TcpListener>,
    shared: bool,
    connections: TaskTracker,
}

impl Server {
    /// Listens where the settings say. Connections wait until [`Server::serve`] is called.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Server, Settings};
    ///
    /// # let settings = Settings { listen: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
    /// # let app = App::builder(world.dream().clone(), settings).build()?;
    /// let server = Server::bind(app)?;
    /// assert!(tokio::net::TcpStream::connect(server.local_addr()?).await.is_ok(), "it waits in line");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// If an address cannot be had.
    pub fn bind(app: Arc<App>) -> io::Result<Self> {
        let door = Door::open(app.settings())?;
        Ok(Self::behind(app, door))
    }

    /// Answers behind a door that was opened before.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Door, Server, Settings};
    ///
    /// # let settings = Settings { listen: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
    /// let door = Door::open(&settings)?;
    /// let address = door.local_addr()?;
    /// # let app = App::builder(world.dream().clone(), settings).build()?;
    /// assert_eq!(Server::behind(app, door).local_addr()?, address);
    /// # Ok(())
    /// # });
    /// ```
    pub fn behind(app: Arc<App>, door: Door) -> Self {
        let Door { main, metrics, shared } = door;
        Self { app, listener: main, metrics, shared, connections: TaskTracker::new() }
    }

    /// Where it listens; the port is the real one also where 0 was asked for.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Server, Settings};
    ///
    /// # let settings = Settings { listen: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
    /// # let app = App::builder(world.dream().clone(), settings).build()?;
    /// let base = format!("http://{}", Server::bind(app)?.local_addr()?);
    /// assert!(base.starts_with("http://127.0.0.1:") && !base.ends_with(":0"));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where the metrics are answered, if that is a port of their own.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Server, Settings};
    ///
    /// # let settings = Settings { listen: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
    /// let settings = Settings { metrics_listen: Some(([127, 0, 0, 1], 0).into()), ..settings };
    /// # let app = App::builder(world.dream().clone(), settings).build()?;
    /// let server = Server::bind(app)?;
    /// assert_ne!(server.metrics_addr(), Some(server.local_addr()?));
    /// # Ok(())
    /// # });
    /// ```
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// The application that answers.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Server, Settings};
    ///
    /// # let settings = Settings { listen: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
    /// # let app = App::builder(world.dream().clone(), settings).build()?;
    /// assert_eq!(Server::bind(app)?.app().now(), world.now());
    /// # Ok(())
    /// # });
    /// ```
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Serves until `shutdown` is over, then stops so that nobody notices:
    ///
    /// 1. Readiness turns 503 and every answer ends its connection, for as long as the settings give notice.
    /// 2. New connections are turned away without a word, so that they are tried again elsewhere. Those that were made
    ///    are accepted, and idle ones may send one more request, until the last call is over.
    /// 3. The socket is closed. Requests that run, and writes whose client left, are waited for.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Phase, Server, Settings};
    /// use std::sync::Arc;
    ///
    /// # let settings = Settings { listen: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
    /// # let app = App::builder(world.dream().clone(), settings).build()?;
    /// let server = Server::bind(Arc::clone(&app))?;
    /// // Whoever stops it at once waits for nothing.
    /// server.serve(async {}).await;
    /// assert_eq!(app.phase(), Phase::Draining);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let side = TaskTracker::new();
        if let Some(listener) = self.metrics {
            side.spawn(serve_metrics(Arc::clone(&self.app), listener, stop.clone()));
        }
        side.spawn(tidy(Arc::clone(&self.app), stop.clone()));
        self.app.enter(Phase::Serving);
        let accepting = accept(&self.app, &self.listener, &self.connections, &stop);
        let drained = async {
            shutdown.await;
            self.app.enter(Phase::Draining);
            tracing::info!("draining");
            let limits = self.app.settings().limits;
            sleep(limits.drain_notice).await;
            stop.cancel();
            // Whoever shares the socket goes on with it, and with the connections that wait there.
            if !self.shared {
                last_call::turn_away(&self.listener);
                sleep(limits.last_call).await;
            }
        };
        tokio::select! {
            () = accepting => {}
            () = drained => {}
        }
        drop(self.listener);
        finish(&self.app, &self.connections).await;
        side.close();
        side.wait().await;
    }
}

/// Waits for connections and detached work, within the time for it.
pub(crate) async fn finish(app: &App, connections: &TaskTracker) {
    connections.close();
    app.tasks().close();
    let all = async {
        connections.wait().await;
        app.tasks().wait().await;
    };
    let limit = app.settings().limits.drain_time;
    if timeout(limit, all).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            tasks = app.tasks().len(),
            "stopped before everything was finished"
        );
    }
}

/// Listens, or fails with the address in the text.
fn named(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    listen(address, reuse_port).map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
}

fn listen(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let domain = if address.is_ipv4() { socket2::Domain::IPV4 } else { socket2::Domain::IPV6 };
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections while there is room for them; the rest wait in the system's backlog.
async fn accept(app: &Arc<App>, listener: &TcpListener, connections: &TaskTracker, stop: &CancellationToken) {
    let limits = app.settings().limits;
    let protocol = connection::protocol(&limits);
    let room = Arc::new(Semaphore::new(limits.connections));
    let counts = ConnectionCounts::new(limits.connections_per_address);
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                // All clients of a proxy come from its address.
                let counted = match counts.count(peer.ip()) {
                    Some(counted) => Some(counted),
                    None if client_address::is_trusted(peer.ip(), &app.settings().trusted_proxies) => None,
                    None => {
                        metrics::counter!("http_server_connections_refused_total").increment(1);
                        continue;
                    }
                };
                prepare(&stream);
                let serving =
                    connection::serve(Arc::clone(app), stream, peer, protocol.clone(), stop.clone());
                connections.spawn(held((place, counted), serving));
            }
            Err(error) => {
                tracing::warn!(error = %error, "no connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn held(place: (OwnedSemaphorePermit, Option<Counted>), serving: impl Future<Output = ()>) {
    metrics::gauge!("http_server_connections").increment(1.0);
    serving.await;
    metrics::gauge!("http_server_connections").decrement(1.0);
    drop(place);
}

fn prepare(stream: &TcpStream) {
    // Answers are small and written at once: waiting to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "no TCP_NODELAY");
    }
}

/// What goes on beside the requests: following news of changes, and forgetting who is gone.
pub(crate) async fn tidy(app: Arc<App>, stop: CancellationToken) {
    let mut clock = interval(TIDY_EVERY);
    let mut stale = interval(REMOVE_STALE_EVERY);
    let news = app.follow_news();
    let mut news = std::pin::pin!(news);
    let mut following = true;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = &mut news, if following => following = false,
            _ = clock.tick() => app.tidy(),
            _ = stale.tick() => app.public().remove_stale(),
        }
    }
}

/// The port for metrics alone: few, trusted clients.
async fn serve_metrics(app: Arc<App>, listener: TcpListener, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let protocol = connection::protocol(&app.settings().limits);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (app, protocol, stop) = (Arc::clone(&app), protocol.clone(), stop.clone());
        connections.spawn(async move {
            let service = service_fn(|request| {
                let app = Arc::clone(&app);
                async move { Ok::<_, std::convert::Infallible>(routes::application::metrics_port(&app, &request)) }
            });
            tokio::select! {
                _ = protocol.serve_connection(TokioIo::new(stream), service) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}
