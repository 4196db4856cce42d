//! One statement, written once, run on either database.
//!
//! A statement carries its text and its arguments as plain values. That keeps the match over the two databases
//! in this file: a query elsewhere is one expression, and its text can be read as a whole.

use std::borrow::Cow;
use std::future::Future;

use backon::Retryable as _;
use sqlx::{Postgres, Sqlite};

use super::tx::{Open, is_read_only, patience};
use super::{Pools, Reader, Row, Store, StoreError, StoreStep, Tx};
use crate::error::Result;
use crate::kernel::Timestamp;

/// One value for a placeholder.
#[derive(Debug, Clone)]
pub(crate) enum Arg<'a> {
    Int(Option<i64>),
    Text(Option<Cow<'a, str>>),
    Bool(bool),
}

/// A statement and its arguments, in the order of `$1`, `$2`, …
#[derive(Debug, Clone)]
pub(crate) struct Sql<'a> {
    sqlite: Cow<'static, str>,
    postgres: Cow<'static, str>,
    args: Vec<Arg<'a>>,
}

/// A row-locking read: PostgreSQL locks the rows it finds, SQLite's writing transaction holds the database already.
macro_rules! for_update {
    ($text:literal) => {
        $crate::store::Sql::differing($text, concat!($text, " FOR UPDATE"))
    };
}
pub(crate) use for_update;

/// Takes rows that no other transaction holds: the two parts of the text around the lock clause.
macro_rules! skip_locked {
    ($before:expr, $after:literal) => {
        $crate::store::Sql::differing(
            concat!($before, $after),
            concat!($before, " FOR UPDATE SKIP LOCKED", $after),
        )
    };
}
pub(crate) use skip_locked;

/// Adds a row under the id that is bound first, or under a fresh one where that is NULL, unless it collides with a row
/// that is there. Gives its id. Numbers that a sequence gives out are gone, so a rehearsal takes none.
macro_rules! insert_under_id {
    ($table:literal, $columns:literal, $values:literal) => {
        $crate::store::Sql::differing(
            concat!(
                "INSERT INTO ",
                $table,
                " (id, ",
                $columns,
                ") VALUES ($1, ",
                $values,
                ") ON CONFLICT DO NOTHING RETURNING id"
            ),
            concat!(
                "INSERT INTO ",
                $table,
                " (id, ",
                $columns,
                ") VALUES (coalesce($1, CASE WHEN current_setting('dream.rehearsal', TRUE) = 'on' \
                 THEN (SELECT coalesce(max(id), 0) + 1 FROM ",
                $table,
                ") ELSE nextval(pg_get_serial_sequence('",
                $table,
                "', 'id')) END), ",
                $values,
                ") ON CONFLICT DO NOTHING RETURNING id"
            ),
        )
    };
}
pub(crate) use insert_under_id;

/// Runs such an insertion, with a fresh id where the wanted one is taken. `None` if something else of the row collides.
pub(crate) async fn under_id<'a>(
    tx: &mut Tx,
    wanted: Option<i64>,
    insertion: impl Fn(Option<i64>) -> Sql<'a> + Send,
) -> Result<Option<i64>> {
    if wanted.is_some()
        && let Some(row) = tx.optional(insertion(wanted)).await?
    {
        return row.get("id").map(Some);
    }
    tx.optional(insertion(None)).await?.map(|row| row.get("id")).transpose()
}

impl<'a> Sql<'a> {
    /// The same text for both.
    pub(crate) fn new(text: &'static str) -> Self {
        Self::differing(text, text)
    }

    /// Where the two databases need different words.
    pub(crate) fn differing(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite: Cow::Borrowed(sqlite), postgres: Cow::Borrowed(postgres), args: Vec::new() }
    }

    /// A text whose `{list}` stands for these values, as placeholders behind those of `before`.
    /// The text is a literal and the values are bound, so nothing of a user's gets into the statement.
    pub(crate) fn with_list<T: Into<Arg<'a>>>(
        text: &'static str,
        before: Vec<Arg<'a>>,
        list: impl IntoIterator<Item = T>,
    ) -> Self {
        let mut args = before;
        let first = args.len() + 1;
        args.extend(list.into_iter().map(Into::into));
        let marks: Vec<String> = (first..=args.len()).map(|n| format!("${n}")).collect();
        let text: Cow<'static, str> = Cow::Owned(text.replace("{list}", &marks.join(", ")));
        Self { sqlite: text.clone(), postgres: text, args }
    }

    /// Puts these values where the text says `{list}`, behind those that are bound already. The last one is repeated until
    /// the list is as long as a power of two, so that there are few different texts to be prepared.
    pub(crate) fn of<T: Into<Arg<'a>>>(mut self, list: impl IntoIterator<Item = T>) -> Self {
        let first = self.args.len();
        self.args.extend(list.into_iter().map(Into::into));
        let last = self.args[first..].last().cloned().unwrap_or(Arg::Int(None));
        let length = (self.args.len() - first).next_power_of_two();
        self.args.resize(first + length, last);
        let marks: Vec<String> = (first + 1..=first + length).map(|n| format!("${n}")).collect();
        let marks = marks.join(", ");
        self.sqlite = Cow::Owned(self.sqlite.replace("{list}", &marks));
        self.postgres = Cow::Owned(self.postgres.replace("{list}", &marks));
        self
    }

    /// A text whose `{rows}` stands for these rows of values, as groups of placeholders: `($1, $2), ($3, $4)`. As in
    /// [`Sql::with_list`], only placeholders get into the statement.
    pub(crate) fn with_rows<const N: usize>(
        text: &'static str,
        rows: impl IntoIterator<Item = [Arg<'a>; N]>,
    ) -> Self {
        let args: Vec<Arg<'a>> = rows.into_iter().flatten().collect();
        let mut marks = String::with_capacity(args.len() * 7);
        for n in 0..args.len() {
            marks.push_str(match (n, n % N) {
                (0, _) => "(",
                (_, 0) => "), (",
                _ => ", ",
            });
            marks.push('$');
            marks.push_str(&(n + 1).to_string());
        }
        marks.push(')');
        let text: Cow<'static, str> = Cow::Owned(text.replace("{rows}", &marks));
        Self { sqlite: text.clone(), postgres: text, args }
    }

    /// Gives the next placeholder its value.
    pub(crate) fn bind(mut self, value: impl Into<Arg<'a>>) -> Self {
        self.args.push(value.into());
        self
    }
}

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Arg::Int(Some(value))
    }
}
impl From<Option<i64>> for Arg<'_> {
    fn from(value: Option<i64>) -> Self {
        Arg::Int(value)
    }
}
impl From<bool> for Arg<'_> {
    fn from(value: bool) -> Self {
        Arg::Bool(value)
    }
}
impl<'a> From<&'a str> for Arg<'a> {
    fn from(value: &'a str) -> Self {
        Arg::Text(Some(Cow::Borrowed(value)))
    }
}
impl<'a> From<Option<&'a str>> for Arg<'a> {
    fn from(value: Option<&'a str>) -> Self {
        Arg::Text(value.map(Cow::Borrowed))
    }
}
impl From<String> for Arg<'_> {
    fn from(value: String) -> Self {
        Arg::Text(Some(Cow::Owned(value)))
    }
}
impl From<Option<String>> for Arg<'_> {
    fn from(value: Option<String>) -> Self {
        Arg::Text(value.map(Cow::Owned))
    }
}
impl From<Timestamp> for Arg<'_> {
    fn from(value: Timestamp) -> Self {
        Arg::Int(Some(value.as_micros()))
    }
}
impl From<Option<Timestamp>> for Arg<'_> {
    fn from(value: Option<Timestamp>) -> Self {
        Arg::Int(value.map(Timestamp::as_micros))
    }
}

/// What runs statements: a transaction, or the store itself, where each statement stands alone.
pub(crate) trait Db: Send {
    /// All rows.
    fn all(&mut self, sql: Sql<'_>) -> impl Future<Output = Result<Vec<Row>>> + Send;

    /// How many rows the statement touched.
    fn execute(&mut self, sql: Sql<'_>) -> impl Future<Output = Result<u64>> + Send;

    /// The first row, if there is one.
    fn optional(&mut self, sql: Sql<'_>) -> impl Future<Output = Result<Option<Row>>> + Send {
        async move { Ok(self.all(sql).await?.into_iter().next()) }
    }

    /// The only row. Its absence is a defect of ours.
    fn one(&mut self, sql: Sql<'_>) -> impl Future<Output = Result<Row>> + Send {
        async move {
            let missing = || StoreError::Inconsistent("a row that must exist is missing".into());
            Ok(self.optional(sql).await?.ok_or_else(missing)?)
        }
    }
}

macro_rules! prepared {
    ($database:ty, $text:expr, $args:expr) => {{
        // A borrowed text is a literal; an owned one comes from `with_list`, which puts only placeholders into one.
        let text = match $text {
            Cow::Borrowed(text) => sqlx::SqlSafeStr::into_sql_str(text),
            Cow::Owned(text) => sqlx::SqlSafeStr::into_sql_str(sqlx::AssertSqlSafe(text)),
        };
        $args.into_iter().fold(sqlx::query::<$database>(text), |query, arg| match arg {
            Arg::Int(value) => query.bind(value),
            Arg::Text(value) => query.bind(value.map(Cow::into_owned)),
            Arg::Bool(value) => query.bind(value),
        })
    }};
}

impl Db for Tx {
    async fn all(&mut self, sql: Sql<'_>) -> Result<Vec<Row>> {
        let _pass = self.gate.before(StoreStep::Statement).await?;
        self.require_open()?;
        let rows = match &mut self.open {
            Open::Sqlite(tx) => prepared!(Sqlite, sql.sqlite, sql.args)
                .fetch_all(&mut **tx)
                .await
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect()),
            Open::Postgres(tx) => prepared!(Postgres, sql.postgres, sql.args)
                .fetch_all(&mut **tx)
                .await
                .map(|rows| rows.into_iter().map(Row::Postgres).collect()),
        };
        rows.map_err(|error| self.failed(error).into())
    }

    async fn execute(&mut self, sql: Sql<'_>) -> Result<u64> {
        let _pass = self.gate.before(StoreStep::Statement).await?;
        self.require_open()?;
        let done = match &mut self.open {
            Open::Sqlite(tx) => prepared!(Sqlite, sql.sqlite, sql.args)
                .execute(&mut **tx)
                .await
                .map(|done| done.rows_affected()),
            Open::Postgres(tx) => prepared!(Postgres, sql.postgres, sql.args)
                .execute(&mut **tx)
                .await
                .map(|done| done.rows_affected()),
        };
        done.map_err(|error| self.failed(error).into())
    }
}

impl Db for Reader<'_> {
    async fn all(&mut self, sql: Sql<'_>) -> Result<Vec<Row>> {
        let _pass = self.store.gate.before(StoreStep::Read).await?;
        let rows = match &self.store.pools {
            Pools::Sqlite { read, .. } => prepared!(Sqlite, sql.sqlite, sql.args)
                .fetch_all(read)
                .await
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect()),
            Pools::Postgres { pool, replica } => prepared!(Postgres, sql.postgres, sql.args)
                .fetch_all(if self.replica { replica } else { pool })
                .await
                .map(|rows| rows.into_iter().map(Row::Postgres).collect()),
        };
        Ok(rows.map_err(|error| self.store.failures.classify(error))?)
    }

    async fn execute(&mut self, sql: Sql<'_>) -> Result<u64> {
        if self.store.rehearsal {
            let what = "a rehearsal changes nothing, so nothing may be written by itself";
            return Err(StoreError::Inconsistent(what.into()).into());
        }
        let store = self.store;
        (|| execute_alone(store, sql.clone())).retry(patience()).when(is_read_only).await
    }
}

/// Runs a statement outside of a transaction once.
async fn execute_alone(store: &Store, sql: Sql<'_>) -> Result<u64> {
    let pass = store.gate.before(StoreStep::Write).await?;
    let done = match &store.pools {
        Pools::Sqlite { write, .. } => {
            prepared!(Sqlite, sql.sqlite, sql.args).execute(write).await.map(|done| done.rows_affected())
        }
        Pools::Postgres { pool, .. } => {
            prepared!(Postgres, sql.postgres, sql.args).execute(pool).await.map(|done| done.rows_affected())
        }
    };
    let done = done.map_err(|error| store.failures.classify(error))?;
    store.failures.committed();
    drop(pass);
    store.gate.after(StoreStep::Write).await?;
    Ok(done)
}
