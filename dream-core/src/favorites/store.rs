//! The table `favorites`.

use crate::error::Result;
use crate::kernel::UserId;
use crate::store::{Db as _, Sql, Tx};

/// Removes a deleted user's favorites.
pub(crate) async fn forget(tx: &mut Tx, user: UserId) -> Result<()> {
    tx.execute(Sql::new("DELETE FROM favorites WHERE user_id = $1").bind(user.get())).await?;
    tx.execute(
        Sql::new("UPDATE user_counters SET favorites = 0, image_favorites = 0 WHERE user_id = $1")
            .bind(user.get()),
    )
    .await?;
    Ok(())
}
