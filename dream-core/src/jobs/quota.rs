//! How much may be generated without paying points.

use aws_lc_rs::hmac;
use secrecy::SecretString;

use crate::error::Result;
use crate::kernel::{Day, Month, Timestamp, UserId, Zone, derive_key};
use crate::settings::{QuotaLimit, Settings};
use crate::store::{Db, Sql, Tx};

/// Samples used today and this month.
///
/// ```
/// use dream_core::QuotaLimit;
/// use dream_core::jobs::{Quota, Used};
///
/// let limit = QuotaLimit { daily: 5, monthly: 100 };
/// let quota = Quota::new(limit, Used { daily: 2, monthly: 99 });
/// assert_eq!(quota.remaining(), 1, "three would be left of the day, but only one of the month");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Today.
    pub daily: i64,
    /// This month.
    pub monthly: i64,
}

/// What a level allows, and what of it is used.
///
/// ```
/// use dream_core::QuotaLimit;
/// use dream_core::jobs::{Quota, Used};
///
/// let limit = QuotaLimit { daily: 5, monthly: 100 };
/// assert_eq!(Quota::new(limit, Used { daily: 2, monthly: 40 }).remaining(), 3);
/// // A level has ended since, and with it the higher limit.
/// assert_eq!(Quota::new(limit, Used { daily: 60, monthly: 60 }).remaining(), 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// What the level allows.
    pub limit: QuotaLimit,
    /// What is used.
    pub used: Used,
}

impl Quota {
    /// The quota at these limits.
    ///
    /// ```
    /// use dream_core::QuotaLimit;
    /// use dream_core::jobs::{Quota, Used};
    ///
    /// // What somebody has who came today.
    /// let quota = Quota::new(QuotaLimit { daily: 5, monthly: 100 }, Used::default());
    /// assert_eq!(quota.used, Used { daily: 0, monthly: 0 });
    /// ```
    pub const fn new(limit: QuotaLimit, used: Used) -> Self {
        Self { limit, used }
    }

    /// Samples left today, counting the month's limit too. Never negative: a limit may have fallen meanwhile.
    ///
    /// ```
    /// use dream_core::QuotaLimit;
    /// use dream_core::jobs::{Quota, Used};
    ///
    /// let limit = QuotaLimit { daily: 5, monthly: 100 };
    /// // For the button: so many are free, and what goes beyond is paid with points.
    /// let free_of = |asked: i64, used| asked.min(Quota::new(limit, used).remaining());
    /// assert_eq!(free_of(4, Used { daily: 3, monthly: 40 }), 2);
    /// ```
    pub fn remaining(self) -> i64 {
        (self.limit.daily - self.used.daily).min(self.limit.monthly - self.used.monthly).max(0)
    }
}

/// The periods that a generation is counted in. It is given back in the same ones, however late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Periods {
    pub(crate) day: String,
    pub(crate) month: String,
}

impl Periods {
    pub(crate) fn of(day: Day, month: Month) -> Self {
        Self { day: format!("D{day}"), month: format!("M{month}") }
    }

    pub(crate) fn at(zone: &Zone, now: Timestamp) -> Self {
        let day = zone.day(now);
        Self::of(day, day.month())
    }
}

/// What a user has used in the present periods.
pub(crate) async fn usage(db: &mut impl Db, user: UserId, zone: &Zone, now: Timestamp) -> Result<Used> {
    used_in(db, user, &Periods::at(zone, now)).await
}

pub(crate) async fn used_in(db: &mut impl Db, user: UserId, periods: &Periods) -> Result<Used> {
    let sql = Sql::new("SELECT period, used FROM quota_usage WHERE user_id = $1 AND period IN ($2, $3)")
        .bind(user.get())
        .bind(periods.day.as_str())
        .bind(periods.month.as_str());
    let mut used = Used::default();
    for row in db.all(sql).await? {
        let count: i64 = row.get("used")?;
        if row.get::<String>("period")? == periods.day {
            used.daily = count;
        } else {
            used.monthly = count;
        }
    }
    Ok(used)
}

/// Counts samples in both periods. The caller holds the lock of the user's account.
pub(crate) async fn take(tx: &mut Tx, user: UserId, periods: &Periods, samples: i64) -> Result<()> {
    let sql = Sql::new(
        "INSERT INTO quota_usage (user_id, period, used) VALUES ($1, $2, $4), ($1, $3, $4) \
         ON CONFLICT (user_id, period) DO UPDATE SET used = quota_usage.used + $4",
    );
    tx.execute(sql.bind(user.get()).bind(periods.day.as_str()).bind(periods.month.as_str()).bind(samples))
        .await?;
    Ok(())
}

/// Gives samples back in the periods in which they were counted.
pub(crate) async fn give_back(tx: &mut Tx, user: UserId, periods: &Periods, samples: i64) -> Result<()> {
    let sql = Sql::new("UPDATE quota_usage SET used = used - $4 WHERE user_id = $1 AND period IN ($2, $3)");
    tx.execute(sql.bind(user.get()).bind(periods.day.as_str()).bind(periods.month.as_str()).bind(samples))
        .await?;
    Ok(())
}

/// How a deleted user is known: by a digest of the openid under a key of the server.
fn person(secret: &SecretString, openid: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, derive_key(secret, "dream/deleted-user/v1").as_ref());
    hex::encode(hmac::sign(&key, openid.as_bytes()).as_ref())
}

/// Stores what a user who is being deleted used of the present day and month, and nothing else.
pub(crate) async fn remember(
    tx: &mut Tx,
    settings: &Settings,
    user: UserId,
    openid: &str,
    now: Timestamp,
) -> Result<()> {
    if settings.deleted_user_memory.is_zero() {
        return Ok(());
    }
    let periods = Periods::at(&settings.zone, now);
    let sql = Sql::new(
        "INSERT INTO deleted_usage (person, period, used, expires_at) SELECT $1, period, used, $5 FROM quota_usage \
         WHERE user_id = $2 AND period IN ($3, $4) AND used > 0 \
         ON CONFLICT (person, period) DO UPDATE SET used = excluded.used, expires_at = excluded.expires_at",
    )
    .bind(person(&settings.secret, openid))
    .bind(user.get())
    .bind(periods.day.as_str())
    .bind(periods.month.as_str())
    .bind(now.plus(settings.deleted_user_memory));
    tx.execute(sql).await?;
    Ok(())
}

/// Gives a new user the usage that is remembered of an earlier account of the same person, which is then forgotten.
pub(crate) async fn restore(
    tx: &mut Tx,
    settings: &Settings,
    user: UserId,
    openid: &str,
    now: Timestamp,
) -> Result<()> {
    let person = person(&settings.secret, openid);
    let sql = Sql::new(
        "INSERT INTO quota_usage (user_id, period, used, carried) SELECT CAST($2 AS BIGINT), period, used, used \
         FROM deleted_usage WHERE person = $1 AND expires_at > $3",
    );
    if tx.execute(sql.bind(person.as_str()).bind(user.get()).bind(now)).await? > 0 {
        tx.execute(Sql::new("DELETE FROM deleted_usage WHERE person = $1").bind(person)).await?;
    }
    Ok(())
}
