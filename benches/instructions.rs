//! Answers so many requests in one thread, for whoever counts the instructions: they are the same every time, where
//! seconds are not.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use dream_http::{App, Settings};
use dream_testkit::backends::{Backend, BackendKind, migrate};
use dream_testkit::world::TestDream;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::Fault;
use crate::load::{Client, request};

/// What comes before the counted answers, so that nothing is made for the first time among them.
const WARM: usize = 20;

/// Where the counts are divided: callgrind is told to write them down whenever it comes here.
#[inline(never)]
pub(crate) fn mark() {
    std::hint::black_box(());
}

/// Answers each question so many times, over one connection that is no socket: a public list that is kept in memory;
/// one's own balance, which is a token to be checked and a statement on SQLite; a like and its opposite in turn. There is
/// a mark before and behind each of the three.
pub(crate) fn answer(times: usize) -> Result<(), Fault> {
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
        let mut client = Client::over(near);
        for requests in [
            vec![request("GET", "/v1/vip/plans", None)],
            vec![request("GET", "/v1/points/balance", Some(&token))],
            ["POST", "DELETE"]
                .map(|method| request(method, "/v1/gallery/images/1/like", Some(&token)))
                .to_vec(),
        ] {
            let mut requests = requests.iter().cycle();
            for number in 0..WARM + times {
                if number == WARM {
                    mark();
                }
                let Some(request) = requests.next() else { break };
                let status = client.ask(request).await?;
                if status != 200 {
                    return Err(format!("a request was answered with {status}").into());
                }
            }
            mark();
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
