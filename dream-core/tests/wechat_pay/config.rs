use std::sync::Arc;

use dream_core::adapters::OsEntropy;
use dream_core::adapters::wechat_pay::{ConfigFaults, WeChatPay, WeChatPayConfig};
use dream_testkit::clock::TestClock;
use secrecy::SecretString;

use crate::vectors::{config, keys, text};

fn faults(config: WeChatPayConfig) -> ConfigFaults {
    WeChatPay::new(config, Arc::new(TestClock::default()), Arc::new(OsEntropy)).unwrap_err()
}

fn fields(config: WeChatPayConfig) -> Vec<&'static str> {
    faults(config).0.iter().map(|fault| fault.field).collect()
}

#[test]
fn every_fault_is_named_at_once_and_no_secret_is_quoted() {
    let told = faults(WeChatPayConfig {
        appid: String::new(),
        mchid: "mch-1".to_owned(),
        merchant_serial: "not hex".to_owned(),
        merchant_key_pem: SecretString::from(
            "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----",
        ),
        api_v3_key: SecretString::from("much-too-short-secret"),
        platform_key_id: Some("PUBKEY_1".to_owned()),
        platform_key_pem: Some("nonsense".to_owned()),
        notify_url: "http://pay.example.test/callback".to_owned(),
        refund_notify_url: Some("https://pay.example.test/callback?x=1".to_owned()),
        base_urls: vec!["https://api.mch.weixin.qq.com/v3".to_owned()],
        ..config("https://api.mch.weixin.qq.com")
    });
    let mut named: Vec<_> = told.0.iter().map(|fault| fault.field).collect();
    named.sort_unstable();
    let expected = [
        "api_v3_key",
        "appid",
        "base_urls",
        "mchid",
        "merchant_key_pem",
        "merchant_serial",
        "notify_url",
        "platform_key_id",
        "platform_key_pem",
        "refund_notify_url",
    ];
    assert_eq!(named, expected, "{told}");
    let text = format!("{told} {told:?}");
    assert!(!text.contains("secret") && !text.contains("c2VjcmV0"), "{text}");
}

#[test]
fn the_live_hosts_and_both_ways_of_trust_are_accepted() {
    let live = WeChatPayConfig { base_urls: WeChatPayConfig::live_hosts(), ..config("") };
    let keys = keys();
    let public = WeChatPayConfig {
        platform_key_id: Some(text(&keys, "/platform_public_key/id").to_owned()),
        platform_key_pem: Some(text(&keys, "/platform_public_key/public_key_pem").replace('\n', "\\n")),
        ..live.clone()
    };
    for config in [live, public] {
        assert!(WeChatPay::new(config, Arc::new(TestClock::default()), Arc::new(OsEntropy)).is_ok());
    }
}

#[test]
fn half_a_public_key_is_no_public_key() {
    let live = || config("https://api.mch.weixin.qq.com");
    let id = Some("PUB_KEY_ID_01".to_owned());
    assert_eq!(fields(WeChatPayConfig { platform_key_id: id, ..live() }), ["platform_key_pem"]);
    let pem = Some(text(&keys(), "/platform_public_key/public_key_pem").to_owned());
    assert_eq!(fields(WeChatPayConfig { platform_key_pem: pem, ..live() }), ["platform_key_id"]);
}

#[test]
fn plain_http_is_for_this_machine_only() {
    assert_eq!(fields(config("http://pay.example.test")), ["base_urls"]);
    let local = WeChatPayConfig {
        notify_url: "http://127.0.0.1:9/v1/vip/payment-callback".to_owned(),
        ..config("http://127.0.0.1:9")
    };
    assert!(WeChatPay::new(local, Arc::new(TestClock::default()), Arc::new(OsEntropy)).is_ok());
}

#[test]
fn a_certificate_in_place_of_the_key_is_recognised() {
    let pem = text(&keys(), "/merchant/certificate_pem").to_owned();
    let told = faults(WeChatPayConfig {
        merchant_key_pem: SecretString::from(pem),
        ..config("https://api.mch.weixin.qq.com")
    });
    assert!(told.to_string().contains("apiclient_key.pem"), "{told}");
}

#[test]
fn a_configuration_does_not_show_its_secrets() {
    let shown = format!("{:?}", config("https://api.mch.weixin.qq.com"));
    assert!(
        !shown.contains("PRIVATE KEY") && !shown.contains(text(&keys(), "/merchant/apiv3_key")),
        "{shown}"
    );
}
