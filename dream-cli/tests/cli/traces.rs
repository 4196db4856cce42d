//! What belongs to one request can be found again: in the log, and at whom we asked for it.

use std::time::Duration;

use dream_testkit::sandbox::Sandbox;
use reqwest::Client;
use serde_json::{Value, json};

use crate::process::{Node, PATIENCE, Variables, free_port, outside};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const REQUEST: &str = "the-request-of-the-test";

/// Lets somebody log in and ask for a picture whose first submission fails, all in one trace.
async fn generate(sandbox: &Sandbox, node: &mut Node) -> String {
    let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let login = client
        .post(format!("{}/v1/auth/wechat-login", node.url()))
        .json(&json!({ "code": "sandbox-tracy" }))
        .send()
        .await
        .unwrap();
    let token = login.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    let asked = client
        .post(format!("{}/v1/jobs", node.url()))
        .bearer_auth(token)
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .header("x-request-id", REQUEST)
        .json(&json!({ "prompt": "[overload] a heron" }))
        .send()
        .await
        .unwrap();
    assert_eq!(asked.status(), 202);
    let job = asked.json::<Value>().await.unwrap()["jobId"].as_str().unwrap().to_owned();
    let submitted = async {
        while sandbox.image_api.jobs().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, submitted).await.expect("the job is submitted");
    assert!(node.until_it_says("a submission is repeated").await);
    job
}

fn production(sandbox: &Sandbox, node: &str) -> Variables {
    Variables::production(&sandbox.credentials(), node).with("RUST_LOG", "info,dream_http=debug,sqlx=debug")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_a_request_and_of_what_it_left_to_be_done_names_its_trace() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}");
    let sandbox = outside(&base).await;
    let mut node = Node::start(folder.path(), port, &production(&sandbox, &base)).await;
    let job = generate(&sandbox, &mut node).await;
    let lines: Vec<Value> =
        node.log().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let of_request: Vec<&Value> = lines.iter().filter(|line| line["request.id"] == REQUEST).collect();
    assert!(of_request.iter().any(|line| line["message"] == "request"), "{lines:#?}");
    for line in of_request {
        assert_eq!(line["trace_id"], TRACE, "{line}");
    }
    let repeated = lines.iter().find(|line| line["message"] == "a submission is repeated").unwrap();
    assert_eq!((repeated["trace_id"].as_str(), repeated["job.id"].as_str()), (Some(TRACE), Some(&*job)));
    let submission = sandbox.image_api.requests().into_iter().find(|asked| asked.request.method == "POST");
    let sent = submission.unwrap().request.header("traceparent").unwrap().to_owned();
    // Nobody listens to spans, so that none of ours comes in between.
    assert_eq!(sent, format!("00-{TRACE}-{CALLER}-01"));
    node.stop().await;
}
