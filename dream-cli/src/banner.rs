//! What `serve` tells people when it is ready.

use std::fmt;
use std::net::SocketAddr;

use dream_core::SeedReport;
use dream_http::Docs;
use secrecy::ExposeSecret as _;

use crate::config::{Config, Mode, Storage, without_password};
use crate::sandbox::Played;

/// The name of the lines that warn.
pub(crate) const NOTE: &str = "note";

/// The banner.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a line that is printed or not")]
pub(crate) struct Banner {
    /// Development or production.
    pub(crate) mode: Mode,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    url: String,
    docs: Docs,
    database: String,
    cache: String,
    pictures: String,
    parts: Vec<(&'static str, String)>,
    pays: bool,
    control: Option<String>,
    login_code: bool,
    configured_keys: bool,
    /// Whether a key made by `dream admin-key create` opens the administration.
    pub(crate) created_keys: bool,
    checks_content: bool,
    /// What was planted, if anything was to be.
    pub(crate) seeds: Option<SeedReport>,
    /// What is allowed, but might surprise.
    pub(crate) notes: Vec<String>,
}

impl Banner {
    pub(crate) fn new(config: &Config, address: SocketAddr, url: String, played: Option<&Played>) -> Self {
        let operator = &config.operator;
        let redis = operator.redis.as_ref().map(|redis| without_password(redis.url.expose_secret()));
        let mut notes = Vec::new();
        if config.secret_made_up {
            notes.push("logins end with this process: set JWT_SECRET to keep them".to_owned());
        }
        if config.mode == Mode::Development && !address.ip().is_loopback() {
            let ip = address.ip();
            notes.push(format!(
                "listens on {ip}, for everybody in this network: HOST=127.0.0.1 is for this machine"
            ));
        }
        Self {
            mode: config.mode,
            address,
            url,
            docs: config.http.docs,
            database: without_password(operator.database.url.expose_secret()),
            cache: redis.unwrap_or_else(|| "in this process".to_owned()),
            pictures: match &config.storage {
                Storage::Disk(folder) => folder.display().to_string(),
                Storage::R2(bucket) => format!("{} in {}", bucket.bucket, bucket.endpoint),
            },
            parts: played.map(Played::parts).unwrap_or_default(),
            pays: played.is_some_and(Played::plays_pay),
            control: played.map(Played::control),
            login_code: played.is_some_and(Played::plays_wechat),
            configured_keys: !operator.settings.admin_keys.is_empty(),
            created_keys: false,
            checks_content: config.wechat.is_some(),
            seeds: None,
            notes,
        }
    }

    fn docs(&self) -> String {
        match self.docs {
            Docs::Open => format!("{}/api/docs", self.url),
            Docs::Admin => format!("{}/api/docs, to whoever has an admin key", self.url),
            Docs::Off => "off".to_owned(),
        }
    }

    /// What it says, line by line: a name and a text.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows =
            vec![("address", self.url.clone()), ("docs", self.docs()), ("database", self.database.clone())];
        if let Some(seeds) = self.seeds.filter(|seeds| seeds.planted > 0) {
            rows.push(("seeds", format!("{} planted: plans, templates, pictures", seeds.planted)));
        }
        rows.push(("cache", self.cache.clone()));
        rows.push(("pictures", self.pictures.clone()));
        rows.extend(self.parts.iter().map(|(name, url)| ("sandbox", format!("{name} is played at {url}"))));
        if self.login_code {
            rows.push(("login code", "sandbox-alice (sandbox-<name> logs anybody in)".to_owned()));
        }
        if self.pays {
            rows.push(("payments", format!("curl -X POST {}/sandbox/pay/ORDER pays an order", self.url)));
        }
        if let Some(control) = &self.control {
            rows.push((
                "control",
                format!("{control} shows logins, orders and requests, pays, and makes trouble"),
            ));
        }
        if !self.checks_content {
            rows.push(("content", UNCHECKED.to_owned()));
        }
        let admin = match (self.configured_keys, self.created_keys) {
            (true, true) => "open to ADMIN_API_KEY and the keys of `dream admin-key list`",
            (true, false) => "open to ADMIN_API_KEY",
            (false, true) => "open to the keys of `dream admin-key list`",
            (false, false) => CLOSED,
        };
        rows.push(("admin", admin.to_owned()));
        rows.extend(self.notes.iter().map(|note| (NOTE, note.clone())));
        rows
    }
}

const UNCHECKED: &str = "checks let every text and picture pass: only the real WeChat judges them";
const CLOSED: &str = "closed; to open it, start with ADMIN_API_KEY=$(openssl rand -hex 24)";

/// Three commands that lead from nothing to a picture.
fn commands(url: &str) -> [String; 3] {
    [
        format!(
            "TOKEN=$(curl -s {url}/v1/auth/wechat-login -H 'Content-Type: application/json' \
             -d '{{\"code\":\"sandbox-alice\"}}' | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')"
        ),
        format!(
            "curl -s {url}/v1/jobs -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \
             -d '{{\"prompt\":\"a lighthouse at dusk\"}}'"
        ),
        format!("curl -s {url}/v1/proxy/jobs -H \"Authorization: Bearer $TOKEN\""),
    ]
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WIDTH: usize = 10;
        writeln!(f, "\nDream {} is up ({})\n", env!("CARGO_PKG_VERSION"), self.mode.as_str())?;
        for (name, value) in self.rows() {
            writeln!(f, "  {name:WIDTH$}  {value}")?;
        }
        if self.login_code {
            writeln!(f, "\nNext: log in, generate, look at it.\n")?;
            for command in commands(&self.url) {
                writeln!(f, "  {command}")?;
            }
        }
        Ok(())
    }
}
