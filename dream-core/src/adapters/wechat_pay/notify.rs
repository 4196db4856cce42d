//! Notifies: verified, opened, read.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cipher::{CannotDecrypt, Encrypted};
use super::transaction::{Refund, Transaction};
use super::trust::SignatureHeaders;
use super::{WeChatPay, text};
use crate::ports::{NotifyRefusal, PaymentFacts, RefundFacts, RefusedAt, SignedNotify};
use crate::protocol::foreign;

#[derive(Deserialize)]
struct Envelope {
    event_type: String,
    resource: Encrypted,
}

impl WeChatPay {
    pub(super) async fn read_payment_notify(
        &self,
        notify: &SignedNotify,
    ) -> Result<PaymentFacts, NotifyRefusal> {
        let verdict = self.read_payment(notify).await;
        count("payment", verdict.as_ref().err());
        verdict
    }

    pub(super) async fn read_refund_notify(
        &self,
        notify: &SignedNotify,
    ) -> Result<RefundFacts, NotifyRefusal> {
        let verdict = self.read_refund(notify).await;
        count("refund", verdict.as_ref().err());
        verdict
    }

    async fn read_payment(&self, notify: &SignedNotify) -> Result<PaymentFacts, NotifyRefusal> {
        let transaction: Transaction = self.open(notify, "TRANSACTION.SUCCESS").await?;
        if transaction.trade_state != "SUCCESS" {
            return Err(body("the payment is not in state SUCCESS"));
        }
        transaction.facts().map_err(body)
    }

    async fn read_refund(&self, notify: &SignedNotify) -> Result<RefundFacts, NotifyRefusal> {
        let refund: Refund = self.open(notify, "REFUND.").await?;
        refund.facts().map_err(body)
    }

    /// The content of a notify whose event starts with this word.
    async fn open<T: DeserializeOwned>(
        &self,
        notify: &SignedNotify,
        event: &str,
    ) -> Result<T, NotifyRefusal> {
        if notify.body().len() > SignedNotify::MAX_BODY {
            return Err(body("the body is too large"));
        }
        let headers = SignatureHeaders::read(|name| notify.header(name));
        self.keys.verify(&self.downloads(), headers, notify.body()).await?;
        let envelope: Envelope = foreign::json(notify.body()).map_err(|error| body(text::misread(&error)))?;
        if !envelope.event_type.starts_with(event) {
            return Err(body("an event of another kind than this address is for"));
        }
        let plain = self.cipher.open(&envelope.resource).map_err(|error| match error {
            CannotDecrypt::Algorithm => body(error.to_string()),
            CannotDecrypt::Malformed | CannotDecrypt::Key => {
                NotifyRefusal::new(RefusedAt::Decrypt, error.to_string())
            }
        })?;
        foreign::json(&plain).map_err(|error| body(text::misread(&error)))
    }
}

fn body(message: impl Into<String>) -> NotifyRefusal {
    NotifyRefusal::new(RefusedAt::Body, message)
}

fn count(kind: &'static str, refusal: Option<&NotifyRefusal>) {
    let outcome = refusal.map_or("verified", |refusal| refusal.at.as_str());
    metrics::counter!("dream_wechat_pay_notifies_total", "kind" => kind, "outcome" => outcome).increment(1);
    if refusal.is_some_and(|refusal| refusal.probe) {
        metrics::counter!("dream_wechat_pay_notify_probes_total", "kind" => kind).increment(1);
    }
}
