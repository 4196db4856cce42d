//! Answers so many requests in one thread, for whoever counts the instructions: they are the same every time, where
//! seconds are not.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use clap::ValueEnum;
use dream_http::{App, Settings};
use dream_testkit::backends::{Backend, BackendKind, migrate};
use dream_testkit::world::TestDream;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::Fault;
use crate::load::{Client, request};

/// What is asked for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Question {
    /// A public list that is kept in memory
    Plans,
    /// One's own balance: a token to be checked, and a statement on SQLite
    Balance,
    /// A like and its opposite, in turn: a write
    Like,
}

/// Answers the question so many times, over one connection that is no socket.
pub(crate) fn answer(question: Question, times: u64) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let backend = Backend::start(BackendKind::Sqlite, migrate).await?;
        let world = TestDream::start(&backend).await;
        world.dream().plant_seeds().await?;
        let token = world.alice().await.tokens().access;
        let settings = Settings { throttle: None, ..Settings::default() };
        let app = App::builder(world.dream().clone(), settings).build()?;
        let (near, far) = tokio::io::duplex(64 * 1024);
        let serving = tokio::spawn(serve(app, far));
        let requests = match question {
            Question::Plans => vec![request("GET", "/v1/vip/plans", None)],
            Question::Balance => vec![request("GET", "/v1/points/balance", Some(&token))],
            Question::Like => ["POST", "DELETE"]
                .map(|method| request(method, "/v1/gallery/images/1/like", Some(&token)))
                .to_vec(),
        };
        let mut client = Client::over(near);
        for (request, _) in requests.iter().cycle().zip(0..times) {
            let status = client.ask(request).await?;
            if status != 200 {
                return Err(format!("{question:?} was answered with {status}").into());
            }
        }
        drop(client);
        serving.await?;
        world.finish().await;
        Ok(())
    })
}

async fn serve(app: Arc<App>, stream: tokio::io::DuplexStream) {
    let service = service_fn(|request| {
        let app = Arc::clone(&app);
        async move {
            Ok::<_, std::convert::Infallible>(app.answer(IpAddr::V4(Ipv4Addr::LOCALHOST), request).await)
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
