//! The `/v1` server over `dream-core`, on hyper.
//!
//! One route table feeds the router, the OpenAPI document, the labels of the metrics and the tests. A row names a
//! path and a handler; the types of the handler's arguments say who may call it and what it reads:
//!
//! ```
//! use dream_core::Result;
//! use dream_core::kernel::JobId;
//! use dream_http::gate::Anyone;
//! use dream_http::input::Path;
//! use dream_http::table::{Row, get};
//!
//! async fn show(_: Anyone, Path(id): Path<JobId>) -> Result<String> {
//!     Ok(id.to_string())
//! }
//!
//! let rows: Vec<Row> = vec![get("/v1/echo/{jobId}", show).doc("The id that was asked for")];
//! ```

mod app;
mod beside;
mod call;
mod client_address;
mod connection;
mod encoding;
pub mod file;
mod finish;
pub mod gate;
mod incoming;
pub mod input;
mod io;
mod last_call;
pub mod openapi;
mod origin;
pub mod problem;
mod public_cache;
pub mod reply;
mod routes;
mod server;
mod settings;
mod stack;
pub mod table;
mod throttle;
mod visit;
pub mod wire;

pub use app::{App, AppBuilder, Phase, Probe, RenderMetrics};
pub use call::{Call, Caller};
pub use origin::Origins;
pub use server::{Door, Server};
pub use settings::{Limits, Settings};
pub use throttle::{ClassLimits, LimitClass, ThrottleRule};

/// The OpenAPI document of everything that is served, as JSON, without starting anything.
///
/// # Errors
/// [`dream_core::Code::Internal`] for a table that contradicts itself.
pub fn openapi_json() -> dream_core::Result<String> {
    let table = table::Table::new(routes::all()).map_err(dream_core::Error::internal)?;
    let document =
        openapi::document(&table, env!("CARGO_PKG_VERSION")).map_err(dream_core::Error::internal)?;
    let mut json = document.to_pretty_json().map_err(dream_core::Error::internal)?;
    json.push('\n');
    Ok(json)
}
