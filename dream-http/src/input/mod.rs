//! Path, query, headers and body to typed values. Every faulty field is named at once.

mod body;
mod faults;
mod header;
mod page;
mod path;
mod query;
mod shape;
mod strict;
mod upload;
mod words;

use std::fmt;
use std::future::Future;

use dream_core::{Code, Error, Facts, Result};

pub use body::{Body, DEFAULT_BODY, read_value};
pub use faults::Faults;
pub use header::{IDEMPOTENCY_KEY, IdempotencyKey, UpstreamAuthorization};
pub use page::{Numbered, Paged};
pub use path::{Path, PathWords};
pub(crate) use query::QueryPairs;
pub use query::{Query, QueryAs};
pub use shape::{Field, Fields, Reader, Shape, object, outside};
pub use upload::Upload;
pub use words::{
    AnyObject, Blank, Clearable, Flag, List, Named, OneOf, Parsed, Text, TextOrNumber, Whole, Word, read_by,
};

use crate::call::Call;
use crate::openapi::Sketch;

/// What a handler is given besides its gate. Tuples read their parts in order and tell the faults of all of them.
///
/// The debug form of an input shows everything that was read, since stored responses of a public row are told apart by it.
///
/// ```
/// use dream_core::kernel::OrderId;
/// use dream_core::{Result, Session};
/// use dream_http::input::{IdempotencyKey, Paged, Path};
/// use dream_http::table::get;
///
/// // One part, several as a tuple, or none as `()`. The faults of all parts are told together.
/// async fn one(_: Session, Path(_order): Path<OrderId>) -> Result<()> { Ok(()) }
/// async fn several(
///     _: Session,
///     (IdempotencyKey(_key), Paged(_page)): (IdempotencyKey, Paged),
/// ) -> Result<()> {
///     Ok(())
/// }
/// # let _ = (get("/v1/x/{orderId}", one), get("/v1/y", several));
/// ```
pub trait Input: Sized + fmt::Debug + Send + 'static {
    /// Reads it.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Result;
    /// use dream_http::Call;
    /// use dream_http::input::Input;
    /// use dream_http::openapi::Sketch;
    ///
    /// /// How many languages a client speaks.
    /// #[derive(Debug)]
    /// struct Tongues(usize);
    /// impl Input for Tongues {
    ///     async fn read(call: &mut Call) -> Result<Self> {
    ///         Ok(Self(call.headers().get_all("accept-language").iter().count()))
    ///     }
    /// #     fn describe(_: &mut Sketch<'_>) {}
    /// }
    /// # async fn count(_: dream_http::gate::Anyone, Tongues(count): Tongues) -> Result<usize> { Ok(count) }
    /// # let rows = vec![dream_http::table::get("/v1/tongues", count)];
    /// # let settings = dream_http::Settings { listen: ([127, 0, 0, 1], 0).into(), ..Default::default() };
    /// # let app = dream_http::App::builder(world.dream().clone(), settings).rows(rows).build()?;
    /// # let server = dream_http::Server::bind(app)?;
    /// # let base = format!("http://{}", server.local_addr()?);
    /// # let serving = tokio::spawn(server.serve(std::future::pending()));
    /// assert_eq!(reqwest::get(format!("{base}/v1/tongues")).await?.json::<usize>().await?, 0);
    /// # serving.abort();
    /// # Ok(())
    /// # });
    /// ```
    fn read(call: &mut Call) -> impl Future<Output = Result<Self>> + Send;

    /// Adds its parameters or body to the document.
    ///
    /// ```
    /// use dream_http::openapi::Sketch;
    /// use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
    ///
    /// # #[derive(Debug)]
    /// # struct Asked;
    /// # impl dream_http::input::Input for Asked {
    /// #     async fn read(_: &mut dream_http::Call) -> dream_core::Result<Self> { Ok(Self) }
    /// fn describe(sketch: &mut Sketch<'_>) {
    ///     let device = ParameterBuilder::new().name("X-Device").parameter_in(ParameterIn::Header);
    ///     sketch.parameter(device.build());
    /// }
    /// # }
    /// # async fn show(_: dream_http::gate::Anyone, _: Asked) -> dream_core::Result<()> { Ok(()) }
    /// # let row = dream_http::table::get("/v1/x", show).unmetered();
    /// # let table = dream_http::table::Table::new(vec![row]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let operation = &serde_json::to_value(document).unwrap()["paths"]["/v1/x"]["get"];
    /// // What an input reads stands in the document of every row that takes it.
    /// assert_eq!(operation["parameters"][0]["name"], "X-Device");
    /// ```
    fn describe(sketch: &mut Sketch<'_>);
}

/// Nothing but the gate.
impl Input for () {
    async fn read(_: &mut Call) -> Result<Self> {
        Ok(())
    }

    fn describe(_: &mut Sketch<'_>) {}
}

impl<A: Input, B: Input> Input for (A, B) {
    async fn read(call: &mut Call) -> Result<Self> {
        let first = A::read(call).await;
        both(first, async { B::read(call).await }).await
    }

    fn describe(sketch: &mut Sketch<'_>) {
        A::describe(sketch);
        B::describe(sketch);
    }
}

impl<A: Input, B: Input, C: Input> Input for (A, B, C) {
    async fn read(call: &mut Call) -> Result<Self> {
        let ((a, b), c) = <((A, B), C)>::read(call).await?;
        Ok((a, b, c))
    }

    fn describe(sketch: &mut Sketch<'_>) {
        <((A, B), C)>::describe(sketch);
    }
}

impl<A: Input, B: Input, C: Input, D: Input> Input for (A, B, C, D) {
    async fn read(call: &mut Call) -> Result<Self> {
        let ((a, b), (c, d)) = <((A, B), (C, D))>::read(call).await?;
        Ok((a, b, c, d))
    }

    fn describe(sketch: &mut Sketch<'_>) {
        <((A, B), (C, D))>::describe(sketch);
    }
}

/// Both values, or the faults of both. What is no matter of fields, such as an impossible id, ends it at once.
async fn both<A, B>(first: Result<A>, second: impl Future<Output = Result<B>>) -> Result<(A, B)> {
    match first {
        Ok(a) => second.await.map(|b| (a, b)),
        Err(error) if error.code() == Code::ValidationFailed => match second.await {
            Err(more) => Err(merged(&error, more)),
            Ok(_) => Err(error),
        },
        Err(error) => Err(error),
    }
}

fn merged(first: &Error, second: Error) -> Error {
    match (first.facts(), second.facts()) {
        (Facts::Fields(a), Facts::Fields(b)) => {
            let mut all = Faults::default();
            a.iter().chain(b).for_each(|fault| all.push(fault.clone()));
            all.into()
        }
        _ => second,
    }
}

/// Reads the whole input, and refuses what of the query nobody asked for.
pub(crate) async fn read_all<I: Input>(call: &mut Call, strict_query: bool) -> Result<I> {
    let input = I::read(call).await;
    let leftover = call.query().leftover();
    if !strict_query {
        return input;
    }
    both(input, async { leftover.check(()) }).await.map(|(input, ())| input)
}
