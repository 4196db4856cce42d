//! The points ledger.

use dream_core::kernel::GenerationId;
use dream_core::points::{self, EntryKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::time::At;
use crate::input::OneOf;

/// Somebody's points in sum.
///
/// ```
/// use dream_core::kernel::Points;
/// use dream_core::points;
/// use dream_http::wire::points::Balance;
///
/// let sums = points::Balance {
///     balance: Points::new(40),
///     total_earned: Points::new(50),
///     total_spent: Points::new(10),
/// };
/// let json = serde_json::to_value(Balance::from(sums)).unwrap();
/// assert_eq!(json, serde_json::json!({ "balance": 40, "totalEarned": 50, "totalSpent": 10 }));
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Balance {
    balance: i64,
    total_earned: i64,
    total_spent: i64,
}

impl From<points::Balance> for Balance {
    fn from(balance: points::Balance) -> Self {
        Self {
            balance: balance.balance.get(),
            total_earned: balance.total_earned.get(),
            total_spent: balance.total_spent.get(),
        }
    }
}

/// One entry of somebody's ledger.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::kernel::{PageRequest, Points};
/// use dream_http::wire::points::Transaction;
///
/// # let alice = world.alice().await;
/// world.admin().await.grant_points(alice.id(), Points::new(50), "a gift").await?;
/// let mut ledger = alice.session().await.transactions(None, &PageRequest::default()).await?.items;
/// let json = serde_json::to_value(Transaction::from(ledger.remove(0)))?;
/// assert_eq!(
///     (&json["type"], &json["amount"], &json["balanceAfter"]),
///     (&"EARN".into(), &50.into(), &50.into())
/// );
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    id: i64,
    user_id: i64,
    /// `EARN`, `SPEND` or `REFUND`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "EARN")]
    kind: &'static str,
    /// Always positive.
    amount: i64,
    description: String,
    balance_after: i64,
    order_id: Option<String>,
    generation_id: Option<i64>,
    #[schema(inline)]
    created_at: At,
}

impl From<points::LedgerEntry> for Transaction {
    fn from(entry: points::LedgerEntry) -> Self {
        Self {
            id: entry.id,
            user_id: entry.user.get(),
            kind: entry.kind.as_str(),
            amount: entry.amount.get(),
            description: entry.description,
            balance_after: entry.balance_after.get(),
            order_id: entry.order.map(|order| order.to_string()),
            generation_id: entry.generation.map(GenerationId::get),
            created_at: entry.created_at.into(),
        }
    }
}

crate::input! {
    /// Which entries are wanted.
    ///
    /// ```
    /// use dream_core::points::EntryKind;
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::points::TransactionFilter;
    ///
    /// // `?type=SPEND`
    /// assert!(read_value::<TransactionFilter>(serde_json::json!({ "type": "SPEND" })).is_ok());
    /// let refused = read_value::<TransactionFilter>(serde_json::json!({ "type": "GIFT" })).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::OneOf(EntryKind::NAMES).at("type")]));
    /// ```
    pub struct TransactionFilter {
        /// Those of this kind.
        pub kind as "type": Option<OneOf<EntryKind>>,
    }
}
