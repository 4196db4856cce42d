//! From the text of a variable to its value. A refusal says what the value must be, and quotes no secret.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use dream_core::kernel::{Fen, KeyName, Points, Zone};
use dream_core::{ConfiguredAdminKey, Fault, Lifetime};
use dream_http::{Docs, Origins};
use http::{HeaderName, HeaderValue, Uri};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use tracing_subscriber::EnvFilter;

type Parsed<T> = Result<T, String>;

/// Shortest secret for tokens: as long as the hash is (RFC 7518, 3.2).
pub(crate) const MIN_JWT_SECRET: usize = 32;

/// Development or production.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// What has no credentials is played, and secrets are made up.
    Development,
    /// Nothing is played or made up.
    Production,
}

impl Mode {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Mode::Development => "development",
            Mode::Production => "production",
        }
    }
}

/// Whose credential the image API is called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpstreamAuth {
    Service,
    Forward,
}

/// A service that the sandbox can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SandboxPart {
    WeChat,
    WeChatPay,
    ImageApi,
}

impl SandboxPart {
    const ALL: [Self; 3] = [Self::WeChat, Self::WeChatPay, Self::ImageApi];

    const fn as_str(self) -> &'static str {
        match self {
            Self::WeChat => "wechat",
            Self::WeChatPay => "wechat-pay",
            Self::ImageApi => "image-api",
        }
    }

    /// As the variable lists them.
    pub(crate) fn list(parts: &[Self]) -> String {
        parts.iter().map(|part| part.as_str()).collect::<Vec<_>>().join(",")
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Pretty,
    Json,
}

/// An address to listen on.
pub(crate) type Host = IpAddr;

pub(crate) fn mode(text: &str) -> Parsed<Mode> {
    match text {
        "development" | "dev" | "test" => Ok(Mode::Development),
        "production" | "prod" => Ok(Mode::Production),
        _ => Err("must be development or production".to_owned()),
    }
}

pub(crate) fn upstream_auth(text: &str) -> Parsed<UpstreamAuth> {
    match text {
        "service" => Ok(UpstreamAuth::Service),
        "forward" => Ok(UpstreamAuth::Forward),
        _ => Err("must be service or forward".to_owned()),
    }
}

/// Sorted, each once.
pub(crate) fn sandbox_parts(text: &str) -> Parsed<Vec<SandboxPart>> {
    let part = |item: &str| {
        let found = SandboxPart::ALL.into_iter().find(|part| part.as_str() == item);
        found.ok_or_else(|| format!("must be of {}, but has {item:?}", SandboxPart::list(&SandboxPart::ALL)))
    };
    let mut parts = items(text).map(part).collect::<Parsed<Vec<_>>>()?;
    parts.sort_unstable();
    parts.dedup();
    Ok(parts)
}

pub(crate) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be pretty or json".to_owned()),
    }
}

pub(crate) fn docs(text: &str) -> Parsed<Docs> {
    match text {
        "open" => Ok(Docs::Open),
        "admin" => Ok(Docs::Admin),
        "off" => Ok(Docs::Off),
        _ => Err("must be open, admin or off".to_owned()),
    }
}

pub(crate) fn switch(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

fn number<T: FromStr>(text: &str, what: &str) -> Parsed<T> {
    text.parse().map_err(|_| format!("must be {what}, but is {text:?}"))
}

pub(crate) fn port(text: &str) -> Parsed<u16> {
    number(text, "a port, 0 to 65535")
}

pub(crate) fn count(text: &str) -> Parsed<u32> {
    number(text, "a whole number")
}

pub(crate) fn positive(text: &str) -> Parsed<u32> {
    let what = "a whole number above 0";
    number(text, what).and_then(|n| if n > 0 { Ok(n) } else { Err(format!("must be {what}")) })
}

/// Largest figure of the business that is believed: a billion.
const MAX_AMOUNT: i64 = 1_000_000_000;

pub(crate) fn amount(text: &str) -> Parsed<i64> {
    let what = "a whole number from 0 to a billion";
    let amount: i64 = number(text, what)?;
    if (0..=MAX_AMOUNT).contains(&amount) { Ok(amount) } else { Err(format!("must be {what}")) }
}

/// Days that something about a deleted user is remembered.
pub(crate) fn memory_days(text: &str) -> Parsed<u32> {
    let what = "a whole number from 0 to 3650";
    let days: u32 = number(text, what)?;
    if days <= 3650 { Ok(days) } else { Err(format!("must be {what}")) }
}

pub(crate) fn points(text: &str) -> Parsed<Points> {
    amount(text).map(Points::new)
}

pub(crate) fn price(text: &str) -> Parsed<Fen> {
    match amount(text)? {
        0 => Err("must be above 0".to_owned()),
        fen => Ok(Fen::new(fen)),
    }
}

/// Longest time one call may be given, in seconds.
const MAX_CALL_SECS: u32 = 600;

pub(crate) fn seconds(text: &str) -> Parsed<Duration> {
    let secs: u32 = number(text, "a whole number of seconds")?;
    if (1..=MAX_CALL_SECS).contains(&secs) {
        Ok(Duration::from_secs(secs.into()))
    } else {
        Err(format!("must be 1 to {MAX_CALL_SECS} seconds"))
    }
}

/// A day: the image API remembers for no longer what was submitted.
const MAX_DEADLINE_SECS: u32 = 86_400;

pub(crate) fn up_to_a_day(text: &str) -> Parsed<Duration> {
    let secs: u32 = number(text, "a whole number of seconds")?;
    if (1..=MAX_DEADLINE_SECS).contains(&secs) {
        Ok(Duration::from_secs(secs.into()))
    } else {
        Err(format!("must be 1 to {MAX_DEADLINE_SECS} seconds"))
    }
}

/// Longest time that proxies may need to notice, in seconds.
const MAX_NOTICE_SECS: u32 = 300;

pub(crate) fn notice(text: &str) -> Parsed<Duration> {
    let secs: u32 = number(text, "a whole number of seconds")?;
    if secs <= MAX_NOTICE_SECS {
        Ok(Duration::from_secs(secs.into()))
    } else {
        Err(format!("must be 0 to {MAX_NOTICE_SECS} seconds"))
    }
}

pub(crate) fn host(text: &str) -> Parsed<IpAddr> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    number(text.trim_start_matches('[').trim_end_matches(']'), "an IP address, such as 0.0.0.0 or ::")
}

pub(crate) fn address(text: &str) -> Parsed<SocketAddr> {
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let any = text.strip_prefix(':').map(|port| format!("0.0.0.0:{port}"));
    number(&local.or(any).unwrap_or_else(|| text.to_owned()), "an address and port, such as 127.0.0.1:9100")
}

pub(crate) fn networks(text: &str) -> Parsed<Vec<IpNet>> {
    let network = |item: &str| {
        item.parse::<IpNet>()
            .or_else(|_| item.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| format!("must be addresses or networks such as 10.0.0.0/8, but {item:?} is neither"))
    };
    items(text).map(network).collect()
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[expect(clippy::unnecessary_wraps, reason = "the table holds functions that may refuse")]
pub(crate) fn text(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "the table holds functions that may refuse")]
pub(crate) fn path(text: &str) -> Parsed<PathBuf> {
    Ok(text.into())
}

#[expect(clippy::unnecessary_wraps, reason = "the table holds functions that may refuse")]
pub(crate) fn secret(text: &str) -> Parsed<SecretString> {
    Ok(SecretString::from(text))
}

pub(crate) fn jwt_secret(text: &str) -> Parsed<SecretString> {
    match text.len() {
        length if length < MIN_JWT_SECRET => Err(format!(
            "needs at least {MIN_JWT_SECRET} bytes, has {length}: make one with `openssl rand -base64 48`"
        )),
        _ => secret(text),
    }
}

/// Length of WeChat's `EncodingAESKey`, in characters.
const PUSH_KEY_LEN: usize = 43;

pub(crate) fn push_key(text: &str) -> Parsed<SecretString> {
    if text.len() == PUSH_KEY_LEN && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        secret(text)
    } else {
        Err(format!("must be {PUSH_KEY_LEN} letters and digits"))
    }
}

/// An absolute `http` or `https` URL, without a slash at its end.
pub(crate) fn http_url(text: &str) -> Parsed<String> {
    let fault = || format!("must be an http or https URL without query, but is {text:?}");
    let uri: Uri = text.parse().map_err(|_| fault())?;
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let plain = uri.query().is_none() && !text.contains(['#', '@']);
    if scheme && plain && uri.host().is_some_and(|host| !host.is_empty()) {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(fault())
    }
}

/// Header names and values as OpenTelemetry writes them.
pub(crate) fn headers(text: &str) -> Parsed<Vec<(String, SecretString)>> {
    let header = |item: &str| {
        let (name, value) = item.split_once('=')?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        HeaderValue::from_str(&value).ok()?;
        Some((name.to_string(), SecretString::from(value.into_owned())))
    };
    let all: Option<Vec<_>> = items(text).map(header).collect();
    all.ok_or_else(|| "must be name=value, comma-separated, with values that are percent-encoded".to_owned())
}

fn url_of(text: &str, schemes: &[&str], what: &str) -> Parsed<SecretString> {
    if schemes.iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| rest.starts_with(':'))) {
        secret(text)
    } else {
        Err(format!("must be {what}"))
    }
}

pub(crate) fn database_url(text: &str) -> Parsed<SecretString> {
    url_of(text, &["sqlite", "postgres", "postgresql"], "sqlite://<path> or postgres://<user>@<host>/<name>")
}

pub(crate) fn postgres_url(text: &str) -> Parsed<SecretString> {
    url_of(text, &["postgres", "postgresql"], "postgres://<user>@<host>/<name>")
}

pub(crate) fn redis_url(text: &str) -> Parsed<SecretString> {
    url_of(text, &["redis", "rediss", "redis+unix"], "redis://<host>:<port>/<number>")
}

/// What a fault of the core asks for.
fn asked(fault: &Fault) -> String {
    match fault {
        Fault::Format(format) => format!("must be {}", format.en()),
        Fault::Length { min, max } => format!("must have {min} to {max} characters"),
        other => format!("is refused: {}", other.as_str()),
    }
}

pub(crate) fn lifetime(text: &str) -> Parsed<Lifetime> {
    text.parse().map_err(|fault| asked(&fault))
}

pub(crate) fn zone(text: &str) -> Parsed<Zone> {
    Zone::named(text).map_err(|fault| asked(&fault))
}

/// Levels, bare or for a target. The library reads an unknown bare word as the name of a target, and then nothing else is
/// logged: here it is an error.
pub(crate) fn log_filter(text: &str) -> Parsed<String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let is_level = |word: &str| LEVELS.contains(&word.to_ascii_lowercase().as_str());
    let bare = |word: &&str| !word.contains('=') && !word.contains('[') && !is_level(word);
    if let Some(word) = items(text).find(bare) {
        return Err(format!(
            "has {word:?}, which is no level: must be {}, or a filter such as info,dream_core=debug",
            LEVELS.join(", ")
        ));
    }
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| format!("is no log filter: {error}"))
}

/// `*`, or origins that are listed; those may send credentials, so `*` cannot stand among them.
pub(crate) fn origins(text: &str) -> Parsed<Origins> {
    if text == "*" {
        return Ok(Origins::Any);
    }
    let origin = |item: &str| {
        if item == "*" {
            return Err("must not have * beside listed origins, which may send credentials".to_owned());
        }
        let fault = || format!("must be origins such as https://admin.example.com, but has {item:?}");
        let bare = item.trim_end_matches('/');
        let uri: Uri = bare.parse().map_err(|_| fault())?;
        let only_origin = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.path().trim_end_matches('/').is_empty()
            && uri.query().is_none();
        if only_origin { HeaderValue::from_str(bare).map_err(|_| fault()) } else { Err(fault()) }
    };
    items(text).map(origin).collect::<Parsed<Vec<_>>>().map(Origins::Listed)
}

/// Bare names of hosts, without scheme or port.
pub(crate) fn hosts(text: &str) -> Parsed<Vec<String>> {
    let host = |item: &str| {
        let part = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if item.len() <= 253 && item.split('.').all(part) {
            Ok(item.to_ascii_lowercase())
        } else {
            Err(format!("must be names of hosts such as photos.example.com, but has {item:?}"))
        }
    };
    items(text).map(host).collect()
}

/// The name of a key that was given without one.
const UNNAMED: &str = "admin";

pub(crate) fn admin_keys(text: &str) -> Parsed<Vec<ConfiguredAdminKey>> {
    let mut keys: Vec<ConfiguredAdminKey> = Vec::new();
    for (index, item) in text.split(',').enumerate() {
        let (name, key) = item.trim().split_once(':').unwrap_or((UNNAMED, item.trim()));
        let place = index + 1;
        let name: KeyName =
            name.parse().map_err(|fault| format!("key {place}: its name {}", asked(&fault)))?;
        if key.is_empty() {
            return Err(format!("key {place} is empty"));
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("key {place} must be printable ASCII without spaces, to fit into a header"));
        }
        if let Some(same) = keys.iter().position(|other| other.key.expose_secret() == key) {
            return Err(format!(
                "key {place} is the same as key {}: give each name a key of its own",
                same + 1
            ));
        }
        keys.push(ConfiguredAdminKey { name, key: SecretString::from(key) });
    }
    Ok(keys)
}

/// Why a secret is not one.
pub(crate) fn weakness(secret: &str, min: usize) -> Option<String> {
    const PLACEHOLDERS: [&str; 17] = [
        "your-",
        "your_",
        "yoursecret",
        "changeme",
        "change-me",
        "change_me",
        "change-this",
        "change_this",
        "changethis",
        "in-production",
        "in_production",
        "placeholder",
        "super-secret",
        "supersecret",
        "secret-key",
        "secret_key",
        "jwt-secret",
    ];
    const WORDS: [&str; 8] = ["secret", "password", "admin", "test", "default", "example", "key", "token"];
    /// Random text of 32 characters has about twice as many different ones even in hex.
    const FEW: usize = 6;
    let lower = secret.to_ascii_lowercase();
    let mut bytes = secret.as_bytes().to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    if PLACEHOLDERS.iter().any(|word| lower.contains(word)) || WORDS.contains(&lower.as_str()) {
        Some("is a well-known placeholder".to_owned())
    } else if secret.len() < min {
        Some(format!("needs at least {min} bytes, has {}", secret.len()))
    } else if bytes.len() < FEW {
        Some("repeats a few characters, which can be guessed".to_owned())
    } else {
        None
    }
}

/// Why a secret that its operator chose is one that a stranger would try.
pub(crate) fn guessable(secret: &str) -> Option<&'static str> {
    /// Of 16 random hex digits about 12 are not in a row with the digit before them.
    const UNPREDICTABLE: usize = 8;
    let few = unpredictable(&secret.to_ascii_lowercase()) < UNPREDICTABLE;
    few.then_some("is made of common words and characters in a row, which can be guessed")
}

/// How many characters a guesser has to guess, when words that everybody uses and steps along the alphabet or a row of the
/// keyboard are for free.
fn unpredictable(lower: &str) -> usize {
    const COMMON: [&str; 16] = [
        "password", "passwd", "welcome", "letmein", "default", "example", "secret", "dream", "admin",
        "login", "token", "wechat", "test", "root", "user", "key",
    ];
    const ROWS: [&str; 5] =
        ["abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"];
    let rest = COMMON.iter().fold(lower.to_owned(), |text, word| text.replace(word, " "));
    let in_a_row = |a: char, b: char| {
        a == b
            || ROWS.iter().any(|row| {
                let (Some(a), Some(b)) = (row.find(a), row.rfind(b)) else { return false };
                a.abs_diff(b) == 1
            })
    };
    let mut last = ' ';
    rest.chars()
        .filter(|&next| {
            let guessed = next == ' ' || in_a_row(last, next) || in_a_row(next, last);
            last = next;
            !guessed
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_keys_have_names_for_the_audit_log() {
        let keys = |text| -> Vec<(String, String)> {
            let keys = admin_keys(text).expect("keys");
            keys.iter().map(|key| (key.name.to_string(), key.key.expose_secret().to_owned())).collect()
        };
        assert_eq!(keys("abc"), [("admin".to_owned(), "abc".to_owned())]);
        assert_eq!(keys("ops:a:b, ci:c")[0], ("ops".to_owned(), "a:b".to_owned()));
        assert!(admin_keys("ops:,ci:c").is_err(), "an empty key would open the door to everybody");
        assert!(admin_keys("a,").is_err());
        assert!(admin_keys("näme:c").is_err());
    }

    #[test]
    fn any_origin_cannot_stand_beside_origins_with_credentials() {
        assert_eq!(origins("*"), Ok(Origins::Any));
        assert!(
            matches!(origins("https://a.example, http://localhost:5173/"), Ok(Origins::Listed(list)) if list.len() == 2)
        );
        assert!(origins("https://a.example,*").is_err());
        assert!(origins("https://a.example/path").is_err());
        assert!(origins("a.example").is_err());
    }

    #[test]
    fn hosts_are_bare_names() {
        assert_eq!(
            hosts("Photos.example.com, cdn-2.example"),
            Ok(vec!["photos.example.com".to_owned(), "cdn-2.example".to_owned()])
        );
        for wrong in ["https://photos.example", "photos.example:8443", "*.example", "a@b", "a..b", "a/b"] {
            assert!(hosts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn placeholders_and_repetitions_are_weak() {
        assert!(weakness("your-super-secret-jwt-key-change-in-production", 32).is_some());
        assert!(weakness("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 32).is_some());
        assert!(weakness("short", 16).is_some());
        for weak in [
            "admin1234567890123",
            "Password12345678",
            "1234567890abcdef",
            "qwertyuiopasdfgh",
            "my-admin-key-20",
        ] {
            assert!(guessable(weak).is_some(), "{weak}");
        }
        for strong in ["3f9c1b7e5a2d4860917e3c5b2f8a6d04", "8d1c6f0b3e5a7942", "kX9vQ2mZ7pL4tR8w"] {
            assert_eq!((weakness(strong, 16), guessable(strong)), (None, None), "{strong}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_no_log_filter() {
        for right in ["info", "WARN", "info,dream_core=debug", "off", "dream_http[request]=trace,error"] {
            assert_eq!(log_filter(right).as_deref(), Ok(right));
        }
        for wrong in ["verbose", "warning", "info,loud", "dream_core", "dream_core=loud"] {
            assert!(log_filter(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_key_has_one_name() {
        assert!(admin_keys("ops:abc,ci:abc").is_err());
    }

    #[test]
    fn addresses_and_networks_are_read_as_people_write_them() {
        assert_eq!(address("localhost:9100").expect("an address").to_string(), "127.0.0.1:9100");
        assert_eq!(address(":9100").expect("an address").to_string(), "0.0.0.0:9100");
        assert_eq!(networks("10.0.0.0/8, 192.0.2.1").expect("networks").len(), 2);
        assert!(networks("proxy.example").is_err());
        assert_eq!(http_url("https://x.example/").as_deref(), Ok("https://x.example"));
        assert!(http_url("ftp://x.example").is_err());
        assert!(http_url("https://u:p@x.example").is_err());
    }
}
