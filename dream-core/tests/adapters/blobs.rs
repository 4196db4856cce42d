use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dream_core::adapters::{DiskBlobs, R2Blobs, R2Config, SystemClock};
use dream_core::ports::{
    Blob, BlobInfo, BlobKey, BlobPage, BlobReader, Blobs, ByteRange, Clock, Failure, FailureKind, MAX_PIECE,
    PresignedPut,
};
use dream_testkit::clock::TestClock;
use dream_testkit::conformance::blobs;
use dream_testkit::fakes::r2::{FakeR2, R2Options, operation};
use dream_testkit::faults::Fault;
use dream_testkit::flaky_blobs::FlakyBlobs;
use futures_util::TryStreamExt as _;
use tempfile::TempDir;

async fn on_disk(folder: &Path) -> DiskBlobs {
    DiskBlobs::open(folder, "https://dream.example/uploads/").await.expect("a folder to write to")
}

fn key(name: &str) -> BlobKey {
    name.parse().expect("a name")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_keeps_the_promises_of_blobs() {
    let folder = TempDir::new().unwrap();
    blobs::all(&on_disk(&folder.path().join("made/on/demand")).await).await.unwrap();
}

/// Repeats every call until it succeeds or is refused, as whoever uses a storage may.
#[derive(Debug)]
struct Repeating(FlakyBlobs);

macro_rules! repeat {
    ($call:expr) => {
        loop {
            match $call.await {
                Err(failure) if failure.is_transient() => {}
                done => break done,
            }
        }
    };
}

#[async_trait]
impl Blobs for Repeating {
    async fn put(&self, key: &BlobKey, content_type: &str, bytes: Bytes) -> Result<(), Failure> {
        repeat!(self.0.put(key, content_type, bytes.clone()))
    }

    async fn open(&self, key: &BlobKey, range: Option<ByteRange>) -> Result<Option<BlobReader>, Failure> {
        let opened = async || match self.0.open(key, range).await? {
            Some(reader) => reader.collect().await.map(|blob| Some(blob.into())),
            None => Ok(None),
        };
        repeat!(opened())
    }

    async fn get(&self, key: &BlobKey, range: Option<ByteRange>) -> Result<Option<Blob>, Failure> {
        repeat!(self.0.get(key, range))
    }

    async fn head(&self, key: &BlobKey) -> Result<Option<BlobInfo>, Failure> {
        repeat!(self.0.head(key))
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), Failure> {
        repeat!(self.0.delete(key))
    }

    async fn list(&self, prefix: &str, after: Option<&BlobKey>) -> Result<BlobPage, Failure> {
        repeat!(self.0.list(prefix, after))
    }

    fn public_url(&self, key: &BlobKey) -> String {
        self.0.public_url(key)
    }

    fn key_of(&self, url: &str) -> Option<BlobKey> {
        self.0.key_of(url)
    }

    fn presign_put(&self, key: &BlobKey, content_type: &str, ttl: Duration) -> Option<PresignedPut> {
        self.0.presign_put(key, content_type, ttl)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_that_fails_half_of_the_time_keeps_the_promises_for_those_who_repeat() {
    let folder = TempDir::new().unwrap();
    let flaky = FlakyBlobs::new(Arc::new(on_disk(folder.path()).await), 7);
    blobs::all(&Repeating(flaky)).await.unwrap();
}

#[tokio::test]
async fn a_large_object_is_read_from_r2_in_pieces_of_one_version() {
    let clock = Arc::new(TestClock::default());
    let r2 = fake(clock.clone()).await;
    let blobs = in_r2(&r2, clock);
    let large = Bytes::from(vec![7; 2 * MAX_PIECE + 1]);
    blobs.put(&key("a"), "image/png", large.clone()).await.unwrap();
    let reads = || {
        let ranges = r2.requests().into_iter().filter(|recorded| recorded.request.method == "GET");
        ranges
            .map(|recorded| recorded.request.header("range").unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let mut reader = blobs.open(&key("a"), None).await.unwrap().unwrap();
    assert!(reader.pieces.try_next().await.unwrap().is_some());
    assert_eq!(reads(), ["bytes=0-262143"], "the rest is read when it is asked for");
    let rest: Vec<Bytes> = reader.pieces.try_collect().await.unwrap();
    assert_eq!(rest.concat().len(), large.len() - MAX_PIECE);
    assert_eq!(reads(), ["bytes=0-262143", "bytes=262144-524287", "bytes=524288-524288"]);

    let mut replaced = blobs.open(&key("a"), None).await.unwrap().unwrap();
    assert!(replaced.pieces.try_next().await.unwrap().is_some());
    blobs.put(&key("a"), "image/png", Bytes::from(vec![8; 3 * MAX_PIECE])).await.unwrap();
    let failure = replaced.pieces.try_next().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused, "{failure}");
}

#[tokio::test]
async fn files_are_named_as_their_objects_and_outlive_the_program() {
    let folder = TempDir::new().unwrap();
    on_disk(folder.path()).await.put(&key("a/b.png"), "image/png", Bytes::from_static(b"1")).await.unwrap();
    assert_eq!(tokio::fs::read(folder.path().join("a/b.png")).await.unwrap(), b"1");
    let again = on_disk(folder.path()).await;
    assert!(again.get(&key("a/b.png"), None).await.unwrap().is_some());
    assert_eq!(again.public_url(&key("a/b.png")), "https://dream.example/uploads/a/b.png");
}

#[tokio::test]
async fn a_name_that_is_a_folder_is_refused_and_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let blobs = on_disk(folder.path()).await;
    blobs.put(&key("a/b"), "text/plain", Bytes::from_static(b"1")).await.unwrap();
    for name in ["a", "a/b/c"] {
        let failure = blobs.put(&key(name), "text/plain", Bytes::from_static(b"2")).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused, "{failure}");
    }
    let names: Vec<String> =
        blobs.list("", None).await.unwrap().items.iter().map(|info| info.key.to_string()).collect();
    assert_eq!(names, ["a/b"]);
    assert_eq!(std::fs::read_dir(folder.path().join("parts~")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_name_too_long_for_the_disk_is_refused() {
    let folder = TempDir::new().unwrap();
    let blobs = on_disk(folder.path()).await;
    let long = key(&"x".repeat(400));
    assert_eq!(blobs.get(&long, None).await.unwrap(), None);
    let failure = blobs.put(&long, "text/plain", Bytes::new()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused, "{failure}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_a_fault_of_the_configuration() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    tokio::fs::write(&file, b"").await.unwrap();
    let failure = DiskBlobs::open(file.join("uploads"), "").await.unwrap_err();
    assert!(!failure.is_transient(), "{failure}");
}

async fn fake(clock: Arc<dyn Clock>) -> FakeR2 {
    FakeR2::start(R2Options::new(clock)).await.expect("free ports")
}

fn config(r2: &FakeR2) -> R2Config {
    R2Config {
        endpoint: r2.base_url(),
        bucket: r2.bucket().to_owned(),
        access_key_id: r2.access_key_id().to_owned(),
        secret_access_key: r2.secret_access_key().into(),
        public_url: r2.public_url(),
    }
}

fn in_r2(r2: &FakeR2, clock: Arc<dyn Clock>) -> R2Blobs {
    R2Blobs::new(&config(r2), clock).expect("a sound configuration")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_keeps_the_promises_of_blobs() {
    let clock = Arc::new(SystemClock);
    let r2 = fake(clock.clone()).await;
    blobs::all(&in_r2(&r2, clock)).await.unwrap();
    assert_eq!(r2.keys(), [""; 0]);
}

#[tokio::test]
async fn what_is_put_may_be_read_by_anybody_and_kept_for_ever() {
    let clock = Arc::new(TestClock::default());
    let r2 = fake(clock.clone()).await;
    let blobs = in_r2(&r2, clock);
    blobs.put(&key("a/b.png"), "image/png", Bytes::from_static(b"a picture")).await.unwrap();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build().unwrap();
    let answer = client.get(blobs.public_url(&key("a/b.png"))).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert_eq!(answer.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(answer.bytes().await.unwrap(), &b"a picture"[..]);
}

#[tokio::test]
async fn nothing_is_sent_that_r2_does_not_know() {
    let clock = Arc::new(TestClock::default());
    let r2 = fake(clock.clone()).await;
    let blobs = in_r2(&r2, clock);
    blobs.put(&key("a"), "image/png", Bytes::from_static(b"1")).await.unwrap();
    blobs.get(&key("a"), None).await.unwrap();
    blobs.list("", None).await.unwrap();
    blobs.delete(&key("a")).await.unwrap();
    for recorded in r2.requests() {
        for name in recorded.request.headers.keys() {
            let name = name.as_str();
            assert!(!name.contains("checksum") && name != "x-amz-acl" && name != "expect", "{name}");
        }
    }
}

#[tokio::test]
async fn a_refusal_by_r2_is_told_by_its_kind() {
    let clock = Arc::new(TestClock::default());
    let r2 = fake(clock.clone()).await;
    let good = config(&r2);
    for (config, code) in [
        (R2Config { secret_access_key: "wrong".into(), ..good.clone() }, "SignatureDoesNotMatch"),
        (R2Config { access_key_id: "wrong".into(), ..good.clone() }, "Unauthorized"),
        (R2Config { bucket: "wrong".into(), ..good.clone() }, "NoSuchBucket"),
    ] {
        let failure = R2Blobs::new(&config, clock.clone()).unwrap().list("", None).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Misconfigured, "{failure}");
        assert_eq!(failure.code.as_deref(), Some(code));
        assert!(!format!("{failure:?}").contains(r2.secret_access_key()));
    }
    for endpoint in ["", "r2.example.com"] {
        let failure = R2Blobs::new(&R2Config { endpoint: endpoint.into(), ..good.clone() }, clock.clone());
        assert_eq!(failure.unwrap_err().kind, FailureKind::Misconfigured);
    }
}

#[tokio::test]
async fn trouble_that_passes_is_waited_out() {
    let clock = Arc::new(TestClock::default());
    let r2 = fake(clock.clone()).await;
    let blobs = in_r2(&r2, clock);
    for fault in [Fault::status(503, ""), Fault::status(500, ""), Fault::Drop, Fault::DropAfter] {
        r2.faults().next_n(operation::PUT, 2, fault.clone());
        blobs.put(&key("a"), "image/png", Bytes::from_static(b"1")).await.unwrap();
        assert_eq!(r2.faults().rules(), [], "{fault:?} was not met");
    }
    r2.faults().next_n(operation::GET, 3, Fault::status(429, "").with_retry_after(7));
    let failure = blobs.get(&key("a"), None).await.unwrap_err();
    assert_eq!((failure.kind, failure.retry_after), (FailureKind::Throttled, Some(Duration::from_secs(7))));
    r2.faults().next(operation::GET, Fault::Truncate);
    assert!(blobs.get(&key("a"), None).await.unwrap_err().is_transient());
    r2.server().go_down().await.unwrap();
    assert!(blobs.head(&key("a")).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn objects_of_others_in_the_bucket_do_not_disturb_a_listing() {
    let clock = Arc::new(TestClock::default());
    let r2 = fake(clock.clone()).await;
    for number in 0..2500 {
        r2.plant(&format!("a/图 {number:04} & <b>"), "text/plain", "1");
    }
    r2.plant("a/0", "text/plain", "1");
    r2.plant("b", "text/plain", "1");
    let page = in_r2(&r2, clock.clone()).list("", None).await.unwrap();
    assert_eq!(page.items.iter().map(|info| info.key.as_str()).collect::<Vec<_>>(), ["a/0"]);
    let page = in_r2(&r2, clock).list("", page.next.as_ref()).await.unwrap();
    assert_eq!(page.items.iter().map(|info| info.key.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(page.next, None);
}

#[tokio::test]
async fn a_presigned_upload_ends_with_its_time() {
    let clock = Arc::new(TestClock::default());
    let r2 = fake(clock.clone()).await;
    let promise =
        in_r2(&r2, clock.clone()).presign_put(&key("a"), "image/png", Duration::from_mins(5)).unwrap();
    assert_eq!(promise.expires_at, clock.now().plus(Duration::from_mins(5)));
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build().unwrap();
    for (advance, status) in [(299, 200), (2, 400)] {
        clock.advance(Duration::from_secs(advance));
        let upload = client.put(&promise.url).header("content-type", "image/png").body("1");
        assert_eq!(upload.send().await.unwrap().status(), status);
    }
}
