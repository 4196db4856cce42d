//! Figures.
//!
//! ```
//! # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
//! # world.dream().plant_seeds().await?;
//! # let settings = dream_http::Settings { listen: ([127, 0, 0, 1], 0).into(), ..Default::default() };
//! # let server = dream_http::Server::bind(dream_http::App::builder(world.dream().clone(), settings).build()?)?;
//! # let base = format!("http://{}", server.local_addr()?);
//! # let serving = tokio::spawn(server.serve(std::future::pending()));
//! # let alice = world.alice().await;
//! # let (http, token) = (reqwest::Client::new(), alice.tokens().access);
//! # let get = async |path: &str| -> Result<serde_json::Value, reqwest::Error> {
//! #     http.get(format!("{base}{path}")).bearer_auth(&token).send().await?.json().await
//! # };
//! let totals = get("/v1/stats/global").await?;
//! assert_eq!((&totals["totalUsers"], &totals["totalImages"]), (&1.into(), &0.into()));
//! # serving.abort();
//! # Ok(())
//! # });
//! ```

use dream_core::{Bucket, Edge, Totals, UsageQuery, UserOverview};
use serde::Serialize;
use utoipa::ToSchema;

use super::time::At;
use crate::input::{OneOf, Parsed};

/// A user's figures at length.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::wire::stats::Overview;
///
/// # let alice = world.alice().await;
/// alice.generates("a cat").await;
/// world.settle().await;
/// let json = serde_json::to_value(Overview::from(alice.session().await.overview().await?))?;
/// assert_eq!((&json["totalImagesGenerated"], &json["weeklyGenerated"]), (&1.into(), &1.into()));
/// assert_eq!(json["successRate"], 100.0);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    user_id: i64,
    total_orders: i64,
    total_favorites: i64,
    /// Entries of the points ledger.
    total_transactions: i64,
    /// Points.
    total_earned: i64,
    /// Points, whether given back or not.
    total_spent: i64,
    /// Points.
    balance: i64,
    /// Pictures received.
    total_images_generated: i64,
    /// Percent of the generations that ended, from 0 to 100.
    #[schema(example = 97.5)]
    success_rate: f64,
    /// Pictures received today and on the six days before.
    weekly_generated: i64,
    /// Pictures received today and on the 29 days before.
    monthly_generated: i64,
    /// Kinds of templates, those that most pictures were made from first.
    top_categories: Vec<CategoryCount>,
}

/// A category and how many pictures are of it.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::wire::stats::Overview;
///
/// # let me = world.alice().await.session().await;
/// let mut overview = me.overview().await?;
/// # assert!(overview.top_categories.is_empty());
/// overview.top_categories = vec![dream_core::CategoryCount { name: "portrait".to_owned(), count: 3 }];
/// let json = serde_json::to_value(Overview::from(overview))?;
/// assert_eq!(json["topCategories"], serde_json::json!([{ "name": "portrait", "count": 3 }]));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct CategoryCount {
    name: String,
    count: i64,
}

impl From<UserOverview> for Overview {
    fn from(overview: UserOverview) -> Self {
        let category = |it: dream_core::CategoryCount| CategoryCount { name: it.name, count: it.count };
        Self {
            user_id: overview.user.get(),
            total_orders: overview.orders,
            total_favorites: overview.favorites,
            total_transactions: overview.transactions,
            total_earned: overview.earned.get(),
            total_spent: overview.spent.get(),
            balance: overview.balance.get(),
            total_images_generated: overview.images,
            success_rate: percent(overview.success_permille()),
            weekly_generated: overview.images_of_week,
            monthly_generated: overview.images_of_month,
            top_categories: overview.top_categories.into_iter().map(category).collect(),
        }
    }
}

/// 0 to 1000 of a thousand as percent.
fn percent(permille: i64) -> f64 {
    f64::from(i32::try_from(permille).unwrap_or(0)) / 10.0
}

/// What there is in all.
///
/// ```
/// use dream_core::Totals;
/// use dream_http::wire::stats::Global;
///
/// let totals = Totals { users: 12, images: 340, ..Totals::default() };
/// let json = serde_json::to_value(Global::from(totals)).unwrap();
/// assert_eq!(
///     (&json["totalUsers"], &json["totalImages"], &json["totalSpent"]),
///     (&12.into(), &340.into(), &0.into())
/// );
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Global {
    total_users: i64,
    total_orders: i64,
    /// Pictures ever generated.
    total_images: i64,
    total_favorites: i64,
    /// Points.
    total_earned: i64,
    /// Points, whether given back or not.
    total_spent: i64,
}

impl From<Totals> for Global {
    fn from(totals: Totals) -> Self {
        Self {
            total_users: totals.users,
            total_orders: totals.orders,
            total_images: totals.images,
            total_favorites: totals.favorites,
            total_earned: totals.earned,
            total_spent: totals.spent,
        }
    }
}

crate::input! {
    /// Which time usage is asked of.
    ///
    /// ```
    /// use dream_core::{Bucket, Edge, UsageQuery};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::stats::UsageParameters;
    ///
    /// // `?from=2026-01-01&bucket=hour`
    /// let asked: UsageParameters =
    ///     read_value(serde_json::json!({ "from": "2026-01-01", "bucket": "hour" }))?;
    /// let query = UsageQuery::from(asked);
    /// assert_eq!((query.bucket, query.to), (Bucket::Hour, None));
    /// assert!(matches!(query.from, Some(Edge::On(_))), "a day, as the business's zone has it");
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct UsageParameters {
        /// From when: a day, or a time; 30 days or 24 hours before the end unless given.
        pub from: Option<Parsed<Edge>>,
        /// Until when: a day, which counts whole, or a time; now unless given.
        pub to: Option<Parsed<Edge>>,
        /// `day` unless given: at most 366 of them, or 744 hours.
        pub bucket: Option<OneOf<Bucket>>,
    }
}

impl From<UsageParameters> for UsageQuery {
    fn from(parameters: UsageParameters) -> Self {
        Self {
            from: parameters.from.map(|Parsed(edge)| edge),
            to: parameters.to.map(|Parsed(edge)| edge),
            bucket: parameters.bucket.map(|OneOf(bucket)| bucket).unwrap_or_default(),
        }
    }
}

/// What happened, by day or by hour, oldest first.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::UsageQuery;
/// use dream_http::wire::stats::Usage;
///
/// # world.alice().await;
/// let days = world.admin().await.usage(&UsageQuery::default()).await?;
/// let json = serde_json::to_value(Usage::from(days))?;
/// let today = json["buckets"].as_array().and_then(|days| days.last()).ok_or("no days")?;
/// assert_eq!((&today["newUsers"], &today["revenue"]), (&1.into(), &0.into()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct Usage {
    buckets: Vec<UsageBucket>,
}

/// What happened in a day or an hour.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageBucket {
    #[schema(inline)]
    at: At,
    /// The day of the business's zone that it is or lies in.
    #[schema(example = "2026-01-28")]
    day: String,
    /// The hour of that day as clocks in the zone show it, from 0; null for a whole day.
    hour: Option<u8>,
    new_users: i64,
    /// Users who logged in, or did something of their own.
    active_users: i64,
    generations: i64,
    succeeded: i64,
    failed: i64,
    paid_orders: i64,
    /// In fen, before any refund.
    revenue: i64,
}

impl From<Vec<dream_core::UsageBucket>> for Usage {
    fn from(buckets: Vec<dream_core::UsageBucket>) -> Self {
        Self { buckets: buckets.into_iter().map(UsageBucket::from).collect() }
    }
}

impl From<dream_core::UsageBucket> for UsageBucket {
    fn from(bucket: dream_core::UsageBucket) -> Self {
        Self {
            at: bucket.at.into(),
            day: bucket.day.to_string(),
            hour: bucket.hour,
            new_users: bucket.new_users,
            active_users: bucket.active_users,
            generations: bucket.generations,
            succeeded: bucket.succeeded,
            failed: bucket.failed,
            paid_orders: bucket.paid_orders,
            revenue: bucket.revenue.get(),
        }
    }
}

/// How the business stands.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::wire::stats::AdminStats;
///
/// # world.alice().await;
/// let json = serde_json::to_value(AdminStats::from(world.admin().await.stats().await?))?;
/// assert_eq!(
///     (&json["totalUsers"], &json["freeUsers"], &json["vipUsers"]),
///     (&1.into(), &1.into(), &0.into())
/// );
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminStats {
    total_users: i64,
    vip_users: i64,
    free_users: i64,
    total_orders: i64,
    today_new_users: i64,
    /// In fen, before any refund.
    today_revenue: i64,
    pending_orders: i64,
    running_jobs: i64,
}

impl From<dream_core::AdminStats> for AdminStats {
    fn from(stats: dream_core::AdminStats) -> Self {
        Self {
            total_users: stats.totals.users,
            vip_users: stats.vip_users,
            free_users: stats.totals.users - stats.vip_users,
            total_orders: stats.totals.orders,
            today_new_users: stats.today_new_users,
            today_revenue: stats.today_revenue.get(),
            pending_orders: stats.pending_orders,
            running_jobs: stats.running_jobs,
        }
    }
}
