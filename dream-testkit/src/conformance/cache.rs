//! What every [`Cache`] keeps.

use std::collections::BTreeSet;

use bytes::Bytes;
use dream_core::ports::{Cache, Failure, FailureKind, Invalidation};
use futures_util::future::try_join_all;

use super::{LONG, SHORT, SOON};

/// Runs every case. The cache must not be used by others meanwhile, and its clock must be the machine's.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::{MemoryCache, SystemClock};
/// use dream_testkit::conformance;
/// use std::sync::Arc;
///
/// // The test of a cache of one's own, in place of this one.
/// conformance::cache::all(&MemoryCache::new(Arc::new(SystemClock))).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What the cache failed with.
///
/// # Panics
/// If a promise is broken.
pub async fn all(cache: &dyn Cache) -> Result<(), Failure> {
    cache.ping().await?;
    a_value_is_kept_until_it_is_deleted(cache).await?;
    any_text_is_a_key_and_any_bytes_are_a_value(cache).await?;
    a_value_vanishes_after_its_time(cache).await?;
    a_new_value_brings_its_own_time(cache).await?;
    an_absent_key_is_claimed_once(cache).await?;
    of_many_claims_one_wins(cache).await?;
    a_claim_can_be_made_again_after_its_time(cache).await?;
    only_the_holder_gives_up_a_claim(cache).await?;
    counts_go_up_by_one(cache).await?;
    no_count_is_lost_or_given_twice(cache).await?;
    a_window_is_not_made_longer_by_counting(cache).await?;
    only_a_counter_counts(cache).await?;
    everybody_hears_the_news(cache).await
}

/// A value is there until it is replaced or deleted, and deleting nothing is no fault.
async fn a_value_is_kept_until_it_is_deleted(cache: &dyn Cache) -> Result<(), Failure> {
    assert_eq!(cache.get("kept").await?, None);
    cache.set("kept", Bytes::from_static(b"one"), LONG).await?;
    assert_eq!(cache.get("kept").await?.as_deref(), Some(&b"one"[..]));
    cache.set("kept", Bytes::from_static(b"two"), LONG).await?;
    assert_eq!(cache.get("kept").await?.as_deref(), Some(&b"two"[..]));
    cache.delete("kept").await?;
    assert_eq!(cache.get("kept").await?, None);
    cache.delete("kept").await
}

/// Nothing in a key has a meaning, and no byte of a value is lost.
async fn any_text_is_a_key_and_any_bytes_are_a_value(cache: &dyn Cache) -> Result<(), Failure> {
    let every_byte: Bytes = (0..=255).collect();
    let long = "k".repeat(1000);
    for key in ["a b", "a:b", "行", "*", "a\r\nSET a 1", "\"'\\", long.as_str()] {
        for value in [&every_byte, &Bytes::new(), &Bytes::from(vec![7; 100_000])] {
            cache.set(key, value.clone(), LONG).await?;
            assert_eq!(cache.get(key).await?.as_ref(), Some(value), "{key:?}");
        }
        cache.delete(key).await?;
    }
    Ok(())
}

/// A value vanishes once its time is over, even if that is no time at all.
async fn a_value_vanishes_after_its_time(cache: &dyn Cache) -> Result<(), Failure> {
    cache.set("brief", Bytes::from_static(b"1"), SHORT).await?;
    cache.set("briefest", Bytes::from_static(b"1"), std::time::Duration::ZERO).await?;
    until_gone(cache, "brief").await?;
    until_gone(cache, "briefest").await
}

/// Replacing a value replaces its time as well.
async fn a_new_value_brings_its_own_time(cache: &dyn Cache) -> Result<(), Failure> {
    cache.set("prolonged", Bytes::from_static(b"1"), SHORT).await?;
    cache.set("prolonged", Bytes::from_static(b"2"), LONG).await?;
    cache.set("brief", Bytes::from_static(b"1"), SHORT).await?;
    until_gone(cache, "brief").await?;
    assert_eq!(cache.get("prolonged").await?.as_deref(), Some(&b"2"[..]));
    cache.delete("prolonged").await
}

/// A key that has a value is not claimed again, and keeps the first value.
async fn an_absent_key_is_claimed_once(cache: &dyn Cache) -> Result<(), Failure> {
    assert!(cache.set_if_absent("claim", Bytes::from_static(b"a"), LONG).await?);
    assert!(!cache.set_if_absent("claim", Bytes::from_static(b"b"), LONG).await?);
    assert_eq!(cache.get("claim").await?.as_deref(), Some(&b"a"[..]));
    cache.delete("claim").await?;
    assert!(cache.set_if_absent("claim", Bytes::from_static(b"c"), LONG).await?);
    cache.delete("claim").await
}

/// Of claims at the same time one wins.
async fn of_many_claims_one_wins(cache: &dyn Cache) -> Result<(), Failure> {
    let claims = (0..100).map(|number: u8| cache.set_if_absent("race", Bytes::from(vec![number]), LONG));
    let won = try_join_all(claims).await?;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    let winner = won.iter().position(|won| *won).map(|place| vec![u8::try_from(place).unwrap_or(255)]);
    assert_eq!(cache.get("race").await?.map(|value| value.to_vec()), winner);
    cache.delete("race").await
}

/// A claim that nobody gave up ends by itself.
async fn a_claim_can_be_made_again_after_its_time(cache: &dyn Cache) -> Result<(), Failure> {
    assert!(cache.set_if_absent("forgotten", Bytes::from_static(b"a"), SHORT).await?);
    until_gone(cache, "forgotten").await?;
    assert!(cache.set_if_absent("forgotten", Bytes::from_static(b"b"), LONG).await?);
    cache.delete("forgotten").await
}

/// A value is only dropped by who knows it: a claim that ran out and went to another is not given up by the first.
async fn only_the_holder_gives_up_a_claim(cache: &dyn Cache) -> Result<(), Failure> {
    assert!(!cache.delete_if("lease", b"me").await?);
    cache.set("lease", Bytes::from_static(b"other"), LONG).await?;
    assert!(!cache.delete_if("lease", b"me").await?);
    assert_eq!(cache.get("lease").await?.as_deref(), Some(&b"other"[..]));
    assert!(cache.delete_if("lease", b"other").await?);
    assert_eq!(cache.get("lease").await?, None);
    cache.set("lease", Bytes::from_static(b"me"), SHORT).await?;
    until_gone(cache, "lease").await?;
    assert!(!cache.delete_if("lease", b"me").await?);
    Ok(())
}

/// A counter starts at one, and its value can be read.
async fn counts_go_up_by_one(cache: &dyn Cache) -> Result<(), Failure> {
    for expected in 1..=3 {
        assert_eq!(cache.count("visits", LONG).await?, expected);
    }
    assert_eq!(cache.get("visits").await?.as_deref(), Some(&b"3"[..]));
    cache.delete("visits").await?;
    assert_eq!(cache.count("visits", LONG).await?, 1);
    cache.delete("visits").await
}

/// Counts at the same time are all counted, and each is told another number.
async fn no_count_is_lost_or_given_twice(cache: &dyn Cache) -> Result<(), Failure> {
    let counts = try_join_all((0..200).map(|_| cache.count("crowd", LONG))).await?;
    assert_eq!(counts.into_iter().collect::<BTreeSet<u64>>(), (1..=200).collect());
    cache.delete("crowd").await
}

/// A counter starts anew after its window, however busy it was: the window goes from the first count on.
async fn a_window_is_not_made_longer_by_counting(cache: &dyn Cache) -> Result<(), Failure> {
    let counted = async {
        let mut last = 0;
        loop {
            match cache.count("busy", SHORT).await? {
                1 if last > 0 => return Ok(()),
                count => assert_eq!(count, last + 1),
            }
            last += 1;
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    let ended = tokio::time::timeout(SOON, counted).await;
    assert!(ended.is_ok(), "the window never ended");
    ended.unwrap_or(Ok(()))
}

/// Counting where another kind of value stands is refused and leaves the value.
async fn only_a_counter_counts(cache: &dyn Cache) -> Result<(), Failure> {
    cache.set("word", Bytes::from_static(b"many"), LONG).await?;
    let refused = cache.count("word", LONG).await;
    assert!(matches!(&refused, Err(failure) if failure.kind == FailureKind::Refused), "{refused:?}");
    assert_eq!(cache.get("word").await?.as_deref(), Some(&b"many"[..]));
    cache.delete("word").await
}

/// All who listen hear of a change, in the order of the changes, whoever made it.
async fn everybody_hears_the_news(cache: &dyn Cache) -> Result<(), Failure> {
    let mut listeners = [cache.invalidations(), cache.invalidations()];
    for topic in ["plans", "user:7"] {
        cache.invalidate(topic).await?;
    }
    for listener in &mut listeners {
        for topic in ["plans", "user:7"] {
            let expected = Some(Invalidation::Topic(topic.to_owned()));
            let news = tokio::time::timeout(SOON, next_topic(listener)).await;
            assert_eq!(news.ok().flatten(), expected);
        }
    }
    Ok(())
}

/// The next news of one topic. That everything may have changed can be said at any time.
async fn next_topic(listener: &mut tokio::sync::broadcast::Receiver<Invalidation>) -> Option<Invalidation> {
    loop {
        let news = Invalidation::next(listener).await;
        if news != Some(Invalidation::Everything) {
            return news;
        }
    }
}

async fn until_gone(cache: &dyn Cache, key: &str) -> Result<(), Failure> {
    let gone = async {
        while cache.get(key).await?.is_some() {
            tokio::time::sleep(SHORT / 10).await;
        }
        Ok(())
    };
    let ended = tokio::time::timeout(SOON, gone).await;
    assert!(ended.is_ok(), "{key} outlived its time");
    ended.unwrap_or(Ok(()))
}
