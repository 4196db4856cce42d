//! `Dream` and its builder: takes the ports, gives out handles.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use tokio::sync::{Notify, broadcast};

use crate::access::Worker;
use crate::adapters::{AllowAll, MemoryCache, OsEntropy, SystemClock};
use crate::auth::{AccessTokens, Alive};
use crate::error::{Error, Result};
use crate::gallery::Like;
use crate::housekeeping::Schedule;
use crate::kernel::page::CursorSealer;
use crate::kernel::{Sealer, Timestamp, UserId};
use crate::points::{AdjustByAdmin, Balance};
use crate::ports::{Blobs, Cache, Clock, ContentCheck, Entropy, ImageApi, Invalidation, PayChannel, WeChat};
use crate::protocol::message_push::PushReceiver;
use crate::protocol::webhook::WebhookVerifier;
use crate::settings::Settings;
use crate::store::{DatabaseFacts, DatabaseOptions, SchemaStatus, Store, StoreGate, Together};
use crate::tally::Tally;
use crate::users::User;

/// The business. Cheap to clone; all clones share one state.
///
/// What a caller may do is a value that `Dream` gives out: [`crate::Guest`], [`crate::Session`],
/// [`crate::Admin`], and the proofs of signed callbacks.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::Dream;
///
/// # let dream: &Dream = world.dream();
/// // Hand a clone to every task that serves somebody: all of them are one business.
/// let serving = {
///     let dream = dream.clone();
///     tokio::spawn(async move { dream.guest().plans().await })
/// };
/// serving.await??;
///
/// let health = dream.health().await;
/// assert!(health.iter().filter(|dependency| dependency.required).all(|dependency| dependency.up));
/// # Ok(())
/// # });
/// ```
#[derive(Clone)]
pub struct Dream {
    pub(crate) core: Arc<Core>,
}

impl fmt::Debug for Dream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dream")
    }
}

/// Everything the areas share.
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) cache: Arc<dyn Cache>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) wechat: Arc<dyn WeChat>,
    pub(crate) image_api: Arc<dyn ImageApi>,
    pub(crate) content: Arc<dyn ContentCheck>,
    /// By their names.
    pub(crate) pay: BTreeMap<&'static str, Arc<dyn PayChannel>>,
    pub(crate) tokens: AccessTokens,
    pub(crate) webhooks: Option<WebhookVerifier>,
    pub(crate) push: Option<PushReceiver>,
    pub(crate) cursors: CursorSealer,
    pub(crate) sealer: Sealer,
    pub(crate) alive: Alive,
    pub(crate) wake: Notify,
    pub(crate) tally: Tally,
    pub(crate) balances: Together<UserId, Option<Balance>>,
    pub(crate) adjustments: Together<AdjustByAdmin, Option<User>>,
    pub(crate) likes: Together<Like, i64>,
    /// Names this process in the leases that it takes; empty if nobody named it.
    pub(crate) process: String,
    /// When the operator was last told that the image API refuses our account, in microseconds since 1970.
    pub(crate) account_alarm: AtomicI64,
}

impl Core {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Says that the outbox has something new, so that the worker of this process need not wait.
    pub(crate) fn wake_worker(&self) {
        self.wake.notify_one();
    }

    /// Tells every node that a topic changed. News are a convenience: losing them costs time, not truth.
    pub(crate) async fn announce(&self, topic: &str) {
        if let Err(failure) = self.cache.invalidate(topic).await {
            tracing::debug!(error = %failure, topic, "a change could not be announced");
        }
    }
}

/// What the database must look like when `Dream` starts.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::{AtStart, DatabaseOptions, Dream, Settings};
/// # use std::sync::Arc;
/// # use dream_core::adapters::{DiskBlobs, MemoryCache, SystemClock, wechat::*, image_api::*};
/// # let folder = tempfile::tempdir()?;
/// # let secret = || secrecy::SecretString::from("0123456789abcdef0123456789abcdef");
/// # let settings = Settings::new(secret());
/// # let database = DatabaseOptions::new(format!("sqlite://{}/dream.db", folder.path().display()));
/// # let cache = Arc::new(MemoryCache::new(Arc::new(SystemClock)));
/// # let wechat = Arc::new(WeChatHttp::new(WeChatConfig::new("wx0123456789abcdef", secret()), cache, Arc::new(SystemClock))?);
/// # let image_api = Arc::new(ImageApiHttp::new(&ImageApiConfig::new("https://images.example", secret()), Arc::new(SystemClock))?);
/// # let blobs = Arc::new(DiskBlobs::open(folder.path(), "https://dream.example/uploads").await?);
///
/// // Where many nodes start at once, let a step of the rollout migrate, and no node by itself.
/// let builder = Dream::builder(settings, database.clone()).at_start(AtStart::RequireCurrent);
/// # let builder = builder.blobs(blobs).wechat(wechat).image_api(image_api);
/// assert!(builder.build().await.is_err(), "nobody has migrated yet");
///
/// assert!(Dream::migrate(&database).await?.is_current());
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AtStart {
    /// Bring the schema up to date.
    #[default]
    Migrate,
    /// Refuse to start unless it is.
    RequireCurrent,
}

/// Collects the ports. Those without a default are named together when one is missing.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use dream_core::adapters::{DiskBlobs, SystemClock};
/// use dream_core::{DatabaseOptions, Dream, Settings};
/// # use dream_core::adapters::{MemoryCache, wechat::*, image_api::*};
/// # let folder = tempfile::tempdir()?;
/// # let secret = |_: &str| secrecy::SecretString::from("0123456789abcdef0123456789abcdef");
/// # let cache = Arc::new(MemoryCache::new(Arc::new(SystemClock)));
/// # let wechat = WeChatHttp::new(WeChatConfig::new("wx0123456789abcdef", secret("")), cache, Arc::new(SystemClock))?;
/// # let image_api = ImageApiHttp::new(&ImageApiConfig::new("https://images.example", secret("")), Arc::new(SystemClock))?;
/// # let url = format!("sqlite://{}/dream.db", folder.path().display());
///
/// let (dream, worker) = Dream::builder(Settings::new(secret("JWT_SECRET")), DatabaseOptions::new(url))
///     .blobs(Arc::new(DiskBlobs::open(folder.path(), "https://dream.example/uploads").await?))
///     .wechat(Arc::new(wechat))
///     .image_api(Arc::new(image_api))
///     .build()
///     .await?;
/// worker.run_due().await?;
/// assert_eq!(dream.guest().plans().await?, [], "nothing is sold before `plant_seeds`");
/// # dream.close().await;
/// # Ok(())
/// # }
/// ```
pub struct Builder {
    settings: Settings,
    database: DatabaseOptions,
    at_start: AtStart,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    cache: Option<Arc<dyn Cache>>,
    blobs: Option<Arc<dyn Blobs>>,
    wechat: Option<Arc<dyn WeChat>>,
    image_api: Option<Arc<dyn ImageApi>>,
    content: Arc<dyn ContentCheck>,
    pay: BTreeMap<&'static str, Arc<dyn PayChannel>>,
    push: Option<PushReceiver>,
    store_gate: Option<Arc<dyn StoreGate>>,
    rehearsal: bool,
    process: String,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

macro_rules! port {
    ($($(#[$doc:meta])* $name:ident: $trait:ident => $set:expr;)*) => { $(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, port: Arc<dyn $trait>) -> Self {
            let set: fn(&mut Self, Arc<dyn $trait>) = $set;
            set(&mut self, port);
            self
        }
    )* };
}

impl Builder {
    port! {
        /// Where the time comes from; the machine's clock unless said otherwise.
        clock: Clock => |b, p| b.clock = p;
        /// Where randomness comes from; the operating system unless said otherwise.
        entropy: Entropy => |b, p| b.entropy = p;
        /// Shared short-lived values; in this process's memory unless said otherwise.
        cache: Cache => |b, p| b.cache = Some(p);
        /// Where pictures are kept. Required.
        blobs: Blobs => |b, p| b.blobs = Some(p);
        /// The login side of WeChat. Required.
        wechat: WeChat => |b, p| b.wechat = Some(p);
        /// The API that makes the pictures. Required.
        image_api: ImageApi => |b, p| b.image_api = Some(p);
        /// Says what may go public; everything may unless said otherwise.
        content_check: ContentCheck => |b, p| b.content = p;
        /// A channel that takes payments, beside those named before. Without one nothing can be bought.
        pay: PayChannel => |b, p| drop(b.pay.insert(p.name(), p));
        /// Stands before the database, to hold up or break off its work in a simulation. There is none unless said
        /// otherwise.
        store_gate: StoreGate => |b, p| b.store_gate = Some(p);
    }

    /// Opens the messages that WeChat pushes; without it they are all refused, and no verdict on a picture arrives.
    #[must_use]
    pub fn message_push(mut self, receiver: PushReceiver) -> Self {
        self.push = Some(receiver);
        self
    }

    /// Names this process, differently from every other that ever ran, so that a later one can tell that it has ended
    /// and take its work over at once: see [`Worker::release_leases_of`]. Without a name its leases run out.
    #[must_use]
    pub fn process(mut self, name: impl Into<String>) -> Self {
        self.process = name.into();
        self
    }

    /// What to do about a schema that is not up to date; migrate it unless said otherwise.
    #[must_use]
    pub fn at_start(mut self, at_start: AtStart) -> Self {
        self.at_start = at_start;
        self
    }

    /// Works every change out in the database, with all its checks, and takes it back: each method answers what it
    /// would, and nothing is stored. What goes to the outside by itself, such as closing an order at its channel,
    /// is not held up; what goes through the outbox is.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// # use dream_core::{AtStart, Dream, Settings};
    /// # use std::sync::Arc;
    /// # use dream_core::adapters::{DiskBlobs, MemoryCache, SystemClock, wechat::*, image_api::*};
    /// # let folder = tempfile::tempdir()?;
    /// # let secret = || secrecy::SecretString::from("0123456789abcdef0123456789abcdef");
    /// # let cache = Arc::new(MemoryCache::new(Arc::new(SystemClock)));
    /// # let wechat = Arc::new(WeChatHttp::new(WeChatConfig::new("wx0123456789abcdef", secret()), cache, Arc::new(SystemClock))?);
    /// # let image_api = Arc::new(ImageApiHttp::new(&ImageApiConfig::new("https://images.example", secret()), Arc::new(SystemClock))?);
    /// # let blobs = Arc::new(DiskBlobs::open(folder.path(), "https://dream.example/uploads").await?);
    /// # let database = dream_core::DatabaseOptions::new(format!("sqlite://{}/dream.db", folder.path().display()));
    /// # let builder = Dream::builder(Settings::new(secret()), database).blobs(blobs).wechat(wechat).image_api(image_api);
    /// let (dream, _worker) = builder.rehearsal(true).build().await?;
    /// let report = dream.plant_seeds().await?;
    /// assert_eq!(report.planted, 23, "all of it would go well");
    /// assert_eq!(dream.guest().plans().await?, [], "and none of it was kept");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn rehearsal(mut self, rehearsal: bool) -> Self {
        self.rehearsal = rehearsal;
        self
    }

    /// Opens the database and gives the business, and the one right to do its background work.
    ///
    /// # Errors
    /// `INTERNAL` that names what is missing or wrong; `UNAVAILABLE` if the database cannot be reached.
    pub async fn build(self) -> Result<(Dream, Worker)> {
        let (Some(blobs), Some(wechat), Some(image_api)) = (self.blobs, self.wechat, self.image_api) else {
            return Err(Error::internal("the builder needs blobs, wechat and image_api"));
        };
        let secret = &self.settings.secret;
        let tokens = AccessTokens::new(secret)
            .map_err(|_| Error::internal("the secret for tokens needs at least 32 bytes"))?;
        let webhooks = match &self.settings.webhook_secret {
            Some(secret) => Some(
                WebhookVerifier::new(secret).map_err(|_| Error::internal("the webhook secret is empty"))?,
            ),
            None => None,
        };
        let sealer = Sealer::new(secret).ok_or_else(|| Error::internal("no key could be derived"))?;
        let cursors = CursorSealer::new(secret);
        let store = Store::open(&self.database).await?;
        match self.at_start {
            AtStart::Migrate => drop(store.migrate().await?),
            AtStart::RequireCurrent => store.require_current().await?,
        }
        let store = store.behind(self.store_gate).rehearsing(self.rehearsal);
        let cache = self.cache.unwrap_or_else(|| Arc::new(MemoryCache::new(self.clock.clone())));
        let alive = Alive::new(cache.as_ref());
        let core = Arc::new(Core {
            store,
            clock: self.clock,
            entropy: self.entropy,
            cache,
            blobs,
            wechat,
            image_api,
            content: self.content,
            pay: self.pay,
            tokens,
            webhooks,
            push: self.push,
            cursors,
            sealer,
            alive,
            wake: Notify::new(),
            tally: Tally::default(),
            balances: Together::default(),
            adjustments: Together::default(),
            likes: Together::default(),
            process: self.process,
            account_alarm: AtomicI64::new(0),
            settings: self.settings,
        });
        core.store.run(&Schedule { now: core.now() }).await?;
        let worker = Worker::new(core.clone());
        Ok((Dream { core }, worker))
    }
}

/// What a dependency answered when it was asked how it is.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # let dream = world.dream();
/// for dependency in dream.health().await {
///     assert!(dependency.up, "{} does not answer", dependency.name);
///     // Without the cache Dream is slower; without the database it is not there.
///     assert_eq!(dependency.required, dependency.name == "database");
/// }
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependencyHealth {
    /// `database` or `cache`.
    pub name: &'static str,
    /// Whether we cannot serve without it.
    pub required: bool,
    /// Whether it can be used: the database for reads and writes.
    pub up: bool,
}

impl Dream {
    /// Starts to put the business together.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dream_core::{Code, DatabaseOptions, Dream, Settings};
    /// # let secret = secrecy::SecretString::from("0123456789abcdef0123456789abcdef");
    ///
    /// // Three ports have no default, since Dream can do nothing without them.
    /// let outcome =
    ///     Dream::builder(Settings::new(secret), DatabaseOptions::new("sqlite::memory:")).build().await;
    /// let error = outcome.map(drop).unwrap_err();
    /// assert_eq!(error.code(), Code::Internal);
    /// assert!(error.chain().ends_with("the builder needs blobs, wechat and image_api"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(settings: Settings, database: DatabaseOptions) -> Builder {
        Builder {
            settings,
            database,
            at_start: AtStart::default(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            cache: None,
            blobs: None,
            wechat: None,
            image_api: None,
            content: Arc::new(AllowAll),
            pay: BTreeMap::new(),
            push: None,
            store_gate: None,
            rehearsal: false,
            process: String::new(),
        }
    }

    /// Brings the schema of a database up to date without starting anything.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dream_core::{DatabaseOptions, Dream};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite://{}/dream.db", folder.path().display());
    /// let database = DatabaseOptions::new(url);
    /// assert!(!Dream::schema(&database).await?.is_current(), "it is empty");
    /// assert!(Dream::migrate(&database).await?.is_current());
    /// // Doing it again changes nothing.
    /// assert!(Dream::migrate(&database).await?.is_current());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `INTERNAL` if the database is newer than this program; `UNAVAILABLE` if it cannot be reached.
    pub async fn migrate(database: &DatabaseOptions) -> Result<SchemaStatus> {
        let store = Store::open(database).await?;
        let status = store.migrate().await;
        store.close().await;
        status
    }

    /// How the schema of a database compares with what this program knows.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dream_core::{DatabaseOptions, Dream};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite://{}/dream.db", folder.path().display());
    /// let status = Dream::schema(&DatabaseOptions::new(url)).await?;
    /// assert_eq!(status.applied, 0, "an empty database has no migration");
    /// assert!(status.known >= 1 && !status.is_current());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `UNAVAILABLE` if it cannot be reached.
    pub async fn schema(database: &DatabaseOptions) -> Result<SchemaStatus> {
        let store = Store::open(database).await?;
        let status = store.schema().await;
        store.close().await;
        status
    }

    /// What a database says of itself: its version, its schema, its clock. A missing SQLite file is made.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dream_core::{DatabaseOptions, Dream};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite://{}/dream.db", folder.path().display());
    /// let facts = Dream::examine(&DatabaseOptions::new(url)).await?;
    /// assert_eq!((facts.product, facts.is_replica), ("SQLite", false));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `UNAVAILABLE` if it cannot be reached.
    pub async fn examine(database: &DatabaseOptions) -> Result<DatabaseFacts> {
        let store = Store::open(database).await?;
        let facts = store.facts().await;
        store.close().await;
        facts
    }

    /// Checks every dependency. The database counts as up only if it also stores what is written: a replica, a full
    /// disk or a lock that another process holds makes it down.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let health = world.dream().health().await;
    /// let ready = health.iter().all(|dependency| dependency.up || !dependency.required);
    /// assert!(ready, "a load balancer may send requests here");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn health(&self) -> Vec<DependencyHealth> {
        let (database, cache) = tokio::join!(self.core.store.ping(), self.core.cache.ping());
        vec![
            DependencyHealth { name: "database", required: true, up: database.is_ok() },
            DependencyHealth { name: "cache", required: false, up: cache.is_ok() },
        ]
    }

    /// News of what changed from now on, on this node or another, for whoever keeps copies.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::ports::Invalidation;
    /// # use dream_core::templates::*;
    /// # let admin = world.admin().await;
    /// # let content = PromptContent { title: "Film".parse().unwrap(), description: None, prompt: "film portrait".parse().unwrap(),
    /// #     category: "portrait".parse().unwrap(), thumbnail_url: None, preview_images: PreviewImages::default(), is_hot: false };
    /// # let new = NewTemplate { template_id: "film".parse().unwrap(), content };
    ///
    /// let mut news = world.dream().news();
    /// admin.create_prompt_template(new).await?;
    /// // Whoever keeps a copy of the templates throws it away now, on every node.
    /// assert_eq!(Invalidation::next(&mut news).await, Some(Invalidation::Topic("templates".to_owned())));
    /// # Ok(())
    /// # });
    /// ```
    pub fn news(&self) -> broadcast::Receiver<Invalidation> {
        self.core.cache.invalidations()
    }

    /// The settings in force.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let settings = world.dream().settings();
    /// assert_eq!(settings.point_price.get(), 10, "fen for one point");
    /// assert_eq!(settings.sample_prices.final_.get(), 10, "points for one picture in final mode");
    /// # Ok(())
    /// # });
    /// ```
    pub fn settings(&self) -> &Settings {
        &self.core.settings
    }

    /// The present instant on the clock in use.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use std::time::Duration;
    ///
    /// let before = world.dream().now();
    /// world.clock().advance(Duration::from_mins(5));
    /// assert_eq!(
    ///     world.dream().now().since(before),
    ///     Duration::from_mins(5),
    ///     "it is the clock of the builder"
    /// );
    /// # Ok(())
    /// # });
    /// ```
    pub fn now(&self) -> Timestamp {
        self.core.now()
    }

    /// Database connections: open, and idle among them.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let (open, idle) = world.dream().connections();
    /// assert!(idle <= open);
    /// # Ok(())
    /// # });
    /// ```
    pub fn connections(&self) -> (u32, u32) {
        self.core.store.connections()
    }

    /// Closes the database once everything that uses it has ended.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let (dream, worker) = world.another_node().await;
    /// // The last thing that a program does, once nobody uses it any more.
    /// drop(worker);
    /// dream.close().await;
    /// assert!(dream.guest().plans().await.is_err());
    /// # Ok(())
    /// # });
    /// ```
    pub async fn close(&self) {
        self.core.store.close().await;
    }
}
