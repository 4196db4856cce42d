//! What the platform verifies of a request, and what it signs and encrypts itself.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use dream_core::kernel::Timestamp;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::keys::{KeyRing, PlatformKey};
use super::refusal::Refusal;
use crate::fakes::server::{FakeRequest, FakeResponse};

const SCHEME: &str = "WECHATPAY2-SHA256-RSA2048 ";
/// What a deliberate probe starts with.
pub(super) const PROBE: &str = "WECHATPAY/SIGNTEST/";
const CLOCK_WINDOW_SECS: u64 = 300;
/// Longest part of the signed message that an error shows.
const SHOWN: usize = 160;
/// Longest part of a body that is explained, in characters.
const EXPLAINED: usize = 4096;

/// The five items of an `Authorization` header.
#[derive(Debug, Default)]
struct Items<'a> {
    mchid: Option<&'a str>,
    nonce: Option<&'a str>,
    timestamp: Option<&'a str>,
    serial: Option<&'a str>,
    signature: Option<&'a str>,
}

impl<'a> Items<'a> {
    /// Each item exactly once, in any order, comma-separated, in double quotes.
    fn parse(text: &'a str) -> Option<Self> {
        let mut items = Items::default();
        for item in text.split(',') {
            let (name, value) = item.split_once('=')?;
            let value = value.strip_prefix('"')?.strip_suffix('"')?;
            let place = match name {
                "mchid" => &mut items.mchid,
                "nonce_str" => &mut items.nonce,
                "timestamp" => &mut items.timestamp,
                "serial_no" => &mut items.serial,
                "signature" => &mut items.signature,
                _ => return None,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        Some(items)
    }
}

/// Who may sign requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Merchant<'a> {
    pub(super) mchid: &'a str,
    pub(super) serial: &'a str,
}

/// Why a request is not believed, and what it should have signed, where that was looked at.
#[derive(Debug)]
struct Objection {
    issue: &'static str,
    message: Vec<u8>,
}

/// Verifies the `Authorization` of the request; the nonce that it used.
pub(super) fn authorize(
    ring: &KeyRing,
    merchant: Merchant<'_>,
    request: &FakeRequest,
    now: Timestamp,
) -> Result<String, Refusal> {
    verify(ring, merchant, request, now).map_err(|Objection { issue, message }| {
        sign_error(issue, request, &String::from_utf8_lossy(&message))
    })
}

fn items(request: &FakeRequest) -> Option<Items<'_>> {
    request.header("authorization")?.strip_prefix(SCHEME).and_then(Items::parse)
}

/// What the merchant signs: five lines, each with its end.
fn message(request: &FakeRequest, timestamp: &str, nonce: &str) -> Vec<u8> {
    let head = format!("{}\n{}\n{timestamp}\n{nonce}\n", request.method, request.target());
    [head.as_bytes(), &request.body, b"\n"].concat()
}

fn verify(
    ring: &KeyRing,
    merchant: Merchant<'_>,
    request: &FakeRequest,
    now: Timestamp,
) -> Result<String, Objection> {
    let refuse = |issue| Objection { issue, message: Vec::new() };
    let items =
        items(request).ok_or_else(|| refuse("no Authorization of the scheme WECHATPAY2-SHA256-RSA2048"))?;
    let (Some(mchid), Some(nonce), Some(timestamp), Some(serial), Some(signature)) =
        (items.mchid, items.nonce, items.timestamp, items.serial, items.signature)
    else {
        return Err(refuse("an item of Authorization is missing"));
    };
    if mchid != merchant.mchid || serial != merchant.serial {
        return Err(refuse("mchid or serial_no is not known"));
    }
    if !(1..=32).contains(&nonce.len()) || !nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(refuse("nonce_str must be up to 32 letters and digits"));
    }
    let told: i64 = timestamp.parse().map_err(|_| refuse("timestamp is no number"))?;
    if told.abs_diff(now.as_secs()) > CLOCK_WINDOW_SECS {
        return Err(refuse("timestamp is more than 5 minutes away"));
    }
    let message = message(request, timestamp, nonce);
    if ring.merchant_signed(&message, signature) {
        Ok(nonce.to_owned())
    } else {
        Err(Objection { issue: "sign not match", message })
    }
}

/// What the platform makes of a request's signature, for people.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explained {
    /// Whether the merchant signed it.
    verified: bool,
    /// Why it is not believed.
    why: Option<&'static str>,
    mchid: Option<String>,
    serial: Option<String>,
    timestamp: Option<String>,
    nonce: Option<String>,
    signature: Option<String>,
    /// What the merchant has to sign, a line each: method, target, timestamp, nonce, body.
    message: Vec<String>,
}

/// Explains the signature of a request that came at this instant.
pub(super) fn explain(
    ring: &KeyRing,
    merchant: Merchant<'_>,
    request: &FakeRequest,
    now: Timestamp,
) -> Explained {
    let found = items(request).unwrap_or_default();
    let why = verify(ring, merchant, request, now).err().map(|objection| objection.issue);
    let owned = |item: Option<&str>| item.map(str::to_owned);
    let body = String::from_utf8_lossy(&request.body).chars().take(EXPLAINED).collect();
    Explained {
        verified: why.is_none(),
        why,
        mchid: owned(found.mchid),
        serial: owned(found.serial),
        timestamp: owned(found.timestamp),
        nonce: owned(found.nonce),
        signature: owned(found.signature),
        message: vec![
            request.method.to_string(),
            request.target(),
            found.timestamp.unwrap_or_default().to_owned(),
            found.nonce.unwrap_or_default().to_owned(),
            body,
        ],
    }
}

fn sign_error(issue: &str, request: &FakeRequest, message: &str) -> Refusal {
    let shown: String = message.chars().take(SHOWN).collect();
    let detail = json!({
        "field": "signature",
        "location": "authorization",
        "detail": {"issue": issue},
        "sign_information": {
            "method": request.method.as_str(),
            "url": request.target(),
            "truncated_sign_message": shown,
            "sign_message_length": message.len(),
        },
    });
    Refusal::new(StatusCode::UNAUTHORIZED, "SIGN_ERROR", "签名错误").with_detail(detail)
}

/// How something is signed: rightly, or wrongly in one of many ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Shape {
    #[default]
    Right,
    Probe,
    WrongSignature,
    Stale,
    UnknownSerial,
    Forged,
    Unsigned,
    Tampered,
}

impl Shape {
    /// The shape that a fault of this name asks for.
    pub(super) fn named(name: Option<&str>) -> Self {
        match name {
            Some("probe") => Shape::Probe,
            Some("wrong_signature") => Shape::WrongSignature,
            Some("stale") => Shape::Stale,
            Some("unknown_serial") => Shape::UnknownSerial,
            Some("forged") => Shape::Forged,
            Some("unsigned") => Shape::Unsigned,
            Some("tampered") => Shape::Tampered,
            _ => Shape::Right,
        }
    }
}

/// The headers that sign the body, and the body that is sent under them.
pub(super) fn signed(
    ring: &KeyRing,
    key: PlatformKey,
    shape: Shape,
    body: &Bytes,
    now: Timestamp,
    nonce: &str,
) -> (Vec<(&'static str, String)>, Bytes) {
    if shape == Shape::Unsigned {
        return (Vec::new(), body.clone());
    }
    let timestamp = if shape == Shape::Stale { now.as_secs() - 301 } else { now.as_secs() };
    let signer =
        if matches!(shape, Shape::UnknownSerial | Shape::Forged) { PlatformKey::Stranger } else { key };
    let head = format!("{timestamp}\n{nonce}\n");
    let signature = ring.sign(signer, &[head.as_bytes(), body, b"\n"].concat());
    let signature = match shape {
        Shape::Probe => format!("{PROBE}{}", &signature[..signature.len().min(300)]),
        Shape::WrongSignature => flipped(&signature),
        _ => signature,
    };
    let serial = if shape == Shape::UnknownSerial { PlatformKey::Stranger.serial() } else { key.serial() };
    let headers = vec![
        ("Wechatpay-Timestamp", timestamp.to_string()),
        ("Wechatpay-Nonce", nonce.to_owned()),
        ("Wechatpay-Serial", serial.to_owned()),
        ("Wechatpay-Signature", signature),
        ("Wechatpay-Signature-Type", SCHEME.trim_end().to_owned()),
    ];
    let body = if shape == Shape::Tampered { tampered(body) } else { body.clone() };
    (headers, body)
}

/// The same signature with one bit changed.
fn flipped(signature: &str) -> String {
    let mut bytes = STANDARD.decode(signature).unwrap_or_default();
    if let Some(byte) = bytes.first_mut() {
        *byte ^= 1;
    }
    STANDARD.encode(bytes)
}

/// The same JSON to the eye, in other bytes.
fn tampered(body: &Bytes) -> Bytes {
    [body, &b" "[..]].concat().into()
}

/// Adds the signature to an answer.
pub(super) fn sign_answer(
    ring: &KeyRing,
    key: PlatformKey,
    shape: Shape,
    mut answer: FakeResponse,
    now: Timestamp,
    nonce: &str,
) -> FakeResponse {
    let (headers, body) = signed(ring, key, shape, &answer.body, now, nonce);
    answer.body = body;
    headers.into_iter().fold(answer, |answer, (name, value)| answer.with_header(name, &value))
}

/// Encrypts under the merchant's key, as notifies and certificates come.
pub(super) fn encrypted(api_v3_key: &str, plain: &str, associated_data: &str, nonce: &str) -> Value {
    let sealed = || {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, api_v3_key.as_bytes()).ok()?);
        let once = Nonce::try_assume_unique_for_key(nonce.as_bytes()).ok()?;
        let mut bytes = plain.as_bytes().to_vec();
        key.seal_in_place_append_tag(once, Aad::from(associated_data.as_bytes()), &mut bytes).ok()?;
        Some(STANDARD.encode(bytes))
    };
    json!({
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": sealed().unwrap_or_default(),
        "associated_data": associated_data,
        "nonce": nonce,
    })
}

/// Notes in the log that an answer was signed wrongly on purpose.
pub(super) fn note(answer: FakeResponse, shape: Shape) -> FakeResponse {
    if shape == Shape::Right { answer } else { answer.noted(format!("signed on purpose: {shape:?}")) }
}
