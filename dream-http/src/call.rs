//! One request on its way through gate and input.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use dream_core::Result;
use dream_core::kernel::{KeyName, RequestId, UserId};
use http::header::{FORWARDED, HOST, VIA};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method, Version};
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::incoming::{RequestBody, Sender};
use crate::input::QueryPairs;
use crate::problem::Lang;
use crate::table::Options;
use crate::throttle::{self, Allowance};

/// Who made a call, for the log and the limits. It gives no right to anything.
///
/// ```
/// use dream_http::Caller;
///
/// let name = |caller: &Caller| match caller {
///     Caller::User(user) => format!("user {user}"),
///     Caller::Admin(key) => format!("key {key}"),
///     Caller::Unknown => "somebody".to_owned(),
/// };
/// assert_eq!(name(&Caller::Admin("ops".parse().unwrap())), "key ops");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody that we know by name.
    Unknown,
    /// A user.
    User(UserId),
    /// The holder of an admin key.
    Admin(KeyName),
}

/// What becomes known about a request while it is answered, for its log line and its headers.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) caller: OnceLock<Caller>,
    pub(crate) allowance: OnceLock<Allowance>,
}

/// One request: its head, and its body until somebody reads it.
///
/// ```
/// use dream_core::Result;
/// use dream_http::Call;
/// use dream_http::input::Input;
/// use dream_http::openapi::Sketch;
///
/// /// The device that a client says it is.
/// #[derive(Debug)]
/// struct Device(Option<String>);
///
/// impl Input for Device {
///     async fn read(call: &mut Call) -> Result<Self> {
///         let device = call.headers().get("x-device").and_then(|value| value.to_str().ok());
///         Ok(Self(device.map(str::to_owned)))
///     }
///     fn describe(_: &mut Sketch<'_>) {}
/// }
/// # async fn show(_: dream_http::gate::Anyone, device: Device) -> Result<String> { Ok(device.0.unwrap_or_default()) }
/// # let _ = dream_http::table::get("/v1/device", show);
/// ```
#[derive(Debug)]
pub struct Call {
    app: Arc<App>,
    head: Parts,
    row: usize,
    options: Options,
    lang: Lang,
    id: RequestId,
    client: IpAddr,
    path_parts: Vec<Option<String>>,
    query: Option<QueryPairs>,
    body: RequestBody,
    /// Its slot among the requests at once, where its route needs one.
    slot: Option<OwnedSemaphorePermit>,
    notes: Arc<Notes>,
}

/// What the stack knows about a request before a row gets it.
pub(crate) struct Arrival {
    pub(crate) app: Arc<App>,
    pub(crate) lang: Lang,
    pub(crate) id: RequestId,
    pub(crate) client: IpAddr,
    pub(crate) notes: Arc<Notes>,
}

fn is_loopback_name(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

impl Call {
    pub(crate) fn new(
        arrival: Arrival,
        head: Parts,
        (row, options): (usize, Options),
        path_parts: Vec<Option<String>>,
        body: RequestBody,
    ) -> Self {
        let Arrival { app, lang, id, client, notes } = arrival;
        Self { app, head, row, options, lang, id, client, path_parts, query: None, body, slot: None, notes }
    }

    /// Takes a slot among the requests at once, where its route needs one.
    pub(crate) fn take_slot(&mut self) -> Result<()> {
        self.slot = self.app.place(&self.options)?;
        Ok(())
    }

    pub(crate) fn free_slot(&mut self) {
        self.slot = None;
    }

    /// The application that answers.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The path as it was sent, still percent-encoded.
    pub fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// The language that the reader prefers.
    pub fn lang(&self) -> Lang {
        self.lang
    }

    /// The id of the request.
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// The address that the request came from, behind the proxies that are trusted.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// The number of the row that answers.
    pub(crate) fn row(&self) -> usize {
        self.row
    }

    /// Whether nothing but the route itself says what is asked for.
    pub(crate) fn is_bare(&self) -> bool {
        self.path_parts.is_empty() && self.head.uri.query().is_none_or(str::is_empty)
    }

    /// Whether a program on this machine sent it, and not a proxy on this machine on behalf of somebody else.
    ///
    /// A proxy gives itself away by a header that it adds, by the name of the server that its client asked for, or by
    /// HTTP/1.0, which nginx speaks to servers unless told otherwise. The same name keeps out a page in a browser whose
    /// domain was pointed at this machine.
    pub fn is_from_this_machine(&self) -> bool {
        self.client.is_loopback()
            && !self.is_forwarded()
            && self.head.version >= Version::HTTP_11
            && self.host().is_some_and(|host| is_loopback_name(&host))
    }

    /// Whether a proxy says that it passes the request on.
    pub(crate) fn is_forwarded(&self) -> bool {
        const MARKS: [HeaderName; 6] = [
            FORWARDED,
            VIA,
            HeaderName::from_static("x-forwarded-for"),
            HeaderName::from_static("x-forwarded-host"),
            HeaderName::from_static("x-forwarded-proto"),
            HeaderName::from_static("x-real-ip"),
        ];
        MARKS.iter().any(|mark| self.head.headers.contains_key(mark))
    }

    /// The server that was asked for, without its port.
    fn host(&self) -> Option<String> {
        let asked = if let Some(host) = self.head.uri.host() {
            host.to_owned()
        } else {
            let value = self.head.headers.get(HOST)?.to_str().ok()?;
            value.parse::<Authority>().ok()?.host().to_owned()
        };
        Some(asked.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase())
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn path_parts(&self) -> &[Option<String>] {
        &self.path_parts
    }

    pub(crate) fn query(&mut self) -> &mut QueryPairs {
        let text = self.head.uri.query().unwrap_or("");
        self.query.get_or_insert_with(|| QueryPairs::parse(text))
    }

    /// The whole body, if it has at most `limit` bytes and arrives in time. The request has no slot while the body is
    /// awaited, and takes one again for what follows.
    ///
    /// # Errors
    /// [`dream_core::Code::PayloadTooLarge`], [`dream_core::Code::InvalidJson`] for one that breaks off,
    /// [`dream_core::Code::RateLimited`] while other bodies of this user or address take their share of the memory, and
    /// [`dream_core::Code::Unavailable`] while too many bodies are in memory or awaited.
    pub async fn body_bytes(&mut self, limit: u64) -> Result<Bytes> {
        let sender = Sender {
            bodies: Arc::clone(self.app.bodies(&self.options)),
            address: throttle::network(self.client),
            user: match self.notes.caller.get() {
                Some(Caller::User(user)) => Some(user.get()),
                Some(Caller::Admin(_) | Caller::Unknown) | None => None,
            },
            patience: self.app.settings().limits.body_time,
        };
        let had_slot = self.slot.is_some();
        let body = self.body.collect(limit, &sender, &mut self.slot).await?;
        if had_slot && self.slot.is_none() {
            self.take_slot()?;
        }
        Ok(body)
    }

    pub(crate) fn notes(&self) -> &Notes {
        &self.notes
    }

    pub(crate) fn into_body(self) -> RequestBody {
        self.body
    }
}
