//! `dream sandbox`: the outside alone, for people who test a mini-program against a backend of theirs.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use dream_core::adapters::SystemClock;
use dream_testkit::sandbox::{self, SandboxOptions};
use serde::Serialize;

use super::serve::stop_signal;
use crate::exit::{Exit, Trouble};
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Sandbox {
    /// Where the backend is reached, for pushes, webhooks and payment notices
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    backend: String,
    /// Address and port of WeChat; a free port of this machine if left out
    #[arg(long, value_name = "ADDRESS")]
    wechat: Option<SocketAddr>,
    /// Address and port of WeChat Pay
    #[arg(long, value_name = "ADDRESS")]
    wechat_pay: Option<SocketAddr>,
    /// Address and port of the image API
    #[arg(long, value_name = "ADDRESS")]
    image_api: Option<SocketAddr>,
    /// Address and port of R2's S3 API
    #[arg(long, value_name = "ADDRESS")]
    r2: Option<SocketAddr>,
    /// Address and port of the control page
    #[arg(long, value_name = "ADDRESS")]
    control: Option<SocketAddr>,
    /// How much faster than the real one the image API works
    #[arg(long, value_name = "TIMES", default_value_t = 10.0, value_parser = speed)]
    speed: f64,
    /// Refuse more than 60 requests a minute and 5 jobs at once, as the real image API does
    #[arg(long)]
    real_limits: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(times) if (0.01..=1000.0).contains(&times) => Ok(times),
        _ => Err("must be a number from 0.01 to 1000".to_owned()),
    }
}

#[derive(Serialize)]
struct Line {
    variable: &'static str,
    value: String,
}

pub(super) async fn run(args: Sandbox, output: Output) -> Result<Exit, Trouble> {
    let stop = stop_signal()?;
    let backend = args.backend.trim_end_matches('/').to_owned();
    let options = SandboxOptions {
        wechat: args.wechat,
        wechat_pay: args.wechat_pay,
        image_api: args.image_api,
        r2: args.r2,
        control: args.control,
        speed: args.speed,
        real_limits: args.real_limits,
        backend: Some(backend.clone()),
        ..SandboxOptions::new(Arc::new(SystemClock))
    };
    let sandbox = sandbox::Sandbox::start(options)
        .await
        .map_err(|error| Trouble::from(error).while_("starting the sandbox"))?;
    let keys = sandbox.credentials();
    let line = |(variable, value)| Line { variable, value };
    let lines: Vec<Line> = keys.environment(&backend).into_iter().map(line).collect();
    let control = sandbox.control.base_url();
    output.show(&lines, || told(&control, &lines, &backend))?;
    stop.await;
    sandbox.shutdown().await;
    Ok(Exit::Done)
}

fn told(control: &str, lines: &[Line], backend: &str) -> String {
    let env: Vec<String> = lines.iter().map(|line| format!("{}='{}'", line.variable, line.value)).collect();
    format!(
        "# The sandbox is up, and tells the backend at {backend} of what happens. Ctrl-C ends it.\n\
         #\n\
         # Anybody logs in with the code sandbox-<name>; a phone code is sandbox-phone-<11 digits>.\n\
         # Orders are paid, and trouble is made, on the control page: {control}/\n\
         # Each fake tells under /_control/requests what it was asked, and takes faults under /_control/faults.\n\
         #\n\
         # To point a backend at it, put this into its .env:\n\n{}",
        env.join("\n")
    )
}
