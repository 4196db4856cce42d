//! The query string.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use deserr::{Deserr, IntoValue as _, ValuePointerRef};
use dream_core::{Fault, Format, Result};
use serde_json::{Map, Value};

use super::{Faults, Fields, Input};
use crate::call::Call;
use crate::openapi::Sketch;

/// How many parameters a query may have.
const MAX_PAIRS: usize = 64;

/// The parameters of a query that nobody has read yet.
#[derive(Debug, Default)]
pub(crate) struct QueryPairs {
    values: Map<String, Value>,
    faults: Faults,
}

impl QueryPairs {
    /// Reads `a=1&b=2`. A parameter without a value counts as not given: that is what clients mean by it.
    pub(crate) fn parse(text: &str) -> Self {
        let mut pairs = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()).take(MAX_PAIRS) {
            pairs.add(name, value);
        }
        pairs
    }

    fn add(&mut self, name: Cow<'_, str>, value: Cow<'_, str>) {
        let fault = if value.contains('\0') || name.contains('\0') {
            Some(Fault::Format(Format::WithoutNul))
        } else if value.contains(char::REPLACEMENT_CHARACTER) || name.contains(char::REPLACEMENT_CHARACTER) {
            Some(Fault::Format(Format::Utf8))
        } else if self.values.contains_key(name.as_ref()) {
            Some(Fault::Duplicate)
        } else {
            None
        };
        if let Some(fault) = fault {
            self.faults.push(fault.at(name));
        } else if !value.is_empty() {
            self.values.insert(name.into_owned(), Value::String(value.into_owned()));
        }
    }

    /// Takes one parameter out.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        match self.values.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Takes all that is left, and what was wrong with the query as such.
    fn take_rest(&mut self) -> (Map<String, Value>, Faults) {
        (std::mem::take(&mut self.values), std::mem::take(&mut self.faults))
    }

    /// Faults of the query as such, and every parameter that nobody wanted.
    pub(crate) fn leftover(&mut self) -> Faults {
        let (values, mut faults) = self.take_rest();
        for name in values.keys() {
            faults.push(Fault::Unknown.at(name));
        }
        faults
    }
}

/// The parameters of the query as a struct of `Parsed<..>` and `Option<Parsed<..>>` fields.
///
/// Stands after [`super::Paged`] and [`super::Numbered`], since it refuses whatever it does not know.
///
/// ```
/// use dream_core::ports::JobState;
/// use dream_core::{Result, Session};
/// use dream_http::input::{OneOf, Paged, Query};
///
/// dream_http::input! {
///     /// Which jobs are wanted.
///     pub struct Filter {
///         /// Those in this state.
///         pub status: Option<OneOf<JobState>>,
///     }
/// }
/// // `?status=FAILED&limit=50`; any other parameter is refused by its name.
/// async fn count(me: Session, (Paged(page), Query(filter)): (Paged, Query<Filter>)) -> Result<usize> {
///     Ok(me.jobs(filter.status.map(|OneOf(state)| state), &page).await?.items.len())
/// }
/// # let _ = dream_http::table::get("/v1/count", count);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<T>(pub T);

impl<T: Deserr<Faults> + Fields + fmt::Debug + Send + 'static> Input for Query<T> {
    async fn read(call: &mut Call) -> Result<Self> {
        let (values, mut faults) = call.query().take_rest();
        match T::deserialize_from_value(Value::Object(values).into_value(), ValuePointerRef::Origin) {
            Ok(value) => faults.check(Self(value)),
            Err(more) => {
                faults.extend(more);
                Err(faults.into())
            }
        }
    }

    fn describe(sketch: &mut Sketch<'_>) {
        sketch.query_fields::<T>();
    }
}

/// The query, read as `T` and made into what the core is asked. A default that is spelled out is then the same input as one
/// that is left out, so that both are given the same stored response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryAs<T, U> {
    /// What the core is asked.
    pub value: U,
    read_as: PhantomData<fn() -> T>,
}

impl<T, U> Input for QueryAs<T, U>
where
    Query<T>: Input,
    T: Into<U> + fmt::Debug + 'static,
    U: fmt::Debug + Send + 'static,
{
    async fn read(call: &mut Call) -> Result<Self> {
        let Query(query) = Query::<T>::read(call).await?;
        Ok(Self { value: query.into(), read_as: PhantomData })
    }

    fn describe(sketch: &mut Sketch<'_>) {
        Query::<T>::describe(sketch);
    }
}
