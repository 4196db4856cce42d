use std::time::Duration;

use dream_core::kernel::Timestamp;
use dream_core::protocol::encrypted_data::{CannotDecrypt, EncryptedData, raw_data_is_genuine};
use secrecy::SecretString;
use serde_json::Value;

use crate::{cases, now, text, vectors};

fn sealed(case: &Value) -> (EncryptedData<'_>, SecretString, &str) {
    let data = EncryptedData { data: text(case, "encryptedData"), iv: text(case, "iv") };
    (data, SecretString::from(text(case, "session_key")), text(case, "appid"))
}

#[test]
fn every_vector_opens_or_is_refused_as_it_says() {
    let file = vectors!("encrypted-data");
    for (id, case) in cases(&file, "cases") {
        let (data, key, appid) = sealed(case);
        let found = data.open(&key, appid, now(&file, case));
        let expect = &case["expect"];
        if expect["valid"].as_bool().unwrap() {
            assert_eq!(found.as_deref(), Ok(text(expect, "plaintext")), "{id}");
        } else {
            assert_eq!(found, Err(CannotDecrypt), "{id}");
        }
        if let Some(phone) = expect["phone"].as_object() {
            let found = data.phone(&key, appid, now(&file, case)).unwrap();
            assert_eq!(found.number, phone["phoneNumber"], "{id}");
            assert_eq!(found.pure_number, phone["purePhoneNumber"], "{id}");
            assert_eq!(found.country_code, phone["countryCode"], "{id}");
        }
    }
}

#[test]
fn every_raw_data_signature_is_judged_as_it_says() {
    let file = vectors!("encrypted-data");
    for (id, case) in cases(&file, "raw_data_signature") {
        let key = SecretString::from(text(case, "session_key"));
        let found = raw_data_is_genuine(text(case, "rawData"), &key, text(case, "signature"));
        assert_eq!(found, case["expect"]["valid"].as_bool().unwrap(), "{id}");
    }
}

fn case<'a>(file: &'a Value, wanted: &str) -> &'a Value {
    cases(file, "cases").find(|(id, _)| *id == wanted).unwrap().1
}

#[test]
fn user_info_of_somebody_else_is_refused() {
    let file = vectors!("encrypted-data");
    let case = case(&file, "userinfo-ok");
    let (data, key, appid) = sealed(case);
    let at = now(&file, case);
    let info = data.user_info(&key, appid, "oqTGKc7Yrff7VTXdwTsNe9ygLvoX", at).unwrap();
    assert_eq!(info.nick_name, "微信用户");
    assert_eq!(info.unionid.as_deref(), Some("ooSEHRxjkU2EAN5KJ4jYOLFbXv3o"));
    assert_eq!(data.user_info(&key, appid, "somebody", at), Err(CannotDecrypt));
}

#[test]
fn a_watermark_is_fresh_for_ten_minutes_either_way() {
    let file = vectors!("encrypted-data");
    let (data, key, appid) = sealed(case(&file, "phone-ok"));
    let made = Timestamp::from_secs(1_767_232_788);
    let open = |at| data.open(&key, appid, at).is_ok();
    let (inside, outside) = (Duration::from_secs(599), Duration::from_secs(601));
    assert!(open(made.plus(inside)) && open(made.minus(inside)));
    assert!(!open(made.plus(outside)) && !open(made.minus(outside)));
}
