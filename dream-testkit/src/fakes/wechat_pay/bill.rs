//! The daily trade bill, made of the book, and its downloads.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use bytes::Bytes;
use dream_core::kernel::Timestamp;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use serde_json::{Value, json};

use super::book::{FakeOrder, FakePayment, FakeRefund};
use super::refusal::Refusal;
use super::shapes::beijing;
use super::{Inner, State};
use crate::fakes::server::FakeRequest;

/// How long a download can be started.
const DOWNLOAD_LIFE: Duration = Duration::from_mins(5);
/// The hour at which the bill of the day before is ready.
const READY_AT_HOUR: i8 = 10;
const COLUMNS: &str = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,\
付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,\
手续费,费率,订单金额,申请退款金额,费率备注";
const SUM_COLUMNS: &str =
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额";

/// Downloads that were promised: a token serves once and for a short time.
#[derive(Debug, Default)]
pub(super) struct Downloads(BTreeMap<String, (Bytes, Timestamp)>);

/// An amount of fen in yuan.
fn yuan(fen: i64) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", fen.abs() / 100, fen.abs() % 100)
}

/// The fee of 0.6 %, in yuan with five decimals.
fn fee(fen: i64) -> String {
    let units = fen * 6;
    let sign = if units < 0 { "-" } else { "" };
    format!("{sign}{}.{:05}", units.abs() / 100_000, units.abs() % 100_000)
}

fn line(cells: &[&str]) -> String {
    format!("`{}\r\n", cells.join(",`"))
}

fn moment(at: Timestamp) -> String {
    beijing(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn day(at: Timestamp) -> String {
    beijing(at).date().to_string()
}

fn payment_line(mchid: &str, order: &FakeOrder, payment: &FakePayment) -> String {
    let amount = yuan(payment.bill_amount_fen);
    line(&[
        &moment(payment.paid_at),
        &order.appid,
        mchid,
        "0",
        "",
        &payment.transaction_id,
        &order.out_trade_no,
        &payment.openid,
        "JSAPI",
        "SUCCESS",
        "OTHERS",
        "CNY",
        &amount,
        &yuan(payment.coupon_fen),
        "0",
        "0",
        "0.00",
        "0.00",
        "",
        "",
        &order.description,
        order.attach.as_deref().unwrap_or_default(),
        &fee(payment.bill_amount_fen),
        "0.60%",
        &amount,
        "0.00",
        "",
    ])
}

fn refund_line(mchid: &str, order: &FakeOrder, refund: &FakeRefund) -> String {
    let amount = yuan(refund.amount_fen);
    line(&[
        &moment(refund.created_at),
        &order.appid,
        mchid,
        "0",
        "",
        &refund.transaction_id,
        &refund.out_trade_no,
        &order.openid,
        "JSAPI",
        "REFUND",
        "OTHERS",
        "CNY",
        "0.00",
        "0.00",
        &refund.refund_id,
        &refund.out_refund_no,
        &amount,
        "0.00",
        "ORIGINAL",
        refund.status.word(),
        &order.description,
        "",
        &fee(-refund.amount_fen),
        "0.60%",
        "0.00",
        &amount,
        "",
    ])
}

/// The file; `None` if nothing happened that day.
fn file(mchid: &str, state: &State, date: &str, kind: &str) -> Option<String> {
    let mut rows: Vec<(Timestamp, String)> = Vec::new();
    let (mut paid, mut refunded) = (0, 0);
    for order in state.book.orders.values() {
        let listed =
            |payment: &&FakePayment| payment.in_bill && day(payment.paid_at) == date && kind != "REFUND";
        for payment in order.payments.iter().filter(listed) {
            paid += payment.bill_amount_fen;
            rows.push((payment.paid_at, payment_line(mchid, order, payment)));
        }
    }
    let started = |refund: &&FakeRefund| day(refund.created_at) == date && kind != "SUCCESS";
    for refund in state.book.refunds.values().filter(started) {
        if let Some(order) = state.book.orders.get(&refund.out_trade_no) {
            refunded += refund.amount_fen;
            rows.push((refund.created_at, refund_line(mchid, order, refund)));
        }
    }
    if rows.is_empty() {
        return None;
    }
    rows.sort_by_key(|(at, _)| *at);
    let mut text = format!("\u{feff}{COLUMNS}\r\n");
    text.extend(rows.iter().map(|(_, line)| line.as_str()));
    let (settled, refund) = (yuan(paid), yuan(refunded));
    let sums = [&rows.len().to_string(), &settled, &refund, "0.00", &fee(paid - refunded), &settled, &refund];
    // Writing to a text does not fail.
    let _ = write!(text, "{SUM_COLUMNS}\r\n{}", line(&sums));
    Some(text)
}

pub(super) fn promise(
    fake: &Inner,
    state: &mut State,
    request: &FakeRequest,
    now: Timestamp,
) -> Result<Value, Refusal> {
    let date = request.param("bill_date").unwrap_or_default();
    let date: jiff::civil::Date = date.parse().map_err(|_| Refusal::param("bill_date", "格式错误"))?;
    let kind = request.param("bill_type").unwrap_or_else(|| "ALL".to_owned());
    if !matches!(kind.as_str(), "ALL" | "SUCCESS" | "REFUND") {
        return Err(Refusal::param("bill_type", "取值错误"));
    }
    let here = beijing(now);
    let none = || Refusal::new(StatusCode::BAD_REQUEST, "NO_STATEMENT_EXIST", "请求的账单文件不存在");
    let yesterday = here.date().yesterday().map_err(|_| none())?;
    let oldest = here.date().saturating_sub(jiff::Span::new().months(3));
    if date > yesterday || date < oldest {
        return Err(none());
    }
    if date == yesterday && here.hour() < READY_AT_HOUR {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "STATEMENT_CREATING", "账单生成中"));
    }
    let text = file(&fake.options.mchid, state, &date.to_string(), &kind).ok_or_else(none)?;
    let hash = hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()));
    let zipped = request.param("tar_type").as_deref() == Some("GZIP");
    let bytes = if zipped { packed(text.as_bytes()) } else { text.into_bytes() };
    let token = fake.nonce(32);
    state.downloads.0.insert(token.clone(), (bytes.into(), now.plus(DOWNLOAD_LIFE)));
    let tail = if zipped { "&tartype=gzip" } else { "" };
    let url = format!("{}/v3/billdownload/file?token={token}{tail}", fake.base_url);
    Ok(json!({"hash_type": "SHA1", "hash_value": hash, "download_url": url}))
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// The file of a token, which is spent by it.
pub(super) fn download(state: &mut State, request: &FakeRequest, now: Timestamp) -> Result<Bytes, Refusal> {
    let gone = || Refusal::missing("下载链接已失效");
    let token = request.param("token").ok_or_else(gone)?;
    let (bytes, until) = state.downloads.0.remove(&token).ok_or_else(gone)?;
    if now > until { Err(gone()) } else { Ok(bytes) }
}
