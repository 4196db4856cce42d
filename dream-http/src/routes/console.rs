//! The administration's console: a page out of the program itself, over the same routes that everybody uses.

use std::time::Duration;

use bytes::Bytes;
use dream_core::{Code, Result};
use http::header::{CONTENT_SECURITY_POLICY, LOCATION};
use http::{HeaderValue, StatusCode};

use super::docs::FileName;
use crate::gate::Anyone;
use crate::input::Path;
use crate::reply::Reply;
use crate::table::{Row, get};

const KEPT: Duration = Duration::from_hours(24);
/// Never changes while the program runs.
const TOPIC: &str = "console";

/// Its own scripts and styles only, nothing inline; pictures may lie anywhere, since those of the image API do.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: http: https:; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

macro_rules! files {
    ($($name:literal: $kind:literal),* $(,)?) => {
        /// Name, content type and bytes of each file.
        const FILES: &[(&str, &str, &[u8])] =
            &[$(($name, $kind, include_bytes!(concat!("../../assets/console/", $name)))),*];
    };
}

files! {
    "index.html": "text/html; charset=utf-8",
    "api.js": "text/javascript; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "pages.js": "text/javascript; charset=utf-8",
    "ui.js": "text/javascript; charset=utf-8",
    "words.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
}

pub(crate) fn rows() -> Vec<Row> {
    vec![
        get("/admin", to_page).any_query().unlisted(),
        get("/admin/", page).public(KEPT, TOPIC).any_query().unlisted(),
        get("/admin/{file}", file).public(KEPT, TOPIC).any_query().unlisted(),
    ]
}

/// The page's own links are relative, and need the slash at the end.
async fn to_page(_: Anyone, (): ()) -> Result<Reply> {
    let reply = Reply::empty(StatusCode::MOVED_PERMANENTLY);
    Ok(reply.with(LOCATION, HeaderValue::from_static("/admin/")))
}

async fn page(_: Anyone, (): ()) -> Result<Reply> {
    asset("index.html")
}

async fn file(_: Anyone, Path(name): Path<FileName>) -> Result<Reply> {
    asset(&name.0)
}

fn asset(name: &str) -> Result<Reply> {
    let (_, kind, bytes) = FILES.iter().find(|(known, _, _)| *known == name).ok_or(Code::RouteNotFound)?;
    let reply = Reply::bytes(StatusCode::OK, HeaderValue::from_static(kind), Bytes::from_static(bytes));
    Ok(reply.with(CONTENT_SECURITY_POLICY, POLICY))
}
