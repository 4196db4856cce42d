//! `/v1` beside hyper routes of one's own, on one port.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use dream_examples::{Outcome, Outside};
use dream_http::reply::Payload;
use dream_http::{App, Settings};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The program.
#[tokio::main]
pub(crate) async fn main() -> Outcome<()> {
    for (path, status, body) in run(&["/hello", "/v1/vip/plans", "/v1/users/me", "/nowhere"]).await? {
        println!("{path}: {status}, {} bytes", body.len());
    }
    Ok(())
}

/// What the server answers at these paths: status and body.
pub(crate) async fn run(paths: &[&'static str]) -> Outcome<Vec<(&'static str, u16, String)>> {
    let outside = Outside::start().await?;
    let stop = CancellationToken::new();
    let (dream, worker) = outside.builder(outside.settings()).await?.build().await?;
    dream.plant_seeds().await?;
    let app = App::builder(dream.clone(), Settings::default()).build()?;
    let (first, second, third) = (stop.clone(), stop.clone(), stop.clone());
    let working = tokio::spawn(async move { worker.run(first.cancelled()).await });
    // Kept public answers are dropped as news of changes come in, and at the end writes are waited for.
    let upkeep = tokio::spawn(app.clone().keep(async move { second.cancelled().await }));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(serve(listener, app, third));
    let mut answers = Vec::new();
    for path in paths {
        let answer = get(address, path).await?;
        answers.push((*path, answer.0, answer.1));
    }

    stop.cancel();
    serving.await??;
    upkeep.await?;
    working.await?;
    dream.close().await;
    Ok(answers)
}

/// An accept loop of one's own.
async fn serve(listener: TcpListener, app: Arc<App>, stop: CancellationToken) -> Outcome<()> {
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted?,
        };
        let app = app.clone();
        let service = service_fn(move |request| route(app.clone(), peer, request));
        // hyper has no patience of its own with clients that say nothing: it needs a timer.
        let connection =
            http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }
}

/// One's own routes first, and Dream's for all the rest. Its answers are complete: error envelope, request id, limits,
/// access log and all.
async fn route(
    app: Arc<App>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Payload>, Infallible> {
    match request.uri().path() {
        "/hello" => Ok(Response::new(Payload::from(Bytes::from_static(b"hello")))),
        _ => Ok(app.answer(peer.ip(), request).await),
    }
}

async fn get(address: SocketAddr, path: &str) -> Outcome<(u16, String)> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = client.get(format!("http://{address}{path}")).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}
