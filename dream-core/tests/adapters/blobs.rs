use std::path::Path;

use bytes::Bytes;
use dream_core::adapters::DiskBlobs;
use dream_core::ports::{BlobKey, Blobs, FailureKind};
use dream_testkit::conformance::blobs;
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
