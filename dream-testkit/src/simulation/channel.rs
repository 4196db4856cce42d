//! The payment platform, at the port: orders, payments, refunds, and what it tells.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dream_core::kernel::{Day, Fen, OrderId, RefundId, Timestamp, Zone};
use dream_core::ports::{
    BillEntry, BillRow, ChannelOrder, ClientParams, CloseOutcome, Failure, FailureKind, NotifyRefusal,
    OrderRef, PayChannel, PayIdentity, PaymentFacts, Prepaid, PrepayRequest, RefundFacts, RefundRequest,
    RefundState, RefusedAt, SignedNotify, TradeBill, pay_code,
};
use serde_json::{Value, json};

use super::stage::Stage;
use crate::fakes::lock;
use crate::fakes::wechat_pay::RETRY_AFTER_SECS;

const NAME: &str = "wechat";
const SIGNATURE: &str = "x-signature";

/// An order as the platform has it.
#[derive(Debug)]
pub(super) struct Sale {
    request: PrepayRequest,
    closed: bool,
    pub(super) payments: Vec<PaymentFacts>,
    refunding: bool,
}

/// A refund as the platform has it.
#[derive(Debug)]
pub(super) struct Return {
    pub(super) facts: RefundFacts,
    created_at: Timestamp,
    due: Option<(Timestamp, RefundState)>,
}

/// What the platform has to tell.
#[derive(Debug, Clone)]
pub(super) enum News {
    Payment(PaymentFacts),
    Refund(RefundFacts),
}

/// A notice that is told until it is taken.
#[derive(Debug)]
struct Notice {
    news: News,
    tries: usize,
    due: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Book {
    sales: BTreeMap<String, Sale>,
    returns: BTreeMap<String, Return>,
    notices: Vec<Notice>,
    numbers: u64,
}

/// The platform. All processes talk to this one.
pub(super) struct Channel {
    stage: Arc<Stage>,
    identity: PayIdentity,
    book: Mutex<Book>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel")
    }
}

/// How a notice reaches us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    Plain,
    Forged,
    WrongAmount,
    WrongPayer,
    WrongMerchant,
}

fn refused(code: &'static str) -> Failure {
    Failure::new(NAME, FailureKind::Refused, code).with_code(code)
}

impl Channel {
    pub(super) fn new(stage: Arc<Stage>) -> Arc<Self> {
        let identity = PayIdentity { mchid: "1900000001".to_owned(), appid: "wx0000000000000001".to_owned() };
        Arc::new(Self { stage, identity, book: Mutex::default() })
    }

    pub(super) fn reset(&self) {
        *lock(&self.book) = Book::default();
    }

    /// The call is on its way: it may fail before anything happened.
    async fn call(&self, what: &'static str) -> Result<(), Failure> {
        self.stage.pause(what).await;
        super::outside_fails_before(&self.stage, NAME, what)
    }

    /// The answer is on its way: it may be lost.
    async fn answer<T>(&self, what: &'static str, answer: T) -> Result<T, Failure> {
        super::outside_fails_after(&self.stage, NAME, what).await?;
        Ok(answer)
    }

    /// Results of refunds whose time has come.
    pub(super) fn settle(&self) {
        let now = self.stage.now();
        let mut book = lock(&self.book);
        let mut news = Vec::new();
        for refund in book.returns.values_mut() {
            if let Some((at, state)) = refund.due.filter(|(at, _)| *at <= now) {
                // Somebody acts in the console a while after a refund got stuck.
                refund.due = (state == RefundState::Abnormal)
                    .then(|| (at.plus(Duration::from_hours(5)), RefundState::Succeeded(None)));
                refund.facts.state = match state {
                    RefundState::Succeeded(_) => RefundState::Succeeded(Some(at)),
                    other => other,
                };
                news.push(News::Refund(refund.facts.clone()));
            }
        }
        for news in news {
            book.notices.push(Notice { news, tries: 0, due: Some(now) });
        }
    }

    /// When it does something by itself next.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let book = lock(&self.book);
        let refunds = book.returns.values().filter_map(|refund| refund.due.map(|(at, _)| at));
        refunds.chain(book.notices.iter().filter_map(|notice| notice.due)).min()
    }

    /// The notices that are to be told now.
    pub(super) fn due(&self) -> Vec<usize> {
        let now = self.stage.now();
        let book = lock(&self.book);
        let due = |(place, notice): (usize, &Notice)| notice.due.is_some_and(|at| at <= now).then_some(place);
        book.notices.iter().enumerate().filter_map(due).collect()
    }

    /// Takes a notice off the schedule to tell it; it is put on it again unless it is taken.
    pub(super) fn tell(&self, place: usize, telling: Telling) -> Option<(SignedNotify, bool)> {
        let mut book = lock(&self.book);
        let notice = book.notices.get_mut(place)?;
        notice.due = None;
        let news = notice.news.clone();
        let is_payment = matches!(news, News::Payment(_));
        Some((sealed(&lied(news, telling), telling), is_payment))
    }

    /// The notice was not taken, as far as the platform knows.
    pub(super) fn put_off(&self, place: usize) {
        let now = self.stage.now();
        let mut book = lock(&self.book);
        if let Some(notice) = book.notices.get_mut(place) {
            notice.due = RETRY_AFTER_SECS.get(notice.tries).map(|secs| now.plus(Duration::from_secs(*secs)));
            notice.tries += 1;
        }
    }

    /// A phone pays the order, once more if it was paid already; the number of the payment.
    pub(super) fn pay(&self, order: &str, again: bool) -> Option<String> {
        let now = self.stage.now();
        let mut book = lock(&self.book);
        book.numbers += 1;
        let transaction_id = format!("4200{:012}", book.numbers);
        let sale = book.sales.get_mut(order)?;
        let payable = !sale.closed && sale.request.expires_at >= now && sale.payments.is_empty();
        let paid_again = again && !sale.payments.is_empty() && sale.payments.len() < 3;
        if !(payable || paid_again) {
            return None;
        }
        let facts = PaymentFacts {
            transaction_id: transaction_id.clone(),
            out_trade_no: order.to_owned(),
            amount: sale.request.amount,
            currency: "CNY".to_owned(),
            payer_openid: sale.request.payer_openid.clone(),
            appid: self.identity.appid.clone(),
            mchid: self.identity.mchid.clone(),
            paid_at: now,
        };
        sale.payments.push(facts.clone());
        book.notices.push(Notice { news: News::Payment(facts), tries: 0, due: Some(now) });
        Some(transaction_id)
    }

    /// All payments: order, number, amount.
    pub(super) fn payments(&self) -> Vec<(String, String, i64)> {
        let book = lock(&self.book);
        let read = |facts: &PaymentFacts| {
            (facts.out_trade_no.clone(), facts.transaction_id.clone(), facts.amount.get())
        };
        book.sales.values().flat_map(|sale| sale.payments.iter().map(read)).collect()
    }

    /// All refunds: number, payment, amount, and how they stand.
    pub(super) fn refunds(&self) -> Vec<(String, String, i64, RefundState)> {
        let book = lock(&self.book);
        let read = |refund: &Return| {
            let facts = &refund.facts;
            (facts.out_refund_no.clone(), facts.transaction_id.clone(), facts.amount.get(), facts.state)
        };
        book.returns.values().map(read).collect()
    }

    fn new_refund(&self, book: &mut Book, request: &RefundRequest) -> Result<RefundFacts, Failure> {
        let now = self.stage.now();
        let sale = book
            .sales
            .values_mut()
            .find(|sale| sale.payments.iter().any(|paid| paid.transaction_id == request.transaction_id))
            .ok_or_else(|| refused(pay_code::NOT_FOUND))?;
        let given: i64 = book
            .returns
            .values()
            .filter(|refund| refund.facts.transaction_id == request.transaction_id)
            .filter(|refund| refund.facts.state != RefundState::Closed)
            .map(|refund| refund.facts.amount.get())
            .sum();
        if request.total != sale.request.amount || given + request.amount.get() > request.total.get() {
            return Err(refused("INVALID_REQUEST"));
        }
        if self.stage.chance(self.stage.weather().outside / 2.0) {
            return Err(refused(pay_code::NOT_ENOUGH));
        }
        sale.refunding = true;
        book.numbers += 1;
        let facts = RefundFacts {
            out_refund_no: request.refund.to_string(),
            channel_refund_id: format!("5030{:012}", book.numbers),
            transaction_id: request.transaction_id.clone(),
            out_trade_no: sale.request.order.to_string(),
            amount: request.amount,
            total: request.total,
            mchid: Some(self.identity.mchid.clone()),
            state: RefundState::Processing,
        };
        let after = Duration::from_secs(u64::try_from(self.stage.between(0, 4000)).unwrap_or(0));
        let outcome = self
            .stage
            .weighted(&[
                (8, RefundState::Succeeded(None)),
                (1, RefundState::Closed),
                (1, RefundState::Abnormal),
            ])
            .unwrap_or(RefundState::Closed);
        let refund = Return { facts: facts.clone(), created_at: now, due: Some((now.plus(after), outcome)) };
        book.returns.insert(request.refund.to_string(), refund);
        Ok(facts)
    }
}

#[async_trait]
impl PayChannel for Channel {
    fn name(&self) -> &'static str {
        NAME
    }

    fn identity(&self) -> &PayIdentity {
        &self.identity
    }

    async fn prepay(&self, request: &PrepayRequest) -> Result<Prepaid, Failure> {
        self.call("prepay").await?;
        let number = {
            let mut book = lock(&self.book);
            book.numbers += 1;
            let number = book.numbers;
            let sale = book.sales.entry(request.order.to_string()).or_insert_with(|| Sale {
                request: request.clone(),
                closed: false,
                payments: Vec::new(),
                refunding: false,
            });
            if sale.request != *request {
                return Err(refused(pay_code::NUMBER_USED));
            }
            if !sale.payments.is_empty() {
                return Err(refused(pay_code::ORDER_PAID));
            }
            if sale.closed {
                return Err(refused(pay_code::ORDER_CLOSED));
            }
            number
        };
        let prepaid = Prepaid {
            prepay_id: format!("wx{number:012}"),
            expires_at: self.stage.now().plus(Duration::from_hours(2)),
        };
        self.answer("prepay", prepaid).await
    }

    fn client_params(&self, prepay_id: &str) -> Result<ClientParams, Failure> {
        Ok(ClientParams {
            time_stamp: self.stage.now().as_secs().to_string(),
            nonce_str: "nonce".to_owned(),
            package: format!("prepay_id={prepay_id}"),
            sign_type: "RSA".to_owned(),
            pay_sign: "signed".to_owned(),
        })
    }

    async fn query(&self, order: OrderRef<'_>) -> Result<ChannelOrder, Failure> {
        self.call("query").await?;
        let found = {
            let book = lock(&self.book);
            match order {
                OrderRef::Order(id) => match book.sales.get(id.as_str()) {
                    None => ChannelOrder::Unknown,
                    Some(sale) => match sale.payments.first() {
                        Some(facts) if sale.refunding => ChannelOrder::Refunding(facts.clone()),
                        Some(facts) => ChannelOrder::Paid(facts.clone()),
                        None if sale.closed => ChannelOrder::Closed,
                        None => ChannelOrder::Unpaid,
                    },
                },
                OrderRef::Transaction(id) => {
                    let all = book.sales.values().flat_map(|sale| &sale.payments);
                    match all.into_iter().find(|facts| facts.transaction_id == id) {
                        Some(facts) => ChannelOrder::Paid(facts.clone()),
                        None => ChannelOrder::Unknown,
                    }
                }
            }
        };
        self.answer("query", found).await
    }

    async fn close(&self, order: &OrderId) -> Result<CloseOutcome, Failure> {
        self.call("close").await?;
        let outcome = match lock(&self.book).sales.get_mut(order.as_str()) {
            Some(sale) if !sale.payments.is_empty() => CloseOutcome::AlreadyPaid,
            Some(sale) => {
                sale.closed = true;
                CloseOutcome::Closed
            }
            None => CloseOutcome::Closed,
        };
        self.answer("close", outcome).await
    }

    async fn refund(&self, request: &RefundRequest) -> Result<RefundFacts, Failure> {
        self.call("refund").await?;
        let facts = {
            let mut book = lock(&self.book);
            match book.returns.get(request.refund.as_str()).map(|refund| refund.facts.clone()) {
                Some(facts) if facts.amount == request.amount && facts.total == request.total => facts,
                Some(_) => return Err(refused("INVALID_REQUEST")),
                None => self.new_refund(&mut book, request)?,
            }
        };
        self.answer("refund", facts).await
    }

    async fn query_refund(&self, refund: &RefundId) -> Result<Option<RefundFacts>, Failure> {
        self.call("query_refund").await?;
        let found = lock(&self.book).returns.get(refund.as_str()).map(|refund| refund.facts.clone());
        self.answer("query_refund", found).await
    }

    async fn payment_notify(&self, notify: &SignedNotify) -> Result<PaymentFacts, NotifyRefusal> {
        let news = opened(notify)?;
        let unread = || NotifyRefusal::new(RefusedAt::Body, "no payment");
        let text = |name: &str| news[name].as_str().map(str::to_owned).ok_or_else(unread);
        Ok(PaymentFacts {
            transaction_id: text("transaction")?,
            out_trade_no: text("order")?,
            amount: Fen::new(news["amount"].as_i64().ok_or_else(unread)?),
            currency: text("currency")?,
            payer_openid: text("payer")?,
            appid: text("appid")?,
            mchid: text("mchid")?,
            paid_at: Timestamp::from_micros(news["at"].as_i64().ok_or_else(unread)?),
        })
    }

    async fn refund_notify(&self, notify: &SignedNotify) -> Result<RefundFacts, NotifyRefusal> {
        let news = opened(notify)?;
        let unread = || NotifyRefusal::new(RefusedAt::Body, "no refund");
        let text = |name: &str| news[name].as_str().map(str::to_owned).ok_or_else(unread);
        let amount = |name: &str| news[name].as_i64().map(Fen::new).ok_or_else(unread);
        Ok(RefundFacts {
            out_refund_no: text("refund")?,
            channel_refund_id: text("channel_refund")?,
            transaction_id: text("transaction")?,
            out_trade_no: text("order")?,
            amount: amount("amount")?,
            total: amount("total")?,
            mchid: Some(text("mchid")?),
            state: match text("state")?.as_str() {
                "succeeded" => RefundState::Succeeded(None),
                "closed" => RefundState::Closed,
                "abnormal" => RefundState::Abnormal,
                _ => RefundState::Processing,
            },
        })
    }

    async fn trade_bill(&self, day: Day) -> Result<TradeBill, Failure> {
        let zone = Zone::default();
        let book = lock(&self.book);
        let row = |at: Timestamp, order: &str, transaction: &str, total: Fen, entry: BillEntry| BillRow {
            at,
            transaction_id: transaction.to_owned(),
            out_trade_no: order.to_owned(),
            payer_openid: String::new(),
            appid: self.identity.appid.clone(),
            mchid: self.identity.mchid.clone(),
            currency: "CNY".to_owned(),
            total,
            settled: total,
            coupon: Fen::ZERO,
            fee_millifen: 0,
            description: String::new(),
            attach: String::new(),
            entry,
        };
        let paid = book.sales.values().flat_map(|sale| &sale.payments).map(|facts| {
            row(facts.paid_at, &facts.out_trade_no, &facts.transaction_id, facts.amount, BillEntry::Payment)
        });
        let returned = book.returns.values().map(|refund| {
            let facts = &refund.facts;
            let entry = BillEntry::Refund {
                channel_refund_id: facts.channel_refund_id.clone(),
                out_refund_no: facts.out_refund_no.clone(),
                amount: facts.amount,
                applied: facts.amount,
                status: "SUCCESS".to_owned(),
            };
            row(refund.created_at, &facts.out_trade_no, &facts.transaction_id, Fen::ZERO, entry)
        });
        let rows: Vec<BillRow> = paid.chain(returned).filter(|row| zone.day(row.at) == day).collect();
        Ok(TradeBill { rows, ..TradeBill::default() })
    }
}

fn lied(news: News, telling: Telling) -> News {
    match news {
        News::Payment(mut facts) => {
            match telling {
                Telling::Plain | Telling::Forged => {}
                Telling::WrongAmount => facts.amount = Fen::new(1),
                Telling::WrongPayer => "somebody-else".clone_into(&mut facts.payer_openid),
                Telling::WrongMerchant => "1900000002".clone_into(&mut facts.mchid),
            }
            News::Payment(facts)
        }
        News::Refund(mut facts) => {
            match telling {
                Telling::Plain | Telling::Forged => {}
                Telling::WrongAmount | Telling::WrongPayer => facts.amount = Fen::new(facts.amount.get() + 1),
                Telling::WrongMerchant => facts.mchid = Some("1900000002".to_owned()),
            }
            News::Refund(facts)
        }
    }
}

fn signature(body: &str) -> String {
    let mut hasher = DefaultHasher::new();
    ("the key of the platform", body).hash(&mut hasher);
    hasher.finish().to_string()
}

fn sealed(news: &News, telling: Telling) -> SignedNotify {
    let body = match news {
        News::Payment(facts) => json!({
            "transaction": facts.transaction_id, "order": facts.out_trade_no, "amount": facts.amount.get(),
            "currency": facts.currency, "payer": facts.payer_openid, "appid": facts.appid, "mchid": facts.mchid,
            "at": facts.paid_at.as_micros(),
        }),
        News::Refund(facts) => json!({
            "refund": facts.out_refund_no, "channel_refund": facts.channel_refund_id,
            "transaction": facts.transaction_id, "order": facts.out_trade_no, "amount": facts.amount.get(),
            "total": facts.total.get(), "mchid": facts.mchid,
            "state": match facts.state {
                RefundState::Succeeded(_) => "succeeded",
                RefundState::Closed => "closed",
                RefundState::Abnormal => "abnormal",
                RefundState::Processing => "processing",
            },
        }),
    };
    let body = body.to_string();
    let signature = if telling == Telling::Forged { "forged".to_owned() } else { signature(&body) };
    SignedNotify::new([(SIGNATURE, signature)], body)
}

fn opened(notify: &SignedNotify) -> Result<Value, NotifyRefusal> {
    let body =
        std::str::from_utf8(notify.body()).map_err(|_| NotifyRefusal::new(RefusedAt::Body, "no text"))?;
    if notify.header(SIGNATURE) != Some(signature(body).as_str()) {
        return Err(NotifyRefusal::new(RefusedAt::Signature, "wrong"));
    }
    serde_json::from_str(body).map_err(|_| NotifyRefusal::new(RefusedAt::Body, "no JSON"))
}
