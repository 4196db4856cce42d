//! The platform's JSON for payments and refunds, and the facts in it.

use serde::Deserialize;

use crate::kernel::{Fen, Timestamp};
use crate::ports::{ChannelOrder, PaymentFacts, RefundFacts, RefundState};

/// A payment, as queries and notifies tell it. What an unpaid one lacks is optional.
#[derive(Debug, Deserialize)]
pub(super) struct Transaction {
    pub(super) mchid: String,
    #[serde(default)]
    appid: Option<String>,
    pub(super) out_trade_no: String,
    #[serde(default, rename = "transaction_id")]
    id: Option<String>,
    pub(super) trade_state: String,
    #[serde(default)]
    success_time: Option<String>,
    #[serde(default)]
    payer: Option<Payer>,
    #[serde(default)]
    amount: Option<Amount>,
}

#[derive(Debug, Deserialize)]
struct Payer {
    #[serde(default)]
    openid: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Amount {
    #[serde(default)]
    total: Option<i64>,
    #[serde(default)]
    currency: Option<String>,
}

impl Transaction {
    /// The facts of a payment, all of which a paid one has.
    pub(super) fn facts(self) -> Result<PaymentFacts, String> {
        let amount = self.amount.ok_or("no amount")?;
        let paid_at = filled(self.success_time, "success_time")?;
        Ok(PaymentFacts {
            transaction_id: filled(self.id, "transaction_id")?,
            out_trade_no: self.out_trade_no,
            amount: Fen::new(amount.total.ok_or("no amount.total")?),
            currency: filled(amount.currency, "amount.currency")?,
            payer_openid: filled(self.payer.and_then(|payer| payer.openid), "payer.openid")?,
            appid: filled(self.appid, "appid")?,
            mchid: self.mchid,
            paid_at: paid_at.parse().map_err(|_| "success_time is no time")?,
        })
    }

    /// Where the order stands.
    pub(super) fn state(self) -> Result<ChannelOrder, String> {
        match self.trade_state.as_str() {
            "SUCCESS" => self.facts().map(ChannelOrder::Paid),
            "REFUND" => self.facts().map(ChannelOrder::Refunding),
            "NOTPAY" | "USERPAYING" | "PAYERROR" => Ok(ChannelOrder::Unpaid),
            "CLOSED" | "REVOKED" => Ok(ChannelOrder::Closed),
            other => Err(format!("unknown trade_state {other:?}")),
        }
    }
}

fn filled(field: Option<String>, name: &str) -> Result<String, String> {
    field.filter(|text| !text.is_empty()).ok_or_else(|| format!("no {name}"))
}

/// A refund, as answers and notifies tell it.
#[derive(Debug, Deserialize)]
pub(super) struct Refund {
    #[serde(default)]
    mchid: Option<String>,
    pub(super) out_refund_no: String,
    #[serde(rename = "refund_id")]
    id: String,
    transaction_id: String,
    out_trade_no: String,
    /// Named `refund_status` in notifies.
    #[serde(alias = "refund_status")]
    status: String,
    #[serde(default)]
    success_time: Option<String>,
    amount: RefundAmount,
}

#[derive(Debug, Deserialize)]
struct RefundAmount {
    total: i64,
    refund: i64,
}

impl Refund {
    pub(super) fn facts(self) -> Result<RefundFacts, String> {
        let state = match self.status.as_str() {
            "SUCCESS" => RefundState::Succeeded(self.success_time.as_deref().map(time).transpose()?),
            "PROCESSING" => RefundState::Processing,
            "ABNORMAL" => RefundState::Abnormal,
            // One SDK writes it without the last letter.
            "CLOSED" | "CLOSE" => RefundState::Closed,
            other => return Err(format!("unknown refund status {other:?}")),
        };
        Ok(RefundFacts {
            out_refund_no: self.out_refund_no,
            channel_refund_id: self.id,
            transaction_id: self.transaction_id,
            out_trade_no: self.out_trade_no,
            amount: Fen::new(self.amount.refund),
            total: Fen::new(self.amount.total),
            mchid: self.mchid,
            state,
        })
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "success_time is no time".to_owned())
}
