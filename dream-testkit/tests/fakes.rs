//! The fakes behave as the services that they play.
#![expect(clippy::expect_used, reason = "a helper of a test may stop the test")]

#[path = "fakes/agreement.rs"]
mod agreement;
#[path = "fakes/image_api.rs"]
mod image_api;
#[path = "fakes/sandbox.rs"]
mod sandbox;
#[path = "fakes/server.rs"]
mod server;
#[path = "fakes/wechat.rs"]
mod wechat;
#[path = "fakes/wechat_pay.rs"]
mod wechat_pay;
#[path = "fakes/world.rs"]
mod world;
