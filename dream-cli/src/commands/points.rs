//! `dream points …`.

use dream_core::Code;
use dream_core::kernel::{Points, UserId};
use dream_core::points::{Balance, EntryKind, LedgerEntry};
use dream_http::wire::points as wire;
use serde::Serialize;

use super::user::{looker, show};
use super::{Desk, collect};
use crate::args::{Points as Args, Signature};
use crate::exit::{Exit, Trouble};
use crate::output::{Column, Output, or_dash, pairs, table};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ledger {
    user_id: i64,
    #[serde(flatten)]
    balance: wire::Balance,
    transactions: Vec<wire::Transaction>,
    has_more: bool,
}

pub(super) async fn run(args: Args, output: Output) -> Result<Exit, Trouble> {
    let desk = Desk::open().await?;
    let outcome = match args {
        Args::Show { user, limit } => ledger(&desk, user, limit, output).await,
        Args::Grant { user, points, reason, signature: Signature { actor } } => {
            let changed = desk.dream.operator(actor).grant_points(user, Points::new(points), &reason).await;
            changed.map_err(|error| not_granted(error, user)).and_then(|user| show(user, output))
        }
    };
    desk.close().await;
    outcome.map(|()| Exit::Done)
}

fn not_granted(error: dream_core::Error, user: UserId) -> Trouble {
    let too_many = error.code() == Code::InvalidState;
    let trouble = Trouble::from(error);
    if too_many { trouble.hint(format!("`dream points show {user}` shows what is there")) } else { trouble }
}

async fn ledger(desk: &Desk, user: UserId, limit: u32, output: Output) -> Result<(), Trouble> {
    let admin = desk.dream.operator(looker()?);
    let balance = admin.balance_of(user).await?;
    let (entries, has_more) =
        collect(Some(limit), async |page| admin.transactions_of(user, &page).await).await?;
    let human = format!("{}\n\n{}", summed(balance), listed(&entries));
    let transactions = entries.into_iter().map(Into::into).collect();
    let ledger = Ledger { user_id: user.get(), balance: balance.into(), transactions, has_more };
    output.show(&ledger, || human)?;
    if has_more {
        output.note("there are more entries: see --limit");
    }
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
