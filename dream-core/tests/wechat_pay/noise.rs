//! Whatever strangers send, nothing panics and nothing is believed.

use std::sync::{Arc, LazyLock};

use dream_core::adapters::wechat_pay::certificate::{PlatformCertificate, read_list};
use dream_core::adapters::wechat_pay::trouble::classify;
use dream_core::adapters::wechat_pay::trust::SignatureHeaders;
use dream_core::adapters::wechat_pay::{WeChatPay, bill};
use dream_core::kernel::Timestamp;
use dream_core::ports::{PayChannel, SignedNotify};
use dream_testkit::clock::TestClock;
use proptest::prelude::*;

use crate::vectors::{api_v3_key, channel, config, keys, text, trust};

static PAY: LazyLock<WeChatPay> = LazyLock::new(|| {
    let keys = keys();
    let mut config = config("http://127.0.0.1:9");
    config.platform_key_id = Some(text(&keys, "/platform_public_key/id").to_owned());
    config.platform_key_pem = Some(text(&keys, "/platform_public_key/public_key_pem").to_owned());
    channel(config, &Arc::new(TestClock::default()))
});

fn now() -> Timestamp {
    Timestamp::from_secs(1_767_232_800)
}

/// Header values that look like the real ones often enough to get past the first check.
fn header_value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("1767232800".to_owned()),
        Just("-1767232800".to_owned()),
        Just("99999999999999999999999".to_owned()),
        Just(text(&keys(), "/platform_public_key/id").to_owned()),
        Just("5A650591782F0C0C8C63412E9AE889E77C554BF0".to_owned()),
        "[A-Za-z0-9+/=]{0,400}",
        "WECHATPAY/SIGNTEST/.{0,20}",
        ".{0,40}",
    ]
}

/// Bytes that begin like a bill.
fn bill_like() -> impl Strategy<Value = String> {
    let cell = prop_oneof![
        Just("19.99"),
        Just("SUCCESS"),
        Just("REFUND"),
        Just("2026-01-01 00:00:00"),
        Just(""),
        Just("`")
    ];
    let line = proptest::collection::vec(cell, 0..9).prop_map(|cells| format!("`{}\r\n", cells.join(",`")));
    let header = "交易时间,微信订单号,商户订单号,交易状态,订单金额\r\n";
    (proptest::collection::vec(line, 0..6), ".{0,30}")
        .prop_map(move |(lines, end)| format!("{header}{}总交易单数,订单总金额\r\n{end}", lines.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn headers_of_any_kind_verify_nothing(
        values in proptest::collection::vec(proptest::option::of(header_value()), 4),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let headers = SignatureHeaders {
            timestamp: values[0].as_deref(),
            nonce: values[1].as_deref(),
            serial: values[2].as_deref(),
            signature: values[3].as_deref(),
        };
        prop_assert!(trust("both").verify(headers, &body, now()).is_err());
    }

    #[test]
    fn a_notify_of_any_bytes_is_refused(
        values in proptest::collection::vec(header_value(), 3),
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let notify = SignedNotify::new(
            [
                ("wechatpay-timestamp", "1767232800".to_owned()),
                ("wechatpay-nonce", values[0].clone()),
                // Only an id that is no serial number: nobody is there to download certificates from.
                ("wechatpay-serial", format!("PUB_KEY_ID_{}", values[1])),
                ("wechatpay-signature", values[2].clone()),
            ],
            body,
        );
        prop_assert!(runtime.block_on(PAY.payment_notify(&notify)).is_err());
        prop_assert!(runtime.block_on(PAY.refund_notify(&notify)).is_err());
    }

    #[test]
    fn a_bill_of_any_text_is_read_or_refused(text in ".{0,400}", like in bill_like()) {
        drop(bill::parse(text.as_bytes()));
        drop(bill::parse(like.as_bytes()));
    }

    #[test]
    fn a_bill_of_any_bytes_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(bill::parse(&bytes));
    }

    #[test]
    fn a_list_of_certificates_of_any_bytes_brings_nothing_into_force(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        prop_assert!(read_list(&bytes, &api_v3_key(), now()).map_or(true, |list| list.is_empty()));
    }

    #[test]
    fn a_certificate_with_changed_bytes_does_not_panic(at in 0usize..1200, byte in any::<u8>()) {
        let keys = keys();
        let mut pem = text(&keys, "/platform_certificates/0/certificate_pem").as_bytes().to_vec();
        let place = at % pem.len();
        pem[place] = byte;
        drop(PlatformCertificate::from_pem(&pem));
    }

    #[test]
    fn an_error_answer_of_any_bytes_is_a_failure(status in 300u16..600, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!classify(status, &bytes, None).message.is_empty());
    }
}
