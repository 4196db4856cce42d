//! The documents that are made from the code are those that are committed.

use std::fs;
use std::path::Path;

use crate::shell::{Shell, left_out};

async fn is_committed(file: &str, args: &[&str]) {
    let made = Shell::with(&[]).out(args).await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let committed = fs::read_to_string(root.join(file)).unwrap_or_default();
    if let Some((number, (made, committed))) =
        made.lines().zip(committed.lines()).enumerate().find(|(_, (made, committed))| made != committed)
    {
        panic!("{file}, line {}: ./scripts/docs writes it anew\n- {committed}\n+ {made}", number + 1);
    }
    assert_eq!(made.len(), committed.len(), "{file} has another length: ./scripts/docs writes it anew");
}

#[tokio::test]
async fn the_page_of_variables_is_made_from_their_table() {
    is_committed("docs/configuration.md", &["config", "docs"]).await;
}

#[tokio::test]
async fn the_example_of_an_env_file_is_made_from_their_table() {
    is_committed(".env.example", &["config", "docs", "--form", "env"]).await;
}

#[tokio::test]
async fn the_page_of_commands_is_made_from_their_help() {
    is_committed("docs/cli.md", &["man", "--markdown"]).await;
}

#[tokio::test]
async fn the_example_of_an_env_file_can_be_used_as_it_is_and_line_by_line() {
    let shell = Shell::with(&[]);
    let example = shell.out(&["config", "docs", "--form", "env"]).await;
    fs::write(shell.path(".env"), &example).unwrap();
    assert_eq!(shell.run(&["config", "check"]).await.code, 0);
    // With every default said aloud, nothing changes.
    let said: Vec<&str> = example
        .lines()
        .filter_map(|line| {
            line.strip_prefix('#').filter(|rest| !rest.starts_with(' ') && !rest.ends_with('='))
        })
        .collect();
    let said = said.join("\n");
    assert!(said.lines().count() > 20, "{said}");
    fs::write(shell.path(".env"), said.replace("WECHAT_API_BASE_URL", "#")).unwrap();
    let ran = shell.run(&["config", "check"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace")
}

#[test]
fn what_compose_asks_for_is_in_an_example_and_no_filled_in_copy_is_shared() {
    let compose = fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    let example = fs::read_to_string(root().join("deploy/compose.env.example")).unwrap();
    let asked: Vec<&str> = compose
        .split("${")
        .skip(1)
        .map(|rest| rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap())
        .collect();
    assert!(asked.contains(&"POSTGRES_PASSWORD"), "{asked:?}");
    for name in asked {
        assert!(example.lines().any(|line| line.starts_with(&format!("{name}="))), "{name}");
    }
    for file in [".gitignore", ".dockerignore"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        assert!(text.lines().any(|line| line == "deploy/*.env"), "{file}");
        assert!(text.lines().any(|line| line == ".env"), "{file}");
    }
}

#[test]
fn nginx_takes_its_configuration() {
    let usual = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
    let Some(nginx) = usual.into_iter().find(|path| Path::new(path).is_file()) else {
        return left_out("nginx is not installed");
    };
    let folder = tempfile::tempdir().unwrap();
    // The process id is the one file that a test of the configuration writes.
    let text = fs::read_to_string(root().join("deploy/nginx.conf")).unwrap();
    let text = text.replace("/tmp/nginx.pid", &folder.path().join("nginx.pid").display().to_string());
    assert!(text.contains("limit_conn "), "one address may not take every connection");
    let file = folder.path().join("nginx.conf");
    fs::write(&file, text).unwrap();
    let output = std::process::Command::new(nginx)
        .args(["-t", "-e", "stderr", "-p"])
        .arg(folder.path())
        .arg("-c")
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn there_is_a_page_for_every_command_and_a_script_for_every_shell() {
    let shell = Shell::with(&[]);
    shell.out(&["man", "--dir", "pages"]).await;
    for page in ["dream.1", "dream-user-list.1", "dream-order-refund.1", "dream-admin-key-create.1"] {
        let text = fs::read_to_string(shell.path("pages").join(page)).expect(page);
        assert!(text.starts_with(".ie") || text.contains(".TH"), "{page}");
    }
    assert!(shell.out(&["man"]).await.contains(".TH dream"));
    for name in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = shell.out(&["completions", name]).await;
        assert!(script.contains("reconcile") && script.contains("admin-key"), "{name}");
    }
    let openapi: serde_json::Value = serde_json::from_str(&shell.out(&["openapi"]).await).unwrap();
    assert_eq!(openapi["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
}

#[tokio::test]
async fn every_exit_code_is_in_the_help() {
    let help = Shell::with(&[]).out(&["--help"]).await;
    for code in ["   0  ", "   1  ", "   2  ", "   3  ", "   4  ", "   5  ", "   6  ", "  78  "] {
        assert!(help.lines().any(|line| line.starts_with(code)), "{code:?}: {help}");
    }
}
