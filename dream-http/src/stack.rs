//! What happens to every request, in order. The log stands outside whatever refuses, or refusals would be invisible.

use std::convert::Infallible;
use std::future::ready;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use dream_core::{Code, Error, Result};
use futures_util::FutureExt as _;
use futures_util::future::Either;
use http::header::{ALLOW, AUTHORIZATION, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::app::App;
use crate::call::{Call, Caller};
use crate::finish::{self, Outcome};
use crate::gate::Guard;
use crate::incoming::{RequestBody, time_for};
use crate::origin::{self, Origins};
use crate::problem::{self, Wording};
use crate::reply::{Payload, Reply};
use crate::table::{Found, Options, Row};
use crate::visit::{Record, Visit};

type Answer = Result<Response<Payload>, Infallible>;

/// Answers one request. It never fails: whatever goes wrong is an answer as well.
///
/// A stored response is there at once. The rest is worked on, in a box: what a handler needs meanwhile is large, and a
/// connection that waits should not have room for it.
pub(crate) fn serve(
    app: &Arc<App>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> impl Future<Output = Answer> + Send + use<> {
    let found = app.table().find(request.method(), request.uri().path());
    if let Found::Row(row, ids) = &found
        && ids.is_empty()
        && let Some(response) = stored(app, peer, &request, *row)
    {
        return Either::Left(ready(Ok(response)));
    }
    Either::Right(Box::pin(work_on(Arc::clone(app), peer, found, request)))
}

/// The stored response of a public row to a request without ids and without a query, if there is one: what [`run`] would
/// come to, without the way there. A query has to be parsed before it is known which response it asks for.
fn stored(
    app: &Arc<App>,
    peer: IpAddr,
    request: &Request<Incoming>,
    number: usize,
) -> Option<Response<Payload>> {
    let row = &app.table().rows()[number];
    let public = row.options.public.filter(|_| is_for_everybody(row.guard, request.headers()))?;
    if !request.body().is_end_stream() || request.uri().query().is_some_and(|query| !query.is_empty()) {
        return None;
    }
    let ready = app.public().bare(number, public)?;
    let visit = Arc::new(Visit::begin(app, peer, request, Some(number)));
    let record = Record::open(Arc::clone(&visit));
    let counted = app.count_public(&visit.notes, visit.client);
    let outcome = counted.map(|()| Outcome::Ready(ready));
    let mut response =
        respond(&visit, outcome, request.headers(), row.options.wording, Some(finish::REVALIDATE));
    vary(row, &mut response);
    finish::connection(&visit, false, &mut response);
    record.close(response.status().as_u16(), response.body().len(), false);
    Some(response)
}

async fn work_on(app: Arc<App>, peer: IpAddr, found: Found, request: Request<Incoming>) -> Answer {
    let row = match found {
        Found::Row(row, _) => Some(row),
        Found::Method(_) | Found::Nothing => None,
    };
    let writes = row.is_some_and(|row| app.table().rows()[row].is_write());
    let visit = Arc::new(Visit::begin(&app, peer, &request, row));
    let record = Record::open(Arc::clone(&visit));
    if writes {
        return Ok(detached(visit, record, found, request).await);
    }
    let response = visit.within(answer(&visit, found, request)).await;
    record.close(response.status().as_u16(), response.body().len(), false);
    Ok(response)
}

/// A request that writes runs in a task of its own, to its end, whether or not the client is still there: money must
/// not be half recorded. A stopping server waits for these tasks.
async fn detached(
    visit: Arc<Visit>,
    record: Record,
    found: Found,
    request: Request<Incoming>,
) -> Response<Payload> {
    let options = match found {
        Found::Row(row, _) => visit.app.table().rows()[row].options,
        Found::Method(_) | Found::Nothing => Options::default(),
    };
    let patience = patience(&visit.app, &options);
    let (tell, told) = oneshot::channel();
    let worker = Arc::clone(&visit);
    visit.app.tasks().spawn(async move {
        let response = worker.within(answer(&worker, found, request)).await;
        let (status, bytes) = (response.status().as_u16(), response.body().len());
        let left = tell.send(response).is_err();
        record.close(status, bytes, left);
    });
    match timeout(patience, told).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => refusal(
            &visit,
            &Error::internal("the task of a request ended without an answer"),
            options.wording,
        ),
        Err(_) => refusal(&visit, &late(), options.wording),
    }
}

fn late() -> Error {
    Error::new(Code::Unavailable).with_source("the answer took too long")
}

/// How long the answer to a write may take, with the arrival of the largest body there is.
fn patience(app: &App, options: &Options) -> Duration {
    const LARGEST_BODY: u64 = 16 * 1024 * 1024;
    let limits = &app.settings().limits;
    options.answer_time.unwrap_or(limits.answer_time) + time_for(LARGEST_BODY, limits.body_time)
}

async fn answer(visit: &Arc<Visit>, found: Found, request: Request<Incoming>) -> Response<Payload> {
    let (head, incoming) = request.into_parts();
    let body = RequestBody::new(incoming, &head.headers);
    match found {
        Found::Row(row, ids) => run(visit, row, ids, head, body).await,
        Found::Method(allow) => without_row(visit, &head, body, Some(allow)),
        Found::Nothing => without_row(visit, &head, body, None),
    }
}

/// Preflights, wrong methods and unknown paths.
fn without_row(
    visit: &Arc<Visit>,
    head: &Parts,
    body: RequestBody,
    allow: Option<HeaderValue>,
) -> Response<Payload> {
    let counted = visit.app.count_here(&visit.notes, &Caller::Unknown, visit.client);
    let reply = match (counted, &allow) {
        // A browser's own question is free: the request that follows is counted.
        (_, Some(allow)) if origin::is_preflight(&head.method, &head.headers) => {
            let mut reply = Reply::empty(StatusCode::NO_CONTENT);
            Origins::write_preflight(allow.clone(), &mut reply.headers);
            Ok(reply)
        }
        (Err(error), _) => Err(error),
        (Ok(()), Some(_)) if head.method == Method::OPTIONS => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        (Ok(()), Some(_)) => Err(Error::new(Code::MethodNotAllowed)),
        (Ok(()), None) => Err(Error::new(Code::RouteNotFound)),
    };
    let mut response = respond(visit, reply.map(Outcome::Reply), &head.headers, None, None);
    if let Some(allow) = allow {
        response.headers_mut().insert(ALLOW, allow);
    }
    finish::connection(visit, body.ends_connection(visit.version), &mut response);
    linger(visit, body);
    response
}

async fn run(
    visit: &Arc<Visit>,
    number: usize,
    ids: Vec<Option<String>>,
    head: Parts,
    body: RequestBody,
) -> Response<Payload> {
    let row = &visit.app.table().rows()[number];
    let mut call = Call::new(visit.arrival(), head, (number, row.options), ids, body);
    let outcome = match call.take_slot() {
        Ok(()) => guarded(visit, row, &mut call).await,
        Err(busy) => Err(busy),
    };
    call.free_slot();
    let wording = row.options.wording;
    let mut response = respond(visit, outcome, call.headers(), wording, cache_control(row, call.headers()));
    vary(row, &mut response);
    let body = call.into_body();
    finish::connection(visit, body.ends_connection(visit.version), &mut response);
    linger(visit, body);
    response
}

/// Runs the row; a panic is an error like any other, and a read that takes too long is given up.
async fn guarded(visit: &Arc<Visit>, row: &Row, call: &mut Call) -> Result<Outcome> {
    let limit = row.options.answer_time.unwrap_or(visit.app.settings().limits.answer_time);
    let work = AssertUnwindSafe((row.run)(call)).catch_unwind();
    let done = if row.is_write() { Ok(work.await) } else { timeout(limit, work).await };
    match done {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => Err(Error::internal(panic_text(&*panic)).while_("running a handler")),
        Err(_) => Err(late()),
    }
}

/// Whether the answer of a public row is the one for everybody, rather than one that depends on who asks.
pub(crate) fn is_for_everybody(guard: Guard, headers: &HeaderMap) -> bool {
    guard == Guard::Open || !headers.contains_key(AUTHORIZATION)
}

/// Who may keep an answer of the row: everybody if it is public, unless it is the answer to somebody who is signed in.
fn cache_control(row: &Row, headers: &HeaderMap) -> Option<HeaderValue> {
    row.options.public?;
    Some(if is_for_everybody(row.guard, headers) { finish::REVALIDATE } else { finish::PRIVATE })
}

/// Caches must tell the public answer of a row from those to callers who are signed in.
fn vary(row: &Row, response: &mut Response<Payload>) {
    if row.options.public.is_some() && row.guard != Guard::Open {
        response.headers_mut().append(VARY, HeaderValue::from_name(AUTHORIZATION));
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("without a message"))
}

fn respond(
    visit: &Arc<Visit>,
    outcome: Result<Outcome>,
    headers: &HeaderMap,
    wording: Option<Wording>,
    cache: Option<HeaderValue>,
) -> Response<Payload> {
    match outcome {
        Ok(outcome) => {
            // What is kept is shared by all responses, and takes no memory of its own.
            let shared = matches!(outcome, Outcome::Ready(_));
            let response = finish::negotiate(visit, outcome, headers, cache);
            let response = if shared { Ok(response) } else { finish::reserve_memory(visit, response) };
            match response {
                Ok(response) => finish::dress(visit, response),
                Err(error) => refusal(visit, &error, wording),
            }
        }
        Err(error) => refusal(visit, &error, wording),
    }
}

fn refusal(visit: &Visit, error: &Error, wording: Option<Wording>) -> Response<Payload> {
    problem::log(error, visit.route, visit.id.as_str(), visit.trace.trace_id());
    finish::dress(visit, problem::answer(error, visit.asked(), wording))
}

fn linger(visit: &Visit, body: RequestBody) {
    if !body.is_done() {
        visit.app.tasks().spawn(body.linger());
    }
}
