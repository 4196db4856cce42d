use dream_core::adapters::wechat_pay::signing::{MerchantKey, ToSign};
use secrecy::SecretString;

use crate::vectors::{cases, instant, keys, merchant_key, pay_params, request_signing, text};

#[test]
fn every_request_is_signed_as_the_vectors_say() {
    let key = merchant_key();
    for case in cases(&request_signing(), "signing_cases") {
        let id = text(&case, "/id");
        let to_sign = ToSign {
            method: text(&case, "/method"),
            target: text(&case, "/canonical_url"),
            timestamp: instant(&case["timestamp"]).as_secs(),
            nonce: text(&case, "/nonce_str"),
            body: text(&case, "/body").as_bytes(),
        };
        assert_eq!(to_sign.message(), text(&case, "/expect/canonical_message").as_bytes(), "{id}");
        assert_eq!(key.sign(&to_sign.message()).unwrap(), text(&case, "/expect/signature"), "{id}");
        assert_eq!(key.authorization(to_sign).unwrap(), text(&case, "/expect/authorization"), "{id}");
    }
}

#[test]
fn the_payer_gets_the_parameters_that_the_vectors_say() {
    let key = merchant_key();
    for case in cases(&pay_params(), "cases") {
        let at = instant(&case["time_stamp"]);
        let nonce = text(&case, "/nonce_str").to_owned();
        let params = key.client_params(text(&case, "/app_id"), text(&case, "/prepay_id"), at, nonce).unwrap();
        assert_eq!(params.time_stamp, text(&case, "/expect/params/timeStamp"));
        assert_eq!(params.nonce_str, text(&case, "/expect/params/nonceStr"));
        assert_eq!(params.package, text(&case, "/expect/params/package"));
        assert_eq!(params.sign_type, text(&case, "/expect/params/signType"));
        assert_eq!(params.pay_sign, text(&case, "/expect/params/paySign"));
    }
}

#[test]
fn a_key_in_pkcs1_or_with_written_out_line_ends_signs_alike() {
    let keys = keys();
    let expected = merchant_key().sign(b"message").unwrap();
    let pkcs8 = text(&keys, "/merchant/private_key_pem");
    let variants = [
        text(&keys, "/merchant/private_key_pkcs1_pem").to_owned(),
        pkcs8.replace('\n', "\\n"),
        pkcs8.replace('\n', "\r\n"),
        format!("\"{}\"", pkcs8.trim().replace('\n', "\\n")),
    ];
    for pem in variants {
        let key = MerchantKey::new("1", "AB", &SecretString::from(pem)).unwrap();
        assert_eq!(key.sign(b"message").unwrap(), expected);
    }
}

#[test]
fn a_key_does_not_show_itself() {
    let shown = format!("{:?}", merchant_key());
    assert!(shown.contains("1900007291") && !shown.contains("pair"), "{shown}");
}
