//! The checks of texts and pictures.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::push::{self, Pushed};
use super::routes::{Outcome, Refusal, app_of, body};
use super::{App, Inner};
use crate::fakes::lock;
use crate::fakes::server::FakeRequest;

/// Longest text of one check, in characters.
const MAX_CONTENT: usize = 2500;
/// Largest picture that is fetched, in bytes.
const MAX_MEDIA: usize = 10 << 20;
/// How long fetching a picture may take.
const FETCH_LIMIT: Duration = Duration::from_secs(10);
/// What the answer says of a picture that could not be fetched.
const FETCH_FAILED: i64 = -1008;

/// What WeChat thinks of content.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::{Code, ProfileUpdate};
/// use dream_testkit::fakes::wechat::Suggest;
///
/// let me = world.alice().await.session().await;
/// let update =
///     ProfileUpdate { nick_name: Some("a risky name".parse().unwrap()), ..ProfileUpdate::default() };
/// assert_eq!(me.update_profile(update).await.unwrap_err().code(), Code::ContentRejected);
/// assert_eq!(world.wechat().text_checks()[0].suggest, Suggest::Risky, "the word `risky` is in it");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suggest {
    /// Fine.
    Pass,
    /// A person should look.
    Review,
    /// Not to be shown.
    Risky,
}

impl Suggest {
    /// What the markers in the text say.
    fn of(text: &str) -> Self {
        let contains = |markers: [&str; 2]| markers.iter().any(|marker| text.contains(marker));
        if contains(["risky", "违规"]) {
            Suggest::Risky
        } else if contains(["review", "待审"]) {
            Suggest::Review
        } else {
            Suggest::Pass
        }
    }

    fn name(self) -> &'static str {
        match self {
            Suggest::Pass => "pass",
            Suggest::Review => "review",
            Suggest::Risky => "risky",
        }
    }

    /// `result` and `detail` of a text: labels are numbers in one answer and text in another, strategies disagree, and
    /// `result` alone counts.
    fn verdict(self) -> (Value, Value) {
        let name = self.name();
        let model = |label| json!({"strategy": "content_model", "errcode": 0, "suggest": name, "label": label, "prob": 90});
        match self {
            Suggest::Pass => (
                json!({"suggest": name, "label": 100}),
                json!([{"strategy": "keyword", "errcode": 0}, model(100)]),
            ),
            Suggest::Review => (json!({"suggest": name, "label": "20012"}), json!([])),
            Suggest::Risky => {
                let keyword = json!({"strategy": "keyword", "errcode": 0, "suggest": "pass", "label": 20006,
                    "level": 20, "keyword": "词"});
                (json!({"suggest": name, "label": 20001}), json!([model(20006), keyword]))
            }
        }
    }
}

/// When the verdict on a picture is pushed.
///
/// ```
/// use dream_testkit::fakes::wechat::{MediaPlan, PushPlan};
///
/// // A verdict that is lost, for a test of what becomes of the picture then.
/// let plan = MediaPlan { push: PushPlan::Never, suggest: None };
/// assert_ne!(plan, MediaPlan::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "push", rename_all = "snake_case")]
pub enum PushPlan {
    /// After the usual time.
    #[default]
    Once,
    /// After the usual time, and again.
    Twice,
    /// This much later than usual.
    Late {
        /// Milliseconds.
        ms: u64,
    },
    /// It is lost.
    Never,
}

/// What becomes of a picture.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_testkit::fakes::wechat::{MediaPlan, Suggest};
///
/// // The next picture that is handed in is refused, whatever its address says.
/// world.wechat().plan_next_media(MediaPlan { suggest: Some(Suggest::Risky), ..MediaPlan::default() });
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MediaPlan {
    /// When the verdict is pushed.
    #[serde(flatten)]
    pub push: PushPlan,
    /// The verdict; `None`: what the markers in the URL say.
    #[serde(default)]
    pub suggest: Option<Suggest>,
}

/// A text that was checked.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::ProfileUpdate;
///
/// let me = world.alice().await.session().await;
/// me.update_profile(ProfileUpdate {
///     nick_name: Some("Alice".parse().unwrap()),
///     ..ProfileUpdate::default()
/// })
/// .await?;
/// let checked = &world.wechat().text_checks()[0];
/// assert_eq!((checked.content.as_str(), checked.scene), ("Alice", 1), "1 is a profile");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TextChecked {
    /// Who wrote it.
    pub openid: String,
    /// 1 profile, 2 comment, 3 forum, 4 social log.
    pub scene: i64,
    /// The text.
    pub content: String,
    /// The verdict.
    pub suggest: Suggest,
}

/// A picture that was handed in.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # use dream_core::gallery::{Publication, category};
/// let alice = world.alice().await;
/// let job = alice.generates("a cat").await.job_id;
/// world.settle().await;
/// let publication = Publication { job, index: 0, category: category("cartoon").unwrap(), tags: vec![] };
/// alice.session().await.publish(&publication).await?;
/// world.work().await;
/// let check = &world.wechat().media_checks()[0];
/// assert_eq!((check.openid.as_str(), check.scene), ("o-alice", 3), "3 is a forum");
/// # world.settle().await;
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MediaCheck {
    /// The id under which the verdict is pushed.
    pub trace_id: String,
    /// Whose it is.
    pub openid: String,
    /// Where it was fetched.
    pub url: String,
    /// 1 profile, 2 comment, 3 forum, 4 social log.
    pub scene: i64,
    /// The verdict.
    pub suggest: Suggest,
    /// How many bytes were fetched, or why none; `None` until then.
    pub fetched: Option<Result<usize, String>>,
    /// What was pushed about it.
    pub pushes: Vec<Pushed>,
}

/// What was checked and what is planned.
#[derive(Debug, Default)]
pub(super) struct Content {
    texts: Vec<TextChecked>,
    media: Vec<MediaCheck>,
    plan: MediaPlan,
    planned: VecDeque<MediaPlan>,
}

impl Content {
    pub(super) fn texts(&self) -> Vec<TextChecked> {
        self.texts.clone()
    }

    pub(super) fn media(&self) -> Vec<MediaCheck> {
        self.media.clone()
    }

    pub(super) fn plan(&mut self, plan: MediaPlan) {
        self.plan = plan;
    }

    pub(super) fn plan_next(&mut self, plan: MediaPlan) {
        self.planned.push_back(plan);
    }

    fn of_trace(&mut self, trace_id: &str) -> Option<&mut MediaCheck> {
        self.media.iter_mut().find(|check| check.trace_id == trace_id)
    }
}

#[derive(Deserialize)]
struct TextRequest {
    content: String,
    version: i64,
    scene: i64,
    openid: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    nickname: String,
    #[serde(default)]
    signature: String,
}

impl TextRequest {
    fn verdict(&self, raw: &[u8]) -> Suggest {
        let text = [&*self.content, &self.title, &self.nickname, &self.signature].join("\n");
        // WeChat does not recognise Chinese that is written as escapes.
        if raw.windows(2).any(|pair| pair == b"\\u") {
            Suggest::of(&text.replace(|letter: char| !letter.is_ascii(), ""))
        } else {
            Suggest::of(&text)
        }
    }
}

pub(super) fn check_text(fake: &Arc<Inner>, request: &FakeRequest) -> Outcome {
    let appid = app_of(fake, request)?;
    let asked: TextRequest = body(request)?;
    check_form(asked.version, asked.scene)?;
    if asked.signature.is_empty() || asked.scene == 1 {
        if asked.content.chars().count() > MAX_CONTENT {
            return Err(45002.into());
        }
    } else {
        return Err(Refusal::new(47001, "signature is for scene 1"));
    }
    let now = fake.now();
    let mut state = lock(&fake.state);
    let limit = fake.options.limits.text_checks_per_minute;
    state.count(format!("text {appid}"), now.as_secs() / 60, limit, 45009)?;
    state.accounts.check_active(&appid, &asked.openid, now)?;
    let suggest = asked.verdict(&request.body);
    let (result, detail) = suggest.verdict();
    let TextRequest { openid, scene, content, .. } = asked;
    state.content.texts.push(TextChecked { openid, scene, content, suggest });
    drop(state);
    Ok(json!({"errcode": 0, "errmsg": "ok", "result": result, "detail": detail, "trace_id": fake.trace_id()}))
}

fn check_form(version: i64, scene: i64) -> Result<(), Refusal> {
    if version != 2 {
        return Err(Refusal::new(47001, "version must be 2"));
    }
    if !(1..=4).contains(&scene) {
        return Err(40129.into());
    }
    Ok(())
}

#[derive(Deserialize)]
struct MediaRequest {
    media_url: String,
    media_type: i64,
    version: i64,
    scene: i64,
    openid: String,
}

pub(super) fn check_media(fake: &Arc<Inner>, request: &FakeRequest) -> Outcome {
    let appid = app_of(fake, request)?;
    let asked: MediaRequest = body(request)?;
    check_form(asked.version, asked.scene)?;
    if asked.media_type != 2 {
        return Err(Refusal::new(47001, "this fake checks pictures only: media_type 2"));
    }
    let now = fake.now();
    let trace_id = fake.trace_id();
    let mut state = lock(&fake.state);
    let limit = fake.options.limits.media_checks_per_minute;
    state.count(format!("media {appid}"), now.as_secs() / 60, limit, 45009)?;
    state.accounts.check_active(&appid, &asked.openid, now)?;
    let content = &mut state.content;
    let plan = content.planned.pop_front().unwrap_or(content.plan);
    let suggest = plan.suggest.unwrap_or_else(|| Suggest::of(&asked.media_url));
    let MediaRequest { media_url, scene, openid, .. } = asked;
    let check = MediaCheck {
        trace_id: trace_id.clone(),
        openid,
        url: media_url,
        scene,
        suggest,
        fetched: None,
        pushes: Vec::new(),
    };
    content.media.push(check.clone());
    drop(state);
    let (desk, stop) = (fake.clone(), fake.stop.clone());
    fake.pushes.spawn(async move { stop.run_until_cancelled(judge(&desk, &appid, check, plan.push)).await });
    Ok(json!({"errcode": 0, "errmsg": "ok", "trace_id": trace_id}))
}

/// Fetches the picture and pushes the verdict when its time has come.
async fn judge(fake: &Inner, appid: &str, check: MediaCheck, plan: PushPlan) {
    let fetched = fetch(fake, &check.url).await;
    let failed = fetched.is_err();
    if let Some(check) = lock(&fake.state).content.of_trace(&check.trace_id) {
        check.fetched = Some(fetched);
    }
    let times = match plan {
        PushPlan::Never => return,
        PushPlan::Twice => 2,
        PushPlan::Once | PushPlan::Late { .. } => 1,
    };
    let late = if let PushPlan::Late { ms } = plan { Duration::from_millis(ms) } else { Duration::ZERO };
    let wait = fake.options.media_delay + late;
    if !wait.is_zero() {
        fake.options.clock.sleep(wait).await;
    }
    let Some(app) = fake.options.apps.iter().find(|app| app.appid == appid) else { return };
    let event = verdict_event(app, &check, failed, fake.now().as_secs());
    for _ in 0..times {
        let pushed = push::deliver(fake, &event).await;
        if let Some(check) = lock(&fake.state).content.of_trace(&check.trace_id) {
            check.pushes.extend(pushed);
        }
    }
}

fn verdict_event(app: &App, check: &MediaCheck, failed: bool, at: i64) -> Value {
    let mut event = json!({
        "ToUserName": app.ghid,
        "FromUserName": check.openid,
        "CreateTime": at,
        "MsgType": "event",
        "Event": "wxa_media_check",
        "appid": app.appid,
        "trace_id": check.trace_id,
        "version": 2,
    });
    if failed {
        event["errcode"] = json!(FETCH_FAILED);
        event["errmsg"] = json!("fail to fetch the media");
        return event;
    }
    let suggest = check.suggest.name();
    let label = match check.suggest {
        Suggest::Pass => json!("100"),
        Suggest::Review => json!("20012"),
        Suggest::Risky => json!(20002),
    };
    event["errcode"] = json!(0);
    event["errmsg"] = json!("ok");
    event["result"] = json!({"suggest": suggest, "label": label});
    event["detail"] =
        json!([{"strategy": "content_model", "errcode": 0, "suggest": suggest, "label": label, "prob": 90}]);
    event
}

/// How many bytes the picture has. WeChat knows no WebP.
async fn fetch(fake: &Inner, url: &str) -> Result<usize, String> {
    let answer = fake.http.get(url).timeout(FETCH_LIMIT).send().await.map_err(|e| e.to_string())?;
    let answer = answer.error_for_status().map_err(|e| e.to_string())?;
    let bytes = answer.bytes().await.map_err(|e| e.to_string())?;
    if bytes.len() > MAX_MEDIA {
        return Err(format!("{} bytes are too many", bytes.len()));
    }
    match image::guess_format(&bytes) {
        Ok(
            image::ImageFormat::Png
            | image::ImageFormat::Jpeg
            | image::ImageFormat::Gif
            | image::ImageFormat::Bmp,
        ) => Ok(bytes.len()),
        Ok(other) => Err(format!("{other:?} is not taken")),
        Err(error) => Err(error.to_string()),
    }
}
