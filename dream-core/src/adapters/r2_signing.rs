//! Presigned URLs: AWS Signature Version 4 in the query, for path-style addresses. The S3 client can do it too, but only
//! in an async call that costs twenty times as much.

use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use super::r2_blobs::{R2Config, REGION};
use crate::kernel::Timestamp;
use crate::ports::BlobKey;

/// What the signature leaves as it is, in a query; in a path a slash stays too.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Signs with one key for one bucket.
#[derive(Debug)]
pub(super) struct Signer {
    /// Scheme and host, without a slash at the end.
    origin: String,
    host: String,
    /// What stands before the object's name in the path, with slashes around it.
    bucket_path: String,
    access_key_id: String,
    secret_access_key: SecretString,
}

impl Signer {
    /// `None` if the endpoint is no absolute URL.
    pub(super) fn new(config: &R2Config) -> Option<Self> {
        let endpoint = config.endpoint.trim_end_matches('/');
        let (scheme, rest) = endpoint.split_once("://")?;
        let (host, path) = rest.split_once('/').map_or((rest, String::new()), |(h, p)| (h, format!("/{p}")));
        if host.is_empty() || !matches!(scheme, "http" | "https") {
            return None;
        }
        // A client leaves the usual port out of the `Host` that is signed.
        let usual_port = if scheme == "https" { ":443" } else { ":80" };
        Some(Self {
            origin: format!("{scheme}://{host}"),
            host: host.strip_suffix(usual_port).unwrap_or(host).to_owned(),
            bucket_path: format!("{path}/{}/", utf8_percent_encode(&config.bucket, PATH)),
            access_key_id: config.access_key_id.clone(),
            secret_access_key: config.secret_access_key.clone(),
        })
    }

    /// The URL to which a client may put the object within this time, if it sends this `Content-Type`.
    pub(super) fn presign_put(
        &self,
        key: &BlobKey,
        content_type: &str,
        at: Timestamp,
        ttl: Duration,
    ) -> String {
        let stamp = stamp(at);
        let day = stamp.split('T').next().unwrap_or_default();
        let scope = format!("{day}/{REGION}/s3/aws4_request");
        let path = format!("{}{}", self.bucket_path, utf8_percent_encode(key.as_str(), PATH));
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={stamp}&X-Amz-Expires={}\
             &X-Amz-SignedHeaders=content-type%3Bhost",
            utf8_percent_encode(&format!("{}/{scope}", self.access_key_id), QUERY),
            ttl.as_secs()
        );
        let request = format!(
            "PUT\n{path}\n{query}\ncontent-type:{}\nhost:{}\n\ncontent-type;host\nUNSIGNED-PAYLOAD",
            content_type.trim(),
            self.host
        );
        let digest = digest::digest(&digest::SHA256, request.as_bytes());
        let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex::encode(digest));
        let signature = hex::encode(sign(self.key_of(day).as_ref(), &text));
        format!("{}{path}?{query}&X-Amz-Signature={signature}", self.origin)
    }

    fn key_of(&self, day: &str) -> hmac::Tag {
        let secret = format!("AWS4{}", self.secret_access_key.expose_secret());
        let mut key = sign(secret.as_bytes(), day);
        for word in [REGION, "s3", "aws4_request"] {
            key = sign(key.as_ref(), word);
        }
        key
    }
}

fn sign(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

/// `20260101T020000Z`: RFC 3339 without the signs between its digits, and in whole seconds.
fn stamp(at: Timestamp) -> String {
    let text = Timestamp::from_secs(at.as_secs()).to_string();
    let seconds = text.split('.').next().unwrap_or_default();
    let digits: String = seconds.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{digits}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_published_one() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../dream-testkit/vectors/r2-sigv4.json")).unwrap();
        let case =
            vectors["cases"].as_array().unwrap().iter().find(|case| case["id"] == "presign-put").unwrap();
        let signer = Signer::new(&R2Config {
            endpoint: R2Config::endpoint_of_account("0c2447d35af36d5a04ac95dc45c9b982"),
            bucket: "dream-images".into(),
            access_key_id: "419456db99963f4f93681f78a6d36395".into(),
            secret_access_key: "050ed7ace0ed4691c114280e9473df1d8e1ff7079d1bcb3032427637f3926d55".into(),
            public_url: String::new(),
        })
        .unwrap();
        let at = Timestamp::from_secs(vectors["now"].as_i64().unwrap());
        let ttl = Duration::from_secs(case["expires_seconds"].as_u64().unwrap());
        let url = signer.presign_put(&"uploads/y.png".parse().unwrap(), "image/png", at, ttl);
        assert_eq!(url, case["expect"]["presigned_url"].as_str().unwrap());
    }

    #[test]
    fn only_absolute_urls_are_endpoints() {
        for endpoint in ["", "r2.example.com", "https://", "ftp://r2.example.com"] {
            let config = R2Config {
                endpoint: endpoint.into(),
                bucket: "b".into(),
                access_key_id: "a".into(),
                secret_access_key: "s".into(),
                public_url: String::new(),
            };
            assert!(Signer::new(&config).is_none(), "{endpoint:?}");
        }
    }
}
