//! Words that every area shares: ids, money, time, pages, secrets.

mod idempotency;
mod ids;
mod money;
pub(crate) mod page;
mod patch;
mod secret;
pub(crate) mod text;
mod time;

pub use idempotency::IdempotencyKey;
pub use ids::{
    CharacterId, FavoriteId, GenerationId, ImageId, JobId, KeyName, OrderId, PhotoId, PlanId, RefundId,
    RequestId, TemplateId, UserId,
};
pub use money::{Fen, Points};
pub use page::{Cursor, Limit, ListScope, Page, PageRequest, SortKey, Start};
pub use patch::Patch;
pub(crate) use secret::derive as derive_key;
pub use secret::{SealedBox, Sealer};
pub use time::{Day, Month, Timestamp, Zone};
