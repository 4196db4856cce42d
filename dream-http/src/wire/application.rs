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
///
/// ```
/// use dream_http::wire::application::Banner;
///
/// let banner = Banner { message: "Dream API", version: "0.1.0", docs: "/api/docs" };
/// let json = serde_json::json!({ "message": "Dream API", "version": "0.1.0", "docs": "/api/docs" });
/// assert_eq!(serde_json::to_value(banner).unwrap(), json);
/// ```
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
///
/// ```
/// use dream_core::kernel::Timestamp;
/// use dream_http::wire::application::Health;
///
/// let health = Health {
///     status: "ok",
///     timestamp: Timestamp::from_secs(1_769_600_000).to_string(),
///     service: "dream",
///     version: "0.1.0",
///     uptime: 3600,
/// };
/// let json = serde_json::to_value(health).unwrap();
/// assert_eq!((&json["uptime"], &json["timestamp"]), (&3600.into(), &"2026-01-28T11:33:20.000Z".into()));
/// ```
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
///
/// ```
/// use dream_http::wire::application::Live;
///
/// // All that a supervisor wants to know; it is answered without a look at the database.
/// assert_eq!(serde_json::to_string(&Live { status: "ok" }).unwrap(), r#"{"status":"ok"}"#);
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct Live {
    /// Always `ok`.
    #[schema(value_type = String, example = "ok")]
    pub status: &'static str,
}

/// Whether requests should be sent here.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::wire::application::{DependencyState, Readiness};
///
/// let health = world.dream().health().await;
/// let status = if health.iter().all(|one| one.up || !one.required) { "ready" } else { "unavailable" };
/// let ready = Readiness { status, dependencies: health.iter().map(DependencyState::from).collect() };
/// assert_eq!(serde_json::to_value(ready)?["status"], "ready");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready`, `starting`, `draining` or `unavailable`.
    #[schema(value_type = String, example = "ready")]
    pub status: &'static str,
    /// What it depends on.
    pub dependencies: Vec<DependencyState>,
}

/// Something that the service depends on.
///
/// ```
/// use dream_core::DependencyHealth;
/// use dream_http::wire::application::DependencyState;
///
/// let redis = DependencyHealth { name: "redis", required: false, up: false };
/// let json = serde_json::to_value(DependencyState::from(&redis)).unwrap();
/// assert_eq!(json, serde_json::json!({ "name": "redis", "state": "down", "required": false }));
/// ```
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
