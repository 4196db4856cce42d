//! The files of vectors, and the keys that all of them use.

use std::sync::Arc;

use dream_core::adapters::OsEntropy;
use dream_core::adapters::wechat_pay::certificate::PlatformCertificate;
use dream_core::adapters::wechat_pay::cipher::ApiV3Key;
use dream_core::adapters::wechat_pay::signing::MerchantKey;
use dream_core::adapters::wechat_pay::trust::{PlatformPublicKey, TrustedKeys};
use dream_core::adapters::wechat_pay::{CallLimits, WeChatPay, WeChatPayConfig};
use dream_core::kernel::Timestamp;
use dream_testkit::clock::TestClock;
use secrecy::SecretString;
use serde_json::Value;

macro_rules! vector_files {
    ($($name:ident = $file:literal;)*) => { $(
        pub(crate) fn $name() -> Value {
            serde_json::from_str(include_str!(concat!("../../../dream-testkit/vectors/", $file))).unwrap()
        }
    )* };
}

vector_files! {
    keys = "keys.json";
    request_signing = "request-signing.json";
    pay_params = "pay-params.json";
    response_verification = "response-verification.json";
    certificates_response = "certificates-response.json";
    notify_callbacks = "notify-callbacks.json";
    trade_bill = "trade-bill.json";
    pay_errors = "pay-errors.json";
}

/// The text at this JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"));
    found.as_str().unwrap_or_else(|| panic!("{pointer} is no text"))
}

/// The cases under this name; there must be some.
pub(crate) fn cases(file: &Value, name: &str) -> Vec<Value> {
    let cases = file[name].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

pub(crate) fn instant(value: &Value) -> Timestamp {
    let secs = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    Timestamp::from_secs(secs.unwrap())
}

/// The headers of a request or response of a vector.
pub(crate) fn headers(message: &Value) -> Vec<(String, String)> {
    let headers = message["headers"].as_object().unwrap();
    headers.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

/// The header of this name in any case.
pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

pub(crate) fn merchant_key() -> MerchantKey {
    let keys = keys();
    let pem = SecretString::from(text(&keys, "/merchant/private_key_pem"));
    let serial = text(&keys, "/merchant/certificate_serial_no");
    MerchantKey::new(text(&keys, "/merchant/mchid"), serial, &pem).unwrap()
}

pub(crate) fn api_v3_key() -> ApiV3Key {
    ApiV3Key::new(&SecretString::from(text(&keys(), "/merchant/apiv3_key"))).unwrap()
}

pub(crate) fn platform_public_key() -> PlatformPublicKey {
    let keys = keys();
    let pem = text(&keys, "/platform_public_key/public_key_pem");
    PlatformPublicKey::new(text(&keys, "/platform_public_key/id"), pem).unwrap()
}

/// All certificates, the expired one too.
pub(crate) fn platform_certificates() -> Vec<PlatformCertificate> {
    cases(&keys(), "platform_certificates")
        .iter()
        .map(|one| PlatformCertificate::from_pem(text(one, "/certificate_pem").as_bytes()).unwrap())
        .collect()
}

/// What is trusted in the mode of this name: `cert`, `pubkey` or `both`.
pub(crate) fn trust(mode: &str) -> TrustedKeys {
    let public_key = (mode != "cert").then(platform_public_key);
    let certificates = if mode == "pubkey" { Vec::new() } else { platform_certificates() };
    TrustedKeys { public_key, certificates }
}

/// A configuration without faults, for a platform at this address.
pub(crate) fn config(base_url: &str) -> WeChatPayConfig {
    let keys = keys();
    WeChatPayConfig {
        appid: text(&keys, "/merchant/appid").to_owned(),
        mchid: text(&keys, "/merchant/mchid").to_owned(),
        merchant_serial: text(&keys, "/merchant/certificate_serial_no").to_owned(),
        merchant_key_pem: SecretString::from(text(&keys, "/merchant/private_key_pem")),
        api_v3_key: SecretString::from(text(&keys, "/merchant/apiv3_key")),
        platform_key_id: None,
        platform_key_pem: None,
        notify_url: "https://pay.example.test/v1/vip/payment-callback".to_owned(),
        refund_notify_url: Some("https://pay.example.test/v1/orders/refund-callback".to_owned()),
        base_urls: vec![base_url.to_owned()],
        limits: CallLimits::default(),
    }
}

pub(crate) fn channel(config: WeChatPayConfig, clock: &Arc<TestClock>) -> WeChatPay {
    WeChatPay::new(config, clock.clone(), Arc::new(OsEntropy)).unwrap()
}
