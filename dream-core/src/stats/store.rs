//! The tables `user_counters`, `user_daily`, `user_categories`, `usage_hours`, `usage_history`, `usage_totals` and
//! `activity`.

use std::collections::BTreeMap;

use super::{CategoryCount, Totals};
use crate::error::Result;
use crate::kernel::{Day, Timestamp, UserId, Zone};
use crate::store::{Arg, Db, Row, Sql, Tx};

/// What happened, to be added to the figures of the hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) new_users: i64,
    pub(crate) deleted_users: i64,
    pub(crate) active_hour: i64,
    pub(crate) active_day: i64,
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

impl Delta {
    /// Every figure, in the order of [`columns`].
    fn bind(self, sql: Sql<'_>) -> Sql<'_> {
        [
            self.new_users,
            self.deleted_users,
            self.active_hour,
            self.active_day,
            self.generations,
            self.succeeded,
            self.failed,
            self.images,
            self.orders,
            self.paid_orders,
            self.revenue,
            self.refunded,
            self.favorites,
            self.earned,
            self.spent,
        ]
        .into_iter()
        .fold(sql, Sql::bind)
    }

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            new_users: row.get("new_users")?,
            deleted_users: row.get("deleted_users")?,
            active_hour: row.get("active_hour")?,
            active_day: row.get("active_day")?,
            generations: row.get("generations")?,
            succeeded: row.get("succeeded")?,
            failed: row.get("failed")?,
            images: row.get("images")?,
            orders: row.get("orders")?,
            paid_orders: row.get("paid_orders")?,
            revenue: row.get("revenue")?,
            refunded: row.get("refunded")?,
            favorites: row.get("favorites")?,
            earned: row.get("earned")?,
            spent: row.get("spent")?,
        })
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            new_users: self.new_users + other.new_users,
            deleted_users: self.deleted_users + other.deleted_users,
            active_hour: self.active_hour + other.active_hour,
            active_day: self.active_day + other.active_day,
            generations: self.generations + other.generations,
            succeeded: self.succeeded + other.succeeded,
            failed: self.failed + other.failed,
            images: self.images + other.images,
            orders: self.orders + other.orders,
            paid_orders: self.paid_orders + other.paid_orders,
            revenue: self.revenue + other.revenue,
            refunded: self.refunded + other.refunded,
            favorites: self.favorites + other.favorites,
            earned: self.earned + other.earned,
            spent: self.spent + other.spent,
        }
    }
}

/// The figures of an hour.
macro_rules! columns {
    () => {
        "new_users, deleted_users, active_hour, active_day, generations, succeeded, failed, images, orders, \
         paid_orders, revenue, refunded, favorites, earned, spent"
    };
}

/// Adds the new figures to those that are there.
macro_rules! added_to {
    ($table:literal) => {
        concat!(
            "DO UPDATE SET new_users = ",
            $table,
            ".new_users + excluded.new_users, deleted_users = ",
            $table,
            ".deleted_users + excluded.deleted_users, active_hour = ",
            $table,
            ".active_hour + excluded.active_hour, active_day = ",
            $table,
            ".active_day + excluded.active_day, generations = ",
            $table,
            ".generations + excluded.generations, succeeded = ",
            $table,
            ".succeeded + excluded.succeeded, failed = ",
            $table,
            ".failed + excluded.failed, images = ",
            $table,
            ".images + excluded.images, orders = ",
            $table,
            ".orders + excluded.orders, paid_orders = ",
            $table,
            ".paid_orders + excluded.paid_orders, revenue = ",
            $table,
            ".revenue + excluded.revenue, refunded = ",
            $table,
            ".refunded + excluded.refunded, favorites = ",
            $table,
            ".favorites + excluded.favorites, earned = ",
            $table,
            ".earned + excluded.earned, spent = ",
            $table,
            ".spent + excluded.spent"
        )
    };
}

// On PostgreSQL every connection has a row of its own as well, since a row is locked until its transaction ends.
macro_rules! add {
    ($shard:literal) => {
        concat!(
            "INSERT INTO usage_hours (at, shard, ",
            columns!(),
            ") VALUES ($1, ",
            $shard,
            ", $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT (at, shard) ",
            added_to!("usage_hours")
        )
    };
}

/// Adds to the figures of the hour.
pub(super) async fn add(tx: &mut Tx, hour: Timestamp, shard: i64, delta: Delta) -> Result<()> {
    let sql = Sql::differing(add!("$2"), add!("$2 * 1000 + pg_backend_pid() % 1000"));
    tx.execute(delta.bind(sql.bind(hour).bind(shard))).await?;
    Ok(())
}

/// Moves the hours before this one, which nobody adds to any more, into the history.
pub(super) async fn fold(tx: &mut Tx, before: Timestamp) -> Result<()> {
    let over =
        Sql::new(concat!("DELETE FROM usage_hours WHERE at < $1 RETURNING at, ", columns!())).bind(before);
    let mut hours: BTreeMap<Timestamp, Delta> = BTreeMap::new();
    for row in tx.all(over).await? {
        let hour = hours.entry(row.get("at")?).or_default();
        *hour = hour.plus(Delta::read(&row)?);
    }
    let mut total = Delta::default();
    for (at, delta) in &hours {
        let sql = Sql::new(concat!(
            "INSERT INTO usage_history (at, ",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT (at) ",
            added_to!("usage_history")
        ));
        tx.execute(delta.bind(sql.bind(*at))).await?;
        total = total.plus(*delta);
    }
    if hours.is_empty() { Ok(()) } else { add_to_totals(tx, total).await }
}

async fn add_to_totals(tx: &mut Tx, delta: Delta) -> Result<()> {
    let sql = Sql::new(
        "INSERT INTO usage_totals (id, new_users, deleted_users, images, orders, favorites, earned, spent) \
         VALUES (1, $1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET \
         new_users = usage_totals.new_users + excluded.new_users, \
         deleted_users = usage_totals.deleted_users + excluded.deleted_users, \
         images = usage_totals.images + excluded.images, orders = usage_totals.orders + excluded.orders, \
         favorites = usage_totals.favorites + excluded.favorites, \
         earned = usage_totals.earned + excluded.earned, spent = usage_totals.spent + excluded.spent",
    )
    .bind(delta.new_users)
    .bind(delta.deleted_users)
    .bind(delta.images)
    .bind(delta.orders)
    .bind(delta.favorites)
    .bind(delta.earned)
    .bind(delta.spent);
    tx.execute(sql).await?;
    Ok(())
}

/// What there is in all. One statement, so that an hour which moves into the history meanwhile is counted once.
pub(super) async fn totals(db: &mut impl Db) -> Result<Totals> {
    let row = db
        .one(Sql::new(
            "SELECT CAST(coalesce(sum(new_users - deleted_users), 0) AS BIGINT) AS users, \
             CAST(coalesce(sum(orders), 0) AS BIGINT) AS orders, \
             CAST(coalesce(sum(images), 0) AS BIGINT) AS images, \
             CAST(coalesce(sum(favorites), 0) AS BIGINT) AS favorites, \
             CAST(coalesce(sum(earned), 0) AS BIGINT) AS earned, \
             CAST(coalesce(sum(spent), 0) AS BIGINT) AS spent FROM ( \
             SELECT new_users, deleted_users, orders, images, favorites, earned, spent FROM usage_totals \
             UNION ALL SELECT new_users, deleted_users, orders, images, favorites, earned, spent FROM usage_hours \
             ) parts",
        ))
        .await?;
    Ok(Totals {
        users: row.get("users")?,
        orders: row.get("orders")?,
        images: row.get("images")?,
        favorites: row.get("favorites")?,
        earned: row.get("earned")?,
        spent: row.get("spent")?,
    })
}

/// The figures of the hours from `from` on and before `to`, in their order. An hour may come in several parts.
pub(super) async fn hours(
    db: &mut impl Db,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<(Timestamp, Delta)>> {
    let sql = Sql::new(concat!(
        "SELECT at, ",
        columns!(),
        " FROM usage_history WHERE at >= $1 AND at < $2 UNION ALL SELECT at, ",
        columns!(),
        " FROM usage_hours WHERE at >= $1 AND at < $2 ORDER BY at"
    ));
    let rows = db.all(sql.bind(from).bind(to)).await?;
    rows.iter().map(|row| Ok((row.get("at")?, Delta::read(row)?))).collect()
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

impl UserDelta {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            orders: self.orders + other.orders,
            favorites: self.favorites + other.favorites,
            image_favorites: self.image_favorites + other.image_favorites,
            generations: self.generations + other.generations,
            succeeded: self.succeeded + other.succeeded,
            failed: self.failed + other.failed,
            images: self.images + other.images,
        }
    }
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
    /// Bytes of the user's uploads and photos.
    pub(crate) stored_bytes: i64,
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

/// Counts bytes that the user stores, unless that would exceed the limit; whether they were counted. Counting and
/// comparing are one statement, so parallel requests cannot exceed the limit together.
pub(crate) async fn take_storage(tx: &mut Tx, user: UserId, bytes: i64, limit: Option<i64>) -> Result<bool> {
    let sql = Sql::new(
        "UPDATE user_counters SET stored_bytes = stored_bytes + $2 WHERE user_id = $1 AND stored_bytes <= $3 - $2",
    );
    let sql = sql.bind(user.get()).bind(bytes).bind(limit.unwrap_or(i64::MAX));
    Ok(tx.execute(sql).await? == 1)
}

/// Counts bytes that the user no longer stores. What an older version of the program stored without counting is not
/// counted below zero.
pub(crate) async fn release_storage(tx: &mut Tx, user: UserId, bytes: i64) -> Result<()> {
    let sql = Sql::new(
        "UPDATE user_counters SET stored_bytes = CASE WHEN stored_bytes > $2 THEN stored_bytes - $2 ELSE 0 END \
         WHERE user_id = $1",
    );
    tx.execute(sql.bind(user.get()).bind(bytes)).await.map(drop)
}

/// One user's figures; zeros for a user that has none.
pub(crate) async fn counters(db: &mut impl Db, user: UserId) -> Result<Counters> {
    let sql = Sql::new(
        "SELECT orders, favorites, image_favorites, generations, succeeded, failed, images, stored_bytes \
         FROM user_counters WHERE user_id = $1",
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
        stored_bytes: row.get("stored_bytes")?,
    })
}

/// How finely it is counted who was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grain {
    Day,
    Hour,
}

impl Grain {
    const fn as_str(self) -> &'static str {
        match self {
            Grain::Day => "D",
            Grain::Hour => "H",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Grain::Day, Grain::Hour].into_iter().find(|grain| grain.as_str() == word)
    }
}

/// That a user was there on the day, or in the hour, that begins then.
pub(super) type Visit = (Grain, Timestamp, UserId);

/// Notes who was there when; what of it is new. Rows in their order, so that two such notes never wait for each other.
pub(super) async fn seen(tx: &mut Tx, visits: impl ExactSizeIterator<Item = Visit>) -> Result<Vec<Visit>> {
    if visits.len() == 0 {
        return Ok(Vec::new());
    }
    let rows = visits.map(|(grain, at, user)| [Arg::from(grain.as_str()), at.into(), user.get().into()]);
    let sql = Sql::with_rows(
        "INSERT INTO activity (grain, at, user_id) VALUES {rows} ON CONFLICT (grain, at, user_id) DO NOTHING \
         RETURNING grain, at, user_id",
        rows,
    );
    let rows = tx.all(sql).await?;
    rows.iter()
        .map(|row| Ok((row.word("grain", Grain::parse)?, row.get("at")?, row.get("user_id")?)))
        .collect()
}

/// Forgets who was there before this instant. How many they were stays known.
pub(super) async fn forget_activity(tx: &mut Tx, before: Timestamp) -> Result<()> {
    let sql = Sql::new("DELETE FROM activity WHERE grain IN ('H', 'D') AND at < $1");
    tx.execute(sql.bind(before)).await?;
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

/// The pictures that a user got from one day to another, both included, and of them since a third one.
pub(super) async fn images_between(
    db: &mut impl Db,
    user: UserId,
    first: Day,
    since: Day,
    last: Day,
) -> Result<(i64, i64)> {
    let sql = Sql::new(
        "SELECT CAST(coalesce(sum(images), 0) AS BIGINT) AS whole, \
         CAST(coalesce(sum(CASE WHEN day >= $3 THEN images ELSE 0 END), 0) AS BIGINT) AS part \
         FROM user_daily WHERE user_id = $1 AND day >= $2 AND day <= $4",
    )
    .bind(user.get())
    .bind(first.to_string())
    .bind(since.to_string())
    .bind(last.to_string());
    let row = db.one(sql).await?;
    Ok((row.get("whole")?, row.get("part")?))
}

/// The categories of templates that a user got most pictures from.
pub(super) async fn top_categories(db: &mut impl Db, user: UserId, most: i64) -> Result<Vec<CategoryCount>> {
    let sql = Sql::new(
        "SELECT category, images FROM user_categories WHERE user_id = $1 \
         ORDER BY images DESC, category LIMIT $2",
    );
    let rows = db.all(sql.bind(user.get()).bind(most)).await?;
    rows.iter()
        .map(|row| Ok(CategoryCount { name: row.get("category")?, count: row.get("images")? }))
        .collect()
}
