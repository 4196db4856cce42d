//! The whole of Dream on one backend, with the real adapters talking to fakes: one line to start, and the books are
//! checked at the end.
//!
//! ```no_run
//! use dream_testkit::on_every_backend;
//! use dream_testkit::world::TestDream;
//!
//! on_every_backend!(a_cat_is_painted, |backend| async move {
//!     let world = TestDream::start(&backend).await;
//!     let alice = world.alice().await;
//!     let job = alice.generates("a cat").await;
//!     world.settle().await;
//!     assert_eq!(alice.job(&job.job_id).await.result_urls.len(), 1);
//!     world.finish().await;
//! });
//! ```
//!
//! Time stands still on a [`TestClock`] unless the world is asked to move it, so nothing here sleeps.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "it runs tests: whatever goes wrong here fails the test"
)]

mod actor;
mod books;
mod callbacks;
mod database;
mod example;
mod options;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dream_core::kernel::Timestamp;
use dream_core::ports::{Blobs, Clock};
use dream_core::{Admin, AdminKey, Dream, Guest, Worker};

pub use actor::{Actor, draft, polished};
pub use books::Complaint;
pub use database::Database;
pub use example::{example, example_on};
pub use options::{ADMIN_KEY, ADMIN_NAME, WorldOptions};

use crate::backends::Backend;
use crate::clock::TestClock;
use crate::fakes::image_api::FakeImageApi;
use crate::fakes::r2::FakeR2;
use crate::fakes::server::FakeServer;
use crate::fakes::wechat::FakeWeChat;
use crate::fakes::wechat_pay::FakeWeChatPay;
use callbacks::Callbacks;
use options::Nodes;

/// How far [`TestDream::settle`] moves the clock before it says that the world does not come to rest.
const PATIENCE: Duration = Duration::from_hours(6);
/// How often the worker is asked for more at one instant before it counts as going round in circles.
const MOST_ROUNDS: usize = 10_000;

/// Dream with everything around it. Checks the books when it is dropped, unless [`TestDream::finish`] did.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_testkit::backends::{Backend, BackendKind, migrate};
/// use dream_testkit::world::TestDream;
///
/// let backend = Backend::start(BackendKind::Sqlite, migrate).await?;
/// let world = TestDream::start(&backend).await;
/// let alice = world.alice().await;
/// let job = alice.generates("a lighthouse").await;
/// // Lets the world's time pass until the picture is there, which takes milliseconds of ours.
/// world.settle().await;
/// assert_eq!(alice.job(&job.job_id).await.result_urls.len(), 1);
/// world.finish().await;
/// # Ok(())
/// # }
/// ```
pub struct TestDream {
    backend: Backend,
    nodes: Nodes,
    dream: Dream,
    worker: Arc<Worker>,
    clock: Option<Arc<TestClock>>,
    wechat: Arc<FakeWeChat>,
    image_api: Arc<FakeImageApi>,
    blobs: Arc<dyn Blobs>,
    database: Database,
    pay: Option<Arc<FakeWeChatPay>>,
    r2: Option<FakeR2>,
    callbacks: Callbacks,
    lost_objects_allowed: bool,
    checked: AtomicBool,
}

impl std::fmt::Debug for TestDream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestDream").field("backend", &self.backend.kind()).finish_non_exhaustive()
    }
}

impl TestDream {
    /// Starts a world as most tests want it: a clock that stands, seeded randomness, the documented settings.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::backends::{Backend, BackendKind, migrate};
    /// # let backend = Backend::start(BackendKind::Sqlite, migrate).await?;
    /// use dream_testkit::world::TestDream;
    ///
    /// let world = TestDream::start(&backend).await;
    /// assert!(world.waiting().await.is_empty(), "nothing has happened yet");
    /// world.finish().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn start(backend: &Backend) -> Self {
        Self::on(backend).start().await
    }

    /// Says what is to be different, then starts.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::backends::{Backend, BackendKind, migrate};
    /// use dream_testkit::world::{TestDream, draft};
    ///
    /// # let backend = Backend::start(BackendKind::Sqlite, migrate).await?;
    /// let world = TestDream::on(&backend).daily_quota(1).by_hand().start().await;
    /// let alice = world.alice().await;
    /// alice.generate(&draft("a cat", 1)).await?;
    /// assert!(alice.generate(&draft("another", 1)).await.is_err(), "neither quota nor points");
    /// # world.check_books().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on(backend: &Backend) -> WorldOptions {
        WorldOptions::new(backend)
    }

    /// The business.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// // As a program has it that serves it.
    /// let refused = world.dream().session(&dream_core::BearerToken::new("made up")).await;
    /// assert!(refused.is_err());
    /// # Ok(())
    /// # });
    /// ```
    pub fn dream(&self) -> &Dream {
        &self.dream
    }

    /// The right to do its background work.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// world.alice().await.generates("a cat").await;
    /// assert_eq!(world.worker().run_due().await?, 1, "the submission, and nothing behind it");
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    /// The clock.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use std::time::Duration;
    ///
    /// let before = world.now();
    /// // Nothing is done meanwhile: `pass` would do what falls due.
    /// world.clock().advance(Duration::from_hours(1));
    /// assert_eq!(world.now().since(before), Duration::from_hours(1));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Panics
    /// If this world was started on the machine's clock.
    pub fn clock(&self) -> &TestClock {
        self.clock.as_deref().expect("this world runs on the machine's clock")
    }

    /// The present instant of this world.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// assert_eq!(world.now().to_string(), "2026-01-01T02:00:00.000Z", "ten in the morning in Shanghai");
    /// # Ok(())
    /// # });
    /// ```
    pub fn now(&self) -> Timestamp {
        self.dream.now()
    }

    /// WeChat.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_testkit::fakes::wechat::operation;
    ///
    /// world.user("bob").await;
    /// assert_eq!(world.wechat().calls(operation::LOGIN), 1);
    /// # Ok(())
    /// # });
    /// ```
    pub fn wechat(&self) -> &FakeWeChat {
        &self.wechat
    }

    /// The API that makes the pictures.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// world.alice().await.generates("a cat").await;
    /// assert!(world.image_api().jobs().is_empty(), "it is in the outbox so far");
    /// world.work().await;
    /// assert_eq!(world.image_api().jobs().len(), 1);
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn image_api(&self) -> &FakeImageApi {
        &self.image_api
    }

    /// WeChat Pay.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// # use dream_core::orders::WECHAT;
    /// let me = world.alice().await.session().await;
    /// let order = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?.order.order_id;
    /// assert_eq!(world.wechat_pay().order(order.as_str()).unwrap().amount_fen, 1999);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Panics
    /// If this world takes no payments.
    pub fn wechat_pay(&self) -> &FakeWeChatPay {
        self.pay.as_deref().expect("this world takes no payments")
    }

    /// R2.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.on_r2(), async |world| {
    /// assert!(world.r2().keys().is_empty());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Panics
    /// If this world keeps its pictures elsewhere.
    pub fn r2(&self) -> &FakeR2 {
        self.r2.as_ref().expect("this world keeps its pictures elsewhere")
    }

    /// The server that the outside tells its news to: webhooks and payment notifies. Its log has them.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.webhooks(), async |world| {
    /// # let alice = world.alice().await;
    /// # alice.generates("a cat").await;
    /// # world.work().await;
    /// let job = world.image_api().jobs().remove(0).id;
    /// world.image_api().send_webhook(&job).await;
    /// let told = world.callbacks().log().of("POST", "/v1/proxy/webhook");
    /// assert_eq!(told[0].status, Some(200));
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn callbacks(&self) -> &FakeServer {
        &self.callbacks.server
    }

    /// Where pictures are kept.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::ports::Blobs as _;
    ///
    /// let nothing = world.blobs().list("", None).await?;
    /// assert!(nothing.items.is_empty());
    /// # Ok(())
    /// # });
    /// ```
    pub fn blobs(&self) -> &dyn Blobs {
        self.blobs.as_ref()
    }

    /// The database, past the business: for what a test wants to know or bring about that no caller may.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// world.alice().await;
    /// assert_eq!(world.database().number("SELECT count(*) FROM users").await, 1);
    /// # Ok(())
    /// # });
    /// ```
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Another process on the same database, with the same settings and the same world around it.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// // Two processes, one database: what one has put into the outbox, the other does.
    /// let (_dream, worker) = world.another_node().await;
    /// let alice = world.alice().await;
    /// alice.generates("a cat").await;
    /// assert_eq!(worker.run_due().await?, 1);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn another_node(&self) -> (Dream, Worker) {
        self.nodes.another().await
    }

    /// Someone who has not signed in.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Visitor;
    /// use dream_core::gallery::GalleryFilter;
    /// use dream_core::kernel::PageRequest;
    ///
    /// let guest = Visitor::Guest(world.nobody());
    /// assert!(guest.gallery(&GalleryFilter::default(), &PageRequest::default()).await?.items.is_empty());
    /// # Ok(())
    /// # });
    /// ```
    pub fn nobody(&self) -> Guest {
        self.dream.guest()
    }

    /// Someone who is signed in by the name of Alice.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let alice = world.alice().await;
    /// assert_eq!(alice.id(), world.user("alice").await.id());
    /// # Ok(())
    /// # });
    /// ```
    pub async fn alice(&self) -> Actor {
        self.user("alice").await
    }

    /// Someone who is signed in by this name. The same name is the same user; every call signs in anew.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let (bob, carol) = (world.user("bob").await, world.user("carol").await);
    /// assert_eq!((bob.openid(), carol.openid()), ("o-bob", "o-carol"));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn user(&self, name: &str) -> Actor {
        Actor::log_in(self.dream.clone(), self.wechat.clone(), name).await
    }

    /// The holder of the configured admin key.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::kernel::Points;
    ///
    /// let alice = world.alice().await;
    /// world.admin().await.grant_points(alice.id(), Points::new(50), "a gift").await?;
    /// assert_eq!(alice.points().await, 50);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn admin(&self) -> Admin {
        self.dream.admin(&AdminKey::new(ADMIN_KEY), None).await.expect("the configured key opens")
    }

    /// Does everything that is due now; how many tasks were tried.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let alice = world.alice().await;
    /// let job = alice.generates("a cat").await.job_id;
    /// let before = world.now();
    /// world.work().await;
    /// // It is under way, at the same instant.
    /// assert!(!alice.job(&job).await.state.is_final() && world.now() == before);
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    pub async fn work(&self) -> usize {
        let mut tried = 0;
        for _ in 0..MOST_ROUNDS {
            match self.worker.run_due().await.expect("the outbox can be read") {
                0 => return tried,
                some => tried += some,
            }
        }
        panic!("the worker goes round in circles: {}", self.waiting().await.join(", "));
    }

    /// Lets time pass and does whatever falls due, in its order, until nothing is left to do but housekeeping.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let alice = world.alice().await;
    /// let job = alice.generates("a cat").await.job_id;
    /// let begun = world.now();
    /// world.settle().await;
    /// assert!(alice.job(&job).await.state.is_final());
    /// assert!(world.now() > begun, "the image API took its time");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Panics
    /// If that takes more than six hours of the world's time.
    pub async fn settle(&self) {
        let until = self.now().plus(PATIENCE);
        loop {
            self.work().await;
            if self.waiting().await.is_empty() {
                return;
            }
            let next = self.next_due().await.filter(|next| *next <= until);
            let Some(next) = next else {
                panic!("the world does not come to rest: {}", self.waiting().await.join(", "));
            };
            self.wait_until(next).await;
        }
    }

    /// Lets this much time pass, doing what falls due at its time.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use std::time::Duration;
    /// use dream_core::orders::{OrderStatus, WECHAT};
    ///
    /// let me = world.alice().await.session().await;
    /// let order = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?.order.order_id;
    /// world.pass(Duration::from_mins(31)).await;
    /// assert_eq!(me.order(&order).await?.state.status(), OrderStatus::Cancelled, "nobody has paid in time");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn pass(&self, span: Duration) {
        let until = self.now().plus(span);
        loop {
            self.work().await;
            match self.next_due().await {
                Some(next) if next <= until => self.wait_until(next).await,
                _ => break,
            }
        }
        self.wait_until(until).await;
        self.work().await;
    }

    /// The tasks that wait for the worker beside housekeeping: kind, subject, and why they failed last.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// world.alice().await.generates("a cat").await;
    /// assert_eq!(world.waiting().await.len(), 1);
    /// world.settle().await;
    /// assert!(world.waiting().await.is_empty());
    /// # Ok(())
    /// # });
    /// ```
    pub async fn waiting(&self) -> Vec<String> {
        self.database
            .texts(
                "SELECT kind || ' ' || subject || coalesce(' (' || last_error || ')', '') FROM outbox \
                 WHERE kind <> 'housekeeping' AND kind NOT LIKE 'event.%' ORDER BY due_at, id",
            )
            .await
    }

    async fn next_due(&self) -> Option<Timestamp> {
        self.worker.next_due().await.expect("the outbox can be read")
    }

    async fn wait_until(&self, at: Timestamp) {
        match &self.clock {
            Some(clock) => clock.set(at.max(clock.now())),
            None => tokio::time::sleep(at.since(self.now())).await,
        }
    }

    /// Lets everything come to rest and checks the books; then the database is closed.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::backends::{Backend, BackendKind, migrate};
    /// # let backend = Backend::start(BackendKind::Sqlite, migrate).await?;
    /// use dream_testkit::world::TestDream;
    ///
    /// let world = TestDream::start(&backend).await;
    /// world.alice().await.generates("a cat").await;
    /// // The last line of a test: what was begun comes to its end, and the books are right.
    /// world.finish().await;
    /// # assert_eq!(backend.kind(), BackendKind::Sqlite);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// If something is wrong with the books, or does not come to rest.
    pub async fn finish(self) {
        self.settle().await;
        let open = self
            .database
            .texts("SELECT job_id || ' ' || status FROM generations WHERE completed_at IS NULL")
            .await;
        assert!(open.is_empty(), "at rest, but not ended: {}", open.join(", "));
        self.check_books().await;
        self.dream.close().await;
    }

    /// Checks the books as they are now.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let alice = world.alice().await;
    /// alice.generates("a cat").await;
    /// // In the middle of things, too: what was taken for a job is in the books.
    /// world.check_books().await;
    /// assert_eq!(alice.used_today().await, 1);
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Panics
    /// If something is wrong with them.
    pub async fn check_books(&self) {
        self.checked.store(true, Ordering::Relaxed);
        let complaints = self.complaints().await;
        let lines: Vec<String> = complaints.iter().map(ToString::to_string).collect();
        assert!(complaints.is_empty(), "the books are wrong:\n{}", lines.join("\n"));
    }

    /// What is wrong with the books as they are now.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// let alice = world.alice().await;
    /// let spoil = format!("UPDATE accounts SET earned = 5, balance = 5 WHERE user_id = {}", alice.id());
    /// world.database().execute(&spoil).await;
    /// let complaints = world.complaints().await;
    /// assert_eq!(complaints[0].about, format!("user:{}", alice.id()));
    /// # world.database().execute("UPDATE accounts SET earned = 0, balance = 0").await;
    /// # Ok(())
    /// # });
    /// ```
    pub async fn complaints(&self) -> Vec<Complaint> {
        books::check(self).await
    }
}

impl Drop for TestDream {
    fn drop(&mut self) {
        if std::thread::panicking() || self.checked.load(Ordering::Relaxed) {
            return;
        }
        let runtime = tokio::runtime::Handle::current();
        assert!(
            runtime.runtime_flavor() != tokio::runtime::RuntimeFlavor::CurrentThread,
            "on a runtime of one thread a world must be ended by `finish().await` or `check_books().await`"
        );
        tokio::task::block_in_place(|| runtime.block_on(self.check_books()));
    }
}
