//! Scripts of trouble: which call goes wrong, and how. Programs set them by [`Faults`]; over HTTP they come as the JSON
//! of [`FaultRule`].

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use dream_core::ports::Clock;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::fakes::lock;
use crate::fakes::server::FakeResponse;

/// The operation name that stands for all of them.
pub const ANY: &str = "*";

/// Faults that are remembered for [`Faults::fired`].
const FIRED_KEPT: usize = 1024;

/// What goes wrong.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::ports::JobState;
/// use dream_testkit::fakes::image_api::operation;
/// use dream_testkit::faults::Fault;
///
/// let faults = world.image_api().faults();
/// // A gateway's page, then an answer that is lost on its way.
/// faults.next(operation::SUBMIT, Fault::html(502));
/// faults.next(operation::SUBMIT, Fault::DropAfter);
/// let alice = world.alice().await;
/// let job = alice.generates("a cat").await.job_id;
/// world.settle().await;
/// assert_eq!(alice.job(&job).await.state, JobState::Succeeded);
/// assert_eq!(world.image_api().jobs().len(), 1, "and none was made twice");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// Waits, then does as usual: the request takes effect late.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Does as usual, but answers late.
    DelayAfter {
        /// Milliseconds.
        ms: u64,
    },
    /// Answers this in place of doing anything.
    Status {
        /// The HTTP status.
        status: u16,
        /// The body.
        #[serde(default)]
        body: String,
        /// Whether the body is a web page rather than JSON.
        #[serde(default)]
        html: bool,
        /// `Retry-After`, in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Closes the connection without doing anything.
    Drop,
    /// Does as usual, then closes the connection in place of answering.
    DropAfter,
    /// Does as usual; the connection breaks in the middle of the answer.
    Truncate,
    /// Does as usual; the body is cut in half, although HTTP says that it is whole.
    Corrupt,
    /// Something that only this fake knows; its documentation lists the names.
    Special {
        /// Such as `cancel_race`.
        name: String,
    },
}

impl Fault {
    /// Waits this long, then does as usual.
    ///
    /// ```
    /// use dream_testkit::faults::Fault;
    /// use std::time::Duration;
    ///
    /// assert_eq!(Fault::delay(Duration::from_secs(3)), Fault::Delay { ms: 3000 });
    /// ```
    pub fn delay(span: Duration) -> Self {
        Fault::Delay { ms: millis(span) }
    }

    /// Does as usual, but answers this much later.
    ///
    /// ```
    /// use dream_testkit::faults::Fault;
    /// use std::time::Duration;
    ///
    /// // Longer than the caller waits: it is done, and the caller does not know.
    /// assert_eq!(Fault::delay_after(Duration::from_mins(1)), Fault::DelayAfter { ms: 60_000 });
    /// ```
    pub fn delay_after(span: Duration) -> Self {
        Fault::DelayAfter { ms: millis(span) }
    }

    /// Answers this status with this JSON in place of doing anything.
    ///
    /// ```
    /// use dream_testkit::faults::Fault;
    ///
    /// let full = Fault::status(503, r#"{"code":"SERVICE_OVERLOAD"}"#);
    /// assert!(matches!(full, Fault::Status { status: 503, html: false, retry_after: None, .. }));
    /// ```
    pub fn status(status: u16, body: impl Into<String>) -> Self {
        Fault::Status { status, body: body.into(), html: false, retry_after: None }
    }

    /// Answers a gateway's web page in place of doing anything.
    ///
    /// ```
    /// use dream_testkit::faults::Fault;
    ///
    /// // What stands before a service answers in its place, and no JSON.
    /// let Fault::Status { body, html, .. } = Fault::html(502) else { panic!("it is an answer") };
    /// assert!(html && body.contains("<html>"));
    /// ```
    pub fn html(status: u16) -> Self {
        let body = FakeResponse::gateway_page(status_code(status)).body;
        Fault::Status {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
            html: true,
            retry_after: None,
        }
    }

    /// Something that only the fake at hand knows.
    ///
    /// ```
    /// use dream_testkit::faults::Fault;
    ///
    /// // The payer pays just before the order is closed.
    /// assert_eq!(Fault::special("pay_before"), Fault::Special { name: "pay_before".to_owned() });
    /// ```
    pub fn special(name: impl Into<String>) -> Self {
        Fault::Special { name: name.into() }
    }

    /// A [`Fault::Status`] that also says when to come back.
    ///
    /// ```
    /// use dream_testkit::faults::Fault;
    ///
    /// let busy = Fault::status(429, "").with_retry_after(30);
    /// assert!(matches!(busy, Fault::Status { retry_after: Some(30), .. }));
    /// assert_eq!(Fault::Drop.with_retry_after(30), Fault::Drop, "without an answer there is no header");
    /// ```
    #[must_use]
    pub fn with_retry_after(mut self, secs: u64) -> Self {
        if let Fault::Status { retry_after, .. } = &mut self {
            *retry_after = Some(secs);
        }
        self
    }
}

/// Which calls of the operation go wrong, counted from when the rule is set.
///
/// ```
/// use dream_testkit::faults::{Fault, FaultRule, Faults, When};
///
/// let faults = Faults::default();
/// let when = When::Call { number: 2 };
/// faults.add(FaultRule { operation: "submit".to_owned(), when, fault: Fault::Drop });
/// assert_eq!(faults.strike("submit"), None);
/// assert_eq!(faults.strike("submit"), Some(Fault::Drop), "the second call, and no other");
/// assert_eq!(faults.strike("submit"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "when", rename_all = "snake_case")]
pub enum When {
    /// The next so many.
    Next {
        /// How many.
        count: u64,
    },
    /// Just one of them.
    Call {
        /// 1 for the next one.
        number: u64,
    },
    /// All, until the rules are cleared.
    Always,
    /// Each by chance.
    Probability {
        /// From 0 to 1.
        p: f64,
        /// Makes the dice.
        seed: u64,
    },
}

/// One line of a script.
///
/// ```
/// use dream_testkit::faults::{Fault, FaultRule, When};
///
/// // As the control page of the sandbox sends it.
/// let rule: FaultRule = serde_json::from_str(
///     r#"{"operation":"login","when":"next","count":3,"fault":{"kind":"status","status":500}}"#,
/// ).unwrap();
/// assert_eq!((rule.when, rule.fault), (When::Next { count: 3 }, Fault::status(500, "")));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultRule {
    /// The operation, by the name that the fake gives it; [`ANY`] for all.
    pub operation: String,
    /// Which of its calls.
    #[serde(flatten)]
    pub when: When,
    /// What happens to them.
    pub fault: Fault,
}

#[derive(Debug)]
struct Armed {
    rule: FaultRule,
    calls: u64,
    dice: fastrand::Rng,
}

impl Armed {
    fn new(rule: FaultRule) -> Self {
        let seed = if let When::Probability { seed, .. } = rule.when { seed } else { 0 };
        Self { rule, calls: 0, dice: fastrand::Rng::with_seed(seed) }
    }

    /// Counts a call of the operation and says whether it goes wrong.
    fn strikes(&mut self) -> bool {
        self.calls += 1;
        match self.rule.when {
            When::Next { count } => self.calls <= count,
            When::Call { number } => self.calls == number,
            When::Always => true,
            When::Probability { p, .. } => self.dice.f64() < p,
        }
    }

    fn is_spent(&self) -> bool {
        match self.rule.when {
            When::Next { count } => self.calls >= count,
            When::Call { number } => self.calls >= number,
            When::Always | When::Probability { .. } => false,
        }
    }
}

#[derive(Debug, Default)]
struct Script {
    rules: Vec<Armed>,
    fired: VecDeque<(String, Fault)>,
}

/// The script of one fake. The first rule that strikes decides; rules of [`When::Next`] queue up behind each other.
///
/// ```
/// use dream_testkit::faults::{Fault, Faults};
///
/// let faults = Faults::default();
/// faults.next_n("submit", 2, Fault::status(500, ""));
/// faults.probability("job", 0.5, 1, Fault::Drop);
/// assert_eq!(faults.rules().len(), 2);
/// assert!(faults.strike("submit").is_some());
/// assert_eq!(faults.fired().len(), 1, "what went wrong so far");
/// faults.clear();
/// assert_eq!(faults.strike("submit"), None);
/// ```
#[derive(Debug, Default)]
pub struct Faults {
    script: Mutex<Script>,
}

impl Faults {
    /// The next call goes wrong.
    ///
    /// ```
    /// use dream_testkit::faults::{Fault, Faults};
    ///
    /// let faults = Faults::default();
    /// faults.next("submit", Fault::Drop);
    /// faults.next("submit", Fault::html(502));
    /// // One after the other, and then all is well again.
    /// assert_eq!(faults.strike("submit"), Some(Fault::Drop));
    /// assert_eq!(faults.strike("submit"), Some(Fault::html(502)));
    /// assert_eq!(faults.strike("submit"), None);
    /// ```
    pub fn next(&self, operation: &str, fault: Fault) {
        self.next_n(operation, 1, fault);
    }

    /// The next so many calls go wrong.
    ///
    /// ```
    /// use dream_testkit::faults::{Fault, Faults};
    ///
    /// let faults = Faults::default();
    /// faults.next_n("job", 3, Fault::Truncate);
    /// assert_eq!((0..5).filter(|_| faults.strike("job").is_some()).count(), 3);
    /// ```
    pub fn next_n(&self, operation: &str, count: u64, fault: Fault) {
        self.add(FaultRule { operation: operation.to_owned(), when: When::Next { count }, fault });
    }

    /// Only the call of this number from now on goes wrong; 1 is the next one.
    ///
    /// ```
    /// use dream_testkit::faults::{Fault, Faults};
    ///
    /// let faults = Faults::default();
    /// // Two pages of a list come through, the third does not.
    /// faults.on_call("list", 3, Fault::Drop);
    /// let struck: Vec<_> = (1..=4).filter(|_| faults.strike("list").is_some()).collect();
    /// assert_eq!(struck, [3]);
    /// ```
    pub fn on_call(&self, operation: &str, number: u64, fault: Fault) {
        self.add(FaultRule { operation: operation.to_owned(), when: When::Call { number }, fault });
    }

    /// Every call goes wrong until [`Faults::clear`].
    ///
    /// ```
    /// use dream_testkit::faults::{ANY, Fault, Faults};
    ///
    /// let faults = Faults::default();
    /// faults.always(ANY, Fault::status(500, ""));
    /// assert!(["submit", "job", "cancel"].iter().all(|operation| faults.strike(operation).is_some()));
    /// ```
    pub fn always(&self, operation: &str, fault: Fault) {
        self.add(FaultRule { operation: operation.to_owned(), when: When::Always, fault });
    }

    /// Calls go wrong by chance; the same seed makes the same ones go wrong.
    ///
    /// ```
    /// use dream_testkit::faults::{Fault, Faults};
    ///
    /// let struck = |seed| {
    ///     let faults = Faults::default();
    ///     faults.probability("job", 0.3, seed, Fault::Drop);
    ///     (0..100).map(|_| faults.strike("job").is_some()).collect::<Vec<_>>()
    /// };
    /// assert_eq!(struck(7), struck(7));
    /// assert_ne!(struck(7), struck(8));
    /// ```
    pub fn probability(&self, operation: &str, p: f64, seed: u64, fault: Fault) {
        self.add(FaultRule { operation: operation.to_owned(), when: When::Probability { p, seed }, fault });
    }

    /// Adds a rule behind the others.
    ///
    /// ```
    /// use dream_testkit::faults::{Fault, FaultRule, Faults, When};
    ///
    /// let faults = Faults::default();
    /// let (operation, when) = ("put".to_owned(), When::Next { count: 1 });
    /// faults.add(FaultRule { operation, when, fault: Fault::DropAfter });
    /// assert_eq!(faults.strike("put"), Some(Fault::DropAfter));
    /// ```
    pub fn add(&self, rule: FaultRule) {
        lock(&self.script).rules.push(Armed::new(rule));
    }

    /// The rules that can still strike.
    ///
    /// ```
    /// use dream_testkit::faults::{Fault, Faults};
    ///
    /// let faults = Faults::default();
    /// faults.next("submit", Fault::Drop);
    /// assert_eq!(faults.rules()[0].operation, "submit");
    /// faults.strike("submit");
    /// assert!(faults.rules().is_empty(), "it has had its turn: the test met what it was written for");
    /// ```
    pub fn rules(&self) -> Vec<FaultRule> {
        lock(&self.script).rules.iter().map(|armed| armed.rule.clone()).collect()
    }

    /// Drops all rules.
    ///
    /// ```
    /// use dream_testkit::faults::{Fault, Faults};
    ///
    /// let faults = Faults::default();
    /// faults.always("job", Fault::Drop);
    /// assert!(faults.strike("job").is_some());
    /// // The neighbour recovers.
    /// faults.clear();
    /// assert!(faults.strike("job").is_none());
    /// ```
    pub fn clear(&self) {
        lock(&self.script).rules.clear();
    }

    /// What went wrong so far, oldest first: operation and fault.
    ///
    /// ```
    /// use dream_testkit::faults::{Fault, Faults};
    ///
    /// let faults = Faults::default();
    /// faults.next("submit", Fault::Drop);
    /// faults.strike("submit");
    /// faults.strike("submit");
    /// assert_eq!(faults.fired(), [("submit".to_owned(), Fault::Drop)]);
    /// ```
    pub fn fired(&self) -> Vec<(String, Fault)> {
        lock(&self.script).fired.iter().cloned().collect()
    }

    /// Counts a call of the operation and tells its fault.
    ///
    /// ```
    /// use dream_testkit::faults::{Fault, Faults};
    ///
    /// // For a stand-in of one's own that speaks no HTTP.
    /// let faults = Faults::default();
    /// faults.next("charge", Fault::Drop);
    /// let charge = || if faults.strike("charge").is_some() { Err("no answer") } else { Ok(()) };
    /// assert_eq!((charge(), charge()), (Err("no answer"), Ok(())));
    /// ```
    pub fn strike(&self, operation: &str) -> Option<Fault> {
        let mut script = lock(&self.script);
        let is_meant = |armed: &Armed| armed.rule.operation == operation || armed.rule.operation == ANY;
        let mut hit = None;
        for armed in script.rules.iter_mut().filter(|armed| is_meant(armed)) {
            if hit.is_some() && matches!(armed.rule.when, When::Next { .. }) {
                // It has not had its turn yet.
                continue;
            }
            if armed.strikes() && hit.is_none() {
                hit = Some(armed.rule.fault.clone());
            }
        }
        script.rules.retain(|armed| !armed.is_spent());
        if let Some(fault) = &hit {
            if script.fired.len() == FIRED_KEPT {
                script.fired.pop_front();
            }
            script.fired.push_back((operation.to_owned(), fault.clone()));
        }
        hit
    }

    /// Does the work of the operation under the script. The work gets the name of a [`Fault::Special`], if there is one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use dream_testkit::clock::TestClock;
    /// use dream_testkit::fakes::server::FakeResponse;
    /// use dream_testkit::faults::{Fault, Faults};
    /// use http::StatusCode;
    ///
    /// let (faults, clock) = (Faults::default(), TestClock::default());
    /// faults.next("greet", Fault::status(500, "{}"));
    /// // How a fake of one's own answers each request.
    /// let greet = || {
    ///     let work = |_special: Option<String>| async { FakeResponse::text(StatusCode::OK, "hello") };
    ///     faults.around(&clock, "greet", work)
    /// };
    /// assert_eq!(greet().await.status, 500);
    /// assert_eq!(greet().await.body, "hello");
    /// # }
    /// ```
    pub async fn around<W, F>(&self, clock: &dyn Clock, operation: &str, work: W) -> FakeResponse
    where
        W: FnOnce(Option<String>) -> F,
        F: Future<Output = FakeResponse>,
    {
        let Some(fault) = self.strike(operation) else { return work(None).await };
        let note = format!("fault: {fault:?}");
        let answer = match fault {
            Fault::Delay { ms } => {
                clock.sleep(Duration::from_millis(ms)).await;
                work(None).await
            }
            Fault::DelayAfter { ms } => work(None).await.after(Duration::from_millis(ms)),
            Fault::Status { status, body, html, retry_after } => plain(status, body, html, retry_after),
            Fault::Drop => FakeResponse::dropped(),
            Fault::DropAfter => work(None).await.lost(),
            Fault::Truncate => work(None).await.truncated(),
            Fault::Corrupt => work(None).await.corrupted(),
            Fault::Special { name } => work(Some(name)).await,
        };
        answer.noted(note)
    }
}

fn plain(status: u16, body: String, html: bool, retry_after: Option<u64>) -> FakeResponse {
    let content_type = if html { "text/html" } else { "application/json; charset=utf-8" };
    let answer = FakeResponse::new(status_code(status), content_type, body);
    match retry_after {
        Some(secs) => answer.with_header("retry-after", &secs.to_string()),
        None => answer,
    }
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
