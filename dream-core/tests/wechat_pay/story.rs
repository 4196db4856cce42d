//! Whole conversations with a platform that behaves.

use std::time::Duration;

use dream_core::adapters::wechat_pay::WeChatPayConfig;
use dream_core::kernel::{Day, Fen, Timestamp, Zone};
use dream_core::ports::{
    BillEntry, ChannelOrder, Clock, CloseOutcome, Failure, OrderRef, PayChannel, PayTrouble, RefundState,
    pay_code,
};
use dream_testkit::fakes::wechat_pay::{CannotPay, PlatformKey, RefundPlan, RefundStatus, Trust};

use crate::shop::{OPENID, Shop, order, refund, refund_of, tomorrow_at_noon};

fn day(at: Timestamp) -> Day {
    Zone::default().day(at)
}

fn trouble<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> PayTrouble {
    PayTrouble::of(&outcome.unwrap_err())
}

async fn buy_refund_and_reconcile(trust: Trust) {
    let shop = Shop::open_with(trust, |_| {}).await;
    if trust == Trust::Certificates {
        shop.fake.sign_notifies_with(PlatformKey::CertificateA);
    }
    let id = order("VIP20260101A");
    assert_eq!(shop.pay.query(OrderRef::Order(&id)).await.unwrap(), ChannelOrder::Unknown);
    let request = shop.order("VIP20260101A");
    let prepaid = shop.pay.prepay(&request).await.unwrap();
    assert_eq!(prepaid.expires_at, shop.clock.now().plus(Duration::from_hours(2)));
    assert_eq!(shop.pay.query(OrderRef::Order(&id)).await.unwrap(), ChannelOrder::Unpaid);
    let params = shop.pay.client_params(&prepaid.prepay_id).unwrap();
    let payment = shop.fake.pay("VIP20260101A", &params).unwrap();

    let told = shop.fake.deliver_due().await;
    assert!(told.len() == 1 && told[0].taken(), "{told:?}");
    let facts = shop.told(|told| told.payments.clone());
    let [facts] = facts.as_slice() else { panic!("one payment: {facts:?}") };
    assert_eq!(facts.transaction_id, payment.transaction_id);
    assert_eq!((facts.amount, facts.currency.as_str()), (Fen::new(1999), "CNY"));
    assert_eq!((facts.payer_openid.as_str(), facts.paid_at), (OPENID, shop.clock.now()));
    assert_eq!((&facts.mchid, &facts.appid), (&shop.pay.identity().mchid, &shop.pay.identity().appid));
    let paid = ChannelOrder::Paid(facts.clone());
    assert_eq!(shop.pay.query(OrderRef::Order(&id)).await.unwrap(), paid);
    assert_eq!(shop.pay.query(OrderRef::Transaction(&payment.transaction_id)).await.unwrap(), paid);

    let asked = refund_of(&payment.transaction_id, "R20260101-1", 1999);
    assert_eq!(shop.pay.refund(&asked).await.unwrap().state, RefundState::Processing);
    assert_eq!(shop.pay.query(OrderRef::Order(&id)).await.unwrap(), ChannelOrder::Refunding(facts.clone()));
    shop.clock.advance(Duration::from_secs(5));
    let told = shop.fake.deliver_due().await;
    assert!(told.len() == 1 && told[0].taken(), "{told:?}");
    let announced = shop.told(|told| told.refunds.clone()).remove(0);
    assert_eq!(announced.state, RefundState::Succeeded(Some(shop.clock.now())));
    assert_eq!(announced.mchid.as_deref(), Some(shop.pay.identity().mchid.as_str()));
    let looked_up = shop.pay.query_refund(&asked.refund).await.unwrap().unwrap();
    assert_eq!((looked_up.state, looked_up.amount), (announced.state, Fen::new(1999)));

    let today = day(shop.clock.now());
    shop.clock.set(tomorrow_at_noon(shop.clock.now()));
    let bill = shop.pay.trade_bill(today).await.unwrap();
    assert_eq!(bill.rows.len(), 2);
    assert_eq!((bill.rows[0].total, &bill.rows[0].entry), (Fen::new(1999), &BillEntry::Payment));
    assert!(matches!(&bill.rows[1].entry, BillEntry::Refund { out_refund_no, amount, .. }
            if out_refund_no == "R20260101-1" && *amount == Fen::new(1999)));
    assert_eq!((bill.sums.rows, bill.sums.total, bill.sums.refund), (2, Fen::new(1999), Fen::new(1999)));
}

#[tokio::test]
async fn an_order_is_paid_refunded_and_reconciled_under_the_public_key() {
    buy_refund_and_reconcile(Trust::PublicKey).await;
}

#[tokio::test]
async fn an_order_is_paid_refunded_and_reconciled_under_certificates() {
    buy_refund_and_reconcile(Trust::Certificates).await;
}

#[tokio::test]
async fn the_same_order_can_be_prepaid_again_and_another_under_its_number_cannot() {
    let shop = Shop::open().await;
    let request = shop.order("VIP20260101A");
    let first = shop.pay.prepay(&request).await.unwrap();
    shop.clock.advance(Duration::from_mins(10));
    let second = shop.pay.prepay(&request).await.unwrap();
    assert_ne!(first.prepay_id, second.prepay_id);
    let mut other = request.clone();
    other.amount = Fen::new(1);
    assert_eq!(trouble(shop.pay.prepay(&other).await), PayTrouble::NumberUsed);
    let mut later = request;
    later.expires_at = later.expires_at.plus(Duration::from_mins(1));
    assert_eq!(trouble(shop.pay.prepay(&later).await), PayTrouble::NumberUsed);
}

#[tokio::test]
async fn a_closed_order_cannot_be_paid_and_a_paid_order_cannot_be_closed() {
    let shop = Shop::open().await;
    let request = shop.order("VIP20260101A");
    let prepaid = shop.pay.prepay(&request).await.unwrap();
    assert_eq!(shop.pay.close(&request.order).await.unwrap(), CloseOutcome::Closed);
    assert_eq!(shop.pay.close(&request.order).await.unwrap(), CloseOutcome::Closed);
    assert_eq!(shop.pay.close(&order("NEVERMADE")).await.unwrap(), CloseOutcome::Closed);
    let params = shop.pay.client_params(&prepaid.prepay_id).unwrap();
    assert_eq!(shop.fake.pay("VIP20260101A", &params), Err(CannotPay::NotPayable));
    assert_eq!(shop.pay.query(OrderRef::Order(&request.order)).await.unwrap(), ChannelOrder::Closed);
    assert_eq!(trouble(shop.pay.prepay(&request).await), PayTrouble::OrderClosed);

    shop.paid("VIP20260101B").await;
    let paid = order("VIP20260101B");
    assert_eq!(shop.pay.close(&paid).await.unwrap(), CloseOutcome::AlreadyPaid);
    assert_eq!(trouble(shop.pay.prepay(&shop.order("VIP20260101B")).await), PayTrouble::OrderPaid);
}

#[tokio::test]
async fn a_phone_pays_only_with_what_we_signed_and_only_in_time() {
    let shop = Shop::open().await;
    let prepaid = shop.pay.prepay(&shop.order("VIP20260101A")).await.unwrap();
    let params = shop.pay.client_params(&prepaid.prepay_id).unwrap();
    let mut forged = params.clone();
    forged.nonce_str.push('x');
    assert_eq!(shop.fake.pay("VIP20260101A", &forged), Err(CannotPay::Signature));
    assert_eq!(shop.fake.pay("VIP20260101B", &params), Err(CannotPay::NoOrder));
    shop.clock.advance(Duration::from_mins(31));
    assert_eq!(shop.fake.pay("VIP20260101A", &params), Err(CannotPay::OrderExpired));
    // The platform does not close it by itself.
    let id = order("VIP20260101A");
    assert_eq!(shop.pay.query(OrderRef::Order(&id)).await.unwrap(), ChannelOrder::Unpaid);
}

#[tokio::test]
async fn refunds_are_idempotent_and_never_exceed_the_payment() {
    let shop = Shop::open().await;
    let transaction = shop.paid("VIP20260101A").await;
    let first = refund_of(&transaction, "R20260101-1", 1500);
    shop.pay.refund(&first).await.unwrap();
    shop.pay.refund(&first).await.unwrap();
    assert_eq!(shop.fake.refunds().len(), 1);
    let mut changed = first.clone();
    changed.amount = Fen::new(1);
    assert_eq!(trouble(shop.pay.refund(&changed).await), PayTrouble::Misconfigured);
    let second = refund_of(&transaction, "R20260101-2", 499);
    assert_eq!(trouble(shop.pay.refund(&second).await), PayTrouble::SlowDown);
    shop.clock.advance(Duration::from_mins(1));
    shop.pay.refund(&second).await.unwrap();
    shop.clock.advance(Duration::from_mins(1));
    let third = refund_of(&transaction, "R20260101-3", 1);
    assert_eq!(trouble(shop.pay.refund(&third).await), PayTrouble::Misconfigured);
    assert_eq!(shop.pay.query_refund(&refund("R20260101-9")).await.unwrap(), None);
    let unpaid = refund_of("4200000000000000000000000000", "R20260101-4", 1);
    assert_eq!(trouble(shop.pay.refund(&unpaid).await), PayTrouble::NotFound);
}

#[tokio::test]
async fn a_refund_can_wait_for_money_fail_and_be_given_up() {
    let shop = Shop::open().await;
    let transaction = shop.paid("VIP20260101A").await;
    let asked = refund_of(&transaction, "R20260101-1", 1999);
    shop.fake.set_balance(Some(100));
    assert_eq!(trouble(shop.pay.refund(&asked).await), PayTrouble::BalanceShort);
    shop.fake.set_balance(None);
    let plan = RefundPlan { delay: Duration::from_mins(1), outcome: RefundStatus::Abnormal };
    shop.fake.plan_refunds(Some(plan));
    shop.pay.refund(&asked).await.unwrap();
    let state = async || shop.pay.query_refund(&asked.refund).await.unwrap().unwrap().state;
    assert_eq!(state().await, RefundState::Processing);
    shop.clock.advance(Duration::from_mins(1));
    assert_eq!(state().await, RefundState::Abnormal);
    assert!(shop.fake.conclude_refund("R20260101-1", RefundStatus::Closed));
    assert_eq!(state().await, RefundState::Closed);
    shop.fake.deliver_due().await;
    let told: Vec<_> = shop.told(|told| told.refunds.iter().map(|facts| facts.state).collect());
    assert_eq!(told, [RefundState::Abnormal, RefundState::Closed]);
}

#[tokio::test]
async fn texts_are_cleaned_before_they_are_sent_and_what_cannot_be_cleaned_is_refused() {
    let shop = Shop::open().await;
    let mut request = shop.order("VIP20260101A");
    request.description = format!("🎉月卡\n{}", "长".repeat(200));
    shop.pay.prepay(&request).await.unwrap();
    let made = shop.fake.order("VIP20260101A").unwrap();
    assert!(made.description.starts_with("月卡 长") && made.description.len() <= 127, "{}", made.description);

    let asked_before = shop.fake.server().log().all().len();
    let refused = |change: fn(&mut dream_core::ports::PrepayRequest)| {
        let mut request = shop.order("VIP20260101B");
        change(&mut request);
        request
    };
    for request in [
        refused(|request| request.description = "🎉".to_owned()),
        refused(|request| request.amount = Fen::ZERO),
        refused(|request| request.attach = Some("🎉".to_owned())),
        refused(|request| request.payer_openid = String::new()),
    ] {
        assert_eq!(trouble(shop.pay.prepay(&request).await), PayTrouble::Refused);
    }
    assert_eq!(shop.fake.server().log().all().len(), asked_before);
}

#[tokio::test]
async fn an_app_that_is_not_ours_is_a_matter_of_configuration() {
    let foreign = |config: &mut WeChatPayConfig| config.appid = "wx0000000000000000".to_owned();
    let shop = Shop::open_with(Trust::PublicKey, foreign).await;
    let failure = shop.pay.prepay(&shop.order("VIP20260101A")).await.unwrap_err();
    assert_eq!(PayTrouble::of(&failure), PayTrouble::Misconfigured);
    assert_eq!(failure.code.as_deref(), Some("APPID_MCHID_NOT_MATCH"));
    assert!(failure.message.contains("Request-ID"), "{failure}");
}

#[tokio::test]
async fn a_bill_is_not_ready_in_the_morning_and_a_quiet_day_has_none() {
    let shop = Shop::open().await;
    let today = day(shop.clock.now());
    shop.paid("VIP20260101A").await;
    shop.clock.advance(Duration::from_hours(22));
    let failure = shop.pay.trade_bill(today).await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some(pay_code::BILL_NOT_READY));
    shop.clock.advance(Duration::from_hours(2));
    assert_eq!(shop.pay.trade_bill(today).await.unwrap().rows.len(), 1);
    let quiet = shop.pay.trade_bill(today.previous()).await.unwrap();
    assert!(quiet.rows.is_empty() && quiet.sums.rows == 0);
}
