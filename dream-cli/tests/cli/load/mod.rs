//! A load: players, and a record of every request that failed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dream_testkit::sandbox::Sandbox;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::process::{ADMIN_KEY, PATIENCE, Variables};
use player::{ENDOWMENT, Memory, PRICE, Player, RECHARGE};

mod player;

/// Where the players play.
#[derive(Clone)]
pub(crate) struct Place {
    /// Where clients go.
    pub url: String,
    pub sandbox: Arc<Sandbox>,
    pub http: Client,
}

impl Place {
    pub(crate) fn new(url: &str, sandbox: Sandbox) -> Self {
        let http = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { url: url.to_owned(), sandbox: Arc::new(sandbox), http }
    }
}

/// Whatever is generated costs points, so that the ledger has something to get wrong.
pub(crate) fn priced(variables: Variables) -> Variables {
    variables.with("GENERATION_DAILY_LIMIT_NORMAL", 0).with("POINTS_PRICE_DRAFT", PRICE)
}

/// What is being done to the nodes meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Calm,
    Rolling,
    Redis,
    Database,
    /// The only node dies, and another takes its place.
    Deaths,
}

impl Phase {
    const ALL: [Phase; 5] = [Phase::Calm, Phase::Rolling, Phase::Redis, Phase::Database, Phase::Deaths];
}

/// What happened in a phase.
#[derive(Debug, Default, Clone)]
struct Tally {
    answered: usize,
    millis: Vec<u128>,
    /// Requests that were refused as they should be while the database is away.
    turned_away: usize,
    /// Everything else that was not answered.
    failed: Vec<String>,
}

/// The way to the nodes, shared by all players.
pub(crate) struct Wire {
    http: Client,
    base: String,
    phase: AtomicU8,
    over: AtomicBool,
    in_flight: AtomicUsize,
    tallies: Mutex<BTreeMap<Phase, Tally>>,
}

impl Wire {
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::SeqCst))]
    }

    fn note(&self, phase: Phase, note: impl FnOnce(&mut Tally)) {
        note(self.tallies.lock().unwrap().entry(phase).or_default());
    }

    /// One request, sent once. `None` if it was not answered, which is on record then.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        token: &str,
        key: Option<&str>,
        body: Option<Value>,
    ) -> Option<(u16, Value)> {
        // A request belongs to the rougher of the phases that it saw.
        let begun = self.phase();
        let started = Instant::now();
        let mut request =
            self.http.request(method.clone(), format!("{}{path}", self.base)).bearer_auth(token);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let answer = request.send().await;
        let outcome = self.judge(answer).await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        let phase = begun.max(self.phase());
        match outcome {
            Ok(answer) => {
                self.note(phase, |tally| {
                    tally.answered += 1;
                    tally.millis.push(started.elapsed().as_millis());
                });
                Some(answer)
            }
            Err(Refusal::Unavailable) if phase >= Phase::Database => {
                self.note(phase, |tally| tally.turned_away += 1);
                None
            }
            Err(Refusal::Broken(_)) if phase == Phase::Deaths => {
                self.note(phase, |tally| tally.turned_away += 1);
                None
            }
            Err(refusal) => {
                let why = match refusal {
                    Refusal::Unavailable => "503, although the database is there".to_owned(),
                    Refusal::Broken(why) | Refusal::Failed(why) => why,
                };
                let text = format!("{method} {path} after {:?}: {why}", started.elapsed());
                self.note(phase, |tally| tally.failed.push(text));
                None
            }
        }
    }

    async fn judge(&self, answer: reqwest::Result<Response>) -> Result<(u16, Value), Refusal> {
        let answer = answer.map_err(|error| Refusal::Broken(format!("{error:?}")))?;
        let status = answer.status().as_u16();
        let told_when = answer.headers().contains_key("retry-after");
        let text = answer.text().await.map_err(|error| Refusal::Broken(format!("{error:?}")))?;
        match status {
            503 if told_when => Err(Refusal::Unavailable),
            500.. | 408 | 429 => Err(Refusal::Failed(format!("{status} {text}"))),
            _ => Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text)))),
        }
    }

    /// A request before the load begins, when nothing may fail.
    pub(crate) async fn admin_free(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, body) = self.ask(method, path, "", None, body).await.unwrap();
        assert!(status < 300, "{path}: {status} {body}");
        body
    }

    pub(crate) async fn endow(&self, user: i64, points: i64) {
        let url = format!("{}/v1/admin/users/{user}", self.base);
        let request =
            self.http.put(url).header("X-Admin-Key", ADMIN_KEY).json(&json!({ "pointsBalance": points }));
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
}

enum Refusal {
    /// 503 with `Retry-After`.
    Unavailable,
    /// No whole answer came.
    Broken(String),
    /// Everything else, in words.
    Failed(String),
}

pub(crate) struct Load {
    wire: Arc<Wire>,
    players: Vec<JoinHandle<Memory>>,
}

impl Load {
    pub(crate) async fn start(players: usize, place: &Place) -> Self {
        // Connections are made anew now and then, as by many phones.
        let http = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .pool_idle_timeout(Duration::from_millis(500))
            .build()
            .unwrap();
        let wire = Arc::new(Wire {
            http,
            base: place.url.clone(),
            phase: AtomicU8::new(Phase::Calm as u8),
            over: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            tallies: Mutex::default(),
        });
        let mut running = Vec::new();
        for index in 0..players {
            let player = Player::enter(index, Arc::clone(&wire), Arc::clone(&place.sandbox)).await;
            running.push(tokio::spawn(player.play()));
        }
        Self { wire, players: running }
    }

    /// From now on this is being done; waits for so long.
    pub(crate) async fn enter(&self, phase: Phase, time: Duration) {
        self.wire.phase.store(phase as u8, Ordering::SeqCst);
        sleep(time).await;
    }

    /// Waits until requests are answered again, before calm is declared.
    pub(crate) async fn settle(&self, place: &Place) {
        let url = format!("{}/v1/vip/plans", place.url);
        let mut good = 0;
        while good < 20 {
            let answer = place.http.get(&url).send().await;
            good = if answer.is_ok_and(|answer| answer.status() == 200) { good + 1 } else { 0 };
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn finish(self) -> Outcome {
        self.wire.over.store(true, Ordering::Relaxed);
        let mut memories = Vec::new();
        for player in self.players {
            memories.push(player.await.unwrap());
        }
        let tallies = std::mem::take(&mut *self.wire.tallies.lock().unwrap());
        Outcome { tallies, memories, wire: self.wire }
    }
}

pub(crate) struct Outcome {
    tallies: BTreeMap<Phase, Tally>,
    memories: Vec<Memory>,
    wire: Arc<Wire>,
}

impl Outcome {
    /// A table of what happened, for whoever looks on.
    #[expect(clippy::print_stdout, reason = "it is the result that a run shows")]
    pub(crate) fn tell(&self) {
        println!(
            "{:10} {:>9} {:>12} {:>7} {:>8} {:>8}",
            "phase", "answered", "turned away", "failed", "p50 ms", "p99 ms"
        );
        for (phase, tally) in &self.tallies {
            let mut millis = tally.millis.clone();
            millis.sort_unstable();
            let at = |share: usize| millis.get(millis.len() * share / 100).copied().unwrap_or_default();
            println!(
                "{:10} {:>9} {:>12} {:>7} {:>8} {:>8}",
                format!("{phase:?}"),
                tally.answered,
                tally.turned_away,
                tally.failed.len(),
                at(50),
                at(99)
            );
        }
        let jobs: usize = self.memories.iter().map(|memory| memory.jobs.len()).sum();
        let orders: usize = self.memories.iter().map(|memory| memory.orders.len()).sum();
        println!("acknowledged: {jobs} generations, {orders} paid recharges");
    }

    /// Every request was answered, every answer was right, and all that was acknowledged is there, once.
    pub(crate) async fn nothing_was_lost(&self, place: &Place) {
        let failed: Vec<String> = self
            .tallies
            .iter()
            .flat_map(|(phase, tally)| tally.failed.iter().map(move |text| format!("{phase:?}: {text}")))
            .collect();
        assert!(failed.is_empty(), "{} requests failed:\n{}", failed.len(), failed.join("\n"));
        for memory in &self.memories {
            assert!(memory.wrong.is_empty(), "wrong answers:\n{}", memory.wrong.join("\n"));
            self.everything_is_there(memory, place).await;
        }
        let submitted = place.sandbox.image_api.jobs().len();
        let acknowledged: usize = self.memories.iter().map(|memory| memory.jobs.len()).sum();
        assert_eq!(submitted, acknowledged, "one job at the image API for each generation");
    }

    async fn everything_is_there(&self, memory: &Memory, place: &Place) {
        let get = async |path: &str| -> Value {
            let url = format!("{}{path}", self.wire.base);
            place.http.get(url).bearer_auth(&memory.token).send().await.unwrap().json().await.unwrap()
        };
        let begun = Instant::now();
        let expected = ENDOWMENT + RECHARGE * as_i64(memory.orders.len()) - PRICE * as_i64(memory.jobs.len());
        for order in &memory.orders {
            while get(&format!("/v1/orders/{order}")).await["status"] != "PAID" {
                assert!(begun.elapsed() < 4 * PATIENCE, "order {order} was paid, and is not fulfilled");
                sleep(Duration::from_millis(200)).await;
            }
        }
        for job in &memory.jobs {
            loop {
                let state = get(&format!("/v1/jobs/{job}")).await;
                if state["status"] == "SUCCEEDED" {
                    break;
                }
                assert!(begun.elapsed() < 4 * PATIENCE, "job {job} does not end: {state}");
                sleep(Duration::from_millis(200)).await;
            }
        }
        let balance = get("/v1/points/balance").await;
        assert_eq!(balance["balance"], expected, "user {}: {balance}", memory.user);
        let listed = get("/v1/jobs?limit=1&page=1").await;
        assert_eq!(listed["total"], as_i64(memory.jobs.len()), "user {} has each job once", memory.user);
        let me = get("/v1/users/me").await;
        let name = me["user"]["nickName"].as_str().unwrap_or_default();
        let known = name == memory.name || memory.doubtful_names.iter().any(|it| it == name);
        assert!(known, "user {} is called {name:?} in place of {:?}", memory.user, memory.name);
    }
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap()
}
