//! `dream points …`.

use clap::Subcommand;
use dream_core::Code;
use dream_core::kernel::{Points, UserId};
use dream_core::points::{Balance, EntryKind, LedgerEntry};
use dream_http::wire::points as wire;
use serde::Serialize;

use super::user::show_changed;
use super::{Desk, collect};
use crate::args::{Amount, Write, user_id};
use crate::exit::{Exit, Trouble};
use crate::output::{Column, Output, or_dash, pairs, table};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show a user's balance and newest ledger entries
    Show {
        /// The user's id
        #[arg(value_parser = user_id)]
        user: UserId,
        #[command(flatten)]
        amount: Amount,
    },
    /// Give a user points, or take them where the number is negative
    Grant {
        /// The user's id
        #[arg(value_parser = user_id)]
        user: UserId,
        /// How many
        #[arg(allow_negative_numbers = true)]
        points: i64,
        /// Why, for the ledger and the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ledger {
    user_id: i64,
    #[serde(flatten)]
    balance: wire::Balance,
    transactions: Vec<wire::Transaction>,
    has_more: bool,
}

pub(super) async fn run(verb: Verb, output: Output) -> Result<Exit, Trouble> {
    let desk = match &verb {
        Verb::Show { .. } => Desk::to_look().open().await?,
        Verb::Grant { write, .. } => Desk::of(write).open().await?,
    };
    let outcome = match verb {
        Verb::Show { user, amount } => ledger(&desk, user, amount, output).await,
        Verb::Grant { user, points, reason, write } => {
            grant(&desk, user, points, &reason, &write, output).await
        }
    };
    desk.close().await;
    outcome.map(|()| Exit::Done)
}

async fn grant(
    desk: &Desk,
    user: UserId,
    points: i64,
    reason: &str,
    write: &Write,
    output: Output,
) -> Result<(), Trouble> {
    let question = if points < 0 {
        format!("Take {} points from user {user}?", points.unsigned_abs())
    } else {
        format!("Give user {user} {points} points?")
    };
    output.confirm(write, &question)?;
    let changed = desk.admin().grant_points(user, Points::new(points), reason).await;
    show_changed(changed.map_err(|error| not_granted(error, user))?, write, output)
}

fn not_granted(error: dream_core::Error, user: UserId) -> Trouble {
    let too_many = error.code() == Code::InvalidState;
    let trouble = Trouble::from(error);
    if too_many { trouble.hint(format!("`dream points show {user}` shows what is there")) } else { trouble }
}

async fn ledger(desk: &Desk, user: UserId, amount: Amount, output: Output) -> Result<(), Trouble> {
    let admin = desk.admin();
    let balance = admin.balance_of(user).await?;
    let (entries, has_more) =
        collect(amount.wanted(), async |page| admin.transactions_of(user, &page).await).await?;
    let human = format!("{}\n\n{}", summed(balance), listed(&entries));
    let transactions = entries.into_iter().map(Into::into).collect();
    let ledger = Ledger { user_id: user.get(), balance: balance.into(), transactions, has_more };
    output.show(&ledger, || human)?;
    output.note_more(has_more);
    Ok(())
}

fn summed(balance: Balance) -> String {
    pairs(&[
        ("balance", balance.balance.get().to_string()),
        ("earned", balance.total_earned.get().to_string()),
        ("spent", balance.total_spent.get().to_string()),
    ])
}

fn listed(entries: &[LedgerEntry]) -> String {
    let columns = [
        Column::Text("AT"),
        Column::Text("TYPE"),
        Column::Number("AMOUNT"),
        Column::Number("BALANCE"),
        Column::Text("CAUSE"),
        Column::Text("DESCRIPTION"),
    ];
    let rows = entries.iter().map(|entry| {
        let sign = if entry.kind == EntryKind::Spend { '-' } else { '+' };
        vec![
            entry.created_at.to_string(),
            entry.kind.as_str().to_owned(),
            format!("{sign}{}", entry.amount.get()),
            entry.balance_after.get().to_string(),
            or_dash(cause(entry)),
            entry.description.clone(),
        ]
    });
    table(&columns, rows)
}

fn cause(entry: &LedgerEntry) -> Option<String> {
    let order = entry.order.as_ref().map(|order| format!("order {order}"));
    order.or_else(|| entry.generation.map(|generation| format!("generation {generation}")))
}
