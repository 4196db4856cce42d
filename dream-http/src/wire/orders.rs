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
    ///
    /// ```
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::orders::Purchase;
    ///
    /// let purchase: Purchase = read_value(serde_json::json!({ "planId": "vip_month" }))?;
    /// assert_eq!(purchase.plan_id.0.as_str(), "vip_month");
    /// let cash = serde_json::json!({ "planId": "vip_month", "paymentMethod": "cash" });
    /// let refused = read_value::<Purchase>(cash).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::OneOf(&["wechat"]).at("paymentMethod")]));
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct Purchase {
        /// Which one.
        pub plan_id: Parsed<dream_core::kernel::PlanId>,
        /// How it is paid: `wechat` unless given.
        pub payment_method: Option<OneOf<PaymentMethod>>,
    }
}

crate::input! {
    /// Points that somebody wants to buy.
    ///
    /// ```
    /// use dream_core::orders::RechargePoints;
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::orders::Recharge;
    ///
    /// assert_eq!(read_value::<Recharge>(serde_json::json!({ "amount": 60 }))?.amount.0, 60);
    /// let refused = read_value::<Recharge>(serde_json::json!({ "amount": 0 })).unwrap_err();
    /// let fault = Fault::Range { min: 1, max: RechargePoints::MAX }.at("amount");
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![fault]));
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct Recharge {
        /// How many.
        pub amount: Whole<1, { RechargePoints::MAX }>,
        /// How they are paid: `wechat` unless given.
        pub payment_method: Option<OneOf<PaymentMethod>>,
    }
}

/// How something is paid.
///
/// ```
/// use dream_http::input::OneOf;
/// use dream_http::wire::orders::PaymentMethod;
///
/// assert_eq!("wechat".parse::<OneOf<PaymentMethod>>().unwrap().0, PaymentMethod::WeChat);
/// assert!("cash".parse::<OneOf<PaymentMethod>>().is_err());
/// ```
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
///
/// ```
/// use dream_core::orders::WECHAT;
/// use dream_http::wire::orders::channel;
///
/// assert_eq!(channel(None), WECHAT, "old clients do not say how they pay");
/// ```
pub fn channel(method: Option<OneOf<PaymentMethod>>) -> &'static str {
    match method.map(|OneOf(method)| method).unwrap_or_default() {
        PaymentMethod::WeChat => WECHAT,
    }
}

/// An order.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::WECHAT;
/// use dream_http::wire::orders::Order;
///
/// # let me = world.alice().await.session().await;
/// let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
/// let json = serde_json::to_value(Order::from(placed.order))?;
/// assert_eq!((&json["kind"], &json["planId"]), (&"VIP".into(), &"vip_month".into()));
/// assert_eq!((&json["status"], &json["amount"]), (&"PENDING".into(), &1999.into()));
/// assert!(json["paidAt"].is_null());
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// use dream_core::ports::ClientParams;
/// use dream_http::wire::orders::WxPayParams;
///
/// let params = ClientParams {
///     time_stamp: "1769600000".to_owned(),
///     nonce_str: "5K8264ILTKCH16CQ".to_owned(),
///     package: "prepay_id=wx28100000".to_owned(),
///     sign_type: "RSA".to_owned(),
///     pay_sign: "oR9d8PuhnIc".to_owned(),
/// };
/// // A mini-program passes it on as it is.
/// let json = serde_json::to_value(WxPayParams::from(params)).unwrap();
/// assert_eq!(
///     (&json["timeStamp"], &json["package"]),
///     (&"1769600000".into(), &"prepay_id=wx28100000".into())
/// );
/// ```
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
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::WECHAT;
/// use dream_http::wire::orders::PlacedOrder;
///
/// # let me = world.alice().await.session().await;
/// let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
/// let json = serde_json::to_value(PlacedOrder::from(placed))?;
/// assert_eq!((&json["amount"], &json["wxPayParams"]["signType"]), (&1999.into(), &"RSA".into()));
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::{RechargePoints, WECHAT};
/// use dream_http::wire::orders::PlacedRecharge;
///
/// # let me = world.alice().await.session().await;
/// let points = RechargePoints::new(60).unwrap();
/// let placed = me.recharge(points, WECHAT, None).await?;
/// let json = serde_json::to_value(PlacedRecharge::new(placed, points))?;
/// assert_eq!(json["amount"], 60, "points, while the price is fen");
/// # Ok(())
/// # });
/// ```
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
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::orders::{RechargePoints, WECHAT};
    /// use dream_http::wire::orders::PlacedRecharge;
    ///
    /// # let me = world.alice().await.session().await;
    /// # let points = RechargePoints::new(60).unwrap();
    /// let placed = me.recharge(points, WECHAT, None).await?;
    /// let fen = placed.order.amount.get();
    /// assert_eq!(serde_json::to_value(PlacedRecharge::new(placed, points))?["price"], fen);
    /// # Ok(())
    /// # });
    /// ```
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
    ///
    /// ```
    /// use dream_core::orders::OrderStatus;
    /// use dream_http::input::{OneOf, read_value};
    /// use dream_http::wire::orders::OrderQuery;
    ///
    /// // `?status=PAID`
    /// let query: OrderQuery = read_value(serde_json::json!({ "status": "PAID" }))?;
    /// assert_eq!((query.status, query.kind), (Some(OneOf(OrderStatus::Paid)), None));
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct OrderQuery {
        /// Those in this state.
        pub status: Option<OneOf<OrderStatus>>,
        /// Those of this kind.
        pub kind: Option<OneOf<OrderKind>>,
    }
}

crate::input! {
    /// Which orders are wanted.
    ///
    /// ```
    /// use dream_core::orders::{OrderFilter, OrderKind};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::orders::AdminOrderQuery;
    ///
    /// // `?kind=VIP&userId=7`
    /// let query: AdminOrderQuery = read_value(serde_json::json!({ "kind": "VIP", "userId": "7" }))?;
    /// let wanted =
    ///     OrderFilter { status: None, kind: Some(OrderKind::Vip), user: Some("7".parse().unwrap()) };
    /// assert_eq!(OrderFilter::from(query), wanted);
    /// # Ok::<(), dream_core::Error>(())
    /// ```
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
    ///
    /// ```
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::orders::RefundRequest;
    ///
    /// assert!(read_value::<RefundRequest>(serde_json::json!({ "reason": "changed mind" })).is_ok());
    /// let refused = read_value::<RefundRequest>(serde_json::json!({ "amount": 500 })).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::Required.at("reason")]));
    /// ```
    pub struct RefundRequest {
        /// In fen; the whole unless given.
        pub amount: Option<Whole<1, { i64::MAX }>>,
        /// Why. The payer is shown the beginning of it.
        pub reason: Text<1, 200>,
    }
}

impl RefundRequest {
    /// How much, if not the whole.
    ///
    /// ```
    /// use dream_core::kernel::Fen;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::orders::RefundRequest;
    ///
    /// let part: RefundRequest = read_value(serde_json::json!({ "amount": 500, "reason": "late" }))?;
    /// assert_eq!(part.amount(), Some(Fen::new(500)));
    /// let whole: RefundRequest = read_value(serde_json::json!({ "reason": "late" }))?;
    /// assert_eq!(whole.amount(), None);
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub fn amount(&self) -> Option<Fen> {
        self.amount.map(|Whole(fen)| Fen::new(fen))
    }
}

/// A refund that was promised.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::orders::{RechargePoints, WECHAT};
/// use dream_http::wire::orders::RefundAnswer;
///
/// # let alice = world.alice().await;
/// # let placed = alice.session().await.recharge(RechargePoints::new(60).unwrap(), WECHAT, None).await?;
/// # let order = placed.order.order_id;
/// # world.wechat_pay().pay(order.as_str(), &placed.pay).unwrap();
/// # world.settle().await;
/// let refund = world.admin().await.refund_order(&order, None, "changed mind").await?;
/// let json = serde_json::to_value(RefundAnswer::from(refund))?;
/// assert_eq!((&json["orderId"], &json["status"]), (&order.as_str().into(), &"PROCESSING".into()));
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// use dream_http::wire::orders::Ack;
///
/// assert_eq!(serde_json::to_string(&Ack::SUCCESS).unwrap(), r#"{"code":"SUCCESS"}"#);
/// ```
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
///
/// ```
/// use dream_core::kernel::Timestamp;
/// use dream_core::{Code, Error};
/// use dream_http::problem::{Asked, Lang, Problem};
/// use dream_http::wire::orders::not_taken;
///
/// # let now = Timestamp::from_secs(1_769_600_000);
/// let error = Error::new(Code::Unavailable);
/// let asked = Asked { lang: Lang::En, request_id: "9f1c-4711", path: "/v1/pay/notify", now };
/// let body: serde_json::Value = serde_json::from_slice(&not_taken(&Problem::new(&error, asked))).unwrap();
/// assert_eq!(body["code"], "FAIL");
/// ```
pub fn not_taken(problem: &Problem<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Fail<'a> {
        code: &'a str,
        message: &'a str,
    }
    serde_json::to_vec(&Fail { code: "FAIL", message: &problem.message }).unwrap_or_default()
}
