//! How a command ends: exit codes, and errors with a hint.

use std::io;

use dream_core::kernel::Timestamp;
use dream_core::ports::{Failure, FailureKind};
use dream_core::{Code, Error, Facts, OpenError, OpenFailure};
use dream_http::problem::{Asked, Lang, Problem};

use crate::config::ConfigFaults;

/// What the exit code of the process says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It did what it was asked to.
    Done = 0,
    /// It failed: a defect, or something of the machine's.
    Failed = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// What was named does not exist.
    NotFound = 3,
    /// It was refused: the state does not allow it.
    Refused = 4,
    /// The database, Redis or a service that is needed cannot be reached. The same may work later.
    Unavailable = 5,
    /// What was checked is not as it should be; the output names what.
    Found = 6,
    /// The configuration is wrong (`EX_CONFIG` of BSD's sysexits).
    Config = 78,
}

impl Exit {
    /// Every code with its meaning, for the manual.
    pub(crate) const ALL: [(Exit, &'static str); 8] = [
        (Exit::Done, "done"),
        (Exit::Failed, "failed"),
        (Exit::Usage, "the arguments or the input make no sense"),
        (Exit::NotFound, "what was named does not exist"),
        (Exit::Refused, "refused: the state does not allow it"),
        (Exit::Unavailable, "the database or a service cannot be reached; try again later"),
        (Exit::Found, "checked, and not as it should be: the output names what"),
        (Exit::Config, "the configuration is wrong"),
    ];

    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}

/// The exit code that an error of the core leads to.
const fn exit_of(code: Code) -> Exit {
    match code {
        Code::ValidationFailed
        | Code::InvalidJson
        | Code::InvalidCursor
        | Code::PayloadTooLarge
        | Code::UnsupportedMediaType
        | Code::ImageInvalid => Exit::Usage,
        Code::RouteNotFound
        | Code::UserNotFound
        | Code::PlanNotFound
        | Code::OrderNotFound
        | Code::JobNotFound
        | Code::ImageNotFound
        | Code::FavoriteNotFound
        | Code::TemplateNotFound
        | Code::CharacterNotFound
        | Code::PhotoNotFound => Exit::NotFound,
        Code::CharacterHasNoPhotos
        | Code::Unauthenticated
        | Code::TokenExpired
        | Code::TokenRevoked
        | Code::WechatCodeInvalid
        | Code::AdminKeyInvalid
        | Code::UpstreamKeyRequired
        | Code::Forbidden
        | Code::QuotaExceeded
        | Code::VipRequired
        | Code::ContentRejected
        | Code::MethodNotAllowed
        | Code::TemplateExists
        | Code::OrderNotPayable
        | Code::InvalidState
        | Code::IdempotencyConflict
        | Code::VipHigherActive
        | Code::PhotoLimitReached
        | Code::StorageLimitReached
        | Code::OrderLimitReached
        | Code::FavoriteLimitReached
        | Code::AlreadyPublished => Exit::Refused,
        Code::RateLimited | Code::UpstreamError | Code::UpstreamTimeout | Code::Unavailable => {
            Exit::Unavailable
        }
        Code::Internal => Exit::Failed,
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) exit: Exit,
    /// The code of the core, or a word of the command line's own.
    pub(crate) code: &'static str,
    /// What went wrong, in a sentence without a full stop.
    pub(crate) message: String,
    /// More about it, a line each.
    pub(crate) details: Vec<String>,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Trouble {
    pub(crate) fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self { exit, code, message: message.into(), details: Vec::new(), hint: None }
    }

    /// A defect of ours.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, "INTERNAL", message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says in which step it happened.
    pub(crate) fn while_(mut self, doing: &str) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

impl From<ConfigFaults> for Trouble {
    fn from(faults: ConfigFaults) -> Self {
        let (count, noun) = (faults.0.len(), if faults.0.len() == 1 { "fault" } else { "faults" });
        let width = faults.0.iter().map(|fault| fault.variable.len()).max().unwrap_or(0);
        let mut trouble =
            Self::new(Exit::Config, "CONFIGURATION", format!("{count} {noun} in the configuration"));
        trouble.details =
            faults.0.iter().map(|fault| format!("{:width$}  {}", fault.variable, fault.problem)).collect();
        trouble.hint("`dream config check` shows what is in force")
    }
}

impl From<&OpenError> for Trouble {
    fn from(error: &OpenError) -> Self {
        let (exit, code) = match error.kind {
            OpenFailure::Unreachable => (Exit::Unavailable, "UNAVAILABLE"),
            OpenFailure::NotFound => (Exit::NotFound, "DATABASE_NOT_FOUND"),
            OpenFailure::Refused | OpenFailure::Path => (Exit::Config, "CONFIGURATION"),
        };
        Self::new(exit, code, error.to_string()).hint(error.hint.as_str())
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        if let Some(reason) = OpenError::of(&error) {
            return reason.into();
        }
        let asked = Asked { lang: Lang::En, request_id: "", path: "", now: Timestamp::default() };
        let problem = Problem::new(&error, asked);
        let exit = exit_of(error.code());
        let mut trouble = Self::new(exit, error.code().as_str(), problem.message);
        trouble.details =
            problem.errors.iter().map(|field| format!("{}: {}", field.field, field.message)).collect();
        if let &Facts::Shortfall { points } = error.facts() {
            trouble.details.push(format!("{points} points are missing"));
        }
        if matches!(exit, Exit::Failed | Exit::Unavailable) {
            trouble.details.push(format!("cause: {}", error.chain()));
        }
        match error.code() {
            Code::UserNotFound => trouble.hint("`dream user list` shows who there is"),
            Code::Unavailable => {
                trouble.hint("is the database of DATABASE_URL running? see `dream config check`")
            }
            _ => trouble,
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        let (exit, code) = match failure.kind {
            FailureKind::Misconfigured => (Exit::Config, "CONFIGURATION"),
            FailureKind::Refused => (Exit::Refused, "REFUSED"),
            FailureKind::Throttled
            | FailureKind::Unreachable
            | FailureKind::Unknown
            | FailureKind::TimedOut => (Exit::Unavailable, "UNAVAILABLE"),
        };
        Self::new(exit, code, failure.to_string())
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::new(Exit::Failed, "IO", error.to_string())
    }
}
