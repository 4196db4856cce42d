//! The one error type of the crate.

use std::error::Error as StdError;
use std::fmt;

pub use crate::format::Format;
use crate::kernel::TemplateId;

/// Shorthand for results of this crate.
///
/// ```
/// use dream_core::{Code, Result};
///
/// fn at_most(bytes: usize, limit: usize) -> Result<()> {
///     if bytes <= limit { Ok(()) } else { Err(Code::PayloadTooLarge.into()) }
/// }
/// assert_eq!(at_most(11, 10).unwrap_err().code(), Code::PayloadTooLarge);
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What went wrong, as a stable machine-readable code.
        ///
        /// The list is closed on purpose: whoever maps a code to a status or a text matches it without a
        /// wildcard, so that a new code does not compile until someone has chosen them.
        ///
        /// ```
        /// use dream_core::Code;
        ///
        /// // Without a wildcard, a code that is new does not compile until somebody has decided about it.
        /// let is_ours = |code| match code {
        ///     Code::Internal | Code::Unavailable => true,
        ///     other => other.as_str().starts_with("UPSTREAM"),
        /// };
        /// assert!(is_ours(Code::UpstreamTimeout) && !is_ours(Code::JobNotFound));
        /// assert_eq!(Code::JobNotFound.to_string(), "JOB_NOT_FOUND");
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as it appears in answers and logs.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// One or more fields of the input are wrong; [`Facts::Fields`] names all of them.
    ValidationFailed = "VALIDATION_FAILED",
    /// The body is not JSON.
    InvalidJson = "INVALID_JSON",
    /// The cursor was forged, belongs to another list, filter or owner, or is of an older version.
    InvalidCursor = "INVALID_CURSOR",
    /// The chosen character has no photo to keep the face of.
    CharacterHasNoPhotos = "CHARACTER_HAS_NO_PHOTOS",
    /// No credential, or one that cannot be verified.
    Unauthenticated = "UNAUTHENTICATED",
    /// The token was genuine but is past its expiry.
    TokenExpired = "TOKEN_EXPIRED",
    /// The token was genuine but was logged out, spent, or its user is gone.
    TokenRevoked = "TOKEN_REVOKED",
    /// WeChat does not know the login or phone code, or it was used before.
    WechatCodeInvalid = "WECHAT_CODE_INVALID",
    /// No admin key matches.
    AdminKeyInvalid = "ADMIN_KEY_INVALID",
    /// Callers bring a key of their own for the image API here, and this one brought none that can be passed on.
    UpstreamKeyRequired = "UPSTREAM_KEY_REQUIRED",
    /// The caller may not do this.
    Forbidden = "FORBIDDEN",
    /// Neither the quota nor the points suffice; [`Facts::Quota`] has the figures.
    QuotaExceeded = "QUOTA_EXCEEDED",
    /// The feature needs an active VIP level.
    VipRequired = "VIP_REQUIRED",
    /// The content check did not pass.
    ContentRejected = "CONTENT_REJECTED",
    /// No such route.
    RouteNotFound = "ROUTE_NOT_FOUND",
    /// No such user.
    UserNotFound = "USER_NOT_FOUND",
    /// No such plan.
    PlanNotFound = "PLAN_NOT_FOUND",
    /// No such order, or not the caller's.
    OrderNotFound = "ORDER_NOT_FOUND",
    /// No such job, or not the caller's.
    JobNotFound = "JOB_NOT_FOUND",
    /// No such picture.
    ImageNotFound = "IMAGE_NOT_FOUND",
    /// No such favorite, or not the caller's.
    FavoriteNotFound = "FAVORITE_NOT_FOUND",
    /// No such template.
    TemplateNotFound = "TEMPLATE_NOT_FOUND",
    /// No such character, or not the caller's.
    CharacterNotFound = "CHARACTER_NOT_FOUND",
    /// No such photo, or not the caller's.
    PhotoNotFound = "PHOTO_NOT_FOUND",
    /// The route exists, but not for this method.
    MethodNotAllowed = "METHOD_NOT_ALLOWED",
    /// A template with this id exists already.
    TemplateExists = "TEMPLATE_EXISTS",
    /// The order is not waiting for a payment.
    OrderNotPayable = "ORDER_NOT_PAYABLE",
    /// The thing is in a state that does not allow this.
    InvalidState = "INVALID_STATE",
    /// The idempotency key was used before with another body.
    IdempotencyConflict = "IDEMPOTENCY_CONFLICT",
    /// A higher VIP level is active than the plan gives.
    VipHigherActive = "VIP_HIGHER_ACTIVE",
    /// The character has as many photos as it may have.
    PhotoLimitReached = "PHOTO_LIMIT_REACHED",
    /// The user's pictures take as much storage as they may; [`Facts::Limit`] has the figures in bytes.
    StorageLimitReached = "STORAGE_LIMIT_REACHED",
    /// The user has as many unpaid orders as may be open at once.
    OrderLimitReached = "ORDER_LIMIT_REACHED",
    /// The user has as many favorites as may be kept.
    FavoriteLimitReached = "FAVORITE_LIMIT_REACHED",
    /// This result is in the gallery already.
    AlreadyPublished = "ALREADY_PUBLISHED",
    /// The body or file is larger than allowed.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE",
    /// The body is of a type that this route does not read.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE",
    /// The file is not a picture that can be used.
    ImageInvalid = "IMAGE_INVALID",
    /// Too many calls; [`Facts::Throttled`] says when to come back.
    RateLimited = "RATE_LIMITED",
    /// A defect or an inconsistency of ours.
    Internal = "INTERNAL",
    /// A service we depend on failed.
    UpstreamError = "UPSTREAM_ERROR",
    /// A service we depend on did not answer in time.
    UpstreamTimeout = "UPSTREAM_TIMEOUT",
    /// We cannot serve just now: starting, draining, overloaded, or a dependency of ours is down.
    Unavailable = "UNAVAILABLE",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why one input value was refused. The core writes no sentences: whoever shows it to a person does.
///
/// ```
/// use dream_core::{Code, Error, Fault};
///
/// let sentence = |fault: &Fault| match fault {
///     Fault::Range { min, max } => format!("from {min} to {max}"),
///     Fault::Length { min, max } => format!("{min} to {max} characters"),
///     Fault::OneOf(words) => format!("one of {}", words.join(", ")),
///     other => other.as_str().to_lowercase(),
/// };
/// let fault = dream_core::jobs::SampleCount::new(11).unwrap_err();
/// assert_eq!(sentence(&fault), "from 1 to 10");
/// assert_eq!(Error::invalid_field("sampleCount", fault).code(), Code::ValidationFailed);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The field must be there.
    Required,
    /// The endpoint does not know this field.
    Unknown,
    /// The value has another JSON type; what was expected.
    Type(&'static str),
    /// A number outside of its bounds, both inclusive.
    Range {
        /// Smallest allowed value.
        min: i64,
        /// Largest allowed value.
        max: i64,
    },
    /// A text or list whose length is outside of its bounds, both inclusive. Texts are counted in characters.
    Length {
        /// Shortest allowed length.
        min: usize,
        /// Longest allowed length.
        max: usize,
    },
    /// Not one of the allowed words.
    OneOf(&'static [&'static str]),
    /// The text does not have the form that is named.
    Format(Format),
    /// The value contradicts another field, which is named.
    Conflict(&'static str),
    /// The same value stands twice.
    Duplicate,
    /// The thing that the value names does not exist.
    NotFound,
}

impl Fault {
    /// The stable machine-readable name of the fault.
    ///
    /// ```
    /// use dream_core::Fault;
    ///
    /// // For a client that has its own sentences.
    /// assert_eq!(Fault::Range { min: 1, max: 10 }.as_str(), "RANGE");
    /// ```
    pub const fn as_str(&self) -> &'static str {
        match self {
            Fault::Required => "REQUIRED",
            Fault::Unknown => "UNKNOWN",
            Fault::Type(_) => "TYPE",
            Fault::Range { .. } => "RANGE",
            Fault::Length { .. } => "LENGTH",
            Fault::OneOf(_) => "ONE_OF",
            Fault::Format(_) => "FORMAT",
            Fault::Conflict(_) => "CONFLICT",
            Fault::Duplicate => "DUPLICATE",
            Fault::NotFound => "NOT_FOUND",
        }
    }

    /// The fault as one of the named field.
    ///
    /// ```
    /// use dream_core::Fault;
    ///
    /// let fault = Fault::Required.at("prompt");
    /// assert_eq!((fault.field.as_str(), fault.fault), ("prompt", Fault::Required));
    /// ```
    pub fn at(self, field: impl Into<String>) -> FieldFault {
        FieldFault { field: field.into(), fault: self }
    }
}

/// A fault and the field that has it.
///
/// ```
/// use dream_core::{Error, Facts, Fault};
///
/// // All that is wrong with an input, at once.
/// let error = Error::invalid(vec![
///     Fault::Required.at("prompt"),
///     Fault::Length { min: 0, max: 32 }.at("tags[3]"),
/// ]);
/// let Facts::Fields(faults) = error.facts() else { panic!("no fields") };
/// assert_eq!(faults.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(), ["prompt", "tags[3]"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// Path of the field as the client wrote it, such as `userInfo.nickName` or `tags[3]`.
    pub field: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// Why a picture was refused, where its sender can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PictureFault {
    /// Not one of the formats that are taken.
    Format,
    /// HEIC, as phones of Apple write it.
    Heic,
    /// An animation in another format than GIF.
    Animated,
    /// The file ends early, or its pixels cannot be decoded to the end.
    Damaged,
    /// More pixels or frames than are decoded.
    TooManyPixels,
    /// It cannot be coded within the size that is stored.
    TooLargeToStore,
}

impl PictureFault {
    /// The stable machine-readable name of the reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            PictureFault::Format => "FORMAT",
            PictureFault::Heic => "HEIC",
            PictureFault::Animated => "ANIMATED",
            PictureFault::Damaged => "DAMAGED",
            PictureFault::TooManyPixels => "TOO_MANY_PIXELS",
            PictureFault::TooLargeToStore => "TOO_LARGE_TO_STORE",
        }
    }
}

/// What a client may know about an error beyond its code.
///
/// ```
/// use dream_core::{Code, Error, Facts};
///
/// let error = Error::new(Code::RateLimited).with_facts(Facts::Throttled { retry_after_secs: 30 });
/// let wait = match error.facts() {
///     Facts::Throttled { retry_after_secs } => *retry_after_secs,
///     _ => 1,
/// };
/// assert_eq!(wait, 30, "seconds");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Facts {
    /// Nothing more.
    #[default]
    None,
    /// The faulty fields, all of them.
    Fields(Vec<FieldFault>),
    /// Why a generation was not accepted.
    Quota {
        /// Samples a day at the caller's effective level.
        daily_limit: i64,
        /// Samples used today.
        daily_used: i64,
        /// Points that the uncovered samples would cost.
        points_required: i64,
        /// Points that are there.
        points_balance: i64,
    },
    /// When to try again.
    Throttled {
        /// Seconds to wait, at least.
        retry_after_secs: u64,
    },
    /// Points that are missing for what was asked.
    Shortfall {
        /// How many points more would be needed.
        points: i64,
    },
    /// The templates whose ids are taken, or stand twice in what was sent.
    Templates(Vec<TemplateId>),
    /// A limit of the user that is reached, in the unit that the code names.
    Limit {
        /// The most there may be.
        limit: i64,
        /// How much there is.
        used: i64,
    },
    /// Why a picture was refused.
    Picture(PictureFault),
    /// A callback or a push is not signed by its sender.
    Signature,
    /// WeChat wants the user to open the mini-program again before it checks what the user wrote.
    UserInactive,
    /// The largest size that would have been accepted, in bytes.
    TooLarge {
        /// Limit in bytes.
        limit_bytes: u64,
    },
}

/// What went wrong: a [`Code`], [`Facts`] for the client, and a source for the log only.
///
/// `Display` never prints the source; [`Error::chain`] does, for logs.
///
/// ```
/// use dream_core::{Code, Error};
///
/// let error = Error::new(Code::Unavailable).with_source("connection refused").while_("charging a job");
/// // For a client, and for the log.
/// assert_eq!(error.code().as_str(), "UNAVAILABLE");
/// assert_eq!(error.chain(), "UNAVAILABLE while charging a job: connection refused");
/// assert!(error.is_retryable());
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    code: Code,
    context: &'static str,
    facts: Facts,
    source: Option<Source>,
}

impl Error {
    /// An error with a code and nothing more.
    ///
    /// ```
    /// use dream_core::{Code, Error, Facts};
    ///
    /// let error = Error::new(Code::JobNotFound);
    /// assert_eq!((error.to_string().as_str(), error.facts()), ("JOB_NOT_FOUND", &Facts::None));
    /// ```
    pub fn new(code: Code) -> Self {
        Self { inner: Box::new(Inner { code, context: "", facts: Facts::None, source: None }) }
    }

    /// [`Code::ValidationFailed`] for the given fields.
    ///
    /// ```
    /// use dream_core::{Error, Facts, Fault};
    ///
    /// // All that is wrong at once, so that a form can show it.
    /// let error = Error::invalid(vec![Fault::Required.at("prompt"), Fault::Duplicate.at("tags")]);
    /// let Facts::Fields(fields) = error.facts() else { panic!("it is about fields") };
    /// assert_eq!(fields.len(), 2);
    /// ```
    pub fn invalid(faults: Vec<FieldFault>) -> Self {
        Self::new(Code::ValidationFailed).with_facts(Facts::Fields(faults))
    }

    /// [`Code::ValidationFailed`] for one field.
    ///
    /// ```
    /// use dream_core::{Code, Error, Fault};
    ///
    /// assert_eq!(Error::invalid_field("prompt", Fault::Required).code(), Code::ValidationFailed);
    /// ```
    pub fn invalid_field(field: impl Into<String>, fault: Fault) -> Self {
        Self::invalid(vec![fault.at(field)])
    }

    /// [`Code::Internal`]: a defect or an inconsistency of ours, said for the log.
    ///
    /// ```
    /// use dream_core::{Code, Error};
    ///
    /// let error = Error::internal("a paid order without a payment");
    /// assert_eq!((error.code(), error.to_string().as_str()), (Code::Internal, "INTERNAL"));
    /// assert!(error.chain().ends_with("a paid order without a payment"), "only the log has it");
    /// ```
    pub fn internal(what: impl Into<Source>) -> Self {
        Self::new(Code::Internal).with_source(what)
    }

    /// Adds what the client may know.
    ///
    /// ```
    /// use dream_core::{Code, Error, Facts};
    ///
    /// let error = Error::new(Code::RateLimited).with_facts(Facts::Throttled { retry_after_secs: 30 });
    /// assert_eq!(error.facts(), &Facts::Throttled { retry_after_secs: 30 });
    /// ```
    #[must_use]
    pub fn with_facts(mut self, facts: Facts) -> Self {
        self.inner.facts = facts;
        self
    }

    /// Adds the cause, for the log.
    ///
    /// ```
    /// use dream_core::{Code, Error};
    ///
    /// let cause = "x".parse::<i64>().unwrap_err();
    /// let error = Error::new(Code::UpstreamError).with_source(cause);
    /// assert_eq!(error.chain(), "UPSTREAM_ERROR: invalid digit found in string");
    /// ```
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Says what was being done, for the log: "charging a job" tells more than "database error".
    ///
    /// ```
    /// use dream_core::{Code, Error};
    ///
    /// // Who was nearest knows best: what is said first stays.
    /// let error = Error::new(Code::Unavailable).while_("charging a job").while_("answering a request");
    /// assert_eq!(error.chain(), "UNAVAILABLE while charging a job");
    /// ```
    #[must_use]
    pub fn while_(mut self, context: &'static str) -> Self {
        if self.inner.context.is_empty() {
            self.inner.context = context;
        }
        self
    }

    /// The same error once more, for somebody else whom it befell too. Its source is told, not kept.
    pub(crate) fn likeness(&self) -> Self {
        let Inner { code, context, facts, source } = &*self.inner;
        let source = source.as_ref().map(|_| Source::from(self.chain()));
        Self { inner: Box::new(Inner { code: *code, context, facts: facts.clone(), source }) }
    }

    /// The machine-readable code.
    ///
    /// ```
    /// use dream_core::{Code, Error};
    ///
    /// let is_gone = |error: &Error| matches!(error.code(), Code::JobNotFound | Code::OrderNotFound);
    /// assert!(is_gone(&Error::new(Code::OrderNotFound)));
    /// ```
    pub fn code(&self) -> Code {
        self.inner.code
    }

    /// What the client may know beyond the code.
    ///
    /// ```
    /// use dream_core::{Code, Error, Facts};
    ///
    /// let wait = |error: &Error| match error.facts() {
    ///     Facts::Throttled { retry_after_secs } => *retry_after_secs,
    ///     _ => 1,
    /// };
    /// assert_eq!(wait(&Error::new(Code::Unavailable)), 1);
    /// ```
    pub fn facts(&self) -> &Facts {
        &self.inner.facts
    }

    /// Whether the same call may succeed later without any change to it.
    ///
    /// ```
    /// use dream_core::{Code, Error};
    ///
    /// assert!(Error::new(Code::UpstreamTimeout).is_retryable(), "under the same idempotency key");
    /// assert!(!Error::new(Code::QuotaExceeded).is_retryable(), "it will be refused again");
    /// ```
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.code(),
            Code::RateLimited | Code::UpstreamError | Code::UpstreamTimeout | Code::Unavailable
        )
    }

    /// The code, what was being done, and every source below it, in one line for the log.
    ///
    /// ```
    /// use dream_core::{Code, Error};
    /// use dream_core::ports::{Failure, FailureKind};
    ///
    /// let cause = Failure::new("image_api", FailureKind::TimedOut, "no answer within 30 s");
    /// let error = Error::from(cause);
    /// assert_eq!(error.to_string(), "UPSTREAM_TIMEOUT", "for anybody");
    /// assert_eq!(
    ///     error.chain(),
    ///     "UPSTREAM_TIMEOUT: image_api: TimedOut: no answer within 30 s",
    ///     "for the log"
    /// );
    /// ```
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut next = StdError::source(self);
        while let Some(cause) = next {
            line.push_str(": ");
            line.push_str(&cause.to_string());
            next = cause.source();
        }
        line
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("code", &self.inner.code)
            .field("context", &self.inner.context)
            .field("facts", &self.inner.facts)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.inner.code.as_str())?;
        if !self.inner.context.is_empty() {
            write!(f, " while {}", self.inner.context)?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|s| s as &(dyn StdError + 'static))
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}
