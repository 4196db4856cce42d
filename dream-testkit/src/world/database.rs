use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Row as _};

/// The database past the business. Statements are written so that both databases read them, and carry their values.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// world.alice().await;
/// let database = world.database();
/// assert_eq!(database.number("SELECT count(*) FROM users").await, 1);
/// assert_eq!(database.texts("SELECT openid FROM users").await, ["o-alice"]);
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct Database(Pool);

#[derive(Debug)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Runs the rest on whichever pool it is.
macro_rules! on_pool {
    ($database:expr, $pool:ident => $run:expr) => {
        match &$database.0 {
            Pool::Sqlite($pool) => $run,
            Pool::Postgres($pool) => $run,
        }
    };
}

impl Database {
    /// Connects to the database of this URL, be it this world's or another.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::backends::{Backend, BackendKind, migrate};
    /// # let backend = Backend::start(BackendKind::Sqlite, migrate).await?;
    /// use dream_testkit::world::Database;
    ///
    /// let database = Database::connect(backend.database_url()).await;
    /// assert_eq!(database.number("SELECT count(*) FROM users").await, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// If it cannot be reached.
    pub async fn connect(url: &str) -> Self {
        Self(if url.starts_with("sqlite:") {
            let pool = SqlitePoolOptions::new().max_connections(2).connect(url).await;
            Pool::Sqlite(pool.expect("the database can be opened"))
        } else {
            let pool = PgPoolOptions::new().min_connections(0).max_connections(2).connect(url).await;
            Pool::Postgres(pool.expect("the database can be reached"))
        })
    }

    /// Runs a statement; how many rows it touched.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// world.alice().await;
    /// let database = world.database();
    /// assert_eq!(database.execute("UPDATE users SET phone = NULL WHERE openid = 'o-alice'").await, 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Panics
    /// If it fails.
    pub async fn execute(&self, sql: &str) -> u64 {
        let sql = AssertSqlSafe(sql.to_owned());
        on_pool!(self, pool => {
            sqlx::raw_sql(sql).execute(pool).await.expect("a statement that works").rows_affected()
        })
    }

    /// The one number that the query gives, such as a count.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// world.user("bob").await;
    /// assert_eq!(world.database().number("SELECT count(*) FROM accounts").await, 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Panics
    /// If it fails or gives no number.
    pub async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(format!("SELECT CAST(({sql}) AS BIGINT)"));
        on_pool!(self, pool => {
            sqlx::query(sql).fetch_one(pool).await.expect("a query that works").get(0)
        })
    }

    /// The first column of every row, as text. Rows where it is NULL are left out.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// for name in ["alice", "bob"] {
    ///     world.user(name).await;
    /// }
    /// let openids = world.database().texts("SELECT openid FROM users ORDER BY openid").await;
    /// assert_eq!(openids, ["o-alice", "o-bob"]);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Panics
    /// If the query fails or its first column is no text.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        on_pool!(self, pool => {
            let rows = sqlx::query(sql).fetch_all(pool).await.expect("a query that works");
            rows.iter().filter_map(|row| row.get::<Option<String>, _>(0)).collect()
        })
    }

    /// The first two columns of every row, as text.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// world.alice().await.generates("a cat").await;
    /// let due = world.database().pairs("SELECT job_id, status FROM generations").await;
    /// assert_eq!(due.len(), 1);
    /// # world.settle().await;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Panics
    /// If the query fails or a column is no text.
    pub async fn pairs(&self, sql: &str) -> Vec<(String, String)> {
        let sql = AssertSqlSafe(sql.to_owned());
        on_pool!(self, pool => {
            let rows = sqlx::query(sql).fetch_all(pool).await.expect("a query that works");
            rows.iter().map(|row| (row.get(0), row.get(1))).collect()
        })
    }
}
