//! What really talks to the outside. Each adapter implements one port; those that need a heavy dependency stand
//! behind a cargo feature of their own, which makes them available and changes nothing by itself.

mod content_check;
#[cfg(feature = "image-api")]
pub mod image_api;
#[cfg(any(feature = "wechat", feature = "image-api"))]
mod outbound;
mod system;
#[cfg(feature = "wechat")]
pub mod wechat;
#[cfg(feature = "wechat-pay")]
pub mod wechat_pay;

pub use content_check::AllowAll;
#[cfg(feature = "wechat")]
pub use content_check::WeChatContentCheck;
pub use system::{OsEntropy, SystemClock};
