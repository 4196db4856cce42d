//! The sandbox's control page: who is logged in, what is to be paid, what goes wrong, and what the fakes were asked, with
//! each merchant's signature explained.
//!
//! The page and what it asks come from one port:
//!
//! | | |
//! |---|---|
//! | `GET /` | the page, in Chinese and English |
//! | `/api/wechat/…`, `/api/pay/…`, `/api/images/…` | what stands under `/_control/` of that fake |
//!
//! What changes something needs the header `X-Dream-Sandbox`, which no page of another site can send.

use std::io;
use std::sync::Arc;

use http::StatusCode;
use serde_json::json;

use crate::fakes::image_api::FakeImageApi;
use crate::fakes::server::{FakeRequest, FakeResponse, FakeServer, Handler, Setup};
use crate::fakes::wechat::FakeWeChat;
use crate::fakes::wechat_pay::FakeWeChatPay;

/// What only a page of our own sends: others would have to ask first, and are refused.
const OWN: &str = "x-dream-sandbox";
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The files of the page: path, type, content.
const FILES: &[(&str, &str, &str)] = &[
    ("/", "text/html; charset=utf-8", include_str!("../assets/control/index.html")),
    ("/app.js", "text/javascript; charset=utf-8", include_str!("../assets/control/app.js")),
    ("/words.js", "text/javascript; charset=utf-8", include_str!("../assets/control/words.js")),
    ("/style.css", "text/css; charset=utf-8", include_str!("../assets/control/style.css")),
];

/// The knobs of each fake.
struct Knobs {
    wechat: Handler,
    pay: Handler,
    images: Handler,
}

/// The control page on a loopback port. It stops when it is dropped.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::SystemClock;
/// use dream_testkit::sandbox::{Sandbox, SandboxOptions};
/// use std::sync::Arc;
///
/// let sandbox = Sandbox::start(SandboxOptions::new(Arc::new(SystemClock))).await?;
/// let page = reqwest::get(sandbox.control.base_url()).await?;
/// assert_eq!(page.status(), 200, "for a browser");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Control {
    server: FakeServer,
}

impl Control {
    /// Opens the page over these fakes.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::sandbox::{Sandbox, SandboxOptions};
    /// # let clock = std::sync::Arc::new(dream_core::adapters::SystemClock);
    /// # let sandbox = Sandbox::start(SandboxOptions::new(clock)).await?;
    /// use dream_testkit::control::Control;
    /// use dream_testkit::fakes::server::Setup;
    ///
    /// # let clock = std::sync::Arc::new(dream_core::adapters::SystemClock);
    /// // A second page over the same fakes.
    /// let Sandbox { wechat, wechat_pay, image_api, .. } = &sandbox;
    /// let page = Control::start(Setup::new(clock), wechat, wechat_pay, image_api).await?;
    /// assert_ne!(page.base_url(), sandbox.control.base_url());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the port cannot be opened.
    pub async fn start(
        setup: Setup,
        wechat: &FakeWeChat,
        pay: &FakeWeChatPay,
        images: &FakeImageApi,
    ) -> io::Result<Self> {
        let knobs = Knobs { wechat: wechat.knobs(), pay: pay.knobs(), images: images.knobs() };
        let knobs = Arc::new(knobs);
        let server = FakeServer::start(setup, move |request| answer(knobs.clone(), request)).await?;
        Ok(Self { server })
    }

    /// Where the page is, without a slash at the end.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::sandbox::{Sandbox, SandboxOptions};
    /// # let clock = std::sync::Arc::new(dream_core::adapters::SystemClock);
    /// # let sandbox = Sandbox::start(SandboxOptions::new(clock)).await?;
    /// let asked = format!("{}/api/wechat/requests", sandbox.control.base_url());
    /// assert_eq!(reqwest::get(&asked).await?.status(), 200);
    /// // What changes something takes a header that no page of another site can send.
    /// assert_eq!(reqwest::Client::new().delete(&asked).send().await?.status(), 403);
    /// # Ok(())
    /// # }
    /// ```
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }

    pub(crate) fn addr(&self) -> std::net::SocketAddr {
        self.server.addr()
    }

    /// Stops and waits until the port is free.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dream_testkit::sandbox::{Sandbox, SandboxOptions};
    /// # let clock = std::sync::Arc::new(dream_core::adapters::SystemClock);
    /// # let sandbox = Sandbox::start(SandboxOptions::new(clock)).await?;
    /// let page = sandbox.control.base_url();
    /// sandbox.control.shutdown().await;
    /// assert!(reqwest::get(page).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(self) {
        self.server.end().await;
    }
}

async fn answer(knobs: Arc<Knobs>, mut request: FakeRequest) -> FakeResponse {
    let reads = matches!(request.method.as_str(), "GET" | "HEAD");
    let Some((part, knob)) = request.path.strip_prefix("/api/").and_then(|rest| rest.split_once('/')) else {
        return if reads { file(&request.path) } else { unknown() };
    };
    let fake = match part {
        "wechat" => &knobs.wechat,
        "pay" => &knobs.pay,
        "images" => &knobs.images,
        _ => return unknown(),
    };
    if !reads && request.header(OWN).is_none() {
        let error = json!({"error": "X-Dream-Sandbox is missing"});
        return FakeResponse::json(StatusCode::FORBIDDEN, &error);
    }
    request.path = format!("/_control/{knob}");
    fake(request).await.with_header("cache-control", "no-store")
}

fn file(path: &str) -> FakeResponse {
    let Some((_, kind, content)) = FILES.iter().find(|(known, ..)| *known == path) else { return unknown() };
    FakeResponse::new(StatusCode::OK, kind, *content)
        .with_header("content-security-policy", POLICY)
        .with_header("x-content-type-options", "nosniff")
        .with_header("cache-control", "no-cache")
}

fn unknown() -> FakeResponse {
    FakeResponse::json(StatusCode::NOT_FOUND, &json!({"error": "there is no such thing"}))
}
