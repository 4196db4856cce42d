//! Orders and refunds.
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
//! # let post = async |path: &str, body: serde_json::Value| -> Result<serde_json::Value, reqwest::Error> {
//! #     http.post(format!("{base}{path}")).bearer_auth(&token).json(&body).send().await?.json().await
//! # };
//! use serde_json::json;
//!
//! // Amounts are fen.
//! let placed = post("/v1/vip/orders", json!({ "planId": "vip_month" })).await?;
//! assert_eq!(placed["amount"], 1999);
//! assert_eq!(placed["wxPayParams"]["signType"], "RSA");
//! # serving.abort();
//! # Ok(())
//! # });
//! ```

use dream_core::kernel::{Fen, UserId};
use dream_core::orders::{
    self, Goods, OrderFilter, OrderKind, OrderState, OrderStatus, Placed, RechargePoints, Refund, WECHAT,
};
use dream_core::ports::ClientParams;
use serde::Serialize;
use utoipa::ToSchema;

use super::time::At;
use crate::input::{Named, OneOf, Parsed, Text, Whole};
use crate::problem::Problem;

crate::input! {
    /// A plan that somebody wants to buy.
    pub struct Purchase {
        /// Which one.
        pub plan_id: Parsed<dream_core::kernel::PlanId>,
        /// How it is paid: `wechat` unless given.
        pub payment_method: Option<OneOf<PaymentMethod>>,
    }
}

crate::input! {
    /// Points that somebody wants to buy.
    pub struct Recharge {
        /// How many.
        pub amount: Whole<1, { RechargePoints::MAX }>,
        /// How they are paid: `wechat` unless given.
        pub payment_method: Option<OneOf<PaymentMethod>>,
    }
}

/// How something is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PaymentMethod {
    /// By WeChat Pay.
    #[default]
    WeChat,
}

impl Named for PaymentMethod {
    const NAMES: &'static [&'static str] = &[WECHAT];

    fn named(name: &str) -> Option<Self> {
        (name == WECHAT).then_some(Self::WeChat)
    }
}

/// The channel that was chosen.
pub fn channel(method: Option<OneOf<PaymentMethod>>) -> &'static str {
    match method.map(|OneOf(method)| method).unwrap_or_default() {
        PaymentMethod::WeChat => WECHAT,
    }
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    id: i64,
    order_id: String,
    user_id: i64,
    /// `VIP` or `POINTS`.
    #[schema(value_type = String, example = "VIP")]
    kind: &'static str,
    plan_id: Option<String>,
    plan_name: Option<String>,
    points: Option<i64>,
    /// `PENDING`, `PAID`, `CANCELLED` or `REFUNDED`.
    #[schema(value_type = String, example = "PENDING")]
    status: &'static str,
    /// In fen.
    amount: i64,
    transaction_id: Option<String>,
    #[schema(inline)]
    paid_at: Option<At>,
    #[schema(inline)]
    vip_expire_at: Option<At>,
    #[schema(inline)]
    expire_at: At,
    #[schema(inline)]
    refunded_at: Option<At>,
    #[schema(inline)]
    created_at: At,
}

impl From<orders::Order> for Order {
    fn from(order: orders::Order) -> Self {
        let status = order.state.status().as_str();
        let kind = order.goods.kind().as_str();
        let refunded_at = match &order.state {
            OrderState::Refunded { at, .. } => Some(At(*at)),
            OrderState::Pending | OrderState::Cancelled | OrderState::Paid(_) => None,
        };
        let payment = order.state.payment().cloned();
        let (plan_id, plan_name, points) = match order.goods {
            Goods::Vip { plan, name, .. } => (Some(plan.to_string()), Some(name), None),
            Goods::Points(points) => (None, None, Some(points.get())),
        };
        Self {
            id: order.id,
            order_id: order.order_id.to_string(),
            user_id: order.user.get(),
            kind,
            plan_id,
            plan_name,
            points,
            status,
            amount: order.amount.get(),
            paid_at: payment.as_ref().map(|payment| payment.paid_at.into()),
            vip_expire_at: payment.as_ref().and_then(|payment| payment.vip_expire_at).map(At),
            transaction_id: payment.map(|payment| payment.transaction_id),
            expire_at: order.expire_at.into(),
            refunded_at,
            created_at: order.created_at.into(),
        }
    }
}

/// What `wx.requestPayment` is called with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WxPayParams {
    time_stamp: String,
    nonce_str: String,
    #[schema(example = "prepay_id=wx28100000")]
    package: String,
    #[schema(example = "RSA")]
    sign_type: String,
    pay_sign: String,
}

impl From<ClientParams> for WxPayParams {
    fn from(params: ClientParams) -> Self {
        Self {
            time_stamp: params.time_stamp,
            nonce_str: params.nonce_str,
            package: params.package,
            sign_type: params.sign_type,
            pay_sign: params.pay_sign,
        }
    }
}

/// An order that waits for its payment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacedOrder {
    order_id: String,
    /// In fen.
    amount: i64,
    wx_pay_params: WxPayParams,
}

impl From<Placed> for PlacedOrder {
    fn from(placed: Placed) -> Self {
        Self {
            order_id: placed.order.order_id.to_string(),
            amount: placed.order.amount.get(),
            wx_pay_params: placed.pay.into(),
        }
    }
}

/// An order of points that waits for its payment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacedRecharge {
    order_id: String,
    /// In points.
    amount: i64,
    /// In fen.
    price: i64,
    wx_pay_params: WxPayParams,
}

impl PlacedRecharge {
    /// The order and how many points it is over.
    pub fn new(placed: Placed, points: RechargePoints) -> Self {
        Self {
            order_id: placed.order.order_id.to_string(),
            amount: points.get().get(),
            price: placed.order.amount.get(),
            wx_pay_params: placed.pay.into(),
        }
    }
}

crate::input! {
    /// Which of one's orders are wanted.
    pub struct OrderQuery {
        /// Those in this state.
        pub status: Option<OneOf<OrderStatus>>,
        /// Those of this kind.
        pub kind: Option<OneOf<OrderKind>>,
    }
}

crate::input! {
    /// Which orders are wanted.
    pub struct AdminOrderQuery {
        /// Those in this state.
        pub status: Option<OneOf<OrderStatus>>,
        /// Those of this kind.
        pub kind: Option<OneOf<OrderKind>>,
        /// Those of this user.
        pub user_id: Option<Parsed<UserId>>,
    }
}

impl From<AdminOrderQuery> for OrderFilter {
    fn from(query: AdminOrderQuery) -> Self {
        Self {
            status: query.status.map(|OneOf(status)| status),
            kind: query.kind.map(|OneOf(kind)| kind),
            user: query.user_id.map(|Parsed(user)| user),
        }
    }
}

crate::input! {
    /// How much of an order is given back, and why.
    pub struct RefundRequest {
        /// In fen; the whole unless given.
        pub amount: Option<Whole<1, { i64::MAX }>>,
        /// Why. The payer is shown the beginning of it.
        pub reason: Text<1, 200>,
    }
}

impl RefundRequest {
    /// How much, if not the whole.
    pub fn amount(&self) -> Option<Fen> {
        self.amount.map(|Whole(fen)| Fen::new(fen))
    }
}

/// A refund that was promised.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefundAnswer {
    refund_id: String,
    order_id: String,
    /// In fen.
    amount: i64,
    /// `PROCESSING`, `SUCCEEDED` or `FAILED`.
    #[schema(value_type = String, example = "PROCESSING")]
    status: &'static str,
}

impl From<Refund> for RefundAnswer {
    fn from(refund: Refund) -> Self {
        Self {
            refund_id: refund.refund_id.to_string(),
            order_id: refund.order_id.to_string(),
            amount: refund.amount.get(),
            status: refund.status.as_str(),
        }
    }
}

/// What the payment channel is told when its notice was taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ack {
    /// Always `SUCCESS`.
    #[schema(value_type = String, example = "SUCCESS")]
    code: &'static str,
}

impl Ack {
    /// It was taken.
    pub const SUCCESS: Self = Self { code: "SUCCESS" };
}

/// What the payment channel is told when its notice was not taken. It tries again later.
pub fn not_taken(problem: &Problem<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Fail<'a> {
        code: &'a str,
        message: &'a str,
    }
    serde_json::to_vec(&Fail { code: "FAIL", message: &problem.message }).unwrap_or_default()
}
