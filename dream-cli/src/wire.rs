//! From the configuration to a running business: picks an adapter for every port.

use std::path::Path;
use std::sync::Arc;

use dream_core::adapters::image_api::ImageApiHttp;
use dream_core::adapters::wechat::WeChatHttp;
use dream_core::adapters::wechat_pay::WeChatPay;
use dream_core::adapters::{
    DiskBlobs, MemoryCache, OsEntropy, R2Blobs, RedisCache, RedisConfig, SystemClock, WeChatContentCheck,
};
use dream_core::ports::{Blobs, Cache, Clock};
use dream_core::protocol::message_push::PushReceiver;
use dream_core::{AtStart, DatabaseOptions, Dream, SchemaStatus, Worker};
use secrecy::ExposeSecret as _;

use crate::config::{Config, Operator, PayAccess, PushAccess, Storage, Tools};
use crate::exit::{Exit, Trouble};
use crate::inert::Inert;
use crate::process;
use crate::sandbox::{self, Played};

/// Where the server answers for pictures on the local disk.
const UPLOADS_PATH: &str = "/uploads";

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

async fn cache(redis: Option<&RedisConfig>) -> Result<Arc<dyn Cache>, Trouble> {
    Ok(match redis {
        Some(config) => Arc::new(RedisCache::connect(config).await?),
        None => Arc::new(MemoryCache::new(clock())),
    })
}

/// The place for pictures.
pub(crate) async fn blobs(storage: &Storage, base_url: &str) -> Result<Arc<dyn Blobs>, Trouble> {
    Ok(match storage {
        Storage::Disk(folder) => {
            Arc::new(DiskBlobs::open(folder, format!("{base_url}{UPLOADS_PATH}")).await?)
        }
        Storage::R2(config) => Arc::new(R2Blobs::new(config, clock())?),
    })
}

/// Everything that `serve` runs.
pub(crate) async fn server(
    config: Config,
    base_url: &str,
    at_start: AtStart,
    played: Option<&Played>,
) -> Result<(Dream, Worker), Trouble> {
    let Operator { database, redis, mut settings, .. } = config.operator;
    let cache = cache(redis.as_ref()).await?;
    let (real_wechat, real_image_api) = (config.wechat.is_some(), config.image_api.is_some());
    let wechat = config.wechat.or_else(|| played.map(Played::wechat)).ok_or_else(|| nobody("WeChat"))?;
    let image_api =
        config.image_api.or_else(|| played.map(Played::image_api)).ok_or_else(|| nobody("the image API"))?;
    let pay = config.pay.or_else(|| played.and_then(Played::pay));
    if !real_image_api {
        settings.webhook_secret = image_api.webhook_secret;
    }
    let push = wechat.push.map(|push| receiver(&wechat.client.appid, push)).transpose()?;
    let wechat = WeChatHttp::new(wechat.client, cache.clone(), clock())?;
    let mut builder = Dream::builder(settings, database)
        .cache(cache)
        .blobs(blobs(&config.storage, base_url).await?)
        .image_api(Arc::new(ImageApiHttp::new(&image_api.client, clock())?))
        .at_start(at_start)
        .process(process::name().unwrap_or_default());
    if let Some(push) = push {
        builder = builder.message_push(push);
    }
    if real_wechat {
        builder = builder.content_check(Arc::new(WeChatContentCheck::new(&wechat)));
    }
    if let Some(pay) = pay {
        builder = builder.pay(Arc::new(channel(pay)?));
    }
    builder.wechat(Arc::new(wechat)).build().await.map_err(start_trouble)
}

fn channel(pay: PayAccess) -> Result<WeChatPay, Trouble> {
    WeChatPay::new(pay.client, clock(), Arc::new(OsEntropy))
        .map_err(|faults| Trouble::new(Exit::Config, "CONFIGURATION", faults.to_string()))
}

/// Opens what WeChat pushes. With a key, only what is encrypted by it counts: the signature of a plain message does not
/// cover its body.
fn receiver(appid: &str, push: PushAccess) -> Result<PushReceiver, Trouble> {
    let receiver = PushReceiver::new(appid, push.token, push.aes_key.as_ref()).map_err(|fault| {
        Trouble::new(Exit::Config, "CONFIGURATION", format!("the message push: {}", fault.as_str()))
    })?;
    Ok(if push.aes_key.is_some() { receiver.encrypted_only() } else { receiver })
}

fn nobody(whom: &str) -> Trouble {
    Trouble::new(Exit::Config, "CONFIGURATION", format!("there are no credentials for {whom}"))
}

fn start_trouble(error: dream_core::Error) -> Trouble {
    Trouble::from(error).while_("opening the database")
}

/// The business for one command, whose database's schema has to be up to date. What the command does not need of
/// the outside refuses. In a rehearsal no change is kept.
pub(crate) async fn desk(tools: Tools, rehearsal: bool) -> Result<Dream, Trouble> {
    let Tools { operator, pictures, pay, sandbox_pay } = tools;
    require_current(&operator.database).await?;
    let cache = cache(operator.redis.as_ref()).await?;
    let blobs = match pictures {
        Some((storage, base_url)) => blobs(&storage, &base_url).await?,
        None => Arc::new(Inert),
    };
    let mut builder = Dream::builder(operator.settings, operator.database)
        .cache(cache)
        .blobs(blobs)
        .wechat(Arc::new(Inert))
        .image_api(Arc::new(Inert))
        .rehearsal(rehearsal)
        .at_start(AtStart::RequireCurrent);
    let pay = match (pay, sandbox_pay) {
        (None, Some(file)) => Some(sandbox::running_pay(&file)?),
        (pay, _) => pay,
    };
    if let Some(pay) = pay {
        builder = builder.pay(Arc::new(channel(pay)?));
    }
    let (dream, _) = builder.build().await.map_err(start_trouble)?;
    Ok(dream)
}

async fn require_current(database: &DatabaseOptions) -> Result<(), Trouble> {
    require_file(database)?;
    let status = Dream::schema(database).await.map_err(start_trouble)?;
    if status.is_current() { Ok(()) } else { Err(schema_trouble(status)) }
}

/// Why a schema will not do.
pub(crate) fn schema_trouble(status: SchemaStatus) -> Trouble {
    let SchemaStatus { applied, known } = status;
    if applied > known {
        let message = format!("the database is at migration {applied}, but this program knows only {known}");
        Trouble::new(Exit::Refused, "SCHEMA_TOO_NEW", message).hint("run a newer version of it")
    } else {
        let message = format!("the database is at migration {applied}, and {known} is needed");
        Trouble::new(Exit::Refused, "SCHEMA_OUTDATED", message).hint("`dream migrate` brings it there")
    }
}

/// Opening a SQLite database makes it; a command that only looks must not.
pub(crate) fn require_file(database: &DatabaseOptions) -> Result<(), Trouble> {
    match sqlite_path(database.url.expose_secret()) {
        Some(path) if !Path::new(path).exists() => {
            let message = format!("there is no database at {path}");
            Err(Trouble::new(Exit::NotFound, "DATABASE_NOT_FOUND", message)
                .hint("`dream migrate` makes it, and so does `dream serve`"))
        }
        _ => Ok(()),
    }
}

/// The file of a SQLite URL, unless it is in memory.
pub(crate) fn sqlite_path(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("sqlite:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = path.split('?').next().unwrap_or(path);
    (path != ":memory:" && !path.is_empty()).then_some(path)
}
