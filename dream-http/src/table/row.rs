//! One row of the route table: method, path, handler, and what the document says about them.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use dream_core::{Code, Result};
use futures_util::future::BoxFuture;
use http::Method;

use crate::call::{Call, Caller};
use crate::finish::Outcome;
use crate::gate::{Gate, Guard};
use crate::input::{self, Input};
use crate::openapi::{Schemas, Sketch};
use crate::problem::Wording;
use crate::public_cache::Public;
use crate::reply::IntoReply;
use crate::stack::is_for_everybody;
use crate::throttle::LimitClass;

type Run = Arc<dyn for<'c> Fn(&'c mut Call) -> BoxFuture<'c, Result<Outcome>> + Send + Sync>;

/// A handler: `async fn(gate, input) -> Result<answer>`.
///
/// ```
/// use dream_core::kernel::Points;
/// use dream_core::{Admin, Result};
/// use dream_core::kernel::UserId;
/// use dream_http::input::{Body, Path, Whole};
/// use dream_http::table::post;
///
/// dream_http::input! {
///     /// A gift.
///     pub struct Gift {
///         /// How many points.
///         pub points: Whole<1, 1000>,
///     }
/// }
///
/// // Who may call it, what it reads, what it answers: all of it stands in the signature.
/// async fn give(admin: Admin, (Path(user), Body(gift)): (Path<UserId>, Body<Gift>)) -> Result<i64> {
///     Ok(admin.grant_points(user, Points::new(gift.points.0), "a gift").await?.balance.get())
/// }
/// # let _ = post("/v1/gifts/{userId}", give);
/// ```
pub trait Handler<G, I, O>: Clone + Send + Sync + 'static {
    /// Does it.
    fn handle(&self, gate: G, input: I) -> impl Future<Output = Result<O>> + Send;
}

impl<F, Fut, G, I, O> Handler<G, I, O> for F
where
    F: Fn(G, I) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<O>> + Send,
{
    fn handle(&self, gate: G, input: I) -> impl Future<Output = Result<O>> + Send {
        self(gate, input)
    }
}

/// One row of the route table.
///
/// ```
/// use dream_core::{Code, Guest, Result};
/// use dream_http::table::get;
/// use std::time::Duration;
///
/// async fn cheapest(guest: Guest, (): ()) -> Result<i64> {
///     let plans = guest.plans().await?;
///     Ok(plans.iter().map(|plan| plan.current_price.get()).min().ok_or(Code::PlanNotFound)?)
/// }
/// // Kept for a minute, or until somebody changes the plans.
/// let row = get("/v1/cheapest", cheapest)
///     .doc("What the cheapest plan costs, in fen")
///     .fails(&[Code::PlanNotFound])
///     .public(Duration::from_mins(1), "plans");
/// assert_eq!((row.path(), row.is_write()), ("/v1/cheapest", false));
/// ```
#[derive(Clone)]
pub struct Row {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) guard: Guard,
    pub(crate) fails: Vec<Code>,
    pub(crate) describe: fn(&'static str, &mut Schemas) -> Sketched,
    pub(crate) run: Run,
    pub(crate) options: Options,
}

/// What sets a row apart from the ordinary.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a yes or no of its own")]
pub(crate) struct Options {
    pub(crate) public: Option<Public>,
    pub(crate) metered: bool,
    pub(crate) class: Option<LimitClass>,
    pub(crate) shed: bool,
    pub(crate) waits: bool,
    /// A signed callback, which has slots and room for bodies of its own.
    pub(crate) is_callback: bool,
    pub(crate) strict_query: bool,
    pub(crate) listed: bool,
    pub(crate) answer_time: Option<Duration>,
    pub(crate) wording: Option<Wording>,
}

/// What the argument and result types of a row say about it.
pub(crate) struct Sketched {
    pub(crate) sketch: crate::openapi::Operation,
    pub(crate) answers: Vec<crate::openapi::Described>,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// `GET`: reads, and may be dropped when the client hangs up.
///
/// ```
/// use dream_core::{Result, Session};
/// use dream_http::table::get;
///
/// async fn points(me: Session, (): ()) -> Result<i64> {
///     Ok(me.balance().await?.balance.get())
/// }
/// let row = get("/v1/my/points", points);
/// assert!(!row.is_write(), "dropped when its client hangs up");
/// ```
pub fn get<H, G, I, O>(path: &'static str, handler: H) -> Row
where
    H: Handler<G, I, O>,
    G: Gate,
    I: Input,
    O: IntoReply,
{
    row(Method::GET, path, handler)
}

/// `POST`: runs to its end, whatever the client does.
///
/// ```
/// use dream_core::jobs::GenerateRequest;
/// use dream_core::{Result, Session};
/// use dream_http::reply::Accepted;
/// use dream_http::table::post;
///
/// async fn surprise(me: Session, (): ()) -> Result<Accepted<String>> {
///     let request = GenerateRequest::new("a surprise".parse().map_err(|_| dream_core::Code::Internal)?);
///     Ok(Accepted(me.generate(&request, None, None).await?.job_id.to_string()))
/// }
/// assert!(post("/v1/surprise", surprise).is_write(), "it runs to its end, whatever its client does");
/// ```
pub fn post<H, G, I, O>(path: &'static str, handler: H) -> Row
where
    H: Handler<G, I, O>,
    G: Gate,
    I: Input,
    O: IntoReply,
{
    row(Method::POST, path, handler)
}

/// `PUT`: runs to its end, whatever the client does.
///
/// ```
/// use dream_core::kernel::ImageId;
/// use dream_core::{Result, Session};
/// use dream_http::input::Path;
/// use dream_http::table::put;
///
/// async fn like(me: Session, Path(image): Path<ImageId>) -> Result<i64> {
///     me.like(image).await
/// }
/// # let _ =
/// put("/v1/likes/{imageId}", like);
/// ```
pub fn put<H, G, I, O>(path: &'static str, handler: H) -> Row
where
    H: Handler<G, I, O>,
    G: Gate,
    I: Input,
    O: IntoReply,
{
    row(Method::PUT, path, handler)
}

/// `DELETE`: runs to its end, whatever the client does.
///
/// ```
/// use dream_core::kernel::FavoriteId;
/// use dream_core::{Result, Session};
/// use dream_http::input::Path;
/// use dream_http::table::delete;
///
/// async fn forget(me: Session, Path(favorite): Path<FavoriteId>) -> Result<()> {
///     me.remove_favorite(favorite).await
/// }
/// # let _ =
/// delete("/v1/hearts/{favoriteId}", forget);
/// ```
pub fn delete<H, G, I, O>(path: &'static str, handler: H) -> Row
where
    H: Handler<G, I, O>,
    G: Gate,
    I: Input,
    O: IntoReply,
{
    row(Method::DELETE, path, handler)
}

fn row<H, G, I, O>(method: Method, path: &'static str, handler: H) -> Row
where
    H: Handler<G, I, O>,
    G: Gate,
    I: Input,
    O: IntoReply,
{
    let run: Run = Arc::new(move |call: &mut Call| {
        let handler = handler.clone();
        Box::pin(run::<H, G, I, O>(handler, call))
    });
    Row {
        method,
        path,
        summary: "",
        guard: G::GUARD,
        fails: Vec::new(),
        describe: describe::<I, O>,
        run,
        options: Options { is_callback: matches!(G::GUARD, Guard::Signed), ..Options::default() },
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            public: None,
            metered: true,
            class: None,
            shed: true,
            waits: false,
            is_callback: false,
            strict_query: true,
            listed: true,
            answer_time: None,
            wording: None,
        }
    }
}

/// Gate, limit, input, handler: in this order, so that nobody's body is read before it is known whose it is.
async fn run<H, G, I, O>(handler: H, call: &mut Call) -> Result<Outcome>
where
    H: Handler<G, I, O>,
    G: Gate,
    I: Input,
    O: IntoReply,
{
    let gate = G::enter(call).await;
    let caller = gate.as_ref().map_or(Caller::Unknown, Gate::caller);
    // Whoever is signed in, or shows a credential that is refused, is no guest.
    let is_guest = gate.is_ok() && caller == Caller::Unknown;
    let class = call.options().class.filter(|class| *class != LimitClass::Public || is_guest);
    let admitted = call.app().admit(call, class, &caller).await;
    // Each is set once: this is the only place that learns it.
    let _ = call.notes().caller.set(caller);
    admitted?;
    let gate = gate?;
    let strict_query = call.options().strict_query;
    let input = input::read_all::<I>(call, strict_query).await?;
    let Some(public) = call.options().public.filter(|_| is_for_everybody(G::GUARD, call.headers())) else {
        return handler.handle(gate, input).await?.into_reply().map(Outcome::Reply);
    };
    let key: Arc<str> = format!("{input:?}").into();
    let cache = call.app().public();
    if call.is_bare() {
        cache.remember_bare(call.row(), &key);
    }
    cache.get(call.row(), public, &key, async { handler.handle(gate, input).await?.into_reply() }).await
}

fn describe<I: Input, O: IntoReply>(path: &'static str, schemas: &mut Schemas) -> Sketched {
    let mut sketch = Sketch::new(path, schemas);
    I::describe(&mut sketch);
    let operation = sketch.finish();
    Sketched { sketch: operation, answers: O::describe(schemas) }
}

impl Row {
    /// What it does, in a few words.
    ///
    /// ```
    /// use dream_http::table::get;
    ///
    /// # async fn nothing(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<()> { Ok(()) }
    /// let row = get("/v1/x", nothing).doc("Does nothing");
    /// # let table = dream_http::table::Table::new(vec![row]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let operation = &serde_json::to_value(document).unwrap()["paths"]["/v1/x"]["get"];
    /// assert_eq!(operation["summary"], "Does nothing");
    /// ```
    #[must_use]
    pub fn doc(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// The codes it can fail with, besides those of its gate and its input.
    ///
    /// ```
    /// use dream_core::Code;
    /// use dream_http::table::get;
    ///
    /// # async fn nothing(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<()> { Ok(()) }
    /// let row = get("/v1/x", nothing).fails(&[Code::PlanNotFound]);
    /// # let table = dream_http::table::Table::new(vec![row]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let operation = &serde_json::to_value(document).unwrap()["paths"]["/v1/x"]["get"];
    /// assert_eq!(operation["responses"]["404"]["description"], "PLAN_NOT_FOUND");
    /// ```
    #[must_use]
    pub fn fails(mut self, codes: &[Code]) -> Self {
        self.fails.extend_from_slice(codes);
        self
    }

    /// The answer to equal input is the same for everybody who is not signed in, and is kept for this long, or until the
    /// topic changes. Requests of those who are not signed in count as [`LimitClass::Public`].
    #[must_use]
    pub fn public(mut self, ttl: Duration, topic: &'static str) -> Self {
        self.options.public = Some(Public { ttl, topic });
        self.limited_as(LimitClass::Public)
    }

    /// Counted against the limit of this class as well.
    #[must_use]
    pub fn limited_as(mut self, class: LimitClass) -> Self {
        self.options.class = Some(class);
        self
    }

    /// Not counted against anybody's allowance.
    ///
    /// ```
    /// use dream_http::table::get;
    ///
    /// # async fn nothing(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<()> { Ok(()) }
    /// let row = get("/v1/x", nothing).unmetered();
    /// # let table = dream_http::table::Table::new(vec![row]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let operation = &serde_json::to_value(document).unwrap()["paths"]["/v1/x"]["get"];
    /// assert!(operation["responses"].get("429").is_none(), "nobody is told to come again later");
    /// ```
    #[must_use]
    pub fn unmetered(mut self) -> Self {
        self.options.metered = false;
        self
    }

    /// Answered even when the server is too busy for anything else.
    ///
    /// ```
    /// use dream_http::table::get;
    ///
    /// # async fn nothing(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<()> { Ok(()) }
    /// let row = get("/v1/x", nothing).vital();
    /// # let table = dream_http::table::Table::new(vec![row]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let operation = &serde_json::to_value(document).unwrap()["paths"]["/v1/x"]["get"];
    /// assert!(operation["responses"].get("429").is_none(), "nor is it counted");
    /// ```
    #[must_use]
    pub fn vital(mut self) -> Self {
        self.options.shed = false;
        self.unmetered()
    }

    /// The answer may be held for a while, so that it must not take the place of one that is quick.
    #[must_use]
    pub fn waits(mut self) -> Self {
        self.options.waits = true;
        self
    }

    /// Unknown query parameters are passed over.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::table::get;
    ///
    /// # async fn nothing(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<()> { Ok(()) }
    /// let rows = vec![get("/v1/x", nothing).any_query(), get("/v1/y", nothing)];
    /// # let settings = dream_http::Settings { listen: ([127, 0, 0, 1], 0).into(), ..Default::default() };
    /// # let app = dream_http::App::builder(world.dream().clone(), settings).rows(rows).build()?;
    /// # let server = dream_http::Server::bind(app)?;
    /// # let base = format!("http://{}", server.local_addr()?);
    /// # let serving = tokio::spawn(server.serve(std::future::pending()));
    /// assert_eq!(reqwest::get(format!("{base}/v1/x?utm_source=poster")).await?.status(), 200);
    /// assert_eq!(reqwest::get(format!("{base}/v1/y?utm_source=poster")).await?.status(), 400);
    /// # serving.abort();
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn any_query(mut self) -> Self {
        self.options.strict_query = false;
        self
    }

    /// Not in the document.
    ///
    /// ```
    /// use dream_http::table::get;
    ///
    /// # async fn nothing(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<()> { Ok(()) }
    /// let row = get("/v1/x", nothing).unlisted();
    /// # let table = dream_http::table::Table::new(vec![row]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let operation = &serde_json::to_value(document).unwrap()["paths"]["/v1/x"]["get"];
    /// assert!(operation.is_null());
    /// ```
    #[must_use]
    pub fn unlisted(mut self) -> Self {
        self.options.listed = false;
        self
    }

    /// How long the answer may take, where the usual time does not do.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.options.answer_time = Some(time);
        self
    }

    /// Errors have another body than the usual one: the caller is a service with a form of its own.
    ///
    /// ```
    /// use dream_http::table::get;
    ///
    /// # async fn nothing(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<()> { Ok(()) }
    /// let row = get("/v1/x", nothing).wording(|problem| problem.code.as_bytes().to_vec());
    /// # let table = dream_http::table::Table::new(vec![row]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let operation = &serde_json::to_value(document).unwrap()["paths"]["/v1/x"]["get"];
    /// assert!(operation["responses"]["429"].get("content").is_none(), "it is no `Problem`");
    /// ```
    #[must_use]
    pub fn wording(mut self, wording: Wording) -> Self {
        self.options.wording = Some(wording);
        self
    }

    /// The same row at another path as well, for clients that know it by that.
    ///
    /// ```
    /// use dream_http::table::{Table, get};
    ///
    /// # async fn nothing(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<()> { Ok(()) }
    /// let row = get("/v1/x", nothing);
    /// let old = row.also_at("/v1/old/x");
    /// assert_eq!(old.path(), "/v1/old/x");
    /// assert!(Table::new(vec![row, old]).is_ok());
    /// ```
    #[must_use]
    pub fn also_at(&self, path: &'static str) -> Self {
        Self { path, ..self.clone() }
    }

    /// The method.
    ///
    /// ```
    /// use dream_http::table::{get, put};
    ///
    /// # async fn nothing(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<()> { Ok(()) }
    /// assert_eq!(get("/v1/x", nothing).method(), "GET");
    /// assert_eq!(put("/v1/x", nothing).method(), "PUT");
    /// ```
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path with its placeholders.
    ///
    /// ```
    /// use dream_http::table::get;
    ///
    /// # async fn nothing(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<()> { Ok(()) }
    /// assert_eq!(get("/v1/x", nothing).path(), "/v1/x");
    /// ```
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// What its gate asks for.
    ///
    /// ```
    /// use dream_http::gate::Guard;
    /// use dream_http::table::get;
    ///
    /// # async fn nothing(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<()> { Ok(()) }
    /// async fn users(_: dream_core::Admin, (): ()) -> dream_core::Result<()> {
    ///     Ok(())
    /// }
    /// assert_eq!(get("/v1/x", nothing).guard(), Guard::Open);
    /// assert_eq!(get("/v1/users", users).guard(), Guard::Admin);
    /// ```
    pub fn guard(&self) -> Guard {
        self.guard
    }

    /// Whether it runs to its end when the client hangs up.
    ///
    /// ```
    /// use dream_http::table::{delete, get};
    ///
    /// # async fn nothing(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<()> { Ok(()) }
    /// assert!(delete("/v1/x", nothing).is_write() && !get("/v1/x", nothing).is_write());
    /// ```
    pub fn is_write(&self) -> bool {
        self.method != Method::GET
    }
}
