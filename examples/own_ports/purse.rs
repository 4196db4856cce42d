//! Coins that are taken in this process: a payment channel without a platform.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dream_core::kernel::{Day, Fen, OrderId, RefundId};
use dream_core::ports::{
    ChannelOrder, ClientParams, Clock, CloseOutcome, Failure, FailureKind, NotifyRefusal, OrderRef,
    PayChannel, PayIdentity, PaymentFacts, Prepaid, PrepayRequest, RefundFacts, RefundRequest, RefundState,
    RefusedAt, SignedNotify, TradeBill, pay_code,
};

/// An order as the purse knows it.
#[derive(Debug)]
struct Sold {
    request: PrepayRequest,
    state: ChannelOrder,
}

#[derive(Debug, Default)]
struct Book {
    orders: HashMap<OrderId, Sold>,
    refunds: HashMap<RefundId, RefundFacts>,
}

/// A purse of coins.
#[derive(Debug)]
pub(crate) struct Purse {
    identity: PayIdentity,
    clock: Arc<dyn Clock>,
    book: Mutex<Book>,
}

fn refused(code: &str) -> Failure {
    Failure::new(Purse::NAME, FailureKind::Refused, "the purse says no").with_code(code)
}

impl Purse {
    pub(crate) const NAME: &'static str = "coins";

    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let identity = PayIdentity { mchid: "purse".to_owned(), appid: "purse".to_owned() };
        Self { identity, clock, book: Mutex::default() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody pays the order.
    pub(crate) fn pay(&self, order: &OrderId) -> Result<(), Failure> {
        let mut book = self.book();
        let sold = book.orders.get_mut(order).ok_or_else(|| refused(pay_code::NOT_FOUND))?;
        if sold.state != ChannelOrder::Unpaid {
            return Err(refused(pay_code::ORDER_CLOSED));
        }
        sold.state = ChannelOrder::Paid(PaymentFacts {
            transaction_id: format!("coins-{order}"),
            out_trade_no: order.to_string(),
            amount: sold.request.amount,
            currency: "CNY".to_owned(),
            payer_openid: sold.request.payer_openid.clone(),
            appid: self.identity.appid.clone(),
            mchid: self.identity.mchid.clone(),
            paid_at: self.clock.now(),
        });
        Ok(())
    }

    /// What was taken in all.
    pub(crate) fn taken(&self) -> Fen {
        let book = self.book();
        let paid = book.orders.values().filter(|sold| matches!(sold.state, ChannelOrder::Paid(_)));
        Fen::new(paid.map(|sold| sold.request.amount.get()).sum())
    }
}

#[async_trait]
impl PayChannel for Purse {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn identity(&self) -> &PayIdentity {
        &self.identity
    }

    async fn prepay(&self, request: &PrepayRequest) -> Result<Prepaid, Failure> {
        let mut book = self.book();
        let new = || Sold { request: request.clone(), state: ChannelOrder::Unpaid };
        let sold = book.orders.entry(request.order.clone()).or_insert_with(new);
        match sold.state {
            ChannelOrder::Unpaid if sold.request == *request => Ok(Prepaid {
                prepay_id: request.order.to_string(),
                expires_at: self.clock.now().plus(Duration::from_hours(2)),
            }),
            ChannelOrder::Unpaid => Err(refused(pay_code::NUMBER_USED)),
            ChannelOrder::Closed | ChannelOrder::Unknown => Err(refused(pay_code::ORDER_CLOSED)),
            ChannelOrder::Paid(_) | ChannelOrder::Refunding(_) => Err(refused(pay_code::ORDER_PAID)),
        }
    }

    fn client_params(&self, prepay_id: &str) -> Result<ClientParams, Failure> {
        Ok(ClientParams {
            time_stamp: self.clock.now().as_secs().to_string(),
            nonce_str: String::new(),
            package: format!("coins={prepay_id}"),
            sign_type: "none".to_owned(),
            pay_sign: String::new(),
        })
    }

    async fn query(&self, order: OrderRef<'_>) -> Result<ChannelOrder, Failure> {
        let book = self.book();
        let found = match order {
            OrderRef::Order(order) => book.orders.get(order),
            OrderRef::Transaction(id) => {
                book.orders.iter().find(|(order, _)| format!("coins-{order}") == id).map(|(_, sold)| sold)
            }
        };
        Ok(found.map_or(ChannelOrder::Unknown, |sold| sold.state.clone()))
    }

    async fn close(&self, order: &OrderId) -> Result<CloseOutcome, Failure> {
        let mut book = self.book();
        let sold = book.orders.get_mut(order).ok_or_else(|| refused(pay_code::NOT_FOUND))?;
        match sold.state {
            ChannelOrder::Paid(_) | ChannelOrder::Refunding(_) => Ok(CloseOutcome::AlreadyPaid),
            ChannelOrder::Unpaid | ChannelOrder::Closed | ChannelOrder::Unknown => {
                sold.state = ChannelOrder::Closed;
                Ok(CloseOutcome::Closed)
            }
        }
    }

    async fn refund(&self, request: &RefundRequest) -> Result<RefundFacts, Failure> {
        let mut book = self.book();
        if let Some(first) = book.refunds.get(&request.refund) {
            return Ok(first.clone());
        }
        let paid = |sold: &&mut Sold| {
            matches!(&sold.state, ChannelOrder::Paid(facts) | ChannelOrder::Refunding(facts)
            if facts.transaction_id == request.transaction_id)
        };
        let sold = book.orders.values_mut().find(paid).ok_or_else(|| refused(pay_code::NOT_FOUND))?;
        if let ChannelOrder::Paid(facts) = &sold.state {
            sold.state = ChannelOrder::Refunding(facts.clone());
        }
        let facts = RefundFacts {
            out_refund_no: request.refund.to_string(),
            channel_refund_id: format!("back-{}", request.refund),
            transaction_id: request.transaction_id.clone(),
            out_trade_no: sold.request.order.to_string(),
            amount: request.amount,
            total: request.total,
            mchid: Some(self.identity.mchid.clone()),
            state: RefundState::Succeeded(Some(self.clock.now())),
        };
        book.refunds.insert(request.refund.clone(), facts.clone());
        Ok(facts)
    }

    async fn query_refund(&self, refund: &RefundId) -> Result<Option<RefundFacts>, Failure> {
        Ok(self.book().refunds.get(refund).cloned())
    }

    async fn payment_notify(&self, _: &SignedNotify) -> Result<PaymentFacts, NotifyRefusal> {
        Err(NotifyRefusal::new(RefusedAt::Signature, "the purse announces nothing"))
    }

    async fn refund_notify(&self, _: &SignedNotify) -> Result<RefundFacts, NotifyRefusal> {
        Err(NotifyRefusal::new(RefusedAt::Signature, "the purse announces nothing"))
    }

    async fn trade_bill(&self, _: Day) -> Result<TradeBill, Failure> {
        Ok(TradeBill::default())
    }
}
