use dream_core::adapters::wechat_pay::accept_list;
use dream_core::adapters::wechat_pay::trouble::classify;
use dream_core::adapters::wechat_pay::trust::SignatureHeaders;
use dream_core::ports::RefusedAt;
use serde_json::Value;

use crate::vectors::{
    api_v3_key, cases, certificates_response, header, headers, instant, platform_certificates,
    response_verification, text, trust,
};

fn check_error(case: &Value) {
    let status = u16::try_from(case["response"]["status"].as_u64().unwrap()).unwrap();
    let failure = classify(status, text(case, "/response/body").as_bytes(), None);
    let told = &case["expect"]["error"];
    assert_eq!(told["http_status"].as_u64(), Some(u64::from(status)));
    match told["code"].as_str() {
        // Our name for it.
        Some("ORDER_NOT_EXIST" | "RESOURCE_NOT_EXISTS") => {
            assert_eq!(failure.code.as_deref(), Some("NOT_FOUND"));
        }
        other => assert_eq!(failure.code.as_deref(), other),
    }
}

#[test]
fn every_answer_is_believed_or_not_as_the_vectors_say() {
    for case in cases(&response_verification(), "cases") {
        let id = text(&case, "/id");
        let Some(verified) = case["expect"]["verified"].as_bool() else {
            check_error(&case);
            continue;
        };
        let sent = headers(&case["response"]);
        let verdict = trust(text(&case, "/trust")).verify(
            SignatureHeaders::read(|name| header(&sent, name)),
            text(&case, "/response/body").as_bytes(),
            instant(&case["client_now"]),
        );
        assert_eq!(verdict.is_ok(), verified, "{id}: {verdict:?}");
        if let Err(refusal) = verdict {
            let expected = match text(&case, "/expect/reason") {
                "timestamp" => RefusedAt::Clock,
                "missing_header" => RefusedAt::Headers,
                "serial" => RefusedAt::Serial,
                "signature" => RefusedAt::Signature,
                other => panic!("{id}: unknown reason {other}"),
            };
            assert_eq!(refusal.at, expected, "{id}");
            assert_eq!(refusal.probe, id == "probe", "{id}");
        }
    }
}

#[test]
fn exactly_five_minutes_is_too_much() {
    let file = response_verification();
    let case = cases(&file, "cases").into_iter().find(|case| case["id"] == "ok-cert").unwrap();
    let sent = headers(&case["response"]);
    let signed_at = instant(&case["client_now"]);
    let verdict = |now| {
        let read = SignatureHeaders::read(|name| header(&sent, name));
        trust("cert").verify(read, text(&case, "/response/body").as_bytes(), now)
    };
    assert!(verdict(signed_at.plus(std::time::Duration::from_secs(299))).is_ok());
    assert_eq!(verdict(signed_at.plus(std::time::Duration::from_mins(5))).unwrap_err().at, RefusedAt::Clock);
}

#[test]
fn certificates_come_into_force_as_the_vectors_say() {
    for case in cases(&certificates_response(), "cases") {
        let id = text(&case, "/id");
        if case["response"]["status"].as_u64() != Some(200) {
            check_error(&case);
            continue;
        }
        let sent = headers(&case["response"]);
        // Nothing but the public key is known before, as at the very first download.
        let known = trust(if case["trust"] == "cert" { "cert" } else { "pubkey" });
        let verdict = accept_list(
            &known,
            &api_v3_key(),
            SignatureHeaders::read(|name| header(&sent, name)),
            text(&case, "/response/body").as_bytes(),
            instant(&case["client_now"]),
        );
        match case["expect"]["usable"].as_bool() {
            Some(true) => {
                let serials: Vec<_> =
                    verdict.unwrap().iter().map(|certificate| certificate.serial().to_owned()).collect();
                let expected: Vec<_> = cases(&case["expect"], "certificates")
                    .iter()
                    .map(|certificate| text(certificate, "/serial_no").to_owned())
                    .collect();
                assert_eq!(serials, expected, "{id}");
            }
            Some(false) => assert!(verdict.is_err(), "{id}"),
            None => {
                let most = case["expect"]["certificates_at_most"].as_array().map_or(0, Vec::len);
                assert!(verdict.map_or(0, |usable| usable.len()) <= most, "{id}");
            }
        }
    }
}

#[test]
fn a_list_under_another_key_says_that_the_key_may_be_the_one_of_v2() {
    let file = certificates_response();
    let case = cases(&file, "cases").into_iter().find(|case| case["id"] == "cert-wrong-api-key").unwrap();
    let sent = headers(&case["response"]);
    let read = SignatureHeaders::read(|name| header(&sent, name));
    let body = text(&case, "/response/body").as_bytes();
    let failure =
        accept_list(&trust("pubkey"), &api_v3_key(), read, body, instant(&case["client_now"])).unwrap_err();
    assert!(failure.message.contains("v2"), "{failure}");
}

#[test]
fn a_certificate_tells_its_serial_number_and_its_time() {
    let listed = cases(&crate::vectors::keys(), "platform_certificates");
    for (certificate, told) in platform_certificates().iter().zip(&listed) {
        assert_eq!(certificate.serial(), text(told, "/serial_no"));
        let start = text(told, "/effective_time").parse().unwrap();
        let end: dream_core::kernel::Timestamp = text(told, "/expire_time").parse().unwrap();
        assert_eq!(certificate.expires_at(), end);
        assert!(certificate.is_valid_at(start) && certificate.is_valid_at(end));
        let second = std::time::Duration::from_secs(1);
        assert!(!certificate.is_valid_at(start.minus(second)) && !certificate.is_valid_at(end.plus(second)));
    }
}
