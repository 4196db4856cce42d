use crate::kernel::{Fen, Timestamp};

/// What a line of a bill is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BillEntry {
    /// A payment.
    Payment,
    /// A refund that was started that day.
    Refund {
        /// The channel's number.
        channel_refund_id: String,
        /// Ours.
        out_refund_no: String,
        /// How much is given back.
        amount: Fen,
        /// How much was asked for; more than `amount` where coupons had paid.
        applied: Fen,
        /// The channel's word, such as `SUCCESS` or `PROCESSING`.
        status: String,
    },
    /// Something else, under the channel's own word for it.
    Other(String),
}

/// A line of a bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillRow {
    /// When it happened.
    pub at: Timestamp,
    /// The channel's number of the payment.
    pub transaction_id: String,
    /// Our number of the order.
    pub out_trade_no: String,
    /// The payer.
    pub payer_openid: String,
    /// The app.
    pub appid: String,
    /// The merchant.
    pub mchid: String,
    /// Such as `CNY`.
    pub currency: String,
    /// The order's amount; 0 on the line of a refund.
    pub total: Fen,
    /// What is settled to us; 0 on the line of a refund.
    pub settled: Fen,
    /// What coupons paid.
    pub coupon: Fen,
    /// The channel's fee in 1/1000 fen; negative where it is given back.
    pub fee_millifen: i64,
    /// What the payer saw.
    pub description: String,
    /// What we attached.
    pub attach: String,
    /// What it is about.
    pub entry: BillEntry,
}

/// The sums at the end of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BillSums {
    /// Lines in all.
    pub rows: i64,
    /// Settled to us.
    pub settled: Fen,
    /// Given back.
    pub refund: Fen,
    /// Given back to coupons.
    pub coupon_refund: Fen,
    /// Fees in 1/1000 fen.
    pub fee_millifen: i64,
    /// Amounts of the orders.
    pub total: Fen,
    /// Refunds asked for.
    pub applied_refund: Fen,
}

/// What the channel says happened on one of its days. Empty for a day without payments and refunds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TradeBill {
    /// The lines, in the channel's order.
    pub rows: Vec<BillRow>,
    /// Its own sums.
    pub sums: BillSums,
}
