use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Config, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_smithy_async::time::TimeSource;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use secrecy::{ExposeSecret, SecretString};

use super::r2_signing::Signer;
use crate::kernel::Timestamp;
use crate::ports::{
    Blob, BlobInfo, BlobKey, BlobPage, BlobReader, Blobs, ByteRange, Clock, Failure, FailureKind, MAX_PIECE,
    PresignedPut,
};
use crate::trace;

const SERVICE: &str = "r2";

/// The region that R2 calls all of the world.
pub(super) const REGION: &str = "auto";

const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const ATTEMPT_LIMIT: Duration = Duration::from_secs(30);
const TOTAL_LIMIT: Duration = Duration::from_mins(1);
const MAX_ATTEMPTS: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// Objects in one part of a listing; R2 gives no more.
const PAGE: i32 = 1000;

/// Longest life of a presigned URL that R2 takes.
const LONGEST_PRESIGNED: Duration = Duration::from_hours(7 * 24);

/// A name is never used again for other content, so whoever has the object may keep it.
const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// Where the bucket is and who we are there.
///
/// ```
/// use dream_core::adapters::R2Config;
///
/// let config = R2Config {
///     endpoint: R2Config::endpoint_of_account("0123456789abcdef"),
///     bucket: "dream".to_owned(),
///     access_key_id: "the id of an R2 token".to_owned(),
///     secret_access_key: "its secret".into(),
///     public_url: "https://cdn.dream.example".to_owned(),
/// };
/// assert_eq!(config.endpoint, "https://0123456789abcdef.r2.cloudflarestorage.com");
/// ```
#[derive(Debug, Clone)]
pub struct R2Config {
    /// The S3 API, such as `https://<account>.r2.cloudflarestorage.com`.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// Names the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: SecretString,
    /// Under which anybody can read the objects: a domain of one's own, or `https://pub-….r2.dev`. It has nothing in
    /// common with the endpoint.
    pub public_url: String,
}

impl R2Config {
    /// The endpoint of a Cloudflare account outside of any jurisdiction.
    pub fn endpoint_of_account(account_id: &str) -> String {
        format!("https://{account_id}.r2.cloudflarestorage.com")
    }
}

/// Objects in a bucket of Cloudflare R2, or of anything else that speaks the S3 API.
///
/// Calls are repeated up to three times, which is safe for all of them.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.on_r2(), async |world| {
/// use dream_core::adapters::{R2Blobs, R2Config};
/// use dream_core::ports::Blobs as _;
///
/// # let r2 = world.r2();
/// # let config = R2Config { endpoint: r2.base_url(), bucket: r2.bucket().to_owned(), access_key_id: r2.access_key_id().to_owned(),
/// #     secret_access_key: r2.secret_access_key().into(), public_url: r2.public_url() };
/// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::at(world.now()));
/// let blobs = R2Blobs::new(&config, clock)?;
/// let key = "a/cat.png".parse().unwrap();
/// blobs.put(&key, "image/png", "the bytes".into()).await?;
/// assert_eq!(blobs.head(&key).await?.ok_or("it is there")?.size, 9);
/// blobs.delete(&key).await?;
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct R2Blobs {
    bucket: Bucket,
    public_base: String,
    signer: Signer,
}

/// The bucket and the way to it.
#[derive(Debug, Clone)]
struct Bucket {
    client: Client,
    name: Arc<str>,
    clock: Arc<dyn Clock>,
}

impl R2Blobs {
    /// Prepares the client; nothing is sent yet.
    ///
    /// # Errors
    /// `Misconfigured` if the endpoint is no absolute URL.
    pub fn new(config: &R2Config, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let signer = Signer::new(config).ok_or_else(|| {
            Failure::new(SERVICE, FailureKind::Misconfigured, "the endpoint is not an absolute URL")
        })?;
        let client = Client::from_conf(client_config(config, clock.clone()));
        let public_base = config.public_url.trim_end_matches('/').to_owned();
        let bucket = Bucket { client, name: config.bucket.as_str().into(), clock };
        Ok(Self { bucket, public_base, signer })
    }
}

impl Bucket {
    /// A call with its repeats, of which a span tells. The trace ends here: the other side keeps none. The client's
    /// futures are large, hence the box.
    fn told<'a, T: Send + 'a>(
        &'a self,
        name: &'static str,
        call: impl Future<Output = Result<T, Failure>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Failure>> {
        trace::call(&*self.clock, name, |_| call, |_| None).boxed()
    }

    async fn part(
        &self,
        prefix: &str,
        after: Option<&BlobKey>,
        token: Option<String>,
    ) -> Result<ListObjectsV2Output, Failure> {
        let request = self
            .client
            .list_objects_v2()
            .bucket(&*self.name)
            .prefix(prefix)
            .max_keys(PAGE)
            .set_start_after(after.map(BlobKey::to_string))
            .set_continuation_token(token);
        self.told("r2.list", async { request.send().await.map_err(|e| failure(&e)) }).await
    }

    async fn head(&self, key: &BlobKey) -> Result<Option<BlobInfo>, Failure> {
        let request = self.client.head_object().bucket(&*self.name).key(key.as_str());
        let known = async {
            match request.send().await {
                Ok(answer) => Ok(Some(BlobInfo {
                    key: key.clone(),
                    size: size(answer.content_length()),
                    content_type: answer.content_type().map(str::to_owned),
                    modified: instant(answer.last_modified()),
                })),
                Err(SdkError::ServiceError(error)) if error.err().is_not_found() => Ok(None),
                Err(error) => Err(failure(&error)),
            }
        };
        self.told("r2.head", known).await
    }

    /// The first [`MAX_PIECE`] bytes of a range. `version` is the entity tag that the object must still have.
    async fn piece(
        &self,
        key: &BlobKey,
        range: ByteRange,
        version: Option<String>,
    ) -> Result<Piece, Failure> {
        let last = range.last.min(range.first.saturating_add(MAX_PIECE as u64 - 1));
        let request = self
            .client
            .get_object()
            .bucket(&*self.name)
            .key(key.as_str())
            .range(format!("bytes={}-{last}", range.first))
            .set_if_match(version);
        let piece = async {
            let answer = match request.send().await {
                Ok(answer) => answer,
                Err(SdkError::ServiceError(error)) if error.err().is_no_such_key() => {
                    return Ok(Piece::Absent);
                }
                Err(error) if is_outside(&error) => return Ok(Piece::Outside),
                Err(error) => return Err(failure(&error)),
            };
            let (info, version) = (described(key, &answer), answer.e_tag().map(str::to_owned));
            let cut =
                |error| Failure::new(SERVICE, FailureKind::Unknown, format!("the answer broke off: {error}"));
            let bytes = answer.body.collect().await.map_err(cut)?.into_bytes();
            Ok(Piece::Bytes { info, version, bytes })
        };
        self.told("r2.get", piece).await
    }
}

/// What the bucket has of a range.
enum Piece {
    Bytes {
        info: BlobInfo,
        version: Option<String>,
        bytes: Bytes,
    },
    /// There is no such object.
    Absent,
    /// The object has no byte of the range.
    Outside,
}

/// What is read next of an object.
struct Next {
    bucket: Bucket,
    key: BlobKey,
    range: ByteRange,
    version: Option<String>,
    /// Read already.
    bytes: Bytes,
}

impl Next {
    /// Each piece is a request of its own, with the time limits and the retries of one, so that a reader that waits
    /// holds no connection. The entity tag makes sure that all pieces are of one version.
    async fn piece(mut self) -> Result<Option<(Bytes, Self)>, Failure> {
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.is_empty() && self.range.length() > 0 {
            let gone = || Failure::new(SERVICE, FailureKind::Unknown, "the object is gone while it is read");
            match self.bucket.piece(&self.key, self.range, self.version.clone()).await? {
                Piece::Bytes { bytes: read, .. } if !read.is_empty() => bytes = read,
                _ => return Err(gone()),
            }
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        self.range.first += bytes.len() as u64;
        Ok(Some((bytes, self)))
    }
}

fn described(key: &BlobKey, answer: &GetObjectOutput) -> BlobInfo {
    let whole = answer.content_range().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
    BlobInfo {
        key: key.clone(),
        size: whole.unwrap_or(size(answer.content_length())),
        content_type: answer.content_type().map(str::to_owned),
        modified: instant(answer.last_modified()),
    }
}

fn is_outside(error: &SdkError<GetObjectError>) -> bool {
    matches!(error, SdkError::ServiceError(answer) if answer.raw().status().as_u16() == 416)
}

/// As far as R2 needs it: no checksums that nobody asked for, since R2 refused those for a while.
fn client_config(config: &R2Config, clock: Arc<dyn Clock>) -> Config {
    let secret = config.secret_access_key.expose_secret();
    let limits = TimeoutConfig::builder()
        .connect_timeout(CONNECT_LIMIT)
        .operation_attempt_timeout(ATTEMPT_LIMIT)
        .operation_timeout(TOTAL_LIMIT)
        .build();
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(config.endpoint.trim_end_matches('/'))
        .force_path_style(true)
        .credentials_provider(Credentials::new(&config.access_key_id, secret, None, None, "r2"))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(
            RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_initial_backoff(FIRST_BACKOFF),
        )
        .timeout_config(limits)
        .time_source(ClockSource(clock))
        .build()
}

/// Gives our clock to the client, so that it signs with the same time as everything else.
#[derive(Debug)]
struct ClockSource(Arc<dyn Clock>);

impl TimeSource for ClockSource {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(u64::try_from(self.0.now().as_micros()).unwrap_or(0))
    }
}

#[async_trait]
impl Blobs for R2Blobs {
    async fn put(&self, key: &BlobKey, content_type: &str, bytes: Bytes) -> Result<(), Failure> {
        let request = self
            .bucket
            .client
            .put_object()
            .bucket(&*self.bucket.name)
            .key(key.as_str())
            .content_type(content_type)
            .cache_control(CACHE_CONTROL)
            .body(ByteStream::from(bytes));
        self.bucket.told("r2.put", async { request.send().await.map(drop).map_err(|e| failure(&e)) }).await
    }

    async fn open(&self, key: &BlobKey, range: Option<ByteRange>) -> Result<Option<BlobReader>, Failure> {
        let outside = || Failure::new(SERVICE, FailureKind::Refused, "the range lies outside of the object");
        let wanted = range.unwrap_or(ByteRange { first: 0, last: u64::MAX });
        if wanted.last < wanted.first {
            return Err(outside());
        }
        let (info, version, bytes) = match self.bucket.piece(key, wanted, None).await? {
            Piece::Bytes { info, version, bytes } => (info, version, bytes),
            Piece::Absent => return Ok(None),
            Piece::Outside if range.is_some() => return Err(outside()),
            // An empty object has no first byte.
            Piece::Outside => match self.bucket.head(key).await? {
                Some(info) if info.size == 0 => (info, None, Bytes::new()),
                _ => return Err(outside()),
            },
        };
        let (length, last) = match wanted.within(info.size) {
            Some(range) => (range.length(), range.last),
            None => return Ok(Some(Blob { info, bytes: Bytes::new() }.into())),
        };
        let range = ByteRange { first: wanted.first, last };
        let next = Next { bucket: self.bucket.clone(), key: key.clone(), range, version, bytes };
        Ok(Some(BlobReader { info, length, pieces: stream::try_unfold(next, Next::piece).boxed() }))
    }

    async fn head(&self, key: &BlobKey) -> Result<Option<BlobInfo>, Failure> {
        self.bucket.head(key).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), Failure> {
        // One by one: deleting many at once needs a checksum of a kind that R2 has refused before.
        let request = self.bucket.client.delete_object().bucket(&*self.bucket.name).key(key.as_str());
        self.bucket.told("r2.delete", async { request.send().await.map(drop).map_err(|e| failure(&e)) }).await
    }

    async fn list(&self, prefix: &str, after: Option<&BlobKey>) -> Result<BlobPage, Failure> {
        let mut token = None;
        loop {
            let part = self.bucket.part(prefix, after, token).await?;
            let items: Vec<BlobInfo> = part.contents().iter().filter_map(listed).collect();
            let more = part.is_truncated() == Some(true);
            // A part may hold nothing but objects of others, whose names are none of ours.
            if more && items.is_empty() && part.next_continuation_token.is_some() {
                token = part.next_continuation_token;
                continue;
            }
            let next = items.last().filter(|_| more).map(|info| info.key.clone());
            return Ok(BlobPage { items, next });
        }
    }

    fn public_url(&self, key: &BlobKey) -> String {
        format!("{}/{key}", self.public_base)
    }

    fn key_of(&self, public_url: &str) -> Option<BlobKey> {
        public_url.strip_prefix(&self.public_base)?.strip_prefix('/')?.parse().ok()
    }

    fn presign_put(&self, key: &BlobKey, content_type: &str, ttl: Duration) -> Option<PresignedPut> {
        let now = self.bucket.clock.now();
        let ttl = Duration::from_secs(ttl.as_secs()).clamp(Duration::from_secs(1), LONGEST_PRESIGNED);
        Some(PresignedPut {
            url: self.signer.presign_put(key, content_type, now, ttl),
            content_type: content_type.to_owned(),
            // R2 counts from the second in the signature.
            expires_at: Timestamp::from_secs(now.as_secs()).plus(ttl),
        })
    }
}

fn listed(object: &aws_sdk_s3::types::Object) -> Option<BlobInfo> {
    Some(BlobInfo {
        key: object.key()?.parse().ok()?,
        size: size(object.size()),
        content_type: None,
        modified: instant(object.last_modified()),
    })
}

fn size(length: Option<i64>) -> u64 {
    length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

fn instant(at: Option<&DateTime>) -> Timestamp {
    let micros = at.map_or(0, |at| at.as_nanos().div_euclid(1000));
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// Tells the failures apart by status, since R2's codes are not all those of S3.
fn failure<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static>(
    error: &SdkError<E>,
) -> Failure {
    let (kind, retry_after) = match error {
        SdkError::ConstructionFailure(_) => (FailureKind::Misconfigured, None),
        SdkError::TimeoutError(_) => (FailureKind::TimedOut, None),
        SdkError::DispatchFailure(failed) if failed.is_timeout() => (FailureKind::TimedOut, None),
        SdkError::ServiceError(answer) => {
            let raw = answer.raw();
            let wait = raw.headers().get("retry-after").and_then(|secs| secs.parse().ok());
            (kind_of(raw.status().as_u16(), error.code()), wait.map(Duration::from_secs))
        }
        // An earlier attempt may have arrived even if the last one could not connect.
        _ => (FailureKind::Unknown, None),
    };
    let failed = Failure::new(SERVICE, kind, whole_text(error)).with_retry_after(retry_after);
    match error.code() {
        Some(code) => failed.with_code(code),
        None => failed,
    }
}

/// The error and what is behind it. The client's own way to tell it adds the whole answer, headers and all.
fn whole_text(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn kind_of(status: u16, code: Option<&str>) -> FailureKind {
    match status {
        401 | 403 => FailureKind::Misconfigured,
        404 if code == Some("NoSuchBucket") => FailureKind::Misconfigured,
        429 => FailureKind::Throttled,
        // 501 names a header that R2 does not know.
        400..=499 | 501 => FailureKind::Refused,
        _ => FailureKind::Unknown,
    }
}
