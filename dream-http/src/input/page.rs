//! `limit`, `cursor` and `page`: which part of a list is wanted.

use dream_core::kernel::{Cursor, Limit, PageRequest};
use dream_core::{Fault, Result};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Required, Schema};

use super::{Faults, Input, Word};
use crate::call::Call;
use crate::openapi::Sketch;

/// The longest cursor that is looked at.
const MAX_CURSOR: usize = 256;

/// `?limit=&cursor=`: a list that is walked by cursor only.
///
/// ```
/// use dream_core::{Result, Session};
/// use dream_http::input::Paged;
///
/// // `?limit=50&cursor=…`
/// async fn prompts(me: Session, Paged(page): Paged) -> Result<Vec<String>> {
///     Ok(me.jobs(None, &page).await?.items.into_iter().map(|job| job.prompt).collect())
/// }
/// # let _ = dream_http::table::get("/v1/prompts", prompts);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paged(pub PageRequest);

/// `?limit=&cursor=&page=`: a list that old clients also ask for by page number.
///
/// ```
/// use dream_core::{Result, Session};
/// use dream_http::input::Numbered;
///
/// // `?page=3` too, for clients that show numbers; beyond row 10 000 only the cursor leads.
/// async fn prompts(me: Session, Numbered(page): Numbered) -> Result<Vec<String>> {
///     Ok(me.jobs(None, &page).await?.items.into_iter().map(|job| job.prompt).collect())
/// }
/// # let _ = dream_http::table::get("/v1/prompts", prompts);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered(pub PageRequest);

impl Input for Paged {
    async fn read(call: &mut Call) -> Result<Self> {
        request(call, false).map(Self)
    }

    fn describe(sketch: &mut Sketch<'_>) {
        sketch.parameter(limit_parameter());
        sketch.parameter(cursor_parameter());
    }
}

impl Input for Numbered {
    async fn read(call: &mut Call) -> Result<Self> {
        request(call, true).map(Self)
    }

    fn describe(sketch: &mut Sketch<'_>) {
        sketch.parameter(limit_parameter());
        sketch.parameter(cursor_parameter());
        sketch.parameter(parameter(
            "page",
            "Page number from 1, within the first 10 000 rows; use the cursor beyond",
            ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).into(),
        ));
    }
}

fn request(call: &mut Call, by_number: bool) -> Result<PageRequest> {
    let query = call.query();
    let mut faults = Faults::default();
    let limit = match query.take("limit").map(|text| text.parse::<Limit>()) {
        None => Limit::default(),
        Some(Ok(limit)) => limit,
        Some(Err(fault)) => {
            faults.push(fault.at("limit"));
            Limit::default()
        }
    };
    let cursor = query.take("cursor");
    if cursor.as_ref().is_some_and(|cursor| cursor.len() > MAX_CURSOR) {
        faults.push(Fault::Length { min: 1, max: MAX_CURSOR }.at("cursor"));
    }
    let page = if by_number { query.take("page") } else { None };
    let number = match page.as_deref().map(str::parse::<super::Whole<1, { PageRequest::MAX_NUMBERED_ROW }>>) {
        None => None,
        Some(Ok(number)) => Some(number.0),
        Some(Err(fault)) => {
            faults.push(fault.at("page"));
            None
        }
    };
    if cursor.is_some() && page.is_some() {
        faults.push(Fault::Conflict("cursor").at("page"));
    }
    faults.check(())?;
    match (cursor, number) {
        (Some(cursor), _) => Ok(PageRequest::after(limit, Cursor::from_client(cursor))),
        (None, Some(number)) => PageRequest::numbered(limit, number),
        (None, None) if by_number => PageRequest::numbered(limit, 1),
        (None, None) => Ok(PageRequest::first(limit)),
    }
}

fn limit_parameter() -> Parameter {
    parameter("limit", "Items on a page, 20 unless given", <Limit as Word>::schema())
}

fn cursor_parameter() -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(MAX_CURSOR));
    parameter("cursor", "`nextCursor` of the page before", text.into())
}

fn parameter(name: &str, description: &str, schema: Schema) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}
