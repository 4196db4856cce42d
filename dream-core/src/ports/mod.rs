//! What lies outside of the business: one small trait per thing. `Dream` holds each as an `Arc<dyn Port>`.
//!
//! Every method says what it promises; what really talks stands in [`crate::adapters`].

mod blobs;
mod cache;
mod clock;
mod content_check;
mod entropy;
mod failure;
mod image_api;
mod pay;
mod wechat;

pub use blobs::{Blob, BlobInfo, BlobKey, BlobPage, BlobReader, Blobs, ByteRange, MAX_PIECE, PresignedPut};
pub use cache::{Cache, Invalidation};
pub use clock::Clock;
pub use content_check::{ContentCheck, ImageCheck, Scene, TextCheck, Verdict};
pub use entropy::{Entropy, EntropyExt};
pub(crate) use failure::USER_INACTIVE;
pub use failure::{Failure, FailureKind};
pub use image_api::{ImageApi, ImageRequest, JobError, JobState, Reason, Tenant, UpstreamJob};
pub use pay::{
    BillEntry, BillRow, BillSums, ChannelOrder, ClientParams, CloseOutcome, NotifyRefusal, OrderRef,
    PayChannel, PayIdentity, PayTrouble, PaymentFacts, Prepaid, PrepayRequest, RefundFacts, RefundRequest,
    RefundState, RefusedAt, SignedNotify, TradeBill, UnreadableRow, pay_code,
};
pub use wechat::{LoginCode, Phone, PhoneCode, WeChat, WeChatLogin};
