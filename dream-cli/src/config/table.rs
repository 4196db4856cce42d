//! Every variable there is. Reading, checking, `.env.example` and `docs/configuration.md` all follow this table.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use dream_core::kernel::{Fen, Points, Zone};
use dream_core::{ConfiguredAdminKey, Lifetime};
use dream_http::{Docs, Origins};
use ipnet::IpNet;
use secrecy::SecretString;

use super::parse::{self, Host, LogFormat, Mode, SandboxPart, UpstreamAuth};
use super::variable::{Group, Spec, Variable};

macro_rules! table {
    ($($title:literal { $($name:ident: $type:ty = $variable:expr;)* })*) => {
        $($(pub(crate) const $name: Variable<$type> = $variable.named(stringify!($name));)*)*

        /// All groups, in the order of the documentation.
        pub(crate) const GROUPS: &[Group] =
            &[$(Group { title: $title, variables: &[$($name.spec),*] }),*];
    };
}

table! {
    "Mode and server" {
        APP_ENV: Mode = Variable::new(parse::mode, "`development` or `production`, which refuses weak or missing \
            secrets and the sandbox. `.env` is read in development only")
            .or("development").also(&["NODE_ENV"]);
        SANDBOX_PARTS: Vec<SandboxPart> = Variable::new(parse::sandbox_parts, "The services that the sandbox plays in \
            development although others are real, comma-separated: `wechat`, `wechat-pay`, `image-api`. Without it, \
            such a mixture is refused. A service on this machine does not count as real");
        PORT: u16 = Variable::new(parse::port, "Port to listen on; 0 for any free one").or("3000");
        HOST: Host = Variable::new(parse::host, "Address to listen on").or("0.0.0.0");
        REUSE_PORT: bool = Variable::new(parse::switch, "Whether another process may listen on the same port \
            (`SO_REUSEPORT`), so that a new one starts before the old one stops").or("false");
        DRAIN_NOTICE: Duration = Variable::new(parse::notice, "Seconds between the announcement that it stops, by \
            `/health/ready` and `Connection: close`, and the end of accepting, for proxies to notice").or("0");
        BASE_URL: String = Variable::new(parse::http_url, "Where clients reach the server: absolute URLs of \
            uploads begin with it").otherwise("http://localhost:$PORT");
        CORS_ORIGIN: Origins = Variable::new(parse::origins, "Origins whose pages may read answers, \
            comma-separated; `*` for any, without credentials").or("*");
        API_DOCS: Docs = Variable::new(parse::docs, "Who may read `/api/docs` and `/api/docs-json`: `open` for \
            everybody, `admin` for whoever sends an admin key in `X-Admin-Key`, `off` for nobody").or("open");
        TRUSTED_PROXIES: Vec<IpNet> = Variable::new(parse::networks, "Addresses or networks, comma-separated, of \
            proxies whose `X-Forwarded-For` counts");
        THROTTLE_TTL: u32 = Variable::new(parse::count, "Seconds in which THROTTLE_LIMIT requests are allowed, per \
            user, else per client address; 0 turns the limit off").or("60");
        THROTTLE_LIMIT: u32 = Variable::new(parse::count, "Requests allowed in THROTTLE_TTL seconds; 0 for any \
            number").or("100");
        THROTTLE_LIMIT_LOGIN: u32 = Variable::new(parse::count, "Logins among them; 0 for no limit of their own")
            .or("30");
        THROTTLE_LIMIT_PAY: u32 = Variable::new(parse::count, "Orders and payments among them; 0 for no limit of \
            their own").or("30");
        THROTTLE_LIMIT_GENERATE: u32 = Variable::new(parse::count, "Generations among them; 0 for no limit of \
            their own").or("60");
        THROTTLE_LIMIT_FILES: u32 = Variable::new(parse::count, "Stored pictures under /uploads/, counted apart from all \
            others; 0 to count them among the others").or("1200");
        THROTTLE_LIMIT_PUBLIC: u32 = Variable::new(parse::count, "Reads of public lists, pictures and templates by \
            callers who are not signed in, per client address and counted apart from all others; 0 to count them among \
            the others").or("3000");
        CONNECTIONS_PER_ADDRESS: u32 = Variable::new(parse::count, "Connections of one client address at once, \
            trusted proxies excepted; 0 for any number").or("2000");
        THROTTLE_LIMIT_ADMIN_KEY: u32 = Variable::new(parse::count, "Admin keys that open nothing, from one client \
            address, in THROTTLE_TTL seconds; 0 for no limit of their own").or("30");
    }
    "Database and cache" {
        DATABASE_URL: SecretString = Variable::new(parse::database_url, "`sqlite://…` or `postgres://…`; wins over \
            the five below").or("sqlite://dream-data/dream.db").holds_password();
        DATABASE_HOST: String = Variable::new(parse::text, "PostgreSQL's host, or the folder of its socket");
        DATABASE_PORT: u16 = Variable::new(parse::port, "PostgreSQL's port").or("5432");
        DATABASE_USERNAME: String = Variable::new(parse::text, "PostgreSQL's user");
        DATABASE_PASSWORD: SecretString = Variable::new(parse::secret, "PostgreSQL's password").secret();
        DATABASE_NAME: String = Variable::new(parse::text, "PostgreSQL's database");
        DATABASE_READ_URL: SecretString = Variable::new(parse::postgres_url, "A PostgreSQL replica for public \
            reads, which may be a moment behind").holds_password();
        DATABASE_MAX_CONNECTIONS: u32 = Variable::new(parse::positive, "Connections at most").or("16");
        REDIS_URL: SecretString = Variable::new(parse::redis_url, "`redis://…`, `rediss://…` or `redis+unix://…`: \
            what nodes share; wins over the three below").otherwise("in this process").holds_password();
        REDIS_HOST: String = Variable::new(parse::text, "Redis' host");
        REDIS_PORT: u16 = Variable::new(parse::port, "Redis' port").or("6379");
        REDIS_PASSWORD: SecretString = Variable::new(parse::secret, "Redis' password").secret();
    }
    "Tokens and administration" {
        JWT_SECRET: SecretString = Variable::new(parse::jwt_secret, "Signs tokens and cursors: at least 32 bytes")
            .otherwise("random in development").secret();
        JWT_EXPIRATION: Lifetime = Variable::new(parse::lifetime, "How long an access token lives").or("7d");
        REFRESH_EXPIRATION: Lifetime = Variable::new(parse::lifetime, "How long a refresh token lives").or("30d");
        ADMIN_API_KEY: Vec<ConfiguredAdminKey> = Variable::new(parse::admin_keys, "Opens the administration: `key` \
            or `name:key,name:key`. Without it every admin call is refused").secret();
    }
    "WeChat" {
        WECHAT_APPID: String = Variable::new(parse::text, "The mini-program's id").otherwise("sandbox");
        WECHAT_SECRET: SecretString = Variable::new(parse::secret, "The mini-program's `AppSecret`")
            .otherwise("sandbox").secret();
        WECHAT_API_BASE_URL: String = Variable::new(parse::http_url, "Where WeChat answers")
            .or("https://api.weixin.qq.com");
        WECHAT_PUSH_TOKEN: SecretString = Variable::new(parse::secret, "The console's Token of the message push")
            .secret();
        WECHAT_PUSH_AES_KEY: SecretString = Variable::new(parse::push_key, "The console's EncodingAESKey of the \
            message push").secret();
    }
    "WeChat Pay" {
        WECHAT_PAY_MCH_ID: String = Variable::new(parse::text, "The merchant's number").otherwise("sandbox");
        WECHAT_PAY_API_V3_KEY: SecretString = Variable::new(parse::secret, "The API v3 key: 32 bytes")
            .also(&["WECHAT_PAY_KEY"]).secret();
        WECHAT_PAY_SERIAL_NO: String = Variable::new(parse::text, "Serial number of the merchant's certificate");
        WECHAT_PAY_PRIVATE_KEY: SecretString = Variable::new(parse::secret, "The merchant's private key in PEM; \
            line ends may be written as `\\n`").secret();
        WECHAT_PAY_PRIVATE_KEY_PATH: PathBuf = Variable::new(parse::path, "The file it is in \
            (`apiclient_key.pem`)");
        WECHAT_PAY_PUBLIC_KEY_ID: String = Variable::new(parse::text, "Id of the platform's public key, \
            `PUB_KEY_ID_…`").otherwise("certificates are downloaded");
        WECHAT_PAY_PUBLIC_KEY: String = Variable::new(parse::text, "The platform's public key in PEM");
        WECHAT_PAY_PUBLIC_KEY_PATH: PathBuf = Variable::new(parse::path, "The file it is in");
        WECHAT_PAY_NOTIFY_URL: String = Variable::new(parse::http_url, "Where payments are announced")
            .otherwise("$BASE_URL/v1/orders/payment-callback");
        WECHAT_PAY_BASE_URL: String = Variable::new(parse::http_url, "Where WeChat Pay answers")
            .otherwise("https://api.mch.weixin.qq.com, then https://api2.mch.weixin.qq.com");
    }
    "Image API" {
        THIRD_PARTY_API_BASE_URL: String = Variable::new(parse::http_url, "Where the image API answers")
            .otherwise("sandbox");
        THIRD_PARTY_API_KEY: SecretString = Variable::new(parse::secret, "The operator's key").otherwise("sandbox")
            .secret();
        THIRD_PARTY_AUTH: UpstreamAuth = Variable::new(parse::upstream_auth, "`service`: calls are made with our \
            key; `forward`: with the caller's `X-Upstream-Authorization`, and whoever sends none is refused")
            .or("service");
        THIRD_PARTY_WEBHOOK_SECRET: SecretString = Variable::new(parse::secret, "Signs completion notices; without \
            it they are refused and jobs are followed by asking alone").secret();
        THIRD_PARTY_TIMEOUT: Duration = Variable::new(parse::seconds, "Seconds that one call may take").or("30");
        THIRD_PARTY_RPM: u32 = Variable::new(parse::count, "Requests a minute at most; 0 for no limit of ours")
            .or("0");
        THIRD_PARTY_CONCURRENCY: u32 = Variable::new(parse::count, "Requests at once at most; 0 for no limit of \
            ours").or("0");
        JOB_DEADLINE_MARGIN_SECS: Duration = Variable::new(parse::up_to_a_day, "Seconds after which a generation \
            that was submitted and has not ended has failed; what it took comes back").or("3600");
        RESULTS_REHOST: bool = Variable::new(parse::switch, "Whether finished pictures are copied into our storage")
            .or("false");
    }
    "Storage" {
        R2_ACCOUNT_ID: String = Variable::new(parse::text, "The Cloudflare account").otherwise("local disk");
        R2_ACCESS_KEY_ID: String = Variable::new(parse::text, "Names the key");
        R2_SECRET_ACCESS_KEY: SecretString = Variable::new(parse::secret, "The key").secret();
        R2_BUCKET_NAME: String = Variable::new(parse::text, "The bucket");
        R2_PUBLIC_URL: String = Variable::new(parse::http_url, "Under which anybody can read the objects")
            .also(&["R2_PUBLIC_BASE_URL"]);
        R2_ENDPOINT: String = Variable::new(parse::http_url, "The S3 API of the bucket")
            .otherwise("derived from R2_ACCOUNT_ID");
        PHOTO_HOSTS: Vec<String> = Variable::new(parse::hosts, "Hosts beside our own storage whose pictures may be \
            photos of characters, such as `photos.example.com,cdn.example.com`").otherwise("none");
        UPLOAD_DIR: PathBuf = Variable::new(parse::path, "Folder for pictures where R2 is not configured")
            .or("dream-data/uploads");
    }
    "Business" {
        GENERATION_DAILY_LIMIT_NORMAL: i64 = Variable::new(parse::amount, "Samples a day without VIP").or("5");
        GENERATION_DAILY_LIMIT_VIP: i64 = Variable::new(parse::amount, "Samples a day with VIP").or("100");
        GENERATION_DAILY_LIMIT_SVIP: i64 = Variable::new(parse::amount, "Samples a day with SVIP").or("1000");
        GENERATION_MONTHLY_LIMIT_NORMAL: i64 = Variable::new(parse::amount, "Samples a month without VIP")
            .or("100");
        GENERATION_MONTHLY_LIMIT_VIP: i64 = Variable::new(parse::amount, "Samples a month with VIP").or("3000");
        GENERATION_MONTHLY_LIMIT_SVIP: i64 = Variable::new(parse::amount, "Samples a month with SVIP")
            .or("30000");
        DELETED_USER_MEMORY_DAYS: u32 = Variable::new(parse::memory_days, "For how many days the free quota that a \
            deleted user had used is remembered, under a keyed digest of the openid; 0 not at all").or("180");
        GENERATION_CONCURRENCY_NORMAL: u32 = Variable::new(parse::count, "Generations of one user without VIP at the \
            image API at once, the others wait; 0 for any number").or("2");
        GENERATION_CONCURRENCY_VIP: u32 = Variable::new(parse::count, "The same with VIP").or("5");
        GENERATION_CONCURRENCY_SVIP: u32 = Variable::new(parse::count, "The same with SVIP").or("10");
        USER_STORAGE_LIMIT_MB: i64 = Variable::new(parse::amount, "Megabytes (of 1 000 000 bytes) that the uploads and \
            character photos of one user may take; 0 for any number").or("500");
        USER_OPEN_ORDERS_LIMIT: i64 = Variable::new(parse::amount, "Unpaid orders of one user that may be open at \
            once; 0 for any number").or("20");
        USER_FAVORITES_LIMIT: i64 = Variable::new(parse::amount, "Favorites of one user; 0 for any number")
            .or("5000");
        POINTS_PRICE_DRAFT: Points = Variable::new(parse::points, "Points for a draft sample beyond the quota; \
            twice as many at 4K").or("2");
        POINTS_PRICE_FINAL: Points = Variable::new(parse::points, "Points for a final sample beyond the quota; \
            twice as many at 4K").or("10");
        POINT_PRICE_FEN: Fen = Variable::new(parse::price, "What one point costs, in fen").or("10");
        APP_TIMEZONE: Zone = Variable::new(parse::zone, "Where a day of the business begins at midnight")
            .or("Asia/Shanghai");
    }
    "Watching" {
        RUST_LOG: String = Variable::new(parse::log_filter, "As LOG_LEVEL, which it wins over");
        LOG_LEVEL: String = Variable::new(parse::log_filter, "`error`, `warn`, `info`, `debug`, `trace`, or a \
            filter such as `info,dream_core=debug`").or("info");
        LOG_FORMAT: LogFormat = Variable::new(parse::log_format, "`pretty` or `json`")
            .otherwise("pretty in development, json in production");
        OTEL_EXPORTER_OTLP_ENDPOINT: String = Variable::new(parse::http_url, "Where spans are sent, by OTLP over HTTP, \
            such as `http://127.0.0.1:4318`; `/v1/traces` is added").otherwise("no spans are made");
        OTEL_EXPORTER_OTLP_HEADERS: Vec<(String, SecretString)> = Variable::new(parse::headers, "Headers that go \
            along, `name=value`, comma-separated, values percent-encoded").secret();
        OTEL_SERVICE_NAME: String = Variable::new(parse::text, "What the server is called there").or("dream");
        METRICS_ADDR: SocketAddr = Variable::new(parse::address, "Address and port of `/metrics` alone, such as \
            `127.0.0.1:9100`").otherwise("the main port, for this machine only");
    }
}

/// The variable of this name, or the one that reads it too.
pub(crate) fn spec(name: &str) -> Option<&'static Spec> {
    let all = GROUPS.iter().flat_map(|group| group.variables);
    all.into_iter().find(|spec| spec.name == name || spec.aliases.contains(&name))
}
