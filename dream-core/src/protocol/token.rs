//! Access tokens: JSON Web Tokens (RFC 7519) under HS256 and one secret. Nothing in a token chooses the algorithm
//! or the key.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{Deserializer, Error as _, IgnoredAny, Visitor};
use serde::{Deserialize, Serialize};

use crate::error::Fault;
use crate::kernel::Timestamp;

/// Longest token that is looked at, in bytes.
pub const MAX_TOKEN_LEN: usize = 4096;

/// Shortest secret, in bytes: as long as the output of SHA-256, as RFC 7518 (3.2) demands.
pub const MIN_SECRET_LEN: usize = 32;

/// How far the clocks of two nodes may differ.
pub const LEEWAY: Duration = Duration::from_secs(5);

/// What a token says.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::kernel::Timestamp;
/// use dream_core::protocol::token::AccessClaims;
///
/// let now = Timestamp::from_secs(1_769_600_000);
/// let claims = AccessClaims { sub: "7".to_owned(), iat: now, exp: now.plus_days(7), family: None };
/// // A week, and the user that it was given to.
/// assert_eq!((claims.exp.as_secs() - claims.iat.as_secs(), claims.sub.as_str()), (604_800, "7"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClaims {
    /// Whom it was given to (`sub`). Never empty.
    pub sub: String,
    /// When it was made (`iat`).
    pub iat: Timestamp,
    /// When it ends (`exp`).
    pub exp: Timestamp,
    /// The login that it came from (`fam`); tokens of strangers need not have it.
    pub family: Option<String>,
}

impl AccessClaims {
    /// Whether their time is over at `now`, by more than clocks may differ.
    pub(crate) fn are_over(&self, now: Timestamp) -> bool {
        self.exp.plus(LEEWAY) <= now
    }
}

/// Why a token was not accepted.
///
/// ```
/// use dream_core::protocol::token::TokenFault;
///
/// // Who comes with an expired token is asked to refresh it; whatever else is wrong is not told apart.
/// let code = |fault| match fault {
///     TokenFault::Expired => "TOKEN_EXPIRED",
///     TokenFault::Invalid => "UNAUTHENTICATED",
/// };
/// assert_eq!(code(TokenFault::Expired), "TOKEN_EXPIRED");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It is genuine but its time is over.
    #[error("the token has expired")]
    Expired,
    /// Anything else: forged, malformed, not valid yet.
    #[error("the token is not valid")]
    Invalid,
}

/// Makes and checks access tokens.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::kernel::Timestamp;
/// use dream_core::protocol::token::{AccessClaims, TokenFault, TokenSigner};
///
/// let signer = TokenSigner::new(&"a secret of at least 32 bytes, e.g. random".into()).unwrap();
/// let now = Timestamp::from_secs(1_769_600_000);
/// let claims = AccessClaims { sub: "7".to_owned(), iat: now, exp: now.plus_days(7), family: None };
/// let token = signer.sign(&claims)?;
/// assert_eq!(signer.verify(&token, now)?, claims);
/// assert_eq!(signer.verify(&token, now.plus_days(8)), Err(TokenFault::Expired));
///
/// let other = TokenSigner::new(&"another secret of at least 32 bytes ....".into()).unwrap();
/// assert_eq!(other.verify(&token, now), Err(TokenFault::Invalid));
/// assert!(TokenSigner::new(&"too short".into()).is_err());
/// # Ok(())
/// # }
/// ```
pub struct TokenSigner {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    header: Header,
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSigner")
    }
}

impl TokenSigner {
    /// A signer whose key is the text's UTF-8 bytes.
    ///
    /// ```
    /// use dream_core::Fault;
    /// use dream_core::protocol::token::{MIN_SECRET_LEN, TokenSigner};
    ///
    /// let refused = TokenSigner::new(&"password".into()).unwrap_err();
    /// assert!(matches!(refused, Fault::Length { min: MIN_SECRET_LEN, .. }));
    /// assert!(TokenSigner::new(&"0123456789abcdef0123456789abcdef".into()).is_ok());
    /// ```
    ///
    /// # Errors
    /// [`Fault::Length`] if the secret is shorter than [`MIN_SECRET_LEN`].
    pub fn new(secret: &SecretString) -> Result<Self, Fault> {
        let key = secret.expose_secret().as_bytes();
        if key.len() < MIN_SECRET_LEN {
            return Err(Fault::Length { min: MIN_SECRET_LEN, max: usize::MAX });
        }
        // The library's own checks of times read the machine's clock, so they are off; `verify` makes them.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Ok(Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
            validation,
            header: Header::new(Algorithm::HS256),
        })
    }

    /// The token for these claims. Times are cut to whole seconds.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    /// use dream_core::protocol::token::{AccessClaims, TokenFault, TokenSigner};
    ///
    /// # let signer = TokenSigner::new(&"a secret of at least 32 bytes, e.g. random".into()).unwrap();
    /// let now = Timestamp::from_secs(1_769_600_000);
    /// let claims = AccessClaims { sub: "7".to_owned(), iat: now, exp: now.plus_days(7), family: None };
    /// assert_eq!(signer.sign(&claims).unwrap().split('.').count(), 3, "header, claims, signature");
    /// let nobody = AccessClaims { sub: String::new(), ..claims };
    /// assert_eq!(signer.sign(&nobody), Err(TokenFault::Invalid));
    /// ```
    ///
    /// # Errors
    /// [`TokenFault::Invalid`] if `sub` is empty: nobody would accept it.
    pub fn sign(&self, claims: &AccessClaims) -> Result<String, TokenFault> {
        if claims.sub.is_empty() {
            return Err(TokenFault::Invalid);
        }
        let wire = Outgoing {
            sub: &claims.sub,
            iat: claims.iat.as_secs(),
            exp: claims.exp.as_secs(),
            fam: claims.family.as_deref(),
        };
        jsonwebtoken::encode(&self.header, &wire, &self.encoding).map_err(|_| TokenFault::Invalid)
    }

    /// What the token says, if it is genuine and in force at `now`.
    ///
    /// ```
    /// use dream_core::kernel::Timestamp;
    /// use dream_core::protocol::token::{AccessClaims, LEEWAY, TokenFault, TokenSigner};
    ///
    /// # let signer = TokenSigner::new(&"a secret of at least 32 bytes, e.g. random".into()).unwrap();
    /// # let now = Timestamp::from_secs(1_769_600_000);
    /// # let claims = AccessClaims { sub: "7".to_owned(), iat: now, exp: now.plus_days(7), family: None };
    /// let token = signer.sign(&claims).unwrap();
    /// // The clock of another node may be a little ahead.
    /// assert!(signer.verify(&token, claims.exp).is_ok());
    /// assert_eq!(signer.verify(&token, claims.exp.plus(LEEWAY)), Err(TokenFault::Expired));
    /// assert_eq!(signer.verify("not a token", now), Err(TokenFault::Invalid));
    /// ```
    ///
    /// # Errors
    /// [`TokenFault`]; a forged token is never called expired.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenFault> {
        check_shape(token)?;
        let claims = jsonwebtoken::decode::<Incoming>(token, &self.decoding, &self.validation)
            .map_err(|_| TokenFault::Invalid)?
            .claims;
        if claims.sub.is_empty() || claims.nbf.is_some_and(|nbf| nbf.0 > now.plus(LEEWAY)) {
            return Err(TokenFault::Invalid);
        }
        let claims =
            AccessClaims { sub: claims.sub, iat: claims.iat.0, exp: claims.exp.0, family: claims.fam };
        if claims.are_over(now) { Err(TokenFault::Expired) } else { Ok(claims) }
    }
}

/// What the library is laxer about than RFC 7515: the three parts, their base64url, and `crit`.
fn check_shape(token: &str) -> Result<(), TokenFault> {
    if token.len() > MAX_TOKEN_LEN {
        return Err(TokenFault::Invalid);
    }
    let mut parts = token.split('.');
    let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenFault::Invalid);
    };
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenFault::Invalid)?;
    let header: HeaderShape = serde_json::from_slice(&header).map_err(|_| TokenFault::Invalid)?;
    // An extension that the token calls critical is one we do not know, whatever it is.
    if header.alg != "HS256" || header.crit.is_some() { Err(TokenFault::Invalid) } else { Ok(()) }
}

#[derive(Deserialize)]
struct HeaderShape {
    alg: String,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
}

#[derive(Serialize)]
struct Outgoing<'a> {
    sub: &'a str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fam: Option<&'a str>,
}

#[derive(Deserialize)]
struct Incoming {
    sub: String,
    iat: NumericDate,
    exp: NumericDate,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    fam: Option<String>,
}

/// Unlike serde's own `Option`, does not take `null` for absence.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Seconds since the epoch as a JSON number, whole or not.
struct NumericDate(Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;

        impl Visitor<'_> for Seconds {
            type Value = NumericDate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds")
            }

            fn visit_i64<E: serde::de::Error>(self, secs: i64) -> Result<NumericDate, E> {
                Ok(NumericDate(Timestamp::from_secs(secs)))
            }

            fn visit_u64<E: serde::de::Error>(self, secs: u64) -> Result<NumericDate, E> {
                Ok(NumericDate(Timestamp::from_secs(i64::try_from(secs).unwrap_or(i64::MAX))))
            }

            #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, as do all other times")]
            fn visit_f64<E: serde::de::Error>(self, secs: f64) -> Result<NumericDate, E> {
                if secs.is_finite() {
                    Ok(NumericDate(Timestamp::from_micros((secs * 1e6) as i64)))
                } else {
                    Err(E::custom("not a finite number"))
                }
            }
        }

        deserializer.deserialize_any(Seconds).map_err(D::Error::custom)
    }
}
