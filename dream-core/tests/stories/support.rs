//! What the stories share.

use std::fmt::Debug;
use std::time::Duration;

use dream_core::jobs::Job;
use dream_core::kernel::{JobId, Points};
use dream_core::ports::{Invalidation, LoginCode};
use dream_core::{Code, Login, Result};
use dream_testkit::world::{Actor, TestDream};
use tokio::sync::broadcast::Receiver;

/// How long a test waits for something that happens at once.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The code of what must be refused.
#[track_caller]
pub(crate) fn code<T: Debug>(outcome: Result<T>) -> Code {
    outcome.expect_err("it must be refused").code()
}

/// A login by this code and nothing more.
pub(crate) fn login(code: &str) -> Login {
    let code = LoginCode::new(code.to_owned()).expect("a code");
    Login { code, phone: None, nick_name: None, avatar_url: None }
}

/// Gives the user points as an admin would.
pub(crate) async fn grant(world: &TestDream, to: &Actor, points: i64) {
    let admin = world.admin().await;
    admin.grant_points(to.id(), Points::new(points), "a gift").await.expect("a grant");
}

/// The image API's id of a job that was submitted.
pub(crate) async fn upstream_id(world: &TestDream, job: &JobId) -> String {
    let ids =
        world.database().texts(&format!("SELECT upstream_id FROM generations WHERE job_id = '{job}'")).await;
    ids.into_iter().next().expect("the job was submitted")
}

/// A job that the image API has, and that waits there.
pub(crate) async fn submitted(world: &TestDream, user: &Actor, prompt: &str) -> (JobId, String) {
    let job = user.generates(prompt).await.job_id;
    world.work().await;
    let upstream = upstream_id(world, &job).await;
    (job, upstream)
}

/// What went wrong with a job.
pub(crate) fn error_code(job: &Job) -> Option<&str> {
    job.error.as_ref().map(|error| error.code.as_str())
}

/// Waits until this topic is news. Where nodes share a cache even a node's own news take their way through it.
pub(crate) async fn heard(news: &mut Receiver<Invalidation>, topic: &str) {
    let said = async {
        while let Some(Invalidation::Topic(other)) = Invalidation::next(news).await {
            if other == topic {
                return true;
            }
        }
        false
    };
    assert_eq!(
        tokio::time::timeout(SOON, said).await,
        Ok(true),
        "{topic} is news, and nothing before it is lost"
    );
}
