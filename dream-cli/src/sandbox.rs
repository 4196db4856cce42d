//! Plays the parts of the outside that have no credentials.

#[cfg(feature = "sandbox")]
pub(crate) use played::{Played, running_pay};
#[cfg(not(feature = "sandbox"))]
pub(crate) use unplayed::{Played, running_pay};

#[cfg(feature = "sandbox")]
mod played {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use dream_core::adapters::SystemClock;
    use dream_core::adapters::image_api::ImageApiConfig;
    use dream_core::adapters::wechat::WeChatConfig;
    use dream_core::adapters::wechat_pay::{CallLimits, WeChatPayConfig};
    use dream_http::table::Row;
    use dream_testkit::sandbox::{Sandbox, SandboxOptions};
    use dream_testkit::sandbox_state::SandboxState;
    use secrecy::SecretString;

    use crate::config::{
        Config, ImageApiAccess, Mode, PayAccess, PushAccess, Storage, WeChatAccess, sandbox_state,
    };
    use crate::exit::{Exit, Trouble};
    use crate::till;

    /// The fakes, running in this process. They stop when this is dropped.
    pub(crate) struct Played {
        sandbox: Sandbox,
        backend: String,
        wechat: bool,
        image_api: bool,
        pay: bool,
    }

    fn state_file(config: &Config) -> PathBuf {
        let uploads = match &config.storage {
            Storage::Disk(folder) => Some(folder.as_path()),
            Storage::R2(_) => None,
        };
        sandbox_state(&config.operator.database, uploads)
    }

    /// Access to the WeChat Pay that a `dream serve` on this machine plays.
    pub(crate) fn running_pay(file: &Path) -> Result<PayAccess, Trouble> {
        let missing = || {
            let message = format!("the sandbox plays WeChat Pay, and {} does not say where", file.display());
            Trouble::new(Exit::Unavailable, "SANDBOX", message)
                .hint("start `dream serve` in this folder, or set WECHAT_PAY_MCH_ID and its kin")
        };
        let state = SandboxState::read(file).ok_or_else(missing)?;
        let keys = state.pay.ok_or_else(missing)?;
        let backend = state.backend.unwrap_or_default();
        let client = WeChatPayConfig {
            appid: state.appid,
            mchid: keys.mchid,
            merchant_serial: keys.merchant_serial,
            merchant_key_pem: SecretString::from(keys.merchant_key_pem),
            api_v3_key: SecretString::from(keys.api_v3_key),
            platform_key_id: Some(keys.platform_key_id),
            platform_key_pem: Some(keys.platform_key_pem),
            notify_url: format!("{backend}/v1/orders/payment-callback"),
            refund_notify_url: Some(format!("{backend}/v1/orders/refund-callback")),
            base_urls: vec![keys.base_url],
            limits: CallLimits::default(),
        };
        Ok(PayAccess { client })
    }

    impl Played {
        /// Starts the fakes if a part has to be played. `backend` is where they reach us.
        pub(crate) async fn start(config: &Config, backend: String) -> Result<Option<Self>, Trouble> {
            let (wechat, image_api) = (config.wechat.is_none(), config.image_api.is_none());
            let pay = config.pay.is_none() && config.mode == Mode::Development;
            if !(wechat || image_api || pay) {
                return Ok(None);
            }
            let merchant_appid = config.wechat.as_ref().map(|access| access.client.appid.clone());
            let options = SandboxOptions {
                backend: Some(backend.clone()),
                merchant_appid,
                state: Some(state_file(config)),
                ..SandboxOptions::new(Arc::new(SystemClock))
            };
            let sandbox = Sandbox::start(options).await.map_err(|error| {
                Trouble::new(Exit::Failed, "SANDBOX", format!("starting the sandbox: {error}"))
            })?;
            Ok(Some(Self { sandbox, backend, wechat, image_api, pay }))
        }

        /// Access to the WeChat that is played.
        pub(crate) fn wechat(&self) -> WeChatAccess {
            let keys = self.sandbox.credentials();
            let client = WeChatConfig::new(keys.wechat_appid, SecretString::from(keys.wechat_secret));
            let push = PushAccess {
                token: SecretString::from(keys.push_token),
                aes_key: Some(SecretString::from(keys.push_aes_key)),
            };
            WeChatAccess {
                client: WeChatConfig { base_url: keys.wechat_base_url, ..client },
                push: Some(push),
            }
        }

        /// Access to the image API that is played.
        pub(crate) fn image_api(&self) -> ImageApiAccess {
            let keys = self.sandbox.credentials();
            ImageApiAccess {
                client: ImageApiConfig::new(keys.image_api_base_url, SecretString::from(keys.image_api_key)),
                webhook_secret: Some(SecretString::from(keys.webhook_secret)),
            }
        }

        /// Access to the WeChat Pay that is played, if it is.
        pub(crate) fn pay(&self) -> Option<PayAccess> {
            let notify = |name| format!("{}/v1/orders/{name}", self.backend);
            let client =
                self.sandbox.wechat_pay.config(&notify("payment-callback"), &notify("refund-callback"));
            self.pay.then_some(PayAccess { client })
        }

        /// What is played, and where.
        pub(crate) fn parts(&self) -> Vec<(&'static str, String)> {
            let keys = self.sandbox.credentials();
            let parts = [
                (self.wechat, "WeChat", keys.wechat_base_url),
                (self.pay, "WeChat Pay", keys.pay.base_url),
                (self.image_api, "image API", keys.image_api_base_url),
            ];
            parts.into_iter().filter(|part| part.0).map(|(_, name, url)| (name, url)).collect()
        }

        /// Whether anybody can log in with a code of the sandbox's.
        pub(crate) fn plays_wechat(&self) -> bool {
            self.wechat
        }

        /// Whether orders are paid at the WeChat Pay that is played.
        pub(crate) fn plays_pay(&self) -> bool {
            self.pay
        }

        /// The control page.
        pub(crate) fn control(&self) -> String {
            format!("{}/", self.sandbox.control.base_url())
        }

        /// What the server answers beside `/v1`, for testers.
        pub(crate) fn rows(&self) -> Vec<Row> {
            if self.pay { till::rows(&self.sandbox.wechat_pay) } else { Vec::new() }
        }

        /// Stops the fakes.
        pub(crate) async fn stop(self) {
            self.sandbox.shutdown().await;
        }
    }
}

#[cfg(not(feature = "sandbox"))]
mod unplayed {
    use std::path::Path;

    use dream_http::table::Row;

    use crate::config::{Config, ImageApiAccess, PayAccess, WeChatAccess};
    use crate::exit::Trouble;

    /// There is no sandbox in this build.
    pub(crate) fn running_pay(_: &Path) -> Result<PayAccess, Trouble> {
        Err(Trouble::internal("a build without sandbox has no payments of one"))
    }

    /// There is no sandbox in this build, so there is never a value of this type.
    pub(crate) enum Played {}

    impl Played {
        #[expect(clippy::unused_async, reason = "with the sandbox it waits")]
        pub(crate) async fn start(_: &Config, _: String) -> Result<Option<Self>, Trouble> {
            Ok(None)
        }

        pub(crate) fn wechat(&self) -> WeChatAccess {
            match *self {}
        }

        pub(crate) fn image_api(&self) -> ImageApiAccess {
            match *self {}
        }

        pub(crate) fn pay(&self) -> Option<PayAccess> {
            match *self {}
        }

        pub(crate) fn parts(&self) -> Vec<(&'static str, String)> {
            match *self {}
        }

        pub(crate) fn plays_wechat(&self) -> bool {
            match *self {}
        }

        pub(crate) fn plays_pay(&self) -> bool {
            match *self {}
        }

        pub(crate) fn control(&self) -> String {
            match *self {}
        }

        pub(crate) fn rows(&self) -> Vec<Row> {
            match *self {}
        }

        #[expect(clippy::unused_async, reason = "with the sandbox it waits")]
        pub(crate) async fn stop(self) {
            match self {}
        }
    }
}
