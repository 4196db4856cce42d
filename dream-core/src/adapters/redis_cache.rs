use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fred::clients::{Client, WithOptions};
use fred::error::{Error as RedisError, ErrorKind};
use fred::interfaces::{ClientLike, EventInterface, KeysInterface, LuaInterface, PubsubInterface};
use fred::types::config::{Config, Options, ReconnectPolicy, TcpConfig, UnresponsiveConfig};
use fred::types::scripts::Script;
use fred::types::{Builder, Expiration, FromValue, Message, RespVersion, SetOptions, Value};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::AbortHandle;

use crate::ports::{Cache, Failure, FailureKind, Invalidation};

const SERVICE: &str = "redis";

/// A cache that takes longer than this is of no use.
const COMMAND_LIMIT: Duration = Duration::from_millis(500);
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// An unanswered command this old means that the connection is dead.
const UNRESPONSIVE_AFTER: Duration = Duration::from_secs(3);

/// Pauses between two attempts to connect, in milliseconds.
const RECONNECT_MIN_MS: u32 = 50;
const RECONNECT_MAX_MS: u32 = 2_000;

/// How long to wait before subscribing again after a refusal.
const RESUBSCRIBE_PAUSE: Duration = Duration::from_secs(1);

/// News a slow receiver may fall behind before it is told that everything changed.
const NEWS_KEPT: usize = 4096;

/// Redis takes milliseconds as a signed number; no lifetime of ours comes near this.
const LONGEST_TTL_MS: i64 = 10 * 366 * 86_400_000;

/// Written to see whether the server takes writes.
const TRIAL_KEY: &str = "trial";
const TRIAL_COUNTER: &str = "trial:count";
/// A topic that nobody has.
const TRIAL_TOPIC: &str = "trial";
const TRIAL_TTL: Duration = Duration::from_secs(10);

static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::from_lua(
        "local n = redis.call('INCR', KEYS[1]) \
         if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end \
         return n",
    )
});

static DELETE_IF: LazyLock<Script> = LazyLock::new(|| {
    Script::from_lua(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end \
         return 0",
    )
});

/// Where Redis is, and which of its keys are ours.
///
/// ```
/// use dream_core::adapters::RedisConfig;
///
/// // One server for several programs: each has a prefix of its own.
/// let config =
///     RedisConfig { url: "rediss://dream:secret@cache.example:6379/0".into(), prefix: "dream:".to_owned() };
/// assert!(!format!("{config:?}").contains("secret@"));
/// ```
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// `redis://user:password@host:6379/0`, `rediss://…` for TLS, or `redis+unix:///path/redis.sock`.
    pub url: SecretString,
    /// Stands before every key and channel, such as `dream:`, so that several programs may share a server.
    pub prefix: String,
}

/// The cache that all nodes share: Redis (or Valkey), over one connection that all tasks write to.
///
/// While Redis is away every call fails at once as [`FailureKind::Unreachable`]. It reconnects by itself, and then
/// tells its listeners [`Invalidation::Everything`].
///
/// ```no_run
/// use dream_core::adapters::{RedisCache, RedisConfig};
/// use dream_core::ports::Cache as _;
/// use std::time::Duration;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let config = RedisConfig { url: "redis://cache.example:6379/0".into(), prefix: "dream:".to_owned() };
/// let cache = RedisCache::connect(&config).await?;
/// assert!(cache.is_shared());
/// // While Redis is away this fails at once, and callers do without.
/// cache.set("greeting", "hello".into(), Duration::from_secs(60)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RedisCache {
    client: Client,
    /// The same connection: a command is sent once, and fails at once where it cannot be sent.
    once: WithOptions<Client>,
    prefix: String,
    channel: String,
    news: broadcast::Sender<Invalidation>,
    listener: AbortHandle,
}

impl RedisCache {
    /// Connects. If Redis is away just now this goes on trying in the background.
    ///
    /// # Errors
    /// `Misconfigured` if the URL cannot be read or Redis refuses the password.
    pub async fn connect(config: &RedisConfig) -> Result<Self, Failure> {
        let client = build_client(config)?;
        let channel = format!("{}news", config.prefix);
        let news = broadcast::Sender::new(NEWS_KEPT);
        // Both listen before connecting, so that the first connection is not missed.
        let mut errors = client.error_rx();
        let mut ready = news.subscribe();
        let listener = tokio::spawn(listen(client.clone(), channel.clone(), news.clone())).abort_handle();
        let options = Options { max_attempts: Some(1), fail_fast: true, ..Options::default() };
        let once = client.with_options(&options);
        let cache = Self { once, prefix: config.prefix.clone(), channel, news, listener, client };
        drop(cache.client.connect());
        let first_word = async {
            tokio::select! {
                Ok((error, _)) = errors.recv() => Err(failure(&error)),
                // It comes once the subscription stands: nothing that is said from now on is missed.
                _ = ready.recv() => Ok(()),
            }
        };
        match tokio::time::timeout(CONNECT_LIMIT, first_word).await {
            Ok(Ok(())) => cache.proven().await,
            Ok(Err(refusal)) if refusal.kind == FailureKind::Misconfigured => Err(refusal),
            // It answers, but does not let us subscribe.
            Ok(Err(_)) | Err(_) if cache.client.is_connected() => cache.proven().await,
            Ok(Err(_)) | Err(_) => {
                tracing::warn!("Redis does not answer; going on without it until it does");
                Ok(cache)
            }
        }
    }

    /// The cache, once every kind of command was tried. Missing rights do not come by themselves, so they are an error;
    /// a server that takes no writes just now may take them later.
    async fn proven(self) -> Result<Self, Failure> {
        match self.try_rights().await {
            Err(failure) if failure.kind == FailureKind::Misconfigured => Err(failure),
            Err(failure) => {
                tracing::warn!(error = %failure, "Redis takes no writes; going on without it until it does");
                Ok(self)
            }
            Ok(()) => Ok(self),
        }
    }

    async fn try_rights(&self) -> Result<(), Failure> {
        self.ping().await?;
        self.get(TRIAL_KEY).await?;
        self.count(TRIAL_COUNTER, TRIAL_TTL).await?;
        self.delete(TRIAL_KEY).await?;
        self.invalidate(TRIAL_TOPIC).await
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The connection, if there is one just now.
    fn ready(&self) -> Result<&WithOptions<Client>, Failure> {
        if self.client.is_connected() {
            Ok(&self.once)
        } else {
            Err(Failure::new(SERVICE, FailureKind::Unreachable, "not connected"))
        }
    }

    async fn script<R: FromValue>(&self, script: &Script, key: &str, argument: Value) -> Result<R, Failure> {
        let key = self.key(key);
        match self.ready()?.evalsha(script.sha1().clone(), key.as_str(), argument.clone()).await {
            // A server that was restarted has forgotten it. Nothing was run, so this does not count twice.
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                let text = script.lua().cloned().unwrap_or_default();
                self.ready()?.eval(text, key, argument).await.map_err(|e| failure(&e))
            }
            outcome => outcome.map_err(|e| failure(&e)),
        }
    }
}

impl Drop for RedisCache {
    fn drop(&mut self) {
        self.listener.abort();
        let client = self.client.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // A farewell; nobody is left who could act on its failing.
            runtime.spawn(async move { drop(client.quit().await) });
        }
    }
}

fn build_client(config: &RedisConfig) -> Result<Client, Failure> {
    // The library's error may quote the URL, and so the password.
    let unreadable = || Failure::new(SERVICE, FailureKind::Misconfigured, "the Redis URL cannot be read");
    let url = config.url.expose_secret();
    if !["redis", "valkey"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(unreadable());
    }
    let mut settings = Config::from_url(url).map_err(|_| unreadable())?;
    settings.version = RespVersion::RESP3;
    // Or a first failure to connect would be the last attempt.
    settings.fail_fast = false;
    Builder::from_config(settings)
        .with_connection_config(|connection| {
            connection.connection_timeout = CONNECT_LIMIT;
            connection.internal_command_timeout = CONNECT_LIMIT;
            connection.reconnect_on_auth_error = true;
            connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
            connection.unresponsive = UnresponsiveConfig {
                max_timeout: Some(UNRESPONSIVE_AFTER),
                interval: Duration::from_secs(1),
            };
        })
        .with_performance_config(|performance| {
            // The library's own default is no limit at all.
            performance.default_command_timeout = COMMAND_LIMIT;
            performance.broadcast_channel_capacity = NEWS_KEPT;
        })
        .set_policy(ReconnectPolicy::new_exponential(0, RECONNECT_MIN_MS, RECONNECT_MAX_MS, 2))
        .build()
        .map_err(|e| failure(&e))
}

/// Passes on the news. The library has a loop of its own for this, which ends for ever at the first burst that it
/// cannot keep up with.
async fn listen(client: Client, channel: String, news: broadcast::Sender<Invalidation>) {
    let mut messages = client.message_rx();
    let mut connections = client.reconnect_rx();
    // Nobody listening is no fault.
    let tell = |what: Invalidation| drop(news.send(what));
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Ok(message) => topic_of(message, &channel).map(Invalidation::Topic).into_iter().for_each(tell),
                Err(RecvError::Lagged(_)) => tell(Invalidation::Everything),
                Err(RecvError::Closed) => return,
            },
            connection = connections.recv() => {
                if matches!(connection, Err(RecvError::Closed)) {
                    return;
                }
                subscribe(&client, &channel).await;
                // Only now: what happened before the subscription was not heard.
                tell(Invalidation::Everything);
            }
        }
    }
}

/// Subscribes, or returns once the connection is lost again, since the next one subscribes anew.
async fn subscribe(client: &Client, channel: &str) {
    while let Err(error) = client.subscribe(channel).await {
        tracing::warn!(error = %error, "cannot listen for news from other nodes");
        tokio::time::sleep(RESUBSCRIBE_PAUSE).await;
        if !client.is_connected() {
            return;
        }
    }
}

fn topic_of(message: Message, channel: &str) -> Option<String> {
    if *message.channel == *channel { message.value.into_string() } else { None }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(LONGEST_TTL_MS).clamp(1, LONGEST_TTL_MS)
}

fn failure(error: &RedisError) -> Failure {
    let busy = ["LOADING", "BUSY", "OOM", "READONLY", "MASTERDOWN", "TRYAGAIN"];
    let rights = ["NOPERM", "NOAUTH", "WRONGPASS"];
    let kind = match error.kind() {
        _ if rights.iter().any(|word| error.details().starts_with(word)) => FailureKind::Misconfigured,
        ErrorKind::Auth | ErrorKind::Config | ErrorKind::Url | ErrorKind::Tls => FailureKind::Misconfigured,
        ErrorKind::Timeout => FailureKind::TimedOut,
        ErrorKind::Backpressure => FailureKind::Throttled,
        ErrorKind::Routing => FailureKind::Unreachable,
        // The library's name for an error that the server answered with, and that it does not know.
        ErrorKind::Unknown if busy.iter().any(|word| error.details().starts_with(word)) => {
            FailureKind::Throttled
        }
        ErrorKind::Unknown | ErrorKind::InvalidCommand | ErrorKind::InvalidArgument => FailureKind::Refused,
        _ => FailureKind::Unknown,
    };
    Failure::new(SERVICE, kind, error.details().to_owned())
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        self.ready()?.get(self.key(key)).await.map_err(|e| failure(&e))
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), Failure> {
        let lifetime = Some(Expiration::PX(millis(ttl)));
        self.ready()?.set(self.key(key), value, lifetime, None, false).await.map_err(|e| failure(&e))
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool, Failure> {
        let lifetime = Some(Expiration::PX(millis(ttl)));
        let kept: Option<String> = self
            .ready()?
            .set(self.key(key), value, lifetime, Some(SetOptions::NX), false)
            .await
            .map_err(|e| failure(&e))?;
        Ok(kept.is_some())
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        self.ready()?.del(self.key(key)).await.map_err(|e| failure(&e))
    }

    async fn delete_if(&self, key: &str, value: &[u8]) -> Result<bool, Failure> {
        let removed: i64 = self.script(&DELETE_IF, key, Value::Bytes(Bytes::copy_from_slice(value))).await?;
        Ok(removed == 1)
    }

    async fn count(&self, key: &str, window: Duration) -> Result<u64, Failure> {
        self.script(&COUNT, key, Value::Integer(millis(window))).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn invalidate(&self, topic: &str) -> Result<(), Failure> {
        self.ready()?;
        // Not over `once`: hearing it twice is harmless, so it is sent again if the connection breaks just now.
        self.client.publish(self.channel.as_str(), topic).await.map_err(|e| failure(&e))
    }

    fn invalidations(&self) -> broadcast::Receiver<Invalidation> {
        self.news.subscribe()
    }

    async fn ping(&self) -> Result<(), Failure> {
        // A replica and a server without memory answer PING, but are of no use.
        self.set(TRIAL_KEY, Bytes::from_static(b"1"), TRIAL_TTL).await
    }
}
