//! The tables `accounts` and `ledger_entries`.

use std::collections::{BTreeMap, HashMap};

use super::changes::Posting;
use super::{Balance, EntryKind, LedgerEntry};
use crate::error::Result;
use crate::kernel::{PageRequest, Points, SortKey, UserId};
use crate::points::Booking;
use crate::store::{Arg, Db, Row, Sql, Tx, for_update};

pub(super) async fn insert_account(tx: &mut Tx, user: UserId) -> Result<()> {
    let sql = Sql::new(
        "INSERT INTO accounts (user_id, balance, earned, spent, returned, earn_count, spend_count, refund_count) \
         VALUES ($1, 0, 0, 0, 0, 0, 0, 0)",
    );
    tx.execute(sql.bind(user.get())).await?;
    Ok(())
}

pub(super) async fn balance(db: &mut impl Db, user: UserId) -> Result<Option<Balance>> {
    Ok(balances(db, &[user]).await?.remove(&user))
}

/// The points in sum of those of these users who were not deleted.
pub(super) async fn balances(db: &mut impl Db, users: &[UserId]) -> Result<HashMap<UserId, Balance>> {
    let sql = Sql::new(
        "SELECT a.user_id, a.balance, a.earned, a.spent FROM accounts a JOIN users u ON u.id = a.user_id \
         WHERE a.user_id IN ({list}) AND u.deleted_at IS NULL",
    )
    .of(users.iter().map(|user| user.get()));
    db.all(sql)
        .await?
        .iter()
        .map(|row| {
            let balance = Balance {
                balance: row.get("balance")?,
                total_earned: row.get("earned")?,
                total_spent: row.get("spent")?,
            };
            Ok((row.get("user_id")?, balance))
        })
        .collect()
}

/// The balance, and nobody else books on the account until the transaction ends. The account's lock comes
/// before every other lock of a user's rows, so that two changes of one user never wait for each other.
pub(crate) async fn lock_balance(tx: &mut Tx, user: UserId) -> Result<Option<Points>> {
    let sql = for_update!("SELECT balance FROM accounts WHERE user_id = $1").bind(user.get());
    tx.optional(sql).await?.map(|row| row.get("balance")).transpose()
}

/// As [`lock_balance`], for many accounts: in one order, so that two such locks never wait for each other.
pub(super) async fn lock_accounts(tx: &mut Tx, users: &[UserId]) -> Result<()> {
    let sql = for_update!("SELECT user_id FROM accounts WHERE user_id IN ({list}) ORDER BY user_id");
    tx.all(sql.of(users.iter().map(|user| user.get()))).await?;
    Ok(())
}

/// Adds bookings to the sums of accounts that are locked.
pub(super) async fn add_to_accounts(tx: &mut Tx, postings: &[Posting<'_>]) -> Result<()> {
    let mut sums: BTreeMap<UserId, [i64; 6]> = BTreeMap::new();
    for Posting { booking, .. } in postings {
        let sum = sums.entry(booking.user).or_default();
        let column = match booking.kind {
            EntryKind::Earn => 0,
            EntryKind::Spend => 1,
            EntryKind::Refund => 2,
        };
        sum[column] += booking.amount.get();
        sum[column + 3] += 1;
    }
    let rows = sums.into_iter().map(|(user, [earned, spent, returned, earns, spends, refunds])| {
        [user.get(), earned, spent, returned, earns, spends, refunds].map(Arg::from)
    });
    tx.execute(Sql::with_rows(
        "UPDATE accounts SET balance = balance + v.column2 - v.column3 + v.column4, \
         earned = earned + v.column2, spent = spent + v.column3, returned = returned + v.column4, \
         earn_count = earn_count + v.column5, spend_count = spend_count + v.column6, \
         refund_count = refund_count + v.column7 FROM (VALUES {rows}) AS v WHERE accounts.user_id = v.column1",
        rows,
    ))
    .await?;
    Ok(())
}

/// Changes the sums unless that would leave less than nothing; the balance behind it.
pub(super) async fn add_to_account(tx: &mut Tx, booking: &Booking<'_>) -> Result<Option<Points>> {
    let text = match booking.kind {
        EntryKind::Earn => {
            "UPDATE accounts SET balance = balance + $2, earned = earned + $2, earn_count = earn_count + 1 \
             WHERE user_id = $1 RETURNING balance"
        }
        EntryKind::Spend => {
            "UPDATE accounts SET balance = balance - $2, spent = spent + $2, spend_count = spend_count + 1 \
             WHERE user_id = $1 AND balance >= $2 RETURNING balance"
        }
        EntryKind::Refund => {
            "UPDATE accounts SET balance = balance + $2, returned = returned + $2, refund_count = refund_count + 1 \
             WHERE user_id = $1 RETURNING balance"
        }
    };
    let sql = Sql::new(text).bind(booking.user.get()).bind(booking.amount.get());
    tx.optional(sql).await?.map(|row| row.get("balance")).transpose()
}

pub(super) async fn insert_entries(tx: &mut Tx, postings: &[Posting<'_>]) -> Result<()> {
    let rows = postings.iter().map(|Posting { booking, after, at }| {
        let (cause, cause_id) = booking.cause.key();
        [
            Arg::from(booking.user.get()),
            booking.kind.as_str().into(),
            booking.amount.get().into(),
            after.get().into(),
            cause.into(),
            cause_id.into(),
            booking.description.into(),
            booking.cause.order().map(crate::kernel::OrderId::as_str).into(),
            booking.cause.generation().map(crate::kernel::GenerationId::get).into(),
            (*at).into(),
        ]
    });
    tx.execute(Sql::with_rows(
        "INSERT INTO ledger_entries (user_id, type, amount, balance_after, cause, cause_id, description, order_id, \
         generation_id, created_at) VALUES {rows}",
        rows,
    ))
    .await?;
    Ok(())
}

fn read(row: &Row) -> Result<LedgerEntry> {
    Ok(LedgerEntry {
        id: row.get("id")?,
        user: row.get("user_id")?,
        kind: row.word("type", EntryKind::parse)?,
        amount: row.get("amount")?,
        description: row.get("description")?,
        balance_after: row.get("balance_after")?,
        order: row.get("order_id")?,
        generation: row.get("generation_id")?,
        created_at: row.get("created_at")?,
    })
}

macro_rules! entries {
    ($where:literal, $limit:literal) => {
        concat!(
            "SELECT id, user_id, type, amount, description, balance_after, order_id, generation_id, created_at \
             FROM ledger_entries WHERE user_id = $1 AND (created_at, id) < ($2, $3) ",
            $where,
            " ORDER BY created_at DESC, id DESC ",
            $limit
        )
    };
}

pub(super) async fn entries(
    db: &mut impl Db,
    user: UserId,
    kind: Option<EntryKind>,
    start: SortKey,
    page: &PageRequest,
) -> Result<Vec<LedgerEntry>> {
    let sql = match kind {
        None => Sql::new(entries!("", "LIMIT $4 OFFSET $5")),
        Some(_) => Sql::new(entries!("AND type = $6", "LIMIT $4 OFFSET $5")),
    };
    let mut sql =
        sql.bind(user.get()).bind(start.by).bind(start.id).bind(page.limit.get() + 1).bind(page.offset());
    if let Some(kind) = kind {
        sql = sql.bind(kind.as_str());
    }
    db.all(sql).await?.iter().map(read).collect()
}

/// Everybody's entries, the last that was booked first.
pub(super) async fn booked(db: &mut impl Db, before: i64, page: &PageRequest) -> Result<Vec<LedgerEntry>> {
    let sql = Sql::new(
        "SELECT id, user_id, type, amount, description, balance_after, order_id, generation_id, created_at \
         FROM ledger_entries WHERE id < $1 ORDER BY id DESC LIMIT $2",
    );
    db.all(sql.bind(before).bind(page.limit.get() + 1)).await?.iter().map(read).collect()
}

/// A user's points in sum, and how many entries the ledger has.
pub(crate) async fn summary(db: &mut impl Db, user: UserId) -> Result<Option<(Balance, i64)>> {
    let Some(balance) = balance(db, user).await? else { return Ok(None) };
    Ok(count(db, user, None).await?.map(|entries| (balance, entries)))
}

/// How many entries there are, from the kept counts.
pub(super) async fn count(db: &mut impl Db, user: UserId, kind: Option<EntryKind>) -> Result<Option<i64>> {
    let sql = Sql::new("SELECT earn_count, spend_count, refund_count FROM accounts WHERE user_id = $1");
    let Some(row) = db.optional(sql.bind(user.get())).await? else { return Ok(None) };
    let of = |kind: EntryKind| match kind {
        EntryKind::Earn => row.get::<i64>("earn_count"),
        EntryKind::Spend => row.get("spend_count"),
        EntryKind::Refund => row.get("refund_count"),
    };
    Ok(Some(match kind {
        Some(kind) => of(kind)?,
        None => of(EntryKind::Earn)? + of(EntryKind::Spend)? + of(EntryKind::Refund)?,
    }))
}

/// A user's whole ledger, oldest entry first.
pub(crate) async fn all_of(db: &mut impl Db, user: UserId) -> Result<Vec<LedgerEntry>> {
    let sql = Sql::new(
        "SELECT id, user_id, type, amount, description, balance_after, order_id, generation_id, created_at \
         FROM ledger_entries WHERE user_id = $1 ORDER BY created_at, id",
    );
    db.all(sql.bind(user.get())).await?.iter().map(read).collect()
}

/// What was added so that no entry of this user of the original service went below zero.
pub(crate) async fn lifted(db: &mut impl Db, user: UserId, original: &str) -> Result<i64> {
    let prefix = format!("{original}:");
    let length = i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX);
    let sql = Sql::new(
        "SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) AS lifted FROM ledger_entries \
         WHERE user_id = $1 AND cause = 'original_lift' AND substr(cause_id, 1, CAST($3 AS INTEGER)) = $2",
    );
    db.one(sql.bind(user.get()).bind(prefix).bind(length)).await?.get("lifted")
}
