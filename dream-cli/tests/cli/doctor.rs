//! `dream doctor` against an outside that is well, and one that is not.

use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

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

#[tokio::test]
async fn paths_that_cannot_be_used_are_named_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "no folder").unwrap();
    std::fs::write(
        folder.path().join("text.db"),
        "no database, but a text that is long enough to be read as one",
    )
    .unwrap();
    for (name, value, named) in [
        ("DATABASE_URL", "sqlite://file/dream.db", "file cannot be made"),
        ("DATABASE_URL", "sqlite://text.db", "text.db cannot be opened"),
        ("UPLOAD_DIR", "file/uploads", "file/uploads cannot be written"),
    ] {
        let variables = Variables::default().with("PORT", 0).with("HOST", "127.0.0.1").with(name, value);
        let output = command(folder.path(), &variables).arg("serve").output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{value}: {said}");
        assert_eq!(said.matches(named).count(), 1, "{value}: {said}");
    }
}

#[tokio::test]
async fn a_new_database_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    migrate(folder.path(), &Variables::default()).await;
    let file = folder.path().join("dream-data/dream.db");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (_, report) = examine(folder.path(), &Variables::default()).await;
    assert_eq!(state(&report, "database"), "ok", "{report:#}");
    // One that was made before.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (_, report) = examine(folder.path(), &Variables::default()).await;
    assert_eq!(state(&report, "database"), "warning", "{report:#}");
}

#[tokio::test]
async fn postgres_that_refuses_is_named_with_its_reason() {
    use dream_testkit::backends::{BackendKind, TestPostgres};
    if !BackendKind::Postgres.available().unwrap_or(false) {
        return;
    }
    let postgres = TestPostgres::start().await.unwrap();
    let url = postgres.empty_database().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let name = url.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
    for (url, code, named) in [
        (url.replace(&name, "no_such_database"), 3, "has no database"),
        ("postgres://nobody@127.0.0.1:1/none".to_owned(), 5, "127.0.0.1:1 cannot be reached"),
    ] {
        let variables =
            Variables::default().with("PORT", 0).with("HOST", "127.0.0.1").with("DATABASE_URL", &url);
        for arguments in [["serve"].as_slice(), &["user", "list"]] {
            let output = command(folder.path(), &variables).args(arguments).output().await.unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(code), "{arguments:?} {url}: {said}");
            assert_eq!(said.matches(named).count(), 1, "{arguments:?} {url}: {said}");
        }
    }
}

/// What a client says at the start of a connection to PostgreSQL. It is refused with the code of a wrong password.
async fn refuse_start(listener: &TcpListener) -> String {
    let (mut peer, _) = listener.accept().await.unwrap();
    loop {
        let length = usize::try_from(peer.read_u32().await.unwrap()).unwrap();
        let mut message = vec![0; length - 4];
        peer.read_exact(&mut message).await.unwrap();
        if message == 80_877_103_u32.to_be_bytes() {
            peer.write_all(b"N").await.unwrap(); // no TLS
            continue;
        }
        let fields = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"me\"\0\0";
        let length = u32::try_from(fields.len() + 4).unwrap();
        peer.write_all(&[&b"E"[..], &length.to_be_bytes(), fields].concat()).await.unwrap();
        return String::from_utf8_lossy(&message[4..]).into_owned();
    }
}

#[tokio::test]
async fn a_connection_starts_with_what_pgbouncer_takes_and_a_wrong_password_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let variables =
        Variables::default().with("DATABASE_URL", format!("postgres://me:hunter2@{address}/dream"));
    let mut command = command(folder.path(), &variables);
    let (said, output) = tokio::join!(refuse_start(&listener), command.arg("migrate").output());
    for parameter in ["options", "extra_float_digits"] {
        assert!(!said.split('\0').any(|word| word == parameter), "PgBouncer refuses {parameter}: {said:?}");
    }
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{text}");
    let named = format!("PostgreSQL at {address} refuses the user me");
    assert_eq!(text.matches(&named).count(), 1, "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}
