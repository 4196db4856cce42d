use std::sync::Arc;

use dream_core::{Code, Dream};
use http::StatusCode;

use crate::fakes::image_api::FakeImageApi;
use crate::fakes::server::{FakeRequest, FakeResponse, FakeServer, Setup};

/// Starts the smallest server that takes the image API's notices for Dream, and says so to the image API.
pub(super) async fn receive(dream: Dream, image_api: &Arc<FakeImageApi>) -> FakeServer {
    let clock = Arc::new(dream_core::adapters::SystemClock);
    let server = FakeServer::start(Setup::new(clock), move |request| deliver(dream.clone(), request))
        .await
        .expect("a port for webhooks");
    image_api.set_webhook_url(Some(server.base_url()));
    server
}

async fn deliver(dream: Dream, request: FakeRequest) -> FakeResponse {
    let signature = request.header("x-signature").map(str::as_bytes);
    let outcome = match dream.image_webhook(signature, &request.body) {
        Ok(event) => event.apply().await,
        Err(error) => Err(error),
    };
    FakeResponse::empty(match outcome {
        Ok(()) => StatusCode::OK,
        Err(error) if error.code() == Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    })
}
