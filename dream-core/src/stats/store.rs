//! The tables `user_counters`, `usage_hours` and `activity`.

use crate::error::Result;
use crate::kernel::{Timestamp, UserId, Zone};
use crate::store::{Db, Sql, Tx};

/// What happened, to be added to the figures of the hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) new_users: i64,
    pub(crate) deleted_users: i64,
    pub(crate) generations: i64,
    pub(crate) succeeded: i64,
    pub(crate) failed: i64,
    pub(crate) images: i64,
    pub(crate) orders: i64,
    pub(crate) paid_orders: i64,
    pub(crate) revenue: i64,
    pub(crate) refunded: i64,
    pub(crate) favorites: i64,
    pub(crate) earned: i64,
    pub(crate) spent: i64,
}

/// What happened, to be added to one user's figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UserDelta {
    pub(crate) orders: i64,
    pub(crate) favorites: i64,
    pub(crate) image_favorites: i64,
    pub(crate) generations: i64,
    pub(crate) succeeded: i64,
    pub(crate) failed: i64,
    pub(crate) images: i64,
}

/// One user's figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) orders: i64,
    pub(crate) favorites: i64,
    pub(crate) image_favorites: i64,
    pub(crate) generations: i64,
    pub(crate) succeeded: i64,
    pub(crate) failed: i64,
    pub(crate) images: i64,
}

/// Gives a new user its counters.
pub(crate) async fn open(tx: &mut Tx, user: UserId) -> Result<()> {
    let sql = Sql::new(
        "INSERT INTO user_counters (user_id, orders, favorites, image_favorites, generations, succeeded, failed, \
         images) VALUES ($1, 0, 0, 0, 0, 0, 0, 0)",
    );
    tx.execute(sql.bind(user.get())).await?;
    Ok(())
}

/// Adds to the figures of the hour, in this node's own shard, so that no row is hot.
pub(crate) async fn add(tx: &mut Tx, zone: &Zone, now: Timestamp, shard: i64, delta: &Delta) -> Result<()> {
    tx.execute(
        Sql::new(
            "INSERT INTO usage_hours (at, shard, new_users, deleted_users, generations, succeeded, failed, images, \
             orders, paid_orders, revenue, refunded, favorites, earned, spent) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
             ON CONFLICT (at, shard) DO UPDATE SET new_users = usage_hours.new_users + $3, \
             deleted_users = usage_hours.deleted_users + $4, generations = usage_hours.generations + $5, \
             succeeded = usage_hours.succeeded + $6, failed = usage_hours.failed + $7, \
             images = usage_hours.images + $8, orders = usage_hours.orders + $9, \
             paid_orders = usage_hours.paid_orders + $10, revenue = usage_hours.revenue + $11, \
             refunded = usage_hours.refunded + $12, favorites = usage_hours.favorites + $13, \
             earned = usage_hours.earned + $14, spent = usage_hours.spent + $15",
        )
        .bind(zone.start_of_hour(now))
        .bind(shard)
        .bind(delta.new_users)
        .bind(delta.deleted_users)
        .bind(delta.generations)
        .bind(delta.succeeded)
        .bind(delta.failed)
        .bind(delta.images)
        .bind(delta.orders)
        .bind(delta.paid_orders)
        .bind(delta.revenue)
        .bind(delta.refunded)
        .bind(delta.favorites)
        .bind(delta.earned)
        .bind(delta.spent),
    )
    .await?;
    Ok(())
}

/// How many users there are, from the figures of the hours.
pub(crate) async fn living_users(db: &mut impl Db) -> Result<i64> {
    let sql = Sql::new(
        "SELECT CAST(coalesce(sum(new_users - deleted_users), 0) AS BIGINT) AS users FROM usage_hours",
    );
    db.one(sql).await?.get("users")
}

/// Adds to one user's figures.
pub(crate) async fn add_to_user(tx: &mut Tx, user: UserId, delta: &UserDelta) -> Result<()> {
    tx.execute(
        Sql::new(
            "UPDATE user_counters SET orders = orders + $2, favorites = favorites + $3, \
             image_favorites = image_favorites + $4, generations = generations + $5, succeeded = succeeded + $6, \
             failed = failed + $7, images = images + $8 WHERE user_id = $1",
        )
        .bind(user.get())
        .bind(delta.orders)
        .bind(delta.favorites)
        .bind(delta.image_favorites)
        .bind(delta.generations)
        .bind(delta.succeeded)
        .bind(delta.failed)
        .bind(delta.images),
    )
    .await?;
    Ok(())
}

/// One user's figures; zeros for a user that has none.
pub(crate) async fn counters(db: &mut impl Db, user: UserId) -> Result<Counters> {
    let sql = Sql::new(
        "SELECT orders, favorites, image_favorites, generations, succeeded, failed, images FROM user_counters \
         WHERE user_id = $1",
    );
    let Some(row) = db.optional(sql.bind(user.get())).await? else { return Ok(Counters::default()) };
    Ok(Counters {
        orders: row.get("orders")?,
        favorites: row.get("favorites")?,
        image_favorites: row.get("image_favorites")?,
        generations: row.get("generations")?,
        succeeded: row.get("succeeded")?,
        failed: row.get("failed")?,
        images: row.get("images")?,
    })
}

/// Notes that the user was there in this hour and on this day.
pub(crate) async fn seen(tx: &mut Tx, zone: &Zone, now: Timestamp, user: UserId) -> Result<()> {
    tx.execute(
        Sql::new(
            "INSERT INTO activity (grain, at, user_id) VALUES ('H', $1, $3), ('D', $2, $3) \
             ON CONFLICT (grain, at, user_id) DO NOTHING",
        )
        .bind(zone.start_of_hour(now))
        .bind(zone.start_of(zone.day(now)))
        .bind(user.get()),
    )
    .await?;
    Ok(())
}

/// Counts finished pictures by day and by category for one user.
pub(crate) async fn add_images(
    tx: &mut Tx,
    user: UserId,
    zone: &Zone,
    now: Timestamp,
    category: Option<&str>,
    images: i64,
) -> Result<()> {
    let by_day = Sql::new(
        "INSERT INTO user_daily (user_id, day, images) VALUES ($1, $2, $3) \
         ON CONFLICT (user_id, day) DO UPDATE SET images = user_daily.images + $3",
    );
    tx.execute(by_day.bind(user.get()).bind(zone.day(now).to_string()).bind(images)).await?;
    if let Some(category) = category {
        let by_category = Sql::new(
            "INSERT INTO user_categories (user_id, category, images) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id, category) DO UPDATE SET images = user_categories.images + $3",
        );
        tx.execute(by_category.bind(user.get()).bind(category).bind(images)).await?;
    }
    Ok(())
}
