//! Secrets that anybody can guess open nothing.

use std::process::Command;

/// How `dream serve` ends in production with this secret, and what it says.
fn start(secret: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_dream"))
        .arg("serve")
        .current_dir(folder.path())
        .env_clear()
        .envs([("APP_ENV", "production"), ("PORT", "0"), ("JWT_SECRET", secret)])
        .output()
        .expect("the program");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn production_does_not_start_with_a_secret_that_is_missing_short_or_published() {
    for secret in ["", "short", "your-super-secret-jwt-key-change-in-production", &"a".repeat(64)] {
        let (code, said) = start(secret);
        assert_eq!(code, Some(78), "{secret}: {said}");
        assert!(said.contains("JWT_SECRET"), "{secret}: {said}");
        assert!(secret.is_empty() || !said.contains(secret), "it must not be printed: {said}");
    }
    // Other things are missing with a good one, but it is not complained of.
    let (code, said) = start("9f8c1d7e6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d");
    assert_eq!(code, Some(78), "{said}");
    assert!(!said.contains("JWT_SECRET"), "{said}");
}
