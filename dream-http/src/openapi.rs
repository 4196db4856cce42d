//! The OpenAPI 3.1 document, read off the route table.

use std::collections::{BTreeMap, BTreeSet};

use dream_core::Code;
use http::{Method, StatusCode};
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{AdditionalProperties, ComponentsBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::SecurityScheme;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Paths, Ref, RefOr, Required,
    ResponseBuilder, Schema,
};
use utoipa::{PartialSchema as _, ToSchema};

use crate::gate::Guard;
use crate::input::{Fields, Shape};
use crate::problem::{self, Problem};
use crate::table::{Row, Sketched, Table, placeholders};

const JSON: &str = "application/json";

/// The named shapes of the document.
///
/// ```
/// use dream_http::openapi::Schemas;
/// use utoipa::ToSchema;
///
/// /// A tip for the day.
/// #[derive(ToSchema)]
/// struct Tip {
///     #[schema(example = "try a wider lens")]
///     words: String,
/// }
/// // An object is kept under its name, and referred to.
/// let reference = serde_json::to_value(Schemas::default().of::<Tip>()).unwrap();
/// assert_eq!(reference["$ref"], "#/components/schemas/Tip");
/// # let _ = Tip { words: String::new() }.words;
/// ```
#[derive(Default)]
pub struct Schemas {
    known: BTreeMap<String, RefOr<Schema>>,
    clashes: BTreeSet<String>,
}

/// The shape without the example in Rust that its type has for the readers of this crate: a client has no use for it.
fn without_rust(mut schema: RefOr<Schema>) -> RefOr<Schema> {
    let description = match &mut schema {
        RefOr::T(Schema::Object(object)) => &mut object.description,
        RefOr::T(Schema::OneOf(one_of)) => &mut one_of.description,
        _ => return schema,
    };
    if let Some((said, _)) = description.as_deref().and_then(|text| text.split_once("\n\n```")) {
        *description = Some(said.to_owned());
    }
    schema
}

impl Schemas {
    /// The shape of the type: a reference if it is an object with a name, else the shape itself.
    ///
    /// ```
    /// use dream_http::openapi::Schemas;
    /// use dream_http::wire::message::Message;
    ///
    /// let mut schemas = Schemas::default();
    /// let object = serde_json::to_value(schemas.of::<Message>()).unwrap();
    /// assert_eq!(object["$ref"], "#/components/schemas/Message");
    /// assert_eq!(serde_json::to_value(schemas.of::<bool>()).unwrap()["type"], "boolean");
    /// ```
    pub fn of<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let mut inner = Vec::new();
        T::schemas(&mut inner);
        for (name, schema) in inner {
            self.keep(&name, whole(schema));
        }
        let schema = whole(T::schema());
        if !has_name(&schema) {
            return schema;
        }
        let name = T::name().into_owned();
        self.keep(&name, schema);
        Ref::from_schema_name(name).into()
    }

    /// Whether an object of this shape must have a field.
    fn asks_for_something(&self, schema: &RefOr<Schema>) -> bool {
        let object = match schema {
            RefOr::Ref(reference) => {
                reference.ref_location.rsplit('/').next().and_then(|name| self.known.get(name))
            }
            RefOr::T(_) => Some(schema),
        };
        !matches!(object, Some(RefOr::T(Schema::Object(object))) if object.required.is_empty())
    }

    pub(crate) fn keep(&mut self, name: &str, schema: RefOr<Schema>) {
        let schema = without_rust(schema);
        match self.known.get(name) {
            Some(known) if *known != schema => {
                self.clashes.insert(name.to_owned());
            }
            Some(_) => {}
            None => {
                self.known.insert(name.to_owned(), schema);
            }
        }
    }
}

/// Answers leave nothing out: what is not there is null.
fn whole(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            object.required = object.properties.keys().cloned().collect();
            RefOr::T(Schema::Object(object))
        }
        other => other,
    }
}

fn has_name(schema: &RefOr<Schema>) -> bool {
    match schema {
        RefOr::T(Schema::Object(object)) => {
            object.schema_type == SchemaType::Type(Type::Object) && !object.properties.is_empty()
        }
        RefOr::T(Schema::OneOf(_) | Schema::AllOf(_) | Schema::AnyOf(_)) => true,
        RefOr::T(_) | RefOr::Ref(_) => false,
    }
}

/// One answer that a row can give.
///
/// ```
/// use dream_core::Result;
/// use dream_http::openapi::{Described, Schemas};
/// use dream_http::reply::{IntoReply, Reply};
/// use http::{HeaderValue, StatusCode};
///
/// /// A table to open in a spreadsheet.
/// struct Csv(String);
///
/// impl IntoReply for Csv {
///     fn into_reply(self) -> Result<Reply> {
///         Ok(Reply::bytes(StatusCode::OK, HeaderValue::from_static("text/csv"), self.0))
///     }
///     fn describe(_: &mut Schemas) -> Vec<Described> {
///         vec![Described::other(StatusCode::OK, "The table", "text/csv")]
///     }
/// }
/// # assert_eq!(Csv(String::new()).into_reply().unwrap().status, StatusCode::OK);
/// ```
#[derive(Clone)]
pub struct Described {
    status: StatusCode,
    description: &'static str,
    content: Option<(&'static str, Option<RefOr<Schema>>)>,
}

impl Described {
    /// JSON of this type.
    ///
    /// ```
    /// use dream_http::openapi::{Described, Schemas};
    /// # use dream_http::reply::{IntoReply, Reply};
    /// use http::StatusCode;
    ///
    /// # struct Answer;
    /// # impl IntoReply for Answer {
    /// #     fn into_reply(self) -> dream_core::Result<Reply> { Ok(Reply::empty(StatusCode::OK)) }
    /// fn describe(schemas: &mut Schemas) -> Vec<Described> {
    ///     vec![Described::json::<i64>(StatusCode::CREATED, "The number of the new one", schemas)]
    /// }
    /// # }
    /// # async fn show(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<Answer> { Ok(Answer) }
    /// # let table = dream_http::table::Table::new(vec![dream_http::table::get("/v1/x", show)]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let answers = &serde_json::to_value(document).unwrap()["paths"]["/v1/x"]["get"]["responses"];
    /// assert_eq!(answers["201"]["content"]["application/json"]["schema"]["type"], "integer");
    /// ```
    pub fn json<T: ToSchema>(status: StatusCode, description: &'static str, schemas: &mut Schemas) -> Self {
        Self { status, description, content: Some((JSON, Some(schemas.of::<T>()))) }
    }

    /// Something else of this content type.
    ///
    /// ```
    /// use dream_http::openapi::{Described, Schemas};
    /// # use dream_http::reply::{IntoReply, Reply};
    /// use http::StatusCode;
    ///
    /// # struct Answer;
    /// # impl IntoReply for Answer {
    /// #     fn into_reply(self) -> dream_core::Result<Reply> { Ok(Reply::empty(StatusCode::OK)) }
    /// fn describe(_: &mut Schemas) -> Vec<Described> {
    ///     vec![Described::other(StatusCode::OK, "The table", "text/csv")]
    /// }
    /// # }
    /// # async fn show(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<Answer> { Ok(Answer) }
    /// # let table = dream_http::table::Table::new(vec![dream_http::table::get("/v1/x", show)]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let answers = &serde_json::to_value(document).unwrap()["paths"]["/v1/x"]["get"]["responses"];
    /// assert!(answers["200"]["content"].get("text/csv").is_some());
    /// ```
    pub fn other(status: StatusCode, description: &'static str, content_type: &'static str) -> Self {
        Self { status, description, content: Some((content_type, None)) }
    }

    /// No body.
    ///
    /// ```
    /// use dream_http::openapi::{Described, Schemas};
    /// # use dream_http::reply::{IntoReply, Reply};
    /// use http::StatusCode;
    ///
    /// # struct Answer;
    /// # impl IntoReply for Answer {
    /// #     fn into_reply(self) -> dream_core::Result<Reply> { Ok(Reply::empty(StatusCode::OK)) }
    /// fn describe(_: &mut Schemas) -> Vec<Described> {
    ///     vec![Described::empty(StatusCode::NOT_MODIFIED, "The client has it")]
    /// }
    /// # }
    /// # async fn show(_: dream_http::gate::Anyone, (): ()) -> dream_core::Result<Answer> { Ok(Answer) }
    /// # let table = dream_http::table::Table::new(vec![dream_http::table::get("/v1/x", show)]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let answers = &serde_json::to_value(document).unwrap()["paths"]["/v1/x"]["get"]["responses"];
    /// assert_eq!(answers["304"], serde_json::json!({ "description": "The client has it" }));
    /// ```
    pub fn empty(status: StatusCode, description: &'static str) -> Self {
        Self { status, description, content: None }
    }
}

/// What the input of a row adds to its operation.
///
/// ```
/// use dream_core::{Code, Result};
/// use dream_http::Call;
/// use dream_http::input::Input;
/// use dream_http::openapi::Sketch;
/// use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
///
/// /// Which client it is, told in a header.
/// #[derive(Debug)]
/// struct Client(String);
///
/// impl Input for Client {
///     async fn read(call: &mut Call) -> Result<Self> {
///         let name = call.headers().get("x-client").and_then(|value| value.to_str().ok());
///         name.map(|name| Self(name.to_owned())).ok_or(Code::ValidationFailed.into())
///     }
///     fn describe(sketch: &mut Sketch<'_>) {
///         sketch.parameter(
///             ParameterBuilder::new().name("X-Client").parameter_in(ParameterIn::Header).build(),
///         );
///     }
/// }
/// # async fn show(_: dream_http::gate::Anyone, client: Client) -> Result<String> { Ok(client.0) }
/// # let _ = dream_http::table::get("/v1/client", show);
/// ```
pub struct Sketch<'s> {
    path: &'static str,
    schemas: &'s mut Schemas,
    operation: Operation,
}

/// Parameters, body and failures of an operation.
#[derive(Default)]
pub(crate) struct Operation {
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    codes: BTreeSet<Code>,
}

impl<'s> Sketch<'s> {
    pub(crate) fn new(path: &'static str, schemas: &'s mut Schemas) -> Self {
        Self { path, schemas, operation: Operation::default() }
    }

    pub(crate) fn finish(self) -> Operation {
        self.operation
    }

    /// A parameter of the query or a header.
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
    ///     let page = ParameterBuilder::new().name("page").parameter_in(ParameterIn::Query);
    ///     sketch.parameter(page.build());
    /// }
    /// # }
    /// # async fn show(_: dream_http::gate::Anyone, _: Asked) -> dream_core::Result<()> { Ok(()) }
    /// # let row = dream_http::table::get("/v1/x", show).unmetered();
    /// # let table = dream_http::table::Table::new(vec![row]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let operation = &serde_json::to_value(document).unwrap()["paths"]["/v1/x"]["get"];
    /// assert_eq!(operation["parameters"][0]["name"], "page");
    /// assert_eq!(operation["responses"]["400"]["description"], "VALIDATION_FAILED", "it may be wrong");
    /// ```
    pub fn parameter(&mut self, parameter: Parameter) {
        self.operation.parameters.push(parameter);
        self.operation.codes.insert(Code::ValidationFailed);
    }

    /// A code that reading or using this input can fail with.
    ///
    /// ```
    /// use dream_core::Code;
    /// use dream_http::openapi::Sketch;
    ///
    /// # #[derive(Debug)]
    /// # struct Asked;
    /// # impl dream_http::input::Input for Asked {
    /// #     async fn read(_: &mut dream_http::Call) -> dream_core::Result<Self> { Ok(Self) }
    /// fn describe(sketch: &mut Sketch<'_>) {
    ///     sketch.code(Code::VipRequired);
    /// }
    /// # }
    /// # async fn show(_: dream_http::gate::Anyone, _: Asked) -> dream_core::Result<()> { Ok(()) }
    /// # let row = dream_http::table::get("/v1/x", show).unmetered();
    /// # let table = dream_http::table::Table::new(vec![row]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let operation = &serde_json::to_value(document).unwrap()["paths"]["/v1/x"]["get"];
    /// assert_eq!(operation["responses"]["403"]["description"], "VIP_REQUIRED");
    /// ```
    pub fn code(&mut self, code: Code) {
        self.operation.codes.insert(code);
    }

    /// The placeholders of the path, in their order.
    ///
    /// ```
    /// use dream_core::kernel::JobId;
    /// use dream_http::input::PathWords as _;
    /// use dream_http::openapi::Sketch;
    ///
    /// # #[derive(Debug)]
    /// # struct Asked;
    /// # impl dream_http::input::Input for Asked {
    /// #     async fn read(_: &mut dream_http::Call) -> dream_core::Result<Self> { Ok(Self) }
    /// fn describe(sketch: &mut Sketch<'_>) {
    ///     sketch.path_words(JobId::schemas());
    /// }
    /// # }
    /// # async fn show(_: dream_http::gate::Anyone, _: Asked) -> dream_core::Result<()> { Ok(()) }
    /// # let row = dream_http::table::get("/v1/x/{jobId}", show).unmetered();
    /// # let table = dream_http::table::Table::new(vec![row]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let operation = &serde_json::to_value(document).unwrap()["paths"]["/v1/x/{jobId}"]["get"];
    /// // The path is `/v1/x/{jobId}`: its placeholders have the names already.
    /// let id = &operation["parameters"][0];
    /// assert_eq!((&id["name"], &id["in"]), (&"jobId".into(), &"path".into()));
    /// ```
    pub fn path_words(&mut self, schemas: Vec<Schema>) {
        for (name, schema) in placeholders(self.path).zip(schemas) {
            self.operation.parameters.push(
                ParameterBuilder::new()
                    .name(name)
                    .parameter_in(ParameterIn::Path)
                    .required(Required::True)
                    .schema(Some(schema))
                    .build(),
            );
        }
    }

    /// Each field of the type as a parameter of the query.
    ///
    /// ```
    /// use dream_http::openapi::Sketch;
    /// use dream_http::wire::orders::OrderQuery;
    ///
    /// # #[derive(Debug)]
    /// # struct Asked;
    /// # impl dream_http::input::Input for Asked {
    /// #     async fn read(_: &mut dream_http::Call) -> dream_core::Result<Self> { Ok(Self) }
    /// fn describe(sketch: &mut Sketch<'_>) {
    ///     sketch.query_fields::<OrderQuery>();
    /// }
    /// # }
    /// # async fn show(_: dream_http::gate::Anyone, _: Asked) -> dream_core::Result<()> { Ok(()) }
    /// # let row = dream_http::table::get("/v1/x", show).unmetered();
    /// # let table = dream_http::table::Table::new(vec![row]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let operation = &serde_json::to_value(document).unwrap()["paths"]["/v1/x"]["get"];
    /// let names = [&operation["parameters"][0]["name"], &operation["parameters"][1]["name"]];
    /// assert_eq!(names, ["status", "kind"]);
    /// ```
    pub fn query_fields<T: Fields>(&mut self) {
        for mut field in T::fields(self.schemas) {
            if let RefOr::T(Schema::Object(text)) = &mut field.schema
                && !field.required
            {
                // An empty value counts as not given.
                text.min_length = None;
            }
            self.parameter(
                ParameterBuilder::new()
                    .name(field.name)
                    .parameter_in(ParameterIn::Query)
                    .required(if field.required { Required::True } else { Required::False })
                    .description(field.description)
                    .schema(Some(field.schema))
                    .build(),
            );
        }
    }

    /// A JSON body of this type.
    ///
    /// ```
    /// use dream_http::openapi::Sketch;
    /// use dream_http::wire::favorites::NewFavorite;
    ///
    /// # #[derive(Debug)]
    /// # struct Asked;
    /// # impl dream_http::input::Input for Asked {
    /// #     async fn read(_: &mut dream_http::Call) -> dream_core::Result<Self> { Ok(Self) }
    /// fn describe(sketch: &mut Sketch<'_>) {
    ///     sketch.json_body::<NewFavorite>(16 * 1024);
    /// }
    /// # }
    /// # async fn show(_: dream_http::gate::Anyone, _: Asked) -> dream_core::Result<()> { Ok(()) }
    /// # let row = dream_http::table::get("/v1/x", show).unmetered();
    /// # let table = dream_http::table::Table::new(vec![row]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let operation = &serde_json::to_value(document).unwrap()["paths"]["/v1/x"]["get"];
    /// let body = &operation["requestBody"];
    /// assert_eq!((&body["required"], &body["description"]), (&true.into(), &"At most 16 KiB".into()));
    /// ```
    pub fn json_body<T: Shape>(&mut self, limit: u64) {
        let schema = T::shape(self.schemas);
        let content = ContentBuilder::new().schema(Some(schema.clone())).build();
        self.body(JSON, content, limit, self.schemas.asks_for_something(&schema));
        self.operation.codes.extend([Code::ValidationFailed, Code::InvalidJson]);
    }

    /// A form with the file `file`.
    ///
    /// ```
    /// use dream_http::openapi::Sketch;
    ///
    /// # #[derive(Debug)]
    /// # struct Asked;
    /// # impl dream_http::input::Input for Asked {
    /// #     async fn read(_: &mut dream_http::Call) -> dream_core::Result<Self> { Ok(Self) }
    /// fn describe(sketch: &mut Sketch<'_>) {
    ///     sketch.file_body(10 * 1024 * 1024);
    /// }
    /// # }
    /// # async fn show(_: dream_http::gate::Anyone, _: Asked) -> dream_core::Result<()> { Ok(()) }
    /// # let row = dream_http::table::get("/v1/x", show).unmetered();
    /// # let table = dream_http::table::Table::new(vec![row]).unwrap();
    /// # let document = dream_http::openapi::document(&table, "1").unwrap();
    /// # let operation = &serde_json::to_value(document).unwrap()["paths"]["/v1/x"]["get"];
    /// let form = &operation["requestBody"]["content"]["multipart/form-data"]["schema"];
    /// assert_eq!(form["required"], serde_json::json!(["file"]));
    /// ```
    pub fn file_body(&mut self, limit: u64) {
        let file =
            ObjectBuilder::new().schema_type(Type::String).content_media_type("application/octet-stream");
        let form = ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("file", file)
            .required("file")
            .additional_properties(Some(AdditionalProperties::FreeForm(false)));
        let content = ContentBuilder::new().schema(Some(form)).build();
        self.body("multipart/form-data", content, limit, true);
        self.operation.codes.extend([Code::ValidationFailed, Code::ImageInvalid]);
    }

    fn body(&mut self, content_type: &str, content: utoipa::openapi::Content, limit: u64, required: bool) {
        self.operation.body = Some(
            RequestBodyBuilder::new()
                .description(Some(format!("At most {} KiB", limit / 1024)))
                .content(content_type, content)
                .required(Some(if required { Required::True } else { Required::False }))
                .build(),
        );
        self.operation.codes.extend([Code::PayloadTooLarge, Code::UnsupportedMediaType]);
    }
}

/// The document of everything in the table that is listed.
///
/// ```
/// use dream_core::Result;
/// use dream_http::gate::Anyone;
/// use dream_http::openapi::document;
/// use dream_http::table::{Table, get};
///
/// async fn nothing(_: Anyone, (): ()) -> Result<String> {
///     Ok(String::new())
/// }
/// let table =
///     Table::new(vec![get("/v1/a", nothing).doc("Nothing"), get("/v1/b", nothing).unlisted()]).unwrap();
/// let document = document(&table, "2026.1").unwrap();
/// assert_eq!(document.paths.paths.keys().collect::<Vec<_>>(), ["/v1/a"]);
/// ```
///
/// # Errors
/// The names that two different shapes share, which would make one of them wrong.
pub fn document(table: &Table, version: &str) -> Result<OpenApi, String> {
    let mut schemas = Schemas::default();
    let mut inner = Vec::new();
    Problem::schemas(&mut inner);
    for (name, schema) in inner {
        schemas.keep(&name, schema);
    }
    schemas.keep("Problem", Problem::schema());
    let mut paths = Paths::new();
    for row in table.rows().iter().filter(|row| row.options.listed) {
        let operation = operation(row, &mut schemas);
        if let Some(method) = method(&row.method) {
            let item = PathItem::new(method, operation);
            match paths.paths.get_mut(row.path) {
                Some(known) => known.merge_operations(item),
                None => {
                    paths.paths.insert(row.path.replace("{*", "{"), item);
                }
            }
        }
    }
    if !schemas.clashes.is_empty() {
        return Err(format!("different shapes share the names {:?}", schemas.clashes));
    }
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas.known)
        .security_scheme("userToken", bearer_scheme())
        .security_scheme("adminKey", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Admin-Key"))))
        .build();
    let info = InfoBuilder::new()
        .title("Dream")
        .version(version)
        .description(Some("AI image generation: login, points, VIP, orders, jobs, gallery, templates"))
        .build();
    Ok(OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build())
}

fn bearer_scheme() -> SecurityScheme {
    SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build())
}

fn method(method: &Method) -> Option<HttpMethod> {
    match method.as_str() {
        "GET" => Some(HttpMethod::Get),
        "POST" => Some(HttpMethod::Post),
        "PUT" => Some(HttpMethod::Put),
        "DELETE" => Some(HttpMethod::Delete),
        "PATCH" => Some(HttpMethod::Patch),
        _ => None,
    }
}

fn operation(row: &Row, schemas: &mut Schemas) -> utoipa::openapi::path::Operation {
    let Sketched { sketch, answers } = (row.describe)(row.path, schemas);
    let mut operation = OperationBuilder::new()
        .operation_id(Some(operation_id(row)))
        .summary(Some(row.summary))
        .tag(tag(row.path))
        .request_body(sketch.body);
    for parameter in sketch.parameters {
        operation = operation.parameter(parameter);
    }
    operation = security(row.guard, operation);
    for answer in answers {
        operation = operation.response(answer.status.as_str().to_owned(), response(answer));
    }
    let mut codes = sketch.codes;
    codes.extend(&row.fails);
    codes.extend(gate_codes(row.guard));
    codes.insert(Code::Internal);
    if row.options.metered {
        codes.insert(Code::RateLimited);
    }
    if row.options.shed {
        codes.insert(Code::Unavailable);
    }
    for (status, codes) in by_status(codes) {
        operation = operation.response(status.as_str(), failure(&codes, row.options.wording.is_some()));
    }
    operation.build()
}

fn response(answer: Described) -> utoipa::openapi::Response {
    let response = ResponseBuilder::new().description(answer.description);
    match answer.content {
        Some((content_type, schema)) => {
            response.content(content_type, ContentBuilder::new().schema(schema).build()).build()
        }
        None => response.build(),
    }
}

fn failure(codes: &[Code], own_wording: bool) -> utoipa::openapi::Response {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let response = ResponseBuilder::new().description(names.join(", "));
    if own_wording {
        return response.build();
    }
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    response.content(JSON, problem).build()
}

fn by_status(codes: BTreeSet<Code>) -> BTreeMap<StatusCode, Vec<Code>> {
    let mut statuses: BTreeMap<StatusCode, Vec<Code>> = BTreeMap::new();
    for code in codes {
        statuses.entry(problem::status(code)).or_default().push(code);
    }
    statuses
}

fn gate_codes(guard: Guard) -> &'static [Code] {
    match guard {
        Guard::Open => &[],
        Guard::OptionalUser | Guard::User => &[Code::Unauthenticated, Code::TokenExpired, Code::TokenRevoked],
        Guard::Admin => &[Code::AdminKeyInvalid],
        Guard::UserOrAdmin => {
            &[Code::Unauthenticated, Code::TokenExpired, Code::TokenRevoked, Code::AdminKeyInvalid]
        }
        Guard::Signed => &[Code::Unauthenticated],
    }
}

fn security(guard: Guard, operation: OperationBuilder) -> OperationBuilder {
    let user = || SecurityRequirement::new("userToken", Vec::<String>::new());
    let admin = || SecurityRequirement::new("adminKey", Vec::<String>::new());
    match guard {
        Guard::Open | Guard::Signed => operation,
        Guard::OptionalUser => operation.security(SecurityRequirement::default()).security(user()),
        Guard::User => operation.security(user()),
        Guard::Admin => operation.security(admin()),
        Guard::UserOrAdmin => operation.security(user()).security(admin()),
    }
}

/// `GET /v1/orders/{orderId}` is `getV1OrdersByOrderId`.
fn operation_id(row: &Row) -> String {
    let mut id = row.method.as_str().to_ascii_lowercase();
    for part in row.path.split('/').filter(|part| !part.is_empty()) {
        match part.strip_prefix('{') {
            Some(name) => {
                id.push_str("By");
                push_capitalised(&mut id, name.trim_end_matches('}').trim_start_matches('*'));
            }
            None => part.split('-').for_each(|word| push_capitalised(&mut id, word)),
        }
    }
    id
}

fn push_capitalised(id: &mut String, word: &str) {
    let mut letters = word.chars().filter(char::is_ascii_alphanumeric);
    id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
    id.extend(letters);
}

/// The area: the first fixed part behind the version.
fn tag(path: &'static str) -> &'static str {
    let mut parts = path.split('/').filter(|part| !part.is_empty() && *part != "v1");
    match parts.next() {
        Some(area) if path.starts_with("/v1/") && area != "health" => area,
        _ => "application",
    }
}
