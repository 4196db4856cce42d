use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dream_core::adapters::{MemoryCache, RedisCache, RedisConfig, SystemClock};
use dream_core::ports::{Cache, FailureKind, Invalidation};
use dream_testkit::backends::TestRedis;
use dream_testkit::clock::TestClock;
use dream_testkit::conformance::cache;
use dream_testkit::on_redis;

const SOON: Duration = Duration::from_secs(10);

async fn connect(redis: &TestRedis, prefix: &str) -> RedisCache {
    let config = RedisConfig { url: redis.url().into(), prefix: prefix.into() };
    RedisCache::connect(&config).await.expect("a running Redis")
}

#[tokio::test]
async fn memory_keeps_the_promises_of_a_cache() {
    cache::all(&MemoryCache::new(Arc::new(SystemClock))).await.unwrap();
}

#[tokio::test]
async fn a_value_in_memory_lives_by_the_clock_it_was_given() {
    let clock = Arc::new(TestClock::default());
    let cache = MemoryCache::new(clock.clone());
    cache.set("a", Bytes::from_static(b"1"), Duration::from_mins(1)).await.unwrap();
    assert_eq!(cache.count("n", Duration::from_mins(2)).await.unwrap(), 1);
    clock.advance(Duration::from_secs(59));
    assert!(cache.get("a").await.unwrap().is_some());
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.get("a").await.unwrap(), None);
    assert_eq!(cache.count("n", Duration::from_mins(2)).await.unwrap(), 2);
    clock.advance(Duration::from_mins(1));
    assert_eq!(cache.count("n", Duration::from_mins(2)).await.unwrap(), 1);
}

#[tokio::test]
async fn memory_is_bounded_and_takes_the_newest_in() {
    let cache = MemoryCache::with_capacity(Arc::new(TestClock::default()), 100_000);
    let value = Bytes::from(vec![0; 1000]);
    let long = Duration::from_hours(1);
    for number in 0..1000 {
        assert!(cache.set_if_absent(&number.to_string(), value.clone(), long).await.unwrap());
        assert!(cache.get(&number.to_string()).await.unwrap().is_some(), "{number} was turned away");
    }
    let mut kept = 0;
    for number in 0..1000 {
        kept += usize::from(cache.get(&number.to_string()).await.unwrap().is_some());
    }
    assert!(kept < 500, "{kept} are kept");
}

#[tokio::test]
async fn a_listener_who_lags_is_told_that_everything_changed() {
    let cache = MemoryCache::new(Arc::new(SystemClock));
    let mut news = cache.invalidations();
    for _ in 0..5000 {
        cache.invalidate("plans").await.unwrap();
    }
    assert_eq!(Invalidation::next(&mut news).await, Some(Invalidation::Everything));
    assert_eq!(Invalidation::next(&mut news).await, Some(Invalidation::Topic("plans".into())));
    drop(cache);
    while let Some(still_there) = Invalidation::next(&mut news).await {
        assert_eq!(still_there, Invalidation::Topic("plans".into()));
    }
}

on_redis!(redis_keeps_the_promises_of_a_cache, |redis| async move {
    cache::all(&connect(&redis, "dream:").await).await.expect("it holds in time");
});

on_redis!(nodes_share_values_and_hear_of_each_others_changes, |redis| async move {
    let (one, other) = (connect(&redis, "dream:").await, connect(&redis, "dream:").await);
    let stranger = connect(&redis, "else:").await;
    let (mut news, mut elsewhere) = (other.invalidations(), stranger.invalidations());
    one.set("a", Bytes::from_static(b"1"), SOON).await.unwrap();
    assert_eq!(other.get("a").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(stranger.get("a").await.unwrap(), None);
    one.invalidate("plans").await.unwrap();
    stranger.invalidate("own").await.unwrap();
    let topic = |name: &str| Some(Invalidation::Topic(name.into()));
    assert_eq!(next(&mut news).await, topic("plans"));
    assert_eq!(next(&mut elsewhere).await, topic("own"));
});

on_redis!(a_burst_of_news_does_not_end_the_listening, |redis| async move {
    let (one, other) = (connect(&redis, "dream:").await, connect(&redis, "dream:").await);
    let mut news = other.invalidations();
    for number in 0..10_000 {
        one.invalidate(&number.to_string()).await.unwrap();
    }
    one.invalidate("last").await.unwrap();
    while next(&mut news).await != Some(Invalidation::Topic("last".into())) {}
});

on_redis!(while_redis_is_away_calls_fail_at_once_and_then_all_is_well, |redis| async move {
    let cache = connect(&redis, "dream:").await;
    assert_eq!(cache.count("n", SOON).await.unwrap(), 1);
    let mut news = cache.invalidations();
    redis.stop();
    until(async || cache.ping().await.is_err()).await;
    until(async || cache.ping().await.is_err_and(|e| e.kind == FailureKind::Unreachable)).await;
    let start = std::time::Instant::now();
    for _ in 0..100 {
        assert!(cache.get("a").await.is_err());
    }
    assert!(start.elapsed() < Duration::from_millis(500), "a dead cache slows down everything");
    redis.resume().await.unwrap();
    until(async || cache.ping().await.is_ok()).await;
    assert_eq!(next(&mut news).await, Some(Invalidation::Everything));
    // The scripts are gone with the old server.
    assert_eq!(cache.count("n", SOON).await.unwrap(), 1);
    cache.invalidate("plans").await.unwrap();
    assert_eq!(next(&mut news).await, Some(Invalidation::Topic("plans".into())));
});

on_redis!(a_lost_connection_may_have_lost_news, |redis| async move {
    let cache = connect(&redis, "dream:").await;
    let mut news = cache.invalidations();
    redis.command(&["CLIENT", "KILL", "TYPE", "normal"]).await.unwrap();
    redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await.unwrap();
    assert_eq!(next(&mut news).await, Some(Invalidation::Everything));
    until(async || cache.ping().await.is_ok()).await;
    cache.invalidate("plans").await.unwrap();
    while next(&mut news).await != Some(Invalidation::Topic("plans".into())) {}
});

on_redis!(a_wrong_password_is_a_fault_of_the_configuration, |redis| async move {
    redis.command(&["CONFIG", "SET", "requirepass", "s3cret-of-redis"]).await.unwrap();
    let with = |password: &str| redis.url().replace("unix://", &format!("unix://:{password}@host"));
    for (url, is_let_in) in [(with("s3cret-of-redis"), true), (with("wrong-one"), false)] {
        let outcome = RedisCache::connect(&RedisConfig { url: url.into(), prefix: String::new() }).await;
        match outcome {
            Ok(cache) => assert!(is_let_in && cache.ping().await.is_ok()),
            Err(failure) => {
                assert!(!is_let_in && failure.kind == FailureKind::Misconfigured, "{failure:?}");
                assert!(!format!("{failure:?}").contains("wrong-one"));
            }
        }
    }
});

on_redis!(missing_rights_and_a_server_that_takes_no_writes_are_told_apart, |redis| async move {
    let asks = |user: &str| RedisConfig {
        url: redis.url().replace("unix://", &format!("unix://{user}:pass@host")).into(),
        prefix: "dream:".to_owned(),
    };
    redis.command(&["ACL", "SETUSER", "reader", "on", ">pass", "~*", "&*", "+@all", "-set"]).await.unwrap();
    redis.command(&["ACL", "SETUSER", "deaf", "on", ">pass", "~*", "resetchannels", "+@all"]).await.unwrap();
    for user in ["reader", "deaf"] {
        let failure = RedisCache::connect(&asks(user)).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Misconfigured, "{user}: {failure:?}");
        assert!(failure.message.contains("NOPERM"), "{user}: {failure:?}");
    }
    let cache = connect(&redis, "dream:").await;
    for (setting, usual, unable) in [("maxmemory", "0", "1"), ("min-replicas-to-write", "0", "1")] {
        redis.command(&["CONFIG", "SET", setting, unable]).await.unwrap();
        assert!(cache.ping().await.is_err(), "{setting}: it answers, but takes no writes");
        redis.command(&["CONFIG", "SET", setting, usual]).await.unwrap();
        until(async || cache.ping().await.is_ok()).await;
    }
});

#[tokio::test]
async fn a_url_that_cannot_be_read_is_named_without_its_password() {
    for url in ["", "redis", "redis://:s3cret@host:99999999", "http://:s3cret@host"] {
        let failure =
            RedisCache::connect(&RedisConfig { url: url.into(), prefix: String::new() }).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Misconfigured, "{url}");
        assert!(!format!("{failure:?}").contains("s3cret"));
    }
}

async fn next(news: &mut tokio::sync::broadcast::Receiver<Invalidation>) -> Option<Invalidation> {
    tokio::time::timeout(SOON, Invalidation::next(news)).await.expect("news in time")
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, wait).await.expect("it holds in time");
}
