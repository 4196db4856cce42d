//! What a merchant configures, and every fault in it at once.

use std::fmt;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

use super::cipher::ApiV3Key;
use super::signing::MerchantKey;
use super::trust::{PUBLIC_KEY_PREFIX, PlatformPublicKey};

/// What a merchant of WeChat Pay API v3 has to tell.
///
/// ```
/// use dream_core::adapters::OsEntropy;
/// use dream_core::adapters::wechat_pay::{CallLimits, WeChatPay, WeChatPayConfig};
/// # use dream_core::adapters::SystemClock;
/// # use std::sync::Arc;
///
/// let config = WeChatPayConfig {
///     appid: "wx0123456789abcdef".to_owned(),
///     mchid: "1900000109".to_owned(),
///     merchant_serial: "not hex".to_owned(),
///     merchant_key_pem: "-----BEGIN PRIVATE KEY-----\\nno key\\n-----END PRIVATE KEY-----".into(),
///     api_v3_key: "too short".into(),
///     platform_key_id: None,
///     platform_key_pem: None,
///     notify_url: "https://dream.example/v1/orders/payment-callback".to_owned(),
///     refund_notify_url: None,
///     base_urls: WeChatPayConfig::live_hosts(),
///     limits: CallLimits::default(),
/// };
/// // All that is wrong is told at once, and none of it quotes a secret.
/// let faults = WeChatPay::new(config, Arc::new(SystemClock), Arc::new(OsEntropy)).unwrap_err();
/// assert!(faults.0.iter().any(|fault| fault.field == "api_v3_key"), "{faults}");
/// ```
#[derive(Debug, Clone)]
pub struct WeChatPayConfig {
    /// The mini-program's id, bound to the merchant.
    pub appid: String,
    /// The merchant's number.
    pub mchid: String,
    /// The serial number of the merchant's API certificate, in hex.
    pub merchant_serial: String,
    /// The merchant's private key in PEM (`apiclient_key.pem`). Line ends may be written as `\n`.
    pub merchant_key_pem: SecretString,
    /// The API v3 key: 32 bytes. It is not the API key of v2.
    pub api_v3_key: SecretString,
    /// The id of the platform's public key, `PUB_KEY_ID_…`. Without it certificates are downloaded.
    pub platform_key_id: Option<String>,
    /// The platform's public key in PEM.
    pub platform_key_pem: Option<String>,
    /// Where payments are announced.
    pub notify_url: String,
    /// Where refunds are announced; without it they have to be asked for.
    pub refund_notify_url: Option<String>,
    /// The hosts, primary first. The next one is tried when no connection can be made.
    pub base_urls: Vec<String>,
    /// How long calls may take.
    pub limits: CallLimits,
}

impl WeChatPayConfig {
    /// The platform's own hosts.
    pub fn live_hosts() -> Vec<String> {
        ["https://api.mch.weixin.qq.com", "https://api2.mch.weixin.qq.com"].map(str::to_owned).to_vec()
    }
}

/// How long calls may take.
///
/// ```
/// use dream_core::adapters::wechat_pay::CallLimits;
///
/// // Never repeat by itself: another layer does.
/// let limits = CallLimits { retries: 0, ..CallLimits::default() };
/// assert!(limits.connect <= limits.attempt && limits.attempt <= limits.call);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// To connect.
    pub connect: Duration,
    /// For one attempt, from the first byte to the last.
    pub attempt: Duration,
    /// For a call with all its attempts.
    pub call: Duration,
    /// Attempts beyond the first, for failures of which a repeat is safe.
    pub retries: usize,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            attempt: Duration::from_secs(6),
            call: Duration::from_secs(15),
            retries: 2,
        }
    }
}

/// One thing that is wrong with a configuration.
///
/// ```
/// use dream_core::adapters::wechat_pay::ConfigFault;
///
/// let fault =
///     ConfigFault { field: "api_v3_key", problem: "must have exactly 32 bytes, and has 9".to_owned() };
/// assert_eq!(
///     format!("{}: {}", fault.field, fault.problem),
///     "api_v3_key: must have exactly 32 bytes, and has 9"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The field of [`WeChatPayConfig`].
    pub field: &'static str,
    /// What is wrong with it. Never quotes a secret.
    pub problem: String,
}

/// Everything that is wrong with a configuration.
///
/// ```
/// use dream_core::adapters::wechat_pay::{ConfigFault, ConfigFaults};
///
/// let faults = ConfigFaults(vec![ConfigFault { field: "mchid", problem: "must be digits".to_owned() }]);
/// assert!(faults.to_string().contains("mchid"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigFaults(pub Vec<ConfigFault>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeChat Pay is configured wrongly")?;
        for (index, fault) in self.0.iter().enumerate() {
            write!(f, "{} {}: {}", if index == 0 { ":" } else { ";" }, fault.field, fault.problem)?;
        }
        Ok(())
    }
}

/// What came out of a configuration without faults.
pub(super) struct Checked {
    pub(super) key: MerchantKey,
    pub(super) cipher: ApiV3Key,
    pub(super) public_key: Option<PlatformPublicKey>,
    pub(super) bases: Vec<Url>,
}

#[derive(Default)]
struct Faults(Vec<ConfigFault>);

impl Faults {
    fn add(&mut self, field: &'static str, problem: impl Into<String>) {
        self.0.push(ConfigFault { field, problem: problem.into() });
    }

    fn require(&mut self, field: &'static str, holds: bool, problem: &str) {
        if !holds {
            self.add(field, problem);
        }
    }

    fn keep<T>(&mut self, field: &'static str, outcome: Result<T, String>) -> Option<T> {
        outcome.map_err(|problem| self.add(field, problem)).ok()
    }
}

impl WeChatPayConfig {
    pub(super) fn check(&self) -> Result<Checked, ConfigFaults> {
        let mut faults = Faults::default();
        let appid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        faults.require(
            "appid",
            within(&self.appid, 32) && self.appid.bytes().all(appid),
            "must be an app id, such as wx…",
        );
        let digits = within(&self.mchid, 32) && self.mchid.bytes().all(|byte| byte.is_ascii_digit());
        faults.require("mchid", digits, "must be a number of up to 32 digits");
        let serial = within(&self.merchant_serial, 40)
            && self.merchant_serial.bytes().all(|byte| byte.is_ascii_hexdigit());
        faults.require(
            "merchant_serial",
            serial,
            "must be the serial number of the merchant's certificate: up to 40 hex digits",
        );
        let key = MerchantKey::new(&self.mchid, &self.merchant_serial, &self.merchant_key_pem);
        let key = faults.keep("merchant_key_pem", key);
        let cipher = faults.keep("api_v3_key", ApiV3Key::new(&self.api_v3_key));
        let public_key = self.check_public_key(&mut faults);
        let bases = self.check_urls(&mut faults);
        match (key, cipher) {
            (Some(key), Some(cipher)) if faults.0.is_empty() => {
                Ok(Checked { key, cipher, public_key, bases })
            }
            _ => Err(ConfigFaults(faults.0)),
        }
    }

    fn check_public_key(&self, faults: &mut Faults) -> Option<PlatformPublicKey> {
        if let Some(id) = &self.platform_key_id {
            let digits = id.strip_prefix(PUBLIC_KEY_PREFIX).unwrap_or_default();
            let right = within(digits, 64) && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
            faults.require("platform_key_id", right, "must be PUB_KEY_ID_ and digits");
        }
        match (&self.platform_key_id, &self.platform_key_pem) {
            (Some(id), Some(pem)) => faults.keep("platform_key_pem", PlatformPublicKey::new(id, pem)),
            (Some(_), None) => {
                faults.add("platform_key_pem", "is missing beside platform_key_id");
                None
            }
            (None, Some(_)) => {
                faults.add("platform_key_id", "is missing beside platform_key_pem");
                None
            }
            (None, None) => None,
        }
    }

    fn check_urls(&self, faults: &mut Faults) -> Vec<Url> {
        faults.require("base_urls", !self.base_urls.is_empty(), "must name a host");
        let bases: Vec<Url> =
            self.base_urls.iter().filter_map(|base| faults.keep("base_urls", base_url(base))).collect();
        let plain_allowed = bases.iter().any(|base| base.scheme() == "http");
        let mut notify = |field, url: &str| {
            if let Err(problem) = notify_url(url, plain_allowed) {
                faults.add(field, problem);
            }
        };
        notify("notify_url", &self.notify_url);
        if let Some(url) = &self.refund_notify_url {
            notify("refund_notify_url", url);
        }
        bases
    }
}

fn within(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
}

/// A host without a path, since the path is signed. Plain HTTP is for a fake on this machine.
fn base_url(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|_| format!("{text:?} is not a URL"))?;
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() != "https" && !(url.scheme() == "http" && local) {
        return Err(format!("{text:?} must be https"));
    }
    if url.path() != "/" || url.query().is_some() || !url.username().is_empty() {
        return Err(format!("{text:?} must be scheme and host alone"));
    }
    Ok(url)
}

/// At most 255 characters, https, no query. Beside a fake, plain HTTP will do.
fn notify_url(text: &str, plain_allowed: bool) -> Result<(), String> {
    let url: Url = text.parse().map_err(|_| "is not a URL".to_owned())?;
    if url.scheme() != "https" && !(plain_allowed && url.scheme() == "http") {
        return Err("must be https".to_owned());
    }
    if text.len() > 255 || url.query().is_some() || url.fragment().is_some() {
        return Err("must have at most 255 characters and no query".to_owned());
    }
    Ok(())
}
