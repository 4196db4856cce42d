//! The document and a page to read it with. Everything comes out of the program itself: there is no CDN.

use std::borrow::Cow;
use std::io::Read as _;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use dream_core::{Admin, Code, Error, Fault, Result};
use flate2::read::GzDecoder;
use http::header::{CONTENT_SECURITY_POLICY, LOCATION};
use http::{HeaderValue, StatusCode};
use utoipa::openapi::Schema;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa_swagger_ui::{Config, SwaggerFile};

use crate::app::App;
use crate::call::{Call, Caller};
use crate::gate::{Anyone, Gate, Guard};
use crate::input::{Path, Word};
use crate::reply::{JSON_UTF8, Reply};
use crate::settings::Docs;
use crate::table::{Row, get};

const DOCUMENT: &str = "/api/docs-json";
const KEPT: Duration = Duration::from_hours(24);
/// Never changes while the program runs.
const TOPIC: &str = "docs";

/// The page runs its own scripts and styles, and asks this server only.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
);

static CONFIG: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from(DOCUMENT).try_it_out_enabled(true).persist_authorization(false)));

pub(crate) fn rows(docs: Docs) -> Vec<Row> {
    match docs {
        Docs::Open => {
            let [document, moved, page, file] = rows_for::<Anyone>();
            let kept = |row: Row| row.public(KEPT, TOPIC);
            vec![kept(document), moved, kept(page), kept(file)]
        }
        // Not kept: what is kept is given to everybody.
        Docs::Admin => rows_for::<Keyed>().to_vec(),
        Docs::Off => Vec::new(),
    }
}

fn rows_for<G: Reader>() -> [Row; 4] {
    [
        get(DOCUMENT, document::<G>).doc("This document: OpenAPI 3.1").any_query(),
        get("/api/docs", to_page::<G>).doc("A page to read and try this API").any_query(),
        get("/api/docs/", page::<G>).any_query().unlisted(),
        get("/api/docs/{*file}", file::<G>).any_query().unlisted(),
    ]
}

/// Somebody who may read the documentation.
trait Reader: Gate {
    fn app(&self) -> &App;
}

impl Reader for Anyone {
    fn app(&self) -> &App {
        &self.0
    }
}

/// The holder of an admin key.
struct Keyed {
    admin: Admin,
    app: Arc<App>,
}

impl Gate for Keyed {
    const GUARD: Guard = Admin::GUARD;

    async fn enter(call: &mut Call) -> Result<Self> {
        Ok(Self { admin: Admin::enter(call).await?, app: Arc::clone(call.app()) })
    }

    fn caller(&self) -> Caller {
        self.admin.caller()
    }
}

impl Reader for Keyed {
    fn app(&self) -> &App {
        &self.app
    }
}

async fn document<G: Reader>(reader: G, (): ()) -> Result<Reply> {
    Ok(Reply::bytes(StatusCode::OK, JSON_UTF8, reader.app().document().clone()))
}

/// The page's own links are relative, and need the slash at the end.
async fn to_page<G: Reader>(_: G, (): ()) -> Result<Reply> {
    let reply = Reply::empty(StatusCode::MOVED_PERMANENTLY);
    Ok(reply.with(LOCATION, HeaderValue::from_static("/api/docs/")))
}

async fn page<G: Reader>(_: G, (): ()) -> Result<Reply> {
    asset("index.html")
}

async fn file<G: Reader>(_: G, Path(name): Path<FileName>) -> Result<Reply> {
    asset(&name.0)
}

/// The name of a file of a page.
#[derive(Debug)]
pub(super) struct FileName(pub(super) String);

impl FromStr for FileName {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        Ok(Self(text.to_owned()))
    }
}

impl Word for FileName {
    fn schema() -> Schema {
        ObjectBuilder::new().schema_type(Type::String).into()
    }
}

fn asset(name: &str) -> Result<Reply> {
    let file = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG))
        .map_err(|error| Error::internal(error.to_string()))?
        .ok_or(Code::RouteNotFound)?;
    let content_type = HeaderValue::try_from(&file.content_type).map_err(Error::internal)?;
    let reply = Reply::bytes(StatusCode::OK, content_type, bytes(file)?);
    Ok(reply.with(CONTENT_SECURITY_POLICY, PAGE_POLICY))
}

fn bytes(file: SwaggerFile<'static>) -> Result<Bytes> {
    if file.gzpipped {
        let mut plain = Vec::new();
        GzDecoder::new(&*file.bytes).read_to_end(&mut plain).map_err(Error::internal)?;
        return Ok(plain.into());
    }
    Ok(match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    })
}
