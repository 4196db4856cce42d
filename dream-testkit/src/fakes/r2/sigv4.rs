//! AWS Signature Version 4, from the side of who has to be convinced.

use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use dream_core::kernel::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::answers::Problem;
use crate::fakes::server::FakeRequest;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// How far the clocks may be apart.
const SKEW: Duration = Duration::from_mins(15);

/// Longest life of a presigned URL, in seconds.
const LONGEST: u64 = 604_800;

/// Names of the one region, as R2 takes them.
const REGIONS: [&str; 3] = ["auto", "us-east-1", ""];

/// What is not encoded in a query; in a path a slash neither.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The one key that is let in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) id: &'a str,
    pub(super) secret: &'a str,
}

/// What a request says about its signature.
#[derive(Debug)]
struct Claim {
    key_id: String,
    /// `20260101`
    day: String,
    region: String,
    /// `20260101T020000Z`
    stamp: String,
    signed: Vec<String>,
    payload: String,
    signature: String,
    /// For presigned URLs, in seconds.
    lifetime: Option<u64>,
}

/// Whether the request is signed with the key, and in time.
pub(super) fn verify(request: &FakeRequest, key: Key<'_>) -> Result<(), Problem> {
    let claim = if request.param("X-Amz-Algorithm").is_some() {
        Claim::of_query(request)?
    } else {
        Claim::of_headers(request)?
    };
    if claim.key_id != key.id {
        let message = "The access key is not known.";
        return Err(Problem::new(http::StatusCode::UNAUTHORIZED, "Unauthorized", message));
    }
    claim.is_in_time(request.at)?;
    claim.covers_what_it_must(request)?;
    if claim.signature != claim.expected_signature(request, key) {
        let message = "The request signature we calculated does not match the signature you provided.";
        return Err(Problem::forbidden("SignatureDoesNotMatch", message));
    }
    claim.matches_the_body(request)
}

impl Claim {
    fn of_headers(request: &FakeRequest) -> Result<Self, Problem> {
        let malformed = || Problem::invalid("InvalidArgument", "The Authorization header is malformed.");
        let Some(text) = request.header("authorization") else {
            let message = "The request is not signed.";
            return Err(Problem::new(http::StatusCode::UNAUTHORIZED, "Unauthorized", message));
        };
        let fields = text.strip_prefix(ALGORITHM).ok_or_else(malformed)?;
        let field = |name: &str| {
            let mut pairs = fields.split(',').filter_map(|pair| pair.trim().split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).ok_or_else(malformed)
        };
        let header = |name: &str| request.header(name).map(str::to_owned).ok_or_else(malformed);
        Self::new(
            &field("Credential")?,
            header("x-amz-date")?,
            &field("SignedHeaders")?,
            header("x-amz-content-sha256")?,
            field("Signature")?,
            None,
        )
        .ok_or_else(malformed)
    }

    fn of_query(request: &FakeRequest) -> Result<Self, Problem> {
        let malformed = || {
            Problem::invalid("AuthorizationQueryParametersError", "The query's authorization is malformed.")
        };
        let param = |name: &str| request.param(name).ok_or_else(malformed);
        let lifetime: u64 = param("X-Amz-Expires")?.parse().map_err(|_| malformed())?;
        if param("X-Amz-Algorithm")? != ALGORITHM || !(1..=LONGEST).contains(&lifetime) {
            return Err(malformed());
        }
        Self::new(
            &param("X-Amz-Credential")?,
            param("X-Amz-Date")?,
            &param("X-Amz-SignedHeaders")?,
            request.param("X-Amz-Content-Sha256").unwrap_or_else(|| UNSIGNED.to_owned()),
            param("X-Amz-Signature")?,
            Some(lifetime),
        )
        .ok_or_else(malformed)
    }

    fn new(
        credential: &str,
        stamp: String,
        signed: &str,
        payload: String,
        signature: String,
        lifetime: Option<u64>,
    ) -> Option<Self> {
        let mut parts = credential.split('/');
        let claim = Self {
            key_id: parts.next()?.to_owned(),
            day: parts.next()?.to_owned(),
            region: parts.next()?.to_owned(),
            stamp,
            signed: signed.split(';').map(str::to_owned).collect(),
            payload,
            signature,
            lifetime,
        };
        let is_right = parts.next() == Some("s3")
            && parts.next() == Some("aws4_request")
            && parts.next().is_none()
            && REGIONS.contains(&claim.region.as_str())
            && claim.stamp.starts_with(&claim.day)
            && claim.signed.is_sorted();
        is_right.then_some(claim)
    }

    fn is_in_time(&self, now: Timestamp) -> Result<(), Problem> {
        let Some(signed_at) = instant(&self.stamp) else {
            return Err(Problem::invalid("InvalidArgument", "The date is malformed."));
        };
        let age = now.since(signed_at);
        if signed_at.since(now) > SKEW || (self.lifetime.is_none() && age > SKEW) {
            let message = "The difference between the request time and the server's time is too large.";
            return Err(Problem::forbidden("RequestTimeTooSkewed", message));
        }
        if self.lifetime.is_some_and(|secs| age > Duration::from_secs(secs)) {
            return Err(Problem::invalid("ExpiredRequest", "The request has expired."));
        }
        Ok(())
    }

    /// The host and every `x-amz-` header must be signed, or they could be changed on the way.
    fn covers_what_it_must(&self, request: &FakeRequest) -> Result<(), Problem> {
        let sent =
            request.headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-amz-"));
        for name in sent.chain(["host"]) {
            if !self.signed.iter().any(|signed| signed == name) {
                let message =
                    format!("There were headers present in the request which were not signed: {name}");
                return Err(Problem::forbidden("AccessDenied", message));
            }
        }
        Ok(())
    }

    fn matches_the_body(&self, request: &FakeRequest) -> Result<(), Problem> {
        if self.payload == UNSIGNED {
            return Ok(());
        }
        if self.payload.starts_with("STREAMING-") {
            return Err(Problem::not_implemented("Signed chunks are not played by this fake."));
        }
        if self.payload != hex::encode(digest::digest(&digest::SHA256, &request.body)) {
            let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return Err(Problem::invalid("XAmzContentSHA256Mismatch", message));
        }
        Ok(())
    }

    fn expected_signature(&self, request: &FakeRequest, key: Key<'_>) -> String {
        let text = self.string_to_sign(&self.canonical_request(request));
        let mut derived = sign(format!("AWS4{}", key.secret).as_bytes(), &self.day);
        for word in [&self.region, "s3", "aws4_request"] {
            derived = sign(derived.as_ref(), word);
        }
        hex::encode(sign(derived.as_ref(), &text))
    }

    fn string_to_sign(&self, canonical_request: &str) -> String {
        let hash = hex::encode(digest::digest(&digest::SHA256, canonical_request.as_bytes()));
        format!("{ALGORITHM}\n{}\n{}/{}/s3/aws4_request\n{hash}", self.stamp, self.day, self.region)
    }

    fn canonical_request(&self, request: &FakeRequest) -> String {
        let path: Vec<u8> = percent_decode_str(&request.path).collect();
        let line = |name: &String| format!("{name}:{}\n", header_value(request, name));
        let headers = self.signed.iter().map(line).collect::<Vec<_>>().concat();
        format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            request.method,
            percent_encode(&path, PATH),
            canonical_query(request.query.as_deref().unwrap_or_default()),
            self.signed.join(";"),
            self.payload
        )
    }
}

/// All values of the header, each trimmed and with single spaces.
fn header_value(request: &FakeRequest, name: &str) -> String {
    let values = request.headers.get_all(name).iter();
    let tidy = |value: &http::HeaderValue| {
        String::from_utf8_lossy(value.as_bytes()).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    values.map(tidy).collect::<Vec<_>>().join(",")
}

fn canonical_query(query: &str) -> String {
    let encoded = |text: &str| {
        let bytes: Vec<u8> = percent_decode_str(text).collect();
        percent_encode(&bytes, QUERY).to_string()
    };
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .filter(|(name, _)| name != "X-Amz-Signature")
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn sign(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

/// Reads `20260101T020000Z`.
fn instant(stamp: &str) -> Option<Timestamp> {
    let (day, time) = (stamp.get(..8)?, stamp.get(8..)?);
    let (hours, rest) = time.strip_prefix('T')?.strip_suffix('Z')?.split_at_checked(2)?;
    let (minutes, seconds) = rest.split_at_checked(2)?;
    let (year, month, day) = (day.get(..4)?, day.get(4..6)?, day.get(6..)?);
    format!("{year}-{month}-{day}T{hours}:{minutes}:{seconds}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Uri;
    use serde_json::Value;

    use super::*;

    const KEY: Key<'_> = Key {
        id: "419456db99963f4f93681f78a6d36395",
        secret: "050ed7ace0ed4691c114280e9473df1d8e1ff7079d1bcb3032427637f3926d55",
    };

    type Change = fn(&mut FakeRequest);

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../vectors/r2-sigv4.json")).unwrap()
    }

    fn request(vectors: &Value, case: &Value) -> FakeRequest {
        let expect = &case["expect"];
        let url: Uri = expect["presigned_url"].as_str().or(case["url"].as_str()).unwrap().parse().unwrap();
        let mut headers = http::HeaderMap::new();
        let mut add = |name: &str, value: &str| {
            headers.insert(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
        };
        add("host", url.host().unwrap());
        for (name, value) in case["headers"].as_object().unwrap() {
            add(name, value.as_str().unwrap());
        }
        for (name, member) in [
            ("authorization", "authorization"),
            ("x-amz-date", "x_amz_date"),
            ("x-amz-content-sha256", "x_amz_content_sha256"),
        ] {
            if let Some(value) = expect[member].as_str() {
                add(name, value);
            }
        }
        FakeRequest {
            at: Timestamp::from_secs(vectors["now"].as_i64().unwrap()),
            peer: ([127, 0, 0, 1], 1).into(),
            method: case["method"].as_str().unwrap().parse().unwrap(),
            path: url.path().to_owned(),
            query: url.query().map(str::to_owned),
            headers,
            body: Bytes::from(case["body"].as_str().unwrap_or_default().to_owned()),
        }
    }

    #[test]
    fn every_published_signature_is_right() {
        let vectors = vectors();
        for case in vectors["cases"].as_array().unwrap() {
            let request = request(&vectors, case);
            let claim = match request.header("authorization") {
                Some(_) => Claim::of_headers(&request).unwrap(),
                None => Claim::of_query(&request).unwrap(),
            };
            let canonical = claim.canonical_request(&request);
            assert_eq!(canonical, case["expect"]["canonical_request"].as_str().unwrap(), "{}", case["id"]);
            let text = claim.string_to_sign(&canonical);
            assert_eq!(text, case["expect"]["string_to_sign"].as_str().unwrap(), "{}", case["id"]);
            assert_eq!(verify(&request, KEY), Ok(()), "{}", case["id"]);
        }
    }

    #[test]
    fn whatever_is_changed_on_the_way_is_noticed() {
        let vectors = vectors();
        for case in vectors["cases"].as_array().unwrap() {
            let is_presigned = case["expect"]["presigned_url"].is_string();
            let changes: [(&str, Change); 5] = [
                ("method", |request| request.method = http::Method::PATCH),
                ("path", |request| request.path.push('x')),
                ("query", |request| {
                    request.query = Some(format!("{}&x=y", request.query.clone().unwrap_or_default()));
                }),
                ("host", |request| {
                    request.headers.insert("host", http::HeaderValue::from_static("elsewhere.example"));
                }),
                ("new header", |request| {
                    request.headers.insert("x-amz-acl", http::HeaderValue::from_static("public-read"));
                }),
            ];
            for (what, change) in changes {
                let mut request = request(&vectors, case);
                change(&mut request);
                assert_eq!(verify(&request, KEY).unwrap_err().status, 403, "{} {what}", case["id"]);
            }
            let mut other_body = request(&vectors, case);
            other_body.body = Bytes::from_static(b"something else");
            assert_eq!(verify(&other_body, KEY).is_ok(), is_presigned, "{}", case["id"]);
        }
    }

    #[test]
    fn a_signature_has_its_time() {
        let vectors = vectors();
        for case in vectors["cases"].as_array().unwrap() {
            let lifetime = case["expires_seconds"].as_u64();
            let late = Duration::from_secs(lifetime.map_or(15 * 60, |secs| secs) + 1);
            let mut request = request(&vectors, case);
            request.at = request.at.plus(late);
            let code = if lifetime.is_some() { "ExpiredRequest" } else { "RequestTimeTooSkewed" };
            assert_eq!(verify(&request, KEY).unwrap_err().code, code);
            request.at = request.at.minus(late + late);
            assert_eq!(verify(&request, KEY).is_err(), late > SKEW, "{}", case["id"]);
        }
    }

    #[test]
    fn another_key_is_not_let_in() {
        let vectors = vectors();
        for case in vectors["cases"].as_array().unwrap() {
            let request = request(&vectors, case);
            assert_eq!(
                verify(&request, Key { secret: "x", ..KEY }).unwrap_err().code,
                "SignatureDoesNotMatch"
            );
            assert_eq!(verify(&request, Key { id: "x", ..KEY }).unwrap_err().code, "Unauthorized");
        }
    }
}
