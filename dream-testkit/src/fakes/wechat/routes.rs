//! Which request is which operation, and the short ones of them.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::tokens::Granted;
use super::{Inner, accounts, answers, content, control, crypto, messages, operation};
use crate::fakes::lock;
use crate::fakes::server::{FakeRequest, FakeResponse};

/// A success's JSON, or the error code with a remark.
pub(super) type Outcome = Result<Value, Refusal>;

/// A business error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    errcode: i64,
    detail: String,
}

impl Refusal {
    pub(super) fn new(errcode: i64, detail: impl Into<String>) -> Self {
        Self { errcode, detail: detail.into() }
    }
}

impl From<i64> for Refusal {
    fn from(errcode: i64) -> Self {
        Self::new(errcode, "")
    }
}

pub(super) async fn answer(fake: Arc<Inner>, request: FakeRequest) -> FakeResponse {
    let path = request.path.clone();
    if path.starts_with("/_control/") {
        return control::answer(&fake, &request);
    }
    let Some(name) = operation_at(&path) else {
        return FakeResponse::gateway_page(StatusCode::NOT_FOUND);
    };
    *lock(&fake.state).calls.entry(name).or_default() += 1;
    let work = |_| async { reply(&fake, name, perform(&fake, name, &request)) };
    fake.faults.around(&*fake.options.clock, name, work).await
}

fn operation_at(path: &str) -> Option<&'static str> {
    Some(match path {
        "/sns/jscode2session" => operation::LOGIN,
        "/cgi-bin/stable_token" => operation::STABLE_TOKEN,
        "/cgi-bin/token" => operation::TOKEN,
        "/wxa/business/getuserphonenumber" => operation::PHONE,
        "/wxa/msg_sec_check" => operation::TEXT_CHECK,
        "/wxa/media_check_async" => operation::MEDIA_CHECK,
        "/wxa/checksession" => operation::CHECK_SESSION,
        "/cgi-bin/message/subscribe/send" => operation::SUBSCRIBE,
        _ => return None,
    })
}

fn perform(fake: &Arc<Inner>, name: &str, request: &FakeRequest) -> Outcome {
    match name {
        operation::LOGIN => login(fake, request),
        operation::STABLE_TOKEN => stable_token(fake, request),
        operation::TOKEN => token(fake, request),
        operation::PHONE => phone(fake, request),
        operation::TEXT_CHECK => content::check_text(fake, request),
        operation::MEDIA_CHECK => content::check_media(fake, request),
        operation::CHECK_SESSION => check_session(fake, request),
        _ => messages::send(fake, request),
    }
}

/// Errors come with status 200, and the answer to a login calls itself plain text.
fn reply(fake: &Inner, name: &str, outcome: Outcome) -> FakeResponse {
    let (body, note) = match outcome {
        Ok(body) => (body, None),
        Err(no) => {
            let body = answers::refusal(no.errcode, &no.detail, fake.now(), fake.random());
            (body, Some(format!("{} {}", no.errcode, answers::errmsg(no.errcode))))
        }
    };
    let content_type =
        if name == operation::LOGIN { "text/plain" } else { "application/json; encoding=utf-8" };
    let answer = FakeResponse::new(StatusCode::OK, content_type, body.to_string());
    match note {
        Some(note) => answer.noted(note),
        None => answer,
    }
}

/// The body of a `POST`.
pub(super) fn body<T: DeserializeOwned>(request: &FakeRequest) -> Result<T, Refusal> {
    if request.method != http::Method::POST {
        return Err(43002.into());
    }
    if request.body.is_empty() {
        return Err(44002.into());
    }
    request.json().map_err(|error| Refusal::new(47001, error.to_string()))
}

/// The mini-program that the request's `access_token` belongs to.
pub(super) fn app_of(fake: &Inner, request: &FakeRequest) -> Result<String, Refusal> {
    let token = request.param("access_token");
    let state = lock(&fake.state);
    Ok(state.tokens.check(token.as_deref(), fake.now())?.to_owned())
}

fn check_credentials(fake: &Inner, appid: Option<&str>, secret: Option<&str>) -> Result<String, Refusal> {
    let appid = appid.filter(|text| !text.is_empty()).ok_or(41002)?;
    let secret = secret.filter(|text| !text.is_empty()).ok_or(41004)?;
    let app = fake.options.apps.iter().find(|app| app.appid == appid).ok_or(40013)?;
    verify_slices_are_equal(app.secret.as_bytes(), secret.as_bytes()).map_err(|_| 40125)?;
    Ok(appid.to_owned())
}

fn login(fake: &Inner, request: &FakeRequest) -> Outcome {
    let (appid, secret) = (request.param("appid"), request.param("secret"));
    let appid = check_credentials(fake, appid.as_deref(), secret.as_deref())?;
    let code = request.param("js_code").filter(|code| !code.is_empty()).ok_or(41008)?;
    if request.param("grant_type").as_deref() != Some("authorization_code") {
        return Err(40002.into());
    }
    let now = fake.now();
    let mut state = lock(&fake.state);
    let session = state.accounts.exchange(&appid, &code, fake.options.sandbox_codes, now)?;
    let limit = fake.options.limits.logins_per_minute;
    state.count(format!("login {}", session.openid), now.as_secs() / 60, limit, 45011)?;
    let accounts::Session { openid, key, unionid } = session;
    Ok(match unionid {
        Some(unionid) => json!({"session_key": key, "openid": openid, "unionid": unionid}),
        None => json!({"session_key": key, "openid": openid}),
    })
}

#[derive(Deserialize)]
struct StableTokenRequest {
    grant_type: Option<String>,
    appid: Option<String>,
    secret: Option<String>,
    #[serde(default)]
    force_refresh: bool,
}

fn stable_token(fake: &Inner, request: &FakeRequest) -> Outcome {
    let asked: StableTokenRequest = body(request)?;
    if asked.grant_type.as_deref() != Some("client_credential") {
        return Err(40002.into());
    }
    let appid = check_credentials(fake, asked.appid.as_deref(), asked.secret.as_deref())?;
    let mut state = lock(&fake.state);
    let life = fake.options.token_life;
    Ok(granted(&state.tokens.stable(&appid, asked.force_refresh, life, fake.now(), fake.dice())))
}

fn token(fake: &Inner, request: &FakeRequest) -> Outcome {
    if request.param("grant_type").as_deref() != Some("client_credential") {
        return Err(40002.into());
    }
    let (appid, secret) = (request.param("appid"), request.param("secret"));
    let appid = check_credentials(fake, appid.as_deref(), secret.as_deref())?;
    let now = fake.now();
    let mut state = lock(&fake.state);
    let limit = fake.options.limits.tokens_per_day;
    state.count(format!("token {appid}"), now.as_secs() / 86_400, limit, 45009)?;
    Ok(granted(&state.tokens.plain(&appid, fake.options.token_life, now, fake.dice())))
}

fn granted(token: &Granted) -> Value {
    json!({"access_token": token.value, "expires_in": token.expires_in})
}

#[derive(Deserialize)]
struct PhoneRequest {
    code: String,
    openid: Option<String>,
}

fn phone(fake: &Inner, request: &FakeRequest) -> Outcome {
    let appid = app_of(fake, request)?;
    let asked: PhoneRequest = body(request)?;
    let (now, sandbox) = (fake.now(), fake.options.sandbox_codes);
    let mut state = lock(&fake.state);
    let phone = state.accounts.exchange_phone(&appid, &asked.code, asked.openid.as_deref(), sandbox, now)?;
    let country = match phone.country_code.parse::<u32>() {
        Ok(number) if fake.options.numeric_country_code => json!(number),
        _ => json!(phone.country_code),
    };
    let info = json!({
        "phoneNumber": phone.full(),
        "purePhoneNumber": phone.pure,
        "countryCode": country,
        "watermark": {"timestamp": now.as_secs(), "appid": appid},
    });
    Ok(json!({"errcode": 0, "errmsg": "ok", "phone_info": info}))
}

fn check_session(fake: &Inner, request: &FakeRequest) -> Outcome {
    let appid = app_of(fake, request)?;
    if request.param("sig_method").as_deref() != Some("hmac_sha256") {
        return Err(87008.into());
    }
    let openid = request.param("openid").unwrap_or_default();
    let state = lock(&fake.state);
    let user = state.accounts.find(&appid, &openid).ok_or(40003)?;
    if request.param("signature").as_deref() == Some(crypto::session_signature(&user.session_key).as_str()) {
        Ok(json!({"errcode": 0, "errmsg": "ok"}))
    } else {
        Err(87009.into())
    }
}
