//! What becomes of a job: a plan made when it is submitted, read off by the clock.

use std::time::Duration;

use dream_core::kernel::Timestamp;
use dream_core::ports::Entropy;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a job stands, by the API's names.
///
/// ```
/// use dream_testkit::fakes::image_api::Status;
///
/// assert!(Status::Queued.is_cancelable() && !Status::Running.is_cancelable());
/// assert!(Status::Failed.is_final());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Waits.
    Queued,
    /// Is worked on.
    Running,
    /// Is going to be tried again.
    Retrying,
    /// Has pictures.
    Succeeded,
    /// Has none and never will.
    Failed,
    /// Was called off before it started.
    Canceled,
}

impl Status {
    /// Whether it never changes again.
    pub fn is_final(self) -> bool {
        matches!(self, Status::Succeeded | Status::Failed | Status::Canceled)
    }

    /// Whether the job can still be called off.
    pub fn is_cancelable(self) -> bool {
        matches!(self, Status::Queued | Status::Retrying)
    }
}

/// Why a job failed.
///
/// ```
/// use dream_testkit::fakes::image_api::JobError;
///
/// assert_eq!(JobError::new("TIMEOUT").message, "the model did not answer in time");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// Such as `TIMEOUT`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl JobError {
    /// An error of this code with a text that goes with it.
    pub fn new(code: &str) -> Self {
        let message = match code {
            "TIMEOUT" => "the model did not answer in time",
            "CONTENT_POLICY_VIOLATION" => "the prompt was refused",
            "INSUFFICIENT_CREDITS" => "the account has no credits left",
            _ => "the job failed",
        };
        Self { code: code.to_owned(), message: message.to_owned() }
    }
}

/// How long jobs take.
///
/// ```
/// use dream_testkit::fakes::image_api::Pace;
/// use std::time::Duration;
///
/// // A final picture takes 40 s to 100 s, as measured at the real one; here a hundredth of that.
/// let pace = Pace::times(100.0);
/// assert_eq!((pace.speed, pace.polished), (100.0, (Duration::from_secs(40), Duration::from_secs(100))));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Everything is this much faster.
    pub speed: f64,
    /// How long a job waits before it starts.
    pub queue: Duration,
    /// Shortest and longest time of a draft.
    pub draft: (Duration, Duration),
    /// Of a final picture.
    pub polished: (Duration, Duration),
    /// Of a picture made from another one.
    pub from_picture: (Duration, Duration),
    /// Of a picture of 4K.
    pub four_k: (Duration, Duration),
}

impl Default for Pace {
    /// As measured at the real one.
    fn default() -> Self {
        let span = |from, to| (Duration::from_secs(from), Duration::from_secs(to));
        Self {
            speed: 1.0,
            queue: Duration::from_secs(2),
            draft: span(15, 30),
            polished: span(40, 100),
            from_picture: span(70, 200),
            four_k: span(130, 330),
        }
    }
}

impl Pace {
    /// The usual times divided by this.
    pub fn times(speed: f64) -> Self {
        Self { speed, ..Self::default() }
    }

    /// Waiting and working time of one job.
    fn draw(&self, asked: &Asked, dice: &dyn Entropy) -> (Duration, Duration) {
        let (shortest, longest) = if asked.resolution.as_deref() == Some("4K") {
            self.four_k
        } else if asked.input_image_url.is_some() || asked.input_image.is_some() {
            self.from_picture
        } else if asked.mode.as_deref() == Some("draft") {
            self.draft
        } else {
            self.polished
        };
        let mut byte = [0];
        dice.fill(&mut byte);
        let work = shortest + longest.saturating_sub(shortest) * u32::from(byte[0]) / 255;
        let faster = |span: Duration| {
            Duration::try_from_secs_f64(span.as_secs_f64() / self.speed).unwrap_or(Duration::ZERO)
        };
        (faster(self.queue), faster(work))
    }
}

/// What a submission says, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    pub(super) prompt: String,
    pub(super) mode: Option<String>,
    pub(super) resolution: Option<String>,
    pub(super) aspect_ratio: Option<String>,
    pub(super) sample_count: Option<u32>,
    pub(super) input_image_url: Option<String>,
    pub(super) input_image: Option<String>,
}

impl Asked {
    /// Reads a submission, or says what is wrong with it. `null` is wrong: fields that are not wanted are left out.
    pub(super) fn read(body: &Value) -> Result<Self, String> {
        let members = body.as_object().ok_or("the body must be an object")?;
        if let Some((name, _)) = members.iter().find(|(_, value)| value.is_null()) {
            return Err(format!("{name} must not be null"));
        }
        let asked: Self = serde_json::from_value(body.clone()).map_err(|error| error.to_string())?;
        asked.check().map_err(str::to_owned)?;
        Ok(asked)
    }

    fn check(&self) -> Result<(), &'static str> {
        let one_of = |value: &Option<String>, names: &[&str]| {
            value.as_deref().is_none_or(|value| names.contains(&value))
        };
        if self.prompt.trim().is_empty() {
            Err("prompt is required")
        } else if self.has("[refuse]") {
            Err("the prompt asks to be refused")
        } else if !one_of(&self.mode, &["draft", "final"]) {
            Err("mode must be draft or final")
        } else if !one_of(&self.resolution, &["1K", "2K", "4K"]) {
            Err("resolution must be 1K, 2K or 4K")
        } else if !one_of(&self.aspect_ratio, &RATIOS) {
            Err("aspectRatio is not one of those known")
        } else if !(1..=10).contains(&self.samples()) {
            Err("sampleCount must be 1 to 10")
        } else if self.input_image_url.as_ref().is_some_and(|url| !url.starts_with("http")) {
            Err("inputImageUrl must be a URL")
        } else {
            Ok(())
        }
    }

    /// Whether the prompt has this marker.
    pub(super) fn has(&self, marker: &str) -> bool {
        self.prompt.contains(marker)
    }

    pub(super) fn samples(&self) -> u32 {
        self.sample_count.unwrap_or(1)
    }

    /// Width and height of the pictures. They are smaller than real ones: it is the shape that counts.
    pub(super) fn size(&self) -> (u32, u32) {
        let long = match (self.resolution.as_deref(), self.mode.as_deref()) {
            (Some("4K"), _) => 1024,
            (Some("2K"), _) => 768,
            (_, Some("draft")) => 256,
            _ => 512,
        };
        let ratio = self.aspect_ratio.as_deref().and_then(|ratio| ratio.split_once(':'));
        let sides = ratio.and_then(|(w, h)| Some((w.parse::<u32>().ok()?, h.parse::<u32>().ok()?)));
        let (w, h) = sides.unwrap_or((1, 1));
        let longer = w.max(h).max(1);
        (long * w / longer, long * h / longer)
    }
}

const RATIOS: [&str; 11] = ["Auto", "1:1", "9:16", "16:9", "3:4", "4:3", "3:2", "2:3", "5:4", "4:5", "21:9"];

/// A job is in this state from this instant on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at: Timestamp,
    pub(super) status: Status,
    pub(super) error: Option<JobError>,
}

impl Step {
    pub(super) fn new(at: Timestamp, status: Status) -> Self {
        Self { at, status, error: None }
    }
}

/// What is going to happen to a job, by the markers in its prompt.
pub(super) fn plan(asked: &Asked, at: Timestamp, pace: &Pace, dice: &dyn Entropy) -> Vec<Step> {
    let (queue, mut work) = pace.draw(asked, dice);
    let mut steps = vec![Step::new(at, Status::Queued)];
    if asked.has("[queued]") {
        return steps;
    }
    let start = at.plus(queue);
    steps.push(Step::new(start, Status::Running));
    if asked.has("[stuck]") {
        return steps;
    }
    if asked.has("[slow]") {
        work *= 10;
    }
    let mut end = start.plus(work);
    if asked.has("[retry]") {
        steps.push(Step::new(start.plus(work / 2), Status::Retrying));
        steps.push(Step::new(end, Status::Running));
        end = end.plus(work);
    }
    let failure = [
        ("[fail]", "TIMEOUT"),
        ("[policy]", "CONTENT_POLICY_VIOLATION"),
        ("[credits]", "INSUFFICIENT_CREDITS"),
    ];
    let error = failure.iter().find(|(marker, _)| asked.has(marker)).map(|(_, code)| JobError::new(code));
    let status = if error.is_some() { Status::Failed } else { Status::Succeeded };
    steps.push(Step { at: end, status, error });
    steps
}

/// A job.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) tenant: String,
    pub(super) key: Option<String>,
    pub(super) asked: Asked,
    pub(super) body: Value,
    steps: Vec<Step>,
    /// What it delivers in place of its pictures.
    pub(super) results: Option<Vec<String>>,
    /// Whether its end was told by webhook already, or is not going to be.
    pub(super) announced: bool,
}

impl Job {
    pub(super) fn new(
        id: String,
        tenant: String,
        key: Option<String>,
        asked: Asked,
        body: Value,
        steps: Vec<Step>,
    ) -> Self {
        Self { id, tenant, key, asked, body, steps, results: None, announced: false }
    }

    /// Where it stands at this instant.
    pub(super) fn at(&self, now: Timestamp) -> Step {
        let passed = self.steps.iter().rev().find(|step| step.at <= now);
        passed.or(self.steps.first()).cloned().unwrap_or_else(|| Step::new(now, Status::Queued))
    }

    pub(super) fn created_at(&self) -> Timestamp {
        self.steps.first().map_or(Timestamp::default(), |step| step.at)
    }

    /// When it ends, if nobody interferes.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        self.steps.iter().find(|step| step.status.is_final()).map(|step| step.at)
    }

    /// Changes its fate from now on: the plan is dropped.
    pub(super) fn force(&mut self, step: Step) {
        self.steps.retain(|planned| planned.at <= step.at);
        self.steps.push(step);
    }

    /// Starts it this instant if it waits; the rest of the plan stays.
    pub(super) fn start(&mut self, now: Timestamp) {
        if self.at(now).status.is_cancelable() {
            let place = self.steps.partition_point(|step| step.at <= now);
            self.steps.insert(place, Step::new(now, Status::Running));
        }
    }
}
