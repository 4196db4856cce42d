//! What the environment says. Nothing else in the workspace reads it.

pub(crate) mod documents;
mod environment;
mod exposure;
mod operator;
mod outside;
pub(crate) mod parse;
mod reader;
mod report;
mod server;
mod table;
mod variable;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dream_core::adapters::{R2Config, RedisConfig};
use dream_core::{DatabaseOptions, Settings};
use secrecy::{ExposeSecret as _, SecretString};

pub(crate) use environment::Environment;
pub(crate) use outside::{ImageApiAccess, PayAccess, PushAccess, WeChatAccess};
pub(crate) use parse::{LogFormat, Mode};
pub(crate) use report::{ConfigFault, ConfigFaults, Report};
pub(crate) use variable::without_password;

use reader::Reader;

/// How to log.
#[derive(Debug, Clone)]
pub(crate) struct Logging {
    /// What is logged, where somebody said so.
    pub(crate) filter: Option<String>,
    /// How it is written.
    pub(crate) format: LogFormat,
}

/// What somebody who works on the stored state needs: no outside, no server.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    pub(crate) database: DatabaseOptions,
    pub(crate) redis: Option<RedisConfig>,
    pub(crate) settings: Settings,
    pub(crate) logging: Logging,
}

/// Where spans are sent.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    /// Without the path.
    pub(crate) endpoint: String,
    /// What is sent along: names and values.
    pub(crate) headers: Vec<(String, SecretString)>,
    /// What we are called there.
    pub(crate) service: String,
}

/// Where pictures are kept.
#[derive(Debug, Clone)]
pub(crate) enum Storage {
    /// In this folder; the server answers for them under the base URL.
    Disk(PathBuf),
    /// In a bucket.
    R2(R2Config),
}

/// What a command uses beside the stored state.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Need {
    /// The place where pictures are kept.
    pub(crate) pictures: bool,
    /// The channel that orders are paid through.
    pub(crate) payments: bool,
}

/// What one command works with.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    pub(crate) operator: Operator,
    /// Where pictures are kept and the server answers for them, if they are needed.
    pub(crate) pictures: Option<(Storage, String)>,
    /// If payments are needed.
    pub(crate) pay: Option<PayAccess>,
    /// The file in which a running sandbox says how its WeChat Pay is reached, if payments are needed and it plays them.
    pub(crate) sandbox_pay: Option<PathBuf>,
}

/// All that `serve` needs. What has no credentials in development is `None` and is played.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) mode: Mode,
    pub(crate) operator: Operator,
    pub(crate) http: dream_http::Settings,
    /// Where clients reach the server, if that was said.
    pub(crate) base_url: Option<String>,
    pub(crate) storage: Storage,
    pub(crate) wechat: Option<WeChatAccess>,
    pub(crate) image_api: Option<ImageApiAccess>,
    /// Also `None` where nothing can be bought, in production.
    pub(crate) pay: Option<PayAccess>,
    /// Where spans are sent, if they are.
    pub(crate) collector: Option<Collector>,
    /// Whether the secret for tokens ends with this process.
    pub(crate) secret_made_up: bool,
}

/// The file that the sandbox keeps its state in: beside what else is kept on this machine.
pub(crate) fn sandbox_state(database: &DatabaseOptions, uploads: Option<&Path>) -> PathBuf {
    const NAME: &str = "sandbox.json";
    let file = crate::wire::sqlite_path(database.url.expose_secret()).map(Path::new);
    let beside = file.or(uploads).unwrap_or(Path::new("dream-data/uploads"));
    beside.parent().unwrap_or(Path::new("")).join(NAME)
}

/// Where a server of this configuration listens.
pub(crate) fn listening(environment: &Environment) -> Result<SocketAddr, ConfigFaults> {
    let mut reader = Reader::new(environment);
    match server::listening(&mut reader) {
        Some(address) if reader.is_faultless() => Ok(address),
        _ => Err(ConfigFaults(reader.faults().to_vec())),
    }
}

/// Whether parts without credentials can be played: in development, if the sandbox is built in.
pub(crate) const SANDBOX: bool = cfg!(feature = "sandbox");

impl Config {
    /// Reads everything and says what was found, be it right or not.
    pub(crate) fn read(environment: &Environment) -> (Option<Self>, Report) {
        let mut reader = Reader::new(environment);
        let config = server::read(&mut reader);
        let faultless = reader.is_faultless();
        (config.filter(|_| faultless), reader.report())
    }

    /// As [`Config::read`], for whoever cannot go on with a fault.
    pub(crate) fn require(environment: &Environment) -> Result<(Self, Report), ConfigFaults> {
        match Self::read(environment) {
            (Some(config), report) => Ok((config, report)),
            (None, report) => Err(ConfigFaults(report.faults)),
        }
    }
}

impl Operator {
    /// Reads what commands on the stored state need; faults elsewhere do not matter to them.
    pub(crate) fn require(environment: &Environment) -> Result<Self, ConfigFaults> {
        let mut reader = Reader::new(environment);
        match operator::read(&mut reader, operator::made_up_secret()) {
            Some(operator) if reader.is_faultless() => Ok(operator),
            _ => Err(ConfigFaults(reader.faults().to_vec())),
        }
    }
}

impl Tools {
    /// Reads what the command needs; faults elsewhere do not matter to it.
    pub(crate) fn require(environment: &Environment, need: Need) -> Result<Self, ConfigFaults> {
        let mut reader = Reader::new(environment);
        match server::tools(&mut reader, need) {
            Some(tools) if reader.is_faultless() => Ok(tools),
            _ => Err(ConfigFaults(reader.faults().to_vec())),
        }
    }
}
