//! Which request is which operation, and how answers are signed.

use std::sync::Arc;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::keys::PlatformKey;
use super::refusal::Refusal;
use super::signing::{self, Merchant, Shape, authorize, encrypted, sign_answer};
use super::{Inner, State, bill, control, operation, prepay, refunds};
use crate::fakes::lock;
use crate::fakes::server::{FakeRequest, FakeResponse};

pub(super) async fn answer(fake: Arc<Inner>, request: FakeRequest) -> FakeResponse {
    if request.path.starts_with("/_control") {
        return control::answer(&fake, &request).await;
    }
    let Some((name, argument)) = operation_at(&request) else {
        return Refusal::missing("请求的资源不存在").answer();
    };
    *lock(&fake.state).calls.entry(name).or_default() += 1;
    let work = |trouble: Option<String>| {
        let (fake, request) = (&fake, &request);
        let argument = argument.clone();
        async move { perform(fake, name, &argument, request, trouble.as_deref()) }
    };
    fake.faults.around(&*fake.options.clock, name, work).await
}

/// The operation and the number in its path.
fn operation_at(request: &FakeRequest) -> Option<(&'static str, String)> {
    let (method, path) = request.route();
    let (name, argument) = match (method, path.as_slice()) {
        ("POST", ["v3", "pay", "transactions", "jsapi"]) => (operation::PREPAY, ""),
        ("GET", ["v3", "pay", "transactions", "out-trade-no", number]) => (operation::QUERY, *number),
        ("GET", ["v3", "pay", "transactions", "id", id]) => (operation::QUERY_TRANSACTION, *id),
        ("POST", ["v3", "pay", "transactions", "out-trade-no", number, "close"]) => {
            (operation::CLOSE, *number)
        }
        ("POST", ["v3", "refund", "domestic", "refunds"]) => (operation::REFUND, ""),
        ("GET", ["v3", "refund", "domestic", "refunds", number]) => (operation::REFUND_QUERY, *number),
        ("GET", ["v3", "certificates"]) => (operation::CERTIFICATES, ""),
        ("GET", ["v3", "bill", "tradebill"]) => (operation::TRADE_BILL, ""),
        ("GET", ["v3", "billdownload", "file"]) => (operation::DOWNLOAD, ""),
        _ => return None,
    };
    Some((name, percent_decode_str(argument).decode_utf8_lossy().into_owned()))
}

fn perform(
    fake: &Inner,
    name: &'static str,
    argument: &str,
    request: &FakeRequest,
    trouble: Option<&str>,
) -> FakeResponse {
    let pay = || prepay::pay(fake, argument, None, false).is_ok();
    let paid_before = trouble == Some("pay_before") && pay();
    let outcome = admit(fake, request).and_then(|()| {
        let mut state = lock(&fake.state);
        fake.settle(&mut state);
        operate(fake, &mut state, name, argument, request)
    });
    let paid_after = trouble == Some("pay_after") && pay();
    let answer = match outcome {
        Err(refusal) => refusal.answer(),
        Ok(_) if trouble == Some("error_after") => {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "SYSTEM_ERROR", "系统异常，请稍后重试").answer()
        }
        Ok(answer) => finish(fake, name, request, answer, Shape::named(trouble)),
    };
    let answer = if paid_before || paid_after { answer.noted("paid meanwhile") } else { answer };
    answer.with_header("Request-ID", &format!("08{}-0", fake.nonce(30)))
}

/// What every request needs before it is looked at.
fn admit(fake: &Inner, request: &FakeRequest) -> Result<(), Refusal> {
    let has = |name: &str| request.header(name).is_some_and(|value| !value.is_empty());
    if !has("user-agent") || !has("accept") {
        let text = "Http头缺少Accept或User-Agent";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "PARAM_ERROR", text));
    }
    let json = |value: &str| value.to_ascii_lowercase().starts_with("application/json");
    let typed = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(json);
    if !request.body.is_empty() && !typed {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "PARAM_ERROR",
            "Content-Type必须是application/json",
        ));
    }
    let merchant = Merchant { mchid: &fake.options.mchid, serial: &fake.options.merchant_serial };
    let nonce = authorize(&fake.ring, merchant, request, fake.now())?;
    if fake.options.refuse_used_nonces && !lock(&fake.state).nonces.insert(nonce) {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "SIGN_ERROR", "随机串重复"));
    }
    Ok(())
}

fn operate(
    fake: &Inner,
    state: &mut State,
    name: &'static str,
    argument: &str,
    request: &FakeRequest,
) -> Result<FakeResponse, Refusal> {
    let now = fake.now();
    let json = |value: Value| FakeResponse::json(StatusCode::OK, &value);
    Ok(match name {
        operation::PREPAY => json(prepay::prepay(fake, state, &request.body, now)?),
        operation::QUERY => {
            own_mchid(fake, request.param("mchid").as_deref())?;
            json(prepay::query(fake, state, argument)?)
        }
        operation::QUERY_TRANSACTION => {
            own_mchid(fake, request.param("mchid").as_deref())?;
            json(prepay::query_transaction(fake, state, argument)?)
        }
        operation::CLOSE => {
            let body = prepay::body(&request.body)?;
            own_mchid(fake, body["mchid"].as_str())?;
            prepay::close(state, argument)?;
            FakeResponse::empty(StatusCode::NO_CONTENT)
        }
        operation::REFUND => json(refunds::refund(fake, state, &request.body, now)?),
        operation::REFUND_QUERY => json(refunds::query(state, argument)?),
        operation::CERTIFICATES => json(certificates(fake, state)?),
        operation::TRADE_BILL => json(bill::promise(fake, state, request, now)?),
        _ => FakeResponse::new(StatusCode::OK, "text/plain", bill::download(state, request, now)?),
    })
}

fn own_mchid(fake: &Inner, mchid: Option<&str>) -> Result<(), Refusal> {
    if mchid == Some(fake.options.mchid.as_str()) {
        Ok(())
    } else {
        Err(Refusal::param("mchid", "缺少或错误"))
    }
}

/// The certificates that are listed, encrypted.
fn certificates(fake: &Inner, state: &State) -> Result<Value, Refusal> {
    if state.listed.is_empty() {
        return Err(Refusal::missing("无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥"));
    }
    let listed = |key: &PlatformKey| {
        let (from, until) = key.validity();
        json!({
            "serial_no": key.serial(),
            "effective_time": from,
            "expire_time": until,
            "encrypt_certificate":
                encrypted(&fake.options.api_v3_key, key.certificate_pem(), "certificate", &fake.nonce(12)),
        })
    };
    Ok(json!({"data": state.listed.iter().map(listed).collect::<Vec<_>>()}))
}

/// Signs the answer with the key that the caller asked for. Only a bill's file goes out unsigned.
fn finish(
    fake: &Inner,
    name: &str,
    request: &FakeRequest,
    mut answer: FakeResponse,
    shape: Shape,
) -> FakeResponse {
    if name == operation::DOWNLOAD {
        if shape == Shape::Tampered {
            answer.body = altered(&answer.body);
        }
        return answer;
    }
    let wants_public = request.header("wechatpay-serial") == Some(PlatformKey::PublicKey.serial());
    let key = if wants_public { PlatformKey::PublicKey } else { lock(&fake.state).answer_key };
    signing::note(sign_answer(&fake.ring, key, shape, answer, fake.now(), &fake.nonce(32)), shape)
}

/// The file with one byte in its middle changed.
fn altered(file: &[u8]) -> bytes::Bytes {
    let mut bytes = file.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.into()
}
