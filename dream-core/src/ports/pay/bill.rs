use crate::kernel::{Fen, Timestamp};

/// What a line of a bill is about.
///
/// ```
/// use dream_core::kernel::Fen;
/// use dream_core::ports::BillEntry;
///
/// let entry = BillEntry::Refund {
///     channel_refund_id: "50000000382019052709732678859".to_owned(),
///     out_refund_no: "R20260128-0001".to_owned(),
///     amount: Fen::new(1999),
///     applied: Fen::new(1999),
///     status: "SUCCESS".to_owned(),
/// };
/// let given_back = match &entry {
///     BillEntry::Refund { amount, .. } => *amount,
///     BillEntry::Payment | BillEntry::Other(_) => Fen::ZERO,
/// };
/// assert_eq!(given_back.get(), 1999, "fen");
/// ```
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
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// # use dream_core::orders::{RechargePoints, WECHAT};
/// # use dream_core::ports::{BillEntry, PayChannel as _};
/// # use dream_core::adapters::wechat_pay::WeChatPay;
/// # let alice = world.alice().await;
/// # let placed = alice.session().await.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await?;
/// # world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
/// # world.settle().await;
/// # let yesterday = world.dream().settings().zone.day(world.now());
/// # world.clock().advance(std::time::Duration::from_hours(36));
/// # let config = world.wechat_pay().config("http://127.0.0.1/pay", "http://127.0.0.1/refund");
/// # let clock = std::sync::Arc::new(dream_testkit::clock::TestClock::at(world.now()));
/// # let channel = WeChatPay::new(config, clock, std::sync::Arc::new(dream_core::adapters::OsEntropy))?;
/// let bill = channel.trade_bill(yesterday).await?;
/// let row = &bill.rows[0];
/// assert_eq!((row.total.get(), row.entry == BillEntry::Payment), (500, true));
/// // What is settled to us is less the channel's fee, in thousandths of a fen.
/// println!("{} paid {} fen, at a fee of {} millifen", row.payer_openid, row.total, row.fee_millifen);
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// use dream_core::kernel::Fen;
/// use dream_core::ports::{BillSums, TradeBill};
///
/// // The channel's own sums must be those of its lines, or the bill cannot be believed.
/// let bill = TradeBill::default();
/// let total: i64 = bill.rows.iter().map(|row| row.total.get()).sum();
/// assert_eq!((bill.sums.rows, bill.sums.total), (bill.rows.len() as i64, Fen::new(total)));
/// ```
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
///
/// ```
/// use dream_core::ports::TradeBill;
///
/// // A day on which nothing was paid and nothing given back.
/// let quiet = TradeBill::default();
/// assert_eq!((quiet.rows.len(), quiet.sums.rows), (0, 0));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TradeBill {
    /// The lines, in the channel's order.
    pub rows: Vec<BillRow>,
    /// Lines that cannot be read, in the channel's order.
    pub unreadable: Vec<UnreadableRow>,
    /// Its own sums.
    pub sums: BillSums,
}

/// A line of a bill that cannot be read, and what of it can.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnreadableRow {
    /// Its number in the file, from 1.
    pub line: usize,
    /// The app.
    pub appid: Option<String>,
    /// The channel's number of the payment.
    pub transaction_id: Option<String>,
    /// Our number of the refund.
    pub out_refund_no: Option<String>,
    /// What is wrong with it.
    pub problem: String,
}
