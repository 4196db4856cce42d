//! `dream order …`.

use clap::Subcommand;
use dream_core::Code;
use dream_core::kernel::{Day, Fen, OrderId, UserId, Zone};
use dream_core::orders::{
    Difference, Goods, Order, OrderFilter, OrderKind, OrderStatus, Reconciliation, Refund, RefundStatus,
};
use dream_core::ports::ChannelOrder;
use dream_http::wire::admin_orders::AdminOrder;
use dream_http::wire::orders as wire;
use serde::Serialize;

use super::{Desk, collect};
use crate::args::{Amount, Write, parsed, user_id, word};
use crate::exit::{Exit, Trouble};
use crate::output::{Column, Output, or_dash, pairs, table};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List orders, newest first
    List {
        /// Those in this state: PENDING, PAID, CANCELLED or REFUNDED
        #[arg(long, value_parser = status)]
        status: Option<OrderStatus>,
        /// Those of this kind: VIP or POINTS
        #[arg(long, value_parser = kind)]
        kind: Option<OrderKind>,
        /// Those of this user
        #[arg(long, value_name = "ID", value_parser = user_id)]
        user: Option<UserId>,
        #[command(flatten)]
        amount: Amount,
    },
    /// Show one order and its refunds, as they stand here
    Show {
        /// The order's number
        #[arg(value_parser = parsed::<OrderId>)]
        order: OrderId,
    },
    /// Ask WeChat Pay how an order stands; a payment that was missed takes effect
    Query {
        /// The order's number
        #[arg(value_parser = parsed::<OrderId>)]
        order: OrderId,
        /// Only tell what WeChat Pay says, and let nothing take effect
        #[arg(long)]
        dry_run: bool,
    },
    /// Close an order that waits, at WeChat Pay and here; a payment that came first wins
    Close {
        /// The order's number
        #[arg(value_parser = parsed::<OrderId>)]
        order: OrderId,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Give money back; what it bought is taken back in proportion. A running server carries it to WeChat Pay
    Refund {
        /// The order's number
        #[arg(value_parser = parsed::<OrderId>)]
        order: OrderId,
        /// How much, in fen; all that is left unless given
        #[arg(long, value_name = "FEN", value_parser = clap::value_parser!(i64).range(1..))]
        amount: Option<i64>,
        /// A payment too many, whose own refund WeChat Pay gave up; `dream audit` names those orders
        #[arg(long, conflicts_with = "amount")]
        surplus: bool,
        /// Why; the payer is shown the beginning of it
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
    /// Compare a day with WeChat Pay's bill; exit code 6 on any difference. A payment that was missed takes effect
    Reconcile {
        /// The day in China, such as 2026-01-28; yesterday unless given
        #[arg(long, value_parser = parsed::<Day>)]
        date: Option<Day>,
        /// Only compare, and let nothing take effect
        #[arg(long)]
        dry_run: bool,
    },
}

fn status(text: &str) -> Result<OrderStatus, String> {
    word(text, OrderStatus::NAMES, OrderStatus::parse)
}

fn kind(text: &str) -> Result<OrderKind, String> {
    word(text, OrderKind::NAMES, OrderKind::parse)
}

pub(super) async fn run(verb: Verb, output: Output) -> Result<Exit, Trouble> {
    let desk = match &verb {
        Verb::List { .. } | Verb::Show { .. } => Desk::to_look().open().await?,
        Verb::Query { dry_run, .. } | Verb::Reconcile { dry_run, .. } => {
            Desk::to_look().rehearsing(*dry_run).with_payments().open().await?
        }
        Verb::Close { write, .. } => Desk::of(write).with_payments().open().await?,
        Verb::Refund { write, .. } => Desk::of(write).open().await?,
    };
    let outcome = answer(verb, &desk, output).await;
    desk.close().await;
    outcome
}

async fn answer(verb: Verb, desk: &Desk, output: Output) -> Result<Exit, Trouble> {
    match verb {
        Verb::List { status, kind, user, amount } => {
            list(desk, &OrderFilter { status, kind, user }, amount, output).await?;
        }
        Verb::Show { order } => show(desk, &order, output).await?,
        Verb::Query { order, dry_run } => query(desk, &order, dry_run, output).await?,
        Verb::Close { order, reason, write } => {
            close(desk, &order, reason.as_deref(), &write, output).await?;
        }
        Verb::Refund { order, surplus: true, reason, write, .. } => {
            refund_surplus(desk, &order, &reason, &write, output).await?;
        }
        Verb::Refund { order, amount, reason, write, .. } => {
            refund(desk, &order, amount.map(Fen::new), &reason, &write, output).await?;
        }
        Verb::Reconcile { date, dry_run } => return reconcile(desk, date, dry_run, output).await,
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    orders: Vec<AdminOrder>,
    has_more: bool,
}

async fn list(desk: &Desk, filter: &OrderFilter, amount: Amount, output: Output) -> Result<(), Trouble> {
    let admin = desk.admin();
    let (orders, has_more) = collect(amount.wanted(), async |page| admin.orders(filter, &page).await).await?;
    let columns = [
        Column::Text("ORDER"),
        Column::Number("USER"),
        Column::Text("WHAT"),
        Column::Text("STATUS"),
        Column::Number("YUAN"),
        Column::Number("REFUNDED"),
        Column::Text("REFUND"),
        Column::Text("PAID"),
        Column::Text("CREATED"),
    ];
    let rows = orders.iter().map(|order| {
        vec![
            order.order_id.to_string(),
            order.user.to_string(),
            goods(order),
            order.state.status().as_str().to_owned(),
            yuan(order.amount),
            yuan(order.refunded),
            or_dash(order.refund_status.map(RefundStatus::as_str)),
            or_dash(order.state.payment().map(|payment| payment.paid_at)),
            order.created_at.to_string(),
        ]
    });
    let human = table(&columns, rows);
    let list = List { orders: orders.into_iter().map(Into::into).collect(), has_more };
    output.show(&list, || human)?;
    output.note_more(has_more);
    Ok(())
}

fn goods(order: &Order) -> String {
    match &order.goods {
        Goods::Vip { plan, .. } => plan.to_string(),
        Goods::Points(points) => format!("{} points", points.get()),
    }
}

/// `1999` fen are `19.99`.
pub(super) fn yuan(amount: Fen) -> String {
    let fen = amount.get();
    let sign = if fen < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", fen.unsigned_abs() / 100, fen.unsigned_abs() % 100)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    order: wire::Order,
    refunded_amount: i64,
    refunds: Vec<RefundJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefundJson {
    refund_id: String,
    order_id: String,
    amount: i64,
    status: &'static str,
    reason: String,
    surplus: bool,
    points_taken: i64,
    days_taken: i64,
    failure: Option<String>,
    requested_by: String,
    created_at: String,
}

impl From<&Refund> for RefundJson {
    fn from(refund: &Refund) -> Self {
        Self {
            refund_id: refund.refund_id.to_string(),
            order_id: refund.order_id.to_string(),
            amount: refund.amount.get(),
            status: refund.status.as_str(),
            reason: refund.reason.clone(),
            surplus: refund.surplus,
            points_taken: refund.points_taken.get(),
            days_taken: refund.days_taken,
            failure: refund.failure.clone(),
            requested_by: refund.requested_by.clone(),
            created_at: refund.created_at.to_string(),
        }
    }
}

async fn show(desk: &Desk, id: &OrderId, output: Output) -> Result<(), Trouble> {
    let admin = desk.admin();
    let order = admin.order(id).await?;
    let refunds = admin.refunds_of(id).await?;
    let mut human = described(&order);
    if !refunds.is_empty() {
        human = format!("{human}\n\n{}", listed_refunds(&refunds));
    }
    let refunded_amount = order.refunded.get();
    let refunds = refunds.iter().map(RefundJson::from).collect();
    output.show(&Shown { order: order.into(), refunded_amount, refunds }, || human)
}

fn described(order: &Order) -> String {
    let payment = order.state.payment();
    pairs(&[
        ("order", order.order_id.to_string()),
        ("user", order.user.to_string()),
        ("what", goods(order)),
        ("status", order.state.status().as_str().to_owned()),
        ("yuan", yuan(order.amount)),
        ("refunded", yuan(order.refunded)),
        ("channel", order.channel.clone()),
        ("payment", or_dash(payment.map(|payment| &payment.transaction_id))),
        ("paid", or_dash(payment.map(|payment| payment.paid_at))),
        ("VIP until", or_dash(payment.and_then(|payment| payment.vip_expire_at))),
        ("payable until", order.expire_at.to_string()),
        ("created", order.created_at.to_string()),
    ])
}

fn listed_refunds(refunds: &[Refund]) -> String {
    let columns = [
        Column::Text("REFUND"),
        Column::Text("STATUS"),
        Column::Number("YUAN"),
        Column::Text("TAKEN BACK"),
        Column::Text("BY"),
        Column::Text("CREATED"),
        Column::Text("REASON"),
        Column::Text("FAILURE"),
    ];
    let rows = refunds.iter().map(|refund| {
        vec![
            refund.refund_id.to_string(),
            refund.status.as_str().to_owned(),
            yuan(refund.amount),
            taken_back(refund),
            refund.requested_by.clone(),
            refund.created_at.to_string(),
            refund.reason.clone(),
            or_dash(refund.failure.as_deref()),
        ]
    });
    table(&columns, rows)
}

fn taken_back(refund: &Refund) -> String {
    match (refund.points_taken.get(), refund.days_taken) {
        (0, 0) => "nothing".to_owned(),
        (0, days) => format!("{days} days"),
        (points, _) => format!("{points} points"),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    dry_run: bool,
    /// What the channel says, where nothing was to take effect.
    channel: Option<&'static str>,
    order: wire::Order,
}

async fn query(desk: &Desk, id: &OrderId, dry_run: bool, output: Output) -> Result<(), Trouble> {
    let admin = desk.admin();
    if !dry_run {
        let order = admin.query_order(id).await?;
        let human = described(&order);
        return output.show(&Asked { dry_run, channel: None, order: order.into() }, || human);
    }
    let said = channel_word(&admin.ask_channel(id).await?);
    let order = admin.order(id).await?;
    let human = format!("{}\n\nWeChat Pay says: {said}", described(&order));
    output.show(&Asked { dry_run, channel: Some(said), order: order.into() }, || human)
}

fn channel_word(order: &ChannelOrder) -> &'static str {
    match order {
        ChannelOrder::Unpaid => "UNPAID",
        ChannelOrder::Paid(_) => "PAID",
        ChannelOrder::Refunding(_) => "REFUNDING",
        ChannelOrder::Closed => "CLOSED",
        ChannelOrder::Unknown => "UNKNOWN",
    }
}

async fn close(
    desk: &Desk,
    id: &OrderId,
    reason: Option<&str>,
    write: &Write,
    output: Output,
) -> Result<(), Trouble> {
    let admin = desk.admin();
    let order = admin.order(id).await?;
    if order.state.status() != OrderStatus::Pending {
        return Err(not_pending(&order));
    }
    if write.dry_run {
        // Closing happens at the channel, which knows no rehearsal.
        let said = channel_word(&admin.ask_channel(id).await?);
        let human = format!("{}\n\nWeChat Pay says: {said}", described(&order));
        let shown = Asked { dry_run: true, channel: Some(said), order: order.into() };
        output.show(&shown, || human)?;
        output.note("a dry run: nothing was closed");
        return Ok(());
    }
    output.confirm(write, &format!("Close order {id} of user {}?", order.user))?;
    let closed = admin.close_order(id, reason).await?;
    let human = described(&closed);
    output.show(&Asked { dry_run: false, channel: None, order: closed.into() }, || human)
}

fn not_pending(order: &Order) -> Trouble {
    let status = order.state.status().as_str();
    Trouble::new(Exit::Refused, Code::InvalidState.as_str(), format!("the order is {status}, not PENDING"))
}

async fn refund(
    desk: &Desk,
    id: &OrderId,
    amount: Option<Fen>,
    reason: &str,
    write: &Write,
    output: Output,
) -> Result<(), Trouble> {
    let admin = desk.admin();
    let order = admin.order(id).await?;
    let left = Fen::new(order.amount.get() - order.refunded.get());
    let question = format!(
        "Give back ¥{} of the ¥{} of order {id} to user {}?",
        yuan(amount.unwrap_or(left)),
        yuan(order.amount),
        order.user
    );
    output.confirm(write, &question)?;
    let refund = admin.refund_order(id, amount, reason).await.map_err(|error| not_refunded(error, id))?;
    tell_refund(&refund, write, output)
}

async fn refund_surplus(
    desk: &Desk,
    id: &OrderId,
    reason: &str,
    write: &Write,
    output: Output,
) -> Result<(), Trouble> {
    output.confirm(write, &format!("Give back the payment too many of order {id}?"))?;
    let refund = desk.admin().refund_surplus(id, reason).await.map_err(|error| not_refunded(error, id))?;
    tell_refund(&refund, write, output)
}

fn not_refunded(error: dream_core::Error, id: &OrderId) -> Trouble {
    let trouble = Trouble::from(error);
    if trouble.exit == Exit::Refused {
        trouble.hint(format!("`dream order show {id}` shows how it stands"))
    } else {
        trouble
    }
}

fn tell_refund(refund: &Refund, write: &Write, output: Output) -> Result<(), Trouble> {
    let human = pairs(&[
        ("refund", refund.refund_id.to_string()),
        ("order", refund.order_id.to_string()),
        ("yuan", yuan(refund.amount)),
        ("taken back", taken_back(refund)),
        ("status", refund.status.as_str().to_owned()),
    ]);
    output.changed(write, &RefundJson::from(refund), || human)?;
    if refund.status == RefundStatus::Processing && !write.dry_run {
        output.note("a running server asks WeChat Pay for it, and follows it");
    }
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Compared {
    day: String,
    dry_run: bool,
    payments: usize,
    refunds: usize,
    /// Lines of other apps of the same merchant.
    other_apps: usize,
    differences: Vec<Differs>,
}

/// One difference, the same columns for each kind.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Differs {
    kind: &'static str,
    /// Our number of the order or refund.
    number: String,
    transaction: Option<String>,
    /// In fen.
    here: Option<i64>,
    /// In fen.
    there: Option<i64>,
    /// Whether looking the payment up let it take effect.
    settled: Option<bool>,
    /// What is wrong with a line that cannot be read.
    problem: Option<String>,
}

impl From<Difference> for Differs {
    fn from(difference: Difference) -> Self {
        let blank = |kind, number| Self {
            kind,
            number,
            transaction: None,
            here: None,
            there: None,
            settled: None,
            problem: None,
        };
        match difference {
            Difference::PaidThereOnly { order, transaction, amount, settled } => Self {
                transaction: Some(transaction),
                there: Some(amount.get()),
                settled: Some(settled),
                ..blank("PAID_THERE_ONLY", order)
            },
            Difference::PaidHereOnly { order, transaction, amount } => Self {
                transaction: Some(transaction),
                here: Some(amount.get()),
                ..blank("PAID_HERE_ONLY", order)
            },
            Difference::AmountDiffers { order, transaction, here, there } => Self {
                transaction: Some(transaction),
                here: Some(here.get()),
                there: Some(there.get()),
                ..blank("AMOUNT_DIFFERS", order)
            },
            Difference::RefundThereOnly { refund, amount } => {
                Self { there: Some(amount.get()), ..blank("REFUND_THERE_ONLY", refund) }
            }
            Difference::RefundHereOnly { refund, amount } => {
                Self { here: Some(amount.get()), ..blank("REFUND_HERE_ONLY", refund) }
            }
            Difference::Unreadable { line, transaction, problem } => {
                Self { transaction, problem: Some(problem), ..blank("UNREADABLE", format!("line {line}")) }
            }
            Difference::RefundDiffers { refund, here, there } => {
                Self { here: Some(here.get()), there: Some(there.get()), ..blank("REFUND_DIFFERS", refund) }
            }
        }
    }
}

async fn reconcile(desk: &Desk, date: Option<Day>, dry_run: bool, output: Output) -> Result<Exit, Trouble> {
    // The channel's days are China's, and the bill of a day is there on the next.
    let day = date.unwrap_or_else(|| Zone::default().day(desk.dream.now()).previous());
    let progress = output.progress("bills", None);
    let outcome = desk.admin().reconcile(day).await;
    drop(progress);
    let Reconciliation { day, payments, refunds, other_apps, differences } = outcome?;
    let differences: Vec<Differs> = differences.into_iter().map(Differs::from).collect();
    let exit = if differences.is_empty() { Exit::Done } else { Exit::Found };
    let compared = Compared { day: day.to_string(), dry_run, payments, refunds, other_apps, differences };
    output.show(&compared, || told(&compared))?;
    Ok(exit)
}

fn told(compared: &Compared) -> String {
    let Compared { day, payments, refunds, other_apps, differences, .. } = compared;
    let others = match other_apps {
        0 => String::new(),
        count => format!(" ({count} lines of other apps left out)"),
    };
    let bill = format!("{payments} payments and {refunds} refunds on the bill of {day}{others}");
    if differences.is_empty() {
        return format!("{bill}: all as it is here.");
    }
    let columns = [
        Column::Text("DIFFERENCE"),
        Column::Text("NUMBER"),
        Column::Text("PAYMENT"),
        Column::Number("HERE"),
        Column::Number("THERE"),
        Column::Text("NOTE"),
    ];
    let money = |fen: Option<i64>| or_dash(fen.map(|fen| yuan(Fen::new(fen))));
    let rows = differences.iter().map(|difference| {
        let note = match (difference.settled, &difference.problem) {
            (Some(true), _) => "took effect just now",
            (Some(false), _) => "could not take effect",
            (None, Some(problem)) => problem,
            (None, None) => "",
        };
        vec![
            difference.kind.to_owned(),
            difference.number.clone(),
            or_dash(difference.transaction.as_deref()),
            money(difference.here),
            money(difference.there),
            note.to_owned(),
        ]
    });
    let count = differences.len();
    format!(
        "{bill}, {count} {}:\n\n{}",
        if count == 1 { "difference" } else { "differences" },
        table(&columns, rows)
    )
}

#[cfg(test)]
mod tests {
    use super::{Fen, yuan};

    #[test]
    fn fen_are_shown_as_yuan() {
        assert_eq!(yuan(Fen::new(1999)), "19.99");
        assert_eq!(yuan(Fen::new(5)), "0.05");
        assert_eq!(yuan(Fen::new(-150)), "-1.50");
    }
}
