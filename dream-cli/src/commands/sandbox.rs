//! `dream sandbox`: the outside alone, for people who test a mini-program against a backend of theirs.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use dream_core::adapters::SystemClock;
use dream_testkit::sandbox::{self, Credentials, SandboxOptions};
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
    let lines = environment(&keys, &backend);
    let control = sandbox.control.base_url();
    output.show(&lines, || told(&control, &lines, &backend))?;
    stop.await;
    sandbox.shutdown().await;
    Ok(Exit::Done)
}

/// What a backend has to be told to use the sandbox.
fn environment(keys: &Credentials, backend: &str) -> Vec<Line> {
    let one_line = |pem: &str| pem.trim_end().replace('\n', "\\n");
    [
        ("WECHAT_API_BASE_URL", keys.wechat_base_url.clone()),
        ("WECHAT_APPID", keys.wechat_appid.clone()),
        ("WECHAT_SECRET", keys.wechat_secret.clone()),
        ("WECHAT_PUSH_TOKEN", keys.push_token.clone()),
        ("WECHAT_PUSH_AES_KEY", keys.push_aes_key.clone()),
        ("WECHAT_PAY_BASE_URL", keys.pay.base_url.clone()),
        ("WECHAT_PAY_MCH_ID", keys.pay.mchid.clone()),
        ("WECHAT_PAY_SERIAL_NO", keys.pay.merchant_serial.clone()),
        ("WECHAT_PAY_API_V3_KEY", keys.pay.api_v3_key.clone()),
        ("WECHAT_PAY_PRIVATE_KEY", one_line(&keys.pay.merchant_key_pem)),
        ("WECHAT_PAY_PUBLIC_KEY_ID", keys.pay.platform_key_id.clone()),
        ("WECHAT_PAY_PUBLIC_KEY", one_line(&keys.pay.platform_key_pem)),
        ("WECHAT_PAY_NOTIFY_URL", format!("{backend}/v1/orders/payment-callback")),
        ("THIRD_PARTY_API_BASE_URL", keys.image_api_base_url.clone()),
        ("THIRD_PARTY_API_KEY", keys.image_api_key.clone()),
        ("THIRD_PARTY_WEBHOOK_SECRET", keys.webhook_secret.clone()),
        ("R2_ENDPOINT", keys.r2.endpoint.clone()),
        ("R2_BUCKET_NAME", keys.r2.bucket.clone()),
        ("R2_ACCESS_KEY_ID", keys.r2.access_key_id.clone()),
        ("R2_SECRET_ACCESS_KEY", keys.r2.secret_access_key.clone()),
        ("R2_PUBLIC_URL", keys.r2.public_url.clone()),
    ]
    .map(|(variable, value)| Line { variable, value })
    .into()
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
