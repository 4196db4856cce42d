//! Comparing a day's payments and refunds with the channel's own bill.

use std::collections::HashSet;
use std::time::Duration;

use super::settle::settle;
use super::{WECHAT, channel, store};
use crate::access::Admin;
use crate::error::{Error, Fault, Format, Result};
use crate::kernel::{Day, Fen, Zone};
use crate::ports::{BillEntry, BillRow, ChannelOrder, OrderRef, TradeBill};

/// Something in which we and the channel disagree.
///
/// ```
/// use dream_core::kernel::Fen;
/// use dream_core::orders::Difference;
///
/// // A line for an operator. What only the channel has is looked up; whether it counted then is told.
/// let line = |difference: &Difference| match difference {
///     Difference::PaidThereOnly { order, amount, settled: true, .. } => {
///         format!("{order}: {amount} fen, made good")
///     }
///     Difference::PaidThereOnly { order, amount, .. } => format!("{order}: {amount} fen, look into it"),
///     other => format!("{other:?}"),
/// };
/// let found = Difference::PaidThereOnly {
///     order: "D1".to_owned(), transaction: "42".to_owned(), amount: Fen::new(1999), settled: true,
/// };
/// assert_eq!(line(&found), "D1: 1999 fen, made good");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The channel has a payment that we did not know of.
    PaidThereOnly {
        /// Our number of the order, as the bill has it.
        order: String,
        /// The channel's number of the payment.
        transaction: String,
        /// How much.
        amount: Fen,
        /// Whether looking it up let it take effect just now.
        settled: bool,
    },
    /// We have a payment that the bill lacks.
    PaidHereOnly {
        /// The order.
        order: String,
        /// The channel's number of the payment.
        transaction: String,
        /// How much.
        amount: Fen,
    },
    /// Both have a payment, of different amounts.
    AmountDiffers {
        /// The order.
        order: String,
        /// The channel's number of the payment.
        transaction: String,
        /// What we noted.
        here: Fen,
        /// What the bill says.
        there: Fen,
    },
    /// The channel has a refund that is none of ours.
    RefundThereOnly {
        /// The number of the refund, as the bill has it.
        refund: String,
        /// How much.
        amount: Fen,
    },
    /// We asked for a refund that the bill lacks.
    RefundHereOnly {
        /// Our number of the refund.
        refund: String,
        /// How much.
        amount: Fen,
    },
    /// A line of the bill cannot be read, so what it tells is not compared.
    Unreadable {
        /// Its number in the file, from 1.
        line: usize,
        /// The channel's number of the payment, if that can be read.
        transaction: Option<String>,
        /// What is wrong with it.
        problem: String,
    },
    /// Both have a refund, of different amounts.
    RefundDiffers {
        /// Our number of the refund.
        refund: String,
        /// What we asked for.
        here: Fen,
        /// What the bill says.
        there: Fen,
    },
}

/// The outcome of a comparison.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use std::time::Duration;
/// # use dream_core::orders::{RechargePoints, WECHAT};
///
/// # let alice = world.alice().await;
/// # let placed = alice.session().await.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
/// # world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
/// # world.settle().await;
/// let yesterday = world.dream().settings().zone.day(world.now());
/// world.clock().advance(Duration::from_hours(36));
/// let outcome = world.admin().await.reconcile(yesterday).await?;
/// assert_eq!((outcome.payments, outcome.refunds), (1, 0));
/// assert!(outcome.differences.is_empty(), "the bill and the books agree");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciliation {
    /// The day, in the channel's zone.
    pub day: Day,
    /// Payments on the bill, of this app.
    pub payments: usize,
    /// Refunds on the bill, of this app.
    pub refunds: usize,
    /// Lines of other apps of the same merchant, which are not compared.
    pub other_apps: usize,
    /// Where we disagree. Empty is good.
    pub differences: Vec<Difference>,
}

/// The channel's days begin at midnight in China, whatever zone the business counts its days in.
fn channel_zone() -> Zone {
    Zone::default()
}

/// What was paid within this of midnight may stand on either day's bill.
const MIDNIGHT_SLACK: Duration = Duration::from_mins(1);

impl Admin {
    /// Compares a day with the channel's bill. A payment that only the channel has is looked up and takes effect.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::orders::{Difference, RechargePoints, WECHAT};
    /// use std::time::Duration;
    ///
    /// # let alice = world.alice().await;
    /// # let placed = alice.session().await.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
    /// # world.wechat_pay().faults().always("payment_notify", dream_testkit::faults::Fault::special("lose_all"));
    /// # let today = world.dream().settings().zone.day(world.now());
    /// # world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
    /// # world.clock().advance(Duration::from_hours(36));
    /// // The channel has a payment that nobody told us of, and no worker has looked since.
    /// let outcome = world.admin().await.reconcile(today).await?;
    /// assert!(matches!(&outcome.differences[..], [Difference::PaidThereOnly { settled: true, .. }]));
    /// assert_eq!(alice.points().await, 50, "made good by the comparison itself");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a day that is not over; `UPSTREAM_ERROR` or `UPSTREAM_TIMEOUT` if the bill cannot be
    /// had, or does not match its hash.
    pub async fn reconcile(&self, day: Day) -> Result<Reconciliation> {
        if channel_zone().start_of(day.next()) > self.core.now() {
            return Err(Error::invalid_field("date", Fault::Format(Format::PastDay)));
        }
        let pay = channel(&self.core, WECHAT)?;
        let mut bill = pay.trade_bill(day).await?;
        let all = bill.rows.len() + bill.unreadable.len();
        let app = &pay.identity().appid;
        // A merchant number is shared by any number of apps, and the bill is the merchant's.
        bill.rows.retain(|row| row.appid.is_empty() || row.appid == *app);
        bill.unreadable.retain(|row| row.appid.as_ref().is_none_or(|appid| appid == app));
        let other_apps = all - bill.rows.len() - bill.unreadable.len();
        let mut differences = self.compare_payments(day, &bill).await?;
        differences.extend(self.compare_refunds(day, &bill).await?);
        differences.extend(bill.unreadable.iter().map(|row| Difference::Unreadable {
            line: row.line,
            transaction: row.transaction_id.clone(),
            problem: row.problem.clone(),
        }));
        let is_payment = |row: &&BillRow| row.entry == BillEntry::Payment;
        let is_refund = |row: &&BillRow| matches!(row.entry, BillEntry::Refund { .. });
        Ok(Reconciliation {
            day,
            payments: bill.rows.iter().filter(is_payment).count(),
            refunds: bill.rows.iter().filter(is_refund).count(),
            other_apps,
            differences,
        })
    }

    async fn compare_payments(&self, day: Day, bill: &TradeBill) -> Result<Vec<Difference>> {
        let mut db = self.core.store.db();
        let mut differences = Vec::new();
        let unreadable = bill.unreadable.iter().filter_map(|row| row.transaction_id.as_deref());
        let mut billed: HashSet<&str> = unreadable.collect();
        for row in bill.rows.iter().filter(|row| row.entry == BillEntry::Payment) {
            billed.insert(&row.transaction_id);
            // Looked for by number, so that one that we noted on the neighbouring day is found.
            match store::payment(&mut db, WECHAT, &row.transaction_id).await? {
                Some(noted) if noted.amount != row.total => differences.push(Difference::AmountDiffers {
                    order: noted.order.to_string(),
                    transaction: row.transaction_id.clone(),
                    here: noted.amount,
                    there: row.total,
                }),
                Some(_) => {}
                None => differences.push(Difference::PaidThereOnly {
                    order: row.out_trade_no.clone(),
                    transaction: row.transaction_id.clone(),
                    amount: row.total,
                    settled: self.make_good(row).await,
                }),
            }
        }
        let zone = channel_zone();
        let from = zone.start_of(day).plus(MIDNIGHT_SLACK);
        let to = zone.start_of(day.next()).minus(MIDNIGHT_SLACK);
        for noted in store::payments_between(&mut db, WECHAT, from, to).await? {
            if !billed.contains(noted.transaction_id.as_str()) {
                let settled_above = differences.iter().any(|difference| {
                    matches!(difference, Difference::PaidThereOnly { transaction, .. }
                        if *transaction == noted.transaction_id)
                });
                if !settled_above {
                    differences.push(Difference::PaidHereOnly {
                        order: noted.order.to_string(),
                        transaction: noted.transaction_id,
                        amount: noted.amount,
                    });
                }
            }
        }
        Ok(differences)
    }

    /// Looks a payment up that we missed, and lets it take effect.
    async fn make_good(&self, row: &BillRow) -> bool {
        let Ok(pay) = channel(&self.core, WECHAT) else { return false };
        let found = pay.query(OrderRef::Transaction(&row.transaction_id)).await;
        let Ok(ChannelOrder::Paid(facts) | ChannelOrder::Refunding(facts)) = found else { return false };
        settle(&self.core, pay.name(), &facts).await.is_ok()
    }

    async fn compare_refunds(&self, day: Day, bill: &TradeBill) -> Result<Vec<Difference>> {
        let mut db = self.core.store.db();
        let mut differences = Vec::new();
        let unreadable = bill.unreadable.iter().filter_map(|row| row.out_refund_no.as_deref());
        let mut billed: HashSet<&str> = unreadable.collect();
        for row in &bill.rows {
            let BillEntry::Refund { out_refund_no, applied, .. } = &row.entry else { continue };
            billed.insert(out_refund_no);
            let known = match out_refund_no.parse() {
                Ok(id) => store::refund(&mut db, &id).await?,
                Err(_) => None,
            };
            match known {
                Some(refund) if refund.amount != *applied => differences.push(Difference::RefundDiffers {
                    refund: out_refund_no.clone(),
                    here: refund.amount,
                    there: *applied,
                }),
                Some(_) => {}
                None => differences
                    .push(Difference::RefundThereOnly { refund: out_refund_no.clone(), amount: *applied }),
            }
        }
        let zone = channel_zone();
        let from = zone.start_of(day).plus(MIDNIGHT_SLACK);
        let to = zone.start_of(day.next()).minus(MIDNIGHT_SLACK);
        for refund in store::refunds_between(&mut db, from, to).await? {
            // One that the channel never took on cannot stand on its bill.
            let taken_on = refund.channel_refund.is_some();
            if taken_on && !billed.contains(refund.refund_id.as_str()) {
                differences.push(Difference::RefundHereOnly {
                    refund: refund.refund_id.to_string(),
                    amount: refund.amount,
                });
            }
        }
        Ok(differences)
    }
}
