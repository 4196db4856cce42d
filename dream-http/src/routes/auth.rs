//! Signing in and out.

use dream_core::{BearerToken, Code, Dream, Guest, Result, Session};
use http::header::USER_AGENT;

use crate::call::Call;
use crate::gate::{Gate, Guard, bearer};
use crate::input::Body;
use crate::problem::Lang;
use crate::table::{Row, get, post};
use crate::throttle::LimitClass;
use crate::wire::auth::{Checked, Login, LoginAnswer, Refresh, Tokens};
use crate::wire::message::Message;
use crate::wire::users::UserWithStats;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        post("/v1/auth/wechat-login", login)
            .doc("Logs in with WeChat; the first login makes the user")
            .limited_as(LimitClass::Login)
            .fails(&[Code::WechatCodeInvalid, Code::Forbidden, Code::UpstreamError, Code::UpstreamTimeout]),
        post("/v1/auth/refresh-token", refresh)
            .doc("The next pair of tokens, for a refresh token or a token that is still valid"),
        post("/v1/auth/logout", logout).doc("Ends this login: all of its tokens are dead"),
        get("/v1/auth/userinfo", userinfo).doc("One's own user and figures"),
        get("/v1/auth/check", check).doc("Whether the token is valid, and whose it is"),
    ]
}

async fn login(guest: Guest, Body(login): Body<Login>) -> Result<LoginAnswer> {
    Ok(guest.login(login.into()).await?.into())
}

/// Whoever wants the next pair of tokens. The refresh token in the body is a credential of its own, so that an access
/// token beside it may have expired.
struct Renewal {
    dream: Dream,
    token: Option<BearerToken>,
    /// What tells this client from others.
    client: String,
}

impl Gate for Renewal {
    const GUARD: Guard = Guard::OptionalUser;

    async fn enter(call: &mut Call) -> Result<Self> {
        let token = bearer(call.headers()).ok().flatten().map(BearerToken::new);
        let agent = call.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // WeChat appends the kind of network, which changes exactly when answers are lost.
        let words = agent.split_whitespace().filter(|word| !word.starts_with("NetType/"));
        let client = words.collect::<Vec<_>>().join(" ");
        Ok(Self { dream: call.app().dream().clone(), token, client })
    }
}

async fn refresh(renewal: Renewal, Body(body): Body<Refresh>) -> Result<Tokens> {
    let tokens = match (body.token(), renewal.token) {
        (Some(spent), _) => renewal.dream.guest().refresh(spent.sent_by(&renewal.client)).await?,
        (None, Some(token)) => renewal.dream.session(&token).await?.refresh().await?,
        (None, None) => return Err(Code::Unauthenticated.into()),
    };
    Ok(tokens.into())
}

async fn logout(me: Session, lang: Lang) -> Result<Message> {
    me.logout().await?;
    Ok(Message::new(lang, "已退出登录", "Logged out"))
}

async fn userinfo(me: Session, (): ()) -> Result<UserWithStats> {
    Ok(me.stats().await?.into())
}

async fn check(me: Session, (): ()) -> Result<Checked> {
    Ok(me.me().await?.into())
}
