//! `dream stats …`.

use clap::Subcommand;
use dream_core::kernel::UserId;
use dream_core::{AdminStats, Bucket, Edge, Totals, UsageBucket, UsageQuery, UserOverview};
use dream_http::wire::stats as wire;

use super::Desk;
use super::order::yuan;
use crate::args::{parsed, user_id};
use crate::exit::{Exit, Trouble};
use crate::output::{Column, Output, pairs, table};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show how the business stands today
    Today,
    /// Show what there is in all, as everybody may see it
    Global,
    /// Show a user's figures
    User {
        /// The user's id
        #[arg(value_parser = user_id)]
        user: UserId,
    },
    /// Show what happened, day by day or hour by hour
    Usage {
        /// From this day or time on; 30 days or 24 hours before the end unless given
        #[arg(long, value_name = "WHEN", value_parser = parsed::<Edge>)]
        from: Option<Edge>,
        /// Up to this time, or this day to its end; now unless given
        #[arg(long, value_name = "WHEN", value_parser = parsed::<Edge>)]
        to: Option<Edge>,
        /// Days of the business's zone, at most 366 of them, or hours, at most 744
        #[arg(long, default_value = "day", value_parser = bucket)]
        bucket: Bucket,
    },
}

fn bucket(text: &str) -> Result<Bucket, String> {
    Bucket::parse(text).ok_or_else(|| format!("must be one of {}", Bucket::NAMES.join(", ")))
}

pub(super) async fn run(verb: Verb, output: Output) -> Result<Exit, Trouble> {
    let desk = Desk::to_look().open().await?;
    let outcome = answer(verb, &desk, output).await;
    desk.close().await;
    outcome.map(|()| Exit::Done)
}

async fn answer(verb: Verb, desk: &Desk, output: Output) -> Result<(), Trouble> {
    let admin = desk.admin();
    match verb {
        Verb::Today => {
            let stats = admin.stats().await?;
            output.show(&wire::AdminStats::from(stats), || today(&stats))
        }
        Verb::Global => {
            let totals = desk.dream.guest().totals().await?;
            output.show(&wire::Global::from(totals), || global(&totals))
        }
        Verb::User { user } => {
            let overview = admin.overview_of(user).await?;
            let human = of_user(&overview);
            output.show(&wire::Overview::from(overview), || human)
        }
        Verb::Usage { from, to, bucket } => {
            let buckets = admin.usage(&UsageQuery { from, to, bucket }).await?;
            let human = usage(&buckets);
            output.show(&wire::Usage::from(buckets), || human)
        }
    }
}

fn today(stats: &AdminStats) -> String {
    let totals = &stats.totals;
    pairs(&[
        ("users", totals.users.to_string()),
        ("with VIP", stats.vip_users.to_string()),
        ("without", (totals.users - stats.vip_users).to_string()),
        ("new today", stats.today_new_users.to_string()),
        ("paid today", yuan(stats.today_revenue)),
        ("orders", totals.orders.to_string()),
        ("waiting orders", stats.pending_orders.to_string()),
        ("running jobs", stats.running_jobs.to_string()),
    ])
}

fn global(totals: &Totals) -> String {
    pairs(&[
        ("users", totals.users.to_string()),
        ("orders", totals.orders.to_string()),
        ("pictures", totals.images.to_string()),
        ("favorites", totals.favorites.to_string()),
        ("points earned", totals.earned.to_string()),
        ("points spent", totals.spent.to_string()),
    ])
}

fn of_user(overview: &UserOverview) -> String {
    let permille = overview.success_permille();
    let categories: Vec<String> =
        overview.top_categories.iter().map(|it| format!("{} {}", it.name, it.count)).collect();
    pairs(&[
        ("user", overview.user.to_string()),
        ("orders", overview.orders.to_string()),
        ("favorites", overview.favorites.to_string()),
        ("entries", overview.transactions.to_string()),
        ("points earned", overview.earned.get().to_string()),
        ("points spent", overview.spent.get().to_string()),
        ("balance", overview.balance.get().to_string()),
        ("pictures", overview.images.to_string()),
        ("in 7 days", overview.images_of_week.to_string()),
        ("in 30 days", overview.images_of_month.to_string()),
        ("success", format!("{}.{} %", permille / 10, permille % 10)),
        ("categories", if categories.is_empty() { "–".to_owned() } else { categories.join(", ") }),
    ])
}

fn usage(buckets: &[UsageBucket]) -> String {
    let columns = [
        Column::Text("FROM"),
        Column::Number("NEW"),
        Column::Number("ACTIVE"),
        Column::Number("GENERATIONS"),
        Column::Number("SUCCEEDED"),
        Column::Number("FAILED"),
        Column::Number("PAID"),
        Column::Number("REVENUE"),
    ];
    let rows = buckets.iter().map(|bucket| {
        vec![
            match bucket.hour {
                Some(hour) => format!("{} {hour:02}:00", bucket.day),
                None => bucket.day.to_string(),
            },
            bucket.new_users.to_string(),
            bucket.active_users.to_string(),
            bucket.generations.to_string(),
            bucket.succeeded.to_string(),
            bucket.failed.to_string(),
            bucket.paid_orders.to_string(),
            yuan(bucket.revenue),
        ]
    });
    table(&columns, rows)
}
