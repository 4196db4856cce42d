//! Dream inside a tokio service that is there already: a line over TCP is drawn, and its address comes back.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use dream_core::jobs::{GenerateRequest, MAX_WAIT};
use dream_core::{Dream, Session};
use dream_examples::{Outcome, Outside, log_in};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// The program.
#[tokio::main]
pub(crate) async fn main() -> Outcome<()> {
    for line in run(&["a lighthouse at dusk", ""]).await? {
        println!("{line}");
    }
    Ok(())
}

/// What the service answers to these lines.
pub(crate) async fn run(lines: &[&str]) -> Outcome<Vec<String>> {
    let outside = Outside::start().await?;
    // The service has a way to stop, and Dream's worker stops with it.
    let stop = CancellationToken::new();
    let (dream, worker) = outside.builder(outside.settings()).await?.build().await?;
    let stopped = stop.clone();
    let working = tokio::spawn(async move { worker.run(stopped.cancelled()).await });

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(serve(listener, dream.clone(), stop.clone()));
    let answers = ask(TcpStream::connect(address).await?, lines).await?;

    stop.cancel();
    serving.await??;
    working.await?;
    dream.close().await;
    Ok(answers)
}

/// The service as it was before, but for the handle that it holds.
async fn serve(listener: TcpListener, dream: Dream, stop: CancellationToken) -> Outcome<()> {
    let mut clients = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                clients.spawn(talk(stream, dream.clone()));
            }
        }
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(())
}

async fn talk(stream: TcpStream, dream: Dream) -> Outcome<()> {
    let me = log_in(&dream, "alice").await?;
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match draw(&me, &line).await {
            Ok(url) => url,
            // The code is for programs; what to say to people is this service's own business.
            Err(error) => format!("sorry: {error}"),
        };
        writer.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

async fn draw(me: &Session, prompt: &str) -> dream_core::Result<String> {
    let prompt = prompt.parse().map_err(|fault| dream_core::Error::invalid_field("prompt", fault))?;
    let accepted = me.generate(&GenerateRequest::new(prompt), None, None).await?;
    // The charge is committed. Whatever happens from here on, the picture comes or the charge goes back.
    let mut job = me.job(&accepted.job_id).await?;
    while !job.state.is_final() {
        job = me.await_job(&accepted.job_id, MAX_WAIT).await?;
    }
    Ok(job.result_urls.into_iter().next().unwrap_or_else(|| "no picture this time".to_owned()))
}

async fn ask(stream: TcpStream, lines: &[&str]) -> Outcome<Vec<String>> {
    let (reader, mut writer) = stream.into_split();
    let mut answers = BufReader::new(reader).lines();
    let mut heard = Vec::new();
    for line in lines {
        writer.write_all(format!("{line}\n").as_bytes()).await?;
        heard.push(answers.next_line().await?.ok_or("it hung up")?);
    }
    Ok(heard)
}
