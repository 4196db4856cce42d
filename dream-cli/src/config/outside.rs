//! Who we talk to: WeChat, WeChat Pay, the image API.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dream_core::adapters::image_api::ImageApiConfig;
use dream_core::adapters::wechat::WeChatConfig;
use dream_core::adapters::wechat_pay::{CallLimits, WeChatPay, WeChatPayConfig};
use dream_core::adapters::{OsEntropy, SystemClock};
use secrecy::{ExposeSecret as _, SecretString};

use super::SANDBOX;
use super::environment::Origin;
use super::parse::UpstreamAuth;
use super::reader::{MIN_SECRET, Reader};
use super::table::{
    THIRD_PARTY_API_BASE_URL, THIRD_PARTY_API_KEY, THIRD_PARTY_AUTH, THIRD_PARTY_CONCURRENCY,
    THIRD_PARTY_RPM, THIRD_PARTY_TIMEOUT, THIRD_PARTY_WEBHOOK_SECRET, WECHAT_API_BASE_URL, WECHAT_APPID,
    WECHAT_PAY_API_V3_KEY, WECHAT_PAY_BASE_URL, WECHAT_PAY_MCH_ID, WECHAT_PAY_NOTIFY_URL,
    WECHAT_PAY_PRIVATE_KEY, WECHAT_PAY_PRIVATE_KEY_PATH, WECHAT_PAY_PUBLIC_KEY, WECHAT_PAY_PUBLIC_KEY_ID,
    WECHAT_PAY_PUBLIC_KEY_PATH, WECHAT_PAY_SERIAL_NO, WECHAT_PUSH_AES_KEY, WECHAT_PUSH_TOKEN, WECHAT_SECRET,
};
use super::variable::{Spec, Variable};

/// Path of the endpoint that payments are announced at.
const PAYMENT_PATH: &str = "/v1/orders/payment-callback";
/// Path of the endpoint that refunds are announced at.
const REFUND_PATH: &str = "/v1/orders/refund-callback";

/// Access to WeChat's mini-program API.
#[derive(Debug, Clone)]
pub(crate) struct WeChatAccess {
    pub(crate) client: WeChatConfig,
    pub(crate) push: Option<PushAccess>,
}

/// What the console says of the message push.
#[derive(Debug, Clone)]
pub(crate) struct PushAccess {
    pub(crate) token: SecretString,
    /// Without one, messages come in plain form.
    pub(crate) aes_key: Option<SecretString>,
}

/// Access to the image API.
#[derive(Debug, Clone)]
pub(crate) struct ImageApiAccess {
    pub(crate) client: ImageApiConfig,
    pub(crate) webhook_secret: Option<SecretString>,
}

/// Access to WeChat Pay.
#[derive(Debug, Clone)]
pub(crate) struct PayAccess {
    pub(crate) client: WeChatPayConfig,
}

/// Says that a part without credentials is played, or that it cannot be.
fn played<T>(reader: &mut Reader<'_>, variable: &Variable<T>) {
    if reader.is_production() {
        reader.missing(variable, "in production");
    } else if SANDBOX {
        reader.stands_in(variable, None, Origin::Sandbox);
    } else {
        reader.missing(variable, "in a build without sandbox");
    }
}

pub(super) fn wechat(reader: &mut Reader<'_>) -> Option<WeChatAccess> {
    let appid = reader.get(&WECHAT_APPID);
    let secret = reader.get(&WECHAT_SECRET);
    let base_url = reader.get(&WECHAT_API_BASE_URL);
    let push = push(reader);
    if !reader.any_set(&[WECHAT_APPID.spec, WECHAT_SECRET.spec, WECHAT_API_BASE_URL.spec]) {
        played(reader, &WECHAT_APPID);
        played(reader, &WECHAT_SECRET);
        reader.stands_in(&WECHAT_API_BASE_URL, None, Origin::Sandbox);
        return None;
    }
    reader.missing(&WECHAT_APPID, "beside the other variables of WeChat");
    reader.missing(&WECHAT_SECRET, "beside the other variables of WeChat");
    if let Some(secret) = &secret {
        reader.require_strong(&WECHAT_SECRET, secret.expose_secret(), MIN_SECRET);
    }
    let client = WeChatConfig { base_url: base_url?, ..WeChatConfig::new(appid?, secret?) };
    if push.is_none() {
        reader.note("no WECHAT_PUSH_TOKEN: no verdict on a picture arrives, and each waits for an admin");
    }
    Some(WeChatAccess { client, push })
}

fn push(reader: &mut Reader<'_>) -> Option<PushAccess> {
    let token = reader.get(&WECHAT_PUSH_TOKEN);
    let aes_key = reader.get(&WECHAT_PUSH_AES_KEY);
    if aes_key.is_some() {
        reader.missing(&WECHAT_PUSH_TOKEN, "beside WECHAT_PUSH_AES_KEY");
    }
    if let Some(token) = &token {
        reader.require_unguessable(&WECHAT_PUSH_TOKEN, token.expose_secret(), MIN_SECRET);
    }
    if token.is_some() && !reader.is_set(&WECHAT_PUSH_AES_KEY) {
        reader.warn_in_production(
            "no WECHAT_PUSH_AES_KEY: the signature of a plain message covers neither its body nor its age, so \
             whoever has seen the URL of one can send verdicts on pictures. Choose the safe mode in WeChat's console",
        );
    }
    Some(PushAccess { token: token?, aes_key })
}

pub(super) fn image_api(reader: &mut Reader<'_>) -> Option<ImageApiAccess> {
    let base_url = reader.get(&THIRD_PARTY_API_BASE_URL);
    let key = reader.get(&THIRD_PARTY_API_KEY);
    let forward = reader.get(&THIRD_PARTY_AUTH) == Some(UpstreamAuth::Forward);
    let webhook_secret = reader.get(&THIRD_PARTY_WEBHOOK_SECRET);
    let timeout = reader.get(&THIRD_PARTY_TIMEOUT);
    let per_minute = reader.get(&THIRD_PARTY_RPM);
    let concurrency = reader.get(&THIRD_PARTY_CONCURRENCY);
    if !reader.any_set(&[THIRD_PARTY_API_BASE_URL.spec, THIRD_PARTY_API_KEY.spec]) {
        played(reader, &THIRD_PARTY_API_BASE_URL);
        played(reader, &THIRD_PARTY_API_KEY);
        return None;
    }
    reader.missing(&THIRD_PARTY_API_BASE_URL, "beside THIRD_PARTY_API_KEY");
    if let Some(key) = &key {
        reader.require_strong(&THIRD_PARTY_API_KEY, key.expose_secret(), MIN_SECRET);
    } else if !forward {
        reader.missing(&THIRD_PARTY_API_KEY, "beside THIRD_PARTY_API_BASE_URL");
    }
    match &webhook_secret {
        Some(secret) => {
            reader.require_strong(&THIRD_PARTY_WEBHOOK_SECRET, secret.expose_secret(), MIN_SECRET);
        }
        None => reader.note("no THIRD_PARTY_WEBHOOK_SECRET: jobs are followed by asking alone"),
    }
    // Where callers bring keys of their own there need not be one of the operator's.
    if key.is_none() && !forward {
        return None;
    }
    let client = ImageApiConfig {
        base_url: base_url?,
        api_key: key,
        timeout: timeout.unwrap_or(Duration::from_secs(30)),
        per_minute: per_minute?,
        concurrency: concurrency?,
    };
    Some(ImageApiAccess { client, webhook_secret })
}

/// What makes WeChat Pay a configured service; without any of these it is not.
const PAY_SPECS: [Spec; 5] = [
    WECHAT_PAY_MCH_ID.spec,
    WECHAT_PAY_API_V3_KEY.spec,
    WECHAT_PAY_SERIAL_NO.spec,
    WECHAT_PAY_PRIVATE_KEY.spec,
    WECHAT_PAY_PRIVATE_KEY_PATH.spec,
];

/// Whether the sandbox of `dream serve` plays WeChat Pay.
pub(super) fn plays_pay(reader: &Reader<'_>) -> bool {
    SANDBOX && !reader.is_production() && !reader.any_set(&PAY_SPECS)
}

pub(super) fn pay(
    reader: &mut Reader<'_>,
    wechat: Option<&WeChatAccess>,
    our_url: Option<&str>,
) -> Option<PayAccess> {
    let mchid = reader.get(&WECHAT_PAY_MCH_ID);
    let api_v3_key = reader.get(&WECHAT_PAY_API_V3_KEY);
    let serial = reader.get(&WECHAT_PAY_SERIAL_NO);
    let key = reader.get(&WECHAT_PAY_PRIVATE_KEY);
    let key_path = reader.get(&WECHAT_PAY_PRIVATE_KEY_PATH);
    let platform_key_id = reader.get(&WECHAT_PAY_PUBLIC_KEY_ID);
    let platform_key = reader.get(&WECHAT_PAY_PUBLIC_KEY);
    let platform_key_path = reader.get(&WECHAT_PAY_PUBLIC_KEY_PATH);
    let notify_url = reader.get(&WECHAT_PAY_NOTIFY_URL);
    let base_url = reader.get(&WECHAT_PAY_BASE_URL);
    if !reader.any_set(&PAY_SPECS) {
        return nothing_can_be_bought(reader);
    }
    let why = "beside the other variables of WeChat Pay";
    reader.missing(&WECHAT_PAY_MCH_ID, why);
    reader.missing(&WECHAT_PAY_API_V3_KEY, why);
    reader.missing(&WECHAT_PAY_SERIAL_NO, why);
    if key_path.is_none() {
        reader.missing(&WECHAT_PAY_PRIVATE_KEY, "beside the other variables of WeChat Pay, as _PATH or not");
    }
    let key_pem =
        key.or_else(|| file(reader, &WECHAT_PAY_PRIVATE_KEY_PATH, key_path.as_deref()).map(Into::into));
    let platform_key_pem =
        platform_key.or_else(|| file(reader, &WECHAT_PAY_PUBLIC_KEY_PATH, platform_key_path.as_deref()));
    let notify_url = notify_url.or_else(|| our_url.map(|url| format!("{url}{PAYMENT_PATH}")));
    if notify_url.is_none() {
        reader.missing(&WECHAT_PAY_NOTIFY_URL, "beside the other variables of WeChat Pay, or BASE_URL");
    }
    let Some(wechat) = wechat else {
        reader.missing(&WECHAT_APPID, "beside WeChat Pay, whose orders name the mini-program");
        return None;
    };
    let notify_url = notify_url?;
    let client = WeChatPayConfig {
        appid: wechat.client.appid.clone(),
        mchid: mchid?,
        merchant_serial: serial?,
        merchant_key_pem: key_pem?,
        api_v3_key: api_v3_key?,
        platform_key_id,
        platform_key_pem,
        refund_notify_url: refund_url(&notify_url),
        notify_url,
        base_urls: base_url.map_or_else(WeChatPayConfig::live_hosts, |url| vec![url]),
        limits: CallLimits::default(),
    };
    check(reader, &client).then_some(PayAccess { client })
}

fn nothing_can_be_bought(reader: &mut Reader<'_>) -> Option<PayAccess> {
    if reader.is_production() || !SANDBOX {
        reader.note("WeChat Pay is not configured: nothing can be bought");
    } else {
        reader.stands_in(&WECHAT_PAY_MCH_ID, None, Origin::Sandbox);
        reader.stands_in(&WECHAT_PAY_API_V3_KEY, None, Origin::Sandbox);
        reader.stands_in(&WECHAT_PAY_SERIAL_NO, None, Origin::Sandbox);
        reader.stands_in(&WECHAT_PAY_PRIVATE_KEY, None, Origin::Sandbox);
    }
    None
}

/// The endpoint beside the one that payments are announced at, whatever stands before the version.
fn refund_url(notify_url: &str) -> Option<String> {
    notify_url.split_once("/v1/").map(|(ours, _)| format!("{ours}{REFUND_PATH}"))
}

fn file<T>(reader: &mut Reader<'_>, variable: &Variable<T>, path: Option<&Path>) -> Option<String> {
    let path = path?;
    std::fs::read_to_string(path)
        .map_err(|error| {
            reader.fault(variable.spec.name, format!("{} cannot be read: {error}", path.display()));
        })
        .ok()
}

/// Lets the adapter say what is wrong, under the names of the variables.
fn check(reader: &mut Reader<'_>, client: &WeChatPayConfig) -> bool {
    let outcome = WeChatPay::new(client.clone(), Arc::new(SystemClock), Arc::new(OsEntropy));
    let Err(faults) = outcome else { return true };
    for fault in faults.0 {
        let name = match fault.field {
            "appid" => WECHAT_APPID.spec.name,
            "mchid" => WECHAT_PAY_MCH_ID.spec.name,
            "merchant_serial" => WECHAT_PAY_SERIAL_NO.spec.name,
            "merchant_key_pem" => WECHAT_PAY_PRIVATE_KEY.spec.name,
            "api_v3_key" => WECHAT_PAY_API_V3_KEY.spec.name,
            "platform_key_id" => WECHAT_PAY_PUBLIC_KEY_ID.spec.name,
            "platform_key_pem" => WECHAT_PAY_PUBLIC_KEY.spec.name,
            "base_urls" => WECHAT_PAY_BASE_URL.spec.name,
            _ => WECHAT_PAY_NOTIFY_URL.spec.name,
        };
        reader.fault(name, fault.problem);
    }
    false
}
