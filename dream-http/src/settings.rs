//! What a server is told by whoever starts it. Nothing here reads the environment.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;

use crate::body_limits::BodyBounds;
use crate::origin::Origins;
use crate::throttle::{ClassLimits, ThrottleRule};

/// Everything about the server that is not about the business.
///
/// ```
/// use dream_http::{Docs, Settings};
///
/// // Behind a proxy of one's own, in production.
/// let settings = Settings {
///     listen: ([127, 0, 0, 1], 3000).into(),
///     trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
///     docs: Docs::Admin,
///     ..Settings::default()
/// };
/// assert_eq!(settings.throttle.unwrap().limit.get(), 100, "requests of one caller a minute");
/// ```
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Whether another process may listen at the same address, so that a new one starts before the old one stops.
    pub reuse_port: bool,
    /// Where `/metrics` is answered instead of on the main port.
    pub metrics_listen: Option<SocketAddr>,
    /// Who may read `/metrics` on the main port.
    pub metrics_allow: Vec<IpNet>,
    /// Proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Who may read the documentation of the API.
    pub docs: Docs,
    /// Whose pages may read our answers.
    pub origins: Origins,
    /// Whether clients reach the server over HTTPS, which a proxy ends: then they are told to use nothing else.
    pub https: bool,
    /// How many requests a caller may make; `None` for any number.
    pub throttle: Option<ThrottleRule>,
    /// How many of those that cost much, in the same time.
    pub class_limits: ClassLimits,
    /// Sizes, counts and times.
    pub limits: Limits,
}

/// Who may read the OpenAPI document and the page that shows it.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::{App, Docs, Settings};
///
/// let settings = Settings { docs: Docs::Off, ..Settings::default() };
/// let app = App::builder(world.dream().clone(), settings).build()?;
/// assert!(
///     !app.table().rows().iter().any(|row| row.path().starts_with("/api/docs")),
///     "it is not there at all"
/// );
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Docs {
    /// Everybody.
    #[default]
    Open,
    /// Whoever has an admin key.
    Admin,
    /// Nobody: they are not there.
    Off,
}

/// Every limit of the server, by name.
///
/// ```
/// use dream_http::{Limits, Settings};
/// use std::time::Duration;
///
/// // A load balancer that looks every five seconds has to see that we leave.
/// let limits = Limits { requests: 256, drain_notice: Duration::from_secs(10), ..Limits::default() };
/// let settings = Settings { limits, ..Settings::default() };
/// assert_eq!(settings.limits.header_bytes, 32 * 1024, "what is left out has its default");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; more wait in the system's backlog.
    pub connections: usize,
    /// Connections at once of one address, or of one /64 network of IPv6; more are closed at once. It does not count for
    /// trusted proxies.
    pub connections_per_address: usize,
    /// Requests at once; more are told 503.
    pub requests: usize,
    /// Requests at once whose answer is held back, such as those that wait for a job.
    pub waiting_requests: usize,
    /// Signed callbacks at once: payment notifications, webhooks and pushed messages. They have slots of their own, so
    /// that no flood of other requests keeps them out.
    pub callback_requests: usize,
    /// Request bodies at once of which more has to be awaited. Where there is one more, the one that stalls most is given
    /// up. A request has no slot while its body is awaited.
    pub awaited_bodies: usize,
    /// The same for callbacks, counted apart.
    pub awaited_callback_bodies: usize,
    /// How many of either may be of one address.
    pub awaited_bodies_per_address: usize,
    /// Request bodies in memory at once, in bytes that have arrived; callbacks have a quarter of that beside it. Bodies
    /// up to 64 KiB that come together with their heads are not counted.
    pub body_memory: usize,
    /// Bytes that response bodies hold at once until they are sent, not counting small ones; more are told 503. One
    /// client address may hold a quarter of it.
    pub response_memory: usize,
    /// How much of it bodies from one address may take.
    pub body_memory_per_address: usize,
    /// How much of it bodies from one user may take.
    pub body_memory_per_user: usize,
    /// Responses that are stored because they are the same for everybody, in bytes.
    pub public_cache: usize,
    /// Header lines of a request.
    pub headers: usize,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Time for a request's head to arrive, also counted while a connection is idle.
    pub header_time: Duration,
    /// Time for a body to arrive, and time without any progress; each 64 KiB that arrive extend it by a second.
    pub body_time: Duration,
    /// Time for an answer to be made.
    pub answer_time: Duration,
    /// Time without progress while a response is sent: on a connection, and on an HTTP/2 stream, where a chunk of
    /// 16 KiB must be taken within it.
    pub write_time: Duration,
    /// Streams at once on an HTTP/2 connection.
    pub streams: u32,
    /// Time between the announcement that we drain and the end of accepting, for load balancers to notice.
    pub drain_notice: Duration,
    /// Time for what is on its way when accepting ends: connections that are being made, and a last request on those
    /// that are idle.
    pub last_call: Duration,
    /// Time for requests in flight to finish when the server stops.
    pub drain_time: Duration,
}

impl Limits {
    pub(crate) fn bodies(&self) -> BodyBounds {
        BodyBounds {
            count: self.awaited_bodies,
            count_per_address: self.awaited_bodies_per_address,
            memory: self.body_memory,
            memory_per_address: self.body_memory_per_address,
            memory_per_user: self.body_memory_per_user,
        }
    }

    pub(crate) fn callback_bodies(&self) -> BodyBounds {
        let memory = self.body_memory / 4;
        BodyBounds { count: self.awaited_callback_bodies, memory, ..self.bodies() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 2_000,
            requests: 1024,
            waiting_requests: 8192,
            callback_requests: 128,
            awaited_bodies: 4096,
            awaited_callback_bodies: 1024,
            awaited_bodies_per_address: 256,
            body_memory: 256 * 1024 * 1024,
            response_memory: 128 * 1024 * 1024,
            body_memory_per_address: 64 * 1024 * 1024,
            body_memory_per_user: 32 * 1024 * 1024,
            public_cache: 64 * 1024 * 1024,
            headers: 64,
            header_bytes: 32 * 1024,
            header_time: Duration::from_secs(30),
            body_time: Duration::from_secs(15),
            answer_time: Duration::from_secs(40),
            write_time: Duration::from_secs(30),
            streams: 128,
            drain_notice: Duration::ZERO,
            last_call: Duration::from_millis(250),
            drain_time: Duration::from_secs(30),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 3000)),
            reuse_port: false,
            metrics_listen: None,
            metrics_allow: vec![
                IpNet::from(std::net::IpAddr::from([127, 0, 0, 1])),
                IpNet::from(std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)),
            ],
            trusted_proxies: Vec::new(),
            docs: Docs::default(),
            origins: Origins::Any,
            https: false,
            throttle: NonZeroU32::new(100)
                .map(|limit| ThrottleRule { limit, period: Duration::from_mins(1) }),
            class_limits: ClassLimits::default(),
            limits: Limits::default(),
        }
    }
}
