//! The service itself.
//!
//! ```
//! # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
//! # world.dream().plant_seeds().await?;
//! # let settings = dream_http::Settings { listen: ([127, 0, 0, 1], 0).into(), ..Default::default() };
//! # let server = dream_http::Server::bind(dream_http::App::builder(world.dream().clone(), settings).build()?)?;
//! # let base = format!("http://{}", server.local_addr()?);
//! # let serving = tokio::spawn(server.serve(std::future::pending()));
//! # let alice = world.alice().await;
//! # let (http, token) = (reqwest::Client::new(), alice.tokens().access);
//! # let get = async |path: &str| -> Result<serde_json::Value, reqwest::Error> {
//! #     http.get(format!("{base}{path}")).bearer_auth(&token).send().await?.json().await
//! # };
//! assert_eq!(get("/health/live").await?["status"], "ok");
//! let ready = get("/health/ready").await?;
//! println!("{ready:#}");
//! # serving.abort();
//! # Ok(())
//! # });
//! ```

use dream_core::DependencyHealth;
use serde::Serialize;
use utoipa::ToSchema;

/// What this is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Banner {
    /// A greeting.
    #[schema(value_type = String)]
    pub message: &'static str,
    /// The program's version.
    #[schema(value_type = String, example = "0.1.0")]
    pub version: &'static str,
    /// Where the documentation is.
    #[schema(value_type = String, example = "/api/docs")]
    pub docs: &'static str,
}

/// That it is there.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    #[schema(value_type = String, example = "ok")]
    pub status: &'static str,
    /// The present time of the server.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// The name of the service.
    #[schema(value_type = String)]
    pub service: &'static str,
    /// The program's version.
    #[schema(value_type = String, example = "0.1.0")]
    pub version: &'static str,
    /// Seconds since it was started.
    pub uptime: u64,
}

/// That the process answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Live {
    /// Always `ok`.
    #[schema(value_type = String, example = "ok")]
    pub status: &'static str,
}

/// Whether requests should be sent here.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready`, `starting`, `draining` or `unavailable`.
    #[schema(value_type = String, example = "ready")]
    pub status: &'static str,
    /// What it depends on.
    pub dependencies: Vec<DependencyState>,
}

/// Something that the service depends on.
#[derive(Debug, Serialize, ToSchema)]
pub struct DependencyState {
    /// What it is.
    #[schema(value_type = String, example = "database")]
    pub name: &'static str,
    /// `up` or `down`.
    #[schema(value_type = String, example = "up")]
    pub state: &'static str,
    /// Whether the service is of no use without it.
    pub required: bool,
}

impl From<&DependencyHealth> for DependencyState {
    fn from(dependency: &DependencyHealth) -> Self {
        let state = if dependency.up { "up" } else { "down" };
        Self { name: dependency.name, state, required: dependency.required }
    }
}
