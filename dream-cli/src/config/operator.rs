//! The part of the configuration that is about stored state: database, cache, rules of the business.

use std::time::Duration;

use dream_core::adapters::{OsEntropy, RedisConfig};
use dream_core::ports::EntropyExt as _;
use dream_core::{
    AtOnce, ConfiguredAdminKey, DatabaseOptions, QuotaLimit, QuotaLimits, SamplePrices, Settings, UserLimits,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};

use super::environment::Origin;
use super::exposure;
use super::reader::Reader;
use super::table::{
    ADMIN_API_KEY, APP_TIMEZONE, DATABASE_HOST, DATABASE_MAX_CONNECTIONS, DATABASE_NAME, DATABASE_PASSWORD,
    DATABASE_PORT, DATABASE_READ_URL, DATABASE_URL, DATABASE_USERNAME, DELETED_USER_MEMORY_DAYS,
    GENERATION_CONCURRENCY_NORMAL, GENERATION_CONCURRENCY_SVIP, GENERATION_CONCURRENCY_VIP,
    GENERATION_DAILY_LIMIT_NORMAL, GENERATION_DAILY_LIMIT_SVIP, GENERATION_DAILY_LIMIT_VIP,
    GENERATION_MONTHLY_LIMIT_NORMAL, GENERATION_MONTHLY_LIMIT_SVIP, GENERATION_MONTHLY_LIMIT_VIP,
    JOB_DEADLINE_MARGIN_SECS, JWT_EXPIRATION, LOG_FORMAT, LOG_LEVEL, PHOTO_HOSTS, POINT_PRICE_FEN,
    POINTS_PRICE_DRAFT, POINTS_PRICE_FINAL, REDIS_HOST, REDIS_PASSWORD, REDIS_PORT, REDIS_URL,
    REFRESH_EXPIRATION, RUST_LOG, USER_FAVORITES_LIMIT, USER_OPEN_ORDERS_LIMIT, USER_STORAGE_LIMIT_MB,
};
use super::variable::{Variable, without_password};
use super::{LogFormat, Logging, Operator};

/// Stands before every key of ours in Redis.
const REDIS_PREFIX: &str = "dream:";

/// Everything but the secret for tokens, which is given.
pub(super) fn read(reader: &mut Reader<'_>, secret: SecretString) -> Option<Operator> {
    let logging = logging(reader);
    let database = database(reader);
    let redis = redis(reader);
    let settings = settings(reader, secret);
    Some(Operator { database: database?, redis, settings: settings?, logging })
}

/// A secret that ends with this process.
pub(super) fn made_up_secret() -> SecretString {
    SecretString::from(OsEntropy.token())
}

fn logging(reader: &mut Reader<'_>) -> Logging {
    let said = reader.is_set(&RUST_LOG) || reader.is_set(&LOG_LEVEL);
    let (rust_log, level) = (reader.get(&RUST_LOG), reader.get(&LOG_LEVEL));
    let (usual, told) =
        if reader.is_production() { (LogFormat::Json, "json") } else { (LogFormat::Pretty, "pretty") };
    let format = reader.get(&LOG_FORMAT).unwrap_or(usual);
    reader.stands_in(&LOG_FORMAT, Some(told.to_owned()), Origin::Default);
    Logging { filter: rust_log.or(level).filter(|_| said), format }
}

fn database(reader: &mut Reader<'_>) -> Option<DatabaseOptions> {
    let parts = [DATABASE_HOST.spec, DATABASE_USERNAME.spec, DATABASE_PASSWORD.spec, DATABASE_NAME.spec];
    let by_parts = reader.any_set(&parts);
    let given = reader.is_set(&DATABASE_URL);
    let host = reader.get(&DATABASE_HOST);
    let port = reader.get(&DATABASE_PORT);
    let user = reader.get(&DATABASE_USERNAME);
    let password = reader.get(&DATABASE_PASSWORD);
    let name = reader.get(&DATABASE_NAME);
    let read_url = reader.get(&DATABASE_READ_URL);
    let max_connections = reader.get(&DATABASE_MAX_CONNECTIONS);
    let url = reader.get(&DATABASE_URL);
    let url = if given || !by_parts {
        if by_parts {
            reader.note("DATABASE_URL wins: DATABASE_HOST and its kin are not used");
        }
        url?.expose_secret().to_owned()
    } else {
        let why = "beside its kin, or set DATABASE_URL";
        reader.missing(&DATABASE_HOST, why);
        reader.missing(&DATABASE_USERNAME, why);
        reader.missing(&DATABASE_NAME, why);
        let url = postgres_url(&host?, port?, &user?, password.as_ref(), &name?);
        reader.stands_in(&DATABASE_URL, Some(without_password(&url)), Origin::Environment);
        url
    };
    if read_url.is_some() && url.starts_with("sqlite:") {
        reader.fault(DATABASE_READ_URL.spec.name, "needs a database on PostgreSQL");
    }
    Some(DatabaseOptions { read_url, max_connections: max_connections?, ..DatabaseOptions::new(url) })
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A host that is a folder is where the server has its socket.
fn postgres_url(host: &str, port: u16, user: &str, password: Option<&SecretString>, name: &str) -> String {
    let host = if host.starts_with('/') { encoded(host) } else { host.to_owned() };
    let password = password.map(|password| format!(":{}", encoded(password.expose_secret())));
    let (user, name) = (encoded(user), encoded(name));
    format!("postgres://{user}{}@{host}:{port}/{name}", password.unwrap_or_default())
}

fn redis(reader: &mut Reader<'_>) -> Option<RedisConfig> {
    let url = reader.get(&REDIS_URL);
    let host = reader.get(&REDIS_HOST);
    let port = reader.get(&REDIS_PORT);
    let password = reader.get(&REDIS_PASSWORD);
    if url.is_none() && host.is_none() {
        if reader.is_set(&REDIS_PASSWORD) {
            reader.missing(&REDIS_HOST, "beside REDIS_PASSWORD");
        }
        return None;
    }
    let url = match (url, host) {
        (Some(url), _) => url,
        (None, host) => {
            let login = password.map(|password| format!(":{}@", encoded(password.expose_secret())));
            let url = format!("redis://{}{}:{}/0", login.unwrap_or_default(), host?, port?);
            reader.stands_in(&REDIS_URL, Some(without_password(&url)), Origin::Environment);
            SecretString::from(url)
        }
    };
    Some(RedisConfig { url, prefix: REDIS_PREFIX.to_owned() })
}

fn settings(reader: &mut Reader<'_>, secret: SecretString) -> Option<Settings> {
    let access_lifetime = reader.get(&JWT_EXPIRATION);
    let refresh_lifetime = reader.get(&REFRESH_EXPIRATION);
    exposure::lifetimes(reader, access_lifetime.as_ref(), refresh_lifetime.as_ref());
    let normal = limit(reader, &GENERATION_DAILY_LIMIT_NORMAL, &GENERATION_MONTHLY_LIMIT_NORMAL);
    let vip = limit(reader, &GENERATION_DAILY_LIMIT_VIP, &GENERATION_MONTHLY_LIMIT_VIP);
    let svip = limit(reader, &GENERATION_DAILY_LIMIT_SVIP, &GENERATION_MONTHLY_LIMIT_SVIP);
    let at_once = [
        reader.get(&GENERATION_CONCURRENCY_NORMAL),
        reader.get(&GENERATION_CONCURRENCY_VIP),
        reader.get(&GENERATION_CONCURRENCY_SVIP),
    ];
    let limits = [&USER_STORAGE_LIMIT_MB, &USER_OPEN_ORDERS_LIMIT, &USER_FAVORITES_LIMIT];
    let limits = limits.map(|variable| reader.get(variable));
    let (draft, final_) = (reader.get(&POINTS_PRICE_DRAFT), reader.get(&POINTS_PRICE_FINAL));
    let point_price = reader.get(&POINT_PRICE_FEN);
    let zone = reader.get(&APP_TIMEZONE);
    let photo_hosts = reader.get(&PHOTO_HOSTS);
    let job_deadline = reader.get(&JOB_DEADLINE_MARGIN_SECS);
    let memory_days = reader.get(&DELETED_USER_MEMORY_DAYS);
    let mut settings = Settings::new(secret);
    settings.access_lifetime = access_lifetime?;
    settings.refresh_lifetime = refresh_lifetime?;
    settings.quota = QuotaLimits { normal: normal?, vip: vip?, svip: svip? };
    let [normal, vip, svip] = at_once;
    settings.at_once = AtOnce { normal: normal?, vip: vip?, svip: svip? };
    let [megabytes, open_orders, favorites] = limits;
    let some = |limit: i64| (limit > 0).then_some(limit);
    settings.user_limits = UserLimits {
        storage_bytes: some(megabytes?.saturating_mul(1_000_000)),
        open_orders: some(open_orders?),
        favorites: some(favorites?),
    };
    settings.sample_prices = SamplePrices { draft: draft?, final_: final_? };
    settings.point_price = point_price?;
    settings.zone = zone?;
    settings.job_deadline = job_deadline?;
    settings.deleted_user_memory = Duration::from_hours(24 * u64::from(memory_days?));
    settings.photo_hosts = photo_hosts.unwrap_or_default();
    Some(settings)
}

fn limit(reader: &mut Reader<'_>, daily: &Variable<i64>, monthly: &Variable<i64>) -> Option<QuotaLimit> {
    let (daily, monthly) = (reader.get(daily), reader.get(monthly));
    Some(QuotaLimit { daily: daily?, monthly: monthly? })
}

/// The keys of the administration, with a strength that production asks for.
pub(super) fn admin_keys(reader: &mut Reader<'_>) -> Vec<ConfiguredAdminKey> {
    let keys = reader.get(&ADMIN_API_KEY).unwrap_or_default();
    for key in &keys {
        reader.require_unguessable(&ADMIN_API_KEY, key.key.expose_secret(), super::reader::MIN_SECRET);
    }
    keys
}
