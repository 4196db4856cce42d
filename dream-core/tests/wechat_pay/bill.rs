use std::io::Read;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dream_core::adapters::wechat_pay::bill;
use dream_core::kernel::Fen;
use dream_core::ports::{BillEntry, BillRow, PayChannel, TradeBill};
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::server::{FakeRequest, FakeResponse, FakeServer, Setup};
use reqwest::StatusCode;
use serde_json::Value;

use crate::vectors::{cases, certificates_response, channel, config, headers, instant, text, trade_bill};

pub(crate) fn file(case: &Value) -> Vec<u8> {
    let bytes = STANDARD.decode(text(case, "/download/body_base64")).unwrap();
    if case["download"]["content_encoding_of_file"] != "gzip" {
        return bytes;
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
    plain
}

/// What a row of ours says under the vector's name for it.
fn member(row: &BillRow, name: &str) -> Value {
    let refund = |amount: &dyn Fn(&Fen) -> Value| match &row.entry {
        BillEntry::Refund { amount: refunded, .. } => amount(refunded),
        _ => 0.into(),
    };
    match (name, &row.entry) {
        ("paid_at", _) => row.at.as_micros().into(),
        ("transaction_id", _) => row.transaction_id.clone().into(),
        ("out_trade_no", _) => row.out_trade_no.clone().into(),
        ("openid", _) => row.payer_openid.clone().into(),
        ("total_fen", _) => row.total.get().into(),
        ("settled_fen", _) => row.settled.get().into(),
        ("coupon_fen", _) => row.coupon.get().into(),
        ("refund_fen", _) => refund(&|amount| amount.get().into()),
        ("goods", _) => row.description.clone().into(),
        ("state", BillEntry::Payment) => "SUCCESS".into(),
        ("state", BillEntry::Refund { .. }) => "REFUND".into(),
        ("state", BillEntry::Other(word)) => word.clone().into(),
        ("refund_id", BillEntry::Refund { channel_refund_id, .. }) => channel_refund_id.clone().into(),
        ("out_refund_no", BillEntry::Refund { out_refund_no, .. }) => out_refund_no.clone().into(),
        ("refund_status", BillEntry::Refund { status, .. }) => status.clone().into(),
        (other, _) => panic!("the vectors have a new member {other}"),
    }
}

fn check_rows(bill: &TradeBill, expected: &[Value], id: &str) {
    assert_eq!(bill.rows.len(), expected.len(), "{id}");
    for (row, expected) in bill.rows.iter().zip(expected) {
        for (name, value) in expected.as_object().unwrap() {
            let value = match name.as_str() {
                "paid_at" => {
                    let at: dream_core::kernel::Timestamp = value.as_str().unwrap().parse().unwrap();
                    at.as_micros().into()
                }
                _ => value.clone(),
            };
            assert_eq!(member(row, name), value, "{id}: {name}");
        }
    }
}

#[test]
fn every_bill_reads_as_the_vectors_say() {
    for case in cases(&trade_bill(), "cases") {
        let id = text(&case, "/id");
        if case["expect"]["hash_ok"] != Value::Bool(true) {
            continue;
        }
        let bill = bill::parse(&file(&case)).unwrap();
        check_rows(&bill, &cases(&case["expect"], "rows"), id);
        let sums = &case["expect"]["summary"];
        if sums.is_null() {
            continue;
        }
        assert_eq!(sums["rows"], bill.sums.rows, "{id}");
        assert_eq!(sums["settled_fen"], bill.sums.settled.get(), "{id}");
        assert_eq!(sums["refund_fen"], bill.sums.refund.get(), "{id}");
        assert_eq!(sums["total_fen"], bill.sums.total.get(), "{id}");
        assert_eq!(sums["applied_refund_fen"], bill.sums.applied_refund.get(), "{id}");
    }
}

#[test]
fn the_fee_is_exact_to_the_fifth_decimal() {
    let case = &cases(&trade_bill(), "cases")[0];
    let bill = bill::parse(&file(case)).unwrap();
    let fees: Vec<_> = bill.rows.iter().map(|row| row.fee_millifen).collect();
    assert_eq!(fees, [12_000, 6_000, -12_000]);
    assert_eq!(bill.sums.fee_millifen, 6_000);
}

#[test]
fn a_bill_that_lost_its_end_is_refused() {
    let case = &cases(&trade_bill(), "cases")[1];
    let file = file(case);
    let whole = std::str::from_utf8(&file).unwrap();
    let sums_at = whole.find("总交易单数").unwrap();
    for cut in [0, 3, 60, sums_at / 2, sums_at, sums_at + "总交易单数".len()] {
        let part = (cut..=whole.len()).find(|at| whole.is_char_boundary(*at)).unwrap();
        assert!(bill::parse(&file[..part]).is_err(), "cut at {part}");
    }
}

/// An answer of a vector.
fn answered(response: &Value) -> FakeResponse {
    let body = text(response, "/body").to_owned();
    let answer = FakeResponse::new(StatusCode::OK, "application/json; charset=utf-8", body);
    headers(response).iter().fold(answer, |answer, (name, value)| answer.with_header(name, value))
}

#[tokio::test]
async fn a_bill_is_used_only_if_it_has_the_promised_hash() {
    let file = trade_bill();
    // All files were promised under the same hash.
    let promise = answered(&cases(&file, "cases")[0]["tradebill_response"]);
    let certificates = answered(&cases(&certificates_response(), "cases")[0]["response"]);
    for case in cases(&file, "cases") {
        let id = text(&case, "/id");
        let clock = Arc::new(TestClock::at(instant(&file["now"])));
        let bytes = STANDARD.decode(text(&case, "/download/body_base64")).unwrap();
        let download = FakeResponse::text(StatusCode::OK, bytes);
        let (promise, certificates) = (promise.clone(), certificates.clone());
        let answer = move |request: FakeRequest| {
            let answer = match request.path.as_str() {
                "/v3/certificates" => certificates.clone(),
                "/v3/bill/tradebill" => promise.clone(),
                _ => download.clone(),
            };
            async move { answer }
        };
        let platform = FakeServer::start(Setup::new(clock.clone()), answer).await.unwrap();
        let mut config = config(&platform.base_url());
        config.limits.retries = 0;
        let day = text(&case, "/bill_date").parse().unwrap();
        let bill = channel(config, &clock).trade_bill(day).await;
        assert_eq!(bill.is_ok(), case["expect"]["hash_ok"] == true, "{id}: {bill:?}");
    }
}
