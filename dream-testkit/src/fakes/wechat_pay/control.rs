//! The knobs of the fake WeChat Pay over HTTP, and a page on which a tester pays as a phone would.
//!
//! | | |
//! |---|---|
//! | `GET /_control/` | the page |
//! | `GET orders`, `GET refunds`, `GET notices`, `GET attempts` | what it knows |
//! | `GET signatures` | its last requests, each with its signature explained |
//! | `POST pay` `{outTradeNo?, openid?, params?}` | pays; with `params` of `wx.requestPayment` they are checked |
//! | `POST pay-again` `{outTradeNo}` | a second payment of one order |
//! | `POST close` `{outTradeNo}` | the payment fails for good: the order is closed unpaid |
//! | `POST refund` `{outTradeNo}` | gives back what is left of an order, as by hand in the merchant's console |
//! | `POST deliver` | tells what is due |
//! | `POST certificates` `{listed, signs}`, `POST notify-key` `{key}` | rotates keys |
//! | `POST refund-plan` `{outRefundNo?, delayMs?, outcome?}` | what becomes of refunds; without outcome they wait |
//! | `POST refunds/conclude` `{outRefundNo, outcome}` | ends a refund |
//! | `POST balance` `{fen}` | what the merchant can give back |

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use dream_core::ports::ClientParams;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::book::{FakePayment, OrderState, RefundStatus};
use super::keys::PlatformKey;
use super::prepay::{self, CannotPay};
use super::refusal::Refusal;
use super::signing::{self, Explained, Merchant};
use super::{Inner, RefundPlan, notices, refunds};
use crate::fakes::control::{done, show, unknown, with};
use crate::fakes::server::{FakeRequest, FakeResponse};
use crate::fakes::{control, lock};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    time_stamp: String,
    nonce_str: String,
    package: String,
    sign_type: String,
    pay_sign: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Pay {
    out_trade_no: Option<String>,
    openid: Option<String>,
    params: Option<Params>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Number {
    out_trade_no: String,
}

#[derive(Deserialize)]
struct Certificates {
    listed: Vec<PlatformKey>,
    signs: PlatformKey,
}

#[derive(Deserialize)]
struct NotifyKey {
    key: PlatformKey,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    out_refund_no: Option<String>,
    #[serde(default)]
    delay_ms: u64,
    outcome: Option<RefundStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Conclusion {
    out_refund_no: String,
    outcome: RefundStatus,
}

#[derive(Deserialize)]
struct Balance {
    fen: Option<i64>,
}

pub(super) async fn answer(fake: &Arc<Inner>, request: &FakeRequest) -> FakeResponse {
    if let Some(answer) = control::answer(request, &fake.log, &fake.faults) {
        return answer;
    }
    let knob = request.path.trim_start_matches("/_control").trim_matches('/');
    match (request.method.as_str(), knob) {
        ("POST", "deliver") => show(&notices::deliver_due(fake).await),
        ("GET", _) => look(fake, knob),
        ("POST", _) => turn(fake, knob, request),
        _ => unknown("no such knob"),
    }
}

fn look(fake: &Inner, knob: &str) -> FakeResponse {
    let mut state = lock(&fake.state);
    fake.settle(&mut state);
    match knob {
        "" => {
            drop(state);
            page(fake)
        }
        "orders" => show(&state.book.orders.values().collect::<Vec<_>>()),
        "refunds" => show(&state.book.refunds.values().collect::<Vec<_>>()),
        "notices" => show(&state.notices.all),
        "attempts" => show(&state.notices.attempts),
        "signatures" => {
            drop(state);
            show(&signatures(fake))
        }
        _ => unknown("no such knob"),
    }
}

fn turn(fake: &Inner, knob: &str, request: &FakeRequest) -> FakeResponse {
    match knob {
        "pay" if is_form(request) => pay_by_form(fake, request),
        "pay" => with(request, |asked: Pay| paid(pay(fake, asked))),
        "pay-again" => {
            with(request, |asked: Number| paid(prepay::pay(fake, &asked.out_trade_no, None, true)))
        }
        "close" => with(request, |asked: Number| {
            answered(prepay::close(&mut lock(&fake.state), &asked.out_trade_no))
        }),
        "refund" => with(request, |asked: Number| {
            let mut state = lock(&fake.state);
            answered(refunds::by_hand(fake, &mut state, &asked.out_trade_no, fake.now()))
        }),
        "certificates" => with(request, |asked: Certificates| {
            let mut state = lock(&fake.state);
            state.listed = asked.listed;
            state.answer_key = asked.signs;
            done()
        }),
        "notify-key" => with(request, |asked: NotifyKey| {
            lock(&fake.state).notify_key = asked.key;
            done()
        }),
        "refund-plan" => with(request, |asked: Plan| {
            let delay = Duration::from_millis(asked.delay_ms);
            let plan = asked.outcome.map(|outcome| RefundPlan { delay, outcome });
            let mut state = lock(&fake.state);
            match asked.out_refund_no {
                Some(number) => drop(state.plans.insert(number, plan)),
                None => state.plan = plan,
            }
            done()
        }),
        "refunds/conclude" => with(request, |asked: Conclusion| conclude(fake, &asked)),
        "balance" => with(request, |asked: Balance| {
            lock(&fake.state).balance = asked.fen;
            done()
        }),
        _ => unknown("no such knob"),
    }
}

/// Most requests whose signatures are explained.
const EXPLAINED: usize = 200;

/// A request with its signature explained.
#[derive(Serialize)]
struct Signed {
    at: String,
    method: String,
    target: String,
    status: Option<u16>,
    note: Option<String>,
    signature: Explained,
}

/// The last requests to the platform, oldest first.
fn signatures(fake: &Inner) -> Vec<Signed> {
    let merchant = Merchant { mchid: &fake.options.mchid, serial: &fake.options.merchant_serial };
    let all = fake.log.all();
    let mut asked: Vec<Signed> = all
        .iter()
        .rev()
        .filter(|recorded| !recorded.request.path.starts_with("/_control"))
        .take(EXPLAINED)
        .map(|recorded| Signed {
            at: recorded.request.at.to_string(),
            method: recorded.request.method.to_string(),
            target: recorded.request.target(),
            status: recorded.status,
            note: recorded.note.clone(),
            signature: signing::explain(&fake.ring, merchant, &recorded.request, recorded.request.at),
        })
        .collect();
    asked.reverse();
    asked
}

fn answered<T>(outcome: Result<T, Refusal>) -> FakeResponse {
    match outcome {
        Ok(_) => done(),
        Err(refusal) => refusal.answer(),
    }
}

fn conclude(fake: &Inner, asked: &Conclusion) -> FakeResponse {
    let now = fake.now();
    let mut state = lock(&fake.state);
    match state.book.refunds.get_mut(&asked.out_refund_no) {
        Some(refund) => {
            refund.conclude(asked.outcome, now);
            fake.announce_refund(&mut state, &asked.out_refund_no);
            done()
        }
        None => unknown("no such refund"),
    }
}

fn pay(fake: &Inner, asked: Pay) -> Result<FakePayment, CannotPay> {
    let number = match asked.params {
        Some(params) => {
            let Params { time_stamp, nonce_str, package, sign_type, pay_sign } = params;
            let params = ClientParams { time_stamp, nonce_str, package, sign_type, pay_sign };
            let state = lock(&fake.state);
            let number = prepay::check_params(fake, &state, &params, fake.now())?;
            if asked.out_trade_no.is_some_and(|meant| meant != number) {
                return Err(CannotPay::NoOrder);
            }
            number
        }
        None => asked.out_trade_no.ok_or(CannotPay::NoOrder)?,
    };
    prepay::pay(fake, &number, asked.openid.as_deref(), false)
}

fn paid(outcome: Result<FakePayment, CannotPay>) -> FakeResponse {
    match outcome {
        Ok(payment) => show(&payment),
        Err(error) => FakeResponse::json(StatusCode::CONFLICT, &json!({"error": error.to_string()})),
    }
}

fn is_form(request: &FakeRequest) -> bool {
    request.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

/// The button of the page: pays and shows the page again.
fn pay_by_form(fake: &Inner, request: &FakeRequest) -> FakeResponse {
    let number = form_urlencoded::parse(&request.body).find(|(name, _)| name == "outTradeNo");
    let number = number.map(|(_, value)| value.into_owned()).unwrap_or_default();
    match prepay::pay(fake, &number, None, false) {
        Ok(_) => FakeResponse::empty(StatusCode::SEE_OTHER).with_header("location", "/_control/"),
        Err(error) => FakeResponse::text(StatusCode::CONFLICT, error.to_string()),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn page(fake: &Inner) -> FakeResponse {
    let mut rows = String::new();
    for order in lock(&fake.state).book.orders.values() {
        let number = escaped(&order.out_trade_no);
        let button = format!(
            "<form method=\"post\" action=\"/_control/pay\"><input type=\"hidden\" name=\"outTradeNo\" \
             value=\"{number}\"><button>Pay</button></form>"
        );
        let action = if order.state == OrderState::Notpay { button.as_str() } else { "" };
        // Writing to a text does not fail.
        let _ = write!(
            rows,
            "<tr><td>{number}</td><td>{}</td><td>{}.{:02}</td><td>{}</td><td>{action}</td></tr>",
            escaped(&order.description),
            order.amount_fen / 100,
            order.amount_fen % 100,
            order.state.words().0,
        );
    }
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>WeChat Pay (fake)</title><h1>WeChat Pay (fake)</h1>\
         <table border=\"1\" cellpadding=\"4\"><tr><th>Order</th><th>For</th><th>Yuan</th><th>State</th><th></th></tr>\
         {rows}</table>"
    );
    FakeResponse::new(StatusCode::OK, "text/html; charset=utf-8", page)
}
