//! Ports that refuse, for commands that work on stored state and talk to nobody.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dream_core::ports::{
    BlobInfo, BlobKey, BlobPage, BlobReader, Blobs, ByteRange, Failure, FailureKind, ImageApi, ImageRequest,
    LoginCode, Phone, PhoneCode, PresignedPut, Tenant, UpstreamJob, WeChat, WeChatLogin,
};

/// Stands where an adapter is asked for that nothing of the command's may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inert;

fn refuse<T>() -> Result<T, Failure> {
    Err(Failure::new("command", FailureKind::Misconfigured, "this command talks to nobody"))
}

#[async_trait]
impl WeChat for Inert {
    fn appid(&self) -> &'static str {
        ""
    }

    async fn login(&self, _: LoginCode) -> Result<WeChatLogin, Failure> {
        refuse()
    }

    async fn phone(&self, _: PhoneCode, _: &str) -> Result<Phone, Failure> {
        refuse()
    }
}

#[async_trait]
impl ImageApi for Inert {
    async fn submit(&self, _: &Tenant, _: &str, _: &ImageRequest) -> Result<UpstreamJob, Failure> {
        refuse()
    }

    async fn job(&self, _: &Tenant, _: &str) -> Result<Option<UpstreamJob>, Failure> {
        refuse()
    }

    async fn recent(&self, _: &Tenant) -> Result<Vec<UpstreamJob>, Failure> {
        refuse()
    }

    async fn cancel(&self, _: &Tenant, _: &str) -> Result<(), Failure> {
        refuse()
    }

    async fn download(&self, _: &str, _: u64) -> Result<(Bytes, String), Failure> {
        refuse()
    }
}

#[async_trait]
impl Blobs for Inert {
    async fn put(&self, _: &BlobKey, _: &str, _: Bytes) -> Result<(), Failure> {
        refuse()
    }

    async fn open(&self, _: &BlobKey, _: Option<ByteRange>) -> Result<Option<BlobReader>, Failure> {
        refuse()
    }

    async fn head(&self, _: &BlobKey) -> Result<Option<BlobInfo>, Failure> {
        refuse()
    }

    async fn delete(&self, _: &BlobKey) -> Result<(), Failure> {
        refuse()
    }

    async fn list(&self, _: &str, _: Option<&BlobKey>) -> Result<BlobPage, Failure> {
        refuse()
    }

    fn public_url(&self, key: &BlobKey) -> String {
        key.to_string()
    }

    fn key_of(&self, _: &str) -> Option<BlobKey> {
        None
    }

    fn presign_put(&self, _: &BlobKey, _: &str, _: Duration) -> Option<PresignedPut> {
        None
    }
}
