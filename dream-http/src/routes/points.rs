//! The points ledger.

use dream_core::{Code, Result, Session};

use crate::input::{Numbered, OneOf, Query};
use crate::table::{Row, get};
use crate::wire::page::NumberedPage;
use crate::wire::points::{Balance, Transaction, TransactionFilter};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        get("/v1/points/balance", balance).doc("One's points in sum"),
        get("/v1/points/transactions", transactions)
            .doc("One's ledger, newest first")
            .fails(&[Code::InvalidCursor]),
    ]
}

async fn balance(me: Session, (): ()) -> Result<Balance> {
    Ok(me.balance().await?.into())
}

async fn transactions(
    me: Session,
    (Numbered(page), Query(filter)): (Numbered, Query<TransactionFilter>),
) -> Result<NumberedPage<Transaction>> {
    let kind = filter.kind.map(|OneOf(kind)| kind);
    Ok(NumberedPage::of(me.transactions(kind, &page).await?, &page, Transaction::from))
}
