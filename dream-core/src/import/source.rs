//! The database of the original service: read in one snapshot, as text, and never written.
//!
//! It has no columns that we may rely on. What is there is looked up, names are accepted as `plan_id` and as `planId`,
//! and every value comes as text, so that one that cannot be read is a remark and not the end.

use std::collections::{BTreeMap, HashSet};
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::error::{Code, Error, Fault, Format, Result};
use crate::store::StoreError;

/// Rows that are read and written at once.
const BATCH: usize = 200;
/// Longest value that is read, in characters: nothing that is kept is longer, and pictures were stored in texts.
const LONGEST: usize = 65_536;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a column was called: the first name is ours.
pub(super) type Field = &'static [&'static str];

/// A table of the original service, as far as it is known.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    /// The first one is the row's id.
    pub(super) fields: &'static [Field],
    /// In which order it is read.
    pub(super) order: &'static [&'static str],
}

macro_rules! specs {
    ($($spec:ident = $name:literal by [$($order:literal),*] { $($($field:literal)|+),* $(,)? })*) => {
        $(pub(super) const $spec: Spec =
            Spec { name: $name, order: &[$($order),*], fields: &[$(&[$($field),+]),*] };)*
        const ALL: &[&Spec] = &[$(&$spec),*];
    };
}
specs! {
    USERS = "users" by ["id"] {
        "id", "openid", "unionid", "phone", "nick_name" | "name", "avatar_url" | "avatar", "vip_level",
        "vip_expire_at" | "vip_expires_at", "points_balance" | "points" | "balance", "created_at", "updated_at",
    }
    PLANS = "vip_plans" by ["id"] {
        "id", "plan_id", "name", "level" | "vip_level", "duration" | "duration_days", "original_price",
        "current_price" | "price", "benefits", "popular" | "is_popular", "is_active" | "active", "created_at",
        "updated_at",
    }
    ORDERS = "orders" by ["id"] {
        "id", "order_id" | "order_no", "user_id", "plan_id", "status", "amount", "transaction_id", "paid_at",
        "vip_expire_at", "refunded_at", "created_at", "updated_at",
    }
    ENTRIES = "point_transactions" by ["user_id", "id"] {
        "id", "user_id", "type", "amount", "description", "balance_after", "created_at",
    }
    IMAGES = "gallery_images" by ["id"] {
        "id", "image_url", "thumbnail_url", "prompt", "category_id" | "category", "author_id" | "user_id", "tags",
        "likes", "created_at",
    }
    PROMPTS = "prompt_templates" by ["id"] {
        "id", "template_id", "title", "description", "prompt", "category", "thumbnail_url", "preview_images",
        "usage_count", "is_hot", "created_at", "updated_at",
    }
    PARAMS = "param_templates" by ["id"] {
        "id", "template_id", "title", "description", "thumbnail_url", "preview_images", "mode", "resolution",
        "aspect_ratio", "sample_count", "created_at", "updated_at",
    }
    FAVORITES = "favorites" by ["id"] { "id", "user_id", "type", "resource_id", "created_at" }
    CHARACTERS = "characters" by ["id"] {
        "id", "uuid", "user_id", "name", "description", "created_at", "updated_at",
    }
    PHOTOS = "character_photos" by ["id"] {
        "id", "uuid", "character_id", "thumbnail_url", "original_url", "mime_type", "thumbnail_size",
        "original_size", "created_at",
    }
    GENERATIONS = "generations" by ["id"] {
        "id", "user_id", "job_id", "prompt", "image_url", "thumbnail_url", "status", "params", "error_message",
        "created_at", "completed_at",
    }
}

impl Spec {
    /// Whether the original is not known to have had a column for the field.
    pub(super) fn may_lack(&self, field: &str) -> bool {
        let timeless = matches!(self.name, "vip_plans" | "prompt_templates" | "param_templates");
        match field {
            "level" | "is_active" | "transaction_id" | "refunded_at" | "tags" => true,
            "updated_at" => !matches!(self.name, "users" | "characters"),
            "created_at" => timeless,
            _ => false,
        }
    }
}

/// A row, every value as text.
#[derive(Debug)]
pub(super) struct Line {
    fields: &'static [Field],
    cells: Vec<Option<String>>,
}

impl Line {
    /// The value of the field; `None` for NULL and where there is no such column.
    pub(super) fn get(&self, field: &str) -> Option<&str> {
        let at = self.fields.iter().position(|names| names[0] == field)?;
        self.cells.get(at)?.as_deref()
    }
}

/// Rows of a table, one batch after the other.
#[derive(Debug)]
pub(super) struct Cursor {
    fields: &'static [Field],
    name: String,
}

/// What of a table nobody here knows.
#[derive(Debug)]
pub(super) struct Surprise {
    pub(super) table: String,
    /// A column; `None` for all of the table.
    pub(super) column: Option<String>,
    /// Rows that have something there.
    pub(super) rows: String,
}

/// The database of the original NestJS service, in a transaction that only reads.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::{Code, OriginalDatabase};
///
/// let refused = OriginalDatabase::open("sqlite://dream.db", "public").await.unwrap_err();
/// assert_eq!(refused.code(), Code::ValidationFailed, "the original service ran on PostgreSQL");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OriginalDatabase {
    connection: PgConnection,
    schema: String,
    /// Columns and their types, by table.
    tables: BTreeMap<String, Vec<(String, String)>>,
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn failed(error: sqlx::Error) -> Error {
    Error::from(StoreError::from(error)).while_("reading the original database")
}

impl OriginalDatabase {
    /// Opens it at a `postgres://…` URL, and looks which tables there are in this schema, such as `public`. A password
    /// that the URL leaves out is taken as PostgreSQL's own programs take it, from `PGPASSWORD`.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for what is no such database; `UNAVAILABLE` if it cannot be reached.
    pub async fn open(url: &str, schema: &str) -> Result<Self> {
        let not_one = |what| Error::invalid_field("from", Fault::Format(what));
        if !(url.starts_with("postgres:") || url.starts_with("postgresql:")) {
            return Err(not_one(Format::PostgresUrl));
        }
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| not_one(Format::PostgresUrl))?
            .application_name("dream-import")
            .options([("statement_timeout", "0"), ("idle_in_transaction_session_timeout", "0")]);
        let connection = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options))
            .await
            .map_err(|_| Error::new(Code::Unavailable).while_("reaching the original database"))?
            .map_err(|error| Error::from(StoreError::from(error)).while_("reaching the original database"))?;
        let mut this = Self { connection, schema: schema.to_owned(), tables: BTreeMap::new() };
        this.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned()).await?;
        this.discover().await?;
        if this.tables.contains_key("ledger_entries") && this.tables.contains_key("_sqlx_migrations") {
            return Err(not_one(Format::OriginalNotDream));
        }
        if !this.has(&USERS) {
            return Err(not_one(Format::OriginalWithUsers));
        }
        Ok(this)
    }

    async fn discover(&mut self) -> Result<()> {
        let rows = sqlx::query(
            "SELECT CAST(c.table_name AS TEXT), CAST(c.column_name AS TEXT), CAST(c.data_type AS TEXT) \
             FROM information_schema.columns c JOIN information_schema.tables t \
             ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
             WHERE c.table_schema = $1 AND t.table_type = 'BASE TABLE' ORDER BY c.table_name, c.ordinal_position",
        )
        .bind(self.schema.clone())
        .fetch_all(&mut self.connection)
        .await
        .map_err(failed)?;
        for row in rows {
            let column = |at: usize| row.try_get::<String, _>(at).map_err(failed);
            self.tables.entry(column(0)?).or_default().push((column(1)?, column(2)?));
        }
        Ok(())
    }

    async fn execute(&mut self, sql: String) -> Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await.map(drop).map_err(failed)
    }

    async fn rows(&mut self, sql: String) -> Result<Vec<PgRow>> {
        sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await.map_err(failed)
    }

    pub(super) fn has(&self, spec: &Spec) -> bool {
        self.tables.contains_key(spec.name)
    }

    fn place(&self, table: &str) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(table))
    }

    /// The column that holds the field, and its type.
    fn column(&self, spec: &Spec, field: Field) -> Option<&(String, String)> {
        let columns = self.tables.get(spec.name)?;
        let exact = |name: &&&str| columns.iter().any(|(column, _)| column == **name);
        if let Some(name) = field.iter().find(exact) {
            return columns.iter().find(|(column, _)| column == name);
        }
        field.iter().find_map(|name| columns.iter().find(|(column, _)| plain(column) == plain(name)))
    }

    /// Fields that no column holds.
    pub(super) fn absent(&self, spec: &Spec) -> Vec<&'static str> {
        let absent = |field: &&Field| self.column(spec, field).is_none();
        spec.fields.iter().filter(absent).map(|field| field[0]).collect()
    }

    /// The greatest id of the table that is a number up to this one.
    pub(super) async fn greatest_id(&mut self, spec: &Spec, most: i64) -> Result<Option<i64>> {
        let Some((id, _)) = self.column(spec, spec.fields[0]) else { return Ok(None) };
        let text = format!("CAST({} AS TEXT)", quoted(id));
        let number = format!("CASE WHEN {text} ~ '^[0-9]{{1,18}}$' THEN CAST({text} AS BIGINT) END");
        let sql = format!(
            "SELECT CAST(max(id) AS TEXT) FROM (SELECT {number} AS id FROM {}) numbers WHERE id <= {most}",
            self.place(spec.name)
        );
        let rows = self.rows(sql).await?;
        let greatest = rows.first().and_then(|row| row.try_get::<Option<String>, _>(0).ok().flatten());
        Ok(greatest.and_then(|text| text.parse().ok()))
    }

    /// Begins to read a table. All reads see the same state.
    pub(super) async fn read(&mut self, spec: &'static Spec, name: &str) -> Result<Cursor> {
        let value = |(column, data_type): &(String, String)| {
            let column = quoted(column);
            let text = match data_type.as_str() {
                "ARRAY" => format!("CAST(to_json({column}) AS TEXT)"),
                _ => format!("CAST({column} AS TEXT)"),
            };
            format!("left({text}, {LONGEST})")
        };
        let values: Vec<String> = spec
            .fields
            .iter()
            .map(|field| self.column(spec, field).map_or_else(|| "CAST(NULL AS TEXT)".to_owned(), value))
            .collect();
        let ordering = |name: &&str| {
            let field = spec.fields.iter().find(|field| field[0] == *name)?;
            Some(quoted(&self.column(spec, field)?.0))
        };
        let mut order: Vec<String> = spec.order.iter().filter_map(ordering).collect();
        // Rows of one id, or without one, come in some order of their own.
        order.push("ctid".to_owned());
        let (values, order) = (values.join(", "), order.join(", "));
        let cursor = format!("dream_{name}");
        let from = self.place(spec.name);
        self.execute(format!(
            "DECLARE {cursor} NO SCROLL CURSOR FOR SELECT {values} FROM {from} ORDER BY {order}"
        ))
        .await?;
        Ok(Cursor { fields: spec.fields, name: cursor })
    }

    /// The next rows; none when there are no more.
    pub(super) async fn fetch(&mut self, cursor: &Cursor) -> Result<Vec<Line>> {
        let rows = self.rows(format!("FETCH {BATCH} FROM {}", cursor.name)).await?;
        let mut lines = Vec::with_capacity(rows.len());
        for row in rows {
            let cells: std::result::Result<Vec<_>, _> =
                (0..cursor.fields.len()).map(|at| row.try_get::<Option<String>, _>(at)).collect();
            lines.push(Line { fields: cursor.fields, cells: cells.map_err(failed)? });
        }
        Ok(lines)
    }

    pub(super) async fn close(&mut self, cursor: Cursor) -> Result<()> {
        self.execute(format!("CLOSE {}", cursor.name)).await
    }

    /// Tables and columns that hold something and that nobody here knows.
    pub(super) async fn surprises(&mut self) -> Result<Vec<Surprise>> {
        let mut surprises = Vec::new();
        let tables: Vec<String> = self.tables.keys().cloned().collect();
        for table in tables {
            let known = ALL.iter().find(|spec| spec.name == table);
            let columns: Vec<Option<String>> = match known {
                None => vec![None],
                Some(spec) => {
                    let used: HashSet<&String> = spec
                        .fields
                        .iter()
                        .filter_map(|field| self.column(spec, field).map(|(column, _)| column))
                        .collect();
                    let all = self.tables.get(&table).into_iter().flatten();
                    all.filter(|(column, _)| !used.contains(column)).map(|(c, _)| Some(c.clone())).collect()
                }
            };
            for column in columns {
                let counted = column.as_deref().map_or_else(|| "*".to_owned(), quoted);
                let sql = format!("SELECT CAST(count({counted}) AS TEXT) FROM {}", self.place(&table));
                let rows = self.rows(sql).await?;
                let rows = rows.first().map_or(Ok("0".to_owned()), |row| row.try_get(0)).map_err(failed)?;
                if rows != "0" {
                    surprises.push(Surprise { table: table.clone(), column, rows });
                }
            }
        }
        Ok(surprises)
    }
}
