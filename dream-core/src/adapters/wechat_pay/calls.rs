//! The calls about orders and refunds.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::transaction::{Refund, Transaction};
use super::transport::{Answer, Request};
use super::trust::SignatureHeaders;
use super::{SERVICE, WeChatPay, text};
use crate::kernel::{OrderId, RefundId};
use crate::ports::{
    ChannelOrder, CloseOutcome, Failure, FailureKind, OrderRef, PayTrouble, Prepaid, PrepayRequest,
    RefundFacts, RefundRequest, pay_code,
};
use crate::protocol::foreign;

/// How long a `prepay_id` can be used.
const PREPAY_LIFE: Duration = Duration::from_hours(2);
const MAX_DESCRIPTION: usize = 127;
const MAX_REASON: usize = 80;
const MAX_ATTACH: usize = 128;
const MAX_OPENID: usize = 128;
const MAX_PREPAY_ID: usize = 64;
const CURRENCY: &str = "CNY";
const FIRST_RETRY_AFTER: Duration = Duration::from_millis(100);

#[derive(Serialize)]
struct PrepayBody<'a> {
    appid: &'a str,
    mchid: &'a str,
    description: &'a str,
    out_trade_no: &'a str,
    time_expire: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attach: Option<&'a str>,
    notify_url: &'a str,
    amount: OrderAmount,
    payer: PayerBody<'a>,
}

#[derive(Serialize)]
struct OrderAmount {
    total: i64,
    currency: &'static str,
}

#[derive(Serialize)]
struct PayerBody<'a> {
    openid: &'a str,
}

#[derive(Deserialize)]
struct PrepayAnswer {
    prepay_id: String,
}

#[derive(Serialize)]
struct CloseBody<'a> {
    mchid: &'a str,
}

#[derive(Serialize)]
struct RefundBody<'a> {
    transaction_id: &'a str,
    out_refund_no: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notify_url: Option<&'a str>,
    amount: RefundBodyAmount,
}

#[derive(Serialize)]
struct RefundBodyAmount {
    refund: i64,
    total: i64,
    currency: &'static str,
}

impl WeChatPay {
    /// Sends the request and verifies the answer. Every request of this API may be repeated with the same bytes, so that
    /// one whose outcome is unknown, or whose answer does not verify, is.
    pub(super) async fn ask(&self, request: &Request) -> Result<Answer, Failure> {
        let limits = self.transport.limits();
        let policy =
            ExponentialBuilder::default().with_min_delay(FIRST_RETRY_AFTER).with_max_times(limits.retries);
        let attempts = (|| async {
            let answer = self.transport.send(request).await?;
            self.verified(answer).await
        })
        .retry(policy)
        .when(|failure: &Failure| PayTrouble::of(failure) == PayTrouble::RetrySame);
        tokio::time::timeout(limits.call, attempts).await.unwrap_or_else(|_| {
            Err(Failure::new(SERVICE, FailureKind::TimedOut, "the call with its repeats took too long"))
        })
    }

    async fn verified(&self, answer: Answer) -> Result<Answer, Failure> {
        let headers = SignatureHeaders::read(|name| answer.header(name));
        match self.keys.verify(&self.downloads(), headers, &answer.body).await {
            Ok(()) => Ok(answer),
            Err(refusal) => {
                let at = refusal.at.as_str();
                metrics::counter!("dream_wechat_pay_unverified_answers_total", "at" => at).increment(1);
                tracing::warn!(at, reason = refusal.message, "an answer does not verify");
                let message = format!("the answer does not verify: {}", refusal.message);
                Err(Failure::new(SERVICE, FailureKind::Unknown, message).with_code(pay_code::UNVERIFIED))
            }
        }
    }

    pub(super) async fn ask_for<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Failure> {
        let answer = self.ask(request).await?;
        foreign::json(&answer.body).map_err(|error| senseless(text::misread(&error)))
    }

    pub(super) async fn call_prepay(&self, request: &PrepayRequest) -> Result<Prepaid, Failure> {
        let description = text::cleaned(&request.description, MAX_DESCRIPTION);
        let attach = request.attach.as_deref();
        check_prepay(request, &description)?;
        let body = PrepayBody {
            appid: &self.identity.appid,
            mchid: &self.identity.mchid,
            description: &description,
            out_trade_no: request.order.as_str(),
            time_expire: text::beijing_time(request.expires_at),
            attach,
            notify_url: request.notify_url.as_deref().unwrap_or(&self.notify_url),
            amount: OrderAmount { total: request.amount.get(), currency: CURRENCY },
            payer: PayerBody { openid: &request.payer_openid },
        };
        let request = Request::post("wechat_pay.prepay", "/v3/pay/transactions/jsapi".to_owned(), &body)?;
        let asked_at = self.clock.now();
        let answer: PrepayAnswer = self.ask_for(&request).await?;
        if !(1..=MAX_PREPAY_ID).contains(&answer.prepay_id.len()) {
            return Err(senseless("its prepay_id cannot be one"));
        }
        Ok(Prepaid { prepay_id: answer.prepay_id, expires_at: asked_at.plus(PREPAY_LIFE) })
    }

    pub(super) async fn call_query(&self, order: OrderRef<'_>) -> Result<ChannelOrder, Failure> {
        let (kind, number) = match order {
            OrderRef::Order(order) => ("out-trade-no", order.as_str()),
            OrderRef::Transaction(id) => ("id", id),
        };
        let number = text::segment(number);
        let target = format!("/v3/pay/transactions/{kind}/{number}?mchid={}", self.identity.mchid);
        let transaction: Transaction = match self.ask_for(&Request::get("wechat_pay.query", target)).await {
            Err(failure) if PayTrouble::of(&failure) == PayTrouble::NotFound => {
                return Ok(ChannelOrder::Unknown);
            }
            outcome => outcome?,
        };
        if matches!(order, OrderRef::Order(order) if order.as_str() != transaction.out_trade_no) {
            return Err(senseless("it tells of another order"));
        }
        transaction.state().map_err(senseless)
    }

    pub(super) async fn call_close(&self, order: &OrderId) -> Result<CloseOutcome, Failure> {
        let target = format!("/v3/pay/transactions/out-trade-no/{}/close", text::segment(order.as_str()));
        let request = Request::post("wechat_pay.close", target, &CloseBody { mchid: &self.identity.mchid })?;
        match self.ask(&request).await {
            Ok(_) => Ok(CloseOutcome::Closed),
            Err(failure) => match PayTrouble::of(&failure) {
                PayTrouble::OrderPaid => Ok(CloseOutcome::AlreadyPaid),
                PayTrouble::OrderClosed | PayTrouble::NotFound => Ok(CloseOutcome::Closed),
                _ => Err(failure),
            },
        }
    }

    pub(super) async fn call_refund(&self, request: &RefundRequest) -> Result<RefundFacts, Failure> {
        if !request.amount.is_positive() || request.amount > request.total {
            return Err(refused("a refund is of 1 fen up to the order's total"));
        }
        let reason = request.reason.as_deref().map(|reason| text::cleaned(reason, MAX_REASON));
        let body = RefundBody {
            transaction_id: &request.transaction_id,
            out_refund_no: request.refund.as_str(),
            reason: reason.filter(|reason| !reason.is_empty()),
            notify_url: self.refund_notify_url.as_deref(),
            amount: RefundBodyAmount {
                refund: request.amount.get(),
                total: request.total.get(),
                currency: CURRENCY,
            },
        };
        let answer: Refund = self
            .ask_for(&Request::post("wechat_pay.refund", "/v3/refund/domestic/refunds".to_owned(), &body)?)
            .await?;
        facts_of(answer, &request.refund)
    }

    pub(super) async fn call_query_refund(&self, refund: &RefundId) -> Result<Option<RefundFacts>, Failure> {
        let target = format!("/v3/refund/domestic/refunds/{}", text::segment(refund.as_str()));
        match self.ask_for(&Request::get("wechat_pay.refund_query", target)).await {
            Ok(answer) => facts_of(answer, refund).map(Some),
            Err(failure) if PayTrouble::of(&failure) == PayTrouble::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

fn facts_of(answer: Refund, refund: &RefundId) -> Result<RefundFacts, Failure> {
    if answer.out_refund_no != refund.as_str() {
        return Err(senseless("it tells of another refund"));
    }
    answer.facts().map_err(senseless)
}

/// What the platform would refuse anyway is not sent.
fn check_prepay(request: &PrepayRequest, description: &str) -> Result<(), Failure> {
    if !request.amount.is_positive() {
        return Err(refused("an order is of at least 1 fen"));
    }
    if description.is_empty() {
        return Err(refused("an order needs a description"));
    }
    if !(1..=MAX_OPENID).contains(&request.payer_openid.len()) {
        return Err(refused("an openid has 1 to 128 characters"));
    }
    // It comes back with the payment, so cutting it would change its meaning.
    if request.attach.as_deref().is_some_and(|attach| text::cleaned(attach, MAX_ATTACH) != attach) {
        return Err(refused("what is attached has at most 128 bytes, without emoji and control characters"));
    }
    Ok(())
}

fn refused(message: &str) -> Failure {
    Failure::new(SERVICE, FailureKind::Refused, message)
}

fn senseless(problem: impl std::fmt::Display) -> Failure {
    Failure::new(SERVICE, FailureKind::Unknown, format!("the answer makes no sense: {problem}"))
}
