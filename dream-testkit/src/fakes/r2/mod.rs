//! Cloudflare R2: one bucket behind the S3 API, and the public address under which anybody reads it.
//!
//! Every request to the S3 API has to carry a right signature (AWS Signature Version 4, in the headers or in the query).
//! What R2 does not support is answered with 501, as it does: access lists, tags, and the checksums that newer clients
//! add by themselves. Of what it does support this leaves out multipart uploads, copies, deleting many at once,
//! and listing by folders.

mod answers;
mod control;
mod objects;
mod public;
mod reading;
mod sigv4;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest;
use bytes::Bytes;
use dream_core::kernel::Timestamp;
use dream_core::ports::Clock;

use super::lock;
use super::server::{FakeServer, Recorded, RequestLog, Setup};
use crate::faults::Faults;

/// Names of the operations, for [`Faults`].
pub mod operation {
    /// `PUT /{bucket}/{key}`
    pub const PUT: &str = "put";
    /// `GET /{bucket}/{key}`
    pub const GET: &str = "get";
    /// `HEAD /{bucket}/{key}`
    pub const HEAD: &str = "head";
    /// `DELETE /{bucket}/{key}`
    pub const DELETE: &str = "delete";
    /// `GET /{bucket}?list-type=2`
    pub const LIST: &str = "list";
    /// Reading at the public address.
    pub const PUBLIC: &str = "public";
}

/// How the fake is set up.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_testkit::clock::TestClock;
/// use dream_testkit::fakes::r2::{FakeR2, R2Options};
/// use std::sync::Arc;
///
/// let options =
///     R2Options { bucket: "pictures".to_owned(), ..R2Options::new(Arc::new(TestClock::default())) };
/// let r2 = FakeR2::start(options).await?;
/// assert_eq!(r2.bucket(), "pictures");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct R2Options {
    /// The address of the S3 API; a free port of 127.0.0.1 if `None`.
    pub bind: Option<SocketAddr>,
    /// The address of public reading; a free port of 127.0.0.1 if `None`.
    pub bind_public: Option<SocketAddr>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The only bucket.
    pub bucket: String,
    /// The only key's name.
    pub access_key_id: String,
    /// The only key.
    pub secret_access_key: String,
    /// Whether a name can be written only once a second; beyond: 429.
    pub one_write_a_second: bool,
}

impl R2Options {
    /// Free ports, a bucket `dream-images`, no limit on writing.
    ///
    /// ```
    /// use dream_testkit::clock::TestClock;
    /// use dream_testkit::fakes::r2::R2Options;
    /// use std::sync::Arc;
    ///
    /// let options = R2Options::new(Arc::new(TestClock::default()));
    /// assert_eq!((options.bucket.as_str(), options.one_write_a_second), ("dream-images", false));
    /// ```
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            bind: None,
            bind_public: None,
            clock,
            bucket: "dream-images".to_owned(),
            access_key_id: "access-key-of-the-fake".to_owned(),
            secret_access_key: "secret-access-key-of-the-fake".to_owned(),
            one_write_a_second: false,
        }
    }
}

/// What Dream has to be configured with to use the fake.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::{R2Blobs, R2Config};
/// use dream_testkit::clock::TestClock;
/// use dream_testkit::fakes::r2::{FakeR2, R2Options};
/// use std::sync::Arc;
///
/// let clock = Arc::new(TestClock::default());
/// let r2 = FakeR2::start(R2Options::new(clock.clone())).await?;
/// let us = r2.credentials();
/// let blobs = R2Blobs::new(&R2Config {
///     endpoint: us.endpoint,
///     bucket: us.bucket,
///     access_key_id: us.access_key_id,
///     secret_access_key: us.secret_access_key.into(),
///     public_url: us.public_url,
/// }, clock)?;
/// # let _ = blobs;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct R2Credentials {
    /// `R2_ENDPOINT`
    pub endpoint: String,
    /// `R2_BUCKET_NAME`
    pub bucket: String,
    /// `R2_ACCESS_KEY_ID`
    pub access_key_id: String,
    /// `R2_SECRET_ACCESS_KEY`
    pub secret_access_key: String,
    /// `R2_PUBLIC_URL`
    pub public_url: String,
}

/// An object as it is kept.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_testkit::clock::TestClock;
/// use dream_testkit::fakes::r2::{FakeR2, R2Options};
/// use std::sync::Arc;
///
/// let r2 = FakeR2::start(R2Options::new(Arc::new(TestClock::default()))).await?;
/// r2.plant("left/over.png", "image/png", "nobody names it");
/// let object = r2.object("left/over.png").ok_or("it is there")?;
/// assert_eq!((object.content_type(), object.bytes.len()), ("image/png", 15));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// The content.
    pub bytes: Bytes,
    /// Headers that are given out as they came: `content-type`, `cache-control`, `x-amz-meta-…` and the like.
    pub headers: BTreeMap<String, String>,
    /// When it was written.
    pub modified: Timestamp,
    /// With its quotes.
    pub etag: String,
}

impl StoredObject {
    fn new(bytes: Bytes, mut headers: BTreeMap<String, String>, modified: Timestamp) -> Self {
        let unknown = || "application/octet-stream".to_owned();
        headers.entry("content-type".to_owned()).or_insert_with(unknown);
        // Nobody may rely on how it is made, only that it changes with the content.
        let hash = digest::digest(&digest::SHA256, &bytes);
        let etag = format!("\"{}\"", &hex::encode(hash)[..32]);
        Self { bytes, headers, modified, etag }
    }

    /// The type that it was put with.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::r2::{FakeR2, R2Options};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let r2 = FakeR2::start(R2Options::new(clock.clone())).await?;
    /// r2.plant("a.webp", "image/webp", "RIFF");
    /// assert_eq!(r2.object("a.webp").unwrap().content_type(), "image/webp");
    /// # Ok(())
    /// # }
    /// ```
    pub fn content_type(&self) -> &str {
        self.headers.get("content-type").map_or("", String::as_str)
    }
}

#[derive(Debug)]
struct Inner {
    options: R2Options,
    objects: Mutex<BTreeMap<String, StoredObject>>,
    faults: Faults,
    log: Arc<RequestLog>,
}

/// R2 on two loopback ports. It stops when it is dropped.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.on_r2(), async |world| {
/// use dream_testkit::fakes::r2::operation;
/// use dream_testkit::faults::Fault;
///
/// // The storage fails once; nothing is lost and nothing is left over.
/// world.r2().faults().next(operation::PUT, Fault::status(500, ""));
/// world.blobs().put(&"a.png".parse().unwrap(), "image/png", "x".into()).await?;
/// assert_eq!(world.r2().keys(), ["a.png"]);
/// # world.blobs().delete(&"a.png".parse().unwrap()).await?;
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct FakeR2 {
    inner: Arc<Inner>,
    api: FakeServer,
    public: FakeServer,
}

impl FakeR2 {
    /// Starts it.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dream_testkit::clock::TestClock;
    /// use dream_testkit::fakes::r2::{FakeR2, R2Options};
    /// use std::sync::Arc;
    ///
    /// let r2 = FakeR2::start(R2Options::new(Arc::new(TestClock::default()))).await?;
    /// let stranger = reqwest::get(format!("{}/{}/a.png", r2.base_url(), r2.bucket())).await?;
    /// assert_eq!(stranger.status(), 401, "who signs nothing gets nothing");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If a port cannot be opened.
    pub async fn start(options: R2Options) -> io::Result<Self> {
        let api = Setup::new(options.clock.clone()).at(options.bind);
        let public = Setup { log: api.log.clone(), ..api.clone() }.at(options.bind_public);
        let inner = Arc::new(Inner {
            log: api.log.clone(),
            objects: Mutex::default(),
            faults: Faults::default(),
            options,
        });
        let desk = inner.clone();
        let api = FakeServer::start(api, move |request| objects::answer(desk.clone(), request)).await?;
        let desk = inner.clone();
        let public = FakeServer::start(public, move |request| public::answer(desk.clone(), request)).await?;
        Ok(Self { inner, api, public })
    }

    /// The S3 API (`R2_ENDPOINT`), without a slash at the end.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::r2::{FakeR2, R2Options};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let r2 = FakeR2::start(R2Options::new(clock.clone())).await?;
    /// assert!(r2.base_url().starts_with("http://127.0.0.1:"));
    /// assert_ne!(r2.base_url(), r2.public_url());
    /// # Ok(())
    /// # }
    /// ```
    pub fn base_url(&self) -> String {
        self.api.base_url()
    }

    /// Where anybody reads (`R2_PUBLIC_URL`), without a slash at the end.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::r2::{FakeR2, R2Options};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let r2 = FakeR2::start(R2Options::new(clock.clone())).await?;
    /// r2.plant("a.png", "image/png", "x");
    /// let picture = reqwest::get(format!("{}/a.png", r2.public_url())).await?;
    /// assert_eq!(picture.text().await?, "x", "anybody reads there");
    /// # Ok(())
    /// # }
    /// ```
    pub fn public_url(&self) -> String {
        self.public.base_url()
    }

    /// The bucket.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::r2::{FakeR2, R2Options};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let r2 = FakeR2::start(R2Options::new(clock.clone())).await?;
    /// assert_eq!(r2.credentials().bucket, r2.bucket());
    /// # Ok(())
    /// # }
    /// ```
    pub fn bucket(&self) -> &str {
        &self.inner.options.bucket
    }

    /// The key's name.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::r2::{FakeR2, R2Options};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let r2 = FakeR2::start(R2Options::new(clock.clone())).await?;
    /// assert_eq!(r2.credentials().access_key_id, r2.access_key_id());
    /// # Ok(())
    /// # }
    /// ```
    pub fn access_key_id(&self) -> &str {
        &self.inner.options.access_key_id
    }

    /// The key.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::r2::{FakeR2, R2Options};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let r2 = FakeR2::start(R2Options::new(clock.clone())).await?;
    /// assert_eq!(r2.credentials().secret_access_key, r2.secret_access_key());
    /// # Ok(())
    /// # }
    /// ```
    pub fn secret_access_key(&self) -> &str {
        &self.inner.options.secret_access_key
    }

    /// What Dream has to be configured with.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::r2::{FakeR2, R2Options};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let r2 = FakeR2::start(R2Options::new(clock.clone())).await?;
    /// let us = r2.credentials();
    /// assert_eq!((us.endpoint, us.public_url), (r2.base_url(), r2.public_url()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn credentials(&self) -> R2Credentials {
        R2Credentials {
            endpoint: self.base_url(),
            bucket: self.bucket().to_owned(),
            access_key_id: self.access_key_id().to_owned(),
            secret_access_key: self.secret_access_key().to_owned(),
            public_url: self.public_url(),
        }
    }

    /// The server of the S3 API, to take it down.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::r2::{FakeR2, R2Options};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let r2 = FakeR2::start(R2Options::new(clock.clone())).await?;
    /// r2.plant("a.png", "image/png", "x");
    /// // Nothing can be written, and everything can still be seen.
    /// r2.server().go_down().await?;
    /// assert_eq!(reqwest::get(format!("{}/a.png", r2.public_url())).await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn server(&self) -> &FakeServer {
        &self.api
    }

    /// The server of public reading, to take it down.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::r2::{FakeR2, R2Options};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let r2 = FakeR2::start(R2Options::new(clock.clone())).await?;
    /// r2.public_server().go_down().await?;
    /// assert!(reqwest::get(format!("{}/a.png", r2.public_url())).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn public_server(&self) -> &FakeServer {
        &self.public
    }

    /// What is to go wrong; [`operation`] has the names.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::r2::{FakeR2, R2Options};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let r2 = FakeR2::start(R2Options::new(clock.clone())).await?;
    /// use dream_testkit::fakes::r2::operation;
    /// use dream_testkit::faults::Fault;
    ///
    /// r2.plant("a.png", "image/png", "x");
    /// r2.faults().next(operation::PUBLIC, Fault::html(502));
    /// let look = || reqwest::get(format!("{}/a.png", r2.public_url()));
    /// assert_eq!((look().await?.status().as_u16(), look().await?.status().as_u16()), (502, 200));
    /// # Ok(())
    /// # }
    /// ```
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// The object of this name.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::r2::{FakeR2, R2Options};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let r2 = FakeR2::start(R2Options::new(clock.clone())).await?;
    /// r2.plant("a.png", "image/png", "x");
    /// assert_eq!(r2.object("a.png").unwrap().bytes, "x");
    /// assert_eq!(r2.object("b.png"), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn object(&self, key: &str) -> Option<StoredObject> {
        lock(&self.inner.objects).get(key).cloned()
    }

    /// The names of all objects, in order.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::r2::{FakeR2, R2Options};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let r2 = FakeR2::start(R2Options::new(clock.clone())).await?;
    /// for key in ["b.png", "a.png"] {
    ///     r2.plant(key, "image/png", "x");
    /// }
    /// assert_eq!(r2.keys(), ["a.png", "b.png"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn keys(&self) -> Vec<String> {
        lock(&self.inner.objects).keys().cloned().collect()
    }

    /// Puts an object there behind the backend's back.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.on_r2(), async |world| {
    /// use dream_core::ports::Blobs as _;
    ///
    /// // Something that the business has never put there.
    /// world.r2().plant("stranger.png", "image/png", "x");
    /// assert!(world.blobs().head(&"stranger.png".parse().unwrap()).await?.is_some());
    /// # world.blobs().delete(&"stranger.png".parse().unwrap()).await?;
    /// # Ok(())
    /// # });
    /// ```
    pub fn plant(&self, key: &str, content_type: &str, bytes: impl Into<Bytes>) {
        let headers = BTreeMap::from([("content-type".to_owned(), content_type.to_owned())]);
        let object = StoredObject::new(bytes.into(), headers, self.inner.options.clock.now());
        lock(&self.inner.objects).insert(key.to_owned(), object);
    }

    /// Every request to either port, oldest first.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::r2::{FakeR2, R2Options};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let r2 = FakeR2::start(R2Options::new(clock.clone())).await?;
    /// reqwest::get(format!("{}/a.png", r2.public_url())).await?;
    /// let asked = r2.requests();
    /// assert_eq!((asked[0].request.path.as_str(), asked[0].status), ("/a.png", Some(404)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn requests(&self) -> Vec<Recorded> {
        self.inner.log.all()
    }

    /// Stops and waits until the ports are free.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::fakes::r2::{FakeR2, R2Options};
    /// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::default());
    /// # let r2 = FakeR2::start(R2Options::new(clock.clone())).await?;
    /// let address = r2.public_server().addr();
    /// r2.shutdown().await;
    /// assert!(std::net::TcpListener::bind(address).is_ok(), "both ports can be had again");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(self) {
        self.api.shutdown().await;
        self.public.shutdown().await;
    }
}
