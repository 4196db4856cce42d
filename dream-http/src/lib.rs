//! The `/v1` server over `dream-core`, on hyper: HTTP/1.1 and HTTP/2 without TLS, told apart by the first bytes.
//!
//! # A server
//!
//! An [`App`] is what all requests share, and a [`Server`] listens for it until it is told to stop:
//!
//! ```no_run
//! # async fn serve(dream: dream_core::Dream, worker: dream_core::Worker) -> Result<(), Box<dyn std::error::Error>> {
//! use dream_http::{App, Server, Settings};
//!
//! let app = App::builder(dream, Settings::default()).build()?;
//! let server = Server::bind(app)?;
//! println!("http://{}", server.local_addr()?);
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! // Requests in flight still give the worker something to do, so it is stopped behind the server.
//! let working = tokio::spawn(async move { worker.run(async { drop(stopped.await) }).await });
//! server.serve(async { drop(tokio::signal::ctrl_c().await) }).await;
//! drop(stop);
//! working.await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Rows
//!
//! One route table feeds the router, the OpenAPI document, the labels of the metrics and the tests. A row names a
//! path and a handler; the types of the handler's arguments say who may call it and what it reads, and its result says
//! what it answers. [`AppBuilder::rows`] takes rows of one's own:
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
//!
//! Whoever has a hyper server already keeps it, and hands over what is not its own: [`App::answer`].
//!
//! # What happens to a request
//!
//! | step | refuses with |
//! |---|---|
//! | the connection: silent and slow clients are cut off | – |
//! | the row of the table | `ROUTE_NOT_FOUND`, `METHOD_NOT_ALLOWED` |
//! | a place among the requests at once | `UNAVAILABLE` |
//! | [`gate`]: credential to handle, before a byte of the body is read | `UNAUTHENTICATED` and its kin |
//! | so many requests in so long a time ([`ThrottleRule`]) | `RATE_LIMITED` |
//! | [`mod@input`]: path, query, headers, body, as typed values | `VALIDATION_FAILED` with every faulty field |
//! | the handler: one call on the handle | whatever the core says |
//! | [`wire`]: core value to JSON, or [`problem`]: error to JSON | – |
//!
//! # Errors
//!
//! A handler fails with [`dream_core::Error`]. [`problem`] gives each [`dream_core::Code`] a status and a sentence in Chinese and in
//! English; it matches the codes without a wildcard, so a new one does not compile until both are chosen. What an error
//! was made of goes to the log and never to the client. A handler that panics is a 500 like any other.
//!
//! # When a client leaves, and when the server stops
//!
//! A `GET` is dropped when its client hangs up. Every other request runs in a task of its own to its end, so that money
//! is never half recorded. [`Server::serve`] says what a stop does; it waits for those tasks too.
//!
//! # Limits
//!
//! [`Limits`] names all of them with their defaults: connections, requests at once, heads, bodies, memory for bodies,
//! and the time for each part of an exchange.
//!
//! # Features and the minimum supported Rust version
//!
//! There are no cargo features. It needs Rust 1.94.1; a later minor version may raise that to a Rust that is at least
//! half a year old.

mod app;
mod beside;
mod body_limits;
mod call;
mod client_address;
mod connection;
mod connection_counts;
mod encoding;
mod entropy;
pub mod file;
mod finish;
pub mod gate;
mod incoming;
pub mod input;
mod io;
mod last_call;
mod meters;
pub mod openapi;
mod origin;
mod pace;
pub mod problem;
mod public_cache;
pub mod reply;
mod response_memory;
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
pub use entropy::ThreadEntropy;
pub use origin::Origins;
pub use server::{Door, Server};
pub use settings::{Docs, Limits, Settings};
pub use throttle::{ClassLimits, LimitClass, ThrottleRule};

/// The OpenAPI document of everything that is served, as JSON, without starting anything.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // For a generator of clients: nothing has to run.
/// let document: serde_json::Value = serde_json::from_str(&dream_http::openapi_json()?)?;
/// assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`dream_core::Code::Internal`] for a table that contradicts itself.
pub fn openapi_json() -> dream_core::Result<String> {
    let table = table::Table::new(routes::all(Docs::Open)).map_err(dream_core::Error::internal)?;
    let document =
        openapi::document(&table, env!("CARGO_PKG_VERSION")).map_err(dream_core::Error::internal)?;
    let mut json = document.to_pretty_json().map_err(dream_core::Error::internal)?;
    json.push('\n');
    Ok(json)
}
