//! Answers that are the same for everybody: written and compressed once, handed out until they are stale.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::Bytes;
use dream_core::Result;
use http::header::ETAG;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::encoding;
use crate::reply::{Payload, Reply};

/// How many different answers are kept.
const MAX_ENTRIES: usize = 1024;

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

#[derive(Debug)]
struct Kept {
    ready: Arc<Ready>,
    until: Instant,
    generation: u64,
}

#[derive(Debug, Default)]
struct Slot {
    kept: RwLock<Option<Kept>>,
    /// Held by whoever makes the answer; the others wait for it instead of making it as well.
    making: Mutex<()>,
}

/// The answers that are kept.
#[derive(Debug, Default)]
pub(crate) struct PublicCache {
    slots: RwLock<HashMap<String, Arc<Slot>>>,
    generations: HashMap<&'static str, AtomicU64>,
}

impl PublicCache {
    /// A cache for rows of these topics.
    pub(crate) fn new(topics: impl IntoIterator<Item = &'static str>) -> Self {
        let generations = topics.into_iter().map(|topic| (topic, AtomicU64::new(0))).collect();
        Self { slots: RwLock::default(), generations }
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

    /// The kept answer, if it is still good.
    pub(crate) fn kept(&self, key: &str, public: Public) -> Option<Arc<Ready>> {
        let slots = self.slots.read().ok()?;
        slots.get(key)?.fresh(self.generation(public))
    }

    fn generation(&self, public: Public) -> u64 {
        self.generations.get(public.topic).map_or(0, |it| it.load(Ordering::Acquire))
    }

    /// The kept answer, or a new one. What was begun before an invalidation is not kept after it.
    pub(crate) async fn get(
        &self,
        key: &str,
        public: Public,
        make: impl Future<Output = Result<Reply>>,
    ) -> Result<Result<Arc<Ready>, Reply>> {
        let slot = self.slot(key);
        if let Some(ready) = slot.fresh(self.generation(public)) {
            return Ok(Ok(ready));
        }
        let _making = slot.making.lock().await;
        let begun = self.generation(public);
        if let Some(ready) = slot.fresh(begun) {
            return Ok(Ok(ready));
        }
        let reply = make.await?;
        let Some(ready) = Ready::new(&reply).map(Arc::new) else { return Ok(Err(reply)) };
        let kept = Kept { ready: Arc::clone(&ready), until: Instant::now() + public.ttl, generation: begun };
        if let Ok(mut place) = slot.kept.write() {
            *place = Some(kept);
        }
        Ok(Ok(ready))
    }

    fn slot(&self, key: &str) -> Arc<Slot> {
        if let Ok(slots) = self.slots.read()
            && let Some(slot) = slots.get(key)
        {
            return Arc::clone(slot);
        }
        let Ok(mut slots) = self.slots.write() else { return Arc::default() };
        if slots.len() >= MAX_ENTRIES {
            let now = Instant::now();
            slots.retain(|_, slot| slot.lives(now));
            // Somebody walks through everything there is: keep nothing rather than grow.
            if slots.len() >= MAX_ENTRIES {
                slots.clear();
            }
        }
        Arc::clone(slots.entry(key.to_owned()).or_default())
    }
}

impl Slot {
    fn fresh(&self, generation: u64) -> Option<Arc<Ready>> {
        let kept = self.kept.read().ok()?;
        let kept = kept.as_ref()?;
        (kept.generation == generation && Instant::now() < kept.until).then(|| Arc::clone(&kept.ready))
    }

    fn lives(&self, now: Instant) -> bool {
        self.kept.read().is_ok_and(|kept| kept.as_ref().is_some_and(|kept| now < kept.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANS: Public = Public { ttl: Duration::from_mins(1), topic: "plans" };

    async fn ask(cache: &PublicCache, public: Public, text: &'static str) -> Bytes {
        let make = async { Ok(Reply::bytes(StatusCode::OK, crate::reply::JSON_UTF8, text)) };
        cache.get("/plans", public, make).await.unwrap().unwrap().plain.clone()
    }

    #[tokio::test]
    async fn an_answer_is_made_once_until_it_is_stale() {
        let cache = PublicCache::new(["plans"]);
        assert_eq!(ask(&cache, PLANS, "one").await, "one");
        assert_eq!(ask(&cache, PLANS, "two").await, "one");
        cache.invalidate_all();
        let brief = Public { ttl: Duration::ZERO, ..PLANS };
        assert_eq!(ask(&cache, brief, "three").await, "three");
        assert_eq!(ask(&cache, PLANS, "four").await, "four");
    }

    #[tokio::test]
    async fn a_change_is_seen_at_once_even_by_an_answer_in_the_making() {
        let cache = PublicCache::new(["plans"]);
        let make = async {
            cache.invalidate("plans");
            Ok(Reply::bytes(StatusCode::OK, crate::reply::JSON_UTF8, "old"))
        };
        let old = cache.get("/plans", PLANS, make).await.unwrap().unwrap();
        assert_eq!(old.plain, "old");
        assert_eq!(ask(&cache, PLANS, "new").await, "new");
        cache.invalidate("gallery");
        assert_eq!(ask(&cache, PLANS, "newer").await, "new");
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
