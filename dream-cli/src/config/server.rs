//! The whole configuration of `serve`.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use dream_core::Settings;
use dream_core::adapters::R2Config;
use dream_http::{ClassLimits, Limits, Origins, ThrottleRule};
use secrecy::{ExposeSecret as _, SecretString};

use super::environment::Origin;
use super::exposure::{self, Service};
use super::parse::{MIN_JWT_SECRET, SandboxPart, UpstreamAuth, guessable};
use super::reader::Reader;
use super::table::{
    API_DOCS, BASE_URL, CONNECTIONS_PER_ADDRESS, CORS_ORIGIN, DRAIN_NOTICE, HOST, JWT_SECRET, METRICS_ADDR,
    OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME, PORT, R2_ACCESS_KEY_ID,
    R2_ACCOUNT_ID, R2_BUCKET_NAME, R2_ENDPOINT, R2_PUBLIC_URL, R2_SECRET_ACCESS_KEY, RESULTS_REHOST,
    REUSE_PORT, SANDBOX_PARTS, THIRD_PARTY_API_BASE_URL, THIRD_PARTY_AUTH, THROTTLE_LIMIT,
    THROTTLE_LIMIT_ADMIN_KEY, THROTTLE_LIMIT_FILES, THROTTLE_LIMIT_GENERATE, THROTTLE_LIMIT_LOGIN,
    THROTTLE_LIMIT_PAY, THROTTLE_LIMIT_PUBLIC, THROTTLE_TTL, TRUSTED_PROXIES, UPLOAD_DIR,
    WECHAT_API_BASE_URL, WECHAT_PAY_MCH_ID,
};
use super::{Collector, Config, Mode, Need, Storage, Tools, operator, outside};

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Config> {
    let (secret, secret_made_up) = secret(reader);
    let operator = operator::read(reader, secret);
    let admin_keys = operator::admin_keys(reader);
    let http = http(reader);
    let base_url = reader.get(&BASE_URL);
    let https = base_url.as_deref().is_some_and(|url| url.starts_with("https://"));
    let http = http.map(|http| dream_http::Settings { https, ..http });
    let port = http.as_ref().map_or(0, |http| http.listen.port());
    reader.stands_in(&BASE_URL, Some(format!("http://localhost:{port}")), Origin::Default);
    let storage = storage(reader);
    let wechat = outside::wechat(reader);
    let image_api = outside::image_api(reader);
    let pay = outside::pay(reader, wechat.as_ref(), base_url.as_deref());
    let rehost = reader.get(&RESULTS_REHOST);
    let auth = reader.get(&THIRD_PARTY_AUTH);
    let collector = collector(reader);
    let parts = reader.get(&SANDBOX_PARTS);
    exposure::base_url(reader, base_url.as_deref(), matches!(storage, Some(Storage::Disk(_))));
    let (wechat_url, image_api_url) = (
        wechat.as_ref().map(|access| access.client.base_url.as_str()),
        image_api.as_ref().map(|access| access.client.base_url.as_str()),
    );
    exposure::encrypted(reader, &WECHAT_API_BASE_URL, wechat_url);
    exposure::encrypted(reader, &THIRD_PARTY_API_BASE_URL, image_api_url);
    if reader.is_faultless() {
        let pay_url = pay.as_ref().and_then(|access| access.client.base_urls.first());
        let bucket = match &storage {
            Some(Storage::R2(bucket)) => Some(bucket.endpoint.as_str()),
            _ => None,
        };
        let services = [
            Service { name: "WeChat", part: Some(SandboxPart::WeChat), url: wechat_url },
            Service {
                name: "WeChat Pay",
                part: Some(SandboxPart::WeChatPay),
                url: pay_url.map(String::as_str),
            },
            Service { name: "the image API", part: Some(SandboxPart::ImageApi), url: image_api_url },
            Service { name: "R2", part: None, url: bucket },
        ];
        exposure::mixture(reader, &services, parts.as_deref());
    }
    let mut operator = operator?;
    operator.settings.admin_keys = admin_keys;
    finish(&mut operator.settings, rehost?, auth?, image_api.as_ref());
    let mode = reader.mode();
    Some(Config {
        mode,
        operator,
        http: http?,
        base_url,
        storage: storage?,
        wechat,
        image_api,
        pay,
        collector,
        secret_made_up,
    })
}

fn collector(reader: &mut Reader<'_>) -> Option<Collector> {
    let endpoint = reader.get(&OTEL_EXPORTER_OTLP_ENDPOINT);
    let headers = reader.get(&OTEL_EXPORTER_OTLP_HEADERS).unwrap_or_default();
    exposure::encrypted(reader, &OTEL_EXPORTER_OTLP_ENDPOINT, endpoint.as_deref());
    let service = reader.get(&OTEL_SERVICE_NAME);
    Some(Collector { endpoint: endpoint?, headers, service: service? })
}

/// What one command needs of it.
pub(super) fn tools(reader: &mut Reader<'_>, need: Need) -> Option<Tools> {
    let operator = operator::read(reader, operator::made_up_secret());
    let given_url = reader.get(&BASE_URL);
    let pictures = if need.pictures {
        let (port, storage) = (reader.get(&PORT), storage(reader));
        let url = given_url.clone().or_else(|| port.map(|port| format!("http://localhost:{port}")));
        Some((storage?, url?))
    } else {
        None
    };
    let uploads = reader.get(&UPLOAD_DIR);
    let operator = operator?;
    let played = need.payments && outside::plays_pay(reader);
    let pay = if need.payments && !played { payments(reader, given_url.as_deref()) } else { None };
    let sandbox_pay = played.then(|| super::sandbox_state(&operator.database, uploads.as_deref()));
    Some(Tools { operator, pictures, pay, sandbox_pay })
}

fn payments(reader: &mut Reader<'_>, our_url: Option<&str>) -> Option<outside::PayAccess> {
    let wechat = outside::wechat(reader);
    let pay = outside::pay(reader, wechat.as_ref(), our_url);
    if pay.is_none() {
        reader.missing(&WECHAT_PAY_MCH_ID, "with the other variables of WeChat Pay, which the command asks");
    }
    pay
}

fn finish(
    settings: &mut Settings,
    rehost: bool,
    auth: UpstreamAuth,
    image_api: Option<&outside::ImageApiAccess>,
) {
    settings.rehost_results = rehost;
    settings.forward_upstream_auth = auth == UpstreamAuth::Forward;
    settings.webhook_secret = image_api.and_then(|access| access.webhook_secret.clone());
}

/// The secret for tokens, and whether it was made up.
fn secret(reader: &mut Reader<'_>) -> (SecretString, bool) {
    if let Some(secret) = reader.get(&JWT_SECRET) {
        reader.require_strong(&JWT_SECRET, secret.expose_secret(), MIN_JWT_SECRET);
        if let Some(problem) = guessable(secret.expose_secret()) {
            reader.warn_in_production(format!("JWT_SECRET {problem}"));
        }
        return (secret, false);
    }
    if reader.mode() == Mode::Production {
        reader.missing(&JWT_SECRET, "in production: make one with `openssl rand -base64 48`");
    } else {
        reader.stands_in(&JWT_SECRET, Some("********".to_owned()), Origin::MadeUp);
    }
    (operator::made_up_secret(), true)
}

/// Where to listen.
pub(super) fn listening(reader: &mut Reader<'_>) -> Option<SocketAddr> {
    let (host, port) = (reader.get(&HOST), reader.get(&PORT));
    Some(SocketAddr::new(host?, port?))
}

fn http(reader: &mut Reader<'_>) -> Option<dream_http::Settings> {
    let listen = listening(reader);
    let (reuse_port, drain_notice) = (reader.get(&REUSE_PORT), reader.get(&DRAIN_NOTICE));
    let metrics_listen = reader.get(&METRICS_ADDR);
    let trusted_proxies = reader.get(&TRUSTED_PROXIES);
    let docs = reader.get(&API_DOCS);
    let origins = reader.get(&CORS_ORIGIN);
    let (period, limit) = (reader.get(&THROTTLE_TTL), reader.get(&THROTTLE_LIMIT));
    let class_limits = [
        &THROTTLE_LIMIT_LOGIN,
        &THROTTLE_LIMIT_PAY,
        &THROTTLE_LIMIT_GENERATE,
        &THROTTLE_LIMIT_FILES,
        &THROTTLE_LIMIT_PUBLIC,
        &THROTTLE_LIMIT_ADMIN_KEY,
    ];
    let [login, pay, generate, files, public, admin_key] =
        class_limits.map(|limit| reader.get(limit).map(NonZeroU32::new));
    let connections_per_address = reader.get(&CONNECTIONS_PER_ADDRESS);
    if origins == Some(Origins::Any) {
        reader.warn_in_production(
            "CORS_ORIGIN is *: pages of any origin may read answers, without credentials",
        );
    }
    if period == Some(0) || limit == Some(0) {
        reader.warn_in_production("THROTTLE_TTL or THROTTLE_LIMIT is 0: there is no limit of requests");
    }
    exposure::trusted_proxies(reader, trusted_proxies.as_deref().unwrap_or_default());
    Some(dream_http::Settings {
        listen: listen?,
        reuse_port: reuse_port?,
        metrics_listen,
        trusted_proxies: trusted_proxies.unwrap_or_default(),
        docs: docs?,
        origins: origins?,
        throttle: throttle(period?, limit?),
        class_limits: ClassLimits {
            login: login?,
            pay: pay?,
            generate: generate?,
            files: files?,
            public: public?,
            admin_key: admin_key?,
        },
        limits: limits(drain_notice?, connections_per_address?),
        ..dream_http::Settings::default()
    })
}

fn limits(drain_notice: Duration, connections_per_address: u32) -> Limits {
    let connections_per_address = match usize::try_from(connections_per_address) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(count) => count,
    };
    Limits { drain_notice, connections_per_address, ..Limits::default() }
}

fn throttle(period_secs: u32, limit: u32) -> Option<ThrottleRule> {
    let period = Duration::from_secs(period_secs.into());
    NonZeroU32::new(limit).filter(|_| period_secs > 0).map(|limit| ThrottleRule { limit, period })
}

fn storage(reader: &mut Reader<'_>) -> Option<Storage> {
    let account = reader.get(&R2_ACCOUNT_ID);
    let key_id = reader.get(&R2_ACCESS_KEY_ID);
    let key = reader.get(&R2_SECRET_ACCESS_KEY);
    let bucket = reader.get(&R2_BUCKET_NAME);
    let public_url = reader.get(&R2_PUBLIC_URL);
    let endpoint = reader.get(&R2_ENDPOINT);
    let folder = reader.get(&UPLOAD_DIR);
    let specs = [
        R2_ACCOUNT_ID.spec,
        R2_ACCESS_KEY_ID.spec,
        R2_SECRET_ACCESS_KEY.spec,
        R2_BUCKET_NAME.spec,
        R2_PUBLIC_URL.spec,
        R2_ENDPOINT.spec,
    ];
    if !reader.any_set(&specs) {
        return folder.map(Storage::Disk);
    }
    let why = "beside the other variables of R2";
    reader.missing(&R2_ACCESS_KEY_ID, why);
    reader.missing(&R2_SECRET_ACCESS_KEY, why);
    reader.missing(&R2_BUCKET_NAME, why);
    reader.missing(&R2_PUBLIC_URL, why);
    if endpoint.is_none() {
        reader.missing(&R2_ACCOUNT_ID, "beside the other variables of R2, or R2_ENDPOINT");
    }
    exposure::encrypted(reader, &R2_ENDPOINT, endpoint.as_deref());
    let derived = account.as_deref().map(R2Config::endpoint_of_account);
    reader.stands_in(&R2_ENDPOINT, derived.clone(), Origin::Default);
    Some(Storage::R2(R2Config {
        endpoint: endpoint.or(derived)?,
        bucket: bucket?,
        access_key_id: key_id?,
        secret_access_key: key?,
        public_url: public_url?,
    }))
}
