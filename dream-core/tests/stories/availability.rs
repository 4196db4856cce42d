//! The database is there, but does not accept writes: another process holds a lock, or the server became read-only.
//!
//! Callers get `UNAVAILABLE` within the limit, the health check shows it, and everything works again by itself.

use std::time::{Duration, Instant};

use dream_core::kernel::Points;
use dream_core::{Code, Dream};
use dream_testkit::backends::{Backend, BackendKind};
use dream_testkit::on_every_backend;
use dream_testkit::world::{Database, TestDream};
use futures_util::future::join_all;
use sqlx::{Connection as _, PgConnection, SqliteConnection};

use crate::support::code;

const MAX_WAIT: Duration = Duration::from_millis(600);

async fn database_is_up(dream: &Dream) -> bool {
    let health = dream.health().await;
    health.iter().any(|dependency| dependency.name == "database" && dependency.up)
}

/// Waits until the health check says so; it may be asked at any time.
async fn until_database_is(up: bool, dream: &Dream) {
    let begun = Instant::now();
    while database_is_up(dream).await != up {
        assert!(begun.elapsed() < Duration::from_secs(5), "the health check does not change to {up}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A lock on all that is written, held by a connection that the business knows nothing of.
enum ForeignLock {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl ForeignLock {
    async fn take(backend: &Backend) -> Self {
        let url = backend.database_url();
        if backend.kind() == BackendKind::Postgres {
            let mut connection = PgConnection::connect(url).await.expect("the lock");
            let lock = "BEGIN; LOCK TABLE users, accounts, store_probes IN EXCLUSIVE MODE";
            sqlx::raw_sql(lock).execute(&mut connection).await.expect("the lock");
            return Self::Postgres(connection);
        }
        let mut connection = SqliteConnection::connect(url).await.expect("the lock");
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.expect("the lock");
        Self::Sqlite(connection)
    }

    async fn release(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await.expect("the lock"),
            Self::Postgres(connection) => connection.close().await.expect("the lock"),
        }
    }
}

on_every_backend!(
    no_write_waits_longer_than_its_limit_for_the_lock_of_another_process,
    |backend| async move {
        let world = TestDream::on(&backend).max_wait(MAX_WAIT).start().await;
        let alice = world.alice().await;
        let admin = world.admin().await;
        let lock = ForeignLock::take(&backend).await;
        let begun = Instant::now();
        let refusals =
            join_all((0..20).map(|_| admin.grant_points(alice.id(), Points::new(1), "late"))).await;
        // Twenty callers of one writer: the limit is that of each, not of one after the other.
        assert!(begun.elapsed() < 4 * MAX_WAIT, "{:?}", begun.elapsed());
        for refusal in refusals {
            assert_eq!(code(refusal), Code::Unavailable);
        }
        assert_eq!(alice.points().await, 0, "reads go on");
        assert!(!database_is_up(world.dream()).await);
        lock.release().await;
        until_database_is(true, world.dream()).await;
        admin.grant_points(alice.id(), Points::new(7), "in time").await.unwrap();
        assert_eq!(alice.points().await, 7);
        world.finish().await;
    }
);

/// Makes every connection that is opened from now on read-only, or writable again, as behind an address that leads to
/// another server.
async fn lead_to_a_read_only_server(database: &Database, read_only: bool) {
    let change = if read_only {
        "SET default_transaction_read_only = on"
    } else {
        "RESET default_transaction_read_only"
    };
    database
        .execute(&format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {change}', current_database()); END $$"
        ))
        .await;
}

#[tokio::test]
async fn a_read_only_server_refuses_writes_at_once_and_its_connections_are_not_used_again() {
    let kinds = dream_testkit::backends::backends().unwrap();
    if !kinds.contains(&BackendKind::Postgres) {
        return;
    }
    let backend = Backend::start(BackendKind::Postgres, dream_testkit::backends::migrate).await.unwrap();
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let admin = world.admin().await;
    let database = Database::connect(backend.database_url()).await;
    lead_to_a_read_only_server(&database, true).await;
    // The failover cuts the connections to the former server.
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND application_name = 'dream'";
    database.execute(cut).await;
    until_database_is(false, world.dream()).await;
    let grant = |points| admin.grant_points(alice.id(), Points::new(points), "test");
    for refusal in join_all((0..12).map(|_| grant(1))).await {
        assert_eq!(code(refusal), Code::Unavailable);
    }
    assert_eq!(alice.points().await, 0, "reads go on");

    lead_to_a_read_only_server(&database, false).await;
    // Nobody asks for the health meanwhile: the connections of that time are still in the pool, and the first writes of
    // all find new ones.
    for outcome in join_all((0..12).map(|_| grant(1))).await {
        outcome.unwrap();
    }
    assert_eq!(alice.points().await, 12);
    assert!(database_is_up(world.dream()).await);
    world.finish().await;
}
