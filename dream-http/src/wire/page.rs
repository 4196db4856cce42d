//! Pages of lists.

use std::borrow::Cow;

use dream_core::kernel::{self, PageRequest, Start};
use serde::Serialize;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A page of a list that is walked by cursor.
///
/// ```
/// use dream_core::kernel;
/// use dream_http::wire::page::Page;
///
/// let page = kernel::Page { items: vec![1, 2], next: None, total: None };
/// let json = serde_json::to_value(Page::of(page, |number| format!("number {number}"))).unwrap();
/// assert_eq!(
///     json,
///     serde_json::json!({ "items": ["number 1", "number 2"], "hasMore": false, "nextCursor": null })
/// );
/// ```
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    items: Vec<T>,
    has_more: bool,
    next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page with each item in its JSON form.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::kernel::{Limit, PageRequest};
    /// use dream_http::wire::page::Page;
    ///
    /// # let alice = world.alice().await;
    /// # for prompt in ["a cat", "a dog"] { alice.generates(prompt).await; }
    /// let first = alice.session().await.jobs(None, &PageRequest::first(Limit::new(1).unwrap())).await?;
    /// let json = serde_json::to_value(Page::of(first, |job| job.prompt))?;
    /// assert_eq!((&json["items"][0], &json["hasMore"]), (&"a dog".into(), &true.into()));
    /// assert!(json["nextCursor"].is_string(), "to be sent for the page behind it");
    /// # Ok(())
    /// # });
    /// ```
    pub fn of<C>(page: kernel::Page<C>, item: impl FnMut(C) -> T) -> Self {
        let next_cursor = page.next.as_ref().map(ToString::to_string);
        Self {
            has_more: next_cursor.is_some(),
            next_cursor,
            items: page.items.into_iter().map(item).collect(),
        }
    }
}

/// A page of a list that can also be asked for by page number.
///
/// ```
/// use dream_core::kernel::{self, Limit, PageRequest};
/// use dream_http::wire::page::NumberedPage;
///
/// let asked = PageRequest::numbered(Limit::new(2).unwrap(), 3)?;
/// let page = kernel::Page { items: vec!["e"], next: None, total: Some(5) };
/// let json = serde_json::to_value(NumberedPage::of(page, &asked, |item| item)).unwrap();
/// assert_eq!((&json["page"], &json["total"], &json["limit"]), (&3.into(), &5.into(), &2.into()));
/// # Ok::<(), dream_core::Error>(())
/// ```
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NumberedPage<T> {
    items: Vec<T>,
    has_more: bool,
    next_cursor: Option<String>,
    total: i64,
    page: Option<i64>,
    limit: i64,
}

impl<T> NumberedPage<T> {
    /// The page with each item in its JSON form. Walked by cursor, it has no number.
    ///
    /// ```
    /// use dream_core::kernel::{self, Cursor, Limit, PageRequest};
    /// use dream_http::wire::page::NumberedPage;
    ///
    /// let asked = PageRequest::after(Limit::default(), Cursor::from_client("AQAAAAA"));
    /// let page = kernel::Page { items: vec!["e"], next: None, total: Some(5) };
    /// let json = serde_json::to_value(NumberedPage::of(page, &asked, |item| item)).unwrap();
    /// assert_eq!((&json["page"], &json["total"]), (&().into(), &5.into()));
    /// ```
    pub fn of<C>(page: kernel::Page<C>, asked: &PageRequest, item: impl FnMut(C) -> T) -> Self {
        let next_cursor = page.next.as_ref().map(ToString::to_string);
        Self {
            has_more: next_cursor.is_some(),
            next_cursor,
            total: page.total.unwrap_or(0),
            page: number(asked),
            limit: asked.limit.get(),
            items: page.items.into_iter().map(item).collect(),
        }
    }
}

/// The number of the page that was asked for.
///
/// ```
/// use dream_core::kernel::{Cursor, Limit, PageRequest};
/// use dream_http::wire::page::number;
///
/// assert_eq!(number(&PageRequest::default()), Some(1));
/// let walked = PageRequest::after(Limit::default(), Cursor::from_client("AQAAAAA"));
/// assert_eq!(number(&walked), None, "a cursor leads to a place, and that has no number");
/// ```
pub fn number(asked: &PageRequest) -> Option<i64> {
    match asked.start {
        Start::Number(number) => Some(number),
        Start::Newest => Some(1),
        Start::After(_) => None,
    }
}

fn base<T: ToSchema>() -> ObjectBuilder {
    let items = ArrayBuilder::new().items(Ref::from_schema_name(T::name()));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("items", items)
        .required("items")
        .property("hasMore", ObjectBuilder::new().schema_type(Type::Boolean))
        .required("hasMore")
        .property("nextCursor", nullable(Type::String))
        .required("nextCursor")
}

fn nullable(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Array(vec![kind, Type::Null]))
}

fn collect<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        base::<T>().into()
    }
}

impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        collect::<T>(schemas);
    }
}

impl<T: ToSchema> PartialSchema for NumberedPage<T> {
    fn schema() -> RefOr<Schema> {
        let integer = || ObjectBuilder::new().schema_type(Type::Integer);
        base::<T>()
            .property("total", integer())
            .required("total")
            .property("page", nullable(Type::Integer))
            .required("page")
            .property("limit", integer())
            .required("limit")
            .into()
    }
}

impl<T: ToSchema> ToSchema for NumberedPage<T> {
    fn name() -> Cow<'static, str> {
        format!("{}NumberedPage", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        collect::<T>(schemas);
    }
}
