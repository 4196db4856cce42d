use std::sync::{Arc, OnceLock};

use dream_core::adapters::SystemClock;
use dream_core::adapters::wechat_pay::WeChatPay;
use dream_core::ports::SignedNotify;
use dream_core::protocol::message_push::PushQuery;
use dream_core::{Code, Dream, Result};
use http::StatusCode;

use crate::fakes::server::{FakeRequest, FakeResponse, FakeServer, Setup};

const WEBHOOK: &str = "/v1/proxy/webhook";
const PAYMENT: &str = "/v1/orders/payment-callback";
const REFUND: &str = "/v1/orders/refund-callback";
const PUSH: &str = "/v1/wechat/push";

/// The smallest server that takes for Dream what the outside tells it.
pub(super) struct Callbacks {
    pub(super) server: FakeServer,
    dream: Arc<OnceLock<Dream>>,
}

impl Callbacks {
    pub(super) async fn start() -> Self {
        let dream: Arc<OnceLock<Dream>> = Arc::default();
        let told = dream.clone();
        let answer = move |request| receive(told.clone(), request);
        // Its own log runs by the machine's clock: nobody reads the times.
        let server = FakeServer::start(Setup::new(Arc::new(SystemClock)), answer).await.expect("a port");
        Self { server, dream }
    }

    /// Hands everything to this one from now on.
    pub(super) fn belong_to(&self, dream: Dream) {
        drop(self.dream.set(dream));
    }

    pub(super) fn webhook_url(&self) -> String {
        format!("{}{WEBHOOK}", self.server.base_url())
    }

    pub(super) fn payment_url(&self) -> String {
        format!("{}{PAYMENT}", self.server.base_url())
    }

    pub(super) fn push_url(&self) -> String {
        format!("{}{PUSH}", self.server.base_url())
    }

    pub(super) fn refund_url(&self) -> String {
        format!("{}{REFUND}", self.server.base_url())
    }
}

async fn receive(dream: Arc<OnceLock<Dream>>, request: FakeRequest) -> FakeResponse {
    let Some(dream) = dream.get() else { return FakeResponse::empty(StatusCode::SERVICE_UNAVAILABLE) };
    let outcome = match request.path.as_str() {
        WEBHOOK => webhook(dream, &request).await,
        PAYMENT => payment(dream, &request).await,
        REFUND => refund(dream, &request).await,
        PUSH => push(dream, &request).await,
        _ => return FakeResponse::empty(StatusCode::NOT_FOUND),
    };
    FakeResponse::empty(match outcome {
        Ok(()) => StatusCode::OK,
        Err(error) if error.code() == Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    })
}

async fn webhook(dream: &Dream, request: &FakeRequest) -> Result<()> {
    let signature = request.header("x-signature").map(str::as_bytes);
    dream.image_webhook(signature, &request.body)?.apply().await
}

async fn payment(dream: &Dream, request: &FakeRequest) -> Result<()> {
    dream.payment_notify(WeChatPay::NAME, &notify(request)).await?.settle().await.map(drop)
}

async fn refund(dream: &Dream, request: &FakeRequest) -> Result<()> {
    dream.refund_notify(WeChatPay::NAME, &notify(request)).await?.settle().await.map(drop)
}

async fn push(dream: &Dream, request: &FakeRequest) -> Result<()> {
    let value = |name: &str| request.param(name);
    let (signature, timestamp, nonce) = (value("signature"), value("timestamp"), value("nonce"));
    let (msg_signature, encrypt_type) = (value("msg_signature"), value("encrypt_type"));
    let query = PushQuery {
        signature: signature.as_deref().unwrap_or_default(),
        timestamp: timestamp.as_deref().unwrap_or_default(),
        nonce: nonce.as_deref().unwrap_or_default(),
        echostr: None,
        msg_signature: msg_signature.as_deref(),
        encrypt_type: encrypt_type.as_deref(),
    };
    dream.wechat_push(&query, &request.body)?.apply().await
}

fn notify(request: &FakeRequest) -> SignedNotify {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    SignedNotify::new(request.headers.iter().map(header), request.body.clone())
}
