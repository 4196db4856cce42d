//! The rest of what lies outside, at the ports: the image API, storage, the cache, and who logs in.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Cursor;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dream_core::kernel::Timestamp;
use dream_core::ports::{
    Blob, BlobInfo, BlobKey, BlobPage, BlobReader, Blobs, ByteRange, Cache, Failure, FailureKind, ImageApi,
    ImageRequest, Invalidation, JobError, JobState, LoginCode, Phone, PhoneCode, PresignedPut, Tenant,
    UpstreamJob, WeChat, WeChatLogin,
};
use dream_core::protocol::webhook::WebhookVerifier;
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::broadcast;

use super::stage::Stage;
use crate::fakes::lock;

/// A prompt with this in it is refused by the image API.
pub(super) const REFUSED: &str = "[refuse]";
/// A prompt with this in it fails at the image API.
pub(super) const FAILING: &str = "[fail]";
/// Where its pictures are.
const PICTURES: &str = "https://pictures.sim/";
/// Where ours are.
const OURS: &str = "https://ours.sim/";

/// A picture of one pixel.
fn picture() -> Bytes {
    let mut file = Cursor::new(Vec::new());
    image::RgbImage::new(1, 1).write_to(&mut file, image::ImageFormat::Png).expect("a picture");
    file.into_inner().into()
}

/// A job as the image API has it.
#[derive(Debug)]
struct Work {
    key: String,
    job: UpstreamJob,
    samples: i64,
    /// What becomes of it and when.
    plan: Vec<(Timestamp, JobState)>,
}

/// An event that is told until it is taken.
#[derive(Debug)]
struct Event {
    body: String,
    tries: usize,
    due: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Desk {
    works: Vec<Work>,
    events: Vec<Event>,
}

/// The image API.
pub(super) struct Painter {
    stage: Arc<Stage>,
    signer: WebhookVerifier,
    picture: Bytes,
    desk: Mutex<Desk>,
}

impl fmt::Debug for Painter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Painter")
    }
}

const PAINTER: &str = "image_api";

impl Painter {
    pub(super) fn new(stage: Arc<Stage>, secret: &SecretString) -> Arc<Self> {
        let signer = WebhookVerifier::new(secret).expect("a secret");
        Arc::new(Self { stage, signer, picture: picture(), desk: Mutex::default() })
    }

    pub(super) fn reset(&self) {
        *lock(&self.desk) = Desk::default();
    }

    async fn call(&self, what: &'static str) -> Result<(), Failure> {
        self.stage.pause(what).await;
        super::outside_fails_before(&self.stage, PAINTER, what)
    }

    async fn answer<T>(&self, what: &'static str, answer: T) -> Result<T, Failure> {
        super::outside_fails_after(&self.stage, PAINTER, what).await?;
        Ok(answer)
    }

    /// Works on whatever its time has come for.
    pub(super) fn settle(&self) {
        let now = self.stage.now();
        let mut desk = lock(&self.desk);
        let mut ended = Vec::new();
        for work in &mut desk.works {
            while let Some((_, state)) = work.plan.first().filter(|(at, _)| *at <= now).copied() {
                work.plan.remove(0);
                work.reach(state);
                if state.is_final() {
                    ended.push(event(&work.job, now));
                }
            }
        }
        desk.events.extend(ended.into_iter().map(|body| Event { body, tries: 0, due: Some(now) }));
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let desk = lock(&self.desk);
        let plans = desk.works.iter().filter_map(|work| work.plan.first().map(|(at, _)| *at));
        plans.chain(desk.events.iter().filter_map(|event| event.due)).min()
    }

    /// The events that are to be told now.
    pub(super) fn due(&self) -> Vec<usize> {
        let now = self.stage.now();
        let desk = lock(&self.desk);
        let due = |(place, event): (usize, &Event)| event.due.is_some_and(|at| at <= now).then_some(place);
        desk.events.iter().enumerate().filter_map(due).collect()
    }

    /// Takes an event off the schedule to tell it: its signature and body.
    pub(super) fn tell(&self, place: usize, forged: bool) -> Option<(String, String)> {
        let mut desk = lock(&self.desk);
        let event = desk.events.get_mut(place)?;
        event.due = None;
        let body = event.body.clone();
        let signature = if forged { "sha256=00".to_owned() } else { self.signer.sign(body.as_bytes()) };
        Some((signature, body))
    }

    /// The event was not taken, as far as the image API knows. It gives up after a few tries.
    pub(super) fn put_off(&self, place: usize) {
        let now = self.stage.now();
        let mut desk = lock(&self.desk);
        if let Some(event) = desk.events.get_mut(place) {
            event.tries += 1;
            event.due = (event.tries < 4).then(|| now.plus(Duration::from_mins(1)));
        }
    }

    /// All jobs: the key that they were submitted under, their id and state.
    pub(super) fn jobs(&self) -> Vec<(String, String, JobState)> {
        let read = |work: &Work| (work.key.clone(), work.job.id.clone(), work.job.state);
        lock(&self.desk).works.iter().map(read).collect()
    }

    fn take_on(&self, key: &str, request: &ImageRequest) -> UpstreamJob {
        let now = self.stage.now();
        let mut desk = lock(&self.desk);
        if let Some(known) = desk.works.iter().find(|work| work.key == key) {
            return known.job.clone();
        }
        let secs = |least, most| Duration::from_secs(self.stage.between(least, most).unsigned_abs());
        let end = if request.prompt.contains(FAILING) { JobState::Failed } else { JobState::Succeeded };
        let start = now.plus(secs(0, 20));
        let mut plan = vec![(start, JobState::Running)];
        let mut at = start;
        if self.stage.chance(0.1) {
            at = at.plus(secs(0, 30));
            plan.push((at, JobState::Retrying));
        }
        plan.push((at.plus(secs(0, 100)), end));
        let job = UpstreamJob {
            id: format!("up-{}", desk.works.len()),
            state: JobState::Queued,
            result_urls: Vec::new(),
            error: None,
        };
        // Now and then some of the pictures do not come.
        let missing =
            if self.stage.chance(0.2) { self.stage.between(0, request.sample_count - 1) } else { 0 };
        let samples = request.sample_count - missing;
        let work = Work { key: key.to_owned(), job: job.clone(), samples, plan };
        desk.works.push(work);
        job
    }
}

impl Work {
    fn reach(&mut self, state: JobState) {
        self.job.state = state;
        if state == JobState::Succeeded {
            let url = |sample| format!("{PICTURES}{}/{sample}", self.job.id);
            self.job.result_urls = (0..self.samples).map(url).collect();
        }
        if state == JobState::Failed {
            self.job.error = Some(JobError { code: "CONTENT_POLICY_VIOLATION".into(), message: "no".into() });
        }
    }
}

fn event(job: &UpstreamJob, now: Timestamp) -> String {
    json!({
        "eventId": format!("ev-{}", job.id), "jobId": job.id, "status": job.state.as_str(),
        "resultUrls": job.result_urls, "error": job.error.as_ref().map(|error| &error.code),
        "timestamp": now.as_micros() / 1000,
    })
    .to_string()
}

#[async_trait]
impl ImageApi for Painter {
    async fn submit(&self, _: &Tenant, key: &str, request: &ImageRequest) -> Result<UpstreamJob, Failure> {
        self.call("submit").await?;
        if request.prompt.contains(REFUSED) {
            return Err(
                Failure::new(PAINTER, FailureKind::Refused, "no").with_code("CONTENT_POLICY_VIOLATION")
            );
        }
        let job = self.take_on(key, request);
        self.answer("submit", job).await
    }

    async fn job(&self, _: &Tenant, id: &str) -> Result<Option<UpstreamJob>, Failure> {
        self.call("job").await?;
        let found = lock(&self.desk).works.iter().find(|work| work.job.id == id).map(|work| work.job.clone());
        self.answer("job", found).await
    }

    async fn recent(&self, _: &Tenant) -> Result<Vec<UpstreamJob>, Failure> {
        self.call("recent").await?;
        let all = lock(&self.desk).works.iter().rev().map(|work| work.job.clone()).collect();
        self.answer("recent", all).await
    }

    async fn cancel(&self, _: &Tenant, id: &str) -> Result<(), Failure> {
        self.call("cancel").await?;
        {
            let now = self.stage.now();
            let mut desk = lock(&self.desk);
            let Some(work) = desk.works.iter_mut().find(|work| work.job.id == id) else {
                return Err(Failure::new(PAINTER, FailureKind::Refused, "no job").with_code("JOB_NOT_FOUND"));
            };
            if work.job.state != JobState::Queued {
                return Err(
                    Failure::new(PAINTER, FailureKind::Refused, "too late").with_code("INVALID_STATE")
                );
            }
            work.job.state = JobState::Canceled;
            work.plan.clear();
            let body = event(&work.job, now);
            desk.events.push(Event { body, tries: 0, due: Some(now) });
        }
        self.answer("cancel", ()).await
    }

    async fn download(&self, _: &str, _: u64) -> Result<(Bytes, String), Failure> {
        self.call("download").await?;
        let answer = (self.picture.clone(), "image/png".to_owned());
        self.answer("download", answer).await
    }
}

/// Storage.
pub(super) struct Shelf {
    stage: Arc<Stage>,
    objects: Mutex<BTreeMap<BlobKey, (String, Bytes, Timestamp)>>,
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf")
    }
}

const SHELF: &str = "blobs";

impl Shelf {
    pub(super) fn new(stage: Arc<Stage>) -> Arc<Self> {
        Arc::new(Self { stage, objects: Mutex::default() })
    }

    pub(super) fn reset(&self) {
        lock(&self.objects).clear();
    }

    pub(super) fn has(&self, key: &BlobKey) -> bool {
        lock(&self.objects).contains_key(key)
    }

    async fn call(&self, what: &'static str) -> Result<(), Failure> {
        self.stage.pause(what).await;
        super::outside_fails_before(&self.stage, SHELF, what)
    }

    fn info(key: &BlobKey, found: &(String, Bytes, Timestamp)) -> BlobInfo {
        BlobInfo {
            key: key.clone(),
            size: found.1.len() as u64,
            content_type: Some(found.0.clone()),
            modified: found.2,
        }
    }
}

#[async_trait]
impl Blobs for Shelf {
    async fn put(&self, key: &BlobKey, content_type: &str, bytes: Bytes) -> Result<(), Failure> {
        self.call("put").await?;
        let now = self.stage.now();
        lock(&self.objects).insert(key.clone(), (content_type.to_owned(), bytes, now));
        super::outside_fails_after(&self.stage, SHELF, "put").await
    }

    async fn open(&self, key: &BlobKey, range: Option<ByteRange>) -> Result<Option<BlobReader>, Failure> {
        self.call("get").await?;
        let Some(found) = lock(&self.objects).get(key).cloned() else { return Ok(None) };
        let mut blob = Blob { info: Self::info(key, &found), bytes: found.1 };
        if let Some(range) = range {
            let outside = || Failure::new(SHELF, FailureKind::Refused, "a range outside of the object");
            let ByteRange { first, last } = range.within(blob.info.size).ok_or_else(outside)?;
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
            blob.bytes = blob.bytes.slice(at(first)..=at(last));
        }
        Ok(Some(blob.into()))
    }

    async fn head(&self, key: &BlobKey) -> Result<Option<BlobInfo>, Failure> {
        self.call("head").await?;
        Ok(lock(&self.objects).get(key).map(|found| Self::info(key, found)))
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), Failure> {
        self.call("delete").await?;
        lock(&self.objects).remove(key);
        super::outside_fails_after(&self.stage, SHELF, "delete").await
    }

    async fn list(&self, prefix: &str, after: Option<&BlobKey>) -> Result<BlobPage, Failure> {
        const PAGE: usize = 1000;
        let objects = lock(&self.objects);
        let wanted = objects
            .iter()
            .filter(|(key, _)| key.as_str().starts_with(prefix) && after.is_none_or(|after| *key > after));
        let mut items: Vec<_> = wanted.map(|(key, found)| Self::info(key, found)).take(PAGE + 1).collect();
        let more = items.len() > PAGE;
        items.truncate(PAGE);
        let next = items.last().filter(|_| more).map(|info| info.key.clone());
        Ok(BlobPage { items, next })
    }

    fn public_url(&self, key: &BlobKey) -> String {
        format!("{OURS}{key}")
    }

    fn key_of(&self, public_url: &str) -> Option<BlobKey> {
        public_url.strip_prefix(OURS)?.parse().ok()
    }

    fn presign_put(&self, _: &BlobKey, _: &str, _: Duration) -> Option<PresignedPut> {
        None
    }
}

/// The cache. It forgets everything now and then, as it may.
pub(super) struct Scraps {
    stage: Arc<Stage>,
    values: Mutex<BTreeMap<String, (Bytes, Timestamp)>>,
    news: broadcast::Sender<Invalidation>,
}

impl fmt::Debug for Scraps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scraps")
    }
}

impl Scraps {
    pub(super) fn new(stage: Arc<Stage>) -> Arc<Self> {
        Arc::new(Self { stage, values: Mutex::default(), news: broadcast::Sender::new(1024) })
    }

    pub(super) fn reset(&self) {
        lock(&self.values).clear();
        // Nobody listening is no fault.
        drop(self.news.send(Invalidation::Everything));
    }

    fn live(&self, key: &str) -> Option<Bytes> {
        let now = self.stage.now();
        let mut values = lock(&self.values);
        if self.stage.chance(self.stage.weather().outside / 10.0) {
            values.clear();
        }
        values.get(key).filter(|(_, until)| *until > now).map(|(value, _)| value.clone())
    }
}

#[async_trait]
impl Cache for Scraps {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        Ok(self.live(key))
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), Failure> {
        lock(&self.values).insert(key.to_owned(), (value, self.stage.now().plus(ttl)));
        Ok(())
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool, Failure> {
        let absent = self.live(key).is_none();
        if absent {
            self.set(key, value, ttl).await?;
        }
        Ok(absent)
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        lock(&self.values).remove(key);
        Ok(())
    }

    async fn delete_if(&self, key: &str, value: &[u8]) -> Result<bool, Failure> {
        let same = self.live(key).is_some_and(|found| found == value);
        if same {
            self.delete(key).await?;
        }
        Ok(same)
    }

    async fn count(&self, key: &str, window: Duration) -> Result<u64, Failure> {
        let count = self.live(key).and_then(|found| std::str::from_utf8(&found).ok()?.parse::<u64>().ok());
        let count = count.unwrap_or(0) + 1;
        self.set(key, Bytes::from(count.to_string()), window).await?;
        Ok(count)
    }

    async fn invalidate(&self, topic: &str) -> Result<(), Failure> {
        drop(self.news.send(Invalidation::Topic(topic.to_owned())));
        Ok(())
    }

    fn invalidations(&self) -> broadcast::Receiver<Invalidation> {
        self.news.subscribe()
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn ping(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// WeChat's side of a login: the code is the openid.
#[derive(Debug)]
pub(super) struct Door;

#[async_trait]
impl WeChat for Door {
    fn appid(&self) -> &'static str {
        "wx0000000000000001"
    }

    async fn login(&self, code: LoginCode) -> Result<WeChatLogin, Failure> {
        Ok(WeChatLogin {
            openid: code.expose().to_owned(),
            unionid: None,
            session_key: SecretString::from("a session key"),
        })
    }

    async fn phone(&self, _: PhoneCode, _: &str) -> Result<Phone, Failure> {
        Err(Failure::new("wechat", FailureKind::Refused, "no code"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn the_simulated_storage_keeps_the_promises_of_blobs() {
        let stage = Stage::new();
        let shelf = Shelf::new(stage.clone());
        let play = async {
            loop {
                stage.let_one_go();
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            kept = conformance::blobs::all(&*shelf) => kept.unwrap(),
            () = play => unreachable!("the play has no end"),
        }
    }
}
