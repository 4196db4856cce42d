//! `dream doctor` against an outside that is well, and one that is not.

use std::path::Path;

use serde_json::Value;

use crate::process::{Node, Variables, command, free_port, outside};

/// The exit code and the report.
async fn examine(folder: &Path, variables: &Variables) -> (i32, Value) {
    let output = command(folder, variables).args(["doctor", "--json"]).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code().unwrap(), report)
}

fn state<'a>(report: &'a Value, check: &str) -> &'a str {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|found| found["check"] == check);
    found.unwrap_or_else(|| panic!("no check {check} in {report}"))["state"].as_str().unwrap()
}

async fn migrate(folder: &Path, variables: &Variables) {
    assert!(command(folder, variables).arg("migrate").output().await.unwrap().status.success());
}

#[tokio::test]
async fn the_doctor_finds_nothing_where_all_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = outside("http://127.0.0.1:1").await;
    let keys = sandbox.credentials();
    let variables = Variables::production(&keys, "http://127.0.0.1:1").with_r2(&keys);
    migrate(folder.path(), &variables).await;
    let (exit, report) = examine(folder.path(), &variables).await;
    for check in ["database", "storage", "wechat", "wechat pay", "image api", "disk"] {
        assert_eq!(state(&report, check), "ok", "{report:#}");
    }
    assert_eq!((exit, &report["healthy"]), (0, &Value::Bool(true)));
    assert_eq!(sandbox.r2.keys(), Vec::<String>::new(), "the trial object is removed");
}

#[tokio::test]
async fn the_doctor_names_what_is_wrong_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = outside("http://127.0.0.1:1").await;
    let keys = sandbox.credentials();
    let right = Variables::production(&keys, "http://127.0.0.1:1").with_r2(&keys);
    let wrong = "0123456789abcdefghijklmnopqrstuv";
    let (exit, report) = examine(folder.path(), &right).await;
    assert_eq!((exit, state(&report, "database")), (3, "failed"), "no database was made by looking");
    migrate(folder.path(), &right).await;
    for (check, variables, code) in [
        ("configuration", right.clone().with("JWT_SECRET", "short"), 78),
        ("wechat", right.clone().with("WECHAT_SECRET", wrong), 78),
        ("wechat pay", right.clone().with("WECHAT_PAY_SERIAL_NO", "0123456789ABCDEF"), 78),
        ("storage", right.clone().with("R2_SECRET_ACCESS_KEY", wrong), 78),
        ("redis", right.clone().with("REDIS_URL", "redis://127.0.0.1:1/0"), 5),
        ("image api", right.clone().with("THIRD_PARTY_API_BASE_URL", "http://127.0.0.1:1"), 5),
        ("database", right.clone().with("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"), 5),
    ] {
        let (exit, report) = examine(folder.path(), &variables).await;
        assert_eq!((exit, state(&report, check)), (code, "failed"), "{check}: {report:#}");
        assert!(!report.to_string().contains(wrong), "no secret is shown");
    }
}

#[tokio::test]
async fn a_health_check_needs_no_other_program() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = outside("http://127.0.0.1:1").await;
    let port = free_port();
    let variables = Variables::production(&sandbox.credentials(), "http://127.0.0.1:1").with("PORT", port);
    let ask = async || command(folder.path(), &variables).arg("ready").status().await.unwrap().code();
    assert_eq!(ask().await, Some(5), "nobody listens");
    let node = Node::start(folder.path(), port, &variables).await;
    assert_eq!(ask().await, Some(0));
    node.stop().await;
}
