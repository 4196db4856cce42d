//! Responses that are the same for everybody: made and compressed once, and sent until they are stale.
//!
//! - The key is the route and the debug form of its parsed input, so all spellings of one query share one response: another
//!   order or encoding of the parameters, zeros before a number, a default that is spelled out. What is not a valid query
//!   is never stored.
//! - Of the requests for one key one makes the response, and the others wait for it. If it fails or its client leaves, the
//!   next one makes it.
//! - A response that was begun before an invalidation answers only the requests that wait for it: the generation of the
//!   topic is part of the key.
//! - The cache is bounded by bytes. Responses that are expired or invalidated are removed every few seconds, or as soon as
//!   they are asked for.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use dream_core::Result;
use http::header::ETAG;
use http::{HeaderMap, HeaderValue, StatusCode};
use quick_cache::sync::{Cache, DefaultLifecycle, EntryAction, EntryResult};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use tokio::time::Instant;

use crate::encoding;
use crate::finish::Outcome;
use crate::reply::{Payload, Reply};

/// Parts of the cache with a lock and an equal share of the bytes each.
const SHARDS: usize = 8;
/// About how many responses there are; only bookkeeping is sized by it.
const ESTIMATED_ENTRIES: usize = 1024;
/// What an entry takes beside its bodies and its input: headers, key and table slots, generously.
const OVERHEAD: usize = 2048;

/// That a row's answer is the same for everybody, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Public {
    /// How long an answer may be handed out at most.
    pub(crate) ttl: Duration,
    /// The topic whose change makes it stale at once.
    pub(crate) topic: &'static str,
}

/// One answer, ready to be sent.
#[derive(Debug)]
pub(crate) struct Ready {
    headers: HeaderMap,
    pub(crate) plain: Bytes,
    pub(crate) gzip: Option<Bytes>,
}

impl Ready {
    /// Compresses the answer and names its content, if it is an ordinary one.
    pub(crate) fn new(reply: &Reply) -> Option<Self> {
        let plain = reply.body.as_bytes()?.clone();
        if reply.status != StatusCode::OK {
            return None;
        }
        let packs = plain.len() >= encoding::MIN_BYTES && encoding::is_compressible(&reply.headers);
        let gzip = if packs { encoding::gzip(&plain) } else { None };
        let mut headers = reply.headers.clone();
        headers.insert(ETAG, etag(&plain)?);
        Some(Self { headers, plain, gzip })
    }

    pub(crate) fn reply(&self) -> Reply {
        Reply {
            status: StatusCode::OK,
            headers: self.headers.clone(),
            body: Payload::from(self.plain.clone()),
        }
    }
}

/// A weak tag: the compressed and the plain body share it.
fn etag(bytes: &[u8]) -> Option<HeaderValue> {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    HeaderValue::try_from(format!("W/\"{:016x}-{:x}\"", hasher.finish(), bytes.len())).ok()
}

/// Whether the client has this very answer already.
pub(crate) fn is_fresh(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let Ok(ours) = etag.to_str().map(weak) else { return false };
    headers
        .get_all(http::header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| tag.trim() == "*" || weak(tag) == ours)
}

/// What tells stored responses apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    row: usize,
    generation: u64,
    /// The debug form of the parsed input.
    input: Arc<str>,
}

#[derive(Debug, Clone)]
struct Stored {
    ready: Arc<Ready>,
    topic: &'static str,
    until: Instant,
}

impl Stored {
    fn is_fresh(&self) -> bool {
        Instant::now() < self.until
    }
}

#[derive(Debug, Clone)]
struct Bytewise;

impl Weighter<Key, Stored> for Bytewise {
    fn weight(&self, key: &Key, stored: &Stored) -> u64 {
        let ready = &stored.ready;
        (OVERHEAD + key.input.len() + ready.plain.len() + ready.gzip.as_ref().map_or(0, Bytes::len)) as u64
    }
}

/// The responses that are stored.
#[derive(Debug)]
pub(crate) struct PublicCache {
    stored: Cache<Key, Stored, Bytewise>,
    generations: HashMap<&'static str, AtomicU64>,
    /// By row, the debug form of the input of a request without ids and without a query: what most requests are.
    bare: Vec<OnceLock<Arc<str>>>,
}

impl PublicCache {
    /// A cache of at most so many bytes, for so many rows, of which some have these topics.
    pub(crate) fn new(bytes: usize, rows: usize, topics: impl IntoIterator<Item = &'static str>) -> Self {
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(ESTIMATED_ENTRIES)
            .weight_capacity(bytes as u64)
            .build();
        let (hasher, lifecycle) = (DefaultHashBuilder::default(), DefaultLifecycle::default());
        let stored = match options {
            Ok(options) => Cache::with_options(options, Bytewise, hasher, lifecycle),
            // It fails only where a number is not given.
            Err(_) => Cache::with_weighter(ESTIMATED_ENTRIES, bytes as u64, Bytewise),
        };
        let generations = topics.into_iter().map(|topic| (topic, AtomicU64::new(0))).collect();
        Self { stored, generations, bare: std::iter::repeat_with(OnceLock::new).take(rows).collect() }
    }

    /// Makes everything of the topic stale.
    pub(crate) fn invalidate(&self, topic: &str) {
        if let Some(generation) = self.generations.get(topic) {
            generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Makes everything stale.
    pub(crate) fn invalidate_all(&self) {
        self.generations.keys().for_each(|topic| self.invalidate(topic));
    }

    fn generation(&self, topic: &str) -> u64 {
        self.generations.get(topic).map_or(0, |it| it.load(Ordering::Acquire))
    }

    fn key(&self, row: usize, public: Public, input: &Arc<str>) -> Key {
        Key { row, generation: self.generation(public.topic), input: Arc::clone(input) }
    }

    /// The stored response of a row to a request without ids and without a query, if it is still good.
    pub(crate) fn bare(&self, row: usize, public: Public) -> Option<Arc<Ready>> {
        let input = self.bare.get(row)?.get()?;
        let stored = self.stored.get(&self.key(row, public, input))?;
        stored.is_fresh().then_some(stored.ready)
    }

    /// Remembers what the input of a request without ids and without a query is.
    pub(crate) fn remember_bare(&self, row: usize, input: &Arc<str>) {
        if let Some(bare) = self.bare.get(row) {
            bare.get_or_init(|| Arc::clone(input));
        }
    }

    /// The stored response to this input, or a new one.
    pub(crate) async fn get(
        &self,
        row: usize,
        public: Public,
        input: &Arc<str>,
        make: impl Future<Output = Result<Reply>>,
    ) -> Result<Outcome> {
        let key = self.key(row, public, input);
        // What is fresh is read under a lock that readers share.
        if let Some(stored) = self.stored.get(&key).filter(Stored::is_fresh) {
            return Ok(Outcome::Ready(stored.ready));
        }
        let found = self.stored.entry_async(&key, |_, stored| {
            if stored.is_fresh() {
                EntryAction::Retain(Arc::clone(&stored.ready))
            } else {
                EntryAction::ReplaceWithGuard
            }
        });
        let place = match found.await {
            EntryResult::Retained(ready) => return Ok(Outcome::Ready(ready)),
            EntryResult::Vacant(place) | EntryResult::Replaced(place, _) => place,
            // Neither comes of the decision above and of waiting without a limit.
            EntryResult::Removed(..) | EntryResult::Timeout => return make.await.map(Outcome::Reply),
        };
        // If this fails or is dropped, so is the place, and the next one who waits for it makes the response.
        let reply = make.await?;
        let Some(ready) = Ready::new(&reply).map(Arc::new) else { return Ok(Outcome::Reply(reply)) };
        let until = Instant::now() + public.ttl;
        // The place is gone if it was invalidated meanwhile; the response is right all the same.
        let _ = place.insert(Stored { ready: Arc::clone(&ready), topic: public.topic, until });
        Ok(Outcome::Ready(ready))
    }

    /// Removes what is expired or invalidated.
    pub(crate) fn remove_stale(&self) {
        let now = Instant::now();
        self.stored
            .retain(|key, stored| now < stored.until && key.generation == self.generation(stored.topic));
    }

    #[cfg(test)]
    fn bytes(&self) -> u64 {
        self.stored.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANS: Public = Public { ttl: Duration::from_mins(1), topic: "plans" };
    const MIB: usize = 1 << 20;

    fn cache() -> PublicCache {
        PublicCache::new(MIB, 1, ["plans"])
    }

    fn body(outcome: &Outcome) -> Bytes {
        match outcome {
            Outcome::Ready(ready) => ready.plain.clone(),
            Outcome::Reply(reply) => reply.body.as_bytes().unwrap().clone(),
        }
    }

    async fn ask(cache: &PublicCache, public: Public, input: &str, text: impl Into<Bytes>) -> Bytes {
        let make = async { Ok(Reply::bytes(StatusCode::OK, crate::reply::JSON_UTF8, text)) };
        body(&cache.get(0, public, &input.into(), make).await.unwrap())
    }

    #[tokio::test]
    async fn an_answer_is_made_once_until_it_is_stale() {
        let cache = cache();
        assert_eq!(ask(&cache, PLANS, "()", "one").await, "one");
        assert_eq!(ask(&cache, PLANS, "()", "two").await, "one");
        cache.invalidate_all();
        let brief = Public { ttl: Duration::ZERO, ..PLANS };
        assert_eq!(ask(&cache, brief, "()", "three").await, "three");
        assert_eq!(ask(&cache, PLANS, "()", "four").await, "four");
    }

    #[tokio::test]
    async fn a_change_is_seen_at_once_even_by_an_answer_in_the_making() {
        let cache = cache();
        let make = async {
            cache.invalidate("plans");
            Ok(Reply::bytes(StatusCode::OK, crate::reply::JSON_UTF8, "old"))
        };
        assert_eq!(body(&cache.get(0, PLANS, &"()".into(), make).await.unwrap()), "old");
        assert_eq!(ask(&cache, PLANS, "()", "new").await, "new");
        cache.invalidate("gallery");
        assert_eq!(ask(&cache, PLANS, "()", "newer").await, "new");
    }

    #[tokio::test]
    async fn of_those_who_ask_at_once_one_makes_the_answer_and_a_failure_is_made_good_by_the_next() {
        let cache = cache();
        let made = AtomicU64::new(0);
        let input = "()".into();
        let attempt = || {
            cache.get(0, PLANS, &input, async {
                let count = made.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                if count == 0 {
                    return Err(dream_core::Code::Unavailable.into());
                }
                Ok(Reply::bytes(StatusCode::OK, crate::reply::JSON_UTF8, "made"))
            })
        };
        let (first, second, third) = tokio::join!(attempt(), attempt(), attempt());
        assert!(first.is_err());
        assert_eq!((body(&second.unwrap()), body(&third.unwrap())), ("made".into(), "made".into()));
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn the_cache_is_bounded_by_bytes_and_lets_go_of_what_is_stale() {
        let cache = cache();
        for at in 0..100 {
            ask(&cache, PLANS, &format!("{at}"), vec![b'a'; 64 * 1024]).await;
            assert!(cache.bytes() <= MIB as u64, "{} bytes", cache.bytes());
        }
        assert!(cache.bytes() > 0);
        let brief = Public { ttl: Duration::ZERO, ..PLANS };
        ask(&cache, brief, "brief", "brief").await;
        let before = cache.bytes();
        cache.remove_stale();
        assert!(cache.bytes() < before);
        cache.invalidate("plans");
        cache.remove_stale();
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn a_tag_is_recognised_in_either_strength() {
        let etag = etag(b"abc").unwrap();
        let text = etag.to_str().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(http::header::IF_NONE_MATCH, format!("\"x\", {text}").parse().unwrap());
        assert!(is_fresh(&headers, &etag));
        headers.insert(http::header::IF_NONE_MATCH, text.trim_start_matches("W/").parse().unwrap());
        assert!(is_fresh(&headers, &etag));
        headers.insert(http::header::IF_NONE_MATCH, HeaderValue::from_static("\"x\""));
        assert!(!is_fresh(&headers, &etag));
    }
}
