//! What an operator may choose. The core reads no environment: whoever builds `Dream` fills this in.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use secrecy::SecretString;

use crate::error::{Fault, Format};
use crate::kernel::{Fen, KeyName, Points, Zone};
use crate::orders::RechargePackage;
use crate::vip::Level;

/// A span of time as the operator wrote it, such as `7d`, which is also how clients are told.
///
/// ```
/// use std::time::Duration;
/// use dream_core::Lifetime;
///
/// let week: Lifetime = "7d".parse().unwrap();
/// assert_eq!((week.span(), week.as_str()), (Duration::from_hours(7 * 24), "7d"));
/// assert_eq!("90".parse::<Lifetime>().unwrap().span(), Duration::from_secs(90), "a bare number is seconds");
/// assert!("0s".parse::<Lifetime>().is_err(), "at least a second");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifetime {
    text: String,
    span: Duration,
}

impl Lifetime {
    /// How long it is.
    ///
    /// ```
    /// use dream_core::Lifetime;
    /// use std::time::Duration;
    ///
    /// assert_eq!("12h".parse::<Lifetime>().unwrap().span(), Duration::from_hours(12));
    /// ```
    pub const fn span(&self) -> Duration {
        self.span
    }

    /// As it was written.
    ///
    /// ```
    /// use dream_core::Lifetime;
    ///
    /// assert_eq!("30m".parse::<Lifetime>().unwrap().as_str(), "30m");
    /// ```
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A number with a unit (`7d`, `12h`, `30m`, `90s`), or a bare number of seconds.
impl FromStr for Lifetime {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        let fault = Fault::Format(Format::Duration);
        let span = if let Ok(secs) = text.parse::<u32>() {
            Duration::from_secs(u64::from(secs))
        } else {
            text.parse::<Span>()
                .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
                .ok()
                .and_then(|span| Duration::try_from(span).ok())
                .ok_or(fault.clone())?
        };
        if span < Duration::from_secs(1) { Err(fault) } else { Ok(Self { text: text.to_owned(), span }) }
    }
}

/// How many samples a level may generate without paying points.
///
/// ```
/// use dream_core::{QuotaLimit, QuotaLimits};
/// use dream_core::vip::Level;
///
/// // Twenty free samples a day for whoever pays nothing, but not more than 200 in a month.
/// let quota = QuotaLimits { normal: QuotaLimit { daily: 20, monthly: 200 }, ..QuotaLimits::default() };
/// assert_eq!(quota.of(Level::Normal).daily, 20);
/// assert_eq!(quota.of(Level::Svip).daily, 1000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaLimit {
    /// Samples a day.
    pub daily: i64,
    /// Samples a month.
    pub monthly: i64,
}

/// Quota limits by level.
///
/// ```
/// use dream_core::QuotaLimits;
/// use dream_core::vip::Level;
///
/// let quota = QuotaLimits::default();
/// assert_eq!([Level::Normal, Level::Vip, Level::Svip].map(|level| quota.of(level).daily), [5, 100, 1000]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Without VIP.
    pub normal: QuotaLimit,
    /// With VIP.
    pub vip: QuotaLimit,
    /// With SVIP.
    pub svip: QuotaLimit,
}

impl QuotaLimits {
    /// The limits of a level.
    ///
    /// ```
    /// use dream_core::QuotaLimits;
    /// use dream_core::vip::Level;
    ///
    /// assert_eq!(QuotaLimits::default().of(Level::Vip).monthly, 3000);
    /// ```
    pub const fn of(&self, level: Level) -> QuotaLimit {
        match level {
            Level::Normal => self.normal,
            Level::Vip => self.vip,
            Level::Svip => self.svip,
        }
    }
}

impl Default for QuotaLimits {
    fn default() -> Self {
        Self {
            normal: QuotaLimit { daily: 5, monthly: 100 },
            vip: QuotaLimit { daily: 100, monthly: 3000 },
            svip: QuotaLimit { daily: 1000, monthly: 30_000 },
        }
    }
}

/// How many generations of one user may be at the image API at once; the others wait in the queue.
///
/// ```
/// use dream_core::AtOnce;
/// use dream_core::vip::Level;
///
/// // An SVIP never waits behind an own generation; whoever has no VIP has one at a time.
/// let at_once = AtOnce { normal: 1, svip: 0, ..AtOnce::default() };
/// assert_eq!(at_once.of(Level::Normal), Some(1));
/// assert_eq!(at_once.of(Level::Svip), None, "any number");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtOnce {
    /// Without VIP; 0 for any number.
    pub normal: u32,
    /// With VIP; 0 for any number.
    pub vip: u32,
    /// With SVIP; 0 for any number.
    pub svip: u32,
}

impl AtOnce {
    /// Any number for everybody.
    pub const UNLIMITED: AtOnce = AtOnce { normal: 0, vip: 0, svip: 0 };

    /// The limit of a level; `None` for any number.
    ///
    /// ```
    /// use dream_core::AtOnce;
    /// use dream_core::vip::Level;
    ///
    /// assert_eq!(AtOnce { vip: 3, ..AtOnce::UNLIMITED }.of(Level::Vip), Some(3));
    /// assert_eq!(AtOnce::UNLIMITED.of(Level::Vip), None);
    /// ```
    pub fn of(&self, level: Level) -> Option<i64> {
        let limit = match level {
            Level::Normal => self.normal,
            Level::Vip => self.vip,
            Level::Svip => self.svip,
        };
        (limit > 0).then_some(limit.into())
    }
}

impl Default for AtOnce {
    fn default() -> Self {
        Self { normal: 2, vip: 5, svip: 10 }
    }
}

/// How much one user may keep at the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserLimits {
    /// Bytes of uploads and of photos of characters together, small copies included; `None` for any number.
    pub storage_bytes: Option<i64>,
    /// Orders that wait for their payment at once; `None` for any number.
    pub open_orders: Option<i64>,
    /// Favorites; `None` for any number.
    pub favorites: Option<i64>,
}

impl UserLimits {
    /// Any number of everything.
    pub const UNLIMITED: UserLimits = UserLimits { storage_bytes: None, open_orders: None, favorites: None };
}

impl Default for UserLimits {
    /// 500 MB, 20 open orders, 5 000 favorites.
    fn default() -> Self {
        Self { storage_bytes: Some(500_000_000), open_orders: Some(20), favorites: Some(5_000) }
    }
}

/// What a sample costs where the quota does not cover it. A 4K sample costs twice as much.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.daily_quota(0), async |world| {
/// use dream_core::kernel::Points;
/// use dream_core::{Facts, SamplePrices};
/// # use dream_testkit::world::draft;
///
/// let prices = SamplePrices::default();
/// assert_eq!((prices.draft, prices.final_), (Points::new(2), Points::new(10)));
///
/// // Three drafts without any quota, and without points.
/// let refused = world.alice().await.generate(&draft("a cat", 3)).await.unwrap_err();
/// assert!(matches!(refused.facts(), Facts::Quota { points_required: 6, points_balance: 0, .. }));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SamplePrices {
    /// In draft mode.
    pub draft: Points,
    /// In final mode.
    pub final_: Points,
}

impl Default for SamplePrices {
    fn default() -> Self {
        Self { draft: Points::new(2), final_: Points::new(10) }
    }
}

/// An admin key from the configuration.
///
/// ```
/// use dream_core::{ConfiguredAdminKey, Settings};
///
/// # let secret = secrecy::SecretString::from("0123456789abcdef0123456789abcdef");
/// let mut settings = Settings::new(secret);
/// settings.admin_keys =
///     vec![ConfiguredAdminKey { name: "ops".parse().unwrap(), key: "a long random key".into() }];
/// assert!(!format!("{:?}", settings.admin_keys).contains("random"), "it can be logged");
/// ```
#[derive(Debug, Clone)]
pub struct ConfiguredAdminKey {
    /// How the audit log names it.
    pub name: KeyName,
    /// The key itself.
    pub key: SecretString,
}

/// What an operator may choose. [`Settings::new`] has the documented defaults.
///
/// ```
/// use dream_core::Settings;
/// use dream_core::kernel::{Fen, Points, Zone};
/// use dream_core::orders::RechargePackage;
///
/// # let secret = secrecy::SecretString::from("0123456789abcdef0123456789abcdef");
/// let mut settings = Settings::new(secret);
/// settings.zone = Zone::named("Europe/Berlin").unwrap();
/// // A point costs 10 fen; a hundred of them together 9 yuan in place of 10.
/// settings.recharge_packages = vec![RechargePackage { points: Points::new(100), price: Fen::new(900) }];
/// assert_eq!(settings.access_lifetime.as_str(), "7d", "what is left out has the documented default");
/// ```
#[derive(Debug, Clone)]
pub struct Settings {
    /// Signs access tokens and cursors; at least 32 bytes.
    pub secret: SecretString,
    /// How long an access token lives.
    pub access_lifetime: Lifetime,
    /// How long a refresh token lives.
    pub refresh_lifetime: Lifetime,
    /// Quota by level.
    pub quota: QuotaLimits,
    /// Generations of one user at once, by level.
    pub at_once: AtOnce,
    /// How much one user may keep.
    pub user_limits: UserLimits,
    /// Points per sample.
    pub sample_prices: SamplePrices,
    /// What one point costs.
    pub point_price: Fen,
    /// Numbers of points that have a price of their own.
    pub recharge_packages: Vec<RechargePackage>,
    /// Where a day of the business begins at midnight.
    pub zone: Zone,
    /// How long an order may be paid.
    pub order_lifetime: Duration,
    /// How long after its first submission a generation may stay open. Then it has failed, and costs nothing. The image
    /// API remembers a submission's key for a day, so it is no longer than that.
    pub job_deadline: Duration,
    /// Whether finished pictures are copied into our storage.
    pub rehost_results: bool,
    /// Whether callers bring an upstream credential of their own.
    pub forward_upstream_auth: bool,
    /// Signs the image API's completion notices; without it they are all refused.
    pub webhook_secret: Option<SecretString>,
    /// Keys that open the administration.
    pub admin_keys: Vec<ConfiguredAdminKey>,
    /// Hosts beside our own storage whose pictures may be an avatar.
    pub avatar_hosts: Vec<String>,
    /// Hosts beside our own storage that a photo of a character may lie at.
    pub photo_hosts: Vec<String>,
    /// Whether what happens is kept for [`crate::Dream::events`]. On every node or on none.
    pub keep_events: bool,
    /// How long before the end of a level it is told of.
    pub vip_notice: Duration,
    /// How long the free quota that a deleted user had used is remembered, under a keyed digest of the openid. Zero: not
    /// at all, and deleting an account begins a new quota.
    pub deleted_user_memory: Duration,
    /// Which shard of the hourly figures this node adds to.
    pub shard: i64,
}

impl Settings {
    /// The documented defaults around the secret.
    pub fn new(secret: SecretString) -> Self {
        let days =
            |n: u64, text: &str| Lifetime { text: text.to_owned(), span: Duration::from_secs(n * 86_400) };
        Self {
            secret,
            access_lifetime: days(7, "7d"),
            refresh_lifetime: days(30, "30d"),
            quota: QuotaLimits::default(),
            at_once: AtOnce::default(),
            user_limits: UserLimits::default(),
            sample_prices: SamplePrices::default(),
            point_price: Fen::new(10),
            recharge_packages: Vec::new(),
            zone: Zone::default(),
            order_lifetime: Duration::from_mins(30),
            job_deadline: Duration::from_hours(1),
            rehost_results: false,
            forward_upstream_auth: false,
            webhook_secret: None,
            admin_keys: Vec::new(),
            // Where WeChat itself keeps avatars.
            avatar_hosts: vec!["thirdwx.qlogo.cn".into(), "wx.qlogo.cn".into(), "mmbiz.qpic.cn".into()],
            photo_hosts: Vec::new(),
            keep_events: false,
            vip_notice: Duration::from_hours(72),
            deleted_user_memory: Duration::from_hours(180 * 24),
            shard: 0,
        }
    }
}
