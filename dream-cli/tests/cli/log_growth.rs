//! The size of the log under forged notifications and malformed upstream responses.
//!
//! A line has at most 1 KB whatever an outsider sends, and lines that repeat are counted instead of written. The server
//! is a real process, so that the limits of its log subscriber are part of the test.

use std::time::Duration;

use dream_testkit::faults::{ANY, Fault};
use futures_util::{StreamExt as _, stream};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::process::{Node, PATIENCE, Variables, free_port, outside};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_notifications_and_nonsense_of_an_upstream_do_not_fill_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}");
    let sandbox = outside(&base).await;
    let variables = Variables::production(&sandbox.credentials(), &base)
        .with("DATABASE_URL", format!("sqlite://{}/dream.db", folder.path().display()));
    let mut node = Node::start(folder.path(), port, &variables).await;
    let http = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();

    let forge = |number: usize| {
        let forged = http.post(format!("{base}/v1/orders/payment-callback"));
        let forged = forged.header("Wechatpay-Serial", "0".repeat(900)).header("Wechatpay-Nonce", number);
        async { forged.body("{}").send().await.unwrap().status() }
    };
    let refused = stream::iter(0..1000).map(forge).buffer_unordered(32);
    assert!(refused.all(|status| async move { status == 401 }).await);

    let body = json!({ "code": "sandbox-somebody" });
    let login = http.post(format!("{base}/v1/auth/wechat-login")).json(&body).send().await.unwrap();
    let token = login.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    // JSON, but no job.
    sandbox.image_api.faults().always(ANY, Fault::status(200, format!("\"{}\"", "nonsense".repeat(100_000))));
    let body = json!({ "prompt": "a cat" });
    let job = http.post(format!("{base}/v1/jobs")).bearer_auth(token).json(&body).send().await.unwrap();
    assert_eq!(job.status(), 202);
    let asked = async {
        while sandbox.image_api.faults().fired().len() < 3 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, asked).await.expect("the job is submitted and repeated");
    node.terminate();
    assert!(node.ended().await.success());

    let log = node.log();
    let longest = log.lines().map(str::len).max().unwrap();
    assert!(longest <= 1024, "a line of {longest} bytes");
    assert!(log.len() < 128 * 1024, "{} bytes", log.len());
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    let left_out: u64 = lines
        .filter(|line| line["log.about"].as_str().is_some_and(|about| about.ends_with("payment-callback")))
        .map(|line| line["log.left_out"].as_u64().unwrap())
        .sum();
    assert!(left_out >= 500, "{left_out} of 1000 are only counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_url_of_https_asks_clients_to_stay_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let sandbox = outside(&format!("http://127.0.0.1:{port}")).await;
    let variables = Variables::production(&sandbox.credentials(), "https://dream.example")
        .with("DATABASE_URL", format!("sqlite://{}/dream.db", folder.path().display()));
    let node = Node::start(folder.path(), port, &variables).await;
    let http = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let answer = http.get(format!("{}/health", node.url())).send().await.unwrap();
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=15552000; includeSubDomains");
    node.stop().await;
}
