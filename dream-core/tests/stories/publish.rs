//! From a result of one's own to a picture that everybody sees, and back.

use std::time::Duration;

use dream_core::gallery::{self, GalleryFilter, GalleryImage, ImageStatus, Publication, Tag};
use dream_core::kernel::{ImageId, JobId, PageRequest};
use dream_core::ports::Verdict;
use dream_core::{AuditFilter, Code, Facts, Visitor};
use dream_testkit::backends::Backend;
use dream_testkit::fakes::image_api;
use dream_testkit::fakes::wechat::{MediaPlan, PushPlan, Suggest, operation};
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::wait::eventually;
use dream_testkit::world::{Actor, TestDream, polished};
use futures_util::future::join_all;

use crate::support::{SOON, code, heard};

/// Longer than WeChat may take for a verdict.
const TOO_LATE: Duration = Duration::from_mins(41);

fn of(job: &JobId, index: i64, tags: &[&str]) -> Publication {
    let tags = tags.iter().filter_map(|tag| Tag::clean(tag).expect("a tag")).collect();
    Publication { job: job.clone(), index, category: gallery::category("cartoon").expect("a category"), tags }
}

/// A job of the user's that has succeeded, with two pictures.
async fn done(world: &TestDream, user: &Actor, prompt: &str) -> JobId {
    let job = user.generate(&polished(prompt, 2)).await.expect("accepted").job_id;
    world.settle().await;
    job
}

async fn publish(world: &TestDream, user: &Actor, prompt: &str) -> GalleryImage {
    let job = done(world, user, prompt).await;
    user.session().await.publish(&of(&job, 0, &[])).await.expect("published")
}

/// Waits until so many verdicts were pushed.
async fn pushed(world: &TestDream, pushes: usize) {
    let all = || world.wechat().media_checks().iter().map(|check| check.pushes.len()).sum::<usize>();
    assert!(eventually(SOON, || all() >= pushes).await, "{:?}", world.wechat().media_checks());
}

async fn seen_by_all(world: &TestDream, image: ImageId) -> bool {
    let found = Visitor::Guest(world.nobody()).gallery_image(image).await;
    found.map_or_else(|error| error.code() != Code::ImageNotFound, |_| true)
}

async fn state(world: &TestDream, image: ImageId) -> ImageStatus {
    world.admin().await.gallery_image(image).await.expect("a picture").status
}

fn plan(push: PushPlan, suggest: Option<Suggest>) -> MediaPlan {
    MediaPlan { push, suggest }
}

on_every_backend!(a_result_is_seen_by_everybody_once_text_and_picture_were_checked, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let job = done(&world, &alice, "a red fox").await;
    let me = alice.session().await;
    let mut news = world.dream().news();
    let image = me.publish(&of(&job, 1, &["#fox", " red  fox ", "fox", ""])).await.unwrap();
    let results = alice.job(&job).await.result_urls;
    assert_eq!((&image.image_url, &image.thumbnail_url), (&results[1], &results[1]));
    assert_eq!((image.prompt.as_str(), image.category.as_str()), ("a red fox", "cartoon"));
    assert_eq!((image.tags.as_slice(), image.likes), (&["fox".to_owned(), "red fox".to_owned()][..], 0));
    assert_eq!(image.author.as_ref().map(|author| author.id), Some(alice.id()));
    // Until it is checked only its author sees it.
    assert!(!seen_by_all(&world, image.id).await);
    let author = Visitor::Session(alice.session().await);
    assert_eq!(author.gallery_image(image.id).await.unwrap(), image);
    let bob = Visitor::Session(world.user("bob").await.session().await);
    assert_eq!(code(bob.gallery_image(image.id).await), Code::ImageNotFound);
    assert_eq!(code(world.user("bob").await.session().await.like(image.id).await), Code::ImageNotFound);

    world.work().await;
    pushed(&world, 1).await;
    assert!(seen_by_all(&world, image.id).await);
    let text = &world.wechat().text_checks()[0];
    assert_eq!((text.content.as_str(), text.openid.as_str()), ("a red fox\nfox\nred fox", alice.openid()));
    assert_eq!(world.wechat().media_checks()[0].url, results[1]);
    assert!(world.waiting().await.is_empty(), "nothing is left to be done");
    heard(&mut news, "gallery").await;
    let filter = GalleryFilter { tag: Some("red fox".to_owned()), ..GalleryFilter::default() };
    let page = bob.gallery(&filter, &PageRequest::default()).await.unwrap();
    assert_eq!((page.total, page.items.len(), page.items[0].is_liked), (Some(1), 1, Some(false)));
    world.finish().await;
});

on_every_backend!(only_a_result_of_ones_own_finished_job_is_published, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    let job = done(&world, &alice, "a cat").await;
    let failed = done(&world, &alice, "[fail]").await;
    let open = alice.generates("[queued]").await.job_id;
    world.work().await;
    let me = alice.session().await;
    assert_eq!(code(bob.session().await.publish(&of(&job, 0, &[])).await), Code::JobNotFound);
    assert_eq!(code(me.publish(&of(&"nothing".parse().unwrap(), 0, &[])).await), Code::JobNotFound);
    assert_eq!(code(me.publish(&of(&open, 0, &[])).await), Code::InvalidState);
    assert_eq!(code(me.publish(&of(&failed, 0, &[])).await), Code::InvalidState);
    for index in [-1, 2, i64::MAX] {
        let error = me.publish(&of(&job, index, &[])).await.expect_err("there is no such result");
        assert_eq!(error.code(), Code::ValidationFailed);
        assert!(matches!(error.facts(), Facts::Fields(faults) if faults[0].field == "index"));
    }
    assert_eq!(world.database().number("SELECT count(*) FROM gallery_images").await, 0);
    world.check_books().await;
    me.cancel_job(&open).await.unwrap();
    world.finish().await;
});

on_every_backend!(a_result_is_published_once_however_often_it_is_sent_at_once, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let job = done(&world, &alice, "a cat").await;
    let me = alice.session().await;
    let (first, second) = (of(&job, 0, &[]), of(&job, 1, &[]));
    let sent = join_all((0..20).map(|_| me.publish(&first))).await;
    assert_eq!(sent.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(sent.into_iter().filter_map(Result::err).all(|error| error.code() == Code::AlreadyPublished));
    me.publish(&second).await.unwrap();
    world.work().await;
    pushed(&world, 2).await;
    world.finish().await;
});

on_every_backend!(a_risky_text_is_refused_at_publish_and_nothing_is_stored, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let me = alice.session().await;
    let (prompt, fine) = (done(&world, &alice, "something 违规").await, done(&world, &alice, "a cat").await);
    for publication in [of(&prompt, 0, &[]), of(&fine, 0, &["违规"])] {
        assert_eq!(code(me.publish(&publication).await), Code::ContentRejected);
    }
    assert_eq!(world.database().number("SELECT count(*) FROM gallery_images").await, 0);
    assert!(world.waiting().await.is_empty() && world.wechat().media_checks().is_empty());
    // Other tags, and it is fine. What is wrong anyway is refused without a check.
    me.publish(&of(&fine, 0, &["cat"])).await.unwrap();
    let checks = world.wechat().text_checks().len();
    assert_eq!(code(me.publish(&of(&fine, 0, &["违规"])).await), Code::AlreadyPublished);
    assert_eq!(code(me.publish(&of(&prompt, 7, &[])).await), Code::ValidationFailed);
    assert_eq!(world.wechat().text_checks().len(), checks);
    world.work().await;
    pushed(&world, 1).await;
    world.finish().await;
});

on_every_backend!(
    a_rejected_picture_may_be_published_again_and_its_author_sees_its_state,
    |backend| async move {
        let world = TestDream::start(&backend).await;
        let (alice, bob) = (world.alice().await, world.user("bob").await);
        world.wechat().plan_next_media(plan(PushPlan::Once, Some(Suggest::Risky)));
        let job = done(&world, &alice, "looks harmless").await;
        let me = alice.session().await;
        let mine =
            async |at: usize| me.published(&PageRequest::default()).await.unwrap().items.swap_remove(at);
        let picture = me.publish(&of(&job, 0, &["fine"])).await.unwrap();
        assert_eq!(picture.status, Some(ImageStatus::Pending));
        world.work().await;
        pushed(&world, 1).await;
        let rejected = mine(0).await;
        assert_eq!((rejected.status, rejected.reject_reason.as_deref()), (Some(ImageStatus::Rejected), None));
        assert!(!seen_by_all(&world, picture.id).await && world.waiting().await.is_empty());

        // It is checked anew, and the earlier verdict counts no more.
        let again = me.publish(&of(&job, 0, &["better"])).await.unwrap();
        assert_eq!(
            (again.id, again.status, &again.tags[0]),
            (picture.id, Some(ImageStatus::Pending), &"better".to_owned())
        );
        assert_eq!(code(me.publish(&of(&job, 0, &[])).await), Code::AlreadyPublished);
        world.work().await;
        pushed(&world, 2).await;
        assert_eq!(mine(0).await.status, Some(ImageStatus::Public));
        let seen = Visitor::Session(bob.session().await).gallery_image(picture.id).await.unwrap();
        assert_eq!((seen.status, seen.reject_reason), (None, None), "only its author is told");
        assert!(bob.session().await.published(&PageRequest::default()).await.unwrap().items.is_empty());
        world.finish().await;
    }
);

on_every_backend!(what_an_admin_rejected_goes_public_by_a_person_only, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (alice, admin) = (world.alice().await, world.admin().await);
    let job = done(&world, &alice, "a cat").await;
    let me = alice.session().await;
    let image = me.publish(&of(&job, 0, &[])).await.unwrap().id;
    world.work().await;
    pushed(&world, 1).await;
    admin.reject_image(image, "a logo of somebody else").await.unwrap();
    let own = Visitor::Session(alice.session().await).gallery_image(image).await.unwrap();
    assert_eq!(own.reject_reason.as_deref(), Some("a logo of somebody else"));

    let again = me.publish(&of(&job, 0, &[])).await.unwrap();
    assert_eq!((again.id, again.reject_reason), (image, None));
    world.work().await;
    pushed(&world, 2).await;
    assert_eq!((state(&world, image).await, world.waiting().await.len()), (ImageStatus::Pending, 0));
    // Taking it out first is no way around the person either.
    me.remove_image(image).await.unwrap();
    let fresh = me.publish(&of(&job, 0, &[])).await.unwrap().id;
    world.work().await;
    pushed(&world, 3).await;
    assert_eq!(state(&world, fresh).await, ImageStatus::Pending);
    let vitals = world.dream().watch().look().await.unwrap();
    assert_eq!(vitals.pending_images, 1);
    assert!(vitals.oldest_pending_image.is_some());
    let approved = admin.approve_image(fresh, None).await.unwrap();
    assert_eq!((approved.status, approved.reject_reason), (ImageStatus::Public, None));
    assert_eq!(world.dream().watch().look().await.unwrap().pending_images, 0);
    world.finish().await;
});

on_every_backend!(what_a_person_should_look_at_waits_for_one, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (alice, admin) = (world.alice().await, world.admin().await);
    world.wechat().plan_next_media(plan(PushPlan::Once, Some(Suggest::Review)));
    let picture = publish(&world, &alice, "odd").await;
    world.work().await;
    pushed(&world, 1).await;
    let text = publish(&world, &alice, "待审").await;
    world.work().await;
    pushed(&world, 2).await;
    for image in [&picture, &text] {
        assert_eq!(state(&world, image.id).await, ImageStatus::Pending);
    }
    assert!(world.waiting().await.is_empty(), "no machine goes on with it");
    let pending = admin.gallery_images(ImageStatus::Pending, &PageRequest::default()).await.unwrap();
    let verdicts: Vec<_> =
        pending.items.iter().map(|one| (one.image.id, one.text_verdict, one.picture_verdict)).collect();
    let (pass, review) = (Some(Verdict::Pass), Some(Verdict::Review));
    assert_eq!(verdicts, [(text.id, review, pass), (picture.id, pass, review)]);

    let approved = admin.approve_image(picture.id, Some("it is art")).await.unwrap();
    assert_eq!((approved.status, approved.barred), (ImageStatus::Public, false));
    assert!(seen_by_all(&world, picture.id).await);
    assert_eq!(code(admin.approve_image(picture.id, None).await), Code::InvalidState);
    admin.reject_image(text.id, "it is not").await.unwrap();
    assert_eq!(code(admin.reject_image(text.id, "again").await), Code::InvalidState);
    // An admin may think again, either way.
    admin.approve_image(text.id, None).await.unwrap();
    admin.reject_image(picture.id, "no").await.unwrap();
    assert!(seen_by_all(&world, text.id).await && !seen_by_all(&world, picture.id).await);

    let filter = AuditFilter { target: Some(format!("image:{}", picture.id)), ..AuditFilter::default() };
    let log = admin.audit_log(&filter, &PageRequest::default()).await.unwrap().items;
    let told: Vec<_> = log.iter().map(|entry| (entry.action.as_str(), entry.reason.as_deref())).collect();
    assert_eq!(told, [("gallery.reject", Some("no")), ("gallery.approve", Some("it is art"))]);
    assert_eq!(log[1].before.as_ref().unwrap()["status"], "PENDING");
    world.finish().await;
});

on_every_backend!(a_verdict_counts_however_late_and_however_often_it_comes, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    world.wechat().plan_next_media(plan(PushPlan::Twice, None));
    let twice = publish(&world, &alice, "twice").await;
    world.work().await;
    pushed(&world, 2).await;
    assert!(seen_by_all(&world, twice.id).await);

    world.wechat().plan_next_media(plan(PushPlan::Late { ms: 30 * 60 * 1000 }, None));
    let late = publish(&world, &alice, "late").await;
    world.work().await;
    let fetched = || world.wechat().media_checks()[1].fetched.is_some();
    assert!(eventually(SOON, fetched).await);
    world.pass(Duration::from_mins(29)).await;
    assert!(!seen_by_all(&world, late.id).await);
    world.pass(Duration::from_mins(2)).await;
    pushed(&world, 3).await;
    assert!(seen_by_all(&world, late.id).await);
    world.finish().await;
});

on_every_backend!(a_verdict_that_overtakes_its_receipt_counts, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let faults = world.wechat().faults();
    faults.next(operation::MEDIA_CHECK, Fault::delay_after(Duration::from_millis(500)));
    let image = publish(&world, &alice, "quick").await;
    let receipt = world.now().plus(Duration::from_millis(500));
    let overtaking = async {
        pushed(&world, 1).await;
        assert!(!seen_by_all(&world, image.id).await, "nobody knows yet what the verdict is about");
        assert!(eventually(SOON, || world.clock().next_wake() == Some(receipt)).await);
        world.clock().set(receipt);
    };
    futures_util::join!(world.work(), overtaking);
    assert!(seen_by_all(&world, image.id).await);
    assert_eq!((world.wechat().media_checks().len(), world.waiting().await.len()), (1, 0));

    // A receipt that never comes: the picture is handed in again, and either verdict may be the first.
    faults.next(operation::MEDIA_CHECK, Fault::DropAfter);
    let image = publish(&world, &alice, "cut off").await;
    world.pass(Duration::from_mins(2)).await;
    pushed(&world, 3).await;
    assert!(seen_by_all(&world, image.id).await);
    world.finish().await;
});

on_every_backend!(a_lost_verdict_is_asked_for_again, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    world.wechat().plan_next_media(plan(PushPlan::Never, None));
    let image = publish(&world, &alice, "lost").await;
    world.work().await;
    world.pass(Duration::from_mins(39)).await;
    assert_eq!(world.wechat().media_checks().len(), 1, "it may still come");
    world.pass(Duration::from_mins(2)).await;
    pushed(&world, 1).await;
    assert_eq!(world.wechat().media_checks().len(), 2);
    assert_eq!(world.wechat().text_checks().len(), 1, "the text needs no second look");
    assert!(seen_by_all(&world, image.id).await);
    world.finish().await;
});

on_every_backend!(a_picture_that_never_gets_a_verdict_is_left_to_a_person, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    world.wechat().plan_media(plan(PushPlan::Never, None));
    let image = publish(&world, &alice, "never").await;
    world.work().await;
    for _ in 0..5 {
        world.pass(TOO_LATE).await;
    }
    assert_eq!(world.wechat().media_checks().len(), 3);
    assert_eq!((state(&world, image.id).await, world.waiting().await.len()), (ImageStatus::Pending, 0));
    world.admin().await.approve_image(image.id, None).await.unwrap();
    assert!(seen_by_all(&world, image.id).await);
    world.finish().await;
});

on_every_backend!(a_picture_that_cannot_be_fetched_stays_hidden, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let job = done(&world, &alice, "gone").await;
    world.image_api().faults().always(image_api::operation::FILE, Fault::status(500, ""));
    let image = alice.session().await.publish(&of(&job, 0, &[])).await.unwrap();
    for checks in 1..=3 {
        world.work().await;
        pushed(&world, checks).await;
        assert_eq!(state(&world, image.id).await, ImageStatus::Pending);
        world.pass(Duration::from_mins(1)).await;
    }
    world.settle().await;
    assert_eq!(world.wechat().media_checks().len(), 3);
    assert!(!seen_by_all(&world, image.id).await);
    world.finish().await;
});

on_every_backend!(while_nothing_can_be_checked_nothing_goes_public, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let faults = world.wechat().faults();
    faults.always(operation::TEXT_CHECK, Fault::Drop);
    let image = publish(&world, &alice, "a cat").await;
    world.pass(Duration::from_mins(10)).await;
    assert!(!seen_by_all(&world, image.id).await);
    faults.clear();
    faults.always(operation::MEDIA_CHECK, Fault::Drop);
    world.pass(Duration::from_mins(10)).await;
    assert!(!seen_by_all(&world, image.id).await);
    faults.clear();
    world.pass(Duration::from_mins(2)).await;
    pushed(&world, 1).await;
    assert!(seen_by_all(&world, image.id).await);

    // WeChat checks nothing of somebody who was not there for two hours.
    let job = done(&world, &alice, "a dog").await;
    world.pass(Duration::from_hours(3)).await;
    let session = alice.session().await;
    let image = session.publish(&of(&job, 0, &[])).await.unwrap();
    world.pass(Duration::from_mins(15)).await;
    assert_eq!(state(&world, image.id).await, ImageStatus::Pending);
    alice.log_in_again().await;
    world.pass(Duration::from_mins(15)).await;
    pushed(&world, 2).await;
    assert!(seen_by_all(&world, image.id).await);
    world.finish().await;
});

on_every_backend!(author_and_admin_take_a_picture_out_and_nobody_else, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (alice, bob, admin) = (world.alice().await, world.user("bob").await, world.admin().await);
    let job = done(&world, &alice, "a cat").await;
    let me = alice.session().await;
    let image = me.publish(&of(&job, 0, &["cat"])).await.unwrap().id;
    world.work().await;
    pushed(&world, 1).await;
    bob.session().await.like(image).await.unwrap();
    assert_eq!(code(bob.session().await.remove_image(image).await), Code::ImageNotFound);
    me.remove_image(image).await.unwrap();
    assert!(!seen_by_all(&world, image).await);
    assert_eq!(code(me.remove_image(image).await), Code::ImageNotFound);
    assert_eq!(code(bob.session().await.like(image).await), Code::ImageNotFound);
    let all = Visitor::Guest(world.nobody());
    let page = all.gallery(&GalleryFilter::default(), &PageRequest::default()).await.unwrap();
    assert_eq!((page.total, page.items.len()), (Some(0), 0));

    // Who took it out oneself may think again; what an admin took out stays out.
    let again = me.publish(&of(&job, 0, &["cat"])).await.unwrap().id;
    admin.remove_image(again, Some("complaints")).await.unwrap();
    assert_eq!(code(admin.remove_image(again, None).await), Code::ImageNotFound);
    assert_eq!(code(admin.approve_image(again, None).await), Code::InvalidState);
    assert_eq!(code(me.publish(&of(&job, 0, &["cat"])).await), Code::AlreadyPublished);
    assert!(world.waiting().await.is_empty(), "what was taken out is not checked any more");
    assert_eq!(world.database().number("SELECT count(*) FROM gallery_likes").await, 0);
    let filter = AuditFilter { action: Some("gallery.remove".to_owned()), ..AuditFilter::default() };
    let log = admin.audit_log(&filter, &PageRequest::default()).await.unwrap().items;
    assert_eq!((log.len(), log[0].reason.as_deref()), (1, Some("complaints")));
    world.finish().await;
});

async fn rehosting(backend: &Backend) -> TestDream {
    TestDream::on(backend).on_r2().settings(|settings| settings.rehost_results = true).start().await
}

on_every_backend!(a_picture_follows_its_result_into_our_storage, |backend| async move {
    let world = rehosting(&backend).await;
    let alice = world.alice().await;
    world.image_api().faults().next(image_api::operation::FILE, Fault::status(500, ""));
    let job = alice.generate(&polished("a cat", 2)).await.unwrap().job_id;
    // It has succeeded, and its pictures are not copied yet.
    while alice.job(&job).await.result_urls.is_empty() {
        world.pass(Duration::from_secs(1)).await;
    }
    let me = alice.session().await;
    let early = me.publish(&of(&job, 0, &[])).await.unwrap();
    assert!(world.blobs().key_of(&early.image_url).is_none());
    world.work().await;
    pushed(&world, 1).await;
    world.settle().await;
    let moved = Visitor::Guest(world.nobody()).gallery_image(early.id).await.unwrap();
    let found = alice.job(&job).await;
    assert!(world.blobs().key_of(&moved.image_url).is_some());
    assert_eq!(Some(&moved.image_url), found.result_urls.first());
    assert_eq!(Some(moved.thumbnail_url), found.thumbnail_url);
    world.finish().await;
});

on_every_backend!(
    a_deleted_users_public_pictures_and_prompts_are_removed_with_their_objects,
    |backend| async move {
        let world = rehosting(&backend).await;
        let (alice, admin) = (world.alice().await, world.admin().await);
        let job = done(&world, &alice, "a cat").await;
        let me = alice.session().await;
        let kept = me.publish(&of(&job, 0, &[])).await.unwrap();
        let waiting = me.publish(&of(&job, 1, &[])).await.unwrap();
        world.work().await;
        pushed(&world, 2).await;
        let key = world.blobs().key_of(&kept.image_url).expect("it is ours");
        assert_ne!(kept.thumbnail_url, kept.image_url);
        // The author's job still shows it.
        me.remove_image(kept.id).await.unwrap();
        world.settle().await;
        assert!(world.blobs().head(&key).await.unwrap().is_some());
        let kept = me.publish(&of(&job, 0, &[])).await.unwrap();
        world.work().await;
        pushed(&world, 3).await;
        admin.reject_image(waiting.id, "no").await.unwrap();

        alice.session().await.delete_account().await.unwrap();
        world.settle().await;
        for image in [&kept, &waiting] {
            assert!(!seen_by_all(&world, image.id).await);
            assert_eq!(state(&world, image.id).await, ImageStatus::Removed);
        }
        assert_eq!(world.blobs().list("", None).await.unwrap().items, []);
        let words =
            "SELECT count(*) FROM gallery_images WHERE prompt <> '' OR tags <> '[]' OR author_id IS NOT NULL";
        assert_eq!(world.database().number(words).await, 0);
        world.finish().await;
    }
);

on_every_backend!(what_a_deleted_user_had_not_published_yet_never_is, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    world.wechat().plan_next_media(plan(PushPlan::Late { ms: 60_000 }, None));
    let image = publish(&world, &alice, "my secret").await;
    world.work().await;
    assert!(eventually(SOON, || world.wechat().media_checks()[0].fetched.is_some()).await);
    alice.session().await.delete_account().await.unwrap();
    world.pass(Duration::from_mins(2)).await;
    pushed(&world, 1).await;
    assert!(!seen_by_all(&world, image.id).await);
    assert_eq!(state(&world, image.id).await, ImageStatus::Removed);
    assert_eq!(world.database().number("SELECT count(*) FROM gallery_images WHERE prompt <> ''").await, 0);
    world.finish().await;
});

on_every_backend!(a_seed_that_was_taken_out_is_not_planted_again, |backend| async move {
    let world = TestDream::start(&backend).await;
    world.dream().plant_seeds().await.unwrap();
    let all = Visitor::Guest(world.nobody());
    let page = all.gallery(&GalleryFilter::default(), &PageRequest::default()).await.unwrap();
    world.admin().await.remove_image(page.items[0].id, None).await.unwrap();
    world.settle().await;
    assert_eq!(world.blobs().list("", None).await.unwrap().items.len(), 2);
    world.dream().plant_seeds().await.unwrap();
    assert_eq!(world.blobs().list("", None).await.unwrap().items.len(), 2);
    let page = all.gallery(&GalleryFilter::default(), &PageRequest::default()).await.unwrap();
    assert_eq!((page.total, page.items.len()), (Some(1), 1));
    world.finish().await;
});

on_every_backend!(a_deleted_author_is_news_to_whoever_keeps_pages_of_the_gallery, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let mut news = world.dream().news();
    let image = publish(&world, &alice, "a red fox").await;
    world.work().await;
    pushed(&world, 1).await;
    heard(&mut news, "gallery").await;
    let guest = Visitor::Guest(world.nobody());
    assert!(guest.gallery_image(image.id).await.unwrap().author.is_some());
    alice.session().await.delete_account().await.unwrap();
    heard(&mut news, "gallery").await;
    assert_eq!(code(guest.gallery_image(image.id).await), Code::ImageNotFound);
    world.settle().await;
    world.finish().await;
});
