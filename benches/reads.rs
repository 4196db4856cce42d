//! Promises about reading.

use std::net::SocketAddr;
use std::time::Duration;

use dream_testkit::backends::{TestPostgres, migrate};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::bare::Bare;
use crate::load::{self, Requests, alike, request};
use crate::pgbench;
use crate::report::{Promise, median};
use crate::server::Server;
use crate::{Fault, Measured, Plan};

/// Connections at once.
pub(crate) const CONNECTIONS: usize = 64;

/// What the server does for `/v1/points/balance` beside checking the token.
const BALANCE: &str = "\\set id random(1, 64)\n\
    SELECT a.balance, a.earned, a.spent FROM accounts a JOIN users u ON u.id = a.user_id \
    WHERE a.user_id = :id AND u.deleted_at IS NULL;\n";

/// All good answers, or it does not count.
async fn speed(address: SocketAddr, requests: &Requests, span: Duration) -> Result<f64, Fault> {
    let outcome = load::closed(address, requests, span).await?;
    if outcome.refused > 0 {
        return Err(format!("{} requests were refused", outcome.refused).into());
    }
    Ok(outcome.per_second)
}

async fn against_bare(
    plan: Plan,
    server: &Server,
    requests: &Requests,
    path: &str,
    token: Option<&str>,
) -> Result<Vec<(f64, f64)>, Fault> {
    let (headers, body) = server.answer(path, token).await?;
    let bare = Bare::start(&headers, body).await?;
    // Both are warmed up alike.
    speed(server.address, requests, Duration::from_millis(500)).await?;
    speed(bare.address, requests, Duration::from_millis(500)).await?;
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let ours = speed(server.address, requests, plan.span).await?;
        let limit = speed(bare.address, requests, plan.span).await?;
        rounds.push((ours, limit));
    }
    Ok(rounds)
}

pub(crate) async fn public_lists(plan: Plan) -> Measured {
    let server = Server::on_sqlite().await?;
    let mut worst: Option<Vec<(f64, f64)>> = None;
    for path in ["/v1/vip/plans", "/v1/templates/prompts", "/v1/gallery/categories", "/v1/gallery/images"] {
        let requests = alike(CONNECTIONS, &request("GET", path, None));
        let rounds = against_bare(plan, &server, &requests, path, None).await?;
        let ratio = |rounds: &[(f64, f64)]| {
            median(&mut rounds.iter().map(|(ours, limit)| ours / limit).collect::<Vec<_>>())
        };
        if worst.as_ref().is_none_or(|worst| ratio(&rounds) < ratio(worst)) {
            worst = Some(rounds);
        }
    }
    let what = "cached public JSON, all layers on; the slowest of four lists";
    Ok(Promise::at_least(what, "≥ 0.75 × bare hyper", 0.75, &worst.unwrap_or_default()))
}

/// One user for each connection.
async fn users(server: &Server) -> Result<Vec<String>, Fault> {
    let mut tokens = Vec::new();
    for at in 0..CONNECTIONS {
        tokens.push(server.login(&format!("u{at}")).await?);
    }
    Ok(tokens)
}

fn balances(tokens: &[String]) -> Requests {
    let ask = |token: &String| vec![request("GET", "/v1/points/balance", Some(token))];
    tokens.iter().map(ask).collect::<Vec<_>>().into()
}

pub(crate) async fn balance_on_sqlite(plan: Plan) -> Measured {
    let server = Server::on_sqlite().await?;
    let tokens = users(&server).await?;
    let token = tokens.first().map(String::as_str);
    let rounds = against_bare(plan, &server, &balances(&tokens), "/v1/points/balance", token).await?;
    let what = "token check + own balance from the database, SQLite";
    Ok(Promise::at_least(what, "≥ 0.35 × bare hyper", 0.35, &rounds))
}

pub(crate) async fn balance_on_postgres(plan: Plan) -> Measured {
    let postgres = TestPostgres::start_durable().await?;
    let url = postgres.migrated_database(migrate).await?;
    let server = Server::on(&url).await?;
    let requests = balances(&users(&server).await?);
    speed(server.address, &requests, Duration::from_millis(500)).await?;
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let ours = speed(server.address, &requests, plan.span).await?;
        let limit = pgbench::run(&postgres, &url, BALANCE, 16, plan.span).await?;
        rounds.push((ours, limit));
    }
    let what = "the same on PostgreSQL, through HTTP";
    Ok(Promise::at_least(what, "≥ 0.3 × pgbench -M prepared", 0.3, &rounds))
}

pub(crate) async fn deep_page(plan: Plan) -> Measured {
    let server = Server::on_sqlite().await?;
    fill_gallery(server.database(), plan.rows).await?;
    // Whoever is signed in is told what it likes, so nothing of this comes out of the kept answers.
    let token = server.login("reader").await?;
    let depth = plan.rows / 5;
    let mut path = "/v1/gallery/images?limit=100".to_owned();
    for _ in 0..depth / 100 {
        let (_, body) = server.answer(&path, Some(&token)).await?;
        let page: Value = serde_json::from_slice(&body)?;
        let cursor = page["nextCursor"].as_str().ok_or("the walk ended early")?;
        path = format!("/v1/gallery/images?limit=100&cursor={cursor}");
    }
    let first = alike(1, &request("GET", "/v1/gallery/images?limit=20", Some(&token)));
    let deep = alike(1, &request("GET", &path.replace("limit=100", "limit=20"), Some(&token)));
    let (mut ratios, mut firsts, mut deeps) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let near = load::closed(server.address, &first, plan.span).await?;
        let far = load::closed(server.address, &deep, plan.span).await?;
        if near.refused + far.refused > 0 {
            return Err("a page was refused".into());
        }
        let (near, far) = (near.times.value_at_quantile(0.5) as f64, far.times.value_at_quantile(0.5) as f64);
        ratios.push(far / near);
        firsts.push(near);
        deeps.push(far);
    }
    let ratio = median(&mut ratios);
    let found = format!(
        "{ratio:.2} × ({:.0} µs against {:.0} µs, {} rows in)",
        median(&mut deeps),
        median(&mut firsts),
        depth
    );
    Ok(Promise {
        what: "p50 of a gallery page a fifth into the rows",
        bound: "≤ 1.2 × page 1",
        found,
        holds: ratio <= 1.2,
    })
}

/// Pictures as publishing leaves them, without the tasks that it would leave too.
async fn fill_gallery(url: &str, rows: u32) -> Result<(), Fault> {
    let mut db = sqlx::SqliteConnection::connect(url).await?;
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
         INSERT INTO gallery_images (image_url, thumbnail_url, prompt, category, tags, likes, status, created_at, updated_at) \
         SELECT 'https://pictures.test/' || i || '.png', 'https://pictures.test/' || i || '-small.png', \
         'a lighthouse at dusk, number ' || i, 'landscape', '[]', i % 100, 'PUBLIC', \
         1700000000000000 + (i / 3) * 1000000, 1700000000000000 + (i / 3) * 1000000 FROM n"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut db).await?;
    db.close().await?;
    Ok(())
}

/// The time that 99 of 100 answers stay below at this rate, in milliseconds.
async fn tail(address: SocketAddr, requests: &Requests, rate: f64, span: Duration) -> Result<f64, Fault> {
    let calm = load::open(address, requests, rate, span).await?;
    if calm.refused > 0 {
        return Err(format!("{} requests were refused", calm.refused).into());
    }
    Ok(calm.times.value_at_quantile(0.99) as f64 / 1000.0)
}

pub(crate) async fn latency_at_half_load(plan: Plan) -> Measured {
    let server = Server::on_sqlite().await?;
    let tokens = users(&server).await?;
    let requests = balances(&tokens);
    let token = tokens.first().map(String::as_str);
    let (headers, body) = server.answer("/v1/points/balance", token).await?;
    let bare = Bare::start(&headers, body).await?;
    let (mut peaks, mut tails, mut limits) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let peak = speed(server.address, &requests, plan.span).await?;
        tails.push(tail(server.address, &requests, peak / 2.0, plan.span * 2).await?);
        // How far this machine lets anybody's answers lag who is asked as often.
        limits.push(tail(bare.address, &requests, peak / 2.0, plan.span * 2).await?);
        peaks.push(peak);
    }
    let p99 = median(&mut tails);
    let found = format!(
        "{p99:.2} ms at half of {:.0}/s; bare hyper {:.2} ms",
        median(&mut peaks),
        median(&mut limits)
    );
    let what = "p99 of the balance at half of peak load, coordinated omission corrected";
    Ok(Promise { what, bound: "≤ 5 ms", found, holds: p99 <= 5.0 })
}
