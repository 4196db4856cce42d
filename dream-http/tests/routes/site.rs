//! A world with a server in front of it, and people who talk to it.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use dream_core::Dream;
use dream_core::adapters::OsEntropy;
use dream_core::adapters::wechat_pay::WeChatPay;
use dream_core::ports::Clock;
use dream_http::{App, Server, Settings};
use dream_testkit::backends::Backend;
use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
use dream_testkit::world::{ADMIN_KEY, TestDream, WorldOptions};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// One client for all tests, since making one is slow. It keeps no connections: each test has a runtime of its own.
fn client() -> &'static reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(0)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client")
    });
    &CLIENT
}

/// A running server over a world.
pub(crate) struct Site {
    pub(crate) world: TestDream,
    pub(crate) app: Arc<App>,
    pub(crate) address: SocketAddr,
    node: Node,
}

/// A server that runs.
pub(crate) struct Node {
    app: Arc<App>,
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Node {
    fn start(dream: Dream, settings: Settings) -> Self {
        let app = App::builder(dream, settings).build().unwrap();
        let server = Server::bind(Arc::clone(&app)).unwrap();
        let address = server.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.serve(async move {
            let _ = stopped.await;
        }));
        Self { app, address, stop, running }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap();
    }
}

/// Any free port, and no limits.
pub(crate) fn settings() -> Settings {
    Settings { listen: SocketAddr::from(([127, 0, 0, 1], 0)), throttle: None, ..Settings::default() }
}

impl Site {
    pub(crate) async fn open(backend: &Backend) -> Self {
        Self::on(TestDream::on(backend)).await
    }

    pub(crate) async fn on(options: WorldOptions) -> Self {
        Self::at(settings(), options).await
    }

    /// A site that takes payments, and the platform that they are made on.
    pub(crate) async fn with_shop(backend: &Backend) -> (Self, FakeWeChatPay) {
        // The platform has to know where notices go before the server runs there.
        let place = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = place.local_addr().unwrap();
        drop(place);
        let mut clock: Option<Arc<dyn Clock>> = None;
        let options = TestDream::on(backend).image_api(|options| clock = Some(options.clock.clone()));
        let clock = clock.unwrap();
        let fake = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await.unwrap();
        let at = |path: &str| format!("http://{address}/v1/orders/{path}");
        let config = fake.config(&at("payment-callback"), &at("refund-callback"));
        let pay = WeChatPay::new(config, clock, Arc::new(OsEntropy)).unwrap();
        let settings = Settings { listen: address, ..settings() };
        let site = Self::at(settings, options.pay(Arc::new(pay))).await;
        site.world.dream().plant_seeds().await.unwrap();
        (site, fake)
    }

    pub(crate) async fn at(settings: Settings, options: WorldOptions) -> Self {
        let world = Box::pin(options.start()).await;
        let node = Node::start(world.dream().clone(), settings);
        Self { app: Arc::clone(&node.app), address: node.address, node, world }
    }

    /// Another server of the same business, as in a process of its own.
    pub(crate) async fn another_node(&self) -> Node {
        let (dream, _worker) = self.world.another_node().await;
        Node::start(dream, self.app.settings().clone())
    }

    /// Stops the server and checks the books.
    pub(crate) async fn close(self) {
        self.node.stop().await;
        drop(self.app);
        self.world.finish().await;
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        Self::request_at(self.address, method, path)
    }

    /// A request to this node of a site.
    pub(crate) fn request_at(node: SocketAddr, method: Method, path: &str) -> RequestBuilder {
        client().request(method, format!("http://{node}{path}")).header("accept-language", "en")
    }

    /// Where the server answers for this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Somebody without any credential.
    pub(crate) fn nobody(&self) -> Client<'_> {
        Client { site: self, proof: Proof::None }
    }

    /// The holder of the admin key.
    pub(crate) fn admin(&self) -> Client<'_> {
        Client { site: self, proof: Proof::Admin(ADMIN_KEY.to_owned()) }
    }

    /// The holder of this admin key.
    pub(crate) fn admin_with(&self, key: &str) -> Client<'_> {
        Client { site: self, proof: Proof::Admin(key.to_owned()) }
    }

    /// Somebody with this token.
    pub(crate) fn bearer(&self, token: &str) -> Client<'_> {
        Client { site: self, proof: Proof::Bearer(token.to_owned()) }
    }

    /// Somebody who logs in over HTTP under this name.
    pub(crate) async fn user(&self, name: &str) -> Client<'_> {
        let code = self.world.wechat().login_code(&format!("o-{name}"));
        let body = serde_json::json!({ "code": code });
        let login = self.nobody().post("/v1/auth/wechat-login", &body).await.ok(200);
        self.bearer(login["token"].as_str().unwrap())
    }
}

/// How somebody proves who it is.
#[derive(Debug, Clone)]
enum Proof {
    None,
    Bearer(String),
    Admin(String),
}

/// Somebody who talks to the server.
#[derive(Clone)]
pub(crate) struct Client<'s> {
    site: &'s Site,
    proof: Proof,
}

impl Client<'_> {
    pub(crate) fn prepare(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.site.request(method, path);
        match &self.proof {
            Proof::None => request,
            Proof::Bearer(token) => request.bearer_auth(token),
            Proof::Admin(key) => request.header("x-admin-key", key),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.prepare(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.prepare(Method::DELETE, path).send().await.unwrap()).await
    }

    pub(crate) async fn delete_with(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.prepare(Method::DELETE, path).json(body).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.prepare(Method::POST, path).json(body).send().await.unwrap()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.prepare(Method::PUT, path).json(body).send().await.unwrap()).await
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap();
        Self { status, json: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    /// The body, if the status is this one.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.json);
        self.json
    }

    /// Checks that it is this error.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.json["code"].as_str()), (status, Some(code)), "{}", self.json);
    }

    /// The faulty fields: `limit RANGE`.
    pub(crate) fn faults(&self) -> Vec<String> {
        let errors = self.json["errors"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        errors.iter().map(|fault| format!("{} {}", text(&fault["field"]), text(&fault["code"]))).collect()
    }
}

/// The names of an object's members, sorted.
pub(crate) fn members(value: &Value) -> Vec<&str> {
    value.as_object().map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}
