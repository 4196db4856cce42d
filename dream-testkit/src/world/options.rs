use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dream_core::adapters::image_api::{ImageApiConfig, ImageApiHttp};
use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
use dream_core::adapters::wechat_pay::WeChatPay;
use dream_core::adapters::{
    DiskBlobs, MemoryCache, R2Blobs, R2Config, RedisCache, RedisConfig, SystemClock, WeChatContentCheck,
};
use dream_core::kernel::Zone;
use dream_core::ports::{Blobs, Cache, Clock, ContentCheck, PayChannel};
use dream_core::protocol::message_push::PushReceiver;
use dream_core::{AtOnce, AtStart, ConfiguredAdminKey, Dream, Durability, QuotaLimit, Settings, Worker};
use secrecy::SecretString;

use super::TestDream;
use super::callbacks::Callbacks;
use super::database::Database;
use crate::backends::Backend;
use crate::clock::TestClock;
use crate::entropy::SeededEntropy;
use crate::fakes::image_api::{FakeImageApi, ImageApiOptions, Pace};
use crate::fakes::r2::{FakeR2, R2Options};
use crate::fakes::wechat::{FakeWeChat, WeChatOptions};
use crate::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
use crate::flaky_blobs::FlakyBlobs;

/// The admin key that every world is configured with.
pub const ADMIN_KEY: &str = "the-admin-key-of-the-world";
/// How the audit log names it.
pub const ADMIN_NAME: &str = "ops";

const SECRET: &str = "the secret of the world, which has more than 32 bytes";

/// What a world is to be like.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments().webhooks().settings(|settings| settings.rehost_results = true), async |world| {
/// use dream_testkit::world::WorldOptions;
///
/// fn like_production(world: WorldOptions) -> WorldOptions {
///     world.taking_payments().webhooks().settings(|settings| settings.rehost_results = true)
/// }
/// let alice = world.alice().await;
/// let job = alice.generates("a cat").await.job_id;
/// world.settle().await;
/// let url = &alice.job(&job).await.result_urls[0];
/// assert!(world.blobs().key_of(url).is_some(), "copied into our own storage");
/// # let _ = like_production;
/// # Ok(())
/// # });
/// ```
#[expect(clippy::struct_excessive_bools, reason = "each is a yes or no of its own")]
pub struct WorldOptions {
    backend: Backend,
    seed: u64,
    clock: Option<Arc<TestClock>>,
    settings: Settings,
    image_api: ImageApiOptions,
    wechat: WeChatOptions,
    at_once: u32,
    webhooks: bool,
    blobs: Option<Arc<dyn Blobs>>,
    pay: Option<WeChatPayOptions>,
    channels: Vec<Arc<dyn PayChannel>>,
    on_r2: bool,
    durability: Durability,
    max_wait: Option<Duration>,
    lost_objects_allowed: bool,
    flaky_storage: bool,
}

impl fmt::Debug for WorldOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorldOptions").field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl WorldOptions {
    pub(super) fn new(backend: &Backend) -> Self {
        let clock = Arc::new(TestClock::default());
        let mut settings = Settings::new(SecretString::from(SECRET));
        settings.admin_keys = vec![ConfiguredAdminKey {
            name: ADMIN_NAME.parse().expect("a name"),
            key: SecretString::from(ADMIN_KEY),
        }];
        settings.at_once = AtOnce::UNLIMITED;
        let image_api = ImageApiOptions {
            per_minute: 0,
            at_once: 0,
            accept_any_key: true,
            ..ImageApiOptions::new(clock.clone())
        };
        settings.webhook_secret = Some(SecretString::from(image_api.webhook_secret.clone()));
        Self {
            backend: backend.clone(),
            seed: 1,
            wechat: WeChatOptions::new(clock.clone()),
            image_api,
            clock: Some(clock),
            settings,
            at_once: 0,
            webhooks: false,
            blobs: None,
            pay: None,
            channels: Vec::new(),
            on_r2: false,
            durability: Durability::Process,
            max_wait: None,
            lost_objects_allowed: false,
            flaky_storage: false,
        }
    }

    /// Makes every id and token out of this seed.
    ///
    /// ```
    /// use dream_testkit::world;
    ///
    /// world::example_on(|world| world.seed(4711), async |world| {
    ///     // Another seed is another story: ids, tokens and codes that this test has not met yet.
    ///     let job = world.alice().await.generates("a cat").await.job_id;
    ///     world.settle().await;
    ///     assert!(world.alice().await.job(&job).await.state.is_final());
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Shows the clock, for what has to run by it before the world starts.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::backends::{Backend, BackendKind, migrate};
    /// # let backend = Backend::start(BackendKind::Sqlite, migrate).await?;
    /// use dream_core::adapters::MemoryCache;
    /// use dream_core::ports::Cache as _;
    /// use dream_testkit::world::TestDream;
    ///
    /// // Something of one's own that runs by the world's clock.
    /// let mut cache = None;
    /// let world = TestDream::on(&backend).on_clock(|clock| cache = Some(MemoryCache::new(clock)));
    /// let world = world.start().await;
    /// assert!(cache.is_some());
    /// world.finish().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn on_clock(self, show: impl FnOnce(Arc<TestClock>)) -> Self {
        if let Some(clock) = &self.clock {
            show(clock.clone());
        }
        self
    }

    /// Runs on the machine's clock. Waiting then takes its time, so make the image API quick.
    ///
    /// ```
    /// use dream_core::adapters::SystemClock;
    /// use dream_core::ports::Clock as _;
    /// use dream_testkit::world;
    /// use std::time::Duration;
    ///
    /// world::example_on(|world| world.system_clock().pace(1000.0), async |world| {
    ///     assert!(SystemClock.now().since(world.now()) < Duration::from_secs(10));
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn system_clock(mut self) -> Self {
        self.clock = None;
        self.image_api.clock = Arc::new(SystemClock);
        self.wechat.clock = Arc::new(SystemClock);
        self
    }

    /// Changes what an operator may choose.
    ///
    /// ```
    /// use dream_testkit::world;
    ///
    /// world::example_on(|world| world.settings(|it| it.rehost_results = true), async |world| {
    ///     let alice = world.alice().await;
    ///     let job = alice.generates("a cat").await.job_id;
    ///     world.settle().await;
    ///     let url = &alice.job(&job).await.result_urls[0];
    ///     assert!(world.blobs().key_of(url).is_some(), "copied into our own storage");
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Free samples a day without VIP, and ten times as many a month.
    ///
    /// ```
    /// use dream_testkit::world;
    ///
    /// world::example_on(|world| world.daily_quota(2), async |world| {
    ///     let alice = world.alice().await;
    ///     alice.generates("a cat").await;
    ///     assert_eq!(alice.session().await.quota().await?.quota.remaining(), 1);
    ///     world.settle().await;
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn daily_quota(self, samples: i64) -> Self {
        self.settings(|settings| {
            settings.quota.normal = QuotaLimit { daily: samples, monthly: samples * 10 };
        })
    }

    /// Another time zone for the business's days.
    ///
    /// ```
    /// use dream_testkit::world;
    /// use std::time::Duration;
    ///
    /// world::example_on(|world| world.zone("America/New_York").daily_quota(5), async |world| {
    ///     let alice = world.alice().await;
    ///     alice.generates("a cat").await;
    ///     // Nine in the evening of the day before, over there: in four hours the day is another one.
    ///     world.pass(Duration::from_hours(4)).await;
    ///     assert_eq!(alice.used_today().await, 0);
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn zone(self, name: &str) -> Self {
        let zone = Zone::named(name).expect("a time zone");
        self.settings(|settings| settings.zone = zone)
    }

    /// Changes how the image API is played.
    ///
    /// ```
    /// use dream_testkit::world;
    ///
    /// world::example_on(|world| world.image_api(|it| it.accept_any_key = false), async |world| {
    ///     let jobs = format!("{}/v1/jobs", world.image_api().base_url());
    ///     let stranger = reqwest::Client::new().get(jobs).bearer_auth("a key of one's own");
    ///     assert_eq!(stranger.send().await?.status(), 401);
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn image_api(mut self, change: impl FnOnce(&mut ImageApiOptions)) -> Self {
        change(&mut self.image_api);
        self
    }

    /// The image API is this much faster than the real one.
    ///
    /// ```
    /// use dream_testkit::world;
    /// use std::time::Duration;
    ///
    /// world::example_on(|world| world.pace(1000.0), async |world| {
    ///     let begun = world.now();
    ///     world.alice().await.generates("a cat").await;
    ///     world.settle().await;
    ///     assert!(world.now().since(begun) < Duration::from_mins(1));
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn pace(self, times: f64) -> Self {
        self.image_api(|options| options.pace = Pace::times(times))
    }

    /// Jobs stay queued at the image API until the test moves them.
    ///
    /// ```
    /// use dream_testkit::fakes::image_api::Status;
    /// use dream_testkit::world;
    ///
    /// world::example_on(|world| world.by_hand(), async |world| {
    ///     world.alice().await.generates("a cat").await;
    ///     world.work().await;
    ///     let job = world.image_api().jobs().remove(0);
    ///     assert_eq!(job.status, Status::Queued, "until the test says what becomes of it");
    ///     world.image_api().succeed(&job.id);
    ///     world.settle().await;
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn by_hand(self) -> Self {
        self.image_api(|options| options.by_hand = true)
    }

    /// Changes how WeChat is played.
    ///
    /// ```
    /// use dream_core::Login;
    /// use dream_core::ports::LoginCode;
    /// use dream_testkit::world;
    ///
    /// world::example_on(|world| world.wechat(|wechat| wechat.sandbox_codes = true), async |world| {
    ///     let code = LoginCode::new("sandbox-alice".to_owned()).unwrap();
    ///     let login = Login { code, phone: None, nick_name: None, avatar_url: None };
    ///     assert!(world.nobody().login(login).await.is_ok());
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn wechat(mut self, change: impl FnOnce(&mut WeChatOptions)) -> Self {
        change(&mut self.wechat);
        self
    }

    /// Has the image API tell the ends of jobs, to a small server that hands them to Dream.
    ///
    /// ```
    /// use dream_testkit::wait::eventually;
    /// use dream_testkit::world;
    /// use std::time::Duration;
    ///
    /// world::example_on(|world| world.webhooks(), async |world| {
    ///     world.alice().await.generates("a cat").await;
    ///     world.settle().await;
    ///     let told = || !world.image_api().deliveries().is_empty();
    ///     assert!(eventually(Duration::from_secs(10), told).await);
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn webhooks(mut self) -> Self {
        self.webhooks = true;
        self
    }

    /// Keeps pictures here rather than in a folder of the backend.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::backends::{Backend, BackendKind, migrate};
    /// # let backend = Backend::start(BackendKind::Sqlite, migrate).await?;
    /// use dream_core::adapters::DiskBlobs;
    /// use dream_testkit::world::TestDream;
    /// use std::sync::Arc;
    ///
    /// let disk = DiskBlobs::open(backend.folder().join("mine"), "https://pictures.test").await?;
    /// let world = TestDream::on(&backend).blobs(Arc::new(disk)).start().await;
    /// assert!(world.blobs().public_url(&"a.png".parse().unwrap()).starts_with("https://pictures.test/"));
    /// world.finish().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn blobs(mut self, blobs: Arc<dyn Blobs>) -> Self {
        self.blobs = Some(blobs);
        self
    }

    /// Keeps pictures in R2 rather than in a folder of the backend.
    ///
    /// ```
    /// use dream_testkit::world;
    ///
    /// world::example_on(|world| world.on_r2(), async |world| {
    ///     let url = world.blobs().public_url(&"a.png".parse().unwrap());
    ///     assert!(url.starts_with(&world.r2().public_url()));
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn on_r2(mut self) -> Self {
        self.on_r2 = true;
        self
    }

    /// Lets half of all that Dream asks of the storage fail. The test itself is served well.
    #[must_use]
    pub fn flaky_storage(mut self) -> Self {
        self.flaky_storage = true;
        self
    }

    /// Takes payments through this channel too.
    #[must_use]
    pub fn pay(mut self, channel: Arc<dyn PayChannel>) -> Self {
        self.channels.push(channel);
        self
    }

    /// Takes payments by WeChat Pay. Notifies wait until the test delivers them.
    ///
    /// ```
    /// use dream_core::orders::WECHAT;
    /// use dream_testkit::world;
    ///
    /// world::example_on(|world| world.taking_payments(), async |world| {
    ///     world.dream().plant_seeds().await?;
    ///
    ///     let me = world.alice().await.session().await;
    ///     assert!(me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await.is_ok());
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn taking_payments(mut self) -> Self {
        // The merchant is bound to a mini-program, and payers are its users.
        let options = WeChatPayOptions::new(self.image_api.clock.clone());
        if let (Some(app), Some(appid)) = (self.wechat.apps.first_mut(), options.appids.first()) {
            app.appid.clone_from(appid);
        }
        self.pay = Some(options);
        self
    }

    /// What a commit on SQLite survives; the process's death unless said otherwise.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::backends::{Backend, BackendKind, migrate};
    /// # let backend = Backend::start(BackendKind::Sqlite, migrate).await?;
    /// use dream_core::Durability;
    /// use dream_testkit::world::TestDream;
    ///
    /// // For measuring what production does.
    /// let world = TestDream::on(&backend).durability(Durability::Full).start().await;
    /// assert!(world.waiting().await.is_empty());
    /// world.finish().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The longest that a statement waits for a connection and for locks; the default of
    /// [`dream_core::DatabaseOptions`] unless said otherwise.
    #[must_use]
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = Some(max_wait);
        self
    }

    /// Calls of Dream's to the image API at once; no limit unless said otherwise.
    ///
    /// ```
    /// use dream_testkit::world;
    ///
    /// world::example_on(|world| world.calls_at_once(1), async |world| {
    ///     let alice = world.alice().await;
    ///     let jobs = [alice.generates("a cat").await.job_id, alice.generates("a dog").await.job_id];
    ///     world.settle().await;
    ///     for job in jobs {
    ///         assert!(alice.job(&job).await.state.is_final(), "one waited for the other");
    ///     }
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn calls_at_once(mut self, calls: u32) -> Self {
        self.at_once = calls;
        self
    }

    /// Does not complain of objects that no row names: where work is broken off between the two, the storage sweep
    /// finds them.
    #[must_use]
    pub fn lost_objects_allowed(mut self) -> Self {
        self.lost_objects_allowed = true;
        self
    }

    /// Starts the world.
    ///
    /// # Panics
    /// If something cannot be started.
    pub async fn start(self) -> TestDream {
        let clock: Arc<dyn Clock> = match &self.clock {
            Some(clock) => clock.clone(),
            None => Arc::new(SystemClock),
        };
        let wechat = Arc::new(FakeWeChat::start(self.wechat).await.expect("a port for WeChat"));
        let image_api =
            Arc::new(FakeImageApi::start(self.image_api).await.expect("a port for the image API"));
        let pay = match self.pay {
            Some(options) => {
                Some(Arc::new(FakeWeChatPay::start(options).await.expect("a port for WeChat Pay")))
            }
            None => None,
        };
        let callbacks = Callbacks::start().await;
        wechat.set_push_url(Some(callbacks.push_url()));
        let r2 = if self.on_r2 {
            Some(FakeR2::start(R2Options::new(clock.clone())).await.expect("ports for R2"))
        } else {
            None
        };
        let blobs: Arc<dyn Blobs> = match (self.blobs, &r2) {
            (Some(blobs), _) => blobs,
            (None, Some(r2)) => {
                Arc::new(R2Blobs::new(&r2_config(r2), clock.clone()).expect("a client of R2"))
            }
            (None, None) => Arc::new(
                DiskBlobs::open(self.backend.folder().join("uploads"), "https://dream.test/uploads")
                    .await
                    .expect("a folder for pictures"),
            ),
        };
        let nodes = Nodes {
            parts: Arc::new(Parts {
                backend: self.backend.clone(),
                settings: self.settings,
                clock,
                wechat: wechat.clone(),
                image_api: image_api.clone(),
                blobs: if self.flaky_storage {
                    Arc::new(FlakyBlobs::new(blobs.clone(), self.seed))
                } else {
                    blobs.clone()
                },
                pay: pay.clone(),
                channels: self.channels,
                payment_url: callbacks.payment_url(),
                refund_url: callbacks.refund_url(),
                durability: self.durability,
                max_wait: self.max_wait,
                at_once: self.at_once,
                next_seed: AtomicU64::new(self.seed),
            }),
        };
        let (dream, worker) = nodes.another().await;
        callbacks.belong_to(dream.clone());
        if self.webhooks {
            image_api.set_webhook_url(Some(callbacks.webhook_url()));
        }
        TestDream {
            database: Database::connect(self.backend.database_url()).await,
            backend: self.backend,
            nodes,
            dream,
            worker: Arc::new(worker),
            clock: self.clock,
            wechat,
            image_api,
            blobs,
            pay,
            r2,
            callbacks,
            lost_objects_allowed: self.lost_objects_allowed,
            checked: AtomicBool::new(false),
        }
    }
}

fn r2_config(r2: &FakeR2) -> R2Config {
    R2Config {
        endpoint: r2.base_url(),
        bucket: r2.bucket().to_owned(),
        access_key_id: r2.access_key_id().to_owned(),
        secret_access_key: SecretString::from(r2.secret_access_key()),
        public_url: r2.public_url(),
    }
}

/// What every process of this world is built from.
struct Parts {
    backend: Backend,
    settings: Settings,
    clock: Arc<dyn Clock>,
    wechat: Arc<FakeWeChat>,
    image_api: Arc<FakeImageApi>,
    blobs: Arc<dyn Blobs>,
    pay: Option<Arc<FakeWeChatPay>>,
    channels: Vec<Arc<dyn PayChannel>>,
    payment_url: String,
    refund_url: String,
    durability: Durability,
    max_wait: Option<Duration>,
    at_once: u32,
    next_seed: AtomicU64,
}

/// Builds one process after the other.
pub(super) struct Nodes {
    parts: Arc<Parts>,
}

impl Nodes {
    pub(super) async fn another(&self) -> (Dream, Worker) {
        let parts = &self.parts;
        // Two processes never draw the same ids.
        let seed = parts.next_seed.fetch_add(1_000_003, Ordering::Relaxed);
        let cache = cache(&parts.backend, &parts.clock).await;
        let app = parts.wechat.app();
        let wechat = WeChatHttp::new(
            WeChatConfig {
                base_url: parts.wechat.base_url(),
                pause: Duration::from_millis(1),
                ..WeChatConfig::new(app.appid, SecretString::from(app.secret))
            },
            cache.clone(),
            parts.clock.clone(),
        )
        .expect("a client of WeChat");
        let content: Arc<dyn ContentCheck> = Arc::new(WeChatContentCheck::new(&wechat));
        let console = parts.wechat.push_target();
        let (token, aes_key) = (SecretString::from(console.token), SecretString::from(console.aes_key));
        let push =
            PushReceiver::new(parts.wechat.app().appid, token, Some(&aes_key)).expect("a token and a key");
        let key = SecretString::from(parts.image_api.service_key());
        let image_api = ImageApiConfig {
            concurrency: parts.at_once,
            ..ImageApiConfig::new(parts.image_api.base_url(), key)
        };
        let image_api =
            ImageApiHttp::new(&image_api, parts.clock.clone()).expect("a client of the image API");
        let mut database = parts.backend.database_options();
        database.durability = parts.durability;
        database.max_wait = parts.max_wait.unwrap_or(database.max_wait);
        let mut builder = Dream::builder(parts.settings.clone(), database)
            .at_start(AtStart::RequireCurrent)
            .process(format!("process-{seed}"))
            .clock(parts.clock.clone())
            .entropy(Arc::new(SeededEntropy::new(seed)))
            .cache(cache)
            .blobs(parts.blobs.clone())
            .wechat(Arc::new(wechat))
            .image_api(Arc::new(image_api))
            .content_check(content)
            .message_push(push);
        if let Some(pay) = &parts.pay {
            let config = pay.config(&parts.payment_url, &parts.refund_url);
            let entropy = Arc::new(SeededEntropy::new(!seed));
            let channel = WeChatPay::new(config, parts.clock.clone(), entropy).expect("a merchant");
            builder = builder.pay(Arc::new(channel));
        }
        for channel in &parts.channels {
            builder = builder.pay(channel.clone());
        }
        builder.build().await.expect("Dream starts")
    }
}

async fn cache(backend: &Backend, clock: &Arc<dyn Clock>) -> Arc<dyn Cache> {
    match backend.redis_url() {
        None => Arc::new(MemoryCache::new(clock.clone())),
        Some(url) => {
            let config = RedisConfig { url: SecretString::from(url), prefix: "dream:".into() };
            Arc::new(RedisCache::connect(&config).await.expect("Redis can be reached"))
        }
    }
}
