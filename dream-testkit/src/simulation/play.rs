//! The course of a schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dream_core::kernel::{JobId, OrderId, Timestamp, UserId, Zone};
use dream_core::ports::{BlobKey, Blobs as _, JobState, LoginCode, RefundState};
use dream_core::{AuditRule, BearerToken, Code, Login, Session};
use tokio::task::JoinHandle;

use super::channel::Telling;
use super::deeds::{Ask, Deed, Doer, Effect, Fate};
use super::stage::{START, Weather};
use super::{Figures, NODES, Played, Theatre};

/// Turns before the weather clears up, at most.
const MOST_TURNS: u64 = 260;
/// Turns after it, in which everything has to come to its end.
const LAST_TURNS: u64 = 20_000;
/// Time of the stage in which everything has to come to its end: a job may stay open for an hour, and a refund that is
/// stuck waits for a person.
const LAST_SPAN: Duration = Duration::from_hours(60);
const USERS: usize = 2;

/// What is to be done when a deed ends or dies with its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    Nothing,
    Notice(usize, Telling),
    Event(usize, bool),
    Worker,
}

/// What a turn of the play is used for.
#[derive(Clone, Copy)]
enum Move {
    Go,
    Deed,
    Notice,
    Event,
    Work,
    Pay,
    Time,
}

/// What kind of thing somebody sets out to do.
#[derive(Clone, Copy)]
enum Kind {
    Recharge,
    Purchase,
    PayAgain,
    Cancel,
    Look,
    Generate,
    Withdraw,
    Leave,
    Grant,
    Refund,
    Query,
    Close,
}

struct Running {
    number: u64,
    node: usize,
    behind: Behind,
    handle: JoinHandle<Result<Effect, (Code, String)>>,
}

struct User {
    id: UserId,
    /// One on each process.
    sessions: Vec<Arc<Session>>,
    token: String,
    gone: bool,
}

/// What we were told had happened, so that it must never be gone.
#[derive(Default)]
struct Promises {
    orders: BTreeMap<OrderId, i64>,
    jobs: BTreeSet<JobId>,
    refunds: BTreeSet<String>,
    grants: usize,
    /// First answers by what was asked under a key.
    answers: BTreeMap<(usize, &'static str, u8), (i64, String)>,
}

struct Play<'t> {
    theatre: &'t mut Theatre,
    users: Vec<User>,
    running: Vec<Running>,
    promises: Promises,
    /// Orders whose client may pay.
    payable: BTreeSet<OrderId>,
    deeds_left: usize,
    seen_commits: u64,
    number: u64,
    figures: Figures,
}

type Outcome<T = ()> = Result<T, String>;

impl Theatre {
    /// Plays the schedule of this seed, and keeps its story if that is wanted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use dream_testkit::simulation::Theatre;
    ///
    /// let mut theatre = Theatre::open().await;
    /// let (told, untold) = (theatre.play(3, true).await, theatre.play(3, false).await);
    /// assert!(!told.story.is_empty() && untold.story.is_empty());
    /// assert_eq!(told.hash, untold.hash, "telling changes nothing");
    /// # }
    /// ```
    pub async fn play(&mut self, seed: u64, with_story: bool) -> Played {
        self.reset(seed, with_story).await;
        let mut play = Play {
            theatre: self,
            users: Vec::new(),
            running: Vec::new(),
            promises: Promises::default(),
            payable: BTreeSet::new(),
            deeds_left: 0,
            seen_commits: 0,
            number: 0,
            figures: Figures::default(),
        };
        let fault = play.run().await.err();
        for running in play.running.drain(..) {
            running.handle.abort();
            drop(running.handle.await);
        }
        let figures = play.figures;
        let (hash, story) = self.stage.story();
        Played { hash, story, fault, figures }
    }
}

impl Play<'_> {
    async fn run(&mut self) -> Outcome {
        self.enter().await;
        self.draw_weather();
        while self.figures.turns < MOST_TURNS && (self.deeds_left > 0 || !self.running.is_empty()) {
            self.turn().await?;
        }
        self.theatre.stage.log(format_args!("the weather clears up"));
        self.theatre.stage.set_weather(Weather::default());
        self.theatre.stage.forget_doom();
        self.end().await?;
        self.count();
        Ok(())
    }

    /// The users sign in, on every process.
    async fn enter(&mut self) {
        for number in 0..USERS {
            let code = LoginCode::new(format!("user-{number}")).expect("a code");
            let login = Login { code, phone: None, nick_name: None, avatar_url: None };
            let entered = self.theatre.nodes[0].dream.guest().login(login).await.expect("a login");
            let mut user =
                User { id: entered.user.id, sessions: Vec::new(), token: entered.tokens.access, gone: false };
            for node in &self.theatre.nodes {
                let session = node.dream.session(&BearerToken::new(user.token.clone())).await;
                user.sessions.push(Arc::new(session.expect("the token is good")));
            }
            self.users.push(user);
        }
        for node in &self.theatre.nodes {
            node.gate.set_open(false);
        }
    }

    fn draw_weather(&mut self) {
        let stage = &self.theatre.stage;
        let rate = |rates: &[f64]| rates[stage.below(rates.len())];
        let weather = Weather {
            outside: rate(&[0.0, 0.05, 0.2]),
            database: rate(&[0.0, 0.01, 0.05]),
            notices: rate(&[0.0, 0.2, 0.6]),
            crashes: rate(&[0.0, 0.01, 0.04]),
        };
        stage.log(format_args!("{weather:?}"));
        stage.set_weather(weather);
        self.deeds_left = 4 + stage.below(14);
    }

    /// One turn: everything that goes by itself comes to rest, the books are checked, and the dice say what is next.
    async fn turn(&mut self) -> Outcome {
        self.figures.turns += 1;
        self.rest().await?;
        let theatre = &*self.theatre;
        let weight =
            |count: usize, each: u32, most: u32| u32::try_from(count).unwrap_or(most).min(most) * each;
        let few = self.running.len() < 6;
        let choices = [
            (weight(theatre.stage.ready(), 12, 48), Move::Go),
            (if few && self.deeds_left > 0 { 6 } else { 0 }, Move::Deed),
            (if few { weight(theatre.channel.due().len(), 4, 8) } else { 0 }, Move::Notice),
            (if few { weight(theatre.painter.due().len(), 4, 8) } else { 0 }, Move::Event),
            (if few { 4 } else { 0 }, Move::Work),
            (weight(self.payable.len(), 3, 6), Move::Pay),
            (6, Move::Time),
        ];
        if theatre.stage.chance(theatre.stage.weather().crashes) {
            return self.act_of_death().await;
        }
        match theatre.stage.weighted(&choices).unwrap_or(Move::Time) {
            Move::Go => drop(theatre.stage.let_one_go()),
            Move::Deed => self.new_deed(),
            Move::Notice => self.tell_notice(),
            Move::Event => self.tell_event(),
            Move::Work => self.send_worker(),
            Move::Pay => self.pay(),
            Move::Time => self.pass_time().await,
        }
        Ok(())
    }

    /// Lets everything come to rest, takes note of what ended, and checks the books if they changed.
    async fn rest(&mut self) -> Outcome {
        self.theatre.stage.quiet().await;
        self.theatre.channel.settle();
        self.theatre.painter.settle();
        if let Some(dead) = self.theatre.stage.take_dead() {
            self.bury(dead).await?;
        }
        let mut place = 0;
        while place < self.running.len() {
            if self.running[place].handle.is_finished() {
                let running = self.running.remove(place);
                self.take_note(running).await?;
            } else {
                place += 1;
            }
        }
        let commits = self.theatre.stage.commits();
        if commits != self.seen_commits {
            self.seen_commits = commits;
            if let Some(fault) = self.theatre.books.fault().await {
                return Err(format!("the books are wrong: {fault}"));
            }
        }
        Ok(())
    }

    fn start(&mut self, node: usize, user: Option<usize>, behind: Behind, deed: Deed) {
        self.number += 1;
        self.figures.deeds += 1;
        self.theatre.stage.log(format_args!("deed {} on {node}: {}", self.number, name(&deed)));
        let session = user.map(|user| self.users[user].sessions[node].clone());
        let at = &self.theatre.nodes[node];
        let doer = Doer { dream: at.dream.clone(), worker: at.worker.clone(), session };
        let handle = tokio::spawn(deed.perform(doer));
        self.running.push(Running { number: self.number, node, behind, handle });
    }

    /// A deed ended.
    async fn take_note(&mut self, running: Running) -> Outcome {
        let stage = self.theatre.stage.clone();
        let outcome = match running.handle.await {
            Ok(outcome) => outcome,
            Err(error) => return Err(format!("deed {} broke down: {error}", running.number)),
        };
        match &outcome {
            Ok(effect) => stage.log(format_args!("deed {}: {effect:?}", running.number)),
            Err((code, _)) => stage.log(format_args!("deed {}: {code}", running.number)),
        }
        if let Err((Code::Internal, chain)) = &outcome {
            return Err(format!("deed {} found us at fault: {chain}", running.number));
        }
        let answer_is_lost = stage.chance(stage.weather().notices / 3.0);
        match running.behind {
            Behind::Nothing | Behind::Worker => {}
            Behind::Notice(place, telling) => match (&outcome, telling) {
                (Ok(_), Telling::Plain) if answer_is_lost => self.theatre.channel.put_off(place),
                (Ok(_), Telling::Plain) => {}
                // Of an order whose user left nobody knows any more who was to pay.
                (Ok(_), Telling::WrongPayer) if self.users.iter().any(|user| user.gone) => {}
                (Ok(effect), lie) => return Err(format!("{lie:?} was believed: {effect:?}")),
                (Err((code, chain)), Telling::Plain) if *code != Code::Unavailable => {
                    return Err(format!("the platform's own word was refused: {chain}"));
                }
                (Err(_), _) => self.theatre.channel.put_off(place),
            },
            Behind::Event(place, forged) => match &outcome {
                Ok(_) if forged => return Err("a forged event was believed".to_owned()),
                Ok(_) if !answer_is_lost => {}
                Err((code, chain)) if !forged && *code != Code::Unavailable => {
                    return Err(format!("an event was refused: {chain}"));
                }
                _ => self.theatre.painter.put_off(place),
            },
        }
        match outcome {
            Ok(effect) => self.promise(effect),
            Err(_) => Ok(()),
        }
    }

    /// Whoever was told this may rely on it.
    fn promise(&mut self, effect: Effect) -> Outcome {
        let promises = &mut self.promises;
        match effect {
            Effect::Placed(ask, order, amount) => {
                answered(promises, &ask, order.as_str())?;
                self.payable.insert(order.clone());
                promises.orders.insert(order, amount);
            }
            Effect::Payable(order) => drop(self.payable.insert(order)),
            Effect::Made(ask, job) => {
                answered(promises, &ask, job.as_str())?;
                promises.jobs.insert(job);
            }
            Effect::Granted => promises.grants += 1,
            Effect::Refunding(refund) => drop(promises.refunds.insert(refund)),
            Effect::Reconciled(differences) if !differences.is_empty() => {
                return Err(format!("the bill differs: {}", differences.join("; ")));
            }
            _ => {}
        }
        Ok(())
    }

    fn any_node(&self) -> usize {
        self.theatre.stage.below(NODES)
    }

    /// One of the orders that somebody knows of.
    fn any_order(&self) -> Option<OrderId> {
        let orders: Vec<&OrderId> = self.promises.orders.keys().collect();
        (!orders.is_empty()).then(|| orders[self.theatre.stage.below(orders.len())].clone())
    }

    fn new_deed(&mut self) {
        self.deeds_left -= 1;
        let stage = self.theatre.stage.clone();
        let kind = stage.weighted(&[
            (5, Kind::Recharge),
            (3, Kind::Purchase),
            (1, Kind::PayAgain),
            (2, Kind::Cancel),
            (2, Kind::Look),
            (6, Kind::Generate),
            (2, Kind::Withdraw),
            (u32::from(self.number > 12), Kind::Leave),
            (1, Kind::Grant),
            (4, Kind::Refund),
            (1, Kind::Query),
            (1, Kind::Close),
        ]);
        let user = stage.below(USERS);
        let key = stage.chance(0.6).then(|| u8::try_from(stage.below(2)).unwrap_or(0));
        let ask = |kind, body| Ask { user, kind, key, body };
        let order = self.any_order();
        let jobs: Vec<&JobId> = self.promises.jobs.iter().collect();
        let job = (!jobs.is_empty()).then(|| jobs[stage.below(jobs.len())].clone());
        let deed = match (kind, order) {
            (Some(Kind::Recharge), _) => Deed::Recharge(ask("recharge", stage.between(1, 3))),
            (Some(Kind::Purchase), _) => {
                let life = stage.chance(0.15);
                Deed::Purchase(ask("purchase", i64::from(life)), if life { "life" } else { "month" })
            }
            (Some(Kind::PayAgain), Some(order)) => Deed::PayAgain(order),
            (Some(Kind::Cancel), Some(order)) => Deed::Cancel(order),
            (Some(Kind::Look), Some(order)) => Deed::Look(order),
            (Some(Kind::Query), Some(order)) => Deed::Query(order),
            (Some(Kind::Close), Some(order)) => Deed::Close(order),
            (Some(Kind::Refund), Some(order)) => {
                let amount = self.promises.orders.get(&order).copied().unwrap_or(1);
                Deed::Refund(order, stage.chance(0.6).then(|| stage.between(1, amount)))
            }
            (Some(Kind::Withdraw), _) if job.is_some() => match job {
                Some(job) => Deed::Withdraw(job),
                None => return,
            },
            (Some(Kind::Leave), _) if !self.users[user].gone => {
                self.users[user].gone = true;
                Deed::Leave
            }
            (Some(Kind::Grant), _) => Deed::Grant(self.users[user].id, stage.between(-2, 4)),
            _ => {
                let fate = stage.weighted(&[(5, Fate::Painted), (2, Fate::Fails), (1, Fate::Refused)]);
                Deed::Generate(ask("generate", stage.between(1, 2)), fate.unwrap_or(Fate::Painted))
            }
        };
        let node = self.any_node();
        self.start(node, Some(user), Behind::Nothing, deed);
    }

    /// The platform tells something: truly or not, to any process, in any order; or it gets lost on the way.
    fn tell_notice(&mut self) {
        let stage = self.theatre.stage.clone();
        let due = self.theatre.channel.due();
        if due.is_empty() {
            return;
        }
        let place = due[stage.below(due.len())];
        let bad = stage.chance(stage.weather().notices);
        let telling = if bad {
            let lies = [
                (3, None),
                (1, Some(Telling::Forged)),
                (1, Some(Telling::WrongAmount)),
                (1, Some(Telling::WrongPayer)),
                (1, Some(Telling::WrongMerchant)),
                (2, Some(Telling::Plain)),
            ];
            stage.weighted(&lies).flatten()
        } else {
            Some(Telling::Plain)
        };
        let Some(telling) = telling else {
            stage.log(format_args!("notice {place} is lost"));
            return self.theatre.channel.put_off(place);
        };
        let copies = if bad && telling == Telling::Plain { 1 + stage.below(3) } else { 1 };
        for _ in 0..copies {
            let Some((notify, is_payment)) = self.theatre.channel.tell(place, telling) else { return };
            stage.log(format_args!("notice {place} {telling:?}"));
            let deed = if is_payment { Deed::TellPayment(notify) } else { Deed::TellRefund(notify) };
            let node = self.any_node();
            self.start(node, None, Behind::Notice(place, telling), deed);
        }
    }

    fn tell_event(&mut self) {
        let stage = self.theatre.stage.clone();
        let due = self.theatre.painter.due();
        if due.is_empty() {
            return;
        }
        let place = due[stage.below(due.len())];
        if stage.chance(stage.weather().notices / 2.0) {
            stage.log(format_args!("event {place} is lost"));
            return self.theatre.painter.put_off(place);
        }
        let forged = stage.chance(stage.weather().notices / 4.0);
        let copies = if stage.chance(stage.weather().notices / 4.0) { 2 } else { 1 };
        for _ in 0..copies {
            let Some((signature, body)) = self.theatre.painter.tell(place, forged) else { return };
            let node = self.any_node();
            self.start(node, None, Behind::Event(place, forged), Deed::TellEvent(signature, body));
        }
    }

    fn works(&self, node: usize) -> bool {
        self.running.iter().any(|running| running.node == node && running.behind == Behind::Worker)
    }

    fn send_worker(&mut self) {
        let node = self.any_node();
        if !self.works(node) {
            self.start(node, None, Behind::Worker, Deed::Work);
        }
    }

    /// A phone pays, perhaps once more than it should.
    fn pay(&mut self) {
        let stage = self.theatre.stage.clone();
        let orders: Vec<OrderId> = self.payable.iter().cloned().collect();
        if orders.is_empty() {
            return;
        }
        let order = &orders[stage.below(orders.len())];
        let again = stage.chance(0.5);
        let paid = self.theatre.channel.pay(order.as_str(), again);
        stage.log(format_args!("the phone pays {order}: {paid:?}"));
        if paid.is_none() || !stage.chance(0.2) {
            self.payable.remove(order);
        }
    }

    async fn pass_time(&mut self) {
        let stage = self.theatre.stage.clone();
        let now = stage.now();
        // Idempotency keys are kept for a week.
        let days = u32::from(now.since(Timestamp::from_secs(START)) < Duration::from_hours(100));
        let secs = stage.weighted(&[
            (10, 1),
            (10, 3),
            (8, 16),
            (4, 65),
            (3, 130),
            (2, 1000),
            (1, 4000),
            (days, 90_000),
        ]);
        let next = self.next_due().await;
        let at = match next {
            Some(next) if next > now && stage.chance(0.4) => next,
            _ => now.plus(Duration::from_secs(secs.unwrap_or(1))),
        };
        stage.advance_to(at);
        stage.log(format_args!("time passes"));
    }

    /// When something is due next, here or outside.
    async fn next_due(&self) -> Option<Timestamp> {
        let theatre = &self.theatre;
        let due = theatre
            .books
            .texts("SELECT CAST(min(max(due_at, coalesce(leased_until, 0))) AS TEXT) FROM outbox")
            .await;
        let ours = due.first().and_then(|at| at.parse().ok()).map(Timestamp::from_micros);
        [ours, theatre.channel.next_due(), theatre.painter.next_due()].into_iter().flatten().min()
    }

    /// A process dies: now, or in the middle of what it does to the database next.
    async fn act_of_death(&mut self) -> Outcome {
        let node = self.any_node();
        let stage = self.theatre.stage.clone();
        if stage.chance(0.6) {
            let steps = u32::try_from(stage.below(40)).unwrap_or(0);
            stage.log(format_args!("node {node} will die in {steps} steps"));
            stage.doom(node, steps);
            return Ok(());
        }
        self.bury(node).await
    }

    /// All that the process was at is gone; another takes its place.
    async fn bury(&mut self, node: usize) -> Outcome {
        let stage = self.theatre.stage.clone();
        stage.log(format_args!("node {node} dies"));
        stage.forget_doom();
        self.figures.deaths += 1;
        let (dead, alive): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.running).into_iter().partition(|running| running.node == node);
        self.running = alive;
        for running in dead {
            if running.handle.is_finished() {
                self.take_note(running).await?;
                continue;
            }
            running.handle.abort();
            if let Err(error) = running.handle.await
                && error.is_panic()
            {
                return Err(format!("deed {} broke down", running.number));
            }
            match running.behind {
                Behind::Notice(place, _) => self.theatre.channel.put_off(place),
                Behind::Event(place, _) => self.theatre.painter.put_off(place),
                Behind::Nothing | Behind::Worker => {}
            }
        }
        stage.quiet().await;
        if stage.chance(0.2) {
            self.theatre.restart(node).await;
            for user in &mut self.users {
                let token = BearerToken::new(user.token.clone());
                // Who is gone or was signed in too long ago keeps what opens nothing any more.
                if let Ok(session) = self.theatre.nodes[node].dream.session(&token).await {
                    user.sessions[node] = Arc::new(session);
                }
            }
            self.theatre.nodes[node].gate.set_open(false);
        }
        self.audit().await
    }

    /// The whole of the books, and that nothing is gone that somebody was promised.
    async fn audit(&self) -> Outcome {
        let theatre = &self.theatre;
        let mut report = theatre.auditor.audit().await.map_err(|error| error.chain())?;
        // The channel gives up refunds at times, and nobody here asks for them again by hand.
        report.findings.retain(|finding| finding.rule != AuditRule::SurplusGoesBack);
        if !report.is_clean() {
            return Err(format!("the audit finds {:?}", report.findings));
        }
        let books = &theatre.books;
        let orders = books.pairs("SELECT order_id, CAST(amount AS TEXT) FROM orders").await;
        for (order, amount) in &self.promises.orders {
            if orders.get(order.as_str()) != Some(&amount.to_string()) {
                return Err(format!("order {order} is gone"));
            }
        }
        let jobs = books.set("SELECT job_id FROM generations").await;
        if let Some(job) = self.promises.jobs.iter().find(|job| !jobs.contains(job.as_str())) {
            return Err(format!("job {job} is gone"));
        }
        let refunds = books.set("SELECT refund_id FROM refunds").await;
        if let Some(refund) = self.promises.refunds.iter().find(|refund| !refunds.contains(*refund)) {
            return Err(format!("refund {refund} is gone"));
        }
        let grants = books.texts("SELECT CAST(id AS TEXT) FROM ledger_entries WHERE cause = 'admin'").await;
        if grants.len() < self.promises.grants {
            return Err("a grant is gone".to_owned());
        }
        let faults = books
            .texts("SELECT kind || ': ' || last_error FROM outbox WHERE last_error LIKE 'INTERNAL%'")
            .await;
        match faults.first() {
            Some(fault) => Err(format!("a task found us at fault: {fault}")),
            None => Ok(()),
        }
    }

    /// The weather is fine: everything comes to its end, in bounded time.
    async fn end(&mut self) -> Outcome {
        let stage = self.theatre.stage.clone();
        let until = stage.now().plus(LAST_SPAN);
        for _ in 0..LAST_TURNS {
            self.figures.turns += 1;
            self.rest().await?;
            if stage.let_one_go() {
                continue;
            }
            if let Some(stuck) = self.running.first() {
                return Err(format!("deed {} waits for nothing", stuck.number));
            }
            if !self.theatre.channel.due().is_empty() {
                self.tell_notice();
                continue;
            }
            if !self.theatre.painter.due().is_empty() {
                self.tell_event();
                continue;
            }
            let next = self.next_due().await;
            match next {
                Some(at) if at <= stage.now() => self.send_worker(),
                Some(at) if at <= until && !self.is_over().await => stage.advance_to(at),
                _ => break,
            }
        }
        self.last_look().await
    }

    /// Whether nothing is left to do but housekeeping.
    async fn is_over(&self) -> bool {
        let theatre = &self.theatre;
        let waiting = theatre.books.texts("SELECT subject FROM outbox WHERE kind <> 'housekeeping'").await;
        waiting.is_empty() && theatre.channel.next_due().is_none() && theatre.painter.next_due().is_none()
    }

    async fn last_look(&mut self) -> Outcome {
        let books = &self.theatre.books;
        let open = books
            .texts(
                "SELECT 'job ' || job_id || ' is ' || status FROM generations WHERE completed_at IS NULL \
                 UNION ALL SELECT 'order ' || order_id || ' waits' FROM orders WHERE status = 'PENDING' \
                 UNION ALL SELECT 'refund ' || refund_id || ' is under way' FROM refunds WHERE status = 'PROCESSING' \
                 UNION ALL SELECT 'task ' || kind || ' ' || subject || ' ' || coalesce(last_error, '') FROM outbox \
                 WHERE kind <> 'housekeeping'",
            )
            .await;
        if !open.is_empty() {
            return Err(format!("not at its end: {}", open.join("; ")));
        }
        self.reconcile().await?;
        self.audit().await?;
        self.compare_money().await?;
        self.compare_jobs().await?;
        self.compare_objects().await
    }

    /// Each day's bill is compared, which finds what was never told.
    async fn reconcile(&mut self) -> Outcome {
        let stage = self.theatre.stage.clone();
        let zone = Zone::default();
        let mut day = zone.day(Timestamp::from_secs(START));
        let last = zone.day(stage.now());
        stage.advance_to(zone.start_of(last.next()).plus(Duration::from_hours(11)));
        while day <= last {
            self.start(0, None, Behind::Nothing, Deed::Reconcile(day));
            loop {
                self.rest().await?;
                if !stage.let_one_go() {
                    break;
                }
            }
            day = day.next();
        }
        // What was found may have to go back.
        for _ in 0..LAST_TURNS {
            self.rest().await?;
            if stage.let_one_go() {
                continue;
            }
            match self.next_due().await {
                Some(at) if at <= stage.now() => self.send_worker(),
                Some(at) if !self.is_over().await => stage.advance_to(at),
                _ => return Ok(()),
            }
            if !self.theatre.channel.due().is_empty() {
                self.tell_notice();
            }
        }
        Err("what was found in the bills does not come to its end".to_owned())
    }

    /// What the platform took and gave is what the books say.
    async fn compare_money(&self) -> Outcome {
        let theatre = &self.theatre;
        let ours =
            theatre.books.pairs("SELECT transaction_id, order_id || ' ' || amount FROM payments").await;
        let theirs = theatre.channel.payments();
        for (order, transaction, amount) in &theirs {
            if ours.get(transaction) != Some(&format!("{order} {amount}")) {
                return Err(format!("payment {transaction} of {order} is not in the books"));
            }
        }
        if ours.len() != theirs.len() {
            return Err("a payment is in the books that nobody made".to_owned());
        }
        let ours = theatre
            .books
            .pairs("SELECT refund_id, transaction_id || ' ' || amount || ' ' || status FROM refunds")
            .await;
        for (refund, transaction, amount, state) in theatre.channel.refunds() {
            let status = if matches!(state, RefundState::Succeeded(_)) { "SUCCEEDED" } else { "FAILED" };
            if ours.get(&refund) != Some(&format!("{transaction} {amount} {status}")) {
                return Err(format!("refund {refund} is {state:?} there, and here {:?}", ours.get(&refund)));
            }
        }
        let surplus = theatre
            .books
            .texts(
                "SELECT transaction_id FROM payments p WHERE surplus AND NOT EXISTS (SELECT 1 FROM refunds r \
                 WHERE r.transaction_id = p.transaction_id)",
            )
            .await;
        match surplus.first() {
            Some(transaction) => Err(format!("payment {transaction} is one too many, and does not go back")),
            None => Ok(()),
        }
    }

    /// One job there for each that was submitted, with the same end.
    async fn compare_jobs(&self) -> Outcome {
        let theatre = &self.theatre;
        let ours = theatre
            .books
            .pairs(
                "SELECT 'dream-' || job_id, CASE WHEN error_code IN ('UPSTREAM_UNAVAILABLE', 'UPSTREAM_TIMEOUT') THEN '' \
                 ELSE status || ' ' || coalesce(upstream_id, '-') END FROM generations",
            )
            .await;
        let mut keys = BTreeSet::new();
        for (key, id, state) in theatre.painter.jobs() {
            let Some(record) = ours.get(&key) else { return Err(format!("nobody asked for {key}")) };
            if !keys.insert(key.clone()) {
                return Err(format!("{key} was made twice"));
            }
            let same = *record == format!("{} {id}", state.as_str());
            // A user who left takes no interest in the end of a job, and after an hour nobody does.
            let left =
                record.starts_with(JobState::Canceled.as_str()) && self.users.iter().any(|user| user.gone);
            if !same && !left && !record.is_empty() {
                return Err(format!("{key} is {} there, and here {record}", state.as_str()));
            }
        }
        Ok(())
    }

    /// Every picture that a row names is there.
    async fn compare_objects(&self) -> Outcome {
        let theatre = &self.theatre;
        for list in theatre.books.texts("SELECT result_urls FROM generations").await {
            let urls: Vec<String> = serde_json::from_str(&list).map_err(|error| error.to_string())?;
            let ours = urls.iter().filter_map(|url| theatre.shelf.key_of(url));
            let lost = ours.into_iter().find(|key: &BlobKey| !theatre.shelf.has(key));
            if let Some(key) = lost {
                return Err(format!("object {key} is gone"));
            }
        }
        Ok(())
    }

    fn count(&mut self) {
        self.figures.commits = self.theatre.stage.commits();
        self.figures.payments = self.theatre.channel.payments().len() as u64;
        self.figures.refunds = self.theatre.channel.refunds().len() as u64;
        self.figures.jobs = self.theatre.painter.jobs().len() as u64;
    }
}

/// A key that was answered once is answered the same ever after.
fn answered(promises: &mut Promises, ask: &Ask, subject: &str) -> Outcome {
    let Some(key) = ask.key else { return Ok(()) };
    let (body, first) =
        promises.answers.entry((ask.user, ask.kind, key)).or_insert_with(|| (ask.body, subject.to_owned()));
    if *body == ask.body && first == subject {
        return Ok(());
    }
    Err(format!("{ask:?} was answered {subject}, and before {first} for {body}"))
}

/// A deed without what would be too long for a line.
fn name(deed: &Deed) -> String {
    match deed {
        Deed::TellPayment(_) => "a payment is told".to_owned(),
        Deed::TellRefund(_) => "a refund is told".to_owned(),
        Deed::TellEvent(..) => "an event is told".to_owned(),
        other => format!("{other:?}"),
    }
}
