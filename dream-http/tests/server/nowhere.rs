//! An outside that nobody answers from, for tests that do not need one.

use async_trait::async_trait;
use dream_core::ports::{
    Failure, FailureKind, ImageApi, ImageRequest, LoginCode, Phone, PhoneCode, Tenant, UpstreamJob, WeChat,
    WeChatLogin,
};

/// No WeChat and no image API.
#[derive(Debug)]
pub(crate) struct Nowhere;

fn unreachable<T>() -> Result<T, Failure> {
    Err(Failure::new("nowhere", FailureKind::Unreachable, "there is nobody"))
}

#[async_trait]
impl WeChat for Nowhere {
    fn appid(&self) -> &'static str {
        "wx0000000000000000"
    }

    async fn login(&self, _: LoginCode) -> Result<WeChatLogin, Failure> {
        unreachable()
    }

    async fn phone(&self, _: PhoneCode, _: &str) -> Result<Phone, Failure> {
        unreachable()
    }
}

#[async_trait]
impl ImageApi for Nowhere {
    async fn submit(&self, _: &Tenant, _: &str, _: &ImageRequest) -> Result<UpstreamJob, Failure> {
        unreachable()
    }

    async fn job(&self, _: &Tenant, _: &str) -> Result<Option<UpstreamJob>, Failure> {
        unreachable()
    }

    async fn recent(&self, _: &Tenant) -> Result<Vec<UpstreamJob>, Failure> {
        unreachable()
    }

    async fn cancel(&self, _: &Tenant, _: &str) -> Result<(), Failure> {
        unreachable()
    }

    async fn download(&self, _: &str, _: u64) -> Result<(bytes::Bytes, String), Failure> {
        unreachable()
    }
}
