//! The process is killed, with no chance to put anything in order.

use std::path::Path;
use std::time::{Duration, Instant};

use dream_testkit::backends::{Backend, BackendKind};
use dream_testkit::fakes::image_api::operation;
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::wait::eventually;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::load::{Load, Phase, Place, priced};
use crate::process::{ADMIN_KEY, Node, PATIENCE, Variables, command, free_port, outside};

/// The one node, and all it needs.
struct Lone {
    node: Node,
    port: u16,
    variables: Variables,
    place: Place,
    folder: tempfile::TempDir,
}

impl Lone {
    async fn start(backend: &Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let place = Place::new(&url, outside(&url).await);
        let mut variables = priced(Variables::production(&place.sandbox.credentials(), &url))
            .with("DATABASE_URL", backend.database_url())
            .with("GENERATION_CONCURRENCY_NORMAL", 0)
            .with("LOG_LEVEL", "info");
        if backend.kind() == BackendKind::Postgres {
            variables = variables.with("REDIS_URL", backend.redis_url().unwrap());
        }
        let node = Node::start(folder.path(), port, &variables).await;
        let lone = Self { node, port, variables, place, folder };
        lone.run("seed").await;
        lone
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    async fn run(&self, verb: &str) {
        let report = command(self.folder(), &self.variables).arg(verb).output().await.unwrap();
        assert!(report.status.success(), "{verb}: {report:?}");
    }

    /// Dies in the middle of whatever it is at, and is started again.
    async fn die(self) -> Self {
        let Self { node, port, variables, place, folder } = self;
        node.kill().await;
        let node = Node::start(folder.path(), port, &variables).await;
        Self { node, port, variables, place, folder }
    }
}

on_every_backend!(nothing_acknowledged_is_lost_by_twenty_deaths, |backend| async move {
    let mut lone = Lone::start(&backend).await;
    let load = Load::start(6, &lone.place).await;
    load.enter(Phase::Deaths, Duration::ZERO).await;
    for round in 0..20_u64 {
        // Another moment of the load each time.
        sleep(Duration::from_millis(40 + 67 * (round % 7))).await;
        lone = lone.die().await;
    }
    load.settle(&lone.place).await;
    load.enter(Phase::Calm, Duration::from_millis(500)).await;
    let outcome = load.finish().await;
    outcome.tell();
    outcome.nothing_was_lost(&lone.place).await;
    lone.run("audit").await;
    lone.node.stop().await;
});

on_every_backend!(what_a_killed_process_was_submitting_goes_on_as_it_starts_again, |backend| async move {
    let lone = Lone::start(&backend).await;
    let place = lone.place.clone();
    let token = painter(&place).await;
    let image_api = &place.sandbox.image_api;
    image_api.faults().next(operation::SUBMIT, Fault::delay_after(Duration::from_mins(10)));
    generate(&place, &token, 1).await.expect("accepted");
    let submissions = || image_api.submissions().len();
    assert!(eventually(PATIENCE, || submissions() == 1).await, "it is being submitted");
    let killed = Instant::now();
    let lone = lone.die().await;
    assert!(eventually(PATIENCE, || submissions() == 2).await, "it is submitted again, under the same key");
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
    assert_eq!(image_api.jobs().len(), 1);
    lone.node.stop().await;
});

const GENERATIONS: usize = 200;

/// The token of a user who has points, since no generation is free here.
async fn painter(place: &Place) -> String {
    let login = place
        .http
        .post(format!("{}/v1/auth/wechat-login", place.url))
        .json(&json!({ "code": "sandbox-painter" }));
    let login: Value = login.send().await.unwrap().json().await.unwrap();
    let (token, user) = (login["token"].as_str().unwrap(), login["user"]["id"].as_i64().unwrap());
    let endowed = place
        .http
        .put(format!("{}/v1/admin/users/{user}", place.url))
        .header("X-Admin-Key", ADMIN_KEY)
        .json(&json!({ "pointsBalance": 1000 }));
    assert_eq!(endowed.send().await.unwrap().status(), 200);
    token.to_owned()
}

/// Asks for a picture; the job, if it was acknowledged.
async fn generate(place: &Place, token: &str, number: usize) -> Option<String> {
    let request = place
        .http
        .post(format!("{}/v1/jobs", place.url))
        .bearer_auth(token)
        .header("Idempotency-Key", format!("picture-{number}"))
        .json(&json!({ "prompt": format!("lighthouse number {number}"), "mode": "draft" }));
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    // The answer may break off in its middle.
    let body: Value = answer.json().await.ok()?;
    assert_eq!(status, 202, "{body}");
    Some(body["jobId"].as_str().unwrap().to_owned())
}

on_every_backend!(a_death_amid_two_hundred_generations_loses_none_that_was_accepted, |backend| async move {
    let lone = Lone::start(&backend).await;
    let place = lone.place.clone();
    let token = painter(&place).await;

    let mut asked: FuturesUnordered<_> = (0..GENERATIONS)
        .map(|number| {
            let (place, token) = (&place, token.as_str());
            async move { (number, generate(place, token, number).await) }
        })
        .collect();
    let mut accepted: Vec<Option<String>> = vec![None; GENERATIONS];
    let mut answered = 0;
    while answered < 30
        && let Some((number, job)) = asked.next().await
    {
        accepted[number] = job;
        answered += 1;
    }
    let (lone, ()) = tokio::join!(lone.die(), async {
        while let Some((number, job)) = asked.next().await {
            accepted[number] = job;
        }
    });
    // How many more were answered by then is up to the machine.
    assert!(accepted.iter().flatten().count() >= 30);

    // Whoever got no answer asks again under the same key, and nobody gets another job than before.
    for (number, job) in accepted.iter_mut().enumerate() {
        let again = generate(&place, &token, number).await.expect("an answer");
        assert_eq!(*job.get_or_insert_with(|| again.clone()), again);
    }
    let begun = Instant::now();
    for job in accepted.iter().flatten() {
        loop {
            let url = format!("{}/v1/jobs/{job}", place.url);
            let state: Value =
                place.http.get(url).bearer_auth(&token).send().await.unwrap().json().await.unwrap();
            if state["status"] == "SUCCEEDED" {
                break;
            }
            assert!(begun.elapsed() < 4 * PATIENCE, "job {job} does not end: {state}");
            sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(place.sandbox.image_api.jobs().len(), GENERATIONS, "one job there for each that was accepted");
    let url = format!("{}/v1/points/balance", place.url);
    let balance: Value = place.http.get(url).bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    assert_eq!(balance["balance"], 1000 - 2 * GENERATIONS, "{balance}");
    lone.run("audit").await;
    lone.node.stop().await;
});
