//! The business on a stage: one seed decides what users, processes and the outside do, who goes first, and what goes wrong.
//!
//! A schedule runs on one thread. Processes share one SQLite database and see the outside through implementations of
//! the ports that keep everything in memory; a gate stands before the database. Each call of a port and each transaction
//! waits until the play lets it go on, so the dice decide every order, and may let a process die at any of these points.
//! After each commit the books are checked. Once the weather clears up everything has to come to its end in
//! bounded time. The same seed tells the same story.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use dream_testkit::simulation::Theatre;
//!
//! let mut theatre = Theatre::open().await;
//! for seed in 0..1000 {
//!     let played = theatre.play(seed, false).await;
//!     assert_eq!(played.fault, None, "seed {seed}");
//! }
//! # Ok(())
//! # }
//! ```
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "it runs tests: what goes wrong here fails them"
)]

mod books;
mod channel;
mod deeds;
mod gate;
mod outside;
mod play;
mod stage;

use std::sync::Arc;

use dream_core::kernel::Points;
use dream_core::ports::{Failure, FailureKind};
use dream_core::{AtStart, DatabaseOptions, Dream, Durability, QuotaLimit, Settings, Worker};
use secrecy::SecretString;
use tempfile::TempDir;

use books::Books;
use channel::Channel;
use gate::Gate;
use outside::{Door, Painter, Scraps, Shelf};
use stage::{Stage, StageClock, StageEntropy};

/// Processes that share the database.
const NODES: usize = 2;
const SECRET: &str = "the secret of the stage, which has more than 32 bytes";
const WEBHOOK_SECRET: &str = "the secret of the painter";

/// What came of a schedule.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_testkit::simulation::Theatre;
///
/// let mut theatre = Theatre::open().await;
/// let played = theatre.play(7, true).await;
/// // With its story, for a seed that has found something: line by line what happened.
/// assert_eq!(played.fault, None, "{}", played.story.join("\n"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// A hash of all that happened.
    pub hash: u64,
    /// What happened, line by line, if that was wanted.
    pub story: Vec<String>,
    /// What was found wrong, if anything.
    pub fault: Option<String>,
    /// How much happened.
    pub figures: Figures,
}

/// How much happened in a schedule, to see that it is worth its time.
///
/// ```
/// use dream_testkit::simulation::Figures;
///
/// let mut sum = Figures::default();
/// for commits in [12, 30] {
///     sum.add(&Figures { commits, deaths: 1, ..Figures::default() });
/// }
/// assert_eq!((sum.commits, sum.deaths), (42, 2));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Turns of the play.
    pub turns: u64,
    /// Deeds of users, admins, workers and the outside.
    pub deeds: u64,
    /// Commits.
    pub commits: u64,
    /// Processes that died.
    pub deaths: u64,
    /// Payments.
    pub payments: u64,
    /// Refunds that the platform took on.
    pub refunds: u64,
    /// Jobs that the image API took on.
    pub jobs: u64,
}

impl Figures {
    /// Adds another schedule's.
    ///
    /// ```
    /// use dream_testkit::simulation::Figures;
    ///
    /// let mut sum = Figures { payments: 2, ..Figures::default() };
    /// sum.add(&Figures { payments: 3, jobs: 1, ..Figures::default() });
    /// assert_eq!((sum.payments, sum.jobs), (5, 1));
    /// ```
    pub fn add(&mut self, other: &Self) {
        self.turns += other.turns;
        self.deeds += other.deeds;
        self.commits += other.commits;
        self.deaths += other.deaths;
        self.payments += other.payments;
        self.refunds += other.refunds;
        self.jobs += other.jobs;
    }
}

/// A process.
struct Node {
    dream: Dream,
    worker: Arc<Worker>,
    gate: Arc<Gate>,
    entropy: Arc<StageEntropy>,
}

/// Plays one schedule after the other on one database, which is emptied in between. It needs a runtime of one thread.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_testkit::simulation::Theatre;
///
/// let mut theatre = Theatre::open().await;
/// let (once, again) = (theatre.play(11, false).await, theatre.play(11, false).await);
/// assert_eq!(once.hash, again.hash, "the same seed tells the same story");
/// # Ok(())
/// # }
/// ```
pub struct Theatre {
    stage: Arc<Stage>,
    channel: Arc<Channel>,
    painter: Arc<Painter>,
    shelf: Arc<Shelf>,
    scraps: Arc<Scraps>,
    nodes: Vec<Node>,
    /// A process that nothing ever happens to, for looking at the books.
    auditor: Dream,
    books: Books,
    url: String,
    _folder: TempDir,
}

impl std::fmt::Debug for Theatre {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Theatre")
    }
}

fn settings() -> Settings {
    let mut settings = Settings::new(SecretString::from(SECRET));
    settings.webhook_secret = Some(SecretString::from(WEBHOOK_SECRET));
    settings.rehost_results = true;
    settings.quota.normal = QuotaLimit { daily: 2, monthly: 5 };
    settings.sample_prices.draft = Points::new(1);
    settings
}

impl Theatre {
    /// Makes the database and the processes.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use dream_testkit::simulation::{Figures, Theatre};
    ///
    /// // Made once; every schedule begins anew.
    /// let mut theatre = Theatre::open().await;
    /// let mut sum = Figures::default();
    /// for seed in 0..3 {
    ///     sum.add(&theatre.play(seed, false).await.figures);
    /// }
    /// assert!(sum.commits > 0);
    /// # }
    /// ```
    pub async fn open() -> Self {
        dream_core::media::work_in_place();
        let folder = tempfile::Builder::new().prefix("dream-stage-").tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("dream.db").display());
        Dream::migrate(&database(&url)).await.expect("a database");
        let stage = Stage::new();
        let channel = Channel::new(stage.clone());
        let painter = Painter::new(stage.clone(), &SecretString::from(WEBHOOK_SECRET));
        let shelf = Shelf::new(stage.clone());
        let scraps = Scraps::new(stage.clone());
        let books = Books::open(&url).await;
        let aside = Gate::new(stage.clone(), NODES);
        let parts =
            Parts { stage: &stage, channel: &channel, painter: &painter, shelf: &shelf, scraps: &scraps };
        let auditor = parts.node(&url, aside).await.dream;
        let mut nodes = Vec::new();
        for number in 0..NODES {
            nodes.push(parts.node(&url, Gate::new(stage.clone(), number)).await);
        }
        Self { stage, channel, painter, shelf, scraps, nodes, auditor, books, url, _folder: folder }
    }

    /// Sets everything back for a seed.
    async fn reset(&mut self, seed: u64, with_text: bool) {
        self.stage.reset(seed, with_text);
        self.channel.reset();
        self.painter.reset();
        self.shelf.reset();
        self.scraps.reset();
        for (number, node) in self.nodes.iter().enumerate() {
            node.entropy.reset(seed ^ ((number as u64 + 1) << 48));
            node.gate.set_open(true);
        }
        self.books.empty(self.stage.now()).await;
    }

    /// Starts a process anew, as after its death.
    async fn restart(&mut self, number: usize) {
        let parts = Parts {
            stage: &self.stage,
            channel: &self.channel,
            painter: &self.painter,
            shelf: &self.shelf,
            scraps: &self.scraps,
        };
        let node = parts.node(&self.url, Gate::new(self.stage.clone(), number)).await;
        node.entropy.reset(self.stage.below(usize::MAX) as u64);
        let old = std::mem::replace(&mut self.nodes[number], node);
        old.dream.close().await;
    }
}

fn database(url: &str) -> DatabaseOptions {
    DatabaseOptions { max_connections: 1, durability: Durability::Process, ..DatabaseOptions::new(url) }
}

/// What every process is built from.
struct Parts<'a> {
    stage: &'a Arc<Stage>,
    channel: &'a Arc<Channel>,
    painter: &'a Arc<Painter>,
    shelf: &'a Arc<Shelf>,
    scraps: &'a Arc<Scraps>,
}

impl Parts<'_> {
    async fn node(&self, url: &str, gate: Arc<Gate>) -> Node {
        let entropy = StageEntropy::new();
        let (dream, worker) = Dream::builder(settings(), database(url))
            .at_start(AtStart::RequireCurrent)
            .clock(Arc::new(StageClock(self.stage.clone())))
            .entropy(entropy.clone())
            .cache(self.scraps.clone())
            .blobs(self.shelf.clone())
            .wechat(Arc::new(Door))
            .image_api(self.painter.clone())
            .pay(self.channel.clone())
            .store_gate(gate.clone())
            .build()
            .await
            .expect("Dream starts");
        Node { dream, worker: Arc::new(worker), gate, entropy }
    }
}

/// A call that does not get through, so that nothing happens.
fn outside_fails_before(stage: &Stage, service: &'static str, what: &'static str) -> Result<(), Failure> {
    if !stage.chance(stage.weather().outside) {
        return Ok(());
    }
    let kind = stage.weighted(&[
        (3, FailureKind::Unreachable),
        (3, FailureKind::TimedOut),
        (2, FailureKind::Unknown),
        (1, FailureKind::Throttled),
    ]);
    let kind = kind.unwrap_or(FailureKind::Unreachable);
    stage.log(format_args!("{service} {what} fails before: {kind:?}"));
    Err(Failure::new(service, kind, "before it happened"))
}

/// An answer that does not get through, although it happened.
async fn outside_fails_after(
    stage: &Arc<Stage>,
    service: &'static str,
    what: &'static str,
) -> Result<(), Failure> {
    if stage.chance(0.3) {
        stage.pause("answer").await;
    }
    if !stage.chance(stage.weather().outside) {
        return Ok(());
    }
    let kind = stage.weighted(&[(1, FailureKind::TimedOut), (1, FailureKind::Unknown)]);
    let kind = kind.unwrap_or(FailureKind::TimedOut);
    stage.log(format_args!("{service} {what} fails after: {kind:?}"));
    Err(Failure::new(service, kind, "after it happened"))
}
