//! What tests rig: payments nobody asked for, ends of refunds, keys, and notifies by hand.

use dream_core::ports::SignedNotify;
use serde_json::Value;

use super::book::{FakeOrder, FakePayment, OrderState, RefundStatus};
use super::keys::PlatformKey;
use super::options::RefundPlan;
use super::{FakeWeChatPay, shapes};
use crate::fakes::lock;

impl FakeWeChatPay {
    /// Changes a payment after the fact: its coupon, or what the bill tells of it.
    pub fn change_payment(&self, transaction_id: &str, change: impl FnOnce(&mut FakePayment)) {
        let mut state = lock(&self.inner.state);
        let payments = state.book.orders.values_mut().flat_map(|order| &mut order.payments);
        if let Some(payment) = payments.into_iter().find(|payment| payment.transaction_id == transaction_id) {
            change(payment);
        }
    }

    /// An order that was paid although nobody here asked for it.
    pub fn add_paid_order(&self, out_trade_no: &str, openid: &str, amount_fen: i64) -> FakePayment {
        let fake = &self.inner;
        let now = fake.now();
        let mut state = lock(&fake.state);
        let payment = FakePayment {
            transaction_id: fake.number("4200002599", now),
            out_trade_no: out_trade_no.to_owned(),
            openid: openid.to_owned(),
            amount_fen,
            coupon_fen: 0,
            paid_at: now,
            in_bill: true,
            bill_amount_fen: amount_fen,
        };
        let order = FakeOrder {
            out_trade_no: out_trade_no.to_owned(),
            appid: fake.options.appids.first().cloned().unwrap_or_default(),
            state: OrderState::Success,
            amount_fen,
            openid: openid.to_owned(),
            description: "unknown".to_owned(),
            attach: None,
            notify_url: String::new(),
            created_at: now,
            payable_until: now,
            prepay_ids: Vec::new(),
            payments: vec![payment.clone()],
            request: Value::Null,
            prepaid_at: Vec::new(),
        };
        state.book.orders.insert(out_trade_no.to_owned(), order);
        payment
    }

    /// What becomes of refunds from now on; `None`: they wait for [`FakeWeChatPay::conclude_refund`].
    pub fn plan_refunds(&self, plan: Option<RefundPlan>) {
        lock(&self.inner.state).plan = plan;
    }

    /// What becomes of the refund of this number, which is still to come.
    pub fn plan_refund(&self, out_refund_no: &str, plan: Option<RefundPlan>) {
        lock(&self.inner.state).plans.insert(out_refund_no.to_owned(), plan);
    }

    /// The refund ends like this now, as when somebody acts in the console; whether there is such a refund.
    pub fn conclude_refund(&self, out_refund_no: &str, outcome: RefundStatus) -> bool {
        let now = self.inner.now();
        let mut state = lock(&self.inner.state);
        let Some(refund) = state.book.refunds.get_mut(out_refund_no) else { return false };
        refund.conclude(outcome, now);
        self.inner.announce_refund(&mut state, out_refund_no);
        true
    }

    /// What the merchant can give back, in fen; no limit if `None`.
    pub fn set_balance(&self, fen: Option<i64>) {
        lock(&self.inner.state).balance = fen;
    }

    /// Lists these certificates, and signs with this one for those who do not ask for the public key. None listed: the
    /// merchant has only the public key.
    pub fn set_certificates(&self, listed: &[PlatformKey], signs: PlatformKey) {
        let mut state = lock(&self.inner.state);
        state.listed = listed.to_vec();
        state.answer_key = signs;
    }

    /// Signs notifies with this key from now on. It is the public key at first.
    pub fn sign_notifies_with(&self, key: PlatformKey) {
        lock(&self.inner.state).notify_key = key;
    }

    /// The announcement of the order's last payment, signed now, with the trouble of this name if any.
    pub fn sealed_payment(&self, out_trade_no: &str, trouble: Option<&str>) -> Option<SignedNotify> {
        let content = {
            let state = lock(&self.inner.state);
            let order = state.book.orders.get(out_trade_no)?;
            shapes::paid(&self.inner.options.mchid, order, order.payments.last()?, OrderState::Success)
        };
        Some(self.seal("TRANSACTION.SUCCESS", &content, trouble))
    }

    /// The announcement of the refund as it stands, signed now, with the trouble of this name if any.
    pub fn sealed_refund(&self, out_refund_no: &str, trouble: Option<&str>) -> Option<SignedNotify> {
        let (event, content) = {
            let mut state = lock(&self.inner.state);
            self.inner.settle(&mut state);
            let refund = state.book.refunds.get(out_refund_no)?;
            let content = shapes::refund_notice(&self.inner.options.mchid, refund);
            (format!("REFUND.{}", refund.status.word()), content)
        };
        Some(self.seal(&event, &content, trouble))
    }

    /// Any content as a signed notify.
    pub fn seal(&self, event: &str, content: &Value, trouble: Option<&str>) -> SignedNotify {
        let id = format!("EV-{}", self.inner.nonce(20));
        self.inner.seal(&id, event, content, trouble)
    }
}
