//! Pictures that are copied into our own storage, and those that come along with a request.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use bytes::Bytes;
use dream_core::Visitor;
use dream_core::adapters::DiskBlobs;
use dream_core::gallery::{self, Publication};
use dream_core::jobs::{GenerateRequest, InlinePicture};
use dream_core::ports::{
    BlobInfo, BlobKey, BlobPage, BlobReader, Blobs, ByteRange, Failure, FailureKind, JobState, PresignedPut,
};
use dream_testkit::backends::Backend;
use dream_testkit::fakes::image_api::operation;
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::world::{TestDream, polished};

use crate::support::{code, heard};

async fn rehosting(backend: &Backend) -> TestDream {
    TestDream::on(backend).settings(|settings| settings.rehost_results = true).start().await
}

on_every_backend!(results_are_copied_into_our_storage_with_a_thumbnail, |backend| async move {
    let world = rehosting(&backend).await;
    let alice = world.alice().await;
    let job = alice.generate(&polished("two cats", 2)).await.unwrap().job_id;
    world.settle().await;
    let job = alice.job(&job).await;
    assert_eq!((job.state, job.result_urls.len()), (JobState::Succeeded, 2));
    for url in job.result_urls.iter().chain(&job.thumbnail_url) {
        let key = world.blobs().key_of(url).expect("it is ours");
        let blob = world.blobs().get(&key, None).await.unwrap().expect("it is there");
        let small = Some(url) == job.thumbnail_url.as_ref();
        let (kind, start) =
            if small { ("image/jpeg", &b"\xff\xd8"[..]) } else { ("image/png", &b"\x89PNG"[..]) };
        assert_eq!(blob.info.content_type.as_deref(), Some(kind));
        assert!(blob.bytes.starts_with(start));
    }
    assert!(job.thumbnail_url.is_some());
    world.finish().await;
});

on_every_backend!(copying_goes_on_where_it_was_disturbed_and_leaves_nothing_behind, |backend| async move {
    let world = rehosting(&backend).await;
    let alice = world.alice().await;
    world.image_api().faults().on_call(operation::FILE, 2, Fault::Truncate);
    world.image_api().faults().on_call(operation::FILE, 4, Fault::status(500, ""));
    let job = alice.generate(&polished("three cats", 3)).await.unwrap().job_id;
    world.settle().await;
    let job = alice.job(&job).await;
    assert!(job.result_urls.iter().all(|url| world.blobs().key_of(url).is_some()), "{:?}", job.result_urls);
    assert_eq!(world.image_api().faults().fired().len(), 2);
    world.finish().await;
});

/// A storage that takes its time to remove: the first time it says that it does not know, and does it when it is told to.
#[derive(Debug)]
struct SlowRemoval {
    inner: DiskBlobs,
    late: Mutex<Vec<BlobKey>>,
}

impl SlowRemoval {
    async fn come_true(&self) -> usize {
        let late = std::mem::take(&mut *self.late.lock().expect("no panic"));
        for key in &late {
            self.inner.delete(key).await.expect("a removal");
        }
        late.len()
    }
}

#[async_trait]
impl Blobs for SlowRemoval {
    async fn put(&self, key: &BlobKey, content_type: &str, bytes: Bytes) -> Result<(), Failure> {
        self.inner.put(key, content_type, bytes).await
    }

    async fn open(&self, key: &BlobKey, range: Option<ByteRange>) -> Result<Option<BlobReader>, Failure> {
        self.inner.open(key, range).await
    }

    async fn head(&self, key: &BlobKey) -> Result<Option<BlobInfo>, Failure> {
        self.inner.head(key).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), Failure> {
        {
            let mut late = self.late.lock().expect("no panic");
            if !late.contains(key) {
                late.push(key.clone());
                return Err(Failure::new("storage", FailureKind::Unknown, "no answer"));
            }
        }
        self.inner.delete(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&BlobKey>) -> Result<BlobPage, Failure> {
        self.inner.list(prefix, after).await
    }

    fn public_url(&self, key: &BlobKey) -> String {
        self.inner.public_url(key)
    }

    fn key_of(&self, public_url: &str) -> Option<BlobKey> {
        self.inner.key_of(public_url)
    }

    fn presign_put(&self, key: &BlobKey, content_type: &str, ttl: Duration) -> Option<PresignedPut> {
        self.inner.presign_put(key, content_type, ttl)
    }
}

on_every_backend!(
    what_an_earlier_copy_left_to_be_removed_never_takes_a_picture_along,
    |backend| async move {
        let inner =
            DiskBlobs::open(backend.folder().join("slow"), "https://dream.test/uploads").await.unwrap();
        let storage = Arc::new(SlowRemoval { inner, late: Mutex::default() });
        let world = TestDream::on(&backend)
            .settings(|settings| settings.rehost_results = true)
            .blobs(storage.clone())
            .start()
            .await;
        let alice = world.alice().await;
        // The first try copies two of three, and leaves them to be removed.
        world.image_api().faults().on_call(operation::FILE, 3, Fault::status(500, ""));
        let job = alice.generate(&polished("three cats", 3)).await.unwrap().job_id;
        world.settle().await;
        let job = alice.job(&job).await;
        world.pass(Duration::from_hours(48)).await;
        assert!(storage.come_true().await > 0, "nothing was left to be removed");
        for url in job.result_urls.iter().chain(&job.thumbnail_url) {
            let key = world.blobs().key_of(url).expect("it is ours");
            assert!(world.blobs().head(&key).await.unwrap().is_some(), "{url} is gone");
        }
        world.finish().await;
    }
);

on_every_backend!(results_that_cannot_be_copied_stay_where_they_are, |backend| async move {
    let world = rehosting(&backend).await;
    let alice = world.alice().await;
    for marker in ["[gone]", "[notpng]"] {
        let job = alice.generates(marker).await.job_id;
        world.settle().await;
        let job = alice.job(&job).await;
        assert_eq!((job.state, job.result_urls.len()), (JobState::Succeeded, 1));
        assert!(job.result_urls[0].starts_with(&world.image_api().base_url()), "{marker}");
    }
    world.image_api().faults().always(operation::FILE, Fault::status(500, ""));
    let job = alice.generates("never served").await.job_id;
    world.settle().await;
    assert!(alice.job(&job).await.result_urls[0].starts_with(&world.image_api().base_url()));
    world.finish().await;
});

on_every_backend!(the_copies_of_a_deleted_user_go_too, |backend| async move {
    let world = rehosting(&backend).await;
    let alice = world.alice().await;
    let copied = alice.generates("copied").await.job_id;
    world.settle().await;
    assert!(world.blobs().key_of(&alice.job(&copied).await.result_urls[0]).is_some());
    // Another one succeeds, and the account goes before its pictures are copied.
    world.image_api().faults().next(operation::FILE, Fault::status(500, ""));
    alice.generates("not yet copied").await;
    world.pass(Duration::from_mins(3)).await;
    alice.session().await.delete_account().await.unwrap();
    world.settle().await;
    assert_eq!(world.blobs().list("", None).await.unwrap().items, []);
    world.finish().await;
});

fn red_square() -> InlinePicture {
    let mut png = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([255, 0, 0]));
    picture.write_to(&mut png, image::ImageFormat::Png).expect("a picture");
    let text = base64::engine::general_purpose::STANDARD.encode(png.into_inner());
    format!("data:image/png;base64,{text}").parse().expect("a data URL")
}

on_every_backend!(
    a_picture_in_the_request_is_sent_along_and_kept_no_longer_than_needed,
    |backend| async move {
        let world = TestDream::on(&backend).by_hand().start().await;
        let alice = world.alice().await;
        let request = GenerateRequest { input_image: Some(red_square()), ..polished("like this", 1) };
        alice.generate(&request).await.unwrap();
        assert_eq!(world.blobs().list("inputs/", None).await.unwrap().items.len(), 1);
        world.work().await;
        let upstream = &world.image_api().jobs()[0];
        let sent = upstream.request["inputImage"].as_str().unwrap();
        assert!(sent.starts_with("data:image/png;base64,"), "{sent:.40}");
        world.image_api().succeed(&upstream.id);
        world.settle().await;
        assert_eq!(world.blobs().list("", None).await.unwrap().items, []);
        world.finish().await;
    }
);

on_every_backend!(a_request_that_is_refused_leaves_no_picture_behind, |backend| async move {
    let world = TestDream::on(&backend).daily_quota(0).start().await;
    let alice = world.alice().await;
    let request = GenerateRequest { input_image: Some(red_square()), ..polished("like this", 1) };
    assert_eq!(code(alice.generate(&request).await), dream_core::Code::QuotaExceeded);
    let text = base64::engine::general_purpose::STANDARD.encode("<html>no picture</html>");
    let request = GenerateRequest { input_image: Some(text.parse().unwrap()), ..polished("like this", 1) };
    assert_eq!(code(alice.generate(&request).await), dream_core::Code::ImageInvalid);
    world.work().await;
    assert_eq!(world.blobs().list("", None).await.unwrap().items, []);
    world.finish().await;
});

on_every_backend!(pictures_are_kept_in_r2_as_well, |backend| async move {
    let world =
        TestDream::on(&backend).on_r2().settings(|settings| settings.rehost_results = true).start().await;
    let alice = world.alice().await;
    let request = GenerateRequest { input_image: Some(red_square()), ..polished("like this", 1) };
    let job = alice.generate(&request).await.unwrap().job_id;
    world.settle().await;
    let job = alice.job(&job).await;
    assert!(job.result_urls[0].starts_with(&world.r2().public_url()), "{:?}", job.result_urls);
    world.finish().await;
});

on_every_backend!(copied_results_are_news_to_whoever_keeps_pages_of_the_gallery, |backend| async move {
    let world = rehosting(&backend).await;
    let alice = world.alice().await;
    world.image_api().faults().always(operation::FILE, Fault::status(500, ""));
    let job = alice.generates("a cat").await.job_id;
    world.pass(Duration::from_mins(3)).await;
    let succeeded = alice.job(&job).await;
    assert_eq!(succeeded.state, JobState::Succeeded);
    assert!(world.blobs().key_of(&succeeded.result_urls[0]).is_none(), "it is copied later");
    let category = gallery::category("abstract").unwrap();
    let publication = Publication { job: job.clone(), index: 0, category, tags: Vec::new() };
    let image = alice.session().await.publish(&publication).await.unwrap();
    let mut news = world.dream().news();
    world.admin().await.approve_image(image.id, None).await.unwrap();
    heard(&mut news, "gallery").await;
    world.image_api().faults().clear();
    world.settle().await;
    heard(&mut news, "gallery").await;
    let shown = Visitor::Guest(world.nobody()).gallery_image(image.id).await.unwrap();
    assert_eq!(shown.image_url, alice.job(&job).await.result_urls[0]);
    assert!(world.blobs().key_of(&shown.image_url).is_some());
    world.finish().await;
});
