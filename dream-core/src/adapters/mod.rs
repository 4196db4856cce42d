//! What really talks to the outside. Each adapter implements one port; those that need a heavy dependency stand
//! behind a cargo feature of their own, which makes them available and changes nothing by itself.

mod content_check;
mod disk_blobs;
#[cfg(feature = "image-api")]
pub mod image_api;
mod memory_cache;
#[cfg(any(feature = "wechat", feature = "wechat-pay", feature = "image-api"))]
mod outbound;
#[cfg(feature = "r2")]
mod r2_blobs;
#[cfg(feature = "r2")]
mod r2_signing;
#[cfg(feature = "redis")]
mod redis_cache;
mod system;
#[cfg(feature = "wechat")]
pub mod wechat;
#[cfg(feature = "wechat-pay")]
pub mod wechat_pay;

pub use content_check::AllowAll;
#[cfg(feature = "wechat")]
pub use content_check::WeChatContentCheck;
pub use disk_blobs::DiskBlobs;
pub use memory_cache::MemoryCache;
#[cfg(feature = "r2")]
pub use r2_blobs::{R2Blobs, R2Config};
#[cfg(feature = "redis")]
pub use redis_cache::{RedisCache, RedisConfig};
pub use system::{OsEntropy, SystemClock};
