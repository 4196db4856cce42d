//! Three nodes behind nginx over PostgreSQL, Redis and R2, under load, while everything is restarted.
//!
//! `scripts/nodes` runs it. `DREAM_NODES=long` makes it 20 rolling restarts, 10 deaths of Redis and 5 restarts of
//! PostgreSQL.

mod cluster;
mod nginx;

use std::time::Duration;

use tokio::time::sleep;

use crate::load::{Load, Phase};
use cluster::Cluster;

/// How often each thing happens.
struct Plan {
    rolling_restarts: usize,
    redis_deaths: usize,
    postgres_restarts: usize,
}

impl Plan {
    fn of_the_environment() -> Self {
        if std::env::var_os("DREAM_NODES").is_some_and(|word| word == "long") {
            Self { rolling_restarts: 20, redis_deaths: 10, postgres_restarts: 5 }
        } else {
            Self { rolling_restarts: 2, redis_deaths: 2, postgres_restarts: 2 }
        }
    }
}

const PLAYERS: usize = 12;
/// How long the load runs undisturbed before, between and after.
const CALM: Duration = Duration::from_secs(2);
/// How long Redis or PostgreSQL stays away.
const AWAY: Duration = Duration::from_secs(3);

#[test]
#[ignore = "needs nginx and a minute or two: scripts/nodes runs it"]
fn nothing_is_lost_while_nodes_redis_and_postgres_are_restarted() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(Box::pin(everything_is_restarted()));
}

async fn everything_is_restarted() {
    let plan = Plan::of_the_environment();
    let mut cluster = Cluster::start(3).await;
    let load = Load::start(PLAYERS, &cluster.place).await;
    load.enter(Phase::Calm, CALM).await;
    for round in 0..plan.rolling_restarts {
        load.enter(Phase::Rolling, Duration::ZERO).await;
        cluster.restart_all(round).await;
    }
    load.enter(Phase::Calm, CALM).await;
    for _ in 0..plan.redis_deaths {
        load.enter(Phase::Redis, Duration::ZERO).await;
        cluster.redis.stop();
        sleep(AWAY).await;
        cluster.redis.resume().await.unwrap();
        cluster.until_all_are_well().await;
        load.enter(Phase::Calm, CALM).await;
    }
    for round in 0..plan.postgres_restarts {
        load.enter(Phase::Database, Duration::ZERO).await;
        // Once as an administrator does it, and once as a crash.
        cluster.postgres.stop(round % 2 == 1).await.unwrap();
        sleep(AWAY).await;
        cluster.postgres.resume().await.unwrap();
        cluster.until_all_are_well().await;
        load.settle(&cluster.place).await;
        load.enter(Phase::Calm, CALM).await;
    }
    cluster.news_reach_every_node_within_a_second().await;
    let outcome = load.finish().await;
    outcome.tell();
    outcome.nothing_was_lost(&cluster.place).await;
    cluster.books_are_right().await;
    cluster.stop().await;
}
