//! Promises about writing.

use std::time::Instant;

use dream_core::kernel::Points;
use dream_core::{Admin, Durability};
use dream_testkit::backends::{Backend, BackendKind, TestPostgres, migrate};
use dream_testkit::world::TestDream;
use futures_util::future::try_join_all;
use sqlx::Connection as _;

use crate::load::{self, Requests, request};
use crate::reads::CONNECTIONS;
use crate::report::Promise;
use crate::server::Server;
use crate::{Fault, Measured, Plan, pgbench};

pub(crate) async fn likes_of_one_picture(plan: Plan) -> Measured {
    let postgres = TestPostgres::start_durable().await?;
    let url = postgres.migrated_database(migrate).await?;
    let server = Server::on(&url).await?;
    let mut db = sqlx::PgConnection::connect(&url).await?;
    let (picture,): (i64,) = sqlx::query_as("SELECT min(id) FROM gallery_images").fetch_one(&mut db).await?;
    let mut requests = Vec::new();
    for at in 0..CONNECTIONS {
        let token = server.login(&format!("u{at}")).await?;
        let path = format!("/v1/gallery/images/{picture}/like");
        requests.push(vec![request("POST", &path, Some(&token)), request("DELETE", &path, Some(&token))]);
    }
    let requests: Requests = requests.into();
    let hot_row = format!("UPDATE gallery_images SET likes = likes + 1 WHERE id = {};\n", picture + 1);
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let ours = load::closed(server.address, &requests, plan.span).await?;
        if ours.refused > 0 {
            return Err(format!("{} likes were refused", ours.refused).into());
        }
        let limit = pgbench::run(&postgres, &url, &hot_row, CONNECTIONS, plan.span).await?;
        rounds.push((ours.per_second, limit));
    }
    // Exact, whatever the speed.
    let (kept, rows): (i64, i64) = sqlx::query_as(
        "SELECT likes, (SELECT count(*) FROM gallery_likes WHERE image_id = $1) FROM gallery_images WHERE id = $1",
    )
    .bind(picture)
    .fetch_one(&mut db)
    .await?;
    if kept != rows {
        return Err(format!("{kept} likes are shown, and {rows} were given").into());
    }
    let what = "likes by many users of one picture, exact, PostgreSQL, through HTTP";
    Ok(Promise::at_least(what, "≥ 1 × pgbench updating one hot row", 1.0, &rounds))
}

/// Spends one point of each of these accounts, all at once.
async fn spend(admin: &Admin, accounts: &[dream_core::kernel::UserId]) -> Result<(), Fault> {
    try_join_all(accounts.iter().map(|&user| admin.grant_points(user, Points::new(-1), "a measured spend")))
        .await?;
    Ok(())
}

/// How many a second, in so many seconds.
async fn spends_per_second(
    plan: Plan,
    admin: &Admin,
    accounts: &[dream_core::kernel::UserId],
    at_once: usize,
) -> Result<f64, Fault> {
    let begin = Instant::now();
    let mut spent = 0_usize;
    for group in accounts.chunks(at_once).cycle() {
        spend(admin, group).await?;
        spent += group.len();
        if begin.elapsed() >= plan.span {
            break;
        }
    }
    Ok(spent as f64 / begin.elapsed().as_secs_f64())
}

const PLENTY: Points = Points::new(10_000_000);

pub(crate) async fn spends_of_many(plan: Plan) -> Measured {
    let backend = Backend::start(BackendKind::Sqlite, migrate).await?;
    let world = TestDream::on(&backend).durability(Durability::Full).start().await;
    let admin = world.admin().await;
    let mut accounts = Vec::new();
    for at in 0..CONNECTIONS {
        let user = world.user(&format!("u{at}")).await.id();
        admin.grant_points(user, PLENTY, "to be spent").await?;
        accounts.push(user);
    }
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let together = spends_per_second(plan, &admin, &accounts, CONNECTIONS).await?;
        let alone = spends_per_second(plan, &admin, &accounts, 1).await?;
        rounds.push((together, alone));
    }
    world.finish().await;
    let what = "durable spends over many accounts, 64 at once, SQLite with synchronous=FULL";
    Ok(Promise::at_least(what, "≥ 5 × one commit per spend", 5.0, &rounds))
}

pub(crate) async fn spends_of_one(plan: Plan) -> Measured {
    let postgres = TestPostgres::start_durable().await?;
    let url = postgres.migrated_database(migrate).await?;
    let backend = Backend::over_postgres(postgres.clone(), url.clone()).await?;
    let world = TestDream::start(&backend).await;
    let admin = world.admin().await;
    let (hot, other) = (world.user("hot").await.id(), world.user("other").await.id());
    for user in [hot, other] {
        admin.grant_points(user, PLENTY, "to be spent").await?;
    }
    // The same two statements, on an account that nobody else uses; its ledger is not looked at afterwards.
    let two_statements = format!(
        "BEGIN;\n\
         UPDATE accounts SET balance = balance - 1, spent = spent + 1, spend_count = spend_count + 1 \
         WHERE user_id = {other} AND balance >= 1;\n\
         INSERT INTO ledger_entries (user_id, type, amount, balance_after, cause, cause_id, description, created_at) \
         VALUES ({other}, 'SPEND', 1, 0, 'pgbench', gen_random_uuid()::text, 'a measured spend', 0);\n\
         COMMIT;\n"
    );
    let accounts = vec![hot; CONNECTIONS];
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let ours = spends_per_second(plan, &admin, &accounts, CONNECTIONS).await?;
        let limit = pgbench::run(&postgres, &url, &two_statements, CONNECTIONS, plan.span).await?;
        rounds.push((ours, limit));
    }
    // What pgbench wrote kept no books, which are looked at now.
    let mut db = sqlx::PgConnection::connect(&url).await?;
    sqlx::query("DELETE FROM ledger_entries WHERE cause = 'pgbench'").execute(&mut db).await?;
    sqlx::query("UPDATE accounts SET balance = $1, spent = 0, spend_count = 0 WHERE user_id = $2")
        .bind(PLENTY.get())
        .bind(other.get())
        .execute(&mut db)
        .await?;
    world.finish().await;
    let what = "spends on one hot account, PostgreSQL";
    Ok(Promise::at_least(what, "≥ 3 × the two-statement transaction in pgbench", 3.0, &rounds))
}
