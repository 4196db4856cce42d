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
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuotaFigures {
    daily_generations: Used,
    monthly_generations: Used,
    total_remaining: i64,
}

/// How much of a limit is used.
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
