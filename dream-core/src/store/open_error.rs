//! Why a database cannot be opened, for its operator: the server or path, the reason, and what to do.
//!
//! A caller over HTTP never sees this: it is the source of an [`Error`], found by [`OpenError::of`]. No text here contains a
//! password. `Unreachable` may be tried again; the other kinds need somebody to act first.

use std::io::{self, ErrorKind};
use std::path::Path;

use sqlx::postgres::PgConnectOptions;

use super::StoreError;
use crate::error::{Code, Error};

/// What kind of reason it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenFailure {
    /// The server does not answer, or is not ready yet.
    Unreachable,
    /// The server refuses the user, the password, or the connection as such.
    Refused,
    /// There is no database of this name.
    NotFound,
    /// The file or its folder cannot be made, read or written.
    Path,
}

/// A database that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct OpenError {
    /// What kind of reason it is.
    pub kind: OpenFailure,
    /// What to do about it.
    pub hint: String,
    message: String,
}

impl OpenError {
    /// The reason in an error of [`crate::Builder::build`], [`crate::Dream::schema`] or [`crate::Dream::examine`].
    pub fn of(error: &Error) -> Option<&Self> {
        std::error::Error::source(error)?.downcast_ref()
    }

    fn into_error(self) -> Error {
        let code = if self.kind == OpenFailure::Unreachable { Code::Unavailable } else { Code::Internal };
        Error::new(code).with_source(self)
    }
}

/// A folder or file of SQLite that cannot be made. The error of the operating system does not name it.
pub(super) fn path(path: &Path, error: &io::Error) -> Error {
    let hint = match error.kind() {
        ErrorKind::PermissionDenied => "let the user of this process write there, or set DATABASE_URL",
        ErrorKind::ReadOnlyFilesystem => "mount a volume that can be written there, or set DATABASE_URL",
        _ => "DATABASE_URL names it",
    };
    let message = format!("{} cannot be made: {error}", path.display());
    OpenError { kind: OpenFailure::Path, hint: hint.to_owned(), message }.into_error()
}

/// What SQLite says of a file.
pub(super) fn sqlite(file: &Path, error: sqlx::Error) -> Error {
    let sqlx::Error::Database(reason) = &error else { return StoreError::from(error).into() };
    let file = file.display();
    // The primary code is in the lower byte of an extended one.
    let primary = reason.code().and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff);
    let hint = match primary {
        // CANTOPEN, READONLY, PERM
        Some(14 | 8 | 3) => {
            "SQLite also writes files beside it: let the user of this process write the file and its folder"
        }
        // NOTADB, CORRUPT
        Some(26 | 11) => "it is no SQLite database, or it is damaged: restore a backup, or set DATABASE_URL",
        _ => return StoreError::from(error).into(),
    };
    let message = format!("{file} cannot be opened: {}", reason.message());
    OpenError { kind: OpenFailure::Path, hint: hint.to_owned(), message }.into_error()
}

/// What PostgreSQL says to a connection.
pub(super) fn postgres(options: &PgConnectOptions, error: sqlx::Error) -> Error {
    let place = place(options);
    let (user, database) = (options.get_username(), options.get_database().unwrap_or("of the user's name"));
    let made =
        |kind, message: String, hint: &str| OpenError { kind, hint: hint.to_owned(), message }.into_error();
    match &error {
        sqlx::Error::Io(reason) => made(
            OpenFailure::Unreachable,
            format!("PostgreSQL at {place} cannot be reached: {reason}"),
            "does it run? DATABASE_URL or DATABASE_HOST and DATABASE_PORT name it",
        ),
        sqlx::Error::PoolTimedOut => made(
            OpenFailure::Unreachable,
            format!("PostgreSQL at {place} does not answer in time"),
            "does it run, and does it take connections?",
        ),
        sqlx::Error::Tls(reason) => made(
            OpenFailure::Refused,
            format!("PostgreSQL at {place}: TLS fails: {reason}"),
            "`sslmode` and `sslrootcert` in DATABASE_URL say what is expected",
        ),
        sqlx::Error::Database(reason) => {
            let (code, said) = (reason.code().unwrap_or_default(), reason.message());
            match code.as_ref() {
                "28P01" | "28000" => made(
                    OpenFailure::Refused,
                    format!("PostgreSQL at {place} refuses the user {user}: {said}"),
                    "look at the user and password of DATABASE_URL, or DATABASE_USERNAME and DATABASE_PASSWORD, and at pg_hba.conf",
                ),
                "3D000" => made(
                    OpenFailure::NotFound,
                    format!("PostgreSQL at {place} has no database {database:?}"),
                    "make it with `createdb`, or correct its name in DATABASE_URL or DATABASE_NAME",
                ),
                "42501" => made(
                    OpenFailure::Refused,
                    format!("PostgreSQL at {place} gives the user {user} no right to {database:?}: {said}"),
                    "let the user own the database",
                ),
                "08P01" => made(
                    OpenFailure::Refused,
                    format!("what answers at {place} refuses the connection: {said}"),
                    "behind PgBouncer, use `pool_mode = session` and name the parameter in ignore_startup_parameters",
                ),
                "57P03" | "53300" | "57P01" | "57P02" => made(
                    OpenFailure::Unreachable,
                    format!("PostgreSQL at {place} takes no connection now: {said}"),
                    "try again, or look at its max_connections",
                ),
                _ => StoreError::from(error).into(),
            }
        }
        _ => StoreError::from(error).into(),
    }
}

fn place(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}
