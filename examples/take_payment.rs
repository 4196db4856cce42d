//! A WeChat payment with nothing but the payment module of `dream-core`: no database, no `Dream`.
//!
//! Take it without the rest: `dream-core = { default-features = false, features = ["wechat-pay"] }`.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dream_core::adapters::wechat_pay::WeChatPay;
use dream_core::adapters::{OsEntropy, SystemClock};
use dream_core::kernel::{Fen, OrderId, RefundId};
use dream_core::ports::{
    ChannelOrder, Clock, OrderRef, PayChannel, PaymentFacts, PrepayRequest, RefundRequest, SignedNotify,
};
use dream_examples::Outcome;
use dream_testkit::fakes::server::{FakeRequest, FakeResponse, FakeServer, Setup};
use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
use reqwest::StatusCode;

/// The program.
#[tokio::main]
pub(crate) async fn main() -> Outcome<()> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

/// What became of an order, step by step.
pub(crate) async fn run() -> Outcome<Vec<String>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // In place of https://api.mch.weixin.qq.com, with a merchant's credentials.
    let platform = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await?;
    let door = FakeServer::bind(Setup::new(clock.clone())).await?;
    let config =
        platform.config(&format!("{}/paid", door.base_url()), &format!("{}/refunded", door.base_url()));
    let pay = Arc::new(WeChatPay::new(config, clock.clone(), Arc::new(OsEntropy))?);
    let payments = Arc::new(Mutex::new(Vec::new()));
    let (desk, book) = (pay.clone(), payments.clone());
    let _receiver = door.serve(move |request| receive(desk.clone(), book.clone(), request));
    let mut story = Vec::new();

    // 1. The order goes to WeChat. Keep these fields: a repeat of the number must be the same in all of them.
    let order: OrderId = "EXAMPLE00000001".parse().map_err(|_| "no number")?;
    let request = PrepayRequest {
        order: order.clone(),
        amount: Fen::new(1999),
        description: "A month".to_owned(),
        payer_openid: "o-alice".to_owned(),
        expires_at: clock.now().plus(Duration::from_mins(30)),
        attach: None,
        notify_url: None,
    };
    let prepaid = pay.prepay(&request).await?;

    // 2. The phone gets what `wx.requestPayment` wants, and pays.
    let params = pay.client_params(&prepaid.prepay_id)?;
    story.push(format!("the phone is handed {} signed by {}", &params.package[..10], params.sign_type));
    platform.pay(order.as_str(), &params)?;

    // 3. WeChat tells us, signed and encrypted. A notify may come twice, late, or never.
    platform.deliver_due().await;
    let told = payments.lock().map_err(|_| "a panic")?.first().cloned().ok_or("nothing was told")?;
    story.push(format!("told: {} of {} was paid by {}", told.amount, told.out_trade_no, told.payer_openid));

    // 4. So ask as well. What counts is the same either way.
    match pay.query(OrderRef::Order(&order)).await? {
        ChannelOrder::Paid(facts) if facts == told => story.push("asked: the same".to_owned()),
        other => return Err(format!("{other:?}").into()),
    }

    // 5. Give a part of it back. The number of the refund makes the call safe to repeat.
    let refund: RefundId = "EXAMPLE-REFUND-1".parse().map_err(|_| "no number")?;
    let back = RefundRequest {
        refund,
        transaction_id: told.transaction_id,
        amount: Fen::new(999),
        total: Fen::new(1999),
        reason: None,
    };
    let first = pay.refund(&back).await?;
    let again = pay.refund(&back).await?;
    story.push(format!("given back once: {}", first.channel_refund_id == again.channel_refund_id));
    Ok(story)
}

/// The address that notifies go to. Whatever is not WeChat's is refused; what is told is kept before it is answered.
async fn receive(
    pay: Arc<WeChatPay>,
    payments: Arc<Mutex<Vec<PaymentFacts>>>,
    request: FakeRequest,
) -> FakeResponse {
    let headers =
        request.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let notify = SignedNotify::new(headers, request.body.clone());
    match pay.payment_notify(&notify).await {
        Ok(facts) => {
            // Here a shop compares amount, currency, merchant, app and payer with its order, in its transaction.
            if let Ok(mut payments) = payments.lock() {
                payments.push(facts);
            }
            FakeResponse::empty(StatusCode::NO_CONTENT)
        }
        Err(refusal) => FakeResponse::text(StatusCode::UNAUTHORIZED, refusal.at.as_str()),
    }
}
