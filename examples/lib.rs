//! Small whole programs that use Dream. Each is run by a test as well as by hand:
//!
//! ```sh
//! cargo run -p dream-examples --example embed
//! ```
//!
//! | program | shows |
//! |---|---|
//! | `embed` | Dream inside a tokio service that is there already |
//! | `serve_beside` | `/v1` beside hyper routes of one's own |
//! | `own_ports` | an image API, a place for pictures and a payment channel of one's own |
//! | `take_payment` | a WeChat payment with nothing but the payment module |
//! | `listen` | what happens, as a stream of events |
//! | `test_yours` | a test of one's own service on the testkit |
//!
//! This library has what they share: [`Outside`] plays everything outside of Dream. A program of yours has real
//! credentials in its place, and the same adapters.

use std::error::Error;
use std::sync::Arc;

use dream_core::adapters::image_api::{ImageApiConfig, ImageApiHttp};
use dream_core::adapters::wechat::{WeChatConfig, WeChatHttp};
use dream_core::adapters::wechat_pay::WeChatPay;
use dream_core::adapters::{DiskBlobs, MemoryCache, OsEntropy, SystemClock};
use dream_core::ports::{Clock, LoginCode};
use dream_core::{BearerToken, Builder, DatabaseOptions, Dream, Login, Session, Settings};
use dream_testkit::sandbox::{Sandbox, SandboxOptions};
use secrecy::SecretString;
use tempfile::TempDir;

/// Whatever may go wrong in an example.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The code in the README and in the quick start is compiled with the examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/quickstart.md")]
struct Readme;

/// Everything outside of Dream, played on this machine, and a folder for its database and its pictures.
#[derive(Debug)]
pub struct Outside {
    /// WeChat, WeChat Pay, the image API and R2.
    pub sandbox: Sandbox,
    folder: TempDir,
    clock: Arc<dyn Clock>,
}

impl Outside {
    /// Starts it. Pictures are ready in no time.
    ///
    /// # Errors
    /// If a port or a folder cannot be had.
    pub async fn start() -> Outcome<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let options = SandboxOptions { speed: 10_000.0, ..SandboxOptions::new(clock.clone()) };
        Ok(Self { sandbox: Sandbox::start(options).await?, folder: tempfile::tempdir()?, clock })
    }

    /// What an operator may choose.
    pub fn settings(&self) -> Settings {
        let secret = SecretString::from("an example's secret of more than 32 bytes");
        let webhook_secret = Some(self.sandbox.credentials().webhook_secret.into());
        Settings { webhook_secret, ..Settings::new(secret) }
    }

    /// Dream with an adapter for everything outside: what `dream serve` does with its configuration.
    ///
    /// # Errors
    /// If an adapter does not like its configuration.
    pub async fn builder(&self, settings: Settings) -> Outcome<Builder> {
        let keys = self.sandbox.credentials();
        let (clock, cache) = (self.clock.clone(), Arc::new(MemoryCache::new(self.clock.clone())));
        let wechat = WeChatConfig {
            base_url: keys.wechat_base_url,
            ..WeChatConfig::new(keys.wechat_appid, keys.wechat_secret.into())
        };
        let image_api = ImageApiConfig::new(keys.image_api_base_url, keys.image_api_key.into());
        // Nobody listens there in most examples; lost notifies are made good by asking.
        let notify = "https://dream.example/v1/orders/payment-callback";
        let pay = self.sandbox.wechat_pay.config(notify, notify);
        let database = format!("sqlite://{}", self.folder.path().join("dream.db").display());
        let pictures = DiskBlobs::open(self.folder.path().join("uploads"), "https://dream.example/uploads");

        Ok(Dream::builder(settings, DatabaseOptions::new(database))
            .cache(cache.clone())
            .blobs(Arc::new(pictures.await?))
            .wechat(Arc::new(WeChatHttp::new(wechat, cache, clock.clone())?))
            .image_api(Arc::new(ImageApiHttp::new(&image_api, clock.clone())?))
            .pay(Arc::new(WeChatPay::new(pay, clock, Arc::new(OsEntropy))?)))
    }
}

/// Logs somebody in, as the phone would after `wx.login`. The sandbox's WeChat knows `sandbox-<name>`.
///
/// # Errors
/// If WeChat does not know the code.
pub async fn log_in(dream: &Dream, name: &str) -> Outcome<Session> {
    let code = LoginCode::new(format!("sandbox-{name}")).map_err(|_| "no code")?;
    let login = Login { code, phone: None, nick_name: None, avatar_url: None };
    let tokens = dream.guest().login(login).await?.tokens;
    Ok(dream.session(&BearerToken::new(tokens.access)).await?)
}
