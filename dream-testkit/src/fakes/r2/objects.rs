//! The S3 API.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::answers::{Problem, escaped};
use super::sigv4::{self, Key};
use super::{Inner, StoredObject, control, operation, reading};
use crate::fakes::lock;
use crate::fakes::server::{FakeRequest, FakeResponse};

/// Longest name, in bytes.
const LONGEST_KEY: usize = 1024;

/// Names in one part of a listing at most.
const PAGE: usize = 1000;

/// Headers that are kept with an object and given out with it, beside those that start with [`META`].
const KEPT: [&str; 6] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
];
const META: &str = "x-amz-meta-";

/// Headers of a put that R2 knows. Of those that start with `x-amz-` it refuses all others.
const KNOWN: [&str; 4] = ["x-amz-date", "x-amz-content-sha256", "x-amz-storage-class", "x-amz-user-agent"];

type Outcome = Result<FakeResponse, Problem>;

pub(super) async fn answer(fake: Arc<Inner>, request: FakeRequest) -> FakeResponse {
    // By the fake's own clock: clients learn from it how far theirs is off.
    let date = reading::http_date(request.at);
    route(fake, request).await.with_header("date", &date)
}

async fn route(fake: Arc<Inner>, request: FakeRequest) -> FakeResponse {
    if request.path.starts_with("/_control/") {
        return control::answer(&fake, &request);
    }
    let (bucket, key) = match names(&request.path) {
        Ok(names) => names,
        Err(problem) => return problem.into_xml(),
    };
    let name = match (request.method.as_str(), key.is_empty()) {
        ("PUT", false) => operation::PUT,
        ("GET", false) => operation::GET,
        ("HEAD", false) => operation::HEAD,
        ("DELETE", false) => operation::DELETE,
        ("GET", true) => operation::LIST,
        _ => return Problem::not_implemented("This is not played by the fake.").into_xml(),
    };
    let work = async |_: Option<String>| {
        perform(&fake, name, &bucket, &key, &request).unwrap_or_else(Problem::into_xml)
    };
    fake.faults.around(&*fake.options.clock, name, work).await
}

/// Bucket and object, decoded.
fn names(path: &str) -> Result<(String, String), Problem> {
    let decoded = percent_decode_str(path.trim_start_matches('/')).decode_utf8();
    let decoded = decoded.map_err(|_| Problem::invalid("InvalidObjectName", "The name is no UTF-8."))?;
    let (bucket, key) = decoded.split_once('/').unwrap_or((&decoded, ""));
    Ok((bucket.to_owned(), key.to_owned()))
}

fn perform(fake: &Inner, name: &str, bucket: &str, key: &str, request: &FakeRequest) -> Outcome {
    let options = &fake.options;
    sigv4::verify(request, Key { id: &options.access_key_id, secret: &options.secret_access_key })?;
    if bucket != options.bucket {
        let message = "The specified bucket does not exist.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "NoSuchBucket", message));
    }
    no_unknown_headers(request)?;
    match name {
        operation::PUT => put(fake, key, request),
        operation::DELETE => {
            lock(&fake.objects).remove(key);
            Ok(FakeResponse::empty(StatusCode::NO_CONTENT))
        }
        operation::LIST => list(fake, request),
        _ => {
            let object = lock(&fake.objects).get(key).cloned();
            reading::give(&object.ok_or_else(Problem::no_such_key)?, request)
        }
    }
}

fn no_unknown_headers(request: &FakeRequest) -> Result<(), Problem> {
    let is_unknown =
        |name: &&str| name.starts_with("x-amz-") && !name.starts_with(META) && !KNOWN.contains(name);
    match request.headers.keys().map(http::HeaderName::as_str).find(is_unknown) {
        Some(name) => {
            Err(Problem::not_implemented(format!("Header '{name}' with the value given not implemented")))
        }
        None => Ok(()),
    }
}

fn put(fake: &Inner, key: &str, request: &FakeRequest) -> Outcome {
    if key.len() > LONGEST_KEY {
        return Err(Problem::invalid("InvalidObjectName", "The name is too long."));
    }
    if request.header("content-length").is_none() {
        let message = "You must provide the Content-Length HTTP header.";
        return Err(Problem::new(StatusCode::LENGTH_REQUIRED, "MissingContentLength", message));
    }
    if request
        .header("content-md5")
        .is_some_and(|text| STANDARD.decode(text).map_or(0, |hash| hash.len()) != 16)
    {
        return Err(Problem::invalid("InvalidDigest", "The Content-MD5 you specified is not valid."));
    }
    let is_kept = |name: &str| KEPT.contains(&name) || name.starts_with(META);
    let headers: BTreeMap<String, String> = request
        .headers
        .iter()
        .filter(|(name, _)| is_kept(name.as_str()))
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let mut objects = lock(&fake.objects);
    let there = objects.get(key);
    may_be_written(fake, there, request)?;
    let object = StoredObject::new(request.body.clone(), headers, request.at);
    let answer = FakeResponse::empty(StatusCode::OK).with_header("etag", &object.etag);
    objects.insert(key.to_owned(), object);
    Ok(answer)
}

fn may_be_written(fake: &Inner, there: Option<&StoredObject>, request: &FakeRequest) -> Result<(), Problem> {
    let is_named = |header: &str| {
        let tags = request.header(header)?;
        Some(there.is_some_and(|object| reading::names(tags, &object.etag)))
    };
    if is_named("if-match") == Some(false) || is_named("if-none-match") == Some(true) {
        return Err(Problem::precondition());
    }
    let just_now = there.is_some_and(|object| request.at.since(object.modified) < Duration::from_secs(1));
    if fake.options.one_write_a_second && just_now {
        let message = "Reduce your concurrent request rate for the same object.";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message));
    }
    Ok(())
}

fn list(fake: &Inner, request: &FakeRequest) -> Outcome {
    if request.param("list-type").as_deref() != Some("2") || request.param("delimiter").is_some() {
        return Err(Problem::not_implemented(
            "Only ListObjectsV2 without a delimiter is played by the fake.",
        ));
    }
    let prefix = request.param("prefix").unwrap_or_default();
    let page = match request.param("max-keys").map(|number| number.parse::<usize>()) {
        None => PAGE,
        Some(Ok(number)) => number.min(PAGE),
        Some(Err(_)) => return Err(Problem::invalid("InvalidArgument", "max-keys is no number")),
    };
    let after = match request.param("continuation-token") {
        Some(token) => from_token(&token)?,
        None => request.param("start-after").unwrap_or_default(),
    };
    let objects = lock(&fake.objects);
    let mut found = objects
        .range::<str, _>((Bound::Excluded(after.as_str()), Bound::Unbounded))
        .filter(|(key, _)| key.starts_with(&prefix));
    let items: Vec<(&String, &StoredObject)> = found.by_ref().take(page).collect();
    let is_truncated = page > 0 && found.next().is_some();
    let next = items.last().filter(|_| is_truncated).map(|(key, _)| URL_SAFE_NO_PAD.encode(key));
    let shown = |text: &str| match request.param("encoding-type").as_deref() {
        Some("url") => utf8_percent_encode(text, NON_ALPHANUMERIC).to_string(),
        _ => escaped(text),
    };
    let body = [
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned(),
        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">".to_owned(),
        element("Name", &fake.options.bucket),
        element("Prefix", &shown(&prefix)),
        element("MaxKeys", &page.to_string()),
        element("KeyCount", &items.len().to_string()),
        element("IsTruncated", &is_truncated.to_string()),
        next.map(|token| element("NextContinuationToken", &token)).unwrap_or_default(),
        items.iter().map(|(key, object)| contents(&shown(key), object)).collect(),
        "</ListBucketResult>".to_owned(),
    ];
    Ok(FakeResponse::new(StatusCode::OK, "application/xml", body.concat()))
}

fn contents(key: &str, object: &StoredObject) -> String {
    let members = [
        element("Key", key),
        element("Size", &object.bytes.len().to_string()),
        element("LastModified", &object.modified.to_string()),
        element("ETag", &escaped(&object.etag)),
        element("StorageClass", "STANDARD"),
    ];
    element("Contents", &members.concat())
}

fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

fn from_token(token: &str) -> Result<String, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| Problem::invalid("InvalidArgument", "The continuation token provided is incorrect"))
}
