//! The services outside: WeChat, WeChat Pay, the image API.

use std::sync::Arc;

use dream_core::adapters::image_api::ImageApiHttp;
use dream_core::adapters::wechat::WeChatHttp;
use dream_core::adapters::wechat_pay::WeChatPay;
use dream_core::adapters::{MemoryCache, OsEntropy};
use dream_core::kernel::OrderId;
use dream_core::ports::{
    ChannelOrder, EntropyExt as _, Failure, FailureKind, ImageApi as _, OrderRef, PayChannel as _, Tenant,
};

use super::Verdict;
use crate::config::{Config, Mode, WeChatAccess};
use crate::exit::{Exit, Trouble};
use crate::wire;

/// Longer than any order number of ours, so that it names none.
const MADE_UP_LEN: usize = 24;

fn played() -> Verdict {
    Verdict::LeftOut("no credentials: the sandbox plays it".into())
}

pub(super) async fn wechat(access: Option<&WeChatAccess>) -> Verdict {
    let Some(access) = access else { return played() };
    // With a cache of its own, the token is one that WeChat gave just now.
    let cache = Arc::new(MemoryCache::new(wire::clock()));
    let client = match WeChatHttp::new(access.client.clone(), cache, wire::clock()) {
        Ok(client) => client,
        Err(error) => return Trouble::from(error).into(),
    };
    match client.try_credentials().await {
        Ok(()) => Verdict::Well(format!("{} gave an access token", access.client.base_url)),
        Err(failure) => {
            let refused = failure.kind == FailureKind::Misconfigured;
            let trouble = Trouble::from(failure);
            let hint =
                "look at WECHAT_APPID, WECHAT_SECRET, and the list of allowed addresses in the console";
            if refused { trouble.hint(hint).into() } else { trouble.into() }
        }
    }
}

pub(super) async fn pay(config: &Config) -> Verdict {
    let Some(access) = &config.pay else {
        return match config.mode {
            Mode::Development => played(),
            Mode::Production => Verdict::LeftOut("not configured: nothing can be bought".into()),
        };
    };
    let channel = match WeChatPay::new(access.client.clone(), wire::clock(), Arc::new(OsEntropy)) {
        Ok(channel) => channel,
        Err(faults) => return Trouble::new(Exit::Config, "CONFIGURATION", faults.to_string()).into(),
    };
    let by_key = access.client.platform_key_id.is_some();
    let outcome =
        if by_key { look_for_nothing(&channel).await } else { channel.download_certificates().await };
    match outcome {
        Ok(()) if by_key => {
            Verdict::Well("the merchant's signature is taken; answers are trusted by public key".into())
        }
        Ok(()) => {
            let count = channel.trusted_keys().certificates.len();
            Verdict::Well(format!(
                "the merchant's signature is taken; {count} platform certificates downloaded"
            ))
        }
        Err(failure) => {
            let hint = "look at WECHAT_PAY_MCH_ID, _SERIAL_NO, _PRIVATE_KEY and _API_V3_KEY, and at this machine's clock";
            Trouble::from(failure).hint(hint).into()
        }
    }
}

/// Looks up an order that nobody made: whether that is refused for our signature's sake is what we want to know.
async fn look_for_nothing(channel: &WeChatPay) -> Result<(), Failure> {
    let number: OrderId = OsEntropy.alphanumeric(MADE_UP_LEN).parse().map_err(|_| {
        Failure::new("wechat_pay", FailureKind::Refused, "the number of the trial order is none")
    })?;
    match channel.query(OrderRef::Order(&number)).await? {
        ChannelOrder::Unknown => Ok(()),
        _ => Err(Failure::new("wechat_pay", FailureKind::Refused, "it knows an order that nobody made")),
    }
}

pub(super) async fn image_api(config: &Config) -> Verdict {
    let Some(access) = &config.image_api else { return played() };
    let client = match ImageApiHttp::new(&access.client, wire::clock()) {
        Ok(client) => client,
        Err(error) => return Trouble::from(error).into(),
    };
    if let Err(failure) = client.health().await {
        return Trouble::from(failure).hint("does the image API of THIRD_PARTY_API_BASE_URL run?").into();
    }
    let forwards = config.operator.settings.forward_upstream_auth;
    match client.recent(&Tenant::Service).await {
        Ok(_) => Verdict::Well(format!("{} is well and takes our key", access.client.base_url)),
        Err(failure) if forwards && !failure.is_transient() => Verdict::Doubtful(
            format!("{} is well", access.client.base_url),
            "it takes no key of ours: only callers who bring their own can generate".into(),
        ),
        Err(failure) => Trouble::from(failure).hint("look at THIRD_PARTY_API_KEY").into(),
    }
}
