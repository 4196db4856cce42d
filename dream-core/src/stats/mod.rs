//! Figures that are kept as things happen, so that reading them never scans a table.

mod rules;
mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::access::{Admin, Guest, Session};
use crate::dream::Core;
use crate::error::{Code, Result};
use crate::jobs::quota::{Quota, usage};
use crate::kernel::{Day, Fen, Points, Timestamp, UserId};
use crate::settings::Settings;
use crate::store::{Db, Tx};
use crate::users::User;
use crate::{jobs, orders, points, users, vip};

use store::Grain;
pub(crate) use store::{
    Delta, UserDelta, add_images, add_to_user, counters, open, release_storage, take_storage,
};

/// An hour is kept apart by connections and nodes until it has been over for this long.
const SETTLES_AFTER: Duration = Duration::from_hours(1);
/// Who was there is known for this long, since somebody is new only once a day.
const KEEP_ACTIVITY: Duration = Duration::from_hours(72);
/// How many categories a user is shown.
const TOP_CATEGORIES: i64 = 5;

/// What a user's page shows.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # let alice = world.alice().await;
/// alice.generates("a cat").await;
/// let (user, stats) = alice.session().await.stats().await?;
/// assert_eq!((user.id, stats.total_generations, stats.total_orders), (alice.id(), 1, 0));
/// assert_eq!(stats.quota.remaining(), 4, "samples today");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserStats {
    /// Orders made.
    pub total_orders: i64,
    /// Favorites kept.
    pub total_favorites: i64,
    /// Generations accepted.
    pub total_generations: i64,
    /// What may be generated today.
    pub quota: Quota,
}

/// A user's figures at length.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # let alice = world.alice().await;
/// # for prompt in ["one", "two", "[fail] three"] { alice.generates(prompt).await; }
/// # world.settle().await;
/// let figures = alice.session().await.overview().await?;
/// assert_eq!((figures.images, figures.succeeded, figures.failed), (2, 2, 1));
/// assert_eq!(figures.success_permille(), 666, "in a thousand");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserOverview {
    /// Whose.
    pub user: UserId,
    /// Orders made.
    pub orders: i64,
    /// Favorites kept.
    pub favorites: i64,
    /// Entries of the ledger.
    pub transactions: i64,
    /// Points ever earned.
    pub earned: Points,
    /// Points ever spent, whether given back or not.
    pub spent: Points,
    /// Points that can be spent.
    pub balance: Points,
    /// Pictures received.
    pub images: i64,
    /// Generations that ended with pictures.
    pub succeeded: i64,
    /// Generations that failed. Those that were taken back count as neither.
    pub failed: i64,
    /// Pictures received today and on the six days before.
    pub images_of_week: i64,
    /// Pictures received today and on the 29 days before.
    pub images_of_month: i64,
    /// The kinds of templates that most pictures were made from, most first.
    pub top_categories: Vec<CategoryCount>,
}

impl UserOverview {
    /// How many of a thousand generations that ended did so with pictures; 0 if none has ended.
    pub const fn success_permille(&self) -> i64 {
        let ended = self.succeeded + self.failed;
        if ended == 0 { 0 } else { self.succeeded * 1000 / ended }
    }
}

/// A category and how many pictures are of it.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// # use dream_core::jobs::GenerateRequest;
/// # let alice = world.alice().await;
/// # let mut request = GenerateRequest::new("a quiet lake".parse().unwrap());
/// # request.template = Some("landscape_mist".parse().unwrap());
/// # alice.generate(&request).await?;
/// # world.settle().await;
/// // One picture was made from the template `landscape_mist`.
/// let top = alice.session().await.overview().await?.top_categories;
/// assert_eq!((top[0].name.as_str(), top[0].count), ("landscape", 1));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryCount {
    /// Its name.
    pub name: String,
    /// Pictures.
    pub count: i64,
}

/// What there is in all.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// world.alice().await;
/// world.user("bob").await;
/// let totals = world.nobody().totals().await?;
/// assert_eq!((totals.users, totals.images, totals.earned), (2, 0, 0));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Users whose accounts exist.
    pub users: i64,
    /// Orders ever made.
    pub orders: i64,
    /// Pictures ever generated.
    pub images: i64,
    /// Favorites kept.
    pub favorites: i64,
    /// Points ever earned by anybody.
    pub earned: i64,
    /// Points ever spent by anybody, whether given back or not.
    pub spent: i64,
}

/// What an admin sees first.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// # use dream_core::orders::{RechargePoints, WECHAT};
/// # let alice = world.alice().await;
/// # let me = alice.session().await;
/// # let placed = me.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
/// # world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
/// # world.settle().await;
/// # me.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
/// let stats = world.admin().await.stats().await?;
/// assert_eq!((stats.today_new_users, stats.today_revenue.get()), (1, 500), "5 yuan");
/// assert_eq!(stats.pending_orders, 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminStats {
    /// What there is in all.
    pub totals: Totals,
    /// Users with a level above the normal one now.
    pub vip_users: i64,
    /// Users who came today.
    pub today_new_users: i64,
    /// What was paid today, before any refund.
    pub today_revenue: Fen,
    /// Orders that wait for their payment.
    pub pending_orders: i64,
    /// Generations that have not ended.
    pub running_jobs: i64,
}

/// How long a bucket is.
///
/// ```
/// use dream_core::Bucket;
///
/// assert_eq!(Bucket::parse("hour"), Some(Bucket::Hour));
/// assert_eq!((Bucket::Day.most(), Bucket::Hour.most()), (366, 744), "of one answer");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bucket {
    /// A day of the business's zone.
    #[default]
    Day,
    /// An hour.
    Hour,
}

/// Where a span of time begins or ends.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::{Edge, UsageQuery};
///
/// let admin = world.admin().await;
/// let today = world.dream().settings().zone.day(world.now());
/// // A day is part of the span at both of its ends.
/// let query = UsageQuery {
///     from: Some(Edge::On(today.minus(6))),
///     to: Some(Edge::On(today)),
///     ..UsageQuery::default()
/// };
/// assert_eq!(admin.usage(&query).await?.len(), 7);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// With this day of the business's zone, which is part of the span.
    On(Day),
    /// At this instant, which is part of the span if it begins there, and not if it ends there.
    At(Timestamp),
}

/// Which time usage is asked of.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::{Bucket, Code, Edge, UsageQuery};
///
/// let admin = world.admin().await;
/// assert_eq!(admin.usage(&UsageQuery::default()).await?.len(), 30, "days, today included");
///
/// let backwards = UsageQuery {
///     from: Some(Edge::At(world.now().plus_days(1))),
///     to: Some(Edge::At(world.now())),
///     bucket: Bucket::Hour,
/// };
/// assert_eq!(admin.usage(&backwards).await.unwrap_err().code(), Code::ValidationFailed);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageQuery {
    /// From when; 30 days or 24 hours before the end unless said otherwise. The whole bucket that it lies in counts.
    pub from: Option<Edge>,
    /// Until when; now unless said otherwise. The whole bucket that it lies in counts.
    pub to: Option<Edge>,
    /// In days or in hours.
    pub bucket: Bucket,
}

/// What happened in a day or an hour.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::{Bucket, UsageQuery};
///
/// world.alice().await.generates("a cat").await;
/// world.settle().await;
/// let hours =
///     world.admin().await.usage(&UsageQuery { bucket: Bucket::Hour, ..UsageQuery::default() }).await?;
/// let generations: i64 = hours.iter().map(|hour| hour.generations).sum();
/// let newest = hours.last().ok_or("every hour is there, also the empty ones")?;
/// assert_eq!((generations, newest.new_users, newest.revenue.get()), (1, 1, 0));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageBucket {
    /// When it begins.
    pub at: Timestamp,
    /// The day of the business's zone that it is or lies in.
    pub day: Day,
    /// The hour of that day as clocks in the zone show it, from 0; `None` for a whole day.
    pub hour: Option<u8>,
    /// Users who came for the first time.
    pub new_users: i64,
    /// Users who logged in, or did something of their own.
    pub active_users: i64,
    /// Generations accepted.
    pub generations: i64,
    /// Generations that ended with pictures.
    pub succeeded: i64,
    /// Generations that failed.
    pub failed: i64,
    /// Orders that were paid.
    pub paid_orders: i64,
    /// What was paid, before any refund.
    pub revenue: Fen,
}

impl Session {
    /// The user and its figures.
    ///
    /// # Errors
    /// `TOKEN_REVOKED` if the account was deleted just now.
    pub async fn stats(&self) -> Result<(User, UserStats)> {
        let core = &self.core;
        let user = self.me().await?;
        let mut db = core.store.db();
        let counters = counters(&mut db, self.user).await?;
        let used = usage(&mut db, self.user, &core.settings.zone, core.now()).await?;
        let stats = UserStats {
            total_orders: counters.orders,
            total_favorites: counters.favorites,
            total_generations: counters.generations,
            quota: Quota::new(core.settings.quota.of(user.membership.level()), used),
        };
        Ok((user, stats))
    }

    /// One's figures at length.
    ///
    /// # Errors
    /// `TOKEN_REVOKED` if the account was deleted just now.
    pub async fn overview(&self) -> Result<UserOverview> {
        overview(&self.core, self.user).await?.ok_or(Code::TokenRevoked.into())
    }
}

impl Guest {
    /// What there is in all.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked.
    pub async fn totals(&self) -> Result<Totals> {
        totals(&mut self.core.store.public()).await
    }
}

impl Admin {
    /// A user's figures at length.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    pub async fn overview_of(&self, user: UserId) -> Result<UserOverview> {
        overview(&self.core, user).await?.ok_or(Code::UserNotFound.into())
    }

    /// What happened, by day or by hour, oldest first; every bucket of the span is there.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::{Bucket, UsageQuery};
    ///
    /// # world.alice().await;
    /// let admin = world.admin().await;
    /// let hours = admin.usage(&UsageQuery { bucket: Bucket::Hour, ..UsageQuery::default() }).await?;
    /// // Every hour is there, so that a chart has no gaps.
    /// assert!(hours.windows(2).all(|pair| pair[1].at.since(pair[0].at).as_secs() == 3600));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for an end that is not after the beginning, or more buckets than [`Bucket::most`].
    pub async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageBucket>> {
        let core = &self.core;
        let span = rules::span(query, &core.settings.zone, core.now())?;
        let first = span.starts.first().copied().unwrap_or(span.end);
        let hours = store::hours(&mut core.store.db(), first, span.end).await?;
        Ok(rules::sorted(&span, &hours, query.bucket, &core.settings.zone))
    }

    /// How the business stands.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked.
    pub async fn stats(&self) -> Result<AdminStats> {
        let core = &self.core;
        let (zone, now) = (&core.settings.zone, core.now());
        let midnight = zone.start_of(zone.day(now));
        let mut state = core.store.snapshot().await?;
        let today = store::hours(&mut state, midnight, now.plus(SETTLES_AFTER)).await?;
        let today = today.into_iter().fold(Delta::default(), |sum, (_, delta)| sum.plus(delta));
        Ok(AdminStats {
            totals: totals(&mut state).await?,
            vip_users: vip::count_active(&mut state, now).await?,
            today_new_users: today.new_users,
            today_revenue: Fen::new(today.revenue),
            pending_orders: orders::count_pending(&mut state).await?,
            running_jobs: jobs::count_open(&mut state).await?,
        })
    }
}

/// What there is in all.
pub(crate) async fn totals(db: &mut impl Db) -> Result<Totals> {
    store::totals(db).await
}

/// How many users there are.
pub(crate) async fn living_users(db: &mut impl Db) -> Result<i64> {
    Ok(store::totals(db).await?.users)
}

async fn overview(core: &Core, user: UserId) -> Result<Option<UserOverview>> {
    let now = core.now();
    let mut state = core.store.snapshot().await?;
    if users::find(&mut state, user, now).await?.is_none() {
        return Ok(None);
    }
    let Some((points, transactions)) = points::summary(&mut state, user).await? else { return Ok(None) };
    let counters = counters(&mut state, user).await?;
    let today = core.settings.zone.day(now);
    let (images_of_month, images_of_week) =
        store::images_between(&mut state, user, today.minus(29), today.minus(6), today).await?;
    Ok(Some(UserOverview {
        user,
        orders: counters.orders,
        favorites: counters.favorites,
        transactions,
        earned: points.total_earned,
        spent: points.total_spent,
        balance: points.balance,
        images: counters.images,
        succeeded: counters.succeeded,
        failed: counters.failed,
        images_of_week,
        images_of_month,
        top_categories: store::top_categories(&mut state, user, TOP_CATEGORIES).await?,
    }))
}

/// Adds what happened to the figures of the hour.
pub(crate) async fn add(tx: &mut Tx, settings: &Settings, now: Timestamp, delta: Delta) -> Result<()> {
    if delta == Delta::default() {
        return Ok(());
    }
    store::add(tx, settings.zone.start_of_hour(now), settings.shard, delta).await
}

/// Adds what a user did to the figures of the hour, and counts the user as active.
pub(crate) async fn add_by(
    tx: &mut Tx,
    settings: &Settings,
    user: UserId,
    now: Timestamp,
    delta: Delta,
) -> Result<()> {
    // Before the figures, whose row others wait for.
    let seen = seen(tx, settings, &[(user, now)]).await?.into_values().fold(delta, Delta::plus);
    add(tx, settings, now, seen).await
}

/// Counts users as active who did something that is counted nowhere else.
pub(crate) async fn add_visits(
    tx: &mut Tx,
    settings: &Settings,
    visits: &[(UserId, Timestamp)],
) -> Result<()> {
    for (hour, delta) in seen(tx, settings, visits).await? {
        add(tx, settings, hour, delta).await?;
    }
    Ok(())
}

/// Notes who was there when; how many of them are new to their hour and to their day, by the hour.
async fn seen(
    tx: &mut Tx,
    settings: &Settings,
    visits: &[(UserId, Timestamp)],
) -> Result<BTreeMap<Timestamp, Delta>> {
    let zone = &settings.zone;
    let mut rows = BTreeMap::new();
    for &(user, now) in visits {
        let (hour, day) = (zone.start_of_hour(now), zone.start_of(zone.day(now)));
        rows.insert((Grain::Hour, hour, user), hour);
        rows.entry((Grain::Day, day, user)).or_insert(hour);
    }
    let mut hours: BTreeMap<Timestamp, Delta> = BTreeMap::new();
    for first in store::seen(tx, rows.keys().copied()).await? {
        let Some(hour) = rows.get(&first) else { continue };
        let of_day = first.0 == Grain::Day;
        let delta = Delta { active_hour: (!of_day).into(), active_day: of_day.into(), ..Delta::default() };
        let sum = hours.entry(*hour).or_default();
        *sum = sum.plus(delta);
    }
    Ok(hours)
}

/// Puts together what was kept apart for the sake of those who count, and forgets who was there.
pub(crate) async fn tidy(tx: &mut Tx, settings: &Settings, now: Timestamp) -> Result<()> {
    store::fold(tx, settings.zone.start_of_hour(now.minus(SETTLES_AFTER))).await?;
    store::forget_activity(tx, now.minus(KEEP_ACTIVITY)).await
}
