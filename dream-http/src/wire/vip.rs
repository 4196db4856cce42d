//! VIP: plans, and how one stands.
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
//! // Amounts are fen, durations days.
//! let plans = get("/v1/vip/plans").await?;
//! let month = &plans["plans"][0];
//! assert_eq!(
//!     (&month["planId"], &month["currentPrice"], &month["duration"]),
//!     (&"vip_month".into(), &1999.into(), &30.into())
//! );
//! # serving.abort();
//! # Ok(())
//! # });
//! ```

use dream_core::vip;
use serde::Serialize;
use utoipa::ToSchema;

use super::time::At;

/// Something that can be bought.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_http::wire::vip::Plan;
///
/// let plan = world.nobody().plans().await?.remove(0);
/// let json = serde_json::to_value(Plan::from(plan))?;
/// // Amounts are fen, durations days.
/// assert_eq!((&json["currentPrice"], &json["duration"]), (&1999.into(), &30.into()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    id: i64,
    #[schema(example = "vip_month")]
    plan_id: String,
    name: String,
    /// `VIP` or `SVIP`.
    #[schema(value_type = String, example = "VIP")]
    level: &'static str,
    /// In days.
    duration: i64,
    /// In fen.
    original_price: i64,
    /// In fen.
    current_price: i64,
    benefits: Vec<String>,
    popular: bool,
}

impl From<vip::Plan> for Plan {
    fn from(plan: vip::Plan) -> Self {
        Self {
            id: plan.id,
            plan_id: plan.plan_id.to_string(),
            name: plan.name,
            level: plan.level.as_str(),
            duration: plan.duration_days,
            original_price: plan.original_price.get(),
            current_price: plan.current_price.get(),
            benefits: plan.benefits,
            popular: plan.popular,
        }
    }
}

/// What can be bought.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_http::wire::vip::Plans;
///
/// let json = serde_json::to_value(Plans::from(world.nobody().plans().await?))?;
/// assert_eq!(json["plans"][0]["planId"], "vip_month");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct Plans {
    plans: Vec<Plan>,
}

impl From<Vec<vip::Plan>> for Plans {
    fn from(plans: Vec<vip::Plan>) -> Self {
        Self { plans: plans.into_iter().map(Plan::from).collect() }
    }
}

/// How somebody stands.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::vip::{Level, VipTerm};
/// use dream_http::wire::vip::VipInfo;
///
/// # let alice = world.alice().await;
/// world.admin().await.set_vip(alice.id(), Level::Vip, VipTerm::Days(30), None).await?;
/// let json = serde_json::to_value(VipInfo::from(alice.session().await.vip().await?))?;
/// assert_eq!((&json["vipLevel"], &json["remainingDays"]), (&"VIP".into(), &30.into()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VipInfo {
    /// `NORMAL`, `VIP` or `SVIP`: the level in force.
    #[schema(value_type = String, example = "NORMAL")]
    vip_level: &'static str,
    #[schema(inline)]
    vip_expire_at: Option<At>,
    /// The begun day counts whole.
    remaining_days: i64,
    plans: Vec<Plan>,
    benefits: Vec<String>,
    quota: QuotaFigures,
}

/// What may be generated without points.
///
/// ```
/// use dream_core::QuotaLimit;
/// use dream_core::jobs::{self, Quota};
/// use dream_core::vip::{self, Membership};
/// use dream_http::wire::vip::VipInfo;
///
/// let quota = Quota::new(QuotaLimit { daily: 5, monthly: 100 }, jobs::Used { daily: 2, monthly: 99 });
/// # let (membership, plans, benefits) = (Membership::NORMAL, vec![], vec![]);
/// let info = vip::VipInfo { membership, remaining_days: 0, plans, benefits, quota };
/// let json = serde_json::to_value(VipInfo::from(info)).unwrap();
/// assert_eq!(json["quota"]["totalRemaining"], 1, "the smaller one of the day's rest and the month's");
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuotaFigures {
    daily_generations: Used,
    monthly_generations: Used,
    total_remaining: i64,
}

/// How much of a limit is used.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::wire::vip::VipInfo;
///
/// # let alice = world.alice().await;
/// # alice.generates("a cat").await;
/// let json = serde_json::to_value(VipInfo::from(alice.session().await.vip().await?))?;
/// let today = &json["quota"]["dailyGenerations"];
/// assert_eq!(today["used"], 1);
/// assert!(today["limit"].as_i64() >= Some(1));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct Used {
    used: i64,
    limit: i64,
}

impl From<vip::VipInfo> for VipInfo {
    fn from(info: vip::VipInfo) -> Self {
        let quota = info.quota;
        Self {
            vip_level: info.membership.level().as_str(),
            vip_expire_at: info.membership.expires_at().map(At),
            remaining_days: info.remaining_days,
            plans: info.plans.into_iter().map(Plan::from).collect(),
            benefits: info.benefits,
            quota: QuotaFigures {
                daily_generations: Used { used: quota.used.daily, limit: quota.limit.daily },
                monthly_generations: Used { used: quota.used.monthly, limit: quota.limit.monthly },
                total_remaining: quota.remaining(),
            },
        }
    }
}

/// One span of a membership: its level, when what is left of it runs, and the order or grant it came from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VipSpan {
    vip_level: &'static str,
    starts_at: At,
    ends_at: At,
    order_id: Option<String>,
    granted_by: Option<String>,
}

impl From<&vip::Span> for VipSpan {
    fn from(span: &vip::Span) -> Self {
        let (order_id, granted_by) = match &span.source {
            vip::SpanSource::Order(order) => (Some(order.to_string()), None),
            vip::SpanSource::Grant(by) => (None, Some(by.clone())),
        };
        Self {
            vip_level: span.level.as_str(),
            starts_at: span.starts_at.into(),
            ends_at: span.ends_at.into(),
            order_id,
            granted_by,
        }
    }
}
