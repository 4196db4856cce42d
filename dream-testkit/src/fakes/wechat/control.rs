//! The knobs of the fake WeChat over HTTP.
//!
//! | | |
//! |---|---|
//! | `POST login-codes` `{openid}` | `{code}` |
//! | `POST phone-codes` `{openid, number}` | `{code}` |
//! | `POST code-answers` `{code, errcode, times?}` | answers the code with the error |
//! | `GET users` | everybody |
//! | `POST tokens/revoke`, `POST tokens/expire` | ends all access tokens |
//! | `GET text-checks`, `GET media-checks`, `GET messages` | what was sent |
//! | `POST media-plan` `{push, ms?, suggest?, next?}` | what becomes of pictures, or of the next one |
//! | `POST push-url` `{url}` | where messages go |
//! | `POST subscriptions` `{openid, templateId, messages}` | a user agrees |

use serde::Deserialize;
use serde_json::json;

use super::{Inner, MediaPlan};
use crate::fakes::control::{done, show, unknown, with};
use crate::fakes::server::{FakeRequest, FakeResponse};
use crate::fakes::{control, lock};

#[derive(Deserialize)]
struct Mint {
    openid: String,
    #[serde(default)]
    number: String,
}

#[derive(Deserialize)]
struct CodeAnswer {
    code: String,
    errcode: i64,
    times: Option<u64>,
}

#[derive(Deserialize)]
struct Plan {
    #[serde(flatten)]
    plan: MediaPlan,
    #[serde(default)]
    next: bool,
}

#[derive(Deserialize)]
struct PushUrl {
    url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    openid: String,
    template_id: String,
    messages: u64,
}

pub(super) fn answer(fake: &Inner, request: &FakeRequest) -> FakeResponse {
    if let Some(answer) = control::answer(request, &fake.log, &fake.faults) {
        return answer;
    }
    let knob = request.path.trim_start_matches("/_control/");
    match request.method.as_str() {
        "GET" => look(fake, knob),
        "POST" => turn(fake, knob, request),
        _ => unknown("no such knob"),
    }
}

fn look(fake: &Inner, knob: &str) -> FakeResponse {
    let state = lock(&fake.state);
    match knob {
        "users" => show(&state.accounts.users()),
        "text-checks" => show(&state.content.texts()),
        "media-checks" => show(&state.content.media()),
        "messages" => show(&state.messages.sent()),
        _ => unknown("no such knob"),
    }
}

fn turn(fake: &Inner, knob: &str, request: &FakeRequest) -> FakeResponse {
    let (now, dice) = (fake.now(), fake.dice());
    let appid = fake.main_app().map_or("", |app| app.appid.as_str());
    let mut state = lock(&fake.state);
    match knob {
        "login-codes" => with(request, |mint: Mint| {
            show(&json!({"code": state.accounts.mint_login(appid, &mint.openid, now, dice)}))
        }),
        "phone-codes" => with(request, |mint: Mint| {
            let code = state.accounts.mint_phone(appid, &mint.openid, &mint.number, now, dice);
            show(&json!({"code": code}))
        }),
        "code-answers" => with(request, |asked: CodeAnswer| {
            state.accounts.trouble(&asked.code, asked.errcode, asked.times);
            done()
        }),
        "tokens/revoke" => {
            state.tokens.revoke_all(now);
            done()
        }
        "tokens/expire" => {
            state.tokens.expire_all(now);
            done()
        }
        "media-plan" => with(request, |asked: Plan| {
            if asked.next {
                state.content.plan_next(asked.plan);
            } else {
                state.content.plan(asked.plan);
            }
            done()
        }),
        "push-url" => with(request, |asked: PushUrl| {
            lock(&fake.push).url = asked.url;
            done()
        }),
        "subscriptions" => with(request, |asked: Subscription| {
            state.messages.subscribe(&asked.openid, &asked.template_id, asked.messages);
            done()
        }),
        _ => unknown("no such knob"),
    }
}
