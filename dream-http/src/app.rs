//! What all requests share.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dream_core::kernel::Timestamp;
use dream_core::ports::{Entropy, Invalidation};
use dream_core::{Code, DependencyHealth, Dream, Error, Result};
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::body_limits::Bodies;
use crate::call::{Call, Caller, Notes};
use crate::entropy::ThreadEntropy;
use crate::meters::Meters;
use crate::openapi;
use crate::public_cache::PublicCache;
use crate::response_memory::ResponseMemory;
use crate::routes;
use crate::settings::Settings;
use crate::table::{Options, Row, Table};
use crate::throttle::{Allowance, LimitClass, Refusal, Throttle};

/// How long the state of the dependencies is believed.
const PROBE_TTL: Duration = Duration::from_secs(1);

/// Asks all dependencies.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::DependencyHealth;
/// use dream_http::{App, Probe, Settings};
/// use std::sync::Arc;
///
/// // A program that keeps something else beside the database says how that is, too.
/// let dream = world.dream().clone();
/// let probe: Probe = Arc::new(move || {
///     let dream = dream.clone();
///     Box::pin(async move {
///         let mut all = dream.health().await;
///         all.push(DependencyHealth { name: "search", required: false, up: true });
///         all
///     })
/// });
/// let app = App::builder(world.dream().clone(), Settings::default()).probe(probe).build()?;
/// # let _ = app;
/// # Ok(())
/// # });
/// ```
pub type Probe = Arc<dyn Fn() -> BoxFuture<'static, Vec<DependencyHealth>> + Send + Sync>;
/// Writes the metrics as Prometheus reads them.
///
/// ```
/// use dream_http::RenderMetrics;
/// use std::sync::Arc;
///
/// let render: RenderMetrics = Arc::new(|| "# TYPE up gauge\nup 1\n".to_owned());
/// assert!(render().ends_with("up 1\n"), "in the text format of Prometheus");
/// ```
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What a server is doing.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::{App, Phase, Settings};
///
/// let app = App::builder(world.dream().clone(), Settings::default()).build()?;
/// // It becomes `Serving` with `Server::serve`, and `/health/ready` says 503 until then.
/// assert_eq!(app.phase(), Phase::Starting);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// It does not accept requests yet.
    Starting = 0,
    /// It serves.
    Serving = 1,
    /// It finishes what it has and takes nothing new.
    Draining = 2,
}

/// What all requests share: settings, the route table, limits, caches and the state of the server.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::{App, Settings};
///
/// let app = App::builder(world.dream().clone(), Settings::default()).build()?;
/// let document: serde_json::Value = serde_json::from_slice(app.document())?;
/// assert!(document["paths"]["/v1/jobs"]["post"].is_object());
/// assert!(app.table().rows().iter().any(|row| row.path() == "/v1/vip/plans"));
/// # Ok(())
/// # });
/// ```
pub struct App {
    dream: Dream,
    settings: Settings,
    table: Table,
    version: &'static str,
    document: Bytes,
    entropy: Arc<dyn Entropy>,
    throttle: Option<Throttle>,
    public: PublicCache,
    meters: Meters,
    places: Arc<Semaphore>,
    waiting_places: Arc<Semaphore>,
    response_memory: Arc<ResponseMemory>,
    callback_places: Arc<Semaphore>,
    bodies: Arc<Bodies>,
    callback_bodies: Arc<Bodies>,
    parsing: Semaphore,
    probe: Probe,
    probed: Mutex<Option<(Instant, Vec<DependencyHealth>)>>,
    metrics: Option<RenderMetrics>,
    phase: AtomicU8,
    started: Instant,
    tasks: TaskTracker,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("phase", &self.phase()).finish_non_exhaustive()
    }
}

/// Puts an [`App`] together.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::Result;
/// use dream_http::gate::Anyone;
/// use dream_http::table::get;
/// use dream_http::{App, Server, Settings};
/// use std::sync::Arc;
///
/// async fn motd(_: Anyone, (): ()) -> Result<String> {
///     Ok("closed on Sunday".to_owned())
/// }
///
/// let settings = Settings { listen: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
/// let app = App::builder(world.dream().clone(), settings)
///     .rows(vec![get("/v1/motd", motd).doc("What is to be said today")])
///     .version("2026.1")
///     .metrics(Arc::new(|| "# nothing is measured here\n".to_owned()))
///     .build()?;
/// let server = Server::bind(app)?;
/// let url = format!("http://{}/v1/motd", server.local_addr()?);
/// let serving = tokio::spawn(server.serve(std::future::pending()));
/// assert_eq!(reqwest::get(url).await?.json::<String>().await?, "closed on Sunday");
/// # serving.abort();
/// # Ok(())
/// # });
/// ```
pub struct AppBuilder {
    dream: Dream,
    settings: Settings,
    rows: Vec<Row>,
    version: &'static str,
    entropy: Arc<dyn Entropy>,
    probe: Probe,
    metrics: Option<RenderMetrics>,
}

impl fmt::Debug for AppBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl AppBuilder {
    /// More rows than those of the contract.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::table::get;
    /// use dream_http::{App, Settings};
    ///
    /// # async fn motd(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<()> { Ok(()) }
    /// let app = App::builder(world.dream().clone(), Settings::default())
    ///     .rows(vec![get("/v1/motd", motd)])
    ///     .build()?;
    /// assert!(app.table().rows().iter().any(|row| row.path() == "/v1/motd"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn rows(mut self, rows: Vec<Row>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// The version that `/` and the document tell.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Settings};
    ///
    /// let app = App::builder(world.dream().clone(), Settings::default()).version("2026.1").build()?;
    /// let document: serde_json::Value = serde_json::from_slice(app.document())?;
    /// assert_eq!(document["info"]["version"], "2026.1");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// Where the ids of requests and traces come from; [`ThreadEntropy`] unless given.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// How to find out whether the dependencies answer, where it is not [`Dream::health`].
    #[must_use]
    pub fn probe(mut self, probe: Probe) -> Self {
        self.probe = probe;
        self
    }

    /// What `/metrics` answers; without it the route is not there.
    #[must_use]
    pub fn metrics(mut self, render: RenderMetrics) -> Self {
        self.metrics = Some(render);
        self
    }

    /// The application.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Code;
    /// use dream_http::table::get;
    /// use dream_http::{App, Settings};
    ///
    /// # async fn motd(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<()> { Ok(()) }
    /// // The contract has this path already.
    /// let rows = vec![get("/v1/vip/plans", motd)];
    /// let refused =
    ///     App::builder(world.dream().clone(), Settings::default()).rows(rows).build().unwrap_err();
    /// assert_eq!(refused.code(), Code::Internal);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`Code::Internal`] for a table that contradicts itself.
    pub fn build(self) -> Result<Arc<App>> {
        let table = Table::new(self.rows).map_err(Error::internal)?;
        let document = openapi::document(&table, self.version).map_err(Error::internal)?;
        let document = document.to_pretty_json().map_err(Error::internal)?;
        let limits = self.settings.limits;
        let topics = table.rows().iter().filter_map(|row| row.options.public).map(|public| public.topic);
        Ok(Arc::new(App {
            public: PublicCache::new(limits.public_cache, table.rows().len(), topics),
            meters: Meters::new(table.rows().len()),
            document: document.into(),
            version: self.version,
            dream: self.dream,
            entropy: self.entropy,
            throttle: self.settings.throttle.and_then(|rule| Throttle::new(rule, self.settings.class_limits)),
            places: Arc::new(Semaphore::new(limits.requests)),
            waiting_places: Arc::new(Semaphore::new(limits.waiting_requests)),
            response_memory: ResponseMemory::new(limits.response_memory),
            callback_places: Arc::new(Semaphore::new(limits.callback_requests)),
            bodies: Bodies::new(limits.bodies()),
            callback_bodies: Bodies::new(limits.callback_bodies()),
            parsing: Semaphore::new(std::thread::available_parallelism().map_or(1, NonZeroUsize::get)),
            probe: self.probe,
            probed: Mutex::new(None),
            metrics: self.metrics,
            phase: AtomicU8::new(Phase::Starting as u8),
            started: Instant::now(),
            tasks: TaskTracker::new(),
            settings: self.settings,
            table,
        }))
    }
}

impl App {
    /// Begins to put an application together.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Settings};
    ///
    /// let app = App::builder(world.dream().clone(), Settings::default()).build()?;
    /// assert!(!app.table().rows().is_empty(), "the rows of the contract");
    /// # Ok(())
    /// # });
    /// ```
    pub fn builder(dream: Dream, settings: Settings) -> AppBuilder {
        let asked = dream.clone();
        AppBuilder {
            rows: routes::all(settings.docs),
            dream,
            settings,
            version: env!("CARGO_PKG_VERSION"),
            entropy: Arc::new(ThreadEntropy),
            probe: Arc::new(move || {
                let dream = asked.clone();
                Box::pin(async move { dream.health().await })
            }),
            metrics: None,
        }
    }

    /// What it was told.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Settings};
    ///
    /// # let app = App::builder(world.dream().clone(), Settings::default()).build()?;
    /// assert_eq!(app.settings().listen, Settings::default().listen);
    /// # Ok(())
    /// # });
    /// ```
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The route table.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Settings};
    ///
    /// # let app = App::builder(world.dream().clone(), Settings::default()).build()?;
    /// assert!(app.table().rows().iter().any(|row| row.path() == "/v1/vip/plans"));
    /// # Ok(())
    /// # });
    /// ```
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The OpenAPI document.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Settings};
    ///
    /// # let app = App::builder(world.dream().clone(), Settings::default()).build()?;
    /// let document: serde_json::Value = serde_json::from_slice(app.document())?;
    /// assert!(document["paths"]["/v1/vip/plans"]["get"].is_object());
    /// # Ok(())
    /// # });
    /// ```
    pub fn document(&self) -> &Bytes {
        &self.document
    }

    /// The version.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Settings};
    ///
    /// let app = App::builder(world.dream().clone(), Settings::default()).version("2026.1").build()?;
    /// assert_eq!(app.version(), "2026.1");
    /// # Ok(())
    /// # });
    /// ```
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// The present instant.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Settings};
    ///
    /// # let app = App::builder(world.dream().clone(), Settings::default()).build()?;
    /// assert_eq!(app.now(), world.now(), "the clock of the business");
    /// # Ok(())
    /// # });
    /// ```
    pub fn now(&self) -> Timestamp {
        self.dream.now()
    }

    /// The business.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Settings};
    ///
    /// # let app = App::builder(world.dream().clone(), Settings::default()).build()?;
    /// assert_eq!(app.dream().now(), world.now());
    /// # Ok(())
    /// # });
    /// ```
    pub fn dream(&self) -> &Dream {
        &self.dream
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        &*self.entropy
    }

    /// How long it has been there.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Settings};
    ///
    /// # let app = App::builder(world.dream().clone(), Settings::default()).build()?;
    /// let begun = app.uptime();
    /// assert!(app.uptime() >= begun, "by the machine's clock, whatever the business takes for the time");
    /// # Ok(())
    /// # });
    /// ```
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// What it is doing.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::{App, Phase, Settings};
    ///
    /// # let app = App::builder(world.dream().clone(), Settings::default()).build()?;
    /// assert_eq!(app.phase(), Phase::Starting, "nobody serves it yet");
    /// # Ok(())
    /// # });
    /// ```
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Draining,
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Something of this topic changed: kept public answers about it are stale.
    pub fn invalidate(&self, topic: &str) {
        self.public.invalidate(topic);
    }

    /// Anything may have changed.
    pub fn invalidate_all(&self) {
        self.public.invalidate_all();
    }

    /// Drops kept public answers as news of changes come in. Ends when nothing can change any more.
    pub(crate) async fn follow_news(&self) {
        use tokio::sync::broadcast::error::RecvError;
        let mut news = self.dream.news();
        loop {
            match news.recv().await {
                Ok(Invalidation::Topic(topic)) => self.invalidate(&topic),
                Ok(Invalidation::Everything) | Err(RecvError::Lagged(_)) => self.invalidate_all(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.meters
    }

    pub(crate) fn public(&self) -> &PublicCache {
        &self.public
    }

    pub(crate) fn response_memory(&self) -> &Arc<ResponseMemory> {
        &self.response_memory
    }

    pub(crate) fn metrics_text(&self) -> Option<String> {
        self.metrics.as_ref().map(|render| render())
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Counts a request of this caller, once, here and on all nodes, in this class beside the common limit.
    pub(crate) async fn admit(&self, call: &Call, class: Option<LimitClass>, caller: &Caller) -> Result<()> {
        let (options, notes) = (call.options(), call.notes());
        let Some(throttle) = self.throttle.as_ref().filter(|_| options.metered) else { return Ok(()) };
        if notes.allowance.get().is_some() {
            return Ok(());
        }
        note(notes, throttle.count(&self.dream, class, caller, call.client()).await)
    }

    /// Counts a read of what everybody may read, by somebody who is not signed in, once, on this node alone.
    pub(crate) fn count_public(&self, notes: &Notes, client: IpAddr) -> Result<()> {
        match &self.throttle {
            Some(throttle) if notes.allowance.get().is_none() => note(notes, throttle.count_public(client)),
            _ => Ok(()),
        }
    }

    /// Counts an admin key that has opened nothing so far against the allowance for guesses of its address.
    pub(crate) fn admit_admin_key(&self, client: IpAddr, key: &str) -> Result<()> {
        let counted = self.throttle.as_ref().map(|throttle| throttle.count_admin_key(client, key));
        counted.unwrap_or(Ok(())).map_err(|refusal| refusal.error)
    }

    /// Remembers that this key opened the administration.
    pub(crate) fn know_admin_key(&self, key: &str) {
        if let Some(throttle) = &self.throttle {
            throttle.know_admin_key(key);
        }
    }

    /// Counts a request that costs next to nothing, once, on this node alone.
    pub(crate) fn count_here(&self, notes: &Notes, caller: &Caller, client: IpAddr) -> Result<()> {
        match &self.throttle {
            Some(throttle) if notes.allowance.get().is_none() => {
                note(notes, throttle.count_here(caller, client))
            }
            _ => Ok(()),
        }
    }

    /// A place among the requests at once, or a refusal at once: a queue would only make everybody late.
    pub(crate) fn place(&self, options: &Options) -> Result<Option<OwnedSemaphorePermit>> {
        if !options.shed {
            return Ok(None);
        }
        let places = match (options.is_callback, options.waits) {
            (true, _) => &self.callback_places,
            (false, true) => &self.waiting_places,
            (false, false) => &self.places,
        };
        Arc::clone(places).try_acquire_owned().map(Some).map_err(|_| Error::new(Code::Unavailable))
    }

    /// Where the bodies of a route are counted.
    pub(crate) fn bodies(&self, options: &Options) -> &Arc<Bodies> {
        if options.is_callback { &self.callback_bodies } else { &self.bodies }
    }

    /// Does work that occupies a processor for long, such as parsing a large body, on a thread of its own. As much of it
    /// runs at once as there are processors.
    pub(crate) async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let _turn = self.parsing.acquire().await.map_err(Error::internal)?;
        spawn_blocking(work).await.map_err(Error::internal)
    }

    /// The state of the dependencies, at most a second old.
    pub(crate) async fn dependencies(&self) -> Vec<DependencyHealth> {
        if let Ok(probed) = self.probed.lock()
            && let Some((at, known)) = &*probed
            && at.elapsed() < PROBE_TTL
        {
            return known.clone();
        }
        let found = (self.probe)().await;
        if let Ok(mut probed) = self.probed.lock() {
            *probed = Some((Instant::now(), found.clone()));
        }
        found
    }

    /// Forgets callers that have not called for a while.
    pub(crate) fn tidy(&self) {
        if let Some(throttle) = &self.throttle {
            throttle.forget_idle();
        }
    }
}

/// Keeps what is left to the caller, for the headers of the answer.
fn note(notes: &Notes, counted: Result<Allowance, Refusal>) -> Result<()> {
    let (allowance, outcome) = match counted {
        Ok(allowance) => (allowance, Ok(())),
        Err(Refusal { error, allowance }) => (allowance, Err(error)),
    };
    // It was empty a moment ago, and one request runs in one task at a time.
    let _ = notes.allowance.set(allowance);
    outcome
}
