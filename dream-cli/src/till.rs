//! Pays orders, for callers on this machine alone, where WeChat Pay is played: what a phone does after `wx.requestPayment`, as one call that can be typed.

use dream_core::kernel::OrderId;
use dream_core::{Code, Error};
use dream_http::gate::ThisMachine;
use dream_http::input::Path;
use dream_http::table::{Row, post};
use dream_http::wire::time::At;
use dream_testkit::fakes::wechat_pay::{CannotPay, FakePayment, FakeWeChatPay};
use serde::Serialize;
use utoipa::ToSchema;

/// A payment that was made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SandboxPayment {
    order_id: String,
    transaction_id: String,
    /// In fen.
    amount: i64,
    #[schema(inline)]
    paid_at: At,
}

impl From<FakePayment> for SandboxPayment {
    fn from(payment: FakePayment) -> Self {
        Self {
            order_id: payment.out_trade_no,
            transaction_id: payment.transaction_id,
            amount: payment.amount_fen,
            paid_at: payment.paid_at.into(),
        }
    }
}

pub(crate) fn rows(fake: &FakeWeChatPay) -> Vec<Row> {
    let phone = fake.phone();
    let pay = move |_: ThisMachine, Path(order): Path<OrderId>| {
        let paid = phone.pay(order.as_str()).map(SandboxPayment::from).map_err(refused);
        async move { paid }
    };
    vec![post("/sandbox/pay/{orderId}", pay).doc("Sandbox: pays an order as the phone would").fails(&[
        Code::OrderNotFound,
        Code::OrderNotPayable,
        Code::Forbidden,
    ])]
}

fn refused(reason: CannotPay) -> Error {
    let code = match reason {
        CannotPay::NoOrder => Code::OrderNotFound,
        CannotPay::OrderExpired | CannotPay::NotPayable => Code::OrderNotPayable,
        // Nobody shows parameters here.
        CannotPay::Signature | CannotPay::PrepayExpired => Code::Internal,
    };
    Error::new(code).with_source(reason)
}
