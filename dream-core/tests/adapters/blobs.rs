use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dream_core::adapters::{DiskBlobs, R2Blobs, R2Config, SystemClock};
use dream_core::ports::{BlobKey, Blobs, Clock, FailureKind};
use dream_testkit::clock::TestClock;
use dream_testkit::conformance::blobs;
use dream_testkit::fakes::r2::{FakeR2, R2Options, operation};
use dream_testkit::faults::Fault;
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
