//! The limit for reads: hyper alone, answering every request with the same bytes.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::Fault;

/// A server that only sends.
#[derive(Debug)]
pub(crate) struct Bare {
    pub(crate) address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
    accepting: JoinHandle<()>,
}

impl Bare {
    /// Sends this answer, header by header as another server sent it. It has a runtime of its own, as the server
    /// that it is compared with has.
    pub(crate) async fn start(headers: &[(String, Vec<u8>)], body: Bytes) -> Result<Self, Fault> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            // Both are written by hyper itself.
            if !["content-length", "date"].contains(&name.as_str()) {
                map.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value)?);
            }
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let listener = runtime.spawn(TcpListener::bind("127.0.0.1:0")).await??;
        let address = listener.local_addr()?;
        let accepting = runtime.spawn(accept(listener, map, body));
        Ok(Self { address, runtime: Some(runtime), accepting })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.accepting.abort();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, headers: HeaderMap, body: Bytes) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let (headers, body) = (headers.clone(), body.clone());
        tokio::spawn(async move {
            let answer = service_fn(|_| {
                let mut response = Response::new(Full::new(body.clone()));
                *response.status_mut() = StatusCode::OK;
                *response.headers_mut() = headers.clone();
                async move { Ok::<_, Infallible>(response) }
            });
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}
