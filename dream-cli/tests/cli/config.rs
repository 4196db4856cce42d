//! What the environment may say, and what is said of it.

use std::fs;

use crate::shell::Shell;

const STRONG: &str = "3f9c1b7e5a2d4860917e3c5b2f8a6d04c17b";

#[tokio::test]
async fn a_check_names_every_fault_at_once_and_quotes_no_secret() {
    let shell = Shell::with(&[
        ("PORT", "70000"),
        ("DATABASE_URL", "mysql://root:hunter2@db/x"),
        ("JWT_SECRET", "too-short-to-be-one"),
        ("ADMIN_API_KEY", "ops:secret-of-ops,"),
        ("THROTTLE_LIMIT", "many"),
        ("APP_TIMEZONE", "Mars/Olympus"),
        ("WECHAT_APPID", "wx1"),
        ("R2_BUCKET_NAME", "pictures"),
        ("REDIS_PASSWORD", "hunter3"),
        ("LOG_FORMAT", "xml"),
        ("API_DOCS", "maybe"),
        ("DATABSE_URL", "x"),
        ("WECHAT_APIID", "x"),
    ]);
    let ran = shell.run(&["config", "check"]).await;
    assert_eq!(ran.code, 78, "{ran:?}");
    for variable in [
        "PORT",
        "DATABASE_URL",
        "JWT_SECRET",
        "ADMIN_API_KEY",
        "THROTTLE_LIMIT",
        "APP_TIMEZONE",
        "WECHAT_SECRET",
        "R2_ACCESS_KEY_ID",
        "R2_SECRET_ACCESS_KEY",
        "R2_PUBLIC_URL",
        "R2_ACCOUNT_ID",
        "REDIS_HOST",
        "LOG_FORMAT",
        "API_DOCS",
    ] {
        assert!(
            ran.err.lines().any(|line| line.trim_start().starts_with(variable)),
            "{variable}: {}",
            ran.err
        );
    }
    assert!(ran.err.contains("WECHAT_APIID is set, but there is no such variable"), "{}", ran.err);
    let start = shell.run(&["serve"]).await;
    assert_eq!(start.code, 78);
    for text in [&ran.out, &ran.err, &start.out, &start.err] {
        for secret in ["hunter2", "hunter3", "secret-of-ops", "too-short-to-be-one"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    assert!(!shell.path("dream-data").exists(), "a start that is refused makes nothing");
    let json = shell.run(&["config", "check", "--json"]).await;
    let report: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert!(report["faults"].as_array().is_some_and(|faults| faults.len() >= 13), "{report}");
}

#[tokio::test]
async fn a_check_shows_what_is_in_force_and_where_it_comes_from() {
    let shell = Shell::with(&[
        ("DATABASE_HOST", "db.internal"),
        ("DATABASE_USERNAME", "dream"),
        ("DATABASE_PASSWORD", "p@ss/word"),
        ("DATABASE_NAME", "dream"),
        ("JWT_SECRET", STRONG),
    ]);
    fs::write(shell.path(".env"), "PORT=4000\nJWT_SECRET=not-this-one\nLOG_LEVEL='debug'\n").unwrap();
    let ran = shell.run(&["config", "check"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.columns("PORT"), ["PORT", "4000", ".env"]);
    assert_eq!(ran.columns("HOST"), ["HOST", "0.0.0.0", "default"]);
    assert_eq!(ran.columns("JWT_SECRET"), ["JWT_SECRET", "********", "environment"]);
    assert_eq!(ran.columns("WECHAT_APPID"), ["WECHAT_APPID", "–", "sandbox"]);
    let url = ran.columns("DATABASE_URL").remove(1);
    assert_eq!(url, "postgres://dream:********@db.internal:5432/dream");
    assert!(!ran.out.contains("ss/word") && !ran.out.contains("ss%2Fword") && !ran.out.contains(STRONG));
}

#[tokio::test]
async fn a_broken_env_file_is_told_without_its_lines() {
    let shell = Shell::with(&[]);
    fs::write(shell.path(".env"), "PORT=4000\nJWT_SECRET 'hunter2 is no\n").unwrap();
    let ran = shell.run(&["config", "check"]).await;
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.err.contains(".env") && !ran.err.contains("hunter2"), "{ran:?}");
}

#[tokio::test]
async fn production_refuses_what_is_missing_weak_or_played() {
    let bare = Shell::with(&[("APP_ENV", "production")]);
    fs::write(bare.path(".env"), "PORT=4000\n").unwrap();
    let ran = bare.run(&["serve"]).await.failed(78, "configuration");
    for variable in
        ["JWT_SECRET", "WECHAT_APPID", "WECHAT_SECRET", "THIRD_PARTY_API_BASE_URL", "THIRD_PARTY_API_KEY"]
    {
        assert!(
            ran.err.lines().any(|line| line.trim_start().starts_with(variable)),
            "{variable}: {}",
            ran.err
        );
    }
    let weak = Shell::with(&[
        ("NODE_ENV", "production"),
        ("JWT_SECRET", "your-super-secret-jwt-key-change-in-production"),
        ("ADMIN_API_KEY", "admin"),
        ("WECHAT_APPID", "wx0123456789abcdef"),
        ("WECHAT_SECRET", "secret"),
        ("THIRD_PARTY_API_BASE_URL", "https://images.example"),
        ("THIRD_PARTY_API_KEY", "aaaaaaaaaaaaaaaaaaaaaaaa"),
        ("THIRD_PARTY_WEBHOOK_SECRET", "changeme"),
        ("CORS_ORIGIN", "https://a.example,*"),
    ]);
    let ran = weak.run(&["serve"]).await.failed(78, "configuration");
    for variable in [
        "JWT_SECRET",
        "ADMIN_API_KEY",
        "WECHAT_SECRET",
        "THIRD_PARTY_API_KEY",
        "THIRD_PARTY_WEBHOOK_SECRET",
        "CORS_ORIGIN",
    ] {
        assert!(
            ran.err.lines().any(|line| line.trim_start().starts_with(variable)),
            "{variable}: {}",
            ran.err
        );
    }
    assert!(!ran.err.contains("aaaaaaaa") && !ran.err.contains("changeme"), "{}", ran.err);
    let empty = Shell::with(&[("JWT_SECRET", ""), ("ADMIN_API_KEY", " ")]);
    let ran = empty.run(&["config", "check"]).await;
    assert!(ran.code == 78 && ran.err.contains("JWT_SECRET") && ran.err.contains("ADMIN_API_KEY"), "{ran:?}");
}

#[tokio::test]
async fn production_takes_what_is_complete_and_reads_no_file() {
    let shell = Shell::with(&[
        ("APP_ENV", "production"),
        ("JWT_SECRET", STRONG),
        ("ADMIN_API_KEY", "ops:8d1c6f0b3e5a7942d6c8"),
        ("WECHAT_APPID", "wx0123456789abcdef"),
        ("WECHAT_SECRET", "5e7d9c1b3a2f4860817e"),
        ("THIRD_PARTY_API_BASE_URL", "https://images.example"),
        ("THIRD_PARTY_API_KEY", "c0ffee5e7d9c1b3a2f48"),
        ("BASE_URL", "https://api.example"),
    ]);
    fs::write(shell.path(".env"), "PORT=4000\n").unwrap();
    let report = shell.json(&["config", "check"]).await;
    assert_eq!(
        (report["mode"].as_str(), report["faults"].as_array().map(Vec::len)),
        (Some("production"), Some(0))
    );
    let held = report["variables"].as_array().unwrap();
    let port = held.iter().find(|held| held["variable"] == "PORT").unwrap();
    assert_eq!((port["value"].as_str(), port["from"].as_str()), (Some("3000"), Some("default")));
    let notes = report["notes"].to_string();
    assert!(notes.contains("CORS_ORIGIN") && notes.contains("nothing can be bought"), "{notes}");
}

/// A production without a fault or a warning.
const SOUND: [(&str, &str); 16] = [
    ("APP_ENV", "production"),
    ("BASE_URL", "https://api.example"),
    ("CORS_ORIGIN", "https://admin.example"),
    ("TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8,203.0.113.0/24"),
    ("JWT_SECRET", STRONG),
    ("JWT_EXPIRATION", "7d"),
    ("REFRESH_EXPIRATION", "30d"),
    ("ADMIN_API_KEY", "ops:8d1c6f0b3e5a7942d6c8"),
    ("WECHAT_APPID", "wx0123456789abcdef"),
    ("WECHAT_SECRET", "5e7d9c1b3a2f4860817e"),
    ("WECHAT_API_BASE_URL", "https://api.weixin.qq.com"),
    ("WECHAT_PUSH_TOKEN", "b7Qm2xK9vT4pLw8Z"),
    ("WECHAT_PUSH_AES_KEY", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"),
    ("THIRD_PARTY_API_BASE_URL", "https://images.example"),
    ("THIRD_PARTY_API_KEY", "c0ffee5e7d9c1b3a2f48"),
    ("THIRD_PARTY_WEBHOOK_SECRET", "9e1d7c5b3a2f4860c0ff"),
];

/// The exit code of a check and its report, for a sound production but for these.
async fn checked(changes: &[(&str, &str)]) -> (i32, serde_json::Value) {
    let mut variables: Vec<(&str, &str)> = SOUND.to_vec();
    for &(name, value) in changes {
        variables.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            variables.push((name, value));
        }
    }
    let ran = Shell::with(&variables).run(&["config", "check", "--json"]).await;
    (ran.code, serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}")))
}

#[tokio::test]
async fn production_refuses_what_exposes_it_and_warns_of_what_surprises() {
    let (code, report) = checked(&[]).await;
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["notes"].as_array().unwrap().len(), 1, "only that nothing can be bought: {report:#}");
    for (variable, value) in [
        ("BASE_URL", ""),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,::/0"),
        ("TRUSTED_PROXIES", "0.0.0.0/1,128.0.0.0/1"),
        ("WECHAT_PUSH_TOKEN", "x"),
        ("JWT_EXPIRATION", "36500d"),
        ("REFRESH_EXPIRATION", "36500d"),
        ("ADMIN_API_KEY", "admin1234567890123"),
        ("ADMIN_API_KEY", "ops:8d1c6f0b3e5a7942d6c8,ci:8d1c6f0b3e5a7942d6c8"),
        ("WECHAT_API_BASE_URL", "http://api.weixin.qq.com"),
        ("THIRD_PARTY_API_BASE_URL", "http://images.example"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318"),
        ("SANDBOX_PARTS", "wechat-pay"),
        ("LOG_LEVEL", "verbose"),
    ] {
        let (code, report) = checked(&[(variable, value)]).await;
        let mut faults: Vec<&str> = report["faults"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|fault| fault["variable"].as_str())
            .collect();
        faults.dedup();
        assert_eq!((code, faults.as_slice()), (78, [variable].as_slice()), "{variable}={value}: {report:#}");
    }
    for (variable, value) in [
        ("BASE_URL", "http://api.example"),
        ("BASE_URL", "http://127.0.0.1:3000"),
        ("THIRD_PARTY_API_BASE_URL", "http://10.1.2.3:8000"),
        ("THIRD_PARTY_API_BASE_URL", "http://images.internal"),
        ("WECHAT_PUSH_AES_KEY", ""),
        ("JWT_EXPIRATION", "60d"),
        ("REFRESH_EXPIRATION", "200d"),
        ("THROTTLE_LIMIT", "0"),
        ("CORS_ORIGIN", "*"),
    ] {
        let (code, report) = checked(&[(variable, value)]).await;
        assert_eq!(code, 0, "{variable}={value}: {report:#}");
        assert!(report["notes"].to_string().contains(variable), "{variable}={value}: {report:#}");
    }
    // On this machine nobody listens in.
    let (_, report) = checked(&[("THIRD_PARTY_API_BASE_URL", "http://127.0.0.1:8000")]).await;
    assert_eq!(report["notes"].as_array().unwrap().len(), 1, "{report:#}");
}

#[tokio::test]
async fn sandbox_parts_beside_real_parts_are_refused_unless_they_are_named() {
    let real = [
        ("WECHAT_APPID", "wx0123456789abcdef"),
        ("WECHAT_SECRET", "5e7d9c1b3a2f4860817e"),
        ("THIRD_PARTY_API_BASE_URL", "https://images.example"),
        ("THIRD_PARTY_API_KEY", "c0ffee5e7d9c1b3a2f48"),
    ];
    let with = |named: &'static str| {
        let mut variables = real.to_vec();
        if !named.is_empty() {
            variables.push(("SANDBOX_PARTS", named));
        }
        Shell::with(&variables)
    };
    let shell = with("");
    let ran = shell.run(&["serve"]).await.failed(78, "SANDBOX_PARTS");
    assert!(
        ran.err.contains("SANDBOX_PARTS=wechat-pay") && ran.err.contains("APP_ENV=production"),
        "{ran:?}"
    );
    assert!(!shell.path("dream-data").exists(), "a start that is refused makes nothing");
    for wrong in ["image-api", "wechat-pay,wechat", "everything"] {
        let ran = with(wrong).run(&["config", "check"]).await;
        assert!(ran.code == 78 && ran.err.contains("SANDBOX_PARTS"), "{wrong}: {ran:?}");
    }
    assert_eq!(with("wechat-pay").run(&["config", "check"]).await.code, 0);
    // Services on this machine are a tester's own.
    let near = Shell::with(&[
        ("THIRD_PARTY_API_BASE_URL", "http://127.0.0.1:8000"),
        ("THIRD_PARTY_API_KEY", "c0ffee5e7d9c1b3a2f48"),
    ]);
    assert_eq!(near.run(&["config", "check"]).await.code, 0);
}

#[tokio::test]
async fn no_argument_takes_a_secret() {
    let shell = Shell::with(&[]);
    let reference = shell.out(&["man", "--markdown"]).await;
    for option in reference.split_whitespace().filter(|word| word.starts_with("--")) {
        let option = option.to_ascii_lowercase();
        for word in ["secret", "password", "passwd", "token", "api-key", "credential"] {
            assert!(!option.contains(word), "{option}: an argument is seen by everybody on the machine");
        }
    }
}
