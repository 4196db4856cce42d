//! What is stored: database, Redis, pictures.

use std::time::Duration;

use bytes::Bytes;
use dream_core::adapters::{OsEntropy, RedisCache, RedisConfig};
use dream_core::kernel::Timestamp;
use dream_core::ports::{BlobKey, Cache as _, EntropyExt as _, Failure, FailureKind};
use dream_core::{DatabaseFacts, DatabaseOptions, Dream};
use secrecy::ExposeSecret as _;

use super::Verdict;
use crate::config::{Storage, without_password};
use crate::exit::{Exit, Trouble};
use crate::wire;

/// Clocks that differ by more than this make leases and signatures doubtful.
const SKEW_DOUBTFUL: Duration = Duration::from_secs(2);
/// Clocks that differ by more than this let two nodes hold one lease.
const SKEW_BAD: Duration = Duration::from_secs(30);
/// How long what is written for a trial stays if it is not taken away again.
const TRIAL_TTL: Duration = Duration::from_secs(30);

pub(super) async fn database(options: &DatabaseOptions) -> Verdict {
    if let Err(trouble) = wire::require_file(options) {
        return trouble.into();
    }
    match Dream::examine(options).await {
        Ok(facts) => judged(&facts, options),
        Err(error) => Trouble::from(error).into(),
    }
}

fn judged(facts: &DatabaseFacts, options: &DatabaseOptions) -> Verdict {
    if !facts.schema.is_current() {
        return wire::schema_trouble(facts.schema).into();
    }
    if facts.is_replica {
        let message = "it only follows another database, and takes no writes";
        return Trouble::new(Exit::Refused, "REPLICA", message)
            .hint("DATABASE_URL must name the primary")
            .into();
    }
    let skew = facts.now.map_or(Duration::ZERO, |theirs| apart(theirs, wire::clock().now()));
    let found = format!(
        "{} {}, schema at migration {}, clocks {} ms apart",
        facts.product,
        facts.version,
        facts.schema.applied,
        skew.as_millis()
    );
    if skew > SKEW_BAD {
        let trouble = Trouble::new(Exit::Refused, "CLOCK", found);
        return trouble.hint("leases need clocks that agree: run an NTP client here and there").into();
    }
    if skew > SKEW_DOUBTFUL {
        return Verdict::Doubtful(found, "run an NTP client here and at the database".into());
    }
    if let Some(file) = wire::sqlite_path(options.url.expose_secret()).filter(|file| others_may_read(file)) {
        return Verdict::Doubtful(found, format!("everybody on this machine may read it: chmod 600 {file}*"));
    }
    match facts.most_connections {
        Some(most) if i64::from(options.max_connections) >= most => Verdict::Doubtful(
            found,
            format!(
                "one node may open {} connections, and the server takes {most} from all: lower \
                 DATABASE_MAX_CONNECTIONS or raise max_connections",
                options.max_connections
            ),
        ),
        _ => Verdict::Well(found),
    }
}

/// Whether the file is open to users besides its owner.
fn others_may_read(file: &str) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|facts| facts.permissions().mode() & 0o077 != 0)
}

fn apart(a: Timestamp, b: Timestamp) -> Duration {
    Duration::from_micros(a.as_micros().abs_diff(b.as_micros()))
}

pub(super) async fn replica(options: &DatabaseOptions) -> Verdict {
    let Some(url) = &options.read_url else {
        return Verdict::LeftOut("DATABASE_READ_URL is not set: the primary answers public reads".into());
    };
    let replica = DatabaseOptions { url: url.clone(), read_url: None, ..options.clone() };
    match Dream::examine(&replica).await {
        Ok(facts) if !facts.schema.is_current() => wire::schema_trouble(facts.schema).into(),
        Ok(facts) if !facts.is_replica => Verdict::Doubtful(
            format!("{} {}", facts.product, facts.version),
            "it follows no other database: is it the one of DATABASE_URL?".into(),
        ),
        Ok(facts) => Verdict::Well(format!("{} {}", facts.product, facts.version)),
        Err(error) => Trouble::from(error).hint("is the database of DATABASE_READ_URL running?").into(),
    }
}

pub(super) async fn redis(config: Option<&RedisConfig>) -> Verdict {
    let Some(config) = config else {
        return Verdict::LeftOut("REDIS_URL is not set: limits and caches are each node's own".into());
    };
    let place = without_password(config.url.expose_secret());
    match try_redis(config).await {
        Ok(()) => Verdict::Well(format!("{place}: kept a value and gave it back")),
        Err(failure) => {
            let hint =
                "the server runs without it too, but nodes then share no limits, and hear of changes late";
            Trouble::from(failure).while_(&place).hint(hint).into()
        }
    }
}

async fn try_redis(config: &RedisConfig) -> Result<(), Failure> {
    let cache = RedisCache::connect(config).await?;
    cache.ping().await?;
    let (key, value) = (format!("doctor:{}", OsEntropy.token()), Bytes::from_static(b"trial"));
    cache.set(&key, value.clone(), TRIAL_TTL).await?;
    let kept = cache.get(&key).await?;
    cache.delete(&key).await?;
    if kept == Some(value) {
        Ok(())
    } else {
        Err(Failure::new("redis", FailureKind::Refused, "what was written is not what is read"))
    }
}

pub(super) async fn storage(storage: &Storage) -> Verdict {
    let place = match storage {
        Storage::Disk(folder) => folder.display().to_string(),
        Storage::R2(bucket) => format!("{} in {}", bucket.bucket, bucket.endpoint),
    };
    match try_storage(storage).await {
        Ok(()) => Verdict::Well(format!("{place}: wrote, read and removed an object")),
        Err(trouble) => trouble.while_(&place).into(),
    }
}

async fn try_storage(storage: &Storage) -> Result<(), Trouble> {
    // The URL of what is stored plays no part here.
    let blobs = wire::blobs(storage, "").await?;
    let key: BlobKey = format!("doctor/{}.txt", OsEntropy.token())
        .parse()
        .map_err(|_| Trouble::new(Exit::Failed, "INTERNAL", "the trial object has no name"))?;
    let bytes = Bytes::from_static(b"written by `dream doctor`; it can be removed\n");
    blobs.put(&key, "text/plain", bytes.clone()).await?;
    let read = blobs.get(&key, None).await;
    blobs.delete(&key).await?;
    let differs = || Trouble::new(Exit::Refused, "STORAGE", "what was written is not what is read");
    match read? {
        Some(blob) if blob.bytes == bytes => {}
        _ => return Err(differs()),
    }
    match blobs.head(&key).await? {
        None => Ok(()),
        Some(_) => Err(Trouble::new(Exit::Refused, "STORAGE", "what was removed is still there")),
    }
}
