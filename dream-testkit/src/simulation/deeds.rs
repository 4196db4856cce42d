//! What users, admins, workers and the outside do, each as one task.

use std::sync::Arc;

use dream_core::jobs::{GenerateRequest, Mode, SampleCount};
use dream_core::kernel::{Day, Fen, IdempotencyKey, JobId, KeyName, OrderId, Points, UserId};
use dream_core::orders::{Difference, OrderStatus, RechargePoints, Settled, WECHAT};
use dream_core::ports::SignedNotify;
use dream_core::{Code, Dream, Result, Session, Worker};

use super::outside::{FAILING, REFUSED};

/// What is asked for under an idempotency key: who, which key, and what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ask {
    pub(super) user: usize,
    pub(super) kind: &'static str,
    pub(super) key: Option<u8>,
    pub(super) body: i64,
}

impl Ask {
    fn key(&self) -> Option<IdempotencyKey> {
        self.key.and_then(|key| format!("key-{key}").parse().ok())
    }
}

/// What becomes of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Painted,
    Fails,
    Refused,
}

#[derive(Debug, Clone)]
pub(super) enum Deed {
    Recharge(Ask),
    Purchase(Ask, &'static str),
    PayAgain(OrderId),
    Cancel(OrderId),
    Look(OrderId),
    Generate(Ask, Fate),
    Withdraw(JobId),
    Leave,
    Grant(UserId, i64),
    Refund(OrderId, Option<i64>),
    Query(OrderId),
    Close(OrderId),
    TellPayment(SignedNotify),
    TellRefund(SignedNotify),
    TellEvent(String, String),
    Work,
    Reconcile(Day),
}

/// What a deed brought about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Placed(Ask, OrderId, i64),
    Payable(OrderId),
    Cancelled(OrderId),
    Seen(OrderStatus),
    Made(Ask, JobId),
    Withdrawn(JobId),
    Left,
    Granted,
    Refunding(String),
    Settled(Settled),
    Heard,
    Worked(usize),
    /// Differences that nobody can explain.
    Reconciled(Vec<String>),
}

/// Who does it, and where.
#[derive(Clone)]
pub(super) struct Doer {
    pub(super) dream: Dream,
    pub(super) worker: Arc<Worker>,
    pub(super) session: Option<Arc<Session>>,
}

impl Doer {
    fn me(&self) -> Result<&Session> {
        self.session.as_deref().ok_or(Code::Unauthenticated.into())
    }

    fn admin(&self) -> dream_core::Admin {
        let name: KeyName = "admin".parse().expect("a name");
        self.dream.operator(name)
    }
}

impl Deed {
    /// Does it. Errors come as their codes, with what is behind them.
    pub(super) async fn perform(self, doer: Doer) -> Result<Effect, (Code, String)> {
        self.attempt(&doer).await.map_err(|error| (error.code(), error.chain()))
    }

    async fn attempt(self, doer: &Doer) -> Result<Effect> {
        let dream = &doer.dream;
        Ok(match self {
            Deed::Recharge(ask) => {
                let points = RechargePoints::new(ask.body).map_err(|_| Code::Internal)?;
                let placed = doer.me()?.recharge(points, WECHAT, ask.key().as_ref()).await?;
                Effect::Placed(ask, placed.order.order_id, placed.order.amount.get())
            }
            Deed::Purchase(ask, plan) => {
                let plan = plan.parse().map_err(|_| Code::Internal)?;
                let placed = doer.me()?.purchase(&plan, WECHAT, ask.key().as_ref()).await?;
                Effect::Placed(ask, placed.order.order_id, placed.order.amount.get())
            }
            Deed::PayAgain(order) => {
                doer.me()?.pay_order(&order).await?;
                Effect::Payable(order)
            }
            Deed::Cancel(order) => Effect::Cancelled(doer.me()?.cancel_order(&order).await?.order_id),
            Deed::Look(order) => Effect::Seen(doer.me()?.order(&order).await?.state.status()),
            Deed::Generate(ask, fate) => {
                let made = doer.me()?.generate(&request(&ask, fate)?, ask.key().as_ref(), None).await?;
                Effect::Made(ask, made.job_id)
            }
            Deed::Withdraw(job) => Effect::Withdrawn(doer.me()?.cancel_job(&job).await?.job_id),
            Deed::Leave => {
                // A session is used up by it, and this one is shared.
                doer.admin().delete_user(doer.me()?.user_id()).await?;
                Effect::Left
            }
            Deed::Grant(user, points) => {
                doer.admin().grant_points(user, Points::new(points), "a gift").await?;
                Effect::Granted
            }
            Deed::Refund(order, fen) => {
                let refund = doer.admin().refund_order(&order, fen.map(Fen::new), "changed mind").await?;
                Effect::Refunding(refund.refund_id.to_string())
            }
            Deed::Query(order) => Effect::Seen(doer.admin().query_order(&order).await?.state.status()),
            Deed::Close(order) => Effect::Cancelled(doer.admin().close_order(&order, None).await?.order_id),
            Deed::TellPayment(notify) => {
                Effect::Settled(dream.payment_notify(WECHAT, &notify).await?.settle().await?)
            }
            Deed::TellRefund(notify) => {
                dream.refund_notify(WECHAT, &notify).await?.settle().await?;
                Effect::Heard
            }
            Deed::TellEvent(signature, body) => {
                dream.image_webhook(Some(signature.as_bytes()), body.as_bytes())?.apply().await?;
                Effect::Heard
            }
            Deed::Work => Effect::Worked(doer.worker.run_due().await?),
            Deed::Reconcile(day) => {
                let found = doer.admin().reconcile(day).await?.differences;
                Effect::Reconciled(
                    found.iter().filter(|one| !is_explained(one)).map(|one| format!("{one:?}")).collect(),
                )
            }
        })
    }
}

/// Only the bill told of it, and it took effect; or it was taken on after midnight, and stands on the next bill.
fn is_explained(difference: &Difference) -> bool {
    matches!(difference, Difference::PaidThereOnly { settled: true, .. } | Difference::RefundHereOnly { .. })
}

fn request(ask: &Ask, fate: Fate) -> Result<GenerateRequest> {
    let mark = match fate {
        Fate::Painted => "",
        Fate::Fails => FAILING,
        Fate::Refused => REFUSED,
    };
    let mut request = GenerateRequest::new(format!("a cat {mark}").parse().map_err(|_| Code::Internal)?);
    request.mode = Some(Mode::Draft);
    request.sample_count = Some(SampleCount::new(ask.body).map_err(|_| Code::Internal)?);
    Ok(request)
}
