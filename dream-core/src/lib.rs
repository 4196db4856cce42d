//! The business of an AI image generation service as a typed async library: people log in with WeChat, generate
//! pictures through an upstream API, and pay for VIP and points with WeChat Pay.
//!
//! # A run through it
//!
//! A [`Dream`] is put together from *ports*, the things outside of the business. What a caller may do is a value that
//! it gives out: a [`Guest`] may log in and look around, a [`Session`] may generate and buy, an [`Admin`] may manage.
//! The [`Worker`] does what must follow a commit.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use dream_core::adapters::image_api::{ImageApiConfig, ImageApiHttp};
//! use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
//! use dream_core::adapters::{DiskBlobs, MemoryCache, SystemClock};
//! use dream_core::jobs::GenerateRequest;
//! use dream_core::kernel::{Limit, PageRequest};
//! use dream_core::ports::LoginCode;
//! use dream_core::{BearerToken, DatabaseOptions, Dream, Login, Settings};
//! # fn secret(_: &str) -> secrecy::SecretString { "0123456789abcdef0123456789abcdef".into() }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(SystemClock);
//! let cache = Arc::new(MemoryCache::new(clock.clone()));
//! let wechat = WeChatHttp::new(WeChatConfig::new("wx0123456789abcdef", secret("WECHAT_SECRET")), cache.clone(), clock.clone())?;
//! let image_api = ImageApiHttp::new(&ImageApiConfig::new("https://images.example", secret("KEY")), clock)?;
//!
//! let (dream, worker) = Dream::builder(Settings::new(secret("JWT_SECRET")), DatabaseOptions::new("sqlite://dream.db"))
//!     .cache(cache)
//!     .blobs(Arc::new(DiskBlobs::open("uploads", "https://dream.example/uploads").await?))
//!     .wechat(Arc::new(wechat))
//!     .image_api(Arc::new(image_api))
//!     .build()
//!     .await?;
//! tokio::spawn(async move { worker.run(std::future::pending()).await });
//!
//! let login = Login { code: LoginCode::new("the code of wx.login".into()).map_err(|_| "no code")?, phone: None, nick_name: None, avatar_url: None };
//! let tokens = dream.guest().login(login).await?.tokens;
//!
//! let me = dream.session(&BearerToken::new(tokens.access)).await?;
//! let request = GenerateRequest::new("a small house on a green hill".parse().map_err(|_| "no prompt")?);
//! let accepted = me.generate(&request, None, None).await?;
//! let job = me.await_job(&accepted.job_id, dream_core::jobs::MAX_WAIT).await?;
//! println!("{} {:?}", job.state.as_str(), job.result_urls);
//! # let _ = me.jobs(None, &PageRequest::first(Limit::default())).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where things are
//!
//! | who | what it can do |
//! |---|---|
//! | [`Dream`] | check credentials, listen to [`events`], check the books ([`Dream::audit`]), tell how it is |
//! | [`Guest`] | log in, look at plans ([`vip`]) and [`templates`] |
//! | [`Session`] | generate ([`jobs`]), buy ([`orders`]), spend ([`points`]), and whatever else is one's own |
//! | [`Visitor`] | look at the [`gallery`], signed in or not |
//! | [`Admin`] | manage; every change leaves an [`AuditRecord`] |
//! | [`Worker`] | what must follow a commit |
//! | [`orders::VerifiedPayment`], [`orders::VerifiedRefund`], [`VerifiedWebhook`] | let a signed callback take effect |
//!
//! What lies outside is a trait in [`ports`], and what really talks to it stands in [`adapters`]. Wire protocols that
//! need no network are in [`protocol`]. Whoever only takes WeChat payments needs [`adapters::wechat_pay`] and nothing else.
//!
//! # The examples
//!
//! Nearly every example of these pages runs as a test, in a world of `dream-testkit` in which everything outside is
//! played. There `world` is that world, `alice` and `bob` are signed in, and `me` is the [`Session`] of one of them.
//! `alice.generates("a cat")` asks for a picture, and `world.settle()` lets time pass until nothing is left to do. To
//! have such a world for tests of one's own, see `dream_testkit::world`.
//!
//! # Errors
//!
//! Every method fails with one [`Error`]: a [`Code`] that is stable and machine-readable, [`Facts`] for the client, and
//! a source for the log only. [`Error::is_retryable`] says whether the same call may succeed later.
//!
//! ```
//! use dream_core::{Code, Error, Facts};
//!
//! fn advice(error: &Error) -> String {
//!     match (error.code(), error.facts()) {
//!         (Code::QuotaExceeded, Facts::Quota { points_required, .. }) => format!("it costs {points_required} points"),
//!         _ if error.is_retryable() => "try again later".to_owned(),
//!         (code, _) => code.to_string(),
//!     }
//! }
//!
//! assert_eq!(advice(&Error::new(Code::Unavailable)), "try again later");
//! ```
//!
//! # Dropping a future
//!
//! A state change is one transaction. A future that is dropped before its commit leaves nothing behind; one that is
//! dropped after it has done everything that had to be done at once, and the rest is in the outbox. A change whose
//! answer was lost can be repeated with the same idempotency key where the method takes one.
//!
//! # Features
//!
//! Each makes an adapter available and changes nothing by itself. All are on by default.
//!
//! | feature | adapter | what it needs |
//! |---|---|---|
//! | `wechat` | [`adapters::wechat`]: login, phone numbers, content checks | reqwest |
//! | `wechat-pay` | [`adapters::wechat_pay`]: WeChat Pay API v3 | reqwest, webpki |
//! | `image-api` | [`adapters::image_api`] | reqwest |
//! | `redis` | `adapters::RedisCache` | fred |
//! | `r2` | `adapters::R2Blobs` | aws-sdk-s3 |
//!
//! # Minimum supported Rust version
//!
//! Rust 1.94.1. A later minor version may raise it to a Rust that is at least half a year old.

mod access;
pub mod adapters;
mod admin;
mod audit;
mod auth;
mod blobs;
pub mod characters;
mod dream;
mod error;
pub mod events;
pub mod favorites;
mod format;
pub mod gallery;
mod housekeeping;
mod idempotency;
mod import;
pub mod jobs;
pub mod kernel;
pub mod media;
pub mod orders;
mod outbox;
pub mod points;
pub mod ports;
pub mod protocol;
mod seeds;
mod settings;
mod stats;
mod store;
mod tally;
pub mod templates;
pub mod trace;
pub mod uploads;
mod users;
pub mod vip;

pub use access::{
    Admin, AdminKey, BearerToken, Guest, Session, VerifiedPush, VerifiedWebhook, Visitor, Worker,
};
pub use admin::{AuditFilter, AuditRecord, FreshKey, KeyRecord, UserFilter};
pub use audit::{AuditFinding, AuditReport, AuditRule, Vitals, Watch};
pub use auth::{LoggedIn, Login, LoginRecord, PhoneProof, RefreshToken, Tokens};
pub use blobs::{Missing, Removed, SweepOptions, SweepProgress, SweepReport};
pub use dream::{AtStart, Builder, DependencyHealth, Dream};
pub use error::{Code, Error, Facts, Fault, FieldFault, Format, PictureFault, Result};
pub use import::{
    ImportCount, ImportNews, ImportOptions, ImportReport, OriginalDatabase, Remark, RemarkKind,
    TrustedBalance,
};
pub use outbox::Backlog;
pub use seeds::SeedReport;
pub use settings::{
    AtOnce, ConfiguredAdminKey, Lifetime, QuotaLimit, QuotaLimits, SamplePrices, Settings, UserLimits,
};
pub use stats::{
    AdminStats, Bucket, CategoryCount, Edge, Totals, UsageBucket, UsageQuery, UserOverview, UserStats,
};
pub use store::{
    DatabaseFacts, DatabaseOptions, Durability, OpenError, OpenFailure, SchemaStatus, StoreGate, StorePass,
    StoreStep, StoreTrouble,
};
pub use users::{AvatarUrl, NickName, ProfileUpdate, PublicUser, User, UserEdit, UserExport, UserView};
